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
BLOCK = 192  # points at a time, so few that their memory is not given back after each
SMALLEST = -80  # exponents below are cut off: of numbers too small for float32


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
    """Return ``GaussianMixture.eps`` to seven digits, faster, for z and levels of any shape.

    The data are the galaxies, each a Gaussian of standard deviation ``width`` km/s:
    log p(x|z) = a z x/sd² − a² x²/2sd² + what does not depend on x.
    """
    x, kernel = points(), width / velocity_scale()
    powers, halfway = np.stack([x, -(x**2) / 2, np.ones_like(x)], axis=1), (x[1:] + x[:-1]) / 2

    def eps(z, log_snr):
        a, s = alpha(log_snr), sigma(log_snr)
        variance = (a * kernel) ** 2 + s**2
        slope = a / variance * z
        bend = np.full_like(slope, a**2 / variance)
        nearest = x[np.searchsorted(halfway, z / a)]  # has the largest power, which becomes 0
        parts = np.stack([slope, bend, nearest * (nearest * bend / 2 - slope)]).reshape(3, -1)
        means = []
        for k in range(0, slope.size, BLOCK):
            log = np.maximum(powers @ parts[:, k : k + BLOCK], SMALLEST, dtype=np.float32)
            share = np.exp(log).astype(float)  # to seven digits, for a third of the time
            means.append(x @ share / share.sum(axis=0))
        mean = np.concatenate(means).reshape(slope.shape)
        return s * (z - a * mean) / variance

    return eps


def noise_error(data, log_snr):
    """Return e(λ) = 1 − E E[ε|z]² at levels [n], for x drawn evenly from ``data`` [m].

    Given z, E[ε|z] = Σ r_k n_k/Σ r_k with n_k = (z − x_k)/b, blur b = e^{−λ/2}, r_k = e^{−n_k²/2}.
    Only points within REACH·b of z count: ``elbo.ErrorCurve`` does without that, and is slower.
    """
    x, blur = np.sort(np.asarray(data, dtype=float)), np.exp(-np.asarray(log_snr) / 2)
    gaps = np.minimum(np.diff(x) / blur[:, None], 2 * REACH)  # beyond that they do not meet at all
    place = np.cumsum(np.insert(gaps, 0, 0, axis=1), axis=1)
    node = np.rint(PER_SD * place)
    rows = zip(node.astype(int)[..., None], (node / PER_SD - place)[..., None], strict=True)
    return 1 - np.array([_known(*row) for row in rows]) / len(x)


def _known(node, off):
    """E[ε|z]², summed over the points: a trapezoid rule over z, in units of b.

    ``node`` [m, 1] is the one nearest to each point, and ``off`` what it lies above the point.
    """
    reach = np.arange(-REACH * PER_SD, REACH * PER_SD + 1)
    noise = off + reach / PER_SD
    r = np.exp(-0.5 * noise * noise)
    node = (node + (reach - reach[0])).ravel()
    total, first = (np.bincount(node, part.ravel()) for part in (r, r * noise))
    return (first**2 / total).sum() / (PER_SD * np.sqrt(2 * np.pi))
