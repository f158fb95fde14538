"""Forward processes against closed forms, Bayes and quadrature.

How fast the recursions approach S2 is in panels/test_sde_limit.py.
"""

import numpy as np
import pytest
from comparing import refused, standard_errors_off

from course_utils import forward
from course_utils.schedules import LinearBeta, alpha, sigma

LINEAR = LinearBeta()


def fitted_order(n_steps, errors):
    return -np.polyfit(np.log(n_steps), np.log(errors), 1)[0]


def test_noised_data_have_the_amplitudes_of_their_level():
    x, level = np.full((20_000, 1), -0.7), np.repeat([1.0, -0.5], 10_000)[:, None]
    z = forward.noised(x, level, np.random.default_rng(5))
    for part, s in zip(np.split(z[:, 0], 2), (1.0, -0.5), strict=True):
        assert standard_errors_off(part.mean(), sigma(s) / 100, -0.7 * alpha(s)) < 6
        assert standard_errors_off(part.var(), 0.0142 * sigma(s) ** 2, sigma(s) ** 2) < 6
    assert forward.transition(2.0, 2.0) == (1, 0)


BROWNIAN = {  # drift, diffusion and the strong order of Euler–Maruyama
    "S2, additive": (
        lambda x, t: -0.5 * (0.1 + 19.9 * t) * x,
        lambda x, t: np.sqrt(0.1 + 19.9 * t),
        1.0,
    ),
    "geometric, multiplicative": (lambda x, t: 0.5 * x, lambda x, t: x, 0.5),
}


@pytest.mark.parametrize("name", BROWNIAN)
def test_strong_order(name):
    drift, diffusion, order = BROWNIAN[name]
    n_steps, particles = [256, 512, 1024], 1000
    dw = np.random.default_rng(6).standard_normal((2**14, particles)) / 2**7

    def end(increments):
        x0 = np.ones(particles)
        return forward.euler_maruyama(x0, drift, diffusion, increments, 1 / len(increments))

    truth = end(dw) if order == 1 else forward.geometric_brownian_motion(1, 0.5, 1, dw, 2.0**-14)
    ends = [end(forward.coarsen(dw, 2**14 // n)) - truth for n in n_steps]
    rms = [np.sqrt(np.mean(e**2)) for e in ends]
    assert fitted_order(n_steps, rms) == pytest.approx(order, abs=0.1)


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
