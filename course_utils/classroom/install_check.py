"""Is the installation right? One line a question; what is wrong comes with what to do about it.

Where all is well the text is the same on every machine. This file must load where nearly nothing
else does: it imports the standard library alone, and uses no syntax newer than Python 3.8.

    from course_utils import installation
    installation.check()
"""

import importlib
import json
import os
import shutil
import sys
import tempfile
from importlib import metadata

COURSE = "weight-of-noise"
MODULES = {"pillow": "PIL", "scikit-learn": "sklearn"}  # where the name to import differs
LATER = {"torch"}  # needed from notebook 07 on
GLYPHS = "λ ε α σ β η γ θ √ ½ ∫ ← → · −"  # what figures write with the plain font
MEMORY = 1e9  # bytes: the most that a notebook takes, 0.87e9 for a moment in 06, with room


def check():
    """Print one line for each question: "OK" and what is right, or "FIX", what is wrong and how.

    Never raises: a question that cannot be answered is a line too.
    """
    browser = sys.platform == "emscripten"
    skipped = NOT_IN_A_BROWSER if browser else {lab_problem} if _in_colab() else set()
    answers = {n: _answer(question) for n, question in QUESTIONS.items() if question not in skipped}
    rows = [f"FIX  {name}: {says}" if says else f"OK   {name}" for name, says in answers.items()]
    wrong = any(answers.values())
    rows += [WITHOUT_TORCH] if browser else []
    rows += ["Mend the lines marked FIX, then run this again." if wrong else "The course is ready."]
    print("\n".join(rows))


def require():
    """Raise ``Unfit`` if a package of the course is missing, too old or too new.

    Called before the first numbers of each notebook: an old package would fail later, deep inside
    a function, with words that say nothing about its age. In a browser the page has seen to it.
    """
    if sys.platform == "emscripten":
        return
    try:
        problem = "; ".join(filter(None, map(_version_problem, _requirements())))
    except ImportError:  # what it takes to know is missing itself, or the course is not installed
        return
    if problem:
        raise Unfit(f"{problem}. To mend it, {_repair()}")


class Unfit(ImportError):
    """The environment is not what the course needs; a notebook shows the sentence alone."""

    def _render_traceback_(self):
        return [f"The course cannot run here: {self}"]


def python_problem(version=None):
    """Return what is wrong with Python's version, "" if nothing."""
    found = ".".join(str(part) for part in (version or sys.version_info)[:3])
    wanted = metadata.metadata(COURSE)["Requires-Python"]
    if _fits(found, wanted):
        return ""
    again = "run `make PYTHON=python3.11 lab`, with its name, in the course's folder"
    if not shutil.which("make"):
        again = "set the course up with it, as the README says"
    return (
        f"this is Python {found}, the course needs {_words(wanted)}: install one of these and "
        f"{again}"
    )


def packages_problem():
    """Return what is missing, too old, too new or broken among the course's packages."""
    wanted = list(_requirements())
    problems = [problem for problem in map(_version_problem, wanted) if problem]
    if problems:
        return _with_repair(problems)
    broken = ", ".join(r.name for r in wanted if not _loads(r.name))
    return (
        f"{broken}: installed, but loading fails. To mend it, {_repair(afresh=True)}"
        if broken
        else ""
    )


def torch_problem():
    """Return what is wrong with PyTorch; nothing before notebook 07 imports it."""
    found = [_version_problem(r) for r in _requirements("lab") if r.name in LATER]
    problems = [problem for problem in found if problem]
    if not problems:
        return ""
    return f"{problems[0]}. Notebooks 00 to 06 run without it. From 07 on it is needed: {_repair()}"


def lab_problem():
    """Return what is wrong with JupyterLab, or with the part of ipywidgets that it loads."""
    wanted = [r for r in _requirements("lab") if r.name not in LATER]
    wanted += [r for r in _requirements(of="ipywidgets") if "widgets" in r.name]
    problems = [problem for problem in map(_version_problem, wanted) if problem]
    if not problems and not _front_end():
        lacking = "@jupyter-widgets/jupyterlab-manager is missing, no slider can show"
        return f"{lacking}: {_repair(afresh=True)}"
    return _with_repair(problems)


def font_problem():
    """Return which of the signs in the figures the font lacks."""
    from matplotlib import font_manager, ft2font

    path = font_manager.findfont(font_manager.FontProperties())
    known = ft2font.FT2Font(path).get_charmap()
    lacking = [sign for sign in GLYPHS.split() if ord(sign) not in known]
    if not lacking:
        return ""
    return (
        f"matplotlib's font has no {' '.join(lacking)}: remove font.family from your matplotlibrc "
        "(DejaVu Sans, which matplotlib brings, has them all)"
    )


