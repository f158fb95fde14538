"""The controls by which a panel's w(λ) is chosen and bent, and the weighting they spell."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from course_utils.objectives import PUBLISHED, published
from course_utils.weightings import KNOTS, bent, made_monotone, shifted
from course_utils.widgets.old_controls import Equaliser, choice, slider, switch

FLAT = (0.0,) * len(KNOTS)


class Parameter(NamedTuple):
    """A parameter of ``objectives.published``: whose it is, and its slider."""

    objectives: tuple[str, ...]
    label: str
    low: float
    high: float
    step: float
    published: float


PARAMETERS = {
    "p2_gamma": Parameter(("p2",), "γ of P2", 0.0, 3.0, 0.1, 1.0),
    "min_snr_gamma": Parameter(("min_snr",), "γ of Min-SNR", 0.1, 20.0, 0.1, 5.0),
    "sigmoid_bias": Parameter(("sigmoid",), "b of the sigmoid", -6.0, 6.0, 0.1, 2.0),
    "edm_data_sd": Parameter(("edm", "edm_monotonic"), "EDM's σ_data", 0.1, 2.0, 0.05, 0.5),
}


def own(objective, parameters):
    """Return the objective's own parameters, as published where they are left out."""
    mine = {name: p.published for name, p in PARAMETERS.items() if objective in p.objectives}
    return {name: parameters.get(name, published) for name, published in mine.items()}


@lru_cache(maxsize=128)
def implied(objective, **parameters):
    """Return the weighting that an objective implies, divided by its largest value."""
    return published(objective, **parameters).implied_weighting().normalised()


def weighting_controls(objective, names=None):
    """Return the controls: objective, shift along λ, gains at the knots, and the monotone lock.

    ``names`` replaces the names of some objectives in the list, by key.
    """
    names = {key: o.name for key, o in PUBLISHED.items()} | (names or {})
    return {
        "objective": choice("objective", [(name, key) for key, name in names.items()], objective),
        "shift": slider("shift along λ", -6.0, 6.0, 0.1, 0.0),
        "monotone_lock": switch("keep w monotone"),
        "gains": Equaliser(
            [f"λ = {knot}" for knot in KNOTS],
            -2.0,
            2.0,
            0.1,
            0.0,
            label="bend w by hand: gain at each level",
            unit="powers of ten",
        ),
    }


def parameter_controls(objective):
    """Return a slider for each parameter, and EDM's convention of λ.

    Only those of the objective chosen in the control ``objective`` are on show; the others keep
    their values and act on nothing.
    """
    controls = {
        name: slider(p.label, p.low, p.high, p.step, p.published) for name, p in PARAMETERS.items()
    }
    controls["unit_variance"] = switch("EDM's λ for data of variance 1")
    owners = {name: p.objectives for name, p in PARAMETERS.items()}
    owners["unit_variance"] = PARAMETERS["edm_data_sd"].objectives

    def show_own(change=None):
        for name, widget in controls.items():
            widget.layout.display = None if objective.value in owners[name] else "none"

    objective.observe(show_own, "value")
    show_own()
    return controls


def to_unit_variance(unit_variance, edm_data_sd=None, **others):
    """Return by how much λ moves when EDM's data are divided by their standard deviation.

    EDM's λ = −2 ln σ belongs to data of standard deviation σ_data. Divided by it, the same noise
    stands at λ + 2 ln σ_data. Zero for the other objectives and where the switch is off.
    """
    return 2 * np.log(edm_data_sd) if unit_variance and edm_data_sd else 0.0


def weighting(
    objective,
    shift,
    monotone_lock,
    gains,
    log_snr_min,
    log_snr_max,
    *,
    unit_variance=False,
    **parameters,
):
    """Return the weighting that the controls spell, divided by its largest value on the range."""
    mine = own(objective, parameters)
    w = implied(objective, **mine)
    moved = shift + to_unit_variance(unit_variance, **mine)
    if moved:
        w = shifted(w, moved)
    if np.any(gains):
        w = bent(w, KNOTS, gains)
    if monotone_lock:
        w = made_monotone(w, log_snr_min, log_snr_max)
    return w.normalised(log_snr_min, log_snr_max)
