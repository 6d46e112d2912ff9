"""An end to every replay: stacks, then the virtual clock, then an exception in the thread that drives.

All waiting here is by real time, whatever is interposed or travelled. It can't end a C call that holds the GIL: only a
process of its own can (see `confirmation`).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
import traceback
from asyncio import AbstractEventLoop, all_tasks
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

from pytest_fluxrun.context import entered
from pytest_fluxrun.errors import DeadlineExceeded
from pytest_fluxrun.replaying.debugging import at_a_prompt

__all__ = ["Deadline", "stacks"]

_monotonic = time.monotonic
_SIGNAL: signal.Signals | None = getattr(signal, "SIGURG", None)
"""Nobody's Python code uses it, and its default is to be ignored, so that one delivered late does no harm.

SIGALRM is pytest-timeout's, SIGUSR1 and SIGUSR2 are servers' and faulthandler's, and all three kill by default.
"""
_GRACE_S = 0.1
"""How long the clock's own end may take before the exception follows."""
_TRIES_S = (0.2, 0.2, 0.5)
"""Pauses between exceptions while the block is still running; the last one repeats."""
_MAX_UNDIRECTED = 20
"""Tries where no signal handler can tell the block's own frames from those after it."""


class Killable(Protocol):
    """What a deadline needs of a virtual clock."""

    def kill(self) -> Any:
        """Wake everything that is parked on the clock, with an error."""


class _Interrupt(DeadlineExceeded):
    """What the driving thread meets; `Deadline.__exit__` gives it its message and stacks."""

    def __init__(self, message: str = "the deadline has passed") -> None:
        super().__init__(message)


