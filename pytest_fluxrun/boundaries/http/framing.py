"""Chunked transfer coding (RFC 9112, 7.1), off what was read from a wire, and on what one would give. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["Unframed", "Unframer", "framed", "unframe"]


@dataclass(slots=True)
class Unframed:
    """A body without its transfer coding.

    Attributes:
        chunks: the last one may be a part of one.
        ends: per chunk, the index of the piece that ended it.
        terminated: the last, empty chunk was seen.
        missing: how many bytes the last chunk lacks.
    """

    chunks: list[bytes] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    terminated: bool = False
    missing: int = 0


class Unframer:
    """Takes the coding off pieces of any size as they come; a piece is read once, however many follow.

    Attributes:
        terminated: the last, empty chunk was seen.
    """

    __slots__ = ("_broken", "_chunks", "_ends", "_left", "_pieces", "_wire", "terminated")

    def __init__(self) -> None:
        self.terminated = False
        self._chunks: list[bytes] = []
        self._ends: list[int] = []
        self._wire = bytearray()
        self._left: int | None = None
        self._pieces = 0
        self._broken = False

    def feed(self, piece: bytes) -> None:
        """Some more was read. What isn't chunked coding ends the chunks, unterminated."""
        wire = self._wire
        wire += piece
        self._pieces += 1
        while not self.terminated and not self._broken:
            if self._left is None and not self._size_line():
                return
            left = self._left or 0
            if len(wire) < left:
                return
            if left:
                self._chunks.append(bytes(wire[:left]))
                self._ends.append(self._pieces - 1)
                del wire[:left]
                self._left = None

    def _size_line(self) -> bool:
        """Read the line before a chunk, if all of it is there."""
        while (end := self._wire.find(b"\n")) >= 0:
            line = bytes(self._wire[:end]).strip()
            del self._wire[: end + 1]
            if line:  # else the end of the chunk before
                self._left = _size(line)
                self._broken = self._left is None
                self.terminated = self._left == 0
                return not self._broken
        return False

    def found(self) -> Unframed:
        """What has come so far; a chunk that isn't whole is the last one."""
        found = Unframed(list(self._chunks), list(self._ends), self.terminated)
        if self._left and not self.terminated:
            found.chunks.append(bytes(self._wire))
            found.ends.append(self._pieces - 1)
            found.missing = self._left - len(self._wire)
        return found


def unframe(pieces: Iterable[bytes]) -> Unframed:
    """The chunks in all that was read."""
    unframer = Unframer()
    for piece in pieces:
        unframer.feed(piece)
    return unframer.found()


def _size(line: bytes) -> int | None:
    try:
        return int(line.partition(b";")[0], 16)
    except ValueError:
        return None


def framed(chunk: bytes, missing: int = 0) -> Iterator[bytes]:
    """One chunk as it would come over the wire; without its end where bytes of it are missing."""
    if chunk or missing:
        yield b"%x\r\n%b%b" % (len(chunk) + missing, chunk, b"" if missing else b"\r\n")
