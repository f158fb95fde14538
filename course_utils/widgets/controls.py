"""The controls of a panel, as plain declarations: what can be set, within which range.

They hold no value of their own and need no widget; ``Panel`` keeps the values, and the browser
makes a native input of each.
"""

import numbers
from dataclasses import KW_ONLY, asdict, dataclass, field
from decimal import Decimal


@dataclass(frozen=True)
class Control:
    """One control: the words beside it, and ``value``, at which it starts.

    ``folded``: it stands in a part of the panel under this title that opens at a click. ``play``:
    a button beside it lets it run.

    ``check(value)`` returns a value as the control holds it, or raises ``ValueError``.
    """

    label: str
    _: KW_ONLY
    folded: str = ""
    play: bool = False

    def __post_init__(self):
        self.check(self.value)

    def spec(self):
        """Return the control in JSON."""
        made = asdict(self) | {"kind": type(self).__name__}
        if "step" in made:  # as many as its multiples have
            power = Decimal(str(self.step)).normalize().as_tuple().exponent
            made["decimals"] = max(0, -power)
        return made


@dataclass(frozen=True)
class Slider(Control):
    """Numbers from ``low`` to ``high``; of integers where all four numbers are integers."""

    low: float
    high: float
    step: float
    value: float
    unit: str = ""

    @property
    def whole(self):
        """Whether the values are integers."""
        four = (self.low, self.high, self.step, self.value)
        return all(isinstance(number, numbers.Integral) for number in four)

    def check(self, value):
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise ValueError("pass a number")
        nearest = min(max(value, self.low), self.high)
        nearest = round(nearest) if self.whole else float(nearest)
        if nearest != value:  # NaN too
            raise ValueError(f"the nearest it can be is {nearest!r}")
        return nearest


@dataclass(frozen=True)
class Choice(Control):
    """One of ``options``, pairs (words, value), from a list; with ``slide`` from a slider.

    ``groups``: headings in the list, each before a value of it.
    """

    options: tuple
    value: object
    _: KW_ONLY
    slide: bool = False
    groups: dict = field(default_factory=dict)  # value: heading

    def check(self, value):
        if value not in self.values:
            raise ValueError(f"choose one of {', '.join(map(repr, self.values))}")
        return self.values[self.values.index(value)]

    @property
    def values(self):
        """All that it can hold."""
        return [value for _, value in self.options]


@dataclass(frozen=True)
class Switch(Control):
    """On or off."""

    value: bool = False
    values = (False, True)

    def check(self, value):
        if value not in self.values:
            raise ValueError("pass True or False")
        return bool(value)


@dataclass(frozen=True)
class Bars(Control):
    """A row of upright sliders with one value, the tuple of theirs; ``labels`` has one each."""

    labels: tuple
    low: float
    high: float
    step: float
    value: tuple
    unit: str = ""

    def check(self, value):
        return _numbers(value, (len(self.labels),), self.low, self.high)


@dataclass(frozen=True)
class Curve(Control):
    """``n`` numbers, or none, that only the hand on the picture moves: no input stands for them."""

    n: int
    low: float
    high: float
    value: tuple = ()

    def check(self, value):
        return _numbers(value, (0, self.n), self.low, self.high)


@dataclass(frozen=True)
class Dice(Control):
    """A button that counts up: new random draws."""

    value: int = 0

    def check(self, value):
        if not isinstance(value, numbers.Integral) or value < 0:
            raise ValueError("pass 0, 1, 2, …")
        return int(value)


def _numbers(value, lengths, low, high):
    """A tuple of so many floats within the range."""
    try:
        value = tuple(float(number) for number in value)
    except TypeError:
        value = None
    if value is None or len(value) not in lengths or not all(low <= x <= high for x in value):
        raise ValueError(f"pass {' or '.join(map(str, lengths))} numbers from {low} to {high}")
    return value


def choice(label, options, value=None, **more):
    """Return a list, or with ``slide`` a slider, of ``options``: values or (words, value) pairs."""
    pairs = tuple(o if isinstance(o, tuple) else (str(o), o) for o in options)
    return Choice(label, pairs, pairs[0][1] if value is None else value, **more)
