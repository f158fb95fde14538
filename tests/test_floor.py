"""The floor of a sample: against exact curves on the line, closed forms, and other routes to it."""

import numpy as np
import pytest
from comparing import refused

from course_utils.audit import audit, least_loss
from course_utils.datasets import galaxies
from course_utils.elbo import ErrorCurve
from course_utils.exact import error_and_kl, expected
from course_utils.floor import floor
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import from_script
from course_utils.schedules import alpha, sigma

LEVELS = np.linspace(-8, 8, 17)


def test_on_the_line_it_is_the_exact_curve():
    found = floor(galaxies(), LEVELS, draws=8200)
    exact = ErrorCurve.from_mixtures(GaussianMixture.from_data(galaxies()), log_snr=(-10, 10))
    truth = exact.at(LEVELS)[0]
    off = np.abs(found.noise_error - truth) / found.standard_error
    assert off.max() < 4 and (found.standard_error < 0.05 * truth).all()
    assert np.abs(1.1 * found.noise_error - truth).max() > 4 * found.standard_error.max()


def test_an_outlier_is_drawn_and_the_standard_error_is_that_of_a_mean():
    """It holds half of the variance, which is all there is at noisy levels."""
    x = np.append(np.random.default_rng(1).standard_normal(3000), 60.0)
    x = (x - x.mean()) / x.std()
    found = floor(x, [-9.0, -8.0], draws=64)
    exact = expected(error_and_kl, *[GaussianMixture.from_data(x)] * 2, found.log_snr)[0, :, 0]
    assert (np.abs(found.noise_error - exact) < 0.1 * exact).all()
    found = [floor([-1.0, 1.0], [0.0, 1.0], draws=2, rng=seed) for seed in range(2000)]
    spread = np.var([one.noise_error for one in found], axis=0)
    said = np.mean([one.standard_error**2 for one in found], axis=0)
    np.testing.assert_allclose(said, spread, rtol=0.15)


def test_a_reader_who_raises_at_every_underflow_has_the_same_numbers():
    def found():
        curve = ErrorCurve.from_mixtures(GaussianMixture.from_data(galaxies()))
        return floor(galaxies(), draws=64).noise_error, curve.path_kl

    with np.errstate(all="raise"):
        strict = found()
    for raising, plain in zip(strict, found(), strict=True):
        assert (raising == plain).all()


def test_images_and_scales():
    images = np.random.default_rng(2).random((50, 4, 4, 1))
    one, flat = floor(images, LEVELS), floor(images.reshape(50, 16), LEVELS)
    np.testing.assert_array_equal(one.noise_error, flat.noise_error)
    halved = floor(images / 2, LEVELS, data_sd=0.5)
    np.testing.assert_allclose(halved.noise_error, one.noise_error, rtol=1e-12)
    assert one.dim == 16
    assert not floor(np.ones((5, 2)), LEVELS).noise_error.any()  # nothing to be told apart


@pytest.mark.parametrize("script", [{"prediction": "v"}, {"prediction": "F", "data_sd": 0.5}])
def test_a_loss_as_a_script_logs_it(script):
    """The mean squared error of the ideal prediction, in the script's own terms and scale."""
    rng = np.random.default_rng(3)
    sd = script.get("data_sd", 1.0)
    x = sd * rng.standard_normal((30, 2))
    found = floor(x, [-4.0, -1.0, 2.0], data_sd=sd, draws=4000)
    least, unsure = least_loss(from_script(betas="scaled_linear", **script), found)
    for i, level in enumerate(found.log_snr):
        own = level - 2 * np.log(sd)  # the script's level, for data of its own scale
        a, s = alpha(own), sigma(own)
        of, noise = x[rng.integers(30, size=20_000)], rng.standard_normal((20_000, 2))
        guess = GaussianMixture.from_data(x).denoise(a * of + s * noise, own)
        if script["prediction"] == "v":  # v = α ε − σ x, and ε = (z − α x)/σ
            off = (of - guess) * (a * a / s + s)
        else:
            blur = s / a
            off = (of - guess) * np.sqrt(blur**2 + sd**2) / (blur * sd)
        assert np.mean(off**2) == pytest.approx(least[i], abs=5 * unsure[i] + 0.02 * least[i])


def test_the_report_splits_a_loss_into_floor_and_excess():
    data = np.random.default_rng(4).standard_normal((500, 3))
    script = from_script(betas="scaled_linear", prediction="v")
    found = floor(data, np.linspace(-5, 7, 25))
    least, _ = least_loss(script, found)
    whole = audit(script, floor=found)
    assert whole.excess is None and "of your sample" in str(whole)
    # a network that is off by as much again below λ = 0, and by nothing above
    inside = found.log_snr < 0
    split = audit(script, floor=found, losses=np.where(inside, 2 * least, least)).excess
    np.testing.assert_allclose(split.excess[~inside], 0, atol=1e-12)
    w = script.implied_weighting()(found.log_snr) * found.noise_error
    by_hand = np.trapezoid(w, found.log_snr)
    more = np.trapezoid(np.where(inside, w, 0), found.log_snr)
    assert split.share == pytest.approx(more / (by_hand + more), rel=0.02)
    assert "is excess" in str(split) and not len(split.below)
    low = audit(script, floor=found, losses=0.5 * least).excess
    assert len(low.below) and "below the floor" in str(low)


SCRIPT = from_script(betas="linear")
test_bad_samples_and_losses_are_refused_in_a_sentence = refused(
    (lambda: floor([[1.0], [np.nan]]), "NaN"),
    (lambda: floor(galaxies(), [1.0, 0.0]), "increasing"),
    (lambda: audit(SCRIPT, floor=floor(galaxies()), losses=[1.0]), "one at each"),
    (lambda: audit(SCRIPT, losses=np.ones(5)), "stand beside a floor"),
    (
        lambda: audit(SCRIPT, floor=floor(galaxies()), losses=np.ma.masked_less(np.arange(41), 9)),
        "9 masked entries",
    ),
    (lambda: audit(SCRIPT, floor=floor(galaxies()), losses=np.full(41, np.nan)), "finite and not"),
    (lambda: audit(SCRIPT, floor=floor(galaxies(), [20.0, 30.0])), "none that training reaches"),
    (lambda: floor([[1.0, 2.0]]), "two points"),
    (lambda: floor(np.ones(9), data_sd=np.ones(9).std()), "data_sd > 0"),
)
