"""Noise schedules: time t to log-SNR λ and back, the amplitudes α and σ, and discrete β lists.

Conventions of the whole course: t = 0 is data and t = 1 is noise; z = α x + σ ε with α² + σ² = 1
(variance preserving, VP); λ = log(α²/σ²) is the log-SNR and decreases in t.
"""

from dataclasses import dataclass

import numpy as np

from course_utils._checks import (
    float64,
    floating,
    real_number,
    require_between,
    require_count,
    require_known,
    require_schedule,
)

LOG_SNR_MIN, LOG_SNR_MAX = -10.0, 10.0  # the range of levels of the course, unless it says another


def _softplus(x, xp):
    return xp.logaddexp(xp.zeros_like(x), x)


def alpha(log_snr):
    """Return the signal's amplitude α = √sigmoid(λ), for levels of any shape."""
    xp, log_snr = floating(log_snr)
    return xp.exp(-0.5 * _softplus(-log_snr, xp))


def sigma(log_snr):
    """Return the noise's amplitude σ = √sigmoid(−λ), for levels of any shape."""
    xp, log_snr = floating(log_snr)
    return xp.exp(-0.5 * _softplus(log_snr, xp))


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A map from time t in [0, 1] to log-SNR λ, possibly cut to a range of levels.

    A schedule may reach infinite λ at an end. Giving ``log_snr_min`` or ``log_snr_max`` cuts it
    there, and t runs over what is left: t = 0 is then ``log_snr_max`` exactly. Nothing is clipped.
    All methods take a scalar or an array of any shape (NumPy or torch) and return the same shape.

    Raises ``ValueError`` if the range is empty or wider than the schedule, or if a time or a level
    lies outside it.
    """

    log_snr_min: float = -np.inf
    log_snr_max: float = np.inf

    def __post_init__(self):
        low, high = self._reach()
        for name, given, natural, natural_sign in [
            ("log_snr_min", self.log_snr_min, low, -1),
            ("log_snr_max", self.log_snr_max, high, 1),
        ]:
            left_out = isinstance(given, float) and given == np.copysign(np.inf, natural_sign)
            object.__setattr__(self, name, natural if left_out else real_number(name, given))
        if not self.log_snr_min < self.log_snr_max:
            raise ValueError(
                f"log_snr_min must be below log_snr_max, got {self.log_snr_min:g} and "
                f"{self.log_snr_max:g}: λ decreases from log_snr_max at t = 0"
            )
        if self.log_snr_min < low or self.log_snr_max > high:
            raise ValueError(
                f"{type(self).__name__} reaches λ from {low:.8g} to {high:.8g} only, got the range "
                f"{self.log_snr_min:.8g} to {self.log_snr_max:.8g}: choose one inside"
            )
        with np.errstate(over="ignore"):
            ends = [
                float(self._time(np.float64(end))) for end in (self.log_snr_max, self.log_snr_min)
            ]
        if not ends[0] < ends[1]:
            raise ValueError(
                f"the times at which {type(self).__name__} passes λ = {self.log_snr_max:g} and "
                f"{self.log_snr_min:g} are the same number in float64: choose levels nearer to 0"
            )
        object.__setattr__(self, "_clock", tuple(ends))

    def _reach(self):
        return -np.inf, np.inf

    def _full_time(self, t):
        xp, t = floating(t)
        require_between("t", t, 0, 1, "t = 0 is data, t = 1 is noise")
        start, stop = self._clock
        return xp, start + (stop - start) * t

    def log_snr(self, t):
        """Return λ(t)."""
        xp, time = self._full_time(t)
        with np.errstate(divide="ignore"):
            # at the ends of the range, rounding may not leave it
            return xp.clip(self._log_snr(time, xp), self.log_snr_min, self.log_snr_max)

    def log_snr_rate(self, t):
        """Return dλ/dt ≤ 0."""
        xp, time = self._full_time(t)
        with np.errstate(divide="ignore"):
            return (self._clock[1] - self._clock[0]) * self._log_snr_rate(time, xp)

    def beta(self, t):
        """Return β(t) = −σ² dλ/dt, the rate of S2: dx = −½ β x dt + √β dW."""
        xp, time = self._full_time(t)
        with np.errstate(divide="ignore"):
            return (self._clock[1] - self._clock[0]) * self._beta(time, xp)

    def time(self, log_snr):
        """Return the time at which the schedule passes λ."""
        _, log_snr = floating(log_snr)
        require_between(
            "log_snr", log_snr, self.log_snr_min, self.log_snr_max, f"the range of {self}"
        )
        start, stop = self._clock
        return (self._time(log_snr) - start) / (stop - start)

    def density(self, log_snr):
        """Return p(λ) = −dt/dλ, the density of levels that uniform t samples; 0 outside."""
        xp, log_snr = floating(log_snr)
        inside = (log_snr >= self.log_snr_min) & (log_snr <= self.log_snr_max)
        nearest = xp.clip(log_snr, self.log_snr_min, self.log_snr_max)
        with np.errstate(divide="ignore", over="ignore"):
            speed = -self._log_snr_rate(self._time(nearest), xp)
        return xp.where(
            inside, 1 / ((self._clock[1] - self._clock[0]) * speed), xp.zeros_like(nearest)
        )


@dataclass(frozen=True)
class LinearBeta(Schedule):
    """β(t) = β_min + (β_max − β_min) t, so λ(t) = −log(e^B − 1) with B(t) = ∫₀ᵗ β.

    Infinite at t = 0 unless ``log_snr_max`` cuts it. Source: Ho et al. 2020; Song et al. 2021,
    eq. 32. Raises ``ValueError`` unless 0 < beta_min ≤ beta_max.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self):
        for name in ("beta_min", "beta_max"):
            object.__setattr__(self, name, real_number(name, getattr(self, name)))
        if not 0 < self.beta_min <= self.beta_max:
            raise ValueError(
                f"need 0 < beta_min <= beta_max, got {self.beta_min} and {self.beta_max}: "
                "noise is only ever added"
            )
        if self.beta_max > 700:
            raise ValueError(f"beta_max must be at most 700, got {self.beta_max:g}: e^β overflows")
        super().__post_init__()

    def _reach(self):
        return float(-np.log(np.expm1((self.beta_min + self.beta_max) / 2))), np.inf

    def _beta(self, time, xp):
        return self.beta_min + (self.beta_max - self.beta_min) * time

    def _integrated_beta(self, time):
        return time * (self.beta_min + (self.beta_max - self.beta_min) * time / 2)

    def _log_snr(self, time, xp):
        return -xp.log(xp.expm1(self._integrated_beta(time)))

    def _log_snr_rate(self, time, xp):
        return self._beta(time, xp) / xp.expm1(-self._integrated_beta(time))

    def _time(self, log_snr):
        xp, log_snr = floating(log_snr)
        integral = _softplus(-log_snr, xp)
        slope = 2 * (self.beta_max - self.beta_min) * integral
        # the root of the quadratic in the form that does not cancel for small B
        return 2 * integral / (self.beta_min + xp.sqrt(self.beta_min**2 + slope))


