"""Exercises of notebook 02: which errors survive, exact lists, rules without error, a repair."""

import numpy as np

from course_utils.exercises.framework import Exercise

EXERCISES = {}


# 02.1  which errors survive the sum over N = 1/Δ steps
def _order(alike, of_random):
    """The total's power of Δ, from that of errors that are alike and of random ones."""
    def total(power, random):
        return np.where(random, of_random(power), alike(power))

    return total

_fair, _coin = np.array([True, False, False, True]), np.array([False, True, True])

EXERCISES["02.1"] = Exercise(
    _order(lambda a: a - 1, lambda a: a - 0.5),
    [
        ([2.0, 2.0, 1.0, 1.0], _fair),
        ([1.5, 0.5, 1.5], _coin),
        ([0.5, 0.5], np.array([True, False])),
        ([3.0], np.array([False])),
    ],
    hint="N alike errors add to N·Δ^a; of N random ones the variances add to N·Δ^2a",
    mistakes={
        "random errors cancel in part: their variances add up, as in the walk of section 1":
            _order(lambda a: a - 1, lambda a: a - 1),
        "errors that are alike do not cancel: N of them are N times one":
            _order(lambda a: a - 0.5, lambda a: a - 0.5),
        "the two kinds are exchanged": _order(lambda a: a - 0.5, lambda a: a - 1),
        "that is the error of one step; there are N = 1/Δ of them": lambda a, r: a * 1.0,
        "more steps make more error, not less: N = 1/Δ lowers the power":
            _order(lambda a: a + 1, lambda a: a + 0.5),
        "the random errors do not vanish for nothing: only their mean is zero":
            _order(lambda a: a - 1, lambda a: a),
        "that is the power of the variance; asked is that of the error itself":
            _order(lambda a: a - 1, lambda a: 2 * a - 1),
        "that is the power of N; asked is that of Δ = 1/N":
            _order(lambda a: 1 - a, lambda a: 0.5 - a),
        "the powers of Δ^a and of N are added, not multiplied":
            _order(lambda a: -a, lambda a: -a / 2),
        "the variance of N random errors is N·Δ^2a; take the root of all of it":
            _order(lambda a: a - 1, lambda a: a / 2 - 0.5),
        "a − ¼: the root was taken twice": _order(lambda a: a - 1, lambda a: a - 0.25),
        "half a power is taken from both; alike errors lose a whole one":
            _order(lambda a: a - 0.25, lambda a: a - 0.5),
        "errors that are alike: each is Δ^a, but there are N = 1/Δ of them":
            _order(lambda a: a, lambda a: a - 0.5),
        "that is the power of the total's variance, 2a − 1, for both kinds":
            _order(lambda a: 2 * a - 2, lambda a: 2 * a - 1),
        "N alike errors multiply Δ^a by N, they do not raise it to a power":
            _order(lambda a: 2 * a, lambda a: a - 0.5),
        "the mean of the random errors is zero, their sum is not":
            _order(lambda a: a - 1, lambda a: np.full_like(a, np.inf)),
        "random errors were taken to add up as √Δ each; √N of Δ^a is Δ^(a − ½)":
            _order(lambda a: a - 1, lambda a: a + 0.5),
        "random errors do not cancel altogether: √N of them are left":
            _order(lambda a: a - 1, np.zeros_like),
        "half the power is not half a power less: √N·Δ^a is Δ^(a − ½)":
            _order(lambda a: a - 1, lambda a: a / 2),
        "2a − 1 is the power of the variance of random errors":
            _order(lambda a: 2 * a - 1, lambda a: 2 * a - 1),
        "N errors, alike or random, are more than one: both lose a power":
            _order(lambda a: a, lambda a: a - 1),
    },
)


