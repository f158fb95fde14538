"""The instrument: what the browser's arithmetic answers is what Python's own quadrature finds."""

import copy
import itertools
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from panel_driving import ends
from scipy.stats import norm

from course_utils.atlas import ATLAS
from course_utils.audit import audit, coefficients
from course_utils.objectives import PUBLISHED, from_script
from course_utils.panels import _instrument as instrument
from course_utils.panels import weighting
from course_utils.panels._galaxies import error_curve
from course_utils.panels._instrument import NAMES
from course_utils.weightings import sigmoid
from course_utils.widgets.controls import Bars, Slider

ANSWERS = Path(__file__).with_name("answers.mjs")
SUM, QUADRATURE = 1e-9, 1e-6
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")


def answers(states, tables=None):
    """Return what the browser's arithmetic answers to each state."""
    tables = tables or instrument.tables(objectives=ATLAS)
    asked = json.dumps({"tables": tables, "states": list(states)})
    done = subprocess.run(["node", ANSWERS], input=asked, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def states(n, rng):
    """Random states: all that a hand can do."""

    def strokes():
        """A few strokes of a brush, in powers of ten."""
        gains = np.zeros(161)
        for _ in range(3):
            far = (instrument.FINE - rng.uniform(-10, 10)) / rng.uniform(0.3, 3)
            gains += rng.uniform(-2, 2) * np.exp(-(far**2) / 2)
        return np.clip(np.round(gains, 3), -2, 2)

    def anywhere(control):
        steps = round((control.high - control.low) / control.step)
        return round(float(control.low + control.step * rng.integers(steps + 1)), 6)

    for _ in range(n):
        state = {}
        for name, control in instrument.controls().items():
            if isinstance(control, Slider):
                state[name] = anywhere(control)
            elif isinstance(control, Bars):
                state[name] = [anywhere(control) * rng.integers(2) for _ in control.labels]
            else:
                state[name] = (found := ends(control))[rng.integers(len(found))]
        state["galaxy"] = int(rng.choice([0, 0, *instrument.KEPT]))
        state |= {"brush": strokes().tolist() if rng.integers(2) else []}
        yield state | {"drawn": (strokes() - 1).tolist()}


def agree(state, answer):
    """Fail unless the browser's numbers and arrays of a state are Python's."""
    mine, arrays = instrument.compute(**state)
    theirs, most = answer["numbers"], mine["positive"]
    # a sum of ELBOs may be the small difference of large terms
    bar = ("gained", "with_atom", "kept", "constant")
    terms = sum(abs(mine[name]) for name in bar)
    kl = float(error_curve(state["model"], state["galaxy"]).path_kl.max())
    scales = dict.fromkeys(("sum_of_elbos", *bar), terms)
    scales |= {"weighted_loss": mine["weighted_loss"], "median": mine["median"], "coarse": 1}
    scales |= {"negative_share": terms / mine["weighted_loss"], "layers": 1}
    scales |= {"half": most, "product": most / 0.05 * kl}
    sums = dict.fromkeys(("grid", "centres", "layer_levels", "before", "sampled"), 1)
    sums |= dict.fromkeys(("atom_mass", "positive", "negative", "heights"), most)
    sums |= {"rate": most / 0.05}
    both = mine | arrays, theirs | answer["arrays"]
    for tolerance, names in ((QUADRATURE, scales), (SUM, sums)):
        for name, scale in names.items():
            ours, found = (np.array(side[name], float) for side in both)  # null: not a number
            np.testing.assert_allclose(
                found, ours, rtol=0, atol=tolerance * scale, err_msg=f"{name}: {state}"
            )
    w = instrument.weighting(state)
    assert w(theirs["peak"]) == pytest.approx(w(mine["peak"]), rel=SUM)
    for name in ("verdict", "convention"):
        assert theirs.get(name) == mine.get(name), state


def each(names):
    """A state for each objective, the models taking turns."""
    return [
        instrument.START | instrument.range_of(name) | {"objective": name, "model": model}
        for name, model in zip(names, itertools.cycle(["right", "wrong"]), strict=False)
    ]


STEEP = [0.1, 0.0, 2.0, 0.0, 0.0, -2.0, -1.9]  # beyond both ends a curve would overshoot


@needs_node
@pytest.mark.parametrize(
    "asked",
    [
        lambda: [*states(20, np.random.default_rng(0)), instrument.START | {"gains": STEEP}],
        lambda: each(PUBLISHED),
        pytest.param(lambda: each(ATLAS), marks=pytest.mark.full),
        pytest.param(lambda: states(400, np.random.default_rng(1)), marks=pytest.mark.full),
    ],
    ids=["by hand", "published", "atlas", "many by hand"],
)
def test_the_browser_finds_what_python_finds(asked):
    """Both sides, the shares, the masses, all that is drawn: for any state."""
    asked = list(asked())
    for state, answer in zip(asked, answers(asked), strict=True):
        agree(state, answer)


@needs_node
def test_a_table_off_by_one_percent_is_seen_as_a_residual():
    for table, right in zip("eL", error_curve().at(instrument.TABLE), strict=True):
        for factor in (1, 1.01):
            tables = copy.deepcopy(instrument.tables())
            tables["curves"]["right 0"][table] = instrument._packed(factor * right, np.float64)
            found = answers([instrument.START], tables)[0]["numbers"]
            residual = abs(found["weighted_loss"] / found["sum_of_elbos"] - 1)
            assert residual < QUADRATURE if factor == 1 else residual > 5e-3


@pytest.mark.parametrize("objective", PUBLISHED)
def test_both_sides_agree_and_the_parts_make_the_bar(objective):
    for values in ({}, {"shift": 6.0, "model": "wrong"}, {"log_snr_min": -2.0, "galaxy": 82}):
        found, arrays = instrument.compute(objective=objective, **values)
        assert found["sum_of_elbos"] == pytest.approx(found["weighted_loss"], rel=1e-6)
        assert found["kept"] - found["constant"] == pytest.approx(found["sum_of_elbos"])
        assert found["gained"] >= -1e-12 and found["kept"] <= found["with_atom"]
        # the areas drawn are those of the bars
        left = np.trapezoid(arrays["half"], arrays["grid"])
        cells = np.diff(arrays["grid"])
        atom = found["with_atom"] - found["gained"]
        right = (arrays["product"] * cells).sum() + atom - found["constant"]
        assert [left, right] == pytest.approx([found["weighted_loss"]] * 2, rel=0.02, abs=1e-4)


def test_the_panel_holds_a_weighting_and_takes_one():
    panel = weighting.panel(objective="edm", gains=(0, 0, 1, 0, 0, 0, 0))
    here = np.linspace(-9.9, 9.9, 37)
    np.testing.assert_array_equal(panel.weighting(here), instrument.weighting(panel.values)(here))
    panel.weighting = sigmoid(1.0)
    np.testing.assert_allclose(panel.weighting(here), sigmoid(1.0)(here), rtol=1e-4)
    assert panel.values["objective"] == "drawn" and not any(panel.values["gains"])
    assert f"{panel.weighting(3.0):.6f}" == f"{sigmoid(1.0)(3.0):.6f}"
    with pytest.raises(ValueError, match="zero on all"):
        panel.weighting = np.zeros_like
    panel.close()


@needs_node
def test_a_script_stands_beside_the_published_ones_and_is_read_back():
    script = from_script(betas="scaled_linear", name="mine")
    other = from_script(betas="scaled_linear", prediction="v", name="theirs")
    panel = weighting.panel(objective=[script, other])
    options = panel.controls["objective"].options
    assert [name for name, _ in options[:3]] == ["mine", "theirs", NAMES["elbo"]]
    here = np.linspace(panel.values["log_snr_min"], panel.values["log_snr_max"], 301)
    mine, shown = script.implied_weighting()(here), panel.weighting(here)
    np.testing.assert_allclose(shown / shown.max(), mine / mine.max(), rtol=6e-3)
    assert "from −5.3 to −0.5" in panel.results["verdict"]
    (answer,) = answers([panel.values], panel.page()["spec"]["local"]["tables"])
    agree(panel.values, answer)

    panel.set(monotone_lock=True)  # … and what is on the screen goes back into the script
    pasted = coefficients(script, panel.weighting)
    again = from_script(betas="scaled_linear", coefficient=pasted)
    assert audit(again).monotone and not audit(script).monotone and pasted.shape == (1000,)
    panel.set(objective=options[1][1])
    assert panel.results["verdict"] == "w is monotone"
    panel.close()
    for wrong in ([], [PUBLISHED["edm"], "sana"], 3):
        with pytest.raises(ValueError, match="objective must be a name of the list"):
            weighting.panel(objective=wrong)
    clean = from_script(density=norm(30, 1), name="clean")
    with pytest.raises(ValueError, match="clean has levels from λ = 25"):
        weighting.panel(objective=clean)


def test_the_tables_are_small():
    assert len(json.dumps(instrument.tables())) < 30_000