@dataclass(frozen=True)
class Cosine(Schedule):
    """α(t) = cos(πt/2), so λ(t) = −2 log tan(πt/2) and p(λ) = sech(λ/2)/2π.

    Source: Nichol & Dhariwal 2021, eq. 17, without the offset s = 0.008.
    """

    def _tan(self, time, xp):
        """tan(πt/2), infinite at t = 1: π/2 itself is no number of float64."""
        rest = xp.tan(np.pi / 2 * (1 - time))
        return xp.where(time < 0.5, xp.tan(np.pi / 2 * time), 1 / rest)

    def _log_snr(self, time, xp):
        return -2 * xp.log(self._tan(time, xp))

    def _log_snr_rate(self, time, xp):
        tan = self._tan(time, xp)
        return -np.pi * (tan + 1 / tan)  # −2π/sin πt

    def _beta(self, time, xp):
        return np.pi * self._tan(time, xp)

    def _time(self, log_snr):
        xp, log_snr = floating(log_snr)
        return 2 / np.pi * xp.atan(xp.exp(-log_snr / 2))


@dataclass(frozen=True)
class FlowMatching(Schedule):
    """The straight path (1 − t) x + t ε: λ(t) = 2 log((1 − t)/t) and p(λ) = sech²(λ/4)/8.

    The path's own latent has variance (1 − t)² + t²; divide it by the root of that to obtain the
    VP latent z of this course. Source: Lipman et al. 2023, eq. 20–23 with σ_min = 0.
    """

    def _log_snr(self, time, xp):
        return 2 * (xp.log(1 - time) - xp.log(time))

    def _log_snr_rate(self, time, xp):
        return -2 / (time * (1 - time))

    def _beta(self, time, xp):
        return 2 * time / ((1 - time) * ((1 - time) ** 2 + time**2))

    def _time(self, log_snr):
        xp, log_snr = floating(log_snr)
        return xp.exp(-_softplus(log_snr / 2, xp))


