"""The instrument on a page without a kernel: all that a hand can do, and the numbers it sees."""

import contextlib
import re

import numpy as np
import pytest
from instrument_page import drag, place_of, shown
from lab import write_notebook
from serving import ROOT, absent

from course_utils.objectives import from_script
from course_utils.panels import _instrument as instrument
from course_utils.panels import sum_of_elbos, weighting

pytestmark = pytest.mark.browser
AXE = ROOT / "course_utils/widgets/js/node_modules/axe-core/axe.min.js"


@pytest.fixture(
    params=[pytest.param(weighting, marks=pytest.mark.full), sum_of_elbos],
    ids=["weighting", "sum_of_elbos"],
)
def panel(request):
    panel = request.param.panel()
    yield panel
    panel.close()


def w_at(page, level):
    """Return w as Python finds it for the values that the page holds."""
    return float(instrument.weighting(page.evaluate("seen()"))(level))


def agree(page, panel):
    """Fail unless the numbers on the page are those of Python for the page's values."""
    panel.set(**page.evaluate("seen()"))
    wanted = panel.frame["readout"]
    headline = page.locator(".won-headline").inner_text()
    numbers = page.locator(".won-numbers tr").evaluate_all(
        "rows => rows.map(row => [row.firstChild.textContent, row.lastChild.textContent])"
    )
    assert headline == wanted["headline"]
    assert numbers == [list(pair) for pair in wanted["numbers"]]
    details = page.locator(".won-details li").evaluate_all("all => all.map(li => li.textContent)")
    of_bounds = [words for words in wanted["details"] if words.startswith("residual")]
    assert sorted(details + of_bounds) == sorted(wanted["details"])


def test_the_curve_follows_the_hand_and_rises_there_alone(browser_context, panel):
    with shown(browser_context, panel.page()) as page:
        before = {level: w_at(page, level) for level in (-8.0, 1.5, 8.0)}
        start, end = (place_of(page, 1.5, h) for h in (before[1.5], 4 * before[1.5]))
        drag(page, start, end)
        assert w_at(page, 1.5) == pytest.approx(4 * before[1.5], rel=0.05)
        for far in (-8.0, 8.0):
            assert w_at(page, far) == pytest.approx(before[far], rel=1e-3)
        agree(page, panel)


def test_every_handle_moves_by_mouse_and_by_keys(browser_context, panel):
    with shown(browser_context, panel.page()) as page:
        for handle in reversed(page.locator(".won-handle").all()):
            name, label = handle.get_attribute("data-control"), handle.get_attribute("aria-label")
            assert label and handle.get_attribute("aria-valuetext"), name
            before = page.evaluate("seen()")[name]
            handle.press("ArrowUp" if name != "log_snr_max" else "ArrowLeft")
            by_key = page.evaluate("seen()")[name]
            assert by_key != before, label
            grip = handle.locator(".won-grip").bounding_box()
            x, y = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
            along = (30, 0) if name == "log_snr_min" else (-30, 0) if "snr" in name else (0, -20)
            drag(page, (x, y), (x + along[0], y + along[1]))
            assert page.evaluate("seen()")[name] != by_key, label
        agree(page, panel)


def test_drawing_afresh_undoing_and_the_address(browser_context, panel):
    with shown(browser_context, panel.page()) as page:
        start = page.evaluate("seen()")
        page.get_by_text("the hand", exact=True).click()
        page.get_by_label("draw w afresh").check()
        page.wait_for_timeout(50)
        first, last = place_of(page, -8, 0.5), place_of(page, 8, 0.02)
        drag(page, first, last, steps=25)
        drawn = page.evaluate("seen()")
        assert drawn["objective"] == "drawn" and not any(drawn["brush"])
        assert w_at(page, -8) == pytest.approx(0.5, rel=0.1)
        assert w_at(page, 8) == pytest.approx(0.02, rel=0.1)
        assert w_at(page, 0) == pytest.approx(0.1, rel=0.1)  # a straight line on the log axis
        agree(page, panel)
        there = page.evaluate("location.hash")
        page.get_by_role("button", name="Undo").click()
        page.get_by_role("button", name="Undo").click()
        assert page.evaluate("seen()") == start
        page.get_by_role("button", name="Redo").click()
        page.get_by_role("button", name="Redo").click()
        assert page.evaluate("seen()") == drawn
        page.get_by_role("button", name="Reset").click()
        assert page.evaluate("seen()") == start
    with shown(browser_context, panel.page(), hash=there) as page:
        assert page.evaluate("seen()") == drawn
        agree(page, panel)


def test_numbers_on_the_screen_are_pythons(browser_context, panel):
    """For many random states: what is written is the same, to the last digit shown."""
    rng = np.random.default_rng(5)
    with shown(browser_context, panel.page()) as page:
        for _ in range(12):
            values = panel.start | {
                "objective": str(rng.choice([n for n in instrument.NAMES if n != "drawn"])),
                "shift": round(float(rng.uniform(-6, 6)), 1),
                "gains": [round(float(g), 1) for g in rng.uniform(-1, 1, 7)],
                "monotone_lock": bool(rng.integers(2)),
                "model": str(rng.choice(["right", "wrong"])),
            }
            page.evaluate("values => { view.move(values); view.rest(); }", values)
            agree(page, panel)


