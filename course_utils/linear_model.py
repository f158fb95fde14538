"""A denoiser that is linear in its parameters: trained by one small solve, for any weighting (T9).

The model is ε̂(z, λ) = σ z + α φ(z, λ)ᵀΘ: a prediction φᵀΘ of v = α ε − σ x by random Fourier
features φ_k = cos(ω_k · z + ν_k λ + b_k) of the latent and its level. On fixed draws of x and ε
its squared error at every level is quadratic in Θ,

    e(λ) = c_λ − 2 ⟨b_λ, Θ⟩ + ⟨Θ, A_λ Θ⟩,
    A_λ = α² E[φφᵀ],  b_λ = α E[φ (ε − σz)ᵀ],  c_λ = E‖ε − σz‖²,

so the weighted loss ½ ∫ w e dλ + ρ‖Θ‖² has the minimiser Θ = (A(w) + ρ)⁻¹ b(w), in which
A(w) = ½ ∫ w A_λ dλ and b(w) = ½ ∫ w b_λ dλ are linear in w. A_λ and b_λ are computed once; each
movement of w is then a complete retraining by one Cholesky factorisation.

    model = LinearDenoiser.precompute(x, n_features=256, rng=np.random.default_rng(0))
    denoiser = model.retrain(sigmoid(2), ridge=1e-4)
    z = sample(denoiser.eps, levels, z_start)

Theorem T9: of all Θ, and so of all weightings, w ≡ 1 gives the least ½ ∫ e dλ + ρ‖Θ‖² on the very
draws that built A_λ and b_λ. The loss on fresh draws, and the samples, may be better for another w.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray
from numpy.typing import ArrayLike
from scipy.linalg import cho_solve, cholesky, lapack
from scipy.special import ndtr

from course_utils._checks import (
    data_set,
    freeze,
    frozen,
    predicted,
    require_increasing,
    require_levels_fit,
)
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, alpha, sigma
from course_utils.weightings import evaluate

Levels = Float[ndarray, " levels"]


@dataclass(frozen=True, eq=False)
class FourierFeatures:
    """Random features cos(ω · z + ν λ + b) of a latent and its level, in float32.

    ``of_z`` [d, F] holds ω, ``of_level`` [F] ν and ``phase`` [F] b.
    """

    of_z: Float[ndarray, "d f"]
    of_level: Float[ndarray, " f"]
    phase: Float[ndarray, " f"]

    @classmethod
    def draw(cls, n_features, dim, rng, *, level_frequency=0.3):
        """Return random features: |ω| log-uniform on [0.3, 8], ν ~ N(0, level_frequency²).

        ω's direction and b are uniform. Of two sizes from one seed the larger contains the smaller.
        """
        rows = rng.standard_normal((n_features, dim + 3))  # one row for each feature
        direction = rows[:, :dim] / np.linalg.norm(rows[:, :dim], axis=1, keepdims=True)
        share, turn = ndtr(rows[:, dim : dim + 2]).T  # independent, uniform on [0, 1]
        size = 0.3 * (8.0 / 0.3) ** share
        return cls(size * direction.T, level_frequency * rows[:, dim + 2], 2 * np.pi * turn)

    def __post_init__(self):
        freeze(self, "of_z", "of_level", "phase", dtype=np.float32)

    def __call__(self, z: ArrayLike, log_snr) -> Float32[ndarray, "n f"]:
        """Return the features of z [n, d] at one level or at levels [n, 1]."""
        z, log_snr = np.asarray(z, np.float32), np.asarray(log_snr, np.float32)
        require_levels_fit(log_snr, z)
        angle = z @ self.of_z
        angle += log_snr * self.of_level + self.phase
        return np.cos(angle, out=angle)

    @property
    def count(self):
        """The number of features F."""
        return len(self.phase)


@dataclass(frozen=True, eq=False)
class Draws:
    """The same number of draws of x and ε at every level."""

    log_snr: Levels
    x: Float[ndarray, "levels n d"]
    noise: Float[ndarray, "levels n d"]

    def __post_init__(self):
        freeze(self, "log_snr", "x", "noise")

    @classmethod
    def of(cls, x, log_snr, n, rng):
        """Return n draws a level of the data x [m, d]."""
        shape = len(log_snr), n, x.shape[1]
        chosen = x[rng.integers(len(x), size=shape[:2])]
        return cls(log_snr, chosen, rng.standard_normal(shape))

    @property
    def z(self) -> Float[ndarray, "levels n d"]:
        """The latents α x + σ ε."""
        level = self.log_snr[:, None, None]
        return alpha(level) * self.x + sigma(level) * self.noise

    def eps_mse(self, eps) -> Levels:
        """Return E‖ε − ε̂‖² of any noise prediction ``eps(z, log_snr)`` on these draws."""
        pairs = zip(self.z, self.log_snr, self.noise, strict=True)
        found = [np.sum((noise - predicted(eps, z, level)) ** 2) for z, level, noise in pairs]
        return np.array(found) / self.noise.shape[1]


@dataclass(frozen=True, eq=False)
class LinearDenoiser:
    """What retraining needs, made by ``precompute``: the features, and A_λ, b_λ, c_λ at each level.

    These are ``gram``, ``cross`` and ``constant``, averaged over the training draws.
    """

    log_snr: Levels
    features: FourierFeatures
    gram: Float[ndarray, "levels f f"]
    cross: Float[ndarray, "levels f d"]
    constant: Levels

    def __post_init__(self):
        freeze(self, "log_snr", "gram", "cross", "constant")

    @classmethod
    def precompute(cls, x, n_features=256, *, rng, log_snr=None, n_draws=1500, features=None):
        """Return the model of the data x [n, d], with ``n_draws`` draws of (x, ε) a level.

        ``log_snr``: increasing levels, by default 51 on [−10, 10]. ``features`` are drawn if not
        given. Raises ``ValueError`` for data with gaps and for levels that do not increase.
        """
        levels = np.linspace(LOG_SNR_MIN, LOG_SNR_MAX, 51) if log_snr is None else log_snr
        levels, x = require_increasing("log_snr", levels), data_set(x)
        features = features or FourierFeatures.draw(n_features, x.shape[1], rng)
        draws = Draws.of(x, levels, n_draws, rng)
        gram, cross, constant = [], [], []
        for z, level, noise in zip(draws.z, levels, draws.noise, strict=True):
            phi = alpha(level) * features(z, level).astype(np.float64)
            target = noise - sigma(level) * z
            gram.append(phi.T @ phi / n_draws)
            cross.append(phi.T @ target / n_draws)
            constant.append(np.sum(target**2) / n_draws)
        return cls(levels, features, *map(np.array, (gram, cross, constant)))

    def draws(self, x: ArrayLike, n, rng):
        """Return n fresh ``Draws`` a level of the data x [m, d]."""
        return Draws.of(data_set(x), self.log_snr, n, rng)

    def retrain(self, w, ridge=1e-4):
        """Return the ``Denoiser`` of Θ = (A(w) + ρ)⁻¹ b(w): least ½ ∫ w e dλ + ρ‖Θ‖² (T9).

        w is divided by its mean over the levels, so that ρ = ``ridge`` > 0 means the same for every
        w. Raises ``ValueError`` for a w that is negative, not finite or zero throughout.
        """
        weights = evaluate(w, self.log_snr)
        mass = weights @ self.cells
        if mass == 0:
            raise ValueError(f"w is zero at all {len(weights)} levels: nothing is learnt")
        weights = weights * (self.cells.sum() / mass)
        shares = self.cells * weights / 2
        matrix = np.tensordot(shares, self.gram, axes=1)  # A(w)
        right = np.tensordot(shares, self.cross, axes=1)  # b(w)
        matrix.flat[:: len(matrix) + 1] += ridge
        factor = cholesky(matrix, check_finite=False)
        theta = cho_solve((factor, False), right, check_finite=False)
        norm = np.abs(matrix).sum(axis=0).max()
        return Denoiser(self, theta, ridge, weights, float(1 / lapack.dpocon(factor, norm)[0]))

    @cached_property
    def cells(self) -> Levels:
        """The trapezoid rule's share of each level: Σ cells · f is ∫ f dλ."""
        gaps = np.diff(self.log_snr)
        return frozen((np.append(gaps, 0) + np.append(0, gaps)) / 2)


