"""Exercises that answer back: `check("00.1", attempt)` prints a verdict and never raises.

The exercises of a notebook stand in a file of their own, as a dictionary `EXERCISES`:
`n00_start_here.py` and so on, each imported at first use.
"""

import importlib
import io
import pkgutil
import re

from course_utils._checks import unknown
from course_utils.exercises.framework import NOT_ATTEMPTED, Exercise


def check(name: str, attempt: object = None) -> None:
    """Print the verdict on an attempt at the exercise `name`; whatever the attempt does, go on.

    `attempt` is a function, or a plain value where the exercise asks for one. What it prints and
    warns of comes first, then "not attempted yet" (None, or a stub that raises
    NotImplementedError), "correct", or "not yet: ..." with the likely mistake; where no mistake
    fits, with one small trial: given, got, expected. Arrays are handed over read-only. Only
    KeyboardInterrupt passes through: it is the reader's own.
    """
    known = exercises(str(name)[:2]) or exercises()
    swapped = isinstance(attempt, str) and attempt in known and name not in list(known)
    if callable(name) or swapped:
        print('the arguments are swapped: the name comes first, as in check("01.2", attempt)')
        return
    if name not in list(known):
        print(unknown("exercise", name, known))
        return
    said = io.StringIO()
    verdict = known[name].verdict(attempt, said)
    if said.getvalue() and verdict != NOT_ATTEMPTED:
        print(said.getvalue().removesuffix("\n"))
    print(verdict)


def exercises(notebook: str | None = None) -> dict[str, Exercise]:
    """Return the exercises of one notebook, "00" to "08", or of all, by name."""
    files = [file.name for file in pkgutil.iter_modules(__path__)]
    wanted = [n for n in files if re.match(r"n\d\d_", n) and notebook in (None, n[1:3])]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in sorted(wanted)]
    return {name: exercise for module in modules for name, exercise in module.EXERCISES.items()}
