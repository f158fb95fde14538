"""What every committed notebook keeps, and broken notebooks that show each rule at work.

A rule is a function of a notebook (and its path) that yields what is wrong, in words. What saved
outputs say is compared by `pytest --nbval`; here it is the form that counts.
"""

import ast
import builtins
import copy
import functools
import itertools
import re
import runpy
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_output

from course_utils.exercises import exercises

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SLIDES = ROOT / "slides/live_panels.ipynb"
TOP = 4  # what a reader must see first stands in the first four cells

ADDRESS_BOOK = runpy.run_path(str(ROOT / ".ci/address.py"))
INSTALL = ADDRESS_BOOK["first_cell"](ADDRESS_BOOK["known"]())

VIEW = "application/vnd.jupyter.widget-view+json"
CHECK = re.compile(r"""\bcheck\(\s*["']([^"']*)["']""")
CAPTION = re.compile(r"[*_]*(Figure|Panel|Caption)\b")
LINK = re.compile(r"""\]\(\s*<?([^)\s>]+)|\b(?:href|src)\s*=\s*["']([^"']+)["']""")
ABSOLUTE = re.compile(
    r"file://|(?<![\w.:/~-])/(?:home|Users|root|work|tmp|mnt|opt|usr|var|content)/"
    r"|\b[A-Z]:\\"
)
TEXTS = {"text/plain", "text/html", "text/markdown", "text/latex"}
HARMLESS = {*TEXTS, "image/png", "image/jpeg", VIEW}  # a view names a model, and is not the model
# What runs, or is fetched, when a saved file is opened.
ACTIVE = re.compile(
    r"<\s*(script|iframe|object|embed|link|meta|base|form)\b|javascript:|\bon[a-z]+\s*=|@import"
    r"|(src|srcset|poster|data|background)\s*=\s*[\"']?\s*(https?:)?//"
    r"|url\(\s*[\"']?(https?:)?//|!\[[^\]]*\]\(\s*<?(https?:)?//",
    re.IGNORECASE,
)


# --- reading a notebook -----------------------------------------------------------------------


@functools.cache
def read(path):
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code(nb):
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def prose(cells):
    """The markdown of some cells without fenced code, emphasis marks and backticks."""
    text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.sub(r"[*_`]", "", re.sub(r"(?ms)^(```|~~~).*?^\1", "", text))


def shown(cell):
    """Everything a code cell printed or showed as text that nbval compares."""
    outputs = [o.get("data") or {"text/plain": o.get("text", "")} for o in cell.get("outputs", [])]
    return "\n".join(data[kind] for data in outputs for kind in sorted(TEXTS & set(data)))


def lines(source):
    return [line for line in source.splitlines() if line.strip()]


def names_checked(cell):
    return CHECK.findall(cell.source) if cell.cell_type == "code" else []


def is_solution(cell):
    return "solution" in cell.metadata.get("tags", [])


# --- the rules --------------------------------------------------------------------------------


