"""A trial of one's own weighting: one hypothesis, fixed before its runs, and what they say of it.

    hypothesis = Hypothesis("…", "eta0.frechet", "higher", "sigmoid_2", by=0.3, seeds=range(5, 15))
    trial = register(hypothesis, w)          # written down; from now on it cannot be changed
    finding = trial.judge(trial.run())  # resumes where it was interrupted
    print(write_up(finding, reason="…"))

A trial trains the network of the study with w and with one weighting of the study, the comparator,
from the same seeds, and looks at the difference of one held-out measure, seed by seed. Both are
trained on the machine at hand: a seed stands for the same numbers on one kind of processor only, so
that the study's stored runs, made elsewhere, cannot be paired with new ones.

``register`` refuses a hypothesis whose results have been seen. The two examples of notebook 08 come with
their runs; ``python -m course_utils.training.preregistration`` makes them again.
"""

import argparse
import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache
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
)
from course_utils.classroom.progress import progress
from course_utils.training import study
from course_utils.training.study import WEIGHTINGS, Plan, Summary
from course_utils.weightings import bent, evaluate, is_monotone

FOLDER = ".study/own"  # below the folder of the notebook
HELD_OUT = ("bits.total", *(measure for measure in study.MEASURED if measure.startswith("eta")))
DIRECTIONS = ("lower", "higher")
SHORT = Plan(n_steps=300, n_levels=32, bootstraps=20)  # for a lesson
STORED = "trial_examples.json"


@dataclass(frozen=True)
class Hypothesis:
    """What is expected of one's own weighting, so exactly that it can turn out wrong.

    ``claim``: a sentence. ``measure``, one of ``HELD_OUT``, of one's own weighting will be "lower"
    or "higher" (``direction``) than that of ``versus``, a key of ``study.WEIGHTINGS``, by at least
    ``by`` ≥ 0, the smallest difference of interest, on average over training runs. ``seeds``, at
    least two, are those of the runs that decide it. Raises ``ValueError`` for anything else.
    """

    claim: str
    measure: str
    direction: str
    versus: str
    by: float
    seeds: tuple

    def __post_init__(self):
        seeds = tuple(require_seed(seed) for seed in listed("seeds", self.seeds))
        object.__setattr__(self, "seeds", seeds)
        object.__setattr__(self, "by", real_number("by", self.by))
        if not require_kind("claim", self.claim, str, "write a sentence").strip():
            raise ValueError(
                f"the claim is empty, got {self.claim!r}: say in a sentence what you expect"
            )
        if str(self.measure).startswith("bits_train"):
            raise ValueError("bits_train is of training images: choose a held-out measure")
        for kind, value, known in (
            ("held-out measure", self.measure, HELD_OUT),
            ("direction", self.direction, DIRECTIONS),
            ("weighting of the study", self.versus, tuple(WEIGHTINGS)),
        ):
            require_known(kind, value, known)
        if self.by < 0:
            raise ValueError(f"by must be a finite number of at least 0, got {self.by}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must be different whole numbers from 0 on, got {self.seeds}")
        require_count("number of seeds", len(self.seeds), least=2)

    def __str__(self):
        amount = f"by at least {self.by:g}" if self.by else "by any amount"
        return (
            f"{self.measure} of my weighting is {self.direction} than that of {self.versus}, "
            f"{amount}, over seeds {_listed(self.seeds)}"
        )


def verdict(difference, direction, by):
    """Return "supported", "not supported" or "undecided" for a claimed difference.

    ``difference``: the ``Summary`` of own − comparator. The claim is that it is at least ``by`` in
    its ``direction``. Supported: its whole 95 % interval is there. Not supported: the whole
    interval is not. Undecided: the interval has a part on each side of the claim's threshold.
    """
    require_kind("difference", difference, Summary, "see study.compare")
    by, low, high = real_number("by", by), difference.low, difference.high
    if require_known("direction", direction, DIRECTIONS) == "lower":
        low, high = -high, -low
    if low >= by:
        return "supported"
    return "not supported" if high < by else "undecided"


