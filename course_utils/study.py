"""The study: one network, one budget, ten weightings, five seeds, measured on held-out digits.

    make study                                   resumes where it was interrupted
    make study STUDY_ARGS="--jobs 8"             on eight cores
    make study STUDY_ARGS="--scheduler tcp://…"  on a Dask cluster (install dask.distributed)

Every finished run is a file of its own, so an interruption loses only the runs under way. When all
are there, the results go into two small files: ``study_digits.json`` and the sheets of samples
``study_digits.npz``. ``load_results`` and ``load_sheets`` read them; no torch is needed for that.

One run trains on 1297 digits and measures on 500 held-out ones, each number with a standard error
over images (``metrics.bootstrap``), beside a floor: real training images in place of samples.
"""

import argparse
import base64
import hashlib
import json
import os
import platform
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from course_utils._arrays import require_count, unknown
from course_utils._progress import progress
from course_utils.datasets import GREY_LEVELS, labelled_digits, to_pixels
from course_utils.metrics import (
    bits_per_dimension,
    bootstrap,
    frechet,
    nearer_to_first,
    within_manifold,
)
from course_utils.schedules import alpha, sigma
from course_utils.weightings import PUBLISHED, Weighting, sigmoid

DATA = files("course_utils") / "data"
ETAS = (0.0, 1.0)  # DDIM and the ancestral sampler
MEASURES = ("frechet", "precision", "recall", "memorised")
BITS = ("total", "prior", "diffusion", "reconstruction")
CURVE = np.linspace(-9.5, 5.5, 16)  # levels at which the error is kept
ON_SHEET = 12  # samples kept of each run

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
class Plan:
    """What all runs of a study share. Two plans with other settings keep their runs apart.

    The network has ``width`` and ``n_blocks``, sees ``n_steps`` batches of ``batch`` images, and is
    sampled in ``sampler_steps`` steps of equal Δλ between the levels −10 and 6: above 6 the noise
    is finer than half a grey level, and the decoder of the ELBO takes over.
    """

    n_steps: int = 1200
    batch: int = 128
    width: int = 256
    n_blocks: int = 3
    learning_rate: float = 2e-3
    ema: float = 0.995
    levels: str = "adaptive"
    low_discrepancy: bool = True
    log_snr_min: float = -10.0
    log_snr_max: float = 6.0
    n_samples: int = 500
    sampler_steps: int = 64
    held_out: int = 500
    n_levels: int = 64
    bootstraps: int = 100

    @property
    def key(self):
        """A short name for these settings."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:12]

    def recipe(self):
        """Return the training part as a ``networks.Recipe``."""
        from course_utils.networks import Recipe

        shared = asdict(self)
        return Recipe(**{name: shared[name] for name in Recipe.__match_args__ if name in shared})


# --- One run ------------------------------------------------------------------------------------


def run(plan, name, seed, w=None, label=None):
    """Train with one weighting and seed, measure, and return a dict of plain numbers and text.

    ``name`` is a key of ``WEIGHTINGS``, or any name for a weighting ``w`` of your own. Keys of the
    result: weighting, seed, bits (held-out −ELBO in bits per dimension: total and its terms) and
    bits_train (total), each [value, standard error]; noise_error, noise_error_train
    (E‖ε − ε̂‖²/d at the levels ``CURVE``); eta0 and eta1, with ``MEASURES`` of DDIM and ancestral
    samples as [value, standard error]; sheets (see ``sheet``); seconds (training, measuring).
    """
    from course_utils.networks import generator_for, train

    w = _weighting(name) if w is None else w
    yardstick = _yardstick(plan.held_out)
    start = time.perf_counter()
    model = train(yardstick.train, w, seed=seed, recipe=plan.recipe(), label=label)
    trained = time.perf_counter()
    found = {"weighting": name, "seed": seed, "bits": {}, "sheets": {}}
    held_out, seen = (
        bits_per_dimension(
            model.eps,
            x,
            GREY_LEVELS,
            plan.log_snr_min,
            plan.log_snr_max,
            np.random.default_rng(1),  # the same noise for every run
            n_levels=plan.n_levels,
        )
        for x in (yardstick.held_out, yardstick.train[: plan.held_out])
    )
    for term in BITS:
        found["bits"][term] = _mean(getattr(held_out, term))
    found["bits_train"] = _mean(seen.total)
    found["noise_error"] = _error_curve(model, yardstick.held_out)
    found["noise_error_train"] = _error_curve(model, yardstick.train[: plan.held_out])
    for eta in ETAS:
        x = model.sample(
            plan.n_samples, generator_for(model, seed), n_steps=plan.sampler_steps, eta=eta
        )
        pixels = to_pixels(x)
        measures = yardstick.measure(pixels / 8 - 1, plan.bootstraps, np.random.default_rng(3))
        found[f"eta{eta:g}"] = measures
        found["sheets"][f"eta{eta:g}"] = base64.b64encode(pixels[:ON_SHEET].tobytes()).decode()
    found["seconds"] = {"training": trained - start, "measuring": time.perf_counter() - trained}
    return _rounded(found)


def sheet(result, eta=1):
    """Return the kept samples of a run's result, uint8 grey levels [12, 8, 8]."""
    return np.frombuffer(base64.b64decode(result["sheets"][f"eta{eta:g}"]), np.uint8).reshape(
        -1, 8, 8
    )


