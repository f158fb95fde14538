"""The ELBO panel: its value stands still where T1 says so, and its numbers are those of theory."""

import numpy as np
import pytest

from course_utils.elbo import weighted_loss
from course_utils.panels import elbo
from course_utils.panels._galaxies import error_curve

START = {name: control.value for name, control in elbo.CONTROLS.items()}
SCHEDULES = ["straight", "cosine", "flow_matching", "linear_beta", "adaptive", "optimal"]
BENT = (-1.0, 0.7, 0.2, -1.5, 1.0)


def numbers(**values):
    return elbo.compute(**{**START, **values})[0]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_value_stands_still_and_the_bar_moves(schedule):
    straight, bent = numbers(), numbers(schedule=schedule, gains=BENT)
    assert bent["loss"] == pytest.approx(straight["loss"], rel=1e-12)
    assert bent["loss"] == pytest.approx(3.7032, abs=5e-5)
    assert abs(bent["standard_error"] / straight["standard_error"] - 1) > 0.05
    assert "whatever" in bent["verdict"]


def test_held_in_t_the_value_moves():
    assert numbers(weight="time")["loss"] == pytest.approx(3.7032, abs=5e-5)
    moved = numbers(weight="time", schedule="cosine")
    assert abs(moved["loss"] - moved["elbo"]) > 0.2 and "moved" in moved["verdict"]


def test_the_ratio_to_the_least_variance():
    assert numbers(schedule="optimal")["ratio"] == pytest.approx(1, abs=1e-4)
    assert numbers(schedule="cosine")["ratio"] == pytest.approx(10.25, abs=0.01)
    assert min(numbers(gains=g)["ratio"] for g in [BENT, (0.0,) * 5, (-1, -0.5, 0, 0, 0)]) > 1
    narrow = numbers(schedule="optimal", log_snr_min=-5.0, log_snr_max=6.0)
    assert narrow["ratio"] == pytest.approx(1, abs=1e-4)


def test_the_knots_lie_on_p_and_pull_it():
    moved = START | {"gains": (0.0, 0.0, 0.0, 1.0, 0.0)}
    before, after = (elbo.compute(**values)[1] for values in (START, moved))
    np.testing.assert_allclose(before["at_knots"], 1 / 20)
    raised = after["at_knots"] / before["at_knots"]
    # ten times as much at one knot beside the others, as a hand sees it on a logarithmic axis
    np.testing.assert_allclose(raised[3] / raised[[0, 1, 2, 4]], 10, rtol=0.01)
    assert np.trapezoid(after["sampled"], after["levels"]) == pytest.approx(1, abs=2e-3)
    assert np.trapezoid(after["best"], after["levels"]) == pytest.approx(1)
    cut = elbo.compute(**START | {"log_snr_max": 6.0})[1]["at_knots"]
    assert np.isnan(cut[4]) and np.isfinite(cut[:4]).all()


def test_the_loss_held_in_t_is_that_of_the_certified_integral_and_the_area_drawn():
    gains, span = (-1.5, 1.5, -1.5, 1.5, -1.5), (-9.0, 7.5)
    values = {"schedule": "adaptive", "weight": "time", "gains": gains}
    values |= dict(zip(("log_snr_min", "log_snr_max"), span, strict=True))
    found, arrays = elbo.compute(**START | values)
    w = elbo._held(elbo.bent_schedule("adaptive", gains, *span))
    exact = weighted_loss(w, error_curve(), *span)
    assert exact.bound < 1e-6 and found["loss"] == pytest.approx(exact, rel=1e-5)
    area = np.trapezoid(arrays["added"], arrays["levels"])
    assert area == pytest.approx(found["loss"], rel=1e-3)
    assert found["beyond"] + arrays["counts"].sum() == elbo.BATCHES
