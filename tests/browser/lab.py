"""JupyterLab and Chromium for tests: start, open a copy of a notebook, move a panel, look."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

HOST = "127.0.0.1"
TOKEN = "for-tests-only"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
MAKEFILE = Path(__file__).parents[2] / "Makefile"
PATIENCE = 60  # seconds: a busy continuous-integration machine is slow


def find_chromium() -> str:
    """Return the path of a Chromium, or skip; where CI is set its absence is an error."""
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    for name in filter(None, names):
        if path := shutil.which(name):
            return path
    message = "no Chromium found: install chromium, or set CHROMIUM to its path"
    if os.environ.get("CI"):
        raise RuntimeError(message)
    pytest.skip(message)


@contextlib.contextmanager
def chromium(pixel_ratio: float = 1, height: int = 1000) -> Iterator[BrowserContext]:
    """Start Chromium with no way out to the network; what tried to leave fails the block."""
    path = find_chromium()
    strays: list[str] = []

    def stay_home(route):
        address = urlsplit(route.request.url)
        if address.scheme in ("data", "blob") or address.hostname == HOST:
            route.continue_()
        else:
            strays.append(route.request.url)
            route.abort()

    with sync_playwright() as playwright:
        browser: Browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        context = browser.new_context(
            viewport={"width": 1400, "height": height}, device_scale_factor=pixel_ratio
        )
        context.route("**/*", stay_home)
        try:
            yield context
        finally:
            browser.close()
    assert not strays, f"requests that would have left this machine: {strays}"


@contextlib.contextmanager
def jupyterlab(home: Path) -> Iterator[str]:
    """Start JupyterLab, with the flags of `make lab`, on the folder ``home``/work.

    Yields its address. What an earlier server left in ``home`` is there again.
    """
    root = home / "work"
    root.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    settings = home / "settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    environment = os.environ | {
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", f"--ip={HOST}", f"--port={port}"),
        *("--port-retries=0", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={root}"),
        "--LabApp.expose_app_in_browser=True",
        *lab_flags(),
        *(["--allow-root"] if hasattr(os, "getuid") and os.getuid() == 0 else []),
    ]
    address = f"http://{HOST}:{port}"
    with open(home / "server.log", "w") as log:
        server = subprocess.Popen(command, env=environment, cwd=root, stdout=log, stderr=log)
        try:
            _wait_for_server(server, address, home / "server.log")
            yield address
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def lab_flags() -> list[str]:
    """Return the flags with which the Makefile starts JupyterLab for a reader."""
    line = re.search(r"^LAB_FLAGS := (.*)$", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE)
    return line[1].split()


def _wait_for_server(server: subprocess.Popen, address: str, log: Path) -> None:
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit and server.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{address}/api/status?token={TOKEN}", timeout=5).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


def write_notebook(path: Path, cells: list[str]) -> Path:
    """Write a notebook of these code cells, for the kernel named python3."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)
    return path


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


