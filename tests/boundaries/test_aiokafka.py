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


def exactly(metadata: Any) -> Any:
    """All of a record's metadata that isn't another one each time."""
    return *told(metadata), metadata.partition, type(metadata.offset), type(metadata.timestamp), len(metadata)


async def headers(producer: Any, cluster: Kafka) -> Any:
    every = ([("a", b"1"), ("a", b"2"), ("empty", b"")], (("t", b"\xff"),), [], None)
    return [exactly(await producer.send_and_wait(cluster.topic, b"v", partition=0, headers=given)) for given in every]


async def bad_headers(producer: Any, cluster: Kafka) -> Any:
    await producer.send_and_wait(cluster.topic, b"v", headers=[("n", 1)])


async def not_bytes(producer: Any, cluster: Kafka) -> Any:
    await producer.send_and_wait(cluster.topic, "text")


async def keyed(producer: Any, cluster: Kafka) -> Any:
    """By the library's own partitioner: one key, one partition."""
    keys = (b"a", b"b", b"a", b"\xff")
    return [(await producer.send_and_wait(cluster.topic, b"v", key)).partition for key in keys]


def last(_: Any, every: list[int], available: list[int]) -> int:
    assert sorted(every) == sorted(available)
    return max(every)


async def by_topic(producer: Any, cluster: Kafka) -> Any:
    found = []
    for name in ("orders", "payments", "orders"):
        metadata = await producer.send_and_wait(f"{cluster.topic}-{name}", name.encode(), partition=0)
        found.append((metadata.topic[20:], metadata.offset))
    return [name for name, _ in found], found[2][1] - found[0][1]


async def unacknowledged(producer: Any, cluster: Kafka) -> Any:
    future = await producer.send(cluster.topic, b"v")
    return await future, future.done(), future.result(), future.exception()


async def another_order(producer: Any, cluster: Kafka) -> Any:
    futures = [await producer.send(cluster.topic, b"%d" % number, partition=0) for number in range(4)]
    found = {number: (await futures[number]).offset for number in (2, 0, 3, 1)}
    return [found[number] - found[0] for number in range(4)]


async def as_completed(producer: Any, cluster: Kafka) -> Any:
    futures = [await producer.send(cluster.topic, b"%d" % number, partition=number) for number in range(3)]
    return sorted([exactly(await future) for future in asyncio.as_completed(futures)], key=str)


async def called_back(producer: Any, cluster: Kafka) -> Any:
    found = []
    future = await producer.send(cluster.topic, b"v", partition=1)
    future.add_done_callback(lambda done: found.append(exactly(done.result())))
    await asyncio.wait([future], timeout=10)
    await asyncio.sleep(0)
    return found, future.cancelled(), asyncio.isfuture(future)


async def in_time(producer: Any, cluster: Kafka) -> Any:
    return told(await asyncio.wait_for(await producer.send(cluster.topic, b"v"), 10))


async def flushed(producer: Any, cluster: Kafka) -> Any:
    nothing = await producer.flush()
    future = await producer.send(cluster.topic, b"v")
    return nothing, await producer.flush(), told(await future), await producer.flush()


async def in_batches(producer: Any, cluster: Kafka) -> Any:
    sending = [await producer.send(cluster.topic, b"x" * 100, partition=number % 2) for number in range(20)]
    return [exactly(metadata) for metadata in await asyncio.gather(*sending)]


async def as_tasks(producer: Any, cluster: Kafka) -> Any:
    async def produce(number: int) -> Any:
        return number, exactly(await producer.send_and_wait(cluster.topic, b"%d" % number, partition=number))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(produce(number)) for number in range(4)]
    return [task.result() for task in tasks]


