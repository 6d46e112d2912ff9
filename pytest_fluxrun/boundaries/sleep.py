"""time.sleep and asyncio.sleep: how long a run pauses is kept, and in a replayed run time.sleep's wait is virtual.

A `from time import sleep` that ran before the seam was installed escapes it. asyncio keeps virtual time itself.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Awaitable, Callable, Iterable
from types import FrameType
from typing import Any

from pytest_fluxrun import ambient
from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import LANE, by_server, virtual_clock
from pytest_fluxrun.places import is_own, module_of, past_libraries

__all__ = ["boundary"]


class Sleep(Seams):
    """The seams in time and asyncio."""

    name = "sleep"
    modules = ("time", "asyncio")

    def patches(self, module: Any) -> Iterable[Patch]:
        """The two functions, asyncio's in both of the modules that hold it."""
        if module.__name__ == "time":
            yield Patch(module, "sleep", _sleep)
            return
        yield Patch(module.tasks, "sleep", _asyncio_sleep)
        yield Patch(module, "sleep", _asyncio_sleep)


def _sleep(original: Callable[[float], None]) -> Callable[[float], None]:
    @functools.wraps(original)
    def sleep(seconds: float, /) -> None:
        _keep_pause("time.sleep", seconds)
        clock = virtual_clock()
        if clock is None:
            return original(seconds)
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        return clock.sleep(seconds)

    return sleep


def _asyncio_sleep(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    async def sleep(delay: float, result: Any = None) -> Any:
        _keep_pause("asyncio.sleep", delay)
        return await original(delay, result)

    return sleep


def _keep_pause(function: str, seconds: Any) -> None:
    """Keep how long code of the app is about to pause, itself or through a library; nothing of what isn't the run's."""
    lane = LANE.get()
    if lane is None or lane.ambient is None or lane.inside or lane.session.preamble:
        return
    if not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        return
    frame = past_libraries(sys._getframe(2))  # noqa: SLF001 - who pauses
    if module_of(frame.f_code.co_filename) or _is_servers(frame):
        return
    reads = lane.ambient
    if type(reads) is not list:
        reads(function, float(seconds))
    elif len(reads) < ambient.MOST_READS_PER_LANE and not lane.session.closed:
        reads.append((function, frame.f_code, frame.f_lasti, float(seconds)))


def _is_servers(frame: FrameType | None) -> bool:
    """Whether the run's server does this, or what stands for it: not the code that it serves."""
    while frame is not None and not is_own(frame.f_code.co_filename):
        frame = frame.f_back
    return frame is not None and frame.f_code is by_server.__code__


boundary = Sleep()
