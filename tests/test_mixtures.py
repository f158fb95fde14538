"""Exact mixtures against autograd, quadrature and scipy, extremes included."""

import numpy as np
import pytest
import torch
from comparing import assert_close, standard_errors_off
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from course_utils.datasets import galaxies
from course_utils.mixtures import PART, GaussianMixture
from course_utils.schedules import alpha, sigma

TWO = GaussianMixture([0.35, 0.65], [[-1.2], [0.8]], [0.25**2, 0.4**2])
MIXTURES = {
    "two": TWO,
    "one component": GaussianMixture([1.0], [[0.3]], [0.5]),
    "equal means": GaussianMixture([0.5, 0.5], [[0.2], [0.2]], [0.1, 2.0]),
    "equal components": GaussianMixture([0.4, 0.6], [[0.2], [0.2]], [0.3, 0.3]),
    "zero width": GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [0.0, 0.0]),
    "one width zero": GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [0.0, 0.3]),
    "tiny weight": GaussianMixture([1e-300, 1.0], [[-3.0], [1.0]], [0.1, 0.2]),
    "weight zero": GaussianMixture([0.0, 1.0], [[-3.0], [1.0]], [0.0, 0.2]),
    "galaxies": GaussianMixture.from_data(galaxies()),
    "plane": GaussianMixture([0.2, 0.5, 0.3], [[0, 1], [2, -1], [-1, -1]], [0.1, 0.0, 0.7]),
    "points in 5-D": GaussianMixture.from_data(np.random.default_rng(0).normal(size=(9, 5))),
}
LEVELS = [-30.0, -8.0, -1.0, 0.0, 3.0, 8.0, 30.0]

mixtures = pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)
levels = pytest.mark.parametrize("log_snr", LEVELS)


def points(mixture, log_snr, n=7, seed=1):
    """Latents that occur at that level, and two far out."""
    rng = np.random.default_rng(seed)
    z = alpha(log_snr) * mixture.sample(n, rng)
    z += sigma(log_snr) * rng.standard_normal(z.shape)
    return np.concatenate([z, z[:1] + 3 * sigma(log_snr), z[:1] - 3 * sigma(log_snr)])


def law(mixture, log_snr):
    """The diffused mixture from torch.distributions; a weight of exactly 0 left out."""
    kept = mixture.weights > 0
    a, s = alpha(log_snr), sigma(log_snr)
    scale = torch.tensor(np.sqrt(a**2 * mixture.variances[kept] + s**2))[:, None]
    means = torch.tensor(a * mixture.means[kept])
    each = torch.distributions.Independent(
        torch.distributions.Normal(means, scale.expand_as(means)), 1
    )
    choice = torch.distributions.Categorical(torch.tensor(mixture.weights[kept]))
    return torch.distributions.MixtureSameFamily(choice, each)


@mixtures
@levels
def test_density_and_score_are_those_of_torch(mixture, log_snr):
    z = points(mixture, log_snr)
    tensor = torch.tensor(z, requires_grad=True)
    log_prob = law(mixture, log_snr).log_prob(tensor)
    log_prob.sum().backward()
    ours = mixture.diffuse(log_snr).log_prob(z)
    # at λ = 30 a rounding of z by 1e-16 is 1e-9 of the width: what no code can avoid
    conditioning = 1 + np.exp(log_snr / 2) * 1e-3
    assert_close(ours, log_prob.detach().numpy(), atol=1e-12 * conditioning, rtol=1e-12)
    score = tensor.grad.numpy() * sigma(log_snr)
    assert_close(mixture.score(z, log_snr) * sigma(log_snr), score, atol=1e-12 * conditioning)
    assert_close(mixture.eps(z, log_snr), -score, atol=1e-12 * conditioning)


@mixtures
@levels
def test_tweedie(mixture, log_snr):
    """x̂ = (z + σ² ∇log q)/α, as far as the division by α allows."""
    z = points(mixture, log_snr)
    a, s = alpha(log_snr), sigma(log_snr)
    score = mixture.score(z, log_snr)
    assert_close(a * mixture.denoise(z, log_snr), z + s**2 * score, atol=1e-13)


