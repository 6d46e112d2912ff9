"""A worker's time limit at replay: an error raised in the driving thread when the run's clock has come to the limit.

Live, a signal or another thread raises it. Recording needs nothing of this.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pytest_fluxrun.context import Clock, entered, virtual_clock
from pytest_fluxrun.errors import DeadlineExceeded

__all__ = ["limited", "made_a_call"]

_SIGNAL = signal.SIGWINCH
"""Ignored by default, so that one delivered late does no harm; SIGURG is the deadline's, SIGALRM pytest-timeout's."""
_RECORDER = "pytest_fluxrun.recording.recorder"


def made_a_call(error: BaseException) -> bool:
    """Whether an error was raised in a call of the run that was recorded: it is that call's answer, served as such."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == _RECORDER:
            return True
        trace = trace.tb_next
    return False


@contextmanager
def limited(limit_s: float | None, error: Callable[[], BaseException]) -> Iterator[None]:
    """Raise an error in the block once so much of the run's virtual time has passed; without a clock, never.

    Works on the main thread, where a signal ends every wait.
    """
    clock = virtual_clock()
    if clock is None or not limit_s or threading.current_thread() is not threading.main_thread():
        yield
        return
    limit = _Limit(clock, limit_s, error)
    before = signal.signal(_SIGNAL, limit.strike)
    limit.start()
    try:
        yield
    finally:
        limit.over = True
        signal.signal(_SIGNAL, before)


class _Limit:
    """A thread that sleeps on the run's clock, as an actor of the run without a lane in it."""

    def __init__(self, clock: Clock, limit_s: float, error: Callable[[], BaseException]) -> None:
        self.over = False
        self._clock = clock
        self._limit_s = limit_s
        self._error = error
        self._struck = threading.Event()

    def start(self) -> None:
        self._clock.begin()
        with entered(None):
            threading.Thread(target=self._watch, name="fluxrun-time-limit", daemon=True).start()

    def strike(self, *_: Any) -> None:
        """The signal's handler, on the main thread."""
        self._struck.set()
        if not self.over:
            raise self._error()

    def _watch(self) -> None:
        self._clock.started()
        try:
            self._clock.sleep(self._limit_s)
            if not self.over and not self._clock.over:
                signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
                self._struck.wait(5)  # the clock stands still until the driver has met the error
        except DeadlineExceeded:
            return
        finally:
            self._clock.left()
            self._clock.end()
