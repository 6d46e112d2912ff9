"""What programs do with paho-mqtt, each as a function of a `Mqtt`; names are the table's."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import paho.mqtt.client as mqtt
import paho.mqtt.publish
import paho.mqtt.subscribe
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.boundaries.forwarded import Forwarded

__all__ = ["BEHAVIOURS", "Mqtt", "client_of", "connected"]

_MOST_S = 3


class Mqtt(Forwarded):
    """Mosquitto with topics of its own, one of which has a retained message."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.name = f"fluxrun/{uuid.uuid4().hex[:12]}"
        self.direct = port
        self._retain(b"kept")

    def take_away(self) -> None:
        """What the last client sent as it went may still be on its way."""
        before = -1
        while before != (before := self.calls()):
            threading.Event().wait(0.02)
        super().take_away()

    def delete(self) -> None:
        self._retain(b"")
        self.close()

    def _retain(self, payload: bytes) -> None:
        paho.mqtt.publish.single(f"{self.name}/kept", payload, retain=True, qos=1, port=self.direct)


def _until(ready: Callable[[], Any]) -> Any:
    """What `ready` gives, once it gives something; waiting for an event would end at once on a clock that jumps."""
    for _ in range(_MOST_S * 1000):
        found = ready()
        if found:
            return found
        time.sleep(0.001)
    raise TimeoutError


def _got(found: queue.Queue[Any], count: int = 1) -> list[Any]:
    _until(lambda: found.qsize() >= count)
    return [found.get_nowait() for _ in range(count)]


def client_of(**options: Any) -> Any:
    if hasattr(mqtt, "CallbackAPIVersion"):
        return mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, **options)
    return mqtt.Client(**options)


@contextmanager
def connected(server: Mqtt, **options: Any) -> Iterator[Any]:
    """A client whose loop runs in a thread, connected and ready."""
    client = client_of(**options)
    ready = threading.Event()
    client.on_connect = lambda *_: ready.set()
    client.connect("127.0.0.1", server.port)
    client.loop_start()
    try:
        _until(ready.is_set)
        yield client
    finally:
        with suppress(TimeoutError):  # what confirms the last messages may be on its way
            _until(lambda: not client._out_messages and not client._in_messages)
        client.disconnect()
        client.loop_stop()


def _published(qos: int, payload: Any = "hello", **options: Any) -> Callable[[Mqtt], Any]:
    def published(server: Mqtt) -> Any:
        with connected(server) as client:
            info = client.publish(f"{server.name}/out", payload, qos, **options)
            info.wait_for_publish()
            return info.mid, info.rc, info.is_published(), tuple(info)

    return published


def _told(message: Any) -> Any:
    return message.topic.rpartition("/")[2], message.payload, message.qos, message.retain, message.mid


def _received(server: Mqtt, client: Any, topics: Any, send: Callable[[], Any], count: int) -> list[Any]:
    found: queue.Queue[Any] = queue.Queue()
    ready = threading.Event()
    client.on_message = lambda _client, _data, message: found.put(_told(message))
    client.on_subscribe = lambda *_: ready.set()
    client.subscribe(topics)
    _until(ready.is_set)
    send()
    return _got(found, count)


def _own(qos: int) -> Callable[[Mqtt], Any]:
    def own(server: Mqtt) -> Any:
        with connected(server) as client:
            topic = f"{server.name}/own"
            return _received(server, client, (topic, qos), lambda: client.publish(topic, b"\x00\xff", qos), 1)

    return own


def _retained(server: Mqtt) -> Any:
    with connected(server) as client:
        return _received(server, client, f"{server.name}/kept", lambda: None, 1)


def _many(server: Mqtt) -> Any:
    with connected(server) as client:

        def send() -> None:
            for number in range(5):
                client.publish(f"{server.name}/{number % 2}", str(number), 1)

        return _received(server, client, [(f"{server.name}/0", 1), (f"{server.name}/1", 1)], send, 5)


def _filtered(server: Mqtt) -> Any:
    found: queue.Queue[Any] = queue.Queue()
    with connected(server) as client:
        client.message_callback_add(f"{server.name}/+/a", lambda _client, _data, message: found.put(_told(message)))
        ready = threading.Event()
        client.on_subscribe = lambda *_: ready.set()
        client.subscribe(f"{server.name}/#", 1)
        _until(ready.is_set)
        client.publish(f"{server.name}/x/b", "no", 1)
        client.publish(f"{server.name}/x/a", "yes", 1)
        return _got(found)


def _unsubscribed(server: Mqtt) -> Any:
    done = threading.Event()
    with connected(server) as client:
        client.on_unsubscribe = lambda *_: done.set()
        first = client.subscribe(f"{server.name}/a")
        second = client.unsubscribe(f"{server.name}/a")
        return first, second, _until(done.is_set)


def _publications_reported(server: Mqtt) -> Any:
    found: queue.Queue[int] = queue.Queue()
    with connected(server) as client:
        client.on_publish = lambda _client, _data, mid, *_: found.put(mid)
        sent = [client.publish(f"{server.name}/out", str(qos), qos).mid for qos in (0, 1, 2)]
        return sent, sorted(_got(found, 3))


