"""The study: one network, one budget, ten weightings, five seeds, measured on held-out images.

    make study                                   resumes where it was interrupted
    make study STUDY_ARGS="--jobs 8"             on eight cores
    make study STUDY_ARGS="--scheduler tcp://…"  on a Dask cluster (pip install distributed)
    make study STUDY_ARGS="--data fashion"       28×28 images, where they are installed

Every finished run is a file of its own, so an interruption loses only the runs under way. When all
are there, the results go into two small files: ``study_digits.json`` and the sheets of samples
``study_digits.npz``. ``load_results`` and ``load_sheets`` read them; no torch is needed for that.

One run trains on 1297 digits and measures on 500 held-out ones, each number with a standard error
over images (``distances.bootstrap``), beside a floor: real training images in place of samples.
Fashion-MNIST has 60,000 images of its own to train on.
"""

import argparse
import ast
import base64
import hashlib
import inspect
import io
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import ttest_1samp

from course_utils import datasets, distances, objectives, samplers, schedules, variance, weightings
from course_utils._checks import require_known
from course_utils.classroom.progress import progress
from course_utils.objectives import PUBLISHED
from course_utils.training import adaptive, image_metrics, measuring, recipe
from course_utils.training.image_metrics import metrics_for
from course_utils.training.measuring import ETAS, MEASURED, measured
from course_utils.training.recipe import Recipe
from course_utils.weightings import Weighting, sigmoid

DATA = files("course_utils") / "data"
DESCRIBED = (ast.Module, ast.ClassDef, ast.FunctionDef)  # what may have a docstring

WEIGHTINGS = {
    "elbo": Weighting(lambda log_snr: np.ones_like(log_snr), "ELBO"),
    "sigmoid_0": sigmoid(0),
    "sigmoid_2": sigmoid(2),
    **{
        name: PUBLISHED[name].implied_weighting()
        for name in ("cosine_eps", "cosine_v", "edm", "edm_monotonic", "min_snr", "p2", "sd3")
    },
}


@dataclass(frozen=True)
class Plan(Recipe):
    """What all runs of a study share: the recipe of training, and how the result is measured.

    Samples are drawn in ``sampler_steps`` steps of equal Δλ between the levels −10 and 6: above 6
    the noise is finer than half a grey level, and the decoder of the ELBO takes over. ``data`` is a
    key of ``datasets.IMAGES``; see ``PLANS`` for what suits each.
    """

    n_samples: int = 500
    sampler_steps: int = 64
    held_out: int = 500
    n_levels: int = 64
    bootstraps: int = 100
    data: str = "digits"

    def __post_init__(self):
        super().__post_init__()
        require_known("set of images", self.data, tuple(datasets.IMAGES))

    def settings(self):
        """Return all settings as a dict; those that plans did not have at first come last.

        And only where they are not as before, so that a plan's key and record stay what they were.
        """
        settings = asdict(self)
        added = {name: settings.pop(name) for name in ("data", "skip")}
        return settings | {k: v for k, v in added.items() if v != getattr(Plan, k)}

    @property
    def key(self):
        """A short name for these settings."""
        return hashlib.sha256(json.dumps(self.settings()).encode()).hexdigest()[:12]

    @property
    def curve(self):
        """The 16 levels at which the error is kept."""
        return np.linspace(self.log_snr_min + 0.5, self.log_snr_max - 0.5, 16)


PLANS = {
    "digits": Plan(),
    # 256 grey levels are 16 times as fine; 784 dimensions are more than the network's width
    "fashion": Plan(data="fashion", log_snr_max=11.5, skip=True, n_steps=2000),
}


# --- One run ------------------------------------------------------------------------------------


