"""One websocket connection as a session sees it: what it sends and receives, in order, whatever the library.

The handshake is an interaction of the kind http, answered by 101; its answer carries the connection's number, by which
the messages of two connections to one URL are told apart. The stored form of what arrives is `{"what", "payload",
"extra", "after", "closed"}`.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from pytest_fluxrun.boundary import Boundary, Call
from pytest_fluxrun.errors import DamagedBundle
from pytest_fluxrun.kinds.message import MESSAGE
from pytest_fluxrun.values import Value, decode, encode

__all__ = ["Arrived", "Channel", "Closed", "WebsocketLibrary", "next_number", "websocket_url"]

_SERVER_WAITS_S: Final = 60.0
"""How long, in virtual time, a message is held back for sends that came before it at recording and may not come now."""
_SCHEMES: Final = {"http": "ws", "https": "wss"}
_counters: weakref.WeakKeyDictionary[Any, itertools.count[int]] = weakref.WeakKeyDictionary()


def websocket_url(url: str) -> str:
    """A URL as websockets name it: its scheme `ws` or `wss`, no credentials, no fragment."""
    parts = urlsplit(url)
    scheme = _SCHEMES.get(parts.scheme.lower(), parts.scheme.lower())
    return urlunsplit((scheme, parts.netloc.rpartition("@")[2], parts.path or "/", parts.query, ""))


def next_number(session: Any) -> str:
    """The number of a connection that a session records; those of start-up have a series of their own."""
    count = _counters.setdefault(session, itertools.count(1))
    return f"{'start-up ' if session.preamble else ''}{next(count)}"


@dataclass(slots=True)
class Closed:
    """How a connection ended.

    Attributes:
        received: code and reason of the peer's close frame, or None; `sent` likewise of ours.
        peer_first: the peer's came first.
        cause: the error beneath, dumped, or None.
    """

    received: tuple[int, str] | None = None
    sent: tuple[int, str] | None = None
    peer_first: bool = False
    cause: Value = None

    def dump(self) -> Value:
        """Its stored form."""
        return {
            "received": None if self.received is None else list(self.received),
            "sent": None if self.sent is None else list(self.sent),
            "peer_first": self.peer_first,
            "cause": self.cause,
        }

    @classmethod
    def load(cls, value: Value) -> Closed:
        """What `dump` saw."""
        received, sent = value["received"], value["sent"]
        return cls(
            None if received is None else (received[0], received[1]),
            None if sent is None else (sent[0], sent[1]),
            value["peer_first"],
            value["cause"],
        )


@dataclass(slots=True)
class Arrived:
    """What a connection gave.

    Attributes:
        what: `text`, `binary`, `close`, or a word of the library; `over`: no more comes.
        extra: what the library says beside it, plain.
        after: how many sends of the connection came before it.
        closed: set where the connection has ended by now.
    """

    what: str
    payload: Any = None
    extra: Any = None
    after: int = 0
    closed: Closed | None = None


class WebsocketLibrary(Boundary[Arrived | None]):
    """A boundary of the kind message for websocket clients."""

    kind = MESSAGE

    def weigh(self, result: Arrived | None) -> int:
        """The payload's bytes, about."""
        payload = None if result is None else result.payload
        return len(payload) if isinstance(payload, str | bytes) else 0

    def dump(self, result: Arrived | None) -> Value:
        """What arrived; None for what was sent."""
        if result is None:
            return None
        closed = result.closed
        return {
            "what": result.what,
            "payload": encode(result.payload),
            "extra": encode(result.extra),
            "after": result.after,
            "closed": None if closed is None else closed.dump(),
        }

    def load(self, value: Value, call: Call) -> Arrived | None:
        """What `dump` saw.

        Raises:
            DamagedBundle: it isn't a recorded message.
            OpaqueValue: it could not be kept.
        """
        del call
        if value is None:
            return None
        if "what" not in value:
            decode(value)  # what couldn't be kept says so
        try:
            closed = None if value["closed"] is None else Closed.load(value["closed"])
            return Arrived(value["what"], decode(value["payload"]), decode(value["extra"]), value["after"], closed)
        except (KeyError, TypeError) as error:
            raise DamagedBundle("a recorded message can't be read", why=repr(error)) from error


@dataclass(eq=False)
class Channel:
    """One connection.

    Attributes:
        number: what the recorded handshake says; None for a connection that no session saw being opened.
        sent: how many messages and close frames were sent so far.
    """

    library: WebsocketLibrary
    url: str
    number: str | None
    sent: int = 0
    _held: deque[Arrived] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _waiter: asyncio.Future[None] | None = None

    def form(self, direction: str, payload: Any = None, *, control: str = "") -> dict[str, Any]:
        """The request of the kind message."""
        form: dict[str, Any] = {"channel": self.url, "direction": direction, "payload": payload, "headers": []}
        if self.number is not None:
            form["connection"] = self.number
        if control:
            form["control"] = control
        return form

    async def asend(
        self,
        session: Any,
        payload: Any,
        live: Callable[[], Awaitable[Arrived | None]],
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> Arrived | None:
        """Send a message; its payload, or what gives that once the message is out (`prepare`: or without sending)."""
        arrived: Arrived | None = await session.acall(self.library, self._sending(payload, prepare), live)
        self._count_sent()
        return arrived

    async def aclose(self, session: Any, closing: str, live: Callable[[], Awaitable[Arrived | None]]) -> Arrived | None:
        """Send a close frame: what arrives after it answers it."""
        call = Call(self.form("send", closing, control="close"))
        arrived: Arrived | None = await session.acall(self.library, call, live)
        self._count_sent()
        return arrived

    def send(self, session: Any, payload: Any, live: Callable[[], Arrived | None]) -> Arrived | None:
        """`asend` on a thread."""
        arrived: Arrived | None = session.call(self.library, self._sending(payload), live)
        self._count_sent()
        return arrived

    def _sending(self, payload: Any, prepare: Callable[[], Awaitable[None]] | None = None) -> Call:
        if callable(payload):
            return Call(lambda: self.form("send", payload()), prepare=prepare)
        return Call(self.form("send", payload))

    async def areceive(self, session: Any, live: Callable[[], Awaitable[Arrived]], *, control: str = "") -> Arrived:
        """The next message: at replay neither before its time nor before what was sent before it."""

        async def counted() -> Arrived:
            arrived = await live()
            arrived.after = self.sent
            return arrived

        if not self._held:
            self._held.append(await session.acall(self.library, Call(self.form("receive", control=control)), counted))
        if session.clock is not None:
            await self._wait_for(self._held[0].after)
        return self._held.popleft()

    def receive(self, session: Any, live: Callable[[], Arrived], *, control: str = "") -> Arrived:
        """`areceive` on a thread."""

        def counted() -> Arrived:
            arrived = live()
            arrived.after = self.sent
            return arrived

        if not self._held:
            self._held.append(session.call(self.library, Call(self.form("receive", control=control)), counted))
        if session.clock is not None:
            after = self._held[0].after
            with self._changed:
                self._changed.wait_for(lambda: self.sent >= after, timeout=_SERVER_WAITS_S)
        return self._held.popleft()

    def _count_sent(self) -> None:
        with self._changed:
            self.sent += 1
            self._changed.notify_all()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait_for(self, sent: int) -> None:
        loop = asyncio.get_running_loop()
        limit_s = loop.time() + _SERVER_WAITS_S
        while self.sent < sent and (left_s := limit_s - loop.time()) > 0:
            self._waiter = loop.create_future()
            await asyncio.wait((self._waiter,), timeout=left_s)
