"""The claims of the course, S1–S7 and T1–T8, each against a truth computed in another way.

The truths: densities and posteriors written out in truths.py, `scipy.integrate.quad`,
`scipy.stats`, rational arithmetic, and Gaussians whose joint law over a whole path is one matrix.
The residuals found stand in docs/measured.md (`make residuals`). T9 is in test_linear_model.py.
"""

import itertools
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from comparing import largest_difference, standard_errors_off
from scipy.integrate import quad, solve_ivp
from scipy.linalg import solve_triangular
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.neighbors import KernelDensity
from test_published import TABLE
from truths import HILLS, amplitudes, eps_hat, error_and_kl, point

from course_utils import elbo, exact, forward
from course_utils.datasets import galaxies, velocity_scale
from course_utils.distances import gaussian_kl
from course_utils.elbo import ErrorCurve, weighted_loss
from course_utils.forward import chain_steps, state_moments
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import PUBLISHED
from course_utils.panels._galaxies import error_curve, galaxies_mixture
from course_utils.samplers import ddim_coefficients
from course_utils.schedules import (
    Cosine,
    FlowMatching,
    LinearBeta,
    LinearLogSnr,
    alpha_bar,
    ddpm_betas,
    discrete_betas,
)
from course_utils.weightings import is_monotone, level_masses, made_monotone, sample_levels, sigmoid

X = galaxies()[:, 0]
OTHER = GaussianMixture([0.5, 0.3, 0.2], [[-1.0], [0.5], [2.0]], [0.3, 0.1, 0.5])  # wrong for HILLS
WEIGHTINGS = {name: o.implied_weighting().normalised() for name, o in PUBLISHED.items()}
MONOTONE = {name for name, (_, monotone, _) in TABLE.items() if monotone}


@cache
def curve(truth, model, x=None, low=-10.0, high=10.0, n=161):
    return ErrorCurve.from_mixtures(truth, model, x=x, log_snr=np.linspace(low, high, n))


def sampled(draws, truth):
    """How many standard errors the mean of draws is off."""
    return standard_errors_off(draws.mean(), draws.std(ddof=1) / np.sqrt(len(draws)), truth)


def derivative(f, at, step):
    """Central differences of sixth order."""
    weights = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    return sum(c * (f(at + k * step) - f(at - k * step)) for k, c in weights.items()) / step


def limit_of(values):
    """The limit of values at N, 2N, 4N, … whose error is a power series in 1/N (Richardson)."""
    values = list(values)
    for order in range(1, len(values)):
        pairs = itertools.pairwise(values)
        values = [(2**order * fine - coarse) / (2**order - 1) for coarse, fine in pairs]
    return values[0]


# --- a model whose whole path is one Gaussian: ε̂ = c z + b, where linear(λ) is c and b -----------


def wilful(log_snr):
    """A linear ε̂ that is no score of anything in particular, smooth in λ."""
    return 0.6 + 0.3 * np.sin(log_snr), 0.2 * np.cos(2 * log_snr)


def linear_error(x, linear, log_snr):
    """E(ε − ε̂)² under q(z_t|x)."""
    (slope, offset), (a, s) = linear(log_snr), amplitudes(log_snr)
    return (slope * a * x + offset) ** 2 + (1 - slope * s) ** 2


def joint_kls(x, levels, linear, mean, variance):
    """KL(q(z_0 … z_i|x) ‖ p(z_0 … z_i)) for every i, of joint Gaussians.

    Levels λ_0 < … < λ_N increase from noise to data. The reverse kernel of p is q(z_s|z_t, x̂) with
    x̂ = (z_t − σ_t ε̂)/α_t, written out again here; the prior p(z_0) is N(mean, variance).
    """
    (a, s), (slope, offset) = amplitudes(levels), linear(levels)
    # q: of two states the noisier is α_noisy/α_clean times the cleaner, plus fresh noise
    i = np.arange(len(levels))
    noisy, clean = np.minimum.outer(i, i), np.maximum.outer(i, i)
    q = np.linalg.cholesky(a[noisy] / a[clean] * s[clean] ** 2)
    # p: z_{i+1} = k_i z_i + m_i + √v_i ε, unrolled into a lower triangle
    kept = np.exp(-np.diff(levels))
    to_x = a[1:] * (1 - kept)
    k = a[1:] / a[:-1] * kept + to_x * (1 - s * slope)[:-1] / a[:-1]
    m = -to_x * (s * offset / a)[:-1]
    means, p = [mean], np.diag(np.sqrt([variance, *s[1:] ** 2 * (1 - kept)]))
    for i in range(len(k)):
        means.append(k[i] * means[i] + m[i])
        p[i + 1] += k[i] * p[i]
    ratio = solve_triangular(p, np.column_stack([q, means - a * x]), lower=True)
    return np.cumsum((np.sum(ratio**2, axis=1) - 1) / 2 + np.log(np.diag(p) / np.diag(q)))


