"""aiormq's boundary, through aio-pika, against a RabbitMQ reached through a port that counts and can be taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from pytest_fluxrun.boundaries.aiormq import boundary
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from tests.boundaries.aio_pika_behaviours import BEHAVIOURS
from tests.boundaries.pika_behaviours import Broker

pytestmark = [
    pytest.mark.service,
    # aio-pika 9 leaves tasks to the garbage collector where a connection fails
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def outside(rabbitmq_port: int) -> Iterator[Broker]:
    broker = Broker(rabbitmq_port)
    yield broker
    broker.delete()


class TestAioPika(BoundaryContract):
    subject = "aio-pika"
    library = "aio-pika"
    boundary = boundary
    exercises: ClassVar[Mapping[str, Exercise]] = BEHAVIOURS
    unreached: ClassVar[frozenset[str]] = frozenset({"connection refused"})
    local: ClassVar[frozenset[str]] = frozenset(
        {
            *("declare a queue", "declare with other arguments", "use after close"),
            *("connection refused", "wrong password", "missing virtual host"),
        }
    )
