"""Samplers: one step towards the data, and the loop over a grid of levels."""

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from course_utils._checks import (
    finite_result,
    prediction,
    real_number,
    require_between,
    require_function,
    require_rng,
    together,
)
from course_utils.forward import (
    _abbreviated,
    _gap_and_sigma,
    _grid,
    _level,
    _particles,
    _read_only,
    _require_towards_data,
    _root_lost,
)
from course_utils.schedules import alpha, sigma


class ReverseStep(NamedTuple):
    """One step z_s = keep · z_t + eps_hat · ε̂(z_t, λ_t) + noise · ε towards the data."""

    keep: np.ndarray
    eps_hat: np.ndarray
    noise: np.ndarray


@finite_result
def ddim_coefficients(log_snr, log_snr_to, eta=0.0):
    """Return the step z_s = α_s x̂ + √(σ_s² − η² v) ε̂ + η √v ε from λ_t to λ_s > λ_t.

    v = σ_s² (1 − e^{−Δλ}) is the posterior's variance: η = 1 is the ancestral step of DDPM, whose
    mean is the posterior's with x̂ for x; η = 0 is DDIM, without noise. With
    x̂ = (z_t − σ_t ε̂)/α_t the coefficients are α_s/α_t, σ_s [√(1 − η² (1 − e^{−Δλ})) − e^{Δλ/2}]
    and η √v. Levels of any shapes that broadcast. Raises ``ValueError`` unless 0 ≤ η ≤ 1 and
    λ_s ≥ λ_t, both finite. Source: Song, Meng & Ermon 2021 (DDIM), eq. 12 and 16.
    """
    noisy, clean, eta = together(log_snr=log_snr, log_snr_to=log_snr_to, eta=eta)
    require_between("eta", eta, 0, 1, "0 is DDIM, 1 the ancestral sampler")
    gap = _require_towards_data(noisy, clean, finite=True)
    # √(1 − η² (1 − e^{−Δ})) − e^{Δ/2} as two terms of one sign, which cannot cancel
    lost = eta**2 * np.expm1(-gap)
    direction = lost / (1 + np.sqrt(1 + lost)) - np.expm1(gap / 2)
    return ReverseStep(
        alpha(clean) / alpha(noisy),
        sigma(clean) * direction,
        eta * sigma(clean) * _root_lost(clean, noisy),
    )


@finite_result
def reverse_sde_coefficients(log_snr, log_snr_to):
    """Return the Euler–Maruyama step of the reverse SDE from λ_t to λ_s > λ_t.

    dz = [−½ β z − β ∇log q_t(z)] dt + √β dW with dt < 0; with β dt = −σ² dλ and ∇log q = −ε̂/σ it
    reads z_s = z_t + (½ σ_t² z_t − σ_t ε̂) Δλ + σ_t √Δλ ε. Raises as ``ddim_coefficients`` does.
    Source: Anderson 1982; Song et al. 2021, eq. 6.
    """
    gap, s = _gap_and_sigma(log_snr, log_snr_to)
    return ReverseStep(1 + s**2 * gap / 2, -s * gap, s * np.sqrt(gap))


@finite_result
def flow_coefficients(log_snr, log_snr_to):
    """Return the Euler step of the probability-flow ODE from λ_t to λ_s > λ_t.

    dz = [−½ β z − ½ β ∇log q_t(z)] dt, half the score of the reverse SDE, so that
    dz/dλ = ½ (σ² z − σ ε̂) and z_s = z_t + ½ (σ_t² z_t − σ_t ε̂) Δλ. Raises as
    ``ddim_coefficients`` does. Source: Song et al. 2021, eq. 13.
    """
    gap, s = _gap_and_sigma(log_snr, log_snr_to)
    return ReverseStep(1 + s**2 * gap / 2, -s * gap / 2, 0 * gap)


def ddim_step(eps, z, log_snr, log_snr_to, rng=None, eta=0.0):
    """Return z_s one DDIM step nearer the data, with stochasticity η (``ddim_coefficients``).

    ``eps`` is a function (z, log_snr) → ε̂ of the shape of z; z is [n], [n, d] or more. ``rng`` may
    be left out where η = 0. Raises ``ValueError`` for a bad η, levels, z, or shape of ε̂.
    """
    return _reverse_step(partial(ddim_coefficients, eta=eta), eps, z, log_snr, log_snr_to, rng)


def ancestral_step(eps, z, log_snr, log_snr_to, rng):
    """Return a draw of z_s from q(z_s | z_t, x̂): DDPM's step, which is DDIM's with η = 1.

    Exactly a DDIM step to λ_t + 2 Δλ followed by noise back to λ_s = λ_t + Δλ, for the same x̂.
    Source: Ho et al. 2020, algorithm 2 with the posterior's variance.
    """
    return ddim_step(eps, z, log_snr, log_snr_to, rng, eta=1.0)