@dataclass(frozen=True)
class LinearLogSnr(Schedule):
    """λ(t) falls in a straight line, so p(λ) is uniform on the range.

    A geometric sequence of noise levels (variance exploding, NCSN) is this schedule too. Source:
    Kingma et al. 2021, and Song et al. 2021 (eq. 31) for the geometric σ.
    """

    log_snr_min: float = LOG_SNR_MIN
    log_snr_max: float = LOG_SNR_MAX

    def __post_init__(self):
        for name in ("log_snr_min", "log_snr_max"):
            object.__setattr__(self, name, real_number(name, getattr(self, name)))
        if not np.isfinite(self.log_snr_max - self.log_snr_min):
            raise ValueError(
                f"the range {self.log_snr_min:g} to {self.log_snr_max:g} is too wide for float64"
            )
        super().__post_init__()

    def _log_snr(self, time, xp):
        return self.log_snr_max + (self.log_snr_min - self.log_snr_max) * time

    def _log_snr_rate(self, time, xp):
        return (self.log_snr_min - self.log_snr_max) * xp.ones_like(time)

    def _beta(self, time, xp):
        return (self.log_snr_max - self.log_snr_min) * sigma(self._log_snr(time, xp)) ** 2

    def _time(self, log_snr):
        return (self.log_snr_max - log_snr) / (self.log_snr_max - self.log_snr_min)


def ddpm_betas(n_steps=1000, beta_first=1e-4, beta_last=0.02):
    """Return DDPM's list: β rises in a straight line from 1e-4 to 0.02 over n_steps entries.

    Returns [n_steps]. Source: Ho et al. 2020, section 4 (n_steps = 1000). With another n_steps
    the end values stay, so a short list does not reach noise.
    """
    require_count("n_steps", n_steps)
    first, last = real_number("beta_first", beta_first), real_number("beta_last", beta_last)
    return require_betas(np.linspace(first, last, n_steps))


def discrete_betas(schedule, n_steps, rule="exact"):
    """Return the chain's β_1 … β_N that belong to a continuous schedule, on the grid t_i = i/N.

    ``"exact"``: β_i = 1 − exp(−∫β) over the step, for which the chain has no error at any N.
    ``"left"``, ``"mid"``, ``"right"``: β_i = β(t)/N at that point of the step, with an error of
    first order in 1/N. Returns [n_steps]. Raises ``ValueError`` for an unknown rule, fewer than
    one step, or a β_i outside (0, 1) (too few steps, or an infinite rate at an end).
    """
    require_schedule(schedule)
    require_count("n_steps", n_steps)
    require_known("rule", rule, ("exact", "left", "mid", "right"))
    grid = np.arange(n_steps + 1) / n_steps
    if rule == "exact":
        log_alpha_squared = -_softplus(-schedule.log_snr(grid), np)
        betas = -np.expm1(np.diff(log_alpha_squared))
    else:
        points = {"left": grid[:-1], "mid": (grid[:-1] + grid[1:]) / 2, "right": grid[1:]}[rule]
        betas = schedule.beta(points) / n_steps
    return require_betas(betas)


def alpha_bar(betas):
    """Return ᾱ_t = Π_{s≤t} (1 − β_s) for t = 1 … T, the squared signal amplitude of the chain.

    Takes and returns [T]. Raises ``ValueError`` unless every β lies strictly between 0 and 1.
    """
    return np.cumprod(1 - require_betas(betas))


def log_snr_from_alpha_bar(alpha_bar):
    """Return λ = log(ᾱ/(1 − ᾱ)), the level that a discrete chain has reached, for 0 < ᾱ < 1."""
    value = float64(alpha_bar)
    if not bool(((value > 0) & (value < 1)).all()):
        raise ValueError(f"ᾱ must lie strictly between 0 and 1, got {alpha_bar!r}")
    return np.log(value) - np.log1p(-value)


def require_betas(betas):
    """Return betas as a float array [T], or raise ``ValueError`` unless all lie in (0, 1)."""
    betas = float64(betas)
    if betas.ndim != 1 or betas.size == 0:
        raise ValueError(f"betas must be a list of at least one number, got shape {betas.shape}")
    bad = ~((betas > 0) & (betas < 1))
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(
            f"every β must lie strictly between 0 and 1, but entry {i} of {betas.size} is "
            f"{betas[i]:g}: with a sampled β(t) use more steps, or rule='exact' on a cut schedule"
        )
    return betas
