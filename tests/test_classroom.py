"""The check of the installation, printed numbers, and the progress bar: silent where all is well.

In the notebooks' own run a fragile digit is refused; whatever a reader prints is printed.
"""

import importlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from unittest.mock import MagicMock

import ipywidgets
import numpy as np
import pytest
from comparing import refuses

from course_utils.classroom import install_check
from course_utils.classroom.progress import progress
from course_utils.classroom.reporting import report, report_below

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


# --- printed numbers ---------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["a reader's", "strict"])
def strict(request, monkeypatch):
    monkeypatch.setenv("COURSE_STRICT_DIGITS", str(int(request.param)))
    return request.param


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (82.0 + 3e-11, 6, "82.0000"),
        (4538.7, 3, "4540"),
        (1.234e-5, 2, "1.2e-05"),
        (2.5e12, 3, "2.50e+12"),
        ([-0.71828, -0.0], 2, "-0.72, 0.0"),
        (np.float32(0.7), 3, "0.700"),
        ([np.nan, -np.inf], 2, "nan, -inf"),
        ([[1], [2, 3]], 2, "[[1], [2, 3]]"),
    ],
)
def test_report(value, digits, text, capsys, strict):
    report("L_w", value, digits=digits, unit="nats")
    assert capsys.readouterr().out == f"L_w: {text} nats\n"


@pytest.mark.parametrize(
    "value, digits, noise", [(2.5, 1, 1e-10), (2.5 + 1e-10, 1, 1e-10), (0.123456, 6, 1e-2)]
)
def test_a_digit_that_noise_turns_is_refused_in_the_strict_run_alone(value, digits, noise, strict):
    arguments = dict(label="x", value=[1, value], digits=digits, noise=noise)
    if strict:
        refuses(r"may print as .* or .*: take another number of digits", report, **arguments)
    else:
        report(**arguments)


@pytest.mark.parametrize("residual, below", [([-1e-15, 0], 1e-12), (np.float32(1), 1 + 1e-9)])
def test_a_residual_below_its_bound(residual, below, capsys, strict):
    report_below("both sides", residual, below)
    assert capsys.readouterr().out == f"both sides: below {below:g}\n"


@pytest.mark.parametrize("residual", [1e-12, [0, -1.0], [0, np.nan]])
def test_a_residual_above_its_bound_is_said(residual, capsys, strict):
    if strict:
        refuses(r"the largest is .*, not below 1e-12", report_below, "both sides", residual)
    else:
        report_below("both sides", residual)
        assert "the largest is" in capsys.readouterr().out


def test_progress_moves_in_a_notebook_and_is_silent_elsewhere(monkeypatch, capsys):
    assert list(progress(range(5), 5, "training")) == list(range(5))
    assert capsys.readouterr() == ("", "")
    ipython, bar = MagicMock(), MagicMock(value=0)
    bar._repr_mimebundle_.return_value = {"a widget": 1}
    display = ipython.display.display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(ipywidgets, "IntProgress", lambda *arguments, **options: bar)
    assert list(progress(range(3), 3, None)) == [0, 1, 2] and not display.called
    assert [bar.value for _ in progress(range(3), 3, "training")] == [1, 2, 3]
    words = {"text/plain": "training: a progress bar of 3 steps"}
    assert display.call_args.args == ({"a widget": 1} | words,)
    display.return_value.update.assert_called_once_with(words, raw=True)
