"""Weightings w(λ) of noise levels: what published objectives imply, monotone or not, and p_w.

Every common diffusion objective is ½ ∫ w(λ) E‖ε − ε̂‖² dλ for one w (T1). An objective is its
distribution of levels p(λ), what its network predicts, and the weight in its paper; together they
imply w ∝ p · weight · (conversion of that prediction's loss to the ε-loss).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import minimize_scalar
from scipy.special import expit

from course_utils._checks import (
    described,
    finite,
    float64,
    real_number,
    require_count,
    require_function,
    require_range,
    require_rng,
)
from course_utils.schedules import (
    LOG_SNR_MAX,
    LOG_SNR_MIN,
)


@dataclass(frozen=True)
class Weighting:
    """A function w(λ) ≥ 0 with a name and a source; call it with levels of any shape.

    Raises ``ValueError`` where the function is negative or not finite.
    """

    function: Callable
    name: str
    reference: str = ""

    def __post_init__(self):
        require_function("a weighting", self.function, "λ")

    def __call__(self, log_snr):
        return evaluate(self.function, log_snr)

    def normalised(self, log_snr_min=LOG_SNR_MIN, log_snr_max=LOG_SNR_MAX):
        """Return the same weighting divided by its largest value on the range.

        Raises ``ValueError`` if w is zero, negative or not finite there.
        """
        peak = float(np.max(evaluate(self, _grid(log_snr_min, log_snr_max))))
        if peak == 0:
            raise ValueError(f"{self.name!r} is zero on all of [{log_snr_min:g}, {log_snr_max:g}]")
        return Weighting(lambda log_snr: self(log_snr) / peak, self.name, self.reference)


def sigmoid(bias=2.0):
    """Return w(λ) = sigmoid(b − λ), monotone. Source: Kingma & Gao 2023."""
    bias = real_number("bias", bias)
    return Weighting(
        lambda log_snr: expit(bias - log_snr), f"sigmoid, b = {bias:g}", "Kingma & Gao 2023"
    )


def peak(w, log_snr_min=LOG_SNR_MIN, log_snr_max=LOG_SNR_MAX):
    """Return the level λ of the range at which w is largest (the first, if there are several)."""
    levels = _grid(log_snr_min, log_snr_max)
    values = evaluate(w, levels)
    i = int(np.argmax(values >= values.max() * (1 - 1e-9)))  # w ≡ 1 differs from 1 by rounding
    if i in (0, len(levels) - 1):
        return float(levels[i])
    bracket = (levels[i - 1], levels[i + 1])
    found = minimize_scalar(lambda level: -w(level), bounds=bracket, options={"xatol": 1e-10})
    return float(found.x)


def is_monotone(w, log_snr_min=LOG_SNR_MIN, log_snr_max=LOG_SNR_MAX):
    """Return whether w is non-increasing in λ on the range, judged on 4001 levels.

    A rise smaller than 1e-9 of the largest value counts as rounding. Raises ``ValueError`` if the
    range is empty or w is negative or not finite in it.
    """
    values = evaluate(w, _grid(log_snr_min, log_snr_max))
    return bool(np.diff(values).max() <= 1e-9 * values.max())


def made_monotone(w):
    """Return w with everything on the noisy side of its peak raised to the peak's height.

    Source: Kingma & Gao 2023, EDM-monotonic. For a w with a single peak the result is monotone,
    and w is unchanged at the clean side (λ above the peak). The peak is looked for from −30 to 30.
    """
    w = _named(w)
    top = peak(w, -30, 30)
    return Weighting(
        lambda log_snr: w(np.maximum(log_snr, top)), f"{w.name}, monotonic", w.reference
    )


def shifted(w, shift):
    """Return w(λ − shift): the same shape, moved towards clean data by ``shift`` units of λ."""
    w, shift = _named(w), real_number("shift", shift)
    return Weighting(lambda log_snr: w(log_snr - shift), w.name, w.reference)


KNOTS = (-9, -6, -3, 0, 3, 6, 9)  # levels at which the course bends a weighting by hand


def bent(w, knots, gains):
    """Return w(λ) · 10^{g(λ)}: bent by hand like an equaliser.

    g passes smoothly and without overshoot (PCHIP) through ``gains`` at the increasing levels
    ``knots``, both [n] with n >= 2, and stays constant outside them.
    """
    w, knots, gains = _named(w), finite("knots", knots), finite("gains", gains)
    if knots.shape != gains.shape or knots.ndim != 1 or len(knots) < 2:
        raise ValueError(f"need one gain per knot, got shapes {gains.shape} and {knots.shape}")
    if not (np.diff(knots) > 1e-9).all():
        raise ValueError(f"need increasing knots, more than 1e-9 apart, got {knots}")
    if np.abs(gains).max() > 300:
        raise ValueError(f"gains are powers of ten, at most 300 in size, got {gains}")
    with np.errstate(all="ignore"):  # gains may be as small as they like
        gain = PchipInterpolator(knots, gains)
    return Weighting(
        lambda log_snr: w(log_snr) * 10 ** gain(np.clip(log_snr, knots[0], knots[-1])),
        f"{w.name}, bent",
        w.reference,
    )


def upper_envelope(w, log_snr_min=LOG_SNR_MIN, log_snr_max=LOG_SNR_MAX):
    """Return the smallest monotone weighting that is nowhere below w on the range.

    At each level: the largest w at that level or above. Interpolates on 4001 levels.
    """
    w, levels = _named(w), _grid(log_snr_min, log_snr_max)
    highest = np.maximum.accumulate(evaluate(w, levels)[::-1])[::-1]
    return Weighting(
        lambda log_snr: np.interp(log_snr, levels, highest), f"{w.name}, monotone", w.reference
    )


def level_masses(w, log_snr):
    """Return S5's measure p_w on a grid of levels: a mass for each cell, and the atom.

    Cell i, between log_snr[i] and log_snr[i + 1], weighs w(λ_i) − w(λ_{i+1}), the increase of w
    over the time in which the process passes it; the atom at t = 0 weighs w(λ_max). Their sum is
    w(λ_min). A negative mass marks where w is not monotone (T5); if there is none, p_w divided by
    w(λ_min) is a probability (T4), whose survival function is w(λ)/w(λ_min).

    Takes increasing levels [n]; returns ([n − 1], float).
    """
    levels = finite("log_snr", log_snr)
    if levels.ndim != 1 or len(levels) < 2 or not (np.diff(levels) > 0).all():
        raise ValueError(
            f"log_snr must be a list of at least two increasing levels, got {described(levels)}"
        )
    values = evaluate(w, levels)
    return -np.diff(values), float(values[-1])


def sample_levels(w, n, rng, log_snr_min=LOG_SNR_MIN, log_snr_max=LOG_SNR_MAX):
    """Return n levels drawn from p_w by inverting its survival function w(λ)/w(λ_min), [n].

    The atom returns λ_max exactly. Interpolates w on 4001 levels. Raises ``ValueError`` if w is
    not monotone on the range, for then p_w is not a probability (T5).
    """
    require_count("n", n)
    require_rng(rng)
    if not is_monotone(w, log_snr_min, log_snr_max):
        raise ValueError(
            f"{getattr(w, 'name', w)!r} is not monotone on [{log_snr_min:g}, {log_snr_max:g}], so "
            "p_w has negative masses and cannot be sampled: use a monotone weighting"
        )
    levels = _grid(log_snr_min, log_snr_max)
    values = evaluate(w, levels)
    u = values[0] * rng.random(n)
    return np.where(u <= values[-1], levels[-1], np.interp(u, values[::-1], levels[::-1]))


def evaluate(w, log_snr):
    """Return w at the levels, [n] for [n], or raise ``ValueError`` unless finite and w ≥ 0."""
    require_function("a weighting", w, "λ")
    levels = float64(log_snr)
    if isinstance(w, Weighting):  # which asks the same of its own function
        return w(levels)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        values = np.asarray(w(levels), dtype=float)
    if values.shape != levels.shape:
        values = _for_each(values, levels)
    if not (np.isfinite(values).all() and (values >= 0).all()):
        bad = ~(np.isfinite(values) & (values >= 0))
        raise ValueError(
            f"a weighting must be finite and not negative, but w({levels[bad][0]:g}) = "
            f"{values[bad][0]:g}: choose w(λ) >= 0"
        )
    return values


def _for_each(values, levels):
    """One weight for all levels, repeated; other shapes are refused."""
    if values.ndim:
        raise ValueError(
            f"a weighting must return one weight a level, got shape {values.shape} for levels of "
            f"shape {levels.shape}"
        )
    return np.full(levels.shape, float(values))


def _named(w):
    """The weighting itself, or a plain function of λ with a name."""
    return w if isinstance(w, Weighting) else Weighting(w, getattr(w, "__name__", "w"))


def _grid(log_snr_min, log_snr_max):
    return np.linspace(*require_range(log_snr_min, log_snr_max), 4001)
