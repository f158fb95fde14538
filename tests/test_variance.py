"""The variance of one draw of the loss, by quadrature, against section 7 of the facts and draws."""

import numpy as np
import pytest

from course_utils.datasets import galaxies
from course_utils.elbo import ErrorCurve, loss_draws, weighted_loss
from course_utils.mixtures import GaussianMixture
from course_utils.schedules import Cosine, FlowMatching, LinearLogSnr, alpha, sigma
from course_utils.variance import (
    DensitySchedule,
    ErrorMoments,
    adaptive_schedule,
    draw_variance,
    optimal_schedule,
)

HILLS = GaussianMixture([0.35, 0.65], [[-1.2], [0.8]], [0.25**2, 0.4**2])
WRONG = GaussianMixture([0.5, 0.5], [[-0.8], [1.1]], [0.5, 0.3])
RANGE = {"log_snr_min": -10, "log_snr_max": 10}


def flat(log_snr):
    return np.ones_like(log_snr)


@pytest.fixture(scope="module")
def moments():
    return {
        "hills": ErrorMoments.from_mixtures(HILLS),
        "galaxies": ErrorMoments.from_mixtures(GaussianMixture.from_data(galaxies())),
    }


FACTS = {
    "hills": {"cosine": 649.9, "straight": 428.3, "uniform": 101.9, "adaptive": 47.6, "best": 46.9},
    "galaxies": {"cosine": 535, "straight": 357, "uniform": 100.6, "adaptive": 53.6, "best": 52.2},
}


@pytest.mark.parametrize("data", FACTS)
def test_variances_of_one_draw(data, moments):
    of = moments[data]
    schedules = {
        "cosine": Cosine(**RANGE),
        "straight": FlowMatching(**RANGE),
        "uniform": LinearLogSnr(),
        "adaptive": adaptive_schedule(flat, of),
        "best": optimal_schedule(flat, of),
    }
    for name, schedule in schedules.items():
        assert draw_variance(flat, of, schedule) == pytest.approx(FACTS[data][name], rel=2e-3)


@pytest.mark.parametrize("model", [None, WRONG])
def test_moments_by_simulation(model):
    level, n, rng = 0.5, 200_000, np.random.default_rng(1)
    eps = (model or HILLS).eps
    noise = rng.standard_normal((n, 1))
    z = alpha(level) * HILLS.sample(n, rng) + sigma(level) * noise
    squared = (noise - eps(z, level))[:, 0] ** 2
    exact = ErrorMoments.from_mixtures(HILLS, model, log_snr=np.linspace(-2, 3, 11)).at(level)
    for power, value in zip((1, 2), exact, strict=True):
        draws = squared**power
        assert abs(draws.mean() - value) < 4 * draws.std() / np.sqrt(n)


def test_the_first_moment_is_the_error_curve(moments):
    curve = ErrorCurve.from_mixtures(HILLS)
    np.testing.assert_allclose(moments["hills"].mean, curve.noise_error, rtol=1e-9)


def test_no_density_beats_the_optimal_one(moments):
    of, rng = moments["hills"], np.random.default_rng(0)
    best = optimal_schedule(flat, of)
    least = draw_variance(flat, of, best)
    levels = np.linspace(-10, 10, 4001)
    for _ in range(5):
        bend = np.exp(0.3 * rng.standard_normal() * np.sin(levels * rng.uniform(0.2, 2)))
        assert draw_variance(flat, of, DensitySchedule(levels, best.density(levels) * bend)) > least


def test_draws_have_the_value_and_the_variance_computed(moments):
    rng, n = np.random.default_rng(2), 100_000
    x, noise, t = HILLS.sample(n, rng), rng.standard_normal((n, 1)), rng.random(n)
    exact = weighted_loss(flat, ErrorCurve.from_mixtures(HILLS))
    for schedule in (LinearLogSnr(), optimal_schedule(flat, moments["hills"])):
        draws = loss_draws(flat, HILLS.eps, x, noise, t, schedule)
        variance = draw_variance(flat, moments["hills"], schedule)
        assert abs(draws.mean() - exact) < 4 * np.sqrt(variance / n)
        spread = ((draws - draws.mean()) ** 2).std() / np.sqrt(n)
        assert abs(draws.var() - variance) < 4 * spread


@pytest.mark.parametrize("named", [Cosine(**RANGE), FlowMatching(**RANGE)])
def test_a_schedule_from_a_density_is_that_schedule(named):
    levels = np.linspace(-10, 10, 20_001)
    made = DensitySchedule(levels, 7 * named.density(levels))
    t = np.linspace(0, 1, 33)
    np.testing.assert_allclose(made.log_snr(t), named.log_snr(t), atol=1e-4)
    np.testing.assert_allclose(made.density(levels[1:-1] + 5e-4), named.density(levels[1:-1]), 1e-2)
    assert made.density(10.5) == made.density(-10.5) == 0
