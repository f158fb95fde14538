"""Exercises of notebook 06: the weighted loss as a sum of ELBOs, and p_w as a probability."""

import numpy as np
from scipy.special import expit, logit

from course_utils.exercises.framework import Exercise
from course_utils.schedules import Cosine

EXERCISES = {}


# 06.1  Abel's sum at finite T, and what it subtracts
def _abel(first=1, differences=1, last=-1, shift=0):
    """Abel's sum with these factors, its L shifted by some places: the defaults are right."""

    def total(w, L):
        inner = L[1 + shift : len(w) + shift]
        found = first * w[0] * L[0] + differences * np.diff(w) @ inner + last * w[-1] * L[-1]
        return found, _subtracted(w, L) / (w @ (L[:-1] - L[1:]))

    return total

def _subtracted(w, L):
    return -np.minimum(np.diff(w), 0) @ L[1:-1]

def _share(share):
    """The right sum, and another share."""
    return lambda w, L: (w @ (L[:-1] - L[1:]), share(w, L))

_steps = np.array([0.9, 0.4, 1.7, 0.2, 0.6])  # K_j, then L_i = K_{i+1} + … + K_T + prior
_levels = np.append(np.cumsum(_steps[::-1])[::-1], 0) + 0.35

EXERCISES["06.1"] = Exercise(
    _abel(),
    [([0.2, 0.5, 0.9, 1.4, 1.0], _levels), ([0.7, 0.1, 2.0, 1.5], [2.9, 1.1, 0.8, 0.4, 0.15])],
    hint="Write it out for T = 2 with K_j = L_{j−1} − L_j and collect the terms of each L_i",
    returns=("total", "share"),
    mistakes={
        "off by one: the increase from w_i to w_{i+1} goes with L_i, you paired it with L_{i−1}":
            _abel(shift=-1),
        "off by one: the increase from w_i to w_{i+1} goes with L_i, you paired it with L_{i+1}":
            _abel(shift=1),
        "the last term is missing: the prior L_T is in every L_i but no K_j contains it":
            _abel(last=0),
        "the last term has the wrong sign: test with equal weights, where Σ K_j = L_0 − L_T":
            _abel(last=1),
        "the first term is missing: with equal weights every difference is 0, yet the sum is not":
            _abel(first=0),
        "the differences have the wrong sign: moving one place along the sum gives w_{i+1} − w_i":
            _abel(differences=-1),
        "the end terms are swapped: w_1 belongs to the whole bound, w_T to the prior":
            lambda w, L: (w[-1] * L[0] + np.diff(w) @ L[1:-1] - w[0] * L[-1], _abel()(w, L)[1]),
        "these are Σ w_j L_j: the weights themselves, not their differences, multiply L":
            lambda w, L: (w @ L[1:], _abel()(w, L)[1]),
        "the prior's term was counted: it is subtracted whatever w does, and has no parameters":
            _share(lambda w, L: (_subtracted(w, L) + w[-1] * L[-1]) / (w @ (L[:-1] - L[1:]))),
        "the weight that falls, without its L: a fall counts as much as the L that it multiplies":
            _share(lambda w, L: -np.minimum(np.diff(w), 0).sum() / np.abs(np.diff(w)).sum()),
        "not divided by the sum: a share has no unit": _share(_subtracted),
        "negative: the share says how much is subtracted":
            _share(lambda w, L: -_subtracted(w, L) / (w @ (L[:-1] - L[1:]))),
        "divided by the terms that are added, not by the sum":
            _share(lambda w, L: _subtracted(w, L)
                   / (w[0] * L[0] + np.maximum(np.diff(w), 0) @ L[1:-1])),
        "divided by what the weights that rise bring in: the share is of the sum":
            _share(lambda w, L: _subtracted(w, L) / (w @ (L[:-1] - L[1:]) + 2 * _subtracted(w, L))),
        "divided by the first term: the share is of the sum":
            _share(lambda w, L: _subtracted(w, L) / (w[0] * L[0])),
        "the share's L is one place too early: w_{i+1} − w_i goes with L_i":
            _share(lambda w, L: -np.minimum(np.diff(w), 0) @ L[:-2] / (w @ (L[:-1] - L[1:]))),
        "the share's L is one place too late: w_{i+1} − w_i goes with L_i":
            _share(lambda w, L: -np.minimum(np.diff(w), 0) @ L[2:] / (w @ (L[:-1] - L[1:]))),
        "these are the terms that are added; asked are those with a minus sign":
            _share(lambda w, L: np.maximum(np.diff(w), 0) @ L[1:-1] / (w @ (L[:-1] - L[1:]))),
        "percent; asked is the share, 1 for all":
            _share(lambda w, L: 100 * _subtracted(w, L) / (w @ (L[:-1] - L[1:]))),
        "the fall of w without its L: what is subtracted is L, weighted by it":
            _share(lambda w, L: -np.minimum(np.diff(w), 0).sum() / w.sum()),
        "these are Σ w_j L_{j−1}: K_j is the difference of two L":
            lambda w, L: (w @ L[:-1], _abel()(w, L)[1]),
        "the share of the weights that fall; asked is what they subtract":
            _share(lambda w, L: np.mean(np.diff(w) < 0)),
        "divided by the first two terms; the sum has the prior's term as well":
            _share(lambda w, L: _subtracted(w, L) / (w[0] * L[0] + np.diff(w) @ L[1:-1])),
        "that is how many weights fall; asked is what they subtract":
            _share(lambda w, L: np.sum(np.diff(w) < 0)),
    },
)


