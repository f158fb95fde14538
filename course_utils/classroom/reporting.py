"""Print computed numbers so that every processor prints the same text.

Strict nbval compares printed text, and float64 results differ between processors by some 1e-13.
A number is therefore rounded, and refused where that noise could turn its last digit; a residual
that is nothing but rounding is printed as the bound it keeps.
"""

from decimal import Decimal

import numpy as np

from course_utils._checks import in_numpy, positive_number, real_number


def report(label: str, value, digits: int = 6, unit: str = "", noise: float = 1e-10) -> None:
    """Print `label: value unit`, rounded to significant digits that no processor changes.

    label   what the number is
    value   a real number, or a short sequence of them, printed with commas; integers print whole
    digits  significant digits, 1 to 8: up to 8 for exact float64 results, 3 for float32, 2 for
            what a discretisation leaves
    unit    printed after the number
    noise   relative uncertainty between processors: 1e-10 suits float64, 1e-5 float32

    Raises ValueError where value·(1 ± noise) round to different texts (take another number of
    digits), where noise reaches the last digit, and for values that are not finite real numbers.
    """
    noise = real_number("noise", noise)
    if not 0 <= noise < 1:
        raise ValueError(f"report({label!r}) got noise={noise:g}: from 0 to below 1, relative")
    if not isinstance(digits, int) or isinstance(digits, bool) or not 1 <= digits <= 8:
        raise ValueError(f"report({label!r}) got digits={digits}: use 1 to 8 significant digits")
    try:
        values = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):  # ragged, or no tensor for NumPy
        values = np.asarray(None)
    if values.dtype.kind not in "iuf" or values.ndim > 1 or not np.isfinite(values).all():
        raise ValueError(f"report({label!r}) got {value!r}: hand over finite real numbers")
    texts = [_stable(label, v, digits, noise) for v in values.ravel().tolist()]
    print(f"{label}: {', '.join(texts)}{' ' if unit else ''}{unit}")


def report_below(label: str, residual, below: float = 1e-12) -> None:
    """Print `label: below 1e-12` if every |residual| is, whatever the residual's own digits.

    residual  a real number or an array of them
    below     the bound, fixed beforehand, > 0

    Raises ValueError with the largest |residual| where the bound is broken or the residual is
    not finite.
    """
    below = positive_number("below", below)
    sizes = np.abs(in_numpy(residual).astype(np.float64))  # float32 would round `below`
    if sizes.size == 0:
        raise ValueError(f"bound({label!r}) got an empty residual: nothing was compared")
    if not sizes.max() < below:  # a NaN fails this too
        raise ValueError(
            f"{label}: the residual is {sizes.max():.3g}, not below {below:g}: the two sides differ"
        )
    print(f"{label}: below {below:g}")


def _stable(label, value, digits, noise):
    if isinstance(value, int):
        return str(value)
    texts = {_significant(v, digits) for v in (value, value * (1 - noise), value * (1 + noise))}
    if len(texts) > 1:
        raise ValueError(
            f"report({label!r}) got {value!r}, which with {digits} digits may print as "
            f"{' or '.join(sorted(texts))}: take another number of digits"
        )
    return texts.pop()


def _significant(value, digits):
    """0.00123, 82.0000, 4540, 1.2e-05: `digits` significant digits, an exponent where shorter."""
    text = f"{value + 0.0:.{digits - 1}e}"  # + 0.0 turns -0.0 into 0.0
    return f"{Decimal(text):f}" if value == 0 or 1e-4 <= abs(value) < 1e9 else text
