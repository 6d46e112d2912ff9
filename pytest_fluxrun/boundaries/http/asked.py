"""An HTTP/1 request as the bytes of it pass on their way out: head, body without transfer coding, its form. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pytest_fluxrun.boundaries.http.exchange import text_or_bytes
from pytest_fluxrun.boundaries.http.framing import Unframer
from pytest_fluxrun.boundary import Call

__all__ = ["Asked", "Origin", "form_of"]

_MAX_BODY_BYTES: Final = 32 * 1024 * 1024


class Origin:
    """Where a connection leads: scheme, host and port of the target, not of a proxy."""

    __slots__ = ("host", "port", "scheme")

    def __init__(self, scheme: str, host: str, port: int | None) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port

    def url(self, target: str) -> str:
        """The URL of a request target; one in absolute form, as a forwarding proxy gets it, is its own."""
        if target.startswith(("http://", "https://")):
            return target
        host = f"[{self.host}]" if ":" in self.host and not self.host.startswith("[") else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{host}{port}{target if target.startswith('/') else f'/{target}'}"


class Asked:
    """A request as it was sent: references to what can't change, copies of what can.

    Attributes:
        session: a weak reference to the run's session: a connection outlives runs, and what one began is no other's.
        started_ns: when the first of it was sent, or the connection for it begun.
        crossed: its call was recorded or answered; nothing more belongs to it.
        foreseen: an answering session has been asked what will answer.
        failed: an error of sending, after which the library may still read an answer.
        announced: the body that the library said would follow the head, as it was given.
        ended: whether the body is over, where the library says so; its pieces then have no transfer coding.
    """

    __slots__ = (
        "_buffer",
        "_call",
        "_fed",
        "_unframer",
        "announced",
        "crossed",
        "ended",
        "failed",
        "foreseen",
        "head",
        "origin",
        "pieces",
        "session",
        "size",
        "started_ns",
    )

    def __init__(self, origin: Origin, started_ns: int, session: Callable[[], Any]) -> None:
        self.origin = origin
        self.session = session
        self.started_ns = started_ns
        self.head = b""
        self.pieces: list[bytes] = []
        self.size = 0
        self.crossed = False
        self.foreseen = False
        self.failed: BaseException | None = None
        self.announced: Any = None
        self.ended: bool | None = None
        self._buffer = b""
        self._call: Call | None = None
        self._unframer = Unframer()
        self._fed = 0

    @property
    def call(self) -> Call:
        """The call of this request; always the same object."""
        if self._call is None:
            self._call = Call(request=self.form, started_ns=self.started_ns)
        return self._call

    def adopt(self, call: Call) -> None:
        """An answering session knows this call, made before the request was sent, as the one to come."""
        self._call, self.foreseen = call, True

    def add(self, data: bytes) -> None:
        """Some of the request is about to be sent."""
        if not self.head:
            self._buffer += data
            head, end, data = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self.head, self._buffer = head, b""
        if data:
            self.size += len(data)
            if self.size <= _MAX_BODY_BYTES:
                self.pieces.append(data)

    def headers(self) -> list[tuple[str, str]]:
        """Lower-cased names and values, in the order of the wire."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines)
        return [(name.strip().lower(), value.strip()) for name, _, value in pairs]

    def expects_continue(self) -> bool:
        """The head is out and the library waits for `100 Continue` before it sends the body."""
        return bool(self.head) and not self.size and b"100-continue" in self.head.lower()

    def whole(self) -> bool:
        """Whether head and body are complete, as far as the head tells how long the body is."""
        if not self.head or self.ended is not None:
            return bool(self.ended)
        headers = dict(self.headers())
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._without_coding().terminated
        length = headers.get("content-length", "0")
        return not length.isdigit() or self.size >= int(length)

    def _without_coding(self) -> Unframer:
        """The body, of which each piece is read once."""
        for piece in self.pieces[self._fed :]:
            self._unframer.feed(piece)
        self._fed = len(self.pieces)
        return self._unframer

    def form(self) -> dict[str, Any]:
        """The request in the form of the kind http; a body over the bound is a marker that no bundle can hold."""
        method, _, rest = self.head.decode("latin-1").partition("\r\n")[0].partition(" ")
        headers = self.headers()
        chunked = any(name == "transfer-encoding" and "chunked" in value.lower() for name, value in headers)
        pieces = self._without_coding().found().chunks if chunked else self.pieces
        body: Any = object() if self.size > _MAX_BODY_BYTES else text_or_bytes(b"".join(pieces))
        return form_of(method, self.origin.url(rest.rpartition(" ")[0] or rest), headers, body, streamed=chunked)


def form_of(method: str, url: str, headers: list[tuple[str, str]], body: Any, *, streamed: bool) -> dict[str, Any]:
    """A request in the form of the kind http, of parts that are plain already."""
    pairs = [[name, value] for name, value in headers]
    return {"method": method, "url": url, "headers": pairs, "body": body, "streamed": streamed}
