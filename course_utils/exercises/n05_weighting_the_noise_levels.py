"""Exercises of notebook 05: what published losses weigh, in one currency."""

import numpy as np
from scipy.optimize import brentq

from course_utils.exercises.framework import Exercise

EXERCISES = {}

_levels = np.array([-5.0, -2.0, -0.5, 0.7, 3.0, 6.0])


# 05.1  the v-loss on the cosine schedule
def _v_loss(log_snr):
    def w(level):
        density = 1 / np.cosh(level / 2)  # how often the cosine schedule visits the level
        conversion = 1 + np.exp(-level)  # v's error is larger than ε's where noise is large
        return density * conversion  # a level that is visited often counts often

    return w(log_snr) / w(0.0)

EXERCISES["05.1"] = Exercise(
    _v_loss,
    [_levels, [-9.0, 0.0, 1.0]],
    hint="w is p(λ) times the factor that turns ‖ε − ε̂‖² into ‖v − v̂‖²; sech y = 2/(e^y + e^{−y})",
    mistakes={
        "the sign of λ is flipped: ‖v − v̂‖² = (1 + e^{−λ}) ‖ε − ε̂‖², large where noise is large":
            "np.exp(-level) -> np.exp(level)",
        "v's factor is 1 + e^{−λ}; that is x's, e^{−λ}": "1 + np.exp(-level) -> np.exp(-level)",
        "that is the velocity's factor: u = ε − x has (1 + e^{−λ/2})², v has 1 + e^{−λ}":
            "1 + np.exp(-level) -> (1 + np.exp(-level / 2)) ** 2",
    },
)


# 05.2  Min-SNR for a network that predicts v
def _min_snr_v(log_snr, gamma):
    snr = np.exp(log_snr)  # λ is the log of the SNR
    before_x = np.minimum(snr, gamma)  # Min-SNR cuts the weight before the x-loss
    return before_x / (snr + 1)  # v's error is the larger one, so its weight is the smaller

EXERCISES["05.2"] = Exercise(
    _min_snr_v,
    [(_levels, 5.0), (_levels[1:5] + 0.3, 1.0), (_levels, 0.4)],
    hint="v − v̂ is a multiple of x − x̂ at each level: which, in terms of σ, and so of the SNR?",
    mistakes={
        "the 1 belongs to the conversion alone: v's factor is min(SNR, γ)/(SNR + 1)":
            "np.minimum(snr, gamma) -> np.minimum(snr + 1, gamma)",
        "γ acts on SNR before the conversion, not on SNR/(SNR + 1) after it":
            "before_x / (snr + 1) -> np.minimum(snr / (snr + 1), gamma)",
        "asked is the factor alone, without p(λ)": "(snr + 1) -> (snr + 1) / np.cosh(log_snr / 2)",
        "v's loss is the larger: divide by its factor": "/ (snr + 1) -> * (1 + 1 / snr)",
    },
)


# 05.3  P2's γ for a peak that is wanted
def _p2_gamma(log_snr, k):
    snr = np.exp(log_snr)  # λ is the log of the SNR
    rise = -0.5 * np.tanh(log_snr / 2)  # the slope of log p(λ), with cosine's p ∝ sech(λ/2)
    fall = snr / (k + snr)  # the slope of log(k + e^λ) has an inner derivative
    return rise / fall  # at the peak p rises as fast as P2's factor falls

def _snr_alone(log_snr, k):
    """The least γ with a peak there if the factor were 1/(k + SNR^γ)."""
    def slope(gamma):
        return gamma / (1 + k * np.exp(-gamma * log_snr)) + 0.5 * np.tanh(log_snr / 2)

    return brentq(slope, 0, 0.5)

EXERCISES["05.3"] = Exercise(
    _p2_gamma,
    [(-0.5, 1.0), (-1.0, 0.3), (-0.4, 2.0)],
    hint="log w = log p − γ log(k + SNR), and at the peak its slope is 0",
    tolerance=2e-3,  # a search is a fair answer
    mistakes={
        "the power is of the whole bracket, (k + SNR)^γ; you raised the SNR alone": _snr_alone,
        "the slope of log(k + e^λ) is e^λ/(k + e^λ), not k + e^λ": "snr / (k + snr) -> k + snr",
    },
)


