"""What a connection is to one session: the facts about its server, and what came along with the answer under way."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, Final

from psycopg import errors, pq

from pytest_fluxrun.boundaries.libpq.answer import Answer
from pytest_fluxrun.boundaries.libpq.statement import text_of

__all__ = ["DEFAULT_FACTS", "SIDE", "Side", "facts_of", "parameters_of", "side_of"]

_PARAMETERS: Final = tuple(
    """
    server_version server_encoding client_encoding application_name default_transaction_read_only in_hot_standby
    is_superuser DateStyle IntervalStyle TimeZone integer_datetimes standard_conforming_strings
    scram_iterations search_path
    """.split()  # noqa: SIM905 - a list of words reads better
)
"""What a server reports by itself, see the documentation of `PQparameterStatus`; but not session_authorization.

Redaction would take it for a secret by its name, and `postgres` as a role is a dialect and an IntervalStyle, too.
"""
DEFAULT_FACTS: Final[Mapping[str, Any]] = {
    "server_version": 160000,
    "protocol": 30000,
    "process": 0,
    "transaction": 0,
    "parameters": {
        "server_version": "16.0",
        "server_encoding": "UTF8",
        "client_encoding": "UTF8",
        "DateStyle": "ISO, MDY",
        "IntervalStyle": "postgres",
        "TimeZone": "UTC",
        "integer_datetimes": "on",
        "standard_conforming_strings": "on",
        "is_superuser": "off",
        "in_hot_standby": "off",
        "default_transaction_read_only": "off",
    },
}
"""Of a server that no run has met."""
SIDE: Final = "_fluxrun_side"
"""The attribute of a connection that holds its side."""


class Side:
    """A connection as one session sees it.

    Attributes:
        database: its name, as requests say it.
        answer: what notices and notifications that come now belong to, or None.
    """

    __slots__ = ("answer", "database", "session")

    def __init__(self, session: Any, database: str) -> None:
        self.session = weakref.ref(session)
        self.database = database
        self.answer: Answer | None = None


def side_of(connection: Any, session: Any) -> Side:
    """The connection's side in a session. At its first use in it the session learns the server's facts."""
    side: Side | None = connection.__dict__.get(SIDE)
    if side is None or side.session() is not session:
        pgconn = connection.pgconn
        if session.answers:
            pgconn.meet(session)
        else:
            session.read("psycopg", "connection", lambda: facts_of(pgconn))
        side = connection.__dict__[SIDE] = Side(session, _text(pgconn, "db"))
    return side


def facts_of(pgconn: Any, *, whole: bool = False) -> dict[str, Any]:
    """What a program can learn of a connection without asking the server; nothing of how it proved who it is.

    Args:
        whole: also the settings that it connected with, which take libpq longer than a statement.
    """
    facts = {name: _text(pgconn, name) for name in ("db", "user", "host", "hostaddr", "port", "options")}
    return {
        **facts,
        "server_version": _attribute(pgconn, "server_version", 0),
        "protocol": _protocol(pgconn),
        "process": _attribute(pgconn, "backend_pid", 0),
        "ssl": bool(_attribute(pgconn, "ssl_in_use", False)),
        "transaction": int(pgconn.transaction_status),
        "parameters": parameters_of(pgconn),
        **({"info": _info(pgconn)} if whole else {}),
    }


def _info(pgconn: Any) -> dict[str, str]:
    """Settings by keyword; a secret's display character is `*`, and what psycopg itself hides is `password`."""
    return {
        text_of(option.keyword): text_of(option.val)
        for option in pgconn.info
        if option.val is not None and not option.dispchar and b"password" not in option.keyword
    }


def parameters_of(pgconn: Any) -> dict[str, str]:
    """What the server has reported of its parameters."""
    if pgconn.status != pq.ConnStatus.OK:
        return {}
    found = ((name, pgconn.parameter_status(name.encode())) for name in _PARAMETERS)
    return {name: text_of(value) for name, value in found if value is not None}


def _protocol(pgconn: Any) -> int:
    try:
        return int(pgconn.full_protocol_version)
    except (AttributeError, errors.Error):  # psycopg before 3.3, or a libpq before 18
        return int(_attribute(pgconn, "protocol_version", 3)) * 10000


def _text(pgconn: Any, name: str) -> str:
    return text_of(_attribute(pgconn, name, b"") or b"")


def _attribute(pgconn: Any, name: str, default: Any) -> Any:
    try:
        return getattr(pgconn, name)
    except (AttributeError, errors.Error):  # closed, or a libpq that doesn't know it
        return default
