"""One conversation between an ASGI server and an app, by reference until it is dumped; and its scope, there and back.

The base of the HTTP and the websocket exchange. ASGI 3.0, HTTP and WebSocket scope spec 2.0 to 2.4.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar

from pytest_fluxrun.context import Lane
from pytest_fluxrun.entries.web import bodies
from pytest_fluxrun.entry import noted
from pytest_fluxrun.values import Value, dump_error, encode_or_opaque

__all__ = [
    "NOMINAL_BYTES",
    "Exchange",
    "Message",
    "Receive",
    "Send",
    "live_scope",
    "text_pairs",
]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

NOMINAL_BYTES = 1024
_SCOPE_KEYS = ("http_version", "scheme", "path", "raw_path", "query_string", "root_path", "client", "server")
_EXTENSIONS = ("http.response.", "websocket.http.")
"""Those that an app answers in another way; what else a server offers (TLS, its own) is the server's."""


class Exchange(ABC):
    """What one request or websocket received and sent.

    Attributes:
        kind: the scope's type.
        also_asked: keys of the scope that only this type has.
        parts_unanswered: an app may listen on without an answer, and is told in the end that the server goes away.
        status: what the index says, as an HTTP status; None: nothing was answered.
        sends: how many messages the app has sent.
        asks: how many messages the app has asked for.
        events: what it received, as rows `[offset, type, …, …, sends before, asks up to it, ns since the last]`.
        answered: the app has said all that it may say; who listens then is told of a disconnect.
        cut_short: an answer was due and isn't complete.
        disconnected: the client went away before that.
        damaged: a message wasn't ASGI, so that something is lacking here.
        gone_after: how many messages were sent when the app heard that the client had gone; what it sends then reaches
            nobody, is a race of loop iterations, and isn't kept. None: the client stayed.
        cancelled: the server cancelled the app.
        ended_ns: when the app returned or raised.
        span: the OpenTelemetry span in which the app first answered, or None.
    """

    kind: ClassVar[str]
    also_asked: ClassVar[tuple[str, ...]]
    parts_unanswered: ClassVar[bool]

    def __init__(self, scope: Message, keep_more: Callable[[int], bool] = lambda _: True) -> None:
        self.scope = scope
        self.asked: dict[str, Any] = {key: scope.get(key) for key in (*_SCOPE_KEYS, *self.also_asked)}
        self.asked["headers"] = list(scope.get("headers", ()))  # now: routers and mounts write to the scope
        self.keep_more = keep_more
        self.events: list[tuple[Any, ...]] = []
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self.others: list[Message] = []
        self.status: int | None = None
        self.asks = 0
        self.sends = 0
        self.last_step_ns = 0
        self.broken: tuple[int, OSError] | None = None
        self.gone_after: int | None = None
        self.cancelled = False
        self.answered = False
        self.disconnected = False
        self.damaged = False
        self.ended_ns = 0
        self.span: Any = None

    @abstractmethod
    def received(self, message: Message, offset_ns: int) -> None:
        """Keep what the app is about to receive."""

    @abstractmethod
    def sent(self, message: Message, offset_ns: int) -> None:
        """Keep what the app sends."""

    @property
    @abstractmethod
    def cut_short(self) -> bool:
        """See the class."""

    @abstractmethod
    def may_hide_an_error(self) -> bool:
        """Whether the answer is one that a framework gives for an error that it keeps from its server."""

    @abstractmethod
    def parting(self) -> Message:
        """What a server says to an app that listens when there is nothing more to come."""

    @abstractmethod
    def response(self) -> dict[str, Value] | None:
        """What was answered, for the outcome."""

    @staticmethod
    @abstractmethod
    def stored(event: tuple[Any, ...]) -> list[Any]:
        """A row of `events` as it is recorded, of plain values."""

    @staticmethod
    @abstractmethod
    def message(row: list[Any]) -> Message:
        """The message that `stored` recorded."""

    def asked_for_more(self, offset_ns: int) -> None:
        """The app waits for a message."""
        self.asks += 1
        self.last_step_ns = offset_ns

    def arrived(self, offset_ns: int, *what: Any, size_bytes: int) -> None:
        """One more message was received."""
        if self.keep_more(size_bytes):
            self.events.append((offset_ns, *what, self.sends, self.asks, offset_ns - self.last_step_ns))

    def counts(self, offset_ns: int) -> bool:
        """Count a message that is sent; False: it reaches nobody."""
        self.sends += 1
        self.last_step_ns = offset_ns
        return self.gone_after is None or self.sends <= self.gone_after

    def leaves(self) -> None:
        """The app is about to hear that the client has gone."""
        if self.gone_after is None:
            self.gone_after = self.sends

    def broke(self, error: OSError) -> None:
        """The last message couldn't be sent: the client is gone."""
        self.disconnected = True
        self.broken = self.broken or (self.sends, error)

    def input(self) -> Value:
        """What the server gave, for a replay to give again."""
        scope = {"type": self.kind, **self.asked}
        scope["headers"] = text_pairs(scope["headers"])
        scope["query_string"] = bytes(scope["query_string"] or b"").decode("latin-1")
        scope["raw_path"] = None if scope["raw_path"] is None else bytes(scope["raw_path"]).decode("latin-1")
        scope["asgi"] = dict(self.scope.get("asgi", {}))
        scope["extensions"] = [name for name in self.scope.get("extensions") or () if name.startswith(_EXTENSIONS)]
        return encode_or_opaque(
            {
                "scope": scope,
                "events": [self.stored(event) for event in self.events],
                "broken": None if self.broken is None else [self.broken[0], dump_error(self.broken[1])],
                "ended": {"ns": self.ended_ns, "cancelled": self.cancelled, "gone_after": self.gone_after},
            }
        )

    def outcome(self, error: BaseException | None) -> Value:
        """What came of it."""
        outcome = bodies.outcome(self.response(), error, disconnected=self.disconnected)
        if self.damaged:
            outcome["damaged"] = encode_or_opaque(object())
        return outcome

    def failure(self, raised: BaseException | None, lane: Lane | None) -> BaseException | None:
        """The error that came out, else the one of which the framework says that it became this failure."""
        return noted(lane).error if raised is None and self.may_hide_an_error() else raised

    def route(self, lane: Lane) -> str:
        """Method and template that the framework put into the scope or noted; the raw path could hold a secret."""
        template = self.scope.get("path_template") or getattr(self.scope.get("route"), "path", "") or noted(lane).route
        verb = self.scope.get("method") or self.kind.upper()
        return f"{verb} {template}" if isinstance(template, str) and template else ""

    def _answer(self, *, complete: bool) -> dict[str, Value]:
        assert self.status is not None
        headers = [(name, value) for name, value in text_pairs(self.headers)]
        return bodies.answer(self.status, headers, b"".join(self.body), complete=complete)


def live_scope(recorded: dict[str, Any], state: dict[str, Any] | None) -> Message:
    """The scope that a server makes of a recorded one.

    Args:
        state: what the lifespan left for each request, or None.
    """
    scope: dict[str, Any] = {"type": "http", **recorded}  # the oldest recordings lack the type
    scope["extensions"] = {name: {} for name in recorded.get("extensions", ())}
    scope["headers"] = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in recorded["headers"]]
    scope["query_string"] = recorded["query_string"].encode("latin-1")
    scope["raw_path"] = None if recorded["raw_path"] is None else recorded["raw_path"].encode("latin-1")
    for key in ("client", "server"):
        scope[key] = None if recorded[key] is None else tuple(recorded[key])
    if state is not None:
        scope["state"] = dict(state)
    return scope


def text_pairs(headers: Any) -> list[list[str]]:
    """Header pairs of bytes as text."""
    return [[bytes(name).decode("latin-1"), bytes(value).decode("latin-1")] for name, value in headers]
