"""The live panel: what it sends, what it says, and what happens when the computation fails."""

import io
import json

import ipywidgets
import numpy as np
import pytest
from comparing import refused, refuses
from PIL import Image

from course_utils.widgets import scene, still
from course_utils.widgets.controls import Bars, Dice, Slider, Switch, choice
from course_utils.widgets.panel import Panel
from course_utils.widgets.scene import Area, Axis, Handle, Heat, Plot, Ridges, Scene, Words

X = np.linspace(0, 10, 50)
WAVES = [
    Area(X, "height", label="the wave"),
    scene.Line(X, np.sin(X), meaning="noise", dash="dash"),
    Words(0.1, 0.9, "shift {shift:.2f}"),
    Handle("shift", x="crest", y=1.0),
    Heat((0, 10), (0, "top"), "map", dense=2.0),
    Ridges(X, "ridges", "names", "signs"),
]
CONTROLS = {
    "shift": Slider("shift", 0, 5, 0.01, 1.0, "rad"),
    "size": Slider("size", 0, 3, 1, 1),
    "kind": choice("kind", ["sine", "cosine"]),
    "gains": Bars("gain", ("a", "b", "c"), -1, 1, 0.1, (0, 0, 0), "dB"),
    "on": Switch("odd"),
    "seed": Dice("new draws"),
}


def waves(**options):
    """Return a panel with something of many kinds, and the list of values it was computed at."""
    calls, grid = [], np.arange(6.0).reshape(2, 3)

    def compute(**values):
        calls.append(values)
        shift, size, kind = values["shift"], values["size"], values["kind"]
        if shift == 3:
            raise ZeroDivisionError("shift <three> & more")
        y = (np.sin if kind == "sine" else np.cos)(X + shift) * (size + sum(values["gains"]))
        peak = float(abs(y).max())
        found = {"peak": peak, "kind": kind, "low": -peak, "size": size, "shift": shift}
        more = {"ridges": np.abs([y, y + 1]) + 0.1, "names": ["a", "b"], "signs": np.array([0, 1])}
        return found, {"height": y, "crest": shift, "top": 4, "map": grid, **more}

    plot = Plot("waves", Axis(0, 10, "x"), Axis(-2, 2, settle=True), WAVES)
    options = {
        "formats": {"peak": "peak {:.2f} m", "kind": "{}", "low": "low {:.2f}", "size": "size {}"},
        "presets": {"tall": {"size": 3, "shift": 0.0}, "cosine": {"kind": "cosine"}},
    } | options
    shown = Scene([[plot]], height=200, alt="Two waves\n  that move.")
    return Panel(shown, compute, CONTROLS, "peak {peak:.1f}", ("size",), **options), calls


def test_the_frame_has_what_the_scene_names_and_nothing_more():
    panel, _ = waves()
    shapes, numbers = panel.frame["shapes"], np.frombuffer(panel.frame["data"], np.float32)
    assert set(shapes) == {"height", "crest", "top", "ridges", "signs"}
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    sent = dict(zip(shapes, np.split(numbers, ends[:-1]), strict=True))
    np.testing.assert_allclose(sent["height"], np.sin(X + 1), atol=1e-6)
    assert len(numbers) == ends[-1]
    assert panel.frame["words"] == {"shift {shift:.2f}": "shift 1.00", "names": ["a", "b"]}
    assert panel.fields["shapes"] == {"map": [2, 3]}
    assert [*panel.fields["data"]] == [0, 128, 255, 255, 255, 255]  # by ``dense``
    line = panel.spec["rows"][0][0]["items"][1]
    assert line["kind"] == "Line" and line["dash"] == "dash"
    assert panel.spec["still"]["shapes"][line["y"]] == [len(X)]
    json.dumps({key: value for key, value in panel.spec.items() if key != "still"})


def test_the_browser_is_answered_by_one_message_with_its_number():
    panel, calls = waves()
    sent = []
    panel.comm.send = lambda data=None, **others: sent.append(data)
    asked = {"values": {"shift": 2.25, "gains": [0, 0.5, 0]}, "from": "view", "n": 7}
    message = {"content": {"data": {"method": "custom", "content": asked}}, "buffers": []}
    panel.comm.handle_msg(message)
    assert calls[-1]["shift"] == 2.25 and calls[-1]["gains"] == (0, 0.5, 0)
    assert panel.answer == ["view", 7] and "peak 1.50 m" in panel.text()
    updates = [data["state"] for data in sent if data["method"] == "update"]
    assert len(updates) == 1 and {"answer", "values", "frame"} <= set(updates[0])


