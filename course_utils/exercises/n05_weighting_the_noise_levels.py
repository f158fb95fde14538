"""Exercises of notebook 05: what published losses weigh, in one currency."""

import numpy as np
from scipy.optimize import brentq

from course_utils.exercises.framework import Exercise

EXERCISES = {}

_levels = np.array([-5.0, -2.0, -0.5, 0.7, 3.0, 6.0])

def _sech(u):
    return 1 / np.cosh(u)


# 05.1  the v-loss on the cosine schedule
def _by_value_at_zero(w):
    """The same weighting divided by its value at λ = 0."""
    return lambda log_snr: w(log_snr) / w(0.0)

EXERCISES["05.1"] = Exercise(
    lambda log_snr: np.exp(-log_snr / 2),
    [_levels, [-9.0, 0.0, 1.0]],
    hint="w is p(λ) times the factor that turns ‖ε − ε̂‖² into ‖v − v̂‖²; sech y = 2/(e^y + e^{−y})",
    mistakes={
        "the sign of λ is flipped: ‖v − v̂‖² = (1 + e^{−λ}) ‖ε − ε̂‖², large where noise is large":
            lambda s: np.exp(s / 2),
        "that is p(λ) alone, the ε-loss's weighting: v's factor (1 + e^{−λ}) is missing":
            lambda s: _sech(s / 2),
        "that is v's factor alone: how often the level is sampled, p(λ), is missing":
            _by_value_at_zero(lambda s: 1 + np.exp(-s)),
        "divided by p(λ) where it multiplies: a level that is visited often counts often":
            _by_value_at_zero(lambda s: (1 + np.exp(-s)) * np.cosh(s / 2)),
        "that is the x-loss on the cosine schedule: v's factor is 1 + e^{−λ}, x's is e^{−λ}":
            lambda s: np.exp(-s) * _sech(s / 2),
        "that is the velocity's factor: u = ε − x has (1 + e^{−λ/2})², v has 1 + e^{−λ}":
            _by_value_at_zero(lambda s: _sech(s / 2) * (1 + np.exp(-s / 2)) ** 2),
        "the shape is right; divide by its value at λ = 0, which is not 1":
            lambda s: _sech(s / 2) * (1 + np.exp(-s)) / (2 * np.pi),
        "p(λ) was counted twice: it enters once":
            _by_value_at_zero(lambda s: _sech(s / 2) ** 2 * (1 + np.exp(-s))),
        "the loss was converted twice: v's factor enters once":
            _by_value_at_zero(lambda s: _sech(s / 2) * (1 + np.exp(-s)) ** 2),
        "‖v − v̂‖² is larger than ‖ε − ε̂‖²: multiply by 1 + e^{−λ}, do not divide":
            _by_value_at_zero(lambda s: _sech(s / 2) / (1 + np.exp(-s))),
        "the losses are squares: the factor is 1 + e^{−λ}, not its root":
            _by_value_at_zero(lambda s: _sech(s / 2) * np.sqrt(1 + np.exp(-s))),
        "sech of λ/2, not of λ":
            _by_value_at_zero(lambda s: _sech(s) * (1 + np.exp(-s))),
        "even in λ: v's factor is not": lambda s: np.exp(-np.abs(s) / 2),
        "that is for amplitudes: SNR = e^λ, and σ²/α² = e^{−λ}": lambda s: np.exp(-s),
        "1 + e^{−λ} is v's factor; divide by its value at 0 and multiply by p(λ)":
            lambda s: 1 + np.exp(-s),
        "that is p(λ) itself, as it is: v's factor is missing":
            lambda s: _sech(s / 2) / (2 * np.pi),
    },
)


# 05.2  Min-SNR for a network that predicts v
def _min_snr_v(log_snr, gamma):
    snr = np.exp(log_snr)
    return np.minimum(snr, gamma) / (snr + 1)

def _of_snr(function):
    return lambda log_snr, gamma: function(np.exp(log_snr), gamma)

