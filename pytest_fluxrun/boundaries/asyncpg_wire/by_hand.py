"""Answers that no recording holds: a part of another one, what a guard says in words, a call made anew elsewhere.

A statement that no run has used must be prepared before it can be executed. What it is like only a server knows, so
that its preparation is asked of a development environment too; it changes nothing there.
"""

from __future__ import annotations

import asyncio
import struct
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from pytest_fluxrun.boundaries.asyncpg_wire.asked import Asked
from pytest_fluxrun.boundaries.asyncpg_wire.description import Description
from pytest_fluxrun.boundaries.asyncpg_wire.fields import JSON, JSONB, parted
from pytest_fluxrun.boundaries.asyncpg_wire.link import link_of
from pytest_fluxrun.boundaries.asyncpg_wire.messages import pieces_of
from pytest_fluxrun.boundaries.asyncpg_wire.outcome import Outcome
from pytest_fluxrun.boundaries.asyncpg_wire.statements import STATUS_ONLY
from pytest_fluxrun.boundary import Boundary, Call, Picks, Request
from pytest_fluxrun.context import Clock, Lane, entered
from pytest_fluxrun.environments import address_of
from pytest_fluxrun.errors import GuardError
from pytest_fluxrun.kinds.insertions import inserted
from pytest_fluxrun.kinds.sql import first_keyword, folded, positions, unlocked, written_rows
from pytest_fluxrun.values import Value, decode, encode

__all__ = ["asked_anew", "inserted_there", "projected", "spoken", "written"]

_TIMEOUT_S: Final = 30
_INTEGERS: Final = {21: "!h", 23: "!i", 20: "!q", 26: "!I"}
_FLOATS: Final = {700: "!f", 701: "!d"}
_BOOL, _UUID, _DATE, _TIMESTAMP, _TIMESTAMPTZ = 16, 2950, 1082, 1114, 1184
_TEXTS: Final = frozenset({18, 19, 25, 705, 1042, 1043, JSON, JSONB})
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


# -- a part of another answer ----------------------------------------------------------------------------------------


def projected(value: Value, picks: Picks) -> Value:
    """The stored answer with some of its columns; None where it has none."""
    if "~" in value or not value.get("columns"):
        return None
    picked = positions(value["columns"], picks)
    if picked is None:
        return None
    places, names = picked
    rows = [[row[place] for place in places] for row in decode(value["rows"])]
    types = [value["types"][place] for place in places]
    return {**value, "columns": names, "types": types, "rows": encode(rows)}


# -- in words --------------------------------------------------------------------------------------------------------


def written(request: Request, reply: Mapping[str, Any]) -> Value:
    """What a guard tells in words, to be made into messages when the columns' types are known; see `spoken`.

    Raises:
        GuardError: it is no answer, or only a server knows it: what a new statement is like.
    """
    if "prepare" in request:
        raise GuardError(
            "a guard can't say what a new statement of asyncpg is like",
            why="its parameters' and columns' types are its server's affair",
            next_step="ask a development environment: `fluxrun extend RUN --live NAME`",
        )
    said = written_rows(reply, "asyncpg", request)
    keyword = first_keyword(folded(request["sql"]))
    status = f"INSERT 0 {said.count}" if keyword == "INSERT" else f"{keyword} {said.count}"
    return {"by_hand": {"columns": said.columns, "rows": encode(said.rows), "status": status}}


def spoken(value: Value, call: Asked) -> Outcome | None:
    """What a server would have said, of an answer in words or of a preparation; None of all others."""
    if "description" in value:
        description = Description.load(value["description"])
        if call.prepares is not None:
            call.prepares(description)
        return Outcome.local(description.answer())
    if "by_hand" not in value:
        return None
    words = value["by_hand"]
    described = call.outcome.description
    types = () if described is None else described.types
    rows = [_row(row, words["columns"], described) for row in decode(words["rows"])]
    messages: list[Any] = ["2", *([["D", len(rows)]] if rows else ()), ["C", words["status"]], ["Z", "I"]]
    outcome = Outcome()
    outcome.played = True
    outcome.stages = [pieces_of(messages, rows, types)]
    return outcome


def _row(row: list[Any], columns: list[str], described: Description | None) -> list[Any]:
    """The fields of a row in words, in the order and the types of the statement's columns."""
    known = () if described is None else described.columns
    if described is None or sorted(known) != sorted(columns):
        raise GuardError(
            f"the guard's rows have the columns {', '.join(columns)}",
            why=f"the statement gives {', '.join(known) or 'none'}",
            next_step="name those, in any order",
        )
    said = dict(zip(columns, row, strict=True))
    return [
        None if said[name] is None else parted(_encoded(said[name], oid), oid)
        for name, oid in zip(known, described.types, strict=True)
    ]


