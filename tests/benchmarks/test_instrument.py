"""The instrument under a hand: from a pointer event to the painted frame, and frames a second.

A browser hands on a pointer's movement where a frame begins, once a frame. A driver outside cannot
send so many; the page itself makes them, from the event with which it hears that something was
scrolled, which comes at the same moment. In the same run and in turns stands a bare page: one line
in SVG that follows the hand, the least that this browser can do. The aim on two quiet cores: within
a frame of 16.7 ms at p95, at least 50 frames a second.
"""

import contextlib

import numpy as np
import pytest
from panel_page import shown
from serving import chromium

from course_utils.panels import sum_of_elbos, weighting

pytestmark = pytest.mark.benchmark
ROUNDS, SECONDS = 4, 2.0
BARE = """<!doctype html><body style="margin: 0"><svg width="1000" height="290">
<path fill="none" stroke="green" stroke-width="3"/>
<rect class="won-brush" width="300" height="290" fill="transparent"/></svg><script>
document.querySelector("rect").addEventListener("pointermove", ({ clientY: y }) => {
  requestAnimationFrame(() => {
    let line = `M0 ${y}`;
    for (let x = 1; x <= 300; x++) line += `L${x} ${(y + 20 * Math.sin(x / 20)).toFixed(1)}`;
    document.querySelector("path").setAttribute("d", line);
  });
});</script>"""
DRAG = """async seconds => {
    const plot = document.querySelector(".won-brush"), box = plot.getBoundingClientRect();
    plot.setPointerCapture = () => {};
    const send = (name, k) => plot.dispatchEvent(new PointerEvent(name, {
        bubbles: true, isPrimary: true, clientX: box.left + 0.45 * box.width,
        clientY: box.top + (0.4 + 0.2 * Math.sin(k / 15)) * box.height,
    }));
    const ticking = document.createElement("div"), taken = [], work = [];
    ticking.style.cssText = "position: fixed; inset: 0 auto auto 0; overflow: scroll; opacity: 0";
    ticking.innerHTML = "<div style='width: 9px; height: 9999px'></div>";
    ticking.style.height = "9px";
    document.body.append(ticking);
    send("pointerdown", 0);
    const start = performance.now();
    await new Promise(done => {
        ticking.onscroll = () => {
            if (performance.now() > start + 1000 * seconds) return done();
            ticking.scrollTop = 1 + taken.length % 999;
            const since = performance.now();
            send("pointermove", taken.length);
            work.push(performance.now() - since);
            requestAnimationFrame(() => {
                const channel = new MessageChannel();  // after the frame has been handed on
                channel.port1.onmessage = () => taken.push(performance.now() - since);
                channel.port2.postMessage(0);
            });
        };
        ticking.scrollTop = 1000;
    });
    ticking.remove();
    send("lostpointercapture", 0);
    return { taken, work, frames: 1000 * taken.length / (performance.now() - start) };
}"""


@contextlib.contextmanager
def opened(context, panel):
    if panel:
        with shown(context, panel, panel.page()) as there:
            yield there.page
    else:
        page = context.new_page()
        page.set_content(BARE)
        yield page
        page.close()


def test_from_the_hand_to_the_frame(capsys, speed):
    panels = {module.__name__: module.panel() for module in (weighting, sum_of_elbos)}
    seen = {name: [] for name in ("bare page", *panels)}
    with chromium(device_scale_factor=2) as context:
        for _ in range(ROUNDS):
            for name, rounds in seen.items():
                with opened(context, panels.get(name)) as page:
                    page.wait_for_timeout(500)
                    rounds.append(page.evaluate(DRAG, SECONDS))
    lines, floor = [""], None
    for name, rounds in seen.items():
        taken, work = (np.concatenate([r[key] for r in rounds]) for key in ("taken", "work"))
        median, slow = np.percentile(taken, [50, 95])
        floor = floor or (median, slow)
        lines.append(
            f"{name}: event to frame {median:.1f} ms, p95 {slow:.1f} (beyond the bare page "
            f"{median - floor[0]:.1f} and {slow - floor[1]:.1f}); answer to the event "
            f"{np.median(work):.1f} ms; {np.median([r['frames'] for r in rounds]):.0f} frames/s"
        )
        assert len(taken) > 5 * ROUNDS * SECONDS
        if name in panels:
            what = f"a pull on w in {name.split('.')[-1]}: pointer to painted frame, p95"
            how = f"{len(taken)} movements, beside a bare page; aim 1"
            speed(what, "a frame of 16.7 ms", slow / 16.7, how, "times as long")
    with capsys.disabled():
        print("\n".join(lines))
    for panel in panels.values():
        panel.close()
