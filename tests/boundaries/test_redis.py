"""redis-py's boundary against a Redis on this machine: the contract suite for the blocking and the asyncio client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest
import redis

from pytest_fluxrun.boundaries import asyncio as asyncio_seams
from pytest_fluxrun.boundaries import threading as threading_seams
from pytest_fluxrun.boundaries.redis import boundary
from pytest_fluxrun.boundary import Boundary, Seams
from pytest_fluxrun.context import entered
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from tests.boundaries.forwarded import Forwarded
from tests.boundaries.redis_async_behaviours import ASYNC_BEHAVIOURS
from tests.boundaries.redis_behaviours import BEHAVIOURS, DATABASE, OTHER_DATABASE
from tests.entries.workers import redis_database

RAISING = {"an error that isn't caught", "wrong password"}
pytestmark = pytest.mark.service


class Server(Forwarded):
    """Redis with two databases of the test's own."""

    def reset(self) -> None:
        with entered(None):
            for number in (DATABASE, OTHER_DATABASE):
                with redis.Redis("127.0.0.1", self._target, db=number) as client:
                    client.flushdb()


@pytest.fixture
def outside(redis_port: int) -> Iterator[Server]:
    with redis_database(redis_port, DATABASE), redis_database(redis_port, OTHER_DATABASE):
        server = Server(redis_port)
        yield server
        server.close()


class TestRedis(BoundaryContract):
    subject = "redis"
    library = "redis"
    boundary: ClassVar[Boundary[Any]] = boundary
    carriers: ClassVar[tuple[Seams, ...]] = (threading_seams.boundary,)
    exercises: ClassVar[Mapping[str, Exercise]] = BEHAVIOURS

    def test_exercises_do_what_they_say(self, exercise: str, outside: Server) -> None:
        """Only those end with an error that are about one."""
        assert (exercise in RAISING) == (self.run(exercise, outside).error_type is not None)


class TestRedisAsync(BoundaryContract):
    subject = "redis (async)"
    library = "redis"
    boundary: ClassVar[Boundary[Any]] = boundary
    carriers: ClassVar[tuple[Seams, ...]] = (asyncio_seams.boundary,)
    exercises: ClassVar[Mapping[str, Exercise]] = ASYNC_BEHAVIOURS

    def test_exercises_do_what_they_say(self, exercise: str, outside: Server) -> None:
        """Only those end with an error that are about one."""
        assert (exercise in RAISING) == (self.run(exercise, outside).error_type is not None)
