"""The half-a-nat panel: spend a fixed excess of ELBO at any level, and look at the samples.

The model is the galaxies' own ideal denoiser, spoilt in one band of levels by a constant:
ε̂ = ε* + δ(λ). Since ε* errs symmetrically, E‖ε − ε̂‖² = e + δ², and the ELBO is worse by ½ ∫ δ² dλ,
the same wherever the band lies. What the samples make of it depends on the band and the sampler.

Two computations, apart from one another. ``compute`` runs a sampler of ``STEPS`` steps and 2000
particles for any η. ``curve`` follows the law itself for the ancestral sampler and for DDIM: before
the band it is the exact one; behind the band the ancestral sampler, with infinitely many steps,
draws from the posterior p(x|z), and DDIM carries each z along by the share of mass below it.
"""

from functools import cache, lru_cache, partial

import numpy as np
from scipy.fft import idct
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtri
from scipy.stats import qmc

from course_utils._checks import frozen
from course_utils.distances import noise_floor, wasserstein
from course_utils.elbo import step_kl
from course_utils.panels._galaxies import (
    Replay,
    bin_density,
    error_curve,
    ideal_eps,
    likelihoods,
    mass_below,
    points,
    velocity,
)
from course_utils.panels._view import bars, moving_line, outline
from course_utils.panels._view import old_view as view
from course_utils.samplers import ancestral_step, ddim_step, sample, sample_states
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, alpha, sigma
from course_utils.widgets import figures
from course_utils.widgets.old_controls import slider

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
STEP = LEVELS[1] - LEVELS[0]
ACROSS = LEVELS[3:-3]  # where the curves of the right plot are drawn
N_POINTS = 512  # points of low discrepancy that stand for the law and the noise of the curve
CENTRES = np.linspace(-9.75, 9.75, 27)
REACH = 6.0  # latents up to here are tabulated
EDGES = np.linspace(5, 37, 97)  # bins of the histogram, 1000 km/s


def controls():
    """Return the panel's controls."""
    return {
        "level": slider("level λ of the excess", -9.5, 9.5, 0.1, 0.0),
        "width": slider("width of its band in λ", 0.5, 4.0, 0.5, 1.0),
        "amount": slider("excess ELBO", 0.0, 1.0, 0.025, 0.5, unit="nats"),
        "eta": slider("stochasticity η (0: DDIM, 1: ancestral)", 0.0, 1.0, 0.05, 1.0),
        "seed": slider("new draws", 0, 30, 1, 0),
    }


def compute(level, width, amount, eta, seed):
    """Return the numbers, the excess over its band, the samples, and W1 over all levels.

    The samples are in 1000 km/s. All movements share their random numbers: the start and the
    noise of each step.
    """
    squared = excess(level, width, amount)
    x, clean = _sampled(squared, eta, seed), _states(eta, seed)[-1] / alpha(LEVELS[-1])
    ancestral, ddim = curve(width, amount, (level,))[:, 0].tolist()
    numbers = {
        "excess": float(step_kl(squared, LEVELS[:-1], LEVELS[1:]).sum()),
        "distance": wasserstein(x, points()),
        "without": wasserstein(clean, points()),
        "floor": floor().mean,
        "spread": floor().spread,
        "ancestral": ancestral,
        "ddim": ddim,
    }
    low, high = band(level, width)
    inside = np.linspace(low, high, 60)
    arrays = {
        "level": level,
        "inside": inside,
        "least": error_curve().at(inside)[0],
        "added": 2 * amount / (high - low),
        "samples": velocity(x),
        "everywhere": PchipInterpolator(CENTRES, curve(width, amount), axis=1)(ACROSS),
    }
    return numbers, arrays


# What is spent, and where


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
    n = round(width / STEP)
    first = round((level - width / 2 - LEVELS[0]) / STEP + 1e-6)  # halves go one way
    first = min(max(first, 0), STEPS - n)
    return first, first + n


