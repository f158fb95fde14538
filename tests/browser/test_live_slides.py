"""The nine live panels as in the lecture hall: slides in JupyterLab, and an app without code."""

import contextlib
import re
import shutil
import sys
import urllib.request
import uuid

import httpx
import psutil
import pytest
from lab import Notebook, jupyterlab
from panel_page import PanelOnPage, drag
from serving import HOST, ROOT, errors_of, free_ports, serving

SLIDES = ROOT / "slides"
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

    def start_panels(self):
        """Press the key that the first slide names, and wait for that slide to come back."""
        self.page.keyboard.press("Control+Shift+Enter")
        active = "jupyterapp.shell.currentWidget.content.activeCellIndex"
        self.page.wait_for_function(f"{active} > 0")
        assert self.title() == "In a moment"  # what the hall sees while the panels are made
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

    def press(self, key):
        before = self.page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex")
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
    boxes = [(each, each.bounding_box()) for each in locator.all()]
    size = page.viewport_size
    return [
        (each.inner_text()[:40], box)
        for each, box in boxes
        if box and box["width"] and box["height"]
        and not (0 <= box["x"] <= size["width"] - box["width"]
                 and 0 <= box["y"] <= size["height"] - box["height"])
    ]  # fmt: skip


def moved_by_mouse(panel):
    """Drag the handles in the picture, one after another, until the picture has changed."""
    before = panel.picture()
    for handle in panel.handles():
        drag(handle, 60, -40)
        with contextlib.suppress(AssertionError):
            panel.wait(lambda: panel.picture() != before, "a new picture", seconds=10)
            return
    raise AssertionError("no handle changes the picture")


def test_slides_turn_by_keyboard_and_every_panel_moves(browser_context, tmp_path):
    shutil.copytree(SLIDES / "live/jupyterlab-settings", tmp_path / "settings")
    with jupyterlab(tmp_path) as address:
        show = Presentation(browser_context, address, tmp_path)
        show.start_panels()
        assert show.title() == "The weight of noise, live"
        assert show.on_screen().locator("strong", has_text="Ctrl + Shift + Enter").is_visible()
        for number in range(1, PANELS + 1):
            show.turn("ArrowRight")
            title, on_screen = show.title(), show.on_screen()
            assert title.startswith(f"{number} · ")
            panel = PanelOnPage(on_screen.locator(PanelOnPage.AREA)).ready()
            assert on_screen.locator("strong", has_text="Predict.").is_visible()
            assert show.page.locator(".jp-InputArea-editor:visible").count() == 0, "code is on show"
            answer = on_screen.filter(has=show.page.locator("strong", has_text="Look."))
            assert "jp-deck-mod-visible" not in answer.get_attribute("class"), "the answer is shown"
            while "jp-deck-mod-visible" not in answer.get_attribute("class"):
                show.press("Space")

            assert beyond(show.page, panel.root.locator(PanelOnPage.PARTS)) == []
            assert beyond(show.page, on_screen.locator("h2, p")) == []
            assert panel.cut_off() == []
            assert panel.image.bounding_box()["width"] > 780, "too small for the back row"
            moved_by_mouse(panel)
            show.wait_until_idle()
            assert panel.error() == ""
            panel.click("Reset")
            show.wait_until_idle()
            on_screen.locator("h2").click()  # the keys turn slides again
        show.turn("ArrowRight")
        assert show.title() == "Where to go on"
        assert beyond(show.page, show.on_screen().locator("h2, table")) == []
        show.turn("ArrowLeft")
        assert show.title() == title
        show.page.keyboard.press("Escape")
        show.page.wait_for_function("!document.body.dataset.jpDeckMode")
        assert show.console_errors == []
        show.close()


@contextlib.contextmanager
def voila(home):
    """Serve the notebook as `make app` does; yields the process and the address it prints."""
    (port,) = free_ports(1)
    environment = {
        "HOME": str(home),
        "JUPYTER_PATH": str(SLIDES / "live"),
        "JUPYTER_CONFIG_PATH": str(SLIDES / "live"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
    }
    command = [sys.executable, "-m", "voila", f"--port={port}", str(NOTEBOOK)]

    def answer(log):
        if found := re.search(r"(http://\S+?/)\?token=([0-9a-f]{40,})", log):
            urllib.request.urlopen(found[1] + "voila/static/voila.js", timeout=5).close()
            return found

    with serving(command, answer, home, environment, PATIENCE) as (server, found):
        yield server, *found.group(0, 1, 2)


def test_app_has_panels_and_no_code_and_asks_for_its_key(browser_context, tmp_path):
    with voila(tmp_path) as (server, address, place, key):
        refuses_without_its_key(place, key)
        listening = [s for s in server.net_connections() if s.status == psutil.CONN_LISTEN]
        assert {s.laddr.ip for s in listening} == {HOST}
        page = browser_context.new_page()
        page.set_viewport_size(PROJECTOR)
        errors = errors_of(page)
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(address)
        roots = page.locator(PanelOnPage.AREA)
        roots.nth(PANELS - 1).wait_for()
        assert roots.count() == PANELS
        assert page.title() == "The weight of noise, live"
        words = page.locator("body").inner_text()
        for code in ("course_utils", "import", "panel()", "Ctrl + Shift"):
            assert code not in words
        assert "course_utils" not in page.content(), "the sources were sent"
        for root in roots.all():
            root.scroll_into_view_if_needed()
            panel = PanelOnPage(root).ready()
            box = panel.image.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= PROJECTOR["width"]
            assert panel.cut_off() == []
            moved_by_mouse(panel)
            assert panel.error() == ""
        look = page.get_by_text("Look.").first
        answers = page.locator("details", has_text="Look.")
        assert answers.count() == PANELS and not look.is_visible()
        answers.first.locator("summary").click()
        assert look.is_visible()
        assert errors == []


def refuses_without_its_key(place, key):
    """Neither the page nor a kernel's socket opens without the key of the address."""
    with httpx.Client(base_url=place, follow_redirects=True, timeout=60) as client:
        for wrong in ("", "?token=" + 48 * "0"):
            page = client.get(wrong)
            assert str(page.url).startswith(place + "login") and "widget" not in page.text
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        upgrade |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Origin": place.rstrip("/")}
        socket = f"api/kernels/{uuid.uuid4()}/channels"
        assert client.get(socket, headers=upgrade).status_code == 403
        let_in = upgrade | {"Authorization": f"token {key}"}
        assert client.get(socket, headers=let_in).status_code == 404  # there is no such kernel
