"""A panel on a page, in JupyterLab or alone; alone, a ``Panel`` of this process answers, or nobody.

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
<meta name="viewport" content="width=device-width"><body style="margin: 0; background: PAPER">
<main><h1 style="margin: 0; font-size: 0">A panel</h1><div id="panel"></div></main>
<script type="module">
import panels, { host, mount } from "./panels.js";
const el = document.getElementById("panel");
SCRIPT
</script>"""
ANSWERED = """
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer;
function revive(key, value) { return key === "data" && this.shapes ? bytes(value) : value; }
const decode = text => JSON.parse(text, revive);
let state = decode(await ask({ state: {} })), asked = 0;
const listeners = [];
const model = {
    get: name => state[name],
    set: (name, value) => { state[name] = value; },
    save_changes: () => model.send({ state: { values: state.values } }),
    send: async message => {
        const mine = ++asked, answer = decode(await ask(message));
        for (const [name, listener] of listeners) {
            if (name === "msg:custom") answer.sent.forEach(listener);
        }
        if (mine < asked) return;  // what comes next is newer
        for (const part of ["frame", "fields"]) {  // traits that have not changed stay the same
            if (answer[part].sum === state[part].sum) answer[part] = state[part];
        }
        state = answer;
        for (const [name, listener] of listeners) if (name !== "msg:custom") listener();
    },
    on: (...listener) => listeners.push(listener),
};
panels.render({ model, el });"""
ALONE = """
const page = GIVEN;
window.view = page.states ? host(el, page) : mount(el, page, {}, { address: KEPT });"""
SHOWN = """() => document.querySelector(".won-picture")?.picture?.plots[0].scales
    && document.querySelector(".won-headline").textContent"""
READOUT = """root => {
    const all = (selector, read) => [...root.querySelectorAll(selector)].map(read);
    const { plots } = root.querySelector(".won-picture").picture;
    return {
        headline: root.querySelector(".won-headline").textContent,
        numbers: all(".won-numbers tr", r => [r.firstChild.textContent, r.lastChild.textContent]),
        details: all(".won-details li", each => each.textContent),
        beside: plots.flatMap(plot => [...plot.beside.children].map(each => each.textContent)),
    };
}"""


@contextlib.contextmanager
def shown(context, panel, alone=None, *, width=1000, height=775, dark=False, hash="", address=True):
    """Show a panel on a page of its own; what the page reports as an error fails the block.

    ``alone``: what a page without a kernel is given, ``Panel.page()`` or a recording. It keeps its
    state in the ``address``.
    """
    page = context.new_page()
    page.set_viewport_size({"width": width, "height": height})
    errors, asked = errors_of(page), []
    page.expose_function("ask", lambda message: answer(panel, message))
    script = ALONE.replace("KEPT", json.dumps(address)).replace("GIVEN", json.dumps(alone))
    body = PAGE.replace("PAPER", "#111111" if dark else "#ffffff")
    body = body.replace("SCRIPT", script if alone else ANSWERED)

    def fulfill(route):
        asked.append(route.request.url)
        if route.request.url.endswith("panels.js"):
            route.fulfill(path=MODULE, content_type="text/javascript")
        else:
            route.fulfill(body=body, content_type="text/html")

    page.route("**/*", fulfill)
    page.goto(ADDRESS + hash)
    page.wait_for_function(SHOWN)
    yield PanelOnPage(page.locator("#panel"), panel, alone)
    page.close()
    assert not errors, errors
    assert len(asked) <= 3, asked  # the page, the module, perhaps an icon


