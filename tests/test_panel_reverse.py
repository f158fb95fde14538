"""The reverse panel: its fast denoiser, its sampler and its numbers against independent truths."""

from functools import partial

import numpy as np
import pytest
from panel_driving import drive
from scipy.special import ndtr

from course_utils.datasets import galaxies, galaxy_velocities, velocity_scale
from course_utils.distances import noise_floor, wasserstein_to_density
from course_utils.mixtures import GaussianMixture
from course_utils.panels import reverse
from course_utils.samplers import ddim_step, sample
from course_utils.schedules import LOG_SNR_MIN, alpha, sigma

BASE = {"eta": 0.0, "steps": 96, "log_snr_max": 10.0, "width": 300, "seed": 0}


def compute(**changes):
    return reverse.compute(**BASE | changes)


def widened(width):
    return GaussianMixture.from_data(galaxies(), width / velocity_scale())


@pytest.fixture(scope="module")
def shown():
    panel = reverse.panel()
    yield panel
    panel.close()


def test_every_control_to_its_ends(shown):
    done = drive(shown)
    assert done.moves > 20


@pytest.mark.parametrize("width", [0, 50, 1500])
@pytest.mark.parametrize("level", [-10.0, 0.0, 6.0, 12.0])
def test_the_fast_denoiser_is_the_mixtures(width, level):
    z = np.random.default_rng(0).standard_normal(200) * 2
    exact = widened(width).eps(z[:, None], level)[:, 0]
    np.testing.assert_allclose(reverse.ideal_eps(z, level, width), exact, rtol=1e-9, atol=1e-9)


def test_without_noise_the_paths_are_ddims():
    _, _, levels, paths = compute(steps=12)
    z = sample(widened(300).eps, levels, paths[0][:, None])
    np.testing.assert_allclose(paths[-1], z[:, 0], atol=1e-10)


class Recorded(np.random.Generator):
    """A generator that hands out given numbers."""

    def standard_normal(self, size=None):
        return self.rows.pop(0).reshape(size)


@pytest.mark.parametrize(("eta", "steps"), [(0.35, 96), (1.0, 96), (1.0, 24)])
def test_with_noise_the_paths_are_the_public_samplers(eta, steps):
    _, _, levels, paths = compute(steps=steps, eta=eta, seed=3)
    rng = Recorded(np.random.PCG64())
    rows = reverse._draws(3)[1].reshape(steps, 96 // steps, -1)
    rng.rows = list(rows.sum(axis=1) * np.sqrt(steps / 96))  # of unit variance again

    z = sample(widened(300).eps, levels, paths[0][:, None], partial(ddim_step, eta=eta), rng)
    np.testing.assert_allclose(paths[-1], z[:, 0], atol=1e-9)


def exact_end(start, top, width):
    """Where the flow takes ``start`` by the share of mass below it, which it keeps; in z/α."""
    points, scale = galaxies()[:, 0], velocity_scale()

    def below(z, level):
        a, s = alpha(level), sigma(level)
        spread = np.hypot(a * width / scale, s)
        return ndtr(np.subtract.outer(z, a * points) / spread).mean(axis=1)

    fine = np.linspace(-4, 4, 40_001)
    return np.interp(below(start, LOG_SNR_MIN), below(fine, top), fine) / alpha(top)


def test_the_flow_goes_where_the_shares_of_mass_say_and_faster_with_more_steps():
    errors = []
    for steps in (24, 48, 96):
        _, _, _, paths = compute(steps=steps, width=600)
        reached, exact = paths[-1] / alpha(10.0), exact_end(paths[0], 10.0, 600)
        errors.append(np.median(np.abs(reached - exact)))
    assert errors[-1] < 0.01
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 2, rtol=0.15)


def test_floor_is_what_exact_draws_leave():
    x, density, floor, _ = reverse._truth(10.0, 300)
    law, scale = widened(300).diffuse(10.0), velocity_scale()

    def distance(a, b):
        return scale * wasserstein_to_density(a / alpha(10.0), density, x)

    measured = noise_floor(
        law.sample, reverse.N_PARTICLES, np.random.default_rng(1), repeats=400, distance=distance
    )
    assert abs(floor - measured.mean) < 4 * measured.spread / np.sqrt(measured.repeats)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_many_steps_reach_the_floor_and_few_do_not(eta):
    runs = [compute(eta=eta, seed=seed)[0] for seed in range(31)]
    mean = np.mean([run["distance"] for run in runs])
    spread = np.std([run["distance"] for run in runs]) / np.sqrt(31)
    # 96 steps leave some 60 km/s of their own
    assert runs[0]["floor"] - 4 * spread < mean < runs[0]["floor"] + 60 + 4 * spread
    assert compute(eta=eta, steps=4)[0]["distance"] > 3 * runs[0]["floor"]


