"""What arguments and replies of a key-value store's commands say: keys, fields, values by their names. Pure; no I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from pytest_fluxrun.kinds.structure import named_scalars

__all__ = ["parts_of", "readable", "said_by"]

_MAX_SHOWN: Final = 120
_SEPARATOR: Final = re.compile(r"[:/|.]")
_ID: Final = re.compile(r"(?:\d+|[0-9a-fA-F-]{8,}|\{.*\})?", re.DOTALL)
"""A part of a key that says which one, not what: a number, a digest, a hash tag."""

_VALUED: Final = {
    "SET": ("value",),
    "SETNX": ("value",),
    "GETSET": ("value",),
    "APPEND": ("value",),
    "SETEX": ("seconds", "value"),
    "PSETEX": ("milliseconds", "value"),
    "SETRANGE": ("offset", "value"),
    "LSET": ("index", "value"),
    "HSETNX": ("field", "value"),
    "PUBLISH": ("value",),
    "SPUBLISH": ("value",),
    "GET": (),
    "GETDEL": (),
    "GETEX": (),
    "JSON.SET": ("path", "value"),
    "HGET": ("field",),
}
"""Commands of a key (or a channel), then these; what follows are options."""
_PAIRED: Final = {"HSET": 2, "HMSET": 2, "MSET": 1, "MSETNX": 1}
"""Where pairs of a field (or a key) and its value begin."""
_GIVES_VALUE: Final = frozenset({"GET", "GETDEL", "GETEX", "GETSET", "HGET", "SET", "JSON.GET"})
_GIVES_PAIRS: Final = frozenset({"HGETALL", "CONFIG"})
_LISTED: Final = {"MGET": 1, "HMGET": 2}
"""Where the names begin of which the reply holds the values, one each."""
_NO_KEY: Final = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"})


def parts_of(command: list[Any]) -> dict[str, Any]:
    """A command's parts by name: its key, fields, value (what JSON text says), and the other arguments in a list."""
    name = command[0].upper() if isinstance(command[0], str) else ""
    start = _PAIRED.get(name) or (_first_field(command) if name == "XADD" else 0)
    if start and (len(command) - start) % 2 == 0:
        pairs = zip(command[start::2], command[start + 1 :: 2], strict=True)
        held = {readable(field): _said(value) for field, value in pairs}
        before = {"key": command[1]} if start > 1 else {}
        return {**before, "fields": held, **_rest(command[2:start])}
    roles = _VALUED.get(name)
    if roles is not None and len(command) >= 2 + len(roles):
        named = zip(roles, command[2:], strict=False)
        held = {role: _said(value) if role == "value" else value for role, value in named}
        return {"key": command[1], **held, **_rest(command[2 + len(roles) :])}
    if len(command) < 2 or name in _NO_KEY:
        return _rest(command[1:])
    return {"key": command[1], **_rest(command[2:])}


def said_by(command: list[Any], reply: Any) -> Iterator[tuple[str, Any]]:
    """(name, value) for what a command holds, or with a reply, for what that holds.

    A value is named by the last part of its key that isn't an id; one that is JSON by its own keys only.
    """
    name = command[0].upper() if isinstance(command[0], str) else ""
    if reply is None:
        parts = parts_of(command)
        if "value" in parts:
            yield from _named(_last_part(parts.get("field", parts["key"])), parts["value"])
        for field, value in parts.get("fields", {}).items():
            yield from _named(_last_part(field), value)
        for argument in parts.get("arguments", ()):
            yield from _named("", _said(argument))
    elif name in _GIVES_VALUE:
        field = command[2] if name == "HGET" and len(command) > 2 else command[1] if len(command) > 1 else ""
        yield from _named(_last_part(field), _said(reply))
    elif name in _LISTED and isinstance(reply, list):
        for field, value in zip(command[_LISTED[name] :], reply, strict=False):
            yield from _named(_last_part(field), _said(value))
    elif name == "RECEIVE" and isinstance(reply, list) and len(reply) > 2:
        yield from _named(_last_part(reply[-2]), _said(reply[-1]))
    else:
        yield from _walked(reply, paired=name in _GIVES_PAIRS or name.startswith("X"))


def readable(part: Any) -> str:
    """An argument as people read it; bytes by their number."""
    if isinstance(part, str):
        return part if len(part) <= _MAX_SHOWN else f"{part[: _MAX_SHOWN - 1]}…"
    return f"<{len(part)} bytes>" if isinstance(part, bytes) else str(part)


def _rest(arguments: list[Any]) -> dict[str, Any]:
    return {"arguments": [_said(argument) for argument in arguments]} if arguments else {}


def _first_field(command: list[Any]) -> int:
    """Where the fields of an XADD begin: behind the id, which is the first argument that no option takes."""
    index = 2
    while index < len(command):
        option = command[index].upper() if isinstance(command[index], str) else ""
        if option in {"NOMKSTREAM", "KEEPREF", "DELREF", "ACKED"}:
            index += 1
        elif option in {"MAXLEN", "MINID"}:
            index += 3 if command[index + 1 : index + 2] in (["~"], ["="]) else 2
        elif option == "LIMIT":
            index += 2
        else:
            return index + 1
    return 0


def _said(value: Any) -> Any:
    """The object or list that a JSON text holds; all else as it is."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _named(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        yield from named_scalars(value)
    elif name and isinstance(value, str | int | float):
        yield name, value


def _walked(reply: Any, *, paired: bool) -> Iterator[tuple[str, Any]]:
    """What is named in a reply of any shape: maps, and where they may be lists, each text with the one before it."""
    if isinstance(reply, dict):
        for field, value in reply.items():
            yield from _named(_last_part(field), _said(value))
            yield from _walked(value, paired=paired)
    elif isinstance(reply, list):
        if paired and len(reply) % 2 == 0:
            for field, value in list(pairwise(reply))[::2]:
                yield from _named(_last_part(field), value)
        for item in reply:
            yield from _walked(item, paired=paired)
    else:
        yield from _named("", _said(reply))


def _last_part(key: Any) -> str:
    """`password` of `user:42:password`, `reset_token` of `reset_token:9f3c2e71`."""
    if not isinstance(key, str):
        return ""
    parts = _SEPARATOR.split(key)
    return next((part for part in reversed(parts) if not _ID.fullmatch(part)), "")
