"""The instrument: a weighting w(λ) that the hand moves, and both sides of S5 for it.

What is on the screen is a *state*: an objective with its parameters, a shift, gains, a range of
levels, a model. Here stand the weighting that a state spells and its numbers, from ``elbo``'s own
quadrature. ``widgets/js/arithmetic.js`` does the same in the browser from the tables of ``tables``;
the tests compare the two.
"""

import base64
from functools import cache, lru_cache

import numpy as np

from course_utils.datasets import galaxy_velocities, km_per_s, velocity_scale
from course_utils.elbo import elbo_parts, weighted_loss
from course_utils.objectives import published
from course_utils.panels._galaxies import density, error_curve, points
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN
from course_utils.weightings import (
    KNOTS,
    ROUNDING,
    Weighting,
    bent,
    evaluate,
    level_masses,
    made_monotone,
    peak,
    shifted,
)

SPAN = (LOG_SNR_MIN, LOG_SNR_MAX)
FINE = np.linspace(*SPAN, 161)  # levels of ``brush`` and of a curve drawn by hand
TABLE = np.linspace(*SPAN, 201)  # levels of the tables
SCAN, DRAWN = 4001, 401  # levels on which w is judged, and those that are drawn
LAYERS = 6
FINE_BLUR = 50.0  # km/s, a supposed error of measurement
VELOCITIES = np.linspace(5, 37, 241)  # 1000 km/s
SPREAD = (1000 * VELOCITIES - galaxy_velocities().mean()) / velocity_scale()
KEPT = (1, 41, 82)  # galaxies whose tables travel along: enough for a page without a kernel

# The published value of each parameter, and whose it is.
PARAMETERS = {
    "p2_gamma": (("p2",), 1.0),
    "min_snr_gamma": (("min_snr",), 5.0),
    "sigmoid_bias": (("sigmoid",), 2.0),
    "edm_data_sd": (("edm", "edm_monotonic"), 0.5),
}
START = {
    "objective": "sigmoid",
    **{name: value for name, (_, value) in PARAMETERS.items()},
    "unit_variance": False,
    "shift": 0.0,
    "gains": (0.0,) * len(KNOTS),
    "brush": (),
    "drawn": (),
    "monotone_lock": False,
    "model": "right",
    "galaxy": 0,
    "log_snr_min": LOG_SNR_MIN,
    "log_snr_max": LOG_SNR_MAX,
}


def own(objective, parameters):
    """Return the objective's own parameters, as published where they are left out."""
    return {
        name: parameters.get(name, value)
        for name, (objectives, value) in PARAMETERS.items()
        if objective in objectives
    }


def to_unit_variance(unit_variance, edm_data_sd=None, **others):
    """Return by how much λ moves when EDM's data are divided by their standard deviation.

    EDM's λ = −2 ln σ belongs to data of standard deviation σ_data. Divided by it, the same noise
    stands at λ + 2 ln σ_data. Zero for the other objectives and where the switch is off.
    """
    return 2 * np.log(edm_data_sd) if unit_variance and edm_data_sd else 0.0


def weighting(state) -> Weighting:
    """Return the weighting that a state spells; what the state leaves out is as in ``START``.

    The objective's w(λ − shift) is divided by its largest value on [−10, 10]. Only then is it bent,
    by powers of ten: ``gains`` at the seven ``KNOTS``, ``brush`` at the 161 levels of ``FINE``. So
    the hand lifts w where it stands and nowhere else. Last, if it is locked, w is made monotone on
    the state's range. The objective "drawn" is 10^``drawn`` at ``FINE``, as it is.
    """
    s = START | state
    w = unbent(s)
    for levels, gains in ((KNOTS, s["gains"]), (FINE, s["brush"])):
        if np.any(gains):
            w = bent(w, levels, gains)
    return made_monotone(w, s["log_snr_min"], s["log_snr_max"]) if s["monotone_lock"] else w


def unbent(state) -> Weighting:
    """Return the state's weighting before the hand bent it."""
    s = START | state
    if s["objective"] == "drawn":
        return bent(Weighting(np.ones_like, "drawn by hand"), FINE, s["drawn"])
    mine = own(s["objective"], s)
    moved = s["shift"] + to_unit_variance(s["unit_variance"], **mine)
    return _moved(s["objective"], moved, tuple(mine.items()))


@lru_cache(maxsize=128)
def _moved(objective, moved, parameters):
    w = published(objective, **dict(parameters)).implied_weighting().normalised()
    return shifted(w, moved).normalised() if moved else w


def drawn(w):
    """Return the state of a given weighting: log₁₀ w at ``FINE``, zeros as 10⁻¹² of the largest."""
    weights = evaluate(w, FINE)
    if not weights.any():
        raise ValueError(f"a weighting that is zero on all of [{SPAN[0]:g}, {SPAN[1]:g}]")
    drawn = np.log10(np.maximum(weights, 1e-12 * weights.max()))
    return {"objective": "drawn", "drawn": tuple(np.round(drawn, 12).tolist())}


