"""What stands behind `check`: an exercise, its known mistakes, and the verdict on an attempt.

An exercise holds no stored numbers. Its reference, its mistakes and the attempt are all functions;
they are run on the same trial inputs and their results compared, so a verdict can name the mistake
that gives exactly the attempt's numbers. Mistakes are listed by hand, or derived: edits of the
reference (`slips`), and what the numbers themselves show (`relations`).
"""

import contextlib
import functools
import inspect
import io
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from course_utils._checks import frozen
from course_utils.exercises import relations, values
from course_utils.exercises.slips import Source, edited
from course_utils.exercises.values import NotYet

NOT_ATTEMPTED = "not attempted yet"


@dataclass(eq=False)
class Exercise:
    """A question whose answer is a function, or a value, compared with a reference.

    reference   the right function; it returns a number, an array, a string, or a tuple of these
    trials      a list of the arguments of each trial, a tuple where there are several; lists in it
                are arrays of numbers. () where the answer is a plain value
    mistakes    {what to look at: function with that mistake}; each takes the same arguments and
                returns the same structure as the reference. "old -> new" is the reference with a
                part of its text replaced. A mistake is named when the attempt agrees with it
                wherever it differs from the reference, so that one in one of two results is
                recognised whatever the other result is
    returns     names of the results, where the reference returns a tuple
    hint        what to think about when no mistake fits
    tolerance   relative, on each entry; the default lets float32 and other orders of summation pass
    """

    reference: Callable
    trials: Sequence
    mistakes: Mapping[str, Callable | str]
    returns: tuple[str, ...] = ()
    hint: str = ""
    tolerance: float = 1e-5

    def __post_init__(self):
        trials = [trial if isinstance(trial, tuple) else (trial,) for trial in self.trials] or [()]
        trials = [
            [frozen(a, None) if isinstance(a, list | np.ndarray) else a for a in trial]
            for trial in trials
        ]
        self.trials = sorted(trials, key=lambda trial: sum(np.size(a) for a in trial))
        self.mistakes = {
            message: edited(self.reference, mistake) if isinstance(mistake, str) else mistake
            for message, mistake in self.mistakes.items()
        }
        self._arguments = list(inspect.signature(self.reference).parameters)

    # --- the verdict --------------------------------------------------------------------------

    def verdict(self, attempt: object, said: io.StringIO | None = None) -> str:
        """Return the verdict in words, as `check` prints it; `said` gets what the attempt says."""
        try:
            with _left_alone(), _overheard(io.StringIO()), np.errstate(all="ignore"):
                return self._judged(attempt, said or io.StringIO())
        except NotImplementedError:
            return NOT_ATTEMPTED
        except NotYet as complaint:
            return f"not yet: {complaint}"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: an exercise must not end the lesson
            return f"not yet: {_account(error, attempt)}"

    def _judged(self, attempt, said):
        if attempt is None or attempt is ...:
            return NOT_ATTEMPTED
        function = self._as_function(attempt)
        got = self.run(function, said)
        if wrong := self.differing(got, self._right):
            raise NotYet(self._explained(function, got, wrong))
        doubles = [[p.astype(float) if p.dtype == np.float32 else p for p in r] for r in got]
        short = bool(self.differing(doubles, self._right))
        return "correct" + ", to the seven digits of float32" * short

    def _as_function(self, attempt):
        wanted = f"expected a function ({', '.join(self._arguments)}), got"
        if not callable(attempt):
            if self._arguments:
                kind = values.kind(attempt)
                raise NotYet(f"{wanted} {kind}: hand over the function itself, without calling it")
            return lambda: attempt
        with contextlib.suppress(ValueError):  # some built-ins have no signature
            try:
                inspect.signature(attempt).bind(*self._arguments)
            except TypeError:
                raise NotYet(f"{wanted} one {inspect.signature(attempt)}") from None
        return attempt

    # --- results ------------------------------------------------------------------------------

    def run(self, function: Callable, said: io.StringIO | None = None) -> list[list[np.ndarray]]:
        """Return `function`'s results, [trial][part], each an array of numbers or of text.

        What it prints and warns of goes to `said`. The arrays that it is given are read-only.
        """
        with _overheard(said or io.StringIO()):
            return [
                values.parts_of(function(*trial), right, self.returns)
                for trial, right in zip(self.trials, self._right, strict=True)
            ]

    def differing(self, outcomes, others, tolerance=None) -> frozenset[int]:
        """Return the parts in which two lists of outcomes differ beyond the tolerance."""
        return frozenset(
            part
            for a, b in zip(outcomes, others, strict=True)
            for part in range(len(b))
            if not values.same(a[part], b[part], tolerance or self.tolerance)
        )

    def _answer(self, trial):
        """The right results of a trial, as arrays."""
        right = self.reference(*trial)
        return [np.array(part) for part in (right if isinstance(right, tuple) else (right,))]

    @functools.cached_property
    def _right(self):
        return [self._answer(trial) for trial in self.trials]

    # --- what went wrong ----------------------------------------------------------------------

    @functools.cached_property
    def _cases(self):
        """The trials and such with other numbers: (arguments, right results).

        Where results say little, as words and counts do, there are more and very different ones.
        """
        others = self._others(0.5, 4) if self._coarse else self._others(0.97, 1)
        return [*zip(self.trials, self._right, strict=True), *others]

    @functools.cached_property
    def _coarse(self):
        """The parts that are words, places, counts or shares: much agrees there by accident."""
        answers = zip(*(right for _, right in self._others(0.97, 3)), strict=True)
        return {k for k, part in enumerate(answers) if values.simple(part)}

    def _others(self, least, times):
        """The smaller half of the trials, several times, with numbers of least to 1 their size."""
        rng, half = np.random.default_rng(0), self.trials[: (len(self.trials) + 1) // 2]
        return self._answered(
            [values.shrunk(a, rng, least) for a in trial] for trial in half for _ in range(times)
        )

    def _answered(self, trials):
        """(arguments, right results) of the trials that have some."""
        found = []
        for trial in trials:
            with contextlib.suppress(Exception):
                found.append((trial, self._answer(trial)))
        return found

    def _result(self, function, case):
        """A function's result in a case, an array for each part; None where it fails."""
        trial, right = case
        with contextlib.suppress(Exception):
            return values.parts_of(function(*trial), right, self.returns)
        return None

    @functools.cached_property
    def _source(self):
        return Source(self.reference)

    @functools.cached_property
    def _slips(self):
        return self._source.slips(2 if self._right[0][0].dtype.kind == "U" else np.inf)

    def _explained(self, function, got, wrong):
        """What went wrong, in words: for all wrong parts at once, else part by part."""
        if self.returns and not self.differing([row[::-1] for row in got], self._right):
            return f"mind the order of the results: ({', '.join(self.returns)})"
        attempt = [self._result(function, case) for case in self._cases]
        again = attempt[: len(got)]
        if None in again or self.differing(got, again):
            return "called twice with the same arguments, your function returned two results"
        found = self._matching(attempt, wrong)  # (parts of the result, sentence about them)
        if not wrong <= set().union(*(parts for parts, _ in found)):
            found += self._told(attempt, wrong)
        if not found:
            return self._described(function, got, wrong)
        sentences, left = [], set(wrong)
        for parts, words in sorted(found, key=lambda pair: -len(pair[0])):
            if left & parts:
                sentences.append(words + "." * (not words.endswith("?")))
                left -= parts
        if left:
            sentences.append(f"{self._names(left)} is not the expected result either")
        return "\n  And ".join(sentences).removesuffix(".")

    def _matching(self, attempt, wrong):
        """The mistakes that fit, listed ones first, up to the first that explains everything."""
        found = []
        for sentence, function in [*self.mistakes.items(), *self._slips]:
            listed = sentence in self.mistakes
            if parts := self._agreeing(function, attempt, wrong, listed) & wrong:
                found.append((parts, sentence if listed else self._in(parts, sentence)))
                if parts == wrong:
                    break
        return found

    def _agreeing(self, function, attempt, wrong, listed):
        """The parts in which a mistake differs from the reference, if the attempt has it there."""
        differ, missed, results = set(), set(), []
        for case, ours in zip(self._cases, attempt, strict=True):
            result = self._result(function, case)
            if result is None:
                return set()
            results.append(result)
            if ours is not None:
                differ |= self.differing([result], [case[1]])
                missed |= self.differing([ours], [result])
            if differ & missed or missed >= wrong:
                return set()
        return {k for k in differ if listed or values.varied([row[k] for row in results])}

    def _told(self, attempt, wrong):
        """What the numbers of single parts tell."""
        found, (trials, right) = [], zip(*self._cases, strict=True)
        for part in sorted(wrong) if self._arguments and all(attempt) else ():
            results, answers = ([row[part] for row in rows] for rows in (attempt, right))
            made_of = [] if part in self._coarse else self._source.parts(trials)
            if words := relations.relation(results, answers, made_of, self.tolerance):
                why = self._source.reason(part)
                found.append(({part}, self._in([part], f"{words}: {why}" if why else words)))
        return found

    def _names(self, parts):
        return ", ".join(self.returns[part] for part in sorted(parts) if self.returns)

    def _in(self, parts, words):
        return f"in {self._names(parts)}, {words}" if 0 < len(parts) < len(self.returns) else words

    # --- where nothing fits -------------------------------------------------------------------

    def _described(self, function, got, wrong):
        """What is wrong in general, and one small trial: given, got, expected."""
        failing = [k for k, row in enumerate(got) if self.differing([row], [self._right[k]])]
        text, k = self._form(got, wrong)
        if not text:
            seen = (k for k in failing if self.differing([got[k]], [self._right[k]], 0.03))
            k = next(seen, failing[0])  # the least one in which the difference is seen
            where = f" on {len(failing)} of {len(got)} trials" if len(got) > 1 else ""
            where += f", in {self._names(wrong)}" if self.returns else ""
            text = f"not the expected result{where}{self._ignored(function, got)}. {self.hint}"
            text = text.rstrip(". ") + "." * (not text.endswith("?"))
        if not self._arguments:  # a plain value: to show what is expected would be to give it away
            return text
        rows = {"given": (self._arguments, self.trials[k]), "got": (self.returns, got[k])}
        rows["expected"] = (self.returns, self._right[k])
        rows = [f"  {label:10}{values.listed(*row)}" for label, row in rows.items()]
        return "\n".join([text, *rows])

    def _form(self, got, wrong):
        """What is wrong with a result's shape, or "NaN or infinity", and in which trial; or ""."""
        for k, (a, b) in enumerate(zip(got, self._right, strict=True)):
            for part in sorted(wrong):
                of = f" for {self.returns[part]}" if self.returns else ""
                if a[part].shape != b[part].shape:
                    return f"expected {values.shape(b[part])}{of}, got {values.shape(a[part])}", k
                fine = b[part].dtype.kind == "U" or np.isfinite(a[part]) | ~np.isfinite(b[part])
                if not np.all(fine):
                    return (
                        f"NaN or infinity in the result{of}: look for 0/0, the log of a number "
                        "that is not positive, or an overflow"
                    ), k
        return "", 0

    def _ignored(self, function, got):
        """The argument that the answer depends on and the attempt does not, in words."""
        coarse = self._coarse or all(map(values.simple, zip(*got, strict=True)))
        for k, name in enumerate(() if coarse else self._arguments):
            rng = np.random.default_rng(0)
            moved = self._answered(
                (*trial[:k], values.shrunk(trial[k], rng, 0.3), *trial[k + 1 :])
                for trial in self.trials
            )
            ours = [self._result(function, case) for case in moved]
            stays = len(moved) == len(got) and None not in ours and not self.differing(ours, got)
            if stays and self.differing([right for _, right in moved], self._right):
                return f"; it is the same for other values of {name}"
        return ""


def _account(error, attempt):
    """Return an exception in one line that is the same at every run."""
    message = re.sub(r"0x[0-9a-fA-F]+", "0x...", next(iter(str(error).splitlines()), ""))[:200]
    if "read-only" in message:
        message = "your function changes its argument, which others may need: work on a copy"
    file = getattr(getattr(attempt, "__code__", None), "co_filename", None)
    stack = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in stack if frame.filename == file]
    place = f" in line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}{place}" + (f": {message}" if message else "")


@contextlib.contextmanager
def _overheard(said):
    """Write to `said` what is printed, and what is warned of, in place of showing it."""
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


@contextlib.contextmanager
def _left_alone():
    """Keep the reader's random numbers, and close the figures that an attempt opens."""
    before, state = _figures(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
        for number in _figures() - before:
            sys.modules["matplotlib.pyplot"].close(number)


def _figures():
    return {*getattr(sys.modules.get("matplotlib.pyplot"), "get_fignums", list)()}
