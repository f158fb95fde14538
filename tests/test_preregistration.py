"""A trial on a tiny scale: what is fixed stays fixed, verdicts keep their rule, reports add up."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from comparing import assert_close, refused, refuses
from scipy.stats import ttest_rel

from course_utils.training import preregistration, study
from course_utils.training.image_metrics import MEASURES
from course_utils.training.preregistration import Hypothesis, Result, Trial, register, write_up
from course_utils.training.study import Plan, Summary
from course_utils.weightings import Weighting, sigmoid

TINY = Plan(n_steps=2, width=8, n_blocks=1, n_samples=30, sampler_steps=2, n_levels=2)
W = sigmoid(1)


def hypothesis(**changes):
    fields = dict(claim="it is so", measure="eta0.frechet", direction="lower", versus="sigmoid_2")
    return Hypothesis(**(fields | dict(by=0.3, seeds=(5, 6, 7)) | changes))


def results(plan, name, seed, value):
    """A run's results in which every measure has one value."""
    made = {"plan": plan.key, "code": study.code(), "machine": "this one", "setting": "main"}
    measures = dict.fromkeys(("eta0", "eta1"), dict.fromkeys(MEASURES, value))
    found = {"weighting": name, "seed": seed, "steps": plan.n_steps, "bits": {"total": value}}
    return [made | found | measures]


@pytest.fixture
def fix(tmp_path):
    """Register a hypothesis with some fields changed."""
    return lambda w=W, plan=TINY, **fields: register(hypothesis(**fields), w, plan, tmp_path)


@pytest.fixture
def untrained(monkeypatch):
    """Own runs are better by 1, or what is put in its place, and a little by seed."""
    gain = [1.0]

    def run(plan, name, seed, w=None, label=None):
        better = 0.0 if w is None else gain[0] + {5: -0.1, 6: 0.1}.get(seed, 0.0)
        return results(plan, name, seed, seed / 10 - better)

    monkeypatch.setattr(study, "run", run)
    return gain


test_a_vague_hypothesis_is_refused = refused(
    (lambda: hypothesis(measure="eta0.frechett"), r"did you mean 'eta0\.frechet'"),
    (lambda: hypothesis(versus="sigmoid2"), "did you mean 'sigmoid_2'"),
    (lambda: hypothesis(by=-0.1), "at least 0"),
    (lambda: hypothesis(seeds=(5,)), "at least 2 different"),
    (lambda: hypothesis(seeds=(4, 5)), "seeds 0 to 4 are in the study"),
    (lambda: hypothesis(seeds=(5.5, 6)), "seeds must be whole numbers"),
    (lambda: hypothesis(seeds=7), "seeds must be whole numbers"),
    (lambda: hypothesis(claim=None), "claim must be a sentence"),
)


def test_the_key_changes_with_everything_that_is_fixed(tmp_path):
    base = Trial(hypothesis(), W, TINY, tmp_path)
    changes = dict(claim="no", measure="bits.total", direction="higher", versus="edm", by=0.1)
    others = [replace(base, hypothesis=hypothesis(**{k: v})) for k, v in changes.items()]
    others += [replace(base, hypothesis=hypothesis(seeds=(5, 6))), replace(base, plan=Plan())]
    others += [replace(base, w=sigmoid(1.01))]
    assert len({base.key, *(other.key for other in others)}) == 9
    same = Weighting(lambda s: 7 * W(s), "another name")  # a factor is no other weighting
    assert replace(base, w=same).key == base.key


def test_after_its_results_a_hypothesis_is_refused(fix, tmp_path, untrained):
    for seeds in ((5, 8), (6, 9)):  # before their runs: replaced
        fix(seeds=seeds)
    first = fix()
    assert first.number == 1 and len(first.run()) == 6
    again = r"by was 0\.3, now 0\.1.*range\(8, 11\)"
    for other in ({}, {"w": sigmoid(0.5)}, {"plan": replace(TINY, n_steps=3)}):
        refuses(again, fix, by=0.1, **other)
    for path in tmp_path.glob("*/own_*.json"):  # the comparator's runs remain
        path.unlink()
    refuses(again, fix, by=0.1, w=sigmoid(0.5))
    for path in tmp_path.glob("*/*-[67].*"):  # seed 5 was enough to see it
        path.unlink()
    changed = r"measure was 'eta0.frechet', now 'bits.total'"
    refuses(changed, fix, measure="bits.total", seeds=(7, 10))
    assert fix().key == first.key  # the same goes on
    assert fix(by=0.1, seeds=range(8, 11)).number == 2


def test_what_was_not_fixed_is_not_judged(fix, tmp_path, untrained):
    fixed = fix()
    runs = fixed.run()
    refuses("was not fixed", replace(fixed, hypothesis=hypothesis(by=0.0)).judge, runs)
    refuses("was not fixed", replace(fixed, folder=tmp_path / "elsewhere").judge, runs)
    [seal] = (tmp_path / "hypotheses").iterdir()
    seal.write_text(seal.read_text()[:9])
    with pytest.warns(UserWarning, match=r"001\.json is damaged"):
        refuses("was not fixed", fixed.judge, runs)
    seal.rename(seal.with_name("001 (1).json"))  # as programs that copy files name theirs
    assert fix(seeds=(8, 9)).number == 1


