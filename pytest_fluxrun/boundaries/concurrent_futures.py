"""concurrent.futures: a pool's job runs in a lane of its own, its worker threads in none.

Records nothing. At replay the clock knows which jobs are queued and which run. Process pools are left alone.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Any

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import Clock, Lane, entered, name_of, open_lane, virtual_clock

__all__ = ["boundary"]


class ConcurrentFutures(Seams):
    """The seams of ThreadPoolExecutor."""

    name = "concurrent_futures"
    modules = ("concurrent.futures.thread",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """Where a job is submitted, and where its future has got the result."""
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
        named, laned = _laned(fn, args)
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


def _laned(fn: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Callable[[Lane], Callable[..., Any]]]:
    """What to name the lane after, and what makes the job's function for a lane.

    Sees through `Context.run`, as asyncio.to_thread submits it: the lane must be set within that context.
    """
    run, given, keywords = (fn.func, fn.args, fn.keywords) if type(fn) is functools.partial else (fn, (), {})
    inner = (*given, *args)
    if not inner or not isinstance(getattr(run, "__self__", None), Context):
        return fn, lambda _: fn
    return inner[0], lambda lane: functools.partial(run, _in_lane, lane, *given, **keywords)


def _in_lane(lane: Lane, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with entered(lane):
        return function(*args, **kwargs)


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
