"""Scenes: what a picture shows, declared once and drawn by two renderers.

A scene says what is drawn where; the numbers come afterwards, again and again, under names. The
browser draws it live (``js/draw.js``) and matplotlib draws stills (``widgets/still.py``).

    Scene([[Plot("a wave", Axis(0, 10, "x"), Axis(-1, 1), [
        Area("x", "height", "data", label="the wave"),
        Handle("shift", x="crest", y=1.0),
    ])]], height=300, alt="A wave that can be shifted.")

Wherever a field is ``Data``, a string is the name of an array or number that ``compute`` returns;
anything else is the number or the array itself, which then stands still.

To the browser goes ``Scene.declared`` once, JSON in which every part has the fields of its class
here, and the class's name as ``"kind"``; and with each movement ``Scene.frame(values)``, the
numbers of all arrays as 32-bit floats: ``{"shapes": {name: shape}, "data": bytes, "words": {name:
words}}``; of heat maps, which are large and seldom change, ``Scene.fields``.
"""

from dataclasses import KW_ONLY, dataclass, fields, is_dataclass
from functools import cached_property

import numpy as np

from course_utils._checks import require_known
from course_utils.widgets.figures import COLOURS

Data = object  # a name, a number, or an array; see above


@dataclass(frozen=True)
class Top:
    """A second reading of an x axis, written on top: value = factor · exp(rate · x)."""

    label: str
    unit: str
    factor: float
    rate: float


@dataclass(frozen=True)
class Axis:
    """An axis from ``low`` to ``high``, on a scale "linear", "log", "asinh" or "sqrt".

    ``settle``: the range is the least that is shown; it widens when something leaves it, and fits
    itself when the hand has let go. ``ticks`` are numbers, or (number, words) pairs; empty for
    none, None to choose. "asinh", which needs them, is linear below ``linear``, else logarithmic.
    """

    low: Data
    high: Data
    label: str = ""
    _: KW_ONLY
    scale: str = "linear"
    ticks: tuple | None = None
    settle: bool = False
    linear: float = 1.0
    top: Top | None = None


@dataclass(frozen=True)
class Item:
    """What all that is drawn has.

    ``meaning`` is a key of ``figures.COLOURS``, ``label`` its name in the legend. What is
    ``secret`` is drawn after the reader has guessed (see ``Scene``).
    """

    _: KW_ONLY
    meaning: str = "data"
    label: str = ""
    secret: bool = False
    alpha: float = 1.0

    def __post_init__(self):
        require_known("meaning", self.meaning, COLOURS)


@dataclass(frozen=True)
class Line(Item):
    """y over x, [n] each; y [n, m] are m lines. ``dash``: "", "dash", "dot" or "dashdot"."""

    x: Data
    y: Data
    _: KW_ONLY
    dash: str = ""
    width: float = 1.8


@dataclass(frozen=True)
class Area(Item):
    """The area between y [n] over x and zero, hatched in another colour where y < 0.

    ``sideways``: between x and zero instead. ``negative`` names the hatched part in the legend.
    """

    x: Data
    y: Data
    _: KW_ONLY
    sideways: bool = False
    negative: str = ""


@dataclass(frozen=True)
class Band(Item):
    """The region between ``low`` and ``high`` (numbers, or [n] over x); x None: all across."""

    x: Data
    low: Data
    high: Data
    _: KW_ONLY
    hatched: bool = False


@dataclass(frozen=True)
class Bars(Item):
    """A histogram or its outline: ``heights`` [n] over bins between ``edges``, on ``start``."""

    edges: Data
    heights: Data
    _: KW_ONLY
    start: Data = 0
    sideways: bool = False
    outline: bool = False


@dataclass(frozen=True)
class Points(Item):
    """Marks at (x, y), [n] or numbers; ``shape``: "dot", "ring", "square" or "star".

    ``trail``: a faint mark stays behind, with "moves" wherever it has been, with "rests" wherever
    the hand let go; while the number ``same`` is another, marks left before it are not shown. The
    lowest mark gets a ring and ``score``, words before its y.
    """

    x: Data
    y: Data
    _: KW_ONLY
    shape: str = "dot"
    size: float = 5.0
    trail: str = ""
    same: Data = None
    score: str = ""


@dataclass(frozen=True)
class Heat(Item):
    """A map of ``values`` [rows, columns] ≥ 0, the first row lowest, over x and y (low, high).

    The colour runs with (value / ``dense``)^``power`` from paper through ``meaning`` to ink.
    """

    x: Data
    y: Data
    values: Data
    _: KW_ONLY
    dense: float = 1.0
    power: float = 1.0