def _reported(server: Mqtt) -> Any:
    found: list[Any] = []
    done = threading.Event()
    client = client_of(userdata={"tenant": "t"})

    def on_connect(_client: Any, data: Any, flags: Any, code: Any, *_: Any) -> None:
        found.append(("connected", data, str(code)))

    def on_disconnect(_client: Any, _data: Any, *_: Any) -> None:
        found.append("disconnected")
        done.set()

    client.on_connect, client.on_disconnect = on_connect, on_disconnect
    client.connect("127.0.0.1", server.port)
    client.loop_start()
    _until(lambda: found)
    before = client.is_connected()
    client.disconnect()
    _until(done.is_set)
    client.loop_stop()
    return found, before, client.is_connected()


def _looped_by_hand(server: Mqtt) -> Any:
    client = client_of()
    client.connect("127.0.0.1", server.port)
    while not client.is_connected():
        client.loop(0.1)
    info = client.publish(f"{server.name}/out", "x", 1)
    while not info.is_published():
        client.loop(0.1)
    client.disconnect()
    return info.mid, info.rc


def _looped_for_ever(server: Mqtt) -> Any:
    client = client_of()
    found: list[Any] = []

    def on_message(client: Any, _data: Any, message: Any) -> None:
        found.append(_told(message))
        client.disconnect()

    client.on_connect = lambda client, *_: client.subscribe(f"{server.name}/kept")
    client.on_message = on_message
    client.connect("127.0.0.1", server.port)
    return client.loop_forever(), found


def _bad_topic(server: Mqtt) -> Any:
    with connected(server) as client:
        client.publish("a/#/b", "x")


def _bad_qos(server: Mqtt) -> Any:
    with connected(server) as client:
        client.publish(f"{server.name}/out", "x", 3)


def _unconnected(server: Mqtt) -> Any:
    info = client_of().publish(f"{server.name}/out", "x")
    try:
        info.wait_for_publish(0.1)
    except RuntimeError as error:
        return info.rc, str(error)


def _refused(_: Mqtt) -> Any:
    client_of().connect("127.0.0.1", 1)


def _version_5(server: Mqtt) -> Any:
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = ("tenant", "t")
    properties.ContentType = "application/json"
    found: queue.Queue[Any] = queue.Queue()
    ready = threading.Event()
    with connected(server, protocol=mqtt.MQTTv5) as client:
        client.on_message = lambda _client, _data, message: found.put((_told(message), message.properties.json()))
        client.on_subscribe = lambda *_: ready.set()
        client.subscribe(f"{server.name}/five", 1)
        _until(ready.is_set)
        client.publish(f"{server.name}/five", '{"a": 1}', 1, properties=properties).wait_for_publish()
        return _got(found)


def _nobody_listens(server: Mqtt) -> Any:
    found: queue.Queue[Any] = queue.Queue()
    with connected(server, protocol=mqtt.MQTTv5) as client:
        client.on_publish = lambda _client, _data, mid, *said: found.put((mid, list(map(str, said[:1]))))
        client.publish(f"{server.name}/nobody", "x", 1)
        return _got(found)


def _single(server: Mqtt) -> Any:
    return paho.mqtt.publish.single(f"{server.name}/out", "once", 1, port=server.port)


def _multiple(server: Mqtt) -> Any:
    messages = [{"topic": f"{server.name}/out", "payload": str(number), "qos": 1} for number in range(3)]
    return paho.mqtt.publish.multiple(messages, port=server.port)


def _simple(server: Mqtt) -> Any:
    return _told(paho.mqtt.subscribe.simple(f"{server.name}/kept", port=server.port))


BEHAVIOURS: dict[str, Callable[[Mqtt], Any]] = {
    "publish, at most once": _published(0),
    "publish, at least once": _published(1),
    "publish, exactly once": _published(2),
    "publish bytes": _published(1, b"\x00\xff"),
    "publish a number": _published(0, 21.5),
    "publish nothing": _published(1, None),
    "publish and retain": _published(1, "x", retain=False),
    "receive, at most once": _own(0),
    "receive, at least once": _own(1),
    "receive, exactly once": _own(2),
    "receive what was retained": _retained,
    "many messages of two topics": _many,
    "callback of a filter": _filtered,
    "unsubscribe": _unsubscribed,
    "publications reported to a callback": _publications_reported,
    "connection reported to callbacks": _reported,
    "loop by hand": _looped_by_hand,
    "loop for ever": _looped_for_ever,
    "bad topic": _bad_topic,
    "bad quality of service": _bad_qos,
    "publish unconnected": _unconnected,
    "connection refused": _refused,
    "version 5 with properties": _version_5,
    "version 5, nobody listens": _nobody_listens,
    "publish.single": _single,
    "publish.multiple": _multiple,
    "subscribe.simple": _simple,
}
