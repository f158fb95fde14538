"""The controls of a panel: a slider, a list, a switch, and a row of bars."""

import numbers
from decimal import Decimal

import ipywidgets
import traitlets

# All columns of a CSS grid, as grid_area: an empty grid_area would undo a grid_column.
WHOLE_ROW = "auto / 1 / auto / -1"


def slider(label, low, high, step, value, *, unit="", orientation="horizontal"):
    """Return a slider from ``low`` to ``high``, of integers where all four numbers are integers.

    Raises:
        ValueError: ``value`` is outside the range.
    """
    if not low <= value <= high:
        raise ValueError(f"slider {label!r}: value {value} is outside {low} to {high}")
    whole = all(isinstance(number, numbers.Integral) for number in (low, high, step, value))
    decimals = max(0, -Decimal(str(step)).normalize().as_tuple().exponent)
    return (ipywidgets.IntSlider if whole else ipywidgets.FloatSlider)(
        value=value,
        min=low,
        max=high,
        step=step,
        readout_format="d" if whole else f".{decimals}f",
        orientation=orientation,
        **_look(label, unit),
    )


def choice(label, options, value=None, *, slide=False):
    """Return a drop-down list, or with ``slide`` a slider over the options, the first chosen.

    ``options`` is a list of values or of (label, value) pairs.
    """
    kind = ipywidgets.SelectionSlider if slide else ipywidgets.Dropdown
    chosen = {} if value is None else {"value": value}
    return kind(options=options, **chosen, **_look(label))


def switch(label, value=False):
    """Return a checkbox."""
    return ipywidgets.Checkbox(value=value, indent=False, **_look(label))


class Equaliser(ipywidgets.VBox):
    """A row of vertical sliders with one ``value``, the tuple of theirs.

    Args:
        labels: one short label a slider.
        low, high, step: the range that all sliders share.
        value: where they start: one number for all, or one each.
        label: words above the row; ``unit`` follows them in brackets.
    """

    value = traitlets.Tuple()

    def __init__(self, labels, low, high, step, value, *, label="", unit=""):
        starts = [value] * len(labels) if isinstance(value, numbers.Real) else value
        self.bars = [
            slider(str(words), low, high, step, start, orientation="vertical")
            for words, start in zip(labels, starts, strict=True)
        ]
        self._spreading = False
        for bar in self.bars:
            bar.tooltip = f"{_with_unit(label, unit)} {bar.description}".strip()
            bar.layout.flex, bar.layout.height = "1 1 0", "160px"
            bar.layout.min_width, bar.layout.max_width = "44px", "64px"
        row = ipywidgets.HBox(self.bars, layout=ipywidgets.Layout(flex_flow="row wrap"))
        title = [ipywidgets.Label(_with_unit(label, unit))] if label else []
        layout = ipywidgets.Layout(grid_area=WHOLE_ROW)
        super().__init__([*title, row], value=tuple(bar.value for bar in self.bars), layout=layout)
        for bar in self.bars:
            bar.observe(self._gather, "value")
        self.observe(self._spread, "value")

    @traitlets.validate("value")
    def _fits(self, proposal):
        value, low, high = proposal["value"], self.bars[0].min, self.bars[0].max
        if len(value) != len(self.bars) or not all(low <= number <= high for number in value):
            raise ValueError(f"{value!r}: pass {len(self.bars)} numbers from {low} to {high}")
        return value

    def _gather(self, change):
        if not self._spreading:
            self.value = tuple(bar.value for bar in self.bars)

    def _spread(self, change):
        self._spreading = True  # the value is already complete: do not gather it half set
        try:
            for bar, number in zip(self.bars, change["new"], strict=True):
                bar.value = number
        finally:
            self._spreading = False


def _look(label, unit=""):
    words = _with_unit(label, unit)
    return {
        "description": words,
        "tooltip": words,  # without one, JupyterLab shows "null"
        "style": {"description_width": "initial"},  # a longer label takes room from its slider
        "layout": ipywidgets.Layout(width="auto"),
    }


def _with_unit(label, unit):
    return f"{label} ({unit})" if unit else label
