"""Clock functions: what each returns, as stored form and as an offset on a run's time line, and back. No I/O.

Stored forms: floats and ints as they are; aware datetimes as microseconds since the epoch; naive local ones as
[microseconds, UTC offset in seconds, fold]; dates as ISO text; struct_time as [9 fields, zone, UTC offset].
"""

from __future__ import annotations

import calendar
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

__all__ = ["CLOCKS", "Origin", "instant_of", "served", "shown_at", "stored", "utc_offset_of"]

_NS = 10**9
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - arithmetic on fields, in whatever zone
_UTC_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

CLOCKS = frozenset(
    {
        "time.time",
        "time.time_ns",
        "time.monotonic",
        "time.monotonic_ns",
        "time.perf_counter",
        "time.perf_counter_ns",
        "time.localtime",
        "time.gmtime",
        "datetime.now",
        "datetime.utcnow",
        "date.today",
    }
)


@dataclass(frozen=True, slots=True)
class Origin:
    """What each clock showed at a recording's offset 0, nanoseconds."""

    wall_ns: int
    mono_ns: int
    perf_ns: int

    def of(self, function: str) -> int:
        """The origin of the clock that a function reads."""
        if function.startswith("time.monotonic"):
            return self.mono_ns
        return self.perf_ns if function.startswith("time.perf_counter") else self.wall_ns


def stored(function: str, value: Any) -> Any:
    """The stored form of what a clock function returned."""
    if function in {"time.localtime", "time.gmtime"}:
        return [*value, value.tm_zone, value.tm_gmtoff]
    if not isinstance(value, date):
        return value
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.tzinfo is not None:
        return (value - _UTC_EPOCH) // _MICROSECOND
    local_us = _fields_us(value)
    if function == "datetime.utcnow":
        return local_us
    try:
        instant_us = (value.astimezone(UTC) - _UTC_EPOCH) // _MICROSECOND
    except (OverflowError, ValueError):  # year 1 or 9999: no zone can be told
        instant_us = local_us
    return [instant_us, (local_us - instant_us) // 1_000_000, value.fold]


def instant_of(function: str, form: Any, origin: Origin) -> int | None:
    """The offset in nanoseconds that a stored read stands for; None where it names only a day."""
    if isinstance(form, str):
        return None
    if function in {"time.localtime", "time.gmtime"}:
        return (calendar.timegm(form[:9]) - (form[10] or 0)) * _NS - origin.wall_ns
    if isinstance(form, list):
        return int(form[0]) * 1000 - origin.wall_ns
    if function.startswith("date"):
        return int(form) * 1000 - origin.wall_ns
    return int(form if function.endswith("_ns") else round(form * _NS)) - origin.of(function)


def utc_offset_of(function: str, form: Any) -> int | None:
    """The local zone's distance from UTC in seconds that a stored read shows, or None: it shows none."""
    if function == "time.localtime":
        return int(form[10])
    if function in {"datetime.now", "date.today"} and isinstance(form, list):
        return int(form[1])
    return None


def served(function: str, form: Any, arguments: tuple[Any, ...]) -> Any:
    """The value that a stored read returned, for a call with these arguments; NotImplemented where it doesn't fit them.

    Args:
        arguments: of `datetime.now`: class and zone; of `datetime.utcnow` and `date.today`: the class.
    """
    if function in {"time.localtime", "time.gmtime"}:
        return time.struct_time(form[:9], {"tm_zone": form[9], "tm_gmtoff": form[10]})
    if function == "date.today":
        return _served_day(form, arguments[0])
    if function == "datetime.utcnow":
        return _naive(arguments[0], form, 0)
    if function == "datetime.now":
        cls, zone = arguments
        if (zone is None) != isinstance(form, list):
            return NotImplemented
        return _naive(cls, form[0] + form[1] * 1_000_000, form[2]) if zone is None else _aware(cls, form, zone)
    return form


def shown_at(
    function: str, offset_ns: int, origin: Origin, utc_offset_s: int | None, arguments: tuple[Any, ...]
) -> Any:
    """What a clock function returns at an offset.

    Args:
        utc_offset_s: the recording's local zone; None: this machine's.
    """
    ns = origin.of(function) + offset_ns
    if not function.startswith(("time.localtime", "time.gmtime", "date")):
        return ns if function.endswith("_ns") else ns / _NS
    if function == "time.gmtime":
        return time.gmtime(ns // _NS)
    if function == "datetime.utcnow":
        return _naive(arguments[0], ns // 1000, 0)
    if function == "datetime.now" and arguments[1] is not None:
        return _aware(arguments[0], ns // 1000, arguments[1])
    return _local_at(function, ns, utc_offset_s, arguments)


def _local_at(function: str, ns: int, utc_offset_s: int | None, arguments: tuple[Any, ...]) -> Any:
    here = time.localtime(ns // _NS)
    ahead_s = here.tm_gmtoff if utc_offset_s is None else utc_offset_s
    if function == "time.localtime":
        if ahead_s == here.tm_gmtoff:
            return here
        there = time.gmtime(ns // _NS + ahead_s)
        return time.struct_time([*there], {"tm_zone": "", "tm_gmtoff": ahead_s})
    local_us = ns // 1000 + ahead_s * 1_000_000
    return _day_or_naive(arguments[0], local_us)


def _served_day(form: Any, cls: Any) -> Any:
    if isinstance(form, str):
        day = date.fromisoformat(form)
        return NotImplemented if issubclass(cls, datetime) else cls(day.year, day.month, day.day)
    return _day_or_naive(cls, form[0] + form[1] * 1_000_000, form[2])


def _day_or_naive(cls: Any, local_us: int, fold: int = 0) -> Any:
    if issubclass(cls, datetime):
        return _naive(cls, local_us, fold)
    day = _EPOCH + timedelta(microseconds=local_us)
    return cls(day.year, day.month, day.day)


def _fields_us(value: datetime) -> int:
    return (datetime(*value.timetuple()[:6], value.microsecond) - _EPOCH) // _MICROSECOND  # noqa: DTZ001 - fields


def _naive(cls: Any, local_us: int, fold: int) -> Any:
    return _rebuilt(cls, (_EPOCH + timedelta(microseconds=local_us)).replace(fold=fold))


def _aware(cls: Any, us: int, zone: tzinfo) -> Any:
    return _rebuilt(cls, (_UTC_EPOCH + timedelta(microseconds=us)).astimezone(zone))


def _rebuilt(cls: Any, value: datetime) -> Any:
    """The value as the class that was asked, which may be a subclass."""
    if cls is datetime:
        return value
    fields = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    return cls(*fields, tzinfo=value.tzinfo, fold=value.fold)
