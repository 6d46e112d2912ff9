"""A recording's clock and entropy reads, unpacked for serving: per lane, per segment, in order. Knows no clock."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from pytest_fluxrun.columns import unpack
from pytest_fluxrun.errors import DamagedBundle
from pytest_fluxrun.instants import CLOCKS
from pytest_fluxrun.places import lines_of, split_place
from pytest_fluxrun.replaying.pauses import PAUSES
from pytest_fluxrun.run import Recording, Segment

__all__ = ["ClockRead", "Reader", "RecordedLane", "RecordedSegment", "clock_reads", "recorded_lanes"]

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ClockRead:
    """One recorded clock read; `form` as `instants` stores it."""

    function: str
    where: str
    form: Any


@dataclass(frozen=True, slots=True)
class Reader:
    """Code that asks for a read now."""

    function: str
    where: str
    code: CodeType


@dataclass(slots=True)
class RecordedSegment:
    """A lane's clock reads between two of its crossings.

    Attributes:
        number: the segment's place in its lane's order of happening.
        clock: the reads, in order.
        taken: how many of them were served or passed over.
    """

    number: int
    clock: list[ClockRead] = field(default_factory=list)
    taken: int = 0
    _ranks: dict[_Key, list[int]] = field(default_factory=dict)

    def add(self, function: str, where: str, forms: list[Any], ranks: list[int]) -> None:
        """Put one place's reads at their ranks.

        Raises:
            DamagedBundle: values and ranks don't go together.
        """
        if len(forms) != len(ranks) or any(type(rank) is not int or rank < 0 for rank in ranks):
            raise DamagedBundle("a segment of clock reads is damaged", why=f"the ranks of {function} are wrong")
        self._ranks[function, where] = ranks
        for form in forms:
            self.clock.append(ClockRead(function, where, form))

    def sort(self) -> None:
        """Bring the added reads into their order.

        Raises:
            DamagedBundle: the ranks aren't 0, 1, 2, ….
        """
        ranks = [rank for some in self._ranks.values() for rank in some]
        if sorted(ranks) != list(range(len(self.clock))):
            raise DamagedBundle("a segment of clock reads is damaged", why="its ranks aren't consecutive")
        by_rank = dict(zip(ranks, self.clock, strict=True))
        self.clock = [by_rank[rank] for rank in range(len(ranks))]

    def next(self) -> ClockRead | None:
        """The read that comes next if the code hasn't changed."""
        return self.clock[self.taken] if self.taken < len(self.clock) else None

    def take(self, reader: Reader) -> ClockRead | None:
        """The next read of the reader's place, or the very next one if its place is the reader's under an older name.

        Reads before it are passed over: the code doesn't make them any more.
        """
        upcoming = self.next()
        if upcoming is None:
            return None
        if upcoming.function == reader.function and upcoming.where == reader.where:
            rank = self.taken
        else:
            ranks = self._ranks.get((reader.function, reader.where), [])
            position = bisect_left(ranks, self.taken)
            if position < len(ranks):
                rank = ranks[position]
            elif upcoming.function == reader.function and _is_older_name(upcoming.where, reader):
                rank = self.taken
            else:
                return None
        self.taken = rank + 1
        return self.clock[rank]


class RecordedLane:
    """The reads of one recorded lane. Not thread-safe.

    Attributes:
        segments: by the index of the interaction that each follows, -1 at the lane's start.
    """

    def __init__(self) -> None:
        self.segments: dict[int, RecordedSegment] = {}
        self._values: dict[_Key, dict[int, deque[Any]]] = {}
        self._older: dict[_Key, _Key] = {}

    def add(self, segment: Segment) -> None:
        """Unpack a segment.

        Raises:
            DamagedBundle: it is inconsistent.
        """
        recorded = self.segments[segment.after] = RecordedSegment(len(self.segments))
        for read in segment.reads:
            values = unpack(read.values)
            if read.function in CLOCKS:
                recorded.add(read.function, read.where, values, unpack(read.order))
            elif read.function not in PAUSES:
                self._values.setdefault((read.function, read.where), {})[segment.after] = deque(values)
        recorded.sort()

    def take_value(self, reader: Reader, after: int, fits: Callable[[Any], bool]) -> tuple[bool, Any]:
        """The next entropy value of the reader's place.

        It is of the running segment, or, where the place drew nothing there, of the first other segment: an id made
        earlier or later than recorded is still that id.

        Args:
            after: the running segment.
            fits: whether a value answers the call.

        Returns:
            Whether there is one, and the value.
        """
        by_segment = self._values.get(self._recorded_key(reader), {})
        here = by_segment.get(after)
        queues = by_segment.values() if here is None else (here,)
        for queue in queues:
            if queue:
                return (True, queue.popleft()) if fits(queue[0]) else (False, None)
        return False, None

    def ahead(self, after: int, latest: int) -> tuple[int, RecordedSegment] | None:
        """The first later segment with reads that are left, and the interaction that it follows.

        Args:
            after: the interaction after which the lane is.
            latest: the number of the segment from which a read was served last.
        """
        for interaction, segment in self.segments.items():
            if interaction > after and segment.number >= latest and segment.next() is not None:
                return interaction, segment
        return None

    def _recorded_key(self, reader: Reader) -> _Key:
        """The reader's place as recorded: its own, or one under an older name that no other place has taken over."""
        key = (reader.function, reader.where)
        if key in self._values or key in self._older:
            return self._older.get(key, key)
        taken_over = set(self._older.values())
        for other in self._values:
            if other[0] == reader.function and other not in taken_over and _is_older_name(other[1], reader):
                self._older[key] = other
                return other
        return key


def recorded_lanes(recording: Recording) -> dict[int, RecordedLane]:
    """The reads of a recording by lane index.

    Raises:
        DamagedBundle: a segment is inconsistent.
    """
    lanes: dict[int, RecordedLane] = {}
    for segment in recording.segments:
        lanes.setdefault(segment.lane, RecordedLane()).add(segment)
    return lanes


def clock_reads(lanes: dict[int, RecordedLane]) -> Iterator[ClockRead]:
    """All clock reads, lane by lane."""
    for lane in lanes.values():
        for segment in lane.segments.values():
            yield from segment.clock


def _is_older_name(recorded: str, reader: Reader) -> bool:
    """Whether a recorded place is the reader's before a change of the code.

    That is the same expression in a function of that name or on such a line, while the recorded line is gone.
    """
    name, fragment, line = split_place(recorded)
    now_name, now_fragment, now_line = split_place(reader.where)
    if not fragment:
        return name == now_name
    if fragment != now_fragment:
        return False
    if name != now_name:
        return line == now_line
    return line not in lines_of(reader.code)