def numbers(state):
    """Return what is printed of a state: both sides of S5, from e and from L, and the verdict."""
    s = START | state
    w, span, curve = weighting(s), (s["log_snr_min"], s["log_snr_max"]), error_curve(*_whose(s))
    fine = float(np.clip(2 * np.log(velocity_scale() / FINE_BLUR), *span))
    loss = weighted_loss(w, curve, *span)
    integral, atom, constant = elbo_parts(w, curve, *span)
    levels = np.linspace(*span, SCAN)
    weights = evaluate(w, levels)
    masses, atom_mass = level_masses(lambda _: weights, levels)
    against = np.minimum(masses, 0)
    monotone = bool(-against.sum() <= ROUNDING * weights.max())
    below = 0.0 if monotone else -float(against @ _means(curve.at(levels)[1]))
    negative = 0.0 if monotone else -float(against.sum())
    positive = float(np.maximum(masses, 0).sum()) + atom_mass
    return {
        "weighted_loss": loss,
        "sum_of_elbos": integral + atom + constant,
        "atom": atom,
        "constant": -constant,
        "integral": integral,
        "below": below,
        "atom_mass": atom_mass,
        "positive": positive,
        "negative": negative,
        "negative_share": negative / (positive + negative),
        "monotone": monotone,
        "verdict": verdict(levels, weights, monotone),
        "peak": peak(w, *span),
        "median": float(km_per_s(_median(w, curve, span, loss))),
        "coarse": float(weighted_loss(w, curve, span[0], fine) / loss) if fine > span[0] else 0.0,
    }


def _whose(state):
    return state["model"], state["galaxy"]


def _means(values):
    return (values[1:] + values[:-1]) / 2


def _median(w, curve, span, loss):
    """The level below which half of the loss lies: from a sum, and one step of Newton's."""
    levels, error, _ = curve.between(*span)
    rates = evaluate(w, levels) * error
    sums = np.cumsum(np.append(0.0, _means(rates)))
    level = float(np.interp(sums[-1] / 2, sums, levels))
    missing = loss / 2 - weighted_loss(w, curve, span[0], level)
    return level + missing / (evaluate(w, level) * curve.at(level)[0] / 2)


def verdict(levels, weights, monotone):
    """Say whether w is monotone and, if not, where it rises with λ."""
    if monotone:
        return "w is monotone"
    steps = np.diff(weights)
    # A slow rise may be below 1e-9 in each of the steps.
    rises = steps > min(ROUNDING * weights.max(), steps.max() / 2)
    turns = np.flatnonzero(np.diff(np.concatenate([[False], rises, [False]])))
    starts, stops = levels[turns[::2]], levels[turns[1::2]]
    if len(starts) > 1:
        return f"w is not monotone: it rises with λ in {len(starts)} places"
    words = f"w is not monotone: it rises with λ from {starts[0]:z.1f} to {stops[0]:z.1f}"
    return words.replace("-", "−")


def arrays(state):
    """Return what is drawn of a state, at 401 levels of its range or in the 400 cells between."""
    s = START | state
    w, curve = weighting(s), error_curve(*_whose(s))
    grid = np.linspace(s["log_snr_min"], s["log_snr_max"], DRAWN)
    heights, (e, kl) = w(grid), curve.at(grid)
    masses, atom = level_masses(w, grid)
    rate, centres = masses / np.diff(grid), _means(grid)
    levels, signs = _layers(masses, atom, centres, grid[-1])
    return {
        "grid": grid,
        "heights": heights,
        "before": unbent(s)(grid),
        "sampled": _sampled(s, grid),
        "half": heights * e / 2,
        "centres": centres,
        "rate": rate,
        "product": rate * _means(kl),
        "layer_levels": levels,
        "layer_signs": signs,
        "layers": [density(SPREAD, points(), np.exp(-level / 2)) for level in levels],
    }


def _sampled(s, grid):
    """p(λ), the density with which the objective samples levels, over its largest value."""
    if s["objective"] == "drawn":
        return np.full_like(grid, np.nan)
    mine = own(s["objective"], s)
    own_levels = to_unit_variance(s["unit_variance"], **mine)
    p = published(s["objective"], **mine).density
    return p(grid - own_levels) / p(FINE - own_levels).max()


def _layers(masses, atom, centres, top):
    """Levels at the middle of equal parts of |p_w|, the noisiest first, and the sign there."""
    sizes = np.append(np.abs(masses), atom)
    levels, signs = np.append(centres, top), np.append(np.where(masses > 0, 1, -1), 1)
    parts = (np.arange(LAYERS) + 0.5) / LAYERS * sizes.sum()
    index = np.minimum(np.searchsorted(np.cumsum(sizes), parts), len(levels) - 1)
    return levels[index], signs[index]


# What the browser gets. e and L are separate tables: e from posterior variances, L from log
# densities.


@cache
def curve_table(model="right", galaxy=0):
    """Return the tables of e and of L of one curve, at the 201 levels of ``TABLE``.

    The curves that are on the first screen go in double precision, single galaxies' in half of it.
    """
    kind = np.float64 if galaxy == 0 else np.float32
    e, kl = error_curve(model, galaxy).at(TABLE)
    return {"e": _packed(e, kind), "L": _packed(kl, kind)}


def _packed(values, kind):
    data = np.asarray(values, kind).astype(np.dtype(kind).newbyteorder("<")).tobytes()
    return {"dtype": np.dtype(kind).name, "data": base64.b64encode(data).decode()}


def tables(galaxies=()):
    """Return all that the arithmetic in the browser needs, as JSON; 18 kB and 2 kB per galaxy.

    Those of other single galaxies are ``curve_table``'s: with a kernel they are sent when asked
    for, since all 164 would be 350 kB and a minute of computing.
    """
    chosen = [(model, galaxy) for model in ("right", "wrong") for galaxy in (0, *galaxies)]
    return {
        "blur": km_per_s(0),
        "fine": FINE_BLUR,
        "points": _packed(points(), np.float64),
        "places": [float(SPREAD[0]), float(SPREAD[-1]), len(SPREAD)],
        "velocities": [float(VELOCITIES[0]), float(VELOCITIES[-1])],
        "curves": {f"{model} {galaxy}": curve_table(model, galaxy) for model, galaxy in chosen},
    }
