"""Connections of asyncpg: opened live, or to nothing where a run is replayed; and their requests to cancel."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from pytest_fluxrun.boundaries.asyncpg_wire.asked import Asked
from pytest_fluxrun.boundaries.asyncpg_wire.description import packed, unpacked
from pytest_fluxrun.boundaries.asyncpg_wire.link import DEFAULT_FACTS, hello, link_of
from pytest_fluxrun.boundaries.asyncpg_wire.outcome import Outcome, error_said
from pytest_fluxrun.boundaries.asyncpg_wire.statements import form
from pytest_fluxrun.boundaries.asyncpg_wire.transport import PlayedTransport, wire_of
from pytest_fluxrun.boundary import Boundary
from pytest_fluxrun.context import crossing

__all__ = ["wrap_cancel", "wrap_connect", "wrap_connection_made", "wrap_set_connection"]


def wrap_connect(boundary: Boundary[Outcome], original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """`_connect_addr`: one address, with all the attempts that its TLS mode makes."""

    @functools.wraps(original)
    async def _connect_addr(**kwargs: Any) -> Any:
        session = crossing()
        if session is None:
            return await original(**kwargs)
        opened: list[Any] = []

        async def live() -> Outcome:
            opened.append(await original(**kwargs))
            return Outcome()

        request = functools.partial(form, str(kwargs["params"].database or ""), "CONNECT", None)
        await session.acall(boundary, Asked(request, Outcome.local), live)
        if not opened:
            return await _open_played(session, **kwargs)
        link_of(opened[0]._protocol).enter(session, opened[0]._protocol)  # noqa: SLF001
        return opened[0]

    return _connect_addr


async def _open_played(
    session: Any, *, addr: Any, loop: Any, params: Any, config: Any, connection_class: Any, record_class: Any
) -> Any:
    """A connection to nothing, with the real protocol."""
    from asyncpg import protocol as module  # type: ignore[import-untyped]

    facts = unpacked(session.read("asyncpg", "connection", lambda: packed(DEFAULT_FACTS)))
    connected = loop.create_future()
    protocol = module.Protocol(addr, connected, params, record_class, loop)
    link = link_of(protocol)
    link.wire = wire = PlayedTransport(protocol)
    link.entered(session, facts)
    protocol.connection_made(wire)
    wire.hear(hello(facts))
    await connected
    connection = connection_class(protocol, wire, loop, addr, config, params)
    protocol.set_connection(connection)
    return connection


def wrap_set_connection(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Where a protocol learns which connection is on top of it."""

    @functools.wraps(original)
    def set_connection(self: Any, connection: Any) -> None:
        link_of(self).connection = weakref.ref(connection)
        original(self, connection)

    return set_connection


def wrap_connection_made(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Where a protocol gets its transport, in a process that replays."""

    @functools.wraps(original)
    def connection_made(self: Any, transport: Any) -> None:
        if not isinstance(transport, PlayedTransport):
            link_of(self).wire = transport = PlayedTransport(self, transport)
        original(self, transport)

    return connection_made


def wrap_cancel(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """A request to cancel what another connection does; the server then says there that it was cancelled."""

    @functools.wraps(original)
    async def _cancel(**kwargs: Any) -> None:
        wire = wire_of(kwargs["backend_pid"], kwargs["backend_secret"])
        if wire is None or wire.is_live():
            await original(**kwargs)
            return
        link = link_of(wire.protocol)
        link.spoil()
        wire.hear(error_said("57014", "canceling statement due to user request") + link.ready())

    return _cancel
