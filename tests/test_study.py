"""The study on a tiny scale: it resumes, spreads over processes, stores and sums up."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from comparing import assert_close
from dask.distributed import LocalCluster
from idx_files import write_idx_set

from course_utils.training import study
from course_utils.training.image_metrics import MEASURES, metrics_for
from course_utils.training.study import Plan, compare, run_all, summary, table, value_of

TINY = Plan(n_steps=3, width=8, n_blocks=1, n_samples=30, sampler_steps=3, n_levels=2, bootstraps=3)
NAMES, SEEDS = ("elbo", "p2"), (0, 1)


def pretend(plan, name, seed):
    """Stands for ``study.run`` where only the order of runs matters."""
    return {"weighting": name, "seed": seed, "bits": {"total": [seed + len(name) / 10, 0.1]}}


@pytest.fixture(scope="module")
def tiny_runs(tmp_path_factory):
    pytest.importorskip("torch")
    return list(run_all(TINY, NAMES, SEEDS, tmp_path_factory.mktemp("runs")))


def without_times(runs):
    ordered = sorted(runs, key=lambda r: (r["weighting"], r["seed"]))
    return [{k: v for k, v in r.items() if k != "seconds"} for r in ordered]


# --- interruption and resuming --------------------------------------------------------------------


def test_an_interrupted_study_keeps_what_was_finished(tmp_path):
    asked = []

    def breaks(plan, name, seed):
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append((name, seed))
        return pretend(plan, name, seed)

    with pytest.raises(KeyboardInterrupt):
        list(run_all(TINY, NAMES, range(4), tmp_path, action=breaks))
    first = list(asked)
    asked.clear()

    def counts(plan, name, seed):
        asked.append((name, seed))
        return pretend(plan, name, seed)

    results = list(run_all(TINY, NAMES, range(4), tmp_path, action=counts))
    assert len(first) == 3 and len(asked) == 5 and not set(first) & set(asked)
    assert {(r["weighting"], r["seed"]) for r in results} == set(first) | set(asked)
    assert len(results) == 8
    list(run_all(TINY, NAMES, range(4), tmp_path, action=breaks))  # nothing left: nothing breaks


def test_a_half_written_run_is_done_again(tmp_path):
    folder = tmp_path / TINY.key
    folder.mkdir()
    (folder / "elbo-0.json.part").write_text('{"weighting": "el')
    [result] = run_all(TINY, ["elbo"], [0], tmp_path, action=pretend)
    assert json.loads((folder / "elbo-0.json").read_text()) == result
    assert not list(folder.glob("*.part"))


def test_other_settings_are_other_runs(tmp_path):
    list(run_all(TINY, ["elbo"], [0], tmp_path, action=pretend))
    other = Plan(n_steps=4)
    assert other.key != TINY.key == Plan(**vars(TINY)).key
    asked = []
    list(run_all(other, ["elbo"], [0], tmp_path, action=lambda *a: asked.append(a) or pretend(*a)))
    assert len(asked) == 1


def test_a_plan_keeps_its_key_when_settings_are_added():
    """Or finished runs would be made again, and the stored study be another one's."""
    assert Plan().key == "2466d958c843" and TINY.key == "6ef7547fa88d"
    plans = [Plan(), Plan(data="fashion"), Plan(skip=True), Plan(data="fashion", skip=True)]
    assert len({plan.key for plan in plans}) == 4
    assert all(Plan(**plan.settings()) == plan for plan in plans)
    assert "data" not in Plan().settings() and plans[1].settings()["data"] == "fashion"
    with pytest.raises(ValueError, match="'fashion'"):
        Plan(data="fashio")


