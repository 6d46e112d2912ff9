"""SQL statements as syntax trees: which are equal, which ask for a part of what another one read, what one lacks. Pure.

Asked only where no recorded statement has the same text, so that a replay of unchanged code parses nothing. sqlglot
does the parsing, and is imported on first use.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sqlglot import exp

__all__ = ["Pick", "called", "equal", "insert", "lacking", "picks", "returned", "rows_written", "spelt", "tables"]

Pick = tuple[int | str, str | None]
"""A column of another answer, by position or by name; and what it is called now, None where its name stays."""

_STATEMENT: Final = re.compile(r"[\s(]*(SELECT|WITH|VALUES|INSERT|UPDATE|DELETE|REPLACE|MERGE)\b", re.IGNORECASE)
_FORMAT: Final = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`)|%s|%\((\w+)\)s|%%""")
_TABLE: Final = re.compile(r"""\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:ONLY\s+)?((?:[\w$]+|"[^"]*"|`[^`]*`)(?:\.(?:[\w$]+|"[^"]*"|`[^`]*`))*)""", re.IGNORECASE)  # fmt: skip  # noqa: E501
_MAX_CLAUSE: Final = 160
_BIND: Final = "\0"
"""Stands for the `%` of a placeholder in the SQL of `insert`'s tree, until `spelt` puts it there."""
_NUMBERED: Final = re.compile(r"\$(\d+)")
_CLAUSES: Final = {
    "with": "WITH",
    "distinct": "DISTINCT",
    "from": "FROM",
    "joins": "JOIN",
    "where": "WHERE",
    "group": "GROUP BY",
    "having": "HAVING",
    "order": "ORDER BY",
    "limit": "LIMIT",
    "offset": "OFFSET",
    "locks": "FOR UPDATE",
}


@functools.lru_cache(maxsize=4096)
def tables(sql: str) -> tuple[str, ...]:
    """The names of the tables that a folded statement mentions, sorted, without schema and quotes; found by words."""
    found = {match[1].rpartition(".")[2].strip('"`').lower() for match in _TABLE.finditer(sql)}
    return tuple(sorted(found))


def equal(recorded: str, asked: str, dialect: str) -> bool:
    """Whether two folded statements are one syntax tree; parentheses, case of names and words, and AS don't count."""
    one, other = _parsed(recorded, dialect), _parsed(asked, dialect)
    return one is not None and other is not None and _key(one) == _key(other)


@functools.lru_cache(maxsize=4096)
def picks(recorded: str, asked: str, dialect: str) -> tuple[Pick, ...] | None:
    """The columns of the recorded statement's answer that make the asked one's, or None where they don't.

    Only the select list may differ, and it may only leave out, reorder and rename columns: all else, and whatever makes
    rows of its own (DISTINCT, aggregates, functions that return sets), must be the same.
    """
    one, other = _select(recorded, dialect), _select(asked, dialect)
    if one is None or other is None or _rest(one) != _rest(other) or one.args.get("distinct"):
        return None
    known = [(_key(item.unalias()), item) for item in one.expressions]
    wanted = [(_key(item.unalias()), item) for item in other.expressions]
    if not _left_out_safely(known, wanted, one) or not _means_the_same(one, other):
        return None
    if any(item.is_star for _, item in (*known, *wanted)):
        return _from_star(one, other)
    found = []
    for key, item in wanted:
        index = next((index for index, (each, _) in enumerate(known) if each == key), None)
        if index is None:
            return None
        name = _renamed(known[index][1], item)
        if name is False:
            return None
        found.append((index, name))
    return tuple(found)


def lacking(recorded: str, asked: str, dialect: str) -> str:
    """What the asked statement has that the recorded one hasn't, as a clause; "" where no tree tells."""
    one, other = _select(recorded, dialect), _select(asked, dialect)
    if one is None or other is None:
        return ""
    if _rest(one) != _rest(other):
        for name, words in _CLAUSES.items():
            before, now = _clause(one, name), _clause(other, name)
            if before != now:
                return f"its {words} was recorded as {_short(before)}, and is now {_short(now)}"
        return "the statement differs beyond its columns"
    known = {_key(item.unalias()) for item in one.expressions}
    new = [item for item in other.expressions if _key(item.unalias()) not in known]
    names = [_column(item, other) for item in new]
    if not names:
        return ""
    said = f"column {names[0]} was" if len(names) == 1 else f"columns {', '.join(names)} were"
    return f"{said} not recorded"


@functools.lru_cache(maxsize=4096)
def returned(sql: str, dialect: str) -> tuple[str, ...] | None:
    """The names of the columns that a writing statement gives back by RETURNING, () for none; None: nobody can tell."""
    if " returning " not in f" {sql.lower()} ":
        return ()
    tree = _parsed(sql, dialect)
    clause = None if tree is None else tree.args.get("returning")
    items = [] if clause is None else clause.expressions
    names = tuple(item.alias_or_name for item in items)
    return names if names and all(names) and not any(item.is_star for item in items) else None


