"""Commands as they are sent: packed in RESP, with their secrets left out. Pure; no redis-py."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["Chunks", "commands_in", "frozen", "is_local", "is_plain", "name_in", "text_or_bytes"]

Chunks = bytes | list[bytes]
"""Packed commands, in one piece where they came so."""

_HEAD: Final = 64
_PLAIN_HEAD: Final = 12
"""Of `*2\\r\\n$3\\r\\nGET`, as most commands begin."""
_MOST_HEADS: Final = 1_000
_NOT_PLAIN: Final = (
    b"SELECT",
    b"MONITOR",
    *(prefix + b"SUBSCRIBE" for prefix in (b"", b"P", b"S", b"UN", b"PUN", b"SUN")),
)
_MASK: Final = "***"
_COUNT: Final = re.compile(rb"\*(\d+)\r\n")
_LENGTH: Final = re.compile(rb"\$(\d+)\r\n")
_SECRET_SETTINGS: Final = re.compile(
    r"(?i)requirepass|masterauth|auth-pass|sentinel-pass|tls-key-file-pass|tls-client-key-file-pass"
)
_ACL_SECRET: Final = (">", "<", "#", "!")
_LOCAL: Final = frozenset(
    {"AUTH", "HELLO", "SELECT", "READONLY", "READWRITE", "ASKING", "UNWATCH", "QUIT", "RESET"}
    | {"CLIENT SETINFO", "CLIENT SETNAME", "CLIENT NO-EVICT", "CLIENT NO-TOUCH", "CLIENT REPLY", "CLIENT TRACKING"}
    | {"CLIENT MAINT_NOTIFICATIONS"}
)

_plain_heads: set[bytes] = set()


def frozen(command: Any) -> Chunks:
    """What `send_packed_command` takes, so that it can't change."""
    if type(command) is list and len(command) == 1 and type(command[0]) is bytes:
        return command[0]  # as every client's packer makes it
    if isinstance(command, str):
        return command.encode()
    if isinstance(command, bytes):
        return command
    return [chunk if type(chunk) is bytes else bytes(chunk) for chunk in command]


def is_plain(chunks: Chunks) -> bool:
    """Whether commands need no look at their name: the first is about neither channels nor the connection's database.

    False also where that isn't known from the first bytes alone.
    """
    head = chunks[:_PLAIN_HEAD] if type(chunks) is bytes else _first(chunks)[:_PLAIN_HEAD]
    if head in _plain_heads:
        return True
    name = head.split(b"\r\n")[2:]
    if not name or not name[0] or any(one.startswith(name[0].upper()) for one in _NOT_PLAIN):
        return False
    if len(_plain_heads) < _MOST_HEADS:
        _plain_heads.add(head)
    return True


def name_in(chunks: Chunks) -> bytes:
    """The name of the first command, upper-case."""
    parts = _first(chunks)[:_HEAD].split(b"\r\n", 3)
    return parts[2].upper() if len(parts) > 2 else (parts[0].split() or [b""])[0].upper()


def commands_in(chunks: Chunks) -> list[list[Any]]:
    """The commands, each `[name, *arguments]`, text where it is UTF-8; passwords masked."""
    data = chunks if isinstance(chunks, bytes) else b"".join(chunks)
    commands = []
    position = 0
    while (count := _COUNT.match(data, position)) is not None:
        position = count.end()
        command = []
        for _ in range(int(count[1])):
            length = _LENGTH.match(data, position)
            if length is None:
                break
            start = length.end()
            position = start + int(length[1])
            command.append(text_or_bytes(data[start:position]))
            position += 2
        commands.append(_masked(command))
    if position < len(data):  # an inline command, as people type it
        commands += [_masked([text_or_bytes(part) for part in line.split()]) for line in data[position:].splitlines()]
    return [command for command in commands if command]


def _first(chunks: Chunks) -> bytes:
    return chunks if isinstance(chunks, bytes) else chunks[0] if chunks else b""


def text_or_bytes(data: Any) -> Any:
    """Text where bytes are UTF-8, else the bytes."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def is_local(commands: Iterable[list[Any]]) -> bool:
    """Whether commands concern the connection alone, so that each is answered with OK where nobody recorded it."""
    return all(_name(command) in _LOCAL for command in commands)


def _name(command: list[Any]) -> str:
    words = command[:2] if isinstance(command[0], str) and command[0].upper() == "CLIENT" else command[:1]
    return " ".join(str(word).upper() for word in words)


def _masked(command: list[Any]) -> list[Any]:
    """A command without the passwords that it gives to the server."""
    words = [word.upper() if isinstance(word, str) else "" for word in command[:4]]
    if words[:1] == ["AUTH"]:
        return [command[0], *[_MASK] * (len(command) - 1)]
    if words[:1] in (["HELLO"], ["MIGRATE"]):
        return _masked_behind(command, {"AUTH": 2 if words[0] == "HELLO" else 1, "AUTH2": 2})
    if words[:2] == ["ACL", "SETUSER"]:
        return [_MASK if isinstance(word, str) and word.startswith(_ACL_SECRET) else word for word in command]
    if words[:2] in (["CONFIG", "SET"], ["SENTINEL", "SET"], ["SENTINEL", "CONFIG"]):
        secret = [isinstance(word, str) and _SECRET_SETTINGS.fullmatch(word) for word in command]
        return [_MASK if index and secret[index - 1] else word for index, word in enumerate(command)]
    return command


def _masked_behind(command: list[Any], counts: dict[str, int]) -> list[Any]:
    masked: list[Any] = []
    left = 0
    for word in command:
        masked.append(_MASK if left else word)
        left = left - 1 if left else counts.get(word.upper(), 0) if isinstance(word, str) else 0
    return masked
