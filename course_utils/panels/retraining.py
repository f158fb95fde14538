"""The retraining panel: move the weighting, and a model of limited capacity is trained anew.

The model is linear in random features, so that training is one small solve (T9). Everything seen
belongs to the newly trained model: its error at every level, its samples, and its ELBO.
"""

from functools import cache, lru_cache, partial
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from course_utils._checks import frozen
from course_utils.datasets import PLANAR, galaxies, planar_law, velocity_scale
from course_utils.distances import NearestDistances, nearest_distances, noise_floor, projections
from course_utils.elbo import ErrorCurve
from course_utils.linear_model import FourierFeatures, LinearDenoiser
from course_utils.mixtures import GaussianMixture
from course_utils.panels._galaxies import bin_density, velocity
from course_utils.panels._view import bars, moving_line, outline
from course_utils.panels._view import old_view as view
from course_utils.panels._weighting_controls import FLAT, weighting, weighting_controls
from course_utils.samplers import ddim_step, sample
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, alpha, sigma
from course_utils.widgets import figures
from course_utils.widgets.old_controls import choice, slider

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


def compute(
    data, features, ridge, eta, steps, objective, shift, monotone_lock, gains, draws, measure
):
    """Return the numbers, and what is drawn of the retrained model, its data and its rivals.

    w, the model's error on the chosen draws and the least error are at ``levels`` [51]; samples
    and real points are [500, d]. ``point`` says where the model stands by every measure, ``star``
    where w ≡ 1 does by the chosen one; ``settings`` are those that two models have to share if
    they are compared.
    """
    w = weighting(objective, shift, monotone_lock, gains, *SPAN)
    settings = data, features, ridge, eta, steps
    found, flat, world = trained(w, *settings, draws), reference(*settings), _world(data)
    numbers = {
        "objective": found.objective,
        "above": _clean(found.objective - flat.objective),
        "fresh": found.fresh,
        "fresh_above": _clean(found.fresh - flat.fresh),
        "least": world.least,
        "off": found.nearest.off,
        "missed": found.nearest.missed,
        "nearest_floor": world.floors["nearest"].mean,
        "wasserstein": found.wasserstein,
        "wasserstein_floor": world.floors["wasserstein"].mean,
        "condition": found.condition,
    }
    arrays = {
        "levels": world.levels,
        "weights": found.weights,
        "error": found.error,
        "least": world.least_error,
        "samples": found.samples,
        "real": world.real,
        "settings": settings,
        "point": {
            "training": numbers["above"],
            "fresh": numbers["fresh_above"],
            "nearest": found.nearest.mean,
            "wasserstein": found.wasserstein,
        },
        "shown": (draws, measure),
        "star": flat.nearest.mean if measure == "nearest" else flat.wasserstein,
        "floor": world.floors[measure],
    }
    return numbers, arrays


class Trained(NamedTuple):
    """What is kept of a retrained model, which itself takes up to 100 MB."""

    objective: float  # ELBO loss and ridge on the training draws
    fresh: float  # ELBO loss on fresh draws
    weights: np.ndarray
    error: np.ndarray  # on the chosen draws
    samples: np.ndarray
    nearest: NearestDistances
    wasserstein: float
    condition: float


def trained(w, data, features, ridge, eta, steps, draws="fresh"):
    """Return the ``Trained`` of the weighting w; the error is that on the draws, or fresh ones."""
    world, (model, fresh_draws) = _world(data), _model(data, features)
    denoiser = model.retrain(w, ridge)
    # The same start and the same noise at every movement: only the model changes.
    path, rng = np.linspace(*SPAN, steps + 1), np.random.default_rng(4)
    z = sample(denoiser.eps, path, world.start, partial(ddim_step, eta=eta), rng)
    samples = z / alpha(path[-1])
    # Model and ideal on the same draws: their common noise cancels in the difference.
    fresh = world.least_error + denoiser.eps_mse_on(fresh_draws) - world.ideal_on_fresh
    error = fresh
    if draws == "training":
        error = world.least_error + denoiser.eps_mse - world.ideal_on_training
    return Trained(
        denoiser.objective,
        float(np.trapezoid(fresh, world.levels) / 2),
        denoiser.weights,
        error,
        samples,
        nearest_distances(samples, world.real),
        _sliced(samples, world.quantiles),
        denoiser.condition,
    )


@lru_cache(maxsize=64)
def reference(data, features, ridge, eta, steps):
    """Return what w ≡ 1 reaches under the same settings."""
    return trained(np.ones_like, data, features, ridge, eta, steps)


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
    floors: dict  # of each measure


