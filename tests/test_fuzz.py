"""Every public function of the course under strange arguments: finite and right, or a ValueError.

The functions are found by inspection. A parameter's name says which values are right for it
(``RIGHT``, or ``AS`` where a function means something else by it), so a new function whose
parameters have known names is tested without another word, and any other one fails by name until
it stands here. ``HOLDS`` has what must be true of a result whose arguments were all right.
"""

from functools import cache

import numpy as np
import pytest
from fuzzing import EVERYDAY, LONG, Broken, Fuzz, outcome, public_callables
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from course_utils import (
    estimators,
    figures,
    metrics,
    mixtures,
    objectives,
    processes,
    regression,
    schedules,
    weightings,
)

# test_fuzz_panels.py and test_fuzz_training.py
ELSEWHERE = ("panels", "networks", "batched", "study", "trial", "yardstick")
FOUND = public_callables(without=ELSEWHERE)
EXEMPT = {
    # they answer about the machine they run on; tests/test_installation.py breaks the machine
    **{name: "the machine" for name in FOUND if name.startswith("installation.")},
    "schedules.Schedule": "what schedules share, not itself one",
    "live.Panel": "tests/test_fuzz_panels.py",
    **{name: "tests/test_fuzz_panels.py" for name in FOUND if name.startswith("live.Panel.")},
    "live.snapshot": "tests/test_fuzz_panels.py",
    "exercises.Exercise": "made by the course alone; tests/test_exercises.py",
    **{name: "tests/test_exercises.py" for name in FOUND if name.startswith("exercises.Exercise.")},
}
EXEMPT |= {
    "regression.Denoiser": "made by LinearDenoiser.retrain alone",
    "regression.LinearDenoiser": "made by LinearDenoiser.precompute alone",
}
EXEMPT |= {
    name: "loads thousands of images each time; tests/test_datasets.py"
    for name in FOUND
    if name.startswith(("datasets.images", "datasets.Images", "datasets.labelled_fashion"))
}
NAMES = sorted(set(FOUND) - set(EXEMPT))

# --- Right values ------------------------------------------------------------------------------

level = st.floats(-12, 12)
number = st.floats(-3, 3)
positive = st.floats(0.05, 3)
share = st.floats(0.02, 0.98)
small = st.integers(1, 5)


def array(shape, elements=number):
    size = int(np.prod(shape, dtype=int))
    return st.lists(elements, min_size=size, max_size=size).map(
        lambda values: np.array(values, dtype=float).reshape(shape)
    )


def any_shape(elements):
    """Numbers, and arrays of all shapes and of both precisions."""
    return st.one_of(
        elements,
        elements.map(np.float32),
        st.sampled_from([(), (1,), (3,), (2, 1), (2, 3)]).flatmap(lambda s: array(s, elements)),
    )


def rising(n, low=-8.0, high=8.0):
    """n increasing levels, at least a 50th of the range apart."""
    return st.lists(st.integers(0, 50), min_size=n, max_size=n, unique=True).map(
        lambda steps: low + (high - low) * np.sort(np.array(steps)) / 50
    )


def generator():
    return st.integers(0, 99).map(np.random.default_rng)


def zero(z, log_snr):
    return 0 * z


@st.composite
def mixture(draw, d):
    k = draw(st.integers(1, 3))
    weights = draw(array((k,), st.floats(0.1, 1)))
    variances = draw(array((k,), st.sampled_from([0.0, 0.04, 0.5, 2.0])))
    return mixtures.GaussianMixture(weights / weights.sum(), draw(array((k, d))), variances)


SCHEDULES = [
    schedules.Cosine(log_snr_min=-9, log_snr_max=8),
    schedules.FlowMatching(log_snr_min=-7, log_snr_max=9),
    schedules.LinearLogSnr(-8, 8),
    schedules.LinearBeta(log_snr_min=-9.5, log_snr_max=9),
]
WEIGHTS = [
    weightings.sigmoid(0.5),
    weightings.PUBLISHED["edm"].implied_weighting(),
    weightings.PUBLISHED["p2"].implied_weighting(),
    np.ones_like,
    lambda log_snr: 1.0,
]
MONOTONE = [weightings.sigmoid(1.0), weightings.PUBLISHED["cosine_v"].implied_weighting()]
TRUTH = mixtures.GaussianMixture([0.3, 0.7], [[-1.0], [0.6]], [0.05, 0.2])
X = np.linspace(-6, 6, 101)


@cache
def curve():
    return objectives.ErrorCurve.from_mixtures(TRUTH, log_snr=np.linspace(-10, 10, 41))


