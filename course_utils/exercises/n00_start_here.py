"""Exercises of notebook 00: what the area counts, and λ in other scales and units."""

import numpy as np

from course_utils.exercises.framework import Exercise

EXERCISES = {}


# 00.1  points that are not equally likely: exp of their entropy
def _shares(entries):
    return entries / entries.sum()

def _nats(P):
    return -np.sum(P * np.log(P))

EXERCISES["00.1"] = Exercise(
    lambda entries: np.exp(_nats(_shares(entries))),
    [[2.0, 1.0, 1.0], [1.0, 7.0, 2.0, 2.0], [10.0], [3.0, 3.0, 3.0, 3.0, 3.0], [1.0, 999.0]],
    hint="What has probability P costs −log P nats to say, and that happens in a share P of cases",
    mistakes={
        "that counts the different velocities; a rare one is seldom the one to be told apart": len,
        "that counts the entries: two entries of one velocity are never told apart": np.sum,
        "that is half the area, in nats; asked is exp of it": lambda n: _nats(_shares(n)),
        "a logarithm of base 2 under an exp of base e: use one base for both":
            lambda n: np.exp(_nats(_shares(n)) / np.log(2)),
        "that is half the area, in bits; the course counts in nats, and asked is exp of it":
            lambda n: _nats(_shares(n)) / np.log(2),
        "1/Σ P² is another count of effective points; the cost of saying which is a logarithm":
            lambda n: 1 / np.sum(_shares(n) ** 2),
        "the sign: −log P is the cost; a count below 1 cannot be":
            lambda n: np.exp(-_nats(_shares(n))),
        "the plain mean of the costs: a velocity is picked with its own probability P":
            lambda n: np.exp(-np.mean(np.log(_shares(n)))),
        "these are not probabilities yet: divide the entries by their sum":
            lambda n: np.exp(_nats(n)),
        "the area is the entropy twice over; asked is exp of half of it":
            lambda n: np.exp(2 * _nats(_shares(n))),
        "only the most frequent velocity was counted: average the costs of all":
            lambda n: 1 / _shares(n).max(),
        "entries of one velocity are never told apart: their log is a cost that falls away":
            lambda n: np.exp(np.sum(_shares(n) * np.log(n))),
        "that is the log of the number of entries; asked is exp of an average cost":
            lambda n: np.log(n.sum()),
        "np.unique counts the different numbers of entries; each place in the list is a velocity":
            lambda n: len(np.unique(n)),
        "a velocity with twins is not simply counted once: it is picked more often":
            lambda n: n.sum() - np.sum(n > 1),
        "costs in nats under a power of 2: use one base for both":
            lambda n: 2 ** _nats(_shares(n)),
        "a base-10 logarithm under an exp: use one base for both":
            lambda n: np.exp(_nats(_shares(n)) / np.log(10)),
        "the costs log(entries) are averaged; what costs is the rarity, −log of the share":
            lambda n: np.exp(np.mean(np.log(n))),
        "that is the mean number of entries": np.mean,
        "that is the largest number of entries": np.max,
        "the costs add up as logarithms; the entries themselves are not multiplied": np.prod,
    },
)


# 00.2  from flow matching to VP coordinates
def _norm(t):
    return np.hypot(1 - t, t)

def _flow_log_snr(t):
    return 2 * np.log((1 - t) / t)

def _scaled(factor):
    """λ as it should be, and z times a factor of t."""
    return lambda z, t: (_flow_log_snr(t), z * factor(t))

def _level(log_snr):
    """Another λ, and z rescaled as it should be."""
    return lambda z, t: (log_snr(t), z / _norm(t))

_times = np.array([0.05, 0.3, 0.62, 0.9])
_latents = np.array([1.3, -0.4, 2.2, -0.9])

