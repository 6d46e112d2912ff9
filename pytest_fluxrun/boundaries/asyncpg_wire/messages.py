"""PostgreSQL's backend messages (protocol 3.0, "Message Formats") between bytes and Values. Data only.

A message as stored: its type alone where nothing else is in it, else `[type, content]`; of rows their number, the rows
themselves lie apart. Between the pieces in which a COPY came stands `PIECE`.
"""

from __future__ import annotations

import struct
from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from pytest_fluxrun.boundaries.asyncpg_wire.fields import (
    COPY_SIGNATURE,
    JSON,
    JSONB,
    JSONB_VERSION,
    NULL,
    copied,
    joined,
    parted,
    printable,
)
from pytest_fluxrun.values import decode

__all__ = ["PIECE", "answer_of", "pieces_of", "said", "split"]

PIECE: Final = "|"
_HEAD: Final = struct.Struct("!cI")
_COUNT: Final = struct.Struct("!H")
_LENGTH: Final = struct.Struct("!i")
_PID: Final = struct.Struct("!i")
_FIELDS: Final = "EN"
_DROPPED: Final = frozenset("T")


def said(kind: str, body: bytes = b"") -> bytes:
    """A message."""
    return _HEAD.pack(kind.encode(), len(body) + 4) + body


def split(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The whole messages in the bytes that came, by type and body."""
    at = 0
    while at + _HEAD.size <= len(data):
        kind, length = _HEAD.unpack_from(data, at)
        end = at + 1 + length
        if length < 4 or end > len(data):
            return
        yield kind.decode("latin-1"), data[at + 5 : end]
        at = end


def answer_of(
    received: Sequence[bytes], types: Sequence[int], *, pieces: bool = False
) -> tuple[list[Any], list[Any], Sequence[int]]:
    """What came as messages and rows, and the types of the rows' columns.

    Args:
        received: in the order of coming; messages may lie across.
        types: object ids of the columns; rows of a statement that has none are left out, of rows with other columns
            than were described no type is known.
        pieces: keep where each of `received` ended.
    """
    messages: list[Any] = []
    rows: list[Any] = []
    data = b"".join(received)
    ends: Iterator[int] = _ends(received) if pieces else iter(())
    end = next(ends, None)
    at, binary = 0, False
    for kind, body in split(data):
        at += len(body) + 5
        if kind == "D" and types:
            (count,) = _COUNT.unpack_from(body)
            if count != len(types):
                types = [0] * int(count)
            elif JSONB in types:
                types = _as_sent(body, types)
            rows.append(_row(body, types))
            _count(messages)
        elif kind == "d":
            binary = binary or body.startswith(COPY_SIGNATURE)
            _copy(messages, copied(body) if binary else body)
        elif kind != "D" and kind not in _DROPPED:
            messages.append([kind, _read(kind, body)] if body else kind)
        while end is not None and at >= end:
            messages.append(PIECE)
            end = next(ends, None)
    return [_shown(message) for message in messages], rows, types


def pieces_of(messages: Iterable[Any], rows: Iterable[Sequence[Any]], types: Sequence[int]) -> list[bytes]:
    """The bytes of stored messages, in the pieces that they came in.

    Args:
        rows: their fields as Values, or what those stand for.
    """
    pieces: list[bytes] = []
    parts: list[bytes] = []
    following = iter(rows)
    for message in messages:
        if message == PIECE:
            pieces.append(b"".join(parts))
            parts = []
            continue
        kind: str
        content: Any
        kind, content = (message, None) if isinstance(message, str) else message
        if kind == "D":
            parts += [said("D", _row_body(next(following), types)) for _ in range(content)]
        else:
            parts.append(said(kind, _written(kind, content)))
    if parts:
        pieces.append(b"".join(parts))
    return pieces


def _ends(received: Sequence[bytes]) -> Iterator[int]:
    at = 0
    for piece in received[:-1]:
        at += len(piece)
        yield at


def _count(messages: list[Any]) -> None:
    if messages and isinstance(messages[-1], list) and messages[-1][0] == "D":
        messages[-1][1] += 1
    else:
        messages.append(["D", 1])


def _copy(messages: list[Any], content: Any) -> None:
    if messages and isinstance(messages[-1], list) and messages[-1][0] == "d":
        messages[-1][1] += content
    else:
        messages.append(["d", content])


def _shown(message: Any) -> Any:
    if isinstance(message, list) and message[0] == "d" and isinstance(message[1], bytes):
        return ["d", printable(message[1])]
    return message


def _as_sent(body: bytes, types: Sequence[int]) -> list[int]:
    """The types, jsonb as json where the program's own codec has it sent as text."""
    fields = zip(_fields(body, len(types)), types, strict=True)
    return [JSON if oid == JSONB and field and field[:1] != JSONB_VERSION else oid for field, oid in fields]


def _row(body: bytes, types: Sequence[int]) -> list[Any]:
    return [parted(field, oid) for field, oid in zip(_fields(body, len(types)), types, strict=True)]


def _fields(body: bytes, count: int) -> Iterator[bytes | None]:
    at = 2
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(body, at)
        at += 4
        yield None if length < 0 else body[at : at + length]
        at += max(length, 0)


def _row_body(row: Sequence[Any], types: Sequence[int]) -> bytes:
    parts = [_COUNT.pack(len(row))]
    for field, oid in zip(row, types, strict=True):
        if type(field) is dict and field.get("~") == "bytes":
            data: bytes | None = a2b_base64(field["v"])
        else:
            data = field if type(field) is bytes else joined(decode(field), oid)
        parts.append(NULL if data is None else _LENGTH.pack(len(data)) + data)
    return b"".join(parts)


def _read(kind: str, body: bytes) -> Any:
    if kind in "CZ":
        return body.rstrip(b"\0").decode()
    if kind in _FIELDS:
        return {field[:1].decode(): field[1:].decode("utf-8", "replace") for field in body.split(b"\0") if field}
    if kind == "S":
        return [part.decode() for part in body.split(b"\0")[:2]]
    if kind == "A":
        return [_PID.unpack_from(body)[0], *(part.decode() for part in body[4:].split(b"\0")[:2])]
    return body


def _written(kind: str, content: Any) -> bytes:
    if content is None:
        return b""
    if kind == "Z":
        return bytes(content.encode())
    if kind == "C":
        return bytes(content.encode() + b"\0")
    if kind in _FIELDS:
        return b"".join(f"{code}{text}".encode() + b"\0" for code, text in content.items()) + b"\0"
    if kind == "S":
        return b"".join(part.encode() + b"\0" for part in content)
    if kind == "A":
        return _PID.pack(content[0]) + b"".join(part.encode() + b"\0" for part in content[1:])
    return joined(content, 0) or b""
