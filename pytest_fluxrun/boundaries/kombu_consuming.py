"""kombu: messages that a run consumes itself (`drain_events`, `SimpleQueue.get`, `Queue.get`): refused by name.

A consumer that starts work is an entry's affair; so is the acknowledgement of the message that started it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Patch, Uncovered

__all__ = ["KombuConsuming", "boundary"]


class KombuConsuming(Uncovered):
    """Receiving through kombu, over any transport: Celery's `rpc://` results and remote control too."""

    name: ClassVar[str] = "kombu (consuming)"
    modules = ("kombu.connection", "kombu.entity")
    instead: ClassVar[str] = (
        "read the queue through an object wrapped with fluxrun.host, or through pika.BlockingConnection or aio-pika"
    )

    def patches(self, module: Any) -> Iterable[Patch]:
        """Waiting for whatever comes; getting one message; what empties a queue."""
        if hasattr(module, "Connection"):
            yield Patch(module.Connection, "drain_events", self.refuse)
        else:
            yield from (Patch(module.Queue, name, self.refuse) for name in ("get", "purge", "delete"))


boundary = KombuConsuming()