def _encoded(cell: Any, oid: int) -> bytes:
    """A value in PostgreSQL's binary format.

    Raises:
        GuardError: it isn't one of the type, or the type is one that no words are made into.
    """
    try:
        return _binary(cell, oid)
    except (struct.error, TypeError, ValueError, AttributeError) as error:
        raise GuardError(
            f"the guard's value {cell!r} can't be given back",
            why=f"the column's type has the object id {oid}: {error}",
            next_step="correct it, or ask a development environment: `fluxrun extend RUN --live NAME`",
        ) from error


def _binary(cell: Any, oid: int) -> bytes:
    if oid in _INTEGERS or oid in _FLOATS:
        return struct.pack(_INTEGERS.get(oid) or _FLOATS[oid], cell)
    if oid == _BOOL:
        return b"\1" if cell else b"\0"
    if oid == _UUID:
        return (uuid.UUID(int=cell) if isinstance(cell, int) else uuid.UUID(cell)).bytes
    if oid in (_TIMESTAMP, _TIMESTAMPTZ):
        aware = cell if cell.tzinfo else cell.replace(tzinfo=UTC)
        return struct.pack("!q", round((aware - _EPOCH).total_seconds() * 1e6))
    if oid == _DATE and isinstance(cell, date):
        return struct.pack("!i", (cell - _EPOCH.date()).days)
    if oid in _TEXTS and isinstance(cell, str):
        return (b"\1" if oid == JSONB else b"") + cell.encode()
    raise ValueError("no words are made into it")


# -- made anew -------------------------------------------------------------------------------------------------------


class _Listening:
    """A session that lets calls go and keeps the last one's answer."""

    def __init__(self) -> None:
        self.clock: Clock | None = None
        self.preamble = self.closed = self.answers = False
        self.answer: Value = None

    def ambient_for(self, lane: Lane) -> None:
        """Nothing is read."""

    def read(self, source: str, key: str, live: Callable[[], Any]) -> Any:
        """What is there."""
        del source, key
        return live()

    async def acall(self, boundary: Boundary[Any], call: Call, live: Callable[[], Awaitable[Any]]) -> Any:
        """Make it, and keep its answer."""
        del call
        result = await live()
        self.answer = boundary.dump(result)
        return result


def asked_anew(request: Request, environment: Mapping[str, Any]) -> Value:
    """What a statement, or its preparation, gives in the database that the environment's `postgres` names.

    Raises:
        SettingsError: the environment doesn't name it.
        asyncpg.PostgresError: it refuses the statement.
        OSError: it can't be reached.
    """
    address = address_of(environment, "postgres", request["database"])
    return asyncio.run(_asked(address, request))


async def _asked(address: str, request: Request) -> Value:
    import asyncpg  # type: ignore[import-untyped]

    session = _Listening()
    with entered(Lane(session)):
        connection = await asyncpg.connect(address, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S)
        try:
            async with connection.transaction(readonly=True):
                await _made(connection, request)
                if "prepare" in request:
                    state = (await connection.prepare(request["sql"]))._state  # noqa: SLF001 - as Description.of does
                    types = link_of(connection._protocol).types  # noqa: SLF001 - where the link is
                    return {"description": Description.of(state, types).text}
                return session.answer
        finally:
            await connection.close()


async def _made(connection: Any, request: Request) -> None:
    """The call, by the method whose answer is the recorded form's."""
    if "prepare" in request:
        return
    binds, gives = request["binds"] or (), request["driver"].partition(", ")[2]
    sql = unlocked(folded(request["sql"]))
    if gives == STATUS_ONLY:
        await connection.execute(sql)
    elif gives == "1 row":
        await connection.fetchrow(sql, *binds)
    else:
        await connection.fetch(sql, *binds)


def inserted_there(request: Request, number: int, environment: Mapping[str, Any]) -> dict[str, Any] | None:
    """See `insertions.inserted`; the reads are made in the database that the environment's `postgres` names."""

    def asked(read: Request) -> list[list[str | None]]:
        rows: list[list[str | None]] = decode(asked_anew({**read, "driver": "asyncpg"}, environment)["rows"])
        return rows

    return None if "prepare" in request else inserted(request, number, asked)
