"""Every exercise recognises its answer and its mistakes, and `check` survives any attempt.

Typical answers, right and wrong, stand in answers.py.
"""

import copy
import functools
import itertools
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from answers import RIGHT, WRONG
from matplotlib import pyplot as plt
from scipy.special import expit

from course_utils.exercises import Exercise, check, exercises
from course_utils.exercises.slips import Source, edited

EXERCISES = exercises()
NAMES = list(EXERCISES)
NAMED = 0.75  # share of the rejections below; of answers as they come, nine in ten are named


# --- each exercise ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_reference_and_other_right_answers_pass(name):
    exercise = EXERCISES[name]
    assert exercise.verdict(exercise.reference) == "correct"
    assert RIGHT[name], "give at least one other way to the right answer"
    for answer in RIGHT[name]:
        assert exercise.verdict(answer) == "correct"


@pytest.mark.parametrize("name", NAMES)
def test_each_listed_mistake_is_named(name):
    exercise = EXERCISES[name]
    assert len(exercise.mistakes) >= 2 and exercise.hint
    for message, mistake in exercise.mistakes.items():
        assert exercise.verdict(mistake) == f"not yet: {message}"
        assert "correct" not in message, "only the right answer may print this word"


def test_a_further_wrong_answer_is_rejected_and_most_are_named():
    """No mistake that is listed, and the hard ones: many were kept because nothing named them."""
    told = []
    for name in NAMES:
        text = EXERCISES[name].verdict(WRONG[name])
        assert text.startswith("not yet: "), f"wrong answer to {name}: {text}"
        told.append("not the expected result" not in text or "it is the same for" in text)
    assert np.mean(told) > NAMED, f"{np.mean(told):.3f} of {len(told)} rejections name the mistake"


# --- kinds of mistakes that no formula explains --------------------------------------------------

SLIPS = {  # what goes wrong after the right formula: the right result -> a wrong one
    "the sign": lambda y: -y,
    "one per cent too much": lambda y: 1.01 * y,
    "off by one": lambda y: y + 1,
    "twice over": lambda y: np.stack([y, y]),
    "the last entry forgotten": lambda y: y[:-1],
    "one NaN": lambda y: np.where(np.arange(y.size).reshape(y.shape) == 0, np.nan, y),
}
DRESSING = {
    "float32": lambda y: np.asarray(y, dtype=np.float32),
    "a list": lambda y: y.tolist(),
    "objects": lambda y: y.astype(object),
}


def changed(exercise, change):
    """The reference with every part of its result changed; texts stay as they are."""

    def attempt(*arguments):
        result = exercise.reference(*arguments)
        parts = result if isinstance(result, tuple) else (result,)
        parts = [p if isinstance(p, str) else change(np.asarray(p, dtype=float)) for p in parts]
        return tuple(parts) if isinstance(result, tuple) else parts[0]

    return attempt


@pytest.fixture
def unexplained(monkeypatch):
    """Rejections without their words, which are looked for ten times longer."""
    monkeypatch.setattr(Exercise, "_explained", lambda *given: "")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "08.2"])  # 08.2 is a word
def test_a_slip_after_the_right_formula_is_rejected(name, unexplained):
    exercise = EXERCISES[name]
    for kind, change in SLIPS.items():
        assert exercise.verdict(changed(exercise, change)).startswith("not yet: "), kind


@pytest.mark.parametrize("name", NAMES)
def test_the_right_result_passes_in_any_dress(name):
    exercise = EXERCISES[name]
    for kind, change in DRESSING.items():
        assert exercise.verdict(changed(exercise, change)) == "correct", kind


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_learnt_by_heart_is_rejected(name, unexplained):
    """The numbers of one trial are not the function."""
    exercise = EXERCISES[name]
    if len(exercise.trials) == 1:
        pytest.skip("one trial, an array of them")
    result = exercise.reference(*copy.deepcopy(exercise.trials[0]))
    assert exercise.verdict(lambda *args: result).startswith("not yet: ")


# --- references whose other right answers are the same formula, against independent truths -------


def test_the_drift_with_any_noise_keeps_a_gaussian_law():
    """Data N(0, s²): the variance must go back along 1 + ᾱ(s² − 1), for every η."""
    s2, a_bar, beta = 0.3, 0.4, 2.0
    variance = 1 + a_bar * (s2 - 1)
    for eta in (0.0, 0.5, 1.0, 3.0):
        slope = EXERCISES["03.3"].reference(1.0, -1 / variance, beta, eta)  # of the drift in z
        back = -2 * slope * variance + eta**2 * beta  # d variance/d|t|: drift and fresh noise
        assert back == pytest.approx(beta * a_bar * (s2 - 1), rel=1e-12)


