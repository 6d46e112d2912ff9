"""pika: exchanges of a `BlockingConnection` with its broker, one crossing for each time it waits for the wire.

pika's own state machine runs at both sides: at replay the recorded frames are fed to it and what it sends is compared.
Connections that drive themselves by callbacks (SelectConnection and its like) are refused by name in `pika_callbacks`.
"""

# ruff: noqa: SLF001 - the seams are pika's private methods (1.3 to 1.4), and their own attributes bear the prefix _fx
from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.amqp import pika_frames
from pytest_fluxrun.boundaries.amqp.messages import Sent, is_prepared_locally, local_reply, request_of
from pytest_fluxrun.boundaries.amqp.pika_played import PlayedConnection
from pytest_fluxrun.boundary import Boundary, Call, Kind, Patch, Request
from pytest_fluxrun.context import beneath, carried, crossing, open_lane, virtual_clock
from pytest_fluxrun.kinds.message import MESSAGE
from pytest_fluxrun.values import Value, dump_error, encode, load_error

__all__ = ["PikaBoundary", "boundary"]

_frame: Any = import_module("pika.frame")
_exceptions: Any = import_module("pika.exceptions")


@dataclass(slots=True, eq=False)
class Exchange:
    """What came from the broker while a connection waited.

    Attributes:
        sent: the methods that went out before.
        raw: the frames that came, as bytes.
        entries: the same, of a recording.
        timers: how many of the connection's timers were due meanwhile.
        waited: for how long nothing came, in seconds, where no recording tells of it.
        opened: what was told of the server when the connection was opened in this exchange.
    """

    sent: Sequence[Sent]
    raw: list[bytes] = field(default_factory=list)
    entries: Sequence[Value] | None = None
    timers: int = 0
    opened: Any = None
    waited: float = 0.0
    channel: int = 0
    tag: str = ""


