"""librdkafka's mock cluster: a broker of this process that speaks Kafka's protocol, and can be taken away."""

from __future__ import annotations

import gc
import socket
import threading
import uuid
from contextlib import suppress
from typing import Any

from confluent_kafka import cimpl

__all__ = ["Kafka"]

_KINDS: Any = (cimpl.Producer, cimpl.Consumer)
"""The classes as the library has them, whatever seams are installed later."""


class Kafka:
    """A mock cluster of one broker, with a topic of its own. Once it is away, whoever connects to it is counted."""

    def __init__(self) -> None:
        self.topic = f"fluxrun-{uuid.uuid4().hex[:12]}"
        self._holder: Any = _KINDS[0]({"test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self._holder.list_topics(timeout=10).brokers.values()
        self.port: int = broker.port
        self.servers = f"127.0.0.1:{self.port}"
        self._reader: Any = _KINDS[1](
            {"bootstrap.servers": self.servers, "group.id": "reader", "log_level": 0, "log.connection.close": False}
        )
        self._came = 0
        self._listener: socket.socket | None = None
        self.calls()

    def calls(self) -> int:
        """Records that came; once the broker is away, connections to where it was."""
        if self._holder is not None:
            topics = self._holder.list_topics(timeout=10).topics
            self._came = sum(
                self._reader.get_watermark_offsets(cimpl.TopicPartition(topic, partition), timeout=10)[1]
                for topic, found in topics.items()
                for partition in found.partitions
            )
        return self._came

    def reset(self) -> None:
        """Records don't change what producing gives, but for their offsets, which exercises don't return."""

    def take_away(self) -> None:
        self._reader.close()
        self._reader = self._holder = None
        gc.collect()
        with suppress(OSError):  # a client's connection may keep the port for itself
            self._listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        assert self._listener is not None
        with suppress(OSError):
            while True:
                self._listener.accept()[0].close()
                self._came += 1

    def close(self) -> None:
        if self._holder is not None:
            self._reader.close()
            self._reader = self._holder = None
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
