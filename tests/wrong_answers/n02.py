"""Answers readers give in notebook 02: RIGHT must pass; WRONG, no listed mistake, must not."""

import numpy as np
from scipy.integrate import quad


def _by_ratio(integral):
    kept = np.exp(-np.asarray(integral))
    return 1 - kept[1:] / kept[:-1]


def _by_quadrature(beta, t):
    squares, _ = quad(lambda s: float(beta(s)) ** 2, 0, t)
    return -0.5 * (beta(t) - beta(0.0) + squares)


def _by_brute_force(beta, t, n=400_000):
    def scaled(n):
        betas = beta(np.arange(1, round(t * n) + 1) / n) / n
        return n * (np.log1p(-betas).sum() + quad(lambda s: float(beta(s)), 0, t)[0])

    return 2 * scaled(2 * n) - scaled(n)


def _iterated(b):
    v = np.ones_like(b)
    for _ in range(3000):
        v = (1 - b / 2) ** 2 * v + b
    return v


RIGHT = {
    "02.1": [
        lambda beta, dt: (1 - 0.5 * beta * dt, -0.125 * (beta * dt) ** 2),
        lambda beta, dt: [1 - beta * dt / 2, -(beta**2) * dt**2 / 8],
    ],
    "02.2": [_by_ratio, lambda B: 1 - np.exp(B[:-1] - B[1:])],
    "02.3": [_by_quadrature, _by_brute_force],
    "02.4": [lambda b: 4 / (4 - b), lambda b: b / (1 - (1 - b / 2) ** 2), _iterated],
}

WRONG = {
    "02.1": [
        lambda beta, dt: (1 - beta * dt / 2, -((beta * dt) ** 3) / 16),
        lambda beta, dt: (1 - beta * dt / 4, -((beta * dt) ** 2) / 8),
        lambda beta, dt: 1 - beta * dt / 2,
        lambda beta, dt: (1 - beta * dt / 2 - (beta * dt) ** 2 / 8, -((beta * dt) ** 3) / 16),
    ],
    "02.2": [
        lambda B: np.diff(B) / len(B),
        lambda B: 1 - np.exp(-B),  # one entry too many
        lambda B: 1 - np.exp(-(np.diff(B) ** 2)),
        lambda B: np.log1p(np.diff(B)),
    ],
    "02.3": [
        lambda beta, t: -(beta(t) - beta(0.0)) / 2 - quad(lambda s: float(beta(s)), 0, t)[0] / 2,
        lambda beta, t: t * _by_quadrature(beta, t),  # N steps on [0, t] instead of [0, 1]
        lambda beta, t: -76.95,
        lambda beta, t: -(beta(t) - beta(0.0) + t * (beta(0.0) ** 2 + beta(t) ** 2) / 2) / 2,
    ],
    "02.4": [
        lambda b: 1 + b,
        lambda b: b,
        lambda b: 1 + b / 4 + b**2 / 16,
        lambda b: np.mean(1 / (1 - b / 4)),
    ],
}
