"""The set-up: the lock that it installs, and an environment that knows where it was made."""

import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = ROOT / "requirements.txt"
MORE = ROOT / ".ci/requirements.txt"


def module(root):
    """`.ci/environment.py` of the course in the folder ``root``."""
    return SimpleNamespace(**runpy.run_path(str(root / ".ci/environment.py")))


@pytest.fixture
def course(tmp_path):
    """A folder with the set-up alone, whose environment was made there and is ready."""
    root = tmp_path / "course"
    for folder in (".ci", ".venv/bin"):
        (root / folder).mkdir(parents=True)
    for name in [
        "pyproject.toml",
        "requirements.txt",
        ".ci/environment.py",
        ".ci/requirements.txt",
    ]:
        shutil.copy(ROOT / name, root / name)
    (root / ".venv/bin/python").symlink_to(sys.executable)
    (root / ".venv/.ready").write_text(module(root).state())
    return root


def pins(*paths):
    rows = chain.from_iterable(path.read_text(encoding="utf-8").splitlines() for path in paths)
    return [Requirement(row) for row in rows if row and not row.startswith("#")]


def test_every_pin_is_exact_and_fits_any_build_from_any_registry():
    text = LOCK.read_text(encoding="utf-8") + MORE.read_text(encoding="utf-8")
    assert "://" not in text and "--hash" not in text and "\n-" not in text
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) for pin in pins(LOCK, MORE))
    assert not any(pin.name.startswith(("nvidia", "triton")) for pin in pins(LOCK))


GROUPS = PROJECT["project"]["optional-dependencies"] | PROJECT["dependency-groups"]
GROUPS |= {"runtime": PROJECT["project"]["dependencies"]}


@pytest.mark.parametrize("group", GROUPS)
def test_every_range_is_pinned_within(group):
    locks = [LOCK, MORE] if group in ("docs", "hub") else [LOCK]
    pinned = {}
    for pin in pins(*locks):  # a package has a pin for each range of Pythons that needs another
        pinned.setdefault(pin.name.lower().replace("_", "-"), []).append(pin)
    for requirement in map(Requirement, GROUPS[group]):
        for pin in pinned[requirement.name.lower()]:
            version = str(pin.specifier).removeprefix("==")
            assert requirement.specifier.contains(version), f"{requirement}, pinned at {version}"


def test_a_ready_environment_is_left_alone_and_a_changed_lock_installed_into_it(course):
    here, stamp = module(course), course / ".venv/.ready"
    assert here.main() == 0 and (course / ".venv/bin/python").is_symlink()
    with (course / "requirements.txt").open("a") as lock:
        lock.write("# changed\n")
    assert not here.is_ready(stamp) and here.is_usable(stamp, sys.executable)


def test_where_python_is_gone_it_is_made_anew_and_what_cannot_be_is_said(course, monkeypatch):
    (course / ".venv/bin/python").unlink()  # as after an upgrade of the system's Python
    here = module(course)

    def without_ensurepip(folder, with_pip):
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr(here.venv, "create", without_ensurepip)
    assert "python3-venv" in here.main() and not (course / ".venv").exists()


@pytest.mark.parametrize("how", [shutil.copytree, shutil.move])
def test_an_environment_that_was_moved_or_copied_is_made_anew(course, tmp_path, how):
    how(course, tmp_path / "elsewhere")
    there = module(tmp_path / "elsewhere")
    stamp = there.ROOT / ".venv/.ready"
    assert stamp.exists() and not there.is_ready(stamp)
    assert not there.is_usable(stamp, sys.executable)


def test_an_unsupported_python_is_told_which_to_take(course, monkeypatch):
    (course / ".venv/.ready").unlink()
    monkeypatch.setattr(sys, "version_info", (3, 10, 2))
    assert "Python 3.11 to 3.14 is needed, this is 3.10" in module(course).main()


def test_uv_is_told_what_pip_knows_of_where_packages_are(course, monkeypatch, tmp_path):
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS", "UV_INDEX"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nfind-links = /a /b\nindex-url = https://mirror.example/simple\n"
        f"extra-index-url = file:///nowhere file://{tmp_path}\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    settings = module(course).uv_settings(sys.executable)
    assert settings["UV_FIND_LINKS"] == "/a,/b"
    assert settings["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert f"file://{tmp_path}" in settings["UV_INDEX"] and "nowhere" not in settings["UV_INDEX"]
    monkeypatch.setenv("UV_FIND_LINKS", "/mine")
    assert module(course).uv_settings(sys.executable)["UV_FIND_LINKS"] == "/mine"


def test_the_list_of_commands_is_short_and_whole():
    # Run by `make test`, the inner make would announce the folder it enters.
    command = ["make", "--no-print-directory", "help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rules = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert sorted(rules) == sorted(re.findall(r"^  ([a-z-]+) {2,}\S", shown, re.M))
    everyday = shown.split("For maintainers of the course:")[0]
    assert len(everyday.splitlines()) <= 13 and max(map(len, shown.splitlines())) <= 120


# --- the cut network of `make test-elsewhere` ----------------------------------------------------

CODE = """
import socket

def cut(reach, *address):
    try:
        reach(*address)
    except OSError as error:
        return "the network is cut" in str(error)

assert cut(socket.socket().connect_ex, ("192.0.2.1", 80))
assert cut(socket.socket(type=socket.SOCK_DGRAM).sendto, b"", ("192.0.2.1", 9))
assert cut(socket.getaddrinfo, "example.org", 80)
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(("localhost", server.getsockname()[1])).sendall(b"here")
assert server.accept()[0].recv(4) == b"here"
"""
CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)"


def test_nothing_leaves_a_child_process_and_the_loopback_stays():
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests/offline")}
    subprocess.run([sys.executable, "-c", CHILD, CODE], env=environment, check=True, timeout=60)
