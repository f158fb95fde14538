"""Thousands of movements on one panel, and what they leave behind. Runs inside a kernel."""

import contextlib
import ctypes
import gc
import json
import random
import threading

import ipywidgets
import psutil


def soak(panel, movements, warm_up, emptied=()):
    """Move ``panel`` at random and return what grew between the warm-up and the end.

    ``memory`` in MB of the whole process, ``widgets`` and ``threads`` alive. A movement takes one
    control to an end, or a preset. What grows inside a bounded table is ``emptied`` before each
    reading. Whatever a movement raises ends it.
    """
    hand = random.Random(0)
    moves = [{name: v} for name, control in panel.controls.items() for v in control.ends()]
    moves += panel.presets.values()

    def standing_after(number):
        for move in hand.choices(moves, k=number):
            asked = panel.values | move
            message(panel, asked)
            assert panel.error is None, f"after {move}: {panel.error!r} at {panel.values}"
            assert panel.values == panel.checked(asked), f"after {move} at {panel.values}"
        panel.reset()
        for empty in emptied:
            empty()
        return standing()

    for move in moves:
        panel.set(**move)
    before, after = standing_after(warm_up), standing_after(movements)
    return {name: after[name] - before[name] for name in after}


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
