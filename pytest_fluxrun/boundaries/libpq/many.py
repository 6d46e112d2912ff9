"""executemany as one call with the binds of all of its rows; in a pipeline of the app's, statements like others."""

# ruff: noqa: SLF001 - the seams lie in what psycopg keeps to itself
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from psycopg import adapt, errors

from pytest_fluxrun.boundaries.libpq.answer import Answer, Failed
from pytest_fluxrun.boundaries.libpq.driving import Crossing
from pytest_fluxrun.boundaries.libpq.exchanging import MANY, Exchanges, settled
from pytest_fluxrun.boundaries.libpq.played import PlayedConnection
from pytest_fluxrun.boundaries.libpq.side import side_of
from pytest_fluxrun.boundaries.libpq.statement import Asked
from pytest_fluxrun.boundary import Call
from pytest_fluxrun.context import crossing

__all__ = ["Many"]


class Many:
    """The seams around executemany."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._boundary = exchanges.boundary

    def wrap_executemany(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`Cursor.executemany` and `AsyncCursor.executemany`."""
        return self._asynchronous(original) if inspect.iscoroutinefunction(original) else self._synchronous(original)

    def _synchronous(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def executemany(cursor: Any, query: Any, params_seq: Any, *, returning: bool = False) -> None:
            session, connection = crossing(), cursor._conn
            if session is None or connection._pipeline:
                original(cursor, query, params_seq, returning=returning)
                return
            executing = _Executing(cursor, session, returning=returning)
            if executing.is_played:
                with connection.lock:
                    connection.wait(executing.play(query, params_seq))
                return

            def live() -> Answer:
                with executing.collecting():
                    original(cursor, query, params_seq, returning=returning)
                return executing.answered()

            with executing.raising():
                session.call(self._boundary, Call(executing.asked.form), live)

        return executemany

    def _asynchronous(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def executemany(cursor: Any, query: Any, params_seq: Any, *, returning: bool = False) -> None:
            session, connection = crossing(), cursor._conn
            if session is None or connection._pipeline:
                await original(cursor, query, params_seq, returning=returning)
                return
            executing = _Executing(cursor, session, returning=returning)
            if executing.is_played:
                async with connection.lock:
                    await connection.wait(executing.play(query, params_seq))
                return

            async def live() -> Answer:
                with executing.collecting():
                    await original(cursor, query, params_seq, returning=returning)
                return executing.answered()

            with executing.raising():
                await session.acall(self._boundary, Call(executing.asked.form), live)

        return executemany


class _Executing:
    """One executemany, live or played."""

    def __init__(self, cursor: Any, session: Any, *, returning: bool) -> None:
        self._cursor = cursor
        self._connection = cursor._conn
        self._returning = returning
        self._error: BaseException | None = None
        self._pgconn = self._connection.pgconn
        self.is_played = type(self._pgconn) is PlayedConnection
        self.asked = Asked(session, side_of(self._connection, session), b"")
        self.asked.rows = []
        self._answer = Answer(before=int(self._pgconn.transaction_status))

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """What the cursor sends in the block are rows of this call."""
        self._connection.__dict__[MANY] = self.asked
        side = self.asked.side
        side.answer = self._answer
        try:
            yield
        except errors.Error as error:
            self._error = error
            if error.pgresult is None:
                self._answer.failure = error
            else:
                self._answer.results = [error.pgresult]
        finally:
            side.answer = None
            del self._connection.__dict__[MANY]

    def answered(self) -> Answer:
        """What the cursor has then.

        Raises:
            Failed: an error of the driver.
        """
        cursor, answer = self._cursor, self._answer
        if self._error is None:
            answer.counted = cursor._rowcount, getattr(cursor, "_statusmessage", None)  # psycopg 3.3 has it
            if self._returning:
                answer.results = list(cursor._results)
        return settled(answer, self.asked.sql, self._pgconn)

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Raise the driver's own error in the place of ours."""
        with suppress(Failed):
            yield
        if self._error is not None:
            raise self._error

    def play(self, query: Any, params_seq: Iterable[Any]) -> Generator[Any, Any, None]:
        """What the original does with a server: the rows are dumped first, for they are what is asked."""
        cursor = self._cursor
        if cursor.closed:
            raise errors.InterfaceError("the cursor is closed")
        cursor._reset()
        cursor._tx = adapt.Transformer(cursor)
        self._dump(query, params_seq)
        try:
            answer: Answer = yield Crossing(self.asked.session, Call(self.asked.form))
        except Failed as failed:
            answer = failed.answer
        self._pgconn.take(answer)
        if answer.failed():
            raise answer.error()
        cursor._execmany_returning = self._returning
        if self._returning:
            for result in answer.results:
                cursor._set_results([result])
        elif answer.counted is not None:
            cursor._rowcount, message = answer.counted
            if hasattr(cursor, "_statusmessage"):
                cursor._statusmessage = message
        cursor._last_query = query

    def _dump(self, query: Any, params_seq: Iterable[Any]) -> None:
        pgq = None
        for params in params_seq:
            if pgq is None:
                pgq = self._cursor._query = self._cursor._convert_query(query, params)
            else:
                pgq.dump(params)
            self.asked.add(pgq)
