"""The instrument: a weighting w(λ) that the hand moves, and both sides of S5 for it.

What is on the screen is a *state*: an objective with its parameters, a shift, gains, a range of
levels, a model. Here stand the weighting that a state spells and its numbers, from ``elbo``'s own
quadrature. ``widgets/js/arithmetic.js`` does the same in the browser from the tables of ``tables``;
the tests compare the two. ``weighting`` and ``sum_of_elbos`` are views of it.
"""

import base64
from dataclasses import replace
from functools import cache, partial
from zlib import crc32

import numpy as np
from scipy.integrate import cumulative_trapezoid

from course_utils import weightings
from course_utils.atlas import ATLAS
from course_utils.datasets import galaxy_velocities, km_per_s, velocity_scale
from course_utils.elbo import elbo_parts, weighted_loss
from course_utils.objectives import PUBLISHED, Objective, published
from course_utils.panels._galaxies import density, error_curve, points
from course_utils.panels._view import SPAN, knots, over_levels, view
from course_utils.weightings import KNOTS, ROUNDING, Weighting, bent, evaluate, made_monotone
from course_utils.widgets.controls import Curve, Slider, Switch, choice
from course_utils.widgets.panel import Panel, plainly
from course_utils.widgets.scene import Area, Axis, Handle, Line, Plot, Ridges, Rule

FINE = np.linspace(*SPAN, 161)  # levels of ``brush`` and of a curve drawn by hand
TABLE = np.linspace(*SPAN, 201)  # levels of the tables
SCAN, DRAWN = 4001, 401  # levels on which w is judged, and those that are drawn
LAYERS = 6
LOWEST, HIGHEST = 1e-4, 10.0  # of w's logarithmic axis; it widens down to FAINTEST where w does
FAINTEST = 1e-8
FINE_BLUR = 50.0  # km/s, a supposed error of measurement
MEASURED = 2 * np.log(velocity_scale() / FINE_BLUR)  # its level
VELOCITIES = np.linspace(5, 37, 241)  # 1000 km/s
SPREAD = (1000 * VELOCITIES - galaxy_velocities().mean()) / velocity_scale()
KEPT = (1, 41, 82)  # galaxies whose tables travel along: enough for a page without a kernel
CURVES = [(model, galaxy) for model in ("right", "wrong") for galaxy in (0, *KEPT)]

# A parameter of an objective: whose it is, and its slider.
PARAMETERS = {
    "p2_gamma": (("p2",), Slider("γ of P2", 0.0, 3.0, 0.1, 1.0)),
    "min_snr_gamma": (("min_snr",), Slider("γ of Min-SNR", 0.1, 20.0, 0.1, 5.0)),
    "sigmoid_bias": (("sigmoid",), Slider("b of the sigmoid", -6.0, 6.0, 0.1, 2.0)),
    "edm_data_sd": (("edm", "edm_monotonic"), Slider("EDM's σ_data", 0.1, 2.0, 0.05, 0.5)),
}
# Names without the published value of a parameter that here has a slider.
NAMES = {key: o.name for key, o in PUBLISHED.items()}
NAMES |= {"p2": "P2", "min_snr": "Min-SNR", "sigmoid": "sigmoid", "drawn": "drawn by hand"}
NAMES |= {key: entry.name for key, entry in ATLAS.items()}
_OWN = {}  # objectives of the reader's own, under keys made of what they weigh


def controls(own=()):
    """Return the instrument's controls; ``own`` are keys of ``own_key``."""
    its, hand, model = "parameters of the objective", "the hand", "model and range"
    models = [("right: the data themselves", "right"), ("wrong: three broad clusters", "wrong")]
    groups = {"elbo": "published", "drawn": "by hand", next(iter(ATLAS)): "trained today"}
    return {
        "objective": choice_of("objective", own, NAMES, groups),
        "shift": Slider("shift along λ", -6.0, 6.0, 0.1, 0.0),
        "monotone_lock": Switch("keep w monotone"),
        **{name: replace(control, folded=its) for name, (_, control) in PARAMETERS.items()},
        "unit_variance": Switch("EDM's λ for data of variance 1", folded=its),
        "pencil": Switch("draw w afresh instead of pulling it", folded=hand),
        "brush_width": Slider("width of the brush", 0.2, 5.0, 0.1, 1.0, "units of λ", folded=hand),
        "gains": knots("bend w by hand: gain at each level", KNOTS, 2.0, hand),
        "model": choice("model", models, folded=model),
        "galaxy": Slider("galaxy (0: all)", 0, 82, 1, 0, folded=model),
        "log_snr_min": Slider("λ_min", SPAN[0], 0.0, 0.1, SPAN[0], folded=model),
        "log_snr_max": Slider("λ_max", 1.0, SPAN[1], 0.1, SPAN[1], folded=model),
        "brush": Curve("w pulled by hand", len(FINE), -6, 6),
        "drawn": Curve("w drawn by hand", len(FINE), -30, 30),
    }