@cache
def curve_of_one():
    return objectives.ErrorCurve.from_mixtures(TRUTH, x=0.4, log_snr=np.linspace(-18, 18, 73))


@cache
def moments():
    return estimators.ErrorMoments.from_mixtures(TRUTH, log_snr=np.linspace(-10, 10, 41))


@cache
def linear_model(d):
    rng = np.random.default_rng(0)
    x, levels = rng.standard_normal((40, d)), np.linspace(-5, 5, 7)
    return regression.LinearDenoiser.precompute(x, 6, rng=rng, log_snr=levels, n_draws=30)


def axes():
    return figures.new_figure()[1]


def bell(mean, sd):
    density = np.exp(-(((X - mean) / sd) ** 2) / 2)
    return density / np.trapezoid(density, X)


# What is right under a parameter's name, given a scene: its numbers n, m, d of points and
# dimensions and its k of steps.
RIGHT = {
    "log_snr": lambda s: any_shape(level),
    "t": lambda s: any_shape(st.floats(0.01, 0.99)),
    "n": lambda s: small,
    "n_steps": lambda s: st.integers(1, 40),
    "seed": lambda s: st.integers(0, 99),
    "rng": lambda s: generator(),
    "w": lambda s: st.sampled_from(WEIGHTS),
    "log_snr_min": lambda s: st.floats(-9, -1),
    "log_snr_max": lambda s: st.floats(1, 9),
    "schedule": lambda s: st.sampled_from(SCHEDULES),
    "curve": lambda s: st.builds(curve),
    "moments": lambda s: st.builds(moments),
    "truth": lambda s: mixture(1),
    "model": lambda s: st.one_of(st.none(), mixture(1)),
    "eps": lambda s: st.just(TRUTH.eps if s.d == 1 else zero),
    "betas": lambda s: array((s.k,), share),
    "x": lambda s: array((s.n, s.d)),
    "z": lambda s: array((s.n, s.d)),
    "x0": lambda s: st.sampled_from([(s.n,), (s.n, s.d)]).flatmap(array),
    "z_start": lambda s: array((s.n, s.d)),
    "noise": lambda s: array((s.n, s.d)),
    "steps": lambda s: st.builds(
        processes.LinearSteps, array((s.k,), share), array((s.k,), st.floats(0, 2))
    ),
    "log_snr_grid": lambda s: rising(s.k + 1),
    "log_snr_from": lambda s: st.one_of(st.floats(1, 12), st.just(np.inf)),
    "log_snr_to": lambda s: st.floats(-12, 1),
    "eta": lambda s: st.floats(0, 1),
    "increments": lambda s: array((s.k, s.n)),
    "dt": lambda s: st.floats(1e-3, 1),
    "drift": lambda s: st.just(lambda x, t: -x),
    "diffusion": lambda s: st.just(lambda x, t: 1.0),
    "volatility": lambda s: positive,
    "variance": lambda s: st.floats(0, 3),
    "factor": lambda s: st.just(1),
    "step": lambda s: st.sampled_from([processes.euler_step, processes.ancestral_step]),
    "rule": lambda s: st.just("exact"),
    "source": lambda s: st.sampled_from(["x", "eps", "v", "score", "velocity"]),
    "target": lambda s: st.sampled_from(["x", "eps", "v", "score", "velocity"]),
    "value": lambda s: array((s.n, s.d)),
    "a": lambda s: array((s.n,)),
    "b": lambda s: array((s.m,)),
    "p": lambda s: st.builds(bell, st.floats(-1, 1), st.floats(0.3, 0.6)),
    "q": lambda s: st.builds(bell, st.floats(-1, 1), st.floats(0.3, 0.6)),
    "order": lambda s: st.sampled_from([1, 2]),
    "sample": lambda s: array((s.n,)),
    "real": lambda s: array((s.m, s.d)),
    "mean_p": lambda s: number,
    "mean_q": lambda s: any_shape(number),
    "variance_p": lambda s: positive,
    "variance_q": lambda s: positive,
    "n_directions": lambda s: small,
    "repeats": lambda s: st.integers(2, 4),
    "distance": lambda s: st.just(metrics.wasserstein),
    "draw": lambda s: st.just(lambda n, rng: rng.standard_normal(n)),
    "points": lambda s: array((s.n + 1, s.d)),
    "reference": lambda s: array((s.m + 4, s.d)),
    "first": lambda s: array((4, s.d)),
    "second": lambda s: array((4, s.d)),
    "k": lambda s: st.integers(1, 3),
    "statistic": lambda s: st.just(np.mean),
    "*samples": lambda s: st.tuples(array((s.n, s.d))),
    "values": lambda s: st.just(np.array([-1.0, 0.0, 1.0])),
    "n_levels": lambda s: small,
    "bandwidth": lambda s: st.floats(0, 2),
    "weights": lambda s: array((s.n,), positive).map(lambda w: w / w.sum()),
    "means": lambda s: array((s.n, s.d)),
    "variances": lambda s: array((s.n,), positive),
    "bias": lambda s: number,
    "shift": lambda s: number,
    "knots": lambda s: st.just(np.array([-4.0, 0.0, 3.0])),
    "gains": lambda s: array((3,)),
    "name": lambda s: st.sampled_from(["spiral", "rings"]),
    "held_out": lambda s: st.integers(1, 1000),
    "levels": lambda s: rising(s.k + 1),
    "heights": lambda s: array((s.k + 1,), positive),
    "n_features": lambda s: small,
    "dim": lambda s: small,
    "frequencies": lambda s: st.just((0.3, 8.0)),
    "level_frequency": lambda s: st.floats(0, 1),
    "features": lambda s: st.just(linear_model(s.d).features),
    "n_bins": lambda s: st.integers(5, 9),
    "memory": lambda s: st.floats(0.3, 1),
    "rounds": lambda s: st.integers(1, 2),
    "batch": lambda s: st.integers(1, 20),
    "n_draws": lambda s: st.integers(1, 30),
    "**spread": lambda s: st.just({}),
    "ridge": lambda s: st.floats(1e-3, 1),
    "draws": lambda s: st.builds(
        lambda seed: linear_model(s.d).draws(np.ones((3, s.d)), 4, np.random.default_rng(seed)),
        st.integers(0, 99),
    ),
    "alpha_bar": lambda s: any_shape(share),
    "beta_min": lambda s: st.floats(0.05, 1),
    "beta_max": lambda s: st.floats(2, 25),
    "beta_first": lambda s: st.floats(1e-4, 1e-2),
    "beta_last": lambda s: st.floats(1e-2, 0.5),
    "noise_error": lambda s: any_shape(positive),
    "per_sd": lambda s: st.integers(4, 8),
    "label": lambda s: st.just("a number"),
    "digits": lambda s: st.just(3),
    "unit": lambda s: st.just("nats"),
    "residual": lambda s: any_shape(st.floats(-1e-14, 1e-14)),
    "below": lambda s: st.just(1e-12),
    "function": lambda s: st.sampled_from(WEIGHTS),
    "prediction": lambda s: st.sampled_from(["x", "eps", "v"]),
    "weight": lambda s: st.just(np.ones_like),
    "transform": lambda s: st.just(lambda w: w),
    "attempt": lambda s: st.sampled_from([None, np.exp]),
    "notebook": lambda s: st.just("01"),
    # figures and controls
    "rows": lambda s: st.integers(1, 2),
    "columns": lambda s: st.integers(1, 2),
    "size": lambda s: st.just((3.0, 2.0)),
    "**options": lambda s: st.just({}),
    "ax": lambda s: st.builds(axes),
    "y": lambda s: array((s.n, s.d)),
    "meaning": lambda s: st.sampled_from(sorted(figures.COLOURS)),
    "moving": lambda s: st.booleans(),
    "negative_label": lambda s: st.none(),
    "height": lambda s: st.just(2.2),
    "margin": lambda s: st.just(0.6),
    "curves": lambda s: array((2, 3), positive),
    "words": lambda s: st.just(["one", "two"]),
    "meanings": lambda s: st.just(["data", "negative"]),
    "figure": lambda s: st.builds(lambda: figures.new_figure()[0]),
    "alt": lambda s: st.just("A curve that rises."),
    "low": lambda s: st.integers(-10, 0),
    "high": lambda s: st.integers(1, 10),
    "labels": lambda s: st.just(["one", "two"]),
    "options": lambda s: st.just(["one", "two"]),
    "slide": lambda s: st.booleans(),
    "orientation": lambda s: st.just("vertical"),
}
ROW = lambda s: st.one_of(level, array((s.n, 1), level))  # noqa: E731  one level, or one a row
UPWARDS = {"log_snr": lambda s: st.floats(-12, 1), "log_snr_to": lambda s: st.floats(1, 12)}
ON_LINE = {"d": 1}  # fixes a number of the scene

