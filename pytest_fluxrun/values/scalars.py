"""Scalars as tagged JSON, and back: strings, numbers, bytes, times, addresses, paths.

Reading and writing share this file.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import math
import pathlib
import uuid
import zoneinfo
from binascii import a2b_base64
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeAlias

from pydantic_core import TzInfo

from pytest_fluxrun.errors import OpaqueValue, ValueNotEncodable
from pytest_fluxrun.values import typed

__all__ = ["BY_CONTENT", "BY_TEXT", "SCALARS", "Value", "is_utf8", "tagged"]

Value: TypeAlias = Any
"""JSON: None, bool, int of 64 bits, finite float, str, list, dict with str keys. `Any` to the type checker and to
pydantic, which would otherwise validate every node of a run; `decode` checks each."""

_INT64: Final = 2**63


def tagged(tag: str, content: Value) -> Value:
    """A tagged value."""
    return {"~": tag, "v": content}


def _base64(data: bytes | bytearray | memoryview) -> str:
    return base64.b64encode(data).decode("ascii")


def text_value(text: str) -> Value:
    if text.isascii() or is_utf8(text):
        return text
    return tagged("surrogates", _base64(text.encode("utf-8", "surrogatepass")))


def is_utf8(text: str) -> bool:
    """Whether a string has no lone surrogates, which JSON in UTF-8 can't hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _int(number: int) -> Value:
    return number if -_INT64 <= number < _INT64 else tagged("int", hex(number))


def _float(number: float) -> Value:
    return number if math.isfinite(number) else tagged("float", repr(number))


def _memoryview(view: memoryview) -> Value:
    if view.ndim != 1 or view.format != "B":
        raise ValueNotEncodable("a memoryview can't be recorded", why=f"its format is {view.format!r}, not bytes")
    return tagged("memoryview", _base64(view.tobytes()))


def _zone(moment: dt.datetime | dt.time) -> Value:
    zone = moment.tzinfo
    if zone is None:
        return None
    if type(zone) is zoneinfo.ZoneInfo and zone.key is not None:
        return zone.key
    if zone is dt.UTC:
        return "+"
    kind = type(zone)
    offset = moment.utcoffset()
    if kind not in (dt.timezone, TzInfo) or offset is None:
        raise ValueNotEncodable(
            "a time can't be recorded",
            why=f"its time zone is a {typed.class_name(kind)}",
            next_step="use zoneinfo.ZoneInfo or datetime.timezone",
        )
    if kind is TzInfo:
        return ["pydantic", offset.total_seconds()]
    return [zone.tzname(None), *_timedelta_parts(offset)]


def _datetime(moment: dt.datetime) -> Value:
    return {"~": "datetime", "v": moment.replace(tzinfo=None).isoformat(), "z": _zone(moment), "fold": moment.fold}


def _time(moment: dt.time) -> Value:
    return {"~": "time", "v": moment.replace(tzinfo=None).isoformat(), "z": _zone(moment), "fold": moment.fold}


def _timedelta_parts(span: dt.timedelta) -> list[int]:
    return [span.days, span.seconds, span.microseconds]


BY_TEXT: Final[dict[str, Callable[[str], Any]]] = {
    "Decimal": Decimal,
    "UUID": uuid.UUID,
    "date": dt.date.fromisoformat,
    "IPv4Address": ipaddress.IPv4Address,
    "IPv6Address": ipaddress.IPv6Address,
    "IPv4Network": ipaddress.IPv4Network,
    "IPv6Network": ipaddress.IPv6Network,
    "IPv4Interface": ipaddress.IPv4Interface,
    "IPv6Interface": ipaddress.IPv6Interface,
    "PosixPath": pathlib.Path,
    "WindowsPath": pathlib.Path,
    "PurePosixPath": pathlib.PurePosixPath,
    "PureWindowsPath": pathlib.PureWindowsPath,
    "complex": complex,
    "int": lambda text: int(text, 16),
    "float": float,
    "surrogates": lambda text: a2b_base64(text).decode("utf-8", "surrogatepass"),
    "bytes": a2b_base64,
    "bytearray": lambda text: bytearray(a2b_base64(text)),
    "memoryview": lambda text: memoryview(a2b_base64(text)),
}
"""Tags whose content is a string, with the function that reads it."""


def _text(obj: Any) -> Value:
    return tagged(type(obj).__name__, str(obj))


def _complex(number: complex) -> Value:
    return tagged("complex", repr(number))


SCALARS: Final[dict[type, Callable[[Any], Value]]] = {
    str: text_value,
    int: _int,
    float: _float,
    bytes: lambda data: tagged("bytes", _base64(data)),
    bytearray: lambda data: tagged("bytearray", _base64(data)),
    memoryview: _memoryview,
    complex: _complex,
    dt.datetime: _datetime,
    dt.time: _time,
    dt.date: lambda day: tagged("date", day.isoformat()),
    dt.timedelta: lambda span: tagged("timedelta", _timedelta_parts(span)),
    range: lambda span: tagged("range", [_int(span.start), _int(span.stop), _int(span.step)]),
    Decimal: _text,
    uuid.UUID: _text,
    ipaddress.IPv4Address: _text,
    ipaddress.IPv6Address: _text,
    ipaddress.IPv4Network: _text,
    ipaddress.IPv6Network: _text,
    ipaddress.IPv4Interface: _text,
    ipaddress.IPv6Interface: _text,
    pathlib.PosixPath: _text,
    pathlib.WindowsPath: _text,
    pathlib.PurePosixPath: _text,
    pathlib.PureWindowsPath: _text,
}


def _read_zone(zone: Value) -> dt.tzinfo | None:
    if zone is None:
        return None
    if zone == "+":
        return dt.UTC
    if type(zone) is list:
        name, *parts = zone
        if name == "pydantic" and len(parts) == 1:
            return TzInfo(parts[0])
        offset = dt.timedelta(*parts)
        default = dt.timezone(offset)
        return default if default.tzname(None) == name else dt.timezone(offset, name)
    try:
        return zoneinfo.ZoneInfo(zone)
    except zoneinfo.ZoneInfoNotFoundError as error:
        raise OpaqueValue(
            f"a recorded time in {zone!r} can't be given back",
            why="this machine doesn't know that time zone",
            next_step="install it: `pip install tzdata`",
        ) from error


def _read_datetime(value: dict[str, Value]) -> dt.datetime:
    return dt.datetime.fromisoformat(value["v"]).replace(tzinfo=_read_zone(value["z"]), fold=value["fold"])


def _read_time(value: dict[str, Value]) -> dt.time:
    return dt.time.fromisoformat(value["v"]).replace(tzinfo=_read_zone(value["z"]), fold=value["fold"])


BY_CONTENT: Final[dict[str, Callable[[dict[str, Value]], Any]]] = {
    "datetime": _read_datetime,
    "time": _read_time,
    "timedelta": lambda value: dt.timedelta(*value["v"]),
}
"""Tags of scalars whose content isn't a string, with the function that reads the whole object."""
