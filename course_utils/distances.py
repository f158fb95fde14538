"""Distances between laws on the line and in the plane, exact where they can be; noise floors.

Three distances, and what each answers:

    total variation   ½ ∫ |p − q| dx, in [0, 1]: the most by which the two disagree on any event
    KL divergence     ∫ p log(p/q) dx ≥ 0, in nats, not symmetric: the cost of coding p with q
    Wasserstein W_r   (∫₀¹ |P⁻¹(u) − Q⁻¹(u)|^r du)^{1/r}, in the unit of x: how far mass must move

The first two compare densities; between two samples they say nothing, for no point is shared.
Wasserstein compares samples too. A sample on the line is [n] or [n, 1], a density is p [m] on an
increasing grid x [m], and Gaussians are given by means and variances, which broadcast.

Measures of images are in ``training.image_metrics``.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline
from scipy.spatial import KDTree
from scipy.special import kl_div, ndtr

from course_utils._checks import data_set, require_increasing

MASS_TOLERANCE = 1e-3  # by how much a density's mass on its grid may miss 1

Grid = Float[ndarray, " m"]  # of x, or of a density there

# --- Densities on a grid -----------------------------------------------------------------------


def total_variation(p: Grid, q: Grid, x: Grid):
    """Return ½ ∫ |p − q| dx, between 0 (the same law) and 1 (they share nothing).

    Exact for the cubic spline through p − q: the error falls as the fourth power of the spacing.
    Raises ``ValueError`` for a grid that does not increase, and for a density that is negative or
    whose mass on the grid is not 1.
    """
    p, q, x = _densities(p, q, x)
    difference = CubicSpline(x, p - q)
    crossings = difference.roots(extrapolate=False)
    ends = np.concatenate([x[:1], crossings[np.isfinite(crossings)], x[-1:]])
    return float(np.abs(np.diff(difference.antiderivative()(np.sort(ends)))).sum() / 2)


def kl_divergence(p: Grid, q: Grid, x: Grid):
    """Return KL(p‖q) = ∫ [p log(p/q) − p + q] dx in nats, by the trapezoid rule.

    The added q − p integrates to zero and makes the integrand nowhere negative, so that small
    divergences lose no digits. Infinite where p has mass and q has none. Raises as
    ``total_variation`` does.
    """
    p, q, x = _densities(p, q, x)
    return float(np.trapezoid(kl_div(p, q), x))


def wasserstein_densities(p: Grid, q: Grid, x: Grid, order=1):
    """Return W_r between two densities on one grid, r = ``order``, 1 or 2.

    Exact for mass spread evenly between grid points: the error falls as the square of the spacing.
    Raises as ``total_variation`` does.
    """
    p, q, x = _densities(p, q, x)
    return _wasserstein(_law_of_density(p, x), _law_of_density(q, x), order)


# --- Samples ------------------------------------------------------------------------------------


def wasserstein(a: ArrayLike, b: ArrayLike):
    """Return W_1 between two samples on the line, exactly.

    For n = m it is the mean of |a_(i) − b_(i)| over the sorted samples. Raises ``ValueError`` for
    gaps and more dimensions.
    """
    return _wasserstein(_law_of_sample(a), _law_of_sample(b))


def wasserstein_to_density(sample: ArrayLike, p: Grid, x: Grid):
    """Return W_1 between a sample and a density on a grid.

    Even for a perfect sampler it is not zero: its floor is that of n real points (``noise_floor``).
    """
    p, _, x = _densities(p, p, x)
    return _wasserstein(_law_of_sample(sample), _law_of_density(p, x))


def sliced_wasserstein(a: ArrayLike, b: ArrayLike):
    """Return the mean over directions of W_1 between the ``projections`` of two samples.

    a is [n, 2] and b [m, 2], in the plane; or both are on the line, [n, 1] and [m, 1], where it is
    W_1 itself. Source: Rabin et al. 2012.
    """
    pairs = zip(projections(a), projections(b), strict=True)
    return float(np.mean([wasserstein(*pair) for pair in pairs]))


def projections(x: ArrayLike):
    """Return the sorted projections of x [n, 2] on 24 directions of the half circle, [24, n]."""
    x = data_set(x)
    if x.shape[1] == 1:  # there is one direction
        return np.sort(x.T)
    angle = np.pi * (np.arange(24) + 0.5) / 24
    return np.sort(np.stack([np.cos(angle), np.sin(angle)], axis=1) @ x.T)


class NearestDistances(NamedTuple):
    """Mean distances to the nearest point of the other sample, and their mean."""

    off: float
    missed: float

    @property
    def mean(self):
        """Half of off + missed: the Chamfer distance."""
        return (self.off + self.missed) / 2


def nearest_distances(sample: ArrayLike, real: ArrayLike):
    """Return how far the samples are off the real points, and how far they miss these.

    ``off`` is the mean distance from each of ``sample`` [n, d] to the nearest of ``real`` [m, d]:
    large for blurred samples. ``missed`` is that from each real point to the nearest sample: large
    where a part of the data is left out.
    """
    sample, real = data_set(sample), data_set(real)
    off, missed = (KDTree(b).query(a)[0].mean() for a, b in ((sample, real), (real, sample)))
    return NearestDistances(float(off), float(missed))


class Floor(NamedTuple):
    """What chance alone leaves of a distance: its mean, and the spread of a single one."""

    mean: float
    spread: float


def noise_floor(draw, n, rng, *, repeats=50, distance=wasserstein):
    """Return the ``Floor`` of the distance between two independent real samples of size n.

    ``draw(n, rng)`` returns one real sample, as ``GaussianMixture.sample`` does; ``distance(a, b)``
    is any distance of two samples. A sampler within the spread of the floor cannot be told from the
    truth with n points.
    """
    values = [distance(draw(n, rng), draw(n, rng)) for _ in range(repeats)]
    return Floor(float(np.mean(values)), float(np.std(values, ddof=1)))


# --- Gaussians, in closed form -------------------------------------------------------------------


def gaussian_kl(m_p, v_p, m_q, v_q):
    """Return KL(N(m_p, v_p) ‖ N(m_q, v_q)) = ½ [v_p/v_q − 1 − log(v_p/v_q) + (m_p − m_q)²/v_q]."""
    log_ratio = np.log(np.divide(v_p, v_q))
    # v_p/v_q − 1 as expm1(log): a small divergence keeps its digits
    return 0.5 * (np.expm1(log_ratio) - log_ratio + np.subtract(m_p, m_q) ** 2 / v_q)


def gaussian_wasserstein(m_p, v_p, m_q, v_q):
    """Return W_2 = √[(m_p − m_q)² + (√v_p − √v_q)²] between two normal laws on the line."""
    return np.hypot(np.subtract(m_p, m_q), np.sqrt(v_p) - np.sqrt(v_q))


def gaussian_total_variation(m_p, v_p, m_q, v_q):
    """Return the total variation between two normal laws on the line, by where densities cross.

    Outside the two crossings one density is the larger, so it is |P(outside) − Q(outside)|.
    """
    m_p, v_p, m_q, v_q = np.broadcast_arrays(*(np.asarray(x, float) for x in (m_p, v_p, m_q, v_q)))
    # In u = (x − m_p)/√v_p twice the log densities differ by the quadratic a u² + 2 b u + c.
    ratio, shift = np.sqrt(v_p / v_q), (m_p - m_q) / np.sqrt(v_q)
    a, b = ratio**2 - 1, ratio * shift
    c = shift**2 - 2 * np.log(ratio)
    root = np.sqrt(np.maximum(b**2 - a * c, 0))
    far = -(b + np.where(b < 0, -root, root))  # the sum that does not cancel
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        lower, upper = np.sort([far / a, c / far], axis=0)  # one is ±∞ where the variances agree
    outside = ndtr(lower) + ndtr(-upper)
    other = ndtr(ratio * lower + shift) + ndtr(-(ratio * upper + shift))
    same = (a == 0) & (b == 0)
    return np.where(same, 0.0, np.abs(outside - other))[()]


# --- A law as its quantile function ---------------------------------------------------------------
# (levels, values), both in order: straight lines between them, a jump where a level stands twice.


def _densities(p, q, x):
    x = require_increasing("the grid x", x, least=4)
    for name, density in (("p", p), ("q", q)):
        mass = np.trapezoid(density, x)
        if not (np.min(density) >= 0 and abs(mass - 1) <= MASS_TOLERANCE):
            raise ValueError(
                f"{name} is not a density on this grid: its mass is {mass:.6g}, its least value "
                f"{np.min(density):.3g}; use a wider or finer grid, or divide by the mass"
            )
    return np.asarray(p), np.asarray(q), x


def _law_of_sample(sample):
    points = data_set(sample)
    if points.shape[1] != 1:
        shape = f"a sample on the line is [n] or [n, 1], got {points.shape}"
        raise ValueError(f"{shape}: compare one coordinate at a time, or use sliced_wasserstein")
    n, points = len(points), np.sort(points[:, 0])
    return np.repeat(np.arange(n + 1), 2)[1:-1] / n, np.repeat(points, 2)


def _law_of_density(p, x):
    masses = (p[:-1] + p[1:]) / 2 * np.diff(x)
    levels = np.append(0.0, np.cumsum(np.where(masses > 1e-30, masses, 0.0)))  # or slopes overflow
    return levels / levels[-1], x


def _wasserstein(law_a, law_b, order=1):
    """(∫₀¹ |P⁻¹(u) − Q⁻¹(u)|^r du)^{1/r}: between all levels of both the gap is a straight line."""
    levels = np.unique(np.concatenate([law_a[0], law_b[0]]))
    width, middle = np.diff(levels), (levels[:-1] + levels[1:]) / 2
    # looked at inside the cells, for at their ends the quantile functions may jump
    inside = middle - width / 4, middle + width / 4
    before, after = (np.interp(u, *law_a) - np.interp(u, *law_b) for u in inside)
    start, end = (3 * before - after) / 2, (3 * after - before) / 2
    size, square = np.abs(start) + np.abs(end), start**2 + end**2
    mean = {1: size / 2, 2: (square + start * end) / 3}[order]
    crossing = (start * end < 0) & (order == 1)  # |y| makes two triangles there
    mean[crossing] = square[crossing] / (2 * size[crossing])
    return float(np.sum(width * mean) ** (1 / order))
