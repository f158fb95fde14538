"""`make soak`: 20,000 movements on every panel in one kernel; a short version in `make test-all`.

Memory, widgets, artists and threads must stand where they stood after the warm-up, and
the same movements must take the processor as long at the end as at the beginning.
"""

import json
import os
import pkgutil

import pytest
from jupyter_client.manager import start_new_kernel

import course_utils.panels

PANELS = [
    module.name
    for module in pkgutil.iter_modules(course_utils.panels.__path__)
    if not module.name.startswith("_")
]
MOVEMENTS = int(os.environ.get("SOAK_MOVEMENTS", "20000"))
SHORT, REPLAYED = 80, 200
# What may remain after the warm-up; memory, in MB, is the whole process's. Objects are printed:
# matplotlib remembers the sizes of some 4000 different words.
LIMITS = {"memory": 10.0, "widgets": 0, "artists": 0, "threads": 0}
# A model computes more of itself, tens of MB, the more it is asked for.
EMPTIED = {"retraining": ["_model"]}
SLOWER = 1.3  # processor time, the same 200 movements

PREPARE = f"""
import sys, json, importlib
sys.path.insert(0, {os.path.dirname(os.path.dirname(os.path.abspath(__file__)))!r})
import soaking
"""
SOAK = """
room = importlib.import_module("course_utils.panels.{name}")
panel = room.panel()
print(json.dumps(soaking.soak(panel, {numbers}, [getattr(room, n).cache_clear for n in {emptied}])))
panel.close()
del panel
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

    run(PREPARE, 60)
    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def outgrown(found):
    """Return what grew beyond its limit, in words."""
    return [f"{name}: +{found[name]:g}" for name, limit in LIMITS.items() if found[name] > limit]


@pytest.mark.full
@pytest.mark.parametrize("name", PANELS)
def test_a_short_soak(name, kernel):
    code = SOAK.format(name=name, numbers=f"{SHORT}, 20, {SHORT}", emptied=EMPTIED.get(name, []))
    found = json.loads(kernel(code, 600))
    assert outgrown(found) == []


@pytest.mark.soak
@pytest.mark.parametrize("name", PANELS)
def test_a_long_soak(name, kernel, capsys):
    numbers = f"{MOVEMENTS}, {max(500, MOVEMENTS // 10)}, {REPLAYED}"
    code = SOAK.format(name=name, numbers=numbers, emptied=EMPTIED.get(name, []))
    found = json.loads(kernel(code, 6 * 3600))
    with capsys.disabled():
        words = " ".join(f"{key} {value:+.3g}" for key, value in found.items())
        print(f"\n{name:<14} {MOVEMENTS} movements: {words}", flush=True)
    assert outgrown(found) == []
    assert found["slowdown"] < SLOWER


LEAKY = """
from matplotlib.figure import Figure
from course_utils.widgets.controls import slider
from course_utils.widgets.panel import Panel

figure, kept = Figure((3, 2)), []
axes = figure.subplots()

def update(x):
    axes.plot([0, x])
    kept.append(b"x" * 4_000_000)  # written, or no page is taken

panel = Panel(figure, update, {"x": slider("x", 0, 9, 1, 0)}, alt="It keeps what it draws.")
print(json.dumps(soaking.soak(panel, 40, 0, 5)))
"""


@pytest.mark.full
def test_a_leak_is_seen(kernel):
    found = json.loads(kernel(LEAKY, 300))
    assert [words.split(":")[0] for words in outgrown(found)] == ["memory", "artists"]
