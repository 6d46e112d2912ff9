"""aiormq, and aio-pika above it: each method that a channel sends is a crossing, with what confirms or answers it.

What aio-pika makes of it (robust connections, queues' iterators, patterns) runs for real at both sides. Messages for a
consumer that a run starts are received in the run; those for a consumer from before it belong to no run.
"""

# ruff: noqa: SLF001 - aiormq's names (6.9 to 7.2)
from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Final

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries.amqp.aiormq_played import PlayedTransport
from pytest_fluxrun.boundaries.amqp.messages import Sent, is_prepared_locally, local_reply, receiving, request_of
from pytest_fluxrun.boundaries.amqp.pamqp_frames import entry_of, fields_of, frame_of, is_method, method
from pytest_fluxrun.boundary import Boundary, Call, Kind, Patch, Request
from pytest_fluxrun.context import LANE, beneath, crossing, entered, open_lane
from pytest_fluxrun.kinds.message import MESSAGE
from pytest_fluxrun.values import Value, decode, encode

__all__ = ["AiormqBoundary", "boundary"]

_exceptions: Any = import_module("aiormq.exceptions")
_channel: Any = import_module("aiormq.channel")
_body: Any = import_module("pamqp.body")
_CODES: Final = {kind: code for code, kind in _channel.EXCEPTION_MAPPING.items()}
_ENTRIES: Final = ("message", "frame")
"""Attributes of aiormq's errors that hold a message or a method."""