# --- the machinery, on small exercises ----------------------------------------------------------

HALF = Exercise(
    reference=lambda x, y: (x / 2, y.sum()),
    trials=[([1.0, 2.0, 4.0], [5.0, 1.0])],
    returns=("half", "total"),
    mistakes={
        "doubled where halved": lambda x, y: (2 * x, y.sum()),
        "the mean": lambda x, y: (x / 2, y.mean()),
        "both at once": lambda x, y: (2 * x, y.mean()),
    },
    hint="Think of halves",
)
ONE = Exercise(
    reference=lambda x: np.exp(x),
    trials=[[0.0, 1.0, 3.0]],
    mistakes={"a power of ten": lambda x: 10**x},
    hint="Think of e",
)
TWO = Exercise(lambda x, y: x**2 + y, [([1.0, 2.5, 4.0, 0.5], 3.0), ([2.0, 3.0], 0.7)], {})
PRODUCT = Exercise(lambda x, y: x * y, [([1.0, 3.0, 2.0], 4.0), ([5.0, -1.0], 0.5)], {})
FROM_ZERO = Exercise(lambda x: x, [[1.0, 2.0, 4.0, 0.0]], {})
NUMBER = Exercise(reference=lambda: 82.0, trials=(), mistakes={"one too few": lambda: 81.0})
WORD = Exercise(reference=lambda: "same", trials=(), mistakes={"no": lambda: "ELBO"})


def raising(error):
    def attempt(x):
        raise error

    return attempt


def recursive(x):
    return recursive(x)