def joint_kl(x, low, high, linear, mean, variance):
    """KL of the joint laws of N states, N → ∞."""
    grids = (np.linspace(low, high, n + 1) for n in (32, 64, 128, 256))
    return limit_of(joint_kls(x, levels, linear, mean, variance)[-1] for levels in grids)


def ideal_kl(x, low, high, mean, variance):
    """The same for the ideal ε̂ = E[ε|z] of data N(mean, variance), and their own prior."""

    def linear(log_snr):
        a, s = amplitudes(log_snr)
        total = a**2 * variance + s**2
        return s / total, -s * a * mean / total

    a, s = amplitudes(low)
    return joint_kl(x, low, high, linear, a * mean, a**2 * variance + s**2)


def test_s1_the_recursion_adds_up_to_the_closed_form(claim):
    betas = ddpm_betas()
    # what each ε_s still contributes to x_T: √β_s Π_{r>s} √(1 − β_r)
    later = np.cumprod(np.append(1.0, np.sqrt(1 - betas[:0:-1])))[::-1]
    variance = np.sum((np.sqrt(betas) * later) ** 2)
    mean, by_moments = state_moments(1.5, chain_steps(betas))
    found = max(
        abs(variance + alpha_bar(betas)[-1] - 1),
        abs(by_moments[-1] - variance),
        largest_difference(mean[1:], 1.5 * np.sqrt(alpha_bar(betas))),
    )
    claim("S1", "closed form = recursion, 1000 steps", found, 1e-12)
    kept = largest_difference(state_moments(0.0, chain_steps(betas), variance=1.0)[1], 1.0)
    claim("S1", "variance 1 kept over 1000 steps", kept, 1e-12)


def test_s1_ddpm_reaches_noise_and_a_short_list_does_not(claim):
    exactly = Fraction(1)
    for beta in ddpm_betas():
        exactly *= 1 - Fraction(float(beta))
    found = abs(alpha_bar(ddpm_betas())[-1] / float(exactly) - 1)
    claim("S1", "ᾱ_1000 of DDPM against rational arithmetic", found, 1e-12)
    assert float(exactly) == pytest.approx(4.0358e-5, rel=1e-5)
    for short, left in [(ddpm_betas(100), 0.364), (ddpm_betas()[:100], 0.897)]:
        assert alpha_bar(short)[-1] == pytest.approx(left, abs=5e-4)


def test_s1_simulation_of_the_galaxies(claim):
    rng, betas = np.random.default_rng(1), ddpm_betas(100)
    x0, kept = np.repeat(X, 300), alpha_bar(betas)[-1]
    noise = forward.simulate(x0, chain_steps(betas), rng) - np.sqrt(kept) * x0
    off = max(sampled(noise, 0.0), sampled(noise**2, 1 - kept))
    claim("S1", "simulated mean and variance, 24,600 particles", off, 6, "standard errors")


@pytest.mark.parametrize(
    ("rule", "c", "constant"), [("right", 1, -76.95), ("mid", 0, -67.00), ("left", -1, -57.05)]
)
def test_s2_constant_of_the_chains_error(rule, c, constant, claim):
    """−½[c(β(1) − β(0)) + ∫β²] against N·error extrapolated to N = ∞."""
    predicted = -0.5 * (c * 19.9 + (20**3 - 0.1**3) / (3 * 19.9))
    assert predicted == pytest.approx(constant, abs=6e-3)  # as printed
    errors = [
        n * (np.log1p(-discrete_betas(LinearBeta(), n, rule)).sum() + (0.1 + 20) / 2)
        for n in (1000, 2000, 4000, 8000)
    ]
    found = abs(limit_of(errors) / predicted - 1)
    claim("S2", "constants −76.95, −67.00, −57.05 of the chain's error", found, 1e-8)
    assert errors[-1] == pytest.approx(predicted, rel=3e-3)


def test_s2_exact_steps_have_no_error(claim):
    """The chain with the rule 'exact', and the steps of the SDE from level to level."""
    schedule, found = LinearBeta(), 0.0
    for n in (1, 2, 7, 100, 5000):
        grid = schedule.log_snr(np.arange(n + 1) / n)
        a, s = amplitudes(grid)
        for steps in (forward.exact_steps(grid), chain_steps(discrete_betas(schedule, n))):
            found = max(found, largest_difference(state_moments(1.5, steps), [1.5 * a, s**2]))
    claim("S2", "'exact' rule: no error at N = 1, 2, 7, 100, 5000", found, 1e-12)


def test_s2_the_sde_moments_solve_their_differential_equations(claim):
    """dm/dt = −½βm and dv/dt = β(1 − v), integrated by scipy, against the exact transition."""

    def rate(t, y):
        beta = 0.1 + 19.9 * t
        return [-beta * y[0] / 2, beta * (1 - y[1])]

    t = [0.02, 0.1, 0.3]
    precisely = dict(rtol=1e-12, atol=1e-14, method="DOP853")
    solved = solve_ivp(rate, (0, 0.3), [1.5, 0.0], t_eval=t, **precisely)
    decay, noise = forward.transition(np.inf, LinearBeta().log_snr(np.array(t)))
    found = largest_difference([1.5 * decay, noise**2], solved.y)
    claim("S2", "moments of dx = −½βx dt + √β dW", found, 1e-11)


