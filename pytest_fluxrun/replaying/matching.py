"""Which recorded interaction answers a call: an index by (kind, canonical call), never a scan. Pure; no I/O.

Order: same call in the same lane; in the lane at the same spawn position; in any lane, oldest first.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import islice

from pytest_fluxrun.boundary import Kind, Picks, Request
from pytest_fluxrun.derived import Derived
from pytest_fluxrun.run import Interaction, LaneSpec
from pytest_fluxrun.tokens import Tokens
from pytest_fluxrun.values import decode

__all__ = ["Matcher"]

_LEAST_ALIKE = 0.75
_MOST_COMPARED = 200

LanePath = tuple[tuple[str, int], ...]
LanePosition = tuple[int, ...]


@dataclass(slots=True)
class _Queue:
    """Recorded interactions that equal each other canonically, oldest first, also by lane."""

    any_lane: deque[int] = field(default_factory=deque)
    by_path: dict[LanePath, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    by_position: dict[LanePosition, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    last_answered: int = -1
    repeats: int = 0

    def add(self, index: int, lane: LaneSpec) -> None:
        self.any_lane.append(index)
        self.by_path[lane.path].append(index)
        self.by_position[lane.position].append(index)


class Matcher:
    """The unplayed interactions of one recording. Not thread-safe: the replayer holds its lock.

    Args:
        interactions: the recording's, in order.
        lanes: the recording's.
        tokens: what stands for secrets in it: a call that holds the secret itself there still matches.
    """

    def __init__(
        self, interactions: tuple[Interaction, ...], lanes: tuple[LaneSpec, ...], tokens: tuple[str, ...] = ()
    ) -> None:
        self._interactions = interactions
        self._lanes = lanes
        self._played = bytearray(len(interactions))
        self._requests: dict[int, Request] = {}
        self._exact: dict[str, dict[str, _Queue]] = {}
        self._operations: dict[tuple[str, str], _Queue] = defaultdict(_Queue)
        self._tokens = Tokens(tokens)
        self._redacted: dict[tuple[str, str], list[tuple[re.Pattern[str], str]]] = defaultdict(list)
        self._same: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._families: dict[str, dict[str, list[int]]] = {}

    def request(self, index: int) -> Request:
        """A recorded request in its kind's form, decoded once."""
        if index not in self._requests:
            self._requests[index] = decode(self._interactions[index].request)
        return self._requests[index]

    def take(self, kind: Kind, canonical: str, path: LanePath, position: LanePosition) -> int | None:
        """The interaction that answers a call, marked as played; None if none is left."""
        queue = self._queues(kind).get(canonical)
        if queue is None:
            return None
        index = self._pop(queue, path, position)
        if index is not None:
            queue.last_answered = index
        return index

    def unredacted(self, kind: Kind, operation: str, canonical: str) -> str | None:
        """The recorded canonical text that a call has but for secrets where the recording has tokens, or None."""
        self._queues(kind)
        found = (recorded for pattern, recorded in self._redacted[kind.name, operation] if pattern.fullmatch(canonical))
        return next(found, None)

    def underived(self, kind: Kind, request: Request, derived: Derived) -> str | None:
        """The recorded canonical text that a call has but for digests which the replay made of tokens, or None."""
        self._queues(kind)
        same = self._same[kind.name, kind.operation(request)]
        for index in sorted(same, key=self._played.__getitem__):
            recorded = self.request(index)
            found = kind.differences(recorded, request)
            if found and all(derived.alike(one.recorded, one.asked, self._tokens) for one in found):
                return kind.canonical(recorded)
        return None

    def repeat(self, kind: Kind, canonical: str, *, at_most: int) -> int | None:
        """The last answer to an equal call, for an identical read made again; None beyond `at_most` repeats."""
        queue = self._queues(kind).get(canonical)
        if queue is None or queue.last_answered < 0 or queue.repeats >= at_most:
            return None
        queue.repeats += 1
        return queue.last_answered

    def fitting(self, kind: Kind, request: Request, path: LanePath) -> Iterator[tuple[int, Picks, bool]]:
        """Recorded calls that ask what a call asks in other words: index, what to pick of its answer, played before.

        Those of the lane first, and those that no call has taken. Nothing is marked: see `mark`.
        """
        candidates = self._family(kind).get(kind.family(request), ())

        def rank(index: int) -> tuple[int, bool]:
            return self._played[index], self._lanes[self._interactions[index].lane].path != path

        for index in sorted(candidates, key=rank):
            picks = kind.fit(self.request(index), request)
            if picks is not None:
                yield index, picks, bool(self._played[index])

    def mark(self, index: int) -> None:
        """An interaction has answered a call that asks the same in other words."""
        self._played[index] = 1

    def any_of(self, kind: Kind, canonical: str) -> int | None:
        """The first interaction equal to a call, played or not: for what may be answered any number of times."""
        queue = self._queues(kind).get(canonical)
        if queue is None:
            return None
        if queue.last_answered < 0:
            queue.last_answered = queue.any_lane[0]
        return queue.last_answered

    def take_effect(self, kind: Kind, operation: str, path: LanePath, position: LanePosition) -> int | None:
        """An unplayed effect of the same operation, whatever its arguments, marked as played."""
        self._queues(kind)
        queue = self._operations.get((kind.name, operation))
        return None if queue is None else self._pop(queue, path, position)

    def nearest(self, kind: Kind, request: Request) -> int | None:
        """The recorded call that a reader would compare a miss with: same operation, else family; unplayed first."""
        self._queues(kind)
        same = self._same.get((kind.name, kind.operation(request)))
        if not same:
            same = self._family(kind).get(kind.family(request), [])
        return next((index for index in same if not self._played[index]), same[0] if same else None)

    def alike(self, kind: Kind, request: Request) -> int | None:
        """The unplayed call that reads most like a request of another operation: a path or a table was misspelt."""
        asked, best, found = kind.text(request), _LEAST_ALIKE, None
        for index in islice(self.unplayed(), _MOST_COMPARED):
            if self._interactions[index].kind != kind.name:
                continue
            likeness = SequenceMatcher(None, asked, kind.text(self.request(index)), autojunk=False).ratio()
            if likeness > best:
                best, found = likeness, index
        return found

    def unplayed(self) -> Iterable[int]:
        """Indexes of what no call has taken, in order."""
        return (index for index, played in enumerate(self._played) if not played)

    def _family(self, kind: Kind) -> dict[str, list[int]]:
        """Indexes by family, made when a call is first found nowhere else."""
        known = self._families.get(kind.name)
        if known is None:
            known = self._families[kind.name] = defaultdict(list)
            for index, interaction in enumerate(self._interactions):
                if interaction.kind == kind.name:
                    known[kind.family(self.request(index))].append(index)
        return known

    def _queues(self, kind: Kind) -> dict[str, _Queue]:
        known = self._exact.get(kind.name)
        if known is None:
            known = self._exact[kind.name] = defaultdict(_Queue)
            for index, interaction in enumerate(self._interactions):
                if interaction.kind != kind.name:
                    continue
                request, lane = self.request(index), self._lanes[interaction.lane]
                canonical = kind.canonical(request)
                known[canonical].add(index, lane)
                operation = kind.operation(request)
                self._same[kind.name, operation].append(index)
                pattern = self._tokens.pattern(canonical)
                if pattern is not None:
                    self._redacted[kind.name, operation].append((pattern, canonical))
                if interaction.effect:
                    self._operations[kind.name, operation].add(index, lane)
            self._exact[kind.name] = dict(known)
        return self._exact[kind.name]

    def _pop(self, queue: _Queue, path: LanePath, position: LanePosition) -> int | None:
        for candidates in (queue.by_path.get(path), queue.by_position.get(position), queue.any_lane):
            while candidates:
                index = candidates.popleft()
                if not self._played[index]:
                    self._played[index] = 1
                    return index
        return None
