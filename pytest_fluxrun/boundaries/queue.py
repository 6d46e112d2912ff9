"""queue: a worker of no run that takes a job works in the lane of the run that put it there. Records nothing.

Queue, LifoQueue, PriorityQueue and their subclasses. SimpleQueue is C and has no seam: what its workers do reaches no
run. A worker's lane lasts until it asks a queue for its next job.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.handover import ask_for_job, put_job, take_job, withdraw_job

__all__ = ["boundary"]


class Queue(Seams):
    """The seams where jobs are put and taken."""

    name = "queue"
    modules = ("queue",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """`put` and `get`, through which their variants go. None where gevent has put its own class there: it is C."""
        if module.Queue.__module__ != module.__name__:
            return
        yield Patch(module.Queue, "put", _put)
        yield Patch(module.Queue, "get", _get)


def _put(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def put(self: Any, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: FBT001, FBT002 - theirs
        noted = put_job(self, item, self._qsize)  # qsize() would lock
        try:
            original(self, item, block, timeout)
        except BaseException:
            if noted:
                withdraw_job(self, item)
            raise

    return put


def _get(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def get(self: Any, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002 - theirs
        ask_for_job(self)
        item = original(self, block, timeout)
        take_job(self, item)
        return item

    return get


boundary = Queue()
