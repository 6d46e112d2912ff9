"""confluent-kafka's boundary against librdkafka's own mock cluster: no Kafka was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import confluent_kafka
import pytest
from confluent_kafka.serialization import IntegerSerializer, StringSerializer

from pytest_fluxrun.boundaries.confluent_kafka import boundary
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from tests.boundaries.kafka_outside import Kafka


@pytest.fixture
def outside() -> Iterator[Kafka]:
    cluster = Kafka()
    yield cluster
    cluster.close()


def producer(cluster: Kafka, **options: Any) -> Any:
    settings = {name.replace("_", "."): value for name, value in options.items()}
    return confluent_kafka.Producer({"bootstrap.servers": cluster.servers, "log_level": 0, **settings})


def told(error: Any, message: Any) -> Any:
    """A delivery report without its offset, which counts what all exercises produce."""
    failed = error and (error.code(), error.name(), error.str(), error.retriable(), error.fatal())
    timestamp = message.timestamp()[0]
    return (
        failed,
        message.topic()[:7],
        message.key(),
        message.value(),
        message.headers(),
        timestamp,
        type(message).__name__,
    )


def exactly(error: Any, message: Any) -> Any:
    """All that a delivery report says which isn't another one each time."""
    return (
        *told(error, message),
        *(message.partition(), type(message.offset()), not error and type(message.latency()), len(message)),
        message.leader_epoch(),
        message.error() == error,
        message.timestamp() if message.timestamp()[1] in (-1, 1_770_000_000_000) else message.timestamp()[1] > 1e12,
    )


def produced(settings: Mapping[str, Any] | None = None, **options: Any) -> Callable[[Kafka], Any]:
    def produce(cluster: Kafka) -> Any:
        made, found = producer(cluster, **settings or {}), []
        given = made.produce(cluster.topic, on_delivery=lambda *report: found.append(told(*report)), **options)
        return given, made.flush(10), found

    return produce


def polled(made: Any, enough: Callable[[], Any]) -> None:
    """For half a minute at most: against an empty recording nothing ever comes."""
    for _ in range(30):
        if enough():
            return
        made.poll(1)


def delivered(cluster: Kafka) -> Any:
    made, found = producer(cluster), []
    made.produce(cluster.topic, b"1", callback=lambda *report: found.append(told(*report)))
    while not found:
        made.poll(0.1)
    return found, len(made)


def many(cluster: Kafka) -> Any:
    made, found = producer(cluster), []
    for number in range(20):
        made.produce(cluster.topic, str(number), partition=0, callback=lambda _, message: found.append(message.value()))
        made.poll(0)
    return made.flush(10), found


def reported_to_all(cluster: Kafka) -> Any:
    found: list[Any] = []
    made = confluent_kafka.Producer(
        {"bootstrap.servers": cluster.servers, "on_delivery": lambda *report: found.append(told(*report))}
    )
    made.produce(cluster.topic, b"1")
    made.flush(10)
    return found


def unreported(cluster: Kafka) -> Any:
    made = producer(cluster)
    made.produce(cluster.topic, b"1", b"k")
    return made.flush(10), len(made)


def failing_callback(cluster: Kafka) -> Any:
    made = producer(cluster)

    def fail(error: Any, message: Any) -> None:
        raise LookupError("no such order")

    made.produce(cluster.topic, b"1", callback=fail)
    made.flush(10)


def too_large(cluster: Kafka) -> Any:
    made = producer(cluster, message_max_bytes=2000)
    made.produce(cluster.topic, b"x" * 3000)


def full(cluster: Kafka) -> Any:
    made = producer(cluster, queue_buffering_max_messages=1, linger_ms=1000)
    for _ in range(5):
        made.produce(cluster.topic, b"x")


