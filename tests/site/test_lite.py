"""The notebooks that run in a browser: complete, self-contained, and started in Chromium.

Pyodide's compiled packages come from its own server, which no test reaches. Everything else is
tried: its core (from npm) runs here in the page's JupyterLite, and installs and loads the course.
An offline site, which has an older Pyodide with its packages, runs 00 to 06 from top to bottom.
"""

import email
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile

import lite
import nbformat
import pytest
from lab import HAS_KERNEL, execute
from lite import normal
from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename
from packaging.version import Version
from pages import ROOT
from panel_page import PanelOnPage, drag

pytestmark = pytest.mark.browser
PYODIDE = ROOT / "docs/node_modules/pyodide"
BOOT = ["ipython", "jedi", "micropip", "packaging"]  # what the kernel loads before anything


@pytest.fixture(scope="module")
def pyodide(site):
    """Pyodide's list of its packages, by name."""
    lock = json.loads((PYODIDE / "pyodide-lock.json").read_text())
    return {normal(name): package for name, package in lock["packages"].items()}


@pytest.fixture(scope="module")
def wheels(site):
    """The newest wheels in the site, by name: the course's, and those of its kernel."""
    found = {}
    for index in sorted((site / "lite").rglob("all.json")):
        if "releases" in (text := index.read_text()):
            for name, project in json.loads(text).items():
                version = max(project["releases"], key=Version)
                (release,) = project["releases"][version]
                found.setdefault(normal(name), index.parent / release["url"])
    return found


