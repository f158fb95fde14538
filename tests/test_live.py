"""The live panel: what is drawn, how often, and what happens when it fails."""

import io
import json
import re
import subprocess
import sys
import threading

import ipywidgets
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from panel_driving import Drive, drive
from PIL import Image

from course_utils.widgets.live import Equaliser, Panel, choice, equaliser, slider, snapshot, switch

X = np.linspace(0, 10, 200)


def waves(**options):
    """Return a panel of each kind of moving artist, and the list of values it was drawn at."""
    figure = Figure((6, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    # In the still picture: a line and text that the moving artists cross.
    left.plot(X, 0.5 * np.cos(X), color="0.8", lw=6)
    left.set(xlim=(0, 10), ylim=(-2, 2), xlabel="x", title="waves")
    right.set(xlim=(0, 10), ylim=(-2, 2))
    (line,) = left.plot(X, np.sin(X), lw=3, animated=True, zorder=3)
    area = right.fill_between(X, 0 * X, np.sin(X), alpha=0.4, animated=True)
    dots = right.scatter(X[::20], np.sin(X[::20]), c="k", zorder=4, animated=True)
    words = right.text(1, 1.5, "", animated=True)
    image = left.inset_axes([0.7, 0.7, 0.25, 0.25]).imshow(np.eye(8), vmin=0, vmax=1, animated=True)
    calls = []

    def update(shift, size, kind, gains, on):
        calls.append({"shift": shift, "size": size, "kind": kind, "gains": gains, "on": on})
        if shift == 3:
            raise ZeroDivisionError("shift <three> & more")
        y = (np.sin if kind == "sine" else np.cos)(X + shift) * (size + sum(gains))
        line.set_ydata(y)
        line.set_visible(not on)
        area.set_data(X, 0 * X, y)
        dots.set_offsets(np.c_[X[::20], y[::20]])
        words.set_text(f"{kind} {shift:.2f}")
        image.set_data(np.roll(np.eye(8), int(size), axis=0))
        return {"peak": float(abs(y).max()), "kind": kind, "odd": np.bool_(on), "size": size}

    controls = {
        "shift": slider("shift", 0, 5, 0.01, 1, unit="rad"),
        "size": slider("size", 0, 3, 1, 1),
        "kind": choice("kind", ["sine", "cosine"]),
        "gains": equaliser("abc", -1, 1, 0.1, 0, label="gain", unit="dB"),
        "on": switch("hide the line"),
    }
    options = {
        "alt": "Two waves that move.",
        "formats": {"peak": "peak {:.2f} m", "odd": "line hidden: {}"},
        "presets": {"tall": {"size": 3, "shift": 0.0}, "cosine": {"kind": "cosine"}},
    } | options
    return Panel(figure, update, controls, **options), calls


def from_scratch(values):
    """Return the picture of a new figure that has only ever been at ``values``."""
    panel, _ = waves()
    panel.set(**values)
    panel.rebase()
    return np.asarray(panel.picture)


def count_full_redraws(panel):
    counted, draw = [], panel.figure.canvas.draw
    panel.figure.canvas.draw = lambda: (counted.append(1), draw())
    return counted


# What is drawn


def test_picture_after_many_moves_equals_one_from_scratch():
    panel, _ = waves()
    rng = np.random.default_rng(0)
    for i in range(25):
        panel.set(
            shift=round(rng.uniform(0, 2.9), 3),
            size=int(rng.integers(0, 4)),
            kind=["sine", "cosine"][i % 2],
            gains=tuple(rng.uniform(-1, 1, 3).round(2).tolist()),
            on=bool(i % 5 == 0),
        )
    np.testing.assert_array_equal(np.asarray(panel.picture), from_scratch(panel.values))


def test_moving_back_leaves_no_ghost():
    panel, _ = waves()
    before = np.asarray(panel.picture)
    panel.set(shift=2.0, size=3)
    assert not np.array_equal(np.asarray(panel.picture), before)
    panel.reset()
    np.testing.assert_array_equal(np.asarray(panel.picture), before)


def test_ghosts_would_be_seen():
    """The comparison above does notice a background that holds a moving artist."""
    panel, _ = waves()
    before = np.asarray(panel.picture)
    panel._still.pixels = np.array(panel.figure.canvas.buffer_rgba())
    panel.set(shift=2.0)
    panel.reset()
    assert not np.array_equal(np.asarray(panel.picture), before)


def test_moving_artists_cost_no_full_redraw_and_still_ones_cost_one():
    panel, _ = waves()
    counted = count_full_redraws(panel)
    for shift in np.linspace(0, 2, 7):
        panel.controls["shift"].value = shift
    assert counted == []
    panel.figure.axes[0].set_title("new")
    panel.set(shift=0.5)
    panel.set(shift=0.6)
    assert len(counted) == 1


def three_axes(update, **options):
    """Return a panel of three axes in a frozen layout, and how often each was drawn."""
    figure = Figure((6, 3), layout="constrained")
    axes = figure.subplots(1, 3)
    lines = [ax.plot([0, 1], [0, k], animated=True)[0] for k, ax in enumerate(axes, 1)]
    for ax in axes:
        ax.set(title="a title", ylabel="y")
    FigureCanvasAgg(figure).draw()
    figure.set_layout_engine("none")
    drawn = {ax: 0 for ax in axes}
    for ax in axes:
        draw = ax.draw

        def counting(renderer, ax=ax, draw=draw):
            drawn[ax] += 1
            draw(renderer)

        ax.draw = counting
    controls = {"k": slider("k", 0, 20, 1, 0)}
    return Panel(figure, lambda k: update(k, axes, lines), controls, alt="Lines."), axes, drawn


def test_only_the_axes_that_changed_are_drawn_afresh():
    def update(k, axes, lines):
        axes[k % 2].set_ylim(0, 10 ** (k / 2))  # tick labels become longer, then shorter
        if k == 5:
            axes[0].set_title("a longer title")
        lines[2].set_ydata([0, k / 20])

    panel, axes, drawn = three_axes(update)
    for k in (1, 2, 3, 12, 5, 0, 1, 18, 4):
        panel.set(k=k)
        before = dict(drawn)
        picture = np.asarray(panel.picture)
        panel.rebase()
        np.testing.assert_array_equal(picture, np.asarray(panel.picture))
        assert {ax: n + 1 for ax, n in before.items()} == drawn
    panel.set(k=1)  # finds the rectangles of all
    counts = [drawn[ax] for ax in axes]
    panel.set(k=3)
    panel.set(k=2)
    panel.set(k=6)
    assert [drawn[ax] - n for ax, n in zip(axes, counts, strict=True)] == [2, 1, 0]


def test_a_panel_on_show_is_prepared_for_the_first_change():
    def update(k, axes, lines):
        axes[1].set_ylim(0, 1 + k)

    panel, axes, drawn = three_axes(update)
    before, shown = dict(drawn), np.asarray(panel.picture)
    panel._repr_mimebundle_()
    assert {ax: n + 1 for ax, n in before.items()} == drawn
    panel.set(k=3)
    panel.set(k=0)
    np.testing.assert_array_equal(np.asarray(panel.picture), shown)
    assert [drawn[ax] - before[ax] for ax in axes] == [1, 3, 1]


def test_overlapping_axes_are_drawn_whole_and_tried_once():
    def update(k, axes, lines):
        axes[0].set_xlim(0, 1 + k)

    panel, axes, drawn = three_axes(update)
    axes[1].set_position(axes[0].get_position())
    panel.redraw()
    panel._repr_mimebundle_()
    for k in (1, 2):
        before = dict(drawn)
        panel.set(k=k)
        assert {ax: n + 1 for ax, n in before.items()} == drawn
        picture = np.asarray(panel.picture)
        panel.rebase()
        np.testing.assert_array_equal(picture, np.asarray(panel.picture))


@pytest.mark.parametrize(
    "change",
    [
        lambda figure, axes: figure.suptitle("over all"),
        lambda figure, axes: figure.set_facecolor("0.9"),
        lambda figure, axes: axes[0].set_position([0.02, 0.1, 0.5, 0.7]),  # over the next
        lambda figure, axes: axes[1].set_visible(False),
        lambda figure, axes: axes[1].set_ylim(0, 1e9),
        lambda figure, axes: axes[1].set_ylabel("so long that it enters the first axes\n" * 4),
        lambda figure, axes: axes[1].set_facecolor("0.8"),
        lambda figure, axes: axes[2].remove(),
        lambda figure, axes: figure.add_axes([0.3, 0.3, 0.4, 0.4]),
        lambda figure, axes: axes[2].inset_axes([0.5, 0.5, 0.4, 0.4]),
        lambda figure, axes: axes[0].twinx().plot([0, 1], [5, 0]),
        lambda figure, axes: figure.set_size_inches(5, 4),
        lambda figure, axes: axes[0].set_aspect("equal"),
    ],
)
def test_whatever_changes_the_picture_equals_one_from_scratch(change):
    def update(k, axes, lines):
        axes[k % 2].set_xlim(0, 1 + k)
        if k == 3:
            change(axes[0].figure, axes)

    panel, _, _ = three_axes(update)
    panel.set(k=1)
    panel.set(k=2)
    before = np.asarray(panel.picture)
    for k in (3, 4, 5, 6):
        panel.set(k=k)
        picture = np.asarray(panel.picture)
        assert not np.array_equal(picture, before)
        panel.rebase()
        np.testing.assert_array_equal(picture, np.asarray(panel.picture))


def test_update_may_change_limits_and_titles():
    def build():
        figure = Figure((3, 2))
        axes = figure.subplots()
        (line,) = axes.plot([0, 1], [0, 1], animated=True)

        def update(top):
            axes.set_ylim(0, top)
            axes.set_title(f"up to {top}")
            line.set_ydata([0, top])

        return Panel(figure, update, {"top": slider("top", 1, 9, 1, 2)}, alt="A line.")

    moved, fresh = build(), build()
    for top in (3, 9, 5):
        moved.set(top=top)
    fresh.set(top=5)
    fresh.rebase()
    np.testing.assert_array_equal(np.asarray(moved.picture), np.asarray(fresh.picture))
    assert moved.results == {}


def test_rebase_shows_what_changed_outside_update():
    panel, calls = waves()
    before = panel.image_bytes()
    panel.figure.axes[0].set_title("another title")
    panel.rebase()
    assert panel.image_bytes() != before
    assert len(calls) == 1


def test_jpeg_on_show_is_close_to_the_picture_and_twice_its_size_on_the_page():
    panel, _ = waves()
    shown = Image.open(io.BytesIO(panel.image_bytes()))
    assert shown.format == "JPEG"
    assert shown.size == panel.picture.size == (1200, 600)
    difference = np.asarray(shown, float) - np.asarray(panel.picture, float)
    assert np.sqrt(np.mean(difference**2)) < 5  # of 255
    assert panel._image.layout.width == "600px"


def test_movement_sends_a_coarse_picture_and_rest_the_sharp_one(monkeypatch):
    monkeypatch.setattr("course_utils.widgets.live.REST", 0.05)
    panel, _ = waves()

    def size():
        return Image.open(io.BytesIO(panel.image_bytes())).size

    panel.controls["shift"].value = 0.5
    panel.controls["shift"].value = 0.6
    assert size() == (600, 300)
    assert panel.picture.size == (1200, 600)
    panel._sharpener.join()
    assert size() == (1200, 600)
    by_hand = panel.image_bytes()
    panel.set(shift=0.5)
    panel.set(shift=0.6)
    assert panel.image_bytes() == by_hand  # code moves at once to the sharp picture


def test_a_late_sharp_picture_never_replaces_a_newer_one():
    panel, _ = waves()
    panel.controls["shift"].value = 0.5
    late = panel._picture
    panel.set(shift=0.6)
    shown = panel.image_bytes()
    panel._sharpen(late)
    assert panel.image_bytes() == shown
    panel.controls["shift"].value = 0.7
    panel.close()
    panel._sharpener.join(1)
    assert not panel._sharpener.is_alive()


def test_start_moves_the_controls_before_the_first_picture():
    figure = Figure((2, 2))
    axes = figure.subplots()
    (line,) = axes.plot([0, 1], [0, 0], animated=True)

    def update(height):
        line.set_ydata([0, height])
        return {"height": height}

    def panel(**start):
        controls = {"height": slider("height", 0.0, 1.0, 0.1, 0.2)}
        return Panel(figure, update, controls, alt="A line.", start=start)

    moved = panel(height=0.5)
    assert moved.results == {"height": 0.5}
    moved.set(height=0.9)
    moved.reset()
    assert moved.values == {"height": 0.5}
    with pytest.raises(ValueError, match="no control 'hight': did you mean 'height'"):
        panel(hight=0.5)
    with pytest.raises(ValueError, match="height cannot be 7"):
        panel(height=7.0)


def test_snapshot_is_the_picture_there_and_leaves_nothing_open():
    panel, _ = waves()
    expected = from_scratch(panel.values | {"shift": 0.5})
    np.testing.assert_array_equal(np.asarray(snapshot(panel, shift=0.5)), expected)
    assert panel.widget.comm is None


def test_without_threads_every_picture_is_sharp(monkeypatch):
    def refuse(timer):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Timer.start", refuse)
    panel, _ = waves()
    panel.controls["shift"].value = 0.5
    assert Image.open(io.BytesIO(panel.image_bytes())).size == (1200, 600)
    panel.close()


def test_an_existing_agg_canvas_is_kept():
    figure = Figure((2, 2))
    canvas = FigureCanvasAgg(figure)
    figure.subplots().plot([0, 1])
    panel = Panel(figure, lambda on: {}, {"on": switch("on")}, alt="A line.", pixel_ratio=1)
    assert figure.canvas is canvas
    assert panel.picture.size == (200, 200)


def test_frames_for_a_film():
    panel, _ = waves()
    before, picture = panel.values, np.asarray(panel.picture)
    frames = panel.frames([{"shift": 0.5}, {"shift": 2.0, "size": 2}])
    assert panel.values == before
    np.testing.assert_array_equal(np.asarray(panel.picture), picture)
    assert [frame.mode for frame in frames] == ["RGB", "RGB"]
    expected = from_scratch(before | {"shift": 2.0, "size": 2})
    np.testing.assert_array_equal(np.asarray(frames[1]), expected)


# How often


def test_set_draws_once_and_only_if_something_changed():
    panel, calls = waves()
    calls.clear()
    panel.set(shift=0.5, size=2, kind="cosine", gains=(0.1, 0.2, 0.3), on=True)
    assert calls == [panel.values]
    panel.set(shift=0.5)
    assert len(calls) == 1
    panel.redraw()
    assert len(calls) == 2


def test_a_message_from_the_browser_redraws():
    panel, calls = waves()
    message = {"method": "update", "state": {"value": 2.25}, "buffer_paths": []}
    panel.controls["shift"].comm.handle_msg({"content": {"data": message}, "buffers": []})
    assert calls[-1]["shift"] == 2.25
    assert "peak 1.00 m" in panel.text()


def test_update_may_move_controls_without_a_second_draw():
    figure = Figure((2, 2))
    (line,) = figure.subplots().plot([0, 1], animated=True)
    low, high = slider("low", 0, 9, 1, 2), slider("high", 0, 9, 1, 4)
    calls = []

    def update(low, high):
        calls.append((low, high))
        controls["high"].value = max(low, high)
        line.set_ydata([low, max(low, high)])

    controls = {"low": low, "high": high}
    panel = Panel(figure, update, controls, alt="A line.")
    low.value = 7
    assert calls == [(2, 4), (7, 4)]
    assert panel.values == {"low": 7, "high": 7}


def test_equaliser_is_one_control():
    panel, calls = waves()
    gains = panel.controls["gains"]
    calls.clear()
    gains.bars[1].value = 0.5
    assert [call["gains"] for call in calls] == [(0, 0.5, 0)]
    gains.value = (0.1, 0.2, 0.3)
    assert [bar.value for bar in gains.bars] == [0.1, 0.2, 0.3]
    assert len(calls) == 2


def test_reset_button_and_presets():
    panel, calls = waves()
    start = panel.values
    calls.clear()
    panel._chooser.value = "tall"  # as picked from the list
    assert panel.values == start | {"size": 3, "shift": 0.0}
    assert len(calls) == 1
    panel.controls["shift"].value = 0.1
    assert panel._chooser.label == "custom"  # no longer that preset
    panel.set(**panel.presets["cosine"])
    assert panel._chooser.value == "cosine"
    (reset,) = [w for w in walk(panel.widget) if isinstance(w, ipywidgets.Button)]
    calls.clear()
    reset.click()
    assert panel.values == start
    assert len(calls) == 1


# Threads


def test_threads_leave_the_picture_of_the_final_values():
    panel, calls = waves()
    problems = []

    def work(name, values):
        try:
            for value in values:
                panel.controls[name].value = value
        except Exception as error:
            problems.append(error)

    jobs = {
        "shift": np.linspace(0, 2, 30).tolist(),
        "size": [0, 1, 2, 3] * 7 + [2],
        "kind": ["sine", "cosine"] * 15,
        "on": [True, False] * 15,
    }
    threads = [threading.Thread(target=work, args=job) for job in jobs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert {name: panel.values[name] for name in jobs} == {n: v[-1] for n, v in jobs.items()}
    assert calls[-1] == panel.values
    np.testing.assert_array_equal(np.asarray(panel.picture), from_scratch(panel.values))


def test_a_crowd_of_waiting_events_is_drawn_once():
    panel, calls = waves()
    names = ["shift", "size", "on"]
    values = [0.25, 2, True]
    with panel._lock:  # as if a slow update were running
        threads = [
            threading.Thread(target=setattr, args=(panel.controls[name], "value", value))
            for name, value in zip(names, values, strict=True)
        ]
        for thread in threads:
            thread.start()
        while panel.values != panel.values | dict(zip(names, values, strict=True)):
            pass
        calls.clear()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


# Words


def test_text_holds_the_rounded_numbers_and_follows():
    panel, _ = waves()
    assert panel.text() == ("Two waves that move.\npeak 1.00 m\nkind sine\nline hidden: no\nsize 1")
    panel.set(size=2, on=True, kind="cosine")
    assert panel.text().splitlines()[1:] == [
        "peak 2.00 m",
        "kind cosine",
        "line hidden: yes",
        "size 2",
    ]
    assert "peak 2.00 m" in panel._numbers.value
    assert panel.results["peak"] == pytest.approx(2, abs=1e-3)


def test_default_rounding_hides_rounding_errors():
    figure = Figure((2, 2))
    figure.subplots()
    results = {"a_share": 1 / 3 + 1e-12, "zero": -0.0, "bound": "below 1e-12", "raw": np.ones(3)}
    panel = Panel(
        figure, lambda on: results, {"on": switch("on")}, alt="Axes.", formats={"raw": None}
    )
    assert panel.text() == "Axes.\na share 0.3333\nzero 0\nbound below 1e-12"


def test_bundle_has_view_picture_and_words():
    panel, _ = waves()
    data, metadata = panel._repr_mimebundle_()
    assert set(data) == {
        "application/vnd.jupyter.widget-view+json",
        "image/png",
        "text/plain",
    }
    view = data["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == panel.widget.model_id
    json.dumps(view)
    picture = Image.open(io.BytesIO(data["image/png"]))
    assert picture.text["Description"] == data["text/plain"] == panel.text()
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(panel.picture))
    assert metadata == {"image/png": {"width": 600, "height": 300}}


def test_display_passes_the_bundle_on():
    from IPython.core.interactiveshell import InteractiveShell

    panel, _ = waves()
    data, metadata = InteractiveShell.instance().display_formatter.format(panel)
    assert data["text/plain"] == panel.text()
    assert metadata["image/png"]["width"] == 600


def test_words_stand_visibly_beside_the_picture():
    panel, _ = waves(alt="Where x < y & z.")
    pages = [w.value for w in walk(panel.widget) if isinstance(w, ipywidgets.HTML)]
    assert any("Where x &lt; y &amp; z." in page for page in pages)
    assert any('aria-live="polite"' in page and "peak 1.00 m" in page for page in pages)


# Errors


def test_an_error_is_shown_kept_raised_and_cleared():
    panel, _ = waves()
    picture, text = panel.image_bytes(), panel.text()
    with pytest.raises(ZeroDivisionError):
        panel.controls["shift"].value = 3
    assert isinstance(panel.error, ZeroDivisionError)
    shown = panel._trouble.value
    assert "ZeroDivisionError: shift &lt;three&gt; &amp; more" in shown
    assert "shift = 3.0" in shown and 'role="alert"' in shown
    assert panel._trouble.layout.display is None
    assert (panel.image_bytes(), panel.text()) == (picture, text)  # the last good ones
    with pytest.raises(ZeroDivisionError):
        panel.redraw()
    panel.controls["shift"].value = 1  # where the last good picture was drawn
    assert panel.error is None
    assert panel._trouble.value == "" and panel._trouble.layout.display == "none"


def test_an_error_while_drawing_counts_too():
    panel, _ = waves()
    line = panel.figure.axes[0].lines[1]
    line.draw = lambda renderer: 1 / 0
    with pytest.raises(ZeroDivisionError):
        panel.set(shift=0.5)
    assert isinstance(panel.error, ZeroDivisionError)
    del line.draw
    panel.redraw()
    np.testing.assert_array_equal(np.asarray(panel.picture), from_scratch(panel.values))


def test_a_result_that_is_no_number_is_an_error():
    figure = Figure((2, 2))
    with pytest.raises(ValueError, match=r"result 'curve' is array.*return a number or a string"):
        Panel(figure, lambda on: {"curve": np.ones(2)}, {"on": switch("on")}, alt="Nothing.")


# Bad inputs


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shfit": 1}, r"no control 'shfit': did you mean 'shift'\? There are: shift, size"),
        ({"size": 2, "shift": 7}, r"shift cannot be 7: the nearest it can be is 5.0"),
        ({"size": 2, "shift": "far"}, r"shift cannot be 'far'"),
        ({"size": 2, "shift": float("nan")}, r"shift cannot be nan"),
        ({"shift": 2.0, "size": 1.5}, r"size cannot be 1.5: the nearest it can be is 1"),
        ({"shift": 2.0, "kind": "tangent"}, r"kind cannot be 'tangent'"),
        ({"shift": 2.0, "gains": (0, 0)}, r"gains cannot be \(0, 0\).*pass 3 numbers from -1"),
        ({"shift": 2.0, "gains": (0, 0, 5)}, r"pass 3 numbers from -1.0 to 1.0"),
    ],
)
def test_set_refuses_what_a_control_cannot_take_and_changes_nothing(values, message):
    panel, calls = waves()
    before = panel.values
    with pytest.raises(ValueError, match=message):
        panel.set(**values)
    assert panel.values == before
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"figure": "plot"}, "figure is 'plot': pass a matplotlib.figure.Figure"),
        ({"controls": {}}, "no controls"),
        ({"controls": {"t": 3}}, "control 't' is 3: pass a widget with a value"),
        ({"controls": {"t": ipywidgets.VBox()}}, "pass a widget with a value"),
        ({"alt": " "}, "alt is empty"),
        ({"layout": "below"}, "layout is 'below': pass 'above' or 'beside'"),
        ({"presets": {"p": {"on": True, "tt": 1}}}, "no control 'tt'"),
    ],
)
def test_construction_refuses_bad_arguments(change, message):
    arguments = {
        "figure": Figure((2, 2)),
        "update": lambda on: {},
        "controls": {"on": switch("on")},
        "alt": "Nothing.",
    } | change
    with pytest.raises(ValueError, match=re.escape(message)):
        Panel(**arguments)