def test_a_batch_that_breaks_keeps_the_runs_it_finished(tmp_path):
    asked = []

    def breaks(plan, tasks):
        asked.append(tasks)
        for done, task in enumerate(tasks):
            if (len(asked), done) == (2, 1):
                raise KeyboardInterrupt
            yield pretend(plan, *task)

    with pytest.raises(KeyboardInterrupt):
        list(run_all(TINY, NAMES, range(4), tmp_path, batched=3, action=breaks))
    assert [len(tasks) for tasks in asked] == [3, 3]
    assert len(list((tmp_path / TINY.key).iterdir())) == 4
    before = {task for tasks in asked for task in tasks[: 3 if tasks is asked[0] else 1]}
    results = list(run_all(TINY, NAMES, range(4), tmp_path, batched=3, action=breaks))
    again = [task for tasks in asked[2:] for task in tasks]
    assert [len(tasks) for tasks in asked[2:]] == [3, 1] and not before & set(again)
    assert {(r["weighting"], r["seed"]) for r in results} == before | set(again)
    with pytest.raises(ValueError, match="batched"):
        next(run_all(TINY, NAMES, [0], tmp_path, batched=0))


def test_an_unknown_weighting_is_named_before_anything_runs(tmp_path):
    with pytest.raises(ValueError, match="'min_snr'"):
        next(run_all(TINY, ["minsnr"], [0], tmp_path))
    assert not list(tmp_path.iterdir())


# --- one run --------------------------------------------------------------------------------------


def test_a_run_holds_what_it_promises(tiny_runs):
    one = tiny_runs[0]
    assert one["weighting"] == "elbo" and one["seed"] == 0
    terms = [one["bits"][term][0] for term in study.BITS]
    assert terms[0] == pytest.approx(sum(terms[1:]), abs=1e-4)
    assert terms[0] > 1 and terms[1] < 1e-3  # nothing is learnt in three steps, but x_1 is noise
    assert len(one["noise_error"]) == len(TINY.curve)
    for eta in ("eta0", "eta1"):
        assert all(len(one[eta][m]) == 2 for m in MEASURES)
        assert one[eta]["frechet"][0] > 5 > one[eta]["precision"][0] >= 0
    assert study.sheet(one, 0).shape == (12, 8, 8) and study.sheet(one).max() <= 16
    assert min(one["seconds"].values()) > 0
    assert len(json.dumps(one)) < 6000


def test_a_seed_gives_the_same_run_and_another_seed_another(tiny_runs):
    again = study.run(TINY, "p2", 1)
    [same] = [r for r in tiny_runs if r["weighting"] == "p2" and r["seed"] == 1]
    assert without_times([again]) == without_times([same])
    [other] = [r for r in tiny_runs if r["weighting"] == "p2" and r["seed"] == 0]
    assert other["bits"] != same["bits"] and other["sheets"] != same["sheets"]


def test_a_weighting_of_one_s_own(tiny_runs):
    mine = study.run(TINY, "mine", 0, w=lambda log_snr: np.ones_like(log_snr))
    assert {**mine, "weighting": "elbo"}["bits"] == tiny_runs[0]["bits"]
    with pytest.raises(ValueError, match="unknown weighting"):
        study.run(TINY, "mine", 0)


def numbers(run):
    """Those of a run that are continuous in the weights."""
    frechet = [run[eta]["frechet"][0] for eta in ("eta0", "eta1")]
    return np.array(
        [run["bits"]["diffusion"][0], run["bits_train"][0], *run["noise_error"], *frechet]
    )


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.full)])
def test_batched_runs_are_the_runs_alone(tiny_runs, tmp_path, jobs):
    found = list(run_all(TINY, NAMES, SEEDS, tmp_path, batched=3, jobs=jobs))
    assert sorted(r["together"] for r in found) == [1, 3, 3, 3]
    assert len(list((tmp_path / TINY.key).iterdir())) == 4
    for run in found:
        assert run.keys() == tiny_runs[0].keys()
        off = {
            (r["weighting"], r["seed"]): np.abs(numbers(run) / numbers(r) - 1).max()
            for r in tiny_runs
        }
        own = off.pop((run["weighting"], run["seed"]))
        assert own < 1e-4 < 1e-3 < min(off.values())  # a swap would be seen


def test_a_batch_takes_weightings_of_one_s_own(tiny_runs):
    own = ("mine", 0, lambda log_snr: np.ones_like(log_snr))
    mine, p2 = study.run_together(TINY, [own, ("p2", 1)])
    assert mine["weighting"] == "mine" and p2["together"] == 2
    assert mine["bits"]["total"] == pytest.approx(tiny_runs[0]["bits"]["total"], rel=1e-5)


