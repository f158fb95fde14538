"""Weightings: monotone or not, peaks, the running maximum, bends, and the measure p_w."""

import numpy as np
import pytest
from comparing import assert_close, refused
from scipy.interpolate import interp1d
from scipy.special import expit

from course_utils.objectives import PUBLISHED, Objective
from course_utils.schedules import Cosine
from course_utils.weightings import (
    KNOTS,
    Weighting,
    bent,
    evaluate,
    is_monotone,
    level_masses,
    made_monotone,
    peak,
    sample_levels,
    shifted,
    sigmoid,
)

WEIGHTINGS = {name: o.implied_weighting().normalised() for name, o in PUBLISHED.items()}


def random_weightings(n):
    """Published weightings, bent at random: (name, w, generator)."""
    rng = np.random.default_rng(0)
    for name in rng.choice(sorted(WEIGHTINGS), n):
        yield name, bent(WEIGHTINGS[name], KNOTS, rng.uniform(-2, 2, 7)), rng


def test_monotone_is_tolerant_of_rounding_and_of_nothing_else():
    """A slow rise counts as a whole: 3e-6 over the range is 7e-10 a step of the grid."""
    for scale in (1e-200, 1.0, 1e200):
        assert not is_monotone(lambda s, scale=scale: scale * (1 + 3e-6 * s / 20))
        assert is_monotone(lambda s, scale=scale: scale * (1 + 5e-10 * s / 20))
    assert not is_monotone(lambda s: 1 - 5e-4 * s + 1e-3 * np.sin(1e3 * s))
    assert is_monotone(lambda s: 1 - 5e-4 * s + 1e-12 * np.sin(1e3 * s))
    assert is_monotone(np.ones_like) and is_monotone(np.zeros_like)


def test_monotone_is_judged_where_the_levels_are():
    """A v-loss on a cosine schedule that is cut falls on all levels that are ever drawn."""
    cut = Objective("", "", Cosine(log_snr_min=-5, log_snr_max=5), "v").implied_weighting()
    assert cut.span == (-5, 5) and is_monotone(cut) and not is_monotone(cut, -6, 5)
    assert is_monotone(shifted(cut, 3)) and not is_monotone(shifted(cut, 3), -5, 5)
    assert is_monotone(bent(cut, KNOTS, [0.0] * len(KNOTS)))
    for name, peak_at in {"edm": -3.3077, "sd3": -3.375, "p2": -1.0986, "min_snr": 0.0}.items():
        w = WEIGHTINGS[name]
        assert is_monotone(w, peak_at + 0.01) and not is_monotone(w, peak_at - 0.1), name


def test_peaks():
    assert peak(np.exp, -3, 4) == 4 and peak(sigmoid(0)) == -10
    assert peak(lambda s: 1 + 1e-15 * np.sin(1e3 * s)) == -10  # constant but for rounding
    for at in (-7.123456789, 0.0, 3.3):
        assert_close(peak(lambda s, at=at: np.exp(-((s - at) ** 2))), at, atol=1e-7)
        assert_close(peak(lambda s, at=at: np.exp(-abs(s - at))), at, atol=1e-9)


def test_every_weighting_can_be_made_monotone():
    for name, w, rng in random_weightings(40):
        w = shifted(w, rng.uniform(-6, 6))
        low = -4.0 if name == "vp_linear_eps" else -10.0  # shifted, it reaches no further
        over, s = made_monotone(w, low, 10), np.linspace(low, 10, 3001)
        assert is_monotone(over, low, 10)
        assert np.diff(over(s)).max() <= 1e-9 * over(low)
        assert_close(over(s), np.maximum.accumulate(w(s)[::-1])[::-1], rtol=1e-4)


