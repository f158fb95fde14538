"""What a reader trusts when opening this course: outputs, code, servers and packages."""

import contextlib
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# --- Notebooks: nothing that runs or fetches when a saved file is opened --------------------------

HARMLESS = {
    "text/plain",
    "text/html",  # looked into below
    "text/latex",
    "text/markdown",
    "image/png",
    "image/jpeg",
    "application/vnd.jupyter.widget-view+json",  # a name of a model, not the model
}
RUNS = re.compile(
    r"<\s*(script|iframe|object|embed|link|meta|base|form)\b|javascript:|\bon[a-z]+\s*=|@import",
    re.IGNORECASE,
)
FETCHES = re.compile(
    r"(src|srcset|poster|data|background)\s*=\s*[\"']?\s*(https?:)?//|url\(\s*[\"']?(https?:)?//"
    r"|!\[[^\]]*\]\(\s*<?(https?:)?//",
    re.IGNORECASE,
)


def unsafe(notebook):
    """Return what in a notebook would run or fetch something when it is opened, in words."""
    found = []
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            found += [f"cell {place}: {words}" for words in unsafe_words(cell.source)]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            found += [f"cell {place}: output of type {kind}" for kind in set(data) - HARMLESS]
            for kind in ("text/html", "text/markdown"):
                words = unsafe_words("".join(data.get(kind, "")))
                found += [f"cell {place}, {kind}: {word}" for word in words]
    if "widgets" in notebook.metadata:
        found.append("saved state of widgets: it is trusted on opening")
    return found


def unsafe_words(text):
    return [match[0] for pattern in (RUNS, FETCHES) for match in pattern.finditer(text)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_opening_a_notebook_runs_and_fetches_nothing(path):
    assert unsafe(nbformat.read(path, as_version=4)) == []


@pytest.mark.parametrize(
    "source",
    [
        "<script src='https://cdn.example/x.js'></script>",
        "<a href='javascript:alert(1)'>here</a>",
        "<img src='//example.org/pixel.gif'>",
        "![a figure](https://example.org/figure.png)",
        "<iframe srcdoc='x'>",
    ],
)
def test_what_runs_or_fetches_is_seen(source):
    output = nbformat.v4.new_output("display_data", {"text/html": source})
    as_output = nbformat.v4.new_code_cell("1", outputs=[output])
    for cell in (as_output, nbformat.v4.new_markdown_cell(source)):
        assert unsafe(nbformat.v4.new_notebook(cells=[cell])) != []


# --- Code: no data file is able to run code -------------------------------------------------------

# pickle, exec, eval, a shell
UNSAFE = "S102,S301,S302,S307,S602,S604,S605"


def dangers(*paths):
    """Return what ruff's security rules say of files, one line each."""
    options = ["--isolated", "--no-cache", "--output-format", "concise", "--select", UNSAFE]
    command = [sys.executable, "-m", "ruff", "check", *options, *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return [line for line in done.stdout.splitlines() if ": S" in line]


def test_no_file_that_is_read_can_run_code():
    assert dangers("course_utils", "notebooks", "slides", "docs") == []


def test_a_dangerous_line_is_seen(tmp_path):
    lines = "import os, pickle", "pickle.load(file)", "eval(words)", "os.system(words)"
    (tmp_path / "danger.py").write_text("\n".join(lines))
    assert len(dangers(tmp_path)) == 3


# --- Servers: this machine alone, and a token -----------------------------------------------------

OPENED_UP = re.compile(
    r"0\.0\.0\.0|--ip\b|ServerApp\.ip|(token|password)\s*=\s*(['\"]{2}|\s|$)|--no-token"
    r"|disable_check_xsrf|allow_origin|allow_remote_access|allow_unauthenticated|--host\b"
    r"|--bind\b|--Voila\.ip|--public\b",
    re.IGNORECASE,
)
RECIPES = [ROOT / "Makefile", ROOT / ".ci/run", *(ROOT / ".github").rglob("*.yml")]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_no_recipe_opens_a_server_to_others(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if OPENED_UP.search(line)] == []


def test_a_recipe_that_opens_a_server_is_seen():
    for options in ("--ip=0.0.0.0", "--IdentityProvider.token= x", "--ServerApp.allow_origin='*'"):
        assert OPENED_UP.search(f"jupyter lab {options}")


# --- Packages: known licences ---------------------------------------------------------------------

PERMISSIVE = re.compile(
    r"\b(MIT(-0|-CMU)?|BSD|0BSD|Apache|ISC|ISCL|PSF|PSFL|Python Software Foundation|Zlib|BSL-1\.0"
    r"|CC0-1\.0|HPND|Unlicense|MPL[- ]2\.0|Mozilla Public License 2\.0)\b",
    re.IGNORECASE,
)
COPYLEFT = re.compile(
    r"\b(A?GPL|GNU|LGPL|SSPL|EUPL|CC[- ]BY[- ]NC|NonCommercial|Proprietary)\b", re.I
)


def licence(distribution):
    """Return what a package says of its licence: SPDX, else classifiers, else its first line."""
    about = distribution.metadata
    classified = [c for c in about.get_all("Classifier", []) if c.startswith("License")]
    words = about.get("License-Expression") or " ".join(c.split(" :: ")[-1] for c in classified)
    return words or (about.get("License") or "").strip().split("\n")[0]


def locked():
    """Return the names of the packages that `make env` installs."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [re.split(r"[=<>;\[ ]", line)[0] for line in lines if line and line[0] not in "#-"]


def test_each_package_has_a_licence_that_lets_all_use_it():
    for name in locked():
        with contextlib.suppress(metadata.PackageNotFoundError):  # it is for another machine
            words = licence(metadata.distribution(name))
            assert PERMISSIVE.search(words) and not COPYLEFT.search(words), f"{name}: {words!r}"
