"""pika's boundary against a RabbitMQ on this machine, reached through a port that counts and can be taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from pytest_fluxrun.boundaries.pika import boundary
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from tests.boundaries.pika_behaviours import BEHAVIOURS, Broker

pytestmark = pytest.mark.service


@pytest.fixture
def outside(rabbitmq_port: int) -> Iterator[Broker]:
    broker = Broker(rabbitmq_port)
    yield broker
    broker.delete()


class TestPika(BoundaryContract):
    subject = "pika"
    library = "pika"
    boundary = boundary
    exercises: ClassVar[Mapping[str, Exercise]] = BEHAVIOURS
    unreached: ClassVar[frozenset[str]] = frozenset({"connection refused"})
    local: ClassVar[frozenset[str]] = frozenset(
        {
            *("declare a queue", "declare with other arguments", "use after close", "what the server can do", "timers"),
            "callback from another thread",
            *("connection refused", "wrong password", "missing virtual host"),
        }
    )
