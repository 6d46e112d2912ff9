"""psycopg2's calls as requests of the kind sql, and arguments that can't change any more."""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from psycopg2 import extensions  # type: ignore[import-untyped]

from pytest_fluxrun.kinds.sql import first_keyword, folded
from pytest_fluxrun.values import encode, snapshot

__all__ = ["Rows", "controls_transaction", "form", "frozen", "locally", "sets"]

_NATIVE: Final = frozenset({
    int, float, str, bytes, type(None), bool,
    dt.datetime, dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID,
})  # fmt: skip
_CONTROL: Final = frozenset({"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"})
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
_MOST_DEEP: Final = 16


class Rows:
    """The arguments of an executemany as they pass to the library; read here only where nothing was called live."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows = rows
        self._passed: list[Any] = []
        self._read = False
        self.last: Any = None

    def __iter__(self) -> Iterator[Any]:
        self._read = True
        for row in self._rows:
            self._passed.append(frozen(row))
            yield row

    def passed(self) -> list[Any]:
        """All of them, frozen."""
        if not self._read:
            self._read = True
            for row in self._rows:
                self._passed.append(frozen(row))
                self.last = row
        return self._passed


def form(database: str, query: Any, arguments: Any, gives: str = "", rest: str = "") -> dict[str, Any]:
    """A call in the form of the kind sql.

    Args:
        gives: what else than the rows of one statement the program gets.
        rest: what of an open cursor is asked for.
    """
    many = isinstance(arguments, Rows)
    binds = arguments.passed() if many else arguments
    request = {
        "database": database,
        "sql": query if isinstance(query, str) else bytes(query).decode("utf-8", "surrogateescape"),
        "binds": (binds if isinstance(binds, dict) else list(binds)) if binds else None,
        "many": many,
        "driver": f"psycopg2, {gives}" if gives else "psycopg2",
        "dialect": "postgres",
    }
    return {**request, "rest": rest} if rest else request


def frozen(arguments: Any) -> Any:
    """Arguments that can't change any more: what isn't a plain value as a copy, or as it shows itself."""
    if type(arguments) is tuple and _NATIVE.issuperset(map(type, arguments)):
        return arguments
    if isinstance(arguments, Mapping):
        return {str(name): _bound(value, 0) for name, value in arguments.items()}
    try:
        return tuple(_bound(value, 0) for value in arguments)
    except TypeError:
        return (_shown(arguments),)


def _bound(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _NATIVE:
        return value
    if depth > _MOST_DEEP:
        return _shown(value)
    if kind is list or kind is tuple or kind is set or kind is frozenset:
        return kind(_bound(item, depth + 1) for item in value)
    if isinstance(value, Mapping):
        return {str(key): _bound(item, depth + 1) for key, item in value.items()}
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    for native in (bool, int, float, str, bytes):
        if isinstance(value, native):
            return native(value)  # type: ignore[arg-type]  # each is of its own type
    if hasattr(value, "getquoted") and hasattr(value, "adapted"):
        return _bound(value.adapted, depth + 1)
    if kind.__module__.startswith("psycopg2.") or kind.__module__ == "ipaddress":
        return f"{kind.__name__} {value}" if kind.__module__ == "ipaddress" else _shown(value)
    return _plain(value)


def _plain(value: Any) -> Any:
    """An object of the app's as a copy, as its adapter quotes it, or as it shows itself."""
    with suppress(Exception):  # whatever the app's class does, the call goes on
        copy = snapshot(value)
        encode(copy)
        return copy
    try:
        return bytes(extensions.adapt(value).getquoted()).decode("utf-8", "replace")
    except Exception:  # nothing adapts it either, as the library will say
        return _shown(value)


def _shown(value: Any) -> str:
    return _ADDRESS.sub("", repr(value))


@functools.lru_cache(maxsize=1024)
def controls_transaction(query: str) -> bool:
    """Whether a statement begins or ends a transaction, or something in one; of a script it isn't known."""
    statement = folded(query)
    return ";" in statement or first_keyword(statement) in _CONTROL


@functools.lru_cache(maxsize=1024)
def locally(query: str) -> str | None:
    """The status message of a statement that only concerns its transaction; None for all others."""
    statement = folded(query)
    keyword = first_keyword(statement)
    if ";" in statement or keyword not in _CONTROL:
        return None
    return {"START": "BEGIN", "END": "COMMIT", "ABORT": "ROLLBACK"}.get(keyword, keyword)


@functools.lru_cache(maxsize=1024)
def sets(query: str) -> bool:
    """Whether a statement may change what the server reports of its settings."""
    return first_keyword(folded(query)) in ("SET", "RESET") or "set_config" in query.lower()