VERDICTS = {
    "stub": (raising(NotImplementedError()), "not attempted yet"),
    "None": (None, "not attempted yet"),
    "in place": (lambda x: np.exp(x, out=x), "ValueError in line"),
    "float32, digits lost": (
        lambda x: np.exp(x.astype("f")) * np.float32(1.00005),
        "correct, to the seven digits of float32",
    ),
    "torch": (lambda x: torch.exp(torch.tensor(x, requires_grad=True)), "correct"),
    "nothing returned": (lambda x: None, "the function returns None"),
    "column": (lambda x: np.exp(x)[:, None], "expected an array of 3 numbers, got shape (3, 1)"),
    "one": (lambda x: np.exp(x)[:1], "expected an array of 3 numbers, got an array of one number"),
    "ragged": (lambda x: [1, [2, 3], 4], "expected an array of 3 numbers, got a list"),
    "nan": (lambda x: np.log(x - 5), "NaN or infinity in the result"),
    "booleans are numbers": (lambda x: x > 1, "got       [0, 0, 1]"),
    "endless generator": (lambda x: itertools.count(), "expected an array of 3 numbers"),
    "value, not function": (np.ones(3), "expected a function (x), got a ndarray"),
    "two arguments": (lambda x, y: x, "expected a function (x), got one (x, y)"),
    "exit": (raising(SystemExit(1)), "SystemExit in line"),
    "address in message": (raising(ValueError(f"bad {object()}")), "object at 0x...>"),
    "recursion": (recursive, "RecursionError in line"),
    "sign": (lambda x: -np.exp(x), "only the sign differs"),
    "root": (lambda x: np.exp(x / 2), "your result is √(the right result)"),
    "offset": (lambda x: 3 + np.exp(x), "your result is 3 more than the right result"),
    "chance": (lambda x: np.random.normal(size=3), "returned two results"),  # noqa: NPY002
    "unknown mistake": (
        np.sin,
        """not yet: not the expected result. Think of e.
  given     x = [0, 1, 3]
  got       [0, 0.8415, 0.1411]
  expected  [1, 2.718, 20.09]""",
    ),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_verdict_on(case):
    attempt, text = VERDICTS[case]
    got = ONE.verdict(attempt)
    assert text in got and got == ONE.verdict(attempt)
    assert got.startswith(("correct", "not attempted yet", "not yet: "))


@pytest.mark.parametrize("name", ["00.2", "02.3", "06.3", "08.2"])
def test_check_survives_every_hostile_attempt(name, capsys):
    for attempt, _ in VERDICTS.values():
        assert check(name, attempt) is None
    assert "correct" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("exercise", "attempt", "words"),
    [
        (TWO, lambda x, y: (x**2 + y) * y**2, "your result is the right result times y²"),
        (TWO, lambda x, y: (x**2 + y) * np.pi, "your result is π times the right result"),
        (TWO, lambda x, y: np.log(x**2 + y), "your result is log (the right result)"),
        (TWO, lambda x, y: (x**2 + y) / np.sqrt(x), "the right result divided by √x"),
        (TWO, lambda x, y: x**2 + y + 2 * np.exp(x), "the right result plus twice e^x"),
        (TWO, lambda x, y: (x**2 + y)[::-1], "your result is the right result in reversed order"),
        (TWO, lambda x, y: 0 * x + 5, "your result is the same whatever the arguments are"),
        (TWO, lambda x, y: x + 0 * y, "your result is x"),
        (TWO, lambda x, y: np.sqrt(3.5 - x), "got       [1.581, 1, nan, 1.732]"),
        (PRODUCT, lambda x, y: 2 + np.sin(x), "it is the same for other values of y"),
        (FROM_ZERO, lambda x: 3 * x, "your result is 3 times"),
        (HALF, lambda x, y: (2 * x, "?"), "expected a number, got a str"),
        (HALF, lambda x, y: (2 * x, 7), "not yet: doubled where halved"),
        (HALF, lambda x, y: (2 * x, y.mean()), "not yet: both at once"),
        (HALF, lambda x, y: (x / 2, 7), "in total, your result is the same whatever the arguments"),
        (HALF, lambda x, y: (x / 2, y[0] / 7), "got       half = [0.5, 1, 2], total = 0.7143"),
        (HALF, lambda x, y: (x / 2, y), "a number for total, got an array of 2 numbers"),
        (HALF, lambda x, y: (1, 2, 3), "expected 2 results (half, total), got a tuple of length 3"),
        *((NUMBER, right, "correct") for right in (82, [82], np.array([82.0]), lambda: 82.0)),
        (NUMBER, 81.0, "not yet: one too few"),
        (NUMBER, [82, 81], "not yet: expected a number, got an array of 2 numbers"),
        (NUMBER, 80, "not yet: not the expected result."),
        (WORD, " Same", "correct"),
        (WORD, "elbo", "not yet: no"),
        (WORD, 3, "not yet: expected a word in quotes, got an int"),
        (EXERCISES["01.3"], lambda b: np.exp(-b.sum()), "that is the approximation itself"),
        (EXERCISES["03.1"], (2, 0.5), "and no bug.\n  And a loss of ½ is the floor"),
        (EXERCISES["03.4"], lambda z, *others: z * np.nan, "NaN or infinity in the result"),
        (EXERCISES["04.2"], lambda n, a, b, c: (2 * b - a, int(2 * n * (a - b) / c)), "ing down s"),
        (EXERCISES["05.1"], lambda s: -s / 2, "log (w(log_snr)/w(0.0)) stands"),
        (EXERCISES["05.2"], lambda s, g: expit(s), "the minimum with gamma is missing"),
        (EXERCISES["06.2"], lambda t, w: (np.diff(w) / sum(w), w[0] / sum(w)), "the sum of w stan"),
        (EXERCISES["06.4"], lambda s, w: np.where(s < -1, max(w), w), "got       [1.4, 1.4, 0.7"),
    ],
)
def test_what_is_told_of(exercise, attempt, words):
    assert words in exercise.verdict(attempt)


def test_nothing_is_told_that_does_not_explain_every_number():
    assert "times" not in FROM_ZERO.verdict(lambda x: np.append(3 * x[:-1], 5.0))
    assert "other values" not in PRODUCT.verdict(lambda x, y: np.sign(x) + y)


def test_no_other_seed_and_no_figure_is_left():
    before = str(np.random.get_state())  # noqa: NPY002 (the reader's own)
    said = ONE.verdict(lambda x: [plt.figure(), np.random.seed(1), x][2])  # noqa: NPY002
    assert said == "not yet: your result is x" and not plt.get_fignums()
    assert str(np.random.get_state()) == before  # noqa: NPY002


def test_two_mistakes_in_one_verdict_are_not_told_as_a_third():
    exercise = EXERCISES["08.2"]
    slips = ["0.975 -> 0.995", "len(d) - 1 -> len(d)", "ddof=1 -> ddof=0", "< -by -> < 0"]
    for pair in itertools.combinations([*slips, "differences[primary] -> differences[0]"], 2):
        verdict = exercise.verdict(edited(exercise.reference, "; ".join(pair)))
        assert "not the expected result" in verdict, pair


