"""How a replay's calls differed from the recording: data only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Drift", "DriftKind"]


class DriftKind(StrEnum):
    """The kinds of drift; `judgement` decides which of them fail a guard."""

    REPEATED_READ = "repeated-read"
    MISSING_READ = "missing-read"
    NEW_READ = "new-read"
    REORDERED = "reordered"
    CHANGED_EFFECT = "changed-effect"
    MISSING_EFFECT = "missing-effect"
    NEW_EFFECT = "new-effect"
    CLOCK_INTERPOLATED = "clock-interpolated"
    ENTROPY_EXTRA = "entropy-extra"
    START_UP = "start-up"
    VERIFICATION_SERVED = "verification-served"
    LATE_CALL = "late-call"


@dataclass(frozen=True, slots=True)
class Drift:
    """One observation.

    Args:
        kind: what sort of difference.
        call: number of the recorded call that it concerns, from 1; 0 where there is none.
        text: the call or read on one line.
        paths: where the arguments differ, as `call[3].request.body.amount: 1000 -> 1200`.
    """

    kind: DriftKind
    call: int
    text: str
    paths: tuple[str, ...] = ()
