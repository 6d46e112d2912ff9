"""httpx: every request that reaches one of its two network transports, with its streams in both directions.

Other transports (ASGI, WSGI, mock) reach no outside and aren't crossings. httpx2 is a second instance of this boundary.
A request body that was never sent whole (a generator, and the connection refused) is recorded as far as it was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, ClassVar, Final

from pytest_fluxrun import ambient
from pytest_fluxrun.boundary import Boundary, Call, Patch
from pytest_fluxrun.context import Clock, crossing, virtual_clock
from pytest_fluxrun.errors import DamagedBundle, UnrecordedCall
from pytest_fluxrun.kinds.http import HTTP
from pytest_fluxrun.values import Value, decode, encode, encode_or_opaque, load_error

__all__ = ["Exchange", "HttpxBoundary", "boundary"]

_AT_ONCE_NS: Final = 20_000_000
_IN_ONE_PIECE_NS: Final = 250_000_000
"""A body that is whole so soon after its head belongs to the call; a slower one is a stream."""
_MAX_BODY_BYTES: Final = 32 * 1024 * 1024
_EXTENSIONS: Final = ("http_version", "reason_phrase")


class Exchange:
    """An answer: its head, and its body as far as the app reads it. Filled by the tee while the app reads.

    Attributes:
        headers: raw pairs, bytes, in the order of the wire.
        times_ns: per chunk, nanoseconds from the head to the chunk; `ended_ns` likewise for the end.
        end: `eof`, `error` (then `error` holds it), `cancelled` while the app waited for more, `over-bound`, or
            `abandoned`: the app read no further.
        response: the live response until the seam hands it to the app; None at replay.
    """

    __slots__ = (
        "chunks",
        "end",
        "ended_ns",
        "error",
        "extensions",
        "head_ns",
        "headers",
        "response",
        "size_bytes",
        "status",
        "times_ns",
    )

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], extensions: dict[str, bytes]) -> None:
        self.status = status
        self.headers = headers
        self.extensions = extensions
        self.chunks: list[bytes] = []
        self.times_ns: list[int] = []
        self.size_bytes = 0
        self.head_ns = ambient.monotonic_ns()
        self.end = "abandoned"
        self.ended_ns = 0
        self.error: Value | BaseException = None
        self.response: Any = None

    @classmethod
    def of(cls, response: Any) -> Exchange:
        """The exchange of a live response, which it holds until the seam takes it."""
        extensions = response.extensions
        kept = {name: extensions[name] for name in _EXTENSIONS if isinstance(extensions.get(name), bytes)}
        exchange = cls(response.status_code, response.headers.raw, kept)
        exchange.response = response
        return exchange

    def header_names(self) -> Iterator[str]:
        """The headers' names, as sent."""
        return (name.decode("latin-1") for name, _ in self.headers)

    def add(self, chunk: bytes) -> None:
        """The app is about to get a chunk."""
        self.size_bytes += len(chunk)
        if self.size_bytes > _MAX_BODY_BYTES:
            self.chunks, self.times_ns, self.end = [], [], "over-bound"
            return
        self.chunks.append(chunk)
        self.times_ns.append(ambient.monotonic_ns() - self.head_ns)

    def finish(self, end: str, error: BaseException | None = None) -> None:
        """The body is over, or failed."""
        if self.end != "over-bound":
            self.end, self.error, self.ended_ns = end, error, ambient.monotonic_ns() - self.head_ns


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
            "body": _body(self.content if self.content is not None else b"".join(self.chunks)),
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
        except Exception as error:
            self._exchange.finish("error", error)
            raise
        except GeneratorExit:
            raise
        except BaseException:
            self._exchange.finish("cancelled")
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
        except Exception as error:
            self._exchange.finish("error", error)
            raise
        except GeneratorExit:
            raise
        except BaseException:
            self._exchange.finish("cancelled")
            raise
        self._exchange.finish("eof")

    async def aclose(self) -> None:
        await self._inner.aclose()


