"""What lets a few functions take NumPy arrays and torch tensors alike, and the shape contract."""

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


def require_levels_fit(log_snr, z):
    """Raise ``ValueError`` unless the levels broadcast to z's shape without ambiguity.

    A level is a scalar, or has as many dimensions as z (``[batch, 1]`` beside ``[batch, d]``).
    A ``[batch]`` array beside a two-dimensional z would be read along the wrong axis whenever
    the batch happens to equal d, and is therefore refused.
    """
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


def require_between(name, value, low, high, advice):
    """Raise ``ValueError`` unless low ≤ value ≤ high everywhere (a NaN is outside)."""
    inside = (value >= low) & (value <= high)
    if not bool(inside.all()):
        worst = np.asarray(value)[~np.asarray(inside)].ravel()[0]
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {worst:g}: {advice}")
