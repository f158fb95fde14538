"""The linear denoiser: what is a theorem (T9), what is not, and that it really retrains."""

from dataclasses import replace

import numpy as np
import pytest
from comparing import assert_close, refuses
from scipy.optimize import minimize

from course_utils.datasets import planar_law
from course_utils.linear_model import Draws, FourierFeatures, LinearDenoiser
from course_utils.objectives import PUBLISHED
from course_utils.weightings import bent, sigmoid

LEVELS = np.linspace(-8, 8, 17)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def data():
    return planar_law("two_moons").sample(2000, rng(1))


@pytest.fixture(scope="module")
def small(data):
    return LinearDenoiser.precompute(data, 24, rng=rng(), log_snr=LEVELS, n_draws=300)


@pytest.fixture(scope="module")
def full(data):
    return LinearDenoiser.precompute(data, 128, rng=rng())


def flat(log_snr):
    return np.ones_like(log_snr)


def many_weightings(n):
    """All published ones, then random ones over eight powers of ten."""
    yield from (objective.implied_weighting() for objective in PUBLISHED.values())
    generator, knots = rng(7), np.linspace(-10, 10, 9)
    for _ in range(n):
        yield bent(sigmoid(generator.uniform(-4, 4)), knots, generator.uniform(-4, 4, 9))


def test_features_are_cosines_and_nested():
    few = FourierFeatures.draw(5, 2, rng())
    many = FourierFeatures.draw(50, 2, rng())
    z = rng(2).normal(size=(7, 2))
    expected = np.cos(z @ few.of_z.astype(float) - 1.5 * few.of_level + few.phase)
    assert few(z, -1.5).dtype == np.float32
    assert_close(few(z, -1.5), expected, atol=2e-5)
    assert_close(few(z, np.full((7, 1), -1.5)), few(z, -1.5), atol=0)
    for part in ("of_z", "of_level", "phase"):
        np.testing.assert_array_equal(getattr(few, part), getattr(many, part)[..., :5])


def weighted_loss(denoiser):
    """½ ∫ w e dλ + ρ‖Θ‖² on the training draws."""
    penalty = denoiser.ridge * np.sum(denoiser.theta**2)
    return float(denoiser.model.cells @ (denoiser.weights * denoiser.eps_mse) / 2 + penalty)


@pytest.mark.parametrize("w", [flat, sigmoid(-2), PUBLISHED["edm"].implied_weighting()])
def test_errors_are_those_of_the_denoiser_on_the_draws(small, data, w):
    """From A, b, c, and from eps itself."""
    denoiser, generator = small.retrain(w), rng()
    FourierFeatures.draw(24, 2, generator)  # the very draws of ``precompute``: the features first
    draws = small.draws(data, 300, generator)
    by_hand = [
        np.mean(np.sum((noise - denoiser.eps(z, level)) ** 2, axis=1))
        for z, level, noise in zip(draws.z, LEVELS, draws.noise, strict=True)
    ]
    assert_close(denoiser.eps_mse, by_hand, rtol=1e-5)
    assert_close(draws.eps_mse(denoiser.eps), by_hand, rtol=1e-12)
    assert abs(denoiser.elbo_loss - np.trapezoid(by_hand, LEVELS) / 2) < 1e-4
    assert abs(denoiser.elbo_loss_on(draws) - np.trapezoid(by_hand, LEVELS) / 2) < 1e-4
    normalised = w(LEVELS) / np.trapezoid(w(LEVELS), LEVELS) * 16
    weighted = np.trapezoid(normalised * by_hand, LEVELS) / 2
    weighted += denoiser.ridge * np.sum(denoiser.theta**2)
    assert abs(weighted_loss(denoiser) - weighted) < 1e-4


def test_the_solve_is_the_minimum_that_a_general_optimiser_finds(small):
    """scipy's BFGS on the weighted loss, which knows no normal equations."""
    denoiser = small.retrain(sigmoid(0), ridge=0.1)
    shape = denoiser.theta.shape

    def loss(flat_theta):
        return weighted_loss(replace(denoiser, theta=flat_theta.reshape(shape)))

    found = minimize(loss, np.zeros(shape).ravel(), method="L-BFGS-B", options={"maxfun": 10**5})
    assert loss(denoiser.theta.ravel()) <= found.fun
    assert found.fun < weighted_loss(denoiser) + 1e-4


@pytest.mark.parametrize("ridge", [1e-6, 1e-4, 1e-2, 1.0])
def test_w_one_is_best_on_the_draws_it_was_trained_on(full, claim, ridge):
    best = full.retrain(flat, ridge)
    found = [full.retrain(w, ridge).objective - best.objective for w in many_weightings(40)]
    assert len(found) == 55 and max(found) > 1e-2
    # ELBO and NCSN++ are w ≡ 1 themselves, up to rounding; none is below
    claim("T9", "w ≡ 1 least on its draws, ridge included, 55 w", max(0, -min(found)), 1e-9)


def test_scale_of_w_does_not_count_but_the_ridge_does(small):
    one, thousand = (small.retrain(lambda s, c=c: c * sigmoid(0)(s)) for c in (1.0, 1000.0))
    assert_close(one.theta, thousand.theta, rtol=1e-9)
    assert_close(one.weights @ small.cells, 16.0, atol=1e-12)
    assert np.linalg.norm(small.retrain(flat, 10.0).theta) < np.linalg.norm(one.theta)


def test_a_loss_is_over_the_levels_of_its_draws(small, data):
    denoiser, levels = small.retrain(flat), LEVELS / 2
    draws = Draws.of(data, levels, 50, rng())
    expected = np.trapezoid(draws.eps_mse(denoiser.eps), levels) / 2
    assert denoiser.elbo_loss_on(draws) == pytest.approx(expected, rel=1e-12)


def test_condition_number(small):
    denoiser = small.retrain(flat, 1e-3)
    matrix = np.trapezoid(denoiser.weights * small.gram.T, LEVELS) / 2 + 1e-3 * np.eye(24)
    exact = np.linalg.cond(matrix, 1)
    assert exact / 3 < denoiser.condition < exact * 1.0001  # LAPACK estimates from below
    assert small.retrain(flat, 1.0).condition < denoiser.condition


def test_data_are_copied_and_gaps_refused(data):
    x = data.copy()
    built = LinearDenoiser.precompute(x, 8, rng=rng(), n_draws=20)
    draws = built.draws(x, 5, rng(1))
    before = draws.x.copy()
    x *= 10
    np.testing.assert_array_equal(draws.x, before)
    denoiser = built.retrain(flat)
    arrays = built.gram, built.features.of_z, built.cells, draws.x, denoiser.theta
    for array in (*arrays, denoiser.weights):
        with pytest.raises(ValueError, match="read-only"):
            array *= 2
    refuses("masked", LinearDenoiser.precompute, np.ma.masked_greater(data, 1), 8, rng=rng())


def test_what_cannot_be_learnt_from_is_refused(small, data):
    refuses("zero at all 17 levels", small.retrain, lambda s: 0 * s)
    refuses(
        "increasing levels", LinearDenoiser.precompute, data, 8, rng=rng(), log_snr=LEVELS[::-1]
    )
    refuses("do not fit z", small.retrain(flat).eps, data[:4], np.zeros(4))
    refuses("shape of z", small.draws(data, 5, rng()).eps_mse, lambda z, s: z[:, 0])