@mixtures
@pytest.mark.parametrize("log_snr", LEVELS[1:])  # at −30 the identity loses all to 1/α²
def test_posterior_variance_is_the_second_derivative(mixture, log_snr):
    """tr Cov(x|z) = (σ²/α²)(d + σ² ∇·score), the divergence by autograd."""
    z = points(mixture, log_snr)
    a, s = alpha(log_snr), sigma(log_snr)
    tensor = torch.tensor(z, requires_grad=True)
    (score,) = torch.autograd.grad(
        law(mixture, log_snr).log_prob(tensor).sum(), tensor, create_graph=True
    )
    divergence = np.zeros(len(z))
    for j in range(mixture.dim):
        (row,) = torch.autograd.grad(score[:, j].sum(), tensor, retain_graph=True)
        divergence += row[:, j].numpy()
    scale = (s / a) ** 2
    variance = mixture.posterior_variance(z, log_snr)
    assert (variance >= 0).all()
    # in units of the noise's own variance (σ/α)²
    conditioning = 1 + np.exp(log_snr / 2) * 1e-3
    assert_close(
        variance / scale, mixture.dim + s**2 * divergence, atol=1e-11 * conditioning, rtol=1e-11
    )


@pytest.mark.parametrize("log_snr", [-4.0, 0.0, 3.0])
@pytest.mark.parametrize("z", [-1.5, 0.1, 2.0])
def test_denoiser_by_quadrature(log_snr, z):
    """Bayes by hand: E[x|z] and Var(x|z) as ratios of integrals over x."""
    a, s = alpha(log_snr), sigma(log_snr)

    def moment(power):
        def integrand(x):
            prior = TWO.weights @ norm.pdf(x, TWO.means[:, 0], np.sqrt(TWO.variances))
            return x**power * prior * norm.pdf(z, a * x, s)

        return quad(integrand, -6, 6, points=[-1.2, 0.8, z / a], epsabs=1e-14, limit=300)[0]

    mass, first, second = (moment(power) for power in range(3))
    assert_close(TWO.denoise([[z]], log_snr)[0, 0], first / mass, atol=1e-9)
    variance = second / mass - (first / mass) ** 2
    assert_close(TWO.posterior_variance([[z]], log_snr)[0], variance, atol=1e-9)


def test_density_in_three_dimensions_against_scipy():
    mixture = GaussianMixture([0.3, 0.7], [[0, 1, 2], [1, 1, -1]], [0.5, 0.2])
    x = np.random.default_rng(0).normal(size=(6, 3))
    truth = 0.3 * multivariate_normal([0, 1, 2], 0.5).pdf(x)
    truth += 0.7 * multivariate_normal([1, 1, -1], 0.2).pdf(x)
    assert_close(np.exp(mixture.log_prob(x)), truth, rtol=1e-12)


@pytest.mark.parametrize("log_snr", [-30.0, -2.0, 5.0, 30.0])
def test_standard_normal_data_stay_standard_normal(log_snr):
    data = GaussianMixture([1.0], [[0.0, 0.0]], [1.0])
    z = points(data, log_snr)
    assert_close(data.score(z, log_snr), -z, atol=1e-13)
    assert_close(data.denoise(z, log_snr), alpha(log_snr) * z, atol=1e-13)
    assert_close(data.posterior_variance(z, log_snr), 2 * sigma(log_snr) ** 2, atol=1e-14)


def test_two_points_are_a_tanh():
    z = np.linspace(-3, 3, 9)[:, None]
    for log_snr in (-5.0, 0.0, 4.0):
        a, s = alpha(log_snr), sigma(log_snr)
        found = MIXTURES["zero width"].denoise(z, log_snr)
        assert_close(found, np.tanh(a * z / s**2), atol=1e-13)


@mixtures
def test_far_from_the_data_all_stays_finite(mixture):
    z = np.full((2, mixture.dim), 40.0) * [[1], [-1]]
    for log_snr in LEVELS:
        for function in (mixture.score, mixture.denoise, mixture.eps, mixture.posterior_variance):
            assert np.isfinite(function(z, log_snr)).all()
        assert np.isfinite(mixture.diffuse(log_snr).log_prob(z)).all()


