"""The notebook of live slides: its form, and whether what the slides say is what the panels say."""

import importlib
import json
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from test_notebooks import ROOT, RULES

PATH = ROOT / "slides/live_panels.ipynb"
LIVE = ROOT / "slides/live"
SHARE = Path(sys.prefix) / "share/jupyter"
# Of the notebooks' rules these make no sense for slides: a slide has neither goals nor exercises.
NOT_FOR_SLIDES = {
    "begins_with_the_installation", "opens_well", "closes_well", "exercises_complete",
    "tells_its_time",
}  # fmt: skip


@pytest.fixture(scope="module")
def nb():
    return nbformat.read(PATH, as_version=nbformat.NO_CONVERT)


def panel_module(name):
    return importlib.import_module(f"course_utils.panels.{name}")


def test_keeps_the_notebooks_rules(nb):
    wrong = {rule: list(RULES[rule](nb, PATH)) for rule in RULES.keys() - NOT_FOR_SLIDES}
    assert not any(wrong.values()), wrong


def test_settings_are_known_to_jupyterlab():
    """A misspelt plugin or setting would be ignored in silence."""
    paths = list((LIVE / "jupyterlab-settings").rglob("*.jupyterlab-settings"))
    assert paths
    for path in paths:
        name = path.relative_to(LIVE / "jupyterlab-settings").with_suffix(".json")
        found = [*SHARE.glob(f"lab/schemas/{name}"), *SHARE.glob(f"labextensions/*/schemas/{name}")]
        (schema,) = found
        assert set(json.loads(path.read_text())) <= set(
            json.loads(schema.read_text())["properties"]
        )


def results(name, **values):
    panel = panel_module(name).panel()
    panel.set(**values)
    found = panel.results
    panel.close()
    return found


def half_a_nat(width):
    return panel_module("half_a_nat").curve(width, 0.5, (0.0,))[0, 0]


def above(features):
    settings = dict(data="two_moons", features=features, ridge=1e-4, eta=0.0, steps=40)
    settings |= dict(draws="training", measure="nearest", shift=0.0, monotone_lock=False)
    found, _ = panel_module("retraining").compute(objective="sigmoid", gains=(0.0,) * 7, **settings)
    return found["above"]


SAID = [
    ("counting", "81.0000", lambda: results("counting", leave_out=9)["count"]),
    ("counting", "81.0000", lambda: results("counting", leave_out=82)["count"]),
    ("counting", "2.3026", lambda: results("counting", keep=10)["half_area"]),
    ("counting", "4.6", lambda: 2 * np.log(10)),
    ("elbo", "3.7032", lambda: results("elbo", gains=(0, 0, 0, 0.3, 0))["loss"]),
    ("elbo", "3.99", lambda: results("elbo", schedule="cosine", weight="time")["loss"]),
    ("elbo", "1.59", lambda: results("elbo", log_snr_max=4.0)["loss"]),
    ("half_a_nat", "0.74", lambda: half_a_nat(4.0)),
    ("half_a_nat", "0.46", lambda: half_a_nat(1.0)),
    ("retraining", "0.71", lambda: above(128)),
    ("retraining", "0.45", lambda: above(512)),
]


@pytest.mark.parametrize(("name", "printed", "compute"), SAID)
def test_numbers_on_the_slides(nb, name, printed, compute):
    answer = nb.cells[[name in cell.source for cell in nb.cells].index(True) + 1]
    assert re.search(rf"(?<![\d.]){re.escape(printed)}(?!\d)", answer.source)
    decimals = len(printed.split(".")[1])
    assert f"{compute():.{decimals}f}" == printed
