"""How a replay's calls differed from the recording: data only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Drift", "DriftKind"]


class DriftKind(StrEnum):
    """The kinds of drift; `judgement` decides which of them fail a guard.

    `projected-read`: a SELECT of some of the columns that a recorded one read, answered from its rows.
    `extended-read`: a read that the run lacks, answered by the supplement that `fluxrun extend` made.
    `answered`: a call that the run lacks, answered by the guard's own words.
    `derived-value`: an outcome shows what was computed from a redacted secret, and couldn't be compared there.
    `start-up`: import or lifespan made other calls than the preamble holds.
    """

    REPEATED_READ = "repeated-read"
    MISSING_READ = "missing-read"
    NEW_READ = "new-read"
    PROJECTED_READ = "projected-read"
    EXTENDED_READ = "extended-read"
    ANSWERED = "answered"
    REORDERED = "reordered"
    CHANGED_EFFECT = "changed-effect"
    MISSING_EFFECT = "missing-effect"
    NEW_EFFECT = "new-effect"
    COLD_READ = "cold-read"
    CLOCK_INTERPOLATED = "clock-interpolated"
    ENTROPY_EXTRA = "entropy-extra"
    START_UP = "start-up"
    VERIFICATION_SERVED = "verification-served"
    DERIVED_VALUE = "derived-value"
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
