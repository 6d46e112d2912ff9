"""A blocked attempt as data: what was tried, from where in the app, and by which library. Blocks nothing itself."""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import FrameType

from pytest_fluxrun.context import current_lane
from pytest_fluxrun.errors import LeakedCall

__all__ = ["Attempt", "attempt_here", "made_by_infrastructure"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDLIB = tuple(
    {os.path.join(path, "") for path in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))}
    | {os.path.join(os.path.dirname(os.__file__), "")}
)
_INFRASTRUCTURE = frozenset({
    "_pydevd_bundle", "coverage", "debugpy", "execnet", "pydevd", "pytest_cov", "pytest_timeout", "xdist",
})  # fmt: skip
"""Packages of the test run itself: what their own threads and their own frames do is not the app's doing."""
_OWN_THREADS = frozenset({"pytest_fluxrun.execution.deadline"})
_PLUMBING = frozenset({"anyio", "eventlet", "gevent", "greenlet", "httpcore", "sniffio", "tenacity", "trio", "wrapt"})
"""Libraries between a driver and its socket: never what the reader would call the library that made the attempt."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One live side effect that was attempted and blocked.

    Args:
        event: what was tried, e.g. `socket.connect`.
        target: at what, as text without secrets: an address, a path, a program's name.
        where: `file:line` of the first frame outside the standard library and site-packages, or "" where none is left
            (a pool's thread that was handed a library's function).
        library: the library that made the attempt, or "" where the app did so itself.
        thread: the thread's name.
        in_run: whether the code belonged to the run's lanes; False: some other thread of the process.
    """

    event: str
    target: str
    where: str
    library: str
    thread: str
    in_run: bool

    @property
    def missing(self) -> str:
        """Which boundary would have answered instead."""
        return f"{self.library or 'the app itself'}: no boundary covers it"

    def error(self) -> LeakedCall:
        """What is raised at the place of the attempt."""
        return LeakedCall(
            f"{self.event} to {self.target} was blocked" if self.target else f"{self.event} was blocked",
            why=f"{self.missing}, and a replay has no live side effect (at {self.where or self.thread})",
            next_step="wrap the object that makes the call in fluxrun.host(name, object), or add a boundary for it",
        )

    def __str__(self) -> str:
        return f"{self.event} {self.target} at {self.where or self.thread} ({self.missing})"


def attempt_here(event: str, target: str) -> Attempt:
    """Describe an attempt made by the calling code."""
    where, library = _place(sys._getframe(1))  # noqa: SLF001 - inspect costs 50 times as much
    return Attempt(
        event=event,
        target=target,
        where=where,
        library=library,
        thread=threading.current_thread().name,
        in_run=current_lane() is not None,
    )


def made_by_infrastructure() -> bool:
    """Whether the calling code belongs to the test run's own machinery: xdist, a debugger, coverage, our watcher.

    The nearest frame outside the standard library decides; on threads without a lane the outermost one does too. The
    main thread's outermost frames decide nothing: in an xdist worker they are execnet's.
    """
    nearest, outermost = "", ""
    for frame in _outward(sys._getframe(1)):  # noqa: SLF001 - as above
        kind = _kind(frame.f_code.co_filename)
        if kind == "stdlib" or (kind == "own" and frame.f_globals.get("__name__") not in _OWN_THREADS):
            continue
        outermost = frame.f_globals.get("__name__", "")
        nearest = nearest or outermost
    if nearest.partition(".")[0] in _INFRASTRUCTURE:
        return True
    if current_lane() is not None or threading.get_ident() == threading.main_thread().ident:
        return False
    return outermost in _OWN_THREADS or outermost.partition(".")[0] in _INFRASTRUCTURE


def _place(frame: FrameType | None) -> tuple[str, str]:
    library = stdlib = ""
    for outer in _outward(frame):
        path = outer.f_code.co_filename
        kind = _kind(path)
        top = outer.f_globals.get("__name__", "").partition(".")[0]
        if kind == "app":
            return f"{_shown(path)}:{outer.f_lineno}", library or stdlib
        if kind == "stdlib":
            stdlib = top
        elif kind == "site" and not library and top not in _PLUMBING:
            library = top
    return "", library or stdlib


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


@lru_cache(maxsize=4096)
def _kind(path: str) -> str:
    if path.startswith(_PACKAGE):
        return "own"
    if f"{os.sep}site-packages{os.sep}" in path or f"{os.sep}dist-packages{os.sep}" in path:
        return "site"
    return "stdlib" if path.startswith(("<frozen ", *_STDLIB)) else "app"


def _shown(path: str) -> str:
    return path.removeprefix(os.getcwd() + os.sep)
