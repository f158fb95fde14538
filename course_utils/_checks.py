"""What lets a few functions take NumPy arrays and torch tensors alike, and what they refuse."""

import math
import reprlib
from difflib import get_close_matches
from functools import wraps
from inspect import signature

import array_api_compat
import numpy as np

QUICK = (np.ndarray, float)  # certainly no torch tensor
LEVELS = ("adaptive", "uniform", "cosine")  # how a training run samples them
MOST = 10_000_000  # no count is larger: arrays of as many numbers still fit a laptop's memory


def floating(value):
    """Return ``(xp, array)``: the array's namespace and the value as a floating array without NaN.

    A torch tensor stays what it is; everything else becomes a NumPy array, float32 where it was
    that and float64 otherwise. Raises ``ValueError`` for a NaN, and for what cannot be read as real
    numbers.
    """
    xp, array = read(value)
    if bool(array != array) if array.ndim == 0 else bool((array != array).any()):
        raise ValueError(f"expected numbers, got nan{_among(array)}: look for 0/0 or ∞ − ∞ before")
    return xp, array


def float64(value):
    """Return the value as a float64 NumPy array; raises ``ValueError`` as ``floating`` does."""
    return numeric(value).astype(np.float64, copy=False)


def finite(name, value):
    """Return the value as a float64 NumPy array, or raise ``ValueError`` unless all is finite."""
    array = in_numpy(value).astype(np.float64, copy=False)
    good = np.isfinite(array)
    if not good.all():
        raise ValueError(f"{name} must be finite, got {array[~good].ravel()[0]}{_among(array)}")
    return array


def data_set(x):
    """Return data as a frozen float64 array [n, d], or raise ``ValueError`` with a remedy.

    Integers, lists and data frames are read; gaps (a mask, NaN) and infinities are refused.
    """
    if np.ma.is_masked(x):
        raise ValueError(f"the data have {np.ma.count_masked(x)} masked entries: drop those rows")
    x = frozen(x)
    if x.ndim != 2 or x.size == 0:
        raise ValueError(
            f"data must have shape [n, d], got {x.shape}: numbers on the line are x[:, None]"
        )
    if not np.isfinite(x).all():
        n = int((~np.isfinite(x)).any(axis=1).sum())
        raise ValueError(f"{n} of {len(x)} rows hold NaN or infinity: drop them, or fill the gaps")
    return x


def read(value):
    """Return ``(xp, array)`` as ``floating`` does, but let a NaN pass."""
    if not isinstance(value, QUICK) and array_api_compat.is_torch_array(value):
        xp = array_api_compat.array_namespace(value)
        if value.is_complex() or value.is_meta or value.layout is not xp.strided:
            raise ValueError(f"expected real numbers, got {_tensor(value)}: pass a dense real one")
        return xp, value if value.is_floating_point() else xp.astype(value, xp.float64)
    try:
        array = np.asarray(value)
        if array.dtype.char not in "df":
            rule = "unsafe" if array.dtype.kind == "f" else "safe"  # a longdouble is rounded
            array = array.astype(np.float64, casting=rule)
    except (TypeError, ValueError):
        shown = reprlib.repr(value)
        raise ValueError(f"expected real numbers, got {shown}: pass floats or an array") from None
    return np, array


def in_numpy(value):
    """Return the value as a NumPy array, float32 where it was that and float64 otherwise.

    Raises ``ValueError`` as ``read`` does, and for a tensor that records gradients, which NumPy
    would lose silently.
    """
    xp, array = read(value)
    if xp is np:
        return array
    if array.requires_grad:
        raise ValueError(f"NumPy would lose the gradients of {_tensor(array)}: pass its .detach()")
    array = array.cpu()
    return np.asarray(array if array.dtype == xp.float32 else array.double())


def numeric(value):
    """Return the value as ``in_numpy`` does, or raise ``ValueError`` for a NaN too."""
    return in_numpy(floating(value)[1])


def _tensor(value):
    return f"a tensor {tuple(value.shape)} ({value.dtype}, {value.layout}, {value.device})"


def _among(array):
    return f" among {math.prod(array.shape)} numbers" if array.ndim else ""


