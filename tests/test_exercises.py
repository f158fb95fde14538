"""Every exercise recognises its answer and its mistakes, and `check` survives any attempt.

Typical answers, right and wrong, stand in tests/wrong_answers/nXX.py, one file a notebook.
"""

import copy
import importlib
import itertools
import re
import subprocess
import sys

import numpy as np
import pytest
from scipy import integrate
from scipy.special import expit

from course_utils.exercises import EXERCISES, Exercise, check, exercises, verdict
from course_utils.objectives import published
from course_utils.predictions import eps_loss_to
from course_utils.schedules import Cosine, FlowMatching

NAMES = sorted(EXERCISES)


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
    assert len(exercise.mistakes) >= 4
    for message, mistake in exercise.mistakes.items():
        assert exercise.verdict(mistake) == f"not yet: {message}"


@pytest.mark.parametrize("name", NAMES)
def test_mistakes_coincide_neither_with_each_other_nor_with_the_reference(name):
    assert coinciding(EXERCISES[name]) == []


@pytest.mark.parametrize("name", NAMES)
def test_further_wrong_answers_are_rejected(name):
    wrong = answers(name).WRONG[name]
    assert len(wrong) >= 6
    for k, answer in enumerate(wrong):
        text = EXERCISES[name].verdict(answer)
        assert text.startswith("not yet: "), f"wrong answer {k} of {name}: {text}"
        assert text == EXERCISES[name].verdict(answer)


@pytest.mark.parametrize("name", NAMES)
def test_wording(name):
    exercise = EXERCISES[name]
    assert exercise.statement.startswith("attempt")
    assert exercise.hint
    for message in exercise.mistakes:
        assert "correct" not in message, "only the right answer may print this word"
        assert 20 <= len(message) <= 100
        assert not message.endswith("."), "a verdict is one clause"


def coinciding(exercise):
    """The pairs of functions of an exercise that give the same results on its inputs."""
    functions = {"the reference": exercise.reference, **exercise.mistakes}
    outcomes = {message: exercise.run(function) for message, function in functions.items()}
    return [
        (a, b)
        for a, b in itertools.combinations(outcomes, 2)
        if not exercise.differing(outcomes[a], outcomes[b])
    ]


def test_the_search_for_coinciding_mistakes_finds_them():
    exercise = Exercise(
        reference=lambda x: 2 * x,
        inputs=[(np.array([2.0]),)],
        mistakes={"squared": lambda x: x**2, "tripled": lambda x: 3 * x, "3": lambda x: x + 4},
    )
    assert coinciding(exercise) == [("the reference", "squared"), ("tripled", "3")]


# --- kinds of mistakes that no formula explains --------------------------------------------------

# What goes wrong after the right formula, whatever the exercise: result -> spoilt result.
SPOILING = {
    "the sign": lambda y: -y,
    "squared": lambda y: y**2,
    "twice": lambda y: 2 * y,
    "a thousandth too much": lambda y: 1.001 * y,
    "off by one": lambda y: y + 1,
    "shifted by one place": lambda y: np.roll(y, 1),
    "in reversed order": lambda y: y[::-1],
    "normalised to sum 1": lambda y: y / y.sum(),
    "divided by its maximum": lambda y: y / y.max(),
    "integer division": lambda y: y // 1,
    "the sum alone": lambda y: y.sum(),
    "cumulated": lambda y: np.cumsum(y),
    "a column": lambda y: y[..., None],
    "a row too many": lambda y: np.append(y, y[-1:]),
    "the last entry forgotten": lambda y: y[:-1],
    "one NaN": lambda y: np.where(np.arange(y.size).reshape(y.shape) == 0, np.nan, y),
    "infinite": lambda y: y / np.zeros(1),
    "nothing": lambda y: None,
    "text": lambda y: str(y),
    "list of texts": lambda y: [str(number) for number in np.ravel(y)],
    "a dict": lambda y: {"answer": y},
    "a function": lambda y: lambda: y,
    "complex": lambda y: y + 1j,
    "truth": lambda y: y > 0,
}
DRESSING = {
    "float32": lambda y: np.asarray(y, dtype=np.float32),
    "a list": lambda y: y.tolist(),
    "objects": lambda y: y.astype(object),
    "Fortran order": lambda y: np.array(y, order="F"),
}


