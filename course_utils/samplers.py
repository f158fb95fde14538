"""Samplers: a step from one level towards the data, and the loop along many levels.

A model is a function eps(z, log_snr) → ε̂. A step is a function (eps, z, log_snr, log_snr_to, rng)
→ z_s that goes from λ_t to λ_s > λ_t, so that a new sampler is one function; one that remembers
what it saw in earlier steps is an object that can be called, as ``DpmSolver``. Latents z are [n],
[n, d] or more, in VP coordinates; ``rng`` is anything with ``standard_normal(shape)``.
"""

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from course_utils._checks import predicted, require_increasing
from course_utils.predictions import convert
from course_utils.schedules import alpha, sigma


class ReverseStep(NamedTuple):
    """A step z_s = keep · z_t + eps_hat · ε̂(z_t, λ_t) + noise · ξ towards the data."""

    keep: ndarray | float
    eps_hat: ndarray | float
    noise: ndarray | float


# --- The family of DDIM: exact but for ε̂ ------------------------------------------------------


def ddim_coefficients(log_snr, log_snr_to, eta=0.0):
    """Return the ``ReverseStep`` z_s = α_s x̂ + √(σ_s² − η² v) ε̂ + η √v ε from λ_t to λ_s.

    x̂ = (z_t − σ_t ε̂)/α_t, and v = σ_s² (1 − e^{λ_t − λ_s}) is the variance of the posterior
    q(z_s|z_t, x). Levels of any shapes that broadcast; λ_s = ∞ gives x̂ itself. Raises
    ``ValueError`` unless 0 ≤ η ≤ 1. Source: Song, Meng & Ermon 2021 (DDIM), eq. 12 and 16.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta goes from 0 (DDIM) to 1 (ancestral), got {eta}")
    variance = sigma(log_snr_to) ** 2
    v = -np.expm1(log_snr - log_snr_to) * variance
    keep = alpha(log_snr_to) / alpha(log_snr)
    direction = np.sqrt(variance - eta**2 * v) - keep * sigma(log_snr)
    return ReverseStep(keep, direction, eta * np.sqrt(v) if eta else 0 * v)


def ddim_step(eps, z, log_snr, log_snr_to, rng=None, eta=0.0):
    """Return z_s one DDIM step nearer the data, with stochasticity η (``ddim_coefficients``).

    ``functools.partial(ddim_step, eta=0.5)`` is the step with another η; η = 0 needs no ``rng``.
    """
    keep, eps_hat, noise = ddim_coefficients(log_snr, log_snr_to, eta)
    mean = keep * z + eps_hat * eps(z, log_snr)
    return mean + noise * rng.standard_normal(z.shape) if eta else mean


def ancestral_step(eps, z, log_snr, log_snr_to, rng):
    """Return a draw of z_s from q(z_s|z_t, x̂): DDPM's step, which is DDIM's with η = 1.

    Source: Ho et al. 2020, algorithm 2 with the posterior's variance.
    """
    return ddim_step(eps, z, log_snr, log_snr_to, rng, eta=1.0)


class DpmSolver:
    """DPM-Solver++(2M): a DDIM step whose x̂ is extrapolated from the last step to mid-step.

    x̂ + (Δλ/Δλ_last) (x̂ − x̂_last)/2 takes the place of x̂: order 2 for one evaluation of ``eps``
    a step, the first of which is DDIM's. Source: Lu et al. 2022 (DPM-Solver++), algorithm 2.
    """

    def __init__(self):
        self.last = None, np.nan, None  # x̂ and λ of the step before, and the z it arrived at

    def __call__(self, eps, z, log_snr, log_snr_to, rng=None):
        """Return z_s; ``rng`` is not used."""
        x_hat = ahead = convert(eps(z, log_snr), z, log_snr, "eps", "x")
        x_last, before, arrived = self.last
        if np.array_equal(z, arrived):  # if not, a new sampling begins here
            ahead = x_hat + (log_snr_to - log_snr) / (log_snr - before) * (x_hat - x_last) / 2
        eps_hat = convert(ahead, z, log_snr, "x", "eps")
        z_next = ddim_step(lambda z, log_snr: eps_hat, z, log_snr, log_snr_to)
        self.last = x_hat, log_snr, z_next
        return z_next


# --- General solvers of the reverse SDE and of the flow ODE -------------------------------------


def reverse_sde_coefficients(log_snr, log_snr_to):
    """Return the Euler–Maruyama ``ReverseStep`` of the reverse SDE from λ_t to λ_s > λ_t.

    dz = [−½ β z − β ∇log q_t(z)] dt + √β dW with dt < 0; with β dt = −σ² dλ and ∇log q = −ε̂/σ it
    reads z_s = z_t + (½ σ_t² z_t − σ_t ε̂) Δλ + σ_t √Δλ ε.
    Source: Anderson 1982; Song et al. 2021, eq. 6.
    """
    gap, s = log_snr_to - log_snr, sigma(log_snr)
    return ReverseStep(1 + s**2 * gap / 2, -s * gap, s * np.sqrt(gap))


def reverse_sde_step(eps, z, log_snr, log_snr_to, rng):
    """Return z_s by one Euler–Maruyama step of the reverse SDE (``reverse_sde_coefficients``)."""
    keep, eps_hat, noise = reverse_sde_coefficients(log_snr, log_snr_to)
    return keep * z + eps_hat * eps(z, log_snr) + noise * rng.standard_normal(z.shape)


def flow_slope(eps, z, log_snr):
    """Return dz/dλ = ½ (σ² z − σ ε̂) of the probability-flow ODE.

    That is dz = [−½ β z − ½ β ∇log q_t(z)] dt, with half the score of the reverse SDE.
    Source: Song et al. 2021, eq. 13.
    """
    s = sigma(log_snr)
    return s / 2 * (s * z - eps(z, log_snr))


def euler_step(eps, z, log_snr, log_snr_to, rng=None):
    """Return z_s = z_t + Δλ dz/dλ, one Euler step of the flow ODE; ``rng`` is not used."""
    return z + (log_snr_to - log_snr) * flow_slope(eps, z, log_snr)


def heun_step(eps, z, log_snr, log_snr_to, rng=None):
    """Return z_s by one Heun step of the flow ODE, order 2; ``rng`` is not used.

    The slopes at z_t and at the end of an Euler step are averaged: two evaluations of ``eps``.
    Source: Karras et al. 2022, algorithm 1 (here in λ and VP).
    """
    gap, slope = log_snr_to - log_snr, flow_slope(eps, z, log_snr)
    return z + gap / 2 * (slope + flow_slope(eps, z + gap * slope, log_snr_to))


# --- The loop ---------------------------------------------------------------------------------


def sample_states(eps, levels, z, step=ddim_step, rng=None):
    """Yield the N + 1 states of a sampler, one by one, from z at levels[0] towards the data.

    ``levels`` [N + 1] increase, from nearly pure noise, where z ~ N(0, I). The last state is a
    latent at the last level: ``convert(eps(z, λ), z, λ, "eps", "x")`` makes the clean x̂ of it.
    Raises ``ValueError`` at the call unless the levels increase and are finite, and in the loop
    unless ε̂ has the shape of z.
    """
    levels, guess = require_increasing("levels", levels), partial(predicted, eps)

    def states(z):
        yield z.copy()  # the next state is made from z, whatever becomes of what is handed out
        for log_snr, log_snr_to in pairwise(levels):
            z = step(guess, z, log_snr, log_snr_to, rng)
            yield z.copy()

    return states(np.array(z, dtype=np.float64))


def sample(eps, levels, z, step=ddim_step, rng=None):
    """Return the last of ``sample_states``: latents at the last level, of the shape of z."""
    for state in sample_states(eps, levels, z, step, rng):
        last = state
    return last
