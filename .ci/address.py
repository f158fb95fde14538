"""The course's public address, and every place it is written to: `make address URL=https://…`.

The address lives in pyproject.toml, [project.urls]. Until it is set there, nothing pretends to
know it. This writes it there and to what cannot look it up: the first cell of each notebook,
CITATION.cff, and the badges between the two <!-- badges --> marks of Markdown files.
"""

import re
import sys
import tomllib
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
FIRST = """\
# Looks whether the course is here and fit to run; its web page installs it where it is missing.
import sys
from importlib.util import find_spec

if find_spec("course_utils"):
    try:
        from course_utils.classroom.install_check import require
    except ImportError:
        path = find_spec("course_utils").origin
        sys.exit(f"{path} hides the course: give that file another name, then restart the kernel.")
    require()
elif sys.platform == "emscripten":
    %pip install -q weight-of-noise
else:
    """
UNKNOWN = (
    'sys.exit("The course is missing: start it with `make lab`, or %pip install its folder here.")'
)
START = "notebooks/00_start_here.ipynb"
BADGES = {
    "Open in Binder": (
        "https://mybinder.org/badge_logo.svg",
        "https://mybinder.org/v2/gh/{name}/HEAD?urlpath=lab/tree/" + START,
    ),
    "Open in Colab": (
        "https://colab.research.google.com/assets/colab-badge.svg",
        "https://colab.research.google.com/github/{name}/blob/HEAD/" + START,
    ),
    "Open in Codespaces": (
        "https://github.com/codespaces/badge.svg",
        "https://codespaces.new/{name}",
    ),
}


def known(root=ROOT):
    """Return the address in pyproject.toml, None until it is set."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project.get("urls", {}).get("Repository")


def first_cell(address):
    """Return the source of each notebook's first code cell; ``address`` may be None.

    On the web page (JupyterLite) the name is served from the page itself; no other index has it.
    """
    return FIRST + (f"%pip install -q git+{address}" if address else UNKNOWN)


def cleaned(address):
    """Return https://host/owner/name, without a trailing slash or .git; else ValueError."""
    short = address.strip().removesuffix("/").removesuffix(".git")
    if not re.fullmatch(r"https://[\w.-]+\.\w+(/[\w.-]+){2,}", short):
        raise ValueError(f"URL={address!r}: https://host/owner/name is wanted")
    return short


def badges(address):
    """Return the badges in Markdown, one a line; only GitHub's repositories have them."""
    owner = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+)", address)
    if not owner:
        return f"The course's repository: <{address}>"
    rows = [f"[![{text}]({image})]({to})" for text, (image, to) in BADGES.items()]
    return "\n".join(rows).format(name=owner[1])


def write(address, root=ROOT):
    """Write the address wherever it is needed; returns the paths that changed."""
    address = cleaned(address)
    changed = []

    def edit(path, change):
        text = path.read_text(encoding="utf-8")
        if (new := change(text)) != text:
            path.write_text(new, encoding="utf-8")
            changed.append(path)

    urls = f'[project.urls]\nRepository = "{address}"\n'
    edit(
        root / "pyproject.toml",
        lambda text: _put(text, r"\[project\.urls\]\nRepository = .*\n", urls),
    )
    line = f'repository-code: "{address}"\n'
    edit(root / "CITATION.cff", lambda text: _put(text, r"(?m)^repository-code: .*\n", line))
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        edit(path, lambda text: _with_first_cell(text, first_cell(address)))
    marked = rf"\g<1>\n{badges(address)}\n\g<1>"
    for path in [root / "README.md", *sorted(root.glob("docs/**/*.md"))]:
        edit(path, lambda text: re.sub(r"(?s)(<!-- badges -->).*?\1", marked, text))
    return changed


def _put(text, pattern, new):
    """Replace what matches, or append."""
    text, count = re.subn(pattern, lambda _: new, text)
    return text if count else f"{text.rstrip()}\n\n{new}" if new[0] == "[" else text + new


def _with_first_cell(text, source):
    nb = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
    next(cell for cell in nb.cells if cell.cell_type == "code").source = source
    return nbformat.writes(nb) + "\n"


if __name__ == "__main__":
    try:
        print("\n".join(str(path.relative_to(ROOT)) for path in write(*sys.argv[1:2] or [""])))
    except ValueError as error:
        sys.exit(f"make address: {error}")
