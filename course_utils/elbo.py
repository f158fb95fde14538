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
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike
from scipy.linalg import solve_banded

from course_utils._checks import (
    frozen,
    predicted,
    require_fall,
    require_increasing,
    require_levels_fit,
    require_range,
)
from course_utils.exact import Table, error_and_kl, expected, on_the_line, table_levels
from course_utils.quadrature import Bounded, halved, interpolation_rules
from course_utils.schedules import alpha, sigma
from course_utils.weightings import evaluate

POINTS = 20_001  # levels of the grid of ``ErrorCurve.between``
SCAN = 1000  # levels per unit of λ at which a weighting is first looked at
RESOLVED, REFUSED = 1e-11, 1e-7  # relative errors: wanted of an integral over w, and too much
AROUND = 1e-13  # half the cell left around a break: at a jump w has two values
CAUTION = 2  # bounds are this many times the differences seen
ROUNDING = 2e-15  # of e, relative; of L, relative to 1 + L

LOSS_NODES, LOSS_RULES, _ = interpolation_rules(20)
ELBO_NODES, _, ELBO_RULES = interpolation_rules(16)

Levels = Float[ndarray, " n"]
Rows = Float[ndarray, "n d"]


@dataclass(frozen=True, eq=False)
class ErrorCurve(Table):
    """e(λ) and L(λ) of one model: ``noise_error`` ≥ 0, and ``path_kl`` in nats.

    e(λ) = E Var(ε|z) + E‖ε̂_model − ε̂_truth‖²; for one x, E‖ε − ε̂_model‖².
    L(λ) = D_KL(q(z|x) ‖ p(z)) = −½ log 2πeσ² − E log p(z), p the model's own diffused law (T6).
    """

    noise_error: Levels
    path_kl: Levels
    functions = staticmethod(error_and_kl)

    @classmethod
    def from_draws(cls, truth, x: Rows, noise: Rows, weights=None, model=None, log_snr=None):
        """Return the mean curve of draws x of the truth and ε, in any dimension.

        The same draws serve at every level, so that the mean is smooth in λ. With ``weights`` [n],
        such as those of ``every_noise``, it is an integral. ``model`` and ``log_snr`` as in
        ``from_mixtures``.
        """
        levels, means, model = table_levels(log_snr), [], model or truth
        weights = np.full(len(x), 1 / len(x)) if weights is None else weights
        for level in levels:
            a, s = alpha(level), sigma(level)
            z = a * x + s * noise
            error = (a / s) ** 2 * truth.posterior_variance(z, level)
            error += np.sum((model.eps(z, level) - truth.eps(z, level)) ** 2, axis=1)
            log_q = -np.sum(noise**2 + np.log(2 * np.pi * s**2), axis=1) / 2  # of z given x
            kl = log_q - model.diffuse(level).log_prob(z)
            means.append((weights @ error, weights @ kl))
        return cls(levels, *np.transpose(means))

    def between(self, log_snr_min=None, log_snr_max=None) -> tuple[ndarray, ndarray, ndarray]:
        """Return (levels, e, L), read-only, on a fine grid over the range (default: the table's).

        Raises ``ValueError`` unless λ_min < λ_max lie in the table.
        """
        return _fine_grid(self, *self._range(log_snr_min, log_snr_max))

    def _range(self, low, high):
        low = self.log_snr[0] if low is None else low
        high = self.log_snr[-1] if high is None else high
        return require_range(*self.inside([low, high]))


def every_noise(x: Rows, step=0.15):
    """Return (x, ε, weights): points x, d ≤ 2, with all nodes of a trapezoid rule over ε ~ N(0, I).

    A quadrature for ``ErrorCurve.from_draws``, of n (16/step)^d nodes.
    """
    axis = np.arange(-8, 8 + step / 2, step)
    noise = np.stack(np.meshgrid(*[axis] * x.shape[1]), axis=-1).reshape(-1, x.shape[1])
    mass = np.exp(-np.sum(noise**2, axis=1) / 2)
    weights = np.tile(mass / mass.sum(), len(x)) / len(x)
    return np.repeat(x, len(noise), axis=0), np.tile(noise, (len(x), 1)), weights


