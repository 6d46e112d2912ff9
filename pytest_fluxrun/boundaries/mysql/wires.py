"""A connection's ends: the taps on what is read from a socket, and what stands for sockets and streams in a replay."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Any, Final

from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.mysql.answer import Answer
from pytest_fluxrun.boundaries.mysql.packets import end_body
from pytest_fluxrun.context import current_lane
from pytest_fluxrun.values import load_error

__all__ = ["AwaitedTap", "Played", "PlayedReader", "Tap", "Unplugged", "UnpluggedWriter", "within_replay"]

_HEADER: Final = 4
_END: Final = end_body(0, 0)


def within_replay() -> bool:
    """Whether the running code belongs to a run that is answered from a recording."""
    lane = current_lane()
    return lane is not None and bool(getattr(lane.session, "answers", False))


class Tap:
    """Sees what a buffered reader takes from its socket; in the place of its raw file's `readinto`."""

    __slots__ = ("_answer", "_readinto")

    def __init__(self, readinto: Callable[[Any], int | None]) -> None:
        self._readinto = readinto
        self._answer: weakref.ref[Answer] | None = None

    def turn(self, answer: Answer | None) -> None:
        """What is read from now on belongs to an answer, or to none that is kept."""
        self._answer = None if answer is None else weakref.ref(answer)

    def __call__(self, buffer: Any) -> int | None:
        """Read, and keep what was read."""
        answer = None if self._answer is None else self._answer()
        if answer is None:
            return self._readinto(buffer)
        try:
            count = self._readinto(buffer)
        except Exception as error:
            answer.end(error)
            raise
        if count:
            answer.add(bytes(buffer[:count]))
        elif count == 0:
            answer.end(None)
        return count


class AwaitedTap:
    """Sees what a stream reader is fed; in the place of its `feed_data`."""

    __slots__ = ("_answer", "_feed")

    def __init__(self, feed: Callable[[bytes], None]) -> None:
        self._feed = feed
        self._answer: weakref.ref[Answer] | None = None

    def turn(self, answer: Answer | None) -> None:
        """What comes from now on belongs to an answer, or to none that is kept."""
        self._answer = None if answer is None else weakref.ref(answer)

    def __call__(self, data: Any) -> None:
        """Keep what came, and feed it on."""
        answer = None if self._answer is None else self._answer()
        if answer is not None:
            answer.add(bytes(data))
        self._feed(data)


class Unplugged:
    """Stands for a connection's socket in a replay: nothing is sent. After it, the server has gone away.

    Attributes:
        parked: what a live connection had in its place, to be put back after the replay.
    """

    def __init__(self, parked: dict[str, Any] | None = None) -> None:
        self.parked = parked

    def sendall(self, data: bytes) -> None:
        """Send nothing."""
        del data
        if not within_replay():
            raise ConnectionResetError("the connection was made in a replay, which is over")

    def settimeout(self, timeout: float | None) -> None:
        """No wait is a real one."""

    def close(self) -> None:
        """Close what is parked as well."""
        parked, self.parked = self.parked, None
        for one in (parked or {}).values():
            if hasattr(one, "close"):
                one.close()


class Played:
    """Gives an answer again as a file; reading beyond what was recorded is refused.

    Args:
        reading_on: refuses to read beyond it.

    Attributes:
        drains: nobody looks at what is read: an answer that was left unfinished ends where the recording ends.
    """

    def __init__(self, answer: Answer, reading_on: ReadingOn) -> None:
        self._answer = answer
        self._stream = memoryview(answer.stream())
        self._position = 0
        self._reading_on = reading_on
        self.drains = False

    def read(self, count: int) -> bytes:
        """So many bytes; fewer where the connection was lost.

        Raises:
            UnrecordedCall: the recorded program read less.
        """
        if self._misses(count):
            self._reading_on.refuse(len(self._stream))
        start = self._position
        self._position = end = start + count
        if end > len(self._stream):
            return self._beyond(start, count)
        return bytes(self._stream[start:end])

    async def aread(self, count: int) -> bytes:
        """`read` in a coroutine."""
        if self._misses(count):
            await self._reading_on.arefuse(len(self._stream))
        return self.read(count)

    def close(self) -> None:
        """Nothing is left to be read."""
        self._position = len(self._stream)

    def _misses(self, count: int) -> bool:
        """Whether so many bytes are neither recorded nor known to be none."""
        answer = self._answer
        whole = answer.lost or answer.ended or answer.failure is not None or self.drains
        return not whole and self._position + count > len(self._stream)

    def _beyond(self, start: int, count: int) -> bytes:
        answer = self._answer
        if answer.failure is not None:
            raise load_error(answer.failure)
        if self.drains and count == _HEADER and not (answer.lost or answer.ended):
            number = self._next_number()
            self._stream, self._position = memoryview(_END), 0
            return len(_END).to_bytes(3, "little") + bytes((number,))
        return bytes(self._stream[start:])

    def _next_number(self) -> int:
        """What the next packet would be numbered."""
        position, number = 0, 1
        while position < len(self._stream):
            number = (self._stream[position + 3] + 1) % 256
            position += _HEADER + int.from_bytes(self._stream[position : position + 3], "little")
        return number


class UnpluggedWriter:
    """Stands for a connection's stream writer and its transport in a replay: nothing is sent.

    Attributes:
        parked: what a live connection had in its place, to be put back after the replay.
    """

    def __init__(self, parked: dict[str, Any] | None = None) -> None:
        self.parked = parked

    @property
    def transport(self) -> UnpluggedWriter:
        """Itself."""
        return self

    def write(self, data: bytes) -> None:
        """Send nothing."""

    async def drain(self) -> None:
        """Nothing is waiting to be sent."""

    def close(self) -> None:
        """Close what is parked as well."""
        parked, self.parked = self.parked, None
        if parked is not None:
            parked["_writer"].transport.close()

    def is_closing(self) -> bool:
        """Whether the connection can be used no more: it was made in a replay, which is over."""
        return not within_replay()


class PlayedReader:
    """Gives an answer again as a stream reader; see `Played`. After the replay, and before an answer, there is no more.

    Attributes:
        drains: see `Played`.
        eof_received: the server has hung up.
    """

    def __init__(self, played: Played | None = None) -> None:
        self._played = played

    @property
    def eof_received(self) -> bool:
        """Whether the connection can be used no more."""
        return not within_replay()

    at_eof = UnpluggedWriter.is_closing

    def exception(self) -> None:
        """Nothing went wrong with it."""

    def drain(self) -> None:
        """Nobody looks at what is read from now on."""
        if self._played is not None:
            self._played.drains = True

    async def readexactly(self, count: int) -> bytes:
        """So many bytes.

        Raises:
            IncompleteReadError: the connection was lost.
            UnrecordedCall: the recorded program read less.
        """
        data = b"" if self._played is None else await self._played.aread(count)
        if len(data) < count:
            raise asyncio.IncompleteReadError(data, count)
        return data
