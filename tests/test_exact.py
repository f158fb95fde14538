"""Stated bounds hold: e, L and both sides of S5 against other quadrature and closed forms."""

import copy
import pickle
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from comparing import assert_close, refuses
from numpy.polynomial import legendre
from scipy.special import expit
from truths import HILLS, NODES, WEIGHTS, amplitudes, point
from truths import error_and_kl as reference
from truths import posterior as posterior_of_x

from course_utils.datasets import galaxies, galaxy_velocities
from course_utils.elbo import ErrorCurve, sum_of_elbos, weighted_loss
from course_utils.exact import _Line, error_and_kl, expected
from course_utils.mixtures import GaussianMixture
from course_utils.quadrature import Bounded, halved
from course_utils.schedules import alpha, sigma

BROAD = GaussianMixture([1.0], [[0.0]], [1.3])
NORMAL = GaussianMixture([1.0], [[0.0]], [1.0])
FEW = GaussianMixture.from_data(galaxies()[::16])
NARROW = GaussianMixture([0.5, 0.5], [[0.0], [0.0]], [1.0, 1e-4])
MIXED = GaussianMixture([0.4, 0.4, 0.2], [[-1.0], [0.0], [2.0]], [0.01, 1.0, 100.0])
SHARP = GaussianMixture([0.5, 0.5], [[0.0], [2.0]], [1e-6, 1.0])
SIDES = {"left": weighted_loss, "right": sum_of_elbos}


@pytest.mark.parametrize(
    ("truth", "model"),
    [
        (HILLS, HILLS),
        (HILLS, BROAD),
        (FEW, FEW),
        (FEW, HILLS),
        (NARROW, NARROW),
        (MIXED, MIXED),
        (NORMAL, SHARP),
        (point(0.3), SHARP),
        (point(30.0), GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], [1e-2, 1e-4])),
    ],
)
def test_a_level_against_scipy_and_the_reference(truth, model):
    levels = np.array([-9.0, -1.0, 1.0, 4.0, 8.0])
    coarse, fine = expected(error_and_kl, truth, model, levels)
    assert_close(fine / coarse, 1.0, atol=2e-8)  # the difference is what is stated
    for level, (e, kl), finer in zip(levels, coarse, fine, strict=True):
        other = reference(truth, model, level)
        for found, better, wanted in zip((e, kl), finer, other, strict=True):
            assert abs(found - wanted) <= 2 * abs(found - better) + 3e-12 * max(1, abs(wanted))


# --- bounds hold on random mixtures and weightings ------------------------------------------------


def random_mixture(rng, extreme):
    n = rng.integers(2, 5)
    sd = 10 ** rng.uniform(-4, 1, n) if extreme else rng.uniform(0.03, 1, n)
    return GaussianMixture(rng.dirichlet(np.full(n, 2.0)), rng.normal(size=(n, 1)), sd**2)


def random_weightings(rng, low, high):
    """{kind: (w, its breaks, the width of cells in which it is a polynomial, nearly)}."""
    b, c, p = rng.uniform(low + 1, high - 1, 3)
    jumps, heights = np.sort(rng.uniform(low, high, 3)), rng.random(4)
    frequency, width = 10 ** rng.uniform(0.5, 2.5), 10 ** rng.uniform(-3, -1)
    return {
        "smooth": (lambda s: expit(b - s), [], 0.5),
        "growing": (lambda s: np.exp(-s / 2), [], 0.5),
        "kinked": (lambda s: np.minimum(1, np.exp(c - s)), [c], 0.5),
        "stepped": (lambda s: heights[np.searchsorted(jumps, s)], jumps, 0.5),
        "oscillating": (lambda s: 1 + np.sin(frequency * s), [], 6 / frequency),
        "spiked": (
            lambda s: 0.1 + np.exp(-(((s - p) / width) ** 2)),
            p + width * np.arange(-7, 8),
            0.5,
        ),
    }


