"""The instrument on a page without a kernel: all that a hand can do, and the numbers it sees."""

import contextlib
import re
from pathlib import Path

import numpy as np
import pytest
from instrument_page import place_of, shown
from lab import write_notebook
from panel_page import PanelOnPage, drag, pull
from serving import barriers

from course_utils.objectives import from_script
from course_utils.panels import _instrument as instrument
from course_utils.panels import sum_of_elbos, weighting

pytestmark = pytest.mark.browser
LAYOUT = Path(__file__).with_name("layout.js").read_text(encoding="utf-8")
# what stands beside the ridges, once it is painted
BESIDE = """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(
    view.picture.plots.flatMap(p => [...p.beside.children].map(node => node.textContent))))))"""


@pytest.fixture(
    params=[pytest.param(weighting, marks=pytest.mark.full), sum_of_elbos],
    ids=["weighting", "sum_of_elbos"],
)
def panel(request):
    panel = request.param.panel()
    yield panel
    panel.close()


def seen(page):
    return page.evaluate("seen()")


def w_at(page, level):
    """Return w as Python finds it for the values that the page holds."""
    return float(instrument.weighting(seen(page))(level))


def agree(page, panel):
    """Fail unless the numbers on the page are those of Python for the page's values."""
    panel.set(**seen(page))
    wanted, found = panel.frame["readout"], PanelOnPage(page.locator("#place")).readout()
    assert found["headline"] == wanted["headline"]
    assert found["numbers"] == [list(pair) for pair in wanted["numbers"]]
    of_bounds = [words for words in wanted["details"] if words.startswith("residual")]
    assert sorted(found["details"] + of_bounds) == sorted(wanted["details"])
    words = panel.arrays["layer_words"] if "Ridges" in str(panel.spec["rows"]) else []
    assert page.evaluate(BESIDE) == words


def test_the_curve_follows_the_hand_and_rises_there_alone(browser_context, panel):
    with shown(browser_context, panel.page()) as page:
        before = {level: w_at(page, level) for level in (-8.0, 1.5, 8.0)}
        pull(page, *(place_of(page, 1.5, height * before[1.5]) for height in (1, 4)))
        after = {level: w_at(page, level) / before[level] for level in before}
        assert after == pytest.approx({-8.0: 1, 1.5: 4, 8.0: 1}, rel=0.05)
        assert after[-8.0] == pytest.approx(1, rel=1e-3) == after[8.0]
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


@pytest.mark.full
def test_every_handle_moves_by_mouse_and_by_keys(browser_context, panel):
    with shown(browser_context, panel.page()) as page:
        for handle in reversed(page.locator(".won-handle").all()):
            name, label = handle.get_attribute("data-control"), handle.get_attribute("aria-label")
            assert label and handle.get_attribute("aria-valuetext"), name
            before = seen(page)[name]
            handle.press("ArrowUp" if name != "log_snr_max" else "ArrowLeft")
            by_key = seen(page)[name]
            assert by_key != before, label
            inwards = {"log_snr_min": (30, 0), "log_snr_max": (-30, 0), "shift": (-30, 0)}
            drag(handle, *inwards.get(name, (0, -20)))
            assert seen(page)[name] != by_key, label
        agree(page, panel)


@pytest.mark.full
def test_drawing_afresh_undoing_and_the_address(browser_context, panel):
    with shown(browser_context, panel.page()) as page:
        start = seen(page)
        page.get_by_text("the hand", exact=True).click()
        page.get_by_label("draw w afresh").check()
        page.wait_for_timeout(50)
        pull(page, place_of(page, -8, 0.5), place_of(page, 8, 0.02), steps=25)
        drawn = seen(page)
        assert drawn["objective"] == "drawn" and not any(drawn["brush"])
        for level, height in [(-8, 0.5), (0, 0.1), (8, 0.02)]:  # straight on the log axis
            assert w_at(page, level) == pytest.approx(height, rel=0.1)
        agree(page, panel)
        there = page.evaluate("location.hash")
        for button, values in [("Undo", start), ("Redo", drawn), ("Reset", start)]:
            for _ in range(1 if button == "Reset" else 2):
                page.get_by_role("button", name=button).click()
            assert seen(page) == values, button
    with shown(browser_context, panel.page(), hash=there) as page:
        assert seen(page) == drawn
        agree(page, panel)


@pytest.mark.full
def test_the_list_has_groups_and_goes_to_the_levels_that_are_reached(browser_context):
    panel = sum_of_elbos.panel(objective=from_script(betas="scaled_linear", name="mine"))
    with shown(browser_context, panel.page()) as page:

        def chosen(name=None):
            if name:
                page.locator("select").first.select_option(label=name)
                agree(page, panel)
            return [seen(page)[key] for key in ("objective", "log_snr_min", "log_snr_max")]

        groups = page.locator("optgroup").evaluate_all("all => all.map(g => g.label)")
        assert groups == ["your own", "published", "by hand", "trained today"]
        assert chosen()[1:] == [-5.3, 7]
        assert chosen("Sana, 1024 px") == ["sana", -10, 7.3]
        assert chosen("EDM") == ["edm", -10, 10]
        assert chosen("Stable Diffusion 2.1, v") == ["sd21_v", -5.3, 7]
        page.evaluate("view.move({ log_snr_max: 4 })")  # a range that the hand has set stays
        assert chosen("EDM") == ["edm", -5.3, 4]
    panel.close()


