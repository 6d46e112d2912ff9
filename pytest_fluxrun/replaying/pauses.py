"""How long a replayed program pauses, against how long the recorded one did. Knows no clock.

What counts is which lengths there were, not how many of each, in which order or where: a program that polls pauses more
or less often as its answers come, and moved code pauses as before. Pauses that the recording lacks are no difference by
themselves, since one made through a name that was imported before the seam was installed isn't recorded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_fluxrun.columns import unpack
from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.places import split_place
from pytest_fluxrun.run import Recording

__all__ = ["PAUSES", "Pause", "changed_pauses", "recorded_pauses"]

PAUSES: Final = frozenset({"time.sleep", "asyncio.sleep"})
_MOST_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Pause:
    """One length at one place.

    Args:
        function: `time.sleep` or `asyncio.sleep`.
        where: as `places.place_of` says it.
        seconds: how long.
    """

    function: str
    where: str
    seconds: float


def recorded_pauses(recording: Recording) -> dict[Pause, None]:
    """Those of a recording, each once, in the order of their lanes."""
    return {
        Pause(read.function, read.where, seconds): None
        for segment in recording.segments
        for read in segment.reads
        if read.function in PAUSES
        for seconds in unpack(read.values)
    }


def changed_pauses(recorded: Iterable[Pause], made: Iterable[Pause]) -> Iterator[Drift]:
    """A drift for each place of which a length isn't paused for any more, by no code of the run."""
    before, after = list(recorded), list(made)
    gone: dict[tuple[str, str], list[float]] = {}
    for pause in _unlike(before, after):
        gone.setdefault((pause.function, pause.where), []).append(pause.seconds)
    new = list(_unlike(after, before)) if gone else []
    for (function, where), lengths in gone.items():
        name, _, line = split_place(where)
        instead = [pause.seconds for pause in new if split_place(pause.where)[0] == name]
        text = f"{function}() in {name}" + (f": {line}" if line else "")
        yield Drift(DriftKind.CHANGED_PAUSE, 0, f"{text}: {_shown(lengths)} → {_shown(instead) or 'none'}")


def _unlike(some: Iterable[Pause], others: Sequence[Pause]) -> Iterator[Pause]:
    """Those as long as none of the others, by more than a twentieth and a millisecond: what is left of a time limit
    is computed from clocks, which show another time in a replay where code is new.
    """
    lengths = sorted({other.seconds for other in others})
    for pause in some:
        tolerance_s = pause.seconds / 20 + 0.001
        position = bisect_left(lengths, pause.seconds - tolerance_s)
        if position == len(lengths) or lengths[position] > pause.seconds + tolerance_s:
            yield pause


def _shown(lengths: Sequence[float]) -> str:
    shown = ", ".join(f"{seconds:.6g} s" for seconds in lengths[:_MOST_SHOWN])
    return f"{shown} and {len(lengths) - _MOST_SHOWN} more" if len(lengths) > _MOST_SHOWN else shown
