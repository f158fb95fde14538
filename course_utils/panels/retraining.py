"""The retraining panel: move the weighting, and a model of limited capacity is trained anew.

The model is linear in random features, so that training is one small solve (T9). Everything seen
belongs to the newly trained model: its error at every level, its samples, and its ELBO.
"""

import zlib
from functools import cache, lru_cache, partial
from types import SimpleNamespace

import numpy as np

from course_utils._checks import frozen
from course_utils.datasets import PLANAR, galaxies, planar_law, velocity_scale
from course_utils.distances import nearest_distances, noise_floor, projections
from course_utils.elbo import ErrorCurve
from course_utils.linear_model import FourierFeatures, LinearDenoiser
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import PUBLISHED
from course_utils.panels._galaxies import bin_density, velocity
from course_utils.panels._instrument import FINE, choice_of, unbent, weighting, with_own
from course_utils.panels._view import SPAN, knots, over_levels, view
from course_utils.samplers import ddim_step, sample
from course_utils.schedules import alpha, sigma
from course_utils.weightings import KNOTS
from course_utils.widgets.controls import Slider, Switch, choice
from course_utils.widgets.scene import Axis, Band, Bars, Handle, Line, Plot, Points, Scene, Words

ALT = """Four plots. Top left: the weighting w over log-SNR on a logarithmic axis; its seven dots
can be pulled. Below it: by how much the retrained model's error exceeds the least that any model
can have, and, dotted, the same for w = 1. Top right: 500 samples of the model, orange, on 500 real
points, grey; for the galaxies their histogram on that of the real law. Below: the distance of the
samples from real ones against the ELBO loss above that of w = 1 (the star): the large dot is the
present model, the small ones those before it, the grey band what real samples would reach."""
N_SAMPLES, N_TRAINING, N_FRESH = 500, 1000, 128  # the last two at each of 51 levels
FEATURES = (16, 32, 64, 128, 256, 512)
BLUR = 500.0  # km/s: width of the kernels of the blurred galaxies
DATA = {name: title for name, (title, *_) in PLANAR.items()}
DATA["galaxies"] = "galaxies: the 82 points"
DATA["blurred_galaxies"] = f"galaxies, blurred by {BLUR:.0f} km/s"
EDGES = np.linspace(5, 37, 65)  # bins of the galaxies' histogram, 1000 km/s
REACH = np.array([4.3, 2.4])  # the frame in the plane; samples outside stand on its edge


def controls(own=()):
    """Return the panel's controls; ``own`` are keys of ``own_key``."""
    names = {key: o.name for key, o in PUBLISHED.items()}
    ridges = [("1" if not p else f"0.{'0' * (-p - 1)}1", 10.0**p) for p in range(-6, 1)]
    draws = [("training draws, ridge", "training"), ("fresh draws", "fresh")]
    measures = [("to the nearest", "nearest"), ("Wasserstein", "wasserstein")]
    shop = {"folded": "workshop: model, sampler, distance"}
    return {
        "objective": choice_of("w of", own, names, {"elbo": "published"} if own else {}),
        "shift": Slider("shift along λ", -6.0, 6.0, 0.1, 0.0),
        "monotone_lock": Switch("keep w monotone"),
        "data": choice("data", [(words, name) for name, words in DATA.items()]),
        "gains": knots("gain", KNOTS, 2.0, "bend w with bars"),
        "features": choice("random features", FEATURES, 128, slide=True, **shop),
        "ridge": choice("ridge ρ", ridges, 1e-4, slide=True, **shop),
        "steps": choice("sampling steps", (10, 20, 40, 80), 40, slide=True, **shop),
        "eta": Slider("stochasticity η", 0.0, 1.0, 0.05, 0.0, **shop),
        "draws": choice("ELBO on", draws, **shop),
        "measure": choice("distance", measures, **shop),
    }


def compute(data, features, ridge, eta, steps, draws, measure, **state):
    """Return the numbers, and what is drawn of the retrained model, its data and its rivals.

    ``state`` spells w. ``weights`` (w of mean 1) and ``error`` are at ``levels`` [51], samples are
    [500, d]. ``star`` is the distance that w ≡ 1 reaches; two models can be compared where their
    ``rivals`` is the same.
    """
    w = weighting(state)
    settings = data, features, ridge, eta, steps, draws
    found, flat, world = trained(w, *settings), reference(*settings), _world(data)
    floor = world.floors[measure]
    nearest = max(0.7 * floor.mean, 0.004)
    numbers = {
        "objective": found.objective,
        "above": round(found.objective - flat.objective, 6),
        "fresh": found.fresh,
        "fresh_above": round(found.fresh - flat.fresh, 6),
        "least": world.least,
        "off": found.nearest.off,
        "missed": found.nearest.missed,
        "nearest_floor": world.floors["nearest"].mean,
        "wasserstein": found.distances["wasserstein"],
        "wasserstein_floor": world.floors["wasserstein"].mean,
        "condition": float(f"{found.condition:.0e}"),
        "distance": found.distances[measure],
    }
    arrays = {
        "by_hand": w(FINE),
        "unbent": unbent(state)(FINE),
        "at_knots": w(np.array(KNOTS)),
        "levels": world.levels,
        "weights": found.weights,
        "error": found.error,
        "excess": found.error - world.least_error,
        "excess_of_one": flat.error - world.least_error,
        "samples": found.samples,
        "loss": numbers["above" if draws == "training" else "fresh_above"],
        "star": flat.distances[measure],
        "floor_low": max(floor.mean - floor.spread, nearest),
        "floor_high": max(floor.mean + floor.spread, nearest),
        "nearest_drawn": nearest,
        "farthest_drawn": max(20 * floor.mean, 0.4),
        "rivals": zlib.crc32(repr((settings, measure)).encode()) % 2**24,
        **_drawn(found.samples, world),
    }
    return numbers, arrays


