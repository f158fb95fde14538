"""Whatever a reader prints is printed; in the notebooks' own run a fragile digit is refused."""

import numpy as np
import pytest
from comparing import refuses

from course_utils.classroom.reporting import report, report_below


@pytest.fixture(params=[False, True], ids=["a reader's", "strict"])
def strict(request, monkeypatch):
    monkeypatch.setenv("COURSE_STRICT_DIGITS", str(int(request.param)))
    return request.param


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (82.0 + 3e-11, 6, "82.0000"),
        (4538.7, 3, "4540"),
        (1.234e-5, 2, "1.2e-05"),
        (2.5e12, 3, "2.50e+12"),
        ([-0.71828, -0.0], 2, "-0.72, 0.0"),
        (np.float32(0.7), 3, "0.700"),
        ([np.nan, -np.inf], 2, "nan, -inf"),
        ([[1], [2, 3]], 2, "[[1], [2, 3]]"),
    ],
)
def test_report(value, digits, text, capsys, strict):
    report("L_w", value, digits=digits, unit="nats")
    assert capsys.readouterr().out == f"L_w: {text} nats\n"


@pytest.mark.parametrize(
    "value, digits, noise", [(2.5, 1, 1e-10), (2.5 + 1e-10, 1, 1e-10), (0.123456, 6, 1e-2)]
)
def test_a_digit_that_noise_turns_is_refused_in_the_strict_run_alone(value, digits, noise, strict):
    arguments = dict(label="x", value=[1, value], digits=digits, noise=noise)
    if strict:
        refuses(r"may print as .* or .*: take another number of digits", report, **arguments)
    else:
        report(**arguments)


@pytest.mark.parametrize("residual, below", [([-1e-15, 0], 1e-12), (np.float32(1), 1 + 1e-9)])
def test_a_residual_below_its_bound(residual, below, capsys, strict):
    report_below("both sides", residual, below)
    assert capsys.readouterr().out == f"both sides: below {below:g}\n"


@pytest.mark.parametrize("residual", [1e-12, [0, -1.0], [0, np.nan]])
def test_a_residual_above_its_bound_is_said(residual, capsys, strict):
    if strict:
        refuses(r"the largest is .*, not below 1e-12", report_below, "both sides", residual)
    else:
        report_below("both sides", residual)
        assert "the largest is" in capsys.readouterr().out
