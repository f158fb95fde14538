"""A denoiser that is linear in its parameters: trained by one small solve, for any weighting (T9).

The model is ε̂(z, λ) = σ z + α φ(z, λ)ᵀΘ: a prediction φᵀΘ of v = α ε − σ x by random Fourier
features φ_k = cos(ω_k · z + ν_k λ + b_k) of the latent and its level. On fixed draws of x and ε
its squared error at every level is quadratic in Θ,

    e(λ) = c_λ − 2 ⟨b_λ, Θ⟩ + ⟨Θ, A_λ Θ⟩,

so the weighted loss ½ ∫ w e dλ + ρ‖Θ‖² has the minimiser Θ = (A(w) + ρ)⁻¹ b(w), in which
A(w) = ½ ∫ w A_λ dλ and b(w) = ½ ∫ w b_λ dλ are linear in w. A_λ and b_λ are computed once; each
movement of w is then a complete retraining by one Cholesky factorisation.

    model = LinearDenoiser.precompute(x, n_features=256, rng=np.random.default_rng(0))
    denoiser = model.retrain(sigmoid(2), ridge=1e-4)
    z = sample(denoiser.eps, levels, z_start)

A theorem: of all Θ, and so of all weightings, w ≡ 1 gives the least ½ ∫ e dλ + ρ‖Θ‖² on the very
draws that built A_λ and b_λ (``Denoiser.objective``). No theorem: the loss without the ridge, the
loss on fresh draws, and the look of the samples may be better for another w.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, cholesky, lapack
from scipy.special import ndtr

from course_utils._checks import (
    data_set,
    described,
    finite,
    finite_result,
    in_numpy,
    numeric,
    positive_number,
    prediction,
    real_number,
    require_count,
    require_function,
    require_kind,
    require_levels_fit,
    require_rng,
)
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, alpha, sigma
from course_utils.weightings import evaluate

N_LEVELS = 51


@dataclass(frozen=True, eq=False)
class FourierFeatures:
    """Random features cos(ω · z + ν λ + b) of a latent and its level, in float32.

    ``of_z`` [d, F] holds ω, ``of_level`` [F] ν and ``phase`` [F] b, all float32.
    """

    of_z: np.ndarray
    of_level: np.ndarray
    phase: np.ndarray

    @classmethod
    def draw(cls, n_features, dim, rng, *, frequencies=(0.3, 8.0), level_frequency=0.3):
        """Return random features: |ω| log-uniform on ``frequencies``, ν ~ N(0, level_frequency²).

        ω has a uniform direction, b is uniform on [0, 2π). Features are drawn one after another, so
        that of two sizes from one seed the larger contains the smaller. Raises ``ValueError`` for
        counts below 1 or frequencies that are not 0 < low < high.
        """
        require_count("n_features", n_features)
        require_count("dim", dim)
        require_rng(rng)
        ends = finite("frequencies", frequencies)
        low, high = ends if ends.shape == (2,) else (0, 0)
        level_frequency = real_number("level_frequency", level_frequency)
        if not 1e-30 < low < high < 1e30 or not 0 <= level_frequency < 1e30:
            raise ValueError(
                f"frequencies must be (low, high) with 0 < low < high, and level_frequency at "
                f"least 0, got {frequencies} and {level_frequency}"
            )
        rows = rng.standard_normal((n_features, dim + 3))  # a row a feature
        direction = rows[:, :dim] / np.linalg.norm(rows[:, :dim], axis=1, keepdims=True)
        share, turn = ndtr(rows[:, dim : dim + 2]).T  # uniform on [0, 1], each by itself
        size = low * (high / low) ** share
        parts = size * direction.T, level_frequency * rows[:, dim + 2], 2 * np.pi * turn
        return cls(*(np.ascontiguousarray(part, dtype=np.float32) for part in parts))

    def __post_init__(self):
        for name in ("of_z", "of_level", "phase"):
            object.__setattr__(self, name, _single(name, getattr(self, name)))
        n_features = self.phase.size
        if self.of_z.shape[1:] != (n_features,) or self.of_level.shape != self.phase.shape:
            shapes = self.of_z.shape, self.of_level.shape, self.phase.shape
            raise ValueError(f"need of_z [d, F], of_level [F] and phase [F], got shapes {shapes}")

    def __call__(self, z, log_snr):
        """Return the features [n, F], float32, of z [n, d] at one level or at levels [n, 1]."""
        z, log_snr = _single("z", z), _single("log_snr", log_snr)
        if z.ndim != 2 or z.shape[1] != len(self.of_z):
            raise ValueError(f"z must be [n, {len(self.of_z)}] for these features, got {z.shape}")
        require_levels_fit(log_snr[()] if log_snr.ndim == 0 else log_snr, z)
        angle = z @ self.of_z
        angle += log_snr * self.of_level + self.phase
        return np.cos(angle, out=angle)

    @property
    def count(self):
        """The number of features F."""
        return len(self.phase)


@dataclass(frozen=True, eq=False)
class Draws:
    """The same number of draws at every level: ``log_snr`` [L], ``x`` and ``noise`` [L, n, d].

    With ``features`` they know how a denoiser of these features errs on them.
    """

    log_snr: np.ndarray
    x: np.ndarray
    noise: np.ndarray
    features: FourierFeatures

    def __post_init__(self):
        object.__setattr__(self, "log_snr", _levels(self.log_snr))
        for name in ("x", "noise"):
            object.__setattr__(self, name, finite(name, getattr(self, name)))
        require_kind("features", self.features, FourierFeatures, "FourierFeatures.draw makes them")
        fits = self.x.ndim == 3 and len(self.x) == len(self.log_snr) and self.x.size
        if not fits or self.x.shape != self.noise.shape:
            raise ValueError(
                f"need log_snr [L] and x and noise [L, n, d], got shapes {self.log_snr.shape}, "
                f"{self.x.shape} and {self.noise.shape}"
            )

    @property
    def z(self):
        """The latents α x + σ ε, [L, n, d]."""
        level = self.log_snr[:, None, None]
        return alpha(level) * self.x + sigma(level) * self.noise

    @finite_result
    def error_of(self, eps):
        """Return E‖ε − ε̂‖² of any noise prediction on these draws, level by level, [L]."""
        require_function("eps", eps, "(z, log_snr)")
        pairs = zip(self.z, self.log_snr, self.noise, strict=True)
        return np.array(
            [_mean_square(noise - prediction(eps, z, level)) for z, level, noise in pairs]
        )

    @cached_property
    def _table(self):
        """Features times α, and ε − σ z: what is left of the error is linear in Θ."""
        phi = np.stack([self.features(z, s) for z, s in zip(self.z, self.log_snr, strict=True)])
        level = self.log_snr[:, None, None]
        target = self.noise - sigma(level) * self.z
        return np.float32(alpha(level)) * phi, target.astype(np.float32)


@dataclass(frozen=True, eq=False)
class LinearDenoiser:
    """What retraining needs, computed once: the features, and A_λ, b_λ, c_λ at L levels.

    ``log_snr`` [L] increases; ``features`` are F ``FourierFeatures``; ``gram`` [L, F(F+1)/2] holds
    the upper triangles of A_λ = α² E[φφᵀ] row by row, ``cross`` [L, F, d] is
    b_λ = α E[φ (ε − σz)ᵀ] and ``constant`` [L] is c_λ = E‖ε − σz‖², all float64, the averages being
    those over the training draws. Make one with ``precompute``.
    """

    log_snr: np.ndarray
    features: FourierFeatures
    gram: np.ndarray
    cross: np.ndarray
    constant: np.ndarray

    @classmethod
    def precompute(
        cls, x, n_features=256, *, rng, log_snr=None, n_draws=1500, features=None, **spread
    ):
        """Return the model of the data x [n, d], with ``n_draws`` draws of (x, ε) a level.

        ``log_snr``: increasing levels [L], default 51 on [−10, 10]. ``features`` are drawn by
        ``FourierFeatures.draw(n_features, d, rng, **spread)`` unless given. Takes some 0.5 s for
        256 features: the matrices' sums are in float64. Raises ``ValueError`` for data that are not
        finite [n, d] or levels that do not increase.
        """
        x = data_set(x)
        require_rng(rng)
        levels = np.linspace(LOG_SNR_MIN, LOG_SNR_MAX, N_LEVELS) if log_snr is None else log_snr
        levels = _levels(levels)
        if features is None:
            features = FourierFeatures.draw(n_features, x.shape[1], rng, **spread)
        require_kind("features", features, FourierFeatures, "FourierFeatures.draw makes them")
        draws = _draw(x, levels, n_draws, rng, features)
        n_features = features.count
        upper = np.triu_indices(n_features)
        gram = np.empty((len(levels), len(upper[0])))
        cross = np.empty((len(levels), n_features, x.shape[1]))
        constant = np.empty(len(levels))
        for i, (z, level, noise) in enumerate(zip(draws.z, levels, draws.noise, strict=True)):
            phi = alpha(level) * features(z, level).astype(np.float64)
            target = noise - sigma(level) * z
            gram[i] = (phi.T @ phi)[upper]
            cross[i] = phi.T @ target
            constant[i] = _mean_square(target)
        gram /= n_draws
        cross /= n_draws
        return cls(levels, features, gram, cross, constant)

    def draws(self, x, n, rng):
        """Return n fresh ``Draws`` a level of the data x [m, d], with this model's features."""
        x = data_set(x)
        if x.shape[1] != self.cross.shape[2]:
            raise ValueError(f"x must be [m, {self.cross.shape[2]}] for this model, got {x.shape}")
        require_rng(rng)
        return _draw(x, self.log_snr, n, rng, self.features)

    def retrain(self, w, ridge=1e-4):
        """Return the ``Denoiser`` that minimises ½ ∫ w e dλ + ρ‖Θ‖² on the training draws (T9).

        ``w`` is a function of the level, w ≥ 0; only its shape counts: it is divided by its mean
        over the levels, so that ρ = ``ridge`` > 0 means the same for every w. Raises ``ValueError``
        for a w that is negative, not finite or zero throughout, and where ρ is too small for a
        Cholesky factorisation.
        """
        ridge = positive_number("ridge", ridge)
        weights = evaluate(w, self.log_snr)
        mass = weights @ self._cells
        if not mass > 0:
            raise ValueError(f"w is zero at all {len(weights)} levels: nothing is learnt")
        with np.errstate(over="ignore", invalid="ignore"):
            weights = weights * (self._cells.sum() / mass)
        if not np.isfinite(weights).all():
            raise ValueError(f"w is too small or too uneven for float64, of mean mass {mass:g}")
        matrix, right = self._sum(weights)
        matrix.flat[:: len(matrix) + 1] += ridge
        try:
            factor = cholesky(matrix, check_finite=False)
        except np.linalg.LinAlgError as error:
            raise ValueError(
                f"A(w) + ρ is singular to rounding at ridge {ridge:g}: take a larger ridge"
            ) from error
        theta = cho_solve((factor, False), right, check_finite=False)
        norm = np.abs(matrix).sum(axis=0).max()
        return Denoiser(self, theta, ridge, weights, float(1 / lapack.dpocon(factor, norm)[0]))

    @cached_property
    def _cells(self):
        """The trapezoid rule's share of each level, [L]: Σ cells · f is ∫ f dλ."""
        gaps = np.diff(self.log_snr)
        return (np.append(gaps, 0) + np.append(0, gaps)) / 2

    def _sum(self, weights):
        """A(w) as a full matrix [F, F] and b(w) [F, d]."""
        shares = self._cells * weights / 2
        n_features = self.features.count
        matrix = np.zeros((n_features, n_features))
        matrix[self._upper] = shares @ self.gram
        matrix.T[self._upper] = matrix[self._upper]
        return matrix, np.tensordot(shares, self.cross, axes=1)

    @cached_property
    def _upper(self):
        """Where the upper triangle stands, as a mask: quicker than two lists of indices."""
        return np.triu(np.ones((self.features.count,) * 2, dtype=bool))

    @cached_property
    def _plain(self):
        """A(1), b(1) and c(1): the unweighted loss as one quadratic form."""
        return *self._sum(np.ones_like(self.log_snr)), float(self._cells @ self.constant / 2)


