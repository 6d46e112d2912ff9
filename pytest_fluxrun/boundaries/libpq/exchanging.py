"""Statements across the boundary: noted where psycopg sends them, crossed where it waits for the answer.

Recording rides on psycopg's own generators; those of a played connection yield what is asked to `play` or `aplay`.
"""

# ruff: noqa: SLF001 - the seams lie in what psycopg keeps to itself
from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Final

from psycopg import errors, pq

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries.libpq.answer import Answer, Failed
from pytest_fluxrun.boundaries.libpq.driving import Crossing
from pytest_fluxrun.boundaries.libpq.local import local_answer
from pytest_fluxrun.boundaries.libpq.played import PlayedConnection
from pytest_fluxrun.boundaries.libpq.side import Side, parameters_of, side_of
from pytest_fluxrun.boundaries.libpq.statement import Asked
from pytest_fluxrun.boundary import Boundary, Call
from pytest_fluxrun.context import crossing
from pytest_fluxrun.errors import UnrecordedCall

__all__ = ["MANY", "Exchanges", "Sent", "asked_of", "open_played", "results_of", "settled"]

_BAD: Final = pq.ConnStatus.BAD
_COPIES: Final = (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH)
_REPORTED: Final = frozenset({b"SET", b"RESET", b"ROLLBACK", b"COMMIT", b"DISCARD ALL"})
"""Command tags after which the server may have reported parameters anew; and `set_config` in a query."""
MANY: Final = "_fluxrun_many"
"""The attribute of a connection that holds the executemany under way on it, an Asked."""


class Sent:
    """What was sent on a connection and is not yet waited for."""

    __slots__ = ("asked", "before", "prepares", "side")

    def __init__(self, side: Side, asked: Asked, before: int, *, prepares: bool = False) -> None:
        self.side = side
        self.asked = asked
        self.before = before
        self.prepares = prepares


