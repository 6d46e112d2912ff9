"""Finds the secrets of a run: a walk over its tagged JSON that judges values by the names at which they stand. Pure.

Covers dict keys, header pairs, cookies, JSON and form bodies in strings and bytes, queries, user info of URLs,
`name=value` in log lines, quoted literals in SQL, and values that look like secrets (PEM, JWT, cloud keys, FluxRun's).
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import unquote_plus

import orjson

from pytest_fluxrun.recording.secret_forms import SHORTEST, basic_credentials
from pytest_fluxrun.recording.secret_names import TWO_LETTERS, DenyList, Sort

__all__ = ["BYTES_TAGS", "Search", "bytes_of", "is_plain_word", "secrets_by_look"]

_PLAIN: Final = Sort.PLAIN
BYTES_TAGS: Final = frozenset({"bytes", "bytearray", "memoryview"})
_MAX_INFLATED: Final = 4 * 2**20
_MAX_NESTED: Final = 8
_LEAVES: Final = frozenset({int, float, bool, type(None)})
_SHORTEST_NUMBER: Final = 3
_SHORTEST_PART: Final = 16
_LONGEST_PROSE: Final = 100_000
_SHORT_TEXT: Final = 40

_COMMON: Final = frozenset(
    [
        "true",
        "false",
        "null",
        "none",
        "undefined",
        "unknown",
        "default",
        "password",
        "passwd",
        "secret",
        "secrets",
        "token",
        "tokens",
        "bearer",
        "basic",
        "digest",
        "admin",
        "test",
        "testing",
        "example",
        "public",
        "private",
        "enabled",
        "disabled",
        "required",
        "optional",
        "string",
        "number",
        "object",
        "session",
        "cookie",
        "authorization",
        "anonymous",
        "signature",
        "credential",
        "credentials",
        "redacted",
        "filtered",
        "postgres",
        "postgresql",
        "mysql",
        "mariadb",
        "mongodb",
        "rabbitmq",
    ],
)
_WORD: Final = re.compile(r"[a-z_]+")
_SCHEME: Final = re.compile(r"(?:(?i:Bearer|Basic|Token|ApiKey|Negotiate|Digest|JWT)|[A-Z0-9-]{4,})\s+(?=\S)")
_PARTS: Final = re.compile(r"[\w.-]+=[^,;\s]+(?:[,;]\s*[\w.-]+=[^,;\s]*)*")
_JWT: Final = re.compile(r"eyJ[\w-]{5,}\.eyJ[\w-]{2,}\.([\w-]{16,})")
_VERSIONED: Final = re.compile(r"v[0-9]{1,2}[a-z]?,[A-Za-z0-9+/]{8,}=*(?: v[0-9]{1,2}[a-z]?,[A-Za-z0-9+/]{8,}=*)*")
"""`v1,<base64> v1,<base64>`: the signatures of Standard Webhooks 1.0, as Svix sends them."""
_SIGNED: Final = re.compile(r"\.?[\w\-=%]+(?:[.:][\w\-]{1,12})?[.:]([\w\-+/]{27,})=?")
"""What itsdangerous, Django and Express sign: value, perhaps a time, signature."""
_CRYPT: Final = re.compile(r"\$?[A-Za-z][\w\-]*\$(?:[^$\s]*\$)+([^$\s]{16,})")
"""The modular crypt format and its like, `algorithm$rounds$salt$hash`: code takes it apart before it compares."""
_USER_INFO: Final = re.compile(r"([\w+.\-]*)://([^/\s:@\"'?#]*):?([^/\s@\"'?#]*)@")
_NAMES_ITS_USER: Final = re.compile(
    r"postgres|mysql|mariadb|mssql|oracle|mongodb|amqp|redis|valkey|nats|smtp", re.IGNORECASE
)
"""Schemes of servers whose users have names; elsewhere what stands alone before the @ is a token."""
_TAIL: Final = re.compile(r"[\w.\-\]%]*[\"']?(?:=|:\s?|\s?=>\s?)[\"']?([^\s&;,\"'<>()]{3,})")
_NUMBER: Final = re.compile(r"\[*(\d+(?:\.\d+)?)[}\]]*")
_OPAQUE: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[\w\-+/=.~%:]{12,}")
_NAME_END: Final = re.compile(r"[\w.\-\[%]*\Z")
_SQL: Final = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|ALTER|MERGE|REPLACE)\b", re.IGNORECASE)
_SQL_LITERAL: Final = re.compile(r"(\w+)[\"`\]]?\s*(?:=|<>|!=|LIKE)\s*'((?:[^']|'')+)'", re.IGNORECASE)
_BY_LOOK: Final = tuple(
    (re.compile(mark), tuple(map(re.compile, patterns)))
    for mark, *patterns in (
        ("-----BEGIN", "-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.+?)-----END [A-Z ]*PRIVATE KEY-----"),
        ("fluxrun-", r"fluxrun-(?:key|token)-[\w.-]+"),
        ("eyJ", _JWT.pattern),
        ("AKIA|ASIA|AIza", r"\bAKIA[0-9A-Z]{16}\b", r"\bASIA[0-9A-Z]{16}\b", r"\bAIza[\w-]{35}"),
        (
            "_(?:(?<=sk_live_)|(?<=whsec_)|(?<=ghp_))",
            r"\bsk_live_\w{10,}",
            r"\bwhsec_[\w+/=]{10,}",
            r"\bghp_\w{20,}",
        ),
        ("xox[abprs]-", r"\bxox[abprs]-[\w-]{10,}"),
    )
)
"""A mark that is quick to look for, as it begins with one rare character, and what to look for where it is."""


_OF_VALUES: Final = frozenset({"value", "values", "val", "v", "data", "content", "setting"})


def _of_names_and_values(columns: Any) -> bool:
    """Whether a table's rows are pairs, such as the settings of an app; what has no columns may hold some."""
    if type(columns) is not list or len(columns) != 2:
        return type(columns) is not list
    return type(columns[1]) is str and columns[1].lower().rpartition("_")[2] in _OF_VALUES


