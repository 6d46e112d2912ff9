"""confluent-kafka's consumers, administration and asyncio clients: refused by name inside a run.

A consumer that starts work is an entry's affair. `Producer.produce_batch` and the asyncio producer hand librdkafka many
records in one call that tells of each later.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundary import Patch, Uncovered
from pytest_fluxrun.context import crossing

__all__ = ["ConfluentKafkaUncovered", "boundary"]

_CONSUMER: Final = (
    "assign",
    "close",
    "commit",
    "committed",
    "consume",
    "get_watermark_offsets",
    "list_topics",
    "offsets_for_times",
    "poll",
    "seek",
    "store_offsets",
    "subscribe",
    "unsubscribe",
)
_SERVERS: Final = ("bootstrap.servers", "metadata.broker.list")
_OTHERS: Final = {
    "confluent_kafka.admin": ("AdminClient", "__init__"),
    "confluent_kafka.deserializing_consumer": ("DeserializingConsumer", "poll"),
    "confluent_kafka.aio": ("AIOProducer", "__init__"),
}


class ConfluentKafkaUncovered(Uncovered):
    """What of confluent-kafka no boundary covers."""

    name: ClassVar[str] = "confluent-kafka (all but its producers)"
    modules = (
        "confluent_kafka",
        "confluent_kafka.admin",
        "confluent_kafka.deserializing_consumer",
        "confluent_kafka.aio",
    )
    instead: ClassVar[str] = (
        "produce through confluent_kafka.Producer or SerializingProducer; wrap a consumer that a run itself reads with "
        "fluxrun.host"
    )

    def patches(self, module: Any) -> Iterable[Patch]:
        """The consumer's class, which is in C, by a subclass; one method of each of the others."""
        if module.__name__ == "confluent_kafka":
            yield Patch(module, "Consumer", self._refusing)
            return
        owner, method = _OTHERS[module.__name__]
        if hasattr(module, owner):
            yield Patch(getattr(module, owner), method, self.refuse)
        if owner == "DeserializingConsumer":
            yield Patch(module.DeserializingConsumer, "__init__", _unconnected)

    @functools.cached_property
    def _refusing(self) -> Any:
        @functools.cache
        def refusing(original: Any) -> Any:
            methods = {name: self.refuse(getattr(original, name)) for name in _CONSUMER}
            methods["__init__"] = _unconnected(original.__init__)
            return type(original)(original.__name__, (original,), {"__module__": original.__module__, **methods})

        return refusing


def _unconnected(original: Callable[..., None]) -> Callable[..., None]:
    """A consumer that is made in a replay: one without servers, for librdkafka connects from threads of its own."""

    @functools.wraps(original)
    def init(consumer: Any, *args: Any, **kwargs: Any) -> None:
        session = crossing()
        if session is not None and session.answers and all(isinstance(conf, dict) for conf in args):
            given = {"log_level": 3, **(args[0] if args else {}), **kwargs}
            args, kwargs = ({name: value for name, value in given.items() if name not in _SERVERS},), {}
        original(consumer, *args, **kwargs)

    return init


boundary = ConfluentKafkaUncovered()
