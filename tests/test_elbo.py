"""The discrete ELBO and its limit, T6, T7 and the estimators, against independent truths."""

import numpy as np
import pytest
from scipy import integrate
from scipy.stats import norm

from course_utils.datasets import galaxies
from course_utils.elbo import (
    ErrorCurve,
    discretisation_gap,
    elbo_terms,
    estimate_loss,
    gap_constant,
    loss_draws,
    path_and_marginal_kl,
    step_kl,
    weighted_loss,
)
from course_utils.forward import posterior
from course_utils.mixtures import GaussianMixture
from course_utils.schedules import Cosine, FlowMatching, LinearBeta, LinearLogSnr, alpha, sigma
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
def points():
    return GaussianMixture.from_data(galaxies())


@pytest.fixture(scope="module")
def curves(points):
    return {"hills": ErrorCurve.from_mixtures(HILLS), "galaxies": ErrorCurve.from_mixtures(points)}


@pytest.fixture(scope="module")
def moments(points):
    return {
        "hills": ErrorMoments.from_mixtures(HILLS),
        "galaxies": ErrorMoments.from_mixtures(points),
    }


# --- T7: one step, the sum, the gap ---------------------------------------------------------------


@pytest.mark.parametrize(("log_snr", "log_snr_to"), [(-2.0, -1.5), (0.0, 3.0), (4.0, 4.1)])
def test_one_step_costs_the_kl_of_two_gaussians(log_snr, log_snr_to):
    x, z = np.array([[0.7]]), np.array([[-0.4]])
    eps = (z - alpha(log_snr) * x) / sigma(log_snr)
    eps_hat = WRONG.eps(z, log_snr)
    guess = (z - sigma(log_snr) * eps_hat) / alpha(log_snr)
    mean, variance = posterior(z, x, log_snr, log_snr_to)
    other, _ = posterior(z, guess, log_snr, log_snr_to)
    q = norm(mean.item(), np.sqrt(variance).item())
    p = norm(other.item(), np.sqrt(variance).item())
    direct, _ = integrate.quad(
        lambda y: q.pdf(y) * (q.logpdf(y) - p.logpdf(y)), *q.interval(1 - 1e-15), epsabs=1e-13
    )
    formula = step_kl(((eps - eps_hat) ** 2).item(), log_snr, log_snr_to)
    assert formula == pytest.approx(direct, rel=1e-9)


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
    assert terms.bound == pytest.approx(bound, abs=1e-6)
    likelihood = -np.log(weight @ np.exp(log_p - log_q)[:, 0])  # the same model's −log p(x)
    assert terms.bound > likelihood + 0.01


@pytest.mark.parametrize("x", [-1.2, 0.3, 2.0])
@pytest.mark.parametrize("model", [HILLS, WRONG])
def test_likelihood_is_prior_reconstruction_diffusion_less_the_gap(model, x):
    """The continuous bound's gap is the KL of the latent's two posteriors, in closed form."""
    top = 6.0
    curve = ErrorCurve.from_mixtures(HILLS, model, x=x, log_snr=np.linspace(-10, top, 161))
    terms = elbo_terms(np.array([top, -10.0]), HILLS, model, x=x)
    bound = terms.prior + terms.reconstruction + weighted_loss(flat, curve)
    b = np.exp(-top)  # the variance of z_0/α_0 about x
    wide = GaussianMixture(model.weights, model.means, model.variances + 2 * b)
    at_x = wide.weights * norm.pdf(x, wide.means[:, 0], np.sqrt(wide.variances))
    of_z = GaussianMixture(  # p(z_0/α_0 | x)
        at_x / at_x.sum(),
        ((model.variances[:, None] + b) * x + b * model.means) / wide.variances[:, None],
        b * (model.variances + b) / wide.variances,
    )
    q = norm(x, np.sqrt(b))
    gap, _ = integrate.quad(
        lambda y: q.pdf(y) * (q.logpdf(y) - of_z.log_prob(np.array([[y]]))[0]),
        *q.interval(1 - 1e-15),
        epsabs=1e-12,
    )
    exact = -wide.log_prob(np.array([[x]]))[0]
    assert gap > 0
    assert bound - gap == pytest.approx(exact, abs=1e-6)


def test_the_mean_over_the_data_is_the_mean_of_the_terms(points):
    levels = np.linspace(5, -5, 9)
    three = GaussianMixture.from_data(points.means[[3, 40, 70], 0])
    singly = [elbo_terms(levels, three, WRONG, x=float(x)) for x in three.means[:, 0]]
    averaged = elbo_terms(levels, three, WRONG)
    np.testing.assert_allclose(
        averaged.diffusion, np.mean([t.diffusion for t in singly], axis=0), rtol=1e-9
    )
    assert averaged.prior == pytest.approx(np.mean([t.prior for t in singly]), rel=1e-6)