@dataclass(frozen=True, eq=False)
class Denoiser:
    """A trained ``LinearDenoiser``: its coefficients ``theta`` [F, d], float64, and its losses.

    ``weights`` [L] are w at the model's levels, of mean 1; ``condition`` is an estimate of the
    condition number of A(w) + ρ in the 1-norm.
    """

    model: LinearDenoiser
    theta: np.ndarray
    ridge: float
    weights: np.ndarray
    condition: float

    def eps(self, z, log_snr):
        """Return ε̂ = σ z + α φᵀΘ for z [n, d] at one level or [n, 1]; computed in float32."""
        z = in_numpy(z)
        if z.ndim != 2 or z.shape[1] != self.theta.shape[1]:
            raise ValueError(f"z must be [n, {self.theta.shape[1]}] for this model, got {z.shape}")
        log_snr = numeric(log_snr)
        return sigma(log_snr) * z + alpha(log_snr) * (
            self.model.features(z, log_snr) @ self._theta32
        )

    @cached_property
    def _theta32(self):
        return self.theta.astype(np.float32)

    @cached_property
    def elbo_loss(self):
        """½ ∫ e dλ on the training draws, in nats: the ELBO's diffusion term, w ≡ 1."""
        matrix, right, constant = self.model._plain
        return float(constant + np.sum(self.theta * (matrix @ self.theta - 2 * right)))

    @property
    def penalty(self):
        """ρ‖Θ‖², what the ridge adds to the loss."""
        return self.ridge * float(np.sum(self.theta**2))

    @property
    def objective(self):
        """½ ∫ e dλ + ρ‖Θ‖² on the training draws: of all w, least for w ≡ 1 (a theorem)."""
        return self.elbo_loss + self.penalty

    @cached_property
    def noise_error(self):
        """e(λ) on the training draws, level by level, [L]."""
        model = self.model
        products = 2 * self.theta @ self.theta.T
        products.flat[:: len(products) + 1] /= 2
        quadratic = model.gram @ products[model._upper]
        return model.constant - 2 * np.tensordot(model.cross, self.theta, axes=2) + quadratic

    @property
    def weighted_loss(self):
        """½ ∫ w e dλ + ρ‖Θ‖² on the training draws, which this Θ minimises."""
        return float(self.model._cells @ (self.weights * self.noise_error) / 2) + self.penalty

    def noise_error_on(self, draws):
        """Return e(λ) on given ``Draws`` with the model's features, level by level, [L]."""
        require_kind("draws", draws, Draws, "make them with model.draws(...)")
        if draws.features is not self.model.features:
            raise ValueError("these draws have other features: make them with model.draws(...)")
        phi, target = draws._table
        residual = phi.reshape(-1, phi.shape[2]) @ self._theta32
        residual -= target.reshape(residual.shape)
        squared = np.einsum("ij,ij->i", residual, residual, dtype=np.float64)
        return squared.reshape(phi.shape[:2]).mean(axis=1)

    def elbo_loss_on(self, draws):
        """Return ½ ∫ e dλ on given ``Draws``, in nats."""
        return float(self.model._cells @ self.noise_error_on(draws) / 2)


def _draw(x, levels, n, rng, features):
    require_count("n_draws", n)
    shape = len(levels), n, x.shape[1]
    chosen = x[rng.integers(len(x), size=shape[:2])]
    return Draws(levels, chosen, rng.standard_normal(shape), features)


def _mean_square(difference):
    return float(np.sum(difference**2) / len(difference))


def _single(name, value):
    """The value in float32, which float64 in its outer range does not fit."""
    value = in_numpy(value)
    if not (np.abs(value) <= 1e30).all():  # a NaN fails this too
        finite(name, value)
        raise ValueError(f"{name} must be at most 1e30 in size for float32, got {described(value)}")
    return value.astype(np.float32)


def _levels(log_snr):
    levels = finite("log_snr", log_snr)
    if levels.ndim != 1 or len(levels) < 2 or not (np.diff(levels) > 0).all():
        raise ValueError(
            f"log_snr must be a list of at least two increasing levels: {described(levels)}"
        )
    return levels