# Where a function means something else by a name; "self" is what a method is called on.
AS = {
    "mixtures.GaussianMixture": {},
    "mixtures.GaussianMixture.*": {"self": lambda s: mixture(s.d), "log_snr": ROW},
    "mixtures.GaussianMixture.diffuse": {"log_snr": lambda s: level},
    "mixtures.GaussianMixture.log_prob": {
        "self": lambda s: mixture(s.d).map(lambda m: m.diffuse(1.0))
    },
    "schedules.Schedule.*": {
        "self": lambda s: st.sampled_from(SCHEDULES),
        "log_snr": lambda s: any_shape(st.floats(-7, 7)),
    },
    "schedules.LinearLogSnr": {},
    "schedules.LinearBeta": {"log_snr_min": lambda s: st.just(-np.inf)},
    "schedules.discrete_betas": {
        "n_steps": lambda s: st.integers(60, 99),  # few steps of a sampled rate pass β = 1
        "schedule": lambda s: st.sampled_from([schedules.LinearBeta(log_snr_max=9)]),
        "rule": lambda s: st.sampled_from(["exact", "left", "mid", "right"]),
    },
    "parameterization.convert": {"log_snr": ROW},
    "weightings.Weighting.*": {"self": lambda s: st.sampled_from(WEIGHTS[:3])},
    "weightings.made_monotone": {"w": lambda s: st.sampled_from(WEIGHTS[:3])},
    "weightings.shifted": {"w": lambda s: st.sampled_from(WEIGHTS[:3])},
    "weightings.bent": {"w": lambda s: st.sampled_from(WEIGHTS[:3])},
    "weightings.upper_envelope": {"w": lambda s: st.sampled_from(WEIGHTS[:3])},
    "weightings.level_masses": {"log_snr": lambda s: rising(s.k + 1)},
    "weightings.sample_levels": {"w": lambda s: st.sampled_from(MONOTONE)},
    "weightings.Objective": {"levels": lambda s: st.sampled_from(SCHEDULES)},
    "weightings.Objective.*": {
        "self": lambda s: st.sampled_from(list(weightings.PUBLISHED.values()))
    },
    "weightings.Objective.transform": {"w": lambda s: st.sampled_from(WEIGHTS)},
    "weightings.published": {
        "name": lambda s: st.sampled_from(list(weightings.PUBLISHED)),
        "**parameters": lambda s: st.fixed_dictionaries(
            {}, optional={"p2_gamma": positive, "min_snr_gamma": positive, "edm_data_sd": positive}
        ),
    },
    "weightings.evaluate": {"log_snr": lambda s: any_shape(level)},
    "objectives.ErrorCurve": {
        "log_snr": lambda s: st.just(np.arange(-3.0, 5.0)),
        "noise_error": lambda s: array((8,), positive),
        "path_kl": lambda s: array((8,), positive),
        "quadrature_error": lambda s: st.just(1e-9),
    },
    "objectives.ErrorCurve.*": {
        "self": lambda s: st.builds(curve),
        "log_snr": lambda s: any_shape(st.floats(-10, 10)),
    },
    "objectives.ErrorCurve.from_mixtures": {
        "x": lambda s: st.one_of(st.none(), number),
        "log_snr": lambda s: rising(7),
    },
    "objectives.elbo_terms": {
        "x": lambda s: st.one_of(st.none(), number),
        "log_snr": lambda s: rising(s.k + 1).map(lambda levels: levels[::-1]),
    },
    "objectives.discretisation_gap": {
        "log_snr": lambda s: rising(s.k + 1).map(lambda levels: levels[::-1])
    },
    "objectives.step_kl": {
        "noise_error": lambda s: positive,
        "log_snr_to": lambda s: any_shape(level),
        "log_snr": lambda s: level,
    },
    "objectives.negative_log_likelihood": {"curve": lambda s: st.builds(curve_of_one)},
    "objectives.path_and_marginal_kl": {
        **ON_LINE,
        "log_snr": lambda s: st.just(np.linspace(-4, 1, 11)),
    },
    "objectives.loss_draws": {"t": lambda s: array((s.n,), st.floats(0, 1))},
    "objectives.estimate_loss": {"n": lambda s: st.integers(2, 9)},
    "estimators.ErrorMoments": {
        "log_snr": lambda s: st.just(np.arange(-3.0, 5.0)),
        "mean": lambda s: array((8,), positive),
        "second": lambda s: array((8,), positive).map(lambda v: v + 9),
    },
    "estimators.ErrorMoments.*": {
        "self": lambda s: st.builds(moments),
        "log_snr": lambda s: any_shape(st.floats(-10, 10)),
    },
    "estimators.ErrorMoments.from_mixtures": {
        "x": lambda s: st.one_of(st.none(), number),
        "log_snr": lambda s: rising(7),
    },
    "estimators.DensitySchedule.*": {
        "self": lambda s: st.builds(estimators.DensitySchedule, rising(4), array((4,), positive))
    },
    "estimators.LearntSchedule.*": {
        "self": lambda s: st.builds(estimators.LearntSchedule, st.sampled_from(WEIGHTS[:3])),
        "log_snr": lambda s: array((s.n,), level.map(lambda x: x / 2)),
        "squared_error": lambda s: array((s.n,), positive),
    },
    "objectives.squared_errors": {"log_snr": lambda s: array((s.n,), level)},
    "estimators.draw_variance": {"w": lambda s: st.sampled_from(WEIGHTS[:3])},
    "datasets.grey_levels": {"white": lambda s: st.integers(1, 300)},
    "datasets.to_pixels": {
        "white": lambda s: st.integers(1, 255),
        "x": lambda s: any_shape(number),
    },
    "processes.transition": {},
    "processes.exact_steps": {"log_snr_grid": lambda s: rising(s.k + 1).map(lambda g: g[::-1])},
    "processes.noised": {"log_snr": ROW},
    "processes.posterior": UPWARDS,
    "processes.coarsen": {},
    "processes.euler_maruyama": {"x0": lambda s: array((s.n,))},
    "processes.geometric_brownian_motion": {
        "x0": lambda s: array((s.n,)),
        "drift": lambda s: number,
    },
    "processes.ddim_coefficients": UPWARDS,
    "processes.reverse_sde_coefficients": UPWARDS,
    "processes.flow_coefficients": UPWARDS,
    "processes.ddim_step": UPWARDS,
    "processes.ancestral_step": UPWARDS,
    "processes.reverse_sde_step": UPWARDS,
    "processes.euler_step": UPWARDS,
    "processes.heun_step": UPWARDS,
    "metrics.wasserstein_densities": {"x": lambda s: st.just(X)},
    "metrics.wasserstein_to_density": {"x": lambda s: st.just(X)},
    "metrics.total_variation": {"x": lambda s: st.just(X)},
    "metrics.kl_divergence": {"x": lambda s: st.just(X)},
    "metrics.sliced_wasserstein": {
        "a": lambda s: array((s.n, s.d)),
        "b": lambda s: array((s.m, s.d)),
    },
    "metrics.projections": {},
    "metrics.off_and_missed": {"sample": lambda s: array((s.n, s.d))},
    "metrics.OffAndMissed.*": {"self": lambda s: st.builds(metrics.OffAndMissed, number, number)},
    "metrics.ImageBits.*": {"self": lambda s: st.builds(metrics.ImageBits, number, number, number)},
    "metrics.Interval.*": {"self": lambda s: st.builds(metrics.Interval, number, positive)},
    "metrics.frechet": {"a": lambda s: array((4, s.d)), "b": lambda s: array((5, s.d))},
    "metrics.bits_per_dimension": {
        "x": lambda s: array((s.n, s.d), st.sampled_from([-1.0, 0.0, 1.0]))
    },
    "objectives.ElboTerms.*": {
        "self": lambda s: st.builds(objectives.ElboTerms, number, number, array((3,)))
    },
    "regression.FourierFeatures": {
        "of_z": lambda s: array((s.d, 3)).map(np.float32),
        "of_level": lambda s: array((3,)).map(np.float32),
        "phase": lambda s: array((3,)).map(np.float32),
    },
    "regression.FourierFeatures.*": {
        "self": lambda s: st.just(linear_model(s.d).features),
        "log_snr": ROW,
    },
    "regression.Draws": {
        "log_snr": lambda s: rising(2),
        "x": lambda s: array((2, s.n, s.d)),
        "noise": lambda s: array((2, s.n, s.d)),
    },
    "regression.Draws.*": {"self": RIGHT["draws"]},
    "regression.LinearDenoiser": {
        "log_snr": lambda s: st.just(linear_model(s.d).log_snr),
        "gram": lambda s: st.just(linear_model(s.d).gram),
        "cross": lambda s: st.just(linear_model(s.d).cross),
        "constant": lambda s: st.just(linear_model(s.d).constant),
    },
    "regression.LinearDenoiser.*": {"self": lambda s: st.just(linear_model(s.d))},
    "regression.LinearDenoiser.precompute": {"log_snr": lambda s: rising(3)},
    "regression.Denoiser": {
        "model": lambda s: st.just(linear_model(s.d)),
        "theta": lambda s: array((6, s.d)),
        "ridge": lambda s: positive,
        "weights": lambda s: array((7,), positive),
        "condition": lambda s: positive,
    },
    "regression.Denoiser.*": {
        "self": lambda s: st.builds(
            lambda ridge: linear_model(s.d).retrain(np.ones_like, ridge), positive
        ),
        "log_snr": ROW,
    },
    "figures.SignedArea.*": {
        "self": lambda s: st.builds(lambda: figures.SignedArea(axes(), "data"))
    },
    "figures.SignedArea.set": {"x": lambda s: array((3,)), "y": lambda s: array((3,))},
    "figures.Pixels.set": {
        "self": lambda s: st.builds(lambda: figures.Pixels(axes())),
        "grid": lambda s: st.just(np.zeros((2, 3, 3), np.uint8)),
    },
    "figures.line": {"x": lambda s: array((3,)), "y": lambda s: array((3,))},
    "figures.Ridges": {"x": lambda s: st.just(np.arange(3.0)), "n": lambda s: st.just(2)},
    "figures.Ridges.*": {
        "self": lambda s: st.builds(lambda: figures.Ridges(axes(), 2, np.arange(3.0)))
    },
    "figures.title": {"words": lambda s: st.just("a title")},
    "figures.snapped_limit": {
        "value": lambda s: st.floats(1e-6, 1e6),
        "steps": lambda s: st.just((1, 2, 5, 10)),
    },
    "live.slider": {"step": lambda s: st.just(1), "value": lambda s: st.integers(0, 1)},
    "live.equaliser": {"step": lambda s: st.just(1), "value": lambda s: st.integers(0, 1)},
    "live.Equaliser": {"step": lambda s: st.just(1), "value": lambda s: st.integers(0, 1)},
    "live.choice": {"value": lambda s: st.just("one")},
    "live.switch": {"value": lambda s: st.booleans()},
    "exercises.check": {"name": lambda s: st.just("01.1")},
    "exercises.verdict": {"name": lambda s: st.just("01.1")},
    "reporting.report": {"value": lambda s: st.just(0.1234), "noise": lambda s: st.just(1e-10)},
}
MAY_BE_INFINITE = {
    "schedules.Schedule.log_snr",  # at the ends of a schedule that is not cut
    "schedules.Schedule.log_snr_rate",
    "schedules.Schedule.beta",
    "metrics.kl_divergence",  # where p has mass and q has none
}


