"""What is sent to an AMQP broker in the form of the kind message, and messages that came from one as plain data. Pure.

Methods have the names of the specification (`Basic.Publish`) and their fields under its names, with underscores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pytest_fluxrun.boundary import Request
from pytest_fluxrun.values import encode_or_opaque

__all__ = [
    "FOLDED",
    "Sent",
    "is_prepared_locally",
    "local_reply",
    "payload_of",
    "readable",
    "receiving",
    "request_of",
    "said_in",
]

FOLDED: Final = frozenset(
    {"origin", "reply_to", "argsrepr", "kwargsrepr", "traceparent", "tracestate", "baggage", "sentry-trace"}
)
"""Headers and properties that name the sending process or thread, repeat the body for people, or carry a trace."""
_OWN_TAG: Final = "consumer_tag"
_EFFECTS: Final = {
    "Basic.Ack": "ack",
    "Basic.Nack": "nack",
    "Basic.Reject": "reject",
    "Basic.Recover": "recover",
    "Queue.Purge": "purge",
    "Queue.Delete": "delete",
    "Exchange.Delete": "delete exchange",
    "Tx.Commit": "commit",
    "Tx.Rollback": "rollback",
}
"""Methods beside Basic.Publish that change what the broker holds for others, by what they do."""
_DRAWN: Final = re.compile(r"\b(amq_)[0-9a-f]{32}\b")
"""Names that aio-pika gives to queues of one connection."""
_NEVER_SAID: Final = frozenset({"ticket", "nowait", "immediate", "queue", "exchange", "routing_key", _OWN_TAG})
"""Fields that the channel says, or that name this process."""
_NO_REPLY: Final = frozenset({"Basic.Publish", "Basic.Get", "Channel.CloseOk", "Connection.CloseOk", *_EFFECTS})


@dataclass(frozen=True, slots=True)
class Sent:
    """A method that was sent, with its message if it has one. Mutable values are the sender's copies.

    Attributes:
        channel: the number of the channel on its connection.
    """

    channel: int
    name: str
    fields: Mapping[str, Any]
    properties: Mapping[str, Any] | None = None
    body: bytes = b""


def receiving(queue: str) -> Request:
    """A consumer of a queue waits for what comes next."""
    return {"channel": f"deliveries of {_named(queue)}", "direction": "receive", "payload": None, "headers": []}


def request_of(sent: Sequence[Sent]) -> Request:
    """What one exchange with the broker asks; nothing sent: whatever it delivers."""
    if not sent:
        return {"channel": "deliveries", "direction": "receive", "payload": None, "headers": []}
    main = next((one for one in sent if one.name == "Basic.Publish" or one.name in _EFFECTS), sent[-1])
    request = _request(main)
    others = [f"{_request(one)['channel']} {one.name}" for one in sent if one is not main]
    return {**request, "channel": f"{request['channel']} after {', '.join(others)}"} if others else request


def _request(one: Sent) -> Request:
    fields = one.fields
    if one.name == "Basic.Publish":
        return _publication(one)
    payload = {name: value for name, value in fields.items() if name not in _NEVER_SAID and value not in _UNSAID}
    request: dict[str, Any] = {
        "channel": _place(fields),
        "direction": "send",
        "payload": _json(payload) if payload else None,
        "headers": [],
    }
    if one.name == "Basic.Get":
        return {**request, "direction": "receive"}
    if one.name in _EFFECTS:
        return {**request, "channel": f"{request['channel']} {_EFFECTS[one.name]}".lstrip()}
    return {**request, "control": one.name}


_UNSAID: Final[tuple[Any, ...]] = (None, False, "", 0, {})


def _place(fields: Mapping[str, Any]) -> str:
    parts = [fields.get("exchange"), fields.get("queue"), fields.get("routing_key")]
    return "/".join(_named(str(part)) for part in parts if part)


def _named(text: str) -> str:
    """A name, or no more than its sort where a client has drawn it by lot."""
    return _DRAWN.sub(r"\1", text)


def _publication(one: Sent) -> Request:
    exchange, key = one.fields.get("exchange"), one.fields.get("routing_key") or ""
    properties = {name: value for name, value in (one.properties or {}).items() if value is not None}
    headers = properties.pop("headers", None) or {}
    content_type = str(properties.pop("content_type", "") or "")
    if one.fields.get("mandatory"):
        properties["mandatory"] = True
    return {
        "channel": _named(f"{exchange}/{key}" if exchange else key),
        "direction": "send",
        "payload": payload_of(content_type, one.body, headers, properties),
        "headers": said_in(headers, properties),
    }


def payload_of(content_type: str, body: Any, headers: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    """A message as the JSON that is compared: what names the sender or a trace left out."""
    return _json(
        {
            "content_type": content_type,
            "body": readable(content_type, body),
            "headers": _unfolded(headers),
            "properties": _unfolded(properties),
        }
    )


def said_in(headers: Mapping[str, Any], properties: Mapping[str, Any]) -> list[list[str]]:
    """What `payload_of` leaves out, for people."""
    return [[name, str(value)] for name, value in (*headers.items(), *properties.items()) if name in FOLDED]


def readable(content_type: str, body: Any) -> Any:
    """A JSON body as what it says, text as it is, other bytes as bytes."""
    if "json" in content_type:
        try:
            return orjson.loads(body)
        except ValueError:
            return body
    return body if isinstance(body, str) else bytes(body)


def _unfolded(pairs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _named(value) if isinstance(value, str) else value
        for name, value in pairs.items()
        if name.lower() not in FOLDED and value is not None
    }


def _json(value: Any) -> str:
    return orjson.dumps(encode_or_opaque(value), option=orjson.OPT_SORT_KEYS).decode()


def local_reply(one: Sent) -> tuple[str, dict[str, Any]] | None:
    """The answer to a method that only prepares: the name and the fields of the method that confirms it.

    Returns:
        None where no answer comes, or only the broker knows it.
    """
    if one.name in _NO_REPLY or one.fields.get("nowait") or one.fields.get("passive"):
        return None
    if one.name == "Queue.Declare":
        return f"{one.name}Ok", {"queue": one.fields.get("queue") or "", "message_count": 0, "consumer_count": 0}
    if one.name in {"Basic.Consume", "Basic.Cancel"}:
        return f"{one.name}Ok", {_OWN_TAG: one.fields.get(_OWN_TAG) or ""}
    return f"{one.name}Ok", {"active": one.fields["active"]} if one.name == "Channel.Flow" else {}


def is_prepared_locally(sent: Iterable[Sent]) -> bool:
    """Whether all that was sent only prepares what follows: a replay may answer it without a recording."""
    return all(
        local_reply(one) is not None or (one.name not in _NO_REPLY and not one.fields.get("passive")) for one in sent
    )
