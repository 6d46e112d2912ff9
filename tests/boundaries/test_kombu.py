"""kombu's boundary against a RabbitMQ on this machine, and what it makes of a Celery task that is sent in a run."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, ClassVar

import celery
import kombu
import kombu.messaging
import orjson
import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import kombu_consuming
from pytest_fluxrun.boundaries.kombu import boundary
from pytest_fluxrun.context import Lane, current_lane, entered
from pytest_fluxrun.context import outside as outside_of_the_run
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.kinds.message import MESSAGE
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer

pytestmark = pytest.mark.service


class Broker:
    """RabbitMQ with a queue of its own."""

    def __init__(self, port: int) -> None:
        self.url = f"amqp://guest:guest@127.0.0.1:{port}//"
        self.queue = kombu.Queue(f"fluxrun-{uuid.uuid4().hex}")
        self.counted = 0
        with kombu.Connection(self.url) as connection:
            self.queue(connection.channel()).declare()

    def calls(self) -> int:
        """Messages that came, in all."""
        with kombu.Connection(self.url) as connection:
            self.counted += self.queue(connection.channel()).purge()
        return self.counted

    def reset(self) -> None:
        """There is no state but the queue."""

    def take_away(self) -> None:
        """Nothing listens at the address any more that exercises use."""
        self.url, self.kept = "amqp://127.0.0.1:1//", self.url

    def delete(self) -> None:
        with kombu.Connection(getattr(self, "kept", self.url)) as connection:
            channel = connection.channel()
            self.queue(channel).delete()
            kombu.Exchange(self.queue.name)(channel).delete()  # a SimpleQueue's


class Away(Broker):
    """The broker, asked how often it was reached though exercises can't reach it."""

    def calls(self) -> int:
        away, self.url = self.url, getattr(self, "kept", self.url)
        try:
            return super().calls()
        finally:
            self.url = away


@pytest.fixture
def outside(rabbitmq_port: int) -> Iterator[Broker]:
    broker = Away(rabbitmq_port)
    yield broker
    broker.delete()


def publish(broker: Broker, body: Any, **options: Any) -> str:
    with kombu.Connection(broker.url, connect_timeout=1) as connection:
        producer = connection.Producer(serializer="json")
        producer.publish(body, routing_key=broker.queue.name, **options)
    return "sent"


def simply(broker: Broker) -> str:
    """A SimpleQueue declares what it needs when it is made."""
    with (
        kombu.Connection(broker.url, connect_timeout=1) as connection,
        connection.SimpleQueue(broker.queue.name) as queue,
    ):
        queue.put({"order": 1}, headers={"tenant": "t"})
    return "put"


def refused(_: Broker) -> None:
    with kombu.Connection("amqp://127.0.0.1:1//", connect_timeout=1) as connection:
        connection.Producer().publish({}, routing_key="q")


EXERCISES: dict[str, Exercise] = {
    "json": lambda broker: publish(broker, {"order": 1, "at": datetime(2026, 5, 4, tzinfo=UTC)}),
    "headers and properties": lambda broker: publish(broker, [1], headers={"tenant": "t"}, priority=3, expiration=60),
    "declare and retry": lambda broker: publish(broker, "text", declare=[broker.queue], retry=True),
    "raw bytes": lambda broker: publish(
        broker, b"\x00\xff", content_type="application/octet-stream", content_encoding="binary"
    ),
    "compressed": lambda broker: publish(broker, ["x" * 500], compression="zlib"),
    "simple queue": simply,
    "refused": refused,
}


class TestKombu(BoundaryContract):
    boundary = boundary
    exercises: ClassVar[Mapping[str, Exercise]] = EXERCISES
    unreached: ClassVar[frozenset[str]] = frozenset({"refused"})


@pytest.fixture
def recorder() -> Iterator[MemoryRecorder]:
    patching.install(boundary.patches(kombu.messaging))
    yield MemoryRecorder()
    patching.restore_all()


def test_task_sent_in_a_run_is_one_message_with_its_arguments(recorder: MemoryRecorder):
    """Named by its task; what names the process (origin, reply_to) makes no difference to matching."""
    app = celery.Celery("shop", broker="memory://", set_as_current=False)
    with recorder.open():
        app.send_task("shop.charge", ([1, 2],), {"by": "card"}, task_id="7", queue="money")

    (recorded,) = recorder.finish()
    request = recorded.request
    assert "send money shop.charge" == MESSAGE.operation(request)
    payload = orjson.loads(request["payload"])
    assert ([[1, 2]], {"by": "card"}) == tuple(payload["body"][:2])
    assert "7" == payload["headers"]["id"]
    assert {"origin", "reply_to"} <= {name for name, _ in request["headers"]}
    assert not {"origin", "reply_to"} & {*payload["headers"], *payload["properties"]}


def test_body_changed_after_publishing_is_kept_as_it_was(recorder: MemoryRecorder):
    """The request is made later, of a copy."""
    body = {"items": [1]}
    with recorder.open(), kombu.Connection("memory://") as connection:
        connection.Producer().publish(body, routing_key="q")
        body["items"].append(2)

    (recorded,) = recorder.finish()
    assert {"items": [1]} == orjson.loads(recorded.request["payload"])["body"]


def test_message_that_cannot_be_read_is_published_all_the_same(recorder: MemoryRecorder):
    """The host meets what kombu makes of it, and the run says that it lacks the request."""

    class Hostile:
        def __bool__(self) -> bool:
            raise RuntimeError("look away")

    with recorder.open(), kombu.Connection("memory://") as connection:
        connection.Producer().publish({}, routing_key="q", timeout=None, hostile=Hostile())

    with pytest.raises(RuntimeError, match="look away"):
        recorder.finish()


def test_what_a_run_consumes_itself_is_refused_by_name():
    """The run that waits for messages is unready; its replay says why, and what to do instead."""
    for name in kombu_consuming.boundary.modules:
        patching.install(kombu_consuming.boundary.patches(import_module(name)))

    def consume() -> None:
        with kombu.Connection("memory://") as connection, connection.SimpleQueue("q") as queue:
            queue.put({})
            queue.get(timeout=1)

    recorder, replayer = MemoryRecorder(), MemoryReplayer([])
    try:
        with recorder.open():
            consume()
        with replayer.open(), pytest.raises(UnrecordedCall) as caught:
            consume()
    finally:
        patching.restore_all()

    assert [kombu_consuming.boundary.name] == recorder.refused
    assert kombu_consuming.boundary.name in caught.value.what


def test_what_is_outside_of_a_run_sees_no_lane_and_isnt_done_at_replay():
    """`context.outside`: recording calls it without a lane, a replay doesn't call it, no run changes nothing."""

    class Owner:
        preamble, closed = False, False

        def __init__(self, clock: Any) -> None:
            self.clock = clock

        def ambient_for(self, lane: Lane) -> None:
            return None

    assert 3 == outside_of_the_run(lambda: 3)
    with entered(Lane(Owner(None))):
        assert outside_of_the_run(current_lane) is None
        assert 3 == outside_of_the_run(lambda number: number, 3)
    with entered(Lane(Owner(object()))):
        assert outside_of_the_run(lambda: 3) is None
