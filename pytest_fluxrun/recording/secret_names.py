"""Which names say that a value is a secret: header, cookie, JSON key, variable, column and parameter names. Pure.

A name is judged by its words (`apiKey`, `API_KEY` and `x-api-key` have the same ones), so that `author`, `tokenizer`
and `max_tokens` don't count as `auth` and `token`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from enum import Enum
from typing import Final

__all__ = ["STEMS", "TWO_LETTERS", "DenyList", "Sort", "deny_list"]


class Sort(Enum):
    """What a name says about its value."""

    PLAIN = "plain"
    SECRET = "secret"  # noqa: S105 - the word, not one
    NUMBER_TOO = "number-too"
    COOKIE = "cookie"
    SET_COOKIE = "set-cookie"


_WORDS: Final = frozenset(
    [
        "password",
        "passwords",
        "passwd",
        "pwd",
        "passphrase",
        "passcode",
        "secret",
        "secrets",
        "token",
        "tokens",
        "apikey",
        "authorization",
        "auth",
        "cookie",
        "credential",
        "credentials",
        "signature",
        "sig",
        "hmac",
        "cvv",
        "cvc",
        "ssn",
        "pin",
        "otp",
        "totp",
        "jwt",
        "bearer",
        "session",
        "sessionid",
        "sessid",
        "phpsessid",
        "jsessionid",
        "sid",
        "csrf",
        "xsrf",
        "csrftoken",
        "sessiontoken",
    ],
)
_NUMBERS_TOO: Final = frozenset(["password", "passwd", "pwd", "passcode", "pin", "cvv", "cvc", "ssn", "otp", "secret"])
_FLAT: Final = (
    *("password", "passwd", "secret", "apikey", "credential", "authorization", "privatekey", "accesskey"),
    *("csrf", "xsrf"),
)
_KEY_OWNERS: Final = frozenset(
    ["api", "access", "secret", "private", "signing", "encryption", "master", "service", "account", "ssh"]
)
_NOT_THE_VALUE: Final = frozenset(
    [
        "type",
        "count",
        "counts",
        "limit",
        "max",
        "min",
        "name",
        "names",
        "timeout",
        "ttl",
        "url",
        "uri",
        "endpoint",
        "method",
        "provider",
        "scheme",
        "enabled",
        "required",
        "expires",
        "expiry",
        "expiration",
        "expired",
        "in",
        "at",
        "length",
        "size",
        "version",
        "status",
        "format",
        "policy",
        "algorithm",
        "alg",
        "strategy",
        "mode",
        "location",
        "hint",
        "details",
        "usage",
        "budget",
        "index",
        "ids",
    ],
)
"""Last words of names that speak about a secret and don't hold it: `token_type`, `session_timeout`, `password_hint`."""

STEMS: Final = (
    *(
        "pass",
        "pwd",
        "secret",
        "token",
        "key",
        "auth",
        "cookie",
        "credential",
        "sig",
        "hmac",
        "cv",
        "ssn",
        "pin",
        "otp",
    ),
    *("jwt", "bearer", "sess", "sid", "srf"),
)
"""Lower-case fragments, one of which each denied name holds: a cheap test before anything is parsed."""

TWO_LETTERS: Final = re.compile(r"[^\W\d_]{2}")
"""What each stem holds, so that a text without it names no secret."""

_MAX_KNOWN: Final = 10_000
_SPLIT: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class DenyList:
    """The rules with a project's own additions.

    Attributes:
        known: what was judged so far, to look up in the hot loops; may forget.
        stems: those of the project's own names besides `STEMS`.
        stems_have_letters: whether each holds `TWO_LETTERS`.

    Args:
        deny: further names; each counts wherever it occurs in a name, without regard to case and separators.
        allow: names that are never secrets; compared whole, likewise.
    """

    def __init__(self, deny: Iterable[str] = (), allow: Iterable[str] = ()) -> None:
        self._denied = tuple(filter(None, map(_flat, deny)))
        self._allowed = frozenset(map(_flat, allow))
        self.known: dict[str, Sort] = {}
        self.stems = (*STEMS, *(name.lower() for name in deny if name))
        self.stems_have_letters = all(map(TWO_LETTERS.search, self.stems))

    def sort(self, name: str) -> Sort:
        """What the name says. Remembered, for names repeat."""
        known = self.known.get(name)
        if known is None:
            if len(self.known) >= _MAX_KNOWN:
                self.known.clear()
            known = self.known[name] = self._judge(name)
        return known

    def _judge(self, name: str) -> Sort:
        flat = _flat(name[:200])
        if flat in self._allowed or not flat:
            return Sort.PLAIN
        if flat in ("cookie", "setcookie"):
            return Sort.COOKIE if flat == "cookie" else Sort.SET_COOKIE
        if any(denied in flat for denied in self._denied):
            return Sort.NUMBER_TOO
        words = [word.lower() for word in _SPLIT.findall(name[:200])]
        if not words or words[-1] in _NOT_THE_VALUE:
            return Sort.PLAIN
        if _NUMBERS_TOO.intersection(words):
            return Sort.NUMBER_TOO
        if _WORDS.intersection(words) or any(part in flat for part in _FLAT) or _ends_in_key(name, words):
            return Sort.SECRET
        return Sort.PLAIN


@functools.lru_cache(maxsize=8)
def deny_list(deny: tuple[str, ...], allow: tuple[str, ...]) -> DenyList:
    """The DenyList of a project, shared by its runs."""
    return DenyList(deny, allow)


def _flat(name: str) -> str:
    return re.sub(r"[^0-9a-z]", "", name.lower())


def _ends_in_key(name: str, words: list[str]) -> bool:
    """`api_key`, `X-Secret-Key`; and `STRIPE_KEY`, as variables are written. Not `Idempotency-Key`, not `key`."""
    if words[-1] != "key" or len(words) == 1:
        return False
    return words[-2] in _KEY_OWNERS or (name.isupper() and "_" in name)
