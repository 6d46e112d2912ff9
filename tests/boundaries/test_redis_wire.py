"""Packed commands of redis-py's boundary: which of them need no look at their name."""

from __future__ import annotations

import pytest

from pytest_fluxrun.boundaries.redis_client.wire import commands_in, frozen, is_plain, name_in

SPECIAL = ("SELECT", "MONITOR", *(f"{prefix}SUBSCRIBE" for prefix in ("", "P", "S", "UN", "PUN", "SUN")))


def packed(*words: str) -> bytes:
    parts = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    return f"*{len(words)}\r\n{parts}".encode()


@pytest.mark.parametrize("arguments", [0, 1, 8, 9, 98, 99, 998])
@pytest.mark.parametrize("name", [*SPECIAL, *map(str.lower, SPECIAL)])
def test_command_about_channels_or_the_database_is_never_plain(name: str, arguments: int):
    """However many arguments it has, also where others that begin alike were seen before, and typed inline."""
    words = ["x"] * arguments
    for end in range(1, len(name)):
        is_plain(packed(name[:end], *words))

    assert not is_plain(packed(name, *words))
    assert not is_plain([packed(name, *words), b"more"])
    assert not is_plain(" ".join([name, *words]).encode())
    assert name.upper().encode() == name_in(packed(name, *words))


@pytest.mark.parametrize("words", [("GET", "k"), ("set", "k", "v"), ("HGETALL", "k"), ("EVALSHA", "0" * 40, "0")])
def test_most_commands_are_plain(words: tuple[str, ...]):
    """Whether they come in one piece or in several."""
    assert is_plain(packed(*words))
    assert is_plain([packed(*words), packed("SELECT", "1")])


def test_nothing_to_send_is_not_plain():
    """And has no name."""
    assert not is_plain([])
    assert b"" == name_in([])


def test_what_is_sent_is_kept_as_it_was():
    """In one piece where it came so; a buffer that may change is copied."""
    data, buffer = packed("GET", "k"), bytearray(packed("GET", "k"))

    assert data is frozen([data])
    kept = frozen([memoryview(buffer), b"more"])
    buffer[-3:-2] = b"j"

    assert [data, b"more"] == kept
    assert [["GET", "k"]] == commands_in(data) == commands_in(frozen("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"))
