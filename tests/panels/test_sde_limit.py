"""The SDE-limit panel: its constants against brute force, its coupled paths, its controls."""

import numpy as np
import pytest

from course_utils.distances import gaussian_kl, gaussian_wasserstein
from course_utils.forward import chain_steps, error_constants, euler_maruyama_steps, state_moments
from course_utils.panels import sde_limit
from course_utils.schedules import LinearBeta, discrete_betas

STEPS = {"chain": chain_steps, "em": euler_maruyama_steps}
RULES = ["right", "mid", "left", "exact"]
START = {"n_steps": 40, "rule": "right", "recursion": "chain", "x0": 1.5, "t": 0.3, "path": 2}
DENSITIES = ("density", "exact_density")


def compute(**changes):
    return sde_limit.compute(**START | changes)


def errors(recursion, rule, n_steps, x0, t):
    """Log decay, mean, variance, W2 and KL of N steps against the exact solution at time t."""
    steps = STEPS[recursion](discrete_betas(LinearBeta(), n_steps, rule))
    mean, variance = (values[round(t * n_steps)] for values in state_moments(x0, steps))
    elapsed = 0.1 * t + 19.9 * t**2 / 2
    exact = x0 * np.exp(-elapsed / 2), 1 - np.exp(-elapsed)
    moments = 2 * np.log(mean / exact[0]), mean - exact[0], variance - exact[1]
    distances = (far(mean, variance, *exact) for far in (gaussian_wasserstein, gaussian_kl))
    return np.array([*moments, *distances])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("recursion", ["chain", "em"])
@pytest.mark.parametrize(("x0", "t"), [(1.5, 0.3), (-2.0, 0.6), (1.5, 0.05)])
def test_constants_are_the_limits_of_the_errors(recursion, rule, x0, t):
    """N·error (N²·KL) as N grows, from N and 2N by Richardson's extrapolation."""
    powers = np.array([1, 1, 1, 1, 2])
    coarse, fine = (errors(recursion, rule, n, x0, t) * n**powers for n in (4000, 8000))
    predicted = np.array(error_constants(LinearBeta(), recursion, rule, x0, t))
    np.testing.assert_allclose(2 * fine - coarse, predicted, rtol=2e-4, atol=2e-8)


@pytest.mark.parametrize("t", [0.05, 0.3, 1.0])
def test_exact_steps_have_no_error_at_any_n(t):
    numbers, arrays = compute(rule="exact", x0=3.0, t=t)
    assert numbers["verdict"] == arrays["remark"] == "no error at any N"
    assert "kl" not in numbers
    for name in ("w2", "kl", "w2_predicted", "kl_predicted"):  # nothing is drawn
        assert np.isnan(arrays[name]).all(), name
    assert np.abs(arrays["excess"]).max() < 1e-10


@pytest.mark.parametrize("recursion", ["chain", "em"])
def test_what_is_drawn_are_the_laws_and_their_distances(recursion):
    _, arrays = compute(n_steps=100, rule="mid", recursion=recursion)
    k = sde_limit.STEPS.index(100)
    _, mean, variance, *found = errors(recursion, "mid", 100, 1.5, 0.3)
    drawn = arrays["w2"][k], arrays["kl"][k]
    np.testing.assert_allclose(drawn, found, rtol=1e-9)
    assert drawn == (arrays["w2_now"], arrays["kl_now"])
    for name in ("w2", "kl"):
        assert arrays[name][-1] == pytest.approx(arrays[f"{name}_predicted"][-1], rel=0.02)
    # moments of the curves: sums over the grid, whose step is far below their width
    x, step = sde_limit.X, sde_limit.X[1] - sde_limit.X[0]
    assert step * (x @ arrays["excess"]) == pytest.approx(mean, abs=1e-4)
    squares = [step * (x**2 @ arrays[n]) - (step * (x @ arrays[n])) ** 2 for n in DENSITIES]
    assert squares[0] - squares[1] == pytest.approx(variance, abs=1e-3)
    assert arrays["states"][0] == 1.5 and len(arrays["states"]) == len(arrays["grid"]) == 101


@pytest.mark.parametrize("path", [2, 3])
@pytest.mark.parametrize("recursion", ["chain", "em"])
def test_paths_tend_to_the_path_of_the_sde(recursion, path):
    _, decay, from_zero = sde_limit._exact_path(path)
    exact = 1.5 * decay + from_zero

    def worst(n_steps):
        states = sde_limit._from_zero(recursion, "left", n_steps, path)
        states = states + 1.5 * sde_limit._law(recursion, "left", n_steps)[0]
        every = n_steps // 40
        return np.abs(states[::every] - exact[::25]).max()

    assert worst(4000) < 0.02
    assert 5 < worst(400) / worst(4000) < 20  # order one, path by path
