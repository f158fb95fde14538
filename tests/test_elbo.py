"""Error curves, both sides of S5, the discrete ELBO, T6 to T8 and draws, against other truths.

Both sides of S5 for every objective are in test_claims.py.
"""

import inspect

import numpy as np
import pytest
from comparing import assert_close, refused
from jaxtyping import TypeCheckError
from scipy.stats import norm
from truths import HILLS

from course_utils import elbo
from course_utils.elbo import ErrorCurve
from course_utils.forward import posterior
from course_utils.mixtures import GaussianMixture
from course_utils.schedules import Cosine, FlowMatching, LinearLogSnr, alpha, sigma
from course_utils.weightings import sigmoid

WRONG = GaussianMixture([0.5, 0.5], [[-0.8], [1.1]], [0.5, 0.3])
BROAD = GaussianMixture([1.0], [[0.0]], [1.3])
CURVE = ErrorCurve.from_mixtures(HILLS, BROAD)
RANGE = {"log_snr_min": -10, "log_snr_max": 10}
SIX = np.arange(6.0)


def test_a_curve_keeps_copies_and_gives_read_only_arrays():
    levels, e, kl = SIX.copy(), SIX**2, SIX**3
    curve = ErrorCurve(levels, e, kl)
    for array in (levels, e, kl):
        array *= 2
    assert_close(curve.noise_error, SIX**2)
    assert_close(curve.at(SIX), [SIX**2, SIX**3], atol=1e-12)
    for array in (*curve.between(), curve.log_snr, curve.noise_error, curve.path_kl):
        with pytest.raises(ValueError, match="read-only"):
            array *= 2


def test_the_three_terms_for_straight_lines():
    """w = 3 − λ/4 and L = 5 + λ/2 over [−2, 4]: every term by hand."""
    levels = np.linspace(-3, 5, 9)
    curve = ErrorCurve(levels, 2 + levels / 10 + 1, 5 + levels / 2)
    terms = elbo.elbo_parts(lambda s: 3 - s / 4, curve, -2, 4)
    integral = (5 * 6 + (4**2 - 2**2) / 4) / 4  # ∫ −dw/dλ L dλ
    assert_close(terms, (integral, 2 * 7, -3.5 * 4), rtol=1e-12)
    assert_close(elbo.sum_of_elbos(lambda s: 3 - s / 4, curve, -2, 4), sum(terms), rtol=1e-12)
    loss = (3 * 3 * 6 + (0.3 - 0.75) * (4**2 - 2**2) / 2 - 0.025 * (4**3 + 2**3) / 3) / 2
    assert_close(elbo.weighted_loss(lambda s: 3 - s / 4, curve, -2, 4), loss, rtol=1e-8)


@pytest.mark.parametrize("width", [0.0, 0.3])
def test_two_dimensions_by_quadrature(width):
    """The points of a grid: e and L are the sums of those of both coordinates."""
    points = [np.array([-0.9, 1.1]), np.array([-0.4, 1.0])]
    both = np.stack(np.meshgrid(*points), axis=-1).reshape(-1, 2)
    levels = np.linspace(-6, 2, 33)
    (truth, model), *pairs = (
        (GaussianMixture.from_data(x), GaussianMixture.from_data(x, width)) for x in (both, *points)
    )
    plane = ErrorCurve.from_draws(truth, *elbo.every_noise(both), model=model, log_snr=levels)
    lines = [ErrorCurve.from_mixtures(*pair, log_snr=levels) for pair in pairs]
    assert_close(plane.noise_error, sum(c.noise_error for c in lines), atol=1e-9)
    assert_close(plane.path_kl, sum(c.path_kl for c in lines), atol=1e-9)
    for w in (np.ones_like, sigmoid(0)):
        loss, elbos = elbo.weighted_loss(w, plane), elbo.sum_of_elbos(w, plane)
        assert abs(loss - elbos) <= min(loss.bound + elbos.bound, 1e-5 * loss)


