"""The half-a-nat panel: spend a fixed excess of ELBO at any level, and look at the samples.

The model is the galaxies' own ideal denoiser, spoilt in one band of levels by a constant:
ε̂ = ε* + δ(λ). Since ε* errs symmetrically, E‖ε − ε̂‖² = e + δ², and the ELBO is worse by ½ ∫ δ² dλ,
the same wherever the band lies. What the samples make of it depends on the band and the sampler.

Two computations, apart from one another. ``compute`` runs a sampler of ``STEPS`` steps and 2000
particles for any η. ``curve`` follows the law itself for the ancestral sampler and for DDIM: before
the band it is the exact one; behind the band the ancestral sampler, with infinitely many steps,
draws from the posterior p(x|z), and DDIM carries each z along by the share of mass below it.
"""

from functools import cache, lru_cache

import numpy as np
from scipy.fft import idct
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from course_utils.datasets import galaxies, galaxy_velocities, velocity_scale
from course_utils.distances import noise_floor, wasserstein
from course_utils.elbo import step_kl
from course_utils.panels._galaxies import error_curve
from course_utils.samplers import ddim_coefficients
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, alpha, sigma
from course_utils.widgets import figures
from course_utils.widgets.controls import slider
from course_utils.widgets.panel import Panel, snapshot

ALT = (
    "Three plots. Left: the least error of the noise prediction over log-SNR, black, and hatched "
    "on top of it the excess that was placed there. Middle: the histogram of 2000 samples of the "
    "spoilt model, orange, on the velocities of the 82 galaxies, black. Right: the Wasserstein "
    "distance of the samples from the galaxies if the same excess is placed at each level, for "
    "the ancestral sampler (solid) and for DDIM (dashed), followed as laws; the dot is the sampler "
    "of the middle, the grey band what 2000 real samples would have."
)
SPAN = (LOG_SNR_MIN, LOG_SNR_MAX)
STEPS, N_PARTICLES = 200, 2000
LEVELS = np.linspace(*SPAN, STEPS + 1)
N_POINTS = 512  # points of low discrepancy that stand for the law and the noise of the curve
CENTRES = np.linspace(-9.75, 9.75, 27)
REACH = 6.0  # latents up to here are tabulated
EDGES = np.linspace(5, 37, 97)  # bins of the histogram, 1000 km/s


def panel(**start):
    """Return the live panel; ``start`` sets controls, such as level=-9.0 or eta=0.0."""
    figure, update = _drawing()
    controls = {
        "level": slider("level λ of the excess", -9.5, 9.5, 0.1, 0.0),
        "width": slider("width of its band in λ", 0.5, 4.0, 0.5, 1.0),
        "amount": slider("excess ELBO", 0.0, 1.0, 0.025, 0.5, unit="nats"),
        "eta": slider("stochasticity η (0: DDIM, 1: ancestral)", 0.0, 1.0, 0.05, 1.0),
        "seed": slider("new draws", 0, 30, 1, 0),
    }
    half = {"width": 1.0, "amount": 0.5}
    return Panel(
        figure,
        update,
        controls,
        alt=ALT,
        start=start,
        formats={
            "excess": "excess ELBO {:.3f} nats",
            "distance": "W1 of these samples {:.3f} standard deviations",
            "without": "without the excess {:.3f}",
            "floor": "floor {:.3f}",
            "spread": "± {:.3f}",
            "ancestral": "the law followed through: ancestral {:.2g}",
            "ddim": "DDIM {:.2g}",
        },
        presets={
            "half a nat early, ancestral": {**half, "level": -8.0, "eta": 1.0},
            "half a nat early, DDIM": {**half, "level": -8.0, "eta": 0.0},
            "half a nat in the middle": {**half, "level": 0.0, "eta": 1.0},
            "half a nat late": {**half, "level": 8.0, "eta": 1.0},
            "T5, model A": {"level": -3.3, "width": 1.0, "amount": 0.5, "eta": 1.0},
            "T5, model B": {"level": -7.5, "width": 1.0, "amount": 0.525, "eta": 1.0},
        },
    )


