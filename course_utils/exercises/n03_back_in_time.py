"""Exercises of notebook 03: a wrong loop, a score in km/s, the way back, and one step of it."""

import numpy as np

from course_utils.exercises.framework import Exercise
from course_utils.schedules import alpha, sigma

EXERCISES = {}


# 03.1  the wrong line of a loop for training
def _is(line, loss):
    return lambda: (line, loss)

EXERCISES["03.1"] = Exercise(
    _is(4.0, 1.0),
    [],
    returns=("line", "loss"),
    hint="Which line makes z and eps strangers? Then the best guess of eps is its mean",
    tolerance=1e-3,
    mistakes={
        "line 3 draws the noise, and rightly; which line fails to use it?": _is(3.0, 1.0),
        "line 5 is the squared error as it should be; look at what is compared": _is(5.0, 1.0),
        "line 2: any density of levels may be drawn; it is a weighting, and no bug": _is(2.0, 1.0),
        "line 1 draws clean data, as it should": _is(1.0, 1.0),
        "a loss of 0 would need z to tell all about eps; it tells nothing": _is(4.0, 0.0),
        "a loss of 2 is paid if the noise in z is predicted; to answer 0 is cheaper":
            _is(4.0, 2.0),
        "a loss of ½ is the floor of no game here: the best guess of eps is its mean":
            _is(4.0, 0.5),
        "a loss of 0.621 is the floor at λ = 2 for a z that holds eps; this z does not":
            _is(4.0, 0.621),
    },
)


# 03.2  the score of noisy velocities in km/s
def _score_per_km(eps_hat, log_snr, spread):
    ratio = np.exp(-log_snr / 2)  # σ/α is a ratio of amplitudes, and large where λ is small
    blur = spread * ratio  # the noise on y = z/α, in km/s
    return -eps_hat / blur  # the score leads to the data, against the noise, per km/s

EXERCISES["03.2"] = Exercise(
    _score_per_km,
    [([0.4, -1.1, 0.9], 1.0, 4540.0), ([-0.2, 0.7, 0.7], -1.5, 20.0), ([0.3, 0.0], 9.0, 0.5)],
    hint="d/dy = (α/spread) d/dz, and the score in z is −ε̂/σ",
    mistakes={
        "that is the slope per unit of z; y is another scale": "/ blur -> / sigma(log_snr)",
        "a slope is divided by the stretch dy/dz = spread/α, not multiplied by it":
            "/ blur -> / sigma(log_snr) * spread / alpha(log_snr)",
    },
)


# 03.3  going back with any amount of noise
def _drift(z, score, beta, eta):
    forward = -0.5 * beta * z  # the forward drift stays as it is, and dt < 0 turns it round
    share = 0.5 * (1 + eta**2)  # half is for the way back; what fresh noise broadens is a variance
    return forward - share * beta * score  # a drift is proportional to β, and the score leads back

EXERCISES["03.3"] = Exercise(
    _drift,
    [
        ([0.5, -1.2, 2.0], [-0.9, 0.4, -1.1], 3.0, 0.3),
        ([1.5, -0.2, -0.2], [0.3, 0.8, 0.8], 0.4, 0.0),
        ([0.7, -0.1], [-0.7, 0.1], 5.0, 1.0),
        ([-1.0, 0.0], [0.6, -2.0], 20.0, 2.0),
    ],
    hint="Fresh noise of variance η²β broadens by ½η²β∇²q; add that much score, and ½β for the way",
    mistakes={
        "that is the reverse SDE's drift, for all the noise; with less noise, less score":
            "0.5 * (1 + eta**2) -> 1.0",
        "fresh noise needs more score; the shrinking, −½βz, stays as it is":
            "forward - share * beta * score -> -share * beta * (z + score)",
        "without noise nothing of the score would be left; half of it is needed then":
            "0.5 * (1 + eta**2) -> eta**2",
    },
)


# 03.4  ancestral step = DDIM step + noise
def _ancestral(z, eps_hat, noise, log_snr, log_snr_to):
    beyond = log_snr + 2 * (log_snr_to - log_snr)  # DDIM goes one Δλ too far, and one comes back
    x_hat = (z - sigma(log_snr) * eps_hat) / alpha(log_snr)  # the guess is made where z stands
    latent = alpha(beyond) * x_hat + sigma(beyond) * eps_hat  # DDIM keeps ε̂, at the new level
    decay = alpha(log_snr_to) / alpha(beyond)  # a step forwards shrinks the latent
    variance = sigma(log_snr_to) ** 2 - decay**2 * sigma(beyond) ** 2  # what is left counts already
    return decay * latent + np.sqrt(variance) * noise  # fresh noise by its amplitude

EXERCISES["03.4"] = Exercise(
    _ancestral,
    [
        ([0.4, -1.3, 0.9, 0.1], [0.7, -0.5, 0.2, -1.0], [-0.6, 1.1, 0.3, 0.8], -1.0, 0.5),
        ([0.1, 0.9, -1.3], [0.7, -0.5, 0.2], [0.3, -0.6, 1.1], 1.0, 1.4),
        ([0.5, 0.5], [-0.4, 0.9], [0.0, 1.2], -6.0, 2.0),
    ],
    hint="Three levels occur: λ_t, λ_s, and λ_t + 2Δλ; write α and σ of each with its index",
    mistakes={
        "Δλ for 2Δλ: from λ_s there is no way back to walk, and the step is plain DDIM":
            "log_snr + 2 * (log_snr_to - log_snr) -> log_snr_to",
        "DDIM stopped at λ_s, which has all its noise there already; it must go beyond":
            "decay * latent -> alpha(log_snr_to) * x_hat + sigma(log_snr_to) * eps_hat",
        "all of ε̂ is replaced: the ancestral step keeps part of it":
            "decay * latent + np.sqrt(variance) * noise -> "
            "alpha(log_snr_to) * x_hat + sigma(log_snr_to) * noise",
    },
)