def test_logarithmic_slider_goes_to_its_real_ends():
    figure = Figure((2, 2))
    n = ipywidgets.FloatLogSlider(value=10, base=10, min=0, max=3)
    panel = Panel(figure, lambda n: {"n": n}, {"n": n}, alt="Nothing.")
    panel.set(n=1000.0)
    assert panel.results == {"n": 1000}
    with pytest.raises(ValueError, match="the nearest it can be is 1000"):
        panel.set(n=2000.0)


@pytest.mark.parametrize(
    ("step", "shown"), [(1, ".0f"), (0.25, ".2f"), (0.1, ".1f"), (1e-3, ".3f")]
)
def test_slider_shows_the_digits_of_its_step(step, shown):
    widget = slider("time", 0, 1.0, step, 0.5, unit="s")
    assert widget.description == "time (s)"
    assert widget.readout_format == shown
    assert widget.continuous_update


def test_slider_of_integers_and_bad_ranges():
    assert isinstance(slider("n", 1, 9, 1, 2), ipywidgets.IntSlider)
    with pytest.raises(ValueError, match="value 10, step 1: needs 1 <= value <= 9"):
        slider("n", 1, 9, 1, 10)
    with pytest.raises(ValueError, match="step 0"):
        slider("n", 1, 9, 0, 2)
    with pytest.raises(ValueError, match=r"step must be a number, got array\(1\)"):
        slider("n", 1, 9, np.array(1), 2)


