"""The weighting panel: what an objective weighs, what it samples, and where its loss comes from."""

import numpy as np
from scipy.integrate import cumulative_trapezoid

from course_utils.datasets import km_per_s, velocity_scale
from course_utils.elbo import negative_share
from course_utils.objectives import published
from course_utils.panels._galaxies import error_curve
from course_utils.panels._view import moving_line
from course_utils.panels._view import old_view as view
from course_utils.panels._weighting_controls import (
    FLAT,
    implied,
    own,
    parameter_controls,
    to_unit_variance,
    weighting,
    weighting_controls,
)
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN, Cosine
from course_utils.weightings import evaluate, is_monotone, peak
from course_utils.widgets import figures

ALT = (
    "Four plots. Top left: the weighting w over log-SNR, the density p with which the objective "
    "samples levels in training (dashed), and w before it was moved or bent (dotted), each divided "
    "by its largest value. Below it: the share of the galaxies' weighted loss that each level "
    "earns; the dotted line marks a blur of 50 km/s. Top right: the same w over the time of the "
    "cosine schedule. Below it: dw/dt, hatched where it is negative, on a scale "
    "that is stretched near zero."
)
SPAN = (LOG_SNR_MIN, LOG_SNR_MAX)
LEVELS, TIMES = np.linspace(*SPAN, 401), np.linspace(0, 1, 401)
COSINE = Cosine(log_snr_min=LOG_SNR_MIN, log_snr_max=LOG_SNR_MAX).log_snr(TIMES)
FINE = 2 * np.log(velocity_scale() / 50.0)  # 50 km/s, a supposed error of measurement

# Names without the published value of a parameter that here has a slider.
MOVABLE = {"p2": "P2", "min_snr": "Min-SNR", "sigmoid": "sigmoid"}
_PLAIN = {"shift": 0.0, "monotone_lock": False, "gains": FLAT, "unit_variance": False}
PRESETS = {
    "nothing in front of the ε-loss": {"objective": "cosine_eps"},
    "P2 with γ = 0": {"objective": "p2", "p2_gamma": 0.0},
    "Min-SNR-1": {"objective": "min_snr", "min_snr_gamma": 1.0},
    "EDM, its own λ": {"objective": "edm", "edm_data_sd": 0.5},
    "EDM, λ for data of variance 1": {
        "objective": "edm",
        "edm_data_sd": 0.5,
        "unit_variance": True,
    },
    "EDM, made monotone": {"objective": "edm", "edm_data_sd": 0.5, "monotone_lock": True},
    "ELBO of what is coarser than 50 km/s": {
        "objective": "sigmoid",
        "sigmoid_bias": 6.0,
        "shift": 3.0,
    },
    "all for the finest detail": {
        "objective": "elbo",
        "gains": (-2.0, -2.0, -2.0, -2.0, -1.5, 0.0, 2.0),
    },
}


def controls():
    """Return the panel's controls."""
    chosen = weighting_controls("cosine_eps", MOVABLE)
    objective = chosen.pop("objective")
    return {"objective": objective, **parameter_controls(objective), **chosen}


def chosen(objective, shift, monotone_lock, gains, unit_variance=False, **parameters):
    """Return the weighting w(λ) of the controls' values, with 1 as its largest value.

    ``parameters`` are those of ``objectives.published``; the others than the objective's own are
    ignored, and what is left out has its published value.
    """
    return weighting(
        objective, shift, monotone_lock, gains, *SPAN, unit_variance=unit_variance, **parameters
    )


def compute(objective, shift, monotone_lock, gains, unit_variance=False, **parameters):
    """Return the numbers, and w, p, w before it was moved and the share of the loss at ``LEVELS``.

    The last two arrays are w and dw/dt at ``TIMES`` of the cosine schedule. For the arguments see
    ``chosen``.
    """
    mine = own(objective, parameters)
    w = chosen(objective, shift, monotone_lock, gains, unit_variance, **mine)
    moved = to_unit_variance(unit_variance, **mine)
    heights = w(LEVELS)
    sampled = published(objective, **mine).density(LEVELS - moved)
    share = heights * error_curve().at(LEVELS)[0]
    over_time = w(COSINE)
    arrays = {
        "heights": heights,
        "sampled": sampled / sampled.max(),
        "before": implied(objective, **mine)(LEVELS),
        "share": share / np.trapezoid(share, LEVELS),
        "over_time": over_time,
        "slope": np.gradient(over_time, TIMES),
    }
    levels, error, _ = error_curve().between()
    fine = evaluate(w, levels)
    loss = cumulative_trapezoid(fine * error, levels, initial=0)
    monotone = is_monotone(w, *SPAN)
    numbers = {
        "verdict": _verdict(levels, fine, monotone),
        "peak": peak(w, *SPAN),
        **_convention(moved, **mine),
        "median": float(km_per_s(np.interp(loss[-1] / 2, loss, levels))),
        "coarse": float(np.interp(FINE, levels, loss) / loss[-1]),
        "negative": 0.0 if monotone else negative_share(lambda _: fine, error_curve()),
    }
    return numbers, arrays


