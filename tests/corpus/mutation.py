"""Mutants of a service's source: one small fault each, made from its syntax tree, by rule and nowhere else. Pure."""

from __future__ import annotations

import ast
import copy
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

__all__ = ["Mutant", "mutants_of"]

Lines = frozenset[tuple[str, int]]
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
}
_AMOUNT = re.compile(r"(^|_)(cents|seats)$")
_LOGGERS = frozenset({"logger"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault.

    Attributes:
        path: of the module in its project.
        place: qualified name of the function or class that holds it, or "" at the module's level.
        rule: what was done.
        before: the source that was replaced.
        after: what stands there.
        ordinal: tells equal faults of one place apart, from 1.
        line: where it begins.
        within: first and last line of what must run for it to matter; None where that isn't known.
        in_log: whether it lies in what is logged, which a guard compares where it says `logs = true`.
        source: the whole module with the fault in it.
    """

    path: str
    place: str
    rule: str
    before: str
    after: str
    line: int
    within: tuple[int, int] | None
    in_log: bool
    source: str
    ordinal: int = 1

    def concerns(self, ran: Lines) -> bool:
        """Whether it can matter to a run, given the lines that this executed."""
        if self.within is None:
            return True
        first, last = self.within
        return any(name == self.path and first <= line <= last for name, line in ran)

    @property
    def name(self) -> str:
        """What it is called, whatever its line."""
        number = f" #{self.ordinal}" if self.ordinal > 1 else ""
        return f"{self.path} {self.place or 'module'}: {_one_line(self.before)} → {_one_line(self.after)}{number}"


def mutants_of(sources: Mapping[str, str], *, ran: Lines, started: Lines) -> list[Mutant]:
    """Every mutant in what the runs execute.

    That is: statements of which a line ran in a replay, defaults and decorators of functions that ran, constants of a
    module that such a function of it reads, and constants of classes.

    Args:
        sources: text by path.
        ran: lines that ran while runs were replayed.
        started: lines that ran at import.
    """
    found = []
    for path, text in sorted(sources.items()):
        own = {line for name, line in ran if name == path}
        imported = {line for name, line in started if name == path}
        found += list(_Finder(path, text, own, imported).mutants())
    counts: Counter[str] = Counter()
    numbered = []
    for mutant in found:
        counts[mutant.name] += 1
        numbered.append(replace(mutant, ordinal=counts[mutant.name]))
    return numbered


class _Finder:
    """The mutants of one module."""

    def __init__(self, path: str, text: str, ran: set[int], started: set[int]) -> None:
        self._path = path
        self._text = text
        self._ran = ran
        self._started = started
        self._within: tuple[int, int] | None = None
        self._starts = [0]
        for line in text.encode().splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def mutants(self) -> Iterator[Mutant]:
        """All of them, in the order of the source."""
        module = ast.parse(self._text)
        functions = [each for each in ast.walk(module) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
        running = [each for function in functions for each in _inside(function) if self._has_run(each)]
        read = {name.id for each in running for name in ast.walk(each) if isinstance(name, ast.Name)}
        for statement in module.body:
            constant = isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
            yield from self._statement(statement, place="", ran=constant and statement.targets[0].id in read)

    def _statement(self, statement: ast.stmt, *, place: str, ran: bool) -> Iterator[Mutant]:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from self._function(statement, place)
        elif isinstance(statement, ast.ClassDef):
            inner = f"{place}.{statement.name}".lstrip(".")
            for each in statement.body:
                is_field = isinstance(each, ast.Assign | ast.AnnAssign) and isinstance(each.value, ast.Constant)
                yield from self._statement(each, place=inner, ran=is_field and each.lineno in self._started)
        elif ran and not _is_docstring(statement):
            self._within = None
            yield from self._faults(statement, place)

    def _function(self, function: ast.FunctionDef | ast.AsyncFunctionDef, place: str) -> Iterator[Mutant]:
        inner = f"{place}.{function.name}".lstrip(".")
        if not any(self._has_run(each) for each in ast.walk(function) if isinstance(each, ast.stmt)):
            return
        self._within = None  # a request that a bound refuses doesn't reach the body
        annotated = [each.annotation for each in function.args.args if each.annotation is not None]
        for header in (*function.decorator_list, *function.args.defaults, *filter(None, function.args.kw_defaults)):
            yield from self._expression(header, inner, in_log=False)
        for annotation in annotated:  # FastAPI reads bounds there
            for call in (each for each in ast.walk(annotation) if isinstance(each, ast.Call)):
                yield from self._expression(call, inner, in_log=False)
        for each in _inside(function):
            if self._has_run(each):
                self._within = each.lineno, _header_end(each)
                yield from self._faults(each, inner)

    def _has_run(self, statement: ast.stmt) -> bool:
        last = _header_end(statement)
        return not _is_docstring(statement) and any(line in self._ran for line in range(statement.lineno, last + 1))

    def _faults(self, statement: ast.stmt, place: str) -> Iterator[Mutant]:
        in_log = _is_logging(statement)
        match statement:
            case ast.Expr(value=ast.Call() | ast.Await(value=ast.Call())):
                yield self._mutant("dropped call", statement, "pass", place, in_log=in_log)
            case ast.Raise():
                yield self._mutant("dropped raise", statement, "pass", place)
            case ast.Return(value=value) if value is not None and not _is_none(value):
                yield self._mutant("returned nothing", statement, "return None", place)
            case ast.AugAssign(op=ast.Add()):
                text = ast.unparse(statement).replace("+=", "-=", 1)
                yield self._mutant("operator", statement, text, place)
            case ast.If() | ast.While():
                if not isinstance(statement.test, ast.Compare) and not _is_not(statement.test):
                    yield self._mutant("condition", statement.test, f"not ({self._source(statement.test)})", place)
            case _:
                pass
        for expression in _expressions(statement):
            yield from self._expression(expression, place, in_log=in_log)

    def _expression(self, root: ast.expr, place: str, *, in_log: bool) -> Iterator[Mutant]:
        for node in _walk(root):
            for rule, after in _changes(node):
                yield self._mutant(rule, node, after, place, in_log=in_log)

    def _mutant(self, rule: str, node: ast.expr | ast.stmt, after: str, place: str, *, in_log: bool = False) -> Mutant:
        start, end = self._span(node)
        data = self._text.encode()
        source = data[:start] + after.encode() + data[end:]
        before = data[start:end].decode()
        return Mutant(self._path, place, rule, before, after, node.lineno, self._within, in_log, source.decode())

    def _source(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._text.encode()[start:end].decode()

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[node.end_lineno - 1] + node.end_col_offset


def _changes(node: ast.expr) -> Iterator[tuple[str, str]]:
    """What to put in place of an expression, and by which rule."""
    match node:
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                for other in _COMPARISONS.get(type(operator), ()):
                    yield "comparison", _changed(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]])
        case ast.BoolOp():
            yield "operator", f"({_changed(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())})"
        case ast.UnaryOp(op=ast.Not()):
            yield "operator", f"({ast.unparse(node.operand)})"
        case ast.BinOp() if type(node.op) in _OPERATORS:
            yield "operator", f"({_changed(node, op=_OPERATORS[type(node.op)]())})"
        case ast.IfExp() if not isinstance(node.test, ast.Compare):
            yield "condition", f"({_changed(node, test=ast.UnaryOp(ast.Not(), node.test))})"
        case ast.Await():
            yield "removed await", ast.unparse(node.value)
        case ast.JoinedStr() | ast.Constant():
            yield from _constants(node)
        case ast.Call():
            yield from _calls(node)
        case ast.Dict():
            for index, value in enumerate(node.values):
                if _is_amount(value):
                    values = [*node.values[:index], _one_more(value), *node.values[index + 1 :]]
                    yield "wrong amount", _changed(node, values=values)
        case _:
            pass


def _calls(node: ast.Call) -> Iterator[tuple[str, str]]:
    arguments, keywords = node.args, node.keywords
    if len(arguments) > 1 and not any(isinstance(each, ast.Starred) for each in arguments[:2]):
        first, second = arguments[:2]
        if ast.dump(first) != ast.dump(second):
            yield "swapped arguments", _changed(node, args=[second, first, *arguments[2:]])
    if len(keywords) > 1 and keywords[0].arg and keywords[1].arg:
        first, second = keywords[0].value, keywords[1].value
        if ast.dump(first) != ast.dump(second):
            swapped = [ast.keyword(keywords[0].arg, second), ast.keyword(keywords[1].arg, first), *keywords[2:]]
            yield "swapped arguments", _changed(node, keywords=swapped)
    for index, value in enumerate(arguments):
        if _is_amount(value):
            yield "wrong amount", _changed(node, args=[*arguments[:index], _one_more(value), *arguments[index + 1 :]])
    for index, keyword in enumerate(keywords):
        if _is_amount(keyword.value):
            more = ast.keyword(keyword.arg, _one_more(keyword.value))
            yield "wrong amount", _changed(node, keywords=[*keywords[:index], more, *keywords[index + 1 :]])


def _constants(node: ast.Constant | ast.JoinedStr) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.JoinedStr):
        for index, value in enumerate(node.values):
            if isinstance(value, ast.Constant):
                values = [*node.values[:index], ast.Constant(f"{value.value}X"), *node.values[index + 1 :]]
                yield "constant", _changed(node, values=values)
        return
    match node.value:
        case bool() as value:
            yield "constant", str(not value)
        case int() | float() as value:
            yield "constant", repr(value + 1)
        case str() as value:
            yield "constant", repr(f"{value}X")
        case bytes() as value:
            yield "constant", repr(value + b"X")
        case _:
            pass


def _changed(node: ast.expr, **fields: object) -> str:
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return ast.unparse(ast.fix_missing_locations(other))


def _is_amount(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return _AMOUNT.search(name) is not None
        case ast.Subscript(slice=ast.Constant(value=str() as name)):
            return _AMOUNT.search(name) is not None
        case _:
            return False


def _one_more(node: ast.expr) -> ast.expr:
    return ast.BinOp(node, ast.Add(), ast.Constant(1))


def _walk(root: ast.expr) -> Iterator[ast.expr]:
    """Expressions in and below one; not into f-strings, whose parts have no place of their own before Python 3.12."""
    yield root
    if isinstance(root, ast.JoinedStr):
        return
    for child in ast.iter_child_nodes(root):
        if isinstance(child, ast.expr):
            yield from _walk(child)
        elif isinstance(child, ast.keyword | ast.comprehension):
            for each in ast.iter_child_nodes(child):
                if isinstance(each, ast.expr):
                    yield from _walk(each)


def _inside(function: ast.AST) -> Iterator[ast.stmt]:
    """Statements of a function, however deep; of functions within it likewise."""
    for child in ast.iter_child_nodes(function):
        if isinstance(child, ast.stmt):
            yield child
        yield from _inside(child)


def _expressions(statement: ast.stmt) -> Iterable[ast.expr]:
    """A statement's own expressions: of a compound one its head, and no annotation."""
    match statement:
        case ast.AnnAssign():
            return [] if statement.value is None else [statement.value]
        case ast.With() | ast.AsyncWith():
            return [item.context_expr for item in statement.items]
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return []
        case ast.Assign():
            return [statement.value]
        case _:
            return [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.expr)]


def _header_end(statement: ast.stmt) -> int:
    body = getattr(statement, "body", None)
    if body:
        return max(statement.lineno, body[0].lineno - 1)
    return statement.end_lineno or statement.lineno


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_logging(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
            return name in _LOGGERS
        case _:
            return False


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_not(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _one_line(text: str) -> str:
    return " ".join(text.split())
