"""Bits per dimension, Fréchet distance, precision, recall, memorisation, against known answers."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from course_utils.distances import gaussian_kl, gaussian_wasserstein
from course_utils.mixtures import GaussianMixture
from course_utils.training.image_metrics import (
    bits_per_dimension,
    frechet,
    metrics_for,
    nearer_to_first,
    within_manifold,
)
from course_utils.training.study import load_results

VALUES = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])


def law_of_values(masses):
    return GaussianMixture(masses, VALUES[:, None], np.zeros(len(VALUES)))


@pytest.mark.parametrize("top", [4.0, 9.0])
def test_bits_of_a_perfect_model_are_the_entropy(top):
    """Every value alike: prior, decoder and denoiser are exact, so −ELBO is log₂ 5 bits."""
    law = law_of_values(np.full(5, 0.2))
    x = np.repeat(VALUES, 4000)[:, None]
    bits = bits_per_dimension(law.eps, x, VALUES, -10, top, np.random.default_rng(0))
    error = bits["total"].std() / np.sqrt(len(x))
    assert abs(bits["total"].mean() - np.log2(5)) < 4.5 * error < 0.05
    # In two dimensions, a number per dimension stays what it is.
    pairs = x[np.random.default_rng(1).permutation(len(x))].reshape(-1, 2)

    def eps(z, log_snr):
        return np.concatenate([law.eps(z[:, i : i + 1], log_snr) for i in (0, 1)], axis=1)

    both = bits_per_dimension(eps, pairs, VALUES, -10, top, np.random.default_rng(2))
    assert abs(both["total"].mean() - np.log2(5)) < 4.5 * both["total"].std() / np.sqrt(len(pairs))


def test_bits_term_by_term():
    """At a low upper end the decoder pays, at a high one the diffusion; a wrong model pays more."""
    x = np.repeat(VALUES, 1500)[:, None]
    right, wrong = law_of_values(np.full(5, 0.2)), law_of_values([0.6, 0.1, 0.1, 0.1, 0.1])
    low, high = (
        bits_per_dimension(right.eps, x, VALUES, -10, top, np.random.default_rng(0))
        for top in (2, 9)
    )
    assert low["reconstruction"].mean() > 0.5 and high["reconstruction"].mean() < 1e-6
    assert low["diffusion"].mean() < high["diffusion"].mean()
    # D_KL(N(αx, σ²) ‖ N(0, 1)) by the closed form in one dimension
    near = bits_per_dimension(right.eps, x, VALUES, -1, 9, np.random.default_rng(0))
    expected = gaussian_kl(np.sqrt(0.268941) * x[:, 0], 1 - 0.268941, 0, 1) / np.log(2)
    assert np.allclose(near["prior"], expected, atol=1e-5)
    more = bits_per_dimension(wrong.eps, x, VALUES, -10, 9, np.random.default_rng(0))
    cost = more["total"].mean() - high["total"].mean()
    exact = np.mean(-np.log2([0.6, 0.1, 0.1, 0.1, 0.1])) - np.log2(5)
    assert cost == pytest.approx(exact, abs=0.05)  # T6: the right score of a wrong law


def test_frechet_against_scipy_and_the_closed_form():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(80, 5)) @ rng.normal(size=(5, 5)), rng.normal(1, 2, size=(90, 5))
    c_a, c_b = np.cov(a.T), np.cov(b.T)
    direct = np.trace(c_a + c_b - 2 * np.real(sqrtm(c_a @ c_b)))
    direct += np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
    assert frechet(a, b) == pytest.approx(direct, rel=1e-9)
    assert frechet(a, a) == pytest.approx(0, abs=1e-9)
    a, b = a[:, :1], b[:, :1]
    line = gaussian_wasserstein(a.mean(), a.var(ddof=1), b.mean(), b.var(ddof=1))
    assert frechet(a, b) == pytest.approx(line**2, rel=1e-9)


def test_precision_and_recall_see_what_they_should():
    rng = np.random.default_rng(0)
    real, same = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
    narrow, wide = 0.3 * same, 3 * same
    assert within_manifold(same, real).mean() > 0.85
    assert within_manifold(narrow, real).mean() > 0.95 > 0.7 > within_manifold(wide, real).mean()
    assert within_manifold(real, narrow).mean() < 0.6
    reference = np.array([[0.0], [1.0], [2.0], [10.0]])  # with k = 1 they reach 1, 1, 1 and 8
    points = np.array([[-0.9], [-1.1], [2.9], [3.5], [17.9], [18.1]])
    seen = within_manifold(points, reference, k=1)
    assert seen.tolist() == [True, False, True, True, True, False]


def test_memorisation_is_seen_and_absent_in_new_points():
    rng = np.random.default_rng(0)
    train, held_out, new = rng.normal(size=(3, 400, 4))
    copies = train + 0.01 * rng.normal(size=train.shape)
    assert nearer_to_first(copies, train, held_out).mean() > 0.99
    assert abs(nearer_to_first(new, train, held_out).mean() - 0.5) < 4.5 * 0.5 / 20
    assert nearer_to_first(*np.array([[[0.0]], [[1.0]], [[-1.0]]])).tolist() == [0.5]


@pytest.mark.full
def test_the_floor_is_that_of_the_stored_study():
    """Real images against real ones, with the classifier that the stored runs were measured by."""
    stored = load_results()["floor"]
    for name, found in metrics_for("digits").floor(500).items():
        assert found == pytest.approx(stored[name], rel=1e-5)
