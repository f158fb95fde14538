"""How the course's pictures look: one palette by meaning, and drawing functions that take arrays.

Every function takes the ``Axes`` to draw on and returns the artists, or an object that moves
them; none shows or saves. The colours are those of Okabe & Ito (2008), which colour-blind readers
can tell apart.
"""

import io

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

from course_utils._checks import finite, real_number, require_count, require_known

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

STYLE = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 1.8,
    "hatch.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def new_figure(rows=1, columns=1, *, size=(9.0, 4.0), **options):
    """Return (figure, axes) in the course's style, without pyplot; ``size`` in inches.

    ``options`` go to ``Figure.subplots``, which returns one Axes or an array of them.
    """
    require_count("rows", rows, most=20)
    require_count("columns", columns, most=20)
    inches = finite("size", size)
    if inches.shape != (2,) or not ((inches > 0) & (inches < 100)).all():
        raise ValueError(f"size must be (width, height) in inches, below 100 each, got {size}")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=tuple(inches), layout="constrained")
        return figure, figure.subplots(rows, columns, **options)


def line(ax, x, y, meaning, *, label=None, moving=False, **options):
    """Draw y over x in the colour of ``meaning`` (a key of ``COLOURS``); returns the line."""
    colour = COLOURS[require_known("meaning", meaning, tuple(COLOURS))]
    x, y = finite("x", x), finite("y", y)
    if x.size != y.size or not {x.shape, y.shape} <= {(x.size,), (x.size, 1)}:
        raise ValueError(f"x and y must be [n] or [n, 1], got shapes {x.shape} and {y.shape}")
    x, y = x.ravel(), y.ravel()
    return ax.plot(x, y, color=colour, label=label, animated=moving, **options)[0]


class SignedArea:
    """The area under a curve, hatched in vermilion where it is negative; ``set`` moves it."""

    def __init__(self, ax, meaning, *, label=None, moving=False, negative_label=None):
        require_known("meaning", meaning, tuple(COLOURS))
        self.above = ax.fill_between(
            [0, 0], 0, 0, color=COLOURS[meaning], alpha=0.45, lw=0, label=label, animated=moving
        )
        self.below = ax.fill_between(
            [0, 0],
            0,
            0,
            facecolor="#F4C2A5",
            edgecolor=COLOURS["negative"],
            hatch="////",
            lw=0,
            label=negative_label,
            animated=moving,
        )
        self.edge = line(ax, [], [], meaning, moving=moving, linewidth=1.2)

    def set(self, x, y):
        """Show the area between y [n] and zero over x [n]."""
        x, y = finite("x", x), finite("y", y)
        if x.ndim != 1 or y.shape != x.shape:
            raise ValueError(f"x and y must be [n] both, got shapes {x.shape} and {y.shape}")
        self.above.set_data(x, np.zeros_like(y), np.maximum(y, 0))
        self.below.set_data(x, np.zeros_like(y), np.minimum(y, 0))
        self.below.set_visible(bool((y < 0).any()))  # hatching nothing would take 0.8 ms
        self.edge.set_data(x, y)


class Ridges:
    """Densities stacked one above another, the first lowest, each with words beyond its end.

    Heights are drawn in proportion to the root of the density's peak, so that a broad layer looks
    flat without vanishing beside a sharp one.
    """

    def __init__(self, ax, n, x, meaning="data", *, height=2.2, margin=0.62, moving=False):
        require_count("n", n, most=100)
        self.x, self.height = finite("x", x), height
        if self.x.ndim != 1 or self.x.size < 2 or not self.x[-1] > self.x[0]:
            raise ValueError(f"x must be at least two points, from low to high, got {self.x}")
        self.areas, self.lines, self.words = [], [], []
        for i in reversed(range(n)):  # the lower ones in front
            order = 3 + n - i
            self.areas.append(
                ax.fill_between(
                    [0, 0], 0, 0, color="white", alpha=0.8, lw=0, animated=moving, zorder=order
                )
            )
            self.lines.append(line(ax, [], [], meaning, moving=moving, zorder=order, linewidth=1.3))
            self.words.append(
                ax.text(self.x[-1], 0, "", animated=moving, fontsize=8.5, zorder=order + n)
            )
        for parts in (self.areas, self.lines, self.words):
            parts.reverse()
        end = self.x[-1] + margin * (self.x[-1] - self.x[0])
        ax.set(ylim=(-0.1, n - 1 + height), yticks=[], xlim=(self.x[0], end))
        ax.spines["left"].set_visible(False)

    def set(self, curves, words, meanings):
        """Show ``curves`` [n, len(x)], densities on one scale, with words and colours."""
        curves = finite("curves", curves)
        each = curves.ndim == 2 and curves.shape[1:] == self.x.shape
        if not each or not ((curves.max(axis=1) > 0) & (curves.max(axis=1) < 1e100)).all():
            raise ValueError(
                f"each curve must be a density over the {len(self.x)} points, got curves of shape "
                f"{curves.shape}"
            )
        counts = len(curves), len(words), len(meanings)
        if counts != (len(self.lines),) * 3:
            raise ValueError(f"there are {len(self.lines)} layers, got {counts} for them")
        sharpest = max(curve.max() for curve in curves)
        for i, (curve, word, meaning) in enumerate(zip(curves, words, meanings, strict=True)):
            y = i + self.height * curve / np.sqrt(curve.max() * sharpest)
            self.areas[i].set_data(self.x, np.full_like(y, i), y)
            self.lines[i].set_data(self.x, y)
            self.lines[i].set_color(COLOURS[meaning])
            self.words[i].set(text="  " + word, y=i + 0.08, color=COLOURS[meaning])