def test_a_right_model_with_a_normal_density_is_exact():
    """N(0, 1) data: e = α², prior 0, and the bound at infinitely many steps is known."""
    normal = GaussianMixture([1.0], [[0.0]], [1.0])
    terms = elbo_terms(np.array([2.0, 0.0]), normal)
    assert terms.prior == pytest.approx(0.5 * np.log(2), abs=1e-9)  # −½ log σ² at λ = 0
    assert terms.reconstruction == pytest.approx(0.5 * np.log(2 * np.pi * np.e) - 1)
    assert terms.diffusion == pytest.approx([0.5 * np.expm1(2) * 0.5], rel=1e-9)


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


def test_elbo_terms_and_discretisation_gap_agree(curves):
    levels = Cosine(log_snr_min=-8, log_snr_max=8).log_snr(np.arange(33) / 32)
    total = elbo_terms(levels, HILLS).diffusion.sum()
    continuous = weighted_loss(flat, curves["hills"], levels[-1], levels[0])
    assert total - continuous == pytest.approx(discretisation_gap(levels, curves["hills"]), 1e-6)


@pytest.mark.parametrize("levels", [[-10.0, 10.0], [1.0], [np.inf, 0.0], [2.0, 2.0]])
def test_bad_levels_are_refused(levels):
    with pytest.raises(ValueError, match=r"decrease strictly|log_snr must be finite"):
        elbo_terms(np.array(levels), HILLS)


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


# --- estimators: section 7 of the facts -----------------------------------------------------------

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


def test_the_first_moment_is_the_error_curve(moments, curves):
    np.testing.assert_allclose(moments["hills"].mean, curves["hills"].noise_error, rtol=1e-12)


def test_no_density_beats_the_optimal_one(moments):
    of, rng = moments["hills"], np.random.default_rng(0)
    best = optimal_schedule(flat, of)
    least = draw_variance(flat, of, best)
    levels = np.linspace(-10, 10, 4001)
    for _ in range(5):
        bend = np.exp(0.3 * rng.standard_normal() * np.sin(levels * rng.uniform(0.2, 2)))
        assert draw_variance(flat, of, DensitySchedule(levels, best.density(levels) * bend)) > least


def test_draws_have_the_value_and_the_variance_computed(moments, curves):
    rng, n = np.random.default_rng(2), 100_000
    x, noise, t = HILLS.sample(n, rng), rng.standard_normal((n, 1)), rng.random(n)
    exact = weighted_loss(flat, curves["hills"])
    for schedule in (LinearLogSnr(), optimal_schedule(flat, moments["hills"])):
        draws = loss_draws(flat, HILLS.eps, x, noise, t, schedule)
        variance = draw_variance(flat, moments["hills"], schedule)
        assert abs(draws.mean() - exact) < 4 * np.sqrt(variance / n)
        spread = ((draws - draws.mean()) ** 2).std() / np.sqrt(n)
        assert abs(draws.var() - variance) < 4 * spread


def test_estimate_loss_takes_a_schedule_made_from_a_density(moments, curves):
    schedule = adaptive_schedule(flat, moments["hills"])
    rng = np.random.default_rng(3)
    mean, error = estimate_loss(flat, HILLS.eps, HILLS.sample(20_000, rng), schedule, 20_000, rng)
    assert abs(mean - weighted_loss(flat, curves["hills"])) < 4 * error


@pytest.mark.parametrize("named", [Cosine(**RANGE), LinearBeta(**RANGE)])
def test_a_schedule_from_a_density_is_that_schedule(named):
    levels = np.linspace(-10, 10, 20_001)
    made = DensitySchedule(levels, 7 * named.density(levels))
    t = np.linspace(0, 1, 33)
    np.testing.assert_allclose(made.log_snr(t), named.log_snr(t), atol=1e-4)
    np.testing.assert_allclose(made.density(levels[1:-1] + 5e-4), named.density(levels[1:-1]), 1e-2)
    assert made.density(10.5) == made.density(-10.5) == 0


@pytest.mark.parametrize("heights", [[1.0, 0.0, 0.0], [1.0, -1.0, 3.0], [1.0, np.nan, 1.0]])
def test_a_density_that_loses_levels_is_refused(heights):
    with pytest.raises(ValueError, match=r"finite and positive|heights must be finite"):
        DensitySchedule([0.0, 1.0, 2.0], heights)
    with pytest.raises(ValueError, match=r"one height|heights must be finite"):
        DensitySchedule([0.0, 1.0], heights)
