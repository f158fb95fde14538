"""A trial of your own weighting: one hypothesis, fixed before its runs, and what they say of it.

    hypothesis = Hypothesis("…", "eta0.frechet", "higher", "sigmoid_2", by=0.3, seeds=range(5, 15))
    trial = register(hypothesis, w)     # written down; after its first run it cannot be changed
    finding = trial.judge(trial.run())  # resumes where it was interrupted
    write_up(finding, reason="…", not_shown=["…"], results=study.load_results())

A trial trains a network with w and with one weighting of the study, the comparator, from the same
seeds on one machine, and looks at the difference of one held-out measure, seed by seed.

A seed serves one hypothesis, and the k-th hypothesis of a folder is judged by an interval of
confidence 1 − 0.05/2^(k−1). Where there is no difference, the chance that any of them all comes out
as supported is then at most 0.025 (1 + ½ + ¼ + …) = 5 %, whatever was looked at in between.
"""

import hashlib
import html
import json
import re
from dataclasses import asdict, dataclass, replace
from operator import index
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from course_utils._checks import keep, require_known
from course_utils.classroom.progress import progress
from course_utils.training import study
from course_utils.training.study import COMPARED, WEIGHTINGS, Plan, Summary
from course_utils.weightings import KNOTS, bent, evaluate, is_monotone

FOLDER = ".study/own"  # below the folder of the notebook
JUDGED = ("frechet", "precision", "recall", "memorised")
HELD_OUT = ("bits.total", *(f"{eta}.{measure}" for eta in ("eta0", "eta1") for measure in JUDGED))
SHORT = Plan(n_steps=300)  # the examples' budget: some five seconds a run
STORED = "trial_examples.json"
FRESH = len(study.SEEDS)  # the seeds before it are the study's, whose results have been looked at


@dataclass(frozen=True)
class Hypothesis:
    """What is expected of your own weighting, so exactly that it can turn out wrong.

    ``claim``: a sentence. ``measure``, one of ``HELD_OUT``, of your weighting will be "lower" or
    "higher" (``direction``) than that of ``versus``, one of ``study.COMPARED``, by more than
    ``by`` ≥ 0, on average over training runs. ``seeds``, at least two from 5 on, are those of the
    runs that decide it. Raises ``ValueError`` for anything else.
    """

    claim: str
    measure: str
    direction: str
    versus: str
    by: float
    seeds: tuple

    def __post_init__(self):
        if not (isinstance(self.claim, str) and self.claim.strip()):
            raise ValueError(f"claim must be a sentence, got {self.claim!r}")
        try:
            keep(self, seeds=tuple(map(index, self.seeds)), by=float(self.by))
        except TypeError as error:
            raise ValueError(f"seeds must be whole numbers, and by a number: {error}") from None
        require_known("held-out measure", self.measure, HELD_OUT)
        require_known("direction", self.direction, ("lower", "higher"))
        require_known("weighting of the study", self.versus, COMPARED)
        if not 0 <= self.by < np.inf:
            raise ValueError(f"by must be a finite number of at least 0, got {self.by}")
        if not len(self.seeds) == len(set(self.seeds)) >= 2 or min(self.seeds) < FRESH:
            raise ValueError(
                f"need at least 2 different seeds from {FRESH} on, got {self.seeds}: the results "
                f"of seeds 0 to {FRESH - 1} are in the study and have been seen"
            )

    def __str__(self):
        amount = f"by more than {self.by:g}" if self.by else "by any amount"
        return (
            f"{self.measure} of my weighting is {self.direction} than that of {self.versus}, "
            f"{amount}, over seeds {_listed(self.seeds)}"
        )


def expected_reach(measure, versus, n_seeds, results, steps):
    """Return half the length of the 95 % interval to be expected of a difference over n seeds.

    t_{0.975, n−1} s/√n, where s is the spread over seeds of measure(other) − measure(versus), the
    root mean square over the other weightings of the study's ``results`` after so many ``steps``.
    """
    groups = study.by_weighting(results, steps)
    own = groups.pop(require_known("weighting of the study", versus, COMPARED))
    found = [study.differences(runs, own, measure) for runs in groups.values()]
    spread = np.sqrt(np.mean([np.var(each, ddof=1) for each in found]))
    return float(student.ppf(0.975, n_seeds - 1) * spread / np.sqrt(n_seeds))


