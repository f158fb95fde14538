"""Answers readers give in notebook 03: RIGHT must pass; WRONG, no listed mistake, must not."""

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from course_utils.forward import posterior, transition
from course_utils.mixtures import GaussianMixture
from course_utils.predictions import convert
from course_utils.samplers import ddim_coefficients, ddim_step
from course_utils.schedules import alpha, sigma

COIN = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [0.0, 0.0])


def by_bayes(z, alpha, sigma):
    plus, minus = norm.pdf(z, alpha, sigma), norm.pdf(z, -alpha, sigma)
    return (plus - minus) / (plus + minus)


def by_the_posterior(z, eps_hat, noise, log_snr, log_snr_to):
    x_hat = (z - sigma(log_snr) * eps_hat) / alpha(log_snr)
    mean, variance = posterior(z, x_hat, log_snr, log_snr_to)
    return mean + np.sqrt(variance) * noise


def by_coefficients(z, eps_hat, noise, log_snr, log_snr_to):
    step = ddim_coefficients(log_snr, log_snr_to, 1.0)
    return step.keep * z + step.eps_hat * eps_hat + step.noise * noise


def in_two(z, eps_hat, noise, log_snr, log_snr_to, ahead=2.0, spread=lambda back: back.noise):
    beyond = log_snr + ahead * (log_snr_to - log_snr)
    back = transition(beyond, log_snr_to)
    beyond_z = ddim_step(lambda z, log_snr: eps_hat, z, log_snr, beyond)
    return back.decay * beyond_z + spread(back) * noise


def with_eta(eta):
    def answer(z, eps_hat, noise, log_snr, log_snr_to):
        step = ddim_coefficients(log_snr, log_snr_to, eta)
        return step.keep * z + step.eps_hat * eps_hat + step.noise * noise

    return answer


RIGHT = {
    "03.1": [
        by_bayes,
        lambda z, a, s: COIN.denoise(z[:, None], 2 * np.log(a / s))[:, 0],
        lambda z, a, s: 2 * expit(2 * a * z / s**2) - 1,
        lambda z, a, s: [float(np.tanh(a * x / s**2)) for x in z],
    ],
    "03.2": [
        lambda e, lam: convert(e, np.zeros_like(e), lam, source="eps", target="score"),
        lambda e, lam: -e * np.sqrt(1 + np.exp(lam)),
        lambda e, lam: -e / np.sqrt(expit(-lam)),
    ],
    "03.3": [
        lambda z, s, b: -b / 2 * (z + s),
        lambda z, s, b: b * (-z / 2 - s / 2),
    ],
    "03.4": [by_the_posterior, by_coefficients, in_two],
}

WRONG = {
    "03.1": [
        lambda z, a, s: np.tanh(z),
        lambda z, a, s: np.tanh(a * z * s**2),
        lambda z, a, s: np.tanh(a**2 * z / s**2),
        lambda z, a, s: np.tanh(a * z / s**2)[:, None],
    ],
    "03.2": [
        lambda e, lam: -e / sigma(lam) + 1e-3,
        lambda e, lam: e * sigma(lam),
        lambda e, lam: -e / expit(lam),
        lambda e, lam: -e / sigma(lam / 2),
    ],
    "03.3": [
        lambda z, s, b: -0.5 * b * z - s,
        lambda z, s, b: -0.5 * b * z - 0.25 * b * s,
        lambda z, s, b: -0.5 * b * z - 0.5 * b**2 * s,
        lambda z, s, b: -0.5 * b * z - 0.5 * np.sqrt(b) * s,
    ],
    "03.4": [
        lambda *args: in_two(*args, ahead=1.5),
        lambda *args: in_two(*args, spread=lambda back: -back.noise),
        with_eta(0.5),
        lambda z, e, noise, lam, to: ddim_step(lambda z, lam: e, z, lam, to) + sigma(to) * noise,
    ],
}
