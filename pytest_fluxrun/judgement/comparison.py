"""Where two outcomes differ, by path. Pure. Nothing is masked but what a guard ignores."""

from __future__ import annotations

import fnmatch
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from itertools import zip_longest
from typing import Any

import orjson

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.values import decode, plain

__all__ = [
    "ABSENT",
    "OutcomeDifference",
    "body_of",
    "compare_outcomes",
    "contains",
    "is_failure",
    "joined_headers",
    "matches_path",
    "readable",
    "under",
]

_SET_HEADERS = frozenset({"allow", "vary", "cache-control", "connection"})
_COMPRESSED = frozenset({"gzip", "deflate"})
_ANY_HEADER = 47  # zlib's sign for: gzip or zlib, whichever it is
_SET_PREFIX = "access-control-"
_FIRST_SERVER_ERROR = 500
_LEAVES = frozenset({"timedelta", "range"})
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_PLAIN_KEY = re.compile(r"[^.\[\]\"*]+")


class _Absent:
    """Stands for "not there" in a difference."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class OutcomeDifference:
    """One place at which the replay's outcome isn't the expected one.

    Attributes:
        path: in the grammar of guard files, e.g. `response.body.total`.
    """

    path: str
    expected: Any
    got: Any


def compare_outcomes(recorded: Any, replayed: Any, ignored: Iterable[str] = ()) -> list[OutcomeDifference]:
    """Differences between two outcomes, in the order: response, return value, error, state.

    Args:
        ignored: paths of the guard; each also covers what lies beneath it. `[*]` stands for any index.
    """
    ignored = tuple(ignored)
    found = [
        *_responses(recorded.get("response"), replayed.get("response")),
        *_values("returned", recorded.get("returned"), replayed.get("returned")),
        *_errors(recorded.get("error"), replayed.get("error")),
        *_values("state", recorded.get("state", ABSENT), replayed.get("state", ABSENT)),
    ]
    return [difference for difference in found if not any(matches_path(difference.path, path) for path in ignored)]


def contains(expected: Any, got: Any, path: str) -> Iterator[OutcomeDifference]:
    """Where `got` lacks what a guard expects: dicts as subsets, everything else equal."""
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key, value in expected.items():
            if key in got:
                yield from contains(value, got[key], under(path, key))
            else:
                yield OutcomeDifference(under(path, key), value, ABSENT)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for index, (wanted, item) in enumerate(zip(expected, got, strict=True)):
            yield from contains(wanted, item, f"{path}[{index}]")
    elif not _equal(expected, got):
        yield OutcomeDifference(path, expected, got)


def is_failure(outcome: Any) -> bool:
    """Whether an outcome is a failure: a raised error, a 5xx, an answer cut short, or none where one was due."""
    if outcome.get("error") is not None or outcome.get("disconnected"):
        return True
    if "response" not in outcome:
        return False
    response = outcome["response"]
    return response is None or response["status"] >= _FIRST_SERVER_ERROR or not response["complete"]


def body_of(response: Any) -> Any:
    """A response's body as a reader compares it: inflated; parsed where it is JSON, with integers of any size."""
    body = plain(_inflated(response))
    if isinstance(body, str) and "json" in _header(response, "content-type").lower():
        try:
            return json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return body
    return body


def _inflated(response: Any) -> Any:
    """The body, text where it was compressed text: redaction and other versions of zlib compress the same otherwise."""
    body = response["body"]
    if not isinstance(body, dict) or _header(response, "content-encoding").lower() not in _COMPRESSED:
        return body
    try:
        return zlib.decompress(decode(body), _ANY_HEADER).decode()
    except (zlib.error, UnicodeDecodeError, FluxRunError):
        return body


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} isn't JSON")


def joined_headers(response: Any) -> dict[str, str]:
    """A response's headers by lower-case name; those sent more than once are joined by a comma, in order."""
    return {name: ", ".join(values) for name, values in _by_name(response["headers"]).items()}


def readable(value: Any) -> Any:
    """A tagged value as a guard file can state it: tuples and sets as lists, what JSON lacks as its usual text."""
    return _as_json(plain(value))


def _as_json(value: Any) -> Any:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): _as_json(item) for key, item in value.items()}
        case list() | tuple():
            return [_as_json(item) for item in value]
        case set() | frozenset():
            return sorted((_as_json(item) for item in value), key=repr)
        case date() | time():
            return value.isoformat()
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case _:
            return str(value)


def matches_path(path: str, rule: str) -> bool:
    """Whether a guard's path covers a place: it is the place or an ancestor of it."""
    pattern = re.escape(rule).replace(r"\[\*\]", r"\[\d+\]").replace(r"\*", r"[^.\[]*")
    return re.fullmatch(pattern + r"([.\[].*)?", path, re.DOTALL) is not None


def under(path: str, key: str) -> str:
    """A key's path; one that holds a sign of the grammar is quoted, so that no rule for `a` covers the key `a.b`."""
    return f"{path}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{path}[{json.dumps(key, ensure_ascii=False)}]"