@dataclass(frozen=True)
class Ridges(Item):
    """Curves [m, n] over x stacked one above another, the first lowest, with words beside each.

    ``words`` [m] are strings; ``negative`` [m] says which are drawn in that colour. Heights are in
    proportion to the root of each curve's peak.
    """

    x: Data
    curves: Data
    words: Data
    negative: Data


@dataclass(frozen=True)
class Words(Item):
    """Words at (x, y), fractions of the plot; ``text`` is a template of numbers by their names.

    ``align``: "left" or "right", the end of the words that stands at x.
    """

    x: float
    y: float
    text: str
    _: KW_ONLY
    align: str = "left"


@dataclass(frozen=True)
class Rule(Item):
    """A straight line right across: x = at, or with ``along="y"``, y = at."""

    at: Data
    _: KW_ONLY
    along: str = "x"
    dash: str = ""
    width: float = 1.5


@dataclass(frozen=True)
class Handle(Item):
    """What the hand can take, and the control that it moves.

    A drag along x or y adds ``factor`` times the movement (in units of the axis; in decades where
    it is logarithmic) to what the control had when it was taken; with ``times`` it multiplies by
    ten to that power. ``grip`` is what there is to take:

    - "point": a dot at (x, y);
    - "knots": dots at (x, y), [n] each; the i-th moves the i-th entry of a control of bars;
    - "rule": a line right across, at x (or y, as ``along`` says);
    - "edge": such a line between the two ends of the other coordinate, which is a pair;
    - "band": a region, x and y a pair each;
    - "brush": the whole plot; what a stroke does is the panel's affair.
    """

    control: str
    x: Data = None
    y: Data = None
    _: KW_ONLY
    along: str = "x"
    factor: Data = 1.0
    times: bool = False
    grip: str = "point"


@dataclass(frozen=True)
class Plot:
    """A pair of axes with items, drawn in their order; ``width`` in shares of the row.

    Under the pointer all plots with one ``cursor``, the symbol of x, show a line at one x.
    """

    title: str
    x: Axis
    y: Axis
    items: tuple | list
    width: float = 1.0
    cursor: str = ""


@dataclass(frozen=True)
class Scene:
    """Rows of plots, None for an empty place; ``height`` in CSS pixels, one number or one a row.

    ``ghost``: the state before the first movement stays in grey, as if it had been pinned.
    ``question``: asked before the secret items are drawn; its ``words``, ``options``, the ``right``
    one of these, and ``then``, values that the guess puts on show.
    """

    rows: tuple | list
    height: float | tuple
    alt: str
    ghost: bool = False
    question: dict | None = None

    def items(self, kind):
        """Return all items of a kind in order."""
        plots = [plot for row in self.rows for plot in row if plot is not None]
        return [item for plot in plots for item in plot.items if isinstance(item, kind)]

    def frame(self, values):
        """Return what changes with every movement; ``values`` has arrays and numbers by name."""
        words = {item.text: item.text.format(**values) for item in self.items(Words)}
        ridges = {item.words: list(values[item.words]) for item in self.items(Ridges)}
        drawn = self.declared[2] - {item.values for item in self.items(Heat)} - ridges.keys()
        return packed({name: values[name] for name in drawn}) | {"words": words | ridges}

    def fields(self, values):
        """Return the heat maps as they are coloured, one byte a cell."""
        found = {}
        for item in self.items(Heat):
            share = np.clip(np.divide(values[item.values], item.dense), 0, 1) ** item.power
            found[item.values] = np.round(255 * share)
        return packed(found, np.uint8)

    @cached_property
    def declared(self):
        """The scene in JSON, its arrays that stand still by name, and the names of the others."""
        still, names = {}, set()

        def plain(value, data=False):
            if is_dataclass(value):
                found = {
                    f.name: plain(getattr(value, f.name), f.type is Data) for f in fields(value)
                }
                return found | {"kind": type(value).__name__}
            if data:
                return named(value)
            return [plain(part) for part in value] if isinstance(value, list | tuple) else value

        def named(source):
            if source is None or isinstance(source, int | float):
                return source
            if isinstance(source, str):
                names.add(source)
                return source
            if any(isinstance(part, str) for part in source):
                return [named(part) for part in source]
            name = f"#{len(still)}"
            still[name] = np.asarray(source, float)
            return name

        height = np.broadcast_to(self.height, len(self.rows)).tolist()
        spec = plain(self) | {"height": height, "alt": " ".join(self.alt.split())}
        return spec, still, names


def packed(arrays, kind=np.float32):
    """Return arrays as {"shapes": {name: shape}, "data": bytes}, one after another."""
    arrays = {name: np.asarray(array, kind) for name, array in arrays.items()}
    data = b"".join(array.tobytes() for array in arrays.values())
    return {"shapes": {name: list(a.shape) for name, a in arrays.items()}, "data": data}
