"""Five names of one prediction: all pairs of them, and the loss factors."""

import itertools

import numpy as np
import pytest
from comparing import assert_close, refused
from truths import amplitudes

from course_utils.predictions import NAMES, convert, eps_loss_to


def all_names(x, eps, log_snr):
    """The latent and the five targets, from their definitions."""
    a, s = amplitudes(log_snr)
    z = a * x + s * eps
    return z, {"x": x, "eps": eps, "v": a * eps - s * x, "score": -eps / s, "velocity": eps - x}


def drawn(shape=(4, 3), seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape), rng.normal(size=shape)


EACH = np.array([[-1.0], [0.0], [2.0], [5.0]])  # one level a row


@pytest.mark.parametrize("log_snr", [-30.0, -10.0, -1.0, 0.0, 2.0, 10.0, 30.0, EACH], ids=str)
def test_all_pairs(log_snr):
    z, values = all_names(*drawn(), log_snr)
    # what the way over (z − σε)/α or (z − αx)/σ must lose in float64 at an extreme level
    loss = np.exp(np.max(np.abs(log_snr)) / 2)
    for source, target in itertools.product(NAMES, NAMES):
        found = convert(values[source], z, log_snr, source, target)
        scale = abs(values[target]).max()
        assert_close(found, values[target], atol=1e-14 * loss * max(1, scale))


@pytest.mark.parametrize("target", NAMES)
def test_the_factor_is_the_ratio_of_squared_errors(target):
    """Two predictions of ε for one z, converted: their squared distances stand in the ratio."""
    x, eps = drawn((6,))
    guess = eps + np.random.default_rng(1).normal(size=6)
    for log_snr in (-30.0, -5.0, 0.0, 3.0, 10.0, 30.0):
        z, _ = all_names(x, eps, log_snr)
        a, b = (convert(each, z, log_snr, "eps", target) for each in (eps, guess))
        ratio = np.sum((a - b) ** 2) / np.sum((eps - guess) ** 2)
        assert_close(ratio, eps_loss_to(target, log_snr), rtol=1e-8)


ONES = np.ones((3, 3))


test_unknown_names_and_levels_that_do_not_fit = refused(
    (lambda: convert(ONES, ONES, 0.0, "noise"), "'noise': did you mean 'eps'"),
    (lambda: convert(ONES, ONES, 0.0, target="V"), "'V': did you mean 'v'"),
    (lambda: eps_loss_to("epsilon", 0.0), r"did you mean 'eps'\? \(x, eps, v, score, velocity"),
    # [batch] beside [batch, d] with batch = d would be silently wrong
    (lambda: convert(ONES, ONES, np.zeros(3)), r"\[batch, 1\]"),
    (lambda: convert(ONES, ONES, np.zeros((2, 1))), r"levels of shape \(2, 1\)"),
    # and so would be [n] beside [n, 1]
    (lambda: convert(ONES[0], ONES[:, :1], 0.0), r"values of shape \(3,\) do not fit z"),
)