def test_batches_spread_over_processes(tmp_path):
    one = telling_its_process()

    def action(plan, tasks):
        return [one(plan, *task) | {"tasks": len(tasks)} for task in tasks]

    spread = list(run_all(TINY, NAMES, range(3), tmp_path, jobs=2, batched=4, action=action))
    assert sorted(r["tasks"] for r in spread) == [2, 2, 4, 4, 4, 4]
    assert os.getpid() not in {r["process"] for r in spread}


def telling_its_process():
    def action(plan, name, seed):  # a local function goes to another process by value
        return {"weighting": name, "seed": seed, "process": os.getpid()}

    return action


def test_runs_spread_over_processes(tmp_path):
    spread = list(run_all(TINY, NAMES, range(3), tmp_path, jobs=2, action=telling_its_process()))
    assert {(r["weighting"], r["seed"]) for r in spread} == {
        (n, s) for n in NAMES for s in range(3)
    }
    assert os.getpid() not in {r["process"] for r in spread}
    assert len(list((tmp_path / TINY.key).iterdir())) == 6


@pytest.mark.full
def test_processes_find_the_same(tiny_runs, tmp_path):
    spread = list(run_all(TINY, NAMES, SEEDS, tmp_path, jobs=2))
    assert without_times(spread) == without_times(tiny_runs)


def test_a_dask_cluster_finds_the_same(tiny_runs, tmp_path):
    with LocalCluster(1, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        assert address.startswith("tcp://")
        [told] = run_all(
            TINY, ["sd3"], [0], tmp_path, scheduler=address, action=telling_its_process()
        )
        spread = list(run_all(TINY, NAMES, SEEDS, tmp_path, scheduler=address))
    assert told["process"] != os.getpid()
    assert without_times(spread) == without_times(tiny_runs)


# --- 28×28 images ---------------------------------------------------------------------------------

TINY_FASHION = replace(TINY, data="fashion", skip=True, log_snr_max=11.5, held_out=60)


def check_fashion_study(folder):
    """Two weightings, from training to the table: every measure of 784 pixels, 256 grey levels."""
    runs = list(run_all(TINY_FASHION, NAMES, SEEDS, folder))
    study.write_results(TINY_FASHION, runs, folder)
    results, sheets = (load(folder, "fashion") for load in (study.load_results, study.load_sheets))
    assert results["about"].startswith("Fashion-MNIST, 28×28")
    assert Plan(**results["plan"]) == TINY_FASHION and results["curve_log_snr"][-1] == 11
    assert not (folder / "study_digits.json").exists()
    for run in results["runs"]:
        # nothing is learnt in three steps: ε̂ = σ z has the prior's variance, and x has about 1
        assert run["bits"]["diffusion"][0] == pytest.approx(11, abs=3)
        assert 0.4 < run["bits"]["reconstruction"][0] < 0.7  # noise of 0.4 grey levels
        assert all(0 <= run[eta][m][0] <= 1 for eta in ("eta0", "eta1") for m in MEASURES[1:])
        assert run["eta1"]["frechet"][0] > 3 * results["floor"]["frechet"][0] > 0
    assert sheets["p2", 0.0].shape == (24, 28, 28) and sheets["p2", 0.0].max() > 16
    assert len(table(results)) == 4


@pytest.fixture
def fashion_folder(tmp_path, monkeypatch):
    """Digits, three times as large, in files such as Fashion-MNIST's."""
    write_idx_set(tmp_path)
    monkeypatch.setenv("FASHION_MNIST", str(tmp_path))
    metrics_for.cache_clear()
    yield tmp_path
    metrics_for.cache_clear()


def test_a_study_of_larger_images(fashion_folder):
    check_fashion_study(fashion_folder)


@pytest.mark.full
@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").is_dir(),
    reason="Debian's package dataset-fashion-mnist is not installed",
)
def test_a_study_of_clothes(tmp_path, monkeypatch):
    monkeypatch.delenv("FASHION_MNIST", raising=False)
    metrics_for.cache_clear()
    check_fashion_study(tmp_path)
    assert metrics_for("fashion", 60).train.shape == (60_000, 784)


