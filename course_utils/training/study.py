"""The study: what a weighting does to a small network, with budget and recipe on the axes.

    make study                                   resumes where it was interrupted
    make study STUDY_ARGS="--jobs 8"             on eight cores
    make study STUDY_ARGS="--scheduler tcp://…"  on a Dask cluster (pip install distributed)
    make study STUDY_ARGS="--data fashion"       28×28 images, where they are installed

A run is measured along its way, so that one run serves all budgets (see ``Recipe``). Around 4800
steps one factor is changed at a time: how levels are sampled, the learning rate, the width. Runs
of one seed share initial weights, images, noise and the sampler's noise, whatever their weighting.

Every run is a file of its own, in the folder ``.study``. At the end, or where it is interrupted,
``write_results`` puts what is finished into the package, where it is read without torch.
"""

import argparse
import base64
import hashlib
import io
import json
import os
import platform
import re
import sys
import time
import warnings
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import ttest_1samp

from course_utils._checks import require_known
from course_utils.classroom.progress import progress
from course_utils.objectives import PUBLISHED
from course_utils.training.image_metrics import ETAS, MEASURED, ON_SHEET, measured, metrics_for
from course_utils.training.recipe import Recipe
from course_utils.weightings import Weighting, made_monotone, sigmoid

PACKAGE = Path(__file__).parents[1]
DATA = PACKAGE / "data"
RUNS = Path(".study")
SEEDS = range(5)

# --- Which runs ---------------------------------------------------------------------------------

WEIGHTINGS = {
    "elbo": Weighting(lambda log_snr: np.ones_like(log_snr), "ELBO"),
    "sigmoid_2": sigmoid(2),
    "edm": PUBLISHED["edm"].implied_weighting(),
    "edm_monotonic": PUBLISHED["edm_monotonic"].implied_weighting(),
    "min_snr": PUBLISHED["min_snr"].implied_weighting(),
}
WEIGHTINGS["min_snr_monotonic"] = made_monotone(WEIGHTINGS["min_snr"])
COMPARED = tuple(WEIGHTINGS)


@dataclass(frozen=True)
class Plan(Recipe):
    """What all runs of a kind share: the recipe of training, and how the result is measured.

    A run is measured after ``n_steps`` and after each of the steps ``along``. Samples are drawn in
    ``sampler_steps`` steps of equal Δλ between the recipe's levels: above 6 the noise is finer than
    half a grey level. ``data``: a key of ``datasets.IMAGES``.
    """

    along: tuple = ()
    n_samples: int = 500
    sampler_steps: int = 64
    held_out: int = 500
    n_levels: int = 32
    data: str = "digits"

    @property
    def key(self):
        """A short name for these settings."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:12]

    @property
    def curve(self):
        """The 16 levels at which the error is kept."""
        return np.linspace(self.log_snr_min + 0.5, self.log_snr_max - 0.5, 16)


PLANS = {
    "digits": Plan(n_steps=19_200, along=(300, 1200, 4800)),
    # 256 grey levels are 16 times as fine; 784 dimensions are more than the network's width
    "fashion": Plan(n_steps=4000, along=(1000,), data="fashion", log_snr_max=11.5, skip=True),
}
CENTRE = replace(PLANS["digits"], n_steps=4800, along=(1200,))  # one factor at a time is changed
AROUND = {
    "uniform levels": {"levels": "uniform"},
    "own levels": {},  # those of the weighting's own objective
    "half the rate": {"learning_rate": Recipe.learning_rate / 2},
    "twice the rate": {"learning_rate": Recipe.learning_rate * 2},
    "narrow": {"width": 64},
}


def queue(data="digits", names=COMPARED):
    """Return the runs [(setting, plan, weighting, seed)], so ordered that early ones compare.

    Setting "main" is ``PLANS[data]``; those of ``AROUND`` follow after each of three seeds.
    """
    runs = []
    for seed in SEEDS:
        runs += [("main", PLANS[data], name, seed) for name in names]
        for setting, change in AROUND.items() if data == "digits" and seed < 3 else ():
            for name in [n for n in ("elbo", "sigmoid_2", "edm") if n in names]:
                own = {"levels": name.removesuffix("_2")} if setting == "own levels" else {}
                runs.append((setting, replace(CENTRE, **change, **own), name, seed))
    return runs


# --- The runs -----------------------------------------------------------------------------------


def run(plan, name, seed, w=None, label=None):
    """Train with one weighting and seed; return a list of dicts, one each time it was measured.

    ``name`` is a key of ``WEIGHTINGS``, or any name for a weighting ``w`` of your own. Keys of a
    result: weighting, seed, steps; those of ``measured``; plan (its key), code, machine. A
    ``label`` shows progress.
    """
    from course_utils.training.networks import Trained, one_thread, train_steps

    if w is None:
        w = WEIGHTINGS[require_known("weighting of the study", name, COMPARED)]
    x = metrics_for(plan.data, plan.held_out).train
    made = {"plan": plan.key, "code": code(), "machine": _processor()}
    found = []
    with one_thread():
        steps = progress(train_steps(x, w, seed=seed, recipe=plan), plan.n_steps, label)
        for n, (_, average) in enumerate(steps, 1):
            if n == plan.n_steps or n in plan.along:
                one = {"weighting": name, "seed": seed, "steps": n}
                found.append(_rounded(one | measured(plan, Trained(average, plan), seed) | made))
    return found


def _rounded(found):
    """The same dict with floats of six significant digits, for a small file."""
    return json.loads(json.dumps(found), parse_float=lambda text: float(f"{float(text):.6g}"))


def sheet(result, eta=1):
    """Return the kept samples of a run's result, uint8 grey levels [12, side, side]."""
    pixels = np.frombuffer(base64.b64decode(result["sheets"][f"eta{eta:g}"]), np.uint8)
    side = int(np.sqrt(pixels.size / ON_SHEET))
    return pixels.reshape(-1, side, side)


