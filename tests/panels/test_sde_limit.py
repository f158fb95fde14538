"""The SDE-limit panel: its constants against brute force, its coupled paths, its controls."""

from functools import partial

import numpy as np
import pytest

from course_utils.distances import gaussian_kl, gaussian_wasserstein
from course_utils.forward import chain_steps, error_constants, euler_maruyama_steps, state_moments
from course_utils.panels import sde_limit
from course_utils.schedules import LinearBeta, discrete_betas

STEPS = {"chain": chain_steps, "em": euler_maruyama_steps}
RULES = ["right", "mid", "left", "exact"]
constants = partial(error_constants, LinearBeta())


def errors(recursion, rule, n_steps, x0, t):
    """Log decay, mean, variance, W2 and KL of N steps against the exact solution at time t."""
    steps = STEPS[recursion](discrete_betas(LinearBeta(), n_steps, rule))
    mean, variance = (values[round(t * n_steps)] for values in state_moments(x0, steps))
    elapsed = 0.1 * t + 19.9 * t**2 / 2
    exact = x0 * np.exp(-elapsed / 2), 1 - np.exp(-elapsed)
    law = mean, variance
    return np.array(
        [
            2 * np.log(mean / exact[0]),
            mean - exact[0],
            variance - exact[1],
            gaussian_wasserstein(*law, *exact),
            gaussian_kl(*law, *exact),
        ]
    )


def limits(recursion, rule, x0, t, n_steps=4000):
    """N·error (N²·KL) as N grows, from N and 2N by Richardson's extrapolation."""
    coarse, fine = (
        errors(recursion, rule, n, x0, t) * np.array([n, n, n, n, n**2])
        for n in (n_steps, 2 * n_steps)
    )
    return 2 * fine - coarse


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("recursion", ["chain", "em"])
@pytest.mark.parametrize(("x0", "t"), [(1.5, 0.3), (-2.0, 0.6), (1.5, 0.05)])
def test_constants_are_the_limits_of_the_errors(recursion, rule, x0, t):
    predicted = np.array(constants(recursion, rule, x0, t))
    np.testing.assert_allclose(limits(recursion, rule, x0, t), predicted, rtol=2e-4, atol=2e-8)


def test_the_constants_of_the_whole_interval():
    found = [constants("chain", rule, 1.5, 1.0).log_decay for rule in RULES]
    np.testing.assert_allclose(found, [-76.9517, -67.0017, -57.0517, 0], atol=1e-4)


@pytest.mark.parametrize("t", [0.05, 0.3, 1.0])
def test_exact_steps_have_no_error_at_any_n(t):
    numbers, arrays = sde_limit.compute(40, "exact", "chain", 3.0, t)
    assert arrays["distances"][0].max() < sde_limit.NO_ERROR
    assert numbers["wasserstein"] == "below 1e-12: no error at any N"
    assert "kl" not in numbers


@pytest.mark.parametrize("recursion", ["chain", "em"])
def test_the_distances_drawn_are_those_of_the_laws(recursion):
    _, arrays = sde_limit.compute(100, "mid", recursion, 1.5, 0.3)
    k = sde_limit.STEPS.index(100)
    found = errors(recursion, "mid", 100, 1.5, 0.3)[3:]
    np.testing.assert_allclose(arrays["distances"][:, k], found, rtol=1e-9)
    np.testing.assert_allclose(arrays["distances"][:, -1], arrays["predicted"][:, -1], rtol=0.02)
    # one particle of many: the path is drawn from the law that is drawn
    assert arrays["states"][0] == 1.5 and len(arrays["states"]) == 101


def test_one_euler_maruyama_step_from_zero_has_no_error_but_two_have():
    panel = sde_limit.panel(n_steps=21, rule="exact", recursion="em", x0=0.0, t=0.05)
    assert panel.results["wasserstein"] == "below 1e-12: no error after one step"
    of_error = panel.figure.axes[2]
    assert of_error.get_ylim() == (1e-16, 1e-4)  # of the other N; log 0 has no place
    marks = of_error.get_lines()[2]
    assert np.isnan(marks.get_ydata()[0]) and (marks.get_ydata()[1:] > 1e-8).all()


def test_all_grids_see_one_brownian_path():
    assert all(sde_limit.FINEST % n == 0 for n in sde_limit.STEPS)
    assert all(n % 20 == 0 for n in sde_limit.STEPS[1:])
    end = sde_limit._increments(sde_limit.FINEST).sum()
    for n in sde_limit.STEPS:
        assert sde_limit._increments(n).sum() == pytest.approx(end, rel=1e-9)


@pytest.mark.parametrize("recursion", ["chain", "em"])
def test_paths_tend_to_the_path_of_the_sde(recursion):
    _, decay, from_zero = sde_limit._exact_path()
    exact = 1.5 * decay + from_zero

    def worst(n_steps):
        states = sde_limit._from_zero(recursion, "left", n_steps)
        states = states + 1.5 * sde_limit._law(recursion, "left", n_steps)[0]
        every = n_steps // 40
        return np.abs(states[::every] - exact[::25]).max()

    assert worst(4000) < 0.02
    assert 5 < worst(400) / worst(4000) < 20  # order one, path by path


def test_text_holds_the_numbers():
    panel = sde_limit.panel()
    try:
        text = panel.text()
        assert "compared at t = 0.3" in text
        assert "N·W2 = 2.71 → 2.607" in text
        panel.set(t=1.0, n_steps=4000)
        assert "= -77.14 → -76.95" in panel.text()
        panel.set(n_steps=21, t=0.5)
        assert "compared at t = 0.4762" in panel.text()
    finally:
        panel.close()
