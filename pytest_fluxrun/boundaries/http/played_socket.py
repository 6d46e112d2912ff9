"""A connection that leads nowhere: the library writes to it in vain and reads a recorded answer from it, byte for byte.

Stands where `http.client` keeps its socket. Nothing here opens, reads or writes a real one.
"""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Iterator
from typing import Any, NoReturn

from pytest_fluxrun.boundaries.http.exchange import Exchange
from pytest_fluxrun.boundaries.http.framing import framed
from pytest_fluxrun.boundaries.http.wire import CONTINUE, framed_head
from pytest_fluxrun.errors import UnrecordedCall

__all__ = ["Ended", "PlayedSocket", "wire_of"]


class Ended(Exception):
    """The recorded body ended before its length: the library sees the connection closed."""


class PlayedSocket:
    """What a library's connection holds while a run is replayed.

    Args:
        host: what the connection leads to, for messages.
        before: the live socket that a connection from before the run held; kept as it is, to be put back.
    """

    def __init__(self, host: str, before: Any = None) -> None:
        self.host = host
        self.before = before
        self.awaits_continue = False
        self._wire: io.RawIOBase | None = None
        self._timeout_s: float | None = None

    def play(self, wire: Iterator[bytes]) -> None:
        """The next `makefile` reads this."""
        self._wire = _Wire(wire)

    def makefile(self, mode: str = "r", buffering: int | None = None, **_: Any) -> Any:
        """The answer as a file; first `100 Continue` for a library that waits for it."""
        del mode, buffering
        if self.awaits_continue:
            self.awaits_continue = False
            return io.BytesIO(CONTINUE)
        if self._wire is None:
            self._refuse("an answer was read before the request was whole")
        return io.BufferedReader(self._wire)

    def fileno(self) -> int:
        """A descriptor that polls as readable exactly while the library waits for `100 Continue`."""
        return _descriptors()[self.awaits_continue]

    def settimeout(self, seconds: float | None) -> None:
        """Kept and never used: what timed out was recorded."""
        self._timeout_s = seconds

    def gettimeout(self) -> float | None:
        """The last `settimeout`."""
        return self._timeout_s

    def setsockopt(self, *_: Any) -> None:
        """There is nothing to set."""

    def shutdown(self, how: int) -> None:
        """There is nothing to shut down."""

    def close(self) -> None:
        """The app gives up the connection: also the live one that it held before the run, to which nothing is sent."""
        before, self.before = self.before, None
        if before is not None:
            before.close()

    def sendall(self, data: Any, *_: Any) -> NoReturn:
        """Refuse: a library that the seam covers sends through `HTTPConnection.send`."""
        del data
        self._refuse("bytes were written to its socket, past http.client")

    send = write = sendall

    def recv(self, *_: Any) -> NoReturn:
        """Refuse: a library that the seam covers reads through `makefile`."""
        self._refuse("bytes were read from its socket, past http.client")

    recv_into = read = recv

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a replayed connection has no {name}: what its socket was asked is not recorded")

    def _refuse(self, what: str) -> NoReturn:
        raise UnrecordedCall(
            f"a connection to {self.host} is used in a way that no recording answers",
            asked=what,
            next_step="move the boundary outwards with fluxrun.host, to where plain values cross it",
        )


class _Wire(io.RawIOBase):
    """Pieces of bytes as a raw file; the error that a piece raises comes from the read that reaches it."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            try:
                self._rest = memoryview(next(self._pieces, b""))
            except Ended:
                return 0
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)


@functools.cache
def _descriptors() -> tuple[int, int]:
    """Read ends of two pipes, one for all connections: one that never gets readable, and one that always is."""
    silent, _ = os.pipe()
    ready, other = os.pipe()
    os.write(other, b"\0")
    return silent, ready


def wire_of(exchange: Exchange, body: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes of an answer: its head, then each recorded chunk, in transfer coding where the head says so.

    Args:
        body: the chunks, each at its time, and then the error that ended them, if one did.
    """
    yield framed_head(exchange, charset="latin-1")
    if not _is_chunked(exchange):
        yield from filter(None, body)
        return
    last = len(exchange.chunks) - 1
    for index, chunk in enumerate(body):
        yield from framed(chunk, exchange.missing if index == last else 0)
    yield b"0\r\n\r\n"


def _is_chunked(exchange: Exchange) -> bool:
    """As `http.client` judges it."""
    return any(name.lower() == b"transfer-encoding" and value.lower() == b"chunked" for name, value in exchange.headers)