EXERCISES["05.2"] = Exercise(
    _min_snr_v,
    [(_levels, 5.0), (_levels[1:5] + 0.3, 1.0), (_levels, 20.0)],
    hint="v − v̂ is a multiple of x − x̂ at each level: which, in terms of σ, and so of the SNR?",
    mistakes={
        "the 1 belongs to the conversion alone: v's factor is min(SNR, γ)/(SNR + 1)":
            _of_snr(lambda snr, g: np.minimum(snr + 1, g) / (snr + 1)),
        "that is the weight before the x-loss: convert, ‖x − x̂‖² = ‖v − v̂‖²/(SNR + 1)":
            _of_snr(lambda snr, g: np.minimum(snr, g)),
        "that is the factor for ε, min(SNR, γ)/SNR: for v divide by SNR + 1":
            _of_snr(lambda snr, g: np.minimum(snr, g) / snr),
        "converted the wrong way: ‖v − v̂‖² is the larger one, so its weight is the smaller":
            _of_snr(lambda snr, g: np.minimum(snr, g) * (snr + 1)),
        "1 + 1/SNR leads from ε to v; from x to v the factor is SNR + 1":
            _of_snr(lambda snr, g: np.minimum(snr, g) / (1 + 1 / snr)),
        "the larger of the two, where Min-SNR takes the smaller":
            _of_snr(lambda snr, g: np.maximum(snr, g) / (snr + 1)),
        "λ is the logarithm: SNR = e^λ": lambda s, g: np.minimum(s, g) / (s + 1),
        "e^{λ/2} is a ratio of amplitudes; the SNR is e^λ":
            lambda s, g: np.minimum(np.exp(s / 2), g) / (np.exp(s / 2) + 1),
        "γ acts on SNR before the conversion, not on SNR/(SNR + 1) after it":
            _of_snr(lambda snr, g: np.minimum(snr / (snr + 1), g)),
        "asked is the factor before ‖v − v̂‖² alone, without p(λ)":
            lambda s, g: _min_snr_v(s, g) * _sech(s / 2),
        "γ was converted with the SNR: clip min(SNR, γ) first, then divide by SNR + 1":
            _of_snr(lambda snr, g: np.minimum(snr / (snr + 1), g / (g + 1))),
        "the 1 belongs to the conversion alone, at neither place in the minimum":
            _of_snr(lambda snr, g: np.minimum(snr + 1, g + 1) / (snr + 1)),
        "the SNR is e^λ, a ratio of squares already":
            _of_snr(lambda snr, g: np.minimum(snr**2, g) / (snr**2 + 1)),
        "divided by γ + 1, where SNR + 1 belongs":
            _of_snr(lambda snr, g: np.minimum(snr, g) / (g + 1)),
        "from x to v the factor is SNR + 1, and it divides":
            _of_snr(lambda snr, g: np.minimum(snr, g) * (1 + 1 / snr)),
        "the SNR is e^λ, not e^{−λ}":
            _of_snr(lambda snr, g: np.minimum(1 / snr, g) / (1 + 1 / snr)),
    },
)


# 05.3  P2's γ for a peak that is wanted
def _gamma(rise=lambda s: 0.5 * np.tanh(-s / 2), odds=lambda s, k: 1 + k * np.exp(-s)):
    """γ = rise · odds: at the peak p(λ) rises as fast as P2's factor falls."""
    return lambda log_snr, k: rise(log_snr) * odds(log_snr, k)

def _snr_alone(log_snr, k):
    """The least γ with a peak there if the factor were 1/(k + SNR^γ)."""
    def slope(gamma):
        return gamma / (1 + k * np.exp(-gamma * log_snr)) + 0.5 * np.tanh(log_snr / 2)

    return brentq(slope, 0, 0.5)

