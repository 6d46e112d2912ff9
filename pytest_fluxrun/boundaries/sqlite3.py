"""sqlite3: statements, transactions and rows of connections that `sqlite3.connect` opens, by subclassing its classes.

Rows are recorded below `row_factory`, as converters and `text_factory` made them. At replay no file is opened: a
private `:memory:` connection stands in; cursors give the recorded rows with the real C `description` and row factories.
A cursor factory that isn't a class, and `sqlite3.Cursor(connection)`, bypass the seam.
"""

# ruff: noqa: SLF001 - the seams' own attributes bear the prefix _fx on classes that the app may subclass
from __future__ import annotations

import functools
import sqlite3
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Literal, Self

from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.sqlite.asking import asked_anew
from pytest_fluxrun.boundaries.sqlite.local import locally
from pytest_fluxrun.boundaries.sqlite.outcome import Outcome
from pytest_fluxrun.boundaries.sqlite.statements import (
    Rows,
    database_name,
    describing,
    form,
    frozen,
    is_local,
    is_query,
    writes_literals,
)
from pytest_fluxrun.boundary import Boundary, Call, Patch, Picks, Request
from pytest_fluxrun.context import beneath, crossing, current_lane, open_lane
from pytest_fluxrun.kinds.sql import SQL
from pytest_fluxrun.values import Value, load_error, snapshot

__all__ = ["Sqlite3Boundary", "boundary"]

_IN_TRANSACTION: Final = vars(sqlite3.Connection)["in_transaction"].__get__
_TOTAL_CHANGES: Final = vars(sqlite3.Connection)["total_changes"].__get__
_ISOLATION_LEVEL: Final = vars(sqlite3.Connection)["isolation_level"]
_AUTOCOMMIT: Final[Any] = vars(sqlite3.Connection).get("autocommit")
_DESCRIPTION: Final = vars(sqlite3.Cursor)["description"].__get__
_ROWCOUNT: Final = vars(sqlite3.Cursor)["rowcount"].__get__
_LASTROWID: Final = vars(sqlite3.Cursor)["lastrowid"].__get__


@dataclass(slots=True, eq=False)
class _SqlCall(Call):
    """A statement; after a recorded error also the transaction state in which the error left the connection."""

    in_transaction: bool | None = None
    connects: bool = False


@dataclass(frozen=True, slots=True)
class _Served:
    """A connection's state inside one replay, in place of the private connection's own."""

    session: weakref.ref[Any]
    in_transaction: bool
    total_changes: int