def test_s2_taylor_expansion_of_one_step(claim):
    """√(1 − βΔ) = 1 − βΔ/2 − (βΔ)²/8 − …: what S2 drops is of second order, with this constant."""
    steps = np.array([1e-2, 5e-3, 2.5e-3, 1.25e-3])
    dropped = (chain_steps(steps).decay - (1 - steps / 2)) / steps**2
    claim("S2", "second-order constant −1/8 of √(1−βΔ)", abs(limit_of(dropped) + 1 / 8), 1e-9)


def test_s3_fifteen_objectives_imply_their_weightings(claim):
    assert set(TABLE) == set(PUBLISHED)
    found = 0.0
    for name, (closed, *_) in TABLE.items():
        w = PUBLISHED[name].implied_weighting()
        low = -10.04 if name == "vp_linear_eps" else -30  # where this schedule ends
        s = np.linspace(low, 30, 601)
        found = max(found, largest_difference(w(s) / closed(s) * closed(0.0) / w(0.0), 1.0))
    claim("S3", "15 implied weightings against closed forms", found, 1e-8)


@pytest.mark.parametrize("name", ["sigmoid", "edm", "min_snr"])
def test_s3_definition_as_an_average_over_time_and_noise(name, claim):
    """⟨w(t) w_ML(t) ‖ε − ε̂‖²⟩ with w_ML = −½ λ'(t), over t by quad and ε by trapezoids."""
    noise = np.linspace(-8.5, 8.5, 241)
    mass = norm.pdf(noise) * (noise[1] - noise[0])
    x, span, w = 0.4, (-6.0, 6.0), TABLE[name][0]

    def integrand(t):  # the cosine schedule, written out
        log_snr = -2 * np.log(np.tan(np.pi * t / 2))
        ml = np.pi / np.sin(np.pi * t)
        a, s = amplitudes(log_snr)
        return w(log_snr) * ml * mass @ (noise - eps_hat(OTHER, a * x + s * noise, log_snr)) ** 2

    end, kink, start = 2 / np.pi * np.arctan(np.exp(-np.array([6.0, np.log(5), -6.0]) / 2))
    left = quad(integrand, end, start, points=[kink], epsabs=0, epsrel=1e-8, limit=100)[0]
    right = weighted_loss(w, curve(HILLS, OTHER, x), *span)
    claim("S3", "L_w by its definition, quadrature in t and ε", abs(left / right - 1), 1e-8)


def test_s3_the_inverse_of_w_ml_gives_the_plain_loss(claim):
    schedule, errors = Cosine(log_snr_min=-8, log_snr_max=8), curve(HILLS, OTHER)
    plain = quad(lambda t: float(errors.at(schedule.log_snr(t))[0]), 0, 1, epsrel=1e-10)[0]
    weighted = weighted_loss(lambda s: 2 * schedule.density(s), errors, -8, 8)
    claim("S3", "w = 1/w_ML is the plain ε-loss", abs(weighted / plain - 1), 1e-8)


def test_s4_path_kl_of_a_whole_gaussian_path(claim):
    """KL of the joint law of N states, N → ∞, against the curve's L at the last level."""
    found = ideal_kl(0.7, -4.0, 3.0, 0.2, 0.3)
    model = GaussianMixture([1.0], [[0.2]], [0.3])
    truth = float(curve(model, model, 0.7).at(3.0)[1])
    claim("S4", "L(t;x) = KL of joint paths, N → ∞", abs(found - truth), 1e-7)


RANGES = [(-10.0, 10.0), (-6.0, 4.0), (0.0, 1.0)]
CASES = [("right", 0), ("right", 82), ("wrong", 0), ("wrong", 40)]  # galaxy 0 is the average


@pytest.mark.parametrize("name", PUBLISHED)
def test_t3_both_sides_agree_and_one_percent_of_e_is_seen(name, claim):
    w, curves = WEIGHTINGS[name], [error_curve(*case) for case in CASES]
    *_, last = curves
    spoilt = ErrorCurve(last.log_snr, 1.01 * last.noise_error, last.path_kl)

    def residual(errors, span):
        left = weighted_loss(w, errors, *span)
        return abs(left - elbo.sum_of_elbos(w, errors, *span)) / abs(left)

    found = max(residual(each, span) for each in curves for span in RANGES)
    claim("T3", "both sides of S5: objectives × models × points × ranges", found, 1e-6)
    assert all(residual(spoilt, span) > 1e-3 for span in RANGES)


