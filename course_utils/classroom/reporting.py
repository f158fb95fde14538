"""Print computed numbers rounded, so that every processor prints the same text.

The notebooks' saved outputs are compared word for word, and float64 results differ between
processors by some 1e-13. Only where COURSE_STRICT_DIGITS is set, as when the saved outputs are
made or compared, is a number refused whose last digit that noise could turn.
"""

import os
from decimal import Decimal

import numpy as np


def report(label: str, value, digits: int = 6, unit: str = "", noise: float = 1e-10) -> None:
    """Print `label: value unit`, with real numbers rounded to `digits` significant digits.

    value   a number, or a short sequence of them; anything else as it is
    digits  up to 8 for exact float64 results, 3 for float32, 2 for what a discretisation leaves
    noise   relative uncertainty between processors: 1e-10 suits float64, 1e-5 float32

    Raises ValueError where COURSE_STRICT_DIGITS is set and value·(1 ± noise) print differently.
    """
    try:
        values = np.ravel(value).tolist()
    except (ValueError, RuntimeError):  # a ragged list, a tensor with gradients
        values = [value]
    print(f"{label}: {', '.join(_text(v, digits) for v in values)}{' ' if unit else ''}{unit}")
    for v in (v for v in values if _strict() and isinstance(v, float)):
        near = {_text(v * (1 + e), digits) for e in (-noise, noise)}
        if len(near) > 1:
            raise ValueError(
                f"{label}: {v!r} with {digits} digits may print as {' or '.join(sorted(near))}: "
                "take another number of digits"
            )


def report_below(label: str, residual, below: float = 1e-12) -> None:
    """Print `label: below 1e-12` if every |residual| is, whatever the residual's own digits.

    A larger one is printed as it is, and raises ValueError where COURSE_STRICT_DIGITS is set.
    """
    largest = np.abs(np.asarray(residual, dtype=np.float64)).max()  # float32 would round `below`
    if largest < below:
        print(f"{label}: below {below:g}")
        return
    text = f"{label}: the largest is {largest:.3g}, not below {below:g}"
    if _strict():
        raise ValueError(text)
    print(text)


def _strict():
    return os.environ.get("COURSE_STRICT_DIGITS", "0") != "0"


def _text(value, digits):
    """0.00123, 82.0000, 4540, 1.2e-05: an exponent only where that is shorter."""
    if not isinstance(value, float):
        return str(value)
    text = f"{value + 0.0:.{max(digits, 1) - 1}e}"  # + 0.0 turns -0.0 into 0.0
    return f"{Decimal(text):f}" if value == 0 or 1e-4 <= abs(value) < 1e9 else text
