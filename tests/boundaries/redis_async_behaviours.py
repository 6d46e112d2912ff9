"""What programs do with Redis through `redis.asyncio`: exercises for the contract suite and the table.

Each takes an Outside that has `port` and returns everything comparable. The database is empty before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, WatchError

from pytest_fluxrun.testing.boundary import Exercise
from tests.boundaries.redis_behaviours import DATABASE, OTHER_DATABASE, script

__all__ = ["ASYNC_BEHAVIOURS", "opened"]

Use = Callable[[Any], Awaitable[Any]]


@contextlib.asynccontextmanager
async def opened(outside: Any, **settings: Any) -> AsyncIterator[Any]:
    """A client of the test's database, closed whatever happens."""
    client = redis.asyncio.Redis(host="127.0.0.1", port=outside.port, **{"db": DATABASE, **settings})
    try:
        yield client
    finally:
        await client.connection_pool.disconnect()
        await getattr(client, "aclose", client.close)()


def used(use: Use, **settings: Any) -> Exercise:
    """An exercise of a client with these settings."""

    async def exercise(outside: Any) -> Any:
        async with opened(outside, **settings) as client:
            return await use(client)

    return exercise


async def failing(awaited: Awaitable[Any]) -> Any:
    """The type and the text of the error that a call ends with, or what it gives."""
    try:
        return await awaited
    except (RedisError, UnicodeError) as error:
        return type(error), str(error), [str(argument) for argument in error.args]


async def strings(client: Any) -> Any:
    return [
        await client.set("a", 1, ex=100),
        await client.get("a"),
        await client.incr("a"),
        await client.ttl("a") > 90,
        await client.append("a", "ü"),
        await client.getrange("a", 0, 3),
        await client.set("a", b"\xff", get=True),
        await client.delete("a", "b"),
        await client.get("a"),
    ]


async def hashes(client: Any) -> Any:
    return [
        await client.hset("h", mapping={"a": 1, "b": b"\xff\x00", "c": "ü"}),
        await client.hgetall("h"),
        await client.hmget("h", ["a", "missing"]),
        await client.hincrby("h", "a", 2),
        await client.hdel("h", "a"),
        await client.hgetall("missing"),
    ]


async def lists(client: Any) -> Any:
    return [
        await client.rpush("l", "a", "b", "c"),
        await client.lrange("l", 0, -1),
        await client.lpop("l"),
        await client.rpop("l", 2),
        await client.lindex("l", 0),
    ]


async def sets(client: Any) -> Any:
    await client.sadd("s", "a", "b", "c")
    return [await client.smembers("s"), await client.sismember("s", "a"), await client.scard("s")]


async def sorted_sets(client: Any) -> Any:
    return [
        await client.zadd("z", {"a": 1, "b": 2.5, "c": float("inf")}),
        await client.zrange("z", 0, -1, withscores=True),
        await client.zscore("z", "missing"),
        await client.zpopmin("z"),
    ]


async def several_keys(client: Any) -> Any:
    return [
        await client.mset({"a": 1, "b": "zwei"}),
        await client.mget("a", "b", "missing"),
        sorted(await client.keys("*")),
        await client.exists("a", "b", "c"),
        await client.rename("a", "d"),
    ]


async def decoded(client: Any) -> Any:
    await client.set("ü", "ß")
    await client.hset("h", mapping={"ü": "ß"})
    return [await client.get("ü"), await client.hgetall("h"), await client.keys("*ü*")]


async def not_utf_8(client: Any) -> Any:
    await client.set(b"\xff", b"\xfe\x00")
    return [await client.keys(), await client.get(b"\xff"), await client.append(b"\xff", memoryview(b"\x01"))]


async def undecodable(client: Any) -> Any:
    await client.set("a", b"\xff")
    return [await failing(client.get("a")), await client.set("a", "b"), await client.get("a")]


async def errors(client: Any) -> Any:
    await client.set("a", "text")
    return [
        await failing(client.lpush("a", 1)),
        await failing(client.incr("a")),
        await failing(client.execute_command("NOSUCH", "x")),
        await failing(client.evalsha("0" * 40, 0)),
        await failing(client.set("a", {"not": "encodable"})),
        await client.get("a"),
    ]


async def raised(client: Any) -> Any:
    await client.set("a", "text")
    return await client.hget("a", "f")


async def transaction(client: Any) -> Any:
    async with client.pipeline() as pipe:
        found = await pipe.set("a", 1).incr("a").hset("h", mapping={"x": 1}).hgetall("h").execute()
    return [found, await client.get("a")]


async def pipeline(client: Any) -> Any:
    async with client.pipeline(transaction=False) as pipe:
        pipe.set("a", "b").lpush("a", 1).get("a").hgetall("none").smembers("none")
        found = await pipe.execute(raise_on_error=False)
    return [[type(one) if isinstance(one, Exception) else one for one in found], str(found[1])]


