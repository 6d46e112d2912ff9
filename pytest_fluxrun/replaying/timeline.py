"""Timeline: serves a recording's clock and entropy reads to the lanes of one replay, value by value.

In step it is exact, bit for bit, also where a recorded look-up isn't made, for what it gave is in a cache already. A
clock read that the recording lacks lies between its neighbours and moves the run's virtual clock; an entropy read that
it lacks comes from a generator keyed by the run id. Both are noted as drift.
"""

from __future__ import annotations

import hashlib
import operator
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from types import FrameType
from typing import Any

from pytest_fluxrun.boundary import DERIVATION, VERIFICATION_PREFIX
from pytest_fluxrun.context import Clock
from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.instants import CLOCKS, Origin, instant_of, served, shown_at, utc_offset_of
from pytest_fluxrun.places import is_infrastructure, is_relay, past_libraries, place_of, split_place
from pytest_fluxrun.replaying.pauses import PAUSES, Pause, changed_pauses, recorded_pauses
from pytest_fluxrun.replaying.recorded_reads import (
    ClockRead,
    Reader,
    RecordedLane,
    RecordedSegment,
    clock_reads,
    recorded_lanes,
)
from pytest_fluxrun.replaying.secret_operands import SecretOperands
from pytest_fluxrun.run import Recording

__all__ = ["LaneReads", "Timeline"]

_INTERPOLATED_NS = 1_000
_MOST_STILL = 200
"""Added reads for which time stands still just before a recorded one; more are a poll that waits for it."""
_MOST_READERS = 50_000
_Path = tuple[tuple[str, int], ...]
_Position = tuple[int, ...]

_readers: dict[tuple[str, int, int], Reader] = {}


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A clock read served from beyond calls that weren't made: where the lane was, to go back if they are made yet."""

    interaction: int
    segment: RecordedSegment
    taken: int
    latest: int
    reader: Reader


