"""Results explained by their numbers: the right one times α², in reversed order, over its sum."""

import contextlib
import re

import numpy as np

from course_utils.exercises.slips import ELEMENTWISE, GATHERED, STEP, evaluated

RIGHT = "the right result"
MADE = ELEMENTWISE | {
    "e^−{}": "np.exp(-a)",
    "α({})": "1 / np.sqrt(1 + np.exp(-a))",  # of a level λ
    "σ({})": "1 / np.sqrt(1 + np.exp(a))",
}
TAKEN = GATHERED | {"the smallest of {}": "np.min(a)", "the median of {}": "np.median(a)"}
TWO = {  # a result made of two: of u and v, and v where the result and u are known
    "{} times {}": (np.multiply, np.divide),
    "{} divided by {}": (np.divide, lambda y, u: u / y),
    "{} plus {}": (np.add, np.subtract),
    "{} minus {}": (np.subtract, lambda y, u: u - y),
}
MULTIPLES = {"": 1, "minus ": -1, "twice ": 2, "half of ": 0.5, "−2 times ": -2, "−½ times ": -0.5}
NUMBERS = {"π": np.pi, "1/π": 1 / np.pi, "2π": 2 * np.pi, "1/(2π)": 0.5 / np.pi, "π/2": np.pi / 2,
           "2/π": 2 / np.pi, "π²": np.pi**2, "√2": np.sqrt(2), "1/√2": np.sqrt(0.5),
           "ln 2": np.log(2), "1/ln 2": 1 / np.log(2), "ln 10": np.log(10)}  # fmt: skip


LONGEST = 100  # letters; what is longer explains nothing


def table(cases, right, deep):
    """Return {words: numbers}, each as many as all right results hold, of what cases are made of.

    cases   ({words: value} of arguments and steps, the same of parts of formulas) of each case
    right   the right result of each case; it stands first in the table
    deep    whether parts of formulas, and what is made of all these, are wanted too
    """
    steps, parts = (
        {
            words: [case[k][words] for case in cases]
            for words in cases[0][k]
            if all(words in case[k] for case in cases)
        }
        for k in (0, 1)
    )
    if not deep:
        return _different(_rows({"{}": "a"}, {RIGHT: right} | steps, right))
    steps = {RIGHT: right} | {w: xs for w, xs in steps.items() if not w.startswith(STEP)}
    arrays = {w: xs for w, xs in steps.items() if any(np.size(x) > 1 for x in xs)}
    rows = _rows({"{}": "a"}, steps | parts, right) | _rows(TAKEN, arrays, right)
    rows |= _rows(MADE, {words: [row] for words, row in rows.items()}, [rows[RIGHT]])
    return _different(rows)


def _rows(templates, made_of, right):
    """The numbers of each template for each value that it can be made of."""
    rows = {}
    for words, formula in templates.items():
        change = evaluated(f"lambda a: {formula}", {})
        for name, value in made_of.items():
            if words[0] in "ασ" and "log_snr" not in name:
                continue
            whole = templates is not MADE or re.fullmatch(r"\w+", name)
            with contextlib.suppress(Exception):
                found = [change(np.asarray(x, dtype=float)) for x in value]
                pairs = zip(found, right, strict=True)
                row = [np.broadcast_to(x, r.shape).ravel() for x, r in pairs]
                rows[words.format(name if whole else f"({name})")] = np.concatenate(row)
    return rows


def _different(rows):
    """The rows that are numbers, vary, and are not the same as one before."""
    kept = {}
    for words, row in rows.items():
        largest = np.abs(row).max()
        if largest < 1e12 and not np.allclose(row, row[0], rtol=1e-9, atol=0):  # nor is it NaN
            kept.setdefault(np.round(row / largest, 9).tobytes(), (words, row))
    return dict(kept.values())


