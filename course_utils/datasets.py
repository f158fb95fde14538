"""The course's data, small and real: the galaxies' velocities; nothing is downloaded."""

from importlib.resources import files

import numpy as np

from course_utils._arrays import float64


def galaxy_velocities():
    """Return the velocities of 82 galaxies of the Corona Borealis region in km/s, sorted, [82].

    Sources: Postman, Huchra & Geller 1986 (the survey); Roeder 1990 (the 82 as a sample for
    density estimation). The 78th value reads 26960, as measured, where some copies of the table
    have 26690.
    """
    text = files("course_utils").joinpath("data/galaxies.csv").read_text(encoding="utf-8")
    return np.loadtxt(text.splitlines(), skiprows=1)


def galaxies():
    """Return the 82 galaxy velocities standardised to mean 0 and variance 1, as [82, 1].

    One unit is ``velocity_scale()`` km/s.
    """
    v = galaxy_velocities()
    return ((v - v.mean()) / v.std())[:, None]


def velocity_scale():
    """Return the standard deviation of the velocities in km/s: the unit of ``galaxies()``."""
    return float(galaxy_velocities().std())


def blur(log_snr):
    """Return the blur in km/s at level λ: noise of standard deviation σ/α times the data's unit.

    Equation: blur = ``velocity_scale()`` · e^{−λ/2}, for levels of any shape.
    """
    return velocity_scale() * np.exp(-float64(log_snr) / 2)
