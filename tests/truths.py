"""Truths of many tests that share no code with the package, for mixtures on the line."""

import numpy as np
from numpy.polynomial import legendre
from scipy.special import expit, log_expit

from course_utils.mixtures import GaussianMixture

HILLS = GaussianMixture([0.35, 0.65], [[-1.2], [0.8]], [0.25**2, 0.4**2])
NODES, WEIGHTS = legendre.leggauss(20)


def _time_of_linear_beta(log_snr):
    b = -log_expit(log_snr)
    return 2 * b / (0.1 + np.sqrt(0.01 + 39.8 * b))


# λ(t), β(t), t(λ) and p(λ) of the schedules with their usual numbers, as one would write them down
SCHEDULES = {
    "Cosine": (
        lambda t: -2 * np.log(np.tan(np.pi * t / 2)),
        lambda t: np.pi * np.tan(np.pi * t / 2),
        lambda s: 2 / np.pi * np.arctan(np.exp(-s / 2)),
        lambda s: 1 / (2 * np.pi * np.cosh(s / 2)),
    ),
    "FlowMatching": (
        lambda t: 2 * np.log((1 - t) / t),
        lambda t: 2 * t / ((1 - t) * ((1 - t) ** 2 + t**2)),
        lambda s: expit(-s / 2),
        lambda s: 1 / (8 * np.cosh(s / 4) ** 2),
    ),
    "LinearBeta": (
        lambda t: -np.log(np.expm1(t * (0.1 + 9.95 * t))),
        lambda t: 0.1 + 19.9 * t,
        _time_of_linear_beta,
        lambda s: expit(-s) / (0.1 + 19.9 * _time_of_linear_beta(s)),
    ),
    "LinearLogSnr": (
        lambda t: 10 - 20 * t,
        lambda t: 20 * expit(20 * t - 10),
        lambda s: (10 - s) / 20,
        lambda s: np.where(np.abs(s) <= 10, 0.05, 0.0),
    ),
}


def point(x):
    """Return the law of one point."""
    return GaussianMixture([1.0], [[x]], [0.0])


def amplitudes(log_snr):
    """Return α and σ."""
    return np.sqrt(expit(log_snr)), np.sqrt(expit(-log_snr))


def posterior(law, z, a, s):
    """Return the log density of z, and mean and variance of x given z."""
    v = a**2 * law.variances + s**2
    d = z[:, None] - a * law.means[:, 0]
    log_joint = np.log(law.weights) - (d**2 / v + np.log(2 * np.pi * v)) / 2
    log_q = np.logaddexp.reduce(log_joint, axis=1)
    r = np.exp(log_joint - log_q[:, None])
    x = law.means[:, 0] + a * law.variances / v * d
    mean = np.sum(r * x, axis=1)
    spread = (x - mean[:, None]) ** 2 + law.variances * s**2 / v
    return log_q, mean, np.sum(r * spread, axis=1)


def eps_hat(law, z, log_snr):
    """Return E[ε|z] = (z − α E[x|z])/σ of numbers z [n]."""
    a, s = amplitudes(log_snr)
    return (z - a * posterior(law, z, a, s)[1]) / s


def error_and_kl(truth, model, log_snr):
    """Return (e, L) at one level, e through E Var(x|z) and the difference of the two ε̂.

    By Gauss's rule in fixed cells around components and around the switches between every two.
    """
    a, s = amplitudes(log_snr)
    edges = []
    for law in (truth, model):
        m, v, w = a * law.means[:, 0], a**2 * law.variances + s**2, law.weights
        edges.append((m[:, None] + np.sqrt(v)[:, None] * np.arange(-10.5, 11, 1.5)).ravel())
        for i, j in zip(*np.tril_indices(len(m), -1), strict=True):
            log_odds = [
                0.5 / v[j] - 0.5 / v[i],
                m[i] / v[i] - m[j] / v[j],
                np.log(w[i] / w[j])
                + (np.log(v[j] / v[i]) + m[j] ** 2 / v[j] - m[i] ** 2 / v[i]) / 2,
            ]
            for z in np.roots(log_odds):
                width = 1 / max(abs(2 * log_odds[0] * z.real + log_odds[1]), 1e-300)
                edges.append(z.real + width * np.array([-128, -32, -8, -2, 0, 2, 8, 32, 128]))
    edges = np.unique(np.concatenate(edges))
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    m, v = a * truth.means[:, 0], a**2 * truth.variances + s**2
    seen = (np.abs(middle[:, None] - m) < 10.5 * np.sqrt(v)).any(axis=1)
    z = (middle[seen, None] + half[seen, None] * NODES).ravel()
    mass = (half[seen, None] * WEIGHTS).ravel()
    log_q, x_mean, x_variance = posterior(truth, z, a, s)
    log_p, guess, _ = posterior(model, z, a, s)
    q = mass * np.exp(log_q)
    e = (a / s) ** 2 * q @ (x_variance + (x_mean - guess) ** 2)
    return e, -0.5 * np.log(2 * np.pi * np.e * s**2) - q @ log_p
