"""The built deck as a lecture hall sees it: every page in Chromium, the PDF, and a rebuild."""

import shutil
import subprocess
from pathlib import Path

import pytest
from deck_source import FOLDER, slides, words
from panel_page import drag, place
from playwright.sync_api import expect
from pypdf import PdfReader
from serving import chromium, needed

from course_utils.panels import sum_of_elbos

SLIDES = slides()
# px at 1280 × 720: least size of body, footer, a panel's words (enlarged by 1.22), and a formula's
# 1 em; contrast of WCAG 2.2, level AA
LIMITS = {"words": 20, "footer": 18, "panel": 12, "formula": 20, "contrast": 4.5}

# Lay all slides out at once, answers included, and look at each.
LOOK = (Path(__file__).parent / "look.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def opened():
    """The committed deck.html from its file, and every address that it asked for."""
    with chromium(width=1280, height=720) as context:
        page, asked = context.new_page(), []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((FOLDER / "deck.html").as_uri())
        page.wait_for_function("document.fonts.status === 'loaded'")
        yield page, asked


def test_nothing_is_fetched(opened):
    page, asked = opened
    assert [a for a in asked if not a.startswith(("data:", "blob:"))] == [page.url]
    fonts = page.evaluate(
        "[...document.fonts].filter(f => f.status === 'loaded').map(f => f.family)"
    )
    assert "Deck" in {name.strip("\"'") for name in fonts}


def test_every_slide_is_there_with_its_notes(opened):
    page, _ = opened
    notes = page.eval_on_selector_all(".bespoke-marp-note", "all => all.map(n => n.textContent)")
    assert page.locator("svg.bespoke-marp-slide").count() == len(SLIDES) == len(notes)
    for slide, note in zip(SLIDES, notes, strict=True):
        assert f"minutes: {slide.minutes:g}" in note, f"slide {slide.number}"
        assert "{{" not in note


def test_every_slide_can_be_read(opened):
    found = opened[0].evaluate(LOOK, LIMITS)
    assert {i: wrong for i, wrong in enumerate(found, 1) if wrong} == {}  # by slide


def test_the_panel_follows_the_hand_and_the_keys_are_its_own(opened):
    """Pulled in the built deck, it shows the numbers of Python; arrows move the dot, no slide."""
    panel, page = sum_of_elbos.panel(), opened[0].context.new_page()
    (number,) = (slide.number for slide in SLIDES if "data-panel" in slide.body)
    page.goto(f"{(FOLDER / 'deck.html').as_uri()}#{number}")
    dot = page.locator(".won-handle[data-control=gains]").nth(4)
    x, y = place(dot)
    drag(dot, 0, -40)
    assert place(dot) == pytest.approx((x, y - 40), abs=4)  # under the hand on an enlarged slide
    pulled = dot.get_attribute("aria-valuenow")
    dot.press("ArrowRight")
    expect(dot).not_to_have_attribute("aria-valuenow", pulled)  # drawn at the next frame
    assert page.url.endswith(f"#{number}")
    panel.set(gains=[0.0] * 4 + [float(dot.get_attribute("aria-valuenow"))] + [0.0] * 2)
    expect(page.locator(".won-headline")).to_have_text(panel.frame["readout"]["headline"])
    page.mouse.click(20, 400)  # beside the panel
    page.keyboard.press("ArrowRight")
    page.wait_for_function("n => location.hash === `#${n}`", arg=number + 1)
    panel.close()


def test_pdf_has_the_same_pages_and_words(opened):
    reader = PdfReader(FOLDER / "deck.pdf")
    assert len(reader.pages) == len(SLIDES)
    opened[0].add_style_tag(content=".place { display: none; }")  # a panel's picture is in the PDF
    shown = opened[0].eval_on_selector_all(
        "svg.bespoke-marp-slide section", "all => all.map(s => s.innerText)"
    )
    for i, (page, text) in enumerate(zip(reader.pages, shown, strict=True), 1):
        width, height = float(page.mediabox.width), float(page.mediabox.height)
        assert width / height == pytest.approx(16 / 9, rel=1e-3)
        lost = words(text) - words(page.extract_text())
        assert not lost, f"page {i} of deck.pdf lacks {sorted(lost)}: make slides"
    assert len(reader.outline) >= 3


@pytest.fixture(scope="module")
def marp():
    """The deck's own Marp; where Node is missing, a skip by name, in CI an error."""
    npm = needed("npm", remedy="install nodejs and npm to rebuild the deck")
    if not (FOLDER / "node_modules" / ".package-lock.json").exists():
        subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=FOLDER, check=True, timeout=300)
    return FOLDER / "node_modules" / ".bin" / "marp"


def build(marp, folder, target):
    subprocess.run([marp, "deck.md", "-o", target], cwd=folder, check=True, timeout=120)
    return target.read_text(encoding="utf-8")


def test_html_is_what_the_source_builds(marp, tmp_path):
    same = build(marp, FOLDER, tmp_path / "deck.html") == (FOLDER / "deck.html").read_text("utf-8")
    assert same, "deck.html is older than its source: make slides"


def test_an_unknown_number_stops_the_build(marp, tmp_path):
    copy = tmp_path / "slides"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("node_modules", "live", "deck.*"))
    (copy / "node_modules").symlink_to(FOLDER / "node_modules")
    (copy / "deck.md").write_text("---\nmarp: true\ntheme: noise\n---\n\n# {{unheard_of}}\n")
    with pytest.raises(subprocess.CalledProcessError):
        build(marp, copy, tmp_path / "deck.html")
