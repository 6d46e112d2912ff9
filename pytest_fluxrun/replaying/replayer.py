"""Replayer: the Session that answers every crossing from a recording, on the run's virtual clock.

A miss is latched: the item fails even if the app swallows it, and every later crossing raises at once. Only in a
preamble it isn't: what start-up can do without is drift, and what it can't fails start-up itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from pytest_fluxrun import telemetry
from pytest_fluxrun.boundary import Boundary, Call, Request, Session, Uncovered
from pytest_fluxrun.context import LANE, Clock, Lane, entered
from pytest_fluxrun.drift import Drift
from pytest_fluxrun.errors import BundleError, GuardError, UnrecordedCall
from pytest_fluxrun.replaying.answers import Answers
from pytest_fluxrun.replaying.finding import REPEATED, Finder, Played
from pytest_fluxrun.replaying.missing import call_text, unrecorded
from pytest_fluxrun.replaying.timeline import Timeline
from pytest_fluxrun.replaying.under_way import CLOSE_NS, UnderWay
from pytest_fluxrun.run import Interaction, Recording
from pytest_fluxrun.values import Value, decode

__all__ = ["Played", "Replayer"]

R = TypeVar("R")
_MOST_KEPT = 100
"""Misses and late calls that are named: what a preamble's threads ask for may have no end."""
_STOPPED_WITHIN_S: Final = CLOSE_NS / 1e9
"""Virtual time that a call which the run lacks waits before it is a miss: the recorded program may have been stopped
between two calls (its client went away, a race was lost), where a replay computes in no time and is one call ahead."""
_NEVER_ANSWERED = frozenset({"unfinished", "asyncio.exceptions:CancelledError"})


@dataclass(frozen=True, slots=True)
class _Unsent:
    """What a step of a call was told that is telemetry."""

    answer: Value


class _Lacking(Exception):
    """The run lacks a read that was asked for."""


