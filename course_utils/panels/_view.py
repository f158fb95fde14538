"""What the views of the course share: the making of a live panel, and a few things drawn often.

A view is three functions:

- ``controls()`` returns its controls, by name;
- ``compute(**values)`` returns two dicts for the values of the controls: the numbers of the text,
  and everything that the picture shows. It is plain arithmetic and needs no widget;
- ``scene()`` declares the picture: a ``widgets.scene.Scene`` of the names that ``compute`` returns.
"""

import re

from course_utils.datasets import velocity_scale
from course_utils.widgets import still
from course_utils.widgets.panel import Panel
from course_utils.widgets.scene import Axis, Top

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def view(controls, compute, scene, *, kind=Panel, prepare=None, **options):
    """Return the functions ``panel(**start)`` and ``picture(**values)`` of a view.

    ``kind`` is the class of the panel, and ``options`` are those of ``widgets.panel.Panel``:
    formats, presets, headline, shown. ``prepare(start)`` returns the values of the controls, and
    the controls, where these depend on what was given.
    """
    prepare = prepare or (lambda start: (start, controls()))

    def panel(**start):
        """Return the live panel; ``start`` sets controls, by name."""
        start, shown = prepare(start)
        return kind(scene(), compute, shown, start=start, **options)

    def picture(**values):
        """Return the panel's picture at the given values of its controls, as a PIL image."""
        values, shown = prepare(values)
        start = {name: control.value for name, control in shown.items()}
        numbers, arrays = compute(**start | values)
        return still.picture(scene(), numbers | arrays)

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