def test_with_few_steps_noise_costs_more():
    for steps in (3, 4, 6, 8, 12):
        ddim, ancestral = (
            np.mean([compute(eta=eta, steps=steps, seed=s)[0]["distance"] for s in range(8)])
            for eta in (0.0, 1.0)
        )
        assert ancestral > 1.1 * ddim, steps


def test_stopping_early_leaves_a_blur_and_no_error():
    results, samples, _, paths = compute(log_snr_max=0.0, width=0)
    assert results["distance"] < 2 * results["floor"]
    assert results["blur"] == pytest.approx(velocity_scale())
    in_units = (samples - galaxy_velocities().mean()) / velocity_scale()
    np.testing.assert_allclose(in_units, paths[-1] * np.sqrt(2), atol=1e-9)


def test_one_seed_means_one_picture():
    first = compute(eta=1.0, seed=5)[1]
    reverse._draws.cache_clear()
    np.testing.assert_array_equal(first, compute(eta=1.0, seed=5)[1])


def test_a_wrong_score_is_seen(monkeypatch):
    right = compute(eta=1.0)[0]
    monkeypatch.setattr(reverse, "ideal_eps", lambda *a, f=reverse.ideal_eps: 0.8 * f(*a))
    assert compute(eta=1.0)[0]["distance"] > right["distance"] + 2 * right["floor"]


def test_width_zero_returns_the_data_and_a_width_does_not():
    near = [compute(width=0, log_snr_max=top)[0]["nearest"] for top in (4.0, 8.0, 12.0)]
    assert near[0] > near[1] > near[2] and near[2] < 10
    assert compute(width=300, log_snr_max=12.0)[0]["nearest"] > 30


@pytest.mark.parametrize(("top", "width"), [(12.0, 0), (10.0, 300), (4.0, 0)])
def test_distance_to_the_nearest_galaxy_of_the_exact_law(top, width):
    x = widened(width).diffuse(top).sample(40_000, np.random.default_rng(2)) / alpha(top)
    brute = velocity_scale() * np.abs(x - galaxies().T).min(axis=1)
    np.testing.assert_allclose(reverse.distance_to_nearest(x[:, 0]), brute, atol=1e-9)
    assert reverse._truth(top, width)[3] == pytest.approx(np.median(brute), rel=0.04)


@pytest.mark.parametrize(("top", "width"), [(12.0, 0), (10.0, 300), (0.0, 1500)])
def test_the_law_drawn_is_the_mixtures(top, width):
    x, density, _, _ = reverse._truth(top, width)
    exact = alpha(top) * np.exp(widened(width).diffuse(top).log_prob(alpha(top) * x[:, None]))
    np.testing.assert_allclose(density, exact, rtol=1e-9, atol=1e-12)
    assert np.trapezoid(density, x) == pytest.approx(1, abs=1e-6)
    shares = reverse._shares(top, width) * np.diff(reverse.EDGES)
    velocities = (velocity_scale() * x + galaxy_velocities().mean()) / 1000
    below = np.interp(reverse.EDGES, velocities, np.cumsum(density) / density.sum())
    np.testing.assert_allclose(shares, np.diff(below), atol=2e-3)


def test_a_movement_changes_only_what_it_changes():
    base = compute(eta=0.5)
    np.testing.assert_array_equal(base[3][0], compute(eta=1.0, steps=6, width=0)[3][0])
    moved = compute(eta=0.55)
    typical = np.median(np.abs(moved[1] - base[1]))
    other = np.median(np.abs(compute(eta=0.5, seed=1)[1] - base[1]))
    assert 0 < typical < other / 5
    fine, coarse = compute(eta=1.0, steps=96)[1], compute(eta=1.0, steps=48)[1]
    assert np.median(np.abs(fine - coarse)) < other / 3  # one Brownian path at two resolutions


def test_picture_and_words(shown):
    picture = reverse.picture(steps=6, eta=1.0)
    assert picture.size == (1880, 840)
    assert "W1 to the exact law" in shown.text() and "noise floor" in shown.text()
    assert not np.array_equal(np.asarray(picture), np.asarray(shown.picture))
