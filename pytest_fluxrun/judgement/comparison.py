"""Where two outcomes differ, by path. Pure. Nothing is masked but what HTTP makes volatile and what a guard ignores."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

__all__ = ["ABSENT", "OutcomeDifference", "body_of", "compare_outcomes", "contains", "is_failure", "matches_path"]

_SET_HEADERS = frozenset({"allow", "vary", "cache-control", "connection"})
_SET_PREFIX = "access-control-"
# The server in front of the app adds these, or they repeat what the body's own comparison says.
_VOLATILE_HEADERS = frozenset({"date", "server", "content-length", "transfer-encoding"})
_FIRST_SERVER_ERROR = 500


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
    """Differences between two outcomes, in the order: response, return value, error.

    Args:
        ignored: paths of the guard; each also covers what lies beneath it. `[*]` stands for any index.
    """
    ignored = tuple(ignored)
    found = [
        *_responses(recorded.get("response"), replayed.get("response")),
        *_trees("returned", recorded.get("returned"), replayed.get("returned")),
        *_errors(recorded.get("error"), replayed.get("error")),
    ]
    return [difference for difference in found if not any(matches_path(difference.path, path) for path in ignored)]


def contains(expected: Any, got: Any, path: str) -> Iterator[OutcomeDifference]:
    """Where `got` lacks what a guard expects: dicts as subsets, everything else equal."""
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key, value in expected.items():
            if key in got:
                yield from contains(value, got[key], f"{path}.{key}")
            else:
                yield OutcomeDifference(f"{path}.{key}", value, ABSENT)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for index, (wanted, item) in enumerate(zip(expected, got, strict=True)):
            yield from contains(wanted, item, f"{path}[{index}]")
    elif not _equal(expected, got):
        yield OutcomeDifference(path, expected, got)


def is_failure(outcome: Any) -> bool:
    """Whether an outcome is a failure: a raised error, a 5xx, or an answer cut short."""
    response = outcome.get("response")
    if outcome.get("error") is not None or outcome.get("disconnected"):
        return True
    return response is not None and (response["status"] >= _FIRST_SERVER_ERROR or not response["complete"])


def body_of(response: Any) -> Any:
    """A response's body as a reader compares it: parsed where it is JSON, else as it is."""
    body = response["body"]
    if isinstance(body, str) and "json" in _header(response, "content-type"):
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            return body
    return body


def matches_path(path: str, rule: str) -> bool:
    """Whether a guard's path covers a place: it is the place or an ancestor of it."""
    pattern = re.escape(rule).replace(r"\[\*\]", r"\[\d+\]").replace(r"\*", r"[^.\[]*")
    return re.fullmatch(pattern + r"([.\[].*)?", path) is not None


def _responses(recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    if recorded is None or replayed is None:
        if recorded is not replayed:
            yield OutcomeDifference("response", _summary(recorded), _summary(replayed))
        return
    if recorded["status"] != replayed["status"]:
        yield OutcomeDifference("response.status", recorded["status"], replayed["status"])
    before, after = body_of(recorded), body_of(replayed)
    yield from _trees("response.body", before, after)
    if recorded["body"] != replayed["body"] and _equal(before, after):
        yield OutcomeDifference("response.body", recorded["body"], replayed["body"])
    yield from _headers(recorded, replayed)
    if recorded["complete"] != replayed["complete"]:
        yield OutcomeDifference("response.complete", recorded["complete"], replayed["complete"])


def _headers(recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    before, after = _by_name(recorded["headers"]), _by_name(replayed["headers"])
    for name in sorted(before.keys() | after.keys()):
        expected, got = before.get(name), after.get(name)
        if expected != got:
            yield OutcomeDifference(
                f"response.headers.{name}",
                ABSENT if expected is None else ", ".join(expected),
                ABSENT if got is None else ", ".join(got),
            )


def _by_name(headers: Any) -> dict[str, list[str]]:
    by_name: dict[str, list[str]] = {}
    for name, value in headers:
        lowered = name.lower()
        if lowered in _VOLATILE_HEADERS:
            continue
        if lowered in _SET_HEADERS or lowered.startswith(_SET_PREFIX):
            value = ", ".join(sorted(part.strip() for part in value.split(",")))
        by_name.setdefault(lowered, []).append(value)
    return by_name


def _errors(recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    if recorded is None and replayed is None:
        return
    if recorded is None or replayed is None:
        yield OutcomeDifference("error", _error_text(recorded), _error_text(replayed))
        return
    for key in ("type", "message", "notes"):
        if recorded.get(key) != replayed.get(key):
            yield OutcomeDifference(f"error.{key}", recorded.get(key), replayed.get(key))


def _error_text(error: Any) -> Any:
    return ABSENT if error is None else f"{error['type']}: {error['message']}"


def _trees(path: str, recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for key in [*recorded, *(key for key in replayed if key not in recorded)]:
            before, after = recorded.get(key, ABSENT), replayed.get(key, ABSENT)
            if before is ABSENT or after is ABSENT:
                yield OutcomeDifference(f"{path}.{key}", before, after)
            else:
                yield from _trees(f"{path}.{key}", before, after)
    elif isinstance(recorded, list) and isinstance(replayed, list):
        for index in range(max(len(recorded), len(replayed))):
            before = recorded[index] if index < len(recorded) else ABSENT
            after = replayed[index] if index < len(replayed) else ABSENT
            yield from _trees(f"{path}[{index}]", before, after)
    elif not _equal(recorded, replayed):
        yield OutcomeDifference(path, recorded, replayed)


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
