"""What programs do with Redis through redis-py's blocking client: exercises for the contract suite and the table.

Each takes an Outside that has `port` and returns everything comparable. The database is empty before.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError, WatchError
from redis.retry import Retry

from pytest_fluxrun.testing.boundary import Exercise

__all__ = ["BEHAVIOURS", "DATABASE", "OTHER_DATABASE", "failing", "opened", "script"]

DATABASE, OTHER_DATABASE = 7, 8
Use = Callable[[Any], Any]

script = "redis.call('SET', KEYS[1], ARGV[1]) return {1, redis.call('GET', KEYS[1]), redis.status_reply('FINE')}"


@contextlib.contextmanager
def opened(outside: Any, **settings: Any) -> Iterator[Any]:
    """A client of the test's database, closed whatever happens."""
    client = redis.Redis("127.0.0.1", outside.port, **{"db": DATABASE, **settings})
    try:
        yield client
    finally:
        client.close()
        client.connection_pool.disconnect()


def used(use: Use, **settings: Any) -> Exercise:
    """An exercise of a client with these settings."""

    def exercise(outside: Any) -> Any:
        with opened(outside, **settings) as client:
            return use(client)

    return exercise


def failing(function: Callable[[], Any]) -> Any:
    """The type and the text of the error that a call ends with, or what it gives."""
    try:
        return function()
    except (RedisError, UnicodeError) as error:
        return type(error), str(error), [str(argument) for argument in error.args]


def connection_of(pool: Any) -> Any:
    """A connection of the pool; redis-py 5.3 deprecates to say what for, and older ones ask for it."""
    try:
        return pool.get_connection()
    except TypeError:
        return pool.get_connection("_")


def strings(client: Any) -> Any:
    return [
        client.set("a", 1),
        client.get("a"),
        client.set("a", "zwei", ex=100, xx=True),
        client.set("a", "drei", nx=True),
        client.set("a", "x", get=True),
        client.append("a", "yz"),
        client.getrange("a", 1, 1),
        client.strlen("a"),
        client.incr("n"),
        client.incrby("n", 5),
        client.incrbyfloat("n", 0.5),
        client.decr("m"),
        client.setnx("a", 1),
        client.getset("a", "b"),
        client.getdel("a"),
        client.get("a"),
    ]


def expiry(client: Any) -> Any:
    client.set("a", 1)
    return [
        client.ttl("a"),
        client.expire("a", 100),
        client.ttl("a"),
        client.persist("a"),
        client.ttl("missing"),
        client.execute_command("SETEX", "b", 1000, "v"),
        client.exists("a", "b", "c"),
        client.delete("a", "b"),
        client.expireat("a", 1),
    ]


def hashes(client: Any) -> Any:
    return [
        client.hset("h", mapping={"a": 1, "b": b"\xff\x00", "c": "ü"}),
        client.hset("h", "d", 1.5),
        client.hget("h", "b"),
        client.hget("h", "missing"),
        client.hgetall("h"),
        client.hmget("h", ["a", "missing"]),
        client.hkeys("h"),
        client.hvals("h"),
        client.hlen("h"),
        client.hincrby("h", "a", 2),
        client.hexists("h", "a"),
        client.hdel("h", "a"),
        client.hgetall("missing"),
    ]


def lists(client: Any) -> Any:
    return [
        client.rpush("l", "a", "b", "c"),
        client.lpush("l", 0),
        client.lrange("l", 0, -1),
        client.lindex("l", 1),
        client.lset("l", 0, "z"),
        client.linsert("l", "BEFORE", "b", "ab"),
        client.lrem("l", 0, "c"),
        client.lpop("l"),
        client.rpop("l", 2),
        client.llen("l"),
        client.lmove("l", "other", "LEFT", "RIGHT"),
        client.ltrim("other", 1, 0),
    ]


