"""What the fuzz tests share: strange values, and the contract that every public function keeps.

A function either returns finite numbers or raises a ``ValueError`` that it wrote itself and that
says what came in. A NaN, a warning, an error of a library, or another exception breaks it.
"""

import dataclasses
import importlib
import inspect
import itertools
import pkgutil
import re
import traceback
import types
import warnings
from pathlib import Path

import numpy as np
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import course_utils
from course_utils.weightings import Weighting

PACKAGE = Path(course_utils.__file__).parent
T = np.array([0.1, 0.5, 0.9])
LEVELS = np.array([-3.0, 0.0, 2.5])


def public_callables(without=()):
    """Return {"module.function" or "module.Class.method": function} of the whole package.

    A class stands for its constructor; one that only stores its fields, a NamedTuple, is left out.
    Modules whose name begins with one of ``without`` are not looked at.
    """
    found = {}
    for module in pkgutil.walk_packages(course_utils.__path__, "course_utils."):
        path = module.name.removeprefix("course_utils.")
        if path.startswith(without) or any(part.startswith("_") for part in path.split(".")):
            continue
        room = importlib.import_module(module.name)
        for name, thing in vars(room).items():
            if name.startswith("_") or getattr(thing, "__module__", None) != module.name:
                continue
            if inspect.isclass(thing):
                if not hasattr(thing, "_fields"):
                    found[f"{path}.{name}"] = thing
                found |= {f"{path}.{name}.{m}": f for m, f in _methods(thing)}
            elif callable(thing):
                found[f"{path}.{name}"] = thing
    return found


def _methods(kind):
    for name, thing in vars(kind).items():
        if name.startswith("_") and name != "__call__":
            continue
        if name in getattr(kind, "__dataclass_fields__", ()):  # a default
            continue
        if isinstance(thing, classmethod):
            yield name, getattr(kind, name)
        elif inspect.isfunction(thing):
            yield name, thing
        elif isinstance(thing, property) or hasattr(thing, "attrname"):  # cached too
            yield name, _getter(name)


def _getter(name):
    def get(self):
        return getattr(self, name)

    return get


# --- The contract ------------------------------------------------------------------------------


class Broken(AssertionError):
    """The contract is broken; the message says how."""


def outcome(function, arguments, infinite=False):
    """Return (result, None) or (None, message of its ValueError); else raise ``Broken``.

    ``arguments`` is a dict; a key "self" and keys beginning with * are positional. Warnings count
    as errors. With ``infinite`` the result may hold infinities, never a NaN.
    """
    given, positional = dict(arguments), []
    several = next((key for key in given if key[0] == "*" != key[1]), None)
    for key in list(given)[: list(given).index(several)] if several else ["self"]:
        positional += [given.pop(key)] if key in given else []
    positional += given.pop(several, ())
    for key in [key for key in given if key.startswith("**")]:
        given |= given.pop(key)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = materialised(function(*positional, **given))
            bad = next(unfinished(result, infinite), None)
    except ValueError as error:
        return None, _approved(error)
    except Exception as error:
        raise Broken(f"{type(error).__name__}: {error}\n{_where(error)}") from error
    if bad is not None:
        raise Broken(f"the result holds {bad}")
    return result, None


def _approved(error):
    """The message of a ValueError, if the course wrote it and it tells of what came in."""
    if isinstance(error, UnicodeError) or not _where(error, last=True).startswith(str(PACKAGE)):
        raise Broken(f"a library's words, not ours: {error}\n{_where(error)}") from error
    if not re.search(r"\d|nan|inf|masked|None|True|False|'|[<\[({]", str(error)):
        raise Broken(f"does not say what came in: {error}") from error
    return str(error)


def _where(error, last=False):
    frames = traceback.extract_tb(error.__traceback__)
    if last:
        return frames[-1].filename
    return "\n".join(f"  {Path(f.filename).name}:{f.lineno} {f.line}" for f in frames[-4:])


def materialised(result):
    """A generator's first states as a list; anything else as it is."""
    if isinstance(result, types.GeneratorType):
        return list(itertools.islice(result, 50))
    return result


