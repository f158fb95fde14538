"""Exercises of notebook 00: what the area counts, and λ in other scales and units."""

import numpy as np

from course_utils.exercises.framework import Exercise

EXERCISES = {}


# 00.1  points that are not equally likely: exp of their entropy
def _twins(entries):
    P = entries / entries.sum()  # a velocity with more entries is picked more often
    cost = -np.log(P)  # what is rare costs more to say
    return np.exp(np.sum(P * cost))  # half the area is the mean cost, and exp of it is asked

EXERCISES["00.1"] = Exercise(
    _twins,
    [[2.0, 1.0, 1.0], [1.0, 7.0, 2.0, 2.0], [10.0], [3.0, 3.0, 3.0, 3.0, 3.0], [1.0, 999.0]],
    hint="What has probability P costs −log P nats to say, and that happens in a share P of cases",
    mistakes={
        "that is half the area, in bits; the course counts in nats, and asked is exp of it":
            "np.exp(np.sum(P * cost)) -> np.sum(P * cost) / np.log(2)",
        "that counts the different velocities; a rare one is seldom the one to be told apart": len,
        "that counts the entries: two entries of one velocity are never told apart": np.sum,
        "1/Σ P² is another count of effective points; the cost of saying which is a logarithm":
            "np.exp(np.sum(P * cost)) -> 1 / np.sum(P**2)",
    },
)


# 00.2  from flow matching to VP coordinates
def _to_vp(z, t):
    signal, noise = 1 - t, t  # at t = 0 there is data alone, at t = 1 noise alone
    log_snr = 2 * np.log(signal / noise)  # λ is the log of the signal's power over the noise's
    amplitude = np.sqrt(signal**2 + noise**2)  # for VP both amplitudes' squares must sum to 1
    return log_snr, z / amplitude  # one number rescales both amplitudes

EXERCISES["00.2"] = Exercise(
    _to_vp,
    [
        ([1.3, -0.4, 2.2, -0.9], [0.05, 0.3, 0.62, 0.9]),
        ([-0.9, 2.2, -0.4, 1.3], [0.1, 0.4, 0.4, 0.8]),
        ([0.7, 0.7, -2.0], [0.98, 0.02, 0.5]),
    ],
    hint="Find the one number by which both amplitudes must be divided so that α² + σ² = 1",
    returns=("λ", "z_vp"),
    mistakes={
        "z is divided by its signal amplitude: that is x + noise (variance exploding), not VP":
            "z / amplitude -> z / signal",
        "λ assumes α² = 1 − σ², which is VP; flow matching's α is 1 − t":
            "signal / noise -> np.sqrt(1 - noise**2) / noise",
        "λ assumes σ² = 1 − α², which is VP; flow matching's σ is t":
            "signal / noise -> signal / np.sqrt(1 - signal**2)",
    },
)


# 00.3  λ in km/s
def _log_snr_at_blur(blur, spread):
    ratio = blur / spread  # in units of x; a logarithm of km/s would depend on the unit
    return -2 * np.log(ratio)  # λ is the log of a ratio of powers, signal over noise

EXERCISES["00.3"] = Exercise(
    _log_snr_at_blur,
    [([500.0, 12000.0, 4540.0], 4540.0), ([3.0, 0.2, 0.2], 1.7), ([2000.0], 4540.0)],
    hint="Write σ/α as a power of e with λ in it, set it equal to blur/spread, and solve",
    mistakes={
        "blur/spread was taken for σ; it is σ/α, since the noise is that on z/α":
            "-2 * np.log(ratio) -> np.log(np.where(ratio <= 1, ratio**-2 - 1, np.nan))",
        "e^{−λ/2} = σ/α was evaluated, not solved: blur is given and λ is asked for":
            lambda blur, spread: spread * np.exp(-blur / 2),
    },
)
