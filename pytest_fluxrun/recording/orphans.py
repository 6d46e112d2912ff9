"""Calls that no run sees: counted and named by boundary, shape and place, never with a value. Bounded; no I/O.

Orphans is the session of code that belongs to no run; it makes every call live and keeps nothing of it.
"""

from __future__ import annotations

import re
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pytest_fluxrun.boundary import Boundary, Call, Pending, Session, Uncovered
from pytest_fluxrun.context import APART, LANE, Clock, Lane, LaneOwner
from pytest_fluxrun.places import module_of
from pytest_fluxrun.run import Orphan

__all__ = ["Orphans"]

R = TypeVar("R")
_MOST_NAMES = 100
_MOST_SITES = 1_000
_LOOKS_PER_SITE = 16
"""How many calls of one place are looked at; those after it count as the last of these."""
_MOST_FRAMES = 64
_DIGITS = re.compile(r"\d+")
_NO_RUN, _RUN_OVER, _START_UP_OVER = "no-run", "run-over", "start-up-over"


class _Name(NamedTuple):
    """What is told apart; the fields of `run.Orphan` but the count."""

    boundary: str
    call: str
    thread: str
    place: str
    why: str


_OTHERS = _Name("", "", "", "", "")


class _Site:
    """One place in the code, with how often it was looked at and what was last seen there."""

    __slots__ = ("looks", "name")

    def __init__(self) -> None:
        self.looks = 0
        self.name = _OTHERS


class _Unseen:
    """A call in two halves: made live in `APART`, and counted when it is over."""

    __slots__ = ("_before", "_boundary", "_call", "_orphans", "_why")

    def __init__(self, orphans: Orphans, boundary: Boundary[Any], call: Call, why: str) -> None:
        self._orphans, self._boundary, self._call, self._why = orphans, boundary, call, why
        self._before = LANE.get()
        LANE.set(APART)

    def end(self, result: Any) -> None:
        """Count it."""
        del result
        if LANE.get() is APART:
            LANE.set(self._before)
        self._orphans._note(self._boundary, self._call, self._why)  # noqa: SLF001 - of its own module

    def fail(self, error: BaseException) -> None:
        """Count it."""
        self.end(error)


class Orphans:
    """One process's calls that reached no run. Safe from any thread; never raises into the host.

    Attributes:
        total: all of them since `init`.
    """

    clock: Clock | None = None
    preamble = False
    closed = True
    answers = False

    def __init__(self) -> None:
        self.total = 0
        self._lock = threading.Lock()
        self._counts: Counter[_Name] = Counter()
        self._sites: dict[Any, _Site] = {}

    def ambient_for(self, lane: Lane) -> None:
        """Reads are real ones."""

    def call(self, boundary: Boundary[R], call: Call, live: Callable[[], R]) -> R:
        """Make the call live, and count it."""
        pending = self.begin(boundary, call)
        try:
            return live()
        finally:
            pending.end(None)

    async def acall(self, boundary: Boundary[R], call: Call, live: Callable[[], Awaitable[R]]) -> R:
        """`call` for awaitables."""
        pending = self.begin(boundary, call)
        try:
            return await live()
        finally:
            pending.end(None)

    def begin(self, boundary: Boundary[Any], call: Call) -> Pending:
        """`call` in two halves."""
        return _Unseen(self, boundary, call, _NO_RUN)

    def begin_outlived(self, owner: LaneOwner, boundary: Boundary[Any], call: Call) -> Pending:
        """`begin` for a lane whose session is over."""
        return _Unseen(self, boundary, call, _START_UP_OVER if owner.preamble else _RUN_OVER)

    def foresee(self, boundary: Boundary[Any], call: Call) -> None:
        """Nothing answers but the outside itself."""

    def uncovered(self, library: Uncovered) -> None:
        """Its calls are made; they would have reached no run anyhow."""

    def read(self, source: str, key: str, live: Callable[[], Any]) -> Any:
        """Read live; nothing is lost with a read."""
        del source, key
        return live()

    def log(self, entry: Mapping[str, Any]) -> None:
        """Nobody keeps what is logged outside of runs."""

    def noted(self) -> tuple[Orphan, ...]:
        """What was counted and not yet forgotten, the most frequent first."""
        with self._lock:
            return tuple(Orphan(*name, count) for name, count in self._counts.most_common())

    def forget(self, noted: tuple[Orphan, ...]) -> None:
        """Take what `noted` gave off the counts: a kept run tells of it."""
        with self._lock:
            for orphan in noted:
                self._counts[_Name(orphan.boundary, orphan.call, orphan.thread, orphan.place, orphan.why)] -= (
                    orphan.count
                )
            self._counts = +self._counts

    def clear(self) -> None:
        """Count from nothing: in a forked child, whose parent tells of what was before."""
        self.__init__()  # type: ignore[misc]  # its locks may be held by a thread that the child lacks

    def _note(self, boundary: Boundary[Any], call: Call, why: str) -> None:
        """Count a call that is over; its request's form may need what the live call has read."""
        try:
            site = self._site(boundary.name, why)
            looks = site.looks <= _LOOKS_PER_SITE
            name = site.name._replace(call=_shape(boundary, call)) if looks else site.name
            with self._lock:
                self.total += 1
                if name not in self._counts and len(self._counts) >= _MOST_NAMES:
                    name = _OTHERS
                self._counts[name] += 1
            site.name = name if name is not _OTHERS else site.name
        except Exception:  # a library's object may do anything when its call is named, and the host must not notice
            self.total += 1

    def _site(self, boundary: str, why: str) -> _Site:
        frame = _app_frame(sys._getframe(3))  # noqa: SLF001 - the caller of `call`
        key = (boundary, why, frame and frame.f_code, frame and frame.f_lineno, _thread_name())
        site = self._sites.get(key)
        if site is None:
            site = _Site()
            site.name = _Name(boundary, "", key[4], _place(frame), why)
            if len(self._sites) < _MOST_SITES:
                self._sites[key] = site
        site.looks += 1
        return site


def _shape(boundary: Boundary[Any], call: Call) -> str:
    try:
        return boundary.kind.shape(call.form())
    except Exception:  # as in `_note`
        return "?"


def _app_frame(frame: FrameType | None) -> FrameType | None:
    """The nearest frame of the app's own code, if it is near."""
    for _ in range(_MOST_FRAMES):
        if frame is None or not module_of(frame.f_code.co_filename):
            return frame
        frame = frame.f_back
    return None


def _thread_name() -> str:
    thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # noqa: SLF001 - current_thread() makes one up
    return "" if thread is None else _DIGITS.sub("N", thread.name)


def _place(frame: FrameType | None) -> str:
    """`folder/file.py:line`, from the working directory where it is below it."""
    if frame is None:
        return ""
    path = Path(frame.f_code.co_filename)
    try:
        shown = path.relative_to(Path.cwd())
    except (ValueError, OSError):
        shown = Path(*path.parts[-2:])
    return f"{shown}:{frame.f_lineno}"


if TYPE_CHECKING:
    _SESSION: type[Session] = Orphans  # a member that it lacks would break the host's calls, not a test
