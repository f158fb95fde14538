"""Results of attempts as arrays: made, compared, and shown in a few words."""

import numpy as np

from course_utils._checks import frozen


class NotYet(Exception):
    """What is wrong with an attempt, in words."""


def parts_of(result, expected, names):
    """Return an attempt's result as one array for each expected part, or complain."""
    if result is None:
        raise NotYet("the function returns None: is a `return` missing? (print does not return)")
    if len(expected) == 1:
        return [_array(result, expected[0])]
    label = f"{len(expected)} results ({', '.join(names)})"
    try:
        count = len(result)
    except TypeError:
        raise NotYet(f"expected {label}, got {kind(result)}") from None
    if count != len(expected) or isinstance(result, (str, dict)):
        raise NotYet(f"expected {label}, got {kind(result)} of length {count}")
    return [_array(part, like) for part, like in zip(result, expected, strict=True)]


def _array(value, like):
    """Return a copy of one result as numbers, or as text where text is expected.

    float32 stays what it is, so that `same` knows how many digits it has.
    """
    if like.dtype.kind == "U":
        if not isinstance(value, str):
            raise NotYet(f"expected a word in quotes, got {kind(value)}")
        return np.array(value)
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
        raise NotYet(f"expected {shape(like)}, got {kind(value)}") from None


def same(a, b, tolerance):
    """Whether shapes and words agree, numbers to a tolerance, infinities and NaN with the like."""
    if a.shape != b.shape:
        return False
    if b.dtype.kind == "U":
        return str(a).strip().casefold() == str(b).strip().casefold()
    scale = np.abs(b[np.isfinite(b)]).max(initial=0.0)
    least = 1e-3 * tolerance * scale + 1e-12
    if a.dtype == np.float32:  # seven digits, of which a difference such as 1 − ᾱ loses some
        tolerance, least = max(tolerance, 1e-4), 1e-5 * max(scale, 1.0)
    near = np.isfinite(b) & (np.abs(a - b) <= least + tolerance * np.abs(b))
    return bool(np.all(near | (a == b) | (np.isnan(a) & np.isnan(b))))


def shrunk(argument, rng, least):
    """Other numbers like those of an argument, of least to 1 times their size, sorted if it is."""
    if not isinstance(argument, float) and getattr(argument, "dtype", "") != "float64":
        return argument
    ascending = np.ndim(argument) == 1 and np.all(np.diff(argument) >= 0)
    other = argument * rng.uniform(least, 1, () if ascending else np.shape(argument))
    return frozen(other) if np.ndim(other) else other


def varied(results):
    """Whether results vary, within arrays if there are any: many slips give one value for all."""
    arrays = [part for part in results if part.size > 1] or [np.array(results)]
    return any(len({*array[array == array].tolist()}) > 1 for array in arrays)  # NaN is not NaN


def simple(results):
    """Whether results are words, or numbers that few different ones can be."""
    if results[0].dtype.kind == "U":
        return True
    numbers = 600 * np.concatenate([array.ravel() for array in results])
    return bool(np.all(np.abs(numbers - np.round(numbers)) < 1e-6))


# --- in words ---------------------------------------------------------------------------------


def shape(array):
    if array.ndim == 0:
        return "a number"
    if array.ndim > 1:
        return f"shape {array.shape}"
    return f"an array of {array.size} numbers" if array.size != 1 else "an array of one number"


def listed(names, values):
    """Arguments or results in one line, each a few short numbers with its name."""
    named = [f"{name} = {_short(v)}" for name, v in zip(names, values, strict=False)]
    return ", ".join(named) or _short(values[0])


def _short(value):
    if callable(value):
        return (value.__doc__ or "a function").splitlines()[0]
    if np.asarray(value).dtype.kind not in "biuf":
        return str(value)
    if np.ndim(value) > 1 and np.size(value) > 12:
        return f"numbers of shape {np.shape(value)}"
    four_digits = {"float_kind": lambda number: f"{number + 0:.4g}"}  # −0 + 0 is 0
    style = {"threshold": 8, "edgeitems": 3, "separator": ", ", "formatter": four_digits}
    return " ".join(np.array2string(np.asarray(value), **style).split())


def kind(value):
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