def as_make_notebooks_leaves_it(nb, path):
    """Valid, run from top to bottom without complaint, and without what changes at every run."""
    nbformat.validate(nb)
    if nb.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernel is not python3"
    counts = [cell.execution_count for cell in code(nb)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts are {counts}: restart and run all, then save"
    if volatile := set(nb.metadata) & {"widgets", "papermill", "signature"}:
        yield f"notebook metadata hold {volatile}"
    for k, cell in enumerate(nb.cells):
        if volatile := set(cell.metadata) & {"execution", "ExecuteTime", "papermill", "collapsed"}:
            yield f"cell {k} has volatile metadata {volatile}"
        for out in cell.get("outputs", []):
            if out.output_type == "error" or out.get("name") == "stderr":
                yield f"cell {k} complains: {out.get('ename') or out.text[:60]}"


def begins_with_the_installation(nb, path):
    if code(nb)[0].source != INSTALL:
        yield "the first code cell is not the one that installs the course: copy it from 00"


def opens_well(nb, path):
    titles = re.findall(r"(?m)^# ", prose(nb.cells))
    if len(titles) != 1 or not nb.cells[0].source.startswith("# "):
        yield "one title is wanted, at the top"
    top = prose(nb.cells[:TOP])
    for what, pattern in {
        "a heading 'Learning goals'": r"(?mi)^#+ .*learning goals",
        "the minutes to read": r"\d\s*min",
        "the seconds to run": r"\d\s*s(ec|\b)",
        "the symbols used": r"(?i)\bsymbols?\b",
    }.items():
        if not re.search(pattern, top):
            yield f"the first {TOP} cells lack {what}"


def closes_well(nb, path):
    for wanted in ("What was shown", "What was not shown"):
        if not re.search(rf"(?mi)^#+ {wanted}( \(evening\))?$", prose(nb.cells)):
            yield f"there is no heading '{wanted}'"
    following = [p.name for p in NOTEBOOKS if p.name > path.name][:1]
    if not set(following) <= set(links(nb.cells[-3:])):
        yield f"the last cells hold no link to the next notebook, {following}"


def short_cells(nb, path):
    sizes = [len(lines(cell.source)) for cell in code(nb)]
    for cell, size in zip(code(nb), sizes, strict=True):
        if not 0 < size <= 15:
            yield f"cell {cell.execution_count} has {size} lines; 1 to 15 are wanted"
    if sizes and statistics.median(sizes) > 6:
        yield f"the median code cell has {statistics.median(sizes)} lines; 6 at most"


def images_have_words(nb, path):
    for k, cell in enumerate(nb.cells):
        for data in (out.get("data", {}) for out in cell.get("outputs", [])):
            pictures = {kind for kind in data if kind.startswith("image/")}
            if VIEW in data:
                words = data.get("text/plain", "")
                if len(re.findall(r"[A-Za-z]{2,}", words)) < 5 or re.match(r"\w+\(", words):
                    yield f"cell {k}: a panel's text/plain says only {words[:40]!r}"
                if not pictures:
                    yield f"cell {k}: a panel saved no picture for readers without a kernel"
            elif pictures and not any(CAPTION.match(c.source) for c in nb.cells[k + 1 : k + 2]):
                yield f"cell {k}: the cell after a figure must begin with its caption, *Figure"


def exercises_complete(nb, path):
    asked = list(exercises(path.name[:2]))
    found = list(dict.fromkeys(name for cell in nb.cells for name in names_checked(cell)))
    solved = ["".join(names_checked(cell)) for cell in nb.cells if is_solution(cell)]
    if found != asked or solved != asked:
        yield f"exercises are {found}, solutions {solved}, course_utils has {asked}"
    before = []
    for cell in nb.cells:
        if not is_solution(cell):
            before.append(cell)
            continue
        name = "".join(names_checked(cell))
        codes = [c for c in before if c.cell_type == "code"]
        tries = [shown(c) for c in codes if name in names_checked(c)]
        hint = r"(?is)<details>.*<summary>.*</summary>.*</details>"
        for what, there in {
            "a stub": any(re.search(r"NotImplementedError|= *None\b", c.source) for c in codes),
            "a check of it that says so": tries and "not attempted yet" in tries[0],
            "a hint, folded": any(re.search(hint, c.source) for c in before if c not in codes),
            "a hidden solution": cell.metadata.get("jupyter", {}).get("source_hidden"),
            "a solution that is correct": "correct" in shown(cell).splitlines(),
        }.items():
            if not there:
                yield f"{name} lacks {what}"
        before = []


def links(cells):
    """The targets of links in prose that lead to files, without their anchors."""
    for cell in cells:
        if cell.cell_type == "markdown":
            targets = ["".join(pair) for pair in LINK.findall(cell.source)]
            files = [t for t in targets if not re.match(r"[a-z]+:", t)]
            yield from (t.split("#")[0] for t in files if t.split("#")[0])


def links_resolve(nb, path):
    for target in links(nb.cells):
        if not (path.parent / target).exists():
            yield f"the link to {target} leads nowhere"


def no_absolute_paths(nb, path):
    for k, cell in enumerate(nb.cells):
        if match := ABSOLUTE.search(f"{cell.source}\n{shown(cell)}"):
            yield f"cell {k} names a path of one machine: {match[0]}"


def runs_and_fetches_nothing(nb, path):
    """Nothing runs or is fetched when a saved file is opened."""
    for k, cell in enumerate(nb.cells):
        kinds = {kind for out in cell.get("outputs", []) for kind in out.get("data", {})}
        yield from (f"cell {k}: output of type {kind}" for kind in kinds - HARMLESS)
        seen = shown(cell) if cell.cell_type == "code" else cell.source
        yield from (f"cell {k}: {match[0]}" for match in ACTIVE.finditer(seen))


# --- the day path and its minutes ------------------------------------------------------------

SECTION = re.compile(r"(?m)^(?=#{2,6} )")
WORDS_A_MINUTE = 150
MINUTES = {"formula": 1.5, "cell": 1, "panel": 4, "exercise": 5}
HEAD = re.compile(r"\*\*(\d+) minutes on the day path, (\d+) with the evening sections\*\*")
BLOCKS = (("01", "02"), ("03", "04"), ("05", "06", "07"))  # of 90 minutes, on the day path


def pieces(nb):
    """Yield (section, on the day path, cell or its markdown): a cell is cut at its headings.

    A heading that ends in *(evening)* takes all deeper headings below it off the day path.
    """
    section, evening_from = "", 7
    for cell in nb.cells:
        prose = cell.cell_type == "markdown"
        for text in SECTION.split(cell.source) if prose else [cell]:
            if prose and (heading := re.match(r"(#{2,6}) (.*)", text)):
                level = len(heading[1])
                evening_from = 7 if level <= evening_from else evening_from
                if re.search(r"\(evening\)\*?$", heading[2]):
                    evening_from = min(evening_from, level)
                section = heading[2] if level == 2 else section
            yield section, evening_from == 7, text


def counted(text):
    """Minutes of a piece by the rule that notebook 00 states."""
    if isinstance(text, str):
        text = re.sub(r"(?s)<details>.*?</details>", "", text)
        formulas, asked = text.count("$$") // 2, text.count("### Exercise")
        text = re.sub(r"\$[^$]+\$", "x", re.sub(r"(?s)\$\$.*?\$\$", "", text))
        words = len(re.findall(r"\w+", text)) / WORDS_A_MINUTE
        return words + MINUTES["formula"] * formulas + MINUTES["exercise"] * asked
    own = re.search(r"check\(|NotImplementedError|^attempt = None", text.source)
    bare = all(re.match(r"(from|import|#|\)| )", line) for line in lines(text.source))
    if text.source == INSTALL or own or bare:
        return 0
    return MINUTES["panel" if any(VIEW in out.get("data", {}) for out in text.outputs) else "cell"]


def minutes(nb):
    """Minutes on the day path, and with the evening sections."""
    spent = [(day, counted(text)) for _, day, text in pieces(nb)]
    return sum(m for day, m in spent if day), sum(m for _, m in spent)


def tells_its_time(nb, path):
    stated = HEAD.search(nb.cells[0].source)
    if not stated and path.name[:2] != "08":  # which is off the day path
        yield "the first cell lacks '**A minutes on the day path, B with the evening …**'"
    for said, true in zip(map(int, stated.groups() if stated else ()), minutes(nb), strict=False):
        if abs(said - true) > 5:
            yield f"the head says {said} minutes, the rule of notebook 00 {true:.0f}"


def evening_sections(number):
    """The numbers of the sections and the names of the exercises that are off the day path."""
    (path,) = FOLDER.glob(f"{number}_*.ipynb")
    off = [text for _, day, text in pieces(read(path)) if not day and isinstance(text, str)]
    heads = [re.match(r"## (\d+) |### Exercise (\S+)", text) for text in off]
    return {head[1] or head[2] for head in heads if head}


def day_path_stands_alone(nb, path):
    """No sentence or cell on the day path needs an evening section, unless it says 'evening'."""
    day_names, evening_names = set(), set()
    for _, day, text in pieces(nb):
        if not isinstance(text, str):
            tree = ast.parse(re.sub(r"(?m)^( *)%.*$", r"\1pass", text.source))
            names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
            made = {n.id for n in names if not isinstance(n.ctx, ast.Load)}
            made |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
            made |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
            used = {n.id for n in names} - made - day_names - set(dir(builtins))
            if day and (used & evening_names):
                yield f"a cell on the day path uses {sorted(used & evening_names)}, made off it"
            (day_names if day else evening_names).update(made)
        elif day and HEAD.search(nb.cells[0].source):
            for sentence in re.split(r"(?<=[.!?])\s+|\n\n", text):
                if "evening" in sentence:
                    continue
                leads = re.finditer(r"(?:sections?|and|to) (\d+)\b|xercise (0\d\.\d)", sentence)
                for found in leads if re.search("section|xercise", sentence) else ():
                    before = re.findall(r"\b(0\d)\b", sentence[: found.start()])
                    number = (found[2] or (before or [path.name])[-1])[:2]
                    target = found[2] or found[1]
                    if target in evening_sections(number):
                        yield f"the day path leads to {number}, {target}: {sentence.strip()[:70]}"


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_of_the_day_path_fit_into_90_minutes(block):
    assert sum(minutes(read(path))[0] for path in NOTEBOOKS if path.name[:2] in block) <= 90


def test_the_map_has_the_minutes_of_the_heads():
    map_of_00 = "\n".join(cell.source for cell in read(NOTEBOOKS[0]).cells)
    rows = re.findall(r"(?m)^\| (?:\[|\*\*)(0\d) .*?\| (\d+), (\d+) \|", map_of_00)
    heads = {p.name[:2]: HEAD.search(read(p).cells[0].source) for p in NOTEBOOKS}
    stated = [(number, *head.groups()) for number, head in heads.items() if head]
    assert stated == [row for row in rows if heads[row[0]]]


# --- no word before its meaning ---------------------------------------------------------------

# Each stands in bold where it is explained, and nowhere before. Not counted: heads, which ask
# the question, learning goals, the lecture's seven lines, the map, headings, the appendix of 00,
# and what is said of the next notebook.
TERMS = (
    "latent", "log-SNR", "noise level", "residual", "nats?", "networks?", "predictions?",
    "train(?:ing|ed)", "schedules?", "loss(?:es)?", "weightings?", "density of levels", "blur",
    "ELBO", "proportional", "chains?", "laws?", "total variation", "Kullback–Leibler", "posterior",
    "precision", "Wasserstein", "noise floor", "Brownian motion",
    "stochastic differential equation", "drift", "Euler–Maruyama", "strong order",
    "Fokker–Planck", "scores?", "Tweedie", "samplers?", "DDIM", "ancestral",
)  # fmt: skip
# Each stands in the table of symbols of the notebook in which it first appears.
SYMBOLS = (
    r"\epsilon", r"\hat\epsilon", r"e(\lambda)", r"w(\lambda)", r"p(\lambda)", r"\beta_t", r"\xi",
    r"\bar\alpha", r"\tilde\beta", r"\mu_t", "V_t", "W_1", "W_2", r"\beta(t)", r"\Delta", "B(t)",
    "W(t)", r"\epsilon^*", r"\eta", "K_j", "L(t;x)", "p_w", r"\rho", r"\Theta",
)  # fmt: skip
SKIPPED = r"Learning goals|3 The lecture, in seven lines|4 The map|Appendix"


@functools.cache
def course():
    """The prose of all notebooks in order, as (notebook, text), without what is not counted."""
    found = []
    for path in NOTEBOOKS:
        for section, _, text in itertools.islice(pieces(read(path)), 1, None):
            if isinstance(text, str):
                if re.match("Learning goals", section):  # the symbols stand in the same cell
                    text = text[text.find("**Symbols") :] if "**Symbols" in text else ""
                elif re.match(SKIPPED, section) or "What was" in text:
                    text = ""
                text = re.sub(r"(?m)^#+ .*$|\[[^\]]*\]\([^)]*\)|`[^`]*`", " ", text)
                found.append((path.name[:2], text))
    return found


def used_before_it_is_explained(term, course):
    word = re.compile(rf"(?<![\w-])(?:{term})(?![\w-])", re.IGNORECASE)
    for number, text in course:
        if found := word.search(text):
            bold = [b.span() for b in re.finditer(r"\*\*[^*]+\*\*", text)]
            if not any(start <= found.start() < end for start, end in bold):
                yield f"{number}: …{text[max(0, found.start() - 50) : found.end() + 20]}…"
            return


def test_no_word_before_its_meaning():
    assert [f for term in TERMS for f in used_before_it_is_explained(term, course())] == []


def test_a_word_that_comes_too_early_is_seen():
    assert list(used_before_it_is_explained("score", [("00", "the score"), ("01", "a **score**")]))


def test_no_symbol_before_its_meaning():
    for symbol in SYMBOLS:
        number = next(number for number, text in course() if symbol in text)
        (path,) = FOLDER.glob(f"{number}_*.ipynb")
        top = "\n".join(cell.source for cell in read(path).cells[:TOP])
        rows = re.findall(r"(?m)^\| (\$.*?) \|", top)
        assert any(symbol in row for row in rows), f"{symbol}: not in {number}'s table of symbols"


# --- the rules, and what breaks each of them in a notebook that keeps them all ------------------


def shows(text, name="stdout", kind=None):
    """A change of a notebook: its second cell of code shows this, too."""
    stream = new_output("stream", name=name, text=text)
    shown = new_output("display_data", {kind: text}) if kind else stream
    return lambda nb: code(nb)[1].outputs.append(shown)


def says(source, place=0):
    return lambda nb: nb.cells[place].update(source=source)


def without(dropped):
    return lambda nb: nb.update(cells=[cell for cell in nb.cells if not dropped(cell)])


BREAKS = [
    (as_make_notebooks_leaves_it, lambda nb: nb.metadata.pop("kernelspec")),
    (as_make_notebooks_leaves_it, lambda nb: code(nb)[1].update(execution_count=99)),
    (as_make_notebooks_leaves_it, shows("a warning", "stderr")),
    (as_make_notebooks_leaves_it, lambda nb: nb.metadata.update(widgets={})),
    (as_make_notebooks_leaves_it, lambda nb: nb.cells[1].metadata.update(collapsed=True)),
    (begins_with_the_installation, lambda nb: code(nb)[0].update(source="1")),
    (opens_well, says("no title")),
    (closes_well, without(lambda cell: "What was" in cell.source)),
    (short_cells, lambda nb: code(nb)[1].update(source="1\n" * 16)),
    (images_have_words, without(lambda cell: CAPTION.match(cell.source))),
    (exercises_complete, without(is_solution)),
    (links_resolve, says("# A [map](../nowhere.md)")),
    (no_absolute_paths, says("# open('/home/ada/x.csv')")),
    (runs_and_fetches_nothing, shows("1", kind="application/javascript")),
    (runs_and_fetches_nothing, shows("<script src='https://cdn.example/x.js'></script>")),
    (runs_and_fetches_nothing, says("<a href='javascript:alert(1)'>here</a>")),
    (runs_and_fetches_nothing, shows("<img src='//example.org/pixel.gif'>")),
    (runs_and_fetches_nothing, says("![a figure](https://example.org/figure.png)")),
    (runs_and_fetches_nothing, shows("<iframe srcdoc='x'>")),
    (tells_its_time, lambda nb: says(nb.cells[0].source.replace("45", "15"))(nb)),
    (day_path_stands_alone, lambda nb: says(nb.cells[-1].source + " By section 8.", -1)(nb)),
]
# A slide has neither goals nor exercises.
NOT_FOR_SLIDES = {
    begins_with_the_installation, opens_well, closes_well, exercises_complete, tells_its_time,
}  # fmt: skip


@pytest.mark.parametrize("path", [*NOTEBOOKS, SLIDES], ids=lambda path: path.stem)
def test_notebook(path):
    rules = {rule for rule, _ in BREAKS} - (NOT_FOR_SLIDES if path == SLIDES else set())
    wrong = {rule.__name__: list(rule(read(path), path)) for rule in rules}
    assert not any(wrong.values()), wrong


@pytest.mark.parametrize(("rule", "change"), BREAKS)
def test_a_broken_notebook_is_seen(rule, change):
    nb = copy.deepcopy(read(NOTEBOOKS[1]))
    change(nb)
    assert list(rule(nb, NOTEBOOKS[1]))


# --- what `make notebooks` writes, and what nbconvert makes of it ---------------------------------


CLEANED = ("--config", ".nbconvert.py", "--ExecutePreprocessor.enabled=False")


def convert(path, *options):
    """Return what nbconvert writes beside a notebook, or in its place."""
    command = [sys.executable, "-m", "nbconvert", "--log-level", "WARN", *options, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return max(path.parent.iterdir(), key=lambda p: p.stat().st_mtime_ns).read_text("utf-8")


@pytest.mark.full
def test_a_panel_keeps_its_name_and_exports_have_a_language_and_words_for_every_picture(tmp_path):
    """Notebook 01 after `make notebooks`, which is spared its run."""
    path = Path(shutil.copy(ROOT / "notebooks/01_the_discrete_chain.ipynb", tmp_path))
    notebook = read(path)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if VIEW in output.get("data", {}):
                output.data[VIEW]["model_id"] = "of this run"
    nbformat.write(notebook, path)
    once = convert(path, *CLEANED)
    (name,) = re.findall(r'"model_id": "(.*)"', once)
    assert re.fullmatch("[0-9a-f]{32}", name)
    assert convert(path, *CLEANED) == once
    pictures = once.count('"image/png": "')
    assert pictures > 3
    for kind in ("html", "slides"):
        text = convert(path, "--to", kind)
        assert '<html lang="en">' in text
        words = re.findall(r'<img\s+alt="([^"]*)"', text)
        assert len(words) == pictures and all(len(w) > 20 for w in words), words
    compile(convert(path, "--to", "script"), "01", "exec")
