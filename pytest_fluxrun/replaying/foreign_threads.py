"""Whether threads that belong to no run are at rest: one that the app started at boot may be handed work by a run.

Looks at Python frames first (cheap, exact for threads in Condition.wait and pool workers), then at the kernel.
Changes nothing and knows no clock.
"""

from __future__ import annotations

import concurrent.futures.thread
import inspect
import os
import sys
import threading
from collections.abc import Container, Iterable
from types import CodeType, FrameType
from typing import Any

from pytest_fluxrun import ambient

__all__ = ["OWN_THREAD_PREFIX", "ForeignThreads", "cpu_of", "resting_at"]

OWN_THREAD_PREFIX = "fluxrun-"
"""Threads named so run nothing of the app and are never waited for: a deadline, a watch."""

_BUSY = "RD"
_SURE_NS = 1_000_000  # longer than a thread that waits for the GIL sleeps while nobody else computes


def _condition_wait(variables: Any) -> bool:
    """Whether nobody has notified it, which takes it out of the list; its lock is held again as soon as it wakes."""
    waiter = variables.get("waiter")
    return waiter is not None and waiter in variables["self"]._waiters and waiter.locked()  # noqa: SLF001


def _pool_worker(variables: Any) -> bool:
    queue = variables.get("work_queue")
    return queue is not None and queue.empty()


_WORKER: CodeType = concurrent.futures.thread._worker.__code__  # noqa: SLF001 - private to CPython
_JOB: CodeType = inspect.unwrap(concurrent.futures.thread._WorkItem.run).__code__  # noqa: SLF001 - likewise
_resting: dict[CodeType, Any] = {
    inspect.unwrap(threading.Condition.wait).__code__: _condition_wait,
    _WORKER: _pool_worker,
}


def resting_at(code: CodeType, lock_name: str) -> None:
    """A thread whose innermost frame runs `code` is at rest while its local variable `lock_name` is a held lock."""
    _resting[code] = lambda variables: (lock := variables.get(lock_name)) is not None and lock.locked()


class ForeignThreads:
    """Remembers, per thread, at which CPU time it was last seen asleep, so that one look is enough the next time."""

    def __init__(self) -> None:
        self._asleep: dict[int, tuple[Any, int]] = {}

    def at_rest(self, own: Container[int]) -> bool:
        """Whether every Python thread but `own`, the main one and FluxRun's is blocked and has been handed nothing.

        Args:
            own: idents of the run's threads, the caller among them.
        """
        unsure = []
        for ident, frame in _frames_but(own, threading.main_thread().ident):
            known = frame if frame.f_code in _resting else _between_jobs(frame)
            if known is None:
                unsure.append((ident, frame))
            elif not _resting[known.f_code](known.f_locals):
                return False
        return not unsure or self._asleep_all(unsure)

    def _asleep_all(self, unsure: Iterable[tuple[int, FrameType]]) -> bool:
        known: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]  # noqa: SLF001 - enumerate() locks
        resting, now_ns = True, ambient.monotonic_ns()
        for ident, frame in unsure:
            thread = known.get(ident)
            if thread is None or thread.native_id is None or thread.name.startswith(OWN_THREAD_PREFIX):
                continue
            state, cpu = cpu_of(thread.native_id) or ("S", b"")
            look = (cpu, id(frame), frame.f_lasti)
            seen, since_ns = self._asleep.get(ident, (None, 0))
            if state in _BUSY or seen != look:
                self._asleep[ident] = (look, now_ns)
                resting = False
            elif now_ns - since_ns < _SURE_NS:
                resting = False
        return resting


def _frames_but(own: Container[int], main: int | None) -> list[tuple[int, FrameType]]:
    """Where other threads are. The caller's frame stays in no variable: it would hold itself, and the app's objects."""
    return [
        (ident, frame)
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - documented, for debuggers
        if ident not in own and ident != main
    ]


def _between_jobs(frame: FrameType) -> FrameType | None:
    """A pool worker's outermost frame of interest where it has just done a job or is about to take one, else None."""
    inner: FrameType | None = frame
    while inner is not None and inner.f_code is not _JOB:
        if inner.f_code is _WORKER:
            return inner
        inner = inner.f_back
    return None


def cpu_of(native_id: int) -> tuple[str, bytes] | None:
    """The kernel's state letter of a thread and the CPU time that it has had; None where there is no /proc."""
    folder = f"/proc/self/task/{native_id}"
    stat = _read(f"{folder}/stat")
    if stat is None:
        return None
    fields = stat.rpartition(b")")[2].split()
    schedule = _read(f"{folder}/schedstat")
    return fields[0].decode(), schedule.split()[0] if schedule else b"+".join(fields[11:13])


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, 1024)
    except OSError:
        return None
    finally:
        os.close(descriptor)