@dataclass(slots=True, eq=False)
class _AmqpCall(Call):
    """A call; a message that answers it is delivered on its channel."""

    channel: Any = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, as plain data, and at the recording side the object itself."""

    plain: Any
    live: Any = None


class AiormqBoundary(Boundary[Answer]):
    """aiormq's connections and channels."""

    name: ClassVar[str] = "aiormq"
    kind: ClassVar[Kind] = MESSAGE
    modules: ClassVar[tuple[str, ...]] = ("aiormq.connection",)
    distribution: ClassVar[str] = "aiormq"
    tested: ClassVar[tuple[str, str]] = ("6.9.2", "7.2.4")

    def patches(self, module: Any) -> Iterable[Patch]:
        """Opening a connection; a channel's calls, publications, acknowledgements and consumers."""
        yield Patch(module.Connection, "connect", self._wrap_connect)
        yield Patch(module.Connection, "close", self._wrap_close)
        channel = module.Channel
        yield Patch(channel, "rpc", self._wrap_rpc)
        yield Patch(channel, "basic_get", self._wrap_get)
        yield Patch(channel, "basic_publish", self._wrap_publish)
        yield Patch(channel, "basic_consume", self._wrap_consume)
        yield from (Patch(channel, f"basic_{name}", self._wrap_settle) for name in ("ack", "nack", "reject"))

    def dump(self, result: Answer) -> Value:
        """The method or message that came."""
        if isinstance(result.plain, dict) and "name" not in result.plain:
            return {"opened": encode(result.plain)}
        return {"messages": [] if result.plain is None else [encode(result.plain)]}

    def load(self, value: Value, call: Call) -> Answer:
        """The same; a message is on the channel that asks."""
        del call
        if "opened" in value:
            return Answer(decode(value["opened"]))
        return Answer(decode(value["messages"][0]) if value["messages"] else None)

    def dump_error(self, error: BaseException) -> Value:
        """The error, with the message that was returned or refused."""
        entries = {name: entry_of(getattr(error, name, None)) for name in _ENTRIES}
        dumped: dict[str, Any] = {**super().dump_error(error)}
        found = {name: encode(entry) for name, entry in entries.items() if entry is not None}
        frames = {str(index): encode(entry_of(one)) for index, one in enumerate(error.args) if is_method(one)}
        return {**dumped, **({"entries": found} if found else {}), **({"frames": frames} if frames else {})}

    def load_error(self, value: Value, call: Call) -> BaseException:
        """The same, with the message on the channel that asks."""
        error = super().load_error(value, call)
        frames = {int(index): frame_of(decode(entry), None) for index, entry in value.get("frames", {}).items()}
        error.args = tuple(frames.get(index, argument) for index, argument in enumerate(error.args))
        if "entries" in value and isinstance(call, _AmqpCall):
            loaded = {name: frame_of(decode(entry), call.channel) for name, entry in value["entries"].items()}
            for name in _ENTRIES:
                setattr(error, name, loaded.get(name))
            if type(error) is _exceptions.DeliveryError:
                error.args = (loaded.get("message"), loaded.get("frame"))
        return error

    # -- connections -------------------------------------------------------------------------------------------------

    def _wrap_connect(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def connect(connection: Any, *args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is None:
                return await original(connection, *args, **kwargs)

            async def live() -> Answer:
                await original(connection, *args, **kwargs)
                tune = connection.connection_tune
                facts = {"channel_max": tune.channel_max, "frame_max": tune.frame_max}
                return Answer({"server_properties": dict(connection.server_properties), **facts}, True)

            call = Call(functools.partial(_opening, connection.url, connection.vhost), lambda: Answer({}))
            answer = await session.acall(self, call, live)
            if answer.live is None:
                connection._transport_factory = PlayedTransport(answer.plain)
                connection.heartbeat_timeout, connection._fx_played = 0, True
                with beneath():
                    await original(connection, *args, **kwargs)
            return True

        return connect

    def _wrap_close(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def close(connection: Any, *args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is not None and session.answers and not hasattr(connection, "_fx_played"):
                return None  # it was opened before the run and is no replay's to close
            return await original(connection, *args, **kwargs)

        return close

    # -- channels ----------------------------------------------------------------------------------------------------

    def _wrap_rpc(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def rpc(channel: Any, frame: Any, *args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is None:
                return await original(channel, frame, *args, **kwargs)
            sent = Sent(channel.number, frame.name, fields_of(frame))
            answer = await self._cross(session, channel, sent, lambda: original(channel, frame, *args, **kwargs))
            if session.answers:
                await self._follow(session, channel, sent, answer)
            return answer

        return rpc

    def _wrap_get(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def basic_get(channel: Any, queue: str = "", no_ack: Any = None, *args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is None:
                return await original(channel, queue, bool(no_ack), *args, **kwargs)
            no_ack = bool(no_ack)
            sent = Sent(channel.number, "Basic.Get", {"queue": queue, "no_ack": no_ack})
            return await self._cross(session, channel, sent, lambda: original(channel, queue, no_ack, *args, **kwargs))

        return basic_get

    def _wrap_publish(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def basic_publish(channel: Any, body: bytes, **kwargs: Any) -> Any:
            session = crossing()
            if session is None:
                return await original(channel, body, **kwargs)
            properties = kwargs.get("properties")
            sent = Sent(
                channel.number,
                "Basic.Publish",
                {name: kwargs.get(name) for name in ("exchange", "routing_key", "mandatory")},
                {} if properties is None else fields_of(properties),
                bytes(body),
            )
            answer = await self._cross(session, channel, sent, lambda: original(channel, body, **kwargs))
            if session.answers and getattr(answer, "delivery", None) is not None:
                for callback in channel.on_return_callbacks:
                    callback(answer)
            return answer

        return basic_publish

    def _wrap_settle(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        name = f"Basic.{original.__name__.removeprefix('basic_').title()}"

        @functools.wraps(original)
        async def settle(channel: Any, delivery_tag: int, *args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is None:
                return await original(channel, delivery_tag, *args, **kwargs)
            given = {"multiple": args[0]} if args else {}
            given |= {key: value for key, value in kwargs.items() if key != "wait"}
            requeue = {} if name == "Basic.Ack" else {"requeue": True}
            sent = Sent(channel.number, name, {"delivery_tag": delivery_tag, **requeue, **given})
            return await self._cross(session, channel, sent, lambda: original(channel, delivery_tag, *args, **kwargs))

        return settle

    async def _cross(self, session: Any, channel: Any, sent: Sent, ask: Callable[[], Awaitable[Any]]) -> Any:
        """The method, message or None that answers what is sent."""

        async def live() -> Answer:
            answer = await ask()
            return Answer(entry_of(answer), answer)

        otherwise = functools.partial(_locally, sent) if is_prepared_locally((sent,)) else None
        call = _AmqpCall(functools.partial(request_of, (sent,)), otherwise, channel=channel)
        try:
            answer = await session.acall(self, call, live)
        except _exceptions.AMQPError as error:
            if session.answers:
                with beneath():
                    await _closed_by(channel, error)
            raise
        return frame_of(answer.plain, channel) if session.answers else answer.live

    async def _follow(self, session: Any, channel: Any, sent: Sent, answer: Any) -> None:
        """At replay: what aiormq's reader does when an answer comes."""
        if sent.name == "Channel.Close":
            await channel.frames.put((0, method("Channel.CloseOk", {})))
        elif sent.name == "Basic.Cancel":
            tag = sent.fields["consumer_tag"]
            channel.consumers.pop(tag, None)
            pump = vars(channel).setdefault("_fx_pumps", {}).pop(tag, None)
            if pump is not None:
                pump.cancel()
        elif sent.name == "Basic.Consume" and answer is not None:
            consumer = channel.consumers.pop(sent.fields["consumer_tag"], None)
            channel.consumers[answer.consumer_tag] = consumer
            pump = asyncio.get_running_loop().create_task(
                self._deliver(session, channel, str(sent.fields["queue"]), answer.consumer_tag)
            )
            vars(channel).setdefault("_fx_pumps", {})[answer.consumer_tag] = pump
            channel.closing.add_done_callback(lambda _: pump.cancel())

    # -- consumers ---------------------------------------------------------------------------------------------------

    def _wrap_consume(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def basic_consume(channel: Any, queue: str, consumer_callback: Any, *args: Any, **kwargs: Any) -> Any:
            session, lane = crossing(), open_lane()
            if session is None or session.answers or lane is None:
                return await original(channel, queue, consumer_callback, *args, **kwargs)
            started_ns = [ambient.monotonic_ns()]

            async def receive(message: Any) -> Any:
                if lane.session.closed:
                    return await _called(consumer_callback, message)
                with entered(LANE.get() or lane):
                    call = Call(functools.partial(receiving, queue), started_ns=started_ns[0])
                    await session.acall(self, call, functools.partial(_delivered, message))
                    started_ns[0] = ambient.monotonic_ns()
                    return await _called(consumer_callback, message)

            return await original(channel, queue, receive, *args, **kwargs)

        return basic_consume

    async def _deliver(self, session: Any, channel: Any, queue: str, tag: str) -> None:
        """At replay: give a consumer what it received in the recording, one after the other."""
        while True:
            call = Call(functools.partial(receiving, queue), lambda: Answer(None))
            answer = await session.acall(self, call, _never)
            if answer.plain is None:
                return
            entry = answer.plain
            message = frame_of({**entry, "fields": {**entry["fields"], "consumer_tag": tag}}, channel)
            for frame in (
                message.delivery,
                message.header,
                *([_body.ContentBody(message.body)] if message.body else []),
            ):
                await channel.frames.put((0, frame))


boundary = AiormqBoundary()


async def _never() -> Answer:
    raise AssertionError("a replay asks nobody")


async def _delivered(message: Any) -> Answer:
    return Answer(entry_of(message), message)


async def _called(callback: Any, message: Any) -> Any:
    result = callback(message)
    return await result if hasattr(result, "__await__") else result


def _opening(url: Any, vhost: str) -> Request:
    place = f"amqp://{url.host}:{url.port}/{vhost}"
    return {"control": "Connection.Open", "channel": place, "direction": "send", "payload": None, "headers": []}


def _locally(sent: Sent) -> Answer:
    reply = local_reply(sent)
    return Answer(None if reply is None else {"name": reply[0], "fields": reply[1]})


async def _closed_by(channel: Any, error: Any) -> None:
    """At replay: leave a channel, or its connection, as the broker left it when it raised a recorded error."""
    if isinstance(error, _exceptions.AMQPConnectionError):
        with suppress(Exception):
            await channel.connection.close(error)
    elif isinstance(error, _exceptions.ChannelClosed) and not channel.is_closed:
        code = _CODES.get(type(error)) or (error.args[0] if error.args else 504)
        channel.write_queue = asyncio.Queue()
        close = {"reply_code": code, "reply_text": str(error.args[-1]), "class_id": 0, "method_id": 0}
        await channel.frames.put((0, method("Channel.Close", close)))
        with suppress(BaseException):
            await asyncio.wait_for(asyncio.shield(channel.closing), 5)