def choice_of(label, own, names, groups):
    """Return the list of objectives: the reader's ``own``, by key, above those with ``names``."""
    names = {key: _OWN[key].name for key in own} | names
    groups = dict.fromkeys(own[:1], "your own") | groups
    return choice(label, [(n, key) for key, n in names.items()], "sigmoid", groups=groups)


def own_key(objective):
    """Return the key under which the instrument knows an objective of the reader's own.

    A weighting w alone is the ε-loss with levels drawn in proportion to w.
    """
    if not isinstance(objective, Objective):
        name = getattr(objective, "name", getattr(objective, "__name__", "w"))
        levels = partial(evaluate, objective)
        objective = Objective(name.replace("<lambda>", "your w"), "", levels, "eps")
    w, p = _tabulated(objective)
    key = f"own-{crc32(w.tobytes() + p.tobytes()):08x}"
    _OWN[key] = objective
    return key


def _objective(key):
    return _OWN.get(key) or PUBLISHED.get(key) or ATLAS[key].objective()


@cache
def table_of(key):
    """Return log₁₀ of w and of p at ``FINE``, for an objective without a formula in the browser."""
    return _tabulated(_objective(key))


def _tabulated(objective):
    """log₁₀ w and log₁₀ p at ``FINE``, [161] each, in the browser's half precision.

    What is not reached is 1e-12, but for one level beyond either end, so that the last one that is
    reached has its value.
    """
    w = objective.implied_weighting()
    nearest = np.clip(FINE, *w.span)
    reached = np.abs(FINE - nearest) < FINE[1] - FINE[0]
    if not reached.any():
        raise ValueError(
            f"{objective.name} has levels from λ = {w.span[0]:.3g} to {w.span[1]:.3g}: the "
            f"instrument shows {SPAN[0]:g} to {SPAN[1]:g}"
        )
    found = []
    for values in (evaluate(w, nearest), objective.density(nearest)):
        values = np.where(reached, values, 0)
        found.append(np.log10(np.maximum(values / values.max(), 1e-12)).astype(np.float32))
    return found


@cache
def range_of(key):
    """Return the range of an objective's own levels, as far as the instrument shows them."""
    low, high = SPAN if key == "drawn" else _objective(key).implied_weighting().span
    low, high = np.clip([np.ceil(10 * low) / 10, np.floor(10 * high) / 10], *SPAN)
    return {"log_snr_min": float(min(low, 0.0)), "log_snr_max": float(max(high, 1.0))}


START = {name: control.value for name, control in controls().items()}


def _own(s):
    """The parameters of a state's objective, and by how much its λ is moved.

    EDM's λ = −2 ln σ belongs to data of standard deviation σ_data. Divided by it, the same noise
    stands at λ + 2 ln σ_data: where the switch is on, λ is that of data of variance 1.
    """
    mine = {name: s[name] for name, (owners, _) in PARAMETERS.items() if s["objective"] in owners}
    to_unit = s["unit_variance"] and "edm_data_sd" in mine
    return mine, 2 * np.log(mine["edm_data_sd"]) if to_unit else 0.0


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
        return _through(s, s["drawn"] or np.zeros_like(FINE))
    mine, moved = _own(s)
    return weightings.shifted(_weighting_and_density(s, mine)[0], s["shift"] + moved).normalised()


def _weighting_and_density(s, mine):
    """w(λ) and p(λ) of an objective, from its formulas or from its table."""
    if s["objective"] in PUBLISHED:
        found = published(s["objective"], **mine)
        return found.implied_weighting(), found.density
    return [_through(s, np.float64(logs)) for logs in table_of(s["objective"])]


def _through(s, logs):
    """The state's curve through a table of log₁₀ at ``FINE``."""
    return bent(Weighting(np.ones_like, NAMES.get(s["objective"], "own")), FINE, logs)


