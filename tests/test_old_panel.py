"""The live panel: what is drawn, how often, what it says, and what happens when it fails."""

import asyncio
import io
import subprocess
import sys

import ipywidgets
import matplotlib as mpl
import numpy as np
import pytest
from panel_driving import drive
from PIL import Image
from readers import READERS

from course_utils.widgets import figures
from course_utils.widgets import old_panel as panel
from course_utils.widgets.old_controls import Equaliser, choice, slider, switch
from course_utils.widgets.old_panel import Panel, snapshot

X = np.linspace(0, 10, 200)


def waves(**options):
    """Return a panel of each kind of moving artist, and the list of values it was drawn at."""
    figure, (left, right) = figures.new_figure(1, 2, size=(6, 3))
    # In the still picture: a line and text that the moving artists cross.
    left.plot(X, 0.5 * np.cos(X), color="0.8", lw=6, label="still")
    left.set(xlim=(0, 10), ylim=(-2, 2), xlabel="x", title="waves")
    left.legend()
    right.set(xlim=(0, 10), ylim=(-2, 2))
    (line,) = left.plot(X, np.sin(X), animated=True, zorder=3)
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
        "gains": Equaliser("abc", -1, 1, 0.1, 0, label="gain", unit="dB"),
        "on": switch("hide the line"),
    }
    options = {
        "alt": "Two waves that move.",
        "formats": {"peak": "peak {:.2f} m", "odd": "line hidden: {}"},
        "presets": {"tall": {"size": 3, "shift": 0.0}, "cosine": {"kind": "cosine"}},
    } | options
    return Panel(figure, update, controls, **options), calls


def small(update, **options):
    """Return a panel of one line and one slider; ``update(t, figure, line)``."""
    figure, ax = figures.new_figure(size=(3, 2))
    ax.set(xlim=(0, 1), ylim=(0, 1))
    line = figures.line(ax, [0, 1], [0, 1], "data", moving=True)
    figures.freeze_layout(figure)
    controls = {"t": slider("t", 0.0, 1.0, 0.1, 0.5)}
    return Panel(figure, lambda t: update(t, figure, line), controls, alt="A line.", **options)


def pixels(shown):
    return np.asarray(shown.picture)


def drawn_whole(shown):
    """Return the panel's picture where everything is drawn afresh."""
    shown._canvas.still = None
    shown.redraw()
    return pixels(shown)


def count_full_redraws(shown):
    counted, draw = [], shown.figure.canvas.draw
    shown.figure.canvas.draw = lambda: (counted.append(1), draw())
    return counted


# What is drawn


def test_picture_after_many_moves_equals_one_from_scratch():
    moved, _ = waves()
    rng = np.random.default_rng(0)
    for i in range(10):
        moved.set(
            shift=round(rng.uniform(0, 2.9), 3),
            size=int(rng.integers(0, 4)),
            kind=["sine", "cosine"][i % 2],
            gains=rng.uniform(-1, 1, 3).round(2),
            on=bool(i % 5 == 0),
        )
    fresh, _ = waves(start=moved.values)
    np.testing.assert_array_equal(pixels(moved), pixels(fresh))


def test_moving_back_leaves_no_ghost_and_a_ghost_would_be_seen():
    shown, _ = waves()
    before = pixels(shown)
    shown.set(shift=2.0, size=3)
    assert not np.array_equal(pixels(shown), before)
    shown.reset()
    np.testing.assert_array_equal(pixels(shown), before)
    shown._canvas.still = np.array(shown.figure.canvas.buffer_rgba())  # with what moves in it
    shown.set(shift=2.0)
    shown.reset()
    assert not np.array_equal(pixels(shown), before)


