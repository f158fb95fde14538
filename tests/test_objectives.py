"""Error curves, the weighted loss and its estimate: honest numbers and honest errors.

Both sides of S5 and the other claims are in test_claims.py.
"""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from comparing import assert_close, standard_errors_off
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from course_utils.datasets import galaxies
from course_utils.elbo import (
    ErrorCurve,
    elbo_parts,
    elbo_terms,
    estimate_loss,
    gap_constant,
    negative_log_likelihood,
    path_and_marginal_kl,
    squared_errors,
    sum_of_elbos,
    weighted_loss,
)
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import PUBLISHED
from course_utils.schedules import Cosine, LinearLogSnr, alpha, sigma
from course_utils.weightings import sigmoid

TWO = GaussianMixture([0.35, 0.65], [[-1.2], [0.8]], [0.25**2, 0.4**2])
BROAD = GaussianMixture([1.0], [[0.0]], [1.3])
CURVE = ErrorCurve.from_mixtures(TWO, BROAD)


def quad_level(truth, model, log_snr):
    """(e, L) at one level by scipy.integrate.quad over z."""
    a, s = alpha(log_snr), sigma(log_snr)
    diffused = truth.diffuse(log_snr)

    def expectation(function):
        centres = np.sort(diffused.means[:, 0])
        widest = np.sqrt(diffused.variances.max())
        return quad(
            lambda z: np.exp(diffused.log_prob([[z]])[0]) * function(np.array([[z]])),
            centres[0] - 10 * widest,
            centres[-1] + 10 * widest,
            points=np.unique(np.concatenate([centres, centres - 3 * widest, centres + 3 * widest])),
            epsabs=1e-13,
            epsrel=1e-13,
            limit=500,
        )[0]

    error = expectation(
        lambda z: (
            (a / s) ** 2 * truth.posterior_variance(z, log_snr)[0]
            + (model.eps(z, log_snr) - truth.eps(z, log_snr))[0, 0] ** 2
        )
    )
    entropy = 0.5 * np.log(2 * np.pi * np.e * s**2)
    return error, -entropy - expectation(lambda z: model.diffuse(log_snr).log_prob(z)[0])


FEW = GaussianMixture.from_data(galaxies()[::16])


@pytest.mark.parametrize(
    ("truth", "model"),
    [(TWO, TWO), (TWO, BROAD), (FEW, FEW), (FEW, TWO)],
    ids=["right", "wrong", "points", "points, wrong"],
)
def test_the_quadrature_error_is_honest(truth, model):
    levels = np.array([-9.0, -4.0, -1.0, 1.0, 4.0, 7.0])
    curve = ErrorCurve.from_mixtures(truth, model, log_snr=levels)
    for level, e, kl in zip(levels, curve.noise_error, curve.path_kl, strict=True):
        error, path = quad_level(truth, model, level)
        assert abs(e - error) <= curve.quadrature_error + 1e-12
        assert abs(kl - path) <= curve.quadrature_error + 1e-12
    assert curve.quadrature_error < 1e-4


def test_closed_form_for_normal_data():
    """e = α² and, averaged over x, L = ½ log(1 + e^λ); for one x by the KL of two normals."""
    normal = GaussianMixture([1.0], [[0.0]], [1.0])
    levels = np.linspace(-30, 30, 61)
    curve = ErrorCurve.from_mixtures(normal, log_snr=levels)
    assert_close(curve.noise_error, alpha(levels) ** 2, atol=1e-12)
    assert_close(curve.path_kl, 0.5 * np.logaddexp(0, levels), atol=1e-12)
    x, a, s = 1.7, alpha(levels), sigma(levels)
    one = ErrorCurve.from_mixtures(normal, x=x, log_snr=levels)
    assert_close(one.path_kl, 0.5 * (s**2 - 1 - np.log(s**2) + (a * x) ** 2), atol=1e-10)
    # at λ = 30 a rounding of z is 1e-10 in ε
    assert_close(one.noise_error, (s * a * x) ** 2 + a**4, atol=1e-9)


def test_the_average_is_the_average_of_the_points():
    data = GaussianMixture.from_data(galaxies()[::20])
    levels = np.linspace(-8, 8, 9)
    whole = ErrorCurve.from_mixtures(data, TWO, log_snr=levels)
    each = [ErrorCurve.from_mixtures(data, TWO, x=x, log_snr=levels) for x in galaxies()[::20, 0]]
    assert_close(np.mean([c.noise_error for c in each], axis=0), whole.noise_error, rtol=1e-8)
    assert_close(np.mean([c.path_kl for c in each], axis=0), whole.path_kl, atol=1e-8)


