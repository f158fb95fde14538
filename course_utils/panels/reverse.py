"""The reverse panel: from noise back to galaxies with the exact score, and how far from the truth.

The model is ideal: the galaxies, each widened to a Gaussian of the kernel's width, diffused
exactly. What errors remain are those of the steps, of stopping early, and of chance.
"""

from functools import cache, lru_cache

import numpy as np
from scipy.special import ndtr

from course_utils.datasets import galaxies, galaxy_velocities, km_per_s, velocity_scale
from course_utils.distances import wasserstein_to_density
from course_utils.forward import coarsen
from course_utils.samplers import ddim_coefficients
from course_utils.schedules import LOG_SNR_MIN, alpha, sigma
from course_utils.widgets import figures
from course_utils.widgets.controls import choice, slider
from course_utils.widgets.panel import Panel, snapshot

ALT = (
    "Two plots. Left: 50 of 400 paths of the sampler over log-SNR, from pure noise at the left to "
    "λ_max at the dotted line, on a grey map of the exact density at every level. Right: the "
    "histogram of the 400 samples z/α in velocity, the exact share of each bin as a black line, "
    "and the 82 galaxies as ticks below."
)
N_PARTICLES, N_PATHS = 400, 50
MOST_STEPS = 96
STEPS = [n for n in range(2, MOST_STEPS + 1) if MOST_STEPS % n == 0]
HIGHEST = 12.0  # the largest λ_max
EDGES = np.linspace(5, 38, 111)  # bins of the histogram, 1000 km/s
MAP_LEVELS, MAP_POINTS = np.linspace(LOG_SNR_MIN, HIGHEST, 89), np.linspace(-3.6, 3.6, 181)


def panel(**start):
    """Return the live panel; ``start`` sets controls, such as eta=1.0 or steps=8."""
    figure, update = _drawing()
    controls = {
        "eta": slider("stochasticity η (0: DDIM, 1: ancestral)", 0.0, 1.0, 0.05, 0.0),
        "steps": choice("steps", STEPS, 24, slide=True),
        "log_snr_max": slider("stop at λ_max", 0.0, HIGHEST, 0.5, 10.0),
        "width": slider("kernel width", 0, 1500, 50, 300, unit="km/s"),
        "seed": slider("new draws", 0, 30, 1, 0),
    }
    return Panel(
        figure,
        update,
        controls,
        alt=ALT,
        start=start,
        formats={
            "distance": "W1 to the exact law: {:.3g} km/s",
            "floor": "noise floor, 400 exact draws on average: {:.3g} km/s",
            "nearest": "half of the samples lie within {:.3g} km/s of a galaxy",
            "exact_nearest": "half of the exact law within {:.3g} km/s",
            "blur": "blur left at λ_max: {:.3g} km/s",
        },
        presets={
            "DDIM, few steps": {"eta": 0.0, "steps": 6, "log_snr_max": 10.0, "width": 300},
            "ancestral, few steps": {"eta": 1.0, "steps": 6, "log_snr_max": 10.0, "width": 300},
            "memory: width 0": {"eta": 0.0, "steps": 96, "log_snr_max": 12.0, "width": 0},
        },
    )


def picture(**values):
    """Return the panel's picture at the given values of its controls, as a PIL image."""
    return snapshot(panel(), **values)


