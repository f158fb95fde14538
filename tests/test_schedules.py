"""Schedules and discrete β lists: the papers' formulas, inverses, rates, densities, extremes."""

from dataclasses import replace

import numpy as np
import pytest
from comparing import assert_close, refused
from scipy.special import expit, log_expit, logit
from truths import SCHEDULES

from course_utils.schedules import (
    Cosine,
    FlowMatching,
    LinearBeta,
    LinearLogSnr,
    Schedule,
    alpha,
    alpha_bar,
    discrete_betas,
    log_snr_from_alpha_bar,
    sigma,
)

WHOLE = [LinearBeta(), Cosine(), FlowMatching(), LinearLogSnr()]
CUT = [kind(log_snr_min=-9, log_snr_max=8) for kind in (LinearBeta, Cosine, FlowMatching)]
CUT += [LinearLogSnr(log_snr_min=-0.1, log_snr_max=0.2)]
WIDE = [kind(log_snr_min=-30, log_snr_max=30) for kind in (Cosine, FlowMatching, LinearLogSnr)]
WIDE += [LinearBeta(log_snr_max=30)]
ALL = WHOLE + CUT + WIDE
TIMES = np.linspace(0.001, 0.999, 61)


def named(schedules):
    return pytest.mark.parametrize("schedule", schedules, ids=str)


def test_amplitudes():
    log_snr = np.linspace(-30, 30, 121)
    a, s = alpha(log_snr), sigma(log_snr)
    assert_close(a**2 + s**2, 1.0, atol=1e-15)
    assert_close(2 * np.log(a / s), log_snr, atol=1e-13)
    assert (alpha(np.inf), sigma(np.inf)) == (1, 0)
    assert (alpha(-np.inf), sigma(-np.inf)) == (0, 1)
    # no cancellation where one of them is tiny: σ² = e^{−λ} up to e^{−2λ}
    assert_close(sigma(30.0) ** 2 * np.exp(30), 1.0, atol=1e-12)
    assert_close(alpha(-30.0) ** 2 * np.exp(30), 1.0, atol=1e-12)


@named(WHOLE)
def test_the_formulas_are_the_papers(schedule):
    level, *others = SCHEDULES[type(schedule).__name__]
    assert_close(schedule.log_snr(TIMES), level(TIMES), atol=1e-12)
    for name, formula in zip(("beta", "time", "density"), others, strict=True):
        at = TIMES if name == "beta" else 8 * TIMES - 4
        np.testing.assert_allclose(getattr(schedule, name)(at), formula(at), rtol=1e-11)


@named(ALL)
def test_a_number_is_read_as_an_array_is(schedule):
    for of in (schedule.log_snr, schedule.beta):
        for kind in (float, np.array):
            assert_close([of(kind(t)) for t in TIMES], of(TIMES), rtol=1e-14)


@named(ALL)
def test_time_inverts_log_snr(schedule):
    assert_close(schedule.time(schedule.log_snr(TIMES)), TIMES, atol=1e-9)


@named(WIDE)
def test_log_snr_inverts_time_at_extreme_levels(schedule):
    for level in np.maximum([-30.0, -10.0, 0.0, 29.0, 30.0], schedule.log_snr_min):
        # near t = 1 a step of float64 in t is itself 1e-9 in λ
        assert_close(schedule.log_snr(schedule.time(level)), level, atol=3e-9)
        assert np.isfinite(schedule.density(level)) and schedule.density(level) > 0


def slope(function, x, step):
    """The derivative by differences of fourth order."""
    near, far = (function(x + k * step) - function(x - k * step) for k in (1, 2))
    return (8 * near - far) / (12 * step)


@named(ALL)
def test_rate_beta_and_density_are_derivatives(schedule):
    t, level = TIMES, schedule.log_snr(TIMES)
    step = 1e-3 * np.minimum(t, 1 - t)
    rate = slope(schedule.log_snr, t, step)
    np.testing.assert_allclose(schedule.log_snr_rate(t), rate, rtol=1e-6)
    # β = −σ²λ' = −d log α²/dt
    beta = -slope(lambda t: log_expit(schedule.log_snr(t)), t, step)
    np.testing.assert_allclose(schedule.beta(t), beta, rtol=1e-5)
    level = level[(schedule.log_snr_min + 0.1 < level) & (level < schedule.log_snr_max - 0.1)]
    density = -slope(schedule.time, level, 0.01)
    np.testing.assert_allclose(schedule.density(level), density, rtol=1e-5)