def expected_reach(measure, versus, n_seeds, results=None):
    """Return half the length of the 95 % interval to be expected of a difference over n seeds.

    t_{0.975, n−1} s/√n, where s is the spread over seeds of measure(other) − measure(versus), the
    root mean square over the other nine weightings of the stored study. To be looked at before the
    number of seeds is chosen: a smaller difference than this will hardly be told from none.
    """
    require_count("n_seeds", n_seeds, least=2)
    groups = study.by_weighting(results or study.load_results())
    require_known("weighting of the study", versus, tuple(groups))
    own, others = groups[versus], [runs for name, runs in groups.items() if name != versus]
    spreads = []
    for runs in others:
        found = study.compare(runs, own, measure)
        n = found.seeds
        spreads.append((found.high - found.mean) * np.sqrt(n) / student.ppf(0.975, n - 1))
    spread = np.sqrt(np.mean(np.square(spreads)))
    return float(student.ppf(0.975, n_seeds - 1) * spread / np.sqrt(n_seeds))


# --- Fixing -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Trial:
    """A fixed hypothesis about a weighting w under a plan; made by ``register``."""

    hypothesis: Hypothesis
    w: object
    plan: Plan
    folder: Path

    @property
    def record(self):
        """All that was fixed, as plain numbers and text: hypothesis, plan, and w by its values."""
        hypothesis = asdict(self.hypothesis) | {"seeds": list(self.hypothesis.seeds)}
        return {
            "hypothesis": hypothesis,
            "weighting": fingerprint(self.w, self.plan),
            "plan": self.plan.settings(),
        }

    @property
    def key(self):
        """Ten characters that change with anything in ``record``."""
        return hashlib.sha256(json.dumps(self.record, sort_keys=True).encode()).hexdigest()[:10]

    @property
    def name(self):
        """The weighting's name."""
        return getattr(self.w, "name", getattr(self.w, "__name__", "own"))

    @property
    def own(self):
        """The name of its runs; another w has another one."""
        return f"own_{fingerprint(self.w, self.plan)}"

    @property
    def stored(self):
        """The stored runs, if this is one of the course's own examples; else None."""
        return next((e["runs"] for e in _stored() if e["record"] == self.record), None)

    @property
    def finished(self):
        """Of its 2 · seeds runs, those that are there: {(run's name, seed)}."""
        if self.stored:
            return {(r["weighting"], r["seed"]) for r in self.stored}
        tasks = {(n, s) for n in (self.own, self.hypothesis.versus) for s in self.hypothesis.seeds}
        place = self.folder / self.plan.key
        return {(n, s) for n, s in tasks if (place / f"{n}-{s}.json").exists()}

    def run(self, jobs=1, batched=1):
        """Train and measure what is missing, with a progress bar; return the results of all runs.

        Interrupt it when you like: finished runs stay. ``jobs`` processes share the work, and each
        trains ``batched`` runs at once, which suits a GPU. Raises ``ValueError`` unless the
        hypothesis was fixed.
        """
        self._require_fixed()
        if self.stored:
            return list(self.stored)
        names = (self.own, self.hypothesis.versus)
        runs = study.run_all(
            self.plan,
            names,
            self.hypothesis.seeds,
            self.folder,
            own={self.own: self.w},
            jobs=jobs,
            batched=batched,
        )
        return list(progress(runs, 2 * len(self.hypothesis.seeds), "runs"))

    def judge(self, runs):
        """Return the ``Result`` of the hypothesis that was fixed, and of no other.

        Raises ``ValueError`` if it was not fixed, if a run is missing or there twice, or if the
        runs come from two kinds of machine, so that seeds do not pair.
        """
        self._require_fixed()
        own, others = (
            [r for r in runs if r["weighting"] == name]
            for name in (self.own, self.hypothesis.versus)
        )
        for name, group in ((self.own, own), (self.hypothesis.versus, others)):
            if sorted(r["seed"] for r in group) != sorted(self.hypothesis.seeds):
                raise ValueError(
                    f"{name}: need one run for each of seeds {_listed(self.hypothesis.seeds)}, "
                    f"got seeds {sorted(r['seed'] for r in group)}: let trial.run() finish"
                )
        machines = sorted({r["machine"] for r in (*own, *others)})
        if len(machines) > 1:
            raise ValueError(
                f"these runs come from {' and '.join(machines)}: a seed is the same run on one "
                "kind of processor only. Delete one kind and run again"
            )
        difference = study.compare(own, others, self.hypothesis.measure)
        said = verdict(difference, self.hypothesis.direction, self.hypothesis.by)
        return Result(self, own, others, difference, said)

    def _require_fixed(self):
        if self.stored:
            return
        if _read(self._seal) != self.record:
            raise ValueError(
                f"hypothesis {self.key} was not fixed: use register(hypothesis, w) first"
            )

    @property
    def _seal(self):
        return self.folder / "hypotheses" / f"{self.key}.json"

    def __str__(self):
        return f"{self.key}: {self.hypothesis}"