@lru_cache(maxsize=16)
def _fine_grid(curve, low, high):
    levels = np.linspace(low, high, POINTS)
    return tuple(frozen(values) for values in (levels, *curve.at(levels)))


def weighted_loss(w, curve, log_snr_min=None, log_snr_max=None, breaks=()) -> Bounded:
    """Return L_w = ½ ∫ w(λ) e(λ) dλ over the range (T1), from e alone.

    The result is a float whose ``.bound`` says how far it may be off, through w and through e.
    Where w jumps or bends is found, from a first scan of a thousand levels per unit of λ on. A
    spike much narrower than 1e-3 is not seen there: name such levels in ``breaks``. Raises
    ``ValueError`` if w is negative, if 200,000 cells do not resolve it, or if the result is known
    to worse than 1e-7 of itself.
    """
    span = curve._range(log_snr_min, log_snr_max)
    return _known(_integral(_loss_cells, w, curve, *span, breaks), curve)


def sum_of_elbos(w, curve, log_snr_min=None, log_snr_max=None, breaks=()) -> Bounded:
    """Return ∫ (dw/dt) L dt + w(λ_max) L(0) − w(λ_min) L(1) (T3), from L alone.

    The integral is a Stieltjes sum: increments of w, each with a mean of L. The last term is the
    constant that S5's ∝ hides. w is looked at on other levels than in ``weighted_loss``: the two
    sides share the function w and the law of z, nothing else. ``breaks``, ``.bound`` and errors as
    there.
    """
    parts = elbo_parts(w, curve, log_snr_min, log_snr_max, breaks)
    return _known(Bounded(sum(parts), sum(part.bound for part in parts)), curve)


def elbo_parts(w, curve, log_snr_min=None, log_snr_max=None, breaks=()):
    """Return the terms of T3 with bounds: ∫ (dw/dt) L dt, w(λ_max) L(0) and −w(λ_min) L(1)."""
    ends = curve._range(log_snr_min, log_snr_max)
    kl, other = curve.pieces(np.array(ends))[:, 1]
    unsure = CAUTION * np.abs(kl - other) + ROUNDING * (1 + np.abs(kl))
    at_noise, at_data = evaluate(w, np.array(ends))
    return (
        _integral(_elbo_cells, w, curve, *ends, breaks),
        Bounded(at_data * kl[1], at_data * unsure[1]),
        Bounded(-at_noise * kl[0], at_noise * unsure[0]),
    )


def negative_share(w, curve, log_snr_min=None, log_snr_max=None) -> float:
    """Return what the ELBO terms with a minus sign amount to, as a share of L_w (T5).

    It is −∫ min(dw/dt, 0) L dt / L_w, on the levels of ``curve.between``: 0 where w is monotone.
    """
    levels, error, kl = curve.between(log_snr_min, log_snr_max)
    weights = evaluate(w, levels)
    subtracted = np.maximum(np.diff(weights), 0) @ (kl[1:] + kl[:-1]) / 2
    return float(subtracted / (np.trapezoid(weights * error, levels) / 2))


def _known(result, curve):
    if curve.exact and result.bound > REFUSED * abs(result):
        raise ValueError(
            f"the result, {result:.6g}, is known to ±{result.bound:.0e} only: w weighs levels at "
            "which e or L is nearly 0, or e and L are too coarse (from_mixtures(…, tolerance=…))"
        )
    return result


def _loss_cells(curve, left, right, piece):
    """(levels [c, 21], weights [5, c, 21], size [c]): ½ ∫ w e dλ over a cell is Σ weights · w.

    The weights: by three rules, of what the two estimates of e differ by, and of rounding.
    """
    half = (right - left)[:, None] / 2
    levels = left[:, None] + half + half * LOSS_NODES
    error, other = curve.pieces.only(0)(levels, piece[:, None])[:, 0] * half / 2
    rules = LOSS_RULES[:, None] * error
    fine, unsure = rules[1], LOSS_RULES[1] * (other - error)
    return levels, np.stack([*rules, unsure, ROUNDING * np.abs(fine)]), fine.sum(axis=1)