class Exchanges:
    """The seams around sending and waiting of one boundary.

    Attributes:
        sent: by PGconn, between sending and waiting.
        open: by PGconn, the answer that the app is still reading: of a stream or a copy.
    """

    def __init__(self, boundary: Boundary[Answer]) -> None:
        self.boundary = boundary
        self.sent: dict[Any, Sent] = {}
        self.open: weakref.WeakKeyDictionary[Any, tuple[Sent, Answer]] = weakref.WeakKeyDictionary()

    # -- sending

    def note(self, connection: Any, sql: bytes, query: Any = None, *, prepares: bool = False) -> None:
        """Note what is about to be sent on a connection, for the wait that comes next."""
        session = crossing()
        if session is None:
            return
        side = side_of(connection, session)
        pgconn = connection.pgconn
        if self.open:
            self.open.pop(pgconn, None)
        before = int(pgconn.transaction_status)
        self.sent[pgconn] = Sent(side, asked_of(session, side, sql, query), before, prepares=prepares)

    def wrap_prepare(self, original: Callable[..., None]) -> Callable[..., None]:
        """`BaseCursor._send_prepare(name, query)`."""
        return self.wrap_send(original, prepares=True)

    def wrap_send(self, original: Callable[..., None], *, prepares: bool = False) -> Callable[..., None]:
        """`BaseCursor._execute_send(query)` and `_send_query_prepared(name, query)`."""

        @functools.wraps(original)
        def send(cursor: Any, *sent: Any, **how: Any) -> None:
            connection, query = cursor._conn, sent[-1]
            if crossing() is None:
                many = connection.__dict__.get(MANY)
                if many is not None and not prepares:
                    many.add(query)
                original(cursor, *sent, **how)
            elif connection._pipeline:
                original(cursor, *sent, **how)
            else:
                self.note(connection, query.query, query, prepares=prepares)
                try:
                    original(cursor, *sent, **how)
                except BaseException:
                    self.sent.pop(connection.pgconn, None)
                    raise

        return send

    def wrap_exec_command(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`BaseConnection._exec_command`."""

        @functools.wraps(original)
        def _exec_command(connection: Any, command: Any, *how: Any, **named: Any) -> Any:
            if crossing() is None or connection._pipeline:
                return original(connection, command, *how, **named)
            return self._commanded(original, connection, command, *how, **named)

        return _exec_command

    def _commanded(self, original: Callable[..., Any], connection: Any, command: Any, *how: Any, **named: Any) -> Any:
        if isinstance(command, str):
            command = command.encode(connection.pgconn._encoding)
        elif not isinstance(command, bytes):
            command = command.as_bytes(connection)
        if not command.startswith(b"DEALLOCATE "):
            self.note(connection, command)
        elif type(connection.pgconn) is PlayedConnection:  # psycopg's own housekeeping: as preparing, no crossing
            connection.pgconn.forget()
        try:
            return (yield from original(connection, command, *how, **named))
        finally:
            self.sent.pop(connection.pgconn, None)

    def wrap_describe(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`ServerCursorMixin._describe_gen`."""

        @functools.wraps(original)
        def _describe_gen(cursor: Any) -> Any:
            self.note(cursor._conn, b'DESCRIBE "%s"' % cursor._name.encode(cursor._encoding))
            return original(cursor)

        return _describe_gen

    # -- waiting

    def wrap_execute(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`generators.execute`, under each name that it has."""

        @functools.wraps(original)
        def execute(pgconn: Any) -> Any:
            sent = self.sent.pop(pgconn, None) if self.sent else None
            if sent is None:
                return _of_itself(pgconn) if type(pgconn) is PlayedConnection else original(pgconn)
            if type(pgconn) is PlayedConnection:
                return _of_itself(pgconn) if sent.prepares else _played(sent, pgconn)
            return self._prepared(sent, pgconn, original) if sent.prepares else self._recorded(sent, pgconn, original)

        return execute

    def _recorded(self, sent: Sent, pgconn: Any, original: Callable[..., Any]) -> Any:
        answer = sent.side.answer = Answer(before=sent.before)
        pending = sent.asked.session.begin(self.boundary, Call(sent.asked.form))
        try:
            try:
                answer.results = yield from original(pgconn)
            except errors.Error as error:
                answer.failure = error
            if answer.given_up:  # psycopg has had the statement cancelled, and has read what came of that
                raise asyncio.CancelledError
            settled(answer, sent.asked.sql, pgconn)
        except BaseException as error:
            pending.fail(error)
            given_up = answer.given_up and isinstance(error, asyncio.CancelledError)
            if not (given_up or isinstance(error, Failed)):  # psycopg makes its error of the results
                raise
        else:
            pending.end(answer)
        finally:
            sent.side.answer = None
        if answer.results and answer.results[-1].status in _COPIES:
            answer.begin_copy(sent.asked.sql)
            self.open[pgconn] = sent, answer
        return results_of(answer)

    def _prepared(self, sent: Sent, pgconn: Any, original: Callable[..., Any]) -> Any:
        """Preparing crosses only where it fails: as the statement that it was for."""
        started_ns = ambient.monotonic_ns()
        results = yield from original(pgconn)
        answer = Answer(results, before=sent.before)
        if answer.failed():
            self.told(sent, answer, pgconn, started_ns)
        return results

    def told(self, sent: Sent, answer: Answer, pgconn: Any, started_ns: int | None = None) -> None:
        """Cross with an answer that is there already."""
        call = Call(sent.asked.form, started_ns=started_ns)
        with suppress(Failed):
            sent.asked.session.call(self.boundary, call, lambda: settled(answer, sent.asked.sql, pgconn))


def asked_of(session: Any, side: Side, sql: bytes, query: Any) -> Asked:
    """A statement, with the binds of a PostgresQuery: those that the client writes into the text stand beside it."""
    asked = Asked(session, side.database, sql)
    if query is not None:
        asked.bind(query)
    return asked


def settled(answer: Answer, sql: bytes, pgconn: Any) -> Answer:
    """A live answer with what became of the connection.

    Raises:
        Failed: the driver will make an error of it.
    """
    answer.after = int(pgconn.transaction_status)
    if pgconn.status == _BAD:
        answer.alive = False
    elif b"set_config" in sql or _reported(answer.results):
        answer.parameters = parameters_of(pgconn)
    if answer.failed():
        raise Failed(answer)
    return answer


def _reported(results: list[Any]) -> bool:
    for result in results:  # noqa: SIM110 - on the app's thread, for every statement
        if result.command_status in _REPORTED:
            return True
    return False


def results_of(answer: Answer) -> list[Any]:
    """The results, or the error that came in their place."""
    if answer.failure is not None:
        raise answer.failure
    return answer.results


def open_played(sent: Sent, pgconn: PlayedConnection) -> Generator[Any, Any, Answer]:
    """The answer to a statement on a played connection, as a generator for `play`; nothing has come of it yet."""
    local = local_answer(pgconn, sent.asked.sql)
    pgconn.active = True
    try:
        answer: Answer = yield Crossing(sent.asked.session, Call(sent.asked.form, local))
    except Failed as failed:
        answer = failed.answer
    except UnrecordedCall:  # an earlier call's: what rolls back and closes behind it may do so
        if local is None:
            pgconn.break_off()
            raise
        answer = local()
    except BaseException:
        pgconn.break_off()
        raise
    return answer


def _played(sent: Sent, pgconn: PlayedConnection) -> Any:
    answer = yield from open_played(sent, pgconn)
    if answer.copied is not None and answer.failure is None:
        pgconn.begin_reading(answer, sent.asked)
        return list(answer.results[:1])
    pgconn.active = False
    pgconn.take(answer)
    return results_of(answer)


def _of_itself(pgconn: PlayedConnection) -> Any:
    """What libpq alone would be asked: to prepare a statement, or to forget one."""
    yield from ()  # a generator, as all that psycopg waits for
    if not pgconn.local:
        raise UnrecordedCall("a connection of a replay is used outside of its run", asked="a statement")
    return pgconn.local.popleft()