def test_moving_artists_cost_no_full_redraw_and_still_ones_cost_one():
    shown, _ = waves()
    counted = count_full_redraws(shown)
    for shift in np.linspace(0, 2, 7):
        shown.controls["shift"].value = shift
    assert counted == []
    shown.figure.axes[0].set_title("new")
    shown.set(shift=0.5)
    shown.set(shift=0.6)
    assert len(counted) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda figure, ax: figure.suptitle("over all"),
        lambda figure, ax: figure.set_size_inches(5, 4),
        lambda figure, ax: figure.add_axes([0.3, 0.3, 0.4, 0.4]),
        lambda figure, ax: ax.set_ylim(0, 1e9),
        lambda figure, ax: ax.twinx().plot([0, 1], [5, 0]),
    ],
)
def test_whatever_update_changes_is_drawn(change):
    def update(t, figure, line):
        if t == 1:
            change(figure, line.axes)

    shown = small(update)
    before = pixels(shown)
    shown.set(t=1.0)
    assert not np.array_equal(pixels(shown), before)
    shown.set(t=0.3)
    np.testing.assert_array_equal(pixels(shown), drawn_whole(shown))


@pytest.mark.parametrize("set_by_reader", READERS)
def test_no_setting_of_the_reader_is_in_the_picture(set_by_reader):
    shown, _ = waves()
    expected = pixels(shown)
    with mpl.rc_context():
        set_by_reader()
        np.testing.assert_array_equal(pixels(waves()[0]), expected)
        shown.set(shift=2.0)
        shown.reset()
        np.testing.assert_array_equal(pixels(shown), expected)
        np.testing.assert_array_equal(drawn_whole(shown), expected)


def sent(shown):
    """Return the picture that the browser has."""
    return Image.open(io.BytesIO(shown._image.value))


def test_the_jpeg_is_close_to_the_picture_and_twice_its_size_on_the_page():
    shown, _ = waves()
    assert sent(shown).format == "JPEG"
    assert sent(shown).size == shown.picture.size == (1200, 600)
    difference = np.asarray(sent(shown), float) - pixels(shown)
    assert np.sqrt(np.mean(difference**2)) < 5  # of 255
    assert shown._image.layout.width == "600px"
    shown.controls["shift"].value = 0.5  # outside a kernel
    assert sent(shown).size == (1200, 600)


def test_in_a_kernel_movement_sends_a_coarse_picture_and_rest_the_sharp_one(monkeypatch):
    monkeypatch.setattr(panel, "REST", 0.1)
    sizes = []

    async def move():
        shown, _ = waves()
        for shift in (0.5, 0.6, 0.7):
            shown.controls["shift"].value = shift
            await asyncio.sleep(0.06)
            sizes.append(sent(shown).size)  # still moving, longer than a rest in all
        await asyncio.sleep(0.15)
        sizes.append(sent(shown).size)
        by_hand = shown._image.value
        shown.set(shift=0.6)
        sizes.append(sent(shown).size)  # code moves at once to the sharp picture
        shown.set(shift=0.7)
        assert shown._image.value == by_hand
        shown.controls["shift"].value = 0.8
        shown.close()
        await asyncio.sleep(0.15)
        sizes.append(sent(shown).size)  # nothing comes after closing

    asyncio.run(move())
    coarse, sharp = (600, 300), (1200, 600)
    assert sizes == [coarse] * 3 + [sharp] * 2 + [coarse]


def test_snapshot_is_the_picture_there_and_leaves_nothing_open():
    shown, _ = waves(start={"shift": 0.5})
    np.testing.assert_array_equal(np.asarray(snapshot(waves()[0], shift=0.5)), pixels(shown))
    known = ipywidgets.widgets.widget._instances
    before = set(known)
    shown, _ = waves()
    assert len(set(known) - before) > 20
    snapshot(shown)
    assert [type(known[key]).__name__ for key in set(known) - before] == []


# How often


def test_set_draws_once_and_only_if_something_changed():
    shown, calls = waves()
    calls.clear()
    shown.set(shift=0.5, size=2, kind="cosine", gains=(0.1, 0.2, 0.3), on=True)
    assert calls == [shown.values]
    shown.set(shift=0.5, gains=[0.1, 0.2, 0.3])
    assert len(calls) == 1
    shown.redraw()
    assert len(calls) == 2


def test_a_message_from_the_browser_redraws():
    shown, calls = waves()
    message = {"method": "update", "state": {"value": 2.25}, "buffer_paths": []}
    shown.controls["shift"].comm.handle_msg({"content": {"data": message}, "buffers": []})
    assert calls[-1]["shift"] == 2.25
    assert "peak 1.00 m" in shown.text()


