"""Forward and backward in noise: the chain, the SDE and its exact solution, and the samplers.

Forward, every process of the course is linear: one step is z ← decay · z + noise · ε with
ε ~ N(0, I), and a ``GaussianSteps`` holds the two coefficients of each step. Backward, one step is
z ← keep · z + eps_hat · ε̂(z, λ) + noise · ε, and a ``ReverseStep`` holds its three coefficients.

Particles are an array [n], [n, d] or more, float64, in VP coordinates; t = 0 is data and λ = +∞,
t = 1 is noise. Whatever is random takes a ``numpy.random.Generator`` as ``rng``.
"""

from typing import NamedTuple

import numpy as np

from course_utils._checks import (
    described,
    finite,
    finite_result,
    numeric,
    positive_number,
    real_number,
    require_between,
    require_count,
    require_function,
    require_levels_fit,
    require_rng,
    together,
)
from course_utils.schedules import alpha, require_betas, sigma

# --- Forward ---------------------------------------------------------------------------------


class GaussianSteps(NamedTuple):
    """Steps z ← decay · z + noise · ε: ``decay`` and ``noise`` (a standard deviation), [N] each."""

    decay: np.ndarray
    noise: np.ndarray


def chain_steps(betas):
    """Return the steps of the discrete chain S1: x_t = √(1 − β_t) x_{t−1} + √β_t ε.

    Takes β_1 … β_T, [T], each strictly between 0 and 1; raises ``ValueError`` otherwise.
    Source: Ho et al. 2020, eq. 2.
    """
    betas = require_betas(betas)
    return GaussianSteps(np.sqrt(1 - betas), np.sqrt(betas))


def euler_maruyama_steps(betas):
    """Return the Euler–Maruyama steps of S2: x_i = x_{i−1} − ½ β_i x_{i−1} + √β_i ε.

    Takes β_i = β(t_{i−1}) Δ for i = 1 … N, [N], as ``discrete_betas(schedule, N, "left")`` gives
    them: the same list as the chain's, in another recursion. Raises ``ValueError`` unless every
    β_i is finite and at least 0; beyond β_i = 4 the recursion is unstable. Source: Song et al.
    2021, eq. 11; Kloeden & Platen 1992, section 10.2.
    """
    betas = finite("betas", betas)
    if betas.ndim != 1 or betas.size == 0:
        raise ValueError(f"betas must be a list of at least one number, got shape {betas.shape}")
    require_between("β(t)Δ", betas, 0, 1e100, "noise is only ever added")
    return GaussianSteps(1 - betas / 2, np.sqrt(betas))


@finite_result
def transition(log_snr_from, log_snr_to):
    """Return α_{t|s} and σ_{t|s}: the exact solution of S2 from level λ_s to the noisier λ_t.

    z_t = α_{t|s} z_s + σ_{t|s} ε with α_{t|s} = α_t/α_s and σ²_{t|s} = σ_t² (1 − e^{λ_t − λ_s}),
    whatever the schedule between the two and however far apart they are. λ_s = +∞ is clean data.
    Levels of any shapes that broadcast; returns a ``GaussianSteps`` of that shape. Raises
    ``ValueError`` where λ_t > λ_s. Source: Kingma et al. 2021, appendix A.
    """
    source, target = together(log_snr_from=log_snr_from, log_snr_to=log_snr_to)
    if not bool(np.all((source >= target) & np.isfinite(target))):
        raise ValueError(
            f"noise is only ever added: from λ = {log_snr_from} to a finite λ that is not higher, "
            f"got {log_snr_to}"
        )
    return GaussianSteps(alpha(target) / alpha(source), sigma(target) * _root_lost(source, target))


@finite_result
def exact_steps(log_snr_grid):
    """Return the exact steps of S2 along levels λ_0 > λ_1 > … > λ_N, [N + 1]; the steps are [N].

    λ_0 = +∞ starts from clean data. Raises ``ValueError`` unless the grid strictly decreases.
    """
    grid = _grid(log_snr_grid)
    if not (np.all(grid[:-1] > grid[1:]) and np.all(np.isfinite(grid[1:]))):
        raise ValueError(
            "forward, noise grows: levels must decrease strictly to a finite end, got "
            f"{_abbreviated(grid)}; a grid made for sampling is turned round by grid[::-1]"
        )
    return transition(grid[:-1], grid[1:])


def forward_states(x0, steps, rng):
    """Return a generator of the N + 1 states z_0 = x0, z_1, …, z_N of any linear steps.

    Each state is an array of its own, of the shape of x0, so that ``list(...)`` keeps them all. It
    is read-only, since the next state is made from it: ``.copy()`` it to change it. Raises
    ``ValueError`` at the call for x0 that is not an array of finite numbers.
    """
    x0 = _particles("x0", x0)
    return _read_only(_linear_states(x0.copy(), _pairs(steps, x0), require_rng(rng)))


def simulate(x0, steps, rng):
    """Return the last state of ``forward_states`` alone, without keeping the path."""
    z = _particles("x0", x0)
    for state in _linear_states(z, _pairs(steps, z), require_rng(rng)):
        z = state
    return z


