"""Jobs that runs put into queues: code of no run that takes one works in a lane of the run that put it there.

Holds what the seams of queue classes share. A queue from which runs themselves take is no queue of jobs but a pool or a
mailbox: what such a run puts there carries nothing. Patches nothing and imports no library.
"""

from __future__ import annotations

import _thread
import functools
import weakref
from collections import deque
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from pytest_fluxrun.context import LANE, Clock, Lane, LaneOwner, name_of, open_lane, virtual_clock

__all__ = ["BorrowedLane", "ask_for_job", "give_back", "put_job", "take_job", "withdraw_job"]

_ATTRIBUTE = "_fluxrun_jobs"
_SPARE = 256
_SHARED = (int, str, bytes, float, bool, type(None), type)
"""Types of which equal objects are often one and the same, so that a job of no run must be remembered too."""

_FUNCTIONS = (FunctionType, MethodType, BuiltinFunctionType, functools.partial)


class BorrowedLane(Lane):
    """A lane of a run in which code of no run works on one job.

    Attributes:
        lender: the lane in which that code was before.
        clock: the run's clock, where the thread became an actor of it for the job.
    """

    __slots__ = ("clock", "lender")

    lender: Lane | None
    clock: Clock | None


class _Jobs:
    """What is in one queue: by the identity of each job, in order, the function that makes its lane, or None."""

    __slots__ = ("_askers", "_held", "_lanes", "_lock")

    def __init__(self) -> None:
        self._lock = _thread.RLock()  # a finaliser may put a job while another is put
        self._lanes: dict[int, deque[tuple[Any, Callable[[], Lane] | None]]] = {}
        self._held = 0
        self._askers: weakref.WeakSet[LaneOwner] = weakref.WeakSet()

    def asked_by(self, session: LaneOwner) -> None:
        with self._lock:
            self._askers.add(session)

    def has_asked(self, session: LaneOwner) -> bool:
        with self._lock:
            return session in self._askers

    def put(self, job: Any, make: Callable[[], Lane] | None, size: Callable[[], int]) -> None:
        """Hold the job too: its identity must be nobody else's as long as it is known here."""
        with self._lock:
            self._lanes.setdefault(id(job), deque()).append((job, make))
            self._held += 1
            if self._held > _SPARE and self._held > size() + _SPARE:  # it was emptied in another way than by taking
                self._drop(next(iter(self._lanes)))

    def take(self, job: Any) -> Callable[[], Lane] | None:
        with self._lock:
            return self._drop(id(job)) if id(job) in self._lanes else None

    def withdraw(self, job: Any) -> None:
        with self._lock:
            if id(job) in self._lanes:
                self._drop(id(job), newest=True)

    def _drop(self, key: int, *, newest: bool = False) -> Callable[[], Lane] | None:
        entries = self._lanes[key]
        _, make = entries.pop() if newest else entries.popleft()
        self._held -= 1
        if not entries:
            del self._lanes[key]
        return make


def put_job(queue: Any, job: Any, size: Callable[[], int]) -> bool:
    """A job is about to be put into a queue.

    Args:
        queue: any object with a `__dict__`.
        size: tells how much is in it, about.

    Returns:
        Whether it was noted, so that `withdraw_job` must be called if it doesn't get in.
    """
    jobs: _Jobs | None = vars(queue).get(_ATTRIBUTE)
    lane = open_lane()
    if lane is None or lane.session.preamble or (jobs is not None and jobs.has_asked(lane.session)):
        if jobs is None or type(job) not in _SHARED:
            return False
        jobs.put(job, None, size)
        return True
    if jobs is None:
        jobs = vars(queue).setdefault(_ATTRIBUTE, _Jobs())
    jobs.put(job, lane.to_spawn(_job_name(job), BorrowedLane), size)
    return True


def withdraw_job(queue: Any, job: Any) -> None:
    """A job that `put_job` has noted didn't get into the queue."""
    vars(queue)[_ATTRIBUTE].withdraw(job)


def ask_for_job(queue: Any) -> None:
    """Code is about to wait for a queue: it is done with the job before, and if it is a run's own, so is the queue."""
    lane = LANE.get()
    if lane is None:
        return
    if isinstance(lane, BorrowedLane):
        give_back()
    elif _is_runs_own(lane):
        jobs = vars(queue).setdefault(_ATTRIBUTE, _Jobs())
        jobs.asked_by(lane.session)


def take_job(queue: Any, job: Any) -> None:
    """A job was taken out: code of no run works in the lane of the job from now until it asks for the next one."""
    jobs: _Jobs | None = vars(queue).get(_ATTRIBUTE)
    make = None if jobs is None else jobs.take(job)
    if make is not None and not _is_runs_own(LANE.get()):
        borrow(make)


def borrow(make: Callable[[], Lane]) -> None:
    """Move into a lane of a run, until `give_back`."""
    lane = make()
    if lane.session.closed:
        return
    assert isinstance(lane, BorrowedLane)
    lane.lender = LANE.get()
    LANE.set(lane)
    clock = virtual_clock()
    lane.clock = clock if clock is not None and clock.adopt() else None


def give_back() -> None:
    """Leave a borrowed lane, if the running code is in one."""
    lane = LANE.get()
    if not isinstance(lane, BorrowedLane):
        return
    LANE.set(lane.lender)
    if lane.clock is not None:
        lane.clock.left()
        lane.clock.end()
        lane.clock = None


def _is_runs_own(lane: Lane | None) -> bool:
    return not (lane is None or lane.session.closed or lane.session.preamble or isinstance(lane, BorrowedLane))


def _job_name(job: Any) -> str:
    """What a job's lane is named after: the first function in it, else its class. Runs nothing of the job's own."""
    parts = (job, *job[:4]) if type(job) in (tuple, list) else (job,)
    return next((name_of(part) for part in parts if type(part) in _FUNCTIONS), type(job).__qualname__)
