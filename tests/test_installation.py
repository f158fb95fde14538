"""The check of the installation: silent where all is well, one clear line where it is not."""

import importlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from course_utils.classroom import install_check

REAL_VERSION, REAL_IMPORT = metadata.version, importlib.import_module


def line(capsys, start):
    """The one printed line about the question that begins with `start`."""
    install_check.check()
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "Traceback" not in printed.out
    rows = printed.out.splitlines()
    assert len(rows) == len(install_check.QUESTIONS) + 1
    (found,) = [row for row in rows if row[5:].startswith(start)]
    return found, rows[-1]


def versions(**changed):
    def version(name):
        found = changed.get(name.replace("-", "_"), "as it is")
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return REAL_VERSION(name) if found == "as it is" else found

    return version


def test_a_right_installation_prints_the_same_everywhere(capsys):
    install_check.check()
    rows = capsys.readouterr().out.splitlines()
    assert rows == [f"OK   {name}" for name in install_check.QUESTIONS] + ["The course is ready."]
    assert not any(sign.isdigit() for row in rows for sign in row.replace("notebook 07", ""))


def in_a_browser(*missing):
    """What is printed as on the web page, where these packages are not installed."""
    code = f"""if True:
        import sys
        import sklearn  # loads on this system alone
        sys.platform = "emscripten"  # before packaging has asked
        from importlib import metadata
        known = metadata.version
        def version(name):
            if name in {missing!r}:
                raise metadata.PackageNotFoundError(name)
            return known(name)
        metadata.version = version
        from course_utils import installation
        installation.check()
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_in_a_browser_what_the_page_brings_is_not_asked():
    *rows, torch, last = in_a_browser("jupyterlab", "torch", "ipykernel")
    assert len(rows) > 3 and all(row.startswith("OK   ") for row in rows)
    brought = ("Python", "PyTorch", "JupyterLab", "folder")
    assert not [row for row in rows if any(word in row for word in brought)]
    assert "07" in torch and "PyTorch" in torch and last == "The course is ready."
    (wrong,) = [row for row in in_a_browser("numpy") if row.startswith("FIX")]
    assert "packages: numpy is missing" in wrong and "reload the page" in wrong


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"numpy": "1.26.4"}, "numpy is 1.26.4, the course needs >=2.0. To mend it, run `make"),
        ({"scipy": None}, "scipy is missing"),
        ({"ipykernel": "7.1.0"}, "ipykernel is 7.1.0, the course needs >=6.17 and <7"),
        ({"scipy": None, "pillow": "9"}, "pillow is 9, the course needs >=10.4; scipy is missing"),
    ],
)
def test_packages(monkeypatch, capsys, changed, words):
    monkeypatch.setattr(metadata, "version", versions(**changed))
    row, last = line(capsys, "packages")
    assert row.startswith("FIX  packages: ") and words in row and "`make -B env`" in row
    assert last.startswith("Mend")


def test_a_package_that_does_not_load(monkeypatch, capsys):
    def broken(name):
        if name == "sklearn":
            raise ImportError("undefined symbol")
        return REAL_IMPORT(name)

    monkeypatch.setattr(importlib, "import_module", broken)
    row, _ = line(capsys, "packages")
    assert "scikit-learn: installed, but loading fails" in row and "`make clean lab`" in row


def test_torch_is_only_for_07(monkeypatch, capsys):
    monkeypatch.setattr(metadata, "version", versions(torch=None))
    row, _ = line(capsys, "PyTorch")
    assert "torch is missing. Notebooks 00 to 06 run without it" in row
    assert line(capsys, "packages")[0] == "OK   packages"


@pytest.mark.parametrize("name", ["jupyterlab", "jupyterlab_widgets"])
def test_sliders_need_both_halves(monkeypatch, capsys, name):
    monkeypatch.setattr(metadata, "version", versions(**{name: None}))
    assert f"{name} is missing" in line(capsys, "JupyterLab")[0]
    monkeypatch.setattr(metadata, "version", versions(jupyterlab_widgets="1.1.0"))
    assert "jupyterlab_widgets is 1.1.0" in line(capsys, "JupyterLab")[0]


def test_sliders_need_the_front_end_files(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *parts: [str(tmp_path)])
    assert "jupyterlab-manager is missing" in line(capsys, "JupyterLab")[0]


def test_python():
    problem = install_check.python_problem
    assert "this is Python 3.10.2, the course needs >=3.11 and <3.14" in problem((3, 10, 2))
    assert problem((3, 14, 0)) and not problem((3, 13, 1))


def test_font_without_greek(monkeypatch, capsys):
    from matplotlib import font_manager

    path = Path(font_manager.findfont("DejaVu Sans")).with_name("cmss10.ttf")
    monkeypatch.setattr(font_manager, "findfont", lambda properties: str(path))
    row, _ = line(capsys, "font")
    assert "λ" in row and "matplotlibrc" in row


def test_folder_without_write_access(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(install_check.os, "getcwd", lambda: str(tmp_path / "gone"))
    assert "nothing can be saved" in line(capsys, "this folder")[0]


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({"max": "2000", "current": "1500", "stat": "anon 1200\ninactive_file 300\n"}, 800),
        ({"max": "2000", "current": "1500", "stat": "anon 1200\n"}, 500),
        ({"max": "max", "current": "1500", "stat": "anon 1200\n"}, None),
        ({}, None),
    ],
)
def test_memory_in_a_container(tmp_path, files, free):
    for name, text in files.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert install_check._free_in_container(str(tmp_path)) == free


def test_without_make_the_advice_is_pip(monkeypatch, capsys):
    monkeypatch.setattr(install_check.shutil, "which", lambda name: None)
    monkeypatch.setattr(metadata, "version", versions(scipy=None))
    row, _ = line(capsys, "packages")
    assert f"run `{sys.executable} -m pip install -r requirements.txt -e .`" in row
    assert "make" not in row
    assert "as the README says" in install_check.python_problem((3, 10, 2))
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *parts: [])
    assert "remove the folder .venv" in line(capsys, "JupyterLab")[0]


def test_in_colab_no_jupyterlab_is_asked_for(monkeypatch, capsys):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "any")
    monkeypatch.setattr(metadata, "version", versions(numpy="1.26.4", jupyterlab=None))
    install_check.check()
    printed = capsys.readouterr().out
    assert "numpy is 1.26.4" in printed and "first cell in a new session" in printed
    assert "JupyterLab" not in printed and "make" not in printed


OLD = """if True:
    from importlib import metadata
    real = metadata.version
    metadata.version = lambda name: "1.26.4" if name == "numpy" else real(name)
