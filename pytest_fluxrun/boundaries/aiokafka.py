"""aiokafka: what a run produces with an AIOKafkaProducer, and what comes of it; the offsets that it commits.

A record that is sent is one crossing, the answer that its future gives another. At replay a producer starts without a
network. Consumers and administration are refused by name in `aiokafka_uncovered`.
Tested with librdkafka's mock cluster, a broker that speaks the protocol; not with Kafka itself.
"""

# ruff: noqa: SLF001 - aiokafka's names (0.13 to 0.14)
from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.kafka import forms
from pytest_fluxrun.boundary import Boundary, Call, Kind, Patch, Request
from pytest_fluxrun.context import beneath, crossing
from pytest_fluxrun.kinds.message import MESSAGE
from pytest_fluxrun.values import Value, decode, encode, snapshot

__all__ = ["AiokafkaBoundary", "boundary"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gave, as plain data; `live` holds it itself, in a tuple, at the recording side."""

    plain: Any = None
    live: tuple[Any] | None = None


_serialized: ContextVar[list[Any] | None] = ContextVar("fluxrun_aiokafka_serialized", default=None)
"""Recording: where a producer's serializers leave what they made of the record that is being sent."""


class AiokafkaBoundary(Boundary[Answer]):
    """`aiokafka.AIOKafkaProducer`, and `AIOKafkaConsumer.commit`."""

    name: ClassVar[str] = "aiokafka"
    kind: ClassVar[Kind] = MESSAGE
    modules: ClassVar[tuple[str, ...]] = ("aiokafka.producer.producer", "aiokafka.consumer.consumer")
    distribution: ClassVar[str] = "aiokafka"
    tested: ClassVar[tuple[str, str]] = ("0.13.0", "0.14.0")

    def patches(self, module: Any) -> Iterable[Patch]:
        """The producer's verbs; a consumer's commit."""
        if module.__name__ == "aiokafka.consumer.consumer":
            yield Patch(module.AIOKafkaConsumer, "commit", self._wrap_commit)
            return
        producer = module.AIOKafkaProducer
        yield Patch(producer, "start", self._wrap_start)
        yield Patch(producer, "stop", self._wrap_stop)
        yield Patch(producer, "send", self._wrap_send)
        yield Patch(producer, "_serialize", _wrap_serialize)
        yield Patch(producer, "flush", self._asking("flush", local=True))
        yield Patch(producer, "partitions_for", self._asking("partitions"))
        yield Patch(producer, "begin_transaction", self._asking("begin transaction", local=True))
        yield Patch(producer, "commit_transaction", self._settling("commit"))
        yield Patch(producer, "abort_transaction", self._settling("abort"))
        yield Patch(producer, "send_offsets_to_transaction", self._settling("offsets"))

    def dump(self, result: Answer) -> Value:
        """The plain answer."""
        return {"answer": encode(result.plain)}

    def load(self, value: Value, call: Call) -> Answer:
        """The same."""
        del call
        return Answer(decode(value["answer"]))

    def _wrap_start(self, original: Callable[[Any], Awaitable[None]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def start(producer: Any) -> None:
            session = crossing()
            if session is None:
                return await original(producer)
            request = functools.partial(forms.opened, producer.client._bootstrap_servers)
            if session.answers:
                producer._fx_played = True
            await session.acall(self, Call(request, Answer), functools.partial(_kept, original, producer))
            return None

        return start

    def _wrap_stop(self, original: Callable[[Any], Awaitable[None]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def stop(producer: Any) -> None:
            session = crossing()
            if hasattr(producer, "_fx_played"):
                producer._closed = True
            elif session is None or not session.answers:
                with beneath():
                    await original(producer)

        return stop

    def _wrap_send(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def send(producer: Any, topic: str, value: Any = None, key: Any = None, *args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is None or (value is None and key is None):  # refused before anything is sent
                return await original(producer, topic, value, key, *args, **kwargs)
            said = {**dict(zip(("partition", "timestamp_ms", "headers"), args, strict=False)), **kwargs}
            made: list[Any] = [(snapshot(key), snapshot(value))]
            headers = forms.headers_of(said.pop("headers", None))

            def request() -> Request:
                shown_key, shown_value = made[-1]
                return forms.produced(topic, shown_value, key=shown_key, headers=headers, **said)

            if session.answers:
                with suppress(Exception):  # the recorded error is raised
                    made.append(producer._serialize(key, value, headers))

            async def live() -> Answer:
                token = _serialized.set(made)
                try:
                    return Answer(None, (await original(producer, topic, value, key, *args, **kwargs),))
                finally:
                    _serialized.reset(token)

            answer = await session.acall(self, Call(request), live)
            future = None if answer.live is None else answer.live[0]
            return asyncio.get_running_loop().create_task(self._acknowledged(session, topic, future))

        return send

    async def _acknowledged(self, session: Any, topic: str, future: Any) -> Any:
        """What a sent record's future gives."""

        async def live() -> Answer:
            metadata = await asyncio.shield(future)
            return Answer(metadata and {**metadata._asdict(), "topic_partition": None}, (metadata,))

        form: Request = {
            "channel": f"acknowledgement of {topic}",
            "direction": "receive",
            "payload": None,
            "headers": [],
        }
        answer = await session.acall(self, Call(form), live)
        if answer.live is not None:
            return answer.live[0]
        if answer.plain is None:
            return None
        structs = import_module("aiokafka.structs")
        place = structs.TopicPartition(answer.plain["topic"], answer.plain["partition"])
        return structs.RecordMetadata(**{**answer.plain, "topic_partition": place})

    def _asking(self, what: str, *, local: bool = False) -> Callable[..., Any]:
        def wrap(original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
            @functools.wraps(original)
            async def ask(producer: Any, *args: Any) -> Any:
                session = crossing()
                if session is None:
                    return await original(producer, *args)
                request = functools.partial(forms.asked, what, *args)
                live = functools.partial(_kept, original, producer, *args)
                answer = await session.acall(self, Call(request, Answer if local else None), live)
                return answer.plain if answer.live is None else answer.live[0]

            return ask

        return wrap

    def _settling(self, what: str) -> Callable[..., Any]:
        def wrap(original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
            @functools.wraps(original)
            async def settle(producer: Any, *args: Any, **kwargs: Any) -> None:
                session = crossing()
                if session is None:
                    await original(producer, *args, **kwargs)
                    return
                said = [_offsets(offsets) for offsets in args] + sorted(map(str, kwargs.values())) or None
                request = functools.partial(forms.settled, what, said)
                await session.acall(self, Call(request), functools.partial(_kept, original, producer, *args, **kwargs))

            return settle

        return wrap

    def _wrap_commit(self, original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def commit(consumer: Any, offsets: Any = None) -> None:
            session = crossing()
            if session is None:
                return await original(consumer, offsets)
            form = {**forms.settled("", _offsets(offsets)), "channel": f"{consumer._group_id} commit"}
            await session.acall(self, Call(form), functools.partial(_kept, original, consumer, offsets))
            return None

        return commit


boundary = AiokafkaBoundary()


async def _kept(original: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Answer:
    found = await original(*args, **kwargs)
    return Answer(set(found) if isinstance(found, set | frozenset) else found, (found,))


def _offsets(offsets: Any) -> Any:
    """Offsets by their topic and partition, or a group's name."""
    if not isinstance(offsets, dict):
        return None if offsets is None else str(offsets)
    return sorted([place.topic, place.partition, str(given)] for place, given in offsets.items())


def _wrap_serialize(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _serialize(producer: Any, *args: Any) -> Any:
        made = original(producer, *args)
        kept = _serialized.get()
        if kept is not None:
            kept.append(made)
        return made

    return _serialize
