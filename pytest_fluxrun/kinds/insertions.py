"""What an INSERT gives back by RETURNING, found by reads alone: from its own rows and from its columns' defaults. Pure.

PostgreSQL's dialect. Two reads tell it: the catalogue's columns, then the row that the INSERT would make, evaluated in
a SELECT. What a sequence would number isn't asked, as that would take the number: it is made up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, Final

from pytest_fluxrun.boundary import Request
from pytest_fluxrun.kinds import statements
from pytest_fluxrun.kinds.sql import FAR, folded

if TYPE_CHECKING:
    from sqlglot import exp

__all__ = ["Ask", "inserted"]

Ask = Callable[[Request], Sequence[Sequence[str | None]]]
"""Makes a read whose columns are all texts, and gives its rows."""

_DIALECT: Final = "postgres"
_COLUMNS: Final = """\
SELECT CAST(a.attname AS text), format_type(a.atttypid, a.atttypmod), pg_get_expr(d.adbin, d.adrelid), \
CAST(a.attidentity AS text), CAST(a.attgenerated AS text) FROM pg_attribute a \
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
WHERE a.attrelid = CAST({table} AS regclass) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""
_NUMBERS: Final = re.compile(r"\bnextval\s*\(", re.IGNORECASE)
_TEXTS: Final = frozenset({"text", "character varying", "character", "name", "unknown"})
_WORDS: Final[Mapping[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("smallint", "integer", "bigint", "oid"), int),
    **dict.fromkeys(("real", "double precision"), float),
    **dict.fromkeys(("timestamp with time zone", "timestamp without time zone"), datetime.fromisoformat),
    "boolean": "true".__eq__,
    "date": date.fromisoformat,
    "time without time zone": time.fromisoformat,
}
"""How a value's text is said in TOML, by its type's name."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a table, as the catalogue has it: SQL of its type, its default, what it is generated of."""

    name: str
    type: str
    default: str
    numbered: bool
    generated: bool


def inserted(request: Request, number: int, ask: Ask) -> dict[str, Any] | None:
    """The reply to an INSERT with RETURNING, in a guard's words; None for every other statement.

    Args:
        request: of the kind sql.
        number: how many were made up before, for the ids that the database would give.
        ask: makes reads in a development environment.
    """
    tree = None if request["many"] else statements.insert(folded(request["sql"]), _DIALECT)
    returning = None if tree is None else tree.args.get("returning")
    if tree is None or returning is None:
        return None
    table: Any = tree.this.find(_exp().Table)
    bare = table.copy()
    bare.set("alias", None)
    said = _literal(bare.sql(_DIALECT, comments=False))
    known = [_column(row) for row in ask({**request, "sql": _COLUMNS.format(table=said), "binds": None})]
    items = list(_returned(returning.expressions, known))
    given, source = _source(tree, known)
    numbers = {column.name for column in known if column.numbered and column.name not in given}
    sql = _evaluation(_quoted(table.alias_or_name), known, given, source, [item for _, item in items])
    spelt, count = statements.spelt(sql, request["sql"])
    binds = request["binds"] if isinstance(request["binds"], dict) else (request["binds"] or [])[:count] or None
    rows = ask({**request, "sql": spelt, "binds": binds})
    numbered = frozenset(name for name, item in items if isinstance(item, _exp().Column) and item.name in numbers)
    return _reply([name for name, _ in items], numbered, rows, FAR + number)


def _reply(
    names: Sequence[str], numbered: frozenset[str], rows: Sequence[Sequence[str | None]], number: int
) -> dict[str, Any]:
    types: dict[str, str] = {}
    said = []
    for place, row in enumerate(rows):
        words: dict[str, Any] = {}
        for name, kind, text in zip(names, row[::2], row[1::2], strict=True):
            if name in numbered:
                words[name] = number + place
                continue
            word, plain = (None, False) if text is None else _word(str(kind), text)
            if word is not None:
                words[name] = word
            if not plain:
                types[name] = str(kind)
        said.append(words)
    reply: dict[str, Any] = {"count": len(rows), "rows": said}
    return {**reply, "types": types} if types else reply