# 06.2  p_w with its atom
def _uneven(n):
    return np.linspace(0, 1, n) ** 1.5

EXERCISES["06.2"] = Exercise(
    lambda t, w: (np.diff(w) / w[-1], w[0] / w[-1]),
    [
        (_uneven(6), expit(np.linspace(-2, 3, 6)) * 0.7),
        (_uneven(9), 3 + 5 * np.linspace(0, 1, 9) ** 2),
    ],
    hint="w(1) = w(0) + the sum of all increases: divide this sentence by w(1)",
    returns=("masses", "atom"),
    mistakes={
        "the total is below 1: w does not start at 0, and what it starts with sits at t = 0":
            lambda t, w: (np.diff(w) / w[-1], 0.0),
        "unnormalised: divide everything by the weight at t = 1": lambda t, w: (np.diff(w), w[0]),
        "the masses alone sum to 1, which leaves nothing for the atom":
            lambda t, w: (np.diff(w) / (w[-1] - w[0]), w[0] / w[-1]),
        "these are densities dw/dt; a cell's mass is its density times its width":
            lambda t, w: (np.diff(w) / np.diff(t) / w[-1], w[0] / w[-1]),
        "these are shares of w itself; p_w is made of the increase of w":
            lambda t, w: (w[1:] / np.sum(w), w[0] / np.sum(w)),
        "each cell counts w times its width: that is the area under w, p_w is its increase":
            lambda t, w: (w[1:] * np.diff(t) / w[-1], w[0] / w[-1]),
        "normalise first: what unnormalised increases leave over of 1 is not the atom":
            lambda t, w: (np.diff(w), 1 - (w[-1] - w[0])),
        "the masses are negative: w grows with t, so take the later value minus the earlier":
            lambda t, w: (-np.diff(w) / w[-1], w[0] / w[-1]),
        "normalised by the weight at t = 0; the weight at t = 1 is the total":
            lambda t, w: (np.diff(w) / w[0], 1.0),
        "the atom is what w starts with at t = 0, as a share of w(1)":
            lambda t, w: (np.diff(w) / w[-1], w[-1]),
        "the atom is a share, too: divide it by w(1)": lambda t, w: (np.diff(w) / w[-1], w[0]),
        "that is what the cells hold together; the atom is the rest":
            lambda t, w: (np.diff(w) / w[-1], 1 - w[0] / w[-1]),
        "increase times width: a cell's mass is the increase of w over it, however wide it is":
            lambda t, w: (np.diff(w) * np.diff(t) / w[-1], w[0] / w[-1]),
        "these are values of w; p_w is made of its increases":
            lambda t, w: (w[1:] / w[-1], w[0] / w[-1]),
        "values of w at the earlier ends; p_w is made of its increases":
            lambda t, w: (w[:-1] / np.sum(w), w[-1] / np.sum(w)),
        "densities, and not divided by w(1): a mass is the increase over a cell":
            lambda t, w: (np.diff(w) / np.diff(t), w[0]),
        "a slope, at one end of each cell: a mass is the increase over the whole cell":
            lambda t, w: (np.gradient(w, t)[1:] / w[-1], w[0] / w[-1]),
        "normalised without the atom, and no atom: w(0) > 0 has a share":
            lambda t, w: (np.diff(w) / (w[-1] - w[0]), 0.0),
    },
)


# 06.3  sampling levels from p_w
def _sample_levels(r, b, log_snr_min, log_snr_max):
    w_min = expit(b - log_snr_min)
    return np.minimum(b - logit((1 - r) * w_min), log_snr_max)

def _no_atom(r, b, low, high):
    w = expit(b - low) + r * (expit(b - high) - expit(b - low))
    return b - logit(w)

