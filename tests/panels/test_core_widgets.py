"""Panels use ipywidgets' own widgets alone: Colab, VS Code and hubs need no extension for them."""

import importlib
import pkgutil
import subprocess
import sys

import ipywidgets
import pytest
import traitlets

from course_utils import panels

CORE = {"@jupyter-widgets/base", "@jupyter-widgets/controls", "@jupyter-widgets/output"}
NAMES = [m.name for m in pkgutil.iter_modules(panels.__path__) if not m.name.startswith("_")]


def modules_of(root):
    """The front-end modules that a widget and all it holds need."""
    found, left, seen = set(), [root], set()
    while left:
        widget = left.pop()
        if widget.model_id in seen:
            continue
        seen.add(widget.model_id)
        found |= {widget._model_module, widget._view_module}
        for name in widget.keys:
            value = getattr(widget, name)
            held = value if isinstance(value, (list, tuple)) else [value]
            left += [w for w in held if isinstance(w, ipywidgets.Widget)]
    return found - {None}


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_a_panel_needs_no_extension(name):
    panel = importlib.import_module(f"course_utils.panels.{name}").panel()
    assert {"@jupyter-widgets/controls"} <= modules_of(panel) <= CORE
    panel.close()


def test_a_foreign_widget_is_seen():
    class Foreign(ipywidgets.DOMWidget):
        _model_module = traitlets.Unicode("jupyter-matplotlib").tag(sync=True)

    box = ipywidgets.VBox([ipywidgets.HBox([Foreign()])])
    assert "jupyter-matplotlib" in modules_of(box)


def test_no_other_widget_package_is_imported():
    code = "import sys, course_utils.widgets.panel; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "ipywidgets" in loaded
    assert not loaded & {"ipympl", "plotly", "bqplot", "anywidget", "IPython.html", "k3d"}
