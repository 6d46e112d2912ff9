"""asyncpg: what the server says to each call of the C protocol, recorded as messages and played to it again.

At replay no socket is opened: codecs, Records, statement caches, pools and errors are asyncpg's own, over a transport
that plays. Statements are matched by text and arguments; preparing them isn't a call, what it tells is carried by the
run. What only concerns a connection crosses nowhere: closing statements and portals, resetting what goes to a pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.asyncpg_wire import (
    connecting,
    copying,
    hearing,
    introspection,
    portals,
    statement_calls,
)
from pytest_fluxrun.boundaries.asyncpg_wire.asked import Asked, said_before
from pytest_fluxrun.boundaries.asyncpg_wire.by_hand import asked_anew, inserted_there, projected, spoken, written
from pytest_fluxrun.boundaries.asyncpg_wire.outcome import Outcome
from pytest_fluxrun.boundary import Boundary, Call, Patch, Picks, Request
from pytest_fluxrun.kinds.sql import SQL, sketched
from pytest_fluxrun.values import Value

__all__ = ["AsyncpgBoundary", "boundary"]


class AsyncpgBoundary(Boundary[Outcome]):
    """Connections of asyncpg."""

    name: ClassVar[str] = "asyncpg"
    modules = ("asyncpg",)
    distribution: ClassVar[str] = "asyncpg"
    tested: ClassVar[tuple[str, str]] = ("0.29.0", "0.32.0")
    kind = SQL

    def patches(self, module: Any) -> Iterable[Patch]:
        """The protocol's calls and what it hears; connecting, preparing, introspecting and listening above it."""
        protocol, connection, utils = module.protocol.Protocol, module.connection.Connection, module.connect_utils
        yield Patch(utils, "_connect_addr", partial(connecting.wrap_connect, self))
        yield Patch(utils, "_cancel", connecting.wrap_cancel)
        yield Patch(protocol, "set_connection", connecting.wrap_set_connection)
        yield Patch(protocol, "data_received", partial(hearing.wrap_data_received, self))
        yield Patch(protocol, "connection_lost", hearing.wrap_connection_lost)
        yield Patch(protocol, "prepare", partial(statement_calls.wrap_prepare, self))
        yield Patch(protocol, "query", partial(statement_calls.wrap_query, self))
        yield Patch(protocol, "bind_execute", partial(statement_calls.wrap_bind_execute, self))
        yield Patch(protocol, "bind_execute_many", partial(statement_calls.wrap_bind_execute_many, self))
        yield Patch(protocol, "close_statement", statement_calls.wrap_close_statement)
        yield Patch(protocol, "bind", partial(portals.wrap_bind, self))
        yield Patch(protocol, "execute", partial(portals.wrap_execute, self))
        if hasattr(protocol, "close_portal"):
            yield Patch(protocol, "close_portal", portals.wrap_close_portal)
        yield Patch(protocol, "copy_in", partial(copying.wrap_copy_in, self))
        yield Patch(protocol, "copy_out", partial(copying.wrap_copy_out, self))
        yield Patch(connection, "_get_statement", introspection.wrap_get_statement)
        yield Patch(connection, "_introspect_type", introspection.wrap_introspect_type)
        yield Patch(connection, "_introspect_types", introspection.wrap_introspect_types)
        yield Patch(connection, "add_listener", partial(hearing.wrap_add_listener, self))
        yield Patch(connection, "add_log_listener", hearing.wrap_add_log_listener)

    def replay_patches(self, module: Any) -> Iterable[Patch]:
        """Live connections get a transport that can play: what is replayed on one of them isn't sent."""
        yield Patch(module.protocol.Protocol, "connection_made", connecting.wrap_connection_made)

    def dump(self, result: Outcome) -> Value:
        """See `Outcome.dump`."""
        return result.dump()

    def load(self, value: Value, call: Call) -> Outcome:
        """See `Outcome.load`; what a person or another server said is made into messages for this call."""
        if isinstance(call, Asked) and (said := spoken(value, call)) is not None:
            return said
        return Outcome.load(value)

    def project(self, value: Value, picks: Picks) -> Value:
        """See `by_hand.projected`."""
        return projected(value, picks)

    def ask(self, request: Request, environment: Mapping[str, Any]) -> Value:
        """See `by_hand.asked_anew`."""
        return asked_anew(request, environment)

    def answer(self, request: Request, reply: Mapping[str, Any]) -> Value:
        """See `by_hand.written`."""
        return written(request, reply)

    def sketch(self, request: Request, number: int) -> Mapping[str, Any] | None:
        """See `kinds.sql.sketched`."""
        return sketched(request, number)

    def sketch_there(self, request: Request, number: int, environment: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What an INSERT would give back there; see `kinds.insertions.inserted`."""
        return inserted_there(request, number, environment) if "postgres" in environment else None

    def weigh(self, result: Outcome) -> int:
        """See `Outcome.weigh`."""
        return result.weigh()

    def dump_error(self, error: BaseException) -> Value:
        """The error, and what the server had said."""
        dumped = super().dump_error(error)
        outcome = said_before(error)
        if outcome is not None and (outcome.received or outcome.lost is not False):
            dumped["said"] = outcome.dump()
        return {**dumped, "timed_out": True} if isinstance(error, TimeoutError) else dumped

    def load_error(self, value: Value, call: Call) -> BaseException:
        """The error; what the server had said goes to the call, and makes asyncpg raise its own."""
        if isinstance(call, Asked):
            if value.get("timed_out"):
                call.failed = Outcome.silent()
            elif "said" in value:
                call.failed = Outcome.load(value["said"])
        return super().load_error(value, call)


boundary = AsyncpgBoundary()
