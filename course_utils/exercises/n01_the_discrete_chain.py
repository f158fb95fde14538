"""Exercises of notebook 01: the discrete chain S1, its closed form, its posterior, its length."""

import numpy as np

from course_utils.exercises.framework import Exercise

EXERCISES = {}

_rng = np.random.default_rng(1)


# 01.1  one step
EXERCISES["01.1"] = Exercise(
    lambda x, beta, eps: np.sqrt(1 - beta) * x + np.sqrt(beta) * eps,
    [
        (_rng.normal(size=5), 0.36, _rng.normal(size=5)),
        (_rng.normal(size=4), 0.02, _rng.normal(size=4)),
    ],
    hint="Square the two amplitudes: they must add up to 1",
    mistakes={
        "the noise is scaled by β: β is a variance, ε is multiplied by its root":
            lambda x, b, e: np.sqrt(1 - b) * x + b * e,
        "the signal is scaled by 1 − β: that is a squared amplitude, take its root":
            lambda x, b, e: (1 - b) * x + np.sqrt(b) * e,
        "both roots are missing: β and 1 − β are variances, x and ε want amplitudes":
            lambda x, b, e: (1 - b) * x + b * e,
        "the signal is not shrunk: variance is then added at every step and never lost":
            lambda x, b, e: x + np.sqrt(b) * e,
        "1 − β/2 is the root to first order only; that is Euler–Maruyama, not the chain":
            lambda x, b, e: (1 - b / 2) * x + np.sqrt(b) * e,
        "the two amplitudes have changed places: a small β is a small step":
            lambda x, b, e: np.sqrt(b) * x + np.sqrt(1 - b) * e,
        "√(1 − β) + √β is not 1: the squares of the amplitudes add up, not the amplitudes":
            lambda x, b, e: (1 - np.sqrt(b)) * x + np.sqrt(b) * e,
        "the noise is subtracted: the same in law, but S1 adds it":
            lambda x, b, e: np.sqrt(1 - b) * x - np.sqrt(b) * e,
    },
)


# 01.2  the marginal's standard deviation
def _abar(betas):
    return np.cumprod(1 - betas)

_ddpm = np.linspace(1e-4, 0.02, 1000)

EXERCISES["01.2"] = Exercise(
    lambda betas: np.sqrt(1 - _abar(betas)),
    [[0.36, 0.36, 0.36], _ddpm[::50] * 20, _ddpm],
    hint="v_t = (1 − β_t) v_{t−1} + β_t from v_0 = 0; what does 1 − v_t do?",
    mistakes={
        "1 − ᾱ_t is the variance: the standard deviation is its root": lambda b: 1 - _abar(b),
        "√ᾱ_t is the signal's amplitude, what remains of x_0": lambda b: np.sqrt(_abar(b)),
        "1 − √ᾱ_t: take the root of 1 − ᾱ_t as a whole": lambda b: 1 - np.sqrt(_abar(b)),
        "√β_t is the noise of the last step alone; the earlier noise has not all gone": np.sqrt,
        "the variances are added up, but each step also shrinks the noise that is there already":
            lambda b: np.sqrt(np.cumsum(b)),
        "off by one: after step 1 the variance is β_1, not 0":
            lambda b: np.sqrt(1 - np.append(1, _abar(b)[:-1])),
        "the product of the β instead of the product of the 1 − β":
            lambda b: np.sqrt(1 - np.cumprod(b)),
        "e^{−Σβ} only approximates the product of the 1 − β":
            lambda b: np.sqrt(1 - np.exp(-np.cumsum(b))),
        "1 − β is a squared amplitude already: do not take its root inside the product":
            lambda b: np.sqrt(1 - np.cumprod(np.sqrt(1 - b))),
    },
)


# 01.3  the ratio, predicted
EXERCISES["01.3"] = Exercise(
    lambda betas: np.exp(-0.5 * np.sum(betas**2)),
    [_ddpm, np.linspace(1e-3, 0.1, 60), np.full(10, 0.05)],
    hint="Write the log of the product as a sum and expand each log(1 − β) to second order",
    mistakes={
        "1: then the chain and the exponential would agree; log(1 − β) has a term in β² too":
            lambda b: 1.0,
        "that is the ratio itself, computed; predict it from the β² term alone":
            lambda b: np.exp(np.sum(np.log1p(-b) + b)),
        "the term is −β²/2: the ½ is missing": lambda b: np.exp(-np.sum(b**2)),
        "the sign is flipped: log(1 − β) lies below −β": lambda b: np.exp(0.5 * np.sum(b**2)),
        "a term too many: only the first one left out, in β², is asked for":
            lambda b: np.exp(-np.sum(b**2) / 2 - np.sum(b**3) / 3),
        "the sum of the squares is wanted, not the square of the sum":
            lambda b: np.exp(-0.5 * np.sum(b) ** 2),
        "that is the logarithm of the ratio": lambda b: -0.5 * np.sum(b**2),
        "keep the exponential: a sum of a thousand small terms need not be small":
            lambda b: 1 - 0.5 * np.sum(b**2),
        "that is e^{−Σβ}, the denominator": lambda b: np.exp(-np.sum(b)),
        "that is ᾱ_T, the numerator": lambda b: np.prod(1 - b),
    },
)


