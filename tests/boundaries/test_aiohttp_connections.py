"""aiohttp's errors as objects, and its other connectors: unix sockets, proxies, resolvers, a full pool."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from aiohttp.client_exceptions import UnixClientConnectorError

from pytest_fluxrun.boundaries import aiohttp as aiohttp_boundary
from pytest_fluxrun.boundaries import asyncio as asyncio_boundary
from pytest_fluxrun.testing.sessions import MemoryRecorder
from tests.boundaries.sessions import alone
from tests.boundaries.virtual_runs import both, record, replay


@pytest.fixture(autouse=True)
def seams() -> Iterator[None]:
    """The seams of aiohttp, and those that carry the run into tasks, for the length of a test."""
    with alone(aiohttp_boundary.boundary, asyncio_boundary.boundary):
        yield


class Served:
    """A server of aiohttp's own, on a path or a port, in the loop of the test's coroutine."""

    def __init__(self, handler: Any, path: str | None = None) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        self._runner = web.AppRunner(app)
        self._path = path
        self.port = 0

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        if self._path is not None:
            await web.UnixSite(self._runner, self._path).start()
        else:
            site = web.TCPSite(self._runner, "127.0.0.1", 0)
            await site.start()
            self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


def test_expect_continue() -> None:
    """The body is sent after the interim answer, at replay too."""

    async def handler(request: Any) -> Any:
        return web.Response(body=await request.read(), headers={"X-Expect": request.headers["Expect"]})

    port = 0

    async def ask() -> Any:
        async with aiohttp.ClientSession() as session:
            answer = await session.post(f"http://127.0.0.1:{port}/", data=b"after it", expect100=True)
            return [answer.headers["X-Expect"], await answer.read()]

    async def recording() -> Any:
        recorder = MemoryRecorder()
        nonlocal port
        async with Served(handler) as served:
            port = served.port
            with recorder.open():
                return await ask(), recorder.finish()

    expected, recorded = asyncio.run(recording())

    assert ["100-continue", b"after it"] == expected == replay(recorded, ask)


# -- errors


def test_failed_connect_has_usable_attributes(http_outside: Any) -> None:
    """Host, port, the error beneath and the chain: as live."""

    async def ask(url: str, **settings: Any) -> Any:
        async with aiohttp.ClientSession() as session:
            try:
                await session.get(url, **settings)
            except aiohttp.ClientConnectorError as error:
                beneath = error.certificate_error if hasattr(error, "certificate_error") else error.os_error
                return [
                    type(error).__name__, str(error), error.host, error.port, error.ssl is not None, error.errno,
                    error.strerror, type(beneath).__name__, str(beneath), beneath is error.__cause__,
                    error.args[0].host,
                ]  # fmt: skip

    async def body() -> Any:
        return [
            await ask(f"{http_outside.refused}/"),
            await ask(f"{http_outside.nowhere}/"),
            await ask(f"{http_outside.secure}/"),
            await ask(http_outside.secure.replace("https", "http") + "/", proxy=http_outside.refused),
        ]

    expected, again = both(http_outside, body)

    assert expected == again
    assert ["ClientConnectorError", "ClientConnectorDNSError", "ClientConnectorCertificateError"] == [
        error[0] for error in again[:3]
    ]
    assert "ClientProxyConnectionError" == again[3][0]


def test_broken_answer_is_raised_again() -> None:
    """What the parser refuses is a ClientResponseError with its request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"this is no HTTP\r\n\r\n")
        await writer.drain()
        writer.close()

    port = 0

    async def ask() -> Any:
        async with aiohttp.ClientSession() as session:
            try:
                await session.get(f"http://127.0.0.1:{port}/")
            except aiohttp.ClientResponseError as error:
                return [type(error).__name__, str(error), error.status, str(error.request_info.url), error.history]

    async def recording() -> Any:
        nonlocal port
        recorder = MemoryRecorder()
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with recorder.open():
                return await ask(), recorder.finish()

    expected, recorded = asyncio.run(recording())

    assert "ClientResponseError" == expected[0]
    assert expected == replay(recorded, ask)


# -- other connectors


def test_unix_connector(tmp_path: Path) -> None:
    """A connector of another family is played alike, and its refusal too."""
    path = str(tmp_path / "s")

    async def handler(request: Any) -> Any:
        return web.json_response({"path": request.path})

    async def ask() -> Any:
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session:
            found = await (await session.get("http://app/x")).json()
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(f"{path}-not")) as session:
            try:
                await session.get("http://app/x")
            except UnixClientConnectorError as error:
                return [found, str(error), error.path]

    async def recording() -> Any:
        recorder = MemoryRecorder()
        async with Served(handler, path):
            with recorder.open():
                return await ask(), recorder.finish()

    expected, recorded = asyncio.run(recording())

    assert {"path": "/x"} == expected[0]
    assert expected == replay(recorded, ask)


def test_no_name_is_resolved_at_replay(http_outside: Any) -> None:
    """A resolver of the app's is asked when it is live, and never at replay."""
    asked: list[str] = []

    class Resolver(AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[Any]:
            asked.append(host)
            return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

        async def close(self) -> None:
            """Nothing is open."""

    async def ask() -> Any:
        connector = aiohttp.TCPConnector(resolver=Resolver())
        async with aiohttp.ClientSession(connector=connector) as session:
            return await (await session.get(http_outside.url.replace("127.0.0.1", "shop.example") + "/json")).json()

    expected, recorded = record(ask)
    http_outside.take_away()
    once = list(asked)

    assert expected == replay(recorded, ask)
    assert ["shop.example"] == once == asked


def test_request_through_a_proxy(http_outside: Any) -> None:
    """The call is to the target; the proxy is how it got there."""

    async def ask() -> Any:
        async with aiohttp.ClientSession() as session:
            return (await session.get("http://shop.example/json", proxy=http_outside.url)).status

    expected, recorded = record(ask)
    http_outside.take_away()

    assert "http://shop.example/json" == recorded[0].request["url"]
    assert 404 == expected == replay(recorded, ask)


def test_pool_limit_keeps_the_order(http_outside: Any) -> None:
    """Requests that queue for one connection are answered each with its own answer."""

    async def ask() -> Any:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:

            async def one(number: int) -> Any:
                async with session.post(f"{http_outside.url}/json", json=number) as response:
                    return (await response.json())["body"]

            return await asyncio.gather(*(one(number) for number in range(5)))

    expected, again = both(http_outside, ask)

    assert ["0", "1", "2", "3", "4"] == expected == again
