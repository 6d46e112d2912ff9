"""What is sent to a server as a request of the kind sql: its text, and binds that are equal in whatever format."""

from __future__ import annotations

import functools
import re
import struct
import uuid
from collections.abc import Sequence
from typing import Any, Final

from pytest_fluxrun.kinds.sql import first_keyword, folded

__all__ = ["Asked", "copied_columns", "is_local", "text_of", "without_numbers"]

_TEXT_OIDS: Final = frozenset({18, 19, 25, 114, 142, 705, 1042, 1043})
"""char, name, text, json, xml, unknown, bpchar, varchar: their binary form is the text."""
_JSONB, _UUID, _BOOL = 3802, 2950, 16
_INTEGERS: Final = {21: struct.Struct("!h"), 23: struct.Struct("!i"), 20: struct.Struct("!q"), 26: struct.Struct("!I")}
_FLOATS: Final = {700: struct.Struct("!f"), 701: struct.Struct("!d")}
_TRANSACTION: Final = frozenset({"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"})
_PING: Final = re.compile(r"SELECT 1", re.IGNORECASE)
_CURSOR: Final = re.compile(
    r"""^(\s*(?:DECLARE\s+|(?:FETCH|MOVE)\b.*?\b(?:FROM|IN)\s+|CLOSE\s+|DESCRIBE\s+))("(?:[^"]|"")*"|\w+)""",
    re.IGNORECASE | re.DOTALL,
)
_SOUGHT_CURSOR: Final = re.compile(r"^(SELECT 1 FROM pg_catalog\.pg_cursors WHERE name = )('.*')$", re.DOTALL)
_NUMBER: Final = re.compile(r"[0-9a-f]*\d[0-9a-f]*|(?<![^\W_])[0-9a-f]+(?![^\W_])")
"""In a name, decimal or hexadecimal: what holds a digit, and a whole word of the letters a to f."""


class Asked:
    """One statement as it was sent, by reference to what can't change any more.

    Args:
        session: the one that sees it.
        side: of the connection, in that session.
        sql: as sent, `$1` for binds; or with `%s`, where the client writes them into the text itself.

    Attributes:
        binds: as dumped, in the order of their numbers, with their OIDs and formats (0 text, 1 binary, -1 a literal).
        rows: of an executemany, the binds of each.
        written: of a COPY FROM STDIN that is over, what was sent.
    """

    __slots__ = ("binds", "rows", "session", "side", "sql", "written")

    def __init__(self, session: Any, side: Any, sql: bytes) -> None:
        self.session = session
        self.side = side
        self.sql = sql
        self.binds: _Binds | None = None
        self.rows: list[_Binds] | None = None
        self.written: list[bytes] | None = None

    def bind(self, query: Any) -> None:
        """Take the text and the binds of a PostgresQuery; those that it writes into the text stand beside it."""
        self.sql, self.binds = _taken(query)

    def bind_to(self, params: Sequence[Any] | None, types: Sequence[int], formats: Sequence[int] | None) -> None:
        """Take binds as libpq gets them."""
        self.binds = _dumped(params, types, formats) if params else None

    def add(self, query: Any) -> None:
        """Take one more execution of an executemany."""
        self.sql, binds = _taken(query)
        assert self.rows is not None
        self.rows.append(binds or ([], (), None))

    def copying(self, written: list[bytes]) -> Asked:
        """The same COPY with what was sent for it."""
        asked = Asked(self.session, self.side, self.sql)
        asked.written = written
        return asked

    def form(self) -> dict[str, Any]:
        """In the form of the kind sql."""
        sql = text_of(self.sql)
        many = self.rows is not None
        binds: Any
        if self.written is not None:
            many, binds = _copied(sql, b"".join(self.written))
        elif self.rows is not None:
            binds = [_values(row) for row in self.rows]
        else:
            binds = None if self.binds is None else _values(self.binds)
        return {
            "driver": "psycopg",
            "dialect": "postgres",
            "database": self.side if isinstance(self.side, str) else self.side.database,
            "sql": without_numbers(sql),
            "binds": binds or None,
            "many": many,
        }


_Binds = tuple[Sequence[Any], Sequence[int], Sequence[int] | None]


def _taken(query: Any) -> tuple[bytes, _Binds | None]:
    """The text of a PostgresQuery, and its binds as they are now."""
    params = query.params
    if not params:
        return query.query, None
    template = getattr(query, "template", None)
    if template is not None:
        return template, _dumped(params, (), [-1] * len(params))
    return query.query, _dumped(params, query.types, query.formats)


