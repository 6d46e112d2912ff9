"""Comparing outcomes: no changed outcome is hidden, and what HTTP says is equal is equal."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
import pytest

from pytest_fluxrun.judgement.comparison import (
    ABSENT,
    body_of,
    compare_outcomes,
    contains,
    is_failure,
    matches_path,
    readable,
)
from pytest_fluxrun.values import dump_error, encode


def response(body: Any = "", *, status: int = 200, headers: Any = None, complete: bool = True) -> dict[str, Any]:
    """An HTTP outcome; a body that isn't text or bytes is sent as JSON."""
    if isinstance(body, str | bytes):
        kind = "text/plain"
    else:
        kind, body = "application/json", orjson.dumps(body).decode()
    pairs = [["content-type", kind], *(headers or [])]
    return {
        "response": {"status": status, "headers": pairs, "body": encode(body), "complete": complete},
        "error": None,
        "disconnected": False,
    }


def raw_json(text: str) -> dict[str, Any]:
    """An HTTP outcome whose JSON body is exactly this text."""
    outcome = response({})
    outcome["response"]["body"] = text
    return outcome


def paths(recorded: Any, replayed: Any, *ignored: str) -> list[str]:
    return [difference.path for difference in compare_outcomes(recorded, replayed, ignored)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": 1.0}, ["response.body.a"]),
        ({"a": 1}, {"a": True}, ["response.body.a"]),
        ({"a": 0}, {"a": False}, ["response.body.a"]),
        ({"a": 0}, {"a": None}, ["response.body.a"]),
        ({"a": None}, {}, ["response.body.a"]),
        ({}, {"a": None}, ["response.body.a"]),
        ({"a": "1"}, {"a": 1}, ["response.body.a"]),
        ({"a": [1, 2]}, {"a": [1]}, ["response.body.a[1]"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["response.body.a[0]", "response.body.a[1]"]),
        ({"a": {}}, {"a": []}, ["response.body.a"]),
        ([], {}, ["response.body"]),
        ({"a": {"b": [{"c": 1}]}}, {"a": {"b": [{"c": 2}]}}, ["response.body.a.b[0].c"]),
        ({"~": "a"}, {"~": "b"}, ["response.body.~"]),
        ({"~": "bytes", "v": "x"}, {"~": "bytes", "v": "y"}, ["response.body.v"]),
        ({"a.b": 1}, {"a.b": 2}, ['response.body["a.b"]']),
        ({"": 1}, {"": 2}, ['response.body[""]']),
    ],
)
def test_changed_json_is_told_once_by_path(before: Any, after: Any, expected: list[str]):
    """Types count, null isn't absence, and each place is named once."""
    assert expected == paths(response(before), response(after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"a":1,"a":2}', '{"a":2}'),
        ('{"a":NaN}', '{"a":null}'),
        ("{", "{}"),
        ("[" * 2000 + "]" * 2000, "[" * 2001 + "]" * 2001),
    ],
)
def test_body_that_differs_only_as_text_is_a_difference(before: str, after: str):
    """What isn't JSON of one meaning, whatever its type says, is compared as sent."""
    assert ["response.body"] == paths(raw_json(before), raw_json(after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"a":1,"b":2}', '{"b":2,"a":1}'),
        ('{"a":1}', '{"a": 1}\n'),
        ('{"a":1.0}', '{"a":1.00}'),
        ('{"a":1e2}', '{"a":100.0}'),
        ('{"a":"\\u00e9"}', '{"a":"é"}'),
    ],
)
def test_json_that_is_written_otherwise_is_no_difference(before: str, after: str):
    """Another library's order of keys, spacing and escapes say the same."""
    assert [] == paths(raw_json(before), raw_json(after))


def test_numbers_that_a_float_would_round_are_compared_exactly():
    """Two amounts that share a float are two amounts."""
    before, after = '{"sum":12345678901234567.88}', '{"sum":12345678901234567.89}'
    (difference,) = compare_outcomes(raw_json(before), raw_json(after))
    assert ("response.body.sum", Decimal("12345678901234567.89")) == (difference.path, difference.got)


