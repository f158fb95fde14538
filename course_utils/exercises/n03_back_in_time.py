"""Exercises of notebook 03: the best guess, the score, the way back, and one step of it."""

import numpy as np
from scipy.special import expit

from course_utils.exercises.framework import Exercise
from course_utils.schedules import alpha, sigma

# --- 03.1  the denoiser of two points ---------------------------------------------------------


def _two_points(z, alpha, sigma):
    return np.tanh(alpha * z / sigma**2)


two_point_denoiser = Exercise(
    reference=_two_points,
    inputs=[
        (np.array([-1.4, -0.3, 0.1, 0.5, 1.2]), 0.6, 0.8),
        (np.array([-0.6, 0.2, 0.9]), 0.8, 0.6),
        (np.array([-0.9, 0.4, 1.7]), 0.28, 0.96),
    ],
    mistakes={
        "a hard sign: the likelier point, not the mean; squared error wants the mean": (
            lambda z, alpha, sigma: np.sign(z)
        ),
        "that is the probability of x = +1; the mean of x is that minus the one of x = −1": (
            lambda z, alpha, sigma: expit(2 * alpha * z / sigma**2)
        ),
        "half the argument: the log odds are 2αz/σ², and a tanh takes half of the log odds": (
            lambda z, alpha, sigma: np.tanh(alpha * z / (2 * sigma**2))
        ),
        "twice the argument: a tanh takes half of the log odds 2αz/σ²": (
            lambda z, alpha, sigma: np.tanh(2 * alpha * z / sigma**2)
        ),
        "divided by σ: the exponent of a Gaussian holds the variance σ²": (
            lambda z, alpha, sigma: np.tanh(alpha * z / sigma)
        ),
        "the point sits at α in z, not at 1: the signal's amplitude is missing": (
            lambda z, alpha, sigma: np.tanh(z / sigma**2)
        ),
        "z/α is the unbiased guess: it ignores that x can only be −1 or +1": (
            lambda z, alpha, sigma: z / alpha
        ),
        "αz is the best guess for Gaussian data; these data are two points": (
            lambda z, alpha, sigma: alpha * z
        ),
        "that is E[ε|z], the mean of the noise: you are asked for x": (
            lambda z, alpha, sigma: (z - alpha * _two_points(z, alpha, sigma)) / sigma
        ),
        "that is the mean of αx: you are asked for x": (
            lambda z, alpha, sigma: alpha * _two_points(z, alpha, sigma)
        ),
    },
    hint="Bayes: write both likelihoods, cancel what they share, and take p₊ − p₋",
)

# --- 03.2  the score from ε̂ ---------------------------------------------------------------------


def _score(eps_hat, log_snr):
    return -eps_hat / sigma(log_snr)


score_from_eps = Exercise(
    reference=_score,
    inputs=[
        (np.array([0.4, -1.1, 0.9, 2.0]), 1.0),
        (np.array([-0.2, 0.7, 1.3]), -1.5),
        (np.array([0.3, 1.9, -0.8]), 3.0),
    ],
    mistakes={
        "the sign is flipped: noise leads away from the data, the score leads to them": (
            lambda eps_hat, log_snr: eps_hat / sigma(log_snr)
        ),
        "1/σ is missing: ε̂ has unit size at every level, a slope of log q has not": (
            lambda eps_hat, log_snr: -eps_hat
        ),
        "divided by the variance: σ ε is the displacement, and displacement/σ² is ε/σ": (
            lambda eps_hat, log_snr: -eps_hat / sigma(log_snr) ** 2
        ),
        "multiplied by σ where it should be divided": (
            lambda eps_hat, log_snr: -eps_hat * sigma(log_snr)
        ),
        "divided by the signal's amplitude α: it is the noise's σ that sets the slope": (
            lambda eps_hat, log_snr: -eps_hat / alpha(log_snr)
        ),
        "e^{−λ/2} is σ/α, the blur; in variance preserving coordinates σ² = sigmoid(−λ)": (
            lambda eps_hat, log_snr: -eps_hat * np.exp(log_snr / 2)
        ),
        "that is −σε̂/α, the step from z/α to x̂ in the data's units; the score is a slope in z": (
            lambda eps_hat, log_snr: -eps_hat * np.exp(-log_snr / 2)
        ),
    },
    hint="For one galaxy q is a Gaussian around αx: differentiate its log, then insert z − αx = σε",
)

