"""A recorded HTTP answer given to an asyncio protocol, as its transport would have: framed, each piece at its time."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any, Final

from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.http.exchange import Exchange
from pytest_fluxrun.boundaries.http.playback import Playback
from pytest_fluxrun.boundaries.http.wire import Framing
from pytest_fluxrun.context import Clock

__all__ = ["PushPlayback", "SilentTransport"]

_PIECE_BYTES: Final = 65_536


class SilentTransport(asyncio.Transport):
    """Sends nothing anywhere; hands the protocol's wishes on to who plays the answer.

    Args:
        paused: called with whether the protocol wants no more for now.
        closed: called once, when the protocol closes the connection.
    """

    def __init__(self, paused: Callable[[bool], None], closed: Callable[[], None]) -> None:
        super().__init__()
        self._on_paused = paused
        self._on_closed = closed
        self._closing = False
        self._reading = True

    def write(self, data: Any) -> None:
        """Nothing leaves."""

    def writelines(self, list_of_data: Any) -> None:
        """Nothing leaves."""

    def write_eof(self) -> None:
        """Nothing leaves."""

    def can_write_eof(self) -> bool:
        """As TCP."""
        return True

    def get_write_buffer_size(self) -> int:
        """All is gone at once."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def is_closing(self) -> bool:
        """Whether the protocol has closed it."""
        return self._closing

    def is_reading(self) -> bool:
        """Whether the protocol wants more."""
        return self._reading

    def pause_reading(self) -> None:
        """Give no more for now."""
        self._reading = False
        self._on_paused(True)

    def resume_reading(self) -> None:
        """Go on."""
        self._reading = True
        self._on_paused(False)

    def close(self) -> None:
        """Give no more."""
        if not self._closing:
            self._closing = True
            self._on_closed()

    abort = close


class PushPlayback(Playback):
    """The head and the body for a protocol, which may hold it back.

    Args:
        give: takes bytes of the wire; ended: told once that all was given, with the error of a body that failed.

    Attributes:
        exhausted: nothing more comes, whoever waits.
    """

    def __init__(
        self,
        exchange: Exchange,
        clock: Clock | None,
        *,
        reading_on: ReadingOn,
        failure: Callable[[Exchange], BaseException],
        give: Callable[[bytes], None],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        super().__init__(exchange, clock, reading_on=reading_on, failure=failure)
        self.exhausted = False
        self._give = give
        self._ended = ended
        self._framing = Framing.of(exchange.headers)
        self._loop = asyncio.get_running_loop()
        self._next = 0
        self._paused = self._stopped = False
        self._timer: asyncio.Handle | None = None

    def play(self, head: bytes) -> None:
        """Give the head, and of the body what came with it."""
        self._play_on(head)

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - as the transport calls it
        """Hold back, or go on in the loop's next turn."""
        self._paused = paused
        if not (paused or self._stopped or self.exhausted or self._timer):
            self._timer = self._loop.call_soon(self._play_on)

    def stop(self) -> None:
        """Nobody wants more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    async def waited_for(self) -> None:
        """The app waits for more: what raises where the run read no further."""
        if self.exhausted and self._exchange.end == "abandoned":
            await self._reading_on.arefuse(len(self._exchange.chunks))

    def _play_on(self, data: bytes = b"", *, due: bool = False) -> None:
        self._timer = None
        times_ns, ended_ns = self._exchange.times_ns, self._exchange.ended_ns
        while not (self._paused or self._stopped):
            over = self._next >= len(times_ns)
            seconds = 0.0 if due else self._wait_s(ended_ns if over else times_ns[self._next])
            due = False
            if seconds:
                self._timer = self._loop.call_later(seconds, functools.partial(self._play_on, due=True))
                break
            if over:
                self._finish(data)
                return
            chunks = self._take()
            missing = self._exchange.missing if self._next >= len(times_ns) else 0
            data += self._framing.frame(chunks, missing)
            if len(data) >= _PIECE_BYTES:
                self._give(data)
                data = b""
        if data:
            self._give(data)

    def _take(self) -> list[bytes]:
        """The next chunks that came together."""
        chunks, times_ns = self._exchange.chunks, self._exchange.times_ns
        first = self._next
        size = 0
        while self._next < len(times_ns) and times_ns[self._next] == times_ns[first] and size < _PIECE_BYTES:
            size += len(chunks[self._next])
            self._next += 1
        return chunks[first : self._next]

    def _finish(self, data: bytes) -> None:
        exchange = self._exchange
        self.exhausted = True
        if exchange.end == "eof":
            data += self._framing.terminator()
        if data:
            self._give(data)
        if exchange.end == "error":
            self._ended(self._failure(exchange))
        else:
            self._ended(None)
