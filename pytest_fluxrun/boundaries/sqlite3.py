"""sqlite3: statements, transactions and rows of connections that `sqlite3.connect` opens, through subclasses of its classes.

Rows are recorded below `row_factory`, as converters and `text_factory` made them. At replay no file is opened: a private
`:memory:` connection stands in, and cursors give the recorded rows through the real C `description`, Row and factories.
A cursor factory that isn't a class, and `sqlite3.Cursor(connection)`, bypass the seam.
"""

from __future__ import annotations

import functools
import os
import sqlite3
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Final, Self

from pytest_fluxrun.boundary import Boundary, Call, Patch
from pytest_fluxrun.context import crossing, current_lane
from pytest_fluxrun.errors import DamagedBundle, UnrecordedCall
from pytest_fluxrun.kinds.sql import SQL, first_keyword, folded
from pytest_fluxrun.values import Value, decode, encode_or_opaque, load_error, snapshot

__all__ = ["Sqlite3Boundary", "boundary"]

_MAX_ROWS: Final = 200_000
_NATIVE: Final = frozenset({int, float, str, bytes, type(None), bool})
_TRANSACTION: Final = frozenset({"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"})
_LOCAL_PRAGMAS: Final = frozenset(
    "analysis_limit automatic_index busy_timeout cache_size cache_spill case_sensitive_like cell_size_check defer_foreign_keys"
    " foreign_keys ignore_check_constraints journal_mode journal_size_limit locking_mode mmap_size optimize query_only"
    " recursive_triggers reverse_unordered_selects secure_delete synchronous temp_store threads trusted_schema"
    " wal_autocheckpoint".split()
)
_IN_TRANSACTION: Final = vars(sqlite3.Connection)["in_transaction"].__get__
_TOTAL_CHANGES: Final = vars(sqlite3.Connection)["total_changes"].__get__
_ISOLATION_LEVEL: Final = vars(sqlite3.Connection)["isolation_level"]
_DESCRIPTION: Final = vars(sqlite3.Cursor)["description"].__get__
_ROWCOUNT: Final = vars(sqlite3.Cursor)["rowcount"].__get__
_LASTROWID: Final = vars(sqlite3.Cursor)["lastrowid"].__get__