def run(plan, name, seed, w=None, label=None):
    """Train with one weighting and seed, measure, and return a dict of plain numbers and text.

    ``name`` is a key of ``WEIGHTINGS``, or any name for a weighting ``w`` of your own. Keys of the
    result: weighting, seed; those of ``measured``; sheets and side (see ``sheet``); seconds on the
    clock (training and measuring); code (see ``code``); machine.
    """
    from course_utils.training.networks import train

    if w is None:
        w = WEIGHTINGS[require_known("weighting of the study", name, tuple(WEIGHTINGS))]
    x = metrics_for(plan.data, plan.held_out).train
    times = [time.perf_counter()]
    model = train(x, w, seed=seed, recipe=plan, label=label)
    times.append(time.perf_counter())
    found = {"weighting": name, "seed": seed} | measured(plan, model, seed)
    times.append(time.perf_counter())
    seconds = dict(zip(("training", "measuring"), np.diff(times).tolist(), strict=True))
    return _rounded(found | {"seconds": seconds, "code": code(), "machine": _processor()})


def _rounded(found):
    """The same dict with floats of six significant digits, for a small file."""
    return json.loads(json.dumps(found), parse_float=lambda text: float(f"{float(text):.6g}"))


def sheet(result, eta=1):
    """Return the kept samples of a run's result, uint8 grey levels [12, side, side]."""
    kept, key = result["sheets"], f"eta{eta:g}"
    content = base64.b64decode(kept[require_known("sampler", key, tuple(kept))])
    side = result.get("side", 8)  # runs of digits did not say so at first
    return np.frombuffer(content, np.uint8).reshape(-1, side, side)


# --- Which code made it -------------------------------------------------------------------------


@cache
def code():
    """Return twelve characters that change with whatever code decides the numbers of a run.

    Of the sources without comments and docstrings, and of the versions of torch and NumPy.
    """
    from course_utils.training import networks

    theory = (schedules, samplers, variance, weightings, objectives, distances, datasets)
    logic = []
    for module in (*theory, recipe, adaptive, networks, image_metrics, measuring):
        tree = ast.parse(inspect.getsource(module))
        for node in ast.walk(tree):
            if isinstance(node, DESCRIBED) and ast.get_docstring(node) is not None:
                node.body[0] = ast.Pass()
        logic.append(ast.unparse(tree))
    versions = [f"{name} {version(name)}" for name in ("torch", "numpy")]
    return hashlib.sha256("\n".join([*logic, *versions]).encode()).hexdigest()[:12]


def _processor():
    """The processor's name, or the GPU's where torch sees one."""
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        return sys.modules["torch"].cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


# --- All runs -----------------------------------------------------------------------------------


def run_all(plan, names, seeds, folder, *, own=None, jobs=1, scheduler=None):
    """Run what is missing in ``folder``, and yield the result of each run as it is finished.

    A generator: runs that a former call finished, with the same code, come first, at once. Each new
    result is written to ``folder`` before it is yielded, in a file that appears whole or not at
    all. ``jobs`` processes of this machine (−1 for all cores), or with ``scheduler="tcp://…"`` the
    workers of a Dask cluster, which need the course installed and no common disk. ``own`` maps
    names that are not keys of ``WEIGHTINGS`` to weightings.
    """
    own = own or {}
    for name in names:
        require_known("weighting of the study", name, (*WEIGHTINGS, *own))
    place = Path(folder) / plan.key
    write_whole(place / "plan.json", json.dumps(plan.settings(), indent=1))
    missing = []
    for name, seed in ((name, seed) for seed in seeds for name in names):  # early runs compare
        path = run_file(folder, plan, name, seed)
        if path.exists():
            yield json.loads(path.read_text(encoding="utf-8"))
        else:
            missing.append((plan, name, seed, own.get(name)))
    for result in _spread(missing, jobs, scheduler):
        path = run_file(folder, plan, result["weighting"], result["seed"], result["code"])
        write_whole(path, json.dumps(result))
        yield result


def run_file(folder, plan, name, seed, made_by=None):
    """Return the path of a run's result below ``folder``: of the present code, or of another."""
    return Path(folder) / plan.key / f"{name}-{seed}.{made_by or code()}.json"


def _spread(calls, jobs, scheduler):
    """Yield ``run(*call)`` of every call as it is finished, wherever that is done."""
    from joblib import Parallel, delayed, parallel_config

    calls = [delayed(run)(*call) for call in calls]
    how = {"return_as": "generator_unordered", "batch_size": 1}
    if scheduler is None:
        yield from Parallel(jobs, pre_dispatch="n_jobs", **how)(calls)
        return
    from distributed import Client

    with Client(scheduler) as client:
        with parallel_config(backend="dask", client=client):
            parallel = Parallel(pre_dispatch="all", **how)
        yield from parallel(calls)


