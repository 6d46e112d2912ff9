"""A small Recorder and Replayer in memory, for the contract suites: the Session contract and nothing more.

They keep no time, no drift and no lanes; what they record passes through JSON, which proves that it can be stored.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import orjson

from pytest_fluxrun.boundary import Boundary, Call, Pending, Uncovered
from pytest_fluxrun.context import Clock, Lane, entered
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.values import Value, decode, encode

__all__ = ["JumpingClock", "MemoryRecorder", "MemoryReplayer", "Recorded"]

R = TypeVar("R")
_CANCELLED = "asyncio.exceptions:CancelledError"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One interaction as a bundle would hold it, JSON throughout."""

    boundary: str
    kind: str
    request: Value
    answer: Value
    failed: bool


class JumpingClock:
    """Virtual time for one thread at a time: every wait ends at once, and moves the clock by its length."""

    over = False

    def __init__(self) -> None:
        self._actors = 0
        self._changed = threading.Condition()
        self._now_ns = 0

    def idle(self) -> bool:
        """Whether every actor that began has ended, at once or within a few seconds of real time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._actors == 0, timeout=5)

    def now_ns(self) -> int:
        """The current offset."""
        return self._now_ns

    def read(self) -> int:
        """The current offset; reading moves nothing."""
        return self._now_ns

    def advance_to(self, offset_ns: int) -> None:
        """Move forward."""
        self._now_ns = max(self._now_ns, offset_ns)

    def sleep(self, seconds: float) -> None:
        """Jump."""
        self._now_ns += round(seconds * 1e9)

    def park(self, lock: Any, timeout_s: float | None) -> bool:
        """Jump to the time-out; without one, wait for the lock."""
        if timeout_s is None:
            return bool(lock.acquire())
        self.sleep(timeout_s)
        return bool(lock.acquire(blocking=False))

    def begin(self, pool: object | None = None, *, workers: int = 0) -> None:
        """One more actor."""
        del pool, workers
        with self._changed:
            self._actors += 1

    def started(self, pool: object | None = None) -> None:
        """Actors are only counted."""

    def adopt(self) -> bool:
        """Every thread counts as one already."""
        return False

    def left(self) -> None:
        """Actors are only counted."""

    def end(self, pool: object | None = None) -> None:
        """One actor less."""
        del pool
        with self._changed:
            self._actors -= 1
            self._changed.notify_all()

    def dropped(self, pool: object) -> None:
        """One actor less."""
        self.end(pool)

    def new_event_loop(self) -> Any:
        """A real loop."""
        with entered(None):  # a seam of asyncio would ask this clock again
            return asyncio.new_event_loop()


class _MemorySession:
    clock: Clock | None = None
    preamble = False
    closed = False
    answers = False

    def __init__(self) -> None:
        self.lane = Lane(self)

    def ambient_for(self, lane: Lane) -> None:
        del lane

    @contextmanager
    def open(self) -> Iterator[Lane]:
        """Run the block inside a run of this session."""
        with entered(self.lane):
            yield self.lane

    def read(self, source: str, key: str, live: Callable[[], Any]) -> Any:
        """Ambient reads are live."""
        del source, key
        return live()

    def log(self, entry: Mapping[str, Any]) -> None:
        """Log records are dropped."""
        del entry

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """A lane of its own beneath a crossing: tasks that share the run's lane don't hide each other's calls."""
        beneath = Lane(self)
        beneath.inside = True
        with entered(beneath):
            yield


class _Finished(list[Recorded]):
    """What was recorded, and the reads beside it by (source, key)."""

    reads: dict[tuple[str, str], list[Value]]


@dataclass(slots=True)
class _Crossing:
    boundary: Boundary[Any]
    call: Call
    result: Any = None
    error: BaseException | None = None
    dumped: Value = None


class _Halved:
    """A call in two halves."""

    def __init__(self, crossing: _Crossing, beneath: AbstractContextManager[None]) -> None:
        self._crossing, self._beneath = crossing, beneath
        beneath.__enter__()

    def end(self, result: Any) -> None:
        self._beneath.__exit__(None, None, None)
        MemoryRecorder._keep(self._crossing, result)  # noqa: SLF001 - of its own module

    def fail(self, error: BaseException) -> None:
        self._beneath.__exit__(None, None, None)
        self._crossing.error = error


