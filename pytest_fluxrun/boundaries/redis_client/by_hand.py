"""Answers that no recording holds: what a guard says in words, made-up replies to writes, reads made anew elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pytest_fluxrun.boundaries.redis_client.exchange import Exchange
from pytest_fluxrun.boundary import Request
from pytest_fluxrun.environments import address_of
from pytest_fluxrun.errors import GuardError
from pytest_fluxrun.kinds.kv import name_of

__all__ = ["asked_anew", "sketched", "written"]

_OK: Final = frozenset(
    """
    SET SETEX PSETEX MSET HMSET LTRIM LSET RENAME WATCH MULTI FLUSHDB
    """.split()  # noqa: SIM905 - a list of words reads better
)
_ONE: Final = frozenset(
    """
    DEL UNLINK EXPIRE EXPIREAT PEXPIRE PEXPIREAT PERSIST SETNX HSET HSETNX HDEL INCR INCRBY DECR DECRBY HINCRBY APPEND
    LPUSH RPUSH LPUSHX RPUSHX LREM SADD SREM SMOVE ZADD ZREM ZREMRANGEBYSCORE ZREMRANGEBYRANK PFADD PUBLISH XACK
    SPUBLISH XDEL XTRIM COPY GEOADD SETBIT SETRANGE
    """.split()  # noqa: SIM905 - a list of words reads better
)


def written(request: Request, reply: Mapping[str, Any]) -> Exchange:
    """The exchange that a guard tells in words: `reply`, or `replies` of a pipeline; without a key it is nil.

    Raises:
        GuardError: it has other keys, or not one reply for each command.
    """
    count = len(_commands(request))
    replies = reply["replies"] if "replies" in reply else [reply.get("reply")]
    if set(reply) - {"reply", "replies"} or not isinstance(replies, list) or len(replies) != count:
        raise GuardError(
            f"the guard's reply {dict(reply)!r} is no answer of redis to {count} commands",
            why="it may have `reply`, or `replies` with one for each command of a pipeline",
            next_step='correct it, e.g. reply = { reply = "OK" }',
        )
    exchange = Exchange()
    exchange.replies = list(replies)
    return exchange


def sketched(request: Request) -> dict[str, Any] | None:
    """What Redis usually says to these writes; None where one of them isn't a usual one."""
    names = [name_of(command) for command in _commands(request)]
    if names[:1] == ["MULTI"] and names[-1:] == ["EXEC"]:
        within = [_usual(name) for name in names[1:-1]]
        return None if None in within else {"replies": ["OK", *("QUEUED" for _ in within), within]}
    replies = [_usual(name) for name in names]
    if not replies or None in replies:
        return None
    return {"reply": replies[0]} if "command" in request else {"replies": replies}


def asked_anew(request: Request, environment: Mapping[str, Any]) -> Exchange | None:
    """The replies of the server that the environment's `redis` names; None for what isn't a command.

    Raises:
        SettingsError: the environment doesn't name it.
        redis.RedisError: it can't be reached, or refuses a command.
    """
    import redis

    commands = _commands(request)
    if not commands:
        return None
    exchange = Exchange()
    address = address_of(environment, "redis", request["database"])
    with redis.Redis.from_url(address, single_connection_client=True) as client:
        for command in commands:
            client.connection.send_command(*command)
            exchange.keep(client.connection.read_response(disable_decoding=True), client.connection.encoder)
    return exchange


def _commands(request: Request) -> list[list[Any]]:
    return [request["command"]] if "command" in request else list(request.get("commands", ()))


def _usual(name: str) -> str | int | None:
    return "OK" if name in _OK else 1 if name in _ONE else None
