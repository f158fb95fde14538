"""The instrument on a page without a kernel: what a hand can do to w, and the numbers it sees.

Its handles, controls and widths are among those of test_panel_page.py.
"""

import re

import numpy as np
import pytest
from panel_page import agrees, pull, shown
from PIL import Image

from course_utils.objectives import from_script
from course_utils.panels import _instrument as instrument
from course_utils.panels import sum_of_elbos, weighting

pytestmark = pytest.mark.browser


@pytest.fixture(
    params=[pytest.param(weighting, marks=pytest.mark.full), sum_of_elbos],
    ids=["weighting", "sum_of_elbos"],
)
def panel(request):
    panel = request.param.panel()
    yield panel
    panel.close()


@pytest.fixture
def page(browser_context, panel):
    with shown(browser_context, panel, panel.page()) as page:
        yield page


def w_at(page, level):
    """Return w as Python finds it for the values that the page holds."""
    return float(instrument.weighting(page.values())(level))


def test_the_curve_follows_the_hand_and_rises_there_as_wide_as_the_brush(page):
    for width in (1.0, 0.4, 3.0):
        page.page.evaluate("width => view.move({ brush: [], brush_width: width })", width)
        page.page.wait_for_timeout(50)
        before = {level: w_at(page, level) for level in (-8.0, 0.5, 1.5, 4.0)}
        pull(page.page, *(page.place_of(1.5, height * before[1.5]) for height in (1, 4)))
        for level, height in before.items():
            risen = np.log(w_at(page, level) / height) / np.log(4)
            bell = np.exp(-(((level - 1.5) / width) ** 2) / 2)
            assert risen == pytest.approx(bell, abs=0.06), (width, level)
        agrees(page)


@pytest.mark.full
def test_drawing_afresh_undoing_and_the_address(page):
    start = page.values()
    page.page.get_by_text("the hand", exact=True).click()
    page.page.get_by_label("draw w afresh").check()
    page.page.wait_for_timeout(50)
    pull(page.page, page.place_of(-8, 0.5), page.place_of(8, 0.02), steps=25)
    drawn = page.values()
    assert drawn["objective"] == "drawn" and not any(drawn["brush"])
    for level, height in [(-8, 0.5), (0, 0.1), (8, 0.02)]:  # straight on the log axis
        assert w_at(page, level) == pytest.approx(height, rel=0.1)
    agrees(page)
    there = page.page.evaluate("location.hash")
    with page.page.expect_download() as kept:
        page.click("Save picture")
    titles = Image.open(kept.value.path()).convert("L").crop((0, 0, 400, 20))
    assert titles.getextrema() < (100, 256)
    for keys, button, values in [("z", "Undo", start), ("Shift+z", "Redo", drawn)]:
        page.page.keyboard.press(f"Control+{keys}")
        page.click(button)
        assert page.values() == values, button
    page.click("Reset")
    assert page.values() == start
    with shown(page.page.context, page.panel, page.alone, hash=there) as again:
        assert again.values() == drawn
        agrees(again)


@pytest.mark.full
def test_the_list_has_groups_and_goes_to_the_levels_that_are_reached(browser_context):
    panel = sum_of_elbos.panel(objective=from_script(betas="scaled_linear", name="mine"))
    with shown(browser_context, panel, panel.page()) as page:

        def chosen(name=None):
            if name:
                page.input("objective").select_option(label=name)
                agrees(page)
            return [page.values()[key] for key in ("objective", "log_snr_min", "log_snr_max")]

        groups = page.root.locator("optgroup").evaluate_all("all => all.map(g => g.label)")
        assert groups == ["your own", "published", "by hand", "trained today"]
        assert chosen()[1:] == [-5.3, 7]
        assert chosen("Sana, 1024 px") == ["sana", -10, 7.3]
        assert chosen("EDM") == ["edm", -10, 10]
        assert chosen("Stable Diffusion 2.1, v") == ["sd21_v", -5.3, 7]
        page.page.evaluate("view.move({ log_snr_max: 4 })")  # a range that the hand has set stays
        assert chosen("EDM") == ["edm", -5.3, 4]
    panel.close()


@pytest.mark.full
def test_axes_stand_still_while_the_hand_is_on_the_curve(page):
    limits = "view.picture.plots.map(p => [...p.limits.x, ...p.limits.y])"
    here, mouse = w_at(page, 1.0), page.page.mouse
    at, up, down = (page.place_of(1.0, height * here) for height in (1, 7, 0.07))
    mouse.move(*at)
    mouse.down()
    mouse.move(*up, steps=5)
    page.page.wait_for_timeout(50)
    widest = page.page.evaluate(limits)
    mouse.move(*down, steps=5)
    page.page.wait_for_timeout(600)
    assert page.page.evaluate(limits) == widest  # nothing shrinks under the hand
    agrees(page)  # numbers are written less often than the hand moves, but the last are
    mouse.up()
    page.wait(lambda: page.page.evaluate(limits) != widest, "limits that settle")


def test_controls_do_not_jump_while_one_is_moved(browser_context):
    """The verdict has one line or two; till the hand rests, its place does not shrink."""
    panel = weighting.panel()
    with shown(browser_context, panel, panel.page(), width=390) as page:
        heights = page.page.evaluate(
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
def test_under_the_pointer_and_under_a_finger(browser_context, panel):
    """What stands at a level is written; a finger pulls as a mouse does; a pin stays as a ghost."""
    with shown(browser_context, panel, panel.page(), width=390) as page:
        x, y = page.place_of(1.5, w_at(page, 1.5))
        page.page.mouse.move(x, y)
        said = page.root.locator(".won-reading-line").inner_text()
        w, e = (float(re.search(rf"\b{name} ([\d.]+)", said)[1]) for name in "we")
        level = float(re.search(r"λ (−?[\d.]+)", said)[1])
        assert w == pytest.approx(w_at(page, level), rel=0.01)
        assert e == pytest.approx(instrument.error_curve().at(level)[0], rel=0.02)
        before = w_at(page, 1.5)
        pull(page.page, (x, y), (x, y - 60), by="touch")
        page.page.wait_for_timeout(100)
        assert page.page.evaluate("scrollY") == 0  # the finger pulls the curve, not the page
        assert w_at(page, 1.5) > 1.5 * before
        page.click("Pin")
        assert page.page.evaluate("view.picture.ghost !== null")
        agrees(page)


@pytest.mark.full
def test_a_curve_that_must_be_fetched_is_no_error(page):
    """Till its table comes, the last picture stays; then comes the newest that is wanted."""
    look = "[view.root.offsetHeight, document.querySelector('.won-alert').textContent]"
    before = page.page.evaluate(look)
    page.page.evaluate("view.host.table = name => { window.wanted = name; }")
    page.page.evaluate("for (const galaxy of [17, 18, 19]) view.move({ galaxy })")
    page.page.mouse.move(*page.place_of(1.5, 0.5), steps=3)
    page.page.wait_for_timeout(50)
    assert page.root.locator(".won-reading-line").inner_text().startswith("λ 1.5")
    assert page.page.evaluate(look) == before
    for galaxy in (17, 19):
        assert page.page.evaluate("wanted") == f"right {galaxy}"
        table = instrument.curve_table("right", galaxy)
        page.page.evaluate("table => view.addTable(wanted, table)", table)
    agrees(page)
