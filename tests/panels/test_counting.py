"""The counting panel: its error curve against exact ones, and its count."""

import numpy as np
import pytest

from course_utils.datasets import galaxies
from course_utils.elbo import ErrorCurve
from course_utils.mixtures import GaussianMixture
from course_utils.panels import counting
from course_utils.panels._galaxies import noise_error


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
