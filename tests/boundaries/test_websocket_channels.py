"""Websockets beyond the talks: order against sends, several connections, fragments, what isn't covered."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import aiohttp
import pytest
import websockets.asyncio.client
import websockets.sync.client
from websockets.exceptions import ConnectionClosedOK

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import aiohttp as aiohttp_boundary
from pytest_fluxrun.boundaries import aiohttp_websocket, websockets_uncovered
from pytest_fluxrun.boundaries import asyncio as asyncio_boundary
from pytest_fluxrun.boundaries import threading as threading_boundary
from pytest_fluxrun.boundaries import websockets as websockets_boundary
from pytest_fluxrun.boundary import Call
from pytest_fluxrun.errors import DamagedBundle, OpaqueValue, UnrecordedCall
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from pytest_fluxrun.values import has_opaque
from tests.boundaries.virtual_runs import record, replay
from tests.boundaries.websocket_outside import WebsocketOutside

SEAMS = (aiohttp_boundary, aiohttp_websocket, asyncio_boundary, threading_boundary, websockets_boundary)


@pytest.fixture(autouse=True)
def seams() -> Iterator[None]:
    """The seams of both libraries, and those that carry the run into tasks and threads."""
    for file in SEAMS:
        for name in file.boundary.modules:
            patching.install(file.boundary.patches(import_module(name)))
    yield
    patching.restore_all()


@pytest.fixture
def outside() -> Iterator[WebsocketOutside]:
    """A live server."""
    outside = WebsocketOutside()
    yield outside
    outside.take_away()


class Aiohttp:
    """A connection of aiohttp, in the words of this file."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Any:
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(self._url)
        self.send, self.recv = self._socket.send_str, self._socket.receive_str
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._session.close()


def connect(library: str, url: str) -> Any:
    """A connection of either library, with `send` and `recv`."""
    return Aiohttp(url) if library == "aiohttp" else websockets.asyncio.client.connect(url, proxy=None)


LIBRARIES = pytest.mark.parametrize("library", ["aiohttp", "websockets"])


@LIBRARIES
def test_answer_does_not_come_before_its_question(outside: WebsocketOutside, library: str) -> None:
    """A receiver that is faster than at recording waits until what was sent before has been sent again."""
    order: list[str] = []

    async def ask(delay_s: float) -> list[str]:
        order.clear()
        async with connect(library, f"{outside.url}/echo") as socket:

            async def receive() -> None:
                order.append(await socket.recv())

            receiver = asyncio.create_task(receive())
            await asyncio.sleep(delay_s)
            order.append("sending")
            await socket.send("question")
            await receiver
        return list(order)

    expected, recorded = record(lambda: ask(0.01))
    outside.take_away()

    assert ["sending", "question"] == expected
    assert expected == replay(recorded, lambda: ask(5.0))


@LIBRARIES
def test_connections_to_one_url_keep_their_messages(outside: WebsocketOutside, library: str) -> None:
    """Two connections at once, read in another order than recorded: each gives what was its own."""

    async def ask(first: int) -> dict[int, str]:
        found = {}
        async with connect(library, f"{outside.url}/echo") as one, connect(library, f"{outside.url}/echo") as two:
            sockets = [one, two]
            for number, socket in enumerate(sockets):
                await socket.send(f"for {number}")
            for number in (first, 1 - first):
                found[number] = await sockets[number].recv()
        return found

    expected, recorded = record(lambda: ask(0))
    outside.take_away()

    assert {0: "for 0", 1: "for 1"} == expected == replay(recorded, lambda: ask(1))


def test_receiving_on_is_an_unrecorded_call(outside: WebsocketOutside) -> None:
    """Code that receives one message more than the run did is refused by name; no message is given twice."""

    async def ask(messages: int) -> list[str]:
        async with connect("websockets", f"{outside.url}/ticker") as socket:
            return [await socket.recv() for _ in range(messages)]

    expected, recorded = record(lambda: ask(1))
    outside.take_away()

    assert ["tick 0"] == expected
    with pytest.raises(UnrecordedCall, match=f"receive {outside.url}/ticker"):
        replay(recorded, lambda: ask(2))


def test_answer_to_a_close_does_not_come_before_it(outside: WebsocketOutside) -> None:
    """Aiohttp receives the peer's close as a message; code that receives once more waits, as with the live server."""

    async def ask(timeout_s: float | None) -> list[str]:
        async with connect("aiohttp", f"{outside.url}/echo") as socket:
            await socket.send("hello")
            found = [await socket.recv()]
            if timeout_s:
                try:
                    async with asyncio.timeout(timeout_s):
                        found.append(await socket.recv())
                except TimeoutError:
                    found.append("silence")
        return found

    expected, recorded = record(lambda: ask(None))
    outside.take_away()

    assert ["hello"] == expected
    assert ["hello", "silence"] == replay(recorded, lambda: ask(30))