def _verdict(levels, heights, monotone):
    """Say whether w is monotone and, if not, where it rises with λ."""
    if monotone:
        return "w is monotone"
    steps = np.diff(heights)
    # These levels are closer than those on which w was judged: a slow rise may be below 1e-9 in
    # each of the steps.
    rises = steps > min(1e-9 * heights.max(), steps.max() / 2)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], rises, [False]])))
    starts, stops = levels[edges[::2]], levels[edges[1::2]]
    if len(starts) > 1:
        return f"w is not monotone: it rises with λ in {len(starts)} places"
    return f"w is not monotone: it rises with λ from {starts[0]:z.1f} to {stops[0]:z.1f}"


def _convention(moved, edm_data_sd=None, **others):
    """Say which λ EDM's is; nothing for other objectives."""
    if edm_data_sd is None:
        return {}
    if moved:
        by = f"2 ln {edm_data_sd:g} = {moved:.2f}"
        return {"convention": f"λ for data of variance 1: EDM's −2 ln σ moved by {by}"}
    of = f"data of standard deviation {edm_data_sd:g}"
    return {"convention": f"λ = −2 ln σ as EDM has it, for {of}"}


def drawing():
    """Return the figure, and the function that shows what was computed in it."""
    figure, axes = figures.new_figure(
        2, 2, size=(9.4, 4.2), sharex="col", width_ratios=[1.25, 1], height_ratios=[1.15, 1]
    )
    (of_w, of_time), (of_loss, of_rate) = axes
    for ax in (of_w, of_loss):
        figures.level_axis(ax, *SPAN)
    of_w.set_xlabel("")
    figures.title(of_w, "what is weighed, what is sampled")
    of_w.set_ylim(-0.04, 1.3)
    start = moving_line(of_w, "noise", ls=":", lw=1.4)
    w_line = moving_line(of_w, "weight", lw=3)
    # thin and on top: for an ε-loss the two coincide
    density = moving_line(of_w, "exact", ls="--", lw=1.5)
    of_w.legend(
        [w_line, density, start], ["w(λ)", "p(λ)", "w before moving"], loc="upper right", ncols=3
    )

    figures.title(of_loss, "where the loss comes from")
    of_loss.set_ylabel("share per unit of λ")
    of_loss.axvline(FINE, color="black", ls=":", lw=1.2)
    of_loss.text(
        FINE - 0.2, 0.93, "50 km/s", ha="right", va="top", transform=of_loss.get_xaxis_transform()
    )
    earned = figures.SignedArea(of_loss, "data", moving=True)

    figures.title(of_time, "w(t) on the cosine schedule")
    of_time.set(ylim=(-0.04, 1.3), yticks=[0, 0.5, 1])
    w_of_time = moving_line(of_time, "weight", lw=3)
    figures.title(of_rate, "its slope dw/dt, stretched near zero")
    of_rate.set_xlim(0, 1)
    of_rate.set_xlabel("time t     ← data        noise →")
    of_rate.axhline(0, color="black", lw=0.6)
    rate = figures.SignedArea(
        of_rate, "mixture", label="w rises in t", negative_label="w falls in t", moving=True
    )
    of_rate.legend(handles=[rate.above, rate.below], loc="upper left", ncols=2)
    # A shallow fall must show beside a steep end; above 100 there is room for the legend.
    of_rate.set_yscale("asinh", linear_width=0.25)
    of_rate.set(ylim=(-400, 4000), yticks=[-100, -10, -1, 0, 1, 10, 100])
    of_rate.yaxis.set_major_formatter("{x:g}")

    def show(numbers, heights, sampled, before, share, over_time, slope):
        w_line.set_data(LEVELS, heights)
        density.set_data(LEVELS, sampled)
        start.set_data(LEVELS, before)
        start.set_visible(bool(np.abs(before - heights).max() > 1e-6))
        earned.set(LEVELS, share)
        w_of_time.set_data(TIMES, over_time)
        rate.set(TIMES, slope)
        figures.set_limits(
            of_loss, y=(0, figures.snapped_limit(share.max() * 1.1, steps=(1, 2, 4, 10)))
        )

    return figure, show


panel, picture = view(
    controls,
    compute,
    drawing,
    alt=ALT,
    presets={name: _PLAIN | values for name, values in PRESETS.items()},
    formats={
        "verdict": "{}",
        "peak": "peak of w at λ = {:z.2f}",
        "convention": "{}",
        "median": "half of the loss lies below a blur of {:,.0f} km/s",
        "coarse": "{:.2%} of it at blurs above 50 km/s",
        "negative": "ELBO terms with a minus sign: {:.2%} of the loss",
    },
)
