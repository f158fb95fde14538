"""Every exercise recognises its answer and its mistakes, and `check` survives any attempt.

Typical answers, right and wrong, stand in tests/wrong_answers/nXX.py, one file a notebook.
"""

import copy
import functools
import importlib
import itertools
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from scipy import integrate
from scipy.special import expit

from course_utils.elbo import ErrorCurve
from course_utils.exercises import Exercise, check, exercises
from course_utils.exercises.slips import Source, edited
from course_utils.forward import posterior
from course_utils.mixtures import GaussianMixture
from course_utils.objectives import published
from course_utils.predictions import eps_loss_to
from course_utils.schedules import (
    Cosine,
    FlowMatching,
    ddpm_betas,
    log_snr_from_alpha_bar,
)

EXERCISES = exercises()
NAMES = list(EXERCISES)
NAMED = 0.75  # share of the rejections below; of answers as they come, nine in ten are named


def answers(name):
    """The file of typical answers to the exercise `name`."""
    return importlib.import_module(f"wrong_answers.n{name[:2]}")


# --- each exercise ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_reference_and_other_right_answers_pass(name):
    exercise = EXERCISES[name]
    assert exercise.verdict(exercise.reference) == "correct"
    assert answers(name).RIGHT[name], "give at least one other way to the right answer"
    for answer in answers(name).RIGHT[name]:
        assert exercise.verdict(answer) == "correct"


@pytest.mark.parametrize("name", NAMES)
def test_each_listed_mistake_is_named(name):
    exercise = EXERCISES[name]
    assert len(exercise.mistakes) >= 2 and exercise.hint
    for message, mistake in exercise.mistakes.items():
        assert exercise.verdict(mistake) == f"not yet: {message}"
        assert "correct" not in message, "only the right answer may print this word"


@pytest.mark.parametrize("name", NAMES)
def test_mistakes_coincide_neither_with_each_other_nor_with_the_reference(name):
    exercise = EXERCISES[name]
    functions = {"the reference": exercise.reference, **exercise.mistakes}
    outcomes = {message: exercise.run(function) for message, function in functions.items()}
    for a, b in itertools.combinations(outcomes, 2):
        assert exercise.differing(outcomes[a], outcomes[b]), (a, b)


def test_further_wrong_answers_are_rejected_and_most_are_named():
    """No mistake that is listed, and the hard ones: many were kept because nothing named them."""
    told = []
    for name in NAMES:
        wrong = answers(name).WRONG[name]
        assert len(wrong) >= 2
        for k, answer in enumerate(wrong):
            text = EXERCISES[name].verdict(answer)
            assert text.startswith("not yet: "), f"wrong answer {k} of {name}: {text}"
            told.append("not the expected result" not in text or "it does not depend" in text)
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


@pytest.mark.parametrize("name", [name for name in NAMES if name != "08.2"])  # 08.2 is a word
def test_a_slip_after_the_right_formula_is_rejected(name):
    exercise = EXERCISES[name]
    for kind, change in SLIPS.items():
        assert exercise.verdict(changed(exercise, change)).startswith("not yet: "), kind


@pytest.mark.parametrize("name", NAMES)
def test_the_right_result_passes_in_any_dress(name):
    exercise = EXERCISES[name]
    for kind, change in DRESSING.items():
        assert exercise.verdict(changed(exercise, change)) == "correct", kind


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_learnt_by_heart_is_rejected(name):
    """The numbers of one trial are not the function."""
    exercise = EXERCISES[name]
    if len(exercise.trials) == 1:
        pytest.skip("one trial, an array of them")
    result = exercise.reference(*copy.deepcopy(exercise.trials[0]))
    assert exercise.verdict(lambda *args: result).startswith("not yet: ")


# --- the references themselves, against independent truths ------------------------------------


def test_flow_matching_latent_has_unit_amplitude():
    t = np.array([0.2, 0.7])
    reference = EXERCISES["00.2"].reference
    signal, noise = reference(1 - t, t)[1], reference(t, t)[1]  # x = 1, ε = 0 and the reverse
    np.testing.assert_allclose(signal**2 + noise**2, 1, rtol=1e-14)
    np.testing.assert_allclose(np.log(signal**2 / noise**2), reference(t, t)[0], rtol=1e-12)