def answer(panel, message):
    """Return all that a panel has synchronised or sent, after it was asked or its state was set."""
    sent = []
    panel.send = sent.append
    with contextlib.suppress(Exception):  # shown in the panel
        if "state" in message:
            panel.set_state(message["state"])
        else:
            panel._asked(panel, message, [])

    def plain(part):
        if isinstance(part, dict):
            found = {name: plain(value) for name, value in part.items()}
            return found | ({"sum": str(hash(part["data"]))} if "shapes" in part else {})
        if isinstance(part, bytes | memoryview):
            return base64.b64encode(part).decode()
        return part

    state = panel.get_state(["spec", "values", "frame", "fields", "error", "answer"])
    return json.dumps(plain(state) | {"sent": sent})


class PanelOnPage:
    """What a reader sees of one panel and can do to it; ``panel``: Python's side, if it is here."""

    AREA = ".jp-OutputArea-output:has(.won-panel)"
    PARTS = ".won-shown canvas, .won-headline, .won-control, .won-buttons button"

    def __init__(self, root, panel=None, alone=None):
        self.page, self.root, self.panel, self.alone = root.page, root, panel, alone
        self.image = root.locator(".won-picture").first
        self.compute = panel and panel._compute

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
        """Return headline, numbers, details and the words beside ridges, as on the screen."""
        return self.root.evaluate(READOUT)

    def values(self):
        """Return the values of the controls: the panel's, or where no Python is, the page's own."""
        return self.page.evaluate("view.values") if self.alone else self.panel.values

    def error(self):
        """Return the error on show, empty if there is none."""
        return self.root.locator(".won-alert").text_content()

    def cut_off(self):
        """Return the words of controls and buttons that do not fit into their place."""
        return self.root.locator(".won-control span, .won-value, button").evaluate_all(
            "all => all.filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)"
            ".map(e => e.textContent)"
        )

    def handles(self):
        """Return the handles that can be seen."""
        return [each for each in self.root.locator(".won-handle").all() if each.is_visible()]

    def inputs(self, name):
        """Return what the control of that name is moved by."""
        root = self.root.locator(f"div[data-control={name}]")
        return root.locator("input, select, button:not(.won-play)")

    def input(self, name):
        return self.inputs(name).first

    def place_of(self, level, weight):
        """Return where (λ, w) is on the page, in the plot whose curve can be pulled."""
        return self.root.evaluate(
            """(root, [level, weight]) => {
                const { picture } = root.querySelector(".won-picture");
                const plot = picture.plots.find(p => p.plot.title.startsWith("pull"));
                const frame = picture.root.getBoundingClientRect();
                return [frame.left + plot.scales.x.to(level), frame.top + plot.scales.y.to(weight)];
            }""",
            [level, weight],
        )

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

    def moves(self):
        """Drag the handles in the picture, one after another, until the picture has changed."""
        before = self.picture()
        for handle in self.handles():
            drag(handle, 60, -40)
            with contextlib.suppress(AssertionError):
                return self.wait(lambda: self.picture() != before, "a new picture", seconds=10)
        raise AssertionError("no handle changes the picture")

    def wait(self, condition, what, seconds=20):
        """Wait for ``condition()``; ``what`` says what is still missing, or returns it."""
        limit = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > limit:
                missing = what() if callable(what) else what
                raise AssertionError(f"waited {seconds} s in vain for {missing}")
            self.page.wait_for_timeout(20)


def agrees(page):
    """Wait until the screen shows what ``compute`` finds for the values on a ``PanelOnPage``."""

    ridges = "Ridges" in str(page.panel.spec["rows"])

    def found():
        return in_order(page.readout() if ridges else page.readout() | {"beside": []})

    def wanted():
        numbers, arrays = page.compute(**page.panel.checked(page.values()))
        beside = arrays["layer_words"] if ridges else []
        return in_order(page.panel._readout(numbers) | {"beside": beside})

    page.wait(lambda: found() == wanted(), lambda: f"{wanted()} instead of {found()}")


def in_order(readout):
    """The same with its details sorted, but without Python's bound of the residual."""
    kept = [words for words in readout["details"] if not words.startswith("residual")]
    return readout | {"details": sorted(kept)}


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
