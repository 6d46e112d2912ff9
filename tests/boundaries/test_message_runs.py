"""Connections to brokers that were opened before a run: used in it, and at replay answered with nothing sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import aio_pika
import pika
import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import aiormq, nats, paho_mqtt
from pytest_fluxrun.boundaries import asyncio as tasks
from pytest_fluxrun.boundaries import pika as blocking
from pytest_fluxrun.boundaries import threading as threads
from pytest_fluxrun.boundary import Seams
from pytest_fluxrun.testing.live_hits import CountsLiveHits
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from tests.boundaries.forwarded import Forwarded
from tests.boundaries.nats_behaviours import Nats, connected
from tests.boundaries.paho_behaviours import Mqtt, client_of
from tests.boundaries.pika_behaviours import Broker, opened

pytestmark = pytest.mark.service


@pytest.fixture(autouse=True)
def _seams() -> Iterator[None]:
    others = patching.installed_patches()
    patching.restore_all()
    boundaries: tuple[Seams, ...] = (
        *(threads.boundary, tasks.boundary),
        *(blocking.boundary, aiormq.boundary, nats.boundary, paho_mqtt.boundary),
    )
    for seams in boundaries:
        for name in seams.modules:
            patching.install(seams.patches(import_module(name)))
    yield
    patching.restore_all()
    patching.install(others)


@contextmanager
def nothing_sent(outside: Forwarded) -> Iterator[None]:
    """A replay in which the server is there, and hears nothing."""
    CountsLiveHits.settle(outside)
    before = outside.calls()
    yield
    CountsLiveHits.settle(outside)
    assert before == outside.calls()


def run_of_pika(channel: Any, queue: str) -> Any:
    channel.basic_publish("", queue, b"3", mandatory=True)
    method, _, body = channel.basic_get(queue)
    channel.basic_ack(method.delivery_tag)
    return body, method.delivery_tag, channel.queue_declare(queue, passive=True).method.queue


def test_pika_connection_from_before_the_run(rabbitmq_port: int):
    """One that is open to the live broker when a replay uses it sends nothing, and goes on working after it."""
    broker = Broker(rabbitmq_port)
    recorder = MemoryRecorder()
    with opened(broker) as connection:
        first, second = connection.channel(), connection.channel()
        first.confirm_delivery()
        second.confirm_delivery()
        with recorder.open():
            expected = run_of_pika(first, broker.queue)
        replayer = MemoryReplayer(recorder.finish())
        with nothing_sent(broker), replayer.open():
            served = run_of_pika(second, broker.queue)
        afterwards = second.basic_get(broker.queue)[0]

    assert expected == served
    assert replayer.unplayed() == []
    assert afterwards is not None
    broker.delete()


def test_pika_connection_that_no_run_opened_is_played(rabbitmq_port: int):
    """A run whose connection was open before holds no opening; its replay opens one all the same, without a broker."""
    broker = Broker(rabbitmq_port)
    recorder = MemoryRecorder()
    with opened(broker) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        with recorder.open():
            expected = run_of_pika(channel, broker.queue)
    broker.take_away()

    replayer = MemoryReplayer(recorder.finish())
    with replayer.open():
        channel = pika.BlockingConnection(pika.ConnectionParameters(port=1)).channel()
        channel.confirm_delivery()
        served = run_of_pika(channel, broker.queue)

    assert expected == served
    broker.delete()


def test_aio_pika_connection_from_before_the_run(rabbitmq_port: int):
    """Channel and connection are of before; what the replay does with them reaches nobody."""
    broker = Broker(rabbitmq_port)

    async def run(channel: Any) -> Any:
        queue = await channel.get_queue(broker.queue, ensure=False)
        confirmed = await channel.default_exchange.publish(aio_pika.Message(b"3"), broker.queue)
        message = await queue.get()
        await message.ack()
        return confirmed.name, message.body

    async def both() -> tuple[Any, Any, list[Any]]:
        connection = await aio_pika.connect_robust(f"amqp://guest:guest@127.0.0.1:{broker.port}/")
        async with connection:
            channel = await connection.channel()
            recorder = MemoryRecorder()
            with recorder.open():
                expected = await run(channel)
            replayer = MemoryReplayer(recorder.finish())
            with nothing_sent(broker), replayer.open():
                served = await run(channel)
            return expected, served, replayer.unplayed()

    expected, served, unplayed = asyncio.run(both())

    assert expected == served
    assert unplayed == []
    broker.delete()


def test_nats_client_from_before_the_run(nats_port: int):
    """Publications, requests and streams of one client, live and then served."""
    server = Nats(nats_port)

    async def run(client: Any) -> Any:
        await client.publish(f"{server.name}.out", b"1")
        await client.flush()
        answer = await client.request(f"{server.name}.echo", b"2", timeout=2)
        kept = await client.jetstream().publish(f"{server.name}.js.b", b"3")
        return answer.data, kept.seq

    async def both() -> tuple[Any, Any, list[Any]]:
        client = await connected(server)
        recorder = MemoryRecorder()
        with recorder.open():
            expected = await run(client)
        replayer = MemoryReplayer(recorder.finish())
        with nothing_sent(server), replayer.open():
            served = await run(client)
        await client.close()
        return expected, served, replayer.unplayed()

    expected, served, unplayed = asyncio.run(both())

    assert expected == served
    assert unplayed == []
    server.delete()


def in_both(outside: Any, client: Any, run: Callable[[Any], Any]) -> tuple[Any, Any]:
    recorder = MemoryRecorder()
    with recorder.open():
        expected = run(client)
    replayer = MemoryReplayer(recorder.finish())
    with nothing_sent(outside), replayer.open():
        return expected, run(client)


def test_mqtt_client_whose_loop_is_of_before_the_run(mosquitto_port: int):
    """Publishing and waiting are the run's; the loop that makes it happen is not, and needn't be there at replay."""
    server = Mqtt(mosquitto_port)
    client = client_of()
    client.connect("127.0.0.1", server.port)
    client.loop_start()

    def run(client: Any) -> Any:
        info = client.publish(f"{server.name}/out", "1", 1)
        info.wait_for_publish(5)
        return info.mid, info.rc, info.is_published()

    expected, served = in_both(server, client, run)
    client.disconnect()
    client.loop_stop()

    assert expected == served
    assert expected[2]
    server.delete()
