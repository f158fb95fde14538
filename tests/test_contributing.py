"""What the repository's pages say: their code runs, their links and commands lead somewhere."""

import re

import numpy as np
import pytest
from comparing import assert_close
from scipy.special import expit
from serving import ROOT

from course_utils import atlas, datasets, objectives, predictions, samplers, schedules
from course_utils.mixtures import GaussianMixture
from course_utils.samplers import ddim_step, sample
from course_utils.schedules import alpha, discrete_betas, sigma

README = (ROOT / "README.md").read_text(encoding="utf-8")
PRACTICE = (ROOT / "docs/practitioners.md").read_text(encoding="utf-8")
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
(ROW, SCHEDULE, OBJECTIVE, SAMPLER, DATA) = re.findall(r"(?s)```python\n(.*?)```", TEXT)


def run(code, module):
    """Run an example as if it stood at the end of its file; return the names known afterwards."""
    names = dict(vars(module))
    exec(code, names)
    return names


def test_the_first_lines_of_the_readme_count_galaxies(capsys):
    code, printed = re.search(r"(?s)```python\n(.*?)```\n\n```\n(.*?)```", README).groups()
    exec(code, {})
    assert capsys.readouterr().out == printed == "82.0000\n81.0000\n"


def test_the_examples_for_practitioners_run_as_one_script(capsys):
    names = {}
    for code in re.findall(r"(?s)```python\n(.*?)```", PRACTICE):
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
    assert "forty-five objectives" in PRACTICE and len(atlas.objectives()) == 45


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "slides/TEACHING.md"])
def test_links_and_commands_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("http"):
            path, _, anchor = target.partition("#")
            file = (ROOT / name).parent / path if path else ROOT / name
            assert file.exists(), target
            if anchor:
                titles = re.findall(r"(?m)^#+ (.+)$", file.read_text(encoding="utf-8").lower())
                anchors = [re.sub(r"[^\w -]", "", t).strip().replace(" ", "-") for t in titles]
                assert anchor in anchors, target  # as GitHub makes them
    rules = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= set(rules)


def test_one_version_everywhere():
    """The package's, the citation's, and the newest in the list of changes."""
    texts = [(ROOT / n).read_text() for n in ("pyproject.toml", "CITATION.cff", "CHANGELOG.md")]
    patterns = r'^version = "(.*)"$', r"^version: (.*)$", r"^## ([\d.]+)"
    found = {re.search(p, text, re.M)[1] for p, text in zip(patterns, texts, strict=True)}
    assert len(found) == 1


def test_a_parameterization(monkeypatch):
    monkeypatch.setattr(predictions, "NAMES", dict(predictions.NAMES))
    run(ROW, predictions)
    x, noise = np.array([[0.3]]), np.array([[-1.2]])
    z = alpha(1.0) * x + sigma(1.0) * noise
    assert_close(predictions.convert(x - noise, z, 1.0, "x_minus_eps", "eps"), noise, atol=1e-12)


def test_a_schedule():
    schedule = run(SCHEDULE, schedules)["Logistic"](log_snr_min=-10, log_snr_max=10)
    t = np.linspace(0, 1, 101)
    assert_close(schedule.time(schedule.log_snr(t)), t, atol=1e-12)
    assert len(discrete_betas(schedule, 10)) == 10


def test_an_objective():
    entry = run("entries = {" + OBJECTIVE + "}", objectives)["entries"]["debiased"]()
    levels = np.linspace(-8, 8, 33)
    w, expected = entry.implied_weighting()(levels), expit(-levels)
    assert_close(w / w[0], expected / expected[0], atol=1e-12)
    assert type(objectives.PUBLISHED["elbo"]) is type(entry)


def test_a_sampler():
    step = run(SAMPLER, samplers)["straight_step"]
    z, levels = np.random.default_rng(0).standard_normal((5, 1)), np.linspace(-10, 6, 30)
    eps = GaussianMixture.from_data(datasets.galaxies()).eps
    ours, ddim = (sample(eps, levels, z, each) for each in (step, ddim_step))
    assert_close(ours, ddim, atol=1e-10)


def test_a_data_set(monkeypatch):
    monkeypatch.setattr(datasets, "PLANAR", dict(datasets.PLANAR))
    run(DATA, datasets)
    x = datasets.planar_law("cross").sample(2000, np.random.default_rng(0))
    assert x.shape == (2000, 2) and abs(x.var(axis=0).mean() - 1) < 0.1
    run(DATA.replace("0.08", "0.3"), datasets)  # and a second thought is seen
    assert datasets.planar_law("cross").variances[0] == 0.3**2
    datasets.PLANAR["corner"] = ("a corner", lambda: [(0, 0), (1, 0), (0, 1)], 0.1)
    assert datasets.planar_law("corner").dim == 2
