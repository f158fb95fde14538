"""The weighting panel: verdicts and shares against independent integrals."""

import numpy as np
import pytest
from panel_driving import drive
from scipy.integrate import quad

from course_utils.datasets import km_per_s
from course_utils.elbo import ErrorCurve
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import PUBLISHED
from course_utils.panels import weighting
from course_utils.panels._galaxies import error_curve
from course_utils.weightings import is_monotone

PLAIN = {"shift": 0.0, "monotone_lock": False, "gains": (0.0,) * 7}


def test_every_control_to_its_ends():
    panel = weighting.panel()
    drive(panel)
    panel.close()


@pytest.mark.parametrize("objective", PUBLISHED)
def test_shares_and_verdicts(objective):
    results, w = weighting.compute(objective, **PLAIN)
    errors = error_curve()
    breaks = [-9, -6, -3, 0, 3, 6, 9]

    def integral(low, high):
        inside = [b for b in breaks if low < b < high]
        return quad(lambda s: w(s) * errors.at(s)[0], low, high, points=inside, epsrel=1e-9)[0]

    fine = -2 * np.log(50 / km_per_s(0))
    assert results["coarse"] == pytest.approx(integral(-10, fine) / integral(-10, 10), abs=1e-7)
    half = -2 * np.log(results["median"] / km_per_s(0))
    assert integral(-10, half) == pytest.approx(integral(-10, 10) / 2, rel=1e-6)
    monotone = is_monotone(PUBLISHED[objective].implied_weighting())
    assert results["verdict"].startswith("w is monotone") == monotone
    assert (results["negative"] == 0) == monotone


def test_negative_part_of_a_hump():
    """sech(λ/2) rises from sech(5) to 1 and falls back: its negative part is known."""
    results, _ = weighting.compute("cosine_eps", **PLAIN)
    low = 1 / np.cosh(5)
    assert results["negative"] == pytest.approx((1 - low) / (2 * (1 - low) + low), abs=1e-6)
    assert results["peak"] == pytest.approx(0, abs=1e-6)
    locked, _ = weighting.compute("cosine_eps", **PLAIN | {"monotone_lock": True})
    assert locked["negative"] == 0


def test_controls_move_the_weighting():
    base, _ = weighting.compute("edm", **PLAIN)
    moved, _ = weighting.compute("edm", **PLAIN | {"shift": 2.0})
    assert moved["peak"] == pytest.approx(base["peak"] + 2, abs=1e-5)
    gains = (0, 0, 0, 0, 0, 0, 2.0)
    bent, w = weighting.compute("elbo", **PLAIN | {"gains": gains})
    assert w(9.0) == pytest.approx(1) and w(0.0) == pytest.approx(0.01)
    assert "not monotone" in bent["verdict"]


def random_values(panel, rng):
    """A value for every control, on the sliders' own steps."""
    values = {}
    for name, widget in panel.controls.items():
        bars = getattr(widget, "bars", None)
        if bars:
            values[name] = tuple(on_a_step(bar, rng) for bar in bars)
        elif hasattr(widget, "min"):
            values[name] = on_a_step(widget, rng)
        elif hasattr(widget, "options"):
            options = [o[1] if isinstance(o, tuple) else o for o in widget.options]
            values[name] = options[rng.integers(len(options))]
        else:
            values[name] = bool(rng.integers(2))
    return values


def on_a_step(slider, rng):
    steps = round((slider.max - slider.min) / slider.step)
    return round(slider.min + slider.step * int(rng.integers(steps + 1)), 6)


def test_random_combinations_of_all_controls():
    panel, rng = weighting.panel(), np.random.default_rng(1)
    for _ in range(40):
        values = random_values(panel, rng)
        panel.set(**values)
        results, w = weighting.compute(**values)
        assert panel.results == results and panel.error is None
        numbers = [v for v in results.values() if not isinstance(v, str)]
        assert np.isfinite(numbers).all(), values
        assert 0 <= results["coarse"] <= 1 and 0 <= results["negative"] <= 1
        assert np.max(w(np.linspace(-10, 10, 4001))) == pytest.approx(1, abs=1e-9)
        assert ("not monotone" in panel.text()) == (results["negative"] > 0)
    panel.close()


def test_another_error_curve_gives_other_shares(monkeypatch):
    before, _ = weighting.compute("elbo", **PLAIN)
    other = ErrorCurve.from_mixtures(GaussianMixture([1.0], [[0.0]], [1.0]))
    monkeypatch.setattr(weighting, "error_curve", lambda: other)
    after, _ = weighting.compute("elbo", **PLAIN)
    assert abs(after["coarse"] - before["coarse"]) > 0.01


def test_the_text_follows():
    panel = weighting.panel(objective="cosine_eps")
    assert "w is not monotone" in panel.text() and "peak of w at λ = 0.00" in panel.text()
    panel.set(objective="sigmoid")
    assert "w is monotone" in panel.text() and "peak of w at λ = -10.00" in panel.text()
    panel.close()
    assert weighting.picture(objective="edm").size[0] == 1880  # twice 9.4 inch at 100 dots


def test_a_rise_too_slow_for_one_step_has_its_place_too():
    """Not monotone on the levels of is_monotone, and below its tolerance on the panel's."""

    def w(log_snr):
        return 1 + 6e-7 * np.clip(log_snr, -2, 3)

    levels = np.linspace(-10, 10, 20_001)
    assert not is_monotone(w)
    assert weighting._verdict(levels, w(levels), False).endswith("rises with λ from -2.0 to 3.0")