def _weighting(name):
    if name not in WEIGHTINGS:
        raise unknown("weighting of the study", name, tuple(WEIGHTINGS))
    return WEIGHTINGS[name]


def _mean(values):
    return [float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))]


def _error_curve(model, x):
    rng = np.random.default_rng(4)
    errors = []
    for level in CURVE:
        noise = rng.standard_normal(x.shape)
        z = alpha(level) * x + sigma(level) * noise
        errors.append(float(np.mean((noise - model.eps(z, level)) ** 2)))
    return errors


def _rounded(value):
    """The same dict with floats of six significant digits, for a small file."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


class _Yardstick:
    """The real images, and a classifier of them whose last hidden layer is the feature space."""

    def __init__(self, held_out):
        from sklearn.neural_network import MLPClassifier

        (self.train, labels), (self.held_out, others) = labelled_digits(held_out)
        self.classifier = MLPClassifier((64, 32), max_iter=60, tol=0, random_state=0)
        with warnings.catch_warnings():  # it stops after 60 rounds by intent
            warnings.simplefilter("ignore")
            self.classifier.fit(self.train, labels)
        self.accuracy = float(self.classifier.score(self.held_out, others))
        self.real = self.features(self.held_out)

    def features(self, x):
        """The 32 activations before the classifier's last layer, [n, 32]."""
        layers = zip(self.classifier.coefs_, self.classifier.intercepts_, strict=True)
        for weights, biases in list(layers)[:-1]:
            x = np.maximum(x @ weights + biases, 0)
        return x

    def measure(self, x, bootstraps, rng):
        """[value, standard error] of each of ``MEASURES`` for images x [n, 64]."""
        features = self.features(x)
        copies = self.train[: len(self.held_out)]
        found = {
            "frechet": list(bootstrap(frechet, features, self.real, rng=rng, repeats=bootstraps))
        }
        for name, each in {
            "precision": within_manifold(features, self.real),
            "recall": within_manifold(self.real, features),
            "memorised": nearer_to_first(x, copies, self.held_out),
        }.items():
            found[name] = list(bootstrap(np.mean, each, rng=rng, repeats=bootstraps))
        return found

    def floor(self, n, repeats=20):
        """Mean and spread of each measure for n real training images, ``repeats`` times drawn.

        They come from the training images that ``memorised`` is not compared with.
        """
        rng = np.random.default_rng(5)
        fresh = self.train[len(self.held_out) :]
        n = min(n, len(fresh))
        rows = [
            self.measure(fresh[rng.choice(len(fresh), n, replace=False)], 2, rng)
            for _ in range(repeats)
        ]
        table = {name: [row[name][0] for row in rows] for name in MEASURES}
        return {k: [float(np.mean(v)), float(np.std(v, ddof=1))] for k, v in table.items()}


_yardstick = cache(_Yardstick)


# --- All runs -----------------------------------------------------------------------------------