async def failed_pipelines(client: Any) -> Any:
    await client.set("a", "text")
    found = []
    for kind in (True, False):
        pipe = client.pipeline(transaction=kind)
        pipe.get("a").lpush("a", 1).get("a")
        found.append(await failing(pipe.execute()))
    return found


async def long_pipeline(client: Any) -> Any:
    pipe = client.pipeline(transaction=False)
    for number in range(300):
        pipe.set(f"k{number}", "x" * 50)
    found = await pipe.execute()
    return [found == [True] * 300, await client.mget([f"k{number}" for number in range(300)])]


async def watched(client: Any) -> Any:
    await client.set("a", 1)
    async with client.pipeline() as pipe:
        await pipe.watch("a")
        value = int(await pipe.get("a"))
        pipe.multi()
        pipe.set("a", value + 1)
        first = await pipe.execute()
        await pipe.watch("a")
        await client.set("a", 10)
        pipe.multi()
        pipe.set("a", 11)
        try:
            await pipe.execute()
        except WatchError as error:
            second = str(error)
    return [first, second, await client.get("a")]


async def scripts(client: Any) -> Any:
    await client.script_flush()
    registered = client.register_script(script)
    found = [await client.eval(script, 1, "a", "1"), await registered(["a"], ["2"])]
    await client.script_flush()
    return [*found, await registered(["a"], ["4"]), await client.script_exists(registered.sha)]


async def iterators(client: Any) -> Any:
    await client.mset({f"k{number:03}": number for number in range(40)})
    await client.hset("h", mapping={f"f{number:03}": "x" * 70 for number in range(200)})
    return [
        sorted([key async for key in client.scan_iter("k*", count=7)]),
        sorted([pair async for pair in client.hscan_iter("h", count=20)]),
    ]


async def blocking(client: Any) -> Any:
    await client.rpush("l", "a")
    return [await client.blpop(["none", "l"], timeout=1), await client.brpop("l", timeout=0.05)]


async def given_up(client: Any) -> Any:
    try:
        async with asyncio.timeout(0.05):
            await client.blpop("none", timeout=0)
    except TimeoutError:
        return [await client.set("a", 1), await client.get("a")]
    return None


async def streams(client: Any) -> Any:
    found = [
        await client.xadd("x", {"a": 1, "b": b"\xff"}, id="1-1"),
        await client.xadd("x", {"a": 2}, id="2-1"),
        await client.xrange("x"),
        await client.xread({"x": "1-1"}, count=1),
        await client.xread({"x": "$"}, block=20),
        await client.xgroup_create("x", "g", id="0"),
        await client.xreadgroup("g", "me", {"x": ">"}, count=1),
        await client.xreadgroup("g", "me", {"x": ">"}),
        await client.xack("x", "g", "1-1"),
    ]
    generated = await client.xadd("y", {"a": 1})
    return [*found, await client.xrange("y") == [(generated, {b"a": b"1"})]]


async def messages(client: Any) -> Any:
    async with client.pubsub() as pubsub:
        await pubsub.subscribe("news")
        await pubsub.psubscribe("we*")
        found = [await pubsub.get_message(timeout=2) for _ in range(2)]
        found.append(await pubsub.get_message(timeout=0.01))
        found.append(await client.publish("news", "first"))
        await client.publish("weather", b"\xff")
        found += [await pubsub.get_message(timeout=2) for _ in range(2)]
        found.append(await pubsub.get_message(timeout=0.01))
        await pubsub.unsubscribe("news")
        await pubsub.punsubscribe()
        found += [await pubsub.get_message(timeout=2) for _ in range(2)]
    return [*found, pubsub.subscribed]


async def listening(client: Any) -> Any:
    heard: list[Any] = []
    async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe("plain", handled=heard.append)
        await pubsub.get_message(timeout=1)
        await client.publish("plain", "one")
        await client.publish("handled", "two")
        await client.publish("plain", "end")
        async for message in pubsub.listen():
            heard.append(message)
            if message["data"] == b"end":
                break
    return heard


async def listening_task(client: Any) -> Any:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    pubsub = client.pubsub()
    await pubsub.subscribe(news=lambda message: heard.put_nowait(message["data"]))
    while not await pubsub.get_message(timeout=1):
        """The confirmation comes first."""
    task = asyncio.create_task(pubsub.run(poll_timeout=0.05))
    for word in ("one", "two"):
        await client.publish("news", word)
    found = [await heard.get(), await heard.get()]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await getattr(pubsub, "aclose", pubsub.close)()
    return found


async def locks(client: Any) -> Any:
    lock = client.lock("lock", timeout=10, blocking=False)
    found = [await lock.acquire(token="mine"), await lock.locked(), await lock.owned()]
    other = client.lock("lock", timeout=10, blocking=False)
    found += [await other.acquire(token="theirs"), await lock.extend(5), await lock.release()]
    return found


