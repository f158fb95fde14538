"""The study on a tiny scale: it resumes, spreads over processes, stores and sums up."""

import json
import os

import numpy as np
import pytest
from comparing import assert_close
from dask.distributed import LocalCluster

from course_utils import study
from course_utils.study import Plan, compare, run_all, summary, table, value_of
from course_utils.yardstick import MEASURES, yardstick_of

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


# --- the yardstick --------------------------------------------------------------------------------


def test_real_images_are_at_the_floor_and_others_are_not():
    yardstick = yardstick_of("digits", 500)
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
    yardstick = yardstick_of("digits", 500)
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
    with pytest.raises(ValueError, match="'total'"):
        value_of(runs[0], "bits.totl")


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
