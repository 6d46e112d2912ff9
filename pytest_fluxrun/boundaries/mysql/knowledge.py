"""What a connection knows of its server: kept in every run that uses the connection, and told to those of a replay."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["Knowledge"]


_KEY: Final = "connection"


class Knowledge:
    """A driver's attributes that say what its server is.

    Args:
        driver: the boundary's name.
        attributes: name → what it is where no recording tells.
    """

    def __init__(self, driver: str, attributes: Mapping[str, Any]) -> None:
        self._driver = driver
        self._attributes = attributes

    def of(self, connection: Any) -> dict[str, Any]:
        """What a connection knows now."""
        return {name: getattr(connection, name, default) for name, default in self._attributes.items()}

    def tell(self, connection: Any, told: Mapping[str, Any]) -> None:
        """Let a connection know it."""
        for name, known in told.items():
            if name in self._attributes:
                setattr(connection, name, known)

    def note(self, connection: Any, session: Any) -> None:
        """At a connection's first use in a session: keep what it knows, or tell it what it knew in the recorded run."""
        noted = getattr(connection, "_fx_session", None)
        if noted is None or noted() is not session:
            self.noted(connection, session)
            told = session.read(self._driver, _KEY, functools.partial(self.of, connection))
            if session.answers:
                self.tell(connection, told)

    def kept(self, session: Any, otherwise: dict[str, Any]) -> dict[str, Any]:
        """What a connection that was open before the recorded run knew in it, for one that a replay opens."""
        told: dict[str, Any] = session.read(self._driver, _KEY, lambda: otherwise)
        return {**otherwise, **told}

    @staticmethod
    def noted(connection: Any, session: Any) -> None:
        """What it knows is part of the session already."""
        connection._fx_session = weakref.ref(session)  # noqa: SLF001 - the seams' own