class Timeline:
    """The clock and entropy of one replayed recording; safe to use from any thread of the run.

    Args:
        clock: the run's virtual clock: a served read moves it to its instant, what isn't recorded reads it.
        run_id: keys the generator of added draws.
        tokens: the run's redaction tokens: a verification of one is served as recorded.
        digests: what the recorded program is known to have made in the place of digests of tokens, hexadecimal.
        observe: takes each drift, once per place.

    Raises:
        DamagedBundle: the recording's segments are inconsistent.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        clock: Clock,
        run_id: str,
        observe: Callable[[Drift], None],
        tokens: tuple[str, ...] = (),
        digests: Mapping[str, str] | None = None,
    ) -> None:
        self.clock = clock
        self.run_id = run_id
        self.tokens = tokens
        self.secrets = SecretOperands(tokens, digests)
        self.origin = Origin(recording.wall_ns, recording.mono_ns, recording.perf_ns)
        self.lock = threading.RLock()
        self._observe = observe
        self._observed: set[tuple[DriftKind, str, str]] = set()
        self._recorded = recorded_lanes(recording)
        self._recorded_pauses = recorded_pauses(recording)
        self._pauses: dict[Pause, None] = {}
        self._interactions = recording.interactions
        self._by_path = {lane.path: index for index, lane in enumerate(recording.lanes)}
        self._by_position = {lane.position: index for index, lane in enumerate(recording.lanes)}
        self._claimed: dict[int, LaneReads] = {}
        self._live: dict[_Path, LaneReads] = {}
        offsets = (utc_offset_of(read.function, read.form) for read in clock_reads(self._recorded))
        self.utc_offset_s = next((offset for offset in offsets if offset is not None), None)

    def ambient_for(self, path: _Path, position: _Position) -> LaneReads:
        """What serves a live lane: the recorded lane of that path, else of that position, else only added reads.

        A recorded lane that a renamed one holds by position goes to the lane of its path, should that come.
        """
        with self.lock:
            reads = self._live[path] = LaneReads(self, path)
            index = self._by_path.get(path)
            if index is not None:
                self._claim(reads, index, certain=True)
                return reads
            index = self._by_position.get(position)
            if index is not None and index not in self._claimed:
                self._claim(reads, index, certain=False)
            return reads

    def crossed(self, path: _Path, position: _Position, interaction: int) -> None:
        """A recorded interaction was served in a live lane: its reads go on after it.

        Args:
            interaction: index in the recording. A live lane that follows no recorded one, or one only for its position,
                follows this interaction's from now on; one that follows another isn't moved.
        """
        with self.lock:
            reads = self._live.get(path) or self.ambient_for(path, position)
            index = self._interactions[interaction].lane
            if not reads.certain and index not in self._claimed:
                self._claim(reads, index, certain=True)
            if reads.index == index:
                reads.go_on(interaction)

    def paused(self, reader: Reader, seconds: float) -> None:
        """Code of the run is about to pause."""
        if self._recorded_pauses:
            self._pauses[Pause(reader.function, reader.where, seconds)] = None

    def changed_pauses(self) -> Iterator[Drift]:
        """How the replayed program's pauses differ from the recorded one's. Meaningful where it went on to its end."""
        return changed_pauses(self._recorded_pauses, tuple(self._pauses))

    def only_reads(self, lane: int, after: int, until: int) -> bool:
        """Whether no effect of a recorded lane lies beyond one of its interactions, up to another one."""
        between = self._interactions[after + 1 : until + 1]
        return not any(interaction.effect and interaction.lane == lane for interaction in between)

    def observe(self, kind: DriftKind, reader: Reader) -> None:
        """Note a drift, once per kind and place."""
        key = (kind, reader.function, reader.where)
        if key not in self._observed:
            self._observed.add(key)
            name, _, line = split_place(reader.where)
            self._observe(Drift(kind, 0, f"{reader.function}() in {name}" + (f": {line}" if line else "")))

    def _claim(self, reads: LaneReads, index: int, *, certain: bool) -> None:
        before = self._claimed.get(index)
        if before is not None and before is not reads:
            before.index, before.certain, before.recorded = None, False, RecordedLane()
        if reads.index is not None:
            del self._claimed[reads.index]
        self._claimed[index] = reads
        reads.index, reads.certain = index, certain
        reads.recorded = self._recorded.get(index) or RecordedLane()


class LaneReads:
    """What `Lane.ambient` is in a replay: answers the reads of one live lane.

    Attributes:
        index: the recorded lane that it follows, or None.
        certain: it follows that lane for its path or for an answer, not only for its position.
        recorded: the reads of that lane.
        after: the interaction whose segment is being read.
    """

    def __init__(self, timeline: Timeline, path: _Path) -> None:
        self.index: int | None = None
        self.certain = False
        self.recorded = RecordedLane()
        self.after = -1
        self._timeline = timeline
        self._path = path
        self._latest_segment = -1
        self._ahead: list[_Ahead] = []
        self._still = 0
        self._floors: dict[int, int] = {}
        self._added: dict[tuple[str, str], int] = {}

    def __call__(self, function: str, *arguments: Any) -> Any:
        """The value of a read, or NotImplemented: the real one.

        Raises:
            DeadlineExceeded: the run's clock was killed.
        """
        timeline = self._timeline
        if timeline.clock.over:
            return NotImplemented
        if function in CLOCKS:
            frame = _past_relays(sys._getframe(1))  # noqa: SLF001 - the reader's frame
            if is_infrastructure(function, frame.f_code.co_filename):
                return shown_at(function, timeline.clock.read(), timeline.origin, timeline.utc_offset_s, arguments)
            with timeline.lock:
                return self._clock_read(_reader(function, frame), arguments)
        if function == DERIVATION:
            return timeline.secrets.derive(*arguments)
        if function == "hmac.compare_digest" or function.startswith(VERIFICATION_PREFIX):
            return self._verification(_reader(function, _past_relays(sys._getframe(1))), arguments)  # noqa: SLF001 - the reader's frame
        frame = past_libraries(sys._getframe(1))  # noqa: SLF001 - the reader's frame
        if is_infrastructure(function, frame.f_code.co_filename):
            return NotImplemented
        if function in PAUSES:
            timeline.paused(_reader(function, frame), *arguments)
            return NotImplemented
        with timeline.lock:
            return self._draw(_reader(function, frame), arguments)

    def go_on(self, interaction: int) -> None:
        """A recorded interaction of the lane was served: the reads of its segment come next. The lock is held."""
        self.after = interaction
        for ahead in reversed(self._ahead):
            if interaction <= ahead.interaction:  # the call was made all the same, and its reads will be made again
                ahead.segment.taken, self._latest_segment = ahead.taken, ahead.latest
                self._timeline.observe(DriftKind.CLOCK_INTERPOLATED, ahead.reader)
        self._ahead.clear()

    # -- clock ---------------------------------------------------------------------------------------------------------

    def _clock_read(self, reader: Reader, arguments: tuple[Any, ...]) -> Any:
        timeline = self._timeline
        segment = self.recorded.segments.get(self.after)
        in_order = segment is not None and segment.number >= self._latest_segment
        read = segment.take(reader) if segment is not None and in_order else None
        if read is None and (segment is None or not in_order or segment.next() is None):
            segment, read = self._take_ahead(reader) or (segment, None)
        if segment is not None and read is not None:
            offset_ns = instant_of(read.function, read.form, timeline.origin)
            floor_ns = self._floors.get(timeline.origin.of(reader.function))
            value = served(read.function, read.form, arguments)
            if value is not NotImplemented and (floor_ns is None or offset_ns is None or offset_ns >= floor_ns):
                self._latest_segment = segment.number
                self._still = 0
                if offset_ns is not None:
                    timeline.clock.advance_to(offset_ns)
                return value
        timeline.observe(DriftKind.CLOCK_INTERPOLATED, reader)
        offset_ns = self._between(segment.next() if segment is not None and in_order else None)
        self._floors[timeline.origin.of(reader.function)] = offset_ns
        return shown_at(reader.function, offset_ns, timeline.origin, timeline.utc_offset_s, arguments)

    def _take_ahead(self, reader: Reader) -> tuple[RecordedSegment, ClockRead] | None:
        """The lane's next recorded read, if it is the reader's and only reads of the outside lie before it."""
        found = None if self.index is None else self.recorded.ahead(self.after, self._latest_segment)
        if found is None or self.index is None or not self._timeline.only_reads(self.index, self.after, found[0]):
            return None
        interaction, segment = found
        upcoming = segment.next()
        if upcoming is None or (upcoming.function, upcoming.where) != (reader.function, reader.where):
            return None
        self._ahead.append(_Ahead(interaction, segment, segment.taken, self._latest_segment, reader))
        segment.taken += 1
        return segment, upcoming

    def _between(self, upcoming: ClockRead | None) -> int:
        """An instant after all that the lane has seen, and before the next recorded read while there is room."""
        clock = self._timeline.clock
        limit_ns = None if upcoming is None else instant_of(upcoming.function, upcoming.form, self._timeline.origin)
        floor_ns = max(clock.now_ns(), *self._floors.values(), 0)
        if limit_ns is None or floor_ns > limit_ns:
            return max(floor_ns, clock.read())
        step_ns = min(_INTERPOLATED_NS, (limit_ns - floor_ns) // 2)
        if step_ns == 0:
            self._still += 1
            if self._still > _MOST_STILL:
                return max(floor_ns, clock.read())
        clock.advance_to(floor_ns + step_ns)
        return floor_ns + step_ns

    # -- entropy -------------------------------------------------------------------------------------------------------

    def _draw(self, reader: Reader, arguments: tuple[Any, ...]) -> Any:
        size = 0
        if arguments:
            try:
                size = operator.index(arguments[0])
            except TypeError:
                return NotImplemented
            if size < 0:
                return NotImplemented
        found, value = self.recorded.take_value(reader, self.after, lambda value: _fits(reader.function, value, size))
        if found:
            return tuple(value) if reader.function == "uuid.generate_time_safe" else value
        self._timeline.observe(DriftKind.ENTROPY_EXTRA, reader)
        return self._added_draw(reader, size)

    def _added_draw(self, reader: Reader, size: int) -> Any:
        """The same in every replay of the run, whatever other lanes and places draw."""
        key = (reader.function, reader.where)
        count = self._added[key] = self._added.get(key, 0) + 1
        source = hashlib.shake_256(repr((self._timeline.run_id, self._path, *key, count)).encode())
        if reader.function == "os.urandom":
            return source.digest(size)
        if reader.function == "random.gauss":
            return NormalDist().inv_cdf((int.from_bytes(source.digest(6), "little") + 0.5) * 2.0**-48)
        if reader.function == "random.random":
            return (int.from_bytes(source.digest(7), "little") >> 3) * 2.0**-53
        if reader.function == "random.getrandbits":
            return int.from_bytes(source.digest((size + 7) // 8), "little") >> -size % 8
        if reader.function == "uuid.generate_time_safe":
            octets = bytearray(source.digest(16))
            octets[6] = octets[6] & 0x0F | 0x10
            octets[8] = octets[8] & 0x3F | 0x80
            return bytes(octets), None
        return NotImplemented

    # -- verification --------------------------------------------------------------------------------------------------

    def _verification(self, reader: Reader, operands: tuple[Any, ...]) -> Any:
        """The recorded answer where an operand is, holds or was made of a token; otherwise the true one."""
        timeline = self._timeline
        if not timeline.tokens:
            return NotImplemented
        with timeline.lock:
            found, value = self.recorded.take_value(reader, self.after, lambda value: isinstance(value, int))
            if not found or not any(map(timeline.secrets.holds, operands)):
                return NotImplemented
            timeline.observe(DriftKind.VERIFICATION_SERVED, reader)
            return value


def _reader(function: str, frame: FrameType) -> Reader:
    code, lasti = frame.f_code, frame.f_lasti
    key = (function, id(code), lasti)
    reader = _readers.get(key)
    if reader is None or reader.code is not code:
        if len(_readers) >= _MOST_READERS:
            _readers.clear()
        reader = _readers[key] = Reader(function, place_of(code, lasti), code)
    return reader


def _past_relays(frame: FrameType) -> FrameType:
    while is_relay(frame.f_code.co_filename) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _fits(function: str, value: Any, size: int) -> bool:
    """Whether a recorded draw answers a call of this size: bytes of os.urandom, bits of getrandbits."""
    if function == "os.urandom":
        return isinstance(value, bytes) and len(value) == size
    if function == "random.getrandbits":
        return isinstance(value, int) and value.bit_length() <= size
    return True
