"""paho-mqtt: what a run publishes and subscribes to, and the packets that a client receives whose loop runs in the run.

A client that was connected before the run, and whose loop belongs to no run, publishes and waits in it all the same;
messages that it receives are no run's. At replay a client has a socket that takes everything and says nothing: the
recorded packets are given to paho's own reader. An external event loop that watches the socket sees none of them.
"""

# ruff: noqa: SLF001 - paho's names (1.6 to 2.2)
from __future__ import annotations

import functools
import select
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar, Final

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries.paho import forms
from pytest_fluxrun.boundary import Boundary, Call, Kind, Patch
from pytest_fluxrun.context import beneath, crossing, reading
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.kinds.message import MESSAGE
from pytest_fluxrun.values import Value, decode, encode

__all__ = ["PahoMqttBoundary", "boundary"]

_PINGS: Final = frozenset({0xC0, 0xD0})
_SUCCESS: Final = 0
_NOTHING_CAME_S: Final = 0.05
"""Of the run's own time; a packet that is held back comes in the end, for a changed program may send fewer."""
_LOCAL: Final = "local"
_POLL_S: Final = 0.001
_MOST_POLLS: Final = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: plain data; `live` is the object itself at the recording side."""

    plain: Any = None
    live: Any = None


@dataclass(slots=True)
class _State:
    """What is known of a client inside a run.

    Attributes:
        number: the how many-th client of its run it is.
        started_ns: since when it waits for the next packet.
        sent: how many packets it has sent; at replay none comes before as many have gone as in the recording.
        held: at replay, the packet that is held back for that.
        polls: how often it was.
        awaits: at replay, it has subscribed to what the recording knows nothing of: that nothing comes isn't known.
        local: at replay, packets that only confirm what was prepared, where the recording has none.
    """

    number: int
    started_ns: int
    sent: int = 0
    held: Any = None
    polls: int = 0
    awaits: bool = False
    local: list[Any] = field(default_factory=list)


class PlayedSocket:
    """What a replay's client has in place of a connection."""

    def send(self, data: Any) -> int:
        """Everything is taken."""
        return len(data)

    def recv(self, size: int) -> bytes:
        """Nothing comes by itself."""
        del size
        raise BlockingIOError

    def fileno(self) -> int:
        """There is no file."""
        return -1

    def close(self) -> None:
        """There is nothing to close."""

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 - as a socket's
        """It never blocks."""


