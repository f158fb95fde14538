"""What else a reader does to panels: one in two places, while a cell works, after a restart.

Every panel here is the course's own, in JupyterLab started as `make lab` starts it.
"""

import pytest
from lab import Notebook, jupyterlab, write_notebook
from panel_page import drag

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
INSTRUMENT = """from course_utils.panels import sum_of_elbos
panel = sum_of_elbos.panel()
panel"""


def test_two_views_the_keys_and_a_kernel_that_starts_anew(open_notebook, tmp_path):
    cells = [CHAIN, "import ipywidgets\nipywidgets.VBox([chain_panel])"]
    notebook = open_notebook(write_notebook(tmp_path / "views.ipynb", cells))
    notebook.run_all()
    page, panels = notebook.page, [notebook.panel(0), notebook.panel(1)]

    def both_show(time):
        for panel in panels:
            panel.wait(lambda p=panel: float(p.input("time").input_value()) == time, time)
        assert panels[0].readout() == panels[1].readout()

    number = page.locator(".jp-Cell").count()
    for key in ("a", "b", "d", "d", "ArrowRight"):  # none of them is a command of JupyterLab
        panels[0].input("time").press(key)
    notebook.wait_until_idle()
    both_show(float(notebook.execute("print(chain_panel.values['time'])")))
    assert page.locator(".jp-Cell").count() == number
    notebook.execute("chain_panel.set(time=0.9)")
    both_show(0.9)
    notebook.start("notebook:restart-kernel")
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    page.wait_for_timeout(3000)
    panels[0].input("time").press("ArrowRight")
    panels[0].wait(lambda: "No answer from Python" in panels[0].error(), "words about the kernel")
    notebook.run_all()
    panel = notebook.panel()
    before = panel.readout()
    panel.input("time").press("ArrowRight")
    panel.wait(lambda: panel.readout() != before, "the new panel to move")


def test_kernel_panel_moved_while_a_cell_blocks(open_notebook, tmp_path):
    """Sliders wait for the cell; then the last value is drawn, and no queue of stale states."""
    cells = [CHAIN, "import time\ntime.sleep(3)"]
    notebook = open_notebook(write_notebook(tmp_path / "blocked.ipynb", cells))
    notebook.run_all()
    panel = notebook.panel()
    old = panel.readout()
    notebook.page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    notebook.start("notebook:run-cell")
    for _ in range(30):
        panel.input("time").press("ArrowRight")
    assert panel.readout() == old
    notebook.wait_until_idle()
    panel.wait(lambda: panel.readout() != old, "the last value")
    notebook.wait_until_idle()
    said = notebook.execute("print(chain_panel.values['time'], asked, chain_panel.error)").split()
    assert said[0] == "0.4" and int(said[1]) <= 3 and said[2] == "None"
    assert notebook.console_errors == []


def test_the_instrument_and_python_hold_the_same(open_notebook, tmp_path):
    """The curve pulled; a galaxy whose curve must be fetched; a weighting assigned."""
    notebook = open_notebook(write_notebook(tmp_path / "instrument.ipynb", [INSTRUMENT]))
    notebook.run_all()
    panel, seen = notebook.panel(), {"0.948189 = 0.948189 nats"}
    drag(panel.root.locator(".won-handle[data-control=gains]").nth(4), 0, -30)
    notebook.page.wait_for_timeout(300)
    for code in (
        "",
        "panel.set(galaxy=17, model='wrong')",
        "panel.reset(); panel.weighting = lambda s: 1 / (1 + s**2)",
    ):
        notebook.execute(code)
        headline = notebook.execute("print(panel.headline.format(**panel.results))").strip()
        panel.wait(lambda h=headline: panel.readout()["headline"] == h, headline)
        seen.add(headline)
    assert len(seen) == 4


def test_reopened_with_saved_outputs_and_another_server(open_notebook, browser_context, tmp_path):
    """A notebook that the reader ran and saved: the next day a picture, no blank and no error."""
    notebook = open_notebook(write_notebook(tmp_path / "saved.ipynb", [INSTRUMENT]))
    notebook.run_all()
    notebook.panel()
    notebook.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
    with jupyterlab(tmp_path) as address:
        reopened = Notebook(browser_context, address, tmp_path, notebook.path)
        reopened.sees_pictures(cells=[0])
        reopened.close()