def run_all(plan, names, seeds, folder, *, own=None, jobs=1, scheduler=None, action=run):
    """Run what is missing in ``folder``, and yield the result of each run as it is finished.

    A generator: runs that a former call finished come first, at once. Each new result is written to
    ``folder`` before it is yielded, in a file that appears whole or not at all. ``jobs`` processes
    of this machine (joblib; −1 for all cores), or with ``scheduler="tcp://…"`` the workers of a
    Dask cluster, which need the course installed and no common disk. ``own`` maps names that are
    not keys of ``WEIGHTINGS`` to weightings. ``action(plan, name, seed)``, with w as a fourth
    argument for these, makes one run.
    """
    own = own or {}
    if taken := sorted(own.keys() & WEIGHTINGS.keys()):
        raise ValueError(f"{taken[0]!r} is a weighting of the study: give your own another name")
    for name in names:
        if name not in own:
            _weighting(name)
    folder = Path(folder) / plan.key
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [(name, seed) for seed in seeds for name in names]  # seed by seed: early runs compare
    missing = [task for task in tasks if not _file(folder, *task).exists()]
    for task in tasks:
        if task not in missing:
            yield json.loads(_file(folder, *task).read_text(encoding="utf-8"))
    calls = [(*task, own[task[0]]) if task[0] in own else task for task in missing]
    for result in _spread(action, plan, calls, jobs, scheduler):
        _write(_file(folder, result["weighting"], result["seed"]), json.dumps(result))
        yield result


def _spread(action, plan, tasks, jobs, scheduler):
    if scheduler is not None:
        try:
            from dask.distributed import Client, as_completed
        except ImportError as error:
            raise ImportError("--scheduler needs Dask: pip install distributed") from error
        with Client(scheduler) as client:
            futures = [client.submit(action, plan, *task, pure=False) for task in tasks]
            for future in as_completed(futures):
                yield future.result()
        return
    from joblib import Parallel, delayed

    if jobs == 1:
        yield from (action(plan, *task) for task in tasks)
        return
    spread = Parallel(jobs, return_as="generator_unordered", pre_dispatch="n_jobs")
    yield from spread(delayed(action)(plan, *task) for task in tasks)


def _file(folder, name, seed):
    return folder / f"{name}-{seed}.json"


def _write(path, content):
    """Write a file that is there whole or not at all."""
    part = path.with_name(path.name + ".part")
    mode = "wb" if isinstance(content, bytes) else "w"
    with open(part, mode, encoding=None if mode == "wb" else "utf-8") as file:
        file.write(content)
    os.replace(part, path)


def collected(plan, runs):
    """Return what the results file holds: the runs, and how and with what they were made."""
    yardstick = _yardstick(plan.held_out)
    order = {name: i for i, name in enumerate(WEIGHTINGS)}
    runs = sorted(runs, key=lambda r: (order.get(r["weighting"], len(order)), r["seed"]))
    packages = ("numpy", "scipy", "scikit-learn", "torch")
    return {
        "about": "Digits, 8×8; made by make study; see course_utils/study.py for each number.",
        "plan": asdict(plan),
        "seeds": sorted({r["seed"] for r in runs}),
        "curve_log_snr": CURVE.tolist(),
        "floor": _rounded(yardstick.floor(plan.n_samples)),
        "classifier_accuracy": yardstick.accuracy,
        "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
        "hardware": {"processor": _processor(), "cores": os.cpu_count(), "threads_per_run": 1},
        "date": time.strftime("%Y-%m-%d"),
        "runs": [{k: v for k, v in r.items() if k != "sheets"} for r in runs],
    }


def _processor():
    """The processor's name, or the GPU's where torch sees one."""
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        return sys.modules["torch"].cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write_results(plan, runs, folder):
    """Write ``study_digits.json`` and the sheets ``study_digits.npz`` into a folder.

    The npz holds for every weighting and sampler an array "name/eta0" or "name/eta1" of uint8 grey
    levels, [seeds · 12, 8, 8].
    """
    folder = Path(folder)
    content = collected(plan, runs)
    names = dict.fromkeys(r["weighting"] for r in content["runs"])
    ordered = sorted(runs, key=lambda r: r["seed"])
    sheets = {
        f"{name}/eta{eta:g}": np.concatenate(
            [sheet(r, eta) for r in ordered if r["weighting"] == name]
        )
        for name in names
        for eta in ETAS
    }
    lines = [json.dumps(r, ensure_ascii=False) for r in content.pop("runs")]
    head = json.dumps(content, ensure_ascii=False, indent=1)[:-2]
    text = head + ',\n "runs": [\n' + ",\n".join(lines) + "\n]}\n"  # a line a run
    with open(folder / "study_digits.npz.part", "wb") as file:
        np.savez_compressed(file, **sheets)
    os.replace(folder / "study_digits.npz.part", folder / "study_digits.npz")
    _write(folder / "study_digits.json", text)


