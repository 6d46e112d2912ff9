"""What programs do with nats-py, each as a coroutine function of a `Nats`; names are the table's."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

import nats
import nats.errors
import nats.js.api
import nats.js.errors

from pytest_fluxrun.testing.live_hits import CountsLiveHits
from tests.boundaries.forwarded import Forwarded

__all__ = ["BEHAVIOURS", "Nats", "connected"]

Behaviour = Callable[["Nats"], Awaitable[Any]]

_IN_MEMORY = nats.js.api.StorageType.MEMORY
"""The server deletes an empty folder of streams while another worker makes its stream in it."""


class Nats(Forwarded):
    """A NATS server with a stream, a bucket and an object store of its own, and a service that answers."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.direct = f"nats://127.0.0.1:{port}"
        self.name = f"fx{uuid.uuid4().hex[:12]}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._serve())
        self.reset()

    def reset(self) -> None:
        self._do(self._fill())

    def take_away(self) -> None:
        """What the last client sent as it went may still be on its way."""
        CountsLiveHits.settle(self)
        super().take_away()

    def delete(self) -> None:
        self.close()
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, what: Any) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(20)

    async def _serve(self) -> None:
        self._client = await nats.connect(self.direct)

        async def echo(message: Any) -> None:
            await self._client.publish(message.reply, b"echo " + message.data, headers=message.headers)

        async def say(message: Any) -> None:
            for number in range(3):
                await self._client.publish(f"{self.name}.said", b"%d" % number, headers={"Number": str(number)})

        async def nothing(message: Any) -> None:
            """Never answers."""

        await self._client.subscribe(f"{self.name}.echo", cb=echo)
        await self._client.subscribe(f"{self.name}.say", cb=say)
        await self._client.subscribe(f"{self.name}.silent", cb=nothing)

    async def _fill(self) -> None:
        await self._clear()
        js = self._client.jetstream()
        await js.add_stream(name=self.name, subjects=[f"{self.name}.js.*"], allow_direct=True, storage=_IN_MEMORY)
        for number in range(3):
            await js.publish(f"{self.name}.js.a", b'{"number": %d}' % number, headers={"Number": str(number)})
        await js.create_key_value(bucket=self.name, history=5, storage=_IN_MEMORY)
        await js.create_object_store(self.name, config=nats.js.api.ObjectStoreConfig(storage=_IN_MEMORY))

    async def _clear(self) -> None:
        js = self._client.jetstream()
        for stream in (self.name, f"KV_{self.name}", f"OBJ_{self.name}", f"{self.name}-new"):
            try:
                await js.delete_stream(stream)
            except nats.js.errors.NotFoundError:
                continue

    async def _end(self) -> None:
        await self._clear()
        await self._client.close()


async def connected(server: Nats, **options: Any) -> Any:
    return await nats.connect(f"nats://127.0.0.1:{server.port}", allow_reconnect=False, **options)


def _core(behaviour: Callable[[Any, Nats], Awaitable[Any]]) -> Behaviour:
    @wraps(behaviour)
    async def core(server: Nats) -> Any:
        client = await connected(server)
        try:
            return await behaviour(client, server)
        finally:
            await client.close()

    return core


def _stream(behaviour: Callable[[Any, Nats], Awaitable[Any]]) -> Behaviour:
    return _core(wraps(behaviour)(lambda client, server: behaviour(client.jetstream(), server)))


def _bucket(behaviour: Callable[[Any, Nats], Awaitable[Any]]) -> Behaviour:
    @wraps(behaviour)
    async def bucket(client: Any, server: Nats) -> Any:
        return await behaviour(await client.jetstream().key_value(server.name), server)

    return _core(bucket)


def _told(message: Any) -> Any:
    return message.subject.startswith("_INBOX") or message.subject, message.data, message.headers


def _placed(message: Any) -> Any:
    metadata = message.metadata
    return metadata.sequence, metadata.num_delivered, metadata.num_pending, metadata.stream


