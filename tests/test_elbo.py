"""Error curves, both sides of S5, the discrete ELBO, T6 to T8 and draws, against other truths.

Both sides of S5 for every objective are in test_claims.py.
"""

import numpy as np
import pytest
from comparing import assert_close, standard_errors_off
from jaxtyping import TypeCheckError
from scipy import integrate
from scipy.stats import norm

from course_utils.datasets import galaxies
from course_utils.elbo import (
    ErrorCurve,
    discretisation_gap,
    elbo_parts,
    elbo_terms,
    every_noise,
    gap_constant,
    loss_draws,
    negative_log_likelihood,
    path_and_marginal_kl,
    sum_of_elbos,
    weighted_loss,
)
from course_utils.forward import posterior
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import PUBLISHED
from course_utils.schedules import Cosine, FlowMatching, LinearLogSnr, alpha, sigma
from course_utils.weightings import sigmoid

HILLS = GaussianMixture([0.35, 0.65], [[-1.2], [0.8]], [0.25**2, 0.4**2])
WRONG = GaussianMixture([0.5, 0.5], [[-0.8], [1.1]], [0.5, 0.3])
BROAD = GaussianMixture([1.0], [[0.0]], [1.3])
FEW = GaussianMixture.from_data(galaxies()[::16])
CURVE = ErrorCurve.from_mixtures(HILLS, BROAD)
RANGE = {"log_snr_min": -10, "log_snr_max": 10}
SIX = np.arange(6.0)


@pytest.fixture(scope="module")
def points():
    return GaussianMixture.from_data(galaxies())


@pytest.fixture(scope="module")
def curves(points):
    return {"hills": ErrorCurve.from_mixtures(HILLS), "galaxies": ErrorCurve.from_mixtures(points)}


# --- error curves ---------------------------------------------------------------------------------


def test_the_average_is_the_average_of_the_points():
    data = GaussianMixture.from_data(galaxies()[::20])
    levels = np.linspace(-8, 8, 9)
    whole = ErrorCurve.from_mixtures(data, HILLS, log_snr=levels)
    each = [ErrorCurve.from_mixtures(data, HILLS, x=x, log_snr=levels) for x in galaxies()[::20, 0]]
    assert_close(np.mean([c.noise_error for c in each], axis=0), whole.noise_error, rtol=1e-8)
    assert_close(np.mean([c.path_kl for c in each], axis=0), whole.path_kl, atol=1e-8)


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


def test_a_curve_passes_on_polynomials_of_degree_five():
    levels, between = np.arange(8.0), np.array([0.5, 2.25, 6.9])

    def quintic(s):
        return 30 + (s - 3) ** 5 / 100 + s**2

    error, kl = ErrorCurve(levels, quintic(levels), -quintic(levels)).at(between)
    assert_close(error, quintic(between), rtol=1e-13)
    assert_close(kl, -quintic(between), rtol=1e-13)


def test_loss_over_parts_of_the_range_adds_up():
    w = PUBLISHED["edm"].implied_weighting().normalised()
    parts = [weighted_loss(w, CURVE, *span) for span in [(-10, -3), (-3, 2), (2, 10)]]
    assert_close(sum(parts), weighted_loss(w, CURVE), rtol=1e-6)
    assert_close(sum(elbo_parts(w, CURVE, -3, 2)), sum_of_elbos(w, CURVE, -3, 2))
    assert_close(weighted_loss(w, CURVE, -10, 10), weighted_loss(w, CURVE))


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


# --- more than one dimension ----------------------------------------------------------------------

EQUAL = GaussianMixture([0.35, 0.65], [[-1.2], [0.8]], [0.16, 0.16])


def test_two_dimensions_by_quadrature():
    """The points of a grid: e and L are the sums of those of both coordinates."""
    points = [np.array([-0.9, 1.1]), np.array([-0.4, 1.0])]
    both = np.stack(np.meshgrid(*points), axis=-1).reshape(-1, 2)
    levels = np.linspace(-6, 2, 33)
    plane = ErrorCurve.from_draws(GaussianMixture.from_data(both), *every_noise(both), None, levels)
    lines = [ErrorCurve.from_mixtures(GaussianMixture.from_data(x), log_snr=levels) for x in points]
    assert_close(plane.noise_error, sum(c.noise_error for c in lines), atol=1e-9)
    assert_close(plane.path_kl, sum(c.path_kl for c in lines), atol=1e-9)
    for w in (np.ones_like, sigmoid(0)):
        loss, elbos = weighted_loss(w, plane), sum_of_elbos(w, plane)
        assert abs(loss - elbos) <= min(loss.bound + elbos.bound, 1e-5 * loss)


