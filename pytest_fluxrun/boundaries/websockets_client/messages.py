"""What both clients of the library websockets share: a connection's record, a message out, a message in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from pytest_fluxrun.boundaries.http.exchange import Exchange
from pytest_fluxrun.boundaries.http.stepwise import Stepwise
from pytest_fluxrun.boundaries.websocket.channel import Arrived, Channel, WebsocketLibrary, websocket_url
from pytest_fluxrun.boundaries.websockets_client.closing import closed_of
from pytest_fluxrun.boundaries.websockets_client.handshake import Asked
from pytest_fluxrun.values import Value, encode_or_opaque

__all__ = [
    "Answered",
    "MessageLibrary",
    "Opened",
    "Raised",
    "Sent",
    "Uncovered",
    "arrived_of",
    "closing_text",
    "decoded",
    "last_ping",
    "opened_of",
]


class Opened:
    """What FluxRun knows of a connection, kept on it.

    Attributes:
        played: it is one of a replay.
        over: the app knows that it is closed.
        exchange: the recorded answer to the handshake, until that is over.
    """

    def __init__(self, channel: Channel, *, played: bool) -> None:
        self.channel = channel
        self.played = played
        self.over = False
        self.exchange: Exchange | None = None
        self.step: Stepwise[Exchange] | None = None
        self.asked: Asked | None = None


class Sent:
    """A message on its way out: whole, or its fragments as they pass."""

    def __init__(self, message: Any, text: Any) -> None:
        self._text = text
        self._fragments: list[Any] = []
        self._message = message
        self.whole = isinstance(message, str | bytes | bytearray | memoryview) or hasattr(message, "keys")

    def passing(self) -> Any:
        """The message to hand to the library."""
        if self.whole:
            return self._message
        return self._afragments() if hasattr(self._message, "__aiter__") else self._pass_fragments()

    async def prepare(self) -> None:
        """Take the fragments that only a coroutine gives."""
        if not self.whole and hasattr(self._message, "__aiter__"):
            async for _ in self._afragments():
                pass

    def payload(self) -> str | bytes:
        """What was sent, as the peer takes it."""
        if self.whole:
            fragments: list[Any] = [self._message]
        else:
            if not self._fragments and not hasattr(self._message, "__aiter__"):
                list(self._pass_fragments())
            fragments = self._fragments
        text = self._text if self._text is not None else bool(fragments) and isinstance(fragments[0], str)
        data = b"".join(part.encode() if isinstance(part, str) else bytes(part) for part in fragments)
        return data.decode("utf-8", "surrogateescape") if text else data

    def _pass_fragments(self) -> Iterator[Any]:
        for fragment in self._message:
            self._fragments.append(fragment)
            yield fragment

    async def _afragments(self) -> AsyncIterator[Any]:
        async for fragment in self._message:
            self._fragments.append(fragment)
            yield fragment


class Raised:
    """The error of a live call that the session must see as an answer: the connection has ended."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def closing(self, connection: Any, error: Exception) -> Arrived:
        """What arrived, where the error says that the connection is closed; else the error."""
        if not any(kind.__name__ == "ConnectionClosed" for kind in type(error).__mro__):
            raise error
        self.error = error
        return Arrived("over", closed=closed_of(connection))

    def again(self) -> None:
        """Raise it to the app."""
        if self.error is not None:
            raise self.error


class Answered:
    """Whether a pong has come, told when the recording is written."""

    def __init__(self, event: Any) -> None:
        self.event = event


class Uncovered(Arrived):
    """A connection whose messages nobody sees: a run that has one can't be replayed."""

    def __init__(self) -> None:
        super().__init__("uncovered")


class MessageLibrary(WebsocketLibrary):
    """The boundary's storing half."""

    def dump(self, result: Arrived | None) -> Value:
        """What arrived; of a ping whether its pong came."""
        if isinstance(result, Uncovered):
            return encode_or_opaque(object())
        if result is not None and isinstance(result.extra, Answered):
            result.extra = 0.0 if result.extra.event.is_set() else None
        return super().dump(result)


def arrived_of(message: Any) -> Arrived:
    """A message or fragment that the library gave."""
    text = isinstance(message, str)
    return Arrived("text" if text else "binary", message if text else bytes(message))


def decoded(payload: Any, decode: Any) -> Any:
    """A recorded message as the app asks for it."""
    if decode is None or decode == isinstance(payload, str):
        return payload
    return payload.decode() if decode else payload.encode()


def closing_text(code: int, reason: str) -> str:
    """A close frame's code and reason, for people and for comparison."""
    return f"{int(code)} {reason}".strip()


def last_ping(connection: Any) -> bytes:
    """What the ping that has just been sent holds; older versions have another name for them."""
    names = ("pending_pings", "pong_waiters", "ping_waiters")
    pings = next((found for name in names if (found := getattr(connection, name, None))), None) or connection.pings
    data: bytes = next(reversed(pings))
    return data


def opened_of(library: WebsocketLibrary, connection: Any) -> Opened:
    """What is known of a connection; of one from before every session no more than where it leads."""
    opened: Opened | None = getattr(connection, "_fluxrun", None)
    if opened is None:
        request = connection.request
        channel = Channel(library, websocket_url(f"ws://{request.headers['Host']}{request.path}"), None)
        opened = connection._fluxrun = Opened(channel, played=False)  # noqa: SLF001 - kept where it is looked for
    return opened