EXERCISES["05.3"] = Exercise(
    _gamma(),
    [(-0.5, 1.0), (-1.0, 0.3), (-0.4, 2.0)],
    hint="log w = log p − γ log(k + SNR), and at the peak its slope is 0",
    tolerance=2e-3,  # a search is a fair answer
    mistakes={
        "the power is of the whole bracket, (k + SNR)^γ; you raised the SNR alone": _snr_alone,
        "negative: P2 lowers fine detail, so its γ is positive": -1,
        "that holds for k = 1 alone": lambda s, k: 0.5 * np.expm1(-s),
        "twice too large: p(λ) is sech(λ/2)/2π, and λ/2 has a derivative": 2,
        "that is flow matching's density, sech²(λ/4)/8; cosine's is sech(λ/2)/2π":
            _gamma(rise=lambda s: 0.5 * np.tanh(-s / 4)),
        "that is for the v-loss; P2's factor stands before the ε-loss":
            _gamma(rise=lambda s: np.full_like(s, -0.5)),
        "the SNR is e^λ, not e^{−λ}": _gamma(odds=lambda s, k: 1 + k * np.exp(s)),
        "e^{λ/2} is a ratio of amplitudes; the SNR is e^λ":
            _gamma(odds=lambda s, k: 1 + k * np.exp(-s / 2)),
        "λ is the logarithm: SNR = e^λ": _gamma(odds=lambda s, k: 1 + k / s),
        "the SNR's own slope is missing: the derivative of e^λ is e^λ":
            _gamma(odds=lambda s, k: k + np.exp(s)),
        "upside down": lambda s, k: 1 / _gamma()(s, k),
        "that is the factor's size at the level; asked is the power": lambda s, k: k + np.exp(s),
        "that is the peak for γ = 1; asked is the γ for a peak": lambda s, k: -np.log(3) + 0 * s,
        "that is p(λ)'s slope; divide by that of log(k + e^λ), which is e^λ/(k + e^λ)":
            _gamma(odds=lambda s, k: 1.0 + 0 * s),
        "k divides or multiplies in the wrong place: the bracket is (k + e^λ)/e^λ = 1 + k e^{−λ}":
            lambda s, k: 0.5 * np.expm1(-s) / k,
        "k multiplies in the wrong place: the bracket is (k + e^λ)/e^λ = 1 + k e^{−λ}":
            lambda s, k: 0.5 * np.expm1(-s) * k,
        "sech of λ/2, not of λ": _gamma(rise=lambda s: 0.5 * np.tanh(-s)),
        "that is where the peak would be for γ = k, not γ": lambda s, k: -np.log(2 * k + 1),
        "the slope of log(k + e^λ) is e^λ/(k + e^λ): it divides":
            lambda s, k: 0.5 * np.tanh(-s / 2) / (1 + k * np.exp(-s)),
        "the slope of log(k + e^λ) is e^λ/(k + e^λ), not k + e^λ":
            lambda s, k: 0.5 * np.tanh(-s / 2) / (k + np.exp(s)),
        "the SNR's sign in one place only: (k + e^λ)/e^λ":
            lambda s, k: 0.5 * np.tanh(-s / 2) * (k + np.exp(-s)),
    },
)


# 05.4  SD3's logit-normal times
def _normal(log_snr, mean, variance):
    return np.exp(-((log_snr - mean) ** 2) / (2 * variance))

def _sd3_with(mean_factor, variance_factor, conversion, power=2):
    def w(log_snr, mean, sd):
        def shape(s):
            return _normal(s, mean_factor * mean, variance_factor * sd**power) * conversion(s)

        return shape(log_snr) / shape(0.0)

    return w

def _velocity(s):
    return (1 + np.exp(-s / 2)) ** 2

