"""Distances between laws against closed forms, SciPy and brute force; the noise floor."""

import numpy as np
import pytest
from comparing import standard_errors_off
from scipy import integrate
from scipy.special import logsumexp
from scipy.stats import norm, wasserstein_distance

from course_utils.distances import (
    bootstrap,
    gaussian_kl,
    gaussian_total_variation,
    gaussian_wasserstein,
    kl_divergence,
    nearest_distances,
    noise_floor,
    projections,
    sliced_wasserstein,
    total_variation,
    wasserstein,
    wasserstein_densities,
    wasserstein_to_density,
)
from course_utils.mixtures import GaussianMixture
from course_utils.training.image_metrics import (
    bits_per_dimension,
    frechet,
    nearer_to_first,
    within_manifold,
)

GRID = np.linspace(-12, 12, 1201)
PAIRS = [
    (0.2, 0.7, -0.5, 1.4),
    (0.2, 1.0, -0.5, 1.0),  # one crossing
    (0.0, 2.0, 0.0, 0.5),  # two, symmetric
    (0.0, 1.0, 1e-3, 1.002),
    (-4.0, 0.3, 4.0, 0.3),
]


def density(mean, variance, x=GRID):
    return norm.pdf(x, mean, np.sqrt(variance))


# --- Gaussians ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS)
def test_gaussian_kl_against_quadrature(pair):
    p, q = norm(pair[0], pair[1] ** 0.5), norm(pair[2], pair[3] ** 0.5)
    reach = 12 * pair[1] ** 0.5
    value, _ = integrate.quad(
        lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), pair[0] - reach, pair[0] + reach
    )
    assert gaussian_kl(*pair) == pytest.approx(value, rel=1e-8, abs=1e-13)


@pytest.mark.parametrize("pair", PAIRS)
def test_gaussian_total_variation_against_a_fine_sum(pair):
    x = np.linspace(-15, 15, 300_001)
    value = np.trapezoid(np.abs(density(*pair[:2], x) - density(*pair[2:], x)), x) / 2
    assert gaussian_total_variation(*pair) == pytest.approx(value, abs=1e-8)


def test_gaussian_total_variation_where_it_is_known():
    assert gaussian_total_variation(0, 1, 0, 1) == 0
    assert gaussian_total_variation(0, 1, 0.6, 1) == pytest.approx(2 * norm.cdf(0.3) - 1, rel=1e-13)
    small = 1e-9  # TV → |m| φ(0) and |v − 1| φ(1)
    assert gaussian_total_variation(0, 1, small, 1) == pytest.approx(small * norm.pdf(0), rel=1e-6)
    assert gaussian_total_variation(0, 1, 0, 1 + small) == pytest.approx(
        small * norm.pdf(1), rel=1e-6
    )
    assert gaussian_total_variation(0, 1e-20, 0, 1) == pytest.approx(1, abs=1e-8)


def test_gaussian_wasserstein_against_quantiles():
    for pair in PAIRS:
        u = (np.arange(200_000) + 0.5) / 200_000
        gap = norm.ppf(u, pair[0], pair[1] ** 0.5) - norm.ppf(u, pair[2], pair[3] ** 0.5)
        assert gaussian_wasserstein(*pair) == pytest.approx(np.sqrt(np.mean(gap**2)), rel=1e-4)


def test_gaussians_broadcast():
    means = np.array([[0.0], [1.0], [2.0]])
    variances = np.array([0.5, 1.0])
    for function in (gaussian_kl, gaussian_wasserstein, gaussian_total_variation):
        table = function(means, variances, 0.0, 1.0)
        assert table.shape == (3, 2)
        assert table[2, 0] == function(2.0, 0.5, 0.0, 1.0)
        assert table[0, 1] == 0


# --- Densities on a grid ------------------------------------------------------------------------


@pytest.mark.parametrize("pair", PAIRS)
def test_densities_on_a_grid_against_the_closed_forms(pair):
    p, q = density(*pair[:2]), density(*pair[2:])
    assert total_variation(p, q, GRID) == pytest.approx(gaussian_total_variation(*pair), abs=1e-9)
    assert kl_divergence(p, q, GRID) == pytest.approx(gaussian_kl(*pair), rel=1e-7)
    assert wasserstein_densities(p, q, GRID, order=2) == pytest.approx(
        gaussian_wasserstein(*pair), abs=1e-4
    )


