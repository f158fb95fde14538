"""The galaxies are the published ones, in the units that the course says."""

import numpy as np
import pytest
from comparing import assert_close

from course_utils.datasets import blur, galaxies, galaxy_velocities, velocity_scale


def test_velocities():
    v = galaxy_velocities()
    assert v.shape == (82,) and v.dtype == np.float64
    assert (np.diff(v) > 0).all()  # sorted, and all 82 distinct
    assert v[0] == 9172 and v[-1] == 34279
    assert v[77] == 26960  # not 26690, as in some copies
    assert_close(v.mean(), 20831.4634, atol=1e-3)


def test_standardised():
    x = galaxies()
    assert x.shape == (82, 1)
    assert_close([x.mean(), x.var()], [0, 1], atol=1e-13)
    assert_close(
        x[:, 0] * velocity_scale() + galaxy_velocities().mean(), galaxy_velocities(), rtol=1e-14
    )
    assert_close(
        velocity_scale(), np.sqrt(np.mean((galaxy_velocities() - 20831.4634) ** 2)), atol=1e-3
    )
    assert round(velocity_scale(), -1) == 4540


def test_blur():
    assert_close(blur(0), velocity_scale())
    assert_close(blur(np.array([-2.0, 2.0])), velocity_scale() * np.exp([1.0, -1.0]), rtol=1e-14)
    assert_close(blur(2 * np.log(velocity_scale() / 50)), 50.0, rtol=1e-13)
    with pytest.raises(ValueError, match="real numbers"):
        blur("much")


def test_each_call_hands_out_its_own_array():
    galaxies()[:] = 0
    assert galaxies().any()
