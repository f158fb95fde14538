"""The deck's source: notes, minutes, what they refer to, numbers, figures, alternative text."""

import json
import re

import deck_source
import numpy as np
import pytest
from deck_source import FOLDER, ROOT, blocks, parse, script, slides
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from course_utils.exercises import exercises

SLIDES = slides()
NUMBERS = json.loads((FOLDER / "numbers.json").read_text(encoding="utf-8"))
SOURCE = (FOLDER / "deck.md").read_text(encoding="utf-8")

# Decimals that are no result of the code: arithmetic done by hand on the slide, and literature.
TYPED = {
    "0.02": "DDPM's last β",
    "0.36": "β of the example by hand",
    "0.8": "its √(1 − β)",
    "0.6": "its √β",
    "1.6": "the example's means",
    "1.28": "the example's means",
    "1.024": "the example's means",
    "0.5904": "the example's variances",
    "0.7379": "the example's variances",
    "0.64": "1 − β",
    "0.4096": "its square",
    "0.2621": "its cube",
    "0.5": "z of the two galaxies; EDM's σ_data",
    "1.386": "2 ln 0.5",
    "0.1": "β(0)",
    "19.9": "β(1) − β(0)",
    "0.3": "t in a figure",
    "1.5": "x₀ in that figure",
    "1.05": "model B's area",
    "1.01": "one side, spoilt",
    "0.0099": "0.01/1.01",
    "1.43": "FID: Kingma & Gao 2023, as quoted by later papers",
    "1.36": "FID: Karras et al. 2022",
    "2303.00848": "arXiv",
}


def ids(page):
    return f"slide {page.number}"


# --- notes ---------------------------------------------------------------------------------------


def test_three_lectures_of_45_minutes():
    lectures = blocks(SLIDES)
    assert len(lectures) == 3 and 38 <= len(SLIDES) <= 48
    assert all(page.minutes for page in SLIDES), [p.number for p in SLIDES if not p.minutes]
    assert [sum(page.minutes for page in lecture) for lecture in lectures] == [45, 45, 45]


@pytest.mark.parametrize("page", SLIDES, ids=ids)
def test_notes_say_something(page):
    assert page.title, f"slide {page.number} has no title"
    words = re.sub(r"^(minutes|panel|exercise): .*$", "", page.notes, flags=re.M).split()
    assert len(words) >= 40, f"slide {page.number}: {len(words)} words of notes"


@pytest.mark.parametrize("page", SLIDES, ids=ids)
def test_panels_notebooks_and_exercises_exist(page):
    assert missing(page) == []


def missing(page):
    """What a slide and its notes refer to that does not exist."""
    found, text = [], f"{page.body}\n{page.notes}"
    for number in re.findall(r"[Nn]otebook (\d\d)", text):
        if not list((ROOT / "notebooks").glob(f"{number}_*.ipynb")):
            found.append(f"notebook {number}")
    for name in re.findall(r"\b0\d\.\d\b", text):
        if name not in exercises():
            found.append(f"exercise {name}")
    if panel := page.field("panel"):
        name, number, _, preset = re.match(
            r'(\w+) \(notebook (\d\d)\)(, preset "([^"]+)")?$', panel
        ).groups()
        path = ROOT / "course_utils" / "panels" / f"{name}.py"
        code = path.read_text(encoding="utf-8") if path.exists() else ""
        if "def panel(" not in code:
            found.append(f"panel {name}")
        if preset and f'"{preset}"' not in code:
            found.append(f"preset {preset}")
        for notebook in (ROOT / "notebooks").glob(f"{number}_*.ipynb"):
            if f"panels import {name}" not in notebook.read_text(encoding="utf-8"):
                found.append(f"panel {name} in notebook {number}")
    return found


def test_what_does_not_exist_is_missed():
    text = 'minutes: 1\npanel: chain (notebook 06), preset "none"\nexercise: 01.9\nnotebook 19'
    page = deck_source.Slide(1, "Exercise 02.7", text, ())
    assert missing(page) == [
        "notebook 19",
        "exercise 02.7",
        "exercise 01.9",
        "preset none",
        "panel chain in notebook 06",
    ]
    assert missing(deck_source.Slide(1, "", "panel: tunnel (notebook 01)", ()))[0] == "panel tunnel"


def test_every_lecture_ends_with_a_panel_and_an_exercise():
    for lecture in blocks(SLIDES):
        last = lecture[-1]
        assert "todo" in last.classes and last.field("panel") and last.field("exercise")
        assert sum("question" in page.classes for page in lecture) >= 2
        assert last.field("panel").split()[0] in last.body  # the slide names it too
        for name in last.field("exercise").split(", "):
            assert name in last.body


def test_the_seven_lines_are_stated_as_numbered():
    shown = "\n".join(page.body for page in SLIDES)
    for number in ("S1", "S2", "S3", "S4", "S5"):
        assert rf"\tag{{{number}}}" in shown, number
    assert "**S6**" in shown and "## S7" in shown
    exact = re.search(r"L_w\(x\)=.*\\tag\{S5\}", shown)[0]
    assert r"-\;\underbrace{w(\lambda_{min})\,L(1;x)}" in exact  # the constant behind ∝