def picture(**values):
    """Return the panel's picture at the given values of its controls, as a PIL image."""
    return snapshot(panel(), **values)


def excess(level, width, amount):
    """Return δ² on each of the ``STEPS`` cells of levels; together they cost ``amount`` nats.

    What one step costs is T7's ½ (e^Δ − 1) δ², exactly, which is ½ δ² Δ for small steps Δ. The band
    covers whole cells: ``band`` says which levels it really has.
    """
    first, last = _cells(level, width)
    covered = np.zeros(STEPS)
    covered[first:last] = 1.0
    return amount * covered / step_kl(covered, LEVELS[:-1], LEVELS[1:]).sum()


def band(level, width):
    """Return the ends of the band nearest to ``level`` ± ``width``/2 that covers whole cells."""
    first, last = _cells(level, width)
    return float(LEVELS[first]), float(LEVELS[last])


def _cells(level, width):
    step = LEVELS[1] - LEVELS[0]
    n = round(width / step)
    first = round((level - width / 2 - LEVELS[0]) / step + 1e-6)  # halves go one way
    first = min(max(first, 0), STEPS - n)
    return first, first + n


def compute(level, width, amount, eta, seed):
    """Return the numbers in the panel's text, the samples z/α in standard deviations, and δ².

    All movements share their random numbers: the start and the noise of each step.
    """
    squared = excess(level, width, amount)
    x = _points()
    samples = _sampled(squared, eta, seed)
    at_level = [float(distance) for distance in curve(width, amount, (level,))[:, 0]]
    floor = _floor()
    results = {
        "excess": float(step_kl(squared, LEVELS[:-1], LEVELS[1:]).sum()),
        "distance": wasserstein(samples, x),
        "without": wasserstein(_states(eta, seed)[-1] / alpha(LEVELS[-1]), x),
        "floor": floor.mean,
        "spread": floor.spread,
        "ancestral": at_level[0],
        "ddim": at_level[1],
    }
    return results, samples, squared


def _sampled(squared, eta, seed):
    """The sampler's last latents over α; up to the band they are those without any excess."""
    first = np.flatnonzero(squared)[0] if squared.any() else STEPS
    z = _states(eta, seed)[first]
    for i in range(first, STEPS):
        z = _stepped(z, i, eta, seed, np.sqrt(squared[i]))
    return z / alpha(LEVELS[-1])


@lru_cache(maxsize=4)
def _states(eta, seed):
    """All latents of the sampler without an excess, [STEPS + 1, N_PARTICLES]."""
    states = np.empty((STEPS + 1, N_PARTICLES))
    states[0] = _normals(seed)[0]
    for i in range(STEPS):
        states[i + 1] = _stepped(states[i], i, eta, seed, 0.0)
    return states


def _stepped(z, i, eta, seed, delta):
    keep, eps_hat, noise = _coefficients(eta)[i]
    z_next = keep * z + eps_hat * (_ideal_eps(z, i) + delta)
    if noise:
        z_next += noise * _normals(seed)[1 + i]
    return z_next


@lru_cache(maxsize=32)
def _coefficients(eta):
    return np.stack(ddim_coefficients(LEVELS[:-1], LEVELS[1:], eta), axis=1).tolist()


@lru_cache(maxsize=2)
def _normals(seed):
    return np.random.default_rng(seed).standard_normal((STEPS + 1, N_PARTICLES))


def _ideal_eps(z, i):
    """E[ε|z] at the i-th level, between tabulated values; z of any shape."""
    start, scale, table = _tables()[i]
    place = np.clip((z - start) * scale, 0, len(table) - 1.001)
    cell = place.astype(np.intp)
    place -= cell
    low = table[cell]
    return low + place * (table[cell + 1] - low)