# 05.4  SD3's logit-normal times
def _sd3(log_snr, mean, sd):
    def w(level):
        centre, width = -2 * mean, 2 * sd  # λ = −2 logit(t) falls with t and is twice as wide
        law = np.exp(-((level - centre) ** 2) / (2 * width**2))  # a normal law has its variance
        return law * (1 + np.exp(-level / 2)) ** 2  # u = ε − x has amplitudes that add, squared

    return w(log_snr) / w(0.0)

EXERCISES["05.4"] = Exercise(
    _sd3,
    [(_levels, 0.0, 1.0), (_levels, 0.5, 1.0), (_levels + 0.2, -0.3, 0.6)],
    hint="First the law of λ = −2 logit(t): its mean and its variance; then the factor for u",
    mistakes={
        "u = ε − x has (1 + e^{−λ/2})²; that is v's, 1 + e^{−λ}": "(-level / 2)) ** 2 -> (-level))",
        "divide by all of w(0): the normal is not 1 there, where its mean is not 0": "w(0.0) -> 4",
        "divide by w(0), so that the result is 1 there": "w(0.0) -> (2 * sd * np.sqrt(2 * np.pi))",
    },
)


# 05.5  EDM's λ and ours
def _unit_level(log_snr, data_sd):
    return log_snr + 2 * np.log(data_sd)  # small data drown in less noise; λ is about squares

EXERCISES["05.5"] = Exercise(
    _unit_level,
    [([-3.3077, 0.0, 2.4], 0.5), ([1.0, -6.0], 3.0)],
    hint="After the division the noise is σ/data_sd on data of variance 1: what is −2 ln of that?",
    mistakes={
        "λ is a logarithm: dividing the data moves it, it does not rescale it":
            "log_snr + 2 * np.log(data_sd) -> log_snr / data_sd",
        "that is the noise σ, not its level λ":
            "log_snr + 2 * np.log(data_sd) -> np.exp(-log_snr / 2) / data_sd",
    },
)


# 05.6  one wrong line: the SNR of a step, and of all steps so far
def _min_snr_eps(betas, gamma):
    a_bar = np.cumprod(1 - betas)  # z_t has gone through all t steps, and factors multiply
    snr = a_bar / (1 - a_bar)  # ᾱ is the signal's power already, 1 − ᾱ the noise's
    return np.minimum(snr, gamma) / snr  # the prediction is ε

EXERCISES["05.6"] = Exercise(
    _min_snr_eps,
    [([0.5, 0.5, 0.4, 0.7], 0.5), (np.linspace(0.01, 0.2, 30), 5.0), ([0.3, 0.1, 0.1, 0.1], 1.0)],
    hint="The SNR of z_t is that of all t steps together; for two steps of β = ½ it is 1/3, not 1",
    mistakes={
        "the prediction is ε; min(SNR, γ)/(SNR + 1) is for v": "/ snr -> / (snr + 1)",
        "the 1 is for v, and not within min": "(snr, gamma) / snr -> (snr + 1, gamma) / (snr + 1)",
        "the β do not add up: 1 − β multiply": "np.cumprod(1 - betas) -> 1 - np.cumsum(betas)",
        "the noise is 1 − ᾱ, no product of β": "np.cumprod(1 - betas) -> 1 - np.cumprod(betas)",
        "exp(−Σβ) is for tiny β alone": "np.cumprod(1 - betas) -> np.exp(-np.cumsum(betas))",
        "the steps' SNRs do not multiply": "a_bar / (1 - a_bar) -> np.cumprod(1 / betas - 1)",
        "β_t is the noise of one step; z_t has that of all, 1 − ᾱ_t": "/ (1 - a_bar) -> / betas",
        "one step too few: z_t has gone through step t": "(1 - betas) -> (1 - betas) / (1 - betas)",
    },
)
