"""The study on a tiny scale: it resumes, spreads over processes, stores and sums up."""

import inspect
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from comparing import assert_close
from idx_files import write_idx_set

from course_utils.training import study
from course_utils.training.image_metrics import MEASURES, metrics_for
from course_utils.training.measuring import BITS
from course_utils.training.study import Plan, compare, run_all, summary, table, value_of

TINY = Plan(n_steps=3, width=8, n_blocks=1, n_samples=30, sampler_steps=3, n_levels=2, bootstraps=3)
NAMES, SEEDS = ("elbo", "p2"), (0, 1)


@pytest.fixture(scope="module")
def tiny_runs(tmp_path_factory):
    pytest.importorskip("torch")
    return list(run_all(TINY, NAMES, SEEDS, tmp_path_factory.mktemp("runs")))


@pytest.fixture
def pretended(monkeypatch):
    """Runs cost nothing, and the fourth is interrupted; returns the list of those begun."""
    begun = []

    def one(plan, name, seed, w=None):
        begun.append((name, seed))
        if len(begun) == 4:
            raise KeyboardInterrupt
        return {"weighting": name, "seed": seed, "code": study.code()}

    monkeypatch.setattr(study, "run", one)
    return begun


def numbers(runs):
    """Runs in order, without what differs between two makings of the same."""
    ordered = sorted(runs, key=lambda r: (r["weighting"], r["seed"]))
    return [{k: v for k, v in r.items() if k != "seconds"} for r in ordered]


# --- interruption, resuming, other settings and other code ----------------------------------------


def test_an_interrupted_study_keeps_what_was_finished(tmp_path, pretended):
    with pytest.raises(KeyboardInterrupt):
        list(run_all(TINY, NAMES, range(4), tmp_path))
    assert len(pretended) == 4
    results = list(run_all(TINY, NAMES, range(4), tmp_path))
    assert len(pretended) == 9 and len(set(pretended)) == 8  # the interrupted one again
    assert {(r["weighting"], r["seed"]) for r in results} == set(pretended)
    assert len(list(run_all(TINY, NAMES, range(4), tmp_path))) == 8 and len(pretended) == 9
    assert not list(tmp_path.rglob("*.part"))


def test_runs_of_other_settings_or_other_code_are_not_taken_for_these(
    tmp_path, pretended, monkeypatch
):
    list(run_all(TINY, ["elbo"], [0], tmp_path))
    list(run_all(replace(TINY, n_steps=4), ["elbo"], [0], tmp_path))
    monkeypatch.setattr(study, "code", lambda: "another")
    [result] = run_all(TINY, ["elbo"], [0], tmp_path)
    assert result["code"] == "another" and len(pretended) == 3


def test_the_code_s_name_follows_what_decides_a_run_and_no_comment(monkeypatch):
    names, real = [study.code()], inspect.getsource
    for old, new in (('"""Return', '"""Give'), ("  # ", "  # so: "), ("CHUNK = 40", "CHUNK = 41")):
        changed = partial(lambda old, new, module: real(module).replace(old, new), old, new)
        monkeypatch.setattr(inspect, "getsource", changed)
        study.code.cache_clear()
        names.append(study.code())
    monkeypatch.setattr(study, "version", lambda name: "0")  # of torch and NumPy
    study.code.cache_clear()
    names.append(study.code())
    study.code.cache_clear()
    assert names[0] == names[1] == names[2] and len(set(names)) == 3


def test_plans_keep_the_keys_and_records_they_had():
    """Those of the stored study, and of the trials fixed about it."""
    assert Plan().key == "2466d958c843" and TINY.key == "6ef7547fa88d"
    assert study.PLANS["fashion"].key == "3db3a4f5ae57"
    for plan in (Plan(), Plan(data="fashion"), Plan(data="fashion", skip=True), TINY):
        assert Plan(**plan.settings()) == plan
    assert "data" not in Plan().settings()
    with pytest.raises(ValueError, match="'fashion'"):
        Plan(data="fashio")


