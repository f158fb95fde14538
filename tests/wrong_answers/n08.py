"""Answers readers give in notebook 08: RIGHT must pass; WRONG, no listed mistake, must not."""

import numpy as np
from scipy import stats


def _by_the_library(spread, by):
    """Made-up differences with exactly this spread, and their interval from the library."""
    for n in range(2, 10_000):
        d = np.linspace(-1, 1, n)
        d *= spread / d.std(ddof=1)
        interval = stats.ttest_1samp(d, 0).confidence_interval(0.95)
        if (interval.high - interval.low) / 2 <= by:
            return n
    return None


def _by_an_array(spread, by):
    n = np.arange(2, 5000)
    return n[stats.t.ppf(0.975, n - 1) * spread / np.sqrt(n) <= by][0]


def _judged(differences, primary, by):
    interval = stats.ttest_1samp(differences[primary], 0).confidence_interval(0.95)
    if interval.high <= -by:
        return "supported"
    return "undecided" if interval.low <= -by else "not supported"


def _claims(d):
    """One look after another, all trials at once, by the library."""
    looks = [stats.ttest_1samp(d[:, :n], 0, axis=1).pvalue for n in range(2, d.shape[1] + 1)]
    return np.mean(np.min(looks, axis=0) < 0.05)


def _loop(bits, eta0, eta1):
    rows = list(zip(bits, eta0, eta1, strict=True))
    return [
        int(not any(all(o <= m for o, m in zip(x, y, strict=True)) and x != y for x in rows))
        for y in rows
    ]


RIGHT = {
    "08.1": [_by_the_library, _by_an_array],
    "08.2": [_judged, lambda *given: _judged(*given).upper()],
    "08.3": [_claims],
    "08.4": [_loop],
}

WRONG = {
    "08.1": [
        lambda spread, by: (1.96 * spread / by) ** 2,
        lambda spread, by: round((2 * spread / by) ** 2),
        lambda spread, by: _by_an_array(spread**2, by),
        lambda spread, by: _by_an_array(by, spread),
    ],
    "08.2": [
        lambda differences, primary, by: "undecided",
        lambda differences, primary, by: "supported",
        lambda differences, primary, by: differences[primary].mean() <= -by,
        lambda differences, primary, by: (
            "supported" if (differences[primary] <= -by).all() else "not supported"
        ),
    ],
    "08.3": [
        lambda d: 0.05,
        lambda d: 1 - 0.95 ** (d.shape[1] - 1),  # as if looks were independent
        lambda d: np.mean(np.abs(d.mean(axis=1)) > d.std(axis=1)),
        lambda d: np.mean(stats.ttest_1samp(d, 0, axis=1).pvalue),
    ],
    "08.4": [
        lambda bits, eta0, eta1: np.ones(len(bits)),
        lambda bits, eta0, eta1: np.zeros(len(bits)),
        lambda bits, eta0, eta1: [np.argmin(bits), np.argmin(eta0), np.argmin(eta1)],
        lambda bits, eta0, eta1: (bits < bits.mean()).astype(int),
    ],
}
