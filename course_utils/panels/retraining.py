"""The retraining panel: move the weighting, and a model of limited capacity is trained anew.

The model is linear in random features, so that training is one small solve (T9). Everything seen
belongs to the newly trained model: its error at every level, its samples, and its ELBO.
"""

from functools import cache, lru_cache, partial
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from course_utils.datasets import PLANAR, galaxies, galaxy_velocities, planar_law, velocity_scale
from course_utils.distances import nearest_distances, noise_floor, projections
from course_utils.elbo import ErrorCurve
from course_utils.linear_model import FourierFeatures, LinearDenoiser
from course_utils.mixtures import GaussianMixture
from course_utils.panels._weighting_controls import weighting, weighting_controls
from course_utils.samplers import ddim_step, sample
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, alpha, sigma
from course_utils.widgets import figures
from course_utils.widgets.controls import choice, slider
from course_utils.widgets.panel import Panel, snapshot

ALT = (
    "Three plots. Left: the error of the retrained model at each noise level, above the least "
    "error that any model can have (black, dotted); the green area is the weighting w, scaled. "
    "Middle: 500 samples of the model, orange, on 500 real points, grey; for the galaxies their "
    "histogram on that of the real law. Right: the distance of the samples from real ones against "
    "the ELBO loss above that of w = 1 (the star): the large dot is the present model, the small "
    "ones those before it, the grey band what real samples would reach."
)
SPAN = (LOG_SNR_MIN, LOG_SNR_MAX)
N_SAMPLES, N_TRAINING, N_FRESH = 500, 1000, 128  # the last two at each of 51 levels
FEATURES = (16, 32, 64, 128, 256, 512)
TRAIL = 60
FEW = (1, 2, 5, 10)  # where axes may end whose limits shall seldom change, times powers of ten
BLUR = 500.0  # km/s: width of the kernels of the blurred galaxies
DATA = {
    **{name: title for name, (title, *_) in PLANAR.items()},
    "galaxies": "galaxies: the 82 points",
    "blurred_galaxies": f"galaxies, blurred by {BLUR:.0f} km/s",
}
EDGES = np.linspace(5, 37, 65)  # bins of the galaxies' histogram, 1000 km/s
MEASURES = {
    "nearest": "mean distance to the nearest, both ways",
    "wasserstein": "Wasserstein, over all directions",
}
AXIS = {"nearest": "distance to the nearest", "wasserstein": "Wasserstein distance"}


def controls():
    """Return the panel's controls."""
    return {
        "data": choice("data", [(words, name) for name, words in DATA.items()]),
        "features": choice("random features", FEATURES, 128, slide=True),
        "ridge": choice("ridge ρ", [(f"1e{p}", 10.0**p) for p in range(-6, 1)], 1e-4, slide=True),
        "draws": choice(
            "ELBO on",
            [("training draws, with ridge (theorem)", "training"), ("fresh draws", "fresh")],
        ),
        "measure": choice("distance", [(words, name) for name, words in MEASURES.items()]),
        "eta": slider("stochasticity η", 0.0, 1.0, 0.05, 0.0),
        "steps": choice("sampling steps", (10, 20, 40, 80), 40, slide=True),
        **weighting_controls("sigmoid"),
    }


def panel(**start):
    """Return the live panel; ``start`` sets controls, such as data="spiral"."""
    figure, update = _drawing()
    return Panel(
        figure,
        update,
        controls(),
        alt=ALT,
        start=start,
        formats={
            "objective": "on the training draws, ELBO loss + ridge {:#.3g} nats",
            "above": "{:z.2g} above w ≡ 1 (theorem: never below)",
            "fresh": "on fresh draws, ELBO loss {:#.3g} nats",
            "fresh_above": "{:+z.2g} against w ≡ 1 (measured, no theorem)",
            "least": "the least possible {:#.3g}",
            "off": "samples off the real points by {:.2g}",
            "missed": "these missed by {:.2g}",
            "nearest_floor": "each {:.2g} for real samples",
            "wasserstein": "Wasserstein distance {:.2g}",
            "wasserstein_floor": "floor {:.2g}",
            "condition": "condition number {:.0e}",
        },
        presets={
            "w ≡ 1: the ELBO": {"objective": "elbo", "shift": 0.0, "gains": (0.0,) * 7},
            "noise alone": {
                "objective": "elbo",
                "shift": 0.0,
                "gains": (2.0, 2.0, 2.0, 0.0, -2.0, -2.0, -2.0),
            },
            "detail alone": {
                "objective": "elbo",
                "shift": 0.0,
                "gains": (-2.0, -2.0, -2.0, -1.0, 2.0, 2.0, 2.0),
            },
        },
    )


