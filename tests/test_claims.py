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
from scipy.special import expit, logsumexp
from scipy.stats import norm
from sklearn.neighbors import KernelDensity
from test_published import TABLE
from truths import HILLS, amplitudes, eps_hat, error_and_kl, point

from course_utils import exact
from course_utils.datasets import galaxies, velocity_scale
from course_utils.elbo import (
    ErrorCurve,
    elbo_parts,
    loss_draws,
    negative_log_likelihood,
    negative_share,
    sum_of_elbos,
    weighted_loss,
)
from course_utils.forward import chain_steps, posterior, simulate, state_moments
from course_utils.forward import transition as exact_transition
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import PUBLISHED, published
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

GALAXIES = galaxies()[:, 0]
FEW = GaussianMixture.from_data(galaxies()[::4])
OTHER = GaussianMixture([0.5, 0.3, 0.2], [[-1.0], [0.5], [2.0]], [0.3, 0.1, 0.5])  # wrong for HILLS
CLOSED_FORMS = {name: form for name, (form, _, _) in TABLE.items()}
MONOTONE = {name for name, (_, monotone, _) in TABLE.items() if monotone}


def derivative(f, at, step):
    """Central differences of sixth order."""
    weights = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    return sum(c * (f(at + k * step) - f(at - k * step)) for k, c in weights.items()) / step


@cache
def curve(truth, model, x=None, low=-10.0, high=10.0, n=161):
    return ErrorCurve.from_mixtures(truth, model, x=x, log_snr=np.linspace(low, high, n))


def sampled(draws, truth):
    """How many standard errors the mean of draws is off."""
    return standard_errors_off(draws.mean(), draws.std(ddof=1) / np.sqrt(len(draws)), truth)


def gaussian_kl(mean, variance, other_mean, other_variance):
    """KL(N(mean, variance) ‖ N(other_mean, other_variance)) on the line."""
    ratio = variance / other_variance
    return 0.5 * (ratio - 1 - np.log(ratio) + (mean - other_mean) ** 2 / other_variance)


@cache
def implied(name):
    return published(name).implied_weighting().normalised()


# --- a model whose whole path is one Gaussian --------------------------------------------------


class GaussianPath:
    """q(z_{N:0}|x) and the ancestral p(z_{N:0}) of a linear ε̂ = c z + b, as joint Gaussians.

    Levels λ_0 < … < λ_N increase from noise to data; index i of mean and covariance is z_i. The
    reverse kernel is q(z_s|z_t, x̂) with x̂ = (z_t − σ_t ε̂)/α_t, written out again here; the prior
    p(z_0) is N(prior_mean, prior_variance).
    """

    def __init__(self, x, levels, slope, offset, prior_mean, prior_variance):
        self.x, self.levels = x, np.asarray(levels)
        a, s = amplitudes(self.levels)
        slope, offset = np.asarray(slope), np.asarray(offset)
        # E(ε − ε̂)² under q(z_t|x), in closed form
        self.error = (slope * a * x + offset) ** 2 + (1 - slope * s) ** 2
        # q: of two states the noisier is α_noisy/α_clean times the cleaner, plus fresh noise
        self.q_mean = a * x
        noisy = np.minimum.outer(np.arange(len(a)), np.arange(len(a)))
        clean = np.maximum.outer(np.arange(len(a)), np.arange(len(a)))
        self.q_cov = a[noisy] / a[clean] * s[clean] ** 2
        # p: z_{i+1} = k_i z_i + m_i + √v_i ε, unrolled into a lower triangle
        n = len(a)
        self.p_mean, factor = np.empty(n), np.zeros((n, n))
        self.p_mean[0], factor[0, 0] = prior_mean, np.sqrt(prior_variance)
        for i in range(n - 1):
            kept = np.exp(self.levels[i] - self.levels[i + 1])
            to_x = a[i + 1] * (1 - kept)
            k = a[i + 1] / a[i] * kept + to_x * (1 - s[i] * slope[i]) / a[i]
            self.p_mean[i + 1] = k * self.p_mean[i] - to_x * s[i] * offset[i] / a[i]
            factor[i + 1] = k * factor[i]
            factor[i + 1, i + 1] = s[i + 1] * np.sqrt(1 - kept)
        self.p_factor = factor

    def kl(self, n=None):
        """KL(q(z_0 … z_{n−1}|x) ‖ p) of the first n states: noise first."""
        n = len(self.levels) if n is None else n
        inverse = np.linalg.inv(self.p_factor[:n, :n])  # triangular
        gap = inverse @ (self.p_mean[:n] - self.q_mean[:n])
        product = inverse @ self.q_cov[:n, :n] @ inverse.T
        log_det = 2 * np.log(np.diag(self.p_factor[:n, :n])).sum()
        log_det -= np.linalg.slogdet(self.q_cov[:n, :n])[1]
        return 0.5 * (np.trace(product) - n + gap @ gap + log_det)