async def unsent(cluster: Kafka) -> Any:
    """What lingers is sent as the producer stops."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=cluster.servers, linger_ms=5000)
    await producer.start()
    try:
        futures = [await producer.send(cluster.topic, b"%d" % number, partition=0) for number in range(3)]
    finally:
        await producer.stop()
    return [exactly(await future) for future in futures]


async def after_stop(cluster: Kafka) -> Any:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=cluster.servers)
    await producer.start()
    try:
        await producer.send_and_wait(cluster.topic, b"1")
    finally:
        await producer.stop()
    await producer.send_and_wait(cluster.topic, b"2")


async def several_producers(cluster: Kafka) -> Any:
    found = []
    for name in ("a", "b"):
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=[cluster.servers], client_id=name) as producer:
            found.append(told(await producer.send_and_wait(cluster.topic, name.encode())))
    return found


async def with_offsets(producer: Any, cluster: Kafka) -> Any:
    place = aiokafka.TopicPartition(cluster.topic, 0)
    async with producer.transaction():
        metadata = await producer.send_and_wait(cluster.topic, b"copy", partition=0)
        given = await producer.send_offsets_to_transaction({place: 5}, "readers")
    return given, told(metadata)


async def of_no_group(producer: Any, cluster: Kafka) -> Any:
    async with producer.transaction():
        await producer.send_offsets_to_transaction({aiokafka.TopicPartition(cluster.topic, 0): 5}, "")


async def outside_a_transaction(producer: Any, cluster: Kafka) -> Any:
    await producer.send_and_wait(cluster.topic, b"1")


async def two_transactions(producer: Any, cluster: Kafka) -> Any:
    found = []
    for value in (b"1", b"2"):
        await producer.begin_transaction()
        found.append(exactly(await producer.send_and_wait(cluster.topic, value, partition=0)))
        found.append(await producer.commit_transaction())
    return found


async def begun_twice(producer: Any, cluster: Kafka) -> Any:
    await producer.begin_transaction()
    await producer.begin_transaction()


async def refused_and_sent(producer: Any, cluster: Kafka) -> Any:
    """A record that is refused leaves the producer as it was."""
    found = []
    for value in (b"x" * 2000, b"1"):
        try:
            found.append(told(await producer.send_and_wait(cluster.topic, value)))
        except aiokafka.errors.MessageSizeTooLargeError as error:
            found.append((str(error), error.errno, error.retriable))
    return found


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
    "headers of every sort": with_producer(headers),
    "header that isn't bytes": with_producer(bad_headers),
    "value that isn't bytes": with_producer(not_bytes),
    "keys and their partitions": with_producer(keyed),
    "partitioner of one's own": with_producer(keyed, partitioner=last),
    "several topics": with_producer(by_topic),
    "no acknowledgement": with_producer(unacknowledged, acks=0),
    "futures awaited in another order": with_producer(another_order),
    "futures as they complete": with_producer(as_completed),
    "future with a callback": with_producer(called_back),
    "future waited for in time": with_producer(in_time),
    "flush": with_producer(flushed, linger_ms=20),
    "batches": with_producer(in_batches, max_batch_size=500, linger_ms=10),
    "tasks": with_producer(as_tasks),
    "stop with what wasn't sent": unsent,
    "produce after stop": after_stop,
    "several producers": several_producers,
    "idempotent": with_producer(another_order, enable_idempotence=True),
    "offsets in a transaction": with_producer(with_offsets, transactional_id="copies"),
    "offsets of no group": with_producer(of_no_group, transactional_id="copies"),
    "produce outside a transaction": with_producer(outside_a_transaction, transactional_id="orders"),
    "two transactions": with_producer(two_transactions, transactional_id="orders"),
    "begin twice": with_producer(begun_twice, transactional_id="orders"),
    "refused, then produced": with_producer(refused_and_sent, max_request_size=1000),
}


class TestAiokafka(BoundaryContract):
    subject = "aiokafka"
    library = "aiokafka"
    boundary = boundary
    exercises: ClassVar[Mapping[str, Exercise]] = EXERCISES
    unreached: ClassVar[frozenset[str]] = frozenset(
        {
            *("serializer that fails", "message too large", "nothing to produce", "missing partition", "partitions"),
            *(
                "commit without a transaction",
                "broker unreachable",
                "header that isn't bytes",
                "value that isn't bytes",
            ),
            *("offsets of no group", "produce outside a transaction", "begin twice"),
        }
    )
    local: ClassVar[frozenset[str]] = frozenset({"nothing to produce", "broker unreachable", "begin twice"})
