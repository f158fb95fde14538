"""Every exercise recognises its answer and its mistakes, and `check` survives any attempt.

Typical answers, right and wrong, stand in tests/wrong_answers/nXX.py, one file a notebook.
"""

import copy
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

from course_utils.exercises import Exercise, check, exercises
from course_utils.objectives import published
from course_utils.predictions import eps_loss_to
from course_utils.schedules import Cosine, FlowMatching

EXERCISES = exercises()
NAMES = list(EXERCISES)


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
    assert len(exercise.mistakes) >= 4 and exercise.hint
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


@pytest.mark.parametrize("name", NAMES)
def test_further_wrong_answers_are_rejected(name):
    wrong = answers(name).WRONG[name]
    assert len(wrong) >= 2
    for k, answer in enumerate(wrong):
        text = EXERCISES[name].verdict(answer)
        assert text.startswith("not yet: "), f"wrong answer {k} of {name}: {text}"


# --- kinds of mistakes that no formula explains --------------------------------------------------

SPOILING = {  # what goes wrong after the right formula: result -> spoilt result
    "the sign": lambda y: -y,
    "one per cent too much": lambda y: 1.01 * y,
    "off by one": lambda y: y + 1,
    "a column": lambda y: y[..., None],
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
def test_a_spoilt_result_is_rejected(name):
    exercise = EXERCISES[name]
    for kind, change in SPOILING.items():
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


def test_references_agree_with_the_course():
    t, levels = np.array([0.2, 0.5, 0.9]), np.array([6.0, 0.5, -3.0])
    np.testing.assert_allclose(EXERCISES["00.1"].reference(expit(levels)), levels, rtol=1e-10)
    np.testing.assert_allclose(
        EXERCISES["00.2"].reference(t, t)[0], FlowMatching().log_snr(t), rtol=1e-10, atol=1e-12
    )


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
    trials=[([1.0, 2.0, 4.0], [1.0, 5.0])],
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
    "in place": (lambda x: np.exp(x, out=x), "correct"),
    "mistake": (lambda x: [10.0**v for v in x], "not yet: a power of ten"),
    "nothing returned": (lambda x: None, "the function returns None"),
    "column": (lambda x: np.exp(x)[:, None], "expected shape (3,), got (3, 1)"),
    "ragged": (lambda x: [1, [2, 3], 4], "expected real numbers of shape (3,), got a list"),
    "nan": (lambda x: np.log(x - 5), "NaN or infinity in the result"),
    "booleans": (lambda x: x > 1, "expected numbers, got True and False"),
    "endless generator": (lambda x: itertools.count(), "expected real numbers"),
    "enormous": (lambda x: range(10**12), "got a range of length 1000000000000"),
    "value, not function": (np.ones(3), "expected a function (x), got a ndarray"),
    "two arguments": (lambda x, y: x, "expected a function (x), got one (x, y)"),
    "exit": (raising(SystemExit(1)), "SystemExit in line"),
    "address in message": (raising(ValueError(f"bad {object()}")), "object at 0x...>"),
    "recursion": (recursive, "RecursionError in line"),
    "sign": (lambda x: -np.exp(x), "only the sign differs"),
    "reversed": (lambda x: np.exp(x)[::-1], "in reversed order"),
    "factor": (lambda x: 3 * np.exp(x), "off by one constant factor"),
    "offset": (lambda x: 3 + np.exp(x), "off by one additive constant"),
    "unknown mistake": (np.sin, "not yet: not the expected result on 1 of 1 trials. Think of e."),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_verdict_on(case):
    attempt, text = VERDICTS[case]
    got = ONE.verdict(attempt)
    assert text in got and "\n" not in got and got == ONE.verdict(attempt)
    assert got in ("correct", "not attempted yet") or got.startswith("not yet: ")


@pytest.mark.parametrize("name", ["00.2", "02.3", "06.3", "08.2"])
def test_check_survives_every_hostile_attempt(name, capsys):
    for attempt, _ in VERDICTS.values():
        assert check(name, attempt) is None
    assert "correct\n" not in capsys.readouterr().out


def test_a_factor_is_named_only_if_it_explains_the_zeros_too():
    from_zero = Exercise(lambda x: x, [[0.0, 1.0, 2.0, 4.0]], mistakes={})
    assert "constant factor" in from_zero.verdict(lambda x: 3 * x)
    assert "factor" not in from_zero.verdict(lambda x: np.append(5.0, x[1:]))


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
        (lambda x, y: (2 * x, "?"), "expected real numbers of shape (), got a str"),
        (lambda x, y: (2 * x, 7), "not yet: doubled where halved"),
        (lambda x, y: (2 * x, y.mean()), "not yet: both at once"),
        (lambda x, y: (x + 9, y.mean()), "not yet: the mean"),
        (lambda x, y: (x / 2, 7), "in total. Think"),
        (lambda x, y: (x / 2, y), "shape () for total, got (2,)"),
        (lambda x, y: (1, 2, 3), "expected 2 results (half, total), got a tuple of length 3"),
        (lambda x, y: 1.0, "expected 2 results (half, total), got a float"),
    ]:
        assert text in HALF.verdict(attempt)


def test_plain_values():
    assert NUMBER.verdict(82) == NUMBER.verdict(lambda: 82.0) == WORD.verdict(" Same") == "correct"
    assert NUMBER.verdict(81.0) == "not yet: one too few"
    assert NUMBER.verdict([82]) == "not yet: expected shape (), got (1,)"
    assert WORD.verdict("elbo") == "not yet: no"
    assert WORD.verdict(3) == "not yet: expected a word in quotes, got an int"


# --- what `check` prints ------------------------------------------------------------------------


def talking(alpha_bar):
    """Prints, warns on purpose, and lets NumPy warn."""
    print("I got", alpha_bar[0])
    print("an error", file=sys.stderr)
    warnings.warn("mind this", stacklevel=1)
    return np.log(0 * alpha_bar)


def test_what_an_attempt_prints_is_seen_unless_it_is_correct(capsys):
    check("00.1", talking)
    *rows, verdict = capsys.readouterr().out.splitlines()
    assert rows[1:4] == ["an error", "I got 0.999", "an error"] and rows[0].startswith("I got 0.9")
    divided = "RuntimeWarning: divide by zero encountered in log"
    assert rows[4:] == ["UserWarning: mind this", divided] and verdict.startswith("not yet: NaN")
    right = EXERCISES["00.1"].reference
    check("00.1", lambda a: [talking(a), right(a)][1])
    check("00.1", raising(NotImplementedError()))
    assert capsys.readouterr() == ("correct\nnot attempted yet\n", "")


def test_arguments_in_the_wrong_order_are_told(capsys):
    check(talking, "00.1")
    assert capsys.readouterr().out == 'the arguments are swapped: check("00.1", talking)\n'


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
