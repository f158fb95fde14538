"""Exercises of notebook 07: capacity, retraining, intervals over seeds, the noise floor."""

import numpy as np
from scipy.stats import t

from course_utils.exercises.framework import Exercise
from course_utils.exercises.intervals import about, interval, unpaired

EXERCISES = {}


# 07.1  separate numbers, or one for all
EXERCISES["07.1"] = Exercise(
    lambda c, w: (1.0 * c, w @ c / w.sum()),
    [([0.0, 1.0, 3.0, -0.5], [0.5, 2.0, 1.0, 4.0]), ([1.2, 0.7, -2.0], [3.0, 0.2, 0.4])],
    hint="Differentiate the loss: once by each number of its own, once by the one number of all",
    returns=("separate", "shared"),
    mistakes={
        "separate: w multiplies the squared error of a level, not its prediction":
            lambda c, w: (w * c, w @ c / w.sum()),
        "separate: w scales each term by itself, so its minimum stays where it was":
            lambda c, w: (w * c / w.sum(), w @ c / w.sum()),
        "separate: that is the shared number at every level; here nothing ties the levels":
            lambda c, w: (np.full_like(c, w @ c / w.sum()), w @ c / w.sum()),
        "shared: the plain mean is the answer for w ≡ 1, the ELBO's, alone":
            lambda c, w: (1.0 * c, np.mean(c)),
        "shared: set the derivative to zero and divide by the sum of all weights":
            lambda c, w: (1.0 * c, w @ c),
        "shared: the heaviest level pulls most, but it does not decide alone":
            lambda c, w: (1.0 * c, c[np.argmax(w)]),
        "shared: the weights enter as w, neither squared nor under a root":
            lambda c, w: (1.0 * c, w**2 @ c / np.sum(w**2)),
        "shared: the root of w multiplies the error before squaring; in the mean stands w":
            lambda c, w: (1.0 * c, np.sqrt(w) @ c / np.sum(np.sqrt(w))),
        "shared: a weighted mean is divided by the sum of the weights, not by their number":
            lambda c, w: (1.0 * c, w @ c / len(c)),
        "shared: you divided by the sum of w²; each weight stands once, above and below":
            lambda c, w: (1.0 * c, w @ c / (w @ w)),
        "shared: you divided twice, by the sum of the weights and by their number":
            lambda c, w: (1.0 * c, w @ c / w.sum() / len(c)),
        "shared: that weighs by 1/w; a large w pulls more, not less":
            lambda c, w: (1.0 * c, (c / w).sum() / (1 / w).sum()),
        "shared: the middle one is not asked; squares are least at the weighted mean":
            lambda c, w: (1.0 * c, np.median(c)),
        "separate: a w of mean 1 still does not move the minimum of a term":
            lambda c, w: (w * c / w.mean(), w @ c / w.sum()),
        "separate: dividing by w moves nothing either: the minimum of w(y − c)² is at c":
            lambda c, w: (c / w, w @ c / w.sum()),
        "separate: nothing is to be subtracted: each level has its best prediction, c itself":
            lambda c, w: (c - c.mean(), w @ c / w.sum()),
    },
)


# 07.2  retraining from the stored matrices
def _retrained(gram, cross, w, ridge):
    matrix = np.tensordot(w, gram, axes=1) / len(w)
    right = w @ cross / len(w)
    return np.linalg.solve(matrix + ridge * np.eye(len(right)), right)

def _levels_of_matrices(n_levels, n_features, seed):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n_levels, 12, n_features))
    target = rng.standard_normal((n_levels, 12))
    gram = np.einsum("lnf,lng->lfg", features, features) / 12
    return gram, np.einsum("lnf,ln->lf", features, target) / 12

def _averaged_solutions(gram, cross, w, ridge):
    each = np.linalg.solve(gram + ridge * np.eye(gram.shape[-1]), cross[..., None])[..., 0]
    return w @ each / w.sum()

