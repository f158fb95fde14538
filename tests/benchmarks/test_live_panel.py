"""The live panel beside plain ``interact``, in one run: in the kernel and in a browser.

Times are printed, not asserted: they belong to the machine. The ratios are what to look at.
"""

import json

import numpy as np
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
from course_utils.live import Panel, slider

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
WATCH = """
([area, what]) => {
    const seen = { moves: [], paints: [] };
    window.seen = seen;
    // After the frame in which it is painted; two changes in one frame count once.
    const painted = () => requestAnimationFrame(frame => setTimeout(() => {
        if (seen.frame !== frame) seen.paints.push(performance.now());
        seen.frame = frame;
    }));
    const picture = image => image.decode().then(painted, () => {});  // superseded: not shown
    new MutationObserver(records => {
        for (const { type, target, addedNodes } of records) {
            if (what !== "picture") painted();
            else if (type === "attributes") picture(target);
            else for (const node of addedNodes)
                if (node.querySelectorAll) {
                    if (node.matches("img")) picture(node);
                    node.querySelectorAll("img").forEach(picture);
                }
        }
    }).observe(area, {
        subtree: true, childList: true, characterData: true,
        attributes: true, attributeFilter: ["src"],
    });
    if (!window.listening) document.addEventListener("mousemove", event => {
        if (event.buttons) window.seen.moves.push(performance.now());
    }, true);
    window.listening = true;
}
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


def in_browser(notebook: Notebook, cell: int, watched: str, what: str, moves: int, seconds: float):
    """Return the latencies of single movements (ms) and the pictures a second of a drag."""
    page = notebook.page
    output = page.locator(".jp-Cell").nth(cell).locator(".jp-Cell-outputArea")
    handle = output.locator(".noUi-handle").first
    handle.scroll_into_view_if_needed()
    handle.press("Home")  # room to move
    page.wait_for_timeout(1000)
    page.evaluate(WATCH, [output.locator(watched).first.element_handle(), what])
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    page.mouse.move(x, y)
    page.mouse.down()
    latencies = []
    for i in range(1, moves + 1):
        page.evaluate("() => { seen.moves.length = seen.paints.length = 0; }")
        page.mouse.move(x + 2 * i, y)
        page.wait_for_function("() => seen.paints.length > 0")
        latencies.append(page.evaluate("() => seen.paints[0] - seen.moves[0]"))
        page.wait_for_timeout(150)  # let everything settle

    page.evaluate("() => { seen.moves.length = seen.paints.length = 0; }")
    start = page.evaluate("() => performance.now()")
    step, now = 0, start
    while now < start + 1000 * seconds:
        step += 1
        page.mouse.move(x + 60 + 50 * np.sin(step / 15), y)
        page.wait_for_timeout(8)
        now = page.evaluate("() => performance.now()")
    paints = np.array(page.evaluate("() => seen.paints"))
    page.mouse.up()
    page.wait_for_timeout(1500)
    return np.array(latencies), np.sum((paints > start) & (paints < now)) / (now - start) * 1000


def test_panel_beside_interact(tmp_path, capsys):
    kernel = in_kernel()
    cells = [FIGURE, INTERACT, PANEL, ROUND_TRIP]
    original = write_notebook(tmp_path / "bench.ipynb", cells)
    rows = {
        "interact": (1, ".widget-output, .jp-OutputArea", "picture", 15),
        "panel": (2, "img.widget-image", "picture", 40),
        "round trip": (3, ".widget-html-content", "text", 40),
    }
    browser = {}
    with chromium() as context, jupyterlab(tmp_path / "lab") as address:
        notebook = Notebook(context, address, tmp_path / "lab", original)
        notebook.run_all()
        for name, (cell, watched, what, moves) in rows.items():
            browser[name] = in_browser(notebook, cell, watched, what, moves, seconds=4)
        notebook.close()

    with capsys.disabled():
        print("\n\n            in the kernel, ms    movement → picture, ms    pictures per second")
        print("              median     p95        median     p95             in a drag")
        for name, (latency, rate) in browser.items():
            inside, outside = (
                np.percentile(kernel[name], [50, 95]),
                np.percentile(latency, [50, 95]),
            )
            print(
                f"{name:<11}{inside[0]:9.1f}{inside[1]:8.1f}"
                f"{outside[0]:14.0f}{outside[1]:8.0f}{rate:22.1f}"
            )
        inside = np.median(kernel["interact"]) / np.median(kernel["panel"])
        outside = np.median(browser["interact"][0]) / np.median(browser["panel"][0])
        rate = browser["panel"][1] / browser["interact"][1]
        print(f"{'gain':<11}{inside:8.1f}×{outside:21.1f}×{rate:29.1f}×")
    assert all(rate > 0 for _, rate in browser.values())  # each was really measured
