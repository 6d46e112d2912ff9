"""One value of a row in PostgreSQL's binary format, with the texts in it as str: so that a redaction token fits in.

A field is None, str (its bytes are that text), bytes, a list of parts (bytes as they are, and fields, each after its
length), or a tuple of bytes and str, without lengths. Data only; `joined` gives back the bytes that `parted` took.
"""

from __future__ import annotations

import struct
from typing import Any, Final

__all__ = [
    "COPY_SIGNATURE",
    "JSON",
    "JSONB",
    "JSONB_VERSION",
    "NULL",
    "copied",
    "joined",
    "parted",
    "printable",
    "sized",
]

_BINARY: Final = frozenset({
    16, 17, 20, 21, 23, 26, 27, 28, 29, 600, 601, 602, 603, 604, 628, 650, 700, 701, 718, 774, 790, 829, 869,
    1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700, 2950, 3220, 5069, 3904, 3906, 3908, 3910, 3912, 3926,
})  # fmt: skip
"""Object ids of the built-in types whose binary format holds no text: numbers, times, networks, shapes, bytea …"""
_TEXT: Final = frozenset({18, 19, 25, 114, 142, 705, 1042, 1043, 2275})
JSON: Final = 114
JSONB: Final = 3802
JSONB_VERSION: Final = b"\x01"
"""What a jsonb begins with in its binary format."""
COPY_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0"
"""What a COPY in the binary format begins with; flags and the length of an extension follow."""
_COPY_HEAD: Final = len(COPY_SIGNATURE) + 8
NULL: Final = b"\xff\xff\xff\xff"
"""The length of a field that is NULL."""
_INT: Final = struct.Struct("!i")
_COUNT: Final = struct.Struct("!h")
_ARRAY: Final = struct.Struct("!iiI")
_MOST_DIMENSIONS: Final = 6
_MOST_ATTRIBUTES: Final = 1664
_MOST_DEEP: Final = 8
_CONTROLS: Final = frozenset(map(chr, range(32))) - set("\t\n\r\f\b")


def sized(data: bytes | None) -> bytes:
    """A field's bytes after their length, as rows, arrays and composites hold it."""
    return NULL if data is None else _INT.pack(len(data)) + data


def parted(data: bytes | None, oid: int, depth: int = 0) -> Any:
    """A field as what can be searched.

    Args:
        oid: of its type; where that isn't built in, the bytes tell what it is like.
        depth: how many arrays and composites it lies in.
    """
    if data is None or oid in _BINARY or depth > _MOST_DEEP:
        return data
    if oid in _TEXT:
        return _text(data)
    if oid == JSONB and data[:1] == JSONB_VERSION:
        text = _text(data[1:])
        return data if type(text) is bytes else text if depth == 0 else (JSONB_VERSION, text)
    for read in (_array, _composite):
        try:
            parts = read(data, depth + 1)
            if any(type(part) is not bytes for part in parts) and joined(parts, 0) == data:
                return parts
        except (struct.error, ValueError):
            continue
    return printable(data)


def joined(field: Any, oid: int) -> bytes | None:
    """The bytes of a field."""
    kind = type(field)
    if kind is str:
        data = field.encode("utf-8", "surrogatepass")
        return JSONB_VERSION + data if oid == JSONB else data  # type: ignore[no-any-return]
    if kind is list:
        return b"".join(part if type(part) is bytes else sized(joined(part, 0)) for part in field)
    if kind is tuple:
        return b"".join(part if type(part) is bytes else part.encode() for part in field)
    return None if field is None else bytes(field)


def copied(data: bytes) -> list[Any]:
    """A message of a COPY in the binary format as parts: the head, if it is the first one, and a row."""
    at = _COPY_HEAD if data.startswith(COPY_SIGNATURE) else 0
    parts: list[Any] = [data[: at + 2]]
    try:
        (count,) = _COUNT.unpack_from(data, at)
        at += 2
        for _ in range(count):
            field, at = _element(data, at, 0, 1)
            parts.append(field)
    except (struct.error, ValueError):
        return [data]
    parts = _merged([*parts, data[at:]])
    return parts if joined(parts, 0) == data else [data]


def printable(data: bytes) -> str | bytes:
    """Bytes as the text that they are, unless it isn't one that people write."""
    text = _text(data)
    return data if type(text) is str and not _CONTROLS.isdisjoint(text) else text


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _array(data: bytes, depth: int) -> list[Any]:
    """Of `array_send`, and of `hstore`: a head, then elements after their lengths."""
    dimensions, flags, element = _ARRAY.unpack_from(data)
    if not 0 < dimensions <= _MOST_DIMENSIONS or flags not in (0, 1):
        raise ValueError("no array")
    head = _ARRAY.size + 8 * dimensions
    return _merged([data[:head], *_elements(data, head, element, depth)])


def _composite(data: bytes, depth: int) -> list[Any]:
    """Of `record_send`: the number of fields, then each field's type and value."""
    (count,) = _INT.unpack_from(data)
    if not 0 < count <= _MOST_ATTRIBUTES:
        raise ValueError("no composite")
    parts: list[Any] = [data[:4]]
    at = 4
    for _ in range(count):
        parts.append(data[at : at + 4])
        (oid,) = _INT.unpack_from(data, at)
        field, at = _element(data, at + 4, oid, depth)
        parts.append(field)
    return _merged(parts)


def _elements(data: bytes, at: int, oid: int, depth: int) -> list[Any]:
    parts = []
    while at < len(data):
        field, at = _element(data, at, oid, depth)
        parts.append(field)
    return parts


def _element(data: bytes, at: int, oid: int, depth: int) -> tuple[Any, int]:
    """A field after its length, and where it ends; what holds no text with its length, as it is."""
    (length,) = _INT.unpack_from(data, at)
    end = at + 4 + max(length, 0)
    if length < -1 or end > len(data):
        raise ValueError("no field")
    field = None if length < 0 else parted(data[at + 4 : end], oid, depth)
    return (data[at:end] if field is None or type(field) is bytes else field), end


def _merged(parts: list[Any]) -> list[Any]:
    merged: list[Any] = []
    for part in parts:
        if type(part) is bytes and merged and type(merged[-1]) is bytes:
            merged[-1] += part
        else:
            merged.append(part)
    return merged
