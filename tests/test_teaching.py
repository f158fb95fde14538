"""The teacher's guide: minutes add up, every exercise is there, what it says is what the code says.

The guide's numbers are computed here anew; a number that is in no test is a quotation of a paper.
"""

import functools
import importlib
import itertools
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from deck_source import lectures
from pypdf import PdfReader
from scipy import stats

from course_utils import distances
from course_utils.datasets import galaxies, km_per_s, velocity_scale
from course_utils.elbo import ErrorCurve, discretisation_gap, elbo_parts, weighted_loss
from course_utils.exercises import exercises
from course_utils.exercises.slips import Source
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import PUBLISHED, published
from course_utils.panels import half_a_nat, reverse
from course_utils.predictions import eps_loss_to
from course_utils.schedules import Cosine, FlowMatching, LinearBeta, alpha, alpha_bar, ddpm_betas
from course_utils.training import study
from course_utils.variance import ErrorMoments, draw_variance, least_variance
from course_utils.weightings import is_monotone, level_masses, sigmoid

SLIDES = Path(__file__).parents[1] / "slides"
GUIDE = (SLIDES / "TEACHING.md").read_text(encoding="utf-8")


def tables(text, first):
    """The rows of each table of `text` whose heading row begins with the cell `first`."""
    found = []
    for block in re.findall(r"(?m)(?:^\|.*\|\n)+", text):
        head, _, *rows = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
            for line in block.splitlines()
        ]
        if head[0] == first:
            assert all(len(row) == len(head) for row in rows), f"a row of {head} is too long"
            found.append(rows)
    return found


def minutes(clock):
    hours, rest = clock.split(":")
    return 60 * int(hours) + int(rest)


def breaks_in(timetable):
    """Where a timetable's minutes do not lead to the next row's time, in words."""
    for (start, spent, what, _), (end, *_) in itertools.pairwise(timetable):
        if minutes(start) + int(spent or 0) != minutes(end):
            yield f"{start} + {spent} min ({what}) is not {end}"
    if timetable[-1][2] != "end":
        yield "the last row is not the end"


TIMETABLES = tables(GUIDE, "from")


def test_minutes_add_up():
    assert [list(breaks_in(timetable)) for timetable in TIMETABLES] == [[]] * 5