def unfinished(result, infinite=False):
    """Yield what in a result is not a finite number, looking into whatever holds numbers."""
    if hasattr(result, "detach"):
        result = result.detach().cpu().double().numpy()
    if isinstance(result, float | complex | np.ndarray | np.generic):
        array = np.asarray(result)
        if array.dtype.kind in "fc":
            bad = np.isnan(array) if infinite else ~np.isfinite(array)
            if bad.any():
                yield array[bad].ravel()[0]
    elif isinstance(result, Weighting):
        yield from unfinished(result(LEVELS))
    elif isinstance(result, dict):
        for item in result.values():
            yield from unfinished(item, infinite)
    elif isinstance(result, list | tuple):
        for item in result:
            yield from unfinished(item, infinite)
    elif dataclasses.is_dataclass(result) and not isinstance(result, type):
        for field in dataclasses.fields(result):
            if field.name in LABELS:
                continue
            inside = getattr(result, field.name)
            yield from unfinished(inside, infinite or field.name in MAY_BE_INFINITE)
        if hasattr(result, "log_snr_rate"):
            yield from unfinished(result.log_snr(T))


LABELS = {"name", "reference"}
MAY_BE_INFINITE = {
    "log_snr_min",  # a schedule that is not cut
    "log_snr_max",
    "quadrature_error",  # nothing is known of it in a curve made by hand
}


# --- Strange values ----------------------------------------------------------------------------


class Opaque:
    """An object that is nothing."""


def returns_nan(*args):
    return np.full(np.shape(args[0]), np.nan)


def returns_seven(*args):
    return np.ones(7)


NUMBERS = [
    0,
    1,
    -1,
    2.5,
    -0.5,
    1e300,
    -1e300,
    1e40,
    5e-324,
    np.nan,
    np.inf,
    -np.inf,
    10**12,
    10**30,
]
OTHERS = [
    None,
    True,
    "",
    "abc",
    "nan",
    b"1",
    1j,
    [],
    {},
    {"a": 1},
    [1, [2, 3]],
    ["a", "b"],
    [None],
    (),
    (1.0, np.nan),
    range(3),
    Opaque(),
    returns_nan,
    returns_seven,
    np.array([]),
    np.zeros((0, 1)),
    np.zeros((3, 0)),
    np.array(0.5),
    np.array(np.nan),
    np.array(["0.5"]),
    np.array([None, 1.0]),
    np.array([1.0, 2.0], dtype=object),
    np.array([1 + 1j]),
    np.array([True, False]),
    np.array([0.25, 0.5, 0.75]),
    np.array([1, 2, 3]),
    np.array([1e300, -1e300, 1.0]),
    np.array([5e-324, 1.0]),
    np.array([[0.5, np.nan]]),
    np.array([[np.inf], [1.0]]),
    np.ones((2, 3)),
    np.ones((2, 2, 2)),
    np.ones((1, 1, 1, 1)),
    np.float32(0.5),
    np.float16(0.5),
    np.longdouble(0.5),
    np.datetime64("2020-01-01"),
    np.ma.masked_array([1.0, 2.0], [True, False]),
    torch.tensor(0.5),
    torch.tensor([0.25, 0.5, 0.75], requires_grad=True),
    torch.tensor([[0.5], [np.nan]]),
    torch.tensor([1, 2, 3]),
    torch.tensor([True, False]),
    torch.tensor([1j]),
    torch.tensor([0.5, 2.0]).bfloat16(),
    torch.tensor([0.5, 2.0]).to_sparse(),
    torch.ones(2, device="meta"),
    torch.zeros(0, 2),
]


def strange(right):
    """A strategy of wrong values: strange ones, and the right one spoilt or in another dress."""
    array = np.asarray(right) if isinstance(right, np.ndarray | float | int | list) else None
    kinds = [st.sampled_from(NUMBERS), st.sampled_from(OTHERS)]
    if array is not None and array.dtype.kind in "fiu" and array.size:
        entry = st.integers(0, array.size - 1)
        kinds.append(st.builds(_with_entry, st.just(array), entry, st.sampled_from(SPOILING)))
        kinds.append(st.sampled_from(dressed(array)))
    return st.one_of(kinds)