def ideal(mean, variance, low):
    """For data N(mean, variance): slope and offset of E[ε|z] as functions of λ; p at λ = low."""

    def linear(log_snr):
        a, s = amplitudes(log_snr)
        total = a**2 * variance + s**2
        return s / total, -s * a * mean / total

    a, s = amplitudes(low)
    return linear, (a * mean, a**2 * variance + s**2)


def limit_of(values):
    """The limit of values at N, 2N, 4N, … whose error is a power series in 1/N (Richardson)."""
    values = list(values)
    for order in range(1, len(values)):
        pairs = itertools.pairwise(values)
        values = [(2**order * fine - coarse) / (2**order - 1) for coarse, fine in pairs]
    return values[0]


def joint_kl(x, low, high, linear, prior):
    """KL of the joint laws of N states, N → ∞; ``linear`` gives slope and offset at levels."""
    grids = (np.linspace(low, high, n + 1) for n in (32, 64, 128, 256))
    return limit_of(GaussianPath(x, levels, *linear(levels), *prior).kl() for levels in grids)


def wilful(log_snr):
    """A linear ε̂ that is no score of anything in particular: slope and offset, smooth in λ."""
    return 0.6 + 0.3 * np.sin(log_snr), 0.2 * np.cos(2 * log_snr)


# --- S1: the discrete recursion ----------------------------------------------------------------


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
    exact = Fraction(1)
    for beta in ddpm_betas():
        exact *= 1 - Fraction(float(beta))
    found = abs(alpha_bar(ddpm_betas())[-1] / float(exact) - 1)
    claim("S1", "ᾱ_1000 of DDPM against rational arithmetic", found, 1e-12)
    assert float(exact) == pytest.approx(4.0358e-5, rel=1e-5)
    for short, left in [(ddpm_betas(100), 0.364), (ddpm_betas()[:100], 0.897)]:
        assert alpha_bar(short)[-1] == pytest.approx(left, abs=5e-4)


def test_s1_simulation_of_the_galaxies(claim):
    rng, betas = np.random.default_rng(1), ddpm_betas(100)
    x0 = np.repeat(galaxies()[:, 0], 300)
    kept = alpha_bar(betas)[-1]
    noise = simulate(x0, chain_steps(betas), rng) - np.sqrt(kept) * x0
    off = max(sampled(noise, 0.0), sampled(noise**2, 1 - kept))
    claim("S1", "simulated mean and variance, 24,600 particles", off, 6, "standard errors")


# --- S2: the limit Δ → 0 -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "constant"), [("right", -76.95), ("mid", -67.00), ("left", -57.05)]
)
def test_s2_constant_of_the_chains_error(rule, constant, claim):
    """−½[c(β(1) − β(0)) + ∫β²] with c = 1, 0, −1, against N·error extrapolated to N = ∞."""
    schedule, integral = LinearBeta(), (0.1 + 20) / 2
    squared = (20**3 - 0.1**3) / (3 * 19.9)
    predicted = -0.5 * ({"right": 1, "mid": 0, "left": -1}[rule] * 19.9 + squared)
    assert predicted == pytest.approx(constant, abs=6e-3)  # as printed
    errors = [
        n * (np.log1p(-discrete_betas(schedule, n, rule)).sum() + integral)
        for n in (1000, 2000, 4000, 8000)
    ]
    found = abs(limit_of(errors) / predicted - 1)
    claim("S2", "constants −76.95, −67.00, −57.05 of the chain's error", found, 1e-8)
    assert errors[-1] == pytest.approx(predicted, rel=3e-3)


def test_s2_exact_steps_have_no_error(claim):
    schedule = LinearBeta(log_snr_max=10)
    start, end = expit(schedule.log_snr_max), expit(schedule.log_snr_min)
    found = max(
        abs(np.log1p(-discrete_betas(schedule, n)).sum() - np.log(end / start))
        for n in (1, 2, 7, 100, 5000)
    )
    claim("S2", "'exact' rule: no error at N = 1, 2, 7, 100, 5000", found, 1e-11)


def test_s2_the_sde_moments_solve_their_differential_equations(claim):
    """dm/dt = −½βm and dv/dt = β(1 − v), integrated by scipy, against the exact transition."""
    schedule = LinearBeta()

    def rate(t, y):
        beta = 0.1 + 19.9 * t
        return [-beta * y[0] / 2, beta * (1 - y[1])]

    solved = solve_ivp(
        rate, (0, 0.3), [1.5, 0.0], rtol=1e-12, atol=1e-14, method="DOP853", dense_output=True
    )
    t = np.array([0.02, 0.1, 0.3])
    decay, noise = exact_transition(np.inf, schedule.log_snr(t))
    found = largest_difference([1.5 * decay, noise**2], solved.sol(t))
    claim("S2", "moments of dx = −½βx dt + √β dW", found, 1e-11)