def law_of(data):
    """Return the law of the data: a mixture of which the model is given only draws."""
    if data in PLANAR:
        return planar_law(data)
    width = 0.0 if data == "galaxies" else BLUR / velocity_scale()
    return GaussianMixture.from_data(galaxies(), width)


@cache
def _world(data):
    law = law_of(data)
    model, fresh = _model(data, FEATURES[0])  # its draws are those of every other size
    training = model.draws(_training_data(data), N_TRAINING, _training_rng())
    least = _least_error(law, model.log_snr)
    many = projections(law.sample(200 * N_SAMPLES, np.random.default_rng(1)))
    quantiles = frozen(many.reshape(len(many), N_SAMPLES, -1).mean(axis=2))
    distances = {
        "nearest": lambda a, b: nearest_distances(a, b).mean,
        "wasserstein": lambda a, b: _sliced(a, quantiles),
    }
    return World(
        model.log_snr,
        least,
        float(np.trapezoid(least, model.log_snr) / 2),
        frozen(training.eps_mse(law.eps)),
        frozen(fresh.eps_mse(law.eps)),
        frozen(np.random.default_rng(3).standard_normal((N_SAMPLES, law.dim))),
        frozen(law.sample(N_SAMPLES, np.random.default_rng(2))),
        quantiles,
        {
            name: noise_floor(law.sample, N_SAMPLES, np.random.default_rng(0), distance=distance)
            for name, distance in distances.items()
        },
    )


@lru_cache(maxsize=6)
def _model(data, features):
    """The model of so many features, and fresh draws for it; two sizes share all randomness."""
    x = _training_data(data)
    # On the line there are features enough to fit nearby levels apart, in the plane there are not.
    of_level = 1.0 if x.shape[1] == 1 else 0.3
    rng = np.random.default_rng(6)
    drawn = FourierFeatures.draw(features, x.shape[1], rng, level_frequency=of_level)
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
        return frozen(ErrorCurve.from_mixtures(law).at(levels)[0])
    rng = np.random.default_rng(5)
    x, noise = law.sample(300, rng), rng.standard_normal((300, law.dim))
    left = [law.posterior_variance(alpha(s) * x + sigma(s) * noise, s).mean() for s in levels]
    return frozen(np.exp(levels) * left)


def _sliced(z, quantiles):
    """W_1 between projections of the samples and of the law, averaged over the directions."""
    return float(np.abs(projections(z) - quantiles).mean())


def _clean(difference):
    return 0.0 if abs(difference) < 1e-6 else difference


@cache
def _exact_shares(data):
    """The share of the galaxies' law in each bin of the histogram, divided by its width."""
    drawn = law_of(data).sample(50_000, np.random.default_rng(0))
    return frozen(bin_density(velocity(drawn[:, 0]), EDGES))


