"""The weighted loss and its other face, a sum of ELBOs, both exact for mixtures in one dimension.

e(λ) = E‖ε − ε̂(z, λ)‖² is the error of the noise prediction and L(t) = D_KL(q(z_{t:1}|x) ‖
p(z_{t:1})) the ELBO term of level t and above (S4). T2 says that each is the other's integral, so
here neither is computed from the other: e comes from posterior variances, L from log densities.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import make_interp_spline

from course_utils._arrays import floating
from course_utils.mixtures import GaussianMixture
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, alpha, sigma
from course_utils.weightings import evaluate

POINTS = 20_001  # levels of the integrals over λ


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """e(λ) and L(λ) of one model, tabulated at the same increasing levels, all [n].

    ``noise_error`` is e(λ) ≥ 0, ``path_kl`` is L in nats as a function of the level. With
    ``from_mixtures`` both are exact up to ``quadrature_error``, the largest change of either when
    the integration step is doubled.
    """

    log_snr: np.ndarray
    noise_error: np.ndarray
    path_kl: np.ndarray
    quadrature_error: float = np.nan

    def __post_init__(self):
        shapes = {np.shape(self.log_snr), np.shape(self.noise_error), np.shape(self.path_kl)}
        if len(shapes) != 1 or len(self.log_snr) < 6 or (np.diff(self.log_snr) <= 0).any():
            raise ValueError(
                f"an error curve needs at least 6 increasing levels and as many values, got shapes "
                f"{shapes}"
            )
        splines = [
            make_interp_spline(self.log_snr, y, k=5) for y in (self.noise_error, self.path_kl)
        ]
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
        model = truth if model is None else model
        for mixture in (truth, model):
            if mixture.dim != 1:
                raise ValueError(f"exact curves need one dimension, got d = {mixture.dim}")
        if log_snr is None:
            log_snr = np.linspace(LOG_SNR_MIN, LOG_SNR_MAX, 161)
        levels = floating(log_snr)[1]
        if x is not None:
            truth = GaussianMixture([1.0], np.reshape(floating(x)[1], (1, 1)), [0.0])
        rows = [_exact_level(truth, model, level, ideal=truth is model) for level in levels]
        error, kl, error_change, kl_change = np.array(rows).T
        change = max(np.abs(error_change).max(), np.abs(kl_change).max())
        return cls(levels, error, kl, float(change))

    def at(self, log_snr):
        """Return (e, L) at levels inside the table, by two separate splines of degree 5."""
        levels = np.asarray(log_snr, dtype=float)
        if levels.min() < self.log_snr[0] or levels.max() > self.log_snr[-1]:
            raise ValueError(
                f"levels from {levels.min():g} to {levels.max():g} leave the tabulated range "
                f"[{self.log_snr[0]:g}, {self.log_snr[-1]:g}]"
            )
        return tuple(spline(levels) for spline in self._splines)

    def between(self, log_snr_min=None, log_snr_max=None):
        """Return (levels, e, L) on a fine grid over the range (the table's, if left out)."""
        low = self.log_snr[0] if log_snr_min is None else log_snr_min
        high = self.log_snr[-1] if log_snr_max is None else log_snr_max
        if not low < high:
            raise ValueError(f"need log_snr_min < log_snr_max, got {low:g} and {high:g}")
        return _fine_grid(self, float(low), float(high))


@lru_cache(maxsize=16)
def _fine_grid(curve, low, high):
    levels = np.linspace(low, high, POINTS)
    return (levels, *curve.at(levels))


def weighted_loss(w, curve, log_snr_min=None, log_snr_max=None):
    """Return L_w = ½ ∫ w(λ) e(λ) dλ over the range (T1), from the error curve alone."""
    levels, error, _ = curve.between(log_snr_min, log_snr_max)
    return float(np.trapezoid(evaluate(w, levels) * error, levels) / 2)


def sum_of_elbos(w, curve, log_snr_min=None, log_snr_max=None):
    """Return ∫ (dw/dt) L dt + w(λ_max) L(0) − w(λ_min) L(1) (T3), from the path KL alone.

    The integral is taken over the increments of w, so that kinks of w cost nothing. The last term
    does not depend on the model's parameters; it is the constant that S5's ∝ hides.
    """
    return sum(elbo_parts(w, curve, log_snr_min, log_snr_max))


def elbo_parts(w, curve, log_snr_min=None, log_snr_max=None):
    """Return T3's three terms: (∫ (dw/dt) L dt, w(λ_max) L(0), −w(λ_min) L(1))."""
    levels, _, kl = curve.between(log_snr_min, log_snr_max)
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
    levels, error, _ = curve.between()
    difference = alpha(levels) ** 2 - error
    if max(abs(difference[0]), abs(difference[-1])) > 1e-6:
        raise ValueError(
            f"the errors at λ = {levels[0]:g} and {levels[-1]:g} differ from a Gaussian's by "
            f"{difference[0]:.1e} and {difference[-1]:.1e}: tabulate the curve on a wider range "
            "(a model of point masses has no density at any range)"
        )
    return float(0.5 * np.log(2 * np.pi * np.e) - np.trapezoid(difference, levels) / 2)


def estimate_loss(w, eps, x, schedule, n, rng):
    """Return (estimate, standard error) of L_w from n random draws of (x, t, ε) (T1).

    Each draw is ½ w(λ_t)/p(λ_t) ‖ε − ε̂‖² with t uniform. ``eps`` is called with z [n, d] and
    levels [n, 1]; ``x`` is the data [m, d]; ``schedule`` has a finite range; ``rng`` is a
    ``numpy.random.Generator``.
    """
    x = floating(x)[1]
    if x.ndim != 2 or len(x) == 0 or n < 2:
        raise ValueError(f"need data of shape [m, d] and n >= 2, got {x.shape} and n = {n}")
    clean = x[rng.integers(len(x), size=n)]
    levels = schedule.log_snr(rng.random((n, 1)))
    noise = rng.standard_normal(clean.shape)
    z = alpha(levels) * clean + sigma(levels) * noise
    squared = np.sum((noise - eps(z, levels)) ** 2, axis=1)
    level = levels[:, 0]
    draws = evaluate(w, level) / schedule.density(level) * squared / 2
    return float(draws.mean()), float(draws.std(ddof=1) / np.sqrt(n))


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
