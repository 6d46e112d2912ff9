"""The packets of the MySQL client/server protocol that drivers read as an answer: split, taken apart, and put together.

Text protocol 4.1 as servers since 4.1 speak it, with EOF packets or without. Bytes in, bytes out; no I/O.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

__all__ = [
    "AUTOCOMMIT",
    "IN_TRANSACTION",
    "MORE_RESULTS",
    "Cursor",
    "Field",
    "Ok",
    "end_body",
    "integer",
    "joined",
    "payloads",
    "row_body",
    "row_of",
]

IN_TRANSACTION: Final = 0x0001
AUTOCOMMIT: Final = 0x0002
MORE_RESULTS: Final = 0x0008
_LARGEST: Final = 0xFFFFFF
_FIXED: Final = struct.Struct("<HIBHB2x")
_LENGTHS: Final = {0xFC: 2, 0xFD: 3, 0xFE: 8}
_NULL: Final = 0xFB


def payloads(stream: bytes) -> Iterator[bytes]:
    """The payloads of whole packets, those of continued ones joined; what is left of a cut one isn't given."""
    position, parts = 0, b""
    while len(stream) - position >= 4:
        size = int.from_bytes(stream[position : position + 3], "little")
        end = position + 4 + size
        if end > len(stream):
            return
        part = stream[position + 4 : end]
        position = end
        if size == _LARGEST:
            parts += part
        else:
            yield parts + part if parts else part
            parts = b""


def joined(bodies: Iterable[bytes], first: int = 1) -> bytes:
    """Payloads as a stream, numbered from `first`, as the server answers a command."""
    stream = bytearray()
    number = first
    for body in bodies:
        for start in range(0, len(body) + 1, _LARGEST):
            part = body[start : start + _LARGEST]
            stream += len(part).to_bytes(3, "little")
            stream.append(number)
            stream += part
            number = (number + 1) % 256
    return bytes(stream)


class Cursor:
    """Reads the parts of a payload in turn."""

    __slots__ = ("_body", "position")

    def __init__(self, body: bytes, position: int = 0) -> None:
        self._body = body
        self.position = position

    def fixed(self, size: int) -> int:
        """An integer of so many bytes."""
        start = self.position
        self.position += size
        return int.from_bytes(self._body[start : self.position], "little")

    def integer(self) -> int:
        """A length-encoded integer."""
        first = self.fixed(1)
        return self.fixed(_LENGTHS[first]) if first in _LENGTHS else first

    def text(self) -> bytes | None:
        """A length-encoded string, or NULL."""
        body, start = self._body, self.position
        first = body[start]
        if first < _NULL:
            self.position = end = start + 1 + first
            return body[start + 1 : end]
        if first == _NULL:
            self.position += 1
            return None
        size = self.integer()
        start = self.position
        self.position += size
        return body[start : self.position]

    def rest(self) -> bytes:
        """What is left."""
        return self._body[self.position :]


def integer(value: int) -> bytes:
    """A length-encoded integer."""
    if value < _NULL:
        return bytes((value,))
    for first, size in _LENGTHS.items():
        if value < 1 << 8 * size:
            return bytes((first,)) + value.to_bytes(size, "little")
    raise ValueError(f"{value} has no length-encoded form")


def text(value: bytes | None) -> bytes:
    """A length-encoded string, or NULL."""
    return bytes((_NULL,)) if value is None else integer(len(value)) + value


@dataclass(frozen=True, slots=True)
class Ok:
    """What an OK packet says; `message` is all that comes after the counts."""

    affected: int
    insert_id: int
    status: int
    warnings: int
    message: bytes = b""

    @classmethod
    def of(cls, body: bytes) -> Ok:
        """From a payload."""
        cursor = Cursor(body, 1)
        return cls(cursor.integer(), cursor.integer(), cursor.fixed(2), cursor.fixed(2), cursor.rest())

    def body(self, header: int = 0) -> bytes:
        """As a payload; with the header 0xFE it ends rows where there are no EOF packets."""
        counts = integer(self.affected) + integer(self.insert_id)
        return bytes((header,)) + counts + struct.pack("<HH", self.status, self.warnings) + self.message


@dataclass(frozen=True, slots=True)
class Field:
    """What a server says of a column."""

    catalog: bytes
    database: bytes
    table: bytes
    org_table: bytes
    name: bytes
    org_name: bytes
    charset: int
    length: int
    type: int
    flags: int
    decimals: int

    @classmethod
    def of(cls, body: bytes) -> Field:
        """From a payload."""
        cursor = Cursor(body)
        names: list[Any] = [cursor.text() or b"" for _ in range(6)]
        return cls(*names, *_FIXED.unpack_from(body, cursor.position + 1))

    def body(self) -> bytes:
        """As a payload."""
        names = (self.catalog, self.database, self.table, self.org_table, self.name, self.org_name)
        fixed = _FIXED.pack(self.charset, self.length, self.type, self.flags, self.decimals)
        return b"".join(map(text, names)) + b"\x0c" + fixed


def row_of(body: bytes) -> list[bytes | None]:
    """The columns of a row."""
    cursor = Cursor(body)
    row = []
    while cursor.position < len(body):
        row.append(cursor.text())
    return row


def row_body(row: list[bytes | None]) -> bytes:
    """A row as a payload."""
    return b"".join(map(text, row))


def end_body(status: int, warnings: int) -> bytes:
    """An EOF packet's payload."""
    return struct.pack("<BHH", 0xFE, warnings, status)
