"""What the page itself sees of a panel that moves: the events and the pictures painted."""

from dataclasses import dataclass

import numpy as np
from lab import held
from playwright.sync_api import TimeoutError

# Times are the page's own, in ms. A picture counts when the frame that shows it has been painted;
# one that a newer picture overtakes before it is decoded is never shown and does not count.
INSTALL = """
([area, pictures]) => {
    window.watching?.disconnect();
    const probe = { events: [], paints: [], widths: [], last: -1 };
    window.probe = probe;
    const painted = width => requestAnimationFrame(frame => setTimeout(() => {
        if (probe.last === frame) { probe.widths[probe.widths.length - 1] = width; return; }
        probe.last = frame;
        probe.paints.push(performance.now());
        probe.widths.push(width);
    }));
    const shown = image =>
        image.decode().then(() => painted(image.naturalWidth), () => {});
    const observer = window.watching = new MutationObserver(records => {
        for (const { type, target, addedNodes } of records) {
            if (!pictures) painted(0);
            else if (type === "attributes") target.matches("img") ? shown(target) : painted(0);
            else for (const node of addedNodes)
                if (node.querySelectorAll) {
                    if (node.matches("img")) shown(node);
                    node.querySelectorAll("img").forEach(shown);
                }
        }
    });
    observer.observe(area, {
        subtree: true, childList: true, characterData: true,
        attributes: true, attributeFilter: ["src", "d"],
    });
    window.drawn = canvas => { if (area.contains(canvas)) painted(0); };
    if (window.listening) return;
    window.listening = true;
    const { drawImage } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.drawImage = function (...what) {
        drawImage.apply(this, what);
        window.drawn(this.canvas);
    };
    const note = () => window.probe.events.push(performance.now());
    document.addEventListener("keydown", note, true);
    document.addEventListener("mousemove", event => { if (event.buttons) note(); }, true);
}
"""
CLEAR = "() => { for (const list of ['events', 'paints', 'widths']) probe[list].length = 0; }"
SHARPENED = 450  # ms: the sharp picture of a rest (course_utils.widgets.old_panel.REST) is there


def install(area, pictures=True):
    """Watch an element: its pictures (images, canvases, paths), or every change of its text."""
    area.page.evaluate(INSTALL, [area.element_handle(), pictures])


def step_latency(handle, patience=10):
    """Step a slider by keyboard, away from its upper end or back from it.

    Returns the ms from the event to the painted change; nan if none is painted in ``patience`` s,
    as when the step changes no pixel.
    """
    page = handle.page
    value, top = (float(handle.get_attribute(f"aria-value{word}")) for word in ("now", "max"))
    page.evaluate(CLEAR)
    handle.press("Home" if value >= top else "ArrowRight")
    try:
        page.wait_for_function("() => probe.paints.length > 0", polling=20, timeout=1000 * patience)
    except TimeoutError:
        return float("nan")
    latency = page.evaluate("() => probe.paints[0] - probe.events[0]")
    page.wait_for_timeout(SHARPENED)
    return latency


@dataclass
class Drag:
    """A drag to and fro as the page saw it; times in ms after the drag's first event.

    ``events`` of the mouse, ``paints``, and the ``widths`` in pixels of the pictures painted.
    """

    events: np.ndarray
    paints: np.ndarray
    widths: np.ndarray

    @property
    def rate(self) -> float:
        """Pictures per second while the mouse moved."""
        during = (self.paints > 0) & (self.paints <= self.events[-1])
        return 1000 * during.sum() / self.events[-1]

    def after(self) -> np.ndarray:
        """Return the times of the moving pictures painted after the last event."""
        moving = self.widths == self.widths.min()  # what follows at rest is sharper
        return self.paints[moving & (self.paints > self.events[-1])]

    @property
    def lag(self) -> float:
        """The ms from the last event to the last picture that moved; 0 if none was due."""
        late = self.after()
        return float(late[-1] - self.events[-1]) if len(late) else 0.0


def drag(handle, seconds, pictures=0, reach=0.4):
    """Drag a horizontal slider to and fro by ``reach`` of its length, about its middle.

    For so many seconds, and until so many pictures were painted; 30 s at most.
    """
    page, painted = handle.page, 0
    with held(handle) as move:
        move(0.5)
        page.wait_for_timeout(1000)
        page.evaluate(CLEAR)
        start = now = page.evaluate("() => performance.now()")
        while now < start + 1000 * seconds or (painted < pictures and now < start + 30_000):
            phase = 2 * np.pi * (now - start) / 2000  # to and fro in two seconds
            move(0.5 + reach * np.sin(phase))
            page.wait_for_timeout(8)
            now, painted = page.evaluate("() => [performance.now(), probe.paints.length]")
    page.wait_for_timeout(1500)
    seen = page.evaluate("() => probe")
    first = seen["events"][0]
    return Drag(
        np.array(seen["events"]) - first,
        np.array(seen["paints"]) - first,
        np.array(seen["widths"]),
    )
