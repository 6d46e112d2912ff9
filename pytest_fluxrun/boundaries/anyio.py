"""anyio: its worker threads carry the context, and the lane with it; at replay the clock counts their jobs.

Records nothing. A job counts from when it is handed to the worker until the event loop has its result.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import Clock, entered, run_job, virtual_clock

__all__ = ["boundary"]

_JOBS = "_fluxrun_jobs"


class Anyio(Seams):
    """The seams of the asyncio backend's worker threads."""

    name = "anyio"
    modules = ("anyio._backends._asyncio",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """WorkerThread: how it starts, is handed a job, and reports."""
        yield Patch(module.WorkerThread, "__init__", _init)
        yield Patch(module.WorkerThread, "start", _start)
        yield Patch(module.WorkerThread, "_report_result", _report_result)


def _init(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        jobs: deque[Clock | None] = deque()
        setattr(self, _JOBS, jobs)
        self.queue.put_nowait = functools.partial(_hand_over, jobs, self.queue.put_nowait)

    return init


def _start(original: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(original)
    def start(self: Any) -> None:
        with entered(None):
            original(self)

    return start


def _hand_over(jobs: deque[Clock | None], put: Callable[[Any], None], item: Any) -> None:
    """Queue a job `(context, function, args, future, scope)`; None, which ends the worker, is none.

    The job's context holds its lane: the queue, which is a queue.Queue, must not give the worker another one.
    """
    if item is None:
        put(item)
        return
    clock = virtual_clock()
    jobs.append(clock)
    context, function, *rest = item
    job = functools.partial(run_job, function)
    if clock is not None:
        clock.begin()
        job = functools.partial(_on_clock, clock, job)
    item = (context, job, *rest)
    with entered(None):
        put(item)


def _on_clock(clock: Clock, function: Callable[..., Any], *args: Any) -> Any:
    try:
        clock.started()
        return function(*args)
    finally:
        clock.left()


def _report_result(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def report(self: Any, *args: Any) -> None:
        try:
            original(self, *args)
        finally:
            clock = self.__dict__[_JOBS].popleft()
            if clock is not None:
                clock.end()

    return report


boundary = Anyio()
