"""The live panel beside plain ``interact``, ipympl and plotly, in one run: kernel and browser.

Times are printed, not asserted: they belong to the machine. The ratios are what to look at.
"""

import json
from importlib.util import find_spec

import numpy as np
import probe
import pytest
from jupyter_client.manager import start_new_kernel
from lab import Notebook, chromium, jupyterlab, write_notebook

pytestmark = pytest.mark.benchmark

# 900×400 CSS pixels, three axes, eight lines of 400 points.
FIGURE = """
%matplotlib inline
import time
import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from course_utils.widgets.live import Panel, slider

x = np.linspace(-10, 10, 400)

def draw(figure, animated):
    lines = []
    for axes, count in zip(figure.subplots(1, 3), (3, 3, 2)):
        axes.set(xlim=(-10, 10), ylim=(-1.5, 1.5), xlabel="log-SNR", ylabel="weight", title="w")
        for i in range(count):
            lines += axes.plot(x, np.sin(x + i), animated=animated)
    return lines

def move(lines, shift):
    for i, line in enumerate(lines):
        line.set_ydata(np.sin(x + i + shift))
"""
INTERACT = """
def fresh(shift):
    move(draw(plt.figure(figsize=(9, 4), dpi=100), animated=False), shift)
    plt.show()

plain = ipywidgets.interactive(fresh, shift=slider("shift", 0, 6, 0.01, 1))
display(plain)
"""
PANEL = """
figure = Figure((9, 4))
lines = draw(figure, animated=True)

def update(shift):
    move(lines, shift)
    return {"shift": shift}

panel = Panel(figure, update, {"shift": slider("shift", 0, 6, 0.01, 1)}, alt="Eight waves.")
panel
"""
ROUND_TRIP = """
bare, echo = slider("shift", 0, 6, 0.01, 1), ipywidgets.HTML("1")
bare.observe(lambda change: setattr(echo, "value", f"{change['new']:.2f}"), "value")
ipywidgets.VBox([bare, echo])
"""
TIME = """
def milliseconds(control, repeats):
    taken = []
    for shift in np.linspace(0.5, 5.5, repeats):
        start = time.perf_counter()
        control.value = float(shift)
        taken.append(1000 * (time.perf_counter() - start))
    return taken

import json
sliders = {"interact": plain.children[0], "panel": panel.controls["shift"], "round trip": bare}
# In turns, so that a busy spell of the machine strikes all.
times = {name: [] for name in sliders}
for _ in range(4):
    for name, control in sliders.items():
        times[name] += milliseconds(control, 8)
json.dumps(times)
"""
IPYMPL = """
from ipympl.backend_nbagg import Canvas, FigureManager
theirs = Figure((9, 4), dpi=100)
canvas = Canvas(theirs)
manager = FigureManager(canvas, 0)
theirs_lines = draw(theirs, animated=False)
theirs_slider = slider("shift", 0, 6, 0.01, 1)

def redraw(change):
    move(theirs_lines, change["new"])
    canvas.draw_idle()

theirs_slider.observe(redraw, "value")
ipywidgets.VBox([theirs_slider, canvas])
"""
PLOTLY = """
import plotly.graph_objects as go
from plotly.subplots import make_subplots
plot = go.FigureWidget(make_subplots(1, 3))
plot.update_layout(width=900, height=400, showlegend=False)
plot.update_yaxes(range=[-1.5, 1.5])
for column, count in ((1, 3), (2, 3), (3, 2)):
    for i in range(count):
        plot.add_scatter(x=x, y=np.sin(x + i), mode="lines", row=1, col=column)

def replot(change):
    with plot.batch_update():
        for trace, i in zip(plot.data, (0, 1, 2, 0, 1, 2, 0, 1)):
            trace.y = np.sin(x + i + change["new"])

plot_slider = slider("shift", 0, 6, 0.01, 1)
plot_slider.observe(replot, "value")
ipywidgets.VBox([plot_slider, plot])
"""