def finite_result(function):
    """Decorate a formula that could leave float64 for arguments too large or too small.

    In place of a warning and a NaN or infinity in what it returns, an array or a tuple of them, it
    raises a ``ValueError`` with the arguments.
    """

    @wraps(function)
    def guarded(*args, **kwargs):
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            try:
                result = function(*args, **kwargs)
            except np.linalg.LinAlgError:  # what infinities become in a matrix
                result = math.nan
        if not _is_finite(result):
            given = signature(function).bind(*args, **kwargs).arguments
            words = ", ".join(f"{k} = {described(v)}" for k, v in given.items() if k != "self")
            raise ValueError(
                f"{function.__qualname__} leaves the range of floating-point numbers for {words}"
            )
        return result

    return guarded


def _is_finite(result):
    if isinstance(result, float):
        return math.isfinite(result)
    if isinstance(result, tuple):
        return all(map(_is_finite, result))
    if array_api_compat.is_torch_array(result):
        return bool(result.isfinite().all())
    return not isinstance(result, np.ndarray | np.generic) or bool(np.isfinite(result).all())


def described(value):
    """Return a short text for a value: an array by its shape and extremes, the rest by its repr."""
    try:
        array = np.asarray(value)
        if array.ndim and array.size and array.dtype.kind in "iuf":
            return f"{array.shape} numbers from {array.min():.4g} to {array.max():.4g}"
    except Exception:
        pass
    return reprlib.repr(value)


def require_levels_fit(log_snr, z):
    """Raise ``ValueError`` unless the levels broadcast to z's shape without ambiguity.

    A level is a scalar, or has as many dimensions as z (``[batch, 1]`` beside ``[batch, d]``).
    A ``[batch]`` array beside a two-dimensional z would be read along the wrong axis whenever
    the batch happens to equal d, and is therefore refused.
    """
    if log_snr.ndim == 0:
        return
    fits = log_snr.ndim == z.ndim and all(
        n in (1, m) for n, m in zip(log_snr.shape, z.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"levels of shape {tuple(log_snr.shape)} do not fit z of shape {tuple(z.shape)}: "
            "pass one level, or one per row as an array of shape [batch, 1]"
        )


def real_number(name, value):
    """Return the value as a finite Python float, or raise ``ValueError``."""
    array = in_numpy(value)
    if array.ndim != 0 or not math.isfinite(array):
        raise ValueError(f"{name} must be one finite number, got {reprlib.repr(value)}")
    return float(array)


def positive_number(name, value):
    """Return the value as a finite Python float above zero, or raise ``ValueError``."""
    number = real_number(name, value)
    if number <= 0:
        raise ValueError(f"{name} must be positive, got {number:g}")
    return number


def require_count(name, value, least=1, most=MOST):
    """Raise ``ValueError`` unless the value is a whole number from ``least`` to ``most``."""
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not number or value < least:
        shown = reprlib.repr(value)
        raise ValueError(f"{name} must be a whole number of at least {least}, got {shown}")
    if value > most:
        raise ValueError(f"{name} is {value:.3g}, more than memory and patience hold: {most:,}")


def require_seed(seed):
    """Return the seed, or raise ``ValueError`` unless it is a whole number from 0 to 2³² − 1."""
    number = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not number or not 0 <= seed < 2**32:
        raise ValueError(
            f"seed must be a whole number from 0 to 4294967295, got {reprlib.repr(seed)}"
        )
    return int(seed)


def require_training(settings):
    """Raise ``ValueError`` unless these settings of a training run can be trained with.

    ``settings`` has the attributes of ``networks.Recipe``.
    """
    for name, most in {"n_steps": MOST, "batch": 100_000, "width": 10_000, "n_blocks": 100}.items():
        require_count(name, getattr(settings, name), most=most)
    positive_number("learning_rate", settings.learning_rate)
    ema = real_number("ema", settings.ema)
    if not 0 <= ema < 1:
        raise ValueError(f"ema must be at least 0 and below 1, got {ema:g}")
    require_known("kind of levels", settings.levels, LEVELS)
    for name in ("skip", "low_discrepancy"):
        require_switch(name, getattr(settings, name))
    require_range(settings.log_snr_min, settings.log_snr_max)


def require_range(log_snr_min, log_snr_max):
    """Return the two levels as floats, or raise ``ValueError`` unless they are a finite range."""
    low = real_number("log_snr_min", log_snr_min)
    high = real_number("log_snr_max", log_snr_max)
    if not (low < high and math.isfinite(high - low)):
        raise ValueError(
            f"need a finite range with log_snr_min < log_snr_max, got {low:g} and {high:g}"
        )
    return low, high


def listed(name, value):
    """Return the value's items as a list, or raise ``ValueError`` if it is text or no sequence."""
    if not isinstance(value, str | bytes | dict):
        try:
            return list(value)
        except TypeError:
            pass
    raise ValueError(f"{name} must be a list, got {reprlib.repr(value)}")


def require_function(name, value, takes):
    """Return the value, or raise ``ValueError`` unless it can be called, with what it ``takes``."""
    if not callable(value):
        raise ValueError(f"{name} must be a function of {takes}, got {reprlib.repr(value)}")
    return value


def require_kind(name, value, kind, advice):
    """Return the value, or raise ``ValueError`` unless it is an instance of ``kind``."""
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}, got {reprlib.repr(value)}: {advice}")
    return value


