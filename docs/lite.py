"""The notebooks that run in a browser: a JupyterLite site with the course and what it needs.

Pyodide and the packages that belong to it (NumPy, SciPy, matplotlib, …) come from Pyodide's own
server when a reader opens a notebook. All else lies in the site: the course as a wheel, and the
pure Python packages that Pyodide lacks.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell

ROOT = Path(__file__).resolve().parent.parent
WHEELS = Path(sys.prefix) / "wheels"  # what Pyodide lacks, fetched by `make site` at set-up
VIEW = "application/vnd.jupyter.widget-view+json"
LAB = ROOT / ".venv/share/jupyter/labextensions"
WIDGETS = ["@jupyter-widgets/jupyterlab-manager", "anywidget"]  # what shows the panels
PACKAGED = ["course_utils", "pyproject.toml", "README.md", "LICENSE*"]
NEEDS_TORCH = (
    "**One part of it needs PyTorch, which does not run in a browser**: the cells that train a "
    "network. All of it runs with `make lab` on your computer."
)
KERNEL = {"name": "python", "display_name": "Python (Pyodide)", "language": "python"}
SETTINGS = {
    "appName": "The weight of noise",
    "litePluginSettings": {
        "@jupyterlite/pyodide-kernel-extension:kernel": {"disablePyPIFallback": True}
    },
}


def needs_torch(name):
    """Whether a notebook, by its file's name, has cells that need PyTorch."""
    return name >= "07"


def build(target):
    """Write the JupyterLite site into the folder ``target``; raises if it cannot be built."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        shutil.copytree(WHEELS, home / "pypi")
        wheel(home / "pypi")
        (home / "contents").mkdir()
        for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
            notebook = nbformat.read(path, as_version=4)
            prepare(notebook, path.name)
            nbformat.write(notebook, home / "contents" / path.name)
        (home / "jupyter-lite.json").write_text(
            json.dumps({"jupyter-lite-schema-version": 0, "jupyter-config-data": SETTINGS})
        )
        options = [
            *("--contents", "contents", "--output-dir", str(target)),
            *("--apps", "lab", "--apps", "notebooks", "--apps", "tree"),
            "--no-sourcemaps",
            "--no-unused-shared-packages",
            *(f"--LiteBuildConfig.federated_extensions={LAB / name}" for name in WIDGETS),
        ]
        jupyter = [sys.executable, "-m", "jupyterlite_core"]
        subprocess.run([*jupyter, "build", *options], cwd=home, check=True)
    return 0


def prepare(notebook, name):
    """Change a notebook into its copy for the browser."""
    notebook.metadata.kernelspec = KERNEL
    for cell in notebook.cells:
        for output in cell.get("outputs", []):  # until it is run, a panel is its picture
            output.get("data", {}).pop(VIEW, None)
    if needs_torch(name):
        notebook.cells.insert(0, new_markdown_cell(NEEDS_TORCH))


def wheel(folder):
    """Build the course's wheel into ``folder``, from a copy: setuptools keeps stale files."""
    with tempfile.TemporaryDirectory() as copy:
        for pattern in PACKAGED:
            for path in ROOT.glob(pattern):
                (shutil.copytree if path.is_dir() else shutil.copy)(path, Path(copy) / path.name)
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--wheel-dir", str(folder), copy], check=True)
