"""Statements of MySQL's drivers as requests, and binds that can't change any more; which are a connection's own."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from pytest_fluxrun.boundaries.mysql.packets import AUTOCOMMIT, IN_TRANSACTION
from pytest_fluxrun.kinds.sql import first_keyword, folded

__all__ = ["Asked", "Rows", "form", "frozen", "is_local", "status_after"]

_NATIVE: Final = frozenset(
    {int, float, str, bytes, type(None), bool, Decimal, datetime, date, time, timedelta, UUID},
)
_TRANSACTION: Final = frozenset({"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "USE", "PING"})
_OWN_SETTING: Final = re.compile(
    r"(?!.*\b(?:GLOBAL|PERSIST|PERSIST_ONLY|PASSWORD|ROLE|SELECT)\b)(?!.*(?<!@)@(?!@))"
    r"SET (?:(?:SESSION|LOCAL|@@SESSION\.|@@LOCAL\.) ?)?(?:NAMES|CHARACTER SET|CHARSET|TRANSACTION|[a-z_]+ ?:?=).*",
    re.IGNORECASE | re.DOTALL,
)
_PING: Final = re.compile(r"SELECT \d{1,9}", re.IGNORECASE)
_AUTOCOMMIT: Final = re.compile(
    r"SET (?:(?:SESSION|LOCAL|@@SESSION\.|@@LOCAL\.) ?)?AUTOCOMMIT ?:?= ?(\w+)", re.IGNORECASE
)
_STARTS: Final = re.compile(r"BEGIN|START TRANSACTION", re.IGNORECASE)
_ENDS: Final = re.compile(r"(?:COMMIT|ROLLBACK)(?! (?:WORK )?TO\b)(?: WORK)?(.*)", re.IGNORECASE)
_COMMANDS: Final = {0x02: "USE", 0x0C: "KILL", 0x0E: "PING"}
"""COM_INIT_DB, COM_PROCESS_KILL, COM_PING."""
_DIALECT: Final = "mysql"


class Asked:
    """A command, as the application gave it to a cursor: `%s` in it, and what is bound to them; or as it is sent.

    Args:
        binds: frozen; of many, a list of them.
        command: the protocol's number of it.
    """

    __slots__ = ("_command", "_encoding", "_sql", "binds", "many")

    def __init__(
        self, sql: Any, binds: Any = None, *, many: bool = False, command: int = 3, encoding: str = ""
    ) -> None:
        self._sql = bytes(sql) if type(sql) is bytearray else sql
        self._command = command
        self._encoding = encoding
        self.binds = binds
        self.many = many

    def text(self) -> str:
        """What it says, as a statement."""
        sql = self._sql
        text = sql if isinstance(sql, str) else bytes(sql).decode(self._encoding or "utf-8", "backslashreplace")
        name = _COMMANDS.get(self._command)
        return text if name is None else f"{name} {text}".strip()


class Rows:
    """The rows of an executemany as they pass to the driver, which sends them in one statement or in several.

    Args:
        rows: as they were given.
        freeze: makes of one what can't change.
    """

    def __init__(self, rows: Any, freeze: Callable[[Any], Any]) -> None:
        self._rows = rows
        self._freeze = freeze
        self._passed: list[Any] = []
        self._ended = False

    def __bool__(self) -> bool:
        return bool(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __iter__(self) -> Iterator[Any]:
        for row in self._rows:
            self._passed.append(self._freeze(row))
            yield row
        self._ended = True

    def sent(self) -> list[Any]:
        """Those that the statement holds which is about to be sent: the last one that passed is the next one's."""
        count = len(self._passed) if self._ended else len(self._passed) - 1
        sent, self._passed = self._passed[:count], self._passed[count:]
        return sent


def frozen(binds: Any, literal: Callable[[Any], str]) -> Any:
    """Binds that can't change any more.

    Args:
        literal: spells a value of a class that the driver knows and FluxRun doesn't.
    """
    kind = type(binds)
    if kind is tuple and _NATIVE.issuperset(map(type, binds)):
        return binds
    if isinstance(binds, Mapping):
        return {str(name): _bound(value, literal) for name, value in binds.items()}
    if isinstance(binds, list | tuple):
        return tuple([_bound(value, literal) for value in binds])
    return (_bound(binds, literal),)


def _bound(value: Any, literal: Callable[[Any], str]) -> Any:
    kind = type(value)
    if kind in _NATIVE:
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str):
        return str.__str__(value)
    if kind in (list, tuple):
        return tuple([_bound(item, literal) for item in value])
    try:
        return literal(value)
    except Exception:  # it is the driver's affair to refuse the value, where the application sees it
        return f"<{kind.__qualname__}>"


def form(driver: str, database: Any, asked: Asked) -> dict[str, Any]:
    """A command in the form of the kind sql; no binds at all are None."""
    binds = list(asked.binds) if isinstance(asked.binds, tuple | list) else asked.binds
    name = database.decode("utf-8", "replace") if isinstance(database, bytes) else database or ""
    return {
        "driver": driver,
        "dialect": _DIALECT,
        "database": name,
        "sql": asked.text(),
        "binds": binds or None,
        "many": asked.many,
    }


@functools.lru_cache(maxsize=1024)
def is_local(sql: str) -> bool:
    """Whether a folded statement only concerns its connection: transaction control, settings, a pool's ping."""
    if ";" in sql:
        return False
    keyword = first_keyword(sql)
    if keyword == "SELECT":
        return _PING.fullmatch(sql) is not None
    if keyword == "SET":
        return _OWN_SETTING.fullmatch(sql) is not None
    return keyword in _TRANSACTION or folded(sql).upper().startswith("START TRANSACTION")


def status_after(sql: str, status: int) -> int:
    """A server's status flags after a folded statement that `is_local`, from those before it."""
    setting = _AUTOCOMMIT.fullmatch(sql)
    if setting is not None:
        return status | AUTOCOMMIT if setting[1].upper() in ("1", "ON", "TRUE") else status & ~AUTOCOMMIT
    if _STARTS.match(sql):
        return status | IN_TRANSACTION
    ends = _ENDS.fullmatch(sql)
    if ends is not None:
        return status if " AND CHAIN" in ends[1].upper() else status & ~IN_TRANSACTION
    return status