def _from_w_itself(r, b, low, high):
    area = np.logaddexp(0, b - low)
    return b - np.log(np.expm1(area + r * (np.logaddexp(0, b - high) - area)))

EXERCISES["06.3"] = Exercise(
    _sample_levels,
    [([0.8, 0.03, 0.97, 0.5, 0.2, 0.5], 0.0, -3.0, 2.0), ([0.4, 0.9, 0.1, 0.6], -1.0, -4.0, 1.0)],
    hint="Set 1 − w(λ)/w(log_snr_min) = r, solve for λ, then ask what large r must give",
    mistakes={
        "these levels are uniform in λ: sampled from p(λ) of the schedule, not from p_w":
            lambda r, b, low, high: low + r * (high - low),
        "the sign of λ − b is flipped: w = sigmoid(b − λ) gives λ = b − logit(w)":
            lambda r, b, low, high: np.minimum(b + logit((1 - r) * expit(b - low)), high),
        "not truncated: a logistic over all λ leaves the range of levels at both ends":
            lambda r, b, low, high: b + logit(r),
        "cut off at both ends: that makes an atom at log_snr_min too; p_w has one atom only":
            lambda r, b, low, high: np.clip(b + logit(r), low, high),
        "the lower end is not truncated: normalise by w(log_snr_min), which is below 1":
            lambda r, b, low, high: np.minimum(b + logit(r), high),
        "the atom is missing: a share w(log_snr_max)/w(log_snr_min) lands on log_snr_max": _no_atom,
        "the upper end is open: nothing lies above log_snr_max, what would is the atom":
            lambda r, b, low, high: b - logit((1 - r) * expit(b - low)),
        "λ falls with r: the same law, but here λ is the level below which the share r lies":
            lambda r, b, low, high: _sample_levels(1 - r, b, low, high),
        "sampled in proportion to w itself: p_w is made of the decrease of w with λ":
            _from_w_itself,
        "sorted: each number has its own level, in the order given":
            lambda r, b, low, high: np.sort(_sample_levels(r, b, low, high)),
        "λ falls with r, and the atom is missing":
            lambda r, b, low, high: _no_atom(1 - r, b, low, high),
        "the larger of the two: levels beyond log_snr_max land on it, so take the smaller":
            lambda r, b, low, high: np.maximum(b - logit((1 - r) * expit(b - low)), high),
        "b − λ is what logit returns: λ is b minus it":
            lambda r, b, low, high: np.minimum(logit((1 - r) * expit(b - low)), high),
        "b is missing: λ is b minus the logit":
            lambda r, b, low, high: np.minimum(-logit((1 - r) * expit(b - low)), high),
        "1 − r multiplies w(log_snr_min): w(λ) = (1 − r) w(log_snr_min)":
            lambda r, b, low, high: np.minimum(b - logit(1 - r * expit(b - low)), high),
        "the inverse of the sigmoid is logit, log y/(1 − y), not log y":
            lambda r, b, low, high: np.minimum(b - np.log((1 - r) * expit(b - low)), high),
        "w(log_snr_min) is sigmoid(b − log_snr_min): near 1, not near 0":
            lambda r, b, low, high: np.minimum(b - logit((1 - r) * expit(low - b)), high),
        "that is w at the level r; asked is the level at which p_w's share is r":
            lambda r, b, low, high: expit(b - r),
    },
)


# 06.4  EDM made monotone
def _make_monotone(log_snr, w):
    return np.where(log_snr < log_snr[np.argmax(w)], w.max(), w)

def _edm(log_snr):
    normal = np.exp(-((log_snr - 2.4) ** 2) / (2 * 2.4**2))
    return normal * (np.exp(-log_snr) + 0.25)

_grid = np.linspace(-10, 10, 41)

