"""The chain panel: its numbers against simulation, quadrature and closed forms; its controls."""

import numpy as np
import pytest
from scipy.stats import norm

from course_utils.datasets import galaxies, km_per_s
from course_utils.distances import total_variation
from course_utils.mixtures import GaussianMixture
from course_utils.panels import chain
from course_utils.schedules import alpha_bar, ddpm_betas, log_snr_from_alpha_bar
from course_utils.widgets import still


def compute(schedule="ddpm", noise="root", n_steps=1000, time=0.25):
    return chain.compute(schedule, noise, n_steps, time)


def test_numbers_at_ddpm_against_the_closed_form():
    numbers, _ = compute()
    level = alpha_bar(ddpm_betas())[249]
    assert numbers["step"] == "t = 250 of 1000"
    assert numbers["alpha_bar"] == pytest.approx(level, rel=1e-12)
    assert numbers["log_snr"] == pytest.approx(log_snr_from_alpha_bar(level), rel=1e-10)
    assert numbers["blur"] == pytest.approx(km_per_s(log_snr_from_alpha_bar(level)), rel=1e-3)
    assert numbers["variance"] == pytest.approx(1, abs=1e-12)
    assert numbers["correlation"] == pytest.approx(np.sqrt(level), rel=1e-10)
    assert numbers["end"] == pytest.approx(4.0358e-5, rel=1e-4)


def test_the_bug_collapses_the_variance():
    """With β ε, v_t = (1 − β_t) v_{t−1} + β_t²; by brute force over 200,000 particles."""
    rng = np.random.default_rng(0)
    betas = chain.betas("ddpm", 100)
    x = rng.choice(galaxies()[:, 0], size=200_000)
    for beta in betas:
        x = np.sqrt(1 - beta) * x + beta * rng.standard_normal(x.size)
    numbers, _ = compute(noise="plain", n_steps=100, time=1.0)
    fourth = np.mean((x - x.mean()) ** 4)
    assert abs(numbers["variance"] - x.var()) < 4 * np.sqrt((fourth - x.var() ** 2) / x.size)
    assert numbers["variance"] < 0.4


@pytest.mark.parametrize("time", [0.02, 0.1, 0.3, 1.0])
def test_the_cut_and_its_total_variation_against_the_mixture(time):
    numbers, arrays = compute(time=time)
    x = np.linspace(-7, 7, 14001)
    law = GaussianMixture.from_data(galaxies()).diffuse(numbers["log_snr"])
    density = np.exp(law.log_prob(x[:, None]))
    exact = total_variation(density, norm.pdf(x), x)
    assert numbers["total_variation"] == pytest.approx(exact, abs=2e-4)
    if time > 0.1:  # the components are wider than the cells
        exact = np.exp(law.log_prob(chain.X[:, None]))
        assert np.abs(arrays["cut"] - exact).max() < 2e-3 * exact.max()
        shown = chain.dissolving("ddpm", "root", 1000)[0]
        column = np.abs(shown - arrays["t"]).argmin()
        assert shown[column] == arrays["t"]
        of_map = arrays["densities"][:, column]  # its cells are twice as wide
        assert np.abs(of_map - exact.reshape(-1, 2).mean(axis=1)).max() < 1e-2 * exact.max()


def test_in_the_still_the_curve_stands_below_the_map_step_by_step():
    panel = chain.panel()
    of_map, _, curve = still.figure(panel.scene, panel.arrays).axes
    assert curve.get_position().intervalx == pytest.approx(of_map.get_position().intervalx)
    assert curve.get_xlim() == of_map.get_xlim()
