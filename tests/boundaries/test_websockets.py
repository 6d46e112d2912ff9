"""The library websockets against the table of talks that every websocket client is held to."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import websockets.asyncio.client
import websockets.sync.client
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pytest_fluxrun.boundaries import threading as threading_boundary
from pytest_fluxrun.boundaries import websockets as websockets_boundary
from pytest_fluxrun.testing.boundary import BoundaryContract
from tests.boundaries.websocket_behaviours import Talk, talks
from tests.boundaries.websocket_outside import WebsocketOutside

HAS_PROXY = "proxy" in inspect.signature(websockets.asyncio.client.connect.__init__).parameters
"""Since websockets 15; before, no proxy is ever used."""


def settings(talk: Talk) -> dict[str, Any]:
    """What a connection is opened with."""
    found: dict[str, Any] = {"subprotocols": talk.subprotocols or None, "additional_headers": dict(talk.headers)}
    return found | ({"proxy": None} if HAS_PROXY else {})


def closed(error: ConnectionClosed) -> list[Any]:
    """What the app can learn from a closed connection."""
    parts = [None if close is None else (close.code, close.reason) for close in (error.rcvd, error.sent)]
    return [type(error).__name__, str(error), *parts, error.rcvd_then_sent]


async def take_async(socket: Any, step: tuple[Any, ...]) -> Any:
    """One step of the asyncio client."""
    match step:
        case ("send", message):
            return await socket.send(message)
        case ("receive", *timeout):
            async with asyncio.timeout(*(timeout or [None])):
                return await socket.recv()
        case ("all",):
            return [message async for message in socket]
        case ("ping",):
            return await (await socket.ping()) >= 0
        case ("close", code, reason):
            return await socket.close(code, reason)
    raise AssertionError(step)


async def asyncio_adapter(outside: Any, talk: Talk) -> Any:
    """`websockets.connect`."""
    seen: list[Any] = []
    try:
        for _ in range(talk.again + 1):
            url = f"{getattr(outside, talk.host)}{talk.path}"
            async with websockets.asyncio.client.connect(url, **settings(talk)) as socket:
                seen.append(socket.subprotocol)
                for step in talk.steps:
                    try:
                        seen.append(await take_async(socket, step))
                    except ConnectionClosed as error:
                        seen.append(closed(error))
                    except TimeoutError as error:
                        seen.append([type(error).__name__, str(error)])
            seen += [socket.protocol.state.name, socket.protocol.close_code, socket.protocol.close_reason]
    except InvalidStatus as error:
        return [str(error), error.response.status_code, error.response.body]
    return seen


def take_sync(socket: Any, step: tuple[Any, ...]) -> Any:
    """One step of the sync client."""
    match step:
        case ("send", message):
            return socket.send(message)
        case ("receive", *timeout):
            return socket.recv(*timeout)
        case ("all",):
            return list(socket)
        case ("ping",):
            return socket.ping().wait(5)
        case ("close", code, reason):
            return socket.close(code, reason)
    raise AssertionError(step)


def sync_adapter(outside: Any, talk: Talk) -> Any:
    """`websockets.sync.client.connect`."""
    seen: list[Any] = []
    try:
        for _ in range(talk.again + 1):
            url = f"{getattr(outside, talk.host)}{talk.path}"
            with websockets.sync.client.connect(url, **settings(talk)) as socket:
                seen.append(socket.subprotocol)
                for step in talk.steps:
                    try:
                        seen.append(take_sync(socket, step))
                    except ConnectionClosed as error:
                        seen.append(closed(error))
                    except TimeoutError as error:
                        seen.append([type(error).__name__, str(error)])
            seen += [socket.protocol.state.name, socket.protocol.close_code, socket.protocol.close_reason]
    except InvalidStatus as error:
        return [str(error), error.response.status_code, error.response.body]
    return seen


class WebsocketContract(BoundaryContract):
    """What both clients share."""

    boundary = websockets_boundary.boundary
    unreached = frozenset({"refused", "no-such-host"})

    @pytest.fixture
    def outside(self) -> Iterator[Any]:
        outside = WebsocketOutside()
        yield outside
        outside.take_away()


class TestWebsocketsAsyncio(WebsocketContract):
    """The asyncio client."""

    library, subject = "websockets", "websockets (asyncio)"
    exercises: ClassVar = talks(asyncio_adapter)


class TestWebsocketsSync(WebsocketContract):
    """The sync client."""

    library, subject = "websockets", "websockets (sync)"
    carriers = (threading_boundary.boundary,)
    exercises: ClassVar = talks(sync_adapter)
