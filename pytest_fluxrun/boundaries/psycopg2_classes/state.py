"""What psycopg2 keeps of a connection in C, kept here at replay; what it knows of its server, kept with every run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from psycopg2 import ProgrammingError, extensions  # type: ignore[import-untyped]

from pytest_fluxrun.boundaries.psycopg2_classes.outcome import Outcome
from pytest_fluxrun.boundaries.psycopg2_classes.statements import controls_transaction

__all__ = ["DEFAULT_FACTS", "Facts", "State", "facts_of"]

Facts = Mapping[str, Any]
_IDLE: Final = 0
_IN_TRANSACTION: Final = 2
_IN_ERROR: Final = 3
_LEVELS: Final = {
    "DEFAULT": None,
    "READ UNCOMMITTED": extensions.ISOLATION_LEVEL_READ_UNCOMMITTED,
    "READ COMMITTED": extensions.ISOLATION_LEVEL_READ_COMMITTED,
    "REPEATABLE READ": extensions.ISOLATION_LEVEL_REPEATABLE_READ,
    "SERIALIZABLE": extensions.ISOLATION_LEVEL_SERIALIZABLE,
}
_REPORTED: Final = (
    "server_version",
    "server_encoding",
    "client_encoding",
    "application_name",
    "default_transaction_read_only",
    "in_hot_standby",
    "is_superuser",
    "DateStyle",
    "IntervalStyle",
    "TimeZone",
    "integer_datetimes",
    "standard_conforming_strings",
)
_UNSET: Final[Any] = object()
_MOST_NOTICES: Final = 50
DEFAULT_FACTS: Facts = {
    "server_version": 160000,
    "protocol_version": 3,
    "encoding": "UTF8",
    "pid": 1,
    "parameters": {
        "server_version": "16.0",
        "server_encoding": "UTF8",
        "client_encoding": "UTF8",
        "DateStyle": "ISO, MDY",
        "IntervalStyle": "postgres",
        "TimeZone": "UTC",
        "integer_datetimes": "on",
        "standard_conforming_strings": "on",
    },
}
"""Of the server of a connection that no run has used."""


def facts_of(connection: Any) -> Facts:
    """What a live connection knows of its server; of a played one what is known without a recording."""
    if connection._fx_played:  # noqa: SLF001 - of the seam
        return DEFAULT_FACTS
    reported = ((name, extensions.connection.get_parameter_status(connection, name)) for name in _REPORTED)
    return {
        "server_version": connection.server_version,
        "protocol_version": connection.protocol_version,
        "encoding": connection.encoding,
        "pid": connection.get_backend_pid(),
        "parameters": {name: text for name, text in reported if text is not None},
    }


class State:
    """A connection's transaction and settings at replay.

    Attributes:
        transaction: as libpq has it.
    """

    def __init__(self, dsn: str, autocommit: bool = False) -> None:  # noqa: FBT001, FBT002
        self.shown_dsn = _without_password(dsn)
        self.autocommit = autocommit
        self.isolation_level: int | None = None
        self.readonly: bool | None = None
        self.deferrable: bool | None = None
        self.transaction = _IDLE
        self.begun = False
        self.closed = 0
        self.notices: Any = []
        self.notifies: Any = []

    @property
    def status(self) -> int:
        """As psycopg2 has it."""
        return int(extensions.STATUS_BEGIN if self.begun else extensions.STATUS_READY)

    def served(self, outcome: Outcome, query: str) -> None:
        """A statement was answered."""
        if query in ("COMMIT", "ROLLBACK"):
            self.begun, self.transaction = False, _IDLE
        elif self.autocommit:
            if controls_transaction(query):
                self.transaction = outcome.transaction
        else:
            self.begun, self.transaction = True, _IN_TRANSACTION
        self.notices.extend(outcome.notices)
        del self.notices[:-_MOST_NOTICES]
        self.notifies.extend(extensions.Notify(*notify) for notify in outcome.notifies)

    def failed(self, error: BaseException, query: str) -> None:
        """A statement failed."""
        if getattr(error, "pgcode", None) is None:
            return
        if query in ("COMMIT", "ROLLBACK"):
            self.begun, self.transaction = False, _IDLE
        elif not self.autocommit:
            self.begun, self.transaction = True, _IN_ERROR
        elif self.transaction == _IN_TRANSACTION:
            self.transaction = _IN_ERROR

    def set_session(
        self,
        isolation_level: Any = _UNSET,
        readonly: Any = _UNSET,
        deferrable: Any = _UNSET,
        autocommit: Any = _UNSET,
    ) -> None:
        """As psycopg2's connection does it, without a server."""
        if self.begun:
            raise ProgrammingError("set_session cannot be used inside a transaction")
        if isolation_level is not _UNSET and isolation_level is not None:
            level = isolation_level
            self.isolation_level = _LEVELS[level.upper()] if isinstance(level, str) else level
        if readonly is not _UNSET and readonly is not None:
            self.readonly = None if _is_default(readonly) else bool(readonly)
        if deferrable is not _UNSET and deferrable is not None:
            self.deferrable = None if _is_default(deferrable) else bool(deferrable)
        if autocommit is not _UNSET and autocommit is not None:
            self.autocommit = bool(autocommit)


def _is_default(value: Any) -> bool:
    return isinstance(value, str) and value.upper() == "DEFAULT"


def _without_password(dsn: str) -> str:
    """As psycopg2 shows it: the password as xxx."""
    parsed = extensions.parse_dsn(dsn)
    if "password" not in parsed:
        return dsn
    return str(extensions.make_dsn(**{**parsed, "password": "x" * 3}))
