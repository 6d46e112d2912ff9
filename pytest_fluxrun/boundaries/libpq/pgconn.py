"""The attribute `pgconn` in a process that replays: inside a replay a played connection, whatever was open before."""

# ruff: noqa: SLF001 - the seams lie in what psycopg keeps to itself
from __future__ import annotations

import weakref
from typing import Any, Final

from psycopg import pq

from pytest_fluxrun.boundaries.libpq.played import PlayedConnection
from pytest_fluxrun.boundaries.libpq.side import facts_of
from pytest_fluxrun.context import crossing

__all__ = ["played_cursor_pgconn", "played_pgconn"]

_BAD: Final = pq.ConnStatus.BAD
_TWIN: Final = "_fluxrun_played"


class _PgConn:
    """`BaseConnection.pgconn`: the connection's own outside of a replay."""

    def __get__(self, connection: Any, owner: Any = None) -> Any:
        if connection is None:
            return self
        try:
            own = connection.__dict__["pgconn"]
        except KeyError:
            raise AttributeError("pgconn") from None
        if type(own) is PlayedConnection:
            return own
        session = crossing()
        if session is None or not session.answers or own.status == _BAD:
            return own
        return _twin(connection, own, session)

    def __set__(self, connection: Any, pgconn: Any) -> None:
        connection.__dict__["pgconn"] = pgconn


class _CursorPgConn:
    """`BaseCursor._pgconn`: that of its connection at the time."""

    def __init__(self, slot: Any) -> None:
        self._slot = slot

    def __get__(self, cursor: Any, owner: Any = None) -> Any:
        return self if cursor is None else cursor._conn.pgconn

    def __set__(self, cursor: Any, pgconn: Any) -> None:
        self._slot.__set__(cursor, pgconn)


def _twin(connection: Any, own: Any, session: Any) -> PlayedConnection:
    """What stands in for a live connection in one replay: it has not sent anything in it."""
    known = connection.__dict__.get(_TWIN)
    if known is not None and known[0]() is session:
        found: PlayedConnection = known[1]
        return found
    played = PlayedConnection(session, session.read("psycopg", "connection", lambda: facts_of(own)))
    played.notice_handler, played.notify_handler = own.notice_handler, own.notify_handler
    connection.__dict__[_TWIN] = (weakref.ref(session), played)
    return played


def played_pgconn(original: Any) -> _PgConn:
    """See `_PgConn`."""
    del original
    return _PgConn()


def played_cursor_pgconn(original: Any) -> _CursorPgConn:
    """See `_CursorPgConn`."""
    return _CursorPgConn(original)
