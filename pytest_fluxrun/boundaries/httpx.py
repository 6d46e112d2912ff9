"""httpx: every request that reaches one of its two network transports, with its streams in both directions.

Other transports (ASGI, WSGI, mock) reach no outside and aren't crossings. httpx2 is a second instance of this boundary.
A request body that was never sent whole (a generator, and the connection refused) is recorded as far as it was read.
"""

from __future__ import annotations

import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from importlib import import_module
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.http.exchange import Exchange, text_or_bytes
from pytest_fluxrun.boundaries.http.failures import Failure, failure_of
from pytest_fluxrun.boundaries.http.library import HttpLibrary
from pytest_fluxrun.boundaries.http.playback import AsyncPlayback, SyncPlayback
from pytest_fluxrun.boundary import Call, Patch
from pytest_fluxrun.context import crossing, virtual_clock
from pytest_fluxrun.values import Value

__all__ = ["HttpxBoundary", "boundary"]

_EXTENSIONS: Final = ("http_version", "reason_phrase")
_BY_NAME: Final = {
    "ConnectError": Failure.UNREACHABLE,
    "ConnectTimeout": Failure.CONNECT_TIMEOUT,
    "PoolTimeout": Failure.POOL_TIMEOUT,
    "ReadTimeout": Failure.READ_TIMEOUT,
    "WriteTimeout": Failure.WRITE_TIMEOUT,
    "ReadError": Failure.DROPPED,
    "WriteError": Failure.DROPPED,
    "ProxyError": Failure.PROXY,
    "LocalProtocolError": Failure.PROTOCOL,
}
_BY_FAILURE: Final = {
    Failure.DNS: "ConnectError",
    Failure.REFUSED: "ConnectError",
    Failure.UNREACHABLE: "ConnectError",
    Failure.TLS: "ConnectError",
    Failure.PROXY: "ProxyError",
    Failure.CONNECT_TIMEOUT: "ConnectTimeout",
    Failure.POOL_TIMEOUT: "PoolTimeout",
    Failure.WRITE_TIMEOUT: "WriteTimeout",
    Failure.READ_TIMEOUT: "ReadTimeout",
    Failure.DROPPED: "RemoteProtocolError",
    Failure.INCOMPLETE: "RemoteProtocolError",
    Failure.PROTOCOL: "RemoteProtocolError",
}


class _Asked:
    """A request as it was sent: references to what can't change, and the chunks of a streamed body as they pass."""

    __slots__ = ("chunks", "content", "headers", "method", "stream", "url")

    def __init__(self, request: Any) -> None:
        self.method: str = request.method
        self.url = request.url
        self.headers: list[tuple[bytes, bytes]] = request.headers.raw
        self.content: bytes | None = getattr(request, "_content", None)
        self.chunks: list[bytes] = []
        self.stream = None if self.content is not None else request.stream

    def form(self) -> dict[str, Any]:
        """The request in the form of the kind http. Reads a sync body that nothing has sent."""
        if self.stream is not None:
            stream, self.stream = self.stream, None
            with contextlib.suppress(
                Exception
            ):  # a body that fails failed when it was recorded: the answer is its error
                for chunk in stream:
                    self.chunks.append(chunk)
        url = self.url.copy_with(userinfo=b"") if self.url.userinfo else self.url
        return {
            "method": self.method,
            "url": str(url),
            "headers": [[name.decode("latin-1").lower(), value.decode("latin-1")] for name, value in self.headers],
            "body": text_or_bytes(self.content if self.content is not None else b"".join(self.chunks)),
            "streamed": self.content is None,
        }

    async def prepare(self) -> None:
        """Read an async body that nothing has sent."""
        if self.stream is not None and hasattr(self.stream, "__aiter__"):
            stream, self.stream = self.stream, None
            with contextlib.suppress(Exception):  # as in `form`
                async for chunk in stream:
                    self.chunks.append(chunk)


# -- streams: each becomes a class of the library's own kind in `_Streams`


class _BodyTee:
    """A request's body on its way out, copied chunk by chunk into `chunks`."""

    def __init__(self, inner: Any, chunks: list[bytes]) -> None:
        self._inner = inner
        self._chunks = chunks


class _SyncBodyTee(_BodyTee):
    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            self._chunks.append(chunk)
            yield chunk


class _AsyncBodyTee(_BodyTee):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            self._chunks.append(chunk)
            yield chunk


class _AnswerTee:
    """A response's body on its way in, copied into its exchange."""

    def __init__(self, inner: Any, exchange: Exchange) -> None:
        self._inner = inner
        self._exchange = exchange


class _SyncAnswerTee(_AnswerTee):
    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._inner:
                self._exchange.add(chunk)
                yield chunk
        except BaseException as raised:
            self._exchange.broke_off(raised)
            raise
        self._exchange.finish("eof")

    def close(self) -> None:
        self._inner.close()


class _AsyncAnswerTee(_AnswerTee):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                self._exchange.add(chunk)
                yield chunk
        except BaseException as raised:
            self._exchange.broke_off(raised)
            raise
        self._exchange.finish("eof")

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Streams:
    """The stream classes above as subclasses of one library's own, which its transports and responses insist on."""

    def __init__(self, module: Any) -> None:
        def as_sync(cls: type) -> Any:
            return type(cls.__name__, (cls, module.SyncByteStream), {})

        def as_async(cls: type) -> Any:
            return type(cls.__name__, (cls, module.AsyncByteStream), {})

        self.response = module.Response
        self.sync = (as_sync(_SyncBodyTee), as_sync(_SyncAnswerTee), as_sync(SyncPlayback))
        self.asynchronous = (as_async(_AsyncBodyTee), as_async(_AsyncAnswerTee), as_async(AsyncPlayback))