class Outcome:
    """What a statement did, and its rows as far as the app fetches them. Filled by the cursor.

    Attributes:
        columns: names, or None where the statement gives no rows.
        ended: the app has fetched to the end; `rowcount_end` is the cursor's rowcount then.
        failure: the error that ended the fetching: raised live, or a Value when loaded.
        played: served from a recording; `next_row` is how far the app is.
    """

    __slots__ = (
        "columns",
        "ended",
        "failure",
        "in_transaction",
        "lastrowid",
        "mutable",
        "next_row",
        "over_bound",
        "played",
        "refused",
        "rowcount",
        "rowcount_end",
        "rows",
        "total_changes",
    )

    def __init__(self, *, in_transaction: bool = False, total_changes: int = 0) -> None:
        self.columns: tuple[str, ...] | None = None
        self.rows: list[Any] = []
        self.ended = False
        self.failure: Any = None
        self.rowcount = self.rowcount_end = -1
        self.lastrowid: int | None = None
        self.in_transaction = in_transaction
        self.total_changes = total_changes
        self.over_bound = False
        self.refused = ""
        self.mutable = False
        self.played = False
        self.next_row = 0

    def add(self, rows: Iterable[Any]) -> None:
        """Keep rows that the app has fetched."""
        if len(self.rows) >= _MAX_ROWS:
            self.rows, self.over_bound = [], True
        elif not self.over_bound:
            self.rows.extend(rows)


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

    _outcome: Outcome | None = None
    _asked: Call | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        session = crossing()
        if session is None:
            self._outcome = None
            return super().execute(sql, parameters)
        return self._cross(session, sql, _frozen(parameters), functools.partial(super().execute, sql, parameters))

    def executemany(self, sql: str, seq_of_parameters: Any, /) -> Self:
        session = crossing()
        if session is None:
            self._outcome = None
            return super().executemany(sql, seq_of_parameters)
        rows = _Rows(seq_of_parameters)
        return self._cross(session, sql, rows, functools.partial(super().executemany, sql, rows))

    def executescript(self, sql_script: str, /) -> Self:
        session = crossing()
        if session is None:
            self._outcome = None
            return super().executescript(sql_script)
        return self._cross(session, sql_script, None, functools.partial(super().executescript, sql_script))

    def _cross(self, session: Any, sql: str, binds: Any, run: Callable[[], Any]) -> Self:
        connection: Any = self.connection
        self._outcome = None
        otherwise = functools.partial(_locally, connection, sql) if _is_local(sql) else None
        call = self._asked = _SqlCall(functools.partial(_form, connection._database, sql, binds), otherwise)
        outcome = connection._cross(session, call, functools.partial(_run, connection, self, run))
        if outcome.played:
            super().execute(_describing(outcome.columns))
        self._outcome = outcome
        return self

    def fetchone(self) -> Any:
        if self._outcome is None:
            return super().fetchone()
        rows = self._fetch(self._outcome, 1)
        return rows[0] if rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        count = self.arraysize if size is None else size
        return super().fetchmany(count) if self._outcome is None else self._fetch(self._outcome, count)

    def fetchall(self) -> list[Any]:
        return super().fetchall() if self._outcome is None else self._fetch(self._outcome, 0)

    def __next__(self) -> Any:
        if self._outcome is None:
            return super().__next__()
        rows = self._fetch(self._outcome, 1)
        if not rows:
            raise StopIteration
        return rows[0]

    def _fetch(self, outcome: Outcome, count: int) -> list[Any]:
        """At most `count` rows, all for 0: served, or fetched live and kept."""
        if outcome.played:
            return self._serve(outcome, count)
        if current_lane() is None:  # the run is over: nothing is kept any more
            return self._fetch_live(count)
        factory = self.row_factory
        tapped: list[Any] = []
        if factory is not None and factory is not sqlite3.Row:
            self.row_factory = functools.partial(_tap, tapped, factory)
        try:
            rows = self._fetch_live(count)
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

    def _fetch_live(self, count: int) -> list[Any]:
        return super().fetchmany(count) if count else super().fetchall()

    def _serve(self, outcome: Outcome, count: int) -> list[Any]:
        super().fetchone()  # the library's own checks: closed, another thread's
        start = outcome.next_row
        rows = outcome.rows[start : start + count] if count > 0 else outcome.rows[start:]
        outcome.next_row = start + len(rows)
        if count <= 0 or len(rows) < count:
            if outcome.failure is not None:
                raise load_error(outcome.failure)
            if not outcome.ended and outcome.columns is not None:
                self._read_on(outcome)
            outcome.rowcount = outcome.rowcount_end
        factory = self.row_factory
        return rows if factory is None else [factory(self, row) for row in rows]

    def _read_on(self, outcome: Outcome) -> None:
        assert self._asked is not None
        form = {**self._asked.form(), "rest": f"fetching on after row {len(outcome.rows)}"}
        session = crossing()
        if session is not None:
            session.call(boundary, Call(form), _nothing_live)
        _nothing_live(SQL.text(form))

    @property
    def description(self) -> Any:
        outcome = self._outcome
        return None if outcome is not None and outcome.played and outcome.columns is None else _DESCRIPTION(self)

    @property
    def rowcount(self) -> int:
        outcome = self._outcome
        return outcome.rowcount if outcome is not None and outcome.played else int(_ROWCOUNT(self))

    @property
    def lastrowid(self) -> Any:
        outcome = self._outcome
        return outcome.lastrowid if outcome is not None and outcome.played else _LASTROWID(self)


class _Connection(sqlite3.Connection):
    """A connection whose cursors and transactions cross the boundary inside a run."""

    _database = ""
    _converts = False
    _served: _Served | None = None
    _local: sqlite3.Connection | None = None

    def _cross(self, session: Any, call: _SqlCall, live: Callable[[], Outcome]) -> Outcome:
        try:
            outcome: Outcome = session.call(boundary, call, live)
        except sqlite3.Error:
            if call.in_transaction is not None:
                self._served = _Served(weakref.ref(session), call.in_transaction, self.total_changes)
            raise
        if outcome.played:
            self._served = _Served(weakref.ref(session), outcome.in_transaction, outcome.total_changes)
        return outcome

    def _state(self) -> _Served | None:
        served, lane = self._served, current_lane()
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
        self._end_transaction("COMMIT", super().commit)

    def rollback(self) -> None:
        self._end_transaction("ROLLBACK", super().rollback)

    def _end_transaction(self, sql: str, run: Callable[[], None]) -> None:
        """Nothing crosses where no transaction is open; inside a replay the private connection's own never matters."""
        session = crossing()
        if session is None or not self.in_transaction or getattr(self, "autocommit", None) is True:
            if self._state() is None:
                run()
            return
        call = _SqlCall(functools.partial(_form, self._database, sql, None), functools.partial(_locally, self, sql))
        self._cross(session, call, functools.partial(_run, self, None, run))

    def __exit__(self, error_type: Any, error: Any, traceback: Any, /) -> Any:
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
        state = self._state()
        return bool(_IN_TRANSACTION(self)) if state is None else state.in_transaction

    @property
    def total_changes(self) -> int:
        state = self._state()
        return int(_TOTAL_CHANGES(self)) if state is None else state.total_changes

    @property
    def isolation_level(self) -> Any:
        return _ISOLATION_LEVEL.__get__(self)

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        if level is None and crossing() is not None:  # the library commits here without calling commit()
            self.commit()
        _ISOLATION_LEVEL.__set__(self, level)

    def backup(self, *args: Any, **kwargs: Any) -> None:
        self._refused("backup", functools.partial(super().backup, *args, **kwargs))

    def blobopen(self, *args: Any, **kwargs: Any) -> Any:
        return self._refused("blobopen", functools.partial(super().blobopen, *args, **kwargs))

    def serialize(self, *args: Any, **kwargs: Any) -> Any:
        return self._refused("serialize", functools.partial(super().serialize, *args, **kwargs))

    def deserialize(self, *args: Any, **kwargs: Any) -> None:
        self._refused("deserialize", functools.partial(super().deserialize, *args, **kwargs))

    def _refused(self, name: str, run: Callable[[], Any]) -> Any:
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

        session.call(boundary, Call(functools.partial(_form, self._database, f"{name.upper()} BY CONNECTION", None)), live)
        return results[0]


