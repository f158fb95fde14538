"""The sum-of-ELBOs panel: both sides agree at every setting, and an error in one is seen."""

import re

import numpy as np
import pytest

from course_utils.datasets import galaxies
from course_utils.elbo import ErrorCurve
from course_utils.objectives import PUBLISHED
from course_utils.panels import sum_of_elbos
from course_utils.panels._galaxies import error_curve
from course_utils.panels._weighting_controls import weighting

TOLERANCE = 1e-6  # of |L_w|; the worst of 600 random settings was 3.2e-7
START = {
    "objective": "edm",
    "shift": 0.0,
    "monotone_lock": False,
    "gains": (0.0,) * 7,
    "model": "right",
    "galaxy": 0,
    "log_snr_min": -10.0,
    "log_snr_max": 10.0,
}


def numbers(**values):
    return sum_of_elbos.compute(**START | values)[0]


def settings(n, rng):
    """Random combinations of all controls, on the sliders' own steps."""

    def step(low, high, size):
        return round(float(low + size * rng.integers(0, round((high - low) / size) + 1)), 6)

    for _ in range(n):
        yield {
            "objective": str(rng.choice(list(PUBLISHED))),
            "shift": step(-6, 6, 0.1),
            "monotone_lock": bool(rng.integers(2)),
            "gains": tuple(step(-2, 2, 0.1) for _ in range(7)),
            "model": str(rng.choice(["right", "wrong"])),
            "galaxy": int(rng.integers(83)),
            "log_snr_min": step(-10, 0, 0.5),
            "log_snr_max": step(1, 10, 0.5),
        }


def test_random_combinations_of_all_controls():
    for values in settings(60, np.random.default_rng(0)):
        found, arrays = sum_of_elbos.compute(**values)
        assert found["residual"] < TOLERANCE, values
        assert all(np.isfinite(v) for v in found.values() if not isinstance(v, str)), values
        names = ("objective", "shift", "monotone_lock", "gains", "log_snr_min", "log_snr_max")
        w = weighting(**{name: values[name] for name in names})
        total = found["positive"] - found["negative"]
        assert total == pytest.approx(float(w(values["log_snr_min"])), rel=1e-6)
        # the areas drawn are those that are printed
        left = np.trapezoid(arrays["half"], arrays["grid"])
        right = (arrays["product"] * np.diff(arrays["grid"])).sum()
        right += arrays["atom"] - arrays["constant"]
        assert [left, right] == pytest.approx([found["weighted_loss"]] * 2, rel=0.02, abs=1e-4)


@pytest.mark.parametrize("objective", PUBLISHED)
def test_both_sides_agree_and_an_error_of_one_percent_is_seen(objective, monkeypatch):
    for shift in (-6.0, 0.0, 6.0):
        for model in ("right", "wrong"):
            found = numbers(objective=objective, shift=shift, model=model)
            assert found["residual"] < TOLERANCE

    def spoilt(model="right", galaxy=0):
        right = error_curve(model, galaxy)
        return ErrorCurve(right.log_snr, 1.01 * right.noise_error, right.path_kl)

    monkeypatch.setattr(sum_of_elbos, "error_curve", spoilt)
    assert numbers(objective=objective)["residual"] > 1e-3


def test_the_numbers_are_those_of_the_course():
    flat = numbers(objective="elbo")
    assert flat["weighted_loss"] == pytest.approx(3.70, abs=5e-3)  # L(0) at λ = 10
    assert flat["atom"] == pytest.approx(1) and flat["negative"] == 0
    # raise λ_min and the hidden constant appears: ½ log(1 + e^λ) far out
    assert flat["constant"] == pytest.approx(0.5 * np.exp(-10), rel=1e-4)
    # at λ = 0, by Gauss–Hermite: −½ log 2πeσ² − E log q(z)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    z = np.sqrt(0.5) * (galaxies() + nodes)
    terms = np.exp(-((z.reshape(-1, 1) - np.sqrt(0.5) * galaxies()[:, 0]) ** 2)).mean(axis=1)
    log_q = np.log(terms / np.sqrt(np.pi)).reshape(z.shape) @ weights / weights.sum()
    exact = -0.5 * np.log(np.pi * np.e) - log_q.mean()
    assert numbers(objective="elbo", log_snr_min=0.0)["constant"] == pytest.approx(exact, abs=1e-8)


def test_the_verdict_follows_the_weighting():
    edm, locked = numbers(), numbers(monotone_lock=True)
    assert "not monotone" in edm["verdict"] and edm["negative"] > 0
    assert locked["verdict"].startswith("w is monotone") and locked["negative"] == 0


def test_layers_are_levels_of_p_w_named_with_a_minus_not_a_hyphen():
    names = sum_of_elbos.compute(**START)[1]["names"]
    signs = sum_of_elbos.compute(**START)[1]["signs"]
    assert len(names) == sum_of_elbos.LAYERS and (signs < 0).any()
    for name, sign in zip(names, signs, strict=True):
        assert re.fullmatch(r"(− )?λ −?\d+\.\d: [\d,]+ km/s", name)
        assert name.startswith("− ") == (sign < 0)
    assert (
        sum_of_elbos.compute(**START | {"objective": "elbo"})[1]["names"] == ["atom: 31 km/s"] * 6
    )
