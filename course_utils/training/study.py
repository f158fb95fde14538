"""The study: one network, one budget, ten weightings, five seeds, measured on held-out images.

    make study                                   resumes where it was interrupted
    make study STUDY_ARGS="--jobs 8"             on eight cores
    make study STUDY_ARGS="--scheduler tcp://…"  on a Dask cluster (distributed is installed)
    make study STUDY_ARGS="--batched 10"         ten runs trained at once: what a GPU gets unasked
    make study STUDY_ARGS="--data fashion"       28×28 images, where they are installed

Every finished run is a file of its own, so an interruption loses only the runs under way. When all
are there, the results go into two small files: ``study_digits.json`` and the sheets of samples
``study_digits.npz``. ``load_results`` and ``load_sheets`` read them; no torch is needed for that.

One run trains on 1297 digits and measures on 500 held-out ones, each number with a standard error
over images (``distances.bootstrap``), beside a floor: real training images in place of samples.
Fashion-MNIST has 60,000 images of its own to train on; see ``datasets.labelled_fashion``.
"""

import argparse
import base64
import hashlib
import io
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from course_utils._checks import (
    listed,
    real_number,
    require_count,
    require_kind,
    require_known,
    require_seed,
    require_training,
)
from course_utils.classroom.progress import progress
from course_utils.datasets import IMAGES
from course_utils.objectives import PUBLISHED
from course_utils.schedules import alpha, sigma
from course_utils.training.image_metrics import MEASURES, bits_per_dimension, metrics_for
from course_utils.weightings import Weighting, sigmoid

DATA = files("course_utils") / "data"
ETAS = (0.0, 1.0)  # DDIM and the ancestral sampler
BITS = ("total", "prior", "diffusion", "reconstruction")
MEASURED = (
    *(f"bits.{term}" for term in BITS),
    "bits_train",
    *(f"eta{eta:g}.{measure}" for eta in ETAS for measure in MEASURES),
)
ON_SHEET = 12  # samples kept of each run
LATER = {"data": "digits", "skip": False}  # settings that plans did not have at first
TOGETHER = 10  # runs trained at once on a GPU

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
    is finer than half a grey level, and the decoder of the ELBO takes over. ``data`` is a key of
    ``datasets.IMAGES``; see ``PLANS`` for what suits each.
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
    data: str = "digits"
    skip: bool = False

    def __post_init__(self):
        require_known("set of images", self.data, tuple(IMAGES))
        require_training(self)
        for name, least in {
            "n_samples": 4,
            "sampler_steps": 1,
            "held_out": 4,
            "n_levels": 1,
            "bootstraps": 2,
        }.items():
            require_count(name, getattr(self, name), least)

    def settings(self):
        """Return all settings as a dict, the ``LATER`` ones only where they are not as before.

        So a plan's key and its record stay what they were when settings are added.
        """
        return {k: v for k, v in asdict(self).items() if k not in LATER or v != LATER[k]}

    @property
    def key(self):
        """A short name for these settings."""
        return hashlib.sha256(json.dumps(self.settings()).encode()).hexdigest()[:12]

    @property
    def curve(self):
        """The 16 levels at which the error is kept."""
        return np.linspace(self.log_snr_min + 0.5, self.log_snr_max - 0.5, 16)

    def recipe(self):
        """Return the training part as a ``networks.Recipe``."""
        from course_utils.training.networks import Recipe

        shared = asdict(self)
        return Recipe(**{name: shared[name] for name in Recipe.__match_args__ if name in shared})


PLANS = {
    "digits": Plan(),
    # 256 grey levels are 16 times as fine; 784 dimensions are more than the network's width
    "fashion": Plan(data="fashion", log_snr_max=11.5, skip=True, n_steps=2000),
}


# --- One run ------------------------------------------------------------------------------------


