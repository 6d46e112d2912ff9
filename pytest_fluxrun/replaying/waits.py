"""What waits on a virtual clock, in the order in which it is due. Wakes nobody by itself and locks nothing."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from typing import Any

__all__ = ["NEVER_NS", "Wait", "Waits"]

NEVER_NS = 1 << 62
"""When a wait without a time-out is due."""

_STALE_DUES = 64


class Wait:
    """A thread that waits on the clock, blocked on a held lock.

    Attributes:
        due_ns: when its virtual time comes.
        fired: its time has come.
        awake: it is known to be about to run, and counted so.
        guest: its thread is no actor of the run.
    """

    __slots__ = ("awake", "due_ns", "fired", "guest", "lock")

    def __init__(self, due_ns: int, lock: Any) -> None:
        self.due_ns = due_ns
        self.lock = lock
        self.fired = self.awake = self.guest = False

    def notified(self) -> bool:
        """Whether something else than the clock has ended the wait."""
        return not self.lock.locked()

    def wake(self) -> None:
        """End the wait, from any thread. The clock's mutex is held."""
        if self.lock.locked():
            self.lock.release()


class Waits:
    """The waits of one clock. The clock's mutex is held around every call."""

    def __init__(self) -> None:
        self._waits: dict[Wait, None] = {}
        self._due: list[tuple[int, int, Wait]] = []
        self._order = itertools.count()

    def __iter__(self) -> Iterator[Wait]:
        return iter(self._waits)

    def __bool__(self) -> bool:
        return bool(self._waits)

    def add(self, wait: Wait) -> None:
        """One more; among those due together it comes last."""
        self._waits[wait] = None
        if wait.due_ns >= NEVER_NS:
            return
        if len(self._due) > _STALE_DUES and len(self._due) > 2 * len(self._waits):
            self._due = [entry for entry in self._due if entry[2] in self._waits]
            heapq.heapify(self._due)
        heapq.heappush(self._due, (wait.due_ns, next(self._order), wait))

    def remove(self, wait: Wait) -> None:
        """Its thread waits no more."""
        self._waits.pop(wait, None)

    def earliest_ns(self) -> int:
        """When the next of those that nothing has woken is due, or `NEVER_NS`."""
        due = self._due
        while due and (due[0][2].awake or due[0][2] not in self._waits):
            heapq.heappop(due)
        return due[0][0] if due else NEVER_NS

    def take_earliest(self) -> Wait:
        """The wait that `earliest_ns` has just spoken of."""
        return heapq.heappop(self._due)[2]
