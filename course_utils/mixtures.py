"""Gaussian mixtures, diffused exactly: the density, score and ideal denoiser at every level.

A finite data set is such a mixture too, with components of width zero; diffused, it is a kernel
density estimate of bandwidth σ/α, and its ideal denoiser is known in closed form.
"""

from dataclasses import dataclass

import numpy as np

from course_utils._checks import (
    finite,
    finite_result,
    numeric,
    real_number,
    require_count,
    require_levels_fit,
    require_rng,
)
from course_utils.schedules import alpha, sigma

PART = 2**16  # numbers in an array of points and components, above which points go by parts


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """The law Σ_k w_k N(μ_k, v_k I) in d dimensions.

    ``weights`` [K] are non-negative and sum to one, ``means`` are [K, d], ``variances`` [K] are
    non-negative; a variance of 0 puts a point mass at the mean. In the methods, z is [n, d] and a
    level ``log_snr`` is one number or [n, 1]; ``score``, ``denoise`` and ``eps`` return [n, d].
    Raises ``ValueError`` for shapes that do not match, negative entries, or weights whose sum is
    not one.
    """

    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray

    def __post_init__(self):
        arrays = {name: finite(name, getattr(self, name)) for name in self.__annotations__}
        for name, array in arrays.items():
            object.__setattr__(self, name, array)
        shapes = {name: array.shape for name, array in arrays.items()}
        if self.means.ndim != 2 or 0 in self.means.shape:
            raise ValueError(f"means must be [K, d] with K, d >= 1, got {self.means.shape}")
        if self.weights.shape != (len(self.means),) or self.variances.shape != self.weights.shape:
            raise ValueError(f"weights and variances must be [K] beside means [K, d], got {shapes}")
        if (self.weights < 0).any() or abs(self.weights.sum() - 1) > 1e-9:
            raise ValueError(
                f"weights must be non-negative and sum to 1, got {self.weights} "
                f"(sum {self.weights.sum():.6g}): divide them by their sum"
            )
        if (self.variances < 0).any():
            raise ValueError(f"variances must not be negative, got {self.variances}")

    @classmethod
    def from_data(cls, x, bandwidth=0.0):
        """Return the data set x [n] or [n, d] as a mixture of n components of sd ``bandwidth``."""
        x = finite("a data set", x)
        x = x[:, None] if x.ndim == 1 else x
        if x.ndim != 2 or x.size == 0:
            raise ValueError(f"a data set must be [n] or [n, d] with n, d >= 1, got {x.shape}")
        n, bandwidth = len(x), real_number("bandwidth", bandwidth)
        if bandwidth < 0:
            raise ValueError(f"bandwidth is a standard deviation, at least 0, got {bandwidth:g}")
        return cls(np.full(n, 1 / n), x, np.full(n, bandwidth * bandwidth))

    @property
    def dim(self):
        """The number of dimensions d."""
        return self.means.shape[1]

    def sample(self, n, rng):
        """Return n independent draws [n, d]; ``rng`` is a ``numpy.random.Generator``."""
        require_count("n", n)
        require_rng(rng)
        k = rng.choice(len(self.weights), size=n, p=self.weights)
        return self.means[k] + np.sqrt(self.variances[k])[:, None] * rng.standard_normal(
            (n, self.dim)
        )

    def diffuse(self, log_snr):
        """Return the law of z = α x + σ ε at one level λ: means α μ_k, variances α² v_k + σ²."""
        level = numeric(log_snr)
        if level.ndim != 0:
            raise ValueError(
                f"diffuse takes one level, a number, got shape {level.shape}: {log_snr}"
            )
        a, s = alpha(level), sigma(level)
        return GaussianMixture(self.weights, a * self.means, a**2 * self.variances + s**2)

    @finite_result
    def log_prob(self, x):
        """Return log q(x), [n] for x [n, d], in nats.

        Raises ``ValueError`` where a component has no width: points have no density, diffuse first.
        """
        kept = self.weights > 0
        if (self.variances[kept] == 0).any():
            raise ValueError(
                "this mixture holds point masses and has no density: call diffuse(log_snr) first"
            )
        if not kept.all():
            return GaussianMixture(
                self.weights[kept], self.means[kept], self.variances[kept]
            ).log_prob(x)
        joint = self._log_joint(self._require_points(x), 1.0, 0.0)
        highest = joint.max(axis=1, keepdims=True)
        return np.log(np.exp(joint - highest).sum(axis=1)) + highest[:, 0]

    @finite_result
    def score(self, z, log_snr):
        """Return ∇ log q(z) at level λ: Σ_k r_k (α μ_k − z)/C_k with C_k = α² v_k + σ²."""
        return self._in_parts(self._score, *self._at_level(z, log_snr))

    def _score(self, z, a, s):
        r = self._responsibilities(z, a, s) / self._spread(a, s)
        return a * (r @ self.means) - r.sum(axis=1, keepdims=True) * z

    def _in_parts(self, compute, z, a, s):
        """compute(z, a, s) by parts of z's rows: memory stays small, and the processor's cache."""
        rows = max(1, PART // len(self.weights))
        if len(z) <= rows:
            return compute(z, a, s)
        one_each = len(np.shape(a)) > 0 and len(a) == len(z)
        parts = (slice(i, i + rows) for i in range(0, len(z), rows))
        return np.concatenate(
            [compute(z[k], a[k], s[k]) if one_each else compute(z[k], a, s) for k in parts]
        )

    @finite_result
    def denoise(self, z, log_snr):
        """Return E[x|z] at level λ: Σ_k r_k [μ_k + α v_k (z − α μ_k)/C_k]."""
        z, a, s = self._at_level(z, log_snr)
        r = self._responsibilities(z, a, s)
        shrink = r * a * self.variances / self._spread(a, s)
        return (r - a * shrink) @ self.means + shrink.sum(axis=1, keepdims=True) * z

    @finite_result
    def eps(self, z, log_snr):
        """Return E[ε|z] = −σ ∇ log q(z) at level λ, the ideal noise prediction."""
        return -sigma(numeric(log_snr)) * self.score(z, log_snr)

    @finite_result
    def posterior_variance(self, z, log_snr):
        """Return tr Cov(x|z) at level λ, as [n]: what remains unknown about x once z is seen."""
        z, a, s = self._at_level(z, log_snr)
        r = self._responsibilities(z, a, s)
        spread = self._spread(a, s)
        gain = a * self.variances / spread
        total = (r * self.variances * s**2 / spread).sum(axis=1) * self.dim
        mean = self.denoise(z, log_snr)
        for j in range(self.dim):
            offset = (1 - a * gain) * self.means[:, j] + gain * z[:, j, None] - mean[:, j, None]
            total += (r * offset**2).sum(axis=1)
        return total

    def _spread(self, a, s):
        return a**2 * self.variances + s**2

    def _log_joint(self, z, a, s):
        """log(w_k N(z; α μ_k, C_k)) as [n, K], one dimension at a time to stay small."""
        spread = self._spread(a, s)
        squared = np.zeros((len(z), len(self.weights)))
        for j in range(self.dim):
            squared += (z[:, j, None] - a * self.means[:, j]) ** 2
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        return log_weights - 0.5 * (squared / spread + self.dim * np.log(2 * np.pi * spread))

    def _responsibilities(self, z, a, s):
        joint = self._log_joint(z, a, s)
        joint = np.exp(joint - joint.max(axis=1, keepdims=True))
        return joint / joint.sum(axis=1, keepdims=True)

    def _at_level(self, z, log_snr):
        z = self._require_points(z)
        log_snr = numeric(log_snr)
        require_levels_fit(log_snr, z)
        if not np.isfinite(log_snr).all():
            raise ValueError(f"a level must be finite, got {log_snr}")
        return z, alpha(log_snr), sigma(log_snr)

    def _require_points(self, z):
        z = finite("points", z)
        if z.ndim != 2 or z.shape[1] != self.dim:
            raise ValueError(f"points must be [n, {self.dim}] for this mixture, got {z.shape}")
        return z