@cache
def code():
    """Return twelve characters that change with the sources and versions that decide a run.

    Whether changed sources still make the same numbers is for the test of the stored study to say.
    """
    theory = ("schedules", "samplers", "predictions", "variance", "weightings", "objectives")
    training = ("training/recipe", "training/networks", "training/image_metrics")
    files = [PACKAGE / f"{name}.py" for name in (*theory, "datasets", *training)]
    parts = [path.read_text(encoding="utf-8") for path in files]
    parts += [version("torch"), version("numpy")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _processor():
    """The processor's name, or the GPU's where torch sees one."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpu = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", cpu.read_text("utf-8")) if cpu.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def run_all(calls, folder, *, jobs=1, scheduler=None):
    """Run what is missing in ``folder``, and yield the results of each run as it is finished.

    ``calls``: the arguments of each ``run``; what is there, made by the same code, comes first.
    ``jobs`` processes of this machine (−1 for all cores; one shows progress in each run), or with
    ``scheduler="tcp://…"`` the workers of a Dask cluster, which need the course and no common disk.
    """
    from joblib import delayed

    def path(plan, name, seed, made_by):
        return Path(folder) / plan / f"{name}-{seed}.{made_by}.json"

    for plan in {plan for plan, *_ in calls}:  # where one may not write, that is said first
        write_whole(Path(folder) / plan.key / "plan.json", json.dumps(asdict(plan), indent=1))
    missing = []
    for number, (plan, name, seed, *own) in enumerate(calls, 1):
        if found := read_json(path(plan.key, name, seed, code())):
            yield found
        else:
            label = f"run {number} of {len(calls)}" if jobs == 1 else None
            missing.append(delayed(run)(plan, name, seed, *own, label=label))
    for found in _spread(missing, jobs, scheduler):
        made = [found[-1][key] for key in ("plan", "weighting", "seed", "code")]
        write_whole(path(*made), json.dumps(found))
        yield found


def _spread(calls, jobs, scheduler):
    """Yield what each of joblib's delayed calls returns as it is finished, wherever it is done."""
    from joblib import Parallel, parallel_config

    how = {"return_as": "generator_unordered", "pre_dispatch": "all"}
    if scheduler is None:
        yield from Parallel(jobs, **how)(calls)
        return
    from distributed import Client

    with Client(scheduler) as client, parallel_config(backend="dask", client=client):
        yield from Parallel(**how)(calls)


def write_whole(path, content):
    """Write text or bytes to a file that is there whole or not at all; make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # another process may write it, too
    part.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(part, path)


def read_json(path):
    """Return what a JSON file holds; None where there is none, or with a warning a damaged one."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except ValueError as error:
        warnings.warn(f"{path} is damaged and left out: {error}", stacklevel=2)
        return None


def write_results(runs, asked):
    """Write ``study_digits.json`` and the sheets ``study_digits.npz`` into the package.

    ``runs``: the results of the finished ones of ``asked``, a ``queue``. The json holds how they
    were made, and every result with its setting; the npz of the main setting's seed 0 the samples
    "weighting/steps/eta0" and "…/eta1", uint8 grey levels [12, side, side].
    """
    done = {(f[0]["plan"], f[0]["weighting"], f[0]["seed"]): f for f in runs}
    results = [
        one | {"setting": setting}
        for setting, plan, name, seed in asked
        for one in done.get((plan.key, name, seed), ())
    ]
    sheets = {
        f"{r['weighting']}/{r['steps']}/eta{eta:g}": sheet(r, eta)
        for r in results
        if (r["setting"], r["seed"]) == ("main", 0)
        for eta in ETAS
    }
    plan = asked[0][1]
    metrics = metrics_for(plan.data, plan.held_out)
    written = {
        "about": f"{metrics.images.title}; made by make study; see course_utils/training/study.py.",
        "runs_finished_and_asked": [len(runs), len(asked)],
        "plans": {plan.key: {"setting": name} | asdict(plan) for name, plan, *_ in asked},
        "curve_log_snr": plan.curve.tolist(),
        "floor": _rounded(metrics.floor(plan.n_samples)),
        "versions": {p: version(p) for p in ("numpy", "scipy", "scikit-learn", "torch")},
        "date": time.strftime("%Y-%m-%d"),
        "runs": [{k: v for k, v in r.items() if k != "sheets"} for r in results],
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, **sheets)
    write_whole(DATA / f"study_{plan.data}.npz", packed.getvalue())
    write_whole(DATA / f"study_{plan.data}.json", json.dumps(written, ensure_ascii=False))


# --- Reading ------------------------------------------------------------------------------------


def load_results(data="digits"):
    """Return a stored study's dict (see ``write_results``)."""
    return read_json(DATA / f"study_{require_known('study', data, PLANS)}.json")


def load_sheets(data="digits"):
    """Return the stored samples, {(weighting, steps, η): uint8 grey levels [12, side, side]}."""
    with np.load(DATA / f"study_{data}.npz") as arrays:
        parts = {key: key.split("/") for key in arrays}
        return {(w, int(n), float(eta[3:])): arrays[k] for k, (w, n, eta) in parts.items()}


class Summary(NamedTuple):
    """A mean over seeds with its interval, of 95 % where not said, and the number of seeds."""

    mean: float
    low: float
    high: float
    seeds: int


def value_of(result, measure):
    """Return one number of a result, by its name among ``MEASURED``, such as "eta0.frechet"."""
    for part in require_known("measure", measure, MEASURED).split("."):
        result = result[part]
    return result


def summary(runs, measure):
    """Return the ``Summary`` of a measure over results of one weighting, by Student's t."""
    return _over_seeds([value_of(r, measure) for r in runs], 0.95)


def compare(runs, others, measure, confidence=0.95):
    """Return the ``Summary`` of measure(runs) − measure(others), paired by seed."""
    return _over_seeds(differences(runs, others, measure), confidence)


def differences(runs, others, measure):
    """Return measure(runs) − measure(others) of each seed, [seeds], in the order of ``runs``.

    Raises ``ValueError`` unless both have the same seeds.
    """
    first, second = ({r["seed"]: value_of(r, measure) for r in group} for group in (runs, others))
    if first.keys() != second.keys():
        raise ValueError(f"need the same seeds, got {sorted(first)} and {sorted(second)}")
    return np.array([first[seed] - second[seed] for seed in first])


def _over_seeds(values, confidence):
    low, high = ttest_1samp(values, 0).confidence_interval(confidence)
    return Summary(float(np.mean(values)), float(low), float(high), len(values))


def by_weighting(results, steps=None, setting="main"):
    """Return {weighting: its results over the seeds that all have} at a budget, or the largest."""
    require_known("setting", setting, dict.fromkeys(r["setting"] for r in results["runs"]))
    runs = [r for r in results["runs"] if r["setting"] == setting]
    budgets = sorted({r["steps"] for r in runs})
    steps = steps or budgets[-1]
    if steps not in budgets:
        raise ValueError(f"runs were measured after {budgets} steps, not after {steps}")
    groups = {}
    for r in (r for r in runs if r["steps"] == steps):
        groups.setdefault(r["weighting"], []).append(r)
    shared = set.intersection(*({r["seed"] for r in group} for group in groups.values()))
    return {name: [r for r in group if r["seed"] in shared] for name, group in groups.items()}


def all_pairs(results, measure, **which):
    """Return {(a, b): (``Summary`` of a − b, p)} of all pairs of weightings at a budget.

    p is that of the paired t-test over seeds, corrected for the number m of pairs: the smallest
    counts m-fold, the next (m − 1)-fold, and none less than the one before. ``which``: budget and
    setting, as for ``by_weighting``. Source: Holm 1979.
    """
    groups = by_weighting(results, **which)
    pairs = list(combinations(groups, 2))
    gaps = [differences(groups[a], groups[b], measure) for a, b in pairs]
    p = np.array([ttest_1samp(gap, 0).pvalue for gap in gaps])
    order = np.argsort(p)
    p[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    found = zip(pairs, gaps, p.tolist(), strict=True)
    return {pair: (_over_seeds(gap, 0.95), each) for pair, gap, each in found}


def table(results, measures, **which):
    """Return lines of text: each weighting's mean ± half its 95 % interval, for every measure.

    ``which``: budget and setting, as for ``by_weighting``.
    """
    groups = by_weighting(results, **which)
    rows = {f"{len(next(iter(groups.values())))} seeds": measures}
    for name, runs in groups.items():
        found = [summary(runs, m) for m in measures]
        rows[name] = [f"{s.mean:.3f} ± {(s.high - s.low) / 2:.3f}" for s in found]
    floors = [results["floor"].get(m.split(".")[-1]) for m in measures]  # bits have none
    rows["real (spread)"] = [f"{f[0]:.3f} ± {f[1]:.3f}" if f else "–" for f in floors]
    return [f"{name:<18}" + "".join(f"{text:>20}" for text in row) for name, row in rows.items()]


def main(arguments=None):
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(prog="make study", description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=PLANS, default="digits", help="the images")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; every core where not said")
    parser.add_argument("--scheduler", help="address of a Dask scheduler, tcp://…")
    parser.add_argument("--weightings", nargs="+", default=COMPARED, choices=COMPARED)
    given = parser.parse_args(arguments)
    asked, finished = queue(given.data, dict.fromkeys(given.weightings)), []
    calls = [(plan, name, seed) for _, plan, name, seed in asked]
    try:
        try:
            for found in run_all(calls, RUNS, jobs=given.jobs, scheduler=given.scheduler):
                finished.append(found)
                one, number = found[-1], f"{len(finished)}/{len(asked)}"
                bits = f"{one['bits']['total']:.3f} bits after {one['steps']} steps"
                print(f"{number} {one['weighting']}, seed {one['seed']}: {bits}", flush=True)
        finally:
            if finished:
                write_results(finished, asked)
                print(f"{number} runs are now what notebook 07 reads, in {DATA}")
    except KeyboardInterrupt:
        sys.exit("interrupted: the same command goes on from here")
    except (OSError, ValueError) as error:
        sys.exit(f"make study: {error}")


if __name__ == "__main__":
    from course_utils.training import study  # by its name, under which other processes find it

    study.main()
