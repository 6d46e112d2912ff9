"""Django's cache on Redis, by its own backend and by django-redis: pickled values, versions, counters, locks."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import pytest

from pytest_fluxrun.boundaries import entropy
from pytest_fluxrun.boundaries.redis import boundary
from pytest_fluxrun.boundary import Boundary
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from tests import django_settings
from tests.boundaries.forwarded import Forwarded
from tests.boundaries.read_runs import record, replay
from tests.boundaries.sessions import alone
from tests.entries.workers import redis_database

django_settings.configure()

from django.core.cache.backends.redis import RedisCache
from django_redis.cache import RedisCache as DjangoRedisCache

pytestmark = pytest.mark.service
_DATABASE = 10


class Server(Forwarded):
    """Redis with a database of the test's own."""

    backend: Any = None

    def reset(self) -> None:
        with contextlib.closing(RedisCache(f"redis://127.0.0.1:{self._target}/{_DATABASE}", {})) as cache:
            cache.clear()


@pytest.fixture
def outside(redis_port: int) -> Iterator[Server]:
    with redis_database(redis_port, _DATABASE):
        server = Server(redis_port)
        yield server
        server.close()


def cached(backend: Any, use: Callable[[Any], Any]) -> Exercise:
    """An exercise of a cache that is made for it."""

    def exercise(outside: Any) -> Any:
        cache = backend(f"redis://127.0.0.1:{outside.port}/{_DATABASE}", {"KEY_PREFIX": "shop"})
        try:
            return use(cache)
        finally:
            _pool(cache).disconnect()

    return exercise


def _pool(cache: Any) -> Any:
    client = cache.client.get_client() if isinstance(cache, DjangoRedisCache) else cache._cache.get_client()
    return client.connection_pool


VALUE = {"at": dt.datetime(2026, 5, 4, tzinfo=dt.UTC), "data": b"\xff", "items": [1, 2.5, None]}


def values(cache: Any) -> Any:
    found = [cache.set("a", VALUE, 30), cache.get("a"), cache.get("missing", "default"), cache.has_key("a")]
    return [*found, cache.add("a", 1), cache.add("b", "text"), cache.get("b"), cache.touch("a", 60), cache.delete("a")]


def versions(cache: Any) -> Any:
    cache.set("a", 1, version=1)
    cache.set("a", 2, version=2)
    return [cache.get("a"), cache.get("a", version=2), cache.incr_version("a", 5), cache.get("a", version=6)]


def counters(cache: Any) -> Any:
    cache.set("n", 1)
    with contextlib.suppress(ValueError):
        cache.incr("missing")
    return [cache.incr("n"), cache.incr("n", 10), cache.decr("n", 2), cache.get("n")]


def many(cache: Any) -> Any:
    found = [cache.set_many({"a": VALUE, "b": 2}, 100), cache.get_many(["a", "b", "missing"])]
    return [*found, cache.delete_many(["a", "b"]), cache.get_many(["a", "b"]), cache.get_or_set("c", lambda: 5)]


def cleared(cache: Any) -> Any:
    cache.set("a", 1)
    return [bool(cache.clear()), cache.get("a")]


USES = {"values": values, "versions": versions, "counters": counters, "many keys": many, "clear": cleared}


class TestDjangosOwn(BoundaryContract):
    subject = "Django's RedisCache"
    library = "redis"
    boundary: ClassVar[Boundary[Any]] = boundary
    exercises: ClassVar[Mapping[str, Exercise]] = {name: cached(RedisCache, use) for name, use in USES.items()}


class TestDjangoRedis(BoundaryContract):
    subject = "django-redis"
    library = "redis"
    boundary: ClassVar[Boundary[Any]] = boundary
    exercises: ClassVar[Mapping[str, Exercise]] = {
        **{name: cached(DjangoRedisCache, use) for name, use in USES.items()},
        "keys and time to live": cached(
            DjangoRedisCache,
            lambda cache: [cache.set("a", 1, 100), sorted(cache.keys("*")), cache.ttl("a"), cache.persist("a")],
        ),
    }


def test_lock_of_django_redis_has_the_recorded_token(outside: Server) -> None:
    """The token is drawn anew by each acquiring, and replayed as drawn."""

    def lock(cache: Any) -> Any:
        with cache.lock("lock", timeout=5) as held:
            return [held.owned(), cache.set("a", 1)]

    exercise = cached(DjangoRedisCache, lock)
    with alone(boundary, entropy.boundary):
        expected, recording = record(lambda: exercise(outside))
        outside.take_away()
        again = replay(lambda: exercise(outside), recording)

    assert [True, True] == expected
    assert expected == again
