"""Slips derived from a reference: its source with one edit, and that edit in words.

A comment at the end of a line of the reference says why the line is as it is. It follows the words
of each edit on that line, so a derived sentence says what went wrong, and why.
"""

import ast
import copy
import inspect
import io
import itertools
import textwrap
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

WORDS = {  # functions in words; one is taken for another of its group
    "a sum": {"sum": "the sum", "mean": "the mean", "max": "the largest", "min": "the smallest",
              "prod": "the product", "median": "the median"},
    "a running one": {"cumsum": "the running sum", "cumprod": "the running product",
                      "prod": "the product of all", "sum": "the sum of all"},
    "a power": {"exp": "the exponential", "exp2": "a power of 2", "expm1": "exp minus 1",
                "log": "the logarithm"},
    "a logarithm": {"log": "the logarithm", "log2": "the logarithm to base 2",
                    "log10": "the logarithm to base 10", "log1p": "the logarithm of 1 plus"},
    "of two": {"minimum": "the smaller", "maximum": "the larger"},
    "a place": {"argmin": "the place of the smallest", "argmax": "the place of the largest"},
    "an angle": {"sin": "the sine", "cos": "the cosine", "tan": "the tangent"},
    "hyperbolic": {"sinh": "sinh", "cosh": "cosh", "tanh": "tanh"},
    "rounded": {"ceil": "rounding up", "floor": "rounding down", "round": "rounding to nearest"},
    "a spread": {"std": "the standard deviation", "var": "the variance"},
    "an amplitude": {"alpha": "α", "sigma": "σ"},
    "a quantifier": {"any": "“any”", "all": "“all”"},
    "a sigmoid": {"expit": "the sigmoid", "logit": "the logit"},
    "alone": {"sqrt": "the square root", "diff": "the differences", "abs": "the absolute value",
              "sort": "the sorting", "reshape": "the reshaping"},
}  # fmt: skip
NAMED = {name: words for group in WORDS.values() for name, words in group.items()}
WRAPS = {  # what stands in the place of a part of the formula
    "its square": "_ ** 2",
    "its square root": "np.sqrt(_)",
    "1 over it": "1 / _",
    "minus it": "-(_)",
    "1 minus it": "1 - _",
    "twice it": "2 * _",
    "half of it": "_ / 2",
    "its exponential": "np.exp(_)",
    "its logarithm": "np.log(_)",
    "its absolute value": "np.abs(_)",
    "its mean": "np.mean(_)",
    "its sum": "np.sum(_)",
    "it plus 1": "_ + 1",
    "it minus 1": "_ - 1",
    "it in reversed order": "_[::-1]",
}
ALONE = {  # what an answer may be that has only begun, of one part or of two
    "the sum of {}": "np.sum(a)",
    "the mean of {}": "np.mean(a)",
    "the largest of {}": "np.max(a)",
    "the number of {}": "len(a)",
    "{} over {}": "a / b",
    "{} times {}": "a * b",
    "{} plus {}": "a + b",
    "{} minus {}": "a - b",
}
EXTRA = {  # what a result may have too much
    "a factor {} is too much": "a * b",
    "a division by {} is too much": "a / b",
    "a term {} is too much": "a + b",
    "{} is subtracted, which is too much": "a - b",
}
FLIPPED = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
TURNED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}


@dataclass
class Slip:
    """One edit or two: how far-fetched they are, in words, and the function that has them."""

    rank: float
    words: str
    why: str
    source: "_Source"
    edits: list  # of (parent, field, place in a list or None, new node)

    def function(self) -> Callable:
        return self.source.compiled(self.edits)

    def sentence(self) -> str:
        return f"{self.words}: {self.why}" if self.why else self.words