SPOILING = [np.nan, np.inf, -np.inf, 1e300, -1e300, 1e-310, 0.0, -1.0, 1e20]


def _with_entry(array, i, value):
    spoilt = np.array(array, dtype=float)
    spoilt.ravel()[i] = value  # a view: the array is contiguous
    return spoilt if spoilt.ndim else float(spoilt)


def dressed(array):
    """The numbers of an array in other types, shapes, orders and sizes."""
    row = np.atleast_1d(array)
    return [
        array.tolist(),
        array.astype(np.float32),
        torch.tensor(array.copy()),
        torch.tensor(array.copy(), dtype=torch.float32, requires_grad=True),
        np.rint(np.clip(array, -9, 9)).astype(np.int64),
        array.astype(object),
        array.astype(str),
        array.astype(complex),
        array.T,
        array[None],
        array[..., None],
        row[:-1],
        row[::-1],
        np.concatenate([row, row]),
        -array,
        1e8 * array,
        1e160 * array.astype(float),
    ]


# --- Fuzzing -----------------------------------------------------------------------------------


def examples(count):
    """Settings with so many examples, always the same; under `make fuzz` as many as it asks for."""
    profile = settings.default
    count = count if profile.derandomize else profile.max_examples
    return settings(max_examples=count, suppress_health_check=list(HealthCheck))


EVERYDAY, LONG = examples(4), examples(25)


@dataclasses.dataclass(frozen=True)
class Fuzz:
    """Callables and what is known of their arguments.

    ``found``: {name: function}. ``right``: {parameter: scene → strategy of right values};
    ``special``: the same for single callables, or for all methods under "module.Class.*".
    ``holds``: {name: what must be true of a result}. ``trusted``: parameters that are not spoilt.
    ``infinite``: names of callables that may return infinities.
    """

    found: dict
    right: dict
    special: dict
    holds: dict
    trusted: set
    infinite: set = frozenset()

    def right_values(self, name):
        """Return {parameter: scene → strategy} of a callable, or say which one is unknown."""
        special = self.special
        overriding = special.get(name.rpartition(".")[0] + ".*", {}) if name.count(".") > 1 else {}
        overriding = overriding | special.get(name, {})
        known, unknown = {}, []
        for parameter in inspect.signature(self.found[name]).parameters.values():
            key = {2: "*", 4: "**"}.get(int(parameter.kind), "") + parameter.name
            kind = overriding.get(key, self.right.get(key))
            if kind is None:
                unknown.append(key)
            known[key] = kind
        assert not unknown, (
            f"{name}: no right values are known for {unknown}: add them to AS or RIGHT"
        )
        return known

    def scene(self, draw, name):
        """Numbers n, m, d of points and dimensions and k of steps, as in ``special`` or drawn."""
        fixed = {k: v for k, v in self.special.get(name, {}).items() if isinstance(v, int)}
        one_to_four = st.integers(1, 4)
        drawn = {key: draw(one_to_four) for key in "nmk"} | {"d": draw(st.integers(1, 2))}
        return types.SimpleNamespace(**drawn | fixed)

    def keeps_the_contract(self, name, data):
        """Right arguments are taken and the result is right; strange ones keep the contract."""
        kinds = self.right_values(name)
        scene = self.scene(data.draw, name)
        arguments = {key: data.draw(kind(scene)) for key, kind in kinds.items()}
        may_be_infinite = name in self.infinite
        result, refused = outcome(self.found[name], arguments, may_be_infinite)
        assert refused is None, f"right arguments were refused: {refused}"
        if name in self.holds:
            self.holds[name](result, **arguments)
        spoilable = [key for key in arguments if key not in self.trusted and key[0] != "*"]
        for _ in range(4 if spoilable else 0):
            for key in data.draw(st.lists(st.sampled_from(spoilable), min_size=1, max_size=2)):
                spoilt = arguments | {key: data.draw(strange(arguments[key]))}
            outcome(self.found[name], spoilt, may_be_infinite)
