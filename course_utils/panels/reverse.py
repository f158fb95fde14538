"""The reverse panel: from noise back to galaxies with the exact score, and how far from the truth.

The model is ideal: the galaxies, each widened to a Gaussian of the kernel's width, diffused
exactly. What errors remain are those of the steps, of stopping early, and of chance.
"""

from functools import cache, lru_cache, partial

import numpy as np

from course_utils._checks import frozen
from course_utils.datasets import galaxy_velocities, km_per_s, velocity_scale
from course_utils.distances import wasserstein_to_density
from course_utils.forward import coarsen
from course_utils.panels._galaxies import (
    Replay,
    bin_density,
    density,
    ideal_eps,
    mass_below,
    points,
    velocity,
)
from course_utils.panels._view import bars, moving_line, outline
from course_utils.panels._view import old_view as view
from course_utils.samplers import ddim_step, sample_states
from course_utils.schedules import LOG_SNR_MIN, alpha
from course_utils.widgets import figures
from course_utils.widgets.old_controls import choice, slider

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


def controls():
    """Return the panel's controls."""
    return {
        "eta": slider("stochasticity η (0: DDIM, 1: ancestral)", 0.0, 1.0, 0.05, 0.0),
        "steps": choice("steps", STEPS, 24, slide=True),
        "log_snr_max": slider("stop at λ_max", 0.0, HIGHEST, 0.5, 10.0),
        "width": slider("kernel width", 0, 1500, 50, 300, unit="km/s"),
        "seed": slider("new draws", 0, 30, 1, 0),
    }


def compute(eta, steps, log_snr_max, width, seed):
    """Return the numbers, the paths z [steps + 1, 400] at ``levels``, the samples, and the map.

    The samples are in 1000 km/s, with the exact share of each bin. One seed means one start and
    one Brownian path a particle, whatever the other controls: a movement changes the picture by
    what it changes in the sampler, not by chance.
    """
    levels = np.linspace(LOG_SNR_MIN, log_snr_max, steps + 1)
    start, increments = _draws(seed)
    part = MOST_STEPS // steps
    noise = Replay(coarsen(increments, part) / np.sqrt(part))
    step = partial(ddim_step, eta=eta)
    paths = np.array([*sample_states(ideal_eps(width), levels, start, step, noise)])
    samples = paths[-1] / alpha(log_snr_max)
    x, exact, floor, exact_nearest = _truth(log_snr_max, width)
    numbers = {
        "distance": velocity_scale() * wasserstein_to_density(samples, exact, x),
        "floor": floor,
        "nearest": float(np.median(distance_to_nearest(samples))),
        "exact_nearest": exact_nearest,
        "blur": float(km_per_s(log_snr_max)),
    }
    arrays = {
        "levels": levels,
        "paths": paths,
        "samples": velocity(samples),
        "shares": _shares(log_snr_max, width),
        "darkness": _map(width),
    }
    return numbers, arrays


def distance_to_nearest(samples):
    """Return the distance in km/s of samples [n], in units of the data, to the nearest galaxy."""
    above = np.clip(np.searchsorted(points(), samples), 1, len(points()) - 1)
    return velocity_scale() * np.abs(samples - points()[[above - 1, above]]).min(axis=0)


@lru_cache(maxsize=8)  # 0.3 MB each
def _draws(seed):
    rng = np.random.default_rng(seed)
    start = rng.standard_normal(N_PARTICLES)
    return frozen(start), frozen(rng.standard_normal((MOST_STEPS, N_PARTICLES)))


def _bandwidth(log_snr, width):
    """What a kernel of ``width`` km/s has become in z/α at a level, in units of the data."""
    return np.sqrt((width / velocity_scale()) ** 2 + np.exp(-log_snr))