EXERCISES["07.2"] = Exercise(
    _retrained,
    [
        (*_levels_of_matrices(5, 3, 0), [0.2, 1.0, 2.5, 0.7, 0.1], 0.05),
        (*_levels_of_matrices(3, 4, 1), [3.0, 0.0, 1.2], 0.3),
    ],
    hint="Set the gradient to zero: (mean of w A_λ + ρ) Θ = mean of w a_λ",
    mistakes={
        "you averaged the solutions of the levels; average A and a, then solve once":
            _averaged_solutions,
        "w weighs a alone; the quadratic part ⟨Θ, AΘ⟩ has it too":
            lambda A, b, w, r: _retrained(A, (w / w.mean())[:, None] * b, np.ones_like(w), r),
        "w is missing: this is the model of w ≡ 1":
            lambda A, b, w, r: _retrained(A, b, np.ones_like(w), r),
        "the ridge is missing: it adds ρ to the diagonal of A":
            lambda A, b, w, r: _retrained(A, b, w, 0.0),
        "ρ was added to every entry: ‖Θ‖² adds it on the diagonal only":
            lambda A, b, w, r:
                np.linalg.solve(np.tensordot(w, A, axes=1) / len(w) + r, w @ b / len(w)),
        "sums where means are asked: beside the ridge the scale of A and a counts":
            lambda A, b, w, r: _retrained(len(w) * A, len(w) * b, w, r),
        "the ridge is half what it should be: A, a and ρ lose the same factor 2":
            lambda A, b, w, r: _retrained(A, b, w, r / 2),
        "the ridge is twice what it should be: A, a and ρ lose the same factor 2":
            lambda A, b, w, r: _retrained(A, b, w, 2 * r),
        "the weights stand under a root: A and a are linear in w":
            lambda A, b, w, r: _retrained(A, b, np.sqrt(w), r),
        "the ridge is squared: it is ρ that adds to the diagonal":
            lambda A, b, w, r: _retrained(A, b, w, r**2),
        "ρ is added to the diagonal, not subtracted: it keeps Θ small":
            lambda A, b, w, r: _retrained(A, b, w, -r),
        "the sign: A Θ = +a at the minimum": lambda A, b, w, r: -_retrained(A, b, w, r),
        "you multiplied by the matrix; its inverse is wanted: solve(matrix, vector)":
            lambda A, b, w, r: (np.tensordot(w, A, 1) / len(w) + r * np.eye(b.shape[1]))
            @ (w @ b / len(w)),
        "you divided by the diagonal alone: the features overlap, so solve the whole system":
            lambda A, b, w, r: (w @ b / len(w))
            / (np.diag(np.tensordot(w, A, 1)) / len(w) + r),
        "the weights are squared: A and a are linear in w":
            lambda A, b, w, r: _retrained(A, b, w**2, r),
        "w was divided by its mean: beside the ridge the scale of w counts":
            lambda A, b, w, r: _retrained(A, b, w / w.mean(), r),
        "w was divided by its sum: beside the ridge the scale of w counts":
            lambda A, b, w, r: _retrained(A, b, w / w.sum(), r),
        "w weighs A alone; the part ⟨a, Θ⟩ has it too":
            lambda A, b, w, r: np.linalg.solve(
                np.tensordot(w, A, axes=1) / len(w) + r * np.eye(b.shape[1]), b.mean(axis=0)
            ),
    },
)


# 07.3  an interval over seeds
def _over_seeds(ours, others, **options):
    return interval(ours.mean(axis=1) - others.mean(axis=1), **options)

def _of_the_next_run(ours, others):
    mean, low, _ = _over_seeds(ours, others)
    return about(mean, (mean - low) * np.sqrt(1 + len(ours)))

def _scaled(ours, others, factor):
    mean, low, _ = _over_seeds(ours, others)
    return about(mean, factor * (mean - low))

def _runs(n_seeds, n, seed):
    rng = np.random.default_rng(seed)
    common = rng.normal(0, 0.4, (n_seeds, 1))
    own = rng.normal(0, 0.1, (2, n_seeds, 1))
    return tuple(k * 0.2 + common + own[k] + rng.normal(0, 1, (n_seeds, n)) for k in (1, 0))

EXERCISES["07.3"] = Exercise(
    _over_seeds,
    [_runs(5, 30, 0), _runs(3, 20, 1)],
    hint="First one number a seed, then the mean and the standard error of these S numbers",
    returns=("difference", "low", "high"),
    mistakes={
        "that interval is over images: it says what other images would do, not other seeds":
            lambda a, b: interval((a - b).ravel(), quantile=1.96),
        "the n images of a run share one network: they are not n training runs":
            lambda a, b: interval((a - b).ravel()),
        "not paired: take the difference seed by seed before you look at its spread":
            lambda a, b: unpaired(a.mean(axis=1), b.mean(axis=1)),
        "1.96 is for many seeds; for S of them take Student's t with S − 1":
            lambda a, b: _over_seeds(a, b, quantile=1.96),
        "the spread of one seed; the mean of S seeds is known better by the root of S":
            lambda a, b: _over_seeds(a, b, root=False),
        "that interval is for the next run; the mean of all runs is asked: drop the 1 in 1 + 1/S":
            _of_the_next_run,
        "the spread must be divided by S − 1, not S: use ddof=1":
            lambda a, b: _over_seeds(a, b, ddof=0),
        "one standard error is no 95 % interval": lambda a, b: _over_seeds(a, b, quantile=1.0),
        "a one-sided quantile: 95 % in the middle leave 2.5 % on each side":
            lambda a, b: _over_seeds(a, b, quantile=t.ppf(0.95, len(a) - 1)),
        "the sign: it is ours minus others": lambda a, b: _over_seeds(b, a),
        "that is one number for each image; reduce each seed (row) to one number":
            lambda a, b: interval((a - b).mean(axis=0)),
        "there are S training runs, not S·n: divide by √S":
            lambda a, b: _scaled(a, b, len(a) ** 0.5 / a.size**0.5),
        "S seeds leave S − 1 degrees of freedom, not S":
            lambda a, b: _over_seeds(a, b, quantile=t.ppf(0.975, len(a))),
        "S seeds leave S − 1 degrees of freedom, not S − 2":
            lambda a, b: _over_seeds(a, b, quantile=t.ppf(0.975, len(a) - 2)),
        "twice the standard error is for many seeds; for S of them take Student's t with S − 1":
            lambda a, b: _over_seeds(a, b, quantile=2.0),
        "low and high have changed places":
            lambda a, b: tuple(_over_seeds(a, b)[k] for k in (0, 2, 1)),
        "that is the whole length of the interval to either side; half of it belongs there":
            lambda a, b: _scaled(a, b, 2.0),
        "the standard error is s/√S, not s/S": lambda a, b: _scaled(a, b, len(a) ** -0.5),
        "a difference may be negative: no absolute values":
            lambda a, b: interval(np.abs(a - b).mean(axis=1)),
        "the mean of each seed is wanted, not its median":
            lambda a, b: interval(np.median(a - b, axis=1)),
        "one image is an anecdote: take the mean over the n images of a seed":
            lambda a, b: interval((a - b)[:, 0]),
    },
)


