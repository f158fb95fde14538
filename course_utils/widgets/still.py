"""A scene as a still picture, drawn by matplotlib: for saved outputs, slides, README and PDF."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullLocator
from PIL import Image

from course_utils.widgets import figures
from course_utils.widgets.scene import Handle, Points, Rule

COLOURS = figures.SCREEN["light"]
WIDTH = 940  # CSS pixels
DPI = 100  # CSS pixels an inch
RATIO = 2  # picture pixels a CSS pixel
# Margins in CSS pixels: above, more with a legend and a second reading; beside, the same in every
# row, so that what shares an axis stands below one another.
TITLE, LINE, TOP, LEFT, RIGHT = 24, 17, 20, 64, 20
LETTER = 6.2  # pixels a letter of small type takes
POINT = 72 / DPI  # points a CSS pixel
DASHES = {"": "-", "dash": "--", "dot": ":", "dashdot": "-."}
MARKERS = {"dot": "o", "ring": "o", "square": "s", "star": "*"}


def picture(scene, values):
    """Return the scene with these arrays and numbers, by name, as a PIL image."""
    canvas = figure(scene, values).canvas
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def figure(scene, values):
    """Return the scene as a matplotlib figure."""
    heights = np.broadcast_to(scene.height, len(scene.rows))
    size = np.array([WIDTH, heights.sum()])
    with figures.style():
        drawn = figures.StyledFigure(figsize=size / DPI, dpi=DPI * RATIO)
        for row, height, end in zip(scene.rows, heights, np.cumsum(heights), strict=True):
            for plot, box, above in _boxes(row, height):
                box[1] += size[1] - end
                ax = drawn.add_axes(box / np.tile(size, 2))
                _Still(ax, plot, values, box[2:]).draw(above)
        FigureCanvasAgg(drawn)
    return drawn


def _boxes(row, height):
    """Each plot of a row, the place of its axes in it (left, bottom, width, height), and the room
    above them. To measure all words first would take half a second.
    """
    plots = [plot for plot in row if plot is not None]
    above = TITLE + LINE * any(item.label for plot in plots for item in plot.items)
    above += TOP * any(plot.x.top is not None for plot in plots)
    below = max(24 * bool(p.x.label) + 22 * (p.x.ticks != ()) for p in plots)
    widths = np.array([1.0 if plot is None else plot.width for plot in row])
    widths *= WIDTH / widths.sum()
    for plot, width, end in zip(row, widths, np.cumsum(widths), strict=True):
        if plot is not None:
            left = 6 if plot.y.ticks == () and not plot.y.label else LEFT
            box = end - width + left, below, width - left - RIGHT, height - above - below
            yield plot, np.array(box), above


class _Still:
    """One plot on matplotlib's axes."""

    def __init__(self, ax, plot, values, size):
        self.ax, self.plot, self.values = ax, plot, values
        self.width, self.height = size

    def get(self, source):
        """The number or array that a source stands for."""
        if isinstance(source, str):
            return self.values[source]
        if isinstance(source, tuple):
            return [self.get(part) for part in source]
        return source

    def draw(self, above):
        plot, ax = self.plot, self.ax
        self.scale("x", plot.x)
        self.scale("y", plot.y)
        for item in plot.items:
            if not isinstance(item, Handle):
                getattr(self, type(item).__name__.lower())(item, COLOURS[item.meaning])
        self.limits("x", plot.x)
        self.limits("y", plot.y)
        for item in plot.items:
            if isinstance(item, Handle):  # stays between the limits
                self.handle(item, COLOURS[item.meaning])
        head = above - TITLE  # where the title stands
        ax.set_title(plot.title, loc="left", y=1, pad=(head + 8) * POINT)
        if ax.get_legend_handles_labels()[0]:
            look = {"columnspacing": 0.8, "handlelength": 1.1, "handletextpad": 0.6, "ncols": 9}
            look |= {"borderpad": 0, "borderaxespad": 0, "fontsize": 8, "loc": "lower left"}
            ax.legend(bbox_to_anchor=(0, 1 + (head + 6 - LINE) / self.height), **look)

    # Axes

    def scale(self, which, axis):
        set_scale = getattr(self.ax, f"set_{which}scale")
        if axis.scale == "sqrt":
            set_scale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))
        elif axis.scale == "asinh":
            set_scale("asinh", linear_width=axis.linear)
        else:
            set_scale(axis.scale)

    def limits(self, which, axis):
        ax, low, high = self.ax, self.get(axis.low), self.get(axis.high)
        if axis.settle:
            data = getattr(ax.dataLim, f"interval{which}")
            low, high = min(low, data[0] * 1.05), max(high, data[1] * 1.05)
        getattr(ax, f"set_{which}label")(axis.label)
        getattr(ax, f"{which}axis").set_minor_locator(NullLocator())
        if axis.ticks is not None:
            named = dict(
                t if isinstance(t, tuple) else (t, f"{t:,g}".replace("-", "−")) for t in axis.ticks
            )
            getattr(ax, f"set_{which}ticks")([*named], [*named.values()])
        getattr(ax, f"set_{which}lim")(low, high)  # last, for ticks outside widen them
        if axis.top:
            self.top(axis.top)

    def top(self, top):
        """Powers of ten of the second reading, each where x has it, beside what it is."""
        name, (left, right) = f"{top.label}, {top.unit}", self.ax.get_xlim()
        self.ax.annotate(name, (0, 1), (0, 5), "axes fraction", "offset points", fontsize=8)
        ends = np.log10(top.factor * np.exp(top.rate * np.array([left, right])))
        powers = np.arange(np.ceil(ends.min()), np.floor(ends.max()) + 1)
        values = 10.0 ** powers[:: int(-(-len(powers) // (self.width // 50)))]
        x = np.log(values / top.factor) / top.rate
        free = (x - left) / (right - left) * self.width > LETTER * (len(name) + 5)
        second = self.ax.secondary_xaxis("top")
        second.set_xticks(x[free], [f"{v:,.10g}" for v in values[free]])
        second.tick_params(labelsize=8)

    # Items

    def line(self, item, colour):
        style = {"color": colour, "ls": DASHES[item.dash], "lw": item.width * POINT}
        lines = self.ax.plot(self.get(item.x), self.get(item.y), alpha=item.alpha, **style)
        lines[0].set_label(item.label)

    def area(self, item, colour):
        x, y = np.asarray(self.get(item.x)), np.asarray(self.get(item.y))
        fill = self.ax.fill_betweenx if item.sideways else self.ax.fill_between
        along, up = (y, x) if item.sideways else (x, y)
        look = {"color": colour, "alpha": 0.4 * item.alpha, "label": item.label}
        fill(along, 0, np.maximum(up, 0), lw=0, **look)
        if (up < 0).any():
            fill(along, 0, np.minimum(up, 0), lw=0, label=item.negative, **figures.NEGATIVE)
        self.ax.plot(x, y, color=colour, lw=1.3 * POINT, alpha=item.alpha)

    def band(self, item, colour):
        low, high = self.get(item.low), self.get(item.high)
        look = {"color": colour, "alpha": 0.25 * item.alpha, "lw": 0}
        if item.hatched:
            look = {"facecolor": to_rgba(colour, 0.25), "edgecolor": colour, "hatch": "////"}
        if item.x is None:
            self.ax.axhspan(low, high, label=item.label, **look)
        else:
            self.ax.fill_between(self.get(item.x), low, high, label=item.label, **look)

    def bars(self, item, colour):
        look = {"fill": True, "baseline": self.get(item.start), "alpha": 0.75 * item.alpha}
        if item.outline:
            look = {"baseline": None, "lw": 1.3 * POINT, "alpha": item.alpha}
        look["orientation"] = "horizontal" if item.sideways else "vertical"
        heights, edges = self.get(item.heights), self.get(item.edges)
        self.ax.stairs(heights, edges, color=colour, label=item.label, **look)

    def points(self, item, colour, **more):
        x, y = np.atleast_1d(self.get(item.x)), np.atleast_1d(self.get(item.y))
        look = {"ms": item.size * POINT, "alpha": item.alpha, "zorder": 4}
        look |= {"color": colour, "mfc": "none" if item.shape == "ring" else colour} | more
        self.ax.plot(x, y, MARKERS[item.shape], label=item.label, **look)

    def heat(self, item, colour):
        (left, right), (bottom, top) = self.get(item.x), self.get(item.y)
        share = np.clip(np.divide(self.get(item.values), item.dense), 0, 1) ** item.power
        stops = [(0, "white"), (0.6, colour), (1, "#000a14")]
        ramp = LinearSegmentedColormap.from_list("", stops)
        look = {"origin": "lower", "aspect": "auto", "interpolation": "nearest"}
        extent = (left, right, bottom, top)
        self.ax.imshow(share, cmap=ramp, vmin=0, vmax=1, extent=extent, **look)

    def ridges(self, item, colour):
        colours = [COLOURS["negative"] if less else colour for less in self.get(item.negative)]
        x, curves = np.asarray(self.get(item.x)), np.asarray(self.get(item.curves))
        figures.ridges(self.ax, x, curves, self.get(item.words), colours, apart=1.2)

    def words(self, item, colour):
        said = item.text.format(**self.values)
        halo = {"path_effects": [withStroke(linewidth=3, foreground="white")], "zorder": 5}
        place = {"transform": self.ax.transAxes, "ha": item.align}
        self.ax.text(item.x, item.y, said, **place, **halo)

    def rule(self, item, colour):
        draw = self.ax.axvline if item.along == "x" else self.ax.axhline
        style = {"color": colour, "ls": DASHES[item.dash], "lw": item.width * POINT}
        draw(self.get(item.at), label=item.label, **style)

    def handle(self, item, colour):
        """A still has no handles, but for the line or the dots that stand where one is."""
        if item.grip in ("rule", "edge"):
            at = item.x if item.along == "x" else item.y
            self.rule(Rule(at, along=item.along, meaning=item.meaning), colour)
        elif item.grip in ("point", "knots"):
            x, y = self.get(item.x), self.get(item.y)
            inside = np.clip(x, *self.ax.get_xlim()), np.clip(y, *self.ax.get_ylim())
            self.points(Points(*inside, size=8), colour, clip_on=False)