def unmet(wheels, pyodide, python):
    """What the course in a browser asks for, and neither the site nor Pyodide can give it."""
    place = {"sys_platform": "emscripten", "platform_system": "Emscripten", "extra": ""}
    place |= {"python_version": python, "python_full_version": python + ".0"}
    todo, seen = [Requirement("weight-of-noise"), Requirement("pyodide-kernel")], set()
    while todo:
        wanted = todo.pop()
        name = normal(wanted.name)
        if wanted.marker and not wanted.marker.evaluate(place):
            continue
        if name in wheels:
            if not wanted.specifier.contains(parse_wheel_filename(wheels[name].name)[1]):
                yield f"{wanted}: the site has {wheels[name].name}"
            if name not in seen:
                with zipfile.ZipFile(wheels[name]) as wheel:
                    (about,) = [n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")]
                    data = email.message_from_bytes(wheel.read(about))
                todo += map(Requirement, data.get_all("Requires-Dist", []))
            seen.add(name)
        elif name not in pyodide:
            yield f"{wanted}: nowhere"
        elif not wanted.specifier.contains(pyodide[name]["version"], prereleases=True):
            yield f"{wanted}: Pyodide has {pyodide[name]['version']}"


def test_site_and_pyodide_hold_all_that_the_course_needs(wheels, pyodide):
    lock = json.loads((PYODIDE / "pyodide-lock.json").read_text())
    python = ".".join(lock["info"]["python"].split(".")[:2])
    assert list(unmet(wheels, pyodide, python)) == []
    old = pyodide | {"numpy": {"version": "1.26.4"}}
    assert any("numpy" in line for line in unmet(wheels, old, python))


def test_this_pyodide_is_the_one_that_readers_get(site):
    """The core from npm, which these tests run, and the version that the kernel asks for."""
    version = json.loads((PYODIDE / "package.json").read_text())["version"]
    scripts = (site / "lite/extensions/@jupyterlite/pyodide-kernel-extension/static").glob("*.js")
    text = "".join(script.read_text() for script in scripts)
    asked = re.findall(r"cdn\.jsdelivr\.net/pyodide/v([\d.]+)/", text)
    assert set(asked) == {version}


def test_the_wheel_is_the_whole_course(wheels):
    command = ["git", "ls-files", "course_utils", ":!course_utils/widgets/js"]  # panels.js is there
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(tracked.split()) <= set(zipfile.ZipFile(wheels["weight-of-noise"]).namelist())


def test_every_notebook_is_there_as_saved(site):
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        there = nbformat.read(site / "lite/files" / path.name, as_version=4)
        here = nbformat.read(path, as_version=4)
        assert [c.source for c in there.cells][-len(here.cells) :] == [c.source for c in here.cells]
    listed = json.loads((site / "lite/api/contents/all.json").read_text())["content"]
    assert len(listed) == len(list((ROOT / "notebooks").glob("*.ipynb")))


@pytest.fixture(scope="module")
def core(site, pyodide):
    """Folders that stand for Pyodide's server: its core, and the pure packages that it boots from.

    Pyodide strips these packages of their tests, so PyPI's wheels have other check sums.
    """
    folder = ROOT / "build/pyodide-boot"
    folder.mkdir(parents=True, exist_ok=True)
    boot = lite.with_dependencies(BOOT, PYODIDE / "pyodide-lock.json")
    pins = sorted(f"{package['name']}=={package['version']}" for package in boot.values())
    stamp = folder / "pins"
    if not stamp.exists() or stamp.read_text().split() != pins:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
        command += ["--only-binary=:all:", "--python-version", "3.14"]
        subprocess.run([*command, *pins], check=True)
        stamp.write_text("\n".join(pins))
    for wheel in folder.glob("*.whl"):
        package = boot[normal(wheel.name.split("-")[0])]
        package["file_name"] = wheel.name
        package["sha256"] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = json.loads((PYODIDE / "pyodide-lock.json").read_text())
    lock["packages"] |= {
        name: boot[normal(name)] for name in lock["packages"] if normal(name) in boot
    }
    (folder / "pyodide-lock.json").write_text(json.dumps(lock))
    return [folder, PYODIDE]


INSTALL = """
%pip install -q --no-deps weight-of-noise
%pip install -q ipywidgets jaxtyping
"""
LOOK = """
import sys, pathlib, course_utils, ipywidgets, jaxtyping
files = list(pathlib.Path(course_utils.__path__[0]).rglob("*.py"))
for file in files:
    compile(file.read_text(), file.name, "exec")
print(sys.platform, len(files), type(ipywidgets.IntSlider().comm).__module__)
"""


def test_the_kernel_starts_and_installs_the_course_from_the_site(site, core, serve, page):
    page.set_default_timeout(180_000)
    page.goto(serve(site, core) + "lite/tree/index.html")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        page.get_by_text(path.name, exact=True).first.wait_for()
    page.goto(serve(site, core) + "lite/notebooks/index.html?path=00_start_here.ipynb")
    page.wait_for_function(HAS_KERNEL)
    notebook = page.locator(".jp-Notebook")
    assert "denoising errors count galaxies" in notebook.inner_text().lower()
    page.evaluate("() => jupyterapp.shell.currentWidget.content.scrollToItem(8)")
    saved = notebook.get_by_text("two points: half the area: 0.69315")
    saved.wait_for()  # no cell has run
    assert execute(page, INSTALL) == ""
    platform, files, comm = execute(page, LOOK).split()
    assert platform == "emscripten" and comm.startswith("pyodide_kernel")
    assert int(files) == len(list((ROOT / "course_utils").rglob("*.py")))
    # Without matplotlib two lines are marked FIX; what counts is that none stops the kernel.
    check = "from course_utils.classroom import install_check\ninstall_check.check()"
    printed = execute(page, check)
    assert "OK   data" in printed and "PyTorch" in printed and "OK   Python" not in printed


@pytest.fixture(scope="module")
def offline(site, serve):
    """The address of a site that has Python and its packages too: `make site OFFLINE=1`."""
    subprocess.run(["make", "build/offline-env/pyodide"], cwd=ROOT, check=True)
    folder = ROOT / "build/offline-site"
    shutil.rmtree(folder, ignore_errors=True)
    command = f"import lite, pathlib; lite.build(pathlib.Path({str(folder / 'lite')!r}), True)"
    python = ROOT / "build/site-env/bin/python"
    subprocess.run([python, "-c", command], cwd=ROOT / "docs", check=True, stdout=subprocess.PIPE)
    return serve(folder, [folder / "lite/static/pyodide"])


RUN_ALL = """async () => {
    await jupyterapp.commands.execute("notebook:run-all-cells");
    return JSON.stringify(jupyterapp.shell.currentWidget.content.model.toJSON());
}"""
OFFLINE = sorted(p for p in (ROOT / "notebooks").glob("*.ipynb") if not lite.needs_torch(p.name))


def printed(notebook):
    """What each cell of code printed or returned as text, but for the look at the installation."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and "install_check.check()" not in cell.source:
            heard = [o for o in cell.outputs if o.get("name") != "stderr"]  # fonts are being read
            said = [o.get("text", o.get("data", {}).get("text/plain", "")) for o in heard]
            yield cell.source, "".join(said)


@pytest.mark.parametrize("path", OFFLINE, ids=lambda path: path.stem)
def test_a_notebook_runs_without_a_network_and_prints_what_is_saved(path, offline, page):
    page.set_default_timeout(180_000)
    page.goto(f"{offline}lite/notebooks/index.html?path={path.name}")
    page.wait_for_function(HAS_KERNEL)
    ran = nbformat.reads(page.evaluate(RUN_ALL), as_version=4)
    outputs = [output for cell in ran.cells for output in cell.get("outputs", [])]
    errors = [output.evalue for output in outputs if output.output_type == "error"]
    assert not errors
    assert list(printed(ran)) == list(printed(nbformat.read(path, as_version=4)))
    if path.stem == "06_sum_of_elbos":
        (place,) = [i for i, cell in enumerate(ran.cells) if cell.source.endswith("panel.panel()")]
        page.evaluate("i => jupyterapp.shell.currentWidget.content.scrollToItem(i)", place)
        panel = PanelOnPage(page.locator(PanelOnPage.AREA).first).ready()
        headline = panel.readout()["headline"]
        assert headline.startswith("0.948189 = 0.948189")
        drag(panel.handles()[3], 0, 40)
        panel.wait(lambda: panel.readout()["headline"] != headline, "other numbers")
        left, right = re.findall(r"\d\.\d{6}", panel.readout()["headline"])
        assert left == right and not panel.error()
