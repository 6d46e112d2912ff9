"""aiokafka's consumers that a run reads itself, and its administration: refused by name inside a run.

A consumer that starts work is an entry's affair; that a run commits its offsets is recorded (`aiokafka`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Patch, Uncovered

__all__ = ["AiokafkaUncovered", "boundary"]


class AiokafkaUncovered(Uncovered):
    """`AIOKafkaConsumer`, `AIOKafkaAdminClient` and batches that are built by hand."""

    name: ClassVar[str] = "aiokafka (all but what AIOKafkaProducer sends)"
    modules = ("aiokafka.consumer.consumer", "aiokafka.admin.client", "aiokafka.producer.producer")
    instead: ClassVar[str] = "wrap what the run itself reads, or administers, with fluxrun.host"

    def patches(self, module: Any) -> Iterable[Patch]:
        """Starting and reading a consumer; starting an administration; sending a batch."""
        if hasattr(module, "AIOKafkaConsumer"):
            yield from (Patch(module.AIOKafkaConsumer, name, self.refuse) for name in ("start", "getone", "getmany"))
        elif hasattr(module, "AIOKafkaAdminClient"):
            yield Patch(module.AIOKafkaAdminClient, "start", self.refuse)
        else:
            yield Patch(module.AIOKafkaProducer, "send_batch", self.refuse)


boundary = AiokafkaUncovered()
