"""Distances between laws against closed forms, SciPy and brute force; floors and errors."""

import numpy as np
import pytest
from comparing import refuses
from scipy import integrate
from scipy.stats import norm, wasserstein_distance

from course_utils import distances

GRID = np.linspace(-12, 12, 1201)
PAIRS = [
    (0.2, 0.7, -0.5, 1.4),
    (0.2, 1.0, -0.5, 1.0),  # one crossing
    (0.0, 2.0, 0.0, 0.5),  # two, symmetric
    (0.0, 1.0, 1e-3, 1.002),
    (-4.0, 0.3, 4.0, 0.3),
]
pairs = pytest.mark.parametrize("pair", PAIRS)


def density(mean, variance, x=GRID):
    return norm.pdf(x, mean, np.sqrt(variance))


@pairs
def test_gaussians_against_quadrature_a_fine_sum_and_quantiles(pair):
    p, q = norm(pair[0], pair[1] ** 0.5), norm(pair[2], pair[3] ** 0.5)
    reach = 12 * pair[1] ** 0.5
    kl, _ = integrate.quad(
        lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), pair[0] - reach, pair[0] + reach
    )
    assert distances.gaussian_kl(*pair) == pytest.approx(kl, rel=1e-8, abs=1e-13)
    x = np.linspace(-15, 15, 300_001)
    half = np.trapezoid(np.abs(p.pdf(x) - q.pdf(x)), x) / 2
    assert distances.gaussian_total_variation(*pair) == pytest.approx(half, abs=1e-8)
    u = (np.arange(200_000) + 0.5) / 200_000
    gap = np.sqrt(np.mean((p.ppf(u) - q.ppf(u)) ** 2))
    assert distances.gaussian_wasserstein(*pair) == pytest.approx(gap, rel=1e-4)


@pairs
@pytest.mark.parametrize(
    "x", [GRID, np.unique([*GRID, *np.linspace(-3, 3, 777)])], ids=["even", "uneven"]
)
def test_densities_on_a_grid_against_the_closed_forms(pair, x):
    p, q = density(*pair[:2], x), density(*pair[2:], x)
    assert distances.total_variation(p, q, x) == pytest.approx(
        distances.gaussian_total_variation(*pair), abs=1e-9
    )
    assert distances.kl_divergence(p, q, x) == pytest.approx(distances.gaussian_kl(*pair), rel=1e-4)
    found = distances.wasserstein_densities(p, q, x, order=2)
    assert found == pytest.approx(distances.gaussian_wasserstein(*pair), abs=1e-4)


def test_kl_is_infinite_where_mass_is_missing():
    half = np.where(GRID > 0, 2 * density(0, 1), 0)
    half /= np.trapezoid(half, GRID)
    assert distances.kl_divergence(density(0, 1), half, GRID) == np.inf


def test_wasserstein_across_a_gap_without_mass():
    two, one = 0.5 * density(-5, 0.01) + 0.5 * density(5, 0.01), density(-5, 0.01)
    u = (np.arange(400_000) + 0.5) / 400_000
    gap = np.abs(10 * (u > 0.5) + 0.1 * (norm.ppf(2 * u % 1) - norm.ppf(u)))
    for order in (1, 2):
        expected = np.mean(gap**order) ** (1 / order)
        found = distances.wasserstein_densities(two, one, GRID, order)
        assert found == pytest.approx(expected, rel=1e-4)


def test_what_is_no_density_is_refused():
    for p, words in ((2 * density(0, 1), "its mass is 2"), (density(0, 1e-8), "finer grid")):
        refuses(words, distances.total_variation, density(0, 1), p, GRID)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 7), (50, 50), (82, 1000), (30, 77)])
def test_samples_against_scipy(n, m):
    rng = np.random.default_rng(n + m)
    a, b = rng.normal(size=(n, 2)), rng.normal(0.3, 2, size=(m, 2))
    on_the_line = wasserstein_distance(a[:, 0], b[:, 1])
    assert distances.wasserstein(a[:, 0], b[:, 1:]) == pytest.approx(on_the_line, rel=1e-12)
    assert distances.sliced_wasserstein(a[:, :1], b[:, 1:]) == pytest.approx(on_the_line, rel=1e-12)
    angles = np.deg2rad(np.arange(3.75, 180, 7.5))
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    each = [wasserstein_distance(a @ direction, b @ direction) for direction in directions]
    assert distances.sliced_wasserstein(a, b) == pytest.approx(np.mean(each), rel=1e-12)
    assert distances.projections(a).shape == (24, n)


def test_a_sample_against_a_density():
    x = np.linspace(0, 1, 4)  # of c to U(0, 1): W_1 = (c² + (1 − c)²)/2
    for c in (0.0, 0.3, 0.5):
        w1 = distances.wasserstein_to_density([c], np.ones(4), x)
        assert w1 == pytest.approx((c**2 + (1 - c) ** 2) / 2, rel=1e-12)
    points = norm.ppf((np.arange(4000) + 0.5) / 4000) + 0.25
    assert distances.wasserstein_to_density(points, density(0, 1), GRID) == pytest.approx(
        0.25, rel=1e-3
    )


def test_nearest_distances_against_all_distances():
    rng = np.random.default_rng(2)
    for d in (1, 2, 5):
        a, b = rng.normal(size=(30, d)), rng.normal(size=(45, d))
        every = np.linalg.norm(a[:, None] - b, axis=2)
        expected = [every.min(axis=1).mean(), every.min(axis=0).mean()]
        np.testing.assert_allclose(distances.nearest_distances(a, b), expected, atol=1e-14)
        assert distances.nearest_distances(a, b).mean == pytest.approx(np.mean(expected))


@pytest.mark.parametrize(
    "distance", [distances.wasserstein, distances.sliced_wasserstein, distances.nearest_distances]
)
def test_gaps_in_data_are_refused_and_integers_read(distance):
    whole = np.arange(6)[:, None]
    assert distance(whole, whole + 1) == distance(whole.astype(float), whole + 1.0)
    refuses("masked", distance, np.ma.masked_equal(whole, 3), whole)
    refuses("NaN", distance, whole, np.where(whole == 3, np.nan, whole))
    refuses("one coordinate", distances.wasserstein, np.zeros((5, 2)), np.zeros((5, 2)))


def test_the_floor_of_two_uniform_samples_is_known():
    """E W_1 of two samples of size 1 of U(0, 1) is E|U − V| = 1/3, with variance 1/18."""
    rng = np.random.default_rng(7)
    floor = distances.noise_floor(lambda n, rng: rng.uniform(size=n), 1, rng, repeats=4000)
    assert abs(floor.mean - 1 / 3) < 4 * np.sqrt(1 / 18 / 4000)
    assert floor.spread == pytest.approx(np.sqrt(1 / 18), rel=0.05)