# --- 03.3  the drift of the probability-flow ODE ------------------------------------------------


def _flow(z, score, beta):
    return -0.5 * beta * z - 0.5 * beta * score


flow_drift = Exercise(
    reference=_flow,
    inputs=[
        (np.array([0.5, -1.2, 2.0, 0.1]), np.array([-0.9, 0.4, -1.1, 0.6]), 3.0),
        (np.array([1.5, -0.2, 0.7]), np.array([0.3, 0.8, -2.0]), 0.4),
    ],
    mistakes={
        "the full score: that is the reverse SDE's drift; without its noise, half is left": (
            lambda z, score, beta: -0.5 * beta * z - beta * score
        ),
        "the score is missing: that is the forward drift alone, which forgets the noise": (
            lambda z, score, beta: -0.5 * beta * z
        ),
        "the score's sign is flipped: for N(0, 1) data, score = −z, nothing may move": (
            lambda z, score, beta: -0.5 * beta * z + 0.5 * beta * score
        ),
        "everything has the other sign: going back is done by dt < 0, not by the drift": (
            lambda z, score, beta: -_flow(z, score, beta)
        ),
        "a factor ½ is missing before z: with score = −z the two terms must cancel": (
            lambda z, score, beta: -beta * z - 0.5 * beta * score
        ),
        "twice too large: both terms carry ½": (lambda z, score, beta: -beta * (z + score)),
        "√β belongs to the noise; a drift is proportional to β": (
            lambda z, score, beta: -0.5 * np.sqrt(beta) * (z + score)
        ),
        "the forward drift is missing: the score alone does not shrink the data": (
            lambda z, score, beta: -0.5 * beta * score
        ),
    },
    hint="Test your formula on N(0, 1) data, whose law does not change in time: score = −z",
)

# --- 03.4  ancestral step = DDIM step + noise ---------------------------------------------------


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

ancestral_in_two = Exercise(
    reference=_in_two(),
    inputs=[
        (_latents, _predictions, _noise, -1.0, 0.5),
        (_latents[::-1], _predictions, _noise, 1.0, 1.4),
    ],
    mistakes={
        "Δλ for 2Δλ: from λ_s there is no way back to walk, and the step is plain DDIM": (
            _in_two(steps=1)
        ),
        "the way back is missing: this latent still stands at λ_t + 2Δλ": (
            _in_two(lambda u, noise, decay, spread: u)
        ),
        "on the way back the latent must shrink: multiply by α_s over the α it came from": (
            _in_two(lambda u, noise, decay, spread: u + spread * noise)
        ),
        "the latent must shrink by α_s/α_u on the way back, and with it the noise it carries": (
            _unscaled
        ),
        "all of ε̂ is replaced: the ancestral step keeps part of it": (
            lambda z, eps_hat, noise, log_snr, log_snr_to: (
                _ddim(z, eps_hat, log_snr, log_snr_to) + sigma(log_snr_to) * (noise - eps_hat)
            )
        ),
        "too much noise: z carries some already; add only σ_s² minus what is left of that": (
            _too_much_noise
        ),
        "that scales the noise by its variance: take the root": (
            _in_two(lambda u, noise, decay, spread: decay * u + spread**2 * noise)
        ),
        "the noise is missing on the way back: the spread of z_s falls short of σ_s": (
            _in_two(lambda u, noise, decay, spread: decay * u)
        ),
        "3Δλ is one step too far: DDIM goes to λ_t + 2Δλ": _in_two(steps=3),
        "you noised back to λ_t, where you began; the step ends at λ_s": _back_to_the_start,
    },
    hint="Three levels occur: λ_t, λ_s, and λ_t + 2Δλ; write α and σ of each with its index",
)

EXERCISES = {
    "03.1": two_point_denoiser,
    "03.2": score_from_eps,
    "03.3": flow_drift,
    "03.4": ancestral_in_two,
}
