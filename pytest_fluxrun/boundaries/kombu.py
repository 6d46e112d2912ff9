"""kombu: messages published to a broker, by Celery, through a `SimpleQueue` or directly, whatever the transport.

What is sent crosses in `Producer.publish`. Connections, channels and declarations are no calls of a run: a connection
that is opened in a replay has kombu's own in-memory transport. `kombu_consuming` refuses what a run consumes itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.amqp.messages import payload_of, said_in
from pytest_fluxrun.boundary import Boundary, Call, Kind, Patch, Request, Session
from pytest_fluxrun.context import crossing
from pytest_fluxrun.kinds.message import MESSAGE
from pytest_fluxrun.values import Value, snapshot

__all__ = ["KombuBoundary", "boundary"]

_NO_PROPERTIES = frozenset(
    {
        *("routing_key", "exchange", "headers", "content_type"),  # said elsewhere in the request
        *("serializer", "compression", "content_encoding"),
        *("retry", "retry_policy", "declare", "timeout", "confirm_timeout"),
    }
)
"""Arguments of publish that aren't properties of the message, but say where it goes and how it is sent."""


class KombuBoundary(Boundary[None]):
    """Publishing through `kombu.Producer`."""

    name: ClassVar[str] = "kombu"
    kind: ClassVar[Kind] = MESSAGE
    modules: ClassVar[tuple[str, ...]] = ("kombu.messaging", "kombu.connection", "kombu.transport.redis")

    def patches(self, module: Any) -> Iterable[Patch]:
        """The one way by which kombu sends, above its retries; a connection's transport; Redis's pool."""
        match module.__name__:
            case "kombu.messaging":
                yield Patch(module.Producer, "publish", _publish)
            case "kombu.connection":
                yield Patch(module.Connection, "create_transport", _create_transport)
            case _:
                yield Patch(module.Channel, "_get_pool", _told_apart)

    def dump(self, result: None) -> Value:
        """Nothing: what a transport returns (a promise, a sequence) belongs to its connection."""
        del result

    def load(self, value: Value, call: Call) -> None:
        """Nothing."""
        del value, call

    def answer(self, request: Request, reply: Mapping[str, Any]) -> Value:
        """Nothing, whatever the guard says: a message that was sent has no answer."""
        del request, reply

    def sketch(self, request: Request, number: int) -> Mapping[str, Any]:
        """No keys."""
        del request, number
        return {}


def _told_apart(original: Callable[..., Any]) -> Callable[..., Any]:
    """The transport's connections are of a class of kombu's, by which redis-py's boundary knows a worker's own."""

    @functools.wraps(original)
    def get_pool(*args: Any, **kwargs: Any) -> Any:
        pool = original(*args, **kwargs)
        cls = pool.connection_class
        if not cls.__module__.startswith("kombu."):
            pool.connection_class = type(cls.__name__, (cls,), {"__module__": "kombu.transport.redis"})
        return pool

    return get_pool


def _create_transport(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def create_transport(connection: Any) -> Any:
        session = crossing()
        if session is None or not session.answers:
            return original(connection)
        return import_module("kombu.transport.memory").Transport(client=connection)

    return create_transport


def _publish(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def publish(self: Any, body: Any, routing_key: Any = None, *args: Any, **options: Any) -> Any:
        session: Session | None = crossing()
        if session is None:
            return original(self, body, routing_key, *args, **options)
        given = {**dict(zip(_POSITIONAL, args, strict=False)), **options}
        call = Call(_request(self, body, routing_key, given))
        return session.call(boundary, call, lambda: original(self, body, routing_key, *args, **options))

    return publish


_POSITIONAL = (
    "delivery_mode",
    "mandatory",
    "immediate",
    "priority",
    "content_type",
    "content_encoding",
    "serializer",
    "headers",
    "compression",
    "exchange",
    "retry",
    "retry_policy",
    "declare",
    "expiration",
    "timeout",
    "confirm_timeout",
)
"""Parameters of `Producer.publish` after `routing_key` (kombu 5.3 to 5.7)."""


def _request(producer: Any, body: Any, routing_key: Any, given: Mapping[str, Any]) -> Callable[[], Request]:
    try:
        return _Message.of(producer, body, routing_key, given).form
    except Exception as failure:  # recording never raises into the host; the run says that it lacks the request
        return functools.partial(_unreadable, failure)


def _unreadable(failure: Exception) -> Request:
    raise failure


@dataclass(frozen=True, slots=True)
class _Message:
    """What is published, as it is now; serialised when the form is wanted."""

    to: str
    body: Any
    serializer: str | None
    content_type: str | None
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]

    @classmethod
    def of(cls, producer: Any, body: Any, routing_key: Any, given: Mapping[str, Any]) -> _Message:
        exchange = given.get("exchange") or producer.exchange
        name = getattr(exchange, "name", exchange) or ""
        key = producer.routing_key if routing_key is None else routing_key
        return cls(
            to=f"{name}/{key}" if name else str(key),
            body=snapshot(body),
            serializer=given.get("serializer") or producer.serializer,
            content_type=given.get("content_type"),
            headers=snapshot(dict(given.get("headers") or {})),
            properties=snapshot({name: value for name, value in given.items() if name not in _NO_PROPERTIES and value}),
        )

    def form(self) -> Request:
        content_type, body = self.content_type, self.body
        if not content_type:
            dumps = import_module("kombu.serialization").dumps
            content_type, _, body = dumps(body, serializer=self.serializer)
        subject = str(self.headers.get("task") or "")  # where Celery's message protocol 2 names the task
        return {
            "channel": f"{self.to} {subject}".rstrip(),
            "direction": "send",
            "payload": payload_of(content_type, body, self.headers, self.properties),
            "headers": said_in(self.headers, self.properties),
        }


boundary = KombuBoundary()
