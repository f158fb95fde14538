"""Schedules and discrete β lists: inverses, rates, densities, extremes, both kinds of arrays."""

import numpy as np
import pytest
import torch
from comparing import assert_close
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from course_utils.schedules import (
    Cosine,
    FlowMatching,
    LinearBeta,
    LinearLogSnr,
    alpha,
    alpha_bar,
    ddpm_betas,
    discrete_betas,
    log_snr_from_alpha_bar,
    sigma,
)

WHOLE = [LinearBeta(), Cosine(), FlowMatching(), LinearLogSnr()]
CUT = [kind(log_snr_min=-9, log_snr_max=8) for kind in (LinearBeta, Cosine, FlowMatching)]
CUT += [LinearLogSnr(log_snr_min=-9, log_snr_max=8)]
WIDE = [kind(log_snr_min=-30, log_snr_max=30) for kind in (Cosine, FlowMatching, LinearLogSnr)]
WIDE += [LinearBeta(log_snr_max=30)]
ALL = WHOLE + CUT + WIDE
times = st.floats(0.001, 0.999)


def named(schedules):
    return pytest.mark.parametrize("schedule", schedules, ids=str)


# --- amplitudes --------------------------------------------------------------------------------


@given(st.floats(-30, 30))
def test_amplitudes(log_snr):
    a, s = alpha(log_snr), sigma(log_snr)
    assert_close(a**2 + s**2, 1.0, atol=1e-15)
    assert_close(2 * np.log(a / s), log_snr, atol=1e-13)


def test_amplitudes_at_the_ends():
    assert (alpha(np.inf), sigma(np.inf)) == (1, 0)
    assert (alpha(-np.inf), sigma(-np.inf)) == (0, 1)
    # no cancellation where one of them is tiny: σ² = e^{−λ} up to e^{−2λ}
    assert_close(sigma(30.0) ** 2 * np.exp(30), 1.0, atol=1e-12)
    assert_close(alpha(-30.0) ** 2 * np.exp(30), 1.0, atol=1e-12)


# --- every schedule ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "truth"),
    [
        (Cosine(), lambda t: np.log(np.cos(np.pi * t / 2) ** 2 / np.sin(np.pi * t / 2) ** 2)),
        (FlowMatching(), lambda t: np.log((1 - t) ** 2 / t**2)),
        (LinearLogSnr(), lambda t: 10 - 20 * t),
        (
            LinearBeta(),
            lambda t: (lambda kept: np.log(kept / (1 - kept)))(np.exp(-0.1 * t - 9.95 * t**2)),
        ),
    ],
    ids=["cosine", "flow", "linear λ", "linear β"],
)
def test_log_snr_is_the_papers(schedule, truth):
    t = np.linspace(0.01, 0.99, 50)
    assert_close(schedule.log_snr(t), truth(t), atol=1e-10)


@named(ALL)
@given(t=times)
def test_time_inverts_log_snr(schedule, t):
    assert_close(schedule.time(schedule.log_snr(t)), t, atol=1e-9)


@named(WIDE)
@pytest.mark.parametrize("level", [-30.0, -10.0, 0.0, 29.0, 30.0])
def test_log_snr_inverts_time_at_extreme_levels(schedule, level):
    level = max(level, schedule.log_snr_min)
    # near t = 1 a step of float64 in t is itself 1e-9 in λ
    assert_close(schedule.log_snr(schedule.time(level)), level, atol=3e-9)
    assert np.isfinite(schedule.density(level)) and schedule.density(level) > 0


