"""The asyncio client of the library websockets: opening a connection, and what passes over it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from importlib import import_module
from typing import Any

from pytest_fluxrun.boundaries.http.exchange import Exchange
from pytest_fluxrun.boundaries.http.push import SilentTransport
from pytest_fluxrun.boundaries.http.stepwise import Stepwise
from pytest_fluxrun.boundaries.websocket.channel import Arrived, Channel, WebsocketLibrary, websocket_url
from pytest_fluxrun.boundaries.websockets_client.closing import closed_of, feed_close
from pytest_fluxrun.boundaries.websockets_client.handshake import HANDSHAKES, Asked, exchange_of, wire_of
from pytest_fluxrun.boundaries.websockets_client.messages import (
    Opened,
    Raised,
    Sent,
    arrived_of,
    closing_text,
    decoded,
    last_ping,
    opened_of,
)
from pytest_fluxrun.boundary import Call, Patch
from pytest_fluxrun.context import crossing, entered

__all__ = ["AsyncioClient"]


class AsyncioClient:
    """The seams of `websockets.asyncio.client`."""

    def __init__(self, library: WebsocketLibrary) -> None:
        self._library = library

    def patches(self, module: Any) -> Iterable[Patch]:
        """Opening, and what passes over an open connection."""
        opening = "open_tcp_connection" if hasattr(module.connect, "open_tcp_connection") else "create_connection"
        yield Patch(module.connect, opening, self._wrap_open)
        connection = module.ClientConnection
        yield Patch(connection, "handshake", self._wrap_handshake)
        yield Patch(connection, "recv", self._wrap_recv)
        yield Patch(connection, "recv_streaming", self._wrap_recv_streaming)
        yield Patch(connection, "send", self._wrap_send)
        yield Patch(connection, "close", self._wrap_close)
        yield Patch(connection, "wait_closed", self._wrap_wait_closed)
        yield Patch(connection, "ping", self._wrap_ping)
        yield Patch(connection, "keepalive", _wrap_keepalive)

    def _wrap_open(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def open_connection(opening: Any) -> Any:
            session = crossing()
            if session is None:
                return await original(opening)
            asked = Asked(opening.uri, _headers_of(opening))
            step: Stepwise[Exchange] = Stepwise(session, HANDSHAKES, Call(asked.form))
            await step.begin()
            if step.live:
                try:
                    connection = await original(opening)
                except BaseException as error:
                    step.fail(error)
                    raise
                opened = Opened(Channel(self._library, websocket_url(opening.uri), None), played=False)
                opened.step, opened.asked = step, asked
                connection._fluxrun = opened  # noqa: SLF001 - found by the other seams
                return connection
            connection = _played_connection(opening)
            opened = Opened(Channel(self._library, websocket_url(opening.uri), step.answer.connection), played=True)
            opened.exchange = step.answer
            connection._fluxrun = opened  # noqa: SLF001 - found by the other seams
            return connection

        return open_connection

    def _wrap_handshake(self, original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def handshake(connection: Any, *args: Any, **kwargs: Any) -> None:
            opened: Opened | None = getattr(connection, "_fluxrun", None)
            if opened is None:
                await original(connection, *args, **kwargs)
            elif opened.exchange is not None:
                exchange, opened.exchange = opened.exchange, None
                asyncio.get_running_loop().call_soon(_answer_handshake, connection, exchange)
                await original(connection, *args, **kwargs)
            else:
                await _live_handshake(opened, original, connection, *args, **kwargs)

        return handshake

    def _wrap_recv(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def recv(connection: Any, decode: Any = None) -> Any:
            session = crossing()
            if session is None:
                return await original(connection, decode)
            opened, raised = opened_of(self._library, connection), Raised()

            async def live() -> Arrived:
                try:
                    return arrived_of(await original(connection, decode))
                except Exception as error:
                    return raised.closing(connection, error)

            arrived = await opened.channel.areceive(session, live)
            opened.over = arrived.closed is not None
            raised.again()
            if arrived.closed is not None:
                feed_close(connection, arrived.closed)
                return await original(connection, decode)
            return decoded(arrived.payload, decode)

        return recv

    def _wrap_recv_streaming(self, original: Callable[..., AsyncIterator[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def recv_streaming(connection: Any, decode: Any = None) -> AsyncIterator[Any]:
            session = crossing()
            fragments = original(connection, decode)
            if session is None:
                async for fragment in fragments:
                    yield fragment
                return
            opened, raised = opened_of(self._library, connection), Raised()

            async def live() -> Arrived:
                try:
                    return arrived_of(await anext(fragments))
                except StopAsyncIteration:
                    return Arrived("whole")
                except Exception as error:
                    return raised.closing(connection, error)

            while True:
                arrived = await opened.channel.areceive(session, live, control="fragment")
                opened.over = arrived.closed is not None
                raised.again()
                if arrived.closed is not None:
                    feed_close(connection, arrived.closed)
                    await original(connection, decode).__anext__()
                if arrived.what == "whole":
                    return
                yield decoded(arrived.payload, decode)

        return recv_streaming

    def _wrap_send(self, original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def send(connection: Any, message: Any, text: Any = None, **kwargs: Any) -> None:
            session = crossing()
            if text is not None:  # older versions have none
                kwargs["text"] = text
            if session is None:
                await original(connection, message, **kwargs)
                return
            opened, sent, raised = opened_of(self._library, connection), Sent(message, text), Raised()

            async def live() -> Arrived | None:
                try:
                    await original(connection, sent.passing(), **kwargs)
                except Exception as error:
                    return raised.closing(connection, error)
                return None

            arrived = await opened.channel.asend(
                session, sent.payload, live, prepare=None if sent.whole else sent.prepare
            )
            opened.over = arrived is not None and arrived.closed is not None
            raised.again()
            if arrived is not None and arrived.closed is not None:
                feed_close(connection, arrived.closed)
                await original(connection, message, **kwargs)

        return send

    def _wrap_close(self, original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def close(connection: Any, code: int = 1000, reason: str = "") -> None:
            session = crossing()
            opened = opened_of(self._library, connection)
            if session is None or opened.over:
                await original(connection, code, reason)
                return

            async def live() -> Arrived:
                await original(connection, code, reason)
                return Arrived("over", closed=closed_of(connection))

            call = Call(opened.channel.form("send", closing_text(code, reason), control="close"))
            arrived = await session.acall(self._library, call, live)
            opened.over = True
            if opened.played:
                if arrived.closed.peer_first:
                    feed_close(connection, arrived.closed)
                else:
                    asyncio.get_running_loop().call_soon(feed_close, connection, arrived.closed)
                await original(connection, code, reason)

        return close

    def _wrap_wait_closed(self, original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def wait_closed(connection: Any) -> None:
            session = crossing()
            opened = opened_of(self._library, connection)
            if session is None or opened.over:
                await original(connection)
                return

            async def live() -> Arrived:
                await original(connection)
                return Arrived("over", closed=closed_of(connection))

            call = Call(opened.channel.form("receive", control="wait closed"))
            arrived = await session.acall(self._library, call, live)
            opened.over = True
            if opened.played:
                feed_close(connection, arrived.closed)
                await original(connection)

        return wait_closed

    def _wrap_ping(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def ping(connection: Any, data: Any = None) -> Any:
            session = crossing()
            if session is None:
                return await original(connection, data)
            opened = opened_of(self._library, connection)
            waiters: list[Any] = []

            async def live() -> Arrived:
                waiters.append(await original(connection, data))
                arrived = Arrived("pong")
                waiters[0].add_done_callback(functools.partial(_keep_latency, arrived))
                return arrived

            call = Call(opened.channel.form("send", control="ping"))
            arrived = await session.acall(self._library, call, live)
            if waiters:
                return waiters[0]
            waiter = await original(connection, data)
            if arrived.extra is not None:
                pinged = last_ping(connection)
                asyncio.get_running_loop().call_later(arrived.extra, connection.acknowledge_pings, pinged)
            return waiter

        return ping


async def _live_handshake(
    opened: Opened, original: Callable[..., Awaitable[None]], connection: Any, *args: Any, **kwargs: Any
) -> None:
    step, asked = opened.step, opened.asked
    assert step is not None
    assert asked is not None
    session = step.session
    try:
        await original(connection, *args, **kwargs)
    except BaseException as error:
        asked.request = connection.request
        if isinstance(error, Exception) and connection.response is not None:
            step.succeed(exchange_of(connection.response, session))
        else:
            step.fail(error)
        raise
    asked.request = connection.request
    exchange = exchange_of(connection.response, session)
    opened.channel.number = exchange.connection
    step.succeed(exchange)


def _headers_of(opening: Any) -> Any:
    """The headers that the app adds; older versions keep them among the handshake's arguments."""
    found = getattr(opening, "additional_headers", None)
    return found if found is not None else next(iter(getattr(opening, "handshake_args", ())), None)