def in_study(plan):
    """Return whether the stored study measured networks of this plan, at its number of steps."""
    whole = study.PLANS["digits"]
    alike = plan == replace(whole, n_steps=plan.n_steps, along=plan.along)
    return alike and plan.n_steps in (*whole.along, whole.n_steps)


# --- Fixing -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Trial:
    """A hypothesis about w under a plan, the ``number``-th of a folder; ``register`` makes it."""

    hypothesis: Hypothesis
    w: object
    plan: Plan
    folder: Path
    number: int = 1

    @property
    def record(self):
        """All that was fixed, as plain numbers and text: hypothesis, plan, and w by its values."""
        parts = {"hypothesis": asdict(self.hypothesis), "plan": asdict(self.plan)}
        return json.loads(json.dumps(parts | {"weighting": fingerprint(self.w, self.plan)}))

    @property
    def key(self):
        """Ten characters that change with anything in ``record``."""
        return hashlib.sha256(json.dumps(self.record, sort_keys=True).encode()).hexdigest()[:10]

    @property
    def names(self):
        """The names of its runs, own and comparator; another w has another one."""
        return f"own_{fingerprint(self.w, self.plan)}", self.hypothesis.versus

    @property
    def confidence(self):
        """That of the interval by which it is judged."""
        return 1 - 0.05 / 2 ** (self.number - 1)

    @property
    def stored(self):
        """The stored runs, if this is one of the course's own examples; else None."""
        return next((e["runs"] for e in _stored() if e["record"] == self.record), None)

    def run(self, jobs=1):
        """Train and measure what is missing, in ``jobs`` processes; return the results of all runs.

        Interrupt it when you like: finished runs stay.
        """
        return self.stored or self._train(jobs)

    def _train(self, jobs=1):
        own, versus = self.names
        calls = []
        for seed in self.hypothesis.seeds:
            calls += [(self.plan, own, seed, self.w), (self.plan, versus, seed)]
        runs = study.run_all(calls, self.folder, jobs=jobs)
        return [found[-1] for found in progress(runs, len(calls), "runs" if jobs != 1 else None)]

    def judge(self, runs):
        """Return the ``Result`` of the runs.

        Raises ``ValueError`` if the hypothesis was not fixed, if a run of its plan is missing, or
        if they come from two kinds of machine or two versions of the course.
        """
        if not self.stored and self.record not in _fixed(self.folder).values():
            raise ValueError(
                f"hypothesis {self.key} was not fixed: use register(hypothesis, w) first"
            )
        found = {(r["weighting"], r["seed"]): r for r in runs if r["plan"] == self.plan.key}
        seeds = self.hypothesis.seeds
        own, others = ([found.get((name, seed)) for seed in seeds] for name in self.names)
        if None in own + others:
            raise ValueError("some of its runs are missing: let trial.run() finish")
        if len(makers := sorted({f"{r['machine']} ({r['code']})" for r in own + others})) > 1:
            raise ValueError(
                f"these runs come from more than one machine or code, {' and '.join(makers)}, "
                "where a seed is not the same run. Delete one kind and run again"
            )
        difference = study.compare(own, others, self.hypothesis.measure, self.confidence)
        return Result(self, own, others, difference)

    def __str__(self):
        return f"{self.key}: {self.hypothesis}"


class Result(NamedTuple):
    """What a trial found: its runs and the difference own − comparator, a ``Summary``."""

    trial: Trial
    own: list
    others: list
    difference: Summary

    @property
    def verdict(self):
        """Return "supported", "not supported" or "undecided".

        The claim is that the difference is more than ``by`` in its direction. Supported: its whole
        interval is. Not supported: nothing of it is.
        """
        low, high = self.difference.low, self.difference.high
        if self.trial.hypothesis.direction == "lower":
            low, high = -high, -low
        by = self.trial.hypothesis.by
        return "supported" if low > by else "not supported" if high <= by else "undecided"