# 01.4  a shorter chain
def _shorter(betas, n_steps):
    levels = np.append(1.0, _abar(betas))[:: len(betas) // n_steps]
    return 1 - levels[1:] / levels[:-1]

def _blocks(betas, n_steps):
    return betas.reshape(n_steps, -1)

EXERCISES["01.4"] = Exercise(
    _shorter,
    [(_ddpm, 100), (_ddpm, 10), ([0.1, 0.3, 0.2, 0.4], 2)],
    hint="One long stride replaces k short ones: its 1 − β is the product of theirs",
    mistakes={
        "the first entries of the long list: the chain stops almost at the data":
            lambda b, n: b[:n],
        "the same end values over fewer steps: too little noise in all, ᾱ ends too high":
            lambda b, n: np.linspace(b[0], b[-1], n),
        "every k-th entry leaves the noise of the others out":
            lambda b, n: b[len(b) // n - 1 :: len(b) // n],
        "every k-th entry leaves the noise of those between out": lambda b, n: b[:: len(b) // n],
        "the rows are not strides of neighbours: reshape(n_steps, -1), then along each row":
            lambda b, n: 1 - np.prod(1 - b.reshape(-1, n), axis=0),
        "these are ᾱ at the new steps; a step's own β is 1 minus the ratio of two neighbours":
            lambda b, n: _abar(b)[len(b) // n - 1 :: len(b) // n],
        "the sum of each block is right to first order only: 1 − β multiplies, β does not add":
            lambda b, n: _blocks(b, n).sum(axis=1),
        "each entry times k is a first-order guess; multiply the 1 − β of each block":
            lambda b, n: b[len(b) // n - 1 :: len(b) // n] * (len(b) // n),
        "these are the products of 1 − β in each block; β is 1 minus that":
            lambda b, n: np.prod(1 - _blocks(b, n), axis=1),
        "these are 1 − ᾱ at the new steps; a step's own β needs the ratio of two ᾱ":
            lambda b, n: 1 - _abar(b)[len(b) // n - 1 :: len(b) // n],
        "the average of each block: as many β as before are needed, not one in k":
            lambda b, n: _blocks(b, n).mean(axis=1),
    },
)


# 01.5  the posterior's variance
def _before(betas):
    """ᾱ_{t−1} for t = 1 … T, with ᾱ_0 = 1."""
    return np.append(1.0, _abar(betas)[:-1])

def _posterior_variance(betas):
    return betas * (1 - _before(betas)) / (1 - _abar(betas))

EXERCISES["01.5"] = Exercise(
    _posterior_variance,
    [[0.36, 0.2, 0.5], _ddpm[::50] * 20, _ddpm[:40]],
    hint="Precisions add: (1 − β_t)/β_t from x_t, and 1/(1 − ᾱ_{t−1}) from x_0",
    mistakes={
        "β_t is the variance forwards, given x_{t−1}; knowing x_0 as well leaves less":
            lambda b: b * 1.0,
        "that is the variance before x_t is seen, 1 − ᾱ_{t−1}": lambda b: 1 - _before(b),
        "the ratio is upside down: seeing x_0 can only reduce the variance below β_t":
            lambda b: b * (1 - _abar(b)) / np.maximum(1 - _before(b), 1e-300),
        "that is a standard deviation; its square is asked for":
            lambda b: np.sqrt(_posterior_variance(b)),
        "the ratio has 1 − ᾱ, the variances of the noise, not ᾱ":
            lambda b: b * _before(b) / _abar(b),
        "off by one: t = 1 must give 0, for x_0 is known":
            lambda b: np.append(_posterior_variance(b)[1:], b[-1]),
        "the first entry: before step 1 stands x_0, which is known, so its variance is 0":
            lambda b: np.append(b[0], _posterior_variance(b)[1:]),
        "np.roll brings ᾱ_T to the front; before step 1 stands ᾱ_0 = 1":
            lambda b: b * (1 - np.roll(_abar(b), 1)) / (1 - _abar(b)),
        "√β_t where the formula has β_t": lambda b: np.sqrt(b) * (1 - _before(b)) / (1 - _abar(b)),
    },
)
