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
from panel_page import PanelOnPage
from serving import HOST, ROOT, errors_of, free_ports, serving

SLIDES = ROOT / "slides"
NOTEBOOK = SLIDES / "live_panels.ipynb"
PANELS = 9
CELLS = "jupyterapp.shell.currentWidget.content"
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
        self.page.wait_for_function(f"{CELLS}.activeCellIndex > 0")
        assert self.title() == "In a moment"  # what the hall sees while the panels are made
        self.page.wait_for_function(f"{CELLS}.activeCellIndex === 0", timeout=PATIENCE * 1000)
        self.wait_until_idle(PATIENCE)

    def on_screen(self):
        """The cells of the present slide, shown or about to be."""
        return self.page.locator(".jp-Cell.jp-deck-mod-onscreen")

    def title(self):
        """The heading on show."""
        return self.on_screen().locator("h1, h2").first.inner_text().rstrip("¶")

    def press(self, key):
        before = self.page.evaluate(f"{CELLS}.activeCellIndex")
        self.page.keyboard.press(key)
        stands = f"{CELLS}.activeCell.hasClass('jp-deck-mod-visible')"
        self.page.wait_for_function(f"{CELLS}.activeCellIndex !== {before} && {stands}")

    def turn(self, key):
        """Press a key until another slide stands there: it goes through the parts of a slide."""
        before, presses = self.title(), 0
        while self.title() == before:
            self.press(key)
            presses += 1
        assert presses <= 3, "title, panel, what to look for, and no more"


def beyond(locator):
    """The words of what lies outside the window."""
    return locator.evaluate_all(
        """all => all.filter(each => {
            const { x, y, width, height } = each.getBoundingClientRect();
            const inside = x >= 0 && y >= 0 && x + width <= innerWidth && y + height <= innerHeight;
            return width && height && !inside;
        }).map(each => each.textContent.slice(0, 40))"""
    )


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

            assert beyond(panel.root.locator(PanelOnPage.PARTS)) == []
            assert beyond(on_screen.locator("h2, p")) == []
            assert panel.cut_off() == []
            assert panel.image.bounding_box()["width"] > 780, "too small for the back row"
            panel.moves()
            show.wait_until_idle()
            assert panel.error() == ""
            panel.click("Reset")
            show.wait_until_idle()
            on_screen.locator("h2").click()  # the keys turn slides again
        show.turn("ArrowRight")
        assert show.title() == "Where to go on"
        assert beyond(show.on_screen().locator("h2, table")) == []
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
        sockets = server.net_connections()
        assert {s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN} == {HOST}
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
            panel.moves()
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
