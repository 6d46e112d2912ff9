"""The forms in which a secret occurs elsewhere (JSON, URL, base64), and the token that stands for it. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

import orjson

__all__ = ["SHORTEST", "Tokens", "basic_credentials", "escaped", "forms"]

SHORTEST: Final = 6
"""Characters from which on a secret is replaced wherever it occurs; a shorter one only at its own place."""

_SHORTEST_CORE: Final = 8
_OWN_PLACE_WIDTH: Final = 7  # below the width from which `Tokens` asks for the length of the secret
_MAX_TRIES: Final = 100
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SAME_EVERYWHERE: Final = re.compile(r"[A-Za-z0-9_.~-]+")
"""What neither JSON nor a URL escapes."""

_SORT: Final = re.compile(r"whsec_|[rs]k_(?:live|test)_|xox[abp]-|xapp-|gh[oprsu]_|github_pat_|sk-(?:ant-|proj-)?")
"""Prefixes by which Stripe, Svix, Slack, GitHub, OpenAI and Anthropic tell their keys apart: no part of the secret."""
_DIGITS: Final = re.compile(r"[0-9]+")
_HEX: Final = re.compile(r"(?=.*[0-9])(?:[0-9a-f]+|[0-9A-F]+)(?:-(?:[0-9a-f]+|[0-9A-F]+))*")


class Tokens:
    """The tokens of one run, made with its key.

    A token is as long as its secret, in UTF-8, so that lengths stay right: `fx` and hex digits. A secret that is a
    number, or hexadecimal with or without dashes, gets one of the same shape, since code parses it (a UUID, a
    signature); Basic credentials (RFC 7617) can still be decoded, and their user stays; base64 padding stays, and so
    does a prefix that says what sort of key it is (`whsec_`): Svix decodes what follows it.

    Args:
        key: random, of one run; equal secrets get equal tokens in it and in no other.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._made: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, secret: str) -> str:
        """The token of a secret; never the secret itself, and no other secret's."""
        made = self._made.get(secret)
        salt = 0
        while made is None:
            token = self._token(secret, salt)
            salt += 1
            if salt > _MAX_TRIES:
                raise ValueError("no token is free for a secret that short")
            if token != secret and token not in self._taken:
                made = self._made[secret] = token
                self._taken.add(token)
        return made

    def stand_ins(self) -> tuple[str, ...]:
        """The tokens long enough to be recognised, in the order of making."""
        return tuple(token for token in self._made.values() if len(token) >= SHORTEST)

    def _token(self, secret: str, salt: int) -> str:
        credentials = basic_credentials(secret)
        if credentials is not None:
            user, password = credentials
            shown = f"{user}:{self.of(password)}" if password else f"{self.of(user)}:"
            return base64.b64encode(shown.encode()).decode()
        sort = _SORT.match(secret)
        if sort is not None and len(secret) - sort.end() >= _SHORTEST_CORE:
            return sort[0] + self._token(secret[sort.end() :], salt)
        data = secret.encode("utf-8", "surrogatepass")
        digest = hashlib.shake_256(b"%s\0%d\0%s" % (self._key, salt, data)).hexdigest(len(data) // 2 + 8)
        if _DIGITS.fullmatch(secret):
            return _like_number(secret, digest)
        if len(data) >= SHORTEST and _HEX.fullmatch(secret):
            return _like_hex(secret, digest)
        padding = len(secret) - len(secret.rstrip("="))
        width = max(len(data), _OWN_PLACE_WIDTH if len(data) < SHORTEST else 0) - padding
        return f"fx{digest}"[:width] + "=" * padding


def basic_credentials(text: str) -> tuple[str, str] | None:
    """User and password where a text is the base64 of both with a colon between, in plain characters; else None."""
    try:
        user, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon and (user or password) and (user + password).isprintable() else None


def _like_number(secret: str, digest: str) -> str:
    lowest = 10 ** (len(secret) - 1)
    number = str(int(digest, 16) % (9 * lowest) + lowest)
    return f"0{number[1:]}" if secret[0] == "0" else number


def _like_hex(secret: str, digest: str) -> str:
    """Hex digits of the same case, dashes kept; a UUID keeps the digit of its version."""
    stream = iter(digest.upper() if secret.isupper() else digest)
    version = 14 if _UUID.fullmatch(secret) else -1
    return "".join(char if char == "-" or index == version else next(stream) for index, char in enumerate(secret))


def escaped(text: str) -> str:
    """The text as it stands between the quotes of a JSON string."""
    return orjson.dumps(text).decode()[1:-1]


def forms(secret: str, token: str) -> Iterator[tuple[str, str]]:
    """(form of the secret, what replaces it), the secret itself first, without repetition.

    Base64 comes as the characters that depend on the secret alone, for each of the three places it can begin at.
    """
    seen = set()
    for form, stand_in in _all_forms(secret, token):
        if form not in seen:
            seen.add(form)
            yield form, stand_in


def _all_forms(secret: str, token: str) -> Iterator[tuple[str, str]]:
    yield secret, token
    if _SAME_EVERYWHERE.fullmatch(secret) is None:
        for form in (escaped(secret), json.dumps(secret)[1:-1]):
            yield form, token
            yield escaped(form), token
        quoted = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
        for form in (*quoted, *(re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), text) for text in quoted)):
            yield form, token
            yield quote(form, safe=""), token
    data, stand_in = secret.encode(), token.encode()
    for offset in range(3):
        core = _core(data, offset)
        if len(core) >= _SHORTEST_CORE:
            replacement = _core(stand_in, offset)
            yield core, replacement
            yield core.replace("+", "-").replace("/", "_"), replacement
            yield core.replace("/", "\\/"), replacement


def _core(data: bytes, offset: int) -> str:
    """The base64 characters that are the same whatever stands before (`offset` bytes) and after."""
    text = base64.b64encode(b"\0" * offset + data).decode("ascii")
    first = (0, 2, 3)[offset]
    whole_bits = (offset + len(data)) * 8
    return text[first : whole_bits // 6]