class HttpxBoundary(HttpLibrary):
    """The network transports of httpx."""

    name: ClassVar[str] = "httpx"
    modules = ("httpx",)
    packages = frozenset({"httpx", "httpcore"})

    def patches(self, module: Any) -> Iterable[Patch]:
        """The two transports, and the TLS context that a transport makes although a replay never uses it."""
        streams = _Streams(module)
        yield Patch(module.HTTPTransport, "handle_request", functools.partial(self._wrap_sync, streams))
        yield Patch(module.AsyncHTTPTransport, "handle_async_request", functools.partial(self._wrap_async, streams))
        yield Patch(module._transports.default, "create_ssl_context", _wrap_create_ssl_context)  # noqa: SLF001

    def failure(self, error: BaseException) -> Failure | None:
        """By the class, and for a failed connect by what lies beneath it."""
        name = type(error).__name__
        if name in ("ConnectError", "ReadError", "WriteError"):
            return failure_of(error, connecting=name == "ConnectError") or _BY_NAME[name]
        if name == "RemoteProtocolError":
            return Failure.INCOMPLETE if "without sending complete" in str(error) else Failure.DROPPED
        return _BY_NAME.get(name)

    def raised_for(self, failure: Failure, message: str) -> BaseException:
        """The class of httpx for the failure, with the text that was recorded."""
        error: BaseException = getattr(import_module(self.modules[0]), _BY_FAILURE[failure])(message)
        return error

    def load_error(self, value: Value, call: Call | None = None) -> BaseException:
        """The transport's error, to which the client adds the request as it does live."""
        return _without_request(super().load_error(value, call))

    def _wrap_sync(self, streams: _Streams, original: Callable[..., Any]) -> Callable[..., Any]:
        body_tee, answer_tee, played = streams.sync

        @functools.wraps(original)
        def handle_request(transport: Any, request: Any) -> Any:
            session = crossing()
            if session is None:
                return original(transport, request)
            asked = _Asked(request)

            def live() -> Exchange:
                stream, asked.stream = asked.stream, None
                if stream is None:
                    return _exchange_of(original(transport, request))
                request.stream = body_tee(stream, asked.chunks)
                try:
                    return _exchange_of(original(transport, request))
                except Exception:
                    _complete_multipart(stream, asked)
                    raise
                finally:
                    request.stream = stream

            exchange = session.call(self, Call(request=asked.form), live)
            if exchange.response is None:
                return self._respond(streams, played, exchange, asked, session)
            response = exchange.begin()
            response.stream = answer_tee(response.stream, exchange)
            return response

        return handle_request

    def _wrap_async(self, streams: _Streams, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        body_tee, answer_tee, played = streams.asynchronous

        @functools.wraps(original)
        async def handle_async_request(transport: Any, request: Any) -> Any:
            session = crossing()
            if session is None:
                return await original(transport, request)
            asked = _Asked(request)

            async def live() -> Exchange:
                stream, asked.stream = asked.stream, None
                if stream is None:
                    return _exchange_of(await original(transport, request))
                request.stream = body_tee(stream, asked.chunks)
                try:
                    return _exchange_of(await original(transport, request))
                except Exception:
                    _complete_multipart(stream, asked)
                    raise
                finally:
                    request.stream = stream

            call = Call(request=asked.form, prepare=None if asked.stream is None else asked.prepare)
            exchange = await session.acall(self, call, live)
            if exchange.response is None:
                return self._respond(streams, played, exchange, asked, session)
            response = exchange.begin()
            response.stream = answer_tee(response.stream, exchange)
            return response

        return handle_async_request

    def _respond(self, streams: _Streams, played: Any, exchange: Exchange, asked: _Asked, session: Any) -> Any:
        """The recorded response, as the transport would have given it."""
        return streams.response(
            status_code=exchange.status,
            headers=exchange.headers,
            stream=played(
                exchange,
                virtual_clock(),
                reading_on=ReadingOn(self, session, asked.form),
                failure=lambda failed: self.load_error(failed.error),
            ),
            extensions=_extensions_of(exchange),
        )


def _exchange_of(response: Any) -> Exchange:
    """The exchange of a live response, which it holds until the seam takes it."""
    version, reason = (response.extensions.get(name) for name in _EXTENSIONS)
    return Exchange(
        response.status_code,
        response.headers.raw,
        http_version=version.decode("latin-1") if isinstance(version, bytes) else None,
        reason=reason.decode("latin-1") if isinstance(reason, bytes) else None,
        response=response,
    )


def _extensions_of(exchange: Exchange) -> dict[str, bytes]:
    found = zip(_EXTENSIONS, (exchange.http_version, exchange.reason), strict=True)
    return {name: text.encode("latin-1") for name, text in found if text is not None}


def _complete_multipart(stream: Any, asked: _Asked) -> None:
    """Render a multipart body anew where the call failed before it was sent: its parts can be read again."""
    if type(stream).__name__ == "MultipartStream":
        asked.chunks[:] = list(stream)


def _without_request(error: BaseException) -> BaseException:
    """A transport's error has no request yet: httpx's client sets it, as it does live."""
    if isinstance(getattr(type(error), "request", None), property):
        error._request = None  # type: ignore[attr-defined]  # noqa: SLF001 - what RequestError.__init__ sets
    return error


def _wrap_create_ssl_context(original: Callable[..., ssl.SSLContext]) -> Callable[..., ssl.SSLContext]:
    """Loading the CA bundle costs 22 to 26 ms a client; where time is virtual, no connection is made with it."""

    @functools.wraps(original)
    def create_ssl_context(*args: Any, **kwargs: Any) -> ssl.SSLContext:
        if virtual_clock() is None:
            return original(*args, **kwargs)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    return create_ssl_context


boundary = HttpxBoundary()