def changed(exercise, change, spoils=False):
    """The reference with every part of its result changed; texts stay as they are."""

    def attempt(*arguments):
        result = exercise.reference(*arguments)
        if spoils:
            for argument in arguments:
                if isinstance(argument, np.ndarray) and argument.dtype.kind == "f":
                    argument[...] = -7.0
        parts = result if isinstance(result, tuple) else (result,)
        parts = [p if isinstance(p, str) else change(np.asarray(p, dtype=float)) for p in parts]
        return tuple(parts) if isinstance(result, tuple) else parts[0]

    return attempt


def is_a_word(exercise):
    return isinstance(exercise.reference(*copy.deepcopy(exercise.trials[0])), str)


@pytest.mark.parametrize("name", NAMES)
def test_a_spoilt_result_is_rejected(name):
    exercise = EXERCISES[name]
    if is_a_word(exercise):
        for word in ("", "yes", "supported?", "Supported and undecided"):
            assert exercise.verdict(lambda *args, word=word: word).startswith("not yet: ")
        return
    rejected = 0
    for kind, change in SPOILING.items():
        text = exercise.verdict(changed(exercise, change))
        # a result of 0 and 1 is its own square, a single number its own reverse
        assert text.startswith("not yet: ") or unchanged(exercise, change), f"{kind}: {text}"
        rejected += text.startswith("not yet: ")
    assert rejected >= 16


def unchanged(exercise, change):
    """Whether a change leaves the results as they are, within the tolerance."""
    try:
        outcomes = exercise.run(changed(exercise, change))
    except Exception:
        return False
    return not exercise.differing(outcomes, exercise.run(exercise.reference))


@pytest.mark.parametrize("name", NAMES)
def test_the_right_result_passes_in_any_dress(name):
    exercise = EXERCISES[name]
    for kind, change in DRESSING.items():
        assert exercise.verdict(changed(exercise, change)) == "correct", kind
    assert exercise.verdict(changed(exercise, np.copy, spoils=True)) == "correct", "in place"


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_learnt_by_heart_is_rejected(name):
    """The numbers of one trial are not the function."""
    exercise = EXERCISES[name]
    results = [exercise.reference(*copy.deepcopy(trial)) for trial in exercise.trials]
    if len(results) == 1:
        pytest.skip("one trial, an array of them")
    assert any(exercise.verdict(lambda *args, r=r: r).startswith("not yet: ") for r in results)
    assert exercise.verdict(lambda *args: results[0]).startswith("not yet: ")


# --- the errors that are common in the field: each named by the check that can see it ------------


def cosine(t):
    return -2 * np.log(np.tan(np.pi * t / 2))


FIELD_ERRORS = [
    # amplitudes and their squares
    ("00.1", lambda a: np.log(a**2 / (1 - a**2)), "squared"),
    ("00.2", lambda z, t: (2 * np.log((1 - t) / t), z), "not rescaled"),
    ("00.3", lambda blur, spread: np.log(blur / spread), "-2|−2"),
    ("01.1", lambda x, beta, eps: np.sqrt(1 - beta) * x + beta * eps, "scaled by β"),
    ("01.2", lambda betas: 1 - np.cumprod(1 - betas), "the variance"),
    ("01.3", lambda betas: 1.0, "^1: "),
    ("01.4", lambda betas, n: betas[:n], "first entries"),
    ("01.5", lambda betas: betas, "knowing x_0"),
    # the limit
    ("02.1", lambda beta, dt: (1 - beta * dt, -((beta * dt) ** 2) / 8), "half as much"),
    ("02.2", lambda integral: np.diff(integral), "first order only"),
    ("02.3", lambda beta, t: -np.trapezoid(beta(U * t) ** 2, U * t) / 2, "end-point term"),
    ("02.4", lambda b: np.ones_like(b), "chain's"),
    # back in time
    ("03.1", lambda z, alpha, sigma: np.sign(z), "hard sign"),
    ("03.2", lambda eps_hat, s: eps_hat * np.sqrt(1 + np.exp(s)), "sign is flipped"),
    ("03.2", lambda eps_hat, s: -eps_hat + 0 * s, "1/σ is missing"),
    ("03.3", lambda z, score, beta: -beta * z / 2 - beta * score, "full score"),
    # the ELBO: L from the wrong end, a lost minus or ½, w held in t
    ("04.1", lambda e, t, s: 0.5 * (1 - np.exp(t - s)) * e, "posterior's share"),
    ("04.2", lambda n, span, L, e: span / (2 * np.sqrt(n)) * (L - e / 2), "order ½"),
    ("04.3", lambda t: -np.pi / np.sin(np.pi * t), "minus is missing"),
    ("04.3", lambda t: 2 * np.pi / np.sin(np.pi * t), "½ is missing"),
    (
        "04.4",
        lambda x, e, prior: (
            prior + np.array([np.trapezoid(e[i:], x[i:]) / 2 for i in range(len(x))])
        ),
        "λ_t to λ_max",
    ),
    ("04.5", lambda t, c, old, new: c(t), r"c\(t\) was kept"),
    # published objectives
    ("05.1", lambda s: np.exp(s / 2), "sign of λ is flipped"),
    ("05.1", lambda s: 1 / np.cosh(s / 2), "alone"),
    ("05.2", lambda s, g: np.minimum(np.exp(s) + 1, g) / (np.exp(s) + 1), "conversion alone"),
    ("05.3", lambda s, g, k: 1 / (np.exp(g * s) + k), "whole bracket"),
    ("05.5", lambda s, sd: s - 2 * np.log(sd), "wrong way"),
    # the sum of ELBOs
    ("06.1", lambda w, L: w[0] * L[0] + np.diff(w) @ L[2:] - w[-1] * L[-1], "off by one"),
    ("06.2", lambda t, w: (np.diff(w) / w[-1], 0.0), "total is below 1"),
    ("06.3", lambda u, b, low, high: low + u * (high - low), "uniform in λ"),
    ("06.4", lambda s, w: np.where(s > s[np.argmax(w)], w.max(), w), "high-λ side"),
    (
        "06.5",
        lambda t, b: -np.tanh((cosine(t) - b) / 2) / np.cosh((cosine(t) - b) / 2) / 2,
        "dw/dλ",
    ),
    # what may be claimed
    ("07.4", lambda pairs, d: (0.0, d / w1(pairs).std(ddof=1)), "floor is not zero"),
]
U = np.linspace(0, 1, 200_001)