@pytest.mark.parametrize(("law", "row", "moved", "kept"), [(HILLS, 2, 0, 1), (OTHER, 0, 1, 0)])
def test_t3_the_path_kl_is_not_made_of_the_error_curve(law, row, moved, kept, monkeypatch):
    """Accumulating e gives an L with which even a random e passes: such a check is worth nothing.

    So the two tables must come from different numbers: spoiling the truth's posterior variance
    moves e and not L; spoiling the model's log density moves L and not e.
    """
    posterior_of = exact._Line.posterior

    def spoilt(self, *given):
        """log q, E[ε|z] and Var(ε|z) are rows 0, 1, 2; the law is known by its components."""
        found = posterior_of(self, *given)
        if len(self.means) == len(law.means):
            found[row] *= 1.01
        return found

    def tables():
        found = ErrorCurve.from_mixtures(HILLS, OTHER, log_snr=np.linspace(-5, 5, 11))
        return found.noise_error, found.path_kl

    before = tables()
    monkeypatch.setattr(exact._Line, "posterior", spoilt)
    change = np.abs(np.subtract(tables(), before))
    assert change[kept].max() < 1e-9 and change[moved].min() > 1e-5


@pytest.mark.parametrize("name", PUBLISHED)
def test_s5_the_constant_behind_the_proportionality(name, claim):
    """S5 without T3's last term misses exactly w(λ_min) L(1;x), which no parameter touches."""
    w, span, errors = WEIGHTINGS[name], (-2.0, 10.0), error_curve("wrong")
    middle, atom, constant = elbo.elbo_parts(w, errors, *span)
    hidden = float(w(-2.0)) * float(errors.at(-2.0)[1])
    left = weighted_loss(w, errors, *span)
    found = abs(middle + atom - left - hidden) / abs(left)
    claim("S5", "the constant that ∝ hides, w(λ_min)·L(1;x)", found, 1e-6)
    assert constant == pytest.approx(-hidden, rel=1e-9)


def test_t3_abel_summation_at_finite_t(claim):
    """Σ w_j K_j = w_1 L_0 + Σ (w_{i+1} − w_i) L_i − w_T L_T: K by T7's formula, L as joint KLs."""
    levels = np.linspace(-4, 3, 13)  # index 12 is data (time 0), index 0 is noise (time T)
    kl = joint_kls(0.7, levels, wilful, 0.1, 0.9)[::-1]  # L_0 … L_T, time upwards
    errors = linear_error(0.7, wilful, levels[:-1])
    cost = (0.5 * np.expm1(np.diff(levels)) * errors)[::-1]  # K_1 … K_T
    w = np.random.default_rng(3).normal(size=12)  # any w, signs included
    right = w[0] * kl[0] + np.sum(np.diff(w) * kl[1:-1]) - w[-1] * kl[-1]
    claim("T3", "Abel summation, finite T, random w", abs(w @ cost - right), 1e-13)
    summed = kl[-1] + cost.sum()  # w = 1: brute force against the formula of a step
    claim("T7", "Σ of one-step KLs = KL of the joint law", abs(summed - kl[0]), 1e-12)


def test_s6_a_noised_data_set_is_a_kernel_density_estimate(claim):
    log_snr, points = 3.0, np.linspace(-4, 4, 200)[:, None]
    a, s = amplitudes(log_snr)
    kernel = KernelDensity(bandwidth=s / a).fit(galaxies()).score_samples(points)
    diffused = galaxies_mixture().diffuse(log_snr).log_prob(a * points) + np.log(a)
    found = largest_difference(diffused, kernel)
    claim("S6", "noised data = kernel estimate, bandwidth σ/α", found, 1e-12)


def test_s6_blurring_twice_is_blurring_once(claim):
    """The density of data noised to λ = 4 and on to λ = 1 is the one noised to 1 directly."""
    log_snr, target = 4.0, 1.0
    middle = galaxies_mixture().diffuse(log_snr)
    decay, noise = forward.transition(log_snr, target)

    def further(z):
        def joint(y):
            return np.exp(middle.log_prob([[y]])[0]) * norm.pdf(z, decay * y, noise)

        return quad(joint, -6, 6, points=np.linspace(-3, 3, 40), epsabs=1e-11, limit=400)[0]

    z = np.linspace(-3, 3, 7)
    direct = np.exp(galaxies_mixture().diffuse(target).log_prob(z[:, None]))
    found = largest_difference([further(each) for each in z], direct)
    claim("S6", "smoothing in two steps = in one", found, 1e-11)


def test_s7_a_fifth_of_the_elbo_is_below_the_measurement_error(claim):
    """Share of log 82 earned at blurs below 50 km/s: from e, and from a kernel estimate's KL."""
    level = 2 * np.log(velocity_scale() / 50)
    wide = curve(galaxies_mixture(), galaxies_mixture(), None, -14.0, 22.0, 109)
    earned = weighted_loss(np.ones_like, wide, level, 22.0) / np.log(82)
    a, s = amplitudes(level)
    # E_x KL = −½ log 2πeσ² − (1/82) Σ_i E log q(z), z ~ N(αx_i, σ²), by Gauss–Hermite
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    z = a * galaxies() + s * nodes
    log_q = KernelDensity(bandwidth=s / a).fit(galaxies()).score_samples(z.reshape(-1, 1) / a)
    mean = np.mean(log_q.reshape(z.shape) @ weights) / weights.sum() - np.log(a)
    information = -0.5 * np.log(2 * np.pi * np.e * s**2) - mean
    found = abs(earned - (1 - information / np.log(82)))
    claim("S7", "share of the ELBO at blurs below 50 km/s", found, 1e-6)
    assert earned == pytest.approx(0.21, abs=5e-3)