def _dumped(params: Sequence[Any], types: Sequence[int], formats: Sequence[int] | None) -> _Binds:
    return [bind if type(bind) is bytes else _frozen(bind) for bind in params], types, formats


def _values(binds: _Binds) -> list[Any]:
    values, types, formats = binds
    return [
        _value(value, types[index] if index < len(types) else 0, 0 if formats is None else formats[index])
        for index, value in enumerate(values)
    ]


_COPIED_COLUMNS: Final = re.compile(r"""^COPY\s+[\w."]+\s*\(([^()]*)\)\s*(?:FROM|TO)\b""", re.IGNORECASE)


def copied_columns(sql: str) -> list[str]:
    """The columns that a COPY lists; none where it lists none."""
    match = _COPIED_COLUMNS.match(folded(sql))
    return [] if match is None else [name.strip().strip('"') for name in match[1].split(",")]


def _copied(sql: str, data: bytes) -> tuple[bool, list[Any]]:
    """What a COPY FROM STDIN was given: rows by the columns that it lists, where it is text of as many; or one text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False, [data]
    columns = copied_columns(sql)
    rows = [line.split("\t") for line in text.removesuffix("\n").split("\n")] if columns and text else []
    if not rows or any(len(row) != len(columns) for row in rows):
        return False, [text]
    return True, [dict(zip(columns, row, strict=True)) for row in rows]


def _frozen(bind: Any) -> bytes | None:
    return None if bind is None else bytes(bind)


def text_of(data: bytes) -> str:
    """SQL and names as text; what isn't UTF-8 as if each byte were a character."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _value(bind: bytes | None, oid: int, form: int) -> Any:
    """A bind as a value that is equal whatever format it was dumped in, and that people can read."""
    if bind is None:
        return None
    try:
        return _of_literal(bind.decode()) if form < 0 else (_of_binary if form else _of_text)(bind, oid)
    except (ValueError, struct.error):
        return bind


def _of_text(bind: bytes, oid: int) -> Any:
    text = bind.decode()
    if oid in _INTEGERS:
        return int(text)
    if oid == _BOOL:
        return text in ("t", "true")
    if oid in _FLOATS:
        return _number(float(text))
    return str(uuid.UUID(text)) if oid == _UUID else text


def _of_binary(bind: bytes, oid: int) -> Any:
    if oid in _INTEGERS:
        return _INTEGERS[oid].unpack(bind)[0]
    if oid == _BOOL:
        return bind != b"\0"
    if oid in _FLOATS:
        return _number(_FLOATS[oid].unpack(bind)[0])
    if oid == _UUID:
        return str(uuid.UUID(bytes=bind))
    if oid == _JSONB and bind[:1] == b"\1":
        return bind[1:].decode()
    return bind.decode() if oid in _TEXT_OIDS else bind


def _number(value: float) -> float | str:
    """A float; NaN, which equals nothing, as text."""
    return value if value == value else "NaN"  # noqa: PLR0124 - the one test for NaN


_LITERAL: Final = re.compile(r"^ ?(E?)'((?:[^']|'')*)'(?:::[\w .\"\[\]]+)?$", re.DOTALL)


def _of_literal(text: str) -> Any:
    """A literal that the client wrote into the text, as the value that it spells where that is plain."""
    quoted = _LITERAL.match(text)
    if quoted is not None:
        spelt = quoted[2].replace("''", "'")
        return spelt.replace("\\\\", "\\") if quoted[1] else spelt
    plain = text.strip()
    if plain in ("NULL", "true", "false"):
        return {"NULL": None, "true": True, "false": False}[plain]
    return int(plain) if re.fullmatch(r"-?\d+", plain) else plain


@functools.lru_cache(maxsize=2048)
def without_numbers(sql: str) -> str:
    """A statement about a server-side cursor with the numbers in its name as `#`: they are addresses and counters."""
    match = _CURSOR.match(sql) or _SOUGHT_CURSOR.match(sql)
    if match is None:
        return sql
    return f"{match[1]}{_NUMBER.sub('#', match[2])}{sql[match.end() :]}"


@functools.lru_cache(maxsize=2048)
def is_local(sql: bytes) -> str:
    """What a statement is that concerns the connection alone: its keyword, PING for a pool's question; else ""."""
    statement = folded(text_of(sql))
    if ";" in statement:
        return ""
    if not statement or _PING.fullmatch(statement):
        return "PING"
    keyword = first_keyword(statement)
    if keyword in ("COMMIT", "ROLLBACK") and " PREPARED " in f"{statement.upper()} ":
        return ""
    return keyword if keyword in _TRANSACTION else ""