def test_a_folder_that_cannot_be_written_to_and_an_improper_w_are_refused(fix, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        register(hypothesis(), W, TINY, tmp_path / "file")
    for w, words in {
        (lambda s: -1 + 0 * s): "not negative",
        (lambda s: np.nan * s): "finite",
        (lambda s: np.sum(s**2)): "sum or mean over the levels",
        (lambda s: 1.0 * (s > 7)): "w is zero on all levels",
        (lambda s: 3 * sigmoid(2)(s)): "sigmoid_2 itself",
    }.items():
        refuses(words, fix, w)
    assert len(list(tmp_path.iterdir())) == 1
    fix(lambda s: 1.0)  # a constant is no mistake


@pytest.mark.parametrize(
    ("low", "high", "direction", "by", "expected"),
    [
        (-0.9, -0.4, "lower", 0.3, "supported"),
        (-0.9, -0.2, "lower", 0.3, "undecided"),
        (-0.25, -0.1, "lower", 0.3, "not supported"),
        (-0.9, -0.4, "higher", 0.0, "not supported"),
        (0.0, 0.0, "higher", 0.0, "not supported"),  # no difference at all
        (0.3, 0.9, "higher", 0.3, "undecided"),
    ],
)
def test_the_verdict_follows_its_rule(low, high, direction, by, expected):
    trial = Trial(hypothesis(direction=direction, by=by), W, TINY, Path())
    difference = Summary((low + high) / 2, low, high, 5)
    assert Result(trial, [], [], difference).verdict == expected


def test_a_finding_is_the_paired_interval_of_runs_that_pair(fix, untrained):
    fixed = fix()
    runs = fixed.run()
    finding = fixed.judge(runs[3:] + runs[:3])  # in any order
    assert [r["seed"] for r in finding.own] == [r["seed"] for r in finding.others] == [5, 6, 7]
    interval = ttest_rel([-0.4, -0.5, -0.3], [0.5, 0.6, 0.7]).confidence_interval(0.95)
    assert_close(finding.difference[:3], [-1, interval.low, interval.high], atol=1e-12)
    assert finding.verdict == "supported"
    for lacking in (runs[:-1], [*runs[:-1], runs[-1] | {"plan": Plan().key}]):
        refuses("let trial", fixed.judge, lacking)
    for change in ({"machine": "another"}, {"code": "another"}):
        mixed = [*runs[:-1], runs[-1] | change]
        refuses("more than one machine or code, .*another", fixed.judge, mixed)


def test_all_hypotheses_together_mislead_one_time_in_twenty(fix, untrained):
    """However many follow each other on fresh seeds: each has half of the last one's chance."""
    trials = []
    for start in range(5, 25, 4):
        trials.append(fix(seeds=range(start, start + 4)))
        trials[-1].run()
    # of which the half on one side counts
    assert [1 - t.confidence for t in trials] == pytest.approx(0.05 / 2 ** np.arange(5))


def test_expected_reach_is_that_of_the_spreads():
    values = np.random.default_rng(0).normal(size=(3, 5))
    names = ("elbo", "edm", "min_snr")
    runs = [results(TINY, names[k], s, values[k, s])[0] for k in range(3) for s in range(5)]
    spread = np.sqrt(np.mean([np.var(values[k] - values[1], ddof=1) for k in (0, 2)]))
    for n, t in ((5, 2.7764451), (10, 2.2621572)):
        found = preregistration.expected_reach("bits.total", "edm", n, {"runs": runs}, 2)
        assert found == pytest.approx(t * spread / np.sqrt(n), rel=1e-6)


def test_a_report_says_all_of_it(fix, tmp_path, untrained):
    fixed = fix()
    finding = fixed.judge(fixed.run())
    text = write_up(finding, reason="a reason", not_shown=["something else"], results={})
    assert "**supported**" in text and fixed.key in text and "a reason" in text
    assert "- something else" in text and "sigmoid, b = 1 (monotone)" in text
    assert "difference, 95 % interval" in text
    for measure, (_, _, difference) in preregistration.compared(finding).items():
        [row] = [line for line in text.splitlines() if line.strip("|* ").startswith(measure)]
        assert f"{difference.mean:+.3f}" in row
        assert ("**" in row) == (measure == "eta0.frechet")
        assert row.endswith("| – |")  # the study's floor is that of 500 images, these are 30
    assert "another plan" in text and "before it" not in text
    untrained[0] = 0.31
    other = fix(sigmoid(0.5), seeds=(8, 9, 10))
    report = write_up(other.judge(other.run()), reason="<so>\n|", not_shown="that", results={})
    report.save(tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert r"| why | &lt;so&gt; \| |" in text and "\n- that\n" in text
    assert "it is number 2" in text and "difference, 97.5 % interval" in text


def test_the_stored_examples_are_those_of_the_notebook_and_name_their_code(tmp_path):
    """Otherwise its cells would train twenty networks each."""
    path = next((Path(__file__).parent.parent / "notebooks").glob("08_*.ipynb"))
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [o for c in cells for o in c.get("outputs", [])]
    printed = "".join(line for o in outputs for line in o.get("text", []))
    for h, w in preregistration.examples():
        example = register(h, w, folder=tmp_path)
        assert str(example) in printed
        finding = example.judge(example.run())
        assert finding.difference.seeds == 10 and study.sheet(finding.own[0], 0).shape == (12, 8, 8)
        handed_out = example.run()
        handed_out.pop()["eta0"]["frechet"] = np.nan
        assert example.judge(example.run()).difference == finding.difference
        for r in (*finding.own, *finding.others):
            assert r["code"] and 1 < study.value_of(r, "bits.total") < 4.09
        text = write_up(finding, reason="so", not_shown=[], results=study.load_results())
        [row] = [line for line in text.splitlines() if "| eta1.recall" in line]
        assert row.endswith(f"| {study.load_results()['floor']['recall'][0]:.3f} |")