# The house


def test_import_does_nothing_and_needs_no_torch_or_pyplot():
    code = (
        "import sys, ipywidgets, course_utils.widgets.live as live\n"
        "from matplotlib.figure import Figure\n"
        "n = len(ipywidgets.widgets.widget._instances)\n"
        "figure = Figure((2, 2)); figure.subplots()\n"
        "live.Panel(figure, lambda on: {}, {'on': live.switch('on')}, alt='Axes.')\n"
        "print(n, 'torch' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False", "False"]
    assert done.stderr == ""


@pytest.mark.parametrize("layout", ["above", "beside"])
def test_close_frees_every_widget(layout):
    known = ipywidgets.widgets.widget._instances
    before = set(known)
    panel, _ = waves(layout=layout)
    assert len(set(known) - before) > 20
    panel.close()
    left = {type(known[key]).__name__ for key in set(known) - before}
    assert left == set()


def walk(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


# The helper with which other tests drive panels


def test_drive_passes_a_good_panel():
    panel, _ = waves()
    panel.controls["shift"].max = 2.9  # beyond it, this panel fails on purpose
    done = drive(panel)
    assert isinstance(done, Drive)
    assert done.moves >= 2 + 2 + 2 + 5 + 2 + 2 + 2
    assert done.full_redraws == 0


def small(update, **options):
    figure = Figure((2, 2))
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    (line,) = axes.plot([0, 1], [0, 1], animated=True)
    controls = {"t": slider("t", 0, 1, 0.1, 0.5)}
    return Panel(figure, lambda t: update(t, figure, line), controls, alt="A line.", **options)


def off_the_page(t, figure, line):
    line.set_ydata([t, t] if t < 1 else [5, 5])


def wiped(t, figure, line):
    if t == 0:
        figure.clear()


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (lambda t, figure, line: {"x": 1 / (1 - t)}, "division by zero"),
        (lambda t, figure, line: {"x": np.inf if t == 0 else t}, "at t = 0.0: x is inf"),
        (lambda t, figure, line: {"x": "nan km" if t == 1 else "ok"}, "the text has 'nan'"),
        (off_the_page, "at t = 1.0: no moving artist is visible"),
        (wiped, "at t = 0.0: the picture is blank"),
    ],
)
def test_drive_fails_on_a_broken_panel(update, message):
    with pytest.raises((AssertionError, ZeroDivisionError), match=message):
        drive(small(update))


def test_drive_finds_a_preset_that_fails_and_a_reset_that_does_not_restore():
    bad = small(lambda t, figure, line: {"x": 1 / (t - 0.3)}, presets={"third": {"t": 0.3}})
    with pytest.raises(ZeroDivisionError):
        drive(bad)
    stuck = small(lambda t, figure, line: {})
    stuck.reset = lambda: None
    with pytest.raises(AssertionError, match="reset left"):
        drive(stuck)


def test_equaliser_takes_one_start_for_all_or_one_each():
    assert Equaliser(["a", "b"], 0, 1, 0.1, 0.5).value == (0.5, 0.5)
    assert Equaliser(["a", "b"], 0, 1, 0.1, (0.1, 0.2)).value == (0.1, 0.2)
    with pytest.raises(ValueError):
        Equaliser(["a", "b"], 0, 1, 0.1, (0.1, 0.2, 0.3))
