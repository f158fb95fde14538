"""Forward in noise: the chain S1, the SDE S2 with its exact solution, and paths for strong errors.

Forward, every process of the course is linear: one step is z ← decay · z + noise · ξ with
ξ ~ N(0, I), and a ``GaussianSteps`` holds the two coefficients of each step. Particles are an array
[n], [n, d] or more, in VP coordinates; t = 0 is data and λ = +∞, t = 1 is noise. All that is random
takes an ``rng``, which is anything with ``standard_normal(shape)``.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike
from scipy.integrate import cumulative_simpson, simpson

from course_utils._checks import require_fall, require_known, require_levels_fit
from course_utils.schedules import RULES, alpha, require_betas, sigma


class GaussianSteps(NamedTuple):
    """Steps z ← decay · z + noise · ξ: ``decay`` and ``noise`` (a standard deviation), [N] each."""

    decay: Float[ndarray, " N"]
    noise: Float[ndarray, " N"]


def chain_steps(betas: ArrayLike):
    """Return the steps [T] of the discrete chain S1: x_t = √(1 − β_t) x_{t−1} + √β_t ξ.

    Raises ``ValueError`` unless every β lies in (0, 1). Source: Ho et al. 2020, eq. 2.
    """
    betas = require_betas(betas)
    return GaussianSteps(np.sqrt(1 - betas), np.sqrt(betas))


def euler_maruyama_steps(betas: ArrayLike):
    """Return the Euler–Maruyama steps of S2: x_i = x_{i−1} − ½ β_i x_{i−1} + √β_i ξ.

    β_i = β(t_{i−1}) Δ ≥ 0, as ``discrete_betas(schedule, N, "left")`` gives them: the chain's list
    in another recursion, unstable beyond β_i = 4.
    Source: Song et al. 2021, eq. 11; Kloeden & Platen 1992, section 10.2.
    """
    betas = np.asarray(betas, dtype=np.float64)
    return GaussianSteps(1 - betas / 2, np.sqrt(betas))


def transition(log_snr_from, log_snr_to):
    """Return α_{t|s} and σ_{t|s}: the exact solution of S2 from level λ_s to the noisier λ_t.

    z_t = α_{t|s} z_s + σ_{t|s} ξ with α_{t|s} = α_t/α_s and σ²_{t|s} = σ_t² (1 − e^{λ_t − λ_s}),
    whatever the schedule between the two. λ_s = +∞ is clean data. Levels of any shapes that
    broadcast; returns a ``GaussianSteps`` of that shape. Raises ``ValueError`` where λ_t > λ_s.
    Source: Kingma et al. 2021, appendix A.
    """
    lost = -np.expm1(require_fall(log_snr_from, log_snr_to))
    return GaussianSteps(alpha(log_snr_to) / alpha(log_snr_from), sigma(log_snr_to) * np.sqrt(lost))


def exact_steps(levels: Float[ndarray, " n"]):
    """Return the N exact steps of S2 along falling levels λ_0 > … > λ_N (``transition``)."""
    return transition(levels[:-1], levels[1:])


def simulate(x0, steps, rng):
    """Return the state after all steps, of the shape of x0: z ← decay · z + noise · ξ each."""
    z = np.asarray(x0, dtype=np.float64)
    for decay, noise in zip(*steps, strict=True):
        z = decay * z + noise * rng.standard_normal(z.shape)
    return z


def state_moments(x0, steps, variance=0.0):
    """Return mean and variance of every state, exactly, without simulation.

    m_i = decay_i m_{i−1} and v_i = decay_i² v_{i−1} + noise_i², from m_0 = x0 (a number or an
    array) and v_0 = ``variance``. Returns [N + 1, *x0.shape] and [N + 1].
    """
    variances = [variance]
    for decay, noise in zip(*steps, strict=True):
        variances.append(decay**2 * variances[-1] + noise**2)
    return np.multiply.outer(np.cumprod([1.0, *steps.decay]), x0), np.array(variances)


def noised(x, log_snr, rng):
    """Return z = α x + σ ε: a draw from q(z_t|x), in one step from clean data.

    ``log_snr`` is one level or [n, 1]; raises ``ValueError`` for others. Source: Ho et al. 2020.
    """
    a, s = alpha(log_snr), sigma(log_snr)
    require_levels_fit(a, x)
    return a * np.asarray(x) + s * rng.standard_normal(np.shape(x))


def posterior(z, x, log_snr, log_snr_to):
    """Return mean and variance of q(z_s|z_t, x): a step back, from λ_t to λ_s, with x known.

    mean = (α_s/α_t) e^{λ_t − λ_s} z_t + α_s (1 − e^{λ_t − λ_s}) x and variance =
    σ_s² (1 − e^{λ_t − λ_s}). A level is a number or [n, 1]. Raises ``ValueError`` where λ_s < λ_t.
    Source: Ho et al. 2020, eq. 6–7; Kingma et al. 2021, appendix A.
    """
    fall = require_fall(log_snr_to, log_snr)
    require_levels_fit(fall, z, x)
    kept, lost = np.exp(fall), -np.expm1(fall)
    mean = alpha(log_snr_to) * (kept / alpha(log_snr) * z + lost * x)
    return mean, sigma(log_snr_to) ** 2 * lost


# --- How fast N steps approach S2 ---------------------------------------------------------------


class ErrorConstants(NamedTuple):
    """Limits of N·error, and of N²·KL, for N → ∞ steps of size 1/N, all at one time."""

    log_decay: float  # of log(squared decay of the mean) + ∫β
    mean: float
    variance: float
    wasserstein: float
    kl: float


def error_constants(schedule, recursion, rule, x0, t):
    """Return the ``ErrorConstants`` at time t ∈ (0, 1] of steps that start at the point x0.

    ``recursion`` is "chain" or "em", ``rule`` that of ``discrete_betas``. With I = ∫₀ᵗβ²,
    E = c (β(t) − β(0)) for c = 1, 0, −1 at right, mid and left points and E = −I for exact β_i, and
    with m, v the exact mean and variance at t:

        chain           log decay −½ (E + I)    variance ½ (1 − v) (E + I)
        Euler–Maruyama  log decay −½ (E + ½ I)  variance ½ (1 − v) E
                                                       + ¼ ∫₀ᵗ β² [(1 − v)/(1 − v_s) + 1 − v] ds

    and the mean's is half of the log decay's times m. The integrals are Simpson's.
    """
    require_known("recursion", recursion, ("chain", "em"))
    require_known("rule", rule, RULES)
    s = np.linspace(0, t, 1001)
    beta = schedule.beta(s)
    elapsed = cumulative_simpson(beta, x=s, initial=0)
    squares = simpson(beta**2, x=s)  # I
    ends = {"right": 1, "mid": 0, "left": -1}
    end = -squares if rule == "exact" else ends[rule] * (beta[-1] - beta[0])  # E
    left = np.exp(-elapsed[-1])  # 1 − v
    if recursion == "chain":
        log_decay = -(end + squares) / 2
        of_variance = left * (end + squares) / 2
    else:
        log_decay = -(end + squares / 2) / 2
        kept = np.exp(elapsed - elapsed[-1])  # (1 − v)/(1 − v_s)
        of_variance = left * end / 2 + simpson(beta**2 * (kept + left), x=s) / 4
    of_mean, v = x0 * np.sqrt(left) * log_decay / 2, 1 - left
    # W2 and KL of two Gaussians to leading order in the differences of mean and variance
    w2 = np.hypot(of_mean, of_variance / (2 * np.sqrt(v)))
    kl = of_mean**2 / (2 * v) + (of_variance / v) ** 2 / 4
    return ErrorConstants(log_decay, of_mean, of_variance, w2, kl)


# --- Paths driven by given increments, for strong errors ---------------------------------------


def euler_maruyama(x0, drift, diffusion, increments: Float[ndarray, "N ..."], dt):
    """Return the last state of Euler–Maruyama for dX = drift(X, t) dt + diffusion(X, t) dW.

    ``increments`` [N, *x0.shape] are the path's W(t_{i+1}) − W(t_i), t_i = i dt: N(0, dt) numbers.
    Source: Kloeden & Platen 1992, section 10.2.
    """
    x = np.asarray(x0, dtype=np.float64)
    for i, dw in enumerate(increments):
        x = x + drift(x, i * dt) * dt + diffusion(x, i * dt) * dw
    return x


def geometric_brownian_motion(x0, drift, volatility, increments: Float[ndarray, "N ..."], dt):
    """Return the exact X_T of dX = drift · X dt + volatility · X dW along the given path.

    X_T = x0 exp[(drift − ½ volatility²) T + volatility W_T]: noise that multiplies the state, in
    contrast to S2. Source: Kloeden & Platen 1992, section 4.4.
    """
    growth = (drift - volatility**2 / 2) * len(increments) * dt
    return x0 * np.exp(growth + volatility * increments.sum(axis=0))


def coarsen(increments: Float[ndarray, "N ..."], factor) -> Float[ndarray, "M ..."]:
    """Return the same path's increments on a grid ``factor`` times coarser: sums of neighbours."""
    return increments.reshape(-1, factor, *increments.shape[1:]).sum(axis=1)
