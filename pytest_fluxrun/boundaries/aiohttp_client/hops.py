"""One hop of a request of aiohttp: live, where its answer is copied as it comes; or played from a recording."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.aiohttp_client.asked import Asked, Rendered, body_attribute
from pytest_fluxrun.boundaries.aiohttp_client.errors import Unanswered
from pytest_fluxrun.boundaries.http.exchange import Exchange
from pytest_fluxrun.boundaries.http.push import PushPlayback, SilentTransport
from pytest_fluxrun.boundaries.http.stepwise import Stepwise
from pytest_fluxrun.boundaries.http.wire import CONTINUE, Framing, framed_head, unframed
from pytest_fluxrun.boundaries.websocket.channel import next_number
from pytest_fluxrun.boundary import Boundary
from pytest_fluxrun.context import entered, virtual_clock
from pytest_fluxrun.values import Value

__all__ = ["LiveHop", "PlayedHop", "Tee"]


class Tee(Exchange):
    """An answer while it comes: its chunks are what the connection gave, head and framing included.

    Attributes:
        answered_ns: from the start of recording to the head.
    """

    __slots__ = ("answered_ns", "protocol", "session")

    def __init__(self, session: Any, protocol: Any) -> None:
        super().__init__(0, [])
        self.session = session
        self.protocol = protocol
        self.answered_ns = 0
        protocol._fluxrun = self  # noqa: SLF001 - found by the seams of the protocol and its stream

    def received(self, data: bytes) -> None:
        """The connection gave bytes."""
        if self.session.closed or self.end == "over-bound":
            return
        self.add(data)
        if self.end == "cancelled":  # the app gave up one wait, and goes on
            self.end = "abandoned"

    def answered(self, response: Any) -> None:
        """The head is there."""
        self.answered_ns = ambient.monotonic_ns() - self.head_ns
        version = response.version
        self.status, self.headers = response.status, list(response.raw_headers)
        self.http_version = f"HTTP/{version.major}.{version.minor}"
        self.reason = response.reason
        response.content.on_eof(self._whole)

    async def waited_for(self) -> None:
        """The app waits for more."""

    def gave_up(self, error: BaseException) -> None:
        """The app waited for more and was cancelled, or its time for the whole request was over."""
        if isinstance(error, TimeoutError):
            self.finish("error", Unanswered())
        else:
            self.finish("cancelled")

    def body_failed(self, error: BaseException) -> None:
        """The body will not come whole; what the app itself closed is no failure."""
        if error.args != ("Connection closed",):
            self.finish("error", error)
        self.protocol._fluxrun = None  # noqa: SLF001

    def _whole(self) -> None:
        self.finish("eof")
        self.protocol._fluxrun = None  # noqa: SLF001

    def plain(self) -> Exchange:
        """The answer in the form that every library shares."""
        plain = Exchange(self.status, self.headers, http_version=self.http_version, reason=self.reason)
        pieces = zip(list(self.chunks), list(self.times_ns), strict=False)
        chunks, plain.missing = unframed(pieces, self.headers)
        for chunk, time_ns in chunks:
            plain.chunks.append(chunk)
            plain.times_ns.append(max(0, time_ns - self.answered_ns))
        plain.end, plain.error, plain.connection = self.end, self.error, self.connection
        plain.ended_ns = max(0, self._over_ns() - self.answered_ns)
        return plain

    def _over_ns(self) -> int:
        """When the end was there: where the framing tells it, with the last bytes, however late the parser saw it."""
        framing = Framing.of(self.headers)
        told = self.end == "eof" and self.times_ns and (framing.chunked or framing.sized)
        return self.times_ns[-1] if told else self.ended_ns


class LiveHop:
    """One request on a real connection, from its connecting to its head.

    Attributes:
        connection: the number of the websocket that the answer opened, or None.
    """

    played = False
    connection: str | None = None

    def __init__(self, step: Stepwise[Exchange], asked: Asked, session: Any, connection: Any) -> None:
        self._step = step
        self._asked = asked
        self._tee = Tee(session, connection.protocol)

    def sent(self) -> None:
        """The head is out, and the body under way."""
        self._asked.settle()

    async def written(self, original: Callable[..., Awaitable[None]], request: Any, writer: Any, *rest: Any) -> None:
        """Write the body."""
        if self._asked.streamed:
            self._asked.tee(writer)
            with entered(self._asked.lane):
                await original(request, writer, *rest)
        else:
            await original(request, writer, *rest)

    async def starting(self, response: Any) -> None:
        """The library is about to wait for the head."""

    def answered(self, response: Any) -> None:
        """The head is there."""
        self._tee.answered(response)
        if response.status == HTTPStatus.SWITCHING_PROTOCOLS:
            self._tee.connection = self.connection = next_number(self._tee.session)
            response._fluxrun = self  # noqa: SLF001 - found where the websocket is made
        self._step.succeed(self._tee)

    def failed(self, error: BaseException) -> None:
        """No head will come; a plain time-out is that of the whole request."""
        self._asked.settle()
        self._step.fail(Unanswered() if type(error) is TimeoutError else error)


class PlayedHop:
    """One request on a connection that sends nothing, and its recorded answer or error.

    Attributes:
        connection: the recorded number of the websocket that the answer opened, or None.
    """

    played = True

    def __init__(
        self,
        library: Boundary[Exchange],
        body_error: Callable[[Value], BaseException],
        asked: Asked,
        session: Any,
        protocol: Any,
    ) -> None:
        self._library = library
        self._body_error = body_error
        self._asked = asked
        self._protocol = protocol
        self._exchange: Exchange | None = None
        self._error: BaseException | None = None
        self._playback: PushPlayback | None = None
        self.session = session
        self.connection: str | None = None
        protocol.connection_made(SilentTransport(self._pause, self._stop))
        protocol.force_close()  # it is never pooled
        protocol._fluxrun = self  # noqa: SLF001 - found by the seams of the protocol and its stream

    def answer(self, exchange: Exchange) -> None:
        """Play an answer, once the library waits for it."""
        self._exchange = exchange
        self.connection = exchange.connection

    def fail(self, error: BaseException) -> None:
        """Raise an error, once the library waits for the answer."""
        self._error = error

    def sent(self) -> None:
        """Nothing was sent."""

    async def written(self, original: Callable[..., Awaitable[None]], request: Any, *rest: Any) -> None:
        """Write a streamed body, which has been read once, from what it gave."""
        if not self._asked.streamed:
            await original(request, *rest)
            return
        name = body_attribute(request)
        payload = getattr(request, name)
        request.__dict__[name] = Rendered(self._asked.chunks)
        try:
            await original(request, *rest)
        finally:
            request.__dict__[name] = payload

    async def starting(self, response: Any) -> None:
        """The library is about to wait for the head: here it comes, or an error, or nothing at all."""
        if self._exchange is None:
            if self._error is not None:
                self._protocol.set_exception(self._error)
            return
        key = response.request_info.headers.get("Sec-WebSocket-Key")
        head = framed_head(self._exchange, websocket_key=key)
        playback = self._playback = PushPlayback(
            self._exchange,
            virtual_clock(),
            reading_on=ReadingOn(self._library, self.session, self._asked.form),
            failure=lambda failed: self._body_error(failed.error),
            give=self._give,
            ended=self._ended,
        )
        writer = response._writer  # noqa: SLF001 - an answer that is whole would cancel it
        if response._continue is not None and writer is not None:  # noqa: SLF001 - the body waits for an interim answer
            writer.add_done_callback(lambda _: playback.play(head))
            self._give(CONTINUE)
            return
        if writer is not None:
            await asyncio.wait((writer,))
        playback.play(head)

    def answered(self, response: Any) -> None:
        """The head was served."""
        response._fluxrun = self  # noqa: SLF001 - found where a websocket is made

    def failed(self, error: BaseException) -> None:
        """The error was served."""

    def received(self, data: bytes) -> None:
        """What is played is on record."""

    async def waited_for(self) -> None:
        """The app waits for more of the body."""
        if self._playback is not None:
            await self._playback.waited_for()

    def gave_up(self, error: BaseException) -> None:
        """The app was cancelled as it waited."""

    def body_failed(self, error: BaseException) -> None:
        """As recorded."""

    def _pause(self, paused: bool) -> None:  # noqa: FBT001 - as the transport calls it
        if self._playback is not None:
            self._playback.pause(paused)

    def _stop(self) -> None:
        if self._playback is not None:
            self._playback.stop()

    def _give(self, data: bytes) -> None:
        if self._protocol.transport is not None:
            self._protocol.data_received(data)

    def _ended(self, error: BaseException | None) -> None:
        payload = self._protocol._payload  # noqa: SLF001 - the stream that the parser fills
        if payload is None or payload.is_eof():
            return
        if isinstance(error, Unanswered):
            return
        if error is not None:
            payload.set_exception(error)
        elif self._exchange is not None and self._exchange.end == "eof":
            self._protocol.connection_lost(None)
        elif payload._waiter is not None and not payload._waiter.done():  # noqa: SLF001
            payload._waiter.set_result(None)  # noqa: SLF001 - it looks again, and then reads on
