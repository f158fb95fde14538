"""The module that browsers load: its arithmetic under Node, its size, and that it is built."""

import re
import subprocess

import pytest
from serving import ROOT, absent, needed

MODULE = ROOT / "course_utils/widgets/panels.js"
SOURCE = ROOT / "course_utils/widgets/js"


def test_arithmetic_of_the_module():
    node = needed("node", remedy="install Node")
    done = subprocess.run([node, "--test", ROOT / "tests/js"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"# pass (\d+)", done.stdout)[1]) >= 9


def test_module_is_small_and_asks_for_nothing():
    text = MODULE.read_text(encoding="utf-8")
    assert len(text.encode()) < 150_000
    assert "Copyright 2010-" in text  # the licence of what is bundled
    addresses = set(re.findall(r"https?://[^\s\"'`]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(fetch|XMLHttpRequest|importScripts)\s*\(|\bimport\s*\(", text)


@pytest.mark.full
def test_module_is_what_its_sources_build(tmp_path):
    node = needed("node", remedy="install Node")
    if not (SOURCE / "node_modules/esbuild").exists():
        absent("no esbuild: run `make widgets`")
    built = tmp_path / "panels.js"
    subprocess.run([node, "build.mjs", built], cwd=SOURCE, check=True)
    assert built.read_bytes() == MODULE.read_bytes()
