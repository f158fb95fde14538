"""The reverse panel: from noise back to galaxies with the exact score, and how far from the truth.

The model is ideal: the galaxies, each widened to a Gaussian of the kernel's width, diffused
exactly. What errors remain are those of the steps, of stopping early, and of chance.
"""

from functools import cache, lru_cache, partial
from types import SimpleNamespace

import numpy as np

from course_utils._checks import frozen
from course_utils.datasets import galaxy_velocities, km_per_s, velocity_scale
from course_utils.distances import wasserstein_to_density
from course_utils.forward import coarsen
from course_utils.panels._galaxies import density, ideal_eps, mass_below, points, velocity
from course_utils.panels._view import over_levels, view
from course_utils.samplers import ddim_step, sample_states
from course_utils.schedules import LOG_SNR_MIN, alpha
from course_utils.widgets.controls import Dice, Slider, choice
from course_utils.widgets.scene import Axis, Bars, Handle, Heat, Line, Plot, Points, Rule, Scene

ALT = """Three plots. Left: 50 of 400 paths of the sampler over log-SNR, three of them bold, from
pure noise at the left to λ_max at the line, on a grey map of the exact density at every level.
Middle, sideways and at the same heights: where the 400 samples end, as a histogram of the velocity
z/α, the exact share of each bin as an outline, and the 82 galaxies as dots. Right: a bar for the
distance W1 between samples and exact law, and the noise floor that 400 exact draws would have on
average."""
N_PARTICLES, N_PATHS = 400, 50
BOLD = (5, 25, 44)  # which of the 50, counted from the lowest start
MOST_STEPS = 96
STEPS = [n for n in range(2, MOST_STEPS + 1) if MOST_STEPS % n == 0]
HIGHEST = 12.0  # the largest λ_max
REACH = 3.6  # z is shown from −REACH to REACH
EDGES = np.linspace(-REACH, REACH, 121)  # bins of the histogram of z
# the middles of the map's cells
MAP_LEVELS = LOG_SNR_MIN + (HIGHEST - LOG_SNR_MIN) * (np.arange(88) + 0.5) / 88
MAP_POINTS = REACH * (2 * (np.arange(180) + 0.5) / 180 - 1)
CONTROLS = {
    "eta": Slider("η (0: DDIM, 1: ancestral)", 0.0, 1.0, 0.05, 0.0, play=True),
    "steps": choice("steps", STEPS, 24, slide=True),
    "log_snr_max": Slider("stop at λ_max", 0.0, HIGHEST, 0.5, 10.0, play=True),
    "width": Slider("kernel width", 0, 1500, 50, 300, unit="km/s"),
    "seed": Dice("new draws"),
}


def compute(eta, steps, log_snr_max, width, seed):
    """Return the numbers, the paths z [steps + 1, 400] at ``levels``, the samples, and the map.

    ``found`` and ``shares`` are what the bins between ``EDGES`` have of the samples and of the
    exact law, in percent. One seed means one start and one Brownian path a particle, whatever the
    other controls: a movement changes the picture by what it changes in the sampler.
    """
    levels = np.linspace(LOG_SNR_MIN, log_snr_max, steps + 1)
    start, increments = _draws(seed)
    part = MOST_STEPS // steps
    noise = iter(coarsen(increments, part) / np.sqrt(part))
    stored = SimpleNamespace(standard_normal=lambda shape: next(noise))
    step = partial(ddim_step, eta=eta)
    paths = np.array([*sample_states(ideal_eps(width), levels, start, step, stored)])
    samples = paths[-1] / alpha(log_snr_max)
    x, exact, shares, floor, exact_nearest = _truth(log_snr_max, width)
    # W1 needs no finer grid: it is the same to 0.1 km/s
    thin = int(np.clip(_bandwidth(log_snr_max, width) / (x[1] - x[0]) / 16, 1, 8))
    numbers = {
        "distance": velocity_scale() * wasserstein_to_density(samples, exact[::thin], x[::thin]),
        "floor": floor,
        "nearest": float(np.median(distance_to_nearest(samples))),
        "exact_nearest": exact_nearest,
        "blur": float(km_per_s(log_snr_max)),
    }
    edges = velocity(EDGES / alpha(log_snr_max))
    arrays = {
        "levels": levels,
        "paths": paths,
        "bold": paths[:, np.argsort(start[:N_PATHS])[[*BOLD]]],
        "faint": paths[:, :N_PATHS],
        "edges": edges,
        "lowest": edges[0],
        "highest": edges[-1],
        "found": 100 / N_PARTICLES * np.histogram(paths[-1], EDGES)[0],
        "shares": shares,
        "darkness": _map(width),
    }
    return numbers, arrays


