"""What Binder would build from .binder, without building it, and the scripts that it would run."""

import json
import os
import subprocess
import sys
from pathlib import Path

from classroom import HUB_PYTHON, needs_hub
from serving import ROOT


def test_the_image_has_the_right_python_and_the_pinned_course():
    needs_hub()
    command = [HUB_PYTHON, "-m", "repo2docker", "--no-build", "--debug", ROOT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    text = done.stdout + done.stderr
    assert "environment-2epy-2d3-2e11" in text, "Python 3.11"
    copied = text.index("COPY --chown=0:0 src/ ${REPO_DIR}" if os.getuid() == 0 else "src/ ${REPO")
    installed = text.index('pip install --no-cache-dir -r ".binder/requirements.txt"')
    assert copied < installed < text.index("RUN ./.binder/postBuild")
    wanted = (ROOT / ".binder/requirements.txt").read_text().splitlines()
    assert {"-r ../requirements.txt", "-e ."} <= set(wanted)


def in_a_new_home(command, home):
    """Run a script of .binder as the image would, with this environment's Python first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"HOME": str(home), "PATH": path}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_the_build_checks_the_installation_and_a_broken_one_stops_it(tmp_path):
    done = in_a_new_home(["./.binder/postBuild"], tmp_path)
    assert done.returncode == 0 and "The course is ready." in done.stdout, done.stderr
    assert list((tmp_path / ".cache/matplotlib").glob("fontlist*"))
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['scipy'] = None\n")
    done = in_a_new_home(["env", f"PYTHONPATH={tmp_path}", "./.binder/postBuild"], tmp_path)
    assert done.returncode != 0 and "FIX  packages" in done.stdout


def test_what_starts_a_server_passes_its_command_on(tmp_path):
    command = ["./.binder/start", "sh", "-c", 'echo "$OMP_NUM_THREADS $0"', "a b"]
    assert in_a_new_home(command, tmp_path).stdout == "1 a b\n"


def test_the_dev_container_is_set_up_by_make():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert container["image"].endswith("python:3.11")
    assert container["postCreateCommand"].startswith("make env ")
    opened = container["customizations"]["codespaces"]["openFiles"]
    assert all((ROOT / path).exists() for path in opened)