def reference_loss(error, w, breaks, cell, edges):
    """½ ∫ w e dλ by Gauss's rule in cells between the edges and breaks; e is a list of series."""
    total = 0.0
    for (low, high), series in zip(pairwise(edges), error, strict=True):
        inside = [b for b in breaks if low < b < high]
        parts = np.unique([low, high, *inside])
        for left, right in pairwise(parts):
            ends = np.linspace(left, right, int(np.ceil((right - left) / cell)) + 1)
            half = np.diff(ends)[:, None] / 2
            levels = ends[:-1, None] + half + half * NODES
            e = legendre.legval((2 * levels - low - high) / (high - low), series)
            total += np.sum(half * WEIGHTS * w(levels) * e) / 2
    return total


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(s, marks=pytest.mark.full) for s in (0, 3))])
def test_no_bound_is_exceeded(seed):
    rng = np.random.default_rng(seed)
    truth, model = random_mixture(rng, seed % 2), random_mixture(rng, seed % 2)
    model = truth if seed < 2 else model
    low, high = [(-10.0, 10.0), (-16.0, 3.0), (-3.0, 14.0)][seed % 3]
    curve = ErrorCurve.from_mixtures(truth, model, log_snr=(low, high))
    edges = np.arange(low, high + 0.1, 0.5)
    fit = np.linalg.inv(legendre.legvander(NODES, 19))
    error = [
        fit @ [reference(truth, model, middle + x / 4)[0] for x in NODES]
        for middle in (edges[1:] + edges[:-1]) / 2
    ]
    for kind, (w, breaks, cell) in random_weightings(rng, low, high).items():
        exact = reference_loss(error, w, breaks, cell, edges)
        for name, side in SIDES.items():
            found = side(w, curve)
            own = 1e-12 * exact  # what the reference may be off
            assert abs(found - exact) <= found.bound + own, (kind, name)
            assert found.bound < 1e-8 * exact, (kind, name)


def test_what_cannot_be_resolved_is_refused(monkeypatch):
    monkeypatch.setattr("course_utils.elbo.halved", partial(halved, most=5000))  # to be quick
    curve = ErrorCurve.from_mixtures(NORMAL)
    refuses("not resolved", weighted_loss, lambda s: np.sin(1e7 * s) ** 2, curve, 0, 1)


def test_where_all_is_rounding_that_is_said():
    """Two points that no level of the range confuses: e = 0, and L is the same everywhere."""
    curve = ErrorCurve.from_mixtures(GaussianMixture([0.3, 0.7], [[0.0], [1e6]], [0.0, 0.0]))
    assert weighted_loss(np.ones_like, curve) == 0
    refuses("nearly 0", sum_of_elbos, lambda s: expit(2 - s), curve)


def test_a_number_that_knows_its_error_can_be_copied_and_stored():
    number = Bounded(2.5, 1e-9)
    for again in (copy.copy(number), copy.deepcopy(number), pickle.loads(pickle.dumps(number))):
        assert again == 2.5 and again.bound == 1e-9


@pytest.mark.parametrize("w", [np.ones_like, lambda s: np.exp(-s / 2), lambda s: (s < 3) * 1.0])
def test_each_side_sees_an_error_of_the_other(w):
    """A bound is no licence: e wrong by 1e-8 of itself is told from L."""
    right = ErrorCurve.from_mixtures(HILLS)
    wrong = ErrorCurve.from_mixtures(HILLS)
    object.__setattr__(wrong.pieces, "value", wrong.pieces.value * [1 + 1e-8, 1])
    object.__setattr__(wrong.pieces, "other", wrong.pieces.other * [1 + 1e-8, 1])
    loss, elbos = weighted_loss(w, right), sum_of_elbos(w, right)
    assert abs(loss - elbos) <= loss.bound + elbos.bound
    loss = weighted_loss(w, wrong)
    assert abs(loss - elbos) > 10 * (loss.bound + elbos.bound)


