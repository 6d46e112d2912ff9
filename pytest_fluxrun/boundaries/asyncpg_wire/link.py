"""What is known of one connection of asyncpg's: of its server, its statements and portals, and who hears its bytes."""

from __future__ import annotations

import ast
import asyncio
import itertools
import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pytest_fluxrun.boundaries.asyncpg_wire.description import Description, key_of, packed, type_rows, unpacked
from pytest_fluxrun.boundaries.asyncpg_wire.messages import said
from pytest_fluxrun.boundaries.asyncpg_wire.outcome import Outcome
from pytest_fluxrun.boundaries.asyncpg_wire.statements import controls_transaction
from pytest_fluxrun.boundaries.asyncpg_wire.transport import PlayedTransport
from pytest_fluxrun.context import Lane

__all__ = ["DEFAULT_FACTS", "Link", "Portal", "hello", "link_of"]

DEFAULT_FACTS: Final[Mapping[str, Any]] = {
    "pid": 1,
    "settings": {
        "server_version": "16.0",
        "server_encoding": "UTF8",
        "client_encoding": "UTF8",
        "DateStyle": "ISO, MDY",
        "IntervalStyle": "postgres",
        "TimeZone": "UTC",
        "integer_datetimes": "on",
        "standard_conforming_strings": "on",
        "is_superuser": "off",
    },
    "names": {},
}
"""Of the server of a connection that no run has used."""
_LEFT_OUT: Final = frozenset({"session_authorization"})
"""The user's name under a name that would make it a secret, and with it each word that is the same."""
_SETTINGS_BEGIN: Final = "<ConnectionSettings "
_MOST_STATEMENTS: Final = 1024
_NAMES = itertools.count(1)


@dataclass(slots=True)
class Portal:
    """A cursor on the server: what of, and how many rows were taken from it."""

    query: str
    arguments: Any
    taken: int = 0


