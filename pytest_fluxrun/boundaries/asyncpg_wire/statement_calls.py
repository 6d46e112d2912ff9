"""The protocol's calls that ask one statement and hear all of its answer."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries.asyncpg_wire.asked import Asked, Run, aside, cross, cross_failed, playing
from pytest_fluxrun.boundaries.asyncpg_wire.description import Description, key_of
from pytest_fluxrun.boundaries.asyncpg_wire.link import Link, link_of
from pytest_fluxrun.boundaries.asyncpg_wire.messages import said
from pytest_fluxrun.boundaries.asyncpg_wire.outcome import Outcome
from pytest_fluxrun.boundaries.asyncpg_wire.portals import moved
from pytest_fluxrun.boundaries.asyncpg_wire.statements import STATUS_ONLY, Rows, form, frozen, locally
from pytest_fluxrun.boundary import Boundary
from pytest_fluxrun.context import beneath, crossing

__all__ = [
    "wrap_bind_execute",
    "wrap_bind_execute_many",
    "wrap_close_statement",
    "wrap_prepare",
    "wrap_query",
]

_Method = Callable[..., Awaitable[Any]]


def wrap_prepare(boundary: Boundary[Outcome], original: _Method) -> _Method:
    """Parse and Describe."""

    @functools.wraps(original)
    def prepare(self: Any, stmt_name: str, query: str, timeout: Any, **kwargs: Any) -> Awaitable[Any]:
        session = crossing()
        if session is None:
            return original(self, stmt_name, query, timeout, **kwargs)

        def run(timeout: Any = timeout) -> Awaitable[Any]:
            return original(self, stmt_name, query, timeout, **kwargs)

        link = link_of(self)
        link.enter(session, self)
        return _prepare(boundary, session, link, (stmt_name, query), run)

    return prepare


async def _prepare(boundary: Boundary[Outcome], session: Any, link: Link, named: tuple[str, str], run: Run) -> Any:
    """Only a failure is a call: what a statement is like is kept, and told, apart; see `Link.describe`."""
    name, query = named
    call = Asked(
        functools.partial(form, link.database, query, None, prepare=True),
        prepares=functools.partial(link.described, query, name),
    )
    if session.answers:
        described = session.read("asyncpg", key_of(query), lambda: None)
        if described is None:
            return await cross(boundary, session, link, call, run)
        description = Description.load(described)
        link.described(query, name, description)
        return await playing(link).play([[description.answer()]], run)
    call.started_ns = ambient.monotonic_ns()
    before, link.heard = link.heard, call.outcome
    try:
        with beneath():
            return await run()
    except Exception as error:
        link.heard = before
        session.read("asyncpg", key_of(query), lambda: None)
        await cross_failed(boundary, session, call, error)
        raise
    finally:
        link.heard = before


def wrap_query(boundary: Boundary[Outcome], original: _Method) -> _Method:
    """A simple query: of its answer the program gets the status."""

    @functools.wraps(original)
    def query(self: Any, query: str, timeout: Any) -> Awaitable[Any]:
        session = crossing()
        if session is None:
            return original(self, query, timeout)

        def run(timeout: Any = timeout) -> Awaitable[Any]:
            return original(self, query, timeout)

        return _query(boundary, session, self, query, run)

    return query


async def _query(boundary: Boundary[Outcome], session: Any, protocol: Any, query: str, run: Run) -> Any:
    link = link_of(protocol)
    link.enter(session, protocol)
    if link.resets(query):
        return await aside(session, link, run, said("C", b"RESET\0") + link.ready())

    def otherwise() -> Outcome:
        told = locally(query, link.status)
        assert told is not None
        return Outcome.local(said("C", told[0].encode() + b"\0"), said("Z", told[1].encode()))

    request = moved(link, query) or functools.partial(form, link.database, query, None, STATUS_ONLY)
    call = Asked(request, otherwise if locally(query, link.status) else None)
    return await cross(boundary, session, link, call, run)


def wrap_bind_execute(boundary: Boundary[Outcome], original: _Method) -> _Method:
    """Bind and Execute; with a portal's name the first rows of a cursor."""

    @functools.wraps(original)
    def bind_execute(  # noqa: PLR0917 - its signature
        self: Any,
        state: Any,
        args: Any,
        portal_name: str,
        limit: int,
        return_extra: bool,  # noqa: FBT001
        timeout: Any,
    ) -> Awaitable[Any]:
        session = crossing()
        if session is None:
            return original(self, state, args, portal_name, limit, return_extra, timeout)

        def run(timeout: Any = timeout) -> Awaitable[Any]:
            return original(self, state, args, portal_name, limit, return_extra, timeout)

        link = link_of(self)
        link.enter(session, self)
        arguments = frozen(args)
        gives = "" if not limit else "1 row" if limit == 1 else f"{limit} rows"
        if portal_name:
            link.portal(portal_name, state.query, arguments).taken = limit
            gives = f"cursor, {gives}"
        call = Asked(
            functools.partial(form, link.database, state.query, arguments, gives),
            outcome=Outcome(link.describe(session, state)),
        )
        return cross(boundary, session, link, call, run)

    return bind_execute


def wrap_bind_execute_many(boundary: Boundary[Outcome], original: _Method) -> _Method:
    """Bind and Execute for each of many arguments."""

    @functools.wraps(original)
    def bind_execute_many(
        self: Any, state: Any, args: Any, portal_name: str, timeout: Any, *more: Any, **named: Any
    ) -> Awaitable[Any]:
        session = crossing()
        if session is None:
            return original(self, state, args, portal_name, timeout, *more, **named)
        rows = Rows(args)

        def run(timeout: Any = timeout) -> Awaitable[Any]:
            return original(self, state, rows, portal_name, timeout, *more, **named)

        link = link_of(self)
        link.enter(session, self)
        gives = "" if any((*more, *named.values())) else STATUS_ONLY
        call = Asked(
            functools.partial(form, link.database, state.query, rows, gives),
            outcome=Outcome(link.describe(session, state)),
        )
        return cross(boundary, session, link, call, run)

    return bind_execute_many


def wrap_close_statement(original: _Method) -> _Method:
    """The library's own affair, at a time that its caches choose."""

    @functools.wraps(original)
    def close_statement(self: Any, state: Any, timeout: Any) -> Awaitable[Any]:
        session, link = crossing(), link_of(self)
        link.forget(state)
        if session is None:
            return original(self, state, timeout)
        return aside(session, link, lambda: original(self, state, timeout), said("3") + link.ready())

    return close_statement
