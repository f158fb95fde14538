"""The atlas: every entry against code that is not ours, or by hand; the page says what it says."""

from dataclasses import replace
from pathlib import Path

import atlas as page  # docs/atlas.py
import numpy as np
import pytest
from scipy.special import expit

from course_utils.atlas import ATLAS, objectives
from course_utils.audit import compare
from course_utils.objectives import PUBLISHED
from course_utils.weightings import is_monotone

SITE = (Path(__file__).parent.parent / "docs/atlas.md").read_text("utf-8")
LEVELS = np.linspace(-5, 5, 201)  # that all of them reach


def rows_of_the_page():
    cells = [line.strip("| ").split(" | ") for line in SITE.splitlines()]
    names = {o.name: key for key, o in objectives().items()}
    return {names[row[0]]: tuple(c.strip() for c in row) for row in cells if row[0] in names}


def test_there_are_forty_five_and_each_says_where_it_was_found():
    every = objectives()
    assert len(every) == len(PUBLISHED) + len(ATLAS) == len({o.name for o in every.values()}) == 45
    for key, objective in every.items():
        w = objective.implied_weighting()(LEVELS)
        assert np.isfinite(w).all() and (w > 0).all(), key
    assert all("/" in entry.source and 2020 < entry.year < 2027 for entry in ATLAS.values())
    arrays = [v for e in ATLAS.values() for v in e.script.values() if isinstance(v, np.ndarray)]
    assert len(arrays) == 4 and not any(array.flags.writeable for array in arrays)
    assert len(rows_of_the_page()) == 45 and all(line in SITE for line in page.sources())


@pytest.mark.parametrize(
    "key", [k if k == "sd15" else pytest.param(k, marks=pytest.mark.full) for k in objectives()]
)
def test_a_row_of_the_page_is_what_the_code_finds(key):
    objective = objectives()[key]
    assert rows_of_the_page()[key] == page.row(key, objective)
    if key == "sd15":  # a wrong one is seen
        assert rows_of_the_page()[key] != page.row(key, replace(objective, prediction="v"))


# By hand: the loss of data N(0, 1), as each script writes it, over its own σ. E‖x − x̂‖² is
# σ²/(α² + σ²), and of data of standard deviation s, s² σ²/(s² + σ²).
def x_loss(sigma, alpha=1.0, sd=1.0):
    return sd**2 * sigma**2 / (sd**2 * alpha**2 + sigma**2)


def of_f(weight, sd):
    """Of an EDM-like script: x̂'s error times 1/c_out², times ``weight`` of σ."""

    def loss(log_snr):  # of unit-variance data: σ = sd e^{−λ/2}
        sigma = sd * np.exp(-log_snr / 2)
        c_out = sigma * sd / np.sqrt(sigma**2 + sd**2)
        return weight(sigma) * x_loss(sigma, sd=sd) / c_out**2

    return loss


def of_flow(weight):
    """Of a script with (1 − σ) x + σ ε that turns its prediction into x, or not."""
    return lambda log_snr: (
        weight(expit(-log_snr / 2)) * x_loss(expit(-log_snr / 2), 1 - expit(-log_snr / 2))
    )


BY_HAND = {
    "edm2": of_f(np.ones_like, 0.5),
    "hdit": of_f(lambda s: (s * 0.5) ** 2 / (s**2 + 0.25) ** 2, 0.5),
    "svd": of_f(np.ones_like, 1.0),
    "sd3_diffusers": of_flow(np.ones_like),
    "flux_kohya_default": of_flow(np.ones_like),
    "sana": of_flow(lambda s: s**-2.0),  # û − u = (x − x̂)/σ at a given z
    "wan": of_flow(lambda s: (np.exp(-2 * (s - 0.5) ** 2) - np.exp(-0.5)) / s**2),
    "simple_diffusion": lambda s: np.exp(s) * expit(-s) / (1 + np.minimum(np.exp(s), 5)),
    "sd_debiased": lambda s: expit(s) * np.exp(-s / 2),
    "stable_cascade": lambda s: expit(s) / (1 + np.exp(s)),
}


@pytest.mark.parametrize("key", BY_HAND)
def test_the_loss_of_a_gaussian_by_hand(key):
    objective = ATLAS[key].objective()
    ours = objective.implied_weighting()(LEVELS) * expit(LEVELS) / objective.density(LEVELS)
    ratio = ours / BY_HAND[key](LEVELS)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


def test_what_the_page_says_of_them():
    every = objectives()
    w = {key: o.implied_weighting() for key, o in every.items()}
    same = ("sd15", "sdxl"), ("dit", "pixart"), ("mar", "deepfloyd_if"), ("f5_tts", "flow_matching")
    for one, other in (*same, ("f5_tts", "flux_diffusers")):
        assert compare(w[one], w[other], -5, 5).difference < 1e-12
    for key, moved in (("sana", 2 * np.log(3)), ("ltx", 2 * 2.05)):
        theirs = every["sd3"].density(LEVELS + moved)
        np.testing.assert_allclose(every[key].density(LEVELS), theirs, rtol=1e-9)
    assert is_monotone(w["flux_diffusers"])
    edm = PUBLISHED["edm"].implied_weighting()
    moved = compare(w["edm"], lambda levels: edm(levels + 2 * np.log(2)), -5, 5)
    assert moved.difference < 1e-9