# --- What must hold where all arguments were right ---------------------------------------------


def close(a, b, tolerance=1e-9):
    scale = np.maximum(1, np.abs(b))
    assert (np.abs(np.asarray(a, float) - b) <= tolerance * scale).all(), (a, b)


def rounding(value, tolerance=1e-9):
    """The tolerance for a value that came in float32."""
    return 1e-4 if np.asarray(value).dtype == np.float32 else tolerance


def same_shape(result, **arguments):
    assert np.shape(result) == np.shape(arguments.get("z", arguments.get("log_snr")))


def amplitude_of(sign):
    def holds(result, log_snr):
        close(np.asarray(result, float) ** 2, expit(sign * log_snr), rounding(log_snr))

    return holds


def time_inverts(result, self, t):
    assert self.log_snr_min <= np.min(result) and np.max(result) <= self.log_snr_max
    close(self.time(result), t, rounding(t, 1e-6) * 100)


def level_inverts(result, self, log_snr):
    close(self.log_snr(result), log_snr, rounding(log_snr, 1e-6) * 100)


def rate_and_density(result, self, t):
    close(-result * self.density(self.log_snr(t)), 1, rounding(t, 1e-6) * 100)


def chain_kept(result, betas):
    assert (np.diff(result) < 0).all() and (result > 0).all()
    close(np.append(1, result[:-1]) * (1 - betas), result)


