"""Exercises that answer back: `check("00.1", attempt)` prints a verdict and never raises.

    from course_utils.exercises import check
    check("00.1", attempt)      # not attempted yet | correct | not yet: <what to look at>

The exercises of a notebook stand in a file of their own, as a dictionary `EXERCISES`:
`n00_start_here.py` and so on, each imported at first use.
"""

import importlib
import pkgutil
import re

from course_utils._checks import unknown
from course_utils.exercises.framework import CORRECT, Exercise


def check(name: str, attempt: object) -> None:
    """Print the verdict on an attempt at the exercise `name`; whatever the attempt does, go on.

    `attempt` is a function, or a plain value where the exercise asks for one. Printed is
    "not attempted yet" (None, or a stub that raises NotImplementedError), "correct", or
    "not yet: ..." with the likely mistake, the expected shape, or the exception in words; never
    the answer. Unless it is correct, all that the attempt printed and warned of comes first.
    Only KeyboardInterrupt passes through: it is the reader's own.
    """
    if isinstance(attempt, str) and not isinstance(name, str):
        given = getattr(name, "__name__", "attempt")
        print(f'the arguments are swapped: check("{attempt}", {given})')
        return
    known = exercises(str(name)[:2]) or exercises()
    if name not in list(known):
        print(unknown("exercise", name, known))
        return
    verdict, said = known[name].judge(attempt)
    if said and verdict != CORRECT:
        print(said.removesuffix("\n"))
    print(verdict)


def exercises(notebook: str | None = None) -> dict[str, Exercise]:
    """Return the exercises of one notebook, "00" to "08", or of all, by name."""
    files = [file.name for file in pkgutil.iter_modules(__path__)]
    wanted = [n for n in files if re.match(r"n\d\d_", n) and notebook in (None, n[1:3])]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in sorted(wanted)]
    return {name: exercise for module in modules for name, exercise in module.EXERCISES.items()}
