"""Thousands of movements on one panel, as messages from a browser, and what they leave behind.

Runs inside a kernel: ``soak(panel, movements, warm_up)`` sends each movement through the widget's
own channel and returns what may not grow. Nothing is drawn from a clock: of times only ratios of
processor time are taken, of one and the same sequence of movements to a bare figure drawn between
them, since a processor that does other things too is slower for both.
"""

import contextlib
import ctypes
import gc
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import ipywidgets
import psutil
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from course_utils.widgets.controls import Equaliser
from course_utils.widgets.panel import NO_PRESET, Panel


def soak(
    panel: Panel,
    movements: int,
    warm_up: int,
    replayed: int,
    emptied: Iterable[Callable[[], None]] = (),
) -> dict[str, float]:
    """Move ``panel`` at random and return what grew between the warm-up and the end.

    ``memory`` in MB of the whole process, ``objects`` Python tracks, ``widgets`` and ``artists``
    alive, and ``slowdown``, how many times as long movements take. All are taken after one and the
    same sequence of ``replayed`` movements, which leaves the panel's bounded tables as they were:
    the retraining panel keeps its last six models, of 1 to 100 MB each. What grows inside such a
    table as it is used is ``emptied`` before each timing and each reading.

    Raises:
        AssertionError: a movement left an error on the panel, or the panel does not show what its
            controls say.
    """
    hand = random.Random(0)
    replay = random.Random(1)
    again = replay.getstate()

    bare = FigureCanvasAgg(Figure((6, 4), dpi=100))
    bare.figure.subplots().plot(range(400))

    def timed():
        replay.setstate(again)
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


def tour(panel: Panel, most: int = 40) -> None:
    """Visit the combinations of the panel's lists and switches, so that its tables are filled."""
    lists = {
        name: [value for _, value in widget.options]
        if hasattr(widget, "options") and isinstance(widget.options[0], tuple)
        else list(getattr(widget, "options", (False, True)))
        for name, widget in panel.controls.items()
        if hasattr(widget, "options") or isinstance(widget.value, bool)
    }
    all_of_them = list(itertools.product(*lists.values()))
    for values in random.Random(2).sample(all_of_them, min(most, len(all_of_them))):
        panel.set(**dict(zip(lists, values, strict=True)))
    panel.reset()


def random_movement(panel: Panel, hand: random.Random) -> None:
    """Move one control, take a preset or press Reset; then insist that the panel stands well."""
    names = [*panel.controls, "reset", *(["preset"] if panel.presets else [])]
    often = [10 if name in panel.controls else 1 for name in names]
    name = hand.choices(names, often)[0]
    move(panel, name, hand)
    assert panel.error is None, f"after moving {name}: {panel.error!r} at {panel.values}"
    assert panel._drawn == panel.values, f"after moving {name} the picture is of other values"


def move(panel: Panel, name: str, hand: random.Random | None = None) -> None:
    """Send the message that a browser would send for one movement of a control."""
    if name == "reset":
        data = {"method": "custom", "content": {"event": "click"}}
        send(next(w for w in family(panel) if isinstance(w, ipywidgets.Button)), data)
    elif name == "preset":
        chooser = panel._chooser
        places = [i for i, (_, value) in enumerate(chooser.options) if value != NO_PRESET]
        message(chooser, index=hand.choice(places))
    else:
        widget = panel.controls[name]
        if isinstance(widget, Equaliser):
            widget = hand.choice(widget.bars)
        message(widget, **somewhere(widget, hand))


def somewhere(widget: ipywidgets.Widget, hand: random.Random) -> dict:
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


def message(widget: ipywidgets.Widget, **state) -> None:
    """Let the widget receive a new state as from the front end."""
    send(widget, {"method": "update", "state": state, "buffer_paths": []})


def send(widget: ipywidgets.Widget, data: dict) -> None:
    """Deliver a message on the widget's channel."""
    widget.comm.handle_msg({"content": {"comm_id": widget.model_id, "data": data}, "buffers": []})


def family(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    """Yield a widget and all its descendants."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from family(child)


def standing(panel: Panel) -> dict[str, float]:
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


def give_back() -> None:
    """Let the C library return freed memory, of which it keeps tens of MB, now more, now less."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)
