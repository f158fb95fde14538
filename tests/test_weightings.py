"""Weightings: what fifteen objectives imply, monotone or not, peaks, and the measure p_w."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from comparing import assert_close, standard_errors_off
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import kstest, norm

from course_utils.objectives import PUBLISHED, Objective, published
from course_utils.schedules import Cosine
from course_utils.weightings import (
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
    upper_envelope,
)


def sech(x):
    return 1 / np.cosh(x)


def edm(s, data_sd=0.5):
    return norm.pdf(s, 2.4, 2.4) * (np.exp(-s) + data_sd**2)


# name: closed form, monotone, level of the peak (None where it is the noisy end)
TABLE = {
    "elbo": (lambda s: np.ones_like(s), True, None),
    "ve_eps": (lambda s: np.ones_like(s), True, None),
    "vp_linear_eps": (
        lambda s: expit(-s) / np.sqrt(0.1**2 + 2 * 19.9 * np.log1p(np.exp(-s))),
        False,
        -0.92,
    ),
    "cosine_eps": (lambda s: sech(s / 2), False, 0.0),
    "cosine_v": (lambda s: np.exp(-s / 2), True, None),
    "cosine_x": (lambda s: np.exp(-s) * sech(s / 2), True, None),
    "flow_matching": (lambda s: np.exp(-s / 2), True, None),
    "indi": (lambda s: np.exp(-s) * sech(s / 4) ** 2, True, None),
    "sd3": (lambda s: norm.pdf(s, 0, 2) * (1 + np.exp(-s / 2)) ** 2, False, -3.38),
    "edm": (edm, False, -3.31),
    "edm_monotonic": (lambda s: edm(np.maximum(s, -3.3077)), True, None),
    "p2": (lambda s: sech(s / 2) / (1 + np.exp(s)), False, -np.log(3)),
    "min_snr": (lambda s: sech(s / 2) * np.minimum(1, 5 * np.exp(-s)), False, 0.0),
    "truncated_snr": (lambda s: sech(s / 2) * np.maximum(1, np.exp(-s)), True, None),
    "sigmoid": (lambda s: expit(2 - s), True, None),
}
objectives = pytest.mark.parametrize("name", TABLE)


# --- what is published -------------------------------------------------------------------------


def test_the_table_is_complete():
    assert set(PUBLISHED) == set(TABLE)
    for name, objective in PUBLISHED.items():
        assert objective.name and objective.reference, name


@objectives
@pytest.mark.parametrize(("low", "high"), [(-10, 10), (-30, 30)])
def test_implied_weighting(name, low, high):
    if name == "vp_linear_eps":
        low = max(low, -10.04)  # this schedule reaches no further
    s = np.linspace(low, high, 301)
    found, truth = PUBLISHED[name].implied_weighting()(s), TABLE[name][0](s)
    ratio = found / truth
    assert_close(ratio / ratio[150], 1.0, atol=1e-8)


@objectives
def test_monotone_or_not(name):
    w = PUBLISHED[name].implied_weighting()
    assert is_monotone(w) is TABLE[name][1]
    # with slopes of the closed form
    s = np.linspace(-10, 10, 2001)
    closed = TABLE[name][0](s)
    assert (np.diff(closed) <= 1e-9 * closed.max()).all() == TABLE[name][1]


@objectives
def test_peak(name):
    at, w = TABLE[name][2], PUBLISHED[name].implied_weighting()
    assert_close(peak(w), -10.0 if at is None else at, atol=6e-3)


def test_exact_peaks():
    for gamma in (0.5, 1.0, 2.0):
        w = published("p2", p2_gamma=gamma).implied_weighting()
        assert_close(peak(w), -np.log(2 * gamma + 1), atol=1e-6)
    assert_close(peak(published("edm").implied_weighting()), -3.3077, atol=1e-4)
    # in units of unit-variance data: σ_d = 0.5 shifts λ by 2 ln 0.5
    unit = shifted(published("edm").implied_weighting(), 2 * np.log(0.5))
    assert_close(peak(unit), -4.69, atol=6e-3)


@objectives
def test_densities_are_densities(name):
    objective = PUBLISHED[name]
    if name in ("ve_eps",):
        low, high = -30, 30
    elif name == "vp_linear_eps":
        low, high = objective.levels.log_snr_min, 60
    else:
        low, high = -60, 60
    total = quad(objective.density, low, high, points=[-8, -3, 0, 3, 8], limit=300)[0]
    assert_close(total, 1.0, atol=1e-7)


def test_parameters():
    s = np.linspace(-8, 8, 33)
    w = published("min_snr", min_snr_gamma=1.0).implied_weighting().normalised()
    assert_close(w(s), sech(s / 2) * np.minimum(1, np.exp(-s)) / w_peak(s), atol=1e-6)
    w = published("edm", edm_data_sd=1.0).implied_weighting()
    assert_close(w(s) / w(0.0), edm(s, 1.0) / edm(0.0, 1.0), rtol=1e-12)
    w = published("sigmoid", sigmoid_bias=-1).implied_weighting()
    assert_close(w(s) / w(0.0), expit(-1 - s) / expit(-1.0), rtol=1e-12)
    assert_close(sigmoid(-1)(s), expit(-1 - s), atol=1e-15)


def w_peak(s):
    """The largest value of the weighting above, for γ = 1: at λ = −ln 3."""
    del s
    at = -np.log(3)
    fine = np.linspace(at - 2, at + 2, 100_001)
    return (sech(fine / 2) * np.minimum(1, np.exp(-fine))).max()


def test_snr_times_x_loss_is_the_eps_loss():
    levels = Cosine()
    one = Objective("a", "b", levels, "x", np.exp).implied_weighting()
    other = Objective("a", "b", levels, "eps").implied_weighting()
    s = np.linspace(-20, 20, 41)
    assert_close(one(s) / other(s), 1.0, atol=1e-12)


# --- functions of weightings -------------------------------------------------------------------


def test_monotone_is_tolerant_of_rounding_and_of_nothing_else():
    def wobble(size):
        return lambda s: 1 - 0.01 * (s + 10) / 20 + size * np.sin(1e3 * s)

    assert is_monotone(wobble(1e-12))
    assert not is_monotone(wobble(1e-3))
    assert not is_monotone(lambda s: 1e-6 * wobble(1e-3)(s))
    assert is_monotone(np.ones_like) and is_monotone(np.zeros_like)
    assert is_monotone(sigmoid(0), 2, 5)
    hump = PUBLISHED["cosine_eps"].implied_weighting()
    assert is_monotone(hump, 0, 10) and not is_monotone(hump, -0.1, 10)


@objectives
def test_normalised(name):
    w = PUBLISHED[name].implied_weighting().normalised()
    values = w(np.linspace(-10, 10, 4001))
    assert_close(values.max(), 1.0, atol=1e-15)
    assert w.name == PUBLISHED[name].name and w.reference


@given(st.floats(-5, 5), st.floats(-8, 8))
def test_shifted(shift, s):
    w = PUBLISHED["edm"].implied_weighting()
    assert_close(shifted(w, shift)(s), float(w(s - shift)), atol=0)
    assert_close(peak(shifted(w, 1.5)), peak(w) + 1.5, atol=1e-6)


def test_made_monotone():
    w = PUBLISHED["sd3"].implied_weighting()
    raised = made_monotone(w)
    s, top = np.linspace(-10, 10, 400), peak(w)
    assert is_monotone(raised) and not is_monotone(w)
    assert_close(raised(s[s > top]), w(s[s > top]))
    assert_close(raised(s[s <= top]), float(w(top)), rtol=1e-12)
    for end in (-30.0, 30.0):  # no peak is looked for beyond
        for at, found in ((0.98 * end, 0.98 * end), (1.02 * end, end)):
            hump = lambda s, at=at: np.exp(-((s - at) ** 2))  # noqa: E731
            assert_close(made_monotone(hump)(-99.0), hump(found), atol=1e-6)


@objectives
def test_upper_envelope(name):
    w = PUBLISHED[name].implied_weighting().normalised()
    over = upper_envelope(w)
    s = np.linspace(-10, 10, 4001)
    assert is_monotone(over)
    assert (over(s) >= w(s) - 1e-12).all()
    truth = np.array([w(s[i:]).max() for i in range(0, 4001, 400)])
    assert_close(over(s[::400]), truth, atol=1e-12)
    if TABLE[name][1]:
        assert_close(over(s), w(s), atol=1e-12)


def test_bent():
    w, knots, gains = sigmoid(0), np.array([-4.0, 0.0, 4.0]), np.array([-1.0, 0.5, 2.0])
    curved = bent(w, knots, gains)
    assert_close(curved(knots) / w(knots), 10**gains, rtol=1e-13)
    assert_close(curved(9.0) / w(9.0), 100.0, rtol=1e-12)
    assert_close(curved(-9.0) / w(-9.0), 0.1, rtol=1e-12)
    between = np.linspace(-4, 4, 200)
    gain = np.log10(curved(between) / w(between))
    assert (np.diff(gain) > 0).all()  # no overshoot
    assert_close(bent(w, knots, 0 * gains)(between), w(between), atol=0)


@given(st.lists(st.floats(-2, 2), min_size=7, max_size=7), st.sampled_from(sorted(TABLE)))
def test_masses_add_up_whatever_the_weighting(gains, name):
    w = bent(PUBLISHED[name].implied_weighting().normalised(), np.arange(-9, 10, 3), gains)
    cells, atom = level_masses(w, np.linspace(-10, 10, 501))
    assert_close(cells.sum() + atom, float(w(-10.0)), rtol=1e-12)
    assert_close(atom, float(w(10.0)))
    monotone = is_monotone(w, -10, 10)
    assert monotone or level_masses(w, np.linspace(-10, 10, 4001))[0].min() < 0


def test_masses_of_the_sigmoid():
    grid = np.array([-10.0, -1.0, 0.5, 10.0])
    cells, atom = level_masses(sigmoid(0.5), grid)
    assert_close(cells, -np.diff(expit(0.5 - grid)), atol=1e-15)
    assert_close(atom, expit(-9.5), atol=1e-15)


@pytest.mark.parametrize("name", sorted(n for n in TABLE if TABLE[n][1]))
def test_sampled_levels_follow_p_w(name):
    """The survival function of p_w is w(λ)/w(λ_min); what is left at λ_max is the atom."""
    w, low, high, n = PUBLISHED[name].implied_weighting(), -5.0, 5.0, 20_000
    levels = sample_levels(w, n, np.random.default_rng(8), low, high)
    assert levels.shape == (n,) and levels.min() >= low and levels.max() <= high
    atom = float(w(high) / w(low))
    hits = levels == high
    spread = np.sqrt(max(atom * (1 - atom), 1 / n) / n)
    assert standard_errors_off(hits.mean(), spread, atom) < 6
    if atom < 0.999:
        rest = levels[~hits]
        law = kstest(rest, lambda s: (1 - w(s) / w(low)) / (1 - atom))
        assert law.pvalue > 1e-6


def test_where_w_changes_within_one_cell_of_the_grid():
    """Half the mass in the first cell, half in the atom."""
    drop = lambda log_snr: np.where(log_snr <= -10, 2.0, 1.0)  # noqa: E731
    levels = sample_levels(drop, 4000, np.random.default_rng(0))
    assert abs(np.mean(levels == 10) - 0.5) < 6 * 0.5 / np.sqrt(4000)
    assert levels[levels < 10].max() < -9.99


def test_where_w_falls_in_the_last_cell():
    drop = lambda log_snr: np.where(log_snr >= 10, 1.0, 2.0)  # noqa: E731
    levels = sample_levels(drop, 4000, np.random.default_rng(0))
    assert abs(np.mean(levels == 10) - 0.5) < 6 * 0.5 / np.sqrt(4000)


def test_names_are_kept_and_nothing_can_be_changed():
    w = sigmoid(0)
    assert shifted(w, 1).name == w.name and shifted(np.ones_like, 1).name == "ones_like"
    assert made_monotone(w).reference == w.reference == "Kingma & Gao 2023"
    for thing in (w, PUBLISHED["edm"]):
        with pytest.raises(FrozenInstanceError):
            thing.name = "another"


def test_ends_and_defaults():
    assert peak(np.exp, -3, 4) == 4
    assert sigmoid()(2.0) == 0.5
    assert_close(bent(sigmoid(0), [0, 1], [300, 300])(0.0), 0.5e300, rtol=1e-12)
    assert_close(level_masses(sigmoid(0), [0, 1])[0], 0.5 - expit(-1.0), rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: published("EDM "), "did you mean 'edm'"),
        (lambda: published("min-snr"), "did you mean 'min_snr'"),
        (lambda: published("DDPM"), "did you mean 'vp_linear_eps'"),
        (lambda: published("flow"), "did you mean 'flow_matching'"),
        (lambda: published(None), r"unknown objective None: did you mean .*\(elbo, ve_eps,"),
        (lambda: published("edm", edm_data_sd=-1), "must be positive"),
        (lambda: published("p2", p2_gamma="one"), "real numbers, got 'one'"),
        (lambda: Objective("a", "b", Cosine(), "noise").implied_weighting()(0.0), "mean 'eps'"),
        (lambda: sigmoid("a"), "real numbers"),
        (lambda: sigmoid(np.nan), "bias must be one finite number"),
        (lambda: sigmoid(0)("a"), "real numbers"),
        (lambda: sigmoid(0).normalised(1, 1), "log_snr_min < log_snr_max"),
        (lambda: sigmoid(0).normalised(0, np.nan), "log_snr_max must be one finite number"),
        (lambda: is_monotone(sigmoid(0), 3, -3), "got 3 and -3"),
        (lambda: is_monotone(lambda s: -1 - s**2), r"finite and not negative, but w\(-10\)"),
        (lambda: is_monotone(lambda s: s * np.nan), "= nan: choose"),
        (lambda: peak(lambda s: 1 / (s - s)), "finite and not negative"),
        (lambda: evaluate(lambda s: s, [-1.0, 1.0]), r"w\(-1\) = -1"),
        (lambda: Weighting(np.zeros_like, "nothing").normalised(), "'nothing' is zero on all"),
        (lambda: shifted(sigmoid(0), np.inf), "shift must be one finite number"),
        (lambda: evaluate(lambda s: 0.5 - 2.0 * (s == 1), [0, 1]), r"w\(1\) = -1.5"),
        (lambda: evaluate(lambda s: np.ones(7), np.zeros(3)), r"got shape \(7,\) for levels"),
        (lambda: evaluate(lambda s: np.ones(2), np.zeros(3)), r"got shape \(2,\) for levels"),
        (lambda: evaluate(0.5, [0, 1]), "must be a function of λ, got 0.5"),
        (lambda: evaluate(lambda s: -1 - s, [0, 1]), r"w\(0\) = -1:"),
        (lambda: evaluate(lambda s: s, [0, -1]), r"w\(-1\) = -1:"),
        (lambda: is_monotone(sigmoid(0), -1e308, 1e308), "need a finite range"),
        (lambda: bent(sigmoid(0), np.eye(2), np.eye(2)), "one gain per knot"),
        (lambda: bent(sigmoid(0), [0, 1], [0, 300.5]), "at most 300 in size"),
        (lambda: level_masses(sigmoid(0), [1, 0.5]), "increasing levels"),
        (lambda: bent(sigmoid(0), [0, 1], [1]), "one gain per knot"),
        (lambda: bent(sigmoid(0), [0], [1]), "one gain per knot"),
        (lambda: bent(sigmoid(0), 0, 1), "one gain per knot"),
        (lambda: bent(sigmoid(0), [0, 1], [1, 1, 1]), "one gain per knot"),
        (lambda: bent(sigmoid(0), [0, 0], [1, 1]), "increasing knots"),
        (lambda: bent(sigmoid(0), [1, 0], [1, 1]), "increasing knots"),
        (lambda: bent(sigmoid(0), [0, 1], [np.nan, 1]), "gains must be finite"),
        (lambda: level_masses(sigmoid(0), [1, 0]), "increasing levels"),
        (lambda: level_masses(sigmoid(0), [1]), "at least two"),
        (lambda: level_masses(sigmoid(0), 1), "at least two"),
        (lambda: level_masses(sigmoid(0), [[0, 1], [2, 3]]), "a list of at least two"),
        (lambda: level_masses(sigmoid(0), [1, 1]), "increasing levels"),
        (lambda: level_masses(sigmoid(0), [np.nan, 1]), "log_snr must be finite, got nan"),
        (lambda: sample_levels(sigmoid(0), 0, np.random.default_rng(0)), "at least 1"),
        (lambda: sample_levels(sigmoid(0), 5, None), "numpy.random.Generator, got None"),
        (
            lambda: sample_levels(
                PUBLISHED["edm"].implied_weighting(), 5, np.random.default_rng(0)
            ),
            "'EDM' is not monotone.*use a monotone weighting",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_bad_input_says_what_came_in(call, words):
    with pytest.raises(ValueError, match=words):
        call()