def unreachable(cluster: Kafka) -> Any:
    found: list[Any] = []
    made = confluent_kafka.Producer({"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 200, "log_level": 0})
    made.produce(cluster.topic, b"1", callback=lambda *report: found.append(told(*report)))
    return made.flush(10), found


def bad_setting(cluster: Kafka) -> Any:
    try:
        confluent_kafka.Producer({"bootstrap.servers": cluster.servers, "no.such": 1})
    except confluent_kafka.KafkaException as error:
        (inner,) = error.args
        return str(error), inner.code(), inner.name(), inner.str()


def listed(cluster: Kafka) -> Any:
    found = producer(cluster).list_topics(timeout=10)
    ((number, broker),) = found.brokers.items()
    return type(found), found.cluster_id, number, type(broker), broker.port == cluster.port


def committed(cluster: Kafka) -> Any:
    made, found = producer(cluster, transactional_id="orders"), []
    made.init_transactions(10)
    made.begin_transaction()
    made.produce(cluster.topic, b"1", callback=lambda *report: found.append(told(*report)))
    return made.commit_transaction(10), found


def aborted(cluster: Kafka) -> Any:
    made = producer(cluster, transactional_id="orders")
    made.init_transactions(10)
    made.begin_transaction()
    made.produce(cluster.topic, b"1")
    made.flush(10)
    return made.abort_transaction(10)


def out_of_order(cluster: Kafka) -> Any:
    made = producer(cluster, transactional_id="orders")
    try:
        made.begin_transaction()
    except confluent_kafka.KafkaException as error:
        return error.args[0].name(), error.args[0].str()


def each_said(cluster: Kafka) -> Any:
    made, found = producer(cluster), []
    for partition in range(4):
        options = {"timestamp": 1_770_000_000_000} if partition % 2 else {"headers": {"n": str(partition)}}
        made.produce(
            cluster.topic, partition=partition, callback=lambda *report: found.append(exactly(*report)), **options
        )
        made.flush(10)
    return found


def keyed(cluster: Kafka) -> Any:
    """The library's own partitioner is asked: one key, one partition."""
    made, found = producer(cluster, partitioner="murmur2"), {}
    for number, key in enumerate(["a", b"b", "a", "\u00e9", b"\xff", ""]):
        made.produce(
            cluster.topic, "v", key, on_delivery=lambda _, m, n=number: found.update({n: (m.key(), m.partition())})
        )
    return made.flush(10), sorted(found.items())


def changed(cluster: Kafka) -> Any:
    """A callback makes the message that it gets another one."""
    made, found = producer(cluster), []

    def change(_: Any, message: Any) -> None:
        message.set_value(b"longer")
        message.set_key(b"k")
        message.set_headers([("n", b"1")])
        found.extend((message.value(), message.key(), message.headers(), len(message)))

    made.produce(cluster.topic, b"1", callback=change)
    return made.flush(10), found


def by_topic(cluster: Kafka) -> Any:
    made, found = producer(cluster), []
    for name in ("orders", "payments", "orders"):
        made.produce(
            f"{cluster.topic}-{name}",
            name,
            partition=0,
            callback=lambda _, m: found.append((m.topic()[20:], m.value())),
        )
        made.flush(10)
    return found


def per_message(cluster: Kafka) -> Any:
    """Each has a callback of its own, or none; within a partition they are called in the order of the messages."""
    made, found = producer(cluster), []
    for number in range(6):
        named = {"callback": lambda _, m, n=number: found.append((n, m.value()))} if number != 3 else {}
        made.produce(cluster.topic, f"v{number}", "key", 2, **named)
    return made.flush(10), found


def produced_again(cluster: Kafka) -> Any:
    """A callback produces what follows; a flush waits for that too."""
    made, found = producer(cluster), []

    def follow(_: Any, message: Any) -> None:
        found.append(message.value())
        if len(found) < 3:
            made.produce(cluster.topic, message.value() + b"+", callback=follow)

    made.produce(cluster.topic, b"1", callback=follow)
    return made.flush(10), found, len(made)


def one_fails(cluster: Kafka) -> Any:
    """What a poll's callback raises leaves the others for the next poll."""
    made, found = producer(cluster, linger_ms=50), []

    def fail(_: Any, message: Any) -> None:
        raise LookupError(message.value())

    made.produce(cluster.topic, b"1", partition=0, callback=fail)
    made.produce(cluster.topic, b"2", partition=0, callback=lambda _, m: found.append(m.value()))
    try:
        while made.poll(1) >= 0:
            pass
    except LookupError as error:
        found.append(str(error))
    return found, made.poll(1), found, made.poll(0), len(made)


def one_fails_in_flush(cluster: Kafka) -> Any:
    made, found = producer(cluster, linger_ms=50), []

    def fail(_: Any, message: Any) -> None:
        raise LookupError(message.value())

    for callback in (fail, lambda _, m: found.append(m.value()), fail):
        made.produce(cluster.topic, str(len(found)), partition=0, callback=callback)
    while len(made):
        try:
            made.flush(10)
        except LookupError as error:
            found.append(str(error))
    return found


def nowhere(**options: Any) -> Any:
    settings = {name.replace("_", "."): value for name, value in options.items() if not callable(value)}
    callbacks = {name: value for name, value in options.items() if callable(value)}
    return confluent_kafka.Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0, **settings, **callbacks})


