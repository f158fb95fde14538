"""Answers readers give in notebook 05: RIGHT must pass; WRONG, no listed mistake, must not."""

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from course_utils.objectives import published
from course_utils.predictions import eps_loss_to
from course_utils.schedules import Cosine, alpha, sigma


def _cosine_v(log_snr):
    return Cosine().density(log_snr) * eps_loss_to("v", log_snr)


def _min_snr_v(log_snr, gamma):
    w = published("min_snr", min_snr_gamma=gamma).implied_weighting()
    return w(log_snr) / _cosine_v(log_snr)


def _at_zero(w):
    return lambda log_snr, *rest: w(log_snr, *rest) / w(np.zeros(1), *rest)


def _sd3(log_snr, mean, sd):
    return norm.pdf(log_snr, -2 * mean, 2 * sd) * eps_loss_to("velocity", log_snr)


def _sd3_of_time(log_snr, mean, sd, power=2):
    """The same from the law of t: p(λ) = p(t) |dt/dλ|, and u's factor is (1 − t)^{−2}."""
    t = expit(-log_snr / 2)
    density_of_time = norm.pdf(logit(t), mean, sd) / (t * (1 - t))
    return density_of_time * t * (1 - t) / 2 * (1 - t) ** -power


def _by_search(log_snr, k):
    """Of many γ the one whose w has its largest value nearest to the level."""
    levels = np.linspace(log_snr - 0.5, log_snr + 0.5, 4001)
    gammas = np.linspace(0, 3, 3001)
    log_p, log_k = -np.log(np.cosh(levels / 2)), np.log(k + np.exp(levels))
    peaks = [levels[np.argmax(log_p - gamma * log_k)] for gamma in gammas]
    return np.interp(-log_snr, -np.array(peaks), gammas)


RIGHT = {
    "05.1": [
        _at_zero(_cosine_v),
        lambda s: sigma(s) / alpha(s),
        lambda s: [np.exp(-level / 2) for level in s],
    ],
    "05.2": [
        _min_snr_v,
        lambda s, g: sigma(s) ** 2 * np.minimum(np.exp(s), g),
        lambda s, g: np.where(s < np.log(g), expit(s), g * expit(-s)),
        lambda s, g: np.minimum(1, g * np.exp(-s)) / (1 + np.exp(-s)),
    ],
    "05.3": [
        lambda s, k: np.sinh(-s / 2) / (2 * np.cosh(s / 2)) * (k * np.exp(-s) + 1),
        _by_search,
    ],
    "05.4": [
        _at_zero(_sd3),
        _at_zero(_sd3_of_time),
        lambda s, m, sd: (
            np.exp((4 * m**2 - (s + 2 * m) ** 2) / (8 * sd**2)) * (1 + np.exp(-s / 2)) ** 2 / 4
        ),
    ],
    "05.5": [
        lambda s, sd: -2 * np.log(np.exp(-s / 2) / sd),
        lambda s, sd: s + np.log(sd**2),
        lambda s, sd: [level + 2 * np.log(sd) for level in s],
    ],
    "05.6": [
        lambda b, g: np.minimum(1, g * (1 / np.cumprod(1 - b) - 1)),
        lambda b, g: np.exp(np.minimum(0, np.log(g) + np.log(np.expm1(-np.cumsum(np.log1p(-b)))))),
    ],
}

WRONG = {
    "05.1": [
        lambda s: np.exp(-s / 2) / 2,
        lambda s: np.exp(-s / 4),
        lambda s: np.exp(-s / 2).sum(),
        lambda s: np.ones_like(s),
    ],
    "05.2": [
        lambda s, g: np.minimum(np.exp(-s), g) / (np.exp(-s) + 1),
        lambda s, g: np.minimum(np.exp(s), g) / (np.exp(s) + 1) ** 2,
        lambda s, g: np.sqrt(np.minimum(np.exp(s), g) / (np.exp(s) + 1)),
        lambda s, g: g / (np.exp(s) + 1),
    ],
    "05.3": [
        lambda s, k: -s / 2,
        lambda s, k: np.tanh(s / 2) * (k + np.exp(s)),
        lambda s, k: 1.0,
        lambda s, k: -np.log(2 * k + 1),
    ],
    "05.4": [
        lambda s, m, sd: _at_zero(_sd3)(s, 0.0, sd),
        lambda s, m, sd: np.exp(-s / 2),
        _at_zero(lambda s, m, sd: _sd3_of_time(s, m, sd, power=-2)),
        lambda s, m, sd: norm.pdf(s, -2 * m, 2 * sd),
    ],
    "05.5": [
        lambda s, sd: s + 1.386,
        lambda s, sd: s - 1.386,
        lambda s, sd: s + 0.5 * np.log(sd),
        lambda s, sd: 2 * np.log(sd),
    ],
    "05.6": [
        lambda b, g: np.minimum(1 / b - 1, g),
        lambda b, g: np.ones_like(b),
        lambda b, g: np.minimum(np.cumprod(1 - b), g) / np.cumprod(1 - b),
    ],
}
