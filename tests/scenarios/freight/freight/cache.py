"""Redis: cached pages, rate limits, locks, and what others may listen to."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import redis
import redis.asyncio
from fastapi import HTTPException

from freight.settings import settings

__all__ = ["cached", "forget", "key", "limit", "publish", "store", "sync_store"]

store = redis.asyncio.Redis.from_url(settings.redis_url, decode_responses=True)
"""For coroutines."""
sync_store = redis.Redis.from_url(settings.redis_url, decode_responses=True)
"""For endpoints and tasks that block."""

_WINDOW_S: Final = 60
_TAKE = store.register_script(
    """
    local used = redis.call('INCRBY', KEYS[1], ARGV[1])
    if used == tonumber(ARGV[1]) then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
    local left = tonumber(ARGV[2]) - used
    return {left, redis.call('TTL', KEYS[1]), tostring(used / tonumber(ARGV[2]))}
    """
)


def key(*parts: object) -> str:
    """A key of ours."""
    return ":".join([settings.redis_prefix, *map(str, parts)])


async def cached(name: str, ttl_s: int, make: Callable[[], Awaitable[Any]]) -> Any:
    """What is stored under a name, made and stored where nothing is; JSON."""
    stored = await store.get(key("cache", name))
    if stored is not None:
        return json.loads(stored)
    made = await make()
    await store.set(key("cache", name), json.dumps(made, default=str), ex=ttl_s)
    return made


async def forget(*names: str) -> None:
    """Drop cached values."""
    if names:
        await store.delete(*(key("cache", name) for name in names))


async def limit(scope: str, who: str, allowed: int, *, cost: int = 1) -> int:
    """Count a use in the current window; 429 where there were too many.

    Returns:
        How many are left.
    """
    left, ttl_s, _share = await _TAKE(keys=[key("limit", scope, who)], args=[cost, allowed, _WINDOW_S])
    if left < 0:
        raise HTTPException(429, f"too many requests for {scope}", headers={"Retry-After": str(max(ttl_s, 1))})
    return int(left)


async def publish(channel: str, message: dict[str, Any]) -> int:
    """Tell whoever listens; returns how many did."""
    return int(await store.publish(key("channel", channel), json.dumps(message, default=str)))
