"""An HTTP answer as it passes: its head, and its body as far as the app reads it; and its stored form. No I/O.

The stored form is `{"status", "headers": [[name, value], ...], "http_version", "reason", "chunks", "times_ns", "end",
"ended_ns", "error"}`: headers as sent, chunks without transfer coding but with content coding.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson

from pytest_fluxrun import ambient
from pytest_fluxrun.errors import DamagedBundle, GuardError
from pytest_fluxrun.values import Value, decode, encode, encode_or_opaque

__all__ = [
    "Exchange",
    "dump_exchange",
    "exchange_with",
    "load_exchange",
    "settled_ns",
    "settling_ns_of",
    "text_or_bytes",
    "written_exchange",
]

_AT_ONCE_NS: Final = 20_000_000
_IN_ONE_PIECE_NS: Final = 250_000_000
"""A body that is whole so soon after its head belongs to the call; a slower one is a stream."""
_MAX_BODY_BYTES: Final = 32 * 1024 * 1024


class Exchange:
    """An answer: its head, and its body as far as the app reads it. Filled by a boundary's tee while the app reads.

    Attributes:
        headers: raw pairs, bytes, in the order of the wire.
        http_version: e.g. `HTTP/1.1`, or None where the library doesn't say; `reason` likewise.
        times_ns: per chunk, nanoseconds from when the app has the head to the chunk; `ended_ns` likewise for the end.
        end: `eof`, `error` (then `error` holds it), `cancelled` while the app waited for more, `over-bound`, or
            `abandoned`: the app read no further.
        response: the live response until the seam hands it to the app; None at replay.
        connection: the number of the websocket that an answer of 101 opened, or None; stored only where there is one.
        coded: the chunks still have their transfer coding, as the app read them; taken off when they are dumped.
        missing: how many bytes the last chunk lacks where the app got a part of it.
    """

    __slots__ = (
        "chunks",
        "coded",
        "connection",
        "end",
        "ended_ns",
        "error",
        "head_ns",
        "headers",
        "http_version",
        "missing",
        "reason",
        "response",
        "size_bytes",
        "status",
        "times_ns",
    )

    def __init__(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        *,
        http_version: str | None = None,
        reason: str | None = None,
        response: Any = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.http_version = http_version
        self.reason = reason
        self.chunks: list[bytes] = []
        self.times_ns: list[int] = []
        self.size_bytes = 0
        self.head_ns = ambient.monotonic_ns()
        self.end = "abandoned"
        self.ended_ns = 0
        self.error: Value | BaseException = None
        self.response = response
        self.connection: str | None = None
        self.coded = False
        self.missing = 0

    def begin(self) -> Any:
        """The app gets the head now: what times of the body count from, as at replay. Gives the live response."""
        self.head_ns = ambient.monotonic_ns()
        response, self.response = self.response, None
        return response

    def header_names(self) -> Iterator[str]:
        """The headers' names, as sent."""
        return (name.decode("latin-1") for name, _ in self.headers)

    def add(self, chunk: bytes) -> None:
        """The app is about to get a chunk."""
        self.size_bytes += len(chunk)
        if self.size_bytes > _MAX_BODY_BYTES:
            self.chunks, self.times_ns, self.end = [], [], "over-bound"
            return
        self.chunks.append(chunk)
        self.times_ns.append(ambient.monotonic_ns() - self.head_ns)

    def finish(self, end: str, error: BaseException | None = None) -> None:
        """The body is over, or failed."""
        if self.end != "over-bound":
            self.end, self.error, self.ended_ns = end, error, ambient.monotonic_ns() - self.head_ns

    def broke_off(self, raised: BaseException) -> None:
        """Reading the body raised: it failed, or the app was cancelled; who closes a generator abandons the body."""
        if isinstance(raised, Exception):
            self.finish("error", raised)
        elif not isinstance(raised, GeneratorExit):
            self.finish("cancelled")


def exchange_with(response: Any, version: str | None, pairs: Callable[[], Iterable[tuple[str, str]]]) -> Exchange:
    """The exchange of a live response that has `status` and `reason`; one whose headers can't be told is a marker.

    Recording never raises into the host: the response is there whatever a subclass made of its headers.
    """
    try:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs()]
    except Exception:  # a library's subclass may hold anything
        exchange = Exchange(response.status, [], response=response)
        exchange.end = "over-bound"
        return exchange
    return Exchange(response.status, headers, http_version=version, reason=response.reason, response=response)


