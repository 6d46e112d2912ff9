"""time.sleep: in a replayed run the wait is virtual. Records nothing.

A `from time import sleep` that ran before the seam was installed escapes it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import virtual_clock

__all__ = ["boundary"]


class Sleep(Seams):
    """The seam in the time module."""

    name = "sleep"
    modules = ("time",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """time.sleep."""
        yield Patch(module, "sleep", _sleep)


def _sleep(original: Callable[[float], None]) -> Callable[[float], None]:
    @functools.wraps(original)
    def sleep(seconds: float, /) -> None:
        clock = virtual_clock()
        if clock is None:
            return original(seconds)
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        return clock.sleep(seconds)

    return sleep


boundary = Sleep()