def test_what_cannot_be_run_or_written_is_said_before_anything_runs(tmp_path, pretended):
    with pytest.raises(ValueError, match="'min_snr'"):
        next(run_all(TINY, ["minsnr"], [0], tmp_path))
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=r"cannot write to the folder .*choose one of your own"):
        next(run_all(TINY, ["elbo"], [0], tmp_path / "file"))
    assert not pretended


# --- one run --------------------------------------------------------------------------------------


def test_a_run_holds_what_it_promises(tiny_runs):
    one = tiny_runs[0]
    assert (one["weighting"], one["seed"], one["code"]) == ("elbo", 0, study.code())
    terms = [one["bits"][term][0] for term in BITS]
    assert terms[0] == pytest.approx(sum(terms[1:]), abs=1e-4)
    assert terms[0] > 1 and terms[1] < 1e-3  # nothing is learnt in three steps, but x_1 is noise
    assert len(one["noise_error"]) == len(one["noise_error_train"]) == len(TINY.curve)
    assert all(isinstance(value_of(one, measure), float) for measure in study.MEASURED)
    assert study.sheet(one, 0).shape == (12, 8, 8) and study.sheet(one).max() <= 16
    assert min(one["seconds"].values()) > 0 and len(json.dumps(one)) < 6000


def test_a_seed_gives_the_same_run_and_another_seed_another(tiny_runs):
    [same, other] = [r for r in tiny_runs if r["weighting"] == "elbo"]
    mine = study.run(TINY, "mine", 0, w=lambda log_snr: np.ones_like(log_snr))
    assert numbers([mine | {"weighting": "elbo"}]) == numbers([same])
    assert other["bits"] != same["bits"] and other["sheets"] != same["sheets"]


@pytest.mark.full
def test_processes_find_the_same(tiny_runs, tmp_path):
    assert numbers(run_all(TINY, NAMES, SEEDS, tmp_path, jobs=2)) == numbers(tiny_runs)