def notebook(number):
    (path,) = (SLIDES.parent / "notebooks").glob(f"{number}_*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def test_every_exercise_is_in_the_guide_and_its_check_says_what_the_guide_says():
    rows = [(row[0][:4], row[2].strip('"')) for rows in tables(GUIDE, "exercise") for row in rows]
    assert [name for name, _ in rows] == list(exercises())
    for name, message in rows:
        exercise = exercises()[name]
        typical = importlib.import_module(f"wrong_answers.n{name[:2]}").WRONG[name]
        said = [exercise.verdict(answer).removeprefix("not yet: ") for answer in typical]
        derived = [slip.sentence for slip in Source(exercise.reference).slips()]
        result = next((r for r in exercise.returns if message.startswith(f"in {r}, ")), "")
        alone = message.removeprefix(f"in {result}, ")
        assert message in [*exercise.mistakes, *said] or alone in derived, message


def section(number):
    return re.search(rf"(?ms)^### {number} .*?(?=^##)", GUIDE)[0]


GALAXIES = GaussianMixture.from_data(galaxies())
FINE = -2 * np.log(50 / km_per_s(0.0))  # the level of a blur of 50 km/s
SPAN = dict(log_snr_min=-10.0, log_snr_max=10.0)


@functools.cache
def curve():
    return ErrorCurve.from_mixtures(GALAXIES)


@functools.cache
def far():
    return ErrorCurve.from_mixtures(GALAXIES, log_snr=np.linspace(-10, 24, 69))


def count_with_a_twin():
    x, levels = galaxies(), np.linspace(-16, 24, 81)
    x[1] = x[0]
    twins = ErrorCurve.from_mixtures(GaussianMixture.from_data(x), log_snr=levels)
    return np.exp(weighted_loss(np.ones_like, twins))


def a_bar():
    return alpha_bar(ddpm_betas())


def galaxies_alone():
    """KL to N(0, 1) of one galaxy, averaged, for the chain of 100 steps with the end values."""
    end = alpha_bar(ddpm_betas(100))[-1]
    return distances.gaussian_kl(np.sqrt(end) * galaxies()[:, 0], 1 - end, 0, 1).mean()


def galaxies_together():
    x = np.linspace(-8, 8, 4001)
    end = alpha_bar(ddpm_betas(100))[-1]
    law = GALAXIES.diffuse(np.log(end / (1 - end)))
    return distances.total_variation(np.exp(law.log_prob(x[:, None])), stats.norm.pdf(x), x)


def too_small(n):
    t = np.arange(1, n + 1) / n
    return 100 * (1 - np.prod(1 - (0.1 + 19.9 * t) / n) / np.exp(-10.05))


@functools.cache
def reversed_chain(eta, steps):
    panel = reverse.panel(eta=eta, steps=steps)
    panel.close()
    return panel.results


def floor_of_loss():
    level, z = 2.0, np.linspace(-6, 6, 4001)[:, None]
    density = np.exp(GALAXIES.diffuse(level).log_prob(z))
    spread = GALAXIES.posterior_variance(z, level)
    return np.exp(level) * np.trapezoid(density * spread, z[:, 0])


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
    return 100 * (1 - weighted_loss(w, far(), log_snr_max=FINE) / weighted_loss(w, far()))


def half_below():
    levels, error, _ = far().between()
    earned = np.cumsum(error)
    return km_per_s(np.interp(0.5 * earned[-1], earned, levels))


def p_w_near_noise():
    cells = np.linspace(-10, 10, 4001)
    masses, atom = level_masses(published("flow_matching").implied_weighting(), cells)
    return 100 * masses[cells[1:] <= -4].sum() / (masses.sum() + atom)


def atom():
    masses, atom = level_masses(sigmoid(2.0), np.linspace(-10, 10, 2001))
    return atom / (masses.sum() + atom)


def seeds():
    n = 2
    while stats.t.ppf(0.975, n - 1) / np.sqrt(n) > 1:
        n += 1
    return n


# (notebook, what the guide prints, how to compute it, format)
NUMBERS = [
    ("00", "80.63", count_with_a_twin, ".2f"),
    ("00", "0.0025", lambda: curve().at([-6.0])[0][0], ".4f"),
    ("00", "1.386", lambda: -2 * np.log(0.5), ".3f"),
    ("00", "1.4427", lambda: 1 / np.log(2), ".4f"),
    ("00", "4.412", lambda: -2 * np.log(500 / velocity_scale()), ".3f"),
    ("01", "11.05", lambda: 1 + ddpm_betas().sum(), ".2f"),
    ("01", "4.0358e-5", lambda: a_bar()[-1], ".4e"),
    ("01", "0.0064", lambda: np.sqrt(a_bar()[-1]), ".4f"),
    ("01", "0.019", lambda: np.sqrt(a_bar()[-1]) * galaxies().max(), ".3f"),
    ("01", "2.0e-5", lambda: -np.log1p(-a_bar()[-1]) / 2, ".1e"),
    ("01", "0.23", galaxies_alone, ".2f"),
    ("01", "0.028", galaxies_together, ".3f"),
    ("01", "2.09", lambda: 1 + alpha_bar(ddpm_betas(100))[-1] * (4 - 1), ".2f"),
    ("01", "0.4547", lambda: (1 - a_bar()[0]) / (1 - a_bar()[1]), ".4f"),
    ("01", "0.5241", lambda: a_bar()[249], ".4f"),
    ("01", "2.572", lambda: 1 + a_bar()[249] * 3, ".3f"),
    ("02", "409", lambda: np.sqrt(2**18 * 2 / np.pi), ".0f"),
    ("02", "7.5", lambda: too_small(1000), ".1f"),
    ("02", "1.005", lambda: 1 / (1 - ddpm_betas()[-1] / 4), ".3f"),
    ("03", "0.609", lambda: np.tanh(np.sqrt(0.5) * 0.5 / 0.5), ".3f"),
    ("03", "0.621", floor_of_loss, ".3f"),
    ("03", "1147", lambda: reversed_chain(0.0, 6)["distance"], ".0f"),
    ("03", "1571", lambda: reversed_chain(1.0, 6)["distance"], ".0f"),
    ("03", "310", lambda: reversed_chain(0.0, 96)["distance"], ".0f"),
    ("03", "272", lambda: reversed_chain(1.0, 96)["distance"], ".0f"),
    ("03", "286", lambda: reversed_chain(1.0, 96)["floor"], ".0f"),
    ("04", "1.581", lambda: 3 - np.log(2 * np.pi * np.e) / 2, ".3f"),
    ("04", "0.1534", lambda: (1 - np.log(2)) / 2, ".4f"),
    ("04", "0.035", lambda: discretisation_gap(np.linspace(10, -10, 1001), curve()), ".3f"),
    ("04", "3.72", lambda: np.expm1(2) / np.expm1(1), ".2f"),
    ("04", "10.25", ratio_of_variances, ".2f"),
    ("04", "3.13", c_kept, ".2f"),
    ("04", "3.70", lambda: weighted_loss(np.ones_like, curve()), ".2f"),
    ("05", "0.6", lambda: share_below_50("cosine_eps"), ".1f"),
    ("05", "21", lambda: share_below_50("elbo"), ".0f"),
    ("05", "95.0", p_w_near_noise, ".1f"),
    ("05", "11.9", lambda: 100 * (1 - FlowMatching().time(-4.0)), ".1f"),
    ("05", "285", half_below, ".0f"),
    ("05", "32.3", lambda: np.exp(weighted_loss(np.ones_like, far(), log_snr_max=FINE)), ".1f"),
    ("05", "149", lambda: np.expm1(-5) / np.exp(-5) + 2 / np.exp(-5), ".0f"),
    ("06", "2.3e-5", lambda: -elbo_parts(np.ones_like, curve(), log_snr_min=-10.0)[2], ".1e"),
    ("06", "0.34", lambda: -elbo_parts(np.ones_like, curve(), log_snr_min=0.0)[2], ".2f"),
    ("06", "0.00034", atom, ".5f"),
    ("07", "0.018", lambda: alpha(-8.0), ".3f"),
    ("07", "0.74", lambda: half_a_nat.curve(4.0, 0.5, (0.0,))[0, 0], ".2f"),
    ("07", "0.46", lambda: half_a_nat.curve(1.0, 0.5, (0.0,))[0, 0], ".2f"),
    ("08", "7", seeds, "d"),
    ("08", "37", lambda: 100 * (1 - 0.95**9), ".0f"),
]


@pytest.mark.parametrize(("number", "printed", "compute", "form"), NUMBERS)
def test_numbers_in_the_answers(number, printed, compute, form):
    assert re.search(rf"(?<![\d.]){re.escape(printed)}(?!\d)", section(number))
    assert f"{compute():{form}}".replace("e-0", "e-") == printed


def test_misjudged_by_their_coefficient():
    wrong = [
        is_monotone(lambda s, o=o: o.weight(s) * eps_loss_to(o.prediction, s))
        != is_monotone(o.implied_weighting())
        for key, o in PUBLISHED.items()
        if key != "edm_monotonic"
    ]
    assert f"misjudges {sum(wrong)} of {len(wrong)}" in section("05")


def test_the_sigmoid_has_the_lower_frechet_distance_in_every_run_of_the_study():
    assert "In every run of the study" in section("07")
    results = study.load_results()
    for setting, steps in {(run["setting"], run["steps"]) for run in results["runs"]}:
        groups = study.by_weighting(results, steps=steps, setting=setting)
        assert (study.differences(groups["sigmoid_2"], groups["elbo"], "eta1.frechet") < 0).all()


def test_rubric_is_that_of_the_capstone():
    told = [(part, int(points)) for part, points, _ in tables(GUIDE, "part")[0]]
    rubric = re.search(r"(?ms)^## 9 A rubric.*?(?=^## )", notebook("08"))[0]
    asked = re.findall(r"(?m)^\| \*\*(.+?)\*\* \((\d+)\)", rubric)
    assert told == [(part, int(points)) for part, points in asked]
    assert sum(points for _, points in told) == 20 and "Twenty points" in rubric


def test_panels_of_deck_and_guide_agree():
    """The deck's notes and the guide open the same panels in the same lectures, in one order."""
    told = [(int(lecture), panel) for lecture, panel, *_ in tables(GUIDE, "lecture")[0]]
    opened = [
        (number, page.field("panel").split()[0])
        for number, lecture in enumerate(lectures(), 1)
        for page in lecture
        if page.field("panel")
    ]
    assert list(dict.fromkeys(opened)) == told
    live = nbformat.read(SLIDES / "live_panels.ipynb", as_version=4).cells
    order = [re.search(r"(\w+)\.panel\(", c.source)[1] for c in live if c.cell_type == "code"]
    assert [(panel, int(slide)) for _, panel, slide, _ in tables(GUIDE, "lecture")[0]] == [
        (panel, k) for k, panel in enumerate(order, start=1)
    ]


def test_sheets_to_print_are_one_page_and_ask_what_the_guide_asks():
    sheet = (SLIDES / "predictions.md").read_text(encoding="utf-8")
    asked = re.findall(r"(?m)^\| (\d) \| \*\*(\w+)\*\* · (.+?) \|", sheet)
    told = [(k, panel, question) for _, panel, k, question in tables(GUIDE, "lecture")[0]]
    assert asked == told
    for name in ("predictions", "formulas"):
        (page,) = PdfReader(SLIDES / f"{name}.pdf").pages
        assert float(page.mediabox.height) == pytest.approx(842, abs=1)  # A4, upright
        source = (SLIDES / f"{name}.md").read_text(encoding="utf-8")
        plain = re.sub(r"\$[^$]*\$|<[^>]*>|\{\{\w+\}\}", "", source.split("---\n", 2)[2])
        text = page.extract_text().replace("ﬁ", "fi").replace("ﬂ", "fl")
        lost = set(re.findall(r"[a-z]{5,}", plain)) - set(re.findall(r"[a-z]{5,}", text))
        assert not lost, f"{name}.pdf is older than its source: make slides"


def test_links_and_commands_exist():
    anchors = {
        re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"(?m)^##+ (.+)$", GUIDE)
    }
    for target in re.findall(r"\]\(#([^)]+)\)", GUIDE):
        assert target in anchors, target
    for target in re.findall(r"\]\(([^)#]+)", GUIDE):
        assert (SLIDES / target).exists(), target
    makefile = (SLIDES.parent / "Makefile").read_text(encoding="utf-8")
    for word in set(re.findall(r"`make ([a-z-]+)", GUIDE)):
        assert re.search(rf"(?m)^{word}:", makefile), f"make {word}"
