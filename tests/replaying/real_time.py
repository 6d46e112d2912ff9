"""Time as it is, for tests of virtual time: read and waited for beneath every seam."""

from __future__ import annotations

import _thread
from collections.abc import Callable

from pytest_fluxrun import ambient

__all__ = ["real_s", "until"]


def real_s() -> float:
    """The real clock's seconds."""
    return ambient.monotonic_ns() / 1e9


def until(condition: Callable[[], object]) -> None:
    """Wait, for at most five seconds, until what other threads bring about holds."""
    deadline = real_s() + 5
    lock = _thread.allocate_lock()
    lock.acquire()
    while not condition():
        assert real_s() < deadline
        lock.acquire(timeout=0.005)
