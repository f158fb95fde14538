"""Exercises of notebook 03: the best guess, the score, the way back, and one step of it."""

import numpy as np
from scipy.special import expit

from course_utils.exercises.framework import Exercise
from course_utils.schedules import alpha, sigma

EXERCISES = {}


# 03.1  the denoiser of two points
def _two_points(z, alpha, sigma):
    return np.tanh(alpha * z / sigma**2)

EXERCISES["03.1"] = Exercise(
    _two_points,
    [
        ([-1.4, -0.3, 0.1, 0.5, 1.2], 0.6, 0.8),
        ([-0.6, 0.2, 0.9], 0.8, 0.6),
        ([-0.9, 0.4, 1.7], 0.28, 0.96),
    ],
    hint="Bayes: write both likelihoods, cancel what they share, and take p₊ − p₋",
    mistakes={
        "a hard sign: the likelier point, not the mean; squared error wants the mean":
            lambda z, a, s: np.sign(z),
        "that is the probability of x = +1; the mean of x is that minus the one of x = −1":
            lambda z, a, s: expit(2 * a * z / s**2),
        "half the argument: the log odds are 2αz/σ², and a tanh takes half of the log odds":
            lambda z, a, s: np.tanh(a * z / (2 * s**2)),
        "twice the argument: a tanh takes half of the log odds 2αz/σ²":
            lambda z, a, s: np.tanh(2 * a * z / s**2),
        "divided by σ: the exponent of a Gaussian holds the variance σ²":
            lambda z, a, s: np.tanh(a * z / s),
        "the point sits at α in z, not at 1: the signal's amplitude is missing":
            lambda z, a, s: np.tanh(z / s**2),
        "z/α is the unbiased guess: it ignores that x can only be −1 or +1": lambda z, a, s: z / a,
        "αz is the best guess for Gaussian data; these data are two points": lambda z, a, s: a * z,
        "that is E[ε|z], the mean of the noise: you are asked for x":
            lambda z, a, s: (z - a * _two_points(z, a, s)) / s,
        "that is the mean of αx: you are asked for x": lambda z, a, s: a * _two_points(z, a, s),
    },
)


# 03.2  the score from ε̂
EXERCISES["03.2"] = Exercise(
    lambda eps_hat, log_snr: -eps_hat / sigma(log_snr),
    [([0.4, -1.1, 0.9, 2.0], 1.0), ([-0.2, 0.7, 1.3], -1.5), ([0.3, 1.9, -0.8], 3.0)],
    hint="For one galaxy q is a Gaussian around αx: differentiate its log, then insert z − αx = σε",
    mistakes={
        "the sign is flipped: noise leads away from the data, the score leads to them": -1,
        "1/σ is missing: ε̂ has unit size at every level, a slope of log q has not":
            lambda e, s: -e,
        "divided by the variance: σ ε is the displacement, and displacement/σ² is ε/σ":
            lambda e, s: -e / sigma(s) ** 2,
        "multiplied by σ where it should be divided": lambda e, s: -e * sigma(s),
        "divided by the signal's amplitude α: it is the noise's σ that sets the slope":
            lambda e, s: -e / alpha(s),
        "e^{−λ/2} is σ/α, the blur; in variance preserving coordinates σ² = sigmoid(−λ)":
            lambda e, s: -e * np.exp(s / 2),
        "that is −σε̂/α, the step from z/α to x̂ in the data's units; the score is a slope in z":
            lambda e, s: -e * np.exp(-s / 2),
    },
)


# 03.3  the drift of the probability-flow ODE
EXERCISES["03.3"] = Exercise(
    lambda z, score, beta: -0.5 * beta * z - 0.5 * beta * score,
    [
        ([0.5, -1.2, 2.0, 0.1], [-0.9, 0.4, -1.1, 0.6], 3.0),
        ([1.5, -0.2, 0.7], [0.3, 0.8, -2.0], 0.4),
    ],
    hint="Test your formula on N(0, 1) data, whose law does not change in time: score = −z",
    mistakes={
        "the full score: that is the reverse SDE's drift; without its noise, half is left":
            lambda z, s, b: -0.5 * b * z - b * s,
        "the score is missing: that is the forward drift alone, which forgets the noise":
            lambda z, s, b: -0.5 * b * z,
        "the score's sign is flipped: for N(0, 1) data, score = −z, nothing may move":
            lambda z, s, b: -0.5 * b * z + 0.5 * b * s,
        "everything has the other sign: going back is done by dt < 0, not by the drift": -1,
        "a factor ½ is missing before z: with score = −z the two terms must cancel":
            lambda z, s, b: -b * z - 0.5 * b * s,
        "twice too large: both terms carry ½": 2,
        "√β belongs to the noise; a drift is proportional to β":
            lambda z, s, b: -0.5 * np.sqrt(b) * (z + s),
        "the forward drift is missing: the score alone does not shrink the data":
            lambda z, s, b: -0.5 * b * s,
    },
)


