"""The half-a-nat panel: spend a fixed excess of ELBO at any level, and look at the samples.

The model is the galaxies' own ideal denoiser, damaged in one band of levels by a constant:
ε̂ = ε* + δ(λ). Since ε* errs symmetrically, E‖ε − ε̂‖² = e + δ², and the ELBO is worse by ½ ∫ δ² dλ,
the same wherever the band lies. What the samples make of it depends on the band and the sampler.

``compute`` runs a sampler of ``STEPS`` steps for any η. Apart from it, ``curve`` follows the law
itself: before the band it is the exact one; behind the band the ancestral sampler, with infinitely
many steps, draws from the posterior p(x|z), and DDIM carries each z along by the mass below it.
"""

from functools import cache, lru_cache

import numpy as np
from scipy.fft import idct
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtri
from scipy.stats import qmc

from course_utils._checks import frozen
from course_utils.distances import noise_floor, wasserstein
from course_utils.elbo import step_kl
from course_utils.panels import _galaxies
from course_utils.panels._galaxies import mass_below, points, velocity
from course_utils.panels._view import SPAN, over_levels, view
from course_utils.samplers import ddim_coefficients
from course_utils.schedules import alpha, sigma
from course_utils.widgets.controls import Dice, Slider, Switch
from course_utils.widgets.scene import Axis, Band, Bars, Handle, Line, Plot, Points, Scene

ALT = """Three plots. Left: the least error of the noise prediction over log-SNR, black, and on top
of it, hatched, a box: the excess that was placed there. Its column, its right edge and its top can
be pulled. Middle: the histogram of 2000 samples of the damaged model, orange, and the 82 galaxies,
black. Right: the Wasserstein distance of the samples from the galaxies, one dot at each level that
was visited, orange for the ancestral sampler, blue for DDIM, grey between; the band is what 2000
real samples would have. Shown on request: the same at all levels, followed as laws, solid for the
ancestral sampler and dashed for DDIM."""
STEPS, N_PARTICLES = 200, 2000
LEVELS = frozen(np.linspace(*SPAN, STEPS + 1))
STEP = LEVELS[1] - LEVELS[0]
N_POINTS = 512  # points of low discrepancy that stand for the law and the noise of the curve
CENTRES = np.linspace(-9.75, 9.75, 27)
ACROSS = np.linspace(-9.75, 9.75, 79)  # where the curves of the right plot are drawn
# Latents up to here are tabulated at each level; beyond the galaxies ε* goes on in a straight line.
REACH = frozen(np.minimum(6, 3 * alpha(LEVELS) + 8 * sigma(LEVELS)))
EDGES = np.linspace(5, 37, 97)  # bins of the histogram, 1000 km/s
CONTROLS = {
    "level": Slider("level λ of the excess", -9.5, 9.5, 0.1, 0.0, play=True),
    "width": Slider("width of its band in λ", 0.5, 4.0, 0.5, 1.0),
    "amount": Slider("excess ELBO", 0.0, 1.0, 0.025, 0.5, unit="nats"),
    "eta": Slider("stochasticity η (0: DDIM, 1: ancestral)", 0.0, 1.0, 0.05, 1.0),
    "seed": Dice("new draws"),
    "rest": Switch("show W1 at all levels"),
}


def compute(level, width, amount, eta, seed, rest=False):
    """Return the numbers, the box of the excess, the samples in 1000 km/s, and W1.

    All movements share their random numbers: the start and the noise of each step.
    """
    squared, (first, last) = excess(level, width, amount), _cells(level, width)
    states, noise, without = _undamaged(eta, seed)  # the samples are these up to the band
    x = follow(states[first], first, STEPS, eta, noise, squared)[-1] / alpha(LEVELS[-1])
    distance = wasserstein(x, points())
    ancestral, ddim = curve(width, amount, (level,))[:, 0].tolist()
    numbers = {
        "excess": float(step_kl(squared, LEVELS[:-1], LEVELS[1:]).sum()),
        "distance": distance,
        "without": without,
        "floor": floor().mean,
        "spread": floor().spread,
        "ancestral": ancestral,
        "ddim": ddim,
    }
    low, high = LEVELS[[first, last]].tolist()
    inside, least = LEVELS[first : last + 1], _least()[first : last + 1]
    height, middle = 2 * amount / (high - low), (low + high) / 2
    laws = np.full((2, len(ACROSS)), np.nan)
    if rest:
        laws = PchipInterpolator(CENTRES, curve(width, amount), axis=1)(ACROSS)
    arrays = {
        "low": low,
        "high": high,
        "middle": middle,
        "half_width": (high - low) / 2,
        "inside": inside,
        "least": least,
        "raised": least + height,
        "top": float(np.interp(middle, inside, least)) + height,
        "samples": velocity(x),
        "shares": _galaxies.bin_density(velocity(x), EDGES),
        "floor_low": floor().mean - floor().spread,
        "floor_high": floor().mean + floor().spread,
        "by_ancestral": distance if eta == 1 else np.nan,
        "by_ddim": distance if eta == 0 else np.nan,
        "by_both": distance if 0 < eta < 1 else np.nan,
        "ancestral_law": laws[0],
        "ddim_law": laws[1],
        "spent": 1000 * width + amount,
    }
    return numbers, arrays


