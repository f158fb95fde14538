"""Slips derived from a reference: its source with one edit, and that edit in words.

A comment at the end of a line of the reference says why the line is as it is. It follows the words
of each edit on that line, so a derived sentence says what went wrong, and why.
"""

import ast
import contextlib
import copy
import functools
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Callable

import numpy as np

# What may be taken for what: before -> after : in words. One letter stands for any part of a
# formula, f for any function; {the factor a} is "the factor" and that part.
RULES = """
    a * b -> b : {the factor a} is missing
    a * b -> a : {the factor b} is missing
    -a * b -> -b : {the factor a} is missing
    a * b / c -> a * c / b : {b} over {c} is upside down
    a / b -> a : the division by {b} is missing
    a / b -> 1 / b : {the factor a} is missing
    a / b -> a * b : it multiplies by {b} where it should divide
    a / b -> b / a : {a} over {b} is upside down
    a + b -> a : {the term b} is missing
    a + b -> b : {the term a} is missing
    a + b -> a - b : the sign of {the term b} is flipped
    a - b -> a : {the term b} is missing
    a - b -> b : {b} stands where {a} minus it belongs
    a - b -> a + b : the sign of {the term b} is flipped
    a - b -> b - a : {a} minus {b} is taken the wrong way round
    a ** 2 -> a : the square of {a} is missing
    -a -> a : the minus before {a} is missing
    np.where(a, b, c) -> np.where(a, c, b) : the two cases have changed places
    a[1:-1] -> a[:-2] : {a} is taken one place too early
    f(a) -> a : {f} of {a} is missing
    f(a) -> a : {f} is missing
    f(ddof=1) -> f() : ddof=1 is missing
    f(axis=b, ddof=1) -> f(axis=b) : ddof=1 is missing
    a.f(axis=b) -> a.ravel() : {f} along one axis is missing, so each entry counts by itself
    f(axis=1) -> f(axis=0) : {f} is taken along the wrong axis
    f(a, axis=1) -> f(a, axis=0) : {f} is taken along the wrong axis
    np.sqrt(a) -> np.sqrt(a - 1) : {a} − 1 stands where {a} belongs
    a * b -> a / b : it divides by {b} where it should multiply
    a * b -> b / a : it divides by {a} where it should multiply
    a - b -> -b : {the term a} is missing
    a - b ** c -> (a - b) ** c : the power is of {a} minus {b}, where {b} alone has it
    np.diff(a) -> a[1:] : the later values of {a} stand where the differences belong
    np.where(a, b, c) -> c + 0 * b : {c} stands in both cases
    np.minimum(a, b) -> a : the minimum with {b} is missing
    stdtrit(a, b) -> 1.96 : 1.96 stands where a quantile of Student's t belongs
    stdtrit(a, b) -> 2 : 2 stands where a quantile of Student's t belongs
    a[-1] -> a[0] : the first of {a} stands where its last belongs
    a[-1] -> np.sum(a) : the sum of {a} stands where its last value belongs
"""
ELEMENTWISE = {  # what may stand in the place of a part a
    "−{}": "-a",
    "{}²": "a ** 2",
    "√{}": "np.sqrt(a)",
    "1/{}": "1 / a",
    "1 − {}": "1 - a",
    "1 + {}": "1 + a",
    "{} − 1": "a - 1",
    "2·{}": "2 * a",
    "½·{}": "a / 2",
    "1": "a ** 0",
    "log {}": "np.log(a)",
    "e^{}": "np.exp(a)",
    "|{}|": "np.abs(a)",
}
GATHERED = {  # and where it is an array
    "{} in reversed order": "a[::-1]",
    "{} over its sum": "a / np.sum(a)",
    "the sum of {}": "np.sum(a)",
    "the mean of {}": "np.mean(a)",
    "the largest of {}": "np.max(a)",
}
WORDS = [  # functions in words; one is taken for another of its group
    {"sum": "the sum", "mean": "the mean", "max": "the largest", "median": "the median"},
    {"cumsum": "the running sum", "cumprod": "the running product", "prod": "the product"},
    {"exp": "the exponential", "expm1": "exp minus 1"},
    {"log": "the logarithm", "log2": "the log to base 2", "log10": "the log to base 10"},
    {"minimum": "the smaller", "maximum": "the larger"},
    {"argmin": "the place of the smallest", "argmax": "the place of the largest"},
    {"ceil": "rounding up", "floor": "rounding down", "round": "rounding to the nearest"},
    {"std": "the standard deviation", "var": "the variance"},
    {"any": "“any”", "all": "“all”"},
    {"alpha": "α", "sigma": "σ"},
]
NAMED = {"sqrt": "the square root", "diff": "the differences", "abs": "the absolute value"}
NAMED |= {name: words for group in WORDS for name, words in group.items()}


