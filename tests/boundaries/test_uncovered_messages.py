"""Clients of brokers and of MongoDB that no boundary covers: a run that uses one is unready, a replay refuses it."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

import aiokafka
import aiokafka.admin
import aiokafka.errors
import confluent_kafka
import confluent_kafka.admin
import pika
import pika.exceptions
import pymongo
import pymongo.errors
import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import aiokafka_uncovered, confluent_kafka_uncovered, motor, pika_callbacks
from pytest_fluxrun.boundaries import pymongo as pymongo_client
from pytest_fluxrun.boundaries.confluent_kafka import boundary as confluent_kafka_producer
from pytest_fluxrun.boundary import Uncovered
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
NOWHERE = "127.0.0.1:1"


def over_pymongo() -> None:
    with pymongo.MongoClient(f"mongodb://{NOWHERE}", serverSelectionTimeoutMS=50, connect=False) as client:
        client.shop.orders.find_one({"_id": 1})


def over_async_pymongo() -> None:
    async def find() -> None:
        async with pymongo.AsyncMongoClient(f"mongodb://{NOWHERE}", serverSelectionTimeoutMS=50) as client:
            await client.shop.orders.find_one({"_id": 1})

    asyncio.run(find())


def over_motor() -> None:
    motor_asyncio = pytest.importorskip("motor.motor_asyncio")

    async def find() -> None:
        client = motor_asyncio.AsyncIOMotorClient(f"mongodb://{NOWHERE}", serverSelectionTimeoutMS=50, connect=False)
        try:
            await client.shop.orders.find_one({"_id": 1})
        finally:
            client.close()

    asyncio.run(find())


def over_consumer() -> None:
    consumer = confluent_kafka.Consumer({"bootstrap.servers": NOWHERE, "group.id": "g", "log_level": 0})
    try:
        consumer.subscribe(["t"])
        consumer.poll(0)
    finally:
        consumer.close()


def over_kafka_admin() -> None:
    confluent_kafka.admin.AdminClient({"bootstrap.servers": NOWHERE, "log_level": 0})


def over_async_consumer() -> None:
    async def read() -> None:
        consumer = aiokafka.AIOKafkaConsumer("t", bootstrap_servers=NOWHERE)
        try:
            await consumer.start()
        finally:
            await consumer.stop()

    asyncio.run(read())


def over_async_admin() -> None:
    async def administer() -> None:
        client = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=NOWHERE)
        try:
            await client.start()
        finally:
            await client.close()

    asyncio.run(administer())


def over_select_connection() -> None:
    connection = pika.SelectConnection(
        pika.ConnectionParameters("127.0.0.1", 1, connection_attempts=1),
        on_open_error_callback=lambda connection, _: connection.ioloop.stop(),
    )
    try:
        connection.ioloop.start()
    finally:
        connection.ioloop.close()


CALLS: list[tuple[Uncovered, Callable[[], None]]] = [
    (pymongo_client.boundary, over_pymongo),
    (pymongo_client.boundary, over_async_pymongo),
    (motor.boundary, over_motor),
    (confluent_kafka_uncovered.boundary, over_consumer),
    (confluent_kafka_uncovered.boundary, over_kafka_admin),
    (aiokafka_uncovered.boundary, over_async_consumer),
    (aiokafka_uncovered.boundary, over_async_admin),
    (pika_callbacks.boundary, over_select_connection),
]
FAILURES: tuple[Any, ...] = (pymongo.errors.PyMongoError, aiokafka.errors.KafkaError)


@pytest.fixture(autouse=True)
def _seams() -> Iterator[None]:
    """The seams of the libraries, alone."""
    others = patching.installed_patches()
    patching.restore_all()
    for seams in {library for library, _ in CALLS}:
        for name in seams.modules:
            with suppress(ModuleNotFoundError):
                patching.install(seams.patches(import_module(name)))
    yield
    patching.restore_all()
    patching.install(others)
    gc.collect()  # what the libraries leave open where nobody answers


@pytest.mark.parametrize(("library", "call"), CALLS, ids=lambda value: getattr(value, "__name__", ""))
def test_recording_lets_the_call_go_and_notes_the_library(library: Uncovered, call: Callable[[], None]):
    """The program meets what the library makes of it; the run knows why it can't be replayed."""
    recorder = MemoryRecorder()

    with recorder.open(), suppress(*FAILURES):
        call()

    assert library.name in recorder.refused


@pytest.mark.parametrize(("library", "call"), CALLS, ids=lambda value: getattr(value, "__name__", ""))
def test_replay_refuses_the_call_by_name(library: Uncovered, call: Callable[[], None]):
    """The error says which library it was."""
    replayer = MemoryReplayer([])

    with replayer.open(), pytest.raises(UnrecordedCall) as caught:
        call()

    assert library.name in caught.value.what
    assert library.instead


@pytest.mark.parametrize(("library", "call"), CALLS, ids=lambda value: getattr(value, "__name__", ""))
def test_outside_a_run_nothing_is_refused(library: Uncovered, call: Callable[[], None]):
    """Only the library itself says that nobody is there."""
    del library

    with suppress(*FAILURES):
        call()


def test_batch_of_kafka_messages_is_refused_in_a_run():
    """By name, before librdkafka sees it; outside of a run it is the library's own."""
    if not hasattr(confluent_kafka.Producer, "produce_batch"):
        pytest.skip("this confluent-kafka has no produce_batch")
    others = patching.installed_patches()
    patching.install(confluent_kafka_producer.patches(confluent_kafka))
    try:
        producer = confluent_kafka.Producer({"bootstrap.servers": "127.0.0.1:1"})
        replayer = MemoryReplayer([])
        with replayer.open(), pytest.raises(UnrecordedCall, match="produce_batch"):
            producer.produce_batch("topic", [{"value": b"x"}])
    finally:
        patching.restore_all()
        patching.install(others)


@pytest.mark.parametrize("consumer", [confluent_kafka.Consumer, confluent_kafka.DeserializingConsumer])
def test_consumer_that_a_replay_makes_connects_to_nothing(consumer: type):
    """The library would do so on a thread of its own, before anything is asked of it."""
    made = getattr(confluent_kafka, consumer.__name__)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        settings = {"bootstrap.servers": f"127.0.0.1:{server.getsockname()[1]}", "group.id": "g", "log_level": 0}
        with MemoryReplayer([]).open():
            idle = made(settings)
        with pytest.raises(TimeoutError):
            server.accept()

        server.settimeout(10)
        live = made(settings)
        server.accept()[0].close()

    assert type(idle.consumer_group_metadata()) is type(live.consumer_group_metadata())