class Pixels:
    """A grid of colours that fills its axes, behind all that moves, each cell with sharp edges.

    Its pixels go to the canvas as they are: 1 ms where ``imshow``, which resamples, takes 20.
    """

    def __init__(self, ax):
        self._cells = ax.add_artist(_Cells(ax))

    def set(self, grid):
        """Show ``grid`` [rows, columns, 3] of bytes, the first row lowest.

        The array on show is known by its identity: hand in another one, not a changed one.
        Raises ``ValueError`` where it is of another shape or kind.
        """
        bytes_of_colour = isinstance(grid, np.ndarray) and grid.dtype == np.uint8
        if not bytes_of_colour or grid.ndim != 3 or grid.shape[2] != 3 or not grid.size:
            what = f"{grid.dtype} {grid.shape}" if isinstance(grid, np.ndarray) else f"{grid!r:.40}"
            raise ValueError(f"the grid must be bytes (uint8) [rows, columns, 3], got {what}")
        self._cells.grid = grid


class _Cells(Artist):
    def __init__(self, ax):
        super().__init__()
        self.ax, self.zorder = ax, 0
        self.grid, self.drawn, self.pixels = None, None, None
        self.set_animated(True)
        self.set_in_layout(False)

    def draw(self, renderer):
        if self.grid is None:
            return
        box = self.ax.bbox
        edge = round(self.ax.spines["left"].get_linewidth() * renderer.dpi / 144)  # half a spine
        left, bottom = round(box.x0) + edge, round(box.y0) + edge
        wide, high = round(box.x1) - left, round(box.y1) - bottom
        if self.drawn is not self.grid or self.pixels.shape[:2] != (high, wide):
            rows = np.arange(high) * self.grid.shape[0] // high
            columns = np.arange(wide) * self.grid.shape[1] // wide
            self.pixels = np.full((high, wide, 4), 255, np.uint8)
            self.pixels[..., :3] = self.grid[rows][:, columns]
            self.drawn = self.grid
        context = renderer.new_gc()
        renderer.draw_image(context, left, bottom, self.pixels)
        context.restore()


def title(ax, words):
    """Write the title at the left, where reading starts."""
    ax.set_title(words, loc="left", fontsize=STYLE["axes.titlesize"])


def freeze_layout(figure):
    """Lay the figure out once and keep it: a later full redraw then takes half the time."""
    FigureCanvasAgg(figure).draw()
    figure.set_layout_engine("none")


def show(figure, alt):
    """Return ``figure`` for display at the end of a cell: its picture, with ``alt`` as its words.

    The words are what a screen reader, a text export and strict nbval see. Raises ``ValueError``
    if ``alt`` is empty.
    """
    return Shown(figure, alt)


class Shown:
    """A finished figure with its words, shown once and not moved."""

    def __init__(self, figure, alt):
        if not isinstance(alt, str) or not alt.strip():
            raise ValueError(f"alt is empty or no text ({alt!r:.40}): say what there is to see")
        self.figure, self.alt = figure, " ".join(alt.split())

    def _repr_mimebundle_(self, include=None, exclude=None):
        buffer = io.BytesIO()
        metadata = {"Description": self.alt, "Software": None}
        self.figure.savefig(buffer, format="png", dpi=200, metadata=metadata)
        width, height = self.figure.get_size_inches() * 100
        size = {"width": round(width), "height": round(height)}
        return {"image/png": buffer.getvalue(), "text/plain": self.alt}, {"image/png": size}


def level_axis(ax, low, high):
    """Label the x axis as log-SNR, from noise at the left to data at the right."""
    low, high = real_number("low", low), real_number("high", high)
    if not 0 < high - low <= 1000:
        raise ValueError(f"need low < high, at most 1000 apart, got {low:g} and {high:g}")
    ax.set(xlim=(low, high), xlabel="log-SNR λ     ← noise        data →")
    ax.xaxis.set_major_locator(MultipleLocator(5))
    ax.yaxis.set_major_locator(MaxNLocator(4))


def snapped_limit(value, steps=(1, 1.5, 2, 3, 5, 7, 10)):
    """Return the smallest 'round' number above ``value`` > 0, for limits that seldom change.

    Raises ``ValueError`` unless 0 < value < ∞.
    """
    value, steps = real_number("a limit", value), finite("steps", steps)
    if steps.ndim != 1 or not ((steps >= 1) & (steps <= 10)).all():
        raise ValueError(f"steps must be numbers from 1 to 10, got {steps}")
    if not 1e-300 < value < 1e300:
        raise ValueError(f"a limit must be positive and finite, got {value}")
    power = 10.0 ** np.floor(np.log10(value))
    high_enough = (step for step in steps if step * power >= value * 0.999)
    return float(next(high_enough, 10) * power)
