"""The deck as text: its slides with their notes, and the script that draws its figures."""

import math
import re
import runpy
from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

from serving import ROOT

FOLDER = ROOT / "slides"
WORDS_A_MINUTE = 130
A_FORMULA, A_FIGURE = 15, 15  # seconds in which the room looks at one
IMAGE = re.compile(r"!\[(?:w:(\d+) )?([^\]]*)\]\(([^)]+)\)")


class Slide(NamedTuple):
    """One slide of deck.md: what is shown, and what is said."""

    number: int
    body: str
    notes: str
    classes: tuple[str, ...]

    @property
    def title(self):
        return (re.findall(r"(?m)^#{1,2} (.+)$", self.body) or [""])[0]

    @property
    def minutes(self):
        return float(self.field("minutes") or 0)

    @property
    def part(self):
        """ "core", "if time" or "appendix"."""
        return self.field("part")

    @property
    def spoken(self):
        """The words that are said: the notes without their fields and what is for the teacher."""
        said = re.split(r"\n\n(?:If asked|Before you begin)", self.notes)[0]
        return re.sub(r"(?m)^(minutes|part|panel|vote|board|work|exercise): .*$", "", said).split()

    @property
    def needs(self):
        """Minutes, to the next half: words, formulas, figures, and the seconds that are stated."""
        stated = re.findall(r"(?m)^(?:vote|board|panel|work): (?:.*, )?(\d+) s$", self.notes)
        seconds = 60 * len(self.spoken) / WORDS_A_MINUTE + sum(map(int, stated))
        seconds += A_FORMULA * (self.body.count("$$") // 2) + A_FIGURE * len(self.images)
        return math.ceil(seconds / 30) / 2

    @property
    def images(self):
        """(width in px, alternative text, path) of each image."""
        return [(int(w or 0), alt, path) for w, alt, path in IMAGE.findall(self.body)]

    def field(self, name):
        """The line `name: …` of the notes, or ""."""
        return (re.findall(rf"(?m)^{name}: (.+)$", self.notes) or [""])[0]


@cache
def slides():
    """Return the slides of deck.md."""
    _, _, rest = (FOLDER / "deck.md").read_text(encoding="utf-8").split("---\n", 2)  # front matter
    found = []
    for number, part in enumerate(re.split(r"^---$", rest, flags=re.M), 1):
        comments = re.findall(r"<!--(.*?)-->", part, re.S)
        notes = [c.strip() for c in comments if not re.match(r" _?\w+: .*$", c)]
        classes = " ".join(re.findall(r"<!-- _class: ([\w -]+) -->", part)).split()
        body = re.sub(r"<!--.*?-->", "", part, flags=re.S)
        found.append(Slide(number, body, "\n".join(notes), tuple(classes)))
    return found


def lectures():
    """Return the slides of each lecture: one begins with a title or a part. No appendix."""
    found = []
    for page in slides():
        if {"title", "part"} & set(page.classes):
            found.append([])
        found[-1].append(page)
    return found[:3]


@cache
def script():
    """The module slides/figures.py, which is no part of a package."""
    return SimpleNamespace(**runpy.run_path(str(FOLDER / "figures.py")))


def words(text):
    """The words of four letters or more, whatever the ligatures of a PDF."""
    return set(re.findall(r"[A-Za-z]{4,}", text.replace("ﬁ", "fi").replace("ﬂ", "fl")))
