"""When the served calls under way end, in virtual time. Waits on nothing and moves no clock.

A call takes its recorded duration from when it is made. A replay spends no time on computing, so calls made at other
moments than recorded could end in another order: those that end close together end as far apart as they did.
"""

from __future__ import annotations

import itertools
import threading

from pytest_fluxrun.run import Interaction

__all__ = ["UnderWay"]

_CLOSE_NS = 100_000_000
"""Computing under load shifts calls by this much; what is further apart was moved by the code."""


class UnderWay:
    """The served calls of one replay that haven't ended. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tickets = itertools.count()
        self._ends: dict[int, tuple[int, int]] = {}

    def begin(self, interaction: Interaction, now_ns: int) -> tuple[int, float]:
        """A call is made now.

        Returns:
            What `end` is told, and the seconds that the call takes.
        """
        due_ns = now_ns + max(0, interaction.ended_ns - interaction.started_ns)
        with self._lock:
            close = [end for end in self._ends.values() if abs(end[0] - due_ns) <= _CLOSE_NS]
            for other_due_ns, other_ended_ns in close:
                apart_ns = interaction.ended_ns - other_ended_ns
                if (due_ns - other_due_ns) * apart_ns <= 0:
                    due_ns = other_due_ns + apart_ns
            due_ns = max(due_ns, now_ns)
            ticket = next(self._tickets)
            self._ends[ticket] = (due_ns, interaction.ended_ns)
        return ticket, (due_ns - now_ns) / 1e9

    def end(self, ticket: int) -> None:
        """The call was answered or given up."""
        with self._lock:
            del self._ends[ticket]