@pytest.mark.parametrize("depth", [100, 500, 900])
def test_deeply_nested_change_is_a_difference_and_no_crash(depth: int):
    """By path, or as the whole body where a path would be too deep."""
    (path,) = paths(*(raw_json("[" * depth + leaf + "]" * depth) for leaf in "12"))
    assert path.startswith("response.body")


def test_integers_beyond_64_bits_are_compared_exactly():
    """No integer is rounded to a float, so that no ignored path hides it."""
    before, after = '{"id":123456789012345678901,"at":1}', '{"id":123456789012345678902,"at":2}'
    assert ["response.body.id"] == paths(raw_json(before), raw_json(after), "response.body.at")


def test_binary_bodies_are_compared_and_shown_as_bytes():
    """A body that isn't UTF-8 is no JSON tree."""
    (difference,) = compare_outcomes(response(b"\xff1"), response(b"\xff2"))
    assert ("response.body", b"\xff1", b"\xff2") == (difference.path, difference.expected, difference.got)
    assert b"\xff1" == body_of(response(b"\xff1")["response"])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([["x-a", "1"]], [], ["response.headers.x-a"]),
        ([["X-A", "1"]], [["x-a", "1"]], []),
        ([["x-a", "1"], ["x-a", "2"]], [["x-a", "2"], ["x-a", "1"]], ["response.headers.x-a"]),
        ([["x-a", "1"], ["x-a", "1"]], [["x-a", "1"]], ["response.headers.x-a"]),
        ([["x-a", "1, 2"]], [["x-a", "1"], ["x-a", "2"]], ["response.headers.x-a"]),
        ([["set-cookie", "a=1"], ["set-cookie", "b=2"]], [["set-cookie", "b=2"], ["set-cookie", "a=1"]],
         []),
        ([["vary", "Accept, Cookie"]], [["vary", "Cookie,Accept"]], []),
        ([["vary", "Accept"], ["vary", "Cookie"]], [["vary", "Cookie"], ["Vary", "Accept"]], []),
        ([["vary", "Accept"]], [["vary", "Accept, Cookie"]], ["response.headers.vary"]),
        ([["access-control-allow-methods", "GET, PUT"]], [["access-control-allow-methods", "PUT, GET"]], []),
        ([["content-length", "3"]], [["content-length", "4"]], ["response.headers.content-length"]),
        ([["date", "Mon"]], [["date", "Tue"]], []),
        ([["server", "a"]], [["Server", "b"]], []),
        ([["x-request-id", "a"]], [["x-request-id", "b"]], ["response.headers.x-request-id"]),
        ([["location", "/a"]], [["location", "/b"]], ["response.headers.location"]),
        ([["x.y", "1"]], [["x.y", "2"]], ['response.headers["x.y"]']),
    ],
)  # fmt: skip
def test_headers_are_compared_in_order_and_sets_as_sets(before: Any, after: Any, expected: list[str]):
    """Repeated headers keep order and number; only what is a set by specification may change its order."""
    assert expected == paths(response("", headers=before), response("", headers=after))


def test_content_length_that_follows_from_the_body_is_not_told_twice():
    """With an ignored difference in the body, its length isn't another one."""
    before = response({"id": "1", "a": 1}, headers=[["content-length", "16"]])
    after = response({"id": "10", "a": 1}, headers=[["content-length", "17"]])
    assert [] == paths(before, after, "response.body.id")
    assert ["response.body.id"] == paths(before, after)


def test_status_completeness_and_missing_responses_are_compared():
    """Each part of a response counts."""
    assert ["response.status"] == paths(response(status=200), response(status=201))
    assert ["response.complete"] == paths(response(), response(complete=False))
    nothing = {"response": None, "error": None, "disconnected": False}
    assert ["response"] == paths(response(), nothing)
    assert ["response"] == paths(nothing, response())
    assert ["response.body"] == paths(response(""), response("x"))