def spoilt(squared):
    """Return ε̂ = ε* + δ as a function of z and one of ``LEVELS``; ε* between tabulated values."""

    def eps(z, log_snr):
        i = round((log_snr - LEVELS[0]) / STEP)
        cells_a_unit, table = _tables()[i]
        place = np.clip((z + REACH) * cells_a_unit, 0, len(table) - 1.001)
        cell = place.astype(np.intp)
        low = table[cell]
        return low + (place - cell) * (table[cell + 1] - low) + np.sqrt(squared[i])

    return eps


@cache
def _tables():
    """(cells a unit of z, ε* on a grid over ± REACH) of every level, spaced by a part of σ."""
    sizes = [int(np.ceil(2 * REACH / (sigma(level) / 12))) for level in LEVELS[:-1]]
    ideal = ideal_eps()
    return [
        (n / (2 * REACH), frozen(ideal(np.linspace(-REACH, REACH, n + 1), level)))
        for n, level in zip(sizes, LEVELS[:-1], strict=True)
    ]


# The sampler of 2000 particles


def _sampled(squared, eta, seed):
    """The sampler's last latents over α; up to the band they are those without any excess."""
    if not squared.any():
        return _states(eta, seed)[-1] / alpha(LEVELS[-1])
    i = np.flatnonzero(squared)[0]
    rng, step = Replay(_normals(seed)[1 + i :]), partial(ddim_step, eta=eta)
    z = sample(spoilt(squared), LEVELS[i:], _states(eta, seed)[i], step, rng)
    return z / alpha(LEVELS[-1])


@lru_cache(maxsize=4)
def _states(eta, seed):
    """All latents of the sampler without an excess, [STEPS + 1, N_PARTICLES]."""
    start, *noise = _normals(seed)
    step, eps = partial(ddim_step, eta=eta), spoilt(np.zeros(STEPS))
    return frozen([*sample_states(eps, LEVELS, start, step, Replay(noise))])


@lru_cache(maxsize=2)
def _normals(seed):
    return frozen(np.random.default_rng(seed).standard_normal((STEPS + 1, N_PARTICLES)))


@cache
def floor():
    """Return the ``Floor`` of W1: what as many real samples would have."""
    return noise_floor(
        lambda n, rng: rng.choice(points(), n),
        N_PARTICLES,
        np.random.default_rng(0),
        distance=lambda drawn, _: wasserstein(drawn, points()),
    )


# The law itself, followed


@lru_cache(maxsize=256)
def curve(width, amount, centres=tuple(CENTRES)):
    """Return W1 to the galaxies with the excess at each centre, [2, n]: ancestral, DDIM.

    No chance is in it, and no step outside the band; ``N_POINTS`` points stand for the law.
    """
    start, noise = _low_discrepancy(np.diff(_cells(0.0, width)).item())
    found = []
    for centre in centres:
        first, last = _cells(centre, width)
        z, levels = np.interp(start, *_below(first)[::-1]), LEVELS[first : last + 1]
        eps = spoilt(excess(centre, width, amount))
        ancestral = sample(eps, levels, z, ancestral_step, Replay(noise))
        ddim = sample(eps, levels, z)
        found.append((_posterior_distance(ancestral, last), _transported_distance(ddim, last)))
    return frozen(np.transpose(found))


@lru_cache(maxsize=STEPS + 1)
def _below(i):
    """A grid of latents at the i-th level and the exact share of mass below each."""
    means, s = alpha(LEVELS[i]) * points(), sigma(LEVELS[i])
    near = np.add.outer(np.linspace(-4, 4, 17) * s, means).ravel()
    z = np.unique(np.concatenate([np.linspace(-REACH, REACH, 241), near]))
    return frozen(z), frozen(mass_below(z, means, s))


@cache
def _low_discrepancy(steps):
    """Shares [n] for the start, and noise [steps, n], that fill their space evenly.

    Sobol points; the first coordinates go to the start and to the slow waves of the noise, on
    which the end depends most. W1 is then known to 0.01, and far from λ = 0 much better.
    """
    even = qmc.Sobol(steps + 1, seed=0).random(N_POINTS)
    return frozen(even[:, 0]), frozen(idct(ndtri(even[:, 1:]), norm="ortho", axis=1).T)


