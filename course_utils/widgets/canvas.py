"""The still parts of a figure, kept as pixels for what moves over them."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine


class Still:
    """The still parts of a figure as pixels, drawn afresh where they have changed.

    An animated artist does not mark its axes and figure as stale; every other change does. Where
    only axes are stale and the layout is frozen, those axes alone are drawn, each in its own
    rectangle; anything else, and a figure whose rectangles were ever seen to overlap, is drawn
    whole.
    """

    def __init__(self, figure: Figure):
        self.figure = figure
        self._overlapping = False
        self.forget()

    def forget(self) -> None:
        """Draw everything next time."""
        self.pixels: np.ndarray | None = None  # [height, width, 4]
        self._children: list[Artist] = []  # of the figure, when it was drawn
        # What is there without any axes, and the rectangle of each; known once prepared.
        self._paper: np.ndarray | None = None
        self._boxes: dict[Axes, tuple[slice, slice]] = {}

    def prepare(self) -> None:
        """Find the rectangles of the axes, so that their first change costs no more than others."""
        unchanged = self._axes_may_change_alone() and not self.figure.stale
        if unchanged and self._paper is None and not self._redraw_axes([]):
            self.forget()

    def restore(self) -> None:
        """Put the still parts, as they are now, on the canvas."""
        if self.pixels is None or self.figure.stale:
            axes = self._changed_axes()
            if not (axes and self._redraw_axes(axes)):
                self.forget()
                self.figure.canvas.draw()  # not savefig, which draws the animated artists too
                self._children = self.figure.get_children()
                self.pixels = self._canvas().copy()
                return
        self._canvas()[:] = self.pixels

    def _canvas(self) -> np.ndarray:
        return np.asarray(self.figure.canvas.buffer_rgba())

    def _axes_may_change_alone(self) -> bool:
        """Whether the same axes stand in the same places as when the figure was drawn."""
        if self.pixels is None or self._overlapping:
            return False
        children, engine = self.figure.get_children(), self.figure.get_layout_engine()
        width, height = self.figure.bbox.size.astype(int)
        return (
            len(children) == len(self._children)
            and all(a is b for a, b in zip(children, self._children, strict=True))
            and (engine is None or isinstance(engine, PlaceHolderLayoutEngine))
            and self.pixels.shape[:2] == (height, width)
        )

    def _changed_axes(self) -> list[Axes]:
        """The axes that are stale, or none if something else may have changed too."""
        if not self._axes_may_change_alone():
            return []
        stale = [child for child in self._children if child.stale]
        return stale if all(isinstance(child, Axes) for child in stale) else []

    def _redraw_axes(self, stale: list[Axes]) -> bool:
        """Draw the stale axes alone; False if that cannot be right, since some axes overlap."""
        if self._paper is None:  # the rectangles of all axes are needed
            self._paper = self._drawn([])
            self.pixels = self._paper.copy()
            stale = [child for child in self._children if isinstance(child, Axes)]
        for axes in stale:
            pixels = self._drawn([axes])
            box = self._box(axes, pixels)
            if any(_overlap(box, other) for a, other in self._boxes.items() if a is not axes):
                self._overlapping = True
                return False
            if axes in self._boxes:
                self.pixels[self._boxes[axes]] = self._paper[self._boxes[axes]]
            self.pixels[box] = pixels[box]
            self._boxes[axes] = box
        return True

    def _drawn(self, shown: list[Axes]) -> np.ndarray:
        """Return the canvas with everything still but the axes that are not ``shown``."""
        hidden = [ax for ax in self.figure.axes if ax not in shown and not ax.get_animated()]
        stale = [ax.stale for ax in hidden]
        for ax in hidden:
            ax.set_animated(True)  # unlike set_visible, this marks nothing as stale
        try:
            self.figure.canvas.draw()
        finally:
            for ax, was_stale in zip(hidden, stale, strict=True):
                ax.stale = was_stale  # every draw places all axes again, which marks them
                ax.set_animated(False)
        return self._canvas().copy() if not shown else self._canvas()

    def _box(self, axes: Axes, pixels: np.ndarray) -> tuple[slice, slice]:
        """The rectangle, in rows and columns, of all that axes have drawn and of their patch."""
        height = len(pixels)
        ink = (pixels.view(np.uint32) != self._paper.view(np.uint32))[..., 0]
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        if not axes.get_visible() or not rows.size:
            return slice(0, 0), slice(0, 0)
        left, bottom, right, top = axes.bbox.extents.round().astype(int)
        return (
            slice(max(0, min(rows[0], height - top)), max(rows[-1] + 1, height - bottom)),
            slice(max(0, min(columns[0], left)), max(columns[-1] + 1, right)),
        )


def _overlap(one: tuple[slice, ...], other: tuple[slice, ...]) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))