@pytest.mark.full
def test_axes_stand_still_while_the_hand_is_on_the_curve(browser_context, panel):
    limits = "view.picture.plots.map(p => [...p.limits.x, ...p.limits.y])"
    with shown(browser_context, panel.page()) as page:
        here = w_at(page, 1.0)
        at, up, down = (place_of(page, 1.0, height * here) for height in (1, 7, 0.07))
        page.mouse.move(*at)
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


def test_controls_do_not_jump_while_one_is_moved(browser_context):
    """The verdict has one line or two; till the hand rests, its place does not shrink."""
    panel = weighting.panel()
    with shown(browser_context, panel.page(), width=390) as page:
        heights = page.evaluate(
            """async () => { const tall = [];
            const wait = ms => new Promise(done => setTimeout(done, ms));
            for (const shift of [0, 6, 3, -1, -6, 0, 800]) {
                if (shift < 800) view.move({ shift }); else view.rest();
                await wait(shift < 800 ? 150 : 800);
                tall.push(view.readout.offsetHeight);
            }
            return tall; }"""
        )
    panel.close()
    *moving, rested = heights
    assert moving == sorted(moving), heights
    assert moving[0] == rested < moving[-1], heights


@pytest.mark.full
def test_no_words_leave_the_picture(browser_context, panel):
    for width in (1440, 1024, 600, 390):
        with shown(browser_context, panel.page(), width=width) as page:
            page.evaluate("view.move({ objective: 'cosine_x', shift: -5 }); view.rest()")
            page.wait_for_timeout(100)
            found = page.evaluate(LAYOUT)
            assert found["over"] <= 0 and found["outside"] == [], width


@pytest.mark.full
def test_under_the_pointer_and_under_a_finger(browser_context, panel):
    """What stands at a level is written; a finger pulls as a mouse does; a pin stays as a ghost."""
    with shown(browser_context, panel.page(), width=390) as page:
        x, y = place_of(page, 1.5, w_at(page, 1.5))
        page.mouse.move(x, y)
        said = page.locator(".won-reading-line").inner_text()
        w, e = (float(re.search(rf"\b{name} ([\d.]+)", said)[1]) for name in "we")
        level = float(re.search(r"λ (−?[\d.]+)", said)[1])
        assert w == pytest.approx(w_at(page, level), rel=0.01)
        assert e == pytest.approx(instrument.error_curve().at(level)[0], rel=0.02)
        before = w_at(page, 1.5)
        pull(page, (x, y), (x, y - 60), by="touch")
        page.wait_for_timeout(100)
        assert page.evaluate("scrollY") == 0  # the finger pulls the curve, not the page
        assert w_at(page, 1.5) > 1.5 * before
        page.get_by_role("button", name="Pin").click()
        assert page.evaluate("view.picture.ghost !== null")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        agree(page, panel)


@pytest.mark.full
def test_a_curve_that_must_be_fetched_is_no_error(browser_context, panel):
    """Till its table comes, the last picture stays; then comes the newest that is wanted."""
    look = "[view.root.offsetHeight, document.querySelector('.won-alert').textContent]"
    with shown(browser_context, panel.page()) as page:
        before = page.evaluate(look)
        page.evaluate("view.host.table = name => { window.wanted = name; }")
        page.evaluate("for (const galaxy of [17, 18, 19]) view.move({ galaxy })")
        page.mouse.move(*place_of(page, 1.5, 0.5), steps=3)
        page.wait_for_timeout(50)
        assert page.locator(".won-reading-line").inner_text().startswith("λ 1.5")
        assert page.evaluate(look) == before
        for galaxy in (17, 19):
            assert page.evaluate("wanted") == f"right {galaxy}"
            table = instrument.curve_table("right", galaxy)
            page.evaluate("table => view.addTable(wanted, table)", table)
        agree(page, panel)


@pytest.mark.full
@pytest.mark.parametrize("paper", ["#ffffff", "#111111"])
def test_no_barrier_that_axe_finds(browser_context, panel, paper):
    with shown(browser_context, panel.page(), paper=paper) as page:
        for part in page.locator(".won-steer summary").all():
            part.click()
        assert barriers(page) == []


CELL = """
from course_utils.panels import sum_of_elbos
panel = sum_of_elbos.panel()
panel
"""
SAID = "{weighted_loss:.6f} = {sum_of_elbos:.6f} nats"


@pytest.mark.full
def test_in_a_notebook_python_holds_what_is_on_the_screen(lab, tmp_path):
    """The curve pulled, a galaxy whose curve must be fetched, and a weighting assigned."""
    path = write_notebook(tmp_path / "instrument.ipynb", [CELL])
    with contextlib.closing(lab(path)) as notebook:
        notebook.run_all(seconds=120)
        panel = notebook.panel()
        drag(panel.root.locator(".won-handle[data-control=gains]").nth(4), 0, -30)
        panel.page.wait_for_timeout(300)
        assert float(notebook.execute("print(panel.values['gains'][4])")) > 0.1
        found = set()
        for code in (
            "",
            "panel.set(galaxy=17, model='wrong')",
            "panel.reset(); panel.weighting = lambda s: 1 / (1 + s**2)",
        ):
            notebook.execute(code)
            wanted = notebook.execute(f"print({SAID!r}.format(**panel.results))").strip()
            panel.wait(lambda w=wanted: panel.readout()["headline"] == w, wanted)
            found.add(wanted)
        assert len(found | {"0.948189 = 0.948189 nats"}) == 4
