"""aiohttp's client: each hop of a request, from asking for a connection to the end of the answer's body.

aiohttp itself stays live at replay: redirects, retries, cookies, its parser, decompression, time-outs, tracing,
middlewares. What is replaced lies beneath: the connection (no pool, no name is resolved) and the bytes that it gives.
Websockets begin as a hop answered by 101; their messages are in `websocket`.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.aiohttp_client.asked import Asked
from pytest_fluxrun.boundaries.aiohttp_client.errors import Unanswered, complete_error
from pytest_fluxrun.boundaries.aiohttp_client.hops import LiveHop, PlayedHop, Tee
from pytest_fluxrun.boundaries.http.exchange import Exchange, dump_exchange
from pytest_fluxrun.boundaries.http.failures import Failure, failure_of
from pytest_fluxrun.boundaries.http.library import HttpLibrary
from pytest_fluxrun.boundaries.http.stepwise import Stepwise
from pytest_fluxrun.boundary import Call, Patch
from pytest_fluxrun.context import crossing
from pytest_fluxrun.errors import RecordedError
from pytest_fluxrun.values import Value, load_error

__all__ = ["AiohttpBoundary", "boundary"]

_BY_NAME: Final = {
    "ClientConnectorDNSError": Failure.DNS,
    "ClientConnectorCertificateError": Failure.TLS,
    "ClientConnectorSSLError": Failure.TLS,
    "ClientSSLError": Failure.TLS,
    "ServerFingerprintMismatch": Failure.TLS,
    "ClientProxyConnectionError": Failure.PROXY,
    "ClientHttpProxyError": Failure.PROXY,
    "ConnectionTimeoutError": Failure.CONNECT_TIMEOUT,
    "TimeoutError": Failure.CONNECT_TIMEOUT,
    "Unanswered": Failure.READ_TIMEOUT,
    "SocketTimeoutError": Failure.READ_TIMEOUT,
    "ServerTimeoutError": Failure.READ_TIMEOUT,
    "ServerDisconnectedError": Failure.DROPPED,
    "ClientConnectionResetError": Failure.DROPPED,
    "ClientOSError": Failure.DROPPED,
    "ClientPayloadError": Failure.INCOMPLETE,
    "ClientResponseError": Failure.PROTOCOL,
}
_BY_FAILURE: Final = {
    Failure.DNS: ("ClientConnectorDNSError", "ClientConnectorError"),
    Failure.REFUSED: ("ClientConnectorError",),
    Failure.UNREACHABLE: ("ClientConnectorError",),
    Failure.TLS: ("ClientConnectorSSLError",),
    Failure.PROXY: ("ClientProxyConnectionError",),
    Failure.WRITE_TIMEOUT: ("SocketTimeoutError", "ServerTimeoutError"),
    Failure.READ_TIMEOUT: ("SocketTimeoutError", "ServerTimeoutError"),
    Failure.DROPPED: ("ServerDisconnectedError",),
    Failure.INCOMPLETE: ("ClientPayloadError",),
    Failure.PROTOCOL: ("ClientResponseError",),
}
"""The first that this aiohttp has."""
_OS_ERRORS: Final = {Failure.REFUSED: ConnectionRefusedError, Failure.TLS: ssl.SSLError}
_WHILE_ANSWERING: Final = frozenset(
    {
        "ClientConnectionError",
        "ClientConnectionResetError",
        "ClientOSError",
        "ClientPayloadError",
        "ClientResponseError",
        "ServerDisconnectedError",
        "ServerTimeoutError",
        "SocketTimeoutError",
    }
)
"""Errors of a connection that was there: they come when the app waits for the answer, not when it connects."""


class AiohttpBoundary(HttpLibrary):
    """`aiohttp.ClientSession` over any connector of aiohttp's."""

    name: ClassVar[str] = "aiohttp"
    modules = ("aiohttp",)
    packages = frozenset({"aiohttp"})

    def patches(self, module: Any) -> Iterable[Patch]:
        """Connecting, sending, waiting for the head; and what the connection and the body's stream say between."""
        reqrep = module.client_reqrep
        yield Patch(module.connector.BaseConnector, "connect", functools.partial(self._wrap_connect, module))
        yield Patch(reqrep.ClientRequest, "send", _wrap_send)
        yield Patch(reqrep.ClientRequest, "write_bytes", _wrap_write_bytes)
        yield Patch(reqrep.ClientResponse, "start", _wrap_start)
        yield Patch(module.client_proto.ResponseHandler, "data_received", _wrap_data_received)
        yield Patch(module.streams.StreamReader, "_wait", _wrap_wait)
        yield Patch(module.streams.StreamReader, "set_exception", _wrap_set_exception)

    def dump(self, result: Exchange) -> Value:
        """Head and chunks, taken out of their framing."""
        if not isinstance(result, Tee) or result.end == "over-bound":
            return dump_exchange(result, self.dump_error)
        return dump_exchange(result.plain(), self.dump_error)

    def failure(self, error: BaseException) -> Failure | None:
        """By the class, and for a failed connect by what lies beneath it."""
        name = type(error).__name__
        if name in ("ClientConnectorError", "UnixClientConnectorError"):
            return failure_of(error, connecting=True) or Failure.UNREACHABLE
        return _BY_NAME.get(name)

    def raised_for(self, failure: Failure, message: str) -> BaseException:
        """The class of aiohttp for the failure, with the text that was recorded; `completed` gives it its request."""
        if failure in (Failure.CONNECT_TIMEOUT, Failure.POOL_TIMEOUT):
            return TimeoutError()  # of which aiohttp makes its own, with the host's name
        library = import_module("aiohttp")
        names = _BY_FAILURE[failure]
        if failure is Failure.TLS and "certificate verify failed" in message.lower():
            names = ("ClientConnectorCertificateError",)
        kind = next(found for name in names if (found := getattr(library, name, None)) is not None)
        if issubclass(kind, library.ClientConnectorError):
            error: BaseException = kind(None, _OS_ERRORS.get(failure, OSError)(1, message))
        elif issubclass(kind, library.ClientResponseError):
            error = kind(None, (), status=400, message=message)
        else:
            error = kind(message)
        return error

    def load_error(self, value: Value, call: Call | None = None) -> BaseException:
        """The recorded error, or this library's own for the same failure."""
        kind = str(value.get("type"))
        if value.get("failure") == Failure.CONNECT_TIMEOUT and kind.endswith(":TimeoutError"):
            return load_error(value)
        if value.get("failure") == Failure.READ_TIMEOUT and not kind.startswith("aiohttp."):
            return Unanswered()
        error = super().load_error(value, call)
        if isinstance(error, RecordedError) and "failure" in value:  # a class of another aiohttp than this
            return self.raised_for(Failure(value["failure"]), str(value.get("message", "")))
        return error

    def body_error(self, value: Value) -> BaseException:
        """The recorded error of a body: to aiohttp, a connection lost in it is an incomplete body."""
        if value.get("failure") == Failure.DROPPED:
            value = {**value, "failure": Failure.INCOMPLETE.value}
        return self.load_error(value)

    def _wrap_connect(self, module: Any, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def connect(connector: Any, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - aiohttp's
            session = crossing()
            if session is None:
                return await original(connector, req, traces, timeout)
            asked = Asked(req)
            call = Call(request=asked.form, prepare=asked.prepare if asked.streamed else None)
            step: Stepwise[Exchange] = Stepwise(session, self, call)
            try:
                await step.begin()
            except Exception as error:
                if isinstance(error, Unanswered):
                    connection, hop = self._played(module, connector, req, asked)
                    if not (timeout.total or timeout.sock_read):  # nothing of the app's would end the wait
                        hop.fail(self.raised_for(Failure.READ_TIMEOUT, ""))
                    return connection
                complete_error(error, req)
                if type(error).__name__ not in _WHILE_ANSWERING:
                    raise
                connection, hop = self._played(module, connector, req, asked)
                hop.fail(error)
                return connection
            if not step.live:
                connection, hop = self._played(module, connector, req, asked)
                hop.answer(step.answer)
                return connection
            try:
                connection = await original(connector, req, traces, timeout)
            except BaseException as error:
                asked.settle()
                over = isinstance(error, asyncio.CancelledError) and getattr(req._timer, "_cancelled", False)  # noqa: SLF001
                step.fail(Unanswered() if over else error)
                raise
            connection._fluxrun = LiveHop(step, asked, session, connection)  # noqa: SLF001 - found by the next seams
            return connection

        return connect

    def _played(self, module: Any, connector: Any, req: Any, asked: Asked) -> tuple[Any, PlayedHop]:
        """A connection of aiohttp's own kind, over no network."""
        protocol = module.client_proto.ResponseHandler(loop=asyncio.get_running_loop())
        hop = PlayedHop(self, self.body_error, asked, crossing(), protocol)
        connection = module.connector.Connection(connector, req.connection_key, protocol, asyncio.get_running_loop())
        connection._fluxrun = hop  # noqa: SLF001 - found by the next seams
        return connection, hop


def _wrap_send(original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def send(request: Any, conn: Any) -> Any:
        hop = getattr(conn, "_fluxrun", None)
        if hop is None:
            return await original(request, conn)
        try:
            response = await original(request, conn)
        except BaseException as error:
            hop.failed(error)
            raise
        hop.sent()
        return response

    return send


def _wrap_write_bytes(original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def write_bytes(request: Any, writer: Any, conn: Any, *rest: Any) -> None:
        hop = getattr(conn, "_fluxrun", None)
        if hop is None:
            await original(request, writer, conn, *rest)
        else:
            await hop.written(original, request, writer, conn, *rest)

    return write_bytes


def _wrap_start(original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def start(response: Any, connection: Any) -> Any:
        hop = getattr(connection, "_fluxrun", None)
        if hop is None:
            return await original(response, connection)
        try:
            await hop.starting(response)
            started = await original(response, connection)
        except BaseException as error:
            hop.failed(error)
            raise
        hop.answered(response)
        return started

    return start


def _wrap_data_received(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def data_received(protocol: Any, data: bytes) -> None:
        watch = getattr(protocol, "_fluxrun", None)
        if watch is not None:
            watch.received(data)
        original(protocol, data)

    return data_received


def _wrap_wait(original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def _wait(stream: Any, *args: Any) -> None:
        watch = getattr(stream._protocol, "_fluxrun", None)  # noqa: SLF001 - the protocol of its connection
        if watch is None:
            await original(stream, *args)
            return
        await watch.waited_for()
        try:
            await original(stream, *args)
        except (asyncio.CancelledError, TimeoutError) as error:
            if type(error) in (asyncio.CancelledError, TimeoutError):  # its subclasses are the body's own failures
                watch.gave_up(error)
            raise

    return _wait


def _wrap_set_exception(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def set_exception(stream: Any, exc: Any, *cause: Any) -> None:
        watch = getattr(stream._protocol, "_fluxrun", None)  # noqa: SLF001 - the protocol of its connection
        if watch is not None:
            watch.body_failed(exc() if isinstance(exc, type) else exc)
        original(stream, exc, *cause)

    return set_exception


boundary = AiohttpBoundary()