class Result(NamedTuple):
    """What a trial found: its runs, the difference own − comparator, and the verdict."""

    trial: Trial
    own: list
    others: list
    difference: Summary
    verdict: str


def register(hypothesis, w, plan=None, folder=FOLDER):
    """Write the hypothesis about the weighting w down, before its first run; return the ``Trial``.

    To fix the same again is to go on with it. Another hypothesis about the same w and plan is
    refused with a ``ValueError`` once a run of w from one of its seeds is there: its results have
    been seen. ``plan`` is the study's unless told; its own folder of runs is below ``folder``.
    """
    require_kind("hypothesis", hypothesis, Hypothesis, "write one first")
    trial = Trial(hypothesis, w, Plan() if plan is None else plan, Path(folder))
    if trial.stored or _read(trial._seal) == trial.record:
        return trial
    seen, earlier = _seen(trial)
    if seen:
        raise ValueError(
            f"this hypothesis comes after its results: seeds {_listed(seen)} of this weighting "
            f"have been run{_what_differs(earlier, trial.record)}. Go back to what was fixed, or "
            f"test the new hypothesis on fresh seeds, such as {_fresh(trial, seen)}"
        )
    trial._seal.parent.mkdir(parents=True, exist_ok=True)
    study._write(trial._seal, json.dumps(trial.record | {"fixed": time.strftime("%Y-%m-%d %H:%M")}))
    return trial


def fingerprint(w, plan):
    """Return eight characters that change with the shape of w on the plan's levels.

    w at 65 levels, divided by its largest value there and rounded to four digits: a factor before
    w changes nothing. Raises ``ValueError`` for a w that is negative, not finite or zero.
    """
    require_kind("plan", plan, Plan, "such as Plan(n_steps=300)")
    values = evaluate(w, np.linspace(plan.log_snr_min, plan.log_snr_max, 65))
    if not values.max() > 0:
        raise ValueError("w is zero at all levels: nothing would be learnt")
    text = " ".join(f"{value:.3e}" for value in values / values.max())
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _seen(trial):
    """The trial's seeds from which w was run already, and the records under which."""
    runs = trial.finished
    records = [r for path in trial._seal.parent.glob("*.json") if (r := _read(path))]
    for stored in _stored():
        records.append(stored["record"])
        if stored["record"]["plan"] == trial.record["plan"]:
            runs = runs | {(r["weighting"], r["seed"]) for r in stored["runs"]}
    seen = {s for name, s in runs if name == trial.own} & set(trial.hypothesis.seeds)
    same = ("weighting", "plan")
    earlier = [
        r
        for r in records
        if all(r[part] == trial.record[part] for part in same)
        and seen & set(r["hypothesis"]["seeds"])
    ]
    return sorted(seen), earlier


def _what_differs(earlier, record):
    if not earlier:
        return ""
    old, new = earlier[0]["hypothesis"], record["hypothesis"]
    changes = [
        f"{part} was {old[part]!r}, now {new[part]!r}" for part in old if old[part] != new[part]
    ]
    return f" under another one ({'; '.join(changes)})"


