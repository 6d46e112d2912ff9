"""asyncio and uvloop: a task, and a callback given to another thread's loop, run in a lane of their own.

A consumer of no run that takes a job from an asyncio.Queue works in the lane of the run that put it there. A loop that
is made while time is virtual keeps virtual time. Records nothing; the loop that drives the items isn't made here.
"""

from __future__ import annotations

import functools
import sys
from _asyncio import _get_running_loop
from asyncio import coroutines, current_task
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context, copy_context
from inspect import unwrap
from types import CodeType
from typing import Any, cast

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import LANE, Lane, name_of, open_lane, virtual_clock, within_context
from pytest_fluxrun.handover import BorrowedLane, ask_for_job, give_back, put_job, take_job, withdraw_job
from pytest_fluxrun.places import is_server

if sys.version_info >= (3, 12):
    from inspect import markcoroutinefunction

__all__ = ["boundary"]


class Asyncio(Seams):
    """The seams where tasks and loops are made."""

    name = "asyncio"
    modules = ("asyncio", "uvloop")

    def patches(self, module: Any) -> Iterable[Patch]:
        """Where the loop classes make tasks and are called by other threads; the makers of loops; asyncio.Queue."""
        if module.__name__ == "uvloop":
            yield Patch(module.Loop, "create_task", _create_task)
            yield Patch(module.Loop, "call_soon_threadsafe", _call_soon_threadsafe)
            yield Patch(module, "new_event_loop", _new_event_loop)
            return
        events = module.events
        yield Patch(module.BaseEventLoop, "create_task", _create_task)
        yield Patch(module.BaseEventLoop, "call_soon_threadsafe", _call_soon_threadsafe)
        policy = getattr(events, "BaseDefaultEventLoopPolicy", None) or events._BaseDefaultEventLoopPolicy  # noqa: SLF001 - 3.14
        yield Patch(policy, "new_event_loop", _new_event_loop)
        yield Patch(module.Queue, "put_nowait", _put_nowait)
        yield Patch(module.Queue, "get_nowait", _get_nowait)
        yield Patch(module.Queue, "get", _get)
        if sys.version_info < (3, 12):
            yield Patch(module.tasks, "wait_for", _wait_for)
            yield Patch(module, "wait_for", _wait_for)


def _create_task(original: Callable[..., Any]) -> Callable[..., Any]:
    """Spawn a lane for the task.

    A server's task gets none: on a kept-alive connection the next request is read, and its task started, in the context
    of the request before, whose background tasks may still be under way. The lifespan's belongs to the preamble.
    """

    @functools.wraps(original)
    def create_task(self: Any, coro: Any, **kwargs: Any) -> Any:
        gets_a_job = _gets_a_job(coro)
        if gets_a_job:
            give_back()
        parent = open_lane()
        if parent is None:
            return _handing_on(original(self, coro, **kwargs)) if gets_a_job else original(self, coro, **kwargs)
        code = getattr(coro, "cr_code", None)
        of_server = code is not None and is_server(code.co_filename) and not parent.session.preamble
        lane = None if of_server else parent.spawn(name_of(coro))
        context = kwargs.get("context")
        if context is not None:
            _enter(context, lane)
            return original(self, coro, **kwargs)
        token = LANE.set(lane)
        try:
            return original(self, coro, **kwargs)
        finally:
            LANE.reset(token)

    return create_task


def _enter(context: Context, lane: Lane | None) -> None:
    """Set the lane in a context that the caller chose; one that is running now shares its lane with the task."""
    try:
        context.run(LANE.set, lane)
    except RuntimeError:
        return


def _call_soon_threadsafe(original: Callable[..., Any]) -> Callable[..., Any]:
    """Spawn a lane for a callback that another thread's loop will run; numbered here, whenever it runs."""

    @functools.wraps(original)
    def call_soon_threadsafe(self: Any, callback: Any, *args: Any, context: Context | None = None) -> Any:
        parent = open_lane()
        if parent is None or _get_running_loop() is self:
            return original(self, callback, *args, context=context)
        named, laned = within_context(callback, args)
        lane = parent.spawn(name_of(named))
        context = context or copy_context()
        _enter(context, lane)
        return original(self, laned(lane), *args, context=context)

    return call_soon_threadsafe


def _put_nowait(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    @functools.wraps(original)
    def put_nowait(self: Any, item: Any) -> None:
        noted = put_job(self, item, self.qsize)
        try:
            original(self, item)
        except BaseException:
            if noted:
                withdraw_job(self, item)
            raise

    return put_nowait


def _get_nowait(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def get_nowait(self: Any) -> Any:
        ask_for_job(self)
        item = original(self)
        take_job(self, item)
        return item

    return get_nowait


def _get(original: Callable[[Any], Coroutine[Any, Any, Any]]) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    """No coroutine around the coroutine: queues are hot. Whoever calls this is about to wait."""

    @functools.wraps(original)
    def get(self: Any) -> Coroutine[Any, Any, Any]:
        ask_for_job(self)
        return original(self)

    if sys.version_info >= (3, 12):
        markcoroutinefunction(get)
    else:
        cast("Any", get)._is_coroutine = coroutines._is_coroutine  # type: ignore[attr-defined]  # noqa: SLF001 - its mark
    _getting.add(cast("Any", unwrap(original)).__code__)
    return get


_getting: set[CodeType] = set()
"""The code of `asyncio.Queue.get`: the lane of what it takes must reach the task that waits for it."""


def _gets_a_job(coroutine: Any) -> bool:
    return getattr(coroutine, "cr_code", None) in _getting


def _handing_on(task: Any) -> Any:
    """A task that gets a job for the one that made it, which isn't a run's: hand the job's lane on to that one.

    Python 3.11 doesn't tell the context of a task; there only `wait_for` hands it on.
    """
    taker: Any = current_task(task.get_loop()) if hasattr(task, "get_context") else None
    if taker is not None:
        task.add_done_callback(lambda done: _enter_borrowed(taker.get_context(), done.get_context().get(LANE)))
    return task


def _enter_borrowed(context: Context, lane: Lane | None) -> None:
    if isinstance(lane, BorrowedLane):
        _enter(context, lane)


def _wait_for(original: Callable[..., Any]) -> Callable[..., Any]:
    """Up to 3.11 it waits for a task of its own: the lane of a job that is got there is handed on to the caller."""

    @functools.wraps(original)
    async def wait_for(fut: Any, timeout: float | None) -> Any:  # noqa: ASYNC109 - its signature
        if not _gets_a_job(fut):
            return await original(fut, timeout)
        give_back()
        if open_lane() is not None:
            return await original(fut, timeout)
        lanes: list[Lane | None] = []

        async def get() -> Any:
            item = await fut
            lanes.append(LANE.get())
            return item

        try:
            item = await original(get(), timeout)
        finally:
            fut.close()  # where `get` was cancelled before it began
        if lanes and isinstance(lanes[0], BorrowedLane):
            LANE.set(lanes[0])
        return item

    return wait_for


def _new_event_loop(original: Callable[..., Any]) -> Callable[..., Any]:
    """Of a policy, or uvloop's function."""

    @functools.wraps(original)
    def new_event_loop(*policy: Any) -> Any:
        clock = virtual_clock()
        return original(*policy) if clock is None else clock.new_event_loop()

    return new_event_loop


boundary = Asyncio()