@functools.lru_cache(maxsize=4096)
def called(sql: str, dialect: str) -> tuple[tuple[str, str], ...] | None:
    """The columns of a SELECT of nothing but functions that the parser doesn't know, each with its function's name."""
    from sqlglot import exp

    select = _select(sql, dialect)
    items = [] if select is None else select.expressions
    if not items or not all(isinstance(item.unalias(), exp.Anonymous) for item in items):
        return None
    return tuple((item.alias or item.unalias().name.lower(), item.unalias().name.lower()) for item in items)


@functools.lru_cache(maxsize=4096)
def rows_written(sql: str, dialect: str) -> int | None:
    """How many rows a statement writes, where its text says so: an INSERT of VALUES."""
    tree = _parsed(sql, dialect)
    if tree is None:
        return None
    from sqlglot import exp

    values = tree.expression if isinstance(tree, exp.Insert) else None
    return len(values.expressions) if isinstance(values, exp.Values) else None


def insert(sql: str, dialect: str) -> exp.Insert | None:
    """The tree of an INSERT with all names quoted, None for all else; SQL that is made of it goes through `spelt`."""
    tree = _tree(sql, dialect)
    if tree is None:
        return None
    from sqlglot import exp

    if not isinstance(tree, exp.Insert):
        return None
    for name in tree.find_all(exp.Identifier):
        name.set("quoted", True)
    made: Any = tree.transform(_marked)
    return made if isinstance(made, exp.Insert) else None


def spelt(sql: str, original: str) -> tuple[str, int]:
    """SQL made of `insert`'s tree with the original's sort of placeholders, and how many of its binds that takes."""
    numbers = [int(number) for number in _NUMBERED.findall(sql)]
    if numbers or _NUMBERED.search(original):
        return sql, max(numbers, default=0)
    formats = any(not match[1] for match in _FORMAT.finditer(original))
    doubled = sql.replace("%", "%%") if formats else sql
    return doubled.replace(_BIND, "%"), sql.count(_BIND)


# -- trees -----------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def _parsed(sql: str, dialect: str) -> Any:
    """The tree of one statement, normalised; None for what isn't one that the parser knows."""
    tree = _tree(sql, dialect)
    if tree is None:
        return None
    from sqlglot import exp

    for name in tree.find_all(exp.Identifier):
        name.set("quoted", bool(name.args.get("quoted")) and name.name != name.name.lower())
    bare: Any = tree.transform(lambda node: node.unnest() if isinstance(node, exp.Paren) else node)
    _unqualify(bare)
    return bare


def _unqualify(tree: exp.Expression) -> None:
    """Take away what only says which the one table is: `SELECT p.id FROM products AS p` asks `SELECT id FROM products`.

    A column stays qualified where the bare name would mean another one, which the select list calls so.
    """
    from sqlglot import exp

    found = list(tree.find_all(exp.Table))
    if len(found) != 1 or tree.find(exp.Join, exp.Subquery, exp.CTE, exp.Lateral, exp.UDTF, exp.SetOperation):
        return
    names = {found[0].name, found[0].alias_or_name}
    called = {item.alias for item in tree.expressions if isinstance(item, exp.Alias)}
    columns = [column for column in tree.find_all(exp.Column) if column.table]
    taken = [column for column in columns if column.table in names and not column.args.get("db")]
    if len(taken) < len(columns) or any(column.name in called or column.is_star for column in taken):
        return
    for column in taken:
        column.set("table", None)
    found[0].set("alias", None)


def _tree(sql: str, dialect: str) -> Any:
    """The tree of one statement, its names in the case that the database gives them; None for what isn't one."""
    if _STATEMENT.match(sql) is None:
        return None
    import sqlglot
    from sqlglot import exp
    from sqlglot.optimizer.normalize_identifiers import normalize_identifiers

    try:
        trees = sqlglot.parse(_FORMAT.sub(_placeholder, sql), read=dialect)
    except sqlglot.errors.SqlglotError:
        return None
    if len(trees) != 1 or trees[0] is None or isinstance(trees[0], exp.Command):
        return None
    return normalize_identifiers(trees[0], dialect=dialect)


def _marked(node: exp.Expression) -> exp.Expression:
    """A placeholder of Python's database API as a word of its own."""
    from sqlglot import exp

    if not isinstance(node, exp.Placeholder):
        return node
    return exp.Var(this=f"{_BIND}s" if node.name in ("", "?") else f"{_BIND}({node.name})s")


def _placeholder(match: re.Match[str]) -> str:
    """The parser's spelling of a placeholder of Python's database API; literals stay."""
    if match[1]:
        return match[1]
    if match[2]:
        return f":{match[2]}"
    return "?" if match[0] == "%s" else "%"