def test_kl_is_not_symmetric_and_infinite_where_mass_is_missing():
    p, q = density(0.2, 0.7), density(-0.5, 1.4)
    assert kl_divergence(p, q, GRID) != pytest.approx(kl_divergence(q, p, GRID), rel=0.1)
    half = np.where(GRID > 0, 2 * density(0, 1), 0)
    half /= np.trapezoid(half, GRID)
    assert kl_divergence(density(0, 1), half, GRID) == np.inf
    assert kl_divergence(half, density(0, 1), GRID) == pytest.approx(np.log(2), abs=0.02)


def test_total_variation_falls_with_the_fourth_power_of_the_spacing():
    exact = gaussian_total_variation(0.2, 0.7, -0.5, 1.4)
    errors = []
    for n in (61, 121, 241):
        x = np.linspace(-12, 12, n)
        p, q = density(0.2, 0.7, x), density(-0.5, 1.4, x)
        errors.append(abs(total_variation(p, q, x) - exact))
    assert errors[0] / errors[1] > 10
    assert errors[1] / errors[2] > 10


def test_wasserstein_of_a_shift_and_of_disjoint_boxes():
    p = density(0, 0.5)
    shifted = density(1.5, 0.5)
    for order in (1, 2):
        assert wasserstein_densities(p, shifted, GRID, order) == pytest.approx(1.5, rel=1e-9)
    # Two narrow bumps far apart: the grid between them holds no mass.
    p = 0.5 * density(-5, 0.01) + 0.5 * density(5, 0.01)
    assert wasserstein_densities(p, density(-5, 0.01), GRID, 1) == pytest.approx(5, rel=1e-9)
    u = (np.arange(400_000) + 0.5) / 400_000
    gap = 10 * (u > 0.5) + 0.1 * (norm.ppf(2 * u % 1) - norm.ppf(u))
    assert wasserstein_densities(p, density(-5, 0.01), GRID, 2) == pytest.approx(
        np.sqrt(np.mean(gap**2)), rel=1e-4
    )


def test_uneven_grids_serve():
    x = np.sort(np.concatenate([GRID, np.linspace(-3, 3, 777)]))
    x = np.unique(x)
    pair = PAIRS[0]
    p, q = density(*pair[:2], x), density(*pair[2:], x)
    assert total_variation(p, q, x) == pytest.approx(gaussian_total_variation(*pair), abs=1e-9)


# --- Samples ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 7), (50, 50), (82, 1000), (30, 77)])
def test_wasserstein_1_of_samples_against_scipy(n, m):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=n), rng.normal(0.3, 2, m)
    assert wasserstein(a, b) == pytest.approx(wasserstein_distance(a, b), rel=1e-12)
    assert wasserstein(b, a) == pytest.approx(wasserstein(a, b), rel=1e-12)


