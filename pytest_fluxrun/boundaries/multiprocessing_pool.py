"""multiprocessing.pool.ThreadPool: each call of a pool's function runs in a lane of its own, its threads in none.

Records nothing. At replay the clock counts each task until its result is set. Pools of processes are left alone: what
runs there is another process's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import Clock, Lane, entered, name_of, open_lane, virtual_clock, within_context
from pytest_fluxrun.errors import DeadlineExceeded

__all__ = ["boundary"]


class MultiprocessingPool(Seams):
    """The seams of ThreadPool, and of the results that its threads set."""

    name = "multiprocessing_pool"
    modules = ("multiprocessing.pool",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """Where a pool is made, is given calls, and where their results are set."""
        mapstar = module.mapstar
        yield Patch(module.ThreadPool, "__init__", _init)
        yield Patch(module.ThreadPool, "apply_async", _apply_async)
        yield Patch(module.ThreadPool, "_map_async", functools.partial(_map_async, mapstar))
        yield Patch(module.ThreadPool, "imap", _imap)
        yield Patch(module.ThreadPool, "imap_unordered", _imap)
        for result in (module.ApplyResult, module.MapResult, module.IMapIterator, module.IMapUnorderedIterator):
            yield Patch(result, "_set", _set)


def _init(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        with entered(None):
            original(self, *args, **kwargs)
        self._taskqueue = _TaskQueue(self, self._taskqueue)

    return init


def _apply_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def apply_async(  # noqa: PLR0917 - their signature
        self: Any, func: Any, args: Any = (), kwds: Any = {}, callback: Any = None, error_callback: Any = None  # noqa: B006 - theirs
    ) -> Any:  # fmt: skip
        parent = open_lane()
        if parent is None:
            return original(self, func, args, kwds, callback, error_callback)
        named, laned = within_context(func, args if type(args) is tuple else ())
        lane = parent.spawn(name_of(named))
        func, callback, error_callback = (
            _in(lane, laned(lane)),
            _called(parent, callback),
            _called(parent, error_callback),
        )
        return original(self, func, args, kwds, callback, error_callback)

    return apply_async


def _map_async(mapstar: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    """A lane for each item, whatever the chunks in which the pool takes them."""

    @functools.wraps(original)
    def map_async(  # noqa: PLR0917 - their signature
        self: Any, func: Any, iterable: Any, mapper: Any, chunksize: Any = None, callback: Any = None,
        error_callback: Any = None
    ) -> Any:  # fmt: skip
        parent = open_lane()
        if parent is None:
            return original(self, func, iterable, mapper, chunksize, callback, error_callback)
        whole = parent.spawn(name_of(func))
        items = [(whole.spawn("item"), item) for item in iterable]
        callbacks = _called(parent, callback), _called(parent, error_callback)
        return original(self, _each(func, starred=mapper is not mapstar), items, mapstar, chunksize, *callbacks)

    return map_async


def _imap(original: Callable[..., Any]) -> Callable[..., Any]:
    """The iterable is the app's code too: a thread of the pool walks it, in the lane of the whole."""

    @functools.wraps(original)
    def imap(self: Any, func: Any, iterable: Any, chunksize: int = 1) -> Any:
        parent = open_lane()
        if parent is None:
            return original(self, func, iterable, chunksize)
        whole = parent.spawn(name_of(func))
        return original(self, _each(func, starred=False), _walked(whole, iterable), chunksize)

    return imap


def _walked(whole: Lane, iterable: Iterable[Any]) -> Iterator[tuple[Lane, Any]]:
    with entered(whole):
        items = iter(iterable)
    while True:
        with entered(whole):
            try:
                item = next(items)
            except StopIteration:
                return
        yield whole.spawn("item"), item


def _each(function: Callable[..., Any], *, starred: bool) -> Callable[[tuple[Lane, Any]], Any]:
    def each(laned: tuple[Lane, Any]) -> Any:
        lane, item = laned
        with entered(lane):
            return function(*item) if starred else function(item)

    return each


def _in(lane: Lane, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with entered(lane):
            return function(*args, **kwargs)

    return run


def _called(parent: Lane, callback: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    return None if callback is None else _in(parent.spawn(name_of(callback)), callback)


# -- at replay: what the clock is told


class _TaskQueue:
    """What a pool puts its sequences of tasks into; those of a run on a virtual clock are counted."""

    def __init__(self, pool: Any, queue: Any) -> None:
        self._pool_size: int = pool._processes  # noqa: SLF001 - of multiprocessing's Pool
        self._queue = queue

    def put(self, sequence: Any) -> None:
        """Queue (tasks, function for their number), or None at the end."""
        clock = virtual_clock()
        if clock is None or sequence is None:
            self._queue.put(sequence)
            return
        tasks, set_length = sequence
        clock.begin()
        self._queue.put((self._fed(tasks, clock), set_length))

    def _fed(self, tasks: Iterable[Any], clock: Clock) -> Iterator[Any]:
        """The tasks, each counted from when the pool's thread hands it over; that thread is an actor meanwhile."""
        with suppress(DeadlineExceeded):
            clock.started()
        try:
            for job, number, function, args, kwargs in tasks:
                clock.begin(self, workers=self._pool_size)
                yield job, number, functools.partial(_on_clock, clock, self, function), args, kwargs
        finally:
            clock.left()
            clock.end()


class _Counted:
    """A task's result on its way to where it is set."""

    def __init__(self, clock: Clock, pool: object) -> None:
        self.clock = clock
        self.pool = pool
        self.value: Any = None
        self.failed = False


def _on_clock(clock: Clock, pool: object, function: Callable[..., Any], *args: Any, **kwargs: Any) -> _Counted:
    counted = _Counted(clock, pool)
    try:
        clock.started(pool)
        counted.value = function(*args, **kwargs)
    except (Exception, DeadlineExceeded) as error:
        counted.value, counted.failed = error, True
    finally:
        clock.left()
    return counted


def _set(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def set_result(self: Any, i: int, obj: tuple[bool, Any]) -> None:
        counted = obj[1]
        if type(counted) is not _Counted:
            original(self, i, obj)
            return
        with suppress(DeadlineExceeded):
            counted.clock.started()
        try:
            original(self, i, (not counted.failed, counted.value))
        finally:
            counted.clock.left()
            counted.clock.end(counted.pool)

    return set_result


boundary = MultiprocessingPool()
