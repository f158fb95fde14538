"""Forward processes against closed forms, Bayes and quadrature.

How fast the recursions approach S2 is in panels/test_sde_limit.py.
"""

import numpy as np
import pytest
from comparing import refused, standard_errors_off

from course_utils import forward
from course_utils.schedules import Cosine, LinearBeta, alpha, discrete_betas, sigma

LINEAR = LinearBeta()


def fitted_order(n_steps, errors):
    return -np.polyfit(np.log(n_steps), np.log(errors), 1)[0]


@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_the_exact_rule_and_exact_steps_have_no_error(n):
    schedule = Cosine(log_snr_min=-8.0)
    grid = schedule.log_snr(np.arange(n + 1) / n)
    for steps in (forward.exact_steps(grid), forward.chain_steps(discrete_betas(schedule, n))):
        mean, variance = forward.state_moments(1.5, steps)
        assert mean[1:] == pytest.approx(1.5 * alpha(grid[1:]), rel=1e-13)
        assert variance[1:] == pytest.approx(sigma(grid[1:]) ** 2, rel=1e-13)


def test_noised_data_have_the_amplitudes_of_their_level():
    x, level = np.full((20_000, 1), -0.7), np.repeat([1.0, -0.5], 10_000)[:, None]
    z = forward.noised(x, level, np.random.default_rng(5))
    for part, s in zip(np.split(z[:, 0], 2), (1.0, -0.5), strict=True):
        assert standard_errors_off(part.mean(), sigma(s) / 100, -0.7 * alpha(s)) < 6
        assert standard_errors_off(part.var(), 0.0142 * sigma(s) ** 2, sigma(s) ** 2) < 6
    assert forward.transition(2.0, 2.0) == (1, 0)


def test_strong_order_one_for_the_additive_noise_of_s2():
    fine, particles = 2**15, 150
    dw = np.random.default_rng(6).standard_normal((fine, particles)) / np.sqrt(fine)

    def end(increments):
        return forward.euler_maruyama(
            np.full(particles, 1.5),
            lambda x, t: -0.5 * (0.1 + 19.9 * t) * x,
            lambda x, t: np.sqrt(0.1 + 19.9 * t),
            increments,
            1 / len(increments),
        )

    truth = end(dw)
    n_steps = [256, 512, 1024]
    paths = [end(forward.coarsen(dw, fine // n)) - truth for n in n_steps]
    rms = [np.sqrt(np.mean(e**2)) for e in paths]
    assert fitted_order(n_steps, rms) == pytest.approx(1, abs=0.1)


def test_strong_order_half_for_the_multiplicative_contrast():
    fine, particles, rate, volatility = 2**12, 4000, 0.5, 1.0
    dw = np.random.default_rng(7).standard_normal((fine, particles)) / np.sqrt(fine)
    x0 = np.ones(particles)
    truth = forward.geometric_brownian_motion(x0, rate, volatility, dw, 1 / fine)
    n_steps = [64, 128, 256, 512, 1024]
    rms = []
    for n in n_steps:
        end = forward.euler_maruyama(
            x0,
            lambda x, t: rate * x,
            lambda x, t: volatility * x,
            forward.coarsen(dw, fine // n),
            1 / n,
        )
        rms.append(np.sqrt(np.mean((end - truth) ** 2)))
    assert fitted_order(n_steps, rms) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(("noisy", "clean"), [(-2.0, -1.0), (0.3, 0.5), (-6.0, 3.0)])
def test_the_posterior_against_bayes_by_quadrature(noisy, clean):
    x, z_noisy = 0.8, -0.4
    centre, width = alpha(clean) * x, sigma(clean)
    z = np.linspace(centre - 12 * width, centre + 12 * width, 20_001)
    decay = alpha(noisy) / alpha(clean)
    noise = np.sqrt(sigma(noisy) ** 2 - decay**2 * sigma(clean) ** 2)
    log_joint = -((z - centre) ** 2) / (2 * width**2) - (z_noisy - decay * z) ** 2 / (2 * noise**2)
    weight = np.exp(log_joint - log_joint.max())
    weight /= weight.sum()
    mean = np.sum(weight * z)
    found, variance = forward.posterior(np.array([z_noisy]), np.array([x]), noisy, clean)
    assert found == pytest.approx(mean, abs=1e-10)
    assert variance == pytest.approx(np.sum(weight * (z - mean) ** 2), rel=1e-9)
    assert abs(variance - noise**2) > 1e-3  # β_t, the posterior variance's usual impostor


ZERO = np.zeros((4, 1))


test_a_wrong_direction_and_one_level_a_column_are_refused = refused(
    (lambda: forward.chain_steps([0.1, 1.2]), "strictly between 0 and 1, got β = 1.2"),
    (lambda: forward.transition(-1.0, 1.0), "falls towards the noise"),
    (lambda: forward.exact_steps(np.array([-1.0, 0.0, 1.0])), r"turned round by \[::-1\]"),
    (lambda: forward.posterior(ZERO, ZERO, 1.0, 0.0), "falls towards the noise"),
    (lambda: forward.noised(np.eye(4), np.zeros(4), None), r"\[batch, 1\]"),
    (lambda: forward.posterior(np.eye(4), np.eye(4), np.zeros(4), 1.0), r"\[batch, 1\]"),
)