@named(ALL)
@given(t=times)
def test_rate_is_the_derivative(schedule, t):
    u = torch.tensor(t, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(schedule.log_snr(u), u)
    assert slope < 0
    assert_close(schedule.log_snr_rate(t), float(slope), rtol=1e-6)


@named(ALL)
@given(t=times)
def test_density_and_beta_follow_from_the_rate(schedule, t):
    level = schedule.log_snr(t)
    step = 1e-4 if schedule.log_snr_min + 1 < level < schedule.log_snr_max - 1 else None
    assert_close(schedule.density(level), -1 / schedule.log_snr_rate(t), rtol=1e-6)
    if step:
        slope = (schedule.time(level + step) - schedule.time(level - step)) / (2 * step)
        assert_close(schedule.density(level), -slope, rtol=1e-5)
    # β = −σ²λ' = −d log α²/dt
    u = torch.tensor(t, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(-2 * torch.log(alpha(schedule.log_snr(u))), u)
    assert_close(schedule.beta(t), float(slope), rtol=1e-6)


@named([*CUT, LinearLogSnr(), LinearBeta(log_snr_max=12)])
def test_density_integrates_to_one_and_is_zero_outside(schedule):
    low, high = schedule.log_snr_min, schedule.log_snr_max
    total = quad(schedule.density, low, high, epsabs=1e-12, limit=200)[0]
    assert_close(total, 1.0, atol=1e-9)
    assert schedule.density(low - 0.01) == 0
    assert schedule.density(high + 0.01) == 0
    assert (schedule.density(np.array([low, high])) > 0).all()


def test_published_densities():
    s = np.linspace(-12, 12, 49)
    assert_close(Cosine().density(s), 1 / np.cosh(s / 2) / (2 * np.pi), atol=1e-15)
    assert_close(FlowMatching().density(s), 1 / np.cosh(s / 4) ** 2 / 8, atol=1e-15)
    assert_close(LinearLogSnr().density(s), np.where(abs(s) <= 10, 0.05, 0), atol=1e-15)


@named(CUT + WIDE)
def test_the_ends_of_the_range_are_reached_and_never_left(schedule):
    for kind in (np.float64, np.float32):
        ends = schedule.log_snr(np.array([0, 1], dtype=kind))
        assert schedule.log_snr_min <= ends[1] < ends[0] <= schedule.log_snr_max
        if kind is np.float64:
            assert_close(ends, [schedule.log_snr_max, schedule.log_snr_min], atol=1e-8)
        assert (schedule.density(ends) > 0).all()
        assert_close(schedule.time(ends), [0, 1], atol=1e-6)


@named(CUT)
def test_a_cut_schedule_is_the_whole_one_with_another_clock(schedule):
    whole = type(schedule)() if not isinstance(schedule, LinearLogSnr) else LinearLogSnr()
    t = np.linspace(0, 1, 11)[1:-1]
    start, stop = whole.time(8.0), whole.time(-9.0)
    assert_close(schedule.log_snr(t), whole.log_snr(start + (stop - start) * t), atol=1e-10)
    inside = whole.density(0.0) / (stop - start)
    assert_close(schedule.density(0.0), inside, rtol=1e-12)


@named(ALL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torch_and_numpy_agree_and_keep_their_precision(schedule, dtype):
    t = np.linspace(0.1, 0.9, 6).astype(dtype).reshape(2, 3)
    tensor = torch.tensor(t)
    rtol = {"float32": 1e-5, "float64": 1e-13}[dtype]
    for name in ("log_snr", "log_snr_rate", "beta"):
        ours, theirs = getattr(schedule, name)(t), getattr(schedule, name)(tensor)
        assert ours.dtype == dtype and theirs.dtype == getattr(torch, dtype)
        assert ours.shape == tuple(theirs.shape) == (2, 3)
        assert_close(theirs.numpy(), ours, rtol=rtol)
    level = schedule.log_snr(t)
    for function in (schedule.time, schedule.density, alpha, sigma):
        ours, theirs = function(level), function(torch.tensor(level))
        assert ours.dtype == dtype and theirs.dtype == getattr(torch, dtype)
        assert_close(theirs.numpy(), ours, rtol=rtol)


def test_schedules_are_values():
    assert Cosine(log_snr_max=5) == Cosine(log_snr_max=5.0)
    assert len({Cosine(), Cosine(), FlowMatching()}) == 2
    assert LinearLogSnr(log_snr_min=-3, log_snr_max=4).log_snr(0.5) == 0.5


# --- discrete lists ----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3, 50])
def test_the_exact_rule_lands_on_the_schedule(n):
    schedule = Cosine(log_snr_min=-8, log_snr_max=8)
    kept = alpha_bar(discrete_betas(schedule, n))
    start = alpha(8.0) ** 2
    assert_close(kept * start, alpha(schedule.log_snr(np.arange(1, n + 1) / n)) ** 2, atol=1e-14)


def test_the_other_rules_sample_the_rate():
    schedule, n = LinearBeta(), 40
    at = {"left": 0.0, "mid": 0.5, "right": 1.0}
    for rule, offset in at.items():
        t = (np.arange(n) + offset) / n
        assert_close(discrete_betas(schedule, n, rule), (0.1 + 19.9 * t) / n, atol=1e-14)


def test_ddpm_s_own_list():
    betas = ddpm_betas()
    assert betas.shape == (1000,) and betas[0] == 1e-4 and betas[-1] == 0.02
    assert_close(np.diff(betas), 0.0199 / 999, atol=1e-15)


@given(st.floats(1e-9, 1 - 1e-9))
def test_level_of_a_chain(kept):
    assert_close(alpha(log_snr_from_alpha_bar(kept)) ** 2, kept, rtol=1e-12)


# --- edges -------------------------------------------------------------------------------------


def test_the_cosine_schedule_is_exact_near_its_ends():
    tiny = 1e-20  # 1 − tiny is 1
    assert_close(Cosine().log_snr(tiny), -2 * np.log(np.pi / 2 * tiny), rtol=1e-14)
    near = 2.0**-53  # 1 − near is the last number before 1
    assert_close(Cosine().log_snr(1 - near), 2 * np.log(np.pi / 2 * near), rtol=1e-14)


def test_a_rate_may_be_constant_and_as_large_as_float64_bears():
    assert_close(LinearBeta(5, 5).beta([0.0, 0.3, 1.0]), 5.0, rtol=1e-15)  # β_min comes first
    steep = LinearBeta(beta_max=700)
    assert_close(steep.log_snr(1.0), -350.05, rtol=1e-12)  # −log(e^B − 1), B = 350.05


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Cosine().log_snr(1.5), r"\[0, 1\], got 1.5: t = 0 is data"),
        (lambda: Cosine().log_snr([0.5, -0.1]), r"got -0.1"),
        (lambda: Cosine().log_snr_rate(np.nan), "got nan"),
        (lambda: FlowMatching().beta(torch.tensor([0.5, 2.0])), "got 2"),
        (lambda: Cosine().log_snr("0.5"), "real numbers, got '0.5'"),
        (lambda: Cosine().log_snr(None), "real numbers, got None"),
        (lambda: alpha("a"), "pass floats or an array"),
        (lambda: LinearLogSnr().time(10.5), r"\[-10, 10\], got 10.5"),
        (lambda: Cosine(log_snr_min=3, log_snr_max=3), "log_snr_min must be below log_snr_max"),
        (lambda: LinearLogSnr(log_snr_min=5, log_snr_max=-5), "got 5 and -5"),
        (lambda: Cosine(log_snr_min=np.nan), "log_snr_min must be one finite number"),
        (lambda: Cosine(log_snr_min=np.inf), "log_snr_min must be one finite number"),
        (lambda: Cosine(log_snr_max="ten"), "real numbers, got 'ten'"),
        (lambda: LinearBeta(log_snr_min=-20), r"from -10.0499\d* to inf only"),
        (lambda: Cosine(log_snr_min=-201, log_snr_max=-200), "same number in float64"),
        (lambda: LinearLogSnr(log_snr_max=np.inf), "one finite number"),
        (lambda: LinearLogSnr(-1e308, 1e308), "too wide for float64"),
        (lambda: LinearBeta(beta_max=700.5), "at most 700, got 700.5"),
        (lambda: LinearBeta(beta_min=0.0), "0 < beta_min <= beta_max"),
        (lambda: LinearBeta(beta_min=3, beta_max=2), "got 3.0 and 2.0"),
        (lambda: LinearBeta(beta_max=np.nan), "beta_max must be one finite number"),
        (lambda: LinearBeta(beta_min="x"), "real numbers"),
        (lambda: ddpm_betas(0), "n_steps must be a whole number of at least 1, got 0"),
        (lambda: ddpm_betas(2.5), "whole number"),
        (lambda: ddpm_betas("10"), "whole number"),
        (lambda: ddpm_betas(True), "whole number"),
        (lambda: ddpm_betas(10, beta_first=-1e-4), "entry 0 of 10 is -0.0001"),
        (lambda: discrete_betas(Cosine(), 10, "exakt"), "did you mean 'exact'"),
        (lambda: discrete_betas(LinearBeta(), 10, "right"), "more steps, or rule='exact'"),
        (lambda: discrete_betas(Cosine(), 10), "on a cut schedule"),
        (lambda: alpha_bar([]), "at least one number"),
        (lambda: alpha_bar([[0.1, 0.2]]), r"shape \(1, 2\)"),
        (lambda: alpha_bar(0.1), r"shape \(\)"),
        (lambda: alpha_bar([0.1, 1.0]), "entry 1 of 2 is 1"),
        (lambda: alpha_bar([0.0, 0.1]), "strictly between 0 and 1"),
        (lambda: alpha_bar([0.1, np.nan]), "got nan"),
        (lambda: alpha_bar(["a"]), "real numbers"),
        (lambda: log_snr_from_alpha_bar(1.0), "strictly between 0 and 1"),
        (lambda: log_snr_from_alpha_bar([0.5, 0.0]), "strictly between 0 and 1"),
        (lambda: log_snr_from_alpha_bar(-0.5), "got -0.5"),
        (lambda: log_snr_from_alpha_bar(np.nan), "got nan"),
    ],
)
def test_bad_input_says_what_came_in(call, words):
    with pytest.raises(ValueError, match=words):
        call()