@finite_result
def state_moments(x0, steps, variance=0.0):
    """Return mean and variance of every state, exactly, without simulation.

    m_i = decay_i m_{i−1} and v_i = decay_i² v_{i−1} + noise_i², from m_0 = x0 (a number or an
    array) and v_0 = ``variance`` (a number, at least 0). Returns [N + 1, *x0.shape] and [N + 1].
    Raises ``ValueError`` if x0 is not finite or the variance is negative.
    """
    x0, variance = finite("x0", x0), real_number("variance", variance)
    if variance < 0:
        raise ValueError(f"a variance is finite and at least 0, got {variance}")
    decays, variances = [1.0], [variance]
    for decay, noise in _pairs(steps, x0):
        decays.append(decay * decays[-1])
        variances.append(decay**2 * variances[-1] + noise**2)
    return np.multiply.outer(decays, x0), np.array(variances)


def chain_states(x0, betas, rng):
    """Return a generator of the chain's states x_0, x_1, …, x_T (S1), all particles at once.

    x0 [n] or [n, d], betas [T]. The states are separate read-only arrays (``forward_states``).
    Raises ``ValueError`` for β outside (0, 1) or x0 not finite. Source: Ho et al. 2020, eq. 2.
    """
    return forward_states(x0, chain_steps(betas), rng)


def simulate_chain(x0, betas, rng):
    """Return the chain's last state x_T (S1), of the shape of x0; see ``chain_states``."""
    return simulate(x0, chain_steps(betas), rng)


def euler_maruyama_states(x0, betas, rng):
    """Return a generator of the states of Euler–Maruyama for dx = −½ β x dt + √β dW (S2).

    x0 [n] or [n, d]; betas [N] are β(t_{i−1}) Δ, as ``discrete_betas(schedule, N, "left")`` gives
    them. The states are separate read-only arrays (``forward_states``).
    """
    return forward_states(x0, euler_maruyama_steps(betas), rng)


def simulate_sde(x0, betas, rng):
    """Return the last state of Euler–Maruyama (S2); see ``euler_maruyama_states``."""
    return simulate(x0, euler_maruyama_steps(betas), rng)


@finite_result
def noised(x, log_snr, rng):
    """Return z = α x + σ ε: a draw from q(z_t | x), in one step from clean data.

    x is [n], [n, d] or more; ``log_snr`` is one level or [n, 1]. Raises ``ValueError`` for shapes
    that do not fit. Source: Ho et al. 2020, eq. 4.
    """
    return renoise(x, np.inf, log_snr, rng)


@finite_result
def renoise(z, log_snr_from, log_snr_to, rng):
    """Return z_t = α_{t|s} z_s + σ_{t|s} ε: an exact draw of S2 from λ_s to the noisier λ_t.

    z is [n], [n, d] or more; a level is a number or [n, 1]. Raises ``ValueError`` if the levels do
    not fit z or the way is not towards noise.
    """
    z = _particles("z", z)
    decay, noise = transition(_level(log_snr_from, z), _level(log_snr_to, z))
    return decay * z + noise * require_rng(rng).standard_normal(z.shape)


@finite_result
def posterior(z, x, log_snr, log_snr_to):
    """Return mean and variance of q(z_s | z_t, x): a step back, from λ_t to λ_s, with x known.

    mean = (α_s/α_t) e^{λ_t − λ_s} z_t + α_s (1 − e^{λ_t − λ_s}) x and variance =
    σ_s² (1 − e^{λ_t − λ_s}). z and x have one shape; a level is a number or [n, 1]. Returns the
    mean in that shape and the variance in the levels'. Raises ``ValueError`` where λ_s < λ_t.
    Source: Ho et al. 2020, eq. 6–7; Kingma et al. 2021, appendix A.
    """
    z, x = _particles("z", z), _particles("x", x)
    if z.shape != x.shape:
        raise ValueError(f"z and x must have one shape, got {z.shape} and {x.shape}")
    noisy, clean = _level(log_snr, z), _level(log_snr_to, z)
    _require_towards_data(noisy, clean)
    kept, lost = np.exp(noisy - clean), -np.expm1(noisy - clean)
    mean = alpha(clean) * (kept / alpha(noisy) * z + lost * x)
    return mean, sigma(clean) ** 2 * lost


# --- Paths driven by given increments, for strong errors ---------------------------------------


@finite_result
def euler_maruyama(x0, drift, diffusion, increments, dt):
    """Return the last state of Euler–Maruyama for dX = drift(X, t) dt + diffusion(X, t) dW.

    ``increments`` [N, *x0.shape] are the path's W(t_{i+1}) − W(t_i), t_i = i dt: N(0, dt) numbers.
    Two grids see the same path if the coarse one gets ``coarsen(increments, factor)``. Raises
    ``ValueError`` if shapes do not match or dt is not positive. Source: Kloeden & Platen 1992,
    section 10.2.
    """
    x = finite("x0", x0)
    increments, dt = _increments(increments, x, dt)
    require_function("drift", drift, "(x, t)")
    require_function("diffusion", diffusion, "(x, t)")
    for i, dw in enumerate(increments):
        x = x + drift(x, i * dt) * dt + diffusion(x, i * dt) * dw
    return x


