"""What `make notebooks` writes, and what nbconvert makes of it: steady names, a language, words."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
VIEW = "application/vnd.jupyter.widget-view+json"
CLEANED = ("--config", ".nbconvert.py", "--ExecutePreprocessor.enabled=False")


def convert(path, *options):
    """Return what nbconvert writes beside a notebook, or in its place."""
    command = [sys.executable, "-m", "nbconvert", "--log-level", "WARN", *options, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return max(path.parent.iterdir(), key=lambda p: p.stat().st_mtime_ns).read_text("utf-8")


def test_a_panel_keeps_its_name_and_exports_have_a_language_and_words_for_every_picture(tmp_path):
    """Notebook 01 after `make notebooks`, which is spared its run."""
    path = Path(shutil.copy(ROOT / "notebooks/01_the_discrete_chain.ipynb", tmp_path))
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if VIEW in output.get("data", {}):
                output.data[VIEW]["model_id"] = "of this run"
    nbformat.write(notebook, path)
    once = convert(path, *CLEANED)
    (name,) = re.findall(r'"model_id": "(.*)"', once)
    assert re.fullmatch("[0-9a-f]{32}", name)
    assert convert(path, *CLEANED) == once
    pictures = once.count('"image/png": "')
    assert pictures > 3
    for kind in ("html", "slides"):
        text = convert(path, "--to", kind)
        assert '<html lang="en">' in text
        words = re.findall(r'<img\s+alt="([^"]*)"', text)
        assert len(words) == pictures and all(len(w) > 20 for w in words), words
    compile(convert(path, "--to", "script"), "01", "exec")