class MemoryRecorder(_MemorySession):
    """Makes every call live and keeps references; `finish` dumps them.

    Attributes:
        refused: names of uncovered libraries that were called.
    """

    def __init__(self) -> None:
        super().__init__()
        self._crossings: list[_Crossing] = []
        self._reads: dict[tuple[str, str], list[Value]] = {}
        self.refused: list[str] = []

    def call(self, boundary: Boundary[R], call: Call, live: Callable[[], R]) -> R:
        """Make the live call and keep its answer or error."""
        crossing = self._begin(boundary, call)
        with self._inside():
            try:
                return self._keep(crossing, live())
            except BaseException as error:
                crossing.error = error
                raise

    async def acall(self, boundary: Boundary[R], call: Call, live: Callable[[], Awaitable[R]]) -> R:
        """`call` for awaitables."""
        crossing = self._begin(boundary, call)
        with self._inside():
            try:
                return self._keep(crossing, await live())
            except BaseException as error:
                crossing.error = error
                raise

    def begin(self, boundary: Boundary[Any], call: Call) -> Pending:
        """`call` in two halves."""
        return _Halved(self._begin(boundary, call), self._inside())

    def foresee(self, boundary: Boundary[Any], call: Call) -> Value | None:
        """What comes isn't known: nothing."""
        del boundary, call
        return None

    def uncovered(self, library: Uncovered) -> None:
        """Note it."""
        self.refused.append(library.name)

    def read(self, source: str, key: str, live: Callable[[], Any]) -> Any:
        """Read live and keep the value."""
        value = live()
        self._reads.setdefault((source, key), []).append(through_json(encode(value)))
        return value

    def finish(self) -> list[Recorded]:
        """Dump what was recorded, as the writer's thread does after a run."""
        finished = _Finished(self._recorded(crossing) for crossing in self._crossings)
        finished.reads = self._reads
        return finished

    def _begin(self, boundary: Boundary[Any], call: Call) -> _Crossing:
        crossing = _Crossing(boundary, call)
        self._crossings.append(crossing)
        return crossing

    @staticmethod
    def _keep(crossing: _Crossing, result: R) -> R:
        crossing.result = result
        if crossing.boundary.snapshot:
            crossing.dumped = crossing.boundary.dump(result)
        return result

    @staticmethod
    def _recorded(crossing: _Crossing) -> Recorded:
        boundary = crossing.boundary
        if crossing.error is not None:
            answer = boundary.dump_error(crossing.error)
        else:
            answer = crossing.dumped if boundary.snapshot else boundary.dump(crossing.result)
        return Recorded(
            boundary=boundary.name,
            kind=boundary.kind.name,
            request=through_json(encode(crossing.call.form())),
            answer=through_json(answer),
            failed=crossing.error is not None,
        )


class MemoryReplayer(_MemorySession):
    """Answers from what a MemoryRecorder finished, first recorded first served; a miss is latched.

    Attributes:
        unrecorded: the first miss, or None.
    """

    answers = True

    def __init__(self, recorded: list[Recorded], *, clock: Clock | None = None) -> None:
        super().__init__()
        self.clock = clock
        self.unrecorded: UnrecordedCall | None = None
        self._recorded = recorded
        self._queues: dict[str, defaultdict[str, deque[Recorded]]] = {}
        reads = recorded.reads if isinstance(recorded, _Finished) else {}
        self._reads = {key: deque(values) for key, values in reads.items()}

    def read(self, source: str, key: str, live: Callable[[], Any]) -> Any:
        """The recorded values in order, then the last one again; live where there is none."""
        values = self._reads.get((source, key))
        if not values:
            return live()
        return decode(values.popleft() if len(values) > 1 else values[0])

    def call(self, boundary: Boundary[R], call: Call, live: Callable[[], R]) -> R:
        """The recorded answer or error; `live` is never called."""
        del live
        found = self._find(boundary, call)
        with self._inside():
            if found is None:
                assert call.otherwise is not None
                result: R = call.otherwise()
                return result
            if found.failed:
                raise boundary.load_error(found.answer, call)
            return boundary.load(found.answer, call)

    async def acall(self, boundary: Boundary[R], call: Call, live: Callable[[], Awaitable[R]]) -> R:
        """`call` for awaitables."""
        if call.prepare is not None:
            await call.prepare()
        queue = self._queue(boundary, call)
        if queue and queue[0].failed and queue[0].answer.get("type") == _CANCELLED:
            queue.popleft()
            await asyncio.get_running_loop().create_future()  # only the app's own timer ended the wait for it

        def never() -> R:
            raise AssertionError(f"{live} was called")

        return self.call(boundary, call, never)

    def begin(self, boundary: Boundary[Any], call: Call) -> NoReturn:
        """Nothing is made live here."""
        raise AssertionError(f"{boundary.name} began {call} where calls are answered")

    def foresee(self, boundary: Boundary[Any], call: Call) -> Value | None:
        """Take what answers the call and keep it in the call."""
        call.found = self._find(boundary, call)
        return call.found.answer if call.found is not None and call.found.failed else None

    def uncovered(self, library: Uncovered) -> None:
        """Refuse it, latched."""
        self.unrecorded = UnrecordedCall(f"{library.name} is not covered", asked=library.name)
        raise self.unrecorded

    def unplayed(self) -> list[Recorded]:
        """What no call has asked for."""
        asked = [recorded for queues in self._queues.values() for queue in queues.values() for recorded in queue]
        return asked + [recorded for recorded in self._recorded if recorded.kind not in self._queues]

    def _find(self, boundary: Boundary[Any], call: Call) -> Recorded | None:
        if call.found is not None:
            found, call.found = call.found, None
            kept: Recorded = found
            return kept
        if self.unrecorded is not None:
            raise self.unrecorded
        queue = self._queue(boundary, call)
        if queue:
            return queue.popleft()
        if call.otherwise is not None:
            return None
        self.unrecorded = UnrecordedCall(
            "the call is not recorded", asked=f"{boundary.name} {boundary.kind.text(call.form())}"
        )
        raise self.unrecorded

    def _queue(self, boundary: Boundary[Any], call: Call) -> deque[Recorded] | None:
        """What is left of the interactions that equal a call."""
        kind = boundary.kind
        if kind.name not in self._queues:
            queues = self._queues[kind.name] = defaultdict(deque)
            for recorded in self._recorded:
                if recorded.kind == kind.name:
                    queues[kind.canonical(decode(recorded.request))].append(recorded)
        return self._queues[kind.name].get(kind.canonical(call.form()))


def through_json(value: Value) -> Value:
    """A Value after being written and read.

    Raises:
        AssertionError: the JSON isn't the same value.
    """
    read = orjson.loads(orjson.dumps(value))
    if read != value:
        raise AssertionError(f"not a JSON value: {value!r}")
    return read