def _drawn(samples, world):
    """What the plot of the samples shows: dots in the plane; on the line a histogram."""
    if samples.shape[1] == 1:
        shares = bin_density(velocity(samples[:, 0]), EDGES)
        dots = real = np.empty((2, 0))
        inside, across = shares.sum() * (EDGES[1] - EDGES[0]), "velocity, 1000 km/s"
        left, right, bottom, top = EDGES[0], EDGES[-1], 0.0, 1.7 * world.shares.max()
    else:
        shares, inside, across = world.shares, np.mean((np.abs(samples) < REACH).all(axis=1)), ""
        dots, real = (np.clip(x, -REACH, REACH).T for x in (samples, world.real))
        (left, bottom), (right, top) = -REACH, REACH
    outside = f"{100 * (1 - inside):.1f} % outside" if inside < 1 - 1e-9 else ""
    return {
        **{"left": left, "right": right, "bottom": bottom, "top": top},
        **{"x": dots[0], "y": dots[1], "real_x": real[0], "real_y": real[1]},
        **{"shares": shares, "law": world.shares, "across": across, "outside": outside},
    }


def trained(w, data, features, ridge, eta, steps, draws="fresh"):
    """Return what is kept of a model retrained with w, which itself takes up to 100 MB.

    ``objective``, ELBO loss and ridge on the training draws; ``fresh``, the loss on fresh ones;
    ``error`` at each level on the ``draws``; the samples, and their ``distances``.
    """
    world, (model, fresh_draws) = _world(data), _model(data, features)
    denoiser = model.retrain(w, ridge)
    # The same start and the same noise at every movement: only the model changes.
    path, rng = np.linspace(*SPAN, steps + 1), np.random.default_rng(4)
    z = sample(denoiser.eps, path, world.start, partial(ddim_step, eta=eta), rng)
    samples = z / alpha(path[-1])
    # Model and ideal on the same draws: their common noise cancels in the difference.
    fresh = world.least_error + fresh_draws.eps_mse(denoiser.eps) - world.ideal_on_fresh
    training = world.least_error + denoiser.eps_mse - world.ideal_on_training
    nearest = nearest_distances(samples, world.real)
    return SimpleNamespace(
        objective=denoiser.objective,
        fresh=float(np.trapezoid(fresh, world.levels) / 2),
        weights=denoiser.weights,
        error=training if draws == "training" else fresh,
        samples=samples,
        nearest=nearest,
        distances={"nearest": nearest.mean, "wasserstein": _sliced(samples, world.quantiles)},
        condition=denoiser.condition,
    )


# What w ≡ 1 reaches under the same settings.
reference = lru_cache(maxsize=64)(partial(trained, np.ones_like))


@cache
def _world(data):
    """What belongs to the data alone."""
    law, rng = law_of(data), np.random.default_rng
    model, fresh = _model(data, FEATURES[0])  # its draws are those of every other size
    least_error = _least_error(law, model.log_snr)
    # The ideal denoiser on the very draws: those of the training, made once more, and fresh.
    training = model.draws(_training_data(data), N_TRAINING, rng(7))
    many = law.sample(200 * N_SAMPLES, rng(1))
    rows = projections(many)
    quantiles = rows.reshape(len(rows), N_SAMPLES, -1).mean(axis=2)
    distances = {
        "nearest": lambda a, b: nearest_distances(a, b).mean,
        "wasserstein": lambda a, b: _sliced(a, quantiles),
    }
    return SimpleNamespace(
        levels=model.log_snr,
        least_error=least_error,
        least=float(np.trapezoid(least_error, model.log_snr) / 2),  # nats
        ideal_on_training=training.eps_mse(law.eps),
        ideal_on_fresh=fresh.eps_mse(law.eps),
        start=rng(3).standard_normal((N_SAMPLES, law.dim)),
        real=law.sample(N_SAMPLES, rng(2)),
        quantiles=quantiles,
        # of galaxies; 0 in the plane
        shares=frozen(bin_density(velocity(many[:, 0]), EDGES) * (law.dim == 1)),
        floors={
            name: noise_floor(law.sample, N_SAMPLES, rng(0), distance=distance)
            for name, distance in distances.items()
        },
    )


