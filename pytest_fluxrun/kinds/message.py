"""The kind message: how what is sent to a channel and received from it is compared, shown and searched. Pure; no I/O.

A request is `{"channel", "direction": "send" | "receive", "payload": str | bytes | None, "headers": [[name, value]]}`.
A channel is a websocket's URL, a subject, a topic, an exchange with its routing key. Where one channel may be open more
than once, `connection` is the number under which its opening was recorded. `control` marks what is no message: a close.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

from pytest_fluxrun.boundary import Difference, Kind, Request
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.kinds.structure import ABSENT, named_scalars, structural_differences
from pytest_fluxrun.values import decode

__all__ = ["MESSAGE", "Message"]

_MAX_TEXT: Final = 200
_COMPARED: Final = ("direction", "control", "channel", "connection")


class Message(Kind):
    """Messages to and from a channel."""

    name: ClassVar[str] = "message"

    def canonical(self, request: Request) -> str:
        """Equal for messages of the same content, JSON key order folded; headers don't count."""
        parts = [str(request.get(part, "")) for part in _COMPARED]
        return "\n".join((*parts, "" if request.get("payload") is None else _folded(request["payload"])))

    def operation(self, request: Request) -> str:
        """`send channel`."""
        return f"{request.get('control') or request['direction']} {request['channel']}"

    def is_effect(self, request: Request) -> bool:
        """What is sent changes the outside; receiving and closing don't."""
        return bool(request["direction"] == "send" and not request.get("control"))

    def may_repeat(self, request: Request) -> bool:
        """A message that was received is gone: the next receive gets the next one."""
        return bool(request["direction"] != "receive")

    def differences(self, recorded: Request, asked: Request) -> list[Difference]:
        """Direction and channel, then the payload: by path where both are JSON."""
        found: list[Difference] = []
        for part in _COMPARED:
            found += structural_differences(f"request.{part}", recorded.get(part, ABSENT), asked.get(part, ABSENT))
        old, new = recorded.get("payload"), asked.get("payload")
        old_json, new_json = _parsed(old), _parsed(new)
        if old_json is not None and new_json is not None:
            return [*found, *structural_differences("request.payload", old_json[0], new_json[0])]
        return [*found, *structural_differences("request.payload", old, new)]

    def text(self, request: Request) -> str:
        """`send ws://ticker.example/feed {"subscribe": "EUR"}`, at most 200 characters."""
        payload = request.get("payload")
        shown = ""
        if isinstance(payload, str):
            shown = " " + " ".join(payload[: 2 * _MAX_TEXT].split())
        elif payload is not None:
            shown = f" <{len(payload)} bytes>"
        text = f"{self.operation(request)}{shown}"
        return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"

    def named_values(self, request: Request, answer: Any) -> Iterable[tuple[str, Any]]:
        """Headers, the channel's query pairs, and JSON keys (dotted) of what was sent and what came.

        What came is under `payload`, or where an answer holds more than one message in each of `messages`.
        """
        for name, value in request.get("headers", ()):
            yield name.lower(), value
        yield from parse_qsl(urlsplit(request["channel"]).query, keep_blank_values=True, errors="surrogateescape")
        yield from _named(request.get("payload"))
        if isinstance(answer, dict):
            for message in (answer, *answer.get("messages", ())):
                yield from _named_in(message)


MESSAGE = Message()


def _named_in(message: Any) -> Iterable[tuple[str, Any]]:
    """What a message that came names: its headers, and the keys of a JSON payload."""
    if not isinstance(message, dict):
        return
    try:
        properties = decode(message.get("properties"))
        headers = decode(message["headers"]) if "headers" in message else (properties or {}).get("headers")
        payload = decode(message.get("payload"))
    except (FluxRunError, AttributeError):
        return
    if isinstance(headers, dict):
        yield from ((str(name).lower(), value) for name, value in headers.items())
    yield from _named(payload)


def _named(payload: Any) -> Iterable[tuple[str, Any]]:
    parsed = _parsed(payload)
    return () if parsed is None else named_scalars(parsed[0])


def _parsed(payload: Any) -> tuple[Any] | None:
    """The object or list in a JSON payload, boxed; None for all else."""
    if not isinstance(payload, str | bytes) or payload[:1] not in ("{", "[", b"{", b"["):
        return None
    try:
        return (json.loads(payload),)
    except (ValueError, RecursionError):
        return None


def _folded(payload: str | bytes) -> str:
    parsed = _parsed(payload)
    if parsed is not None:
        payload = json.dumps(parsed[0], sort_keys=True)
    sort = "text" if isinstance(payload, str) else "bytes"
    data = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
    return f"{sort} {hashlib.blake2b(data, digest_size=16).hexdigest()}"
