"""Forward processes against closed forms.

The posterior is in test_claims.py, T7; how fast the recursions approach S2 is in
panels/test_sde_limit.py.
"""

import numpy as np
import pytest
from comparing import refused, standard_errors_off

from course_utils import forward
from course_utils.schedules import LinearBeta, alpha, sigma


def test_noised_data_have_the_amplitudes_of_their_level():
    x, level = np.full((20_000, 1), -0.7), np.repeat([1.0, -0.5], 10_000)[:, None]
    z = forward.noised(x, level, np.random.default_rng(5))
    for part, s in zip(np.split(z[:, 0], 2), (1.0, -0.5), strict=True):
        assert standard_errors_off(part.mean(), sigma(s) / 100, -0.7 * alpha(s)) < 6
        assert standard_errors_off(part.var(), 0.0142 * sigma(s) ** 2, sigma(s) ** 2) < 6
    assert forward.transition(2.0, 2.0) == (1, 0)


def test_with_multiplicative_noise_the_strong_order_is_one_half():
    """Order one of additive noise, path by path, is in panels/test_sde_limit.py."""
    n_steps = [256, 512, 1024]
    dw = np.random.default_rng(6).standard_normal((2**14, 1000)) / 2**7
    truth = forward.geometric_brownian_motion(1, 0.5, 1, dw, 2.0**-14)
    rms = []
    for n in n_steps:
        coarse, step = forward.coarsen(dw, 2**14 // n), 1 / n
        end = forward.euler_maruyama(
            np.ones(1000), lambda x, t: x / 2, lambda x, t: x, coarse, step
        )
        rms.append(np.sqrt(np.mean((end - truth) ** 2)))
    assert -np.polyfit(np.log(n_steps), np.log(rms), 1)[0] == pytest.approx(0.5, abs=0.1)
    summed = forward.euler_maruyama(
        np.zeros(1), lambda x, t: t, lambda x, t: x, np.zeros((4, 1)), 0.25
    )
    assert summed == (0 + 0.25 + 0.5 + 0.75) / 4  # t is that of a step's beginning


ZERO = np.zeros((4, 1))


test_a_wrong_direction_and_one_level_a_column_are_refused = refused(
    (lambda: forward.chain_steps([0.1, 1.2]), "strictly between 0 and 1, got β = 1.2"),
    (lambda: forward.transition(-1.0, 1.0), "falls towards the noise"),
    (lambda: forward.exact_steps(np.array([-1.0, 0.0, 1.0])), r"turned round by \[::-1\]"),
    (lambda: forward.posterior(ZERO, ZERO, 1.0, 0.0), "falls towards the noise"),
    (lambda: forward.noised(np.eye(4), np.zeros(4), None), r"\[batch, 1\]"),
    (lambda: forward.posterior(np.eye(4), np.eye(4), np.zeros(4), 1.0), r"\[batch, 1\]"),
    (lambda: forward.posterior(ZERO, ZERO[:, 0], 0.0, 1.0), r"values of shape \(4,\)"),
    (lambda: forward.error_constants(LinearBeta(), "EM", "mid", 1.0, 0.5), "did you mean 'em'"),
    (lambda: forward.error_constants(LinearBeta(), "em", "middle", 1.0, 0.5), "mean 'mid'"),
)
