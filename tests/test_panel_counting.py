"""The counting panel: its error curve against the exact one, its count, its controls."""

import numpy as np
import pytest
from panel_driving import drive
from scipy import integrate

from course_utils.datasets import galaxies
from course_utils.elbo import ErrorCurve
from course_utils.mixtures import GaussianMixture
from course_utils.panels import counting


def test_error_of_two_points_is_the_tanh_integral():
    """At ±d and blur b the best guess of x is d·tanh(zd/b²): one integral over the noise."""
    d, b = 0.7, np.exp(-1.3 / 2)

    def doubt(u):
        density = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)
        return density * (d / b) ** 2 * (1 - np.tanh((d + b * u) * d / b**2) ** 2)

    exact, _ = integrate.quad(doubt, -12, 12, epsabs=1e-12)
    assert counting.noise_error([-d, d], [1.3])[0] == pytest.approx(exact, rel=1e-7)


def test_error_of_the_galaxies_is_the_exact_curve():
    levels = np.linspace(-10, 20, 13)
    exact = ErrorCurve.from_mixtures(GaussianMixture.from_data(galaxies()), log_snr=levels)
    got = counting.noise_error(galaxies()[:, 0], levels)
    np.testing.assert_allclose(got, exact.noise_error, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("squeeze", [1, 4, 10])
@pytest.mark.parametrize(("keep", "leave_out"), [(82, 0), (82, 57), (81, 0), (37, 82), (2, 0)])
def test_the_area_counts(keep, leave_out, squeeze):
    results, velocities, _, _ = counting.compute(keep, leave_out, squeeze)
    assert results["kept"] == len(velocities) == keep - (1 <= leave_out <= keep)
    assert results["count"] == pytest.approx(results["kept"], abs=4e-5)  # four decimals are shown


def test_a_wrong_error_would_not_count():
    _, _, error, _ = counting.compute(82, 0, 1)
    wrong = np.exp(np.trapezoid(1.01 * error, counting.LEVELS) / 2)
    assert abs(wrong - 82) > 3


def test_one_point_leaves_no_doubt():
    results, _, error, _ = counting.compute(2, 1, 1)
    assert results["count"] == 1 and not error.any()


def test_squeezing_only_shifts_the_curve():
    """Ten times closer: e at λ is what it was at λ − 2 ln 10."""
    levels = np.linspace(0, 15, 31)
    wide = counting.noise_error(galaxies()[:, 0], levels - 2 * np.log(10))
    close = counting.noise_error(galaxies()[:, 0] / 10, levels)
    np.testing.assert_allclose(close, wide, rtol=1e-4, atol=1e-6)


def test_every_control_moves_without_error():
    done = drive(counting.panel())
    assert done.full_redraws <= 1