def test_s2_taylor_expansion_of_one_step(claim):
    """√(1 − βΔ) = 1 − βΔ/2 − (βΔ)²/8 − …: what S2 drops is of second order, with this constant."""
    steps = np.array([1e-2, 5e-3, 2.5e-3, 1.25e-3])
    dropped = (chain_steps(steps).decay - (1 - steps / 2)) / steps**2
    claim("S2", "second-order constant −1/8 of √(1−βΔ)", abs(limit_of(dropped) + 1 / 8), 1e-9)


# --- S3: the weighted loss ---------------------------------------------------------------------


def test_s3_fifteen_objectives_imply_their_weightings(claim):
    assert set(CLOSED_FORMS) == set(PUBLISHED)
    found = 0.0
    for name, closed in CLOSED_FORMS.items():
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
    x, low, high = 0.4, -6.0, 6.0
    t_ends = [2 / np.pi * np.arctan(np.exp(-end / 2)) for end in (high, low)]
    w = CLOSED_FORMS[name]

    def integrand(t):  # the cosine schedule, written out
        log_snr = -2 * np.log(np.tan(np.pi * t / 2))
        ml = np.pi / np.sin(np.pi * t)
        a, s = amplitudes(log_snr)
        return w(log_snr) * ml * mass @ (noise - eps_hat(OTHER, a * x + s * noise, log_snr)) ** 2

    kinks = [2 / np.pi * np.arctan(np.exp(-np.log(5) / 2))]
    left = quad(integrand, *t_ends, points=kinks, epsabs=0, epsrel=1e-8, limit=100)[0]
    right = weighted_loss(w, curve(HILLS, OTHER, x), low, high)
    claim("S3", "L_w by its definition, quadrature in t and ε", abs(left / right - 1), 1e-8)


def test_s3_the_inverse_of_w_ml_gives_the_plain_loss(claim):
    schedule = Cosine(log_snr_min=-8, log_snr_max=8)
    errors = curve(HILLS, OTHER)
    plain = quad(lambda t: float(errors.at(schedule.log_snr(t))[0]), 0, 1, epsrel=1e-10)[0]
    weighted = weighted_loss(lambda s: 2 * schedule.density(s), errors, -8, 8)
    claim("S3", "w = 1/w_ML is the plain ε-loss", abs(weighted / plain - 1), 1e-8)


# --- S4: the ELBO term as the KL of paths ------------------------------------------------------


def test_s4_path_kl_of_a_whole_gaussian_path(claim):
    """KL of the joint law of N states, N → ∞, against the curve's L at the last level."""
    x, mean, variance, low, high = 0.7, 0.2, 0.3, -4.0, 3.0
    found = joint_kl(x, low, high, *ideal(mean, variance, low))
    model = GaussianMixture([1.0], [[mean]], [variance])
    exact = float(curve(model, model, x).at(high)[1])
    claim("S4", "L(t;x) = KL of joint paths, N → ∞", abs(found - exact), 1e-7)


# --- S5 and T3: the sum of ELBOs ---------------------------------------------------------------

RANGES = [(-10.0, 10.0), (-6.0, 4.0), (0.0, 1.0)]
CASES = [("right", 0), ("right", 82), ("wrong", 0), ("wrong", 40)]  # galaxy 0 is the average


def residual(w, errors, span):
    left = weighted_loss(w, errors, *span)
    return abs(left - sum_of_elbos(w, errors, *span)) / abs(left)


@pytest.mark.parametrize("name", PUBLISHED)
def test_t3_both_sides_agree_and_one_percent_of_e_is_seen(name, claim):
    w = implied(name)
    found = max(
        residual(w, error_curve(model, galaxy), span)
        for (model, galaxy), span in itertools.product(CASES, RANGES)
    )
    claim("T3", "both sides of S5: objectives × models × points × ranges", found, 1e-6)
    assert all(residual(w, spoilt_curve(), span) > 1e-3 for span in RANGES)


@cache
def spoilt_curve():
    right = error_curve("wrong", 40)
    return ErrorCurve(right.log_snr, 1.01 * right.noise_error, right.path_kl)


