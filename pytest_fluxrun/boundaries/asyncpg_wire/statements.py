"""asyncpg's calls as requests of the kind sql, and arguments that can't change any more."""

from __future__ import annotations

import datetime as dt
import decimal
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from pytest_fluxrun.kinds.sql import first_keyword, folded
from pytest_fluxrun.values import encode, snapshot

__all__ = ["STATUS_ONLY", "Rows", "controls_transaction", "form", "frozen", "locally"]

STATUS_ONLY: Final = "status only"
"""Calls of `execute` without arguments: of them the program gets the status and no rows."""
_NATIVE: Final = frozenset({
    int, float, str, bytes, type(None), bool,
    dt.datetime, dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID,
})  # fmt: skip
_CONTROL: Final = frozenset({"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"})
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


class Rows:
    """The arguments of an executemany as they pass to the library; read here only where nothing was called live."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows = rows
        self._passed: list[Any] = []
        self._read = False

    def __iter__(self) -> Iterator[Any]:
        self._read = True
        for row in self._rows:
            self._passed.append(frozen(row))
            yield row

    def passed(self) -> list[Any]:
        """All of them, frozen."""
        if not self._read:
            self._rows = list(self._rows)
            self._read = True
            self._passed = [frozen(row) for row in self._rows]
        return self._passed


def form(
    database: str, query: str, arguments: Any, gives: str = "", rest: str = "", *, prepare: bool = False
) -> dict[str, Any]:
    """A call in the form of the kind sql.

    Args:
        gives: which part of the answer the program gets, where that isn't all rows.
        rest: what of an open portal is asked for.
        prepare: it is only prepared.
    """
    many = isinstance(arguments, Rows)
    binds = [list(row) for row in arguments.passed()] if many else list(arguments or ())
    request = {
        "database": database,
        "sql": query,
        "binds": binds or None,
        "many": many,
        "driver": f"asyncpg, {gives}" if gives else "asyncpg",
        "dialect": "postgres",
    }
    if prepare:
        request["prepare"] = True
    return {**request, "rest": rest} if rest else request


def frozen(arguments: Any) -> tuple[Any, ...]:
    """Arguments that can't change any more: what isn't a plain value as a copy, or as it shows itself."""
    if type(arguments) is tuple and _NATIVE.issuperset(map(type, arguments)):
        return arguments
    try:
        return tuple(_bound(value) for value in arguments)
    except TypeError:
        return (_shown(arguments),)


def _bound(value: Any) -> Any:
    kind = type(value)
    if kind in _NATIVE:
        return value
    if kind is list or kind is tuple or kind is set or kind is frozenset:
        return kind(_bound(item) for item in value)
    if isinstance(value, Mapping):
        return {str(key): _bound(item) for key, item in value.items()}
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    for native in (bool, int, float, str, bytes):
        if isinstance(value, native):
            return native(value)  # type: ignore[arg-type]  # each is of its own type
    if isinstance(value, uuid.UUID):  # asyncpg's own, which rows hold
        return uuid.UUID(int=value.int)
    module = kind.__module__
    if module.startswith(("asyncpg.", "ipaddress")):
        return f"{kind.__name__} {value}" if module == "ipaddress" else _shown(value)
    with suppress(Exception):  # whatever the app's class does, the call goes on
        copy = snapshot(value)
        encode(copy)
        return copy
    return _shown(value)


def _shown(value: Any) -> str:
    return _ADDRESS.sub("", repr(value))


def controls_transaction(query: str) -> bool:
    """Whether a statement begins or ends a transaction, or something in one; of a script it isn't known."""
    statement = folded(query)
    return ";" in statement or first_keyword(statement) in _CONTROL


def locally(query: str, status: str) -> tuple[str, str] | None:
    """What a statement that only concerns its transaction is told, and the transaction's status then.

    Args:
        status: before it, as ReadyForQuery has it: `I`, `T` or `E`.

    Returns:
        None: the statement isn't such a one.
    """
    statement = folded(query)
    keyword = first_keyword(statement)
    if ";" in statement or keyword not in _CONTROL:
        return None
    if keyword in ("BEGIN", "START"):
        return "BEGIN", "T" if status == "I" else status
    if keyword in ("SAVEPOINT", "RELEASE"):
        return keyword, status
    if keyword in ("COMMIT", "END"):
        return "COMMIT" if status != "E" else "ROLLBACK", "I"
    to_savepoint = re.search(r"\bTO\b", statement, re.IGNORECASE) is not None
    return "ROLLBACK", "T" if to_savepoint else "I"