def test_one_point_may_come_as_an_array():
    found = [ErrorCurve.from_mixtures(TWO, BROAD, x=x, log_snr=SIX) for x in (0.5, [0.5], [[0.5]])]
    for curve in found:
        np.testing.assert_array_equal(curve.noise_error, found[0].noise_error)


def test_the_splines_are_exact_enough_between_the_levels():
    offset = np.linspace(-9.93, 9.93, 41)
    exact = ErrorCurve.from_mixtures(TWO, BROAD, log_snr=offset)
    e, kl = CURVE.at(offset)
    assert_close(e, exact.noise_error, rtol=1e-7)
    assert_close(kl, exact.path_kl, atol=1e-7)


def test_loss_over_parts_of_the_range_adds_up():
    w = PUBLISHED["edm"].implied_weighting().normalised()
    parts = [weighted_loss(w, CURVE, *span) for span in [(-10, -3), (-3, 2), (2, 10)]]
    assert_close(sum(parts), weighted_loss(w, CURVE), rtol=1e-6)
    assert_close(sum(elbo_parts(w, CURVE, -3, 2)), sum_of_elbos(w, CURVE, -3, 2))
    assert_close(weighted_loss(w, CURVE, -10, 10), weighted_loss(w, CURVE))


def test_loss_against_scipy():
    w = sigmoid(1.0)
    truth = quad(lambda s: w(s) * CURVE.at(s)[0] / 2, -10, 10, epsabs=1e-11, limit=200)[0]
    assert_close(weighted_loss(w, CURVE), truth, rtol=1e-8)


@given(st.floats(0, 10), st.floats(0, 10))
def test_the_loss_is_linear_in_w(p, q):
    v, w = sigmoid(0), PUBLISHED["p2"].implied_weighting()
    for side in (weighted_loss, sum_of_elbos):
        mixed = side(lambda s: p * v(s) + q * w(s), CURVE)
        assert_close(mixed, p * side(v, CURVE) + q * side(w, CURVE), atol=1e-11)


# --- the estimate ------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [LinearLogSnr(), Cosine(log_snr_min=-10, log_snr_max=10)])
def test_the_estimate_is_unbiased_and_its_error_is_right(schedule):
    """400 estimates: their mean is the loss, and their scatter what each said of itself."""
    x, rng = galaxies()[::4], np.random.default_rng(9)
    curve = ErrorCurve.from_mixtures(GaussianMixture.from_data(x), BROAD)
    runs = [estimate_loss(sigmoid(0), BROAD.eps, x, schedule, 500, rng) for _ in range(400)]
    values, errors = np.array(runs).T
    spread = values.std(ddof=1)
    exact = weighted_loss(sigmoid(0), curve)
    assert standard_errors_off(values.mean(), spread / 20, exact) < 6
    assert 0.8 < np.sqrt(np.mean(errors**2)) / spread < 1.25


def test_the_estimate_sees_several_dimensions():
    x, rng = np.zeros((1, 3)), np.random.default_rng(0)
    zero = lambda z, log_snr: 0 * z  # noqa: E731
    estimate, error = estimate_loss(np.ones_like, zero, x, LinearLogSnr(), 20_000, rng)
    assert standard_errors_off(estimate, error, 0.5 * 20 * 3) < 6  # E‖ε‖² = d


def test_the_estimate_repeats_with_its_generator():
    def run(seed):
        return estimate_loss(
            sigmoid(0), TWO.eps, galaxies(), LinearLogSnr(), 100, np.random.default_rng(seed)
        )

    assert run(1) == run(1) != run(2)


# --- the sum of ELBOs ---------------------------------------------------------------------------


def test_the_three_terms_for_straight_lines():
    """w = 3 − λ/4 and L = 5 + λ/2 over [−2, 4]: every term by hand."""
    levels = np.linspace(-3, 5, 9)
    curve = ErrorCurve(levels, 2 + levels / 10 + 1, 5 + levels / 2)
    terms = elbo_parts(lambda s: 3 - s / 4, curve, -2, 4)
    integral = (5 * 6 + (4**2 - 2**2) / 4) / 4  # ∫ −dw/dλ L dλ
    assert_close(terms, (integral, 2 * 7, -3.5 * 4), rtol=1e-12)
    assert_close(sum_of_elbos(lambda s: 3 - s / 4, curve, -2, 4), sum(terms), rtol=1e-12)
    loss = (3 * 3 * 6 + (0.3 - 0.75) * (4**2 - 2**2) / 2 - 0.025 * (4**3 + 2**3) / 3) / 2
    assert_close(weighted_loss(lambda s: 3 - s / 4, curve, -2, 4), loss, rtol=1e-8)