# --- the yardstick --------------------------------------------------------------------------------


def test_real_images_are_at_the_floor_and_others_are_not():
    yardstick = metrics_for("digits", 500)
    assert yardstick.accuracy > 0.94
    floor = yardstick.floor(500, repeats=8)
    assert abs(floor["memorised"][0] - 0.5) < 0.06
    assert floor["precision"][0] > 0.85 and floor["recall"][0] > 0.85
    rng = np.random.default_rng(0)
    train = yardstick.train
    copies = yardstick.measure(train[:500], 2, rng)
    assert copies["memorised"][0] == 1
    noisy = yardstick.measure(train[-500:] + rng.standard_normal((500, 64)), 2, rng)
    mean, spread = floor["frechet"]
    assert noisy["frechet"][0] > mean + 6 * spread
    assert noisy["precision"][0] < floor["precision"][0] - 0.1
    threes = yardstick.measure(train[-40:].repeat(12, axis=0), 2, rng)
    assert threes["recall"][0] < floor["recall"][0] - 0.3


def test_features_are_those_the_classifier_uses():
    yardstick = metrics_for("digits", 500)
    x = yardstick.held_out[:50]
    scores = yardstick.features(x) @ yardstick.classifier.coefs_[-1]
    scores += yardstick.classifier.intercepts_[-1]
    assert (scores.argmax(axis=1) == yardstick.classifier.predict(x)).all()
    assert yardstick.features(x).shape == (50, 32)


# --- results --------------------------------------------------------------------------------------


def test_results_are_written_small_and_read_back(tiny_runs, tmp_path):
    study.write_results(TINY, tiny_runs, tmp_path)
    results, sheets = study.load_results(tmp_path), study.load_sheets(tmp_path)
    assert results["plan"] == TINY.settings() and results["seeds"] == [0, 1]
    assert {"python", "torch", "numpy"} <= results["versions"].keys()
    assert results["hardware"]["processor"] and results["classifier_accuracy"] > 0.9
    groups = study.by_weighting(results)
    assert list(groups) == ["elbo", "p2"] and [len(g) for g in groups.values()] == [2, 2]
    assert groups["p2"][1]["bits"] in [r["bits"] for r in tiny_runs]
    assert set(sheets) == {(name, eta) for name in NAMES for eta in study.ETAS}
    assert sheets["p2", 1.0].dtype == np.uint8 and sheets["p2", 1.0].shape == (24, 8, 8)
    [of_seed_1] = [r for r in tiny_runs if (r["weighting"], r["seed"]) == ("p2", 1)]
    assert_close(sheets["p2", 1.0][12:], study.sheet(of_seed_1, 1), atol=0)
    assert not list(tmp_path.glob("*.part"))
    lines = table(results)
    assert len(lines) == 4 and lines[1].startswith("elbo") and lines[3].startswith("real")


