"""The instrument: what the browser's arithmetic answers is what Python's own quadrature finds."""

import copy
import itertools
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from course_utils.atlas import ATLAS
from course_utils.audit import audit, coefficients
from course_utils.objectives import PUBLISHED, from_script
from course_utils.panels import _instrument as instrument
from course_utils.panels import weighting
from course_utils.panels._galaxies import error_curve
from course_utils.panels._instrument import NAMES
from course_utils.weightings import sigmoid

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

    def step(low, high, size):
        return round(float(low + size * rng.integers(0, round((high - low) / size) + 1)), 6)

    def strokes():
        """A few strokes of a brush, in powers of ten."""
        gains = np.zeros(161)
        for _ in range(3):
            far = (instrument.FINE - rng.uniform(-10, 10)) / rng.uniform(0.3, 3)
            gains += rng.uniform(-2, 2) * np.exp(-(far**2) / 2)
        return np.clip(np.round(gains, 3), -2, 2).tolist()

    for _ in range(n):
        yield instrument.START | {
            "objective": str(rng.choice([*PUBLISHED, "drawn", *ATLAS])),
            "p2_gamma": step(0, 3, 0.1),
            "min_snr_gamma": step(0.1, 20, 0.1),
            "sigmoid_bias": step(-6, 6, 0.1),
            "edm_data_sd": step(0.1, 2, 0.05),
            "unit_variance": bool(rng.integers(2)),
            "shift": step(-6, 6, 0.1),
            "gains": [step(-2, 2, 0.1) for _ in range(7)] if rng.integers(2) else [0.0] * 7,
            "brush": strokes() if rng.integers(2) else [],
            "drawn": (np.array(strokes()) - 1).tolist(),
            "monotone_lock": bool(rng.integers(2)),
            "model": str(rng.choice(["right", "wrong"])),
            "galaxy": int(rng.choice([0, 0, *instrument.KEPT])),
            "log_snr_min": step(-10, 0, 0.5),
            "log_snr_max": step(1, 10, 0.5),
        }


def compared(state, answer):
    """Yield (name, Python's, the browser's, tolerance) of a state's numbers and arrays."""
    mine, theirs = instrument.numbers(state), answer["numbers"] | answer["arrays"]
    # a sum of ELBOs may be the small difference of large terms
    bar = ("gained", "with_atom", "kept", "constant")
    terms = sum(abs(mine[name]) for name in bar)
    scales = dict.fromkeys(("sum_of_elbos", *bar), terms)
    scales |= {"weighted_loss": mine["weighted_loss"], "median": mine["median"], "coarse": 1}
    scales["negative_share"] = terms / mine["weighted_loss"]
    for name, scale in scales.items():
        yield name, mine[name], theirs[name], QUADRATURE * scale
    for name in ("atom_mass", "positive", "negative"):
        yield name, mine[name], theirs[name], SUM * mine["positive"]
    w = instrument.weighting(state)
    yield "peak", float(w(mine["peak"])), float(w(theirs["peak"])), SUM * float(w(mine["peak"]))
    most = mine["positive"]
    curve = error_curve(state["model"], state["galaxy"])
    tolerances = {
        **dict.fromkeys(("grid", "centres", "layer_levels", "before", "sampled"), SUM),
        "heights": SUM * most,
        "rate": SUM * most / 0.05,
        "half": QUADRATURE * most,
        "product": QUADRATURE * most / 0.05 * float(curve.path_kl.max()),
        "layers": QUADRATURE,
    }
    drawn = instrument.arrays(state)
    for name, tolerance in tolerances.items():
        theirs = np.array(answer["arrays"][name], dtype=float)  # null: not a number
        yield name, drawn[name], theirs, tolerance


def agree(state, answer):
    for name, mine, theirs, tolerance in compared(state, answer):
        np.testing.assert_allclose(theirs, mine, rtol=0, atol=tolerance, err_msg=f"{name}: {state}")
    mine = instrument.numbers(state)
    for name in ("verdict", "convention"):
        assert answer["numbers"].get(name) == mine.get(name), state


def each(names):
    """A state for each objective, the models taking turns."""
    return [
        instrument.START | instrument.range_of(name) | {"objective": name, "model": model}
        for name, model in zip(names, itertools.cycle(["right", "wrong"]), strict=False)
    ]


@needs_node
@pytest.mark.parametrize(
    "asked",
    [
        lambda: states(20, np.random.default_rng(0)),
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


def test_numbers_of_the_course():
    flat = instrument.numbers({"objective": "elbo"})
    assert flat["weighted_loss"] == pytest.approx(3.70, abs=5e-3)  # L(0) at λ = 10
    assert flat["atom_mass"] == pytest.approx(1) and flat["negative"] == 0
    assert f"{instrument.numbers({})['weighted_loss']:.6f}" == "0.948189"


def test_the_tables_are_small():
    assert len(json.dumps(instrument.tables())) < 30_000
