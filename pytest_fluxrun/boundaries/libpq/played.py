"""A PGconn that opens no socket: the server's facts as recorded, and the transaction's state as answers leave it."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from psycopg import errors, pq
from psycopg._encodings import pg2pyenc

from pytest_fluxrun.boundaries.libpq.answer import Answer, PlayedResult
from pytest_fluxrun.boundaries.libpq.driving import Crossing
from pytest_fluxrun.boundaries.libpq.side import DEFAULT_FACTS
from pytest_fluxrun.boundaries.libpq.statement import Asked
from pytest_fluxrun.boundary import Call

__all__ = ["PlayedConnection"]

_OK: Final = pq.ConnStatus.OK
_BAD: Final = pq.ConnStatus.BAD
_ACTIVE: Final = pq.TransactionStatus.ACTIVE
_IDLE: Final = pq.TransactionStatus.IDLE
_COMMAND_OK: Final = int(pq.ExecStatus.COMMAND_OK)
_NO_SOCKET: Final = -1


class _Cancel:
    def cancel(self) -> None:
        """See `PQcancel`."""

    def free(self) -> None:
        """See `PQfreeCancel`."""


class Reading:
    """An answer that the app reads on in, and how far it is."""

    def __init__(self, answer: Answer, asked: Asked) -> None:
        self.answer = answer
        self.asked = asked
        self.position = 0
        self.cancelled = False

    def beyond(self, part: str) -> Crossing:
        """Reading on where the recorded program had stopped: refused by the session, as any call that it lacks."""
        return Crossing(
            self.asked.session,
            Call({**self.asked.form(), "rest": f"reading on after {part} {self.position}"}),
        )


class PlayedConnection:
    """A connection of libpq's as psycopg uses it. See `psycopg.pq.abc.PGconn`.

    What is sent is dropped here: the seams above have noted it, and cross the boundary where psycopg waits for answers.

    Args:
        session: the one in which it is opened.
        facts: as `side.facts_of` gives them; by default what the session knows of its first connection.
        options: what the program asked to connect with; nothing of it is in a recording.
    """

    pgconn_ptr = None
    socket = _NO_SOCKET
    nonblocking = 1
    needs_password = used_password = used_gssapi = False
    protocol_version = 3
    tty = b""

    def __init__(
        self, session: Any, facts: Mapping[str, Any] | None = None, options: Mapping[str, bytes] | None = None
    ) -> None:
        self._facts = DEFAULT_FACTS
        self._parameters: dict[str, str] = {}
        self._state = pq.TransactionStatus.IDLE
        self._options = dict(options or {})
        self._met = weakref.ref(session)
        self._know(facts or session.read("psycopg", "connection", lambda: DEFAULT_FACTS))
        self.status: int = _OK
        self.pipeline_status: int = pq.PipelineStatus.OFF
        self.notice_handler: Callable[[Any], None] | None = None
        self.notify_handler: Callable[[Any], None] | None = None
        self.error_message = b""
        self.active = False
        self.local: deque[list[PlayedResult]] = deque()
        self.reading: Reading | None = None
        self.written: list[bytes] = []
        self.in_flight: deque[Any] = deque()
        self.come = 0

    def meet(self, session: Any) -> None:
        """Learn what a further session knows of the connection, if anything: a pool outlives the run that filled it."""
        if self._met() is not session:
            self._met = weakref.ref(session)
            facts = session.read("psycopg", "connection", lambda: None)
            if facts is not None:
                self._know(facts)
                self._state = pq.TransactionStatus(facts["transaction"])

    def _know(self, facts: Mapping[str, Any]) -> None:
        self._facts = {**DEFAULT_FACTS, **facts}
        self._parameters = dict(self._facts["parameters"])

    # -- what it is

    @property
    def transaction_status(self) -> int:
        """As the last answer left it; unknown once the connection is closed."""
        if self.status == _BAD:
            return pq.TransactionStatus.UNKNOWN
        return _ACTIVE if self.active or self.in_flight else self._state

    @property
    def state(self) -> int:
        """The transaction's, whatever is under way."""
        return self._state

    def parameter_status(self, name: bytes) -> bytes | None:
        """A parameter that the server reported."""
        self._check_open()
        wanted = name.decode().lower()
        if wanted == "session_authorization":
            return bytes(self.user)
        found = next((value for key, value in self._parameters.items() if key.lower() == wanted), None)
        return None if found is None else found.encode()

    @property
    def _encoding(self) -> str:
        return pg2pyenc(self._parameters.get("client_encoding", "UTF8").encode())

    @property
    def server_version(self) -> int:
        """As `PQserverVersion` gives it."""
        return int(self._facts["server_version"])

    @property
    def full_protocol_version(self) -> int:
        """As `PQfullProtocolVersion` gives it."""
        return int(self._facts["protocol"])

    @property
    def backend_pid(self) -> int:
        """The process of the server that served the recorded connection."""
        return int(self._facts["process"])

    @property
    def ssl_in_use(self) -> bool:
        """Whether the recorded connection was encrypted."""
        return bool(self._facts.get("ssl", False))

    @property
    def info(self) -> list[pq.ConninfoOption]:
        """What the program asked to connect with."""
        told = {name: str(value).encode() for name, value in self._facts.get("info", {}).items()} | self._options
        return [option._replace(val=told.get(option.keyword.decode())) for option in pq.Conninfo.get_defaults()]

    db = property(lambda self: self._told("db", "dbname"))
    user = property(lambda self: self._told("user", "user"))
    host = property(lambda self: self._told("host", "host"))
    hostaddr = property(lambda self: self._told("hostaddr", "hostaddr"))
    port = property(lambda self: self._told("port", "port"))
    options = property(lambda self: self._told("options", "options"))
    password = property(lambda self: self._told("", "password"))

    def _told(self, fact: str, option: str) -> bytes:
        self._check_open()
        told = self._facts.get(fact)
        return self._options.get(option, b"") if told is None else str(told).encode()

    def get_error_message(self, encoding: str = "") -> str:
        """Why it is closed."""
        return self.error_message.decode(encoding or "utf-8", "replace") or "no error details available"

    # -- what is sent

    def send_query(self, *sent: Any, **how: Any) -> None:
        """Nothing but libpq's own checks."""
        del sent, how
        self._check_open()
        if self.active and not self.pipeline_status:
            raise errors.OperationalError("sending query failed: another command is already in progress\n")

    def send_query_params(self, *sent: Any, **how: Any) -> None:
        """As `send_query`; a pipeline tells by the method's name what it has queued."""
        self.send_query(*sent, **how)

    def send_query_prepared(self, *sent: Any, **how: Any) -> None:
        """As `send_query_params`."""
        self.send_query(*sent, **how)

    def send_describe_portal(self, *sent: Any, **how: Any) -> None:
        """As `send_query`."""
        self.send_query(*sent, **how)

    def set_single_row_mode(self) -> None:
        """The results of a stream are as the recorded program had them sent."""

    def set_chunked_rows_mode(self, size: int) -> None:
        """As `set_single_row_mode`."""
        del size

    def send_prepare(self, *sent: Any, **how: Any) -> None:
        """Preparing is libpq's own affair: the statement itself gets what was recorded."""
        self.send_query(*sent, **how)
        if not self.pipeline_status:
            self.local.append([PlayedResult(_COMMAND_OK, command=b"PREPARE")])

    def send_close_prepared(self, *sent: Any, **how: Any) -> None:
        """As `send_prepare`."""
        self.send_query(*sent, **how)
        if not self.pipeline_status:
            self.local.append([PlayedResult(_COMMAND_OK)])

    def forget(self) -> None:
        """As `send_close_prepared`, by a statement."""
        self.local.append([PlayedResult(_COMMAND_OK, command=b"DEALLOCATE")])

    def take(self, answer: Answer) -> None:
        """What an answer does to the connection, before the program sees it."""
        if answer.before != answer.after:
            self._state = pq.TransactionStatus(answer.after)
        elif answer.failed() and self._state == pq.TransactionStatus.INTRANS:
            self._state = pq.TransactionStatus.INERROR
        if answer.parameters is not None:
            self._parameters.update(answer.parameters)
        for notice in answer.notices:
            if self.notice_handler is not None:
                self.notice_handler(PlayedResult(int(pq.ExecStatus.NONFATAL_ERROR), fields=notice))
        for channel, payload, process in answer.notifies:
            if self.notify_handler is not None:
                self.notify_handler(pq.PGnotify(channel, process, payload))
        if not answer.alive:
            self.finish()

    def break_off(self) -> None:
        """The wait for an answer ended without one: the program was cancelled, or the recording has none."""
        self.active = False
        if self._state == pq.TransactionStatus.INTRANS:
            self._state = pq.TransactionStatus.INERROR

    # -- an answer that is read on in

    def begin_reading(self, answer: Answer, asked: Asked) -> None:
        """A stream or a copy has begun."""
        self.reading = Reading(answer, asked)
        self.active = True

    def end_reading(self) -> None:
        """It is over."""
        reading, self.reading = self.reading, None
        self.active = False
        if reading is not None:
            self.take(reading.answer)

    def cancel_reading(self) -> None:
        """What is left of it isn't read."""
        if self.reading is not None:
            self.reading.cancelled = True

    def get_cancel(self) -> _Cancel:
        """What cancels nothing: a statement that was cancelled has been recorded so."""
        return _Cancel()

    # -- pipelines

    def enter_pipeline_mode(self) -> None:
        """See `PQenterPipelineMode`."""
        self._check_open()
        self.pipeline_status = pq.PipelineStatus.ON

    def exit_pipeline_mode(self) -> None:
        """See `PQexitPipelineMode`."""
        self.pipeline_status = pq.PipelineStatus.OFF

    def pipeline_sync(self) -> None:
        """See `PQpipelineSync`."""
        self._check_open()

    def send_flush_request(self) -> None:
        """See `PQsendFlushRequest`."""
        self._check_open()

    def end_abort(self) -> None:
        """A synchronisation point: the statements after it run again."""
        if self.pipeline_status == pq.PipelineStatus.ABORTED:
            self.pipeline_status = pq.PipelineStatus.ON

    def finish(self) -> None:
        """Close it."""
        self.status = _BAD
        self.active = False

    def _check_open(self) -> None:
        if self.status != _OK:
            raise errors.OperationalError("the connection is closed")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise errors.NotSupportedError(f"PGconn.{name} isn't covered by FluxRun: what it does can't be replayed")
