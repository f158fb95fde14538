"""Push every control of a panel to its ends, and insist that the panel stays well."""

import math
import numbers
import pkgutil
import re

import numpy as np

from course_utils import panels
from course_utils.widgets.panel import Panel

PANELS = [m.name for m in pkgutil.iter_modules(panels.__path__) if not m.name.startswith("_")]


def drive(panel: Panel) -> int:
    """Move each control of ``panel`` alone, then all at once, then take presets and reset.

    Returns the number of movements.

    Raises:
        AssertionError: after some movement the panel has an error, a blank picture, a result that
            is not finite, or controls that ``reset`` does not put back.
        Exception: whatever ``update`` raises.
    """
    moves, start = 0, panel.values

    def move(values, where):
        nonlocal moves
        panel.set(**values)
        moves += 1
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
    return moves


def inspect(panel: Panel, where: str) -> None:
    """Fail unless the panel stands well: no error, something drawn, finite numbers."""
    assert panel.error is None, f"{where}: {panel.error!r}"
    drawn = np.frombuffer(panel.frame["data"], np.float32)
    assert drawn.size and np.isfinite(drawn).mean() > 0.5, f"{where}: nothing to draw"
    for name, value in panel.results.items():
        if isinstance(value, numbers.Number | np.ndarray):
            assert np.all(np.isfinite(value)), f"{where}: {name} is {value}"
    words = re.search(r"\b(nan|inf)\b", panel.text())
    assert words is None, f"{where}: the text has {words[0]!r}: {panel.text()}"
    assert not any(isinstance(v, float) and math.isnan(v) for v in panel.values.values()), where


def outgrown(found, limits):
    """Return the names of what grew beyond its limit, with the growth."""
    return {name: found[name] for name, limit in limits.items() if found[name] > limit}