def drawing():
    """Return the figure, and the function that shows what was computed in it."""
    figure, (of_error, of_samples, of_quality) = figures.new_figure(
        1, 3, size=(9.4, 3.7), width_ratios=[1.05, 1, 1]
    )
    figures.level_axis(of_error, *SPAN)
    figures.title(of_error, "error e(λ) of the retrained model")
    of_error.set(ylim=(0, 2.5))
    w_area = figures.SignedArea(of_error, "weight", label="w(λ), scaled", moving=True)
    curve = moving_line(of_error, "model", label="this model")
    ideal = moving_line(of_error, "exact", label="least", ls=":")
    of_error.legend(handles=[curve, ideal, w_area.above], loc="upper left")

    grey = of_samples.plot([], [], ".", color="#B0B0B0", ms=2.5, animated=True)[0]
    points = of_samples.plot([], [], ".", color=figures.COLOURS["model"], ms=3, animated=True)[0]
    histogram = bars(of_samples, EDGES, "model", alpha=0.7)
    exact = outline(of_samples, EDGES, lw=1.1)

    figures.title(of_quality, "samples against ELBO")
    of_quality.set(xlabel="ELBO loss above that of w ≡ 1, nats")
    of_quality.xaxis.set_major_locator(MaxNLocator(5, prune="upper"))
    of_quality.yaxis.set_major_locator(MaxNLocator(5))
    band = of_quality.axhspan(0, 0.1, color="#D9D9D9", lw=0, animated=True)
    before = of_quality.plot(
        [], [], "o-", color="#8C8C8C", ms=2.8, lw=0.7, alpha=0.8, animated=True
    )[0]
    flat = of_quality.plot([], [], "*", color="black", ms=11, animated=True, clip_on=False)[0]
    now = of_quality.plot(
        [], [], "o", color=figures.COLOURS["model"], mec="black", ms=8, animated=True, clip_on=False
    )[0]
    of_quality.legend(
        [now, before, flat, band], ["this w", "before", "w ≡ 1", "real"], loc="upper right", ncols=2
    )
    for artist in (flat, now, before, band, grey, points):
        artist.set_in_layout(False)  # empty as yet
    # laid out with the words that need the most room
    of_samples.set(xlabel="velocity, 1000 km/s", yticks=[])
    of_quality.set(ylabel=AXIS["nearest"], ylim=(0, 0.15))
    figures.title(of_samples, "500 samples and the real law")
    trail = _Trail()

    def show(
        numbers, levels, weights, error, least, samples, real, settings, point, shown, star, floor
    ):
        line = samples.shape[1] == 1
        curve.set_data(levels, error)
        ideal.set_data(levels, least)
        top = 1.5 if line else 3.0
        if error.max() > top:
            top = figures.snapped_limit(1.1 * error.max(), FEW)
        w_area.set(levels, 0.3 * top * weights / weights.max())
        figures.set_limits(of_error, y=(0, top))

        if trail.settings is None or trail.settings[0] != settings[0]:
            exact.set_visible(line)
            grey.set_visible(not line)
            if line:
                exact.set_data(_exact_shares(settings[0]))
                _arrange_line(of_samples, _exact_shares(settings[0]).max())
            else:
                grey.set_data(*real.T)
                _arrange_plane(of_samples)
        points.set_data(([], []) if line else samples.T)
        histogram.set_data(bin_density(velocity(samples[:, 0]), EDGES) * line)

        trail.add(settings, point)
        of_draws, measure = shown
        across = [point[of_draws] for point in trail.points]
        up = [point[measure] for point in trail.points]
        before.set_data(across, up)
        now.set_data(across[-1:], up[-1:])
        flat.set_data([0], [star])
        band.set(y=floor.mean - floor.spread, height=2 * floor.spread)
        highest = _kept(of_quality.get_ylim()[1], 1.45 * max(*up, star, floor.mean))
        reach = _kept(of_quality.get_xlim()[1], max(*across, 0.09) * 1.1)
        before_zero = figures.snapped_limit(max(0.08 * reach, -1.1 * min(across)), FEW)
        figures.set_limits(of_quality, x=(-before_zero, reach), y=(0, highest))
        if of_quality.get_ylabel() != AXIS[measure]:
            of_quality.set_ylabel(AXIS[measure])

    return figure, show


class _Trail:
    """The models shown one after another under the same settings: only w differs."""

    def __init__(self):
        self.settings, self.points = None, []

    def add(self, settings, point):
        if settings != self.settings:
            self.settings, self.points = settings, []
        if not self.points or self.points[-1] != point:
            self.points = [*self.points[-TRAIL:], point]


def _kept(end, value):
    """The end of an axis, left where it is unless the value leaves it or its lower third."""
    return end if end / 3 <= value <= end else figures.snapped_limit(value)


def _arrange_line(ax, highest):
    ax.set(xlim=(EDGES[0], EDGES[-1]), ylim=(0, 1.7 * highest))
    ax.set(xlabel="velocity, 1000 km/s", xticks=[10, 20, 30], yticks=[])
    figures.title(ax, "500 samples and the real law")


def _arrange_plane(ax):
    # one scale for both: aspect="equal" would make every redraw a full one
    reach = 2.7 * ax.bbox.height / ax.bbox.width
    ax.set(xlim=(-2.7, 2.7), ylim=(-reach, reach), xlabel="", xticks=[-2, 0, 2], yticks=[])
    figures.title(ax, "500 samples on 500 real points")


_PLAIN = {"objective": "elbo", "shift": 0.0}
panel, picture = view(
    controls,
    compute,
    drawing,
    alt=ALT,
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
        "w ≡ 1: the ELBO": {**_PLAIN, "gains": FLAT},
        "noise alone": {**_PLAIN, "gains": (2.0, 2.0, 2.0, 0.0, -2.0, -2.0, -2.0)},
        "detail alone": {**_PLAIN, "gains": (-2.0, -2.0, -2.0, -1.0, 2.0, 2.0, 2.0)},
    },
)
