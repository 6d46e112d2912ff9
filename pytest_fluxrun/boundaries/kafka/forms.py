"""What a producer sends in the form of the kind message. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from pytest_fluxrun.boundaries.amqp.messages import FOLDED
from pytest_fluxrun.boundary import Request
from pytest_fluxrun.values import encode_or_opaque

__all__ = ["asked", "headers_of", "opened", "produced", "settled"]


def opened(servers: Any) -> Request:
    """A producer is made."""
    shown = servers if isinstance(servers, str) else ",".join(map(str, servers or ()))
    return asked("connect", f"kafka://{shown}")


def produced(topic: str, value: Any, **said: Any) -> Request:
    """A record is produced.

    Args:
        said: what else the program says of it: key, partition, timestamp, headers.
    """
    headers = headers_of(said.pop("headers", None))
    named = {name: _text(given) for name, given in headers if name.lower() not in FOLDED}
    more = {name: _text(given) for name, given in said.items() if given is not None} | (
        {"headers": named} if named else {}
    )
    text = _text(value)
    if text is not None and not isinstance(text, str | bytes):  # what the library refuses
        text = _json(value)
    return {
        "channel": topic,
        "direction": "send",
        "payload": _json({**more, "value": text}) if more else text,
        "headers": [[name, str(_text(given))] for name, given in headers if name.lower() in FOLDED],
    }


def settled(what: str, said: Any = None) -> Request:
    """A transaction ends, or takes a consumer's offsets in."""
    payload = None if said is None else _json(said)
    return {"channel": f"transaction {what}", "direction": "send", "payload": payload, "headers": []}


def asked(what: str, place: str = "") -> Request:
    """What changes nothing."""
    return {"control": what, "channel": place, "direction": "send", "payload": None, "headers": []}


def headers_of(headers: Any) -> list[tuple[str, Any]]:
    """A record's headers, given as a mapping or as pairs, as they are now."""
    pairs: Iterable[Any] = headers.items() if isinstance(headers, Mapping) else headers or ()
    return [(str(name), given) for name, given in pairs]


def _text(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return bytes(value)
    return value if value is None or isinstance(value, str | int | list) else _json(value)


def _json(value: Any) -> str:
    return orjson.dumps(encode_or_opaque(value), option=orjson.OPT_SORT_KEYS).decode()
