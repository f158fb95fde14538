"""Exercises of notebook 02: which errors survive, exact lists, rules without error, a repair."""

import numpy as np

from course_utils.exercises.framework import Exercise

EXERCISES = {}


# 02.1  which errors survive the sum over N = 1/Δ steps
def _order(power, random):
    lost = np.where(random, 0.5, 1.0)  # N alike errors add up; of random ones only √N is left
    return power - lost  # many small steps make more error, and N is 1/Δ

EXERCISES["02.1"] = Exercise(
    _order,
    [
        ([2.0, 2.0, 1.0, 1.0], [True, False, False, True]),
        ([1.5, 0.5, 1.5], [False, True, True]),
        ([0.5, 0.5], [True, False]),
        ([3.0], [False]),
    ],
    hint="N alike errors add to N·Δ^a; of N random ones the variances add to N·Δ^2a",
    mistakes={
        "that is the power of the variance; asked is that of the error itself":
            "np.where(random, 0.5, 1.0) -> np.where(random, 1 - power, 1.0)",
        "N random errors are more than one of them: their variances add up":
            "np.where(random, 0.5, 1.0) -> np.where(random, 0.0, 1.0)",
        "random errors do not cancel altogether: √N of them are left":
            "np.where(random, 0.5, 1.0) -> np.where(random, power, 1.0)",
    },
)


# 02.2  exact steps
def _exact(integral):
    increase = np.diff(integral)  # a step's own part of B is what it adds, a difference
    kept = np.exp(-increase)  # ᾱ = e^{−B}, so the ratio of two ᾱ is a power of e
    return 1 - kept  # β_i is what a step does not keep

EXERCISES["02.2"] = Exercise(
    _exact,
    [[0.0, 0.1, 0.5, 2.4], 10.05 * np.linspace(0, 1, 6) ** 2, [0.0, 2, 2, 2.3], [0.0, 0.4, 1.1]],
    hint="ᾱ_i/ᾱ_{i−1} = 1 − β_i on the chain's side; what is it on the side of exp(−B)?",
    mistakes={
        "this is ∫β over the step, β(t)Δ for short: right to first order only": np.diff,
        "1 − e^{−B} is the variance that x_t has; a step's β needs the ratio of two ᾱ":
            "1 - kept -> np.diff(1 - np.exp(-integral))",
    },
)


# 02.3  the point of the step without first-order error
def _point(beta, t):
    times = np.linspace(0, t, 20_001)  # the sum and the integral end at t
    squares = np.trapezoid(beta(times) ** 2, times)  # the logarithm's error has ∫β² in it
    rise = beta(t) - beta(0.0)  # each step's triangle is as high as β rises over it
    return 0.5 - 0.5 * squares / rise  # at ½ the triangles cancel; the logarithm's ½∫β² is left

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
    _point,
    [(_line, 1.0), (_line, 0.1), (_cubic, 0.8), (_falling, 0.6), (_line, 0.01)],
    hint="The sum exceeds ∫β by (θ − ½)Δ[β(t) − β(0)]; add what the logarithm loses, ½Δ∫β²",
    tolerance=2e-3,
    mistakes={
        "the mid-point cures the first error alone; the logarithm's, −½∫β², is left":
            lambda beta, t: 0.5,
        "∫β² is wanted, not the square of ∫β":
            "np.trapezoid(beta(times) ** 2, times) -> np.trapezoid(beta(times), times) ** 2",
    },
)


# 02.4  Euler–Maruyama repaired
def _repaired(beta):
    factor = 1 - beta / 2  # Euler–Maruyama's factor acts on the amplitude of x
    return 1 - factor**2  # of the variance its square is left, and the noise makes up the rest

EXERCISES["02.4"] = Exercise(
    _repaired,
    [[0.5, 0.01, 3.0, 1.0], [3.9, 0.0, 2.0], [0.1, 0.1]],
    hint="The factor leaves (1 − β/2)² of a variance of 1; the noise must make up the rest",
    mistakes={
        "β is what Euler–Maruyama adds already: then 1 becomes 1 + β²/4":
            "1 - factor**2 -> beta * 1.0",
        "β²/4 has the wrong sign: the method adds too much, not too little":
            "1 - factor**2 -> beta + beta**2 / 4",
        "that is by how much β is too much; asked is all the variance that a step adds":
            "1 - factor**2 -> beta**2 / 4",
        "(β/2)² is β²/4: the square of 1 − β/2 is 1 − β + β²/4":
            "1 - factor**2 -> beta - beta**2 / 2",
    },
)
