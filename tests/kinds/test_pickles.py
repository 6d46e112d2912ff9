"""Pickles as text: equal for equal objects, other for others, and nothing of them is run."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import os
import pickle
from typing import Any

import pytest

from pytest_fluxrun.kinds.kv import KV
from pytest_fluxrun.kinds.pickles import told_by_pickle

_LONG = "a name that is longer than what CPython interns"
_OBJECTS: list[Any] = [
    {"a": [1, 2.5, None, True], "b": (1, "x", b"\x00")},
    {1, 2, 3},
    frozenset({"x"}),
    [dt.datetime(2026, 1, 2, tzinfo=dt.UTC), decimal.Decimal("1.50"), collections.OrderedDict(a=1)],
    ValueError("text"),
    [[]] * 3,
]


class _Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("/nowhere/at/all",)


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("held", _OBJECTS, ids=repr)
def test_each_object_has_a_text_that_others_have_not(held: Any, protocol: int) -> None:
    """In every protocol that says so in its first byte."""
    texts = [told_by_pickle(pickle.dumps(one, protocol)) for one in [*_OBJECTS, held]]
    assert None not in texts
    assert len(_OBJECTS) == len(set(texts))


def test_what_is_named_twice_is_as_what_is_there_twice() -> None:
    """A string of the program's own constants, and one that came from outside."""
    one, two = [_LONG, _LONG], [_LONG, "".join(_LONG)]
    two[1] = _LONG.encode().decode()
    assert pickle.dumps(one) != pickle.dumps(two)
    assert told_by_pickle(pickle.dumps(one)) == told_by_pickle(pickle.dumps(two))


def test_nothing_is_run() -> None:
    """A call stands in the text, and isn't made."""
    told = told_by_pickle(pickle.dumps(_Evil()))
    assert told is not None
    assert "mkdir" in told


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x05.", pickle.dumps(1)[:-1], b"\x80\x05Q."])
def test_what_is_no_pickle_has_no_text(data: bytes) -> None:
    """Cut, of another format, or with a reference to what lies elsewhere."""
    assert told_by_pickle(data) is None


def test_an_object_in_itself_ends() -> None:
    """It is named, not followed."""
    held: list[Any] = [1]
    held.append(held)
    assert told_by_pickle(pickle.dumps(held)) == "list(1, ...)"


def test_an_object_in_very_many_places_has_no_text() -> None:
    """A hundred lists that each hold the next one twice."""
    held: list[Any] = []
    for _ in range(100):
        held = [held, held]
    assert told_by_pickle(pickle.dumps(held)) is None


def test_commands_that_store_equal_objects_are_equal() -> None:
    """And the difference between others is told in words."""

    def stored(held: Any) -> dict[str, Any]:
        return {"database": "a:1/0", "which": 0, "command": ["SET", "profile:1", pickle.dumps(held), "EX", "600"]}

    same, other = stored([_LONG, _LONG]), stored([_LONG, _LONG.encode().decode()])
    assert KV.canonical(same) == KV.canonical(other)
    assert KV.canonical(same) != KV.canonical(stored([_LONG, 1]))
    (difference,) = KV.differences(same, stored([_LONG, 1]))
    assert f"list('{_LONG}', 1)" == difference.asked