def _played_connection(opening: Any) -> Any:
    """A connection as the library would make it, over no network."""
    if hasattr(opening, "factory"):
        connection = opening.factory(opening.ws_uri)
    else:
        parse_uri = import_module("websockets.uri").parse_uri
        connection = opening.protocol_factory(parse_uri(opening.uri))
    connection.ping_interval = None  # nobody answers keep-alive pings; what they led to is recorded

    def lost() -> None:
        if not connection.connection_lost_waiter.done():
            connection.loop.call_soon(_lose, connection)

    connection.connection_made(SilentTransport(lambda _: None, lost))
    return connection


def _lose(connection: Any) -> None:
    if not connection.connection_lost_waiter.done():
        connection.connection_lost(None)


def _answer_handshake(connection: Any, exchange: Exchange) -> None:
    """What the server said, once the request is out."""
    connection.data_received(wire_of(exchange, connection.request.headers["Sec-WebSocket-Key"]))
    if connection.response is None:  # a body that ends with the connection
        connection.eof_received()


def _keep_latency(arrived: Arrived, waiter: asyncio.Future[float]) -> None:
    if not waiter.cancelled() and waiter.exception() is None:
        arrived.extra = waiter.result()


def _wrap_keepalive(original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def keepalive(connection: Any) -> None:
        with entered(None):  # its pings are the library's, not the run's
            await original(connection)

    return keepalive