def masses_sum(result, w, log_snr):
    cells, atom = result
    close(cells.sum() + atom, weightings.evaluate(w, log_snr)[0])


def is_a_density(result, **arguments):
    assert (np.asarray(result) >= 0).all()


def between(low, high):
    def holds(result, **arguments):
        assert (low <= np.asarray(result)).all() and (np.asarray(result) <= high).all(), result

    return holds


def distance(function):
    """A distance is symmetric, not negative, and zero from a thing to itself."""

    def holds(result, a=None, b=None, p=None, q=None, **rest):
        first, second = (a, b) if p is None else (p, q)
        names = ("a", "b") if p is None else ("p", "q")
        again = function(**dict(zip(names, (second, first), strict=True)), **rest)
        nothing = function(**dict(zip(names, (first, first), strict=True)), **rest)
        assert result >= -1e-9
        close(again, result, 1e-7)
        close(nothing, 0, 1e-7)

    return holds


def gaussian_distance(function):
    def holds(result, mean_p, variance_p, mean_q, variance_q):
        assert (np.asarray(result) >= -1e-12).all()
        close(function(mean_p, variance_p, mean_p, variance_p), 0)

    return holds


def both_sides(result, w, curve, log_snr_min, log_snr_max):
    other = objectives.sum_of_elbos(w, curve, log_snr_min, log_snr_max)
    close(result, other, 1e-3)  # 41 levels


