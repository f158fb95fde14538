"""Exercises of notebook 04: what a step costs, the limit of many steps, and the schedule."""

import numpy as np
from scipy.integrate import cumulative_trapezoid
from scipy.special import expit

from course_utils.exercises.framework import Exercise
from course_utils.schedules import Cosine, FlowMatching, LinearLogSnr

EXERCISES = {}


# 04.1  where to look again on the way
def _stop(error, low, high, candidates):
    first = 0.5 * np.expm1(candidates - low) * error(low)  # a step guesses at its noisy end
    second = 0.5 * np.expm1(high - candidates) * error(candidates)  # the second, too
    total = first + second  # a chain pays for both steps
    best = np.argmin(total)  # the cheapest of the candidates is asked
    return candidates[best], total[best]  # the level itself, and what both steps cost together

EXERCISES["04.1"] = Exercise(
    _stop,
    [
        (lambda s: 0.9 * expit(s), -3.0, 4.0, [2.0, -1.0, 3.2, 0.6, 3.7, 2.6]),
        (lambda s: 0.3 + 0.6 * expit(1 - s), -2.0, 2.0, [-1.6, 1.3, 0.1, 0.7, 0.7, 1.8]),
        (lambda s: 0.8 * np.exp(-((s - 1) ** 2) / 8), 0.0, 6.0, [1.0, 2.7, 5.7, 4.2, 5.1, 0.4]),
    ],
    hint="A step costs ½ (e^Δλ − 1) times the error at the end where it begins: which one is that?",
    returns=("level", "cost"),
    mistakes={
        "1 − e^{−Δλ} is the posterior's share of x; the KL divides its square by the variance":
            "np.expm1 -> (lambda gap: 1 - np.exp(-gap))",
        "that is the cost of very short steps, ½ Δλ e; steps of any length cost more":
            "np.expm1 -> 1.0 * ",
        "the SNRs themselves: that is the factor before the error of x̂, not of ε̂":
            "error( -> (lambda s: np.exp(s) * error(s))(",
        "the error at the clean end: a step guesses at its noisy end and is charged for that":
            "error(candidates) -> error(high); error(low) -> error(candidates)",
        "the middle of the range: steps of one length need not be the cheapest":
            "np.argmin(total) -> np.argmin(np.abs(candidates - (low + high) / 2))",
    },
)


# 04.2  the limit of many steps from two sums
def _from_two(n_steps, coarse, fine, tolerance):
    gap = 2 * (coarse - fine)  # twice as many steps take half of the gap away
    limit = coarse - gap  # more steps cost less, so the limit lies below both sums
    steps = n_steps * gap / tolerance  # the gap falls like 1/T
    return limit, np.ceil(steps)  # sums lie above the limit, one step too few above the tolerance

EXERCISES["04.2"] = Exercise(
    _from_two,
    [(16, 7, 5, 0.103), (64, 24, 23, 0.013), (7, 3, 2, 0.06)],
    hint="Call the limit A and the gap c/T: two sums are two equations for A and c",
    returns=("limit", "steps"),
    mistakes={
        "the gap was counted from 2T on: it is c/T with T = n_steps at the coarse sum":
            "n_steps * gap -> 2 * n_steps * gap",
        "order ½: the gap falls like 1/T; 1/√T is how random errors fall, nothing here is random":
            "2 * (coarse - fine) -> (coarse - fine) / (1 - 0.5**0.5); "
            "n_steps * gap / tolerance -> n_steps * (gap / tolerance) ** 2",
        "order 2: the sum takes e at one end of each step, and that is first order":
            "2 * (coarse - fine) -> (coarse - fine) / (1 - 0.25); "
            "n_steps * gap / tolerance -> n_steps * (gap / tolerance) ** 0.5",
        "doubling overshoots: the gap is c/T for every T, so the least T can be computed":
            "np.ceil(steps) -> n_steps * 2 ** np.ceil(np.log2(np.maximum(gap / tolerance, 1)))",
    },
)


# 04.3  the ELBO's weight in time
def _w_ml(t):
    angle = np.pi * t / 2  # the cosine schedule's λ is −2 log tan(πt/2)
    rate = -np.pi / (np.sin(angle) * np.cos(angle))  # dλ/dt takes the chain rule twice
    return -0.5 * rate  # L grows by ½ e dλ, and λ falls with t

