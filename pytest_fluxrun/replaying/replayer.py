"""Replayer: the Session that answers every crossing from a recording, on the run's virtual clock.

A miss is latched: the item fails even if the app swallows it, and every later crossing raises at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pytest_fluxrun.boundary import Boundary, Call, Request
from pytest_fluxrun.context import LANE, Clock, Lane
from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.replaying.matching import Matcher
from pytest_fluxrun.replaying.timeline import Timeline
from pytest_fluxrun.replaying.under_way import UnderWay
from pytest_fluxrun.run import Interaction, Recording
from pytest_fluxrun.values import Value, decode

__all__ = ["Answers", "Played", "Replayer"]

R = TypeVar("R")
_MOST_REPEATS = 100
_NEVER_ANSWERED = frozenset({"unfinished", "asyncio.exceptions:CancelledError"})


@dataclass(frozen=True, slots=True)
class Played:
    """One crossing of a replay.

    Attributes:
        index: the recorded interaction that answered, or -1: the boundary itself did, or nothing.
        source: `run`, `preamble`, `local` (the boundary answered) or `miss`.
    """

    index: int
    source: str
    lane: str
    text: str
    effect: bool


class Answers:
    """What a process's replays share: the preamble's interactions, which may answer any number of times."""

    def __init__(self, preamble: Recording | None) -> None:
        interactions = () if preamble is None else preamble.interactions
        self.interactions = interactions
        self.matcher = Matcher(interactions, () if preamble is None else preamble.lanes)
        self.reads: Mapping[str, Mapping[str, list[Value]]] = {} if preamble is None else preamble.reads


class Replayer:
    """The session of one replayed run.

    Args:
        recording: the run's.
        shared: the preamble's answers, asked after the run's own.
        clock: the run's virtual clock.
        tokens: the run's redaction tokens: a verification of one is served as recorded.

    Attributes:
        unrecorded: the first miss, or None.
        returned: the entry has returned; a call of what it left running, if the run lacks it, is late and no miss.
        drifts: observations in the order of happening.
        played: crossings in the order of happening.
    """

    preamble = False

    def __init__(
        self,
        recording: Recording,
        *,
        run_id: str,
        shared: Answers,
        clock: Clock,
        tokens: tuple[str, ...] = (),
        preamble: bool = False,
    ) -> None:
        self.recording = recording
        self.clock: Clock | None = clock
        self.preamble = preamble
        self.shared = shared
        self.matcher = Matcher(recording.interactions, recording.lanes, tokens)
        self.unrecorded: UnrecordedCall | None = None
        self.drifts: list[Drift] = []
        self.played: list[Played] = []
        self.logs: list[Mapping[str, Any]] = []
        self.closed = False
        self.returned = False
        self.late: list[str] = []
        self._run_id = run_id
        self._clock = clock
        self._tokens = tokens
        self._lock = threading.Lock()
        self._under_way = UnderWay()
        self._cursor: dict[tuple[str, str], int] = {}
        self._last_effect: dict[tuple[tuple[tuple[str, int], ...], int], int] = {}
        self._timeline = Timeline(recording, clock=clock, run_id=run_id, tokens=tokens, observe=self.observe)
        self.lane = Lane(self)

    def observe(self, drift: Drift) -> None:
        """Note a drift; safe from any thread."""
        self.drifts.append(drift)

    def ambient_for(self, lane: Lane) -> Any:
        """What serves the lane's clock and entropy reads."""
        return self._timeline.ambient_for(lane.path, lane.position)

    def call(self, boundary: Boundary[R], call: Call, live: Callable[[], R]) -> R:
        """Answer from the recording; `live` is never called."""
        del live
        lane = self._lane()
        found = self._find(boundary, call, lane)
        if found is None:
            local: R = self._locally(call, lane)
            return local
        interaction, position = found
        if self._never_answered(interaction):
            self._clock.park(_held_lock(), None)
        ticket, duration_s = self._under_way.begin(
            interaction, self._clock.now_ns(), _settling_ns(boundary, interaction)
        )
        try:
            self._clock.sleep(duration_s)
        finally:
            self._under_way.end(ticket)
        return self._answer(boundary, call, lane, interaction, position)

    async def acall(self, boundary: Boundary[R], call: Call, live: Callable[[], Awaitable[R]]) -> R:
        """`call` for awaitables."""
        del live
        lane = self._lane()
        if call.prepare is not None:
            await call.prepare()
        found = self._find(boundary, call, lane)
        if found is None:
            local: R = self._locally(call, lane)
            return local
        interaction, position = found
        if self._never_answered(interaction):
            await asyncio.get_running_loop().create_future()
        ticket, duration_s = self._under_way.begin(
            interaction, self._clock.now_ns(), _settling_ns(boundary, interaction)
        )
        try:
            await asyncio.sleep(duration_s)
        finally:
            self._under_way.end(ticket)
        return self._answer(boundary, call, lane, interaction, position)

    def read(self, source: str, key: str, live: Callable[[], Any]) -> Any:
        """The recorded values of (source, key) in order, then the last one again; live where there is none."""
        values = self.recording.reads.get(source, {}).get(key) or self.shared.reads.get(source, {}).get(key)
        if not values:
            return live()
        with self._lock:
            cursor = self._cursor.get((source, key), 0)
            self._cursor[source, key] = cursor + 1
        return decode(values[min(cursor, len(values) - 1)])

    def log(self, entry: Mapping[str, Any]) -> None:
        """Keep what the replayed app logged, for comparison on request."""
        if not self.closed:
            self.logs.append(entry)

    def close(self) -> None:
        """The run is over: later crossings are named in `late` and refused."""
        self.closed = True

    @staticmethod
    def _lane() -> Lane:
        lane = LANE.get()
        assert lane is not None
        return lane

    @staticmethod
    def _never_answered(interaction: Interaction) -> bool:
        """A call that was cancelled or still under way: only the app's own timer ends the wait for it."""
        error = interaction.error
        return interaction.failed and isinstance(error, dict) and error.get("type") in _NEVER_ANSWERED

    def _find(self, boundary: Boundary[Any], call: Call, lane: Lane) -> tuple[Interaction, int] | None:
        """The interaction that answers and its index, or None where the boundary answers by itself."""
        kind, request = boundary.kind, call.form()
        with self._lock:
            if self.unrecorded is not None:
                raise self.unrecorded
            if self.closed:
                raise self._too_late(boundary, call)
            canonical = kind.canonical(request)
            effect = kind.is_effect(request)
            index = self.matcher.take(kind, canonical, lane.path, lane.position)
            if index is None and self._tokens:
                recorded = self.matcher.unredacted(kind, kind.operation(request), canonical)
                if recorded is not None:
                    canonical = recorded
                    index = self.matcher.take(kind, canonical, lane.path, lane.position)
            if index is None:
                index = self._relaxed(boundary, call, lane, canonical, effect=effect)
            if index is not None:
                self._note(lane, index, "run", kind.text(request), effect=effect)
                self._check_order(boundary, call, lane, index)
                return self.recording.interactions[index], index
            shared = self.shared.matcher.any_of(kind, canonical)
            if shared is not None:
                self._note(lane, shared, "preamble", kind.text(request), effect=effect)
                if effect:
                    self.observe(Drift(DriftKind.NEW_EFFECT, 0, _text(boundary, request)))
                return self.shared.interactions[shared], -1
            if call.otherwise is not None:
                return None
            if self.returned:
                raise self._too_late(boundary, call)
            self._note(lane, -1, "miss", kind.text(request), effect=effect)
            self.unrecorded = self._unrecorded(boundary, call, "")
            raise self.unrecorded

    def _relaxed(self, boundary: Boundary[Any], call: Call, lane: Lane, canonical: str, *, effect: bool) -> int | None:
        """An identical read made again, or an effect of the same operation with other arguments; each is drift."""
        kind, request = boundary.kind, call.form()
        if not effect:
            index = self.matcher.repeat(kind, canonical, at_most=_MOST_REPEATS)
            if index is not None:
                self.observe(Drift(DriftKind.REPEATED_READ, index + 1, _text(boundary, request)))
            return index
        if call.otherwise is not None:
            return None
        index = self.matcher.take_effect(kind, kind.operation(request), lane.path, lane.position)
        if index is not None:
            paths = tuple(
                f"call[{index + 1}].{difference.path}: {difference.recorded!r} → {difference.asked!r}"
                for difference in kind.differences(self.matcher.request(index), request)
            )
            self.observe(Drift(DriftKind.CHANGED_EFFECT, index + 1, _text(boundary, request), paths))
        return index

    def _check_order(self, boundary: Boundary[Any], call: Call, lane: Lane, index: int) -> None:
        """Effects that one lane made come in their order where one lane makes them again; the lock is held."""
        interaction = self.recording.interactions[index]
        if not interaction.effect:
            return
        lanes = (lane.path, interaction.lane)
        last = self._last_effect.get(lanes, -1)
        self._last_effect[lanes] = max(last, index)
        if index < last:
            path = f"call[{index + 1}]: before call[{last + 1}] → after it"
            self.observe(Drift(DriftKind.REORDERED, index + 1, _text(boundary, call.form()), (path,)))

    def _note(self, lane: Lane, index: int, source: str, text: str, *, effect: bool) -> None:
        self.played.append(Played(index, source, repr(lane), text, effect))

    @staticmethod
    def _locally(call: Call, lane: Lane) -> Any:
        assert call.otherwise is not None
        reads, lane.ambient, lane.inside = lane.ambient, None, True
        try:
            return call.otherwise()
        finally:
            lane.ambient, lane.inside = reads, False

    def _answer(self, boundary: Boundary[R], call: Call, lane: Lane, interaction: Interaction, position: int) -> R:
        reads, lane.ambient, lane.inside = lane.ambient, None, True
        try:
            if interaction.failed:
                raise boundary.load_error(interaction.error, call)
            return boundary.load(interaction.answer, call)
        finally:
            lane.ambient, lane.inside = reads, False
            if position >= 0:
                self._timeline.crossed(lane.path, lane.position, position)

    def _too_late(self, boundary: Boundary[Any], call: Call) -> UnrecordedCall:
        """Name a call as late; the lock is held."""
        self.late.append(_text(boundary, call.form()))
        return self._unrecorded(boundary, call, "a call was made after the run had ended")

    def _unrecorded(self, boundary: Boundary[Any], call: Call, what: str) -> UnrecordedCall:
        """The error for a call that nothing answers; the lock is held."""
        kind, request = boundary.kind, call.form()
        nearest = ""
        differs: tuple[str, ...] = ()
        index = self.matcher.nearest(kind, kind.operation(request))
        if index is not None:
            recorded = self.matcher.request(index)
            nearest = _text(boundary, recorded)
            differs = tuple(difference.path for difference in kind.differences(recorded, request)[:8])
        return UnrecordedCall(
            what or f"call {len(self.played)} of {len(self.recording.interactions)} is not in the run.",
            asked=_text(boundary, request),
            nearest=nearest,
            differs=differs,
            next_step=f"if this is the fix, run `fluxrun expect {self._run_id[:10]}`; `fluxrun why {self._run_id[:10]}`"
            " shows every call",
        )


def _text(boundary: Boundary[Any], request: Request) -> str:
    return f"{boundary.name} {boundary.kind.text(request)}"


def _settling_ns(boundary: Boundary[Any], interaction: Interaction) -> int:
    return 0 if interaction.failed else boundary.settling_ns(interaction.answer)


def _held_lock() -> Any:
    lock = threading.Lock()
    lock.acquire()
    return lock
