"""Answers that the app reads on in: streams of rows, copies out of the server and into it, notifications."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Final

from psycopg import errors, pq

from pytest_fluxrun.boundaries.libpq.answer import Answer, Failed
from pytest_fluxrun.boundaries.libpq.driving import Crossing, Driven
from pytest_fluxrun.boundaries.libpq.exchanging import Exchanges, Sent, open_played, results_of, settled
from pytest_fluxrun.boundaries.libpq.played import PlayedConnection
from pytest_fluxrun.boundaries.libpq.side import SIDE, side_of
from pytest_fluxrun.boundaries.libpq.statement import Asked
from pytest_fluxrun.boundary import Call
from pytest_fluxrun.context import crossing

__all__ = ["Reading"]

_NOTIFICATIONS: Final = b"FETCH NOTIFICATIONS"


class Reading:
    """The seams around what is read, or written, after a statement was answered."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges
        self._boundary = exchanges.boundary
        self._open = exchanges.open

    # -- streams

    def wrap_send(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`generators.send`: a stream is sent, its rows are fetched one by one."""

        @functools.wraps(original)
        def send(pgconn: Any) -> Any:
            sent = self._exchanges.sent.pop(pgconn, None) if self._exchanges.sent else None
            if type(pgconn) is PlayedConnection:
                return iter(()) if sent is None else _play_stream(sent, pgconn)
            return original(pgconn) if sent is None else self._stream(sent, pgconn, original)

        return send

    def _stream(self, sent: Sent, pgconn: Any, original: Callable[..., Any]) -> Any:
        answer = Answer(before=sent.before)
        answer.ended = False

        async def live() -> Answer:
            try:
                await Driven(original(pgconn))
            except errors.Error as error:
                answer.failure = error
                settled(answer, sent.asked.sql, pgconn)
            return answer

        with suppress(Failed):
            yield from sent.asked.session.acall(self._boundary, Call(sent.asked.form), live).__await__()
        self._open[pgconn] = sent, answer
        results_of(answer)

    def wrap_fetch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`generators.fetch`: the next result of a stream."""

        @functools.wraps(original)
        def fetch(pgconn: Any) -> Any:
            if type(pgconn) is PlayedConnection:
                return _play_fetch(pgconn)
            opened = self._open.get(pgconn) if self._open else None
            return original(pgconn) if opened is None else self._fetch(*opened, pgconn, original)

        return fetch

    def _fetch(self, sent: Sent, answer: Answer, pgconn: Any, original: Callable[..., Any]) -> Any:
        sent.side.answer = answer
        try:
            result = yield from original(pgconn)
        except errors.Error as error:
            answer.failure = error
            self._end(sent, answer, pgconn)
            raise
        finally:
            sent.side.answer = None
        if result is None:
            self._end(sent, answer, pgconn)
        elif not (answer.left or sent.asked.session.closed):
            answer.results.append(result)
        return result

    def _end(self, sent: Sent, answer: Answer, pgconn: Any) -> None:
        """The answer is whole: nothing more of it is read."""
        self._open.pop(pgconn, None)
        answer.ended = True
        with suppress(Failed):
            settled(answer, sent.asked.sql, pgconn)

    # -- copies

    def wrap_copy_from(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`generators.copy_from`: the next piece of a COPY TO STDOUT, or its final result."""

        @functools.wraps(original)
        def copy_from(pgconn: Any) -> Any:
            if type(pgconn) is PlayedConnection:
                return _play_copy_from(pgconn)
            opened = self._open.get(pgconn) if self._open else None
            return original(pgconn) if opened is None else self._copy_from(*opened, pgconn, original)

        return copy_from

    def _copy_from(self, sent: Sent, answer: Answer, pgconn: Any, original: Callable[..., Any]) -> Any:
        try:
            piece = yield from original(pgconn)
        except errors.Error as error:
            if error.pgresult is None:
                answer.failure = error
            else:
                answer.results.append(error.pgresult)
            self._end(sent, answer, pgconn)
            raise
        if not isinstance(piece, memoryview):
            answer.results.append(piece)
            self._end(sent, answer, pgconn)
        elif answer.copied is not None and not (answer.left or sent.asked.session.closed):
            answer.copied.append(bytes(piece))
        return piece

    def wrap_copy_to(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`generators.copy_to`: a piece for a COPY FROM STDIN."""

        @functools.wraps(original)
        def copy_to(pgconn: Any, buffer: Any, *how: Any, **named: Any) -> Any:
            if type(pgconn) is PlayedConnection:
                pgconn.written.append(bytes(buffer))
                return iter(())
            opened = self._open.get(pgconn) if self._open else None
            if opened is not None and opened[1].copied is not None and not opened[0].asked.session.closed:
                opened[1].copied.append(bytes(buffer))
            return original(pgconn, buffer, *how, **named)

        return copy_to

    def wrap_copy_end(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`generators.copy_end`: what was written is an effect of its own, now that it is known."""

        @functools.wraps(original)
        def copy_end(pgconn: Any, error: bytes | None) -> Any:
            if type(pgconn) is PlayedConnection:
                return _play_copy_end(pgconn)
            opened = self._open.pop(pgconn, None) if self._open else None
            if opened is None:
                return original(pgconn, error)
            return self._copy_end(*opened, pgconn, functools.partial(original, pgconn, error))

        return copy_end

    def _copy_end(self, sent: Sent, begun: Answer, pgconn: Any, original: Callable[[], Any]) -> Any:
        written, begun.copied = begun.copied or [], []
        asked = sent.asked.copying(written)
        answer = Answer(before=sent.before)

        async def live() -> Answer:
            sent.side.answer = answer
            try:
                answer.results = [await Driven(original())]
            except errors.Error as error:
                if error.pgresult is None:
                    answer.failure = error
                else:
                    answer.results = [error.pgresult]
            finally:
                sent.side.answer = None
            return settled(answer, asked.sql, pgconn)

        with suppress(Failed):
            yield from asked.session.acall(self._boundary, Call(asked.form), live).__await__()
        return _final(answer)

    # -- cancelling

    def wrap_try_cancel(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`_try_cancel`, with which psycopg ends what the app leaves: a stream, a copy, a wait that was cancelled."""
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def await_cancel(connection: Any, *how: Any, **named: Any) -> Any:
                if not self._left(connection, given_up=True):
                    await original(connection, *how, **named)

            return await_cancel

        @functools.wraps(original)
        def _try_cancel(connection: Any, *how: Any, **named: Any) -> Any:
            if not self._left(connection):
                original(connection, *how, **named)

        return _try_cancel

    def _left(self, connection: Any, *, given_up: bool = False) -> bool:
        """Note that the answer under way isn't read to its end; whether there is no server to be told of it."""
        pgconn = connection.pgconn
        if type(pgconn) is PlayedConnection:
            pgconn.cancel_reading()
            return True
        opened = self._open.get(pgconn) if self._open else None
        side = connection.__dict__.get(SIDE)
        if opened is not None:
            opened[1].left = True
        elif given_up and side is not None and side.answer is not None:
            side.answer.given_up = True
        return False

    @staticmethod
    def wrap_cancel(original: Callable[..., Any]) -> Callable[..., Any]:
        """`cancel` and `cancel_safe`: of a played connection nothing, for what was cancelled was recorded so."""
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def await_cancel(connection: Any, *how: Any, **named: Any) -> Any:
                if type(connection.pgconn) is not PlayedConnection:
                    await original(connection, *how, **named)

            return await_cancel

        @functools.wraps(original)
        def cancel(connection: Any, *how: Any, **named: Any) -> Any:
            if type(connection.pgconn) is not PlayedConnection:
                original(connection, *how, **named)

        return cancel

    # -- notifications

    def wrap_notifies(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`generators.notifies`: what comes next on the channels that the connection listens to."""

        @functools.wraps(original)
        def notifies(pgconn: Any) -> Any:
            session = crossing()
            if session is None:
                return original(pgconn)
            asked = Asked(session, side_of(pgconn.notify_handler.args[0](), session), _NOTIFICATIONS)
            if type(pgconn) is PlayedConnection:
                return _play_notifies(asked, pgconn)
            return self._notifies(asked, pgconn, functools.partial(original, pgconn))

        return notifies

    def _notifies(self, asked: Asked, pgconn: Any, original: Callable[[], Any]) -> Any:
        found: list[Any] = []
        side = asked.side
        answer = Answer(before=int(pgconn.transaction_status))

        async def live() -> Answer:
            side.answer = answer
            try:
                found.extend(await Driven(original()))
            except errors.Error as error:  # also that it has waited long enough
                answer.failure = error
            finally:
                side.answer = None
            answer.received = [(one.relname, one.extra, one.be_pid) for one in found]
            return settled(answer, asked.sql, pgconn)

        with suppress(Failed):
            yield from asked.session.acall(self._boundary, Call(asked.form), live).__await__()
        results_of(answer)
        return found


def _final(answer: Answer) -> Any:
    """The last result of a copy, or the error that psycopg makes of it."""
    result = results_of(answer)[-1]
    if answer.failed():
        raise errors.error_from_result(result)
    return result


def _play_stream(sent: Sent, pgconn: PlayedConnection) -> Generator[Any, Any, None]:
    answer = yield from open_played(sent, pgconn)
    if answer.failure is not None and not answer.results:
        pgconn.active = False
        pgconn.take(answer)
        raise answer.failure
    pgconn.begin_reading(answer, sent.asked)


def _play_fetch(pgconn: PlayedConnection) -> Generator[Any, Any, Any]:
    reading = pgconn.reading
    if reading is None:
        return None
    if reading.cancelled or (reading.position >= len(reading.answer.results) and reading.answer.ended):
        pgconn.end_reading()
        return None
    if reading.position >= len(reading.answer.results):
        yield reading.beyond("row")
    reading.position += 1
    return reading.answer.results[reading.position - 1]


def _play_copy_from(pgconn: PlayedConnection) -> Generator[Any, Any, Any]:
    reading = pgconn.reading
    pieces = [] if reading is None else reading.answer.copied or []
    if reading is None or reading.cancelled:
        pgconn.end_reading()
        raise errors.QueryCanceled("canceling statement due to user request")
    if reading.position < len(pieces):
        reading.position += 1
        return memoryview(pieces[reading.position - 1])
    if not reading.answer.ended:
        yield reading.beyond("piece")
    pgconn.end_reading()
    return _final(reading.answer)


def _play_copy_end(pgconn: PlayedConnection) -> Generator[Any, Any, Any]:
    reading = pgconn.reading
    written, pgconn.written = pgconn.written, []
    assert reading is not None
    asked = reading.asked.copying(written)
    pgconn.reading = None
    try:
        answer: Answer = yield Crossing(asked.session, Call(asked.form))
    except Failed as failed:
        answer = failed.answer
    finally:
        pgconn.active = False
    pgconn.take(answer)
    return _final(answer)


def _play_notifies(asked: Asked, pgconn: PlayedConnection) -> Generator[Any, Any, list[Any]]:
    try:
        answer: Answer = yield Crossing(asked.session, Call(asked.form))
    except Failed as failed:
        answer = failed.answer
    pgconn.take(answer)
    results_of(answer)
    return [pq.PGnotify(channel, process, payload) for channel, payload, process in answer.received]
