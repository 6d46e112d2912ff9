"""aiosqlite: carries the caller's lane into a connection's thread, where sqlite3's boundary records; tells the clock.

Nothing crosses here. aiosqlite 0.20 to 0.22 queue `(future, function)` pairs for one thread per connection.
"""

# ruff: noqa: SLF001 - the seams are aiosqlite's private methods and its queue; 0.20 to 0.22 have the same
from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import Clock, carried, entered, open_lane, virtual_clock

__all__ = ["AiosqliteSeams", "boundary"]


class AiosqliteSeams(Seams):
    """The three methods of aiosqlite's Connection that reach its thread."""

    name: ClassVar[str] = "aiosqlite"
    modules = ("aiosqlite",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """The start of the thread, the opening of the database, and every job after that."""
        yield Patch(module.Connection, "__await__", _wrap_await)
        yield Patch(module.Connection, "_connect", _wrap_connect)
        yield Patch(module.Connection, "_execute", _wrap_execute)


boundary = AiosqliteSeams()


def _wrap_await(original: Callable[[Any], Generator[Any, None, Any]]) -> Callable[[Any], Generator[Any, None, Any]]:
    """The thread belongs to no lane: it waits for jobs of any, and is no actor of a run's clock while it waits."""

    @functools.wraps(original)
    def __await__(connection: Any) -> Generator[Any, None, Any]:  # noqa: N807 - the method that is wrapped
        with entered(None):
            return original(connection)

    return __await__


def _wrap_connect(original: Callable[[Any], Coroutine[Any, Any, Any]]) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    @functools.wraps(original)
    async def _connect(connection: Any) -> Any:
        lane = open_lane()
        if lane is None:
            return await original(connection)
        connector = connection._connector
        connection._connector = carried(connector, lane)
        clock = virtual_clock()
        if clock is not None:
            connection._tx = _TimedQueue(connection._tx, clock)
        try:
            return await original(connection)
        finally:
            connection._connector = connector
            if isinstance(connection._tx, _TimedQueue):
                connection._tx = connection._tx.queue

    return _connect


def _wrap_execute(original: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    @functools.wraps(original)
    async def _execute(connection: Any, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        lane = open_lane()
        if lane is None:
            return await original(connection, fn, *args, **kwargs)
        function = carried(fn, lane)
        clock = virtual_clock()
        if clock is None:
            return await original(connection, function, *args, **kwargs)
        if not connection._running or not connection._connection:
            raise ValueError("Connection closed")
        future = asyncio.get_running_loop().create_future()
        _queue_timed(connection._tx, future, functools.partial(function, *args, **kwargs), clock)
        return await future

    return _execute


class _TimedQueue:
    """A connection's queue while its database is opened on a virtual clock: what is put there becomes a timed job."""

    def __init__(self, queue: Any, clock: Clock) -> None:
        self.queue = queue
        self._clock = clock

    def get(self) -> Any:
        """The next job: until 0.21 the thread looks the queue up on its connection each time."""
        return self.queue.get()

    def put_nowait(self, job: Any) -> None:
        """Queue a job as aiosqlite does."""
        if isinstance(job, tuple) and job[0] is not None:
            future, function = job
            _queue_timed(self.queue, future, function, self._clock)
        else:
            self.queue.put_nowait(job)


def _queue_timed(queue: Any, future: Any, function: Callable[[], Any], clock: Clock) -> None:
    """Queue a job that is an actor on a virtual clock until its result is with the loop, not only until it has run."""

    def job() -> Any:
        clock.started(queue)
        return function()

    clock.begin(queue, workers=1)
    queue.put_nowait((_Posting(future, queue, clock), job))


class _Posting:
    """Stands for a job's future on the connection's thread: posts the result to the loop, then ends the actor."""

    def __init__(self, future: Any, queue: Any, clock: Clock) -> None:
        self._future = future
        self._queue = queue
        self._clock = clock

    def get_loop(self) -> _Posting:
        """What aiosqlite posts results with."""
        return self

    def call_soon_threadsafe(self, setter: Callable[[Any, Any], None], _: _Posting, result: Any) -> None:
        """Post to the real loop; a loop that is closed already has nobody waiting."""
        try:
            self._future.get_loop().call_soon_threadsafe(setter, self._future, result)
        finally:
            self._clock.left()
            self._clock.end(self._queue)
