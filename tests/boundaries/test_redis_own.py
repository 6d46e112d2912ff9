"""What is peculiar to redis-py's boundary: connections from before a run, several databases, passwords, Sentinel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, create_autospec

import pytest
import redis
import redis.asyncio
import redis.asyncio.connection
import redis.asyncio.sentinel
import redis.sentinel
import trustme

from pytest_fluxrun.boundaries import asyncio as asyncio_seams
from pytest_fluxrun.boundaries import entropy, sleep
from pytest_fluxrun.boundaries.redis import boundary
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.kinds.kv import KV
from pytest_fluxrun.run import Recording
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from pytest_fluxrun.values import plain
from tests.boundaries.forwarded import Forwarded
from tests.boundaries.read_runs import record, replay
from tests.boundaries.redis_servers import PASSWORD, OwnServer, cluster, own_server, sentinel
from tests.boundaries.sessions import alone

RESP_3 = {"protocol": 3} if int(redis.__version__.partition(".")[0]) >= 5 else {}
pytestmark = pytest.mark.service


@pytest.fixture(autouse=True)
def _seams() -> Iterator[None]:
    with alone(boundary, asyncio_seams.boundary, entropy.boundary, sleep.boundary):
        yield


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnServer]:
    with own_server(tmp_path) as started:
        yield started


def client_of(server: Any, **settings: Any) -> Any:
    return redis.Redis("127.0.0.1", server.port, **settings)


def texts(recording: Recording) -> list[str]:
    return [KV.text(plain(one.request)) for one in recording.interactions]


def replays_without(server: OwnServer, function: Callable[[], Any]) -> Recording:
    """What a function gives in a run is what it gives in the replay with the server gone."""
    expected, recording = record(function)
    server.stop()
    assert expected == replay(function, recording)
    return recording


def used(client: Any) -> Any:
    with contextlib.closing(client):
        return [client.set("a", 1), client.get("a"), client.pipeline().incr("a").execute()]


async def aused(client: Any) -> Any:
    async with client:
        return [await client.set("a", 1), await client.get("a"), await client.pipeline().incr("a").execute()]


def test_password_is_in_no_request(tmp_path: Path) -> None:
    """Nor one that the program gives, changes or sets."""

    def sign_in() -> Any:
        with client_of(server, password=PASSWORD, client_name="shop", **RESP_3) as client:
            found = [client.get("a"), client.execute_command("AUTH", "default", PASSWORD)]
            found.append(client.config_set("masterauth", PASSWORD))
            return [*found, client.acl_setuser("other", passwords=[f"+{PASSWORD}"], enabled=True)]

    with own_server(tmp_path, "--requirepass", PASSWORD) as server:
        recording = replays_without(server, sign_in)

    assert PASSWORD not in repr(recording.interactions)
    assert ["GET a", "AUTH *** ***", "CONFIG SET masterauth ***"] == texts(recording)[1:4]


def test_unix_socket(tmp_path: Path) -> None:
    """Named by its path."""
    path = tmp_path / "redis.sock"
    with own_server(tmp_path, "--unixsocket", str(path)) as server:
        recording = replays_without(server, lambda: used(redis.Redis(unix_socket_path=str(path), db=3)))

    assert f"CONNECT {path}/3" == texts(recording)[0]


def test_tls(tmp_path: Path) -> None:
    """Both clients; a replay needs no certificate's other side."""
    authority, port = trustme.CA(), 0
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    with contextlib.closing(Forwarded(0)) as free:
        port = free.port
    tls = ("--tls-port", str(port), "--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem")
    settings = {"ssl": True, "ssl_ca_certs": str(tmp_path / "ca.pem"), "ssl_check_hostname": True}

    def both() -> Any:
        found = used(redis.Redis("127.0.0.1", port, **settings))
        client = redis.asyncio.Redis(host="127.0.0.1", port=port, **settings)
        return [found, asyncio.run(aused(client))]

    with own_server(tmp_path, *tls, "--tls-ca-cert-file", "ca.pem", "--tls-auth-clients", "no") as server:
        replays_without(server, both)


