"""A trial of your own weighting: one hypothesis, fixed before its runs, and what they say of it.

    hypothesis = Hypothesis("…", "eta0.frechet", "higher", "sigmoid_2", by=0.3, seeds=range(5, 15))
    trial = register(hypothesis, w)     # written down; after its first run it cannot be changed
    finding = trial.judge(trial.run())  # resumes where it was interrupted
    print(write_up(finding, reason="…"))

A trial trains the network of the study with w and with one weighting of the study, the comparator,
from the same seeds, and looks at the difference of one held-out measure, seed by seed. Both are
trained on the machine at hand: a seed stands for the same numbers on one kind of processor only, so
that the study's stored runs, made elsewhere, cannot be paired with new ones.

The two examples of notebook 08 come with their runs; ``python -m
course_utils.training.preregistration`` makes them again.
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

from course_utils._checks import require_known
from course_utils.classroom.progress import progress
from course_utils.training import study
from course_utils.training.study import WEIGHTINGS, Plan, Summary
from course_utils.weightings import KNOTS, bent, evaluate, is_monotone

FOLDER = ".study/own"  # below the folder of the notebook
JUDGED = ("frechet", "precision", "recall", "memorised")
HELD_OUT = ("bits.total", *(f"{eta}.{measure}" for eta in ("eta0", "eta1") for measure in JUDGED))
DIRECTIONS = ("lower", "higher")
SHORT = Plan(n_steps=300)  # for a lesson
STORED = "trial_examples.json"


@dataclass(frozen=True)
class Hypothesis:
    """What is expected of your own weighting, so exactly that it can turn out wrong.

    ``claim``: a sentence. ``measure``, one of ``HELD_OUT``, of your weighting will be "lower" or
    "higher" (``direction``) than that of ``versus``, a key of ``study.WEIGHTINGS``, by at least
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
        object.__setattr__(self, "seeds", tuple(int(seed) for seed in self.seeds))
        object.__setattr__(self, "by", float(self.by))
        require_known("held-out measure", self.measure, HELD_OUT)
        require_known("direction", self.direction, DIRECTIONS)
        require_known("weighting of the study", self.versus, tuple(WEIGHTINGS))
        if not self.claim.strip():
            raise ValueError("the claim is empty: say in a sentence what you expect")
        if not 0 <= self.by < np.inf:
            raise ValueError(f"by must be a finite number of at least 0, got {self.by}")
        if not len(self.seeds) == len(set(self.seeds)) >= 2 or min(self.seeds) < 0:
            raise ValueError(f"need at least 2 different seeds from 0 on, got {self.seeds}")

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
    low, high = difference.low, difference.high
    if direction == "lower":
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
    groups = study.by_weighting(results or study.load_results())
    own = groups.pop(require_known("weighting of the study", versus, tuple(groups)))
    found = [study.differences(runs, own, measure) for runs in groups.values()]
    spread = np.sqrt(np.mean([np.var(each, ddof=1) for each in found]))
    return float(student.ppf(0.975, n_seeds - 1) * spread / np.sqrt(n_seeds))


