"""Is the installation right? One line a question; what is wrong comes with what to do about it.

Where all is well the text is the same on every machine. This file must load where nearly nothing
else does: it imports the standard library, and `packaging` where versions are compared.

    from course_utils.classroom import install_check
    install_check.check()
"""

import importlib
import os
import shutil
import sys
from importlib import metadata
from pathlib import Path

COURSE = "weight-of-noise"
MODULES = {"pillow": "PIL", "scikit-learn": "sklearn"}  # where the name to import differs
BROWSER = sys.platform == "emscripten"  # brings a Python and a JupyterLab of its own, no PyTorch


def check():
    """Print a line for each question: "OK" and what is right, or "FIX", what is wrong and how.

    Never raises: a question that cannot be answered is a line too.
    """
    lab = {"JupyterLab"}
    there = {"Python", "PyTorch", *lab} if BROWSER else lab if _in_colab() else set()
    asked = {name: ask for name, ask in QUESTIONS.items() if name.split(",")[0] not in there}
    answers = {name: _answer(ask) for name, ask in asked.items()}
    for name, says in answers.items():
        print(f"FIX  {name}: {says}" if says else f"OK   {name}")
    if BROWSER:
        print("All runs in this browser but parts of 07 and 08, for PyTorch: `make lab`.")
    wrong = any(answers.values())
    print("Mend the lines marked FIX, then run this again." if wrong else "The course is ready.")


def require():
    """Raise ``Unfit`` if a package of the course is missing, too old or too new.

    Every notebook's first cell calls it: an old package would fail later, deep inside a function,
    with words that say nothing about its age. In a browser the page has seen to it.
    """
    try:
        problems = [] if BROWSER else _misfits()
    except ImportError:  # what it takes to know is missing itself, or the course is not installed
        return
    if problems:
        raise Unfit(_with_repair(problems))


class Unfit(ImportError):
    """The environment is not what the course needs; a notebook shows the sentence alone."""

    def _render_traceback_(self):
        return [f"The course cannot run here: {self}"]


def python_problem(version=None):
    """Return what is wrong with Python's version, "" if nothing."""
    from packaging.specifiers import SpecifierSet

    found = ".".join(str(part) for part in (version or sys.version_info)[:3])
    wanted = SpecifierSet(metadata.metadata(COURSE)["Requires-Python"])
    problem = _misfit("Python", wanted, found)
    return f"{problem}: install one of these, then `make PYTHON=python3.11 lab`" if problem else ""


def broken_packages():
    """Return which of the installed packages do not load: a mixture of installers may break one."""
    names = [requirement.name for requirement in _requirements()]
    return [f"{name} is there, but does not load" for name in names if not _loads(name)]


def lab_misfits():
    """Return what is wrong with JupyterLab, or with the part of ipywidgets that it loads."""
    return _misfits("jupyterlab", extra="lab") + _misfits("jupyterlab_widgets", of="ipywidgets")


def torch_misfits():
    """Return what is wrong with PyTorch; nothing before notebook 07 imports it."""
    problems = _misfits("torch", extra="lab")
    return problems and [*problems, "notebooks 00 to 06 run without it"]


def data_problem():
    """Return whether the galaxies cannot be read."""
    path = Path(__file__).parent.parent / "data" / "galaxies.csv"
    found = len(path.read_text(encoding="utf-8").split()) - 1  # without the heading
    return "" if found == 82 else f"{found} velocities, not 82, in {path}: fetch the course again"


# Each is answered by a sentence, or by a list of problems that one repair mends.
QUESTIONS = {
    "Python": python_problem,
    "packages": lambda: _misfits() or broken_packages(),
    "PyTorch, from notebook 07 on": torch_misfits,
    "JupyterLab, with its part of the sliders": lab_misfits,
    "data": data_problem,
}


def _answer(question):
    try:
        found = question()
        return found if isinstance(found, str) else _with_repair(found)
    except metadata.PackageNotFoundError as error:
        return _with_repair([f"{error.args[0]} is not installed"])
    except Exception as error:  # the reader gets a sentence, whatever happens
        reason = next(iter(str(error).splitlines()), "")[:200]
        return _with_repair([f"this could not be looked at ({type(error).__name__}: {reason})"])


def _with_repair(problems):
    return f"{'; '.join(problems)}. To mend it, {_repair()}" if problems else ""


def _repair():
    if BROWSER:
        return "reload the page, and run the first code cell again"
    if _in_colab():
        return "run the notebook's first cell in a new session (Runtime, Disconnect and delete)"
    if shutil.which("make"):
        return "run `make clean lab` in the course's folder"
    pip = f"{sys.executable} -m pip install -r requirements.txt -e ."
    return f"run `{pip}` in the course's folder, then restart the kernel"


def _in_colab():
    return "COLAB_RELEASE_TAG" in os.environ


def _requirements(extra="", of=None):
    """The requirements of a package that hold here, with those of one of its extras."""
    from packaging.requirements import Requirement

    wanted = map(Requirement, metadata.requires(of or COURSE) or [])
    return [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": extra})]


def _misfits(*names, extra="", of=None):
    """What is missing, too old or too new among these requirements, or among all."""
    wanted = _requirements(extra, of)
    found = [_misfit(r.name, r.specifier) for r in wanted if not names or r.name in names]
    return [problem for problem in found if problem]


def _misfit(name, wanted, found=None):
    """What is wrong with a package, or with Python where its version is given; "" if nothing."""
    try:
        found = found or metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is missing"
    if wanted.contains(found, prereleases=True):
        return ""
    words = " and ".join(sorted(str(wanted).split(","), key=lambda part: part[0] != ">"))
    return f"{name} is {found}, the course needs {words}"


def _loads(name):
    try:
        importlib.import_module(MODULES.get(name, name.replace("-", "_")))
    except Exception:
        return False
    return True
