"""The ELBO panel: bend the schedule; the loss stands still, the spread of its estimates moves."""

from functools import cache, lru_cache

import numpy as np

from course_utils.datasets import galaxies
from course_utils.elbo import loss_draws, weighted_loss
from course_utils.panels._galaxies import error_curve, galaxies_mixture
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, Cosine, FlowMatching, LinearBeta
from course_utils.variance import DensitySchedule, ErrorMoments, draw_variance, least_variance
from course_utils.weightings import Weighting, bent
from course_utils.widgets import figures
from course_utils.widgets.controls import Equaliser, choice, slider
from course_utils.widgets.panel import Panel, snapshot

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
SPAN = {"log_snr_min": LOG_SNR_MIN, "log_snr_max": LOG_SNR_MAX}


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


def panel(**start):
    """Return the live panel; ``start`` sets controls, such as schedule="cosine"."""
    figure, update = _drawing()
    return Panel(
        figure,
        update,
        controls(),
        alt=ALT,
        start=start,
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


def picture(**values):
    """Return the panel's picture at the given values of its controls, as a PIL image."""
    return snapshot(panel(), **values)


def bent_schedule(schedule, gains, log_snr_min, log_snr_max):
    """Return the schedule between its two ends, with the time at each level multiplied by hand."""
    levels = np.linspace(log_snr_min, log_snr_max, 2001)
    factor = bent(Weighting(np.ones_like, "1"), KNOTS, gains)(levels)
    return DensitySchedule(levels, _base_density(schedule, log_snr_min, log_snr_max) * factor)


def compute(schedule, weight, gains, log_snr_min, log_snr_max):
    """Return the numbers in the panel's text, then (schedule, w, all draws), for its controls."""
    span = (log_snr_min, log_snr_max)
    by_hand = bent_schedule(schedule, gains, *span)
    # With the times held, w is the density scaled to a mean of 1 over the range.
    scale = (log_snr_max - log_snr_min) / np.trapezoid(by_hand.heights, by_hand.levels)

    def w(log_snr):
        held = weight == "time"
        p = by_hand.heights * scale
        return np.interp(log_snr, by_hand.levels, p) if held else np.ones_like(log_snr)

    draws = loss_draws(w, galaxies_mixture().eps, *_random_numbers(), by_hand)
    loss, elbo = weighted_loss(w, error_curve(), *span), _elbo(*span)
    variance, least = draw_variance(w, moments(), by_hand), least_variance(w, moments(), *span)
    still = weight == "level" or abs(loss - elbo) < 5e-5
    results = {
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
    return results, (by_hand, w, draws)


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
    return x, rng.standard_normal((n, 1)), rng.random(n)


@lru_cache(maxsize=64)  # 16 kB each, and a thousand settings
def _base_density(schedule, low, high):
    levels = np.linspace(low, high, 2001)
    if schedule in ("adaptive", "optimal"):
        mean, second = moments().at(levels)
        return mean if schedule == "adaptive" else np.sqrt(second)
    if schedule == "straight":
        return np.ones_like(levels)
    named = {"cosine": Cosine, "flow_matching": FlowMatching, "linear_beta": LinearBeta}[schedule]
    return named(**SPAN).density(levels)


def _drawing():
    figure, (of_time, of_level, of_estimates) = figures.new_figure(1, 3, size=(9.4, 3.5))
    t = np.linspace(0, 1, 801)
    figures.title(of_time, "the schedule λ(t)")
    of_time.set(xlim=(0, 1), ylim=(LOG_SNR_MIN - 0.8, LOG_SNR_MAX + 0.8))
    of_time.set(xlabel="time t     ← data        noise →", ylabel="log-SNR λ")
    of_time.set_yticks([-10, -5, 0, 5, 10])
    straight = figures.line(of_time, [], [], "noise", moving=True, linestyle=":", linewidth=1.2)
    curve = figures.line(of_time, t, t, "level", moving=True)
    ends = of_time.plot([0, 1], [0, 0], "o", color="black", ms=5, animated=True, clip_on=False)[0]

    figures.level_axis(of_level, LOG_SNR_MIN, LOG_SNR_MAX)
    figures.title(of_level, "the loss by level: ½ w(λ) e(λ)")
    of_level.set_ylabel("nats per unit of λ")
    of_level.set_ylim(0, 0.9)
    area = figures.SignedArea(of_level, "data", moving=True)
    sampled = figures.line(of_level, [], [], "level", moving=True, linestyle="--")
    best = figures.line(of_level, [], [], "exact", moving=True, linestyle=":", linewidth=1.2)
    of_level.legend([sampled, best], ["p(λ)", "best p(λ)"], loc="upper left")

    figures.title(of_estimates, f"{BATCHES} estimates, {BATCH} draws each")
    of_estimates.set(xlim=(0, REACH), ylim=(0, 36), xlabel="estimate of the loss, nats")
    of_estimates.set(ylabel="number of estimates", xticks=[0, 3, 6, 9, 12])
    edges = np.linspace(0, REACH, 33)
    bars = of_estimates.stairs(
        np.zeros(32), edges, fill=True, color=figures.COLOURS["level"], alpha=0.6, animated=True
    )
    elbo_line = of_estimates.axvline(0, color="black", ls=":", lw=1.2, animated=True)
    value = of_estimates.axvline(0, color=figures.COLOURS["data"], lw=1.8, animated=True)
    bar = figures.line(of_estimates, [0, 1], [31, 31], "data", moving=True, marker="|", ms=9)
    words = of_estimates.text(
        0.98, 0.96, "", transform=of_estimates.transAxes, ha="right", va="top", animated=True
    )
    figures.freeze_layout(figure)

    def update(**values):
        results, (schedule, w, draws) = compute(**values)
        low, high = values["log_snr_min"], values["log_snr_max"]
        curve.set_data(t, schedule.log_snr(t))
        straight.set_data([0, 1], [high, low])
        ends.set_ydata([high, low])

        levels = np.linspace(low, high, 401)
        mean, second = moments().at(levels)
        weight = w(levels)
        height = weight * mean / 2
        area.set(levels, height)
        top = figures.snapped_limit(max(1.5 * height.max(), 0.9))
        if of_level.get_ylim()[1] != top:
            of_level.set_ylim(0, top)
        for line, p in ((sampled, schedule.density(levels)), (best, weight * np.sqrt(second))):
            line.set_data(levels, 0.62 * top * p / p.max())

        estimates = np.minimum(draws.reshape(BATCHES, BATCH).mean(axis=1), REACH - 1e-9)
        bars.set_data(np.histogram(estimates, edges)[0])
        spread = np.sqrt(results["variance"] / BATCH)
        value.set_xdata([results["loss"]] * 2)
        elbo_line.set_xdata([results["elbo"]] * 2)
        bar.set_xdata([results["loss"] - spread, results["loss"] + spread])
        words.set_text(f"{results['loss']:.2f} ± {spread:.2f}")
        return results

    return figure, update