def _posterior_distance(z, i):
    """W1 between the galaxies and draws from p(x|z) of the latents z at the i-th level."""
    x = points()
    below = np.cumsum(posterior_shares(z, i)) - np.arange(1, len(x) + 1) / len(x)
    return float(np.sum(np.abs(below[:-1]) * np.diff(x)))


def posterior_shares(z, i):
    """Return how often each galaxy, sorted, is drawn from p(x|z) of latents z [n] at level i."""
    r = likelihoods(z, alpha(LEVELS[i]) * points(), sigma(LEVELS[i]))
    return r @ (1 / r.sum(axis=0)) / len(z)


def _transported_distance(z, i):
    """W1 between the galaxies and the ends of the flow from the latents z at the i-th level."""
    x, shares = points(), np.interp(z, *_below(i))
    return wasserstein(x[np.minimum((shares * len(x)).astype(int), len(x) - 1)], x)


def drawing():
    """Return the figure, and the function that shows what was computed in it."""
    figure, (of_error, of_samples, of_distance) = figures.new_figure(
        1, 3, size=(9.4, 3.5), width_ratios=[1, 1, 1.1]
    )
    figures.level_axis(of_error, *SPAN)
    figures.title(of_error, "error e(λ), and the excess")
    of_error.set(ylim=(0, 3))
    levels = (LEVELS[1:] + LEVELS[:-1]) / 2
    area = of_error.fill_between(
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
    ideal = figures.line(
        of_error, levels, error_curve().at(levels)[0], "exact", label="least", moving=True
    )
    of_error.legend(handles=[ideal, area], loc="upper left")

    figures.title(of_samples, f"{N_PARTICLES} samples, and the galaxies")
    histogram = bars(of_samples, EDGES, "model", alpha=0.8)
    of_galaxies = outline(of_samples, EDGES, lw=0.9)
    of_galaxies.set_data(bin_density(velocity(points()), EDGES))
    of_samples.set(xlim=(EDGES[0], EDGES[-1]), ylim=(0, 0.55), yticks=[])
    of_samples.set(xlabel="velocity, 1000 km/s")
    of_samples.legend([histogram, of_galaxies], ["samples", "galaxies"])

    figures.level_axis(of_distance, *SPAN)
    figures.title(of_distance, "W1 if it is spent at λ instead")
    of_distance.set(ylim=(0, 0.7), ylabel="W1, standard deviations")
    low, high = floor().mean - floor().spread, floor().mean + floor().spread
    of_distance.axhspan(max(0, low), high, color="#D0D0D0", lw=0)
    ancestral = moving_line(of_distance, "model", label="ancestral")
    ddim = moving_line(of_distance, "data", label="DDIM", ls="--")
    dot = of_distance.plot(
        [0], [0], "o", color=figures.COLOURS["model"], mec="black", ms=8, animated=True
    )[0]
    of_distance.legend(
        [ancestral, ddim, dot], ["ancestral", "DDIM", "these samples"], ncols=2, loc="upper right"
    )

    def show(numbers, level, inside, least, added, samples, everywhere):
        area.set_data(inside, least, least + added)
        figures.set_limits(of_error, y=(0, 3.0 if added < 1.9 else 6.0))
        histogram.set_data(bin_density(samples, EDGES))
        for line, row in zip((ancestral, ddim), everywhere, strict=True):
            line.set_data(ACROSS, row)
        dot.set_data([level], [numbers["distance"]])
        figures.set_limits(
            of_distance, y=(0, figures.snapped_limit(max(0.7, 1.35 * everywhere.max())))
        )

    return figure, show


HALF = {"width": 1.0, "amount": 0.5}
panel, picture = view(
    controls,
    compute,
    drawing,
    alt=ALT,
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
        "half a nat early, ancestral": {**HALF, "level": -8.0, "eta": 1.0},
        "half a nat early, DDIM": {**HALF, "level": -8.0, "eta": 0.0},
        "half a nat in the middle": {**HALF, "level": 0.0, "eta": 1.0},
        "half a nat late": {**HALF, "level": 8.0, "eta": 1.0},
        "T5, model A": {**HALF, "level": -3.3, "eta": 1.0},
        "T5, model B": {"level": -7.5, "width": 1.0, "amount": 0.525, "eta": 1.0},
    },
)
