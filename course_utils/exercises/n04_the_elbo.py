"""Exercises of notebook 04: what a step costs, the limit of many steps, and the schedule."""

from functools import partial

import numpy as np
from scipy.integrate import cumulative_trapezoid
from scipy.special import expit

from course_utils.exercises.framework import Exercise
from course_utils.schedules import Cosine, FlowMatching, LinearLogSnr

EXERCISES = {}


# 04.1  where to look again on the way
def _chosen(cost, choose=np.argmin):
    """The level between two that is chosen, and the cost of both steps, by a rule for one step."""

    def answer(error, low, high, candidates):
        total = cost(error, low, candidates) + cost(error, candidates, high)
        return candidates[choose(total)], total[choose(total)]

    return answer

def _cost(e, t, s):
    return 0.5 * np.expm1(s - t) * e(t)

def _at(place):
    """Both costs at a candidate that is chosen without looking at them."""

    def answer(error, low, high, candidates):
        level = candidates[place(error, low, high, candidates)]
        return level, _cost(error, low, level) + _cost(error, level, high)

    return answer

def _both(e, low, m, high):
    return _cost(e, low, m) + _cost(e, m, high)

def _two(total, cost=None):
    """The candidate for which ``total`` is least, and that, or another ``cost`` of all."""

    def answer(error, low, high, candidates):
        found = total(error, low, candidates, high)
        paid = found if cost is None else cost(error, low, candidates, high)
        return candidates[np.argmin(found)], np.min(paid)

    return answer