# --- Fixing -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Trial:
    """A hypothesis about a weighting w under a plan; ``register`` makes it and fixes it."""

    hypothesis: Hypothesis
    w: object
    plan: Plan
    folder: Path

    @property
    def record(self):
        """All that was fixed, as plain numbers and text: hypothesis, plan, and w by its values."""
        hypothesis = asdict(self.hypothesis) | {"seeds": list(self.hypothesis.seeds)}
        weighting = fingerprint(self.w, self.plan)
        return {"hypothesis": hypothesis, "weighting": weighting, "plan": _settings(self.plan)}

    @property
    def key(self):
        """Ten characters that change with anything in ``record``."""
        return hashlib.sha256(json.dumps(self.record, sort_keys=True).encode()).hexdigest()[:10]

    @property
    def name(self):
        """The weighting's name."""
        return getattr(self.w, "name", getattr(self.w, "__name__", "own"))

    @property
    def names(self):
        """The names of its runs, own and comparator; another w has another one."""
        return f"own_{fingerprint(self.w, self.plan)}", self.hypothesis.versus

    @property
    def stored(self):
        """The stored runs, if this is one of the course's own examples; else None."""
        return next((e["runs"] for e in _stored() if e["record"] == self.record), None)

    @property
    def seal(self):
        """The file that holds the hypothesis from when it was fixed."""
        return self.folder / "hypotheses" / f"{self.key}.json"

    def run(self, jobs=1):
        """Train and measure what is missing, with a progress bar; return the results of all runs.

        Interrupt it when you like: finished runs stay. ``jobs`` processes share the work. Raises
        ``ValueError`` unless the hypothesis was fixed.
        """
        self._require_fixed()
        if self.stored:
            return list(self.stored)
        seeds, own = self.hypothesis.seeds, {self.names[0]: self.w}
        calls = [(self.plan, name, seed) for seed in seeds for name in self.names]
        runs = study.run_all(calls, self.folder, own=own, jobs=jobs)
        return [found[-1] for found in progress(runs, 2 * len(seeds), "runs")]

    def judge(self, runs):
        """Return the ``Result`` of the hypothesis that was fixed, and of no other.

        Raises ``ValueError`` if it was not fixed, if a run is missing or there twice, or if the
        runs come from two kinds of machine or two versions of the code, so that seeds do not pair.
        """
        self._require_fixed()
        groups = [[r for r in runs if r["weighting"] == name] for name in self.names]
        for name, group in zip(self.names, groups, strict=True):
            if sorted(r["seed"] for r in group) != sorted(self.hypothesis.seeds):
                raise ValueError(
                    f"{name}: need one run for each of seeds {_listed(self.hypothesis.seeds)}, "
                    f"got seeds {sorted(r['seed'] for r in group)}: let trial.run() finish"
                )
        for kind in ("machine", "code"):
            if len(made_by := sorted({r[kind] for group in groups for r in group})) > 1:
                raise ValueError(
                    f"these runs come from more than one {kind}, {' and '.join(made_by)}, where a "
                    "seed is not the same run. Delete one kind and run again"
                )
        difference = study.compare(*groups, self.hypothesis.measure)
        said = verdict(difference, self.hypothesis.direction, self.hypothesis.by)
        return Result(self, *groups, difference, said)

    def _require_fixed(self):
        if not self.stored and _read(self.seal) != self.record:
            raise ValueError(
                f"hypothesis {self.key} was not fixed: use register(hypothesis, w) first"
            )

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

    To fix the same again is to go on with it. Before its first run, another hypothesis about the
    same w, plan and seeds takes its place; afterwards that is refused with a ``ValueError``: its
    results have been seen. ``plan`` is the study's where none is given.
    """
    trial = Trial(hypothesis, w, plan or Plan(), Path(folder))
    record = trial.record
    if trial.stored or _read(trial.seal) == record:
        return trial
    rivals = [
        (path, r)
        for path, r in _records(trial.folder)
        if all(r[part] == record[part] for part in ("weighting", "plan"))
        and set(r["hypothesis"]["seeds"]) & set(hypothesis.seeds)
    ]
    if seen := _seen(trial, hypothesis.seeds):
        old = [r for _, r in rivals if set(r["hypothesis"]["seeds"]) & set(seen)]
        raise ValueError(_refusal(seen, old[0]["hypothesis"] if old else {}, record["hypothesis"]))
    for path, rival in rivals:  # none of them a stored example: those have been run
        if not _seen(trial, rival["hypothesis"]["seeds"]):
            path.unlink()
    sealed = record | {"fixed": time.strftime("%Y-%m-%d %H:%M")}
    study.write_whole(trial.seal, json.dumps(sealed))
    return trial


def _settings(plan):
    return json.loads(json.dumps(asdict(plan)))


def fingerprint(w, plan):
    """Return eight characters that change with the shape of w on the plan's levels.

    w at 65 levels, divided by its largest value there and rounded to four digits: a factor before
    w changes nothing. Raises ``ValueError`` for a w that is negative, not finite or zero.
    """
    values = evaluate(w, np.linspace(plan.log_snr_min, plan.log_snr_max, 65))
    if not values.max() > 0:
        raise ValueError("w is zero at all levels: nothing would be learnt")
    text = " ".join(f"{value:.3e}" for value in values / values.max())
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _seen(trial, seeds):
    """Those of the seeds from which the trial's weighting was run already, by whatever code."""
    place, own = trial.folder / trial.plan.key, trial.names[0]
    examples = [e["runs"] for e in _stored() if e["record"]["plan"] == trial.record["plan"]]
    stored = {r["seed"] for runs in examples for r in runs if r["weighting"] == own}
    return [s for s in sorted(seeds) if s in stored or any(place.glob(f"{own}-{s}.*json"))]


def _refusal(seen, old, new):
    """Why a hypothesis is too late, and in what it differs from the earlier one."""
    changes = [f"{k} was {old[k]!r}, now {new[k]!r}" for k in old if old[k] != new[k]]
    under = f" under another one ({'; '.join(changes)})" if changes else ""
    fresh = max(*seen, *new["seeds"]) + 1
    return (
        f"this hypothesis comes after its results: seeds {_listed(seen)} of this weighting have "
        f"been run{under}. Go back to what was fixed, or test the new hypothesis on fresh seeds, "
        f"such as range({fresh}, {fresh + len(new['seeds'])})"
    )


def _records(folder):
    """All that was fixed, in the folder and in the stored examples: (path or None, record)."""
    yield from ((path, _read(path)) for path in (folder / "hypotheses").glob("*.json"))
    yield from ((None, example["record"]) for example in _stored())


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