def impatient(_: Kafka) -> Any:
    made = nowhere()
    made.produce("orders", b"1")
    return made.flush(0.2) >= 1, len(made) >= 1, bool(made)  # before 2.13 what failed to connect counts too


def counted(cluster: Kafka) -> Any:
    made = producer(cluster, linger_ms=60_000)
    before = len(made), bool(made)
    for _ in range(3):
        made.produce(cluster.topic, b"1", callback=lambda *_: None)
    return before, len(made), made.poll(0), made.flush(10), len(made), made.poll(0)


def purged(_: Kafka) -> Any:
    made, found = nowhere(), []
    for number in range(3):
        made.produce("orders", str(number), callback=lambda *report: found.append(exactly(*report)))
    return len(made) >= 3, made.purge(), made.flush(5), found


def no_partition(cluster: Kafka) -> Any:
    made, found = producer(cluster), []
    made.list_topics(cluster.topic, 10)
    made.produce(cluster.topic, b"1", partition=99, callback=lambda *report: found.append(exactly(*report)))
    return made.flush(10), found


def compressed(cluster: Kafka) -> Any:
    return [
        produced({"compression_type": sort}, value=b"x" * 500)(cluster) for sort in ("gzip", "snappy", "lz4", "zstd")
    ]


def one_topic(cluster: Kafka) -> Any:
    found = producer(cluster).list_topics(cluster.topic, 10)
    ((name, topic),) = found.topics.items()
    places = [
        (number, place.leader, place.replicas, place.isrs, place.error) for number, place in topic.partitions.items()
    ]
    return name == cluster.topic, type(topic), topic.error, str(topic) == name, sorted(places)


def told_of_errors(_: Kafka) -> Any:
    """The producer's own callback, in a poll of the run."""
    found: list[Any] = []
    made = nowhere(error_cb=lambda error: found.append((type(error), error.name(), error.str(), error.fatal())))
    polled(made, lambda: any(name == "_ALL_BROKERS_DOWN" for _, name, *_ in found))
    return sorted({(kind.__name__, name, fatal) for kind, name, _, fatal in found}), [
        text.partition(" failed")[0] for *_, text, _ in found[:1]
    ]


def told_statistics(cluster: Kafka) -> Any:
    found: list[str] = []
    made = confluent_kafka.Producer(
        {"bootstrap.servers": cluster.servers, "statistics.interval.ms": 20, "stats_cb": found.append, "log_level": 0}
    )
    polled(made, lambda: found)
    return {json.loads(text)["type"] for text in found}


def failing_event(_: Kafka) -> Any:
    def fail(error: Any) -> None:
        raise LookupError(error.name())

    made = nowhere(error_cb=fail)
    polled(made, lambda: False)


def wrong_arguments(cluster: Kafka) -> Any:
    made, found = producer(cluster), []
    arguments: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((cluster.topic, 1), {}),
        ((cluster.topic, b"1", None, 0, None, None, 0, None, "more"), {}),
        ((cluster.topic,), {"val": b"1"}),
        ((cluster.topic, b"1"), {"headers": {"n": 1}}),
        ((), {"value": b"1"}),
    ]
    for args, kwargs in arguments:
        try:
            made.produce(*args, **kwargs)
        except TypeError as error:
            found.append(str(error))
    return found, len(made)


def with_offsets(cluster: Kafka) -> Any:
    consumer = confluent_kafka.Consumer({"group.id": "readers", "log_level": 0})
    made = producer(cluster, transactional_id="copies")
    made.init_transactions(10)
    made.begin_transaction()
    made.produce(cluster.topic, b"copy")
    offsets = [confluent_kafka.TopicPartition(cluster.topic, 0, 5)]
    given = made.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 10)
    return given, made.commit_transaction(10)


def outside_a_transaction(cluster: Kafka) -> Any:
    made = producer(cluster, transactional_id="orders")
    made.init_transactions(10)
    made.produce(cluster.topic, b"1")


def several_producers(cluster: Kafka) -> Any:
    found: list[Any] = []
    for name in ("a", "b"):
        made = producer(cluster, client_id=name)
        made.produce(cluster.topic, name, callback=lambda _, m: found.append(m.value()))
        made.flush(10)
        made.produce(cluster.topic, name * 2, callback=lambda _, m: found.append(m.value()))
        found.append(made.flush(10))
    return found


