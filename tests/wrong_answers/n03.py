"""Answers readers give in notebook 03: RIGHT must pass; WRONG, no listed mistake, must not."""

import numpy as np
from scipy.stats import norm

from course_utils.forward import posterior, transition
from course_utils.samplers import ddim_coefficients, ddim_step
from course_utils.schedules import alpha, sigma


def by_the_posterior(z, eps_hat, noise, log_snr, log_snr_to):
    x_hat = (z - sigma(log_snr) * eps_hat) / alpha(log_snr)
    mean, variance = posterior(z, x_hat, log_snr, log_snr_to)
    return mean + np.sqrt(variance) * noise


def in_two(z, eps_hat, noise, log_snr, log_snr_to, ahead=2.0):
    beyond = log_snr + ahead * (log_snr_to - log_snr)
    back = transition(beyond, log_snr_to)
    beyond_z = ddim_step(lambda z, log_snr: eps_hat, z, log_snr, beyond)
    return back.decay * beyond_z + back.noise * noise


def with_eta(eta):
    def answer(z, eps_hat, noise, log_snr, log_snr_to):
        step = ddim_coefficients(log_snr, log_snr_to, eta)
        return step.keep * z + step.eps_hat * eps_hat + step.noise * noise

    return answer


def by_chain_rule(eps_hat, log_snr, spread, h=1e-4):
    """The slope of log q along one galaxy's own density, a Gaussian in km/s, by a difference."""
    blur = spread * sigma(log_snr) / alpha(log_snr)
    y = blur * eps_hat  # the galaxy at 0
    step = h * blur
    return (norm.logpdf(y + step, 0, blur) - norm.logpdf(y - step, 0, blur)) / (2 * step)


RIGHT = {
    "03.1": [(4, 1), [4, 1.0], np.array([4, 1]), lambda: (4, [1.0])],
    "03.2": [by_chain_rule, lambda e, lam, spread: -e * alpha(lam) / sigma(lam) / spread],
    "03.3": [
        lambda z, s, b, eta: -b / 2 * (z + s) - eta**2 * b / 2 * s,
        lambda z, s, b, eta: [
            -b * (x + (1 + eta * eta) * y) / 2 for x, y in zip(z, s, strict=True)
        ],
    ],
    "03.4": [by_the_posterior, with_eta(1.0), in_two],
}

WRONG = {
    "03.1": [(4, 0.3), 4],
    "03.2": [
        lambda e, lam, spread: -e / (spread * np.exp(lam)),
        lambda e, lam, spread: np.exp(-lam / 2) * spread,
    ],
    "03.3": [
        lambda z, s, b, eta: -b * z - b * s,
        lambda z, s, b, eta: -0.5 * b * z - 0.5 * b * s + eta * np.sqrt(b),
    ],
    "03.4": [lambda *args: in_two(*args, ahead=1.7), with_eta(0.7)],
}