def _settled_ns(end: str, ended_ns: int, chunks: int, header_names: Iterable[str]) -> int:
    """How long a whole body took, if it came at once; 0 for a stream: in pieces, and of a length not known before."""
    if end != "eof":
        return 0
    sized = any(name.lower() == "content-length" for name in header_names)
    limit_ns = _IN_ONE_PIECE_NS if chunks <= 1 else _AT_ONCE_NS if sized else 0
    return ended_ns if 0 < ended_ns <= limit_ns else 0


class _Played:
    """A recorded body: each chunk not before its time, then the recorded end.

    Args:
        read_on: raises what reading beyond the recorded part of an abandoned body raises; given the number of chunks.
    """

    def __init__(self, exchange: Exchange, clock: Clock | None, read_on: Callable[[int], None]) -> None:
        self._exchange = exchange
        self._clock = clock
        self._read_on = read_on
        self._start_ns = (
            0
            if clock is None
            else clock.now_ns()
            - _settled_ns(exchange.end, exchange.ended_ns, len(exchange.chunks), exchange.header_names())
        )

    def _wait_s(self, offset_ns: int) -> float:
        """Seconds from now to a recorded offset on the run's virtual clock; without one nothing waits."""
        if self._clock is None or self._clock.over:
            return 0.0
        return max(0, self._start_ns + offset_ns - self._clock.now_ns()) / 1e9

    def _end(self) -> None:
        exchange = self._exchange
        if exchange.end == "error":
            raise _without_request(load_error(exchange.error))
        if exchange.end != "eof":
            self._read_on(len(exchange.chunks))


class _SyncPlayed(_Played):
    def __iter__(self) -> Iterator[bytes]:
        for chunk, offset_ns in zip(self._exchange.chunks, self._exchange.times_ns, strict=True):
            self._sleep(self._wait_s(offset_ns))
            yield chunk
        self._sleep(self._wait_s(self._exchange.ended_ns))
        self._end()

    def _sleep(self, seconds: float) -> None:
        if seconds and self._clock is not None:
            self._clock.sleep(seconds)


class _AsyncPlayed(_Played):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk, offset_ns in zip(self._exchange.chunks, self._exchange.times_ns, strict=True):
            if seconds := self._wait_s(offset_ns):
                await asyncio.sleep(seconds)
            yield chunk
        if seconds := self._wait_s(self._exchange.ended_ns):
            await asyncio.sleep(seconds)
        if self._exchange.end == "cancelled":
            await asyncio.get_running_loop().create_future()
        self._end()


class _Streams:
    """The stream classes above as subclasses of one library's own, which its transports and responses insist on."""

    def __init__(self, module: Any) -> None:
        def as_sync(cls: type) -> Any:
            return type(cls.__name__, (cls, module.SyncByteStream), {})

        def as_async(cls: type) -> Any:
            return type(cls.__name__, (cls, module.AsyncByteStream), {})

        self.response = module.Response
        self.sync = (as_sync(_SyncBodyTee), as_sync(_SyncAnswerTee), as_sync(_SyncPlayed))
        self.asynchronous = (as_async(_AsyncBodyTee), as_async(_AsyncAnswerTee), as_async(_AsyncPlayed))


