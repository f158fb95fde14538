"""`make soak`: 20,000 movements on every panel in one process; a short version in `make test-all`.

Memory, widgets and threads must stand where they stood after the warm-up.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import threading

import ipywidgets
import psutil
import pytest
from panel_driving import PANELS, ends, outgrown

from course_utils.widgets.controls import Slider
from course_utils.widgets.panel import Panel
from course_utils.widgets.scene import Axis, Line, Plot, Scene

MOVEMENTS = int(os.environ.get("SOAK_MOVEMENTS", "20000"))
# What may remain after the warm-up; memory, in MB, is the whole process's.
LIMITS = {"memory": 10.0, "widgets": 0, "threads": 0}


def soak(panel, movements, warm_up, empty=lambda: None):
    """Move a panel at random; return what grew between the warm-up and the end, by name.

    A movement takes one control to an end, or a preset. ``empty`` clears a bounded table that
    grows before each reading.
    """
    hand = random.Random(0)
    moves = [{name: v} for name, control in panel.controls.items() for v in ends(control)]
    moves += panel.presets.values()
    for move in moves:
        panel.set(**move)
    readings = []
    for number in (warm_up, movements):
        for move in hand.choices(moves, k=number):
            asked = panel.values | move
            message(panel, asked)
            assert panel.error is None, f"after {move}: {panel.error!r} at {panel.values}"
            assert panel.values == panel.checked(asked), f"after {move} at {panel.values}"
        panel.reset()
        empty()
        readings.append(standing())
    panel.close()
    return {name: readings[1][name] - readings[0][name] for name in LIMITS}


def message(panel, values):
    """Deliver the message that a browser sends for a movement to these values."""
    asked = {"values": values, "from": "hand", "n": panel.answer[1] + 1}
    data = {"method": "custom", "content": json.loads(json.dumps(asked))}
    panel.comm.handle_msg({"content": {"comm_id": panel.model_id, "data": data}, "buffers": []})


def standing():
    """Return what the process holds at rest."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # not glibc, which keeps some freed memory
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return {
        "memory": psutil.Process().memory_info().rss / 1e6,
        "widgets": len(ipywidgets.widgets.widget._instances),
        "threads": threading.active_count(),
    }


@pytest.mark.parametrize("name", PANELS)
@pytest.mark.parametrize(
    ("movements", "warm_up"),
    [
        pytest.param(80, 40, marks=pytest.mark.full),
        pytest.param(MOVEMENTS, max(500, MOVEMENTS // 10), marks=pytest.mark.soak),
    ],
    ids=["short", "long"],
)
def test_soak(name, movements, warm_up, capsys):
    module = importlib.import_module(f"course_utils.panels.{name}")
    # A model of retraining computes more of itself, tens of MB, the more it is asked for.
    empty = module._model.cache_clear if name == "retraining" else lambda: None
    found = soak(module.panel(), movements, warm_up, empty)
    with capsys.disabled():
        words = " ".join(f"{key} {value:+.3g}" for key, value in found.items())
        print(f"\n{name:<14} {movements} movements: {words}", flush=True)
    assert outgrown(found, LIMITS) == {}


@pytest.mark.full
def test_a_leak_is_seen():
    kept = []

    def compute(x):
        kept.append((b"x" * 4_000_000, ipywidgets.HTML()))  # written, or no page is taken
        return {"x": x}, {"at": [0.0, 1.0], "height": [0.0, float(x)]}

    plot = Plot("", Axis(0, 1), Axis(0, 9), (Line("at", "height", meaning="data"),))
    scene = Scene(((plot,),), 200, "It keeps what it draws.")
    leaky = Panel(scene, compute, {"x": Slider("x", 0, 9, 1, 0)}, "{x}", (), {"x": "{:g}"})
    assert set(outgrown(soak(leaky, 40, 0), LIMITS)) == {"memory", "widgets"}
    for _, widget in kept:
        widget.close()
