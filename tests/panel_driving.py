"""Push every control of a panel to its ends, and insist that the panel stays well."""

import pkgutil
import re

import numpy as np

from course_utils import panels
from course_utils.widgets.controls import Bars, Curve, Dice
from course_utils.widgets.panel import Panel

PANELS = [m.name for m in pkgutil.iter_modules(panels.__path__) if not m.name.startswith("_")]


def drive(panel: Panel) -> int:
    """Move each control alone, then all at once, then take presets and reset.

    Returns the number of movements. Fails where the panel does not stand well after one of them,
    or where ``reset`` does not put back its controls; raises whatever ``compute`` raises.
    """
    start = panel.values
    moves = [({name: v}, True) for name, control in panel.controls.items() for v in ends(control)]
    for end in (0, -1):
        moves.append(({name: ends(c)[end] for name, c in panel.controls.items()}, False))
    moves += [(values, False) for values in panel.presets.values()]
    inspect(panel, "the start")
    for values, alone in moves:
        panel.set(**start | values if alone else values)
        inspect(panel, values)
    panel.reset()
    assert panel.values == start, f"reset left {panel.values}, the start was {start}"
    inspect(panel, "reset")
    return len(moves)


def ends(control):
    """Return the values at which a control is worth looking at, its ends first and last."""
    if isinstance(control, Dice):
        return [0, 1]
    if isinstance(control, Curve):
        return [(), (0.0,) * control.n]
    if not isinstance(control, Bars):
        return getattr(control, "values", None) or [control.low, control.high]
    low, high, n = control.low, control.high, len(control.labels)
    alone = [(low,) * i + (high,) + (low,) * (n - i - 1) for i in range(n)]
    return [(low,) * n, *alone, (high,) * n]


def inspect(panel: Panel, where):
    """Fail unless the panel stands well: no error, something drawn, finite numbers."""
    assert panel.error is None, f"at {where}: {panel.error!r}"
    drawn = np.frombuffer(panel.frame["data"], np.float32)
    assert drawn.size and np.isfinite(drawn).mean() > 0.3, f"at {where}: nothing to draw"
    for name, value in panel.results.items():
        assert isinstance(value, str) or np.isfinite(value), f"at {where}: {name} is {value}"
    words = re.search(r"\b(nan|inf)\b|\de[-+]\d", panel.text())
    assert words is None, f"at {where}: the text has {words[0]!r}: {panel.text()}"
