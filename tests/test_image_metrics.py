"""Bits per dimension, Fréchet distance, precision, recall, memorisation, against known answers."""

import numpy as np
import pytest
from comparing import assert_close
from scipy.linalg import sqrtm

from course_utils.distances import gaussian_kl
from course_utils.mixtures import GaussianMixture
from course_utils.training import image_metrics
from course_utils.training.study import load_results

VALUES = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])


EVEN, UNEVEN = (
    GaussianMixture(masses, VALUES[:, None], np.zeros(5))
    for masses in (np.full(5, 0.2), [0.6, 0.1, 0.1, 0.1, 0.1])
)


def bits(eps, x, low=-10, high=9):
    return image_metrics.bits_per_dimension(eps, x, VALUES, low, high, np.random.default_rng(0))


def even_pairs(z, log_snr):
    return np.concatenate([EVEN.eps(z[:, i : i + 1], log_snr) for i in (0, 1)], axis=1)


@pytest.mark.parametrize(("eps", "d"), [(EVEN.eps, 1), (even_pairs, 2)])
@pytest.mark.parametrize("high", [4, 9])
def test_bits_of_a_perfect_model_are_the_entropy(eps, d, high):
    """Every value alike: prior, decoder and denoiser are exact, so −ELBO is log₂ 5 a dimension."""
    x = np.random.default_rng(1).permutation(np.repeat(VALUES, 4000)).reshape(-1, d)
    found = bits(eps, x, high=high)["total"]
    error = found.std() / np.sqrt(len(x))
    assert abs(found.mean() - np.log2(5)) < 4.5 * error < 0.05


def test_bits_term_by_term():
    """At a low upper end the decoder pays, at a high one the diffusion; a wrong model pays more."""
    x = np.repeat(VALUES, 1500)[:, None]
    low, high, near = bits(EVEN.eps, x, high=2), bits(EVEN.eps, x), bits(EVEN.eps, x, low=-1)
    assert low["reconstruction"].mean() > 0.5 and high["reconstruction"].mean() < 1e-6
    assert low["diffusion"].mean() < high["diffusion"].mean()
    # D_KL(N(αx, σ²) ‖ N(0, 1)) by the closed form in one dimension
    expected = gaussian_kl(np.sqrt(0.268941) * x[:, 0], 1 - 0.268941, 0, 1) / np.log(2)
    assert_close(near["prior"], expected, atol=1e-5)
    cost = bits(UNEVEN.eps, x)["total"].mean() - high["total"].mean()
    exact = np.mean(-np.log2(UNEVEN.weights)) - np.log2(5)
    assert cost == pytest.approx(exact, abs=0.05)  # T6: the right score of a wrong law


def test_frechet_against_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(80, 5)) @ rng.normal(size=(5, 5)), rng.normal(1, 2, size=(90, 5))
    c_a, c_b = np.cov(a.T), np.cov(b.T)
    direct = np.trace(c_a + c_b - 2 * np.real(sqrtm(c_a @ c_b)))
    direct += np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
    assert image_metrics.frechet(a, b) == pytest.approx(direct, rel=1e-9)
    assert image_metrics.frechet(a, a) == pytest.approx(0, abs=1e-9)


def test_precision_and_recall_see_what_they_should():
    rng = np.random.default_rng(0)
    real, same = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
    narrow, wide = 0.3 * same, 3 * same
    assert image_metrics.within_manifold(same, real).mean() > 0.85
    assert (
        image_metrics.within_manifold(narrow, real).mean()
        > 0.95
        > 0.7
        > image_metrics.within_manifold(wide, real).mean()
    )
    assert image_metrics.within_manifold(real, narrow).mean() < 0.6
    reference = np.array([[0.0], [1.0], [2.0], [10.0]])  # with k = 1 they reach 1, 1, 1 and 8
    points = np.array([[-0.9], [-1.1], [2.9], [3.5], [17.9], [18.1]])
    seen = image_metrics.within_manifold(points, reference, k=1)
    assert seen.tolist() == [True, False, True, True, True, False]


def test_memorisation_is_seen_and_absent_in_new_points():
    rng = np.random.default_rng(0)
    train, held_out, new = rng.normal(size=(3, 400, 4))
    copies = train + 0.01 * rng.normal(size=train.shape)
    assert image_metrics.nearer_to_first(copies, train, held_out).mean() > 0.99
    assert abs(image_metrics.nearer_to_first(new, train, held_out).mean() - 0.5) < 4.5 * 0.5 / 20
    assert image_metrics.nearer_to_first(*np.array([[[0.0]], [[1.0]], [[-1.0]]])).tolist() == [0.5]


@pytest.mark.full
def test_the_floor_is_that_of_the_stored_study():
    """Real images against real ones, with the classifier that the stored runs were measured by."""
    stored = load_results()["floor"]
    for name, found in image_metrics.metrics_for("digits").floor(500).items():
        assert found == pytest.approx(stored[name], rel=1e-5)
