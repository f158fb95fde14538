"""The weighted loss and its other face, a sum of ELBOs, both exact for mixtures in one dimension.

e(λ) = E‖ε − ε̂(z, λ)‖² is the error of the noise prediction and L(t) = D_KL(q(z_{t:1}|x) ‖
p(z_{t:1})) the ELBO term of level t and above (S4). T2 says that each is the other's integral, so
here neither is computed from the other: e comes from posterior variances, L from log densities.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.linalg import solve_banded

from course_utils._checks import (
    data_set,
    described,
    finite,
    finite_result,
    float64,
    positive_number,
    prediction,
    real_number,
    require_count,
    require_function,
    require_kind,
    require_range,
    require_rng,
    require_schedule,
    together,
)
from course_utils.mixtures import GaussianMixture
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, alpha, sigma
from course_utils.weightings import evaluate

POINTS = 20_001  # levels of the integrals over λ


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """e(λ) and L(λ) of one model, tabulated at the same increasing levels, all [n].

    ``noise_error`` is e(λ) ≥ 0, ``path_kl`` is L in nats as a function of the level. With
    ``from_mixtures`` both are exact up to ``quadrature_error``, the largest change of either when
    the integration step is doubled; infinite where nothing is known of it.
    """

    log_snr: np.ndarray
    noise_error: np.ndarray
    path_kl: np.ndarray
    quadrature_error: float = np.inf

    def __post_init__(self):
        arrays = {
            name: finite(name, getattr(self, name))
            for name in ("log_snr", "noise_error", "path_kl")
        }
        shapes = {name: array.shape for name, array in arrays.items()}
        levels, error, _ = arrays.values()
        if levels.ndim != 1 or len(levels) < 6 or len(set(shapes.values())) != 1:
            raise ValueError(
                f"an error curve needs at least 6 levels and as many values, got shapes {shapes}"
            )
        for name, array in arrays.items():
            object.__setattr__(self, name, array)
        if (np.diff(levels) <= 0).any():
            raise ValueError(f"the levels of an error curve must increase, got {levels}")
        change = float64(self.quadrature_error)
        if change.ndim or change < 0:
            raise ValueError(f"quadrature_error must be a number of at least 0, got {change}")
        if (error < 0).any():
            raise ValueError(f"noise_error is a mean square and not negative, got {error.min():g}")
        splines = [_spline(self.log_snr, y) for y in (self.noise_error, self.path_kl)]
        object.__setattr__(self, "_splines", splines)

    @classmethod
    def from_mixtures(cls, truth, model=None, x=None, log_snr=None):
        """Return the exact curve of data from ``truth`` under the ideal denoiser of ``model``.

        ``truth`` and ``model`` are one-dimensional ``GaussianMixture``s (model: the truth itself
        if left out). With ``x``, a number, the curve is that of the one data point, else the
        average over the truth. ``log_snr``: increasing levels, default 161 on [−10, 10].

        e(λ) = σ^{-2}α² E tr Cov(x|z) + E‖ε̂_model − ε̂_truth‖²; for one x, E‖ε − ε̂_model‖².
        L(λ) = D_KL(q(z|x) ‖ p(z)) = −½ log 2πeσ² − E log p(z), where p is the model's own diffused
        law, prior included, so that path and marginal KL are one (T6).
        """
        truth, model = _on_the_line(truth, model, x)
        if log_snr is None:
            log_snr = np.linspace(LOG_SNR_MIN, LOG_SNR_MAX, 161)
        levels = _increasing("log_snr", log_snr, least=6)
        rows = [_exact_level(truth, model, level, ideal=truth is model) for level in levels]
        error, kl, error_change, kl_change = np.array(rows).T
        change = max(np.abs(error_change).max(), np.abs(kl_change).max())
        return cls(levels, error, kl, float(change))

    def at(self, log_snr):
        """Return (e, L) at levels inside the table, by two separate splines of degree 5."""
        levels = finite("log_snr", log_snr)
        if not levels.size:
            raise ValueError(f"log_snr must be at least one level, got shape {levels.shape}")
        rounding = 1e-9  # a schedule's λ(0) and λ(1) may miss its range by that much
        low, high = self.log_snr[0] - rounding, self.log_snr[-1] + rounding
        if not (levels.min() >= low and levels.max() <= high):
            raise ValueError(
                f"levels from {levels.min():g} to {levels.max():g} leave the tabulated range "
                f"[{self.log_snr[0]:g}, {self.log_snr[-1]:g}]"
            )
        return tuple(spline(levels) for spline in self._splines)

    def between(self, log_snr_min=None, log_snr_max=None):
        """Return (levels, e, L) on a fine grid over the range (the table's, if left out)."""
        low = self.log_snr[0] if log_snr_min is None else log_snr_min
        high = self.log_snr[-1] if log_snr_max is None else log_snr_max
        return _fine_grid(self, *require_range(low, high))


@lru_cache(maxsize=16)
def _fine_grid(curve, low, high):
    levels = np.linspace(low, high, POINTS)
    return (levels, *curve.at(levels))


@finite_result
def weighted_loss(w, curve, log_snr_min=None, log_snr_max=None):
    """Return L_w = ½ ∫ w(λ) e(λ) dλ over the range (T1), from the error curve alone."""
    levels, error, _ = _curve(curve).between(log_snr_min, log_snr_max)
    return float(np.trapezoid(evaluate(w, levels) * error, levels) / 2)


@finite_result
def sum_of_elbos(w, curve, log_snr_min=None, log_snr_max=None):
    """Return ∫ (dw/dt) L dt + w(λ_max) L(0) − w(λ_min) L(1) (T3), from the path KL alone.

    The integral is taken over the increments of w, so that kinks of w cost nothing. The last term
    does not depend on the model's parameters; it is the constant that S5's ∝ hides.
    """
    return sum(elbo_parts(w, curve, log_snr_min, log_snr_max))


@finite_result
def elbo_parts(w, curve, log_snr_min=None, log_snr_max=None):
    """Return T3's three terms: (∫ (dw/dt) L dt, w(λ_max) L(0), −w(λ_min) L(1))."""
    levels, _, kl = _curve(curve).between(log_snr_min, log_snr_max)
    values = evaluate(w, levels)
    middle = (kl[:-1] + kl[1:]) / 2
    return (
        float(np.sum(-np.diff(values) * middle)),
        float(values[-1] * kl[-1]),
        float(-values[0] * kl[0]),
    )


def negative_log_likelihood(curve):
    """Return −log p(x) in nats from the denoising errors of one x over all levels (T8).

    Equation: ½ log 2πe − ½ ∫ (α² − e(λ; x)) dλ, where α² is the error that N(0, 1) would have.
    ``curve`` belongs to one x under a model that has a density; its levels must reach so far that
    e and α² agree at both ends, or ``ValueError`` is raised. Source: Kong et al. 2023, eq. 9.
    """
    levels, error, _ = _curve(curve).between()
    difference = alpha(levels) ** 2 - error
    if max(abs(difference[0]), abs(difference[-1])) > 1e-6:
        raise ValueError(
            f"the errors at λ = {levels[0]:g} and {levels[-1]:g} differ from a Gaussian's by "
            f"{difference[0]:.1e} and {difference[-1]:.1e}: tabulate the curve on a wider range "
            "(a model of point masses has no density at any range)"
        )
    return float(0.5 * np.log(2 * np.pi * np.e) - np.trapezoid(difference, levels) / 2)


class ElboTerms(NamedTuple):
    """The discrete ELBO's terms in nats: ``prior``, ``reconstruction``, ``diffusion`` [T]."""

    prior: float
    reconstruction: float
    diffusion: np.ndarray

    @property
    def bound(self):
        """Their sum: an upper bound of −log p(x), the negative ELBO."""
        return self.prior + self.reconstruction + float(np.sum(self.diffusion))


@finite_result
def elbo_terms(log_snr, truth, model=None, x=None):
    """Return the ``ElboTerms`` of a chain of T steps, exact for mixtures in one dimension.

    ``log_snr`` [T + 1] are the levels λ_0 > … > λ_T of the latents z_0 … z_T; ``truth``, ``model``
    and ``x`` as in ``ErrorCurve.from_mixtures``. The terms:
    prior D_KL(q(z_T|x) ‖ p(z_T)), where p(z_T) is the model's own diffused law;
    reconstruction E[−log p(x|z_0)] = ½ log 2πe − ½ λ_0, where p(x|z_0) = N(z_0/α_0, e^{−λ_0});
    diffusion K_j = D_KL(q(z_{j−1}|z_j, x) ‖ p(z_{j−1}|z_j)), see ``step_kl``; K_1 is nearest to
    the data. Raises ``ValueError`` unless the levels are finite and decrease strictly.
    Source: Ho et al. 2020, eq. 5; Kingma et al. 2021, eq. 11.
    """
    levels = _decreasing(log_snr)
    truth, model = _on_the_line(truth, model, x)
    rows = [_exact_level(truth, model, level, ideal=truth is model) for level in levels[1:]]
    error, kl = np.array(rows).T[:2]
    reconstruction = 0.5 * np.log(2 * np.pi * np.e) - levels[0] / 2
    return ElboTerms(float(kl[-1]), float(reconstruction), step_kl(error, levels[1:], levels[:-1]))


@finite_result
def step_kl(noise_error, log_snr, log_snr_to):
    """Return what one reverse step from λ_t to λ_s > λ_t costs: ½ (e^{λ_s − λ_t} − 1) e(λ_t).

    It is E D_KL(q(z_s|z_t, x) ‖ p(z_s|z_t)) in nats, exactly, if p has the posterior's variance
    and its mean with x̂ in place of x (T7). Arrays broadcast. Source: Kingma et al. 2021, eq. 14.
    """
    error, noisy, clean = together(noise_error=noise_error, log_snr=log_snr, log_snr_to=log_snr_to)
    return 0.5 * np.expm1(clean - noisy) * error


@finite_result
def discretisation_gap(log_snr, curve):
    """Return Σ_j K_j − ½ ∫ e dλ over levels λ_0 > … > λ_T [T + 1]: what few steps cost (T7)."""
    levels, curve = _decreasing(log_snr), _curve(curve)
    steps = step_kl(curve.at(levels[1:])[0], levels[1:], levels[:-1])
    fine, error, _ = curve.between(levels[-1], levels[0])
    return float(steps.sum() - np.trapezoid(error, fine) / 2)


@finite_result
def gap_constant(curve, schedule):
    """Return the limit of T · gap for the levels λ(i/T) of a schedule with a finite range (T7).

    Equation: ¼ ∫ (e − de/dλ)/p(λ) dλ; for p uniform it is ½ (λ_max − λ_min) [ΔL − ½ Δe], where
    ΔL = ½ ∫ e dλ and Δe = e(λ_max) − e(λ_min).
    """
    require_schedule(schedule, cut=True)
    levels, error, _ = _curve(curve).between(schedule.log_snr_min, schedule.log_snr_max)
    excess = error - np.gradient(error, levels, edge_order=2)
    return float(np.trapezoid(excess / schedule.density(levels), levels) / 4)


class PathAndMarginal(NamedTuple):
    """Levels, and in nats the path KL, the marginal KL and their predicted difference, [n] each."""

    log_snr: np.ndarray
    path: np.ndarray
    marginal: np.ndarray
    excess: np.ndarray


@finite_result
def path_and_marginal_kl(truth, eps, log_snr, per_sd=16):
    """Return path KL, marginal KL and their predicted difference for any noise prediction (T6).

    ``truth`` is a one-dimensional ``GaussianMixture`` (one x: ``GaussianMixture.from_data([x])``),
    ``eps`` a function (z [m, 1], λ) → ε̂ [m, 1], ``log_snr`` [n] increasing levels in steps small
    enough for an integral. The model starts from N(0, 1) at log_snr[0] and follows the reverse SDE.
    path: D_KL(q(z_1) ‖ N(0, 1)) + ½ ∫ E‖ε̂ − E_q[ε|z]‖² dλ up to each level, from errors;
    marginal: D_KL(q(z_t) ‖ p(z_t)), where p solves the model's own Fokker–Planck equation on a
    grid in z of ``per_sd`` points in the last level's σ (Crank–Nicolson, second order);
    excess: ½ ∫ E‖ε̂ + σ ∇log p‖² dλ, from ε̂ and p. T6 says path = marginal + excess. No two are
    computed from one another. Raises ``ValueError`` unless the levels are finite and increase.
    """
    truth, _ = _on_the_line(truth, None, None)
    require_function("eps", eps, "(z, log_snr)")
    levels, per_sd = _increasing("log_snr", log_snr), positive_number("per_sd", per_sd)
    reach = np.abs(truth.means).max() + 9 * np.sqrt(1 + truth.variances.max())
    step = sigma(levels[-1]) / per_sd
    if not reach < 1e6 * step:
        raise ValueError(
            f"a grid of {2 * reach:.3g} in steps of {step:.3g} is too long: end at a lower level "
            f"than {levels[-1]:g}, or take a smaller per_sd than {per_sd:g}"
        )
    z = step * np.arange(-int(reach / step), int(reach / step) + 1)[:, None]

    def density(level):
        return np.exp(truth.diffuse(level).log_prob(z))

    def kl(q, p):
        seen = q > 1e-15
        return step * np.sum(q[seen] * np.log(q[seen] / np.maximum(p[seen], 1e-300)))

    p = np.exp(-(z[:, 0] ** 2) / 2) / np.sqrt(2 * np.pi)
    marginal = [kl(density(levels[0]), p)]
    path, excess = [marginal[0]], [0.0]
    for low, high in pairwise(levels):
        middle, width = (low + high) / 2, high - low
        q, predicted = density(middle), prediction(eps, z, middle)
        before, p = p, _carried(p, z[:, 0], predicted[:, 0], sigma(middle), width)
        own = -sigma(middle) * np.gradient(np.log(np.maximum((before + p) / 2, 1e-300)), step)
        errors = [predicted - truth.eps(z, middle), predicted - own[:, None]]
        for total, error in zip((path, excess), errors, strict=True):
            total.append(total[-1] + width / 2 * step * np.sum(q * error[:, 0] ** 2))
        marginal.append(kl(density(high), p))
    return PathAndMarginal(levels, np.array(path), np.array(marginal), np.array(excess))


def _carried(p, z, predicted, s, width):
    """p after a Crank–Nicolson step of ∂p/∂λ = −∂_z[(½ σ² z − σ ε̂) p] + ½ σ² ∂_z² p."""
    step = z[1] - z[0]
    drift = s**2 / 2 * z - s * predicted
    drift = (drift[:-1] + drift[1:]) / 4  # half the drift at the faces between the cells
    spread = s**2 / (2 * step)
    gain, loss = (drift + spread) / step, (spread - drift) / step  # flux = gain·left − loss·right
    diagonal = np.zeros_like(p)
    diagonal[:-1] -= gain
    diagonal[1:] -= loss
    rhs = p + width / 2 * diagonal * p
    rhs[1:] += width / 2 * gain * p[:-1]
    rhs[:-1] += width / 2 * loss * p[1:]
    bands = np.zeros((3, len(p)))
    bands[0, 1:], bands[1], bands[2, :-1] = loss, diagonal, gain
    bands *= -width / 2
    bands[1] += 1
    return solve_banded((1, 1), bands, rhs, check_finite=False)


@finite_result
def estimate_loss(w, eps, x, schedule, n, rng):
    """Return (estimate, standard error) of L_w from n random draws of (x, t, ε) (T1).

    Each draw is ½ w(λ_t)/p(λ_t) ‖ε − ε̂‖² with t uniform. ``eps`` is called with z [n, d] and
    levels [n, 1]; ``x`` is the data [m, d]; ``schedule`` has a finite range; ``rng`` is a
    ``numpy.random.Generator``.
    """
    x = data_set(x)
    require_count("n", n, least=2)
    require_rng(rng)
    clean = x[rng.integers(len(x), size=n)]
    times, noise = rng.random(n), rng.standard_normal(clean.shape)
    draws = loss_draws(w, eps, clean, noise, times, schedule)
    return float(draws.mean()), float(draws.std(ddof=1) / np.sqrt(n))


@finite_result
def loss_draws(w, eps, x, noise, t, schedule):
    """Return the draws ½ w(λ_t)/p(λ_t) ‖ε − ε̂‖² for given x and ε [n, d] and times t [n], as [n].

    No randomness in here: the same x, ε, t under two schedules are common random numbers.
    """
    levels = require_schedule(schedule, cut=True).log_snr(float64(t))
    squared = squared_errors(eps, x, noise, levels)
    return evaluate(w, levels) / schedule.density(levels) * squared / 2


@finite_result
def squared_errors(eps, x, noise, log_snr):
    """Return ‖ε − ε̂(z, λ)‖² [n] at z = α x + σ ε, for x and ε [n, d] and levels [n]."""
    require_function("eps", eps, "(z, log_snr)")
    x, noise, levels = finite("x", x), finite("noise", noise), finite("levels", log_snr)
    if x.ndim != 2 or noise.shape != x.shape or levels.shape != x.shape[:1]:
        raise ValueError(
            f"need x and noise [n, d] and n levels or times, got shapes {x.shape}, {noise.shape} "
            f"and {levels.shape}"
        )
    column = levels[:, None]
    z = alpha(column) * x + sigma(column) * noise
    return np.sum((noise - prediction(eps, z, column)) ** 2, axis=1)


def _on_the_line(truth, model, x):
    """(truth, model) in one dimension: with x the one point, without a model the truth."""
    model = truth if model is None else model
    for name, mixture in (("truth", truth), ("model", model)):
        require_kind(name, mixture, GaussianMixture, "GaussianMixture.from_data(x), say")
        if mixture.dim != 1:
            raise ValueError(f"exact curves need one dimension, got d = {mixture.dim}")
    if x is not None:
        point = finite("x", x)
        point = point.reshape(()) if point.size == 1 else point  # [1] will do, [2] will not
        truth = GaussianMixture([1.0], [[real_number("x", point)]], [0.0])
    return truth, model


def _curve(curve):
    return require_kind("curve", curve, ErrorCurve, "make one with ErrorCurve.from_mixtures")


def _increasing(name, log_snr, least=2):
    levels = np.atleast_1d(finite(name, log_snr))
    if levels.ndim != 1 or len(levels) < least or not (np.diff(levels) > 0).all():
        raise ValueError(
            f"{name} must be a list of at least {least} levels, and they must increase, got "
            f"{described(levels)}"
        )
    return levels


def _decreasing(log_snr):
    levels = finite("log_snr", log_snr)
    if levels.ndim != 1 or levels.size < 2 or not (np.diff(levels) < 0).all():
        raise ValueError(
            "log_snr must be a list of at least two finite levels that decrease strictly, from "
            f"the data to the noise, got {described(levels)}"
        )
    return levels


def _spline(x, y):
    """The interpolating spline of degree 5 of a table over the levels x."""
    try:
        with np.errstate(all="ignore"):
            spline = make_interp_spline(x, y, k=5)
    except ValueError:
        spline = None
    if spline is None or not np.isfinite(spline.c).all():
        raise ValueError(
            f"no spline goes through {described(y)} over levels {described(x)}: too large, or "
            "levels too close"
        )
    return spline


@finite_result
def _exact_level(truth, model, log_snr, ideal):
    """(e, L, change of e, change of L) at one level; the changes compare with a doubled step."""
    a, s = alpha(log_snr), sigma(log_snr)
    z, mass, coarse = _nodes(truth.diffuse(log_snr))
    error = truth.posterior_variance(z, log_snr) * (a / s) ** 2
    if not ideal:
        error = error + ((model.eps(z, log_snr) - truth.eps(z, log_snr)) ** 2)[:, 0]
    log_p = model.diffuse(log_snr).log_prob(z)
    entropy = 0.5 * np.log(2 * np.pi * np.e * s**2)
    means = [[w @ y for y in (error, log_p)] for w in (mass, coarse)]
    (e, log_p_mean), (e_coarse, log_p_coarse) = means
    return e, -entropy - log_p_mean, e - e_coarse, log_p_mean - log_p_coarse


def _nodes(mixture, per_sd=6, reach=9.5):
    """Nodes [n, 1] and masses of the trapezoid rule for expectations under a 1-D mixture.

    Components of one width share a uniform grid, cut to where they have mass. The second set of
    masses belongs to every other node.
    """
    nodes, fine, coarse = [], [], []
    m = int(np.ceil(reach * per_sd))
    offsets = np.arange(-m, m + 1)
    narrowest, farthest = np.sqrt(mixture.variances.min()), np.abs(mixture.means).max()
    if not narrowest > 1e-12 * farthest:
        raise ValueError(
            f"a component of width {narrowest:.3g} at {farthest:.3g} cannot be resolved in "
            "float64: take lower levels, or data in units of their own spread"
        )
    for variance in np.unique(mixture.variances):
        of_width = mixture.variances == variance
        means, weights = mixture.means[of_width, 0], mixture.weights[of_width]
        step = np.sqrt(variance) / per_sd
        index = np.unique(np.rint(means / step).astype(np.int64)[:, None] + offsets)
        z = step * index
        density = np.exp(-((z[:, None] - means) ** 2) / (2 * variance)) @ weights
        mass = step * density / np.sqrt(2 * np.pi * variance)
        nodes.append(z)
        fine.append(mass)
        coarse.append(np.where(index % 2 == 0, 2 * mass, 0))
    return np.concatenate(nodes)[:, None], np.concatenate(fine), np.concatenate(coarse)
