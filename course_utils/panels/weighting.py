"""The weighting panel: what an objective weighs, what it samples, and where its loss comes from."""

import numpy as np
from scipy.integrate import cumulative_trapezoid

from course_utils import figures, live
from course_utils.datasets import blur, velocity_scale
from course_utils.panels._galaxies import error_curve
from course_utils.panels._weighting_controls import weighting, weighting_controls
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, Cosine
from course_utils.weightings import PUBLISHED, is_monotone, level_masses, peak

ALT = (
    "Three plots. Left: the weighting w over log-SNR, and the density p with which the objective "
    "samples levels in training, both divided by their largest value. Middle: the share of the "
    "galaxies' weighted loss that each level earns; the dotted line marks a blur of 50 km/s. "
    "Right: dw/dt over the time of the cosine schedule, hatched where it is negative."
)
FINE = 50.0  # km/s: the size of the measurement errors, below which structure is not astronomy
SPAN = (LOG_SNR_MIN, LOG_SNR_MAX)


def panel(**start):
    """Return the live panel; ``start`` sets controls, such as objective="edm"."""
    figure, update = _drawing()
    controls = weighting_controls("cosine_eps")
    for name, value in start.items():
        controls[name].value = value
    return live.Panel(
        figure,
        update,
        controls,
        alt=ALT,
        formats={
            "verdict": "{}",
            "peak": "peak of w at λ = {:z.2f}",
            "median": "half of the loss lies below a blur of {:,.0f} km/s",
            "coarse": "{:.2%} of it at blurs above 50 km/s",
            "negative": "negative part of p_w: {:.4f} of its total variation",
        },
    )


def figure(**values):
    """Return the panel's picture at the given values of its controls, as a PIL image."""
    shown = panel()
    shown.set(**values)
    picture = shown.picture
    shown.close()
    return picture


def compute(objective, shift, monotone_lock, gains):
    """Return the numbers in the panel's text, and the weighting, for the values of its controls."""
    w = weighting(objective, shift, monotone_lock, gains, *SPAN)
    levels, error, _ = error_curve().between()
    cumulative = cumulative_trapezoid(w(levels) * error, levels, initial=0)
    cumulative /= cumulative[-1]
    cells, atom = level_masses(w, levels)
    monotone = is_monotone(w, *SPAN)
    verdict = "w is monotone" if monotone else "w is not monotone: it rises with λ somewhere"
    variation = np.abs(cells).sum() + atom
    results = {
        "verdict": verdict,
        "peak": peak(w, *SPAN),
        "median": float(blur(np.interp(0.5, cumulative, levels))),
        "coarse": float(np.interp(2 * np.log(velocity_scale() / FINE), levels, cumulative)),
        "negative": 0.0 if monotone else float(-np.minimum(cells, 0).sum() / variation),
    }
    return results, w


def _drawing():
    figure, (of_w, of_loss, of_rate) = figures.new_figure(1, 3, size=(9.4, 3.3))
    figures.level_axis(of_w, *SPAN)
    figures.title(of_w, "what is weighed, what is sampled")
    of_w.set_ylim(-0.04, 1.3)
    w_line = figures.line(of_w, [], [], "weight", label="w(λ)", moving=True, linewidth=3)
    # thin and on top: for an ε-loss the two coincide
    density = figures.line(of_w, [], [], "exact", label="p(λ)", moving=True, linestyle="--")
    of_w.legend(handles=[w_line, density], loc="upper right", ncols=2, frameon=False)

    figures.level_axis(of_loss, *SPAN)
    figures.title(of_loss, "where the loss comes from")
    of_loss.set_ylabel("share per unit of λ")
    of_loss.axvline(2 * np.log(velocity_scale() / FINE), color="black", ls=":", lw=1.2)
    share = figures.SignedArea(of_loss, "data", moving=True)

    figures.title(of_rate, "dw/dt on the cosine schedule")
    of_rate.set_xlim(0, 1)
    of_rate.set_xlabel("time t     ← data        noise →")
    of_rate.axhline(0, color="black", lw=0.6)
    rate = figures.SignedArea(
        of_rate, "mixture", label="rises", negative_label="falls", moving=True
    )
    of_rate.legend(
        handles=[rate.above, rate.below], loc="upper center", ncols=2, frameon=False, title="w in t"
    )
    levels = np.linspace(*SPAN, 401)
    errors = error_curve().at(levels)[0]
    schedule = Cosine(log_snr_min=SPAN[0], log_snr_max=SPAN[1])
    t = np.linspace(0, 1, 401)
    levels_of_t = schedule.log_snr(t)
    of_rate.set_ylim(-15, 15)
    figures.freeze_layout(figure)

    def update(**values):
        results, w = compute(**values)
        heights, sampled = w(levels), PUBLISHED[values["objective"]].density(levels)
        w_line.set_data(levels, heights)
        density.set_data(levels, sampled / sampled.max())
        earned = heights * errors
        earned = earned / np.trapezoid(earned, levels)
        share.set(levels, earned)
        slope = np.gradient(w(levels_of_t), t)
        rate.set(t, slope)
        limits = (0, figures.snapped_limit(earned.max() * 1.1))
        if of_loss.get_ylim() != limits:
            of_loss.set_ylim(limits)
        swing = figures.snapped_limit(max(1.4 * np.abs(slope).max(), 1))
        if of_rate.get_ylim() != (-swing, swing):
            of_rate.set_ylim(-swing, swing)
        return results

    return figure, update