def law_of(data):
    """Return the law of the data: a mixture of which the model is given only draws."""
    if data in PLANAR:
        return planar_law(data)
    width = 0.0 if data == "galaxies" else BLUR / velocity_scale()
    return GaussianMixture.from_data(galaxies(), width)


@lru_cache(maxsize=6)
def _model(data, features):
    """The model of so many features, and fresh draws for it; two sizes share all randomness."""
    x = _training_data(data)
    # On the line there are features enough to fit nearby levels apart, in the plane there are not.
    of_level = 1.0 if x.shape[1] == 1 else 0.3
    rng = np.random.default_rng
    drawn = FourierFeatures.draw(features, x.shape[1], rng(6), level_frequency=of_level)
    model = LinearDenoiser.precompute(x, features=drawn, rng=rng(7), n_draws=N_TRAINING)
    return model, model.draws(x, N_FRESH, rng(8))


@cache
def _training_data(data):
    if data == "galaxies":
        return galaxies()
    return law_of(data).sample(20_000, np.random.default_rng(9))


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


def scene():
    """Return the scene: w, the error, the samples, and their distance against the ELBO."""
    of_w = over_levels(
        "w(λ): pull its dots",
        Axis(1e-4, 100, "weight", scale="log", ticks=((1e-4, "10⁻⁴"), (0.01, "0.01"), 1, 100)),
        [
            Line(FINE, "unbent", meaning="noise", dash="dot", label="before it was bent"),
            Line(FINE, "by_hand", meaning="weight", label="w"),
            Handle("gains", x=KNOTS, y="at_knots", along="y", grip="knots", meaning="weight"),
        ],
        width=1.5,
        unit="sd",
    )
    samples = Plot(
        f"{N_SAMPLES} samples and the real law",
        Axis("left", "right"),
        Axis("bottom", "top", ticks=(), settle=True),
        [
            Points("real_x", "real_y", meaning="noise", size=2.5, alpha=0.5, label="real"),
            Points("x", "y", meaning="model", size=3, label="samples"),
            Bars(EDGES, "shares", meaning="model"),
            Bars(EDGES, "law", meaning="exact", outline=True),
            Words(0.02, 0.9, "{outside}"),
            Words(0.98, 0.9, "{across}", align="right"),
        ],
    )
    error = over_levels(
        "error above the least possible",
        Axis(3e-3, 20, "excess", scale="log", ticks=(0.01, 0.1, 1, 10)),
        [
            Line("levels", "excess_of_one", meaning="exact", dash="dot", label="w ≡ 1"),
            Line("levels", "excess", meaning="model", label="this w"),
        ],
        width=1.5,
        unit="sd",
    )
    at = (-0.1, 0, 0.1, 1, 10)
    x = Axis(-0.2, 30, "ELBO loss above that of w ≡ 1, nats", scale="asinh", linear=0.1, ticks=at)
    at = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
    y = Axis("nearest_drawn", "farthest_drawn", "distance", scale="log", settle=True, ticks=at)
    trail = {"trail": "rests", "same": "rivals", "score": "nearest so far"}
    marks = [
        Band(None, "floor_low", "floor_high", meaning="noise", label="real samples"),
        Points(0, "star", meaning="exact", shape="star", size=14, label="w ≡ 1"),
        Points("loss", "distance", meaning="model", label="this w", size=9, **trail),
    ]
    quality = Plot("samples against ELBO", x, y, marks)
    return Scene([[of_w, samples], [error, quality]], height=(240, 210), alt=ALT)


def prepared(start):
    """Let ``objective`` be an own objective or weighting, such as ``instrument.weighting``."""
    start, own = with_own(start)
    return start, controls(own)


_PLAIN = {"objective": "elbo", "shift": 0.0, "monotone_lock": False}
panel, picture = view(
    prepared,
    compute,
    scene,
    headline="{above:z.2f} nats above w ≡ 1, distance {distance:.3f}",
    shown=("off", "missed", "nearest_floor", "fresh_above"),
    formats={
        "objective": "on the training draws, ELBO loss + ridge {:#.3g} nats",
        "above": "above w ≡ 1 {:z.2g} nats (theorem: never below)",
        "fresh": "on fresh draws, ELBO loss {:#.3g} nats",
        "fresh_above": "on fresh draws, above w ≡ 1 {:+z.2g} nats (no theorem)",
        "least": "the least possible loss {:#.3g} nats",
        "off": "samples off the real points by {:.2g}",
        "missed": "real points missed by {:.2g}",
        "nearest_floor": "both, for real samples {:.2g}",
        "wasserstein": "Wasserstein distance {:.2g}",
        "wasserstein_floor": "its floor {:.2g}",
        "condition": "condition number {:,.0f}",
    },
    presets={
        "w ≡ 1: the ELBO": {**_PLAIN, "gains": (0.0,) * len(KNOTS)},
        "noise alone": {**_PLAIN, "gains": (2.0, 2.0, 2.0, 0.0, -2.0, -2.0, -2.0)},
        "detail alone": {**_PLAIN, "gains": (-2.0, -2.0, -2.0, -1.0, 2.0, 2.0, 2.0)},
    },
)
