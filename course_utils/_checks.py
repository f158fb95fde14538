"""What is asked of arguments at the doors where it teaches."""

import reprlib
from difflib import get_close_matches

import numpy as np


def frozen(value, dtype=np.float64):
    """Return a copy that nobody can change: what a model keeps, and what a cache gives.

    Raises ``ValueError`` for masked entries, of which a copy would keep what is behind the mask,
    for pandas' NA, and for dates and complex numbers, which would lose a part.
    """
    if np.ma.is_masked(value):
        raise ValueError(f"there are {np.ma.count_masked(value)} masked entries: drop those rows")
    if (found := np.asarray(value)).dtype.kind in "cmMV":
        raise ValueError(f"real numbers are needed, not {found.dtype}: convert, or choose a column")
    try:
        array = np.array(found, dtype=dtype, order="C")
    except TypeError as error:
        raise ValueError(f"these are not all numbers: {error}; drop rows with gaps") from None
    array.flags.writeable = False
    return array


def keep(instance, **values):
    """Set what a frozen dataclass works out in ``__post_init__``."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def freeze(instance, *names, dtype=np.float64):
    """Put ``frozen`` copies in the place of a frozen dataclass's arrays."""
    keep(instance, **{name: frozen(getattr(instance, name), dtype) for name in names})


def extremes(values):
    """Return the least and the largest of an array, quicker than min and max; NaN of nothing."""
    if values.size == 0:
        return np.nan, np.nan
    return values.item(values.argmin()), values.item(values.argmax())


def data_set(x):
    """Return data [n, d], or [n] on the line, as a frozen float64 array [n, d].

    Integers, lists and data frames are read. Raises ``ValueError`` with a remedy for other shapes,
    gaps (a mask, NaN) and infinities.
    """
    x = frozen(x)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or x.size == 0:
        raise ValueError(f"data must have shape [n, d], or [n] on the line, got {x.shape}")
    if not np.isfinite(x).all():
        n = int((~np.isfinite(x)).any(axis=1).sum())
        raise ValueError(f"{n} of {len(x)} rows hold NaN or infinity: drop them, or fill the gaps")
    return x


def require_increasing(name, levels, least=2):
    """Return a frozen copy of levels [n], or raise ``ValueError`` unless all increase, finite."""
    levels = frozen(levels)
    good = levels.ndim == 1 and len(levels) >= least and (np.diff(levels) > 0).all()
    if not (good and np.isfinite(levels).all()):
        raise ValueError(
            f"{name} must be a list of at least {least} increasing levels, all finite; one that "
            "falls, such as schedule.log_snr(t), is turned round by [::-1], and a schedule that "
            "reaches infinity is cut by log_snr_min and log_snr_max"
        )
    return levels


def require_range(log_snr_min, log_snr_max):
    """Return the two levels as floats, or raise ``ValueError`` unless they are a finite range."""
    low, high = float(log_snr_min), float(log_snr_max)
    if not -np.inf < low < high < np.inf:
        got = f"got {low:g} and {high:g}"
        raise ValueError(f"need a finite range with log_snr_min < log_snr_max, {got}")
    return low, high


def require_fall(clean, noisy):
    """Return λ_t − λ_s ≤ 0, or raise ``ValueError`` where λ rises towards the noise."""
    fall = np.subtract(noisy, clean)
    if not (fall <= 0).all():
        raise ValueError(
            "λ falls towards the noise: levels in the other direction, as a sampler takes them, "
            "are turned round by [::-1]"
        )
    return fall


def require_levels_fit(log_snr, z, values=0.0):
    """Raise ``ValueError`` unless levels, and values, broadcast to z's shape without ambiguity.

    Either is a scalar, or has as many dimensions as z ([batch, 1] beside [batch, d]). A [batch]
    array beside z [batch, d] would be read along the wrong axis whenever the batch equals d.
    """
    points = np.shape(z)
    for name, shape in (("levels", np.shape(log_snr)), ("values", np.shape(values))):
        if shape in ((), points):  # quicker
            continue
        pairs = zip(shape, points, strict=False)
        if len(shape) != len(points) or any(n not in (1, m) for n, m in pairs):
            raise ValueError(
                f"{name} of shape {shape} do not fit z of shape {points}: pass one level, or one "
                "per row as an array of shape [batch, 1]; values are shaped as z"
            )


def predicted(eps, z, log_snr):
    """Return ε̂ = eps(z, λ), real and shaped as z: [n] beside [n, 1] would broadcast to [n, n]."""
    # of a copy, for eps may change its z in place
    value = np.asarray(eps(z.copy(), log_snr)).astype(float, casting="safe", copy=False)
    if value.shape != z.shape:
        raise ValueError(f"eps(z, log_snr) must have the shape of z, {z.shape}, got {value.shape}")
    return value


def unknown(kind, name, known, aliases=None):
    """Return the ``ValueError`` for an unknown name: it proposes the nearest, and lists all.

    ``known`` are the names; ``aliases`` maps other words, in lower case, to some of them.
    """
    words = {**{k.lower(): k for k in known}, **(aliases or {})}
    near = words[get_close_matches(str(name).lower(), words, n=1, cutoff=0.0)[0]]
    said = f"unknown {kind} {reprlib.repr(name)}: did you mean {near!r}?"
    return ValueError(f"{said} ({', '.join(known)})")


def require_known(kind, name, known, aliases=None):
    """Return ``name``, or raise ``unknown`` unless it is one of the names ``known``."""
    if not isinstance(name, str) or name not in known:
        raise unknown(kind, name, known, aliases)
    return name
