"""The nine live panels as in the lecture hall: slides in JupyterLab, and an app without code."""

import contextlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

import psutil
import pytest
from lab import HOST, Notebook, PanelOnPage, jupyterlab

SLIDES = Path(__file__).parents[2] / "slides"
NOTEBOOK = SLIDES / "live_panels.ipynb"
PANELS = 9
PROJECTOR = {"width": 1280, "height": 720}
PATIENCE = 300  # seconds until all panels stand, on a machine that does other things too

pytestmark = [pytest.mark.browser, pytest.mark.full]


class Presentation(Notebook):
    """The notebook as `make present` opens it, on a projector."""

    def __init__(self, context, address, home):
        super().__init__(context, address, home, NOTEBOOK)
        self.page.set_viewport_size(PROJECTOR)
        self.page.wait_for_function("document.body.dataset.jpDeckMode === 'presenting'")

    def active(self):
        """The index of the cell that stands active."""
        return self.page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex")

    def start_panels(self):
        """Press the key that the first slide names, and wait for that slide to come back."""
        self.page.keyboard.press("Control+Shift+Enter")
        self.page.wait_for_function(
            """panels => {
                const notebook = jupyterapp.shell.currentWidget;
                const run = notebook.content.widgets.filter(cell => cell.model.executionCount);
                const kernel = notebook.sessionContext.session.kernel;
                return run.length === panels && kernel.status === 'idle'
                    && notebook.content.activeCellIndex === 0;
            }""",
            arg=PANELS,
            timeout=PATIENCE * 1000,
        )
        assert self.page.locator("[data-mime-type*='error']").count() == 0

    def on_screen(self):
        """The cells of the present slide, shown or about to be."""
        return self.page.locator(".jp-Cell.jp-deck-mod-onscreen")

    def title(self):
        """The heading on show."""
        return self.on_screen().locator("h1, h2").first.inner_text().rstrip("¶")

    def shown_panel(self):
        """The panel of the present slide, once its picture is there."""
        root = self.on_screen().locator(".jp-OutputArea-output:has(img.widget-image)")
        panel = PanelOnPage(self.page, root)
        panel.wait_until(lambda: root.count() == 1 and panel.shown_size()[0] > 0, "a picture")
        return panel

    def press(self, key):
        before = self.active()
        self.page.keyboard.press(key)
        self.page.wait_for_function(
            """before => {
                const notebook = jupyterapp.shell.currentWidget.content;
                return notebook.activeCellIndex !== before
                    && notebook.activeCell.hasClass('jp-deck-mod-visible');
            }""",
            arg=before,
        )

    def turn(self, key):
        """Press a key until another slide stands there: it goes through the parts of a slide."""
        before, presses = self.title(), 0
        while self.title() == before:
            self.press(key)
            presses += 1
        assert presses <= 3, "title, panel, what to look for, and no more"


def beyond(page, locator):
    """What of these elements lies outside the window, as (words, box)."""
    out = []
    for element in locator.all():
        box = element.bounding_box()
        if box is None or 0 in (box["width"], box["height"]):
            continue
        inside = (
            box["x"] >= 0
            and box["y"] >= 0
            and box["x"] + box["width"] <= page.viewport_size["width"]
            and box["y"] + box["height"] <= page.viewport_size["height"]
        )
        if not inside:
            out.append((element.inner_text()[:40], box))
    return out


PARTS = (
    "img.widget-image, [role=status], .noUi-target, .widget-label, .widget-readout, select, button"
)


def visible_sliders(panel):
    """The horizontal sliders of a panel that can be seen."""
    tracks = panel.root.locator(".widget-hslider")
    return [track for track in tracks.all() if track.is_visible()]


def drag(panel, slider):
    """Drag the handle of a horizontal slider to another place; returns how far it missed."""
    page, handle = panel.page, slider.locator(".noUi-handle")
    track = slider.locator(".noUi-target").bounding_box()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    right = x < track["x"] + track["width"] / 2
    target = track["x"] + track["width"] * (0.7 if right else 0.3)
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(1, 11):
        page.mouse.move(x + (target - x) * i / 10, y)
        page.wait_for_timeout(20)
    page.mouse.up()
    box = handle.bounding_box()
    return abs(box["x"] + box["width"] / 2 - target)


def moved_by_mouse(panel, misses=None):
    """Drag sliders of a panel, one after another, until the picture has changed."""
    before = panel.picture()
    for slider in visible_sliders(panel):
        miss = drag(panel, slider)
        if misses is not None:
            misses.append(miss)
        with contextlib.suppress(AssertionError):
            panel.wait_until(lambda: panel.picture() != before, "a new picture", seconds=10)
            return True
    return False


@pytest.fixture(scope="module")
def presentation(browser_context, tmp_path_factory):
    home = tmp_path_factory.mktemp("present")
    shutil.copytree(SLIDES / "live/jupyterlab-settings", home / "settings")
    with jupyterlab(home) as address:
        show = Presentation(browser_context, address, home)
        yield show
        show.close()