class Link:
    """One protocol's.

    Attributes:
        heard: the outcome that is told all that comes, while a call is under way.
        wire: the transport that plays; None for a live connection in a process that doesn't replay.
        connection: asyncpg's Connection on top of it, by weak reference.
        lane: of the last call.
        listening: the lane that listens to what the server tells unasked; `told` counts that, from `told_ns` on.
        teller: at replay, the task that lets the connection hear it.
        types: rows of asyncpg's introspection, by object id.
        names: `schema.type` → what asyncpg looked up for a codec.
    """

    __slots__ = (
        "_described",
        "_known",
        "_session",
        "_statements",
        "_text",
        "connection",
        "heard",
        "lane",
        "listening",
        "names",
        "portals",
        "status",
        "teller",
        "told",
        "told_ns",
        "types",
        "wire",
    )

    def __init__(self) -> None:
        self.heard: Outcome | None = None
        self.wire: PlayedTransport | None = None
        self.connection: Any = None
        self.lane: Lane | None = None
        self.listening: Lane | None = None
        self.told = self.told_ns = 0
        self.teller: asyncio.Task[None] | None = None
        self.portals: dict[str, Portal] = {}
        self.types: dict[int, Mapping[str, Any]] = {}
        self.names: dict[str, dict[str, Any]] = {}
        self.status = "I"
        self._session: Any = None
        self._known: Any = None
        self._text = ""
        self._described: dict[str, tuple[str, Description]] = {}
        self._statements: dict[str, Description] = {}

    @property
    def database(self) -> str:
        """The database's name."""
        connection = None if self.connection is None else self.connection()
        return "" if connection is None else str(connection._params.database or "")  # noqa: SLF001

    def enter(self, session: Any, protocol: Any) -> None:
        """At the first use in a session: let it keep, or say, what the connection knows."""
        if self._session is not None and self._session() is session:
            return
        self._session = weakref.ref(session)
        self._described.clear()
        text = session.read("asyncpg", "connection", lambda: self._facts(protocol))
        if session.answers:
            self.status = "T" if protocol.is_in_transaction() else "I"
            self.adopt(unpacked(text), protocol)

    def entered(self, session: Any, facts: Mapping[str, Any]) -> None:
        """The connection was opened in a session that said what it knows."""
        self._session = weakref.ref(session)
        self.names.update(facts["names"])

    def adopt(self, facts: Mapping[str, Any], protocol: Any) -> None:
        """Make the connection know what the recorded one did."""
        self.names.update(facts["names"])
        known = self._settings(protocol)
        changed = {name: text for name, text in facts["settings"].items() if known.get(name) != text}
        if changed and self.wire is not None:
            self.wire.hear(_settings_said(changed))
            connection = None if self.connection is None else self.connection()
            if connection is not None and "server_version" in changed:
                _know_version(connection, protocol)

    def describe(self, session: Any, state: Any) -> Description | None:
        """What is known of a prepared statement, kept with the run at its first use in it."""
        name, found = self._described.get(state.query, (None, None))
        if found is not None and name == state.name:
            return found
        description = self._statements.get(state.name) if state.name else None
        if description is None:
            try:
                description = Description.of(state, self.types)
            except Exception:  # its codecs aren't there: it can't be executed either
                return None
            if state.name:
                if len(self._statements) >= _MOST_STATEMENTS:
                    self._statements.clear()
                self._statements[state.name] = description
        if description != found:  # prepared again, perhaps since a table was altered
            text = description.text
            session.read("asyncpg", key_of(state.query), lambda: text)
        self._described[state.query] = state.name, description
        return description

    def described(self, query: str, name: str, description: Description) -> None:
        """A statement was described from the recording."""
        self._described[query] = name, description
        self.know_types(description.own_types)

    def know_types(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Types that aren't built in, as asyncpg introspects them."""
        self.types.update({row["oid"]: row for row in rows})

    def stop_telling(self) -> None:
        """The connection is closed."""
        self.listening = None
        if self.teller is not None:
            self.teller.cancel()
            self.teller = None

    def ready(self) -> bytes:
        """What the server says when it is done with what leaves a transaction as it is."""
        return said("Z", self.status.encode())

    def resets(self, query: str) -> bool:
        """Whether a pool asks it of each connection that is given back."""
        connection = None if self.connection is None else self.connection()
        if connection is None:
            return False
        public = getattr(connection, "get_reset_query", None)  # since 0.30
        return bool(query == (connection._get_reset_query() if public is None else public()))  # noqa: SLF001

    def spoil(self) -> None:
        """A statement failed: the transaction that it was in is aborted."""
        self.status = "I" if self.status == "I" else "E"

    def settle(self, outcome: Outcome, query: str, *, failed: bool) -> None:
        """Let an answer leave the transaction as it is here: it may have been recorded in another one, or in none."""
        said_status = outcome.status()
        if said_status is None:
            return
        if controls_transaction(query):
            self.status = said_status
            return
        if failed:
            self.spoil()
        outcome.set_status(self.status)

    def forget(self, state: Any) -> None:
        """A statement is closed."""
        self._statements.pop(state.name, None)

    def portal(self, name: str, query: str, arguments: Any = None) -> Portal:
        """The portal of that name; one that was opened elsewhere is known by its statement only."""
        return self.portals.setdefault(name, Portal(query, arguments))

    def _facts(self, protocol: Any) -> str:
        known = repr(protocol.get_settings()), len(self.names)
        if self._known != known:
            names = {name: {**found, "types": self._rows(found)} for name, found in self.names.items()}
            facts = {"pid": protocol.backend_pid, "settings": self._settings(protocol), "names": names}
            self._known, self._text = known, packed(facts)
        return self._text

    def _rows(self, found: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [dict(row) for row in type_rows((found["oid"],), self.types)]

    @staticmethod
    def _settings(protocol: Any) -> dict[str, str]:
        """All that the server reported: its representation is the one place that lists them."""
        shown = repr(protocol.get_settings())
        with suppress(ValueError, SyntaxError):
            found = ast.literal_eval(shown.removeprefix(_SETTINGS_BEGIN).removesuffix(">"))
            return {str(name): str(value) for name, value in found.items() if name not in _LEFT_OUT}
        return {}


def link_of(protocol: Any) -> Link:
    """What is known of a protocol's connection."""
    link = protocol.__dict__.get("_fx_link")
    if link is None:
        link = protocol._fx_link = Link()  # noqa: SLF001 - of the seam, on asyncpg's object
    return link  # type: ignore[no-any-return]


def hello(facts: Mapping[str, Any]) -> bytes:
    """What a server says to a client that it lets in; its secret names the connection in this process."""
    key = int(facts["pid"]).to_bytes(4, "big", signed=True) + next(_NAMES).to_bytes(4, "big")
    return b"".join((said("R", bytes(4)), _settings_said(facts["settings"]), said("K", key), said("Z", b"I")))


def _settings_said(settings: Mapping[str, str]) -> bytes:
    return b"".join(said("S", f"{name}\0{text}\0".encode()) for name, text in settings.items())


def _know_version(connection: Any, protocol: Any) -> None:
    """What Connection's constructor makes of the server's version."""
    from asyncpg import connection as module  # type: ignore[import-untyped]
    from asyncpg import introspection, serverversion

    settings = protocol.get_settings()
    version = serverversion.split_server_version_string(settings.server_version)
    connection._server_version = version  # noqa: SLF001
    connection._server_caps = module._detect_server_capabilities(version, settings)  # noqa: SLF001
    old = getattr(introspection, "INTRO_LOOKUP_TYPES_13", None)
    if old is not None:
        connection._intro_query = old if version < (14, 0) else introspection.INTRO_LOOKUP_TYPES  # noqa: SLF001
    connection._reset_query = None  # noqa: SLF001
