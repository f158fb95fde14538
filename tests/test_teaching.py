"""The teacher's guide, live slides, page of theorems: what they say is what the code says.

Their numbers are computed here anew; a number that is in no test is a quotation of a paper.
"""

import functools
import importlib
import itertools
import json
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from answers import WRONG
from deck_source import FOLDER, ROOT, lectures, words
from pypdf import PdfReader

from course_utils import elbo
from course_utils.datasets import galaxies, km_per_s, velocity_scale
from course_utils.elbo import ErrorCurve
from course_utils.exercises import exercises
from course_utils.exercises.slips import Source
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import PUBLISHED
from course_utils.panels import chain, half_a_nat
from course_utils.predictions import eps_loss_to
from course_utils.schedules import Cosine, FlowMatching, LinearBeta, alpha, alpha_bar, ddpm_betas
from course_utils.training import study
from course_utils.variance import ErrorMoments, draw_variance, least_variance
from course_utils.weightings import is_monotone, level_masses, peak, sigmoid

GUIDE = (FOLDER / "TEACHING.md").read_text(encoding="utf-8")
LIVE = nbformat.read(FOLDER / "live_panels.ipynb", as_version=4).cells


# --- the guide: time, exercises, rubric, panels ------------------------------------------------


def tables(first):
    """The rows of each table of the guide whose heading row begins with the cell ``first``."""
    found = []
    for block in re.findall(r"(?m)(?:^\|.*\|\n)+", GUIDE):
        head, _, *rows = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
            for line in block.splitlines()
        ]
        if head[0] == first:
            assert all(len(row) == len(head) for row in rows), f"a row of {head} is too long"
            found.append(rows)
    return found


def test_minutes_add_up():
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    heads = re.findall(r"\| \[(\d\d) .* \| (\d+), \d+ \|", readme)
    timetables = tables("from")
    assert len(timetables) == 5
    for timetable in timetables:
        for (start, spent, what, _), (end, *_) in itertools.pairwise(timetable):
            hours, minutes = map(int, start.split(":"))
            minutes += 60 * hours + int(spent or 0)
            assert f"{minutes // 60}:{minutes % 60:02d}" == end, f"{start}, {what}: {spent} min"
            assert "the day path" not in what or (what[:2], spent) in heads, what
        assert timetable[-1][2] == "end"


def test_every_exercise_is_in_the_guide_and_its_check_says_what_the_guide_says():
    """Each is a listed mistake, or what the check says of a typical or a derived wrong answer."""
    rows = [(row[0][:4], row[2].strip('"')) for rows in tables("exercise") for row in rows]
    assert [name for name, _ in rows] == list(exercises())
    for name, message in rows:
        exercise = exercises()[name]
        if message not in exercise.mistakes:
            derived = Source(exercise.reference).slips()
            slips = (function for words, function in derived if message.endswith(words))
            told = map(exercise.verdict, itertools.chain([WRONG[name]], slips))
            assert f"not yet: {message}" in told, (name, message)


