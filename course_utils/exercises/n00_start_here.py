"""Exercises of notebook 00: one coordinate for every noise level, λ = log(α²/σ²)."""

import numpy as np

from course_utils.exercises.framework import Exercise

EXERCISES = {}


# 00.1  from the chain's ᾱ to λ
def _log_snr(alpha_bar):
    return np.log(alpha_bar / (1 - alpha_bar))

_ddpm_alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[49::190]

EXERCISES["00.1"] = Exercise(
    _log_snr,
    [_ddpm_alpha_bar, [0.999, 0.75, 0.364, 0.2]],
    hint="Write down the variance of each of the two terms, then the log of their ratio",
    mistakes={
        "you squared ᾱ: ᾱ is a squared amplitude already, so α = √ᾱ":
            lambda a: np.log(a**2 / (1 - a**2)),
        "twice too large: ᾱ and 1 − ᾱ are already the squares α² and σ²": 2,
        "half: that is the log of the ratio of amplitudes α/σ; the SNR is a ratio of powers": 0.5,
        "that is the SNR itself; λ is its logarithm": lambda a: a / (1 - a),
        "the sign is flipped: little noise (ᾱ near 1) must give a large positive λ": -1,
        "a base-10 logarithm: λ uses the natural one": lambda a: np.log10(a / (1 - a)),
        "that is minus the log of the noise's power alone; the signal's power is ᾱ, not 1":
            lambda a: -np.log(1 - a),
        "that is the log of the signal's power alone; divide by the noise's power first": np.log,
        "the noise's power is 1 − ᾱ, without a root": lambda a: np.log(a / np.sqrt(1 - a)),
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
    [(_latents, _times), (_latents[::-1], _times**2)],
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
        "the two results are in the other order: λ first":
            lambda z, t: (z / _norm(t), _flow_log_snr(t)),
    },
)


# 00.3  λ in km/s
def _log_snr_at_blur(blur, spread):
    return -2 * np.log(blur / spread)

EXERCISES["00.3"] = Exercise(
    _log_snr_at_blur,
    [([50.0, 500.0, 2000.0, 12000.0], 4540.0), ([3.0, 0.2], 1.7)],
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
        "e^{−λ} is the ratio of powers: that is the SNR; take its logarithm":
            lambda b, s: (s / b) ** 2,
    },
)
