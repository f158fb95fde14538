"""What holds of every panel: controls, picture, caches, and what it asks of a browser."""

import copy
import importlib
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
from ipywidgets.embed import dependency_state
from panel_driving import drive

from course_utils import panels

NAMES = [m.name for m in pkgutil.iter_modules(panels.__path__) if not m.name.startswith("_")]


# Retraining at every end takes as long as all other panels together.
ENDS = [pytest.param(n, marks=pytest.mark.full) if n == "retraining" else n for n in NAMES]


@pytest.fixture(params=NAMES)
def module(request):
    return importlib.import_module(f"course_utils.panels.{request.param}")


def values(module):
    return {name: widget.value for name, widget in module.controls().items()}


@pytest.mark.parametrize("module", ENDS, indirect=True)
def test_every_control_to_its_ends(module):
    panel = module.panel()
    done = drive(panel)
    panel.close()
    assert done >= 2 * len(panel.controls)


def test_a_picture_of_the_computed_numbers(module):
    panel = module.panel()
    numbers, _ = module.compute(**panel.values)
    assert panel.results == numbers and panel.text().startswith(panel.alt)
    name, widget = next(iter(panel.controls.items()))
    moved = next(value for value in widget.ends()[::-1] if value != panel.values[name])
    other = module.picture(**{name: moved})
    assert other.size == panel.picture.size and other.size[0] == 1880
    assert not np.array_equal(np.asarray(other), np.asarray(panel.picture))
    panel.close()


def test_what_was_computed_can_be_spoilt_by_nobody(module):
    """Caches stand behind the arrays: one changed in place must not come back changed."""
    settings = values(module)
    numbers, arrays = module.compute(**settings)
    before = copy.deepcopy(arrays)
    for array in arrays.values():
        if isinstance(array, np.ndarray) and array.flags.writeable:
            array *= 0
    again, arrays = module.compute(**settings)
    assert again == numbers
    np.testing.assert_equal(arrays, before)


def test_a_front_end_needs_anywidget_and_nothing_more(module):
    """Colab, VS Code and hubs show ipywidgets' own widgets and anywidgets, and no others."""
    panel = module.panel()
    needed = {state["model_module"] for state in dependency_state(panel).values()}
    panel.close()
    assert needed <= {"@jupyter-widgets/base", "@jupyter-widgets/controls", "anywidget"}


def test_no_other_widget_package_is_imported():
    code = "import sys, course_utils.panels.counting; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "anywidget" in loaded
    assert not loaded & {"ipympl", "plotly", "bqplot", "IPython.html", "k3d", "torch"}
