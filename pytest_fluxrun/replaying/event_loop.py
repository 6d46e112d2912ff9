"""The asyncio event loop that outlives the items: real time between them, a run's virtual clock during one.

Holds the loop, its selector, and the two ways of driving code on a clock. Cancels nothing that isn't the run's.
"""

from __future__ import annotations

import _socket
import asyncio
import math
import selectors
import threading
import weakref
from _asyncio import _get_running_loop
from collections.abc import Callable, Coroutine
from contextlib import nullcontext, suppress
from typing import Any, TypeVar, cast

from pytest_fluxrun import ambient
from pytest_fluxrun.context import LANE, Clock, virtual_clock
from pytest_fluxrun.errors import DeadlineExceeded
from pytest_fluxrun.replaying.virtual_clock import VirtualClock
from pytest_fluxrun.replaying.waits import NEVER_NS, Wait

__all__ = ["VirtualLoop", "call", "drive", "finish"]

_CLEAN_UP_S = 1.0

T = TypeVar("T")


class _LoopWait(Wait):
    """A loop that waits for I/O or its next timer; `lock` is unused, its own selector blocks it."""

    __slots__ = ("blocked", "loop")

    def __init__(self, due_ns: int, loop: VirtualLoop) -> None:
        super().__init__(due_ns, None)
        self.loop = loop
        self.blocked = False

    def notified(self) -> bool:
        """Whether I/O is ready: the loop then wakes by itself."""
        return bool(self.loop.selector.ready())

    def wake(self) -> None:
        """Write to the loop's self-pipe, unless it is only about to block."""
        if self.blocked:
            self.loop._write_to_self()  # type: ignore[attr-defined]  # noqa: SLF001 - as call_soon_threadsafe does


