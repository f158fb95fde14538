"""Thousands of movements on one panel, as messages from a browser, and what they leave behind.

Runs inside a kernel: ``soak`` sends each movement through the widget's own channel and returns what
may not grow. Of times only ratios are taken, of one and the same sequence of movements to a bare
figure drawn between them: a processor that does other things too is slower for both.
"""

import contextlib
import ctypes
import gc
import itertools
import random
import threading
import time

import ipywidgets
import psutil
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from panel_driving import extremes

from course_utils.widgets.old_controls import Equaliser
from course_utils.widgets.old_panel import NO_PRESET


def soak(panel, movements, warm_up, replayed, emptied=()):
    """Move ``panel`` at random and return what grew between the warm-up and the end.

    ``memory`` in MB of the whole process, ``objects`` Python tracks, ``widgets`` and ``artists``
    alive, and ``slowdown``, how many times as long movements take. All are taken after one and the
    same sequence of ``replayed`` movements, which leaves the panel's bounded tables as they were.
    What grows inside such a table as it is used is ``emptied`` before each timing and reading.

    Raises:
        AssertionError: a movement left an error on the panel, or the panel does not show what its
            controls say.
    """
    hand = random.Random(0)
    bare = FigureCanvasAgg(Figure((6, 4), dpi=100))
    bare.figure.subplots().plot(range(400))

    def timed():
        replay = random.Random(1)
        move(panel, "reset")
        moving, drawing = 0.0, 0.0
        for _ in range(replayed):
            start = time.thread_time()
            random_movement(panel, replay)
            middle = time.thread_time()
            bare.draw()
            moving, drawing = moving + middle - start, drawing + time.thread_time() - middle
        return moving / drawing

    def measured():
        for empty in emptied:
            empty()
        timed()  # for what the sequence itself leaves in tables, before and after alike
        ratio = timed()
        for empty in emptied:
            empty()
        return ratio, standing(panel)

    tour(panel)
    for _ in range(warm_up):
        random_movement(panel, hand)
    before, first = measured()
    for _ in range(movements):
        random_movement(panel, hand)
    after, last = measured()
    grown = {name: last[name] - first[name] for name in first}
    return grown | {"slowdown": after / before}


def tour(panel, most=40):
    """Visit the combinations of the panel's lists and switches, so that its tables are filled."""
    choices = {
        name: extremes(widget)
        for name, widget in panel.controls.items()
        if hasattr(widget, "options") or isinstance(widget.value, bool)
    }
    every = list(itertools.product(*choices.values()))
    for values in random.Random(2).sample(every, min(most, len(every))):
        panel.set(**dict(zip(choices, values, strict=True)))
    panel.reset()


def random_movement(panel, hand):
    """Move one control, take a preset or press Reset; then insist that the panel stands well."""
    names = [*panel.controls, "reset", *(["preset"] if panel.presets else [])]
    often = [10 if name in panel.controls else 1 for name in names]
    name = hand.choices(names, often)[0]
    move(panel, name, hand)
    assert panel.error is None, f"after moving {name}: {panel.error!r} at {panel.values}"
    assert panel._drawn == panel.values, f"after moving {name} the picture is of other values"


def move(panel, name, hand=None):
    """Send the message that a browser would send for one movement of a control."""
    if name == "reset":
        button = next(w for w in family(panel) if isinstance(w, ipywidgets.Button))
        return message(button, method="custom", content={"event": "click"})
    if name == "preset":
        widget = panel._chooser
        presets = [i for i, (_, value) in enumerate(widget.options) if value != NO_PRESET]
        state = {"index": hand.choice(presets)}
    else:
        widget = panel.controls[name]
        if isinstance(widget, Equaliser):
            widget = hand.choice(widget.bars)
        state = somewhere(widget, hand)
    message(widget, method="update", state=state, buffer_paths=[])


def somewhere(widget, hand):
    """Return the state that a browser would send after a movement to a random place."""
    if isinstance(widget.value, bool):
        return {"value": not widget.value}
    if hasattr(widget, "options"):
        return {"index": hand.randrange(len(widget.options))}
    if isinstance(widget, ipywidgets.IntSlider):
        return {"value": hand.randrange(widget.min, widget.max + 1, widget.step)}
    if isinstance(widget, ipywidgets.FloatSlider):
        steps = round((widget.max - widget.min) / widget.step)
        return {"value": min(widget.max, widget.min + widget.step * hand.randint(0, steps))}
    raise TypeError(f"{type(widget).__name__}: say in somewhere() how it moves")


def message(widget, **data):
    """Deliver a message on the widget's channel, as from the front end."""
    widget.comm.handle_msg({"content": {"comm_id": widget.model_id, "data": data}, "buffers": []})


def family(widget):
    """Yield a widget and all its descendants."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from family(child)


def standing(panel):
    """Return what a panel and its process hold at rest."""
    gc.collect()
    give_back()
    return {
        "memory": psutil.Process().memory_info().rss / 1e6,
        "objects": len(gc.get_objects()),
        "widgets": len(ipywidgets.widgets.widget._instances),
        "artists": len(panel.figure.findobj(include_self=False)),
        "threads": threading.active_count(),
    }


def give_back():
    """Let the C library return freed memory, of which it keeps tens of MB, now more, now less."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)
