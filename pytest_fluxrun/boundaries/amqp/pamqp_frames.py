"""aiormq's frames (those of pamqp) as plain data, and back; and messages as its channels deliver them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pytest_fluxrun.values import snapshot

__all__ = ["entry_of", "fields_of", "frame_of", "is_method", "message_of", "method"]

_commands: Any = import_module("pamqp.commands")
_header: Any = import_module("pamqp.header")
_abc: Any = import_module("aiormq.abc")
_METHODS: dict[str, Any] = {found.name: found for found in _commands.INDEX_MAPPING.values()}


def fields_of(thing: Any) -> dict[str, Any]:
    """The fields of a method or of properties, as they are now."""
    return {name: snapshot(getattr(thing, name, None)) for name in thing.attributes()}


def entry_of(thing: Any) -> dict[str, Any] | None:
    """A method, or a message that was delivered, as plain data."""
    if thing is None or not isinstance(thing, _abc.DeliveredMessage):
        return None if thing is None else {"name": thing.name, "fields": fields_of(thing)}
    properties = {name: value for name, value in fields_of(thing.header.properties).items() if value is not None}
    return {
        "name": thing.delivery.name,
        "fields": fields_of(thing.delivery),
        "properties": properties,
        "payload": bytes(thing.body),
    }


def is_method(thing: Any) -> bool:
    """Whether it is a method, of which an error may tell."""
    return type(thing) in _METHODS.values()


def method(name: str, fields: Mapping[str, Any]) -> Any:
    """A method by its name."""
    return _filled(_METHODS[name], fields)


def frame_of(entry: Mapping[str, Any] | None, channel: Any) -> Any:
    """What `entry_of` saw.

    Args:
        channel: the channel that a message is delivered on.
    """
    if entry is None:
        return None
    delivery = method(entry["name"], entry["fields"])
    if "payload" not in entry:
        return delivery
    return message_of(delivery, entry["properties"], entry["payload"], channel)


def message_of(delivery: Any, properties: Mapping[str, Any], body: bytes, channel: Any) -> Any:
    """A message as a channel delivers it."""
    made = _filled(_commands.Basic.Properties, properties)
    header = _header.ContentHeader(body_size=len(body), properties=made)
    return _abc.DeliveredMessage(delivery=delivery, header=header, body=body, channel=channel)


def _filled(kind: Any, fields: Mapping[str, Any]) -> Any:
    made = kind.__new__(kind)
    for name in kind.attributes():
        setattr(made, name, fields.get(name))
    return made