class PikaBoundary(Boundary[Exchange]):
    """`pika.BlockingConnection` and its channels."""

    name: ClassVar[str] = "pika"
    kind: ClassVar[Kind] = MESSAGE
    modules: ClassVar[tuple[str, ...]] = ("pika.adapters.blocking_connection",)
    distribution: ClassVar[str] = "pika"
    tested: ClassVar[tuple[str, str]] = ("1.3.2", "1.4.4")

    def patches(self, module: Any) -> Iterable[Patch]:
        """Opening, sending, each wait for the wire, and what another thread asks of a connection."""
        yield Patch(module.BlockingConnection, "_create_connection", self._wrap_open)
        yield Patch(module.BlockingConnection, "_flush_output", self._wrap_flush)
        yield Patch(module.BlockingConnection, "process_data_events", _wrap_process)
        yield Patch(module.BlockingConnection, "add_callback_threadsafe", _wrap_threadsafe)
        connection = module.pika.connection.Connection
        yield Patch(connection, "_send_method", _wrap_send)
        yield Patch(connection, "_read_frame", _wrap_read)

    def dump(self, result: Exchange) -> Value:
        """The messages and methods that came."""
        if result.opened is not None:
            return {"opened": encode(result.opened)}
        dumped: dict[str, Any] = {"messages": pika_frames.dumped(result.raw)}
        if result.timers:
            dumped["timers"] = result.timers
        if result.sent:
            dumped["channel"] = result.sent[0].channel
            dumped["consumer_tag"] = encode(_tag(result.sent))
        return dumped

    def load(self, value: Value, call: Call) -> Exchange:
        """The same, to be fed to the connection."""
        del call
        if "opened" in value:
            return Exchange((), opened=value["opened"])
        return Exchange(
            (),
            entries=value["messages"],
            timers=value.get("timers", 0),
            channel=value.get("channel", 0),
            tag=value.get("consumer_tag", ""),
        )

    def dump_error(self, error: BaseException) -> Value:
        """The error with those that pika's own connectors keep in it."""
        return _with_inner(dump_error(error), error)

    def load_error(self, value: Value, call: Call) -> BaseException:
        """The same."""
        del call
        return _inner_again(load_error(value), value)

    def _wrap_open(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def _create_connection(owner: Any, configs: Any = None, impl_class: Any = None) -> Any:
            session = crossing()
            if session is None:
                return original(owner, configs, impl_class)
            made: list[Any] = []

            def live() -> Exchange:
                made.append(original(owner, configs, impl_class))
                return Exchange((), opened=_facts(made[0]))

            first = configs if not isinstance(configs, Sequence) else configs[0] if configs else None
            call = Call(functools.partial(_opening, first), lambda: Exchange((), opened={}))
            exchange = session.call(self, call, live)
            if made:
                return made[0]
            with beneath():  # a connection inside is no connection of the program's
                return PlayedConnection(first, exchange.opened)

        return _create_connection

    def _wrap_flush(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def _flush_output(owner: Any, *waiters: Callable[[], bool]) -> None:
            session, impl = crossing(), owner._impl
            impl._fx_owned = True
            if session is None or owner.is_closed:
                return original(owner, *waiters)
            sent, impl._fx_sent = tuple(getattr(impl, "_fx_sent", ())), []
            if not sent and waiters and any(ready() for ready in waiters):  # what was waited for had come before
                return None if session.answers else original(owner, *waiters)
            call = Call(functools.partial(request_of, sent), _otherwise(owner, sent))

            def live() -> Exchange:
                exchange = Exchange(sent)
                impl._fx_raw = exchange.raw
                before = len(owner._ready_events)
                try:
                    original(owner, *waiters)
                finally:
                    impl._fx_raw = None
                exchange.timers = len(owner._ready_events) - before
                return exchange

            exchange = self._cross(session, owner, call, live)
            if exchange.entries is not None:
                with beneath():
                    _feed(impl, exchange, sent)
                _end_of_wait(owner)
            return None

        return _flush_output

    def _cross(self, session: Any, owner: Any, call: Call, live: Callable[[], Exchange]) -> Exchange:
        try:
            exchange: Exchange = session.call(self, call, live)
        except Exception as error:
            impl = owner._impl
            if isinstance(impl, PlayedConnection) and not impl.is_closed and not hasattr(error, "asked"):
                impl._on_stream_terminated(error)
            raise
        return exchange


boundary = PikaBoundary()


def _end_of_wait(owner: Any) -> None:
    """What `_flush_output` does where the connection was closed while it waited."""
    if owner._closed_result.ready:
        error = owner._closed_result.value.error
        try:
            if not isinstance(error, _exceptions.ConnectionClosedByClient):
                raise error
        finally:
            owner._cleanup()


def _opening(parameters: Any) -> Request:
    place = f"amqp://{parameters.host}:{parameters.port}/{parameters.virtual_host}" if parameters is not None else ""
    return {"control": "Connection.Open", "channel": place, "direction": "send", "payload": None, "headers": []}


def _facts(impl: Any) -> dict[str, Any]:
    params = impl.params
    return {
        "server_properties": dict(impl.server_properties or {}),
        "channel_max": params.channel_max,
        "frame_max": params.frame_max,
        "heartbeat": params.heartbeat,
    }


def _tag(sent: Sequence[Sent]) -> str:
    return next((str(one.fields["consumer_tag"]) for one in sent if one.fields.get("consumer_tag")), "")


def _otherwise(owner: Any, sent: Sequence[Sent]) -> Callable[[], Exchange] | None:
    """What answers where nothing is recorded: what only prepares; and a wait in which nothing can come, or has come."""
    if sent:
        return functools.partial(_prepared, sent) if is_prepared_locally(sent) else None
    limit, impl = getattr(owner, "_fx_limit", None), owner._impl
    if limit is None:
        return None
    idle = getattr(impl, "_fx_idle", False) or not any(channel.consumer_tags for channel in impl._channels.values())
    return functools.partial(_nothing_came, limit) if idle else None


def _nothing_came(limit: float) -> Exchange:
    clock = virtual_clock()
    if clock is not None:
        clock.sleep(limit)
    return Exchange((), entries=(), waited=limit)


def _wrap_process(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def process_data_events(owner: Any, time_limit: float | None = 0) -> None:
        if crossing() is None:
            return original(owner, time_limit)
        before, owner._fx_limit = getattr(owner, "_fx_limit", None), time_limit
        try:
            return original(owner, time_limit)
        finally:
            owner._fx_limit = before

    return process_data_events


def _prepared(sent: Sequence[Sent]) -> Exchange:
    """What answers methods that only prepare, where nothing is recorded for them."""
    entries = []
    for one in sent:
        reply = local_reply(one)
        if reply is not None:
            entries.append(encode({"channel": one.channel, "name": reply[0], "fields": reply[1]}))
    return Exchange(sent, entries=entries, channel=sent[0].channel, tag=_tag(sent))


def _feed(impl: Any, exchange: Exchange, sent: Sequence[Sent]) -> None:
    """Give a connection what it received in the recording, under the numbers and tags that it has here."""
    known = vars(impl).setdefault("_fx_known", ({}, {}))
    channels, tags = known
    if sent:
        channels[exchange.channel] = sent[0].channel
        tags[exchange.tag] = _tag(sent)
    impl._fx_idle = not sent and not exchange.entries
    impl._fx_playing = True
    try:
        for one in pika_frames.loaded(exchange.entries or (), channels, tags):
            if impl._channels is not None and (not one.channel_number or one.channel_number in impl._channels):
                impl._process_frame(one)
        if isinstance(impl, PlayedConnection):
            impl.loop.fire(exchange.timers, exchange.waited)
    finally:
        impl._fx_playing = False


def _wrap_send(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def _send_method(impl: Any, channel_number: int, method: Any, content: Any = None) -> None:
        session = crossing()
        if getattr(impl, "_fx_playing", False):  # an answer to what is being served: the recorded one went out
            return None
        if session is None:
            return None if isinstance(impl, PlayedConnection) else original(impl, channel_number, method, content)
        if session.answers:
            _marshalled(channel_number, method, content)
        else:
            original(impl, channel_number, method, content)
        properties, body = content or (None, b"")
        one = Sent(
            channel_number,
            method.NAME,
            pika_frames.fields_of(method),
            None if properties is None else pika_frames.properties_of(properties),
            bytes(body),
        )
        vars(impl).setdefault("_fx_sent", []).append(one)
        return None

    return _send_method


def _marshalled(channel_number: int, method: Any, content: Any) -> None:
    """What can't be sent is refused by pika as it is where it is sent."""
    _frame.Method(channel_number, method).marshal()
    if content:
        _frame.Header(channel_number, len(content[1]), content[0]).marshal()


def _wrap_read(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _read_frame(impl: Any) -> Any:
        read = original(impl)
        raw = vars(impl).get("_fx_raw")
        if raw is not None and read[1] is not None:
            raw.append(bytes(impl._frame_buffer[: read[0]]))
        return read

    return _read_frame


def _wrap_threadsafe(original: Callable[..., None]) -> Callable[..., None]:
    """What a run asks another thread to do with a connection is the run's; at replay no such thread waits for it."""

    @functools.wraps(original)
    def add_callback_threadsafe(owner: Any, callback: Callable[..., Any]) -> None:
        session, lane = crossing(), open_lane()
        if session is None or lane is None:
            return original(owner, callback)
        return original(owner, carried(callback, lane))

    return add_callback_threadsafe


def _with_inner(value: Value, error: BaseException) -> Value:
    inner = getattr(error, "exception", None)
    if isinstance(inner, BaseException):
        value = {**value, "inner": _with_inner(dump_error(inner), inner)}
    for index, argument in enumerate(error.args):
        if isinstance(argument, BaseException):
            value["errors"][str(index)] = _with_inner(value["errors"][str(index)], argument)
    return value


def _inner_again(error: BaseException, value: Value) -> BaseException:
    if "inner" in value:
        vars(error)["exception"] = _inner_again(load_error(value["inner"]), value["inner"])
    for index, argument in enumerate(error.args):
        if isinstance(argument, BaseException):
            _inner_again(argument, value["errors"][str(index)])
    return error
