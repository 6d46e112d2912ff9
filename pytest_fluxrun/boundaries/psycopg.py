"""psycopg 3: statements of its connections, sync and async, at the level of libpq's results.

Recording keeps each PGresult by reference. At replay a played connection stands beneath psycopg's own Python layer, so
that loaders, dumpers, row factories and whatever the app registered run for real; where psycopg has them in C, their
Python twins take their place, for played connections only. What is called on `pgconn` itself isn't seen.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.libpq import messages, twins
from pytest_fluxrun.boundaries.libpq.answer import Answer, Failed
from pytest_fluxrun.boundaries.libpq.by_hand import asked_anew, inserted_there, projected, written
from pytest_fluxrun.boundaries.libpq.connecting import Connecting
from pytest_fluxrun.boundaries.libpq.exchanging import Exchanges
from pytest_fluxrun.boundaries.libpq.many import Many
from pytest_fluxrun.boundaries.libpq.pgconn import played_cursor_pgconn, played_pgconn
from pytest_fluxrun.boundaries.libpq.pipelining import Pipelining
from pytest_fluxrun.boundaries.libpq.reading import Reading
from pytest_fluxrun.boundary import Boundary, Call, Patch, Picks, Request
from pytest_fluxrun.kinds.sql import SQL, sketched
from pytest_fluxrun.values import Value, dump_error

__all__ = ["PsycopgBoundary", "boundary"]

_COPY_FORMATS: Final = ("format_row_text", "format_row_binary", "parse_row_text", "parse_row_binary")


class PsycopgBoundary(Boundary[Answer]):
    """Connections of psycopg 3."""

    name: ClassVar[str] = "psycopg"
    modules = ("psycopg", "django.db.backends.postgresql.psycopg_any")
    kind = SQL
    distribution = "psycopg"
    tested = ("3.2.4", "3.3.9")

    def __init__(self) -> None:
        self._exchanges = Exchanges(self)
        self._connecting = Connecting(self)
        self._reading = Reading(self._exchanges)
        self._pipelining = Pipelining(self._exchanges)
        self._many = Many(self._exchanges)

    def patches(self, module: Any) -> Iterable[Patch]:
        """Where psycopg sends, and where it waits."""
        if module.__name__ != "psycopg":
            return
        yield from self._sending(module)
        yield from self._waiting(module)
        base = vars(sys.modules["psycopg._connection_base"])["BaseConnection"]
        yield Patch(base, "_notice_handler", messages.wrap_notice)
        yield Patch(base, "_notify_handler", messages.wrap_notify)

    def _sending(self, module: Any) -> Iterator[Patch]:
        from psycopg import _connection_base, _cursor_base, client_cursor

        exchanges, cursor = self._exchanges, _cursor_base.BaseCursor
        yield Patch(cursor, "_execute_send", exchanges.wrap_send)
        yield Patch(client_cursor.ClientCursorMixin, "_execute_send", exchanges.wrap_send)
        yield Patch(cursor, "_send_query_prepared", exchanges.wrap_send)
        yield Patch(cursor, "_send_prepare", exchanges.wrap_prepare)
        yield Patch(_connection_base.BaseConnection, "_exec_command", exchanges.wrap_exec_command)
        yield Patch(_mixin(module.ServerCursor, "_describe_gen"), "_describe_gen", exchanges.wrap_describe)
        pipeline = _mixin(module.Pipeline, "_communicate_gen")
        yield Patch(pipeline, "_communicate_gen", self._pipelining.wrap_communicate)
        yield Patch(pipeline, "_process_results", self._pipelining.wrap_process)
        for cursor in (module.Cursor, module.AsyncCursor):
            yield Patch(cursor, "executemany", self._many.wrap_executemany)

    def _waiting(self, module: Any) -> Iterator[Patch]:
        from psycopg import connection, connection_async, generators, waiting

        reading, connecting = self._reading, self._connecting
        loaded = _loaded()
        for name, wrap in (
            ("execute", self._exchanges.wrap_execute),
            ("send", reading.wrap_send),
            ("fetch", reading.wrap_fetch),
            ("fetch_many", self._pipelining.wrap_fetch_many),
            ("pipeline_communicate", self._pipelining.wrap_pipeline_communicate),
            ("copy_from", reading.wrap_copy_from),
            ("copy_to", reading.wrap_copy_to),
            ("copy_end", reading.wrap_copy_end),
            ("notifies", reading.wrap_notifies),
            ("connect", connecting.wrap_connect),
        ):
            for owner in _holders(loaded, generators, name):
                yield Patch(owner, name, wrap)
        for owner in (module.Connection, module.AsyncConnection):
            yield Patch(owner, "wait", connecting.wrap_wait)
            yield Patch(owner, "_try_cancel", reading.wrap_try_cancel)
        for name in ("wait_conn", "wait_conn_async"):
            yield Patch(waiting, name, connecting.wrap_wait_conn)
        for owner, name in ((connection, "conninfo_attempts"), (connection_async, "conninfo_attempts_async")):
            yield Patch(owner, name, connecting.wrap_attempts)

    def replay_patches(self, module: Any) -> Iterable[Patch]:
        """Played connections in the place of what was open before, and Python in the place of C."""
        if module.__name__ != "psycopg":
            if hasattr(module, "orig_tz_loader_cls"):  # Django builds its loader of times on psycopg's own
                yield Patch(module, "orig_tz_loader_cls", twins.chosen)
            return
        from psycopg import _connection_base, _copy_base, _cursor_base, _transformer, pq

        yield Patch(_connection_base.BaseConnection, "pgconn", played_pgconn, added=True)
        yield Patch(_cursor_base.BaseCursor, "_pgconn", played_cursor_pgconn)
        yield Patch(_connection_base.BaseConnection, "cancel", Reading.wrap_cancel)
        for owner in (module.Connection, module.AsyncConnection):
            yield Patch(owner, "cancel_safe", Reading.wrap_cancel)
        loaded = _loaded()
        for owner in _holders(loaded, _transformer, "Transformer"):
            yield Patch(owner, "Transformer", twins.transformers)
        for owner in _holders(loaded, pq, "Escaping"):
            yield Patch(owner, "Escaping", twins.escaping)
        for name in _COPY_FORMATS:
            yield Patch(_copy_base, name, twins.by_transformer(name))

    def dump(self, result: Answer) -> Value:
        """See `Answer.dump`."""
        return result.dump()

    def load(self, value: Value, call: Call) -> Answer:
        """See `Answer.load`."""
        del call
        return Answer.load(value)

    def dump_error(self, error: BaseException) -> Value:
        """The driver's error, for people; and the answer that it is made of."""
        if not isinstance(error, Failed):
            return super().dump_error(error)
        return {**dump_error(error.answer.error()), "answer": error.answer.dump()}

    def load_error(self, value: Value, call: Call) -> BaseException:
        """What makes the driver raise its error."""
        return Failed(Answer.load(value["answer"])) if "answer" in value else super().load_error(value, call)

    def project(self, value: Value, picks: Picks) -> Value:
        """See `by_hand.projected`."""
        return projected(value, picks)

    def ask(self, request: Request, environment: Mapping[str, Any]) -> Value:
        """See `by_hand.asked_anew`."""
        return asked_anew(request, environment).dump()

    def answer(self, request: Request, reply: Mapping[str, Any]) -> Value:
        """See `by_hand.written`."""
        return written(request, reply).dump()

    def sketch(self, request: Request, number: int) -> Mapping[str, Any] | None:
        """See `kinds.sql.sketched`."""
        return sketched(request, number, texts=True)

    def sketch_there(self, request: Request, number: int, environment: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What an INSERT would give back there; see `kinds.insertions.inserted`."""
        return inserted_there(request, number, environment) if "postgres" in environment else None

    def weigh(self, result: Answer) -> int:
        """See `Answer.weigh`."""
        return result.weigh()


def _mixin(cls: type, name: str) -> type:
    """The class of psycopg's that defines a method, wherever the version has it."""
    return next(base for base in cls.__mro__ if name in vars(base))


def _loaded() -> list[Any]:
    """The modules of psycopg that are imported, but for the one that asks for its own class."""
    modules = list(sys.modules.items())
    return [owner for key, owner in modules if key.startswith("psycopg.") and key != "psycopg._py_transformer"]


def _holders(loaded: Iterable[Any], module: Any, name: str) -> Iterator[Any]:
    """The modules that hold a function under its name: each has imported it for itself."""
    held = vars(module)[name]
    original = getattr(held, "__wrapped__", held)
    for owner in loaded:
        found = vars(owner).get(name)
        if found is not None and getattr(found, "__wrapped__", found) is original:
            yield owner


boundary = PsycopgBoundary()