def slips(reference: Callable) -> Iterator[Slip]:
    """Yield the slips of a reference, the simplest first; none where it has no source.

    Two simple ones at once come last.
    """
    try:
        source = textwrap.dedent(inspect.getsource(reference))
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError):
        return
    if not isinstance(tree.body[0], ast.FunctionDef):
        return
    single = sorted(_Source(tree, reference, source).slips(), key=lambda slip: slip.rank)
    yield from single
    for a, b in itertools.combinations([slip for slip in single if slip.rank < 1], 2):
        words = f"two things at once. {a.sentence()}. And {b.sentence()}"
        if a.why == b.why:
            words = f"two things at once. {a.words}. And {b.words}"
        yield Slip(4, words, a.why if a.why == b.why else "", a.source, [*a.edits, *b.edits])


class _Source:
    """A reference as a tree, which is edited in one place at a time, and compiled."""

    def __init__(self, tree, reference, source):
        self.tree, self.reference = tree, reference
        self.body = tree.body[0].body
        self.arguments = [a.arg for a in tree.body[0].args.args]
        stored = (n.id for n in ast.walk(tree) if _is_name(n, ast.Store))
        self.names = list(dict.fromkeys([*self.arguments, *stored]))
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        comments = (t for t in tokens if t.type == tokenize.COMMENT)
        self.why = {t.start[0]: t.string.lstrip("# ") for t in comments}

    def slips(self):
        for words, line in self._at_the_start():
            body = [ast.parse(line).body[0], *self.body]
            yield Slip(2.2, words, "", self, [(self.tree.body[0], "body", None, body)])
        results = [node.value for node in self.body if isinstance(node, ast.Return)]
        if isinstance(results[-1], ast.Tuple):
            results = results[-1].elts
        everywhere = {}
        for parent, field, place, node, depth in self._places():
            edits = [*_edits(node), *self._renamed(node)]
            edits += self._unfinished(node) if node in results else _wrapped(node, self.names)
            why = self._why(node)
            for rank, words, new in edits:
                new = ast.fix_missing_locations(ast.copy_location(copy.copy(new), node))
                slip = Slip(rank + 0.01 * depth, words, why, self, [(parent, field, place, new)])
                yield slip
                if rank < 2:
                    everywhere.setdefault(words, []).append(slip)
        for words, same in everywhere.items():
            if len(same) > 1:
                edits = [edit for slip in same for edit in slip.edits]
                yield Slip(same[0].rank + 0.3, f"{words}, each time", same[0].why, self, edits)

    def _why(self, node):
        """The comment on the line of a node."""
        return self.why.get(node.lineno, "") or self.why.get(node.end_lineno, "")

    def _places(self):
        """Yield (parent, field, place in a list or None, node, depth), deeper in earlier lines."""
        for line, statement in enumerate(reversed(self.body)):
            for *place, depth in _below(statement, 5 * line):
                yield *place, depth

    def _at_the_start(self):
        """Slips that last: an argument is taken for something else from the first line on."""
        for a, b in itertools.combinations(self.arguments, 2):
            yield f"{a} and {b} have changed places", f"{a}, {b} = {b}, {a}"
        for a in self.arguments:
            for its, template in WRAPS.items():
                if "sum" not in its and "mean" not in its:
                    line = f"{a} = {template.replace('_', a)}"
                    yield f"in place of {a} stands {its}", line

    def _renamed(self, node):
        if _is_name(node, ast.Load) and node.id in self.names:
            for name in self.names:
                if name != node.id:
                    words = f"{_shown(name)} stands where {_shown(node.id)} belongs"
                    yield 1.5, words, ast.Name(name, ast.Load())

    def _unfinished(self, node):
        """A result that is only a part of itself, or something simple made of the arguments."""
        shares = {
            "it as shares of its sum": "_ / np.sum(_)",
            "it as shares of its largest": "_ / np.max(_)",
        }
        for its, template in {**WRAPS, **shares}.items():
            yield 1, f"in place of the result stands {its}", _new(template, _=node)
        for name in self.names:
            part = ast.Name(name, ast.Load())
            yield -1, f"your result is {_thing(part)}", part
            for words, template in EXTRA.items():
                yield 2.5, words.format(_thing(part)), _new(template, a=node, b=part)
        for part in ast.walk(self.tree):
            if isinstance(part, ast.BinOp | ast.Call) and part is not node:
                yield 1.2, f"your result is {_thing(part)}", part
        for words, template in ALONE.items():
            for parts in itertools.permutations(self.arguments, words.count("{}")):
                named = {
                    k: ast.Name(name, ast.Load()) for k, name in zip("ab", parts, strict=False)
                }
                yield (
                    3.5,
                    f"your result is {words.format(*parts)}",
                    _new(template, **named),
                )

    def compiled(self, edits):
        """The function with the new nodes in their places; the tree stays as it was."""
        undo = []
        for parent, field, place, new in edits:
            holder = vars(parent) if place is None else getattr(parent, field)
            key = field if place is None else place
            undo.append((holder, key, holder[key]))
            holder[key] = new
        try:
            code = compile(self.tree, "<slip>", "exec")
        finally:
            for holder, key, old in reversed(undo):
                holder[key] = old
        return _defined(code, self.reference)