@lru_cache(maxsize=32)  # 0.13 MB each, and 775 settings
def _truth(log_snr_max, width):
    """The exact law of z/α at λ_max: grid, density, floor of W1, median distance to a galaxy."""
    bandwidth = _bandwidth(log_snr_max, width)
    x = np.linspace(points()[0] - 6 * bandwidth, points()[-1] + 6 * bandwidth, 8001)
    exact = density(x, points(), bandwidth)
    below = np.cumsum(exact) / exact.sum()
    # the mean of |F_n − F| at each x, for large n: a normal variable of variance F(1 − F)/n
    gap = np.sqrt(2 * below * (1 - below).clip(0) / (np.pi * N_PARTICLES))
    floor = velocity_scale() * float(np.trapezoid(gap, x))
    near = distance_to_nearest(x)
    order = np.argsort(near)
    mass = np.cumsum(exact[order])
    median = float(near[order][np.searchsorted(mass, mass[-1] / 2)])
    return frozen(x), frozen(exact), floor, median


@cache
def _shares(log_snr_max, width):
    """The exact law's share of each bin, divided by the bin's width."""
    sd = _bandwidth(log_snr_max, width) * velocity_scale() / 1000
    return frozen(np.diff(mass_below(EDGES, velocity(points()), sd)) / np.diff(EDGES))


@cache
def _map(width):
    """The exact density of z over (z, λ), [181, 89], divided by the peak at each level."""
    pixel = MAP_POINTS[1] - MAP_POINTS[0]  # drawn no sharper than a pixel
    columns = []
    for level in MAP_LEVELS:
        a = alpha(level)
        column = density(MAP_POINTS, a * points(), np.hypot(a * _bandwidth(level, width), pixel))
        columns.append(column / column.max())
    return frozen(np.transpose(columns))


def drawing():
    """Return the figure, and the function that shows what was computed in it."""
    figure, (of_paths, of_samples) = figures.new_figure(
        1, 2, size=(9.4, 4.2), width_ratios=[1.25, 1]
    )
    figures.title(of_paths, "paths towards the data, on the exact density")
    grey = figures.Pixels(of_paths)
    lines = moving_line(of_paths, "model", lw=0.8, alpha=0.75)
    stop = of_paths.axvline(10, color="black", ls=":", lw=1.2, animated=True)
    figures.level_axis(of_paths, LOG_SNR_MIN, HIGHEST)
    of_paths.set(ylim=(-3.6, 3.6), ylabel="latent z")

    figures.title(of_samples, "400 samples and the exact law")
    histogram = bars(of_samples, EDGES, "model", alpha=0.8, label="samples")
    exact = outline(of_samples, EDGES, lw=1.1, label="exact")
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
    drawn = None

    def show(numbers, levels, paths, samples, shares, darkness):
        nonlocal drawn
        if darkness is not drawn:
            grey.set(np.uint8(255 - 135 * darkness)[..., None].repeat(3, axis=2))
            drawn = darkness
        gap = np.full((1, N_PATHS), np.nan)
        heights = np.concatenate([paths[:, :N_PATHS], gap]).T.ravel()
        lines.set_data(np.tile(np.append(levels, np.nan), N_PATHS), heights)
        stop.set_xdata([levels[-1]] * 2)
        found = bin_density(samples, EDGES)
        histogram.set_data(found)
        exact.set_data(shares)
        # Few limits, and seldom chance's: each change costs the drawing of the axes.
        top = max(1.55 * shares.max(), 1.05 * found.max())
        top = figures.snapped_limit(top, (1, 1.5, 2, 2.5, 3, 4, 5, 7, 10))
        figures.set_limits(of_samples, y=(-0.08 * top, top))

    return figure, show


FEW = {"steps": 6, "log_snr_max": 10.0, "width": 300}
panel, picture = view(
    controls,
    compute,
    drawing,
    alt=ALT,
    formats={
        "distance": "W1 to the exact law: {:.3g} km/s",
        "floor": "noise floor, 400 exact draws on average: {:.3g} km/s",
        "nearest": "half of the samples lie within {:.3g} km/s of a galaxy",
        "exact_nearest": "half of the exact law within {:.3g} km/s",
        "blur": "blur left at λ_max: {:.3g} km/s",
    },
    presets={
        "DDIM, few steps": {"eta": 0.0, **FEW},
        "ancestral, few steps": {"eta": 1.0, **FEW},
        "memory: width 0": {"eta": 0.0, "steps": 96, "log_snr_max": 12.0, "width": 0},
    },
)
