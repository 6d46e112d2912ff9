"""psycopg2: statements, transactions and rows of connections that `psycopg2.connect` opens, by subclassing C's classes.

Rows are recorded below the app's cursor classes, as its typecasters made them. At replay no libpq connection exists: an
object of C's connection class stands in that was never initialised. Factories that aren't classes bypass the seams.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.psycopg2_classes.by_hand import asked_anew, inserted_there, projected, written
from pytest_fluxrun.boundaries.psycopg2_classes.connection import SeamedConnection, seamed
from pytest_fluxrun.boundaries.psycopg2_classes.errors import (
    dump_database_error,
    load_database_error,
    played_property,
)
from pytest_fluxrun.boundaries.psycopg2_classes.noting import wrap_new_type
from pytest_fluxrun.boundaries.psycopg2_classes.outcome import Outcome
from pytest_fluxrun.boundaries.psycopg2_classes.quoting import (
    ADAPTERS,
    PlayedBinary,
    PlayedString,
    wrap_adapter,
    wrap_quote_ident,
    wrap_register_type,
)
from pytest_fluxrun.boundary import Boundary, Call, Patch, Picks, Request, Uncovered
from pytest_fluxrun.kinds.sql import SQL, sketched
from pytest_fluxrun.values import Value

__all__ = ["Psycopg2Boundary", "boundary"]


class _Asynchronous(Uncovered):
    """Connections that the app polls itself."""

    name: ClassVar[str] = "psycopg2 with async_=True"
    modules = ()
    instead: ClassVar[str] = "use a connection without async_, or psycopg 3"

    def patches(self, module: Any) -> Iterable[Patch]:
        """None: the connection says it."""
        del module
        return ()


class Psycopg2Boundary(Boundary[Outcome]):
    """Connections of psycopg2."""

    name: ClassVar[str] = "psycopg2"
    modules = ("psycopg2",)
    distribution: ClassVar[str] = "psycopg2-binary"
    tested: ClassVar[tuple[str, str]] = ("2.9.5", "2.9.13")
    kind = SQL
    asynchronous: ClassVar[Uncovered] = _Asynchronous()

    def patches(self, module: Any) -> Iterable[Patch]:
        """The one function that opens connections, and what makes typecasters in Python."""
        SeamedConnection._fx_boundary = self  # noqa: SLF001 - of the seam
        yield Patch(module, "_connect", _wrap_connect)
        for name in ("extensions", "_json", "_range"):
            if hasattr(owner := getattr(module, name, None), "new_type"):
                yield Patch(owner, "new_type", wrap_new_type)

    def replay_patches(self, module: Any) -> Iterable[Patch]:
        """What quotes and registers in C through a libpq connection; the fields of errors."""
        from psycopg2 import _ipaddress, _json, _range, extensions, extras  # type: ignore[import-untyped]

        for name in ADAPTERS.names():
            yield Patch(ADAPTERS, name, wrap_adapter)
        yield Patch(extensions, "quote_ident", wrap_quote_ident)
        yield Patch(extras, "quote_ident", wrap_quote_ident)
        for owner in (extensions, _json, _range, _ipaddress):
            if hasattr(owner, "register_type"):
                yield Patch(owner, "register_type", wrap_register_type)
        for owner in (extensions, _json):
            yield Patch(owner, "QuotedString", lambda _: PlayedString)
        for owner in (extensions, module):
            yield Patch(owner, "Binary", lambda _: PlayedBinary)
        yield Patch(module.DatabaseError, "diag", functools.partial(played_property, "_fx_diag"))

    def dump(self, result: Outcome) -> Value:
        """See `Outcome.dump`."""
        return result.dump()

    def load(self, value: Value, call: Call) -> Outcome:
        """See `Outcome.load`."""
        del call
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

    def dump_error(self, error: BaseException) -> Value:
        """The error with its diagnostics."""
        return dump_database_error(error)

    def load_error(self, value: Value, call: Call) -> BaseException:
        """The error with its diagnostics."""
        del call
        return load_database_error(value)


boundary = Psycopg2Boundary()


def _wrap_connect(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _connect(dsn: str, connection_factory: Any = None, **kwargs: Any) -> Any:
        return original(dsn, connection_factory=seamed(connection_factory, SeamedConnection), **kwargs)

    return _connect