def run(plan, name, seed, w=None, label=None):
    """Train with one weighting and seed, measure, and return a dict of plain numbers and text.

    ``name`` is a key of ``WEIGHTINGS``, or any name for a weighting ``w`` of your own. Keys of the
    result: see ``measured``.
    """
    from course_utils.training.networks import train

    require_kind("plan", plan, Plan, "such as Plan(n_steps=300)")
    require_kind("name", name, str, "it names the runs")
    w = _weighting(name) if w is None else w
    x = metrics_for(plan.data, plan.held_out).train
    start = time.perf_counter()
    model = train(x, w, seed=seed, recipe=plan.recipe(), label=label)
    return measured(plan, name, seed, model, time.perf_counter() - start)


def run_together(plan, tasks):
    """Train the runs (name, seed) or (name, seed, w) at once, and yield each as it is measured.

    Each is what ``run`` makes of it, but for float32 rounding.
    """
    from course_utils.training.batched import train_together

    names, seeds = ([task[i] for task in tasks] for i in (0, 1))
    weightings = [task[2] if len(task) > 2 else _weighting(task[0]) for task in tasks]
    x = metrics_for(plan.data, plan.held_out).train
    start = time.perf_counter()
    models = train_together(x, weightings, seeds, recipe=plan.recipe())
    share = (time.perf_counter() - start) / len(tasks)
    for name, seed, model in zip(names, seeds, models, strict=True):
        yield measured(plan, name, seed, model, share, together=len(tasks))


def measured(plan, name, seed, model, training_seconds, together=1):
    """Return the result of a run, given its ``networks.Trained`` model.

    Keys: weighting, seed, bits (held-out −ELBO in bits per dimension: total and its terms) and
    bits_train (total), each [value, standard error]; noise_error, noise_error_train
    (E‖ε − ε̂‖²/d at the levels ``plan.curve``); eta0 and eta1, ``image_metrics.MEASURES`` of DDIM and
    ancestral samples as [value, standard error]; sheets and side (see ``sheet``); seconds on the
    clock (training, its share where several were trained together, and measuring); together, how
    many these were; machine.
    """
    from course_utils.training.networks import generator_for

    yardstick = metrics_for(plan.data, plan.held_out)
    start = time.perf_counter()
    found = {"weighting": name, "seed": seed, "bits": {}, "sheets": {}}
    held_out, seen = (
        bits_per_dimension(
            model.eps,
            x,
            yardstick.values,
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
    found["noise_error"] = _error_curve(model, yardstick.held_out, plan.curve)
    found["noise_error_train"] = _error_curve(model, yardstick.train[: plan.held_out], plan.curve)
    for eta in ETAS:
        x = model.sample(
            plan.n_samples, generator_for(model, seed), n_steps=plan.sampler_steps, eta=eta
        )
        found[f"eta{eta:g}"] = yardstick.measure(
            yardstick.rounded(x), plan.bootstraps, np.random.default_rng(3)
        )
        kept = yardstick.pixels(x[:ON_SHEET])
        found["sheets"][f"eta{eta:g}"] = base64.b64encode(kept.tobytes()).decode()
    found["side"] = yardstick.images.side
    found["seconds"] = {"training": training_seconds, "measuring": time.perf_counter() - start}
    found |= {"together": together, "machine": _processor()}
    return _rounded(found)


def sheet(result, eta=1):
    """Return the kept samples of a run's result, uint8 grey levels [12, side, side]."""
    side = result.get("side", 8)  # runs of digits did not say so at first
    kept, key = result["sheets"], f"eta{real_number('eta', eta):g}"
    content = base64.b64decode(kept[require_known("sampler", key, tuple(kept))])
    return np.frombuffer(content, np.uint8).reshape(-1, side, side)


def _weighting(name):
    return WEIGHTINGS[require_known("weighting of the study", name, tuple(WEIGHTINGS))]


def _mean(values):
    return [float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))]


def _error_curve(model, x, levels):
    rng = np.random.default_rng(4)
    errors = []
    for level in levels:
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


# --- All runs -----------------------------------------------------------------------------------


