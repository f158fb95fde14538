"""Exercises of notebook 03: a wrong loop, a score in km/s, the way back, and one step of it."""

from functools import partial

import numpy as np

from course_utils.exercises.framework import Exercise
from course_utils.schedules import alpha, sigma

EXERCISES = {}


# 03.1  the wrong line of a loop for training
EXERCISES["03.1"] = Exercise(
    lambda: (4.0, 1.0),
    [],
    returns=("line", "loss"),
    hint="Which line makes z and eps strangers? Then the best guess of eps is its mean",
    mistakes={
        "line 3 draws the noise, and rightly; which line fails to use it?": lambda: (3.0, 1.0),
        "line 5 is the squared error as it should be; look at what is compared":
            lambda: (5.0, 1.0),
        "line 2: any density of levels may be drawn; it is a weighting, and no bug":
            lambda: (2.0, 1.0),
        "line 1 draws clean data, as it should": lambda: (1.0, 1.0),
        "the line is right. 0 would need z to tell all about eps; it tells nothing":
            lambda: (4.0, 0.0),
        "the line is right. 2 is what a network pays that predicts the noise in z; 0 is cheaper":
            lambda: (4.0, 2.0),
        "the line is right. ½ is the floor of no game here: the best guess of eps is its mean":
            lambda: (4.0, 0.5),
        "the line is right. 0.621 is the floor at λ = 2 for a z that holds eps; this z does not":
            lambda: (4.0, 0.621),
        "loss first? The line comes first: (line, loss)": lambda: (1.0, 4.0),
        "the line is right. 0.62114 is the floor at λ = 2 for a z that holds eps; this z does not":
            lambda: (4.0, 0.62114),
        "the line is right. A loss that stands still is not infinite":
            lambda: (4.0, np.inf),
    },
)


# 03.2  the score of noisy velocities in km/s
def _per_blur(eps_hat, log_snr, spread):
    return -eps_hat * np.exp(log_snr / 2) / spread

EXERCISES["03.2"] = Exercise(
    _per_blur,
    [
        ([0.4, -1.1, 0.9], 1.0, 4540.0),
        ([-0.2, 0.7, 0.7], -1.5, 20.0),
        ([0.3, 0.0], 9.0, 0.5),
        ([-2.0], -6.0, 1.0),
    ],
    hint="d/dy = (α/spread) d/dz, and the score in z is −ε̂/σ",
    mistakes={
        "the sign is flipped: noise leads away from the data, the score leads to them": -1,
        "that is the slope per unit of z; y is another scale": lambda e, s, k: -e / sigma(s),
        "the unit is right, but z/α is stretched against z: a factor α is missing":
            lambda e, s, k: -e / (sigma(s) * k),
        "the stretch by 1/α is right; the unit of km/s is missing":
            lambda e, s, k: -e * np.exp(s / 2),
        "one km/s is 1/spread of a unit: divide by spread":
            lambda e, s, k: -e * np.exp(s / 2) * k,
        "a slope is divided by the stretch 1/α, not multiplied by it":
            lambda e, s, k: -e / (sigma(s) * alpha(s) * k),
        "that is the step from y to the clean velocity, −blur·ε̂: the score divides by the blur":
            lambda e, s, k: -e * np.exp(-s / 2) * k,
        "divided by blur²: the noise on y is blur·ε̂, and noise/blur² is ε̂/blur":
            lambda e, s, k: -e * np.exp(s) / k**2,
        "the slope without ε̂'s sign and size: 1/blur is only the scale":
            lambda e, s, k: -np.exp(s / 2) / k * np.ones_like(e),
        "e^{λ} is a ratio of powers; the blur is an amplitude, e^{−λ/2}":
            lambda e, s, k: -e * np.exp(s) / k,
        "multiplied by σ where it should be divided":
            lambda e, s, k: -e * sigma(s) * alpha(s) / k,
        "the score is a slope in z of −ε̂/σ, not of −ε̂": lambda e, s, k: -e / k,
        "α multiplies, σ is missing: the score in z is −ε̂/σ":
            lambda e, s, k: -e * alpha(s) / k,
        "the blur grows as the noise does: σ/α is e^{−λ/2}, not e^{+λ/2}":
            lambda e, s, k: -e * np.exp(-s / 2) / k,
        "σ² where the score has σ": lambda e, s, k: -e * alpha(s) / (sigma(s) ** 2 * k),
        "the logs of the Jacobian do not depend on y: nothing is to be added":
            lambda e, s, k: _per_blur(e, s, k) + np.log(alpha(s) / k),
        "4540 is the spread of the galaxies; use the argument":
            lambda e, s, k: -e * np.exp(s / 2) / 4540,
        "divide by spread, and α is missing: y is z/α": lambda e, s, k: -e * k / sigma(s),
        "λ/2 without its exponential: σ/α = e^{−λ/2}": lambda e, s, k: -e * (s / 2) / k,
        "that is the noise on y in km/s; the slope divides by blur²":
            lambda e, s, k: e * np.exp(-s / 2) * k,
        "α² for α: y is z times spread/α": lambda e, s, k: -e * alpha(s) ** 2 / (sigma(s) * k),
        "σ² for σ, and y is z times spread/α": lambda e, s, k: -e / sigma(s) ** 2 / k,
    },
)