def _responses(recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    if recorded is None or replayed is None:
        if recorded is not replayed:
            yield OutcomeDifference("response", _summary(recorded), _summary(replayed))
        return
    if recorded["status"] != replayed["status"]:
        yield OutcomeDifference("response.status", recorded["status"], replayed["status"])
    elif recorded.get("reason") != replayed.get("reason"):
        yield OutcomeDifference("response.reason", recorded.get("reason", ABSENT), replayed.get("reason", ABSENT))
    yield from _bodies(recorded, replayed)
    yield from _headers(recorded, replayed)
    yield from _values("response.messages", recorded.get("messages", []), replayed.get("messages", []))
    if recorded["complete"] != replayed["complete"]:
        yield OutcomeDifference("response.complete", recorded["complete"], replayed["complete"])


def _bodies(recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    if recorded["body"] == replayed["body"]:
        return
    try:
        found = list(_trees("response.body", body_of(recorded), body_of(replayed)))
    except RecursionError:
        found = []
    if not found and _inflated(recorded) == _inflated(replayed):
        return
    yield from found or [OutcomeDifference("response.body", plain(recorded["body"]), plain(replayed["body"]))]


def _headers(recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    before, after = _by_name(recorded["headers"]), _by_name(replayed["headers"])
    for name in sorted(before.keys() | after.keys()):
        expected, got = before.get(name), after.get(name)
        if name == "content-length" and (recorded["body"] != replayed["body"] or _is_length_of(got, replayed)):
            continue  # it follows from the body, whose difference has been told, is ignored, or is that of redaction
        if expected != got:
            yield OutcomeDifference(
                under("response.headers", name),
                ABSENT if expected is None else ", ".join(expected),
                ABSENT if got is None else ", ".join(got),
            )


def _is_length_of(lengths: list[str] | None, response: Any) -> bool:
    body = decode(response["body"])
    return lengths == [str(len(body.encode() if isinstance(body, str) else body))]


def _by_name(headers: Any) -> dict[str, list[str]]:
    by_name: dict[str, list[str]] = {}
    for name, value in headers:
        by_name.setdefault(name.lower(), []).append(value)
    for name, values in by_name.items():
        if name in _SET_HEADERS or name.startswith(_SET_PREFIX):
            by_name[name] = sorted(part.strip() for value in values for part in value.split(","))
    return by_name


def _errors(recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    if recorded is None and replayed is None:
        return
    if recorded is None or replayed is None:
        yield OutcomeDifference("error", _error_text(recorded), _error_text(replayed))
        return
    for key in ("type", "message", "notes"):
        if _without_addresses(recorded.get(key)) != _without_addresses(replayed.get(key)):
            yield OutcomeDifference(f"error.{key}", recorded.get(key), replayed.get(key))


def _without_addresses(text: Any) -> Any:
    """A message without the addresses of default reprs (`<Order object at 0x7f…>`), which no two processes share."""
    if isinstance(text, list):
        return [_without_addresses(one) for one in text]
    return _ADDRESS.sub(" at 0x…", text) if isinstance(text, str) else text


def _error_text(error: Any) -> Any:
    return ABSENT if error is None else f"{error['type']}: {error['message']}"


def _trees(path: str, recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    """Two JSON trees."""
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for key in [*recorded, *(key for key in replayed if key not in recorded)]:
            yield from _trees(under(path, key), recorded.get(key, ABSENT), replayed.get(key, ABSENT))
    elif isinstance(recorded, list) and isinstance(replayed, list):
        for index, (before, after) in enumerate(zip_longest(recorded, replayed, fillvalue=ABSENT)):
            yield from _trees(f"{path}[{index}]", before, after)
    elif not _equal(recorded, replayed):
        yield OutcomeDifference(path, recorded, replayed)


def _values(path: str, recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    """Two tagged values; a reader's path leads through the tags of containers, and all else that they say counts."""
    if isinstance(recorded, list) and isinstance(replayed, list):
        for index, (before, after) in enumerate(zip_longest(recorded, replayed, fillvalue=ABSENT)):
            yield from _values(f"{path}[{index}]", before, after)
    elif not (isinstance(recorded, dict) and isinstance(replayed, dict)) or recorded.get("~") != replayed.get("~"):
        if not _equal(recorded, replayed):
            yield OutcomeDifference(path, _shown(recorded), _shown(replayed))
    elif "~" not in recorded:
        for key in [*recorded, *(key for key in replayed if key not in recorded)]:
            yield from _values(under(path, key), recorded.get(key, ABSENT), replayed.get(key, ABSENT))
    elif recorded["~"] in _LEAVES or not isinstance(recorded["v"], dict | list):
        if orjson.dumps(recorded) != orjson.dumps(replayed):
            yield OutcomeDifference(path, _shown(recorded), _shown(replayed))
    else:
        yield from _values(path, recorded["v"], replayed["v"])
        for key in sorted((recorded.keys() | replayed.keys()) - {"~", "v"}):
            if recorded.get(key) != replayed.get(key):
                yield OutcomeDifference(path, recorded.get(key, ABSENT), replayed.get(key, ABSENT))


def _shown(value: Any) -> Any:
    return value if value is ABSENT else plain(value)


def _equal(one: Any, other: Any) -> bool:
    """Equal with type: 1 is neither True nor 1.0."""
    return type(one) is type(other) and one == other


def _header(response: Any, name: str) -> str:
    return next((value for key, value in response["headers"] if key.lower() == name), "")


def _summary(response: Any) -> Any:
    return ABSENT if response is None else f"status {response['status']}"


def text_matches(text: str, pattern: str) -> bool:
    """Whether a drift's text fits a rule's, with `*` as a wildcard."""
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))