async def _failing(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except Exception as error:
        return type(error), str(error), {name: value for name, value in vars(error).items() if name != "seq"}


async def _kept_by_now(ask: Callable[[], Awaitable[Any]]) -> Any:
    """What a bucket that holds keys answers.

    nats-py takes it for empty where the server's word that nothing is pending comes before the keys themselves.
    """
    for _ in range(9):
        try:
            return await ask()
        except nats.js.errors.NoKeysError:
            continue
    return await ask()


async def _published(client: Any, server: Nats) -> Any:
    found = await client.publish(f"{server.name}.out", b'{"order": 1}')
    await client.flush()
    return found, client.is_connected


async def _with_headers(client: Any, server: Nats) -> Any:
    return await client.publish(f"{server.name}.out", b"x", headers={"Tenant": "t"}, reply="answers")


async def _binary(client: Any, server: Nats) -> Any:
    return [await client.publish(f"{server.name}.out", body) for body in (b"\x00\xff", b"", bytearray(b"abc"))]


async def _requested(client: Any, server: Nats) -> Any:
    return _told(await client.request(f"{server.name}.echo", b"hello", timeout=2))


async def _requested_with_headers(client: Any, server: Nats) -> Any:
    return _told(await client.request(f"{server.name}.echo", b"hello", timeout=2, headers={"A": "1", "B": "two"}))


async def _old_style(client: Any, server: Nats) -> Any:
    return (await client.request(f"{server.name}.echo", b"hello", timeout=2, old_style=True)).data


async def _at_once(client: Any, server: Nats) -> Any:
    asking = [client.request(f"{server.name}.echo", b"%d" % number, timeout=2) for number in range(5)]
    return [message.data for message in await asyncio.gather(*asking)]


async def _nobody(client: Any, server: Nats) -> Any:
    await client.request(f"{server.name}.nobody", b"", timeout=2)


async def _silent(client: Any, server: Nats) -> Any:
    await client.request(f"{server.name}.silent", b"", timeout=0.1)


async def _next(client: Any, server: Nats) -> Any:
    subscription = await client.subscribe(f"{server.name}.said")
    await client.publish(f"{server.name}.say")
    return [_told(await subscription.next_msg(timeout=2)) for _ in range(3)]


async def _next_in_vain(client: Any, server: Nats) -> Any:
    subscription = await client.subscribe(f"{server.name}.said")
    await subscription.next_msg(timeout=0.1)


async def _iterated(client: Any, server: Nats) -> Any:
    subscription = await client.subscribe(f"{server.name}.*")
    await client.publish(f"{server.name}.say")
    found = []
    async for message in subscription.messages:
        found.append(_told(message))
        if len(found) == 4:
            await subscription.unsubscribe()
    return found


async def _called_back(client: Any, server: Nats) -> Any:
    found: list[Any] = []
    done = asyncio.Event()

    async def receive(message: Any) -> None:
        found.append(_told(message))
        if len(found) == 3:
            done.set()

    await client.subscribe(f"{server.name}.said", cb=receive)
    await client.publish(f"{server.name}.say")
    await asyncio.wait_for(done.wait(), 2)
    return found


async def _queue_group(client: Any, server: Nats) -> Any:
    subscription = await client.subscribe(f"{server.name}.said", queue="workers")
    await client.publish(f"{server.name}.say")
    return _told(await subscription.next_msg(timeout=2)), subscription.queue


async def _limited(client: Any, server: Nats) -> Any:
    subscription = await client.subscribe(f"{server.name}.said")
    await subscription.unsubscribe(limit=2)
    await client.publish(f"{server.name}.say")
    return [_told(await subscription.next_msg(timeout=2)) for _ in range(2)]


async def _answering(client: Any, server: Nats) -> Any:
    """The run answers its own request."""
    answered = asyncio.Event()

    async def answer(message: Any) -> None:
        await message.respond(b"re: " + message.data)
        answered.set()

    await client.subscribe(f"{server.name}.own", cb=answer)
    answer_to_it = await client.request(f"{server.name}.own", b"who?", timeout=2)
    await answered.wait()
    return answer_to_it.data


async def _drained(server: Nats) -> Any:
    client = await connected(server)
    await client.publish(f"{server.name}.out", b"last")
    await client.drain()
    return client.is_closed, await _failing(client.publish("x", b""))


async def _bad_subject(client: Any, server: Nats) -> Any:
    await client.publish("", b"")


async def _too_large(client: Any, server: Nats) -> Any:
    await client.publish(f"{server.name}.out", b"x" * (client.max_payload + 1))


async def _closed(server: Nats) -> Any:
    client = await connected(server)
    await client.close()
    return client.is_closed, await _failing(client.publish("x", b"")), await _failing(client.subscribe("x"))


async def _refused(_: Nats) -> Any:
    await nats.connect("nats://127.0.0.1:1", allow_reconnect=False, max_reconnect_attempts=1, reconnect_time_wait=0.01)


async def _facts(client: Any, server: Nats) -> Any:
    return client.max_payload, client.connected_server_version.major, client.is_connected, client.client_ip


async def _kept(js: Any, server: Nats) -> Any:
    ack = await js.publish(f"{server.name}.js.b", b"1", headers={"Tenant": "t"})
    return ack.stream == server.name, ack.seq, ack.duplicate, ack.domain


async def _kept_once(js: Any, server: Nats) -> Any:
    acks = [await js.publish(f"{server.name}.js.b", b"1", headers={"Nats-Msg-Id": "7"}) for _ in range(2)]
    return [(ack.seq, ack.duplicate) for ack in acks]


async def _no_stream(js: Any, server: Nats) -> Any:
    await js.publish(f"{server.name}.unkept", b"1", timeout=1)


async def _wrong_sequence(js: Any, server: Nats) -> Any:
    headers = {"Nats-Expected-Last-Sequence": "99"}
    return await _failing(js.publish(f"{server.name}.js.b", b"1", headers=headers))


async def _kept_later(js: Any, server: Nats) -> Any:
    futures = [await js.publish_async(f"{server.name}.js.b", b"%d" % number) for number in range(3)]
    acks = await asyncio.gather(*futures)
    await js.publish_async_completed()
    return [ack.seq for ack in acks]


async def _fetched(js: Any, server: Nats) -> Any:
    subscription = await js.pull_subscribe(f"{server.name}.js.*", "puller")
    (message,) = await subscription.fetch(timeout=2)
    await message.ack()
    return _told(message), _placed(message), message.is_acked, (await _failing(message.ack()))[0]


async def _fetched_many(js: Any, server: Nats) -> Any:
    subscription = await js.pull_subscribe(f"{server.name}.js.*", "puller")
    found = await subscription.fetch(5, timeout=0.5)
    for message in found:
        await message.ack_sync()
    return [(_told(message), _placed(message)) for message in found]


async def _fetched_nothing(js: Any, server: Nats) -> Any:
    subscription = await js.pull_subscribe(f"{server.name}.js.none", "puller")
    try:
        await subscription.fetch(timeout=0.2)
    except TimeoutError as error:  # by the client's timer or by the server's word, whose time is 0.1 ms less
        return type(error), str(error)


async def _settled(js: Any, server: Nats) -> Any:
    subscription = await js.pull_subscribe(f"{server.name}.js.*", "puller")
    (first,) = await subscription.fetch(timeout=2)
    await first.in_progress()
    await first.nak()
    (second,) = await subscription.fetch(timeout=2)
    await second.term()
    info = await subscription.consumer_info()
    return _placed(first), second.is_acked, info.name, info.config.durable_name


async def _pushed(js: Any, server: Nats) -> Any:
    found: list[Any] = []
    done = asyncio.Event()

    async def receive(message: Any) -> None:
        found.append((_told(message), _placed(message)))
        await message.ack()
        if len(found) == 3:
            done.set()

    subscription = await js.subscribe(f"{server.name}.js.*", cb=receive, durable="pushed", manual_ack=True)
    await asyncio.wait_for(done.wait(), 2)
    await subscription.unsubscribe()
    return found


async def _pushed_and_awaited(js: Any, server: Nats) -> Any:
    subscription = await js.subscribe(f"{server.name}.js.*", durable="awaited")
    found = [await subscription.next_msg(timeout=2) for _ in range(3)]
    for message in found:
        await message.ack()
    return [(_told(message), _placed(message)) for message in found]


async def _informed(js: Any, server: Nats) -> Any:
    info = await js.stream_info(server.name)
    return (
        info.config.name,
        info.config.subjects,
        info.state.messages,
        await js.find_stream_name_by_subject(f"{server.name}.js.a"),
    )


async def _missing_stream(js: Any, server: Nats) -> Any:
    return await _failing(js.stream_info(f"{server.name}-missing"))


async def _managed(js: Any, server: Nats) -> Any:
    made = await js.add_stream(name=f"{server.name}-new", subjects=[f"{server.name}.new"], storage=_IN_MEMORY)
    await js.publish(f"{server.name}.new", b"1")
    purged = await js.purge_stream(f"{server.name}-new")
    return made.config.name, purged, await js.delete_stream(f"{server.name}-new")


async def _single_messages(js: Any, server: Nats) -> Any:
    second = await js.get_msg(server.name, 2)
    last = await js.get_last_msg(server.name, f"{server.name}.js.a")
    deleted = await js.delete_msg(server.name, 2)
    return second.data, second.seq, last.data, deleted, await _failing(js.get_msg(server.name, 2))


async def _put(bucket: Any, server: Nats) -> Any:
    revision = await bucket.put("colour", b"blue")
    entry = await bucket.get("colour")
    return revision, entry.key, entry.value, entry.revision, entry.bucket == server.name


async def _missing_key(bucket: Any, server: Nats) -> Any:
    return await _failing(bucket.get("missing"))


async def _revised(bucket: Any, server: Nats) -> Any:
    created = await bucket.create("k", b"1")
    updated = await bucket.update("k", b"2", last=created)
    return created, updated, await _failing(bucket.create("k", b"3")), await _failing(bucket.update("k", b"3", last=9))


async def _removed(bucket: Any, server: Nats) -> Any:
    for value in (b"1", b"2"):
        await bucket.put("k", value)
    await bucket.delete("k")
    history = [(entry.operation, entry.value) for entry in await _kept_by_now(lambda: bucket.history("k"))]
    await bucket.purge("k")
    status = await bucket.status()
    return history, (await _failing(bucket.get("k")))[0], status.values


async def _listed(bucket: Any, server: Nats) -> Any:
    await bucket.put("a", b"1")
    await bucket.put("b", b"2")
    return sorted(await _kept_by_now(bucket.keys))


async def _watched(bucket: Any, server: Nats) -> Any:
    await bucket.put("a", b"1")
    watcher = await bucket.watchall()
    found = [await watcher.updates(timeout=2), await watcher.updates(timeout=2)]
    found.sort(key=lambda entry: entry is None)  # the word that nothing is pending may come before the key
    await bucket.put("b", b"2")
    found.append(await watcher.updates(timeout=2))
    await watcher.stop()
    return [entry and (entry.key, entry.value, entry.operation) for entry in found]


async def _stored(js: Any, server: Nats) -> Any:
    store = await js.object_store(server.name)
    info = await store.put("report", b"x" * 1000)
    found = await store.get("report")
    return info.name, info.size, info.chunks, len(found.data), found.info.digest


BEHAVIOURS: dict[str, Behaviour] = {
    "publish": _core(_published),
    "publish with headers": _core(_with_headers),
    "publish binary": _core(_binary),
    "request": _core(_requested),
    "request with headers": _core(_requested_with_headers),
    "request, old style": _core(_old_style),
    "requests at once": _core(_at_once),
    "no responders": _core(_nobody),
    "request that times out": _core(_silent),
    "next message": _core(_next),
    "wait in vain": _core(_next_in_vain),
    "iterate over messages": _core(_iterated),
    "messages to a callback": _core(_called_back),
    "queue group": _core(_queue_group),
    "unsubscribe after two": _core(_limited),
    "answer a request": _core(_answering),
    "drain": _drained,
    "bad subject": _core(_bad_subject),
    "payload too large": _core(_too_large),
    "use after close": _closed,
    "connection refused": _refused,
    "what the server can do": _core(_facts),
    "stream: publish": _stream(_kept),
    "stream: publish once": _stream(_kept_once),
    "stream: nobody keeps it": _stream(_no_stream),
    "stream: wrong sequence": _stream(_wrong_sequence),
    "stream: publish without waiting": _stream(_kept_later),
    "stream: fetch and acknowledge": _stream(_fetched),
    "stream: fetch many": _stream(_fetched_many),
    "stream: fetch nothing": _stream(_fetched_nothing),
    "stream: nak, term, in progress": _stream(_settled),
    "stream: push to a callback": _stream(_pushed),
    "stream: push and wait": _stream(_pushed_and_awaited),
    "stream: information": _stream(_informed),
    "stream: missing": _stream(_missing_stream),
    "stream: add, purge, delete": _stream(_managed),
    "stream: single messages": _stream(_single_messages),
    "bucket: put and get": _bucket(_put),
    "bucket: missing key": _bucket(_missing_key),
    "bucket: revisions": _bucket(_revised),
    "bucket: delete, purge, history": _bucket(_removed),
    "bucket: keys": _bucket(_listed),
    "bucket: watch": _bucket(_watched),
    "object store": _stream(_stored),
}