def picture(**values):
    """Return the panel's picture at the given values of its controls, as a PIL image."""
    return snapshot(panel(), **values)


def compute(
    data, features, ridge, eta, steps, objective, shift, monotone_lock, gains, draws, measure
):
    """Return the numbers in the panel's text, then (levels, w, e, samples), for its controls.

    w and e [L] are at the model's levels, e on the chosen draws; the samples are [500, d].
    ``measure`` changes no number: it chooses which distance is drawn.
    """
    w = weighting(objective, shift, monotone_lock, gains, *SPAN)
    found = _trained(w, data, features, ridge, eta, steps)
    flat = reference(data, features, ridge, eta, steps)
    world = _world(data)
    error = found.fresh_error
    if draws == "training":
        error = world.least_error + found.denoiser.eps_mse - world.ideal_on_training
    results = {
        "objective": found.denoiser.objective,
        "above": _clean(found.denoiser.objective - flat.objective),
        "fresh": found.fresh,
        "fresh_above": _clean(found.fresh - flat.fresh),
        "least": world.least,
        "off": found.nearest.off,
        "missed": found.nearest.missed,
        "nearest_floor": world.nearest_floor.mean,
        "wasserstein": found.wasserstein,
        "wasserstein_floor": world.wasserstein_floor.mean,
        "condition": found.denoiser.condition,
    }
    return results, (world.levels, found.denoiser.weights, error, found.samples)


class Trained(NamedTuple):
    """A retrained denoiser with what its samples and fresh draws say of it."""

    denoiser: object
    fresh_error: np.ndarray
    fresh: float
    samples: np.ndarray
    nearest: object
    wasserstein: float


class Reference(NamedTuple):
    """What w ≡ 1 reaches: numbers alone, for a denoiser would keep its model of up to 100 MB."""

    objective: float
    fresh: float
    nearest: float
    wasserstein: float


@lru_cache(maxsize=64)
def reference(data, features, ridge, eta, steps):
    """Return the ``Reference`` under the same settings."""
    found = _trained(np.ones_like, data, features, ridge, eta, steps)
    return Reference(found.denoiser.objective, found.fresh, found.nearest.mean, found.wasserstein)


def _trained(w, data, features, ridge, eta, steps):
    world, (model, fresh_draws) = _world(data), _model(data, features)
    denoiser = model.retrain(w, ridge)
    path = np.linspace(*SPAN, steps + 1)
    # The same start and the same noise at every movement: only the model changes.
    step = partial(ddim_step, eta=eta)
    z = sample(denoiser.eps, path, world.start, step, np.random.default_rng(4))
    z /= alpha(path[-1])
    # Model and ideal on the same draws: their common noise cancels in the difference.
    error = world.least_error + denoiser.eps_mse_on(fresh_draws) - world.ideal_on_fresh
    return Trained(
        denoiser,
        error,
        float(np.trapezoid(error, world.levels) / 2),
        z,
        nearest_distances(z, world.real),
        _sliced(z, world.quantiles),
    )


class World(NamedTuple):
    """What belongs to the data alone, computed once."""

    levels: np.ndarray
    least_error: np.ndarray  # the least error at each level, smooth
    least: float  # half of its integral, nats
    ideal_on_training: np.ndarray  # the ideal denoiser on the very draws
    ideal_on_fresh: np.ndarray
    start: np.ndarray
    real: np.ndarray
    quantiles: np.ndarray  # of the law's projections
    nearest_floor: object
    wasserstein_floor: object


def law_of(data):
    """Return the law of the data: a mixture of which the model is given only draws."""
    if data in PLANAR:
        return planar_law(data)
    return GaussianMixture.from_data(
        galaxies(), 0.0 if data == "galaxies" else BLUR / velocity_scale()
    )


@cache
def _world(data):
    law, x = law_of(data), _training_data(data)
    model, fresh = _model(data, FEATURES[0])  # its draws are those of every other size
    levels = model.log_snr
    training = model.draws(x, N_TRAINING, _training_rng())
    least = _least_error(law, levels)
    floor = partial(_floor, law)
    many = projections(law.sample(200 * N_SAMPLES, np.random.default_rng(1)))
    quantiles = many.reshape(len(many), N_SAMPLES, -1).mean(axis=2)
    return World(
        levels,
        least,
        float(np.trapezoid(least, levels) / 2),
        training.eps_mse(law.eps),
        fresh.eps_mse(law.eps),
        np.random.default_rng(3).standard_normal((N_SAMPLES, law.dim)),
        law.sample(N_SAMPLES, np.random.default_rng(2)),
        quantiles,
        floor(lambda a, b: nearest_distances(a, b).mean),
        floor(lambda a, b: _sliced(a, quantiles)),
    )


