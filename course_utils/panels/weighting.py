"""The weighting panel: what an objective weighs, what it samples, and where its loss comes from."""

from course_utils.panels._instrument import (
    compute,
    controls,
    plot_of_p_w,
    plot_of_share,
    plot_of_w,
    presets,
    view_of,
    weighting,
)
from course_utils.widgets.scene import Scene

__all__ = ["chosen", "compute", "controls", "panel", "picture", "simple"]
ALT = (
    "Three plots over log-SNR, with the blur in km/s on top. Left: the weighting w, which can be "
    "pulled, the density p with which the objective samples levels in training (dashed), and w "
    "before it was bent (dotted), on a logarithmic axis. Middle: the density of p_w, the rate at "
    "which w rises in time, hatched where it falls. Right: the share of the galaxies' weighted "
    "loss that each level earns; the dotted line marks a blur of 50 km/s."
)
SIMPLE = (
    "Two plots over log-SNR, with the blur in km/s on top. Left: the weighting w, which can be "
    "pulled, and the density p with which the objective samples levels in training (dashed), on a "
    "logarithmic axis. Right: the share of the galaxies' weighted loss that each level earns; the "
    "dotted line marks a blur of 50 km/s."
)
PRESETS = {
    "nothing in front of the ε-loss": {"objective": "cosine_eps"},
    "P2 with γ = 0": {"objective": "p2", "p2_gamma": 0.0},
    "Min-SNR-1": {"objective": "min_snr", "min_snr_gamma": 1.0},
    "EDM, its own λ": {"objective": "edm"},
    "EDM, λ for data of variance 1": {"objective": "edm", "unit_variance": True},
    "EDM, made monotone": {"objective": "edm", "monotone_lock": True},
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
    return weighting(state).normalised()


def scene():
    """Declare the picture."""
    plots = [plot_of_w(1.25), plot_of_p_w(), plot_of_share()]
    return Scene([plots], height=290, alt=ALT, ghost=True)


def few():
    """Declare the picture of the simple form."""
    return Scene([[plot_of_w(1.25), plot_of_share()]], height=290, alt=SIMPLE, ghost=True)


panel, picture = view_of(scene, {"objective": "cosine_eps"}, presets=presets(PRESETS), **SAID)
simple, _ = view_of(
    few,
    {"objective": "cosine_eps"},
    presets=presets(FEW),
    fold="more",
    headline="half of the loss lies below a blur of {median:,.0f} km/s",
    shown=("coarse",),
    formats={key: SAID["formats"][key] for key in ("median", "coarse")},
)
