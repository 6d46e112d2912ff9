"""COPY both ways: what the program gives as the request's binds, what it takes in the pieces that came."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from pytest_fluxrun.boundaries.asyncpg_wire.asked import Asked, cross
from pytest_fluxrun.boundaries.asyncpg_wire.fields import printable
from pytest_fluxrun.boundaries.asyncpg_wire.link import link_of
from pytest_fluxrun.boundaries.asyncpg_wire.outcome import Outcome
from pytest_fluxrun.boundaries.asyncpg_wire.statements import STATUS_ONLY, Rows, form, frozen
from pytest_fluxrun.boundary import Boundary
from pytest_fluxrun.context import Lane, crossing, current_lane, entered

__all__ = ["wrap_copy_in", "wrap_copy_out"]

_Method = Callable[..., Awaitable[Any]]


def wrap_copy_out(boundary: Boundary[Outcome], original: _Method) -> _Method:
    """COPY … TO STDOUT; what the program's sink does is the run's, not this call's."""

    @functools.wraps(original)
    def copy_out(self: Any, copy_stmt: str, sink: Any, timeout: Any) -> Awaitable[Any]:
        session = crossing()
        if session is None:
            return original(self, copy_stmt, sink, timeout)
        lane = current_lane()

        async def sunk(data: Any) -> Any:
            with entered(lane):
                return await sink(data)

        def run(timeout: Any = timeout) -> Awaitable[Any]:
            return original(self, copy_stmt, sunk, timeout)

        link = link_of(self)
        link.enter(session, self)
        call = Asked(functools.partial(form, link.database, copy_stmt, None), outcome=Outcome(copies=True))
        return cross(boundary, session, link, call, run)

    return copy_out


def wrap_copy_in(boundary: Boundary[Outcome], original: _Method) -> _Method:
    """COPY … FROM STDIN."""

    @functools.wraps(original)
    def copy_in(  # noqa: PLR0917 - its signature
        self: Any, copy_stmt: str, reader: Any, data: Any, records: Any, record_stmt: Any, timeout: Any
    ) -> Awaitable[Any]:
        session = crossing()
        if session is None:
            return original(self, copy_stmt, reader, data, records, record_stmt, timeout)
        source = _source_of(reader, data, records, current_lane())
        link = link_of(self)
        link.enter(session, self)
        if record_stmt is not None:
            link.describe(session, record_stmt)
        outcome = Outcome()

        async def run(timeout: Any = timeout) -> Any:  # noqa: ASYNC109 - the library's
            if reader is not None:
                reader_, data_, records_ = source, None, None
            elif record_stmt is not None:
                reader_, data_, records_ = None, None, source
            else:
                reader_, data_, records_ = None, data, None
            try:
                return await original(self, copy_stmt, reader_, data_, records_, record_stmt, timeout)
            finally:
                outcome.given = source.size

        request = functools.partial(_form, link.database, copy_stmt, source)
        call = Asked(request, prepare=source.read, outcome=outcome)
        return cross(boundary, session, link, call, run)

    return copy_in


def _form(database: str, query: str, source: _Source) -> dict[str, Any]:
    if source.of_rows:
        return form(database, query, Rows(source.passed), STATUS_ONLY)
    return form(database, query, (printable(b"".join(source.passed)),), STATUS_ONLY)


class _Source:
    """What is copied in, as it passes to the library; at replay read before, since the request is made of it.

    Attributes:
        passed: frozen, so far.
        size: about how many bytes that is.
    """

    def __init__(self, given: Any, lane: Lane | None, *, of_rows: bool) -> None:
        self.of_rows = of_rows
        self.passed: list[Any] = []
        self.size = 0
        self._given = given
        self._lane = lane
        self._held: list[Any] | None = None
        self._failure: Exception | None = None

    async def read(self) -> None:
        """Take all; an error of the program's is raised where the library meets it."""
        held: list[Any] = []
        try:
            if isinstance(self._given, AsyncIterable):
                held.extend([item async for item in self._given])
            else:
                held.extend(self._given)
        except Exception as error:
            self._failure = error
        for item in held:
            self._pass(item)
        self._held = held

    def _pass(self, item: Any) -> None:
        if self.of_rows:
            self.passed.append(frozen(item))
            self.size += 64 + 16 * len(self.passed[-1])
        else:
            self.passed.append(bytes(item))
            self.size += len(self.passed[-1])

    def _again(self) -> Iterator[Any]:
        yield from self._held or ()
        if self._failure is not None:
            raise self._failure


class _Given(_Source):
    """Of an iterable."""

    def __iter__(self) -> Iterator[Any]:
        if self._held is not None:
            yield from self._again()
            return
        items = iter(self._given)
        while True:
            with entered(self._lane):
                try:
                    item = next(items)
                except StopIteration:
                    return
            self._pass(item)
            yield item


class _GivenInTime(_Source):
    """Of an asynchronous iterable."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        if self._held is not None:
            for item in self._again():
                yield item
            return
        items = aiter(self._given)
        while True:
            with entered(self._lane):
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    return
            self._pass(item)
            yield item


def _source_of(reader: Any, data: Any, records: Any, lane: Lane | None) -> _Source:
    if reader is not None:
        return _GivenInTime(reader, lane, of_rows=False)
    if records is not None:
        kind = _GivenInTime if isinstance(records, AsyncIterable) else _Given
        return kind(records, lane, of_rows=True)
    source = _Given((data,), lane, of_rows=False)
    source._pass(data)  # noqa: SLF001 - of this module
    return source
