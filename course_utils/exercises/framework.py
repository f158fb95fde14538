"""What stands behind `check`: an exercise, its known mistakes, and the verdict on an attempt.

An exercise holds no stored numbers. Its reference, its listed mistakes and the attempt are all
functions; they are run on the same trial inputs and their results compared, so a verdict can name
the mistake that gives exactly the attempt's numbers.
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
from dataclasses import dataclass

import numpy as np

from course_utils.exercises.slips import edited, slips

NOT_ATTEMPTED = "not attempted yet"
CORRECT = "correct"
FLOAT32 = ", to the seven digits of float32"


@dataclass(eq=False)
class Exercise:
    """A question whose answer is a function, or a value, compared with a reference.

    reference   the right function; it returns a number, an array, a string, or a tuple of these
    trials      a list of the arguments of each trial, a tuple where there are several; lists in it
                are arrays of numbers. () where the answer is a plain value
    mistakes    {what to look at: function with that mistake}; each takes the same arguments and
                returns the same structure as the reference. A number is that multiple of the right
                result. A mistake is named when the attempt agrees with it wherever it differs from
                the reference, so that a mistake in one of two results is recognised whatever the
                other result is
    returns     names of the results, where the reference returns a tuple
    hint        what to think about when no listed mistake fits
    tolerance   relative, on each entry; the default lets float32 and other orders of summation pass
    """

    reference: Callable
    trials: Sequence
    mistakes: Mapping[str, Callable | float]
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
        except _NotYet as complaint:
            verdict = f"not yet: {complaint}"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: an exercise must not end the lesson
            verdict = f"not yet: {_account(error, attempt)}"
        return verdict, said.getvalue()

    def run(
        self, function: Callable, said: io.StringIO | None = None, written: set | None = None
    ) -> list[list[np.ndarray]]:
        """Return `function`'s results, [trial][part], each an array of numbers or of text.

        What it prints and warns of goes to `said`, which arguments it overwrites to `written`.
        """
        results, expected = [], self._expected
        with _overheard(said or io.StringIO()):
            for trial, right in zip(self.trials, expected, strict=True):
                handed = copy.deepcopy(trial)
                results.append(_parts(function(*handed), right, self.returns))
                pairs = zip(self._arguments, trial, handed, strict=False)
                written is None or written.update(n for n, a, b in pairs if _overwritten(a, b))
        return results

    def differing(self, outcomes, others) -> frozenset[int]:
        """Return the parts in which two lists of outcomes differ beyond the tolerance."""
        return frozenset(
            part
            for a, b in zip(outcomes, others, strict=True)
            for part in range(len(b))
            if not _same(a[part], b[part], self.tolerance)
        )

    @functools.cached_property
    def _arguments(self):
        return list(inspect.signature(self.reference).parameters)

    @functools.cached_property
    def _expected(self):
        with _overheard(io.StringIO()):
            results = [self.reference(*copy.deepcopy(trial)) for trial in self.trials]
        return [[np.array(p) for p in (r if isinstance(r, tuple) else (r,))] for r in results]

    @functools.cached_property
    def _known(self):
        """The mistakes as (message, outcomes, parts where they differ from the reference)."""
        known = [(message, self.run(function)) for message, function in self.mistakes.items()]
        return [(message, out, self.differing(out, self._expected)) for message, out in known]

    def _judge(self, attempt, said):
        if attempt is None or attempt is ...:
            return NOT_ATTEMPTED
        function, written = self._as_function(attempt), set()
        got = self.run(function, said, written)
        changed = f"your function changes its argument {' and '.join(sorted(written))}"
        if wrong := self.differing(got, self._expected):
            if self.returns and not self.differing([row[::-1] for row in got], self._expected):
                raise _NotYet(f"mind the order of the results: ({', '.join(self.returns)})")
            words = self._name(function, got) or self._describe(function, got, wrong)
            raise _NotYet(f"{words}\n  Besides, {changed}: work on a copy" if written else words)
        if written:
            return f"right, but {changed}: whoever calls it loses the data. Work on a copy"
        doubles = [[p.astype(float) if p.dtype == np.float32 else p for p in r] for r in got]
        return CORRECT + FLOAT32 * bool(self.differing(doubles, self._expected))

    def _name(self, function, got):
        """The listed mistake that explains most, the first of equals; "" if none does.

        If none fits, one that fits but for a sign or the like: then two things went wrong.
        """
        named = [
            (len(parts), message)
            for message, outcomes, parts in self._known
            if not parts & self.differing(got, outcomes)
        ]
        if named:
            return max(named, key=lambda pair: pair[0])[1]
        if derived := self._derived(function, got):
            return derived
        if self.returns or self._form(got, {0}) or self._pattern(got, self._expected, 0):
            return ""
        for message, outcomes, _ in self._known:
            if then := self._pattern(got, outcomes, 0, both=True):
                return f"two things at once. {message}. And then{then[1:]}".replace(
                    "what is expected", "that"
                )
        return ""

    def _derived(self, function, got):
        """The simplest slip in the reference that gives the attempt's results, in words."""
        wrong = self.differing(got, self._expected)
        best, best_parts = None, set()
        for slip in slips(self.reference):
            allowed = wrong - self._coarse if slip.rank > 2 else wrong
            if not allowed:
                break
            parts = self._explained(slip, got) & allowed
            if len(parts) > len(best_parts) and self._confirmed(slip, function, parts):
                best, best_parts = slip, parts
            if best_parts == wrong:
                break
        if best is None:
            return ""
        place = ", ".join(name for k, name in enumerate(self.returns) if k in best_parts)
        one = 0 < len(best_parts) < len(self.returns)
        return f"in {place}, {best.sentence()}" if one else best.sentence()

    def _explained(self, slip, got):
        """The parts in which a slip differs from the reference, if it gives what was got there."""
        differ, missed, outcomes = set(), set(), []
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function = slip.function()
            for k in self._cheapest:
                right = self._expected[k]
                found = [_parts(function(*_fresh(self.trials[k])), right, self.returns)]
                differ |= self.differing(found, [right])
                missed |= self.differing([got[k]], found)
                if differ & missed:
                    return set()
                outcomes.append(found[0])
            return {k for k in differ if _varied([part[k] for part in outcomes])}
        return set()

    def _confirmed(self, slip, function, parts):
        """Whether slip and attempt agree on other numbers too: few trials agree by accident."""
        with contextlib.suppress(Exception), _overheard(io.StringIO()):
            slipped = slip.function()
            for k, trial in self._others:
                a, b = (
                    _parts(f(*_fresh(trial)), self._expected[k], self.returns)
                    for f in (function, slipped)
                )
                if parts & self.differing([a], [b]):
                    return False
        return True

    @functools.cached_property
    def _others(self):
        """(k, trial k with other numbers); where results say little, many and very different."""
        rng, spread = np.random.default_rng(0), 0.9 if self._coarse else 0.03
        return [
            (k, [a * rng.uniform(1 - spread, 1, np.shape(a)) if _is_real(a) else a for a in trial])
            for k in self._cheapest[: (len(self.trials) + 1) // 2]
            for trial in [self.trials[k]] * (10 if self._coarse else 1)
        ]

    @functools.cached_property
    def _coarse(self):
        """The parts that are words, places, counts or shares: much agrees there by accident."""
        parts = list(zip(*self._expected, strict=True))
        return {k for k, part in enumerate(parts) if part[0].dtype.kind == "U" or _simple(part)}

    @functools.cached_property
    def _cheapest(self):
        return sorted(
            range(len(self.trials)), key=lambda k: sum(np.size(a) for a in self.trials[k])
        )

    def _as_function(self, attempt):
        if not callable(attempt):
            if self.trials[0]:
                raise _NotYet(
                    f"expected a function {_signature(self.reference)}, got "
                    f"{_kind(attempt)}: hand over the function itself, without calling it"
                )
            return lambda: attempt
        with contextlib.suppress(ValueError):  # some built-ins have no signature
            signature = inspect.signature(attempt)
            try:
                signature.bind(*self.trials[0])
            except TypeError:
                raise _NotYet(
                    f"expected a function {_signature(self.reference)}, got one {signature}"
                ) from None
        return attempt

    def _describe(self, function, got, wrong):
        """What is wrong in general, and one small trial: given, got, expected."""
        if self.differing(self.run(function), got):
            return "called twice with the same arguments, your function returned two results"
        failing = [
            k
            for k, (a, b) in enumerate(zip(got, self._expected, strict=True))
            if self.differing([a], [b])
        ]
        text = self._form(got, wrong)
        if not text:
            text = "not the expected result"
            if len(got) > 1:
                text += f" on {len(failing)} of {len(got)} trials"
            if self.returns:
                text += f", in {', '.join(self.returns[part] for part in sorted(wrong))}"
            pattern = self._pattern(got, self._expected, min(wrong))
            text += pattern or self._ignored(function, got)
            text = f"{text}. {self.hint}".rstrip(". ")
            text = text if text.endswith("?") else f"{text}."
        if not self.trials[0]:
            return text  # a plain value: to show what is expected would be to give it away
        trial, got, expected = min(
            ((self.trials[k], got[k], self._expected[k]) for k in failing),
            key=lambda row: sum(np.size(argument) for argument in row[0]),
        )
        rows = {"given": (self._arguments, trial), "got": (self.returns, got)}
        rows["expected"] = (self.returns, expected)
        rows = [f"  {label:10}{_listed(*row)}" for label, row in rows.items()]
        return "\n".join([text, *rows])

    def _form(self, got, wrong):
        """What is wrong with the shape of a result, or "NaN or infinity"; "" if neither is."""
        for a, b in zip(got, self._expected, strict=True):
            for part in sorted(wrong):
                of = f" for {self.returns[part]}" if self.returns else ""
                if a[part].shape != b[part].shape:
                    return f"expected {_shape(b[part])}{of}, got {_shape(a[part])}"
                fine = b[part].dtype.kind == "U" or np.isfinite(a[part]) | ~np.isfinite(b[part])
                if not np.all(fine):
                    return (
                        f"NaN or infinity in the result{of}: look for 0/0, the log of a number "
                        "that is not positive, or an overflow"
                    )
        return ""

    def _pattern(self, got, expected, part, both=False):
        """Say how a whole result is off, where that is simple; `both`: after another mistake."""
        everything = list(zip(got, expected, strict=True))
        pairs = [(np.atleast_1d(a[part]), np.atleast_1d(b[part])) for a, b in everything]
        if pairs[0][1].dtype.kind == "U" or sum(b.size for _, b in pairs) < 3:
            return ""
        if not both:
            if not any(np.any(a) for a, _ in pairs):
                return "; it is zero everywhere"
            for k, name in enumerate(self._arguments):
                given = (_numbers(trial[k]) for trial in self.trials)
                if all(_same(a, x, 0) for (a, _), x in zip(pairs, given, strict=False)):
                    return f"; it is the argument {name}, unchanged"
            if len(pairs) > 1 and all(_same(a, pairs[0][0], 0) for a, _ in pairs):
                return "; it is the same whatever the arguments are"
            for k, name in enumerate(self.returns):
                if all(_same(a[part], b[k], self.tolerance) for a, b in everything):
                    return f"; it is {name}: mind the order"
        for words, change in list(PATTERNS.items())[: SECOND if both else None]:
            if all(_fits(a, change(b), self.tolerance) for a, b in pairs):
                return f"; {words}"
        off = _off(pairs, self.tolerance)
        return off if not both or (off.endswith("everywhere") and "times" in off) else ""

    def _ignored(self, function, got):
        """The argument that the answer depends on and the attempt does not, in words."""
        for k, name in enumerate(self._arguments):
            arrays = [isinstance(trial[k], np.ndarray) for trial in self.trials]
            if not (all(arrays) or all(isinstance(trial[k], float) for trial in self.trials)):
                continue
            other = copy.copy(self)
            values = [np.roll(trial[k], 1) if all(arrays) else trial[k] for trial in self.trials]
            changed = [~v if np.asarray(v).dtype.kind == "b" else 0.9 * v for v in values]
            other.trials = [
                (*trial[:k], value, *trial[k + 1 :])
                for trial, value in zip(self.trials, changed, strict=True)
            ]
            other.__dict__.pop("_expected", None)
            with contextlib.suppress(Exception):
                same = not self.differing(other.run(function), got)
                if same and self.differing(other._expected, self._expected):
                    return f"; it does not depend on the argument {name}"
        return ""


PATTERNS = {  # how a result y is off, and what it looks like then; NaN: whatever stands there
    "only the sign differs, everywhere": np.negative,
    "it is 1 minus what is expected": lambda y: 1 - y,
    "it is 1 over what is expected": np.reciprocal,
    "it is the square of what is expected": np.square,
    "it is the root of what is expected": np.sqrt,
    "the right numbers stand in reversed order": lambda y: y[::-1],
    "it is the logarithm of what is expected": np.log,
    "it is e to the power of what is expected": np.exp,
    "the sizes are right, some signs are not": np.abs,
    "the right numbers stand in ascending order": np.sort,
    "these are the running sums of what is expected": np.cumsum,
    "the right numbers stand one place too late": lambda y: np.append(np.nan, y[:-1]),
    "the right numbers stand one place too early": lambda y: np.append(y[1:], np.nan),
}
SECOND = 6  # of these are looked for after another mistake


def _fits(got, changed, tolerance):
    known = np.isfinite(changed)
    size_known = got.shape == changed.shape and known.sum() > known.size / 2
    return size_known and _same(got[known], changed[known], tolerance)


def _off(pairs, tolerance):
    """Say by which factor or constant a result is off, in all trials or in each."""
    for words, compare, make in [
        ("times what is expected", lambda a, b: a[b != 0] / b[b != 0], np.multiply),
        ("more than what is expected", np.subtract, np.add),
    ]:
        by = [np.append(compare(a, b), 0)[0] for a, b in pairs]  # as the first entry is off
        if not all(_same(a, make(b, x), tolerance) for (a, b), x in zip(pairs, by, strict=True)):
            continue
        if np.allclose(by, by[0], rtol=1e-4):
            return f"; it is {by[0]:.4g} {words}, everywhere"
        if all(b.size > 2 for _, b in pairs):
            return f"; it is {by[0]:.4g} {words} in the first trial, {by[1]:.4g} in the second"
    return ""


class _NotYet(Exception):
    """What is wrong with an attempt, in words."""


def _parts(result, expected, names):
    """Return an attempt's result as one array for each expected part, or complain."""
    if result is None:
        raise _NotYet("the function returns None: is a `return` missing? (print does not return)")
    if len(expected) == 1:
        return [_array(result, expected[0])]
    label = f"{len(expected)} results ({', '.join(names)})"
    try:
        count = len(result)
    except TypeError:
        raise _NotYet(f"expected {label}, got {_kind(result)}") from None
    if count != len(expected) or isinstance(result, (str, dict)):
        raise _NotYet(f"expected {label}, got {_kind(result)} of length {count}")
    return [_array(part, like) for part, like in zip(result, expected, strict=True)]


def _array(value, like):
    """Return a copy of one result as numbers, or as text where text is expected.

    float32 stays what it is, so that `_same` knows how many digits it has.
    """
    kind = _kind(value)
    if like.dtype.kind == "U":
        if not isinstance(value, str):
            raise _NotYet(f"expected a word in quotes, got {kind}")
        return np.array(value)
    if not isinstance(value, np.ndarray):
        with contextlib.suppress(TypeError):
            if len(value) > 10**6:  # a range(10**12) must not be laid out in memory
                raise _NotYet(f"expected {_shape(like)}, got {kind} of length {len(value)}")
    if hasattr(value, "detach"):  # a torch tensor, without importing torch
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biufO":
            raise TypeError
        short = array.dtype.kind == "f" and array.dtype.itemsize <= 4
        array = array.astype(np.float32 if short else np.float64)
        return array.reshape(()) if like.ndim == 0 and array.size == 1 else array
    except (TypeError, ValueError):
        raise _NotYet(f"expected {_shape(like)}, got {kind}") from None


def _same(a, b, tolerance):
    if a.shape != b.shape:
        return False
    if b.dtype.kind == "U":
        return str(a).strip().casefold() == str(b).strip().casefold()
    scale = np.abs(b[np.isfinite(b)]).max(initial=0.0)
    least = 1e-3 * tolerance * scale + 1e-12
    if a.dtype == np.float32:  # seven digits, of which a difference such as 1 − ᾱ loses some
        tolerance, least = max(tolerance, 1e-4), 1e-5 * max(scale, 1.0)
    close = np.isfinite(b) & (np.abs(a - b) <= least + tolerance * np.abs(b))
    return bool(np.all(close | (a == b) | (np.isnan(a) & np.isnan(b))))


def _varied(results):
    """Whether results vary, within arrays if there are any: many slips give one value for all."""
    arrays = [part for part in results if part.size > 1] or [np.array(results)]
    return any(len(set(array.ravel().tolist())) > 1 for array in arrays)


def _is_real(value):
    return isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")


def _fresh(trial):
    return [a.copy() if isinstance(a, np.ndarray) else a for a in trial]


def _simple(part):
    numbers = np.concatenate([np.atleast_1d(array) for array in part])
    return bool(np.all(np.abs(600 * numbers - np.round(600 * numbers)) < 1e-9))


def _numbers(value):
    """An argument as an array of numbers; NaN for what is none, a function for example."""
    try:
        return np.atleast_1d(np.asarray(value, dtype=float))
    except (TypeError, ValueError):
        return np.full(1, np.nan)


def _overwritten(before, after):
    return isinstance(before, np.ndarray) and not np.array_equal(before, after, equal_nan=True)


def _shape(array):
    if array.ndim == 0:
        return "a number"
    return f"an array of {array.size} numbers" if array.ndim == 1 else f"shape {array.shape}"


def _listed(names, values):
    """Arguments or results in one line, each a few short numbers with its name."""
    named = [f"{name} = {_short(v)}" for name, v in zip(names, values, strict=False)]
    return ", ".join(named) or _short(values[0])


def _short(value):
    if callable(value):
        return value.__doc__ or "a function"
    if np.asarray(value).dtype.kind not in "biuf":
        return str(value)
    if np.ndim(value) > 1 and np.size(value) > 12:
        return f"numbers of shape {np.shape(value)}"
    four_digits = {"float_kind": lambda number: f"{number:.4g}"}
    style = {"threshold": 8, "edgeitems": 3, "separator": ", ", "formatter": four_digits}
    return " ".join(np.array2string(np.asarray(value), **style).split())


def _kind(value):
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _signature(function):
    return f"({', '.join(inspect.signature(function).parameters)})"


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