# What is spent, and where


def excess(level, width, amount):
    """Return δ² on each of the ``STEPS`` cells of levels; together they cost ``amount`` nats.

    What one step costs is T7's ½ (e^Δ − 1) δ², exactly, which is ½ δ² Δ for small steps Δ.
    """
    first, last = _cells(level, width)
    covered = np.zeros(STEPS)
    covered[first:last] = 1.0
    return amount * covered / step_kl(covered, LEVELS[:-1], LEVELS[1:]).sum()


def _cells(level, width):
    """Which ``LEVELS`` are the ends of the band nearest to ``level`` ± ``width``/2."""
    n = round(width / STEP)
    first = round((level - width / 2 - LEVELS[0]) / STEP + 1e-6)  # halves go one way
    first = min(max(first, 0), STEPS - n)
    return first, first + n


@cache
def _least():
    """The least error at each of ``LEVELS``."""
    return frozen(_galaxies.error_curve().at(LEVELS)[0])


# The sampler: DDIM's steps from each level to the next


def follow(z, first, last, eta, noise, squared):
    """Return the latents at the levels from the first to the last, [last − first + 1, n].

    A step is DDIM's with ε̂ = ε* + δ, where ``squared`` [STEPS] is δ² and ``noise`` [STEPS, n] what
    each step adds. What a step makes of z without both is read off the tables of ``_maps``.
    """
    maps, steps = _maps(eta)
    pushes, states = steps.eps_hat * np.sqrt(squared), [z]
    for i in range(first, last):
        cells_a_unit, offsets, rises = maps[i]
        place = (z + REACH[i]) * cells_a_unit
        cell = place.astype(np.intp)
        z = rises.take(cell, mode="clip")
        z *= place
        z += offsets.take(cell, mode="clip")
        z += noise[i] + pushes[i]
        states.append(z)
    return states


@lru_cache(maxsize=4)
def _maps(eta):
    """The step from each level as straight pieces, offset + rise · cell, and its coefficients."""
    steps, maps = ddim_coefficients(LEVELS[:-1], LEVELS[1:], eta), []
    for (z, ideal), keep, eps_hat in zip(_ideal(), steps.keep, steps.eps_hat, strict=True):
        ends = keep * z + eps_hat * ideal
        rises = np.diff(ends)
        maps.append((1 / (z[1] - z[0]), ends[:-1] - rises * np.arange(len(rises)), rises))
    return maps, steps


@cache
def _ideal():
    """Latents on a grid over ± ``REACH`` and ε* there, at every level. A cell is a twelfth of σ."""
    sizes = 1 + np.ceil(24 * REACH / sigma(LEVELS)).astype(int)
    grids = map(np.linspace, -REACH[:-1], REACH[:-1], sizes[:-1])
    return [(z, _galaxies.ideal_eps()(z, s)) for z, s in zip(grids, LEVELS[:-1], strict=True)]


@lru_cache(maxsize=4)
def _undamaged(eta, seed):
    """The sampler without an excess: all latents, [STEPS + 1, N_PARTICLES], its noise, and W1."""
    start, *normals = _normals(seed)
    noise = frozen(_maps(eta)[1].noise[:, None] * normals)
    states = follow(start, 0, STEPS, eta, noise, np.zeros(STEPS))
    return frozen(states), noise, wasserstein(states[-1] / alpha(LEVELS[-1]), points())


@lru_cache(maxsize=2)
def _normals(seed):
    return frozen(np.random.default_rng(seed).standard_normal((STEPS + 1, N_PARTICLES)))


@cache
def floor():
    """Return the ``Floor`` of W1: what as many real samples would have."""
    rng, far = np.random.default_rng(0), lambda drawn, _: wasserstein(drawn, points())
    return noise_floor(lambda n, rng: rng.choice(points(), n), N_PARTICLES, rng, distance=far)


# The law itself, followed


@lru_cache(maxsize=256)
def curve(width, amount, centres=tuple(CENTRES)):
    """Return W1 to the galaxies with the excess at each centre, [2, n]: ancestral, DDIM."""
    shares = np.array([reached(centre, width, amount) for centre in centres])
    off = np.cumsum(shares, axis=2) - np.arange(1, len(points()) + 1) / len(points())
    return frozen((np.abs(off[..., :-1]) @ np.diff(points())).T)