def require_switch(name, value):
    """Return the value, or raise ``ValueError`` unless it is True or False."""
    return require_kind(name, value, bool, "say True or False")


def require_schedule(value, *, cut=False):
    """Return the value, or raise ``ValueError`` unless it acts as a schedule.

    With ``cut`` its range of levels must be finite too.
    """
    parts = ("log_snr", "density", "log_snr_min", "log_snr_max")
    if isinstance(value, type) or not all(hasattr(value, part) for part in parts):
        raise ValueError(f"schedule must be one such as Cosine(), got {reprlib.repr(value)}")
    low, high = value.log_snr_min, value.log_snr_max
    if cut and not -math.inf < low < high < math.inf:
        raise ValueError(
            f"schedule must have a finite range of levels, got {low:g} to {high:g}: cut it, as in "
            "Cosine(log_snr_min=-10, log_snr_max=10)"
        )
    return value


def together(**values):
    """Return the values as float64 arrays, or raise ``ValueError`` unless they broadcast."""
    arrays = {name: float64(value) for name, value in values.items()}
    shapes = {name: array.shape for name, array in arrays.items()}
    try:
        np.broadcast_shapes(*shapes.values())
    except ValueError:
        raise ValueError(f"shapes that do not broadcast: {shapes}") from None
    return arrays.values()


def prediction(eps, z, log_snr):
    """Return ε̂ = eps(z, log_snr), or raise ``ValueError`` unless it is finite and shaped as z."""
    value = np.asarray(eps(z, log_snr))
    if value.shape != z.shape:
        raise ValueError(f"eps(z, log_snr) must have the shape of z, {z.shape}, got {value.shape}")
    if not np.isfinite(value).all():
        raise ValueError(f"eps(z, log_snr) is not finite at λ = {described(log_snr)}")
    return value


def require_rng(rng):
    """Return ``rng``, or raise ``ValueError`` unless it is a ``numpy.random.Generator``."""
    if not isinstance(rng, np.random.Generator):
        raise ValueError(
            f"rng must be a numpy.random.Generator, got {reprlib.repr(rng)}: pass "
            "np.random.default_rng(seed)"
        )
    return rng


def unknown(kind, name, known, aliases=None):
    """Return the ``ValueError`` for an unknown name: it proposes the nearest, and lists all.

    ``known`` are the names; ``aliases`` maps other words, in lower case, to some of them.
    """
    word = str(name).lower()
    words = {**{k.lower(): k for k in known}, **(aliases or {})}
    near = words[get_close_matches(word, words, n=1, cutoff=0.0)[0]]
    shown = reprlib.repr(name)
    return ValueError(f"unknown {kind} {shown}: did you mean {near!r}? ({', '.join(known)})")


def require_known(kind, name, known, aliases=None):
    """Return ``name``, or raise ``unknown`` unless it is one of the names ``known``."""
    if not isinstance(name, str) or name not in known:
        raise unknown(kind, name, known, aliases)
    return name


def require_between(name, value, low, high, advice):
    """Raise ``ValueError`` unless low ≤ value ≤ high everywhere (a NaN is outside)."""
    inside = (value >= low) & (value <= high)
    if not bool(inside.all()):
        worst = value[~inside].ravel()[0].item()
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {worst:g}: {advice}")


# --- What stays of this file when the house is done; the rest above goes with its last caller ----


def frozen(value):
    """Return a float64 copy that nobody can change: what a model keeps, and what a cache gives."""
    array = np.array(value, dtype=np.float64)
    array.flags.writeable = False
    return array


def require_increasing(name, levels, least=2):
    """Return a frozen copy of levels [n], or raise ``ValueError`` unless they increase."""
    levels = frozen(levels)
    if levels.ndim != 1 or len(levels) < least or not (np.diff(levels) > 0).all():
        raise ValueError(
            f"{name} must be a list of at least {least} increasing levels; one that falls, such as "
            "schedule.log_snr(t), is turned round by [::-1]"
        )
    return levels
