"""Exercises of notebook 06: the weighted loss as a sum of ELBOs, and p_w as a probability."""

import numpy as np
from scipy.special import expit, logit

from course_utils.exercises.framework import Exercise

EXERCISES = {}


# 06.1  Abel's sum at finite T, and what it subtracts
def _abel(w, L):
    rise = np.diff(w)  # moving one place along the sum gives w_{i+1} − w_i
    inner = rise @ L[1:-1]  # the increase from w_i to w_{i+1} goes with L_i
    total = w[0] * L[0] + inner - w[-1] * L[-1]  # the whole bound comes first, the prior is last
    whole = np.sum(w * (L[:-1] - L[1:]))  # each K_j is the difference of two L
    subtracted = -np.minimum(rise, 0) @ L[1:-1]  # only where w falls an L is taken away, L_i
    return total, subtracted / whole  # a share of the sum

EXERCISES["06.1"] = Exercise(
    _abel,
    [
        ([0.2, 0.5, 0.9, 1.4, 1.0], [4.15, 3.25, 2.85, 1.15, 0.95, 0.35]),
        ([0.7, 0.1, 2.0, 1.5], [2.9, 1.1, 0.8, 0.4, 0.15]),
    ],
    hint="Write it out for T = 2 with K_j = L_{j−1} − L_j and collect the terms of each L_i",
    returns=("total", "share"),
    mistakes={
        "these are Σ w_j L_j: the weights themselves, not their differences, multiply L":
            "return total -> return w @ L[1:]",
        "the prior's term was counted: it is subtracted whatever w does, and has no parameters":
            "np.minimum(rise, 0) @ L[1:-1] -> np.minimum(rise, 0) @ L[1:-1] + w[-1] * L[-1]",
        "the weight that falls, without its L: a fall counts as much as the L that it multiplies":
            "subtracted / whole -> -np.minimum(rise, 0).sum() / np.abs(rise).sum()",
        "divided by the terms that are added, not by the sum":
            "/ whole -> / (w[0] * L[0] + np.maximum(rise, 0) @ L[1:-1])",
        "not how many weights fall: what they subtract": "subtracted / whole -> np.mean(rise < 0)",
        "w_{i+1} − w_i goes with L_i, not with L_{i+1}": "rise @ L[1:-1] -> rise @ L[2:]",
    },
)


# 06.2  p_w with its atom
def _masses(t, w):
    rise = np.diff(w)  # p_w is made of the increase of w, and a cell's mass is all of it
    return rise / w[-1], w[0] / w[-1]  # shares of w(1): the increases, and what w starts with

EXERCISES["06.2"] = Exercise(
    _masses,
    [
        ([0.0, 0.1, 0.4, 0.6, 1.0], [0.1, 0.24, 0.6, 0.75, 0.92]),
        ([0.0, 0.2, 0.3, 1.0], [3.0, 3.4, 5.1, 7.3]),
    ],
    hint="w(1) = w(0) + the sum of all increases: divide this sentence by w(1)",
    returns=("masses", "atom"),
    mistakes={
        "the total is below 1: w does not start at 0, and what it starts with sits at t = 0":
            "w[0] / w[-1] -> 0.0",
        "the masses alone sum to 1, which leaves nothing for the atom":
            "rise / w[-1] -> rise / rise.sum()",
        "these are densities dw/dt; a cell's mass is its density times its width":
            "rise / w[-1] -> rise / np.diff(t) / w[-1]",
    },
)


# 06.3  sampling levels from p_w
def _sample_levels(r, b, log_snr_min, log_snr_max):
    start = expit(b - log_snr_min)  # all of w that p_w shares out is w at the noisy end, near 1
    left = (1 - r) * start  # w at the level below which the share r lies
    level = b - logit(left)  # w(λ) = sigmoid(b − λ), solved for λ
    return np.minimum(level, log_snr_max)  # what would lie beyond is the atom, on log_snr_max

EXERCISES["06.3"] = Exercise(
    _sample_levels,
    [([0.8, 0.03, 0.97, 0.5, 0.2, 0.5], 0.0, -3.0, 2.0), ([0.4, 0.9, 0.1, 0.6], -1.0, -4.0, 1.0)],
    hint="Set 1 − w(λ)/w(log_snr_min) = r, solve for λ, then ask what large r must give",
    mistakes={
        "these levels are uniform in λ: sampled from p(λ) of the schedule, not from p_w":
            lambda r, b, low, high: low + r * (high - low),
        "cut off at both ends: that makes an atom at log_snr_min too; p_w has one atom only":
            lambda r, b, low, high: np.clip(b + logit(r), low, high),
        "the atom is missing: a share w(log_snr_max)/w(log_snr_min) lands on log_snr_max":
            "(1 - r) * start -> start + r * (expit(b - log_snr_max) - start)",
    },
)


# 06.4  EDM made monotone
def _make_monotone(log_snr, w):
    peak = np.argmax(w)  # a place in the list
    noisier = log_snr < log_snr[peak]  # only the noisy side is lifted
    return np.where(noisier, w[peak], w)  # lift to the peak's height; beyond it w keeps its values

EXERCISES["06.4"] = Exercise(
    _make_monotone,
    [
        ([-4.0, -1.5, -0.4, 0.6, 1.0, 3.0, 3.5], [0.2, 0.5, 0.7, 0.9, 1.4, 0.8, 0.1]),
        ([-6.0, -5.0, -2.5, 0.5, 2.0, 4.0], [0.3, 1.1, 2.4, 0.8, 0.7, 0.2]),
        ([-2.0, -0.5, 1.0], [3.0, 2.0, 0.5]),
    ],
    hint="Seen from the data end (large λ) towards noise, the weight may only grow",
    mistakes={
        "you raised the high-λ side: that never decreases with λ, the wrong way round":
            lambda log_snr, w: np.maximum.accumulate(w),
        "zero below the peak: that jumps up at the peak, so it is not monotone":
            "(noisier, w[peak], w) -> (noisier, 0.0, w)",
        "sorted: the values fall, but each now stands at another level than its own":
            lambda log_snr, w: np.sort(w)[::-1],
        "constant below λ = 0 at the peak's height: the constant part ends at the peak of w":
            "noisier, w[peak] -> log_snr < 0, w[peak]",
    },
)


# 06.5  the sign of dw/dt
def _slope_in_time(t, b):
    y = (-2 * np.log(np.tan(np.pi * t / 2)) - b) / 2  # w is sech((λ − b)/2), with its peak at b
    slope = -0.5 * np.tanh(y) / np.cosh(y)  # sech' = −tanh sech, and y holds half of λ
    rate = -2 * np.pi / np.sin(np.pi * t)  # this is dλ/dt, and λ falls as t grows
    return slope * rate  # the chain rule multiplies

EXERCISES["06.5"] = Exercise(
    _slope_in_time,
    [([0.1, 0.3, 0.45, 0.7, 0.9], 0.0), ([0.2, 0.5, 0.8], 1.5)],
    hint="Chain rule: the slope of w over λ, times how fast λ moves with t",
    tolerance=1e-4,  # a difference quotient is a fair answer
    mistakes={
        "sech' = −tanh sech; sech² is the derivative of tanh":
            "-0.5 * np.tanh(y) / np.cosh(y) -> 0.5 / np.cosh(y) ** 2",
        "differences over these few t are too coarse: differentiate on paper, or in tiny steps":
            "slope * rate -> np.gradient(1 / np.cosh(y), t)",
    },
)