@pytest.mark.parametrize("model", [HILLS, WRONG])
def test_terms_sum_to_the_bound_on_all_latents_at_once(model):
    """E[log q(z_0, z_1, z_2|x) − log p(x, z_0, z_1, z_2)], q factored forward, by quadrature."""
    levels, x = np.array([3.0, 0.0, -3.0]), 0.6
    nodes, mass = np.polynomial.hermite_e.hermegauss(60)
    mass = mass / mass.sum()
    noise = np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij")).reshape(3, -1, 1)
    weight = np.einsum("i,j,k->ijk", mass, mass, mass).ravel()
    z, log_q, log_p = np.full((60**3, 1), x), 0.0, 0.0
    from_level = np.inf
    states = []
    for level, e in zip(levels, noise, strict=True):  # forward: q(z_0|x) q(z_1|z_0) q(z_2|z_1)
        decay = alpha(level) / (1.0 if np.isinf(from_level) else alpha(from_level))
        spread = sigma(level) * np.sqrt(-np.expm1(level - from_level))
        z = decay * z + spread * e
        log_q = log_q + norm.logpdf(e) - np.log(spread)
        states.append(z)
        from_level = level
    log_p = model.diffuse(levels[-1]).log_prob(states[-1])[:, None]
    for k in (2, 1):  # backward: p(z_2) p(z_1|z_2) p(z_0|z_1) p(x|z_0)
        guess = model.denoise(states[k], levels[k])
        mean, variance = posterior(states[k], guess, levels[k], levels[k - 1])
        log_p = log_p + norm.logpdf(states[k - 1], mean, np.sqrt(variance))
    log_p = log_p + norm.logpdf(x, states[0] / alpha(levels[0]), np.exp(-levels[0] / 2))
    bound = weight @ (log_q - log_p)[:, 0]
    terms = elbo.elbo_terms(levels, HILLS, model, x=x)
    assert terms.diffusion.shape == (2,)
    negative_elbo = terms.prior + terms.reconstruction + terms.diffusion.sum()
    assert negative_elbo == pytest.approx(bound, abs=1e-6)
    likelihood = -np.log(weight @ np.exp(log_p - log_q)[:, 0])  # the same model's −log p(x)
    assert negative_elbo > likelihood + 0.01


@pytest.mark.parametrize("schedule", [Cosine(**RANGE), FlowMatching(**RANGE), LinearLogSnr()])
def test_the_gap_has_order_one_with_its_constant_on_any_schedule(schedule):
    curve, scaled = ErrorCurve.from_mixtures(HILLS), []
    for n in (2000, 4000):
        levels = schedule.log_snr(np.arange(n + 1) / n)
        scaled.append(n * elbo.discretisation_gap(levels, curve))
    extrapolated = 2 * scaled[1] - scaled[0]
    assert extrapolated == pytest.approx(elbo.gap_constant(curve, schedule), rel=1e-3)


@pytest.mark.parametrize("truth", [GaussianMixture.from_data([0.8]), HILLS], ids=["x", "data"])
def test_path_kl_is_marginal_kl_and_the_excess(truth):
    def eps(z, level):  # off by 1 from λ = −2 to −1
        return HILLS.eps(z, level) + (-2 < level < -1)

    residuals = []
    for step, per_sd in [(0.1, 8), (0.05, 16)]:
        levels = np.arange(-8, 2 + step / 2, step)
        with np.errstate(all="raise"):
            kl = elbo.path_and_marginal_kl(truth, eps, levels, per_sd)
        residuals.append(np.abs(kl.path - kl.marginal - kl.excess).max())
        assert kl.excess[-1] > 0.2  # an excess worth explaining
    assert residuals[1] < 4e-4
    assert residuals[0] / residuals[1] == pytest.approx(4, abs=0.8)  # second order


def draws_of(x, noise):
    draws = inspect.unwrap(elbo.loss_draws)  # a reader's shapes are not checked by annotations
    return draws(np.ones_like, lambda z, s: 0 * z, x, noise, SIX / 10, LinearLogSnr())


test_the_doors_teach = refused(
    (lambda: ErrorCurve(SIX[::-1], SIX, SIX), "increasing levels"),
    (lambda: ErrorCurve.from_mixtures(GaussianMixture([1], [[0, 1]], [1])), "one dimension"),
    (lambda: CURVE.at([0, 10.1]), r"leave the tabulated range \[-10, 10\]"),
    (lambda: CURVE.between(3, 3), "log_snr_min < log_snr_max"),
    (lambda: elbo.elbo_terms(np.linspace(-10, 10, 9), HILLS), "falls towards the noise"),
    (lambda: elbo.elbo_terms(Cosine().log_snr(SIX / 5), HILLS), "finite range"),
    (lambda: ErrorCurve.from_mixtures(HILLS, log_snr=[*SIX, np.inf]), "all finite"),
    (lambda: elbo.weighted_loss(lambda s: -s, CURVE), "not negative"),
    (lambda: elbo.negative_log_likelihood(CURVE), "wider range"),
    # [n] − [n, 1] would broadcast to [n, n] and give some number
    (
        lambda: elbo.loss_draws(
            np.ones_like, lambda z, s: z[:, 0], *[SIX[:, None]] * 2, SIX / 10, LinearLogSnr()
        ),
        r"shape of z, \(6, 1\)",
    ),
    (lambda: draws_of(SIX, SIX[:, None]), r"levels of shape \(6, 1\) do not fit z of shape \(6,\)"),
    (lambda: draws_of(SIX[:, None], SIX), r"values of shape \(6,\) do not fit z"),
)


def test_annotated_shapes_are_checked_while_tests_run():
    with pytest.raises(TypeCheckError, match="'noise'"):
        ErrorCurve.from_draws(HILLS, SIX[:, None], SIX[:3, None])
