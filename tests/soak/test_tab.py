"""The same in the browser's tab, on pages without a kernel: what thousands of movements leave."""

import importlib
import json
import os
from pathlib import Path

import pytest
from instrument_page import shown
from moving import as_json
from panel_driving import PANELS, outgrown
from serving import chromium

MOVEMENTS = int(os.environ.get("SOAK_MOVEMENTS", "20000"))
# What may remain after the warm-up: bytes of the tab's heap, nodes of the page, its listeners.
LIMITS = {"JSHeapUsedSize": 1e6, "Nodes": 30, "JSEventListeners": 0}
SOAK = Path(__file__).with_name("tab.js").read_text(encoding="utf-8")


def soaked(context, name, movements, warm_up, moved="null"):
    """Return what a tab holds more after ``movements`` than after the warm-up, by name."""
    panel, found = importlib.import_module(f"course_utils.panels.{name}").panel(), []
    record = json.loads(as_json(name, panel))
    panel.close()
    with shown(context, record, address=False) as page:
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        page.add_script_tag(content=SOAK)
        for number in (warm_up, movements):
            page.evaluate(f"soak({number}, {moved})")
            session.send("HeapProfiler.collectGarbage")
            metrics = session.send("Performance.getMetrics")["metrics"]
            found.append({m["name"]: m["value"] for m in metrics if m["name"] in LIMITS})
    return {name: found[1][name] - found[0][name] for name in LIMITS}


@pytest.mark.full
def test_a_short_soak_of_both_kinds_and_a_leak_is_seen():
    with chromium() as context:
        for name in ("counting", "sum_of_elbos"):
            assert outgrown(soaked(context, name, 400, 200), LIMITS) == {}
        leak = """k => (window.kept ??= []).push(document.createElement("p"),
            Array.from({ length: 1000 }, () => k))"""
        found = soaked(context, "counting", 400, 200, leak)
        assert {"JSHeapUsedSize", "Nodes"} <= set(outgrown(found, LIMITS))


@pytest.mark.soak
@pytest.mark.parametrize("name", PANELS)
def test_a_long_soak(name, capsys):
    with chromium() as context:
        found = soaked(context, name, MOVEMENTS, max(500, MOVEMENTS // 10))
    with capsys.disabled():
        words = " ".join(f"{key} {value:+,.0f}" for key, value in found.items())
        print(f"\n{name:<14} {MOVEMENTS} movements in the tab: {words}", flush=True)
    assert outgrown(found, LIMITS) == {}