class Replayer:
    """The session of one replayed run.

    Args:
        recording: the run's.
        shared: the preamble's answers, asked after the run's own.
        clock: the run's virtual clock.
        tokens: the run's redaction tokens: a verification of one is served as recorded.
        digests: what the recorded program is known to have made in the place of digests of tokens.
        dropped: addresses to which calls are telemetry: they are neither looked for nor made.
        watch: is shown each crossing as it is answered, on the thread that makes it.

    Attributes:
        lacked: the call of the first miss, for `fluxrun extend`; None where it was no boundary's.
        missed: the first misses, at most 100; more than one in a preamble only.
        returned: the entry has returned; a call of what it left running, if the run lacks it, is late and no miss.
        drifts: observations in the order of happening.
        played: crossings in the order of happening.
    """

    preamble = False
    answers = True

    def __init__(
        self,
        recording: Recording,
        *,
        run_id: str,
        shared: Answers,
        clock: Clock,
        tokens: tuple[str, ...] = (),
        preamble: bool = False,
        dropped: telemetry.Addresses | None = None,
        digests: Mapping[str, str] | None = None,
        watch: Callable[[Played], object] = lambda _: None,
    ) -> None:
        self.recording = recording
        self.clock: Clock | None = clock
        self.preamble = preamble
        self.shared = shared
        self.missed: list[UnrecordedCall] = []
        self.lacked: tuple[Boundary[Any], Request] | None = None
        self.drifts: list[Drift] = []
        self.logs: list[Mapping[str, Any]] = []
        self.closed = False
        self.returned = False
        self.late: list[str] = []
        self._dropped = dropped
        self._run_id = run_id
        self._clock = clock
        self._tokens = tokens
        self._lock = threading.Lock()
        self._under_way = UnderWay()
        self._cursor: dict[tuple[str, str], int] = {}
        self._finder = Finder(
            recording, shared=shared, tokens=tokens, derived=lambda: self.derived, observe=self.observe, watch=watch
        )
        self.matcher, self.played = self._finder.matcher, self._finder.played
        self._timeline = Timeline(
            recording, clock=clock, run_id=run_id, tokens=tokens, observe=self.observe, digests=digests
        )
        self.lane = Lane(self)

    @property
    def unrecorded(self) -> UnrecordedCall | None:
        """The first miss."""
        return self.missed[0] if self.missed else None

    @property
    def derived(self) -> tuple[str, ...]:
        """The digests that the replayed program made of redaction tokens, hexadecimal."""
        return self._timeline.secrets.derived

    def changed_pauses(self) -> Iterator[Drift]:
        """See `Timeline.changed_pauses`."""
        return self._timeline.changed_pauses()

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
        unsent = self._unsent(boundary, call)
        if unsent is not None:
            return self._aside(lane, lambda: boundary.load(unsent, call))
        found = self._foreseen(call) or self._found(boundary, call, lane)
        if found is None:
            local: R = self._locally(call, lane)
            return local
        interaction, position = found
        if self._never_answered(interaction):
            self._clock.park(_held_lock(), None)
        if position != REPEATED:
            ticket, duration_s = self._begin(boundary, interaction)
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
        unsent = self._unsent(boundary, call)
        if unsent is not None:
            return self._aside(lane, lambda: boundary.load(unsent, call))
        found = self._foreseen(call) or await self._afound(boundary, call, lane)
        if found is None:
            local: R = self._locally(call, lane)
            return local
        interaction, position = found
        if self._never_answered(interaction):
            await asyncio.get_running_loop().create_future()
        if position != REPEATED:
            ticket, duration_s = self._begin(boundary, interaction)
            try:
                await asyncio.sleep(duration_s)
            finally:
                self._under_way.end(ticket)
        return self._answer(boundary, call, lane, interaction, position)

    def _begin(self, boundary: Boundary[Any], interaction: Interaction) -> tuple[Any, float]:
        return self._under_way.begin(interaction, self._clock.now_ns(), _settling_ns(boundary, interaction))

    def begin(self, boundary: Boundary[Any], call: Call) -> NoReturn:
        """Nothing is made live here: only for sessions that don't answer."""
        raise AssertionError(f"{boundary.name} began {call} where calls are answered")

    def foresee(self, boundary: Boundary[Any], call: Call) -> Value | None:
        """Take the interaction that answers the call now, and keep it in the call; its error, if it failed."""
        unsent = self._unsent(boundary, call)
        if unsent is not None:
            call.found = _Unsent(unsent)
            return None
        found = self._found(boundary, call, self._lane())
        if found is None:
            return None
        call.found = found
        interaction, _ = found
        return interaction.error if interaction.failed and not self._never_answered(interaction) else None

    def uncovered(self, library: Uncovered) -> None:
        """Refuse the call by the library's name, and latch it as a miss."""
        with self._lock:
            if not self.missed:
                self.missed.append(
                    UnrecordedCall(
                        f"{library.name} is not covered by any boundary: its calls are neither recorded nor answered",
                        asked=f"a call through {library.name}",
                        next_step=library.instead,
                    )
                )
            raise self.missed[0]

    def read(self, source: str, key: str, live: Callable[[], Any]) -> Any:
        """The recorded values of (source, key) in order, then the last one again; live where there is none."""
        values = self._known(source, key)
        if not values:
            return live()
        with self._lock:
            cursor = self._cursor.get((source, key), 0)
            self._cursor[source, key] = cursor + 1
        return decode(values[min(cursor, len(values) - 1)])

    def _known(self, source: str, key: str) -> list[Value]:
        """The recorded values of (source, key); what earlier runs read is looked at last, since it isn't parsed yet."""
        for reads in (self.recording.reads, self.shared.reads):
            if found := reads.get(source, {}).get(key):
                return found
        try:
            return self.shared.earlier_reads.get(source, {}).get(key, [])
        except BundleError as error:
            with self._lock:
                raise self._no_answer(f"{source} {key}", error) from error

    def log(self, entry: Mapping[str, Any]) -> None:
        """Keep what the replayed app logged, for comparison on request."""
        if not self.closed:
            self.logs.append(entry)

    def lacks(self, asked: str) -> UnrecordedCall:
        """Latch that the program asks its entry for what the run lacks, as any other miss."""
        with self._lock:
            if not self.missed:
                self.missed.append(
                    UnrecordedCall(
                        "the recorded request holds no more.",
                        asked=asked,
                        next_step=f"the recorded program didn't ask; `fluxrun why {self._run_id[:10]}` shows the run",
                    )
                )
            return self.missed[0]

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

    @staticmethod
    def _foreseen(call: Call) -> tuple[Interaction, int] | None:
        """What `foresee` has kept in a call."""
        found, call.found = call.found, None
        kept: tuple[Interaction, int] | None = found
        return kept

    def _found(self, boundary: Boundary[Any], call: Call, lane: Lane) -> tuple[Interaction, int] | None:
        """`_find`; what the run lacks is a miss unless the program is stopped soon. A loop's own thread can't wait."""
        with suppress(_Lacking):
            return self._find(boundary, call, lane, patient=True)
        if not _in_event_loop():
            with self._noting_stop(boundary, call):
                self._clock.sleep(_STOPPED_WITHIN_S)
        return self._find(boundary, call, lane, patient=False)

    async def _afound(self, boundary: Boundary[Any], call: Call, lane: Lane) -> tuple[Interaction, int] | None:
        """`_found` for awaitables."""
        with suppress(_Lacking):
            return self._find(boundary, call, lane, patient=True)
        with self._noting_stop(boundary, call):
            await asyncio.sleep(_STOPPED_WITHIN_S)
        return self._find(boundary, call, lane, patient=False)

    @contextmanager
    def _noting_stop(self, boundary: Boundary[Any], call: Call) -> Iterator[None]:
        """A call that is given up while it waits to become a miss is named as late."""
        try:
            yield
        except BaseException:
            with self._lock:
                self._too_late(boundary, call)
            raise

    def _find(
        self, boundary: Boundary[Any], call: Call, lane: Lane, *, patient: bool
    ) -> tuple[Interaction, int] | None:
        """The interaction that answers and its index, or None where the boundary answers by itself.

        Args:
            patient: a read that the run lacks is no miss yet.

        Raises:
            _Lacking: it is such a read.
            UnrecordedCall: a miss, or a call after the run.
        """
        kind, request = boundary.kind, call.form()
        with self._lock:
            if self.missed and not self.preamble and call.otherwise is None:
                raise self.missed[0]
            if self.closed:
                raise self._too_late(boundary, call)
            found = self._recorded(boundary, call, lane)
            if found is not None or call.otherwise is not None:
                return found
            effect = kind.is_effect(request)
            raise self._lacking(boundary, call, lane, patient=patient and not effect and not self.preamble)

    def _recorded(self, boundary: Boundary[Any], call: Call, lane: Lane) -> tuple[Interaction, int] | None:
        """What the finder finds; what is no answer or can't be read is latched as a miss. The lock is held."""
        try:
            return self._finder.find(boundary, call, lane)
        except (GuardError, BundleError) as error:
            raise self._no_answer(call_text(boundary, call.form()), error) from error

    def _no_answer(self, asked: str, error: GuardError | BundleError) -> UnrecordedCall:
        """Latch that the guard's words aren't an answer, or that earlier reads are damaged. The lock is held."""
        said = f"{error.what}: {error.why}"
        self.missed.append(UnrecordedCall(said, asked=asked, next_step=error.next_step))
        return self.missed[0]

    def _lacking(self, boundary: Boundary[Any], call: Call, lane: Lane, *, patient: bool) -> Exception:
        """What a call that nothing answers raises; the lock is held."""
        if self.returned:
            return self._too_late(boundary, call)
        if patient:
            return _Lacking()
        request = call.form()
        self._finder.note(boundary, request, lane, -1, "miss")
        missed = self._unrecorded(boundary, call, "")
        self.lacked = self.lacked or (boundary, request)
        if len(self.missed) < _MOST_KEPT:
            self.missed.append(missed)
        return missed

    def _unsent(self, boundary: Boundary[Any], call: Call) -> Value:
        """The answer to a call that is telemetry by setting, which is listed; None for all others."""
        if isinstance(call.found, _Unsent):
            found, call.found = call.found, None
            return found.answer
        if not self._dropped or boundary.kind.address(call.form()) not in self._dropped:
            return None
        answer = boundary.unsent(call)
        if answer is not None:
            telemetry.drop(f"{boundary.name} {boundary.kind.operation(call.form())}, listed in the setting telemetry")
        return answer

    def _locally(self, call: Call, lane: Lane) -> Any:
        assert call.otherwise is not None
        return self._aside(lane, call.otherwise)

    @staticmethod
    def _aside(lane: Lane, answer: Callable[[], R]) -> R:
        """What no recorded interaction answers: nothing beneath it is a crossing or a read."""
        with entered(lane.within):
            return answer()

    def _answer(self, boundary: Boundary[R], call: Call, lane: Lane, interaction: Interaction, position: int) -> R:
        try:
            with entered(lane.within):
                if interaction.failed:
                    raise boundary.load_error(interaction.error, call)
                return boundary.load(interaction.answer, call)
        except GuardError as error:
            with self._lock:
                raise self._no_answer(call_text(boundary, call.form()), error) from error
        finally:
            if position >= 0:
                self._timeline.crossed(lane.path, lane.position, position)

    def _too_late(self, boundary: Boundary[Any], call: Call) -> UnrecordedCall:
        """Name a call as late; the lock is held."""
        if len(self.late) < _MOST_KEPT:
            self.late.append(call_text(boundary, call.form()))
        return self._unrecorded(boundary, call, "a call was made after the run had ended")

    def _unrecorded(self, boundary: Boundary[Any], call: Call, what: str) -> UnrecordedCall:
        """The error for a call that nothing answers; the lock is held."""
        number, total = len(self.played), len(self.recording.interactions)
        said = what or f"call {number} of {total} is not in the run."
        return unrecorded(boundary, call.form(), self.matcher, what=said, run_id=self._run_id)


def _settling_ns(boundary: Boundary[Any], interaction: Interaction) -> int:
    return 0 if interaction.failed else boundary.settling_ns(interaction.answer)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _held_lock() -> Any:
    lock = threading.Lock()
    lock.acquire()
    return lock


if TYPE_CHECKING:
    _SESSION: type[Session] = Replayer  # a member that it lacks would break the host's calls, not a test