class Search:
    """One walk. Read the results when it is over.

    Args:
        names: the deny-list.
        check: called now and then; raises when the time is up.

    Attributes:
        secrets: to be replaced wherever they occur, in the order of finding.
        own_place: (name, value) of those too short or too common for that.
        packed: base64 texts of the bytes in the document.
        keys: every dict key of the document, which a secret that is a plain word must not break.
    """

    def __init__(self, names: DenyList, check: Callable[[], None]) -> None:
        self.secrets: dict[str, None] = {}
        self.own_place: dict[tuple[str, str | int], None] = {}
        self.packed: dict[str, None] = {}
        self.keys: set[str] = set()
        self._sort = names.sort
        self._known = names.known
        self._stems = names.stems
        self._stems_have_letters = names.stems_have_letters
        self._check = check
        self._nested = 0

    def walk(self, node: Any) -> None:
        """Search a tree of tagged JSON."""
        kind = type(node)
        if kind is str:
            self.text(node)
        elif kind is list:
            self._list(node)
        elif kind is dict:
            self._dict(node)

    def _list(self, items: list[Any]) -> None:
        if len(items) == 2 and type(items[0]) is str and type(items[1]) is not list:  # a header, an item
            self.named(items[0], items[1])
            return
        for item in items:
            kind = type(item)
            if kind is str:
                if ":" in item or "=" in item:
                    self.text(item)
            elif kind is list:
                self._list(item)
            elif kind is dict:
                self._dict(item)

    def _dict(self, mapping: dict[str, Any]) -> None:
        tag = mapping.get("~")
        if tag is not None and type(content := mapping.get("v")) is str:
            if tag in BYTES_TAGS:
                self._bytes(content)
            return
        self._check()
        self.keys.update(mapping)
        known = self._known
        for name, item in mapping.items():
            kind = type(item)
            if name == "rows" and kind is list and not _of_names_and_values(mapping.get("columns")):
                self._rows(item)
            elif kind in _LEAVES or (kind is str and ":" not in item and "=" not in item):
                if known.get(name) is not _PLAIN:
                    self.named(name, item)
            else:
                self.named(name, item)

    def _rows(self, rows: list[Any]) -> None:
        """A statement's answer: its kind has named the columns, and a row of two is no pair."""
        for row in rows:
            cells = row.get("v") if type(row) is dict else row  # of a tagged tuple
            for item in cells if type(cells) is list else (row,):
                self.walk(item)

    def _bytes(self, packed: str) -> None:
        self.packed[packed] = None
        self.text(bytes_of(packed).decode("utf-8", "replace"))

    # -- by name

    def named(self, name: str, item: Any) -> None:
        """Judge a value by its name, then look inside it."""
        sort = self._known.get(name) or self._sort(name)
        if sort is not _PLAIN:
            self._denied(name, item, sort)
        kind = type(item)
        if kind is str:
            if ":" in item or "=" in item:
                self.text(item)
        elif kind not in _LEAVES:
            self.walk(item)

    def judge(self, name: str, item: Any) -> None:
        """Judge a value by a name that a kind gave: dotted below its container, `cookie.` before a cookie's."""
        if self._known.get(name) is _PLAIN:
            return
        if type(item) is list:
            for one in item:
                self.judge(name, one)
            return
        if type(item) in (bytes, bytearray, memoryview):
            item = bytes(item).decode("utf-8", "replace")
        head, _, last = name.rpartition(".")
        if head == "cookie":
            self._cookie(last, item)
        elif (sort := self._sort(last)) is not _PLAIN:
            self._denied(last, item, sort)

    def _denied(self, name: str, item: Any, sort: Sort) -> None:
        kind = type(item)
        if kind is str:
            self._denied_text(name, item, sort)
        elif kind is list:
            for one in item:
                if type(one) in (str, dict):
                    self._denied(name, one, sort)
        elif kind is dict:
            self._denied_mapping(name, item, sort)
        elif kind is int and sort is Sort.NUMBER_TOO:
            self._add(name, abs(item))

    def _denied_mapping(self, name: str, mapping: dict[str, Any], sort: Sort) -> None:
        tag = mapping.get("~")
        if tag in BYTES_TAGS:
            self._denied_text(name, bytes_of(mapping["v"]).decode("utf-8", "replace"), sort)
        elif tag is not None:
            if type(mapping.get("v")) is str and tag not in {"opaque", "date", "datetime", "time"}:
                self._denied_text(name, mapping["v"], sort)
            elif type(mapping.get("v")) is list:
                self._denied(name, mapping["v"], sort)
        elif sort is Sort.COOKIE or name.lower().endswith(("cookies", "credentials", "secrets", "tokens", "passwords")):
            for key, one in mapping.items():
                self._denied(key, one, sort) if sort is not Sort.COOKIE else self._cookie(key, one)

    def _denied_text(self, name: str, text: str, sort: Sort) -> None:
        if sort is Sort.COOKIE:
            for pair in text.split(";"):
                cookie, _, value = pair.partition("=")
                self._cookie(cookie.strip(), value.strip().strip('"'))
        elif sort is Sort.SET_COOKIE:
            cookie, _, value = text.partition(";")[0].partition("=")
            self._cookie(cookie.strip(), value.strip().strip('"'))
        else:
            for part in _secret_parts(text):
                self._add(name, part)

    def _cookie(self, name: str, value: Any) -> None:
        """A cookie's value is a secret where its name says so or where it looks like one; `theme=dark` isn't."""
        if type(value) is not str:
            return
        if self._sort(name) is not _PLAIN:
            self._denied_text(name, value, Sort.SECRET)
        elif _looks_random(value):
            for part in _secret_parts(value):
                self._add(name, part)

    def _add(self, name: str, secret: str | int) -> None:
        text = str(secret)
        if not any(map(str.isalnum, text)) or text.startswith(("[Filtered", "***")):
            return
        if text.isdigit() and len(text) < _SHORTEST_NUMBER:
            return
        if len(text) < SHORTEST or text.lower() in _COMMON:
            self.own_place[name.rpartition(".")[2], secret] = None
        else:
            self.secrets[text] = None

    # -- in text

    def text(self, text: str) -> None:
        """Look for secrets inside a string: JSON, a form, a query, a URL, a log line, SQL."""
        if len(text) < SHORTEST:
            return
        if "://" in text and "@" in text:
            for secret in _user_secrets(text):
                self._add("password", secret)
        if text[0] in "{[" and self._json(text):
            return
        if self._stems_have_letters and len(text) < _SHORT_TEXT and TWO_LETTERS.search(text) is None:
            return  # a timestamp, a version, a ratio
        lowered = text.lower()
        stems = [stem for stem in self._stems if stem in lowered]
        if not stems:
            return
        if _SQL.match(text):
            for name, literal in _SQL_LITERAL.findall(text):
                if self._sort(name) is not _PLAIN:
                    self._add(name, literal.replace("''", "'"))
        elif len(text) <= _LONGEST_PROSE:
            self._pairs(text, lowered, stems)

    def _json(self, text: str) -> bool:
        try:
            tree = orjson.loads(text)
        except orjson.JSONDecodeError:
            return False
        if self._nested < _MAX_NESTED:
            self._nested += 1
            keys, self.keys = self.keys, set()
            self._plain(tree)
            self.keys = keys
            self._nested -= 1
        return True

    def _plain(self, node: Any) -> None:
        """JSON of the app's own, in which `~` is no tag and a list of two is no pair."""
        if type(node) is dict:
            known = self._known
            for name, item in node.items():
                sort = known.get(name) or self._sort(name)
                if sort is not _PLAIN:
                    self._denied(name, item, sort)
                kind = type(item)
                if kind is str:
                    if ":" in item or "=" in item:
                        self.text(item)
                elif kind not in _LEAVES:
                    self._plain(item)
        elif type(node) is list:
            for item in node:
                self._plain(item)
        elif type(node) is str:
            self.text(node)

    def _pairs(self, text: str, lowered: str, stems: list[str]) -> None:
        for stem in stems:
            at = lowered.find(stem)
            while at >= 0:
                found = _TAIL.match(text, at)
                if found is not None:
                    begins = _NAME_END.search(text, max(0, at - 64), at)
                    name = (
                        text[begins.start() if begins else at : at] + re.split(r"[=:\"']", text[at : found.start(1)])[0]
                    )
                    if (sort := self._sort(name)) is not _PLAIN and not _is_markup(name, found[1]):
                        quoted = text[found.start(1) - 1] not in "\"'" and any(
                            quote in text[at : found.start(1)] for quote in "\"'"
                        )
                        self._denied_in_text(name, found[1], sort, json=quoted)
                at = lowered.find(stem, at + len(stem))
        self._check()

    def _denied_in_text(self, name: str, value: str, sort: Sort, *, json: bool) -> None:
        """A value beside its name in a text. A bare number is a count where JSON would say so, as `total_tokens` is.

        Args:
            json: the name was quoted and the value isn't: JSON that is part of a text, such as an event of a stream.
        """
        number = _NUMBER.fullmatch(value)
        if number is None:
            self._denied_text(name, _unquoted(value), sort)
        elif sort is Sort.NUMBER_TOO or not (json or name.lower().endswith("tokens")):
            self._denied_text(name, number[1], sort)


