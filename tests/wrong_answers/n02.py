"""Answers readers give in notebook 02: RIGHT must pass; WRONG, no listed mistake, must not."""

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq


def _by_brute_force(beta, t, n=100_000):
    """The θ whose error of log ᾱ is zero for many steps, found by trying."""
    exact = quad(lambda tau: float(beta(tau)), 0, t)[0]

    def error(theta):
        points = (np.arange(round(t * n)) + theta) / n
        return np.log1p(-beta(points) / n).sum() + exact

    return brentq(error, -100, 100)


RIGHT = {
    "02.1": [
        lambda power, random: [a - (0.5 if r else 1) for a, r in zip(power, random, strict=True)],
        lambda power, random: power - 1 + random / 2,
    ],
    "02.2": [lambda B: 1 - np.exp(-B)[1:] / np.exp(-B)[:-1], lambda B: 1 - np.exp(B[:-1] - B[1:])],
    "02.3": [
        _by_brute_force,
        lambda beta, t: [
            0.5 - quad(lambda u: float(beta(u)) ** 2, 0, t)[0] / (beta(t) - beta(0.0)) / 2
        ],
    ],
    "02.4": [lambda beta: beta * (1 - beta / 4), lambda beta: (beta / 2) * (2 - beta / 2)],
}

WRONG = {
    "02.1": [
        lambda power, random: np.where(random, power / 2, power),
        lambda power, random: power > random,
    ],
    "02.2": [
        lambda B: 1 - np.exp(-B),  # one entry too many
        lambda B: 1 - np.exp(-(np.diff(B) ** 2)),
    ],
    "02.3": [
        lambda beta, t: -2.867,  # the number for our schedule at t = 1
        lambda beta, t: 0.5 - beta(t) / 4,
    ],
    "02.4": [lambda beta: 1 - beta, lambda beta: np.full_like(beta, 1.0)],
}
