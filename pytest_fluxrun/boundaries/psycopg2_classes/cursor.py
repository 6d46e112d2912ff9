"""psycopg2's cursor with its statements as crossings inside a run, and the library's own outside of every run."""

# ruff: noqa: D102, SLF001 - psycopg2's own names; the seams' attributes bear the prefix _fx on classes of the app's
from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import filterfalse
from typing import Any, Final, Self

from psycopg2 import DatabaseError, InterfaceError, ProgrammingError, extensions  # type: ignore[import-untyped]

from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.psycopg2_classes.copying import tapped
from pytest_fluxrun.boundaries.psycopg2_classes.errors import load_database_error
from pytest_fluxrun.boundaries.psycopg2_classes.outcome import Outcome
from pytest_fluxrun.boundaries.psycopg2_classes.statements import Rows, form, frozen
from pytest_fluxrun.boundary import Call
from pytest_fluxrun.context import crossing, open_lane
from pytest_fluxrun.values import snapshot

__all__ = ["SeamedCursor"]

_C: Final = vars(extensions.cursor)
_DESCRIPTION: Final = _C["description"].__get__
_ROWCOUNT: Final = _C["rowcount"].__get__
_LASTROWID: Final = _C["lastrowid"].__get__
_STATUS: Final = _C["statusmessage"].__get__
_CLOSED: Final = _C["closed"].__get__
_NAME: Final = _C["name"].__get__
_EXECUTE: Final = _C["execute"]
_SQL: Final = (str, bytes)
_PLAIN: Final = frozenset({16, 20, 21, 23, 25, 26, 700, 701, 1042, 1043, 1082, 1083, 1114, 1184, 1186, 1266, 1700, 19})
"""Object ids of types whose typecasters give what can't change."""


