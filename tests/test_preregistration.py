"""A trial on a tiny scale: what is fixed stays fixed, verdicts keep their rule, reports add up."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from comparing import assert_close
from scipy.stats import ttest_rel

from course_utils.training import preregistration, study
from course_utils.training.image_metrics import MEASURES
from course_utils.training.preregistration import Hypothesis, Trial, register, verdict, write_up
from course_utils.training.study import Plan, Summary
from course_utils.weightings import Weighting, sigmoid

TINY = Plan(n_steps=2, width=8, n_blocks=1, n_samples=30, sampler_steps=2, n_levels=2, bootstraps=2)
W = sigmoid(1)


def hypothesis(**changes):
    fields = dict(claim="it is so", measure="eta0.frechet", direction="lower", versus="sigmoid_2")
    return Hypothesis(**(fields | dict(by=0.3, seeds=(0, 1, 2)) | changes))


def result(name, seed, shift=0.0, machine="this one", **changes):
    """A run's result in which every measure is known: ``seed`` / 10 + ``shift``."""
    value = [seed / 10 + shift, 0.1]
    found = {"weighting": name, "seed": seed, "machine": machine, "bits": {"total": value}}
    for eta in ("eta0", "eta1"):
        found[eta] = dict.fromkeys(MEASURES, value)
    return found | changes


def pretend(shift):
    """Stands for training: own runs are better by ``shift`` and a little by seed."""

    def one(plan, name, seed, w=None):
        wobble = {0: 0.1, 1: -0.1, 2: 0.0}.get(seed, 0.0)
        return result(name, seed, 0.0 if w is None else wobble - shift)

    return one


@pytest.fixture
def untrained(monkeypatch):
    """Runs cost nothing; returns the list of those that were made."""
    made = []

    def one(plan, name, seed, w=None):
        made.append((name, seed))
        return pretend(1.0)(plan, name, seed, w)

    monkeypatch.setattr(study, "run", one)
    return made


# --- the hypothesis -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"claim": " "}, "claim is empty"),
        ({"measure": "eta0.frechett"}, "did you mean 'eta0.frechet'"),
        ({"measure": "bits_train"}, "training images"),
        ({"direction": "better"}, "unknown direction"),
        ({"versus": "sigmoid2"}, "did you mean 'sigmoid_2'"),
        ({"by": -0.1}, "at least 0"),
        ({"by": float("nan")}, "by must be one finite number, got nan"),
        ({"seeds": (3,)}, "at least 2"),
        ({"seeds": (3, 3)}, "different"),
        ({"seeds": (-1, 3)}, "from 0 to .*got -1"),
    ],
)
def test_a_vague_hypothesis_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        hypothesis(**changes)


def test_it_says_what_it_claims():
    said = str(hypothesis(seeds=range(5, 9)))
    assert said == (
        "eta0.frechet of my weighting is lower than that of sigmoid_2, by at least 0.3, "
        "over seeds 5 to 8"
    )
    assert "by any amount" in str(hypothesis(by=0.0))


def test_the_key_changes_with_everything_that_is_fixed(tmp_path):
    base = Trial(hypothesis(), W, TINY, tmp_path)
    changes = dict(claim="no", measure="bits.total", direction="higher", versus="p2", by=0.1)
    others = [replace(base, hypothesis=hypothesis(**{k: v})) for k, v in changes.items()]
    others += [replace(base, hypothesis=hypothesis(seeds=(0, 1))), replace(base, plan=Plan())]
    others += [replace(base, w=sigmoid(1.01))]
    assert len({base.key, *(other.key for other in others)}) == 9
    same = Weighting(lambda s: 7 * W(s), "another name")  # a factor is no other weighting
    assert replace(base, w=same).key == base.key


@pytest.mark.parametrize("w", [lambda s: -1 + 0 * s, lambda s: 0 * s, lambda s: np.nan * s])
def test_an_improper_weighting_is_refused(w, tmp_path):
    with pytest.raises(ValueError):
        register(hypothesis(), w, TINY, tmp_path)
    assert not list(tmp_path.iterdir())