def run_all(
    plan, names, seeds, folder, *, own=None, jobs=1, scheduler=None, batched=1, action=None
):
    """Run what is missing in ``folder``, and yield the result of each run as it is finished.

    A generator: runs that a former call finished come first, at once. Each new result is written to
    ``folder`` before it is yielded, in a file that appears whole or not at all. ``jobs`` processes
    of this machine (joblib; −1 for all cores), or with ``scheduler="tcp://…"`` the workers of a
    Dask cluster, which need the course installed and no common disk. ``batched`` runs are trained
    at once in each process. ``own`` maps names that are not keys of ``WEIGHTINGS`` to weightings.
    ``action(plan, name, seed)``, with w as a fourth argument for these, makes one run in place of
    ``run``; with ``batched`` > 1, ``action(plan, tasks)`` makes those of a batch in place of
    ``run_together``.
    """
    require_kind("plan", plan, Plan, "such as Plan(n_steps=300)")
    require_count("batched", batched)
    if not (isinstance(jobs, int) and jobs == -1):
        require_count("jobs, if not -1,", jobs)
    names = listed("names", names)
    seeds = [require_seed(seed) for seed in listed("seeds", seeds)]
    own = require_kind("own", {} if own is None else own, dict, "say {name: weighting}")
    if taken := sorted(own.keys() & WEIGHTINGS.keys()):
        raise ValueError(f"{taken[0]!r} is a weighting of the study: give your own another name")
    for name in names:
        if not (isinstance(name, str) and name in own):
            _weighting(name)
    folder = Path(folder) / plan.key
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [(name, seed) for seed in seeds for name in names]  # seed by seed: early runs compare
    missing = [task for task in tasks if not _file(folder, *task).exists()]
    for task in tasks:
        if task not in missing:
            yield json.loads(_file(folder, *task).read_text(encoding="utf-8"))
    calls = [(*task, own[task[0]]) if task[0] in own else task for task in missing]
    batches = [calls[i : i + batched] for i in range(0, len(calls), batched)]
    work = (action or run_together) if batched > 1 else partial(_one_by_one, action or run)
    for result in _spread(partial(work, plan), batches, jobs, scheduler):
        _write(_file(folder, result["weighting"], result["seed"]), json.dumps(result))
        yield result


def _one_by_one(action, plan, calls):
    for call in calls:
        yield action(plan, *call)


def _spread(work, batches, jobs, scheduler):
    """Yield from ``work(batch)`` of every batch, wherever it is done."""
    if scheduler is not None:
        try:
            from dask.distributed import Client, as_completed
        except ImportError as error:
            raise ImportError("--scheduler needs Dask: pip install distributed") from error
        with Client(scheduler) as client:
            futures = [client.submit(_whole, work, batch, pure=False) for batch in batches]
            for future in as_completed(futures):
                yield from future.result()
        return
    from joblib import Parallel, delayed

    if jobs == 1:
        for batch in batches:
            yield from work(batch)
        return
    spread = Parallel(jobs, return_as="generator_unordered", pre_dispatch="n_jobs")
    for results in spread(delayed(_whole)(work, batch) for batch in batches):
        yield from results


