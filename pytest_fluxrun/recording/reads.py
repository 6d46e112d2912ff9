"""A lane's raw clock and entropy reads to the segments of a Recording. Runs on the writer's thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import CodeType
from typing import Any

from pytest_fluxrun.ambient import MOST_READS_PER_LANE
from pytest_fluxrun.columns import pack
from pytest_fluxrun.context import Lane
from pytest_fluxrun.instants import CLOCKS, stored
from pytest_fluxrun.places import is_infrastructure, place_of
from pytest_fluxrun.run import Read, Segment

__all__ = ["overflowed", "segments_of"]

_Group = tuple[list[Any], list[int]]


def segments_of(lanes: Iterable[tuple[Lane, Sequence[Any]]], *, position: Mapping[int, int]) -> Iterator[Segment]:
    """The reads of a finished recording's lanes, without those of infrastructure; empty segments are left out.

    Args:
        lanes: each with its `index`, and what `Lane.ambient` collected for it.
        position: sequence number of a kept crossing → index of its interaction. Unknown numbers are passed over: the
            reads after such a crossing count to the segment before it.
    """
    for lane, raw in lanes:
        yield from _segments(lane.index, raw, position)


def overflowed(raw: Sequence[Any]) -> bool:
    """Whether a lane made more reads than were collected."""
    return len(raw) >= MOST_READS_PER_LANE


def _segments(index: int, raw: Sequence[Any], position: Mapping[int, int]) -> Iterator[Segment]:
    after, start = -1, 0
    for end, item in enumerate(raw):
        if isinstance(item, int) and item in position:
            yield from _segment(index, after, raw[start:end])
            after, start = position[item], end + 1
    yield from _segment(index, after, raw[start:])


def _segment(lane: int, after: int, raw: Sequence[Any]) -> Iterator[Segment]:
    groups: dict[tuple[str, str], _Group] = {}
    by_code: dict[tuple[str, int, int], _Group | None] = {}
    clock_reads = 0
    for item in raw:
        if isinstance(item, int):
            continue
        function, code, lasti, value = item
        key = (function, id(code), lasti)
        if key in by_code:
            group = by_code[key]
        else:
            group = by_code[key] = _group(groups, function, code, lasti)
        if group is None:
            continue
        if function in CLOCKS:
            group[0].append(stored(function, value))
            group[1].append(clock_reads)
            clock_reads += 1
        else:
            group[0].append(value)
    if groups:
        yield Segment(lane, after, tuple(_packed(key, group) for key, group in groups.items()))


def _group(groups: dict[tuple[str, str], _Group], function: str, code: CodeType, lasti: int) -> _Group | None:
    """The group of a place's reads; None where they don't count."""
    if is_infrastructure(function, code.co_filename):
        return None
    return groups.setdefault((function, place_of(code, lasti)), ([], []))


def _packed(key: tuple[str, str], group: _Group) -> Read:
    function, where = key
    values, ranks = group
    return Read(function, where, pack(values), pack(ranks) if function in CLOCKS else None)