# 02.2  exact steps
EXERCISES["02.2"] = Exercise(
    lambda integral: 1 - np.exp(-np.diff(integral)),
    [
        [0.0, 0.1, 0.5, 1.3, 2.4],
        10.05 * np.linspace(0, 1, 6) ** 2,
        [0.0, 2.0, 2.0, 2.3],
        [0.0, 9.0],
    ],
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
        "B itself: what a step adds is a difference of two B": lambda B: B[1:],
        "1 − e^{−B} is the variance that x_t has; a step's β needs the ratio of two ᾱ":
            lambda B: np.diff(1 - np.exp(-B)),
        "ᾱ itself; 1 − β_i is the ratio of two neighbours": lambda B: np.exp(-B[1:]),
        "a power of 2 where e is meant": lambda B: 1 - 2.0 ** -np.diff(B),
        "the differences are taken backwards": lambda B: 1 - np.exp(-np.diff(B)[::-1]),
        "β/(1 + β) matches to first order only": lambda B: np.diff(B) / (1 + np.diff(B)),
        "divided by the time step: β_i is a pure number, ∫β over the step":
            lambda B: np.diff(B) * (len(B) - 1),
        "the first step is left out: it leads from B = 0 to B(t_1)":
            lambda B: np.append(0.0, 1 - np.exp(-np.diff(B)))[:-1],
        "this is the standard deviation √β_i; the question is β_i":
            lambda B: np.sqrt(-np.expm1(-np.diff(B))),
        "e^B grows; ᾱ falls as e^{−B}": lambda B: np.exp(B[1:]) - np.exp(B[:-1]),
        "twice the exponent: ᾱ is already a square": lambda B: 1 - np.exp(-2 * np.diff(B)),
        "∫β over the step was squared": lambda B: np.diff(B) ** 2,
        "the average of B over the step: what is added is its increase":
            lambda B: (B[1:] + B[:-1]) / 2,
        "1 minus ∫β over the step is no 1 − e^{−…}": lambda B: 1 - np.diff(B),
        "log(1 + ΔB) solves another equation: 1 − β_i = e^{−ΔB}": lambda B: np.log1p(np.diff(B)),
        "the ratio of two B: it is ᾱ = e^{−B} whose ratio is 1 − β":
            lambda B: np.diff(B) / B[1:],
        "1 minus a ratio, but of B, not of ᾱ = e^{−B}":
            lambda B: 1 - B[1:] / np.maximum(B[:-1], 1e-9),
        "the differences of the standard deviations; β_i is 1 minus a ratio of two ᾱ":
            lambda B: np.diff(np.sqrt(1 - np.exp(-B))),
    },
)


# 02.3  the point of the step without first-order error
_POINTS = np.linspace(0, 1, 20_001)

def _integral(y, t):
    return np.trapezoid(y(t * _POINTS), t * _POINTS)

def _squares(beta, t):
    return _integral(lambda tau: beta(tau) ** 2, t)

def _point(start=0.5, sign=-1.0, factor=0.5, squares=_squares, rise=None):
    """θ with these pieces; the defaults are right."""

    def point(beta, t):
        by = rise(beta, t) if rise else beta(t) - beta(0.0)
        return start + sign * factor * squares(beta, t) / by

    return point

def _line(t):
    """0.1 + 19.9 t"""
    return 0.1 + 19.9 * t

def _cubic(t):
    """2 + 5 t² (2 − t)"""
    return 2 + 5 * t**2 * (2 - t)

def _falling(t):
    """4 − 3 t"""
    return 4 - 3 * t

