"""Answers readers give in notebook 01: RIGHT must pass; WRONG, no listed mistake, must not."""

import numpy as np


def _deviation_by_recursion(betas):
    v, out = 0.0, []
    for beta in betas:
        v = (1 - beta) * v + beta
        out.append(v**0.5)
    return out


def _posterior_by_precisions(betas):
    before = 1 - np.append(1, np.cumprod(1 - betas)[:-1])  # 1 − ᾱ_{t−1}
    out = np.zeros(len(betas))
    out[1:] = 1 / ((1 - betas[1:]) / betas[1:] + 1 / before[1:])
    return out


def _by_loop(betas, n_steps):
    k = len(betas) // n_steps
    return [1 - np.prod(1 - betas[i * k : (i + 1) * k]) for i in range(n_steps)]


RIGHT = {
    "01.1": [
        lambda x, beta, eps: (1 - beta) ** 0.5 * x + beta**0.5 * eps,
        lambda x, beta, eps: [
            float(np.sqrt(1 - beta) * a + np.sqrt(beta) * e) for a, e in zip(x, eps, strict=True)
        ],
    ],
    "01.2": [
        _deviation_by_recursion,
        lambda betas: np.sqrt(-np.expm1(np.cumsum(np.log1p(-betas)))),
    ],
    "01.3": [
        lambda betas: np.prod(np.exp(-(betas**2) / 2)),
        lambda betas: np.exp(-(betas @ betas) / 2),
    ],
    "01.4": [
        _by_loop,
        lambda betas, n: -np.expm1(np.log1p(-betas).reshape(n, -1).sum(axis=1)),
    ],
    "01.5": [
        _posterior_by_precisions,
        lambda betas: (
            (1 - np.append(1, np.cumprod(1 - betas)[:-1])) / (1 - np.cumprod(1 - betas)) * betas
        ),
    ],
}

WRONG = {
    "01.1": [
        lambda x, beta, eps: np.sqrt(1 - beta) * x + beta**2 * eps,
        lambda x, beta, eps: np.sqrt(1 - beta**2) * x + beta * eps,
        lambda x, beta, eps: np.sqrt(1 - beta) * (x + np.sqrt(beta) * eps),
        lambda x, beta, eps: print(x),
    ],
    "01.2": [
        lambda betas: np.sqrt(1 - np.cumprod(1 - betas**2)),
        lambda betas: np.sqrt(1 - np.cumprod(1 - betas))[::-1],
        lambda betas: (1 - np.cumprod(1 - betas)) ** 2,
        lambda betas: np.sqrt(1 - np.append(1, np.cumprod(1 - betas))),
    ],
    "01.3": [
        lambda betas: np.exp(-0.5 * np.mean(betas**2)),
        lambda betas: 0.9345,
        lambda betas: np.exp(-np.sum(betas**2) / 6),
        lambda betas: np.exp(-0.5 * betas**2),
    ],
    "01.4": [
        lambda betas, n: np.linspace(1e-4, 0.02, n),
        lambda betas, n: betas[-n:],
        lambda betas, n: _by_loop(betas, n)[::-1],
        lambda betas, n: betas,
    ],
    "01.5": [
        lambda betas: betas**2,
        lambda betas: betas * (1 - np.cumprod(1 - betas)),
        lambda betas: (
            betas[1:] * (1 - np.cumprod(1 - betas)[:-1]) / (1 - np.cumprod(1 - betas)[1:])
        ),
        lambda betas: 1 / ((1 - betas) / betas + 1 / (1 - np.cumprod(1 - betas))),
    ],
}
