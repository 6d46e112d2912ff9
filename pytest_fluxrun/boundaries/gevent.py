"""gevent: a greenlet, and a job of a pool of real threads, run in lanes of their own. Records nothing.

A greenlet begins in an empty context (gevent 20.9 and later), so a lane is put there when it is spawned; a raw greenlet
and a callback of the hub get none. The standard library as gevent patches it is recorded like that of threads, and
replayed only where it isn't patched: greenlets keep the hub's real time, not a run's.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Any

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import LANE, entered, name_of, open_lane, within_context

__all__ = ["boundary"]

_NEEDED = ("time", "threading", "socket", "select", "queue")


class Gevent(Seams):
    """The seams where greenlets and jobs of real threads are started."""

    name = "gevent"
    modules = ("gevent", "gevent.threadpool")

    def patches(self, module: Any) -> Iterable[Patch]:
        """`ThreadPool.spawn`; Greenlet is C and offers a callback of its own instead."""
        if module.__name__ == "gevent":
            module.Greenlet.add_spawn_callback(_spawned)
        else:
            yield Patch(module.ThreadPool, "spawn", _spawn)

    def unreplayable(self) -> str:
        """What of the standard library gevent has patched in this process."""
        monkey = sys.modules.get("gevent.monkey")
        patched = [name for name in _NEEDED if monkey is not None and monkey.is_module_patched(name)]
        if not patched:
            return ""
        return f"gevent has patched {', '.join(patched)}: greenlets keep real time, and a replay's time is virtual"


def _spawned(greenlet: Any) -> None:
    """A greenlet was started, now or for later; its context is None until it runs, unless somebody gave it one."""
    parent = open_lane()
    if parent is None:
        return
    lane = parent.spawn(name_of(greenlet._run))  # noqa: SLF001 - documented for subclasses
    context = greenlet.gr_context or Context()
    try:
        context.run(LANE.set, lane)
    except RuntimeError:  # the very context that runs now: it shares the lane
        return
    greenlet.gr_context = context


def _spawn(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def spawn(self: Any, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        parent = open_lane()
        if parent is None:
            return original(self, func, *args, **kwargs)
        named, laned = within_context(func, args)
        lane = parent.spawn(name_of(named))
        function = laned(lane)

        def job(*args: Any, **kwargs: Any) -> Any:
            with entered(lane):
                return function(*args, **kwargs)

        with entered(None):
            return original(self, job, *args, **kwargs)

    return spawn


boundary = Gevent()