def test_the_command_runs_a_study(tmp_path, capsys):
    pytest.importorskip("torch")
    words = "--jobs 1 --seeds 1 --steps 2 --samples 30 --weightings elbo"
    folders = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path)]
    assert study.main([*words.split(), *folders]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("1/1 elbo, seed 0:") and err == ""
    assert study.load_results(tmp_path)["plan"]["n_steps"] == 2
    words += " --batched 2 --weightings p2 sd3 elbo"
    assert study.main([*words.split(), *folders]) == 0
    runs = study.by_weighting(study.load_results(tmp_path))
    assert {name: runs[name][0]["together"] for name in runs} == {"elbo": 1, "p2": 2, "sd3": 2}


def test_a_gpu_gets_batches_unasked(monkeypatch, tmp_path):
    asked = []

    def noting(plan, names, seeds, folder, **how):
        asked.append((how["jobs"], how["batched"]))
        return iter(())

    from course_utils.training import networks

    monkeypatch.setattr(study, "run_all", noting)
    monkeypatch.setattr(study, "write_results", lambda *args: None)
    monkeypatch.setattr(study, "load_results", lambda *args: {"runs": [], "floor": {}})
    for gpu in (False, True):
        monkeypatch.setattr(networks, "gpu_is_here", lambda gpu=gpu: gpu)
        for words in ("", "--jobs 3 --batched 4", "--scheduler tcp://there:8786 --batched 0"):
            study.main(words.split())
    assert asked == [(-1, 1), (3, 4), (-1, 0), (1, 10), (3, 4), (-1, 0)]


def run_of(name, seed, total):
    return {"weighting": name, "seed": seed, "bits": {"total": [total, 0.1]}}


def test_intervals_over_seeds_are_students():
    from scipy.stats import ttest_1samp

    values = [2.1, 2.4, 2.2, 2.35, 2.3]
    runs = [run_of("a", i, v) for i, v in enumerate(values)]
    found = summary(runs, "bits.total")
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    assert_close([found.mean, found.low, found.high], [np.mean(values), low, high], atol=1e-12)
    shifted = [run_of("b", i, v - 0.5) for i, v in reversed(list(enumerate(values)))]
    difference = compare(runs, shifted, "bits.total")
    assert_close([difference.low, difference.high], [0.5, 0.5], atol=1e-12)  # paired by seed
    with pytest.raises(ValueError, match="same seeds"):
        compare(runs, shifted[:3], "bits.total")
    with pytest.raises(ValueError, match="at least 2"):
        summary(runs[:1], "bits.total")
    with pytest.raises(ValueError, match=r"'bits\.total'"):
        value_of(runs[0], "bits.totl")


def test_the_stored_study_of_clothes_is_whole_and_small():
    """It is read where Fashion-MNIST is not installed."""
    results, sheets = (load(data="fashion") for load in (study.load_results, study.load_sheets))
    assert Plan(**results["plan"]) == study.PLANS["fashion"]
    assert results["about"].startswith("Fashion-MNIST, 28×28; 2000 steps of 128 images a run")
    groups = study.by_weighting(results)
    assert list(groups) == ["elbo", "sigmoid_2", "edm"] and results["seeds"] == [0, 1, 2]
    for name, runs in groups.items():
        assert [r["seed"] for r in runs] == results["seeds"]
        assert all(3 < r["bits"]["total"][0] < 8 for r in runs)  # 8 is guessing the grey levels
        assert all(r[f"eta{eta:g}"]["precision"][0] > 0.7 for r in runs for eta in study.ETAS)
        assert all(sheets[name, eta].shape == (36, 28, 28) for eta in study.ETAS)
    assert len(sheets) == 6
    files = [study.DATA / f"study_fashion.{kind}" for kind in ("json", "npz")]
    assert sum(len(file.read_bytes()) for file in files) < 200_000


def test_the_stored_study_is_whole_and_small():
    results, sheets = study.load_results(), study.load_sheets()
    groups = study.by_weighting(results)
    assert list(groups) == list(study.WEIGHTINGS)
    assert all([r["seed"] for r in runs] == results["seeds"] for runs in groups.values())
    assert len(results["seeds"]) >= 5
    assert Plan(**results["plan"]) == Plan()
    assert set(sheets) == {(name, eta) for name in groups for eta in study.ETAS}
    assert all(s.shape == (12 * len(results["seeds"]), 8, 8) for s in sheets.values())
    assert all(s.max() <= 16 for s in sheets.values())
    for runs in groups.values():
        for r in runs:
            terms = [r["bits"][term][0] for term in study.BITS]
            assert terms[0] == pytest.approx(sum(terms[1:]), abs=1e-4)
            assert 1 < terms[0] < 4.09  # log₂ 17: no better than guessing the grey levels
            for eta in ("eta0", "eta1"):
                assert r[eta]["frechet"][0] > results["floor"]["frechet"][0] - 1
                assert all(0 <= r[eta][m][0] <= 1 for m in MEASURES[1:])
    files = [study.DATA / f"study_digits.{kind}" for kind in ("json", "npz")]
    assert sum(len(file.read_bytes()) for file in files) < 400_000