EXERCISES["04.3"] = Exercise(
    _w_ml,
    [[0.25, 0.9, 0.1, 0.5], [0.7, 0.12, 0.6]],
    hint="Differentiate λ_t; sin y cos y = ½ sin 2y makes the result short",
    tolerance=1e-4,  # a difference quotient is a fair answer
    mistakes={
        "that is p(λ), the density of levels; the weight is half its inverse":
            "-0.5 * rate -> -1 / rate",
        "the chain rule of log tan: its derivative is 1/(sin y cos y), not 1/tan y":
            "-0.5 * rate -> np.pi / np.tan(angle)",
        "differences over these few t are too coarse: differentiate on paper, or in tiny steps":
            "-0.5 * rate -> np.gradient(np.log(np.tan(angle)), t)",
    },
)


# 04.4  nats for an accuracy, from errors alone
def _nats(log_snr, error, accuracy):
    squared = np.exp(-log_snr) * error  # the error of x̂ is that of ε̂ times σ²/α²
    level = np.interp(-(accuracy**2), -squared, log_snr)  # the accuracy is a root mean square
    paid = 0.5 * cumulative_trapezoid(error, log_snr, initial=0)  # L grows by ½ e dλ
    return np.interp(level, log_snr, paid)  # what was paid from the noise up to that level

_levels = np.linspace(-14, 9, 9001)
_uneven = np.sort(np.append(np.linspace(-15, -6, 400), 1.2 * np.sinh(np.linspace(-2.3, 2.5, 4000))))

EXERCISES["04.4"] = Exercise(
    _nats,
    [
        (_levels, expit(_levels), 0.2),
        (_levels, expit(_levels) * (1 + expit(3 - _levels)) / 2, 0.4),
        (_uneven, expit(_uneven + 1) * expit(4 - _uneven) ** 0.5, 0.7),
    ],
    hint="First the level: e^{−λ} e is the mean squared error of x̂. Then what was paid up to there",
    tolerance=2e-3,  # other quadratures, and the nearest level in place of an interpolation
    mistakes={
        "integrated from λ_t to λ_max: L is the cost of level t and above in noise, from λ_min":
            "log_snr, paid) -> log_snr, paid[-1] - paid)",
        "all levels added up: stop at the accuracy (np.interp wants points that increase)":
            "np.interp(level, log_snr, paid) -> paid[-1]",
        "√e is the error of ε̂, the accuracy that of x̂: their ratio is σ/α":
            "np.interp(-(accuracy**2), -squared, log_snr) -> "
            "log_snr[np.argmin(np.abs(np.sqrt(error) - accuracy))]",
        "nothing paid: np.interp wants points that increase, and e^{−λ} times the error falls":
            "np.interp(level, log_snr, paid) -> 0.0",
        "that is for a Gaussian; other data may be cheaper": lambda s, e, wanted: -np.log(wanted),
    },
)


# 04.5  another schedule, the same loss
def _moved(t, coefficient, old, new):
    level = new.log_snr(t)  # the level that the new schedule visits at t
    then = old.time(level)  # the old schedule passed this level at another time
    w = coefficient(then) / (-0.5 * old.log_snr_rate(then))  # w belongs to the level and stays
    return -0.5 * new.log_snr_rate(t) * w  # a level that is passed quickly needs a larger weight

_span = {"log_snr_min": -6.0, "log_snr_max": 6.0}
_inside = np.array([0.3, 0.9, 0.08, 0.55])
_result = "-0.5 * new.log_snr_rate(t) * w"

EXERCISES["04.5"] = Exercise(
    _moved,
    [
        (_inside, lambda t: 1.0 + t, Cosine(**_span), LinearLogSnr(**_span)),
        (_inside, lambda t: 2.0 - t**2, FlowMatching(**_span), Cosine(**_span)),
    ],
    hint="First the level λ_t, then when the old schedule passed it, then w there, then c",
    mistakes={
        "c(t) was kept: the same time is another noise level now, so w(λ) has changed":
            f"{_result} -> coefficient(t) * np.ones_like(t)",
        "w(t) was kept, not w(λ): take the old coefficient at the old time of the same level":
            "old.time(level) -> t",
        "right level, but levels are now visited at another speed: a ratio of dλ/dt is missing":
            f"{_result} -> coefficient(then)",
        "the ratio of speeds is upside down: a level passed in less time needs a larger weight":
            f"{_result} -> coefficient(then) ** 2 / ({_result})",
        "the old schedule's inverse is needed: the old time at which λ was that of new at t":
            "new.log_snr(t) -> old.log_snr(t); old.time(level) -> new.time(level)",
    },
)
