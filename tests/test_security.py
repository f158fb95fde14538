"""What a reader trusts when opening this course: outputs, code, servers and packages."""

import contextlib
import re
import subprocess
import sys
from importlib import metadata

from serving import ROOT

# What runs code: pickle, exec, eval, a shell
UNSAFE = "S102,S301,S302,S307,S602,S604,S605"


def dangers(*paths):
    """Return what ruff's security rules say of files, one line each."""
    options = ["--isolated", "--no-cache", "--output-format", "concise", "--select", UNSAFE]
    command = [sys.executable, "-m", "ruff", "check", *options, *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return [line for line in done.stdout.splitlines() if ": S" in line]


def test_no_file_that_is_read_can_run_code(tmp_path):
    assert dangers("course_utils", "notebooks", "slides", "docs") == []
    lines = "import os, pickle", "pickle.load(file)", "eval(words)", "os.system(words)"
    (tmp_path / "danger.py").write_text("\n".join(lines))
    assert len(dangers(tmp_path)) == 3


# What lets others than this machine, or without a token, into a server.
OPENED_UP = re.compile(
    r"0\.0\.0\.0|--ip\b|ServerApp\.ip|(token|password)\s*=\s*(['\"]{2}|\s|$)|--no-token"
    r"|disable_check_xsrf|allow_origin|allow_remote_access|allow_unauthenticated|--host\b"
    r"|--bind\b|--Voila\.ip|--public\b",
    re.IGNORECASE,
)
RECIPES = [ROOT / "Makefile", ROOT / ".ci/run", *(ROOT / ".github").rglob("*.yml")]


def test_no_recipe_opens_a_server_to_others():
    for path in RECIPES:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if OPENED_UP.search(line)] == [], path
    for options in ("--ip=0.0.0.0", "--IdentityProvider.token= x", "--ServerApp.allow_origin='*'"):
        assert OPENED_UP.search(f"jupyter lab {options}")


PERMISSIVE = re.compile(
    r"\b(MIT(-0|-CMU)?|BSD|0BSD|Apache|ISC|ISCL|PSF|PSFL|Python Software Foundation|Zlib|BSL-1\.0"
    r"|CC0-1\.0|HPND|Unlicense|MPL[- ]2\.0|Mozilla Public License 2\.0)\b",
    re.IGNORECASE,
)
COPYLEFT = re.compile(
    r"\b(A?GPL|GNU|LGPL|SSPL|EUPL|CC[- ]BY[- ]NC|NonCommercial|Proprietary)\b", re.I
)


def licence(distribution):
    """Return what a package says of its licence: SPDX, else classifiers, else its first line."""
    about = distribution.metadata
    classified = [c for c in about.get_all("Classifier", []) if c.startswith("License")]
    words = about.get("License-Expression") or " ".join(c.split(" :: ")[-1] for c in classified)
    return words or (about.get("License") or "").strip().split("\n")[0]


def test_each_package_has_a_licence_that_lets_all_use_it():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    for name in (re.split(r"[=<>;\[ ]", line)[0] for line in lines if line and line[0] not in "#-"):
        with contextlib.suppress(metadata.PackageNotFoundError):  # it is for another machine
            words = licence(metadata.distribution(name))
            assert PERMISSIVE.search(words) and not COPYLEFT.search(words), f"{name}: {words!r}"
