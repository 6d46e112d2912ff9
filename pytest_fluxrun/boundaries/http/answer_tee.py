"""What an app reads of an HTTP/1 answer, copied from the library's own buffered file without changing what it sees."""

from __future__ import annotations

import http.client
from typing import Any

from pytest_fluxrun.boundaries.http.exchange import Exchange
from pytest_fluxrun.boundaries.http.failures import Failure
from pytest_fluxrun.boundaries.http.framing import unframe
from pytest_fluxrun.values import dump_error

__all__ = ["AnswerTee", "unframed_exchange"]


class AnswerTee:
    """Stands where `HTTPResponse.fp` is. All that it doesn't copy is the file's own.

    Args:
        length: of the body where the head tells it; the file ends it otherwise.
        chunked: the wire has transfer coding: where the body ends is seen when it is dumped.
    """

    def __init__(self, inner: Any, exchange: Exchange, *, length: int | None, chunked: bool) -> None:
        self._inner = inner
        self._exchange = exchange
        self._left = None if chunked else length
        self._chunked = chunked
        exchange.coded = chunked
        if self._left == 0:
            exchange.finish("eof")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __iter__(self) -> Any:
        return iter(self.readline, b"")

    def read(self, size: int | None = -1) -> bytes:
        """As `BufferedReader.read`: less than asked for is the end."""
        data: bytes = self._guarded(self._inner.read, -1 if size is None else size)
        self._took(data, over=size is None or size < 0 or len(data) < size)
        return data

    def read1(self, size: int = -1) -> bytes:
        """As `BufferedReader.read1`: only nothing is the end."""
        data: bytes = self._guarded(self._inner.read1, size)
        self._took(data, over=not data and size != 0)
        return data

    def readline(self, size: int | None = -1) -> bytes:
        """As `BufferedReader.readline`."""
        data: bytes = self._guarded(self._inner.readline, -1 if size is None else size)
        self._took(data, over=not data and size != 0)
        return data

    def readinto(self, buffer: Any) -> int:
        """As `BufferedReader.readinto`: less than there is room for is the end."""
        size: int = self._guarded(self._inner.readinto, buffer)
        self._took(bytes(memoryview(buffer)[:size]), over=size < len(buffer))
        return size

    def readinto1(self, buffer: Any) -> int:
        """As `BufferedReader.readinto1`."""
        size: int = self._guarded(self._inner.readinto1, buffer)
        self._took(bytes(memoryview(buffer)[:size]), over=not size and len(buffer) > 0)
        return size

    def _guarded(self, read: Any, argument: Any) -> Any:
        try:
            return read(argument)
        except BaseException as raised:
            self._exchange.broke_off(raised)
            raise

    def _took(self, data: bytes, *, over: bool) -> None:
        exchange = self._exchange
        if data:
            exchange.add(data)
        if self._chunked:
            if over and exchange.end == "abandoned":
                exchange.finish("ended")
            return
        if self._left is None:
            if over and exchange.end == "abandoned":
                exchange.finish("eof")
            return
        self._left -= len(data)
        if exchange.end != "abandoned":
            return
        if self._left <= 0:
            exchange.finish("eof")
        elif over:
            exchange.finish("ended")


def unframed_exchange(taken: Exchange) -> Exchange:
    """What a tee filled, without transfer coding."""
    exchange = Exchange(taken.status, taken.headers, http_version=taken.http_version, reason=taken.reason)
    count = len(taken.times_ns)
    exchange.chunks, exchange.times_ns = taken.chunks[:count], taken.times_ns[:count]
    exchange.end, exchange.ended_ns, exchange.error = taken.end, taken.ended_ns, taken.error
    if taken.coded:
        found = unframe(exchange.chunks)
        exchange.times_ns = [taken.times_ns[end] for end in found.ends]
        exchange.chunks, exchange.missing = found.chunks, found.missing
        if found.terminated and taken.end != "over-bound":
            exchange.end, exchange.ended_ns = "eof", taken.times_ns[-1] if count else 0
    if exchange.end == "ended":
        exchange.end, exchange.error = "error", _incomplete(exchange)
    return exchange


def _incomplete(exchange: Exchange) -> Any:
    """A body that ended before its length, told as http.client tells it."""
    got = sum(map(len, exchange.chunks))
    declared = next((value for name, value in exchange.headers if name.lower() == b"content-length"), b"")
    error = http.client.IncompleteRead(b"", int(declared) - got if declared.isdigit() else None)
    rest = f", {error.expected} more expected" if error.expected is not None else ""
    message = f"IncompleteRead({got} bytes read{rest})"
    return {**dump_error(error), "message": message, "failure": Failure.INCOMPLETE.value}