EXERCISES["02.3"] = Exercise(
    _point(),
    [(_line, 1.0), (_line, 0.1), (_cubic, 0.8), (_falling, 0.6), (_line, 0.01)],
    hint="The sum exceeds ∫β by (θ − ½)Δ[β(t) − β(0)]; add what the logarithm loses, ½Δ∫β²",
    tolerance=2e-3,
    mistakes={
        "the mid-point cures the first error alone; the logarithm's, −½∫β², is left":
            lambda b, t: 0.5,
        "right of ½ the two errors add: the right rule, θ = 1, makes ᾱ too small in two ways":
            _point(sign=1.0),
        "θ = ½ is where the first error vanishes; you counted from 0": _point(start=0.0),
        "θ = ½ is where the first error vanishes; you counted from the right end":
            _point(start=1.0),
        "the ½ before ∫β² is missing": _point(factor=1.0),
        "a ½ too many before ∫β²": _point(factor=0.25),
        "∫β² is wanted, not the square of ∫β":
            _point(squares=lambda b, t: _integral(b, t) ** 2),
        "∫β² is wanted, not ∫β": _point(squares=_integral),
        "β(0) is missing: the triangles add up to β(t) − β(0)": _point(rise=lambda b, t: b(t)),
        "the integral ends at t, as the sum does": lambda b, t: _point(
            squares=lambda b, _: _squares(b, 1.0))(b, t),
        "the triangles end at t: β(t) − β(0)": _point(rise=lambda b, t: b(1.0) - b(0.0)),
        "with this θ the two errors are equal; they must cancel":
            lambda b, t: -_point()(b, t),
        "upside down: solve (θ − ½)[β(t) − β(0)] + ½∫β² = 0 for θ":
            lambda b, t: 0.5 - 0.5 * (b(t) - b(0.0)) / _squares(b, t),
        "that is the constant of the error at the mid-point; asked is θ":
            lambda b, t: -_squares(b, t) / 2,
        "that is the constant of the error of the right rule; asked is θ":
            lambda b, t: -(b(t) - b(0.0) + _squares(b, t)) / 2,
        "β is a rate: its mean over [0, t] was squared, not β itself":
            _point(squares=lambda b, t: t * (_integral(b, t) / t) ** 2),
        "β(t)² times t is not ∫β²: β changes on the way":
            _point(squares=lambda b, t: t * b(t) ** 2),
        "a time: asked is the place within a step, a number without unit":
            lambda b, t: t * _point()(b, t),
        "everything was taken at t = 1; the sum and the integral end at t":
            lambda b, t: _point()(b, 1.0),
        "∫β²/(β(t) − β(0)) is the shift twice over; θ is ½ less half of it":
            _point(start=0.0, sign=1.0, factor=1.0),
        "that is the shift from ½; θ itself is ½ less it": _point(start=0.0, sign=1.0),
        "the mean of β² was taken, not its integral":
            lambda b, t: 0.5 - 0.5 * _squares(b, t) / t / (b(t) - b(0.0)),
        "∫β² was divided by ∫β: the triangles have the area of β(t) − β(0)":
            _point(rise=_integral),
        "β(t)² − β(0)² is not ∫β²": _point(squares=lambda b, t: b(t) ** 2 - b(0.0) ** 2),
        "β(t)² is not ∫β²": _point(squares=lambda b, t: b(t) ** 2),
        "the triangles have the area of β(t) − β(0), not of the sum":
            _point(rise=lambda b, t: b(t) + b(0.0)),
    },
)


# 02.4  Euler–Maruyama repaired
EXERCISES["02.4"] = Exercise(
    lambda beta: 1 - (1 - beta / 2) ** 2,
    [[0.5, 0.01, 3.0, 1.0], [4.0, 0.0, 2.0], [0.1, 0.1]],
    hint="The factor leaves (1 − β/2)² of a variance of 1; the noise must make up the rest",
    mistakes={
        "β is what Euler–Maruyama adds already: then 1 becomes 1 + β²/4": lambda b: b * 1.0,
        "that is the standard deviation of the noise: asked is its variance":
            lambda b: np.sqrt(np.maximum(1 - (1 - b / 2) ** 2, 0)),
        "1 − β/2 is what is left of x; of its variance the square is left": lambda b: b / 2,
        "this is what the factor leaves; the noise must make up the rest":
            lambda b: (1 - b / 2) ** 2,
        "β²/4 has the wrong sign: the method adds too much, not too little": lambda b: b + b**2 / 4,
        "(β/2)² is β²/4: the square of 1 − β/2 is 1 − β + β²/4": lambda b: b - b**2 / 2,
        "that is the excess alone; subtract it from what the method adds": lambda b: b**2 / 4,
        "that is where the unrepaired method rests": lambda b: 1 / (1 - b / 4),
        "β times the variance at rest: then the variance 1 does not stay 1":
            lambda b: b / (1 + b / 4),
        "β(1 − β) is right for the factor 1 − β; here it is 1 − β/2": lambda b: b * (1 - b),
        "β(2 − β) belongs to the factor 1 − β; here it is 1 − β/2": lambda b: b * (2 - b),
        "β²: the variance to add is β, less a small term in β²": lambda b: b**2,
        "√β is the amplitude that the method uses; asked is a variance": np.sqrt,
        "1 − β²/4 is the product (1 − β/2)(1 + β/2), not the square's complement":
            lambda b: 1 - b**2 / 4,
        "a cubic too many: 1 − (1 − β/2)² has no term in β³": lambda b: b - b**2 / 4 + b**3 / 8,
        "1 − β is what the chain's factor leaves of the variance": lambda b: 1 - b,
        "the amount that the method adds too much in one step is β²/4; subtract it from β":
            lambda b: 1 + b**2 / 4,
        "the variance β was divided by the excess 1 + β²/4": lambda b: b / (1 + b**2 / 4),
        "the last term of (1 − β/2)² is β²/4, not β²/8": lambda b: b * (1 - b / 8),
    },
)