def _edits(node):
    """Yield (rank, words, new node) of the edits that belong to a kind of expression."""
    match node:
        case ast.BinOp(left, ast.Mult(), right):
            if isinstance(left, ast.UnaryOp):
                words = f"{_thing(left.operand, 'the factor')} is missing"
                yield 0, words, _new("-b", b=right)
            for one, other in ((left, right), (right, left)):
                yield 0, f"{_thing(one, 'the factor')} is missing", other
                words = f"it divides by {_thing(one)} where it should multiply"
                yield 0.5, words, _new("a / b", a=other, b=one)
        case ast.BinOp(left, ast.Div(), right):
            yield 0, f"the division by {_thing(right)} is missing", left
            yield 0, f"{_thing(left, 'the factor')} is missing", _new("1 / b", b=right)
            words = f"it multiplies by {_thing(right)} where it should divide"
            yield 0, words, _new("a * b", a=left, b=right)
            words = f"{_thing(left)} over {_thing(right)} is upside down"
            yield 0, words, _new("b / a", a=left, b=right)
            for sign, words in (("-", "is subtracted"), ("+", "is added")):
                words = f"{_thing(right)} {words} where it should divide"
                yield 1, words, _new(f"a {sign} b", a=left, b=right)
        case ast.BinOp(left, ast.Add(), right):
            for one, other in ((left, right), (right, left)):
                yield 0, f"{_thing(one, 'the term')} is missing", other
                words = f"the sign of {_thing(one, 'the term')} is flipped"
                yield 0, words, _new("a - b", a=other, b=one)
            words = f"{_thing(left)} and {_thing(right)} are multiplied where they should be added"
            yield 1, words, _new("a * b", a=left, b=right)
            yield from _squared(node)
        case ast.BinOp(left, ast.Sub(), right):
            yield 0, f"{_thing(right, 'the term')} is missing", left
            yield 0.5, f"{_thing(left, 'the term')} is missing", _new("-b", b=right)
            words = f"{_thing(right)} stands where {_thing(left)} minus it belongs"
            yield 0, words, right
            words = f"the sign of {_thing(right, 'the term')} is flipped"
            yield 0, words, _new("a + b", a=left, b=right)
            words = f"{_thing(left)} minus {_thing(right)} is taken the wrong way round"
            yield 0, words, _new("b - a", a=left, b=right)
            words = f"it divides by {_thing(right)} where it should subtract"
            yield 1, words, _new("a / b", a=left, b=right)
            yield from _squared(node)
        case ast.BinOp(left, ast.Pow(), ast.Constant(value)) if value != 2:
            yield 0, f"the power of {_thing(left)} is missing", left
        case ast.BinOp(left, ast.Pow(), ast.Constant(2)):
            yield 0, f"the square of {_thing(left)} is missing", left
            if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add | ast.Sub):
                squares = _new("a ** 2 + b ** 2", a=left.left, b=left.right)
                squares.op = left.op
                words = f"{_thing(left.left)} and {_thing(left.right)} are squared one by one"
                yield 0, f"{words}, where the whole should be", squares
        case ast.BinOp(left, ast.BitAnd() | ast.BitOr(), right):
            yield 0, f"the condition on {_names(right)} is missing", left
            yield 0, f"the condition on {_names(left)} is missing", right
        case ast.UnaryOp(ast.USub(), operand):
            yield 0, f"the minus before {_thing(operand)} is missing", operand
        case ast.UnaryOp(ast.Invert() | ast.Not(), operand):
            yield 0, "a “not” is missing", operand
        case ast.IfExp(test, first, second):
            yield 0, "the two cases have changed places", ast.IfExp(test, second, first)
            yield 0, "one of the two cases is missing", first
            yield 0, "one of the two cases is missing", second
        case ast.Compare(left, [op], [right]):
            words = f"the comparison of {_thing(left)} with {_thing(right)}"
            for change, how in ((FLIPPED, "is wrong for equals"), (TURNED, "is reversed")):
                if type(op) in change:
                    new = ast.Compare(left, [change[type(op)]()], [right])
                    yield 0, f"{words} {how}", new
        case ast.Constant(value) if type(value) in (int, float):
            others = [2 * value, value / 2, -value, 0 * value]
            others += [0.95, 0.99, 0.9, 0.995] if 0.9 < value < 1 else []
            others += [value + 1, value - 1] if type(value) is int else []
            for k, other in enumerate(others):
                if other != value:
                    words = f"{_number(other)} stands where {_number(value)} belongs"
                    yield 1 + k / 10, words, ast.Constant(other)
        case ast.Subscript(value, where):
            yield from _shifted(_thing(value), value, where)
        case ast.Call():
            yield from _called(node)


