"""Statements as requests, and binds that can't change any more; which statements concern the connection alone."""

from __future__ import annotations

import functools
import os
import re
import sqlite3
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, Final

from pytest_fluxrun.kinds.sql import IN_MEMORY, first_keyword, folded

__all__ = ["Rows", "database_name", "describing", "form", "frozen", "is_local", "is_query", "writes_literals"]

_NATIVE: Final = frozenset({int, float, str, bytes, type(None), bool})
_TRANSACTION: Final = frozenset({"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"})
_LOCAL_PRAGMAS: Final = frozenset(
    """
    analysis_limit automatic_index busy_timeout cache_size cache_spill case_sensitive_like cell_size_check
    defer_foreign_keys foreign_keys ignore_check_constraints query_only read_uncommitted recursive_triggers
    reverse_unordered_selects synchronous temp_store threads trusted_schema
    """.split()  # noqa: SIM905 - a list of words reads better
)
"""Settings of a connection, the same on a private one: read and set there."""
_LOCAL_WHEN_SET: Final = frozenset(
    "journal_mode journal_size_limit locking_mode mmap_size optimize secure_delete wal_autocheckpoint".split()  # noqa: SIM905
)
"""Settings that the file answers for: setting them is local, what they are isn't."""
_PING: Final = re.compile(r"SELECT \d+", re.IGNORECASE)
_LITERALS: Final = re.compile(r"SELECT QUOTE\(\?\)(?:, ?QUOTE\(\?\))*", re.IGNORECASE)


class Rows:
    """The rows of an executemany as they pass to the library; read here only where nothing was called live."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows
        self._passed: list[Any] = []
        self._read = False

    def __iter__(self) -> Iterator[Any]:
        self._read = True
        for row in self._rows:
            self._passed.append(frozen(row))
            yield row

    def passed(self) -> list[Any]:
        """All rows, frozen."""
        if not self._read:
            self._read = True
            self._passed = [frozen(row) for row in self._rows]
        return self._passed


def form(database: str, sql: str, binds: Any, *, detect_types: int = 0) -> dict[str, Any]:
    """A statement in the form of the kind sql; no binds at all are None. `detect_types` stands there if there are."""
    many = isinstance(binds, Rows)
    if many:
        binds = binds.passed()
    elif not isinstance(binds, dict):
        binds = list(binds or ())
    request = {"database": database, "sql": sql, "binds": binds or None, "many": many}
    return {**request, "detect_types": detect_types} if detect_types else request


def frozen(parameters: Any) -> Any:
    """Binds that can't change any more, as the library will bind them."""
    kind = type(parameters)
    if kind is tuple and _NATIVE.issuperset(map(type, parameters)):
        return parameters
    if isinstance(parameters, dict):
        return {name: _bound(value) for name, value in parameters.items()}
    try:
        return tuple(_bound(value) for value in parameters)
    except TypeError:
        return (f"<{kind.__qualname__}>",)


def _bound(value: Any) -> Any:
    kind = type(value)
    if kind in _NATIVE or kind in (datetime, date):  # their default adapters warn, and `values` holds them
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    try:
        adapted = sqlite3.adapt(value, sqlite3.PrepareProtocol)
    except sqlite3.Error:
        adapted = value
    for native in (int, float, str, bytes):
        if isinstance(adapted, native):
            return native(adapted)  # type: ignore[arg-type]  # each is of its own type
    return adapted


@functools.lru_cache(maxsize=1024)
def describing(columns: tuple[str, ...] | None) -> str:
    """A statement without rows that gives a cursor the recorded column names; it reads no table, hence no file."""
    if columns is None:
        return "SELECT NULL WHERE 0"
    names = ", ".join(f'NULL AS "{name.replace(chr(34), chr(34) * 2)}"' for name in columns)
    return f"SELECT {names} WHERE 0"


@functools.lru_cache(maxsize=1024)
def is_local(sql: str) -> bool:
    """Whether a statement only concerns this connection: transaction control, its settings, a pool's ping."""
    statement = folded(sql)
    keyword = first_keyword(statement)
    if ";" in statement:
        return False
    if keyword == "PRAGMA":
        name, _, value = statement[len("PRAGMA") :].replace("(", "=").partition("=")
        setting = name.strip().rpartition(".")[2].lower()
        return setting in _LOCAL_PRAGMAS or (bool(value) and setting in _LOCAL_WHEN_SET)
    if keyword == "SELECT":
        return _PING.fullmatch(statement) is not None
    return keyword in _TRANSACTION


@functools.lru_cache(maxsize=1024)
def is_query(sql: str) -> bool:
    """Whether a statement leaves the transaction as it is, so that an answer from elsewhere says nothing of it."""
    return first_keyword(folded(sql)) in ("SELECT", "VALUES", "EXPLAIN")


@functools.lru_cache(maxsize=1024)
def writes_literals(sql: str) -> bool:
    """Whether a statement only spells its binds, as Django asks after each of its own in debug mode: no crossing."""
    return _LITERALS.fullmatch(folded(sql)) is not None


def database_name(database: Any) -> str:
    """The file's own name: a path says where the code runs, not what it asks for."""
    try:
        path = os.fsdecode(database)
    except TypeError:
        return repr(type(database))
    if not path.startswith("file:"):
        return os.path.basename(path)
    name, _, options = path.removeprefix("file:").partition("?")
    name = os.path.basename(name)
    return f"{IN_MEMORY}{name.removeprefix(IN_MEMORY)}" if "mode=memory" in options.split("&") else name
