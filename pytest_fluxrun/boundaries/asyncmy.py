"""asyncmy: commands that its connections send, and the bytes of the answers, as its own protocol receives them.

The compiled cursors, parsers and pools above run for real at replay; there no socket is opened. What a cursor was given
is the request: the statement with its `%s`, and the binds. Prepared statements, which are asked for, are refused.
"""

# ruff: noqa: SLF001 - the seams lie on the driver's own inner methods
from __future__ import annotations

import asyncio
import functools
import sys
import weakref
from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.mysql.answer import Answer
from pytest_fluxrun.boundaries.mysql.coroutines import connecting, forget, nothing_live
from pytest_fluxrun.boundaries.mysql.errors import SERVER_LOST, leaves_closed
from pytest_fluxrun.boundaries.mysql.given import Given
from pytest_fluxrun.boundaries.mysql.knowledge import Knowledge
from pytest_fluxrun.boundaries.mysql.library import MysqlLibrary
from pytest_fluxrun.boundaries.mysql.packets import AUTOCOMMIT, end_body
from pytest_fluxrun.boundaries.mysql.results import LOCAL_INFILE
from pytest_fluxrun.boundaries.mysql.statements import Asked, form, is_local
from pytest_fluxrun.boundaries.mysql.wires import within_replay
from pytest_fluxrun.boundary import Call, Patch, Uncovered
from pytest_fluxrun.context import crossing
from pytest_fluxrun.errors import RecordedError
from pytest_fluxrun.kinds.sql import folded
from pytest_fluxrun.values import Value, load_error, plain

__all__ = ["AsyncmyBoundary", "boundary"]

_ERRORS: Final = "asyncmy.errors"
_PREPARED: Final = frozenset({0x16, 0x17, 0xFA})
"""COM_STMT_PREPARE, COM_STMT_EXECUTE, COM_STMT_BULK_EXECUTE of MariaDB."""
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
    "_auth_plugin_name": "",
    "_deprecate_eof": False,
    "_bulk_supported": False,
}
"""What a connection knows of its server once it is connected, with what it knows where no recording tells."""


class AsyncmyBoundary(MysqlLibrary):
    """Connections of asyncmy."""

    name: ClassVar[str] = "asyncmy"
    modules = ("asyncmy.connection",)
    distribution = "asyncmy"
    tested = ("0.2.13", "0.2.18")
    blocking = False
    database = "db"

    def patches(self, module: Any) -> Iterable[Patch]:
        """What connects, sends and receives; and what makes cursors, whose class itself can't be changed."""
        if not hasattr(module, "_MySQLProtocol"):
            yield Patch(module.Connection, "connect", _OLD.arefuse)
            yield Patch(module.Connection, "_execute_command", _OLD.arefuse)
            return
        unplugged = functools.partial(_unplugged, module._MySQLProtocol)
        yield Patch(module.Connection, "connect", connecting(self, _KNOWLEDGE, _TOLD, unplugged))
        yield Patch(module.Connection, "_execute_command", functools.partial(_execute_command, module._MySQLProtocol))
        yield Patch(module.Connection, "cursor", _cursor)
        yield Patch(module._MySQLProtocol, "buffer_updated", _buffer_updated)

    def load_error(self, value: Value, call: Call) -> BaseException:
        """The error; the driver's own are compiled classes, which only their own constructors make."""
        error = super().load_error(value, call)
        module, _, name = str(value["type"]).partition(":")
        kind = getattr(sys.modules.get(module), name, None) if module == _ERRORS else None
        if not isinstance(error, RecordedError) or not isinstance(kind, type) or not issubclass(kind, Exception):
            return error
        made = kind(*map(plain, value["args"]))
        made.sqlstate = plain(value["attributes"].get("sqlstate"))  # type: ignore[attr-defined]  # all of them have it
        made.__cause__, made.__context__ = error.__cause__, error.__context__
        made.__suppress_context__ = error.__suppress_context__
        return made

    def connector(self) -> Callable[..., Any]:
        """See `asyncmy.connect`."""
        connect: Callable[..., Any] = import_module("asyncmy").connect
        return connect


