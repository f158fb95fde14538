"""JupyterLab in Chromium: start it, open a copy of a notebook, move a panel, look.

How a panel is found on a page, moved and read is known to ``PanelOnPage`` alone.
"""

import contextlib
import json
import os
import re
import shutil
import sys
import time
import urllib.request

import nbformat
from serving import HOST, ROOT, errors_of, free_ports, serving

TOKEN = "for-tests-only"
PATIENCE = 60  # seconds: a busy continuous-integration machine is slow


@contextlib.contextmanager
def jupyterlab(home):
    """Start JupyterLab, with the flags of `make lab`, on the folder ``home``/work.

    Yields its address. What an earlier server left in ``home`` is there again.
    """
    (home / "work").mkdir(exist_ok=True)
    settings = home / "settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    environment = {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }
    (port,) = free_ports(1)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", f"--ip={HOST}", f"--port={port}"),
        *("--port-retries=0", f"--IdentityProvider.token={TOKEN}"),
        *(f"--ServerApp.root_dir={home / 'work'}", "--LabApp.expose_app_in_browser=True"),
        *re.search(r"(?m)^LAB_FLAGS := (.*)$", makefile)[1].split(),
        *(["--allow-root"] if hasattr(os, "getuid") and os.getuid() == 0 else []),
    ]
    address = f"http://{HOST}:{port}"

    def answer(log):
        return urllib.request.urlopen(f"{address}/api/status?token={TOKEN}", timeout=5).read()

    with serving(command, answer, home, environment, PATIENCE):
        yield address


def write_notebook(path, cells):
    """Write a notebook of these code cells, for the kernel named python3."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)
    return path


HAS_KERNEL = """() => window.jupyterapp?.shell.currentWidget?.context?.isReady
    && window.jupyterapp.shell.currentWidget.sessionContext?.session?.kernel"""
EXECUTE = """
async code => {
    const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const future = kernel.requestExecute({ code });
    let text = "";
    future.onIOPub = ({ header, content }) => {
        if (header.msg_type === "stream") text += content.text;
        if (header.msg_type === "error") text += content.traceback.join("\\n");
    };
    const reply = await future.done;
    if (reply.content.status !== "ok") throw new Error(text);
    return text;
}
"""


def execute(page, code):
    """Run code in the page's kernel, in no cell; returns what it printed, raises if it failed."""
    return page.evaluate(EXECUTE, code)