class _Selector(selectors.DefaultSelector):
    """The platform's selector, which blocks on the run's clock where the loop has one."""

    loop: VirtualLoop

    def ready(self) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now."""
        return super().select(0)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for I/O or, on the clock, for the loop's next timer."""
        try:
            events = self._select(timeout)
        except DeadlineExceeded:
            if not self.loop.visiting:
                raise
            self.loop.leave()  # it goes on for those who come after the run that was ended
            events = []
        self.loop.follow()
        return events

    def _select(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        clock = self.loop.clock
        if clock is None or clock.over or (timeout is not None and timeout <= 0):
            return super().select(timeout)
        due_ns = self.loop.next_due_ns()
        wait = _LoopWait(NEVER_NS if due_ns is None else due_ns, self.loop)
        with clock.waiting(wait):
            wait.blocked = True
            while not (wait.fired or clock.over):
                if events := super().select(clock.patience_s()):
                    return events
                clock.look()
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector event loop whose time is, while it has a clock, that clock's.

    One that a thread of the app runs for ever keeps the time of the run that last called it from another thread.

    Attributes:
        clock: the run's clock, or None: real time.
        visiting: its clock is that of a run that called it, and which it outlives.
    """

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock: VirtualClock | None = None
        self.selector = _Selector()
        self.selector.loop = self
        self._base_s = 0.0
        self._based_on: VirtualClock | None = None
        self.visiting = False
        self._invited_by: Clock | None = None
        self._inviting = threading.Lock()
        self._tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        super().__init__(self.selector)
        if clock is not None:
            self.enter(clock)

    def _make_self_pipe(self) -> None:
        """As the base class, of raw sockets: who forbids `socket.socket` (pytest-socket) doesn't mean these."""
        self._ssock, self._csock = _socket.socketpair()
        self._ssock.setblocking(False)
        self._csock.setblocking(False)
        self._internal_fds += 1  # type: ignore[attr-defined]  # of the base class
        self._add_reader(self._ssock.fileno(), self._read_from_self)  # type: ignore[attr-defined]  # of the base class

    def time(self) -> float:
        """Seconds; in a run they go on from the real time at which it began."""
        clock = self.clock
        if clock is None or clock.over:
            return ambient.monotonic_ns() * 1e-9
        return self._base_s + clock.now_ns() * 1e-9

    def next_due_ns(self) -> int | None:
        """When the loop's next timer is due, as an offset of the clock."""
        timers = self._scheduled  # type: ignore[attr-defined]  # private to asyncio; a heap of TimerHandles
        return math.ceil((timers[0].when() - self._base_s) * 1e9) if timers else None

    def enter(self, clock: VirtualClock) -> None:
        """Keep time by a clock; one that comes back goes on where it was, for timers that were set by it."""
        if self._based_on is not clock:
            self._base_s = ambient.monotonic_ns() * 1e-9 - clock.now_ns() * 1e-9
            self._based_on = clock
        self.clock = clock
        clock.join_loop(self)

    def leave(self) -> None:
        """Keep real time."""
        if self.clock is not None:
            self.clock.leave_loop(self)
        self.clock = None

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.Handle:  # type: ignore[override]
        """As asyncio's; what a run has another thread's loop do happens in the time of the run."""
        clock = virtual_clock()
        if clock is not None and clock is not self.clock and self.is_running() and _get_running_loop() is not self:
            with self._inviting:
                first, self._invited_by = self._invited_by is not clock, clock
            if first:
                clock.begin()
        return super().call_soon_threadsafe(callback, *args, context=context)

    def follow(self) -> None:
        """On the loop's thread: keep the time of the run that has called the loop, as one of its actors."""
        with self._inviting:
            clock, self._invited_by = self._invited_by, None
            if clock is None or clock.over:
                return
            self.visiting = True
            self.enter(cast("VirtualClock", clock))
        with suppress(DeadlineExceeded):
            clock.started()

    def create_task(self, coro: Coroutine[Any, Any, T], **kwargs: Any) -> asyncio.Task[T]:  # type: ignore[override]
        """As asyncio's; a task made by a run is remembered, to be cancelled with it."""
        task = super().create_task(coro, **kwargs)
        lane = LANE.get()
        if lane is not None and self.clock is not None and lane.session.clock is self.clock:
            self.keep(task)
        return task

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Remember a task as the run's."""
        self._tasks.add(task)

    def take_tasks(self) -> set[asyncio.Task[Any]]:
        """The tasks of runs that aren't done; the loop forgets them."""
        tasks = {task for task in self._tasks if not task.done()}
        self._tasks.clear()
        return tasks


def drive(loop: VirtualLoop, coroutine: Coroutine[Any, Any, T], clock: VirtualClock) -> T:
    """Run a coroutine to its end on a loop, in the current lane itself (not in one spawned from it), on a clock.

    Raises:
        DeadlineExceeded: the clock was killed.
    """
    task = asyncio.Task(coroutine, loop=loop)
    loop.enter(clock)
    loop.keep(task)
    try:
        with clock.driving():
            return loop.run_until_complete(task)
    finally:
        loop.leave()


def finish(loop: VirtualLoop, clock: VirtualClock) -> None:
    """End a run: cancel the tasks that it left behind, give them virtual time to clean up, then close its clock."""
    tasks = loop.take_tasks()
    for task in tasks:
        task.cancel()
    if tasks and not loop.is_closed():
        if clock.killed:
            clock.close()
        drive(loop, _gone(tasks), clock)
    clock.close()


async def _gone(tasks: set[asyncio.Task[Any]]) -> None:
    done, _ = await asyncio.wait(tasks, timeout=_CLEAN_UP_S)
    for task in done:
        if not task.cancelled():
            task.exception()


def call(function: Callable[[], T], clock: VirtualClock, interruption: tuple[int, BaseException] | None = None) -> T:
    """Call a function in the current lane, on a clock.

    Args:
        interruption: see `entry.Driving.call`.

    Raises:
        DeadlineExceeded: the clock was killed.
    """
    interrupting = nullcontext() if interruption is None else clock.interrupting(*interruption)
    with clock.driving(), interrupting:
        return function()


VirtualClock.loop_type = VirtualLoop
