"""The retraining panel: that it really retrains, its theorem, and its numbers."""

import gc
import weakref
from functools import partial

import numpy as np
import pytest

from course_utils.objectives import PUBLISHED
from course_utils.panels import retraining, weighting
from course_utils.samplers import ddim_step, sample
from course_utils.schedules import alpha

BASE = {name: control.value for name, control in retraining.controls().items()}
BASE |= {"features": 64}
TO_DETAIL = (-2.0, -2.0, -2.0, -1.0, 2.0, 2.0, 2.0)


def compute(**changes):
    return retraining.compute(**BASE | changes)


def test_blur_is_read_in_the_datas_own_spread():
    """Shapes in the plane have no km/s."""
    plots = [plot for row in retraining.scene().rows for plot in row]
    assert {plot.x.top.unit for plot in plots if plot.x.top} == {"sd"}


def test_samples_and_errors_are_the_models():
    numbers, shown = compute(eta=0.3, steps=20)
    w, settings = PUBLISHED["sigmoid"].implied_weighting(), ("two_moons", 64, 1e-4, 0.3, 20)
    flat = retraining.reference(*settings)
    model, fresh = retraining._model("two_moons", 64)
    denoiser = model.retrain(w, 1e-4)
    assert numbers["objective"] == pytest.approx(denoiser.objective, abs=1e-9)
    world, path = retraining._world("two_moons"), np.linspace(-10, 10, 21)
    step, rng = partial(ddim_step, eta=0.3), np.random.default_rng(4)
    z = sample(denoiser.eps, path, world.start, step, rng) / alpha(10)
    inside = np.clip(z, -retraining.REACH, retraining.REACH)
    np.testing.assert_allclose([shown["x"], shown["y"]], inside.T, atol=1e-5)
    assert numbers["distance"] == (numbers["off"] + numbers["missed"]) / 2
    law, of_fresh = retraining.law_of("two_moons"), compute(draws="fresh", eta=0.3, steps=20)[1]
    excess = fresh.eps_mse(denoiser.eps) - fresh.eps_mse(law.eps)
    np.testing.assert_allclose(of_fresh["excess"], excess, atol=1e-4)
    of_one = flat.error - world.least_error
    np.testing.assert_allclose(of_fresh["excess_of_one"], of_one, atol=1e-12)
    # the training draws of the panel are those of the model: its own error, level by level
    ideal = denoiser.eps_mse - shown["excess"]
    assert abs(ideal - world.least_error).max() < 0.25  # chance alone


def test_weight_moved_from_noise_to_detail_blurs_less_and_misses_more():
    """The picture of T9: blurred where noise is weighed, broken where detail is."""
    to_noise = compute(features=256, objective="cosine_x")[0]
    balanced = compute(features=256, objective="cosine_eps")[0]
    detail = compute(features=256, objective="elbo", gains=TO_DETAIL)[0]
    assert to_noise["off"] > 1.5 * balanced["off"] > 1.5 * balanced["nearest_floor"]
    assert detail["missed"] > 2 * balanced["missed"]
    assert detail["wasserstein"] > 2 * balanced["wasserstein"] > balanced["wasserstein_floor"]


def test_w_may_be_the_readers_own():
    """A drawn curve and a plain function, to what the instrument's table of 161 levels keeps."""
    gains = (-2.0, -2.0, -2.0, 0.0, 0.0, 0.0, 0.0)
    desk = weighting.panel(objective="sigmoid", gains=gains)
    drawn = retraining.panel(objective=desk.weighting, features=64)
    same = compute(gains=gains, draws="training")[0]
    assert drawn.results["above"] == pytest.approx(same["above"], abs=1e-3)
    assert drawn.results["wasserstein"] == pytest.approx(same["wasserstein"], abs=1e-3)
    tilt = retraining.panel(objective=lambda log_snr: np.exp(-log_snr / 4))
    assert tilt.controls["objective"].options[0][0] == "your w"
    tilt.set(objective="elbo")
    assert tilt.results["above"] == 0
    for wrong, words in ((3, "a weighting"), ([], "at least one"), (np.negative, "not negative")):
        with pytest.raises(ValueError, match=words):
            retraining.panel(objective=wrong)
    for panel in (desk, drawn, tilt):
        panel.close()


def test_what_is_kept_of_the_elbo_s_runs_are_numbers_and_not_models():
    """64 of them are kept, and a model of 512 features takes 100 MB."""
    settings = ("rings", 16, 1e-4, 0.0, 10)
    model = weakref.ref(retraining._model(*settings[:2])[0])
    found = retraining.reference(*settings)
    assert compute(data="rings", features=16, steps=10, objective="elbo")[0]["above"] == 0
    assert compute(data="rings", features=16, steps=10)[1]["star"] == found.nearest.mean
    retraining._model.cache_clear()
    gc.collect()
    assert model() is None
