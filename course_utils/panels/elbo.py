"""The ELBO panel: bend the schedule; the loss stands still, the spread of its estimates moves."""

from functools import cache

import numpy as np

from course_utils._checks import frozen
from course_utils.datasets import galaxies
from course_utils.elbo import loss_draws, weighted_loss
from course_utils.panels._galaxies import error_curve, galaxies_mixture
from course_utils.panels._view import bars, moving_line
from course_utils.panels._view import old_view as view
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, Cosine, FlowMatching, LinearBeta
from course_utils.variance import DensitySchedule, ErrorMoments, draw_variance, least_variance
from course_utils.weightings import Weighting, bent
from course_utils.widgets import figures
from course_utils.widgets.old_controls import Equaliser, choice, slider

ALT = (
    "Three plots. Left: the schedule, log-SNR over time, falling from λ_max to λ_min; dotted, the "
    "straight line. Middle: what each level adds to the loss of the galaxies, whose area is the "
    "loss, and above it two curves without scale: the density p with which the schedule samples "
    "levels (dashed) and the density of least variance (dotted). Right: the histogram of 80 "
    "estimates of the loss from 25 random draws each, with the exact value as a line and its "
    "error bar."
)
KNOTS = (-8, -4, 0, 4, 8)
BATCHES, BATCH = 80, 25
REACH = 12.0  # nats: where the histogram ends; estimates above it are counted in its last bar
TIMES = np.linspace(0, 1, 801)
SPAN = {"log_snr_min": LOG_SNR_MIN, "log_snr_max": LOG_SNR_MAX}
NAMED = {
    "cosine": Cosine(**SPAN),
    "flow_matching": FlowMatching(**SPAN),
    "linear_beta": LinearBeta(**SPAN),
}


def controls():
    """Return the panel's controls."""
    return {
        "schedule": choice(
            "schedule",
            [
                ("straight line: λ uniform", "straight"),
                ("cosine", "cosine"),
                ("flow matching", "flow_matching"),
                ("linear β", "linear_beta"),
                ("adaptive: p ∝ w E[e]", "adaptive"),
                ("optimal: p ∝ w √E[e²]", "optimal"),
            ],
        ),
        "weight": choice(
            "weight at time t",
            [
                ("its own −½ dλ/dt: w(λ) = 1", "level"),
                ("held at that of the straight line", "time"),
            ],
        ),
        "log_snr_min": slider("λ_min", LOG_SNR_MIN, -4.0, 0.5, LOG_SNR_MIN),
        "log_snr_max": slider("λ_max", 4.0, LOG_SNR_MAX, 0.5, LOG_SNR_MAX),
        "gains": Equaliser(
            [f"λ = {knot}" for knot in KNOTS],
            -1.5,
            1.5,
            0.1,
            0.0,
            label="bend the schedule: more or less time at each level",
            unit="powers of ten",
        ),
    }