def test_pool_from_before_the_run_needs_no_connection_recorded(server: OwnServer) -> None:
    """A replay opens its own, with nothing recorded of that."""
    warm = client_of(server)
    warm.ping()

    expected, recording = record(lambda: warm.get("a"))
    server.stop()

    assert ["GET a"] == texts(recording)
    assert expected == replay(lambda: client_of(server).get("a"), recording)


def test_connection_opened_before_a_replay_sends_nothing_in_it(redis_port: int) -> None:
    """It is there, and connected, and isn't asked."""
    server = Forwarded(redis_port)
    client = client_of(server)
    _, recording = record(lambda: [client.ping(), client.echo("a")])
    before = server.calls()

    given = replay(lambda: [client.ping(), client.echo("a")], recording)

    assert [True, b"a"] == given
    assert before == server.calls()
    server.close()


@pytest.mark.parametrize("single", [False, True])
def test_client_of_a_replay_is_connected_after_it(server: OwnServer, single: bool) -> None:
    """What stood for its socket is dropped when it is used outside of the replay."""
    _, recording = record(lambda: used(client_of(server)))
    client = client_of(server, single_connection_client=single) if not single else None

    def replayed() -> Any:
        nonlocal client
        client = client or client_of(server, single_connection_client=True)
        return [client.set("a", 1), client.get("a")]

    assert [True, b"1"] == replay(replayed, recording)
    assert [True, b"2"] == [client.set("a", 2), client.get("a")]
    client.close()


def test_client_of_a_replay_is_connected_after_it_async(server: OwnServer) -> None:
    """The same of the asyncio client."""

    async def again() -> Any:
        client = redis.asyncio.Redis(host="127.0.0.1", port=server.port)
        replayer = MemoryReplayer(recorder.finish())
        with replayer.open():
            found = [await client.set("a", 1), await client.get("a")]
        found += [await client.set("a", 2), await client.get("a")]
        await client.connection_pool.disconnect()
        return found

    recorder = MemoryRecorder()
    with recorder.open():
        asyncio.run(aused(redis.asyncio.Redis(host="127.0.0.1", port=server.port)))
    assert [True, b"1", True, b"2"] == asyncio.run(again())


def test_databases_are_told_apart_in_any_order(server: OwnServer) -> None:
    """Those of a replay are the recorded ones by their number, whichever is used first."""
    one, other = client_of(server, db=1), client_of(server, db=2)
    one.set("same", "one")
    other.set("same", "other")

    expected, recording = record(lambda: [one.get("same"), other.get("same")])
    server.stop()

    assert [b"one", b"other"] == expected
    assert expected == replay(lambda: [other.get("same"), one.get("same")][::-1], recording)


def test_databases_of_other_numbers_are_matched_in_their_order(server: OwnServer) -> None:
    """Where a test's settings number them otherwise than production's."""

    def ask(first: int, second: int) -> Any:
        return [client_of(server, db=first).get("same"), client_of(server, db=second).get("same")]

    client_of(server, db=1).set("same", "one")
    expected, recording = record(lambda: ask(1, 2))
    server.stop()

    assert [b"one", None] == expected
    assert expected == replay(lambda: ask(7, 0), recording)


def test_selecting_another_database_counts(server: OwnServer) -> None:
    """The same key after SELECT is another database's."""

    def select() -> Any:
        with client_of(server, single_connection_client=True) as client:
            return [client.set("same", 0), client.select(5), client.get("same"), client.select(0), client.get("same")]

    recording = replays_without(server, select)

    assert [0, 0, 0, 1, 1, 0] == [plain(one.request)["which"] for one in recording.interactions]


