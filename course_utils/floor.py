"""The floor: the least error that any model can have on a sample, level by level.

A sample of n points is a law of its own, and its ideal denoiser is known. No model's training loss
on these points goes below that denoiser's. It is the floor of the *sample*, which only a model that
has learnt it by heart can reach: at clean levels z gives away which point it came from, and the
floor falls to 0. The floor of the population that the points were drawn from lies higher there.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from course_utils._checks import data_set, require_increasing
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN

PART = 2**21  # pairs of points at a time


class Floor(NamedTuple):
    """E‖ε − E[ε|z]‖² of a sample, summed over its ``dim`` dimensions, with its standard error."""

    log_snr: Float[ndarray, " m"]  # for data of standard deviation 1
    noise_error: Float[ndarray, " m"]
    standard_error: Float[ndarray, " m"]
    dim: int


@np.errstate(under="ignore")  # far points
def floor(x, log_snr=None, data_sd=1.0, draws=512, rng=0) -> Floor:
    """Return the floor of a sample x [n, …], images included, as the network sees it.

    e(λ) = e^λ E[½ Σ_k r_k(z) ‖x_i − x_k‖²], where r_k(z) is how likely z = α x_i + σ ε came from
    x_k: given z, x_i is itself a draw from r, so that half the mean squared distance to it is
    tr Cov(x|z). The sum over k is exact, and the mean over ``draws`` pairs (x_i, ε), the same at
    every level, has no bias. Where almost no draw leaves a doubt, its standard error is uncertain.

    ``log_snr``: increasing levels, 41 on [−10, 10] if left out. ``data_sd``: what ``from_script``
    was told; x is divided by it. Raises ``ValueError`` for data that are not finite, or one point
    alone. Source of the idea: Xu et al. 2025, arXiv 2506.13763, who estimate the same loss.
    """
    x = np.ma.asanyarray(x)
    x = data_set(x.reshape(len(x), -1))
    if len(x) < 2 or draws < 2 or not 0 < data_sd < np.inf:
        given = f"{len(x)}, {draws} and {data_sd}"
        raise ValueError(f"a floor needs two points, two draws and data_sd > 0, got {given}")
    levels = np.linspace(LOG_SNR_MIN, LOG_SNR_MAX, 41) if log_snr is None else log_snr
    levels, rng = require_increasing("log_snr", levels), np.random.default_rng(rng)
    x = (x - x.mean(axis=0)) / data_sd
    squares, found = np.sum(x**2, axis=1), []
    # each point as often as any other in half of the draws, as it is far off in the other half
    often = (1 / len(x) + squares / (squares.sum() or 1)) / 2
    order, up_to = rng.permutation(len(x)), (np.arange(draws) + rng.random()) / draws
    chosen = order[np.searchsorted(np.cumsum(often[order])[:-1], up_to)]
    for of in np.array_split(x[chosen], -(-draws * len(x) // PART)):
        noise = rng.standard_normal(of.shape)
        apart = np.maximum(np.sum(of**2, axis=1)[:, None] + squares - 2 * of @ x.T, 0)
        along = np.sum(noise * of, axis=1)[:, None] - noise @ x.T
        found.append([_half_spread(apart, along, level) for level in levels])
    errors = np.concatenate(found, axis=1) / (often[chosen] * len(x))  # [m, draws]
    unsure = errors.std(axis=1, ddof=1) / np.sqrt(draws)
    return Floor(levels, errors.mean(axis=1), unsure, x.shape[1])


def _half_spread(apart, along, level):
    """½ e^λ Σ_k r_k ‖x_i − x_k‖² [rows]: log r_k = −½ e^λ ‖x_i − x_k‖² − e^{λ/2} ε·(x_i − x_k)."""
    logs = apart * (-np.exp(level) / 2) - np.exp(level / 2) * along
    logs -= logs.max(axis=1, keepdims=True)
    share = np.exp(logs, out=logs)
    return np.exp(level) / 2 * np.einsum("ik,ik->i", share, apart) / share.sum(axis=1)
