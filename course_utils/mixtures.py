"""Gaussian mixtures, diffused exactly: the density, score and ideal denoiser at every level.

A finite data set is such a mixture too, with components of width zero; diffused, it is a kernel
density estimate of bandwidth σ/α, and its ideal denoiser is known in closed form.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from course_utils._checks import data_set, freeze, keep, require_levels_fit
from course_utils.schedules import alpha, sigma

PART = 2**16  # numbers in an array of points and components, above which points go by parts


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """The law Σ_k w_k N(μ_k, v_k I) in d dimensions.

    ``weights`` [K] are non-negative and sum to one, ``means`` are [K, d], ``variances`` [K] ≥ 0; a
    variance of 0 puts a point mass at the mean. All three are copied. In the methods z is [n, d],
    and a level ``log_snr`` is one finite number or [n, 1]. Raises ``ValueError`` for shapes that do
    not match, negative entries, or weights whose sum is not one.
    """

    weights: ArrayLike
    means: ArrayLike
    variances: ArrayLike

    def __post_init__(self):
        freeze(self, "weights", "variances")
        keep(self, means=data_set(self.means))
        weights, means, variances = self.weights, self.means, self.variances
        if not weights.shape == variances.shape == means.shape[:1]:
            raise ValueError(
                "weights and variances must be [K] beside means [K, d], got shapes "
                f"{weights.shape}, {variances.shape} and {means.shape}"
            )
        if not (weights.min() >= 0 <= variances.min() and abs(weights.sum() - 1) <= 1e-9):
            raise ValueError(
                "weights and variances must not be negative, and weights sum to 1, got a least "
                f"weight of {weights.min():g}, a least variance of {variances.min():g} and a sum "
                f"of {weights.sum():.9g}: divide float32 weights by their sum"
            )

    @classmethod
    def from_data(cls, x, bandwidth=0.0):
        """Return the data set x [n] or [n, d] as a mixture of n components of sd ``bandwidth``."""
        x = data_set(x)
        return cls(np.full(len(x), 1 / len(x)), x, np.full(len(x), bandwidth**2))

    @property
    def dim(self):
        """The number of dimensions d."""
        return self.means.shape[1]

    def sample(self, n, rng) -> Float[ndarray, "n d"]:
        """Return n independent draws; ``rng`` is a ``numpy.random.Generator``."""
        k = rng.choice(len(self.weights), size=n, p=self.weights)
        noise = rng.standard_normal((n, self.dim))
        return self.means[k] + np.sqrt(self.variances[k])[:, None] * noise

    def diffuse(self, log_snr):
        """Return the law of z = α x + σ ε at one level λ: means α μ_k, variances α² v_k + σ²."""
        a, s = alpha(float(log_snr)), sigma(float(log_snr))
        return GaussianMixture(self.weights, a * self.means, self._spread(a, s))

    def log_prob(self, x: Float[ndarray, "n d"]) -> Float[ndarray, " n"]:
        """Return log q(x) in nats.

        Raises ``ValueError`` where a component has no width: points have no density, diffuse first.
        """
        kept = self.weights > 0
        if not kept.all():  # without them: a point mass of no weight would be a 0/0
            some = GaussianMixture(self.weights[kept], self.means[kept], self.variances[kept])
            return some.log_prob(x)
        if (self.variances == 0).any():
            raise ValueError(
                "this mixture holds point masses and has no density: call diffuse(log_snr) first"
            )
        return self._by_parts(lambda x, a, s: self._shares(x, 1.0, 0.0)[1], x, 0.0)

    def responsibilities(self, z: Float[ndarray, "n d"], log_snr) -> Float[ndarray, "n K"]:
        """Return r_k(z) = w_k N(z; α μ_k, C_k)/q(z) with C_k = α² v_k + σ²: whose z this is."""
        return self._by_parts(lambda z, a, s: self._shares(z, a, s)[0], z, log_snr)

    def score(self, z: Float[ndarray, "n d"], log_snr) -> Float[ndarray, "n d"]:
        """Return ∇ log q(z) at level λ: Σ_k r_k (α μ_k − z)/C_k."""
        return self._by_parts(lambda z, a, s: self._eps(z, a, s) / -s, z, log_snr)

    def eps(self, z: Float[ndarray, "n d"], log_snr) -> Float[ndarray, "n d"]:
        """Return E[ε|z] = −σ ∇ log q(z) at level λ, the ideal noise prediction."""
        return self._by_parts(self._eps, z, log_snr)

    def denoise(self, z: Float[ndarray, "n d"], log_snr) -> Float[ndarray, "n d"]:
        """Return E[x|z] at level λ: Σ_k r_k m_k with m_k = μ_k + α v_k (z − α μ_k)/C_k."""
        return self._by_parts(lambda z, a, s: self._posterior(z, a, s)[0], z, log_snr)

    def posterior_variance(self, z: Float[ndarray, "n d"], log_snr) -> Float[ndarray, " n"]:
        """Return tr Cov(x|z) = Σ_k r_k (d v_k σ²/C_k + |m_k − E[x|z]|²), m_k as in ``denoise``."""

        def formula(z, a, s):
            mean, r, gain = self._posterior(z, a, s)
            total = self.dim * (r * self.variances * s**2 / self._spread(a, s))
            if np.ptp(self.variances) == 0:  # all m_k − E[x|z] are (1 − a gain) (μ_k − Σ r μ)
                squares = cdist(r @ self.means, self.means, "sqeuclidean")
                return (total + r * (1 - a * gain) ** 2 * squares).sum(axis=1)
            for j in range(self.dim):
                m_j = (1 - a * gain) * self.means[:, j] + gain * z[:, j, None]
                total += r * (m_j - mean[:, j, None]) ** 2
            return total.sum(axis=1)

        return self._by_parts(formula, z, log_snr)

    # --- The same for as many rows as fit into the processor's cache, at amplitudes a and s -------

    def _eps(self, z, a, s):
        r = self._shares(z, a, s)[0] * (s**2 / self._spread(a, s))  # r_k σ²/C_k
        return (r.sum(axis=1, keepdims=True) * z - a * (r @ self.means)) / s

    def _posterior(self, z, a, s):
        """Return E[x|z], r_k and α v_k/C_k."""
        r, gain = self._shares(z, a, s)[0], a * self.variances / self._spread(a, s)
        pull = r * gain
        return (r - a * pull) @ self.means + pull.sum(axis=1, keepdims=True) * z, r, gain

    def _shares(self, z, a, s):
        """Return r_k [n, K] and log q(z) [n] from log w_k N(z; α μ_k, C_k)."""
        spread = self._spread(a, s)
        joint = cdist(z / a, self.means, "sqeuclidean") * (-(a**2) / (2 * spread))
        joint += np.log(self.weights) - self.dim / 2 * np.log(2 * np.pi * spread)
        highest = joint.max(axis=1, keepdims=True)
        share = np.exp(joint - highest)
        total = share.sum(axis=1, keepdims=True)
        return share / total, (highest + np.log(total))[:, 0]

    def _spread(self, a, s):
        return a**2 * self.variances + s**2

    def _by_parts(self, formula, z, log_snr):
        z, log_snr = np.asarray(z, dtype=np.float64), np.asarray(log_snr, dtype=np.float64)
        if z.shape[1:] != (self.dim,):
            raise ValueError(f"points must be [n, {self.dim}] for this mixture, got {z.shape}")
        require_levels_fit(log_snr, z)
        rows = max(1, PART // len(self.weights))
        one_each = log_snr.size > 1
        with np.errstate(divide="ignore", under="ignore"):  # log 0 of a weight; far components
            if len(z) <= rows:
                return formula(z, alpha(log_snr), sigma(log_snr))
            parts = (slice(i, i + rows) for i in range(0, len(z), rows))
            levels = ((k, log_snr[k] if one_each else log_snr) for k in parts)
            return np.concatenate([formula(z[k], alpha(at), sigma(at)) for k, at in levels])
