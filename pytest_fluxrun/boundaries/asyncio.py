"""asyncio and uvloop: a task runs in a lane of its own; a loop that a replayed run makes for itself is virtual.

Records nothing. The loop that drives the items isn't made here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Any

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import LANE, Lane, name_of, open_lane, virtual_clock
from pytest_fluxrun.places import is_server

__all__ = ["boundary"]


class Asyncio(Seams):
    """The seams where tasks and loops are made."""

    name = "asyncio"
    modules = ("asyncio", "uvloop")

    def patches(self, module: Any) -> Iterable[Patch]:
        """`create_task` of the loop classes; asyncio's policy."""
        if module.__name__ == "uvloop":
            yield Patch(module.Loop, "create_task", _create_task)
            return
        yield Patch(module.BaseEventLoop, "create_task", _create_task)
        events = module.events
        policy = getattr(events, "BaseDefaultEventLoopPolicy", None) or events._BaseDefaultEventLoopPolicy  # noqa: SLF001 - 3.14
        yield Patch(policy, "new_event_loop", _new_event_loop)


def _create_task(original: Callable[..., Any]) -> Callable[..., Any]:
    """Spawn a lane for the task.

    A server's task gets none: on a kept-alive connection the next request is read, and its task started, in the context
    of the request before, whose background tasks may still be under way. The lifespan's belongs to the preamble.
    """

    @functools.wraps(original)
    def create_task(self: Any, coro: Any, **kwargs: Any) -> Any:
        parent = open_lane()
        if parent is None:
            return original(self, coro, **kwargs)
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


def _new_event_loop(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def new_event_loop(self: Any) -> Any:
        clock = virtual_clock()
        return original(self) if clock is None else clock.new_event_loop()

    return new_event_loop


boundary = Asyncio()
