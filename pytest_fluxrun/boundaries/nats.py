"""nats-py: what a run publishes, requests, fetches and receives; JetStream, key-value and object stores lie above.

Messages for a subscription that a run makes are received in the run; a callback of a subscription from before the run
belongs to no run. At replay a client shakes hands with a transport that has no network.
"""

# ruff: noqa: SLF001 - nats-py's names (2.9 to 2.16)
from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries.nats_client import forms
from pytest_fluxrun.boundaries.nats_client.played import FACTS, PlayedTransport
from pytest_fluxrun.boundary import Boundary, Call, Kind, Patch
from pytest_fluxrun.context import LANE, beneath, crossing, entered, open_lane
from pytest_fluxrun.kinds.message import MESSAGE
from pytest_fluxrun.values import Value, decode, encode

__all__ = ["NatsBoundary", "boundary"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: messages, what a server says of itself; `live` is the object itself at the recording side."""

    messages: tuple[dict[str, Any], ...] = ()
    facts: Any = None
    live: Any = None


class NatsBoundary(Boundary[Answer]):
    """nats-py's client, its subscriptions, and JetStream's own ways to receive."""

    name: ClassVar[str] = "nats"
    kind: ClassVar[Kind] = MESSAGE
    modules: ClassVar[tuple[str, ...]] = ("nats.aio.client", "nats.aio.subscription", "nats.js.client")
    distribution: ClassVar[str] = "nats-py"
    tested: ClassVar[tuple[str, str]] = ("2.9.0", "2.16.0")

    def patches(self, module: Any) -> Iterable[Patch]:
        """The client's verbs; a subscription's two ways to wait; JetStream's fetch and its publication without wait."""
        if module.__name__ == "nats.js.client":
            yield Patch(module.JetStreamContext.PullSubscription, "fetch", self._wrap_fetch)
            if hasattr(module.JetStreamContext, "publish_async"):
                yield Patch(module.JetStreamContext, "publish_async", self._wrap_publish_async)
        elif module.__name__ == "nats.aio.subscription":
            yield Patch(module.Subscription, "next_msg", self._wrap_next)
            yield Patch(module._SubscriptionMessageIterator, "__anext__", self._wrap_anext)
        else:
            yield Patch(module.Client, "connect", self._wrap_connect)
            yield Patch(module.Client, "publish", self._wrap_publish)
            yield Patch(module.Client, "request", self._wrap_request)
            yield Patch(module.Client, "subscribe", self._wrap_subscribe)
            yield Patch(module.Client, "_send_command", _wrap_send)
            yield Patch(module.Client, "_send_ping", _wrap_ping)

    def dump(self, result: Answer) -> Value:
        """The messages that came."""
        if result.facts is not None:
            return {"facts": encode(result.facts)}
        return {"messages": [encode(message) for message in result.messages]}

    def load(self, value: Value, call: Call) -> Answer:
        """The same."""
        del call
        if "facts" in value:
            return Answer(facts=decode(value["facts"]))
        return Answer(tuple(decode(message) for message in value["messages"]))

    # -- the client --------------------------------------------------------------------------------------------------

    def _wrap_connect(self, original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def connect(client: Any, servers: Any = "nats://localhost:4222", *args: Any, **kwargs: Any) -> None:
            session = crossing()
            if session is None:
                return await original(client, servers, *args, **kwargs)

            async def live() -> Answer:
                await original(client, servers, *args, **kwargs)
                facts = {name: client._server_info[name] for name in _SAID if name in client._server_info}
                return Answer(facts=facts, live=client)

            call = Call(functools.partial(forms.opened, servers), lambda: Answer(facts=FACTS))
            answer = await session.acall(self, call, live)
            if answer.live is None:
                client._transport = PlayedTransport(answer.facts)
                with beneath():
                    await original(client, servers, *args, **kwargs)
                client._ping_interval_task.cancel()
            return None

        return connect

    def _wrap_publish(self, original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def publish(
            client: Any, subject: str, payload: bytes = b"", reply: str = "", headers: Any = None
        ) -> None:
            session = crossing()
            if session is None:
                return await original(client, subject, payload, reply, headers)
            call = Call(functools.partial(forms.published, subject, bytes(payload), headers and dict(headers)))

            async def live() -> Answer:
                await original(client, subject, payload, reply, headers)
                return Answer()

            await session.acall(self, call, live)
            return None

        return publish

    def _wrap_request(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def request(client: Any, subject: str, payload: bytes = b"", *args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is None:
                return await original(client, subject, payload, *args, **kwargs)
            headers = kwargs.get("headers") or (args[2] if len(args) > 2 else None)
            call = Call(functools.partial(forms.asked, subject, bytes(payload), headers and dict(headers)))
            live = functools.partial(_one, functools.partial(original, client, subject, payload, *args, **kwargs))
            return _message(await session.acall(self, call, live), client)

        return request

    def _wrap_subscribe(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def subscribe(client: Any, subject: str, queue: str = "", cb: Any = None, **kwargs: Any) -> Any:
            session, lane = crossing(), open_lane()
            if session is None or lane is None or not inspect.iscoroutinefunction(cb):
                return await original(client, subject, queue, cb, **kwargs)
            if not session.answers:
                return await original(client, subject, queue, self._received(lane, subject, cb), **kwargs)
            made = await original(client, subject, queue, cb, **kwargs)
            made._fx_pump = asyncio.get_running_loop().create_task(self._deliver(session, client, made))
            return made

        return subscribe

    def _received(self, lane: Any, subject: str, callback: Callable[[Any], Awaitable[Any]]) -> Callable[..., Any]:
        """`callback`, which receives each message in the run, as long as that lasts."""
        started_ns = [ambient.monotonic_ns()]

        @functools.wraps(callback)
        async def receive(message: Any) -> Any:
            if lane.session.closed:
                return await callback(message)
            with entered(LANE.get() or lane):
                call = Call(functools.partial(forms.received, subject), started_ns=started_ns[0])
                await lane.session.acall(self, call, functools.partial(_one, functools.partial(_given, message)))
                started_ns[0] = ambient.monotonic_ns()
                return await callback(message)

        return receive

    async def _deliver(self, session: Any, client: Any, subscription: Any) -> None:
        """At replay: give a subscription what it received in the recording, one after the other."""
        while True:
            call = Call(functools.partial(forms.received, subscription.subject), Answer)
            message = _message(await session.acall(self, call, _never), client, subscription)
            if message is None or subscription._closed:
                return
            if subscription._jsi is not None:
                subscription._jsi._active = True
            subscription._received += 1
            subscription._pending_size += len(message.data)
            await subscription._pending_queue.put(message)

    # -- subscriptions -----------------------------------------------------------------------------------------------

    def _wrap_next(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def next_msg(subscription: Any, *args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is None:
                return await original(subscription, *args, **kwargs)
            call = Call(functools.partial(forms.received, subscription.subject))
            live = functools.partial(_one, functools.partial(original, subscription, *args, **kwargs))
            return _message(await session.acall(self, call, live), subscription._conn, subscription)

        return next_msg

    def _wrap_anext(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def __anext__(iterator: Any) -> Any:  # noqa: N807 - the method that is wrapped
            session, subscription = crossing(), iterator._sub
            if session is None:
                return await original(iterator)
            otherwise = Answer if iterator._unsubscribed_future.done() else None
            call = Call(functools.partial(forms.received, subscription.subject), otherwise)

            async def live() -> Answer:
                try:
                    return await _one(functools.partial(original, iterator))
                except StopAsyncIteration:
                    return Answer()

            message = _message(await session.acall(self, call, live), subscription._conn, subscription)
            if message is None:
                raise StopAsyncIteration
            if session.answers:
                subscription._received += 1
                if 0 < subscription._max_msgs <= subscription._received:
                    iterator._cancel()
            return message

        return __anext__

    def _wrap_fetch(self, original: Callable[..., Awaitable[list[Any]]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def fetch(pull: Any, batch: int = 1, *args: Any, **kwargs: Any) -> list[Any]:
            session = crossing()
            if session is None:
                return await original(pull, batch, *args, **kwargs)

            async def live() -> Answer:
                messages = await original(pull, batch, *args, **kwargs)
                return Answer(tuple(filter(None, map(forms.plain, messages))), live=messages)

            call = Call(functools.partial(forms.fetched, pull._stream, pull._consumer, batch))
            answer = await session.acall(self, call, live)
            if answer.live is not None:
                return list(answer.live)
            return [_built(message, pull._nc, pull._sub) for message in answer.messages]

        return fetch

    def _wrap_publish_async(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        """The publication is one crossing; its confirmation, which a future gives later, is another."""

        @functools.wraps(original)
        async def publish_async(context: Any, subject: str, payload: bytes = b"", *args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is None:
                return await original(context, subject, payload, *args, **kwargs)
            futures: list[Any] = []

            async def live() -> Answer:
                futures.append(await original(context, subject, payload, *args, **kwargs))
                return Answer()

            headers = kwargs.get("headers")
            request = functools.partial(forms.published, subject, bytes(payload), headers and dict(headers))
            await session.acall(self, Call(request), live)
            return asyncio.get_running_loop().create_task(self._confirmed(session, subject, futures))

        return publish_async

    async def _confirmed(self, session: Any, subject: str, futures: list[Any]) -> Any:
        async def live() -> Answer:
            acknowledged = await futures[0]
            return Answer(facts=dict(vars(acknowledged)), live=acknowledged)

        call = Call(functools.partial(forms.received, f"acknowledgement of {subject}"))
        answer = await session.acall(self, call, live)
        return answer.live or import_module("nats.js.api").PubAck(**answer.facts)


boundary = NatsBoundary()

_SAID = (
    "server_id",
    "server_name",
    "version",
    "proto",
    "headers",
    "jetstream",
    "max_payload",
    "client_id",
    "client_ip",
)
"""What a server says of itself that clients tell their programs."""


async def _never() -> Answer:
    raise AssertionError("a replay asks nobody")


async def _given(message: Any) -> Any:
    return message


async def _one(receive: Callable[[], Awaitable[Any]]) -> Answer:
    message = await receive()
    found = forms.plain(message)
    return Answer(() if found is None else (found,), live=message)


def _message(answer: Answer, client: Any, subscription: Any = None) -> Any:
    if answer.live is not None:
        return answer.live
    return _built(answer.messages[0], client, subscription) if answer.messages else None


def _built(message: dict[str, Any], client: Any, subscription: Any) -> Any:
    made = client.msg_class(
        subject=message["subject"],
        reply=message["reply"],
        data=message["payload"],
        headers=message["headers"],
        _client=client,
    )
    if subscription is not None:
        made._sid = subscription._id
    return made


def _wrap_send(original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    """In a replay no command goes out, on whatever connection."""

    @functools.wraps(original)
    async def _send_command(client: Any, *args: Any, **kwargs: Any) -> None:
        session = crossing()
        if session is None or not session.answers:
            await original(client, *args, **kwargs)

    return _send_command


def _wrap_ping(original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    """In a replay whoever waits for the server to have seen everything needn't wait."""

    @functools.wraps(original)
    async def _send_ping(client: Any, future: Any = None) -> None:
        session = crossing()
        if session is None or not session.answers:
            await original(client, future)
        elif future is not None and not future.done():
            future.set_result(True)

    return _send_ping