def compute(**state):
    """Return the numbers and arrays of a state; what the state leaves out is as in ``START``."""
    return numbers(state), arrays(state)


def numbers(state):
    """Return what is printed of a state: both sides of S5, from e and from L, and the verdict."""
    s = START | state
    w, span = weighting(s), (s["log_snr_min"], s["log_snr_max"])
    curve = error_curve(s["model"], s["galaxy"])
    loss, parts = weighted_loss(w, curve, *span), elbo_parts(w, curve, *span)
    integral, atom, constant = parts
    bound = (loss.bound + sum(part.bound for part in parts)) / loss
    levels = np.linspace(*span, SCAN)
    weights = evaluate(w, levels)
    rises, verdict = _rises(levels, weights)
    negative, below = float(rises.sum()), float(rises @ _means(curve.at(levels)[1]))
    fine, error, _ = curve.between(*span)
    earned = cumulative_trapezoid(evaluate(w, fine) * error, fine, initial=0)
    return {
        "weighted_loss": loss,
        "sum_of_elbos": sum(parts),
        "agreement": f"residual below {_power_above(abs(loss - sum(parts)) / loss)} of |L_w|, "
        f"where the bounds of both sides allow {_power_above(bound)}",
        "constant": -constant,
        # what the right side's bar is made of: ends of its parts, in nats
        "gained": integral + below,
        "with_atom": integral + below + atom,
        "kept": integral + atom,
        "atom_mass": float(weights[-1]),
        "positive": float(weights[0]) + negative,
        "negative": negative,
        "negative_share": below / loss,
        "verdict": verdict,
        "peak": weightings.peak(w, *span),
        **_convention(s),
        "median": float(km_per_s(np.interp(earned[-1] / 2, earned, fine))),
        "coarse": float(np.interp(MEASURED, fine, earned) / earned[-1]),
    }


def _power_above(share):
    """The next power of ten, 1e-9 at least: the digits of rounding differ between machines."""
    return f"{10.0 ** np.ceil(np.log10(max(share, 1e-9))):.0e}"


def _convention(s):
    """Say which λ EDM's is; nothing for other objectives."""
    mine, moved = _own(s)
    if not (sd := mine.get("edm_data_sd")):
        return {}
    words = f"λ = −2 ln σ as EDM has it, for data of standard deviation {sd:g}"
    if moved:
        words = f"λ for data of variance 1: EDM's −2 ln σ moved by 2 ln {sd:g} = {moved:z.2f}"
    return {"convention": words.replace("-", "−")}


def _means(values):
    return (values[1:] + values[:-1]) / 2


def _rises(levels, weights):
    """By how much w rises with λ in each cell, nothing if w is monotone, and the verdict."""
    steps = np.diff(weights)
    rises = np.maximum(steps, 0)
    if rises.sum() <= ROUNDING * weights.max():
        return np.zeros_like(steps), "w is monotone"
    # A slow rise may be below 1e-9 in each of the steps.
    rising = steps > min(ROUNDING * weights.max(), steps.max() / 2)
    ends = levels[np.diff(rising, prepend=False, append=False)]
    where = f"from {ends[0]:z.1f} to {ends[1]:z.1f}".replace("-", "−")
    if len(ends) > 2:
        where = f"in {len(ends) // 2} places"
    return rises, f"w is not monotone: it rises with λ {where}"


def arrays(state):
    """Return what is drawn of a state, at 401 levels of its range or in the 400 cells between."""
    s = START | state
    w, span = weighting(s), (s["log_snr_min"], s["log_snr_max"])
    inside = [span[0] <= knot <= span[1] for knot in KNOTS]
    grid = np.linspace(*span, DRAWN)
    heights, (e, kl) = w(grid), error_curve(s["model"], s["galaxy"]).at(grid)
    masses, atom = weightings.level_masses(w, grid)
    rate, centres, half = masses / np.diff(grid), _means(grid), heights * e / 2
    return {
        "low": span[0],
        "high": span[1],
        "knots": np.where(inside, _on_paper(w(np.array(KNOTS)), FAINTEST), np.nan),
        "grid": grid,
        "heights": _on_paper(heights, FAINTEST),
        "before": _on_paper(unbent(s)(grid), FAINTEST),
        "sampled": _on_paper(_sampled(s, grid), LOWEST),
        "half": half,
        "share": half / np.trapezoid(half, grid),
        "centres": centres,
        "rate": rate,
        "product": rate * _means(kl),
        **_layers(np.append(masses, atom), np.append(centres, span[1])),
    }