def _fresh(trial, seen):
    start = max((*seen, *trial.hypothesis.seeds)) + 1
    return f"range({start}, {start + len(trial.hypothesis.seeds)})"


def _read(path):
    """What was fixed in a file, without the date; None where there is none."""
    if not path.exists():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    return {part: record[part] for part in ("hypothesis", "weighting", "plan")}


def _listed(seeds):
    """5 to 14, or 0, 3, 7."""
    seeds = sorted(seeds)
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(str(seed) for seed in seeds)


# --- Reporting ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """A finished report in Markdown, which a notebook shows set."""

    text: str

    def __str__(self):
        return self.text

    __repr__ = __str__

    def _repr_markdown_(self):
        return self.text

    def save(self, path):
        """Write it to a file, such as "report.md"."""
        Path(path).write_text(self.text + "\n", encoding="utf-8")


def compared(finding, measures=HELD_OUT):
    """Return {measure: (own, comparator, difference)}, each a ``Summary`` over the seeds."""
    return {
        measure: (
            study.summary(finding.own, measure),
            study.summary(finding.others, measure),
            study.compare(finding.own, finding.others, measure),
        )
        for measure in listed("measures", measures)
    }


def write_up(finding, *, reason, not_shown=(), results=None):
    """Return the ``Report`` of a finding: what was fixed, what came out, and what was not shown.

    ``reason``: why this was to be expected, a sentence or two. ``not_shown``: sentences of your
    own beside those that hold for every trial. ``results`` of the study, for the floor.
    """
    if not require_kind("reason", reason, str, "write a sentence").strip():
        raise ValueError(f"reason is empty, got {reason!r}: why was the claim to be expected?")
    for i, text in enumerate(not_shown := listed("not_shown", not_shown)):
        require_kind(f"not_shown[{i}]", text, str, "write a sentence")
    trial, hypothesis = finding.trial, finding.trial.hypothesis
    low, high = trial.plan.log_snr_min, trial.plan.log_snr_max
    monotone = "monotone" if is_monotone(trial.w, low, high) else "not monotone"
    floor = _floor(trial.plan, results or study.load_results())
    rows = {
        "claim": hypothesis.claim,
        "why": reason,
        "weighting": f"{trial.name} ({monotone})",
        "fixed before any run": f"`{trial.key}`: {hypothesis}",
        "training": f"{trial.plan.n_steps} steps a run, {len(hypothesis.seeds)} seeds each; "
        f"all on one kind of machine ({finding.own[0]['machine']})",
        "result": f"own − {hypothesis.versus} = {_signed(finding.difference)}",
        "verdict": f"**{finding.verdict}**",
    }
    lines = [f"### Report: {trial.name}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in rows.items()]
    lines += ["", f"| measure | own | {hypothesis.versus} | difference, 95 % interval | real |"]
    lines += ["|---|---|---|---|---|"]
    for measure, (own, other, difference) in compared(finding).items():
        bold = "**" if measure == hypothesis.measure else ""
        real = floor.get(measure.split(".")[1]) if "eta" in measure else None
        cells = (
            f"{bold}{measure}{bold}",
            f"{own.mean:.3f}",
            f"{other.mean:.3f}",
            f"{bold}{_signed(difference)}{bold}",
            "–" if real is None else f"{real[0]:.3f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "The measure in bold decides; the others say at what price. Not shown:", ""]
    return Report("\n".join([*lines, *(f"- {text}" for text in (*not_shown, *_limits(finding)))]))


def _floor(plan, results):
    """The stored floor, if it is that of the plan's numbers of images; else none."""
    of_study = Plan(**results["plan"])
    same = all(getattr(plan, n) == getattr(of_study, n) for n in ("data", "n_samples", "held_out"))
    return results["floor"] if same else {}


def _limits(finding):
    """What no trial of this kind shows, and what this one does not."""
    trial = finding.trial
    yield "That it holds for other data, larger networks or longer training: none were tried."
    yield "Anything about the other measures: their intervals were not asked for beforehand."
    if finding.verdict == "undecided":
        yield "Which of the two it is: more seeds, fixed beforehand again, might tell."
    if trial.plan != Plan():
        yield "A comparison with the study of ten weightings, which has another plan."
    tested = _tested(trial.folder)
    if tested > 1 and not trial.stored:
        yield (
            f"That it is more than luck among {tested} trials, all run in this folder: tell of "
            "all of them."
        )


def _tested(folder):
    """How many trials of the folder have runs; one changed before its first run counts once."""
    found = set()
    for record in filter(None, map(_read, (folder / "hypotheses").glob("*.json"))):
        seeds, plan = record["hypothesis"]["seeds"], Plan(**record["plan"])
        name = f"own_{record['weighting']}"
        if any((folder / plan.key / f"{name}-{seed}.json").exists() for seed in seeds):
            found.add((plan.key, name, *seeds))
    return len(found)


def _signed(summary):
    return f"{summary.mean:+.3f} [{summary.low:+.3f}, {summary.high:+.3f}]"


# --- The examples -------------------------------------------------------------------------------

KNOTS = (-9, -6, -3, 0, 3, 6, 9)  # those of the weighting panel


def examples():
    """Return the worked examples [(hypothesis, w), …]: noisy levels neglected, twice.

    The second was fixed when the first had been seen: bits had fallen, and nobody had asked.
    """
    w = bent(WEIGHTINGS["sigmoid_2"], KNOTS, (-2.0, -2.0, -2.0, 0.0, 0.0, 0.0, 0.0))
    first = Hypothesis(
        claim="Neglecting the noisy levels spoils the samples of DDIM",
        measure="eta0.frechet",
        direction="higher",
        versus="sigmoid_2",
        by=0.3,
        seeds=range(5, 15),
    )
    second = Hypothesis(
        claim="Neglecting the noisy levels lowers the bits: capacity goes where errors are",
        measure="bits.total",
        direction="lower",
        versus="sigmoid_2",
        by=0.0,
        seeds=range(15, 25),
    )
    return [(first, w), (second, w)]


@cache
def _stored(place=study.DATA):
    """The stored examples, [{record, runs}]; none where there is no file."""
    path = place / STORED
    return json.loads(path.read_text(encoding="utf-8"))["trials"] if path.is_file() else []


def main(arguments=None):
    """Make the examples' runs again and store them in the package; returns 0."""
    parser = argparse.ArgumentParser(description="Run the worked examples of notebook 08.")
    parser.add_argument("--jobs", type=int, default=1, help="processes; -1 is every core")
    parser.add_argument("--runs", default=".study/examples", help="folder of the single runs")
    parser.add_argument("--out", default=str(study.DATA), help="folder of the result")
    parser.add_argument("--steps", type=int, default=Plan.n_steps, help="training steps of a run")
    given = parser.parse_args(arguments)
    plan, trials = Plan(n_steps=given.steps), []
    for hypothesis, w in examples():
        trial = Trial(hypothesis, w, plan, Path(given.runs))
        names, own = (trial.own, hypothesis.versus), {trial.own: w}
        runs = []
        for found in study.run_all(
            plan, names, hypothesis.seeds, trial.folder, own=own, jobs=given.jobs
        ):
            if found["seed"] != hypothesis.seeds[0]:
                found = found | {"sheets": {}}  # twelve samples of each weighting are enough
            runs.append(found)
            print(f"{trial.key} {found['weighting']}, seed {found['seed']}", flush=True)
        runs.sort(key=lambda r: (names.index(r["weighting"]), r["seed"]))
        lines = ",\n".join(json.dumps(r, ensure_ascii=False) for r in runs)
        head = json.dumps({"record": trial.record}, ensure_ascii=False)[:-1]
        trials.append(f'{head}, "runs": [\n{lines}\n]}}')
    about = "The examples of notebook 08; made by python -m course_utils.trial."
    text = f'{{"about": "{about}", "trials": [\n' + ",\n".join(trials) + "\n]}\n"
    study._write(Path(given.out) / STORED, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