def _elbo_cells(curve, left, right, piece):
    """(levels [c, 17], weights [5, c, 16], size [c]): −∫ L dw over a cell is Σ weights · Δw."""
    half = (right - left)[:, None] / 2
    levels = left[:, None] + half + half * ELBO_NODES
    levels[:, 0], levels[:, -1] = left, right  # to the last digit, or the increments leave gaps
    kl, other = curve.pieces.only(1)(levels, piece[:, None])[:, 0]
    rules, unsure = -kl @ ELBO_RULES, (kl - other) @ ELBO_RULES[1]
    rounding = ROUNDING * (1 + np.abs(kl[:, 1:]))
    return levels, np.stack([*rules, unsure, rounding]), kl[:, -1] - kl[:, 0]


@lru_cache(maxsize=32)
def _first_cells(side, curve, low, high):
    """The cells of the first scan, none across an end of the curve's pieces."""
    width = len(LOSS_NODES if side is _loss_cells else ELBO_NODES) / SCAN
    inside = curve.pieces.edges[(curve.pieces.edges > low) & (curve.pieces.edges < high)]
    edges = [
        np.linspace(a, b, int(np.ceil((b - a) / width)) + 1)[:-1]
        for a, b in pairwise([low, *inside, high])
    ]
    edges = np.append(np.concatenate(edges), high)
    left, right = edges[:-1], edges[1:]
    piece = np.searchsorted(curve.pieces.edges, (left + right) / 2) - 1
    return (left, right, np.zeros_like(piece), piece), side(curve, left, right, piece)


def _integral(side, w, curve, low, high, breaks):
    """½ ∫ w e dλ or −∫ L dw, as ``side`` says, with its bound."""
    cells, first = _first_cells(side, curve, low, high)
    breaks = np.array([b for b in breaks if low < b < high])
    cuts = np.unique([breaks - AROUND, breaks + AROUND])

    def rule(left, right, _, piece):
        at_first = left is cells[0]
        levels, weights, size = first if at_first else side(curve, left, right, piece)
        values = evaluate(w, levels.ravel()).reshape(levels.shape)
        seen = values if side is _loss_cells else np.diff(values)
        found = np.einsum("rcn,cn->rc", weights[:4], seen)
        noise = np.einsum("cn,cn->c", weights[4], np.abs(seen))
        shift = ROUNDING * np.abs(levels).max(axis=1)  # of the levels, as good as one of w
        noise += shift * np.abs(np.diff(values)).sum(axis=1) * np.abs(size) / (right - left)
        size = size * values.mean(axis=1) + noise / RESOLVED  # below its rounding nothing is sought
        return np.stack([*found, noise, size])[..., None]

    (*_, piece), found = halved(rule, cells, RESOLVED, cuts=cuts)
    coarse, fine, third, unsure, noise, size = found[..., 0]
    unresolved = np.maximum(np.abs(coarse - fine), np.abs(third - fine)).sum()
    if unresolved > REFUSED * size.sum():
        raise ValueError(
            f"w is not resolved: its integral in {len(size):,} cells, {coarse.sum():.6g}, may be "
            f"off by {unresolved:.0e}; say where it jumps (breaks=…), or smooth it"
        )
    unsure = np.abs(np.bincount(piece, unsure)).sum()
    return Bounded(coarse.sum(), CAUTION * (unresolved + unsure) + noise.sum())


