"""The deck's source: notes, minutes, what they refer to, numbers, figures, alternative text."""

import importlib
import json
import re

import pytest
from comparing import contrast
from deck_source import FOLDER, ROOT, lectures, script, slides
from matplotlib.text import Text

from course_utils.exercises import exercises

SLIDES = slides()
NUMBERS = json.loads((FOLDER / "numbers.json").read_text(encoding="utf-8"))
PANELS = json.loads((FOLDER / "panels.json").read_text(encoding="utf-8"))
SOURCE = (FOLDER / "deck.md").read_text(encoding="utf-8")
NOTEBOOKS = {p.name[:2]: p.read_text(encoding="utf-8") for p in ROOT.glob("notebooks/*.ipynb")}
SEVEN = (FOLDER / "seven_lines.md").read_text(encoding="utf-8")

# Decimals that are no result of the code: arithmetic done by hand on the slide, and literature.
TYPED = {
    "the example by hand: β, √(1 − β), √β": "0.36 0.8 0.6",
    "its means and variances": "1.6 1.28 1.024 0.5904 0.7379",
    "1 − β, its square and cube": "0.64 0.4096 0.2621",
    "z of the two galaxies, and 2 ln 0.5": "0.5 1.386",
    "the last β of DDPM; β(0) and β(1) − β(0)": "0.02 0.1 19.9",
    "areas of models A and B, one side changed": "1.05 1.01 0.0099",
    "FID of Kingma & Gao 2023, of Karras et al. 2022": "1.43 1.36",
}


def test_minutes_are_what_the_notes_need():
    """Words at 130 a minute, 15 seconds to look at a formula or figure, and the stated seconds."""
    wrong = {page.number: page.needs for page in SLIDES if page.minutes != page.needs}
    assert wrong == {}
    assert {page.part for page in SLIDES} == {"core", "if time", "appendix"}


def test_three_lectures_of_45_minutes_of_which_5_are_for_questions():
    for lecture in lectures():
        assert sum(page.minutes for page in lecture if page.part == "core") <= 35
        assert sum(page.minutes for page in lecture) <= 45 - 5
        panels = re.findall(r"(?m)^panel: .*, (\d+) s$", "\n".join(page.notes for page in lecture))
        assert len(panels) >= 3 and all(int(seconds) >= 20 for seconds in panels)
    assert sum(page.part != "appendix" for page in SLIDES) == sum(map(len, lectures()))


def test_notes_say_something_and_refer_to_what_exists():
    for page in SLIDES:
        assert page.title and len(page.notes.split()) >= 30, page.number
        text = f"{page.body}\n{page.notes}"
        assert set(re.findall(r"[Nn]otebook (\d\d)", text)) <= NOTEBOOKS.keys(), page.number
        assert set(re.findall(r"\b0\d\.\d\b", text)) <= exercises().keys(), page.number
        if panel := page.field("panel"):
            form = r'(\w+) \(notebook (\d\d)\)(?:, preset "(.+)")?(?:, \d+ s)?$'
            name, number, preset = re.match(form, panel).groups(default="")
            code = (ROOT / f"course_utils/panels/{name}.py").read_text(encoding="utf-8")
            assert f"panels import {name}" in NOTEBOOKS[number] and preset in code, panel


def test_the_seven_lines_are_stated_as_numbered():
    shown = "\n".join(page.body for page in SLIDES)
    assert set(re.findall(r"\\tag\{(S\d)\}", shown)) == {"S1", "S2", "S3", "S4", "S5"}
    assert "**S6**" in shown and "## S7" in shown
    assert re.findall(r"(?m)^\| (S\d) \|", SEVEN) == [f"S{n}" for n in range(1, 8)]
    exact = re.search(r"L_w\(x\)=.*\\tag\{S5\}", shown)[0]  # with the constant behind ∝
    assert r"-\;\underbrace{w(\lambda_{min})\,L(1;x)}" in exact
    assert r"-w(\lambda_{min})\,L(1;x)" in SEVEN


def test_one_symbol_has_one_meaning():
    """ε: noise in a latent, ξ: fresh noise, ε*: the ideal prediction; theorems are not named."""
    for shown in (SEVEN, *(page.body for page in SLIDES)):
        assert not re.search(r"\\varepsilon|\\tag\{T|\bT[1-9]\b|[^a-z]m\(z\)", shown)


def test_every_number_is_used_and_every_use_is_a_number():
    used = set(re.findall(r"\{\{(\w+)\}\}", SOURCE))
    assert used - {"seven_lines"} == set(NUMBERS)


def test_no_result_is_typed_by_hand():
    # numbers of exercises begin with 0; addresses and minutes are no results
    text = re.sub(r"\b0\d\.\d\b|\]\(http[^)]*\)|(?m:^minutes: .*$)", "", SOURCE)
    assert set(re.findall(r"(?<![\w.])\d+\.\d+", text)) == set(" ".join(TYPED.values()).split())


@pytest.mark.full
def test_numbers_are_what_the_code_finds():
    assert script().numbers() == NUMBERS, "make slides"


FIGURES = script().FIGURES
SLOW = script().SLOW
DRAWN = [pytest.param(name, marks=pytest.mark.full) if name in SLOW else name for name in FIGURES]


@pytest.mark.parametrize("name", DRAWN)
def test_figure(name):
    figure = FIGURES[name]()
    faint = [t.get_text() for t in texts(figure) if contrast(t.get_color(), "#fff8e6") < 4.5]
    assert faint == []  # on the cream of the questions
    drawn, stored = script().svg(figure), (FOLDER / "figures" / f"{name}.svg").read_text("utf-8")
    assert drawn == stored, f"{name} has drifted: make slides"
    width = float(re.search(r'width="([\d.]+)pt"', drawn)[1])
    shown = [w for page in SLIDES for w, _, path in page.images if path == f"figures/{name}.svg"]
    # points of the figure to px of the slide
    if name != "instrument":  # which has the type of a window
        smallest = min(t.get_fontsize() for t in texts(figure))
        assert shown and smallest * min(shown) / width >= 22
        assert re.search(r'id="patch_1">\s*<path[^>]*style="fill: none"', drawn)  # no ground


def texts(figure):
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]


@pytest.mark.parametrize("name", PANELS)
def test_the_panels_of_the_deck_are_those_of_the_course(name):
    """All but their arrays, whose last digits are the processor's."""

    def words(page):
        return re.sub(r'"data": "[^"]*"', "", json.dumps(page))

    panel = importlib.import_module(f"course_utils.panels.{name}").panel()
    assert words(panel.page()) == words(PANELS[name]), "make slides"
    panel.close()


def test_images_have_words_and_every_figure_is_shown():
    used = [(alt, path) for page in SLIDES for _, alt, path in page.images]
    assert sorted(path for _, path in used) == sorted(f"figures/{name}.svg" for name in FIGURES)
    assert [alt for alt, _ in used if len(alt.split()) < 8] == []
    assert {path.stem for path in (FOLDER / "figures").iterdir()} == FIGURES.keys()
