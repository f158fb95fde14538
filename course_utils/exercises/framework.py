"""What stands behind `check`: an exercise, its known mistakes, and the verdict on an attempt.

An exercise holds no stored numbers. Its reference, its mistakes and the attempt are all functions;
they are run on the same trial inputs and their results compared, so a verdict can name the mistake
that gives exactly the attempt's numbers. Mistakes are listed by hand, or derived: edits of the
reference (`slips`), and what the numbers themselves show (`relations`).
"""

import contextlib
import copy
import functools
import inspect
import io
import re
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from course_utils.exercises import relations, values
from course_utils.exercises.slips import Source, edited, pairs, slips
from course_utils.exercises.values import NotYet

NOT_ATTEMPTED = "not attempted yet"
CORRECT = "correct"
FLOAT32 = ", to the seven digits of float32"
MOST_PAIRS = 600  # of two slips at once; more take longer than a reader waits


@dataclass(eq=False)
class Mistake:
    """A sentence, the function that makes the mistake, and its results where it has been run."""

    sentence: str
    function: Callable
    listed: bool = True
    results: dict = field(default_factory=dict)  # {case: one array for each part, None: it failed}


@dataclass(eq=False)
class Exercise:
    """A question whose answer is a function, or a value, compared with a reference.

    reference   the right function; it returns a number, an array, a string, or a tuple of these
    trials      a list of the arguments of each trial, a tuple where there are several; lists in it
                are arrays of numbers. () where the answer is a plain value
    mistakes    {what to look at: function with that mistake}; each takes the same arguments and
                returns the same structure as the reference. A number is that multiple of the right
                result, "old -> new" the reference with a part of its text replaced. A mistake is
                named when the attempt agrees with it wherever it differs from the reference, so
                that one in one of two results is recognised whatever the other result is
    returns     names of the results, where the reference returns a tuple
    hint        what to think about when no mistake fits
    tolerance   relative, on each entry; the default lets float32 and other orders of summation pass
    """

    reference: Callable
    trials: Sequence
    mistakes: Mapping[str, Callable | float | str]
    returns: tuple[str, ...] = ()
    hint: str = ""
    tolerance: float = 1e-5

    def __post_init__(self):
        trials = [trial if isinstance(trial, tuple) else (trial,) for trial in self.trials] or [()]
        self.trials = [
            tuple(np.array(a, dtype=float) if isinstance(a, list) else a for a in trial)
            for trial in trials
        ]
        self.mistakes = {
            message: mistake if callable(mistake) else self._changed(mistake)
            for message, mistake in self.mistakes.items()
        }

    def _changed(self, how):
        """The reference times a number, or with an edit in its text."""
        if not isinstance(how, str):
            return lambda *arguments: how * self.reference(*arguments)
        function = functools.cache(lambda: edited(self.reference, how))
        return lambda *arguments: function()(*arguments)

    # --- the verdict --------------------------------------------------------------------------

    def verdict(self, attempt: object) -> str:
        """Return the verdict in words: see `course_utils.exercises`; let only Ctrl-C through."""
        return self.judge(attempt)[0]

    def judge(self, attempt: object) -> tuple[str, str]:
        """Return the verdict, and what the attempt printed and warned of."""
        said = io.StringIO()
        try:
            with np.errstate(all="ignore"):
                verdict = self._judge(attempt, said)
        except NotImplementedError:
            verdict = NOT_ATTEMPTED
        except NotYet as complaint:
            verdict = f"not yet: {complaint}"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: an exercise must not end the lesson
            verdict = f"not yet: {_account(error, attempt)}"
        return verdict, said.getvalue()

    def _judge(self, attempt, said):
        if attempt is None or attempt is ...:
            return NOT_ATTEMPTED
        function, written = self._as_function(attempt), set()
        got = self.run(function, said, written)
        changed = f"your function changes its argument {' and '.join(sorted(written))}"
        if wrong := self.differing(got, self._right):
            words = self._explained(function, got, wrong)
            raise NotYet(f"{words}\n  Besides, {changed}: work on a copy" if written else words)
        if written:
            return f"right, but {changed}: whoever calls it loses the data. Work on a copy"
        doubles = [[p.astype(float) if p.dtype == np.float32 else p for p in r] for r in got]
        return CORRECT + FLOAT32 * bool(self.differing(doubles, self._right))

    def _as_function(self, attempt):
        if not callable(attempt):
            if self.trials[0]:
                raise NotYet(
                    f"expected a function {values.signature(self.reference)}, got "
                    f"{values.kind(attempt)}: hand over the function itself, without calling it"
                )
            return lambda: attempt
        with contextlib.suppress(ValueError):  # some built-ins have no signature
            signature = inspect.signature(attempt)
            try:
                signature.bind(*self.trials[0])
            except TypeError:
                raise NotYet(
                    f"expected a function {values.signature(self.reference)}, got one {signature}"
                ) from None
        return attempt

    # --- results ------------------------------------------------------------------------------

    def run(
        self, function: Callable, said: io.StringIO | None = None, written: set | None = None
    ) -> list[list[np.ndarray]]:
        """Return `function`'s results, [trial][part], each an array of numbers or of text.

        What it prints and warns of goes to `said`, which arguments it overwrites to `written`.
        """
        results = []
        with _overheard(said or io.StringIO()):
            for trial, right in zip(self.trials, self._right, strict=False):
                handed = copy.deepcopy(trial)
                results.append(values.parts_of(function(*handed), right, self.returns))
                both = zip(self._arguments, trial, handed, strict=False)
                written is None or written.update(n for n, *x in both if values.overwritten(*x))
        return results

    def differing(self, outcomes, others) -> frozenset[int]:
        """Return the parts in which two lists of outcomes differ beyond the tolerance."""
        return frozenset(
            part
            for a, b in zip(outcomes, others, strict=True)
            for part in range(len(b))
            if not values.same(a[part], b[part], self.tolerance)
        )

    @functools.cached_property
    def _arguments(self):
        return list(inspect.signature(self.reference).parameters)

    @functools.cached_property
    def _right(self):
        with _overheard(io.StringIO()):
            results = [self.reference(*copy.deepcopy(trial)) for trial in self.trials]
        return [[np.array(p) for p in (r if isinstance(r, tuple) else (r,))] for r in results]

    # --- what went wrong ----------------------------------------------------------------------

    @functools.cached_property
    def cases(self) -> list[tuple[tuple, list]]:
        """The trials and as many with other numbers, the smallest first: (arguments, right result).

        Where results say little, as words and counts do, there are many and very different ones.
        """
        trials = sorted(self.trials, key=values.size)
        others = self._others(0.5, 10) if self._coarse else self._others(0.97, 1)
        return self._answered(trials) + self._answered(others)

    def _others(self, least, times):
        """Trials with other numbers, for the smaller half of the trials."""
        rng = np.random.default_rng(0)
        trials = sorted(self.trials, key=values.size)[: (len(self.trials) + 1) // 2]
        return [
            tuple(values.shrunk(a, rng, least) for a in trial) for trial in trials for _ in range(times)
        ]

    def _answered(self, trials):
        found = []
        for trial in trials:
            with contextlib.suppress(Exception), _overheard(io.StringIO()):
                right = self.reference(*values.fresh(trial))
                right = right if isinstance(right, tuple) else (right,)
                found.append((trial, [np.array(part) for part in right]))
        return found

    @functools.cached_property
    def _coarse(self):
        """The parts that are words, places, counts or shares: much agrees there by accident."""
        answers = self._answered(self._others(0.97, 3))
        return {k for k, part in enumerate(zip(*(right for _, right in answers))) if _simple(part)}

    def _results(self, function, k, known=None):
        """One result for each part of case k, or None where the function fails; kept in `known`."""
        if known is not None and k in known:
            return known[k]
        result, (trial, right) = None, self.cases[k]
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = values.parts_of(function(*values.fresh(trial)), right, self.returns)
        if known is not None:
            known[k] = result
        return result

    @functools.cached_property
    def _listed(self):
        return [Mistake(message, function) for message, function in self.mistakes.items()]

    @functools.cached_property
    def _slips(self):
        return slips(self.reference)

    @functools.cached_property
    def _single(self):
        found = []
        for slip in self._slips:
            with contextlib.suppress(Exception):
                function = slip.function()
                found.append(Mistake(slip.sentence(), function, False))
        return found

    @functools.cached_property
    def _pairs(self):
        return {}

    def _explained(self, function, got, wrong):
        """What went wrong, in words: for all wrong parts at once, else part by part."""
        if self.returns and not self.differing([row[::-1] for row in got], self._right):
            return f"mind the order of the results: ({', '.join(self.returns)})"
        with _overheard(io.StringIO()):
            attempt = [self._results(function, k) for k in range(len(self.cases))]
        again = sorted(zip(self.trials, got, strict=True), key=lambda pair: values.size(pair[0]))
        for (_, before), after in zip(again, attempt, strict=False):
            if after is None or self.differing([before], [after]):
                return "called twice with the same arguments, your function returned two results"
        found = self._matching([*self._listed, *self._single], attempt, wrong)
        unknown = wrong.difference(*(parts for parts, _ in found))
        for part in sorted(unknown):
            if words := self._relation(attempt, part):
                why = self._source.reason(part)
                found.append(({part}, self._in([part], f"{words}: {why}" if why else words)))
        if not found:
            found = self._then(attempt, wrong)
        if not found:
            found = self._matching(self._two_at_once(), attempt, wrong)
        if not found and not self._coarse:
            found = self._matching(self._fitted(attempt, min(wrong)), attempt, wrong)
        if not found:
            where = self._relation(attempt, min(wrong), relations.where)
            return self._described(got, wrong, where or self._ignored(function, got))
        sentences, left = [], set(wrong)
        while any(left & parts for parts, _ in found):
            parts, words = max(found, key=lambda pair: len(pair[0] & left))
            sentences.append(words)
            left -= parts
        if left:
            sentences.append(f"{self._names(left)} is not the expected result either")
        return ".\n  And ".join(sentences)

    def _matching(self, mistakes, attempt, wrong):
        """(parts, sentence) of each mistake that fits, up to the first that explains everything."""
        found = []
        for mistake in mistakes:
            if parts := self._agreeing(mistake, attempt) & wrong:
                words = mistake.sentence
                found.append((parts, words if mistake.listed else self._in(parts, words)))
                if parts == wrong:
                    break
        return found

    def _agreeing(self, mistake, attempt):
        """The parts in which a mistake differs from the reference, if the attempt has it there."""
        differ, missed, results = set(), set(), []
        for k, ours in enumerate(attempt):
            if ours is None:
                continue
            result = self._results(mistake.function, k, mistake.results)
            if result is None:
                return set()
            differ |= self.differing([result], [self.cases[k][1]])
            missed |= self.differing([ours], [result])
            if differ & missed:
                return set()
            results.append(result)
        return {k for k in differ if mistake.listed or _varied([row[k] for row in results])}

    def _then(self, attempt, wrong):
        """Another mistake, and then a sign or a factor, in a single result."""
        if len(self._right[0]) > 1 or self._coarse:
            return []
        for mistake in [*self._listed, *self._single]:
            first = self._results(mistake.function, 0, mistake.results)
            for words, change in relations.THEN.items() if first else ():
                if not values.same(attempt[0][0], change(first[0]), self.tolerance):
                    continue
                changed = lambda *given, f=mistake.function, g=change: g(np.asarray(f(*given)))
                both = f"two things at once. {mistake.sentence}. And then {words}"
                if found := self._matching([Mistake(both, changed, False)], attempt, wrong):
                    return found
        return []

    def _two_at_once(self):
        for k, slip in enumerate(pairs(self._slips, MOST_PAIRS)):
            if k not in self._pairs:
                self._pairs[k] = Mistake(slip.sentence(), slip.function(), False)
            yield self._pairs[k]

    def _fitted(self, attempt, part):
        """Mistakes with another number in them, found from the first number of the attempt."""
        ours, (trial, right) = attempt[0][part].ravel(), self.cases[0]
        first = np.argmax(np.abs(ours - right[part].ravel()) > 0) if ours.size == right[part].size else 0
        for words, with_number in self._source.fitted():
            def gap(k):
                result = with_number(k)(*values.fresh(trial))
                result = result[part] if self.returns else result
                return np.ravel(result)[first] - ours[first]
            with contextlib.suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                k = values.root(gap)
                yield Mistake(words.replace("{k}", f"{k:.4g}".replace("-", "−")), with_number(k), False)

    def _relation(self, attempt, part, how=relations.relation):
        """What the numbers of a part show: what they are, or where they are right."""
        whole = [(ours, right) for ours, (_, right) in zip(attempt, self.cases, strict=True)]
        shapes = {ours[part].shape == right[part].shape for ours, right in whole if ours}
        if not self.trials[0] or part in self._coarse or shapes != {True}:
            return ""
        used = np.concatenate([np.full(right[part].size, bool(ours)) for ours, right in whole])
        got = np.concatenate([ours[part].ravel() for ours, _ in whole if ours])
        rows = {words: row[used] for words, row in self._table(part).items()}
        tolerance = self.tolerance if got.dtype != np.float32 else 1e-4
        right = np.concatenate([right[part].ravel() for ours, right in whole if ours])
        return how(got, right, rows, tolerance)

    @functools.cached_property
    def _tables(self):
        return {}

    @functools.cached_property
    def _source(self):
        return Source(self.reference)

    def _table(self, part):
        if part not in self._tables:
            with _overheard(io.StringIO()):
                made = [self._source.parts(values.fresh(trial)) for trial, _ in self.cases]
            self._tables[part] = relations.table(made, [right[part] for _, right in self.cases])
        return self._tables[part]

    def _names(self, parts):
        return ", ".join(self.returns[part] for part in sorted(parts))

    def _in(self, parts, words):
        return f"in {self._names(parts)}, {words}" if 0 < len(parts) < len(self.returns) else words

    # --- where nothing fits -------------------------------------------------------------------

    def _described(self, got, wrong, more):
        """What is wrong in general, and one small trial: given, got, expected."""
        failing = [k for k in range(len(got)) if self.differing(got[k : k + 1], self._right[k : k + 1])]
        text = self._form(got, wrong)
        if not text:
            text = "not the expected result"
            if len(got) > 1:
                text += f" on {len(failing)} of {len(got)} trials"
            if self.returns:
                text += f", in {self._names(wrong)}"
            text += more
            text = f"{text}. {self.hint}".rstrip(". ")
            text = text if text.endswith("?") else f"{text}."
        if not self.trials[0]:
            return text  # a plain value: to show what is expected would be to give it away
        trial, got, right = min(
            ((self.trials[k], got[k], self._right[k]) for k in failing),
            key=lambda row: values.size(row[0]),
        )
        rows = {"given": (self._arguments, trial), "got": (self.returns, got)}
        rows["expected"] = (self.returns, right)
        rows = [f"  {label:10}{values.listed(*row)}" for label, row in rows.items()]
        return "\n".join([text, *rows])

    def _form(self, got, wrong):
        """What is wrong with the shape of a result, or "NaN or infinity"; "" if neither is."""
        for a, b in zip(got, self._right, strict=True):
            for part in sorted(wrong):
                of = f" for {self.returns[part]}" if self.returns else ""
                if a[part].shape != b[part].shape:
                    return f"expected {values.shape(b[part])}{of}, got {values.shape(a[part])}"
                fine = b[part].dtype.kind == "U" or np.isfinite(a[part]) | ~np.isfinite(b[part])
                if not np.all(fine):
                    return (
                        f"NaN or infinity in the result{of}: look for 0/0, the log of a number "
                        "that is not positive, or an overflow"
                    )
        return ""

    def _ignored(self, function, got):
        """The argument that the answer depends on and the attempt does not, in words."""
        if self._coarse:
            return ""  # there an answer may stay the same by accident
        for k, name in enumerate(self._arguments):
            arrays = [isinstance(trial[k], np.ndarray) for trial in self.trials]
            if not (all(arrays) or all(isinstance(trial[k], float) for trial in self.trials)):
                continue
            given = [np.roll(trial[k], 1) if all(arrays) else trial[k] for trial in self.trials]
            given = [~v if np.asarray(v).dtype.kind == "b" else 0.9 * v for v in given]
            other = copy.copy(self)
            other.__dict__ = {k: v for k, v in vars(self).items() if k != "_right"}
            other.trials = [
                (*trial[:k], value, *trial[k + 1 :])
                for trial, value in zip(self.trials, given, strict=True)
            ]
            with contextlib.suppress(Exception):
                if not self.differing(other.run(function), got):
                    if self.differing(other._right, self._right):
                        return f"; it does not depend on the argument {name}"
        return ""


def _varied(results):
    """Whether results vary, within arrays if there are any: many slips give one value for all."""
    arrays = [part for part in results if part.size > 1] or [np.array(results)]
    return any(len(set(array.ravel().tolist())) > 1 for array in arrays)


def _simple(part):
    if part[0].dtype.kind == "U":
        return True
    numbers = np.concatenate([np.atleast_1d(array) for array in part])
    return bool(np.all(np.abs(600 * numbers - np.round(600 * numbers)) < 1e-9))


def _account(error, attempt):
    """Return an exception in one line that is the same at every run."""
    message = re.sub(r"0x[0-9a-fA-F]+", "0x...", next(iter(str(error).splitlines()), ""))[:200]
    file = getattr(getattr(attempt, "__code__", None), "co_filename", None)
    stack = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in stack if frame.filename == file]
    place = f" in line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}{place}" + (f": {message}" if message else "")


@contextlib.contextmanager
def _overheard(said):
    """Write to ``said`` what is printed, and what is warned of, in place of showing it."""
    with (
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        warnings.catch_warnings(record=True) as caught,
        np.errstate(all="warn", under="ignore"),
    ):
        warnings.simplefilter("default")  # each place once
        try:
            yield
        finally:
            said.writelines(f"{w.category.__name__}: {w.message}\n" for w in caught)
