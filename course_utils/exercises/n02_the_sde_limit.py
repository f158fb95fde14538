"""Exercises of notebook 02: what a step loses, exact steps, the error's constant, stationarity."""

import numpy as np

from course_utils.exercises.framework import Exercise

EXERCISES = {}


# 02.1  the expansion of one step
def _in_product(expanded):
    """The two terms as a function of b = βΔ alone."""
    return lambda beta, dt: expanded(beta * dt)

EXERCISES["02.1"] = Exercise(
    _in_product(lambda b: (1 - b / 2, -(b**2) / 8)),
    [([0.1, 2.0, 5.0, 20.0], [0.5, 0.1, 0.07, 0.01]), ([3.0, 3.0, 3.0], [0.3, 0.03, 0.003])],
    hint="√(1 − b) = 1 − b/2 − b²/8 − … with b = βΔ; try b = 0.1 on a calculator",
    returns=("linear", "lost"),
    mistakes={
        "1 − βΔ is the square itself: its root loses only half as much":
            _in_product(lambda b: (1 - b, -(b**2) / 8)),
        "the sign of the linear term is flipped: the step shrinks x, it does not grow it":
            _in_product(lambda b: (1 + b / 2, -(b**2) / 8)),
        "the sign of the lost term: the second derivative of a root is negative":
            _in_product(lambda b: (1 - b / 2, b**2 / 8)),
        "the lost term is twice too large: Taylor divides the second derivative by 2!":
            _in_product(lambda b: (1 - b / 2, -(b**2) / 4)),
        "the lost term is off: d²√u/du² = −¼ u^(−3/2), then divide by 2!":
            _in_product(lambda b: (1 - b / 2, -(b**2) / 2)),
        "β is squared too: the expansion is in the product βΔ":
            lambda b, d: (1 - b * d / 2, -b * d**2 / 8),
        "the two results are swapped: first the terms up to first order, then the lost one":
            _in_product(lambda b: (-(b**2) / 8, 1 - b / 2)),
        "the 1 is missing: the terms up to first order are the constant and the linear one":
            _in_product(lambda b: (-b / 2, -(b**2) / 8)),
        "this is all that the linear terms leave over; asked for is its first term alone":
            _in_product(lambda b: (1 - b / 2, np.sqrt(1 - b) - 1 + b / 2)),
    },
)


# 02.2  exact steps
EXERCISES["02.2"] = Exercise(
    lambda B: 1 - np.exp(-np.diff(B)),
    [[0.0, 0.1, 0.5, 1.3, 2.4], 10.05 * np.linspace(0, 1, 6) ** 2],
    hint="ᾱ_i/ᾱ_{i−1} = 1 − β_i on the chain's side; what is it on the side of exp(−B)?",
    mistakes={
        "this is ∫β over the step, β(t)Δ for short: right to first order only": np.diff,
        "1 − exp(−B(t_i)) counts every earlier step again: use B over one step":
            lambda B: 1 - np.exp(-B[1:]),
        "these are the factors 1 − β_i; the question is β_i": lambda B: np.exp(-np.diff(B)),
        "with ½B you matched √ᾱ; ᾱ is the product of the 1 − β_i themselves":
            lambda B: 1 - np.exp(-np.diff(B) / 2),
        "exp(+B): the product of the 1 − β_i falls, so the exponent is negative":
            lambda B: 1 - np.exp(np.diff(B)),
        "second order in Δ, but not exact: keep the exponential":
            lambda B: np.diff(B) - np.diff(B) ** 2 / 2,
        "this is the standard deviation √β_i; the question is β_i":
            lambda B: np.sqrt(-np.expm1(-np.diff(B))),
    },
)


# 02.3  the constant of the error
_POINTS = np.linspace(0, 1, 20_001)

def _integral(y, t):
    return np.trapezoid(y(t * _POINTS), t * _POINTS)

def _constant(start=-1.0, end=1.0, squares=1.0):
    """The constant with these factors before β(0), β(t) and ∫β²: the defaults are right."""

    def constant(beta, t):
        sum_of_squares = _integral(lambda s: beta(s) ** 2, t)
        return -(start * beta(0.0) + end * beta(t) + squares * sum_of_squares) / 2

    return constant

EXERCISES["02.3"] = Exercise(
    _constant(),
    [
        (lambda t: 0.1 + 19.9 * t, 1.0),
        (lambda t: 0.1 + 19.9 * t, 0.3),
        (lambda t: 2 + 5 * t**2 * (2 - t), 0.8),
        (lambda t: 4 - 3 * t, 0.6),
    ],
    hint="Two errors add: Σβ_i against ∫β (end points), and log(1 − β_i) against −β_i (squares)",
    tolerance=2e-3,
    mistakes={
        "the end-point term is forgotten: this is the constant of the mid-point rule":
            _constant(start=0.0, end=0.0),
        "this is the constant of the left-point rule: the end-point term has the other sign":
            _constant(start=1.0, end=-1.0),
        "the sign is flipped: with right points and rising β the chain loses too much": -1,
        "twice too large: both terms carry a factor ½": 2,
        "half: this is the constant of log √ᾱ, the amplitude": 0.5,
        "only the end-point term: log(1 − b) = −b − b²/2, and the b² add up too":
            _constant(squares=0.0),
        "the two errors add: with right points and rising β both make ᾱ too small":
            _constant(squares=-1.0),
        "β(0) is missing: the triangles add up to β(t) − β(0)": _constant(start=0.0),
        "the end-point term is taken at 1; it ends at t, as the integral does":
            lambda b, t: _constant()(b, t) - (b(1.0) - b(t)) / 2,
        "∫β² is wanted, not the square of ∫β":
            lambda b, t: -(b(t) - b(0.0) + _integral(b, t) ** 2) / 2,
        "this is the constant at the end; up to time t only the steps before t count":
            lambda b, t: _constant()(b, 1.0),
    },
)


# 02.4  the stationary variance of Euler–Maruyama
EXERCISES["02.4"] = Exercise(
    lambda b: 1 / (1 - b / 4),
    [[0.01, 0.1, 0.5, 1.0, 3.0]],
    hint="Set both sides equal to v and collect the terms with v on one side",
    mistakes={
        "1 is the chain's: there the factor squared and the noise add up to 1, here they do not":
            np.ones_like,
        "this is one step after variance 1; the question is the variance that stays":
            lambda b: 1 + b**2 / 4,
        "right to first order in b only: solve v = (1 − b/2)² v + b exactly": lambda b: 1 + b / 4,
        "the square of 1 − b/2 is 1 − b + b²/4: its last term is not b²/2":
            lambda b: 1 / (1 - b / 2),
        "too small: the b²/4 of the squared factor keeps variance, it does not lose it":
            lambda b: 1 / (1 + b / 4),
        "this is the standard deviation: the question is the variance":
            lambda b: (1 - b / 4) ** -0.5,
        "the noise adds the variance b, the square of √b: it is not squared again":
            lambda b: b / (1 - b / 4),
        "the factor must be squared: a variance scales with the square of x":
            lambda b: 2 * np.ones_like(b),
        "√b was added as a variance; the variance of √b ε is b":
            lambda b: np.sqrt(b) / (b - b**2 / 4),
    },
)