class SeamedCursor(extensions.cursor):  # type: ignore[misc]
    """Base of every cursor that a seamed connection makes; the app's factory stands before it."""

    _fx_outcome: Outcome | None = None
    _fx_asked: Call | None = None
    _fx_name: str | None = None
    _fx_query: bytes | None = None
    _fx_fetched = False
    _fx_options: tuple[Any, Any] = (None, False)

    def __init__(self, conn: Any, name: str | None = None, *args: Any, **kwargs: Any) -> None:
        if conn._fx_played:
            super().__init__(conn)
            self._fx_name = name
        else:
            super().__init__(conn, name, *args, **kwargs)

    # -- statements

    def execute(self, query: Any, vars: Any = None) -> Any:  # noqa: A002 - its signature
        session = crossing()
        if session is None:
            self._fx_outcome = None
            return super().execute(query, vars)
        if not isinstance(query, _SQL):
            query = query.as_string(self)
        run = functools.partial(_EXECUTE, self, query, vars)
        return self._fx_cross(session, query, frozen(vars) if vars is not None else None, run, vars)

    def executemany(self, query: Any, vars_list: Any) -> Any:
        session = crossing()
        if session is None:
            self._fx_outcome = None
            return super().executemany(query, vars_list)
        if not isinstance(query, str | bytes):
            query = query.as_string(self)
        rows = Rows(vars_list)
        return self._fx_cross(session, query, rows, functools.partial(super().executemany, query, rows), rows)

    def callproc(self, procname: str, parameters: Any = None) -> Any:
        session = crossing()
        if session is None:
            self._fx_outcome = None
            return super().callproc(procname, parameters)
        binds = frozen(parameters) if parameters is not None else None
        marks = (
            ",".join(f"{name}:=%s" for name in binds)
            if isinstance(binds, dict)
            else ",".join("%s" for _ in binds or ())
        )
        run = functools.partial(super().callproc, procname, parameters)
        self._fx_cross(session, f"SELECT * FROM {procname}({marks})", binds, run, parameters)  # noqa: S608 - as C asks it
        return parameters

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> Any:
        session = crossing()
        if session is None:
            return super().copy_expert(sql, file, size)
        if not isinstance(sql, str | bytes):
            sql = sql.as_string(self)
        return self._fx_copy(
            session, sql, file, lambda tapped: super(SeamedCursor, self).copy_expert(sql, tapped, size)
        )

    def copy_from(self, file: Any, table: str, *args: Any, **kwargs: Any) -> Any:
        session = crossing()
        if session is None:
            return super().copy_from(file, table, *args, **kwargs)
        run = super().copy_from
        what = _options(args, kwargs)
        return self._fx_copy(session, f"COPY {table} FROM stdin{what}", file, lambda f: run(f, table, *args, **kwargs))

    def copy_to(self, file: Any, table: str, *args: Any, **kwargs: Any) -> Any:
        session = crossing()
        if session is None:
            return super().copy_to(file, table, *args, **kwargs)
        run = super().copy_to
        what = _options(args, kwargs)
        return self._fx_copy(session, f"COPY {table} TO stdout{what}", file, lambda f: run(f, table, *args, **kwargs))

    def _fx_copy(self, session: Any, query: Any, file: Any, run: Callable[[Any], Any]) -> None:
        connection = self.connection
        tap = tapped(file, query)
        if session.answers:
            tap.read_ahead()
        call = Call(functools.partial(tap.form, connection._fx_database))
        live = functools.partial(self._fx_run, functools.partial(run, tap), tap)
        self._fx_outcome = outcome = connection._fx_cross(session, call, live, tap.query)
        if outcome.played and outcome.given is not None:
            file.write(outcome.given)

    def _fx_cross(self, session: Any, query: Any, binds: Any, run: Callable[[], Any], given: Any) -> None:
        connection = self.connection
        self._fx_outcome = None
        if _CLOSED(self) or (connection._fx_state is not None and self.closed):
            raise InterfaceError("cursor already closed")
        text = query if isinstance(query, str) else bytes(query).decode("utf-8", "surrogateescape")
        gives = "" if self._fx_name is None and _NAME(self) is None else "cursor"
        request = functools.partial(form, connection._fx_database, text, binds, gives)
        call = self._fx_asked = Call(request, connection._fx_locally(text) if session.answers else None)
        outcome: Outcome = connection._fx_cross(session, call, functools.partial(self._fx_run, run), text)
        if outcome.played:
            self._fx_outcome, self._fx_fetched = outcome, False
            self._fx_query = self._fx_rendered(query, given)
            outcome.cast(self._fx_cast)

    def _fx_run(self, run: Callable[[], Any], tap: Any = None) -> Outcome:
        """Run live, and take what the library says afterwards."""
        outcome = self._fx_outcome = Outcome()
        run()
        description = outcome.description = _DESCRIPTION(self)
        outcome.mutable = description is None or not _PLAIN.issuperset([column.type_code for column in description])
        outcome.rowcount = -1 if _NAME(self) is not None else _ROWCOUNT(self)
        outcome.lastrowid = _LASTROWID(self)
        outcome.status = _STATUS(self)
        if tap is not None:
            outcome.given = tap.written()
        return outcome

    def _fx_rendered(self, query: Any, given: Any) -> bytes | None:
        try:
            return bytes(self.mogrify(query, given.last if isinstance(given, Rows) else given))
        except Exception:  # the recorded call had the same arguments, and didn't fail
            return None

    def _fx_cast(self, oid: int, text: str) -> Any:
        """A text as the typecaster of its type makes a value of it: the cursor's, the connection's, or everybody's."""
        for types in (
            self.string_types,
            self.connection._fx_types,
            self.connection.string_types,
            extensions.string_types,
        ):
            if types and oid in types:
                return types[oid](text, self)
        return extensions.string_types[705](text, self) if 705 in extensions.string_types else text

    def cast(self, oid: int, s: Any) -> Any:
        if not self.connection._fx_played:
            return super().cast(oid, s)
        return self._fx_cast(oid, s)  # C looks it up in a dict of the connection's that isn't there

    def mogrify(self, query: Any, vars: Any = None) -> Any:  # noqa: A002 - its signature
        if not self.connection._fx_played:
            return super().mogrify(query, vars)
        if not isinstance(query, str | bytes):
            query = query.as_string(self)
        if isinstance(query, str):
            query = query.encode(extensions.encodings.get(self.connection.encoding, "utf-8"))
        return super().mogrify(query, vars)

    # -- rows

    def fetchone(self) -> Any:
        if self._fx_outcome is None:
            return super().fetchone()
        rows = self._fx_fetch(self._fx_outcome, 1, super().fetchone)
        return rows[0] if rows else None

    def fetchmany(self, size: int | None = None) -> Any:
        count = self.arraysize if size is None else size
        if self._fx_outcome is None:
            return super().fetchmany(count)
        return self._fx_fetch(self._fx_outcome, count, functools.partial(super().fetchmany, count))

    def fetchall(self) -> Any:
        if self._fx_outcome is None:
            return super().fetchall()
        return self._fx_fetch(self._fx_outcome, 0, super().fetchall)

    def __iter__(self) -> Any:
        outcome = self._fx_outcome
        if outcome is None or open_lane() is None:  # by C alone: its own iterator would come back to this class
            return iter(super().fetchone if _NAME(self) is None else super().__next__, None)
        if outcome.played or outcome.mutable or self.row_factory is not None:
            return _Following(self)
        outcome.keep_flat()
        following = super().fetchone if _NAME(self) is None else super().__next__
        return filterfalse(
            outcome.rows.append, iter(following, None)
        )  # append gives None: each row is kept, and let by

    def __next__(self) -> Any:
        if self._fx_outcome is None:
            return super().__next__()
        run = super().fetchone if _NAME(self) is None else functools.partial(_next, super().__next__)
        rows = self._fx_fetch(self._fx_outcome, 1, run)
        if not rows:
            raise StopIteration
        return rows[0]

    def _fx_fetch(self, outcome: Outcome, count: int, run: Callable[[], Any]) -> list[Any]:
        """At most `count` rows, all for 0: served, or fetched live and kept."""
        if outcome.played:
            return self._fx_serve(outcome, count)
        if open_lane() is None:  # the run is over: nothing is kept any more
            return _listed(run())
        try:
            rows = run()
        except DatabaseError as error:
            if outcome.description is not None and not self.closed:
                outcome.failure = error
            raise
        if outcome.description is None:  # of a named cursor it is known from here on
            outcome.description = _DESCRIPTION(self)
        if type(rows) is not list:
            rows = _listed(rows)
        if outcome.mutable or self.row_factory or type(rows) is not list:
            outcome.keep_made()
            outcome.add(_values(outcome, row) for row in rows)
        else:
            outcome.keep_flat()
            outcome.add(rows)
        if not count or len(rows) < count:
            outcome.ended = True
        return rows

    def _fx_serve(self, outcome: Outcome, count: int) -> list[Any]:
        if self.closed:
            raise InterfaceError("cursor already closed")
        if outcome.description is None and self.name is None:
            raise ProgrammingError("no results to fetch")
        self._fx_fetched = True
        start = outcome.next_row
        rows = outcome.rows[start : start + count] if count > 0 else outcome.rows[start:]
        outcome.next_row = start + len(rows)
        if count <= 0 or len(rows) < count:
            if outcome.failure is not None:
                raise load_database_error(outcome.failure)
            if not outcome.ended:
                assert self._fx_asked is not None
                ReadingOn(self.connection._fx_boundary, crossing(), self._fx_asked.form, of="row").refuse(
                    len(outcome.rows)
                )
        factory = self.row_factory
        return rows if factory is None else [self._fx_made(factory, row) for row in rows]

    def _fx_made(self, factory: Callable[[Any], Any], row: tuple[Any, ...]) -> Any:
        made = factory(self)
        for index, value in enumerate(row):
            made[index] = value
        return made

    def scroll(self, value: int, mode: str = "relative") -> None:
        outcome = self._fx_outcome
        if outcome is None:
            super().scroll(value, mode)
        elif not outcome.played:
            self._fx_scroll_live(outcome, value, mode)
        else:
            position = value if mode == "absolute" else outcome.next_row + value
            if not 0 <= position < len(outcome.rows):
                raise ProgrammingError("scroll destination out of bounds")
            outcome.next_row = position

    def _fx_scroll_live(self, outcome: Outcome, value: int, mode: str) -> None:
        """Rows are read in any order from here on: all of them are kept."""
        if _NAME(self) is not None:
            session = crossing()
            if session is not None:
                self.connection._fx_refused("SCROLL A NAMED CURSOR", functools.partial(super().scroll, value, mode))
                return
            super().scroll(value, mode)
            return
        position = self.rownumber
        if outcome.description is not None and not outcome.ended and outcome.rowcount > 0:
            super().scroll(0, "absolute")
            outcome.rows = [_values(outcome, row) for row in super().fetchall()]
            super().scroll(min(position, outcome.rowcount - 1), "absolute")
            if position >= outcome.rowcount:
                super().fetchone()
            outcome.ended = True
        super().scroll(value, mode)
        self._fx_outcome = _Whole(outcome)

    # -- what is known of the statement

    def _fx_of(self, name: str) -> Any:
        outcome = self._fx_outcome
        if outcome is not None and outcome.played:
            return getattr(outcome, name)
        return None

    @property
    def closed(self) -> bool:
        return bool(_C["closed"].__get__(self)) or bool(self.connection.closed)

    @property
    def description(self) -> Any:
        outcome = self._fx_outcome
        if outcome is None or not outcome.played:
            return _DESCRIPTION(self)
        if outcome.description is None or (self.name is not None and not self._fx_fetched):
            return None
        return tuple(extensions.Column(*column) for column in outcome.description)

    @property
    def rowcount(self) -> int:
        outcome = self._fx_outcome
        if outcome is None or not outcome.played:
            return int(_ROWCOUNT(self))
        return outcome.rowcount if self.name is None else outcome.next_row or -1

    @property
    def rownumber(self) -> int:
        outcome = self._fx_outcome
        return outcome.next_row if outcome is not None and outcome.played else int(_C["rownumber"].__get__(self))

    @property
    def lastrowid(self) -> Any:
        outcome = self._fx_outcome
        return outcome.lastrowid if outcome is not None and outcome.played else _C["lastrowid"].__get__(self)

    @property
    def statusmessage(self) -> Any:
        outcome = self._fx_outcome
        return outcome.status if outcome is not None and outcome.played else _C["statusmessage"].__get__(self)

    @property
    def query(self) -> Any:
        outcome = self._fx_outcome
        return self._fx_query if outcome is not None and outcome.played else _C["query"].__get__(self)

    @property
    def name(self) -> Any:
        return self._fx_name if self._fx_name is not None else _NAME(self)

    @property
    def scrollable(self) -> Any:
        return self._fx_options[0] if self._fx_name is not None else _C["scrollable"].__get__(self)

    @scrollable.setter
    def scrollable(self, value: Any) -> None:
        if self._fx_name is not None:
            self._fx_options = (value, self._fx_options[1])
        else:
            _C["scrollable"].__set__(self, value)

    @property
    def withhold(self) -> Any:
        return self._fx_options[1] if self._fx_name is not None else _C["withhold"].__get__(self)

    @withhold.setter
    def withhold(self, value: Any) -> None:
        if self._fx_name is not None:
            self._fx_options = (self._fx_options[0], bool(value))
        else:
            _C["withhold"].__set__(self, value)

    def __enter__(self) -> Self:
        return super().__enter__()  # type: ignore[no-any-return]


