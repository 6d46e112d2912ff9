"""What a gRPC call got: metadata, messages as they came, the status; the forms of a call and its answer. No I/O.

Stored are the fields of a recorded HTTP answer (`chunks` are the messages), `trailers`, and the rest under `grpc`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries.http.exchange import text_or_bytes
from pytest_fluxrun.errors import DamagedBundle
from pytest_fluxrun.values import Value, decode, encode, encode_or_opaque

__all__ = ["Asked", "RpcAnswer"]

_MAX_BYTES: Final = 32 * 1024 * 1024
_RESOLVERS: Final = ("dns:///", "dns:", "ipv4:", "ipv6:", "passthrough:///")
Metadata = tuple[tuple[str, Any], ...]


class Asked:
    """One call as it was asked: references to what doesn't change.

    Args:
        target: as the channel was made for.
        method: `/package.Service/Method`.
        message: the request, or None where requests are a stream: each is then a call of its own, `sent`.
    """

    __slots__ = ("message", "metadata", "url")

    def __init__(self, target: str, method: str, metadata: Iterable[Any] | None, message: bytes | None) -> None:
        for resolver in _RESOLVERS:
            target = target.removeprefix(resolver)
        self.url = f"grpc://{quote(target, safe=':[].,')}{method}"
        self.metadata = tuple(metadata or ())
        self.message = message

    def form(self) -> dict[str, Any]:
        """The call in the form of the kind http."""
        return {
            "method": "POST",
            "url": self.url,
            "headers": [["content-type", "application/grpc"], *map(_header, self.metadata)],
            "body": text_or_bytes(self.message or b""),
            "streamed": self.message is None,
        }

    def sent(self, message: bytes) -> dict[str, Any]:
        """One message of a stream of requests, in the same form."""
        headers = [["content-type", "application/grpc"]]
        body = text_or_bytes(message)
        return {"method": "POST", "url": f"{self.url}/sent", "headers": headers, "body": body, "streamed": True}


def _header(item: Any) -> list[str]:
    name, value = item
    return [name.lower(), value.decode("latin-1") if isinstance(value, bytes) else str(value)]


class RpcAnswer:
    """Filled while the app reads, by a boundary's tee; at replay, loaded.

    Attributes:
        played: it comes from a recording, and nothing live stands behind it.
        event: what the live call gave at once, until the seam takes it.
        times_ns: per message, nanoseconds from the crossing's end.
        after: per message, how many requests had been handed over before it; `after_end` likewise for the status.
        asked: how many messages were asked for, those that never came included.
        code: the status as a number, or None: the app left or cancelled the call before (`end` says which).
    """

    __slots__ = (
        "after",
        "after_end",
        "asked",
        "code",
        "debug",
        "details",
        "end",
        "ended_ns",
        "event",
        "head_ns",
        "initial",
        "messages",
        "played",
        "sent",
        "size_bytes",
        "times_ns",
        "trailing",
    )

    def __init__(self) -> None:
        self.played = False
        self.event: Any = None
        self.initial: Metadata | None = None
        self.messages: list[bytes] = []
        self.times_ns: list[int] = []
        self.after: list[int] = []
        self.after_end = self.asked = self.sent = self.size_bytes = self.ended_ns = 0
        self.code: int | None = None
        self.details: str | None = None
        self.debug: str | None = None
        self.trailing: Metadata = ()
        self.end = "abandoned"
        self.head_ns = ambient.monotonic_ns()

    def begin(self) -> None:
        """The crossing is over: what has come is there at once, what comes is timed from here."""
        self.head_ns = ambient.monotonic_ns()
        self.times_ns = [0] * len(self.times_ns)
        self.ended_ns = 0

    def add(self, message: bytes) -> None:
        """The app is about to get a message."""
        self.size_bytes += len(message)
        if self.size_bytes > _MAX_BYTES:
            self.messages, self.times_ns, self.after, self.end = [], [], [], "over-bound"
        else:
            self.messages.append(message)
            self.times_ns.append(ambient.monotonic_ns() - self.head_ns)
            self.after.append(self.sent)

    def finish(self, code: int, details: str | None, trailing: Iterable[Any] | None, debug: str | None) -> None:
        """The status came."""
        if self.end == "abandoned":
            self.end, self.code, self.details, self.debug = "eof", code, details, debug
            self.trailing = tuple(trailing or ())
            self.ended_ns, self.after_end = ambient.monotonic_ns() - self.head_ns, self.sent

    def cancel(self) -> None:
        """The app wants no more."""
        if self.end == "abandoned":
            self.end, self.ended_ns = "cancelled", ambient.monotonic_ns() - self.head_ns

    def dump(self) -> Value:
        """The stored form; an answer over the size bound becomes an opaque marker."""
        if self.end == "over-bound":
            return encode_or_opaque(self)
        return {
            "status": 200,
            "headers": _dumped(self.initial or ()),
            "http_version": "HTTP/2",
            "reason": None,
            "chunks": [encode(text_or_bytes(message)) for message in self.messages[: len(self.after)]],
            "times_ns": [max(0, time_ns) for time_ns in self.times_ns],
            "end": self.end,
            "ended_ns": max(0, self.ended_ns),
            "error": None,
            "trailers": _dumped(self.trailing),
            "grpc": {
                "began": self.initial is not None,
                "after": list(self.after),
                "after_end": self.after_end,
                "asked": self.asked,
                "code": self.code,
                "details": self.details,
                "debug": self.debug,
            },
        }

    @classmethod
    def load(cls, value: Value) -> RpcAnswer:
        """The answer that `dump` saw.

        Raises:
            DamagedBundle: it isn't one.
        """
        recorded, answer = decode(value), cls()
        try:
            own = recorded["grpc"]
            answer.played = True
            answer.initial = _loaded(recorded["headers"]) if own["began"] else None
            answer.messages = [item.encode() if isinstance(item, str) else item for item in recorded["chunks"]]
            answer.times_ns, answer.after, answer.after_end = recorded["times_ns"], own["after"], own["after_end"]
            answer.end, answer.ended_ns, answer.asked = recorded["end"], recorded["ended_ns"], own["asked"]
            answer.code, answer.details, answer.debug = own["code"], own["details"], own["debug"]
            answer.trailing = _loaded(recorded["trailers"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DamagedBundle("a recorded gRPC answer can't be read", why=repr(error)) from error
        return answer


def _dumped(metadata: Metadata) -> Value:
    return [[name, encode(value)] for name, value in metadata]


def _loaded(pairs: list[list[Any]]) -> Metadata:
    return tuple((name, value) for name, value in pairs)
