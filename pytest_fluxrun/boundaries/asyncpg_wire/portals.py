"""Cursors: portals on the server, whose names count up and aren't compared; rows are matched by those before them."""

from __future__ import annotations

import functools
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pytest_fluxrun.boundaries.asyncpg_wire.asked import Asked, aside, cross
from pytest_fluxrun.boundaries.asyncpg_wire.link import Link, link_of
from pytest_fluxrun.boundaries.asyncpg_wire.messages import said
from pytest_fluxrun.boundaries.asyncpg_wire.outcome import Outcome
from pytest_fluxrun.boundaries.asyncpg_wire.statements import form, frozen
from pytest_fluxrun.boundary import Boundary
from pytest_fluxrun.context import crossing

__all__ = ["moved", "wrap_bind", "wrap_close_portal", "wrap_execute"]

_Method = Callable[..., Awaitable[Any]]
_MOVE: Final = re.compile(r"MOVE FORWARD (\d+) (\w+)")


def wrap_bind(boundary: Boundary[Outcome], original: _Method) -> _Method:
    """Open a portal."""

    @functools.wraps(original)
    def bind(self: Any, state: Any, args: Any, portal_name: str, timeout: Any) -> Awaitable[Any]:
        session = crossing()
        if session is None:
            return original(self, state, args, portal_name, timeout)

        def run(timeout: Any = timeout) -> Awaitable[Any]:
            return original(self, state, args, portal_name, timeout)

        link = link_of(self)
        link.enter(session, self)
        portal = link.portal(portal_name, state.query, frozen(args))
        call = Asked(
            functools.partial(form, link.database, portal.query, portal.arguments, "cursor"),
            outcome=Outcome(link.describe(session, state)),
        )
        return cross(boundary, session, link, call, run)

    return bind


def wrap_execute(boundary: Boundary[Outcome], original: _Method) -> _Method:
    """Rows of an open portal."""

    @functools.wraps(original)
    def execute(  # noqa: PLR0917 - its signature
        self: Any, state: Any, portal_name: str, limit: int, return_extra: Any, timeout: Any
    ) -> Awaitable[Any]:
        session = crossing()
        if session is None:
            return original(self, state, portal_name, limit, return_extra, timeout)

        def run(timeout: Any = timeout) -> Awaitable[Any]:
            return original(self, state, portal_name, limit, return_extra, timeout)

        link = link_of(self)
        link.enter(session, self)
        call = Asked(
            _reading_on(link, portal_name, state.query, limit, "rows"), outcome=Outcome(link.describe(session, state))
        )
        return cross(boundary, session, link, call, run)

    return execute


def wrap_close_portal(original: _Method) -> _Method:
    """The library's own affair."""

    @functools.wraps(original)
    def close_portal(self: Any, portal_name: str, timeout: Any) -> Awaitable[Any]:
        session, link = crossing(), link_of(self)
        link.portals.pop(portal_name, None)
        if session is None:
            return original(self, portal_name, timeout)
        return aside(session, link, lambda: original(self, portal_name, timeout), said("3") + link.ready())

    return close_portal


def moved(link: Link, query: str) -> Callable[[], dict[str, Any]] | None:
    """The request of a simple query that moves a portal on; None for any other."""
    match = _MOVE.fullmatch(query)
    if match is None or match[2] not in link.portals:
        return None
    return _reading_on(link, match[2], "", int(match[1]), "rows left out")


def _reading_on(link: Link, name: str, query: str, count: int, what: str) -> Callable[[], dict[str, Any]]:
    portal = link.portal(name, query)
    rest = f"{count} {what} after row {portal.taken}"
    portal.taken += count
    return functools.partial(form, link.database, portal.query, portal.arguments, "cursor", rest)
