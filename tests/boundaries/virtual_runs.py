"""A coroutine recorded with its outside, and driven again on a virtual clock without it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pytest_fluxrun.replaying import event_loop
from pytest_fluxrun.replaying.event_loop import VirtualLoop
from pytest_fluxrun.replaying.virtual_clock import VirtualClock
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer, Recorded

__all__ = ["Body", "both", "record", "replay"]

Body = Callable[[], Awaitable[Any]]


def record(body: Body) -> tuple[Any, list[Recorded]]:
    """A coroutine in a recorded run: what it returned, and what was recorded."""
    recorder = MemoryRecorder()
    with recorder.open():
        returned = asyncio.run(body())
    return returned, recorder.finish()


def replay(recorded: list[Recorded], body: Body, clock: VirtualClock | None = None) -> Any:
    """The coroutine again, answered from the recording on a virtual clock."""
    clock = clock or VirtualClock()
    replayer = MemoryReplayer(recorded, clock=clock)
    loop = VirtualLoop()
    try:
        with replayer.open():
            return event_loop.drive(loop, body(), clock)
    finally:
        event_loop.finish(loop, clock)
        loop.close()


def both(outside: Any, body: Body) -> tuple[Any, Any]:
    """What a coroutine returns with its outside there, and then without."""
    expected, recorded = record(body)
    outside.take_away()
    return expected, replay(recorded, body)
