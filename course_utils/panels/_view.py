"""What the views of the course share: the making of a live panel, and a few things drawn often.

A view is

- ``CONTROLS``, by name;
- ``compute(**values)``, which returns two dicts for the values of the controls: the numbers of the
  text, and everything that the picture shows. It is plain arithmetic and needs no widget;
- ``scene()``, which declares the picture: a ``widgets.scene.Scene`` of the names that ``compute``
  returns.
"""

from course_utils.datasets import velocity_scale
from course_utils.schedules import LOG_SNR_MAX, LOG_SNR_MIN
from course_utils.widgets.controls import Bars
from course_utils.widgets.panel import Panel
from course_utils.widgets.scene import Axis, Plot, Top

SPAN = (LOG_SNR_MIN, LOG_SNR_MAX)


def view(controls, compute, scene, *, kind=Panel, **options):
    """Return the functions ``panel(**start)`` and ``picture(**values)`` of a view.

    Where the controls depend on the ``start``, ``controls(start)`` returns both. ``kind`` is the
    class of the panel, and all else is what it takes: headline, shown, formats, presets.
    """

    def panel(**start):
        """Return the live panel; ``start`` sets controls, by name."""
        start, named = controls(start) if callable(controls) else (start, controls)
        return kind(scene(), compute, named, start=start, **options)

    def picture(**values):
        """Return the panel's picture at the given values of its controls, as a PIL image."""
        drawn = panel(**values)
        drawn.close()
        return drawn.picture

    for function in (panel, picture):
        function.__module__, function.__qualname__ = compute.__module__, function.__name__
    return panel, picture


def knots(label, levels, most, folded=""):
    """Return the bars that bend a curve at each of the levels, by powers of ten."""
    labels = tuple(f"λ = {level}".replace("-", "−") for level in levels)
    flat = (0.0,) * len(levels)
    return Bars(label, labels, -most, most, 0.1, flat, "powers of ten", folded=folded)


def over_levels(title, y, items, width=1.0, span=SPAN, unit="km/s"):
    """Return a plot over log-SNR, read on top as the blur: in km/s, or in the data's "sd"."""
    top = Top("blur", unit, factor=velocity_scale() if unit == "km/s" else 1.0, rate=-0.5)
    x = Axis(*span, "log-SNR λ     ← noise        data →", top=top)
    return Plot(title, x, y, items, width, cursor="λ")
