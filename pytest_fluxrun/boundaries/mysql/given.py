"""What an application gives a cursor, kept for the connection that then sends the statement with the binds in it."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pytest_fluxrun.boundaries.mysql.statements import Asked, Rows, frozen
from pytest_fluxrun.context import crossing

__all__ = ["Given"]


class Given:
    """The seams on a driver's cursors.

    Args:
        connection: the cursor's attribute that is its connection.
        literal: the connection's method that spells a value of any class.
        spelled: makes the statements by which a procedure's arguments are set, with `%s` in them.
    """

    def __init__(
        self, connection: str, spelled: Callable[[str, int], Sequence[str]], *, literal: str = "escape"
    ) -> None:
        self._connection = connection
        self._spelled = spelled
        self._literal = literal

    def execute(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Keep a statement and its binds while it is executed."""

        @functools.wraps(original)
        def execute(cursor: Any, query: Any, args: Any = None) -> Any:
            connection = getattr(cursor, self._connection)
            if connection is None or crossing() is None:
                return original(cursor, query, args)
            asked = self._executed(cursor, connection, query, args)
            if not asked:
                return original(cursor, query, args)
            connection._fx_asked = asked  # noqa: SLF001 - the seams' own
            try:
                return original(cursor, query, args)
            finally:
                connection._fx_asked = None  # noqa: SLF001

        return execute

    def aexecute(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """`execute` for awaitables."""

        @functools.wraps(original)
        async def execute(cursor: Any, query: Any, args: Any = None) -> Any:
            connection = getattr(cursor, self._connection)
            if connection is None or crossing() is None:
                return await original(cursor, query, args)
            asked = self._executed(cursor, connection, query, args)
            if not asked:
                return await original(cursor, query, args)
            connection._fx_asked = asked  # noqa: SLF001
            try:
                return await original(cursor, query, args)
            finally:
                connection._fx_asked = None  # noqa: SLF001

        return execute

    def executemany(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Keep the rows as they pass to the driver."""

        @functools.wraps(original)
        def executemany(cursor: Any, query: Any, args: Any) -> Any:
            connection = getattr(cursor, self._connection)
            if connection is None or crossing() is None:
                return original(cursor, query, args)
            rows = Rows(args, functools.partial(frozen, literal=getattr(connection, self._literal)))
            cursor._fx_many = (query, rows)  # noqa: SLF001
            try:
                return original(cursor, query, rows)
            finally:
                del cursor._fx_many  # noqa: SLF001

        return executemany

    def aexecutemany(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """`executemany` for awaitables."""

        @functools.wraps(original)
        async def executemany(cursor: Any, query: Any, args: Any) -> Any:
            connection = getattr(cursor, self._connection)
            if connection is None or crossing() is None:
                return await original(cursor, query, args)
            rows = Rows(args, functools.partial(frozen, literal=getattr(connection, self._literal)))
            cursor._fx_many = (query, rows)  # noqa: SLF001
            try:
                return await original(cursor, query, rows)
            finally:
                del cursor._fx_many  # noqa: SLF001

        return executemany

    def callproc(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Keep a procedure's arguments while they are set."""

        @functools.wraps(original)
        def callproc(cursor: Any, procname: Any, args: Any = ()) -> Any:
            connection = getattr(cursor, self._connection)
            if connection is None or not args or crossing() is None:
                return original(cursor, procname, args)
            connection._fx_asked = self._called(connection, procname, args)  # noqa: SLF001
            try:
                return original(cursor, procname, args)
            finally:
                connection._fx_asked = None  # noqa: SLF001

        return callproc

    def acallproc(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """`callproc` for awaitables."""

        @functools.wraps(original)
        async def callproc(cursor: Any, procname: Any, args: Any = ()) -> Any:
            connection = getattr(cursor, self._connection)
            if connection is None or not args or crossing() is None:
                return await original(cursor, procname, args)
            connection._fx_asked = self._called(connection, procname, args)  # noqa: SLF001
            try:
                return await original(cursor, procname, args)
            finally:
                connection._fx_asked = None  # noqa: SLF001

        return callproc

    def _executed(self, cursor: Any, connection: Any, query: Any, args: Any) -> list[Asked]:
        if args is not None:
            return [Asked(query, frozen(args, getattr(connection, self._literal)))]
        many = getattr(cursor, "_fx_many", None)
        return [] if many is None else [Asked(many[0], many[1].sent(), many=True)]

    def _called(self, connection: Any, procname: Any, args: Any) -> list[Asked]:
        """One statement for all arguments, or one for each: as many binds in each as it has places."""
        binds = list(frozen(tuple(args), getattr(connection, self._literal)))
        asked = []
        for sql in self._spelled(procname, len(binds)):
            count = sql.count("%s")
            asked.append(Asked(sql, tuple(binds[:count])))
            del binds[:count]
        return asked[::-1]
