"""Make the environment that the Makefile's commands run in, or find that it stands as it should.

    python .ci/environment.py                          .venv, from requirements.txt
    python .ci/environment.py build/site-env docs      beside it: what a dependency group adds

uv installs where it can, found here or on PyPI; else pip does (INSTALLER=pip asks for it).
An environment holds absolute paths: one that was moved or copied with its folder is made anew, and
so is one whose making was interrupted, or that is damaged, or of another Python than is named.
Needs Python alone, of a version that pyproject.toml promises.
"""

import ast
import contextlib
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.txt", ".ci/requirements.txt")
PROMISED = re.search(
    r'requires-python = ">=(\d+)\.(\d+),<(\d+)\.(\d+)"',
    (ROOT / "pyproject.toml").read_text(encoding="utf-8"),
)
TO_UV = {  # settings of pip that uv has under another name, and does not read
    "find-links": "UV_FIND_LINKS",
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
}
# What would put packages elsewhere, or ask of the lock what it does not hold.
UNHEARD = (
    *("PYTHONHOME", "PYTHONPATH", "PIP_PREFIX", "PIP_PYTHON", "PIP_ROOT", "PIP_TARGET"),
    *("PIP_DRY_RUN", "PIP_NO_DEPS", "PIP_REQUIRE_HASHES", "UV_NO_EDITABLE", "UV_REQUIRE_HASHES"),
)


def main(folder=".venv", group=None):
    """Make the environment in ``folder`` unless it is ready; return an exit status."""
    folder = ROOT / folder
    for name in UNHEARD:
        os.environ.pop(name, None)
    os.environ["PIP_USER"] = "0"
    if is_ready(folder):
        return 0
    low, high = (tuple(map(int, PROMISED.groups()[i : i + 2])) for i in (0, 2))
    if not low <= sys.version_info[:2] < high:
        return (
            f"Python {low[0]}.{low[1]} to {high[0]}.{high[1] - 1} is needed, this is "
            f"{sys.version_info[0]}.{sys.version_info[1]}: make PYTHON=python3.{low[1]} …"
        )
    try:
        with alone():
            if not is_ready(folder):
                make(folder, group)
    except (OSError, ValueError) as error:
        return f"{folder} cannot be made: {error}"
    return 0


@contextlib.contextmanager
def alone():
    """Wait until no other set-up of this course runs: it may be making the same."""
    with open(__file__, "rb") as lock:
        with contextlib.suppress(ImportError, OSError):  # Windows; a disk without locks
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(folder, group):
    """Make the environment, or bring it up to date."""
    python, stamp = python_of(folder), folder / ".ready"
    if not is_usable(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        folder.joinpath(".gitignore").write_text("*\n")
        stamp.write_text(f"{ROOT}\nunfinished\n", encoding="utf-8")
        try:
            import venv

            venv.create(folder.resolve(), with_pip=True)  # of a link, what it leads to
        except (ImportError, subprocess.CalledProcessError) as error:
            said = getattr(error, "output", b"").decode(errors="replace")
            reason = re.search(r".*(ERROR|Errno|No module named).*", said) or [error]
            sys.exit(
                f"this Python cannot make an environment: {reason[0]}\n"
                "(on Debian and Ubuntu, `apt install python3-venv` gives what it may lack)"
            )
    install = installer(python)
    if group is None:
        install("-r", ROOT / "requirements.txt")
        install("--no-deps", "--editable", ROOT)
    else:
        see_the_courses_packages(python)
        constraints = [word for lock in LOCKS for word in ("-c", ROOT / lock)]
        install(*constraints, *requirements_of(group))
    stamp.write_text(state() + "\n".join(contents(folder)), encoding="utf-8")


def python_of(folder):
    """Return the path of an environment's Python."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def state():
    """What an environment depends on: where it stands, and what it was made from."""
    inputs = [ROOT / name for name in ("pyproject.toml", *LOCKS)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
    return f"{ROOT}\n{digest}\n"


def contents(folder):
    """Yield an environment's programs and modules, most of which outlive a change of versions."""
    for place in ("bin", "Scripts", "lib/python*/site-packages", "Lib/site-packages"):
        for path in folder.glob(f"{place}/*"):
            if path.suffix != ".dist-info" and path.name != "__pycache__":
                yield path.relative_to(folder).as_posix()


def is_ready(folder):
    """Whether the environment was made here and from what lies here now."""
    stamp = folder / ".ready"
    current = stamp.exists() and stamp.read_text(encoding="utf-8").startswith(state())
    return current and is_usable(folder)


def is_usable(folder):
    """Whether it can be brought up to date: made here to the end, all there, its Python runs."""
    stamp, python = folder / ".ready", python_of(folder)
    if stamp.exists():
        root, made_from, *held = f"{stamp.read_text(encoding='utf-8')}\n".split("\n")
        whole = all((folder / name).exists() for name in held)
        if root != str(ROOT) or made_from == "unfinished" or not whole:
            return False
    # Whoever names a Python means that one.
    named = tuple(sys.version_info[:2]) if os.environ.get("PYTHON") else "sys.version_info[:2]"
    code = f"import os, pip, sys; os.path.samefile(sys.prefix, {str(folder)!a}) or sys.exit(1)"
    code += f"; sys.exit(sys.version_info[:2] != {named})"
    return python.exists() and runs([python, "-c", code])


def installer(python):
    """Return a function of requirements that installs them for ``python``, by uv or else by pip."""
    uv = None if os.environ.get("INSTALLER") == "pip" else find_uv(python)
    index = os.environ.get("TORCH_INDEX")
    ways = [([python, "-m", "pip", "install"], dict(os.environ))]
    if index:
        ways[0][0].extend(["--extra-index-url", index])
    if uv:
        settings = uv_settings(python)
        if index:
            settings["UV_INDEX"] = f"{index} {settings.get('UV_INDEX', '')}".strip()
            settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"
        ways.insert(0, ([*uv, "pip", "install", "--python", python], settings))

    def install(*requirements):
        for command, environment in ways:
            words = [str(word) for word in (*command, *requirements)]
            print("+", shlex.join(words), flush=True)
            if subprocess.run(words, env=environment, check=False).returncode == 0:
                return
        sys.exit("not all packages could be installed: the reason stands above")

    return install


def find_uv(python):
    """Return the command of uv, fetched from PyPI if need be; None where it is not found."""
    own = [python, "-m", "uv"]
    for uv in (["uv"], own):
        if runs([*uv, "--version"]):
            return uv
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"]
    return own if runs(pip) else None


def uv_settings(python):
    """Return the environment for uv, with what pip was told about where packages are."""
    found = subprocess.run(
        [python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    lines = found.stdout.splitlines()  # global.find-links='/a /b'
    settings = {}
    for section in ("global.", "install.", ":env:."):  # what comes later wins, as for pip
        for line in lines:
            key, _, value = line.partition("=")
            name = TO_UV.get(key.removeprefix(section))
            if name:
                settings[name] = " ".join(ast.literal_eval(value).split())
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
    line = f"import site; site.addsitedir({paths[1]!a})\n"
    Path(paths[0], "course.pth").write_text(line)


def requirements_of(group):
    """Return the requirements of a dependency group of pyproject.toml."""
    import tomllib  # from Python 3.11 on, and that was asked for above

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return project["dependency-groups"][group]


def runs(command):
    """Whether a command can be started and succeeds."""
    try:  # in words that a Python too old for the course knows, too
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
