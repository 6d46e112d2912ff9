"""celery: what it does beside publishing a task is its own affair and not done at replay: events, awaiting results.

Nor is what a worker keeps of its tasks in Redis a call that no run sees. Records nothing but what names the sending
process, which goes into messages. Those cross the boundary kombu.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from pytest_fluxrun.boundary import Patch, Seams, Session
from pytest_fluxrun.context import aside, crossing, outside

__all__ = ["boundary"]


class Celery(Seams):
    """The seams of events and of result backends."""

    name = "celery"
    modules = ("celery.app.base", "celery.events.dispatcher", "celery.backends.redis", "celery.backends.rpc")

    def patches(self, module: Any) -> Iterable[Patch]:
        """Sending an event, subscribing to the result of a task that is sent, and the address for replies."""
        if module.__name__ == "celery.app.base":
            yield from (Patch(module.Celery, name, functools.partial(_read, name)) for name in ("oid", "thread_oid"))
        elif module.__name__ == "celery.events.dispatcher":
            yield Patch(module.EventDispatcher, "publish", _outside)
        elif module.__name__ == "celery.backends.redis":
            yield Patch(module.RedisBackend, "on_task_call", _outside)
            for name in ("get", "mget", "set", "delete", "incr", "expire", "on_chord_part_return"):
                yield Patch(module.RedisBackend, name, aside)
        else:
            yield Patch(module.RPCBackend, "on_task_call", _outside)


def _outside(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        return outside(original, *args, **kwargs)

    return call


def _read(name: str, original: property) -> property:
    """An address for replies, the same at replay as in the process that was recorded."""

    def oid(self: Any) -> Any:
        session: Session | None = crossing()
        live = functools.partial(original.__get__, self)
        return live() if session is None else session.read("celery", name, live)

    return property(oid)


boundary = Celery()
