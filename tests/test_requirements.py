"""The pins of requirements.txt install on every Python that pyproject.toml promises."""

import re
import tomllib
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OLDEST = re.search(r">=([\d.]+)", PROJECT["requires-python"])[1] + ".0"  # Debian 12 has 3.11.2
NEWEST = "3.13.0"


def pins(text):
    """The requirements in a file's text."""
    rows = (row.partition("#")[0].strip() for row in text.splitlines())
    return [Requirement(row) for row in rows if row]


PINNED = pins((ROOT / "requirements.txt").read_text(encoding="utf-8"))


def refused_by(wanted):
    """The promised versions of Python that a Requires-Python leaves out."""
    return [v for v in (OLDEST, NEWEST) if not SpecifierSet(wanted or "").contains(v)]


def test_the_ends_are_those_promised():
    promised = SpecifierSet(PROJECT["requires-python"])
    assert all(v in promised for v in (OLDEST, NEWEST))
    assert not any(v in promised for v in ("3.10.14", "3.14.0"))


@pytest.mark.parametrize("pin", PINNED, ids=lambda pin: pin.name)
def test_a_pin_admits_every_promised_python(pin):
    found = metadata.metadata(pin.name)
    assert pin.specifier.contains(metadata.version(pin.name)), "the environment is not as pinned"
    assert refused_by(found.get("Requires-Python")) == []


def test_every_pin_is_exact_and_every_range_pinned_within():
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) for pin in PINNED)
    version = {pin.name.lower().replace("_", "-"): pin.specifier for pin in PINNED}
    extras = chain.from_iterable(PROJECT["optional-dependencies"].values())
    for wanted in map(Requirement, [*PROJECT["dependencies"], *extras]):
        exact = str(version[wanted.name.lower()]).removeprefix("==")
        assert wanted.specifier.contains(exact), f"{wanted}, pinned at {exact}"


def test_a_pin_that_leaves_one_out_is_seen():
    assert refused_by(">=3.11.5") == ["3.11.0"]
    assert refused_by(">=3.9,<3.13") == ["3.13.0"]
    assert refused_by(None) == []
