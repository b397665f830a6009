"""Small faults, made on purpose in a module's source: what `benchmarks.mutation` plants to see whether a test notices.

The operators are those that remove or weaken a check, and no others:

- an `if`, a conditional expression or a comprehension's filter that always holds, or never does;
- `<` for `<=` and the like, `==` for `!=`, `in` for `not in`, `is` for `is not`, one operand of `and` or `or` dropped, a
  `not` dropped;
- a `raise`, a call for its effect, an assignment to an attribute, an entry of a table, an exception of a handler, a case
  of a `match`, its guard or one of its alternatives dropped;
- an integer off by one, either way, in code, bounds of schemas and repetitions of regular expressions; `True` for
  `False`; `+` for `-`, `*` for `//`, `<<` for `>>`, `&` for `|`, and the other way round;
- a byte string, such as the separator of a domain, with its last byte changed;
- a named argument dropped, so that a default takes its place;
- a loop that never runs, `break` for `continue`, `+=` that only assigns.

Texts, positional arguments, annotations of arguments, and what stands in f-strings stay as they are (docs/adr/0009).
This module runs nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class Mutant(NamedTuple):
    """One fault.

    Attributes:
        operator: What was done, in a word or two.
        scope: The outermost function that holds it, as in `Class.method`; "" outside of functions.
        line: Where it begins, from 1.
        last: Last line of the statement that holds it.
        source: The whole module with the fault.
        before: The lines that were changed, as they were.
        after: The same lines with the fault.
    """

    operator: str
    scope: str
    line: int
    last: int
    source: bytes
    before: str
    after: str

    @property
    def diff(self) -> str:
        """Both, as a difference is shown."""
        return "\n".join(
            [
                *(f"- {line.strip()}" for line in self.before.splitlines()),
                *(f"+ {line.strip()}" for line in self.after.splitlines()),
            ]
        )


_SWAPPED: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
_OTHER_OPERATOR: dict[type[ast.operator], tuple[bytes, bytes]] = {
    ast.Add: (b"+", b"-"),
    ast.Sub: (b"-", b"+"),
    ast.Mult: (b"*", b"//"),
    ast.FloorDiv: (b"//", b"*"),
    ast.Mod: (b"%", b"//"),
    ast.LShift: (b"<<", b">>"),
    ast.RShift: (b">>", b"<<"),
    ast.BitAnd: (b"&", b"|"),
    ast.BitOr: (b"|", b"&"),
    ast.BitXor: (b"^", b"|"),
}
_Edit = tuple[str, int, int, bytes]  # operator, begin, end, what stands there instead


def mutants(source: bytes) -> Iterator[Mutant]:
    """Every fault of a module that still compiles.

    Args:
        source: The module, UTF-8.
    """
    seen = set()
    for statement, scope, operator, begin, end, text in _Finder(source).edits():
        changed = source[:begin] + text + source[end:]
        if changed in seen:
            continue
        seen.add(changed)
        try:
            compile(changed, "mutant", "exec")
        except (SyntaxError, ValueError):
            continue
        first = source.rfind(b"\n", 0, begin) + 1
        until = source.find(b"\n", end)
        until = len(source) if until < 0 else until
        before = source[first:until].decode()
        after = changed[first : until + len(changed) - len(source)].decode()
        line = source.count(b"\n", 0, begin) + 1
        yield Mutant(operator, scope, line, max(line, _last_line(statement)), changed, before, after)


class _Finder:
    """Walks a module and lists what can be changed where."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._by_kind: tuple[tuple[type[ast.expr], Callable[[Any], Iterator[_Edit]]], ...] = (
            (ast.Compare, self._comparison),
            (ast.BoolOp, self._operands),
            (ast.UnaryOp, self._negation),
            (ast.IfExp, lambda node: self._always(node.test, "condition")),
            (ast.BinOp, lambda node: self._operator(node.left, node.op, node.right)),
            (ast.Constant, self._constant),
            (ast.Dict, lambda node: self._entries(node, list(zip(node.keys, node.values, strict=True)))),
            (ast.Set, lambda node: self._entries(node, [(part, part) for part in node.elts])),
            (ast.Tuple, lambda node: self._entries(node, [(part, part) for part in node.elts])),
            (ast.List, lambda node: self._entries(node, [(part, part) for part in node.elts])),
            (ast.Call, self._pattern),
            (ast.Call, self._arguments),
        )

    def edits(self) -> Iterator[tuple[ast.stmt, str, str, int, int, bytes]]:
        tree = ast.parse(self._source)
        yield from self._block(tree.body, "", within=False)

    def _block(
        self, body: list[ast.stmt], scope: str, *, within: bool
    ) -> Iterator[tuple[ast.stmt, str, str, int, int, bytes]]:
        for statement in body:
            if isinstance(statement, ast.Import | ast.ImportFrom) or _is_text(statement):
                continue
            if isinstance(statement, ast.ClassDef):
                name = f"{scope}.{statement.name}" if scope else statement.name
                yield from self._block(statement.body, scope if within else name, within=within)
            elif isinstance(statement, ast.FunctionDef):
                if statement.name in ("__repr__", "__str__"):
                    continue
                name = scope if within else f"{scope}.{statement.name}" if scope else statement.name
                for default in (*statement.args.defaults, *statement.args.kw_defaults):
                    if default is not None:
                        for edit in self._expression(default):
                            yield statement.body[0], "", *edit
                yield from self._block(statement.body, name, within=True)
            else:
                for edit in self._statement(statement):
                    yield statement, scope if within else "", *edit
                for inner in _bodies(statement):
                    yield from self._block(inner, scope, within=within)

    # --- statements -------------------------------------------------------------------------------------

    def _statement(self, node: ast.stmt) -> Iterator[_Edit]:
        match node:
            case ast.If():
                yield from self._always(node.test, "condition")
            case ast.Raise():
                yield "raise dropped", *self._span(node), b"pass"
            case ast.Expr(value=ast.Call()):
                yield "call dropped", *self._span(node), b"pass"
            case ast.Assign(targets=[ast.Attribute()]):
                yield "assignment dropped", *self._span(node), b"pass"
            case ast.AugAssign():
                yield from self._operator(node.target, node.op, node.value, tail=b"=")
                between = self._span(node.target)[1], self._span(node.value)[0]
                yield "only assigned", *between, b" = "
            case ast.For() | ast.Break() | ast.Continue():
                yield self._loop(node)
            case ast.Match():
                for case in node.cases:
                    yield from self._case(case)
            case ast.Try():
                for handler in node.handlers:
                    yield from self._handler(handler)
        for inner in _expressions_of(node):
            yield from self._expression(inner)

    def _loop(self, node: ast.For | ast.Break | ast.Continue) -> _Edit:
        if isinstance(node, ast.For):
            return "loop never runs", *self._span(node.iter), b"()"
        return "loop left", *self._span(node), b"continue" if isinstance(node, ast.Break) else b"break"

    def _case(self, case: ast.match_case) -> Iterator[_Edit]:
        begin, end = self._span(case.pattern)
        if case.guard is None:
            yield "case dropped", begin, end, self._source[begin:end] + b" if False"
        else:
            yield from self._always(case.guard, "guard")
            yield from self._expression(case.guard)
        if isinstance(case.pattern, ast.MatchOr):
            parts = case.pattern.patterns
            for at in range(len(parts)):
                kept = [self._text(part) for number, part in enumerate(parts) if number != at]
                yield "alternative dropped", begin, end, b" | ".join(kept)
        for node in ast.walk(case.pattern):
            if isinstance(node, ast.MatchValue):
                yield from self._expression(node.value)

    def _handler(self, handler: ast.ExceptHandler) -> Iterator[_Edit]:
        if handler.type is None:
            return
        begin, end = self._span(handler.type)
        yield "handler dropped", begin, end, b"()"
        if isinstance(handler.type, ast.Tuple):
            for at in range(len(handler.type.elts)):
                kept = [self._text(part) for n, part in enumerate(handler.type.elts) if n != at]
                yield "exception dropped", begin, end, b"(" + b", ".join(kept) + b",)"

    # --- expressions ------------------------------------------------------------------------------------

    def _expression(self, node: ast.expr) -> Iterator[_Edit]:
        if isinstance(node, ast.JoinedStr | ast.Lambda):
            return
        for kind, edits in self._by_kind:
            if isinstance(node, kind):
                yield from edits(node)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                yield from self._expression(child)
            elif isinstance(child, ast.keyword):
                yield from self._expression(child.value)
            elif isinstance(child, ast.comprehension):
                yield from self._filters(child)

    def _filters(self, node: ast.comprehension) -> Iterator[_Edit]:
        for test in node.ifs:
            yield from self._always(test, "filter")
            yield from self._expression(test)
        yield from self._expression(node.iter)

    def _always(self, test: ast.expr, what: str) -> Iterator[_Edit]:
        begin, end = self._span(test)
        yield f"{what} never holds", begin, end, b"False"
        yield f"{what} always holds", begin, end, b"True"

    def _comparison(self, node: ast.Compare) -> Iterator[_Edit]:
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            begin, end = self._span(left)[1], self._span(right)[0]
            between = self._source[begin:end]
            swapped = _SWAPPED[type(op)].encode()
            yield (
                "comparison swapped",
                begin,
                end,
                re.sub(rb"[<>=!]+|is not|is|not in|in", swapped, between, count=1),
            )
            left = right

    def _operands(self, node: ast.BoolOp) -> Iterator[_Edit]:
        begin, end = self._span(node)
        word = b" and " if isinstance(node.op, ast.And) else b" or "
        for at in range(len(node.values)):
            kept = [b"(" + self._text(part) + b")" for n, part in enumerate(node.values) if n != at]
            yield "operand dropped", begin, end, b"(" + word.join(kept) + b")"

    def _operator(
        self, left: ast.expr, op: ast.operator, right: ast.expr, tail: bytes = b""
    ) -> Iterator[_Edit]:
        if type(op) not in _OTHER_OPERATOR:
            return
        begin, end = self._span(left)[1], self._span(right)[0]
        old, new = _OTHER_OPERATOR[type(op)]
        between = self._source[begin:end]
        yield "operator swapped", begin, end, between.replace(old + tail, new + tail, 1)

    def _negation(self, node: ast.UnaryOp) -> Iterator[_Edit]:
        if isinstance(node.op, ast.Not):
            yield "not dropped", *self._span(node), b"(" + self._text(node.operand) + b")"

    def _constant(self, node: ast.Constant) -> Iterator[_Edit]:
        begin, end = self._span(node)
        value = node.value
        if isinstance(value, bool):
            yield "truth swapped", begin, end, str(not value).encode()
        elif isinstance(value, int):
            yield "one more", begin, end, f"({value + 1})".encode()
            yield "one less", begin, end, f"({value - 1})".encode()
        elif isinstance(value, bytes) and value:
            yield "bytes changed", begin, end, repr(value[:-1] + bytes((value[-1] ^ 1,))).encode()

    def _entries(self, node: ast.expr, entries: list[tuple[ast.expr | None, ast.expr]]) -> Iterator[_Edit]:
        for at, (first, last) in enumerate(entries if len(entries) > 1 else ()):
            if first is None:
                continue
            begin, end = self._span(first)[0], self._span(last)[1]
            rest = self._source[end : self._span(node)[1]]
            comma = re.match(rb"\s*,", rest)
            if comma is None and at:  # the last of them, without a comma after it
                begin = self._span(entries[at - 1][1])[1]
            yield "entry dropped", begin, end + (comma.end() if comma else 0), b""

    def _arguments(self, node: ast.Call) -> Iterator[_Edit]:
        if isinstance(node.func, ast.Name) and node.func.id == "TypeVar":
            return  # what it is given is for the type checker
        for word in node.keywords:
            if word.arg is not None:
                begin, end = self._span(word)
                comma = re.match(rb"\s*,", self._source[end:])
                yield "argument dropped", begin, end + (comma.end() if comma else 0), b""

    def _pattern(self, node: ast.Call) -> Iterator[_Edit]:
        """The repetitions and the ends of a regular expression."""
        named = [word.value for word in node.keywords if word.arg == "pattern"]
        if isinstance(node.func, ast.Attribute) and node.func.attr == "compile":
            named += node.args[:1]
        for part in named:
            if not isinstance(part, ast.Constant):
                continue
            begin, end = self._span(part)
            text = self._source[begin:end]
            for found in re.finditer(rb"(?<=[{,])\d+(?=[,}])", text):
                for step in (1, -1):
                    number = str(int(found.group()) + step).encode()
                    yield (
                        "repetition changed",
                        begin,
                        end,
                        text[: found.start()] + number + text[found.end() :],
                    )
            for found in re.finditer(rb"\^|\\Z|\\\.|(?<=[\w.])-(?=\])", text):
                yield "pattern loosened", begin, end, text[: found.start()] + text[found.end() :]

    # --- places -----------------------------------------------------------------------------------------

    def _span(self, node: ast.expr | ast.stmt | ast.pattern | ast.keyword) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def _text(self, node: ast.expr | ast.pattern) -> bytes:
        begin, end = self._span(node)
        return self._source[begin:end]


