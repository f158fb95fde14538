"""The ELBO panel: bend the schedule; the loss stands still, the spread of its estimates moves."""

from functools import cache

import numpy as np

from course_utils._checks import frozen
from course_utils.datasets import galaxies
from course_utils.elbo import loss_draws
from course_utils.panels._galaxies import galaxies_mixture, ideal_eps
from course_utils.panels._view import SPAN, knots, over_levels, view
from course_utils.schedules import Cosine, FlowMatching, LinearBeta
from course_utils.variance import DensitySchedule, ErrorMoments, draw_variance, least_variance
from course_utils.weightings import Weighting, bent
from course_utils.widgets.controls import Slider, choice
from course_utils.widgets.scene import Area, Axis, Bars, Handle, Line, Plot, Rule, Scene

ALT = """Four plots. Top left: what each level adds to the loss of the galaxies; its area is the
loss. Top right: the histogram of 80 estimates of the loss from 25 random draws each, with the exact
value as a line and the standard error of one estimate as a bar. Bottom left, logarithmic, over the
same levels: the density p with which the schedule samples them, dashed, whose dots can be pulled,
and the density of least variance, dotted. Bottom right: the schedule, log-SNR over time, falling
from λ_max to λ_min; dotted, the straight line."""
KNOTS = (-8, -4, 0, 4, 8)
BATCHES, BATCH = 80, 25
REACH = 12.0  # nats: where the histogram ends; one more bar counts the estimates above it
EDGES = np.linspace(0, REACH, 33)
TIMES = np.linspace(0, 1, 201)
LOW, HIGH = SPAN
NAMED = {"cosine": Cosine, "flow_matching": FlowMatching, "linear_beta": LinearBeta}
SCHEDULES = [
    ("straight line: λ uniform", "straight"),
    ("cosine", "cosine"),
    ("flow matching", "flow_matching"),
    ("linear β", "linear_beta"),
    ("adaptive: p ∝ w E[e]", "adaptive"),
    ("optimal: p ∝ w √E[e²]", "optimal"),
]
WEIGHTS = [
    ("its own −½ dλ/dt: w(λ) = 1", "level"),
    ("held at that of the straight line", "time"),
]
CONTROLS = {
    "schedule": choice("schedule", SCHEDULES),
    "weight": choice("weight at time t", WEIGHTS),
    "log_snr_min": Slider("λ_min", LOW, -4.0, 0.5, LOW),
    "log_snr_max": Slider("λ_max", 4.0, HIGH, 0.5, HIGH),
    "gains": knots("bend p: more or less time at each level", KNOTS, 1.5),
}


def compute(schedule, weight, gains, log_snr_min, log_snr_max):
    """Return the numbers; λ at ``TIMES``, three curves over 201 ``levels``, and the counts."""
    span = (log_snr_min, log_snr_max)
    by_hand = bent_schedule(schedule, gains, *span)
    at = by_hand.levels
    w = np.ones_like if weight == "level" else _held(by_hand)
    draws = loss_draws(w, ideal_eps(), *_random_numbers(), by_hand)
    error = moments().at(at)[0]  # by the trapezoid rule on the schedule's grid, where w has kinks
    elbo, loss = (float(np.trapezoid(weights * error, at) / 2) for weights in (1.0, w(at)))
    variance, least = draw_variance(w, moments(), by_hand), least_variance(w, moments(), *span)
    estimates = draws.reshape(BATCHES, BATCH).mean(axis=1)
    verdict = "the loss is the ELBO's, whatever the schedule"
    if abs(loss - elbo) >= 5e-5:
        verdict = "the loss has moved: another w(λ), no longer the ELBO"
    numbers = {
        "verdict": verdict,
        "loss": loss,
        "elbo": elbo,
        "spread": float(np.sqrt(variance / BATCH)),
        "ratio": variance / least,
        "estimate": float(draws.mean()),
        "standard_error": float(np.sqrt(variance / draws.size)),
        "variance": variance,
        "beyond": int((estimates > REACH).sum()),
    }
    levels = np.linspace(*span, 201)
    mean, second = moments().at(levels)
    best = w(levels) * np.sqrt(second)
    sampled = by_hand.density(levels)
    arrays = {
        "log_snr": by_hand.log_snr(TIMES),
        "straight": span[::-1],
        "levels": levels,
        "added": w(levels) * mean / 2,
        "sampled": sampled,
        "best": best / np.trapezoid(best, levels),
        "at_knots": np.interp(KNOTS, levels, sampled, left=np.nan, right=np.nan),
        "counts": np.histogram(estimates, EDGES)[0],
        "reach": loss + numbers["spread"] * np.array([-1, 1]),
    }
    return numbers, arrays


