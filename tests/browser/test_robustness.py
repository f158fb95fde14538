"""What else a reader does to panels: two at once, one while a cell works, one after a restart.

Every panel here is the course's own, in JupyterLab started as `make lab` starts it.
"""

import time

import pytest
from lab import Notebook, jupyterlab, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.full]

TWO_PANELS = [
    "from course_utils.panels import sum_of_elbos, weighting\nfirst = weighting.panel()\nfirst",
    "second = sum_of_elbos.panel()\nsecond",
]
SHIFT = "shift along λ"

# The panel's picture is the one that a new panel, only ever at these values, would show.
AS_FROM_SCRATCH = """
import numpy as np
for module, panel in ((weighting, first), (sum_of_elbos, second)):
    fresh = module.picture(**panel.values)
    difference = np.abs(np.asarray(fresh, int) - np.asarray(panel.picture, int))
    print(panel.error, difference.max() <= 2, round(panel.values["shift"], 6))
"""
COUNT_PICTURES = """
image => {
    window.sources = [];
    new MutationObserver(() => window.sources.push(image.src)).observe(
        image, { attributes: true, attributeFilter: ["src"] });
}
"""


def wait_for_shift(panel, value):
    """Wait until the slider in the page reads this value."""
    panel.wait_until(
        lambda: abs(float(panel.handle(SHIFT).get_attribute("aria-valuenow")) - value) < 1e-6,
        "the slider's last value",
    )


def test_two_panels_moved_at_once(open_notebook, tmp_path):
    notebook = open_notebook(write_notebook(tmp_path / "two.ipynb", TWO_PANELS))
    notebook.run_all(seconds=120)
    first, second = notebook.panel(0), notebook.panel(1)
    for _ in range(20):
        first.press(SHIFT, "ArrowRight")
        second.press(SHIFT, "ArrowLeft")
    wait_for_shift(first, 2.0)
    wait_for_shift(second, -2.0)
    notebook.wait_until_idle()
    lines = notebook.execute(AS_FROM_SCRATCH).splitlines()
    assert lines == ["None True 2.0", "None True -2.0"]
    assert notebook.console_errors == []


def test_panel_moved_while_a_cell_blocks(open_notebook, tmp_path):
    """Sliders wait for the cell; then the last value is drawn, and no queue of stale pictures."""
    cells = [TWO_PANELS[0], "import time\ntime.sleep(3)"]
    notebook = open_notebook(write_notebook(tmp_path / "blocked.ipynb", cells))
    notebook.run_all()
    panel = notebook.panel()
    panel.image.evaluate(COUNT_PICTURES)
    old = panel.picture()
    notebook.page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 1")
    notebook.start("notebook:run-cell")
    panel.press(SHIFT, times=30)
    assert panel.picture() == old
    notebook.wait_until_idle()
    wait_for_shift(panel, 3.0)
    panel.wait_for_new_picture(old)
    assert notebook.execute("print(round(first.values['shift'], 6), first.error)") == "3.0 None\n"
    # the first movement, the last one, and the last one sharp
    assert notebook.page.evaluate("() => sources.length") <= 4
    assert notebook.console_errors == []


def test_kernel_restarted_under_an_open_panel(open_notebook, tmp_path):
    """Picture and numbers stay, marked as cut off; running the cell again brings the panel back."""
    notebook = open_notebook(write_notebook(tmp_path / "restart.ipynb", TWO_PANELS[:1]))
    notebook.run_all()
    panel, cut_off = notebook.panel(), notebook.page.locator(".jupyter-widgets-disconnected")
    old, numbers = panel.picture(), panel.numbers()
    assert cut_off.count() == 0
    notebook.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    notebook.wait_until_idle()
    cut_off.first.wait_for()
    panel.press(SHIFT, times=3)
    notebook.page.wait_for_timeout(1000)
    assert panel.picture() == old and panel.numbers() == numbers
    notebook.run_all()
    panel = notebook.panel()
    assert panel.picture() == old
    panel.press(SHIFT, times=3)
    panel.wait_for_new_picture(old)
    assert cut_off.count() == 0


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
