"""Recorder: the Session of one run while it happens. Takes references and two clock reads a crossing; dumps nothing.

What is collected here is turned into a Run by `dumping`, on the writer's thread.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_fluxrun import ambient
from pytest_fluxrun.boundary import Boundary, Call, Pending, Session, Uncovered
from pytest_fluxrun.context import LANE, Clock, Lane
from pytest_fluxrun.entry import Ending
from pytest_fluxrun.recording.orphans import Orphans
from pytest_fluxrun.values import Value, encode_or_opaque

__all__ = ["Crossing", "Recorder"]

R = TypeVar("R")
_NOMINAL_BYTES = 1024
_LANES_TO_AN_INTERACTION = 10
_LONGEST_PREAMBLE_NS = 600 * 10**9
"""Start-up is over by then, also in a process that waits long for its first run."""
_LANES_SHARE_OF_A_PREAMBLE = 10
"""A lane that makes a tenth of all calls that a preamble may hold is a thread that goes on for ever: no more of it."""


class Crossing:
    """One call in flight or over, by reference; `Recorder.begin` fills it, for an `__init__` would cost each call more.

    Attributes:
        sequence: orders crossings by their start.
        within: the lane beneath it.
        over: it has ended; `ended_ns` is the start until then.
    """

    __slots__ = (
        "boundary",
        "call",
        "dumped",
        "ended_ns",
        "error",
        "label",
        "lane",
        "over",
        "reads",
        "result",
        "sequence",
        "started_ns",
        "undumpable",
        "within",
    )
    boundary: Boundary[Any]
    call: Call
    dumped: Value
    ended_ns: int
    error: BaseException | None
    label: str
    lane: Lane
    over: bool
    reads: list[Any] | None
    result: Any
    sequence: int
    started_ns: int
    undumpable: Exception | None
    within: Lane

    def end(self, result: Any) -> None:
        """Keep the answer by reference, or dumped where the boundary wants that, and leave."""
        self.result = result
        if self.boundary.snapshot and self.error is None:
            self._dump()
        self.ended_ns = ambient.monotonic_ns()
        self.over = True
        lane = self.lane
        if LANE.get() is self.within:  # else it is a coroutine that was thrown away, in the middle of other code
            LANE.set(lane)
        if self.reads is not None and not lane.session.closed:
            self.reads.append(self.sequence)

    def fail(self, error: BaseException) -> None:
        """Keep the error and leave."""
        self.error = error
        self.end(None)

    def _dump(self) -> None:
        """The app may change the answer later."""
        try:
            self.dumped = self.boundary.dump(self.result)
        except Exception as failure:  # recording never raises into the host; the run says so
            self.undumpable = failure


class Recorder:
    """The session of one run, or (with `preamble`) of the process before its first run.

    Args:
        entry: the registered entry's name; "" for a preamble.
        finished: takes this recorder and its ending when the run is over; must neither block nor raise.
        max_interactions: crossings beyond this number are made live and not kept; the run is then over its bounds. So
            it is beyond ten times as many lanes.
        log_level: records below it aren't kept.
        max_bytes: likewise for what the entry and the answers keep in memory.
        orphans: counts and names the calls that come when the run is over.
    """

    clock: Clock | None = None
    answers = False

    def __init__(
        self,
        entry: str,
        entry_kind: str,
        finished: Callable[[Recorder, Ending], None],
        *,
        preamble: bool = False,
        max_interactions: int = 10_000,
        max_bytes: int = 8 << 20,
        log_level: int = logging.NOTSET,
        orphans: Orphans | None = None,
    ) -> None:
        self.entry = entry
        self.entry_kind = entry_kind
        self.preamble = preamble
        self.kept_by_hand = False
        self.over_bound = False
        self.closed = False
        self.late = 0
        self.ended_ns = 0
        self.crossings: list[Crossing] = []
        self.lanes: list[tuple[Lane, list[Any]]] = []
        self.logs: list[Mapping[str, Any]] = []
        self.reads: dict[str, dict[str, list[Value]]] = {}
        self.refused: set[str] = set()
        self._finished = finished
        self._sequence = itertools.count()
        self._max_interactions = max_interactions
        self._max_bytes = max_bytes
        self._log_level = log_level
        self._orphans = orphans or Orphans()
        self._weighed = 0
        self._answers_weighed = 0
        self._by_lane: dict[int, int] = {}
        self.wall_ns = ambient.time_ns()
        self.mono_ns = ambient.monotonic_ns()
        self.perf_ns = ambient.perf_counter_ns()
        self._renewed_ns = self.mono_ns
        self.lane = Lane(self)

    def ambient_for(self, lane: Lane) -> list[Any] | None:
        """A list for the lane's clock and entropy reads; None once the run is over, or has too many lanes."""
        if self.closed or (self.preamble and self._outlived()):
            return None
        if len(self.lanes) >= self._max_interactions * _LANES_TO_AN_INTERACTION:
            self.over_bound = True
            return None
        reads: list[Any] = []
        self.lanes.append((lane, reads))
        return reads

    def call(self, boundary: Boundary[R], call: Call, live: Callable[[], R]) -> R:
        """Make the live call and keep it with its answer or error."""
        pending = self.begin(boundary, call)
        try:
            result = live()
        except BaseException as error:
            pending.fail(error)
            raise
        pending.end(result)
        return result

    async def acall(self, boundary: Boundary[R], call: Call, live: Callable[[], Awaitable[R]]) -> R:
        """`call` for awaitables."""
        pending = self.begin(boundary, call)
        try:
            result = await live()
        except BaseException as error:
            pending.fail(error)
            raise
        pending.end(result)
        return result

    def begin(self, boundary: Boundary[Any], call: Call) -> Pending:
        """`call` in two halves."""
        if self.closed or (self.preamble and self._outlived()):
            self.late += 1
            return self._orphans.begin_outlived(self, boundary, call)
        lane = LANE.get()
        assert lane is not None
        crossing = Crossing()
        crossing.boundary = boundary
        crossing.call = call
        crossing.lane = lane
        crossing.label = lane.label
        crossing.reads = lane.ambient
        crossing.within = within = lane.made_within or lane.within
        crossing.sequence = next(self._sequence)
        started_ns = ambient.monotonic_ns() if call.started_ns is None else call.started_ns
        crossing.started_ns = crossing.ended_ns = started_ns
        crossing.over = False
        crossing.result = crossing.error = crossing.dumped = crossing.undumpable = None
        LANE.set(within)
        crossings = self.crossings
        if self._answers_weighed < len(crossings):
            self._weigh_answers()
        if self.preamble and self._goes_on(lane):
            crossing.reads = None
        elif crossing.reads is None:  # of a lane beyond the bound on lanes, or that began while a preamble had no time
            self.over_bound = self.over_bound or not self.preamble
        elif len(crossings) < self._max_interactions and self._weighed <= self._max_bytes:
            crossings.append(crossing)
        else:
            self.over_bound = True
        return crossing

    def foresee(self, boundary: Boundary[Any], call: Call) -> Value | None:
        """What comes isn't known: nothing."""
        del boundary, call
        return None

    def uncovered(self, library: Uncovered) -> None:
        """Note the library; the run will be unready."""
        if not self.closed:
            self.refused.add(library.name)

    def read(self, source: str, key: str, live: Callable[[], Any]) -> Any:
        """Read live and keep the value; an error counts as `absent` where it is a KeyError."""
        value = live()
        if not (self.closed or (self.preamble and self._outlived())):
            self.reads.setdefault(source, {}).setdefault(key, []).append(encode_or_opaque(value))
        return value

    def log(self, entry: Mapping[str, Any]) -> None:
        """Keep a log record, with its instant, if its level is high enough; none of a preamble."""
        if self.closed or self.preamble:
            return
        level = logging.getLevelName(entry["level"])
        if not isinstance(level, int) or level >= self._log_level:  # a level that the app named itself counts as high
            self.logs.append({**entry, "offset_ns": ambient.monotonic_ns() - self.mono_ns})

    def weigh(self, size_bytes: int) -> bool:
        """Count bytes that the entry keeps."""
        self._weighed += size_bytes
        if self._weighed > self._max_bytes:
            self.over_bound = True
        return not self.over_bound

    def size_bytes(self) -> int:
        """About what the run holds in memory: what was weighed, and a kilobyte for each crossing and log."""
        self._weigh_answers()
        return self._weighed + _NOMINAL_BYTES * (len(self.crossings) + len(self.logs))

    def finish(self, ending: Ending) -> None:
        """Close the run and hand it on."""
        if self.closed:
            return
        self.close()
        self._finished(self, ending)

    def close(self) -> None:
        """Record nothing more; lanes that live on read the real clock again, and nothing grows through them."""
        self.closed = True
        self.ended_ns = ambient.monotonic_ns()
        for lane, _ in self.lanes:
            lane.ambient = None

    def release(self) -> None:
        """Let go of all that was collected."""
        self.lanes, self.crossings, self.logs, self.reads = [], [], [], {}
        self._by_lane = {}

    def renew(self) -> None:
        """Allow a preamble its whole time again: a forked worker has a start-up of its own."""
        self._renewed_ns = ambient.monotonic_ns()

    def _outlived(self) -> bool:
        """Whether the first run of a preamble is long in coming: what its threads do by then is no start-up."""
        return ambient.monotonic_ns() - self._renewed_ns > _LONGEST_PREAMBLE_NS

    def _goes_on(self, lane: Lane) -> bool:
        """Whether the lane has had its share of a preamble: a thread that polls."""
        made = self._by_lane[id(lane)] = self._by_lane.get(id(lane), 0) + 1
        return made > max(1, self._max_interactions // _LANES_SHARE_OF_A_PREAMBLE)

    def _weigh_answers(self) -> None:
        """Count the answers of calls that are over, each once and in order: by now the app has read their bodies."""
        crossings = self.crossings
        while self._answers_weighed < len(crossings) and (crossing := crossings[self._answers_weighed]).over:
            self._answers_weighed += 1
            if crossing.result is not None:
                self._weighed += crossing.boundary.weigh(crossing.result)


if TYPE_CHECKING:
    _SESSION: type[Session] = Recorder  # a member that it lacks would break the host's calls, not a test