@dataclass(frozen=True, eq=False)
class Denoiser:
    """A trained ``LinearDenoiser``: its coefficients Θ = ``theta`` and its losses.

    ``weights`` are w at the model's levels, of mean 1; ``condition`` is about that of A(w) + ρ.
    """

    model: LinearDenoiser
    theta: Float[ndarray, "f d"]
    ridge: float
    weights: Levels
    condition: float

    def __post_init__(self):
        freeze(self, "theta", "weights")

    def eps(self, z: Float[ndarray, "n d"], log_snr):
        """Return ε̂ = σ z + α φᵀΘ at one level or at levels [n, 1]; φᵀΘ in float32."""
        phi = self.model.features(z, log_snr)
        return sigma(log_snr) * z + alpha(log_snr) * (phi @ self.theta.astype(np.float32))

    @property
    def elbo_loss(self):
        """½ ∫ e dλ on the training draws, in nats: the ELBO's diffusion term, w ≡ 1."""
        return float(self.model.cells @ self.eps_mse / 2)

    @property
    def objective(self):
        """½ ∫ e dλ + ρ‖Θ‖² on the training draws: of all w, least for w ≡ 1 (T9)."""
        return self.elbo_loss + self.ridge * float(np.sum(self.theta**2))

    @cached_property
    def eps_mse(self) -> Levels:
        """e(λ) = c_λ − 2 ⟨b_λ, Θ⟩ + ⟨Θ, A_λ Θ⟩ on the training draws."""
        quadratic = np.tensordot(self.model.gram, self.theta @ self.theta.T, axes=2)
        linear = np.tensordot(self.model.cross, self.theta, axes=2)
        return self.model.constant - 2 * linear + quadratic

    def elbo_loss_on(self, draws: Draws):
        """Return ½ ∫ e dλ on given ``Draws``, over their levels, in nats."""
        return float(np.trapezoid(draws.eps_mse(self.eps), draws.log_snr) / 2)
