"""The same in the browser's tab, on pages without a kernel: what thousands of movements leave."""

import importlib
import os

import pytest
from moving import as_json
from panel_driving import PANELS
from serving import HOST, ROOT, chromium, errors_of

MOVEMENTS = int(os.environ.get("SOAK_MOVEMENTS", "20000"))
# What may remain after the warm-up: bytes of the tab's heap, nodes of the page, its listeners.
LIMITS = {"JSHeapUsedSize": 1e6, "Nodes": 30, "JSEventListeners": 0}
ADDRESS = f"http://{HOST}:1/"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>A panel</title>
<div id="place"></div><script type="module">
import { host, mount } from "./panels.js";
const page = await (await fetch("page.json")).json();
(page.states ? host : mount)(document.getElementById("place"), page);
let seed = 1;
const chance = count => (seed = seed * 48271 % 2147483647) % count;
const kinds = { checkbox: i => { i.checked = !i.checked; }, range: i => {
    i.value = +i.min + (i.max - i.min) * chance(101) / 100; } };
window.soak = async (movements, moved) => {
    const inputs = [...document.querySelectorAll(".won-control :is(input, select)")];
    for (let k = 0; k < movements; k++) {
        const input = inputs[chance(inputs.length)];
        if (input.options) input.selectedIndex = chance(input.options.length);
        else kinds[input.type](input);
        for (const kind of ["input", "change"]) input.dispatchEvent(new Event(kind));
        await new Promise(requestAnimationFrame);
        moved?.(k);
    }
    [...document.querySelectorAll("button")].find(b => b.textContent === "Reset").click();
    await new Promise(done => setTimeout(done, 1000));
};
window.ready = true;
</script>"""


def grown(context, recording, movements, warm_up, moved="null"):
    """Return what a tab holds more after ``movements`` than after the warm-up, by name."""
    page = context.new_page()
    errors, session = errors_of(page), context.new_cdp_session(page)
    bodies = {
        "panels.js": ((ROOT / "course_utils/widgets/panels.js").read_text(), "text/javascript"),
        "page.json": (recording, "application/json"),
    }

    def answer(route):
        body, kind = bodies.get(route.request.url.rpartition("/")[2], (PAGE, "text/html"))
        route.fulfill(body=body, content_type=kind)

    page.route(f"{ADDRESS}**", answer)
    page.goto(ADDRESS)
    page.wait_for_function("window.ready")
    session.send("Performance.enable")
    found = []
    for number in (warm_up, movements):
        page.evaluate(f"soak({number}, {moved})")
        session.send("HeapProfiler.collectGarbage")
        metrics = session.send("Performance.getMetrics")["metrics"]
        found.append({m["name"]: m["value"] for m in metrics if m["name"] in LIMITS})
    page.close()
    assert not errors, errors
    return {name: found[1][name] - found[0][name] for name in LIMITS}


def outgrown(found):
    """Return the names of what grew beyond its limit, with the growth."""
    return {name: found[name] for name, limit in LIMITS.items() if found[name] > limit}


def soaked(context, name, movements, warm_up, moved="null"):
    panel = importlib.import_module(f"course_utils.panels.{name}").panel()
    try:
        return grown(context, as_json(name, panel), movements, warm_up, moved)
    finally:
        panel.close()


@pytest.mark.full
def test_a_short_soak_of_both_kinds_and_a_leak_is_seen():
    with chromium() as context:
        for name in ("counting", "sum_of_elbos"):
            assert outgrown(soaked(context, name, 400, 200)) == {}
        leak = """k => (window.kept ??= []).push(document.createElement("p"),
            Array.from({ length: 1000 }, () => k))"""
        found = soaked(context, "counting", 400, 200, leak)
        assert {"JSHeapUsedSize", "Nodes"} <= set(outgrown(found))


@pytest.mark.soak
@pytest.mark.parametrize("name", PANELS)
def test_a_long_soak(name, capsys):
    with chromium() as context:
        found = soaked(context, name, MOVEMENTS, max(500, MOVEMENTS // 10))
    with capsys.disabled():
        words = " ".join(f"{key} {value:+,.0f}" for key, value in found.items())
        print(f"\n{name:<14} {MOVEMENTS} movements in the tab: {words}", flush=True)
    assert outgrown(found) == {}