@lru_cache(maxsize=6)
def _model(data, features):
    """The model of so many features, and fresh draws for it; two sizes share all randomness."""
    x = _training_data(data)
    dim = x.shape[1]
    # On the line there are features enough to fit nearby levels apart, in the plane there are not.
    drawn = FourierFeatures.draw(
        features, dim, np.random.default_rng(6), level_frequency=1.0 if dim == 1 else 0.3
    )
    model = LinearDenoiser.precompute(x, features=drawn, rng=_training_rng(), n_draws=N_TRAINING)
    return model, model.draws(x, N_FRESH, np.random.default_rng(8))


@cache
def _training_data(data):
    if data == "galaxies":
        return galaxies()
    return law_of(data).sample(20_000, np.random.default_rng(9))


def _training_rng():
    return np.random.default_rng(7)


def _least_error(law, levels):
    """The ideal denoiser's error at each level: exact on the line, else by 300 latents a level."""
    if law.dim == 1:
        return ErrorCurve.from_mixtures(law).at(levels)[0]
    rng = np.random.default_rng(5)
    x, noise = law.sample(300, rng), rng.standard_normal((300, law.dim))
    return np.array(
        [
            np.exp(s) * np.mean(law.posterior_variance(alpha(s) * x + sigma(s) * noise, s))
            for s in levels
        ]
    )


def _sliced(z, quantiles):
    """W_1 between projections of the samples and of the law, averaged over the directions."""
    return float(np.abs(projections(z) - quantiles).mean())


def _floor(law, distance):
    return noise_floor(law.sample, N_SAMPLES, np.random.default_rng(0), distance=distance)


def _clean(difference):
    return 0.0 if abs(difference) < 1e-9 else difference


def _drawing():
    figure, (of_error, of_samples, of_quality) = figures.new_figure(
        1, 3, size=(9.4, 3.7), width_ratios=[1.05, 1, 1]
    )
    figures.level_axis(of_error, *SPAN)
    figures.title(of_error, "error e(λ) of the retrained model")
    of_error.set(ylim=(0, 2.5))
    w_area = figures.SignedArea(of_error, "weight", label="w(λ), scaled", moving=True)
    error = figures.line(of_error, [], [], "model", label="this model", moving=True)
    least = figures.line(of_error, [], [], "exact", label="least", moving=True, linestyle=":")
    of_error.legend(handles=[error, least, w_area.above], loc="upper left")

    real = of_samples.plot([], [], ".", color="#B0B0B0", ms=2.5, animated=True)[0]
    points = of_samples.plot([], [], ".", color=figures.COLOURS["model"], ms=3, animated=True)[0]
    histogram = of_samples.stairs(
        np.zeros(len(EDGES) - 1),
        EDGES,
        fill=True,
        color=figures.COLOURS["model"],
        alpha=0.7,
        animated=True,
    )
    exact = of_samples.stairs(
        np.zeros(len(EDGES) - 1),
        EDGES,
        color=figures.COLOURS["exact"],
        lw=1.1,
        baseline=None,
        animated=True,
    )

    figures.title(of_quality, "samples against ELBO")
    of_quality.set(xlabel="ELBO loss above that of w ≡ 1, nats")
    of_quality.xaxis.set_major_locator(MaxNLocator(5, prune="upper"))
    of_quality.yaxis.set_major_locator(MaxNLocator(5))
    band = of_quality.axhspan(0, 0.1, color="#D9D9D9", lw=0, animated=True)
    before = of_quality.plot(
        [], [], "o-", color="#8C8C8C", ms=2.8, lw=0.7, alpha=0.8, animated=True
    )[0]
    star = of_quality.plot([], [], "*", color="black", ms=11, animated=True, clip_on=False)[0]
    now = of_quality.plot(
        [], [], "o", color=figures.COLOURS["model"], mec="black", ms=8, animated=True, clip_on=False
    )[0]
    of_quality.legend(
        [now, before, star, band],
        ["this w", "before", "w ≡ 1", "real"],
        loc="upper right",
        ncols=2,
    )
    for artist in (star, now, before, band, real, points):
        artist.set_in_layout(False)  # empty as yet
    # laid out with the words that need the most room
    of_samples.set(xlabel="velocity, 1000 km/s", yticks=[])
    of_quality.set(ylabel=AXIS["nearest"], ylim=(0, 0.15))
    figures.title(of_samples, "500 samples and the real law")
    figures.freeze_layout(figure)
    trail = _Trail()

    def update(**values):
        results, (levels, weights, e, samples) = compute(**values)
        world, line = _world(values["data"]), len(samples[0]) == 1
        error.set_data(levels, e)
        least.set_data(levels, world.least_error)
        top = 1.5 if line else 3.0
        if e.max() > top:
            top = figures.snapped_limit(1.1 * e.max(), FEW)
        w_area.set(levels, 0.3 * top * weights / weights.max())
        _limit(of_error, "ylim", (0, top))

        if trail.data != values["data"]:
            _arrange(of_samples, values["data"], exact, real)
        if line:
            histogram.set_data(_shares(samples))
            points.set_data([], [])
        else:
            histogram.set_data(np.zeros(len(EDGES) - 1))
            points.set_data(*samples.T)

        settings = tuple(values[name] for name in ("data", "features", "ridge", "eta", "steps"))
        flat = reference(*settings)
        excess = {"training": results["above"], "fresh": results["fresh_above"]}
        distance = {
            "nearest": (results["off"] + results["missed"]) / 2,
            "wasserstein": results["wasserstein"],
        }
        trail.add(settings, excess, distance)
        which, measure = values["draws"], values["measure"]
        across = [point[0][which] for point in trail.points]
        up = [point[1][measure] for point in trail.points]
        of_flat = getattr(flat, measure)
        floor = getattr(world, f"{measure}_floor")
        before.set_data(across, up)
        now.set_data(across[-1:], up[-1:])
        star.set_data([0], [of_flat])
        band.set(y=floor.mean - floor.spread, height=2 * floor.spread)
        highest = 1.45 * max(*up, of_flat, floor.mean)
        _limit(of_quality, "ylim", (0, _kept(of_quality.get_ylim()[1], highest)))
        reach = _kept(of_quality.get_xlim()[1], max(*across, 0.09) * 1.1)
        before_zero = figures.snapped_limit(max(0.08 * reach, -1.1 * min(across)), FEW)
        _limit(of_quality, "xlim", (-before_zero, reach))
        if of_quality.get_ylabel() != AXIS[measure]:
            of_quality.set_ylabel(AXIS[measure])
        return results

    return figure, update