def test_wasserstein_2_of_samples_by_repetition():
    """Samples of sizes 4 and 6 are samples of size 12 with repeated points."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=4), rng.normal(size=6)
    paired = np.sort(np.repeat(a, 3)) - np.sort(np.repeat(b, 2))
    assert wasserstein(a, b, order=2) == pytest.approx(np.sqrt(np.mean(paired**2)), rel=1e-12)


def test_wasserstein_against_the_assignment_problem():
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(3)
    a, b = rng.normal(size=20), rng.normal(1, 3, size=20)
    for order in (1, 2):
        cost = np.abs(a[:, None] - b) ** order
        best = cost[linear_sum_assignment(cost)].mean() ** (1 / order)
        assert wasserstein(a[:, None], b, order) == pytest.approx(best, rel=1e-12)


def test_a_sample_against_a_density():
    sample = np.array([0.4])  # one point: W_1 = E|X − 0.4|, W_2² = 1 + 0.4²
    p = density(0, 1)
    mean = 2 * norm.pdf(0.4) + 0.4 * (2 * norm.cdf(0.4) - 1)
    assert wasserstein_to_density(sample, p, GRID) == pytest.approx(mean, rel=1e-4)
    assert wasserstein_to_density(sample, p, GRID, 2) == pytest.approx(np.sqrt(1.16), rel=1e-4)
    # Many points at the quantiles of p are almost p.
    points = norm.ppf((np.arange(4000) + 0.5) / 4000)
    assert wasserstein_to_density(points, p, GRID) < 1e-3
    assert wasserstein_to_density(points + 0.25, p, GRID) == pytest.approx(0.25, rel=1e-3)


def test_one_point_against_a_flat_density_is_exact_on_the_coarsest_grid():
    """W_1 of a point c to U(0, 1) is (c² + (1 − c)²)/2, and W_2² is (c³ + (1 − c)³)/3."""
    x = np.linspace(0, 1, 4)
    for c in (0.0, 0.3, 0.5):
        got = [wasserstein_to_density([c], np.ones(4), x, order) for order in (1, 2)]
        assert got[0] == pytest.approx((c**2 + (1 - c) ** 2) / 2, rel=1e-12)
        assert got[1] == pytest.approx(np.sqrt((c**3 + (1 - c) ** 3) / 3), rel=1e-12)


# --- The noise floor ----------------------------------------------------------------------------


def test_the_floor_falls_as_the_root_of_n_and_holds_its_spread():
    law = GaussianMixture([0.3, 0.7], [[-1.0], [0.5]], [0.1, 0.2])
    small = noise_floor(law.sample, 100, np.random.default_rng(4), repeats=200)
    large = noise_floor(law.sample, 1600, np.random.default_rng(5), repeats=200)
    assert small.repeats == 200
    ratio = small.mean / large.mean
    error = ratio * np.hypot(small.spread / small.mean, large.spread / large.mean) / np.sqrt(200)
    assert abs(ratio - 4) < 4 * error
    again = noise_floor(law.sample, 100, np.random.default_rng(6), repeats=200)
    assert abs(again.mean - small.mean) < 4 * np.hypot(again.spread, small.spread) / np.sqrt(200)


def test_the_floor_of_two_uniform_samples_is_known():
    """E W_1 of two samples of size 1 of U(0, 1) is E|U − V| = 1/3, with variance 1/18."""
    floor = noise_floor(
        lambda n, rng: rng.uniform(size=n), 1, np.random.default_rng(7), repeats=4000
    )
    assert abs(floor.mean - 1 / 3) < 4 * np.sqrt(1 / 18 / 4000)
    assert floor.spread == pytest.approx(np.sqrt(1 / 18), rel=0.05)


def test_the_floor_takes_any_distance():
    p = density(0, 1)
    floor = noise_floor(
        lambda n, rng: rng.standard_normal((n, 1)),
        200,
        np.random.default_rng(8),
        distance=lambda a, b: wasserstein_to_density(a, p, GRID),
    )
    pairs = noise_floor(
        lambda n, rng: rng.standard_normal((n, 1)), 200, np.random.default_rng(8), repeats=50
    )
    assert 0 < floor.mean < pairs.mean  # one sample is nearer the law than two are to each other


# --- Bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: total_variation(density(0, 1)[:-1], density(0, 1), GRID), "p must be"),
        (lambda: total_variation(density(0, 1), 2 * density(0, 1), GRID), "its mass is 2"),
        (lambda: total_variation(density(0, 1), density(0, 1e-8), GRID), "finer grid"),
        (lambda: kl_divergence(density(0, 1), density(0, 1), GRID[::-1]), "increasing"),
        (lambda: kl_divergence(-density(0, 1), density(0, 1), GRID), "not a density"),
        (lambda: wasserstein([], [1.0]), "a must be a sample"),
        (lambda: wasserstein([1.0], [np.nan]), "b must be (a sample|finite)"),
        (lambda: wasserstein(np.zeros((5, 2)), np.zeros((5, 2))), "one coordinate"),
        (lambda: wasserstein([1.0], [2.0], order=0.5), "order must be 1 or 2"),
        (lambda: gaussian_kl(0, 0, 0, 1), "variances must be positive"),
        (
            lambda: noise_floor(lambda n, rng: rng.normal(size=n), 5, None, repeats=1),
            "repeats must be a whole number of at least 2",
        ),
    ],
)
def test_bad_input_says_what_came_in(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# --- Samples in the plane ------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(40, 40), (40, 57), (7, 300)])
def test_sliced_wasserstein_is_scipys_over_directions(n, m):
    rng = np.random.default_rng(n + m)
    a, b = rng.normal(size=(n, 2)), 1.5 * rng.normal(size=(m, 2)) + [1, 0]
    expected = []
    for angle in np.deg2rad(np.arange(3, 180, 6)):
        direction = [np.cos(angle), np.sin(angle)]
        expected.append(wasserstein_distance(a @ direction, b @ direction))
    assert abs(sliced_wasserstein(a, b, 30) - np.mean(expected)) < 1e-12
    assert abs(sliced_wasserstein(a, b) - np.mean(expected)) < 5e-3  # of 24 directions


def test_sliced_wasserstein_of_a_shift_and_on_the_line():
    x = np.random.default_rng(0).normal(size=(50, 2))
    # the mean of |cos| over the circle is 2/π
    assert abs(sliced_wasserstein(x, x + np.array([3.0, 4.0]), 2000) - 10 / np.pi) < 1e-5
    assert sliced_wasserstein(x, x[::-1]) == 0
    a, b = x[:, :1], x[:30, 1:]
    assert abs(sliced_wasserstein(a, b) - wasserstein(a, b)) < 1e-13
    assert projections(x).shape == (24, 50) and projections(a).shape == (1, 50)


def test_sliced_wasserstein_sees_structure_and_refuses_nonsense():
    rng = np.random.default_rng(1)
    real, more = rng.normal(size=(2, 400, 2))
    squeezed = more * [1.0, 0.5]
    assert sliced_wasserstein(real, squeezed) > 1.5 * sliced_wasserstein(real, more)
    for bad in (real[:, 0], rng.normal(size=(5, 3)), real[:0], np.full((4, 2), np.nan)):
        with pytest.raises(ValueError, match="points must be"):
            sliced_wasserstein(real, bad)
    with pytest.raises(ValueError, match="on the line"):
        sliced_wasserstein(real, real[:, :1])
    with pytest.raises(ValueError, match="n_directions"):
        sliced_wasserstein(real, more, 0)


def test_off_and_missed_against_all_distances():
    rng = np.random.default_rng(2)
    for d in (1, 2, 5):
        a, b = rng.normal(size=(30, d)), rng.normal(size=(45, d))
        every = np.linalg.norm(a[:, None] - b, axis=2)
        found = nearest_distances(a, b)
        assert np.allclose(found, [every.min(axis=1).mean(), every.min(axis=0).mean()], atol=1e-14)
        assert abs(found.mean - nearest_distances(b, a).mean) < 1e-14
    blurred, broken = b + rng.normal(size=b.shape), b[:5]
    assert nearest_distances(blurred, b).off > 0 == nearest_distances(broken, b).off
    assert nearest_distances(broken, b).missed > 0
    with pytest.raises(ValueError, match=r"need samples|need finite data"):
        nearest_distances(a, b[:, :2])
    with pytest.raises(ValueError, match=r"need samples|need finite data"):
        nearest_distances(a[:, 0], b[:, 0])


# --- Images -------------------------------------------------------------------------------------

VALUES = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])


def law_of_values(masses):
    return GaussianMixture(masses, VALUES[:, None], np.zeros(len(VALUES)))


@pytest.mark.parametrize("top", [4.0, 6.0, 9.0])
def test_bits_of_a_perfect_model_are_the_entropy(top):
    """Every value alike: prior, decoder and denoiser are exact, so −ELBO is log₂ 5 bits."""
    law = law_of_values(np.full(5, 0.2))
    x = np.repeat(VALUES, 4000)[:, None]
    bits = bits_per_dimension(law.eps, x, VALUES, -10, top, np.random.default_rng(0))
    error = bits.total.std() / np.sqrt(len(x))
    assert abs(bits.total.mean() - np.log2(5)) < 4.5 * error < 0.05
    # In two dimensions, a number per dimension stays what it is.
    pairs = x[np.random.default_rng(1).permutation(len(x))].reshape(-1, 2)

    def eps(z, log_snr):
        return np.concatenate([law.eps(z[:, i : i + 1], log_snr) for i in (0, 1)], axis=1)

    both = bits_per_dimension(eps, pairs, VALUES, -10, top, np.random.default_rng(2))
    assert abs(both.total.mean() - np.log2(5)) < 4.5 * both.total.std() / np.sqrt(len(pairs))


def test_bits_term_by_term():
    """At a low upper end the decoder pays, at a high one the diffusion; a wrong model pays more."""
    x = np.repeat(VALUES, 1500)[:, None]
    right, wrong = law_of_values(np.full(5, 0.2)), law_of_values([0.6, 0.1, 0.1, 0.1, 0.1])
    low, high = (
        bits_per_dimension(right.eps, x, VALUES, -10, top, np.random.default_rng(0))
        for top in (2, 9)
    )
    assert low.reconstruction.mean() > 0.5 and high.reconstruction.mean() < 1e-6
    assert low.diffusion.mean() < high.diffusion.mean()
    # D_KL(N(αx, σ²) ‖ N(0, 1)) by the closed form in one dimension
    near = bits_per_dimension(right.eps, x, VALUES, -1, 9, np.random.default_rng(0))
    expected = gaussian_kl(np.sqrt(0.268941) * x[:, 0], 1 - 0.268941, 0, 1) / np.log(2)
    assert np.allclose(near.prior, expected, atol=1e-5)
    more = bits_per_dimension(wrong.eps, x, VALUES, -10, 9, np.random.default_rng(0))
    cost = more.total.mean() - high.total.mean()
    exact = np.mean(-np.log2([0.6, 0.1, 0.1, 0.1, 0.1])) - np.log2(5)
    assert cost == pytest.approx(exact, abs=0.05)  # T6: the right score of a wrong law


def test_the_decoder_of_a_large_image_with_many_grey_levels():
    """784 coordinates among 256 values, against scipy and noise of its own."""
    rng = np.random.default_rng(0)
    values = np.linspace(-1, 1, 256)
    x = values[rng.integers(256, size=(20, 784))]
    for top in (5.0, 11.5):
        found = bits_per_dimension(lambda z, _: z, x, values, -10, top, rng, n_levels=1)
        spread = np.exp(-top / 2)
        z = x + spread * rng.standard_normal(x.shape)
        log_weights = -(((z[..., None] - values) / spread) ** 2) / 2
        own = np.take_along_axis(log_weights, np.rint((x + 1) * 127.5).astype(int)[..., None], 2)
        expected = (logsumexp(log_weights, axis=2) - own[..., 0]).mean(axis=1) / np.log(2)
        error = np.hypot(found.reconstruction.std(), expected.std()) / np.sqrt(20)
        difference = found.reconstruction.mean() - expected.mean()
        assert standard_errors_off(difference, error, 0.0) < 4.5
        assert error < 0.05 * expected.mean()


def test_bits_refuse_what_is_not_of_the_values():
    def eps(z, log_snr):
        return z

    for x in (np.full((3, 2), 0.3), np.zeros(3)):
        with pytest.raises(ValueError, match=r"among the values|need finite data"):
            bits_per_dimension(eps, x, VALUES, -1, 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="range"):
        bits_per_dimension(eps, np.zeros((3, 2)), VALUES, 1, 1, np.random.default_rng(0))


def test_frechet_against_scipy_and_the_closed_form():
    from scipy.linalg import sqrtm

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
    with pytest.raises(ValueError, match="need finite sets"):
        frechet(a, np.zeros((5, 2)))


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
    with pytest.raises(ValueError, match="more than k"):
        within_manifold(points, reference, k=4)


def test_memorisation_is_seen_and_absent_in_new_points():
    rng = np.random.default_rng(0)
    train, held_out, new = rng.normal(size=(3, 400, 4))
    copies = train + 0.01 * rng.normal(size=train.shape)
    assert nearer_to_first(copies, train, held_out).mean() > 0.99
    assert abs(nearer_to_first(new, train, held_out).mean() - 0.5) < 4.5 * 0.5 / 20
    assert nearer_to_first([[0.0], [2.0]], [[1.0], [3.0]], [[1.0], [9.0]]).tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="one size"):
        nearer_to_first(new, train, held_out[:10])


def test_bootstrap_error_of_a_mean_and_its_coverage():
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    found = bootstrap(np.mean, x, rng=rng, repeats=2000)
    assert found.value == x.mean()
    assert found.error == pytest.approx(x.std() / 20, rel=0.08)
    assert found.high - found.value == pytest.approx(1.96 * found.error)
    inside = 0
    for _ in range(200):
        a, b = rng.normal(size=60), rng.normal(1, 1, size=50)
        interval = bootstrap(lambda a, b: a.mean() - b.mean(), a, b, rng=rng, repeats=100)
        inside += interval.low < -1 < interval.high
    assert 0.87 < inside / 200 < 0.99
    with pytest.raises(ValueError, match="repeats"):
        bootstrap(np.mean, x, rng=rng, repeats=1)
    with pytest.raises(ValueError, match="the statistic must be one finite number, got array"):
        bootstrap(np.sort, x, rng=rng)