class HttpxBoundary(Boundary[Exchange]):
    """The network transports of httpx."""

    name: ClassVar[str] = "httpx"
    modules = ("httpx",)
    kind = HTTP

    def patches(self, module: Any) -> Iterable[Patch]:
        """The two transports, and the TLS context that a transport makes although a replay never uses it."""
        streams = _Streams(module)
        yield Patch(module.HTTPTransport, "handle_request", functools.partial(self._wrap_sync, streams))
        yield Patch(module.AsyncHTTPTransport, "handle_async_request", functools.partial(self._wrap_async, streams))
        yield Patch(module._transports.default, "create_ssl_context", _wrap_create_ssl_context)  # noqa: SLF001

    def weigh(self, result: Exchange) -> int:
        """The body's bytes."""
        return result.size_bytes

    def dump(self, result: Exchange) -> Value:
        """Head and chunks; an answer over the size bound becomes an opaque marker."""
        if result.end == "over-bound":
            return encode_or_opaque(result)
        error = result.error
        return {
            "status": result.status,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in result.headers],
            "http_version": _extension(result, "http_version"),
            "reason": _extension(result, "reason_phrase"),
            "chunks": [encode(_body(chunk)) for chunk in result.chunks[: len(result.times_ns)]],
            "times_ns": list(result.times_ns),
            "end": result.end,
            "ended_ns": result.ended_ns,
            "error": self.dump_error(error) if isinstance(error, BaseException) else error,
        }

    def settling_ns(self, value: Value) -> int:
        """The time from head to end of a body that came at once."""
        if "end" not in value:
            return 0
        names = (name for name, _ in value["headers"])
        return _settled_ns(value["end"], value["ended_ns"], len(value["chunks"]), names)

    def load(self, value: Value, call: Call) -> Exchange:
        """The exchange that `dump` saw; the seam makes a response of it."""
        del call
        recorded = decode({key: item for key, item in value.items() if key != "error"} if "end" in value else value)
        try:
            extensions = {"http_version": recorded["http_version"], "reason_phrase": recorded["reason"]}
            exchange = Exchange(
                recorded["status"],
                [(name.encode("latin-1"), content.encode("latin-1")) for name, content in recorded["headers"]],
                {name: text.encode("latin-1") for name, text in extensions.items() if text is not None},
            )
            exchange.chunks = [chunk.encode() if isinstance(chunk, str) else chunk for chunk in recorded["chunks"]]
            exchange.times_ns = recorded["times_ns"]
            exchange.end, exchange.ended_ns, exchange.error = recorded["end"], recorded["ended_ns"], value["error"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedBundle("a recorded HTTP answer can't be read", why=repr(error)) from error
        return exchange

    def load_error(self, value: Value, call: Call) -> BaseException:
        """The transport's error, to which the client adds the request as it does live."""
        del call
        return _without_request(load_error(value))

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
                    return Exchange.of(original(transport, request))
                request.stream = body_tee(stream, asked.chunks)
                try:
                    return Exchange.of(original(transport, request))
                except Exception:
                    _complete_multipart(stream, asked)
                    raise
                finally:
                    request.stream = stream

            exchange = session.call(self, Call(request=asked.form), live)
            if exchange.response is None:
                return self._respond(streams, played, exchange, asked, session)
            response, exchange.response = exchange.response, None
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
                    return Exchange.of(await original(transport, request))
                request.stream = body_tee(stream, asked.chunks)
                try:
                    return Exchange.of(await original(transport, request))
                except Exception:
                    _complete_multipart(stream, asked)
                    raise
                finally:
                    request.stream = stream

            call = Call(request=asked.form, prepare=None if asked.stream is None else asked.prepare)
            exchange = await session.acall(self, call, live)
            if exchange.response is None:
                return self._respond(streams, played, exchange, asked, session)
            response, exchange.response = exchange.response, None
            response.stream = answer_tee(response.stream, exchange)
            return response

        return handle_async_request

    def _respond(self, streams: _Streams, played: Any, exchange: Exchange, asked: _Asked, session: Any) -> Any:
        """The recorded response, as the transport would have given it."""

        def read_on(chunks: int) -> None:
            form = {**asked.form(), "rest": f"reading on after chunk {chunks}"}
            if crossing() is session:
                session.call(self, Call(request=form), _nothing_live)
            raise UnrecordedCall("the app read on in an answer that the run left", asked=HTTP.text(form))

        return streams.response(
            status_code=exchange.status,
            headers=exchange.headers,
            stream=played(exchange, virtual_clock(), read_on),
            extensions=dict(exchange.extensions),
        )


def _nothing_live() -> Exchange:
    raise UnrecordedCall("the rest of an abandoned answer exists nowhere", asked="the rest of an HTTP answer")


def _body(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _extension(exchange: Exchange, name: str) -> str | None:
    found = exchange.extensions.get(name)
    return None if found is None else found.decode("latin-1")


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
