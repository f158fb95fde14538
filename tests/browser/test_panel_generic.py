"""One small panel in a real JupyterLab: what the notebook's page and kernel have to do with it."""

import pytest
from lab import write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.full]

PANEL = """
import numpy as np
from course_utils.widgets.controls import bars, slider
from course_utils.widgets.panel import Panel
from course_utils.widgets.scene import Axis, Handle, Line, Plot, Scene

x = np.linspace(0, 10, 400)
wave = Plot("a wave", Axis(0, 10, "position x (km)"), Axis(-3, 3), [
    Line(x, "wave"), Handle("shift", x="shift", kind="rule")])

def compute(shift, gains):
    if shift > 9:
        raise ValueError("beyond <nine>")
    y = (1 + sum(gains)) * np.sin(x - shift)
    return {"shift": shift, "peak": float(abs(y).max())}, {"wave": y}

controls = {"shift": slider("shift of the wave", 0.0, 10.0, 0.01, 2.0, "km"),
            "gains": bars([0, 5], -1, 1, 0.1, 0, "gain", "log-SNR")}
panel = Panel(Scene([[wave]], height=200, alt="A wave."), compute, controls,
              formats={"shift": "shift {:.2f} km"}, headline="peak {peak:.3f}", shown=("shift",))
panel
"""
AGAIN = "import ipywidgets\nipywidgets.VBox([panel])"


def seen(page, index=0):
    """Return headline and numbers of a panel on the page."""
    root = page.locator(".won-panel").nth(index)
    return root.locator(".won-headline").inner_text(), root.locator(".won-numbers td").inner_text()


def wait(page, condition, what):
    for _ in range(500):
        if condition():
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"waited in vain for {what}")


def test_a_panel_in_jupyterlab(open_notebook, tmp_path):
    notebook = open_notebook(write_notebook(tmp_path / "panel.ipynb", [PANEL, AGAIN]))
    notebook.run_all()
    page = notebook.page
    page.locator(".won-panel").nth(1).wait_for()
    assert seen(page) == seen(page, 1) == ("peak 1.000", "2.00 km")

    handle = page.locator(".won-handle").first  # by mouse
    box = handle.locator(".won-grip").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(1, 11):
        page.mouse.move(x + 12 * i, y)
    page.mouse.up()
    wait(page, lambda: seen(page)[1] != "2.00 km", "the drag")
    notebook.wait_until_idle()
    shift = float(notebook.execute("print(panel.values['shift'])"))
    for index in (0, 1):  # both views follow
        wait(page, lambda: seen(page, index)[1] == f"{shift:.2f} km", "the drag's end")  # noqa: B023

    # keys reach the control, and none of JupyterLab's commands
    cells = page.locator(".jp-Cell").count()
    for node in (handle, page.locator("[data-control=gains] input").first):
        for key in ("a", "b", "d", "d", "ArrowUp"):
            node.press(key)
    wait(page, lambda: seen(page)[0] != "peak 1.000", "the keys")
    notebook.wait_until_idle()
    assert page.locator(".jp-Cell").count() == cells
    peak, gain = notebook.execute("print(panel.results['peak'], panel.values['gains'][0])").split()
    assert gain == "0.1" and seen(page)[0] == f"peak {float(peak):.3f}"

    # what another cell sets is shown; what fails is said
    notebook.execute("panel.set(shift=3.0, gains=(0, 0))")
    wait(page, lambda: seen(page)[1] == "3.00 km", "what a cell has set")
    handle.press("End")
    alert = page.locator(".won-alert").first
    wait(page, lambda: alert.inner_text().startswith("ValueError: beyond <nine>"), "the error")
    assert seen(page)[1] == "3.00 km"
    page.get_by_role("button", name="Reset").first.click()
    wait(page, lambda: alert.inner_text() == "" and seen(page)[1] == "2.00 km", "the reset")
    assert notebook.console_errors == []

    # the kernel starts anew under the panel: said, the picture stays, the cell brings it back
    notebook.start("notebook:restart-kernel")
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    page.wait_for_timeout(3000)
    handle.press("ArrowRight")
    wait(page, lambda: "No answer from Python" in alert.inner_text(), "words about the kernel")
    assert seen(page)[1] == "2.00 km"
    notebook.run_all()
    wait(page, lambda: page.locator(".won-alert").first.inner_text() == "", "a new panel")
    page.locator(".won-handle").first.press("ArrowRight")
    wait(page, lambda: seen(page)[1] == "2.01 km", "the new panel to move")