KINDS = (LinearBeta, Cosine, FlowMatching, LinearLogSnr)
SCHEDULES = [kind(log_snr_min=-8, log_snr_max=8) for kind in KINDS]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_t1_the_integral_in_time(schedule, claim):
    errors, w = curve(HILLS, OTHER), WEIGHTINGS["edm"]

    def integrand(t):
        log_snr = schedule.log_snr(t)
        return -0.5 * schedule.log_snr_rate(t) * w(log_snr) * errors.at(log_snr)[0]

    # where the rate is steep near the ends, tell quad
    ends = [float(schedule.time(level)) for level in (6.0, 3.0, 0.0, -3.0, -6.0)]
    value = quad(integrand, 0, 1, points=ends, epsabs=0, epsrel=1e-10, limit=500)[0]
    found = abs(value / weighted_loss(w, errors, -8, 8) - 1)
    claim("T1", "same L_w for four schedules, quadrature in t", found, 1e-8)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_t1_the_estimate(schedule, claim):
    x, rng = galaxies()[::4], np.random.default_rng(5)
    truth = weighted_loss(sigmoid(0), curve(GaussianMixture.from_data(x), OTHER), -8, 8)
    clean = x[rng.integers(len(x), size=100_000)]
    noise, t = rng.standard_normal(clean.shape), rng.random(len(clean))
    off = sampled(elbo.loss_draws(sigmoid(0), OTHER.eps, clean, noise, t, schedule), truth)
    claim("T1", "same L_w for four schedules, sampled t", off, 6, "standard errors")


def test_t1_held_in_time_the_weighting_is_another():
    """The contrast: w fixed as a function of t gives another loss with another schedule."""
    values = [
        weighted_loss(lambda s, c=schedule: 1 - c.time(s), curve(HILLS, OTHER), -8, 8)
        for schedule in SCHEDULES
    ]
    assert min(abs(a / b - 1) for a, b in itertools.combinations(values, 2)) > 1e-2


@pytest.mark.parametrize("x", [None, -1.5, 0.4])
def test_t2_differences_of_an_independent_l(x, claim):
    """dL/dt = ½ λ'(t) e(λ_t) ≤ 0 on the cosine schedule; L from densities, e from posteriors."""
    truth, found = HILLS if x is None else point(x), 0.0

    def level(t):
        return -2 * np.log(np.tan(np.pi * t / 2))

    for t in (0.15, 0.5, 0.85):
        slope = derivative(lambda u: error_and_kl(truth, OTHER, level(u))[1], t, 4e-3)
        rate = -2 * np.pi / np.sin(np.pi * t)
        error, kl_here = error_and_kl(truth, OTHER, level(t))
        assert slope < 0
        found = max(found, abs(slope - rate * error / 2) / abs(slope))
        # and the package's two curves are those
        e, kl = curve(HILLS, OTHER, x).at(level(t))
        assert e == pytest.approx(error, rel=1e-7)
        assert kl == pytest.approx(kl_here, rel=1e-7, abs=1e-9)
    claim("T2", "dL/dt = ½λ'e, wrong model, averaged and for one x", found, 1e-8)


def test_t2_holds_for_any_denoiser(claim):
    """A wilful linear ε̂: the KL of joint paths, N → ∞, against L(1) + ½∫e by quad."""
    x, low, high, prior = 0.7, -3.0, 2.0, (0.1, 0.9)
    found = joint_kl(x, low, high, wilful, *prior)
    a, s = amplitudes(low)
    area = quad(lambda level: linear_error(x, wilful, level), low, high, epsabs=1e-12)[0]
    truth = gaussian_kl(a * x, s**2, *prior) + area / 2
    claim("T2", "L = L(1) + ½∫e for an ε̂ that is no score", abs(found - truth), 1e-6)


def augmented_loss_off(w, levels, rng, low=-3.0, high=6.0):
    """How far E[L] over data noised to ``levels`` is from L_w, in standard errors."""
    n, errors = len(levels), curve(HILLS, OTHER)
    a, s = amplitudes(levels)
    z = a * HILLS.sample(n, rng)[:, 0] + s * rng.standard_normal(n)
    # the model's log density, each z at its own level; for a mixture the ELBO is tight
    scale = np.sqrt(a[:, None] ** 2 * OTHER.variances + s[:, None] ** 2)
    joint = norm.logpdf(z[:, None], a[:, None] * OTHER.means[:, 0], scale)
    draws = -logsumexp(joint, b=OTHER.weights, axis=1) - 0.5 * np.log(2 * np.pi * np.e * s**2)
    return sampled(
        draws, weighted_loss(w, errors, low, high) / float(w(low)) + float(errors.at(low)[1])
    )


