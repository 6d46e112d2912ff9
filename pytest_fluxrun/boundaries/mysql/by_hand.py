"""Answers that no recording holds: what a guard says in words, a read made anew elsewhere. No driver is imported.

Neither says in which transaction the connection is: that stays as it is in the replay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from pytest_fluxrun.boundaries.mysql.packets import Field, Ok, end_body, integer, joined, row_body
from pytest_fluxrun.boundaries.mysql.results import dump_results
from pytest_fluxrun.boundary import Boundary, Call, Request
from pytest_fluxrun.context import Clock, Lane, beneath, entered
from pytest_fluxrun.environments import address_of
from pytest_fluxrun.errors import GuardError, SettingsError
from pytest_fluxrun.kinds import sql
from pytest_fluxrun.values import Value

__all__ = ["KEEPS_STATUS", "Words", "asked_anew", "made_up", "packets_of", "place_of"]

KEEPS_STATUS: Final = "keeps_status"
"""Key of a stored answer that tells nothing of the connection's transaction."""
_TIMEOUT_S: Final = 30
_TEXT: Final = 253
_DECIMAL: Final = 246
_TYPES: Final = {bool: 1, int: 8, float: 5, str: _TEXT, Decimal: _DECIMAL, datetime: 12, date: 10, time: 11}
"""The type that a value of a guard has in MySQL: TOML's own ones, and Decimal."""
_NAMED: Final = {
    "tinyint": 1, "int": 3, "bigint": 8, "double": 5, "varchar": _TEXT, "decimal": _DECIMAL,
    "datetime": 12, "date": 10, "time": 11,
}  # fmt: skip
"""What `types` of a guard's reply may name."""
_UTF8MB4: Final = 45
_BINARY: Final = 63


# -- in words --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Words:
    """What a guard tells: columns with their types, rows as mysqlclient would give them, and an INSERT's number."""

    columns: list[str]
    types: list[int]
    rows: list[tuple[Any, ...]]
    count: int
    insert_id: int

    @classmethod
    def of(cls, reply: Mapping[str, Any], driver: str, request: Request) -> Words:
        """`rows`, `count`, `types`, and `lastrowid`.

        Raises:
            GuardError: it is no answer.
        """
        told = {key: said for key, said in reply.items() if key != "lastrowid"}
        said = sql.written_rows(told, driver, request)
        number = reply.get("lastrowid", 0)
        if type(number) is not int:
            raise _no_value(number, "`lastrowid` is a number")
        kinds = [_type_of(said, place) for place in range(len(said.columns))]
        rows = [tuple(map(_cell, row, kinds)) for row in said.rows]
        return cls(said.columns, kinds, rows, said.count, number)


def made_up(request: Request, number: int) -> dict[str, Any] | None:
    """A reply to a statement that writes: `kinds.sql.sketched`, and of an INSERT a row's number."""
    reply = sql.sketched(request, number)
    inserts = sql.first_keyword(sql.folded(request["sql"])) in ("INSERT", "REPLACE")
    return {**reply, "lastrowid": number} if reply is not None and "rows" not in reply and inserts else reply


def packets_of(words: Words) -> Value:
    """As the stored answer of a driver that reads packets."""
    if words.columns:
        bodies = [integer(len(words.columns))]
        for name, kind in zip(words.columns, words.types, strict=True):
            charset = _UTF8MB4 if kind == _TEXT else _BINARY
            bodies.append(Field(b"def", b"", b"", b"", name.encode(), b"", charset, 0, kind, 0, 0).body())
        rows = [row_body([_data(cell) for cell in row]) for row in words.rows]
        bodies += [end_body(0, 0), *rows, end_body(0, 0)]
    else:
        bodies = [Ok(words.count, words.insert_id, 0, 0).body()]
    return {**dump_results(joined(bodies)), KEEPS_STATUS: True}


def _type_of(said: sql.Written, place: int) -> int:
    """A column's type: as named, else that of its first value."""
    name = said.types.get(said.columns[place])
    if name is None:
        return next((_TYPES.get(type(row[place]), _TEXT) for row in said.rows if row[place] is not None), _TEXT)
    if name not in _NAMED:
        raise _no_value(name, f"as a type of MySQL's, `types` may name {', '.join(_NAMED)}")
    return _NAMED[name]


