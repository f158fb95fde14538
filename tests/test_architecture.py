"""Imports inside course_utils run one way; only networks.py and batched.py need torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import course_utils

PACKAGE = Path(course_utils.__file__).parent

# A room may import the rooms before it in this list.
ROOMS = [
    "schedules",
    "parameterization",
    "mixtures",
    "processes",
    "weightings",
    "objectives",
    "estimators",
    "datasets",
    "regression",
    "networks",
    "batched",
    "metrics",
    "yardstick",
    "study",
    "trial",
    "figures",
    "live",
    "reporting",
    "installation",
    "panels",
    "exercises",
]
# Narrower than the list: these know nothing of diffusion.
ONLY = {
    "schedules": set(),
    "figures": set(),
    "live": {"figures"},
    "reporting": set(),
    "installation": set(),
}
SPLIT = {"panels", "exercises"}  # folders, whose files may import each other
TORCH_MAY_BE_NAMED_IN = {"networks", "batched", "panels"}  # in panels only inside a function


def room_of(path):
    """The room of a file: "panels" for panels/chain.py, "" for course_utils/__init__.py."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported(source, room):
    """Yield (line, name) for every import in the source, local ones as course_utils.x…"""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:  # relative: one dot leads out of a file, two out of a folder
                inside = f".{room}" if room in SPLIT and node.level == 1 else ""
                module = f"course_utils{inside}.{module}".rstrip(".")
            if module == "course_utils":
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def breaches(source, room):
    """Return what the imports of a file in `room` break, in words; [] if nothing."""
    found = []
    private = room.startswith("_")  # a private helper stands below every room
    if room and not private and room not in ROOMS:
        return [f"{room} is not in the list of rooms: add it where its imports allow"]
    allowed = set() if private else set(ROOMS[: ROOMS.index(room)]) if room else set()
    allowed = ONLY.get(room, allowed) | (SPLIT & {room})
    for line, name in imported(source, room):
        parts = name.split(".")
        if parts[0] == "torch" and room not in TORCH_MAY_BE_NAMED_IN:
            found.append(f"line {line}: {room} imports torch, which only networks may")
        if parts[0] != "course_utils" or len(parts) == 1:
            continue
        if parts[1] not in allowed and not (parts[1].startswith("_") and not private):
            found.append(f"line {line}: {room or 'the package'} must not import {parts[1]}")
    return found


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_run_one_way(path):
    assert breaches(path.read_text(encoding="utf-8"), room_of(path)) == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("schedules", "from course_utils.predictions import convert"),
        ("mixtures", "import course_utils.forward"),
        ("mixtures", "from course_utils import processes"),
        ("mixtures", "from . import processes"),
        ("mixtures", "def f():\n    from .processes import step"),
        ("figures", "from course_utils.schedules import alpha"),
        ("live", "from course_utils import mixtures"),
        ("live", "from .panels import chain"),
        ("metrics", "import torch.nn as nn"),
        ("panels", "from ..exercises import check"),
        ("_arrays", "from course_utils.schedules import alpha"),
        ("novelty", "import numpy"),
        ("", "from .schedules import alpha"),
    ],
)
def test_a_wrong_import_is_seen(room, source):
    assert len(breaches(source, room)) == 1


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("parameterization", "import numpy as np\nfrom course_utils.schedules import alpha"),
        ("schedules", "from course_utils._checks import namespace"),
        ("panels", "from ..objectives import ErrorCurve\nfrom . import weighting"),
        ("panels", "from course_utils.panels.weighting import figure"),
        ("networks", "import torch"),
        ("batched", "from course_utils.training.networks import Network"),
        ("live", "from .figures import style"),
        ("exercises", "from course_utils.exercises import Exercise\nimport course_utils"),
    ],
)
def test_a_right_import_passes(room, source):
    assert breaches(source, room) == []


def test_torch_is_needed_by_networks_and_batched_alone():
    code = """if True:
        import importlib, pkgutil, sys
        import course_utils
        for module in pkgutil.walk_packages(course_utils.__path__, "course_utils."):
            if module.name not in {"course_utils.training.networks", "course_utils.training.batched"}:
                importlib.import_module(module.name)
                if "torch" in sys.modules:
                    sys.exit(f"importing {module.name} imports torch")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