class _Rows:
    """The rows of an executemany as they pass to the library; read here only where nothing was called live."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows
        self._passed: list[Any] = []
        self._read = False

    def __iter__(self) -> Iterator[Any]:
        self._read = True
        for row in self._rows:
            self._passed.append(_frozen(row))
            yield row

    def frozen(self) -> list[Any]:
        if not self._read:
            self._read = True
            self._passed = [_frozen(row) for row in self._rows]
        return self._passed


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
        """Columns, the rows that were fetched, counts and the transaction's state."""
        if result.refused or result.over_bound:
            return encode_or_opaque(result)
        failure = result.failure
        rows = [list(row) for row in result.rows]
        return {
            "columns": None if result.columns is None else list(result.columns),
            "rows": encode_or_opaque(rows),
            "ended": result.ended,
            "rowcount": result.rowcount,
            "rowcount_end": result.rowcount_end,
            "lastrowid": result.lastrowid,
            "in_transaction": result.in_transaction,
            "total_changes": result.total_changes,
            "failure": self.dump_error(failure) if isinstance(failure, BaseException) else None,
        }

    def load(self, value: Value, call: Call) -> Outcome:
        """The outcome to serve; for a CONNECT the private connection is opened as well."""
        if isinstance(call, _SqlCall) and call.connects and call.otherwise is not None:
            call.otherwise()
        if "~" in value:
            decode(value)
        try:
            outcome = Outcome(in_transaction=value["in_transaction"], total_changes=value["total_changes"])
            outcome.columns = None if value["columns"] is None else tuple(value["columns"])
            outcome.rows = [tuple(row) for row in decode(value["rows"])]
            outcome.ended, outcome.failure = value["ended"], value["failure"]
            outcome.rowcount, outcome.rowcount_end = value["rowcount"], value["rowcount_end"]
            outcome.lastrowid = value["lastrowid"]
        except (KeyError, TypeError) as error:
            raise DamagedBundle("a recorded SQL answer can't be read", why=repr(error)) from error
        outcome.played = True
        return outcome

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
            if len(args) > _FACTORY_POSITION:
                args = (*args[:_FACTORY_POSITION], _connection_class(args[_FACTORY_POSITION]), *args[_FACTORY_POSITION + 1 :])
            else:
                kwargs["factory"] = _connection_class(kwargs.get("factory", sqlite3.Connection))
            name = _database_name(database)
            session = crossing()
            if session is None:
                return _named(original(database, *args, **kwargs), name)
            opened: list[Any] = []

            def live() -> Outcome:
                opened.append(_named(original(database, *args, **kwargs), name))
                return Outcome(in_transaction=bool(_IN_TRANSACTION(opened[0])))

            def otherwise() -> Outcome:
                opened.append(_named(_open_private(original, args, kwargs), name))
                outcome = Outcome(in_transaction=bool(_IN_TRANSACTION(opened[0])))
                outcome.played = True
                return outcome

            session.call(self, _SqlCall(functools.partial(_form, name, "CONNECT", None), otherwise, connects=True), live)
            return opened[0]

        return connect


boundary = Sqlite3Boundary()


# -- connections


_FACTORY_POSITION: Final = 4  # connect(database, timeout, detect_types, isolation_level, check_same_thread, factory, ...)
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


def _named(connection: Any, name: str) -> Any:
    if isinstance(connection, _Connection):
        connection._database = name
    return connection