def compute(schedule, weight, gains, log_snr_min, log_snr_max):
    """Return the numbers, and λ at ``TIMES``, three curves over 401 ``levels`` and the estimates.

    The curves: what each level adds to the loss, the density p of the schedule, and the density
    of least variance. ``estimates`` [80] are those of batches of 25 draws.
    """
    span = (log_snr_min, log_snr_max)
    by_hand = bent_schedule(schedule, gains, *span)
    w = np.ones_like if weight == "level" else _held(by_hand)
    draws = loss_draws(w, galaxies_mixture().eps, *_random_numbers(), by_hand)
    loss, elbo = weighted_loss(w, error_curve(), *span), _elbo(*span)
    variance, least = draw_variance(w, moments(), by_hand), least_variance(w, moments(), *span)
    still = weight == "level" or abs(loss - elbo) < 5e-5
    numbers = {
        "loss": loss,
        "elbo": elbo,
        "estimate": float(draws.mean()),
        "standard_error": float(np.sqrt(variance / draws.size)),
        "variance": variance,
        "ratio": variance / least,
        "verdict": "the loss is the ELBO's, whatever the schedule"
        if still
        else "the loss has moved: another w(λ), no longer the ELBO",
    }
    levels = np.linspace(*span, 401)
    mean, second = moments().at(levels)
    arrays = {
        "log_snr": by_hand.log_snr(TIMES),
        "levels": levels,
        "added": w(levels) * mean / 2,
        "sampled": by_hand.density(levels),
        "best": w(levels) * np.sqrt(second),  # but for its scale
        "estimates": draws.reshape(BATCHES, BATCH).mean(axis=1),
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


@cache
def moments():
    """Return the moments of the galaxies' squared error under their own ideal denoiser."""
    return ErrorMoments.from_mixtures(galaxies_mixture())


@cache
def _elbo(low, high):
    return weighted_loss(np.ones_like, error_curve(), low, high)


@cache
def _random_numbers():
    """(x, ε, t) of all draws: the same at every movement, so that only the schedule acts."""
    rng, n = np.random.default_rng(0), BATCHES * BATCH
    x = galaxies()[rng.integers(len(galaxies()), size=n)]
    return frozen(x), frozen(rng.standard_normal((n, 1))), frozen(rng.random(n))


def drawing():
    """Return the figure, and the function that shows what was computed in it."""
    figure, (of_time, of_level, of_estimates) = figures.new_figure(1, 3, size=(9.4, 3.5))
    figures.title(of_time, "the schedule λ(t)")
    of_time.set(xlim=(0, 1), ylim=(LOG_SNR_MIN - 0.8, LOG_SNR_MAX + 0.8))
    of_time.set(xlabel="time t     ← data        noise →", ylabel="log-SNR λ")
    of_time.set_yticks([-10, -5, 0, 5, 10])
    straight = moving_line(of_time, "noise", ls=":", lw=1.2)
    curve = moving_line(of_time, "level")
    ends = of_time.plot([0, 1], [0, 0], "o", color="black", ms=5, animated=True, clip_on=False)[0]

    figures.level_axis(of_level, LOG_SNR_MIN, LOG_SNR_MAX)
    figures.title(of_level, "the loss by level: ½ w(λ) e(λ)")
    of_level.set_ylabel("nats per unit of λ")
    of_level.set_ylim(0, 0.9)
    area = figures.SignedArea(of_level, "data", moving=True)
    density = moving_line(of_level, "level", ls="--")
    least = moving_line(of_level, "exact", ls=":", lw=1.2)
    of_level.legend([density, least], ["p(λ)", "best p(λ)"], loc="upper left")

    figures.title(of_estimates, f"{BATCHES} estimates, {BATCH} draws each")
    of_estimates.set(xlim=(0, REACH), ylim=(0, 36), xlabel="estimate of the loss, nats")
    of_estimates.set(ylabel="number of estimates", xticks=[0, 3, 6, 9, 12])
    edges = np.linspace(0, REACH, 33)
    histogram = bars(of_estimates, edges, "level", alpha=0.6)
    elbo_line = of_estimates.axvline(0, color="black", ls=":", lw=1.2, animated=True)
    value = of_estimates.axvline(0, color=figures.COLOURS["data"], lw=1.8, animated=True)
    bar = figures.line(of_estimates, [0, 1], [31, 31], "data", moving=True, marker="|", ms=9)
    words = of_estimates.text(
        0.98, 0.96, "", transform=of_estimates.transAxes, ha="right", va="top", animated=True
    )

    def show(numbers, log_snr, levels, added, sampled, best, estimates):
        low, high = levels[[0, -1]]
        curve.set_data(TIMES, log_snr)
        straight.set_data([0, 1], [high, low])
        ends.set_ydata([high, low])
        area.set(levels, added)
        top = figures.snapped_limit(max(1.5 * added.max(), 0.9))
        figures.set_limits(of_level, y=(0, top))
        for line, p in ((density, sampled), (least, best)):
            line.set_data(levels, 0.62 * top * p / p.max())
        histogram.set_data(np.histogram(np.minimum(estimates, REACH - 1e-9), edges)[0])
        spread = np.sqrt(numbers["variance"] / BATCH)
        value.set_xdata([numbers["loss"]] * 2)
        elbo_line.set_xdata([numbers["elbo"]] * 2)
        bar.set_xdata([numbers["loss"] - spread, numbers["loss"] + spread])
        words.set_text(f"{numbers['loss']:.2f} ± {spread:.2f}")

    return figure, show


panel, picture = view(
    controls,
    compute,
    drawing,
    alt=ALT,
    formats={
        "loss": "loss {:.4f} nats",
        "elbo": "ELBO's diffusion term {:.4f} nats",
        "estimate": f"mean of {BATCHES * BATCH} draws {{:.3f}}",
        "standard_error": "± {:.3f}",
        "variance": "variance of one draw {:.1f}",
        "ratio": "{:.2f} times the least possible",
        "verdict": "{}",
    },
)
