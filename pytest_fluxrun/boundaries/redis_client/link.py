"""What a connection is in one run: its database, the exchange under way, what it is subscribed to.

A link lives as an attribute of the connection; with another session there is another one.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any, Final

from pytest_fluxrun.boundaries.redis_client.exchange import Exchange, Sent
from pytest_fluxrun.boundaries.redis_client.wire import Chunks, commands_in, is_plain, name_in
from pytest_fluxrun.boundary import Request
from pytest_fluxrun.context import LANE, crossing

__all__ = ["Link", "is_receiving", "link_here", "link_of", "session_of"]

_LINK: Final = "_fx_link"
_SUBSCRIBING: Final = frozenset({b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE", b"MONITOR"})
_UNSUBSCRIBING: Final = frozenset({b"UNSUBSCRIBE", b"PUNSUBSCRIBE", b"SUNSUBSCRIBE"})
_MOST_DATABASES: Final = 64


class Link:
    """A connection's state in a session.

    Attributes:
        exchange: the one whose replies are read now, or that collects commands until the first is.
        used: a command was sent through the connection in this session.
        receiving: replies are messages of channels, and not of commands.
        renewing: at replay, what is sent is said on a new connection by its client, and belongs to connecting.
        ahead: at replay, the message that comes next.
        polls: how often none was there since the last one came.
        since_ns: while recording, when the look began at which one was there.
        failed: the error with which connecting ended.
    """

    __slots__ = (
        "_make",
        "ahead",
        "channels",
        "database",
        "exchange",
        "failed",
        "polls",
        "receiving",
        "renewing",
        "session",
        "since_ns",
        "used",
        "which",
    )

    def __init__(self, connection: Any, session: Any, before: Link | None) -> None:
        self.session = weakref.ref(session)
        self._make: type[Exchange] = Exchange if session.answers else Sent
        self.database = _database(connection)
        self.which = _databases(session).number(session, self.database)
        self.exchange: Exchange | None = None
        self.used = False
        self.receiving: bool = before is not None and before.receiving
        self.channels: set[str] = set(before.channels) if before is not None else set()
        self.renewing = False
        self.ahead: Exchange | None = None
        self.polls = 0
        self.since_ns: int | None = None
        self.failed: BaseException | None = None

    def ask(self, chunks: Chunks) -> Exchange | None:
        """Commands are about to be sent: those sent before the first reply is read belong together.

        Returns:
            None where they are about channels, which is noted.
        """
        name = None
        if self.receiving or not is_plain(chunks):
            name = name_in(chunks)
            if self._subscribes(name, chunks):
                return None
        self.used = True
        exchange = self.exchange
        if exchange is None or exchange.crossed:
            self.exchange = exchange = self._make(self.database, self.which, chunks)
        else:
            exchange.add(chunks)
        if name == b"SELECT":
            self._select(str(commands_in(chunks)[0][-1]))
        return exchange

    def _subscribes(self, name: bytes, chunks: Chunks) -> bool:
        """Whether what is about to be sent is about channels; if so it is noted."""
        if name in _SUBSCRIBING or name in _UNSUBSCRIBING:
            self._note(name, chunks)
            self.receiving = True
        elif not (self.receiving and name in (b"PING", b"QUIT")):
            if self.receiving:
                self.channels, self.ahead, self.polls, self.receiving = set(), None, 0, False
            return False
        self.exchange = None
        self.used = True
        return True

    def message(self) -> Exchange:
        """What the next message crosses as."""
        exchange = Exchange(self.database, self.which)
        exchange.receives = tuple(sorted(self.channels))
        exchange.polls = self.polls
        return exchange

    def foresaw(self, exchange: Exchange, served: Exchange | None) -> None:
        """At replay: the next message, or that none was recorded."""
        if served is not None:
            exchange.answer(served)
            self.ahead = exchange

    def is_ready(self) -> bool:
        """At replay: whether the next message comes now; else it is looked for once more."""
        if self.ahead is not None and self.polls >= self.ahead.polls:
            return True
        self.polls += 1
        return False

    def connecting(self) -> Request:
        """The form of connecting."""
        return {"database": self.database, "which": self.which, "control": "CONNECT", "again": self.used}

    def connected(self, connection: Any) -> None:
        """A new connection is one to the database that its settings say."""
        self._select(str(connection.db or 0))

    def _select(self, number: str) -> None:
        database = f"{self.database.rpartition('/')[0]}/{number}"
        session = self.session()
        if database != self.database and session is not None:
            self.database, self.which = database, _databases(session).number(session, database)

    def _note(self, name: bytes, chunks: Chunks) -> None:
        for command in commands_in(chunks):
            names = [str(part) for part in command[1:]] or ([command[0]] if name == b"MONITOR" else [])
            if name in _SUBSCRIBING:
                self.channels.update(names)
            else:
                self.channels.difference_update(names or set(self.channels))


def session_of(connection: Any) -> Any:
    """The session that must see what a connection does now, or None: as `crossing`.

    None too for what kombu's transport asks to find messages, outside of every run: that is a worker's own affair.
    """
    lane = LANE.get()
    session = crossing() if lane is None else None if lane.inside else lane.session
    if session is None or not (session.preamble or session.closed):
        return session
    return None if type(connection).__module__.startswith("kombu.") else session


def is_receiving(connection: Any) -> bool:
    """Whether replies on the connection are messages of channels, in whatever session it became so."""
    link: Link | None = getattr(connection, _LINK, None)
    return link is not None and link.receiving


def link_of(connection: Any, session: Any) -> Link:
    """The connection's link in a session, made on first use."""
    link: Link | None = getattr(connection, _LINK, None)
    if link is None or link.session() is not session:
        link = Link(connection, session, link)
        setattr(connection, _LINK, link)
    return link


