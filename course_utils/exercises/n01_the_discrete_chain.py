"""Exercises of notebook 01: variances at rest, each draw's share, shorter chains, steps back."""

import numpy as np

from course_utils.exercises.framework import Exercise

EXERCISES = {}


# 01.1  the variance at rest
def _rest(decay, noise):
    return noise**2 / (1 - decay**2)

EXERCISES["01.1"] = Exercise(
    _rest,
    [
        ([0.8, 0.64, 0.8, 0.64], [0.6, 0.6, 0.36, 0.36]),
        ([0.0, -0.5, 0.999], [0.7, 0.4, 0.05]),
        ([0.9, 0.5, 0.5], [0.0, 2.0, 2.0]),
    ],
    hint="Write V = decay²·V + noise² and collect the terms with V on one side",
    mistakes={
        "1 is S1's variance at rest; another pair of amplitudes has another":
            lambda d, n: np.ones_like(d),
        "the amplitudes were taken for variances: square them first": lambda d, n: n / (1 - d),
        "the noise is an amplitude: it adds the variance noise²":
            lambda d, n: n / (1 - d**2),
        "the decay multiplies x, so it multiplies the variance by its square":
            lambda d, n: n**2 / (1 - d),
        "that is the standard deviation; asked is the variance":
            lambda d, n: n / np.sqrt(1 - d**2),
        "that is the variance after one step from variance 1; the step is repeated for ever":
            lambda d, n: d**2 + n**2,
        "that is the variance after one step from a point; the step is repeated for ever":
            lambda d, n: n**2,
        "the decay makes the variance smaller at each step: 1 − decay², not 1 + decay²":
            lambda d, n: n**2 / (1 + d**2),
        "the variance that a step takes away is (1 − decay²)V; divide by it, do not multiply":
            lambda d, n: n**2 * (1 - d**2),
        "upside down: more noise means more variance":
            lambda d, n: np.divide(1 - d**2, n**2, out=np.zeros_like(d), where=n != 0),
        "that is the variance after two steps from a point; the step is repeated for ever":
            lambda d, n: n**2 * (1 + d**2),
        "1 − decay² is the noise that would keep the variance 1; the noise is given":
            lambda d, n: 1 - d**2,
        "(1 − decay)² is not 1 − decay²: V = decay²·V + noise²": lambda d, n: n**2 / (1 - d) ** 2,
        "decay and noise are exchanged": lambda d, n: d**2 / (1 - n**2),
        "decay² was divided by, where 1 − decay² belongs": lambda d, n: n**2 / d**2,
        "1 − noise² is no decay here: decay is given": lambda d, n: n**2 / (1 - n**2),
        "the decay acts on all steps before: their contributions are a geometric series":
            lambda d, n: n**2 * (1 + d**2 + d**4),
        "1 − decay² = (1 − decay)(1 + decay): one of the two factors is missing":
            lambda d, n: n**2 / (1 + d),
        "that is the variance before the fresh noise of the step is added":
            lambda d, n: d**2 * n**2 / (1 - d**2),
        "the variance is multiplied by decay², which is below |decay|":
            lambda d, n: n**2 / (1 - np.abs(d)),
    },
)


# 01.2  what each draw contributes
def _abar(betas):
    return np.cumprod(1 - betas)

def _later(betas):
    """The product of the 1 − β after each step."""
    return np.append(np.cumprod((1 - betas)[:0:-1])[::-1], 1.0)

_ddpm = np.linspace(1e-4, 0.02, 1000)