# --- Reading ------------------------------------------------------------------------------------


def load_results(folder=None):
    """Return the stored study's dict (see ``collected``), from the package unless told."""
    place = DATA if folder is None else Path(folder)
    return json.loads((place / "study_digits.json").read_text(encoding="utf-8"))


def load_sheets(folder=None):
    """Return the stored samples: {(weighting, η): uint8 grey levels [seeds · 12, 8, 8]}."""
    place = DATA if folder is None else Path(folder)
    with (place / "study_digits.npz").open("rb") as file, np.load(file) as arrays:
        return {(key.split("/eta")[0], float(key.split("/eta")[1])): arrays[key] for key in arrays}


class Summary(NamedTuple):
    """A mean over seeds with its 95 % interval, and the number of seeds."""

    mean: float
    low: float
    high: float
    seeds: int


def value_of(result, measure):
    """Return one number of a run: "bits.total", "bits_train", "eta0.frechet", "eta1.recall", …"""
    for part in measure.split("."):
        if part not in result:
            raise unknown("measure", part, tuple(result))
        result = result[part]
    return result[0]


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
    first, second = ({r["seed"]: value_of(r, measure) for r in group} for group in (runs, others))
    if first.keys() != second.keys():
        raise ValueError(f"need the same seeds, got {sorted(first)} and {sorted(second)}")
    return _over_seeds([first[seed] - second[seed] for seed in first])


def _over_seeds(values):
    n = len(values)
    require_count("number of seeds", n, least=2)
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(n))
    reach = float(student.ppf(0.975, n - 1)) * error
    return Summary(mean, mean - reach, mean + reach, n)


def by_weighting(results):
    """Return {weighting: its runs} of a results dict, in the order of ``WEIGHTINGS``."""
    groups = {}
    for r in results["runs"]:
        groups.setdefault(r["weighting"], []).append(r)
    return groups


def table(results, measures=("bits.total", "eta0.frechet", "eta1.frechet", "eta1.recall")):
    """Return lines of text: each weighting's mean ± half its 95 % interval, for every measure."""
    lines = ["  ".join([f"{'weighting':<14}", *(f"{m:>18}" for m in measures)])]
    for name, runs in by_weighting(results).items():
        cells = [summary(runs, m) for m in measures]
        texts = [f"{f'{s.mean:.3f} ± {(s.high - s.low) / 2:.3f}':>18}" for s in cells]
        lines.append("  ".join([f"{name:<14}", *texts]))
    floor = [results["floor"].get(m.split(".")[-1]) if "eta" in m else None for m in measures]
    texts = [f"{f'{f[0]:.3f} ± {f[1]:.3f}' if f else '–':>18}" for f in floor]
    return [*lines, "  ".join([f"{'real (spread)':<14}", *texts])]


# --- Command line ---------------------------------------------------------------------------------


def main(arguments=None):
    """Run the study from the command line; returns 0 when every run is there."""
    parser = argparse.ArgumentParser(prog="make study", description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=-1, help="processes; -1 is every core")
    parser.add_argument("--scheduler", help="address of a Dask scheduler, tcp://…")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 … n − 1 of each weighting")
    parser.add_argument("--steps", type=int, default=Plan.n_steps, help="training steps of a run")
    parser.add_argument("--samples", type=int, default=Plan.n_samples, help="images drawn of each")
    parser.add_argument("--weightings", nargs="+", default=list(WEIGHTINGS), metavar="NAME")
    parser.add_argument("--runs", default=".study", help="folder of the single runs")
    parser.add_argument(
        "--out", default=str(files("course_utils") / "data"), help="results' folder"
    )
    given = parser.parse_args(arguments)
    plan = Plan(n_steps=given.steps, n_samples=given.samples)
    seeds = range(given.seeds)
    total = len(seeds) * len(given.weightings)
    runs = run_all(
        plan, given.weightings, seeds, given.runs, jobs=given.jobs, scheduler=given.scheduler
    )
    finished = []
    for result in progress(runs, total, "study"):
        finished.append(result)
        if not sys.stderr.isatty():
            bits = result["bits"]["total"][0]
            name, seed = result["weighting"], result["seed"]
            print(f"{len(finished)}/{total} {name}, seed {seed}: {bits:.3f} bits/dim", flush=True)
    write_results(plan, finished, given.out)
    if given.seeds > 1:
        print("\n".join(table(load_results(given.out))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