def reverse_sde_step(eps, z, log_snr, log_snr_to, rng):
    """Return z_s by one Euler–Maruyama step of the reverse SDE (``reverse_sde_coefficients``)."""
    return _reverse_step(reverse_sde_coefficients, eps, z, log_snr, log_snr_to, rng)


def euler_step(eps, z, log_snr, log_snr_to, rng=None):
    """Return z_s by one Euler step of the probability-flow ODE; ``rng`` is not used."""
    return _reverse_step(flow_coefficients, eps, z, log_snr, log_snr_to, None)


@finite_result
def heun_step(eps, z, log_snr, log_snr_to, rng=None):
    """Return z_s by one Heun step of the probability-flow ODE, order 2; ``rng`` is not used.

    The slopes ½ (σ² z − σ ε̂) at z_t and at the end of an Euler step are averaged: two
    evaluations of ``eps``. Source: Karras et al. 2022, algorithm 1 (here in λ and VP).
    """
    z = _particles("z", z)
    require_function("eps", eps, "(z, log_snr)")
    noisy, clean = _level(log_snr, z), _level(log_snr_to, z)
    gap = _require_towards_data(noisy, clean, finite=True)
    slope = _flow_slope(eps, z, noisy)
    return z + gap / 2 * (slope + _flow_slope(eps, z + gap * slope, clean))


def reverse_states(eps, log_snr_grid, z_start, step, rng=None):
    """Return a generator of the N + 1 states of a sampler, from z_start towards the data.

    ``step`` is one of ``ddim_step``, ``ancestral_step``, ``reverse_sde_step``, ``euler_step``,
    ``heun_step``, or any function with their arguments; ``log_snr_grid`` [N + 1] increases
    strictly from the level of z_start. The states are separate read-only arrays; the last is a
    latent at the last level, of which ``convert(..., target="x")`` makes the clean x̂. Raises
    ``ValueError`` at the call for a bad grid or z_start.
    """
    require_function("eps", eps, "(z, log_snr)")
    require_function("step", step, "(eps, z, log_snr, log_snr_to, rng)")
    grid = _grid(log_snr_grid)
    if not (np.all(grid[:-1] < grid[1:]) and np.all(np.isfinite(grid))):
        raise ValueError(
            "towards the data, λ grows: log_snr_grid must be finite and increase strictly, got "
            f"{_abbreviated(grid)}; a grid made by schedule.log_snr(t) is turned round by "
            "grid[::-1], and an infinite end needs log_snr_max"
        )
    z_start = _particles("z_start", z_start).copy()
    return _read_only(_reverse_states(eps, grid.tolist(), z_start, step, rng))


def sample_states(eps, log_snr_grid, z_start, eta=0.0, rng=None):
    """Return a generator of the states of the DDIM sampler with stochasticity η in [0, 1].

    η = 0 is DDIM (``rng`` may be left out), η = 1 the ancestral sampler. See ``reverse_states``.
    """
    eta = real_number("eta", eta)
    require_between("eta", np.float64(eta), 0, 1, "0 is DDIM, 1 ancestral")
    if eta:
        require_rng(rng)
    return reverse_states(eps, log_snr_grid, z_start, partial(ddim_step, eta=eta), rng)


def sample(eps, log_snr_grid, z_start, eta=0.0, rng=None):
    """Return the last state of ``sample_states``: latents at the grid's last level.

    ``eps`` is a function (z, log_snr) → ε̂, ``log_snr_grid`` [N + 1] increases strictly, z_start
    [n, d] is at its first level (N(0, I) if that is nearly pure noise). Returns [n, d].
    """
    z = None
    for state in sample_states(eps, log_snr_grid, z_start, eta, rng):
        z = state
    return z.copy()


def _reverse_states(eps, grid, z, step, rng):
    yield z
    for log_snr, log_snr_to in pairwise(grid):
        z = step(eps, z, log_snr, log_snr_to, rng)
        if not isinstance(z, np.ndarray) or not np.isfinite(np.sum(z)):  # quick, and rarely wrong
            z = _particles("the state after a step", z)
        yield z


def _reverse_step(coefficients, eps, z, log_snr, log_snr_to, rng):
    z = _particles("z", z)
    require_function("eps", eps, "(z, log_snr)")
    noisy, clean = _level(log_snr, z), _level(log_snr_to, z)
    keep, eps_hat, noise = coefficients(noisy, clean)
    z_next = keep * z
    z_next += eps_hat * prediction(eps, z, noisy[()])
    if np.any(noise):
        fresh = require_rng(rng).standard_normal(z.shape)
        fresh *= noise
        z_next += fresh
    return z_next


def _flow_slope(eps, z, log_snr):
    s = sigma(log_snr)
    return s / 2 * (s * z - prediction(eps, z, log_snr[()]))
