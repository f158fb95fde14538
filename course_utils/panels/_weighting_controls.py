"""The controls by which a panel's w(λ) is chosen and bent, and the weighting they spell."""

from functools import cache

import numpy as np

from course_utils import live
from course_utils.weightings import PUBLISHED, bent, shifted, upper_envelope

KNOTS = (-9, -6, -3, 0, 3, 6, 9)


@cache
def implied(objective):
    """Return the implied weighting of a key of ``PUBLISHED``, divided by its largest value."""
    return PUBLISHED[objective].implied_weighting().normalised()


def weighting_controls(objective):
    """Return the controls: objective, shift along λ, gains at the knots, and the monotone lock."""
    return {
        "objective": live.choice(
            "objective", [(o.name, key) for key, o in PUBLISHED.items()], objective
        ),
        "shift": live.slider("shift along λ", -6.0, 6.0, 0.1, 0.0),
        "monotone_lock": live.switch("keep w monotone"),
        "gains": live.equaliser(
            [f"λ = {knot}" for knot in KNOTS],
            -2.0,
            2.0,
            0.1,
            0.0,
            label="bend w by hand: gain at each level",
            unit="powers of ten",
        ),
    }


def weighting(objective, shift, monotone_lock, gains, log_snr_min, log_snr_max):
    """Return the weighting that the controls spell, divided by its largest value on the range."""
    w = implied(objective)
    if shift:
        w = shifted(w, shift)
    if np.any(gains):
        w = bent(w, KNOTS, gains)
    if monotone_lock:
        w = upper_envelope(w, log_snr_min, log_snr_max)
    return w.normalised(log_snr_min, log_snr_max)