def _select(sql: str, dialect: str) -> exp.Select | None:
    from sqlglot import exp

    tree = _parsed(sql, dialect)
    return tree if isinstance(tree, exp.Select) else None


def _key(node: Any) -> str:
    """A text that is equal for equal trees alone, wherever they stand."""
    if isinstance(node, list | tuple):
        return f"[{', '.join(map(_key, node))}]"
    arguments = getattr(node, "args", None)
    if arguments is None:
        return repr(node)
    said = (f"{name}={_key(value)}" for name, value in sorted(arguments.items()) if value or value == "")
    return f"{type(node).__name__}({', '.join(said)})"


def _rest(tree: exp.Select) -> str:
    """The statement without its select list."""
    bare = tree.copy()
    bare.set("expressions", [])
    return _key(bare)


def _clause(tree: exp.Select, name: str) -> str:
    found = tree.args.get(name) or tree.args.get(f"{name}_") or ()
    parts = found if isinstance(found, list | tuple) else (found,)
    return " ".join(part.sql(comments=False) for part in parts)


def _short(clause: str) -> str:
    if not clause:
        return "none"
    return clause if len(clause) <= _MAX_CLAUSE else f"{clause[: _MAX_CLAUSE - 1]}…"


# -- what may be left out --------------------------------------------------------------------------------------------


def _left_out_safely(
    known: list[tuple[str, exp.Expression]], wanted: list[tuple[str, exp.Expression]], select: exp.Select
) -> bool:
    """Whether the rows stay the same ones without what is left out, and placeholders stay where they were."""
    from sqlglot import exp

    keys = {key for key, _ in wanted}
    left_out = [item for key, item in known if key not in keys]
    makes_rows = (exp.UDTF, exp.Unnest, exp.Explode, exp.GenerateSeries, exp.Anonymous, exp.Window)
    if any(item.find(*makes_rows) for item in left_out):
        return False
    aggregates = [item for _, item in wanted if item.find(exp.AggFunc)]
    if not select.args.get("group") and not aggregates and any(item.find(exp.AggFunc) for item in left_out):
        return False
    return [key for key, item in known if _has_bind(item)] == [key for key, item in wanted if _has_bind(item)]


def _has_bind(item: exp.Expression) -> bool:
    from sqlglot import exp

    return item.find(exp.Placeholder, exp.Parameter) is not None


def _means_the_same(one: exp.Select, other: exp.Select) -> bool:
    """Whether ORDER BY, GROUP BY and HAVING, equal as texts, mean the same columns of both select lists."""
    from sqlglot import exp

    named: set[str] = set()
    for clause in ("order", "group", "having", "qualify"):
        part = one.args.get(clause)
        if part is None:
            continue
        if clause != "having" and any(
            isinstance(item.this if isinstance(item, exp.Ordered) else item, exp.Literal) for item in part.expressions
        ):
            return False
        named |= {column.name for column in part.find_all(exp.Column) if not column.table}
    return _aliases(one, named) == _aliases(other, named)


def _aliases(select: exp.Select, named: Iterable[str]) -> set[tuple[str, str]]:
    from sqlglot import exp

    return {
        (item.alias, _key(item.unalias()))
        for item in select.expressions
        if isinstance(item, exp.Alias) and item.alias in named
    }


def _from_star(one: exp.Select, other: exp.Select) -> tuple[Pick, ...] | None:
    """Plain columns of the one table whose whole rows were read."""
    from sqlglot import exp

    whole = len(one.expressions) == 1 and isinstance(one.expressions[0], exp.Star)
    if not whole or one.args.get("joins") or len(tuple(one.find_all(exp.Table))) != 1:
        return None
    columns = [item.unalias() for item in other.expressions]
    if not all(isinstance(column, exp.Column) and not column.is_star for column in columns):
        return None
    return tuple((column.name, item.alias or None) for column, item in zip(columns, other.expressions, strict=True))


def _renamed(known: exp.Expression, wanted: exp.Expression) -> Any:
    """What a column is called now, None where it keeps its name; False where only the database knows the name."""
    from sqlglot import exp

    if known.alias == wanted.alias:
        return None
    if wanted.alias:
        return wanted.alias
    return wanted.name if isinstance(wanted, exp.Column) else False


def _column(item: exp.Expression, select: exp.Select) -> str:
    """A column with its table's own name in the place of an alias; an expression as it stands."""
    from sqlglot import exp

    bare = item.unalias()
    if not isinstance(bare, exp.Column):
        return bare.sql(comments=False)
    named = dict(_named_tables(select))
    table = named.get(bare.table) or (next(iter(named.values())) if len(named) == 1 else bare.table)
    return f"{table}.{bare.name}" if table else bare.name


def _named_tables(select: exp.Select) -> Iterator[tuple[str, str]]:
    from sqlglot import exp

    return ((table.alias_or_name, table.name) for table in select.find_all(exp.Table))