def dump_exchange(exchange: Exchange, dump_error: Callable[[BaseException], Value]) -> Value:
    """An exchange in its stored form; one over the size bound becomes an opaque marker."""
    if exchange.end == "over-bound":
        return encode_or_opaque(exchange)
    error = exchange.error
    value: dict[str, Value] = {
        "status": exchange.status,
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in exchange.headers],
        "http_version": exchange.http_version,
        "reason": exchange.reason,
        "chunks": [encode(text_or_bytes(chunk)) for chunk in exchange.chunks[: len(exchange.times_ns)]],
        "times_ns": list(exchange.times_ns),
        "end": exchange.end,
        "ended_ns": exchange.ended_ns,
        "error": dump_error(error) if isinstance(error, BaseException) else error,
    }
    if exchange.connection is not None:
        value["connection"] = exchange.connection
    if exchange.missing:
        value["missing"] = exchange.missing
    return value


def load_exchange(value: Value) -> Exchange:
    """The exchange that `dump_exchange` saw; its `error` stays a Value.

    Raises:
        DamagedBundle: it isn't a recorded HTTP answer.
    """
    recorded = decode({key: item for key, item in value.items() if key != "error"} if "end" in value else value)
    try:
        exchange = Exchange(
            recorded["status"],
            [(name.encode("latin-1"), content.encode("latin-1")) for name, content in recorded["headers"]],
            http_version=recorded["http_version"],
            reason=recorded["reason"],
        )
        exchange.chunks = [chunk.encode() if isinstance(chunk, str) else chunk for chunk in recorded["chunks"]]
        exchange.times_ns = recorded["times_ns"]
        exchange.end, exchange.ended_ns, exchange.error = recorded["end"], recorded["ended_ns"], value["error"]
        exchange.missing = recorded.get("missing", 0)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedBundle("a recorded HTTP answer can't be read", why=repr(error)) from error
    exchange.connection = recorded.get("connection")
    exchange.size_bytes = sum(map(len, exchange.chunks))
    return exchange


def written_exchange(reply: Mapping[str, Any], library: str) -> Exchange:
    """The exchange that a guard tells in words: `status`, `headers` as a table, `json`, `text` or `base64`.

    Raises:
        GuardError: it has other keys, or a status that is none.
    """
    status, headers = reply.get("status", 200), reply.get("headers", {})
    if (
        set(reply) - {"status", "headers", "json", "text", "base64"}
        or type(status) is not int
        or not isinstance(headers, Mapping)
    ):
        raise GuardError(
            f"the guard's reply {dict(reply)!r} is no answer of {library}",
            why="it may have `status`, a number, `headers`, a table, and `json`, `text` or `base64`",
            next_step='correct it, e.g. reply = { status = 201, json = { id = "ch_1" } }',
        )
    sort, body = _written_body(reply, library)
    said = {"content-type": sort, "content-length": str(len(body)), **headers}
    pairs = [
        (name.encode("latin-1"), str(value).encode("latin-1"))
        for name, values in said.items()
        for value in (values if isinstance(values, list) else [values])
    ]
    exchange = Exchange(status, pairs, http_version="HTTP/1.1", reason=_reason(status))
    exchange.add(body)
    exchange.times_ns = [0]
    exchange.finish("eof")
    exchange.ended_ns = 0
    return exchange


def _written_body(reply: Mapping[str, Any], library: str) -> tuple[str, bytes]:
    """The content type of a body in words, and its bytes."""
    if "json" in reply:
        return "application/json", orjson.dumps(reply["json"])
    if "base64" not in reply:
        return "text/plain; charset=utf-8", str(reply.get("text", "")).encode()
    try:
        return "application/octet-stream", base64.b64decode(reply["base64"], validate=True)
    except (ValueError, TypeError) as error:
        raise GuardError(
            f"the guard's reply {dict(reply)!r} is no answer of {library}",
            why=f"its `base64` can't be read: {error}",
            next_step="write the body's bytes in base64, or a text as `text`",
        ) from error


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def settled_ns(end: str, ended_ns: int, chunks: int, header_names: Iterable[str]) -> int:
    """How long a whole body took, if it came at once; 0 for a stream: in pieces, and of a length not known before."""
    if end != "eof":
        return 0
    sized = any(name.lower() == "content-length" for name in header_names)
    limit_ns = _IN_ONE_PIECE_NS if chunks <= 1 else _AT_ONCE_NS if sized else 0
    return ended_ns if 0 < ended_ns <= limit_ns else 0


def settling_ns_of(value: Value) -> int:
    """`settled_ns` of a stored exchange."""
    if "end" not in value:
        return 0
    names = (name for name, _ in value["headers"])
    return settled_ns(value["end"], value["ended_ns"], len(value["chunks"]), names)


def text_or_bytes(body: bytes) -> str | bytes:
    """A body as text where it is UTF-8, which stores and shows better; `str.encode` gives the same bytes back."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