EXERCISES["06.4"] = Exercise(
    _make_monotone,
    [(_grid, _edm(_grid)), (_grid[::2] + 0.3, 1 / np.cosh(_grid[::2] / 2 + 0.2))],
    hint="Seen from the data end (large λ) towards noise, the weight may only grow",
    mistakes={
        "you raised the high-λ side: that never decreases with λ, the wrong way round":
            lambda s, w: np.maximum.accumulate(w),
        "lowered where it should be raised: a running minimum cuts the peak off":
            lambda s, w: np.minimum.accumulate(w),
        "constant everywhere: above its peak w stays what it is":
            lambda s, w: np.full_like(w, w.max()),
        "zero below the peak: that jumps up at the peak, so it is not monotone":
            lambda s, w: np.where(s < s[np.argmax(w)], 0.0, w),
        "sorted: the values fall, but each now stands at another level than its own":
            lambda s, w: np.sort(w)[::-1],
        "rescaled: the shape is right, but above its peak w must keep its own values":
            lambda s, w: _make_monotone(s, w) / w.max(),
        "w came back unchanged: below its peak it still increases with λ": lambda s, w: 1.0 * w,
        "constant below λ = 0: the constant part begins at the peak of w":
            lambda s, w: np.where(s < 0, np.interp(0, s, w), w),
        "that puts a level where a weight belongs":
            lambda s, w: np.where(s < s[np.argmax(w)], s[np.argmax(w)], w),
        "1 is not the peak's height": lambda s, w: np.where(s < s[np.argmax(w)], 1.0, w),
        "one place too few: up to the peak everything has its height":
            lambda s, w: np.where(np.arange(len(w)) < np.argmax(w) - 1, w.max(), w),
        "one place too many: right of the peak w keeps its values":
            lambda s, w: np.where(np.arange(len(w)) <= np.argmax(w) + 1, w.max(), w),
        "argmax is a place in the list, log_snr[argmax] the level":
            lambda s, w: np.where(s < np.argmax(w), w.max(), w),
        "raised to the first value of w; the peak's height is asked":
            lambda s, w: np.where(s < s[np.argmax(w)], w[0], w),
        "a floor lifts both sides; only the noisy one is lifted, and to the peak":
            lambda s, w: np.maximum(w, w.mean()),
        "lowered: a running minimum from the data end takes the peak away":
            lambda s, w: np.minimum.accumulate(w[::-1])[::-1],
        "constant below λ = 0 at the peak's height: the constant part ends at the peak of w":
            lambda s, w: np.where(s < 0, w.max(), w),
    },
)


# 06.5  the sign of dw/dt
def _slope(t, b):
    """dw/dλ of sech((λ − b)/2) at the cosine schedule's λ_t."""
    half = (Cosine().log_snr(t) - b) / 2
    return -0.5 * np.tanh(half) / np.cosh(half)

_rate = Cosine().log_snr_rate

EXERCISES["06.5"] = Exercise(
    lambda t, b: _slope(t, b) * _rate(t),
    [([0.1, 0.3, 0.45, 0.7, 0.9], 0.0), ([0.2, 0.5, 0.8], 1.5)],
    hint="Chain rule: the slope of w over λ, times how fast λ moves with t",
    tolerance=1e-4,  # a difference quotient is a fair answer
    mistakes={
        "that is dw/dλ: λ falls as t grows, so even the sign changes along the schedule": _slope,
        "the sign is flipped: dλ/dt is negative, and so is sech′ where y > 0; one is missing": -1,
        "the absolute value: the sign is what the question is about":
            lambda t, b: np.abs(_slope(t, b) * _rate(t)),
        "that is dw/dλ times −½ dλ/dt, the ELBO's weighting; the chain rule has dλ/dt itself": -0.5,
        "twice too large: the inner derivative of (λ − b)/2 is missing": 2,
        "that is w times dλ/dt: w itself was not differentiated":
            lambda t, b: _rate(t) / np.cosh((Cosine().log_snr(t) - b) / 2),
        "half: log tan(πt/2) has the derivative π/sin(πt), and the schedule the factor −2": 0.5,
        "the peak's place b was left out: w turns at λ = b, not at λ = 0":
            lambda t, b: _slope(t, 0.0) * _rate(t),
        "you divided by dλ/dt where the chain rule multiplies":
            lambda t, b: _slope(t, b) / _rate(t),
        "the sign alone; asked is the whole derivative":
            lambda t, b: np.sign(_slope(t, b) * _rate(t)),
        "sech' = −tanh sech: the sech is missing":
            lambda t, b: -0.5 * np.tanh((Cosine().log_snr(t) - b) / 2) * _rate(t),
        "sech' = −tanh sech, not −sech²":
            lambda t, b: -0.5 / np.cosh((Cosine().log_snr(t) - b) / 2) ** 2 * _rate(t),
        "λ − b was not halved": lambda t, b: -0.5 * _rate(t)
            * np.tanh(Cosine().log_snr(t) - b) / np.cosh(Cosine().log_snr(t) - b),
        "the peak's place has the wrong sign: w turns at λ = b":
            lambda t, b: _slope(t, -b) * _rate(t),
        "dw/dλ, twice: multiply by dλ/dt, and mind the ½ of λ/2": lambda t, b: 2 * _slope(t, b),
        "that is w itself": lambda t, b: 1 / np.cosh((Cosine().log_snr(t) - b) / 2),
        "differences over these few t are too coarse: differentiate on paper, or in tiny steps":
            lambda t, b: np.gradient(1 / np.cosh((Cosine().log_snr(t) - b) / 2), t),
        "that is dλ/dt alone": lambda t, b: _rate(t),
    },
)
