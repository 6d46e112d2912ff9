"""aiomysql: commands that its connections send, and the bytes of the answers, as its own stream reader is fed them.

The cursors, pools, converters and result classes above run for real at replay; there no socket is opened. What a cursor
was given is the request: the statement with its `%s`, and the binds.
"""

# ruff: noqa: SLF001 - the seams lie on the driver's own inner methods
from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.mysql.answer import Answer
from pytest_fluxrun.boundaries.mysql.coroutines import connecting, forget, nothing_live
from pytest_fluxrun.boundaries.mysql.errors import leaves_closed
from pytest_fluxrun.boundaries.mysql.given import Given
from pytest_fluxrun.boundaries.mysql.knowledge import Knowledge
from pytest_fluxrun.boundaries.mysql.library import MysqlLibrary
from pytest_fluxrun.boundaries.mysql.packets import AUTOCOMMIT
from pytest_fluxrun.boundaries.mysql.results import LOCAL_INFILE
from pytest_fluxrun.boundaries.mysql.statements import Asked, form, is_local
from pytest_fluxrun.boundaries.mysql.wires import AwaitedTap, Played, PlayedReader, UnpluggedWriter, within_replay
from pytest_fluxrun.boundary import Call, Patch
from pytest_fluxrun.context import crossing
from pytest_fluxrun.kinds.sql import folded

__all__ = ["AiomysqlBoundary", "boundary"]

_TOLD: Final[dict[str, Any]] = {
    "server_version": "8.0.0",
    "server_thread_id": (0,),
    "protocol_version": 10,
    "server_capabilities": 0,
    "server_language": 0,
    "server_charset": None,
    "server_status": AUTOCOMMIT,
    "host_info": "Not connected",
    "_charset": None,
    "_encoding": None,
    "_secure": False,
    "_server_auth_plugin": "",
    "_auth_plugin_used": "",
}
"""What a connection knows of its server once it is connected, with what it knows where no recording tells."""


class AiomysqlBoundary(MysqlLibrary):
    """Connections of aiomysql."""

    name: ClassVar[str] = "aiomysql"
    modules = ("aiomysql.connection",)
    distribution = "aiomysql"
    tested = ("0.1.1", "0.3.2")
    blocking = False
    database = "db"

    def patches(self, module: Any) -> Iterable[Patch]:
        """What connects and what sends; of cursors, what knows the binds."""
        yield Patch(module.Connection, "_connect", connecting(self, _KNOWLEDGE, _TOLD, _unplugged))
        yield Patch(module.Connection, "_execute_command", _execute_command)
        yield Patch(module.MySQLResult, "_finish_unbuffered_query", _finish_unbuffered_query)
        yield Patch(module.Cursor, "execute", _GIVEN.aexecute)
        yield Patch(module.Cursor, "executemany", _GIVEN.aexecutemany)
        yield Patch(module.Cursor, "callproc", _GIVEN.acallproc)

    def connector(self) -> Callable[..., Any]:
        """See `aiomysql.connect`."""
        connect: Callable[..., Any] = import_module("aiomysql").connect
        return connect


boundary = AiomysqlBoundary()
_KNOWLEDGE: Final = Knowledge(boundary.name, _TOLD)
_GIVEN: Final = Given("_connection", lambda name, count: [f"SET @_{name}_{index}=%s" for index in range(count)])


# -- connections


def _unplugged(connection: Any) -> None:
    connection._reader, connection._writer = PlayedReader(), UnpluggedWriter()
    connection.connected_time = connection._loop.time()


def _execute_command(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(original)
    async def execute_command(self: Any, command: int, sql: Any) -> None:
        session = crossing()
        if session is None or not self._writer:
            _leave(self)
            await original(self, command, sql)
            return
        given = vars(self).get("_fx_asked")
        asked = given.pop() if given else Asked(sql, command=command, encoding=self._encoding)
        call = Call(functools.partial(form, boundary.name, self._db, asked))
        if session.answers:
            await _replay(self, session, call, functools.partial(original, self, command, sql))
        else:
            _plug(self)
            _KNOWLEDGE.note(self, session)
            await session.acall(boundary, call, functools.partial(_send, self, session, original, command, sql))

    return execute_command


async def _send(connection: Any, session: Any, original: Any, command: int, sql: Any) -> Answer:
    """Send a command, and read the first packet of the answer, which says whether it is an error."""
    answer = Answer(session)
    tap = _tap(connection)
    await original(connection, command, sql)
    tap.turn(answer)
    packet = await connection._read_packet()
    answer.by_file = packet.get_all_data()[0] == LOCAL_INFILE

    async def read_packet(packet_type: Any = None) -> Any:
        del packet_type, connection._read_packet
        return packet

    connection._read_packet = read_packet  # the driver's next call of it; then the class's is called again
    return answer


def _tap(connection: Any) -> AwaitedTap:
    """The tap on what the connection is fed: put there when it is first used in a run."""
    reader = connection._reader
    tap = reader.feed_data
    if not isinstance(tap, AwaitedTap):
        tap = reader.feed_data = AwaitedTap(reader.feed_data)
    return tap


def _leave(connection: Any) -> None:
    """What follows belongs to no run."""
    if "_fx_session" in vars(connection):
        tap = getattr(connection._reader, "feed_data", None)
        if isinstance(tap, AwaitedTap):
            tap.turn(None)
        if not within_replay():
            _plug(connection)


# -- replays


async def _replay(connection: Any, session: Any, call: Call, send: Callable[[], Awaitable[None]]) -> None:
    """Answer a command; what was left of the answer before is read then, as it is before one is sent."""
    _unplug(connection)
    _KNOWLEDGE.note(connection, session)
    statement = folded(call.form()["sql"])
    if is_local(statement):
        call.otherwise = lambda: Answer.local(statement, connection.server_status)
    try:
        answer = await session.acall(boundary, call, nothing_live)
    except asyncio.CancelledError:
        connection._close_on_cancel()
        raise
    except Exception as error:
        forget(connection)
        if leaves_closed(error):
            connection.close()
        raise
    await send()
    answer.leave(connection.server_status)
    connection._reader = PlayedReader(Played(answer, ReadingOn(boundary, session, call.form, of="byte")))


def _unplug(connection: Any) -> None:
    """Take the streams of a live connection away for the length of the replay."""
    if not isinstance(connection._writer, UnpluggedWriter):
        parked = {**_KNOWLEDGE.of(connection), "_writer": connection._writer, "_reader": connection._reader}
        connection._writer, connection._reader = UnpluggedWriter(parked), PlayedReader()
        forget(connection)


def _plug(connection: Any) -> None:
    """Give a live connection that was used in a replay its streams back."""
    plugged = connection._writer
    if isinstance(plugged, UnpluggedWriter) and plugged.parked is not None:
        vars(connection).update(plugged.parked, _result=None)


def _finish_unbuffered_query(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(original)
    async def finish_unbuffered_query(self: Any) -> None:
        reader = getattr(self.connection, "_reader", None)
        if isinstance(reader, PlayedReader):
            reader.drain()
        await original(self)

    return finish_unbuffered_query
