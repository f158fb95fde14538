"""The weighting panel: what an objective weighs, what it samples, and where its loss comes from."""

import numpy as np

from course_utils.panels import _instrument as instrument
from course_utils.panels._instrument import LOWEST, compute, controls
from course_utils.widgets import figures, still
from course_utils.widgets.scene import Area, Axis, Band, Line, Plot, Rule, Scene

__all__ = ["chosen", "compute", "controls", "panel", "picture", "report", "simple"]
ALT = """Three plots over log-SNR, with the blur in km/s on top. Left: the weighting w, which can be
pulled, the density p with which the objective samples levels in training (dashed), and w before it
was bent (dotted), on a logarithmic axis. Middle: how fast w falls with log-SNR, hatched where it
rises; divided by w at the noise end this is the density of p_w. Right: the share of the galaxies'
weighted loss that each level earns; the dotted line marks a blur of 50 km/s."""
SIMPLE = """Two plots over log-SNR, with the blur in km/s on top. Left: the weighting w, which can
be pulled, and the density p with which the objective samples levels in training (dashed), on a
logarithmic axis. Right: the share of the galaxies' weighted loss that each level earns; the dotted
line marks a blur of 50 km/s."""
COARSE = {"objective": "sigmoid", "sigmoid_bias": 6.0, "shift": 3.0}
PRESETS = {
    "nothing in front of the ε-loss": {"objective": "cosine_eps"},
    "P2 with γ = 0": {"objective": "p2", "p2_gamma": 0.0},
    "Min-SNR-1": {"objective": "min_snr", "min_snr_gamma": 1.0},
    "EDM, its own λ": {"objective": "edm"},
    "EDM, λ for data of variance 1": {"objective": "edm", "unit_variance": True},
    "EDM, made monotone": {"objective": "edm", "monotone_lock": True},
    "ELBO of what is coarser than 50 km/s": COARSE,
    "all for the finest detail": {"objective": "elbo", "gains": (-2, -2, -2, -2, -1.5, 0, 2)},
}
FEW = {
    "nothing in front of the ε-loss": {"objective": "cosine_eps"},
    "ELBO: every level alike": {"objective": "elbo"},
    "flow matching": {"objective": "flow_matching"},
    "EDM": {"objective": "edm"},
}
SAID = {
    "headline": "{verdict}",
    "shown": ("median", "coarse"),
    "formats": {
        "verdict": "{}",
        "peak": "peak of w at λ = {:z.2f}",
        "convention": "{}",
        "median": "half of the loss lies below a blur of {:,.0f} km/s",
        "coarse": "earned at blurs above 50 km/s: {:.2%}",
        "negative_share": "ELBO terms with a minus sign: {:.2%} of the loss",
    },
}


def chosen(**state):
    """Return the weighting that a state spells, with 1 as its largest value."""
    return instrument.weighting(state).normalised()


def scene():
    """Declare the picture."""
    plots = [instrument.plot_of_w(1.25), instrument.plot_of_p_w(), instrument.plot_of_share()]
    return Scene([plots], height=290, alt=ALT, ghost=True)


def few():
    """Declare the picture of the simple form."""
    plots = [instrument.plot_of_w(1.25), instrument.plot_of_share()]
    return Scene([plots], height=290, alt=SIMPLE, ghost=True)


panel, picture = instrument.view_of(scene, {"objective": "cosine_eps"}, PRESETS, **SAID)
simple, _ = instrument.view_of(
    few,
    {"objective": "cosine_eps"},
    FEW,
    fold="more",
    headline="half of the loss lies below a blur of {median:,.0f} km/s",
    shown=("coarse",),
    formats={key: SAID["formats"][key] for key in ("median", "coarse")},
)


def report(found):
    """Return an ``Audit`` as a picture, with its report as the words.

    Left w and p, hatched where w rises with λ; then the share of the loss below each level; and
    where losses were given, the loss and its floor.
    """
    levels, weights = found.log_snr, found.weights
    shown = np.where(weights < LOWEST, np.nan, weights)
    rising = np.any([(levels >= a) & (levels <= b) for a, b, _ in found.rises], axis=0)
    x = Axis(levels[0], levels[-1], "log-SNR λ     ← noise        data →")
    lines = [
        Band(levels, LOWEST, np.where(rising, weights, LOWEST), hatched=True, meaning="negative"),
        Line(levels, shown, meaning="weight", label="w", width=3),
        Line(levels, found.density / found.density.max(), meaning="exact", dash="dash", label="p"),
    ]
    half = float(np.interp(0.5, found.loss, levels))
    earned = [Area(levels, found.loss), Rule(half, dash="dot", meaning="exact", label="half")]
    plots = [
        Plot("what it weighs, and draws", x, Axis(LOWEST, 3, "w(λ)", scale="log"), lines, 1.2),
        Plot("where its loss is earned", x, Axis(0, 1, "share of the loss below λ"), earned),
    ]
    if excess := found.excess:
        both = [
            Line(excess.log_snr, excess.floor + excess.excess, meaning="model", label="loss"),
            Line(excess.log_snr, excess.floor, meaning="data", label="floor"),
        ]
        most = float(np.max(excess.floor + excess.excess))
        y = Axis(0, 1.05 * most, "loss of the prediction")
        plots.append(Plot("the loss and its floor", x, y, both))
    drawn = still.figure(Scene([plots], height=290, alt="report"), {})
    return figures.show(drawn, f"The report as a picture. {found}")
