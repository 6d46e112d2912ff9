"""The kind sql: how statements are compared, shown and searched for secrets, whatever the database. Pure; no I/O.

A request is `{"database": basename, "sql", "binds": list | dict | None, "many": bool}`, with `many` a list of binds.
Compared are the statement, white space and comments folded outside of literals, and the binds with their types. The
database's name isn't: it is a path of the place where the code runs. `rest` marks reading beyond the recorded rows.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundary import Difference, Kind, Request
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.kinds.structure import ABSENT, structural_differences
from pytest_fluxrun.values import decode

__all__ = ["SQL", "Sql", "first_keyword", "folded"]

_MAX_TEXT: Final = 200
_MAX_CANONICAL_BINDS: Final = 512
_READS: Final = frozenset(
    """
    SELECT VALUES EXPLAIN PRAGMA SHOW DESCRIBE FETCH SET CONNECT ATTACH DETACH BEGIN START ROLLBACK ABORT SAVEPOINT
    RELEASE
    """.split()  # noqa: SIM905 - a list of words reads better
)
_TOKEN: Final = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|(?:\s|--[^\n]*|/\*.*?\*/)+""",
    re.DOTALL,
)
_WRITES_IN_WITH: Final = re.compile(
    r"\b(?:INSERT\s+(?:OR\s+\w+\s+)?INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO)\b",
    re.IGNORECASE,
)
_KEYWORD: Final = re.compile(r"[\s(;]*([A-Za-z]+)")
_PLACEHOLDER: Final = re.compile(r"\?(\d*)|%s|\$(\d+)")
_COMPARED: Final = re.compile(r"""([\w."`]+)\s*(?:=|==|<>|!=|<=|>=|<|>|\blike|\bis|\bin\s*\()\s*$""", re.IGNORECASE)
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
        return f"{folded(request['sql'])}{many}\n{binds}\n{request.get('rest', '')}"

    def operation(self, request: Request) -> str:
        """The folded statement without its binds; reading on in its rows is an operation of its own."""
        return f"{'READ ON ' if 'rest' in request else ''}{folded(request['sql'])}"

    def is_effect(self, request: Request) -> bool:
        """Whether one of its statements writes, by first keyword; what isn't known to read counts as writing."""
        return "rest" not in request and _writes(folded(request["sql"]))

    def differences(self, recorded: Request, asked: Request) -> list[Difference]:
        """The statement, then the binds by position or name."""
        return [
            *structural_differences("request.sql", folded(recorded["sql"]), folded(asked["sql"])),
            *structural_differences("request.binds", recorded["binds"], asked["binds"]),
            *structural_differences("request.many", recorded["many"], asked["many"]),
            *structural_differences("request.rest", recorded.get("rest", ABSENT), asked.get("rest", ABSENT)),
        ]

    def text(self, request: Request) -> str:
        """`shop.db: SELECT * FROM orders WHERE id = ? [7]`, at most 200 characters."""
        binds = f" {request['binds']!r}" if request["binds"] else ""
        rest = f" ({request['rest']})" if "rest" in request else ""
        text = f"{request['database']}: {folded(request['sql'])}{binds}{rest}"
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
        if isinstance(answer, dict) and answer.get("columns"):
            try:
                decoded = decode(answer["rows"])
            except FluxRunError:
                return
            for index, column in enumerate(answer["columns"]):
                yield column, [row[index] for row in decoded if index < len(row)]


SQL = Sql()


@functools.lru_cache(maxsize=2048)
def folded(sql: str) -> str:
    """A statement with white space and comments outside of literals as one blank, without the last semicolon."""
    return _TOKEN.sub(lambda match: match[0] if match[0][0] in "'\"`" else " ", sql).strip().rstrip("; ")


def first_keyword(sql: str) -> str:
    """The first keyword of a folded statement, upper-case; "" where there is none."""
    match = _KEYWORD.match(sql)
    return match[1].upper() if match else ""


@functools.lru_cache(maxsize=2048)
def _writes(sql: str) -> bool:
    return any(_statement_writes(statement) for statement in _statements(sql))


def _statement_writes(sql: str) -> bool:
    keyword = first_keyword(sql)
    if keyword == "WITH":
        return _WRITES_IN_WITH.search(_without_literals(sql)) is not None
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


def _canonical_binds(request: Request) -> str:
    binds = request["binds"]
    if not binds:
        return ""
    rows = binds if request["many"] else [binds]
    text = repr([sorted(row.items()) if isinstance(row, dict) else list(row or ()) for row in rows])
    if len(text) <= _MAX_CANONICAL_BINDS:
        return text
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


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