@finite_result
def geometric_brownian_motion(x0, drift, volatility, increments, dt):
    """Return the exact X_T of dX = drift · X dt + volatility · X dW along the given path.

    X_T = x0 exp[(drift − ½ volatility²) T + volatility W_T]: noise that multiplies the state, in
    contrast to S2. Arguments as in ``euler_maruyama``, drift and volatility numbers. Source:
    Kloeden & Platen 1992, section 4.4.
    """
    x0 = finite("x0", x0)
    drift, volatility = real_number("drift", drift), real_number("volatility", volatility)
    increments, dt = _increments(increments, x0, dt)
    duration = len(increments) * dt
    return x0 * np.exp(
        (drift - volatility * volatility / 2) * duration + volatility * increments.sum(axis=0)
    )


def coarsen(increments, factor):
    """Return the same path's increments on a grid ``factor`` times coarser, [N/factor, ...].

    Sums ``factor`` neighbours. Raises ``ValueError`` unless factor divides N.
    """
    increments = finite("increments", increments)
    require_count("factor", factor)
    n_steps = len(increments) if increments.ndim else 0
    if n_steps == 0 or n_steps % factor:
        raise ValueError(
            f"factor must be a whole number that divides the {n_steps} steps, got {factor}"
        )
    return increments.reshape(-1, factor, *increments.shape[1:]).sum(axis=1)


def _pairs(steps, z):
    """Two numbers a step; ``ValueError`` unless they are that, and keep z within float64."""
    try:
        decay, noise = np.broadcast_arrays(*map(np.atleast_1d, map(finite, steps._fields, steps)))
    except (AttributeError, ValueError) as error:
        raise ValueError(f"steps must be GaussianSteps, got {described(steps)}: {error}") from None
    if decay.ndim != 1:
        raise ValueError(f"steps must be two numbers each, got arrays of shape {decay.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        growth = np.prod(np.maximum(np.abs(decay), 1))
        largest = growth * (np.abs(z).max(initial=1) + 40 * np.sqrt(np.sum(noise**2)))
    if not largest < 1e150:  # whose square is finite too
        raise ValueError(
            f"{len(decay)} steps with decay {described(decay)} and noise {described(noise)} lead "
            f"from {described(z)} beyond what float64 holds"
        )
    return list(zip(decay.tolist(), noise.tolist(), strict=True))


def _linear_states(z, steps, rng):
    yield z
    for decay, noise in steps:
        z_next = rng.standard_normal(z.shape)  # in place from here: nearly as fast as drawing alone
        z_next *= noise
        z_next += decay * z
        z = z_next
        yield z


def _read_only(states):
    for z in states:
        z.flags.writeable = False
        yield z


def _root_lost(clean, noisy):
    """Return √(1 − e^{λ_t − λ_s}): the root of what a step from λ_s to λ_t loses of the SNR."""
    return np.sqrt(-np.expm1(noisy - clean))


def _gap_and_sigma(log_snr, log_snr_to):
    noisy, clean = together(log_snr=log_snr, log_snr_to=log_snr_to)
    return _require_towards_data(noisy, clean, finite=True), sigma(noisy)


@finite_result
def _particles(name, value):
    """Return the value as a float64 array of finite numbers with at least one dimension."""
    value = finite(name, value)
    if value.ndim == 0:
        raise ValueError(
            f"{name} must be an array of particles, [n] or [n, d], got the number {value}: for n "
            f"particles at one point pass np.full(n, {value})"
        )
    return value


def _level(log_snr, z):
    log_snr = numeric(log_snr)
    require_levels_fit(log_snr, z)
    return log_snr


def _grid(log_snr_grid):
    grid = numeric(log_snr_grid)
    if grid.ndim != 1 or grid.size < 2:
        raise ValueError(f"a grid of levels is a list of at least two, got shape {grid.shape}")
    return grid


def _abbreviated(grid):
    return f"{grid[0]:g}, {grid[1]:g}, …, {grid[-1]:g}"


def _increments(increments, x, dt):
    increments = finite("increments", increments)
    if increments.ndim < 1 or not len(increments) or increments.shape[1:] != x.shape:
        raise ValueError(
            f"increments must be [n_steps, *{x.shape}], one of the shape of x0 a step, got "
            f"{increments.shape}"
        )
    return increments, positive_number("dt", dt)


def _require_towards_data(noisy, clean, finite=False):
    """Return Δλ = λ_s − λ_t ≥ 0, or raise ``ValueError``."""
    if not bool(np.all((clean >= noisy) & np.isfinite(noisy))):
        raise ValueError(
            f"a step back goes to less noise: from a finite λ = {noisy} to a λ that is not lower, "
            f"got {clean}"
        )
    if finite and not bool(np.all(np.isfinite(clean))):
        raise ValueError(
            f"a sampler ends at a finite λ, not at {clean}: stop at log_snr_max and convert the "
            "last z to x"
        )
    return clean - noisy
