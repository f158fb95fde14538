"""Is the installation right? One line a question; what is wrong comes with what to do about it.

Where all is well the text is the same on every machine. This file must load where nearly nothing
else does: it imports the standard library, and `packaging` where versions are compared.

    from course_utils.classroom import install_check
    install_check.check()
"""

import importlib
import os
import platform
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
    wrong = False
    for name in ("packages", "data") if BROWSER else QUESTIONS:
        try:
            found = QUESTIONS[name]()
        except Exception as error:  # the reader gets a sentence, whatever happens
            found = [f"this could not be looked at ({type(error).__name__}: {error})"]
        wrong |= bool(found)
        print(f"FIX  {name}: {_with_repair(found)}" if found else f"OK   {name}")
    if BROWSER:
        print("All runs in this browser but parts of 07 and 08, for PyTorch: `make lab`.")
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


# --- The questions, each answered by a list of problems -------------------------------------------


def _python():
    from packaging.specifiers import SpecifierSet

    wanted = SpecifierSet(metadata.metadata(COURSE)["Requires-Python"])
    problems = _misfit("Python", wanted, platform.python_version())
    return [f"{p}: install one of these, then `make PYTHON=python3.11 lab`" for p in problems]


def _packages():
    """What does not fit, or does not load: a mixture of installers may break a package."""
    names = [requirement.name for requirement in _requirements()]
    return _misfits() or [f"{name} is there, but does not load" for name in names if _broken(name)]


def _broken(name):
    try:
        importlib.import_module(MODULES.get(name, name.replace("-", "_")))
    except Exception:
        return True
    return False


def _lab():
    if _in_colab():  # which has its own
        return []
    return _misfits("jupyterlab", extra="lab") + _misfits("jupyterlab_widgets", of="ipywidgets")


def _data():
    path = Path(__file__).parents[1] / "data" / "galaxies.csv"
    found = len(path.read_text(encoding="utf-8").split()) - 1  # without the heading
    return [] if found == 82 else [f"{found} velocities, not 82, in {path}"]


QUESTIONS = {
    "Python": _python,
    "packages": _packages,
    "PyTorch, from notebook 07 on": lambda: _misfits("torch", extra="lab"),
    "JupyterLab, with its part of the sliders": _lab,
    "data": _data,
}


def _requirements(extra="", of=COURSE):
    """The requirements of a package that hold here, with those of one of its extras."""
    from packaging.requirements import Requirement

    wanted = map(Requirement, metadata.requires(of) or [])
    return [r for r in wanted if r.marker is None or r.marker.evaluate({"extra": extra})]


def _misfits(*names, extra="", of=COURSE):
    """What is missing, too old or too new among these requirements, or among all."""
    wanted = [r for r in _requirements(extra, of) if not names or r.name in names]
    return [problem for r in wanted for problem in _misfit(r.name, r.specifier)]


def _misfit(name, wanted, found=None):
    """What is wrong with a package, or with Python where its version is given."""
    try:
        found = found or metadata.version(name)
    except metadata.PackageNotFoundError:
        return [f"{name} is missing"]
    if wanted.contains(found, prereleases=True):
        return []
    words = " and ".join(sorted(str(wanted).split(","), key=lambda part: part[0] != ">"))
    return [f"{name} is {found}, the course needs {words}"]


def _with_repair(problems):
    if "make PYTHON" in problems[0]:  # which says what to do
        return problems[0]
    if BROWSER:
        repair = "reload the page, and run the first code cell again"
    elif _in_colab():
        repair = "run the notebook's first cell in a new session (Runtime, Disconnect and delete)"
    elif shutil.which("make"):
        repair = "run `make clean lab` in the course's folder"
    else:
        pip = f"{sys.executable} -m pip install -r requirements.txt -e ."
        repair = f"run `{pip}` in the course's folder, then restart the kernel"
    return f"{'; '.join(problems)}. To mend it, {repair}"


def _in_colab():
    return "COLAB_RELEASE_TAG" in os.environ
