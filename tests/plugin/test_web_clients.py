"""aiohttp and websockets through the whole: recorded and sealed by one process, replayed by pytest with no server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.boundaries.conftest import HttpOutside
from tests.boundaries.websocket_outside import WebsocketOutside
from tests.plugin.kiosk import Kiosk
from tests.plugin.recorded import recorded_kiosk

SERVICE = '''\
"""What an app does with aiohttp and websockets."""

import asyncio
import time

import aiohttp
import websockets.asyncio.client
import websockets.sync.client

import pytest_fluxrun as fluxrun

fluxrun.init(project="kiosk")

HTTP, WS = "@HTTP@", "@WS@"


@fluxrun.capture("shop")
async def shop(count):
    """Requests one after another and at once, streamed, retried, timed out."""
    seen = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        async with session.get(f"{HTTP}/redirect", params={"n": count}) as response:
            seen.append([response.status, (await response.json())["path"], len(response.history)])
        async def one(number):
            async with session.post(f"{HTTP}/json", json={"n": number}) as response:
                return (await response.json())["body"]
        seen.append(await asyncio.gather(*(one(n) for n in range(count))))
        started = time.monotonic()
        async with session.get(f"{HTTP}/sse") as response:
            seen.append([line async for line in response.content])
        seen.append(time.monotonic() - started)
        try:
            async with session.get(f"{HTTP}/slow", timeout=aiohttp.ClientTimeout(total=0.2)):
                pass
        except TimeoutError as error:
            seen.append(type(error).__name__)
        try:
            async with session.get(f"{HTTP}/stall", timeout=aiohttp.ClientTimeout(sock_read=0.2)) as response:
                await response.read()
        except aiohttp.ClientError as error:
            seen.append([type(error).__name__, str(error)])
        try:
            async with asyncio.timeout(0.1):
                async with session.get(f"{HTTP}/stall") as response:
                    await response.read()
        except TimeoutError:
            seen.append("given up")
        try:
            await session.get("http://127.0.0.1:9/")
        except aiohttp.ClientConnectorError as error:
            seen.append([str(error), error.host, error.port, type(error.os_error).__name__])
    return repr(seen)


@fluxrun.capture("talk")
async def talk():
    """A websocket of each asyncio client, with a sender beside the receiver."""
    seen = []
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{WS}/echo", heartbeat=5) as socket:
        async def send():
            for number in range(3):
                await socket.send_json({"n": number})
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)  # so that the echoes are there, on a busy machine too
            await socket.close(code=4000, message=b"enough")
        sender = asyncio.create_task(send())
        async for message in socket:
            seen.append(message.data)
        await sender
        seen.append(socket.close_code)
    async with websockets.asyncio.client.connect(f"{WS}/echo", proxy=None) as socket:
        await socket.send("hello")
        seen.append(await socket.recv())
        try:
            async with asyncio.timeout(0.05):
                await socket.recv()
        except TimeoutError:
            seen.append("nothing")
        await asyncio.sleep(0.01)
        await socket.send(b"bytes")
        seen.append(await socket.recv())
    return repr(seen)


@fluxrun.capture("talk-sync")
def talk_sync():
    """A websocket of the sync client."""
    seen = []
    with websockets.sync.client.connect(f"{WS}/echo", proxy=None) as socket:
        socket.send("hello")
        seen.append(socket.recv())
        try:
            socket.recv(timeout=0.1)
        except TimeoutError:
            seen.append("nothing")
        socket.send(b"bytes")
        seen.append(socket.recv())
    with websockets.sync.client.connect(f"{WS}/feed", proxy=None) as socket:
        seen += list(socket)
        seen.append(socket.protocol.close_code)
    return repr(seen)
'''

RECORD = """\
import asyncio, service
asyncio.run(service.shop(3))
asyncio.run(service.talk())
service.talk_sync()
assert service.fluxrun.flush(20)
"""


@pytest.fixture
def recorded(tmp_path: Path) -> Kiosk:
    """The project with its three runs; the servers are gone."""
    http, websocket = HttpOutside(), WebsocketOutside()
    service = SERVICE.replace("@HTTP@", http.url).replace("@WS@", websocket.url)
    try:
        return recorded_kiosk(tmp_path / "home", service, "", RECORD)
    finally:
        http.take_away()
        websocket.take_away()


def test_runs_come_out_as_recorded_with_no_server(recorded: Kiosk) -> None:
    """Each run matches, in no more time than its work takes."""
    started = time.perf_counter()

    suite = recorded.replay("-v")

    assert 0 == suite.exit_code, suite.output
    assert ["match"] * 3 == [suite.case(f"{entry}-0").verdict for entry in ("shop", "talk", "talk-sync")], suite.output
    assert time.perf_counter() - started < 30
