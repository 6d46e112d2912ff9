"""How a replay differed from the recording, the outcome aside: data only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Drift", "DriftKind"]


class DriftKind(StrEnum):
    """The kinds of drift. No two are said of one difference; `judgement.drift_rules` decides which of them fail.

    Reads are answered by what was recorded (`repeated-read`, `projected-read`), at start-up (`new-read`), by earlier
    runs (`cold-read`), by a supplement (`extended-read`) or by the guard's own words (`answered`, also for effects).
    A recorded call that wasn't made is a `missing-effect`; or a `missing-read`, if it can be asked any number of times;
    or else `unplayed`: a message, a process's output, a connection's upkeep.
    """

    REPEATED_READ = "repeated-read"
    MISSING_READ = "missing-read"
    NEW_READ = "new-read"
    PROJECTED_READ = "projected-read"
    EXTENDED_READ = "extended-read"
    COLD_READ = "cold-read"
    ANSWERED = "answered"
    REORDERED = "reordered"
    CHANGED_EFFECT = "changed-effect"
    MISSING_EFFECT = "missing-effect"
    NEW_EFFECT = "new-effect"
    UNPLAYED = "unplayed"
    CHANGED_PAUSE = "changed-pause"
    LATE_CALL = "late-call"
    CLOCK_INTERPOLATED = "clock-interpolated"
    ENTROPY_EXTRA = "entropy-extra"
    VERIFICATION_SERVED = "verification-served"
    DERIVED_VALUE = "derived-value"
    START_UP = "start-up"
    AGED = "aged"


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