def score_and_noise(result, self, z, log_snr):
    close(result, -schedules.sigma(log_snr) * self.score(z, log_snr), 1e-7)


def tweedie(result, self, z, log_snr):
    a, s = schedules.alpha(log_snr), schedules.sigma(log_snr)
    close(a * result, z - s * self.eps(z, log_snr), 1e-6)


def loses_nothing(result, log_snr_from, log_snr_to):
    kept = (result.decay * schedules.alpha(log_snr_from)) ** 2
    close(kept, schedules.alpha(log_snr_to) ** 2, 1e-7)
    of_clean = (result.decay * schedules.sigma(log_snr_from)) ** 2 + result.noise**2
    close(of_clean, schedules.sigma(log_snr_to) ** 2, 1e-7)


def posterior_between(result, z, x, log_snr, log_snr_to):
    assert result[0].shape == z.shape
    assert (result[1] >= 0).all() and (result[1] <= schedules.sigma(log_snr_to) ** 2 + 1e-12).all()


def shrinks(result, x0, steps, variance):
    means, variances = result
    close(means[-1], np.prod(steps.decay) * x0)
    assert (variances >= 0).all() and len(variances) == len(steps.decay) + 1


def states_of(number):
    def holds(result, **arguments):
        first = arguments.get("x0", arguments.get("z_start"))
        assert len(result) == number(arguments)
        assert all(state.shape == first.shape for state in result)
        close(result[0], first, 0)

    return holds


