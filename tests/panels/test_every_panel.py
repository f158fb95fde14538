"""What holds of every panel: controls, picture, caches, and what it asks of a browser."""

import copy
import importlib

import numpy as np
import pytest
from ipywidgets.embed import dependency_state
from panel_driving import PANELS, drive

from course_utils.widgets import still

# Retraining at every end takes as long as all others; sum_of_elbos moves as weighting does.
SLOW = ("retraining", "sum_of_elbos")
DRIVEN = [pytest.param(n, marks=pytest.mark.full) if n in SLOW else n for n in PANELS]


@pytest.fixture(params=PANELS)
def module(request):
    return importlib.import_module(f"course_utils.panels.{request.param}")


@pytest.fixture
def panel(module):
    panel = module.panel()
    yield panel
    panel.close()


@pytest.mark.parametrize("module", DRIVEN, indirect=True)
def test_every_control_to_its_ends(panel):
    assert drive(panel) >= 2 * len(panel.controls)


MOVED = [("chain", {"time": 0.9}), ("weighting", {"shift": 1.0})]


@pytest.mark.parametrize(("module", "moved"), MOVED, indirect=["module"])
def test_a_picture_of_the_computed_numbers(module, panel, moved):
    other = module.picture(**moved)
    assert panel.results == module.compute(**panel.values)[0]
    assert other.size == panel.picture.size and other != panel.picture


@pytest.mark.full
def test_words_of_a_still_are_whole_and_nothing_crosses_them(panel):
    """Nothing is cut off at the edges; titles and legends stand apart, above the marks."""
    for values in ({}, *panel.presets.values()):
        panel.set(**panel.start | values)
        figure = still.figure(panel.scene, panel.arrays)
        figure.canvas.draw()
        drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3]
        edges = drawn[:, :2], drawn[:, -2:], drawn[:2], drawn[-2:]
        assert min(edge.min() for edge in edges) > 200, values
        apart = []
        for ax in figure.axes:
            second = [each.xaxis.get_tightbbox() for each in ax.child_axes]
            words = ax._left_title, *(ax.legend_.texts if ax.legend_ else ())
            apart += [ax.bbox, *second, *(each.get_window_extent() for each in words)]
        apart = [box.padded(-2) for box in apart]
        for i, box in enumerate(apart):
            assert not box.count_overlaps(apart[:i]), (values, box)


def test_caches_cannot_be_spoilt_and_a_front_end_needs_anywidget_alone(module, panel):
    """Colab, VS Code and hubs show ipywidgets' own widgets and anywidgets, and no others."""
    numbers, arrays = module.compute(**panel.values)
    before = copy.deepcopy(arrays)
    for array in arrays.values():
        if isinstance(array, np.ndarray) and array.flags.writeable:
            array *= 0
    again, arrays = module.compute(**panel.values)
    assert again == numbers
    np.testing.assert_equal(arrays, before)
    needed = {state["model_module"] for state in dependency_state(panel).values()}
    assert needed <= {"@jupyter-widgets/base", "@jupyter-widgets/controls", "anywidget"}
