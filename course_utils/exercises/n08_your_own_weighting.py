"""Exercises of notebook 08: how many seeds, one hypothesis, early stopping, every measure."""

import itertools

import numpy as np
from scipy.stats import t as student

from course_utils.exercises.framework import Exercise
from course_utils.exercises.intervals import reach

EXERCISES = {}


# 08.1  how many seeds
def _first(reaches):
    """The first n from 2 on for which ``reaches(n)`` holds."""
    return next(n for n in itertools.count(2) if reaches(n))

def _t_reach(n, spread, quantile=0.975, dof=1, power=0.5, taken=0):
    return student.ppf(quantile, n - dof) * spread / (n - taken) ** power

def _seeds(spread, by):
    return _first(lambda n: _t_reach(n, spread) <= by)

EXERCISES["08.1"] = Exercise(
    _seeds,
    [(0.1, 1.0), (0.3, 0.9), (0.36, 0.3), (0.36, 0.5), (0.005, 0.01), (1.0, 0.31)],
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
        "the mean of n seeds is known better by √n, not by n":
            lambda s, by: _first(lambda n: _t_reach(n, s, power=1.0) <= by),
        "the spread is divided by √n; the 1 is taken off the degrees of freedom alone":
            lambda s, by: _first(lambda n: _t_reach(n, s, taken=1) <= by),
        "a 95 % interval leaves 2.5 % on each side: the quantile is 0.975":
            lambda s, by: _first(lambda n: _t_reach(n, s, quantile=0.99) <= by),
        "begin with n = 2: two seeds may be enough": lambda s, by: max(3, _seeds(s, by)),
        "t depends on n: that is the t of two seeds for every n":
            lambda s, by: max(2, int(np.ceil((student.ppf(0.975, 1) * s / by) ** 2))),
        "a whole number of seeds is asked: the first n that is enough":
            lambda s, by: (1.96 * s / by) ** 2,
        "1.96 is for many seeds; and at least two are needed":
            lambda s, by: max(2, int(np.ceil((1.96 * s / by) ** 2))),
        "that makes one standard error as small as by; half of a 95 % interval is asked":
            lambda s, by: (s / by) ** 2,
    },
)


# 08.2  the verdict on one hypothesis
def _word(d, by, sign=-1, within=None, undecided="undecided"):
    """The verdict on "the mean of d is lower than zero by more than ``by``"."""
    within = reach(d) if within is None else within
    gain = sign * np.mean(d)
    if gain - within > by:
        return "supported"
    return "not supported" if gain + within <= by else undecided

def _with(**options):
    return lambda differences, primary, by: _word(differences[primary], by, **options)

def _corrected(d, n_measures):
    """Half the interval by Bonferroni, for so many measures."""
    t = student.ppf(1 - 0.025 / n_measures, len(d) - 1)
    return t * np.std(d, ddof=1) / np.sqrt(len(d))

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
        (_measures([-0.64, -0.7], 0.5, 10, 10), 0, 0.25),
        (_measures([-0.3, -0.85], 0.5, 10, 11), 1, 0.25),
        (_measures([-0.9, 0.1], 0.2, 4, 12), 1, 0.2),
        (_measures([-0.4, 0.5], 0.4, 3, 13), 0, 0.1),
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
        "one measure was fixed, so there is no price for M of them: a 95 % interval, no wider":
            lambda d, k, by: _word(d[k], by, within=_corrected(d[k], len(d))),
        "row number primary was fixed, which is not always the first":
            lambda d, k, by: _word(d[0], by),
        "1.96 is for many seeds; for S of them take Student's t with S − 1":
            lambda d, k, by: _word(d[k], by, within=reach(d[k], 1.96)),
        "lower by more than by means below −by, not below +by": lambda d, k, by: _word(d[k], -by),
        "one end of the interval below −by is not enough: the whole of it":
            lambda d, k, by: "supported" if d[k].mean() - reach(d[k]) < -by else "not supported",
        "an interval that holds zero is not the question: where does −by lie?":
            lambda d, k, by: "undecided" if abs(d[k].mean()) <= reach(d[k]) else _word(d[k], by),
    },
)


