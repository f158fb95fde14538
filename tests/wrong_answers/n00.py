"""Answers readers give in notebook 00: RIGHT must pass; WRONG, no listed mistake, must not."""

import numpy as np
from scipy.special import logit

RIGHT = {
    "00.1": [
        logit,
        lambda a: np.log(a) - np.log1p(-a),
        lambda a: 2 * np.log(np.sqrt(a) / np.sqrt(1 - a)),
        lambda a: [float(np.log(x / (1 - x))) for x in a],  # a list is as good as an array
        lambda a: np.log(a.astype(np.float32) / (1 - a.astype(np.float32))),
    ],
    "00.2": [
        lambda z, t: (2 * np.log1p(-t) - 2 * np.log(t), z / np.hypot(1 - t, t)),
        lambda z, t: [np.log((1 - t) ** 2 / t**2), z / np.sqrt(1 - 2 * t + 2 * t**2)],
        lambda z, t: np.stack([2 * np.log((1 - t) / t), z / np.hypot(t, 1 - t)]),
    ],
    "00.3": [
        lambda blur, spread: 2 * np.log(spread / blur),
        lambda blur, spread: np.log(spread**2 / blur**2),
        lambda b, s: 2 * (np.log(s) - np.log(b)),
    ],
}

WRONG = {
    "00.1": [
        lambda a: np.log(np.sqrt(a) / (1 - a)),
        lambda a: np.log2(a / (1 - a)),
        lambda a: np.log(a / (1 - a)) + 1,
        lambda a: np.log(a / (1 - a)).sum(),
    ],
    "00.2": [
        lambda z, t: (2 * np.log((1 - t) / t), z / np.sqrt(1 - t**2)),
        lambda z, t: (2 * np.log((1 - t) / t), z / np.hypot(1 - t, t) * (1 - t)),
        lambda z, t: (2 * np.log10((1 - t) / t), z / np.hypot(1 - t, t)),
        lambda z, t: {"log_snr": 2 * np.log((1 - t) / t), "z": z / np.hypot(1 - t, t)},
    ],
    "00.3": [
        lambda b, s: np.exp(-s / b),
        lambda b, s: s * np.exp(-b / 2),  # evaluates the statement instead of solving it
        lambda b, s: -2 * np.log2(b / s),
        lambda b, s: -2 * np.log(500 / 4540),  # the one number, not the function
    ],
}