class _Cursor(sqlite3.Cursor):
    """A cursor whose statements cross the boundary inside a run, and are the library's own outside of every run."""

    _fx_outcome: Outcome | None = None
    _fx_asked: Call | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        session = crossing()
        if session is None:
            self._fx_outcome = None
            return super().execute(sql, parameters)
        return self._fx_cross(session, sql, frozen(parameters), functools.partial(super().execute, sql, parameters))

    def executemany(self, sql: str, seq_of_parameters: Any, /) -> Self:
        session = crossing()
        if session is None:
            self._fx_outcome = None
            return super().executemany(sql, seq_of_parameters)
        rows = Rows(seq_of_parameters)
        return self._fx_cross(session, sql, rows, functools.partial(super().executemany, sql, rows))

    def executescript(self, sql_script: str, /) -> Self:
        session = crossing()
        if session is None:
            self._fx_outcome = None
            super().executescript(sql_script)
            return self
        return self._fx_cross(session, sql_script, None, functools.partial(super().executescript, sql_script))

    def _fx_cross(self, session: Any, sql: str, binds: Any, run: Callable[[], Any]) -> Self:
        connection: Any = self.connection
        self._fx_outcome = None
        if writes_literals(sql):
            return self._fx_spell(session, connection, sql, binds, run)
        otherwise = functools.partial(locally, connection, sql) if is_local(sql) else None
        asked = functools.partial(form, connection._fx_database, sql, binds, detect_types=connection._fx_detects)
        call = self._fx_asked = _SqlCall(asked, otherwise)
        outcome = connection._fx_cross(session, call, functools.partial(_run, connection, self, run))
        if outcome.played:
            super().execute(describing(outcome.columns))
        self._fx_outcome = outcome
        return self

    def _fx_spell(self, session: Any, connection: Any, sql: str, binds: Any, run: Callable[[], Any]) -> Self:
        """Binds as literals: asked of the library itself, and recorded nowhere."""
        if session.answers:
            with beneath():
                self._fx_outcome = locally(connection, sql, binds)
            super().execute(describing(self._fx_outcome.columns))
        else:
            run()
        return self

    def fetchone(self) -> Any:
        if self._fx_outcome is None:
            return super().fetchone()
        rows = self._fx_fetch(self._fx_outcome, 1)
        return rows[0] if rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        count = self.arraysize if size is None else size
        return super().fetchmany(count) if self._fx_outcome is None else self._fx_fetch(self._fx_outcome, count)

    def fetchall(self) -> list[Any]:
        return super().fetchall() if self._fx_outcome is None else self._fx_fetch(self._fx_outcome, 0)

    def __next__(self) -> Any:
        if self._fx_outcome is None:
            return super().__next__()
        rows = self._fx_fetch(self._fx_outcome, 1)
        if not rows:
            raise StopIteration
        return rows[0]

    def _fx_fetch(self, outcome: Outcome, count: int) -> list[Any]:
        """At most `count` rows, all for 0: served, or fetched live and kept."""
        if outcome.played:
            return self._fx_serve(outcome, count)
        if open_lane() is None:  # the run is over: nothing is kept any more
            return self._fx_fetch_live(count)
        factory = self.row_factory
        tapped: list[Any] = []
        if factory is not None and factory is not sqlite3.Row:
            self.row_factory = functools.partial(_tap, tapped, factory)
        try:
            rows = self._fx_fetch_live(count)
        except Exception as error:
            outcome.failure = error
            raise
        finally:
            if self.row_factory is not factory:
                self.row_factory = factory
                outcome.add(tapped)
        if factory is None or factory is sqlite3.Row:
            outcome.add(rows if not outcome.mutable else snapshot(rows))
        if not count or len(rows) < count:
            outcome.ended, outcome.rowcount_end = True, _ROWCOUNT(self)
        return rows

    def _fx_fetch_live(self, count: int) -> list[Any]:
        return super().fetchmany(count) if count else super().fetchall()

    def _fx_serve(self, outcome: Outcome, count: int) -> list[Any]:
        super().fetchone()  # the library's own checks: closed, another thread's
        start = outcome.next_row
        rows = outcome.rows[start : start + count] if count > 0 else outcome.rows[start:]
        outcome.next_row = start + len(rows)
        if count <= 0 or len(rows) < count:
            if outcome.failure is not None:
                raise load_error(outcome.failure)
            if not outcome.ended and outcome.columns is not None:
                self._fx_read_on(outcome)
            outcome.rowcount = outcome.rowcount_end
        factory = self.row_factory
        return rows if factory is None else [factory(self, row) for row in rows]

    def _fx_read_on(self, outcome: Outcome) -> None:
        assert self._fx_asked is not None
        ReadingOn(boundary, crossing(), self._fx_asked.form, of="row").refuse(len(outcome.rows))

    @property
    def description(self) -> Any:
        outcome = self._fx_outcome
        return None if outcome is not None and outcome.played and outcome.columns is None else _DESCRIPTION(self)

    @property
    def rowcount(self) -> int:
        outcome = self._fx_outcome
        return outcome.rowcount if outcome is not None and outcome.played else int(_ROWCOUNT(self))

    @property
    def lastrowid(self) -> Any:
        outcome = self._fx_outcome
        return outcome.lastrowid if outcome is not None and outcome.played else _LASTROWID(self)