def _last_line(node: ast.stmt) -> int:
    """The last line of a statement, or of its head where it holds others."""
    inner = [body[0].lineno - 1 for body in _bodies(node) if body]
    return min([node.end_lineno or node.lineno, *inner])


def _is_text(node: ast.stmt) -> bool:
    """A docstring, or the names that a module gives away."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id in ("__all__", "__slots__")
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _expressions_of(node: ast.stmt) -> Iterator[ast.expr]:
    """The expressions of a statement in which faults are planted; of an annotation, the calls: `Meta(ge=0)`."""
    match node:
        case ast.Raise() | ast.With() | ast.Delete() | ast.Pass():
            return
        case ast.AnnAssign():
            if isinstance(node.annotation, ast.Subscript):
                yield from (inner for inner in ast.walk(node.annotation) if isinstance(inner, ast.Call))
            if node.value is not None:
                yield node.value
        case ast.Assign() | ast.AugAssign() | ast.Expr() | ast.Return():
            if node.value is not None:
                yield node.value
        case ast.If() | ast.While() | ast.Assert():
            yield node.test
        case ast.For():
            yield node.iter
        case ast.Match():
            yield node.subject


def _bodies(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(node, name, [])
    for handler in getattr(node, "handlers", []):
        yield handler.body
    for case in getattr(node, "cases", []):
        yield case.body