# --- fixing ---------------------------------------------------------------------------------------


def test_before_any_run_one_may_change_one_s_mind(tmp_path, untrained):
    register(hypothesis(), W, TINY, tmp_path)
    changed = register(hypothesis(by=0.1), W, TINY, tmp_path)
    assert changed.judge(changed.run()).trial.hypothesis.by == 0.1


def test_after_its_results_a_hypothesis_is_refused(tmp_path, untrained):
    first = register(hypothesis(), W, TINY, tmp_path)
    first.run()
    with pytest.raises(ValueError, match=r"by was 0\.3, now 0\.1.*range\(3, 6\)"):
        register(hypothesis(by=0.1), W, TINY, tmp_path)
    with pytest.raises(ValueError, match=r"seeds 2 .*measure was 'eta0.frechet', now 'bits.total'"):
        register(hypothesis(measure="bits.total", seeds=(2, 7)), W, TINY, tmp_path)
    assert register(hypothesis(), W, TINY, tmp_path).key == first.key  # the same goes on
    register(hypothesis(by=0.1, seeds=range(3, 6)), W, TINY, tmp_path)  # fresh seeds
    register(hypothesis(by=0.1), sigmoid(0.5), TINY, tmp_path)  # another weighting
    register(hypothesis(by=0.1), W, replace(TINY, n_steps=3), tmp_path)  # another plan


def test_one_run_is_enough_to_have_seen(tmp_path, monkeypatch):
    first = register(hypothesis(), W, TINY, tmp_path)
    interrupted = pretend(0.0)

    def breaks(plan, name, seed, w=None):
        if seed == 1:
            raise KeyboardInterrupt
        return interrupted(plan, name, seed, w)

    monkeypatch.setattr(study, "run", breaks)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    with pytest.raises(ValueError, match="comes after its results"):
        register(hypothesis(direction="higher"), W, TINY, tmp_path)


def test_what_was_not_fixed_neither_runs_nor_is_judged(tmp_path, untrained):
    fixed = register(hypothesis(), W, TINY, tmp_path)
    runs = fixed.run()
    smuggled = replace(fixed, hypothesis=hypothesis(by=0.0))
    for forbidden in (smuggled.run, lambda: smuggled.judge(runs)):
        with pytest.raises(ValueError, match="was not fixed"):
            forbidden()
    [seal] = (tmp_path / "hypotheses").iterdir()
    record = json.loads(seal.read_text())
    record["hypothesis"]["by"] = 0.1
    seal.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="was not fixed"):
        fixed.judge(runs)


def test_runs_resume_and_share_the_comparator(tmp_path, untrained):
    first = register(hypothesis(), W, TINY, tmp_path)
    assert len(first.run()) == 6 and len(untrained) == 6 and len(first.finished) == 6
    untrained.clear()
    assert len(first.run()) == 6 and untrained == []
    second = register(hypothesis(), sigmoid(0.5), TINY, tmp_path)
    second.run()
    assert {name for name, _ in untrained} == {second.own}


# --- judging --------------------------------------------------------------------------------------

VERDICTS = [  # low, high, direction, by
    ((-0.9, -0.4), "lower", 0.3, "supported"),
    ((-0.9, -0.2), "lower", 0.3, "undecided"),
    ((-0.25, -0.1), "lower", 0.3, "not supported"),
    ((-0.25, -0.1), "lower", 0.0, "supported"),
    ((0.2, 0.9), "lower", 0.0, "not supported"),
    ((0.4, 0.9), "higher", 0.3, "supported"),
    ((0.2, 0.9), "higher", 0.3, "undecided"),
    ((0.1, 0.25), "higher", 0.3, "not supported"),
    ((-0.9, -0.4), "higher", 0.0, "not supported"),
]


@pytest.mark.parametrize(("ends", "direction", "by", "expected"), VERDICTS)
def test_the_verdict_follows_its_rule(ends, direction, by, expected):
    low, high = ends
    assert verdict(Summary((low + high) / 2, low, high, 5), direction, by) == expected