def test_the_list_has_groups_and_goes_to_the_levels_that_are_reached(browser_context):
    panel = sum_of_elbos.panel(objective=from_script(betas="scaled_linear", name="mine"))
    seen = "[seen().objective, seen().log_snr_min, seen().log_snr_max]"
    with shown(browser_context, panel.page()) as page:
        groups = page.locator("optgroup").evaluate_all("all => all.map(g => g.label)")
        assert groups == ["your own", "published", "by hand", "trained today"]
        assert page.evaluate(seen)[1:] == [-5.3, 7]
        for name, there in (
            ("Sana, 1024 px", ["sana", -10, 7.3]),
            ("EDM", ["edm", -10, 10]),
            ("Stable Diffusion 2.1, v", ["sd21_v", -5.3, 7]),
        ):
            page.locator("select").first.select_option(label=name)
            assert page.evaluate(seen) == there
            agree(page, panel)
        page.evaluate("view.move({ log_snr_max: 4 })")  # a range that the hand has set stays
        page.locator("select").first.select_option(label="EDM")
        assert page.evaluate(seen) == ["edm", -5.3, 4]
    panel.close()


def test_axes_stand_still_while_the_hand_is_on_the_curve(browser_context):
    panel = sum_of_elbos.panel()
    limits = "view.picture.plots.map(p => [...p.limits.x, ...p.limits.y])"
    with shown(browser_context, panel.page()) as page:
        up, down = place_of(page, 1.0, 5), place_of(page, 1.0, 0.05)
        page.mouse.move(*place_of(page, 1.0, 0.7))
        page.mouse.down()
        page.mouse.move(*up, steps=5)
        page.wait_for_timeout(50)
        widest = page.evaluate(limits)
        page.mouse.move(*down, steps=5)
        page.wait_for_timeout(600)
        assert page.evaluate(limits) == widest  # nothing shrinks under the hand
        agree(page, panel)  # numbers are written less often than the hand moves, but the last are
        page.mouse.up()
        page.wait_for_timeout(700)
        assert page.evaluate(limits) != widest  # it settles afterwards
    panel.close()


def test_under_the_pointer_and_under_a_finger(browser_context):
    """What stands at a level is written; a finger pulls as a mouse does; a pin stays as a ghost."""
    panel = weighting.panel()
    with shown(browser_context, panel.page(), width=390) as page:
        place = place_of(page, 2.0, w_at(page, 2.0))
        page.mouse.move(*place)
        said = page.locator(".won-reading-line").inner_text()
        w, e = (float(re.search(rf"\b{name} ([\d.]+)", said)[1]) for name in "we")
        level = float(re.search(r"λ (−?[\d.]+)", said)[1])
        assert w == pytest.approx(w_at(page, level), rel=0.01)
        assert e == pytest.approx(instrument.error_curve().at(level)[0], rel=0.02)
        before = w_at(page, 2.0)
        touch = page.context.new_cdp_session(page)
        for kind, up in [
            ("touchStart", 0),
            ("touchMove", 15),
            ("touchMove", 30),
            ("touchEnd", None),
        ]:
            points = [] if up is None else [{"x": place[0], "y": place[1] - up}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        assert w_at(page, 2.0) > 1.5 * before
        page.get_by_role("button", name="Pin").click()
        assert page.evaluate("view.picture.ghost !== null")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        agree(page, panel)
    panel.close()


@pytest.mark.parametrize("paper", ["#ffffff", pytest.param("#111111", marks=pytest.mark.full)])
def test_no_barrier_that_axe_finds(browser_context, panel, paper):
    if not AXE.exists():
        absent("no axe-core: run `make widgets`")
    with shown(browser_context, panel.page(), paper=paper) as page:
        for part in page.locator(".won-steer summary").all():
            part.click()
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("() => axe.run()")
        wrong = [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]]
        assert wrong == []


CELL = """
from course_utils.panels import sum_of_elbos
panel = sum_of_elbos.panel()
panel
"""


@pytest.mark.full
def test_in_a_notebook_python_holds_what_is_on_the_screen(lab, tmp_path):
    """The curve pulled, a galaxy whose curve must be fetched, and a weighting assigned."""
    path = write_notebook(tmp_path / "instrument.ipynb", [CELL])
    with contextlib.closing(lab(path)) as notebook:
        notebook.run_all(seconds=120)
        page = notebook.page
        headline = page.locator(".won-headline")
        headline.wait_for()
        dot = page.locator(".won-handle[data-control=gains] .won-grip").nth(4).bounding_box()
        start = dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2
        drag(page, start, (start[0], start[1] - 30))
        page.wait_for_timeout(300)
        said = (
            "f\"{panel.results['weighted_loss']:.6f} = {panel.results['sum_of_elbos']:.6f} nats\""
        )
        there = notebook.execute(f"print(panel.values['gains'][4], {said})").split(" ", 1)
        assert float(there[0]) > 0.1 and there[1].strip() == headline.inner_text()
        assert there[1].strip() != "0.948189 = 0.948189 nats"

        notebook.execute("panel.set(galaxy=17, model='wrong')")
        wanted = notebook.execute(f"print({said})").strip()
        page.wait_for_function(
            "words => document.querySelector('.won-headline').textContent === words", arg=wanted
        )
        notebook.execute("panel.reset(); panel.weighting = lambda s: 1 / (1 + s**2)")
        wanted = notebook.execute(f"print({said})").strip()
        page.wait_for_function(
            "words => document.querySelector('.won-headline').textContent === words", arg=wanted
        )