def test_twins_are_counted_by_denoising_errors():
    """exp of half the area, computed from errors alone, is exp of the entropy."""
    levels = np.linspace(-16, 24, 81)
    x = np.array([[-1.0], [0.2], [0.2], [1.1]])
    _, e, _ = ErrorCurve.from_mixtures(GaussianMixture.from_data(x), log_snr=levels).between()
    area = integrate.trapezoid(e, np.linspace(-16, 24, len(e))) + np.exp(-16) * x.var()
    counted = EXERCISES["00.1"].reference(np.array([1.0, 2.0, 1.0]))
    assert np.exp(area / 2) == pytest.approx(counted, rel=1e-4)


def test_references_agree_with_the_course():
    t = np.array([0.2, 0.5, 0.9])
    np.testing.assert_allclose(
        EXERCISES["00.2"].reference(t, t)[0], FlowMatching().log_snr(t), rtol=1e-10, atol=1e-12
    )
    a_bar = np.cumprod(1 - ddpm_betas())
    level = log_snr_from_alpha_bar(a_bar)
    x = np.zeros(1)
    _, variance = posterior(x, x, level[500], level[20])
    long_back = EXERCISES["01.5"].reference(a_bar[500], a_bar[20])
    assert long_back == pytest.approx(variance, rel=1e-10)
    assert EXERCISES["01.2"].reference(ddpm_betas()).sum() == pytest.approx(1 - a_bar[-1])


def test_the_drift_with_any_noise_keeps_a_gaussian_law():
    """Data N(0, s²): the variance must go back along 1 + ᾱ(s² − 1), for every η."""
    s2, a_bar, beta = 0.3, 0.4, 2.0
    variance = 1 + a_bar * (s2 - 1)
    for eta in (0.0, 0.5, 1.0, 3.0):
        slope = EXERCISES["03.3"].reference(1.0, -1 / variance, beta, eta)  # of the drift in z
        back = -2 * slope * variance + eta**2 * beta  # d variance/d|t|: drift and fresh noise
        assert back == pytest.approx(beta * a_bar * (s2 - 1), rel=1e-12)


def test_abel_sum_is_the_weighted_sum_of_steps():
    rng = np.random.default_rng(0)
    w, steps = rng.uniform(size=(2, 7))
    L = np.append(np.cumsum(steps[::-1])[::-1], 0) + 0.4
    total, share = EXERCISES["06.1"].reference(w, L)
    np.testing.assert_allclose(total, w @ steps, rtol=1e-14)
    w = np.maximum.accumulate(w[::-1])[::-1]  # falls from step to step: what is left is w_1 L_0
    total, share = EXERCISES["06.1"].reference(w, L)
    np.testing.assert_allclose(share * total, w[0] * L[0] - w[-1] * L[-1] - total, rtol=1e-12)


def test_p_w_is_a_probability():
    masses, atom = EXERCISES["06.2"].reference(None, expit(np.linspace(0, 3, 9)))
    assert masses.min() > 0 and masses.sum() + atom == pytest.approx(1, abs=1e-14)


def test_levels_follow_the_truncated_logistic_with_its_atom():
    b, low, high = 0.5, -4.0, 3.0
    u = (np.arange(200_000) + 0.5) / 200_000
    levels = EXERCISES["06.3"].reference(u, b, low, high)

    def density(x):  # logistic, centred at b, normalised so that with the atom the total is 1
        return expit(x - b) * expit(b - x) / expit(b - low)

    for edge in (-2.0, 0.0, 2.5):
        share, _ = integrate.quad(density, low, edge)
        assert np.mean(levels <= edge) == pytest.approx(share, abs=1e-5)
    assert np.mean(levels == high) == pytest.approx(expit(b - high) / expit(b - low), abs=1e-5)
    assert low <= levels.min()


def test_weightings_of_notebook_05_are_those_of_the_course():
    s, zero = np.linspace(-8, 8, 9), np.zeros(1)
    for name, key, arguments in [("05.1", "cosine_v", ()), ("05.4", "sd3", (0.0, 1.0))]:
        w = published(key).implied_weighting()
        reference = EXERCISES[name].reference(s, *arguments)
        np.testing.assert_allclose(reference, w(s) / w(zero), rtol=1e-10)
    p = Cosine().density(s)
    for_v = EXERCISES["05.2"].reference(s, 3.0) * eps_loss_to("v", s) * p
    w = published("min_snr", min_snr_gamma=3.0).implied_weighting()
    np.testing.assert_allclose(for_v, w(s), rtol=1e-10)
    w = published("p2", p2_gamma=EXERCISES["05.3"].reference(-0.5, 1.0)).implied_weighting()
    near = np.linspace(-1, 0, 2001)
    assert near[np.argmax(w(near))] == pytest.approx(-0.5, abs=1e-3)
    unit = EXERCISES["05.5"].reference(s, 0.5)
    np.testing.assert_allclose(np.exp(-unit / 2), np.exp(-s / 2) / 0.5, rtol=1e-12)


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
    "float32": (lambda x: np.exp(x.astype("f")), "correct"),
    "mistake": (lambda x: [10.0**v for v in x], "not yet: a power of ten"),
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
    "reversed": (lambda x: np.exp(x)[::-1], "in reversed order"),
    "root": (lambda x: np.exp(x / 2), "your result is √(the right result)"),
    "factor": (lambda x: 3 * np.exp(x), "your result is 3 times the right result"),
    "offset": (lambda x: 3 + np.exp(x), "your result is 3 more than the right result"),
    "the argument": (lambda x: x, "your result is x"),
    "chance": (lambda x: np.random.default_rng().normal(size=3), "returned two results"),
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