# --- curves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "sd", "x"), [(0.0, 1.0, 1.7), (0.4, 1e-4, 0.40001), (-3.0, 10.0, 5.0), (1e6, 1.0, 1e6)]
)
def test_closed_form_for_one_normal(mean, sd, x):
    """Averaged, e = a² v/C and L = ½ log C/s²; for one x the same two of one normal's mean."""
    law = GaussianMixture([1.0], [[mean]], [sd**2])
    levels = np.linspace(-20, 20, 41)
    a, s = alpha(levels), sigma(levels)
    spread = a**2 * sd**2 + s**2
    curve = ErrorCurve.from_mixtures(law, log_snr=levels)
    np.testing.assert_allclose(curve.noise_error, a**2 * sd**2 / spread, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(curve.path_kl, np.log(spread / s**2) / 2, rtol=1e-9, atol=1e-12)
    one = ErrorCurve.from_mixtures(law, x=x, log_snr=levels)
    off = (a * (x - mean)) ** 2
    e = (a**2 * sd**2 / spread) ** 2 + s**2 * off / spread**2
    kl = (np.log(spread / s**2) + (s**2 + off) / spread - 1) / 2
    np.testing.assert_allclose(one.noise_error, e, rtol=2e-9, atol=1e-15)
    np.testing.assert_allclose(one.path_kl, kl, rtol=2e-9, atol=2e-11)


def test_points_in_any_units_have_the_same_curve():
    """e of points depends on σ/α over their distances: c times the points is a shift of λ."""
    levels = np.linspace(-4, 12, 9)
    x = galaxies()[:, 0]
    e, kl = expected(error_and_kl, *[GaussianMixture.from_data(x)] * 2, levels)[0].T
    far = GaussianMixture.from_data(1e5 + 4500 * x)
    of_far, _ = expected(error_and_kl, far, far, levels - 2 * np.log(4500))[0].T
    np.testing.assert_allclose(of_far, e, rtol=1e-7, atol=1e-12)  # 1e5 + 4500 x is rounded
    near, far = (GaussianMixture.from_data(galaxy_velocities() + far) for far in (0, 2.0**44))
    blurs = -2 * np.log([30.0, 300.0])
    found = [expected(error_and_kl, law, law, blurs)[0] for law in (near, far)]
    assert_close(found[1], found[0], rtol=1e-9)  # differences of the points are exact
    twice = GaussianMixture.from_data(np.repeat(x, 2))
    assert_close(expected(error_and_kl, twice, twice, levels)[0].T, [e, kl], rtol=1e-12)


def test_the_error_between_few_levels_is_no_longer_overlooked():
    """Two points, six levels: the spline was off by half, and said 7e-6."""
    six, two = np.linspace(-10, 10, 6), GaussianMixture.from_data([-1.0, 1.0])
    exact = np.log(2) - expected(error_and_kl, two, two, six[[0, -1]])[1, 0, 1]
    curve = ErrorCurve.from_mixtures(two, log_snr=six)
    found = weighted_loss(np.ones_like, curve)
    assert abs(found - exact) <= found.bound + 1e-12 < 1e-9
    table = ErrorCurve(six, curve.noise_error, curve.path_kl)
    found = weighted_loss(np.ones_like, table)
    assert 0.1 < abs(found - exact) < found.bound
    assert table.bound > 0.1 > 1e-9 > curve.bound


def test_a_tolerance_that_cannot_be_had_is_refused_with_one_that_can():
    refuses(r"tolerance=\S+e-1\d can", ErrorCurve.from_mixtures, BROAD, tolerance=1e-17)
    assert ErrorCurve.from_mixtures(HILLS, tolerance=1e-6).bound < 1e-5


def test_what_float64_cannot_resolve_is_refused():
    refuses("cannot be resolved", expected, error_and_kl, point(1.0), HILLS, np.array([60.0]))


def test_thousands_of_points():
    x = np.random.default_rng(0).normal(size=3000) * 4500 + 20_000
    law = GaussianMixture.from_data(x)
    levels = np.array([-16.0, 0.0, 6.0, 30.0])
    coarse, fine = expected(error_and_kl, law, law, levels)
    assert coarse[-1, 1] == pytest.approx(np.log(3000), rel=1e-9)  # all told apart
    assert_close(fine[:, 0], coarse[:, 0], rtol=1e-9)


@pytest.mark.parametrize("width", [0.0, 0.01])
def test_many_points_in_a_box_and_points_that_stand_alone(width, monkeypatch):
    """Against a trapezoid rule in z over all points; the work is that of few."""
    x = np.sort(np.random.default_rng(0).standard_t(1.5, 400))
    law, counted = GaussianMixture.from_data(x, width), []
    posterior = _Line._posterior
    monkeypatch.setattr(
        _Line, "_posterior", lambda *given: counted.append(given[1].size) or posterior(*given)
    )
    for level in (-12.0, -4.0, 0.0, 5.0, 9.0):
        a, s = amplitudes(level)
        step = np.sqrt(a**2 * width**2 + s**2) / 12
        near = np.rint(a * x / step)[:, None] + np.arange(-132, 133)
        e = kl = 0
        for z in np.array_split(step * np.unique(near), 40):
            log_q, _, variance = posterior_of_x(law, z, a, s)
            e += step * np.exp(log_q) @ variance * (a / s) ** 2
            kl -= step * np.exp(log_q) @ log_q
        found = expected(error_and_kl, law, law, np.array([level]), 1e-12)[0, 0]
        assert_close(found, [e, kl - np.log(2 * np.pi * np.e * s**2) / 2], rtol=1e-11, atol=1e-14)
    assert sum(counted) < 60_000  # pairs of cells and components; of all points, 80,000
