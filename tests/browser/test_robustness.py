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

TRAINING = """
import numpy as np, threading
from course_utils.datasets import digits
from course_utils.training.networks import Recipe, train
from course_utils.weightings import sigmoid

done = []

def work():
    done.append(train(digits()[0], sigmoid(2), seed=0, recipe=Recipe(n_steps=STEPS, width=128)))
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
    handle = panel.handle(SHIFT)
    panel.wait_until(
        lambda: abs(float(handle.get_attribute("aria-valuenow")) - value) < 1e-6,
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
    for name, panel in (("first", first), ("second", second)):
        panel.wait_until(
            lambda panel=panel, name=name: (
                panel.picture().hex()
                == notebook.execute(f"print({name}._image.value.hex())").strip()
            ),
            "the browser to show what the kernel holds",
        )
    assert notebook.console_errors == []


def test_panel_moved_while_a_thread_trains(open_notebook, tmp_path):
    """The panel answers before training ends, and training ends where it would have undisturbed."""
    cells = [TWO_PANELS[0], TRAINING.replace("STEPS", "800"), "work()", "second = first"]
    notebook = open_notebook(write_notebook(tmp_path / "thread.ipynb", cells))
    notebook.run_all(seconds=240)
    panel = notebook.panel()
    old = panel.picture()
    notebook.execute("thread = threading.Thread(target=work)\nthread.start()")
    panel.press(SHIFT, "ArrowRight", times=5)
    panel.wait_until(lambda: panel.picture() != old, "a new picture while training")
    assert notebook.execute("print(thread.is_alive())") == "True\n", "training ended too soon"
    wait_for_shift(panel, 0.5)
    notebook.execute("thread.join()")
    same = "print(np.array_equal(done[0].losses, done[1].losses), first.error)"
    assert notebook.execute(same) == "True None\n"
    assert notebook.console_errors == []


def test_panel_moved_while_a_cell_blocks(open_notebook, tmp_path):
    """Sliders wait for the cell; then the last value is drawn, and no queue of stale pictures."""
    cells = [TWO_PANELS[0], "import time\ntime.sleep(BUSY)".replace("BUSY", "3")]
    notebook = open_notebook(write_notebook(tmp_path / "blocked.ipynb", cells))
    notebook.run_all()
    panel = notebook.panel()
    panel.image.evaluate(COUNT_PICTURES)
    old = panel.picture()
    notebook.start_cell(1)
    panel.press(SHIFT, "ArrowRight", times=30)
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
    panel = notebook.panel()
    old, numbers = panel.picture(), panel.numbers()
    assert notebook.page.locator(".jupyter-widgets-disconnected").count() == 0
    notebook.restart_kernel()
    notebook.page.locator(".jupyter-widgets-disconnected").first.wait_for()
    panel.press(SHIFT, "ArrowRight", times=3)
    notebook.page.wait_for_timeout(1000)
    assert panel.picture() == old and panel.numbers() == numbers
    notebook.run_all()
    panel = notebook.panel()
    assert panel.picture() == old
    panel.press(SHIFT, "ArrowRight", times=3)
    assert panel.wait_for_new_picture(old) != old
    assert notebook.page.locator(".jupyter-widgets-disconnected").count() == 0


def test_reopened_with_saved_outputs_and_another_server(browser_context, tmp_path):
    """A notebook that the reader ran and saved: the next day a picture, no blank and no error."""
    home, name = tmp_path / "lab", "saved.ipynb"
    with jupyterlab(home) as address:
        original = write_notebook(tmp_path / name, TWO_PANELS)
        notebook = Notebook(browser_context, address, home, original)
        notebook.run_all(seconds=120)
        for index in range(2):
            notebook.panel(index)
        notebook.save()
        saved = home / "work" / name
        limit = time.monotonic() + 20
        while "image/png" not in saved.read_text() and time.monotonic() < limit:
            notebook.page.wait_for_timeout(50)
        notebook.close()
    with jupyterlab(home) as address:
        notebook = Notebook(browser_context, address, home, saved)
        outputs = notebook.page.locator(".jp-OutputArea-output")
        for index in range(2):
            picture = outputs.nth(index).locator("img")
            picture.wait_for()
            assert picture.evaluate("image => image.naturalWidth") > 0
        for words in ("Error displaying widget", "Loading widget"):
            assert outputs.get_by_text(words).count() == 0
        notebook.close()