# 07.4  the noise floor
def _w1(pairs):
    a, b = np.sort(pairs).swapaxes(0, 1)
    return np.abs(a - b).mean(axis=-1)

def _judged(found, distance):
    return found.mean(), (distance - found.mean()) / found.std(ddof=1)

def _floor_by(rule):
    """A mistake: the floor and spreads found from the R distances by another rule."""
    return lambda pairs, distance: rule(_w1(pairs), distance)

def _unsorted(pairs, distance):
    return _judged(np.abs(pairs[:, 0] - pairs[:, 1]).mean(axis=1), distance)

def _by_squares(pairs, distance):
    a, b = np.sort(pairs).swapaxes(0, 1)
    return _judged(np.sqrt(np.mean((a - b) ** 2, axis=1)), distance)

def _pairs(repeats, n, seed):
    return np.random.default_rng(seed).standard_normal((repeats, 2, n))

EXERCISES["07.4"] = Exercise(
    lambda pairs, distance: _judged(_w1(pairs), distance),
    [(_pairs(8, 25, 0), 0.5), (_pairs(5, 40, 1), 0.21)],
    hint="R distances of real from real: their mean is the floor, their spread the unit",
    returns=("floor", "spreads"),
    mistakes={
        "the floor is not zero: even real samples of this size lie apart":
            _floor_by(lambda found, d: (0.0 * d, d / found.std(ddof=1))),
        "spreads: subtract the floor first, perfect samples are that far away":
            _floor_by(lambda found, d: (found.mean(), d / found.std(ddof=1))),
        "sort both samples first: W1 moves the k-th smallest to the k-th smallest": _unsorted,
        "that is W2: W1 takes the mean of the absolute gaps": _by_squares,
        "spreads: one distance has the whole spread; only the floor's mean has it over √R":
            _floor_by(lambda found, d: (found.mean(), _judged(found, d)[1] * np.sqrt(len(found)))),
        "spreads: for the spread of R distances divide by R − 1 (ddof=1)":
            _floor_by(lambda found, d: (found.mean(), (d - found.mean()) / found.std())),
        "the smallest of the distances is luck; the floor is their mean":
            _floor_by(lambda found, d: (found.min(), (d - found.min()) / found.std(ddof=1))),
        "spreads: count them from the floor: (distance − floor)/spread, not distance/floor":
            _floor_by(lambda found, d: (found.mean(), d / found.mean())),
        "spreads: in units of the spread: divide distance − floor by it":
            _floor_by(lambda found, d: (found.mean(), d - found.mean())),
        "spreads: divide by the standard deviation, not by the variance":
            _floor_by(lambda found, d: (found.mean(), (d - found.mean()) / found.var(ddof=1))),
        "the mean of the R distances is asked, not their median":
            _floor_by(lambda x, d: (np.median(x), (d - np.median(x)) / x.std(ddof=1))),
        "the mean of the R distances is asked, not their sum":
            _floor_by(lambda found, d: (found.sum(), (d - found.sum()) / found.std(ddof=1))),
        "the gaps need absolute values, or they cancel":
            lambda pairs, d: _judged(-np.diff(np.sort(pairs), axis=1).mean(axis=(1, 2)), d),
        "that compares two means; W1 compares the whole samples, point by point once sorted":
            lambda pairs, d: _judged(np.abs(pairs[:, 0].mean(1) - pairs[:, 1].mean(1)), d),
        "spreads: above the floor counts as positive":
            _floor_by(lambda found, d: (found.mean(), -_judged(found, d)[1])),
    },
)
