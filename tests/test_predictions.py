"""Five names of one prediction: all pairs, both kinds of arrays, and the loss factors."""

import itertools

import numpy as np
import pytest
import torch
from comparing import assert_close
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from course_utils.predictions import NAMES, convert, eps_loss_to

PAIRS = list(itertools.product(NAMES, NAMES))


def all_names(x, eps, log_snr):
    """The latent and the five targets, from their definitions."""
    a, s = np.sqrt(expit(log_snr)), np.sqrt(expit(-log_snr))
    z = a * x + s * eps
    return z, {"x": x, "eps": eps, "v": a * eps - s * x, "score": -eps / s, "velocity": eps - x}


def drawn(shape=(4, 3), seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape), rng.normal(size=shape)


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("log_snr", [-30.0, -10.0, -1.0, 0.0, 2.0, 10.0, 30.0])
def test_all_pairs(source, target, log_snr):
    z, values = all_names(*drawn(), log_snr)
    found = convert(values[source], z, log_snr, source, target)
    # what the way over (z − σε)/α or (z − αx)/σ must lose in float64 at an extreme level
    loss = np.exp(abs(log_snr) / 2)
    scale = abs(values[target]).max()
    assert_close(found, values[target], atol=1e-14 * loss * max(1, scale))


@pytest.mark.parametrize(("source", "target"), PAIRS)
@given(log_snr=st.floats(-12, 12), seed=st.integers(0, 99))
def test_there_and_back(source, target, log_snr, seed):
    z, values = all_names(*drawn((2,), seed), log_snr)
    there = convert(values[source], z, log_snr, source, target)
    back = convert(there, z, log_snr, target, source)
    assert_close(back, values[source], atol=1e-8)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_torch_agrees_and_keeps_float32(source, target):
    level = np.array([[-3.0], [0.0], [1.0], [4.0]])
    z, values = all_names(*drawn(), level)
    ours = convert(values[source], z, level, source, target)
    theirs = convert(
        torch.tensor(values[source]), torch.tensor(z), torch.tensor(level), source, target
    )
    assert_close(theirs.numpy(), ours, atol=1e-12)
    low = [torch.tensor(v, dtype=torch.float32) for v in (values[source], z, level)]
    assert convert(*low, source, target).dtype == torch.float32
    low = [v.numpy() for v in low]
    assert convert(*low, source, target).dtype == np.float32


def test_a_python_number_is_a_level_for_torch_too():
    value, z = torch.ones(2, 3), torch.zeros(2, 3)
    assert convert(value, z, 0.5).dtype == torch.float32
    assert convert(value, z, 0).shape == (2, 3)


def test_one_level_per_row():
    level = np.array([[-1.0], [0.0], [2.0], [5.0]])
    z, values = all_names(*drawn(), level)
    found = convert(values["eps"], z, level, "eps", "v")
    for row in range(4):
        alone = convert(values["eps"][row], z[row], level[row, 0], "eps", "v")
        assert_close(found[row], alone, atol=1e-15)


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("log_snr", [-30.0, -5.0, 0.0, 3.0, 10.0, 30.0])
def test_the_factor_is_the_ratio_of_squared_errors(target, log_snr):
    """Two predictions of ε for one z, converted: their squared distances stand in the ratio."""
    x, eps = drawn((6,))
    guess = eps + np.random.default_rng(1).normal(size=6)
    z, _ = all_names(x, eps, log_snr)
    a = convert(eps, z, log_snr, "eps", target)
    b = convert(guess, z, log_snr, "eps", target)
    ratio = np.sum((a - b) ** 2) / np.sum((eps - guess) ** 2)
    assert_close(ratio, eps_loss_to(target, log_snr), rtol=1e-8)


@pytest.mark.parametrize("target", NAMES)
def test_factors_on_arrays(target):
    level = np.array([[-2.0, 0.0], [1.0, 30.0]])
    factor = eps_loss_to(target, level)
    assert factor.shape == level.shape
    assert_close(eps_loss_to(target, torch.tensor(level)).numpy(), factor, rtol=1e-14)
    assert eps_loss_to(target, torch.ones(2)).dtype == torch.float32


ONES = np.ones((3, 3))


def test_a_single_level_may_be_a_tensor_beside_arrays_and_a_number_beside_tensors():
    exact = convert(ONES, 2 * ONES, 0.5)
    np.testing.assert_array_equal(convert(ONES, 2 * ONES, torch.tensor(0.5).double()), exact)
    found = convert(torch.ones(3, 3), torch.full((3, 3), 2.0), 0.5)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, exact, rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: convert(ONES, ONES, 0.0, "noise"), "'noise': did you mean 'eps'"),
        (lambda: convert(ONES, ONES, 0.0, target="V"), "'V': did you mean 'v'"),
        (lambda: convert(ONES, ONES, 0.0, target="velocty"), "did you mean 'velocity'"),
        (lambda: eps_loss_to("epsilon", 0.0), r"did you mean 'eps'\? \(x, eps, v, score, velocity"),
        (lambda: eps_loss_to(None, 0.0), "unknown prediction None"),
        (lambda: convert(ONES, ONES[:2], 0.0), r"one shape, got \(3, 3\) and \(2, 3\)"),
        (lambda: convert(ONES[:2], ONES, 0.0), r"one shape, got \(2, 3\) and \(3, 3\)"),
        # [batch] beside [batch, d] with batch = d would be silently wrong
        (lambda: convert(ONES, ONES, np.zeros(3)), r"\[batch, 1\]"),
        (lambda: convert(ONES, ONES, np.zeros((1, 3, 1))), r"\[batch, 1\]"),
        (lambda: convert(ONES, ONES, np.zeros((2, 1))), r"levels of shape \(2, 1\)"),
        (lambda: convert(torch.ones(3, 3), torch.ones(3, 3), torch.zeros(3)), r"\[batch, 1\]"),
        (
            lambda: convert(torch.ones(3), np.ones(3), 0.0),
            "all of NumPy or all of torch, got \\['torch', 'numpy', 'numpy'\\]",
        ),
        (lambda: convert(torch.ones(3, 1), torch.ones(3, 1), np.zeros((3, 1))), "all of torch"),
        (lambda: convert(ONES, ONES, np.nan), "got nan"),
        (lambda: convert(ONES, ONES, "0"), "real numbers, got '0'"),
        (lambda: convert([["a"]], [[1.0]], 0.0), "real numbers"),
    ],
)
def test_bad_input_says_what_came_in(call, words):
    with pytest.raises(ValueError, match=words):
        call()
