"""concurrent.futures: a pool's job and a callback of a future run in lanes of their own, worker threads in none.

Records nothing. At replay the clock knows which jobs are queued and which run. Process pools are left alone.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable
from typing import Any

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import (
    Clock,
    Lane,
    carried,
    entered,
    name_of,
    open_lane,
    virtual_clock,
    within_context,
)
from pytest_fluxrun.places import is_infrastructure

__all__ = ["boundary"]


class ConcurrentFutures(Seams):
    """The seams of ThreadPoolExecutor."""

    name = "concurrent_futures"
    modules = ("concurrent.futures.thread", "concurrent.futures._base")

    def patches(self, module: Any) -> Iterable[Patch]:
        """Where a job is submitted, where its future has got the result, and who is told of it."""
        if module.__name__ == "concurrent.futures._base":
            yield Patch(module.Future, "add_done_callback", _add_done_callback)
            return
        yield Patch(module.ThreadPoolExecutor, "submit", _submit)
        yield Patch(module._WorkItem, "run", _work)  # noqa: SLF001 - a future's callbacks come too early


class _Job:
    """A submitted function, its lane, and (at replay) the clock that counts it."""

    __slots__ = ("clock", "function", "lane", "pool", "started")

    def __init__(self, function: Callable[..., Any], lane: Lane, clock: Clock | None, pool: object) -> None:
        self.function = function
        self.lane = lane
        self.clock = clock
        self.pool = pool
        self.started = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.clock is not None:
            self.started = True
            _running.job = self
            self.clock.started(self.pool)
        with entered(self.lane):
            return self.function(*args, **kwargs)

    def finish(self) -> None:
        """The future has its result and those who wait for it are notified."""
        if self.clock is not None:
            self.clock.left()
            self.clock.end(self.pool)

    def settled(self, future: Any) -> None:
        """The future is done; where the job never started, it won't any more."""
        del future
        if not self.started and self.clock is not None:
            self.clock.dropped(self.pool)


_running = threading.local()


def _submit(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        parent = open_lane()
        if parent is None:
            return original(self, fn, *args, **kwargs)
        named, laned = within_context(fn, args)
        lane, clock = parent.spawn(name_of(named)), virtual_clock()
        job = _Job(laned(lane), lane, clock, self)
        if clock is None:
            with entered(None):
                return original(self, job, *args, **kwargs)
        clock.begin(self, workers=self._max_workers)
        try:
            with entered(None):
                future = original(self, job, *args, **kwargs)
        except BaseException:
            clock.dropped(self)
            raise
        future.add_done_callback(job.settled)
        return future

    return submit


def _add_done_callback(original: Callable[..., None]) -> Callable[..., None]:
    """The app's callback runs in a lane of its own, on whichever thread; one of the machinery that waits in none."""

    @functools.wraps(original)
    def add_done_callback(self: Any, fn: Callable[[Any], Any]) -> None:
        parent = open_lane()
        if parent is None or not _is_apps(fn):
            return original(self, fn)
        named, laned = within_context(fn, ())
        lane = parent.spawn(name_of(named))
        return original(self, carried(laned(lane), lane))

    return add_done_callback


def _is_apps(function: Any) -> bool:
    """Whether a callback may make calls: not one in C, and not asyncio's or another library's that hands results on."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(function, "__code__", None)
    return code is not None and not is_infrastructure("", code.co_filename)


def _work(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def run(self: Any, *args: Any) -> None:
        try:
            original(self, *args)
        finally:
            job = _running.__dict__.pop("job", None)
            if job is not None:
                job.finish()

    return run


boundary = ConcurrentFutures()
