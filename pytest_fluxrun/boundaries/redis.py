"""redis-py: commands and messages of `redis.Redis` and `redis.asyncio`, and of all that lies on their connections.

The seams are the connections' own steps. Packing, response callbacks, decoding, retries, locks, scripts and pools run
for real at replay. What a client says on a new connection belongs to connecting, which a replay doesn't need recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.redis_client.awaiting import Awaiting
from pytest_fluxrun.boundaries.redis_client.blocking import Blocking
from pytest_fluxrun.boundaries.redis_client.by_hand import asked_anew, sketched, written
from pytest_fluxrun.boundaries.redis_client.exchange import Exchange, rebuilt
from pytest_fluxrun.boundary import Boundary, Call, Kind, Patch, Request, Uncovered
from pytest_fluxrun.kinds.kv import KV
from pytest_fluxrun.values import Value

__all__ = ["RedisBoundary", "boundary"]


class RedisBoundary(Boundary[Exchange | None]):
    """The steps of redis-py's connections."""

    name: ClassVar[str] = "redis"
    kind: ClassVar[Kind] = KV
    modules: ClassVar[tuple[str, ...]] = (
        "redis.connection",
        "redis.asyncio.connection",
        "redis.sentinel",
        "redis.asyncio.sentinel",
    )
    distribution: ClassVar[str] = "redis"
    tested: ClassVar[tuple[str, str]] = ("4.6.0", "8.1.0")

    def patches(self, module: Any) -> Iterable[Patch]:
        """The methods of the connections' base classes, and of those of Sentinel that override them."""
        is_async = ".asyncio" in module.__name__
        reply_error = import_module("redis.exceptions").ResponseError
        seams: Any = (Awaiting if is_async else Blocking)(self, reply_error)
        if module.__name__.endswith(".sentinel"):
            yield Patch(module.SentinelManagedConnection, "connect", seams.connect)
            return
        yield from _steps(module.AbstractConnection, seams)
        caching = getattr(module, "CacheProxyConnection", None)
        if caching is not None:
            yield Patch(caching, "send_command", _CACHING.refuse)

    def dump(self, result: Exchange | None) -> Value:
        """Replies; of connecting and subscribing nothing."""
        return None if result is None else result.dump()

    def load(self, value: Value, call: Call) -> Exchange | None:
        """The replies, to be read one by one."""
        del call
        return None if value is None else Exchange.load(value)

    def ask(self, request: Request, environment: Mapping[str, Any]) -> Value:
        """See `by_hand.asked_anew`."""
        exchange = asked_anew(request, environment)
        return None if exchange is None else exchange.dump()

    def answer(self, request: Request, reply: Mapping[str, Any]) -> Value:
        """See `by_hand.written`."""
        return written(request, reply).dump()

    def sketch(self, request: Request, number: int) -> Mapping[str, Any] | None:
        """See `by_hand.sketched`."""
        del number
        return sketched(request)

    def load_error(self, value: Value, call: Call) -> BaseException:
        """As redis-py would make it."""
        del call
        return rebuilt(value)

    def weigh(self, result: Exchange | None) -> int:
        """What the commands and their replies hold."""
        return 0 if result is None else result.size_bytes


class _Caching(Uncovered):
    """What a connection with client-side caching answers by itself is known to no one else."""

    name = "redis-py's client-side caching"
    modules = ("redis.connection",)
    instead = "make the client without cache_config"

    def patches(self, module: Any) -> Iterable[Patch]:
        """Among the boundary's own."""
        del module
        return ()


_CACHING = _Caching()


def _steps(cls: Any, seams: Any) -> Iterator[Patch]:
    for name in ("connect", "connect_check_health"):  # redis-py 6 connects by the latter too
        if hasattr(cls, name):
            yield Patch(cls, name, seams.connect)
    yield Patch(cls, "send_packed_command", seams.send)
    yield Patch(cls, "read_response", seams.read)
    yield Patch(cls, "check_health", seams.check_health)
    for name in ("can_read", "can_read_destructive"):
        if hasattr(cls, name):
            yield Patch(cls, name, seams.look)


boundary = RedisBoundary()
