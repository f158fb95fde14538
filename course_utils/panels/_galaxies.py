"""What several panels know of the galaxies: their mixture, a wrong model, exact error curves."""

from functools import cache

from course_utils.datasets import galaxies
from course_utils.elbo import ErrorCurve
from course_utils.mixtures import GaussianMixture

# A model that is wrong on purpose: three broad clusters where the galaxies have finer structure.
WRONG = GaussianMixture([0.1, 0.6, 0.3], [[-2.4], [-0.15], [0.95]], [0.04, 0.16, 0.6])


@cache
def galaxies_mixture():
    """Return the galaxies as their own mixture: 82 components of width zero."""
    return GaussianMixture.from_data(galaxies())


@cache
def error_curve(model="right", galaxy=0):
    """Return the exact error curve of ``model``, "right" or "wrong"; galaxy 0 is the average."""
    truth = galaxies_mixture()
    x = None if galaxy == 0 else galaxies()[galaxy - 1, 0]
    return ErrorCurve.from_mixtures(truth, truth if model == "right" else WRONG, x=x)
