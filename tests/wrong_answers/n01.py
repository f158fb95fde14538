"""Answers readers give in notebook 01: RIGHT must pass; WRONG, no listed mistake, must not."""

import numpy as np


def _at_rest_by_walking(decay, noise):
    variance = np.ones_like(decay)
    for _ in range(30_000):
        variance = decay**2 * variance + noise**2
    return variance


def _contributions_by_recursion(betas):
    """Follows the variance of each draw through all later steps."""
    shares = []
    for beta in betas:
        shares = [(1 - beta) * share for share in shares] + [beta]
    return shares


def _by_precisions(noisy, clean):
    beta = 1 - noisy / clean
    out = np.zeros_like(clean)
    both = (clean < 1) & (beta > 0)
    likelihood = (1 - beta[both]) / beta[both]
    out[both] = 1 / (likelihood + 1 / (1 - clean[both]))
    return out


def _by_loop(betas, n_steps):
    k = len(betas) // n_steps
    return [1 - np.prod(1 - betas[i * k : (i + 1) * k]) for i in range(n_steps)]


RIGHT = {
    "01.1": [
        _at_rest_by_walking,
        lambda decay, noise: [n * n / (1 - d) / (1 + d) for d, n in zip(decay, noise, strict=True)],
    ],
    "01.2": [
        _contributions_by_recursion,
        lambda betas: np.diff(1 - np.cumprod(1 - betas[::-1]), prepend=0)[::-1],
    ],
    "01.3": [
        lambda betas: np.prod(np.exp(-(betas**2) / 2)),
        lambda betas: np.exp(-(betas @ betas) / 2),
    ],
    "01.4": [_by_loop, lambda betas, n: -np.expm1(np.log1p(-betas).reshape(n, -1).sum(axis=1))],
    "01.5": [
        _by_precisions,
        lambda noisy, clean: (clean - noisy) * (1 - clean) / (clean * (1 - noisy)),
    ],
}

WRONG = {
    "01.1": [lambda decay, noise: noise / decay, lambda decay, noise: print(decay)],
    "01.2": [
        lambda betas: betas,
        lambda betas: betas**2,
        lambda betas: 1 - np.cumprod(1 - betas)[-1],  # all of it, one number
    ],
    "01.3": [lambda betas: 0.9345, lambda betas: np.exp(-0.5 * betas**2)],
    "01.4": [lambda betas, n: betas[-n:], lambda betas, n: _by_loop(betas, n)[::-1]],
    "01.5": [
        lambda noisy, clean: 1 - noisy / clean,
        lambda noisy, clean: noisy * (1 - clean),
        lambda noisy, clean: (1 - noisy / clean)[0],
    ],
}
