"""When the served calls under way end, in virtual time. Waits on nothing and moves no clock.

A call takes its recorded duration from when it is made. A replay spends no time on computing, so calls made at other
moments than recorded could end in another order: those that end close together end in the order in which they did.
"""

from __future__ import annotations

import itertools
import threading

from pytest_fluxrun.run import Interaction

__all__ = ["CLOSE_NS", "UnderWay"]

CLOSE_NS = 100_000_000
"""Computing under load shifts calls by this much; what is further apart was moved by the code."""


class UnderWay:
    """The served calls of one replay that haven't ended. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets = itertools.count()
        self._ends: dict[int, tuple[int, int]] = {}

    def begin(self, interaction: Interaction, now_ns: int, settling_ns: int = 0) -> tuple[int, float]:
        """A call is made now.

        Args:
            settling_ns: what belongs to it after its recorded end.

        Returns:
            What `end` is told, and the seconds that the call takes.
        """
        ended_ns = interaction.ended_ns + settling_ns
        due_ns = now_ns + max(0, ended_ns - interaction.started_ns)
        with self._lock:
            if self._ends:
                due_ns = max(self._in_order(due_ns, ended_ns), now_ns)
            ticket = next(self._tickets)
            self._ends[ticket] = (due_ns, ended_ns)
        return ticket, (due_ns - now_ns) / 1e9

    def _in_order(self, due_ns: int, ended_ns: int) -> int:
        """The end, moved between those under way that ended before it and those that ended after. The lock is held."""
        close = [end for end in self._ends.values() if abs(end[0] - due_ns) <= CLOSE_NS]
        before = max((end for end in close if end[1] < ended_ns), default=None)
        after = min((end for end in close if end[1] > ended_ns), default=None)
        room_ns = 2 * CLOSE_NS if before is None or after is None else after[0] - before[0]
        if before is not None and due_ns <= before[0]:
            due_ns = before[0] + min(ended_ns - before[1], room_ns // 2)
        if after is not None and due_ns >= after[0]:
            due_ns = after[0] - min(after[1] - ended_ns, room_ns // 2)
        return due_ns

    def end(self, ticket: int) -> None:
        """The call was answered or given up."""
        with self._lock:
            del self._ends[ticket]