def register(hypothesis, w, plan=SHORT, folder=FOLDER):
    """Write the hypothesis about the weighting w down, before its first run; return the ``Trial``.

    To fix the same again is to go on with it. Before its first run, another hypothesis about any of
    its seeds takes its place; afterwards that is refused with a ``ValueError``, and so is a w that
    is the comparator's.
    """
    trial = Trial(hypothesis, w, plan, Path(folder).expanduser())
    seeds = set(hypothesis.seeds)
    record, folder = trial.record, trial.folder
    if record["weighting"] == fingerprint(WEIGHTINGS[hypothesis.versus], plan):
        raise ValueError(f"your weighting is {hypothesis.versus} itself: there is nothing to test")
    about = ("weighting", "plan")
    examples = [e["record"] for e in _stored() if all(e["record"][k] == record[k] for k in about)]
    fixed = _fixed(folder)
    for number, earlier in [*enumerate(examples, 1), *fixed.items()]:
        if earlier == record:
            return replace(trial, number=number)
    clashes = {n: r for n, r in fixed.items() if r and seeds & set(r["hypothesis"]["seeds"])}
    seen = [r for r in examples if seeds & set(r["hypothesis"]["seeds"])]
    earlier = [r["hypothesis"] for r in [*seen, *clashes.values()]]
    seeds = seeds.union(*(h["seeds"] for h in earlier))
    if seen or any(path for seed in seeds for path in folder.glob(f"*/*-{seed}.*.json")):
        raise ValueError(_refusal(record["hypothesis"], earlier, seeds))
    for number in clashes:
        _seal(folder, number).unlink()
    number = min(clashes, default=max(fixed, default=0) + 1)
    study.write_whole(_seal(folder, number), json.dumps(record))
    return replace(trial, number=number)


def _seal(folder, number):
    return folder / "hypotheses" / f"{number:03d}.json"


def _fixed(folder):
    """What was fixed in a folder, {number: record}, None for a damaged file."""
    paths = sorted(_seal(folder, 0).parent.glob("[0-9][0-9][0-9].json"))
    return {int(path.stem): study.read_json(path) for path in paths}


def fingerprint(w, plan):
    """Return eight characters that change with the shape of w on the plan's levels.

    w at 65 levels, divided by its largest value there and rounded to four digits. Raises
    ``ValueError`` for a w that is negative, not finite, zero, or a sum over its levels.
    """
    values = evaluate(w, np.linspace(plan.log_snr_min, plan.log_snr_max, 65))
    if not values.any():
        raise ValueError("w is zero on all levels of training: nothing would be learnt")
    text = " ".join(f"{value:.3e}" for value in values / values.max())
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _refusal(new, earlier, seeds):
    """Why a hypothesis is too late, and in what it differs from an earlier one."""
    old = earlier[0] if earlier else {}
    changes = [f"{k} was {old[k]!r}, now {new[k]!r}" for k in old if old[k] != new[k]]
    under = f" under another hypothesis ({'; '.join(changes)})" if changes else ""
    fresh = max(seeds) + 1
    return (
        f"this hypothesis comes after its results: of seeds {_listed(seeds)} some have been run"
        f"{under}. Go back to what was fixed, or test the new hypothesis on fresh seeds, such as "
        f"range({fresh}, {fresh + len(new['seeds'])})"
    )


def _listed(seeds):
    """5 to 14, or 0, 3, 7."""
    seeds = sorted(seeds)
    if len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(str(seed) for seed in seeds)


# --- Reporting ----------------------------------------------------------------------------------


class Report(str):
    """A finished report in Markdown, which a notebook shows set."""

    __repr__ = str.__str__
    _repr_markdown_ = str.__str__

    def save(self, path):
        """Write it to a file, such as "report.md"."""
        Path(path).write_text(self + "\n", encoding="utf-8")


def compared(finding, measures=HELD_OUT):
    """Return {measure: (own, comparator, difference)}, each a ``Summary`` over the seeds."""
    return {
        measure: (
            study.summary(finding.own, measure),
            study.summary(finding.others, measure),
            study.compare(finding.own, finding.others, measure, finding.trial.confidence),
        )
        for measure in measures
    }