def distance_to_nearest(samples):
    """Return the distance in km/s of samples [n], in units of the data, to the nearest galaxy."""
    above = np.clip(np.searchsorted(points(), samples), 1, len(points()) - 1)
    return velocity_scale() * np.abs(samples - points()[[above - 1, above]]).min(axis=0)


@lru_cache(maxsize=8)
def _draws(seed):
    rng = np.random.default_rng(seed)
    start = rng.standard_normal(N_PARTICLES)
    return frozen(start), frozen(rng.standard_normal((MOST_STEPS, N_PARTICLES)))


def _bandwidth(log_snr, width):
    """What a kernel of ``width`` km/s has become in z/α at a level, in units of the data."""
    return np.sqrt((width / velocity_scale()) ** 2 + np.exp(-log_snr))


@lru_cache(maxsize=32)
def _truth(log_snr_max, width):
    """The exact law of z/α at λ_max: grid and density, what each bin has of it, in percent, the
    floor of W1, and the median distance to a galaxy.
    """
    a, bandwidth = alpha(log_snr_max), _bandwidth(log_snr_max, width)
    shares = 100 * np.diff(mass_below(EDGES, a * points(), a * bandwidth))
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
    return frozen(x), frozen(exact), frozen(shares), floor, median


@cache
def _map(width):
    """The exact density of z over (z, λ), [180, 88], divided by the peak at each level."""
    pixel = MAP_POINTS[1] - MAP_POINTS[0]  # drawn no sharper than a pixel
    columns = []
    for level in MAP_LEVELS:
        a = alpha(level)
        column = density(MAP_POINTS, a * points(), np.hypot(a * _bandwidth(level, width), pixel))
        columns.append(column / column.max())
    return frozen(np.transpose(columns))


def scene():
    """Return the scene: the paths on the map, where they end, and their error."""
    velocities = galaxy_velocities() / 1000
    paths = over_levels(
        "paths towards the data",
        Axis(-REACH, REACH, "latent z"),
        [
            Heat((LOG_SNR_MIN, HIGHEST), (-REACH, REACH), "darkness", meaning="noise", dense=2.2),
            Line("levels", "faint", meaning="model", width=0.8, alpha=0.3),
            Line("levels", "bold", meaning="model", width=1.8),
            Handle("log_snr_max", x="log_snr_max", grip="rule", meaning="exact"),
        ],
        width=1.6,
        span=(LOG_SNR_MIN, HIGHEST),
    )
    ends = Plot(
        "where they end",
        Axis(-0.4, 10, "% of the samples in a bin", settle=True),
        Axis("lowest", "highest", "velocity z/α, 1000 km/s"),
        [
            Bars("edges", "found", sideways=True, meaning="model", label="400 samples"),
            Bars("edges", "shares", sideways=True, outline=True, meaning="exact", label="exact"),
            Points(np.full(len(velocities), -0.2), velocities, size=2.5, label="galaxies"),
        ],
        width=1.2,
    )
    error = Plot(
        "error W1, km/s",
        Axis(0, 1, ticks=()),
        Axis(0, 2200),
        [
            Bars((0.2, 0.8), ("distance",), meaning="model"),
            Rule("floor", along="y", meaning="exact", dash="dash", label="noise floor"),
        ],
        width=0.7,
    )
    return Scene([[paths, ends, error]], height=330, alt=ALT)


FEW = {"steps": 6, "log_snr_max": 10.0, "width": 300}
panel, picture = view(
    CONTROLS,
    compute,
    scene,
    formats={
        "distance": "W1 to the exact law: {:,.0f} km/s",
        "floor": "noise floor, 400 exact draws on average: {:,.0f} km/s",
        "nearest": "half of the samples lie within {:,.1f} km/s of a galaxy",
        "exact_nearest": "half of the exact law within {:,.1f} km/s",
        "blur": "blur left at λ_max: {:,.0f} km/s",
    },
    headline="error W1 {distance:,.0f} km/s, noise floor {floor:,.0f}",
    shown=("nearest", "exact_nearest", "blur"),
    presets={
        "DDIM, few steps": {"eta": 0.0, **FEW},
        "ancestral, few steps": {"eta": 1.0, **FEW},
        "memory: width 0": {"eta": 0.0, "steps": 96, "log_snr_max": 12.0, "width": 0},
    },
)
