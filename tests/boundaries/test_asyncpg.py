"""asyncpg's boundary against a PostgreSQL on this machine, taken away at replay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from pytest_fluxrun.boundaries.asyncpg import boundary
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from tests.boundaries.asyncpg_behaviours import BEHAVIOURS
from tests.boundaries.asyncpg_sqlalchemy import SQLALCHEMY
from tests.boundaries.forwarded import Forwarded

pytestmark = pytest.mark.service


@pytest.fixture
def outside(postgres_port: int) -> Iterator[Forwarded]:
    forwarded = Forwarded(postgres_port)
    yield forwarded
    forwarded.close()


class TestAsyncpg(BoundaryContract):
    subject = "asyncpg"
    library = "asyncpg"
    boundary = boundary
    exercises: ClassVar[Mapping[str, Exercise]] = BEHAVIOURS
    local: ClassVar[frozenset[str]] = frozenset({"connects and closes", "refused", "no such database"})
    unreached: ClassVar[frozenset[str]] = frozenset({"refused"})


class TestSqlAlchemy(BoundaryContract):
    subject = "SQLAlchemy (asyncpg)"
    library = "asyncpg"
    boundary = boundary
    exercises: ClassVar[Mapping[str, Exercise]] = SQLALCHEMY