def _on_paper(values, least):
    """Values on a logarithmic axis, not a number below ``least``."""
    return np.where(values < least, np.nan, values)


def _sampled(s, grid):
    """p(λ), the density with which the objective samples levels, over its largest value."""
    if s["objective"] == "drawn":
        return np.full_like(grid, np.nan)
    mine, moved = _own(s)
    p = _weighting_and_density(s, mine)[1]
    return p(grid - moved) / p(FINE - moved).max()


def _layers(masses, levels):
    """The galaxies at the middle of six equal parts of |p_w|, the noisiest first; the atom last."""
    parts = (np.arange(LAYERS) + 0.5) / LAYERS * np.abs(masses).sum()
    index = np.minimum(np.searchsorted(np.cumsum(np.abs(masses)), parts), len(masses) - 1)
    shown, negative = levels[index], masses[index] < 0
    blurs = [f"{float(f'{km_per_s(level):.2g}'):,.0f} km/s" for level in shown]
    names = [
        "atom" if level == levels[-1] else f"{'− ' if less else ''}λ {level:z.1f}".replace("-", "−")
        for level, less in zip(shown, negative, strict=True)
    ]
    return {
        "layer_levels": shown,
        "layer_negative": negative.astype(float),
        "layer_words": [f"{name}: {blur}" for name, blur in zip(names, blurs, strict=True)],
        "layers": np.array([density(SPREAD, points(), np.exp(-x / 2)) for x in shown]),
    }


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


def tables(curves=CURVES, objectives=()):
    """Return all that the arithmetic in the browser needs, as JSON.

    ``curves`` are pairs (model, galaxy); galaxy 0 is the average. With a kernel the others are sent
    when asked for: all 166 would be 350 kB, and a minute of computing. So are the ``objectives``
    that have no formula there: 2 kB each.
    """
    return {
        "blur": km_per_s(0),
        "fine": FINE_BLUR,
        "points": _packed(points(), np.float64),
        "places": [float(SPREAD[0]), float(SPREAD[-1]), len(SPREAD)],
        "velocities": [float(VELOCITIES[0]), float(VELOCITIES[-1])],
        "curves": {f"{model} {galaxy}": curve_table(model, galaxy) for model, galaxy in curves},
        "objectives": {key: packed_table(key) for key in objectives},
    }


def packed_table(key):
    """Return the table of an objective as the browser reads it."""
    return {name: _packed(logs, np.float32) for name, logs in zip("wp", table_of(key), strict=True)}


# What the views share: plots, and the panel.


def plot_of_w(width=1.0):
    """w(λ) with p(λ), to be pulled, painted, and cut at both ends of the range."""
    axis = Axis(LOWEST, HIGHEST, "w(λ)", scale="log", settle=True)
    items = [
        Handle("brush", grip="brush", along="y", meaning="weight"),
        Line("grid", "before", meaning="noise", dash="dot", width=1.4, label="before bending"),
        Line("grid", "heights", meaning="weight", label="w", width=3),
        Line("grid", "sampled", meaning="exact", dash="dash", width=1.3, label="p"),
        Handle("log_snr_min", x="low", grip="rule", meaning="noise"),
        Handle("log_snr_max", x="high", grip="rule", meaning="noise"),
        Handle("gains", x=KNOTS, y="knots", along="y", grip="knots", meaning="weight"),
    ]
    return over_levels("pull the curve: w(λ), and p(λ)", axis, items, width)


def plot_of_p_w():
    """How fast w falls with λ, hatched where it rises; over w(λ_min) it is p_w."""
    area = Area("centres", "rate", meaning="mixture", label="w falls", negative="w rises")
    y = Axis(-0.05, 0.3, "−dw/dλ = $w(λ_{min}) p_w$", settle=True)
    return over_levels("what $p_w$ counts", y, [area])


def plot_of_share():
    """The share of the loss that each level earns, with the measurement error marked."""
    mark = Rule(MEASURED, dash="dot", meaning="exact", label=f"{FINE_BLUR:.0f} km/s")
    y = Axis(0, 0.4, "share per unit of λ", settle=True)
    return over_levels("where the loss comes from", y, [Area("grid", "share"), mark])


