"""What `make notebooks` writes, and what nbconvert makes of it: steady names, a language, words."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
VIEW = "application/vnd.jupyter.widget-view+json"


def convert(path, *options):
    command = [sys.executable, "-m", "nbconvert", "--log-level", "WARN", *options, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def cleaned(tmp_path):
    """Notebook 01 after `make notebooks`, which is spared its run."""
    path = Path(shutil.copy(ROOT / "notebooks/01_the_discrete_chain.ipynb", tmp_path))
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if VIEW in output.get("data", {}):
                output.data[VIEW]["model_id"] = "of this run"
    nbformat.write(notebook, path)
    convert(path, "--config", ".nbconvert.py", "--ExecutePreprocessor.enabled=False")
    return path


def test_a_panel_has_one_name_in_every_run(cleaned):
    once = cleaned.read_text(encoding="utf-8")
    names = re.findall(r'"model_id": "(.*)"', once)
    assert len(names) == 1 and re.fullmatch("[0-9a-f]{32}", names[0])
    convert(cleaned, "--config", ".nbconvert.py", "--ExecutePreprocessor.enabled=False")
    assert cleaned.read_text(encoding="utf-8") == once


def test_exports_have_a_language_and_words_for_every_picture(cleaned):
    pictures = cleaned.read_text(encoding="utf-8").count('"image/png": "')
    assert pictures > 3
    for kind, suffix in (("html", "html"), ("slides", "slides.html")):
        convert(cleaned, "--to", kind)
        text = cleaned.with_suffix(f".{suffix}").read_text(encoding="utf-8")
        assert '<html lang="en">' in text
        words = re.findall(r'<img\s+alt="([^"]*)"', text)
        assert len(words) == pictures and all(len(w) > 20 for w in words), words
    convert(cleaned, "--to", "script")
    compile(cleaned.with_suffix(".py").read_text(encoding="utf-8"), "01", "exec")
