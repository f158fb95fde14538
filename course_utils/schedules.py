"""Noise schedules: time t to log-SNR λ and back, the amplitudes α and σ, and discrete β lists.

Conventions of the whole course: t = 0 is data and t = 1 is noise; z = α x + σ ε with α² + σ² = 1
(variance preserving, VP); λ = log(α²/σ²) is the log-SNR and decreases in t.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator
from scipy.optimize import brentq
from scipy.special import expit, log_expit, logit

from course_utils._checks import extremes, frozen, keep, require_known

HALF_PI = np.pi / 2
NEAR, FAR = 1e-9, 30.0  # an end of [0, 1], and levels where formulas may divide by 0
LOG_SNR_MIN, LOG_SNR_MAX = -10.0, 10.0  # the range of levels of the course, where none is given
RULES = ("exact", "left", "mid", "right")  # of ``discrete_betas``


def alpha(log_snr):
    """Return the signal's amplitude α = √sigmoid(λ), for levels of any shape."""
    return np.sqrt(expit(log_snr))


def sigma(log_snr):
    """Return the noise's amplitude σ = √sigmoid(−λ), for levels of any shape."""
    return np.sqrt(expit(np.negative(log_snr)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Schedule:
    """A map from time t in [0, 1] to log-SNR λ, possibly cut to a range of levels.

    A schedule may reach infinite λ at an end. Giving ``log_snr_min`` or ``log_snr_max`` cuts it
    there, and t runs over what is left: t = 0 is then ``log_snr_max`` exactly. Nothing is clipped.
    A copy by ``dataclasses.replace`` keeps the range. Times and levels have any shape. Raises
    ``ValueError`` for a range that is empty or not reached, and for times outside [0, 1].

    A schedule of your own is a subclass with three formulas of the whole, uncut schedule, whose
    time is called u: ``level(u)`` is λ(u), falling from u = 0 to 1, ``clock(log_snr)`` its inverse,
    and ``rate(u)`` is β(u) = −σ² dλ/du, all of numbers and arrays. With parameters it is a frozen
    dataclass. Raises ``ValueError`` where the three do not agree.
    """

    log_snr_min: float = -np.inf
    log_snr_max: float = np.inf

    def __post_init__(self):
        # of a float32 the time would be too coarse
        keep(self, log_snr_min=float(self.log_snr_min), log_snr_max=float(self.log_snr_max))
        self._require_agreement()
        with np.errstate(divide="ignore", invalid="ignore"):
            high, low = self.level(np.array([0.0, 1.0]))
        within, start, stop = (low, high), 0.0, 1.0
        if self.log_snr_max != np.inf:
            high, start = self.log_snr_max, self.clock(self.log_snr_max)
        if self.log_snr_min != -np.inf:
            low, stop = self.log_snr_min, self.clock(self.log_snr_min)
        if not (low < high and -1e-12 < start < stop < 1 + 1e-12):
            raise ValueError(
                f"need log_snr_min < log_snr_max, got {low:g} and {high:g}, of the levels "
                f"{within[0]:.8g} to {within[1]:.8g} that {type(self).__name__} reaches"
            )
        low, high, start, length = map(float, (low, high, start, stop - start))
        keep(self, log_snr_min=low, log_snr_max=high, _start=start, _length=length)
        keep(self, _inner=(max(low, -FAR), min(high, FAR)))

    def _require_agreement(self):
        u, step = np.array([0.12, 0.34, 0.56, 0.78]), 1e-5
        level, slope = self.level(u), (self.level(u - step) - self.level(u + step)) / (2 * step)
        beta, share = expit(-level) * slope, self._whole_density(level) * slope
        for rule, holds in (
            ("level(u) must fall from u = 0, data, to u = 1, noise", slope > 0),
            ("clock must be the inverse of level", np.abs(self.clock(level) - u) < 1e-3),
            ("rate(u) must be −σ² dλ/du, λ = level(u)", np.abs(self.rate(u) - beta) < 0.01 * beta),
            ("density must be −du/dλ", np.abs(share - 1) < 0.01),
        ):
            if not holds.all():
                raise ValueError(f"{rule}: in {type(self).__name__} it is not")

    def log_snr(self, t):
        """Return λ(t)."""
        return self._at(self.level, t, self.log_snr_min, self.log_snr_max)

    def log_snr_rate(self, t):
        """Return dλ/dt = −1/p(λ(t)) ≤ 0."""
        with np.errstate(divide="ignore"):
            return -1 / self.density(self.log_snr(t))

    def beta(self, t):
        """Return β(t) = −σ² dλ/dt, the rate of S2: dx = −½ β x dt + √β dW."""
        beta = self._at(self.rate, t)
        return beta if self._length == 1 else self._length * beta

    def time(self, log_snr):
        """Return the time at which the schedule passes λ."""
        u = self.clock(log_snr if isinstance(log_snr, float) else np.asarray(log_snr, float))
        return u if self._length == 1 else (u - self._start) / self._length

    def density(self, log_snr):
        """Return p(λ) = −dt/dλ = σ²/β, the density of levels that uniform t samples; 0 outside."""
        low, high = self._inner
        if isinstance(log_snr, float) and low <= log_snr <= high:  # quicker for one number
            return self._whole_density(log_snr) / self._length
        log_snr = np.asarray(log_snr, dtype=np.float64)
        least, most = extremes(log_snr)
        if low <= least and most <= high:
            return self._whole_density(log_snr) / self._length
        inside = (self.log_snr_min <= log_snr) & (log_snr <= self.log_snr_max)
        with np.errstate(all="ignore"):  # whatever comes of levels outside
            p = self._whole_density(log_snr) / self._length
        return np.where(inside & np.isfinite(log_snr), p, 0.0)[()]

    def _whole_density(self, log_snr):
        return expit(-log_snr) / self.rate(self.clock(log_snr))

    def _at(self, formula, t, low=-np.inf, high=np.inf):
        """Return the formula of u, the whole schedule's time, at the time t of what is left."""
        if isinstance(t, float) and NEAR < t < 1 - NEAR:  # quicker for one number
            return formula(self._start + self._length * t)
        t = np.asarray(t, dtype=np.float64)
        first, last = extremes(t)
        if t.size and not 0 <= first <= last <= 1:
            raise ValueError("times lie in [0, 1]: t = 0 is data, t = 1 is noise, step i is i/N")
        u = t if self._length == 1 else self._start + self._length * t
        if first > NEAR and last < 1 - NEAR:
            found = formula(u)
        else:
            with np.errstate(divide="ignore"):  # infinite at an end, or rounded out of the range
                found = np.minimum(np.maximum(formula(u), low), high)
        return found if isinstance(found, np.ndarray) else np.full(t.shape, found)[()]  # a constant


@dataclass(frozen=True)
class LinearBeta(Schedule):
    """β(t) = β_min + (β_max − β_min) t, so λ(t) = −log(e^B − 1) with B(t) = ∫₀ᵗ β = −log α².

    Infinite at t = 0 unless ``log_snr_max`` cuts it. Raises ``ValueError`` unless
    0 < beta_min ≤ beta_max. Source: Ho et al. 2020; Song et al. 2021.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self):
        if not 0 < self.beta_min <= self.beta_max:
            got = f"got {self.beta_min} and {self.beta_max}"
            raise ValueError(f"need 0 < beta_min <= beta_max, for noise is only ever added: {got}")
        super().__post_init__()

    def level(self, u):
        return -np.log(np.expm1(u * (self.beta_min + (self.beta_max - self.beta_min) * u / 2)))

    def clock(self, log_snr):
        # the root of B(u) = −log α², in the form that does not cancel for small B
        integral, slope = -log_expit(log_snr), self.beta_max - self.beta_min
        return 2 * integral / (self.beta_min + np.sqrt(self.beta_min**2 + 2 * slope * integral))

    def rate(self, u):
        return self.beta_min + (self.beta_max - self.beta_min) * u


@dataclass(frozen=True)
class Cosine(Schedule):
    """α(t) = cos(πt/2), so λ(t) = −2 log tan(πt/2) and p(λ) = sech(λ/2)/2π.

    Source: Nichol & Dhariwal 2021, eq. 17, without the offset s = 0.008.
    """

    def level(self, u):
        return -2 * np.log(_tan(u))

    def clock(self, log_snr):
        return 2 / np.pi * np.arctan(np.exp(-log_snr / 2))

    def rate(self, u):
        return np.pi * _tan(u)

    def _whole_density(self, log_snr):
        return 1 / (2 * np.pi * np.cosh(log_snr / 2))


def _tan(u):
    """tan(πu/2), exact up to u = 1, where it is infinite: π/2 itself is no number of float64."""
    if isinstance(u, float):  # quicker for one number
        return np.tan(HALF_PI * u) if u < 0.5 else 1 / np.tan(HALF_PI * (1 - u))
    return np.sin(HALF_PI * u) / np.sin(HALF_PI * (1 - u))


@dataclass(frozen=True)
class FlowMatching(Schedule):
    """The straight path (1 − t) x + t ε: λ(t) = 2 log((1 − t)/t) and p(λ) = sech²(λ/4)/8.

    The path's own latent has variance (1 − t)² + t²; divide it by the root of that to obtain the
    VP latent z of this course. Source: Lipman et al. 2023, eq. 20–23 with σ_min = 0.
    """

    def level(self, u):
        return 2 * np.log((1 - u) / u)

    def clock(self, log_snr):
        return expit(-log_snr / 2)

    def rate(self, u):
        return 2 * u / ((1 - u) * ((1 - u) ** 2 + u**2))

    def _whole_density(self, log_snr):
        return 1 / (8 * np.cosh(log_snr / 4) ** 2)


@dataclass(frozen=True)
class LinearLogSnr(Schedule):
    """λ(t) falls in a straight line, so p(λ) is uniform on the range.

    A geometric sequence of noise levels (variance exploding, NCSN) is this schedule too. Source:
    Kingma et al. 2021, and Song et al. 2021 for the geometric σ.
    """

    log_snr_min: float = LOG_SNR_MIN
    log_snr_max: float = LOG_SNR_MAX

    def level(self, u):
        return self.log_snr_max + (self.log_snr_min - self.log_snr_max) * u

    def clock(self, log_snr):
        return (self.log_snr_max - log_snr) / (self.log_snr_max - self.log_snr_min)

    def rate(self, u):
        return (self.log_snr_max - self.log_snr_min) * expit(-self.level(u))

    def _whole_density(self, log_snr):
        return 0 * log_snr + 1 / (self.log_snr_max - self.log_snr_min)


@dataclass(frozen=True, eq=False)
class StepList:
    """The T levels of a training script, one a step, drawn with the shares ``shares`` [T].

    ``steps`` [T] are levels, falling from data to noise. The last may be −∞ (zero terminal SNR): it
    is drawn, but stands apart from the density. Between the levels t(λ), the share of the draws
    that are cleaner, is smooth and monotone, and p(λ) = −dt/dλ; it covers the levels that are
    reached and no others. Raises ``ValueError`` for levels that do not fall.
    """

    steps: ArrayLike
    shares: ArrayLike | None = None
    n_draws: int = 0  # from which the shares were counted; 0: they are exact

    def __post_init__(self):
        steps, n = frozen(self.steps), len(self.steps)
        reached = np.isfinite(steps)
        if not (np.diff(steps) < 0).all() or reached.sum() < 3 or not reached[:-1].all():
            raise ValueError(
                "a script's levels go from data to noise, at least three with signal, each noisier "
                "than the one before, and only the last may be pure noise (β = 1, ᾱ = 0): turn the "
                "list round by [::-1], and drop what stands twice or is clean data (ᾱ = 1, σ = 0)"
            )
        shares = frozen(np.full(n, 1 / n) if self.shares is None else self.shares)
        # t = i/T at step i; t = 1 is pure noise, where no step is the one after the last
        whole = 1.0 if not reached.all() else 1 + shares[-1]
        at, t = steps[reached], np.cumsum(shares)[reached] / whole
        # Interpolated is y = ln((t + a)/(1 − t + b)): at an end t may go as a power of e^λ (a = 0)
        # or in a straight line (a large), and a is what keeps the first slope of y the second.
        offsets = _offset(at[:3], t[:3]), _offset(-at[:-4:-1], (1 - t)[:-4:-1])
        y = np.log((t + offsets[0]) / (1 - t + offsets[1]))
        slopes = PchipInterpolator(-at, y)(-at, 1)
        for end in (0, -1):  # beside a long last step it is 0 there
            slopes[end] = slopes[end] or (np.diff(y) / -np.diff(at))[end]
        keep(self, steps=steps, shares=shares, log_snr_min=float(at[-1]), log_snr_max=float(at[0]))
        keep(self, _time=CubicHermiteSpline(-at, y, slopes), _offsets=offsets, _whole=whole)

    @property
    def terminal(self):
        """The share of the draws that are pure noise, at λ = −∞."""
        return float(self.shares[-1]) if self.steps[-1] == -np.inf else 0.0

    def density(self, log_snr):
        """Return p(λ), the density of the levels drawn in training; 0 outside those reached."""
        log_snr = np.asarray(log_snr, dtype=np.float64)
        inside = (self.log_snr_min <= log_snr) & (log_snr <= self.log_snr_max)
        at = np.where(inside, -log_snr, -self.log_snr_max)
        a, b = self._offsets
        ratio = np.exp(self._time(at))  # (t + a)/(1 − t + b)
        before, after = (1 + a + b) * ratio / (1 + ratio), (1 + a + b) / (1 + ratio)
        p = self._whole * self._time(at, 1) / (1 / before + 1 / after)
        return np.where(inside, p, 0.0)[()]


def _offset(log_snr, t):
    """Return a for which ln(t + a) is as steep between the first two of three levels as after."""
    first, second = -np.diff(log_snr)

    def steeper(a):
        return np.log((t[1] + a) / (t[0] + a)) * second - np.log((t[2] + a) / (t[1] + a)) * first

    low, high = 1e-3 * t[0] - t[0], 1e6 * t[0]
    if steeper(low) < 0:  # a longer first step than any power explains
        return low
    return brentq(steeper, low, high) if steeper(high) < 0 else high


def ddpm_betas(n_steps=1000, beta_first=1e-4, beta_last=0.02):
    """Return DDPM's list [n_steps]: β rises in a straight line from 1e-4 to 0.02.

    A short list has the same end values, and does not reach noise. Source: Ho et al. 2020, sec. 4.
    """
    return require_betas(np.linspace(beta_first, beta_last, n_steps))


def capped_cosine_betas(n_steps=1000):
    """Return the cosine list as scripts have it [n_steps]: with an offset, and β at most 0.999.

    β_i = 1 − f(i)/f(i − 1) with f(i) = cos²(π/2 · (i/N + s)/(1 + s)), s = 0.008.
    Source: Nichol & Dhariwal 2021, eq. 17 and below.
    """
    t = np.arange(n_steps + 1) / n_steps
    f = np.cos(HALF_PI * (t + 0.008) / 1.008) ** 2
    return np.minimum(1 - f[1:] / f[:-1], 0.999)


def discrete_betas(schedule, n_steps, rule="exact"):
    """Return the chain's β_1 … β_N that belong to a continuous schedule, on the grid t_i = i/N.

    ``"exact"``: β_i = 1 − α_i²/α_{i−1}² = 1 − exp(−∫β) over the step, for which the chain has no
    error at any N. ``"left"``, ``"mid"``, ``"right"``: β_i = β(t)/N at that point of the step, with
    an error of first order in 1/N. Returns [n_steps]. Raises ``ValueError`` for an unknown rule or
    a β_i outside (0, 1) (too few steps, or an infinite rate at an end).
    """
    require_known("rule", rule, RULES)
    grid = np.arange(n_steps + 1) / n_steps
    if rule == "exact":
        return require_betas(-np.expm1(np.diff(log_expit(schedule.log_snr(grid)))))
    points = {"left": grid[:-1], "mid": (grid[:-1] + grid[1:]) / 2, "right": grid[1:]}[rule]
    return require_betas(schedule.beta(points) / n_steps)


def alpha_bar(betas):
    """Return ᾱ_t = Π_{s≤t} (1 − β_s) [T], the chain's squared signal amplitude, from betas [T]."""
    return np.cumprod(1 - require_betas(betas))


def log_snr_from_alpha_bar(alpha_bar):
    """Return λ = log(ᾱ/(1 − ᾱ)), the level that a discrete chain has reached; −∞ for ᾱ = 0.

    Raises ``ValueError`` for ᾱ outside [0, 1].
    """
    bars = np.asarray(alpha_bar, dtype=np.float64)
    least, most = extremes(bars)
    if bars.size and not 0 <= least <= most <= 1:
        raise ValueError("ᾱ = Π (1 − β) lies between 1, clean data, and 0, pure noise")
    return logit(bars)


def require_betas(betas):
    """Return betas as a float array [T], or raise ``ValueError`` unless all lie in (0, 1)."""
    betas = np.asarray(betas, dtype=np.float64)
    least, most = extremes(betas)
    if betas.ndim != 1 or (betas.size and not 0 < least <= most < 1):
        wrong = f"β = {most if least > 0 else least:g}" if betas.ndim == 1 else betas.shape
        raise ValueError(
            f"betas must be a list of numbers strictly between 0 and 1, got {wrong}: with a "
            "sampled β(t) use more steps, or rule='exact' on a cut schedule"
        )
    return betas