def plot_of_layers():
    """The data smoothed at six levels of p_w, one layer a level."""
    layers = Ridges(VELOCITIES, "layers", "layer_words", "layer_negative", meaning="data")
    end = VELOCITIES[-1] + 1.1 * np.ptp(VELOCITIES)
    x = Axis(VELOCITIES[0], end, ticks=((10, "10,000"), (30, "30,000 km/s")))
    y = Axis(-0.1, LAYERS + 1.4, ticks=())
    return Plot("the galaxies at six levels of $p_w$", x, y, [layers])


class Instrument(Panel):
    """A panel whose arithmetic is in the browser; Python confirms when the hand has let go."""

    @property
    def weighting(self):
        """The ``Weighting`` on the screen; assigning one, or any w(λ), moves the picture."""
        return weighting(self.values)

    @weighting.setter
    def weighting(self, w):
        weights = evaluate(w, FINE)
        if not weights.any():
            raise ValueError(f"a weighting that is zero on all of [{SPAN[0]:g}, {SPAN[1]:g}]")
        logs = np.log10(np.maximum(weights, 1e-12 * weights.max())).round(12)
        plain = {name: START[name] for name in ("shift", "gains", "brush", "monotone_lock")}
        self.set(**plain, objective="drawn", drawn=logs.tolist())

    def page(self):
        """Return all that a page without a kernel needs, as JSON: see ``mount`` in index.js."""
        spec = plainly(self.spec)
        galaxies = [("all", 0), *((f"no. {k}", k) for k in KEPT)]
        folded = self.controls["galaxy"].folded
        spec["controls"]["galaxy"] = choice("galaxy", galaxies, folded=folded).spec()
        spec["local"]["tables"] = tables(objectives=self._tabulated(ATLAS))
        return {"spec": spec, "values": self.values}

    def _tabulated(self, others=()):
        """The keys of the reader's objectives, of the one shown first, and of ``others``."""
        wanted = {*_OWN, *others, self.start["objective"]} - {*PUBLISHED, "drawn"}
        return [key for key in self.controls["objective"].values if key in wanted]

    def _spec(self):
        owners = {name: objectives for name, (objectives, _) in PARAMETERS.items()}
        owners["unit_variance"] = owners["edm_data_sd"]
        local = {
            "tables": tables([(self.start["model"], self.start["galaxy"])], self._tabulated()),
            "ranges": {k: (*range_of(k).values(),) for k in self.controls["objective"].values},
            "formats": self.formats,
            "headline": self.headline,
            "shown": list(self.shown),
            "owners": owners,
        }
        return super()._spec() | {"local": local}

    def _asked(self, _, message, buffers):
        if "wanted" in message:
            model, _, galaxy = message["wanted"].partition(" ")
            table = curve_table(model, int(galaxy)) if galaxy else packed_table(model)
            self.send({"wanted": message["wanted"], "table": table})
        else:
            super()._asked(_, message, buffers)


def view_of(scene, begin, presets, fold="", **options):
    """Return the functions ``panel(**start)`` and ``picture(**values)`` of a view of it.

    ``begin`` are the values with which this view starts, beside ``START``. ``presets`` also put
    back whatever else the hand or another preset has moved. ``fold``: all controls stand in a part
    under this title that opens at a click; the presets and the curve remain.
    """
    moved = ("shift", "monotone_lock", "gains", "brush", "unit_variance", *PARAMETERS)
    plain = {n: START[n] for n in (*moved, "log_snr_min", "log_snr_max", "model")}
    options |= {"presets": {name: plain | values for name, values in presets.items()}}

    def prepared(start):
        start, own = with_own(begin | start)
        if (key := start.get("objective")) in {*own, *ATLAS}:
            start = range_of(key) | start
        return start, {n: replace(c, folded=fold or c.folded) for n, c in controls(own).items()}

    return view(prepared, compute, scene, kind=Instrument, **options)


def with_own(start):
    """Return a state in which a key stands for an objective of the reader's own, and all such keys.

    ``objective`` may be a key of the list, an ``Objective`` such as ``from_script`` makes, a
    weighting (any function w(λ)), or a list of the last two: the first is shown.
    """
    given = start.get("objective", "")
    if isinstance(given, str):
        return start, []
    given = given if isinstance(given, list | tuple) else [given]
    if not given or not all(isinstance(one, Objective) or callable(one) for one in given):
        raise ValueError(
            "objective must be a name of the list, an Objective such as from_script(…) returns, a "
            "weighting w(λ), or a list of at least one of these two"
        )
    own = list(dict.fromkeys(map(own_key, given)))
    return start | {"objective": own[0]}, own