EXERCISES["04.1"] = Exercise(
    _chosen(_cost),
    [
        (expit, -3.0, 4.0, [2.0, -1.0, 3.2, 0.6, 3.7, 2.6]),
        (lambda s: 0.3 + 0.6 * expit(1 - s), -2.0, 2.0, [-1.6, 1.3, 0.1, 0.7, 0.7, 1.8]),
        (lambda s: 0.8 * np.exp(-((s - 1) ** 2) / 8), 0.0, 6.0, [1.0, 2.7, 5.7, 4.2, 5.1, 0.4]),
    ],
    hint="A step costs ½ (e^Δλ − 1) times the error at the end where it begins: which one is that?",
    returns=("level", "cost"),
    mistakes={
        "1 − e^{−Δλ} is the posterior's share of x; the KL divides its square by the variance":
            _chosen(lambda e, t, s: 0.5 * (1 - np.exp(t - s)) * e(t)),
        "that is the cost of very short steps, ½ Δλ e; steps of any length cost more":
            _chosen(lambda e, t, s: 0.5 * (s - t) * e(t)),
        "the ½ of a Gaussian's KL is missing": _chosen(lambda e, t, s: 2 * _cost(e, t, s)),
        "a step of no length must cost nothing: subtract 1 from the exponential":
            _chosen(lambda e, t, s: 0.5 * np.exp(s - t) * e(t)),
        "half the exponent: λ is the log of a ratio of squares, not of amplitudes":
            _chosen(lambda e, t, s: 0.5 * np.expm1((s - t) / 2) * e(t)),
        "the SNRs themselves: that is the factor before the error of x̂, not of ε̂":
            _chosen(lambda e, t, s: 0.5 * (np.exp(s) - np.exp(t)) * e(t)),
        "the error at the clean end: a step guesses at its noisy end and is charged for that":
            _chosen(lambda e, t, s: 0.5 * np.expm1(s - t) * e(s)),
        "the error comes squared already": _chosen(lambda e, t, s: 0.5 * np.expm1(s - t) * e(t)**2),
        "the dearest of the candidates, where the cheapest is asked": _chosen(_cost, np.argmax),
        "the middle of the range: steps of one length need not be the cheapest":
            _at(lambda e, low, high, c: np.argmin(np.abs(c - (low + high) / 2))),
        "where the error is largest: what counts is the error times the growth of the SNR":
            _at(lambda e, low, high, c: np.argmax(e(c))),
        "only the second step was made cheap: the first grows with the level, too":
            _at(lambda e, low, high, c: np.argmin(_cost(e, c, high))),
        "only the first step was made cheap: the second has the rest of the way to go":
            _at(lambda e, low, high, c: np.argmin(_cost(e, low, c))),
        "the level is right; its cost is that of both steps together":
            lambda e, low, high, c:
                (_chosen(_cost)(e, low, high, c)[0],
                 _cost(e, _chosen(_cost)(e, low, high, c)[0], high)),
        "that is the place in the list; asked is the level":
            lambda e, low, high, c:
                (float(np.argmin(_cost(e, low, c) + _cost(e, c, high))),
                 _chosen(_cost)(e, low, high, c)[1]),
        "the second step was charged the error at high: it guesses at the level in between":
            _two(lambda e, low, m, high: _cost(e, low, m) + 0.5 * np.expm1(high - m) * e(high)),
        "the first step was charged the error in between: it guesses at low":
            _two(lambda e, low, m, high: 0.5 * np.expm1(m - low) * e(m) + _cost(e, m, high)),
        "each step was made cheap by itself, with another level: one level serves both":
            _two(_both, lambda e, low, m, high:
                 _cost(e, low, m).min() + _cost(e, m, high).min()),
        "the exponent has the wrong sign: the step goes to the larger λ":
            _chosen(lambda e, t, s: 0.5 * np.expm1(t - s) * e(t)),
        "the product of both costs: costs add up":
            _two(lambda e, low, m, high: _cost(e, low, m) * _cost(e, m, high)),
        "the larger of both costs: a chain pays both":
            _two(lambda e, low, m, high: np.maximum(_cost(e, low, m), _cost(e, m, high))),
        "one long step, whatever the candidate: the second step looks again, at e of the candidate":
            _two(lambda e, low, m, high: _cost(e, low, high) + 0 * m),
        "the candidate in the middle of the list: look at the costs":
            _at(lambda e, low, high, c: np.argsort(c)[len(c) // 2]),
    },
)


# 04.2  the limit of many steps from two sums
def _from_two(power=1.0, limit=None, steps=None, left=None):
    """(limit, steps) when the gap falls like T^−power; ``left`` is the gap at T by another rule."""

    def answer(n_steps, coarse, fine, tolerance):
        gap = (coarse - fine) / (1 - 0.5**power) if left is None else left(coarse, fine)
        total = coarse - gap if limit is None else limit(coarse, fine)
        wanted = n_steps * (gap / tolerance) ** (1 / power)
        return total, np.ceil(wanted) if steps is None else steps(wanted, total)

    return answer

EXERCISES["04.2"] = Exercise(
    _from_two(),
    [(16.0, 5.9, 4.8, 0.103), (64.0, 2.4, 2.33, 0.013), (7.0, 3.3, 2.9, 0.06)],
    hint="Call the limit A and the gap c/T: two sums are two equations for A and c",
    returns=("limit", "steps"),
    mistakes={
        "order ½: the gap falls like 1/T; 1/√T is how random errors fall, nothing here is random":
            _from_two(0.5),
        "order 2: the sum takes e at one end of each step, and that is first order": _from_two(2.0),
        "the finer sum is not the limit: doubling the steps halves the gap, half of it is left":
            _from_two(limit=lambda coarse, fine: fine),
        "coarse − fine is not the whole gap at T steps, only the part that doubling took away":
            _from_two(left=lambda coarse, fine: coarse - fine),
        "on the wrong side of both sums: more steps cost less, so the limit lies below":
            _from_two(limit=lambda coarse, fine: 2 * coarse - fine),
        "the mean of the two sums: the limit lies below both":
            _from_two(limit=lambda coarse, fine: (coarse + fine) / 2),
        "rounded down: one step too few leaves the gap above the tolerance":
            _from_two(steps=lambda wanted, _: np.floor(wanted)),
        "steps come whole: round up": _from_two(steps=lambda wanted, _: wanted),
        "that many doublings, or times n_steps; asked is the number of steps itself":
            lambda n, coarse, fine, tol:
                (2 * fine - coarse, np.ceil(2 * (coarse - fine) / tol)),
        "the gap was counted from 2T on: it is c/T with T = n_steps at the coarse sum":
            _from_two(steps=lambda wanted, _: np.ceil(2 * wanted)),
        "the tolerance is in nats, not a share of the bound":
            lambda n, coarse, fine, tol:
                (2 * fine - coarse,
                 np.ceil(2 * n * (coarse - fine) / (tol * (2 * fine - coarse)))),
        "too far: coarse − fine is half of the gap at T, and all of the gap at 2T":
            _from_two(limit=lambda coarse, fine: 3 * fine - 2 * coarse),
        "that is what doubling took away; the limit is what is left in the end":
            _from_two(limit=lambda coarse, fine: coarse - fine),
        "upside down: a smaller tolerance needs more steps":
            lambda n, coarse, fine, tol:
                (2 * fine - coarse, np.ceil(n * tol / (coarse - fine) / 2)),
        "that is how often to double":
            lambda n, coarse, fine, tol: (2 * fine - coarse, np.log2(2 * (coarse - fine) / tol)),
        "rounded to the nearest: one step too few can leave the gap above the tolerance":
            _from_two(steps=lambda wanted, _: np.round(wanted)),
        "too little: from 2T on the gap is as much again as doubling took away, not half of that":
            _from_two(limit=lambda coarse, fine: fine - (coarse - fine) / 2),
        "negative: the coarse sum is the larger one":
            _from_two(steps=lambda wanted, _: np.ceil(-wanted)),
        "round up last: n_steps times a whole number is too coarse":
            lambda n, coarse, fine, tol:
                (2 * fine - coarse, 2 * n * np.ceil((coarse - fine) / tol)),
        "the gap falls like 1/T, not like 1/T²: no root for the steps":
            lambda n, coarse, fine, tol:
                (2 * fine - coarse, np.ceil(n * np.sqrt(2 * (coarse - fine) / tol))),
    },
)


# 04.3  the ELBO's weight in time
def _w_ml(t):
    return -0.5 * Cosine().log_snr_rate(t)

EXERCISES["04.3"] = Exercise(
    _w_ml,
    [[0.25, 0.9, 0.1, 0.5], [0.7, 0.12, 0.6]],
    hint="Differentiate λ_t; sin y cos y = ½ sin 2y makes the result short",
    tolerance=1e-4,  # a difference quotient is a fair answer
    mistakes={
        "the ½ is missing: L grows by ½ e dλ": 2,
        "the minus is missing: λ falls with t, a weight must not be negative": -1,
        "the minus and the ½ are missing: this is dλ/dt itself": -2,
        "that is p(λ), the density of levels; the weight is half its inverse":
            lambda t: 0.5 / _w_ml(t),
        "that is ½ β(t): w_ML is β/(2σ²), and the σ² is missing":
            lambda t: np.pi / 2 * np.tan(np.pi * t / 2),
        "that is −½ d SNR/dt: the ELBO's weight of the error of x̂, not of ε̂":
            lambda t: _w_ml(t) * np.tan(np.pi * t / 2) ** -2,
        "that is λ itself: the weight is half of how fast it falls":
            lambda t: -2 * np.log(np.tan(np.pi * t / 2)),
        "the π/2 is missing: the chain rule, for the argument πt/2 of the tangent":
            lambda t: _w_ml(t) / (np.pi / 2),
        "half as large as it should be: sin y cos y is ½ sin 2y": 0.5,
        "constant: that holds for a schedule in which λ falls in a straight line":
            np.ones_like,
        "a factor e^{λ/2} too much: the weight is −½ dλ/dt and nothing else":
            lambda t: _w_ml(t) / np.tan(np.pi * t / 2),
        "the chain rule of log tan: its derivative is 1/(sin y cos y), not 1/tan y":
            lambda t: np.pi / np.tan(np.pi * t / 2),
        "1/tan y, and half: the derivative of log tan y is 1/(sin y cos y)":
            lambda t: np.pi / 2 / np.tan(np.pi * t / 2),
        "sin y cos y is ½ sin 2y: half the angle was kept": lambda t: np.pi / np.sin(np.pi * t / 2),
        "sin πt enters once, not squared":
            lambda t: np.pi / np.sin(np.pi * t) ** 2,
        "differences over these few t are too coarse: differentiate on paper, or in tiny steps":
            lambda t: -0.5 * np.gradient(Cosine().log_snr(t), t),
        "upside down: sin πt divides": lambda t: np.pi * np.sin(np.pi * t),
        "sin y cos y is ½ sin 2y with y = πt/2: sin πt, not sin 2πt":
            lambda t: np.pi / np.sin(2 * np.pi * t),
        "the derivative of log tan y is 1/(sin y cos y), not that of tan y":
            lambda t: np.pi / 2 / np.cos(np.pi * t / 2) ** 2,
    },
)


# 04.4  nats for an accuracy, from errors alone
_below = partial(cumulative_trapezoid, initial=0)

def _nats(squared=lambda s, e: np.exp(-s) * e, rate=lambda s, e: _below(e, s) / 2, power=2):
    """The rate where ``squared``, the error of x, has fallen to accuracy^power."""

    def answer(log_snr, error, accuracy):
        falling = np.maximum.accumulate(squared(log_snr, error)[::-1])
        level = np.interp(np.log(accuracy**power), np.log(falling), log_snr[::-1])
        return np.interp(level, log_snr, rate(log_snr, error))

    return answer

_levels = np.linspace(-14, 9, 3001)
_uneven = np.sort(np.append(np.linspace(-15, -6, 400), 1.2 * np.sinh(np.linspace(-2.3, 2.5, 4000))))

EXERCISES["04.4"] = Exercise(
    _nats(),
    [
        (_levels, expit(_levels), 0.2),
        (_levels, expit(_levels) * (1 + expit(3 - _levels)) / 2, 0.4),
        (_uneven, expit(_uneven + 1) * expit(4 - _uneven) ** 0.5, 0.7),
    ],
    hint="First the level: e^{−λ} e is the mean squared error of x̂. Then what was paid up to there",
    tolerance=2e-3,  # other quadratures, and the nearest level in place of an interpolation
    mistakes={
        "integrated from λ_t to λ_max: L is the cost of level t and above in noise, from λ_min":
            _nats(rate=lambda s, e: (_below(e, s)[-1] - _below(e, s)) / 2),
        "all levels added up: stop where the accuracy is reached":
            lambda s, e, accuracy: _below(e, s)[-1] / 2,
        "the ½ of T2 is missing": 2,
        "negative: L grows with λ": -1,
        "e is the error of the noise; the error of x̂ is e^{−λ} times that":
            lambda s, e, accuracy:
                np.interp(np.interp(accuracy**2, np.maximum.accumulate(e), s), s, _below(e, s) / 2),
        "the accuracy is a root mean square: its square is e^{−λ} e": _nats(power=1),
        "squares: the factor between the errors of x̂ and ε̂ is e^{−λ}, not e^{−λ/2}":
            _nats(squared=lambda s, e: np.exp(-s / 2) * e),
        "that is where the *noise* is as small as the accuracy; the guess from it is better":
            _nats(squared=lambda s, e: np.exp(-s)),
        "that is for a Gaussian of variance 1; these data may be cheaper":
            lambda s, e, accuracy: -np.log(accuracy),
        "½ mmse is what a unit of SNR adds, not of λ: dI/dλ = ½ e":
            _nats(rate=lambda s, e: _below(np.exp(-s) * e, s) / 2),
        "a sum without dλ: the area under e needs the width of each cell":
            _nats(rate=lambda s, e: np.cumsum(e) / 2),
        "bits, not nats": 1 / np.log(2),
        "that is the level, not the nats": _nats(rate=lambda s, e: s),
        "λ is a logarithm of squares: a Gaussian's nats would be log(1/accuracy), twice yours":
            lambda s, e, accuracy: -0.5 * np.log(accuracy),
        "squared error, then a root too many: L grows by ½ e, not by ½ √e":
            _nats(rate=lambda s, e: _below(np.sqrt(e), s) / 2),
        "to where the noise is that small, and without the ½: the guess is better than the noise":
            _nats(squared=lambda s, e: np.exp(-s), rate=lambda s, e: _below(e, s)),
    },
)


# 04.5  another schedule, the same loss
def _moved(rule):
    """c on the new schedule by a rule for c and dλ/dt of new and old at the same level."""

    def moved(t, coefficient, old, new):
        then = old.time(new.log_snr(t))
        return rule(coefficient(then), new.log_snr_rate(t), old.log_snr_rate(then))

    return moved

def _swapped_inverse(t, c, old, new):
    then = new.time(old.log_snr(t))
    return c(then) * new.log_snr_rate(t) / old.log_snr_rate(then)

_right = _moved(lambda c, new, old: c * new / old)
_span = {"log_snr_min": -6.0, "log_snr_max": 6.0}
_inside = np.array([0.3, 0.9, 0.08, 0.55])

EXERCISES["04.5"] = Exercise(
    _right,
    [
        (_inside, lambda t: 1.0 + t, Cosine(**_span), LinearLogSnr(**_span)),
        (_inside, lambda t: 2.0 - t**2, FlowMatching(**_span), Cosine(**_span)),
    ],
    hint="First the level λ_t, then when the old schedule passed it, then w there, then c",
    mistakes={
        "c(t) was kept: the same time is another noise level now, so w(λ) has changed":
            lambda t, c, old, new: c(t) * np.ones_like(t),
        "w(t) was kept, not w(λ): take the old coefficient at the old time of the same level":
            lambda t, c, old, new: c(t) * new.log_snr_rate(t) / old.log_snr_rate(t),
        "right level, but levels are now visited at another speed: a ratio of dλ/dt is missing":
            _moved(lambda c, new, old: c),
        "the ratio of speeds is upside down: a level passed in less time needs a larger weight":
            _moved(lambda c, new, old: c * old / new),
        "the old schedule's speed was not divided out: c is not w":
            _moved(lambda c, new, old: -0.5 * c * new),
        "that is w(λ_t): multiply by the new schedule's −½ dλ/dt":
            _moved(lambda c, new, old: c / (-0.5 * old)),
        "both speeds at the same time t: the old schedule passes this level at another time":
            lambda t, c, old, new:
                c(old.time(new.log_snr(t))) * new.log_snr_rate(t) / old.log_snr_rate(t),
        "the old schedule's inverse is needed: the old time at which λ was that of new at t":
            _swapped_inverse,
        "the schedules are swapped: t is a time of the new one":
            lambda t, c, old, new: _right(t, c, new, old),
        "both speeds at time t, and upside down: the old one belongs to its own time of the level":
            lambda t, c, old, new: c(t) * old.log_snr_rate(t) / new.log_snr_rate(t),
        "a level was handed to c, which wants a time: that of the old schedule, old.time(level)":
            lambda t, c, old, new: c(new.log_snr(t)) * new.log_snr_rate(t) / old.log_snr_rate(t),
        "right level; its coefficient was divided by the new speed, where w is multiplied by it":
            _moved(lambda c, new, old: c / (-0.5 * new)),
        "negative: a weight is positive, and both speeds are negative":
            _moved(lambda c, new, old: -c * new / old),
        "upside down, and the old speed at the new time t":
            lambda t, c, old, new:
                c(old.time(new.log_snr(t))) * old.log_snr_rate(t) / new.log_snr_rate(t),
        "c at the level of the old schedule: start from the new one's level at t":
            lambda t, c, old, new: c(new.time(old.log_snr(t))),
        "times the new speed, without the −½ and the old speed":
            _moved(lambda c, new, old: -c * new),
        "a level was handed to c, which wants a time; and a ratio of dλ/dt is missing":
            lambda t, c, old, new: c(new.log_snr(t)),
        "that is the new schedule's w_ML: right only if the old loss was the ELBO":
            lambda t, c, old, new: -0.5 * new.log_snr_rate(t),
    },
)
