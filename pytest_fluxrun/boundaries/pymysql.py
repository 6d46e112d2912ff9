"""PyMySQL: commands that its connections send, and the bytes of the answers, as its own reader takes them.

The cursors, converters and result classes above run for real at replay; there no socket is opened. What a cursor was
given is the request: the statement with its `%s`, and the binds.
"""

# ruff: noqa: SLF001 - the seams lie on the driver's own inner methods
from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.mysql.answer import Answer
from pytest_fluxrun.boundaries.mysql.errors import leaves_closed
from pytest_fluxrun.boundaries.mysql.given import Given
from pytest_fluxrun.boundaries.mysql.knowledge import Knowledge
from pytest_fluxrun.boundaries.mysql.library import MysqlLibrary
from pytest_fluxrun.boundaries.mysql.packets import AUTOCOMMIT
from pytest_fluxrun.boundaries.mysql.results import LOCAL_INFILE
from pytest_fluxrun.boundaries.mysql.statements import Asked, form, is_local
from pytest_fluxrun.boundaries.mysql.wires import Played, Tap, Unplugged, within_replay
from pytest_fluxrun.boundary import Call, Patch
from pytest_fluxrun.context import crossing
from pytest_fluxrun.kinds.sql import folded

__all__ = ["PyMySQLBoundary", "boundary"]

_COM_QUERY: Final = 0x03
_TOLD: Final[dict[str, Any]] = {
    "server_version": "8.0.0",
    "server_thread_id": (0,),
    "protocol_version": 10,
    "server_capabilities": 0,
    "server_language": 0,
    "server_charset": None,
    "server_status": AUTOCOMMIT,
    "host_info": "Not connected",
    "charset": None,
    "encoding": None,
    "collation": None,
    "_secure": False,
    "_auth_plugin_name": "",
}
"""What a connection knows of its server once it is connected, with what it knows where no recording tells."""


class PyMySQLBoundary(MysqlLibrary):
    """Connections of PyMySQL."""

    name: ClassVar[str] = "pymysql"
    modules = ("pymysql.connections",)
    distribution = "PyMySQL"
    tested = ("1.0.2", "1.2.4")

    def patches(self, module: Any) -> Iterable[Patch]:
        """What connects and what sends; of cursors, what knows the binds."""
        yield Patch(module.Connection, "connect", _connect)
        yield Patch(module.Connection, "_execute_command", _execute_command)
        yield Patch(module.MySQLResult, "_finish_unbuffered_query", _finish_unbuffered_query)
        yield Patch(module.Cursor, "execute", _GIVEN.execute)
        yield Patch(module.Cursor, "executemany", _GIVEN.executemany)
        yield Patch(module.Cursor, "callproc", _GIVEN.callproc)

    def connector(self) -> Callable[..., Any]:
        """See `pymysql.connect`."""
        connect: Callable[..., Any] = import_module("pymysql").connect
        return connect


boundary = PyMySQLBoundary()
_KNOWLEDGE: Final = Knowledge(boundary.name, _TOLD)


def _spelled(procname: str, count: int) -> list[str]:
    name = procname.replace("`", "``")
    return ["SET " + ",".join(f"@`_{name}_{index}`=%s" for index in range(count))]


_GIVEN: Final = Given("connection", _spelled)


# -- connections


