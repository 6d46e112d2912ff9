"""HTTP/1.1 on the wire: an answer's bytes taken out of their framing, and framed again for a library's own parser.

For libraries whose parser stays live at replay. RFC 9112, section 7.1. Pure; no I/O.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, Literal

from pytest_fluxrun.boundaries.http.exchange import Exchange
from pytest_fluxrun.boundaries.http.framing import framed, unframe

__all__ = ["CONTINUE", "Framing", "framed_head", "unframed"]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""The interim answer for which a client may wait before it sends a body."""
_ACCEPT_KEY: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""


def unframed(
    pieces: Iterable[tuple[bytes, int]], headers: Iterable[tuple[bytes, bytes]]
) -> tuple[list[tuple[bytes, int]], int]:
    """A body's chunks, without transfer coding, of the bytes that came: from the status line on.

    Args:
        pieces: what the connection gave, in order, each with its time; interim answers (1xx) come before the answer.
        headers: the answer's.

    Returns:
        The chunks, each with the time at which it was whole; and how many bytes the last one lacks.
    """
    body: list[tuple[bytes, int]] = []
    head = b""
    in_body = False
    for piece, time_ns in pieces:
        data = piece
        if not in_body:
            head, data, in_body = _past_heads(head + piece)
        if in_body and data:
            body.append((data, time_ns))
    if not Framing.of(headers).chunked:
        return body, 0
    found = unframe([data for data, _ in body])
    chunks = [(chunk, body[end][1]) for chunk, end in zip(found.chunks, found.ends, strict=True)]
    return chunks, found.missing


def _past_heads(data: bytes) -> tuple[bytes, bytes, bool]:
    """What is left of the heads, what follows the last one, and whether that one is over."""
    while True:
        head, blank, rest = data.partition(b"\r\n\r\n")
        if not blank:
            head, blank, rest = data.partition(b"\n\n")
        if not blank:
            return data, b"", False
        status = head.split(None, 2)[1:2]
        if not status or not status[0].startswith(b"1") or status[0] == b"101":
            return b"", rest, True
        data = rest


class Framing:
    """How a body is delimited: `chunked`, by a length that the head says, or else by the connection's end."""

    def __init__(self, *, chunked: bool, sized: bool) -> None:
        self.chunked = chunked
        self.sized = sized

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]]) -> Framing:
        """The framing that an answer's headers tell."""
        found = {name.lower(): value.lower() for name, value in headers}
        return cls(chunked=b"chunked" in found.get(b"transfer-encoding", b""), sized=b"content-length" in found)

    def frame(self, chunks: Iterable[bytes], missing: int = 0) -> bytes:
        """Chunks as the parser expects them; the last one may lack bytes."""
        if not self.chunked:
            return b"".join(chunks)
        *whole, last = chunks
        return b"".join((*(part for chunk in whole for part in framed(chunk)), *framed(last, missing)))

    def terminator(self) -> bytes:
        """What ends the body on the wire, if bytes do."""
        return b"0\r\n\r\n" if self.chunked else b""


def framed_head(
    exchange: Exchange, *, websocket_key: str | None = None, charset: Literal["latin-1", "utf-8"] = "utf-8"
) -> bytes:
    """Status line and headers.

    Args:
        websocket_key: the key that the client has just sent: the recorded answer to another one is replaced.
        charset: in which the library's parser reads the reason; bytes that were no UTF-8 it keeps as surrogates.
    """
    errors = "surrogateescape" if charset == "utf-8" else "replace"
    version = "1.0" if exchange.http_version == "HTTP/1.0" else "1.1"
    reason = _phrase(exchange.status) if exchange.reason is None else exchange.reason
    lines = [f"HTTP/{version} {exchange.status} {reason}".encode(charset, errors)]
    for name, value in exchange.headers:
        if websocket_key is not None and name.lower() == b"sec-websocket-accept":
            value = _accepted(websocket_key)  # noqa: PLW2901 - the only one that changes
        lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _accepted(key: str) -> bytes:
    return base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT_KEY, usedforsecurity=False).digest())


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
