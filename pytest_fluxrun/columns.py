"""Columns: many values of one sort as one JSON value, and back. Reading and writing share this file. No I/O.

A short column is a list. A long one of floats, of ints or of equally long bytes is one text, `code:base64`, with
little-endian `d` doubles, `q` signed and `Q` unsigned 64-bit ints, or `xN` bytes of length N.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from typing import Any

from pytest_fluxrun.errors import DamagedBundle
from pytest_fluxrun.values import Value

__all__ = ["pack", "unpack"]

_SHORT = 8
_BYTES, _INT = "x:", "i:"


def pack(values: Sequence[Any]) -> Value:
    """A column as a JSON value.

    Args:
        values: floats, ints, bools, strs, bytes, None, or lists of these.
    """
    if len(values) >= _SHORT:
        code = _code(values)
        if code:
            data = b"".join(values) if code[0] == "x" else struct.pack(f"<{len(values)}{code}", *values)
            return f"{code}:{base64.b64encode(data).decode()}"
    return [_plain(value) for value in values]


def unpack(column: Value) -> list[Any]:
    """The values that `pack` took; tuples come back as lists.

    Raises:
        DamagedBundle: it isn't a column.
    """
    try:
        if isinstance(column, list):
            return [_rich(value) for value in column]
        if isinstance(column, str):
            code, colon, text = column.partition(":")
            return _unpack(code + colon, base64.b64decode(text, validate=True))
    except (ValueError, struct.error, binascii.Error) as error:
        raise DamagedBundle("a column of reads is damaged", why=str(error)) from error
    raise DamagedBundle("a column of reads is damaged", why=f"it is a {type(column).__name__}")


def _code(values: Sequence[Any]) -> str:
    types = set(map(type, values))
    if types == {float}:
        return "d"
    if types == {int}:
        low, high = min(values), max(values)
        if low >= -(1 << 63) and high < 1 << 63:
            return "q"
        return "Q" if low >= 0 and high < 1 << 64 else ""
    if types == {bytes}:
        sizes = set(map(len, values))
        return f"x{sizes.pop()}" if len(sizes) == 1 and 0 not in sizes else ""
    return ""


def _unpack(code: str, data: bytes) -> list[Any]:
    if code in {"d:", "q:", "Q:"}:
        return list(struct.unpack(f"<{len(data) // 8}{code[0]}", data))
    if code[:1] != "x" or code[-1:] != ":":
        raise ValueError(f"unknown code {code!r}")
    size = int(code[1:-1])
    if size < 1 or len(data) % size:
        raise ValueError(f"{len(data)} bytes aren't a multiple of {size}")
    return [data[start : start + size] for start in range(0, len(data), size)]


def _plain(value: Any) -> Any:
    """JSON has no bytes, and orjson no ints beyond 64 bits."""
    if isinstance(value, bytes):
        return _BYTES + value.hex()
    if isinstance(value, int) and not isinstance(value, bool) and not -(1 << 63) <= value < 1 << 63:
        return f"{_INT}{value:x}"
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def _rich(value: Any) -> Any:
    if isinstance(value, str):
        if value.startswith(_BYTES):
            return bytes.fromhex(value[len(_BYTES) :])
        if value.startswith(_INT):
            return int(value[len(_INT) :], 16)
    if isinstance(value, list):
        return [_rich(part) for part in value]
    return value
