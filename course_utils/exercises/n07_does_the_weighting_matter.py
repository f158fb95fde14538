"""Exercises of notebook 07: capacity, retraining, intervals over seeds, the noise floor."""

import numpy as np
from scipy.special import stdtrit  # the quantile of Student's t, faster than scipy.stats

from course_utils.exercises.framework import Exercise

EXERCISES = {}


# 07.1  separate numbers, or one for all
def _predictions(c, w):
    shared = np.sum(w * c) / np.sum(w)  # one number is pulled by all levels, as they weigh
    return 1.0 * c, shared  # a number of its own has its best place whatever w is

EXERCISES["07.1"] = Exercise(
    _predictions,
    [([0.0, 1.0, 3.0, -0.5], [0.5, 2.0, 1.0, 4.0]), ([1.2, 0.7, -2.0], [3.0, 0.2, 0.4])],
    hint="Differentiate the loss: once by each number of its own, once by the one number of all",
    returns=("separate", "shared"),
    mistakes={
        "shared: the plain mean is for w ≡ 1 alone": "np.sum(w * c) / np.sum(w) -> np.mean(c)",
        "shared: the heaviest level pulls most, but it does not decide alone":
            "np.sum(w * c) / np.sum(w) -> c[np.argmax(w)]",
        "shared: divide by the sum of the weights, not by their number": "/ np.sum(w) -> / len(w)",
    },
)


# 07.2  retraining from the stored matrices
def _retrained(gram, cross, w, ridge):
    penalty = ridge * np.eye(cross.shape[1])  # ‖Θ‖² adds ρ to the diagonal
    matrix = np.mean(w[:, None, None] * gram, axis=0) + penalty  # the quadratic part has w in it
    right = np.mean(w[:, None] * cross, axis=0)  # the linear part has w in it, too
    return np.linalg.solve(matrix, right)  # at the minimum the gradient is zero

def _levels_of_matrices(n_levels, n_features, seed):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((n_levels, 12, n_features))
    target = rng.standard_normal((n_levels, 12))
    gram = np.einsum("lnf,lng->lfg", features, features) / 12
    return gram, np.einsum("lnf,ln->lf", features, target) / 12

EXERCISES["07.2"] = Exercise(
    _retrained,
    [
        (*_levels_of_matrices(5, 3, 0), [0.2, 1.0, 2.5, 0.7, 0.1], 0.05),
        (*_levels_of_matrices(3, 4, 1), [3.0, 0.0, 1.2], 0.3),
    ],
    hint="Set the gradient to zero: (mean of w A_λ + ρ) Θ = mean of w a_λ",
    mistakes={
        "you averaged the solutions of the levels; average A and a, then solve once":
            "np.linalg.solve(matrix, right) -> "
            "w @ np.linalg.solve(gram + penalty, cross[..., None])[..., 0] / w.sum()",
        "w was divided by its mean: beside the ridge the scale of w counts":
            "w[ -> (w / w.mean())[",
    },
)


# 07.3  an interval over seeds
def _over_seeds(ours, others):
    difference = (ours - others).mean(axis=1)  # the images of a seed share one network
    n = len(difference)  # there are S training runs
    quantile = stdtrit(n - 1, 0.975)  # few seeds take Student's t, with 2.5 % on each side
    reach = quantile * difference.std(ddof=1) / np.sqrt(n)  # the mean of S has a standard error
    return difference.mean(), difference.mean() - reach, difference.mean() + reach

EXERCISES["07.3"] = Exercise(
    _over_seeds,
    [tuple(np.random.default_rng(n).standard_normal((2, n, 6 * n))) for n in (5, 3)],
    hint="First one number a seed, then the mean and the standard error of these S numbers",
    returns=("difference", "low", "high"),
    mistakes={
        "that interval is over images: it says what other images would do, not other seeds":
            "mean(axis=1) -> ravel(); stdtrit(n - 1, 0.975) -> 1.96",
        "not paired: take the difference seed by seed before you look at its spread":
            "difference.std(ddof=1) -> np.hypot(*(x.mean(1).std(ddof=1) for x in (ours, others)))",
        "there are S training runs, not S·n: divide by √S": "np.sqrt(n) -> np.sqrt(ours.size)",
    },
)


# 07.4  the noise floor
def _floor(pairs, distance):
    a, b = np.sort(pairs[:, 0]), np.sort(pairs[:, 1])  # W1 moves the k-th smallest to the k-th
    found = np.abs(a - b).mean(axis=1)  # one distance for each pair of samples
    noise_floor = np.mean(found)  # perfect samples lie at the floor
    spread = found.std(ddof=1)  # how much the R distances differ among themselves
    return noise_floor, (distance - noise_floor) / spread  # counted from the floor, in spreads

EXERCISES["07.4"] = Exercise(
    _floor,
    [(np.random.default_rng(n).standard_normal((n, 2, 25)), 1 / n) for n in (8, 5)],
    hint="R distances of real from real: their mean is the floor, their spread the unit",
    returns=("floor", "spreads"),
    mistakes={
        "the floor is not zero: even real samples of this size lie apart":
            "np.mean(found) -> 0.0",
        "that is W2: W1 takes the mean of the absolute gaps":
            "np.abs(a - b).mean(axis=1) -> np.sqrt(((a - b) ** 2).mean(axis=1))",
        "spreads: one distance has the whole spread; only the floor's mean has it over √R":
            "/ spread -> / spread * np.sqrt(len(found))",
        "spreads: the unit is the spread, not the floor": "/ spread -> / noise_floor",
        "that compares two means; W1 compares the whole samples, point by point once sorted":
            "np.abs(a - b).mean(axis=1) -> abs(a.mean(axis=1) - b.mean(axis=1))",
    },
)
