"""The committed notebooks in JupyterLab, moved by mouse and keyboard as a reader would."""

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
PANELS = re.compile(r"from course_utils\.panels import|panels\.\w+ import")

pytestmark = pytest.mark.browser


def named(number):
    return next(path for path in NOTEBOOKS if path.name.startswith(number))


def relative_residual(panel):
    return float(re.search(r"residual (\S+) of", panel.numbers())[1])


def area(panel):
    """The two sides of S5 as the panel prints them."""
    left = re.search(r"½∫ w e dλ = (\S+) nats", panel.numbers())[1]
    right = re.search(r"constant = (\S+) nats", panel.numbers())[1]
    return float(left), float(right)


def test_sum_of_elbos_follows_mouse_and_keyboard(open_notebook):
    notebook = open_notebook(named("06"))
    notebook.run_all(seconds=240)
    panel = notebook.panel()
    assert panel.labels_cut_off() == []
    seen, sides = [panel.picture()], [area(panel)]

    def moved(action):
        action()
        seen.append(panel.wait_for_new_picture(seen[-1]))
        notebook.wait_until_idle()
        assert panel.error() == ""
        sides.append(area(panel))
        assert abs(sides[-1][0] - sides[-1][1]) <= 2e-6
        assert relative_residual(panel) < 1e-6

    moved(lambda: panel.drag("shift along λ", 0.25))
    moved(lambda: panel.drag("shift along λ", -0.4))
    moved(lambda: panel.press("shift along λ", "ArrowRight", times=3))
    moved(lambda: panel.press("λ = 3", "ArrowUp", times=5))
    moved(lambda: panel.drag("λ_min", 0.5))
    moved(lambda: panel.choose("model", "wrong: three broad clusters"))
    moved(lambda: panel.press("galaxy (0: all)", "ArrowRight", times=2))
    assert len(set(sides)) == len(sides), "the printed areas must move with the controls"
    old = panel.picture()
    panel.click("Reset")
    panel.wait_for_new_picture(old)
    notebook.wait_until_idle()
    assert area(panel) == sides[0]
    assert notebook.console_errors == []


@pytest.mark.full
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_panel_moves(path, open_notebook):
    """Each slider of each panel, by keyboard to both ends; each list to its last option."""
    sources = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    expected = sum(bool(re.search(r"\bpanel\(|\.panel\(", source)) for source in sources)
    if not expected:
        pytest.skip("no panel here")
    notebook = open_notebook(path)
    notebook.run_all(seconds=300)
    for index in range(expected):
        panel = notebook.panel(index)
        assert panel.labels_cut_off() == []
        pictures = {panel.picture()}
        handles = panel.root.locator(".noUi-handle")
        for k in range(handles.count()):
            handle = handles.nth(k)
            for key in ("Home", "End", "ArrowLeft"):
                handle.scroll_into_view_if_needed()
                handle.focus()
                notebook.page.keyboard.press(key)
                notebook.wait_until_idle()
                assert panel.error() == "", f"slider {k}, {key}"
            pictures.add(panel.picture())
        for k in range(panel.root.locator("select").count()):
            chooser = panel.root.locator("select").nth(k)
            if chooser.is_visible():
                chooser.select_option(index=chooser.locator("option").count() - 1)
                notebook.wait_until_idle()
                assert panel.error() == "", f"list {k}"
        panel.click("Reset")
        notebook.wait_until_idle()
        assert panel.error() == ""
        assert len(pictures) > 1 and len(pictures) > handles.count() // 2
    assert notebook.console_errors == []


@pytest.mark.full
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_reopened_without_running(path, open_notebook):
    """A reader who has not run anything sees pictures where the panels are, not blanks."""
    sources = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    expected = sum(bool(re.search(r"\bpanel\(|\.panel\(", source)) for source in sources)
    if not expected:
        pytest.skip("no panel here")
    notebook = open_notebook(path)
    page = notebook.page
    page.evaluate(
        "() => { const w = jupyterapp.shell.currentWidget.content;"
        " w.notebookConfig = {...w.notebookConfig, windowingMode: 'none'}; }"
    )
    page.wait_for_timeout(1000)
    broken = page.get_by_text("Error displaying widget", exact=False)
    assert broken.count() == 0
    page.wait_for_function(
        f"() => document.querySelectorAll('.jp-OutputArea-output img').length >= {expected}"
    )
