"""A Sphinx extension: the course's docstrings are plain text, and become reStructuredText here.

In an editor they read best with |x| and 2 * y as they are, lists of names in two columns, and
equations or code indented. So bars and stars are escaped, two columns become a definition list,
and an indented block of its own becomes a literal block. Google's sections are napoleon's work.
"""

import inspect
import re

QUOTED = re.compile(r"(``.+?``|`[^`]+`)")
COLUMNS = re.compile(r"(\w+) {2,}(\S.*)")
SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")


def restructured(lines):
    """Return a docstring's lines as reStructuredText, all but the Google sections."""
    out, before, kind = [], "", "prose"
    for line in lines:
        indented = line.startswith(" ")
        if line.strip() and not indented:
            columns = COLUMNS.fullmatch(line)
            kind = "section" if SECTION.match(line) else "columns" if columns else "prose"
        elif indented and not before.strip() and kind in ("prose", "columns"):
            out += ["::", ""]
            kind = "literal"
        if kind == "literal":
            out.append(line)
        elif kind == "columns" and not indented and line.strip():
            out += [columns[1], "    " + escaped(columns[2])]
        elif kind == "columns" and line.strip():
            out.append("    " + escaped(line.strip()))
        else:
            out.append(escaped(line))
        before = line
    return out


def escaped(line):
    """Return the line with bars and stars escaped, outside quotes."""
    parts = QUOTED.split(line)
    return "".join(p if p.startswith("`") else re.sub(r"([|*])", r"\\\1", p) for p in parts)


def setup(app):
    """Have every docstring rewritten, before napoleon (priority 500) reads it."""

    def rewrite(app, what, name, obj, options, lines):
        lines[:] = restructured(lines)

    def skip(app, what, name, obj, skip, options):
        """Leave out a named tuple's fields, and what comes from another library."""
        ours = (getattr(obj, "__module__", None) or "").startswith("course_utils")
        foreign = inspect.isroutine(obj) and not ours
        unnamed = (obj.__doc__ or "").startswith("Alias for field number")
        return True if foreign or unnamed else None

    app.connect("autodoc-process-docstring", rewrite, priority=400)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