# 03.4  ancestral step = DDIM step + noise
def _ddim(z, eps_hat, log_snr, log_snr_to):
    x_hat = (z - sigma(log_snr) * eps_hat) / alpha(log_snr)
    return alpha(log_snr_to) * x_hat + sigma(log_snr_to) * eps_hat

def _back(log_snr_from, log_snr_to):
    decay = alpha(log_snr_to) / alpha(log_snr_from)
    return decay, np.sqrt(sigma(log_snr_to) ** 2 - decay**2 * sigma(log_snr_from) ** 2)

def _noised(latent, noise, decay, spread):
    return decay * latent + spread * noise

def _in_two(back=_noised, steps=2):
    """A DDIM step over ``steps`` Δλ, and a way back: the defaults are right."""

    def step(z, eps_hat, noise, log_snr, log_snr_to):
        beyond = log_snr + steps * (log_snr_to - log_snr)
        return back(_ddim(z, eps_hat, log_snr, beyond), noise, *_back(beyond, log_snr_to))

    return step

def _too_much_noise(z, eps_hat, noise, log_snr, log_snr_to):
    shrunk = _in_two(lambda u, noise, decay, spread: decay * u)
    return shrunk(z, eps_hat, noise, log_snr, log_snr_to) + sigma(log_snr_to) * noise

def _unscaled(z, eps_hat, noise, log_snr, log_snr_to):
    beyond = 2 * log_snr_to - log_snr
    spread = np.sqrt(sigma(log_snr_to) ** 2 - sigma(beyond) ** 2)
    return _ddim(z, eps_hat, log_snr, beyond) + spread * noise

def _back_to_the_start(z, eps_hat, noise, log_snr, log_snr_to):
    beyond = 2 * log_snr_to - log_snr
    return _noised(_ddim(z, eps_hat, log_snr, beyond), noise, *_back(beyond, log_snr))

_latents = np.array([0.4, -1.3, 0.9, 0.1])
_predictions = np.array([0.7, -0.5, 0.2, -1.0])
_noise = np.array([-0.6, 1.1, 0.3, 0.8])

EXERCISES["03.4"] = Exercise(
    _in_two(),
    [(_latents, _predictions, _noise, -1.0, 0.5), (_latents[::-1], _predictions, _noise, 1.0, 1.4)],
    hint="Three levels occur: λ_t, λ_s, and λ_t + 2Δλ; write α and σ of each with its index",
    mistakes={
        "Δλ for 2Δλ: from λ_s there is no way back to walk, and the step is plain DDIM":
            _in_two(steps=1),
        "the way back is missing: this latent still stands at λ_t + 2Δλ":
            _in_two(lambda u, noise, decay, spread: u),
        "on the way back the latent must shrink: multiply by α_s over the α it came from":
            _in_two(lambda u, noise, decay, spread: u + spread * noise),
        "the latent must shrink by α_s/α_u on the way back, and with it the noise it carries":
            _unscaled,
        "all of ε̂ is replaced: the ancestral step keeps part of it":
            lambda z, e, noise, s, t: _ddim(z, e, s, t) + sigma(t) * (noise - e),
        "too much noise: z carries some already; add only σ_s² minus what is left of that":
            _too_much_noise,
        "that scales the noise by its variance: take the root":
            _in_two(lambda u, noise, decay, spread: decay * u + spread**2 * noise),
        "the noise is missing on the way back: the spread of z_s falls short of σ_s":
            _in_two(lambda u, noise, decay, spread: decay * u),
        "3Δλ is one step too far: DDIM goes to λ_t + 2Δλ": _in_two(steps=3),
        "you noised back to λ_t, where you began; the step ends at λ_s": _back_to_the_start,
    },
)