def _database_name(database: Any) -> str:
    """The file's own name: a path says where the code runs, not what it asks for."""
    try:
        path = os.fsdecode(database)
    except TypeError:
        return repr(type(database))
    return os.path.basename(path.removeprefix("file:").partition("?")[0]) if path.startswith("file:") else os.path.basename(path)


# -- statements


def _form(database: str, sql: str, binds: Any) -> dict[str, Any]:
    many = isinstance(binds, _Rows)
    frozen = binds.frozen() if many else binds
    if not many and not isinstance(frozen, dict):
        frozen = list(frozen) if frozen else None
    return {"database": database, "sql": sql, "binds": frozen or None, "many": many}


def _frozen(parameters: Any) -> Any:
    """Binds that can't change any more, as the library will bind them."""
    kind = type(parameters)
    if kind is tuple and _NATIVE.issuperset(map(type, parameters)):
        return parameters
    if isinstance(parameters, dict):
        return {name: _bound(value) for name, value in parameters.items()}
    try:
        return tuple(_bound(value) for value in parameters)
    except TypeError:
        return (f"<{kind.__qualname__}>",)


def _bound(value: Any) -> Any:
    kind = type(value)
    if kind in _NATIVE or kind in (datetime, date):  # their default adapters warn, and `values` holds them
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    try:
        adapted = sqlite3.adapt(value)
    except sqlite3.Error:
        adapted = value
    for native in (int, float, str, bytes):
        if isinstance(adapted, native):
            return native(adapted)
    return adapted


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
            outcome.mutable = connection._converts or connection.text_factory is not str
        outcome.rowcount = outcome.rowcount_end = _ROWCOUNT(cursor)
        outcome.lastrowid = _LASTROWID(cursor)
    return outcome


_after_error: weakref.WeakKeyDictionary[BaseException, bool] = weakref.WeakKeyDictionary()


def _tap(tapped: list[Any], factory: Callable[[Any, Any], Any], cursor: Any, row: Any) -> Any:
    tapped.append(snapshot(row))
    return factory(cursor, row)


@functools.lru_cache(maxsize=1024)
def _describing(columns: tuple[str, ...] | None) -> str:
    """A statement without rows that gives a cursor the recorded column names; it reads no table, hence no file."""
    if columns is None:
        return "SELECT NULL WHERE 0"
    names = ", ".join(f'NULL AS "{name.replace(chr(34), chr(34) * 2)}"' for name in columns)
    return f"SELECT {names} WHERE 0"


@functools.lru_cache(maxsize=1024)
def _is_local(sql: str) -> bool:
    """Whether a statement only steers this connection: transaction control, and PRAGMAs that set something."""
    statement = folded(sql)
    keyword = first_keyword(statement)
    if ";" in statement:
        return False
    if keyword == "PRAGMA":
        name, _, value = statement[len("PRAGMA") :].replace("(", "=").partition("=")
        return bool(value) and name.strip().rpartition(".")[2].lower() in _LOCAL_PRAGMAS
    return keyword in _TRANSACTION


def _locally(connection: Any, sql: str) -> Outcome:
    """What a local statement does where the recording lacks it: on the private connection, and to the served state."""
    statement = folded(sql)
    keyword = first_keyword(statement)
    outcome = Outcome(in_transaction=connection.in_transaction, total_changes=connection.total_changes)
    outcome.played = outcome.ended = True
    if keyword == "PRAGMA":
        if connection._local is None:
            connection._local = sqlite3.connect(":memory:", check_same_thread=False)
        cursor = connection._local.execute(sql)
        outcome.rows = cursor.fetchall()
        outcome.columns = None if cursor.description is None else tuple(column[0] for column in cursor.description)
        return outcome
    if keyword == "BEGIN" and outcome.in_transaction:
        raise sqlite3.OperationalError("cannot start a transaction within a transaction")
    ends = keyword in ("COMMIT", "END") or (keyword == "ROLLBACK" and " TO " not in f"{statement.upper()} ")
    if ends and not outcome.in_transaction:
        verb = "rollback" if keyword == "ROLLBACK" else "commit"
        raise sqlite3.OperationalError(f"cannot {verb} - no transaction is active")
    outcome.in_transaction = not ends if keyword != "RELEASE" else outcome.in_transaction
    return outcome


def _nothing_live(asked: str = "the rest of a statement's rows") -> Any:
    raise UnrecordedCall("the run fetched no further", asked=asked)


for _cls, _stock in ((_Connection, sqlite3.Connection), (_Cursor, sqlite3.Cursor)):
    _cls.__name__, _cls.__qualname__, _cls.__module__ = _stock.__name__, _stock.__qualname__, _stock.__module__