def _next(following: Callable[[], Any]) -> Any:
    try:
        return following()
    except StopIteration:
        return None


class _Following:
    """Iterates a cursor by its own `__next__`."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return SeamedCursor.__next__(self._cursor)


class _Whole(Outcome):
    """An outcome all rows of which are kept: fetching adds nothing any more."""

    __slots__ = ("_kept_by",)

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self._kept_by = outcome
        self.description = outcome.description

    def add(self, rows: Any) -> None:
        """Nothing."""


def _listed(rows: Any) -> list[Any]:
    return rows if isinstance(rows, list) and not hasattr(rows, "_index") else [] if rows is None else [rows]


def _values(outcome: Outcome, row: Any) -> Any:
    """A row's values as they are now, whatever class the app has rows of."""
    values = row.values() if isinstance(row, dict) else row
    return tuple([value if type(value) in _IMMUTABLE else _copied(outcome, value) for value in values])


def _copied(outcome: Outcome, value: Any) -> Any:
    if outcome.is_noted(value):  # kept as the text that it was made of
        return value
    if type(value) is list:
        return [item if type(item) in _IMMUTABLE else _copied(outcome, item) for item in value]
    return memoryview(bytes(value)) if type(value) is memoryview else snapshot(value)


_IMMUTABLE: Final = frozenset({int, str, float, bool, type(None), bytes})


def _options(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    names = ("sep", "null", "size", "columns")
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    given.pop("size", None)
    return f" ({', '.join(f'{name} {value!r}' for name, value in given.items())})" if given else ""