@pytest.mark.parametrize("model", [None, EQUAL.diffuse(1.5)], ids=["right", "wrong"])
def test_sixty_four_dimensions_by_draws(model):
    """A mixture along a slanted line: 63 coordinates across it are those of one normal."""
    d, rng = 64, np.random.default_rng(0)
    slant = rng.standard_normal((1, d))
    slant /= np.linalg.norm(slant)
    across = [law and GaussianMixture([1.0], [[0.0]], law.variances[:1]) for law in (EQUAL, model)]
    laws = [
        law and GaussianMixture(law.weights, law.means * slant, law.variances)
        for law in (EQUAL, model)
    ]
    along, normal = (
        ErrorCurve.from_mixtures(*pair, log_snr=(-6.0, 4.0)) for pair in ((EQUAL, model), across)
    )
    drawn = [
        ErrorCurve.from_draws(
            laws[0],
            laws[0].sample(100, rng),
            rng.standard_normal((100, d)),
            None,
            laws[1],
            np.linspace(-6, 4, 41),
        )
        for _ in range(12)
    ]
    for side in (weighted_loss, sum_of_elbos):
        values = [side(sigmoid(0), curve) for curve in drawn]
        exact = side(sigmoid(0), along) + 63 * side(sigmoid(0), normal)
        error = np.std(values, ddof=1) / np.sqrt(12)
        assert standard_errors_off(np.mean(values), error, exact) < 5
        assert error < 0.01 * exact


# --- T7: one step, the sum, the gap ---------------------------------------------------------------


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
    terms = elbo_terms(levels, HILLS, model, x=x)
    assert terms.diffusion.shape == (2,)
    negative_elbo = terms.prior + terms.reconstruction + terms.diffusion.sum()
    assert negative_elbo == pytest.approx(bound, abs=1e-6)
    likelihood = -np.log(weight @ np.exp(log_p - log_q)[:, 0])  # the same model's −log p(x)
    assert negative_elbo > likelihood + 0.01


def test_gap_constants(curves):
    assert gap_constant(curves["galaxies"], LinearLogSnr()) == pytest.approx(35.03, abs=0.005)
    _, error, kl = curves["galaxies"].between()
    closed = 10 * (kl[-1] - kl[0] - (error[-1] - error[0]) / 2)  # from L, not from ∫ e
    assert gap_constant(curves["galaxies"], LinearLogSnr()) == pytest.approx(closed, rel=1e-6)
    gaps = {
        n: discretisation_gap(np.linspace(10, -10, n + 1), curves["galaxies"])
        for n in (64, 128, 256)
    }
    assert gaps[64] == pytest.approx(0.607, abs=5e-4)
    assert gaps[128] == pytest.approx(0.288, abs=5e-4)
    assert 256 * gaps[256] == pytest.approx(35.92, abs=0.005)


@pytest.mark.parametrize("schedule", [Cosine(**RANGE), FlowMatching(**RANGE), LinearLogSnr()])
def test_the_gap_has_order_one_with_its_constant_on_any_schedule(schedule, curves):
    scaled = []
    for n in (2000, 4000):
        levels = schedule.log_snr(np.arange(n + 1) / n)
        scaled.append(n * discretisation_gap(levels, curves["hills"]))
    extrapolated = 2 * scaled[1] - scaled[0]
    assert extrapolated == pytest.approx(gap_constant(curves["hills"], schedule), rel=1e-3)


# --- T6: path and marginal KL -------------------------------------------------------------------


def shifted_noise(base, low, high, mass):
    height = np.sqrt(mass / (high - low))
    return lambda z, level: base.eps(z, level) + height * (low < level < high)


