"""`make soak`: 20,000 movements on every panel in one process; a short version in `make test-all`.

Memory, widgets and threads must stand where they stood after the warm-up, and so must heap, nodes
and listeners of the browser's tab, on pages without a kernel.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import threading
from pathlib import Path

import ipywidgets
import psutil
import pytest
from moving import as_json
from panel_driving import PANELS, ends
from panel_page import shown
from serving import chromium

from course_utils.widgets.controls import Slider
from course_utils.widgets.panel import Panel
from course_utils.widgets.scene import Axis, Line, Plot, Scene

MOVEMENTS = int(os.environ.get("SOAK_MOVEMENTS", "20000"))
# What may remain after the warm-up; memory, in MB, is the whole process's, the heap in bytes.
LIMITS = {"memory": 10.0, "widgets": 0, "threads": 0}
LIMITS |= {"JSHeapUsedSize": 1e6, "Nodes": 30, "JSEventListeners": 0}
SOAK = Path(__file__).with_name("tab.js").read_text(encoding="utf-8")
SHORT = pytest.param(80, 40, marks=pytest.mark.full)
LONG = pytest.param(MOVEMENTS, max(500, MOVEMENTS // 10), marks=pytest.mark.soak)


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
    return growth(*readings)


def soaked(context, name, movements, warm_up, moved="null"):
    """Return what grew in a tab between the warm-up and the end, by name."""
    panel, readings = importlib.import_module(f"course_utils.panels.{name}").panel(), []
    record = json.loads(as_json(name, panel))
    panel.close()
    with shown(context, panel, record, address=False) as on_page:
        session = on_page.page.context.new_cdp_session(on_page.page)
        session.send("Performance.enable")
        on_page.page.add_script_tag(content=SOAK)
        for number in (warm_up, movements):
            on_page.page.evaluate(f"soak({number}, {moved})")
            session.send("HeapProfiler.collectGarbage")
            metrics = session.send("Performance.getMetrics")["metrics"]
            readings.append({m["name"]: m["value"] for m in metrics if m["name"] in LIMITS})
    return growth(*readings)


def growth(before, after):
    return {name: after[name] - before[name] for name in before}


def outgrown(found):
    """Return the names of what grew beyond its limit."""
    return {name for name in found if found[name] > LIMITS[name]}


def said(capsys, name, movements, found):
    with capsys.disabled():
        words = " ".join(f"{key} {value:+,.3g}" for key, value in found.items())
        print(f"\n{name:<14} {movements} movements: {words}", flush=True)


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
@pytest.mark.parametrize(("movements", "warm_up"), [SHORT, LONG], ids=["short", "long"])
def test_soak(name, movements, warm_up, capsys):
    module = importlib.import_module(f"course_utils.panels.{name}")
    # A model of retraining computes more of itself, tens of MB, the more it is asked for.
    empty = module._model.cache_clear if name == "retraining" else lambda: None
    found = soak(module.panel(), movements, warm_up, empty)
    said(capsys, name, movements, found)
    assert outgrown(found) == set()


@pytest.mark.soak
@pytest.mark.parametrize("name", PANELS)
def test_soak_of_the_tab(name, capsys):
    with chromium() as context:
        found = soaked(context, name, *LONG.values)
    said(capsys, name, MOVEMENTS, found)
    assert outgrown(found) == set()


@pytest.mark.full
def test_a_short_soak_of_tabs_and_a_leak_there_is_seen():
    leak = """k => (window.kept ??= []).push(document.createElement("p"),
        Array.from({ length: 1000 }, () => k))"""
    with chromium() as context:
        for name in ("counting", "sum_of_elbos"):
            assert outgrown(soaked(context, name, 400, 200)) == set()
        found = soaked(context, "counting", 400, 200, leak)
        assert outgrown(found) >= {"JSHeapUsedSize", "Nodes"}


@pytest.mark.full
def test_a_leak_is_seen():
    kept = []

    def compute(x):
        kept.append((b"x" * 4_000_000, ipywidgets.HTML()))  # written, or no page is taken
        return {"x": x}, {"at": [0.0, 1.0], "height": [0.0, float(x)]}

    plot = Plot("", Axis(0, 1), Axis(0, 9), (Line("at", "height", meaning="data"),))
    scene = Scene(((plot,),), 200, "It keeps what it draws.")
    leaky = Panel(scene, compute, {"x": Slider("x", 0, 9, 1, 0)}, "{x}", (), {"x": "{:g}"})
    assert outgrown(soak(leaky, 40, 0)) == {"memory", "widgets"}
    for _, widget in kept:
        widget.close()
