"""aiohttp's websocket client against the table of talks that every websocket client is held to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import aiohttp
import pytest

from pytest_fluxrun.boundaries import aiohttp as aiohttp_boundary
from pytest_fluxrun.boundaries import aiohttp_websocket
from pytest_fluxrun.testing.boundary import BoundaryContract
from tests.boundaries.websocket_behaviours import Talk, talks
from tests.boundaries.websocket_outside import WebsocketOutside


async def take(socket: Any, step: tuple[Any, ...]) -> Any:
    """One step, and what the app sees of it."""
    match step:
        case ("send", str() as text):
            return await socket.send_str(text)
        case ("send", data):
            return await socket.send_bytes(data)
        case ("receive", *timeout):
            message = await socket.receive(*timeout)
            return [message.type.name, message.data, message.extra]
        case ("all",):
            return [message.data async for message in socket]
        case ("ping",):
            return await socket.ping(b"x")
        case ("close", code, reason):
            return await socket.close(code=code, message=reason.encode())
    raise AssertionError(step)


async def adapter(outside: Any, talk: Talk) -> Any:
    """The talk; a refused handshake by its parts, for its arguments hold a key that changes."""
    try:
        return await spoken(outside, talk)
    except aiohttp.WSServerHandshakeError as error:
        return [type(error).__name__, error.status, error.message, error.headers.get("Content-Type")]


async def spoken(outside: Any, talk: Talk) -> Any:
    """A session, and the talk over it."""
    seen: list[Any] = []
    async with aiohttp.ClientSession() as session:
        for _ in range(talk.again + 1):
            url = f"{getattr(outside, talk.host)}{talk.path}"
            async with session.ws_connect(url, protocols=talk.subprotocols, headers=talk.headers) as socket:
                seen.append(socket.protocol)
                for step in talk.steps:
                    try:
                        seen.append(await take(socket, step))
                    except (aiohttp.ClientError, OSError, TimeoutError) as error:
                        seen.append([type(error).__name__, str(error)])
            seen += [socket.closed, socket.close_code, type(socket.exception()).__name__]
    return seen


class TestAiohttpWebsocket(BoundaryContract):
    """Messages over aiohttp."""

    library, subject = "aiohttp", "aiohttp websocket"
    boundary = aiohttp_websocket.boundary
    carriers = (aiohttp_boundary.boundary,)
    unreached = frozenset({"refused", "no-such-host"})
    exercises: ClassVar = talks(adapter)

    @pytest.fixture
    def outside(self) -> Iterator[Any]:
        outside = WebsocketOutside()
        yield outside
        outside.take_away()
