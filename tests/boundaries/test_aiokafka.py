"""aiokafka's boundary against librdkafka's mock cluster, which speaks Kafka's protocol: no Kafka was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import wraps
from typing import Any, ClassVar

import aiokafka
import aiokafka.errors
import pytest

from pytest_fluxrun.boundaries.aiokafka import boundary
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from tests.boundaries.kafka_outside import Kafka


@pytest.fixture
def outside() -> Iterator[Kafka]:
    cluster = Kafka()
    yield cluster
    cluster.close()


def with_producer(behaviour: Callable[[Any, Kafka], Awaitable[Any]], **options: Any) -> Exercise:
    @wraps(behaviour)
    async def exercise(cluster: Kafka) -> Any:
        settings = {"bootstrap_servers": cluster.servers, **options}
        async with aiokafka.AIOKafkaProducer(**settings) as producer:
            return await behaviour(producer, cluster)

    return exercise


def told(metadata: Any) -> Any:
    """A record's metadata without its offset, which counts what all exercises produce."""
    partition = metadata.topic_partition.partition == metadata.partition
    return type(metadata), metadata.topic[:7], partition, metadata.timestamp_type, metadata.log_start_offset


def sent(**record: Any) -> Callable[[Any, Kafka], Awaitable[Any]]:
    async def send(producer: Any, cluster: Kafka) -> Any:
        return told(await producer.send_and_wait(cluster.topic, **record))

    return send


async def later(producer: Any, cluster: Kafka) -> Any:
    futures = [await producer.send(cluster.topic, b"%d" % number, partition=0) for number in range(5)]
    await producer.flush()
    return [told(await future) for future in futures], all(future.done() for future in futures)


async def at_once(producer: Any, cluster: Kafka) -> Any:
    sending = [producer.send_and_wait(cluster.topic, b"%d" % number) for number in range(5)]
    return [told(metadata) for metadata in await asyncio.gather(*sending)]


async def objects(producer: Any, cluster: Kafka) -> Any:
    return told(await producer.send_and_wait(cluster.topic, {"order": 1}, "k"))


async def unserializable(producer: Any, cluster: Kafka) -> Any:
    await producer.send_and_wait(cluster.topic, {"order": object})


async def too_large(producer: Any, cluster: Kafka) -> Any:
    await producer.send_and_wait(cluster.topic, b"x" * 2000)


async def nothing(producer: Any, cluster: Kafka) -> Any:
    await producer.send_and_wait(cluster.topic)


async def bad_partition(producer: Any, cluster: Kafka) -> Any:
    await producer.send_and_wait(cluster.topic, b"1", partition=99)


async def partitions(producer: Any, cluster: Kafka) -> Any:
    return await producer.partitions_for(cluster.topic)


async def committed(producer: Any, cluster: Kafka) -> Any:
    async with producer.transaction():
        return told(await producer.send_and_wait(cluster.topic, b"1"))


async def aborted(producer: Any, cluster: Kafka) -> Any:
    try:
        async with producer.transaction():
            await producer.send_and_wait(cluster.topic, b"1")
            raise LookupError("no such order")
    except LookupError as error:
        return str(error)


async def no_transaction(producer: Any, cluster: Kafka) -> Any:
    await producer.commit_transaction()


async def stopped(cluster: Kafka) -> Any:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=cluster.servers)
    await producer.start()
    try:
        await producer.send_and_wait(cluster.topic, b"1")
    finally:
        await producer.stop()
    return await producer.stop()


async def unreachable(_: Kafka) -> Any:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers="127.0.0.1:1", request_timeout_ms=300)
    try:
        await producer.start()
    finally:
        await producer.stop()


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


EXERCISES: dict[str, Exercise] = {
    "produce": with_producer(sent(value=b"hello")),
    "produce with key and headers": with_producer(sent(value=b"v", key=b"k", headers=[("tenant", b"t")])),
    "produce to a partition": with_producer(sent(value=b"\x00\xff", partition=1)),
    "produce a tombstone": with_producer(sent(key=b"gone")),
    "produce at a time": with_producer(sent(value=b"old", timestamp_ms=1_770_000_000_000)),
    "produce and wait later": with_producer(later),
    "produce at once": with_producer(at_once),
    "compressed": with_producer(sent(value=b"x" * 500), compression_type="gzip"),
    "every replica": with_producer(sent(value=b"x"), acks="all", enable_idempotence=True),
    "serializers": with_producer(objects, value_serializer=as_json, key_serializer=str.encode),
    "serializer that fails": with_producer(unserializable, value_serializer=as_json),
    "message too large": with_producer(too_large, max_request_size=1000),
    "nothing to produce": with_producer(nothing),
    "missing partition": with_producer(bad_partition),
    "partitions": with_producer(partitions),
    "commit": with_producer(committed, transactional_id="orders"),
    "abort": with_producer(aborted, transactional_id="orders"),
    "commit without a transaction": with_producer(no_transaction),
    "stop twice": stopped,
    "broker unreachable": unreachable,
}


class TestAiokafka(BoundaryContract):
    subject = "aiokafka"
    library = "aiokafka"
    boundary = boundary
    exercises: ClassVar[Mapping[str, Exercise]] = EXERCISES
    unreached: ClassVar[frozenset[str]] = frozenset(
        {
            *("serializer that fails", "message too large", "nothing to produce", "missing partition", "partitions"),
            *("commit without a transaction", "broker unreachable"),
        }
    )
    local: ClassVar[frozenset[str]] = frozenset({"nothing to produce", "broker unreachable"})