@pytest.mark.parametrize("name", sorted(MONOTONE))
def test_t4_levels_drawn_from_p_w_give_the_weighted_loss(name, claim):
    """L_w/w(λ_min) = E_{p_w}[−log p(z) − ½ log 2πeσ²] − L(1), z noised to a level of p_w."""
    w, rng = WEIGHTINGS[name], np.random.default_rng(6)
    off = augmented_loss_off(w, sample_levels(w, 40_000, rng, -3.0, 6.0), rng)
    claim("T4", "L_w is the ELBO of data noised to levels of p_w", off, 6, "standard errors")


@pytest.mark.parametrize("name", ["sigmoid", "truncated_snr"])
def test_t4_levels_drawn_from_p_do_not(name):
    """The classic confusion: p_w is not the density that training samples."""
    rng = np.random.default_rng(6)
    levels = Cosine(log_snr_min=-3, log_snr_max=6).log_snr(rng.random(40_000))
    assert augmented_loss_off(WEIGHTINGS[name], levels, rng) > 20


def test_t4_l_is_minus_the_elbo_of_noised_data(claim):
    """L(t;x) = −E[ELBO_t] − ½ log 2πeσ², the ELBO built step by step: prior, then joint paths."""
    x, mean, variance, low, high = -0.4, 0.2, 0.3, -4.0, 1.0
    a, s = amplitudes(high)
    sd = np.sqrt(a**2 * variance + s**2)

    def integrand(z):
        return norm.pdf(z, a * x, s) * norm.logpdf(z, a * mean, sd)

    expected_elbo = quad(integrand, -9, 9, points=[a * x], epsabs=1e-13)[0]
    right = -expected_elbo - 0.5 * np.log(2 * np.pi * np.e * s**2)
    left = ideal_kl(x, low, high, mean, variance)
    claim("T4", "L = −E[ELBO_t] − ½d log 2πeσ², d = 1", abs(left - right), 1e-7)


def test_t4_p_w_of_the_sigmoid_is_a_truncated_logistic(claim):
    grid, bias = np.linspace(-6, 6, 241), 0.5
    cells, atom = level_masses(sigmoid(bias), grid)
    cumulative = 1 / (1 + np.exp(-(grid - bias)))  # the logistic distribution function
    truth = [*np.diff(cumulative), 1 - cumulative[-1], 1 - cumulative[0]]
    found = largest_difference([*cells, atom, cells.sum() + atom], truth)
    claim("T4", "p_w of the sigmoid is logistic, with its atom", found, 1e-14)


BANDS = {"A": (-3.8, 1.0), "B": (-8.0, 1.05)}  # where e is too large, one unit wide, and by what


def test_t5_a_model_with_a_better_elbo_everywhere_loses(claim):
    """L_A ≤ L_B at every level, yet the weightings that are not monotone, and only they, prefer B.

    The excess loss by quad over the band, and as the signed mixture of the excess in L.
    """
    levels = np.linspace(-10, 10, 20_001)

    def excess_elbo(log_snr, low, mass):
        return 0.5 * mass * np.clip(log_snr - low, 0, 1)  # ½∫ of a band from λ_min up to λ

    assert (excess_elbo(levels, *BANDS["A"]) <= excess_elbo(levels, *BANDS["B"])).all()
    found, prefer_b = 0.0, set()
    for name, w in WEIGHTINGS.items():
        loss, (masses, atom) = {}, level_masses(w, levels)
        for model, (low, mass) in BANDS.items():
            kinks = [-3.3077] if model == "A" else None
            loss[model] = mass * quad(w, low, low + 1, points=kinks)[0] / 2
            right = masses @ excess_elbo((levels[1:] + levels[:-1]) / 2, low, mass)
            found = max(found, abs(loss[model] - right - atom * mass / 2) / loss[model])
        if loss["B"] < loss["A"]:
            prefer_b.add(name)
        assert is_monotone(w) == (name in MONOTONE)
    claim("T5", "excess loss = signed sum of excess ELBOs", found, 1e-6)
    assert prefer_b == PUBLISHED.keys() - MONOTONE


