"""Answers readers give in notebook 07: RIGHT must pass; WRONG, no listed mistake, must not."""

import numpy as np
from scipy import stats


def _loop(gram, cross, w, ridge):
    matrix, right = ridge * np.eye(cross.shape[1]), np.zeros(cross.shape[1])
    for a, b, weight in zip(gram, cross, w, strict=True):
        matrix += weight * a / len(w)
        right += weight * b / len(w)
    return np.linalg.inv(matrix) @ right


def _stacked(gram, cross, w, ridge):
    """Sums, with the ridge scaled to fit."""
    matrix = np.einsum("l,lfg->fg", w, gram) + len(w) * ridge * np.eye(cross.shape[1])
    return np.linalg.solve(matrix, cross.T @ w)


def _library(ours, others):
    interval = stats.ttest_rel(ours.mean(axis=1), others.mean(axis=1)).confidence_interval(0.95)
    return (ours - others).mean(), interval.low, interval.high


def _floors(pairs):
    return np.array([stats.wasserstein_distance(a, b) for a, b in pairs])


def _all_pairs(pairs, distance):
    floor = _floors(pairs)
    return floor.mean(), (distance - floor.mean()) / floor.std(ddof=1)


RIGHT = {
    "07.1": [
        lambda c, w: (c, np.average(c, weights=w)),
        lambda c, w: [list(c), sum(w * c) / sum(w)],
    ],
    "07.2": [_loop, _stacked],
    "07.3": [_library],
    "07.4": [_all_pairs],
}

WRONG = {
    "07.1": [
        lambda c, w: (w * c, np.sum(w * c) / np.sum(w)),
        lambda c, w: (c, np.median(c)),
        lambda c, w: (c, w @ c / len(w)),
        lambda c, w: c,
        lambda c, w: (np.zeros_like(c), 0.0),
    ],
    "07.2": [
        lambda gram, cross, w, ridge: w @ cross / len(w),
        lambda gram, cross, w, ridge: _loop(gram, cross, w, 2 * ridge),
        lambda gram, cross, w, ridge: np.linalg.solve(gram, cross[..., None])[..., 0],
        lambda gram, cross, w, ridge: _loop(gram, cross, w / w.sum(), ridge),
    ],
    "07.3": [
        lambda ours, others: (ours.mean() - others.mean(),) * 3,
        lambda ours, others: np.quantile((ours - others).mean(axis=1), [0.5, 0.025, 0.975]),
        lambda ours, others: (_library(ours, others)[0], *_library(ours, others)[:0:-1]),
        lambda ours, others: _library(ours, others)[0],
    ],
    "07.4": [
        lambda pairs, distance: (distance, 0.0),
        lambda pairs, distance: (_floors(pairs).mean(), distance - _floors(pairs).mean()),
        lambda pairs, distance: (_floors(pairs).max(), 0.0),
        lambda pairs, distance: _floors(pairs),
    ],
}
