"""What a replay showed, as data for judgement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_fluxrun.drift import Drift

__all__ = ["Evidence"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a replay showed.

    Attributes:
        recorded: the run's outcome.
        outcome: the replay's, or None where the deadline ended it.
        unrecorded: message of the latched miss, or "".
        asked: the missed call on one line, or "".
        all_played: the miss came after every recorded interaction had been played.
        leaks: blocked live side effects, one line each.
        deadline: what was waited for, or "".
        drifts: in the order of happening.
        tokens: what stands for secrets in the recorded outcome.
        recorded_logs: the run's log records, as `level logger: message`.
        logs: the replay's.
    """

    recorded: Any
    outcome: Any
    unrecorded: str = ""
    asked: str = ""
    all_played: bool = False
    leaks: tuple[str, ...] = ()
    deadline: str = ""
    drifts: tuple[Drift, ...] = ()
    tokens: tuple[str, ...] = ()
    recorded_logs: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
