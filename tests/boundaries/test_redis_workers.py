"""What workers ask of Redis for themselves is no call; what a program sends through their libraries in a run is one."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import celery
import celery.backends.redis
import kombu
import kombu.exceptions
import kombu.messaging
import pytest

from pytest_fluxrun.boundaries import celery as celery_seams
from pytest_fluxrun.boundaries import kombu as kombu_boundary
from pytest_fluxrun.boundaries.redis import boundary
from pytest_fluxrun.context import set_outside
from pytest_fluxrun.recording.orphans import Orphans
from pytest_fluxrun.testing.sessions import MemoryRecorder
from tests.boundaries.sessions import alone

pytestmark = pytest.mark.service
_DATABASE = 6


@pytest.fixture
def url(redis_port: int) -> str:
    return f"redis://127.0.0.1:{redis_port}/{_DATABASE}"


@pytest.fixture
def transport(url: str) -> str:
    """The URL, where kombu has a transport for this redis-py: 5.7 wants 6.1."""
    with kombu.Connection(url) as connection:
        try:
            connection.default_channel.close()
        except (kombu.exceptions.VersionMismatch, IndexError) as error:
            pytest.skip(f"kombu can't use this redis-py: {error}")
    return url


@pytest.fixture
def orphans() -> Iterator[Orphans]:
    """Who sees the calls that no run sees."""
    seen = Orphans()
    set_outside(seen)
    with alone(boundary, kombu_boundary.boundary):
        yield seen
    set_outside(None)


def test_transport_of_kombu_is_no_orphan(transport: str, orphans: Orphans) -> None:
    """A worker looks for messages with it all day."""
    with (
        kombu.Connection(transport) as connection,
        contextlib.closing(connection.SimpleQueue(uuid.uuid4().hex)) as queue,
    ):
        with contextlib.suppress(queue.Empty):
            queue.get(block=False)
        queue.queue.delete()

    assert 0 == orphans.total


def test_message_sent_through_the_transport_is_one_message(transport: str, orphans: Orphans) -> None:
    """And not the commands that it is made of."""
    recorder = MemoryRecorder()
    name = uuid.uuid4().hex
    with kombu.Connection(transport) as connection:
        producer = connection.Producer()
        producer.publish({}, routing_key=name)
        with recorder.open():
            producer.publish({"order": 1}, routing_key=name)
        connection.default_channel.queue_delete(name)

    assert ["kombu"] == [one.boundary for one in recorder.finish()]


def test_results_that_a_worker_keeps_are_no_orphans(url: str, orphans: Orphans) -> None:
    """A program that asks for one in a run makes calls."""
    with alone(boundary, celery_seams.boundary):
        backend = celery.Celery("shop", broker="memory://", backend=url, set_as_current=False).backend
        backend.store_result("1", {"paid": True}, "SUCCESS")
        recorder = MemoryRecorder()
        with recorder.open():
            found = backend.get_task_meta("1", cache=False)["result"]
        backend.forget("1")
        backend.client.connection_pool.disconnect()

    assert {"paid": True} == found
    assert {"redis"} == {one.boundary for one in recorder.finish()}
    assert 0 == orphans.total
