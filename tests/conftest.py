"""Settings of every test; ``--residuals`` and ``--speed docs/measured.md`` write tables there."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# The modules of arrays. Not those of many small calls, where checking would cost more than 3 %.
CHECKED = "distances elbo exact linear_model training.image_metrics variance"
install_import_hook([f"course_utils.{name}" for name in CHECKED.split()], "annotations.checked")


# Folders and files of slower tests: what each of them is marked as. Their imports take seconds, so
# they are read only where `-m` does not exclude them.
MARKS = {"hub": "full", "soak": "soak", "benchmarks": "benchmark"}
MARKS |= dict.fromkeys(["test_deck_built.py", "test_lite.py", "test_pages.py"], "full")
MARKS |= dict.fromkeys(["test_live_slides.py", "test_robustness.py", "test_panel_page.py"], "full")


def pytest_ignore_collect(collection_path, config):
    mark = MARKS.get(collection_path.name)
    return True if mark and f"not {mark}" in config.option.markexpr else None


# What takes long comes first, or one of two workers waits for it at the end. The first of the web
# page's files builds the page; by the second's turn it is there.
LONGEST = ["/07_", "test_exercises", ".ipynb", "test_lite.py", "browser/test_notebooks.py"]
LONGEST += ["test_class.py", "test_live_slides.py", "test_pages.py", "test_claims.py"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    def rank(item):
        path = item.path.as_posix()
        return next((k for k, part in enumerate(LONGEST) if part in path), len(LONGEST))

    items.sort(key=rank)
    for item in items:
        for name in MARKS.keys() & set(item.path.parts) - {"soak"}:  # which has short ones, too
            item.add_marker(MARKS[name])


@pytest.fixture
def claim(record_property):
    """Hold a claim to its tolerance, and record the residual for the table."""

    def hold(number, statement, residual, tolerance, unit=""):
        """Fail unless 0 ≤ residual < tolerance; ``unit`` follows both numbers in the table."""
        record_property("residuals", [number, statement, float(residual), tolerance, unit])
        assert 0 <= residual < tolerance, f"{number}, {statement}: {residual:.3g} > {tolerance:g}"

    return hold


# --- what is measured, written between two marks <!-- name --> of a Markdown file ----------------


def residual_table(rows):
    """Return rows (claim, statement, residual, tolerance, unit) as lines of Markdown.

    Rows that share all but the residual become one, with the largest.
    """
    worst = {}
    for number, statement, residual, tolerance, unit in sorted(rows, key=lambda row: row[0]):
        key = number, statement, tolerance, unit
        worst[key] = max(residual, worst.get(key, 0.0))
    yield from ("| claim | statement | residual measured | tolerance |", "|---|---|---|---|")
    for (number, statement, tolerance, unit), residual in worst.items():
        measured = f"{residual:.1f} {unit}" if unit else f"{residual:.1e}"
        yield f"| {number} | {statement} | {measured} | {tolerance:g} {unit}".rstrip() + " |"


def speed_table(rows):
    """Return rows of benchmarks/conftest.py as lines of Markdown, and on what machine they are."""
    yield from ("| what | against | ratio | how measured |", "|---|---|---|---|")
    yield from ("| " + " | ".join(row) + " |" for row in rows)
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "?"
    yield f"\nOne run on {os.cpu_count()} cores; ratios of neighbouring runs, quartiles bracketed."
    yield f"Load of the machine in the last 1, 5, 15 minutes: {load}."


TABLES = {"residuals": residual_table, "speed": speed_table}


def pytest_addoption(parser):
    for name in TABLES:
        parser.addoption(f"--{name}", metavar="FILE", help=f"write the {name} measured into FILE")


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    for name, table in TABLES.items():
        if not (target := config.getoption(f"--{name}")):
            continue
        if exitstatus != 0:
            terminalreporter.write_line(f"{target} not written: not every test passed")
            continue
        passed = terminalreporter.stats.get("passed", [])
        rows = [value for report in passed for key, value in report.user_properties if key == name]
        path, mark = Path(target), f"<!-- {name} -->"
        before, _, after = path.read_text(encoding="utf-8").split(mark)
        written = "\n".join([f"{before}{mark}\n", *table(rows), f"\n{mark}{after}"])
        path.write_text(written, encoding="utf-8")
        terminalreporter.write_line(f"{len(rows)} {name} written to {target}")
