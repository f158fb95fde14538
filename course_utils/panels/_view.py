"""What the views of the course share: the making of a live panel, and a few things drawn often.

A view is three functions and a declaration:

- ``controls()`` returns its controls, by name;
- ``compute(**values)`` returns two dicts for the values of the controls: the numbers of the text,
  and everything that the picture shows. It is plain arithmetic and needs no widget;
- ``scene()`` declares the picture: a ``widgets.scene.Scene`` of the names that ``compute`` returns;
- ``drawing()``, where there is no scene yet, makes the figure and returns it with
  ``show(numbers, **arrays)``, which moves what moves in it.
"""

import re

import numpy as np

from course_utils.datasets import velocity_scale
from course_utils.widgets import figures, old_panel, still
from course_utils.widgets.panel import Panel
from course_utils.widgets.scene import Axis, Top

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def view(controls, compute, scene, **options):
    """Return the functions ``panel(**start)`` and ``picture(**values)`` of a view.

    ``options`` are those of ``widgets.panel.Panel``: formats, presets, headline, shown.
    """

    def panel(**start):
        """Return the live panel; ``start`` sets controls, by name."""
        return Panel(scene(), compute, controls(), start=start, **options)

    def picture(**values):
        """Return the panel's picture at the given values of its controls, as a PIL image."""
        start = {name: control.value for name, control in controls().items()}
        numbers, arrays = compute(**start | values)
        return still.picture(scene(), numbers | arrays)

    return _named(panel, compute), _named(picture, compute)


def old_view(controls, compute, drawing, *, alt, formats, presets=None):
    """The same for a view with ``drawing()``, which has no scene yet."""

    def panel(**start):
        """Return the live panel; ``start`` sets controls, by name."""
        with figures.style():
            figure, show = drawing()
            figures.freeze_layout(figure)

        def update(**values):
            numbers, arrays = compute(**values)
            show(numbers, **arrays)
            return numbers

        return old_panel.Panel(
            figure, update, controls(), alt=alt, formats=formats, presets=presets, start=start
        )

    def picture(**values):
        """Return the panel's picture at the given values of its controls, as a PIL image."""
        return old_panel.snapshot(panel(), **values)

    return _named(panel, compute), _named(picture, compute)


def _named(function, compute):
    function.__module__, function.__qualname__ = compute.__module__, function.__name__
    return function


def readable(number):
    """Return a number in words, four digits and no "e": 0.06776, 4.6·10⁻⁷."""

    def power(found):
        return "·10" + str(int(found[1])).translate(RAISED)

    return re.sub(r"e([+-]\d+)", power, f"{number:.4g}")


def level_axis(low, high, **more):
    """Return the x axis of log-SNR, read on top as the blur in km/s that noise has there."""
    top = Top("blur", "km/s", factor=velocity_scale(), rate=-0.5)
    return Axis(low, high, "log-SNR λ     ← noise        data →", top=top, **more)


def moving_line(ax, meaning, **options):
    """Return a line in the colour of ``meaning``, empty as yet, that moves over the still parts."""
    return figures.line(ax, [], [], meaning, moving=True, **options)


def bars(ax, edges, meaning, **options):
    """Return a filled histogram over the bins between ``edges``, empty as yet."""
    colour = figures.COLOURS[meaning]
    empty = np.zeros(len(edges) - 1)
    return ax.stairs(empty, edges, fill=True, color=colour, animated=True, **options)


def outline(ax, edges, **options):
    """Return the black outline of a histogram over the bins between ``edges``, empty as yet."""
    colour, empty = figures.COLOURS["exact"], np.zeros(len(edges) - 1)
    return ax.stairs(empty, edges, color=colour, baseline=None, animated=True, **options)
