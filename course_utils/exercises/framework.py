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

NOT_ATTEMPTED = "not attempted yet"
CORRECT = "correct"


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
            message: mistake if callable(mistake) else self._times(mistake)
            for message, mistake in self.mistakes.items()
        }

    def _times(self, factor):
        return lambda *arguments: factor * self.reference(*arguments)

    def verdict(self, attempt: object) -> str:
        """Return "not attempted yet", "correct" or "not yet: ..."; let only Ctrl-C through."""
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

    def run(self, function: Callable, said: io.StringIO | None = None) -> list[list[np.ndarray]]:
        """Return `function`'s results, [trial][part], each an array of numbers or of text.

        What it prints and warns of goes to `said`.
        """
        expected = self._expected
        with _overheard(said or io.StringIO()):  # an attempt may change its arguments
            results = [function(*copy.deepcopy(trial)) for trial in self.trials]
            return [_parts(r, e, self.returns) for r, e in zip(results, expected, strict=True)]

    def differing(self, outcomes, others) -> frozenset[int]:
        """Return the parts in which two lists of outcomes differ beyond the tolerance."""
        return frozenset(
            part
            for a, b in zip(outcomes, others, strict=True)
            for part in range(len(b))
            if not _same(a[part], b[part], self.tolerance)
        )

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
        got = self.run(self._as_function(attempt), said)
        wrong = self.differing(got, self._expected)
        if not wrong:
            return CORRECT
        named = [
            (len(parts), message)
            for message, outcomes, parts in self._known
            if not parts & self.differing(got, outcomes)
        ]
        if named:  # the mistake that explains most; the first listed of equals
            raise _NotYet(max(named, key=lambda pair: pair[0])[1])
        raise _NotYet(self._describe(got, wrong))

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

    def _describe(self, got, wrong):
        for a, b in zip(got, self._expected, strict=True):
            for part in sorted(wrong):
                of = f" for {self.returns[part]}" if len(b) > 1 else ""
                if a[part].shape != b[part].shape:
                    return f"expected shape {b[part].shape}{of}, got {a[part].shape}"
                if b[part].dtype.kind != "U" and not np.isfinite(a[part]).all():
                    return (
                        f"NaN or infinity in the result{of}: look for 0/0, the log of a number "
                        "that is not positive, or an overflow"
                    )
        pairs = zip(got, self._expected, strict=True)
        trials = sum(bool(self.differing([a], [b])) for a, b in pairs)
        text = f"not the expected result on {trials} of {len(got)} trials"
        if len(self._expected[0]) > 1:
            text += f", in {' and '.join(self.returns[part] for part in sorted(wrong))}"
        part = min(wrong)
        text += _pattern([a[part] for a in got], [b[part] for b in self._expected], self.tolerance)
        text = f"{text}. {self.hint}".rstrip(". ")
        return text if text.endswith("?") else f"{text}."


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
    """Return a copy of one result as float64 numbers, or as text where text is expected."""
    kind = _kind(value)
    if like.dtype.kind == "U":
        if not isinstance(value, str):
            raise _NotYet(f"expected a word in quotes, got {kind}")
        return np.array(value)
    if not isinstance(value, np.ndarray):
        with contextlib.suppress(TypeError):
            if len(value) > 10**6:  # a range(10**12) must not be laid out in memory
                raise _NotYet(f"expected shape {like.shape}, got {kind} of length {len(value)}")
    if hasattr(value, "detach"):  # a torch tensor, without importing torch
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
        if array.dtype.kind == "b" and like.dtype.kind != "b":
            raise _NotYet("expected numbers, got True and False")
        if array.dtype.kind not in "biufO":
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise _NotYet(f"expected real numbers of shape {like.shape}, got {kind}") from None


def _same(a, b, tolerance):
    if a.shape != b.shape:
        return False
    if b.dtype.kind == "U":
        return str(a).strip().casefold() == str(b).strip().casefold()
    scale = np.abs(b[np.isfinite(b)]).max(initial=0.0)
    return np.allclose(a, b, rtol=tolerance, atol=1e-3 * tolerance * scale + 1e-12, equal_nan=True)


def _pattern(got, expected, tolerance):
    """Say how a whole result is off, where that is simple and gives nothing away."""
    if expected[0].dtype.kind == "U":
        return ""
    flat, right = (np.concatenate([np.ravel(x) for x in y]) for y in (got, expected))
    if right.size < 3:
        return ""
    if _same(-flat, right, tolerance):
        return "; only the sign differs, everywhere"
    pairs = zip(got, expected, strict=True)
    if all(a.ndim == 1 and _same(a[::-1], b, tolerance) for a, b in pairs):
        return "; the right numbers stand in reversed order"
    usable = right != 0
    ratios = flat[usable] / right[usable]
    if ratios.size > 2 and ratios[0] and _same(flat, ratios[0] * right, tolerance):
        return "; it is off by one constant factor everywhere"
    if _same(flat - right, np.full_like(right, flat[0] - right[0]), tolerance):
        return "; it is off by one additive constant everywhere"
    return ""


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
