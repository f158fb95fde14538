"""Exact mixtures against autograd, quadrature and scipy, extremes included."""

import tracemalloc
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from comparing import assert_close, refused
from scipy.stats import norm
from truths import HILLS

from course_utils.datasets import galaxies
from course_utils.mixtures import GaussianMixture
from course_utils.schedules import alpha, sigma

MIXTURES = {
    "two": HILLS,
    "one component": GaussianMixture([1.0], [[0.3]], [0.5]),
    "equal means": GaussianMixture([0.5, 0.5], [[0.2], [0.2]], [0.1, 2.0]),
    "equal components": GaussianMixture([0.4, 0.6], [[0.2], [0.2]], [0.3, 0.3]),
    "one width": GaussianMixture([0.2, 0.8], [[0, 1], [2, -1]], [0.3, 0.3]),
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
def test_density_score_denoiser_and_variance_are_those_of_autograd(mixture):
    """α E[x|z] = z + σ² ∇ log q, and tr Cov(x|z) = (σ²/α²)(d + σ² ∇·score)."""
    for log_snr in LEVELS:
        z, a, s = points(mixture, log_snr), alpha(log_snr), sigma(log_snr)
        tensor = torch.tensor(z, requires_grad=True)
        log_prob = law(mixture, log_snr).log_prob(tensor)
        (gradient,) = torch.autograd.grad(log_prob.sum(), tensor, create_graph=True)
        score = s * gradient.detach().numpy()
        # at λ = 30 a rounding of z by 1e-16 is 1e-9 of the width: what no code can avoid
        limit = 1e-12 * (1 + np.exp(log_snr / 2) * 1e-3)
        ours = mixture.diffuse(log_snr).log_prob(z)
        assert_close(ours, log_prob.detach().numpy(), atol=limit, rtol=1e-12)
        assert_close(s * mixture.score(z, log_snr), score, atol=limit)
        assert_close(mixture.eps(z, log_snr), -score, atol=limit)
        assert_close(a * mixture.denoise(z, log_snr), z + s * score, atol=limit)
        variance, divergence = mixture.posterior_variance(z, log_snr), np.zeros(len(z))
        assert (variance >= 0).all()
        if log_snr > -30:  # there the identity loses all to 1/α²
            for j in range(mixture.dim):
                (row,) = torch.autograd.grad(gradient[:, j].sum(), tensor, retain_graph=True)
                divergence += row[:, j].numpy()
            trace = mixture.dim + s**2 * divergence  # in units of the noise's own, (σ/α)²
            assert_close(variance * (a / s) ** 2, trace, atol=10 * limit, rtol=1e-11)


@pytest.mark.parametrize("d", [1, 5])
def test_thousands_of_points_go_by_parts_stay_in_order_and_cost_megabytes(d):
    rng = np.random.default_rng(3)
    model = GaussianMixture.from_data(rng.standard_normal((3000, d)))
    z, level = rng.standard_normal((2000, d)), rng.uniform(-8, 8, (2000, 1))
    some = np.r_[0, rng.integers(2000, size=20), 1999]
    tracemalloc.start()
    for name in ("eps", "score", "denoise", "posterior_variance"):
        method = getattr(model, name)
        each, one = method(z, level), method(z, 1.5)
        rows = np.array([[method(z[[i]], level[i, 0])[0], method(z[[i]], 1.5)[0]] for i in some])
        assert_close([each[some], one[some]], np.moveaxis(rows, 1, 0), rtol=1e-10, atol=1e-13)
    assert np.isfinite(model.diffuse(0.0).log_prob(z)).all()
    assert tracemalloc.get_traced_memory()[1] < 20e6  # all pairs at once would be 48 MB an array
    tracemalloc.stop()


def test_from_data():
    x = np.array([0.0, 1.0, 5.0])
    no_gap, exact = np.ma.masked_equal(x, -999), [Decimal(0), Fraction(1), 5]
    for given in (x, x[:, None], no_gap, exact, x.astype(str), x.astype(">i2"), x.astype("f2")):
        law = GaussianMixture.from_data(given)
        assert_close(law.means, x[:, None])
        assert_close(law.weights, 1 / 3)
        assert_close(law.variances, 0)
    wide = GaussianMixture.from_data(x, bandwidth=0.5)
    truth = norm.pdf([[0.3]], x, 0.5).mean()
    assert_close(np.exp(wide.log_prob(np.array([[0.3]]))), np.array([truth]), rtol=1e-14)


def test_a_model_keeps_its_own_copy():
    x, weights = galaxies()[:2].copy(), np.array([0.5, 0.5])
    model = GaussianMixture(weights, x, np.zeros(2))
    x[:], weights[:] = 99.0, 7.0
    assert_close(model.means, galaxies()[:2])
    assert_close(model.weights, 0.5)
    with pytest.raises(ValueError, match="read-only"):
        model.means[0] = 1


@mixtures
def test_near_and_far_all_is_finite_and_underflows_quietly(mixture):
    with np.errstate(all="raise"):
        for log_snr in LEVELS:
            far = np.full((2, mixture.dim), 40.0) * [[1], [-1]]
            z = np.concatenate([points(mixture, log_snr), far])
            for name in ("eps", "score", "denoise", "posterior_variance", "responsibilities"):
                assert np.isfinite(getattr(mixture, name)(z, log_snr)).all()
            assert np.isfinite(mixture.diffuse(log_snr).log_prob(z)).all()


test_what_is_refused_is_explained = refused(
    (lambda: GaussianMixture([0.5, 0.6], [[0], [1]], [1, 1]), "a sum of 1.1"),
    (
        lambda: GaussianMixture(np.full(3, 1 / 3, "f4"), [0, 1, 2], [1] * 3),
        "divide .* by their sum",
    ),
    (lambda: GaussianMixture([-0.5, 1.5], [[0], [1]], [1, 1]), "a least weight of -0.5"),
    (lambda: GaussianMixture([1.0], [[0]], [-1.0]), "a least variance of -1"),
    (lambda: GaussianMixture.from_data([1.0, np.nan, 2.0]), "1 of 3 rows hold NaN"),
    (
        lambda: GaussianMixture.from_data(np.ma.masked_equal([1.0, -999, 2.0], -999)),
        "1 masked entries: drop those rows",
    ),
    (lambda: GaussianMixture.from_data(np.arange(3).astype("M8[D]")), "not datetime64"),
    (lambda: GaussianMixture.from_data([1.0, 1j]), "not complex128: convert"),
    (lambda: GaussianMixture.from_data(np.zeros(3, "f8, f8")), "choose a column"),
    (lambda: GaussianMixture.from_data([1.0, object()]), "drop rows with gaps"),  # pandas' NA
    (lambda: HILLS.log_prob(np.eye(2)), r"points must be \[n, 1\]"),
    (lambda: MIXTURES["plane"].eps(np.eye(2), np.zeros(2)), r"\[batch, 1\]"),
    (lambda: MIXTURES["zero width"].log_prob(np.eye(1)), r"call diffuse\(log_snr\) first"),
)
