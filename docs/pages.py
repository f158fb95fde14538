"""Build the course's web page: `make site`, or `python docs/pages.py FOLDER [offline]`.

The notebooks are the only source of themselves. They are copied as they stand, with their outputs,
and only the copy is changed: solutions and set-up are folded, a live panel is its picture until the
page's own takes its place, and every picture gets its words. Sphinx's warnings are errors.
"""

import os
import re
import shutil
import sys
from pathlib import Path

import lite
import moving
import nbformat
from nbformat.v4 import new_markdown_cell
from PIL import Image

from course_utils.panels import sum_of_elbos, weighting

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
PAGES = ["conf.py", "*.md", "_static", "_templates"]
MATHJAX = ["tex-chtml.js", "input", "ui", "a11y"]
FONT = ["chtml", "chtml.js"]
SLIDES = ROOT / "slides"
GUIDE = [  # links of the guide, which stands in another folder there
    (r"\]\(\.\./docs/(\w+\.md)", r"](\1"),
    (r"\[([^]]*)\]\(\.\./docs/hub\)", r"\1"),
    (r"\]\(\.\./notebooks/", "](notebooks/"),
    (r"\[([^]]*)\]\(deck\.md\)", r'<a href="deck.html">\1</a>'),
    (r"\[([^]]*)\]\((\w+\.(?:html|pdf))\)", r'<a href="\2">\1</a>'),
    (r"\[([^]]*)\]\((?!\w+\.md|notebooks/|#|http)[^)]*\)", r"\1"),
]
# Cells about the reader's own computer are left out.
ON_A_COMPUTER = ("## Is the installation right?", "Each line must begin with **OK**")
# What every page loads and none needs: 1.6 MB of icons, of which site.css draws those in use, and
# the search's index, which is for the page of the search.
SPARED = r"(?m)^.*<script[^>]*(scripts/fontawesome\.js{}).*</script>\n"
SEARCH = r"|searchtools\.js|language_data\.js|searchindex\.js"
# What keeps the theme's pages from those who listen to them (axe-core's rules, in tests/site).
MENDED = {
    r'<summary aria-label="Toggle hidden content">': "<summary>",
    r'(<button class="btn search-button-field[^>]*) aria-label="Search"': r"\1",
    r'(<div id="pst-primary-sidebar")': r'\1 role="region" aria-label="This site"',
    r'<summary>(<span class="toctree-toggle")': r'<summary aria-label="its parts">\1',
    r'<th class="head"><p></p></th>': "<td></td>",  # the corner of a table
}


def main(target, offline=None):
    """Write the web page into ``target``, and the notebooks that run in a browser below it.

    With any word as ``offline``, Python and its packages lie there too.
    """
    from sphinx.cmd.build import build_main  # in the site's environment alone

    target = Path(target).resolve()
    sources = ROOT / "build/site-sources"
    for folder in (target, sources):
        shutil.rmtree(folder, ignore_errors=True)
    gather(sources)
    os.environ["COURSE_ROOT"] = str(ROOT)
    status = build_main(["--quiet", "--fail-on-warning", "--keep-going", str(sources), str(target)])
    lighten(target, {'class="runs"': r"\g<0> data-offline"} if offline else {})
    return status or lite.build(target / "lite", offline)


def lighten(target, others):
    """Take out of the built pages what they load and do not need, and mend their barriers."""
    for page in target.rglob("*.html"):
        spared = SPARED.format("" if page.name == "search.html" else SEARCH)
        text = page.read_text(encoding="utf-8")
        for pattern, new in {spared: "", **MENDED, **others}.items():
            text = re.sub(pattern, new, text)
        page.write_text(text, encoding="utf-8")
    for path in (target / "_static").rglob("*.map"):
        path.unlink()


def gather(folder):
    """Write everything that Sphinx reads into ``folder``."""
    modules, static = DOCS / "node_modules", folder / "_static"
    copy(DOCS, PAGES, folder)
    copy(modules / "mathjax", MATHJAX, static / "mathjax")
    copy(modules / "@mathjax/mathjax-newcm-font", FONT, static / "mathjax-newcm-font")
    copy(ROOT / "course_utils/widgets", ["panels.js"], static)
    copy(SLIDES, ["deck.html", "*.pdf"], folder / "_extra")
    guide(folder)
    (static / "panels").mkdir()
    first = moving.as_json("weighting", weighting.simple())
    (static / "panels/index.json").write_text(first, encoding="utf-8")
    preview(static / "preview.png")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        copy(path.parent, [path.name], folder / "notebooks")
        notebook = nbformat.read(path, as_version=4)
        words = [data["text/plain"] for data in views(notebook)]
        for place, panel in enumerate(moving.panels_of(path.name[:2], words)):
            page = static / "panels" / f"{path.name[:2]}-{place}.json"
            page.write_text(moving.as_json(*panel), encoding="utf-8")
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
        cell.metadata.mystnb = fold(cell)
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                cell.metadata.mystnb |= in_words(output)
    cells, place = [], 0
    for cell in notebook.cells:
        if cell.source.startswith(ON_A_COMPUTER):
            continue
        if cell.cell_type == "markdown":  # what stands in docs/ stands at the top of the web page
            cell.source = cell.source.replace("](../docs/", "](../")
        cells.append(cell)
        for output in cell.get("outputs", []):
            if output.get("data", {}).pop(lite.VIEW, None):
                cells.append(new_markdown_cell(live_panel(name, place)))
                place += 1
    cells.insert(1, new_markdown_cell(where_it_runs(name)))
    notebook.cells = cells