@named(CUT + WIDE)
def test_the_ends_of_the_range_are_reached_and_never_left(schedule):
    ends = schedule.log_snr(np.array([0.0, 1.0]))
    assert schedule.log_snr_min <= ends[1] < ends[0] <= schedule.log_snr_max
    assert_close(ends, [schedule.log_snr_max, schedule.log_snr_min], atol=1e-8)
    assert (schedule.density(ends) > 0).all()
    assert_close(schedule.time(ends), [0, 1], atol=1e-12)
    assert schedule.density(ends[1] - 0.01) == schedule.density(ends[0] + 0.01) == 0
    single = replace(schedule, log_snr_max=np.float32(schedule.log_snr_max))
    assert_close(single.log_snr(0.0), single.log_snr_max, atol=1e-8)


def own(level, clock, rate, base=Schedule, **range):
    """A reader's schedule: a subclass with these formulas."""
    formulas = {"level": level, "clock": clock, "rate": rate}
    methods = {name: lambda self, x, f=f: f(x) for name, f in formulas.items() if f}
    return type("Mine", (base,), methods)(**range)


# λ(u) = −logit u, its inverse and its β
LEVEL, CLOCK, RATE = lambda u: -logit(u), lambda s: expit(-s), lambda u: 1 / (1 - u)


def test_a_schedule_of_ones_own():
    levels, made = np.linspace(-4, 4, 9), own(LEVEL, CLOCK, RATE)
    assert_close(made.log_snr(TIMES), -logit(TIMES), atol=1e-12)
    assert_close(made.log_snr(made.time(levels)), levels, atol=1e-12)
    assert_close(made.density(levels), expit(levels) * expit(-levels), atol=1e-12)
    constant = own(lambda u: -np.log(np.expm1(5 * u)), lambda s: -log_expit(s) / 5, lambda u: 5.0)
    assert_close(constant.beta(np.array([0.0, 0.5])), 5.0)
    assert_close(discrete_betas(constant, 10, "mid"), np.full(10, 0.5))


test_formulas_that_do_not_agree_are_refused = refused(
    (lambda: own(lambda u: logit(u), lambda s: expit(s), RATE), "must fall from u = 0, data"),
    (lambda: own(lambda u: 0 * u, CLOCK, RATE), "level.* must fall.*in Mine it is not"),
    (lambda: own(LEVEL, lambda s: expit(-s / 1.02), RATE, log_snr_min=-5), "clock must be"),
    (lambda: own(LEVEL, CLOCK, lambda u: 1.02 * RATE(u)), "rate.* must be −σ² dλ/du"),
    (lambda: own(lambda u: 1 + Cosine().log_snr(u), None, None, Cosine), "clock must"),
)


def test_zero_terminal_snr():
    with np.errstate(all="raise"):
        assert_close(log_snr_from_alpha_bar([1, 0.5, 0]), np.array([np.inf, 0, -np.inf]))


def test_the_cosine_schedule_is_exact_near_its_ends():
    tiny = 1e-20  # 1 − tiny is 1
    assert_close(Cosine().log_snr(tiny), -2 * np.log(np.pi / 2 * tiny), rtol=1e-14)
    for near in (2.0**-53, 2.0**-20):  # 1 − the first is the last number before 1
        for end in (1 - near, np.array([1 - near])):
            found = np.ravel(Cosine().log_snr(end))
            assert_close(found, 2 * np.log(np.tan(np.pi / 2 * near)), rtol=1e-14)


test_what_is_refused_is_explained_in_few_words = refused(
    (lambda: Cosine().log_snr(500), "step i is i/N"),
    (lambda: Cosine().log_snr(-0.1), "times lie in"),
    (lambda: Cosine().beta(np.array([0.5, np.nan])), "t = 1 is noise"),
    (lambda: Cosine(log_snr_min=3, log_snr_max=3), "log_snr_min < log_snr_max"),
    (lambda: LinearBeta(log_snr_min=-20), "-10.049957 to inf that LinearBeta reaches"),
    (lambda: LinearBeta(beta_min=3, beta_max=2), "0 < beta_min <= beta_max.*got 3 and 2"),
    (lambda: discrete_betas(Cosine(), 10, "exakt"), "did you mean 'exact'"),
    (lambda: discrete_betas(LinearBeta(), 10, "right"), "more steps, or rule='exact'"),
    (lambda: discrete_betas(Cosine(), 10), "on a cut schedule"),
    (lambda: alpha_bar([0.1, 1.0]), "got β = 1"),
    (lambda: log_snr_from_alpha_bar([0.9, -0.1]), "ᾱ .* between 1"),
    (lambda: log_snr_from_alpha_bar([0.9, np.nan]), "ᾱ .* between 1"),
)
