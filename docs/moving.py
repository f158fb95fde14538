"""The panels that move on the web page, where no Python runs.

The instrument computes for itself (``Instrument.page``, ``mount`` in panels.js). Of the others,
whose arithmetic is Python's, the page has recorded states along their main controls (``recorded``,
``host``). Each comes as one file of JSON, which the page asks for when the panel comes in sight.
"""

import importlib
import json

from course_utils.objectives import from_script
from course_utils.panels._instrument import Instrument
from course_utils.panels.weighting import chosen
from course_utils.widgets.controls import Slider
from course_utils.widgets.panel import plainly

DESIGN = {"objective": "sigmoid", "gains": (-2.0, -2.0, -2.0, 0.0, 0.0, 0.0, 0.0)}
SCRIPT = from_script(betas="scaled_linear", prediction="v", coefficient=("min_snr", 5))
# A notebook's panels in their order: module, function, what the notebook starts them with.
PANELS = {
    "00": [("counting", "panel", {}), ("weighting", "simple", {})],
    "01": [("chain", "panel", {})],
    "02": [("sde_limit", "panel", {})],
    "03": [("reverse", "panel", {})],
    "04": [("elbo", "panel", {})],
    "05": [
        ("weighting", "panel", {}),
        ("weighting", "panel", {"objective": SCRIPT, "monotone_lock": True}),
    ],
    "06": [("sum_of_elbos", "panel", {})],
    "07": [("half_a_nat", "panel", {"amount": 0.0}), ("retraining", "panel", {})],
    "08": [
        ("weighting", "panel", DESIGN),
        ("retraining", "panel", {"measure": "wasserstein", "objective": chosen(**DESIGN)}),
    ],
}
# What is recorded: for a slider, how many of its steps lie between two states; else every value.
RECORDED = {
    "chain": {"time": 10},
    "counting": {"leave_out": 1, "keep": 2, "squeeze": 1},
    "elbo": {"schedule": 1, "weight": 1, "log_snr_min": 1, "log_snr_max": 1},
    "half_a_nat": {"amount": 2, "level": 5},
    "retraining": {"objective": 1, "shift": 5, "monotone_lock": 1},
    "reverse": {"eta": 2, "steps": 1},
    "sde_limit": {"n_steps": 1, "rule": 1, "recursion": 1},
}
SPENT = {"half_a_nat": {"amount": 0.5}}  # where the page starts elsewhere than the notebook


def panels_of(number, outputs):
    """Yield a notebook's panels, by the notebook's number: module and panel.

    ``outputs`` are the words of the panels as saved in the notebook; ValueError if the panels
    made here say something else.
    """
    if len(outputs) != len(PANELS[number]):
        raise ValueError(f"notebook {number} has {len(outputs)} panels, moving.py knows others")
    for (module, function, start), words in zip(PANELS[number], outputs, strict=True):
        make = getattr(importlib.import_module(f"course_utils.panels.{module}"), function)
        panel = make(**start)
        if panel.text() != words:
            raise ValueError(f"notebook {number}: {module} says\n{panel.text()}\nand not\n{words}")
        yield module, make(**start | SPENT[module]) if module in SPENT else panel


def as_json(module, panel):
    """Return all that the page needs of a panel, as text."""
    if isinstance(panel, Instrument):
        return json.dumps(panel.page(), separators=(",", ":"))
    strides = RECORDED[module]
    page = recorded(panel, {name: values(panel, name, k) for name, k in strides.items()})
    for name, stride in strides.items():
        control = page["spec"]["controls"][name]
        control |= {"step": control["step"] * stride} if "step" in control else {}
    return json.dumps(page, separators=(",", ":"))


def recorded(panel, along):
    """Return a panel's states along some of its controls as JSON, for a page without a kernel.

    ``along``: control -> values. One control moves at a time, the others stand where they start.
    Fields that are those of the state before are left out.
    """
    states, fields = [], None
    for values in [{}, *({name: value} for name in along for value in along[name])]:
        panel.set(**panel.start | values)
        changed, fields = panel.fields is not fields, panel.fields
        states.append(plainly({"values": panel.values, "frame": panel.frame}))
        states[-1]["fields"] = plainly(fields) if changed else None
    panel.reset()
    return {"spec": plainly(panel.spec), "controls": list(along), "states": states}


def values(panel, name, stride):
    """Return every ``stride``-th value of a slider, or all values of another control."""
    control = panel.controls[name]
    if not isinstance(control, Slider):
        return control.values
    steps = round((control.high - control.low) / control.step)
    numbers = [control.low + i * control.step for i in range(0, steps + 1, stride)]
    return numbers if control.whole else [round(number, 6) for number in numbers]