def _squared(node):
    """The square of a sum where one of its terms should be squared."""
    if isinstance(node.right, ast.BinOp) and isinstance(node.right.op, ast.Pow):
        whole = ast.BinOp(node.left, node.op, node.right.left)
        words = f"{_thing(whole)} is squared as a whole, where {_thing(node.right.left)} should be"
        yield 0.5, words, _new("_ ** 2", _=whole)


def _shifted(name, value, where):
    """The edits of an index or a slice."""
    text = ast.unparse(where)
    early, late = f"{name} is taken one place too early", f"{name} is taken one place too late"
    others = {
        "1:": {":-1": early, ":": f"the first of {name} should be left out"},
        ":-1": {"1:": late, ":": f"the last of {name} should be left out"},
        "1:-1": {":-2": early, "2:": late},
        "-1": {"0": f"the first of {name} stands where the last belongs"},
        "0": {"-1": f"the last of {name} stands where the first belongs"},
        "::-1": {":": f"{name} is not turned round"},
    }
    if isinstance(where, ast.Name):
        others[text] = {"0": f"the first of {name} stands where number {text} belongs"}
    for other, words in others.get(text, {}).items():
        yield 0, words, _new(f"a[{other}]", a=value)


def _called(node):
    """The edits of a call: another function, none, an argument left out, a keyword left out."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
    owner = getattr(node.func, "value", None)
    method = isinstance(node.func, ast.Attribute) and not _text(owner).startswith("np")
    given = [owner, *node.args] if method else node.args
    for group in WORDS.values():
        for other in group if name in group else ():
            if other != name:
                function = (
                    ast.Attribute(owner, other, ast.Load())
                    if isinstance(node.func, ast.Attribute)
                    else ast.Name(other, ast.Load())
                )
                if method and other == "median":
                    function = _new("np.median")
                    new = ast.Call(function, given, node.keywords)
                else:
                    new = ast.Call(function, node.args, node.keywords)
                yield 1, f"{group[other]} stands where {group[name]} belongs", new
    words = NAMED.get(name, name)
    if len(given) == 1 or method:
        yield 0.5, f"{words} of {_thing(given[0])} is missing", given[0]
    if name == "ppf":
        for quantile in (1.96, 2.0, 1.645):
            text = f"{quantile} stands where a quantile of Student's t belongs"
            yield 0.5, text, ast.Constant(quantile)
    if name == "exp":
        for template in ("1 + a", "1 + a + a ** 2 / 2"):
            text = f"only the first terms of {_thing(node)} are there"
            yield 1, text, _new(template, a=given[0])
    if method and any(keyword.arg == "axis" for keyword in node.keywords):
        text = f"{words} along one axis is missing, so each entry counts by itself"
        yield 0.5, text, _new("a.ravel()", a=owner)
    if name == "diff":
        ends = {"later": "a[1:]", "earlier": "a[:-1]"}
        for end, template in ends.items():
            text = f"the {end} values of {_thing(given[0])} stand where the differences belong"
            yield 0.5, text, _new(template, a=given[0])
        yield (
            0.5,
            f"the sign of the differences of {_thing(given[0])} is flipped",
            _new("-a", a=node),
        )
    if name in ("minimum", "maximum", "hypot"):
        for one, other in (given, given[::-1]):
            yield 0.5, f"{_thing(one)} is left out of {words}", other
    if name == "where" and len(given) == 3:
        test, first, second = given
        yield 0, "the two cases have changed places", ast.Call(node.func, [test, second, first], [])
        yield 0.5, f"{_thing(first)} stands in both cases", _new("a + 0 * b", a=first, b=second)
        yield 0.5, f"{_thing(second)} stands in both cases", _new("b + 0 * a", a=first, b=second)
    for keyword in node.keywords:
        rest = [k for k in node.keywords if k is not keyword]
        text = f"{keyword.arg}={ast.unparse(keyword.value)}"
        yield 0, f"{text} is missing", ast.Call(node.func, node.args, rest)
        if keyword.arg == "axis":
            other = ast.keyword("axis", ast.Constant(0 if ast.unparse(keyword.value) != "0" else 1))
            new = ast.Call(node.func, node.args, [*rest, other])
            yield 0, f"{words} is taken along the wrong axis", new


def _wrapped(node, names):
    """A part of the formula is changed before it is used."""
    if isinstance(node, ast.BinOp | ast.Call | ast.Subscript) or getattr(node, "id", "") in names:
        for its, template in WRAPS.items():
            yield 2, f"in place of {_thing(node)} stands {its}", _new(template, _=node)


# --- trees ------------------------------------------------------------------------------------


def _below(parent, depth):
    """Yield (parent, field, place in a list or None, node, depth) for each value below a node."""
    for field, value in ast.iter_fields(parent):
        if field in ("targets", "target", "args") and not isinstance(parent, ast.Call):
            continue  # what is assigned to, and the arguments of a function
        for place, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(node, ast.expr) and field not in ("func", "slice"):
                yield parent, field, place, node, depth
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


def _defined(code, reference):
    """The function that a reference's edited source defines."""
    namespace = {**reference.__globals__, "np": np}
    exec(code, namespace)  # noqa: S102 (source of the course's own, never something read)
    return namespace[reference.__name__]


def _size(node):
    return sum(1 for _ in ast.walk(node))


# --- words ------------------------------------------------------------------------------------


def _thing(node, word=""):
    """A part of the formula: as it stands where it is short, else by the names in it."""
    text = _text(node)
    if len(text) <= 14 or not _names(node):
        return f"{word} {text}".strip()
    return f"{word or 'the part'} with {_names(node)}"


def _names(node):
    functions = {id(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)}
    found = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and id(n) not in functions]
    names = [_shown(name) for name in dict.fromkeys(found) if name != "np"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _text(node):
    text = ast.unparse(node).replace("np.", "").replace(" ** 2", "²").replace(" ** ", "^")
    return _shown(text.replace(" * ", "·").replace(" / ", "/"))


def _number(value):
    return _shown(f"{value:.6g}")


def _shown(text):
    return text.replace("-", "−").replace("0.5", "½")