EXERCISES["01.2"] = Exercise(
    lambda betas: betas * _later(betas),
    [[0.36, 0.2, 0.5], [0.7, 0.1, 0.1, 0.4], _ddpm[::50] * 20, _ddpm, [0.3]],
    hint="ξ_t is added with variance β_t; each later step multiplies it by its own 1 − β",
    mistakes={
        "β_t is what step t adds; the later steps shrink it": lambda b: b * 1.0,
        "the step's own 1 − β is one too many: its draw is added after the shrinking":
            lambda b: b * (1 - b) * _later(b),
        "the steps before t do not touch ξ_t; those after it do":
            lambda b: b * np.append(1.0, _abar(b)[:-1]),
        "ᾱ_t has the steps up to t; what shrinks ξ_t are the steps after t": lambda b: b * _abar(b),
        "ᾱ_T is the product of all steps; only those after t shrink ξ_t":
            lambda b: b * _abar(b)[-1],
        "these are amplitudes; asked are variances": lambda b: np.sqrt(b * _later(b)),
        "√(1 − β) is what a step does to an amplitude; a variance is multiplied by 1 − β":
            lambda b: b * np.sqrt(_later(b)),
        "the variance that is added is β, not √β": lambda b: np.sqrt(b) * _later(b),
        "shares of the whole: they add up to 1. Asked are variances, which add up to 1 − ᾱ_T":
            lambda b: b * _later(b) / (1 - _abar(b)[-1]),
        "shares of Σβ: the later steps shrink what was added before": lambda b: b / b.sum(),
        "this is what is left of a datum from step t on; multiply it by what is added, β_t": _later,
        "the order is reversed: the first entry belongs to step 1":
            lambda b: (b * _later(b))[::-1],
        "the later β are subtracted; each step multiplies by its own 1 − β":
            lambda b: b * (1 - (b.sum() - np.cumsum(b))),
        "e^{−Σβ} only approximates the product of the later 1 − β":
            lambda b: b * np.exp(-(b.sum() - np.cumsum(b))),
        "1 − ᾱ_t is all the noise in x_t; asked is what each single draw has left in x_T":
            lambda b: 1 - _abar(b),
        "the last β multiplies the others: only steps after t shrink ξ_t, by 1 − β":
            lambda b: b * np.append(np.cumprod(b[:0:-1])[::-1], 1.0),
        "the running sums: asked is each draw by itself": lambda b: np.cumsum(b * _later(b)),
        "in proportion to β, out of 1 − ᾱ_T in all: but early draws are shrunk more":
            lambda b: b / b.sum() * (1 - _abar(b)[-1]),
        "β once too often: it is added once, and is then multiplied by 1 − β of later steps":
            lambda b: b**2 * _later(b),
        "the product runs the wrong way round: after step t come t + 1 … T":
            lambda b: b * np.append(np.cumprod(1 - b[1:])[::-1], 1.0),
        "only the next step was counted; all later ones shrink ξ_t":
            lambda b: b * np.append(1 - b[1:], 1.0),
        "only the last step was counted; all later ones shrink ξ_t":
            lambda b: b * np.append(np.full(len(b) - 1, 1 - b[-1]), 1.0),
        "the variance of ξ_t in x_t and in x_T were subtracted; asked is the one in x_T":
            lambda b: b * (1 - _later(b)),
        "each later step takes (1 − β) of the variance, not (1 − β)²":
            lambda b: b * _later(b) ** 2,
        "the step's own 1 − β does not touch its draw; those of all later steps do":
            lambda b: b * (1 - b),
        "1 − ᾱ_t is the noise of the steps up to t; what shrinks ξ_t are the steps after t":
            lambda b: b * (1 - _abar(b)),
        "divided by the step's own 1 − β once too often: the later steps begin with t + 1":
            lambda b: b * _later(b) / (1 - b),
        "ᾱ turned round has the first steps again; multiply the 1 − β of the steps after t":
            lambda b: b * _abar(b)[::-1],
    },
)