EXERCISES["05.4"] = Exercise(
    _sd3_with(-2, 4, _velocity),
    [(_levels, 0.0, 1.0), (_levels, 0.5, 1.0), (_levels + 0.2, -0.3, 0.6)],
    hint="First the law of λ = −2 logit(t): its mean and its variance; then the factor for u",
    mistakes={
        "λ = −2 logit(t) doubles the deviation, so the variance is 4 sd²; you took 2 sd²":
            _sd3_with(-2, 2, _velocity),
        "λ = −2 logit(t): the 2 is missing from both mean and variance":
            _sd3_with(-1, 1, _velocity),
        "the variance is that of logit(t); λ = −2 logit(t) has four times as much":
            _sd3_with(-2, 1, _velocity),
        "λ falls as t grows: a positive mean of logit(t) means a negative mean of λ":
            _sd3_with(2, 4, _velocity),
        "the mean of λ is −2 times that of logit(t)": _sd3_with(-1, 4, _velocity),
        "that is p(λ): the factor from ‖ε − ε̂‖² to ‖u − û‖² is missing":
            _sd3_with(-2, 4, np.ones_like),
        "that is v's factor, 1 + e^{−λ}; the velocity u = ε − x has (1 + e^{−λ/2})²":
            _sd3_with(-2, 4, lambda s: 1 + np.exp(-s)),
        "the factor is not squared: the losses are squares":
            _sd3_with(-2, 4, lambda s: 1 + np.exp(-s / 2)),
        "the factor's λ has the wrong sign: u weighs noise, (1 + e^{−λ/2})²":
            _sd3_with(-2, 4, lambda s: (1 + np.exp(s / 2)) ** 2),
        "the shape is right; divide by its value at λ = 0, which is not 1":
            lambda s, m, sd:
                _normal(s, -2 * m, 4 * sd**2) * _velocity(s) / (8 * np.pi * sd**2) ** 0.5,
        "the shape is right; at λ = 0 it is 1 only after division by its value there":
            lambda s, m, sd: _normal(s, -2 * m, 4 * sd**2) * _velocity(s),
        "divide by all of its value at λ = 0: where the mean is not 0, the normal is not 1 there":
            lambda s, m, sd: _normal(s, -2 * m, 4 * sd**2) * _velocity(s) / 4,
        "uniform t is no longer drawn: its density sech²(λ/4)/8 does not enter as well":
            _sd3_with(-2, 4, lambda s: _velocity(s) * _sech(s / 4) ** 2),
        "sd is a standard deviation: the variance of logit(t) is its square":
            _sd3_with(-2, 4, _velocity, power=1),
        "the variance of λ is 4 sd², not 2 sd": _sd3_with(-2, 2, _velocity, power=1),
        "λ = −2 logit(t), in mean and in variance: you took the law of logit(t)":
            _sd3_with(1, 1, _velocity),
        "the mean's sign, and 2 sd² for 4 sd²": _sd3_with(2, 2, _velocity),
        "divided by the factor where it multiplies": _sd3_with(-2, 4, lambda s: 1 / _velocity(s)),
        "that is x's factor, e^{−λ}; the velocity u = ε − x has (1 + e^{−λ/2})²":
            _sd3_with(-2, 4, lambda s: np.exp(-s)),
        "the mean was left out": _sd3_with(0, 4, _velocity),
        "e^{−λ/2}: σ/α is a ratio of amplitudes": _sd3_with(-2, 4, lambda s: (1 + np.exp(-s)) ** 2),
        "upside down: λ = −2 logit(t) is wider than logit(t), not narrower":
            _sd3_with(-0.5, 0.25, _velocity),
        "the loss was converted twice: u's factor enters once":
            _sd3_with(-2, 4, lambda s: _velocity(s) ** 2),
    },
)


# 05.5  EDM's λ and ours
EXERCISES["05.5"] = Exercise(
    lambda log_snr, data_sd: log_snr + 2 * np.log(data_sd),
    [([-3.3077, 0.0, 2.4], 0.5), ([1.0, -6.0], 3.0)],
    hint="After the division the noise is σ/data_sd on data of variance 1: what is −2 ln of that?",
    mistakes={
        "shifted the wrong way: small data drown in less noise, so their λ is lower, not higher":
            lambda s, sd: s - 2 * np.log(sd),
        "λ is about squares: ln of a standard deviation enters twice": lambda s, sd: s + np.log(sd),
        "shifted the wrong way, and once where λ needs twice": lambda s, sd: s - np.log(sd),
        "λ is a logarithm: dividing the data moves it, it does not rescale it":
            lambda s, sd: s / sd,
        "λ is a logarithm: the data's variance enters by its logarithm": lambda s, sd: s + sd**2,
        "unchanged: the noise was divided by data_sd too, so −2 ln σ moved": lambda s, sd: 1.0 * s,
        "a logarithm to base 10: λ uses the natural one": lambda s, sd: s + 2 * np.log10(sd),
        "you multiplied λ by a power of the standard deviation": lambda s, sd: s * sd**2,
        "that is the noise σ, not its level λ": lambda s, sd: np.exp(-s / 2) / sd,
        "the logarithm is missing: λ = −2 ln σ": lambda s, sd: s + 2 * sd,
        "the logarithm is missing, and the sign": lambda s, sd: s - 2 * sd,
        "four times: ln of a standard deviation enters twice, not four times":
            lambda s, sd: s + 4 * np.log(sd),
        "four times, and the wrong way": lambda s, sd: s - 4 * np.log(sd),
        "multiplied: a factor in σ is a summand in λ": lambda s, sd: s * 2 * np.log(sd),
        "a logarithm to base 2: λ uses the natural one": lambda s, sd: s + 2 * np.log2(sd),
        "divided by the variance: λ is a logarithm, it is moved": lambda s, sd: s / sd**2,
        "σ = e^{−λ/2}, not e^{−λ}": lambda s, sd: 2 * s + 2 * np.log(sd),
        "half: λ = −2 ln σ": lambda s, sd: s + np.log(sd) / 2,
        "multiplied: λ is a logarithm, it is moved": lambda s, sd: s * sd,
    },
)