@cache
def _tables():
    """(first z, cells a unit of z, ε̂ at the grid) of every level, spaced by a part of σ."""
    x, tables = _points(), []
    for level in LEVELS[:-1].tolist():
        a, s = alpha(level), sigma(level)
        n = int(np.ceil(2 * REACH / (s / 12))) + 1
        z = np.linspace(-REACH, REACH, n)
        means = a * x
        table = np.empty(n)
        for part in np.array_split(np.arange(n), max(1, n // 500)):
            here = z[part]
            near = np.abs(means - here[:, None]).min(axis=1).max() + 9 * s
            # galaxies 9 σ further away than the nearest do not count
            kept = means[(means > here[0] - near) & (means < here[-1] + near)]
            power = -0.5 * (np.subtract.outer(here, kept) / s) ** 2
            power -= power.max(axis=1, keepdims=True)
            np.exp(power, out=power)
            table[part] = (here - power @ kept / power.sum(axis=1)) / s
        tables.append((-REACH, (n - 1) / (2 * REACH), table))
    return tables


@lru_cache(maxsize=256)
def curve(width, amount, centres=tuple(CENTRES)):
    """Return W1 to the galaxies with the excess at each centre, [2, n]: ancestral, DDIM.

    No chance is in it, and no step outside the band; ``N_POINTS`` points stand for the law.
    """
    found = np.zeros((2, len(centres)))
    coefficients = _both_coefficients()
    start, noise = _low_discrepancy(np.diff(_cells(0.0, width)).item())
    for j, centre in enumerate(centres):
        squared = excess(centre, width, amount)
        first, last = _cells(centre, width)
        z = _quantiles(first, start)  # a row each for the two samplers
        for i, delta in enumerate(np.sqrt(squared[first:last]), first):
            keep, eps_hat, spread = coefficients[i]
            z = keep * z + eps_hat * (_ideal_eps(z, i) + delta) + spread * noise[i - first]
        found[:, j] = _posterior_distance(z[0], last), _transported_distance(z[1], last)
    return found


@cache
def _both_coefficients():
    """The steps of the ancestral sampler and of DDIM as two rows, [STEPS, 3, 2, 1]."""
    return np.array([_coefficients(1.0), _coefficients(0.0)]).transpose(1, 2, 0)[..., None]


def _quantiles(i, shares):
    """The latents of the exact law at the i-th level below which the given shares lie, [1, n]."""
    z, below = _shares_below(i)
    return np.interp(shares, below, z)[None]


@lru_cache(maxsize=STEPS + 1)
def _shares_below(i):
    """A grid of latents at the i-th level and the exact share of mass below each."""
    a, s = alpha(LEVELS[i]), sigma(LEVELS[i])
    means = a * _points()
    z = np.unique(np.concatenate([np.linspace(-6, 6, 241), *(means + c * s for c in OFFSETS)]))
    return z, ndtr(np.subtract.outer(z, means) / s).mean(axis=1)


OFFSETS = np.linspace(-4, 4, 17)


@cache
def _low_discrepancy(steps):
    """Shares [n] for the start, and noise [steps, n], that fill their space evenly.

    Sobol points; the first coordinates go to the start and to the slow waves of the noise, on
    which the end depends most. W1 is then known to 0.01, and far from λ = 0 much better.
    """
    points = qmc.Sobol(steps + 1, seed=0).random(N_POINTS)
    return points[:, 0], idct(ndtri(points[:, 1:]), norm="ortho", axis=1).T


def _posterior_distance(z, i):
    """W1 between the galaxies and draws from p(x|z) of the latents z at the i-th level."""
    x = _points()
    below = np.cumsum(posterior_shares(z, i)) - np.arange(1, len(x) + 1) / len(x)
    return float(np.sum(np.abs(below[:-1]) * np.diff(x)))


def posterior_shares(z, i):
    """Return how often each galaxy, sorted, is drawn from p(x|z) of latents z [n] at level i."""
    power = np.subtract.outer(alpha(LEVELS[i]) * _points(), z)
    power *= power
    power *= -0.5 / sigma(LEVELS[i]) ** 2
    power -= power.max(axis=0)
    np.exp(power, out=power)
    return power @ (1 / power.sum(axis=0)) / len(z)


def _transported_distance(z, i):
    """W1 between the galaxies and the ends of the flow from the latents z at the i-th level."""
    x, shares = _points(), np.interp(z, *_shares_below(i))
    ends = x[np.minimum((shares * len(x)).astype(int), len(x) - 1)]
    return wasserstein(ends, x)


@cache
def _points():
    return np.sort(galaxies()[:, 0])


@cache
def _floor():
    x = _points()
    return noise_floor(
        lambda n, rng: rng.choice(x, n),
        N_PARTICLES,
        np.random.default_rng(0),
        distance=lambda sample, _: wasserstein(sample, x),
    )


def _drawing():
    figure, (of_error, of_samples, of_distance) = figures.new_figure(
        1, 3, size=(9.4, 3.5), width_ratios=[1, 1, 1.1]
    )
    figures.level_axis(of_error, *SPAN)
    figures.title(of_error, "error e(λ), and the excess")
    of_error.set(ylim=(0, 3))
    levels = (LEVELS[1:] + LEVELS[:-1]) / 2
    least = error_curve().at(levels)[0]
    added = of_error.fill_between(
        [0, 0],
        0,
        0,
        facecolor="#F4C2A5",
        edgecolor=figures.COLOURS["negative"],
        hatch="////",
        lw=1.0,
        label="excess",
        animated=True,
    )
    ideal = figures.line(of_error, levels, least, "exact", label="least", moving=True)
    of_error.legend(handles=[ideal, added], loc="upper left")

    figures.title(of_samples, f"{N_PARTICLES} samples, and the galaxies")
    histogram = of_samples.stairs(
        np.zeros(len(EDGES) - 1),
        EDGES,
        fill=True,
        color=figures.COLOURS["model"],
        alpha=0.8,
        animated=True,
    )
    velocities = galaxy_velocities() / 1000
    shares = np.histogram(velocities, EDGES)[0] / len(velocities) / np.diff(EDGES)
    galaxies_line = of_samples.stairs(
        shares, EDGES, color=figures.COLOURS["exact"], lw=0.9, baseline=None, animated=True
    )
    of_samples.set(xlim=(EDGES[0], EDGES[-1]), ylim=(0, 0.55), yticks=[])
    of_samples.set(xlabel="velocity, 1000 km/s")
    of_samples.legend([histogram, galaxies_line], ["samples", "galaxies"])

    figures.level_axis(of_distance, *SPAN)
    figures.title(of_distance, "W1 if it is spent at λ instead")
    of_distance.set(ylim=(0, 0.7), ylabel="W1, standard deviations")
    floor = _floor()
    of_distance.axhspan(
        max(0, floor.mean - floor.spread), floor.mean + floor.spread, color="#D0D0D0", lw=0
    )
    ancestral = figures.line(of_distance, [], [], "model", label="ancestral", moving=True)
    ddim = figures.line(of_distance, [], [], "data", label="DDIM", moving=True, linestyle="--")
    dot = of_distance.plot(
        [0], [0], "o", color=figures.COLOURS["model"], mec="black", ms=8, animated=True
    )[0]
    of_distance.legend(
        [ancestral, ddim, dot],
        ["ancestral", "DDIM", "these samples"],
        ncols=2,
        loc="upper right",
    )
    figures.freeze_layout(figure)

    def update(**values):
        results, samples, _ = compute(**values)
        low, high = band(values["level"], values["width"])
        at = np.linspace(low, high, 60)
        base = error_curve().at(at)[0]
        height = 2 * values["amount"] / (high - low)
        added.set_data(at, base, base + height)
        top = 3.0 if height < 1.9 else 6.0
        if of_error.get_ylim() != (0, top):
            of_error.set_ylim(0, top)
        velocities = (velocity_scale() * samples + galaxy_velocities().mean()) / 1000
        found = np.histogram(velocities, EDGES)[0] / len(samples) / np.diff(EDGES)
        histogram.set_data(found)
        everywhere = curve(values["width"], values["amount"])
        for line, row in zip((ancestral, ddim), everywhere, strict=True):
            line.set_data(LEVELS[3:-3], PchipInterpolator(CENTRES, row)(LEVELS[3:-3]))
        dot.set_data([values["level"]], [results["distance"]])
        limits = (0, figures.snapped_limit(max(0.7, 1.35 * everywhere.max())))
        if of_distance.get_ylim() != limits:
            of_distance.set_ylim(limits)
        return results

    return figure, update