def link_here(connection: Any) -> Link | None:
    """The connection's link in the session that must see what it does now, or None: `session_of` and `link_of` at once.

    The session lasts as long as the lane in which this was asked.
    """
    lane = LANE.get()
    session = crossing() if lane is None else None if lane.inside else lane.session
    if session is None:
        return None
    if (session.preamble or session.closed) and type(connection).__module__.startswith("kombu."):
        return None
    try:
        link: Link = connection._fx_link  # noqa: SLF001 - of this module; getattr would cost more
    except AttributeError:
        return link_of(connection, session)
    return link if link.session() is session else link_of(connection, session)


def _database(connection: Any) -> str:
    """`cache.example:6379/0`, `/run/redis.sock/0`: never a password."""
    host = getattr(connection, "host", None)
    place = f"{host}:{getattr(connection, 'port', '')}" if host is not None else getattr(connection, "path", "")
    return f"{place}/{connection.db or 0}"


class _Databases:
    """The databases that a session uses, numbered in the order of first use: those of a replay as they were recorded.

    One database of several servers is one: a cluster's nodes, a primary and its replicas.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._recorded: list[str] | None = None

    def number(self, session: Any, name: str) -> int:
        """The number of the database with that name."""
        database = name.rpartition("/")[2]
        with self._lock:
            if database not in self._numbers:
                self._numbers[database] = self._next(session, name)
            return self._numbers[database]

    def _next(self, session: Any, name: str) -> int:
        if not session.answers:
            session.read("redis", "database", lambda: name)
            return len(self._numbers)
        if self._recorded is None:
            self._recorded = []
            for _ in range(_MOST_DATABASES):
                one = str(session.read("redis", "database", lambda: name))
                if one in self._recorded:
                    break
                self._recorded.append(one)
        free = [number for number in range(len(self._recorded)) if number not in self._numbers.values()]
        for alike in (name, f"/{name.rpartition('/')[2]}"):
            for number in free:
                if self._recorded[number].endswith(alike):
                    return number
        return free[0] if free else max(self._numbers.values(), default=-1) + 1


_by_session: weakref.WeakKeyDictionary[Any, _Databases] = weakref.WeakKeyDictionary()


def _databases(session: Any) -> _Databases:
    found = _by_session.get(session)
    if found is None:
        found = _by_session[session] = _Databases()
    return found