def views(notebook):
    """Return the data of a notebook's live panels."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.data for output in outputs if lite.VIEW in output.get("data", {})]


def fold(cell):
    """Tag a cell of code that a reader may skip; return the words that open it."""
    tags, source = cell.metadata.get("tags", []), cell.source
    if "solution" in tags:
        words = "the solution"
    elif "raise NotImplementedError" in source:
        words = "where the exercise starts"
    elif all(re.match(r"(from|import|[ )]|$)", line) for line in source.split("\n")):
        words = "what is imported"
    elif re.search(r"(?m)^(check\(|install_check\.check)", source):
        cell.metadata.tags = [*tags, "remove-cell"]  # neither an attempt nor a computer is here
        return {}
    else:
        return {}
    cell.metadata.tags = [*tags, "hide-cell"]
    return {"code_prompt_show": f"Show {words}", "code_prompt_hide": f"Hide {words}"}


def in_words(output):
    """Return myst-nb's settings of a cell with a picture; a panel's has its numbers below."""
    words = output.data["text/plain"]
    settings = {"image": {"alt": " ".join(words.split())}}
    if lite.VIEW in output.data:
        numbers = re.sub(r"([!-/:-@[-`{-~])", r"\\\1", " · ".join(words.splitlines()[1:]))
        settings["figure"] = {"caption": f"The panel as saved: {numbers}"}
    return settings


def live_panel(name, place):
    """Return the place of a panel that moves in the page, and what is said of it."""
    module = moving.PANELS[name[:2]][place][0]
    if module in moving.RECORDED:
        said = "Recorded: one control moves at a time. All move together where Python runs"
    else:
        said = "Computed in this page. A notebook can take the curve from it where Python runs"
    source = f"../_static/panels/{name[:2]}-{place}.json"
    return f'<div class="panel" data-panel="{source}"></div>\n\n*{said}: {live_link(name)}*'


def where_it_runs(name):
    """Return the lines at the head of a notebook's page."""
    torch = f"{lite.NEEDS_TORCH} " if lite.needs_torch(name) else ""
    also = [f'<a href="../lite/files/{name}" download>the file</a>']
    if slide := first_slide(name[:2]):
        also.append(f'<a href="../deck.html#{slide}">its slides</a>')
    return (
        f"This is the notebook as last run. {torch}{live_link(name)}, or [elsewhere]"
        f"(../where_to_run.md). There are also {' and '.join(also)}."
    )


def first_slide(number):
    """Return the number of the first slide that speaks of a notebook; 0 if none does."""
    slides = (SLIDES / "deck.md").read_text(encoding="utf-8").split("\n---\n")[1:]
    found = [n for n, slide in enumerate(slides, 1) if f"notebook {number}" in slide]
    return found[0] if found else 0


def live_link(name):
    """Return a link to where a notebook runs; site.js looks whether it can start there."""
    there = f"../lite/notebooks/index.html?path={name}"
    return f'<a class="runs" href="{there}">Run it in your browser</a>'


def preview(path):
    """Write the picture that stands for the page where somebody links to it, 1200 × 630."""
    picture = sum_of_elbos.picture().convert("RGB")
    picture.thumbnail((1160, 560))
    sheet = Image.new("RGB", (1200, 630), "white")
    sheet.paste(picture, ((1200 - picture.width) // 2, (630 - picture.height) // 2))
    sheet.save(path)


def guide(folder):
    """Write the pages that are made of the teacher's guide: itself, and its misconceptions."""
    text = (SLIDES / "TEACHING.md").read_text(encoding="utf-8")
    for pattern, new in GUIDE:
        text = re.sub(pattern, new, text)
    (folder / "teaching.md").write_text(text, encoding="utf-8")
    table = re.search(r"(?ms)^## Misconceptions.*?(?=^## )", text)[0].split("\n", 1)[1]
    (folder / "misconceptions.md").write_text(f"# Misconceptions\n{table}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
