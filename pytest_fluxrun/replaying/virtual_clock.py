"""Virtual time of one replayed run: sleeps, timers and timed waits end at once, in order; real work is waited for.

The rule: the clock jumps to the earliest wait only when every actor (the driver, threads of the run, pool jobs) waits
here, no queued job could start, no loop has I/O ready, and threads of no run are at rest. Patches nothing.
"""

from __future__ import annotations

import _thread
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from pytest_fluxrun.context import LANE
from pytest_fluxrun.errors import DeadlineExceeded
from pytest_fluxrun.handover import BorrowedLane
from pytest_fluxrun.replaying.foreign_threads import ForeignThreads, resting_at
from pytest_fluxrun.replaying.stall import Stall
from pytest_fluxrun.replaying.waits import NEVER_NS, Wait, Waits

__all__ = ["VirtualClock"]

_READ_NS = 1_000
_READS_BEFORE_HASTE = 1_000
_LONGEST_STEP_NS = 1_000_000_000
_PATIENCE_S = 0.02
_RESTLESS_PATIENCE_S = 0.0005


class _Loop(Protocol):
    def next_due_ns(self) -> int | None: ...


@dataclass(slots=True)
class _Pool:
    workers: int
    queued: int = 0
    active: int = 0


class VirtualClock:
    """A run's virtual time. See `context.Clock`; every method may be called from any thread.

    Args:
        start_ns: the offset at which it begins.

    Attributes:
        over: the run has ended and real time passes again.
        jumps: how often a wait's time has come.
        forced: how many of the jumps went past an actor that seemed to be blocked where it can't be seen.
        loop_type: makes an event loop on a clock; `event_loop` sets it.
    """

    loop_type: ClassVar[type[Any]]

    def __init__(self, start_ns: int = 0) -> None:
        self.over = False
        self.jumps = self.forced = 0
        self._now_ns = start_ns
        self._mutex = _thread.RLock()  # a finaliser or a signal handler may read the clock inside
        self._waits = Waits()
        self._running = 0
        self._drivers = 0
        self._actors: dict[int, int] = {}
        self._parked: set[int] = set()
        self._pools: dict[int, _Pool] = {}
        self._loops: weakref.WeakSet[Any] = weakref.WeakSet()
        self._foreign = ForeignThreads()
        self._restless = False
        self._stall = Stall()
        self._reads = 0
        self._step_ns = _READ_NS
        self._killed: BaseException | None = None
        self._interruption: tuple[int, int, BaseException] | None = None

    # -- time ----------------------------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """The current offset, without moving it."""
        return self._now_ns

    def read(self) -> int:
        """The offset that a program sees: moves it by a microsecond, and a busy poll ever faster to its deadline."""
        with self._mutex:
            self._raise_if_killed()
            self._reads += 1
            self._now_ns += self._poll_step_ns()
            self._fire_due()
            return self._now_ns

    def advance_to(self, offset_ns: int) -> None:
        """Move forward to an offset; never backward."""
        with self._mutex:
            if offset_ns > self._now_ns:
                self._now_ns = offset_ns
                self._fire_due()

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for a virtual duration.

        Raises:
            DeadlineExceeded: the clock was killed.
        """
        with self._mutex:
            self._raise_if_killed()
            until_ns = self._now_ns + _whole_ns(seconds)
            alone = self._running == 1 and get_ident() in self._actors and self._alone_until(until_ns)
            if alone and self._interruption_before(until_ns) is None:
                self._now_ns = until_ns
                self._moved()
                return
        lock = _thread.allocate_lock()
        lock.acquire()
        self.park(lock, seconds)

    def park(self, lock: Any, timeout_s: float | None) -> bool:
        """Block on a held lock until it is released (True) or its virtual time has come (False).

        Raises:
            DeadlineExceeded: the clock was killed.
        """
        due_ns = NEVER_NS if timeout_s is None else self._now_ns + _whole_ns(timeout_s)
        interruption = self._interruption_before(due_ns)
        if interruption is not None:
            due_ns = max(self._now_ns, interruption[1])
        wait = Wait(due_ns, lock)
        with self.waiting(wait):
            while not lock.acquire(True, self.patience_s()):
                if self.over:
                    return self._park_really(lock, due_ns) and not wait.fired
                self.look()
        if wait.fired and interruption is not None and self._interruption is interruption:
            self._interruption = None
            raise interruption[2]
        return not wait.fired

    @contextmanager
    def interrupting(self, offset_ns: int, error: BaseException) -> Iterator[None]:
        """The first wait of this thread in the block that reaches beyond an offset ends there, and raises.

        As a signal handler of a server does that gives up on a request.
        """
        self._interruption = (get_ident(), offset_ns, error)
        try:
            yield
        finally:
            self._interruption = None

    def _interruption_before(self, due_ns: int) -> tuple[int, int, BaseException] | None:
        """What ends a wait of this thread before it is due, or None."""
        found = self._interruption
        return found if found is not None and found[0] == get_ident() and found[1] < due_ns else None

    def _park_really(self, lock: Any, due_ns: int) -> bool:
        return bool(lock.acquire() if due_ns == NEVER_NS else lock.acquire(True, max(0, due_ns - self._now_ns) / 1e9))

    # -- actors --------------------------------------------------------------------------------------------------------

    def begin(self, pool: object | None = None, *, workers: int = 0) -> None:
        """One more actor: a thread about to start, or a job just queued in a pool of so many workers."""
        with self._mutex:
            self._moved()
            if pool is None:
                self._running += 1
            else:
                self._pools.setdefault(id(pool), _Pool(workers)).queued += 1

    def started(self, pool: object | None = None) -> None:
        """What `begin` announced now runs on this thread.

        Raises:
            DeadlineExceeded: the clock was killed; the actor counts all the same.
        """
        with self._mutex:
            self._actors[get_ident()] = threading.get_native_id()
            if pool is not None:
                entry = self._pools[id(pool)]
                entry.queued -= 1
                entry.active += 1
                self._running += 1
            self._raise_if_killed()

    def adopt(self) -> bool:
        """Make this thread an actor; False where it is one already."""
        with self._mutex:
            if get_ident() in self._actors:
                return False
            self._actors[get_ident()] = threading.get_native_id()
            self._running += 1
            return True

    @contextmanager
    def driving(self) -> Iterator[None]:
        """The block drives the run on this thread. Time stands still where nobody drives: between two blocks, say."""
        adopted = self.adopt()
        with self._mutex:
            self._drivers += 1
        try:
            yield
        finally:
            with self._mutex:
                self._drivers -= 1
            if adopted:
                self.left()
                self.end()

    def left(self) -> None:
        """The actor has no thread any more; it counts until `end`."""
        with self._mutex:
            self._actors.pop(get_ident(), None)

    def end(self, pool: object | None = None) -> None:
        """An actor that had started is over."""
        with self._mutex:
            self._moved()
            self._running -= 1
            if pool is not None:
                self._pools[id(pool)].active -= 1
                self._forget_if_unused(pool)
            self._settle()

    def dropped(self, pool: object) -> None:
        """A job announced with `begin(pool)` will never start."""
        with self._mutex:
            self._moved()
            self._pools[id(pool)].queued -= 1
            self._forget_if_unused(pool)
            self._settle()

    def new_event_loop(self) -> Any:
        """An asyncio event loop on this clock, for a thread of the run that makes its own."""
        return self.loop_type(self)

    # -- loops and waits -----------------------------------------------------------------------------------------------

    def join_loop(self, loop: _Loop) -> None:
        """A loop keeps its time by this clock from now on."""
        self._loops.add(loop)

    def leave_loop(self, loop: _Loop) -> None:
        """The loop keeps real time again."""
        self._loops.discard(loop)

    @contextmanager
    def waiting(self, wait: Wait) -> Iterator[None]:
        """The block waits on this thread, until `wait` has fired or been notified; calls `look` every `patience_s`."""
        ident = get_ident()
        with self._mutex:
            self._raise_if_killed()
            self._moved()
            wait.guest = ident not in self._actors
            self._waits.add(wait)
            if not wait.guest:
                self._running -= 1
                self._parked.add(ident)
            self._settle()
        try:
            yield
        finally:
            with self._mutex:
                self._moved()
                self._waits.remove(wait)
                self._parked.discard(ident)
                if not (wait.guest or wait.awake):
                    self._running += 1
                wait.awake = True
                self._raise_if_killed()

    def patience_s(self) -> float:
        """Real seconds to block before looking again."""
        return _RESTLESS_PATIENCE_S if self._restless else _PATIENCE_S

    def look(self) -> None:
        """Look again whether the clock may jump: nobody tells when a thread of no run comes to rest."""
        with self._mutex:
            self._settle()
            if self.over or not self._drivers or not (self._running > 0 or self._startable()):
                return
            runners = [native for ident, native in self._actors.items() if ident not in self._parked]
            allowed_ns = self._stall.allowance_ns(self.jumps, runners)
            if self._waits.earliest_ns() <= self._now_ns + allowed_ns:
                self.forced += 1
                self._fire()

    # -- the end -------------------------------------------------------------------------------------------------------

    def kill(self, error: BaseException | None = None) -> None:
        """The item's deadline: everything that waits here, and everything that asks later, raises."""
        with self._mutex:
            self._killed = error or DeadlineExceeded("the replay's deadline has passed")
            self._wake_all(NEVER_NS + 1)

    @property
    def killed(self) -> bool:
        """Whether `kill` was called."""
        return self._killed is not None

    def close(self) -> None:
        """The run is over: pending sleeps and timed waits of what is left of it end now, and real time passes again."""
        self.release()
        with self._mutex:
            self._wake_all(NEVER_NS)

    def release(self) -> None:
        """Real time passes again, also for what waits now: for threads that outlive what the clock was made for."""
        with self._mutex:
            self.over = True
            self._killed = None

    # -- the rule (the mutex is held in all of these) ------------------------------------------------------------------

    def _settle(self) -> None:
        """Jump, if nobody can run and the run is being driven."""
        if self.over or not self._drivers or self._running > 0:
            return
        if self._waits.earliest_ns() == NEVER_NS or self._startable() or self._notified():
            return
        self._restless = not self._foreign.at_rest(self._actors)
        if not self._restless and not self._notified():
            self._fire()

    def _alone_until(self, until_ns: int) -> bool:
        """Whether the one running actor may take the clock to an instant by itself."""
        if not self._drivers or (self._waits and (self._notified() or self._waits.earliest_ns() <= until_ns)):
            return False
        return not self._startable() and self._foreign.at_rest(self._actors)

    def _startable(self) -> bool:
        return bool(self._pools) and any(pool.queued and pool.active < pool.workers for pool in self._pools.values())

    def _notified(self) -> bool:
        """Count those that something woke and that don't run yet."""
        found = False
        for wait in self._waits:
            if not wait.awake and wait.notified():
                self._count_awake(wait)
                found = True
        return found

    def _count_awake(self, wait: Wait) -> None:
        wait.awake = True
        if not wait.guest:
            self._running += 1

    def _fire(self) -> None:
        wait = self._waits.take_earliest()
        self._now_ns = max(self._now_ns, wait.due_ns)
        self.jumps += 1
        wait.fired = True
        self._count_awake(wait)
        wait.wake()
        self._moved()

    def _fire_due(self) -> None:
        self._notified()
        while self._waits.earliest_ns() <= self._now_ns:
            self._fire()

    def _poll_step_ns(self) -> int:
        """How far a read moves the clock: a busy poll ever farther, but not past the instant at which others act."""
        if self._reads <= _READS_BEFORE_HASTE or self._running > 1 or self._notified():
            return _READ_NS
        self._step_ns = min(self._step_ns * 2, _LONGEST_STEP_NS)
        until_due_ns = self._next_due_ns() - self._now_ns
        if self._step_ns < until_due_ns:
            return self._step_ns
        self._moved()
        return max(_READ_NS, until_due_ns)

    def _next_due_ns(self) -> int:
        loops: list[int] = [due_ns for loop in self._loops if (due_ns := loop.next_due_ns()) is not None]
        return min([NEVER_NS, self._waits.earliest_ns(), *(due_ns for due_ns in loops if due_ns > self._now_ns)])

    def _moved(self) -> None:
        """Something happened: a poll isn't busy and nobody is stuck."""
        self._reads = 0
        self._step_ns = _READ_NS
        self._stall.over()

    def _wake_all(self, before_ns: int) -> None:
        for wait in self._waits:
            if not wait.awake and wait.due_ns < before_ns:
                wait.fired = True
                self._count_awake(wait)
                wait.wake()

    def _forget_if_unused(self, pool: object) -> None:
        entry = self._pools[id(pool)]
        if not entry.queued and not entry.active:
            del self._pools[id(pool)]

    def _raise_if_killed(self) -> None:
        """Not in a start-up worker that does a job of the run: its wait is over, and it goes on to the next run's."""
        if self._killed is not None and not isinstance(LANE.get(), BorrowedLane):
            raise self._killed


def _whole_ns(seconds: float) -> int:
    """At least one where time remains: `queue.get` waits for what rounding leaves of its time-out again and again."""
    return max(1, round(seconds * 1e9)) if seconds > 0 else 0


get_ident = _thread.get_ident
resting_at(VirtualClock.park.__code__, "lock")
resting_at(VirtualClock._park_really.__code__, "lock")  # noqa: SLF001 - its own
