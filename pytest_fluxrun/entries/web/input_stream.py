"""`wsgi.input` on both sides: the server's stream, of which what the app reads is kept; and a stream of what was kept.

Only as far as the app read is kept, in memory that the run's bound covers. PEP 3333, "Input and Error Streams".
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import wrapt

from pytest_fluxrun import ambient
from pytest_fluxrun.context import virtual_clock
from pytest_fluxrun.entries.web.bodies import text_or_bytes, to_bytes
from pytest_fluxrun.values import Value, dump_error, load_error

__all__ = ["KeptInput", "RecordedInput", "TeedInput", "body_length", "wait_until"]

_BODY = "http.request"
_ERROR = "wsgi.input.error"


class KeptInput:
    """What the app has read of a request's body, by reference, until it is dumped.

    Args:
        keep_more: asked before bytes are kept; False: the run is over its bound.
        started_ns: the monotonic clock when the run began.
        expected_bytes: of the whole body, or None where the request doesn't say.
    """

    def __init__(self, keep_more: Callable[[int], bool], started_ns: int, expected_bytes: int | None) -> None:
        self.damaged = False
        self._keep_more = keep_more
        self._started_ns = started_ns
        self._expected_bytes = expected_bytes
        self._size_bytes = 0
        self._ended = False
        self._over = False
        self._parts: list[tuple[int, bytes | BaseException]] = []

    def got(self, data: Any, *, end: bool) -> None:
        """Keep what a read gave.

        Args:
            end: the read has shown that nothing follows.
        """
        if self._over:
            return
        self._ended = self._ended or end
        self._size_bytes += len(data)
        if data and self._keep_more(len(data)):
            self._parts.append((self._now_ns(), bytes(data)))

    def failed(self, error: BaseException) -> None:
        """Keep what a read raised."""
        if not self._over:
            self._parts.append((self._now_ns(), error))

    def close(self) -> None:
        """Keep nothing more, whoever still reads."""
        self._over = True

    def events(self) -> list[list[Value]]:
        """`[offset_ns, type, body or error, more]` in order: one for all that was read up to an error.

        In one piece, so that redaction finds a secret that the app's reads have cut. `more`: what follows isn't known.
        """
        events: list[list[Any]] = []
        run: list[bytes] = []
        offset_ns = 0
        for at_ns, part in self._parts:
            if isinstance(part, bytes):
                run.append(part)
                offset_ns = at_ns
                continue
            events += [[offset_ns, _BODY, text_or_bytes(b"".join(run)), True]] if run else []
            events.append([at_ns, _ERROR, dump_error(part), True])
            run = []
        whole = self._ended or (self._expected_bytes is not None and self._size_bytes >= self._expected_bytes)
        events.append([offset_ns, _BODY, text_or_bytes(b"".join(run)), not whole])
        return events

    def _now_ns(self) -> int:
        return ambient.monotonic_ns() - self._started_ns


def body_length(events: list[list[Any]]) -> int | None:
    """The length of a recorded body that was read whole, as redaction left it; None of another one."""
    if not events or events[-1][3]:
        return None
    return sum(len(to_bytes(body)) for _, kind, body, _ in events if kind == _BODY)


class TeedInput(wrapt.ObjectProxy[Any]):
    """The server's stream, teed. A proxy, since frameworks choose by its type how far it may be read (Falcon)."""

    _self_kept: KeptInput
    _self_lines: Iterator[bytes] | None = None

    def __init__(self, stream: Any, kept: KeptInput) -> None:
        super().__init__(stream)
        self._self_kept = kept

    def read(self, *size: Any) -> Any:
        """As the server's; without a size, or with a negative one, to the end."""
        return self._self_read(self.__wrapped__.read, size)

    def readline(self, *size: Any) -> Any:
        """As the server's."""
        return self._self_read(self.__wrapped__.readline, size, whole=False)

    def readlines(self, *hint: Any) -> Any:
        """As the server's; without a hint to the end."""
        lines = self._self_guarded(self.__wrapped__.readlines, hint)
        self._self_kept.got(b"".join(lines), end=not lines or not hint or not hint[0])
        return lines

    def __getattr__(self, name: str) -> Any:
        """What not every server's stream has: teed where this one has it."""
        found = super().__getattr__(name)
        if name == "read1":
            return lambda *size: self._self_read(found, size, whole=False)
        if name in ("readinto", "readinto1"):
            return lambda buffer: self._self_read_into(found, buffer)
        if name == "seek":
            self._self_kept.damaged = True  # what is read from then on is out of order, and the run says so
        return found

    def __iter__(self) -> Iterator[bytes]:
        self._self_lines = iter(self.__wrapped__)
        return self

    def __next__(self) -> bytes:
        lines = self._self_lines if self._self_lines is not None else self.__wrapped__
        try:
            line: bytes = next(lines)
        except StopIteration:
            self._self_kept.got(b"", end=True)
            raise
        except Exception as error:
            self._self_kept.failed(error)
            raise
        self._self_kept.got(line, end=False)
        return line

    def _self_read(self, read: Callable[..., Any], size: tuple[Any, ...], *, whole: bool = True) -> Any:
        data = self._self_guarded(read, size)
        unlimited = not size or size[0] is None or size[0] < 0
        self._self_kept.got(data or b"", end=(unlimited and whole) or (data == b"" and (unlimited or size[0] > 0)))
        return data

    def _self_read_into(self, read: Callable[..., Any], buffer: Any) -> Any:
        number = self._self_guarded(read, (buffer,))
        view = memoryview(buffer).cast("B")
        self._self_kept.got(view[: number or 0], end=number == 0 and len(view) > 0)
        return number

    def _self_guarded(self, read: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        try:
            return read(*arguments)
        except Exception as error:
            self._self_kept.failed(error)
            raise


class RecordedInput(io.BufferedIOBase):
    """A stream of recorded events. The end of a piece isn't read before the virtual time at which it had come.

    Args:
        events: as `KeptInput.events` gives them, decoded.
        lacking: makes the error for reading on where the recorded app stopped.
    """

    def __init__(self, events: Iterable[list[Any]], lacking: Callable[[], BaseException]) -> None:
        super().__init__()
        self._events = deque(events)
        self._piece = memoryview(b"")
        self._due_ns = 0
        self._known_end = False
        self._lacking = lacking

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """At most so many bytes: fewer only before an error or at the end."""
        taken: list[bytes] = []
        left = size
        while (left is None or left < 0 or left > 0) and (data := self._take(left, first=not taken)):
            taken.append(data)
            left = left if left is None or left < 0 else left - len(data)
        return b"".join(taken)

    read1 = read

    def readinto(self, buffer: Any, /) -> int:
        """As `read`."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    readinto1 = readinto

    def readline(self, size: int | None = -1, /) -> bytes:
        """To the next line's end."""
        limit = -1 if size is None else size
        line = b""
        while limit < 0 or len(line) < limit:
            data = self._take(None if limit < 0 else limit - len(line), first=not line, line=True)
            line += data
            if not data or line.endswith(b"\n"):
                break
        return line

    def _take(self, size: int | None, *, first: bool, line: bool = False) -> bytes:
        """The next bytes of a piece; b"" at the end, and before an error where some were taken already."""
        if not self._piece and not self._next_piece(first=first):
            return b""
        end = len(self._piece) if size is None or size < 0 else min(size, len(self._piece))
        if line:
            found = bytes(self._piece[:end]).find(b"\n")
            end = end if found < 0 else found + 1
        data, self._piece = bytes(self._piece[:end]), self._piece[end:]
        if not self._piece:
            wait_until(self._due_ns)
        return data

    def _next_piece(self, *, first: bool) -> bool:
        while self._events:
            if self._events[0][1] == _ERROR and not first:
                return False
            offset_ns, kind, body, more = self._events.popleft()
            if kind == _ERROR:
                wait_until(offset_ns)
                raise load_error(body)
            self._known_end = not more
            self._piece, self._due_ns = memoryview(to_bytes(body)), offset_ns
            if self._piece:
                return True
        if not self._known_end:
            raise self._lacking()
        return False


def wait_until(offset_ns: int) -> None:
    """Block until the virtual clock of the running code, where it has one, has reached an offset."""
    clock = virtual_clock()
    if clock is not None and (wait_ns := offset_ns - clock.now_ns()) > 0:
        clock.sleep(wait_ns / 1e9)
