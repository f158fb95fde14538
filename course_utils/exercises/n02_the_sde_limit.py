"""Exercises of notebook 02: what a step loses, exact steps, the error's constant, stationarity."""

import numpy as np

from course_utils.exercises.framework import Exercise

# --- 02.1  the expansion of one step ----------------------------------------------------------


def _in_product(expanded):
    """The two terms as a function of b = βΔ alone."""
    return lambda beta, dt: expanded(beta * dt)


expansion = Exercise(
    reference=_in_product(lambda b: (1 - b / 2, -(b**2) / 8)),
    returns=("linear", "lost"),
    inputs=[
        (np.array([0.1, 2.0, 5.0, 20.0]), np.array([0.5, 0.1, 0.07, 0.01])),
        (np.array([3.0, 3.0, 3.0]), np.array([0.3, 0.03, 0.003])),
    ],
    mistakes={
        "1 − βΔ is the square itself: its root loses only half as much": (
            _in_product(lambda b: (1 - b, -(b**2) / 8))
        ),
        "the sign of the linear term is flipped: the step shrinks x, it does not grow it": (
            _in_product(lambda b: (1 + b / 2, -(b**2) / 8))
        ),
        "the sign of the lost term: the second derivative of a root is negative": (
            _in_product(lambda b: (1 - b / 2, b**2 / 8))
        ),
        "the lost term is twice too large: Taylor divides the second derivative by 2!": (
            _in_product(lambda b: (1 - b / 2, -(b**2) / 4))
        ),
        "the lost term is off: d²√u/du² = −¼ u^(−3/2), then divide by 2!": (
            _in_product(lambda b: (1 - b / 2, -(b**2) / 2))
        ),
        "β is squared too: the expansion is in the product βΔ": (
            lambda beta, dt: (1 - beta * dt / 2, -beta * dt**2 / 8)
        ),
        "the two results are swapped: first the terms up to first order, then the lost one": (
            _in_product(lambda b: (-(b**2) / 8, 1 - b / 2))
        ),
        "the 1 is missing: the terms up to first order are the constant and the linear one": (
            _in_product(lambda b: (-b / 2, -(b**2) / 8))
        ),
        "this is all that the linear terms leave over; asked for is its first term alone": (
            _in_product(lambda b: (1 - b / 2, np.sqrt(1 - b) - 1 + b / 2))
        ),
    },
    hint="√(1 − b) = 1 − b/2 − b²/8 − … with b = βΔ; try b = 0.1 on a calculator",
)

# --- 02.2  exact steps ------------------------------------------------------------------------


def _exact_betas(integral):
    return -np.expm1(-np.diff(integral))


exact_betas = Exercise(
    reference=_exact_betas,
    inputs=[
        (np.array([0.0, 0.1, 0.5, 1.3, 2.4]),),
        (10.05 * np.linspace(0, 1, 6) ** 2,),
    ],
    mistakes={
        "this is ∫β over the step, β(t)Δ for short: right to first order only": np.diff,
        "1 − exp(−B(t_i)) counts every earlier step again: use B over one step": (
            lambda integral: 1 - np.exp(-integral[1:])
        ),
        "these are the factors 1 − β_i; the question is β_i": (
            lambda integral: np.exp(-np.diff(integral))
        ),
        "with ½B you matched √ᾱ; ᾱ is the product of the 1 − β_i themselves": (
            lambda integral: 1 - np.exp(-np.diff(integral) / 2)
        ),
        "exp(+B): the product of the 1 − β_i falls, so the exponent is negative": (
            lambda integral: 1 - np.exp(np.diff(integral))
        ),
        "second order in Δ, but not exact: keep the exponential": (
            lambda integral: np.diff(integral) - np.diff(integral) ** 2 / 2
        ),
        "this is the standard deviation √β_i; the question is β_i": (
            lambda integral: np.sqrt(-np.expm1(-np.diff(integral)))
        ),
    },
    hint="ᾱ_i/ᾱ_{i−1} = 1 − β_i on the chain's side; what is it on the side of exp(−B)?",
)

# --- 02.3  the constant of the error ----------------------------------------------------------

