"""A panel on a page, in JupyterLab or alone; alone, a ``Panel`` of this process answers.

How the controls and handles of a panel are found, moved and read is known here alone.
"""

import base64
import contextlib
import json
import time

import numpy as np
from serving import HOST, ROOT, errors_of

ADDRESS = f"http://{HOST}:1/"  # answered by the page's own route
MODULE = ROOT / "course_utils/widgets/panels.js"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>A panel</title>
<meta name="viewport" content="width=device-width">
<body style="margin: 0; background: PAPER">
<main><h1 style="margin: 0; font-size: 0">A panel</h1><div id="panel"></div></main>
<script type="module">
import panels from "./panels.js";
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer;
function revive(key, value) { return key === "data" && this.shapes ? bytes(value) : value; }
const decode = text => JSON.parse(text, revive);
let state = decode(await ask(null));
const listeners = new Set();
const model = {
    get: name => state[name],
    send: async message => {
        if (window.mute) return;
        const answer = decode(await ask(message));
        for (const part of ["frame", "fields"]) {  // traits that have not changed stay the same
            if (answer[part].sum === state[part].sum) answer[part] = state[part];
        }
        state = answer;
        for (const listener of listeners) listener();
    },
    on: (name, listener) => listeners.add(listener),
    off: (name, listener) => listeners.delete(listener),
};
window.end = panels.render({ model, el: document.getElementById("panel") });
window.ready = true;
</script>"""


@contextlib.contextmanager
def shown(context, panel, *, width=1000, height=775, dark=False):
    """Show a panel on a page of its own; what the page reports as an error fails the block."""
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": height})
    errors = errors_of(page)
    page.expose_function("ask", lambda message: answer(panel, message))
    body = PAGE.replace("PAPER", "#111111" if dark else "#ffffff")
    page.route(f"{ADDRESS}**", lambda route: route.fulfill(body=body, content_type="text/html"))
    page.route("**/panels.js", lambda route: route.fulfill(path=MODULE))
    page.goto(ADDRESS)
    page.wait_for_function("window.ready && document.querySelector('.won-headline').textContent")
    yield PanelOnPage(page.locator("#panel"), panel)
    page.close()
    assert not errors, errors


def answer(panel, message):
    """Return all that a panel has synchronised, after it was asked."""
    if message is not None:
        with contextlib.suppress(Exception):  # shown in the panel
            panel._asked(panel, message, [])
    state = panel.get_state(["spec", "values", "frame", "fields", "error", "answer"])

    def plain(part):
        if isinstance(part, dict):
            found = {name: plain(value) for name, value in part.items()}
            return found | ({"sum": str(hash(part["data"]))} if "shapes" in part else {})
        if isinstance(part, bytes | memoryview):
            return base64.b64encode(part).decode()
        return part

    return json.dumps({name: plain(value) for name, value in state.items()})


class PanelOnPage:
    """What a reader sees of one panel and can do to it; ``panel``: Python's side, if it is here."""

    PANEL = ".won-panel"
    AREA = f".jp-OutputArea-output:has({PANEL})"
    PARTS = ".won-shown canvas, .won-headline, .won-control, .won-buttons button"

    def __init__(self, root, panel=None):
        self.page, self.root, self.panel = root.page, root, panel
        self.image = root.locator(".won-picture").first

    # What is seen

    def ready(self):
        """Return the panel once its picture and numbers are there."""
        headline = self.root.locator(".won-headline")
        self.wait(lambda: headline.count() and headline.text_content(), "a picture")
        return self

    def picture(self):
        """Return the pixels of the picture on show."""
        canvases = self.image.locator("canvas")
        return canvases.evaluate_all("all => all.map(c => c.toDataURL()).join()")

    def readout(self):
        """Return headline, numbers and details as they stand on the screen."""
        return {
            "headline": self.root.locator(".won-headline").text_content(),
            "numbers": self.root.locator(".won-numbers tr").evaluate_all(
                "all => all.map(row => [row.firstChild.textContent, row.lastChild.textContent])"
            ),
            "details": self.root.locator(".won-details li").all_text_contents(),
        }

    def error(self):
        """Return the error on show, empty if there is none."""
        return self.root.locator(".won-alert").text_content()

    def cut_off(self):
        """Return the words of controls and buttons that do not fit into their place."""
        return self.root.locator(".won-control span, .won-value, button").evaluate_all(
            "all => all.filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)"
            ".map(e => e.textContent)"
        )

    def visible(self, selector):
        """Return what can be seen of the handles, lists, … of this selector."""
        return [each for each in self.root.locator(selector).all() if each.is_visible()]

    def handles(self):
        return self.visible(".won-handle")

    def inputs(self, name):
        """Return what the control of that name is moved by."""
        root = self.root.locator(f"div[data-control={name}]")
        return root.locator("input, select, button:not(.won-play)")

    def input(self, name):
        return self.inputs(name).first

    # What is done

    def unfold(self):
        """Open every folded part, and answer the panel's question, if it asks one."""
        for part in self.root.locator(".won-folded").all():
            part.evaluate("part => { part.open = true; }")
        self.skip_question()

    def skip_question(self):
        shown = self.root.get_by_role("button", name="Show it")
        if shown.count() and shown.is_visible():
            shown.click()

    def click(self, button):
        self.root.get_by_role("button", name=button, exact=True).click()

    def wait(self, condition, what, seconds=20):
        """Wait for ``condition()``; what is still missing is named."""
        limit = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > limit:
                raise AssertionError(f"waited {seconds} s in vain for {what}")
            self.page.wait_for_timeout(20)


def place(handle):
    """Return where a handle can be taken: its grip's middle."""
    box = handle.locator(".won-grip").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(handle, dx, dy, by="mouse"):
    """Drag a handle of a picture by so many pixels."""
    handle.scroll_into_view_if_needed()
    x, y = place(handle)
    pull(handle.page, (x, y), (x + dx, y + dy), by)


def pull(page, start, end, by="mouse", steps=8):
    """Drag from one place of a page to another, in steps, by mouse or by touch."""
    path = [tuple(map(float, at)) for at in np.linspace(start, end, steps + 1)]
    if by == "mouse":
        page.mouse.move(*start)
        page.mouse.down()
        for point in path:
            page.mouse.move(*point)
        page.mouse.up()
        return
    session = page.context.new_cdp_session(page)
    kinds = ["touchStart", *["touchMove"] * steps, "touchEnd"]
    for kind, point in zip(kinds, [*path, None], strict=True):
        points = [{"x": point[0], "y": point[1]}] if point else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    session.detach()