def test_parsing():
    text = "---\nmarp: true\n---\n\n<!-- _class: question -->\n# A\n\n![w:90 words](f.svg)\n"
    one, two = parse(text + "\n<!--\nminutes: 3\n\nSay: this\n-->\n\n---\n\n## B\n")
    assert (one.title, one.minutes, one.classes) == ("A", 3, ("question",))
    assert one.images == [(90, "words", "f.svg")] and "Say: this" in one.notes
    assert (two.title, two.minutes, two.notes) == ("B", None, "")


# --- numbers -------------------------------------------------------------------------------------


def test_every_number_is_used_and_every_use_is_a_number():
    used = set(re.findall(r"\{\{(\w+)\}\}", SOURCE))
    assert used == set(NUMBERS)


def typed(text):
    """Decimals in the source that come neither from the code nor from the list of exceptions."""
    text = re.sub(r"\{\{\w+\}\}|\b0\d\.\d\b", "", text)  # numbers of exercises begin with 0
    return [n for n in re.findall(r"(?<![\w.])\d+\.\d+", text) if n not in TYPED]


def test_no_result_is_typed_by_hand():
    assert typed(SOURCE) == []
    assert typed("the area is 4.4067, by exercise 01.4") == ["4.4067"]


def test_no_exception_is_idle():
    assert [n for n in TYPED if n not in re.findall(r"(?<![\w.])\d+\.\d+", SOURCE)] == []


@pytest.mark.full
def test_numbers_are_what_the_code_finds():
    assert script().numbers() == NUMBERS, "make slides"


# --- figures -------------------------------------------------------------------------------------

FIGURES = script().FIGURES
QUICK = [name for name in FIGURES if name not in script().SLOW]
SLOW = [pytest.param(name, marks=pytest.mark.full) for name in FIGURES if name in script().SLOW]


@pytest.mark.parametrize("name", QUICK + SLOW)
def test_figure(name):
    figure = FIGURES[name]()
    assert unreadable(figure) == []
    drawn, stored = script().svg(figure), (FOLDER / "figures" / f"{name}.svg").read_text("utf-8")
    assert drawn == stored, f"{name} has drifted: make slides"
    width = float(re.search(r'width="([\d.]+)pt"', drawn)[1])
    shown = [w for page in SLIDES for w, _, path in page.images if path == f"figures/{name}.svg"]
    # points of the figure to px of the slide
    assert shown and all(smallest(figure) * w / width >= 14 for w in shown)


def texts(figure):
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]


def smallest(figure):
    return min(t.get_fontsize() for t in texts(figure))


def luminance(colour):
    linear = np.array(to_rgb(colour))
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def unreadable(figure):
    """Words of the figure that stand too faintly on white."""
    return [t.get_text() for t in texts(figure) if 1.05 / (luminance(t.get_color()) + 0.05) < 4.5]


def test_faint_and_small_words_are_seen():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script(), "FIGURES", {})

        @script().figure_of((600, 400))
        def faint(figure, ax):
            ax.text(0, 0, "x", color="#999999")

        figure = script().FIGURES["faint"]()
    assert unreadable(figure) == ["x"]
    figure.texts.append(figure.text(0, 0, "y", fontsize=3))
    assert smallest(figure) == 3


def test_coordinates_are_rounded_and_glyphs_are_not_scaled():
    figure = FIGURES["bug"]()
    drawn = script().svg(figure)
    without = re.sub(r"scale\([^)]*\)|base64,[^\"]*", "", drawn)
    assert not re.search(r"\d\.\d{3,}", without)
    assert "scale(0.105 -0.105)" in drawn or "scale(0.1 -0.1)" in drawn
    assert "<dc:date>" not in drawn and "/work" not in drawn


def test_images_have_words_and_every_figure_is_shown():
    used = [(alt, path) for page in SLIDES for _, alt, path in page.images]
    assert sorted(path for _, path in used) == sorted(f"figures/{name}.svg" for name in FIGURES)
    assert all(len(alt.split()) >= 8 for alt, _ in used), [a for a, _ in used if len(a) < 40]
    stored = {path.stem for path in (FOLDER / "figures").iterdir()}
    assert stored == set(FIGURES)


def test_tools_are_pinned_and_come_from_nowhere_in_particular():
    wanted = json.loads((FOLDER / "package.json").read_text())["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    lock = (FOLDER / "package-lock.json").read_text()
    resolved = re.findall(r'"resolved": "(https?://[^/"]+)', lock)
    assert set(resolved) <= {"https://registry.npmjs.org"}
    for name, version in wanted.items():
        entry = json.loads(lock)["packages"][f"node_modules/{name}"]
        assert entry["version"] == version and entry["integrity"]