def test_t3_the_path_kl_is_not_made_of_the_error_curve(monkeypatch):
    """Accumulating e gives an L with which even a random e passes: such a check is worth nothing.

    So the two tables must come from different numbers: spoiling the posterior variance moves e and
    not L; spoiling the model's log density moves L and not e.
    """

    def tabulate():
        return ErrorCurve.from_mixtures(HILLS, OTHER, log_snr=np.linspace(-5, 5, 11))

    before, posterior_of = tabulate(), exact._Line.posterior

    def spoil(law, row):
        """log q, E[ε|z] and Var(ε|z) are rows 0, 1, 2: the truth has two components."""

        def posterior(self, *given):
            found = posterior_of(self, *given)
            if len(self.means) == len(law.means):
                found[row] *= 1.01
            return found

        monkeypatch.setattr(exact._Line, "posterior", posterior)
        return tabulate()

    spoilt = spoil(HILLS, 2)  # other cells may be halved
    assert largest_difference(spoilt.path_kl, before.path_kl) < 1e-9
    assert (spoilt.noise_error > before.noise_error).all()
    spoilt = spoil(OTHER, 0)
    assert largest_difference(spoilt.noise_error, before.noise_error) < 1e-9
    assert (np.abs(spoilt.path_kl - before.path_kl) > 1e-3).all()


@pytest.mark.parametrize("name", PUBLISHED)
def test_s5_the_constant_behind_the_proportionality(name, claim):
    """S5 without T3's last term misses exactly w(λ_min) L(1;x), which no parameter touches."""
    w, span = implied(name), (-2.0, 10.0)
    errors = error_curve("wrong")
    middle, atom, constant = elbo_parts(w, errors, *span)
    hidden = float(w(-2.0)) * float(errors.at(-2.0)[1])
    left = weighted_loss(w, errors, *span)
    found = abs(middle + atom - left - hidden) / abs(left)
    claim("S5", "the constant that ∝ hides, w(λ_min)·L(1;x)", found, 1e-6)
    assert constant == pytest.approx(-hidden, rel=1e-9)


def test_t3_abel_summation_at_finite_t(claim):
    """Σ w_j K_j = w_1 L_0 + Σ (w_{i+1} − w_i) L_i − w_T L_T: K by T7's formula, L as joint KLs."""
    n = 12
    levels = np.linspace(-4, 3, n + 1)  # index n is data (time 0), index 0 is noise (time T)
    path = GaussianPath(0.7, levels, *wilful(levels), 0.1, 0.9)
    step_cost = 0.5 * np.expm1(np.diff(levels)) * path.error[:-1]
    kl = np.array([path.kl(i + 1) for i in range(n + 1)])[::-1]  # L_0 … L_T, time upwards
    cost = step_cost[::-1]  # K_1 … K_T
    w = np.random.default_rng(3).normal(size=n)  # any w, signs included
    right = w[0] * kl[0] + np.sum(np.diff(w) * kl[1:-1]) - w[-1] * kl[-1]
    claim("T3", "Abel summation, finite T, random w", abs(w @ cost - right), 1e-13)


# --- S6: augmentation and smoothing ------------------------------------------------------------


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
    decay, noise = exact_transition(log_snr, target)

    def further(z):
        def joint(y):
            return np.exp(middle.log_prob([[y]])[0]) * norm.pdf(z, decay * y, noise)

        return quad(joint, -6, 6, points=np.linspace(-3, 3, 40), epsabs=1e-11, limit=400)[0]

    z = np.linspace(-3, 3, 7)
    direct = np.exp(galaxies_mixture().diffuse(target).log_prob(z[:, None]))
    found = largest_difference([further(each) for each in z], direct)
    claim("S6", "smoothing in two steps = in one", found, 1e-11)


# --- S7: which levels matter -------------------------------------------------------------------


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


# --- T1: invariance to the schedule ------------------------------------------------------------