def test_a_component_without_weight_changes_nothing():
    alone = GaussianMixture([1.0], [[1.0]], [0.2])
    for name in ("weight zero", "tiny weight"):
        z = np.linspace(-1, 2, 5)[:, None]
        assert_close(MIXTURES[name].score(z, 2.0), alone.score(z, 2.0), atol=1e-13)
        assert_close(MIXTURES[name].log_prob(z), alone.log_prob(z), atol=1e-13)
    on_it = MIXTURES["weight zero"].means[:1]  # a point mass of no weight, met exactly
    assert_close(MIXTURES["weight zero"].log_prob(on_it), alone.log_prob(on_it), atol=1e-13)


def test_one_level_per_row():
    z, level = np.linspace(-1, 1, 4)[:, None], np.array([[-2.0], [0.0], [3.0], [9.0]])
    for method in ("score", "denoise", "eps", "posterior_variance"):
        function = getattr(TWO, method)
        rows = [function(z[i : i + 1], level[i, 0])[0] for i in range(4)]
        assert_close(function(z, level), np.array(rows), rtol=1e-13)


@pytest.mark.parametrize("name", ["galaxies", "points in 5-D"])
def test_many_points_go_by_parts_and_come_back_in_order(name):
    mixture = MIXTURES[name]
    n = 3 * PART // len(mixture.weights) + 7
    rng = np.random.default_rng(3)
    z, level = rng.normal(size=(n, mixture.dim)), rng.uniform(-8, 8, (n, 1))
    some = np.r_[0, rng.integers(n, size=50), n - 1]
    for levels in (level, 1.5):
        found = mixture.eps(z, levels)
        assert found.shape == z.shape
        few = mixture.eps(z[some], level[some] if levels is level else levels)
        assert_close(found[some], few, rtol=1e-10, atol=1e-13)


@given(
    st.lists(st.floats(0.01, 1), min_size=1, max_size=5),
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.floats(-12, 12),
)
def test_tweedie_for_any_mixture(raw, seed, dim, log_snr):
    rng = np.random.default_rng(seed)
    mixture = GaussianMixture(
        np.array(raw) / np.sum(raw), 2 * rng.normal(size=(len(raw), dim)), rng.random(len(raw)) * 2
    )
    z = points(mixture, log_snr, 3, seed)
    direct = alpha(log_snr) * mixture.denoise(z, log_snr)
    by_score = z + sigma(log_snr) ** 2 * mixture.score(z, log_snr)
    assert_close(direct, by_score, atol=1e-12)


def test_samples_have_the_right_moments():
    n = 100_000
    x = MIXTURES["plane"].sample(n, np.random.default_rng(5))
    mean = np.array([0.7, -0.6])
    within = 0.2 * 0.1 + 0.3 * 0.7
    for j in range(2):
        variance = within + [0.2, 0.5, 0.3] @ (MIXTURES["plane"].means[:, j] - mean[j]) ** 2
        assert standard_errors_off(x[:, j].mean(), x[:, j].std() / np.sqrt(n), mean[j]) < 6
        squares = (x[:, j] - mean[j]) ** 2
        assert standard_errors_off(squares.mean(), squares.std() / np.sqrt(n), variance) < 6


def test_from_data():
    x = np.array([0.0, 1.0, 5.0])
    flat, column = GaussianMixture.from_data(x), GaussianMixture.from_data(x[:, None])
    assert flat.means.shape == column.means.shape == (3, 1)
    assert_close(flat.weights, 1 / 3)
    assert (flat.variances == 0).all()
    wide = GaussianMixture.from_data(x, bandwidth=0.5)
    truth = norm.pdf([[0.3]], x, 0.5).mean()
    assert_close(np.exp(wide.log_prob([[0.3]])), np.array([truth]), rtol=1e-14)