def sets(client: Any) -> Any:
    client.sadd("s", "a", "b", "c")
    client.sadd("t", "b")
    return [
        client.smembers("s"),
        client.sismember("s", "a"),
        client.scard("s"),
        client.sinter("s", "t"),
        client.sdiff("s", "t"),
        client.sunionstore("u", "s", "t"),
        client.srem("s", "a"),
        client.smove("s", "t", "c"),
    ]


def sorted_sets(client: Any) -> Any:
    return [
        client.zadd("z", {"a": 1, "b": 2.5, "c": float("inf")}),
        client.zrange("z", 0, -1, withscores=True),
        client.zrangebyscore("z", 1, 3),
        client.zscore("z", "b"),
        client.zscore("z", "missing"),
        client.zrank("z", "c"),
        client.zincrby("z", 1, "a"),
        client.zpopmin("z"),
        client.zcard("z"),
        client.zrange("z", 0, 0, desc=True, withscores=True),
    ]


def several_keys(client: Any) -> Any:
    return [
        client.mset({"a": 1, "b": "zwei"}),
        client.mget("a", "b", "missing"),
        client.msetnx({"a": 1, "c": 2}),
        sorted(client.keys("*")),
        client.type("a"),
        client.rename("a", "d"),
        client.copy("d", "e"),
        client.unlink("d", "e"),
        client.dbsize(),
        client.touch("b"),
    ]