def _cell(cell: Any, kind: int) -> Any:
    if kind == _DECIMAL and isinstance(cell, str | int | float):
        return Decimal(str(cell))
    if isinstance(cell, bool):
        return int(cell)
    if isinstance(cell, datetime):  # MySQL's have no zone
        return cell if cell.tzinfo is None else cell.astimezone(UTC).replace(tzinfo=None)
    if isinstance(cell, time):
        return timedelta(hours=cell.hour, minutes=cell.minute, seconds=cell.second, microseconds=cell.microsecond)
    if cell is None or type(cell) in _TYPES:
        return cell
    raise _no_value(cell, f"no column of MySQL's is a {type(cell).__name__} of TOML's")


def _data(cell: Any) -> bytes | None:
    if cell is None:
        return None
    return (cell.isoformat(" ") if isinstance(cell, datetime) else str(cell)).encode()


def _no_value(cell: Any, why: str) -> GuardError:
    return GuardError(
        f"the guard's value {cell!r} can't be given back",
        why=why,
        next_step="correct it, or ask a development environment: `fluxrun extend RUN --live NAME`",
    )


# -- made anew -------------------------------------------------------------------------------------------------------


class _Listening:
    """A session that lets calls go and keeps the last one's answer, which the driver is still reading."""

    def __init__(self) -> None:
        self.clock: Clock | None = None
        self.preamble = self.closed = self.answers = False
        self.answer: Any = None

    def ambient_for(self, lane: Lane) -> None:
        """Nothing is read."""

    def read(self, source: str, key: str, live: Callable[[], Any]) -> Any:
        """What is there."""
        del source, key
        return live()

    def call(self, boundary: Boundary[Any], call: Call, live: Callable[[], Any]) -> Any:
        """Make it, and keep its answer."""
        del boundary, call
        with beneath():
            self.answer = live()
        return self.answer

    async def acall(self, boundary: Boundary[Any], call: Call, live: Callable[[], Awaitable[Any]]) -> Any:
        """`call` for awaitables."""
        del boundary, call
        with beneath():
            self.answer = await live()
        return self.answer


def place_of(environment: Mapping[str, Any], database: str) -> dict[str, Any]:
    """Where to ask: what a driver's `connect` takes, `database` among it.

    Raises:
        SettingsError: the environment's `mysql` doesn't say.
    """
    address = address_of(environment, "mysql", database)
    url = urlsplit(address)
    options = dict(parse_qsl(url.query))
    socket = options.pop("unix_socket", None)
    if not url.scheme.startswith(("mysql", "mariadb")) or options or not (url.hostname or socket):
        raise SettingsError(
            f"{_without_password(address)} is no address of a MySQL server",
            why="it is mysql://USER:PASSWORD@HOST:PORT/DATABASE; of a query's options only unix_socket is known",
            next_step="correct the environment's `mysql`",
        )
    place: dict[str, Any] = {"host": url.hostname or "localhost", "port": url.port or 3306}
    place |= {"user": unquote(url.username or ""), "password": unquote(url.password or "")}
    place["database"] = unquote(url.path.strip("/")) or database or None
    return place if socket is None else {**place, "unix_socket": socket}


def _without_password(address: str) -> str:
    before, at, after = address.rpartition("@")
    return f"{before.partition('://')[0]}://…@{after}" if at else address


def asked_anew(
    request: Request, connect: Callable[..., Any], place: Mapping[str, Any], *, blocking: bool = True
) -> Any:
    """What a read gives in a database, in a transaction that only reads: the answer that crossed, read to the end.

    Args:
        connect: the driver's, with its seams in place.
        place: see `place_of`, by the names that `connect` has for it.

    Raises:
        Exception: the driver's own errors: the server can't be reached, or refuses the statement.
    """
    session = _Listening()
    with entered(Lane(session)):
        if blocking:
            _ask(request, connect, place)
        else:
            asyncio.run(asyncio.wait_for(_aask(request, connect, place), 2 * _TIMEOUT_S))
    return session.answer


def _ask(request: Request, connect: Callable[..., Any], place: Mapping[str, Any]) -> None:
    with closing(connect(**place, connect_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S)) as connection:
        cursor = connection.cursor()
        cursor.execute("START TRANSACTION READ ONLY")
        cursor.execute(request["sql"], _binds(request))
        while cursor.nextset():
            pass


async def _aask(request: Request, connect: Callable[..., Any], place: Mapping[str, Any]) -> None:
    connection = await connect(**place, connect_timeout=_TIMEOUT_S)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("START TRANSACTION READ ONLY")
            await cursor.execute(request["sql"], _binds(request))
            while await cursor.nextset():
                pass
    finally:
        connection.close()


def _binds(request: Request) -> Any:
    binds = request["binds"]
    return tuple(binds) if isinstance(binds, list) else binds