class _Connection(sqlite3.Connection):
    """A connection whose cursors and transactions cross the boundary inside a run."""

    _fx_database = ""
    _fx_detects = 0
    _fx_served: _Served | None = None
    _fx_local: sqlite3.Connection | None = None

    def _fx_cross(self, session: Any, call: _SqlCall, live: Callable[[], Outcome]) -> Outcome:
        try:
            outcome: Outcome = session.call(boundary, call, live)
        except sqlite3.Error:
            if call.in_transaction is not None:
                self._fx_served = _Served(weakref.ref(session), call.in_transaction, self.total_changes)
            raise
        if outcome.played and (self._fx_state() is None or not is_query(call.form()["sql"])):
            self._fx_served = _Served(weakref.ref(session), outcome.in_transaction, outcome.total_changes)
        return outcome

    def _fx_state(self) -> _Served | None:
        served, lane = self._fx_served, current_lane()
        return None if served is None or lane is None or served.session() is not lane.session else served

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        return super().cursor(_cursor_class(factory) if isinstance(factory, type) else factory)

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        return super().cursor(_Cursor).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> Any:
        return super().cursor(_Cursor).executemany(sql, parameters)

    def executescript(self, sql_script: str, /) -> Any:
        return super().cursor(_Cursor).executescript(sql_script)

    def commit(self) -> None:
        self._fx_end_transaction("COMMIT", super().commit)

    def rollback(self) -> None:
        self._fx_end_transaction("ROLLBACK", super().rollback)

    def _fx_end_transaction(self, sql: str, run: Callable[[], None]) -> None:
        """Nothing crosses where no transaction is open; inside a replay the private connection's own never matters."""
        session = crossing()
        if session is None or not self.in_transaction or getattr(self, "autocommit", None) is True:
            if self._fx_state() is None:
                run()
            return
        call = _SqlCall(functools.partial(form, self._fx_database, sql, None), functools.partial(locally, self, sql))
        self._fx_cross(session, call, functools.partial(_run, self, None, run))

    def __exit__(self, error_type: object, error: object, traceback: object, /) -> Literal[False]:
        if error_type is not None:
            self.rollback()
            return False
        try:
            self.commit()
        except BaseException:
            self.rollback()
            raise
        return False

    @property
    def in_transaction(self) -> bool:
        state = self._fx_state()
        return bool(_IN_TRANSACTION(self)) if state is None else state.in_transaction

    @property
    def total_changes(self) -> int:
        state = self._fx_state()
        return int(_TOTAL_CHANGES(self)) if state is None else state.total_changes

    @property
    def isolation_level(self) -> Any:
        return _ISOLATION_LEVEL.__get__(self)

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        if level is None and crossing() is not None:  # the library commits here without calling commit()
            self.commit()
        _ISOLATION_LEVEL.__set__(self, level)

    if sys.version_info >= (3, 12):

        @property
        def autocommit(self) -> Any:
            return _AUTOCOMMIT.__get__(self)

        @autocommit.setter
        def autocommit(self, value: Any) -> None:
            if value is True and crossing() is not None:  # the library commits here without calling commit()
                self.commit()
            _AUTOCOMMIT.__set__(self, value)
            state = self._fx_state()
            if state is not None and isinstance(value, bool):
                self._fx_served = replace(state, in_transaction=not value)

    def close(self) -> None:
        local, self._fx_local = self._fx_local, None
        if local is not None:
            local.close()
        super().close()

    def backup(self, *args: Any, **kwargs: Any) -> None:
        self._fx_refused("backup", functools.partial(super().backup, *args, **kwargs))

    def blobopen(self, *args: Any, **kwargs: Any) -> Any:
        return self._fx_refused("blobopen", functools.partial(super().blobopen, *args, **kwargs))

    def serialize(self, *args: Any, **kwargs: Any) -> Any:
        return self._fx_refused("serialize", functools.partial(super().serialize, *args, **kwargs))

    def deserialize(self, *args: Any, **kwargs: Any) -> None:
        self._fx_refused("deserialize", functools.partial(super().deserialize, *args, **kwargs))

    def _fx_refused(self, name: str, run: Callable[[], Any]) -> Any:
        """What can't be given back: made live and recorded as such, so that a replay refuses it by name."""
        session = crossing()
        if session is None:
            return run()
        results: list[Any] = []

        def live() -> Outcome:
            results.append(run())
            outcome = Outcome()
            outcome.refused = name
            return outcome

        session.call(
            boundary, Call(functools.partial(form, self._fx_database, f"{name.upper()} BY CONNECTION", None)), live
        )
        return results[0]


