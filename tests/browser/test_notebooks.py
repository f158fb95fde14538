"""The committed notebooks in JupyterLab, moved by mouse and keyboard as a reader would."""

import nbformat
import pytest
from panel_page import drag
from serving import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
VIEW = "application/vnd.jupyter.widget-view+json"

pytestmark = [pytest.mark.browser, pytest.mark.full]


def panel_cells(path):
    """The places of the cells whose saved output is a panel."""
    cells = nbformat.read(path, as_version=4).cells
    return [
        place
        for place, cell in enumerate(cells)
        if any(VIEW in output.get("data", {}) for output in cell.get("outputs", []))
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_panel_is_a_picture_before_it_runs_and_then_moves(path, open_notebook):
    """Each slider by keyboard to both ends; each list to its last option; each handle by mouse."""
    notebook, cells = open_notebook(path), panel_cells(path)
    notebook.sees_pictures(cells)
    notebook.run_all(seconds=300)
    for index in range(len(cells)):
        panel = notebook.panel(index)
        panel.unfold()
        assert panel.cut_off() == []

        def stands(after, panel=panel):  # a galaxy's own curve may be on its way
            panel.wait(lambda: panel.error() == "", f"no error after {after}")

        pictures = {panel.picture()}
        sliders = panel.visible("input[type=range]")
        for k, slider in enumerate(sliders):
            for key in ("Home", "End", "ArrowLeft"):
                slider.press(key)
                notebook.wait_until_idle()
                stands(f"slider {k}, {key}")
            pictures.add(panel.picture())
        for chooser in panel.visible("select"):
            chooser.select_option(index=chooser.locator("option").count() - 1)
            notebook.wait_until_idle()
            stands("a list")
        panel.click("Reset")
        for handle in panel.handles():
            for way in (30, -60):
                drag(handle, way, way)
                notebook.wait_until_idle()
                stands("a handle")
        panel.click("Reset")
        notebook.wait_until_idle()
        stands("reset")
        assert len(pictures) > 1 and len(pictures) > len(sliders) // 2
    assert notebook.console_errors == []