def _is_markup(name: str, value: str) -> bool:
    """Whether a value is what a page says of itself in an attribute: `data-session-interval="10000"`."""
    return name.lower().startswith("data-") and _OPAQUE.fullmatch(value) is None


def _looks_random(text: str) -> bool:
    if len(text) < 8:  # below it lie `dark`, `en-US`, a version
        return False
    digits, letters = any(map(str.isdigit, text)), any(map(str.isalpha, text))
    mixed = not (text.islower() or text.isupper() or text.istitle())
    return (digits and letters) or len(text) >= _SHORTEST_PART or (letters and mixed)


def _unquoted(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def _secret_parts(text: str) -> Iterable[str]:
    """What of a denied value is secret: a JWT's signature, long values of `t=1,v1=ab…`, what follows `Bearer `, `v1,`.

    Of a signed value the signature alone: the rest opens nothing without it, and the app must read it at replay.
    """
    text = text.strip()
    scheme = _SCHEME.match(text)
    if scheme is not None:
        rest = text[scheme.end() :]
        return (
            [*_secret_parts(rest), *_basic_parts(rest)]
            if scheme[0].lower().startswith("basic")
            else _secret_parts(rest)
        )
    if (jwt := _JWT.fullmatch(text)) is not None:
        return [jwt[1]]
    if (signed := _SIGNED.fullmatch(text)) is not None:
        return [signed[1]]
    if (crypt := _CRYPT.fullmatch(text)) is not None:
        return [crypt[1]]
    if _VERSIONED.fullmatch(text):
        return [part.partition(",")[2] for part in text.split(" ")]
    if "://" in text:
        if _USER_INFO.search(text):
            return _user_secrets(text)
        return [text.partition("://")[2].partition("/")[2]]
    if _PARTS.fullmatch(text):
        values = [part.partition("=")[2] for part in re.split(r"[,;]\s*", text)]
        if long := [value.strip('"') for value in values if len(value) >= _SHORTEST_PART]:
            return long
    return [text]


def _user_secrets(text: str) -> list[str]:
    """What in the URLs of a text lets a client in: passwords, and tokens in the place of a user's name."""
    found = _USER_INFO.findall(text)
    return [password or user for scheme, user, password in found if password or not _NAMES_ITS_USER.match(scheme)]


def _basic_parts(text: str) -> list[str]:
    credentials = basic_credentials(text)
    return [] if credentials is None else [credentials[1] or credentials[0]]


def secrets_by_look(blob: str) -> list[str]:
    """Values that are secrets whatever their name, found in a document's JSON text."""
    found: list[str] = []
    for mark, patterns in _BY_LOOK:
        if mark.search(blob):
            for pattern in patterns:
                found += [match[match.lastindex or 0] for match in pattern.finditer(blob)]
    return found


def bytes_of(packed: str) -> bytes:
    """The bytes behind a base64 text, inflated where they are gzip."""
    data = base64.b64decode(packed)
    if data[:2] == b"\x1f\x8b":
        try:
            return zlib.decompressobj(wbits=31).decompress(data, _MAX_INFLATED)
        except zlib.error:
            return data
    return data


def is_plain_word(text: str) -> bool:
    """Whether a secret is a lower-case word, which a document's own keys may hold."""
    return _WORD.fullmatch(text) is not None
