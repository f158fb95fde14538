"""Results explained by their numbers: the right one times α², one place too late, over its sum."""

import contextlib
import re

import numpy as np

from course_utils.exercises.slips import ELEMENTWISE, GATHERED, evaluated

RIGHT = "the right result"
MADE = ELEMENTWISE | {
    "e^−{}": "np.exp(-a)",
    "√(1 − {})": "np.sqrt(1 - a)",
    "1 − {}²": "1 - a ** 2",
    "sigmoid({})": "1 / (1 + np.exp(-a))",
    "α({})": "1 / np.sqrt(1 + np.exp(-a))",  # of a level λ
    "σ({})": "1 / np.sqrt(1 + np.exp(a))",
}
TOLD = (
    {"{}": "a"}
    | GATHERED
    | {
        "{}, one place too late": "np.append(np.nan, a[:-1])",
        "{}, one place too early": "np.append(a[1:], np.nan)",
        "{} without its first": "a[1:]",
        "{} without its last": "a[:-1]",
        "the sum of the squares of {}": "np.sum(a ** 2)",
        "the product of {}": "np.prod(a)",
        "the smallest of {}": "np.min(a)",
        "the median of {}": "np.median(a)",
        "the number of {}": "len(a)",
        "the first of {}": "a[0]",
        "the last of {}": "a[-1]",
    }
)
TWO = {  # a result made of two: of u and v, and v where the result and u are known
    "{} times {}": (np.multiply, np.divide),
    "{} divided by {}": (np.divide, lambda y, u: u / y),
    "{} plus {}": (np.add, np.subtract),
    "{} minus {}": (np.subtract, lambda y, u: u - y),
}
THEN = {  # what may befall a result after another mistake
    "the sign is flipped": np.negative,
    "it is doubled": lambda y: 2 * y,
    "it is halved": lambda y: y / 2,
    "it is taken from 1": lambda y: 1 - y,
    "1 over it is taken": lambda y: 1 / y,
    "it is squared": np.square,
    "its square root is taken": np.sqrt,
}
MULTIPLES = {1: "", -1: "minus ", 2: "twice ", 0.5: "half of ", -2: "−2 times ", -0.5: "−½ times ",
             np.pi: "π times ", np.pi / 2: "π/2 times ", 4: "4 times ", 0.25: "¼ of "}  # fmt: skip


NUMBERS = {"π": np.pi, "1/π": 1 / np.pi, "2π": 2 * np.pi, "1/(2π)": 0.5 / np.pi, "π/2": np.pi / 2,
           "2/π": 2 / np.pi, "π²": np.pi**2, "√2": np.sqrt(2), "1/√2": np.sqrt(0.5),
           "ln 2": np.log(2), "1/ln 2": 1 / np.log(2), "ln 10": np.log(10)}  # fmt: skip


def table(cases, right, deep=True):
    """Return {words: numbers}, each as many as all right results hold, of what cases are made of.

    cases   {words: value} of each case: arguments, steps on the way, parts of formulas
    right   the right result of each case; it stands first in the table
    deep    whether parts of formulas, and what is made of all these, are wanted too
    """
    rows = {}
    names = [name for name in cases[0] if all(name in case for case in cases)]
    values = {RIGHT: right} | {name: [case[name] for case in cases] for name in names}
    for words, gathered in _functions(TOLD):
        for name, value in values.items():
            plain = name == RIGHT or re.fullmatch(r"\w+", name)
            gathers = deep and plain and any(np.size(x) > 1 for x in value)
            if not (gathers if words != "{}" else deep or plain):
                continue
            with contextlib.suppress(Exception), np.errstate(all="ignore"):
                found = [gathered(np.asarray(x, dtype=float)) for x in value]
                pairs = zip(found, right, strict=True)
                row = np.concatenate([np.broadcast_to(x, r.shape).ravel() for x, r in pairs])
                rows[words.format(name)] = row
    made = dict(rows)
    for words, change in _functions(MADE if deep else {}):
        for name, row in rows.items():
            if "one place" not in name and (words[0] not in "ασ" or "log_snr" in name):
                made[words.format(name if re.fullmatch(r"\w+", name) else f"({name})")] = change(
                    row
                )
    return _different(made)


def _functions(templates):
    """(words, function) of templates."""
    return [(words, evaluated(f"lambda a: {new}", {})) for words, new in templates.items()]


def _different(rows):
    """The rows that are numbers, vary, and are not the same as one before."""
    kept = {}
    for words, row in rows.items():
        known = row[np.abs(row) < 1e12]  # neither NaN nor what overflows
        if known.size <= row.size / 2 or (known.size < row.size and "one place" not in words):
            continue
        if not np.allclose(known, known[0], rtol=1e-9, atol=0):
            kept.setdefault(np.round(row / np.abs(known).max(), 9).tobytes(), (words, row))
    return dict(kept.values())


