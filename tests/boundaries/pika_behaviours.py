"""What programs do with pika's blocking connection, each as a function of a `Broker`; names are the table's."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pika
import pika.exceptions

from pytest_fluxrun.testing.live_hits import CountsLiveHits
from tests.boundaries.forwarded import Forwarded

__all__ = ["BEHAVIOURS", "Broker", "opened"]

JSON = pika.BasicProperties(content_type="application/json")


class Broker(Forwarded):
    """RabbitMQ with names of its own: a queue that holds two messages, and an exchange."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.direct = port
        self.name = f"fluxrun-{uuid.uuid4().hex}"
        self.queue, self.exchange, self.other = f"{self.name}-q", f"{self.name}-x", f"{self.name}-o"
        self.reset()

    def reset(self) -> None:
        with self._connected() as channel:
            self._delete(channel)
            channel.queue_declare(self.queue)
            channel.exchange_declare(self.exchange, "topic")
            channel.confirm_delivery()
            for number in (1, 2):
                properties = pika.BasicProperties("application/json", headers={"number": number})
                channel.basic_publish("", self.queue, b'{"number": %d}' % number, properties)

    def take_away(self) -> None:
        """What the last client sent as it went may still be on its way."""
        CountsLiveHits.settle(self)
        super().take_away()

    def delete(self) -> None:
        self.close()
        with self._connected() as channel:
            self._delete(channel)

    @contextmanager
    def _connected(self) -> Any:
        with pika.BlockingConnection(pika.ConnectionParameters(port=self.direct)) as connection:
            yield connection.channel()

    def _delete(self, channel: Any) -> None:
        channel.queue_delete(self.queue)
        channel.queue_delete(self.other)
        channel.exchange_delete(self.exchange)


def opened(broker: Broker, **options: Any) -> pika.BlockingConnection:
    return pika.BlockingConnection(
        pika.ConnectionParameters("127.0.0.1", broker.port, connection_attempts=1, **options)
    )


def _told(message: Any) -> Any:
    """A (method, properties, body) without what names this process."""
    method, properties, body = message
    fields = None if method is None else {key: value for key, value in vars(method).items() if key != "consumer_tag"}
    return type(method).__name__, fields, properties and vars(properties), body


def _on_channel(behaviour: Callable[[Any, Broker], Any]) -> Callable[[Broker], Any]:
    def on_channel(broker: Broker) -> Any:
        with opened(broker) as connection:
            return behaviour(connection.channel(), broker)

    return on_channel


def _error(error: Exception) -> Any:
    return type(error), str(error), error.args, getattr(error, "reply_code", None), getattr(error, "reply_text", None)