def _word(kind: str, text: str) -> tuple[Any, bool]:
    """A value as TOML says it, and whether that tells its type."""
    if kind in _TEXTS:
        return text, True
    with suppress(ValueError):  # a time beyond Python's
        if kind in _WORDS:
            return _WORDS[kind](text), True
    return text, False


# -- SQL -------------------------------------------------------------------------------------------------------------


def _exp() -> Any:
    from sqlglot import exp

    return exp


def _column(row: Sequence[str | None]) -> _Column:
    name, kind, default, identity, generated = (cell or "" for cell in row)
    numbered = identity.strip() != "" or _NUMBERS.search(default) is not None
    return _Column(name, kind, default, numbered, generated.strip() != "")


def _returned(items: Sequence[exp.Expression], known: Sequence[_Column]) -> Iterator[tuple[str, Any]]:
    """Each value that comes back, with the name of its column."""
    for item in items:
        if item.is_star:
            yield from ((column.name, _exp().column(column.name, quoted=True)) for column in known)
        else:
            yield item.alias_or_name, item.unalias()


def _evaluation(
    alias: str, known: Sequence[_Column], given: Sequence[str], source: str, items: Sequence[exp.Expression]
) -> str:
    """The SELECT of each item's type and text, from the rows as the INSERT makes them."""
    as_given = f" AS given({', '.join(map(_quoted, given))})" if given else " AS given"
    stored = ", ".join(_stored(column, given) for column in known if not column.generated)
    computed = "".join(f", ({column.default}) AS {_quoted(column.name)}" for column in known if column.generated)
    values = ", ".join(
        f"CAST(pg_typeof({text}) AS text), CAST({text} AS text)"
        for text in (item.sql(_DIALECT, comments=False) for item in items)
    )
    rows = f"(SELECT {stored} FROM ({source}){as_given}) AS {alias}"  # noqa: S608 - of a tree, and quoted names
    return f"SELECT {values} FROM (SELECT {alias}.*{computed} FROM {rows}) AS {alias}"  # noqa: S608 - likewise


def _source(tree: exp.Insert, known: Sequence[_Column]) -> tuple[list[str], str]:
    """The columns that the statement sets to a value of its own, and SQL of their rows."""
    exp, source = _exp(), tree.expression
    if source is None:
        return [], "SELECT 1"
    types = {column.name: column.type for column in known}
    schema = tree.this.expressions if isinstance(tree.this, exp.Schema) else ()
    names = [name.name for name in schema] or [column.name for column in known]
    if not isinstance(source, exp.Values):
        return names, source.sql(_DIALECT, comments=False)
    rows = [row.expressions for row in source.expressions]
    places = [place for place in range(len(rows[0])) if not any(_is_default(row[place]) for row in rows)]
    given = [names[place] for place in places]
    cells = (
        ", ".join(f"CAST({row[place].sql(_DIALECT, comments=False)} AS {types[names[place]]})" for place in places)
        for row in rows
    )
    return given, f"VALUES {', '.join(f'({row})' for row in cells)}" if places else "SELECT 1"


def _is_default(cell: exp.Expression) -> bool:
    return isinstance(cell, _exp().Column | _exp().Var) and cell.name.upper() == "DEFAULT" and not _is_quoted(cell)


def _is_quoted(cell: exp.Expression) -> bool:
    return isinstance(cell.this, _exp().Identifier) and bool(cell.this.args.get("quoted"))


def _stored(column: _Column, given: Sequence[str]) -> str:
    name = _quoted(column.name)
    value = f"given.{name}" if column.name in given else "NULL" if column.numbered else column.default or "NULL"
    return f"CAST(({value}) AS {column.type}) AS {name}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
