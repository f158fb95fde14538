"""Exercises of notebook 01: variances at rest, each draw's share, shorter chains, steps back."""

import numpy as np

from course_utils.exercises.framework import Exercise

EXERCISES = {}

_ddpm = np.linspace(1e-4, 0.02, 1000)


# 01.1  the variance at rest
def _rest(decay, noise):
    lost = 1 - decay**2  # decay multiplies x, so it multiplies a variance by its square
    return noise**2 / lost  # at rest a step adds as much as it takes away

EXERCISES["01.1"] = Exercise(
    _rest,
    [
        ([0.8, 0.64, 0.8, 0.64], [0.6, 0.6, 0.36, 0.36]),
        ([0.0, -0.5, 0.999], [0.7, 0.4, 0.05]),
        ([0.9, 0.5, 0.5], [0.0, 2.0, 2.0]),
    ],
    hint="Write V = decay²·V + noise² and collect the terms with V on one side",
    mistakes={
        "that is the variance after one step from variance 1; the step is repeated for ever":
            "noise**2 / lost -> decay**2 + noise**2",
        "these are amplitudes; of a variance both decay and noise are the square root":
            "noise**2 / lost -> noise / (1 - decay)",
    },
)


# 01.2  what each draw contributes
def _shares(betas):
    a_bar = np.cumprod(1 - betas)  # each step multiplies a variance by its own 1 − β
    later = a_bar[-1] / a_bar  # only the steps after t shrink ξ_t
    return betas * later  # a draw comes in with the variance β_t

EXERCISES["01.2"] = Exercise(
    _shares,
    [[0.36, 0.2, 0.5], [0.7, 0.1, 0.1, 0.4], _ddpm[::50] * 20, _ddpm, [0.3]],
    hint="ξ_t is added with variance β_t; each later step multiplies it by its own 1 − β",
    mistakes={
        "the steps before t do not touch ξ_t; those after it do":
            "betas * later -> betas * np.append(1.0, a_bar[:-1])",
        "a step shrinks what was there before it; the noise that it adds itself stays whole":
            "betas * later -> betas * later * (1 - betas)",
        "e^{−Σβ} only approximates the product of the later 1 − β":
            "betas * later -> betas * np.exp(np.cumsum(betas) - betas.sum())",
    },
)


# 01.3  the ratio, predicted
def _ratio(betas):
    second = betas**2 / 2  # log(1 − β) has −β and then a term in β²; only the first is in both
    return np.exp(-np.sum(second))  # logarithms add up, each below −β; exp of the sum is the ratio

EXERCISES["01.3"] = Exercise(
    _ratio,
    [_ddpm, np.linspace(0.1, 1e-3, 60), [0.05, 0.05, 0.2], [0.3]],
    hint="Write the log of the product as a sum and expand each log(1 − β) to second order",
    mistakes={
        "1: then the chain and the exponential would agree; log(1 − β) has a term in β² too":
            lambda betas: 1.0,
        "that is the ratio itself, computed; predict it from the β² term alone":
            "np.exp(-np.sum(second)) -> np.exp(np.sum(np.log1p(-betas) + betas))",
        "that is the approximation itself; asked is the product over it, a ratio near 1":
            "np.exp(-np.sum(second)) -> np.exp(-np.sum(betas))",
        "a term too many: only the first one left out, in β², is asked for":
            "betas**2 / 2 -> betas**2 / 2 + betas**3 / 3",
    },
)


# 01.4  a shorter chain
def _shorter(betas, n_steps):
    strides = (1 - betas).reshape(n_steps, -1)  # neighbours stand in a row, one stride each
    kept = np.prod(strides, axis=1)  # factors multiply, and all steps of a stride count
    return 1 - kept  # a stride's β is what it does not keep

EXERCISES["01.4"] = Exercise(
    _shorter,
    [(_ddpm, 100), ([0.1, 0.3, 0.2, 0.4], 2), ([0.5, 0.02, 0.3, 0.3, 0.9, 0.01], 3)],
    hint="One long stride replaces k short ones: its 1 − β is the product of theirs",
    mistakes={
        "the first entries of the long list: the chain stops almost at the data":
            lambda betas, n_steps: betas[:n_steps],
        "the same end values over fewer steps: too little noise in all, ᾱ ends too high":
            lambda betas, n_steps: np.linspace(betas[0], betas[-1], n_steps),
        "every k-th entry leaves the noise of the others out": "1 - kept -> 1 - strides[:, 0]",
        "the rows are not strides of neighbours: reshape(n_steps, -1), then along each row":
            "reshape(n_steps, -1) -> reshape(-1, n_steps).T",
        "these are ᾱ at the new steps; a step's own β is 1 minus the ratio of two neighbours":
            "1 - kept -> np.cumprod(kept)",
        "these are 1 − ᾱ at the new steps; a step's own β needs the ratio of two ᾱ":
            "1 - kept -> 1 - np.cumprod(kept)",
        "that is how far ᾱ falls in each stride; β is its share of the ᾱ before, a ratio":
            "1 - kept -> -np.diff(np.append(1.0, np.cumprod(kept)))",
        "the sum of each block is right to first order only: 1 − β multiplies, β does not add":
            "1 - kept -> np.sum(1 - strides, axis=1)",
    },
)


# 01.5  a long step back
def _long_back(a_bar_noisy, a_bar_clean):
    beta = 1 - a_bar_noisy / a_bar_clean  # the steps between are one long step, and 1 − β multiply
    clean, noisy = 1 - a_bar_clean, 1 - a_bar_noisy  # the noise since x_0 in each state
    return beta * clean / noisy  # x_0 and the noisy state both narrow it down

EXERCISES["01.5"] = Exercise(
    _long_back,
    [
        ([0.5, 0.05, 0.3], [0.8, 0.9, 0.31]),
        ([0.2, 0.2, 0.9], [1.0, 0.2, 0.95]),
        ([1e-4, 0.6], [0.5, 0.99]),
    ],
    hint="All the steps between have, together, β = 1 − ᾱ_noisy/ᾱ_clean",
    mistakes={
        "ᾱ_clean − ᾱ_noisy is not the β of the long step: the 1 − β multiply, so divide":
            "1 - a_bar_noisy / a_bar_clean -> a_bar_clean - a_bar_noisy",
        "that is the variance if x_0 alone is known": "beta * clean / noisy -> clean",
        "the likelihood as a function of the cleaner state has variance β/(1 − β), not β":
            "beta * clean / noisy -> beta * clean / np.where(beta > 0, beta + clean, 1.0)",
    },
)