def bits_and_places(client: Any) -> Any:
    return [
        client.setbit("bits", 7, 1),
        client.getbit("bits", 7),
        client.bitcount("bits"),
        client.pfadd("hll", "a", "b"),
        client.pfcount("hll"),
        client.geoadd("geo", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")),
        client.geodist("geo", "Palermo", "Catania", unit="km"),
        client.geopos("geo", "Palermo"),
    ]


def server(client: Any) -> Any:
    return [
        client.ping(),
        client.echo("hallo"),
        client.client_setname("me"),
        client.client_getname(),
        client.config_get("maxmemory-policy"),
        client.info("server")["redis_mode"],
        client.acl_whoami(),
        client.command_count() > 100,
        client.object("encoding", "missing"),
    ]


def decoded(client: Any) -> Any:
    client.set("ü", "ß")
    client.hset("h", mapping={"ü": "ß"})
    return [client.get("ü"), client.hgetall("h"), client.keys("*ü*"), client.lrange("none", 0, -1)]


def not_utf_8(client: Any) -> Any:
    client.set(b"\xff", b"\xfe\x00")
    return [client.keys(), client.get(b"\xff"), client.append(b"\xff", memoryview(b"\x01")), client.get(b"\xff")]


def undecodable(client: Any) -> Any:
    client.set("a", b"\xff")
    return [failing(lambda: client.get("a")), client.set("a", "b"), client.get("a")]


def errors(client: Any) -> Any:
    client.set("a", "text")
    return [
        failing(lambda: client.lpush("a", 1)),
        failing(lambda: client.incr("a")),
        failing(lambda: client.execute_command("NOSUCH", "x")),
        failing(lambda: client.execute_command("GET")),
        failing(lambda: client.evalsha("0" * 40, 0)),
        failing(lambda: client.set("a", {"not": "encodable"})),
        client.get("a"),
    ]


def raised(client: Any) -> Any:
    client.set("a", "text")
    return client.hget("a", "f")


def transaction(client: Any) -> Any:
    with client.pipeline() as pipe:
        pipe.set("a", 1).incr("a").hset("h", mapping={"x": 1}).hgetall("h").zadd("z", {"m": 1})
        found = pipe.execute()
    return [found, len(pipe), client.get("a")]


def pipeline(client: Any) -> Any:
    with client.pipeline(transaction=False) as pipe:
        pipe.set("a", "b").lpush("a", 1).get("a").hgetall("none").smembers("none")
        found = pipe.execute(raise_on_error=False)
    return [[type(one) if isinstance(one, Exception) else one for one in found], str(found[1])]


def failed_pipelines(client: Any) -> Any:
    client.set("a", "text")
    found = []
    for kind in (True, False):
        pipe = client.pipeline(transaction=kind)
        pipe.get("a").lpush("a", 1).get("a")
        found.append(failing(pipe.execute))
    pipe = client.pipeline()
    pipe.get("a").execute_command("NOSUCH")
    found.append(failing(pipe.execute))
    return found


def long_pipeline(client: Any) -> Any:
    pipe = client.pipeline(transaction=False)
    for number in range(300):
        pipe.set(f"k{number}", "x" * 50)
    found = pipe.execute()
    return [found == [True] * 300, client.mget([f"k{number}" for number in range(300)])]


def watched(client: Any) -> Any:
    client.set("a", 1)
    with client.pipeline() as pipe:
        pipe.watch("a")
        value = int(pipe.get("a"))
        pipe.multi()
        pipe.set("a", value + 1)
        first = pipe.execute()
        pipe.watch("a")
        client.set("a", 10)
        pipe.multi()
        pipe.set("a", 11)
        try:
            pipe.execute()
        except WatchError as error:
            second = str(error)
        pipe.watch("a")
        pipe.unwatch()
    return [first, second, client.get("a"), client.transaction(lambda pipe: pipe.multi() or pipe.incr("a"), "a")]


def scripts(client: Any) -> Any:
    client.script_flush()
    registered = client.register_script(script)
    found = [client.eval(script, 1, "a", "1"), registered(["a"], ["2"])]
    client.script_flush()
    found += [failing(lambda: client.evalsha(registered.sha, 1, "a", "3"))[0] is NoScriptError]
    found += [registered(["a"], ["4"]), client.script_exists(registered.sha)]
    client.script_flush()
    with client.pipeline() as pipe:
        registered(["a"], ["5"], client=pipe)
        found.append(pipe.execute())
    return [*found, failing(lambda: client.eval("return redis.error_reply('MINE it is')", 0))]


def iterators(client: Any) -> Any:
    client.mset({f"k{number:03}": number for number in range(40)})
    client.hset("h", mapping={f"f{number:03}": "x" * 70 for number in range(200)})
    client.sadd("s", *[f"m{number}" * 9 for number in range(200)])
    client.zadd("z", {f"m{number}" * 9: number for number in range(200)})
    return [
        sorted(client.scan_iter("k*", count=7)),
        sorted(client.hscan_iter("h", count=20)),
        sorted(client.sscan_iter("s", count=20)),
        sorted(client.zscan_iter("z", count=20)),
        client.scan(0, match="none")[1],
    ]


def blocking(client: Any) -> Any:
    client.rpush("l", "a")
    return [
        client.blpop(["none", "l"], timeout=1),
        client.brpop("l", timeout=0.05),
        client.brpoplpush("l", "m", timeout=1) if client.rpush("l", "b") else None,
        client.bzpopmin("z", timeout=0.05),
    ]


def streams(client: Any) -> Any:
    found = [
        client.xadd("x", {"a": 1, "b": b"\xff"}, id="1-1"),
        client.xadd("x", {"a": 2}, id="2-1", maxlen=10, approximate=False),
        client.xlen("x"),
        client.xrange("x"),
        client.xrevrange("x", count=1),
        client.xread({"x": "1-1"}, count=1),
        client.xread({"x": "$"}, block=20),
        client.xgroup_create("x", "g", id="0"),
        client.xreadgroup("g", "me", {"x": ">"}, count=1),
        client.xreadgroup("g", "me", {"x": ">"}),
        client.xreadgroup("g", "me", {"x": ">"}),
        client.xpending("x", "g"),
        client.xack("x", "g", "1-1"),
        client.xinfo_stream("x")["length"],
        failing(lambda: client.xgroup_create("x", "g")),
    ]
    generated = client.xadd("y", {"a": 1})
    return [*found, client.xrange("y") == [(generated, {b"a": b"1"})], client.xdel("x", "1-1")]


def messages(client: Any) -> Any:
    with contextlib.closing(client.pubsub()) as pubsub:
        pubsub.subscribe("news")
        pubsub.psubscribe("we*")
        found = [pubsub.get_message(timeout=2) for _ in range(2)]
        found.append(pubsub.get_message(timeout=0.01))
        found.append(client.publish("news", "first"))
        client.publish("weather", b"\xff")
        client.publish("other", "unheard")
        found += [pubsub.get_message(timeout=2) for _ in range(2)]
        found += [pubsub.get_message(), pubsub.subscribed]
        pubsub.unsubscribe("news")
        pubsub.punsubscribe()
        found += [pubsub.get_message(timeout=2) for _ in range(2)]
    return [*found, pubsub.subscribed]


def listening(client: Any) -> Any:
    heard: list[Any] = []
    with contextlib.closing(client.pubsub(ignore_subscribe_messages=True)) as pubsub:
        pubsub.subscribe("plain", handled=heard.append)
        pubsub.get_message(timeout=1)
        for word in ("one", "two"):
            client.publish("plain", word)
        client.publish("handled", "three")
        client.publish("plain", "end")
        for message in pubsub.listen():
            heard.append(message)
            if message["data"] == b"end":
                return [heard, list(pubsub.channels), client.pubsub_numsub("plain")]
    return None


def listening_thread(client: Any) -> Any:
    heard: list[Any] = []
    complete = threading.Event()

    def hear(message: Any) -> None:
        heard.append(message["data"])
        if len(heard) == 2:
            complete.set()

    pubsub = client.pubsub()
    pubsub.subscribe(news=hear)
    while not pubsub.get_message(timeout=1):
        """The confirmation comes first."""
    for word in ("one", "two"):
        client.publish("news", word)
    thread = pubsub.run_in_thread(sleep_time=0.01)
    complete.wait()
    thread.stop()
    thread.join()
    return heard


def monitoring(client: Any) -> Any:
    with client.monitor() as monitor:
        client.set("seen", "by monitor")
        for _ in range(20):
            command = monitor.next_command()
            if command["command"].startswith("SET seen"):
                return [command["command"], command["db"]]
    return None


def locks(client: Any) -> Any:
    lock = client.lock("lock", timeout=10, blocking=False)
    lock.local.token = None
    found = [lock.acquire(token="mine"), lock.locked(), lock.owned()]
    other = client.lock("lock", timeout=10, blocking=False)
    found += [other.acquire(token="theirs"), lock.extend(5), lock.reacquire(), lock.release(), lock.locked()]
    return [*found, failing(lambda: other.release())]


def two_databases(outside: Any) -> Any:
    with opened(outside) as one, opened(outside, db=OTHER_DATABASE) as other:
        one.set("same", "one")
        other.set("same", "other")
        found = [one.get("same"), other.get("same"), other.get("same"), one.get("same")]
        return [*found, one.select(OTHER_DATABASE), one.dbsize(), one.move("none", 1)]


def single_connection(client: Any) -> Any:
    client.set("a", 1)
    with client.client() as same:
        return [same.get("a"), same.client_id() == same.client_id(), same.pipeline().get("a").execute()]


def killed(client: Any) -> Any:
    with opened_beside(client) as other:
        client.set("a", 1)
        other.client_kill_filter(_id=client.client_id())
        return [failing(lambda: client.get("a"))[0], client.get("a")]


def opened_beside(client: Any) -> Any:
    """Another client of the same server."""
    kwargs = client.connection_pool.connection_kwargs
    return redis.Redis(kwargs["host"], kwargs["port"], db=DATABASE, client_name="beside")


def timeout(client: Any) -> Any:
    return [failing(lambda: client.blpop("none", timeout=0)), client.set("a", 1), client.get("a")]


def refused(client: Any) -> Any:
    with contextlib.closing(redis.Redis("127.0.0.1", 1, retry=Retry(NoBackoff(), 0))) as nowhere:
        found = [failing(nowhere.ping), failing(lambda: nowhere.pipeline().get("a").execute())]
    return [*found, client.ping()]


def wrong_password(outside: Any) -> Any:
    with opened(outside, username="nobody", password="wrong") as client:
        return client.get("a")


def of_pool(make: Callable[..., Any]) -> Exercise:
    """An exercise with a pool of some class, made of a URL."""

    def exercise(outside: Any) -> Any:
        pool = make(f"redis://127.0.0.1:{outside.port}/{DATABASE}?health_check_interval=30", max_connections=1)
        client = redis.Redis(connection_pool=pool)
        found = [client.set("a", 1), client.get("a"), client.mget("a", "b")]
        kept = connection_of(pool)
        kept.send_command("GET", "a")
        found.append(kept.read_response())
        pool.release(kept)
        pool.disconnect()
        return [*found, client.get("a"), pool.disconnect()]

    return exercise


def large(client: Any) -> Any:
    text = "0123456789" * 20_000
    client.set("big", text)
    client.rpush("l", *[text[:100]] * 1000)
    return [
        client.get("big") == text.encode(),
        client.lrange("l", 0, -1),
        client.append("big", text),
        client.get("big"),
    ]


def by_hand(outside: Any) -> Any:
    with opened(outside) as client:
        connection = connection_of(client.connection_pool)
        for command in (("SET", "a", 1), ("INCR", "a"), ("LPUSH", "a", 1), ("GET", "a")):
            connection.send_command(*command)
        replies = [failing(connection.read_response) for _ in range(4)]
        connection.send_packed_command([b"PING\r\n"])
        replies.append(connection.read_response())
        client.connection_pool.release(connection)
        return replies


def without_hiredis(outside: Any) -> Any:
    parser = getattr(redis.connection, "PythonParser", None) or redis.connection._RESP2Parser
    pool = redis.ConnectionPool(host="127.0.0.1", port=outside.port, db=DATABASE, parser_class=parser)
    with contextlib.closing(redis.Redis(connection_pool=pool)) as client:
        found = [hashes(client), pipeline(client), errors(client)]
    pool.disconnect()
    return found


BEHAVIOURS: dict[str, Exercise] = {
    "strings": used(strings),
    "expiry": used(expiry),
    "hashes": used(hashes),
    "lists": used(lists),
    "sets": used(sets),
    "sorted sets": used(sorted_sets),
    "several keys": used(several_keys),
    "bits, places, estimates": used(bits_and_places),
    "server and connection": used(server),
    "decoded responses": used(decoded, decode_responses=True),
    "another encoding": used(decoded, decode_responses=True, encoding="latin-1"),
    "bytes that aren't UTF-8": used(not_utf_8),
    "bytes that can't be decoded": used(undecodable, decode_responses=True),
    "undecodable bytes replaced": used(not_utf_8, decode_responses=True, encoding_errors="replace"),
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
    "streams": used(streams),
    "pub/sub: get_message": used(messages),
    "pub/sub: listen": used(listening),
    "pub/sub: run_in_thread": used(listening_thread),
    "MONITOR": used(monitoring),
    "locks": used(locks),
    "two databases": two_databases,
    "one connection": used(single_connection),
    "connection lost": used(killed, single_connection_client=True, retry=Retry(NoBackoff(), 0)),
    "connection lost and retried": used(
        killed, single_connection_client=True, retry=Retry(NoBackoff(), 2), retry_on_error=[redis.ConnectionError]
    ),
    "time-out": used(timeout, socket_timeout=0.05, retry=Retry(NoBackoff(), 0)),
    "connection refused": used(refused),
    "wrong password": wrong_password,
    "pool of a URL": of_pool(redis.ConnectionPool.from_url),
    "blocking pool": of_pool(redis.BlockingConnectionPool.from_url),
    "large values": used(large),
    "commands by hand": by_hand,
    "parser in Python": without_hiredis,
    "RESP3": used(hashes, protocol=3),
    "RESP3 pipelines": used(transaction, protocol=3),
    "RESP3 pub/sub": used(messages, protocol=3),
    "RESP3 streams": used(streams, protocol=3),
}
if int(redis.__version__.partition(".")[0]) < 5:
    BEHAVIOURS = {name: exercise for name, exercise in BEHAVIOURS.items() if "RESP3" not in name}
assert issubclass(NoScriptError, ResponseError)