@LIBRARIES
def test_changed_message_is_not_answered(outside: WebsocketOutside, library: str) -> None:
    """What is sent is compared; the message names what was asked."""

    async def ask(message: str) -> str:
        async with connect(library, f"{outside.url}/echo") as socket:
            await socket.send(message)
            found: str = await socket.recv()
            return found

    _, recorded = record(lambda: ask("one"))
    outside.take_away()

    with pytest.raises(UnrecordedCall, match=f"send {outside.url}/echo other"):
        replay(recorded, lambda: ask("other"))


@LIBRARIES
def test_connection_from_before_the_run_is_refused_by_name(outside: WebsocketOutside, library: str) -> None:
    """A live connection sends nothing in a replay."""

    async def ask() -> Any:
        async with connect(library, f"{outside.url}/echo") as socket:
            await socket.send("live")
            live = await socket.recv()
            with MemoryReplayer([]).open(), pytest.raises(UnrecordedCall, match=f"send {outside.url}/echo in the run"):
                await socket.send("in the run")
            await socket.send("live again")
            return [live, await socket.recv()]

    assert ["live", "live again"] == asyncio.run(ask())


def test_fragments_pass_one_by_one(outside: WebsocketOutside) -> None:
    """A message sent in fragments is one effect; one that is received in fragments comes in those."""

    async def ask() -> Any:
        async with websockets.asyncio.client.connect(f"{outside.url}/fragments", proxy=None) as socket:
            found = [part async for part in socket.recv_streaming()]
            await socket.send(part for part in ("a", "b"))
        async with websockets.asyncio.client.connect(f"{outside.url}/echo", proxy=None) as socket:

            async def parts() -> Any:
                yield b"x"
                yield b"y"

            await socket.send(parts())
            found.append(await socket.recv())
            found.append(await socket.recv(decode=True) if await socket.send("text") else None)
        return found

    expected, recorded = record(ask)
    outside.take_away()

    payloads = [each.request["payload"] for each in recorded if each.kind == "message"]
    assert expected == replay(recorded, ask)
    assert ["un", "even", " parts", "", b"xy", None] == expected
    assert "ab" in payloads


def test_sync_fragments(outside: WebsocketOutside) -> None:
    """The sync client's alike."""

    def ask() -> Any:
        with websockets.sync.client.connect(f"{outside.url}/fragments", proxy=None) as socket:
            found = list(socket.recv_streaming())
            socket.send(["a", "b"])
        return found

    recorder = MemoryRecorder()
    with recorder.open():
        expected = ask()
    recorded = recorder.finish()
    outside.take_away()
    with MemoryReplayer(recorded).open():
        again = ask()

    assert ["un", "even", " parts", ""] == expected == again


def test_waiting_for_the_end_ends(outside: WebsocketOutside) -> None:
    """`wait_closed`, and what the connection says then."""

    async def ask() -> Any:
        async with websockets.asyncio.client.connect(f"{outside.url}/kick", proxy=None) as socket:
            await socket.wait_closed()
            with pytest.raises(Exception, match="not welcome"):
                await socket.send("too late")
            return [socket.close_code, socket.close_reason]

    expected, recorded = record(ask)
    outside.take_away()

    assert [4003, "not welcome"] == expected == replay(recorded, ask)


def test_infinite_client_connects_again(outside: WebsocketOutside) -> None:
    """`async for socket in connect(...)`: each connection is played, the library's own loop decides."""

    async def ask() -> Any:
        found = []
        async for socket in websockets.asyncio.client.connect(f"{outside.url}/feed", proxy=None):
            try:
                while True:
                    found.append(await socket.recv())
            except ConnectionClosedOK:
                if len(found) >= 6:
                    break
        return found

    expected, recorded = record(ask)
    outside.take_away()

    assert 6 == len(expected)
    assert expected == replay(recorded, ask)


def test_client_that_is_not_covered_makes_a_run_that_can_not_be_replayed(outside: WebsocketOutside) -> None:
    """The legacy client works as ever in production, and its run says why it can't be replayed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        legacy = import_module("websockets.legacy.client")
        patching.install(websockets_uncovered.boundary.patches(legacy))

        async def ask() -> Any:
            async with legacy.connect(f"{outside.url}/echo") as socket:
                await socket.send("hello")
                return await socket.recv()

        expected, recorded = record(ask)
        outside.take_away()

        assert "hello" == expected
        assert has_opaque(recorded[0].answer)
        with pytest.raises(OpaqueValue):
            replay(recorded, ask)
        with pytest.raises(UnrecordedCall, match=r"legacy\.client, which isn't covered"):
            replay([], ask)


def test_damaged_message_is_refused() -> None:
    """A stored message without its fields is a DamagedBundle, not a KeyError."""
    with pytest.raises(DamagedBundle):
        websockets_boundary.boundary.load({"what": "text"}, Call({}))