class Deadline:
    """Ends the block after so many real seconds, whatever it waits for, with `DeadlineExceeded`.

    Latched: a block that swallows the exception, or turns it into another, still ends with `DeadlineExceeded`. On the
    main thread a signal's handler raises it, which interrupts locks, `select`, and `time.sleep`. On other threads, and
    without SIGURG, it arrives at the thread's next bytecode, so a blocking C call there lasts until `clock.kill()` or
    its own end.

    Args:
        seconds: real seconds.
        clock: a virtual clock to be killed first.
        loop: the event loop whose tasks belong in the stacks.

    Attributes:
        expired: whether the time was up before the block's end.
        stacks: what every thread and task was doing then, or "".
    """

    def __init__(self, seconds: float, clock: Killable | None = None, loop: AbstractEventLoop | None = None) -> None:
        self.seconds = seconds
        self.expired = False
        self.stacks = ""
        self._clock = clock
        self._loop = loop
        self._armed = False
        self._thread = 0
        self._before: Any = None
        self._signalled = False
        self._over = threading.Lock()
        self.due = 0.0

    def __enter__(self) -> Self:
        """Arm the deadline for the calling thread."""
        self._over.acquire()
        self._thread = threading.get_ident()
        self._signalled = self._thread == threading.main_thread().ident and _is_free(_SIGNAL)
        if self._signalled and _SIGNAL is not None:
            self._before = signal.signal(_SIGNAL, self._interrupt)
        self._armed = True
        with entered(None):
            self.due = _monotonic() + self.seconds
            _watcher.watch(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disarm.

        Raises:
            DeadlineExceeded: the time was up.
        """
        self._armed = False
        _watcher.forget(self)
        self._over.release()
        if self._signalled and _SIGNAL is not None:
            signal.signal(_SIGNAL, self._before)
        elif self.expired:
            _raise_in_thread(self._thread, None)
        if self.expired and (error is None or isinstance(error, (Exception, DeadlineExceeded))):
            cause = error if isinstance(error, Exception) else None
            raise DeadlineExceeded(f"the replay gave no outcome in {self.seconds:g} s", stacks=self.stacks) from cause

    def expire(self) -> None:
        """Called by the watcher's thread once the time is up: one rung after the other until the block is over.

        While somebody is at a debugger's prompt the time isn't up: it begins anew.
        """
        if at_a_prompt():
            self.due = _monotonic() + self.seconds
            _watcher.watch(self)
            return
        self.stacks = stacks(self._loop)
        if not self._is_running():
            return
        self.expired = True
        if self._clock is not None:
            self._clock.kill()
            if self._ended_within(_GRACE_S):
                return
        for pause_s in _pauses(None if self._signalled else _MAX_UNDIRECTED):
            if not self._is_running():
                return
            if self._signalled and _SIGNAL is not None:
                signal.pthread_kill(self._thread, _SIGNAL)
            else:
                _raise_in_thread(self._thread, _Interrupt)
            if self._ended_within(pause_s):
                return

    def _is_running(self) -> bool:
        return self._armed

    def _ended_within(self, seconds: float) -> bool:
        if self._over.acquire(timeout=seconds):
            self._over.release()
            return True
        return False

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """Raise in the block; not in `__exit__`, which must run to its end, nor for a signal of somebody else's."""
        if self._armed and self.expired and not (frame is not None and frame.f_code is _EXIT):
            raise _Interrupt
        if not self.expired and callable(self._before):
            self._before(number, frame)


_EXIT = Deadline.__exit__.__code__


def stacks(loop: AbstractEventLoop | None = None) -> str:
    """What every other thread does, and what each task of the loop awaits, as text. Source lines only, no values."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = [
        f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame)).rstrip()}"
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - CPython's documented way
        if ident != threading.get_ident()
    ]
    if loop is not None:
        parts += [f"task {task.get_name()}:\n{_awaited(task.get_coro())}" for task in all_tasks(loop)]
    return "\n\n".join(parts)


def _awaited(coroutine: Any) -> str:
    """The chain of frames from a coroutine to what it awaits; `Task.get_stack` gives the outermost one only."""
    entries = []
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            entries += traceback.format_stack(frame, limit=1)
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return "".join(entries).rstrip() or "  (not started)"


def _pauses(limit: int | None) -> Iterator[float]:
    given = 0
    while limit is None or given < limit:
        yield _TRIES_S[min(given, len(_TRIES_S) - 1)]
        given += 1


def _is_free(number: signal.Signals | None) -> bool:
    """Whether the handler can be set and put back: None stands for one set by C code."""
    return number is not None and signal.getsignal(number) is not None


def _raise_in_thread(ident: int, error: type[BaseException] | None) -> None:
    """Raise at the thread's next bytecode; None takes back what hasn't been raised yet."""
    target = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), target)


class _Watcher:
    """The one thread that waits for deadlines, so that an item pays for no thread of its own and wakes nobody.

    It sleeps until the earliest time that it knows of; a later deadline needs no wake-up, since it looks again then.
    """

    def __init__(self, start: Callable[[Callable[[], None]], None]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._wake = threading.Lock()
        self._wake.acquire()
        self._watched: list[Deadline] = []
        self._looks_at = float("inf")
        self._running = False

    def watch(self, deadline: Deadline) -> None:
        with self._lock:
            self._watched.append(deadline)
            if not self._running:
                self._running = True
                self._looks_at = deadline.due
                self._start(self._run)
            elif deadline.due < self._looks_at and self._wake.locked():
                self._wake.release()

    def forget(self, deadline: Deadline) -> None:
        with self._lock:
            if deadline in self._watched:
                self._watched.remove(deadline)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._watched:
                    self._running = False
                    return
                first = min(self._watched, key=lambda deadline: deadline.due)
                self._looks_at = first.due
            left_s = first.due - _monotonic()
            if left_s > 0:
                self._wake.acquire(timeout=left_s)
                continue
            self.forget(first)
            _expire_apart(first)


def _expire_apart(deadline: Deadline) -> None:
    """On a thread of its own: a block that resists must not hold up the deadline of another thread's block."""
    _start_thread(deadline.expire)


def _start_thread(target: Callable[[], None]) -> None:
    with entered(None):
        threading.Thread(target=target, name="fluxrun-deadline", daemon=True).start()


_watcher = _Watcher(_start_thread)


def _after_fork() -> None:
    global _watcher  # noqa: PLW0603 - the parent's thread isn't in the child, and its locks may be held for ever
    _watcher = _Watcher(_start_thread)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
