"""Distances between laws on the line, exact where they can be; measures of images; noise floors.

Three distances, and what each answers:

    total variation   ½ ∫ |p − q| dx, in [0, 1]: the most by which the two disagree on any event
    KL divergence     ∫ p log(p/q) dx ≥ 0, in nats, not symmetric: the cost of coding p with q
    Wasserstein W_r   (∫₀¹ |P⁻¹(u) − Q⁻¹(u)|^r du)^{1/r}, in the unit of x: how far mass must move

The first two compare densities; between two samples they say nothing (no point is shared).
Wasserstein compares samples too. Arguments: a sample is [n] or [n, 1]; a density is p [m] on a
strictly increasing grid x [m]; for Gaussians give means and variances, which broadcast.

    wasserstein(a, b)                                 two samples, of any sizes
    wasserstein_to_density(a, p, x)                   a sample and a density on a grid
    wasserstein_densities(p, q, x)                    two densities on one grid
    sliced_wasserstein(a, b)                          two samples in the plane, over its directions
    nearest_distances(a, b)                              from each point to the nearest of the others
    total_variation(p, q, x), kl_divergence(p, q, x)
    gaussian_kl(m_p, v_p, m_q, v_q), gaussian_wasserstein(…), gaussian_total_variation(…)
    noise_floor(mixture.sample, n, rng)               what two real samples of size n are apart

For images, as points [n, d] or as features of them:

    bits_per_dimension(eps, x, values, …)             −ELBO of each image, term by term
    frechet(a, b), within_manifold(a, b)              quality; precision and recall
    nearer_to_first(a, train, held_out)               memorisation
    bootstrap(statistic, *samples, rng=rng)           any of them with its error
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial import KDTree
from scipy.special import kl_div, ndtr

from course_utils._checks import (
    data_set,
    finite,
    finite_result,
    real_number,
    require_count,
    require_function,
    require_rng,
    together,
)

MASS_TOLERANCE = 1e-3  # by how much a density's mass on its grid may miss 1

# --- Densities on a grid -----------------------------------------------------------------------


@finite_result
def total_variation(p, q, x):
    """Return ½ ∫ |p − q| dx, between 0 (the same law) and 1 (they share nothing).

    p and q [m] are densities on the increasing grid x [m]. p − q is joined by a cubic spline whose
    parts above and below zero are integrated exactly: the error falls as the spacing to the fourth
    power. Raises ``ValueError`` for shapes that differ or a density whose mass is not 1.
    """
    p, q, x = _densities(p, q, x)
    difference = CubicSpline(x, p - q)
    crossings = difference.roots(extrapolate=False)
    ends = np.concatenate([x[:1], crossings[np.isfinite(crossings)], x[-1:]])
    return float(np.abs(np.diff(difference.antiderivative()(np.sort(ends)))).sum() / 2)


def kl_divergence(p, q, x):
    """Return KL(p‖q) = ∫ [p log(p/q) − p + q] dx in nats, by the trapezoid rule.

    The added q − p integrates to zero and makes the integrand nowhere negative, so that small
    divergences lose no digits. For smooth densities that vanish at the ends of the grid the rule
    is exact to rounding once the grid resolves them. Infinite where p has mass and q has none.
    p, q and x are [m]. Raises as ``total_variation`` does.
    """
    p, q, x = _densities(p, q, x)
    return float(np.trapezoid(kl_div(p, q), x))


@finite_result
def wasserstein_densities(p, q, x, order=1):
    """Return W_r between two densities p, q [m] on one grid x [m], r = ``order``, 1 or 2.

    Between grid points mass is spread evenly, and for that the result is exact: the error
    falls as the spacing squared. Raises as ``total_variation`` does.
    """
    p, q, x = _densities(p, q, x)
    return _wasserstein(_law_of_density(p, x), _law_of_density(q, x), order)


# --- Samples ------------------------------------------------------------------------------------


@finite_result
def wasserstein(a, b, order=1):
    """Return W_r between two samples a and b, exactly; r = ``order``, 1 or 2.

    a is [n] or [n, 1], b is [m] or [m, 1]; n and m may differ. For n = m it is the mean of
    |a_(i) − b_(i)|^r over the sorted samples, to the power 1/r. Raises ``ValueError`` for empty
    samples, numbers that are not finite, or more than one dimension.
    """
    return _wasserstein(_law_of_sample("a", a), _law_of_sample("b", b), order)


@finite_result
def wasserstein_to_density(sample, p, x, order=1):
    """Return W_r between a sample, [n] or [n, 1], and the density p [m] on the grid x [m].

    Even for a perfect sampler it is not zero: its floor is that of n real points (``noise_floor``
    with ``distance=lambda a, b: wasserstein_to_density(a, p, x)``).
    """
    p, _, x = _densities(p, p, x)
    return _wasserstein(_law_of_sample("sample", sample), _law_of_density(p, x), order)


@finite_result
def sliced_wasserstein(a, b, n_directions=24):
    """Return the mean over directions of W_1 between the projections of two samples in the plane.

    a is [n, 2], b is [m, 2]; n and m may differ. Directions are spread evenly over the half circle.
    For samples on the line, [n, 1] and [m, 1], it is W_1 itself. Raises ``ValueError`` for other
    shapes or numbers that are not finite. Source: Rabin et al. 2012; Bonneel et al. 2015.
    """
    a, b = projections(a, n_directions), projections(b, n_directions)
    if len(a) != len(b):
        raise ValueError(
            "one sample is in the plane, the other on the line: compare like with like"
        )
    levels = [np.arange(1, x.shape[1] + 1) / x.shape[1] for x in (a, b)]
    cells = np.unique(np.concatenate(levels))
    widths = np.diff(cells, prepend=0.0)
    at_a, at_b = (
        np.minimum(np.searchsorted(own, cells - widths / 2), len(own) - 1) for own in levels
    )
    return float(np.mean(np.abs(a[:, at_a] - b[:, at_b]) @ widths))


@finite_result
def projections(x, n_directions=24):
    """Return the sorted projections of x [n, 2] on directions of the half circle, [directions, n].

    For x [n, 1] there is one direction, and one row.
    """
    points = finite("points", x)
    if points.ndim != 2 or points.shape[1] not in (1, 2) or not len(points):
        raise ValueError(f"points must be [n, 2] or [n, 1] with n >= 1, got shape {points.shape}")
    if points.shape[1] == 1:
        return np.sort(points.T)
    require_count("n_directions", n_directions)
    angle = np.pi * (np.arange(n_directions) + 0.5) / n_directions
    return np.sort(np.stack([np.cos(angle), np.sin(angle)], axis=1) @ points.T)


class NearestDistances(NamedTuple):
    """Mean distances to the nearest point of the other sample, and their mean."""

    off: float
    missed: float

    @property
    def mean(self):
        """Half of off + missed: the Chamfer distance."""
        return (self.off + self.missed) / 2


@finite_result
def nearest_distances(sample, real):
    """Return how far the samples are off the real points, and how far they miss these.

    ``off`` is the mean distance from each of ``sample`` [n, d] to the nearest of ``real`` [m, d]:
    large for blurred samples. ``missed`` is that from each real point to the nearest sample: large
    where a part of the data is left out. Both depend on n and m, and real samples have a floor.
    """
    sample, real = data_set(sample), data_set(real)
    if sample.shape[1] != real.shape[1]:
        raise ValueError(
            f"need samples [n, d] and [m, d], got shapes {sample.shape} and {real.shape}"
        )
    off, missed = (KDTree(b).query(a)[0].mean() for a, b in ((sample, real), (real, sample)))
    return NearestDistances(float(off), float(missed))


class Floor(NamedTuple):
    """What chance alone leaves: the mean of a distance over ``repeats`` pairs, and its spread."""

    mean: float
    spread: float
    repeats: int


@finite_result
def noise_floor(draw, n, rng, *, repeats=50, distance=wasserstein):
    """Return the distance between two independent real samples of size n: mean and spread.

    ``draw(n, rng)`` returns one real sample, as ``GaussianMixture.sample`` does; ``distance(a, b)``
    is any distance of two samples. ``spread`` is the standard deviation of a single distance, so
    the floor itself is known to spread/√repeats. A sampler whose distance is within the spread of
    the floor cannot be told from the truth with n points. Raises ``ValueError`` for fewer than two
    repeats.
    """
    require_function("draw", draw, "(n, rng)")
    require_function("distance", distance, "two samples")
    require_count("repeats", repeats, least=2, most=100_000)
    require_count("n", n)
    require_rng(rng)
    values = [distance(draw(n, rng), draw(n, rng)) for _ in range(repeats)]
    return Floor(float(np.mean(values)), float(np.std(values, ddof=1)), repeats)


class Interval(NamedTuple):
    """A value and a 95 % interval about it: value ± 1.96 ``error``, a standard error."""

    value: float
    error: float

    @property
    def low(self):
        """The lower end."""
        return self.value - 1.96 * self.error

    @property
    def high(self):
        """The upper end."""
        return self.value + 1.96 * self.error


@finite_result
def bootstrap(statistic, *samples, rng, repeats=200):
    """Return the ``Interval`` of ``statistic(*samples)``: its spread over resampled samples.

    Every sample [n, …] is drawn anew with replacement, each by itself, ``repeats`` times. The
    spread serves as standard error about the value found: percentiles would not do for a statistic
    like ``frechet``, which resampling shifts. It covers these samples, not another training run:
    for that repeat the run with other seeds. Source: Efron 1979.
    """
    require_function("statistic", statistic, "samples")
    require_rng(rng)
    require_count("repeats", repeats, least=2, most=100_000)
    samples = [finite("a sample", sample) for sample in samples]
    if not samples or not all(sample.ndim and sample.size for sample in samples):
        shapes = [sample.shape for sample in samples]
        raise ValueError(f"need samples [n, ...] of at least one point, got shapes {shapes}")
    value = partial(real_number, "the statistic")
    again = [
        value(statistic(*(s[rng.integers(len(s), size=len(s))] for s in samples)))
        for _ in range(repeats)
    ]
    return Interval(value(statistic(*samples)), float(np.std(again, ddof=1)))


def _surprise(x, z, values, spread):
    """−log p(x|z) in nats of one image x [d], p(x_i|z) ∝ N(z_i; x_i, spread²) over the values."""
    other = (x[:, None] - values) * (x[:, None] + values - 2 * z[:, None]) / (2 * spread**2)
    return np.log(np.exp(other).sum(axis=1)).sum()  # the largest is (z − x)²/2 spread²: no overflow


def _feature_sets(a, b):
    a, b = finite("features", a), finite("features", b)
    fits = a.ndim == b.ndim == 2 and a.shape[1] == b.shape[1] > 0 and min(len(a), len(b)) > 1
    if not fits:
        raise ValueError(
            f"need finite sets [n, d] and [m, d] of two or more, got shapes {a.shape} and {b.shape}"
        )
    return a, b


# --- Gaussians, in closed form -------------------------------------------------------------------


@finite_result
def gaussian_kl(mean_p, variance_p, mean_q, variance_q):
    """Return KL(N(m_p, v_p) ‖ N(m_q, v_q)) = ½ [v_p/v_q − 1 − log(v_p/v_q) + (m_p − m_q)²/v_q].

    In nats; numbers or arrays that broadcast. Raises ``ValueError`` unless variances are positive.
    """
    m_p, v_p, m_q, v_q = _gaussians(mean_p, variance_p, mean_q, variance_q)
    excess = (v_p - v_q) / v_q
    return 0.5 * (excess - np.log1p(excess) + (m_p - m_q) ** 2 / v_q)


@finite_result
def gaussian_wasserstein(mean_p, variance_p, mean_q, variance_q):
    """Return W_2 = √[(m_p − m_q)² + (√v_p − √v_q)²] between two normal laws on the line.

    Numbers or arrays that broadcast. Raises ``ValueError`` unless variances are positive.
    """
    m_p, v_p, m_q, v_q = _gaussians(mean_p, variance_p, mean_q, variance_q)
    return np.hypot(m_p - m_q, np.sqrt(v_p) - np.sqrt(v_q))


@finite_result
def gaussian_total_variation(mean_p, variance_p, mean_q, variance_q):
    """Return the total variation between two normal laws on the line, by where densities cross.

    Numbers or arrays that broadcast. Raises ``ValueError`` unless variances are positive.
    """
    m_p, v_p, m_q, v_q = np.broadcast_arrays(*_gaussians(mean_p, variance_p, mean_q, variance_q))
    # In u = (x − m_p)/√v_p the log densities differ by the quadratic a u² + 2 b u + c.
    ratio, shift = np.sqrt(v_p / v_q), (m_p - m_q) / np.sqrt(v_q)
    a, b = ratio**2 - 1, ratio * shift
    c = shift**2 - 2 * np.log(ratio)
    root = np.sqrt(np.maximum(b**2 - a * c, 0))
    far = -(b + np.where(b < 0, -root, root))  # the sum that does not cancel
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = np.sort([far / a, c / far], axis=0)  # one is ±inf where the variances agree
    lower, upper = crossings
    outside = ndtr(lower) + ndtr(-upper)
    other = ndtr(ratio * lower + shift) + ndtr(-(ratio * upper + shift))
    same = (a == 0) & (b == 0)
    return np.where(same, 0.0, np.abs(outside - other))[()]


# --- Private -------------------------------------------------------------------------------------


def _densities(p, q, x):
    p, q, x = finite("p", p), finite("q", q), finite("x", x)
    if x.ndim != 1 or x.size < 4 or not (np.diff(x) > 0).all():
        raise ValueError(f"x must be a strictly increasing grid of 4 points or more, got {x.shape}")
    for name, density in (("p", p), ("q", q)):
        if density.shape != x.shape:
            raise ValueError(f"{name} must be [m] = {x.shape} as x is, got {density.shape}")
        mass = np.trapezoid(density, x)
        if not (density >= 0).all() or not abs(mass - 1) <= MASS_TOLERANCE:
            raise ValueError(
                f"{name} is not a density on this grid: its mass is {mass:.6g}, its least value "
                f"{density.min():.3g}; use a wider or finer grid, or divide by the mass"
            )
    return p, q, x


def _gaussians(*moments):
    names = ("mean_p", "variance_p", "mean_q", "variance_q")
    m_p, v_p, m_q, v_q = together(**dict(zip(names, moments, strict=True)))
    if not (np.all(v_p > 0) and np.all(v_q > 0)):
        raise ValueError(f"variances must be positive, got {v_p} and {v_q}")
    return m_p, v_p, m_q, v_q


# A law is its quantile function, cell by cell: on levels[k] … levels[k + 1] it runs in a straight
# line from left[k] to right[k]. A sample has flat cells, a density on a grid sloping ones.


def _law_of_sample(name, value):
    points = finite(name, value)
    if points.ndim == 2 and points.shape[1] == 1:
        points = points[:, 0]
    if points.ndim != 1 or points.size == 0:
        raise ValueError(
            f"{name} must be a sample of finite numbers, [n] or [n, 1], got shape {points.shape}: "
            "in more dimensions compare one coordinate or projection at a time"
        )
    points = np.sort(points)
    return np.arange(len(points) + 1) / len(points), points, points


def _law_of_density(p, x):
    masses = (p[:-1] + p[1:]) / 2 * np.diff(x)
    levels = np.concatenate([[0.0], np.cumsum(masses)])
    levels /= levels[-1]
    filled = np.diff(levels) > 0  # a cell without mass takes no part
    return np.append(0.0, levels[1:][filled]), x[:-1][filled], x[1:][filled]


def _wasserstein(law_a, law_b, order):
    if not isinstance(order, int | np.integer) or order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {order!r}")
    levels = np.unique(np.concatenate([law_a[0], law_b[0]]))
    (a_start, a_end), (b_start, b_end) = _quantiles(law_a, levels), _quantiles(law_b, levels)
    start, end = a_start - b_start, a_end - b_end  # the gap runs in a straight line between these
    if order == 2:
        gap = (start**2 + start * end + end**2) / 3
    else:
        size = np.abs(start) + np.abs(end)
        crossing = start * end < 0
        gap = size / 2
        gap[crossing] = (start**2 + end**2)[crossing] / (2 * size[crossing])
    return float(np.sum(np.diff(levels) * gap) ** (1 / order))


def _quantiles(law, levels):
    """Return the quantile function at the start and the end of each cell of finer levels."""
    own, left, right = law
    middle = (levels[:-1] + levels[1:]) / 2
    cell = np.clip(np.searchsorted(own, middle, side="right") - 1, 0, len(left) - 1)
    begin, width = own[cell], own[cell + 1] - own[cell]
    way = [np.clip((u - begin) / width, 0, 1) for u in (levels[:-1], levels[1:])]
    return [left[cell] + part * (right - left)[cell] for part in way]