def never_rises(result, **arguments):
    values = result(np.linspace(-9, 9, 91))
    assert (np.diff(values) <= 1e-9 * values.max()).all()


def above(result, w, log_snr_min, log_snr_max):
    levels = np.linspace(log_snr_min, log_snr_max, 91)
    assert (result(levels) >= weightings.evaluate(w, levels) * (1 - 1e-3)).all()
    never_rises(result)


def printed_one_line(result, **arguments):
    assert isinstance(result, str) and "\n" not in result and "0x7" not in result


def cumulative_is_linear(result, self, t):
    above = [self.density(x) * 1 for x in np.ravel(result)]
    assert min(above) > 0
    assert self.log_snr_min <= np.min(result) and np.max(result) <= self.log_snr_max


convert_again = FOUND["parameterization.convert"]
HOLDS = {
    "schedules.alpha": amplitude_of(1),
    "schedules.sigma": amplitude_of(-1),
    "schedules.Schedule.log_snr": time_inverts,
    "schedules.Schedule.time": level_inverts,
    "schedules.Schedule.log_snr_rate": rate_and_density,
    "schedules.Schedule.density": is_a_density,
    "schedules.Schedule.beta": is_a_density,
    "schedules.alpha_bar": chain_kept,
    "schedules.discrete_betas": between(0, 1),
    "schedules.log_snr_from_alpha_bar": lambda result, alpha_bar: close(
        expit(np.asarray(result, float)), alpha_bar, rounding(alpha_bar)
    ),
    "parameterization.convert": lambda result, value, z, log_snr, source, target: close(
        convert_again(result, z, log_snr, target, source), value, 1e-5
    ),
    "parameterization.eps_loss_to": is_a_density,
    "mixtures.GaussianMixture.score": same_shape,
    "mixtures.GaussianMixture.eps": score_and_noise,
    "mixtures.GaussianMixture.denoise": tweedie,
    "mixtures.GaussianMixture.posterior_variance": is_a_density,
    "mixtures.GaussianMixture.diffuse": lambda result, self, log_snr: close(
        result.means, schedules.alpha(log_snr) * self.means
    ),
    "processes.transition": loses_nothing,
    "processes.posterior": posterior_between,
    "processes.moments": shrinks,
    "processes.forward_states": states_of(lambda given: len(given["steps"].decay) + 1),
    "processes.chain_states": states_of(lambda given: len(given["betas"]) + 1),
    "processes.sample_states": states_of(lambda given: len(given["log_snr_grid"])),
    "weightings.Weighting.__call__": is_a_density,
    "weightings.level_masses": masses_sum,
    "weightings.upper_envelope": above,
    "weightings.is_monotone": lambda result, **given: between(0, 1)(result),
    "weightings.peak": lambda result, w, log_snr_min, log_snr_max: between(
        log_snr_min, log_snr_max
    )(result),
    "weightings.sample_levels": lambda result, w, n, rng, log_snr_min, log_snr_max: between(
        log_snr_min, log_snr_max
    )(result),
    "objectives.weighted_loss": both_sides,
    "objectives.step_kl": lambda result, noise_error, log_snr, log_snr_to: close(
        np.sign(result), np.sign(np.asarray(log_snr_to, float) - log_snr), 0
    ),
    "objectives.elbo_terms": lambda result, **given: between(0, np.inf)(result.diffusion),
    "objectives.path_and_marginal_kl": lambda result, **given: between(0, np.inf)(
        np.diff([result.path, result.excess])
    ),
    "estimators.DensitySchedule.log_snr": cumulative_is_linear,
    "estimators.draw_variance": is_a_density,
    "estimators.least_variance": is_a_density,
    "metrics.total_variation": distance(metrics.total_variation),
    "metrics.kl_divergence": is_a_density,
    "metrics.wasserstein_densities": distance(metrics.wasserstein_densities),
    "metrics.wasserstein": distance(metrics.wasserstein),
    "metrics.sliced_wasserstein": distance(metrics.sliced_wasserstein),
    "metrics.frechet": distance(metrics.frechet),
    "metrics.nearer_to_first": between(0, 1),
    "metrics.gaussian_kl": gaussian_distance(metrics.gaussian_kl),
    "metrics.gaussian_wasserstein": gaussian_distance(metrics.gaussian_wasserstein),
    "metrics.gaussian_total_variation": gaussian_distance(metrics.gaussian_total_variation),
    "regression.FourierFeatures.__call__": between(-1, 1),
    "regression.Denoiser.eps": same_shape,
    "regression.Denoiser.noise_error": is_a_density,
    "datasets.to_pixels": lambda result, x, white: between(0, white)(result),
    "datasets.blur": is_a_density,
    "figures.snapped_limit": lambda result, value, steps: between(0.999 * value, 10 * value)(
        result
    ),
    "exercises.verdict": printed_one_line,
}


