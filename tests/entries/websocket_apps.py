"""The websocket behaviours' apps, one per framework. See `websocket_behaviours` for what each route does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from litestar import Litestar
from litestar import WebSocket as LitestarWebSocket
from litestar.exceptions import NotAuthorizedException
from litestar.exceptions import WebSocketDisconnect as LitestarDisconnect
from litestar.handlers import websocket as litestar_websocket
from quart import Quart, abort, websocket
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.entries.web_behaviours import aask


async def ticking(url: str, send: Callable[[str], Awaitable[None]], listen: Callable[[], Awaitable[None]]) -> None:
    """Tick three times beside a listener; the task ends with it."""

    async def tick() -> None:
        for _ in range(3):
            await send(f"tick {await count(url)}")
            await asyncio.sleep(0.02)

    task = asyncio.create_task(tick())
    try:
        await listen()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def count(url: str) -> int:
    return (await aask("GET", f"{url}/count")).json()["n"]


def _starlette_routes(url: str) -> dict[str, Any]:
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                text = await socket.receive_text()
                await socket.send_text(f"{text} {await count(url)}")

    async def binary(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_bytes((await socket.receive_bytes())[::-1])
        await socket.close()

    async def subprotocol(socket: WebSocket) -> None:
        await socket.accept("v2", [(b"x-room", b"blue")])
        await socket.send_text("hello")
        await socket.close()

    async def close(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()
        await count(url)
        await socket.close(4404, "no such room")

    async def refuse(socket: WebSocket) -> None:
        await count(url)
        await socket.close()

    async def fail(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()
        await count(url)
        raise RuntimeError("no rate for EUR") from KeyError("EUR")

    async def push(socket: WebSocket) -> None:
        await socket.accept()

        async def listen() -> None:
            with contextlib.suppress(WebSocketDisconnect):
                while True:
                    await socket.send_text(f"got {await socket.receive_text()}")

        await ticking(url, socket.send_text, listen)

    return {
        "/ws/echo": echo,
        "/ws/binary": binary,
        "/ws/subprotocol": subprotocol,
        "/ws/close": close,
        "/ws/refuse": refuse,
        "/ws/raise": fail,
        "/ws/push": push,
    }


def starlette(url: str) -> Starlette:
    return Starlette(routes=[WebSocketRoute(path, endpoint) for path, endpoint in _starlette_routes(url).items()])


def fastapi(url: str) -> FastAPI:
    app = FastAPI()
    for path, endpoint in _starlette_routes(url).items():
        app.websocket(path)(endpoint)
    return app


def litestar(url: str) -> Litestar:
    @litestar_websocket("/ws/echo")
    async def echo(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        with contextlib.suppress(LitestarDisconnect):
            while True:
                text = await socket.receive_text()
                await socket.send_text(f"{text} {await count(url)}")

    @litestar_websocket("/ws/binary")
    async def binary(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await socket.send_bytes((await socket.receive_bytes())[::-1])
        await socket.close()

    @litestar_websocket("/ws/subprotocol")
    async def subprotocol(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await socket.accept(subprotocols="v2", headers={"x-room": "blue"})
        await socket.send_text("hello")
        await socket.close()

    @litestar_websocket("/ws/close")
    async def close(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await socket.receive_text()
        await count(url)
        await socket.close(4404, "no such room")

    @litestar_websocket("/ws/refuse")
    async def refuse(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await count(url)
        raise NotAuthorizedException("no")

    @litestar_websocket("/ws/raise")
    async def fail(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await socket.receive_text()
        await count(url)
        raise RuntimeError("no rate for EUR") from KeyError("EUR")

    @litestar_websocket("/ws/push")
    async def push(socket: LitestarWebSocket[Any, Any, Any]) -> None:
        await socket.accept()

        async def listen() -> None:
            with contextlib.suppress(LitestarDisconnect):
                while True:
                    await socket.send_text(f"got {await socket.receive_text()}")

        await ticking(url, socket.send_text, listen)

    return Litestar([echo, binary, subprotocol, close, refuse, fail, push], openapi_config=None, logging_config=None)


def quart(url: str) -> Quart:
    app = Quart(__name__)

    @app.websocket("/ws/echo")
    async def echo() -> None:
        while True:
            text = await websocket.receive()
            await websocket.send(f"{text} {await count(url)}")

    @app.websocket("/ws/binary")
    async def binary() -> None:
        data: Any = await websocket.receive()
        await websocket.send(data[::-1])
        await websocket.close(1000)

    @app.websocket("/ws/subprotocol")
    async def subprotocol() -> None:
        await websocket.accept(headers={"x-room": "blue"}, subprotocol="v2")
        await websocket.send("hello")
        await websocket.close(1000)

    @app.websocket("/ws/close")
    async def close() -> None:
        await websocket.receive()
        await count(url)
        await websocket.close(4404, "no such room")

    @app.websocket("/ws/refuse")
    async def refuse() -> None:
        await count(url)
        abort(403)

    @app.websocket("/ws/raise")
    async def fail() -> None:
        await websocket.receive()
        await count(url)
        raise RuntimeError("no rate for EUR") from KeyError("EUR")

    @app.websocket("/ws/push")
    async def push() -> None:
        await websocket.accept()

        async def listen() -> None:
            while True:
                await websocket.send(f"got {await websocket.receive()}")

        await ticking(url, websocket.send, listen)

    return app


def plain(url: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert {"type": "websocket.connect"} == await receive()
        path = scope["path"]
        if path == "/ws/refuse":
            await count(url)
            await send({"type": "websocket.close"})
            return
        accept = {"type": "websocket.accept"}
        if path == "/ws/subprotocol":
            accept |= {"subprotocol": scope["subprotocols"][1], "headers": [(b"x-room", b"blue")]}
            await send(accept)
            await text("hello", send)
            await send({"type": "websocket.close"})
            return
        await send(accept)
        if path == "/ws/push":
            await ticking(url, lambda tick: text(tick, send), lambda: listen(receive, send))
            return
        while (message := await receive())["type"] == "websocket.receive":
            if path == "/ws/binary":
                await send({"type": "websocket.send", "bytes": message["bytes"][::-1]})
                await send({"type": "websocket.close", "code": 1000})
                return
            number = await count(url)
            if path == "/ws/raise":
                raise RuntimeError("no rate for EUR") from KeyError("EUR")
            if path == "/ws/close":
                await send({"type": "websocket.close", "code": 4404, "reason": "no such room"})
                return
            await text(f"{message['text']} {number}", send)

    async def text(value: str, send: Any) -> None:
        await send({"type": "websocket.send", "text": value})

    async def listen(receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            await text(f"got {message['text']}", send)

    return app
