"""Settings of every test; ``--residuals docs/measured.md`` records the residuals there."""

import measured
import pytest
from jaxtyping import install_import_hook

# The modules of arrays. Not those of many small calls, where checking would cost more than 3 %.
CHECKED = "distances elbo exact linear_model training.image_metrics variance"
install_import_hook([f"course_utils.{name}" for name in CHECKED.split()], "annotations.checked")


# Folders and files of slower tests: what each of them is marked as. Their imports take seconds, so
# they are read only where `-m` does not exclude them.
MARKS = {"hub": "full", "soak": "soak", "benchmarks": "benchmark"}
MARKS |= dict.fromkeys(["test_deck_built.py", "test_lite.py", "test_pages.py"], "full")
MARKS |= dict.fromkeys(["test_live_slides.py", "test_robustness.py", "test_exports.py"], "full")
MARKS |= {"test_panel_page.py": "full"}


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


def pytest_addoption(parser):
    parser.addoption("--residuals", metavar="FILE", help="write the claims' residuals into FILE")


@pytest.fixture
def claim(record_property):
    """Hold a claim to its tolerance, and record the residual for the table."""

    def hold(number, statement, residual, tolerance, unit=""):
        """Fail unless 0 ≤ residual < tolerance; ``unit`` follows both numbers in the table."""
        record_property("claim", [number, statement, float(residual), tolerance, unit])
        assert 0 <= residual < tolerance, f"{number}, {statement}: {residual:.3g} > {tolerance:g}"

    return hold


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    target = config.getoption("--residuals")
    if not target:
        return
    if exitstatus != 0:
        terminalreporter.write_line(f"{target} not written: not every test passed")
        return
    rows = measured.noted(terminalreporter, "claim")
    measured.write(target, "residuals", residual_table(rows))
    terminalreporter.write_line(f"{len(rows)} residuals written to {target}")


def residual_table(rows):
    """Return rows (claim, statement, residual, tolerance, unit) as a Markdown table.

    Rows that share all but the residual become one, with the largest.
    """
    worst = {}
    for number, statement, residual, tolerance, unit in sorted(rows, key=lambda row: row[0]):
        key = number, statement, tolerance, unit
        worst[key] = max(residual, worst.get(key, 0.0))
    lines = ["| claim | statement | residual measured | tolerance |", "|---|---|---|---|"]
    for (number, statement, tolerance, unit), residual in worst.items():
        measured = f"{residual:.1f} {unit}" if unit else f"{residual:.1e}"
        lines.append(
            f"| {number} | {statement} | {measured} | {tolerance:g} {unit}".rstrip() + " |"
        )
    return "\n".join(lines) + "\n"