# --- likelihood --------------------------------------------------------------------------------


def test_likelihood_of_a_normal():
    levels = np.linspace(-20, 20, 321)
    for mean, variance, x in [(0.0, 1.0, 0.7), (0.5, 0.3, -1.0)]:
        model = GaussianMixture([1.0], [[mean]], [variance])
        curve = ErrorCurve.from_mixtures(model, x=x, log_snr=levels)
        truth = -norm.logpdf(x, mean, np.sqrt(variance))
        assert_close(negative_log_likelihood(curve), truth, atol=1e-6)


# --- bad input ---------------------------------------------------------------------------------

SIX = np.arange(6.0)
FINE = np.linspace(0, 5, 101)
RNG = np.random.default_rng(0)
POINTS = GaussianMixture.from_data([0.0, 1.0])


def test_a_curve_passes_on_polynomials_of_degree_five_and_cannot_be_changed():
    levels, between = np.arange(8.0), np.array([0.5, 2.25, 6.9])

    def quintic(s):
        return 30 + (s - 3) ** 5 / 100 + s**2

    curve = ErrorCurve(levels, quintic(levels), -quintic(levels))
    error, kl = curve.at(between)
    assert_close(error, quintic(between), rtol=1e-13)
    assert_close(kl, -quintic(between), rtol=1e-13)
    with pytest.raises(FrozenInstanceError):
        curve.path_kl = levels