def write_whole(path, content):
    """Write text or bytes to a file that is there whole or not at all; make its folder.

    Raises ``OSError`` with a remedy where that cannot be done.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(part, path)
    except OSError as error:
        raise OSError(
            f"cannot write to the folder {path.parent} ({error.strerror}): choose one of your own, "
            'as in folder="/tmp/study", or --runs and --out on the command line'
        ) from error


def write_results(plan, runs, folder):
    """Write ``study_digits.json`` and the sheets ``study_digits.npz`` into a folder.

    The name is that of the plan's data. The json holds the runs, and how and with what they were
    made; the npz for every weighting and sampler an array "name/eta0" or "name/eta1" of uint8 grey
    levels, [seeds · 12, side, side].
    """
    metrics = metrics_for(plan.data, plan.held_out)
    order = {name: i for i, name in enumerate(WEIGHTINGS)}
    runs = sorted(runs, key=lambda r: (order[r["weighting"]], r["seed"]))
    packages = ("numpy", "scipy", "scikit-learn", "torch")
    head = {
        "about": f"{metrics.images.title}; {plan.n_steps} steps of {plan.batch} images a run, a "
        f"network of width {plan.width}; made by make study; see course_utils/training/study.py "
        "for each number.",
        "plan": plan.settings(),
        "seeds": sorted({r["seed"] for r in runs}),
        "curve_log_snr": plan.curve.tolist(),
        "floor": _rounded(metrics.floor(plan.n_samples)),
        "classifier_accuracy": metrics.accuracy,
        "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
        "hardware": {
            "processor": ", ".join(sorted({r["machine"] for r in runs})),
            "cores": os.cpu_count(),
            "threads_per_run": 1,
        },
        "date": time.strftime("%Y-%m-%d"),
    }
    sheets = {
        f"{name}/eta{eta:g}": np.concatenate([sheet(r, eta) for r in those])
        for name, those in by_weighting({"runs": runs}).items()
        for eta in ETAS
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, **sheets)
    apart = ("sheets", "side")  # these are in the npz
    kept = [{k: v for k, v in r.items() if k not in apart} for r in runs]
    write_whole(Path(folder) / f"study_{plan.data}.npz", packed.getvalue())
    write_whole(Path(folder) / f"study_{plan.data}.json", a_line_a_run(head, kept) + "\n")


def a_line_a_run(head, runs):
    """Return the JSON text of a dict and its "runs", each run on a line of its own."""
    lines = ",\n".join(json.dumps(run, ensure_ascii=False) for run in runs)
    return json.dumps(head, ensure_ascii=False, indent=1)[:-2] + f',\n "runs": [\n{lines}\n]}}'


# --- Reading ------------------------------------------------------------------------------------


def load_results(folder=DATA, data="digits"):
    """Return the stored study's dict (see ``write_results``); by default the package's own."""
    return json.loads(_stored(folder, data, "json").read_text(encoding="utf-8"))


def load_sheets(folder=DATA, data="digits"):
    """Return the stored samples: {(weighting, η): uint8 grey levels [seeds · 12, side, side]}."""
    with _stored(folder, data, "npz").open("rb") as file, np.load(file) as arrays:
        return {(key.split("/eta")[0], float(key.split("/eta")[1])): arrays[key] for key in arrays}


def _stored(folder, data, ending):
    name = require_known("set of images", data, tuple(datasets.IMAGES))
    return (Path(folder) if isinstance(folder, str) else folder) / f"study_{name}.{ending}"


class Summary(NamedTuple):
    """A mean over seeds with its 95 % interval, and the number of seeds."""

    mean: float
    low: float
    high: float
    seeds: int


def value_of(result, measure):
    """Return one number of a run: "bits.total", "bits_train", "eta0.frechet", "eta1.recall", …

    Raises ``ValueError`` for a name that is not among ``MEASURED``.
    """
    for part in require_known("measure", measure, MEASURED).split("."):
        result = result[part]
    return result[0]  # and its standard error over images


def summary(runs, measure):
    """Return the ``Summary`` of a measure over runs of one weighting, by Student's t over seeds.

    Seeds are what another training run would change, so they set the interval; a bootstrap of five
    numbers would make it too short. Raises ``ValueError`` for fewer than two runs.
    """
    return _over_seeds([value_of(r, measure) for r in runs])


def compare(runs, others, measure):
    """Return the ``Summary`` of measure(runs) − measure(others), paired by seed.

    The same seed means the same initial weights, and everywhere the same held-out noise. Raises
    ``ValueError`` unless both have the same seeds, at least two.
    """
    return _over_seeds(differences(runs, others, measure))


def differences(runs, others, measure):
    """Return measure(runs) − measure(others) of each seed, [seeds], in the order of ``runs``."""
    first, second = ({r["seed"]: value_of(r, measure) for r in group} for group in (runs, others))
    if first.keys() != second.keys():
        raise ValueError(f"need the same seeds, got {sorted(first)} and {sorted(second)}")
    return np.array([first[seed] - second[seed] for seed in first])


def _over_seeds(values):
    if len(values) < 2:
        raise ValueError("an interval over seeds needs at least 2 of them")
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    return Summary(float(np.mean(values)), float(low), float(high), len(values))


def by_weighting(results):
    """Return {weighting: its runs} of a results dict, in the order in which they come."""
    groups = {}
    for r in results["runs"]:
        groups.setdefault(r["weighting"], []).append(r)
    return groups


def table(results, measures=("bits.total", "eta0.frechet", "eta1.frechet", "eta1.recall")):
    """Return lines of text: each weighting's mean ± half its 95 % interval, for every measure."""
    lines = [f"{'weighting':<14}" + "".join(f"{m:>20}" for m in measures)]
    for name, runs in by_weighting(results).items():
        cells = [summary(runs, m) for m in measures]
        texts = [f"{s.mean:.3f} ± {(s.high - s.low) / 2:.3f}" for s in cells]
        lines.append(f"{name:<14}" + "".join(f"{text:>20}" for text in texts))
    floor = [results["floor"][m.split(".")[1]] if "eta" in m else None for m in measures]
    texts = [f"{f[0]:.3f} ± {f[1]:.3f}" if f else "–" for f in floor]
    return [*lines, f"{'real (spread)':<14}" + "".join(f"{text:>20}" for text in texts)]