class Report(str):
    """A finished report in Markdown, which a notebook shows set."""

    __slots__ = ()
    __repr__ = str.__str__

    def _repr_markdown_(self):
        return str(self)

    def save(self, path):
        """Write it to a file, such as "report.md"."""
        Path(path).write_text(self + "\n", encoding="utf-8")


def compared(finding, measures=HELD_OUT):
    """Return {measure: (own, comparator, difference)}, each a ``Summary`` over the seeds."""
    return {
        measure: (
            study.summary(finding.own, measure),
            study.summary(finding.others, measure),
            study.compare(finding.own, finding.others, measure),
        )
        for measure in measures
    }


def write_up(finding, *, reason, not_shown=(), results=None):
    """Return the ``Report`` of a finding: what was fixed, what came out, and what was not shown.

    ``reason``: why this was to be expected, a sentence or two. ``not_shown``: sentences of your
    own beside those that hold for every trial. ``results`` of the study, for the floor.
    """
    if not reason.strip():
        raise ValueError("the reason is empty: why was the claim to be expected?")
    trial, hypothesis, plan = finding.trial, finding.trial.hypothesis, finding.trial.plan
    monotone = is_monotone(trial.w, plan.log_snr_min, plan.log_snr_max)
    rows = {
        "claim": hypothesis.claim,
        "why": reason,
        "weighting": f"{trial.name} ({'monotone' if monotone else 'not monotone'})",
        "fixed before any run": f"`{trial.key}`: {hypothesis}",
        "training": f"{plan.n_steps} steps a run, {len(hypothesis.seeds)} seeds each; "
        f"all on one kind of machine ({finding.own[0]['machine']})",
        "result": f"own − {hypothesis.versus} = {_signed(finding.difference)}",
        "verdict": f"**{finding.verdict}**",
    }
    lines = [f"### Report: {trial.name}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {text} |" for name, text in rows.items()]
    lines += ["", f"| measure | own | {hypothesis.versus} | difference, 95 % interval | real |"]
    lines += ["|---|---|---|---|---|"]
    floor = _floor(plan, results or study.load_results())
    for measure, (own, other, difference) in compared(finding).items():
        bold = "**" if measure == hypothesis.measure else ""
        real = floor.get(measure.split(".")[1])  # bits have none
        cells = (
            f"{bold}{measure}{bold}",
            f"{own.mean:.3f}",
            f"{other.mean:.3f}",
            f"{bold}{_signed(difference)}{bold}",
            f"{real[0]:.3f}" if real else "–",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "The measure in bold decides; the others say at what price. Not shown:", ""]
    return Report("\n".join([*lines, *(f"- {text}" for text in (*not_shown, *_limits(finding)))]))


def _limits(finding):
    """What no trial of this kind shows, and what this one does not."""
    yield "That it holds for other data, larger networks or longer training: none were tried."
    yield "Anything about the other measures: their intervals were not asked for beforehand."
    if finding.verdict == "undecided":
        yield "Which of the two it is: more seeds, fixed beforehand again, might tell."
    if finding.trial.plan != Plan():
        yield "A comparison with the study of ten weightings, which has another plan."
    tested = len(list(finding.trial.seal.parent.glob("*.json")))
    if tested > 1 and not finding.trial.stored:
        yield f"That it is more than luck among {tested} trials of this folder: tell of all."


def _floor(plan, results):
    """The stored floor, if it is that of the plan's numbers of images; else none."""
    stored = next(iter(results["plans"].values()))
    same = all(
        getattr(plan, n) == stored.get(n, "digits") for n in ("data", "n_samples", "held_out")
    )
    return results["floor"] if same else {}


def _signed(summary):
    return f"{summary.mean:+.3f} [{summary.low:+.3f}, {summary.high:+.3f}]"


# --- The examples -------------------------------------------------------------------------------


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
    texts = []
    for hypothesis, w in examples():
        trial = Trial(hypothesis, w, Plan(n_steps=given.steps), Path(given.runs))
        names, seeds, own = trial.names, hypothesis.seeds, {trial.names[0]: w}
        calls = [(trial.plan, name, seed) for seed in seeds for name in names]
        made = study.run_all(calls, given.runs, own=own, jobs=given.jobs)
        runs = sorted(
            (found[-1] for found in progress(made, 2 * len(seeds), trial.key)),
            key=lambda r: (names.index(r["weighting"]), r["seed"]),
        )
        # twelve samples of each weighting are enough
        runs = [r if r["seed"] == seeds[0] else r | {"sheets": {}} for r in runs]
        texts.append(study.a_line_a_run({"record": trial.record}, runs))
    about = "The examples of notebook 08; made by python -m course_utils.training.preregistration."
    text = f'{{"about": "{about}", "trials": [\n' + ",\n".join(texts) + "\n]}\n"
    study.write_whole(Path(given.out) / STORED, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
