"""Build the course's web page: `make site`, or `python docs/pages.py FOLDER`.

The notebooks are the only source of themselves. They are copied as they stand, with their outputs,
and only the copy is changed: solutions are folded, a live panel becomes its picture with a link to
where it moves, and every picture gets its words. Sphinx's warnings are errors.
"""

import os
import re
import shutil
import sys
from pathlib import Path

import lite
import nbformat
from nbformat.v4 import new_markdown_cell

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PAGES = ["conf.py", "*.md", "_static", "_templates"]
MATHJAX = ["tex-chtml.js", "input", "ui", "a11y"]
FONT = ["chtml", "chtml.js"]
FOLDED = {"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}


def main(target):
    """Write the web page into ``target``, and the notebooks that run in a browser below it."""
    from sphinx.cmd.build import build_main  # in the site's environment alone

    target = Path(target).resolve()
    sources = ROOT / "build/site-sources"
    for folder in (target, sources):
        shutil.rmtree(folder, ignore_errors=True)
    gather(sources)
    os.environ["COURSE_ROOT"] = str(ROOT)
    status = build_main(["--quiet", "--fail-on-warning", "--keep-going", str(sources), str(target)])
    return status or lite.build(target / "lite")


def gather(folder):
    """Copy everything that Sphinx reads into ``folder``."""
    modules, static = DOCS / "node_modules", folder / "_static"
    copy(DOCS, PAGES, folder)
    copy(modules / "mathjax", MATHJAX, static / "mathjax")
    copy(modules / "@mathjax/mathjax-newcm-font", FONT, static / "mathjax-newcm-font")
    copy(ROOT / "slides", ["deck.html", "deck.pdf"], folder / "_extra")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        copy(path.parent, [path.name], folder / "notebooks")
        notebook = nbformat.read(path, as_version=4)
        make_page(notebook, path.name)
        nbformat.write(notebook, folder / "notebooks" / path.name)


def copy(source, patterns, target):
    """Copy what is in the folder ``source`` and fits a pattern into the folder ``target``."""
    target.mkdir(parents=True, exist_ok=True)
    for path in (path for pattern in patterns for path in source.glob(pattern)):
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        else:
            shutil.copy(path, target)


def make_page(notebook, name):
    """Change a notebook into the source of its page."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    code[0].metadata.tags = ["remove-cell"]  # it installs the course, where there is none
    for cell in code:
        settings = {}
        if "solution" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("hide-cell")
            settings |= FOLDED
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                settings |= in_words(output, name)
        cell.metadata.mystnb = settings
    for cell in notebook.cells:
        if cell.cell_type == "markdown":  # what stands in docs/ stands at the top of the web page
            cell.source = cell.source.replace("](../docs/", "](../")
    notebook.cells.insert(1, new_markdown_cell(where_it_runs(name)))


def in_words(output, name):
    """Return myst-nb's settings of a cell with a picture; a panel loses its live view."""
    words = output.data["text/plain"]
    settings = {"image": {"alt": " ".join(words.split())}}
    if output.data.pop(lite.VIEW, None):
        numbers = re.sub(r"([!-/:-@[-`{-~])", r"\\\1", " · ".join(words.splitlines()[1:]))
        settings["figure"] = {"caption": f"A live panel, as saved: {numbers}. {live_link(name)}"}
    return settings


def where_it_runs(name):
    """Return the line at the head of a notebook's page."""
    if lite.needs_torch(name):
        return f"The notebook as last run. {lite.NEEDS_TORCH} {live_link(name)}"
    return f"The notebook as last run. {live_link(name)}"


def live_link(name):
    """Return a link to where a notebook runs, and what to expect there."""
    there = f"../lite/notebooks/index.html?path={name}"
    return (
        f'<a href="{there}">Run it in your browser</a> (nothing to install; it takes a minute to '
        f"start), or [elsewhere](../where_to_run.md)."
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
