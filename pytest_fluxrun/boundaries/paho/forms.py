"""What an MQTT client sends in the form of the kind message; packets that it received as plain data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from pytest_fluxrun.boundary import Request
from pytest_fluxrun.values import encode_or_opaque

__all__ = [
    "acknowledged",
    "confirmed",
    "confirmed_connection",
    "joined",
    "opened",
    "packets",
    "published",
    "split",
    "subscribed",
    "waited",
]

_PUBLISH: Final = 0x30
_QOS: Final = 0x06
_MORE: Final = 0x80


def opened(host: str, port: int) -> Request:
    """A connection is opened."""
    return _control("connect", f"mqtt://{host}:{port}")


def published(topic: str, payload: Any, qos: int, retain: bool, properties: Any) -> Request:  # noqa: FBT001 - as paho's
    """A message is published."""
    said: dict[str, Any] = {"qos": qos, "retain": retain, "properties": properties}
    said = {name: value for name, value in said.items() if value}
    text = _text(payload)
    return {
        "channel": topic,
        "direction": "send",
        "payload": _json({**said, "body": text}) if said else text,
        "headers": [],
    }


def subscribed(what: str, topics: Any) -> Request:
    """Interest in topics begins or ends."""
    return _control(what, topics if isinstance(topics, str) else _json(topics))


def acknowledged(mid: int, qos: int) -> Request:
    """A message is acknowledged by the program itself."""
    return {"channel": "ack", "direction": "send", "payload": _json({"mid": mid, "qos": qos}), "headers": []}


def waited(mid: int) -> Request:
    """The program waits until a message has been published."""
    return _control("wait for publish", f"message {mid}")


def packets(connection: int) -> Request:
    """A client waits for what the broker sends.

    Args:
        connection: the how many-th client of its run it is.
    """
    return {"channel": "packets", "direction": "receive", "payload": None, "headers": [], "connection": connection}


def split(command: int, packet: bytes, *, properties: bool) -> Mapping[str, Any]:
    """A packet as plain data; of a publication, the message's payload apart.

    Args:
        properties: the protocol is version 5.
    """
    head = len(packet)
    if command & 0xF0 == _PUBLISH:
        head = 2 + int.from_bytes(packet[:2]) + (2 if command & _QOS else 0)
        if properties:
            length, read = _varying(packet, head)
            head += read + length
    return {"command": command, "head": packet[:head], "payload": packet[head:]}


def confirmed_connection(*, properties: bool) -> Mapping[str, Any]:
    """A broker that takes a connection (MQTT 3.1.1 and 5.0, 3.2)."""
    return {"command": 0x20, "head": bytes(3 if properties else 2), "payload": b""}


def confirmed(what: str, mid: int, count: int, *, properties: bool) -> Mapping[str, Any]:
    """A broker that takes a subscription to so many topics, or its end (3.9 and 3.11)."""
    codes = bytes(count) if what == "subscribe" or properties else b""
    head = mid.to_bytes(2) + (b"\x00" if properties else b"") + codes
    return {"command": 0x90 if what == "subscribe" else 0xB0, "head": head, "payload": b""}


def joined(entry: Mapping[str, Any]) -> tuple[int, bytes]:
    """A packet's command and content."""
    return entry["command"], entry["head"] + entry["payload"]


def _varying(packet: bytes, start: int) -> tuple[int, int]:
    """A variable byte integer and how many bytes it takes (MQTT 5.0, 1.5.5)."""
    number = 0
    for read in range(4):
        byte = packet[start + read]
        number += (byte & ~_MORE) << (7 * read)
        if not byte & _MORE:
            return number, read + 1
    return number, 4


def _control(what: str, place: str) -> Request:
    return {"control": what, "channel": place, "direction": "send", "payload": None, "headers": []}


def _text(payload: Any) -> Any:
    if isinstance(payload, bytes | bytearray):
        try:
            return payload.decode()
        except UnicodeDecodeError:
            return bytes(payload)
    return None if payload is None else str(payload)


def _json(value: Any) -> str:
    return orjson.dumps(encode_or_opaque(value), option=orjson.OPT_SORT_KEYS).decode()