class Notebook:
    """A notebook open in JupyterLab, always a copy: autosave must not touch the original."""

    def __init__(self, context, address, home, original):
        if original.parent != home / "work":
            shutil.copy(original, home / "work")
        self.page = context.new_page()
        self.console_errors = errors_of(self.page)
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.goto(f"{address}/lab/tree/{original.name}?token={TOKEN}&reset")
        self.page.wait_for_function(HAS_KERNEL)

    def start(self, command):
        """Carry out a command of JupyterLab, as from its menus, and do not wait for its end."""
        self.page.evaluate("name => { jupyterapp.commands.execute(name) }", command)

    def run_all(self, seconds=PATIENCE):
        """Run every cell and wait until the kernel is idle; a cell that fails raises."""
        self.page.evaluate("() => jupyterapp.commands.execute('notebook:run-all-cells')")
        self.wait_until_idle(seconds)
        failed = self.page.locator(".jp-RenderedText[data-mime-type*='error']")
        if failed.count():
            raise RuntimeError(f"a cell failed:\n{failed.first.inner_text()}")

    def execute(self, code):
        return execute(self.page, code)

    def wait_until_idle(self, seconds=PATIENCE):
        """Wait until the kernel has nothing left to do."""
        self.page.wait_for_function(
            "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'",
            timeout=seconds * 1000,
        )

    def panel(self, index=0):
        """Return the panel number ``index`` on the page, once its picture is there."""
        panel = PanelOnPage(self.page.locator(PanelOnPage.AREA).nth(index))
        panel.root.scroll_into_view_if_needed()
        return panel.ready()

    def sees_pictures(self, cells):
        """Fail unless a reader who has run nothing sees a picture in each of these cells."""
        outputs = self.page.locator(".jp-OutputArea-output")
        for index in cells:
            self.page.evaluate(
                "index => jupyterapp.shell.currentWidget.content.scrollToItem(index)", index
            )
            cell = self.page.locator(f".jp-Notebook-cell[data-windowed-list-index='{index}']")
            picture = cell.locator(outputs).locator("img")
            picture.wait_for()
            assert picture.evaluate("image => image.naturalWidth") > 0
            for words in ("Error displaying widget", "Loading widget"):
                assert outputs.get_by_text(words).count() == 0

    def close(self):
        """Close the page and end its kernel."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.page.close()


class PanelOnPage:
    """What a reader sees of one panel and can do to it."""

    PICTURE = "img.widget-image"
    AREA = f".jp-OutputArea-output:has({PICTURE})"
    PARTS = (
        f"{PICTURE}, [role=status], .noUi-target, .widget-label, .widget-readout, select, button"
    )

    def __init__(self, root):
        self.page, self.root = root.page, root
        self.image = root.locator(self.PICTURE)

    # What is seen

    def ready(self):
        """Return the panel once its picture is there."""
        self.wait_until(lambda: self.image.count() and self.shown_size()[0] > 0, "a picture")
        return self

    def picture(self):
        """Return the bytes of the picture on show."""
        fetch = "async image => [...new Uint8Array(await (await fetch(image.src)).arrayBuffer())]"
        return bytes(self.image.evaluate(fetch))

    def shown_size(self):
        """Return the picture's own width and height, and those on the page in CSS pixels."""
        sizes = "i => [i.naturalWidth, i.naturalHeight, i.clientWidth, i.clientHeight]"
        return tuple(self.image.evaluate(sizes))

    def numbers(self):
        """Return the line of results."""
        return self.root.locator("[role=status]").inner_text()

    def error(self):
        """Return the error on show, empty if there is none."""
        alert = self.root.locator("[role=alert]")
        return alert.inner_text() if alert.count() and alert.is_visible() else ""

    def labels_cut_off(self):
        """Return the labels of controls that do not fit into their place."""
        return self.root.locator(".widget-label, .widget-readout, button").evaluate_all(
            "all => all.filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)"
            ".map(e => e.textContent)"
        )

    # What is done

    def handles(self, upright=True):
        """Return the handles of all visible sliders, with or without those that stand upright."""
        found = self.root.locator(".noUi-handle" if upright else ".noUi-horizontal .noUi-handle")
        return [handle for handle in found.all() if handle.is_visible()]

    def handle(self, label):
        """Return the handle of the slider with that label."""
        name = self.page.get_by_text(label, exact=True)
        return self.root.locator(".widget-slider", has=name).locator(".noUi-handle")

    def lists(self):
        """Return all visible drop-down lists."""
        return [each for each in self.root.locator("select").all() if each.is_visible()]

    def list(self, label):
        """Return the drop-down list with that label."""
        name = self.page.get_by_text(label, exact=True)
        return self.root.locator(".widget-dropdown", has=name).locator("select")

    def chosen(self, label):
        """Return the option on show in a drop-down list."""
        return self.list(label).evaluate("list => list.selectedOptions[0]?.label ?? ''")

    def press(self, label, key="ArrowRight", times=1):
        """Step a slider by keyboard."""
        for _ in range(times):
            self.handle(label).press(key)

    def click(self, button):
        """Click a button."""
        self.root.get_by_role("button", name=button).click()

    def wait_until(self, condition, what, seconds=20):
        """Wait for ``condition()``; what is still missing is named."""
        limit = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > limit:
                raise AssertionError(f"waited {seconds} s in vain for {what}")
            self.page.wait_for_timeout(20)

    def wait_for_new_picture(self, old):
        """Return the next picture that differs from ``old``, once it is sharp and stands still."""
        self.wait_until(lambda: self.picture() != old, "a new picture")
        while True:
            seen = self.picture()
            self.page.wait_for_timeout(600)  # more than course_utils.widgets.old_panel.REST
            if self.picture() == seen:
                return seen


def places(handle):
    """Return where a slider's handle has its middle, x and y, and its track's left and width."""
    track = handle.locator("xpath=ancestor::*[contains(@class, 'noUi-target')]").bounding_box()
    box = handle.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, track["x"], track["width"]


@contextlib.contextmanager
def held(handle):
    """Hold a horizontal slider by the mouse; yields a function that moves it along its track."""
    handle.scroll_into_view_if_needed()
    x, y, left, width = places(handle)
    mouse = handle.page.mouse
    mouse.move(x, y)
    mouse.down()
    try:
        yield lambda fraction: mouse.move(left + fraction * width, y)
    finally:
        mouse.up()


def drag(handle, to=None):
    """Drag a slider to a fraction of its track, by default into the other half.

    Returns by how many pixels the handle missed the mouse.
    """
    with held(handle) as move:
        x, _, left, width = places(handle)
        start = (x - left) / width
        to = (0.7 if start < 0.5 else 0.3) if to is None else to
        for i in range(1, 11):
            move(start + (to - start) * i / 10)
            handle.page.wait_for_timeout(20)
    x, _, left, width = places(handle)
    return abs(x - left - to * width)
