"""Thousands of movements on one panel, as messages from a browser, and what they leave behind.

Runs inside a kernel: ``soak`` sends each movement through the widget's own channel and returns what
may not grow. Of times only ratios are taken, of one and the same sequence of movements to a bare
figure drawn between them: a processor that does other things too is slower for both.
"""

import contextlib
import ctypes
import gc
import itertools
import json
import random
import threading
import time

import ipywidgets
import psutil
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from course_utils.widgets.controls import Bars, Choice, Dice, Switch, decimals


def soak(panel, movements, warm_up, replayed, emptied=()):
    """Move ``panel`` at random and return what grew between the warm-up and the end.

    ``memory`` in MB of the whole process, ``objects`` Python tracks, ``widgets`` alive, and
    ``slowdown``, how many times as long movements take. All are taken after one and the same
    sequence of ``replayed`` movements, which leaves the panel's bounded tables as they were. What
    grows inside such a table as it is used is ``emptied`` before each timing and reading.

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
        name: control.ends()
        for name, control in panel.controls.items()
        if isinstance(control, Choice | Switch)
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
    values = move(panel, name, hand)
    assert panel.error is None, f"after moving {name}: {panel.error!r} at {panel.values}"
    assert panel.values == values, f"after moving {name} the picture is of other values"


def move(panel, name, hand=None):
    """Send the message that a browser would send for one movement; returns the values it asks."""
    values = panel.values
    if name == "reset":
        values = values | panel.start
    elif name == "preset":
        values = values | hand.choice(list(panel.presets.values()))
    else:
        values = values | {name: somewhere(panel.controls[name], values[name], hand)}
    asked = {"values": values, "from": "hand", "n": panel.answer[1] + 1}
    data = {"method": "custom", "content": json.loads(json.dumps(asked))}
    panel.comm.handle_msg({"content": {"comm_id": panel.model_id, "data": data}, "buffers": []})
    return panel.checked(values)


def somewhere(control, value, hand):
    """Return a random value of a control."""
    if isinstance(control, Switch):
        return not value
    if isinstance(control, Choice):
        return hand.choice(control.ends())
    if isinstance(control, Dice):
        return hand.randrange(31)
    if isinstance(control, Bars):
        values = list(value)
        values[hand.randrange(len(values))] = on_a_step(control, hand)
        return values
    return on_a_step(control, hand)


def on_a_step(control, hand):
    steps = round((control.high - control.low) / control.step)
    number = control.low + control.step * hand.randint(0, steps)
    return round(min(control.high, number), decimals(control.step))


def standing(panel):
    """Return what a panel and its process hold at rest."""
    gc.collect()
    give_back()
    return {
        "memory": psutil.Process().memory_info().rss / 1e6,
        "objects": len(gc.get_objects()),
        "widgets": len(ipywidgets.widgets.widget._instances),
        "threads": threading.active_count(),
    }


def give_back():
    """Let the C library return freed memory, of which it keeps tens of MB, now more, now less."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)