def test_a_dask_cluster_finds_the_same(tiny_runs, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        there = run_all(TINY, NAMES, SEEDS, tmp_path, scheduler=cluster.scheduler_address)
        assert numbers(there) == numbers(tiny_runs)
    assert len(list(tmp_path.rglob(f"*.{study.code()}.json"))) == 4


# --- 28×28 images ---------------------------------------------------------------------------------


def test_a_study_of_larger_images(tmp_path, monkeypatch):
    """Of digits, three times as large, in files such as Fashion-MNIST's."""
    write_idx_set(tmp_path)
    monkeypatch.setenv("FASHION_MNIST", str(tmp_path))
    metrics_for.cache_clear()
    plan = replace(TINY, data="fashion", skip=True, log_snr_max=11.5, held_out=60)
    runs = list(run_all(plan, NAMES, SEEDS, tmp_path))
    study.write_results(plan, runs, tmp_path)
    metrics_for.cache_clear()
    results, sheets = (
        load(tmp_path, "fashion") for load in (study.load_results, study.load_sheets)
    )
    assert Plan(**results["plan"]) == plan and results["curve_log_snr"][-1] == 11
    for run in results["runs"]:
        # nothing is learnt in three steps: ε̂ = σ z has the prior's variance, and x has about 1
        assert run["bits"]["diffusion"][0] == pytest.approx(11, abs=3)
        assert 0.4 < run["bits"]["reconstruction"][0] < 0.7  # noise of 0.4 grey levels
    assert sheets["p2", 0.0].shape == (24, 28, 28) and sheets["p2", 0.0].max() > 16


# --- results --------------------------------------------------------------------------------------


def test_results_are_written_and_read_back(tiny_runs, tmp_path):
    study.write_results(TINY, tiny_runs, tmp_path)
    results, sheets = study.load_results(tmp_path), study.load_sheets(tmp_path)
    assert results["plan"] == TINY.settings() and results["seeds"] == [0, 1]
    assert {"python", "torch", "numpy"} <= results["versions"].keys()
    groups = study.by_weighting(results)
    assert [(name, len(group)) for name, group in groups.items()] == [("elbo", 2), ("p2", 2)]
    assert groups["p2"][1]["bits"] in [r["bits"] for r in tiny_runs]
    assert set(sheets) == {(name, eta) for name in NAMES for eta in study.ETAS}
    [of_seed_1] = [r for r in tiny_runs if (r["weighting"], r["seed"]) == ("p2", 1)]
    assert_close(sheets["p2", 1.0][12:], study.sheet(of_seed_1, 1))
    lines = table(results)
    assert len(lines) == 4 and lines[1].startswith("elbo") and lines[3].startswith("real")


def test_the_command_runs_a_study_and_resumes_it(tmp_path, capsys):
    pytest.importorskip("torch")
    words = f"--jobs 1 --seeds 1 --steps 2 --samples 30 --runs {tmp_path} --out {tmp_path}"
    for weightings, lines in (("elbo", 1), ("elbo p2", 2)):
        assert study.main([*words.split(), "--weightings", *weightings.split()]) == 0
        out, err = capsys.readouterr()
        assert out.startswith(f"1/{lines} elbo, seed 0:") and err == ""
    results = study.load_results(tmp_path)
    assert results["plan"]["n_steps"] == 2 and list(study.by_weighting(results)) == ["elbo", "p2"]


def test_intervals_over_seeds_are_student_s_and_paired():
    values = np.array([2.1, 2.4, 2.2, 2.35, 2.3])
    runs, others = (
        [{"seed": i, "bits": {"total": [v, 0.1]}} for i, v in enumerate(each)]
        for each in (values, values**2)
    )
    half = 2.7764451 * values.std(ddof=1) / np.sqrt(5)
    found = summary(runs, "bits.total")
    assert_close(found[:3], values.mean() + half * np.array([0, -1, 1]), atol=1e-7)
    d = values - values**2
    half = 2.7764451 * d.std(ddof=1) / np.sqrt(5)
    found = compare(runs, others[::-1], "bits.total")
    assert_close(found[:3], d.mean() + half * np.array([0, -1, 1]), atol=1e-7)
    with pytest.raises(ValueError, match="same seeds"):
        compare(runs, others[:3], "bits.total")
    with pytest.raises(ValueError, match="at least 2"):
        summary(runs[:1], "bits.total")
    with pytest.raises(ValueError, match=r"'bits\.total'"):
        value_of(runs[0], "bits.totl")


STORED = {
    "digits": (list(study.WEIGHTINGS), 5, 8, 4.09),
    "fashion": (["elbo", "sigmoid_2", "edm"], 3, 28, 8),
}


@pytest.mark.parametrize("data", STORED)
def test_the_stored_studies_are_whole_small_and_name_their_code(data):
    names, n, side, guessing = STORED[data]  # log₂ of the number of grey levels
    results, sheets = (load(data=data) for load in (study.load_results, study.load_sheets))
    assert Plan(**results["plan"]) == study.PLANS[data]
    groups = study.by_weighting(results)
    assert list(groups) == names and results["seeds"] == list(range(n))
    assert set(sheets) == {(name, eta) for name in names for eta in study.ETAS}
    assert all(s.shape == (12 * n, side, side) for s in sheets.values())
    for runs in groups.values():
        assert [r["seed"] for r in runs] == results["seeds"]
        for r in runs:
            assert r["code"] and 1 < value_of(r, "bits.total") < guessing
            terms = [r["bits"][term][0] for term in BITS]
            assert terms[0] == pytest.approx(sum(terms[1:]), abs=1e-4)
            assert all(0 <= r[eta][m][0] <= 1 for eta in ("eta0", "eta1") for m in MEASURES[1:])
    sizes = [len((study.DATA / f"study_{data}.{kind}").read_bytes()) for kind in ("json", "npz")]
    assert sum(sizes) < 400_000
