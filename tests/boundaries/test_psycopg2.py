"""psycopg2's boundary against a PostgreSQL on this machine, taken away at replay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import psycopg2
import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries.psycopg2 import boundary
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from tests.boundaries.forwarded import Forwarded
from tests.boundaries.psycopg2_behaviours import BEHAVIOURS
from tests.boundaries.psycopg2_orms import DJANGO, SQLALCHEMY

pytestmark = pytest.mark.service


@pytest.fixture
def outside(postgres_port: int) -> Iterator[Forwarded]:
    forwarded = Forwarded(postgres_port)
    yield forwarded
    forwarded.close()


class Replaying(BoundaryContract):
    """In a process that replays, as every test process is."""

    boundary = boundary

    def install(self) -> None:
        super().install()
        patching.install(boundary.replay_patches(psycopg2))


class TestPsycopg2(Replaying):
    subject = "psycopg2"
    library = "psycopg2-binary"
    exercises: ClassVar[Mapping[str, Exercise]] = BEHAVIOURS
    local: ClassVar[frozenset[str]] = frozenset({"connects and closes", "refused", "no such database"})
    unreached: ClassVar[frozenset[str]] = frozenset({"refused"})


class TestSqlAlchemy(Replaying):
    subject = "SQLAlchemy (psycopg2)"
    library = "psycopg2-binary"
    exercises: ClassVar[Mapping[str, Exercise]] = SQLALCHEMY


class TestDjango(Replaying):
    subject = "Django (psycopg2)"
    library = "psycopg2-binary"
    exercises: ClassVar[Mapping[str, Exercise]] = DJANGO


del Replaying