def w1(pairs):
    return np.abs(np.sort(pairs[:, 0]) - np.sort(pairs[:, 1])).mean(axis=-1)


@pytest.mark.parametrize(("name", "answer", "words"), FIELD_ERRORS)
def test_common_errors_of_the_field_are_named(name, answer, words):
    text = EXERCISES[name].verdict(answer)
    message = text.removeprefix("not yet: ")
    assert message in EXERCISES[name].mistakes, text
    assert re.search(words, message), text


# --- the references themselves, against independent truths ------------------------------------


def test_flow_matching_latent_has_unit_amplitude():
    t = np.array([0.2, 0.7])
    reference = EXERCISES["00.2"].reference
    signal, noise = reference(1 - t, t)[1], reference(t, t)[1]  # x = 1, ε = 0 and the reverse
    np.testing.assert_allclose(signal**2 + noise**2, 1, rtol=1e-14)
    np.testing.assert_allclose(np.log(signal**2 / noise**2), reference(t, t)[0], rtol=1e-12)


def test_log_snr_inverts():
    alpha_bar = np.array([0.999, 0.4, 4e-5])
    np.testing.assert_allclose(expit(EXERCISES["00.1"].reference(alpha_bar)), alpha_bar, 1e-12)
    level = EXERCISES["00.3"].reference(np.array([500.0]), 4540.0)
    np.testing.assert_allclose(4540 * np.exp(-level / 2), 500)


def test_references_agree_with_the_course():
    t = np.array([0.2, 0.5, 0.9])
    np.testing.assert_allclose(
        EXERCISES["00.2"].reference(t, t)[0], FlowMatching().log_snr(t), rtol=1e-10, atol=1e-12
    )
    log_snr, rate = Cosine().log_snr(t), Cosine().log_snr_rate(t)
    half = (log_snr - 1.0) / 2
    slope = -np.tanh(half) / (2 * np.cosh(half))  # dw/dλ
    np.testing.assert_allclose(EXERCISES["06.5"].reference(t, 1.0), slope * rate, rtol=1e-10)


def test_abel_sum_is_the_weighted_sum_of_steps():
    rng = np.random.default_rng(0)
    w, steps = rng.uniform(size=(2, 7))
    L = np.append(np.cumsum(steps[::-1])[::-1], 0) + 0.4
    np.testing.assert_allclose(EXERCISES["06.1"].reference(w, L), w @ steps, rtol=1e-14)


