"""The writer: a daemon thread that polls for finished runs, so that ending a request wakes nobody.

Bounded by number of runs and by bytes; what doesn't fit is dropped and counted. A forked child starts its own.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["Writer"]

T = TypeVar("T")
_POLL_S = 0.05

_live: weakref.WeakSet[Writer[Any]] = weakref.WeakSet()


class Writer(Generic[T]):
    """Hands each submitted thing to `write` on its own thread, in order.

    Args:
        write: must not raise; runs outside every run.
        max_pending: things waiting at most; a further one is dropped.
        max_pending_bytes: likewise for their sizes in all.
        dropped: counts what was dropped, by reason; shared with the caller.
    """

    def __init__(
        self, write: Callable[[T], None], *, max_pending: int, max_pending_bytes: int, dropped: Counter[str]
    ) -> None:
        self._write = write
        self._max_pending = max_pending
        self._max_pending_bytes = max_pending_bytes
        self._dropped = dropped
        self._reset()
        _live.add(self)

    def submit(self, thing: T, size_bytes: int = 0, *, awaited: bool = True) -> bool:
        """Queue a thing; never blocks, never wakes the thread.

        Args:
            awaited: `flush` waits for it. False: nothing that must last comes of it.

        Returns:
            False if the queue is full: the thing is dropped, and counted.
        """
        if len(self._queue) >= self._max_pending:
            self._dropped["pending-runs"] += 1
            return False
        if self._pending_bytes + size_bytes > self._max_pending_bytes:
            self._dropped["pending-bytes"] += 1
            return False
        with self._counting:
            self._pending_bytes += size_bytes
            self._awaited += awaited
        self._queue.append((thing, size_bytes, awaited))
        if self._thread is None:
            self._start()
        return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was submitted before, and is awaited, is written.

        Returns:
            False if the time ran out; what is pending is written later.
        """
        if self._thread is None or not self._awaited:
            return True
        done = threading.Event()
        self._flushes.append(done)
        self._wake.set()
        return done.wait(timeout_s)

    @property
    def pending(self) -> int:
        """Things queued and not yet written."""
        return len(self._queue)

    def _reset(self) -> None:
        self._queue: deque[tuple[T, int, bool]] = deque()
        self._pending_bytes = 0
        self._awaited = 0
        self._counting = threading.Lock()
        self._flushes: deque[threading.Event] = deque()
        self._wake = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="fluxrun-writer", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait(_POLL_S)
            self._wake.clear()
            waiting = [self._flushes.popleft() for _ in range(len(self._flushes))]
            for _ in range(len(self._queue)):  # no more than these, or a flush would wait for what comes after it
                self._write_first()
            for done in waiting:
                done.set()

    def _write_first(self) -> None:
        thing, size_bytes, awaited = self._queue[0]
        try:
            self._write(thing)
        except BaseException:  # even the SystemExit of an app's object while it is dumped must not end the thread
            self._dropped["write-failed"] += 1
        finally:
            self._queue.popleft()
            with self._counting:
                self._pending_bytes -= size_bytes
                self._awaited -= awaited


def _after_fork_in_child() -> None:
    """The parent writes what it had queued; the child has no thread and starts empty."""
    for writer in list(_live):
        writer._reset()  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_after_fork_in_child)
