"""Weightings w(λ) of noise levels: their shape, monotone or not, and the measure p_w of levels.

Every common diffusion loss is ½ ∫ w(λ) E‖ε − ε̂‖² dλ for one w (claim T1). Where w falls with λ,
it is a sum of ELBOs of noisier and noisier data, and p_w says how much each of them counts
(claims S5 and T4). Which w a published objective has is derived in ``objectives``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator
from scipy.special import expit

from course_utils._checks import extremes, frozen, require_increasing, require_range
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN

ROUNDING = 1e-9  # of w's largest value: a total rise below this is no rise


@dataclass(frozen=True)
class Weighting:
    """A function w(λ) ≥ 0 with a name; call it with levels of any shape.

    ``span`` holds the levels on which it is meant: those that its objective samples.
    """

    function: Callable
    name: str
    span: tuple[float, float] = (-np.inf, np.inf)

    def __call__(self, log_snr):
        return _weights(self.function, log_snr)

    def normalised(self):
        """Return the same weighting divided by its largest value on [−10, 10]."""
        largest = self(_grid(LOG_SNR_MIN, LOG_SNR_MAX)).max()
        return replace(self, function=lambda log_snr: self(log_snr) / largest)


def evaluate(w, log_snr, name="w(λ)"):
    """Return the weights w(λ) of a ``Weighting`` or of any function, an array shaped as the levels.

    Raises ``ValueError``, with ``name`` in it, unless they are finite, not negative, one for each
    level or for all, and the same for a level alone as beside others.
    """
    weights = _weights(w, log_snr, name)
    if weights.size > 1:
        ends, seen = np.asarray(log_snr, dtype=float).ravel()[[0, -1]], weights.flat[[0, -1]]
        alone = np.concatenate([_weights(w, end, name) for end in ends[:, None]])
        if (np.abs(alone - seen) > 1e-6 * seen + ROUNDING * weights.max()).any():
            raise ValueError(
                f"{name} depends on which levels are asked for, as a sum or mean over the levels "
                "or a division by their largest weight does: return what each level has alone"
            )
    return weights


def _weights(w, log_snr, name="w(λ)"):
    levels = np.asarray(log_snr, dtype=float)
    with np.errstate(all="ignore"):  # e^{-λ} may underflow; what is not finite is refused below
        weights = np.asarray(w(levels.copy()))  # a w that changes its levels in place changes none
    if weights.shape not in ((), levels.shape):
        shapes = f"for shape {levels.shape} it returned shape {weights.shape}"
        raise ValueError(f"{name} must be one weight for each level: {shapes}")
    weights = weights if weights.ndim else np.full(levels.shape, weights)
    weights = weights.astype(float, casting="same_kind")
    least, most = extremes(weights)
    if weights.size and not 0 <= least <= most < np.inf:
        bad = ~((weights >= 0) & (weights < np.inf))
        found = f"{weights[bad][0]:g} at λ = {levels[bad][0]:g}"
        raise ValueError(f"{name} must be finite and not negative, but is {found}")
    return weights


def sigmoid(bias=2.0) -> Weighting:
    """Return w(λ) = sigmoid(b − λ), monotone. Source: Kingma & Gao 2023."""
    return Weighting(lambda log_snr: expit(bias - log_snr), f"sigmoid, b = {bias:g}")


def peak(w, log_snr_min=LOG_SNR_MIN, log_snr_max=LOG_SNR_MAX):
    """Return the level λ of the range at which w is largest (the lowest, if there are several)."""
    levels = _grid(log_snr_min, log_snr_max)
    weights = evaluate(w, levels)
    highest = np.argmax(weights >= weights.max() * (1 - ROUNDING))  # where w ≡ 1, the first
    return float(_highest(w, levels, [highest])[0])


def is_monotone(w, log_snr_min=None, log_snr_max=None):
    """Return whether w is non-increasing in λ on the range, judged on 4001 levels.

    Monotone is said of a range: EDM's weighting is monotone for λ ≥ −3.31, and not below. An end
    that is left out is that of [−10, 10] or of ``w.span``, whichever is narrower. All rises
    together may be 1e-9 of the largest value, for rounding.
    """
    span = np.clip(_named(w).span, LOG_SNR_MIN, LOG_SNR_MAX)
    low = span[0] if log_snr_min is None else log_snr_min
    high = span[1] if log_snr_max is None else log_snr_max
    weights = evaluate(w, _grid(low, high))
    rise = np.maximum(np.diff(weights), 0).sum()
    return bool(rise <= ROUNDING * weights.max())


def made_monotone(w, log_snr_min=LOG_SNR_MIN, log_snr_max=LOG_SNR_MAX) -> Weighting:
    """Return the smallest monotone weighting that is nowhere below w on the range.

    Equation: max w(s) over λ ≤ s ≤ λ_max, the running maximum from the clean side. Below the range
    the result is constant; above it, w itself. Source: Kingma & Gao 2023, for EDM.
    """
    w, levels = _named(w), _grid(log_snr_min, log_snr_max)
    weights = w(levels)
    rising = np.diff(weights) > 1e-14 * weights.max()  # less is the noise of a flat stretch
    tops = np.flatnonzero(rising[:-1] & ~rising[1:]) + 1
    summits = _highest(w, levels, np.append(tops, len(levels) - 1))  # w may rise up to λ_max
    heights = np.append(np.maximum.accumulate(w(summits)[::-1])[::-1], 0.0)

    def running_maximum(log_snr):
        log_snr = np.maximum(log_snr, log_snr_min)
        return np.maximum(w(log_snr), heights[np.searchsorted(summits, log_snr)])

    return Weighting(running_maximum, f"{w.name}, monotone")


def shifted(w, shift) -> Weighting:
    """Return w(λ − shift): the same shape, moved towards clean data by ``shift`` units of λ."""
    w = _named(w)
    span = tuple(level + shift for level in w.span)
    return replace(w, function=lambda log_snr: w(log_snr - shift), span=span)


KNOTS = (-9, -6, -3, 0, 3, 6, 9)  # levels at which the course bends a weighting by hand


def bent(w, knots: ArrayLike, gains: ArrayLike) -> Weighting:
    """Return w(λ) · 10^{g(λ)}: bent by hand like an equaliser.

    g passes smoothly and without overshoot (PCHIP) through ``gains`` at the increasing levels
    ``knots``, both [n] with n >= 2, and stays constant outside them.
    """
    w, knots, gains = _named(w), require_increasing("knots", knots), frozen(gains)
    with np.errstate(all="ignore"):  # PCHIP divides by slopes, which may be 0
        g = PchipInterpolator(knots, gains)

    def equalised(log_snr):
        return w(log_snr) * 10 ** g(np.clip(log_snr, knots[0], knots[-1]))

    return replace(w, function=equalised, name=f"{w.name}, bent")


def level_masses(w, log_snr: ArrayLike) -> tuple[Float[ndarray, " cells"], float]:
    """Return the measure p_w on a grid of increasing levels: a mass for each cell, and the atom.

    Cell i, between log_snr[i] and log_snr[i + 1], weighs w(λ_i) − w(λ_{i+1}); the atom at t = 0
    weighs w(λ_max). Their sum is w(λ_min). A negative mass marks where w is not monotone (T5); if
    there is none, p_w divided by w(λ_min) is a probability (T4).
    """
    weights = evaluate(w, require_increasing("log_snr", log_snr))
    return -np.diff(weights), float(weights[-1])


def sample_levels(
    w, n, rng, log_snr_min=LOG_SNR_MIN, log_snr_max=LOG_SNR_MAX
) -> Float[ndarray, " n"]:
    """Return n levels drawn from p_w by inverting its survival function w(λ)/w(λ_min).

    The atom returns λ_max exactly. Interpolates w on 4001 levels. Raises ``ValueError`` if w is
    not monotone on the range, for then p_w is not a probability (T5).
    """
    if not is_monotone(w, log_snr_min, log_snr_max):
        raise ValueError(
            f"{_named(w).name!r} is not monotone on [{log_snr_min:g}, {log_snr_max:g}], so p_w has "
            "negative masses and cannot be sampled: use made_monotone, or another weighting"
        )
    levels = _grid(log_snr_min, log_snr_max)
    weights = evaluate(w, levels)
    u = weights[0] * rng.random(n)
    return np.where(u <= weights[-1], levels[-1], np.interp(u, weights[::-1], levels[::-1]))


def _highest(f, levels, indices):
    """The level at which f is largest between the neighbours of each levels[i], to about 1e-10."""
    found = levels[indices]
    inner = (found > levels[0]) & (found < levels[-1])  # at an end of the range, the end itself
    for step in (levels[1] - levels[0]) / 40.0 ** np.arange(5):
        near = found + step * np.linspace(-1, 1, 81)[:, None] * inner
        near = np.clip(near, levels[0], levels[-1])  # rounding may not leave a table of w
        best = np.asarray(f(near)).argmax(axis=0)
        found = near[best, np.arange(len(found))]
    return found


def _named(w):
    """The weighting itself, or a plain function of λ under its own name."""
    return w if isinstance(w, Weighting) else Weighting(w, getattr(w, "__name__", "w"))


def _grid(log_snr_min, log_snr_max):
    return np.linspace(*require_range(log_snr_min, log_snr_max), 4001)
