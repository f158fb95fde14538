"""What else a reader does to panels: two at once, one while a cell works, one after a restart.

Every panel here is the course's own, in JupyterLab started as `make lab` starts it.
"""

import time

import pytest
from lab import Notebook, jupyterlab, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.full]

CHAIN = """from course_utils.panels import chain
chain_panel, asked = chain.panel(), 0
compute = chain_panel._compute

def counted(**values):
    global asked
    asked += 1
    return compute(**values)

chain_panel._compute = counted
chain_panel"""
TWO_PANELS = [
    "from course_utils.panels import sum_of_elbos, weighting\nfirst = weighting.panel()\nfirst",
    "second = sum_of_elbos.panel()\nsecond",
]


def test_kernel_panel_moved_while_a_cell_blocks(open_notebook, tmp_path):
    """Sliders wait for the cell; then the last value is drawn, and no queue of stale states."""
    cells = [CHAIN, "import time\ntime.sleep(3)"]
    notebook = open_notebook(write_notebook(tmp_path / "blocked.ipynb", cells))
    notebook.run_all()
    panel = notebook.panel()
    old = panel.numbers()
    notebook.page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    notebook.start("notebook:run-cell")
    panel.press("time", times=30)
    assert panel.numbers() == old
    notebook.wait_until_idle()
    panel.wait_until(lambda: panel.numbers() != old, "the last value")
    notebook.wait_until_idle()
    said = notebook.execute("print(chain_panel.values['time'], asked, chain_panel.error)").split()
    assert said[0] == "0.4" and int(said[1]) <= 3 and said[2] == "None"
    assert notebook.console_errors == []


def test_reopened_with_saved_outputs_and_another_server(browser_context, tmp_path):
    """A notebook that the reader ran and saved: the next day a picture, no blank and no error."""
    home, saved = tmp_path / "lab", tmp_path / "lab/work/saved.ipynb"
    home.mkdir()
    with jupyterlab(home) as address:
        original = write_notebook(tmp_path / saved.name, TWO_PANELS)
        notebook = Notebook(browser_context, address, home, original)
        notebook.run_all(seconds=120)
        notebook.panel(1)
        notebook.start("docmanager:save")
        limit = time.monotonic() + 20
        while "image/png" not in saved.read_text() and time.monotonic() < limit:
            notebook.page.wait_for_timeout(50)
        notebook.close()
    with jupyterlab(home) as address:
        notebook = Notebook(browser_context, address, home, saved)
        notebook.sees_pictures(cells=[0, 1])
        notebook.close()