# 01.3  the ratio, predicted
EXERCISES["01.3"] = Exercise(
    lambda betas: np.exp(-0.5 * np.sum(betas**2)),
    [_ddpm, np.linspace(0.1, 1e-3, 60), [0.05, 0.05, 0.2], [0.3]],
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
        "the second term of the series is −β²/2 for each step; yours is Σβ/2":
            lambda b: np.exp(-0.5 * np.sum(b)),
        "the mean of the squares: every step adds its own": lambda b: np.exp(-0.5 * np.mean(b**2)),
        "the term is −β²/2, not −β²/4": lambda b: np.exp(-0.25 * b @ b),
        "you kept the term in β³ instead of β²": lambda b: np.exp(-np.sum(b**3) / 3),
        "that is one minus the ratio": lambda b: 1 - np.exp(-0.5 * b @ b),
        "this uses the last β for all steps": lambda b: np.exp(-0.5 * len(b) * b[-1] ** 2),
        "this multiplies the squared Σβ by 1/T, as if all β were alike":
            lambda b: np.exp(-0.5 * b.sum() ** 2 / len(b)),
        "the product of 1 − β²/2: nearly right, but keep the exponential of the sum":
            lambda b: np.prod(1 - b**2 / 2),
        "the product of 1 − β²: expand the logarithm, its second term is −β²/2":
            lambda b: np.prod(1 - b**2),
        "that is e^{−Σβ}, the denominator": lambda b: np.exp(-np.sum(b)),
        "that is ᾱ_T, the numerator": lambda b: np.prod(1 - b),
        "that is ᾱ to second order; the ratio has e^{−Σβ} divided out":
            lambda b: np.exp(-0.5 * b @ b - b.sum()),
        "one term too many, and its sign is flipped: log(1 − β) has only minus signs":
            lambda b: np.exp(-0.5 * b @ b + np.sum(b**3) / 3),
        "that is the ratio of the other pair: 1 + β for 1 − β":
            lambda b: np.prod(1 + b) / np.exp(b.sum()),
        "no root: the term is Σβ²/2":
            lambda b: np.exp(-0.5 * np.sqrt(b @ b)),
        "one half stands before β², inside the sum; it is not squared with it":
            lambda b: np.exp(-np.sum((b / 2) ** 2) / 2),
        "the third term is −β³/3, and it is not asked for":
            lambda b: np.exp(-np.sum(b**2) / 2 - np.sum(b**3) / 6),
        "the spread of the β about their mean is not the sum of their squares":
            lambda b: np.exp(-0.5 * len(b) * np.var(b)),
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
    [
        (_ddpm, 100),
        (_ddpm, 10),
        ([0.1, 0.3, 0.2, 0.4], 2),
        ([0.5, 0.02, 0.3, 0.3, 0.9, 0.01], 3),
        ([0.2, 0.1, 0.4], 1),
        ([0.4, 0.1], 2),
    ],
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
        "the largest of each block; all of its noise counts":
            lambda b, n: _blocks(b, n).max(axis=1),
        "the same β everywhere reaches the same end, but other levels on the way":
            lambda b, n: np.full(n, 1 - np.prod(1 - b) ** (1 / n)),
        "the β of a block were multiplied; it is their 1 − β that multiply":
            lambda b, n: np.prod(_blocks(b, n), axis=1),
        "e^{−Σβ} of each block is close, not equal: multiply the 1 − β":
            lambda b, n: 1 - np.exp(-_blocks(b, n).sum(axis=1)),
        "a root too many: ᾱ is the product of the 1 − β, not of their roots":
            lambda b, n: 1 - np.sqrt(np.prod(1 - _blocks(b, n), axis=1)),
        "the first entry of each block, repeated; the entries differ":
            lambda b, n: 1 - (1 - _blocks(b, n)[:, 0]) ** (len(b) // n),
        "the last entry of each block, repeated; the entries differ":
            lambda b, n: 1 - (1 - _blocks(b, n)[:, -1]) ** (len(b) // n),
        "the average of each block, repeated: right to first order only":
            lambda b, n: 1 - (1 - _blocks(b, n).mean(axis=1)) ** (len(b) // n),
        "the differences of ᾱ: a step's β is a ratio, 1 − ᾱ_j/ᾱ_{j−1}":
            lambda b, n: -np.diff(np.append(1.0, _abar(b)[len(b) // n - 1 :: len(b) // n])),
        "the last entries of the long list: the chain begins in the middle of the noise":
            lambda b, n: b[-n:],
        "the first entry times k is a first-order guess; multiply the 1 − β of each block":
            lambda b, n: _blocks(b, n)[:, 0] * (len(b) // n),
        "the whole chain in each step: a stride has only its own block":
            lambda b, n: np.full(n, 1 - np.prod(1 - b)),
        "running sums of β: each stride has its own block, and 1 − β multiplies":
            lambda b, n: np.cumsum(_blocks(b, n).sum(axis=1)),
    },
)


# 01.5  a long step back
def _long_back(a_bar_noisy, a_bar_clean):
    return (1 - a_bar_noisy / a_bar_clean) * (1 - a_bar_clean) / (1 - a_bar_noisy)

EXERCISES["01.5"] = Exercise(
    _long_back,
    [
        ([0.5, 0.05, 0.3], [0.8, 0.9, 0.31]),
        ([0.2, 0.2, 0.9], [1.0, 0.2, 0.95]),
        ([1e-4, 0.6], [0.5, 0.99]),
    ],
    hint="All the steps between have, together, β = 1 − ᾱ_noisy/ᾱ_clean",
    mistakes={
        "this is the β of the long step, its variance forwards; knowing x_0 leaves less":
            lambda n, c: 1 - n / c,
        "this is the variance before the noisier state is seen": lambda n, c: 1 - c,
        "1 − ᾱ_noisy is the noise since x_0; the long step begins at the cleaner state":
            lambda n, c: (1 - n) * (1 - c),
        "ᾱ_clean − ᾱ_noisy is not the β of the long step: the 1 − β multiply, so divide":
            lambda n, c: (c - n) * (1 - c) / (1 - n),
        "that is a standard deviation; asked is the variance":
            lambda n, c: np.sqrt(_long_back(n, c)),
        "the two are exchanged: the cleaner state has the larger ᾱ":
            lambda n, c: (1 - c / n) * (1 - n) / np.where(c < 1, 1 - c, 1e-300),
        "the share without the β of the long step: where the two states are one it must be 0":
            lambda n, c: (1 - c) / (1 - n),
        "the precisions were averaged; they add": 2,
        "√ is for amplitudes: the β of the long step is 1 − ᾱ_noisy/ᾱ_clean":
            lambda n, c: (1 - np.sqrt(n / c)) * (1 - c) / (1 - n),
        "the likelihood as a function of the cleaner state has variance β/(1 − β), not β":
            lambda n, c: (1 - n / c) * (1 - c) / np.where(n < c, 2 - n / c - c, 1.0),
        "that is the spread of what the noisier state says alone; x_0 says something too":
            lambda n, c: c / n - 1,
        "1 − ᾱ_noisy is divided by twice": lambda n, c: _long_back(n, c) / (1 - n),
        "ᾱ_noisy/ᾱ_clean is the long step's 1 − β; its β is wanted":
            lambda n, c: (n / c) * (1 - c) / (1 - n),
        "the division by 1 − ᾱ_noisy is missing": lambda n, c: (1 - n / c) * (1 - c),
        "the two precisions were added as variances":
            lambda n, c: (1 - n / c) + (1 - c),
        "ᾱ_noisy and ᾱ_clean have changed places in the noises":
            lambda n, c: (1 - n / c) * (1 - n) / (1 - c),
        "the precision itself; the variance is one over it":
            lambda n, c: (1 - n) / ((1 - n / c) * (1 - c)),
        "1 − ᾱ_noisy alone is the noise since x_0": lambda n, c: 1 - n + 0 * c,
        "the difference of the two noises forgets that the signal shrinks in between":
            lambda n, c: c - n,
        "the long step's 1 − β is ᾱ_noisy/ᾱ_clean, below 1; yours is upside down":
            lambda n, c: (1 - c / n) * (1 - c) / (1 - n),
        "the two ᾱ were multiplied; from the cleaner state to the noisier one it is their ratio":
            lambda n, c: (1 - n * c) * (1 - c) / (1 - n),
        "no root of the long step's β: it is a variance":
            lambda n, c: np.sqrt(1 - n / c) * (1 - c) / (1 - n),
    },
)