def test_errors_are_compared_by_type_message_and_notes():
    """Another class, message or note is another outcome; and an error is none."""
    noted = ValueError("no")
    noted.add_note("why")
    errors = [ValueError("no"), ValueError("yes"), KeyError("no"), noted, None]
    outcomes = [{"returned": None, "error": None if error is None else dump_error(error)} for error in errors]

    assert [] == paths(outcomes[0], outcomes[0])
    assert ["error.message"] == paths(outcomes[0], outcomes[1])
    assert ["error.type", "error.message"] == paths(outcomes[0], outcomes[2])
    assert ["error.notes"] == paths(outcomes[0], outcomes[3])
    assert ["error"] == paths(outcomes[0], outcomes[4])
    assert ["error"] == paths(outcomes[4], outcomes[0])


@dataclass
class Receipt:
    total: Decimal
    lines: list[Any]


@dataclass
class Invoice:
    total: Decimal
    lines: list[Any]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (Receipt(Decimal("1.0"), []), Receipt(Decimal("1.00"), []), ["returned.total"]),
        (Receipt(Decimal(1), []), Invoice(Decimal(1), []), ["returned"]),
        (Receipt(Decimal(1), [{"a": 1}]), Receipt(Decimal(1), [{"a": True}]), ["returned.lines[0].a"]),
        ((1, 2), [1, 2], ["returned"]),
        ((1, 2), (1, 3), ["returned[1]"]),
        (b"a", "a", ["returned"]),
        (1, True, ["returned"]),
        (float("nan"), float("nan"), []),
        ({1, 2}, {2, 1}, []),
        (dt.timedelta(1), dt.timedelta(2), ["returned"]),
        (range(1), range(2), ["returned"]),
        (dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 1), ["returned"]),
        ({"~": 1}, {"~": 2}, ["returned.~"]),
        ({1: "a", 2: "b"}, {2: "b", 1: "a"}, []),
        ({1: "a", 2: "b"}, {1: "a", 2: "c"}, ["returned[2]"]),
        ({(1, 2): "a"}, {}, ["returned"]),
        ({(1, 2): "a", 3: 1}, {3: 1}, ["returned[[1, 2]]"]),
        (OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), ["returned[0][0]", "returned[0][1]", "returned[1][0]",
                                                       "returned[1][1]"]),
        (1, 1.0, ["returned"]),
        (Decimal("1.5"), 1.5, ["returned"]),
        ([dt.date(2024, 1, 1)], [dt.datetime(2024, 1, 1)], ["returned[0]"]),
        (dt.datetime(2024, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))), dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
         ["returned"]),
        (None, 0, ["returned"]),
    ],
)  # fmt: skip
def test_returned_values_are_compared_with_type_by_a_readers_path(before: Any, after: Any, expected: list[str]):
    """The tags of the stored form count, and don't show in paths."""
    assert expected == paths({"returned": encode(before), "error": None}, {"returned": encode(after), "error": None})


@pytest.mark.parametrize(
    ("path", "rule", "covered"),
    [
        ("response.body.id", "response.body.id", True),
        ("response.body.id.x", "response.body.id", True),
        ("response.body.id[0]", "response.body.id", True),
        ("response.body.identity", "response.body.id", False),
        ("response.body.a.id", "response.body.id", False),
        ("response.body[0].id", "response.body[*].id", True),
        ("response.body.x.id", "response.body[*].id", False),
        ("response.body[10].id", "response.body[1]", False),
        ("response.body.a.id", "response.body.*.id", True),
        ("response.body.a.b.id", "response.body.*.id", False),
        ("response.bodyxid", "response.body.id", False),
        ("response.body", "response.body.id", False),
        ('response.body["a.b"]', "response.body.a", False),
        ('response.body["a.b"].c', 'response.body["a.b"]', True),
        ("response.headers.x-id", "response.headers", True),
        ("response.body", "", False),
    ],
)
def test_rule_covers_its_place_and_what_lies_beneath(path: str, rule: str, covered: bool):
    """No rule covers a sibling whose name merely begins or looks like it."""
    assert covered is matches_path(path, rule)


