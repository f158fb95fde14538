"""Imports inside course_utils run one way, and theory needs neither torch nor widgets."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import course_utils

PACKAGE = Path(course_utils.__file__).parent
THEORY = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
# What each group may import of course_utils; theory imports theory alone.
ALLOWED = {
    "classroom": {"_checks", "datasets"},
    "widgets": {"_checks"},
    "training": THEORY | {"classroom"},
    "panels": THEORY | {"widgets"},
    "exercises": THEORY | {"classroom", "training"},
}
FORBIDDEN = {
    "torch": {"training"},
    "ipywidgets": {"widgets", "panels", "classroom"},  # a progress bar
    "matplotlib": {"widgets", "panels", "classroom"},  # the check of the installation
}


def imported(source):
    """Yield the name of every module and symbol that a source imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports inside the package are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def breaches(source, place):
    """Return the imports that a file may not have; ``place`` is "elbo" or "panels", say."""
    own = place if place in ALLOWED else ""
    allowed = ALLOWED.get(place, THEORY) | {own}
    found = []
    for name in imported(source):
        first, _, rest = name.partition(".")
        if first == "course_utils" and rest.split(".")[0] not in allowed:
            found.append(name)
        if first in FORBIDDEN and place not in FORBIDDEN[first]:
            found.append(name)
    return found


def test_imports_run_one_way():
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        assert breaches(path.read_text(encoding="utf-8"), place) == [], path


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("elbo", "import torch"),
        ("schedules", "from course_utils.panels import chain"),
        ("widgets", "from course_utils.schedules import alpha"),
        ("panels", "def f():\n    from course_utils.exercises import check"),
    ],
)
def test_a_wrong_import_is_seen(place, source):
    assert len(breaches(source, place)) == 1


def test_nothing_changes_at_import_and_theory_is_light():
    """Theory is without torch, widgets, matplotlib; panels without torch; no setting changes."""
    paths = (path.relative_to(PACKAGE.parent).with_suffix("") for path in PACKAGE.rglob("*.py"))
    code = f"""
import locale, logging, os, random, sys, warnings, numpy, scipy.stats
def state():
    found = [numpy.geterr(), numpy.get_printoptions(), numpy.random.get_state()[1].tolist()]
    found += [dict(os.environ), sys.path[:], warnings.filters[:], sys.excepthook, os.getcwd()]
    found += [locale.setlocale(locale.LC_ALL), logging.root.level, random.getstate()]
    if "torch" in sys.modules:
        found += [torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()]
        found += [torch.get_rng_state().tolist(), dict(matplotlib.rcParams)]
        found += [len(ipywidgets.widgets.widget._instances)]
    return found
before = state()
import {", ".join(f"course_utils.{name}" for name in sorted(THEORY))}
assert state() == before
print(*{{"torch", "ipywidgets", "matplotlib", "sklearn"}} & set(sys.modules))
import course_utils.panels.counting
print(*{{"torch", "matplotlib.pyplot", "ipympl", "plotly", "bqplot"}} & set(sys.modules))
import ipywidgets, matplotlib.pyplot, torch
torch.set_num_threads(2)
before = state()
import {", ".join(".".join(path.parts).removesuffix(".__init__") for path in paths)}
assert state() == before
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_every_package_that_is_imported_is_declared():
    """As a dependency or in the extra `lab`; `distributed` serves whoever has a cluster."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))["project"]
    told = [*project["dependencies"], *project["optional-dependencies"]["lab"], "distributed"]
    sources = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]
    found = {name.split(".")[0] for source in sources for name in imported(source)}
    found -= sys.stdlib_module_names | {"course_utils"}
    names = {{"sklearn": "scikit-learn", "PIL": "pillow"}.get(name, name) for name in found}
    assert len(names) > 9 and names <= {Requirement(each).name for each in told}
