"""The kind sql: how statements are compared, shown and searched for secrets, whatever the database. Pure; no I/O.

A request is `{"database": name, "sql", "binds": list | dict | None, "many": bool}`, with `many` a list of binds; of
a driver that asks a server also "driver", the form in which its answers are stored, and "dialect", as sqlglot names it.
Compared are the driver, the statement, white space and comments folded outside of literals, and the binds with their
types, those of a list after IN in any order. The database's name isn't: it says where the code runs. `rest` marks
reading beyond the recorded rows, `prepare` that a statement is only prepared.
"""

from __future__ import annotations

import functools
import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundary import Difference, Kind, Picks, Request
from pytest_fluxrun.errors import FluxRunError, GuardError
from pytest_fluxrun.kinds import statements
from pytest_fluxrun.kinds.structure import ABSENT, structural_differences
from pytest_fluxrun.values import decode

__all__ = [
    "FAR",
    "IN_MEMORY",
    "SQL",
    "Sql",
    "Written",
    "first_keyword",
    "folded",
    "positions",
    "sketched",
    "unlocked",
    "written_rows",
]

_UPKEEP: Final = frozenset({"BEGIN", "START", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"})
IN_MEMORY: Final = ":memory:"
"""What the name of a database begins with that lies in the process's own memory."""
_MAX_TEXT: Final = 200
FAR: Final = 1_000_000_000
"""Where made-up ids begin."""
_IDS: Final = frozenset({"id", "pk"})
_TIMES: Final = frozenset({"at", "on"})
_TOML_VALUES: Final = (bool, int, float, str, date, time)
_MAX_SHAPE: Final = 120
_MAX_CANONICAL_BINDS: Final = 512
_READS: Final = frozenset(
    """
    SELECT VALUES EXPLAIN PRAGMA SHOW DESCRIBE DESC FETCH SET USE PING CONNECT ATTACH DETACH BEGIN START ROLLBACK ABORT
    SAVEPOINT RELEASE DECLARE MOVE CLOSE DEALLOCATE RESET DISCARD LISTEN UNLISTEN
    """.split()  # noqa: SIM905 - a list of words reads better
)
_TOKEN: Final = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|(?:\s|--[^\n]*|/\*.*?\*/)+""",
    re.DOTALL,
)
_LITERAL: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$.*?\$\1\$|\b\d[\w.]*""", re.DOTALL)
"""Quoted in any way that some database takes for a string, or a number."""
_WRITES_IN_WITH: Final = re.compile(
    r"\b(?:INSERT\s+(?:OR\s+\w+\s+)?INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO)\b",
    re.IGNORECASE,
)
_WRITES_IN_SELECT: Final = re.compile(r"\b(?:(?:nextval|setval|pg_notify)\s*\(|NEXT\s+VALUE\s+FOR\b)", re.IGNORECASE)
"""Numbers that are taken, and messages that are sent, by what looks like a read."""
_NAME: Final = r"""(?:[\w$]+|"[^"]*")"""
_LOCKS: Final = re.compile(
    rf"""\sFOR\s+(?:NO\s+KEY\s+UPDATE|KEY\s+SHARE|UPDATE|SHARE)\b
    (?:\s+OF\s+{_NAME}(?:\.{_NAME})*(?:\s*,\s*{_NAME}(?:\.{_NAME})*)*)?(?:\s+(?:NOWAIT|SKIP\s+LOCKED)\b)?""",
    re.IGNORECASE | re.VERBOSE,
)
_SAVING: Final = frozenset({"SAVEPOINT", "RELEASE", "ROLLBACK"})
_SAVEPOINT: Final = re.compile(
    r"""^(SAVEPOINT|RELEASE|ROLLBACK(?:\s+\w+)?\s+TO)\s+(?:SAVEPOINT\s+)?(?:[\w$]+|"[^"]*"|`[^`]*`|\[[^\]]*\])$""",
    re.IGNORECASE,
)
_KEYWORD: Final = re.compile(r"[\s(;]*([A-Za-z]+)")
_PLACEHOLDER: Final = re.compile(r"\?(\d*)|%s|\$(\d+)")
_COMPARED: Final = re.compile(r"""([\w."`]+)\s*(?:=|==|<>|!=|<=|>=|<|>|\blike|\bis|\bin\s*\()\s*$""", re.IGNORECASE)
_IN_LIST: Final = re.compile(r"\bin\s*\(\s*(?:\?|%s)(?:\s*,\s*(?:\?|%s))+\s*\)", re.IGNORECASE)
_BIND_PATH: Final = re.compile(r"request\.binds\[(\d+)\](?:\[(\d+)\])?")
_INSERT: Final = re.compile(
    r"\b(?:insert|replace)\b[^(]*?\binto\s+[\w.\"`]+\s*\(([^)]*)\)\s*values\s*\(", re.IGNORECASE
)


class Sql(Kind):
    """Statements and transaction control of SQL databases."""

    name: ClassVar[str] = "sql"

    def canonical(self, request: Request) -> str:
        """Equal for the same folded statement with binds of the same types and values."""
        binds = _canonical_binds(request)
        many = " many" if request["many"] else ""
        step = "PREPARE " if "prepare" in request else ""
        asked = f"{step}{_unnamed(folded(request['sql']))}{many}\n{binds}\n{request.get('rest', '')}"
        return f"{asked}\n{request['driver']}" if "driver" in request else asked

    def operation(self, request: Request) -> str:
        """The folded statement without its binds; preparing it and reading on in its rows are other operations."""
        return f"{_step(request)}{folded(request['sql'])}"

    def shape(self, request: Request) -> str:
        """The folded statement, literals as `?`, at most 120 characters."""
        return _shape(request["sql"])

    def is_effect(self, request: Request) -> bool:
        """Whether one of its statements writes, by first keyword; what isn't known to read counts as writing.

        A database in memory is part of the process, not of the outside.
        """
        if "rest" in request or "prepare" in request or request["database"].startswith(IN_MEMORY):
            return False
        return _writes(folded(request["sql"]))

    def is_upkeep(self, request: Request) -> bool:
        """A connection's health check; BEGIN and ROLLBACK, savepoints; not COMMIT."""
        sql = folded(request["sql"])
        return sql.upper() == "SELECT 1" or first_keyword(sql) in _UPKEEP

    def family(self, request: Request) -> str:
        """Statements of one first keyword on the same tables."""
        sql = folded(request["sql"])
        return f"{_step(request)}{first_keyword(sql)} {','.join(statements.tables(sql)) or sql}"

    def fit(self, recorded: Request, asked: Request) -> Picks | None:
        """() for the same syntax tree, columns for a SELECT of some of the recorded ones; with equal binds alone."""
        if not _comparable(recorded, asked) or _canonical_binds(recorded) != _canonical_binds(asked):
            return None
        one, other, dialect = folded(recorded["sql"]), folded(asked["sql"]), _dialect(asked)
        return () if statements.equal(one, other, dialect) else statements.picks(one, other, dialect)

    def lacking(self, recorded: Request, asked: Request) -> str:
        """The column or the clause of a SELECT that the recorded one doesn't have."""
        if not _comparable(recorded, asked):
            return ""
        return statements.lacking(folded(recorded["sql"]), folded(asked["sql"]), _dialect(asked))

    def differences(self, recorded: Request, asked: Request) -> list[Difference]:
        """The statement, then the binds by position or name, each with the column that it fills or is compared with."""
        one, other = _unnamed(folded(recorded["sql"])), _unnamed(folded(asked["sql"]))
        binds = list(structural_differences("request.binds", recorded["binds"], asked["binds"]))
        if one == other:
            binds = [_named_bind(difference, one, many=recorded["many"]) for difference in binds]
        return [
            *structural_differences("request.sql", one, other),
            *_rows_differ(recorded, asked),
            *binds,
            *structural_differences("request.many", recorded["many"], asked["many"]),
            *structural_differences("request.rest", recorded.get("rest", ABSENT), asked.get("rest", ABSENT)),
            *structural_differences("request.driver", recorded.get("driver", ABSENT), asked.get("driver", ABSENT)),
        ]

    def text(self, request: Request) -> str:
        """`shop.db: SELECT * FROM orders WHERE id = ? [7]`, at most 200 characters."""
        binds = f" {request['binds']!r}" if request["binds"] else ""
        rest = f" ({request['rest']})" if "rest" in request else ""
        step = "PREPARE " if "prepare" in request else ""
        text = f"{request['database']}: {step}{folded(request['sql'])}{binds}{rest}"
        return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"

    def named_values(self, request: Request, answer: Any) -> Iterable[tuple[str, Any]]:
        """Named binds; positional ones by the column they fill or are compared with; each column of the answer."""
        rows = request["binds"] if request["many"] else [request["binds"]]
        names = _bind_names(folded(request["sql"]))
        for binds in rows or ():
            if isinstance(binds, dict):
                yield from binds.items()
            elif binds:
                yield from ((name, binds[index]) for index, name in names if index < len(binds))
        if isinstance(answer, dict):
            for result in (answer, *answer.get("more", ())):
                yield from _named_columns(result)


SQL = Sql()


def _named_columns(result: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each column of a result with its values; of a statement with several results, one of them."""
    if not result.get("columns"):
        return
    try:
        rows = decode(result["rows"])
    except FluxRunError:
        return
    for index, column in enumerate(result["columns"]):
        yield column, [row[index] for row in rows if index < len(row)]


@functools.lru_cache(maxsize=2048)
def _shape(sql: str) -> str:
    bare = _LITERAL.sub("?", folded(sql))
    return bare if len(bare) <= _MAX_SHAPE else f"{bare[: _MAX_SHAPE - 1]}…"


@functools.lru_cache(maxsize=2048)
def folded(sql: str) -> str:
    """A statement with white space and comments outside of literals as one blank, without the last semicolon."""
    return _TOKEN.sub(lambda match: match[0] if match[0][0] in "'\"`" else " ", sql).strip().rstrip("; ")


def unlocked(sql: str) -> str:
    """A folded query without its FOR UPDATE and FOR SHARE: what only reads needs no locks."""
    pieces, start = [], 0
    for match in _LOCKS.finditer(_without_literals(sql)):
        pieces.append(sql[start : match.start()])
        start = match.end()
    return "".join([*pieces, sql[start:]])


def sketched(request: Request, number: int, *, texts: bool = False) -> dict[str, Any] | None:
    """A made-up reply to a statement that writes: `count` of rows, and `rows` where it gives some back.

    A column that the statement sets comes back as it was bound. Of the others, those named like ids get numbers that no
    table is likely to have, those named like times get one of the year 2000; None where there are others.

    Args:
        number: how many were made up before.
        texts: binds are texts whose type isn't known, so that they can't be given back.
    """
    sql, dialect = folded(request["sql"]), _dialect(request)
    if first_keyword(sql) == "SELECT":
        calls = statements.called(sql, dialect) or ()
        known = {"nextval": FAR + number, "pg_notify": ""}
        row = {column: known[function] for column, function in calls if function in known}
        return {"count": 1, "rows": [row]} if row and len(row) == len(calls) else None
    columns = statements.returned(sql, dialect)
    if columns is None:
        return None
    count = len(request["binds"] or ()) if request["many"] else statements.rows_written(sql, dialect)
    if not columns:
        return {"count": 1 if count is None else count}
    if request["many"] or (count is None and first_keyword(sql) != "UPDATE" and first_keyword(sql) != "DELETE"):
        return None
    bound = _bound(request, sql) if count == 1 else {}
    rows = [
        {column: _made_up(column, FAR + number + place, bound, texts=texts) for column in columns}
        for place in range(count or 1)
    ]
    return None if any(None in row.values() for row in rows) else {"count": len(rows), "rows": rows}


def _bound(request: Request, sql: str) -> dict[str, Any]:
    """What an INSERT binds to each column, where its binds are in order."""
    binds = request["binds"]
    if not isinstance(binds, list | tuple):
        return {}
    return {column: binds[index] for index, column in _bind_names(sql) if index < len(binds)}


def _made_up(column: str, number: int, bound: Mapping[str, Any], *, texts: bool) -> Any:
    value = bound.get(column)
    if isinstance(value, _TOML_VALUES) and not (texts and isinstance(value, str)):
        return value
    name = column.lower()
    if name in _TIMES or name.endswith(("_at", "_on")):
        return datetime(2000, 1, 1, tzinfo=UTC)
    return number if column not in bound and (name in _IDS or name.endswith(("_id", "_pk"))) else None


@dataclass(frozen=True, slots=True)
class Written:
    """A reply in words.

    Attributes:
        types: the database's name of a column's type, where its values don't tell it.
    """

    columns: list[str]
    rows: list[list[Any]]
    count: int
    types: Mapping[str, str]


def written_rows(reply: Mapping[str, Any], boundary: str, request: Request) -> Written:
    """What a reply in words says: `{"count": 2}`, `{"rows": [{"id": 1}]}`, `{"rows": [{}], "types": {"paid": "int4"}}`.

    A column that `types` names is null in a row without it. The columns stand in the order in which the statement gives
    them back, where it says so.

    Raises:
        GuardError: it has other keys, or rows that don't have one set of columns.
    """
    rows, types = reply.get("rows", []), reply.get("types", {})
    named = isinstance(types, dict) and all(isinstance(name, str) for name in types.values())
    tables = isinstance(rows, list) and all(isinstance(row, dict) for row in rows)
    columns = list(dict.fromkeys(name for row in rows for name in row)) if tables else []
    columns += [name for name in types if named and rows and name not in columns]
    fitting = tables and named and all(set(row) | set(types) == set(columns) for row in rows)
    count = reply.get("count", len(rows) if fitting else 0)
    if set(reply) - {"rows", "count", "types"} or not fitting or not isinstance(count, int):
        raise GuardError(
            f"the guard's reply {dict(reply)!r} is no answer of {boundary}",
            why="it may have `rows`, a list of tables with the same columns, `count`, a number, and `types`, a table "
            "of the types of columns whose values don't tell them",
            next_step='correct it, e.g. reply = { rows = [{ id = 7, name = "x" }] }',
        )
    order = statements.returned(folded(request["sql"]), _dialect(request))
    if order and sorted(order) == sorted(columns):
        columns = list(order)
    return Written(columns, [[row.get(name) for name in columns] for row in rows], count, types)


def positions(columns: Sequence[str], picks: Picks) -> tuple[list[int], list[str]] | None:
    """Where the picked columns stand among an answer's, and what they are called; None where one isn't there.

    A name that stands there twice is nobody's.
    """
    places, names = [], []
    for pick, name in picks:
        found = [place for place, column in enumerate(columns) if pick in (place, column.lower())]
        if len(found) != 1:
            return None
        places.append(found[0])
        names.append(columns[found[0]] if name is None else name)
    return places, names


def _unnamed(sql: str) -> str:
    """A statement about a savepoint without its name, which ORMs make of the thread's and the connection's identity."""
    return _SAVEPOINT.sub(r"\1", sql) if first_keyword(sql) in _SAVING else sql


def first_keyword(sql: str) -> str:
    """The first keyword of a folded statement, upper-case; "" where there is none."""
    match = _KEYWORD.match(sql)
    return match[1].upper() if match else ""


@functools.lru_cache(maxsize=2048)
def _writes(sql: str) -> bool:
    return any(_statement_writes(statement) for statement in _statements(sql))


def _statement_writes(sql: str) -> bool:
    keyword = first_keyword(sql)
    if keyword in ("WITH", "SELECT", "VALUES"):
        bare = _without_literals(sql)
        writes = keyword == "WITH" and _WRITES_IN_WITH.search(bare) is not None
        return writes or _WRITES_IN_SELECT.search(bare) is not None
    return keyword not in _READS and keyword != ""


def _statements(sql: str) -> Iterator[str]:
    """The statements of a script; bodies of triggers fall into pieces, which all count."""
    start = 0
    for match in re.finditer(";", _without_literals(sql)):
        yield sql[start : match.start()]
        start = match.end()
    yield sql[start:]


def _without_literals(sql: str) -> str:
    """The statement with the insides of string literals blanked; positions stay."""
    return _TOKEN.sub(lambda match: f"'{' ' * (len(match[0]) - 2)}'" if match[0][0] == "'" else match[0], sql)


def _comparable(recorded: Request, asked: Request) -> bool:
    """Whether two requests are answered in one form, and neither is a step of another statement."""
    sides = recorded, asked
    return not any(_step(side) for side in sides) and all(
        recorded.get(name) == asked.get(name) for name in ("driver", "dialect", "many")
    )


def _step(request: Request) -> str:
    """Of what asks for a step alone, as people are told of it."""
    return "READ ON " if "rest" in request else "PREPARE " if "prepare" in request else ""


def _dialect(request: Request) -> str:
    return str(request.get("dialect", "sqlite"))


def _rows_differ(recorded: Request, asked: Request) -> Iterator[Difference]:
    """The number of rows that an executemany writes, where it isn't the same."""
    if not (recorded["many"] and asked["many"]):
        return
    counts = [len(side["binds"] or ()) for side in (recorded, asked)]
    if counts[0] != counts[1]:
        yield Difference("request.binds", f"{counts[0]} rows", f"{counts[1]} rows", "number of rows")


def _named_bind(difference: Difference, sql: str, *, many: bool) -> Difference:
    """A changed bind with `table.column` as its name, where the statement tells the column."""
    found = _BIND_PATH.fullmatch(difference.path)
    if found is None or bool(found[2]) != many:
        return difference
    column = dict(_bind_names(sql)).get(int(found[2] or found[1]))
    if column is None:
        return difference
    named = statements.tables(sql)
    row = f" of row {int(found[1]) + 1}" if many else ""
    return replace(difference, name=f"{f'{named[0]}.' if len(named) == 1 else ''}{column}{row}")


def _canonical_binds(request: Request) -> str:
    binds = request["binds"]
    if not binds:
        return ""
    rows = binds if request["many"] else [binds]
    sql = folded(request["sql"])
    text = repr([sorted(row.items()) if isinstance(row, dict) else _ordered(list(row or ()), sql) for row in rows])
    if len(text) <= _MAX_CANONICAL_BINDS:
        return text
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _ordered(row: list[Any], sql: str) -> list[Any]:
    """Positional binds with those of each list after IN in one order: a program that makes it of a set has any."""
    for part in _in_lists(sql, len(row)):
        row[part] = sorted(row[part], key=lambda value: (type(value).__name__, repr(value)))
    return row


@functools.lru_cache(maxsize=2048)
def _in_lists(sql: str, count: int) -> tuple[slice, ...]:
    """Which of so many positional binds are the lists after IN; none where another count of places is found.

    Numbered placeholders may stand for one bind twice, and make no lists.
    """
    bare = _without_literals(sql)
    if " in" not in bare.lower():
        return ()
    places = list(_PLACEHOLDER.finditer(bare))
    if len(places) != count or any(match[1] or match[2] for match in places):
        return ()
    starts = [match.start() for match in places]
    return tuple(
        slice(bisect_left(starts, match.start()), bisect_left(starts, match.end())) for match in _IN_LIST.finditer(bare)
    )


@functools.lru_cache(maxsize=1024)
def _bind_names(sql: str) -> tuple[tuple[int, str], ...]:
    """(index, column) for each positional bind that is inserted into a column or compared with one."""
    bare = _without_literals(sql)
    inserted = _inserted_columns(bare)
    names = []
    for ordinal, match in enumerate(_PLACEHOLDER.finditer(bare)):
        number = match[1] or match[2]
        index = int(number) - 1 if number else ordinal
        compared = _COMPARED.search(bare, max(0, match.start() - 200), match.start())
        name = inserted.get(match.start()) or (compared[1] if compared else "")
        if name:
            names.append((index, name.rpartition(".")[2].strip('"`')))
    return tuple(names)


def _inserted_columns(sql: str) -> dict[int, str]:
    """Position of each placeholder in an INSERT's rows of values → the column that it fills."""
    match = _INSERT.search(sql)
    if match is None:
        return {}
    columns = [column.strip().strip('"`[]') for column in match[1].split(",")]
    found: dict[int, str] = {}
    depth, column = 1, 0
    for position in range(match.end(), len(sql)):
        character = sql[position]
        if character == "(":
            depth += 1
            column = 0 if depth == 1 else column
        elif character == ")":
            depth -= 1
        elif character == "," and depth == 1:
            column += 1
        elif character in "?%$" and depth >= 1 and column < len(columns):
            found[position] = columns[column]
    return found