def test_rule_for_a_key_covers_no_key_with_a_dot():
    """`response.body.a` doesn't ignore the key `a.b`, nor `x` the header `x.y`."""
    assert ['response.body["a.b"]'] == paths(
        response({"a": 1, "a.b": 1}), response({"a": 2, "a.b": 2}), "response.body.a"
    )


def test_subset_names_each_place_that_is_missing_or_wrong():
    """Dicts are subsets at any depth; lists must be whole."""
    got = {"error": "expired", "items": [{"id": 1, "x": 2}], "n": 1}

    assert [] == list(contains({"items": [{"id": 1}]}, got, "b"))
    assert [] == list(contains({}, got, "b"))
    assert ["b.items"] == [found.path for found in contains({"items": []}, got, "b")]
    assert ["b.items[0].id"] == [found.path for found in contains({"items": [{"id": True}]}, got, "b")]
    assert [("b.gone", ABSENT)] == [(found.path, found.got) for found in contains({"gone": 1}, got, "b")]
    assert ["b"] == [found.path for found in contains({}, [], "b")]
    assert ["b.n"] == [found.path for found in contains({"n": 1.0}, got, "b")]


def test_returned_values_are_readable_as_a_guard_states_them():
    """Dates, decimals, ids, tuples and sets have a form that TOML can hold."""
    value = encode(
        {
            "at": dt.date(2024, 1, 2),
            "sum": Decimal("9.90"),
            "id": uuid.UUID(int=1),
            "pair": (1, 2),
            "set": {2, 1},
            "raw": b"\xffa",
        }
    )
    assert {
        "at": "2024-01-02", "sum": "9.90", "id": str(uuid.UUID(int=1)), "pair": [1, 2], "set": [1, 2], "raw": "\\xffa",
    } == readable(value)  # fmt: skip


def test_failures_are_raised_errors_5xx_and_answers_that_are_cut_short_or_missing():
    """What keep rules keep is what replays expect to change."""
    error = dump_error(ValueError("no"))

    assert not is_failure(response(status=499))
    assert is_failure(response(status=500))
    assert is_failure(response(complete=False))
    assert is_failure({**response(), "error": error})
    assert is_failure({**response(), "disconnected": True})
    assert is_failure({"response": None, "error": None, "disconnected": False})
    assert not is_failure({"returned": None, "error": None})
    assert is_failure({"returned": None, "error": error})


def test_addresses_in_messages_are_no_difference():
    """A default repr in an error's message differs between any two processes; the rest of it counts."""
    error = {"type": "builtins:ValueError", "message": "bad <Order object at 0x7f01>", "notes": []}

    assert [] == compare_outcomes({"error": error}, {"error": {**error, "message": "bad <Order object at 0x7faa>"}})
    assert compare_outcomes({"error": error}, {"error": {**error, "message": "bad <Cart object at 0x7f01>"}})


def test_compressed_bodies_compare_by_what_they_hold():
    """Another compressor's bytes are no difference; another value is one, named by its path."""

    def zipped(text: str, level: int):
        body = encode(gzip.compress(text.encode(), compresslevel=level, mtime=level))
        headers = [["content-type", "application/json"], ["content-encoding", "gzip"]]
        return {"response": {"status": 200, "headers": headers, "body": body, "complete": True}}

    text = json.dumps({"rows": list(range(300)), "total": 1})
    assert zipped(text, 1) != zipped(text, 9)

    assert [] == compare_outcomes(zipped(text, 1), zipped(text, 9))
    changed = compare_outcomes(zipped(text, 1), zipped(text.replace('"total": 1', '"total": 2'), 9))
    assert ["response.body.total"] == [difference.path for difference in changed]


def test_state_in_which_a_task_ended_is_compared():
    """A retry that has become a failure with the same error is a difference; entries without states have none."""
    failed = {"returned": None, "error": None}
    retried = failed | {"state": "retry"}
    assert [] == compare_outcomes(retried, retried) == compare_outcomes(failed, failed)
    for one, other in ((retried, failed), (failed, retried), (retried, failed | {"state": "rejected"})):
        assert ["state"] == [difference.path for difference in compare_outcomes(one, other)]
