"""What one fence blocks, and the process-wide switch that says which fence is up. Knows no seam that asks it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from pytest_fluxrun.fence.attempts import Attempt, attempt_here, made_by_infrastructure
from pytest_fluxrun.fence.writable import Writable

__all__ = ["Rules", "is_harmless", "raise_rules", "up"]

_HARMLESS = frozenset(
    int(getattr(socket, name)) for name in ("AF_NETLINK", "AF_ALG", "AF_ROUTE", "AF_SYSTEM") if hasattr(socket, name)
)
"""Families that lead to this machine's own kernel and nowhere else."""


@dataclass(slots=True, eq=False)
class Rules:
    """One fence's rules and what it has blocked so far. Safe to use from any thread.

    Args:
        writable: where files may be written.
        keep: inodes of sockets that are the test run's own.
        on_blocked: told of each attempt, on the thread that made it.
        killed: descriptors that lead nowhere for now.
    """

    writable: Writable
    keep: frozenset[int]
    on_blocked: Callable[[Attempt], None] | None
    killed: frozenset[int] = frozenset()
    attempts: list[Attempt] = field(default_factory=list)

    def refuse(self, event: str, target: str) -> None:
        """Record the attempt and raise, unless the test run's own machinery made it.

        Raises:
            LeakedCall: always, for anybody else.
        """
        if made_by_infrastructure():
            return
        attempt = attempt_here(event, target)
        self.attempts.append(attempt)
        if self.on_blocked is not None:
            self.on_blocked(attempt)
        raise attempt.error()

    def keeps(self, descriptor: int) -> bool:
        """Whether the descriptor is one of the sockets that were there before any app."""
        try:
            return bool(self.keep) and os.fstat(descriptor).st_ino in self.keep
        except OSError:
            return False


up: Rules | None = None
"""The rules that are up, or None. Read as an attribute of the module; set by `raise_rules` alone."""


def raise_rules(rules: Rules | None) -> Rules | None:
    """Put these rules up, or take the fence down with None.

    Returns:
        What was up before.
    """
    global up  # the one switch that every seam of the fence reads first
    before, up = up, rules
    return before


def is_harmless(family: int) -> bool:
    """Whether sockets of a family never leave this process or its kernel, whatever their address."""
    return family in _HARMLESS