def test_update_may_move_controls_without_a_second_draw():
    figure, _ = figures.new_figure(size=(2, 2))
    controls = {"low": slider("low", 0, 9, 1, 2), "high": slider("high", 0, 9, 1, 4)}
    calls = []

    def update(low, high):
        calls.append((low, high))
        controls["high"].value = max(low, high)

    shown = Panel(figure, update, controls, alt="A line.")
    controls["low"].value = 7
    assert calls == [(2, 4), (7, 4)]
    assert shown.values == {"low": 7, "high": 7}


def test_equaliser_is_one_control():
    shown, calls = waves()
    gains = shown.controls["gains"]
    calls.clear()
    gains.bars[1].value = 0.5
    assert [call["gains"] for call in calls] == [(0, 0.5, 0)]
    shown.set(gains=[0.1, 0.2, 0.3])
    assert [bar.value for bar in gains.bars] == [0.1, 0.2, 0.3]
    assert len(calls) == 2
    assert Equaliser("ab", 0, 1, 0.1, (0.1, 0.2)).value == (0.1, 0.2)


def test_start_reset_and_presets():
    shown, calls = waves(start={"shift": 0.5})
    start = shown.values
    assert start["shift"] == 0.5 and calls == [start]
    shown._chooser.value = "tall"  # as picked from the list
    assert shown.values == start | {"size": 3, "shift": 0.0}
    assert len(calls) == 2
    shown.controls["shift"].value = 0.1
    assert shown._chooser.label == "custom"  # no longer that preset
    shown.set(**shown.presets["cosine"])
    assert shown._chooser.value == "cosine"
    (reset,) = [w for w in walk(shown) if isinstance(w, ipywidgets.Button)]
    calls.clear()
    reset.click()
    assert shown.values == start
    assert len(calls) == 1


# Words


def test_text_holds_the_rounded_numbers_and_follows():
    shown, _ = waves()
    assert shown.text() == "Two waves that move.\npeak 1.00 m\nkind sine\nline hidden: no\nsize 1"
    shown.set(size=2, on=True, kind="cosine")
    lines = ["peak 2.00 m", "kind cosine", "line hidden: yes", "size 2"]
    assert shown.text().splitlines()[1:] == lines
    assert "peak 2.00 m" in shown._numbers.value
    assert shown.results["peak"] == pytest.approx(2, abs=1e-3)


def test_default_rounding_hides_rounding_errors():
    results = {"a_share": 1 / 3 + 1e-12, "zero": -0.0, "bound": "below 1e-12", "raw": np.ones(3)}
    shown = small(lambda t, figure, line: results, formats={"raw": None})
    assert shown.text() == "A line.\na share 0.3333\nzero 0\nbound below 1e-12"


def test_a_panel_is_a_widget_and_its_bundle_has_view_picture_and_words():
    from IPython.core.interactiveshell import InteractiveShell

    shown, _ = waves()
    assert ipywidgets.VBox([shown]).children == (shown,)
    data, metadata = InteractiveShell.instance().display_formatter.format(shown)
    view = "application/vnd.jupyter.widget-view+json"
    assert set(data) == {view, "image/png", "text/plain"}
    assert data[view]["model_id"] == shown.model_id
    picture = Image.open(io.BytesIO(data["image/png"]))
    assert picture.text["Description"] == data["text/plain"] == shown.text()
    np.testing.assert_array_equal(np.asarray(picture), pixels(shown))
    assert metadata == {"image/png": {"width": 600, "height": 300}}


def test_words_stand_visibly_below_the_picture_and_every_control_has_a_tooltip():
    shown, _ = waves(alt="Where x < y & z.")
    pages = [w.value for w in walk(shown) if isinstance(w, ipywidgets.HTML)]
    assert any("Where x &lt; y &amp; z." in page for page in pages)
    assert any('aria-live="polite"' in page and "peak 1.00 m" in page for page in pages)
    named = [w for w in walk(shown) if getattr(w, "description", "")]
    assert len(named) == 9
    assert [w for w in named if not w.tooltip] == []
    assert shown.controls["shift"].tooltip == "shift (rad)"
    assert shown.controls["gains"].bars[1].tooltip == "gain (dB) b"


# Errors