def test_set_computes_once_and_only_if_something_changed():
    panel, calls = waves()
    calls.clear()
    sent = panel.fields
    panel.set(shift=0.5, size=2, kind="cosine", gains=[0.1, 0.2, 0.3], on=True, seed=4)
    assert calls == [panel.values]
    panel.set(shift=0.5, gains=np.array([0.1, 0.2, 0.3]))
    assert len(calls) == 1
    panel.values = {**panel.values, "size": 3}
    assert calls[-1]["size"] == 3 and len(calls) == 2
    assert panel.fields is sent  # a map that stays is not sent again


def test_set_refuses_what_a_control_cannot_take_and_changes_nothing():
    panel, calls = waves()
    before = panel.values
    for values, words in (
        ({"shfit": 1}, r"unknown control 'shfit': did you mean 'shift'\?"),
        ({"size": 2, "shift": 7}, r"shift cannot be 7: the nearest it can be is 5.0"),
        ({"shift": 2.0, "size": 1.5}, r"size cannot be 1.5: the nearest it can be is 2"),
        ({"shift": 2.0, "gains": [0, 0]}, r"gains cannot be \[0, 0\].*pass 3 numbers from -1"),
    ):
        refuses(words, panel.set, **values)
    assert panel.values == before and len(calls) == 1


test_start_and_presets_must_fit = refused(
    (lambda: waves(presets={"p": {"on": True, "sise": 1}}), "'sise': did you mean 'size'"),
    (lambda: waves(start={"size": 9}), "size cannot be 9"),
    (lambda: Slider("n", 0, 3, 1, 9), "the nearest it can be is 3"),
    (lambda: choice("n", ["a", "b"], "c"), "choose one of 'a', 'b'"),
    (lambda: scene.Line([0], [0], meaning="modell"), "'modell': did you mean 'model'"),
)


def test_text_holds_the_rounded_numbers_and_follows():
    panel, _ = waves()
    assert panel.text() == "Two waves that move.\npeak 1.00 m\nsine\nlow −1.00\nsize 1"
    panel.set(size=2, kind="cosine")
    assert panel.text().splitlines()[1:] == ["peak 2.00 m", "cosine", "low −2.00", "size 2"]
    assert panel.frame["readout"] == {
        "headline": "peak 2.0",
        "numbers": [["size", "2"]],
        "details": ["peak 2.00 m", "cosine", "low −2.00"],
    }
    assert small(lambda t: {"x": -1e-9}).text() == "A line.\nx −1.00·10⁻⁹"


def small(compute, name="y", **options):
    """Return a panel of one line and one slider."""
    plot = Plot("a line", Axis(0, 1), Axis(0, 1), [scene.Line([0, 1], "y")])
    controls = {"t": Slider("t", 0.0, 1.0, 0.1, 0.5)}
    shown = Scene([[plot]], height=100, alt="A line.")
    said = {"headline": "", "shown": (), "formats": {"x": "x {:.2e}"}} | options
    return Panel(shown, lambda t: (compute(t), {name: [0, t]}), controls, **said)


def test_a_panel_is_a_widget_and_its_bundle_has_view_picture_and_words():
    from IPython.core.interactiveshell import InteractiveShell

    panel, _ = waves()
    assert ipywidgets.VBox([panel]).children == (panel,)
    data, metadata = InteractiveShell.instance().display_formatter.format(panel)
    view = "application/vnd.jupyter.widget-view+json"
    assert set(data) == {view, "image/png", "text/plain"}
    assert data[view]["model_id"] == panel.model_id
    picture = Image.open(io.BytesIO(data["image/png"]))
    assert picture.text["Description"] == data["text/plain"] == panel.text()
    assert picture.size == (1880, 400)
    assert metadata == {"image/png": {"width": 940, "height": 200}}


def test_an_error_is_shown_kept_raised_and_cleared():
    panel, _ = waves()
    frame, text = panel.frame, panel.text()
    with pytest.raises(ZeroDivisionError):
        panel.set(shift=3)
    assert isinstance(panel.error, ZeroDivisionError)
    assert "shift = 3.0" in panel.get_state()["error"]
    assert panel.frame is frame and panel.text() == text  # the last good ones
    panel.set(shift=1.0)
    assert panel.error is None and panel.get_state()["error"] is None


def test_what_a_scene_names_must_be_computed():
    with pytest.raises(KeyError, match="y"):
        small(lambda t: {}, name="other")


def test_a_still_widens_what_settles_hatches_and_puts_bars_where_they_start():
    area = Area([0, 1], np.array([-1.0, 2.0]), negative="less")
    bars = scene.Bars([0, 1], (3.0,), start=1.0)
    plot = Plot("both", Axis(0, 1), Axis(0, 2, settle=True), [area, bars])
    (ax,) = still.figure(Scene([[plot]], height=200, alt="Both."), {}).axes
    assert ax.get_ylim() == pytest.approx((-1.05, 3.15))
    assert ax.patches[0].get_data().baseline == 1
    assert [bool(each.get_hatch()) for each in ax.collections] == [False, True]
