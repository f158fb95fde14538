"""Results explained by their numbers: the right one times α², one place too late, over its sum."""

import contextlib
import re

import numpy as np

from course_utils.exercises.values import close

RIGHT = "the right result"
SHAPED = {  # a part of the calculation in another order, or gathered
    "{}": lambda x: x,
    "{} in reversed order": lambda x: x[::-1],
    "{} in ascending order": np.sort,
    "the running sums of {}": np.cumsum,
    "the running products of {}": np.cumprod,
    "{}, one place too late": lambda x: np.append(np.nan, x[:-1]),
    "{}, one place too early": lambda x: np.append(x[1:], np.nan),
    "the sum of {}": np.sum,
    "the mean of {}": np.mean,
    "the sum of the squares of {}": lambda x: np.sum(x**2),
    "the product of {}": np.prod,
    "the largest of {}": np.max,
    "the smallest of {}": np.min,
    "the median of {}": np.median,
    "the number of {}": len,
    "the first of {}": lambda x: x[0],
    "the last of {}": lambda x: x[-1],
}
MADE = {  # a number made of another
    "{}": lambda x: x,
    "({})²": np.square,
    "√({})": np.sqrt,
    "|{}|": np.abs,
    "(1 − {})": lambda x: 1 - x,
    "(1 + {})": lambda x: 1 + x,
    "e^({})": np.exp,
    "e^(−{})": lambda x: np.exp(-x),
    "log({})": np.log,
    "√(1 − {})": lambda x: np.sqrt(1 - x),
    "(1 − ({})²)": lambda x: 1 - x**2,
    "sigmoid({})": lambda x: 1 / (1 + np.exp(-x)),
    "α({})": lambda x: 1 / np.sqrt(1 + np.exp(-x)),
    "σ({})": lambda x: 1 / np.sqrt(1 + np.exp(x)),
}
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


NUMBERS = {"π": np.pi, "2π": 2 * np.pi, "π/2": np.pi / 2, "√2": np.sqrt(2), "ln 2": np.log(2),
           "ln 10": np.log(10)}  # fmt: skip


def table(cases, right):
    """Return {words: numbers}, each as many as all right results hold, of what cases are made of.

    cases   {words: value} of each case: arguments, steps on the way, parts of formulas
    right   the right result of each case; it stands first in the table
    """
    rows = {}
    names = [name for name in cases[0] if all(name in case for case in cases)]
    values = {RIGHT: right} | {name: [case[name] for case in cases] for name in names}
    for name, value in values.items():
        for words, shaped in SHAPED.items():
            with contextlib.suppress(Exception), np.errstate(all="ignore"):
                found = [shaped(np.asarray(x, dtype=float)) for x in value]
                pairs = zip(found, right, strict=True)
                row = np.concatenate([np.broadcast_to(x, r.shape).ravel() for x, r in pairs])
                rows[words.format(name)] = row
    return _different(
        {
            words.format(name): made(row)
            for words, made in MADE.items()
            for name, row in rows.items()
            if words == "{}" or "one place" not in name
            if words[0] not in "ασ" or "log_snr" in name
        }
    )


def _different(rows):
    """The rows that are numbers, vary, and are not the same as one before."""
    kept = {}
    for words, row in rows.items():
        known = row[np.isfinite(row)]
        if known.size <= row.size / 2 or (known.size < row.size and "one place" not in words):
            continue
        if not np.allclose(known, known[0], rtol=1e-9, atol=0):
            kept.setdefault(np.round(row / np.abs(known).max(), 9).tobytes(), (words, row))
    return dict(kept.values())


def relation(got, right, rows, tolerance):
    """Say what a result is, made simply of the right one or of parts of the calculation; or ""."""
    if not np.any(got):
        return "your result is zero everywhere"
    if np.allclose(got, got[0], rtol=1e-9) and not np.allclose(right, right[0], rtol=1e-9):
        return "your result is the same whatever the arguments are"
    known = np.isfinite(got) & np.isfinite(right) & (right != 0)
    if known.any():
        factor, more = np.median(got[known] / right[known]), np.median(got[known] - right[known])
        if _near(factor * right, got, tolerance):
            return _times(factor)
        if _near(more + right, got, tolerance):
            words = "more" if more > 0 else "less"
            return f"your result is {_number(abs(more))} {words} than {RIGHT}"
    for multiple, times in MULTIPLES.items():
        for words, row in rows.items():
            if _near(multiple * row[~np.isnan(row)], got[~np.isnan(row)], tolerance):
                return f"your result is {times}{words}"
    rows = {words: row for words, row in rows.items() if np.isfinite(row).all()}
    if found := _two(got, rows, tolerance, {RIGHT}):
        return f"your result is {found}"
    if known.all():
        for change, how in ((got / right, "times"), (got - right, "plus")):
            if found := _two(change, rows, tolerance):
                return f"your result is {RIGHT} {how} this: {found}"
    if found := _two(got, rows, tolerance):
        return f"your result is {found}"
    return ""


def _two(got, rows, tolerance, chosen=None):
    """Say of which two rows a result is made, the shortest words first; "" if of none."""
    names, numbers, found = list(rows), np.array(list(rows.values())), []
    if len(names) < 2 or not np.isfinite(got).all():
        return ""
    at = np.argmax(np.abs(got))  # an entry by which rows are looked up
    order = np.argsort(numbers[:, at])
    column = numbers[order, at]
    for words, (make, solve) in TWO.items():
        with np.errstate(all="ignore"):
            wanted = solve(got[at], numbers[:, at])
            reach = 3 * tolerance * (np.abs(wanted) + np.abs(got[at]) * (make in (np.add, np.subtract)))
            low, high = (np.searchsorted(column, wanted + sign * reach) for sign in (-1, 1))
            for k in np.flatnonzero((high > low) & np.isfinite(wanted)):
                for j in order[low[k] : high[k]] if chosen is None or names[k] in chosen else ():
                    if _near(make(numbers[k], numbers[j]), got, tolerance):
                        found.append(words.format(names[k], names[j]))
    return min(found, key=len, default="")


def where(got, right, rows, tolerance):
    """Say where a result is right and where it is not; "" if that is nowhere in particular."""
    good = close(got, right, tolerance)
    if min(good.sum(), (~good).sum()) < 2:
        return ""
    plain = {name: row for name, row in rows.items() if re.fullmatch(rf"\w+|{RIGHT}", name)}
    words, numbers = list(plain), list(plain.values())
    for name, row in zip(words, numbers, strict=True):
        for bound in (0, 1):
            for how, condition in (("above", row > bound), ("below", row < bound)):
                if np.array_equal(condition, good):
                    return f"; it is right where {name} is {how} {bound}, and only there"
    for name, row in zip(words, numbers, strict=True):
        for other, column in zip(words, numbers, strict=True):
            if np.array_equal(row > column, good):
                return f"; it is right where {name} is above {other}, and only there"
    return ""


def _times(factor):
    if np.isclose(factor, -1, rtol=1e-6):
        return "only the sign differs, everywhere"
    for words, value in NUMBERS.items():
        for text, number in ((words, value), (f"1/({words})", 1 / value)):
            if np.isclose(factor, number, rtol=1e-6):
                return f"your result is {text} times {RIGHT}"
    return f"your result is {_number(factor)} times {RIGHT}"


def _number(value):
    return f"{value:.4g}".replace("-", "−")


def _near(row, got, tolerance):
    size = np.abs(got) + 1e-3 * np.abs(got).max(initial=0)
    return bool(np.all(np.abs(row - got) <= tolerance * size) and got.size)