_POINTS = np.linspace(0, 1, 20_001)


def _integral(y, t):
    return np.trapezoid(y(t * _POINTS), t * _POINTS)


def _constant(start=-1.0, end=1.0, squares=1.0, factor=-0.5):
    """The constant with these factors before β(0), β(t) and ∫β²: the defaults are right."""
    return lambda beta, t: (
        factor
        * (start * beta(0.0) + end * beta(t) + squares * _integral(lambda s: beta(s) ** 2, t))
    )


def _rising(t):
    return 0.1 + 19.9 * t


def _humped(t):
    return 2.0 + 5 * t**2 * (2 - t)


def _falling(t):
    return 4.0 - 3 * t


error_constant = Exercise(
    reference=_constant(),
    inputs=[(_rising, 1.0), (_rising, 0.3), (_humped, 0.8), (_falling, 0.6)],
    mistakes={
        "the end-point term is forgotten: this is the constant of the mid-point rule": (
            _constant(start=0.0, end=0.0)
        ),
        "this is the constant of the left-point rule: the end-point term has the other sign": (
            _constant(start=1.0, end=-1.0)
        ),
        "the sign is flipped: with right points and rising β the chain loses too much": (
            _constant(factor=0.5)
        ),
        "twice too large: both terms carry a factor ½": _constant(factor=-1.0),
        "half: this is the constant of log √ᾱ, the amplitude": _constant(factor=-0.25),
        "only the end-point term: log(1 − b) = −b − b²/2, and the b² add up too": (
            _constant(squares=0.0)
        ),
        "the two errors add: with right points and rising β both make ᾱ too small": (
            _constant(squares=-1.0)
        ),
        "β(0) is missing: the triangles add up to β(t) − β(0)": _constant(start=0.0),
        "the end-point term is taken at 1; it ends at t, as the integral does": (
            lambda beta, t: _constant()(beta, t) - (beta(1.0) - beta(t)) / 2
        ),
        "∫β² is wanted, not the square of ∫β": (
            lambda beta, t: -(beta(t) - beta(0.0) + _integral(beta, t) ** 2) / 2
        ),
        "this is the constant at the end; up to time t only the steps before t count": (
            lambda beta, t: _constant()(beta, 1.0)
        ),
    },
    hint="Two errors add: Σβ_i against ∫β (end points), and log(1 − β_i) against −β_i (squares)",
    tolerance=2e-3,
)

# --- 02.4  the stationary variance of Euler–Maruyama -------------------------------------------


def _stationary(b):
    return 1 / (1 - b / 4)


stationary_variance = Exercise(
    reference=_stationary,
    inputs=[(np.array([0.01, 0.1, 0.5, 1.0, 3.0]),)],
    mistakes={
        "1 is the chain's: there the factor squared and the noise add up to 1, here they do not": (
            np.ones_like
        ),
        "this is one step after variance 1; the question is the variance that stays": (
            lambda b: 1 + b**2 / 4
        ),
        "right to first order in b only: solve v = (1 − b/2)² v + b exactly": lambda b: 1 + b / 4,
        "the square of 1 − b/2 is 1 − b + b²/4: its last term is not b²/2": (
            lambda b: 1 / (1 - b / 2)
        ),
        "too small: the b²/4 of the squared factor keeps variance, it does not lose it": (
            lambda b: 1 / (1 + b / 4)
        ),
        "this is the standard deviation: the question is the variance": (
            lambda b: (1 - b / 4) ** -0.5
        ),
        "the noise adds the variance b, the square of √b: it is not squared again": (
            lambda b: b / (1 - b / 4)
        ),
        "the factor must be squared: a variance scales with the square of x": lambda b: (
            2 * np.ones_like(b)
        ),
        "√b was added as a variance; the variance of √b ε is b": (
            lambda b: np.sqrt(b) / (b - b**2 / 4)
        ),
    },
    hint="Set both sides equal to v and collect the terms with v on one side",
)

EXERCISES = {
    "02.1": expansion,
    "02.2": exact_betas,
    "02.3": error_constant,
    "02.4": stationary_variance,
}
