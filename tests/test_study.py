"""The study on a tiny scale: it resumes, spreads over processes, stores and sums up."""

import os
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from comparing import assert_close, refuses
from scipy.stats import ttest_rel

from course_utils.training import study
from course_utils.training.image_metrics import BITS, ImageMetrics
from course_utils.training.study import Plan, compare, run_all, summary, table, value_of

TINY = Plan(n_steps=3, along=(2,), width=8, n_blocks=1, n_samples=30, sampler_steps=3, n_levels=2)
NAMES, SEEDS, RUN = ("elbo", "edm"), (0, 1), study.run


def calls(plan, names=NAMES, seeds=SEEDS):
    return [(plan, name, seed) for seed in seeds for name in names]


@pytest.fixture(scope="module")
def tiny_runs(tmp_path_factory):
    pytest.importorskip("torch")
    return list(run_all(calls(TINY), tmp_path_factory.mktemp("runs")))


@pytest.fixture
def pretended(monkeypatch):
    """Runs cost nothing, and the fourth is interrupted; returns the list of those begun."""
    begun = []

    def one(plan, name, seed, w=None, label=None):
        begun.append((name, seed))
        if len(begun) == 4:
            raise KeyboardInterrupt
        made = {"plan": plan.key, "code": study.code(), "steps": plan.n_steps}
        return [made | {"weighting": name, "seed": seed}]

    monkeypatch.setattr(study, "run", one)
    return begun


def numbers(runs):
    """Results in order."""
    results = [result for found in runs for result in found]
    return sorted(results, key=lambda r: (r["weighting"], r["seed"], r["steps"]))


def test_the_queue_begins_with_what_compares():
    asked = study.queue()
    assert len(asked) == len(set(asked)) == 30 + 3 * 5 * 3
    assert [name for _, _, name, _ in asked[:6]] == list(study.COMPARED)
    assert [seed for *_, seed in asked] == sorted(seed for *_, seed in asked)
    few = study.queue("fashion", ["edm"])
    assert few == [("main", study.PLANS["fashion"], "edm", seed) for seed in range(5)]


def test_an_interrupted_study_keeps_what_was_finished(tmp_path, pretended):
    asked = calls(TINY, seeds=range(4))
    with pytest.raises(KeyboardInterrupt):
        list(run_all(asked, tmp_path))
    results = list(run_all(asked, tmp_path))
    assert len(pretended) == 9 and len(set(pretended)) == 8  # the interrupted one again
    assert {(r["weighting"], r["seed"]) for [r] in results} == set(pretended)
    assert len(list(run_all(asked, tmp_path))) == 8 and len(pretended) == 9


def test_damaged_files_other_settings_and_other_code_are_not_taken_for_a_run(
    tmp_path, pretended, monkeypatch
):
    [asked] = calls(TINY, ["elbo"], [0])
    list(run_all([asked], tmp_path))
    [path] = tmp_path.rglob("elbo-0*")
    path.write_text(path.read_text()[:20])
    with pytest.warns(UserWarning, match=rf"{path.name} is damaged"):
        list(run_all([asked], tmp_path))
    list(run_all([(replace(TINY, n_steps=4), *asked[1:])], tmp_path))
    assert len(pretended) == 3
    pretended.clear()
    monkeypatch.setattr(study, "code", lambda: "another")
    [[result]] = run_all([asked], tmp_path)
    assert result["code"] == "another" and len(pretended) == 1


def test_the_code_s_name_follows_its_sources(monkeypatch):
    name, real = study.code(), Path.read_text

    def changed(path, **options):
        return real(path, **options).replace("CHUNK = 60", "CHUNK = 61")

    assert study.code.__wrapped__() == name
    monkeypatch.setattr(Path, "read_text", changed)
    assert study.code.__wrapped__() != name


def test_what_cannot_be_run_or_written_is_said_before_anything_runs(tmp_path, pretended):
    refuses("'min_snr'", RUN, TINY, "minsnr", 0)
    refuses("'fashion'", RUN, replace(TINY, data="fashio"), "elbo", 0)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        next(run_all(calls(TINY), tmp_path / "file"))
    assert not pretended


