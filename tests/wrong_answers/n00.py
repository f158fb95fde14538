"""Answers readers give in notebook 00: RIGHT must pass; WRONG, no listed mistake, must not."""

import numpy as np
from scipy.stats import entropy

from course_utils.elbo import ErrorCurve, weighted_loss
from course_utils.mixtures import GaussianMixture
from course_utils.schedules import FlowMatching, sigma


def _by_denoising(n):
    """exp of half the area, from errors alone."""
    law = GaussianMixture(n / n.sum(), np.arange(len(n))[:, None], 0 * n)
    curve = ErrorCurve.from_mixtures(law, log_snr=(-16, 24), tolerance=1e-5)
    return np.exp(weighted_loss(np.ones_like, curve))


RIGHT = {
    "00.1": [
        _by_denoising,
        lambda n: np.prod((n / n.sum()) ** (-n / n.sum())),
        lambda n: np.exp(entropy(n)),
        lambda n: n.sum() / np.exp(np.sum(n * np.log(n)) / n.sum()),
        lambda n: [2 ** entropy(n, base=2)],  # bits, and a power of two; a list of one number
    ],
    "00.2": [
        lambda z, t: (2 * np.log1p(-t) - 2 * np.log(t), z / np.hypot(1 - t, t)),
        lambda z, t: [np.log((1 - t) ** 2 / t**2), z / np.sqrt(1 - 2 * t + 2 * t**2)],
        lambda z, t: (FlowMatching().log_snr(t), z * sigma(FlowMatching().log_snr(t)) / t),
        lambda z, t: np.stack([2 * np.log((1 - t) / t), z / np.hypot(t, 1 - t)]),
    ],
    "00.3": [
        lambda blur, spread: 2 * np.log(spread / blur),
        lambda blur, spread: np.log(spread**2 / blur**2),
        lambda b, s: 2 * (np.log(s) - np.log(b)),
    ],
}

WRONG = {
    "00.1": [
        lambda n: np.exp(-np.log(n / n.sum()).sum()),
        lambda n: np.sqrt(len(n) * n.sum()),  # between the two numbers that come to mind
    ],
    "00.2": [
        lambda z, t: (2 * np.log((1 - t) / t), z),
        lambda z, t: (2 * np.log((1 - t) / t), z / np.std(z)),  # of these few, not of the law
        lambda z, t: {"log_snr": 2 * np.log((1 - t) / t), "z": z / np.hypot(1 - t, t)},
    ],
    "00.3": [
        lambda b, s: np.exp(-s / b),
        lambda b, s: -2 * np.log(500 / 4540),  # the one number, not the function
    ],
}
