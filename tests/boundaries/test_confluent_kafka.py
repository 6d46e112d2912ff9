"""confluent-kafka's boundary against librdkafka's own mock cluster: no Kafka was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import confluent_kafka
import pytest

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


def produced(**options: Any) -> Callable[[Kafka], Any]:
    def produce(cluster: Kafka) -> Any:
        made, found = producer(cluster), []
        given = made.produce(cluster.topic, on_delivery=lambda *report: found.append(told(*report)), **options)
        return given, made.flush(10), found

    return produce


def polled(cluster: Kafka) -> Any:
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


EXERCISES: dict[str, Exercise] = {
    "produce": produced(value=b"hello"),
    "produce with key and headers": produced(value="hello", key="k", headers={"tenant": b"t"}),
    "produce to a partition": produced(value=b"\x00\xff", partition=1, headers=[("a", b"1"), ("a", b"2")]),
    "produce a tombstone": produced(value=None, key=b"gone"),
    "produce at a time": produced(value=b"old", timestamp=1_770_000_000_000),
    "poll until delivered": polled,
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
}


class TestConfluentKafka(BoundaryContract):
    subject = "confluent-kafka"
    library = "confluent-kafka"
    boundary = boundary
    exercises: ClassVar[Mapping[str, Exercise]] = EXERCISES
    unreached: ClassVar[frozenset[str]] = frozenset(
        {"message too large", "queue full", "broker unreachable", "bad setting", "topics", "transaction out of order"}
    )
    local: ClassVar[frozenset[str]] = frozenset({"bad setting", "transaction out of order"})
