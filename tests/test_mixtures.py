"""Exact mixtures against autograd, quadrature and scipy, extremes included."""

import tracemalloc

import numpy as np
import pytest
import torch
from comparing import assert_close
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

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


def test_from_data():
    x = np.array([0.0, 1.0, 5.0])
    flat, column = GaussianMixture.from_data(x), GaussianMixture.from_data(x[:, None])
    unmasked = GaussianMixture.from_data(np.ma.masked_equal(x, -999))  # with no gap in it
    assert flat.means.shape == column.means.shape == unmasked.means.shape == (3, 1)
    assert_close(flat.weights, 1 / 3)
    assert (flat.variances == 0).all()
    wide = GaussianMixture.from_data(x, bandwidth=0.5)
    truth = norm.pdf([[0.3]], x, 0.5).mean()
    assert_close(np.exp(wide.log_prob(np.array([[0.3]]))), np.array([truth]), rtol=1e-14)


def test_a_model_keeps_its_own_copy():
    x = galaxies().copy()
    model, before = GaussianMixture.from_data(x), GaussianMixture.from_data(galaxies())
    weights = np.array([0.5, 0.5])
    pair = GaussianMixture(weights, x[:2], np.zeros(2))
    x[0], weights[:] = 99.0, 7.0
    assert_close(model.eps(x[:3], 1.0), before.eps(x[:3], 1.0))
    assert_close(pair.weights, 0.5)
    with pytest.raises(ValueError, match="read-only"):
        model.means[0] = 1


@mixtures
def test_near_and_far_all_is_finite_and_underflows_quietly(mixture):
    with np.errstate(all="raise"):
        for log_snr in LEVELS:
            far = np.full((2, mixture.dim), 40.0) * [[1], [-1]]
            z = np.concatenate([points(mixture, log_snr), far])
            for name in ("eps", "score", "denoise", "posterior_variance"):
                assert np.isfinite(getattr(mixture, name)(z, log_snr)).all()
            assert np.isfinite(mixture.diffuse(log_snr).log_prob(z)).all()


def test_thousands_of_points_cost_megabytes():
    rng = np.random.default_rng(0)
    model = GaussianMixture.from_data(4500 * rng.standard_normal(3000))
    z = np.linspace(-3, 3, 2000)[:, None] * 4500
    tracemalloc.start()
    for name in ("eps", "denoise", "posterior_variance"):
        assert np.isfinite(getattr(model, name)(z, 0.0)).all()
    assert np.isfinite(model.diffuse(0.0).log_prob(z)).all()
    assert tracemalloc.get_traced_memory()[1] < 20e6  # all pairs at once would be 48 MB an array
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: GaussianMixture([0.5, 0.6], [[0], [1]], [1, 1]), "got a sum of 1.1 .*divide them"),
        (lambda: GaussianMixture([-0.5, 1.5], [[0], [1]], [1, 1]), "a least one of -0.5"),
        (lambda: GaussianMixture([1.0], [[0]], [-1.0]), "variances must not be negative"),
        (lambda: GaussianMixture.from_data([1.0, np.nan, 2.0]), "1 of 3 rows hold NaN"),
        (
            lambda: GaussianMixture.from_data(np.ma.masked_equal([1.0, -999, 2.0], -999)),
            "1 masked entries: drop those rows",
        ),
        (lambda: TWO.log_prob(np.eye(2)), r"points must be \[n, 1\]"),
        (lambda: MIXTURES["plane"].eps(np.eye(2), np.zeros(2)), r"\[batch, 1\]"),
        (lambda: MIXTURES["zero width"].log_prob(np.eye(1)), r"call diffuse\(log_snr\) first"),
    ],
)
def test_what_is_refused_is_explained(call, words):
    with pytest.raises(ValueError, match=words):
        call()