def serialized(cluster: Kafka) -> Any:
    found: list[Any] = []
    made = confluent_kafka.SerializingProducer(
        {
            "bootstrap.servers": cluster.servers,
            "key.serializer": StringSerializer("utf_8"),
            "value.serializer": lambda order, context: json.dumps([order, context.field]).encode(),
        }
    )
    made.produce(
        topic=cluster.topic, key="\u00e9", value={"id": 1}, on_delivery=lambda *report: found.append(told(*report))
    )
    return made.flush(10), found


def unserializable(cluster: Kafka) -> Any:
    made = confluent_kafka.SerializingProducer(
        {"bootstrap.servers": cluster.servers, "value.serializer": IntegerSerializer(), "log_level": 0}
    )
    made.produce(cluster.topic, value=7)
    made.flush(10)
    made.produce(cluster.topic, value="seven")


def signed_on(cluster: Kafka) -> Any:
    made = producer(cluster)
    return made.set_sasl_credentials("shop", "secret"), made.flush(10)


def closed(cluster: Kafka) -> Any:
    found: list[Any] = []
    with producer(cluster) as made:
        made.produce(cluster.topic, b"1", callback=lambda *report: found.append(told(*report)))
    return found, made.close(), len(made)


def used_after_close(cluster: Kafka) -> Any:
    made = producer(cluster)
    made.close()
    made.produce(cluster.topic, b"1")


def identified(cluster: Kafka) -> Any:
    return producer(cluster).cluster_id(10)


EXERCISES: dict[str, Exercise] = {
    "produce": produced(value=b"hello"),
    "produce with key and headers": produced(value="hello", key="k", headers={"tenant": b"t"}),
    "produce to a partition": produced(value=b"\x00\xff", partition=1, headers=[("a", b"1"), ("a", b"2")]),
    "produce a tombstone": produced(value=None, key=b"gone"),
    "produce at a time": produced(value=b"old", timestamp=1_770_000_000_000),
    "poll until delivered": delivered,
    "many": many,
    "one callback for all": reported_to_all,
    "no callback": unreported,
    "callback that fails": failing_callback,
    "message too large": too_large,
    "queue full": full,
    "broker unreachable": unreachable,
    "bad setting": bad_setting,
    "topics": listed,
    "commit": committed,
    "abort": aborted,
    "transaction out of order": out_of_order,
    "headers of every sort": produced(value="v", headers=[("a", b"1"), ("a", "2"), ("none", None), ("empty", b"")]),
    "no headers": produced(value="v", key="k", headers=[]),
    "what each report says": each_said,
    "keys and their partitions": keyed,
    "several topics": by_topic,
    "a callback that changes its message": changed,
    "a callback for each message": per_message,
    "a callback that produces": produced_again,
    "one of two callbacks fails": one_fails,
    "callbacks that fail in a flush": one_fails_in_flush,
    "only failures reported": produced({"delivery_report_only_error": True}, value=b"1"),
    "flush for a time": impatient,
    "length": counted,
    "purge": purged,
    "missing partition": no_partition,
    "one topic": one_topic,
    "callback for errors": told_of_errors,
    "callback for errors that fails": failing_event,
    "callback for statistics": told_statistics,
    "wrong arguments": wrong_arguments,
    "compressed": compressed,
    "idempotent": produced({"enable_idempotence": True}, value=b"1"),
    "no acknowledgement": produced({"acks": 0}, value=b"1"),
    "offsets in a transaction": with_offsets,
    "produce outside a transaction": outside_a_transaction,
    "several producers": several_producers,
    "SerializingProducer": serialized,
    "serializer that fails": unserializable,
    "credentials": signed_on,
}
if hasattr(confluent_kafka.Producer, "close"):  # since 2.13
    EXERCISES |= {"with": closed, "produce after close": used_after_close, "cluster id": identified}


class TestConfluentKafka(BoundaryContract):
    subject = "confluent-kafka"
    library = "confluent-kafka"
    boundary = boundary
    exercises: ClassVar[Mapping[str, Exercise]] = EXERCISES
    unreached: ClassVar[frozenset[str]] = frozenset(
        {
            *(
                "message too large",
                "queue full",
                "broker unreachable",
                "bad setting",
                "topics",
                "transaction out of order",
            ),
            *("flush for a time", "purge", "missing partition", "one topic", "callback for errors", "credentials"),
            *("callback for errors that fails", "callback for statistics", "wrong arguments", "cluster id"),
            *("produce outside a transaction", "produce after close"),
        }
    )
    local: ClassVar[frozenset[str]] = frozenset(
        {
            *("bad setting", "transaction out of order", "credentials", "callback for statistics"),
            *("callback for errors", "callback for errors that fails"),
        }
    )
