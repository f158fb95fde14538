"""The page for practitioners: its examples run as one script, and say what the page says."""

import re
from pathlib import Path

import numpy as np

from course_utils.atlas import objectives

PAGE = (Path(__file__).parent.parent / "docs/practitioners.md").read_text(encoding="utf-8")


def test_the_examples_of_the_page(capsys):
    names = {}
    for code in re.findall(r"(?s)```python\n(.*?)```", PAGE):
        exec(code, names)
    printed = capsys.readouterr().out
    assert "w is not monotone" in printed
    found = dict(
        re.findall(r"(min_snr\w*): (monotone \w+, half of the loss below λ = \S+)", printed)
    )
    assert found["min_snr"] == "monotone False, half of the loss below λ = 0.4"
    for name in ("min_snr_over_snr", "min_snr_plus_one"):
        assert found[name] == "monotone True, half of the loss below λ = -1.5"
    assert float(re.search(r"under ε: differs by (\S+)", printed)[1]) < 1e-12
    assert len(names["pasted"]) == 1000 and np.isclose(np.mean(names["pasted"]), 1)
    handed = names["from_script"](
        betas=names["betas"], prediction="v", coefficient=names["from_hand"]
    )
    assert names["audit"](handed).monotone and not names["audit"](names["script"]).monotone
    names["panel"].close()
    said = re.search(r"(\d+)% is excess over its floor, half of it below λ = (\S+);", printed)
    assert 5 < int(said[1]) < 17 and float(said[2]) > names["script"].levels.steps[500]
    assert "forty-five objectives" in PAGE and len(objectives()) == 45
