"""The check of the installation: silent where all is well, one clear line where it is not."""

import importlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from course_utils.classroom import install_check

REAL_VERSION, REAL_IMPORT = metadata.version, importlib.import_module


@pytest.fixture
def said(capsys, monkeypatch):
    """Return the lines that `check` prints where packages have other versions, or are missing."""

    def lines(**changed):
        def version(name):
            found = changed.get(name.replace("-", "_"), "as it is")
            if found is None:
                raise metadata.PackageNotFoundError(name)
            return REAL_VERSION(name) if found == "as it is" else found

        monkeypatch.setattr(metadata, "version", version)
        install_check.check()
        return capsys.readouterr().out.splitlines()

    return lines


def test_a_right_installation_prints_the_same_everywhere(said):
    rows = said()
    assert rows == [f"OK   {name}" for name in install_check.QUESTIONS] + ["The course is ready."]
    assert install_check.require() is None


@pytest.mark.parametrize(
    ("changed", "row", "words"),
    [
        ({"numpy": "1.26.4"}, 1, "packages: numpy is 1.26.4, the course needs >=2.0. To mend it"),
        ({"scipy": None, "pillow": "9"}, 1, "pillow is 9, the course needs >=10.4; scipy is mis"),
        ({"torch": None}, 2, "PyTorch, from notebook 07 on: torch is missing"),
        ({"jupyterlab_widgets": "1.1.0"}, 3, "jupyterlab_widgets is 1.1.0, the course needs ~="),
    ],
)
def test_a_package_that_does_not_fit(said, changed, row, words):
    rows = said(**changed)
    assert rows[row].startswith("FIX  ") and words in rows[row] and "`make clean lab`" in rows[row]
    assert sum(r.startswith("OK   ") for r in rows) == 4 and rows[-1].startswith("Mend")
    if row == 1:
        with pytest.raises(install_check.Unfit, match=r"To mend it, run"):
            install_check.require()


def test_a_package_that_does_not_load_and_a_python_that_is_too_old(monkeypatch, said):
    def broken(name):
        if name == "sklearn":
            raise ImportError("undefined symbol")
        return REAL_IMPORT(name)

    monkeypatch.setattr(importlib, "import_module", broken)
    monkeypatch.setattr(install_check.platform, "python_version", lambda: "3.10.2")
    python, packages, *_ = said()
    assert "Python is 3.10.2, the course needs >=3.11 and <" in python
    assert python.endswith("install one of these, then `make PYTHON=python3.11 lab`")
    assert "scikit-learn is there, but does not load" in packages


def test_questions_and_advice_fit_the_place(monkeypatch, said):
    monkeypatch.setattr(install_check.shutil, "which", lambda name: None)
    pip = f"run `{sys.executable} -m pip install -r requirements.txt -e .`"
    assert pip in said(scipy=None)[1]
    monkeypatch.setenv("COLAB_RELEASE_TAG", "any")
    colab = said(numpy="1.26.4", jupyterlab=None)
    assert "first cell in a new session" in colab[1] and colab[3].startswith("OK   JupyterLab")
    monkeypatch.setattr(install_check, "BROWSER", True)
    packages, data, torch, last = said(jupyterlab=None, torch=None)
    assert (packages, data, last) == ("OK   packages", "OK   data", "The course is ready.")
    assert "07" in torch and "PyTorch" in torch
    assert "numpy is missing. To mend it, reload the page" in said(numpy=None)[0]
    assert install_check.require() is None


def test_it_runs_where_nothing_is_installed():
    """With the standard library alone: sentences, and no exception."""
    root = Path(install_check.__file__).parents[2]
    code = f"import sys; sys.path.insert(0, {str(root)!r})\n"
    code += "from course_utils.classroom import install_check as i; i.check(); i.require()"
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    rows = done.stdout.splitlines()
    assert rows[4] == "OK   data" and [row[:3] for row in rows[:4]] == ["FIX"] * 4
