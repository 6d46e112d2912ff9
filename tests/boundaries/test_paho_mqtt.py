"""paho-mqtt's boundary against a Mosquitto reached through a port that counts and can be taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from pytest_fluxrun.boundaries.paho_mqtt import boundary
from pytest_fluxrun.boundaries.threading import boundary as threads
from pytest_fluxrun.boundary import Seams
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from tests.boundaries.paho_behaviours import BEHAVIOURS, Mqtt

pytestmark = pytest.mark.service


@pytest.fixture
def outside(mosquitto_port: int) -> Iterator[Mqtt]:
    server = Mqtt(mosquitto_port)
    yield server
    server.delete()


class TestPahoMqtt(BoundaryContract):
    subject = "paho-mqtt"
    library = "paho-mqtt"
    boundary = boundary
    carriers: ClassVar[tuple[Seams, ...]] = (threads,)
    exercises: ClassVar[Mapping[str, Exercise]] = BEHAVIOURS
    unreached: ClassVar[frozenset[str]] = frozenset({"connection refused", "publish unconnected"})
    local: ClassVar[frozenset[str]] = frozenset(
        {"connection refused", "unsubscribe", "connection reported to callbacks"}
    )