def test_a_linear_prediction_keeps_the_models_marginals_gaussian():
    """ε̂ = k σ z + c: mean and variance of p follow two ordinary equations."""
    k, c, levels = 0.8, 0.1, np.arange(-6, 3.001, 0.02)
    found = path_and_marginal_kl(
        GaussianMixture.from_data([0.8]), lambda z, level: k * sigma(level) * z + c, levels
    )

    def rates(level, state):
        mean, variance = state
        s = sigma(level)
        slope = s**2 / 2 - k * s**2
        return [slope * mean - c * s, 2 * slope * variance + s**2]

    solved = integrate.solve_ivp(rates, (-6, 3), [0, 1], t_eval=[3.0], rtol=1e-10, atol=1e-12)
    mean, variance = solved.y[:, -1]
    a, s = alpha(3.0), sigma(3.0)
    exact = 0.5 * (((0.8 * a - mean) ** 2 + s**2) / variance - 1 - np.log(s**2 / variance))
    assert found.marginal[-1] == pytest.approx(exact, rel=2e-4)


@pytest.mark.parametrize("truth", [GaussianMixture.from_data([0.8]), HILLS], ids=["x", "data"])
def test_path_kl_is_marginal_kl_and_the_excess(truth):
    eps = shifted_noise(HILLS, -2, -1, 1.0)
    residuals = []
    for step, per_sd in [(0.1, 8), (0.05, 16)]:
        levels = np.arange(-8, 2 + step / 2, step)
        kl = path_and_marginal_kl(truth, eps, levels, per_sd)
        residuals.append(np.abs(kl.path - kl.marginal - kl.excess).max())
        assert kl.excess[-1] > 0.2  # an excess worth explaining
    assert residuals[1] < 4e-4
    assert residuals[0] / residuals[1] == pytest.approx(4, abs=0.8)  # second order


def test_the_score_of_a_mixture_has_no_excess():
    kl = path_and_marginal_kl(GaussianMixture.from_data([0.8]), WRONG.eps, np.arange(-10, 2, 0.05))
    assert kl.excess[-1] < 1e-6
    assert kl.path[-1] == pytest.approx(kl.marginal[-1], abs=1e-4)


def test_the_counter_example_of_t5_by_its_marginals(points):
    """A costs less along the path than B, and more in what is sampled."""
    a, b = (
        path_and_marginal_kl(points, shifted_noise(points, *where), np.arange(-10, 0.01, 0.1), 8)
        for where in [(-3.8, -2.8, 1.0), (-8.0, -7.0, 1.05)]
    )
    assert (a.path[-1], b.path[-1]) == pytest.approx((0.5, 0.525), abs=1e-6)
    assert a.marginal[-1] > 10 * b.marginal[-1]


# --- doors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ErrorCurve(SIX[::-1], SIX, SIX), "increasing levels"),
        (lambda: ErrorCurve.from_mixtures(HILLS, log_snr=SIX[:5]), "at least 6"),
        (lambda: ErrorCurve.from_mixtures(GaussianMixture([1], [[0, 1]], [1])), "one dimension"),
        (lambda: CURVE.at([0, 10.1]), r"leave the tabulated range \[-10, 10\]"),
        (lambda: CURVE.between(-11, 3), "leave the tabulated range"),
        (lambda: CURVE.between(3, 3), "log_snr_min < log_snr_max"),
        (lambda: gap_constant(CURVE, Cosine()), "leave the tabulated range"),
        (lambda: elbo_terms(np.linspace(-10, 10, 9), HILLS), "decrease"),
        (lambda: weighted_loss(lambda s: -s, CURVE), "not negative"),
        (lambda: negative_log_likelihood(CURVE), "wider range"),
        # [n] − [n, 1] would broadcast to [n, n] and give some number
        (
            lambda: loss_draws(
                np.ones_like, lambda z, s: z[:, 0], *[SIX[:, None]] * 2, SIX / 10, LinearLogSnr()
            ),
            r"shape of z, \(6, 1\)",
        ),
    ],
)
def test_the_doors_teach(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_annotated_shapes_are_checked_while_tests_run():
    with pytest.raises(TypeCheckError, match="'noise'"):
        ErrorCurve.from_draws(HILLS, SIX[:, None], SIX[:3, None])
