"""confluent-kafka's consumers, administration, asyncio clients and serializing producer: refused by name inside a run.

A consumer that starts work is an entry's affair. `Producer.produce_batch` and the asyncio producer hand librdkafka many
records in one call that tells of each later; `SerializingProducer` derives from the class in C directly.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundary import Patch, Uncovered

__all__ = ["ConfluentKafkaUncovered", "boundary"]

_CONSUMER: Final = ("assign", "commit", "consume", "poll", "seek", "store_offsets", "subscribe")
_OTHERS: Final = {
    "confluent_kafka.admin": ("AdminClient", "__init__"),
    "confluent_kafka.serializing_producer": ("SerializingProducer", "produce"),
    "confluent_kafka.deserializing_consumer": ("DeserializingConsumer", "poll"),
    "confluent_kafka.aio": ("AIOProducer", "__init__"),
}


class ConfluentKafkaUncovered(Uncovered):
    """What of confluent-kafka no boundary covers."""

    name: ClassVar[str] = "confluent-kafka (all but Producer)"
    modules = (
        "confluent_kafka",
        "confluent_kafka.admin",
        "confluent_kafka.serializing_producer",
        "confluent_kafka.deserializing_consumer",
        "confluent_kafka.aio",
    )
    instead: ClassVar[str] = (
        "produce through confluent_kafka.Producer; wrap a consumer that a run itself reads with fluxrun.host"
    )

    def patches(self, module: Any) -> Iterable[Patch]:
        """The consumer's class, which is in C, by a subclass; one method of each of the others."""
        if module.__name__ == "confluent_kafka":
            yield Patch(module, "Consumer", self._refusing)
            return
        owner, method = _OTHERS[module.__name__]
        if hasattr(module, owner):
            yield Patch(getattr(module, owner), method, self.refuse)

    @functools.cached_property
    def _refusing(self) -> Any:
        @functools.cache
        def refusing(original: Any) -> Any:
            methods = {name: self.refuse(getattr(original, name)) for name in _CONSUMER}
            return type(original)(original.__name__, (original,), {"__module__": original.__module__, **methods})

        return refusing


boundary = ConfluentKafkaUncovered()