class PahoMqttBoundary(Boundary[Answer]):
    """`paho.mqtt.client.Client`, and the functions of `paho.mqtt.publish` and `subscribe` above it."""

    name: ClassVar[str] = "paho-mqtt"
    kind: ClassVar[Kind] = MESSAGE
    modules: ClassVar[tuple[str, ...]] = ("paho.mqtt.client",)
    distribution: ClassVar[str] = "paho-mqtt"
    tested: ClassVar[tuple[str, str]] = ("1.6.1", "2.2.0")

    def patches(self, module: Any) -> Iterable[Patch]:
        """Connecting, the client's verbs, waiting for a publication, and each packet that comes."""
        client = module.Client
        yield Patch(client, "_create_socket" if hasattr(client, "_create_socket") else _OLD_SOCKET, self._wrap_socket)
        yield Patch(client, "publish", self._wrap_publish)
        yield Patch(client, "subscribe", functools.partial(self._wrap_subscribe, "subscribe"))
        yield Patch(client, "unsubscribe", functools.partial(self._wrap_subscribe, "unsubscribe"))
        if hasattr(client, "ack"):
            yield Patch(client, "ack", self._wrap_ack)
        yield Patch(client, "_packet_queue", _wrap_queue)
        yield Patch(client, "_packet_handle", self._wrap_packet)
        yield Patch(client, "_loop_rc_handle", self._wrap_lost)
        yield Patch(client, "loop_read", self._wrap_read)
        yield Patch(client, "_loop", _wrap_loop)
        yield Patch(module.MQTTMessageInfo, "wait_for_publish", self._wrap_wait)
        yield Patch(module.MQTTMessageInfo, "is_published", _wrap_published)

    def dump(self, result: Answer) -> Value:
        """Plain data; a packet stands where messages do."""
        if isinstance(result.plain, dict) and "command" in result.plain:
            return {"messages": [encode(result.plain)]}
        return {"answer": encode(result.plain)}

    def load(self, value: Value, call: Call) -> Answer:
        """The same."""
        del call
        return Answer(decode(value["messages"][0] if "messages" in value else value["answer"]))

    # -- what is sent ------------------------------------------------------------------------------------------------

    def _wrap_socket(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        @functools.wraps(original)
        def _create_socket(client: Any) -> Any:
            session = crossing()
            if session is None:
                return original(client)
            client._fx_state = _State(_numbered(session, client), ambient.monotonic_ns())
            call = Call(functools.partial(forms.opened, str(client._host), int(client._port)), lambda: Answer(_LOCAL))
            answer = session.call(self, call, lambda: Answer(None, original(client)))
            if answer.live is not None:
                return answer.live
            if answer.plain == _LOCAL:
                client._fx_state.local.append(forms.confirmed_connection(properties=client._protocol == _V5))
            return PlayedSocket()

        return _create_socket

    def _wrap_publish(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def publish(  # noqa: PLR0917 - as paho has it
            client: Any, topic: str, payload: Any = None, qos: int = 0, retain: Any = None, properties: Any = None
        ) -> Any:
            session = crossing()
            if session is None:
                return original(client, topic, payload, qos, bool(retain), properties)
            retain = bool(retain)
            body = bytes(payload) if isinstance(payload, bytearray) else payload
            said = None if properties is None else properties.json()
            call = Call(functools.partial(forms.published, topic, body, qos, retain, said))

            def live() -> Answer:
                info = original(client, topic, payload, qos, retain, properties)
                return Answer({"mid": info.mid, "rc": int(info.rc)}, info)

            answer = session.call(self, call, live)
            if answer.live is not None:
                return answer.live
            publish_again = functools.partial(original, client, topic, payload, qos, retain, properties)
            info = _again(client, answer.plain["mid"], publish_again)
            info.rc = _code(answer.plain["rc"])
            _publishers[id(info)] = client
            return info

        return publish

    def _wrap_subscribe(self, what: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def subscribe(client: Any, topic: Any, *args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is None:
                return original(client, topic, *args, **kwargs)

            def live() -> Answer:
                code, mid = original(client, topic, *args, **kwargs)
                return Answer({"rc": int(code), "mid": mid}, (code, mid))

            def locally() -> Answer:
                code, mid = original(client, topic, *args, **kwargs)
                if mid is not None and isinstance(client._sock, PlayedSocket):
                    count = 1 if isinstance(topic, str | tuple) else len(topic)
                    is_v5 = client._protocol == _V5
                    client._fx_state.local.append(forms.confirmed(what, mid, count, properties=is_v5))
                    client._fx_state.awaits |= what == "subscribe"
                return Answer(None, (code, mid))

            answer = session.call(self, Call(functools.partial(forms.subscribed, what, _topics(topic)), locally), live)
            if answer.live is not None:
                return answer.live
            mid = answer.plain["mid"]
            if mid is not None:
                _again(client, mid, functools.partial(original, client, topic, *args, **kwargs))
            return _code(answer.plain["rc"]), mid

        return subscribe

    def _wrap_ack(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def ack(client: Any, mid: int, qos: int) -> Any:
            session = crossing()
            if session is None:
                return original(client, mid, qos)

            def live() -> Answer:
                code = original(client, mid, qos)
                return Answer(int(code), (code,))

            answer = session.call(self, Call(functools.partial(forms.acknowledged, mid, qos)), live)
            return answer.live[0] if answer.live is not None else _code(answer.plain)

        return ack

    def _wrap_wait(self, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def wait_for_publish(info: Any, timeout: float | None = None) -> None:
            session = crossing()
            if session is None:
                return original(info, timeout)

            def live() -> Answer:
                original(info, timeout)
                return Answer({"published": info._published, "rc": int(info.rc)}, info)

            answer = session.call(self, Call(functools.partial(forms.waited, info.mid)), live)
            if answer.live is None:
                info.rc = _code(answer.plain["rc"])
                if answer.plain["published"]:
                    self._await(original, info)
            return None

        return wait_for_publish

    @staticmethod
    def _await(original: Callable[..., None], info: Any) -> None:
        """At replay: a message has been published; a loop of the run is given the time to read that it has."""
        client = _publishers.get(id(info))
        if client is not None and client._thread is not None and isinstance(client._sock, PlayedSocket):
            with beneath():
                original(info, None)
        info._set_as_published()

    # -- what comes --------------------------------------------------------------------------------------------------

    def _wrap_packet(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Recording: a packet has come. What paho and the program make of it is the run's, and no part of the call."""

        @functools.wraps(original)
        def _packet_handle(client: Any) -> Any:
            session, came, state = crossing(), client._in_packet, vars(client).get("_fx_state")
            if session is None or session.answers or state is None or came["command"] & 0xF0 in _PINGS:
                return original(client)
            is_v5 = client._protocol == _V5
            plain = forms.split(came["command"], bytes(came["packet"]), properties=is_v5)
            self._note(session, state, {**plain, "after": state.sent})
            return original(client)

        return _packet_handle

    def _wrap_lost(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Recording: the connection was lost, or closed by the broker."""

        @functools.wraps(original)
        def _loop_rc_handle(client: Any, rc: Any, *args: Any) -> Any:
            session, state = crossing(), vars(client).get("_fx_state")
            if session is not None and not session.answers and state is not None and rc and client._sock is not None:
                self._note(session, state, {"lost": int(rc), "after": state.sent})
            return original(client, rc, *args)

        return _loop_rc_handle

    def _note(self, session: Any, state: _State, plain: Any) -> None:
        call = Call(functools.partial(forms.packets, state.number), started_ns=state.started_ns)
        session.call(self, call, lambda: Answer(plain, state))
        state.started_ns = ambient.monotonic_ns()

    def _wrap_read(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """At replay: give the client the packet that it received next."""

        @functools.wraps(original)
        def loop_read(client: Any, *args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is None or not session.answers or not isinstance(client._sock, PlayedSocket):
                return original(client, *args, **kwargs)
            came_now = self._next(session, client)
            if came_now is None:
                return _code(_SUCCESS)
            if "lost" in came_now:
                return client._loop_rc_handle(_code(came_now["lost"]))
            command, packet = forms.joined(came_now)
            came = client._in_packet
            came |= {"command": command, "have_remaining": 1, "remaining_length": len(packet), "pos": 0}
            came["packet"] = bytearray(packet)
            try:
                return client._packet_handle()
            finally:
                client._in_packet = {**came, **_NO_PACKET, "remaining_count": [], "packet": bytearray()}

        return loop_read

    def _next(self, session: Any, client: Any) -> Any:
        """At replay: what was received next, if what it answers has been sent."""
        state = client._fx_state
        if state.local:
            return state.local.pop(0)
        if state.held is None:
            otherwise = None if state.awaits else Answer
            call = Call(functools.partial(forms.packets, state.number), otherwise)
            try:
                state.held = session.call(self, call, _never).plain
            except UnrecordedCall:
                if threading.current_thread() is not client._thread:
                    raise
                state.held = None  # the session keeps it; paho's own thread would only die of it
            state.polls = 0
        held = state.held
        if held is None or (state.sent < held["after"] and state.polls < _MOST_POLLS):
            state.polls += 1
            select.select((), (), (), _POLL_S)  # so that other threads get on
            threading.Event().wait(_NOTHING_CAME_S)
            return None
        state.held = None
        return held


boundary = PahoMqttBoundary()

_publishers: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""At replay: whose a publication is, by its identity."""
_numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
_V5: Final = 5
_OLD_SOCKET: Final = "_create_socket_connection"
_NO_PACKET: Final = {
    "command": 0,
    "have_remaining": 0,
    "remaining_mult": 1,
    "remaining_length": 0,
    "to_process": 0,
    "pos": 0,
}


def _numbered(session: Any, client: Any) -> int:
    known = vars(client).get("_fx_state")
    number = _numbers.get(session, 0) + 1 if known is None else known.number
    _numbers[session] = max(number, _numbers.get(session, 0))
    return int(number)


def _never() -> Answer:
    raise AssertionError("a replay asks nobody")


def _topics(topic: Any) -> Any:
    if isinstance(topic, str):
        return topic
    many = topic if isinstance(topic, list) else [topic]
    return [[str(part) for part in one] if isinstance(one, tuple) else str(one) for one in many]


def _code(number: int) -> Any:
    codes = getattr(import_module("paho.mqtt.client"), "MQTTErrorCode", int)
    return codes(number)


def _again(client: Any, mid: int, do: Callable[[], Any]) -> Any:
    """At replay: what paho does itself when it sends, under the number that the message had.

    A client that is connected live, from before the run, does nothing.
    """
    if client._sock is not None and not isinstance(client._sock, PlayedSocket):
        return import_module("paho.mqtt.client").MQTTMessageInfo(mid)
    with client._mid_generate_mutex:
        client._last_mid = mid - 1
    with beneath():
        return do()


def _wrap_queue(original: Callable[..., Any]) -> Callable[..., Any]:
    """At replay a connection from before the run takes nothing."""

    @functools.wraps(original)
    def _packet_queue(client: Any, *args: Any, **kwargs: Any) -> Any:
        session, state = reading(), vars(client).get("_fx_state")
        sock = client._sock
        if session is not None and session.answers and sock is not None and not isinstance(sock, PlayedSocket):
            return _code(_SUCCESS)
        if state is not None:
            state.sent += 1
        return original(client, *args, **kwargs)

    return _packet_queue


def _wrap_loop(original: Callable[..., Any]) -> Callable[..., Any]:
    """At replay nobody selects: what is to be written is taken at once, and what was received comes in its time."""

    @functools.wraps(original)
    def _loop(client: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(client._sock, PlayedSocket):
            return original(client, *args, **kwargs)
        code = client.loop_write()
        if code or client._sock is None:
            return code
        return client.loop_read()

    return _loop


def _wrap_published(original: Callable[[Any], bool]) -> Callable[[Any], bool]:
    @functools.wraps(original)
    def is_published(info: Any) -> bool:
        session = reading()
        if session is None:
            return original(info)
        return bool(session.read("paho-mqtt", f"message {info.mid} is published", functools.partial(original, info)))

    return is_published
