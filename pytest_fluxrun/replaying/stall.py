"""How far the clock may be forced when an actor is blocked where it can't be seen: in a C lock, a SimpleQueue, a pipe.

The longer all running actors stay asleep without CPU, the more virtual time may pass: short waits end soon, and a
time-out of seconds still leaves a real subprocess the time to end. Moves no clock itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pytest_fluxrun import ambient
from pytest_fluxrun.replaying.debugging import at_a_prompt
from pytest_fluxrun.replaying.foreign_threads import cpu_of

__all__ = ["Stall"]

_LOOK_NS = 15_000_000
_FIRST_ALLOWANCE_NS = 50_000_000


class Stall:
    """One clock's memory of how long its running actors have been asleep."""

    def __init__(self) -> None:
        self._seen: Any = None
        self._looked_ns = 0
        self._allowance_ns = 0

    def over(self) -> None:
        """Something happened on the clock."""
        self._seen = None

    def allowance_ns(self, jumps: int, native_ids: Iterable[int]) -> int:
        """How much virtual time may be forced now; -1 while the actors work or have only just fallen asleep.

        Args:
            jumps: how often the clock has jumped.
            native_ids: kernel ids of the threads that seem to run.
        """
        now_ns = ambient.monotonic_ns()
        if now_ns - self._looked_ns < _LOOK_NS:
            return -1
        self._looked_ns = now_ns
        looks = [cpu_of(native_id) for native_id in native_ids]
        seen = (jumps, looks)
        if at_a_prompt():
            self._seen = None
            return -1
        if seen != self._seen or any(look is not None and look[0] in "RD" for look in looks):
            self._seen, self._allowance_ns = seen, _FIRST_ALLOWANCE_NS
            return -1
        self._allowance_ns *= 2
        return self._allowance_ns
