"""The variance of a draw of the loss, by simulation, and the densities that lower it."""

from dataclasses import replace

import numpy as np
import pytest
from comparing import refuses
from scipy.stats import norm
from truths import HILLS

from course_utils.datasets import galaxies
from course_utils.elbo import ErrorCurve, loss_draws, weighted_loss
from course_utils.mixtures import GaussianMixture
from course_utils.schedules import Cosine, LinearBeta, LinearLogSnr
from course_utils.variance import (
    DensitySchedule,
    ErrorMoments,
    adaptive_schedule,
    draw_variance,
    least_variance,
    optimal_schedule,
)
from course_utils.weightings import sigmoid

GALAXIES = GaussianMixture.from_data(galaxies())
WRONG = GaussianMixture([0.5, 0.5], [[-0.8], [1.1]], [0.5, 0.3])
CASES = {"galaxies": (GALAXIES, GALAXIES), "hills": (HILLS, HILLS), "wrong": (HILLS, WRONG)}
RANGE = {"log_snr_min": -10, "log_snr_max": 10}
FLAT, LEVELS = np.ones_like, np.linspace(-10, 10, 4001)


@pytest.fixture(scope="module")
def moments():
    return {name: ErrorMoments.from_mixtures(*case) for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("w", [FLAT, sigmoid(2)], ids=["flat", "sigmoid"])
def test_no_density_beats_the_optimal_one(name, w, moments):
    of, rng, least = moments[name], np.random.default_rng(0), least_variance(w, moments[name])
    best = optimal_schedule(w, of)
    assert draw_variance(w, of, best) == pytest.approx(least, rel=1e-4)
    for _ in range(5):
        bend = np.exp(0.3 * rng.standard_normal() * np.sin(LEVELS * rng.uniform(0.2, 2)))
        bent = DensitySchedule(LEVELS, best.density(LEVELS) * bend)
        assert draw_variance(w, of, bent) > least


def test_draws_have_the_value_and_the_variance_computed(moments):
    rng, n = np.random.default_rng(2), 100_000
    x, noise, t = HILLS.sample(n, rng), rng.standard_normal((n, 1)), rng.random(n)
    exact = weighted_loss(FLAT, ErrorCurve.from_mixtures(HILLS))
    for kind in (lambda *_: LinearLogSnr(), adaptive_schedule, optimal_schedule):
        schedule = kind(FLAT, moments["hills"])
        draws = loss_draws(FLAT, HILLS.eps, x, noise, t, schedule)
        variance = draw_variance(FLAT, moments["hills"], schedule)
        assert abs(draws.mean() - exact) < 4 * np.sqrt(variance / n)
        spread = ((draws - draws.mean()) ** 2).std() / np.sqrt(n)
        assert abs(draws.var() - variance) < 4 * spread


@pytest.mark.parametrize("named", [Cosine(**RANGE), LinearBeta(**RANGE), LinearLogSnr()])
def test_a_schedule_from_a_density_is_that_schedule(named):
    levels, t = np.linspace(-10, 10, 20_001), np.linspace(0, 1, 33)
    made = DensitySchedule(levels, 7 * named.density(levels))
    np.testing.assert_allclose(made.log_snr(t), named.log_snr(t), atol=1e-4)
    np.testing.assert_allclose(made.time(levels), named.time(levels), atol=1e-6)
    np.testing.assert_allclose(made.density(levels[1:-1] + 5e-4), named.density(levels[1:-1]), 1e-2)
    for of in ("log_snr_rate", "beta"):
        np.testing.assert_allclose(getattr(made, of)(t), getattr(named, of)(t), rtol=1e-2)
    assert made.density(10.5) == made.density(-10.5) == 0 and np.isnan(made.time(10.5))
    cut, named = (replace(each, log_snr_min=-2.5, log_snr_max=3.5) for each in (made, named))
    for of in ("log_snr", "log_snr_rate", "beta"):
        np.testing.assert_allclose(getattr(cut, of)(t), getattr(named, of)(t), 1e-2, 1e-3)
    assert cut.density(-3.0) == cut.density(4.0) == 0
    assert len({cut, made, DensitySchedule(levels, levels + 11)}) == 3


def test_a_density_keeps_its_thin_tails():
    levels = np.linspace(-10, 10, 4001)
    made = DensitySchedule(levels, np.exp(-(levels**2) / 2))
    at = (levels[1:] + levels[:-1]) / 2
    np.testing.assert_allclose(made.density(at), norm.pdf(at), rtol=1e-3)


def test_a_density_that_loses_levels_is_refused():
    for heights in ([1.0, 0.0, 0.0], [1.0, -1.0, 3.0], [1.0, np.nan, 1.0], [1.0, 1.0]):
        refuses(r"finite and positive", DensitySchedule, [0.0, 1.0, 2.0], heights)


def test_an_error_curve_has_no_fourth_moment():
    curve = ErrorCurve.from_mixtures(HILLS)
    for of in (optimal_schedule, least_variance, lambda w, m: draw_variance(w, m, LinearLogSnr())):
        refuses(r"ErrorMoments.from_mixtures\(…\).* not ErrorCurve", of, FLAT, curve)