def test_a_finding_is_the_paired_interval(tmp_path, untrained):
    fixed = register(hypothesis(), W, TINY, tmp_path)
    finding = fixed.judge(fixed.run())
    a, b = np.array([-0.9, -1.0, -0.8]), np.array([0.0, 0.1, 0.2])
    interval = ttest_rel(a, b).confidence_interval(0.95)
    found = finding.difference
    assert_close([found.mean, found.low, found.high], [-1, interval.low, interval.high], atol=1e-12)
    assert finding.verdict == "supported"
    with pytest.raises(ValueError, match="let trial"):
        fixed.judge(fixed.run()[:-1])
    with pytest.raises(ValueError, match="let trial"):
        fixed.judge([*fixed.run(), result("sigmoid_2", 0)])


def test_runs_of_two_machines_do_not_pair(tmp_path, untrained):
    fixed = register(hypothesis(), W, TINY, tmp_path)
    runs = fixed.run()
    runs[-1] = runs[-1] | {"machine": "another"}
    with pytest.raises(ValueError, match="another and this one"):
        fixed.judge(runs)


def test_expected_reach_is_that_of_the_stored_spreads():
    results = {"runs": []}
    rng = np.random.default_rng(0)
    table = rng.normal(size=(3, 5))
    for name, row in zip(("elbo", "p2", "sd3"), table, strict=True):
        results["runs"] += [result(name, seed, value) for seed, value in enumerate(row)]
    spread = np.sqrt(np.mean([np.var(table[k] - table[1], ddof=1) for k in (0, 2)]))
    found = preregistration.expected_reach("bits.total", "p2", 5, results)
    assert found == pytest.approx(2.7764451 * spread / np.sqrt(5), rel=1e-6)
    assert preregistration.expected_reach("bits.total", "p2", 10, results) < found / 1.5
    with pytest.raises(ValueError, match="'p2'"):
        preregistration.expected_reach("bits.total", "p3", 5, results)
    with pytest.raises(ValueError, match="at least 2"):
        preregistration.expected_reach("bits.total", "p2", 1, results)


# --- reporting ------------------------------------------------------------------------------------


def test_a_report_says_all_of_it(tmp_path, untrained):
    fixed = register(hypothesis(), W, TINY, tmp_path)
    finding = fixed.judge(fixed.run())
    text = str(write_up(finding, reason="a reason", not_shown=["something else"]))
    assert "**supported**" in text and fixed.key in text and "a reason" in text
    assert "- something else" in text and "sigmoid, b = 1 (monotone)" in text
    for measure, (_, _, difference) in preregistration.compared(finding).items():
        [row] = [line for line in text.splitlines() if line.strip("|* ").startswith(measure)]
        assert f"{difference.mean:+.3f}" in row
        assert ("**" in row) == (measure == "eta0.frechet")
        assert row.endswith("| – |")  # the study's floor is that of 500 images, these are 30
    assert "which has another plan" in text and "luck among" not in text
    others = [register(hypothesis(by=by), sigmoid(0.5), TINY, tmp_path) for by in (0.1, 0.2)]
    assert "luck among" not in str(write_up(finding, reason="a reason"))  # not run: not tested
    others[1].run()  # the first was replaced by it: one trial
    assert "luck among 2 trials" in str(write_up(finding, reason="a reason"))
    write_up(finding, reason="a reason").save(tmp_path / "report.md")
    assert (tmp_path / "report.md").read_text(encoding="utf-8").endswith("of them.\n")
    with pytest.raises(ValueError, match="reason is empty"):
        write_up(finding, reason="")


def test_an_undecided_report_asks_for_more_seeds(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "run", pretend(0.3))
    fixed = register(hypothesis(), W, TINY, tmp_path)
    finding = fixed.judge(fixed.run())
    assert finding.verdict == "undecided"
    assert "more seeds" in str(write_up(finding, reason="a reason"))