def negative_log_likelihood(curve: ErrorCurve) -> Bounded:
    """Return −log p(x) in nats from the denoising errors of one x over all levels (T8).

    −log p(x) = ½ log 2πe − ½ ∫ (α² − e(λ; x)) dλ, where α² is the error that N(0, 1) would have.
    Raises ``ValueError`` unless the levels of ``curve``, of one x under a model that has a density,
    reach so far that e and α² agree at both ends. Source: Kong et al. 2023.
    """
    ends = curve.log_snr[[0, -1]]
    difference = alpha(ends) ** 2 - curve.at(ends)[0]
    if np.abs(difference).max() > 1e-6:
        raise ValueError(
            f"the errors at λ = {ends[0]:g} and {ends[1]:g} differ from a Gaussian's by "
            f"{difference[0]:.1e} and {difference[1]:.1e}: tabulate the curve on a wider range "
            "(a model of point masses has no density at any range)"
        )
    loss = weighted_loss(np.ones_like, curve)
    of_a_gaussian = np.diff(np.logaddexp(0, ends))[0] / 2  # ½ ∫ α² dλ
    return Bounded(0.5 * np.log(2 * np.pi * np.e) - of_a_gaussian + loss, loss.bound)


class ElboTerms(NamedTuple):
    """The discrete ELBO's terms in nats; their sum is at least −log p(x)."""

    prior: float
    reconstruction: float
    diffusion: Float[ndarray, " T"]


def elbo_terms(log_snr: Levels, truth, model=None, x=None) -> ElboTerms:
    """Return the ``ElboTerms`` of a chain of T steps, exact for mixtures in one dimension.

    ``log_snr`` are the levels λ_0 > … > λ_T of the latents z_0 … z_T; ``truth``, ``model`` and
    ``x`` as in ``ErrorCurve.from_mixtures``. The terms:
    prior D_KL(q(z_T|x) ‖ p(z_T)), where p(z_T) is the model's own diffused law;
    reconstruction E[−log p(x|z_0)] = ½ log 2πe − ½ λ_0, where p(x|z_0) = N(z_0/α_0, e^{−λ_0});
    diffusion K_j = D_KL(q(z_{j−1}|z_j, x) ‖ p(z_{j−1}|z_j)), see ``step_kl``; K_1 is nearest to
    the data. Raises ``ValueError`` unless the levels decrease.
    Source: Ho et al. 2020, eq. 5; Kingma et al. 2021, eq. 11.
    """
    levels = np.asarray(log_snr, dtype=float)
    require_range(levels.min(), levels.max())
    truth, model = on_the_line(truth, model, x)
    error, kl = expected(error_and_kl, truth, model, levels[1:])[0].T
    reconstruction = 0.5 * np.log(2 * np.pi * np.e) - levels[0] / 2
    return ElboTerms(float(kl[-1]), float(reconstruction), step_kl(error, levels[1:], levels[:-1]))


def step_kl(noise_error: ArrayLike, log_snr: ArrayLike, log_snr_to: ArrayLike):
    """Return what one reverse step from λ_t to λ_s > λ_t costs: ½ (e^{λ_s − λ_t} − 1) e(λ_t).

    It is E D_KL(q(z_s|z_t, x) ‖ p(z_s|z_t)) in nats, exactly, if p has the posterior's variance
    and its mean with x̂ in place of x (T7). Arrays broadcast. Raises ``ValueError`` where
    λ_s < λ_t. Source: Kingma et al. 2021, eq. 14.
    """
    return 0.5 * np.expm1(-require_fall(log_snr_to, log_snr)) * noise_error


def discretisation_gap(log_snr: Levels, curve: ErrorCurve) -> float:
    """Return Σ_j K_j − ½ ∫ e dλ over levels λ_0 > … > λ_T: what few steps cost (T7)."""
    levels = np.asarray(log_snr, dtype=float)
    steps = step_kl(curve.at(levels[1:])[0], levels[1:], levels[:-1])
    return float(steps.sum() - weighted_loss(np.ones_like, curve, levels[-1], levels[0]))


def gap_constant(curve: ErrorCurve, schedule) -> float:
    """Return the limit of T · gap for the levels λ(i/T) of a schedule with a finite range (T7).

    It is ¼ ∫ (e − de/dλ)/p(λ) dλ; for p uniform ½ (λ_max − λ_min) [ΔL − ½ Δe], where
    ΔL = ½ ∫ e dλ and Δe = e(λ_max) − e(λ_min).
    """
    levels, error, _ = curve.between(schedule.log_snr_min, schedule.log_snr_max)
    excess = error - np.gradient(error, levels, edge_order=2)
    return float(np.trapezoid(excess / schedule.density(levels), levels) / 4)