# 05.6  one wrong line: the SNR of a step, and of all steps so far
def _snr(bar):
    return bar / (1 - bar)

def _min_snr_eps(snr_of, factor=lambda snr, g: np.minimum(snr, g) / snr):
    """Min-SNR's factor before the ε-loss, with the SNR that ``snr_of`` finds in the betas."""
    return lambda betas, gamma: factor(snr_of(betas), gamma)

def _snr_after(betas):
    return _snr(np.cumprod(1 - betas))

EXERCISES["05.6"] = Exercise(
    _min_snr_eps(_snr_after),
    [([0.5, 0.5, 0.4, 0.7], 0.5), (np.linspace(0.01, 0.2, 30), 5.0), ([0.3, 0.1, 0.1, 0.1], 1.0)],
    hint="the SNR of z_t is that of all t steps together; for two steps of β = ½ it is 1/3, not 1",
    mistakes={
        "as printed: 1 − β_t is what one step keeps, and z_t has gone through all t of them":
            _min_snr_eps(lambda b: _snr(1 - b)),
        "the prediction is ε: min(SNR, γ)/(SNR + 1) belongs before the v-loss":
            _min_snr_eps(_snr_after, lambda snr, g: np.minimum(snr, g) / (snr + 1)),
        "the prediction is ε: min(SNR, γ) alone belongs before the x-loss":
            _min_snr_eps(_snr_after, np.minimum),
        "ᾱ is a squared amplitude already: its square is not needed for the SNR":
            _min_snr_eps(lambda b: _snr(np.cumprod(1 - b)) ** 2),
        "that is the ratio of the amplitudes; the SNR is that of their squares":
            _min_snr_eps(lambda b: np.sqrt(_snr(np.cumprod(1 - b)))),
        "the minimum became a maximum":
            _min_snr_eps(_snr_after, lambda snr, g: np.maximum(snr, g) / snr),
        "the steps are summed, where their factors 1 − β multiply":
            _min_snr_eps(lambda b: _snr(np.clip(1 - np.cumsum(b), 1e-9, None))),
        "the product starts one step late: ᾱ_t counts step t as well":
            _min_snr_eps(lambda b: _snr(np.cumprod(np.append(1 - 1e-12, 1 - b[:-1])))),
        "γ/SNR, not cut: where the SNR is below γ the factor is 1":
            _min_snr_eps(_snr_after, lambda snr, g: g / snr),
        "that is 1/SNR: signal over noise, not noise over signal":
            _min_snr_eps(lambda b: 1 / _snr_after(b)),
        "one ᾱ for all: ᾱ_t is the product of the first t factors (cumprod)":
            lambda b, g: np.full_like(b, np.minimum(1, g / _snr(np.prod(1 - b)))),
        "from the wrong end: the first steps come first":
            _min_snr_eps(lambda b: _snr_after(b[::-1])[::-1]),
        "β is a variance: 1 − β is the factor of the signal's power":
            _min_snr_eps(lambda b: _snr(np.cumprod(1 - np.sqrt(b)))),
        "the noise is 1 − ᾱ_t, not the product of the β":
            _min_snr_eps(lambda b: np.cumprod(1 - b) / np.cumprod(b)),
        "divided by the largest SNR; each step has its own":
            lambda b, g: np.minimum(_snr_after(b), g) / _snr_after(b).max(),
        "sums, where the factors 1 − β multiply":
            _min_snr_eps(lambda b: np.cumsum(1 - b) / np.cumsum(b)),
        "1 − β is what a step keeps of the signal; β is the noise that it adds":
            _min_snr_eps(lambda b: _snr(np.cumprod(b))),
        "ᾱ is the signal's power alone: the SNR is ᾱ/(1 − ᾱ)":
            _min_snr_eps(lambda b: np.cumprod(1 - b)),
        "divided by γ; the factor for ε is min(SNR, γ)/SNR":
            _min_snr_eps(_snr_after, lambda snr, g: np.minimum(snr, g) / g),
    },
)
