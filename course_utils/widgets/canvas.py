"""A figure drawn again and again: what is still is kept as pixels, what moves is drawn over it."""

import io

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image


class Canvas:
    """Draws a figure again and again; what has not changed since is not drawn again.

    A moving artist (``animated=True``) does not mark its axes and figure as stale; every other
    change does, and then the whole figure is drawn afresh.
    """

    def __init__(self, figure):
        self.figure = figure
        self.still = None  # the pixels [height, width, 4] without what moves
        if not isinstance(figure.canvas, FigureCanvasAgg):
            FigureCanvasAgg(figure)

    def draw(self):
        """Return the present picture, RGB."""
        canvas = self.figure.canvas
        if self.still is None or self.figure.stale:
            self.still = None  # if drawing fails, the next one starts afresh too
            canvas.draw()  # not savefig, which draws what moves too
            self.still = np.array(canvas.buffer_rgba())
        else:
            np.asarray(canvas.buffer_rgba())[:] = self.still
        renderer = canvas.get_renderer()
        for artist in _moving(self.figure):
            artist.draw(renderer)
        return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _moving(owner):
    """Yield the animated artists of a figure or axes in matplotlib's order of drawing."""
    for child in sorted(owner.get_children(), key=Artist.get_zorder):
        if child.get_animated():
            yield child
        elif isinstance(child, Axes) and child.get_visible():
            yield from _moving(child)


def jpeg(picture):
    """Return a picture as JPEG: the fastest PNG takes five times as long."""
    return encoded(picture, "JPEG", quality=85, subsampling=0)  # full chroma: thin lines stay clean


def encoded(picture, kind, **options):
    """Return a picture as the bytes of a file of this kind."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