def test_the_command_says_why_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "RUNS", tmp_path / "file")
    study.RUNS.touch()
    with pytest.raises(SystemExit, match=r"make study: .*Not a directory"):
        study.main([])
    monkeypatch.setattr(study, "run_all", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(SystemExit, match="interrupted: the same command goes on"):
        study.main([])


def test_two_processes_may_write_one_file_at_once(tmp_path, monkeypatch):
    replace = os.replace

    def meanwhile(part, path):
        monkeypatch.setattr(os, "replace", replace)
        monkeypatch.setattr(os, "getpid", lambda: 1)
        study.write_whole(path, "by another")
        replace(part, path)

    monkeypatch.setattr(os, "replace", meanwhile)
    study.write_whole(tmp_path / "file", "mine")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_run_holds_what_it_promises_at_each_budget(tiny_runs):
    assert [[r["steps"] for r in found] for found in tiny_runs] == [[2, 3]] * 4
    first, one = tiny_runs[0]
    assert (one["weighting"], one["seed"], one["code"]) == ("elbo", 0, study.code())
    assert one["plan"] == TINY.key and one["bits"] != first["bits"]
    terms = [one["bits"][term] for term in BITS]
    assert terms[0] == pytest.approx(sum(terms[1:]), abs=1e-4)
    assert len(one["noise_error"]) == len(TINY.curve)
    assert all(isinstance(value_of(one, measure), float) for measure in study.MEASURED)
    assert study.sheet(one, 0).shape == (12, 8, 8) and study.sheet(one).max() <= 16


def test_a_seed_gives_the_same_run_a_shorter_one_its_beginning_and_another_another(tiny_runs):
    [same, other] = [found for found in tiny_runs if found[0]["weighting"] == "elbo"]
    mine = study.run(TINY, "mine", 0, w=lambda log_snr: np.ones_like(log_snr))
    assert numbers([[r | {"weighting": "elbo"} for r in mine]]) == numbers([same])
    [short] = study.run(replace(TINY, n_steps=2, along=()), "elbo", 0)
    assert numbers([[short | {"plan": TINY.key}]]) == numbers([same[:1]])
    assert other[0]["bits"] != same[0]["bits"] and other[0]["sheets"] != same[0]["sheets"]


@pytest.mark.full
def test_processes_and_a_dask_cluster_find_the_same(tiny_runs, tmp_path):
    assert numbers(run_all(calls(TINY), tmp_path / "two", jobs=2)) == numbers(tiny_runs)
    distributed = pytest.importorskip("distributed")
    small = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**small) as cluster:
        there = run_all(calls(TINY), tmp_path, scheduler=cluster.scheduler_address)
        assert numbers(there) == numbers(tiny_runs)
    assert len(list(tmp_path.glob(f"*/*.{study.code()}.json"))) == 4


def test_the_command_stores_a_study_that_is_read_back_and_resumes_it(
    tmp_path, capsys, monkeypatch, tiny_runs
):
    own = {"SEEDS": SEEDS, "AROUND": {}, "PLANS": {"digits": TINY}}
    for name, value in (own | {"DATA": tmp_path, "RUNS": tmp_path / "runs"}).items():
        monkeypatch.setattr(study, name, value)
    monkeypatch.setattr(ImageMetrics, "floor", lambda self, n: {"recall": [0.9, 0.01]})
    for weightings, lines in (["elbo"], 2), (["elbo", "edm", "elbo"], 4):
        study.main(["--jobs", "1", "--weightings", *weightings])
        out, err = capsys.readouterr()
        assert f"1/{lines} elbo, seed 0: " in out and err == ""
    results, sheets = study.load_results(), study.load_sheets()
    assert results["runs_finished_and_asked"] == [4, 4]
    assert [p["setting"] for p in results["plans"].values()] == ["main"]
    for steps in (2, 3):
        groups = study.by_weighting(results, steps)
        assert [(name, len(group)) for name, group in groups.items()] == [("elbo", 2), ("edm", 2)]
        [made] = [r for f in tiny_runs for r in f if r["steps"] == steps and r["seed"] == 1][1:]
        assert groups["edm"][1]["bits"] == made["bits"]
    assert study.by_weighting(results) == groups  # the largest budget
    assert set(sheets) == set(product(NAMES, (2, 3), study.ETAS))
    [first] = [f[1] for f in tiny_runs if (f[0]["weighting"], f[0]["seed"]) == ("edm", 0)]
    assert_close(sheets["edm", 3, 1.0], study.sheet(first, 1))
    _, elbo, _, real = table(results, ["bits.total", "eta1.recall"])
    assert elbo.startswith("elbo ") and real.split()[2:] == ["–", "0.900", "±", "0.010"]
    results["runs"] = [r for r in results["runs"] if (r["weighting"], r["seed"]) != ("edm", 0)]
    assert [len(group) for group in study.by_weighting(results).values()] == [1, 1]  # seed 1


