"""Calls of grpc.aio, beneath its own Python code: teed while they are recorded, played at replay.

One class stands for grpc's C call in both; whether something live is behind it shows when the call is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from importlib import import_module
from typing import Any, Final

from pytest_fluxrun.boundaries.rpc.answer import Asked, RpcAnswer
from pytest_fluxrun.boundaries.rpc.blocking import Metadatum
from pytest_fluxrun.boundaries.rpc.opened import Opened
from pytest_fluxrun.boundary import Boundary, Call
from pytest_fluxrun.context import crossing, entered

__all__ = ["AioCall"]

_OK: Final = 0
_CANCELLED: Final = 1
_INTERNAL: Final = 13
_FINISHED: Final = '<_AioCall of RPC that terminated with:\n\tstatus = {}\n\tdetails = "{}"\n{}>'


class AioCall:
    """What `grpc.aio` drives: the methods of cygrpc's _AioCall.

    Args:
        grpc: cygrpc, for its status and its mark of a stream's end.
        session: the one in which the call was made.
        ask: makes the Asked from the request's metadata and message.
        make: makes the live call; never called at replay.
        remaining: seconds to the deadline, or None.
    """

    def __init__(
        self,
        boundary: Boundary[RpcAnswer],
        grpc: Any,
        session: Any,
        *,
        ask: Callable[[Any, bytes | None], Asked],
        make: Callable[[], Any],
        remaining: Callable[[], float | None],
    ) -> None:
        self._boundary = boundary
        self._grpc = grpc
        self._session = session
        self._ask = ask
        self._make = make
        self.time_remaining = remaining
        self._live: Any = None
        self._asked: Asked | None = None
        self._answer = RpcAnswer()
        self._opened: Opened | None = None
        self._own_status: Any = None
        self._callbacks: list[Callable[[], None]] = []
        self._cancelled = self._closed = False
        self._received = self._sent = 0
        self._changed = asyncio.Event()

    # -- opening

    async def unary_unary(self, request: bytes, metadata: Any, context: Any = None) -> bytes | None:
        """One message each way; the crossing is the whole."""

        async def live() -> RpcAnswer:
            call, answer = self._made(), self._answer
            answer.event = await call.unary_unary(request, metadata, context)
            await self._note_single(answer)
            return answer

        self._closed = True
        await self._cross(self._ask(metadata, request), live)
        return await self._single()

    async def stream_unary(self, metadata: Any, observer: Callable[[], None], context: Any = None) -> bytes | None:
        """Many messages out, one back; the crossing ends where the first may go."""
        rest = await self._open_stream(
            metadata, observer, lambda call, begun: call.stream_unary(metadata, begun, context)
        )
        if rest is not None:
            self._answer.event = await rest
            await self._note_single(self._answer)
        return await self._single()

    async def initiate_unary_stream(self, request: bytes, metadata: Any, context: Any = None) -> None:
        """One message out, many back; the crossing ends where grpc's call of this name does."""

        async def live() -> RpcAnswer:
            await self._made().initiate_unary_stream(request, metadata, context)
            return self._answer

        self._closed = True
        await self._cross(self._ask(metadata, request), live)

    async def initiate_stream_stream(self, metadata: Any, observer: Callable[[], None], context: Any = None) -> None:
        """Many messages each way; the crossing ends where the first may go."""
        rest = await self._open_stream(
            metadata, observer, lambda call, begun: call.initiate_stream_stream(metadata, begun, context)
        )
        if rest is not None:
            await rest

    async def _open_stream(
        self,
        metadata: Any,
        observer: Callable[[], None],
        start: Callable[[Any, Callable[[], None]], Coroutine[Any, Any, Any]],
    ) -> asyncio.Task[Any] | None:
        """Cross with the beginning of a stream of requests, and let them go.

        Returns:
            What is left of the live call; None: nothing live is behind it.
        """
        rest: list[asyncio.Task[Any]] = []

        async def live() -> RpcAnswer:
            call, may_send = self._made(), asyncio.Event()
            with entered(None):  # a task of the boundary's, which no replay has
                rest.append(asyncio.ensure_future(start(call, may_send.set)))
            rest[0].add_done_callback(lambda _: may_send.set())
            try:
                await may_send.wait()
            except asyncio.CancelledError:
                rest[0].cancel()
                raise
            return self._answer

        try:
            await self._cross(self._ask(metadata, None), live)
        finally:
            observer()  # also where there is no answer: who waits to send learns it so
        return rest[0] if rest else None

    async def _cross(self, asked: Asked, live: Callable[[], Awaitable[RpcAnswer]]) -> None:
        self._asked = asked
        try:
            self._answer = await self._session.acall(self._boundary, Call(request=asked.form), live)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._finish(_INTERNAL, str(error), (), None)
            raise
        self._opened = Opened(self._boundary, self._session, asked, self._answer)
        if not self._answer.played:
            self._answer.begin()

    def _made(self) -> Any:
        """The live call, which tells when it is over."""
        call = self._live = self._make()
        call.add_done_callback(self._note_end)
        for callback in self._callbacks:
            call.add_done_callback(callback)
        return call

    # -- messages

    async def receive_serialized_message(self) -> Any:
        """The next message, or grpc's mark of the end."""
        if self._live is None:
            return await self._next_played()
        self._answer.asked += 1
        message = await self._live.receive_serialized_message()
        if message is not self._grpc.EOF:
            self._answer.add(message)
        return message

    async def send_serialized_message(self, message: bytes) -> None:
        """One message of a stream of requests: a crossing of its own."""
        session, asked = crossing(), self._asked
        self._answer.sent += not self._answer.played  # now: what answers it may come before it has gone out

        async def live() -> RpcAnswer:
            await self._live.send_serialized_message(message)
            return RpcAnswer()

        if session is not None and asked is not None:
            await session.acall(self._boundary, Call(request=lambda: asked.sent(message)), live)
        elif self._live is not None:
            await live()
        self._sent += 1
        self._changed.set()

    async def send_receive_close(self) -> None:
        """No more requests."""
        self._closed = True
        self._changed.set()
        if self._live is not None:
            await self._live.send_receive_close()

    async def _next_played(self) -> Any:
        answer, number = self._answer, self._received
        self._received += 1
        if number < len(answer.messages):
            await self._until(answer.times_ns[number], after=answer.after[number])
            return self._grpc.EOF if self._own_status else answer.messages[number]
        if answer.end == "eof":
            await self._until(answer.ended_ns, after=answer.after_end)
            self._finish_as_recorded()
        elif number < answer.asked:
            await self._until(None)
        elif self._own_status is None and self._opened is not None:
            await self._opened.reading_on.arefuse(len(answer.messages))
        return self._grpc.EOF

    async def _single(self) -> bytes | None:
        """The one message of an answer, or None where the status isn't OK."""
        answer = self._answer
        if not answer.played:
            message: bytes | None
            message, answer.event = answer.event, None
            return message
        await self._until(answer.ended_ns, after=answer.after_end)
        self._finish_as_recorded()
        return answer.messages[0] if answer.messages and self.is_ok() else None

    async def _until(self, offset_ns: int | None, *, after: int = 0) -> None:
        """Wait for a recorded offset on the run's clock, and for so many requests to be out; or for the call's end."""
        while self._own_status is None:
            wait_s = None
            if offset_ns is not None and self._opened is not None and (self._sent >= after or self._closed):
                wait_s = self._opened.wait_s(offset_ns)
                if wait_s <= 0:
                    return
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), wait_s)
            except TimeoutError:
                return  # its time has come

    # -- status

    async def initial_metadata(self) -> Any:
        """What the server sent first."""
        if self._live is not None:
            self._answer.initial = tuple(await self._live.initial_metadata() or ())
            return self._answer.initial
        await self._until(0)
        return self._initial_metadata

    async def status(self) -> Any:
        """How it ended; waits for it."""
        if self._live is not None:
            return await self._live.status()
        if self._own_status is None:
            ended = self._answer.end == "eof"
            await self._until(self._answer.ended_ns if ended else None, after=self._answer.after_end)
            self._finish_as_recorded()
        return self._own_status

    def done(self) -> bool:
        """Whether the status is known: a recorded one is, when all before it was taken and its time has come."""
        if self._live is not None:
            return bool(self._live.done())
        answer, opened = self._answer, self._opened
        if self._own_status is None and opened is not None and answer.end == "eof":
            taken = self._received >= len(answer.messages) and (self._sent >= answer.after_end or self._closed)
            if taken and opened.wait_s(answer.ended_ns) <= 0:
                self._finish_as_recorded()
        return self._own_status is not None

    def is_ok(self) -> bool:
        """Whether it is over, and well."""
        return bool(self._live.is_ok()) if self._live is not None else self.done() and self._own_status.code() == _OK

    def cancelled(self) -> bool:
        """Whether it is over by a cancellation, anybody's."""
        if self._live is not None:
            return bool(self._live.cancelled())
        return self.done() and self._own_status.code() == _CANCELLED

    def is_locally_cancelled(self) -> bool:
        """Whether this side cancelled."""
        return bool(self._live.is_locally_cancelled()) if self._live is not None else self._cancelled

    def cancel(self, details: str) -> None:
        """The app cancels."""
        if self._live is not None:
            self._answer.cancel()
            self._live.cancel(details)
        elif not self.done():
            self._cancelled = True
            self._finish(_CANCELLED, details, None, None)

    def set_internal_error(self, error: str) -> None:
        """Grpc found something wrong."""
        if self._live is not None:
            self._live.set_internal_error(error)
        else:
            self._finish(_INTERNAL, error, (), error)

    def add_done_callback(self, callback: Callable[[], None]) -> None:
        """To be called once, at the end or now."""
        if self._live is not None:
            self._live.add_done_callback(callback)
        elif self.done():
            callback()
        else:
            self._callbacks.append(callback)

    @property
    def _initial_metadata(self) -> Any:
        if self._live is not None:
            return self._live._initial_metadata  # noqa: SLF001 - grpc's own code reads it so
        return tuple(Metadatum(*pair) for pair in self._answer.initial or ())

    @property
    def _status(self) -> Any:
        return self._live._status if self._live is not None else self._own_status  # noqa: SLF001 - as above

    def __repr__(self) -> str:
        if self._live is not None:
            return repr(self._live)
        if not self.done():
            return "<_AioCall object>"
        status = self._own_status
        names = {code.value[0]: code for code in import_module("grpc").StatusCode}
        debug = "" if self.is_ok() else f'\tdebug_error_string = "{status.debug_error_string()}"\n'
        return _FINISHED.format(names.get(status.code(), status.code()), status.details(), debug)

    def _finish_as_recorded(self) -> None:
        answer = self._answer
        if answer.end == "eof":
            trailing = tuple(Metadatum(*pair) for pair in answer.trailing)
            self._finish(answer.code or _OK, answer.details, trailing, answer.debug)

    def _finish(self, code: int, details: str | None, trailing: Any, debug: str | None) -> None:
        if self._own_status is None:
            self._own_status = self._grpc.AioRpcStatus(code, details, trailing, debug)
            self._changed.set()
            for callback in self._callbacks:
                callback()

    async def _note_single(self, answer: RpcAnswer) -> None:
        """Recording: the answer of a call that is over."""
        if self._live.is_ok():
            answer.add(answer.event)
        self._note_end()

    def _note_end(self) -> None:
        """Recording: what is known when the call is over; both coroutines have their answer then."""
        answer = self._answer
        if self._live.is_locally_cancelled():
            answer.cancel()
            return
        status = _now(self._live.status())
        if status.code() != _INTERNAL or answer.initial is None:
            answer.initial = tuple(_now(self._live.initial_metadata()) or ())
        answer.finish(status.code(), status.details(), status.trailing_metadata(), status.debug_error_string())


def _now(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that needn't wait."""
    try:
        coroutine.send(None)
    except StopIteration as returned:
        return returned.value
    coroutine.close()
    return None