class Notebook:
    """A notebook open in JupyterLab, always a copy: autosave must not touch the original."""

    def __init__(self, context: BrowserContext, address: str, home: Path, original: Path):
        if original.parent != home / "work":
            shutil.copy(original, home / "work")
        self.page: Page = context.new_page()
        self.console_errors: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        self.page.set_default_timeout(PATIENCE * 1000)
        self.goto(f"{address}/lab/tree/{original.name}?token={TOKEN}&reset")

    def goto(self, address: str) -> None:
        """Open the notebook at an address of the server and wait until it has a kernel."""
        self.page.goto(address)
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.context?.isReady"
            " && window.jupyterapp.shell.currentWidget.sessionContext?.session?.kernel"
        )

    def _note(self, message):
        if message.type == "error":
            self.console_errors.append(message.text)

    def run_all(self, seconds: float = PATIENCE) -> None:
        """Run every cell and wait until the kernel is idle; a cell that fails raises."""
        self.page.evaluate("() => jupyterapp.commands.execute('notebook:run-all-cells')")
        self.wait_until_idle(seconds)
        failed = self.page.locator(".jp-RenderedText[data-mime-type*='error']")
        if failed.count():
            raise RuntimeError(f"a cell failed:\n{failed.first.inner_text()}")

    def execute(self, code: str) -> str:
        """Run code in the kernel, in no cell; returns what it printed, raises if it failed."""
        return self.page.evaluate(EXECUTE, code)

    def start_cell(self, index: int) -> None:
        """Run one cell and do not wait for it."""
        self.page.evaluate(
            "index => { jupyterapp.shell.currentWidget.content.activeCellIndex = index;"
            " jupyterapp.commands.execute('notebook:run-cell'); }",
            index,
        )

    def wait_until_idle(self, seconds: float = PATIENCE) -> None:
        """Wait until the kernel has nothing left to do."""
        self.page.wait_for_function(
            "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'",
            timeout=seconds * 1000,
        )

    def save(self) -> None:
        """Save the notebook, as autosave does."""
        self.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")

    def restart_kernel(self) -> None:
        """Restart the kernel, as from the menu, without the question."""
        self.page.evaluate(
            "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        self.wait_until_idle()

    def panel(self, index: int = 0) -> "PanelOnPage":
        """Return the panel number ``index`` on the page, once its picture is there."""
        root = self.page.locator(".jp-OutputArea-output:has(img.widget-image)").nth(index)
        root.scroll_into_view_if_needed()
        panel = PanelOnPage(self.page, root)
        panel.wait_until(lambda: panel.shown_size()[0] > 0, "a picture")
        return panel

    def close(self) -> None:
        """Close the page and end its kernel."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.page.close()


class PanelOnPage:
    """What a reader sees of one panel and can do to it."""

    def __init__(self, page: Page, root: Locator):
        self.page, self.root = page, root
        self.image = root.locator("img.widget-image")

    # What is seen

    def picture(self) -> bytes:
        """Return the bytes of the picture on show."""
        numbers = self.image.evaluate(
            "async image => [...new Uint8Array(await (await fetch(image.src)).arrayBuffer())]"
        )
        return bytes(numbers)

    def shown_size(self) -> tuple[int, int, int, int]:
        """Return the picture's own width and height, and those on the page in CSS pixels."""
        return tuple(
            self.image.evaluate(
                "i => [i.naturalWidth, i.naturalHeight, i.clientWidth, i.clientHeight]"
            )
        )

    def numbers(self) -> str:
        """Return the line of results."""
        return self.root.locator("[role=status]").inner_text()

    def error(self) -> str:
        """Return the error on show, empty if there is none."""
        alert = self.root.locator("[role=alert]")
        return alert.inner_text() if alert.count() and alert.is_visible() else ""

    def labels_cut_off(self) -> list[str]:
        """Return the labels of controls that do not fit into their place."""
        return self.root.locator(".widget-label, .widget-readout, button").evaluate_all(
            "all => all.filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)"
            ".map(e => e.textContent)"
        )

    # What is done

    def handle(self, label: str) -> Locator:
        """Return the handle of the slider with that label."""
        name = self.page.get_by_text(label, exact=True)
        return self.root.locator(".widget-slider", has=name).locator(".noUi-handle")

    def drag(self, label: str, across: float, seconds: float = 0.2) -> None:
        """Drag a horizontal slider by this fraction of its length, to the left if negative."""
        handle = self.handle(label)
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        track = handle.locator("xpath=ancestor::*[contains(@class, 'noUi-target')]").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        steps = max(2, round(seconds / 0.02))
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for i in range(1, steps + 1):
            self.page.mouse.move(x + across * track["width"] * i / steps, y)
            self.page.wait_for_timeout(1000 * seconds / steps)
        self.page.mouse.up()

    def press(self, label: str, key: str = "ArrowRight", times: int = 1) -> None:
        """Step a slider by keyboard."""
        self.handle(label).focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def click(self, button: str) -> None:
        """Click a button."""
        self.root.get_by_role("button", name=button).click()

    def list(self, label: str) -> Locator:
        """Return the drop-down list with that label."""
        name = self.page.get_by_text(label, exact=True)
        return self.root.locator(".widget-dropdown", has=name).locator("select")

    def choose(self, label: str, option: str) -> None:
        """Choose from a drop-down list."""
        self.list(label).select_option(option)

    def chosen(self, label: str) -> str:
        """Return the option on show in a drop-down list."""
        return self.list(label).evaluate("list => list.selectedOptions[0]?.label ?? ''")

    def wait_until(self, condition, what: str, seconds: float = 20) -> None:
        """Wait for ``condition()``; what is still missing is named."""
        limit = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > limit:
                raise AssertionError(f"waited {seconds} s in vain for {what}")
            self.page.wait_for_timeout(20)

    def wait_for_new_picture(self, old: bytes) -> bytes:
        """Return the next picture that differs from ``old``, once it is sharp and stands still."""
        self.wait_until(lambda: self.picture() != old, "a new picture")
        while True:
            seen = self.picture()
            self.page.wait_for_timeout(600)  # more than course_utils.widgets.panel.REST
            if self.picture() == seen:
                return seen
