"""gRPC, blocking and asyncio: each call at the edge of the C core, so that grpc's own Python code runs at replay.

The kind is http: a call is a POST over HTTP/2, told apart, shown and searched for secrets like any other. A stream of
requests is one call that opens it and one for each message. What the C core does raises no event of Python, so that a
call outside every run is announced to the fence. Inside a replayed run no channel of the core is made.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.rpc.answer import Asked, RpcAnswer
from pytest_fluxrun.boundaries.rpc.awaiting import AioCall
from pytest_fluxrun.boundaries.rpc.blocking import PlayedCall, Player, TeedCall, message_of, teed
from pytest_fluxrun.boundaries.rpc.opened import Opened
from pytest_fluxrun.boundary import Boundary, Call, Patch
from pytest_fluxrun.context import crossing, virtual_clock
from pytest_fluxrun.kinds.http import HTTP
from pytest_fluxrun.values import Value

__all__ = ["GrpcBoundary", "boundary"]

_READY = 2
_STATE_CHANGES_IN_S = 0.2
_CONTEXT = 8
"""Which argument of a managed call is its context, by grpc 1.60 to 1.85."""


class GrpcBoundary(Boundary[RpcAnswer]):
    """Channels of the C core."""

    name: ClassVar[str] = "grpc"
    kind = HTTP
    modules = ("grpc._cython.cygrpc", "grpc._channel")

    def patches(self, module: Any) -> Iterable[Patch]:
        """The two classes of channels, and where the blocking API has a call managed by its channel's thread."""
        if module.__name__ == "grpc._channel":
            yield Patch(module, "_channel_managed_call_management", self._wrap_management)
        else:
            yield Patch(module, "Channel", lambda original: functools.partial(_Channel, self, original))
            yield Patch(module, "AioChannel", lambda original: functools.partial(_AioChannel, self, module, original))

    def weigh(self, result: RpcAnswer) -> int:
        """The messages' bytes."""
        return result.size_bytes

    def dump(self, result: RpcAnswer) -> Value:
        """Metadata, messages and status."""
        return result.dump()

    def load(self, value: Value, call: Call) -> RpcAnswer:
        """The answer that `dump` saw."""
        del call
        return RpcAnswer.load(value)

    def _wrap_management(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Open the call before grpc takes its channel's lock, under which nothing may wait."""

        @functools.wraps(original)
        def management(state: Any) -> Any:
            create = original(state)
            if not isinstance(state.channel, _Channel):
                return create

            def managed(*arguments: Any) -> Any:
                session = crossing()
                if session is None:
                    return create(*arguments)
                _, method, _, _, metadata, _, batches = arguments[:7]
                opened = state.channel.open(session, method, metadata, batches, RpcAnswer)
                carrying = (*arguments[:_CONTEXT], (opened, arguments[_CONTEXT]), *arguments[_CONTEXT + 1 :])
                return create(*carrying)

            return managed

        return management


class _Lazy:
    """A channel of the core that is made when the first live call needs it; at once where nothing replays."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: Any = None
        if virtual_clock() is None:
            self.live()

    def live(self) -> Any:
        """The core's own."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def if_made(self) -> Any:
        """The core's own, or None."""
        return self._made


class _Channel:
    """In place of cygrpc.Channel, for the blocking API."""

    def __init__(self, boundary: GrpcBoundary, original: Callable[..., Any], target: bytes, *arguments: Any) -> None:
        self._boundary = boundary
        self._target = target.decode()
        self._core = _Lazy(lambda: original(target, *arguments))
        self._player = Player()

    def open(
        self, session: Any, method: bytes, metadata: Any, batches: Iterable[Any], live: Callable[[], RpcAnswer]
    ) -> Opened:
        """Cross with a call that begins."""
        asked = Asked(self._target, method.decode(), metadata, message_of(batches))
        answer = session.call(self._boundary, Call(request=asked.form), live)
        if not answer.played:
            answer.begin()
        return Opened(self._boundary, session, asked, answer)

    def segregated_call(self, *arguments: Any) -> Any:
        """A call whose events the caller fetches."""
        session = crossing()
        if session is None:
            _announce(self._target, arguments[1])
            return self._core.live().segregated_call(*arguments)
        _, method, _, _, metadata, _, tagged = arguments[:7]
        batches = [operations for operations, _ in tagged]
        message = message_of(batches)
        made: list[Any] = []

        def live() -> RpcAnswer:
            answer = RpcAnswer()
            made.append(self._core.live().segregated_call(*arguments))
            if message is not None and len(batches) == 1:
                answer.event = made[0].next_event()  # one message each way: the crossing is the whole
            return answer

        opened = self.open(session, method, metadata, batches, live)
        if opened.answer.played:
            return PlayedCall(opened, Player(), tagged, streams=message is None)
        call = TeedCall(opened, made[0], [])
        if opened.answer.event is not None:
            call.note_first(opened.answer.event)
        return call

    def integrated_call(self, *arguments: Any) -> Any:
        """A call whose events the channel's thread fetches."""
        context = arguments[_CONTEXT - 1]
        if not (isinstance(context, tuple) and context and isinstance(context[0], Opened)):
            _announce(self._target, arguments[1])
            return self._core.live().integrated_call(*arguments)
        opened, context = context
        tagged = arguments[6]
        message = message_of(operations for operations, _ in tagged)
        if opened.answer.played:
            return PlayedCall(opened, self._player, tagged, streams=message is None)
        messages: list[bytes] = []
        noting = tuple((operations, teed(opened, tag, messages)) for operations, tag in tagged)
        rest = arguments[_CONTEXT:]
        return TeedCall(opened, self._core.live().integrated_call(*arguments[:6], noting, context, *rest), messages)

    def next_call_event(self) -> Any:
        """The next event of a managed call."""
        if self._player.is_busy() or self._core.if_made() is None:
            return self._player.next_event()
        return self._core.live().next_call_event()

    def check_connectivity_state(self, try_to_connect: bool) -> Any:  # noqa: FBT001 - the core's signature
        """The channel's state, recorded value by value."""
        return _state(self._core, self._target, try_to_connect)

    def watch_connectivity_state(self, last: Any, deadline: float | None) -> Any:
        """Wait until the state changes or it is late; at replay it is late, and the next recorded state there."""
        if crossing() is None or virtual_clock() is None:
            return self._core.live().watch_connectivity_state(last, deadline)
        if deadline is not None:
            time.sleep(max(0.0, deadline - time.time()))
        return SimpleNamespace(success=True)

    def get_registered_call_handle(self, method: bytes) -> Any:
        """A short cut of the core's for a method; without one a call is the same."""
        core = self._core.if_made()
        return None if core is None else core.get_registered_call_handle(method)

    def target(self) -> bytes:
        """As the channel was made for."""
        return self._target.encode()

    def close(self, *arguments: Any) -> None:
        """The app closes the channel."""
        core = self._core.if_made()
        if core is not None:
            core.close(*arguments)

    def cancel_calls_on_fork(self, *arguments: Any) -> None:
        """In a forked child."""
        core = self._core.if_made()
        if core is not None:
            core.cancel_calls_on_fork(*arguments)

    def close_on_fork(self, *arguments: Any) -> None:
        """In a forked child."""
        core = self._core.if_made()
        if core is not None:
            core.close_on_fork(*arguments)


class _AioChannel:
    """In place of cygrpc.AioChannel."""

    def __init__(
        self, boundary: GrpcBoundary, grpc: Any, original: Callable[..., Any], target: bytes, *arguments: Any
    ) -> None:
        self._boundary = boundary
        self._grpc = grpc
        self._target = target.decode()
        self._core = _Lazy(lambda: original(target, *arguments))
        self._closed = False

    def call(self, method: bytes, deadline: float | None, *arguments: Any) -> Any:
        """A call that has not begun."""
        session = crossing()
        if session is None:
            _announce(self._target, method)
            return self._core.live().call(method, deadline, *arguments)
        if self._closed:
            raise self._grpc.UsageError("Channel is closed.")
        return AioCall(
            self._boundary,
            self._grpc,
            session,
            ask=functools.partial(Asked, self._target, method.decode()),
            make=lambda: self._core.live().call(method, deadline, *arguments),
            remaining=lambda: None if deadline is None else max(0.0, deadline - time.time()),
        )

    def check_connectivity_state(self, try_to_connect: bool) -> Any:  # noqa: FBT001 - the core's signature
        """The channel's state, recorded value by value."""
        return _state(self._core, self._target, try_to_connect)

    async def watch_connectivity_state(self, last: Any, deadline: float | None) -> Any:
        """Wait until the state changes; at replay the next recorded state is there after a while."""
        if crossing() is None or virtual_clock() is None:
            return await self._core.live().watch_connectivity_state(last, deadline)
        await asyncio.sleep(_STATE_CHANGES_IN_S)
        return True

    def get_registered_call_handle(self, method: bytes) -> Any:
        """As of the blocking channel; 0 is none."""
        core = self._core.if_made()
        return 0 if core is None else core.get_registered_call_handle(method)

    def target(self) -> bytes:
        """As the channel was made for."""
        return self._target.encode()

    def closing(self) -> None:
        """No new calls."""
        core = self._core.if_made()
        if core is not None:
            core.closing()

    def close(self) -> None:
        """The app closes the channel."""
        self._closed = True
        core = self._core.if_made()
        if core is not None:
            core.close()

    def closed(self) -> bool:
        """Whether it is."""
        core = self._core.if_made()
        return self._closed if core is None else bool(core.closed())


def _state(core: _Lazy, target: str, try_to_connect: bool) -> Any:  # noqa: FBT001 - the core's signature
    session = crossing()
    if session is None:
        if try_to_connect:
            _announce(target, b" (connecting)")
        return core.live().check_connectivity_state(try_to_connect)

    def live() -> int:
        # at replay only for a channel whose state the recording never asked for: no core is made to learn it
        return int(core.live().check_connectivity_state(try_to_connect)) if virtual_clock() is None else _READY

    return session.read("grpc.connectivity", target, live)


def _announce(target: str, method: bytes) -> None:
    """Tell the fence, if one is up, of a live call that it can't see; it refuses by raising."""
    sys.audit("fluxrun.live", "gRPC call", f"{target}{method.decode()}")


boundary = GrpcBoundary()
