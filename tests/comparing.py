"""Comparisons that cannot be fooled: by opposite signs, by a NaN, by shapes that broadcast.

Each is shown to fail on a wrong value in test_comparing.py.
"""

import numpy as np
import pytest
from matplotlib.colors import to_rgb


def largest_difference(actual, expected):
    """Return max |actual − expected| over arrays of one shape; a NaN counts as infinite.

    ``expected`` may be one number for all. Raises ``ValueError`` for other shapes, or for nothing.
    """
    actual, expected = np.asarray(actual, dtype=float), np.asarray(expected, dtype=float)
    if expected.ndim and actual.shape != expected.shape:
        raise ValueError(f"cannot compare shapes {actual.shape} and {expected.shape}")
    if actual.size == 0:
        raise ValueError("nothing to compare")
    with np.errstate(invalid="ignore"):  # equal infinities differ by 0
        size = np.where(actual == expected, 0.0, np.abs(actual - expected))
    return float(np.nan_to_num(size, nan=np.inf).max())


def assert_close(actual, expected, *, atol=0.0, rtol=0.0):
    """Fail unless every |actual − expected| is at most atol + rtol · max |expected|."""
    limit = atol + (rtol * float(np.max(np.abs(expected))) if rtol else 0.0)
    found = largest_difference(actual, expected)
    assert found <= limit, f"differs by up to {found:.3g}, allowed are {limit:.3g}"


def standard_errors_off(estimate, standard_error, truth):
    """Return |estimate − truth| in standard errors; infinite for a NaN or no spread at all."""
    if not (np.isfinite(estimate) and np.isfinite(truth) and 0 < standard_error < np.inf):
        return np.inf
    return float(abs(estimate - truth) / standard_error)


def contrast(one, other):
    """Return WCAG 2.2's contrast of two colours, from 1 to 21."""
    share = np.array([to_rgb(one), to_rgb(other)])
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (high + 0.05) / (low + 0.05)


def refuses(words, call, *arguments, **options):
    """Fail unless the call is refused in these words, and in few."""
    with pytest.raises(ValueError, match=words) as refusal:
        call(*arguments, **options)
    assert len(str(refusal.value)) < 300


def refused(*cases):
    """Return a test of many (call, words)."""

    @pytest.mark.parametrize(("call", "words"), cases, ids=[words for _, words in cases])
    def test(call, words):
        refuses(words, call)

    return test