async def at_once(outside: Any) -> Any:
    async def one(number: int) -> Any:
        async with opened(outside) as client:
            await client.set(f"k{number}", number)
            return await client.get(f"k{number}")

    return await asyncio.gather(*map(one, range(10)))


async def two_databases(outside: Any) -> Any:
    async with opened(outside) as one, opened(outside, db=OTHER_DATABASE) as other:
        await one.set("same", "one")
        await other.set("same", "other")
        return [await one.get("same"), await other.get("same"), await other.get("same"), await one.get("same")]


async def one_connection(client: Any) -> Any:
    await client.set("a", 1)
    async with client.client() as same:
        return [await same.get("a"), await same.client_id() == await same.client_id()]


async def killed(client: Any) -> Any:
    await client.set("a", 1)
    number = await client.client_id()
    kwargs = client.connection_pool.connection_kwargs
    async with redis.asyncio.Redis(host=kwargs["host"], port=kwargs["port"], db=DATABASE) as other:
        await other.client_kill_filter(_id=number)
        await other.connection_pool.disconnect()
    found = await failing(client.get("a"))
    return [found[0] if isinstance(found, tuple) else found, await client.get("a")]


async def timeout(client: Any) -> Any:
    return [await failing(client.blpop("none", timeout=0)), await client.set("a", 1), await client.get("a")]


async def refused(client: Any) -> Any:
    async with redis.asyncio.Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0)) as nowhere:
        found = [await failing(nowhere.ping()), await failing(nowhere.pipeline().get("a").execute())]
    return [*found, await client.ping()]


async def wrong_password(outside: Any) -> Any:
    async with opened(outside, username="nobody", password="wrong") as client:
        return await client.get("a")


async def of_pool(outside: Any) -> Any:
    url = f"redis://127.0.0.1:{outside.port}/{DATABASE}?health_check_interval=30"
    pool = redis.asyncio.BlockingConnectionPool.from_url(url, max_connections=1)
    client = redis.asyncio.Redis(connection_pool=pool)
    found = [await client.set("a", 1), await client.get("a"), await asyncio.gather(client.get("a"), client.get("b"))]
    await pool.disconnect()
    found.append(await client.get("a"))
    await pool.disconnect()
    return found


async def large(client: Any) -> Any:
    text = "0123456789" * 20_000
    await client.set("big", text)
    await client.rpush("l", *[text[:100]] * 1000)
    return [await client.get("big") == text.encode(), await client.lrange("l", 0, -1)]


ASYNC_BEHAVIOURS: dict[str, Exercise] = {
    "strings": used(strings),
    "hashes": used(hashes),
    "lists": used(lists),
    "sets": used(sets),
    "sorted sets": used(sorted_sets),
    "several keys": used(several_keys),
    "decoded responses": used(decoded, decode_responses=True),
    "another encoding": used(decoded, decode_responses=True, encoding="latin-1"),
    "bytes that aren't UTF-8": used(not_utf_8),
    "bytes that can't be decoded": used(undecodable, decode_responses=True),
    "errors of the server": used(errors),
    "an error that isn't caught": used(raised),
    "MULTI and EXEC": used(transaction),
    "pipeline": used(pipeline),
    "pipelines that fail": used(failed_pipelines),
    "pipeline of 300": used(long_pipeline),
    "WATCH": used(watched),
    "Lua scripts": used(scripts),
    "SCAN iterators": used(iterators),
    "blocking pops": used(blocking),
    "a blocking pop given up": used(given_up),
    "streams": used(streams),
    "pub/sub: get_message": used(messages),
    "pub/sub: listen": used(listening),
    "pub/sub: run in a task": used(listening_task),
    "locks": used(locks),
    "ten at once": at_once,
    "two databases": two_databases,
    "one connection": used(one_connection),
    "connection lost": used(killed, single_connection_client=True, retry=Retry(NoBackoff(), 0)),
    "connection lost and retried": used(
        killed, single_connection_client=True, retry=Retry(NoBackoff(), 2), retry_on_error=[redis.ConnectionError]
    ),
    "time-out": used(timeout, socket_timeout=0.05, retry=Retry(NoBackoff(), 0)),
    "connection refused": used(refused),
    "wrong password": wrong_password,
    "blocking pool": of_pool,
    "large values": used(large),
    "RESP3": used(hashes, protocol=3),
    "RESP3 pipelines": used(transaction, protocol=3),
    "RESP3 pub/sub": used(messages, protocol=3),
}
if int(redis.__version__.partition(".")[0]) < 5:
    ASYNC_BEHAVIOURS = {name: exercise for name, exercise in ASYNC_BEHAVIOURS.items() if "RESP3" not in name}