def test_rubric_is_that_of_the_capstone():
    told = [(part, int(points)) for part, points, _ in tables("part")[0]]
    (path,) = ROOT.glob("notebooks/08_*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    (rubric,) = (cell.source for cell in cells if cell.source.startswith("## 9 A rubric"))
    asked = re.findall(r"(?m)^\| \*\*(.+?)\*\* \((\d+)\)", rubric)
    assert told == [(part, int(points)) for part, points in asked]
    assert sum(points for _, points in told) == 20 and "Twenty points" in rubric


def test_deck_guide_live_slides_and_prediction_sheet_have_the_same_panels():
    """In the same lectures and one order; the sheet asks what the guide asks."""
    rows = tables("lecture")[0]
    opened = [
        (number, page.field("panel").split()[0])
        for number, lecture in enumerate(lectures(), 1)
        for page in lecture
        if page.field("panel")
    ]
    assert list(dict.fromkeys(opened)) == [(int(row[0]), row[1]) for row in rows]
    order = [re.search(r"(\w+)\.panel\(", c.source)[1] for c in LIVE if c.cell_type == "code"]
    assert [f"{number}" for number, _ in enumerate(order, 1)] == [row[2] for row in rows]
    assert order == [row[1] for row in rows]
    sheet = (FOLDER / "predictions.md").read_text(encoding="utf-8")
    asked = re.findall(r"(?m)^\| (\d) \| \*\*(\w+)\*\* · (.+?) \|", sheet)
    assert asked == [(number, panel, question) for _, panel, number, question in rows]


@pytest.mark.parametrize("name", ["predictions", "formulas"])
def test_a_sheet_to_print_is_one_page_and_as_new_as_its_source(name):
    (page,) = PdfReader(FOLDER / f"{name}.pdf").pages
    assert float(page.mediabox.height) == pytest.approx(842, abs=1)  # A4, upright
    source = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    plain = re.sub(r"\$[^$]*\$|<[^>]*>|\{\{\w+\}\}", "", source.split("---\n", 2)[2])
    assert not words(plain) - words(page.extract_text()), "older than its source: make slides"


def test_settings_of_the_live_slides_are_known_to_jupyterlab():
    """A misspelt plugin or setting would be ignored in silence."""
    folder, share = FOLDER / "live/jupyterlab-settings", Path(sys.prefix) / "share/jupyter"
    paths = list(folder.rglob("*.jupyterlab-settings"))
    assert paths
    for path in paths:
        name = path.relative_to(folder).with_suffix(".json")
        (schema,) = [p for p in share.glob("lab*/**/*.json") if p.match(f"schemas/{name}")]
        known = json.loads(schema.read_text())["properties"]
        assert json.loads(path.read_text()).keys() <= known.keys()


# --- their numbers -----------------------------------------------------------------------------

GALAXIES = GaussianMixture.from_data(galaxies())
FINE = -2 * np.log(50 / km_per_s(0.0))  # the level of a blur of 50 km/s
SPAN = dict(log_snr_min=-10.0, log_snr_max=10.0)
STEPS = LinearBeta().beta(np.arange(1, 1001) / 1000) / 1000
A_BAR, SHORT = alpha_bar(ddpm_betas()), alpha_bar(ddpm_betas(100))[-1]


@functools.cache
def curve(low=-10.0, high=10.0):
    return ErrorCurve.from_mixtures(GALAXIES, log_snr=(low, high))


far = functools.partial(curve, high=24.0)


@functools.cache
def results(name, **values):
    """The numbers that a panel shows at these values."""
    panel = importlib.import_module(f"course_utils.panels.{name}").panel()
    panel.set(**values)
    panel.close()
    return panel.results


def ratio_of_variances():
    moments = ErrorMoments.from_mixtures(GALAXIES)
    law = Cosine(**SPAN)
    return draw_variance(np.ones_like, moments, law) / least_variance(np.ones_like, moments)


def c_kept():
    """The ELBO's coefficient of the cosine schedule, kept on linear β, as in notebook 05."""
    t = (np.arange(100_000) + 0.5) / 100_000
    error = curve().at(LinearBeta(**SPAN).log_snr(t))[0]
    return np.mean(-Cosine(**SPAN).log_snr_rate(t) / 2 * error)


def share_below_50(key):
    w = PUBLISHED[key].implied_weighting()
    return 100 * (1 - elbo.weighted_loss(w, far(), log_snr_max=FINE) / elbo.weighted_loss(w, far()))


def half_below():
    levels, error, _ = far().between()
    earned = np.cumsum(error)
    return km_per_s(np.interp(0.5 * earned[-1], earned, levels))


def minus_sign(key):
    return 100 * elbo.negative_share(PUBLISHED[key].implied_weighting(), curve())


def half_a_nats(width):
    return half_a_nat.curve(width, 0.5, (0.0,))[0, 0]


# (notebooks and panels, what is printed, how to compute it)
NUMBERS = [
    ("00", "80.63", lambda: exercises()["00.1"].reference(np.array([2.0, *np.ones(80)]))),
    ("00", "0.0025", lambda: curve().at([-6.0])[0][0]),
    ("00", "1.386", lambda: -2 * np.log(0.5)),
    ("00", "1.4427", lambda: 1 / np.log(2)),
    ("00", "4.412", lambda: -2 * np.log(500 / velocity_scale())),
    ("01", "11.05", lambda: 1 + ddpm_betas().sum()),
    ("01", "4.0358e-5", lambda: A_BAR[-1]),
    ("01", "0.0064", lambda: np.sqrt(A_BAR[-1])),
    ("01", "0.019", lambda: np.sqrt(A_BAR[-1]) * galaxies().max()),
    ("01", "2.0e-5", lambda: -np.log1p(-A_BAR[-1]) / 2),
    ("01", "0.23", lambda: -np.log1p(-SHORT) / 2),
    ("01", "0.028", lambda: chain.compute("ddpm", "root", 100, 1.0)[0]["total_variation"]),
    ("01", "2.09", lambda: 1 + SHORT * (4 - 1)),
    ("01", "0.4547", lambda: (1 - A_BAR[0]) / (1 - A_BAR[1])),
    ("01", "0.5241", lambda: A_BAR[249]),
    ("01", "2.572", lambda: 1 + A_BAR[249] * 3),
    ("02", "409", lambda: np.sqrt(2**18 * 2 / np.pi)),
    ("02", "7.5", lambda: 100 * -np.expm1(np.log1p(-STEPS).sum() + 10.05)),
    ("02", "1.005", lambda: 1 / (1 - ddpm_betas()[-1] / 4)),
    ("03", "0.609", lambda: np.tanh(np.sqrt(0.5) * 0.5 / 0.5)),
    ("03", "0.621", lambda: curve().at(2.0)[0]),
    ("03", "1147", lambda: results("reverse", eta=0.0, steps=6)["distance"]),
    ("03", "1571", lambda: results("reverse", eta=1.0, steps=6)["distance"]),
    ("03", "310", lambda: results("reverse", eta=0.0, steps=96)["distance"]),
    ("03", "272", lambda: results("reverse", eta=1.0, steps=96)["distance"]),
    ("03", "286", lambda: results("reverse", eta=1.0, steps=96)["floor"]),
    ("04", "1.581", lambda: 3 - np.log(2 * np.pi * np.e) / 2),
    ("04", "0.1534", lambda: (1 - np.log(2)) / 2),
    ("04", "0.035", lambda: elbo.discretisation_gap(np.linspace(10, -10, 1001), curve())),
    ("04", "3.72", lambda: np.expm1(2) / np.expm1(1)),
    ("04", "10.25", ratio_of_variances),
    ("04", "3.13", c_kept),
    ("04", "3.70", lambda: elbo.weighted_loss(np.ones_like, curve())),
    ("05", "0.6", lambda: share_below_50("cosine_eps")),
    ("05", "21", lambda: share_below_50("elbo")),
    ("05", "95.0", lambda: 100 * (1 - np.exp(-3))),
    ("05", "11.9", lambda: 100 * (1 - FlowMatching().time(-4.0))),
    ("05", "285", half_below),
    ("05", "32.3", lambda: np.exp(elbo.weighted_loss(np.ones_like, far(), log_snr_max=FINE))),
    ("05", "149", lambda: np.expm1(-5) / np.exp(-5) + 2 / np.exp(-5)),
    ("06", "2.3e-5", lambda: -elbo.elbo_parts(np.ones_like, curve(), log_snr_min=-10.0)[2]),
    ("06", "0.34", lambda: -elbo.elbo_parts(np.ones_like, curve(), log_snr_min=0.0)[2]),
    ("06", "0.00034", lambda: level_masses(sigmoid(2.0), [-10.0, 10.0])[1]),
    ("07", "0.018", lambda: alpha(-8.0)),
    ("07 half_a_nat", "0.74", lambda: half_a_nats(4.0)),
    ("07 half_a_nat", "0.46", lambda: half_a_nats(1.0)),
    ("08", "7", lambda: exercises()["08.1"].reference(1.0, 1.0)),
    ("08", "37", lambda: 100 * (1 - 0.95**9)),
    ("counting", "81.0000", lambda: results("counting", leave_out=9)["count"]),
    ("counting", "81.0000", lambda: results("counting", leave_out=82)["count"]),
    ("counting", "2.3026", lambda: results("counting", keep=10)["half_area"]),
    ("counting", "4.6", lambda: 2 * np.log(10)),
    ("elbo", "3.7032", lambda: results("elbo", gains=(0, 0, 0, 0.3, 0))["loss"]),
    ("elbo", "3.99", lambda: results("elbo", schedule="cosine", weight="time")["loss"]),
    ("elbo", "1.59", lambda: results("elbo", log_snr_max=4.0)["loss"]),
    ("retraining", "0.71", lambda: results("retraining", features=128)["above"]),
    ("retraining", "0.45", lambda: results("retraining", features=512)["above"]),
    ("theorems", "0.3355", lambda: curve().at(0.0)[1]),
    ("theorems", "0.3466", lambda: np.log(2) / 2),
    ("theorems", "-3.31", lambda: peak(PUBLISHED["edm"].implied_weighting())),
    ("theorems", "-3.38", lambda: peak(PUBLISHED["sd3"].implied_weighting())),
    ("theorems", "-1.10", lambda: peak(PUBLISHED["p2"].implied_weighting())),
    ("theorems", "-0.92", lambda: peak(PUBLISHED["vp_linear_eps"].implied_weighting())),
    ("theorems", "0.35", lambda: minus_sign("edm")),
    ("theorems", "0.59", lambda: minus_sign("sd3")),
    ("theorems", "0.96", lambda: minus_sign("vp_linear_eps")),
    ("theorems", "4.8", lambda: minus_sign("p2")),
    ("theorems", "4.9", lambda: minus_sign("cosine_eps")),
    ("theorems", "7.3", lambda: minus_sign("min_snr")),
]


def said_in(place):
    """The guide's section of a notebook, the answer on a panel's live slide, or the theorems."""
    if place == "theorems":
        return (ROOT / "docs/theorems.md").read_text(encoding="utf-8")
    if place.isdecimal():
        return re.search(rf"(?ms)^### {place} .*?(?=^##)", GUIDE)[0]
    return LIVE[[place in cell.source for cell in LIVE].index(True) + 1].source


@pytest.mark.parametrize(("places", "printed", "compute"), NUMBERS)
def test_number(places, printed, compute):
    for place in places.split():
        assert re.search(rf"(?<![\d.]){re.escape(printed)}(?!\d)", said_in(place))
    mantissa, _, power = printed.partition("e")
    form = f".{len(mantissa.partition('.')[2])}{'e' if power else 'f'}"
    assert f"{compute():{form}}".replace("e-0", "e-") == printed


def test_misjudged_by_their_coefficient():
    wrong = [
        is_monotone(lambda s, o=o: o.weight(s) * eps_loss_to(o.prediction, s))
        != is_monotone(o.implied_weighting())
        for key, o in PUBLISHED.items()
        if key != "edm_monotonic"
    ]
    assert f"misjudges {sum(wrong)} of {len(wrong)}" in said_in("05")


def test_the_sigmoid_has_the_lower_frechet_distance_in_every_run_of_the_study():
    assert "In every run of the study" in said_in("07")
    results = study.load_results()
    for setting, steps in {(run["setting"], run["steps"]) for run in results["runs"]}:
        groups = study.by_weighting(results, steps=steps, setting=setting)
        assert (study.differences(groups["sigmoid_2"], groups["elbo"], "eta1.frechet") < 0).all()
