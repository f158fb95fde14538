"""The sum-of-ELBOs panel: both sides of S5, computed apart, for any w moved by hand."""

from course_utils.panels import _instrument as instrument
from course_utils.panels._instrument import compute, controls
from course_utils.panels._view import over_levels
from course_utils.widgets.scene import Area, Axis, Band, Bars, Plot, Rule, Scene

__all__ = ["compute", "controls", "panel", "picture"]
ALT = """Five plots. Top left: both sides of S5 in nats, as bars on one scale that end on one line:
the weighted loss, and below it the ELBO terms that p_w counts, then the atom at the data end;
hatched is what is taken away, where p_w is negative and the hidden constant at the noise end. Top
right: the galaxies' density smoothed at six levels drawn from p_w, with a minus where p_w is
negative. Below: the weighting w over log-SNR, which can be pulled; how fast it falls, hatched where
it rises; and what each level adds to the two sides."""
PRESETS = {
    "ELBO": {"objective": "elbo"},
    "sigmoid": {"objective": "sigmoid"},
    "EDM": {"objective": "edm"},
    "EDM, made monotone": {"objective": "edm", "monotone_lock": True},
    "ELBO from λ_min = 0": {"objective": "elbo", "log_snr_min": 0.0},
    "sigmoid, the wrong model": {"objective": "sigmoid", "model": "wrong"},
}


def scene():
    """Declare the picture."""
    left, right = (1.1, 1.9), (0.1, 0.9)
    sides = [
        Bars(left, ("weighted_loss",), sideways=True, meaning="data", label="½ ∫ w e dλ"),
        Bars(right, ("gained",), sideways=True, meaning="mixture", label="∫ L dw"),
        Bars(right, ("with_atom",), sideways=True, start="gained", meaning="level", label="atom"),
        Band(("kept", "with_atom"), *right, hatched=True, meaning="negative", label="negative"),
        Band(("sum_of_elbos", "kept"), *right, hatched=True, meaning="noise", label="constant"),
        Rule("weighted_loss", meaning="exact"),
    ]
    ticks = ((1.5, "left"), (0.5, "right"))
    strip = Plot("both sides of S5", Axis(0, 1, settle=True), Axis(0, 2, ticks=ticks), sides, 1.7)
    areas = [
        Area("grid", "half", meaning="data", label="½ w e"),
        Area("centres", "product", meaning="mixture", label="−L dw/dλ"),
    ]
    y = Axis(-0.05, 0.2, "nats per unit of λ", settle=True)
    added = over_levels("what each level adds", y, areas)
    below = [instrument.plot_of_w(1.1), instrument.plot_of_p_w(), added]
    return Scene([[strip, instrument.plot_of_layers()], below], height=(140, 250), alt=ALT)


panel, picture = instrument.view_of(
    scene,
    {},
    PRESETS,
    headline="{weighted_loss:.6f} = {sum_of_elbos:.6f} nats",
    shown=("positive", "negative", "constant", "atom_mass"),
    formats={
        "weighted_loss": "½∫ w e dλ = {:.6f} nats",
        "sum_of_elbos": "∫ L dw + atom − constant = {:.6f} nats",
        "agreement": "{}",
        "constant": "constant w(λ_min) L(1) = {:.6f} nats",
        "atom_mass": "atom w(λ_max) = {:.4f}",
        "positive": "falls of w, with the atom {:.4f}",
        "negative": "rises of w {:.4f}",
        "verdict": "{}",
    },
)