def test_t5_an_ordered_pair_is_never_reversed_exactly_if_w_is_monotone():
    """w monotone ⇔ (L_A ≤ L_B at every level ⇒ L_w(A) ≤ L_w(B)), on 400 random ordered pairs.

    Each model errs in three bands one unit wide; each of A's is cleaner than B's, and no heavier.
    """
    rng, levels, inside = np.random.default_rng(0), np.linspace(-10, 10, 801), np.linspace(0, 1, 51)
    of_b, of_a = np.sort(rng.uniform(-10, 9, (2, 3, 400)), axis=0)
    mass = rng.uniform(0.7, 1, (3, 400))  # of A's bands, where B's is 1
    excess_b, excess_a = (np.clip(levels[:, None, None] - low, 0, 1) for low in (of_b, of_a))
    assert np.all(np.sum(mass * excess_a, axis=1) <= np.sum(excess_b, axis=1) + 1e-12)
    for name, w in WEIGHTINGS.items():
        height_b, height_a = (w(low + inside[:, None, None]).mean(axis=0) for low in (of_b, of_a))
        loss_b, loss_a = np.sum(height_b, axis=0), np.sum(mass * height_a, axis=0)
        assert np.any(loss_b < loss_a * (1 - 1e-9)) == (name not in MONOTONE), name


def test_t5_how_much_enters_with_a_minus_sign(claim):
    """From L and dw, against the growth of the loss, from e alone, when w is made monotone.

    The growth leaves out L(1) times all that w rises by, as a constant does not change.
    """
    errors, found = error_curve(), 0.0
    constant = float(errors.at(-10.0)[1])
    for name, w in WEIGHTINGS.items():
        share, loss, over = (
            elbo.negative_share(w, errors),
            weighted_loss(w, errors),
            made_monotone(w),
        )
        grown = (weighted_loss(over, errors) - loss + (over(-10.0) - w(-10.0)) * constant) / loss
        found = max(found, abs(share - grown))
        assert (share < 1e-9) == (name in MONOTONE), name
    claim("T5", "minus-sign share = growth of L_w if made monotone", found, 1e-6)
    assert elbo.negative_share(WEIGHTINGS["edm"], errors, -3.3) == pytest.approx(0, abs=1e-9)


