"""What is sent to a NATS server in the form of the kind message; messages as plain data. Pure.

Subjects that a client draws by lot (inboxes) are folded, and a JetStream message's acknowledgement names its stream.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from pytest_fluxrun.boundaries.amqp.messages import FOLDED
from pytest_fluxrun.boundary import Request
from pytest_fluxrun.values import encode_or_opaque

__all__ = ["asked", "fetched", "opened", "plain", "published", "received"]

_INBOX: Final = re.compile(r"_INBOX(?:\.[A-Za-z0-9_-]+)+")
_READS: Final = re.compile(
    r"\$JS(?:\.[^.]+)?\.API\.(?:INFO$|STREAM\.(?:INFO|NAMES|LIST|MSG\.GET)\b|CONSUMER\.(?:INFO|NAMES|LIST)\b|DIRECT\.GET\b)"
)
"""Requests to JetStream's API that change nothing."""
_CHUNKS: Final = re.compile(r"(\$O\.[^.]+\.C\.)[A-Za-z0-9]{22}")
"""The subject of an object's chunks: its last part is drawn by lot, and told in the object's description."""
_DESCRIPTION: Final = re.compile(r"\$O\.[^.]+\.M\.")
_ACK: Final = "$JS.ACK."
_PLAIN_TOKENS: Final = 9


def opened(servers: Any) -> Request:
    """A connection is opened."""
    places = [servers] if isinstance(servers, str) else list(servers or ())
    shown = ", ".join(re.sub(r"//[^@/]*@", "//", str(place)) for place in places)
    return {"control": "connect", "channel": shown, "direction": "send", "payload": None, "headers": []}


def published(subject: str, payload: Any, headers: Mapping[str, Any] | None) -> Request:
    """A message is published, a JetStream message acknowledged."""
    if subject.startswith(_ACK):
        return _acknowledged(subject, payload)
    return {
        "channel": _folded(subject),
        "direction": "send",
        "payload": _payload(_undrawn(payload) if _DESCRIPTION.match(subject) else payload, headers),
        "headers": [[name, str(value)] for name, value in (headers or {}).items() if name.lower() in FOLDED],
    }


def asked(subject: str, payload: Any, headers: Mapping[str, Any] | None) -> Request:
    """A request that waits for its answer."""
    request = published(subject, payload, headers)
    return {**request, "control": "ask"} if _READS.match(subject) else request


def received(subject: str) -> Request:
    """A subscription waits for its next message."""
    return {"channel": _folded(subject), "direction": "receive", "payload": None, "headers": []}


def fetched(stream: str, consumer: str, batch: int) -> Request:
    """A pull subscription asks for messages."""
    return {"channel": f"{stream}/{consumer}", "direction": "receive", "payload": f'{{"batch":{batch}}}', "headers": []}


def plain(message: Any) -> dict[str, Any] | None:
    """A message as it came, for `Client.msg_class`."""
    if message is None:
        return None
    return {
        "subject": message.subject,
        "reply": message.reply,
        "payload": message.data,
        "headers": None if message.headers is None else dict(message.headers),
    }


def _acknowledged(subject: str, payload: bytes) -> Request:
    tokens = subject.split(".")
    first = 2 if len(tokens) == _PLAIN_TOKENS else 4
    stream, consumer, _, sequence = tokens[first : first + 4]
    said = {"ack": _text(payload) or "+ACK", "sequence": sequence}
    return {"channel": f"{stream}/{consumer} ack", "direction": "send", "payload": _json(said), "headers": []}


def _undrawn(description: bytes) -> bytes:
    """An object's description without the name that was drawn for its chunks, and the time."""
    try:
        said = orjson.loads(description)
        return orjson.dumps({name: value for name, value in said.items() if name not in {"nuid", "mtime"}})
    except (ValueError, AttributeError):
        return description


def _payload(payload: Any, headers: Mapping[str, Any] | None) -> Any:
    said = {name: value for name, value in (headers or {}).items() if name.lower() not in FOLDED}
    text = _text(payload)
    return _json({"body": text, "headers": said}) if said else text


def _text(payload: Any) -> Any:
    try:
        return _folded(bytes(payload).decode())
    except UnicodeDecodeError:
        return bytes(payload)


def _folded(text: str) -> str:
    return _CHUNKS.sub(r"\1", _INBOX.sub("_INBOX", text))


def _json(value: Any) -> str:
    return orjson.dumps(encode_or_opaque(value), option=orjson.OPT_SORT_KEYS).decode()
