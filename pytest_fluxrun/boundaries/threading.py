"""threading, queue and _thread: a thread runs in a lane of its own; waits of a replayed run are virtual.

Records nothing. Only FluxRun's own variable is carried into threads.
"""

from __future__ import annotations

import _thread
import functools
from collections.abc import Callable, Iterable
from typing import Any

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import LANE, Clock, Lane, entered, name_of, open_lane, virtual_clock, within_context
from pytest_fluxrun.errors import DeadlineExceeded, FluxRunError

__all__ = ["boundary"]

_FINISHED = "_fluxrun_finished"


class Threading(Seams):
    """The seams where threads start and wait."""

    name = "threading"
    modules = ("threading", "queue", "_thread")

    def patches(self, module: Any) -> Iterable[Patch]:
        """Starts, joins, Condition.wait, and the clocks by which threading and queue reckon their time-outs."""
        if module.__name__ == "_thread":
            yield Patch(module, "start_new_thread", _start_new_thread)
        elif module.__name__ == "queue":
            yield Patch(module, "time", _monotonic)
        else:
            yield Patch(module, "_time", _monotonic)
            yield Patch(module.Condition, "wait", _condition_wait)
            yield Patch(module.Thread, "start", functools.partial(_start, module.Event))
            yield Patch(module.Thread, "join", _join)


def _monotonic(original: Callable[[], float]) -> Callable[[], float]:
    @functools.wraps(original)
    def monotonic() -> float:
        clock = virtual_clock()
        return original() if clock is None else clock.now_ns() * 1e-9

    return monotonic


class _Waiter:
    """A held lock that stays `locked()` no longer than until its release, though its waiter acquires it again at once.

    A plain lock looks held from the moment that the woken thread has it, long before that thread can run; the clock
    would take the thread for one that still waits.
    """

    __slots__ = ("_lock", "_released", "acquire")

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._lock.acquire()
        self._released = False
        self.acquire = self._lock.acquire

    def release(self) -> None:
        """Wake the waiter; a RuntimeError, as Condition.notify expects it, where that has happened already."""
        if self._released:
            raise RuntimeError("release unlocked lock")
        self._released = True
        self._lock.release()

    def locked(self) -> bool:
        """Whether nobody has released it."""
        return not self._released


def _condition_wait(original: Callable[..., bool]) -> Callable[..., bool]:
    @functools.wraps(original)
    def wait(self: Any, timeout: float | None = None) -> bool:
        clock = virtual_clock()
        if clock is None:
            return original(self, timeout)
        if not self._is_owned():
            raise RuntimeError("cannot wait on un-acquired lock")
        waiter = _Waiter()
        self._waiters.append(waiter)
        saved = self._release_save()
        notified = False
        try:
            notified = clock.park(waiter, timeout)
            return notified
        finally:
            self._acquire_restore(saved)
            if not notified and waiter in self._waiters:
                self._waiters.remove(waiter)

    return wait


def _start(new_event: Callable[[], Any], original: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(original)
    def start(self: Any) -> None:
        parent = open_lane()
        if parent is None or not getattr(self, "_initialized", False) or self._started.is_set():
            return original(self)
        named, laned = within_context(getattr(self, "_target", None), getattr(self, "_args", ()))
        lane, clock = parent.spawn(_thread_name(self, named)), virtual_clock()
        if named is not None:
            self._target = laned(lane)
        finished = None
        if clock is not None:
            finished = new_event()
            setattr(self, _FINISHED, finished)
            clock.begin()
        self.run = functools.partial(_run, self, self.run, lane, clock, finished)
        try:
            with entered(None):
                return original(self)
        except BaseException:
            self.__dict__.pop("run", None)
            if clock is not None:
                clock.end()
            raise

    return start


def _run(thread: Any, run: Callable[[], None], lane: Lane, clock: Clock | None, finished: Any, *_: Any) -> None:
    """What a thread of the run does, in its lane. An instrument that wrapped `run` may pass the thread once more."""
    thread.__dict__.pop("run", None)
    if clock is None:
        with entered(lane):
            return run()
    try:
        clock.started()
        with entered(lane):
            return run()
    except (DeadlineExceeded, FluxRunError) as error:
        if isinstance(error, FluxRunError) and not lane.session.closed:
            raise
        return None  # it was ended, or refused because the run is over: the replay's report says so, no traceback here
    finally:
        finished.set()
        clock.left()
        clock.end()


def _join(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def join(self: Any, timeout: float | None = None) -> None:
        finished = None if virtual_clock() is None else self.__dict__.get(_FINISHED)
        if finished is None or self.ident == _thread.get_ident():
            return original(self, timeout)
        return original(self) if finished.wait(timeout) else None

    return join


def _start_new_thread(original: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(original)
    def start_new_thread(function: Callable[..., Any], args: tuple[Any, ...], *kwargs: dict[str, Any]) -> int:
        parent = open_lane()
        if parent is None:
            return original(function, args, *kwargs)
        named, laned = within_context(function, args)
        lane, clock = parent.spawn(name_of(named)), virtual_clock()
        if clock is not None:
            clock.begin()
        try:
            return original(_run_raw, (laned(lane), lane, clock, args, *kwargs))
        except BaseException:
            if clock is not None:
                clock.end()
            raise

    return start_new_thread


def _run_raw(
    function: Callable[..., Any], lane: Lane, clock: Clock | None, args: tuple[Any, ...], kwargs: Any = None
) -> None:
    LANE.set(lane)
    if clock is None:
        function(*args, **(kwargs or {}))
        return
    try:
        clock.started()
        function(*args, **(kwargs or {}))
    except DeadlineExceeded:
        return
    finally:
        clock.left()
        clock.end()


def _thread_name(thread: Any, target: Any) -> str:
    """A lane's name: the target's, a Timer's function's, else the thread's class's."""
    if target is None:
        target = getattr(thread, "function", None)
    return name_of(type(thread) if target is None else target)


boundary = Threading()