# --- Command line ---------------------------------------------------------------------------------


def main(arguments=None):
    """Run the study from the command line; returns 0 when every run is there."""
    parser = argparse.ArgumentParser(prog="make study", description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=tuple(PLANS), default="digits", help="the images")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; every core where not said")
    parser.add_argument("--scheduler", help="address of a Dask scheduler, tcp://…")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 … n − 1 of each weighting")
    parser.add_argument("--steps", type=int, dest="n_steps", help="training steps of a run")
    parser.add_argument("--width", type=int, help="of the network")
    parser.add_argument("--samples", type=int, dest="n_samples", help="images drawn of each")
    parser.add_argument("--weightings", nargs="+", default=list(WEIGHTINGS), metavar="NAME")
    parser.add_argument("--runs", default=".study", help="folder of the single runs")
    parser.add_argument("--out", default=str(DATA), help="folder of the results")
    given = parser.parse_args(arguments)
    asked = {name: getattr(given, name) for name in ("n_steps", "width", "n_samples")}
    plan = replace(PLANS[given.data], **{k: v for k, v in asked.items() if v is not None})
    names, seeds = given.weightings, range(given.seeds)
    how = {"jobs": given.jobs, "scheduler": given.scheduler}
    total, finished = len(seeds) * len(names), []
    for result in progress(run_all(plan, names, seeds, given.runs, **how), total, "study"):
        finished.append(result)
        if not sys.stderr.isatty():
            name, seed, bits = result["weighting"], result["seed"], result["bits"]["total"][0]
            print(f"{len(finished)}/{total} {name}, seed {seed}: {bits:.3f} bits/dim", flush=True)
    write_results(plan, finished, given.out)
    if given.seeds > 1:
        print("\n".join(table(load_results(given.out, plan.data))))
    return 0


if __name__ == "__main__":
    from course_utils.training import study  # by its name, under which other processes find it

    sys.exit(study.main())
