"""One small panel in a real JupyterLab, moved by mouse and keyboard."""

import pytest
from lab import drag, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.full]

PANEL = """
import numpy as np
from matplotlib.figure import Figure
from course_utils.widgets.old_controls import Equaliser, choice, slider, switch
from course_utils.widgets.old_panel import Panel

figure = Figure((9, 4), layout="constrained")
axes = figure.subplots()
axes.set(xlim=(0, 10), ylim=(-3, 3), xlabel="position x (km)", ylabel="height (m)")
x = np.linspace(0, 10, 400)
(line,) = axes.plot(x, x, animated=True)

def update(shift, waves, kind, gains, dashed):
    line.set_ydata((1 + sum(gains)) * getattr(np, kind)(waves * (x - shift)))
    line.set_linestyle("--" if dashed else "-")
    if shift > 9:
        raise ValueError("beyond <nine>")
    return {"shift": shift, "slope": 1 / 3, "waves": waves}

controls = {
    "shift": slider("shift of the wave", 0, 10, 0.01, 2, unit="km"),
    "waves": slider("number of waves", 1, 9, 1, 3),
    "kind": choice("shape", ["sin", "cos"]),
    "gains": Equaliser([-10, -5, 0, 5, 10], -1, 1, 0.1, 0, label="gain", unit="log-SNR"),
    "dashed": switch("dashed line"),
}
panel = Panel(figure, update, controls, alt="A wave that can be shifted. " * 8,
              formats={"shift": "shift {:.2f} km"}, presets={"slow": {"waves": 1, "kind": "cos"}})
panel
"""


def test_mouse_keyboard_reset_preset_and_error(open_notebook, tmp_path):
    notebook = open_notebook(write_notebook(tmp_path / "panel.ipynb", [PANEL]))
    notebook.run_all()
    panel = notebook.panel()
    assert panel.shown_size() == (1800, 800, 900, 400)
    assert panel.numbers() == "shift 2.00 km · slope 0.3333 · waves 3"
    assert panel.labels_cut_off() == []
    titled = panel.root.locator("[title=null]:visible").evaluate_all(
        "all => all.map(e => e.outerHTML)"
    )
    assert titled == []
    start = panel.picture()

    drag(panel.handle("shift of the wave (km)"), to=0.5)
    dragged = panel.wait_for_new_picture(start)
    panel.wait_until(lambda: 4.5 < shift_of(panel) < 5.5, "the shift at the end of the drag")

    before = shift_of(panel)
    panel.press("shift of the wave (km)", times=3)
    panel.wait_until(lambda: abs(shift_of(panel) - before - 0.03) < 1e-9, "three steps by keyboard")
    stepped = panel.wait_for_new_picture(dragged)

    assert panel.chosen("preset") == "custom"
    panel.list("preset").select_option("slow")
    panel.wait_until(lambda: panel.numbers().endswith("waves 1"), "the preset")
    slow = panel.wait_for_new_picture(stepped)

    panel.press("shift of the wave (km)", "End")
    panel.wait_until(lambda: panel.error() != "", "the error")
    assert panel.error().startswith("ValueError: beyond <nine> (at shift = 10.0, waves = 1,")
    assert panel.picture() == slow  # the last good one
    assert "waves 1" in panel.numbers()
    assert panel.chosen("preset") == "slow"

    panel.click("Reset")
    panel.wait_until(lambda: panel.numbers() == "shift 2.00 km · slope 0.3333 · waves 3", "reset")
    panel.wait_until(lambda: panel.error() == "", "the error to go")
    panel.wait_until(lambda: panel.picture() == start, "the first picture")
    assert panel.chosen("preset") == "custom"

    panel.press("0", "ArrowUp", times=2)  # a bar of the equaliser
    panel.wait_for_new_picture(start)
    assert notebook.console_errors == []


def test_a_panel_fits_a_narrow_window_and_another_widget(open_notebook, tmp_path):
    cells = [PANEL.removesuffix("panel\n") + "import ipywidgets\nipywidgets.VBox([panel])"]
    notebook = open_notebook(write_notebook(tmp_path / "narrow.ipynb", cells))
    notebook.run_all()
    panel = notebook.panel()
    whole = panel.root.evaluate("root => root.clientWidth")
    panel.root.evaluate("root => { root.style.maxWidth = '390px'; }")
    panel.wait_until(lambda: panel.shown_size()[2] < 400, "a narrow picture")
    assert 340 <= panel.shown_size()[2] <= 390 < whole
    assert panel.labels_cut_off() == []


def shift_of(panel):
    return float(panel.numbers().split()[1])
