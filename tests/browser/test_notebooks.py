"""The committed notebooks in JupyterLab: a picture before they run, and a panel that moves then."""

import nbformat
import pytest
from serving import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
VIEW = "application/vnd.jupyter.widget-view+json"

pytestmark = [pytest.mark.browser, pytest.mark.full]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_panel_is_a_picture_before_it_runs_and_then_moves(path, open_notebook):
    cells = nbformat.read(path, as_version=4).cells
    outputs = [[each.get("data", {}) for each in cell.get("outputs", [])] for cell in cells]
    panels = [place for place, shown in enumerate(outputs) if any(VIEW in data for data in shown)]
    notebook = open_notebook(path)
    notebook.sees_pictures(panels)
    notebook.run_all(seconds=300)
    for index in range(len(panels)):
        panel = notebook.panel(index)
        panel.unfold()
        assert panel.cut_off() == []
        panel.moves()
        notebook.wait_until_idle()
        panel.wait(lambda panel=panel: panel.error() == "", "no error")
    assert notebook.console_errors == []
