"""Make the environment that the Makefile's commands run in, or find that it stands as it should.

    python .ci/environment.py                          .venv, from requirements.txt
    python .ci/environment.py build/site-env docs      beside it: what a dependency group adds

uv installs where it is found, here or on PyPI; else pip does (INSTALLER=pip asks for it).
An environment holds absolute paths: one that was moved or copied with its folder is made anew.
Needs Python alone, of a version that pyproject.toml promises.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.txt", ".ci/requirements.txt")
PROMISED = re.search(
    r'requires-python = ">=(\d+)\.(\d+),<(\d+)\.(\d+)"', (ROOT / "pyproject.toml").read_text()
)
TO_UV = {  # settings of pip that uv has under another name, and does not read
    "find-links": "UV_FIND_LINKS",
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "cert": "SSL_CERT_FILE",
}


def main(folder=".venv", group=None):
    """Make the environment in ``folder`` unless it is ready; return an exit status."""
    folder = ROOT / folder
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / ".ready"
    usable = is_usable(stamp, python)
    if usable and is_ready(stamp):
        return 0
    low, high = (tuple(map(int, PROMISED.groups()[i : i + 2])) for i in (0, 2))
    if not low <= sys.version_info[:2] < high:
        return (
            f"Python {low[0]}.{low[1]} to {high[0]}.{high[1] - 1} is needed, this is "
            f"{sys.version_info[0]}.{sys.version_info[1]}: make PYTHON=python3.{low[1]} …"
        )
    if not usable:
        shutil.rmtree(folder, ignore_errors=True)
        try:
            venv.create(folder, with_pip=True)
        except subprocess.CalledProcessError:
            return "this Python cannot make an environment: on Debian, apt install python3-venv"
        folder.joinpath(".gitignore").write_text("*\n")
    stamp.unlink(missing_ok=True)
    install = installer(python)
    if group is None:
        install("-r", ROOT / "requirements.txt")
        install("--no-deps", "--editable", ROOT)
    else:
        see_the_courses_packages(python)
        constraints = [word for lock in LOCKS for word in ("-c", ROOT / lock)]
        install(*constraints, *requirements_of(group))
    stamp.write_text(state(), encoding="utf-8")
    return 0


def state():
    """What an environment depends on: where it stands, and what it was made from."""
    inputs = [ROOT / name for name in ("pyproject.toml", *LOCKS)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
    return f"{ROOT}\n{digest}\n"


def is_ready(stamp):
    """Whether the environment was made here and from what lies here now."""
    return stamp.exists() and stamp.read_text(encoding="utf-8") == state()


def is_usable(stamp, python):
    """Whether an environment can be brought up to date: it was made here, and its Python runs."""
    made_here = not stamp.exists() or stamp.read_text(encoding="utf-8").startswith(f"{ROOT}\n")
    return made_here and runs([python, "-c", "import pip"])


def installer(python):
    """Return a function of requirements that installs them for ``python``, by uv or by pip."""
    uv = None if os.environ.get("INSTALLER") == "pip" else find_uv(python)
    index = os.environ.get("TORCH_INDEX")
    if uv:
        command, environment = [*uv, "pip", "install", "--python", python], uv_settings(python)
        if index:
            environment["UV_INDEX"] = f"{index} {environment.get('UV_INDEX', '')}".strip()
            environment["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    else:
        command, environment = [python, "-m", "pip", "install"], dict(os.environ)
        command += ["--extra-index-url", index] if index else []

    def install(*requirements):
        words = [str(word) for word in (*command, *requirements)]
        print("+", shlex.join(words), flush=True)
        subprocess.run(words, check=True, env=environment)

    return install


def find_uv(python):
    """Return the command of uv, fetched from PyPI if need be; None where it is not found."""
    if shutil.which("uv"):
        return ["uv"]
    uv = [python, "-m", "uv"]
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"]
    return uv if runs([*uv, "--version"]) or runs(pip) else None


def uv_settings(python):
    """Return the environment for uv, with what pip was told about where packages are."""
    found = subprocess.run(
        [python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    settings = {}
    for line in found.stdout.splitlines():  # global.find-links='/a /b', then :env:.find-links=…
        key, _, value = line.partition("=")
        name = TO_UV.get(key.rpartition(".")[2])
        if name:
            settings[name] = " ".join(value.strip("'\"").split())
    if "UV_FIND_LINKS" in settings:
        settings["UV_FIND_LINKS"] = settings["UV_FIND_LINKS"].replace(" ", ",")
    if "UV_INDEX" in settings:
        settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # as pip reads several indexes
        indexes = settings["UV_INDEX"].split()
        settings["UV_INDEX"] = " ".join(i for i in indexes if not is_missing(i))
    return settings | dict(os.environ)  # uv's own settings win


def is_missing(index):
    """Whether an index is a folder that is not there, which pip passes over and uv does not."""
    return index.startswith("file://") and not Path(index.removeprefix("file://")).exists()


def see_the_courses_packages(python):
    """Let an environment import what .venv holds."""
    paths = [
        subprocess.run(
            [each, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for each in (python, ROOT / ".venv" / python.relative_to(python.parent.parent))
    ]
    line = f"import site; site.addsitedir({paths[1]!r})\n"
    Path(paths[0], "course.pth").write_text(line)


def requirements_of(group):
    """Return the requirements of a dependency group of pyproject.toml."""
    import tomllib  # from Python 3.11 on, and that was asked for above

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return project["dependency-groups"][group]


def runs(command):
    """Whether a command can be started and succeeds."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
