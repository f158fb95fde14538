"""Push every control of a panel to its ends, and insist that the panel stays well."""

import math
import numbers
import pkgutil
import re
from dataclasses import dataclass

import ipywidgets
import numpy as np

from course_utils import panels
from course_utils.widgets import old_panel
from course_utils.widgets.controls import Control
from course_utils.widgets.old_controls import Equaliser
from course_utils.widgets.panel import Panel

PANELS = [m.name for m in pkgutil.iter_modules(panels.__path__) if not m.name.startswith("_")]


@dataclass
class Drive:
    """What driving a panel took: the number of new pictures, and of those redrawn in full."""

    moves: int = 0
    full_redraws: int = 0


def drive(panel: Panel) -> Drive:
    """Move each control of ``panel`` alone, then all at once, then take presets and reset.

    Raises:
        AssertionError: after some movement the panel has an error, a blank picture, a result that
            is not finite, or controls that ``reset`` does not put back.
        Exception: whatever ``update`` raises.
    """
    if isinstance(panel, old_panel.Panel):
        return drive_old(panel)
    done, start = Drive(), panel.values

    def move(values, where):
        panel.set(**values)
        done.moves += 1
        inspect(panel, where)

    inspect(panel, "at the start")
    for name, control in panel.controls.items():
        for value in control.ends():
            move({name: value}, f"at {name} = {value!r}")
        panel.reset()
    for end in (0, -1):
        values = {name: control.ends()[end] for name, control in panel.controls.items()}
        move(values, f"with all controls at an end: {values}")
    for name, values in panel.presets.items():
        move(values, f"at preset {name!r}")
    panel.reset()
    assert panel.values == start, f"reset left {panel.values}, the start was {start}"
    inspect(panel, "after reset")
    return done


def drive_old(panel: old_panel.Panel) -> Drive:
    """The same for a panel without a scene."""
    done, start = Drive(), panel.values
    draw = panel.figure.canvas.draw

    def counted_draw():
        done.full_redraws += 1
        draw()

    panel.figure.canvas.draw = counted_draw
    try:
        inspect(panel, "at the start")
        for name, widget in panel.controls.items():
            for value in extremes(widget):
                widget.value = value  # as a hand would: through the widget
                done.moves += 1
                inspect(panel, f"at {name} = {value!r}")
            panel.reset()
        for end in (0, -1):
            panel.set(**{name: extremes(w)[end] for name, w in panel.controls.items()})
            done.moves += 1
            inspect(panel, f"with all controls at an end: {panel.values}")
        for name, values in panel.presets.items():
            panel.set(**values)
            done.moves += 1
            inspect(panel, f"at preset {name!r}")
        panel.reset()
        assert panel.values == start, f"reset left {panel.values}, the start was {start}"
        inspect(panel, "after reset")
    finally:
        del panel.figure.canvas.draw
    return done


def extremes(widget) -> list:
    """Return the values at which a control is worth looking at, its ends first and last."""
    if isinstance(widget, Control):
        return widget.ends()
    if isinstance(widget, Equaliser):
        low, high, n = widget.bars[0].min, widget.bars[0].max, len(widget.bars)
        alone = [(low,) * i + (high,) + (low,) * (n - i - 1) for i in range(n)]
        return [(low,) * n, *alone, (high,) * n]
    if isinstance(widget.value, bool):
        return [False, True]
    if hasattr(widget, "options"):
        pairs = [o if isinstance(o, tuple) else (o, o) for o in widget.options]
        return [value for _, value in pairs]
    if isinstance(widget, ipywidgets.FloatLogSlider):
        return [widget.base**widget.min, widget.base**widget.max]
    if isinstance(widget.value, tuple) and hasattr(widget, "min"):
        low, high = widget.min, widget.max
        return [(low, low), (low, high), (high, high)]
    if hasattr(widget, "min"):
        return [widget.min, widget.max]
    raise TypeError(f"no ends known for {type(widget).__name__}: add them to extremes()")


def inspect(panel: Panel, where: str) -> None:
    """Fail unless the panel stands well: no error, something drawn, finite numbers."""
    assert panel.error is None, f"{where}: {panel.error!r}"
    if isinstance(panel, Panel):
        drawn = np.frombuffer(panel.frame["data"], np.float32)
        assert drawn.size and np.isfinite(drawn).mean() > 0.5, f"{where}: nothing to draw"
    else:
        inspect_picture(panel, where)
    for name, value in panel.results.items():
        if isinstance(value, numbers.Number | np.ndarray):
            assert np.all(np.isfinite(value)), f"{where}: {name} is {value}"
    words = re.search(r"\b(nan|inf)\b", panel.text())
    assert words is None, f"{where}: the text has {words[0]!r}: {panel.text()}"
    assert not any(isinstance(v, float) and math.isnan(v) for v in panel.values.values()), where


def inspect_picture(panel: old_panel.Panel, where: str) -> None:
    picture = np.asarray(panel.picture)
    assert picture.min() < picture.max(), f"{where}: the picture is blank"
    if still(panel) is not None:
        assert not np.array_equal(picture, still(panel)), f"{where}: no moving artist is visible"


def still(panel: old_panel.Panel) -> np.ndarray | None:
    """Return the picture without its moving artists, or None if all that moves is still."""
    moving = panel.figure.findobj(lambda artist: artist.get_animated(), include_self=False)
    if not moving:
        return None
    return panel._canvas.still[..., :3]
