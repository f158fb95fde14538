"""What several views know of the galaxies: their mixture, a wrong model, and fast exact sums."""

from functools import cache

import numpy as np
from scipy.special import ndtr

from course_utils._checks import frozen
from course_utils.datasets import galaxies, galaxy_velocities, velocity_scale
from course_utils.elbo import ErrorCurve
from course_utils.mixtures import GaussianMixture
from course_utils.schedules import alpha, sigma

# A model that is wrong on purpose: three broad clusters where the galaxies have finer structure.
WRONG = GaussianMixture([0.1, 0.6, 0.3], [[-2.4], [-0.15], [0.95]], [0.04, 0.16, 0.6])
REACH = 7  # standard deviations of the noise beyond which a point plays no part
PER_SD = 4  # nodes of the trapezoid rule per standard deviation of the noise
SMALLEST = -700  # exponents below are cut off: numbers so small that they cost ten times the time


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


@cache
def points():
    """Return the galaxies in units of their standard deviation, sorted, [82]."""
    return frozen(galaxies()[:, 0])


def velocity(x):
    """Return the velocities, 1000 km/s, of points x in units of the galaxies' spread."""
    return (velocity_scale() * x + galaxy_velocities().mean()) / 1000


def bin_density(values, edges):
    """Return the share of the values in each bin between ``edges``, divided by its width."""
    return np.histogram(values, edges)[0] / len(values) / np.diff(edges)


# Sums over equal kernels N(m, sd²), one at each of ``means`` [k]: a diffused data set on the line.
# ``GaussianMixture`` has the same for kernels of any widths, weights and dimension, and is slower.


def density(x, means, sd):
    """Return (1/k) Σ N(x; m, sd²) at x [n]."""
    power = np.subtract.outer(means, x)
    power *= power
    power *= -0.5 / sd**2
    np.maximum(power, SMALLEST, out=power)
    return np.exp(power, out=power).sum(axis=0) / (len(means) * sd * np.sqrt(2 * np.pi))


def mass_below(x, means, sd):
    """Return (1/k) Σ Φ((x − m)/sd) at x [n]; ``means`` increase. Beyond 9 sd, Φ is 0 or 1."""
    whole = np.searchsorted(means, x - 9 * sd)
    most = (np.searchsorted(means, x + 9 * sd) - whole).max()
    near = np.append(means, np.full(most, np.inf))[np.add.outer(np.arange(most), whole)]
    return (whole + ndtr((x - near) / sd).sum(axis=0)) / len(means)


def ideal_eps(width=0.0):
    """Return ``GaussianMixture.eps``, but faster, as a function of z and levels of any shape.

    The data are the galaxies, each a Gaussian of standard deviation ``width`` km/s:
    log p(x|z) = a z x/sd² − a² x²/2sd² + what does not depend on x.
    """
    x, kernel = points(), width / velocity_scale()
    powers, sums = np.stack([x, -(x**2), np.ones_like(x)], axis=1), np.stack([x, np.ones_like(x)])
    halfway = (x[1:] + x[:-1]) / 2

    def eps(z, log_snr):
        a, s = alpha(log_snr), sigma(log_snr)
        sd = np.hypot(a * kernel, s)
        slope, bend = np.broadcast_arrays(a * z / sd**2, a**2 / (2 * sd**2))
        nearest = x[np.searchsorted(halfway, z / a)]  # has the largest power, which becomes 0
        parts = np.stack([slope, bend, nearest * (nearest * bend - slope)])
        log = np.tensordot(powers, parts, 1)
        share = np.exp(np.maximum(log, SMALLEST, out=log), out=log)
        weighted, total = np.tensordot(sums, share, 1)
        return s * (z - a * weighted / total) / sd**2

    return eps


def noise_error(data, log_snr):
    """Return e(λ) = E(ε − E[ε|z])² at levels [n], for x drawn evenly from ``data`` [m].

    At blur b = e^{−λ/2} it is the average over z of the variance of (z − x_k)/b under the
    posterior of k. Only points within REACH·b of z count, which makes a whole curve of 82 points
    a matter of 10 ms; ``elbo.ErrorCurve`` computes the same without such a cut.
    """
    x = np.sort(np.asarray(data, dtype=float))
    return np.array([_doubt(x, b) for b in np.exp(-np.asarray(log_snr) / 2)]) / len(x)


def _doubt(x, b):
    """The error at blur b, summed over the points: a trapezoid rule over z, in units of b."""
    gaps = np.minimum(np.diff(x) / b, 2 * REACH + 1)  # beyond that they do not meet at all
    place = np.append(0, np.cumsum(gaps))[:, None]
    node = np.rint(PER_SD * place).astype(int) + np.arange(2 * REACH * PER_SD + 1)
    noise = node / PER_SD - REACH - place
    r = np.exp(-0.5 * noise * noise)
    total, first = (np.bincount(node.ravel(), part.ravel()) for part in (r, r * noise))
    mean = first / np.where(total > 0, total, 1)  # 0 between points that do not meet
    off = noise - mean[node]
    return (r * off * off).sum() / (PER_SD * np.sqrt(2 * np.pi))