class PathAndMarginal(NamedTuple):
    """Levels, and in nats the path KL, the marginal KL and their predicted difference."""

    log_snr: Levels
    path: Levels
    marginal: Levels
    excess: Levels


@np.errstate(under="ignore")  # far points
def path_and_marginal_kl(truth, eps, log_snr: Levels, per_sd=16) -> PathAndMarginal:
    """Return path KL, marginal KL and their predicted difference for any noise prediction (T6).

    ``truth`` is a one-dimensional ``GaussianMixture`` (one x: ``GaussianMixture.from_data([x])``),
    ``eps`` a function (z [m, 1], λ) → ε̂ [m, 1], ``log_snr`` increasing levels in steps small
    enough for an integral. The model starts from N(0, 1) at log_snr[0] and follows the reverse SDE.
    path: D_KL(q(z_1) ‖ N(0, 1)) + ½ ∫ E‖ε̂ − E_q[ε|z]‖² dλ up to each level, from errors;
    marginal: D_KL(q(z_t) ‖ p(z_t)), where p solves the model's own Fokker–Planck equation on a
    grid in z of ``per_sd`` points in the last level's σ (Crank–Nicolson, second order);
    excess: ½ ∫ E‖ε̂ + σ ∇log p‖² dλ, from ε̂ and p. T6 says path = marginal + excess.
    Raises ``ValueError`` unless the levels increase.
    """
    levels = require_increasing("log_snr", log_snr)
    reach = np.abs(truth.means).max() + 9 * np.sqrt(1 + truth.variances.max())
    step = sigma(levels[-1]) / per_sd
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
        q, guess = density(middle), predicted(eps, z, middle)
        before, p = p, _carried(p, z[:, 0], guess[:, 0], sigma(middle), width)
        own = -sigma(middle) * np.gradient(np.log(np.maximum((before + p) / 2, 1e-300)), step)
        errors = [guess - truth.eps(z, middle), guess - own[:, None]]
        for total, error in zip((path, excess), errors, strict=True):
            total.append(total[-1] + width / 2 * step * np.sum(q * error[:, 0] ** 2))
        marginal.append(kl(density(high), p))
    return PathAndMarginal(levels, np.array(path), np.array(marginal), np.array(excess))


def _carried(p, z, guess, s, width):
    """p after a Crank–Nicolson step of ∂p/∂λ = −∂_z[(½ σ² z − σ ε̂) p] + ½ σ² ∂_z² p."""
    step = z[1] - z[0]
    drift = s**2 / 2 * z - s * guess
    drift = (drift[:-1] + drift[1:]) / 4  # half the drift at the faces between the cells
    spread = s**2 / (2 * step)
    gain, loss = (drift + spread) / step, (spread - drift) / step  # flux = gain·left − loss·right
    change = np.diff(gain * p[:-1] - loss * p[1:], prepend=0, append=0)  # nothing leaves the grid
    bands = np.zeros((3, len(p)))
    bands[0, 1:], bands[2, :-1] = -loss, -gain
    bands[1] = np.append(gain, 0) + np.append(0, loss)
    bands *= width / 2
    bands[1] += 1
    return solve_banded((1, 1), bands, p - width / 2 * change, check_finite=False)


def loss_draws(w, eps, x: Rows, noise: Rows, t: Levels, schedule) -> Levels:
    """Return the draws ½ w(λ_t)/p(λ_t) ‖ε − ε̂‖² for given x and ε and times t.

    eps is called with z [n, d] and levels [n, 1]. No randomness in here: the same x, ε, t under two
    schedules are common random numbers.
    """
    levels = schedule.log_snr(t)
    column = levels[:, None]
    require_levels_fit(column, x, noise)
    z = alpha(column) * x + sigma(column) * noise
    squared = np.sum((noise - predicted(eps, z, column)) ** 2, axis=1)
    return evaluate(w, levels) / schedule.density(levels) * squared / 2
