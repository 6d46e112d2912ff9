"""A request of aiohttp as it goes out, and a payload's bytes: seen as they pass, or rendered without sending."""

from __future__ import annotations

import functools
from typing import Any, Final

from pytest_fluxrun.boundaries.http.exchange import text_or_bytes
from pytest_fluxrun.boundaries.websocket.channel import websocket_url
from pytest_fluxrun.context import Lane, current_lane, entered

__all__ = ["Asked", "Rendered", "body_attribute"]

_BODY_LANE: Final = "ClientRequest.write_bytes"


class Asked:
    """A request as it goes out: references to what can't change, and the chunks of a streamed body as they pass.

    Attributes:
        lane: where the app's own code runs that makes the body, beneath no crossing; None: there is no such code.
    """

    __slots__ = ("_body", "_headers", "_payload", "_request", "chunks", "lane")

    def __init__(self, request: Any) -> None:
        self._request = request
        self._payload = getattr(request, body_attribute(request))
        self._body = _whole(self._payload)
        self._headers: tuple[tuple[str, str], ...] | None = None
        self.chunks: list[bytes] = []
        lane = current_lane()
        self.lane: Lane | None = None if self._body is not None or lane is None else lane.spawn(_BODY_LANE)

    @property
    def streamed(self) -> bool:
        """Whether the body's bytes are known only when they are written."""
        return self._body is None

    def settle(self) -> None:
        """Keep the headers as they are now, and hold the library's objects no longer."""
        headers = tuple(self._request.headers.items())
        if "Content-Type" not in self._request.headers and self._request.method in self._request.POST_METHODS:
            headers += (("Content-Type", "application/octet-stream"),)  # as `ClientRequest.send` does
        self._headers = headers

    def tee(self, writer: Any) -> None:
        """Copy what is written from now on, before it is compressed or framed."""
        write, chunks = writer.write, self.chunks
        chunks.clear()
        self._payload = None

        @functools.wraps(write)
        async def copied(chunk: Any, *args: Any, **kwargs: Any) -> None:
            chunks.append(bytes(chunk))
            await write(chunk, *args, **kwargs)

        writer.write = copied

    async def prepare(self) -> None:
        """Render a streamed body that nothing has sent."""
        if self.streamed and self._payload is not None:
            payload, self._payload = self._payload, None
            with entered(self.lane):
                self.chunks += await _rendered(payload)

    def form(self) -> dict[str, Any]:
        """The request in the form of the kind http."""
        if self._headers is None:
            self.settle()
        if self.streamed and self._payload is not None:
            self.chunks += _rendered_at_once(self._payload)
            self._payload = None
        url = self._request.url
        plain = str(url.with_user(None) if url.raw_user else url)
        return {
            "method": self._request.method,
            "url": websocket_url(plain) if "Sec-WebSocket-Key" in self._request.headers else plain,
            "headers": [[name.lower(), value] for name, value in self._headers or ()],
            "body": text_or_bytes(b"".join(self.chunks) if self._body is None else self._body),
            "streamed": self._body is None,
        }


class Rendered:
    """A payload's bytes again, as `ClientRequest.write_bytes` writes a payload; and the writer that collects them."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks

    def __iter__(self) -> Any:
        return iter(self.chunks)

    async def write_with_length(self, writer: Any, _: int | None) -> None:
        """To a writer of the library."""
        for chunk in self.chunks:
            await writer.write(chunk)

    async def write(self, chunk: Any, *_: Any, **__: Any) -> None:
        """From a payload of the library."""
        self.chunks.append(bytes(chunk))

    async def write_eof(self, chunk: bytes = b"") -> None:
        """From a payload that ends its body itself."""
        if chunk:
            self.chunks.append(bytes(chunk))

    async def drain(self) -> None:
        """All is taken."""


async def _rendered(payload: Any) -> list[bytes]:
    """What a payload writes, as far as it gets: one that fails failed when it was recorded, and its answer says so."""
    collected = Rendered([])
    try:
        if hasattr(payload, "write"):
            await payload.write(collected)
        else:
            for chunk in payload:
                await collected.write(chunk)
    except Exception:  # a body is the app's code
        return collected.chunks
    return collected.chunks


def _rendered_at_once(payload: Any) -> list[bytes]:
    """What a payload of parts in memory writes; nothing where it has to wait for something."""
    if type(payload).__name__ != "MultipartWriter":
        return []
    rendering = _rendered(payload)
    try:
        rendering.send(None)
    except StopIteration as over:
        found: list[bytes] = over.value
        return found
    rendering.close()
    return []


def body_attribute(request: Any) -> str:
    """Where a request keeps its payload: newer versions warn of the public name."""
    return "_body" if hasattr(type(request), "_body") else "body"


def _whole(payload: Any) -> bytes | None:
    """The bytes of a body that is in memory, or None: it is written by code."""
    if not payload and not hasattr(payload, "write"):
        return b""
    value = payload if isinstance(payload, bytes | bytearray) else getattr(payload, "_value", None)
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else None