# 08.3  stopping when it looks good
def _stopped_early(d, first=2, ddof=1, sides=1.0, quantile=None, root=True):
    """The share of rows whose interval, after some n from ``first`` on, leaves zero out."""
    claimed = np.zeros(len(d), dtype=bool)
    for n in range(first, d.shape[1] + 1):
        t = student.ppf(1 - 0.025 * sides, n - 1) if quantile is None else quantile
        within = t * d[:, :n].std(axis=1, ddof=ddof) / (np.sqrt(n) if root else 1)
        claimed |= np.abs(d[:, :n].mean(axis=1)) > within
    return claimed.mean()

def _looks(d):
    """Of all looks, the share in which zero is left out."""
    n = np.arange(2, d.shape[1] + 1)
    return np.mean([[abs(row[:k].mean()) > reach(row[:k]) for k in n] for row in d])

def _positive_alone(d):
    n = np.arange(2, d.shape[1] + 1)
    return np.mean([any(row[:k].mean() > reach(row[:k]) for k in n) for row in d])

def _trials(n_trials, n_seeds, seed):
    return np.random.default_rng(seed).standard_normal((n_trials, n_seeds))

EXERCISES["08.3"] = Exercise(
    _stopped_early,
    [[[1.0, 1.2, -3.0, 0.4], [1.0, -1.0, 0.5, -0.4]], _trials(300, 10, 0), _trials(200, 20, 1)],
    hint="After every n from 2 on a new interval of the first n: does one of them leave zero out?",
    mistakes={
        "that looks once, at all seeds; this colleague looks after every one":
            lambda d: np.mean([abs(row.mean()) > reach(row) for row in d]),
        "each look was counted; a trial ends with the first that leaves zero out: count trials":
            _looks,
        "a colleague who is glad of any effect claims negative ones too": _positive_alone,
        "1.96 is for many seeds; the first n of them take Student's t with n − 1":
            lambda d: _stopped_early(d, quantile=1.96),
        "a one-sided quantile: 95 % in the middle leave 2.5 % on each side":
            lambda d: _stopped_early(d, sides=2.0),
        "the spread must be divided by n − 1, not n: use ddof=1":
            lambda d: _stopped_early(d, ddof=0),
        "the first look comes after two seeds, not three": lambda d: _stopped_early(d, first=3),
        "that is the share of honest trials; asked is the share of false claims":
            lambda d: 1 - _stopped_early(d),
        "a share, not a number of trials: divide by R": lambda d: len(d) * _stopped_early(d),
        "that is in percent; return a share between 0 and 1": 100.0,
        "95 % leave 2.5 % on each side: a p of 0.05, not of 0.025":
            lambda d: _stopped_early(d, sides=0.5),
        "the last look, at all S pairs, counts too": lambda d: _stopped_early(d[:, :-1]),
        "a trial is a row: its pairs come one after another along it":
            lambda d: _stopped_early(d.T),
        "that is the spread of one pair; the mean of n pairs is known better by √n":
            lambda d: _stopped_early(d, root=False),
        "looks at the same data are not independent: simulate, row by row":
            lambda d: 1 - 0.95 ** (d.shape[1] - 1),
        "one look errs in one of twenty; this colleague looks often": lambda d: 0.05,
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

def _beaten_by_equals(*measures):
    table = np.stack(measures)
    nowhere_worse = (table[:, None, :] <= table[:, :, None]).all(axis=0)
    return (nowhere_worse.sum(axis=1) == 1).astype(float)  # by itself

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
        ([2.4, 2.6, 2.4, 2.5], [3.0, 2.0, 3.0, 3.5], [3.0, 2.5, 3.0, 2.4]),  # the same twice
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
        "a sum lets one measure pay for another; nobody asked for that exchange":
            lambda *measures: _least(np.sum(measures, axis=0)),
        "two that are equal do not beat each other: somewhere it must be better":
            _beaten_by_equals,
        "that asks who is best in all three at once; asked is who is beaten by nobody":
            lambda *measures: np.min([_least(m) for m in measures], axis=0),
        "being better than the middle is not asked: compare pair by pair":
            lambda *measures: np.max([m < np.median(m) for m in measures], axis=0).astype(float),
        "being better than the mean is not asked: compare pair by pair":
            lambda bits, *_: (bits < bits.mean()).astype(float),
        "that is an order by bits; return 1 or 0 for each weighting":
            lambda bits, *_: np.argsort(bits),
    },
)
