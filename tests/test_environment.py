"""The set-up: the lock that it installs, and an environment that knows where it was made."""

import fcntl
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import venv
from itertools import chain
from types import SimpleNamespace
from unittest.mock import Mock, patch

import pytest
from packaging.requirements import Requirement
from serving import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = ROOT / "requirements.txt"
MORE = ROOT / ".ci/requirements.txt"


def module(root):
    """`.ci/environment.py` of the course in the folder ``root``."""
    return SimpleNamespace(**runpy.run_path(str(root / ".ci/environment.py")))


@pytest.fixture
def course(tmp_path):
    """A folder with the set-up alone, whose environment was made there and is ready."""
    root = tmp_path / "the course's ελ"
    shutil.copytree(ROOT / ".ci", root / ".ci")
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, root / name)
    here, folder = module(root), root / ".venv"
    venv.create(folder)
    [packages] = folder.glob("lib/python*/site-packages")
    for name in ("pip", "numpy"):
        (packages / name).mkdir()
        (packages / name / "__init__.py").touch()
    (folder / ".ready").write_text(here.state() + "\n".join(here.contents(folder)))
    with patch.dict(os.environ):  # of which it changes some
        yield root


@pytest.fixture
def installed(monkeypatch):
    """Nothing is installed; returns the list of what was asked for."""
    asked = []

    def installs(words, **options):
        asked.append(words)
        return SimpleNamespace(returncode=int("uv" in words and "-r" in words), stdout="")

    monkeypatch.setattr(subprocess, "run", installs)
    monkeypatch.setattr(venv, "create", lambda folder, with_pip: asked.append("anew"))
    return asked


def pins(*paths):
    rows = chain.from_iterable(path.read_text(encoding="utf-8").splitlines() for path in paths)
    return [Requirement(row) for row in rows if row and not row.startswith("#")]


def test_every_pin_is_exact_and_fits_any_build_from_any_registry():
    text = LOCK.read_text(encoding="utf-8") + MORE.read_text(encoding="utf-8")
    assert "://" not in text and "--hash" not in text and "\n-" not in text
    assert all(re.fullmatch(r"==[\w.]+", str(pin.specifier)) for pin in pins(LOCK, MORE))
    assert not any(pin.name.startswith(("nvidia", "triton")) for pin in pins(LOCK))
    [torch] = tomllib.loads((ROOT / ".ci/lock.toml").read_text())["dependency-metadata"]
    assert "version" not in torch  # or the next one would bring them


GROUPS = PROJECT["project"]["optional-dependencies"] | PROJECT["dependency-groups"]
GROUPS |= {"runtime": PROJECT["project"]["dependencies"]}


@pytest.mark.parametrize("minor", range(11, 15))
@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_every_range_is_pinned_within_everywhere(platform, minor):
    place = {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.1"}
    place |= {"sys_platform": platform, "os_name": "nt" if platform == "win32" else "posix"}
    pinned = {}
    for pin in pins(LOCK, MORE):
        if pin.marker is None or pin.marker.evaluate(place):
            version = str(pin.specifier).removeprefix("==")
            assert pinned.setdefault(pin.name, version) == version
    for requirement in map(Requirement, chain.from_iterable(GROUPS.values())):
        found = pinned[requirement.name.lower()]
        assert requirement.specifier.contains(found), f"{requirement}, pinned at {found}"


def test_a_ready_environment_is_left_alone_and_a_changed_lock_installed_into_it(course, installed):
    here = module(course)
    assert here.main() == 0 and installed == []
    with (course / "requirements.txt").open("a") as lock:
        lock.write("# changed\n")
    assert not here.is_ready(course / ".venv")
    assert here.main() == 0 and installed and "anew" not in installed
    assert here.is_ready(course / ".venv")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "bin/python").unlink(),  # as after an upgrade of the system's
        lambda folder: (folder / "pyvenv.cfg").unlink(),
        lambda folder: shutil.rmtree(next(folder.glob("lib/*/*/numpy"))),
        lambda folder: (folder / ".ready").write_text(f"{folder.parent}\nunfinished\n"),
        lambda folder: shutil.copytree(folder.parent, folder.parent.with_name("moved")),
    ],
    ids=["no Python", "no venv", "a package is gone", "interrupted", "copied"],
)
def test_what_is_damaged_or_copied_is_made_anew(course, installed, spoil):
    spoil(course / ".venv")
    moved = course.with_name("moved")
    here = module(moved if moved.exists() else course)
    assert here.main() == 0 and installed[0] == "anew"


def test_a_python_that_is_named_is_the_one_that_is_had(course, installed, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 12, 0) if sys.version_info[1] != 12 else (3, 13))
    monkeypatch.delenv("PYTHON", raising=False)
    assert module(course).main() == 0 and installed == []
    monkeypatch.setenv("PYTHON", "python3.12")
    assert module(course).main() == 0 and installed[0] == "anew"


def test_what_cannot_be_made_is_said(course, monkeypatch):
    here, folder = module(course), course / ".venv"
    error = subprocess.CalledProcessError(1, "ensurepip", b"said\nERROR: No space left\nso")
    monkeypatch.setattr(venv, "create", Mock(side_effect=error))
    shutil.rmtree(folder)
    with pytest.raises(SystemExit, match=r"No space left\n.*python3-venv"):
        here.main()
    shutil.rmtree(folder)
    folder.touch()
    assert ".venv cannot be made: " in here.main()
    monkeypatch.setattr(sys, "version_info", (3, 10, 2))
    assert "Python 3.11 to 3.14 is needed, this is 3.10" in here.main()


def test_two_set_ups_at_once_wait_for_each_other(course):
    path = course / ".ci/environment.py"
    with path.open() as second, module(course).alone(), pytest.raises(BlockingIOError):
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_where_uv_cannot_pip_does_and_settings_that_lead_elsewhere_are_not_heard(
    course, installed, monkeypatch
):
    for name, value in {"PIP_TARGET": "/x", "PIP_USER": "1", "UV_REQUIRE_HASHES": "1"}.items():
        monkeypatch.setenv(name, value)
    shutil.rmtree(course / ".venv")
    here = module(course)
    monkeypatch.setitem(here.main.__globals__, "find_uv", lambda python: ["uv"])
    monkeypatch.setitem(here.main.__globals__, "uv_settings", lambda python: {})
    assert here.main() == 0
    assert [words[0] == "uv" for words in installed[1:]] == [True, False, True]
    assert os.environ["PIP_USER"] == "0" and not {"PIP_TARGET", "UV_REQUIRE_HASHES"} & {*os.environ}


def test_uv_is_told_what_pip_knows_of_where_packages_are(course, monkeypatch, tmp_path):
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX"):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nfind-links =\n  /a\n  /b\nindex-url = https://mirror.example/simple\n"
        f"extra-index-url = file:///nowhere file://{tmp_path}\ntimeout = 60\n"
        "[install]\ntrusted-host = one two\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    settings = module(course).uv_settings(sys.executable)
    assert settings["UV_FIND_LINKS"] == "/a,/b"
    assert settings["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert settings["UV_INSECURE_HOST"] == "one two"
    assert f"file://{tmp_path}" in settings["UV_INDEX"] and "nowhere" not in settings["UV_INDEX"]
    monkeypatch.setenv("UV_FIND_LINKS", "/mine")
    monkeypatch.setenv("PIP_INDEX_URL", "https://this.once/simple")  # wins over the file
    settings = module(course).uv_settings(sys.executable)
    assert settings["UV_FIND_LINKS"] == "/mine"
    assert settings["UV_DEFAULT_INDEX"] == "https://this.once/simple"


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