def test_ctrl_c_passes_through():
    with pytest.raises(KeyboardInterrupt):
        ONE.verdict(raising(KeyboardInterrupt()))


# --- slips derived from the reference ------------------------------------------------------------


def small(x, gain, share):
    square = np.sum(x**2)  # powers add up
    return gain * np.exp(-share / 2) / (1 - share) + x[:-1] - np.minimum(square, 3.0)


SMALL = Exercise(small, [([0.4, 1.1, 2.2], 0.7, 0.3), ([1.3, -0.4, 0.2], 2.1, 0.45)], {})
DERIVED = {  # an edit of the reference -> the words for it
    "gain * -> ": "the factor gain is missing",
    "/ (1 - share) -> ": "the division by 1 − share is missing",
    "/ (1 -> * (1": "it multiplies by 1 − share where it should divide",
    "(1 - share) -> share": "share stands where 1 minus it belongs",
    "-share -> share": "it divides by exp(−share/2) where it should multiply",
    "x**2 -> x": "the square of x is missing: powers add up",
    "np.sum -> np.mean": "the mean stands where the sum belongs: powers add up",
    "np.minimum -> np.maximum": "the larger stands where the smaller belongs",
    "share / 2 -> share / 4": "4 stands where 2 belongs",
    "gain * -> share *": "share stands where gain belongs",
    "gain * -> gain**2 *": "gain² stands where gain belongs",
}


@pytest.mark.parametrize("edit", DERIVED)
def test_a_slip_in_the_reference_is_named_without_a_list(edit):
    assert f"not yet: {DERIVED[edit]}" in SMALL.verdict(edited(small, edit))


def test_no_slip_is_named_that_changes_nothing_or_differs_from_the_attempt():
    assert SMALL.verdict(edited(small, "gain * -> 1 * gain *")) == "correct"
    assert "given" in SMALL.verdict(lambda x, gain, share: np.cbrt(x[:2]) * gain)
    assert "given" in SMALL.verdict(edited(small, "square, 3.0 -> square, 2.9"))


def test_a_reference_without_source_has_no_slips():
    for function in (np.sin, functools.partial(small, gain=1)):
        assert not Source(function).slips()


# --- what `check` prints ------------------------------------------------------------------------


def talking(entries):
    """Prints, warns on purpose, and lets NumPy warn."""
    print("I got", entries[0])
    print("an error", file=sys.stderr)
    warnings.warn("mind this", stacklevel=1)
    return np.log(0 * entries[0])


def test_what_an_attempt_prints_is_seen(capsys):
    check("00.1", talking)
    rows = capsys.readouterr().out.splitlines()
    divided = "RuntimeWarning: divide by zero encountered in log"
    verdict = next(row for row in rows if row.startswith("not yet: NaN"))
    assert rows[0] == "I got 10.0" and rows[1] == "an error"
    assert rows[rows.index(verdict) - 2 :][:2] == ["UserWarning: mind this", divided]
    right = EXERCISES["00.1"].reference
    check("00.1", lambda a: [print("here"), right(a)][1])
    check("00.1", raising(NotImplementedError()))
    said = ["here"] * len(EXERCISES["00.1"].trials)
    assert capsys.readouterr().out.splitlines() == [*said, "correct", "not attempted yet"]


@pytest.mark.parametrize("swapped", [(talking, "00.1"), ("same", "08.2"), (82, "00.1")])
def test_arguments_in_the_wrong_order_are_told(swapped, capsys):
    check(*swapped)
    assert capsys.readouterr().out.startswith("the arguments are swapped: the name comes first")


@pytest.mark.parametrize("name", ["00.17", "", "x", 0.1, None, [], "(", "99.1"])
def test_unknown_names_get_the_nearest(name, capsys):
    check(name, None)
    assert re.match(r"unknown exercise .*: did you mean '0\d\.\d'\?", capsys.readouterr().out)


def test_import_is_light_even_where_the_course_is_unfit():
    code = (
        "from importlib import metadata; metadata.version = lambda name: '0.1';"
        "import sys; from course_utils.exercises import check; check('00.1', None);"
        "print(sorted(m for m in sys.modules if m.startswith('course_utils.exercises.n')),"
        "'torch' in sys.modules, 'scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    light = "['course_utils.exercises.n00_start_here'] False False"
    assert done.stdout.splitlines() == ["not attempted yet", light]
    assert exercises("99") == {}