def bent_schedule(schedule, gains, log_snr_min, log_snr_max):
    """Return the schedule between its two ends, with the time at each level multiplied by hand."""
    levels = np.linspace(log_snr_min, log_snr_max, 2001)
    factor = bent(Weighting(np.ones_like, "1"), KNOTS, gains)(levels)
    return DensitySchedule(levels, _density(schedule, levels) * factor)


def _density(schedule, levels):
    """How a named schedule spends its time over the levels, but for the scale."""
    if schedule == "straight":
        return np.ones_like(levels)
    if schedule in NAMED:
        return NAMED[schedule](log_snr_min=LOW, log_snr_max=HIGH).density(levels)
    mean, second = moments().at(levels)
    return mean if schedule == "adaptive" else np.sqrt(second)


def _held(schedule):
    """The w of the straight line's weight at each time: the schedule's density, its mean 1."""
    levels, heights = schedule.levels, schedule.heights
    scale = np.ptp(levels) / np.trapezoid(heights, levels)
    return lambda log_snr: np.interp(log_snr, levels, scale * heights)


@cache
def moments():
    """Return the moments of the galaxies' squared error under their own ideal denoiser."""
    return ErrorMoments.from_mixtures(galaxies_mixture(), tolerance=1e-6)


@cache
def _random_numbers():
    """(x, ε, t) of all draws: the same at every movement, so that only the schedule acts."""
    rng, n = np.random.default_rng(0), BATCHES * BATCH
    x = galaxies()[rng.integers(len(galaxies()), size=n)]
    return frozen(x), frozen(rng.standard_normal((n, 1))), frozen(rng.random(n))


def scene():
    """Return the scene: the loss and p over the levels, the estimates, and the schedule."""
    y = Axis(0, 0.5, "nats per unit of λ", settle=True)
    by_level = over_levels("the loss by level: ½ w(λ) e(λ)", y, [Area("levels", "added")])
    more = (REACH + 0.3, REACH + 0.7)  # the place of the bar for what is above
    ticks = (*(0, 3, 6, 9, 12), (REACH + 1, "more"))
    estimates = Plot(
        f"{BATCHES} estimates, {BATCH} draws each",
        Axis(0, REACH + 1, "estimate of the loss, nats", ticks=ticks),
        Axis(0, 26, "number of estimates", settle=True),
        [
            Bars(EDGES, "counts", meaning="level"),
            Bars(more, ("beyond",), meaning="negative"),
            Rule("elbo", meaning="exact", dash="dot", label="ELBO"),
            Rule("loss", meaning="data", width=1.8, label="loss"),
            Line("reach", (24, 24), meaning="data", width=4, label="± its standard error"),
        ],
    )
    density = over_levels(
        "how often a level is drawn",
        Axis(1e-4, 1, "share per unit of λ", scale="log"),
        [
            Line("levels", "best", meaning="exact", dash="dot", width=1.4, label="best p"),
            Line("levels", "sampled", meaning="level", dash="dash", label="p"),
            Handle("gains", x=KNOTS, y="at_knots", along="y", grip="knots", meaning="level"),
        ],
    )
    schedule = Plot(
        "the schedule λ(t)",
        Axis(0, 1, "time t     ← data        noise →"),
        Axis(LOW - 0.8, HIGH + 0.8, "log-SNR λ", ticks=(-10, -5, 0, 5, 10)),
        [
            Line((0, 1), "straight", meaning="noise", dash="dot", width=1.2, label="straight line"),
            Line(TIMES, "log_snr", meaning="level"),
            Handle("log_snr_max", x=0, y="log_snr_max", along="y", meaning="exact"),
            Handle("log_snr_min", x=1, y="log_snr_min", along="y", meaning="exact"),
        ],
    )
    return Scene([[by_level, estimates], [density, schedule]], height=(210, 200), alt=ALT)


panel, picture = view(
    CONTROLS,
    compute,
    scene,
    formats={
        "verdict": "{}",
        "loss": "loss {:.4f} nats",
        "elbo": "ELBO's diffusion term {:.4f} nats",
        "spread": f"standard error of an estimate from {BATCH} draws {{:.2f}} nats",
        "ratio": "variance: {:.2f} times the least possible",
        "estimate": f"mean of all {BATCHES * BATCH} draws {{:.3f}} nats",
        "standard_error": "standard error of that mean {:.3f} nats",
        "variance": "variance of one draw {:,.1f}",
        "beyond": f"estimates above {REACH:g} nats: {{}} of {BATCHES}",
    },
    headline="{verdict}",
    shown=("loss", "elbo", "spread", "ratio"),
)
