"""The sum-of-ELBOs panel: both sides agree at every setting, and an error in one is seen."""

import re

import numpy as np
import pytest
from panel_driving import drive

from course_utils.datasets import galaxies
from course_utils.elbo import ErrorCurve
from course_utils.objectives import PUBLISHED
from course_utils.panels import sum_of_elbos
from course_utils.panels._galaxies import error_curve

TOLERANCE = 1e-6  # of |L_w|; the worst of 600 random settings was 3.2e-7


def settings(n, seed=0):
    """Random combinations of all controls, on the sliders' own steps."""
    rng = np.random.default_rng(seed)

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


def test_every_control_to_its_ends():
    panel = sum_of_elbos.panel()
    residuals, update = [], panel._update

    def watched(**values):
        results = update(**values)
        residuals.append(results["residual"])
        return results

    panel._update = watched
    drive(panel)
    panel.close()
    assert len(residuals) > 30
    assert max(residuals) < TOLERANCE


def test_random_combinations_of_all_controls():
    for values in settings(60):
        results, w = sum_of_elbos.compute(**values)
        assert results["residual"] < TOLERANCE, values
        assert all(np.isfinite(v) for v in results.values() if not isinstance(v, str)), values
        total = results["positive"] - results["negative"]
        assert total == pytest.approx(float(w(values["log_snr_min"])), rel=1e-6)


@pytest.mark.parametrize("objective", PUBLISHED)
@pytest.mark.parametrize("shift", [-6.0, 6.0])
def test_every_objective_shifted_to_the_ends(objective, shift):
    for model in ("right", "wrong"):
        moved = {"objective": objective, "shift": shift, "model": model, "galaxy": 0}
        results, _ = sum_of_elbos.compute(**START | moved)
        assert results["residual"] < TOLERANCE


START = next(settings(1)) | {
    "objective": "edm",
    "shift": 0.0,
    "monotone_lock": False,
    "gains": (0.0,) * 7,
    "log_snr_min": -10.0,
    "log_snr_max": 10.0,
}


@pytest.mark.parametrize("objective", PUBLISHED)
def test_an_error_of_one_percent_in_one_side_is_seen(objective, monkeypatch):
    def spoilt(model="right", galaxy=0):
        right = error_curve(model, galaxy)
        return ErrorCurve(right.log_snr, 1.01 * right.noise_error, right.path_kl)

    monkeypatch.setattr(sum_of_elbos, "error_curve", spoilt)
    results, _ = sum_of_elbos.compute(**START | {"objective": objective})
    assert results["residual"] > 1e-3


def test_the_numbers_are_those_of_the_course():
    flat, _ = sum_of_elbos.compute(**START | {"objective": "elbo", "model": "right", "galaxy": 0})
    assert flat["weighted_loss"] == pytest.approx(3.70, abs=5e-3)  # L(0) at λ = 10
    assert flat["atom"] == pytest.approx(1) and flat["negative"] == 0
    # raise λ_min and the hidden constant appears
    constants = [
        sum_of_elbos.compute(
            **START | {"objective": "elbo", "galaxy": 0, "model": "right", "log_snr_min": low}
        )[0]["constant"]
        for low in (-10.0, 0.0)
    ]
    assert constants[0] == pytest.approx(0.5 * np.exp(-10), rel=1e-4)  # ½ log(1 + e^λ), far out
    # at λ = 0, by Gauss–Hermite: −½ log 2πeσ² − E log q(z)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    z = np.sqrt(0.5) * (galaxies() + nodes)
    terms = np.exp(-((z.reshape(-1, 1) - np.sqrt(0.5) * galaxies()[:, 0]) ** 2)).mean(axis=1)
    log_q = np.log(terms / np.sqrt(np.pi)).reshape(z.shape) @ weights / weights.sum()
    assert constants[1] == pytest.approx(-0.5 * np.log(np.pi * np.e) - log_q.mean(), abs=1e-8)


def test_the_verdict_follows_the_weighting():
    edm, _ = sum_of_elbos.compute(**START)
    locked, _ = sum_of_elbos.compute(**START | {"monotone_lock": True})
    assert "not monotone" in edm["verdict"] and edm["negative"] > 0
    assert locked["verdict"].startswith("w is monotone") and locked["negative"] == 0


def test_the_text_follows():
    panel = sum_of_elbos.panel(objective="sigmoid")
    before = panel.text()
    panel.set(objective="edm", model="wrong", galaxy=40, log_snr_min=-4.0)
    assert panel.text() != before and "not monotone" in panel.text()
    left, right = re.findall(r"= (\d+\.\d{6}) nats", panel.text())[:2]
    assert abs(float(left) - float(right)) <= 1e-6
    assert float(left) == pytest.approx(panel.results["weighted_loss"], abs=5e-7)
    panel.close()


def test_start_values_and_the_picture():
    picture = sum_of_elbos.picture(objective="edm", shift=1.0)
    assert picture.size[0] == 1880
    with pytest.raises(ValueError, match="did you mean 'objective'"):
        sum_of_elbos.panel(objectve="edm")


def test_layers_are_named_by_level_and_blur_with_a_minus_not_a_hyphen():
    top = sum_of_elbos.LOG_SNR_MAX
    names = [sum_of_elbos._layer_words(*at, top) for at in [(-0.42, 1), (2.0, -1), (top, 1)]]
    assert re.fullmatch(r"λ −0\.4: [\d,]+ km/s", names[0])
    assert re.fullmatch(r"− λ 2\.0: [\d,]+ km/s", names[1])
    assert re.fullmatch(r"atom: \d+ km/s", names[2])