def _whole(work, batch):
    return list(work(batch))


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
    yardstick = metrics_for(plan.data, plan.held_out)
    order = {name: i for i, name in enumerate(WEIGHTINGS)}
    runs = sorted(runs, key=lambda r: (order.get(r["weighting"], len(order)), r["seed"]))
    packages = ("numpy", "scipy", "scikit-learn", "torch")
    machines = sorted({r.get("machine", _processor()) for r in runs})
    apart = ("sheets", "side")  # these go into the npz
    return {
        "about": f"{yardstick.images.title}; {plan.n_steps} steps of {plan.batch} images a run, a "
        f"network of width {plan.width}; made by make study; see course_utils/study.py for each "
        "number.",
        "plan": plan.settings(),
        "seeds": sorted({r["seed"] for r in runs}),
        "curve_log_snr": plan.curve.tolist(),
        "floor": _rounded(yardstick.floor(plan.n_samples)),
        "classifier_accuracy": yardstick.accuracy,
        "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
        "hardware": {
            "processor": ", ".join(machines),
            "cores": os.cpu_count(),
            "threads_per_run": 1,
        },
        "date": time.strftime("%Y-%m-%d"),
        "runs": [{k: v for k, v in r.items() if k not in apart} for r in runs],
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

    The name is that of the plan's data. The npz holds for every weighting and sampler an array
    "name/eta0" or "name/eta1" of uint8 grey levels, [seeds · 12, side, side].
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
    packed = io.BytesIO()
    np.savez_compressed(packed, **sheets)
    _write(folder / f"study_{plan.data}.npz", packed.getvalue())
    _write(folder / f"study_{plan.data}.json", text)


# --- Reading ------------------------------------------------------------------------------------


def load_results(folder=None, data="digits"):
    """Return the stored study's dict (see ``collected``), from the package unless told."""
    return json.loads(_stored(folder, data, "json").read_text(encoding="utf-8"))


def load_sheets(folder=None, data="digits"):
    """Return the stored samples: {(weighting, η): uint8 grey levels [seeds · 12, side, side]}."""
    with _stored(folder, data, "npz").open("rb") as file, np.load(file) as arrays:
        return {(key.split("/eta")[0], float(key.split("/eta")[1])): arrays[key] for key in arrays}


def _stored(folder, data, ending):
    """The path of a file of results, in the package unless a folder is told."""
    place = DATA if folder is None else Path(folder)
    return place / f"study_{require_known('set of images', data, tuple(IMAGES))}.{ending}"


class Summary(NamedTuple):
    """A mean over seeds with its 95 % interval, and the number of seeds."""

    mean: float
    low: float
    high: float
    seeds: int


def value_of(result, measure):
    """Return one number of a run: "bits.total", "bits_train", "eta0.frechet", "eta1.recall", …

    Raises ``ValueError`` for a name that is not among ``MEASURED``, or not among the run's.
    """
    known = [name for name in MEASURED if _found(result, name) is not None]
    return _found(result, require_known("measure", measure, known))[0]


def _found(result, measure):
    """[value, standard error], or None where a run has no such measure."""
    for part in measure.split("."):
        result = result.get(part)
        if result is None:
            return None
    return result


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
    measures = [require_known("measure", m, MEASURED) for m in listed("measures", measures)]
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
    from course_utils.training.networks import gpu_is_here

    parser = argparse.ArgumentParser(prog="make study", description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=tuple(PLANS), default="digits", help="the images")
    parser.add_argument("--jobs", type=int, help="processes; all cores, or one beside a GPU")
    parser.add_argument("--scheduler", help="address of a Dask scheduler, tcp://…")
    parser.add_argument("--batched", type=int, metavar="K", help="train K runs at once")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 … n − 1 of each weighting")
    parser.add_argument("--steps", type=int, help="training steps of a run")
    parser.add_argument("--width", type=int, help="of the network")
    parser.add_argument("--samples", type=int, help="images drawn of each")
    parser.add_argument("--weightings", nargs="+", default=list(WEIGHTINGS), metavar="NAME")
    parser.add_argument("--runs", default=".study", help="folder of the single runs")
    parser.add_argument(
        "--out", default=str(files("course_utils") / "data"), help="results' folder"
    )
    given = parser.parse_args(arguments)
    asked = {"n_steps": given.steps, "width": given.width, "n_samples": given.samples}
    plan = replace(PLANS[given.data], **{k: v for k, v in asked.items() if v is not None})
    on_gpu = given.scheduler is None and gpu_is_here()
    seeds = range(given.seeds)
    total = len(seeds) * len(given.weightings)
    runs = run_all(
        plan,
        given.weightings,
        seeds,
        given.runs,
        jobs=(1 if on_gpu else -1) if given.jobs is None else given.jobs,
        scheduler=given.scheduler,
        batched=(TOGETHER if on_gpu else 1) if given.batched is None else given.batched,
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
        print("\n".join(table(load_results(given.out, plan.data))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