SCHEDULES = {
    "linear β": LinearBeta(log_snr_min=-8, log_snr_max=8),
    "cosine": Cosine(log_snr_min=-8, log_snr_max=8),
    "flow matching": FlowMatching(log_snr_min=-8, log_snr_max=8),
    "linear λ": LinearLogSnr(log_snr_min=-8, log_snr_max=8),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_t1_the_integral_in_time(name, claim):
    schedule, errors, w = SCHEDULES[name], curve(HILLS, OTHER), implied("edm")

    def integrand(t):
        log_snr = schedule.log_snr(t)
        return -0.5 * schedule.log_snr_rate(t) * w(log_snr) * errors.at(log_snr)[0]

    # where the rate is steep near the ends, tell quad
    ends = [float(schedule.time(level)) for level in (6.0, 3.0, 0.0, -3.0, -6.0)]
    value = quad(integrand, 0, 1, points=ends, epsabs=0, epsrel=1e-10, limit=500)[0]
    found = abs(value / weighted_loss(w, errors, -8, 8) - 1)
    claim("T1", "same L_w for four schedules, quadrature in t", found, 1e-8)


@pytest.mark.parametrize("name", SCHEDULES)
def test_t1_the_estimate(name, claim):
    x, rng = galaxies()[::4], np.random.default_rng(5)
    exact = weighted_loss(sigmoid(0), curve(FEW, OTHER), -8, 8)
    clean = x[rng.integers(len(x), size=100_000)]
    noise, t = rng.standard_normal(clean.shape), rng.random(len(clean))
    draws = loss_draws(sigmoid(0), OTHER.eps, clean, noise, t, SCHEDULES[name])
    off = sampled(draws, exact)
    claim("T1", "same L_w for four schedules, sampled t", off, 6, "standard errors")


def test_t1_held_in_time_the_weighting_is_another():
    """The contrast: w fixed as a function of t gives another loss with another schedule."""
    values = [
        weighted_loss(lambda s, c=schedule: 1 - c.time(s), curve(HILLS, OTHER), -8, 8)
        for schedule in SCHEDULES.values()
    ]
    assert min(abs(a / b - 1) for a, b in itertools.combinations(values, 2)) > 1e-2


# --- T2: the derivative of L -------------------------------------------------------------------


@pytest.mark.parametrize("x", [None, -1.5, 0.4])
def test_t2_differences_of_an_independent_l(x, claim):
    """dL/dt = ½ λ'(t) e(λ_t) ≤ 0 on the cosine schedule; L from densities, e from posteriors."""
    truth, found = HILLS if x is None else point(x), 0.0

    def level(t):
        return -2 * np.log(np.tan(np.pi * t / 2))

    for t in (0.15, 0.5, 0.85):
        slope = derivative(lambda u: error_and_kl(truth, OTHER, level(u))[1], t, 4e-3)
        log_snr, rate = level(t), -2 * np.pi / np.sin(np.pi * t)
        error, kl_here = error_and_kl(truth, OTHER, log_snr)
        assert slope < 0
        found = max(found, abs(slope - rate * error / 2) / abs(slope))
        # and the package's two curves are those
        e, kl = curve(HILLS, OTHER, x).at(log_snr)
        assert e == pytest.approx(error, rel=1e-7)
        assert kl == pytest.approx(kl_here, rel=1e-7, abs=1e-9)
    claim("T2", "dL/dt = ½λ'e, wrong model, averaged and for one x", found, 1e-8)


def test_t2_holds_for_any_denoiser(claim):
    """A wilful linear ε̂: the KL of joint paths, N → ∞, against L(1) + ½∫e by quad."""
    x, low, high = 0.7, -3.0, 2.0
    prior = 0.1, 0.9

    def error(s):
        a, sd = amplitudes(s)
        slope, offset = wilful(s)
        return (slope * a * x + offset) ** 2 + (1 - slope * sd) ** 2

    found = joint_kl(x, low, high, wilful, prior)
    first = GaussianPath(x, np.array([low]), [0.0], [0.0], *prior).kl()
    exact = first + quad(error, low, high, epsabs=1e-12)[0] / 2
    claim("T2", "L = L(1) + ½∫e for an ε̂ that is no score", abs(found - exact), 1e-6)


# --- T4: monotone weightings as augmentation ---------------------------------------------------


@pytest.mark.parametrize("name", sorted(MONOTONE))
def test_t4_levels_drawn_from_p_w_give_the_weighted_loss(name, claim):
    """L_w/w(λ_min) = E_{p_w}[−log p(z) − ½ log 2πeσ²] − L(1), z noised to a level of p_w."""
    w, rng = implied(name), np.random.default_rng(6)
    off = augmented_loss_off(w, sample_levels(w, 40_000, rng, -3.0, 6.0), rng)
    claim("T4", "L_w is the ELBO of data noised to levels of p_w", off, 6, "standard errors")


def test_t4_levels_drawn_from_p_do_not():
    """The classic confusion: p_w is not the density that training samples."""
    rng = np.random.default_rng(6)
    cosine = Cosine(log_snr_min=-3, log_snr_max=6)
    for w in (implied("sigmoid"), implied("truncated_snr")):
        assert augmented_loss_off(w, cosine.log_snr(rng.random(40_000)), rng) > 20


def augmented_loss_off(w, levels, rng, low=-3.0, high=6.0):
    """How far E[L] over data noised to ``levels`` is from L_w, in standard errors."""
    n, errors = len(levels), curve(HILLS, OTHER)
    a, s = amplitudes(levels)
    z = a * HILLS.sample(n, rng)[:, 0] + s * rng.standard_normal(n)
    # the model's log density, each z at its own level; for a mixture the ELBO is tight
    scale = np.sqrt(a[:, None] ** 2 * OTHER.variances + s[:, None] ** 2)
    joint = norm.logpdf(z[:, None], a[:, None] * OTHER.means[:, 0], scale)
    elbo = logsumexp(joint, b=OTHER.weights, axis=1)
    draws = -elbo - 0.5 * np.log(2 * np.pi * np.e * s**2)
    exact = weighted_loss(w, errors, low, high) / float(w(low)) + float(errors.at(low)[1])
    return sampled(draws, exact)


def test_t4_l_is_minus_the_elbo_of_noised_data(claim):
    """L(t;x) = −E[ELBO_t] − ½ log 2πeσ², the ELBO built step by step: prior, then joint paths."""
    x, mean, variance, low, high = -0.4, 0.2, 0.3, -4.0, 1.0
    a, s = amplitudes(high)
    total = a**2 * variance + s**2

    def integrand(z):
        return norm.pdf(z, a * x, s) * norm.logpdf(z, a * mean, np.sqrt(total))

    expected_elbo = quad(integrand, -9, 9, points=[a * x], epsabs=1e-13)[0]
    right = -expected_elbo - 0.5 * np.log(2 * np.pi * np.e * s**2)
    left = joint_kl(x, low, high, *ideal(mean, variance, low))
    claim("T4", "L = −E[ELBO_t] − ½d log 2πeσ², d = 1", abs(left - right), 1e-7)


def test_t4_p_w_of_the_sigmoid_is_a_truncated_logistic(claim):
    grid, bias = np.linspace(-6, 6, 241), 0.5
    cells, atom = level_masses(sigmoid(bias), grid)
    exact = np.diff(1 / (1 + np.exp(-(grid - bias))))  # the logistic distribution function
    found = max(
        largest_difference(cells, exact),
        abs(atom - 1 / (1 + np.exp(6 - bias))),
        abs(cells.sum() + atom - 1 / (1 + np.exp(-6 - bias))),
    )
    claim("T4", "p_w of the sigmoid is logistic, with its atom", found, 1e-14)


# --- T5: weightings that are not monotone ------------------------------------------------------


BANDS = {"A": (-3.8, 1.0), "B": (-8.0, 1.05)}  # where e is too large, one unit wide, and by what


def excess_elbo(log_snr, low, mass):
    """½∫ of a band from λ_min up to λ."""
    return 0.5 * mass * np.clip(log_snr - low, 0, 1)


def test_t5_a_model_with_a_better_elbo_everywhere_loses(claim):
    """L_A ≤ L_B at every level, yet the weightings that are not monotone, and only they, prefer B.

    The excess loss by quad over the band, and as the signed mixture of the excess in L.
    """
    levels = np.linspace(-10, 10, 20_001)
    middle = (levels[1:] + levels[:-1]) / 2
    assert (excess_elbo(levels, *BANDS["A"]) <= excess_elbo(levels, *BANDS["B"])).all()
    found, prefer_b = 0.0, set()
    for name in PUBLISHED:
        w, loss = implied(name), {}
        masses, atom = level_masses(w, levels)
        for model, (low, mass) in BANDS.items():
            kinks = [-3.3077] if model == "A" else None
            loss[model] = mass * quad(w, low, low + 1, points=kinks)[0] / 2
            right = masses @ excess_elbo(middle, low, mass) + atom * mass / 2
            found = max(found, abs(loss[model] - right) / loss[model])
        if loss["B"] < loss["A"]:
            prefer_b.add(name)
        assert is_monotone(w) == (name in MONOTONE)
    claim("T5", "excess loss = signed sum of excess ELBOs", found, 1e-6)
    assert prefer_b == PUBLISHED.keys() - MONOTONE


def ordered_pair(rng):
    """(level of B, level of A, mass of A) of three bands one unit wide, where B's mass is 1.

    Each of A's bands is cleaner than its partner and no heavier: L_A ≤ L_B at every level.
    """
    low = np.sort(rng.uniform(-10, 9, (2, 3)), axis=0)
    return *low, rng.uniform(0.7, 1, 3)


def prefers_b(w, of_b, of_a, mass):
    """Whether ½∫ w e is smaller for B, by plain means over the bands."""
    inside = np.linspace(0, 1, 51)
    height_b, height_a = (w(low[:, None] + inside).mean(axis=1) for low in (of_b, of_a))
    return height_b.sum() < mass @ height_a * (1 - 1e-9)


def test_t5_an_ordered_pair_is_never_reversed_exactly_if_w_is_monotone():
    """w monotone ⇔ (L_A ≤ L_B at every level ⇒ L_w(A) ≤ L_w(B)), on 400 random ordered pairs."""
    rng, levels = np.random.default_rng(0), np.linspace(-10, 10, 801)
    pairs = [ordered_pair(rng) for _ in range(400)]
    for of_b, of_a, mass in pairs:
        excess = [np.clip(levels[:, None] - low, 0, 1) for low in (of_b, of_a)]
        assert (excess[1] @ mass <= excess[0].sum(axis=1) + 1e-12).all()
    found = {name: sum(prefers_b(implied(name), *pair) for pair in pairs) for name in PUBLISHED}
    assert all((found[name] == 0) == (name in MONOTONE) for name in PUBLISHED), found


def test_t5_how_much_enters_with_a_minus_sign(claim):
    """From L and dw, against the growth of the loss, from e alone, when w is made monotone.

    The growth leaves out L(1) times all that w rises by, as a constant does not change.
    """
    errors, found = error_curve(), 0.0
    constant = float(errors.at(-10.0)[1])
    for name in PUBLISHED:
        w, share = implied(name), negative_share(implied(name), errors)
        loss, over = weighted_loss(w, errors), made_monotone(w)
        grown = (weighted_loss(over, errors) - loss + (over(-10.0) - w(-10.0)) * constant) / loss
        found = max(found, abs(share - grown))
        assert (share < 1e-9) == (name in MONOTONE), name
    claim("T5", "minus-sign share = growth of L_w if made monotone", found, 1e-6)
    assert negative_share(implied("edm"), errors, -3.3) == pytest.approx(0, abs=1e-9)


def test_t5_both_models_exist():
    """ε̂ = ε* + δ with δ² the bump costs all galaxies ½ its area; B is better for some of them."""
    x, nodes, weights = galaxies()[:, 0], *np.polynomial.hermite_e.hermegauss(24)

    def excess(low, mass):
        """Of each galaxy, where the cross term −2δ E[ε − ε*|x] decides."""
        levels, delta = np.linspace(low, low + 1, 81), np.sqrt(mass)
        found = np.zeros((len(levels), len(x)))
        for i, level in enumerate(levels):
            a, s = amplitudes(level)
            z = a * x[:, None] + s * nodes
            ideal = galaxies_mixture().eps(z.reshape(-1, 1), level).reshape(z.shape)
            found[i] = (delta**2 - 2 * delta * (nodes - ideal)) @ weights / weights.sum()
        return np.trapezoid(found, levels, axis=0) / 2

    a, b = excess(*BANDS["A"]), excess(*BANDS["B"])
    assert abs(a.mean() - 0.5) < 1e-12 and abs(b.mean() - 0.525) < 1e-12
    assert np.sum(b < a) == 36


# --- T6: KL of paths and KL of marginals -------------------------------------------------------


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
    x, low, high = 0.7, -3.0, 2.0
    start = 0.1, 0.9  # mean and variance of p at λ_min

    def rate(s, y):
        m, v = y[:2]
        a, sd = amplitudes(s)
        slope, offset = wilful(s)
        drift = 0.5 * sd**2 - sd * slope
        error = (slope * a * x + offset) ** 2 + (1 - slope * sd) ** 2
        # s_θ − ∇log p = −ε̂/σ + (z − m)/v, linear in z, with z ~ N(αx, σ²)
        gain = -slope / sd + 1 / v
        offsets = gain * a * x - offset / sd - m / v
        mismatch = offsets**2 + (gain * sd) ** 2
        return [drift * m - sd * offset, 2 * drift * v + sd**2, error / 2, sd**2 * mismatch / 2]

    solved = solve_ivp(rate, (low, high), [*start, 0, 0], rtol=1e-12, atol=1e-13, method="DOP853")
    m, v, path, score = solved.y[:, -1]
    a, s = amplitudes(np.array([low, high]))
    path += gaussian_kl(a[0] * x, s[0] ** 2, *start)
    marginal = gaussian_kl(a[1] * x, s[1] ** 2, m, v)
    claim("T6", "path = marginal + ½∫g²E‖Δs‖², any ε̂", abs(path - marginal - score), 1e-11)
    assert path > marginal + 0.05


# --- T7: the discrete ELBO ---------------------------------------------------------------------


def test_t7_one_step_costs_exactly_this(claim):
    """KL(q(z_s|z_t, x) ‖ p(z_s|z_t)) averaged over z_t, two Gaussians of one variance."""
    x, found = 0.4, 0.0
    nodes = np.linspace(-9, 9, 451)
    mass = norm.pdf(nodes) * (nodes[1] - nodes[0])
    for level, gap in [(-5.0, 0.1), (-1.0, 2.0), (2.0, 0.5), (4.0, 3.0)]:
        a, s = amplitudes(level)
        z = a * x + s * nodes
        predicted = eps_hat(OTHER, z, level)
        mean, variance = posterior(z, np.full_like(z, x), level, level + gap)
        keep, direction, noise = ddim_coefficients(level, level + gap, eta=1.0)
        step = keep * z + direction * predicted
        kl = mass @ gaussian_kl(mean, variance, step, noise**2)
        exact = 0.5 * np.expm1(gap) * (mass @ (nodes - predicted) ** 2)
        found = max(found, abs(kl / exact - 1))
    claim("T7", "one-step KL = ½(e^{Δλ} − 1)E‖ε − ε̂‖²", found, 1e-12)


def test_t7_the_steps_add_up_to_the_kl_of_the_joint_law(claim):
    """Brute force: one matrix for all states, no formula for a step."""
    levels = np.linspace(-4, 3, 21)
    path = GaussianPath(0.7, levels, *wilful(levels), 0.1, 0.9)
    steps = 0.5 * np.expm1(np.diff(levels)) * path.error[:-1]
    found = abs(path.kl(1) + steps.sum() - path.kl())
    claim("T7", "Σ of one-step KLs = KL of the joint law", found, 1e-12)


def test_t7_gap_to_continuous_time(claim):
    """T·gap → (λ_max − λ_min)/2 · [ΔL − ½Δe] = 35.03 for the galaxies on [−10, 10]."""
    errors = error_curve()
    e, kl = errors.at([-10.0, 10.0])
    predicted = 10 * ((kl[1] - kl[0]) - 0.5 * (e[1] - e[0]))
    assert predicted == pytest.approx(35.03, abs=5e-3)

    def gap(n):
        levels = np.linspace(-10, 10, n + 1)
        cost = 0.5 * np.expm1(20 / n) * errors.at(levels[:-1])[0]
        return cost.sum() - (kl[1] - kl[0])

    assert [gap(64), gap(128)] == pytest.approx([0.607, 0.288], abs=5e-4)
    assert 256 * gap(256) == pytest.approx(35.92, abs=5e-3)
    values = [n * gap(n) for n in (256, 512, 1024, 2048)]
    claim("T7", "constant 35.03 of the gap", abs(limit_of(values) / predicted - 1), 1e-5)


# --- T8: likelihood from denoising errors ------------------------------------------------------


@pytest.mark.parametrize("x", [-2.2, 1.3])
def test_t8_negative_log_likelihood(x, claim):
    bandwidth = 0.3
    model = GaussianMixture.from_data(galaxies(), bandwidth)
    errors = curve(model, model, x, -18.0, 24.0, 337)
    truth = -KernelDensity(bandwidth=bandwidth).fit(galaxies()).score_samples([[x]])[0]
    found = abs(negative_log_likelihood(errors) - truth)
    claim("T8", "−log p(x) from denoising errors", found, 1e-6)


@pytest.mark.parametrize(
    ("points", "count"),
    [(GALAXIES, 82), (np.delete(GALAXIES, 40), 81), (np.array([-1.0, 1.0]), 2)],
    ids=["galaxies", "one deleted", "two points"],
)
def test_t8_counting_by_denoising(points, count, claim):
    data = galaxies_mixture() if points is GALAXIES else GaussianMixture.from_data(points)
    errors = curve(data, data, None, -14.0, 22.0, 109)
    below = errors.noise_error[0] / 2  # ½∫e below −14, where e is proportional to e^λ
    counted = np.exp(weighted_loss(np.ones_like, errors) + below)
    claim("T8", f"exp(½∫e dλ) counts {count}", abs(counted - count), 5e-5)


def test_t8_the_memorisers_bound(claim):
    """L(0;x) → log 82, from log densities alone, for every ninth galaxy."""
    bound = np.log(82)
    levels = np.linspace(21, 22, 6)
    found = max(
        abs(ErrorCurve.from_mixtures(galaxies_mixture(), x=x, log_snr=levels).path_kl[-1] - bound)
        for x in galaxies()[::9, 0]
    )
    claim("T8", "L(0;x) → log 82 = 4.4067", found, 1e-9)
    wide = ErrorCurve.from_mixtures(galaxies_mixture(), log_snr=np.linspace(13, 14, 6))
    assert wide.path_kl[-1] == pytest.approx(4.234, abs=5e-4)
    assert error_curve().path_kl[-1] == pytest.approx(3.70, abs=5e-3)


def test_t8_information_and_minimal_error(claim):
    """dI/dsnr = ½ mmse over x (Guo, Shamai & Verdú): I from densities, mmse from posteriors."""
    found = 0.0
    for level in (-3.0, 0.0, 2.0):
        slope = derivative(
            lambda s: error_and_kl(HILLS, HILLS, s)[1], level, 0.05
        )  # dI/dλ = snr · dI/dsnr
        mmse = error_and_kl(HILLS, HILLS, level)[0] * np.exp(-level)
        found = max(found, abs(slope * np.exp(-level) - mmse / 2) / mmse)
    claim("T8", "dI/dsnr = ½ mmse", found, 1e-9)