def test_t5_both_models_exist():
    """ε̂ = ε* + δ with δ² the bump costs all galaxies ½ its area; B is better for some of them."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)

    def excess(low, mass):
        """Of each galaxy, where the cross term −2δ E[ε − ε*|x] decides."""
        levels, delta, found = np.linspace(low, low + 1, 81), np.sqrt(mass), []
        for level in levels:
            a, s = amplitudes(level)
            z = a * galaxies() + s * nodes
            ideal = galaxies_mixture().eps(z.reshape(-1, 1), level).reshape(z.shape)
            found.append((delta**2 - 2 * delta * (nodes - ideal)) @ weights / weights.sum())
        return np.trapezoid(found, levels, axis=0) / 2

    a, b = excess(*BANDS["A"]), excess(*BANDS["B"])
    assert abs(a.mean() - 0.5) < 1e-12 and abs(b.mean() - 0.525) < 1e-12
    assert np.sum(b < a) == 36


@pytest.mark.parametrize("x", [None, -1.5, 0.4])
@pytest.mark.parametrize("model", [HILLS, OTHER], ids=["right", "wrong"])
def test_t6_path_kl_is_marginal_kl_for_a_mixture(model, x, claim):
    """L(1) + ½∫e, from denoising errors, against KL(q(z_t|x) ‖ p_t) from densities."""
    truth = HILLS if x is None else point(x)
    errors, start, found = curve(HILLS, model, x), error_and_kl(truth, model, -8.0)[1], 0.0
    for level in (-4.0, 0.0, 2.5, 6.0):
        path = start + weighted_loss(np.ones_like, errors, -8.0, level)
        found = max(found, abs(path - error_and_kl(truth, model, level)[1]))
    claim("T6", "path KL = marginal KL, right and wrong mixture", found, 1e-8)


def test_t6_for_any_denoiser_the_path_costs_more(claim):
    """path = marginal + ½∫g²E‖s_θ − ∇log p‖², for a wilful linear ε̂, where p_t stays Gaussian.

    In λ, where g² |dt| = σ² dλ: the reverse SDE dz = (½σ²z − σε̂) dλ + σ dW carries N(m, v) along.
    """
    x, low, high, start = 0.7, -3.0, 2.0, (0.1, 0.9)  # start: mean and variance of p at λ_min

    def rate(level, y):
        m, v = y[:2]
        (a, s), (slope, offset) = amplitudes(level), wilful(level)
        drift = 0.5 * s**2 - s * slope
        # s_θ − ∇log p = −ε̂/σ + (z − m)/v, linear in z, with z ~ N(αx, σ²)
        gain = -slope / s + 1 / v
        mismatch = (gain * a * x - offset / s - m / v) ** 2 + (gain * s) ** 2
        moments = [drift * m - s * offset, 2 * drift * v + s**2]
        return [*moments, linear_error(x, wilful, level) / 2, s**2 * mismatch / 2]

    solved = solve_ivp(rate, (low, high), [*start, 0, 0], rtol=1e-12, atol=1e-13, method="DOP853")
    m, v, path, score = solved.y[:, -1]
    a, s = amplitudes(np.array([low, high]))
    path += gaussian_kl(a[0] * x, s[0] ** 2, *start)
    marginal = gaussian_kl(a[1] * x, s[1] ** 2, m, v)
    claim("T6", "path = marginal + ½∫g²E‖Δs‖², any ε̂", abs(path - marginal - score), 1e-11)
    assert path > marginal + 0.05


def test_t7_one_step_costs_exactly_this(claim):
    """KL(q(z_s|z_t, x) ‖ p(z_s|z_t)) averaged over z_t, two Gaussians of one variance."""
    x, found = 0.4, 0.0
    nodes = np.linspace(-9, 9, 451)
    mass = norm.pdf(nodes) * (nodes[1] - nodes[0])
    for level, gap in [(-5.0, 0.1), (-1.0, 2.0), (2.0, 0.5), (4.0, 3.0)]:
        a, s = amplitudes(level)
        z = a * x + s * nodes
        predicted = eps_hat(OTHER, z, level)
        mean, variance = forward.posterior(z, np.full_like(z, x), level, level + gap)
        keep, direction, noise = ddim_coefficients(level, level + gap, eta=1.0)
        kl = mass @ gaussian_kl(mean, variance, keep * z + direction * predicted, noise**2)
        truth = 0.5 * np.expm1(gap) * (mass @ (nodes - predicted) ** 2)
        found = max(found, abs(kl / truth - 1))
    claim("T7", "one-step KL = ½(e^{Δλ} − 1)E‖ε − ε̂‖²", found, 1e-12)


def test_t7_gap_to_continuous_time(claim):
    """T·gap → (λ_max − λ_min)/2 · [ΔL − ½Δe] = 35.03 for the galaxies on [−10, 10]."""
    errors = error_curve()
    (e_low, e_high), (kl_low, kl_high) = errors.at([-10.0, 10.0])
    predicted = 10 * ((kl_high - kl_low) - 0.5 * (e_high - e_low))
    assert predicted == pytest.approx(35.03, abs=5e-3)

    def gap(n):
        levels = np.linspace(-10, 10, n + 1)
        return np.sum(0.5 * np.expm1(20 / n) * errors.at(levels[:-1])[0]) - (kl_high - kl_low)

    assert [gap(64), gap(128)] == pytest.approx([0.607, 0.288], abs=5e-4)
    assert 256 * gap(256) == pytest.approx(35.92, abs=5e-3)
    values = [n * gap(n) for n in (256, 512, 1024, 2048)]
    claim("T7", "constant 35.03 of the gap", abs(limit_of(values) / predicted - 1), 1e-5)


@pytest.mark.parametrize("x", [-2.2, 1.3])
def test_t8_negative_log_likelihood(x, claim):
    model = GaussianMixture.from_data(galaxies(), 0.3)
    errors = curve(model, model, x, -18.0, 24.0, 337)
    truth = -KernelDensity(bandwidth=0.3).fit(galaxies()).score_samples([[x]])[0]
    found = abs(elbo.negative_log_likelihood(errors) - truth)
    claim("T8", "−log p(x) from denoising errors", found, 1e-6)


@pytest.mark.parametrize("points", [X, np.delete(X, 40), np.array([-1.0, 1.0])], ids=len)
def test_t8_counting_by_denoising(points, claim):
    data = galaxies_mixture() if points is X else GaussianMixture.from_data(points)
    errors = curve(data, data, None, -14.0, 22.0, 109)
    below = errors.noise_error[0] / 2  # ½∫e below −14, where e is proportional to e^λ
    counted, n = np.exp(weighted_loss(np.ones_like, errors) + below), len(points)
    claim("T8", f"exp(½∫e dλ) counts {n}", abs(counted - n), 5e-5)


def test_t8_the_memorisers_bound(claim):
    """L(0;x) → log 82, from log densities alone, for every ninth galaxy."""
    data, levels = galaxies_mixture(), np.linspace(21, 22, 6)
    last = [ErrorCurve.from_mixtures(data, x=x, log_snr=levels).path_kl[-1] for x in X[::9]]
    claim("T8", "L(0;x) → log 82 = 4.4067", largest_difference(last, np.log(82)), 1e-9)
    wide = ErrorCurve.from_mixtures(data, log_snr=np.linspace(13, 14, 6))
    assert wide.path_kl[-1] == pytest.approx(4.234, abs=5e-4)
    assert error_curve().path_kl[-1] == pytest.approx(3.70, abs=5e-3)


def test_t8_information_and_minimal_error(claim):
    """dI/dsnr = ½ mmse over x (Guo, Shamai & Verdú): I from densities, mmse from posteriors."""
    found = 0.0
    for level in (-3.0, 0.0, 2.0):
        slope = derivative(lambda s: error_and_kl(HILLS, HILLS, s)[1], level, 0.05)  # dI/dλ
        mmse = error_and_kl(HILLS, HILLS, level)[0] * np.exp(-level)
        found = max(found, abs(slope * np.exp(-level) - mmse / 2) / mmse)  # dλ = dsnr/snr
    claim("T8", "dI/dsnr = ½ mmse", found, 1e-9)
