"""Results explained by their numbers: the right one times α², in reversed order, over its sum."""

import contextlib
import re

import numpy as np

from course_utils.exercises.slips import ELEMENTWISE, GATHERED, evaluated, number

RIGHT = "the right result"
MADE = ELEMENTWISE | {
    "e^−{}": "np.exp(-a)",
    "α({})": "1 / np.sqrt(1 + np.exp(-a))",  # of a level λ
    "σ({})": "1 / np.sqrt(1 + np.exp(a))",
}
TAKEN = GATHERED | {"the smallest of {}": "np.min(a)", "the median of {}": "np.median(a)"}
MULTIPLES = {"": 1, "minus ": -1, "twice ": 2, "half of ": 0.5, "−2 times ": -2, "−½ times ": -0.5}
NUMBERS = {"π": np.pi, "1/π": 1 / np.pi, "2π": 2 * np.pi, "1/(2π)": 0.5 / np.pi, "2/π": 2 / np.pi,
           "√2": 2**0.5, "1/√2": 0.5**0.5, "1/ln 2 (bits for nats)": 1 / np.log(2)}  # fmt: skip


def _table(right, parts):
    """Return {words: numbers}, each as many as all right results hold: what a result may be.

    right   the right result of each case; it stands first in the table
    parts   {words: value} of arguments and parts of formulas in each case
    """
    shared = [words for words in parts[0] if all(words in case for case in parts)]
    parts = {RIGHT: right} | {words: [case[words] for case in parts] for words in shared}
    arrays = {words: xs for words, xs in parts.items() if any(np.size(x) > 1 for x in xs)}
    rows = _rows({"{}": "a"}, parts, right) | _rows(TAKEN, arrays, right)
    rows |= _rows(MADE, {words: [row] for words, row in rows.items()}, [rows[RIGHT]])
    kept = {}
    for words, row in rows.items():
        largest = np.abs(row).max()
        varies = not np.allclose(row, row[0], rtol=1e-9, atol=0)
        if largest < 1e12 and varies and len(words) < 100:  # it is no NaN, and explains something
            kept.setdefault(np.round(row / largest, 9).tobytes(), (words, row))
    return dict(kept.values())


def _rows(templates, made_of, right):
    """The numbers of each template for each value that it can be made of."""
    rows = {}
    for words, formula in templates.items():
        change = evaluated(f"lambda a: {formula}", {})
        for name, value in made_of.items():
            if words[0] in "ασ" and "log_snr" not in name:
                continue
            whole = templates is not MADE or re.fullmatch(r"[\w.]+(\([^()]*\))?", name)
            with contextlib.suppress(Exception):
                found = [change(np.asarray(x, dtype=float)) for x in value]
                pairs = zip(found, right, strict=True)
                row = [np.broadcast_to(x, r.shape).ravel() for x, r in pairs]
                rows[words.format(name if whole else f"({name})")] = np.concatenate(row)
    return rows


def relation(results, answers, parts, tolerance):
    """Say how the results are made of the answers, or of the {words: value} of each case; or ""."""
    if [a.shape for a in results] != [a.shape for a in answers] or results[0].dtype.kind == "U":
        return ""
    tolerance = tolerance if results[0].dtype != np.float32 else 1e-4
    got, right = (np.concatenate([a.ravel() for a in rows]) for rows in (results, answers))
    if not np.isfinite(got).all():
        return ""
    if not np.any(got):
        return "your result is zero everywhere"
    if np.allclose(got, got[0], rtol=1e-9) and not np.allclose(right, right[0], rtol=1e-9):
        return "your result is the same whatever the arguments are"
    more = np.median(got - right)
    if _near(more + right, got, tolerance):
        return f"your result is {number(abs(more))} {'more' if more > 0 else 'less'} than {RIGHT}"
    known = np.isfinite(right) & (right != 0)
    ratio = got[known] / right[known]
    factor = np.median(ratio) if known.any() else np.nan
    if _near(factor * right, got, tolerance):
        if np.isclose(factor, -1, rtol=1e-6):
            return "only the sign differs, everywhere"
        near = (text for text, value in NUMBERS.items() if np.isclose(factor, value, rtol=1e-6))
        return f"your result is {next(near, number(factor))} times {RIGHT}"
    rows = _table(answers, parts) if parts else {}
    names, numbers = list(rows), np.reshape([*rows.values()], (len(rows), got.size))
    targets = [("", got, numbers), (f"{RIGHT} plus ", got - right, numbers)]
    if not np.any(got[~known]):
        seen = numbers[:, known]
        targets[1:1] = [(f"{RIGHT} times ", ratio, seen), (f"{RIGHT} divided by ", 1 / ratio, seen)]
    for before, wanted, of in targets:
        for times, multiple in MULTIPLES.items():
            if (fits := _near(multiple * of, wanted, tolerance)).any():
                words = min((names[k] for k in np.flatnonzero(fits)), key=len)
                if times and re.search(" [−+] ", re.sub(r"\([^()]*\)", "", words)):
                    words = f"({words})"
                return f"your result is {before}{times}{words}".replace("plus minus", "minus")
    return ""


def _near(row, got, tolerance):
    """Whether a row, or each of several, is what was got: some numbers, all finite."""
    size = np.abs(got) + 1e-3 * np.abs(got).max(initial=0)
    near = (np.abs(row - got) <= tolerance * size).all(axis=-1)
    return near & bool(got.size and np.isfinite(got).all())
