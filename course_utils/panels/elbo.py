"""The ELBO panel: bend the schedule; the loss stands still, the spread of its estimates moves."""

from functools import cache

import numpy as np

from course_utils._checks import frozen
from course_utils.datasets import galaxies
from course_utils.elbo import loss_draws, weighted_loss
from course_utils.panels._galaxies import error_curve, galaxies_mixture, ideal_eps
from course_utils.panels._view import level_axis, view
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, Cosine, FlowMatching, LinearBeta
from course_utils.variance import DensitySchedule, ErrorMoments, draw_variance, least_variance
from course_utils.weightings import Weighting, bent
from course_utils.widgets.controls import Slider, bars, choice
from course_utils.widgets.scene import Area, Axis, Bars, Handle, Line, Plot, Rule, Scene, Words

ALT = (
    "Four plots. Top left: what each level adds to the loss of the galaxies; its area is the loss. "
    "Top right: the histogram of 80 estimates of the loss from 25 random draws each, with the "
    "exact value as a line and the standard error of one estimate as a bar. Bottom left, "
    "logarithmic, over the same levels: the density p with which the schedule samples them, "
    "dashed, whose dots can be pulled, and the density of least variance, dotted. Bottom right: "
    "the schedule, log-SNR over time, falling from λ_max to λ_min; dotted, the straight line."
)
KNOTS = (-8, -4, 0, 4, 8)
BATCHES, BATCH = 80, 25
REACH = 12.0  # nats: where the histogram ends; one more bar counts the estimates above it
EDGES = np.linspace(0, REACH, 33)
TIMES = np.linspace(0, 1, 201)
SPAN = {"log_snr_min": LOG_SNR_MIN, "log_snr_max": LOG_SNR_MAX}
NAMED = {
    "cosine": Cosine(**SPAN),
    "flow_matching": FlowMatching(**SPAN),
    "linear_beta": LinearBeta(**SPAN),
}
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
BEND = "bend p: more or less time at each level"
CONTROLS = {
    "schedule": choice("schedule", SCHEDULES),
    "weight": choice("weight at time t", WEIGHTS),
    "log_snr_min": Slider("λ_min", LOG_SNR_MIN, -4.0, 0.5, LOG_SNR_MIN),
    "log_snr_max": Slider("λ_max", 4.0, LOG_SNR_MAX, 0.5, LOG_SNR_MAX),
    "gains": bars([f"λ = {knot}" for knot in KNOTS], -1.5, 1.5, 0.1, 0.0, BEND, "powers of ten"),
}


def compute(schedule, weight, gains, log_snr_min, log_snr_max):
    """Return the numbers; λ at ``TIMES``, three curves over 201 ``levels``, and the estimates."""
    span = (log_snr_min, log_snr_max)
    by_hand = bent_schedule(schedule, gains, *span)
    at = by_hand.levels
    w = np.ones_like if weight == "level" else _held(by_hand)
    draws = loss_draws(w, _eps, *_random_numbers(), by_hand)
    loss = elbo = weighted_loss(np.ones_like, error_curve(), *span)
    if weight == "time":  # by the trapezoid rule on the schedule's grid, where w has its kinks
        loss = float(np.trapezoid(w(at) * moments().at(at)[0], at) / 2)
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
        "low": log_snr_min,
        "high": log_snr_max,
        "log_snr": by_hand.log_snr(TIMES),
        "straight": span[::-1],
        "levels": levels,
        "added": w(levels) * mean / 2,
        "sampled": sampled,
        "best": best / np.trapezoid(best, levels),
        "at_knots": np.interp(KNOTS, levels, sampled, left=np.nan, right=np.nan),
        "estimates": estimates,
        "counts": np.histogram(estimates, EDGES)[0],
        "above": [numbers["beyond"]],
        "remark": f"{numbers['beyond']} lie above 12 nats" if numbers["beyond"] else "",
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
        return NAMED[schedule].density(levels)
    mean, second = moments().at(levels)
    return mean if schedule == "adaptive" else np.sqrt(second)


def _held(schedule):
    """The w of the straight line's weight at each time: the schedule's density, its mean 1."""
    levels, heights = schedule.levels, schedule.heights
    scale = np.ptp(levels) / np.trapezoid(heights, levels)
    return lambda log_snr: np.interp(log_snr, levels, scale * heights)


def _eps(z, log_snr):
    """The ideal denoiser of z [n, 1] at levels [n, 1]."""
    return ideal_eps()(z[:, 0], log_snr[:, 0])[:, None]


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
    by_level = Plot(
        "the loss by level: ½ w(λ) e(λ)",
        level_axis(LOG_SNR_MIN, LOG_SNR_MAX),
        Axis(0, 0.5, "nats per unit of λ", settle=True),
        [Area("levels", "added", meaning="data")],
        cursor="λ",
    )
    more = (REACH + 0.3, REACH + 0.7)  # the place of the bar for what is above
    ticks = (*(0, 3, 6, 9, 12), (REACH + 1, "more"))
    estimates = Plot(
        f"{BATCHES} estimates, {BATCH} draws each",
        Axis(0, REACH + 1, "estimate of the loss, nats", ticks=ticks),
        Axis(0, 26, "number of estimates", settle=True),
        [
            Bars(EDGES, "counts", meaning="level"),
            Bars(more, "above", meaning="negative"),
            Rule("elbo", meaning="exact", dash="dot", label="ELBO"),
            Rule("loss", meaning="data", width=1.8, label="loss"),
            Line("reach", (24, 24), meaning="data", width=4, alpha=0.6),
            Words(0.98, 0.72, "standard error {spread:.2f}", align="right"),
            Words(0.98, 0.58, "{remark}", align="right"),
        ],
    )
    density = Plot(
        "how often a level is drawn",
        level_axis(LOG_SNR_MIN, LOG_SNR_MAX),
        Axis(1e-4, 1, "share per unit of λ", scale="log"),
        [
            Line("levels", "best", meaning="exact", dash="dot", width=1.4, label="best p"),
            Line("levels", "sampled", meaning="level", dash="dash", label="p"),
            Handle("gains", x=KNOTS, y="at_knots", along="y", grip="knots", meaning="level"),
        ],
        cursor="λ",
    )
    schedule = Plot(
        "the schedule λ(t)",
        Axis(0, 1, "time t     ← data        noise →"),
        Axis(LOG_SNR_MIN - 0.8, LOG_SNR_MAX + 0.8, "log-SNR λ", ticks=(-10, -5, 0, 5, 10)),
        [
            Line((0, 1), "straight", meaning="noise", dash="dot", width=1.2, label="straight line"),
            Line(TIMES, "log_snr", meaning="level"),
            Handle("log_snr_max", x=0, y="high", along="y", meaning="exact"),
            Handle("log_snr_min", x=1, y="low", along="y", meaning="exact"),
        ],
    )
    rows = [[by_level, estimates], [density, schedule]]
    return Scene(rows, height=(210, 200), alt=ALT)


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