def _connect(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def connect(self: Any, sock: Any = None) -> None:
        session = crossing()
        if session is None:
            original(self, sock)
            return

        def live() -> dict[str, Any]:
            original(self, sock)
            return _KNOWLEDGE.of(self)

        def otherwise() -> dict[str, Any]:
            told = {**_TOLD, "charset": self.charset, "encoding": self.encoding}
            told["collation"] = getattr(self, "collation", None)  # of 1.1
            if self.autocommit_mode is False:
                told["server_status"] = 0
            return _KNOWLEDGE.kept(session, told)

        call = Call(functools.partial(form, boundary.name, self.db, Asked("CONNECT")), otherwise)
        told = session.call(boundary, call, live)
        _KNOWLEDGE.noted(self, session)
        if session.answers:
            self._closed = False
            _KNOWLEDGE.tell(self, told)
            self._sock, self._rfile = Unplugged(), None
            self._next_seq_id = 0
            self._current_timeout = self._read_timeout
            self._result = None

    return connect


def _execute_command(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def execute_command(self: Any, command: int, sql: Any) -> None:
        session = crossing()
        if session is None or not self._sock:
            _leave(self)
            original(self, command, sql)
            return
        given = vars(self).get("_fx_asked")
        asked = given.pop() if given else Asked(sql, command=command, encoding=self.encoding)
        call = Call(functools.partial(form, boundary.name, self.db, asked))
        if session.answers:
            _replay(self, session, call, lambda: original(self, command, sql))
        else:
            _plug(self)
            _KNOWLEDGE.note(self, session)
            session.call(boundary, call, functools.partial(_send, self, session, original, command, sql))

    return execute_command


def _send(connection: Any, session: Any, original: Callable[..., Any], command: int, sql: Any) -> Answer:
    """Send a command, and read the first packet of the answer, which says whether it is an error."""
    answer = Answer(session)
    original(connection, command, sql)
    _tap(connection).turn(answer)
    packet = connection._read_packet()
    answer.by_file = packet.get_all_data()[0] == LOCAL_INFILE

    def read_packet(packet_type: Any = None) -> Any:
        del packet_type, connection._read_packet
        return packet

    connection._read_packet = read_packet  # the driver's next call of it; then the class's is called again
    return answer


def _tap(connection: Any) -> Tap:
    """The tap on what the connection reads: put there when it is first used in a run."""
    raw = connection._rfile.raw
    tap = vars(raw).get("readinto")
    if not isinstance(tap, Tap):
        tap = raw.readinto = Tap(raw.readinto)
    return tap


def _leave(connection: Any) -> None:
    """What follows belongs to no run."""
    state = vars(connection)
    if "_fx_session" in state:
        rfile = state.get("_rfile")
        tap = vars(getattr(rfile, "raw", rfile)).get("readinto") if rfile is not None else None
        if isinstance(tap, Tap):
            tap.turn(None)
        if not within_replay():
            _plug(connection)


# -- replays


def _replay(connection: Any, session: Any, call: Call, send: Callable[[], None]) -> None:
    """Answer a command; what was left of the answer before is read then, as it is before one is sent."""
    _unplug(connection)
    _KNOWLEDGE.note(connection, session)
    statement = folded(call.form()["sql"])
    if is_local(statement):
        call.otherwise = lambda: Answer.local(statement, connection.server_status)
    try:
        answer = session.call(boundary, call, _nothing_live)
    except BaseException as error:
        _forget(connection)
        if leaves_closed(error):
            connection._force_close()
        raise
    send()
    reading_on = ReadingOn(boundary, session, call.form, of="byte")
    answer.leave(connection.server_status)
    connection._rfile = Played(answer, reading_on)


def _unplug(connection: Any) -> None:
    """Take the socket of a live connection away for the length of the replay."""
    if not isinstance(connection._sock, Unplugged):
        parked = {**_KNOWLEDGE.of(connection), "_sock": connection._sock, "_rfile": connection._rfile}
        connection._sock, connection._rfile = Unplugged(parked), None
        _forget(connection)


def _forget(connection: Any) -> None:
    """Nothing of the answer before will be read."""
    if connection._result is not None:
        connection._result.unbuffered_active, connection._result = False, None


def _plug(connection: Any) -> None:
    """Give a live connection that was used in a replay its socket back."""
    plugged = connection._sock
    if isinstance(plugged, Unplugged) and plugged.parked is not None:
        vars(connection).update(plugged.parked, _result=None)


def _finish_unbuffered_query(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def finish_unbuffered_query(self: Any) -> None:
        played = getattr(self.connection, "_rfile", None)
        if isinstance(played, Played):
            played.drains = True
        original(self)

    return finish_unbuffered_query


def _nothing_live() -> Any:
    raise AssertionError("a replay makes no live call")