def test_a_factor_is_named_only_if_it_explains_the_zeros_too():
    from_zero = Exercise(lambda x: x, [[1.0, 2.0, 4.0, 0.0]], mistakes={})
    assert "your result is 3 times" in from_zero.verdict(lambda x: 3 * x)
    assert "times" not in from_zero.verdict(lambda x: np.append(3 * x[:-1], 5.0))


def test_relations_to_the_right_result_are_told():
    two = Exercise(lambda x, y: x**2 + y, [([1.0, 2.5, 4.0, 0.5], 3.0), ([2.0, 3.0], 0.7)], {})
    for attempt, words in [
        (lambda x, y: (x**2 + y) * y**2, "the right result times y²"),
        (lambda x, y: (x**2 + y) * np.pi, "π times the right result"),
        (lambda x, y: np.log(x**2 + y), "log (the right result)"),
        (lambda x, y: (x**2 + y) / np.sqrt(x), "the right result divided by √x"),
        (lambda x, y: x**2 + y + 2 * np.exp(x), "the right result plus twice e^x"),
        (lambda x, y: (x**2 + y)[::-1], "the right result in reversed order"),
        (lambda x, y: 0 * x + 5, "the same whatever the arguments are"),
        (lambda x, y: x + 0 * y, "x"),
    ]:
        assert two.verdict(attempt) == f"not yet: your result is {words}"


def test_an_argument_that_is_not_used_is_told():
    product = Exercise(lambda x, y: x * y, [([1.0, 3.0, 2.0], 4.0), ([5.0, -1.0], 0.5)], {})
    assert "it does not depend on the argument y" in product.verdict(lambda x, y: 2 + np.sin(x))
    assert "depend" not in product.verdict(lambda x, y: np.sign(x) + y)


def test_torch_tensors_are_numbers_too():
    class Tensor(list):
        """As torch's: no array until it is detached, brought to the CPU and converted."""

        def detach(self):
            return self

        cpu = detach

        def numpy(self):
            return np.exp(self)

    assert ONE.verdict(Tensor) == "correct"


def test_ctrl_c_passes_through():
    with pytest.raises(KeyboardInterrupt):
        ONE.verdict(raising(KeyboardInterrupt()))


def test_several_results_are_judged_one_by_one():
    for attempt, text in [
        (lambda x, y: (2 * x, "?"), "expected a number, got a str"),
        (lambda x, y: (2 * x, 7), "not yet: doubled where halved"),
        (lambda x, y: (2 * x, y.mean()), "not yet: both at once"),
        (lambda x, y: (x + 9, y.mean()), "not yet: the mean"),
        (lambda x, y: (x / 2, 7), "in total, your result is the same whatever the arguments are"),
        (lambda x, y: (x / 2, y[0] / 7), "got       half = [0.5, 1, 2], total = 0.7143"),
        (lambda x, y: (x / 2, y), "a number for total, got an array of 2 numbers"),
        (lambda x, y: (1, 2, 3), "expected 2 results (half, total), got a tuple of length 3"),
        (lambda x, y: 1.0, "expected 2 results (half, total), got a float"),
    ]:
        assert text in HALF.verdict(attempt)


def test_plain_values():
    for right in (82, [82], np.array([82.0]), lambda: 82.0):
        assert NUMBER.verdict(right) == "correct"
    assert WORD.verdict(" Same") == "correct"
    assert NUMBER.verdict(81.0) == "not yet: one too few"
    assert NUMBER.verdict([82, 81]) == "not yet: expected a number, got an array of 2 numbers"
    assert NUMBER.verdict(80) == "not yet: not the expected result."
    assert WORD.verdict("elbo") == "not yet: no"
    assert WORD.verdict(3) == "not yet: expected a word in quotes, got an int"


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
