"""The counting panel: its error curve against exact ones, and its count."""

import numpy as np
import pytest
from scipy import integrate

from course_utils.datasets import galaxies
from course_utils.elbo import ErrorCurve
from course_utils.mixtures import GaussianMixture
from course_utils.panels import counting
from course_utils.panels._galaxies import noise_error


def test_error_of_two_points_is_the_tanh_integral():
    """At ±d and blur b the best guess of x is d·tanh(zd/b²): one integral over the noise."""
    d, b = 0.7, np.exp(-1.3 / 2)

    def doubt(u):
        density = np.exp(-(u**2) / 2) / np.sqrt(2 * np.pi)
        return density * (d / b) ** 2 * (1 - np.tanh((d + b * u) * d / b**2) ** 2)

    exact, _ = integrate.quad(doubt, -12, 12, epsabs=1e-12)
    assert noise_error([-d, d], np.array([1.3]))[0] == pytest.approx(exact, rel=1e-7)


@pytest.mark.parametrize("squeeze", [1, 10])
def test_error_of_the_galaxies_is_the_exact_curve(squeeze):
    levels, x = np.linspace(-10, 20, 13), galaxies() / squeeze
    exact = ErrorCurve.from_mixtures(GaussianMixture.from_data(x), log_snr=levels)
    np.testing.assert_allclose(
        noise_error(x[:, 0], levels), exact.noise_error, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("squeeze", [1, 4, 10])
@pytest.mark.parametrize(
    ("keep", "leave_out"), [(82, 0), (82, 57), (81, 0), (37, 82), (2, 0), (2, 1)]
)
def test_the_area_counts(keep, leave_out, squeeze):
    numbers, arrays = counting.compute(keep, leave_out, squeeze)
    assert numbers["kept"] == len(arrays["velocities"]) == keep - (1 <= leave_out <= keep)
    assert numbers["count"] == pytest.approx(numbers["kept"], abs=4e-5)  # four decimals are shown
    assert arrays["count"][-1] == numbers["count"] >= numbers["at_mark"]
