"""The committed notebooks in JupyterLab, moved by mouse and keyboard as a reader would."""

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
VIEW = "application/vnd.jupyter.widget-view+json"

pytestmark = pytest.mark.browser


def named(number):
    return next(path for path in NOTEBOOKS if path.name.startswith(number))


def panel_cells(path):
    """The places of the cells whose saved output is a panel."""
    cells = nbformat.read(path, as_version=4).cells
    return [
        place
        for place, cell in enumerate(cells)
        if any(VIEW in output.get("data", {}) for output in cell.get("outputs", []))
    ]


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
    notebook = open_notebook(path)
    notebook.run_all(seconds=300)
    for index in range(len(panel_cells(path))):
        panel = notebook.panel(index)
        assert panel.labels_cut_off() == []
        pictures = {panel.picture()}
        handles = [h for h in panel.root.locator(".noUi-handle").all() if h.is_visible()]
        for k, handle in enumerate(handles):
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
        assert len(pictures) > 1 and len(pictures) > len(handles) // 2
    assert notebook.console_errors == []


@pytest.mark.full
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_reopened_without_running(path, open_notebook):
    """A reader who has not run anything sees pictures where the panels are, not blanks."""
    places = panel_cells(path)
    notebook = open_notebook(path)
    for index in places:
        notebook.page.evaluate(
            "index => jupyterapp.shell.currentWidget.content.scrollToItem(index)", index
        )
        cell = notebook.page.locator(f".jp-Notebook-cell[data-windowed-list-index='{index}']")
        picture = cell.locator(".jp-OutputArea-output img")
        picture.wait_for()
        assert picture.evaluate("image => image.naturalWidth") > 0
    outputs = notebook.page.locator(".jp-OutputArea-output")
    assert outputs.get_by_text("Error displaying widget").count() == 0
