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
from course_utils.exercises.slips import Source, edited, slips
from course_utils.exercises.values import NotYet

NOT_ATTEMPTED = "not attempted yet"
CORRECT = "correct"
FLOAT32 = ", to the seven digits of float32"


@dataclass(eq=False)
class Mistake:
    """A sentence, the function that makes the mistake, and its results in the cases so far."""

    sentence: str
    function: Callable
    listed: bool = False
    results: dict = field(default_factory=dict)


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
    def _cases(self):
        """The trials and such with other numbers, the smallest first: (arguments, right result).

        Where results say little, as words and counts do, there are many and very different ones.
        """
        least, times = (0.1, 12) if self._words else (0.5, 4) if self._coarse else (0.97, 1)
        others = self._others(least, times)
        return self._answered([*sorted(self.trials, key=values.size), *others])

    @functools.cached_property
    def _words(self):
        return any(part.dtype.kind == "U" for part in self._right[0])

    @functools.cached_property
    def _coarse(self):
        """The parts that are words, places, counts or shares: much agrees there by accident."""
        answers = zip(*(right for _, right in self._answered(self._others(0.97, 3))), strict=True)
        return {k for k, part in enumerate(answers) if values.simple(part)}

    def _others(self, least, times):
        """The smaller half of the trials, several times, with numbers of least to 1 their size."""
        rng, half = np.random.default_rng(0), (len(self.trials) + 1) // 2
        trials = np.repeat(range(half), times)
        trials = [sorted(self.trials, key=values.size)[k] for k in trials]
        return [tuple(values.shrunk(a, rng, least) for a in trial) for trial in trials]

    def _answered(self, trials):
        """(arguments, right result) of the trials that have one."""
        found = []
        for trial in trials:
            with contextlib.suppress(Exception), _overheard(io.StringIO()):
                right = self.reference(*values.fresh(trial))
                right = right if isinstance(right, tuple) else (right,)
                found.append((trial, [np.array(part) for part in right]))
        return found

    def _result(self, function, case):
        """A function's result in a case, an array for each part; None where it fails."""
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return values.parts_of(function(*values.fresh(case[0])), case[1], self.returns)
        return None

    @functools.cached_property
    def _source(self):
        return Source(self.reference)

    @functools.cached_property
    def _listed(self):
        return [Mistake(message, function, True) for message, function in self.mistakes.items()]

    @functools.cached_property
    def _slips(self):
        found = slips(self._source)
        likely = [slip for slip in found if slip.rank < 2] if self._words else found
        return [self._derived(slip) for slip in likely]

    def _derived(self, slip):
        function = functools.cache(slip.function)  # compiled where it is needed, and once
        return Mistake(slip.sentence(), lambda *arguments: function()(*arguments))

    def _explained(self, function, got, wrong):
        """What went wrong, in words: for all wrong parts at once, else part by part."""
        if self.returns and not self.differing([row[::-1] for row in got], self._right):
            return f"mind the order of the results: ({', '.join(self.returns)})"
        with _overheard(io.StringIO()):
            attempt = [self._result(function, case) for case in self._cases]
        again = sorted(zip(self.trials, got, strict=True), key=lambda pair: values.size(pair[0]))
        for (_, before), after in zip(again, attempt, strict=False):
            if after is None or self.differing([before], [after]):
                return "called twice with the same arguments, your function returned two results"
        found = []
        for look in (self._in_list, self._trivial, self._slipped, self._related, self._then):
            if unknown := wrong.difference(*(parts for parts, _ in found)):
                found += look(attempt, wrong if look == self._slipped else unknown)
        if not found:
            return self._described(function, got, wrong)
        sentences, left = [], set(wrong)
        while any(left & parts for parts, _ in found):
            parts, words = max(found, key=lambda pair: len(pair[0] & left))
            sentences.append(words)
            left -= parts
        if left:
            sentences.append(f"{self._names(left)} is not the expected result either")
        return ".\n  And ".join(sentences)

    # Each of these returns a list of (parts of the result, sentence about them).

    def _in_list(self, attempt, wrong):
        return self._matching(self._listed, attempt, wrong)

    def _trivial(self, attempt, wrong):
        return self._told(attempt, wrong, relations.trivial)

    def _slipped(self, attempt, wrong):
        return self._matching(self._slips, attempt, wrong)

    def _related(self, attempt, wrong):
        return self._told(attempt, wrong, relations.relation)

    def _then(self, attempt, wrong):
        """Another mistake, and then a sign or a factor, in a single result."""
        if len(self._right[0]) > 1 or self._coarse:
            return []
        both = []
        for mistake in [*self._listed, *self._slips]:
            first = mistake.results.get(0)
            for words, change in relations.THEN.items() if first else ():
                if values.same(attempt[0][0], change(first[0]), self.tolerance):
                    words = f"two things at once. {mistake.sentence}. And then {words}"
                    both.append(Mistake(words, _composed(change, mistake.function)))
        return self._matching(both, attempt, wrong)

    def _matching(self, mistakes, attempt, wrong):
        """The mistakes that fit, up to the first that explains everything."""
        found = []
        for mistake in mistakes:
            if parts := self._agreeing(mistake, attempt, wrong) & wrong:
                words = mistake.sentence
                found.append((parts, words if mistake.listed else self._in(parts, words)))
                if parts == wrong:
                    break
        return found

    def _agreeing(self, mistake, attempt, wrong):
        """The parts in which a mistake differs from the reference, if the attempt has it there."""
        differ, missed = set(), set()
        for k, (case, ours) in enumerate(zip(self._cases, attempt, strict=True)):
            if k not in mistake.results:
                mistake.results[k] = self._result(mistake.function, case)
            result = mistake.results[k]
            if result is None:
                return set()
            if ours is not None:
                differ |= self.differing([result], [case[1]])
                missed |= self.differing([ours], [result])
            if differ & missed or missed >= wrong:
                return set()
        results = list(mistake.results.values())
        return {k for k in differ if mistake.listed or values.varied([row[k] for row in results])}

    def _told(self, attempt, wrong, how):
        """What the numbers of single parts tell."""
        found = []
        for part in sorted(wrong):
            pairs = [(ours, case[1]) for ours, case in zip(attempt, self._cases, strict=True)]
            pairs = [
                (ours[part], right[part]) if ours else (None, right[part]) for ours, right in pairs
            ]
            shapes = {ours.shape == right.shape for ours, right in pairs if ours is not None}
            if not self.trials[0] or pairs[0][1].dtype.kind == "U" or shapes != {True}:
                continue
            used = np.concatenate([np.full(right.size, ours is not None) for ours, right in pairs])
            got = np.concatenate([ours.ravel() for ours, _ in pairs if ours is not None])
            right = np.concatenate([right.ravel() for _, right in pairs])[used]
            deep = how is relations.relation
            rows = {} if deep and part in self._coarse else self._rows(pairs, deep)
            rows = {words: row[used] for words, row in rows.items()}
            if words := how(got, right, rows, self.tolerance if got.dtype != np.float32 else 1e-4):
                why = self._source.reason(part)
                found.append(({part}, self._in([part], f"{words}: {why}" if why else words)))
        return found

    def _rows(self, pairs, deep):
        with _overheard(io.StringIO()):
            cases = [self._source.parts(values.fresh(trial)) for trial, _ in self._cases]
        return relations.table(cases, [right for _, right in pairs], deep)

    def _names(self, parts):
        return ", ".join(self.returns[part] for part in sorted(parts) if self.returns)

    def _in(self, parts, words):
        return f"in {self._names(parts)}, {words}" if 0 < len(parts) < len(self.returns) else words

    # --- where nothing fits -------------------------------------------------------------------

    def _described(self, function, got, wrong):
        """What is wrong in general, and one small trial: given, got, expected."""
        text = self._form(got, wrong)
        failing = [k for k, row in enumerate(got) if self.differing([row], [self._right[k]])]
        if not text:
            text = "not the expected result"
            if len(got) > 1:
                text += f" on {len(failing)} of {len(got)} trials"
            if self.returns:
                text += f", in {self._names(wrong)}"
            if not self.trials[0] and not self._words:
                text = self._side(got, wrong)
            text += self._ignored(function, got)
            text = f"{text}. {self.hint}".rstrip(". ")
            text = text if text.endswith("?") else f"{text}."
        if not self.trials[0]:  # a plain value: to show what is expected would be to give it away
            return text
        k = min(failing, key=lambda k: values.size(self.trials[k]))
        rows = {"given": (self._arguments, self.trials[k]), "got": (self.returns, got[k])}
        rows["expected"] = (self.returns, self._right[k])
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

    def _side(self, got, wrong):
        """On which side of the right value a plain value lies."""
        larger = {k: got[0][k] > self._right[0][k] for k in sorted(wrong)}
        return " and ".join(
            f"{self._names([k]) or 'it'} is too {'large' if more else 'small'}"
            for k, more in larger.items()
        )

    def _ignored(self, function, got):
        """The argument that the answer depends on and the attempt does not, in words."""
        for k, name in enumerate(self._arguments if not self._coarse else ()):
            rng = np.random.default_rng(0)
            changed = [values.moved(trial[k], rng) for trial in self.trials]
            moved = self._answered(
                (*trial[:k], value, *trial[k + 1 :])
                for trial, value in zip(self.trials, changed, strict=True)
            )
            ours = [self._result(function, case) for case in moved]
            stays = len(moved) == len(got) and None not in ours and not self.differing(ours, got)
            if stays and self.differing([right for _, right in moved], self._right):
                return f"; it does not depend on the argument {name}"
        return ""


def _composed(change, function):
    return lambda *arguments: change(np.asarray(function(*arguments)))


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