class Source:
    """A reference as a tree, which is edited in one place at a time, and compiled."""

    def __init__(self, reference):
        self.reference, self.tree, self.body, self.why = reference, ast.Module([], []), [], {}
        self.names = self.arguments = list(inspect.signature(reference).parameters)
        self.called = set()  # the names that are functions
        self.steps, self.reasons = {}, {}  # what the steps to the result are made of, and why
        with contextlib.suppress(OSError, TypeError, SyntaxError):
            source = textwrap.dedent(inspect.getsource(reference))
            tree = ast.parse(source)
            if isinstance(tree.body[0], ast.FunctionDef):
                self.tree, self.body = tree, tree.body[0].body
                stored = [n.id for n in ast.walk(tree) if _is_name(n, ast.Store)]
                self.names = list(dict.fromkeys([*self.arguments, *stored]))
                self.called = {_text(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
                tokens = tokenize.generate_tokens(io.StringIO(source).readline)
                comments = (t for t in tokens if t.type == tokenize.COMMENT)
                self.why = {t.start[0]: t.string.lstrip("# ") for t in comments}
                for line in self.body:
                    if isinstance(line, ast.Assign) and stored.count(_text(line.targets[0])) == 1:
                        self.steps[_text(line.targets[0])] = self._by_arguments(line.value)
                        self.reasons[_text(line.targets[0])] = self._comment(line)

    def _by_arguments(self, node):
        """A part of the formulas in which no step is named: each is replaced by what it is."""
        return _new(ast.unparse(node), **self.steps)

    def slips(self, most: float = np.inf) -> list[tuple[str, Callable]]:
        """Return (the slip in words, the function that has it) of ranks below `most`, in order."""
        found, everywhere = [], {}
        for line, statement in enumerate(reversed(self.body)):
            for node, place, depth in _below(statement, 5 * line):  # deeper in earlier lines
                for rank, words, new in self._edits(node):
                    new = ast.fix_missing_locations(ast.copy_location(copy.copy(new), node))
                    edits = [(*place, new)]
                    found.append((rank + 0.01 * depth, words, self._comment(node), edits))
                    everywhere.setdefault(words, []).append(found[-1])
        for words, alike in everywhere.items():
            if len(alike) > 1:
                edits = [edit for *_, edits in alike for edit in edits]
                why = alike[0][2] if len({why for _, _, why, _ in alike}) == 1 else ""
                found.append((alike[0][0] + 0.3, f"{words}, each time", why, edits))
        return [
            (f"{words}: {why}" if why else words, self._slip(edits))
            for rank, words, why, edits in sorted(found, key=lambda slip: slip[0])
            if rank < most
        ]

    def _slip(self, edits):
        function = functools.cache(lambda: self.compiled(edits))  # where it is needed, and once
        return lambda *arguments: function()(*arguments)

    def _comment(self, node):
        """The comment on the line of a node."""
        return self.why.get(node.lineno, "") or self.why.get(node.end_lineno, "")

    def reason(self, part):
        """The comment on the line that makes a part of the result."""
        returns = [n.value for n in self.body if isinstance(n, ast.Return)]
        if not returns:
            return ""
        value = returns[-1].elts[part] if isinstance(returns[-1], ast.Tuple) else returns[-1]
        return self.reasons.get(_text(value)) or self._comment(value)

    def _edits(self, node):
        """Yield (rank, words, new node) for one place."""
        for pattern, new, words in _rules():
            found = {}
            if _matches(pattern, node, found):
                yield 0, _filled(words, found), _new(new, **found)
        if isinstance(node, ast.Call):
            yield from _other_functions(node)
        if isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value:
            value = node.value
            likely = [2 * value, value / 2, 1 / value, -value, 0]
            for other in likely + [0.95, 0.995] * (0.9 < value < 1):
                words = f"{number(other)} stands where {number(value)} belongs"
                yield 1, words, ast.Constant(other)
        name = node.id if _is_name(node, ast.Load) else ""
        if not (name or isinstance(node, ast.BinOp | ast.Call | ast.Subscript)):
            return
        inside = {n.id for n in ast.walk(node) if _is_name(n, ast.Load)}
        for other in self.names:
            if other not in {name, *self.called} and (name in self.names or other in inside):
                words = f"{_shown(other)} stands where {_thing(node)} belongs"
                yield 1.5, words, ast.Name(other, ast.Load())
        for words, new in (ELEMENTWISE | GATHERED).items():
            words = f"{words.format(_within(node))} stands where {_thing(node)} belongs"
            yield 1.9 if new == "-a" else 2, words, _new(new, a=node)  # a sign is the likelier slip

    def compiled(self, edits):
        """The function with other nodes in some places; the tree stays as it was."""
        before = [(holder, key, holder[key]) for holder, key, _ in edits]
        for holder, key, new in edits:
            holder[key] = new
        try:
            return _defined(compile(self.tree, "<slip>", "exec"), self.reference)
        finally:
            for holder, key, old in before:
                holder[key] = old

    def parts(self, trials):
        """Return what each trial is made of: {words: value} of arguments and parts of formulas.

        The words are formulas of the arguments, for a reader has not seen the names that the
        reference gives its steps.
        """
        formulas, unknown = {}, {*self.names} - {*self.arguments}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.BinOp | ast.Call | ast.Subscript):
                told = self._by_arguments(node)
                if not unknown & {n.id for n in ast.walk(told) if isinstance(n, ast.Name)}:
                    formulas.setdefault(_text(told), ast.unparse(node))
        returns = [n for n in self.body if isinstance(n, ast.Return)]
        scope = returns and self.compiled([(vars(n), "value", _new("locals()")) for n in returns])
        found = [dict(zip(self.arguments, trial, strict=True)) for trial in trials]
        for trial, parts in zip(trials, found, strict=True) if returns else ():
            names = {**self.reference.__globals__, **scope(*trial)}
            for words, formula in formulas.items():
                with contextlib.suppress(Exception):
                    parts[words] = evaluated(formula, names)
        return found


def _other_functions(node):
    """Another function in place of this one, of the same group."""
    called = ast.unparse(node.func)
    name = called.rpartition(".")[2]
    for group in (group for group in WORDS if name in group):
        for other in [other for other in group if other != name]:
            function = _new(called.removesuffix(name) + other)
            words = f"{group[other]} stands where {group[name]} belongs"
            yield 1, words, ast.Call(function, node.args, node.keywords)


# --- trees ------------------------------------------------------------------------------------


@functools.cache
def _rules():
    """All rules as (pattern, new, words)."""
    rules = re.findall(r"^ +(.*) -> (.*?) : (.*)$", RULES, re.MULTILINE)
    return [(ast.parse(before, mode="eval").body, *rest) for before, *rest in rules]


def _matches(pattern, node, found):
    """Whether a part has the form of a pattern; what stands for its letters goes to `found`."""
    letter = getattr(pattern, "id", pattern)
    if isinstance(letter, str) and len(letter) == 1 and isinstance(node, ast.expr | str):
        if isinstance(node, ast.Slice | ast.Tuple):
            return False
        return found.setdefault(letter, node) is node
    if type(pattern) is not type(node):
        return False
    if isinstance(pattern, list):
        return len(pattern) == len(node) and all(
            _matches(*pair, found) for pair in zip(pattern, node, strict=True)
        )
    if isinstance(pattern, ast.AST):
        fields = (f for f in pattern._fields if f not in ("ctx", "kind"))
        return all(_matches(getattr(pattern, f), getattr(node, f), found) for f in fields)
    return pattern == node


def _below(parent, depth):
    """Yield (node, its place: what holds it, and where there; depth) of each value below a node."""
    for field, value in ast.iter_fields(parent):
        if field in ("targets", "target", "args") and not isinstance(parent, ast.Call):
            continue  # what is assigned to, and the arguments of a function
        several = isinstance(value, list)
        for key, node in enumerate(value) if several else [(field, value)]:
            power = isinstance(getattr(parent, "op", None), ast.Pow) and field == "right"
            ruled = power or isinstance(parent, ast.keyword)  # has rules of its own
            if isinstance(node, ast.expr) and field not in ("func", "slice") and not ruled:
                yield node, (value if several else vars(parent), key), depth
            if isinstance(node, ast.AST):
                yield from _below(node, depth + 1)


def _is_name(node, context):
    return isinstance(node, ast.Name) and isinstance(node.ctx, context)


def _new(template, **parts):
    """A new expression in which names stand for nodes."""

    class Fill(ast.NodeTransformer):
        def visit_Name(self, node):
            return parts.get(node.id, node)

    return Fill().visit(ast.parse(template, mode="eval").body)


def edited(reference: Callable, edits: str) -> Callable:
    """Return the reference with parts of its text replaced: "old -> new; old -> new"."""
    head, body = textwrap.dedent(inspect.getsource(reference)).split("\n", maxsplit=1)
    for old, new in (edit.split(" -> ") for edit in edits.split("; ")):
        if old not in body:
            raise ValueError(f"{old!r} does not stand in {reference.__name__}")
        body = body.replace(old, new)
    return _defined(f"{head}\n{body}", reference)


def evaluated(formula, names):
    """The value of a formula of the course's own, as a rule or a reference has it."""
    return eval(formula, {**names, "np": np})  # noqa: S307 (never something read)


def _defined(code, reference):
    """The function that a reference's edited source defines."""
    names = {**reference.__globals__}
    exec(code, names)  # noqa: S102 (source of the course's own)
    return names[reference.__name__]


# --- words ------------------------------------------------------------------------------------


def _filled(words, found):
    """The words of a rule with the parts that it found."""
    return re.sub(r"{(.*?)(\w)}", lambda m: _thing(found[m[2]], m[1]), words)


def _within(node):
    """A part of the formula as it stands within another."""
    thing = _thing(node)
    single = isinstance(node, ast.Call | ast.Name | ast.Subscript) and _text(node) == thing
    return thing if single else f"({thing})"


def _thing(node, word=""):
    """A part of the formula: as it stands where it is short, else by the names in it."""
    if isinstance(node, str) or getattr(node, "attr", "") in NAMED or _text(node) in NAMED:
        name = getattr(node, "attr", node) if not isinstance(node, ast.Name) else node.id
        return NAMED.get(name, name)
    text = _text(node)
    if len(text) <= 24 or not _names(node):
        return f"{word}{text}"
    return f"{word or 'the part '}with {_names(node)}"


def _names(node):
    functions = {id(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)}
    found = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and id(n) not in functions]
    names = [_shown(name) for name in dict.fromkeys(found) if name != "np"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _text(node):
    text = ast.unparse(node).replace("np.", "").replace(" ** 2", "²").replace(" ** ", "^")
    return _shown(text.replace(" * ", "·").replace(" / ", "/"))


def number(value):
    """A number in four digits."""
    return _shown(f"{value:.4g}")


def _shown(text):
    return re.sub(r"(?<![\d.])0\.5(?!\d)", "½", text.replace("-", "−"))