class _PreparedStatements(Uncovered):
    """What is sent and answered in the binary protocol."""

    name = "a prepared statement of asyncmy"
    modules = ()
    instead = "connect without stmt_cache_size, and use a cursor in the place of Connection.prepare"

    def patches(self, module: Any) -> Iterable[Patch]:
        """None: they go through the connection's own seam."""
        del module
        return ()


class _Old(Uncovered):
    """asyncmy as it was before it had a protocol of its own."""

    name = "asyncmy before 0.2.13"
    modules = ()
    instead = "install asyncmy 0.2.13 or later"

    def patches(self, module: Any) -> Iterable[Patch]:
        """None: the boundary installs what refuses it."""
        del module
        return ()

    def arefuse(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """`refuse` for coroutine functions."""

        @functools.wraps(original)
        async def refused(*args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is not None:
                session.uncovered(self)
            return await original(*args, **kwargs)

        return refused


boundary = AsyncmyBoundary()
_OLD: Final = _Old()
_UNCOVERED: Final = _PreparedStatements()
_KNOWLEDGE: Final = Knowledge(boundary.name, _TOLD)


def _spelled(procname: str, count: int) -> list[str]:
    return ["SET " + ",".join(f"@_{procname}_{index}=%s" for index in range(count))]


_GIVEN: Final = Given("connection", _spelled)


# -- cursors


def _cursor(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def cursor(self: Any, cursor: Any = None) -> Any:
        if crossing() is None:
            return original(self, cursor)
        return original(self, _seamed(cursor or self._cursor_cls))

    return cursor


@functools.lru_cache(maxsize=64)
def _seamed(factory: Any) -> Any:
    """A cursor class with the seams above its own methods; what isn't a class stays as it is."""
    if not isinstance(factory, type):
        return factory
    names = {"__module__": factory.__module__, "__qualname__": factory.__qualname__, "__doc__": factory.__doc__}
    seams = {
        "execute": _GIVEN.aexecute(factory.execute),  # type: ignore[attr-defined]  # a class of cursors
        "executemany": _GIVEN.aexecutemany(factory.executemany),  # type: ignore[attr-defined]
        "callproc": _GIVEN.acallproc(factory.callproc),  # type: ignore[attr-defined]
    }
    return type(factory.__name__, (factory,), {**names, **seams})


# -- connections


def _unplugged(protocol: Any, connection: Any) -> None:
    connection._proto = protocol(asyncio.get_running_loop())
    connection._transport = _Unplugged(connection._proto)
    connection._connected = True


def _execute_command(protocol: Any, original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(original)
    async def execute_command(self: Any, command: int, sql: Any) -> None:
        session = crossing()
        if session is None or not self._connected:
            _leave(self)
            await original(self, command, sql)
            return
        if command in _PREPARED:
            session.uncovered(_UNCOVERED)
            await original(self, command, sql)
            return
        given = vars(self).get("_fx_asked")
        asked = given.pop() if given else Asked(sql, command=command, encoding=self._encoding)
        call = Call(functools.partial(form, boundary.name, self._db, asked))
        if session.answers:
            _unplug(self, protocol)
            _KNOWLEDGE.note(self, session)
            await _replay(self, session, call, functools.partial(original, self, command, sql))
        else:
            _plug(self)
            _KNOWLEDGE.note(self, session)
            await session.acall(boundary, call, functools.partial(_send, self, session, original, command, sql))

    return execute_command


async def _send(connection: Any, session: Any, original: Any, command: int, sql: Any) -> Answer:
    """Send a command, and wait for the first packet of the answer, which says whether it is an error."""
    answer = Answer(session, ends_by_ok=connection._deprecate_eof)
    protocol = connection._proto
    await original(connection, command, sql)
    protocol._fx_answer = weakref.ref(answer)
    packet = await connection.read_packet()
    data = packet.get_all_data()
    answer.by_file = data[0] == LOCAL_INFILE
    protocol.pos -= len(data) + 4  # the driver's parsers read it from the buffer: nothing has moved it since
    connection._next_seq_id = 1
    return answer


def _buffer_updated(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def buffer_updated(self: Any, nbytes: int) -> None:
        kept = vars(self).get("_fx_answer")
        if kept is not None:
            answer = kept()
            if answer is not None:
                answer.add(bytes(memoryview(self.buffer)[self.length : self.length + nbytes]))
        original(self, nbytes)

    return buffer_updated


def _leave(connection: Any) -> None:
    """What follows belongs to no run."""
    if "_fx_session" in vars(connection):
        if connection._proto is not None:
            connection._proto._fx_answer = None
        if not within_replay():
            _plug(connection)


# -- replays


class _Unplugged:
    """Stands for a connection's transport in a replay: nothing is sent. After it, the server has gone away.

    Attributes:
        parked: what a live connection had in its place, to be put back after the replay.
        closed: the connection can be used no more.
    """

    def __init__(self, protocol: Any, parked: dict[str, Any] | None = None) -> None:
        self._protocol = protocol
        self.parked = parked
        self.closed = False

    def write(self, data: bytes) -> None:
        """Send nothing."""

    def is_closing(self) -> bool:
        """Whether it was closed, or made in a replay that is over."""
        return self.closed or not within_replay()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """There is no socket."""
        del name
        return default

    def close(self) -> None:
        """Close what is parked as well."""
        self.closed = True
        self._protocol.connection_lost(None)
        parked, self.parked = self.parked, None
        if parked is not None and parked["_transport"] is not None:
            parked["_transport"].close()


async def _replay(connection: Any, session: Any, call: Call, send: Callable[[], Awaitable[None]]) -> None:
    """Answer a command; what was left of the answer before is read then, as it is before one is sent."""
    protocol = connection._proto
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
        if error.args[:1] == (SERVER_LOST,) and isinstance(connection._transport, _Unplugged):
            connection._transport.closed = protocol.eof = True  # it stays connected, and finds out when it next sends
        elif leaves_closed(error):
            connection.close()
        raise
    protocol._fx_drains = True
    await send()
    protocol._fx_drains = False
    answer.leave(connection.server_status)
    _give(connection, protocol, answer, ReadingOn(boundary, session, call.form, of="byte"))


def _give(connection: Any, protocol: Any, answer: Answer, reading_on: ReadingOn) -> None:
    """Fill a protocol's buffer with an answer, as if the server had sent it all."""
    stream = answer.stream(ends_by_ok=connection._deprecate_eof)
    protocol.buffer, protocol.length, protocol.pos = bytearray(stream), len(stream), 0

    async def wait_for_data(*_: int) -> None:
        if not within_replay():
            protocol.eof = True
        elif answer.failure is not None:
            protocol.exc = load_error(answer.failure)
        elif answer.lost:
            protocol.eof = True
        elif protocol._fx_drains:
            body = end_body(0, 0)
            packet = len(body).to_bytes(3, "little") + bytes((connection._next_seq_id,)) + body
            protocol.buffer, protocol.length, protocol.pos = bytearray(packet), len(packet), 0
        else:
            await reading_on.arefuse(len(stream))

    protocol.wait_for_data = wait_for_data


def _unplug(connection: Any, protocol: Any) -> None:
    """Take the transport of a live connection away for the length of the replay."""
    if not isinstance(connection._transport, _Unplugged):
        parked = {**_KNOWLEDGE.of(connection), "_transport": connection._transport, "_proto": connection._proto}
        connection._proto = protocol(asyncio.get_running_loop())
        connection._transport = _Unplugged(connection._proto, parked)
        forget(connection)


def _plug(connection: Any) -> None:
    """Give a live connection that was used in a replay its transport back."""
    plugged = connection._transport
    if isinstance(plugged, _Unplugged) and plugged.parked is not None:
        for name, kept in plugged.parked.items():
            setattr(connection, name, kept)
        connection._result = None
