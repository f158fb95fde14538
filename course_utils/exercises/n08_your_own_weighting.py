"""Exercises of notebook 08: how many seeds, one hypothesis, early stopping, every measure."""

import numpy as np
from scipy.special import stdtrit  # the quantile of Student's t, faster than scipy.stats

from course_utils.exercises.framework import Exercise

EXERCISES = {}


# 08.1  how many seeds
def _seeds(spread, by):
    n = np.arange(2, 300)  # one seed has no spread, so the first n is 2
    quantile = stdtrit(n - 1, 0.975)  # t depends on n, and 2.5 % lie on each side
    reach = quantile * spread / np.sqrt(n)  # half the interval of the mean of n seeds
    return n[np.argmax(reach <= by)]  # the first n that is enough

EXERCISES["08.1"] = Exercise(
    _seeds,
    [(0.1, 1.0), (0.3, 0.9), (0.36, 0.3), (0.36, 0.5), (0.005, 0.01), (1.0, 0.31)],
    hint="Try n = 2, 3, 4, … and stop at the first that is enough",
    mistakes={
        "1.96 is for many seeds; for few of them Student's t asks for more":
            lambda spread, by: np.ceil((1.96 * spread / by) ** 2),
        "a whole number of seeds is asked": lambda spread, by: (1.96 * spread / by) ** 2,
    },
)


# 08.2  the verdict on one hypothesis
def _verdict(differences, primary, by):
    d = differences[primary]  # the measure that was fixed beforehand, however the others came out
    quantile = stdtrit(len(d) - 1, 0.975)  # a 95 % interval of few seeds, for one measure
    reach = quantile * d.std(ddof=1) / np.sqrt(len(d))  # the mean of S seeds has a standard error
    if d.mean() + reach < -by:  # the whole interval must lie below −by
        return "supported"
    return "not supported" if d.mean() - reach >= -by else "undecided"  # all above, or neither

def _any_measure(differences, primary, by):
    found = [_verdict(differences, row, by) for row in range(len(differences))]
    return next(v for v in ("supported", "undecided", "not supported") if v in found)

def _trial(seed):
    rng = np.random.default_rng(seed)
    row, n, m = seed % 3, 3 + seed // 2 % 4, 3 + seed // 8 % 2
    d = np.round(rng.uniform(-1.5, 0.4, (m, 1)) + rng.normal(0, 0.3, (m, n)), 2)
    reach = stdtrit(n - 1, 0.975) * d[row].std(ddof=1) / np.sqrt(n)  # −by lies near an end
    return d, row, max(0.0, -d[row].mean() - (-1) ** seed * 0.5 * 1.02**seed * reach)

EXERCISES["08.2"] = Exercise(
    _verdict,
    [_trial(seed) for seed in range(80)],
    hint="One row, its interval, and where −by lies: below it, above it, or inside",
    mistakes={
        "you chose the measure afterwards: the one fixed beforehand decides, however it came out":
            _any_measure,
        "lower than zero is less than was claimed: the threshold is −by": "-by -> 0.0",
        "undecided: −by inside, not zero": "d.mean() - reach >= -by -> np.abs(d.mean()) > reach",
        "lower means that own − comparator is negative": "= differences -> = -differences",
        "“supported” and “not supported” have changed places":
            '"supported" -> "no"; "not supported" -> "supported"; "no" -> "not supported"',
        "−by inside the interval refutes nothing: undecided": '"undecided" -> "not supported"',
        "an interval all above −by is no longer undecided": '"not supported" -> "undecided"',
        "the mean alone does not say how sure it is": "reach = quantile -> reach = 0 * quantile",
        "one measure was fixed, so there is no price for M of them: a 95 % interval, no wider":
            "0.975 -> 1 - 0.025 / len(differences)",
        "row `primary` decides, not all as one": "differences[primary] -> differences.ravel()",
        "row `primary` decides, not their mean": "differences[primary] -> differences.mean(axis=0)",
        "row `primary` decides, not the one that came out lowest":
            "differences[primary] -> differences[differences.mean(axis=1).argmin()]",
    },
)


# 08.3  stopping when it looks good
def _false_claims(d):
    claimed = np.zeros(len(d), dtype=bool)
    for n in range(2, d.shape[1] + 1):  # the first look is at two pairs, the last one at all
        first = d[:, :n]  # a trial is a row, and a look sees its first n pairs
        quantile = stdtrit(n - 1, 0.975)  # few pairs take Student's t, with 2.5 % on each side
        reach = quantile * first.std(axis=1, ddof=1) / np.sqrt(n)  # of a mean of n
        claimed |= np.abs(first.mean(axis=1)) > reach  # an effect of either sign is claimed
    return claimed.mean()  # the share of trials, each counted once

def _trials(n_trials, n_seeds, seed):
    return np.random.default_rng(seed).standard_normal((n_trials, n_seeds))

EXERCISES["08.3"] = Exercise(
    _false_claims,
    [[[1.0, 1.2, -3.0, 0.4], [1.0, -1.0, 0.5, -0.4]], _trials(100, 6, 0), _trials(120, 22, 1)],
    hint="After every n from 2 on a new interval of the first n: does one of them leave zero out?",
    mistakes={
        "that looks once, at all seeds; this colleague looks after every one":
            "range(2, -> range(d.shape[1],",
        "the first look is at two pairs, not at three": "range(2, -> range(3,",
        "each look was counted; a trial ends with the first that leaves zero out: count trials":
            "claimed |= -> claimed +=; dtype=bool -> dtype=int; "
            "claimed.mean() -> claimed.mean() / (d.shape[1] - 1)",
        "looks at the same data are not independent": lambda d: 1 - 0.95 ** (d.shape[1] - 1),
    },
)


# 08.4  every measure
def _unbeaten(bits, eta0, eta1):
    table = np.stack([bits, eta0, eta1])  # three measures count: leave none out
    own, other = table[:, :, None], table[:, None, :]  # each weighting against each
    nowhere_worse = (other <= own).all(axis=0)  # lower is better
    better = (other < own).any(axis=0)  # once is enough; equal ones do not beat each other
    beaten = (nowhere_worse & better).any(axis=1)  # one that beats it is enough
    return 1.0 - beaten  # 1 for those that nobody beats

EXERCISES["08.4"] = Exercise(
    _unbeaten,
    [tuple(1.0 * np.random.default_rng(n).integers(1, 5, (3, n))) for n in range(4, 12)],
    hint="For every pair ask: is the other nowhere worse, and somewhere better?",
    mistakes={
        "only the best in bits is left: a likelihood is one measure of three":
            lambda bits, eta0, eta1: bits == bits.min(),
        "whoever is best in one measure stays, but so do good compromises":
            lambda *measures: np.max([m == m.min() for m in measures], axis=0),
        "lower is better in all three: you kept the largest":
            "[bits, eta0, eta1] -> [-bits, -eta0, -eta1]",
        "two that are equal do not beat each other: somewhere it must be better":
            "nowhere_worse & better -> nowhere_worse & ~np.eye(len(bits), dtype=bool)",
    },
)
