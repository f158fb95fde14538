"""Numbers print alike on every processor, or are refused."""

import numpy as np
import pytest

from course_utils.classroom.reporting import report, report_below


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (82.0 + 3e-11, 6, "82.0000"),
        (4538.7, 3, "4540"),
        (0.00123456, 3, "0.00123"),
        (1.234e-5, 2, "1.2e-05"),
        (2.5e12, 3, "2.50e+12"),
        (-0.71828, 2, "-0.72"),
        (0.0, 3, "0.00"),
        (-0.0, 3, "0.00"),
        (82, 1, "82"),
        (np.float32(0.7), 3, "0.700"),
        (np.float64(1) / 3, 8, "0.33333333"),
        (np.array([1.25, 2.71]), 3, "1.25, 2.71"),
    ],
)
def test_report(value, digits, text, capsys):
    report("L_w", value, digits=digits, unit="nats")
    assert capsys.readouterr().out == f"L_w: {text} nats\n"


def test_report_without_unit(capsys):
    report("points", 81.99999999999)
    assert capsys.readouterr().out == "points: 82.0000\n"


def test_report_says_the_same_within_the_noise_or_nothing(capsys):
    rng = np.random.default_rng(0)
    for value in rng.normal(size=300):
        nearby = value * (1 + 1e-6 * rng.uniform(-1, 1))
        try:
            report("x", value, digits=4, noise=1e-6)
        except ValueError:
            continue
        report("x", nearby, digits=4, noise=1e-6)
        first, second = capsys.readouterr().out.splitlines()
        assert first == second


@pytest.mark.parametrize("value", [2.5, 0.45 + 1e-15, 9.5, -1.5])
def test_report_refuses_what_lies_on_a_rounding_boundary(value):
    with pytest.raises(ValueError, match=r"may print as .* or .*: take another number of digits"):
        report("x", value, digits=1)


def test_report_refuses_digits_below_the_noise():
    with pytest.raises(ValueError, match="may print as"):
        report("trained", 0.123456, digits=6, noise=1e-2)


@pytest.mark.parametrize("value", [np.nan, np.inf, "1", 1j, None, True, np.eye(2)])
def test_report_refuses_what_is_not_a_finite_real_number(value):
    with pytest.raises(ValueError, match="finite real numbers"):
        report("x", value)


@pytest.mark.parametrize("digits", [0, 9])
def test_report_refuses_too_many_digits(digits):
    with pytest.raises(ValueError, match="1 to 8"):
        report("x", 1.0, digits=digits)


def test_bound(capsys):
    report_below("both sides", 8.9e-16)
    report_below("both sides", np.array([-1.3e-15, 0.0]))
    report_below("quadrature", 3e-8, below=1e-7)
    assert capsys.readouterr().out == (
        "both sides: below 1e-12\nboth sides: below 1e-12\nquadrature: below 1e-07\n"
    )


@pytest.mark.parametrize("residual", [2e-12, -2e-12, 1e-12, [0, 1], np.nan, [0, np.nan], np.inf])
def test_bound_raises_with_the_actual_value(residual, capsys):
    with pytest.raises(ValueError, match=r"both sides: the residual is (2e-12|1e-12|1|nan|inf), "):
        report_below("both sides", residual)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("below", [1e-50, 1e300])
def test_bound_of_a_float32_residual_is_not_rounded_to_float32(below, capsys):
    report_below("both sides", np.float32(0.0), below=below)
    assert capsys.readouterr().out == f"both sides: below {below:g}\n"


def test_bound_tells_a_float32_residual_from_a_bound_just_above_or_below_it(capsys):
    report_below("both sides", np.float32(1), below=1 + 1e-9)
    assert capsys.readouterr().out == "both sides: below 1\n"
    with pytest.raises(ValueError, match="the residual is 1, not below 1"):
        report_below("both sides", np.float32(1), below=1 - 1e-9)


def test_bound_needs_a_bound_and_a_residual():
    with pytest.raises(ValueError, match="below must be positive"):
        report_below("x", 0.0, below=0)
    with pytest.raises(ValueError, match="nothing was compared"):
        report_below("x", [])