def test_slides_turn_by_keyboard_and_every_panel_moves(presentation):
    show = presentation
    show.start_panels()
    assert show.title() == "The weight of noise, live"
    assert show.on_screen().locator("strong", has_text="Ctrl + Shift + Enter").is_visible()
    titles, misses = [], []
    for number in range(1, PANELS + 1):
        show.turn("ArrowRight")
        titles.append(show.title())
        assert titles[-1].startswith(f"{number} · ")
        panel = show.shown_panel()
        assert show.on_screen().locator("strong", has_text="Predict.").is_visible()
        assert show.page.locator(".jp-InputArea-editor:visible").count() == 0, "code is on show"
        answer = show.on_screen().filter(has=show.page.locator("strong", has_text="Look."))
        assert "jp-deck-mod-visible" not in answer.get_attribute("class"), "the answer is on show"
        while "jp-deck-mod-visible" not in answer.get_attribute("class"):
            show.press("Space")

        assert beyond(show.page, panel.root.locator(PARTS)) == []
        assert beyond(show.page, show.on_screen().locator("h2, p")) == []
        assert panel.labels_cut_off() == []
        assert panel.image.bounding_box()["width"] > 780, "too small to be read from the back row"
        assert moved_by_mouse(panel, misses), f"{titles[-1]}: no slider changes the picture"
        show.wait_until_idle()
        assert panel.error() == ""
        panel.click("Reset")
        show.wait_until_idle()
        show.on_screen().locator("h2").click()  # the keys turn slides again
    assert max(misses) < 20, f"a slider does not follow the mouse: off by {max(misses)} pixels"
    show.turn("ArrowRight")
    assert show.title() == "Where to go on"
    assert beyond(show.page, show.on_screen().locator("h2, table")) == []
    show.turn("ArrowLeft")
    assert show.title() == titles[-1]
    assert show.console_errors == []


def test_show_ends_with_escape(presentation):
    presentation.page.keyboard.press("Escape")
    presentation.page.wait_for_function("!document.body.dataset.jpDeckMode")


@contextlib.contextmanager
def voila(home):
    """Serve the notebook as `make app` does; yields the address it prints, and the process."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "HOME": str(home),
        "JUPYTER_PATH": str(SLIDES / "live"),
        "JUPYTER_CONFIG_PATH": str(SLIDES / "live"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
    }
    command = [sys.executable, "-m", "voila", f"--port={port}", str(NOTEBOOK)]
    with open(home / "voila.log", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield wait_for(server, home / "voila.log"), server
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()


def wait_for(server, log):
    """Return the address that the server prints, once it answers."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit and server.poll() is None:
        found = re.search(r"(http://\S+?/)(\?token=[0-9a-f]{40,})", log.read_text())
        with contextlib.suppress(OSError):
            if found:
                urllib.request.urlopen(found[1] + "voila/static/voila.js", timeout=5).close()
                return found[0]
        time.sleep(0.2)
    raise RuntimeError(f"Voila did not start:\n{log.read_text()[-3000:]}")


def test_app_asks_for_the_key_in_its_address(tmp_path):
    with voila(tmp_path) as (address, _):
        place = address.partition("?")[0]

        def page(end=""):
            with urllib.request.urlopen(place + end, timeout=60) as reply:
                return reply.url, reply.read().decode()

        for key in ("", "?token=" + 48 * "0"):
            url, words = page(key)
            assert url.startswith(place + "login") and "widget" not in words
        assert socket_status(place, "") == 403
        key = address.partition("=")[2]
        assert socket_status(place, key) == 404  # let in, but there is no such kernel


def socket_status(place, key):
    """The answer to a browser that would talk to a kernel."""
    server = urllib.parse.urlsplit(place)
    connection = http.client.HTTPConnection(server.hostname, server.port, timeout=60)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Origin": place.rstrip("/")}
    if key:
        upgrade["Authorization"] = f"token {key}"
    connection.request("GET", f"/api/kernels/{uuid.uuid4()}/channels", headers=upgrade)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def test_app_has_panels_and_no_code(browser_context, tmp_path):
    with voila(tmp_path) as (address, server):
        sockets = psutil.Process(server.pid).net_connections()
        listening = [s for s in sockets if s.status == psutil.CONN_LISTEN]
        assert {s.laddr.ip for s in listening} == {HOST}
        page = browser_context.new_page()
        page.set_viewport_size(PROJECTOR)
        errors = []
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(address)
        roots = page.locator(".jp-OutputArea-output:has(img.widget-image)")
        roots.nth(PANELS - 1).wait_for()
        assert roots.count() == PANELS
        assert page.title() == "The weight of noise, live"
        words = page.locator("body").inner_text()
        for code in ("course_utils", "import", "panel()", "Ctrl + Shift"):
            assert code not in words
        assert "course_utils" not in page.content(), "the sources were sent"
        for index in range(PANELS):
            panel = PanelOnPage(page, roots.nth(index))
            panel.root.scroll_into_view_if_needed()
            panel.wait_until(lambda p=panel: p.shown_size()[0] > 0, "a picture")
            box = panel.image.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= PROJECTOR["width"]
            assert panel.labels_cut_off() == []
            assert moved_by_mouse(panel), f"panel {index}: no slider changes the picture"
            assert panel.error() == ""
        answers = page.locator("details")
        assert answers.count() == PANELS
        assert not page.get_by_text("Look.").first.is_visible()
        answers.first.locator("summary").click()
        assert page.get_by_text("Look.").first.is_visible()
        assert errors == []