def in_kernel() -> dict[str, np.ndarray]:
    """Return the milliseconds that each movement takes in a kernel, front end not counted."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        found = []

        def keep(message):
            content = message["content"]
            if message["msg_type"] == "error":
                raise RuntimeError("\n".join(content["traceback"]))
            if message["msg_type"] == "execute_result":
                found.append(content["data"]["text/plain"])

        for cell in (FIGURE, INTERACT, PANEL, ROUND_TRIP, TIME):
            client.execute_interactive(cell, output_hook=keep, timeout=120)
        times = json.loads(found[-1].strip("'"))
        return {name: np.array(values) for name, values in times.items()}
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def handle_and_area(notebook, cell, watched):
    """The slider in a cell's output, and the element that its movement changes."""
    output = notebook.page.locator(".jp-Cell").nth(cell).locator(".jp-Cell-outputArea")
    area = output.locator(watched).first
    area.wait_for(state="attached")
    return output.locator(".noUi-handle").first, area


def in_browser(notebook, rows, steps, seconds):
    """Return the latencies of steps by keyboard, [steps], taken in turns, and the drags."""
    places = {
        name: (*handle_and_area(notebook, cell, watched), what)
        for name, (cell, watched, what) in rows.items()
    }
    latencies, drags = {name: [] for name in rows}, {}
    for _ in range(steps + 2):
        for name, (handle, area, what) in places.items():
            probe.install(area, pictures=what == "picture")
            latencies[name].append(probe.step_latency(handle))
    for name, (handle, area, what) in places.items():
        probe.install(area, pictures=what == "picture")
        drags[name] = probe.drag(handle, seconds)
    return {name: np.array(taken[2:]) for name, taken in latencies.items()}, drags


def test_panel_beside_others(tmp_path, capsys, speed):
    kernel = in_kernel()
    cells = {"": FIGURE, "interact": INTERACT, "panel": PANEL, "round trip": ROUND_TRIP}
    rows = {
        "interact": (1, ".widget-output, .jp-OutputArea", "picture"),
        "panel": (2, "img.widget-image", "picture"),
        "round trip": (3, ".widget-html-content", "text"),
    }
    for name, cell, watched in (
        ("ipympl", IPYMPL, ".jupyter-matplotlib"),
        ("plotly", PLOTLY, ".plotly-graph-div, .js-plotly-plot"),
    ):
        if find_spec(name):
            rows[name] = (len(cells), watched, "picture")
            cells[name] = cell
    original = write_notebook(tmp_path / "bench.ipynb", list(cells.values()))
    with chromium(height=2400) as context, jupyterlab(tmp_path / "lab") as address:
        notebook = Notebook(context, address, tmp_path / "lab", original)
        notebook.run_all()
        latency, drags = in_browser(notebook, rows, steps=25, seconds=4)
        notebook.close()

    with capsys.disabled():
        print(
            "\n\n            in the kernel, ms    step → picture, ms    in a drag: pictures    lag"
        )
        print("              median     p95        median     p95        a second         ms")
        for name in rows:
            inside = np.percentile(kernel.get(name, [np.nan]), [50, 95])
            outside = np.percentile(latency[name], [50, 95])
            print(
                f"{name:<11}{inside[0]:9.1f}{inside[1]:8.1f}{outside[0]:14.0f}{outside[1]:8.0f}"
                f"{drags[name].rate:16.1f}{drags[name].lag:15.0f}"
            )
    panel = latency["panel"]
    speed(
        "one movement of a live panel, in the kernel",
        "`interact`, same figure",
        kernel["interact"] / kernel["panel"],
        f"32 movements of each in turns; {np.median(kernel['panel']):.0f} ms",
        "times faster",
    )
    for name in ("interact", "ipympl", "plotly"):
        if name in latency:
            speed(
                "from the step of a slider to the painted picture, Chromium",
                name,
                latency[name] / panel,
                f"25 steps of each in turns; {np.median(panel):.0f} ms, a bare round trip to the "
                f"kernel {np.median(latency['round trip']):.0f} ms",
                "times sooner",
            )
            speed(
                "pictures per second in a drag",
                name,
                drags["panel"].rate / drags[name].rate,
                f"4 s each; {drags['panel'].rate:.0f} a second",
                "times as many",
            )
    assert all(drag.rate > 0 for drag in drags.values())  # each was really measured
