"""The reverse panel: its fast denoiser, its sampler and its numbers against independent truths."""

import numpy as np
import pytest

from course_utils.datasets import galaxies, velocity_scale
from course_utils.distances import wasserstein_to_density
from course_utils.mixtures import GaussianMixture
from course_utils.panels import reverse
from course_utils.samplers import ddim_coefficients
from course_utils.schedules import alpha

BASE = {"eta": 0.0, "steps": 96, "log_snr_max": 10.0, "width": 300, "seed": 0}


def numbers(**changes):
    return reverse.compute(**BASE | changes)[0]


def widened(width):
    return GaussianMixture.from_data(galaxies(), width / velocity_scale())


@pytest.mark.parametrize("width", [0, 50, 1500])
@pytest.mark.parametrize("level", [-10.0, 0.0, 6.0, 12.0])
def test_the_fast_denoiser_is_the_mixtures(width, level):
    z = np.random.default_rng(0).standard_normal(200) * 2
    exact = widened(width).eps(z[:, None], level)[:, 0]
    np.testing.assert_allclose(reverse.ideal_eps(width)(z, level), exact, rtol=1e-5, atol=1e-5)
    mixed = reverse.ideal_eps(width)(z[[0, 1]], np.array([level, 3.0]))
    at_three = widened(width).eps(z[1:2, None], 3.0)[0, 0]
    np.testing.assert_allclose(mixed, [exact[0], at_three], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("eta", "steps"), [(0.0, 12), (0.35, 96), (1.0, 24)])
def test_each_step_is_ddims_with_the_mixtures_denoiser_and_one_brownian_path(eta, steps):
    found = reverse.compute(**BASE | {"steps": steps, "eta": eta, "seed": 3})[1]
    levels, paths = found["levels"], found["paths"]
    start, increments = reverse._draws(3)
    np.testing.assert_array_equal(paths[0], start)
    noise = increments.reshape(steps, 96 // steps, -1).sum(axis=1) * np.sqrt(steps / 96)
    for i in range(steps):
        keep, eps_hat, spread = ddim_coefficients(levels[i], levels[i + 1], eta)
        eps = widened(300).eps(paths[i][:, None], levels[i])[:, 0]
        exact = keep * paths[i] + eps_hat * eps + spread * noise[i]
        np.testing.assert_allclose(paths[i + 1], exact, atol=1e-7)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_many_steps_reach_the_floor_and_few_do_not(eta):
    runs = [numbers(eta=eta, seed=seed) for seed in range(31)]
    mean = np.mean([run["distance"] for run in runs])
    spread = np.std([run["distance"] for run in runs]) / np.sqrt(31)
    # 96 steps leave some 60 km/s of their own
    assert runs[0]["floor"] - 4 * spread < mean < runs[0]["floor"] + 60 + 4 * spread
    assert numbers(eta=eta, steps=4)["distance"] > 3 * runs[0]["floor"]


@pytest.mark.parametrize(("top", "width"), [(12.0, 0), (10.0, 300), (0.0, 1500)])
def test_the_exact_law_is_the_mixtures(top, width):
    law = widened(width).diffuse(top)
    x, density, shares, _, median = reverse._truth(top, width)
    exact = alpha(top) * np.exp(law.log_prob(alpha(top) * x[:, None]))
    np.testing.assert_allclose(density, exact, rtol=1e-9, atol=1e-12)
    assert np.trapezoid(density, x) == pytest.approx(1, abs=1e-6)
    below = np.interp(reverse.EDGES / alpha(top), x, np.cumsum(density) / density.sum())
    np.testing.assert_allclose(shares, 100 * np.diff(below), atol=0.2)
    drawn = law.sample(40_000, np.random.default_rng(2)) / alpha(top)
    brute = velocity_scale() * np.abs(drawn - galaxies().T).min(axis=1)
    np.testing.assert_allclose(reverse.distance_to_nearest(drawn[:, 0]), brute, atol=1e-9)
    assert median == pytest.approx(np.median(brute), rel=0.04)
    found, shown = reverse.compute(**BASE | {"log_snr_max": top, "width": width})
    samples = shown["paths"][-1] / alpha(top)
    w1 = velocity_scale() * wasserstein_to_density(samples, density, x)
    assert found["distance"] == pytest.approx(w1, abs=0.1)