"""


def test_a_notebook_with_an_old_package_stops_with_a_sentence():
    """IPython shows what to do, and no stack trace."""
    import_check = "from course_utils.exercises import check"
    code = f"""if True:
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance(colors="nocolor")
        shell.run_cell({OLD!r})
        shell.run_cell({import_check!r})
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    said = (done.stdout + done.stderr).strip().splitlines()
    assert said == [
        "The course cannot run here: numpy is 1.26.4, the course needs >=2.0. To mend it, "
        "run `make -B env` in the course's folder, then start the course with `make lab`"
    ]


def test_require_is_silent_where_all_is_well_or_cannot_be_told(monkeypatch):
    assert install_check.require() is None
    monkeypatch.setattr(install_check, "COURSE", "no-such-course")
    assert install_check.require() is None


def test_memory(monkeypatch, capsys):
    monkeypatch.setattr(install_check, "_free_memory", lambda: 123e6)
    assert "123 MB are free" in line(capsys, "free memory")[0]
    monkeypatch.setattr(install_check, "_free_memory", lambda: None)  # it cannot be told
    assert line(capsys, "free memory")[0] == "OK   free memory"


def test_the_course_itself_is_not_installed(monkeypatch, capsys):
    monkeypatch.setattr(install_check, "COURSE", "no-such-course")
    assert "no-such-course is not installed: run `make" in line(capsys, "packages")[0]


def test_whatever_else_happens_is_a_sentence(monkeypatch, capsys):
    def burst():
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setitem(install_check.QUESTIONS, "data", burst)
    assert "(RuntimeError: first line)" in line(capsys, "data")[0]


def test_it_runs_where_nothing_is_installed():
    """With the standard library alone: sentences, and no exception."""
    code = f"""if True:
        import sys
        sys.path = [{str(Path(install_check.__file__).parent.parent)!r}] + [
            p for p in sys.path if "site-packages" not in p
        ]
        sys.meta_path = [f for f in sys.meta_path if "editable" not in repr(f)]
        from course_utils import installation
        installation.check()
    """
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    rows = done.stdout.splitlines()
    assert "OK   data" in rows and rows[-1].startswith("Mend")
    assert sum(row.startswith("FIX") for row in rows) >= 4
