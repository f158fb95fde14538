"""What lets a few functions take NumPy arrays and torch tensors alike, and the shape contract."""

from difflib import get_close_matches

import array_api_compat
import numpy as np


def floating(value):
    """Return ``(xp, array)``: the array's namespace and the value as a floating array.

    A torch tensor stays what it is; everything else becomes a NumPy array (integers become
    float64). Raises ``ValueError`` for what cannot be read as real numbers.
    """
    if array_api_compat.is_torch_array(value):
        xp = array_api_compat.array_namespace(value)
        return xp, value if value.is_floating_point() else xp.astype(value, xp.float64)
    try:
        array = np.asarray(value)
        if array.dtype.kind != "f":
            array = array.astype(np.float64, casting="safe")
    except (TypeError, ValueError):
        raise ValueError(f"expected real numbers, got {value!r}: pass floats or an array") from None
    return np, array


def float64(value):
    """Return the value as a float64 NumPy array; raises ``ValueError`` as ``floating`` does."""
    return np.asarray(floating(value)[1], dtype=np.float64)


def require_levels_fit(log_snr, z):
    """Raise ``ValueError`` unless the levels broadcast to z's shape without ambiguity.

    A level is a scalar, or has as many dimensions as z (``[batch, 1]`` beside ``[batch, d]``).
    A ``[batch]`` array beside a two-dimensional z would be read along the wrong axis whenever
    the batch happens to equal d, and is therefore refused.
    """
    if bool((log_snr != log_snr).any()):
        raise ValueError("a level is nan: pass numbers")
    if log_snr.ndim == 0:
        return
    fits = log_snr.ndim == z.ndim and all(
        n in (1, m) for n, m in zip(log_snr.shape, z.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"levels of shape {tuple(log_snr.shape)} do not fit z of shape {tuple(z.shape)}: "
            "pass one level, or one per row as an array of shape [batch, 1]"
        )


def real_number(name, value):
    """Return the value as a finite Python float, or raise ``ValueError``."""
    _, array = floating(value)
    if array.ndim != 0 or not np.isfinite(array):
        raise ValueError(f"{name} must be one finite number, got {value!r}")
    return float(array)


def require_count(name, value, least=1):
    """Raise ``ValueError`` unless the value is a whole number of at least ``least``."""
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not number or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")


def require_rng(rng):
    """Return ``rng``, or raise ``ValueError`` unless it is a ``numpy.random.Generator``."""
    if not isinstance(rng, np.random.Generator):
        raise ValueError(
            f"rng must be a numpy.random.Generator, got {rng!r}: pass np.random.default_rng(seed)"
        )
    return rng


def unknown(kind, name, known, aliases=None):
    """Return the ``ValueError`` for an unknown name: it proposes the nearest, and lists all.

    ``known`` are the names; ``aliases`` maps other words, in lower case, to some of them.
    """
    word = str(name).lower()
    words = {**{k.lower(): k for k in known}, **(aliases or {})}
    near = words[get_close_matches(word, words, n=1, cutoff=0.0)[0]]
    return ValueError(f"unknown {kind} {name!r}: did you mean {near!r}? ({', '.join(known)})")


def require_between(name, value, low, high, advice):
    """Raise ``ValueError`` unless low ≤ value ≤ high everywhere (a NaN is outside)."""
    inside = (value >= low) & (value <= high)
    if not bool(inside.all()):
        worst = np.asarray(value)[~np.asarray(inside)].ravel()[0]
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {worst:g}: {advice}")