class _Trail:
    """The models shown one after another under the same settings: only w differs."""

    def __init__(self):
        self.settings, self.data, self.points = None, None, []

    def add(self, settings, *point):
        if settings != self.settings:
            self.settings, self.data, self.points = settings, settings[0], []
        if not self.points or self.points[-1] != point:
            self.points = [*self.points[-TRAIL:], point]


def _kept(end, value):
    """The end of an axis, left where it is unless the value leaves it or its lower third."""
    return end if end / 3 <= value <= end else figures.snapped_limit(value)


def _limit(ax, which, limits):
    """Set a limit where it differs: each change costs the drawing of the axes."""
    if getattr(ax, f"get_{which}")() != limits:
        ax.set(**{which: limits})


def _arrange(ax, data, exact, real):
    """Prepare the axes of the samples for data in the plane, or for the galaxies."""
    world = _world(data)
    line = len(world.real[0]) == 1
    exact.set_visible(line)
    real.set_visible(not line)
    if line:
        shares = _shares(law_of(data).sample(50_000, np.random.default_rng(0)))
        exact.set_data(shares)
        ax.set(xlim=(EDGES[0], EDGES[-1]), ylim=(0, 1.7 * shares.max()))
        ax.set(xlabel="velocity, 1000 km/s", xticks=[10, 20, 30], yticks=[])
        figures.title(ax, "500 samples and the real law")
    else:
        real.set_data(*world.real.T)
        # one scale for both: aspect="equal" would make every redraw a full one
        reach = 2.7 * ax.bbox.height / ax.bbox.width
        ax.set(xlim=(-2.7, 2.7), ylim=(-reach, reach), xlabel="")
        ax.set(xticks=[-2, 0, 2], yticks=[])
        figures.title(ax, "500 samples on 500 real points")


def _shares(x):
    """The share of points x [n, 1], in the data's unit, in each bin, divided by its width."""
    velocities = (velocity_scale() * x[:, 0] + galaxy_velocities().mean()) / 1000
    return np.histogram(velocities, EDGES)[0] / len(x) / np.diff(EDGES)
