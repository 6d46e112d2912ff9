"""pika's frames as plain data, and back: what a broker sent in one exchange.

An entry of a dumped exchange is a method, with its message if it carries one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from pytest_fluxrun.values import Value, decode, encode, snapshot

__all__ = ["dumped", "fields_of", "loaded", "properties_of"]

frame: Any = import_module("pika.frame")
spec: Any = import_module("pika.spec")
_METHODS: dict[str, Any] = {method.NAME: method for method in spec.methods.values()}


def fields_of(thing: Any) -> dict[str, Any]:
    """The fields of a method or of properties, as they are now."""
    return {name: snapshot(value) for name, value in vars(thing).items() if not name.startswith("_")}


def properties_of(properties: Any) -> dict[str, Any]:
    """The properties that a message has."""
    return {name: value for name, value in fields_of(properties).items() if value is not None}


def dumped(raw: Iterable[bytes]) -> list[Value]:
    """Frames as they came, by method; heartbeats are no part of an exchange."""
    entries: list[dict[str, Any]] = []
    for data in raw:
        one = frame.decode_frame(data)[1]
        if isinstance(one, frame.Method):
            entries.append({"channel": one.channel_number, "name": one.method.NAME, "fields": fields_of(one.method)})
        elif isinstance(one, frame.Header):
            entries[-1] |= {"properties": properties_of(one.properties), "payload": b""}
        elif isinstance(one, frame.Body):
            entries[-1]["payload"] += one.fragment
    return [encode(entry) for entry in entries]


def loaded(entries: Iterable[Value], channels: Mapping[int, int], tags: Mapping[str, str]) -> Iterator[Any]:
    """The frames of a dumped exchange.

    Args:
        channels: the number that a recorded channel has here.
        tags: the tag that a recorded consumer has here.
    """
    for entry in map(decode, entries):
        number = channels.get(entry["channel"], entry["channel"])
        fields = entry["fields"]
        if "consumer_tag" in fields:
            fields = {**fields, "consumer_tag": tags.get(fields["consumer_tag"], fields["consumer_tag"])}
        yield frame.Method(number, _filled(_METHODS[entry["name"]](), fields))
        if "properties" in entry:
            body = entry["payload"]
            yield frame.Header(number, len(body), _filled(spec.BasicProperties(), entry["properties"]))
            if body:
                yield frame.Body(number, body)


def _filled(thing: Any, fields: Mapping[str, Any]) -> Any:
    vars(thing).update(fields)
    return thing
