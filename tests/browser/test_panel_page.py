"""Panels in Chromium: every handle and control by mouse, touch and keys; both renderers; access."""

import contextlib
import importlib
import io
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from panel_driving import PANELS, ends
from panel_page import agrees, drag, place, shown
from PIL import Image
from serving import barriers, chromium

from course_utils.datasets import km_per_s
from course_utils.widgets import still
from course_utils.widgets.controls import Bars, Choice, Dice, Slider, Switch
from course_utils.widgets.scene import Handle, Words

pytestmark = pytest.mark.browser
# Handles that cannot stay under the hand: whole numbers on a log scale; p, whose area stays 1; and
# those on an axis that widens.
LAG = {"counting": "squeeze", "elbo": "gains", "weighting": "gains", "sum_of_elbos": "gains"}
PICTURE = "document.querySelector('.won-picture').picture"
LAYOUT = Path(__file__).with_name("layout.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def context():
    with chromium(has_touch=True) as context:
        yield context


@contextlib.contextmanager
def opened(context, name, compute=lambda compute: compute, start=(), **options):
    """A panel on a page of its own; ``compute`` changes what answers it."""
    module = importlib.import_module(f"course_utils.panels.{name}")
    panel = module.panel(**dict(start))
    panel._compute = compute(panel._compute)
    with shown(context, panel, **options) as page:
        page.compute = module.compute
        yield page
    panel.close()


def controls_say(page):
    """Fail unless each control shows the value that Python has."""
    for name, control in page.panel.controls.items():
        value, inputs = page.panel.values[name], page.inputs(name)
        if isinstance(control, Switch):
            assert inputs.is_checked() == value
        elif isinstance(control, Choice):
            at = inputs.evaluate("e => e.selectedIndex ?? Number(e.value)")
            assert control.options[at][1] == value
        elif isinstance(control, Slider | Bars):
            assert [float(i.input_value()) for i in inputs.all()] == pytest.approx(np.ravel(value))


@pytest.mark.parametrize("by", ["mouse", "touch", "keys"])
@pytest.mark.parametrize("name", PANELS)
def test_every_handle(context, name, by):
    with opened(context, name) as page:
        page.unfold()
        handles, panel = page.handles(), page.panel
        assert handles
        # last the ends of the range: beyond them no other handle is left
        handles.sort(key=lambda handle: "log_snr" in handle.get_attribute("data-control"))
        for handle in handles:
            control = handle.get_attribute("data-control")
            across = handle.get_attribute("aria-orientation") == "horizontal"
            before, start = panel.values[control], place(handle)
            for way in (1, -1):  # one of them is no end
                if by == "keys":
                    handle.press("ArrowRight" if way > 0 else "ArrowLeft")
                    handle.press("PageUp" if way > 0 else "PageDown")
                else:
                    drag(handle, *((45 * way, 0) if across else (0, -45 * way)), by)
                agrees(page)
                if panel.values[control] != before:
                    break
            assert panel.values[control] != before, control
            controls_say(page)
            words = panel.controls[control]
            if by == "keys" and isinstance(words, Slider):  # a step and ten
                far = abs(panel.values[control] - before) / words.step
                assert round(far) == 11 or panel.values[control] in ends(words), control
            assert handle.get_attribute("role") == "slider"
            assert handle.get_attribute("aria-label").startswith(words.label)
            assert handle.get_attribute("aria-valuetext")
            at_end = panel.values[control] in (ends(words)[0], ends(words)[-1])
            if by != "keys" and not at_end and LAG.get(name) != control:
                moved = np.subtract(place(handle), start)[0 if across else 1]
                assert abs(abs(moved) - 45) < 10, f"{control} left the hand: {moved}"  # half a step


@pytest.mark.parametrize("name", PANELS)
def test_every_control_by_keys(context, name):
    with opened(context, name) as page:
        page.unfold()
        panel = page.panel
        for key, control in panel.controls.items():
            before, node = panel.values[key], page.input(key)
            if not node.is_visible():  # a parameter of another objective, or the hand's alone
                continue
            if isinstance(control, Switch | Dice):
                node.press("Space")
            elif isinstance(control, Choice) and not control.slide:
                node.select_option(index=1)
            else:
                node.press("ArrowLeft" if before == ends(control)[-1] else "ArrowRight")
            page.wait(lambda key=key, old=before: panel.values[key] != old, f"{key} to move")
            agrees(page)
            controls_say(page)
        assert bool(page.page.evaluate(f"{PICTURE}.ghost")) == panel.scene.ghost
        for preset, values in panel.presets.items():
            page.root.get_by_label("preset").select_option(label=preset)
            page.wait(lambda new=values: panel.values == panel.values | new, preset)
            agrees(page)
        page.click("Reset")
        page.wait(lambda: panel.values == panel.start, "the reset")
        agrees(page)
        if panel.presets:
            named = [n for n, v in panel.presets.items() if v.items() <= panel.start.items()]
            listed = page.root.get_by_label("preset").evaluate("e => e.selectedOptions[0].label")
            assert listed == (*named, "choose …")[0]


def goes_to(page, name, value):
    page.wait(lambda: page.panel.values[name] == value, f"{name} = {value}")
    agrees(page)


def test_pin_shows_what_was_and_what_is(context):
    with opened(context, "chain") as page:
        page.click("Pin")
        old = page.readout()["numbers"]
        page.input("time").press("End")
        goes_to(page, "time", 1.0)
        before = page.page.locator(".won-before").all_inner_texts()
        new = page.readout()["numbers"]
        expected = [f"{a[1]} →" if a != b else "" for a, b in zip(old, new, strict=True)]
        assert before == expected and any(before)
        page.click("Unpin")
        assert page.page.locator(".won-before").count() == 0


def test_marks_stay_where_one_was_and_one_level_is_under_the_pointer(context):
    """In half a nat at each movement; in retraining where the hand rested, the nearest named."""
    marks = f"{PICTURE}.plots.flatMap(p => p.plot.items.flatMap(i => i.trail ? p.marks(i) : []))"

    def steps(page, control, key, times, number):
        for _ in range(times):
            page.input(control).press(key)
            agrees(page)
        page.wait(lambda: page.page.evaluate(f"{marks}.length") == number, f"{number} marks")
        return page.panel.results["distance"]

    with opened(context, "half_a_nat") as page:
        hidden = page.picture()
        page.unfold()
        page.wait(lambda: page.picture() != hidden, "the answer")
        steps(page, "level", "ArrowRight", 2, number=2)
        page.click("Reset")
        steps(page, "level", "ArrowRight", 1, number=2)
        steps(page, "amount", "ArrowRight", 1, number=1)
        box = page.image.bounding_box()
        page.page.mouse.move(box["x"] + 150, box["y"] + 150)  # one level in all plots
        level, same, said, tick = page.page.evaluate(
            f"""() => {{ const [a, , b] = {PICTURE}.plots, x = (plot, node, name) =>
                plot.scales.x.from(Number(node.getAttribute(name)));
            const thousand = [...a.ticks.x.children].find(e => e.textContent === "1,000");
            return [x(a, a.cursor, "x1"), x(b, b.cursor, "x1"), a.reading.textContent,
                x(a, thousand, "x")]; }}"""
        )
        assert level == pytest.approx(same) and km_per_s(tick) == pytest.approx(1000)
        words = f"λ = {level:.1f} · blur {float(f'{km_per_s(level):.3g}'):,g} km/s"
        assert said == words.replace("-", "−")
    with opened(context, "retraining", start={"features": 16}) as page:
        first = steps(page, "shift", "ArrowRight", 0, number=1)
        page.root.get_by_label("preset").select_option(label="detail alone")
        assert first < steps(page, "shift", "ArrowRight", 0, number=2)
        assert f"nearest so far {first:.2g}" in page.readout()["beside"]


def test_play_runs_to_the_end_and_stops_where_a_hand_takes_over(context):
    with opened(context, "chain", start={"time": 0.9}) as page:
        button = page.root.get_by_role("button", name="play: time")
        button.click()
        goes_to(page, "time", 1.0)
        button.wait_for()  # it says play again
        takes = {
            "handle": lambda: page.handles()[0].press("ArrowRight"),
            "slider": lambda: page.input("time").press("ArrowLeft"),
            "button": page.root.get_by_role("button", name="stop: time").click,
            "reset": lambda: page.click("Reset"),
        }
        for name, take in takes.items():
            button.click()
            page.wait(lambda: 0 < page.panel.values["time"] < 1, "Play to run")
            take()
            button.wait_for(timeout=1000)
            page.page.wait_for_timeout(700)
            stood = page.panel.values["time"]
            assert page.page.evaluate(f"!{PICTURE}.held"), f"{name}: limits settle"
            assert page.panel.values["time"] == stood, f"{name}: Play goes on"


def test_one_hand_at_a_time_and_it_may_be_lost(context):
    """A second finger moves nothing; a pointer that is lost has let go."""
    with opened(context, "elbo") as page:
        first, second = (
            page.root.locator(f"[data-control={name}].won-handle").first
            for name in ("log_snr_max", "gains")
        )
        first.scroll_into_view_if_needed()
        (x, y), (a, b) = place(first), place(second)
        start = page.panel.values
        session = page.page.context.new_cdp_session(page.page)
        for kind, points in [
            ("touchStart", [(x, y)]),
            ("touchMove", [(x, y + 20)]),
            ("touchStart", [(x, y + 20), (a, b)]),
            ("touchMove", [(x, y + 20), (a, b - 40)]),
            ("touchMove", [(x, y + 30), (a, b - 40)]),
            ("touchEnd", []),
        ]:
            touches = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
        page.wait(lambda: page.panel.values != start, "the first finger to move")
        agrees(page)
        assert page.panel.values["gains"] == start["gains"]
        page.page.mouse.move(*place(first))
        page.page.mouse.down()
        page.page.mouse.move(x, y + 50)
        first.evaluate("handle => handle.releasePointerCapture(1)")
        page.page.mouse.move(x, y + 60)
        page.page.mouse.move(x, y + 90)
        page.page.wait_for_timeout(600)
        assert page.page.evaluate(f"!{PICTURE}.held")
        page.page.mouse.up()
        box = page.input("log_snr_min").bounding_box()
        x, y = box["x"] + 10, box["y"] + 12
        for right in (0, 60, 0):  # a slider away and back: no "change" is told
            page.page.mouse.move(x + right, y)
            page.page.mouse.down()
        page.page.mouse.up()
        page.page.wait_for_timeout(600)
        assert page.page.evaluate(f"!{PICTURE}.held")


def test_a_handle_stays_under_the_hand_while_another_control_moves(context):
    with opened(context, "chain") as page:
        handle, mouse = page.handles()[0], page.page.mouse
        x, y = place(handle)
        mouse.move(x, y)
        mouse.down()
        page.input("n_steps").press("ArrowLeft")  # the axis is half as long
        mouse.move(x + 60, y)
        mouse.up()
        agrees(page)
        assert place(handle)[0] == pytest.approx(x + 60, abs=4)


def test_a_slow_answer_is_read_out_when_it_comes(context):
    def slow(compute):
        return lambda **values: time.sleep(0.9) or compute(**values)

    with opened(context, "chain", slow) as page:
        page.input("time").press("End")
        page.page.wait_for_timeout(1800)
        said = page.root.locator(".won-hidden").text_content()
        assert said.startswith("t = 1000 of 1000"), said


def test_direction_and_theme_of_the_page(context):
    """Read from the right, words stand where they do; its theme is followed, and printed."""
    with opened(context, "chain") as page:
        words, light = page.root.locator("svg text"), page.picture()
        places = [word.bounding_box() for word in words.all()]
        page.page.evaluate("document.dir = 'rtl'")
        assert [word.bounding_box() for word in words.all()] == places
        page.page.evaluate("document.body.style.background = '#111111'")
        page.wait(lambda: page.picture() != light, "a dark picture")
        page.page.emulate_media(media="print")
        style = "getComputedStyle(document.querySelector('.won-panel'))"
        assert page.page.evaluate(f"{style}.backgroundColor") == "rgb(17, 17, 17)"
        assert page.page.evaluate(f"{style}.printColorAdjust") == "exact"


@pytest.mark.parametrize(
    ("name", "answer", "verdict"),
    [
        ("counting", "at 82, as before", "“at 81”, not “at 82, as before”."),
        ("half_a_nat", "DDIM's", "“DDIM's”, as you said."),
    ],
)
def test_a_question_hides_the_answer_and_then_shows_it(context, name, answer, verdict):
    """By keys alone, which stay in the panel when the question has gone."""
    with opened(context, name) as page:
        assert not page.page.locator(".won-headline").is_visible()
        hidden = page.picture()
        for _ in range(9):
            page.page.keyboard.press("Tab")
            if page.page.evaluate("document.activeElement.textContent") == answer:
                break
        page.page.keyboard.press("Enter")
        for control, value in page.panel.scene.question["then"].items():
            goes_to(page, control, value)
        assert page.page.locator(".won-headline").is_visible()
        assert page.page.locator(".won-question").inner_text().endswith(verdict)
        assert page.root.evaluate("root => root.contains(document.activeElement)")
        assert page.picture() != hidden


def test_an_error_is_said_and_goes(context):
    def failing(compute):
        def failing(**values):
            if values["time"] > 0.9:
                raise ValueError("beyond <nine>")
            return compute(**values)

        return failing

    with opened(context, "chain", failing) as page:
        where = page.image.bounding_box()
        page.input("time").press("End")
        page.wait(lambda: page.error() != "", "the error")
        assert page.image.bounding_box() == where  # it does not move under the hand
        assert page.error().startswith("ValueError: beyond <nine> (at time = 1.0")
        page.input("time").press("Home")
        page.wait(lambda: page.error() == "", "the error to go")
        agrees(page)


# Both renderers


def coarse(picture, box):
    """Return the mean colours of a grid of cells over a box of pixels."""
    part = picture.convert("RGB").resize((12, 12), Image.Resampling.BOX, box)
    return np.asarray(part, float)


def marks_alone(scene):
    """Return a scene without handles, words and legends."""

    def bare(plot):
        kept = [item for item in plot.items if not isinstance(item, Handle | Words)]
        return replace(plot, items=[replace(item, label="") for item in kept])

    return replace(scene, rows=[[plot and bare(plot) for plot in row] for row in scene.rows])


@pytest.mark.parametrize("name", ["chain", "counting", "reverse"])
def test_both_renderers_draw_the_same(context, name):
    """By the mean difference of coarse colours in each plot."""
    with opened(context, name, width=940) as page:
        page.unfold()
        numbers, arrays = page.compute(**page.panel.values)
        page.page.add_style_tag(content=".won-type { display: none; }")  # neither type nor handles
        page.page.wait_for_timeout(100)
        shot = page.page.locator(".won-picture canvas").screenshot()
        boxes = page.page.evaluate(f"{PICTURE}.plots.map(plot => plot.box)")
        figure = still.figure(marks_alone(page.panel.scene), numbers | arrays)
    figure.canvas.draw()
    live = Image.open(io.BytesIO(shot))
    drawn = Image.fromarray(np.asarray(figure.canvas.buffer_rgba()))
    for ax, box in zip([a for a in figure.axes if a.axison], boxes, strict=False):
        left, low, right, high = ax.bbox.extents
        theirs = left + 3, drawn.height - high + 3, right - 3, drawn.height - low - 3
        x, y = box["x"], box["y"]
        mine = x + 3, y + 3, x + box["w"] - 3, y + box["h"] - 3
        off = np.abs(coarse(drawn, theirs) - coarse(live, mine)).mean()
        assert off < 2.5  # of 255; a map upside down has 3.3


# For everyone


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", PANELS)
def test_no_barrier_that_axe_finds(context, name, dark):
    with opened(context, name, dark=dark) as page:
        for _ in range(2):  # with the question, and without
            assert barriers(page.page) == []
            page.unfold()


WIDE = {"objective": "cosine_x", "shift": -5.0}  # whose words are long


@pytest.mark.parametrize(
    ("name", "start"),
    [
        *((name, {}) for name in PANELS),
        *(("weighting", WIDE), ("sum_of_elbos", WIDE), ("retraining", {"data": "galaxies"})),
    ],
)
def test_all_widths_are_filled_and_not_left(context, name, start):
    for width in (1440, 1024, 600, 390):
        with opened(context, name, start=start, width=width) as page:
            page.skip_question()
            found = page.page.evaluate(LAYOUT)
            assert found["over"] <= 0 and found["type"] >= 12, width
            assert found["small"] == [] == found["outside"] == found["crossed"], width
            if width >= 1024:  # picture, numbers and controls together on a laptop's screen
                assert max(found["end"], found["shown"]) < 775, width