def compute(eta, steps, log_snr_max, width, seed):
    """Return the numbers in the panel's text, the samples in km/s [400], and levels and paths.

    The paths are z [steps + 1, 400] at the levels [steps + 1]. One seed means one start and one
    Brownian path a particle, whatever the other controls: a movement changes the picture by what
    it changes in the sampler, not by chance.
    """
    levels = np.linspace(LOG_SNR_MIN, log_snr_max, steps + 1)
    start, increments = _draws(seed)
    noise = coarsen(increments, MOST_STEPS // steps)
    noise = noise / np.sqrt(MOST_STEPS // steps)
    coefficients = np.stack(ddim_coefficients(levels[:-1], levels[1:], eta), axis=1)
    paths = np.empty((steps + 1, N_PARTICLES))
    paths[0] = start
    for i, (keep, eps_hat, spread) in enumerate(coefficients.tolist()):
        eps = ideal_eps(paths[i], levels[i], width)
        paths[i + 1] = keep * paths[i] + eps_hat * eps + spread * noise[i]
    samples = paths[-1] / alpha(log_snr_max)
    x, density, floor, exact_nearest = _truth(log_snr_max, width)
    scale = velocity_scale()
    results = {
        "distance": scale * wasserstein_to_density(samples, density, x),
        "floor": floor,
        "nearest": float(np.median(distance_to_nearest(samples))),
        "exact_nearest": exact_nearest,
        "blur": float(km_per_s(log_snr_max)),
    }
    return results, scale * samples + galaxy_velocities().mean(), levels, paths


def ideal_eps(z, log_snr, width):
    """Return E[ε|z] for z [n] at one level: ``GaussianMixture.eps`` for kernels of one width.

    The galaxies, each a Gaussian of standard deviation ``width`` km/s. One kernel for all lets
    every weight and normaliser cancel, which is six times faster.
    """
    a, s = alpha(log_snr), sigma(log_snr)
    spread = (a * width / velocity_scale()) ** 2 + s**2
    points, sums = _points()
    r = np.subtract.outer(a * points, z)
    r *= r
    r *= -0.5 / spread
    r -= r.max(axis=0)
    np.exp(r, out=r)
    weighted, total = sums @ r
    return s * (z - a * weighted / total) / spread


def distance_to_nearest(samples):
    """Return the distance in km/s of samples [n], in units of the data, to the nearest galaxy."""
    points, _ = _points()
    above = np.clip(np.searchsorted(points, samples), 1, len(points) - 1)
    nearest = np.minimum(np.abs(samples - points[above - 1]), np.abs(samples - points[above]))
    return velocity_scale() * nearest


@cache
def _points():
    points = np.sort(galaxies()[:, 0])
    return points, np.stack([points, np.ones_like(points)])


@lru_cache(maxsize=8)  # 0.3 MB each
def _draws(seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(N_PARTICLES), rng.standard_normal((MOST_STEPS, N_PARTICLES))


@lru_cache(maxsize=32)  # 0.13 MB each, and 775 settings
def _truth(log_snr_max, width):
    """The exact law of z/α at λ_max: grid, density, floor of W1, median distance to a galaxy."""
    points, _ = _points()
    bandwidth = _bandwidth(log_snr_max, width)
    x = np.linspace(points[0] - 6 * bandwidth, points[-1] + 6 * bandwidth, 8001)
    density = _smoothed(points, bandwidth, x)
    below = np.cumsum(density) / density.sum()
    # the mean of |F_n − F| at each x, for large n: a normal variable of variance F(1 − F)/n
    gap = np.sqrt(2 * below * (1 - below).clip(0) / (np.pi * N_PARTICLES))
    floor = velocity_scale() * float(np.trapezoid(gap, x))
    near = distance_to_nearest(x)
    order = np.argsort(near)
    mass = np.cumsum(density[order])
    return x, density, floor, float(near[order][np.searchsorted(mass, mass[-1] / 2)])


def _bandwidth(log_snr, width):
    """What a kernel of ``width`` km/s has become in z/α at a level, in units of the data."""
    return np.sqrt((width / velocity_scale()) ** 2 + np.exp(-log_snr))


def _smoothed(points, bandwidth, x):
    squared = np.subtract.outer(x, points)
    squared *= squared
    squared *= -0.5 / bandwidth**2
    np.exp(squared, out=squared)
    return squared.sum(axis=1) / (len(points) * bandwidth * np.sqrt(2 * np.pi))


@cache
def _shares(log_snr_max, width):
    """The exact law's share of each bin, divided by the bin's width."""
    points = galaxy_velocities() / 1000
    bandwidth = _bandwidth(log_snr_max, width) * velocity_scale() / 1000
    below = ndtr(np.subtract.outer(EDGES, points) / bandwidth).mean(axis=1)
    return np.diff(below) / np.diff(EDGES)


@cache
def _map(width):
    """The exact density of z over (z, λ) in bytes [181, 89], 255 for none, by column's peak."""
    points, _ = _points()
    pixel = MAP_POINTS[1] - MAP_POINTS[0]  # drawn no sharper than a pixel
    columns = []
    for level in MAP_LEVELS:
        a = alpha(level)
        bandwidth = np.hypot(a * _bandwidth(level, width), pixel)
        columns.append(_smoothed(a * points, bandwidth, MAP_POINTS))
    darkness = np.stack([column / column.max() for column in columns], axis=1)
    return np.uint8(255 - 135 * darkness)[..., None].repeat(3, axis=2)


def _drawing():
    figure, (of_paths, of_samples) = figures.new_figure(
        1, 2, size=(9.4, 4.2), width_ratios=[1.25, 1]
    )
    figures.title(of_paths, "paths towards the data, on the exact density")
    density = figures.Pixels(of_paths)
    paths = figures.line(of_paths, [], [], "model", moving=True, linewidth=0.8, alpha=0.75)
    stop = of_paths.axvline(10, color="black", ls=":", lw=1.2, animated=True)
    figures.level_axis(of_paths, LOG_SNR_MIN, HIGHEST)
    of_paths.set(ylim=(-3.6, 3.6), ylabel="latent z")

    figures.title(of_samples, "400 samples and the exact law")
    histogram = of_samples.stairs(
        np.zeros(len(EDGES) - 1),
        EDGES,
        fill=True,
        color=figures.COLOURS["model"],
        alpha=0.8,
        label="samples",
        animated=True,
    )
    exact = of_samples.stairs(
        np.zeros(len(EDGES) - 1),
        EDGES,
        color=figures.COLOURS["exact"],
        lw=1.1,
        label="exact",
        baseline=None,
        animated=True,
    )
    velocities = galaxy_velocities() / 1000
    ticks = of_samples.plot(
        velocities,
        np.full(len(velocities), 0.035),
        "|",
        zorder=5,
        color=figures.COLOURS["data"],
        ms=8,
        mew=0.9,
        transform=of_samples.get_xaxis_transform(),
        label="galaxies",
    )
    of_samples.set(xlim=(EDGES[0], EDGES[-1]), xlabel="velocity z/α, 1000 km/s")
    of_samples.set(ylabel="share per 1000 km/s", ylim=(-0.03, 0.3))  # the widest ticks
    of_samples.legend(handles=[histogram, exact, *ticks], loc="upper right")
    figures.freeze_layout(figure)

    def update(**values):
        results, samples, levels, states = compute(**values)
        settings = values["log_snr_max"], values["width"]
        density.set(_map(values["width"]))
        gap = np.full((1, N_PATHS), np.nan)
        heights = np.concatenate([states[:, :N_PATHS], gap]).T.ravel()
        paths.set_data(np.tile(np.append(levels, np.nan), N_PATHS), heights)
        stop.set_xdata([values["log_snr_max"]] * 2)
        counts = np.histogram(samples / 1000, EDGES)[0]
        found = counts / (N_PARTICLES * np.diff(EDGES))
        shares = _shares(*settings)
        histogram.set_data(found)
        exact.set_data(shares)
        # Few limits, and seldom chance's: each change costs the drawing of the axes.
        top = max(1.55 * shares.max(), 1.05 * found.max())
        top = figures.snapped_limit(top, (1, 1.5, 2, 2.5, 3, 4, 5, 7, 10))
        limits = (-0.08 * top, top)
        if of_samples.get_ylim() != limits:
            of_samples.set_ylim(limits)
        return results

    return figure, update
