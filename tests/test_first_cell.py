"""The notebooks' first cell, run in its own IPython, and the address that `make address` writes."""

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
BOOK = runpy.run_path(str(ROOT / ".ci/address.py"))
URL = "https://example.org/owner/name"  # a name that belongs to nobody

# Runs the cell of the second argument; `%pip` only says what it was asked for.
RUN = """if True:
    import sys
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.register_magic_function(lambda line: print("pip", line), magic_name="pip")
    hidden, sys.platform, cell = sys.argv[1:]
    if hidden:
        sys.modules["course_utils"] = None  # as if it were not installed
    shell.run_cell(cell)
"""


def said(address=None, hidden="", platform="linux"):
    """What the first cell prints."""
    command = [sys.executable, "-W", "ignore", "-c", RUN, hidden, platform]
    done = subprocess.run(
        [*command, BOOK["first_cell"](address)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and "Traceback" not in done.stdout + done.stderr, done
    return done.stdout


@pytest.mark.parametrize("address", [None, URL])
@pytest.mark.parametrize("platform", ["linux", "emscripten"])
def test_the_cell_is_silent_where_the_course_is_there(address, platform):
    assert said(address, "", platform) == ""


@pytest.mark.parametrize("address", [None, URL])
def test_the_web_page_installs_it_from_itself(address):
    assert said(address, "hidden", "emscripten") == "pip install -q weight-of-noise\n"


def test_elsewhere_it_comes_from_its_address_or_says_what_to_do():
    assert said(URL, "hidden") == f"pip install -q git+{URL}\n"
    sentence = said(None, "hidden")
    assert "The course is missing: start it with `make lab`, or %pip install" in sentence
    assert "pip install -q" not in sentence


def test_no_other_index_is_asked_for_the_name():
    """The course's name is not registered anywhere: only the web page serves it."""
    rows = BOOK["first_cell"](None).splitlines()
    (asking,) = [k for k, row in enumerate(rows) if "weight-of-noise" in row]
    assert 'sys.platform == "emscripten"' in rows[asking - 1]


# --- the address -----------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path):
    for name in ("pyproject.toml", "CITATION.cff", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks/00_start_here.ipynb", tmp_path / "notebooks")
    return tmp_path


def sources(root):
    return nbformat.read(root / "notebooks/00_start_here.ipynb", as_version=4).cells


def test_the_address_is_written_everywhere_and_can_be_changed(copy):
    before = sources(copy)
    (copy / "README.md").write_text("# Title\n\n<!-- badges --><!-- badges -->\n\nText\n")
    for url in ("https://github.com/one/course.git", "https://github.com/two/course/"):
        changed = BOOK["write"](url, copy)
        address = url.removesuffix(".git").rstrip("/")
        assert BOOK["known"](copy) == address
        assert len(changed) == 4
        texts = {path.name: path.read_text(encoding="utf-8") for path in changed}
        assert all(
            address.removeprefix("https://github.com/") in text for text in texts.values()
        ), texts.keys()
        assert texts["README.md"].count("mybinder.org/v2/gh/") == 1
        assert texts["README.md"].endswith("<!-- badges -->\n\nText\n")
        after = sources(copy)
        assert [a.source for a in after if a.id != "install"] == [
            b.source for b in before if b.id != "install"
        ]
    assert "one/course" not in "".join(texts.values())
    assert BOOK["write"](url, copy) == []


@pytest.mark.parametrize(
    "address",
    ["", "github.com/a/b", "http://github.com/a/b", "https://github.com", "https://a.b/c"],
)
def test_what_is_no_address_is_refused(copy, address):
    with pytest.raises(ValueError, match="https://host/owner/name is wanted"):
        BOOK["write"](address, copy)


def test_until_it_is_known_nothing_names_one():
    if BOOK["known"]() is None:
        for name in ("README.md", "CITATION.cff", "pyproject.toml"):
            text = (ROOT / name).read_text(encoding="utf-8")
            assert "mybinder.org/v2" not in text and "repository-code" not in text