def data_problem():
    """Return whether the galaxies cannot be read."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "galaxies.csv")
    with open(path, encoding="utf-8") as lines:
        found = len([line for line in lines if line.strip()]) - 1  # without the heading
    if found == 82:
        return ""
    return f"galaxies.csv holds {found} velocities, not 82: fetch the course again"


def folder_problem():
    """Return whether the working directory cannot be written to."""
    try:
        with tempfile.TemporaryFile(dir=os.getcwd()):
            return ""
    except OSError as error:
        return (
            f"nothing can be saved in the folder of this notebook ({error.strerror}): copy the "
            "course to a folder of your own"
        )


def memory_problem(free=None):
    """Return whether too little memory is free; nothing where that cannot be told."""
    free = _free_memory() if free is None else free
    if free is None or free >= MEMORY:
        return ""
    return (
        f"{free / 1e6:.0f} MB are free, a notebook takes up to {MEMORY / 1e6:.0f} MB: close "
        "other programs, or shut down kernels that you no longer use"
    )


QUESTIONS = {
    "Python": python_problem,
    "packages": packages_problem,
    "PyTorch, from notebook 07 on": torch_problem,
    "JupyterLab, with its part of the sliders": lab_problem,
    "font, with Greek letters": font_problem,
    "data": data_problem,
    "this folder can be written to": folder_problem,
    "free memory": memory_problem,
}
# A web page brings a Python and a JupyterLab of its own, and can have no PyTorch. Its folder is the
# browser's storage, where a file that is removed while still open stops Pyodide for good.
NOT_IN_A_BROWSER = {python_problem, torch_problem, lab_problem, folder_problem}
WITHOUT_TORCH = (
    "Notebooks 00 to 06 run in this browser; parts of 07 and 08 need PyTorch: `make lab`."
)


def _in_colab():
    return "COLAB_RELEASE_TAG" in os.environ


def _repair(afresh=False):
    """What to do, where this runs; ``afresh`` when pip would think that nothing is amiss."""
    if sys.platform == "emscripten":
        return "reload the page, and run the first code cell again"
    if _in_colab():
        return "run the notebook's first cell in a new session (Runtime, Disconnect and delete)"
    if shutil.which("make"):
        lab = "run `make clean lab` in the course's folder"
        env = "run `make -B env` in the course's folder, then start the course with `make lab`"
        return lab if afresh else env
    again = "remove the folder .venv and set the course up again, as the README says"
    pip = f"run `{sys.executable} -m pip install -r requirements.txt -e .` in the course's folder"
    return again if afresh else f"{pip}, then restart the kernel"


def _answer(question):
    try:
        return question()
    except metadata.PackageNotFoundError as error:
        name = error.args[0] if error.args else "a package"
        return f"{name} is not installed: {_repair()}"
    except ImportError as error:
        return f"{error.name or 'a package'} cannot be imported: {_repair()}"
    except Exception as error:  # the reader gets a sentence, whatever happens
        reason = next(iter(str(error).splitlines()), "")[:200]
        return f"this could not be looked at ({type(error).__name__}: {reason}): {_repair()}"


def _requirements(extra="", of=None):
    """The requirements of a package that hold here: without an extra, or those of one extra."""
    from packaging.requirements import Requirement

    for text in metadata.requires(of or COURSE) or []:
        requirement = Requirement(text)
        marker = requirement.marker
        without = marker is None or marker.evaluate({"extra": ""})
        if without if not extra else not without and marker.evaluate({"extra": extra}):
            yield requirement


def _version_problem(requirement):
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    if _fits(found, str(requirement.specifier)):
        return ""
    wanted = _words(str(requirement.specifier))
    return f"{requirement.name} is {found}, the course needs {wanted}"


def _loads(name):
    """Whether an installed package can be imported: a mixture of installers may break it."""
    try:
        importlib.import_module(MODULES.get(name, name.replace("-", "_")))
    except Exception:
        return False
    return True


def _fits(version, wanted):
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(wanted).contains(version, prereleases=True)


def _words(wanted):
    """'<9,>=8.1.5' in the order in which one says it."""
    return " and ".join(sorted(wanted.split(","), key=lambda part: part[0] != ">"))


def _with_repair(problems):
    return f"{'; '.join(problems)}. To mend it, {_repair()}" if problems else ""


def _front_end():
    from jupyter_core.paths import jupyter_path

    for folder in jupyter_path("labextensions"):
        path = os.path.join(folder, "@jupyter-widgets", "jupyterlab-manager", "package.json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return bool(json.load(file))
    return False


def _free_memory():
    """Bytes that a new program could take, or None where that cannot be told."""
    known = [free for free in (_free_on_machine(), _free_in_container()) if free is not None]
    return min(known, default=None)


def _free_on_machine():
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:
        import psutil
    except ImportError:
        return None
    return psutil.virtual_memory().available


def _free_in_container(folder="/sys/fs/cgroup"):
    """What is left of the limit that Binder, a hub or Docker sets; None where there is none."""

    def number(name):
        with open(os.path.join(folder, name), encoding="ascii") as file:
            return int(file.read())

    try:
        with open(os.path.join(folder, "memory.stat"), encoding="ascii") as lines:
            cached = dict(line.split() for line in lines).get("inactive_file", 0)
        return number("memory.max") - number("memory.current") + int(cached)
    except (OSError, ValueError):  # no such files, or the limit is "max"
        return None
