"""Every panel in JupyterLab under Chromium, beside a bare round trip and plain ``interact``.

All in one run and in turns: a step of a slider of the panel, a step of a bare slider whose number
goes to Python and comes back, and, less often, a step of ``interact`` with the panel's own still
drawn anew. Times go from the event to the painted frame. Aims for a panel whose arithmetic is
Python's: p95 within 1.25 and median within 1.15 times the bare round trip and its own arithmetic,
and in a drag 0.8 of the pictures that bare round trips would give; for the instrument, p95 within a
frame, 16.7 ms.
"""

import contextlib
import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from lab import Notebook, jupyterlab, write_notebook
from panel_driving import PANELS
from serving import ROOT, chromium

ROUNDS, SECONDS = 40, 3.0
LOCAL = ("weighting", "sum_of_elbos")  # the instrument computes where it is shown
SLIDER = {"chain": "time", "sde_limit": "t", "retraining": "shift", "weighting": "shift"}
BARE = '''
import anywidget, traitlets

class Bare(anywidget.AnyWidget):
    _esm = """export default { render({ model, el }) {
        el.className = "bare";
        el.innerHTML = "<input type=range max=1000><span></span>";
        model.on("change:n", () => { el.lastChild.textContent = model.get("n"); window.came?.(); });
        el.firstChild.oninput = () => model.send({ n: Number(el.firstChild.value) });
    } }"""
    n = traitlets.Int(0).tag(sync=True)

    def __init__(self):
        super().__init__()
        self.on_msg(lambda _, message, buffers: setattr(self, "n", message["n"]))

Bare()
'''
# The panel's own arithmetic is timed at the very movements of the browser.
PANEL = """
import json, time
began = time.time()
from course_utils.panels import NAME
panel, own = NAME.panel(), []

def timed(compute=panel._compute, **values):
    start = time.perf_counter()
    try:
        return compute(**values)
    finally:
        own.append(1000 * (time.perf_counter() - start))

panel._compute = timed
panel
"""
INTERACT = """
%matplotlib inline
import ipywidgets
from course_utils.widgets import still

def whole(value):
    numbers, arrays = panel._compute(**panel.values)
    display(still.figure(panel.scene, panel.values | numbers | arrays))

ipywidgets.interact(whole, value=(0, 100))
"""
# When the first picture has been painted: with values, and with a width.
FIRST = """() => new MutationObserver((_, observer) => {
    const picture = document.querySelector(".won-picture")?.picture;
    if (!picture?.values || !picture.width) return;
    observer.disconnect();
    requestAnimationFrame(() => { window.first = Date.now() / 1000; });
}).observe(document.body, { subtree: true, childList: true, attributes: true })"""
MEASURE, WATCH = (
    Path(__file__).with_name(n).read_text("utf-8") for n in ("measure.js", "watch.js")
)


def before(name):
    """Return the code that a reader has run when the notebook comes to this panel."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
        for i, cell in enumerate(cells):
            if f"panels import {name}" in cell:
                return "\n".join(cells[:i])
    raise LookupError(f"no notebook shows {name}")


def measure(notebook, name):
    """Return {"panel", "bare", "interact", "own": ms}, and pictures and round trips a second."""
    page = notebook.page
    page.locator(".bare").wait_for(state="attached")
    page.wait_for_timeout(1000)
    told = {"name": SLIDER.get(name), "rounds": ROUNDS, "seconds": SECONDS}
    found = page.evaluate(MEASURE, told)
    # of the turns alone: the drag after them goes over the same values, some of which are kept
    own = json.loads(notebook.execute("print(json.dumps(own))"))[:ROUNDS]
    page.evaluate(WATCH)
    handle = page.locator(".jp-Cell").nth(2).locator(".noUi-handle")
    for i in range(6):
        handle.press("ArrowRight")
        page.wait_for_function("n => window.interactive.length > n", arg=i)
        page.wait_for_timeout(200)
    taken = found["taken"] | {"interact": page.evaluate("window.interactive"), "own": own or [0]}
    return {kind: np.array(ms[1:] or ms) for kind, ms in taken.items()}, found["rates"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What is measured of each panel."""
    home, rows, shown = tmp_path_factory.mktemp("lab"), {}, {}
    with chromium(height=2600) as context, jupyterlab(home) as address:
        for name in PANELS:
            cells = [BARE, PANEL.replace("NAME", name), INTERACT]
            path = write_notebook(home / f"{name}.ipynb", cells)
            with contextlib.closing(Notebook(context, address, home, path)) as notebook:
                notebook.execute(before(name))
                notebook.page.evaluate(FIRST)
                notebook.run_all(seconds=240)
                rows[name] = measure(notebook, name)
                began = float(notebook.execute("print(began)"))
                shown[name] = notebook.page.evaluate("window.first") - began
    return rows, shown


def test_every_panel_beside_round_trip_and_interact(measured, capsys, speed):
    lines, shares, medians, kept, sooner = [""], {}, {}, {}, {}
    rows, shown = measured
    for name, (taken, rates) in rows.items():
        p50, p95 = ({k: np.percentile(v, q) for k, v in taken.items()} for q in (50, 95))
        columns = "".join(f"{kind} {p50[kind]:.1f} / {p95[kind]:.1f}, " for kind in taken)
        rate = f"in a drag {rates['panel']:.0f} pictures a second, {rates['bare']:.0f} round trips"
        lines.append(f"{name:<16}ms, median / p95: {columns}{rate}")
        lines[-1] += f"; first picture after {shown[name]:.2f} s"
        sooner[name] = p50["interact"] / p50["panel"]
        if name not in LOCAL:
            shares[name] = p95["panel"] / (p95["bare"] + p95["own"])
            medians[name] = p50["panel"] / (p50["bare"] + p50["own"])
            kept[name] = rates["panel"] / rates["bare"]
    with capsys.disabled():
        print("\n".join(lines))
    how = f"{ROUNDS} steps on a slider of each, in turns"
    beside = "a bare round trip and the panel's own arithmetic"
    words = "panels whose arithmetic is Python's: from a slider's step to the painted frame, "
    speed(words + "p95", beside, list(shares.values()), f"{how}; aim 1.25", "times as long")
    speed(words + "median", beside, list(medians.values()), f"{how}; aim 1.15", "times as long")
    rate = "pictures a second in a drag"
    speed(rate, "bare round trips a second", list(kept.values()), "aim 0.8", "times as many")
    same = "`interact`, the same still"
    speed("all panels, median", same, list(sooner.values()), how, "times sooner")
    local = [np.percentile(rows[name][0]["panel"], 95) / 16.7 for name in LOCAL]
    speed("the instrument, p95", "a frame of 16.7 ms", local, how, "times as long")
    words = "a panel's first picture, after its notebook's cell starts"
    speed(words, "one second", list(shown.values()), "after the cells before it; aim 1", "s")