class Sqlite3Boundary(Boundary[Outcome]):
    """Connections of the standard library's sqlite3."""

    name: ClassVar[str] = "sqlite3"
    modules = ("sqlite3",)
    kind = SQL

    def patches(self, module: Any) -> Iterable[Patch]:
        """`connect` under both of its names. Copies of the function taken before aren't seen."""
        yield Patch(module, "connect", self._wrap_connect)
        yield Patch(module.dbapi2, "connect", self._wrap_connect)

    def dump(self, result: Outcome) -> Value:
        """See `Outcome.dump`."""
        return result.dump()

    def load(self, value: Value, call: Call) -> Outcome:
        """The outcome to serve; for a CONNECT the private connection is opened as well."""
        if isinstance(call, _SqlCall) and call.connects and call.otherwise is not None:
            call.otherwise()
        return Outcome.load(value)

    def project(self, value: Value, picks: Picks) -> Value:
        """See `Outcome.project`."""
        return Outcome.project(value, picks)

    def ask(self, request: Request, environment: Mapping[str, Any]) -> Value:
        """See `asking.asked_anew`."""
        return asked_anew(request, environment).dump()

    def answer(self, request: Request, reply: Mapping[str, Any]) -> Value:
        """See `Outcome.written`."""
        return Outcome.written(request, reply).dump()

    def sketch(self, request: Request, number: int) -> Mapping[str, Any] | None:
        """See `Outcome.sketched`."""
        return Outcome.sketched(request, number)

    def dump_error(self, error: BaseException) -> Value:
        """The error, and whether it left a transaction open."""
        return {**super().dump_error(error), "in_transaction": _after_error.get(error)}

    def load_error(self, value: Value, call: Call) -> BaseException:
        """The error; the transaction's state goes to the call."""
        if isinstance(call, _SqlCall):
            call.in_transaction = value.get("in_transaction")
        return load_error(value)

    def _wrap_connect(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def connect(database: Any, *args: Any, **kwargs: Any) -> Any:
            detects = args[1] if len(args) > 1 else kwargs.get("detect_types", 0)
            if len(args) > _FACTORY_POSITION:
                args = (
                    *args[:_FACTORY_POSITION],
                    _connection_class(args[_FACTORY_POSITION]),
                    *args[_FACTORY_POSITION + 1 :],
                )
            else:
                kwargs["factory"] = _connection_class(kwargs.get("factory", sqlite3.Connection))
            name = database_name(database)
            session = crossing()
            if session is None:
                return _named(original(database, *args, **kwargs), name, detects=detects)
            opened: list[Any] = []

            def live() -> Outcome:
                opened.append(_named(original(database, *args, **kwargs), name, detects=detects))
                return Outcome(in_transaction=bool(_IN_TRANSACTION(opened[0])))

            def otherwise() -> Outcome:
                opened.append(_named(_open_private(original, args, kwargs), name, detects=detects))
                outcome = Outcome(in_transaction=bool(_IN_TRANSACTION(opened[0])))
                outcome.played = True
                return outcome

            session.call(self, _SqlCall(functools.partial(form, name, "CONNECT", None), otherwise, connects=True), live)
            return opened[0]

        return connect


boundary = Sqlite3Boundary()


_FACTORY_POSITION: Final = (
    4  # connect(database, timeout, detect_types, isolation_level, check_same_thread, factory, ...)
)
_URI_POSITION: Final = 6


@functools.lru_cache(maxsize=256)
def _connection_class(factory: Any) -> Any:
    """A class with the factory's behaviour on top of the seams; what isn't a class stays as it is."""
    return _seamed(factory, sqlite3.Connection, _Connection)


@functools.lru_cache(maxsize=256)
def _cursor_class(factory: Any) -> Any:
    return _seamed(factory, sqlite3.Cursor, _Cursor)


def _seamed(factory: Any, base: type, seams: type) -> Any:
    if factory is base:
        return seams
    if not isinstance(factory, type) or not issubclass(factory, base) or issubclass(factory, seams):
        return factory
    names = {"__module__": factory.__module__, "__qualname__": factory.__qualname__, "__doc__": factory.__doc__}
    return type(factory.__name__, (factory, seams), names)


def _open_private(original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A `:memory:` connection with the same settings: at replay no file is opened or created."""
    if len(args) > _URI_POSITION - 1:
        args = (*args[: _URI_POSITION - 1], False, *args[_URI_POSITION:])
    else:
        kwargs = {**kwargs, "uri": False}
    return original(":memory:", *args, **kwargs)


def _named(connection: Any, name: str, *, detects: int) -> Any:
    if isinstance(connection, _Connection):
        connection._fx_database, connection._fx_detects = name, detects
    return connection


def _tap(tapped: list[Any], factory: Callable[[Any, Any], Any], cursor: Any, row: Any) -> Any:
    tapped.append(snapshot(row))
    return factory(cursor, row)


def _run(connection: Any, cursor: Any, run: Callable[[], Any]) -> Outcome:
    """Run live, and take what the library says afterwards."""
    try:
        run()
    except sqlite3.Error as error:
        _after_error[error] = bool(_IN_TRANSACTION(connection))
        raise
    outcome = Outcome(in_transaction=_IN_TRANSACTION(connection), total_changes=_TOTAL_CHANGES(connection))
    if cursor is not None:
        description = _DESCRIPTION(cursor)
        if description is not None:
            outcome.columns = tuple([column[0] for column in description])
            outcome.mutable = bool(connection._fx_detects) or connection.text_factory is not str
        outcome.rowcount = outcome.rowcount_end = _ROWCOUNT(cursor)
        outcome.lastrowid = _LASTROWID(cursor)
    return outcome


_after_error: weakref.WeakKeyDictionary[BaseException, bool] = weakref.WeakKeyDictionary()


for _cls, _stock in ((_Connection, sqlite3.Connection), (_Cursor, sqlite3.Cursor)):
    _cls.__name__, _cls.__qualname__, _cls.__module__ = _stock.__name__, _stock.__qualname__, _stock.__module__
