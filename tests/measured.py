"""Where measured numbers are written: between two marks <!-- name --> of a Markdown file."""

import re
from pathlib import Path


def write(path, name, table):
    """Replace what stands between the marks; ValueError where there are none."""
    path, mark = Path(path), f"<!-- {name} -->"
    text = path.read_text(encoding="utf-8")
    new, found = re.subn(f"(?s){mark}.*?{mark}", lambda _: f"{mark}\n\n{table}\n{mark}", text)
    if found != 1:
        raise ValueError(f"{path}: two marks {mark} are wanted")
    path.write_text(new, encoding="utf-8")


def noted(reporter, name):
    """Return what the tests that passed have recorded under a name."""
    passed = reporter.stats.get("passed", [])
    return [value for report in passed for key, value in report.user_properties if key == name]
