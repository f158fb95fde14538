"""A page with one panel and no notebook: the module asks, and a ``Panel`` of this process answers.

How the controls and handles of a panel are found, moved and read is known here alone.
"""

import base64
import contextlib
import json

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
    paper = "#111111" if dark else "#ffffff"
    page.route(f"{ADDRESS}**", lambda route: route.fulfill(**file(route.request.url, paper)))
    page.goto(ADDRESS)
    page.wait_for_function("window.ready && document.querySelector('.won-headline').textContent")
    yield PanelPage(page, panel)
    page.close()
    assert not errors, errors


def file(url, paper):
    if url.endswith("panels.js"):
        return {"body": MODULE.read_text(encoding="utf-8"), "content_type": "text/javascript"}
    return {"body": PAGE.replace("PAPER", paper), "content_type": "text/html"}


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


class PanelPage:
    """What a reader sees of a panel and can do to it."""

    def __init__(self, page, panel):
        self.page, self.panel = page, panel

    def wait(self, condition, what):
        """Wait until ``condition()`` holds."""
        for _ in range(300):
            if condition():
                return
            self.page.wait_for_timeout(20)
        raise AssertionError(f"waited in vain for {what}")

    # What is seen

    def readout(self):
        """Return headline, numbers and details as they stand on the screen."""
        return self.page.evaluate(
            """() => ({
                headline: document.querySelector(".won-headline").textContent,
                numbers: [...document.querySelectorAll(".won-numbers tr")].map(row =>
                    [row.firstChild.textContent, row.lastChild.textContent]),
                details: [...document.querySelectorAll(".won-details li")].map(i => i.textContent),
            })"""
        )

    def alert(self):
        return self.page.locator(".won-alert").inner_text()

    def handles(self):
        """Return the handles that can be seen."""
        return [h for h in self.page.locator(".won-handle").all() if h.is_visible()]

    def place(self, handle):
        """Return where a handle can be taken: its grip's middle."""
        box = handle.locator(".won-grip").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    # What is done

    def unfold(self):
        """Have shown what is folded, and what a question hides."""
        for part in self.page.locator(".won-folded").all():
            part.evaluate("part => { part.open = true; }")
        self.skip_question()

    def skip_question(self):
        """Have shown what a question hides."""
        button = self.page.get_by_role("button", name="Show it")
        if button.count():
            button.click()

    def drag(self, handle, dx, dy, by="mouse"):
        """Drag a handle by so many pixels, in steps."""
        handle.scroll_into_view_if_needed()
        x, y = self.place(handle)
        path = [(x + dx * i / 8, y + dy * i / 8) for i in range(1, 9)]
        if by == "mouse":
            mouse = self.page.mouse
            mouse.move(x, y)
            mouse.down()
            for point in path:
                mouse.move(*point)
            mouse.up()
            return
        session = self.page.context.new_cdp_session(self.page)

        def touch(kind, *points):
            where = [{"x": a, "y": b} for a, b in points]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": where})

        touch("touchStart", (x, y))
        for point in path:
            touch("touchMove", point)
        touch("touchEnd")
        session.detach()