def test_p_w_is_a_probability():
    t = np.linspace(0, 1, 9)
    masses, atom = EXERCISES["06.2"].reference(t, expit(3 * t))
    assert masses.sum() + atom == pytest.approx(1, abs=1e-14)
    assert (masses > 0).all()


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
    w = published("p2", p2_gamma=2.0).implied_weighting()
    np.testing.assert_allclose(EXERCISES["05.3"].reference(s, 2.0, 1.0) * p, w(s), rtol=1e-10)
    unit = EXERCISES["05.5"].reference(s, 0.5)
    np.testing.assert_allclose(np.exp(-unit / 2), np.exp(-s / 2) / 0.5, rtol=1e-12)


# --- the machinery, on a small exercise -------------------------------------------------------

HALF = Exercise(
    reference=lambda x, y: (x / 2, y.sum()),
    inputs=[(np.array([1.0, 2.0, 4.0]), np.array([1.0, 5.0]))],
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
    inputs=[(np.array([0.0, 1.0, 3.0]),)],
    mistakes={"a power of ten": lambda x: 10**x},
    hint="Think of e",
)
NUMBER = Exercise(reference=lambda: 82.0, inputs=(), mistakes={"one too few": lambda: 81.0})
WORD = Exercise(reference=lambda: "same", inputs=(), mistakes={"no": lambda: "ELBO"})


def raising(error):
    def attempt(x):
        raise error

    return attempt


def stub(x):
    raise NotImplementedError


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class HostileResult:
    def __array__(self, *args, **kwargs):
        raise SystemExit(3)

    def __len__(self):
        return 3


def recursive(x):
    return recursive(x)


def returns_input_changed(x):
    np.exp(x, out=x)
    return x


def spoils_its_input(x):
    result = np.exp(x)
    x[:] = np.nan
    return result


def prints_and_warns(x):
    import warnings

    print("noise on stdout")
    print("noise on stderr", file=sys.stderr)
    warnings.warn("noise as a warning", stacklevel=1)
    return np.exp(x) + 0 * np.log(x + 1)