def test_an_error_is_shown_kept_raised_and_cleared():
    shown, _ = waves()
    picture, text = shown._image.value, shown.text()
    with pytest.raises(ZeroDivisionError):
        shown.controls["shift"].value = 3
    assert isinstance(shown.error, ZeroDivisionError)
    words = shown._trouble.value
    assert "ZeroDivisionError: shift &lt;three&gt; &amp; more" in words
    assert "shift = 3.0" in words and 'role="alert"' in words
    assert shown._trouble.layout.display is None
    assert (shown._image.value, shown.text()) == (picture, text)  # the last good ones
    with pytest.raises(ZeroDivisionError):
        shown.redraw()
    shown.controls["shift"].value = 1  # where the last good picture was drawn
    assert shown.error is None
    assert shown._trouble.value == "" and shown._trouble.layout.display == "none"


def test_an_error_while_drawing_counts_too():
    shown, _ = waves()
    ax = shown.figure.axes[0]
    still, moving = ax.lines
    for artist in (moving, still):
        ax.set_title(f"{artist} fails")
        artist.draw = lambda renderer: 1 / 0
        with pytest.raises(ZeroDivisionError):
            shown.set(shift=0.5)
        assert isinstance(shown.error, ZeroDivisionError)
        del artist.draw
        shown.reset()
        np.testing.assert_array_equal(pixels(shown), drawn_whole(shown))


def test_a_result_that_is_no_number_is_an_error():
    with pytest.raises(ValueError, match=r"result 'curve' is array.*return a number or a string"):
        small(lambda t, figure, line: {"curve": np.ones(2)})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shfit": 1}, r"unknown control 'shfit': did you mean 'shift'\?"),
        ({"size": 2, "shift": 7}, r"shift cannot be 7: the nearest it can be is 5.0"),
        ({"size": 2, "shift": "far"}, r"shift cannot be 'far'"),
        ({"shift": 2.0, "size": 1.5}, r"size cannot be 1.5: the nearest it can be is 1"),
        ({"shift": 2.0, "kind": "tangent"}, r"kind cannot be 'tangent'"),
        ({"shift": 2.0, "gains": [0, 0]}, r"gains cannot be \(0, 0\).*pass 3 numbers from -1"),
    ],
)
def test_set_refuses_what_a_control_cannot_take_and_changes_nothing(values, message):
    shown, calls = waves()
    before = shown.values
    with pytest.raises(ValueError, match=message):
        shown.set(**values)
    assert shown.values == before
    assert len(calls) == 1


def test_presets_must_fit():
    with pytest.raises(ValueError, match="unknown control 'sise': did you mean 'size'"):
        waves(presets={"p": {"on": True, "sise": 1}})
    with pytest.raises(ValueError, match="size cannot be 4: the nearest it can be is 3"):
        waves(presets={"p": {"size": 4}})


@pytest.mark.parametrize(
    ("step", "shown"), [(1, ".0f"), (0.25, ".2f"), (0.1, ".1f"), (1e-3, ".3f")]
)
def test_slider_shows_the_digits_of_its_step(step, shown):
    widget = slider("time", 0, 1.0, step, 0.5, unit="s")
    assert widget.description == "time (s)"
    assert widget.readout_format == shown
    assert widget.continuous_update
    assert isinstance(slider("n", 1, 9, 1, 2), ipywidgets.IntSlider)
    with pytest.raises(ValueError, match="slider 'n': value 10 is outside 1 to 9"):
        slider("n", 1, 9, 1, 10)


def test_import_does_nothing_and_needs_no_torch_or_pyplot():
    code = (
        "import sys, ipywidgets\n"
        "from course_utils.widgets import figures, old_controls as controls, old_panel as panel\n"
        "n = len(ipywidgets.widgets.widget._instances)\n"
        "on = {'on': controls.switch('on')}\n"
        "panel.Panel(figures.new_figure()[0], lambda on: {}, on, alt='Axes.')\n"
        "print(n, 'torch' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False", "False"]
    assert done.stderr == ""


def walk(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


# The helper with which other tests drive panels


def test_drive_passes_a_good_panel():
    shown, _ = waves()
    shown.controls["shift"].max = 2.9  # beyond it, this panel fails on purpose
    done = drive(shown)
    assert done.moves >= 2 + 2 + 2 + 5 + 2 + 2 + 2
    assert done.full_redraws == 0


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