# What these hold goes on to matplotlib or ipywidgets, or is a text: not ours to judge.
TRUSTED = {"ax", "figure", "label", "labels", "unit", "moving", "negative_label", "words", "height"}
TRUSTED |= {"margin", "orientation", "slide", "attempt", "meanings", "self"}


FUZZ = Fuzz(FOUND, RIGHT, AS, HOLDS, TRUSTED, MAY_BE_INFINITE)


@pytest.mark.parametrize("name", NAMES)
def test_right_values_are_known(name):
    FUZZ.right_values(name)


@pytest.mark.parametrize("name", NAMES)
@EVERYDAY
@given(data=st.data())
def test_finite_or_an_error_that_names_the_problem(name, data):
    FUZZ.keeps_the_contract(name, data)


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
@LONG
@given(data=st.data())
def test_many_more_arguments(name, data):
    FUZZ.keeps_the_contract(name, data)


# --- The contract itself on trial --------------------------------------------------------------


@pytest.mark.parametrize(
    ("breaks_it", "how"),
    [
        (lambda x: np.nan, "the result holds nan"),
        (lambda x: (1.0, np.array([np.inf])), "the result holds inf"),
        (lambda x: np.float64(1) / np.float64(0), "RuntimeWarning"),
        (lambda x: x["a"], "TypeError"),
        (lambda x: np.ones(2) + np.ones(3), "a library's words"),
        (lambda x: float("a"), "a library's words"),
        (lambda x: (y for y in [1.0, np.nan]), "the result holds nan"),
        (lambda x: weightings.Weighting(np.ones_like, "w") if x is None else {"a": np.nan}, "nan"),
    ],
)
def test_a_breach_of_the_contract_is_seen(breaks_it, how):
    with pytest.raises(Broken, match=how):
        outcome(breaks_it, {"x": 1.0})


def test_a_new_function_is_found_and_an_unknown_parameter_named(monkeypatch):
    assert {"schedules.alpha", "mixtures.GaussianMixture.score"} <= set(FOUND)
    assert not set(EXEMPT) - set(FOUND), "exempt, but no longer there"
    monkeypatch.setitem(FOUND, "schedules.new", lambda log_snr, whatsit: None)
    with pytest.raises(AssertionError, match=r"schedules.new.*'whatsit'"):
        FUZZ.right_values("schedules.new")
