"""Without the C extension: a time-machine traveller that shows runs their virtual time and all else the real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pytest_fluxrun import ambient
from pytest_fluxrun.context import LANE

__all__ = ["travelling"]


@contextmanager
def travelling() -> Iterator[None]:
    """For the block, serve `datetime.now()`, `date.today()` and copies of `time.time` to runs; nothing to do natively.

    What is served so isn't in recordings made without the extension: it lies on the run's time line and is noted as
    `clock-interpolated`.
    """
    if ambient.is_native():
        yield
        return
    import time_machine

    class LaneTraveller(time_machine.Traveller):
        def time_ns(self) -> int:
            real_ns: int = time_machine.escape_hatch.time.time_ns()
            lane = LANE.get()
            reads: Any = None if lane is None else lane.ambient
            if not callable(reads):
                return real_ns
            value = reads("time.time_ns")
            return real_ns if value is NotImplemented else int(value)

    with time_machine.travel(0, tick=False):
        before = time_machine.traveller_stack[-1]
        time_machine.traveller_stack[-1] = LaneTraveller(0, None, tick=False)
        try:
            yield
        finally:
            time_machine.traveller_stack[-1] = before