def test_a_table_of_weights_is_never_left():
    table = interp1d([-10, 1.5, 9.995, 10], [1, 2, 3, 1])  # which refuses all other levels
    assert peak(table) == pytest.approx(9.995, abs=1e-9)
    assert_close(made_monotone(table)(-10.0), 3.0, rtol=1e-9)
    assert_close(made_monotone(table, -2, 1.5)(-2.0), 2.0, rtol=1e-9)  # the largest of that range


def test_bent_copies_what_it_is_given():
    w, knots, gains = sigmoid(0), np.array([-4.0, 0.0, 4.0]), np.array([-1.0, 0.5, 2.0])
    curved, between = bent(w, knots, gains), np.linspace(-4, 4, 200)
    assert_close(curved(knots) / w(knots), 10**gains, rtol=1e-13)
    assert_close(curved(np.array([-9.0, 9.0])) / w(np.array([-9.0, 9.0])), [0.1, 100], rtol=1e-12)
    before = curved(between)
    assert (np.diff(np.log10(before / w(between))) > 0).all()  # no overshoot
    knots[:], gains[:] = 0.0, 7.0
    np.testing.assert_array_equal(curved(between), before)


def test_masses_add_up_whatever_the_weighting():
    for _, w, rng in random_weightings(40):
        levels = np.linspace(-10, 10, rng.integers(2, 501))
        cells, atom = level_masses(w, levels)
        assert cells.shape == (len(levels) - 1,) and atom == w(10.0)
        assert_close(cells.sum() + atom, float(w(-10.0)), atol=1e-12 * w(levels).max())
        fine = np.linspace(-10, 10, 4001)
        negative = -np.minimum(level_masses(w, fine)[0], 0).sum()
        assert is_monotone(w) == (negative <= 1e-9 * w(fine).max())


def test_a_weighting_is_a_function_with_a_name():
    w = sigmoid()
    assert w(2.0) == 0.5 and w.name == shifted(w, 1).name == "sigmoid, b = 2"
    assert shifted(np.ones_like, 1).name == "ones_like"
    for shape in ((), (3,), (2, 3), (0,)):
        assert evaluate(lambda s: 0.5, np.zeros(shape)).shape == shape == w(np.zeros(shape)).shape
    assert_close(Weighting(lambda s: 3 * expit(-s), "a").normalised()(0.0), 0.5, rtol=1e-4)


LEVELS = np.array([-1.0, 0.0, 1.0])


def test_a_function_that_changes_its_levels_in_place_changes_none():
    levels = LEVELS.copy()
    assert_close(evaluate(lambda s: np.exp(np.negative(s, out=s)), levels), np.exp(-LEVELS))
    assert_close(levels, LEVELS)


test_what_is_no_weighting_is_refused = refused(
    (lambda: evaluate(lambda s: np.ones(7), LEVELS), r"for shape \(3,\) it returned shape \(7,\)"),
    (lambda: Weighting(lambda s: -s, "mine")(LEVELS), "is -1 at λ = 1$"),
    (lambda: evaluate(lambda s: s * np.nan, LEVELS), "is nan at λ = -1$"),
    (lambda: evaluate(lambda s: np.exp(-s).sum(), LEVELS), "sum or mean over the levels"),
    (lambda: evaluate(lambda s: expit(s) / expit(s).sum(), LEVELS), "depends on which levels"),
    (lambda: is_monotone(lambda s: expit(-s) / expit(-s).max()), "division by their largest"),
    (lambda: evaluate(lambda s: np.cumsum(expit(s)), LEVELS), "what each level has alone"),
    (lambda: is_monotone(sigmoid(0), 3, -3), "log_snr_min < log_snr_max"),
    (lambda: bent(sigmoid(0), [1, 0], [1, 1]), "knots must be a list of at least 2 increasing"),
    (lambda: level_masses(sigmoid(0), [1, 0.5]), "at least 2 increasing levels"),
    (
        lambda: sample_levels(WEIGHTINGS["edm"], 5, np.random.default_rng(0)),
        "'EDM' is not monotone.*use made_monotone",
    ),
)