def test_path_and_marginal_of_wide_data_under_the_standard_normal():
    """ε̂ = σ z belongs to N(0, 1), which it keeps; the data have the variance 9 α² + σ²."""
    wide = GaussianMixture([1.0], [[0.0]], [9.0])
    levels = np.concatenate([[-4.0], np.arange(-2.0, 1.01, 0.02)])
    variance = 1 + 8 * alpha(levels) ** 2
    exact = (variance - 1 - np.log(variance)) / 2
    apart = []
    for per_sd in (8, 16):
        found = path_and_marginal_kl(wide, lambda z, log_snr: sigma(log_snr) * z, levels, per_sd)
        assert_close(found.marginal[0], exact[0], rtol=1e-9)  # the grid's p is N(0, 1) itself
        assert found.path[0] == found.marginal[0]
        apart.append(np.abs(found.marginal - exact).max())
    assert apart[1] < 4e-3 and 3.5 < apart[0] / apart[1] < 4.5  # second order in the grid's step
    assert_close(found.excess, 0.0, atol=4e-3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ErrorCurve([0, 1], [0, 1], [0, 1]), "at least 6 levels"),
        (lambda: ErrorCurve(SIX, SIX, SIX[:5]), r"got shapes .*\(5,\)"),
        (lambda: ErrorCurve(SIX[::-1], SIX, SIX), "must increase"),
        (lambda: ErrorCurve(SIX, SIX * np.nan, SIX), "noise_error must be finite"),
        (lambda: ErrorCurve(SIX, -SIX, SIX), "not negative, got -5"),
        (lambda: ErrorCurve(SIX, [1, 1, 1, 1, 1, -1e-9], SIX), "not negative, got -1e-09"),
        (lambda: ErrorCurve(SIX, SIX, SIX, -1e-9), "at least 0, got -1e-09"),
        (lambda: ErrorCurve(SIX, SIX, SIX, [0.1]), "quadrature_error must be a number"),
        (lambda: ErrorCurve([0, 1, 2, 2, 3, 4], SIX, SIX), "must increase"),
        (lambda: ErrorCurve(list("abcdef"), SIX, SIX), "real numbers"),
        (
            lambda: ErrorCurve.from_mixtures(GaussianMixture([1], [[0.0, 1.0]], [1])),
            "one dimension, got d = 2",
        ),
        (lambda: ErrorCurve.from_mixtures(TWO, x=np.nan), "x must be finite, got nan"),
        (lambda: ErrorCurve.from_mixtures(TWO, x=[1.0, 2.0]), "x must be one finite number"),
        (lambda: ErrorCurve.from_mixtures(TWO, x=[]), "x must be one finite number"),
        (lambda: ErrorCurve.from_mixtures(TWO, x="a"), "real numbers"),
        (lambda: gap_constant(CURVE, Cosine()), "must have a finite range of levels"),
        (lambda: elbo_terms([[3, 1], [2, 0]], TWO), "list of at least two finite levels"),
        (lambda: ErrorCurve.from_mixtures(TWO, log_snr=5.0), "at least 6 levels"),
        (lambda: ErrorCurve.from_mixtures(TWO, log_snr=[*SIX, np.nan]), "log_snr must be finite"),
        (lambda: CURVE.at(10.1), r"leave the tabulated range \[-10, 10\]"),
        (lambda: CURVE.at(np.nan), "log_snr must be finite, got nan"),
        (lambda: CURVE.between(-11, 3), "leave the tabulated range"),
        (lambda: CURVE.between(3, 3), "log_snr_min < log_snr_max, got 3 and 3"),
        (lambda: weighted_loss(sigmoid(0), CURVE, np.nan, 3), "log_snr_min must be one finite"),
        (lambda: weighted_loss(lambda s: -1 + 0 * s, CURVE), "finite and not negative"),
        (lambda: sum_of_elbos(lambda s: np.nan * s, CURVE), "finite and not negative"),
        (lambda: ErrorCurve.from_mixtures(TWO, log_snr=SIX[:5]), "at least 6 levels"),
        (lambda: ErrorCurve.from_mixtures(TWO, log_snr=[SIX, SIX]), "list of at least 6 levels"),
        (lambda: ErrorCurve.from_mixtures(TWO, log_snr=[0, 1, 2, 2, 3, 4]), "list of at least 6"),
        (
            lambda: ErrorCurve.from_mixtures(TWO, log_snr=np.arange(12.0).reshape(6, 2)),
            "list of at least 6 levels",
        ),
        (lambda: estimate(schedule=Cosine()), "must have a finite range of levels"),
        (lambda: negative_log_likelihood(CURVE), "wider range"),
        (
            lambda: negative_log_likelihood(
                ErrorCurve(FINE, alpha(FINE) ** 2 - FINE**5 / 1e5, FINE)
            ),
            r"at λ = 0 and 5 differ from a Gaussian's by 0\.0e\+00 and 3\.1e-02",
        ),
        (
            lambda: negative_log_likelihood(
                ErrorCurve(SIX, alpha(SIX) ** 2 + SIX / 20 - 0.25, SIX)
            ),
            "differ from a Gaussian's by 2.5e-01 and",
        ),
        (
            lambda: ErrorCurve.from_mixtures(POINTS, log_snr=np.linspace(50, 60, 6)),
            "cannot be resolved in float64",
        ),
        (lambda: path_and_marginal_kl(TWO, TWO.eps, [0.0]), "at least 2 levels"),
        (
            lambda: path_and_marginal_kl(GaussianMixture.from_data([0.8]), TWO.eps, [0.0, 40.0]),
            r"a grid of 19\.6 in steps of 1\.29e-10 is too long: end at a lower level than 40",
        ),
        (
            lambda: negative_log_likelihood(ErrorCurve.from_mixtures(POINTS, x=0.0)),
            "point masses has no density",
        ),
        *(
            (lambda x=x, noise=noise: squared_errors(TWO.eps, x, noise, SIX[:2]), "got shapes")
            for x, noise in [
                (SIX[:2], SIX[:2]),
                (SIX[:2, None], SIX[:3, None]),
                (SIX[:2, None], SIX[:1, None]),
                (SIX[:3, None], SIX[:3, None]),
                (SIX[:2, None, None], SIX[:2, None, None]),
            ]
        ),
        (lambda: estimate(x=[1.0, 2.0]), r"\[n, d\], got shape \(2,\)"),
        (lambda: estimate(x=np.zeros((0, 1))), r"\[n, d\], got shape \(0, 1\)"),
        (lambda: estimate(x=[[np.nan]]), "data must be finite, got nan"),
        (lambda: estimate(n=1), "at least 2, got 1"),
        (lambda: estimate(n=2.5), "whole number"),
        (lambda: estimate(rng=0), "numpy.random.Generator, got 0"),
        # [n] − [n, 1] would broadcast to [n, n] and give some number
        (lambda: estimate(eps=lambda z, s: z[:, 0]), r"shape of z, \(10, 1\), got \(10,\)"),
        (lambda: estimate(w=lambda s: -s), "not negative"),
    ],
)
def test_bad_input_says_what_came_in(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def estimate(w=sigmoid(0), eps=TWO.eps, x=((1.0,),), n=10, rng=RNG, schedule=LinearLogSnr()):  # noqa: B008
    return estimate_loss(w, eps, x, schedule, n, rng)
