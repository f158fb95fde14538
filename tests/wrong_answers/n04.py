"""Answers readers give in notebook 04: RIGHT must pass; WRONG, no listed mistake, must not."""

import numpy as np
from scipy.integrate import cumulative_simpson, cumulative_trapezoid


def _cosine(t):
    return -2 * np.log(np.tan(np.pi * t / 2))


def _loop(log_snr, error, prior):
    out = [prior]
    for i in range(1, len(log_snr)):
        step = (log_snr[i] - log_snr[i - 1]) * (error[i] + error[i - 1]) / 2
        out.append(out[-1] + step / 2)
    return out


def _through_w(t, coefficient, old, new):
    level = new.log_snr(t)
    then = old.time(level)
    w = coefficient(then) / (-0.5 * old.log_snr_rate(then))
    return w * (-0.5) * new.log_snr_rate(t)


RIGHT = {
    "04.1": [
        lambda e, t, s: np.expm1(s - t) * e / 2,
        lambda e, t, s: [
            0.5 * (np.exp(b) / np.exp(a) - 1) * c for c, a, b in zip(e, t, s, strict=True)
        ],
    ],
    "04.2": [
        lambda n, span, L, e: (span / n) * L / 2 - (span / n) * e / 4,
        lambda n, span, L, e: [span * (2 * L - e) / (4 * m) for m in n],
    ],
    "04.3": [
        lambda t: np.pi / np.sin(np.pi * t),
        lambda t: -0.5 * (_cosine(t + 1e-5) - _cosine(t - 1e-5)) / 2e-5,
    ],
    "04.4": [
        _loop,
        lambda x, e, p: p + 0.5 * cumulative_trapezoid(e, x, initial=0),
        lambda x, e, p: p + 0.5 * cumulative_simpson(e, x=x, initial=0),
    ],
    "04.5": [
        _through_w,
        lambda t, c, old, new: (
            c(old.time(new.log_snr(t))) * old.density(new.log_snr(t)) / new.density(new.log_snr(t))
        ),
    ],
}

WRONG = {
    "04.1": [
        lambda e, t, s: 0.5 * (np.exp(s - t) - 1) * np.sqrt(e),
        lambda e, t, s: np.sum(0.5 * (np.exp(s - t) - 1) * e),
        lambda e, t, s: 0.5 * e,
    ],
    "04.2": [
        lambda n, span, L, e: span / 2 * (L - e / 2),
        lambda n, span, L, e: span * n / 2 * (L - e / 2),
    ],
    "04.3": [
        lambda t: np.pi * np.tan(np.pi * t / 2),
        lambda t: np.pi / np.sin(np.pi * t / 2),
        lambda t: np.pi / np.sin(t),
        lambda t: np.pi / np.tan(np.pi * t),
    ],
    "04.4": [
        lambda x, e, p: p + 0.5 * np.trapezoid(e, x),
        lambda x, e, p: p + 0.5 * cumulative_trapezoid(e, x),
        lambda x, e, p: p + 0.5 * np.cumsum(e) * (x[1] - x[0]),
        lambda x, e, p: p + 0.5 * e,
    ],
    "04.5": [
        lambda t, c, old, new: -0.5 * new.log_snr_rate(t),
        lambda t, c, old, new: -_through_w(t, c, old, new),
        lambda t, c, old, new: 2 * _through_w(t, c, old, new),
        lambda t, c, old, new: new.log_snr_rate(t) / old.log_snr_rate(t),
    ],
}
