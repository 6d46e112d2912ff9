"""What asyncpg asks of a server's types: kept with the run that needs it, whenever and wherever it was asked."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, Final

from pytest_fluxrun.boundaries.asyncpg_wire.description import type_rows
from pytest_fluxrun.boundaries.asyncpg_wire.link import link_of
from pytest_fluxrun.context import beneath, crossing

__all__ = ["wrap_get_statement", "wrap_introspect_type", "wrap_introspect_types"]

_NAMED: Final = SimpleNamespace(name="introspection")
"""Stands for the statement that introspected types: it has not displaced the unnamed one."""


def wrap_get_statement(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A statement that is only looked at, or only prepared, is kept with the run as those that are executed."""

    @functools.wraps(original)
    async def _get_statement(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = await original(self, *args, **kwargs)
        session = crossing()
        if session is not None:
            link = link_of(self._protocol)
            link.enter(session, self._protocol)
            link.describe(session, state)
        return state

    return _get_statement


def wrap_introspect_types(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """What types are like that aren't built in."""

    @functools.wraps(original)
    async def _introspect_types(self: Any, typeoids: Iterable[int], timeout: Any) -> Any:  # noqa: ASYNC109
        session, link = crossing(), link_of(self._protocol)
        oids = sorted(typeoids)
        key = f"types {' '.join(map(str, oids))}"
        if session is not None and session.answers:
            if not all(oid in link.types for oid in oids):
                link.know_types(session.read("asyncpg", key, list))
            if all(oid in link.types for oid in oids):
                return list(type_rows(oids, link.types)), _NAMED
            return await original(self, typeoids, timeout)
        with beneath():
            types, statement = await original(self, typeoids, timeout)
        rows = [dict(row) for row in types]
        link.know_types(rows)
        if session is not None:
            session.read("asyncpg", key, lambda: rows)
        return types, statement

    return _introspect_types


def wrap_introspect_type(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Which type has a name, asked where a codec is set for it."""

    @functools.wraps(original)
    async def _introspect_type(self: Any, typename: str, schema: str) -> Any:
        session, link = crossing(), link_of(self._protocol)
        name = f"{schema}.{typename}"
        if session is not None and session.answers:
            found = session.read("asyncpg", f"type {name}", lambda: link.names.get(name))
            if found is not None:
                link.know_types(found.get("types", ()))
                if "oid" not in found:
                    raise ValueError(f"unknown type: {name}")
                return found
        kept: dict[str, Any] = {}
        with nullcontext() if session is not None and session.answers else beneath():
            try:
                row = await original(self, typename, schema)
                kept = {"oid": row["oid"], "elemtype": row["elemtype"], "kind": row["kind"]}
            finally:
                if session is not None and not session.answers:
                    session.read("asyncpg", f"type {name}", lambda: kept)
        link.names[name] = kept
        return row

    return _introspect_type