# 03.3  going back with any amount of noise
def _drift(z_part=0.5, score_part=lambda eta: 0.5 * (1 + eta**2)):
    return lambda z, score, beta, eta: -beta * (z_part * z + score_part(eta) * score)

EXERCISES["03.3"] = Exercise(
    _drift(),
    [
        ([0.5, -1.2, 2.0], [-0.9, 0.4, -1.1], 3.0, 0.3),
        ([1.5, -0.2, -0.2], [0.3, 0.8, 0.8], 0.4, 0.0),
        ([0.7, -0.1], [-0.7, 0.1], 5.0, 1.0),
        ([-1.0, 0.0], [0.6, -2.0], 20.0, 2.0),
    ],
    hint="Fresh noise of variance η²β broadens by ½η²β∇²q; add that much score, and ½β for the way",
    mistakes={
        "η multiplies an amplitude; what the score must make up is a variance, η²":
            _drift(score_part=lambda eta: 0.5 * (1 + eta)),
        "that is the reverse SDE's drift, for all the noise; with less noise, less score":
            _drift(score_part=lambda eta: 1.0),
        "that is the ODE's drift, for no noise; fresh noise needs more score":
            _drift(score_part=lambda eta: 0.5),
        "without noise nothing of the score would be left; half of it is needed then":
            _drift(score_part=lambda eta: eta**2),
        "without noise no score would be left, and η belongs squared":
            _drift(score_part=lambda eta: eta),
        "the score counts once for the way back, ½, and η²/2 for the noise; yours is η²/2 alone":
            _drift(score_part=lambda eta: 0.5 * eta**2),
        "the ½ is taken from the wrong part: with η = 0 this is the reverse SDE":
            _drift(score_part=lambda eta: 1 + eta**2),
        "½ for the way, and another ½ before the noise's η²":
            _drift(score_part=lambda eta: 0.5 + eta**2),
        "more noise needs more score, not less":
            _drift(score_part=lambda eta: 0.5 * (1 - eta**2)),
        "the score is missing: that is the forward drift alone, which forgets the noise":
            _drift(score_part=lambda eta: 0.0),
        "the score's sign is flipped: for N(0, 1) data, score = −z, the ODE may move nothing":
            _drift(score_part=lambda eta: -0.5 * (1 + eta**2)),
        "everything has the other sign: dt < 0 turns it round, the drift does not": -1,
        "a factor ½ is missing before z: the forward drift stays as it is": _drift(z_part=1.0),
        "twice too large: both terms carry ½": 2,
        "the forward drift is missing": _drift(z_part=0.0),
        "the forward drift keeps its sign in this form; dt < 0 turns it round":
            _drift(z_part=-0.5),
        "√β belongs to the noise; a drift is proportional to β":
            lambda z, s, b, eta: _drift()(z, s, np.sqrt(b), eta),
        "η scales the noise alone; the forward drift does not change with it":
            lambda z, s, b, eta: -0.5 * (1 + eta**2) * b * (z + s),
        "β is missing from the score's term":
            lambda z, s, b, eta: -0.5 * b * z - 0.5 * (1 + eta**2) * s,
        "β² in the score's term: it is proportional to β as the drift is":
            lambda z, s, b, eta: -0.5 * b * z - 0.5 * (1 + eta**2) * b**2 * s,
        "(1 + η)² is not 1 + η²: the two broadenings add":
            _drift(score_part=lambda eta: 0.5 * (1 + eta) ** 2),
        "√(1 + η²) is an amplitude: the score's factor is a sum of variances":
            _drift(score_part=lambda eta: 0.5 * np.sqrt(1 + eta**2)),
        "√β belongs to the noise; the score's term is proportional to β":
            lambda z, s, b, eta: -0.5 * b * z - 0.5 * (1 + eta**2) * np.sqrt(b) * s,
        "η changes the noise and the score; the forward drift stays":
            lambda z, s, b, eta: -0.5 * b * (eta * z + (1 + eta**2) * s),
        "η changes the noise and the score; the forward drift stays as it is, without η²":
            lambda z, s, b, eta: -0.5 * b * (eta**2 * z + (1 + eta**2) * s),
        "the noise itself is no part of the drift":
            lambda z, s, b, eta: _drift()(z, s, b, eta) + eta * np.sqrt(b),
        "the noise must be made up for, not divided out":
            lambda z, s, b, eta: -0.5 * b * z - 0.5 * b * s / (1 + eta**2),
        "the forward drift is missing, and the score depends on η":
            lambda z, s, b, eta: -b * s,
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

def _by_sigma(z, eps_hat, noise, log_snr, log_snr_to):
    beyond = 2 * log_snr_to - log_snr
    shrink = sigma(log_snr_to) / sigma(beyond)
    return shrink * _ddim(z, eps_hat, log_snr, beyond) + _back(beyond, log_snr_to)[1] * noise

def _with_eta(eta, z, eps_hat, noise, log_snr, log_snr_to):
    fresh = eta * sigma(log_snr_to) * np.sqrt(-np.expm1(log_snr - log_snr_to))
    x_hat = (z - sigma(log_snr) * eps_hat) / alpha(log_snr)
    kept = np.sqrt(sigma(log_snr_to) ** 2 - fresh**2)
    return alpha(log_snr_to) * x_hat + kept * eps_hat + fresh * noise

def _unshrunk_noise(z, eps_hat, noise, log_snr, log_snr_to):
    beyond = 2 * log_snr_to - log_snr
    decay, _ = _back(beyond, log_snr_to)
    spread = np.sqrt(sigma(log_snr_to) ** 2 - sigma(beyond) ** 2)
    return _noised(_ddim(z, eps_hat, log_snr, beyond), noise, decay, spread)

_latents = np.array([0.4, -1.3, 0.9, 0.1])
_predictions = np.array([0.7, -0.5, 0.2, -1.0])
_noise = np.array([-0.6, 1.1, 0.3, 0.8])

EXERCISES["03.4"] = Exercise(
    _in_two(),
    [
        (_latents, _predictions, _noise, -1.0, 0.5),
        (_latents[::-1], _predictions, _noise, 1.0, 1.4),
        ([0.5, 0.5], [-0.4, 0.9], [0.0, 1.2], -6.0, 2.0),
    ],
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
        "the way back carries no noise of its own: this is DDIM with a smaller latent":
            lambda z, e, noise, s, t: _ddim(z, e, s, t) * alpha(t) / alpha(2 * t - s),
        "that is the plain DDIM step with all of σ_s as fresh noise on top":
            lambda z, e, noise, s, t: _ddim(z, e, s, t) + sigma(t) * noise,
        "the fresh noise is subtracted: the same in law, but the draw comes with a plus":
            _in_two(lambda u, noise, decay, spread: decay * u - spread * noise),
        "the way back scales by σ_s/σ₊; a forward step scales by α_s/α₊": _by_sigma,
        "half of Δλ too far; it is a whole one": _in_two(steps=1.5),
        "half the noise: η = ½. The ancestral step is η = 1": partial(_with_eta, 0.5),
        "σ_s² minus all of σ₊²: the noise that comes along is shrunk by α_s/α₊ first":
            _unshrunk_noise,
        "3Δλ is one step too far: DDIM goes to λ_t + 2Δλ": _in_two(steps=3),
        "you noised back to λ_t, where you began; the step ends at λ_s": _back_to_the_start,
        "the weights of ε̂ and of the fresh noise have changed places":
            lambda z, e, noise, s, t: _with_eta(1.0, z, noise, e, s, t)
            + alpha(t) * sigma(s) / alpha(s) * (noise - e),
        "ε̂ shrinks too much: on the way back it is multiplied by α_s/α₊, once":
            _in_two(lambda u, noise, decay, spread: decay**2 * u + spread * noise),
        "the level too far is λ_t + 2Δλ; you went there from λ_s":
            lambda z, e, noise, s, t: _in_two(steps=2)(z, e, noise, t, 2 * t - s),
        "the time runs the other way: log_snr_to is the cleaner level":
            lambda z, e, noise, s, t: _in_two(steps=2)(z, e, noise, t, s),
        "x̂ must be scaled by α_s, and part of ε̂ is kept":
            lambda z, e, noise, s, t: (z - sigma(s) * e) / alpha(s) + sigma(t) * noise,
    },
)