def test_health_check_is_no_call(server: OwnServer) -> None:
    """A connection's own PING, on a client of either sort."""
    settings = {"single_connection_client": True, "health_check_interval": 1000}

    async def checked() -> Any:
        async with redis.asyncio.Redis(host="127.0.0.1", port=server.port, **settings) as client:
            found = [await client.get("a")]
            client.connection.next_health_check = 0
            return [*found, await client.get("b")]

    def both() -> Any:
        with client_of(server, **settings) as client:
            found = [client.get("a")]
            client.connection.next_health_check = 0
            return [*found, client.get("b"), asyncio.run(checked())]

    recording = replays_without(server, both)

    assert "PING" not in texts(recording)


def test_reading_more_replies_than_the_run_is_refused(server: OwnServer) -> None:
    """The recorded program read one of two; the second exists nowhere."""

    def read(count: int) -> Any:
        with client_of(server, single_connection_client=True) as client:
            client.connection.send_command("GET", "a")
            client.connection.send_command("GET", "b")
            return [client.connection.read_response() for _ in range(count)]

    _, recording = record(lambda: read(1))

    with pytest.raises(UnrecordedCall, match=r"reading on after reply 1"):
        replay(lambda: read(2), recording)


def test_client_side_caching_is_refused_by_name() -> None:
    """What a cache answers in the process is known to nobody else."""
    caching = getattr(redis.connection, "CacheProxyConnection", None)
    if caching is None:
        pytest.skip("redis-py before 5.1 has none")
    replayer = MemoryReplayer([])

    with replayer.open(), pytest.raises(UnrecordedCall, match="client-side caching"):
        caching.send_command(object.__new__(caching), "GET", "a")


def test_sentinel_is_asked_beneath_connecting(tmp_path: Path, redis_port: int) -> None:
    """Which server is the primary belongs to connecting to it; a replay asks nobody."""

    def ask() -> Any:
        watch = redis.sentinel.Sentinel([("127.0.0.1", watcher.port)])
        with watch.master_for("primary", db=10) as client:
            return [client.ping(), client.echo("a")]

    async def aask() -> Any:
        watch = redis.asyncio.sentinel.Sentinel([("127.0.0.1", watcher.port)])
        async with watch.master_for("primary", db=10) as client:
            found = [await client.ping(), await client.echo("a")]
            await client.connection_pool.disconnect()
        for one in watch.sentinels:
            await one.connection_pool.disconnect()
        return found

    with sentinel(tmp_path, redis_port) as watcher:
        recording = replays_without(watcher, lambda: [ask(), asyncio.run(aask())])

    assert ["PING", "ECHO a"] * 2 == [text for text in texts(recording) if not text.startswith("CONNECT")]


def test_cluster(tmp_path: Path) -> None:
    """Its table of slots is recorded like all else; both clients, pipelines too."""

    def ask() -> Any:
        client = redis.cluster.RedisCluster("127.0.0.1", server.port)
        found = [client.set("a", 1), client.mset_nonatomic({"b": 1, "c": 2}), client.mget_nonatomic("a", "b", "x")]
        pipe = client.pipeline()
        pipe.get("a").incr("b")
        found += [pipe.execute(), client.eval("return KEYS[1]", 1, "k"), sorted(client.scan_iter())]
        client.close()
        return found

    async def aask() -> Any:
        async with redis.asyncio.RedisCluster("127.0.0.1", server.port) as client:
            return [
                await client.set("a", 1),
                await client.get("a"),
                await client.pipeline().get("a").get("b").execute(),
            ]

    with cluster(tmp_path) as server:
        replays_without(server, lambda: [ask(), asyncio.run(aask())])


def test_mock_with_the_spec_of_a_connection_is_awaited_like_it():
    """Also where a seam hands on the library's own coroutine."""
    spec = create_autospec(redis.asyncio.connection.AbstractConnection, instance=True)
    steps = ("connect", "send_packed_command", "read_response", "check_health", "can_read_destructive")
    assert all(isinstance(getattr(spec, step), AsyncMock) for step in steps)