# --- the network, and the example -----------------------------------------------------------------


def test_a_trial_trains_and_another_weighting_gives_other_numbers(tmp_path):
    pytest.importorskip("torch")
    fixed = register(hypothesis(seeds=(0, 1)), W, TINY, tmp_path)
    runs = fixed.run()
    assert {(r["weighting"], r["seed"]) for r in runs} == fixed.finished
    assert len({r["machine"] for r in runs}) == 1
    finding = fixed.judge(runs)
    assert all(a["bits"] != b["bits"] for a, b in zip(finding.own, finding.others, strict=True))
    [again] = [r for r in runs if (r["weighting"], r["seed"]) == (fixed.own, 1)]
    alone = study.run(TINY, fixed.own, 1, W)
    assert {k: again[k] for k in ("bits", "eta0", "eta1")} == {
        k: alone[k] for k in ("bits", "eta0", "eta1")
    }


def test_runs_trained_at_once_are_the_same_trial(tmp_path):
    pytest.importorskip("torch")
    fixed = register(hypothesis(seeds=(0, 1)), W, TINY, tmp_path)
    together = fixed.judge(fixed.run(batched=4))
    assert {r["together"] for r in (*together.own, *together.others)} == {4}
    alone = study.run(TINY, fixed.own, 1, W)
    assert study.value_of(together.own[1], "bits.total") == pytest.approx(
        study.value_of(alone, "bits.total"), rel=1e-4
    )


def test_own_names_cannot_hide_a_weighting_of_the_study(tmp_path):
    with pytest.raises(ValueError, match="another name"):
        next(study.run_all(TINY, ["elbo"], [0], tmp_path, own={"elbo": W}))


def test_the_command_makes_the_examples(tmp_path, untrained, capsys, monkeypatch):
    preregistration.main(["--runs", str(tmp_path / "runs"), "--out", str(tmp_path), "--steps", "2"])
    assert len(capsys.readouterr().out.splitlines()) == 40
    stored = preregistration._stored(tmp_path)
    monkeypatch.setattr(preregistration, "_stored", lambda: stored)
    folder = tmp_path / "folder"
    for h, w in preregistration.examples():
        example = register(h, w, Plan(n_steps=2), folder)
        assert example.stored and len(example.run()) == 20 and len(example.finished) == 20
        assert example.judge(example.run()).difference.seeds == 10
        with pytest.raises(ValueError, match=rf"by was {h.by}, now 0\.5"):
            register(replace(h, by=0.5), w, Plan(n_steps=2), folder)
    assert not folder.exists()


def test_reports_name_the_floor_where_it_is_the_right_one(tmp_path):
    h, w = preregistration.examples()[0]
    example = register(h, w, folder=tmp_path)
    text = str(write_up(example.judge(example.run()), reason="a reason"))
    floor = study.load_results()["floor"]
    [row] = [line for line in text.splitlines() if line.startswith("| eta1.recall")]
    assert row.endswith(f"| {floor['recall'][0]:.3f} |")


def test_the_stored_examples_are_those_of_the_code(tmp_path):
    for h, w in preregistration.examples():
        example = register(h, w, folder=tmp_path)
        assert example.stored, "run python -m course_utils.training.preregistration again"
        finding = example.judge(example.run())
        assert finding.difference.seeds == 10
        assert study.sheet(finding.own[0], 0).shape == (12, 8, 8)
        for r in (*finding.own, *finding.others):
            assert 1 < study.value_of(r, "bits.total") < 4.09
    assert len((study.DATA / preregistration.STORED).read_bytes()) < 120_000


def test_the_notebook_fixes_the_stored_examples(tmp_path):
    """Otherwise its cells would train twenty networks each."""
    path = next((Path(__file__).parent.parent / "notebooks").glob("08_*.ipynb"))
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    printed = "".join(
        line for c in cells for o in c.get("outputs", []) for line in o.get("text", [])
    )
    for h, w in preregistration.examples():
        assert str(Trial(h, w, Plan(), tmp_path)) in printed
