"""Recorder: the Session of one run while it happens. Takes references and two clock reads a crossing; dumps nothing.

What is collected here is turned into a Run by `dumping`, on the writer's thread.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from pytest_fluxrun import ambient
from pytest_fluxrun.boundary import Boundary, Call
from pytest_fluxrun.context import LANE, Clock, Lane
from pytest_fluxrun.entry import Ending
from pytest_fluxrun.values import Value, encode_or_opaque

__all__ = ["Crossing", "Recorder"]

R = TypeVar("R")
_NOMINAL_BYTES = 1024


class Crossing:
    """One call in flight or over, by reference. `sequence` orders crossings by their start."""

    __slots__ = (
        "boundary",
        "call",
        "dumped",
        "ended_ns",
        "error",
        "lane",
        "over",
        "reads",
        "result",
        "sequence",
        "started_ns",
        "undumpable",
    )

    def __init__(self, boundary: Boundary[Any], call: Call, lane: Lane, sequence: int, started_ns: int) -> None:
        self.boundary = boundary
        self.call = call
        self.lane = lane
        self.sequence = sequence
        self.started_ns = started_ns
        self.ended_ns = started_ns
        self.over = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.dumped: Value = None
        self.undumpable: Exception | None = None
        self.reads: list[Any] | None = lane.ambient

    def keep(self, result: Any) -> None:
        """Keep the answer, dumped now where the app may change it."""
        self.result = result
        if self.boundary.snapshot:
            try:
                self.dumped = self.boundary.dump(result)
            except Exception as failure:  # recording never raises into the host; the run says so
                self.undumpable = failure


class Recorder:
    """The session of one run, or (with `preamble`) of the process before its first run.

    Args:
        entry: the registered entry's name; "" for a preamble.
        finished: takes this recorder and its ending when the run is over; must neither block nor raise.
        max_interactions: crossings beyond this number are made live and not kept; the run is then over its bounds.
        log_level: records below it aren't kept.
        max_bytes: likewise for what the entry and the answers keep in memory.
    """

    clock: Clock | None = None

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
        self._finished = finished
        self._sequence = itertools.count()
        self._max_interactions = max_interactions
        self._max_bytes = max_bytes
        self._log_level = log_level
        self._weighed = 0
        self._answers_weighed = 0
        self.wall_ns = ambient.time_ns()
        self.mono_ns = ambient.monotonic_ns()
        self.perf_ns = ambient.perf_counter_ns()
        self.lane = Lane(self)

    def ambient_for(self, lane: Lane) -> list[Any] | None:
        """A list for the lane's clock and entropy reads; None once the run is over."""
        if self.closed:
            return None
        reads: list[Any] = []
        self.lanes.append((lane, reads))
        return reads

    def call(self, boundary: Boundary[R], call: Call, live: Callable[[], R]) -> R:
        """Make the live call and keep it with its answer or error."""
        if self.closed:
            self.late += 1
            return live()
        crossing = self._enter(boundary, call)
        try:
            result = live()
        except BaseException as error:
            crossing.error = error
            raise
        else:
            crossing.keep(result)
            return result
        finally:
            self._leave(crossing)

    async def acall(self, boundary: Boundary[R], call: Call, live: Callable[[], Awaitable[R]]) -> R:
        """`call` for awaitables."""
        if self.closed:
            self.late += 1
            return await live()
        crossing = self._enter(boundary, call)
        try:
            result = await live()
        except BaseException as error:
            crossing.error = error
            raise
        else:
            crossing.keep(result)
            return result
        finally:
            self._leave(crossing)

    def read(self, source: str, key: str, live: Callable[[], Any]) -> Any:
        """Read live and keep the value; an error counts as `absent` where it is a KeyError."""
        value = live()
        if not self.closed:
            self.reads.setdefault(source, {}).setdefault(key, []).append(encode_or_opaque(value))
        return value

    def log(self, entry: Mapping[str, Any]) -> None:
        """Keep a log record, with its instant, if its level is high enough."""
        if self.closed:
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

    def _enter(self, boundary: Boundary[Any], call: Call) -> Crossing:
        lane = LANE.get()
        assert lane is not None
        crossing = Crossing(boundary, call, lane, next(self._sequence), ambient.monotonic_ns())
        lane.ambient, lane.inside = None, True
        self._weigh_answers()
        if crossing.sequence < self._max_interactions and self._weighed <= self._max_bytes:
            self.crossings.append(crossing)
        else:
            self.over_bound = True
        return crossing

    def _weigh_answers(self) -> None:
        """Count the answers of calls that are over, each once and in order: by now the app has read their bodies."""
        crossings = self.crossings
        while self._answers_weighed < len(crossings) and crossings[self._answers_weighed].over:
            crossing = crossings[self._answers_weighed]
            self._answers_weighed += 1
            if crossing.result is not None:
                self._weighed += crossing.boundary.weigh(crossing.result)

    def _leave(self, crossing: Crossing) -> None:
        crossing.ended_ns = ambient.monotonic_ns()
        crossing.over = True
        lane = crossing.lane
        lane.inside = False
        if crossing.reads is not None and not self.closed:
            crossing.reads.append(crossing.sequence)
            lane.ambient = crossing.reads