def trivial(got, right, rows, tolerance):
    """Say whether a result is always the same, where the right one is not, or one of the rows."""
    if not np.isfinite(got).all():
        return ""
    if not np.any(got):
        return "your result is zero everywhere"
    if np.allclose(got, got[0], rtol=1e-9) and not np.allclose(right, right[0], rtol=1e-9):
        return "your result is the same whatever the arguments are"
    for words, row in rows.items():
        if _near(row, got, tolerance):
            return f"your result is {words}"
    return ""


def relation(got, right, rows, tolerance):
    """Say what a result is, made simply of the right one or of parts of the calculation; or ""."""
    more = np.median(got - right)
    if _near(more + right, got, tolerance):
        words = "more" if more > 0 else "less"
        return f"your result is {_number(abs(more))} {words} than {RIGHT}"
    known = np.isfinite(got) & np.isfinite(right) & (right != 0)
    for compared, words in ((right, "times"), (1 / right, "divided by")):
        factor = np.median(got[known] / compared[known]) if known.any() else np.nan
        if _near(factor * compared, got, tolerance):
            return _times(factor, words)
    for times, multiple in MULTIPLES.items():
        for words, row in rows.items():
            if len(words) < LONGEST and _near(multiple * row, got, tolerance):
                return f"your result is {times}{_bracketed(words) if times else words}"
    if len(np.unique(got)) < 4:
        return ""  # too little to tell two parts by
    targets = [("", got, rows)]
    if not np.any(got[right == 0]):
        seen = {words: row[known] for words, row in rows.items()}
        targets.append((f"{RIGHT} times ", got[known] / right[known], seen))
    targets.append((f"{RIGHT} plus ", got - right, rows))
    targets += [(times, got / multiple, rows) for times, multiple in MULTIPLES.items()]
    for k, (words, wanted, of) in enumerate(targets):
        if found := _two(wanted, of, tolerance, {RIGHT} if k == 0 else of):
            return f"your result is {words}{_bracketed(found) if words else found}"
    return ""


def _two(got, rows, tolerance, chosen):
    """Say of which two rows, one of them chosen, a result is made, in the shortest words; or ""."""
    names, numbers, found = list(rows), np.array(list(rows.values())), []
    if len(names) < 2 or not got.size or not np.isfinite(got).all():
        return ""
    at = np.argmax(np.abs(got))  # an entry by which rows are looked up
    order = np.argsort(numbers[:, at])
    column = numbers[order, at]
    for words, (make, solve) in TWO.items():
        wanted = solve(got[at], numbers[:, at])
        reach = 3 * tolerance * (np.abs(wanted) + np.abs(got[at]) * (make in (np.add, np.subtract)))
        low, high = (np.searchsorted(column, wanted + sign * reach) for sign in (-1, 1))
        for k in np.flatnonzero((high > low) & np.isfinite(wanted)):
            others = order[low[k] : high[k]] if names[k] in chosen else []
            near = _near(make(numbers[k], numbers[others]), got, tolerance)
            for j in np.flatnonzero(near):
                both = _bracketed(names[k]), _bracketed(names[others[j]])
                found.append(words.format(*both))
    shortest = min(found, key=len, default="")
    return shortest if len(shortest) < LONGEST else ""


def _times(factor, words):
    if np.isclose(factor, -1, rtol=1e-6) and words == "times":
        return "only the sign differs, everywhere"
    near = (text for text, number in NUMBERS.items() if np.isclose(factor, number, rtol=1e-6))
    return f"your result is {next(near, _number(factor))} {words} {RIGHT}"


def _bracketed(words):
    bare, before = words, ""
    while bare != before:  # without what stands in brackets already
        bare, before = re.sub(r"\([^()]*\)", "", bare), bare
    return f"({words})" if re.search(" ([−+]|plus|minus) ", bare) else words


def _number(value):
    return f"{value:.4g}".replace("-", "−")


def _near(row, got, tolerance):
    """Whether a row, or each of several, is what was got."""
    if not got.size or not np.isfinite(got).all():
        return np.zeros(np.shape(row)[:-1], dtype=bool)
    size = np.abs(got) + 1e-3 * np.abs(got).max()
    return (np.abs(row - got) <= tolerance * size).all(axis=-1)
