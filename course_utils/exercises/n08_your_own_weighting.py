"""Exercises of notebook 08: how many seeds, one hypothesis, a held-out interval, every measure."""

import itertools

import numpy as np
from scipy.stats import t as student

from course_utils.exercises.framework import Exercise
from course_utils.exercises.intervals import interval, reach, unpaired

EXERCISES = {}


# 08.1  how many seeds
def _first(reaches):
    """The first n from 2 on for which ``reaches(n)`` holds."""
    return next(n for n in itertools.count(2) if reaches(n))

def _t_reach(n, spread, quantile=0.975, dof=1):
    return student.ppf(quantile, n - dof) * spread / np.sqrt(n)

def _seeds(spread, by):
    return _first(lambda n: _t_reach(n, spread) <= by)

EXERCISES["08.1"] = Exercise(
    _seeds,
    [(0.36, 0.3), (0.36, 0.5), (0.005, 0.01), (1.0, 0.31), (0.5, 0.9)],
    hint="Try n = 2, 3, 4, … and stop at the first that is enough",
    mistakes={
        "1.96 is for many seeds; for few of them Student's t asks for more":
            lambda s, by: int(np.ceil((1.96 * s / by) ** 2)),
        "that is the whole length of the interval; half of it is asked":
            lambda s, by: _first(lambda n: 2 * _t_reach(n, s) <= by),
        "one standard error is no 95 % interval":
            lambda s, by: _first(lambda n: s / np.sqrt(n) <= by),
        "a one-sided quantile: 95 % in the middle leave 2.5 % on each side":
            lambda s, by: _first(lambda n: _t_reach(n, s, quantile=0.95) <= by),
        "n seeds leave n − 1 degrees of freedom":
            lambda s, by: _first(lambda n: _t_reach(n, s, dof=0) <= by),
        "one too few: with that many the interval still reaches beyond by":
            lambda s, by: _seeds(s, by) - 1,
        "one too many: with one seed less the interval is short enough already":
            lambda s, by: _seeds(s, by) + 1,
        "two paired columns are n differences, not 2n numbers":
            lambda s, by: _first(lambda n: _t_reach(2 * n, s) <= by),
    },
)


# 08.2  the verdict on one hypothesis
def _word(d, by, sign=-1, within=None, undecided="undecided"):
    """The verdict on "the mean of d is lower than zero by at least ``by``"."""
    within = reach(d) if within is None else within
    gain = sign * np.mean(d)
    if gain - within >= by:
        return "supported"
    return "not supported" if gain + within < by else undecided

def _with(**options):
    return lambda differences, primary, by: _word(differences[primary], by, **options)

def _chosen_afterwards(differences, primary, by):
    """The verdict on whichever measure looks best."""
    return _word(min(differences, key=lambda d: d.mean() + reach(d)), by)

def _any_measure(differences, primary, by):
    words = [_word(d, by) for d in differences]
    return "supported" if "supported" in words else words[primary]

def _measures(means, spread, n, seed):
    noise = np.random.default_rng(seed).standard_normal((len(means), n))
    noise -= noise.mean(axis=1, keepdims=True)
    noise /= noise.std(axis=1, ddof=1, keepdims=True)
    return np.array(means)[:, None] + spread * noise

EXERCISES["08.2"] = Exercise(
    _with(),
    [
        (_measures([-0.45, -0.1, -0.9], 0.25, 5, 0), 0, 0.2),
        (_measures([0.05, -1.2, 0.1], 0.3, 6, 1), 0, 0.3),
        (_measures([-2.0, -0.2, -1.5], 0.2, 8, 2), 1, 0.1),
        (_measures([-0.5, -1.1], 0.2, 5, 3), 1, 0.5),
        (_measures([0.9, -0.9, 0.3], 0.3, 5, 4), 0, 0.2),
        (_measures([-0.6, -0.7], 0.5, 10, 5), 0, 0.25),
        (_measures([0.2, -0.42], 0.3, 4, 6), 1, 0.0),
        (_measures([-0.25, 0.4, 0.1], 0.1, 5, 7), 0, 0.3),
        (_measures([-0.02, -0.6, -0.3], 0.1, 6, 8), 0, 0.3),
        (_measures([0.9, -0.25], 0.3, 5, 9), 0, 0.2),
    ],
    hint="One row, its interval, and where −by lies: below it, above it, or inside",
    mistakes={
        "you chose the measure afterwards: the one fixed beforehand decides, however it came out":
            _chosen_afterwards,
        "another measure cannot rescue it: only the primary one was asked for": _any_measure,
        "the mean alone decides nothing: where does its interval end?": _with(within=0.0),
        "lower than zero is less than was claimed: the threshold is −by":
            lambda d, k, by: _word(d[k], 0.0),
        "the sign: lower means that own − comparator is negative": _with(sign=1),
        "an interval on both sides of −by refutes nothing: that is undecided":
            _with(undecided="not supported"),
        "the measures were averaged: they have different units, and one was named":
            lambda d, k, by: _word(d.mean(axis=0), by),
        "that is the spread of one seed; the mean of S seeds is known better":
            lambda d, k, by: _word(d[k], by, within=reach(d[k], root=False)),
        "one seed is an anecdote: use all S of them":
            lambda d, k, by: _word(d[k, :1], by, within=0.0),
    },
)


