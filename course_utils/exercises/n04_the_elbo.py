"""Exercises of notebook 04: what a step costs, the limit of many steps, and the schedule."""

from functools import partial

import numpy as np
from scipy.integrate import cumulative_trapezoid

from course_utils.exercises.framework import Exercise
from course_utils.schedules import Cosine, FlowMatching, LinearLogSnr

EXERCISES = {}


# 04.1  what one step costs
EXERCISES["04.1"] = Exercise(
    lambda squared_error, log_snr, log_snr_to:
        0.5 * (np.exp(log_snr_to - log_snr) - 1) * squared_error,
    [([0.2, 0.7, 0.5], [-3.0, 0.0, 1.0], [-2.0, 0.5, 4.0]), ([0.9, 0.1], [2.0, -1.0], [2.5, 1.5])],
    hint="Two Gaussians of one variance v: (difference of means)²/2v, with x̂ − x = (σ/α)(ε − ε̂)",
    mistakes={
        "1 − e^{−Δλ} is the posterior's share of x; the KL divides its square by the variance":
            lambda e, t, s: 0.5 * (1 - np.exp(t - s)) * e,
        "that is the cost of a very short step, ½ Δλ e; a step of any length costs more":
            lambda e, t, s: 0.5 * (s - t) * e,
        "the ½ of a Gaussian's KL is missing": 2,
        "a step of no length must cost nothing: subtract 1 from the exponential":
            lambda e, t, s: 0.5 * np.exp(s - t) * e,
        "negative: a KL never is. The step goes to the larger λ":
            lambda e, t, s: 0.5 * (np.exp(t - s) - 1) * e,
        "half the exponent: λ is the log of a ratio of squares, not of amplitudes":
            lambda e, t, s: 0.5 * (np.exp((s - t) / 2) - 1) * e,
        "the SNRs themselves: that is the factor before the error of x̂, not of ε̂":
            lambda e, t, s: 0.5 * (np.exp(s) - np.exp(t)) * e,
        "the error comes squared already": lambda e, t, s: 0.5 * (np.exp(s - t) - 1) * e**2,
    },
)


# 04.2  the gap's order and constant
def _gap(n_steps, span, delta_L, delta_e):
    return span / (2 * n_steps) * (delta_L - delta_e / 2)

EXERCISES["04.2"] = Exercise(
    _gap,
    [([64.0, 128.0, 1000.0], 20.0, 3.7, 0.4), ([50.0, 500.0], 12.0, 1.9, -0.3)],
    hint="Expand ½ Σ (Δ + ½ Δ²) e(λ_j), and remember that Σ Δ e over left ends is not ∫ e dλ",
    mistakes={
        "order ½: the gap falls like 1/T; 1/√T is how random errors fall, nothing here is random":
            lambda n, span, L, e: _gap(np.sqrt(n), span, L, e),
        "order 2: the sum takes e at one end of each step, and that is first order":
            lambda n, span, L, e: _gap(n**2, span, L, e),
        "the end-point term is forgotten: e is taken at the noisy end of each step":
            lambda n, span, L, e: _gap(n, span, L, 0),
        "the exponential's term is forgotten: (e^Δ − 1) exceeds Δ by ½ Δ²":
            lambda n, span, L, e: _gap(n, span, 0, e),
        "the end-point term has the wrong sign: where e grows with λ, the noisy end is the lower":
            lambda n, span, L, e: _gap(n, span, L, -e),
        "twice too large: the ½ before the range is missing": 2,
        "the ½ before Δe is missing": lambda n, span, L, e: _gap(n, span, L, 2 * e),
        "that is the sum Σ K_j itself; asked is what it exceeds ½ ∫ e dλ by":
            lambda n, span, L, e: L + _gap(n, span, L, e),
        "the range is missing: Δ is λ_max − λ_min over T, not 1/T":
            lambda n, span, L, e: _gap(n, 1.0, L, e),
    },
)


# 04.3  the ELBO's weight in time
def _w_ml(t):
    return -0.5 * Cosine().log_snr_rate(t)

EXERCISES["04.3"] = Exercise(
    _w_ml,
    [[0.1, 0.25, 0.5, 0.9], [0.03, 0.6, 0.7]],
    hint="Differentiate λ_t; sin u cos u = ½ sin 2u makes the result short",
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
        "half as large as it should be: sin u cos u is ½ sin 2u": 0.5,
        "constant: that holds for a schedule in which λ falls in a straight line":
            np.ones_like,
    },
)


# 04.4  L rebuilt from the errors
_below = partial(cumulative_trapezoid, initial=0)
_levels = np.linspace(-8, 6, 401)
_uneven = np.sort(np.sinh(np.linspace(-2, 2, 301)))

EXERCISES["04.4"] = Exercise(
    lambda log_snr, error, prior: prior + _below(error, log_snr) / 2,
    [
        (_levels, 1 / (1 + np.exp(-_levels)) * np.exp(-(_levels**2) / 60), 0.3),
        (_uneven, 0.4 + 0.3 * np.tanh(_uneven), 0.05),
    ],
    hint="At λ_min nothing but the prior has been paid; each bit dλ upwards adds ½ e dλ",
    tolerance=3e-4,  # other quadratures, and the left or right ends within reason
    mistakes={
        "integrated from λ_t to λ_max: L is the cost of level t and above in noise, from λ_min":
            lambda x, e, p: p + (_below(e, x)[-1] - _below(e, x)) / 2,
        "integrated from λ_t to λ_max, without the prior":
            lambda x, e, p: (_below(e, x)[-1] - _below(e, x)) / 2,
        "the prior is missing: L does not start at 0": lambda x, e, p: _below(e, x) / 2,
        "the ½ of T2 is missing": lambda x, e, p: p + _below(e, x),
        "the sign is wrong: L grows with λ, and falls in t": lambda x, e, p: p - _below(e, x) / 2,
        "a sum without dλ: the area under e needs the width of each cell":
            lambda x, e, p: p + np.cumsum(e) / 2,
        "a whole cell is counted at λ_min, where only the prior has been paid: start from 0":
            lambda x, e, p: p + np.cumsum(e * np.gradient(x)) / 2,
        "the prior was halved too: only the integral of e carries the ½":
            lambda x, e, p: (p + _below(e, x)) / 2,
        "that is dL/dλ: the slope of L, not L": lambda x, e, p: e / 2,
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
_inside = np.array([0.08, 0.3, 0.55, 0.9])

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
    },
)
