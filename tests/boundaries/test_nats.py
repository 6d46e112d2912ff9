"""nats-py's boundary against a NATS server reached through a port that counts and can be taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from pytest_fluxrun.boundaries.nats import boundary
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from tests.boundaries.nats_behaviours import BEHAVIOURS, Nats

pytestmark = pytest.mark.service


@pytest.fixture
def outside(nats_port: int) -> Iterator[Nats]:
    server = Nats(nats_port)
    yield server
    server.delete()


class TestNats(BoundaryContract):
    subject = "nats-py"
    library = "nats-py"
    boundary = boundary
    exercises: ClassVar[Mapping[str, Exercise]] = BEHAVIOURS
    unreached: ClassVar[frozenset[str]] = frozenset({"connection refused"})
    local: ClassVar[frozenset[str]] = frozenset({"connection refused", "what the server can do", "use after close"})