# 08.3  a held-out interval
def _paired(our_seeds, ours, their_seeds, others):
    """The differences [S, 2] of both columns, seed by seed."""
    return ours[np.argsort(our_seeds)] - others[np.argsort(their_seeds)]

def _held_out(rule=interval, **options):
    """The right interval, or the mistake of another rule for the paired differences [S]."""
    return lambda our_seeds, ours, their_seeds, others: rule(
        _paired(our_seeds, ours, their_seeds, others)[:, 1], **options
    )

def _best_seeds(our_seeds, ours, their_seeds, others):
    _, *ends = _held_out()(our_seeds, ours, their_seeds, others)
    return ours[:, 1].min() - others[:, 1].min(), *ends

def _trained(n, seed):
    """Seeds in two orders, and bits per dimension of training and held-out images."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(n) + 5
    common = rng.normal(0, 0.3, n)
    tables = []
    for shift, places in ((-0.05, np.arange(n)), (0.0, order - 5)):
        held_out = 2.4 + shift + common[places] + rng.normal(0, 0.04, n)
        tables.append(np.stack([held_out - 0.2 - rng.uniform(0, 0.1, n), held_out], axis=1))
    return np.arange(n) + 5, tables[0], order, tables[1]

EXERCISES["08.3"] = Exercise(
    _held_out(),
    [_trained(5, 0), _trained(8, 3)],
    hint="Sort both tables by seed (np.argsort), take column 1, then it is exercise 07.3",
    returns=("difference", "low", "high"),
    mistakes={
        "that is the column of the training images, which a model may know by heart":
            lambda *given: interval(_paired(*given)[:, 0]),
        "both columns are in it: only images that were not trained on count":
            lambda *given: interval(_paired(*given).mean(axis=1)),
        "paired by position: the rows of others belong to other seeds":
            lambda i, a, j, b: interval(a[:, 1] - b[:, 1]),
        "one seed has no interval: what would another training run give?":
            _held_out(lambda d: (d[0], d[0], d[0])),
        "the best seed of each is the luckiest: take them all, seed by seed": _best_seeds,
        "not paired: take the difference seed by seed before you look at its spread":
            lambda i, a, j, b: unpaired(a[:, 1], b[:, 1]),
        "1.96 is for many seeds; for S of them take Student's t with S − 1":
            _held_out(quantile=1.96),
        "the spread of one seed; the mean of S seeds is known better by the root of S":
            _held_out(root=False),
        "the sign: it is ours minus others": _held_out(lambda d: interval(-d)),
    },
)


# 08.4  every measure
def _unbeaten(*measures):
    """1 where no other column is nowhere worse and somewhere better."""
    table = np.stack(measures)  # [measures, K]
    own, other = table[:, :, None], table[:, None, :]
    beaten = (other <= own).all(axis=0) & (other < own).any(axis=0)
    return (~beaten.any(axis=1)).astype(float)

def _beaten_in_all_alone(*measures):
    table = np.stack(measures)
    return (~(table[:, None, :] < table[:, :, None]).all(axis=0).any(axis=1)).astype(float)

def _least(x):
    return (x == x.min()).astype(float)

def _ranks(*measures):
    return _least(np.sum([np.searchsorted(np.sort(m), m) for m in measures], axis=0))

EXERCISES["08.4"] = Exercise(
    lambda bits, eta0, eta1: _unbeaten(bits, eta0, eta1),
    [
        (
            [2.37, 2.47, 2.40, 2.36, 2.41, 2.51, 2.58],
            [6.9, 3.4, 3.7, 4.1, 3.9, 3.2, 3.3],
            [7.2, 3.2, 3.6, 4.1, 3.5, 3.3, 3.1],
        ),
        ([2.3, 2.3, 2.5, 2.6, 2.4], [5.0, 5.0, 3.0, 3.0, 4.0], [4.0, 4.5, 3.0, 2.5, 4.2]),
        ([2.5, 2.4, 2.6], [3.0, 4.0, 3.0], [3.0, 4.0, 3.0]),
    ],
    hint="For every pair ask: is the other nowhere worse, and somewhere better?",
    mistakes={
        "only the best in bits is left: a likelihood is one measure of three":
            lambda bits, eta0, eta1: _least(bits),
        "only the best ancestral samples are left: the other two measures count too":
            lambda bits, eta0, eta1: _least(eta1),
        "only the best DDIM samples are left: the other two measures count too":
            lambda bits, eta0, eta1: _least(eta0),
        "DDIM was left out: who wins with one sampler may lose with the other":
            lambda bits, eta0, eta1: _unbeaten(bits, eta1),
        "the ancestral sampler was left out: who wins with DDIM may lose with it":
            lambda bits, eta0, eta1: _unbeaten(bits, eta0),
        "the bits were left out: samples are not all that a model is asked for":
            lambda bits, eta0, eta1: _unbeaten(eta0, eta1),
        "whoever is best in one measure stays, but so do good compromises":
            lambda *measures: np.max([_least(m) for m in measures], axis=0),
        "ties: who is equal in one measure and better in another beats, too": _beaten_in_all_alone,
        "these are the beaten ones: return 1 for those that nobody beats":
            lambda bits, eta0, eta1: 1 - _unbeaten(bits, eta0, eta1),
        "lower is better in all three: you kept the largest":
            lambda bits, eta0, eta1: _unbeaten(-bits, -eta0, -eta1),
        "a sum of ranks lets one measure pay for another; nobody asked for that exchange": _ranks,
    },
)