VERDICTS = {
    "stub": (stub, "not attempted yet"),
    "None": (None, "not attempted yet"),
    "ellipsis": (..., "not attempted yet"),
    "list": (lambda x: np.exp(x).tolist(), "correct"),
    "float32": (lambda x: np.exp(x.astype(np.float32)), "correct"),
    "objects": (lambda x: np.exp(x).astype(object), "correct"),
    "in place": (returns_input_changed, "correct"),
    "spoils its input": (spoils_its_input, "correct"),
    "noisy": (prints_and_warns, "correct"),
    "mistake": (lambda x: [10.0**v for v in x], "not yet: a power of ten"),
    "nothing returned": (lambda x: print(np.exp(x)), "the function returns None"),
    "integer": (lambda x: 3, "expected shape (3,), got ()"),
    "column": (lambda x: np.exp(x)[:, None], "expected shape (3,), got (3, 1)"),
    "broadcastable": (lambda x: np.exp(x)[:1], "expected shape (3,), got (1,)"),
    "ragged": (lambda x: [1, [2, 3], 4], "expected real numbers of shape (3,), got a list"),
    "nan": (lambda x: np.log(x - 5), "NaN or infinity in the result"),
    "infinite": (lambda x: x / 0, "NaN or infinity in the result"),
    "complex": (lambda x: np.exp(1j * x), "expected real numbers"),
    "text": (lambda x: "e to the x", "expected real numbers of shape (3,), got a str"),
    "dict": (lambda x: {"y": np.exp(x)}, "expected real numbers of shape (3,), got a dict"),
    "booleans": (lambda x: x > 1, "expected numbers, got True and False"),
    "endless generator": (lambda x: itertools.count(), "expected real numbers"),
    "enormous": (lambda x: range(10**12), "got a range of length 1000000000000"),
    "function returned": (lambda x: lambda y: y, "expected real numbers"),
    "value, not function": (np.ones(3), "expected a function (x), got a ndarray"),
    "no argument": (lambda: 3, "expected a function (x), got one ()"),
    "two arguments": (lambda x, y: x, "expected a function (x), got one (x, y)"),
    "exit": (raising(SystemExit(1)), "SystemExit in line"),
    "zero division": (lambda x: 1 // 0, "ZeroDivisionError in line"),
    "generator exit": (raising(GeneratorExit()), "GeneratorExit in line"),
    "unprintable": (raising(Unprintable()), "Unprintable, whose message cannot be read"),
    "address in message": (raising(ValueError(f"bad {object()}")), "object at 0x...>"),
    "recursion": (recursive, "RecursionError in line"),
    "hostile array": (lambda x: HostileResult(), "SystemExit in line"),
    "a class": (int, "TypeError"),
    "sign": (lambda x: -np.exp(x), "only the sign differs"),
    "reversed": (lambda x: np.exp(x)[::-1], "in reversed order"),
    "factor": (lambda x: 3 * np.exp(x), "off by one constant factor"),
    "offset": (lambda x: 3 + np.exp(x), "off by one additive constant"),
    "unknown mistake": (
        np.sin,
        "not yet: not the expected result on 1 of 1 trials. Think of e.",
    ),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_verdict_on(case, capsys):
    attempt, text = VERDICTS[case]
    got = ONE.verdict(attempt)
    assert text in got
    assert got in ("correct", "not attempted yet") or got.startswith("not yet: ")
    assert "\n" not in got and got == ONE.verdict(attempt)
    assert capsys.readouterr() == ("", "")


def test_a_factor_is_named_only_if_it_explains_the_zeros_too():
    from_zero = Exercise(
        reference=lambda x: x,
        inputs=[(np.array([0.0, 1.0, 2.0, 4.0]),)],
        mistakes={},
        hint="Where does it start?",
    )
    assert "constant factor" in from_zero.verdict(lambda x: 3 * x)
    first_entry_wrong = from_zero.verdict(lambda x: np.append(5.0, x[1:]))
    assert "factor" not in first_entry_wrong and first_entry_wrong.endswith("start?")


@pytest.mark.parametrize("name", NAMES)
def test_check_survives_every_hostile_attempt(name, capsys):
    for attempt, _ in VERDICTS.values():
        assert check(name, attempt) is None
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(VERDICTS)
    assert "correct" not in lines


def test_torch_tensors_are_numbers_too():
    torch = pytest.importorskip("torch")

    def attempt(x):
        return torch.tensor(x, requires_grad=True).exp()

    assert ONE.verdict(attempt) == "correct"


def test_ctrl_c_passes_through():
    with pytest.raises(KeyboardInterrupt):
        ONE.verdict(raising(KeyboardInterrupt()))


def test_several_results_are_judged_one_by_one():
    assert HALF.verdict(lambda x, y: (2 * x, "?")) == (
        "not yet: expected real numbers of shape (), got a str"
    )
    assert HALF.verdict(lambda x, y: (2 * x, 7)) == "not yet: doubled where halved"
    assert HALF.verdict(lambda x, y: (2 * x, y.mean())) == "not yet: both at once"
    assert HALF.verdict(lambda x, y: (x + 9, y.mean())) == "not yet: the mean"
    assert "in total. Think" in HALF.verdict(lambda x, y: (x / 2, 7))
    assert "shape () for total, got (2,)" in HALF.verdict(lambda x, y: (x / 2, y))
    assert "expected 2 results (half, total), got a tuple of length 3" in (
        HALF.verdict(lambda x, y: (1, 2, 3))
    )
    assert "got a float" in HALF.verdict(lambda x, y: 1.0)


def test_plain_values():
    assert NUMBER.verdict(82) == NUMBER.verdict(lambda: 82.0) == "correct"
    assert NUMBER.verdict(81.0) == "not yet: one too few"
    assert NUMBER.verdict(None) == "not attempted yet"
    assert NUMBER.verdict([82]) == "not yet: expected shape (), got (1,)"
    assert NUMBER.verdict(float("nan")).startswith("not yet: NaN")
    assert WORD.verdict(" Same") == "correct"
    assert WORD.verdict("elbo") == "not yet: no"
    assert WORD.verdict(3) == "not yet: expected a word in quotes, got an int"


def test_check_prints_one_line(capsys):
    check("00.1", EXERCISES["00.1"].reference)
    check("00.1", stub)
    assert capsys.readouterr().out == "correct\nnot attempted yet\n"


@pytest.mark.parametrize("name", ["00.17", "", "x", 0.1, None, [], "(", "99.1"])
def test_unknown_names_get_the_nearest(name):
    assert verdict(name, None).startswith("no exercise has the name ")
    assert "the nearest is '" in verdict(name, None)


def test_a_name_that_cannot_be_read_is_survived():
    assert "could not be loaded: RuntimeError" in verdict(Unprintable(), None)


def test_import_is_light():
    code = (
        "import sys; from course_utils.exercises import check; check('00.1', None);"
        "print(sorted(m for m in sys.modules if m.startswith('course_utils.exercises.n')),"
        "'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[1] == "['course_utils.exercises.n00_start_here'] False"


def test_notebooks_without_exercises_have_none():
    assert exercises("99") == {} and exercises("..") == {}
