"""`make soak`: 20,000 movements on every panel in one kernel; a short version in `make test-all`.

Memory, widgets and threads must stand where they stood after the warm-up.
"""

import json
import os

import pytest
from jupyter_client.manager import start_new_kernel
from panel_driving import PANELS
from serving import ROOT

MOVEMENTS = int(os.environ.get("SOAK_MOVEMENTS", "20000"))
# What may remain after the warm-up; memory, in MB, is the whole process's.
LIMITS = {"memory": 10.0, "widgets": 0, "threads": 0}
# A model computes more of itself, tens of MB, the more it is asked for.
EMPTIED = {"retraining": ["_model"]}

SOAK = f"""
import sys, json, importlib
sys.path.insert(0, {str(ROOT / "tests")!r})
import soaking

def soak(name, emptied, movements, warm_up):
    module = importlib.import_module(f"course_utils.panels.{{name}}")
    panel = module.panel()
    caches = [getattr(module, each).cache_clear for each in emptied]
    print(json.dumps(soaking.soak(panel, movements, warm_up, caches)))
    panel.close()
"""


@pytest.fixture(scope="module")
def kernel():
    """A function that runs code in one kernel and returns what it printed."""
    manager, client = start_new_kernel(kernel_name="python3")

    def run(code, timeout):
        printed = []

        def keep(message):
            if message["msg_type"] == "error":
                raise AssertionError("\n".join(message["content"]["traceback"]))
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        client.execute_interactive(code, output_hook=keep, timeout=timeout)
        return "".join(printed)

    run(SOAK, 60)
    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def outgrown(found):
    """Return the names of what grew beyond its limit, with the growth."""
    return {name: found[name] for name, limit in LIMITS.items() if found[name] > limit}


@pytest.mark.full
@pytest.mark.parametrize("name", PANELS)
def test_a_short_soak(name, kernel):
    found = json.loads(kernel(f"soak({name!r}, {EMPTIED.get(name, [])}, 80, 40)", 600))
    assert outgrown(found) == {}


@pytest.mark.soak
@pytest.mark.parametrize("name", PANELS)
def test_a_long_soak(name, kernel, capsys):
    warm_up = max(500, MOVEMENTS // 10)
    code = f"soak({name!r}, {EMPTIED.get(name, [])}, {MOVEMENTS}, {warm_up})"
    found = json.loads(kernel(code, 6 * 3600))
    with capsys.disabled():
        words = " ".join(f"{key} {value:+.3g}" for key, value in found.items())
        print(f"\n{name:<14} {MOVEMENTS} movements: {words}", flush=True)
    assert outgrown(found) == {}


LEAKY = """
import ipywidgets
from course_utils.widgets.controls import slider
from course_utils.widgets.panel import Panel
from course_utils.widgets.scene import Axis, Line, Plot, Scene

kept = []

def compute(x):
    kept.append((b"x" * 4_000_000, ipywidgets.HTML()))  # written, or no page is taken
    return {"x": x}, {"at": [0.0, 1.0], "height": [0.0, float(x)]}

plot = Plot("", Axis(0, 1), Axis(0, 9), (Line("at", "height", meaning="data"),))
panel = Panel(Scene(((plot,),), 200, "It keeps what it draws."), compute,
              {"x": slider("x", 0, 9, 1, 0)})
print(json.dumps(soaking.soak(panel, 40, 0)))
"""


@pytest.mark.full
def test_a_leak_is_seen(kernel):
    assert set(outgrown(json.loads(kernel(LEAKY, 300)))) == {"memory", "widgets"}