EXERCISES["00.2"] = Exercise(
    lambda z, t: (_flow_log_snr(t), z / _norm(t)),
    [
        (_latents, _times),
        (_latents[::-1], _times**2),
        ([0.7, 0.7, -2.0], [0.98, 0.02, 0.5]),
    ],
    hint="Find the one number by which both amplitudes must be divided so that α² + σ² = 1",
    returns=("λ", "z_vp"),
    mistakes={
        "z is not rescaled: its amplitudes 1 − t and t are not VP, their squares do not sum to 1":
            _scaled(np.ones_like),
        "z is divided by the sum of the squared amplitudes: take its root":
            _scaled(lambda t: _norm(t) ** -2),
        "z is multiplied where it should be divided: then α² + σ² ends further from 1":
            _scaled(_norm),
        "z is divided by its signal amplitude: that is x + noise (variance exploding), not VP":
            _scaled(lambda t: 1 / (1 - t)),
        "λ has the amplitudes' ratio; the SNR is a ratio of powers":
            _level(lambda t: _flow_log_snr(t) / 2),
        "time runs backwards in λ: t = 0 is the data here, where λ is large":
            _level(lambda t: -_flow_log_snr(t)),
        "λ assumes α² = 1 − σ², which is VP; flow matching's α is 1 − t":
            _level(lambda t: np.log((1 - t**2) / t**2)),
        "a base-10 logarithm in λ: the course uses the natural one":
            _level(lambda t: _flow_log_snr(t) / np.log(10)),
        "a base-2 logarithm in λ: the course uses the natural one":
            _level(lambda t: _flow_log_snr(t) / np.log(2)),
        "that is the SNR itself; λ is its logarithm": _level(lambda t: ((1 - t) / t) ** 2),
        "λ counts the signal over the noise: the noise's power, t², is missing":
            _level(lambda t: 2 * np.log(1 - t)),
        "λ counts the signal over the noise: the signal's power, (1 − t)², is missing":
            _level(lambda t: -2 * np.log(t)),
        "that is signal and noise together over the noise; λ counts the signal alone":
            _level(lambda t: np.log(_norm(t) ** 2 / t**2)),
        "1 − t² is not the sum of the two squared amplitudes":
            _scaled(lambda t: 1 / np.sqrt(1 - t**2)),
        "z is divided by its noise amplitude t; both amplitudes' squares must sum to 1":
            _scaled(lambda t: 1 / t),
        "z is multiplied by its signal amplitude; both amplitudes' squares must sum to 1":
            _scaled(lambda t: 1 - t),
        "z is rescaled once too often: no 1 − t is left over after the division by the root":
            _scaled(lambda t: (1 - t) / _norm(t)),
        "the two results are in the other order: λ first":
            lambda z, t: (z / _norm(t), _flow_log_snr(t)),
        "λ assumes σ² = 1 − α², which is VP; flow matching's σ is t":
            _level(lambda t: np.log((1 - t) ** 2 / (1 - (1 - t) ** 2))),
        "that is the ratio of the amplitudes; λ is the log of its square":
            _level(lambda t: (1 - t) / t),
        "the square belongs inside the logarithm": _level(lambda t: np.log((1 - t) / t) ** 2),
        "that is the factor alone: multiply the latent by it":
            lambda z, t: (_flow_log_snr(t), 1 / _norm(t)),
        "√2 is the factor at t = ½ only": _scaled(lambda t: np.full_like(t, np.sqrt(2))),
        "the average of z's own squares is chance; the factor follows from t":
            lambda z, t: (_flow_log_snr(t), z / np.sqrt(np.mean(z**2))),
    },
)


# 00.3  λ in km/s
def _log_snr_at_blur(blur, spread):
    return -2 * np.log(blur / spread)

EXERCISES["00.3"] = Exercise(
    _log_snr_at_blur,
    [([500.0, 12000.0, 4540.0], 4540.0), ([3.0, 0.2, 0.2], 1.7), ([50.0], 4540.0)],
    hint="Write σ/α as a power of e with λ in it, set it equal to blur/s, and solve",
    mistakes={
        "log(σ/α) lacks its factor −2: the SNR is a power and counts signal over noise": -0.5,
        "the factor 2 is missing: blur is an amplitude, λ the log of a ratio of powers": 0.5,
        "the sign is flipped: a small blur is little noise, a large λ": -1,
        "blur/s was taken for σ; it is σ/α, since the noise is that on z/α":
            lambda b, s: np.log(np.where(b < s, (s / b) ** 2 - 1, np.nan)),
        "½ where 2 belongs: solve blur = s·e^{−λ/2} for λ once more": 0.25,
        "the data's spread is missing: a logarithm of km/s depends on the unit":
            lambda b, s: -2 * np.log(b),
        "a base-10 logarithm: λ uses the natural one": lambda b, s: -2 * np.log10(b / s),
        "a base-2 logarithm: λ uses the natural one": lambda b, s: -2 * np.log2(b / s),
        "e^{−λ/2} = σ/α was evaluated, not solved: blur is given and λ is asked for":
            lambda b, s: s * np.exp(-b / 2),
        "blur and spread were added; σ/α is their ratio":
            lambda b, s: -2 * np.log(b + s),
        "blur and spread were added in squares: z/α = x + noise has the noise alone as blur":
            lambda b, s: np.log(s**2 / (s**2 + b**2)),
        "e^{−λ} is the ratio of powers: that is the SNR; take its logarithm":
            lambda b, s: (s / b) ** 2,
        "blur/spread is σ/α = e^{−λ/2}; it does not stand in the exponent":
            lambda b, s: np.exp(-b / s / 2),
        "blur and spread were multiplied; σ/α is their ratio": lambda b, s: -2 * np.log(b * s),
        "that is one over the SNR; λ is minus its logarithm": lambda b, s: (b / s) ** 2,
        "that is σ/α itself; set it equal to e^{−λ/2} and solve": lambda b, s: b / s,
    },
)
