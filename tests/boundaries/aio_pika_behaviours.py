"""What programs do with aio-pika, each as a coroutine function of a `Broker`; names are the table's, as pika's are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import wraps
from typing import Any

import aio_pika
import aio_pika.exceptions
import aiormq

from tests.boundaries.pika_behaviours import Broker

__all__ = ["BEHAVIOURS", "PLAIN"]

Behaviour = Callable[[Broker], Awaitable[Any]]


def _url(broker: Broker, user: str = "guest", vhost: str = "/") -> str:
    return f"amqp://guest:{user}@127.0.0.1:{broker.port}/{vhost}"


def _told(message: Any) -> Any:
    """A message without what names this process."""
    if message is None:
        return None
    info = {name: value for name, value in message.info().items() if name not in {"consumer_tag", "cluster_id"}}
    names = not message.message_id or len(message.message_id) == 32
    return {**info, "message_id": "random" if names else message.message_id}, message.body, type(message).__name__


def _robust(behaviour: Callable[[Any, Broker], Awaitable[Any]], **options: Any) -> Behaviour:
    @wraps(behaviour)
    async def robust(broker: Broker) -> Any:
        connection = await aio_pika.connect_robust(_url(broker))
        async with connection:
            return await behaviour(await connection.channel(**options), broker)

    return robust


async def _failing(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except Exception as error:
        return type(error), str(error), [str(argument) for argument in error.args]


def _message(body: bytes = b"{}", **options: Any) -> aio_pika.Message:
    return aio_pika.Message(body, content_type="application/json", **options)


def _confirmed(frame: Any) -> Any:
    return None if frame is None else (frame.name, dict(frame))


async def _published(channel: Any, broker: Broker) -> Any:
    return _confirmed(await channel.default_exchange.publish(_message(), broker.queue))


async def _every_property(channel: Any, broker: Broker) -> Any:
    queue = await channel.get_queue(broker.queue)
    await queue.purge()
    message = aio_pika.Message(
        b"text",
        headers={"tenant": "t", "tries": 3},
        content_type="text/plain",
        content_encoding="utf-8",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        priority=4,
        correlation_id="c",
        reply_to="answers",
        expiration=timedelta(seconds=60),
        message_id="m",
        timestamp=datetime(2026, 5, 4, tzinfo=UTC),
        type="order",
        user_id="guest",
        app_id="shop",
    )
    await channel.default_exchange.publish(message, broker.queue)
    return _told(await queue.get(no_ack=True))


async def _header_types(channel: Any, broker: Broker) -> Any:
    queue = await channel.get_queue(broker.queue)
    await queue.purge()
    headers = {
        "at": datetime(2026, 5, 4, tzinfo=UTC),
        "decimal": Decimal("1.25"),
        "nested": {"list": [1, "two", None, True], "bytes": b"\x00\xff"},
        "large": 2**40,
        "float": 1.5,
    }
    await channel.default_exchange.publish(aio_pika.Message(b"", headers=headers), broker.queue)
    return _told(await queue.get(no_ack=True))


async def _through_exchange(channel: Any, broker: Broker) -> Any:
    exchange = await channel.declare_exchange(broker.exchange, aio_pika.ExchangeType.TOPIC)
    queue = await channel.declare_queue(broker.other)
    await queue.bind(exchange, "orders.*")
    for key in ("orders.new", "bills.new", "orders.old"):
        await exchange.publish(_message(key.encode()), key, mandatory=False)
    return [_told(await queue.get(no_ack=True)) for _ in range(2)], _told(await queue.get(fail=False))


async def _large(channel: Any, broker: Broker) -> Any:
    queue = await channel.get_queue(broker.queue)
    await queue.purge()
    await channel.default_exchange.publish(aio_pika.Message(b"\x00\xff" * 150_000), broker.queue)
    return (await queue.get(no_ack=True)).body


async def _unroutable(channel: Any, broker: Broker) -> Any:
    try:
        await channel.default_exchange.publish(_message(b"lost"), f"{broker.name}-missing")
    except aio_pika.exceptions.PublishError as error:
        message = error.message
        return str(error), error.args, message.body, dict(message.delivery), _confirmed(error.frame), message.exchange


async def _returned(channel: Any, broker: Broker) -> Any:
    returned: list[Any] = []
    channel.return_callbacks.add(lambda _, message: returned.append(_told(message)))
    found = await channel.default_exchange.publish(_message(b"lost"), f"{broker.name}-missing")
    await asyncio.sleep(0)
    return returned, type(found).__name__


async def _nacked(channel: Any, broker: Broker) -> Any:
    await channel.declare_queue(broker.other, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    await channel.default_exchange.publish(_message(b"1"), broker.other)
    try:
        await channel.default_exchange.publish(_message(b"2"), broker.other)
    except aio_pika.exceptions.DeliveryError as error:
        return type(error), error.message, _confirmed(error.frame)


async def _missing_exchange(broker: Broker) -> Any:
    connection = await aio_pika.connect(_url(broker))
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(f"{broker.name}-missing", ensure=False)
        first = await _failing(exchange.publish(_message(), "k"))
        return first, channel.is_closed, connection.is_closed


async def _unconfirmed(channel: Any, broker: Broker) -> Any:
    first = await channel.default_exchange.publish(_message(), broker.queue, mandatory=False)
    declared = await channel.declare_queue(broker.queue, passive=True)
    return first, declared.name


async def _got(channel: Any, broker: Broker) -> Any:
    return _told(await (await channel.get_queue(broker.queue)).get(no_ack=True))


async def _got_nothing(channel: Any, broker: Broker) -> Any:
    queue = await channel.get_queue(broker.queue)
    purged = await queue.purge()
    return purged.message_count, await queue.get(fail=False), await _failing(queue.get())


async def _acknowledged(channel: Any, broker: Broker) -> Any:
    queue = await channel.get_queue(broker.queue)
    message = await queue.get()
    await message.ack()
    return _told(message), message.processed, await _failing(message.ack())


async def _acknowledged_together(channel: Any, broker: Broker) -> Any:
    queue = await channel.get_queue(broker.queue)
    await queue.get()
    await (await queue.get()).ack(multiple=True)
    return await queue.get(fail=False)


async def _nacked_and_again(channel: Any, broker: Broker) -> Any:
    queue = await channel.get_queue(broker.queue)
    await (await queue.get()).nack(requeue=True)
    return _told(await queue.get())


async def _rejected(channel: Any, broker: Broker) -> Any:
    queue = await channel.get_queue(broker.queue)
    await (await queue.get()).reject(requeue=False)
    return _told(await queue.get())


async def _processed(channel: Any, broker: Broker) -> Any:
    queue = await channel.get_queue(broker.queue)
    async with (await queue.get()).process():
        pass
    failing = await queue.get()
    with_error: Any = None
    try:
        async with failing.process(requeue=True):
            raise LookupError("no such order")
    except LookupError as error:
        with_error = str(error)
    return with_error, _told(await queue.get())


async def _declared(channel: Any, broker: Broker) -> Any:
    queue = await channel.declare_queue(broker.queue)
    return queue.name, dict(queue.declaration_result)


async def _missing_queue(broker: Broker) -> Any:
    connection = await aio_pika.connect(_url(broker))
    async with connection:
        channel = await connection.channel()
        found = await _failing(channel.get_queue(f"{broker.name}-missing"))
        return found, channel.is_closed


async def _other_arguments(broker: Broker) -> Any:
    connection = await aio_pika.connect(_url(broker))
    async with connection:
        channel = await connection.channel()
        return await _failing(channel.declare_queue(broker.queue, durable=True)), channel.is_closed


async def _server_named(channel: Any, broker: Broker) -> Any:
    queue = await channel.declare_queue(exclusive=True)
    await queue.bind(broker.exchange, "#")
    exchange = await channel.get_exchange(broker.exchange)
    await exchange.publish(_message(b"1"), "k")
    return queue.name[:8] in {"amq.gen-", "amq_7bd9"}, _told(await queue.get(no_ack=True))[1]


async def _exchanges(channel: Any, broker: Broker) -> Any:
    exchange = await channel.declare_exchange(broker.exchange, "topic")
    topic = await channel.get_exchange("amq.topic")
    return [
        _confirmed(await topic.bind(exchange, "a.#")),
        _confirmed(await topic.unbind(exchange, "a.#")),
        _confirmed(await exchange.delete()),
    ]


async def _deleted(channel: Any, broker: Broker) -> Any:
    queue = await channel.get_queue(broker.queue)
    return _confirmed(await queue.unbind(broker.exchange, "k")), _confirmed(await queue.delete(if_empty=False))


async def _transaction(channel: Any, broker: Broker) -> Any:
    async with channel.transaction():
        await channel.default_exchange.publish(_message(b"kept"), broker.queue, mandatory=False)
    declared = await channel.declare_queue(broker.queue, passive=True)
    return declared.declaration_result.message_count


async def _rolled_back(channel: Any, broker: Broker) -> Any:
    try:
        async with channel.transaction():
            await channel.default_exchange.publish(_message(b"lost"), broker.queue, mandatory=False)
            raise LookupError
    except LookupError:
        declared = await channel.declare_queue(broker.queue, passive=True)
        return declared.declaration_result.message_count


async def _iterated(channel: Any, broker: Broker) -> Any:
    await channel.set_qos(prefetch_count=1)
    queue = await channel.get_queue(broker.queue)
    found = []
    async with queue.iterator() as messages:
        async for message in messages:
            async with message.process():
                found.append(_told(message))
            if len(found) == 2:
                break
    return found


async def _iterated_until_idle(channel: Any, broker: Broker) -> Any:
    queue = await channel.get_queue(broker.queue)
    found = []
    try:
        async with queue.iterator(no_ack=True, timeout=0.2) as messages:
            async for message in messages:
                found.append(_told(message))  # noqa: PERF401 - what came before the time-out is wanted
    except TimeoutError as error:
        return found, type(error)


async def _called_back(channel: Any, broker: Broker) -> Any:
    queue = await channel.get_queue(broker.queue)
    found: list[Any] = []
    done = asyncio.Event()

    async def on_message(message: Any) -> None:
        found.append(_told(message))
        await message.ack()
        if len(found) == 2:
            done.set()

    tag = await queue.consume(on_message)
    await done.wait()
    cancelled = await queue.cancel(tag)
    return found, cancelled.name


async def _answered(channel: Any, broker: Broker) -> Any:
    """A call through two queues; this program answers itself."""
    replies = await channel.declare_queue(exclusive=True)
    answers: asyncio.Queue[Any] = asyncio.Queue()
    await replies.consume(answers.put, no_ack=True)
    queue = await channel.get_queue(broker.queue)
    await queue.purge()
    await channel.default_exchange.publish(_message(b"2+2", reply_to=replies.name, correlation_id="7"), broker.queue)
    asked = await queue.get(no_ack=True)
    answer = _message(b"4", correlation_id=asked.correlation_id)
    await channel.default_exchange.publish(answer, asked.reply_to)
    found = await answers.get()
    return found.body, found.correlation_id


async def _two_channels(broker: Broker) -> Any:
    connection = await aio_pika.connect_robust(_url(broker))
    async with connection:
        one, two = await connection.channel(), await connection.channel()
        first = await (await one.get_queue(broker.queue)).get()
        second = await (await two.get_queue(broker.queue)).get()
        await second.nack()
        await one.close()
        again = await (await two.get_queue(broker.queue)).get(no_ack=True)
        return list(map(_told, (first, second, again))), one.is_closed, two.is_closed


async def _at_once(channel: Any, broker: Broker) -> Any:
    publishing = [channel.default_exchange.publish(_message(b"%d" % n), broker.queue) for n in range(5)]
    return [_confirmed(frame)[0] for frame in await asyncio.gather(*publishing)]


async def _closed(broker: Broker) -> Any:
    connection = await aio_pika.connect(_url(broker))
    channel = await connection.channel()
    await channel.close()
    first = type((await _failing(channel.declare_queue(broker.queue)))[0])
    await connection.close()
    return first, channel.is_closed, connection.is_closed


async def _wrong_password(broker: Broker) -> Any:
    await (await aio_pika.connect(_url(broker, "wrong"))).close()


async def _missing_vhost(broker: Broker) -> Any:
    try:
        await (await aio_pika.connect_robust(_url(broker, vhost="missing"))).close()
    except Exception as error:
        return type(error), [getattr(argument, "reply_code", None) for argument in error.args]


async def _refused(_: Broker) -> Any:
    await (await aio_pika.connect_robust("amqp://127.0.0.1:1/")).close()


async def _beneath(broker: Broker) -> Any:
    """Without aio-pika."""
    connection = await aiormq.connect(_url(broker))
    channel = await connection.channel()
    declared = await channel.queue_declare(broker.queue)
    published = await channel.basic_publish(b"x", routing_key=broker.queue)
    message = await channel.basic_get(broker.queue)
    await channel.basic_ack(message.delivery_tag)
    await connection.close()
    return _confirmed(declared), _confirmed(published), message.body, message.delivery_tag, message.message_count


async def _late(channel: Any, broker: Broker) -> Any:
    queue = await channel.get_queue(broker.queue)
    await queue.purge()
    try:
        await asyncio.wait_for(anext(queue.iterator(no_ack=True).__aiter__()), 0.2)
    except TimeoutError as error:
        return type(error)


PLAIN: dict[str, Behaviour] = {
    "missing exchange": _missing_exchange,
    "declare a missing queue passively": _missing_queue,
    "declare with other arguments": _other_arguments,
    "two channels": _two_channels,
    "use after close": _closed,
    "connection refused": _refused,
    "wrong password": _wrong_password,
    "missing virtual host": _missing_vhost,
    "aiormq alone": _beneath,
}
BEHAVIOURS: dict[str, Behaviour] = {
    "publish": _robust(_unconfirmed, publisher_confirms=False),
    "publish, confirmed": _robust(_published),
    "publish with every property": _robust(_every_property),
    "headers of every type": _robust(_header_types),
    "publish through an exchange": _robust(_through_exchange),
    "publish at once": _robust(_at_once),
    "large binary body": _robust(_large),
    "unroutable": _robust(_unroutable, on_return_raises=True),
    "returned to a callback": _robust(_returned),
    "nacked by the broker": _robust(_nacked),
    "get": _robust(_got),
    "get from an empty queue": _robust(_got_nothing),
    "acknowledge": _robust(_acknowledged),
    "acknowledge together": _robust(_acknowledged_together),
    "nack and get again": _robust(_nacked_and_again),
    "reject": _robust(_rejected),
    "process": _robust(_processed),
    "declare a queue": _robust(_declared),
    "queue that the server names": _robust(_server_named),
    "exchanges": _robust(_exchanges),
    "delete a queue": _robust(_deleted),
    "commit": _robust(_transaction, publisher_confirms=False),
    "roll back": _robust(_rolled_back, publisher_confirms=False),
    "iterate over a queue": _robust(_iterated),
    "iterate until nothing comes": _robust(_iterated_until_idle),
    "wait in vain": _robust(_late),
    "messages to a callback": _robust(_called_back),
    "ask and wait for the answer": _robust(_answered),
    **PLAIN,
}
