"""JupyterLab in Chromium: start it, open a copy of a notebook, look."""

import contextlib
import json
import os
import re
import shutil
import sys
import urllib.request
from pathlib import Path

import nbformat
from panel_page import PanelOnPage
from serving import HOST, ROOT, errors_of, free_ports, serving

TOKEN = "for-tests-only"
PATIENCE = 120  # seconds: a busy continuous-integration machine is slow


@contextlib.contextmanager
def jupyterlab(home):
    """Start JupyterLab, with the flags of `make lab`, on ``home``/work; yields its address."""
    (home / "work").mkdir()
    settings = home / "settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True, exist_ok=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    environment = {
        "HOME": str(home),  # of all that Jupyter keeps
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
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
        self.path = Path(shutil.copy(original, home / "work"))
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