def of_weightings(**values):
    """Results of runs with these bits, seed by seed."""
    made = {"setting": "main", "steps": 9}
    return [
        made | {"weighting": name, "seed": seed, "bits": {"total": value}}
        for name, row in values.items()
        for seed, value in enumerate(row)
    ]


def test_intervals_over_seeds_are_student_s_and_paired():
    values = np.array([2.1, 2.4, 2.2, 2.35, 2.3])
    runs, others = of_weightings(elbo=values), of_weightings(edm=values**2)
    one, pair = summary(runs, "bits.total"), compare(runs, others[::-1], "bits.total")
    for found, x in ((one, values), (pair, values - values**2)):
        half = 2.7764451 * x.std(ddof=1) / np.sqrt(5)
        assert_close(found[:3], x.mean() + half * np.array([0, -1, 1]), atol=1e-7)
    refuses("same seeds", compare, runs, others[:3], "bits.total")
    refuses(r"'bits\.total'", value_of, runs[0], "bits.totl")
    refuses(r"after \[9\] steps, not after 8", study.by_weighting, {"runs": runs}, 8)
    refuses("did you mean 'main'", study.by_weighting, {"runs": runs}, 9, "mian")
    refuses("did you mean 'digits'", study.load_results, "digit")


def test_all_pairs_are_corrected_for_their_number():
    """Holm's p: the k-th smallest of m counts (m − k + 1)-fold, and at least as much as those."""
    rng = np.random.default_rng(0)  # some p are closer than their factors, some times them above 1
    values = {name: rng.normal(0.3 * k, 1.0, 6) for k, name in enumerate("abcd")}
    found = study.all_pairs({"runs": of_weightings(**values)}, "bits.total")
    raw = {(a, b): ttest_rel(values[a], values[b]).pvalue for a, b in combinations("abcd", 2)}
    least = 0.0
    for k, (a, b) in enumerate(sorted(raw, key=raw.get)):
        least = max(least, min(1, (6 - k) * raw[a, b]))
        gap, p = found[a, b]
        assert p == pytest.approx(least)
        assert gap.mean == pytest.approx(np.mean(values[a] - values[b]))


def test_the_stored_study_is_whole_small_of_one_code_and_of_its_plans():
    for data, plan in study.PLANS.items():
        results = study.load_results(data)
        plans = {plan.key: setting for setting, plan, *_ in study.queue(data)}
        assert plans == {key: settings["setting"] for key, settings in results["plans"].items()}
        assert_close(results["curve_log_snr"], plan.curve)
    results, sheets = study.load_results(), study.load_sheets()
    finished, asked = results["runs_finished_and_asked"]
    runs = {}
    for r in results["runs"]:
        runs.setdefault((r["plan"], r["weighting"], r["seed"]), []).append(r)
        assert 1 < value_of(r, "bits.total") < 4.09  # log₂ of the number of grey levels
    assert len({r["code"] for r in results["runs"]}) == 1
    whole = 0
    for (plan, name, seed), found in runs.items():
        settings, steps = results["plans"][plan], [r["steps"] for r in found]
        assert steps == [*settings["along"], settings["n_steps"]][: len(steps)]
        assert all(r["setting"] == settings["setting"] for r in found)
        whole += steps[-1] == settings["n_steps"]
        if (settings["setting"], seed) == ("main", 0):
            assert all(sheets[name, n, 0.0].shape == (12, 8, 8) for n in steps)
    assert whole == finished <= asked
    for steps in (300, 1200, 4800, 19_200):
        groups = study.by_weighting(results, steps)
        assert list(groups) == list(study.COMPARED)
        assert len(groups["elbo"]) >= 2
    sizes = [len((study.DATA / f"study_digits.{kind}").read_bytes()) for kind in ("json", "npz")]
    assert sum(sizes) < 500_000


@pytest.mark.full
def test_the_stored_study_is_what_this_code_makes():
    """Its first 300 steps again: a change of the recipe shows, another processor hardly."""
    results = study.load_results()
    stored = results["runs"][0]
    settings = results["plans"][stored["plan"]] | {"n_steps": stored["steps"], "along": ()}
    plan = Plan(**{k: v for k, v in settings.items() if k != "setting"})
    [again] = study.run(plan, stored["weighting"], stored["seed"])
    for measure in ("bits.total", "bits_train", "eta0.recall", "eta1.precision"):
        assert value_of(again, measure) == pytest.approx(value_of(stored, measure), abs=0.02)
