"""Structures: trees of JSON, return values with the tags of their stored form, what a guard states of them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, time
from itertools import zip_longest
from typing import Any, Final

import orjson

from pytest_fluxrun.judgement.comparison.difference import ABSENT, OutcomeDifference, differing, under
from pytest_fluxrun.values import plain

__all__ = ["contains", "readable", "trees", "values"]

_LEAVES = frozenset({"timedelta", "range"})
_BY_KEY: Final = frozenset({"dict", "defaultdict", "Counter"})
"""Tags of dicts in pairs, whose order is no part of what they equal."""
_FIELDS_SET: Final = "s"


def contains(expected: Any, got: Any, path: str) -> Iterator[OutcomeDifference]:
    """Where `got` lacks what a guard expects: dicts as subsets, everything else equal."""
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        for key, value in expected.items():
            if key in got:
                yield from contains(value, got[key], under(path, key))
            else:
                yield differing(under(path, key), value, ABSENT)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for index, (wanted, item) in enumerate(zip(expected, got, strict=True)):
            yield from contains(wanted, item, f"{path}[{index}]")
    elif not _equal(expected, got):
        yield differing(path, expected, got)


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


def trees(path: str, recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    """Two JSON trees."""
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for key in [*recorded, *(key for key in replayed if key not in recorded)]:
            yield from trees(under(path, key), recorded.get(key, ABSENT), replayed.get(key, ABSENT))
    elif isinstance(recorded, list) and isinstance(replayed, list):
        for index, (before, after) in enumerate(zip_longest(recorded, replayed, fillvalue=ABSENT)):
            yield from trees(f"{path}[{index}]", before, after)
    elif not _equal(recorded, replayed):
        yield differing(path, recorded, replayed)


def values(path: str, recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    """Two tagged values; a reader's path leads through the tags of containers, and all else that they say counts."""
    if isinstance(recorded, list) and isinstance(replayed, list):
        for index, (before, after) in enumerate(zip_longest(recorded, replayed, fillvalue=ABSENT)):
            yield from values(f"{path}[{index}]", before, after)
    elif not (isinstance(recorded, dict) and isinstance(replayed, dict)) or recorded.get("~") != replayed.get("~"):
        if not _equal(recorded, replayed):
            yield differing(path, _shown(recorded), _shown(replayed))
    elif "~" not in recorded:
        for key in [*recorded, *(key for key in replayed if key not in recorded)]:
            yield from values(under(path, key), recorded.get(key, ABSENT), replayed.get(key, ABSENT))
    elif recorded["~"] in _LEAVES or not isinstance(recorded["v"], dict | list):
        if orjson.dumps(recorded) != orjson.dumps(replayed):
            yield differing(path, _shown(recorded), _shown(replayed))
    else:
        yield from (_by_key if recorded["~"] in _BY_KEY else values)(path, recorded["v"], replayed["v"])
        for key in sorted((recorded.keys() | replayed.keys()) - {"~", "v"}):
            yield from _said_beside(path, key, recorded.get(key, ABSENT), replayed.get(key, ABSENT))


def _by_key(path: str, recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    """Two dicts in pairs: by key, as dicts are equal whatever the order of their keys."""
    before, after = ({orjson.dumps(key): (key, item) for key, item in pairs} for pairs in (recorded, replayed))
    for written in [*before, *(written for written in after if written not in before)]:
        key = plain((before.get(written) or after[written])[0])
        place = under(path, key) if isinstance(key, str) else f"{path}[{json.dumps(_as_json(key))}]"
        yield from values(
            place,
            before[written][1] if written in before else ABSENT,
            after[written][1] if written in after else ABSENT,
        )


def _said_beside(path: str, key: str, recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    """What a tag says beside its content: the class, extra and private attributes, which fields were set."""
    if key == _FIELDS_SET and isinstance(recorded, list) and isinstance(replayed, list):
        path, recorded, replayed = f"{path}.model_fields_set", sorted(recorded), sorted(replayed)
    if recorded != replayed:
        yield differing(path, recorded, replayed)


def _shown(value: Any) -> Any:
    return value if value is ABSENT else plain(value)


def _equal(one: Any, other: Any) -> bool:
    """Equal with type: 1 is neither True nor 1.0."""
    return type(one) is type(other) and one == other
