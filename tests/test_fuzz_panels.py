"""Every panel under every combination of its controls: several at once, presets between, resets.

Each panel is built once and moved by ``set``, so that an example costs tens of milliseconds.
"""

import importlib
import pkgutil
from functools import cache

import ipywidgets
import numpy as np
import pytest
from fuzzing import examples
from hypothesis import given
from hypothesis import strategies as st
from panel_driving import inspect

from course_utils import panels
from course_utils.live import Equaliser

NAMES = sorted(m.name for m in pkgutil.iter_modules(panels.__path__) if m.name[0] != "_")


@cache
def built(name):
    """The panel, and where it stood at first."""
    panel = importlib.import_module(f"course_utils.panels.{name}").panel()
    return panel, panel.values


def values_of(widget):
    """A strategy of what a control can be set to: its ends and grid points, or any option."""
    if isinstance(widget, Equaliser):
        return st.tuples(*[values_of(bar) for bar in widget.bars])
    if hasattr(widget, "options"):
        pairs = [o if isinstance(o, tuple) else (o, o) for o in widget.options]
        return st.sampled_from([value for _, value in pairs])
    if isinstance(widget.value, bool):
        return st.booleans()
    if isinstance(widget, ipywidgets.FloatLogSlider):
        return st.floats(widget.min, widget.max).map(lambda power: widget.base**power)
    if isinstance(widget.value, tuple):
        pair = st.tuples(*[st.floats(widget.min, widget.max)] * 2)
        return pair.map(lambda ends: tuple(sorted(ends)))
    if isinstance(widget.value, int):
        return st.integers(widget.min, widget.max)
    ends = st.sampled_from([widget.min, widget.max, widget.value])
    return st.one_of(ends, st.floats(widget.min, widget.max))


def settings_of(panel):
    """A strategy of what is set in turn: a few controls, all of them, a preset, a reset (None)."""
    each = {name: values_of(widget) for name, widget in panel.controls.items()}
    kinds = [
        st.fixed_dictionaries({}, optional=each),
        st.fixed_dictionaries(each),
        st.none(),
    ]
    if panel.presets:
        kinds.append(st.sampled_from(list(panel.presets.values())))
    return st.lists(st.one_of(kinds), min_size=1, max_size=3)


def stands_well(name, data):
    """Settings in turn: after each the panel stands well, shows them, and ``reset`` restores."""
    panel, start = built(name)
    for setting in data.draw(settings_of(panel)):
        panel.reset() if setting is None else panel.set(**setting)
        inspect(panel, f"{name} at {panel.values}")
        for control, value in (start if setting is None else setting).items():
            assert panel.values[control] == value, f"{name}: {control} is not {value!r}"
    panel.reset()
    assert panel.values == start, f"{name}: reset left {panel.values}"


@pytest.mark.parametrize("name", NAMES)
@examples(2)
@given(data=st.data())
def test_controls_in_combination(name, data):
    stands_well(name, data)


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
@examples(12)
@given(data=st.data())
def test_many_more_combinations(name, data):
    stands_well(name, data)


ILLEGAL = [np.nan, np.inf, -np.inf, 1e300, -1e300, 10**30, None, "abc", b"1", [], {}, (), 1j]
ILLEGAL += [(1, 2), (np.nan,) * 7, ("a",) * 7, object(), np.array([1.0, 2.0]), np.array("a")]


@pytest.mark.parametrize("name", NAMES)
def test_illegal_values_change_nothing(name):
    panel, _ = built(name)
    before, results, picture = panel.values, dict(panel.results), panel.image_bytes()
    for control in panel.controls:
        for value in ILLEGAL:
            with pytest.raises(ValueError, match=control):
                panel.set(**{control: value})
    with pytest.raises(ValueError, match="no control 'whatsit'"):
        panel.set(whatsit=1, **before)
    assert (panel.values, panel.results) == (before, results)
    assert panel.error is None and panel.image_bytes() == picture


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_and_a_start_refuse_what_the_controls_do(name):
    module = importlib.import_module(f"course_utils.panels.{name}")
    control = next(iter(built(name)[0].controls))
    with pytest.raises(ValueError, match=control):
        module.panel(**{control: np.nan})
    with pytest.raises(ValueError, match="no control 'whatsit'"):
        module.figure(whatsit=1)
