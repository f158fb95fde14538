"""How the course's pictures look: one palette by meaning, and drawing functions that take arrays.

Every function takes the ``Axes`` to draw on; none shows or saves. The colours are those of
Okabe & Ito (2008), which colour-blind readers can tell apart.
"""

import contextlib
import inspect
import io

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

from course_utils._checks import require_known

COLOURS = {
    "data": "#0072B2",  # blue
    "noise": "#606060",  # grey, dark enough to differ from green for eyes without M cones
    "model": "#E69F00",  # orange
    "exact": "#000000",  # black
    "weight": "#009E73",  # green
    "mixture": "#CC79A7",  # p_w: reddish purple
    "negative": "#D55E00",  # vermilion, always hatched too
    "level": "#56B4E9",  # sky blue
}

# In scenes, where lines stand on a screen: all differ from the paper by 3:1 or more.
SCREEN = {
    "light": COLOURS | {"model": "#BD7800", "level": "#3492D5", "negative": "#BD2200"},
    "dark": {
        "data": "#4DA6FF",
        "noise": "#938B9D",
        "model": "#DEB61B",
        "exact": "#FFFFFF",
        "weight": "#31C68B",
        "mixture": "#F9A3BB",
        "negative": "#FF8654",
        "level": "#A9DCFA",
    },
}

# What is negative or rises where it should not: hatched, for colour alone is not enough.
NEGATIVE = {"facecolor": "#F4C2A5", "edgecolor": COLOURS["negative"], "hatch": "////"}

# What differs from matplotlib's own defaults.
STYLE = {
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 1.8,
    "hatch.linewidth": 0.6,
}


DEFAULTS = {key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"}
_held = False  # whether the style holds already


@contextlib.contextmanager
def style(changes=None):
    """Draw in the course's style, whatever the reader's own matplotlib settings, which come back.

    ``changes`` are settings that differ from ``STYLE``. A ``style`` inside another changes nothing.
    """
    global _held
    if _held:
        yield
        return
    before = dict(dict.items(mpl.rcParams))
    _held = True
    try:
        # Not rcParams.update, which checks every value and takes a hundred times as long.
        dict.update(mpl.rcParams, DEFAULTS | STYLE | (changes or {}))
        yield
    finally:
        dict.update(mpl.rcParams, before)
        _held = False


def _always_in_style(cls):
    """Let the public methods of a class run inside ``style()``."""
    for name in dir(cls):
        method = inspect.getattr_static(cls, name)
        # matplotlib asks whether get_data_ratio is its own
        if inspect.isfunction(method) and name[0] != "_" and name != "get_data_ratio":
            setattr(cls, name, style()(method))
    return cls


@_always_in_style
class StyledAxes(Axes):
    """Axes on which all is drawn in the course's style."""


@_always_in_style
class StyledFigure(Figure):
    """A figure that is drawn in the course's style, in whichever cell."""

    def _process_projection_requirements(self, **options):
        # What all that makes axes asks for their class: subplots, twins and insets too.
        if not options.keys() & {"axes_class", "projection", "polar"}:
            options["axes_class"] = StyledAxes
        return super()._process_projection_requirements(**options)


def new_figure(rows=1, columns=1, *, size=(9.0, 4.0), **options):
    """Return (figure, axes) in the course's style, without pyplot; ``size`` in inches.

    ``options`` go to ``Figure.subplots``, which returns one Axes or an array of them.
    """
    with style():
        figure = StyledFigure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def line(ax, x, y, meaning, *, label=None, **options):
    """Draw y over x, both [n] or [n, 1], in the colour of ``meaning`` (a key of ``COLOURS``)."""
    colour = COLOURS[require_known("meaning", meaning, COLOURS)]
    x, y = np.ravel(x), np.ravel(y)
    return ax.plot(x, y, color=colour, label=label, **options)[0]


def signed_area(ax, x, y, meaning, *, label=None):
    """Fill the area between y [n] and zero over x [n], hatched in vermilion where y < 0."""
    colour = COLOURS[require_known("meaning", meaning, COLOURS)]
    ax.fill_between(x, 0, np.maximum(y, 0), color=colour, alpha=0.45, lw=0, label=label)
    if (y < 0).any():
        ax.fill_between(x, 0, np.minimum(y, 0), **NEGATIVE, lw=0)
    line(ax, x, y, meaning, linewidth=1.2)


def ridges(ax, x, curves, words, colours, apart=1.0):
    """Stack densities over x one above another, the first lowest, with words beyond their ends.

    ``curves`` [n, m] are on one scale, each drawn as high as the root of its peak: a broad layer
    looks flat without vanishing beside a sharp one. ``colours`` has one a curve. ``apart``: how
    many layers the words are apart, more than 1 where these are lower than words.
    """
    sharpest = np.max(curves)
    for i, (curve, colour) in enumerate(zip(curves, colours, strict=True)):
        y = i + 2.2 * curve / np.sqrt(curve.max() * sharpest)
        order = 3 + len(curves) - i  # the lower ones in front
        ax.fill_between(x, i, y, color="white", alpha=0.8, lw=0, zorder=order)
        ax.plot(x, y, color=colour, lw=1.3, zorder=order)
        beside = {"textcoords": "offset points", "fontsize": 9, "zorder": order + len(curves)}
        ax.annotate(words[i], (x[-1], apart * i), (5, 1), **beside)


def title(ax, words):
    """Write the title at the left, where reading starts."""
    ax.set_title(words, loc="left")


class Shown:
    """``figure`` for display at the end of a cell, with ``alt`` as its words.

    A screen reader, a text export and strict nbval see those. Raises ``ValueError`` if empty.
    """

    def __init__(self, figure, alt):
        if not alt.strip():
            raise ValueError("alt is empty: say what there is to see")
        self.figure, self.alt = figure, " ".join(alt.split())

    def _repr_mimebundle_(self, include=None, exclude=None):
        buffer = io.BytesIO()
        metadata = {"Description": self.alt, "Software": None}
        self.figure.savefig(buffer, format="png", dpi=200, metadata=metadata)
        width, height = self.figure.get_size_inches() * 100
        size = {"width": round(width), "height": round(height)}
        return {"image/png": buffer.getvalue(), "text/plain": self.alt}, {"image/png": size}


show = Shown


def level_axis(ax, low, high):
    """Label the x axis as log-SNR, from noise at the left to data at the right."""
    ax.set(xlim=(low, high), xlabel="log-SNR λ     ← noise        data →")
    ax.xaxis.set_major_locator(MultipleLocator(5))
    ax.yaxis.set_major_locator(MaxNLocator(4))