def trivial(got, right, rows, tolerance):
    """Say whether a result is always the same, where the right one is not, or one of the rows."""
    if not np.isfinite(got).all():
        return ""
    if not np.any(got):
        return "your result is zero everywhere"
    if np.allclose(got, got[0], rtol=1e-9) and not np.allclose(right, right[0], rtol=1e-9):
        return "your result is the same whatever the arguments are"
    near = (words for words, row in rows.items() if _near(row, got, tolerance))
    return next((f"your result is {words}" for words in near), "")


def relation(got, right, rows, tolerance):
    """Say what a result is, made simply of the right one or of parts of the calculation; or ""."""
    more = np.median(np.subtract(got, right, dtype=float))
    if _near(more + right, got, tolerance):
        words = "more" if more > 0 else "less"
        return f"your result is {_number(abs(more))} {words} than {RIGHT}"
    if not rows:
        return ""  # of places, counts and shares, in which much agrees by accident
    known = np.isfinite(got) & np.isfinite(right) & (right != 0)
    for compared, words in ((right, "times"), (1 / right, "divided by")):
        factor = np.median(got[known] / compared[known]) if known.any() else np.nan
        if _near(factor * compared, got, tolerance):
            return _times(factor, words)
    for multiple, times in MULTIPLES.items():
        for words, row in rows.items():
            if _near(multiple * row[~np.isnan(row)], got[~np.isnan(row)], tolerance):
                return f"your result is {times}{_bracketed(words) if times else words}"
    if len(np.unique(got)) < 4:
        return ""  # too little to tell two parts by
    rows = {words: row for words, row in rows.items() if np.isfinite(row).all()}
    if found := _two(got, rows, tolerance, {RIGHT}):
        return f"your result is {found}"
    if not np.any(got[right == 0]):
        seen = {words: row[known] for words, row in rows.items()}
        if found := _two(got[known] / right[known], seen, tolerance):
            return f"your result is {RIGHT} times {_bracketed(found)}"
    if found := _two(got - right, rows, tolerance):
        return f"your result is {RIGHT} plus {found}"
    for multiple, times in MULTIPLES.items():
        if found := _two(got / multiple, rows, tolerance):
            return f"your result is {times}{_bracketed(found) if times else found}"
    return ""


def _two(got, rows, tolerance, chosen=None):
    """Say of which two rows a result is made, the shortest words first; "" if of none."""
    names, numbers, found = list(rows), np.array(list(rows.values())), []
    if len(names) < 2 or not got.size or not np.isfinite(got).all():
        return ""
    at = np.argmax(np.abs(got))  # an entry by which rows are looked up
    order = np.argsort(numbers[:, at])
    column = numbers[order, at]
    for words, (make, solve) in TWO.items():
        with np.errstate(all="ignore"):
            wanted = solve(got[at], numbers[:, at])
            reach = (
                3 * tolerance * (np.abs(wanted) + np.abs(got[at]) * (make in (np.add, np.subtract)))
            )
            low, high = (np.searchsorted(column, wanted + sign * reach) for sign in (-1, 1))
            for k in np.flatnonzero((high > low) & np.isfinite(wanted)):
                others = order[low[k] : high[k]] if chosen is None or names[k] in chosen else []
                near = _near(make(numbers[k], numbers[others]), got, tolerance)
                for j in np.flatnonzero(near):
                    both = _bracketed(names[k]), _bracketed(names[others[j]])
                    found.append(words.format(*both))
    shortest = min(found, key=len, default="")
    return shortest if len(shortest) < 70 else ""  # what is longer explains nothing


def _times(factor, words):
    if np.isclose(factor, -1, rtol=1e-6) and words == "times":
        return "only the sign differs, everywhere"
    near = (text for text, number in NUMBERS.items() if np.isclose(factor, number, rtol=1e-6))
    return f"your result is {next(near, _number(factor))} {words} {RIGHT}"


def _bracketed(words):
    whole = words[0] == "(" and words.find(")") == len(words) - 1
    return f"({words})" if re.search(" ([−+]|plus|minus) ", words) and not whole else words


def _number(value):
    return f"{value:.4g}".replace("-", "−")


def _near(row, got, tolerance):
    """Whether a row, or each of several, is what was got."""
    if not got.size or not np.isfinite(got).all():
        return np.zeros(np.shape(row)[:-1], dtype=bool)
    size = np.abs(got) + 1e-3 * np.abs(got).max()
    return (np.abs(row - got) <= tolerance * size).all(axis=-1)