def write_up(finding, *, reason, not_shown, results):
    """Return the ``Report`` of a finding: what was fixed, what came out, and what was not shown.

    ``reason``: why this was to be expected. ``not_shown``: sentences of your own beside those that
    hold for every trial. ``results`` of the study, for the floor.
    """
    not_shown = [not_shown] if isinstance(not_shown, str) else not_shown
    trial, own, _, difference = finding
    hypothesis, plan, seeds = trial.hypothesis, trial.plan, len(trial.hypothesis.seeds)
    monotone = is_monotone(trial.w, plan.log_snr_min, plan.log_snr_max)
    interval = f"{100 * trial.confidence:g} % interval"
    title = _plain(getattr(trial.w, "name", getattr(trial.w, "__name__", "own")))
    training = f"{plan.n_steps} steps a run, {seeds} seeds each; all on one kind of machine"
    as_study = (plan.data, plan.n_samples, plan.held_out) == ("digits", 500, 500)
    floor = results["floor"] if as_study else {}
    rows = []
    for measure, (mine, theirs, gap) in compared(finding).items():
        bold = "**" if measure == hypothesis.measure else ""
        real = f"{floor[kind][0]:.3f}" if (kind := measure.split(".")[1]) in floor else "–"
        means = f"{mine.mean:.3f} | {theirs.mean:.3f}"
        rows.append(f"| {bold}{measure}{bold} | {means} | {bold}{_signed(gap)}{bold} | {real} |")
    limits = [f"- {_plain(sentence)}" for sentence in (*not_shown, *_limits(finding))]
    rows, limits = "\n".join(rows), "\n".join(limits)
    return Report(f"""\
### Report: {title}

| | |
|---|---|
| claim | {_plain(hypothesis.claim)} |
| why | {_plain(reason)} |
| weighting | {title} ({"monotone" if monotone else "not monotone"}) |
| fixed before any run | `{trial.key}`: {hypothesis} |
| training | {training} ({own[0]["machine"]}) |
| result | own − {hypothesis.versus} = {_signed(difference)}, {interval} |
| verdict | **{finding.verdict}** |

| measure | own | {hypothesis.versus} | difference, {interval} | real |
|---|---|---|---|---|
{rows}

The measure in bold decides; the others say at what price. Not shown:

{limits}""")


def _plain(text):
    """Any text on one line, with no sign that Markdown or HTML would take for its own."""
    text = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\|`*_~$#\[\]])", r"\\\1", text)


def _limits(finding):
    """What no trial of this kind shows, and what this one does not."""
    yield "That it holds for other data, larger networks or longer training: none were tried."
    yield "Anything about the other measures: their intervals were not asked for beforehand."
    if finding.verdict == "undecided":
        yield "Which of the two it is: more seeds, fixed beforehand again, might tell."
    if not in_study(finding.trial.plan):
        yield "A comparison with the study's weightings, which were trained by another plan."
    if (number := finding.trial.number) > 1:
        yield f"What the hypotheses before it found: it is number {number}. Tell of all."
    yield "Trials of other folders: the interval counts the hypotheses of its own folder alone."


def _signed(summary):
    return f"{summary.mean:+.3f} [{summary.low:+.3f}, {summary.high:+.3f}]"


# --- The examples -------------------------------------------------------------------------------


def examples():
    """Return the worked examples [(hypothesis, w), …] under the plan ``SHORT``.

    The second was fixed when the first had been seen: bits had fallen, and nobody had asked.
    """
    w = bent(WEIGHTINGS["sigmoid_2"], KNOTS, (-2.0, -2.0, -2.0, 0.0, 0.0, 0.0, 0.0))
    worse = "Neglecting the noisy levels makes the samples of DDIM worse"
    fewer = "Neglecting the noisy levels lowers the bits: capacity goes where errors are"
    return [
        (Hypothesis(worse, "eta0.frechet", "higher", "sigmoid_2", 0.8, range(5, 15)), w),
        (Hypothesis(fewer, "bits.total", "lower", "sigmoid_2", 0.0, range(15, 25)), w),
    ]


def _stored():
    """The stored examples, [{record, runs}]."""
    return study.read_json(study.DATA / STORED)["trials"]


def store_examples():
    """Make the runs of notebook 08's examples, or what is missing, and store them here."""
    trials = []
    for hypothesis, w in examples():
        trial = Trial(hypothesis, w, SHORT, study.RUNS / "examples")
        first = hypothesis.seeds[0]  # twelve samples of each weighting are enough
        runs = [r if r["seed"] == first else r | {"sheets": {}} for r in trial._train()]
        trials.append({"record": trial.record, "runs": runs})
    about = "The examples of notebook 08; made by python -m course_utils.training.preregistration."
    study.write_whole(study.DATA / STORED, json.dumps({"about": about, "trials": trials}))


if __name__ == "__main__":
    store_examples()
