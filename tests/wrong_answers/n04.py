"""Answers readers give in notebook 04: RIGHT must pass; WRONG, no listed mistake, must not."""

import numpy as np
from scipy.integrate import cumulative_simpson

from course_utils.schedules import Cosine


def _stop(error, low, high, candidates):
    """With a loop, and the costs through the SNRs and x̂'s error."""

    def step(t, s):
        return 0.5 * (np.exp(s) - np.exp(t)) * np.exp(-t) * float(error(t))

    costs = [step(low, c) + step(c, high) for c in candidates]
    return candidates[costs.index(min(costs))], min(costs)


def _two_equations(n, coarse, fine, tolerance):
    limit, c = np.linalg.solve([[1, 1 / n], [1, 1 / (2 * n)]], [coarse, fine])
    return [limit, int(c / tolerance) + 1]


def _nearest(log_snr, error, accuracy):
    k = np.argmin(np.abs(np.exp(-log_snr / 2) * np.sqrt(error) - accuracy))
    return np.trapezoid(error[: k + 1], log_snr[: k + 1]) / 2


def _interpolated(log_snr, error, accuracy):
    nats = cumulative_simpson(error, x=log_snr, initial=0) / 2
    return np.interp(-accuracy, -np.sqrt(np.exp(-log_snr) * error), nats)


def _through_w(t, coefficient, old, new):
    level = new.log_snr(t)
    then = old.time(level)
    w = coefficient(then) / (-0.5 * old.log_snr_rate(then))
    return w * (-0.5) * new.log_snr_rate(t)


RIGHT = {
    "04.1": [
        _stop,
        lambda e, low, high, c: min(
            zip(c, [_stop(e, low, high, [m])[1] for m in c], strict=True), key=lambda pair: pair[1]
        ),
    ],
    "04.2": [
        _two_equations,
        lambda n, coarse, fine, tol: (2 * fine - coarse, -(-2 * n * (coarse - fine) // tol)),
    ],
    "04.3": [
        lambda t: np.pi / np.sin(np.pi * t),
        lambda t: -0.5 * (Cosine().log_snr(t + 1e-5) - Cosine().log_snr(t - 1e-5)) / 2e-5,
    ],
    "04.4": [_nearest, _interpolated],
    "04.5": [
        _through_w,
        lambda t, c, old, new: (
            c(old.time(new.log_snr(t))) * old.density(new.log_snr(t)) / new.density(new.log_snr(t))
        ),
    ],
}

WRONG = {
    "04.1": [
        lambda e, low, high, c: (c[0], 0.5),
        lambda e, low, high, c: (np.median(c), _stop(e, low, high, [np.median(c)])[1]),
        lambda e, low, high, c: _stop(lambda s: 1.0, low, high, c),
    ],
    "04.2": [
        lambda n, coarse, fine, tol: (coarse - fine, n * (coarse - fine) / tol),
        lambda n, coarse, fine, tol: (2 * fine - coarse, 2 * n),
        lambda n, coarse, fine, tol: (fine**2 / coarse, np.ceil(n / tol)),
    ],
    "04.3": [
        lambda t: np.pi * np.tan(np.pi * t / 2),
        lambda t: np.pi / np.sin(np.pi * t / 2),
        lambda t: np.pi / np.sin(t),
        lambda t: np.pi / np.tan(np.pi * t),
    ],
    "04.4": [
        lambda x, e, accuracy: np.trapezoid(e[x < 0], x[x < 0]) / 2,
        lambda x, e, accuracy: -0.5 * np.log(accuracy),
        lambda x, e, accuracy: np.exp(-accuracy),
        lambda x, e, accuracy: cumulative_simpson(e, x=x, initial=0) / 2,
    ],
    "04.5": [
        lambda t, c, old, new: -0.5 * new.log_snr_rate(t),
        lambda t, c, old, new: -_through_w(t, c, old, new),
        lambda t, c, old, new: 2 * _through_w(t, c, old, new),
        lambda t, c, old, new: new.log_snr_rate(t) / old.log_snr_rate(t),
    ],
}