LEVEL_ARRAY = np.zeros(2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: GaussianMixture([0.5, 0.6], [[0], [1]], [1, 1]), r"sum 1.1\): divide them"),
        (lambda: GaussianMixture([-0.5, 1.5], [[0], [1]], [1, 1]), "non-negative"),
        (lambda: GaussianMixture([1.0], [[0]], [-1.0]), "variances must not be negative"),
        (lambda: GaussianMixture([1.0], [0.0], [1.0]), r"means must be \[K, d\]"),
        (lambda: GaussianMixture([1.0], [[0.0]], [1.0, 1.0]), r"must be \[K\] beside means"),
        (lambda: GaussianMixture([0.5, 0.5], [[0.0]], [1.0]), r"must be \[K\] beside means"),
        (lambda: GaussianMixture([], np.zeros((0, 1)), []), "K, d >= 1"),
        (lambda: GaussianMixture([np.nan], [[0.0]], [1.0]), "weights must be finite"),
        (lambda: GaussianMixture(["a"], [[0.0]], [1.0]), "real numbers"),
        (lambda: GaussianMixture.from_data([]), "n, d >= 1"),
        (lambda: GaussianMixture.from_data(np.zeros((0, 3))), "n, d >= 1"),
        (lambda: GaussianMixture.from_data(np.zeros((2, 2, 2))), r"\[n\] or \[n, d\]"),
        (lambda: GaussianMixture.from_data([1.0, np.nan]), "must be finite, got nan"),
        (lambda: GaussianMixture.from_data(["a"]), "real numbers"),
        (lambda: GaussianMixture.from_data([1.0], bandwidth=-1), "bandwidth"),
        (lambda: TWO.score([0.0], 0.0), r"points must be \[n, 1\]"),
        (lambda: TWO.eps([[0.0, 1.0]], 0.0), r"points must be \[n, 1\]"),
        (lambda: TWO.score([[np.nan]], 0.0), "points must be finite"),
        (lambda: TWO.log_prob([["a"]]), "real numbers"),
        (lambda: TWO.score([[0.0], [1.0]], LEVEL_ARRAY), r"\[batch, 1\]"),
        (lambda: MIXTURES["plane"].eps(np.eye(2), LEVEL_ARRAY), r"\[batch, 1\]"),
        (lambda: TWO.denoise([[0.0]], np.nan), "got nan"),
        (lambda: TWO.denoise([[0.0]], np.inf), "level must be finite"),
        (lambda: TWO.diffuse([0.0, 1.0]), "one level"),
        (lambda: TWO.diffuse(np.nan), "got nan"),
        (lambda: MIXTURES["zero width"].log_prob([[0.0]]), r"call diffuse\(log_snr\) first"),
        (lambda: TWO.sample(0, np.random.default_rng(0)), "at least 1, got 0"),
        (lambda: TWO.sample(3, 0), "numpy.random.Generator, got 0"),
    ],
)
def test_bad_input_says_what_came_in(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int64])
def test_tensors_are_read_as_the_numbers_they_hold(dtype):
    z, levels = torch.tensor([[0.5], [-2.0]]).to(dtype), torch.tensor([[1.0], [-3.0]]).to(dtype)
    exact = TWO.eps(z.double().numpy(), levels.double().numpy())
    np.testing.assert_allclose(TWO.eps(z, levels), exact, rtol=1e-6)
    np.testing.assert_allclose(TWO.eps(z, levels[0, 0]), TWO.eps(z.double().numpy(), 1.0), 1e-6)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda z: z.requires_grad_(), r"lose the gradients of a tensor \(2, 1\) .*\.detach\(\)"),
        (lambda z: z + 1j, r"got a tensor \(2, 1\) \(torch.complex64.*pass a dense real one"),
        (lambda z: z.to_sparse(), r"sparse_coo.*pass a dense real one"),
        (lambda z: z.to("meta"), r"meta\): pass a dense real one"),
    ],
)
def test_tensors_that_hold_no_plain_real_numbers_are_refused(spoil, words):
    z = np.zeros((2, 1))
    with pytest.raises(ValueError, match=words):
        TWO.eps(spoil(torch.zeros(2, 1)), 0.0)
    with pytest.raises(ValueError, match=words):
        TWO.eps(z, spoil(torch.zeros(2, 1)))