def _failing(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return _error(error)


def _confirmed(channel: Any, broker: Broker) -> Any:
    channel.confirm_delivery()
    return channel.basic_publish("", broker.queue, b"{}", JSON, mandatory=True), broker.queue == channel.basic_publish


def _properties(channel: Any, broker: Broker) -> Any:
    properties = pika.BasicProperties(
        content_type="text/plain",
        content_encoding="utf-8",
        headers={"tenant": "t", "tries": 3},
        delivery_mode=2,
        priority=4,
        correlation_id="c",
        reply_to="answers",
        expiration="60000",
        message_id="m",
        timestamp=1_770_000_000,
        type="order",
        user_id="guest",
        app_id="shop",
    )
    channel.queue_purge(broker.queue)
    channel.basic_publish("", broker.queue, "text", properties)
    return _told(channel.basic_get(broker.queue, auto_ack=True))


def _header_types(channel: Any, broker: Broker) -> Any:
    headers = {
        "at": datetime(2026, 5, 4, tzinfo=UTC).replace(tzinfo=None),
        "decimal": Decimal("1.25"),
        "nested": {"list": [1, "two", None, True], "bytes": b"\x00\xff"},
        "large": 2**40,
        "float": 1.5,
    }
    channel.queue_purge(broker.queue)
    channel.basic_publish("", broker.queue, b"", pika.BasicProperties(headers=headers))
    return _told(channel.basic_get(broker.queue, auto_ack=True))


def _to_exchange(channel: Any, broker: Broker) -> Any:
    channel.queue_declare(broker.other)
    channel.queue_bind(broker.other, broker.exchange, "orders.*")
    channel.basic_publish(broker.exchange, "orders.new", b"1")
    channel.basic_publish(broker.exchange, "bills.new", b"2")
    channel.confirm_delivery()
    channel.basic_publish(broker.exchange, "orders.old", b"3")
    return [_told(channel.basic_get(broker.other, auto_ack=True)) for _ in range(3)]


def _large(channel: Any, broker: Broker) -> Any:
    channel.queue_purge(broker.queue)
    channel.basic_publish("", broker.queue, b"\x00\xff" * 150_000)
    channel.queue_declare(broker.queue, passive=True)
    return channel.basic_get(broker.queue, auto_ack=True)[2]


def _unroutable(channel: Any, broker: Broker) -> Any:
    channel.confirm_delivery()
    try:
        channel.basic_publish(broker.exchange, "nobody", b"lost", JSON, mandatory=True)
    except pika.exceptions.UnroutableError as error:
        return [_told((one.method, one.properties, one.body)) for one in error.messages], str(error)


def _returned(channel: Any, broker: Broker) -> Any:
    returned: list[Any] = []
    channel.add_on_return_callback(lambda _, *message: returned.append(_told(message)))
    channel.basic_publish(broker.exchange, "nobody", b"lost", JSON, mandatory=True)
    while not returned:
        channel.connection.process_data_events(time_limit=1)
    return returned


def _nacked(channel: Any, broker: Broker) -> Any:
    channel.queue_declare(broker.other, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.confirm_delivery()
    channel.basic_publish("", broker.other, b"1")
    try:
        channel.basic_publish("", broker.other, b"2")
    except pika.exceptions.NackError as error:
        return str(error), error.messages


def _missing_exchange(channel: Any, broker: Broker) -> Any:
    channel.confirm_delivery()
    first = _failing(lambda: channel.basic_publish(f"{broker.name}-missing", "k", b""))
    return first, channel.is_open, channel.connection.is_open, _failing(lambda: channel.basic_get(broker.queue))


def _two_messages(channel: Any, broker: Broker) -> list[Any]:
    return [channel.basic_get(broker.queue) for _ in range(2)]


def _acknowledged(channel: Any, broker: Broker) -> Any:
    messages = _two_messages(channel, broker)
    channel.basic_ack(messages[0][0].delivery_tag)
    return list(map(_told, messages))


def _acknowledged_together(channel: Any, broker: Broker) -> Any:
    messages = _two_messages(channel, broker)
    channel.basic_ack(messages[1][0].delivery_tag, multiple=True)
    return _told(channel.basic_get(broker.queue))


def _returned_to_queue(channel: Any, broker: Broker) -> Any:
    channel.basic_nack(channel.basic_get(broker.queue)[0].delivery_tag, requeue=True)
    return _told(channel.basic_get(broker.queue))


def _rejected(channel: Any, broker: Broker) -> Any:
    channel.basic_reject(channel.basic_get(broker.queue)[0].delivery_tag, requeue=False)
    return _told(channel.basic_get(broker.queue))


def _unknown_tag(channel: Any, broker: Broker) -> Any:
    channel.basic_ack(99)
    return _failing(lambda: channel.basic_get(broker.queue)), channel.is_open


def _declared(channel: Any, broker: Broker) -> Any:
    found = channel.queue_declare(broker.queue)
    return vars(found.method), type(found).__name__


def _server_named(channel: Any, broker: Broker) -> Any:
    name = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(name, broker.exchange, "#")
    channel.confirm_delivery()
    channel.basic_publish(broker.exchange, "k", b"1")
    return name[:8], _told(channel.basic_get(name, auto_ack=True))


def _transaction(end: str) -> Callable[[Any, Broker], Any]:
    def transaction(channel: Any, broker: Broker) -> Any:
        channel.tx_select()
        channel.basic_publish("", broker.queue, b"in a transaction")
        ended = getattr(channel, f"tx_{end}")()
        return type(ended.method).__name__, channel.queue_declare(broker.queue, passive=True).method.message_count

    return transaction


def _consumed(channel: Any, broker: Broker) -> Any:
    found = []
    channel.basic_qos(prefetch_count=1)
    for method, properties, body in channel.consume(broker.queue):
        found.append(_told((method, properties, body)))
        channel.basic_ack(method.delivery_tag)
        if len(found) == 2:
            break
    return found, channel.cancel(), channel.queue_declare(broker.queue, passive=True).method.message_count


def _consumed_until_idle(channel: Any, broker: Broker) -> Any:
    return [
        _told(message)
        for message, _ in zip(channel.consume(broker.queue, True, inactivity_timeout=0.2), range(3), strict=False)
    ]


def _called_back(channel: Any, broker: Broker) -> Any:
    found: list[Any] = []

    def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        found.append(_told((method, properties, body)))
        channel.basic_ack(method.delivery_tag)
        if len(found) == 2:
            channel.stop_consuming()

    channel.basic_consume(broker.queue, on_message)
    channel.start_consuming()
    return found


def _answered(channel: Any, broker: Broker) -> Any:
    """A call through two queues, as pika's tutorial makes it; this program answers itself."""
    answers: list[Any] = []
    reply_to = channel.queue_declare("", exclusive=True).method.queue
    channel.basic_consume(reply_to, lambda *message: answers.append(_told(message[1:])[3]), auto_ack=True)
    channel.queue_purge(broker.queue)
    channel.basic_publish("", broker.queue, b"2+2", pika.BasicProperties(reply_to=reply_to, correlation_id="7"))
    _, asked, _ = next(channel.consume(broker.queue, auto_ack=True))
    channel.basic_publish("", asked.reply_to, b"4", pika.BasicProperties(correlation_id=asked.correlation_id))
    while not answers:
        channel.connection.process_data_events(time_limit=1)
    return answers


def _two_channels(broker: Broker) -> Any:
    with opened(broker) as connection:
        one, two = connection.channel(), connection.channel()
        first = one.basic_get(broker.queue)
        second = two.basic_get(broker.queue)
        two.basic_nack(second[0].delivery_tag)
        one.close()
        again = two.basic_get(broker.queue, auto_ack=True)
        return list(map(_told, (first, second, again))), one.is_open, two.channel_number


def _wrong(broker: Broker, **options: Any) -> Any:
    opened(broker, **options)


def _refused(_: Broker) -> Any:
    pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", 1, connection_attempts=1))


def _closed(broker: Broker) -> Any:
    connection = opened(broker)
    channel = connection.channel()
    channel.close()
    before = connection.is_open
    first = _failing(lambda: channel.basic_publish("", broker.queue, b""))
    connection.close()
    return first, before, connection.is_open, _failing(connection.channel), _failing(connection.close)


def _timed(broker: Broker) -> Any:
    called: list[str] = []
    with opened(broker) as connection:
        connection.call_later(0.05, lambda: called.append("later"))
        kept = connection.call_later(0.02, lambda: called.append("never"))
        connection.call_later(0, lambda: called.append("soon"))
        connection.remove_timeout(kept)
        while len(called) < 2:
            connection.process_data_events(time_limit=0.1)
    return called


def _from_another_thread(broker: Broker) -> Any:
    found: list[Any] = []
    with opened(broker) as connection:
        channel = connection.channel()
        ask = lambda: found.append(_told(channel.basic_get(broker.queue, auto_ack=True)))  # noqa: E731
        asking = threading.Thread(target=lambda: connection.add_callback_threadsafe(ask))
        asking.start()
        asking.join()
        connection.process_data_events(time_limit=0.05)
        connection.process_data_events(time_limit=0.05)
    return found


def _unsendable(channel: Any, broker: Broker) -> Any:
    properties = pika.BasicProperties(headers={"what": object})
    failed = type(_failing(lambda: channel.basic_publish("", broker.queue, b"", properties))[0])
    return failed, _told(channel.basic_get(broker.queue, auto_ack=True))


def _facts(broker: Broker) -> Any:
    with opened(broker) as connection:
        return (
            connection._impl.server_properties["product"],
            connection.basic_nack_supported,
            connection.publisher_confirms_supported,
            connection.is_open,
            connection._impl.params.frame_max,
        )


def _named_ok(method: Any) -> Any:
    return type(method.method).__name__, vars(method.method)


def _exchanges(channel: Any, broker: Broker) -> Any:
    return [
        _named_ok(channel.exchange_declare(broker.exchange, "topic")),
        _named_ok(channel.exchange_bind("amq.topic", broker.exchange, "a.#")),
        _named_ok(channel.exchange_unbind("amq.topic", broker.exchange, "a.#")),
        _named_ok(channel.exchange_delete(broker.exchange)),
        _failing(lambda: channel.exchange_declare(broker.exchange, passive=True)),
    ]


def _recovered(channel: Any, broker: Broker) -> Any:
    _two_messages(channel, broker)
    channel.basic_recover(requeue=True)
    return _told(channel.basic_get(broker.queue))


BEHAVIOURS: dict[str, Callable[[Broker], Any]] = {
    "publish": _on_channel(lambda channel, broker: channel.basic_publish("", broker.queue, b"{}", JSON)),
    "publish, confirmed": _on_channel(_confirmed),
    "publish with every property": _on_channel(_properties),
    "headers of every type": _on_channel(_header_types),
    "publish through an exchange": _on_channel(_to_exchange),
    "large binary body": _on_channel(_large),
    "unroutable": _on_channel(_unroutable),
    "returned to a callback": _on_channel(_returned),
    "nacked by the broker": _on_channel(_nacked),
    "missing exchange": _on_channel(_missing_exchange),
    "header that can't be sent": _on_channel(_unsendable),
    "get": _on_channel(lambda channel, broker: _told(channel.basic_get(broker.queue, auto_ack=True))),
    "get from an empty queue": _on_channel(
        lambda channel, broker: (
            channel.queue_purge(broker.queue).method.message_count,
            channel.basic_get(broker.queue),
        )
    ),
    "get from a missing queue": _on_channel(lambda channel, broker: channel.basic_get(f"{broker.name}-missing")),
    "acknowledge": _on_channel(_acknowledged),
    "acknowledge together": _on_channel(_acknowledged_together),
    "nack and get again": _on_channel(_returned_to_queue),
    "reject": _on_channel(_rejected),
    "recover": _on_channel(_recovered),
    "acknowledge what isn't there": _on_channel(_unknown_tag),
    "declare a queue": _on_channel(_declared),
    "declare passively": _on_channel(
        lambda channel, broker: vars(channel.queue_declare(broker.queue, passive=True).method)
    ),
    "declare a missing queue passively": _on_channel(
        lambda channel, broker: channel.queue_declare(f"{broker.name}-missing", passive=True)
    ),
    "declare with other arguments": _on_channel(
        lambda channel, broker: channel.queue_declare(broker.queue, durable=True)
    ),
    "queue that the server names": _on_channel(_server_named),
    "exchanges": _on_channel(_exchanges),
    "delete a queue": _on_channel(
        lambda channel, broker: (
            _named_ok(channel.queue_unbind(broker.queue, broker.exchange, "k")),
            _named_ok(channel.queue_delete(broker.queue)),
        )
    ),
    "commit": _on_channel(_transaction("commit")),
    "roll back": _on_channel(_transaction("rollback")),
    "iterate over a queue": _on_channel(_consumed),
    "iterate until nothing comes": _on_channel(_consumed_until_idle),
    "messages to a callback": _on_channel(_called_back),
    "ask and wait for the answer": _on_channel(_answered),
    "two channels": _two_channels,
    "use after close": _closed,
    "timers": _timed,
    "callback from another thread": _from_another_thread,
    "what the server can do": _facts,
    "connection refused": _refused,
    "wrong password": lambda broker: _wrong(broker, credentials=pika.PlainCredentials("guest", "wrong")),
    "missing virtual host": lambda broker: _wrong(broker, virtual_host="missing"),
}