def reached(level, width, amount):
    """Return the share of samples at each galaxy, sorted, [2, 82]: ancestral, DDIM.

    No chance is in it, and no step outside the band; ``N_POINTS`` points stand for the law.
    """
    (first, last), squared = _cells(level, width), excess(level, width, amount)
    start, normals = _low_discrepancy(last - first)
    z, noise = np.interp(start, *_below(first)[::-1]), np.zeros((STEPS, N_POINTS))
    ddim = follow(z, first, last, 0.0, noise, squared)[-1]
    noise[first:last] = _maps(1.0)[1].noise[first:last, None] * normals
    ancestral = follow(z, first, last, 1.0, noise, squared)[-1]
    mixture = _galaxies.galaxies_mixture()
    drawn = mixture.responsibilities(ancestral[:, None], LEVELS[last]).mean(axis=0)
    below = np.interp(ddim, *_below(last))
    passed = np.histogram(below, len(points()), (0, 1))[0] / N_POINTS
    return np.array([drawn, passed])


@cache
def _below(i):
    """A grid of latents at the i-th level, σ/8 apart, and the share of mass below each."""
    means, s = alpha(LEVELS[i]) * points(), sigma(LEVELS[i])
    z = s / 8 * np.unique(np.add.outer(np.arange(-40, 41), np.rint(8 * means / s)))
    return frozen(z), frozen(mass_below(z, means, s))


@cache
def _low_discrepancy(steps):
    """Shares [n] for the start, and noise [steps, n], that fill their space evenly.

    Sobol points; the first coordinates go to the start and to the slow waves of the noise, on
    which the end depends most. W1 is then known to 0.01, and far from λ = 0 much better.
    """
    even = qmc.Sobol(steps + 1, seed=0).random(N_POINTS)
    return frozen(even[:, 0]), frozen(idct(ndtri(even[:, 1:]), norm="ortho", axis=1).T)


def scene():
    """Return the scene: the excess on the error curve, the samples, and their distance."""
    area = "excess: area = 2 × nats"
    error = over_levels(
        "error of the noise guess",
        Axis(0, 3, "mean squared error", settle=True),
        [
            Line(LEVELS, _least(), meaning="exact", label="least"),
            Band("inside", "least", "raised", meaning="negative", hatched=True, label=area),
            Handle("level", x=("low", "high"), grip="band", meaning="noise"),
            Handle("width", x="high", y=("top", 3), factor=2, grip="edge", meaning="noise"),
            Handle("amount", "middle", "top", along="y", factor="half_width", meaning="negative"),
        ],
        width=1.1,
    )
    real = _galaxies.bin_density(velocity(points()), EDGES)
    samples = Plot(
        f"{N_PARTICLES} samples",
        Axis(EDGES[0], EDGES[-1], "velocity, 1000 km/s"),
        Axis(0, 0.55, "share per 1000 km/s", settle=True),
        [
            Bars(EDGES, "shares", meaning="model", secret=True, label="samples"),
            Bars(EDGES, real, meaning="exact", outline=True, label="galaxies"),
        ],
    )
    dot = {"size": 9, "trail": "moves", "same": "spent", "secret": True}
    distance = over_levels(
        "W1 where it was spent",
        Axis(0, 0.8, "W1, standard deviations", settle=True),
        [
            Band(None, "floor_low", "floor_high", meaning="noise", label="real"),
            Line(ACROSS, "ancestral_law", meaning="model", secret=True),
            Line(ACROSS, "ddim_law", meaning="data", dash="dash", secret=True),
            Points("level", "by_ancestral", meaning="model", label="ancestral", **dot),
            Points("level", "by_ddim", meaning="data", label="DDIM", **dot),
            Points("level", "by_both", meaning="noise", **dot),
            Handle("level", x="level", grip="rule", meaning="noise"),
        ],
        width=1.1,
    )
    asked = "Half a nat is spent at λ = −8, where z is nearly pure noise. Whose samples show it?"
    question = {
        "words": asked,
        "options": ("those of both samplers", "the ancestral sampler's", "DDIM's", "nobody's"),
        "right": "DDIM's",
        "then": {**HALF, "level": -8.0, "eta": 0.0},
    }
    return Scene([[error, samples, distance]], height=330, alt=ALT, question=question)


HALF = {"width": 1.0, "amount": 0.5}
panel, picture = view(
    CONTROLS,
    compute,
    scene,
    headline="{excess:.3f} nats spent, W1 = {distance:.3f} standard deviations",
    shown=("without", "floor", "ancestral", "ddim"),
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
