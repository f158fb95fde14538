"""The notebooks' first cell, run in its own IPython, and the address that `make address` writes."""

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from comparing import refuses

ROOT = Path(__file__).parent.parent
BOOK = runpy.run_path(str(ROOT / ".ci/address.py"))
URL = "https://example.org/owner/name"  # a name that belongs to nobody
MISSING = "sys.modules['course_utils'] = None"  # as if it were not installed
OLD = "from importlib import metadata; metadata.version = lambda name: '0.9'"


def said(address=None, before="", platform="linux", beside="."):
    """What the first cell prints in the folder ``beside``; `%pip` only says what it would do."""
    code = f"""if True:
        import sys
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance(colors="nocolor")
        shell.register_magic_function(lambda line: print("pip", line), magic_name="pip")
        sys.platform = {platform!r}
        {before}
        shell.run_cell({BOOK["first_cell"](address)!r})
    """
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=beside)
    assert done.returncode == 0 and "Traceback" not in done.stdout + done.stderr, done
    return done.stdout


def test_it_is_silent_where_the_course_is_there_and_fit():
    assert said() == said(URL) == said(platform="emscripten") == ""


def test_an_old_package_stops_the_notebook_with_a_sentence():
    text = said(before=OLD)
    assert text.startswith("The course cannot run here: ") and text.count("\n") == 1
    assert "numpy is 0.9, the course needs >=2.0" in text


def test_a_file_that_hides_the_course_is_named(tmp_path):
    (tmp_path / "course_utils.py").write_text("my_own = 1\n")
    assert f"{tmp_path}/course_utils.py hides the course" in said(beside=tmp_path)


def test_where_it_is_missing_it_is_installed_or_said():
    """Its name is registered nowhere: only the web page, or an address, is asked for it."""
    assert said(URL, MISSING, "emscripten") == "pip install -q weight-of-noise\n"
    assert said(URL, MISSING) == f"pip install -q git+{URL}\n"
    text = said(None, MISSING)
    assert "start it with `make lab`, or %pip install" in text and "pip install -q" not in text


def test_the_address_is_written_everywhere_and_can_be_changed(tmp_path):
    for name in ("pyproject.toml", "CITATION.cff", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    notebook = Path(
        shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks"), "00_start_here.ipynb"
    )
    cells = nbformat.read(notebook, as_version=4).cells
    (tmp_path / "README.md").write_text("# Title\n\n<!-- badges --><!-- badges -->\n\nText\n")
    for url in ("https://github.com/one/course.git", "https://github.com/two/course/"):
        changed = BOOK["write"](url, tmp_path)
        assert BOOK["known"](tmp_path) == url.removesuffix(".git").rstrip("/")
        texts = {path.name: path.read_text(encoding="utf-8") for path in changed}
        assert len(texts) == 12 and all(url[19:29] in text for text in texts.values())
        assert texts["README.md"].count("mybinder.org/v2/gh/") == 1
        assert texts["README.md"].endswith("<!-- badges -->\n\nText\n")
        after = nbformat.read(notebook, as_version=4).cells
        assert [c for c in after if c.id != "install"] == [c for c in cells if c.id != "install"]
    assert "one/course" not in "".join(texts.values()) and BOOK["write"](url, tmp_path) == []


def test_what_is_no_address_is_refused(tmp_path):
    for url in ("", "github.com/a/b", "http://github.com/a/b", "https://a.b/c"):
        refuses("https://host/owner/name is wanted", BOOK["write"], url, tmp_path)


def test_until_the_address_is_known_nothing_names_one():
    if BOOK["known"]() is None:
        assert "mybinder.org/v2" not in (ROOT / "README.md").read_text(encoding="utf-8")
        assert "repository-code" not in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
