"""Answers readers give in notebook 06: RIGHT must pass; WRONG, no listed mistake, must not."""

import numpy as np
from scipy.special import expit, logit

from course_utils.schedules import Cosine


def _loop(w, L):
    total = w[0] * L[0]
    for i in range(1, len(w)):
        total += (w[i] - w[i - 1]) * L[i]
    total -= w[-1] * L[-1]
    return total, sum((w[i - 1] - w[i]) * L[i] for i in range(1, len(w)) if w[i] < w[i - 1]) / total


def _with_share(total):
    return lambda w, L: (total(w, L), _loop(w, L)[1])


def _sech(t, b):
    return 1 / np.cosh((Cosine().log_snr(t) - b) / 2)


def _difference(t, b, step=1e-5):
    return (_sech(t + step, b) - _sech(t - step, b)) / (2 * step)


def _uncut(u, b, low):
    return b - logit((1 - u) * expit(b - low))


RIGHT = {
    "06.1": [
        _loop,
        # the other side: an identity has two
        _with_share(lambda w, L: np.sum(w * (L[:-1] - L[1:]))),
        _with_share(lambda w, L: w[0] * L[0] - np.sum((w[:-1] - w[1:]) * L[1:-1]) - w[-1] * L[-1]),
    ],
    "06.2": [
        lambda t, w: (np.diff(w / w[-1]), w[0] / w[-1]),
        lambda t, w: [(w[1:] - w[:-1]) / w.max(), 1 - np.diff(w).sum() / w[-1]],
    ],
    "06.3": [
        lambda u, b, low, high: np.where(
            u >= 1 - expit(b - high) / expit(b - low), high, _uncut(u, b, low)
        ),
        lambda u, b, low, high: np.clip(_uncut(u, b, low), low, high),
    ],
    "06.4": [
        lambda log_snr, w: np.maximum.accumulate(w[::-1])[::-1],
        lambda log_snr, w: [max(w[i:]) for i in range(len(w))],
    ],
    "06.5": [
        _difference,
        lambda t, b: (
            np.pi * np.tanh((Cosine().log_snr(t) - b) / 2) * _sech(t, b) / np.sin(np.pi * t)
        ),
    ],
}

WRONG = {
    "06.1": [
        _with_share(lambda w, L: np.sum(np.diff(w) * L[1:-1])),
        _with_share(lambda w, L: w[0] * L[0] + np.sum(np.diff(w) * L[1:-1]) - L[-1]),
        _with_share(lambda w, L: L[0] + np.sum(np.diff(w) * L[1:-1]) - w[-1] * L[-1]),
        lambda w, L: _loop(w, L)[0],
        lambda w, L: (_loop(w, L)[0], np.mean(np.diff(w) < 0)),
    ],
    "06.2": [
        lambda t, w: (np.diff(w)[::-1] / w[-1], w[0] / w[-1]),
        lambda t, w: (np.diff(w) / w.sum(), w[0] / w.sum()),
        lambda t, w: np.append(w[0], np.diff(w)) / w[-1],
        lambda t, w: (np.diff(w) / w[-1], 1.0),
    ],
    "06.3": [
        lambda u, b, low, high: b - logit(u * expit(b - low)),
        lambda u, b, low, high: expit(b - u),
        lambda u, b, low, high: np.minimum(b - (1 - u) * expit(b - low), high),
        lambda u, b, low, high: np.minimum(-logit((1 - u) * expit(b - low)), high),
    ],
    "06.4": [
        lambda log_snr, w: np.minimum.accumulate(w[::-1])[::-1],
        lambda log_snr, w: np.where(log_snr < log_snr[np.argmax(w)], 1.0, w),
        lambda log_snr, w: np.where(log_snr > log_snr[np.argmax(w)], 0.0, w),
        lambda log_snr, w: w.sort(),
    ],
    "06.5": [
        lambda t, b: -np.tanh((Cosine().log_snr(t) - b) / 2) * _sech(t, b) / 2,
        lambda t, b: np.sign(_difference(t, b)),
        lambda t, b: _sech(t, b),
        lambda t, b: np.gradient(_sech(t, b), t),  # too coarse a grid
        lambda t, b: np.diff(_sech(t, b)),
    ],
}
