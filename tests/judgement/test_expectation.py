"""What a guard expects: classes of statuses, JSON Schemas, and how often calls are made."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_fluxrun.errors import GuardError
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.judgement.comparison import ABSENT
from pytest_fluxrun.judgement.guard import Fix, Guard
from pytest_fluxrun.judgement.schemas import with_schema
from pytest_fluxrun.judgement.verdict import Judgement, Verdict, judge
from pytest_fluxrun.naming import CallName
from pytest_fluxrun.replaying.finding import Played
from pytest_fluxrun.values import dump_error, encode

ORDER = {
    "type": "object",
    "required": ["id", "total"],
    "properties": {
        "id": {"type": "string"},
        "total": {"type": "number", "minimum": 0},
        "lines": {"type": "array", "items": {"type": "object", "required": ["sku"]}},
    },
    "additionalProperties": False,
}
CHARGE = CallName("httpx", "http", "POST https://pay.example/charge")
RATE = CallName("httpx", "http", "GET https://rates.example/eur")
INSERT = CallName("psycopg", "sql", "INSERT INTO orders")


def made(*calls: CallName) -> tuple[Played, ...]:
    """A replay's crossings; before them one that the boundary answered by itself, which doesn't count."""
    local = Played(-1, "local", "/", CHARGE.operation, effect=False, name=CHARGE)
    return (local, *(Played(0, "run", "/", call.operation, effect=True, name=call) for call in calls))


def http(status: int = 200, body: Any = None, *, kind: str = "application/json") -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    headers = [["content-type", kind]]
    return {"response": {"status": status, "headers": headers, "body": text, "complete": True}, "error": None}


FAILED = http(500)


def guard(expect: Any = "fix", **content: Any) -> Guard:
    return Guard.model_validate({"run": "01" + "0" * 24, "sha256": "0" * 64, "expect": expect, **content})


def fixed(outcome: Any, **fix: Any) -> Judgement:
    """The judgement of an outcome by a fix that is stated so."""
    return judge(Evidence(FAILED, outcome), guard(fix=fix))


def told(judgement: Judgement) -> list[tuple[str, Any, Any]]:
    return [(one.path, one.expected, one.got) for one in judgement.differences]


@pytest.mark.parametrize(
    ("stated", "status", "passes"),
    [
        ("2xx", 204, True),
        ("2xx", 302, False),
        ("4xx", 409, True),
        ("5xx", 503, True),
        ([200, 201], 201, True),
        ([200, 201], 202, False),
        ([200, "4xx"], 404, True),
        ([200, "4xx"], 204, False),
    ],
)
def test_status_is_stated_by_number_class_or_list(stated: Any, status: int, passes: bool) -> None:
    """`2xx` is any of its hundred, a list any of its own."""
    judgement = fixed(http(status), status=stated)
    assert passes is judgement.passed
    assert judgement.passed or told(judgement) == [("response.status", stated, status)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"id": "a", "total": 1.5, "lines": [{"sku": "x"}]}, []),
        ({"id": "a"}, [("response.body.total", "schema: required", ABSENT)]),
        ({}, [("response.body.id", "schema: required", ABSENT), ("response.body.total", "schema: required", ABSENT)]),
        ({"id": 1, "total": -1},
         [("response.body.id", 'schema: type "string"', 1), ("response.body.total", "schema: minimum 0", -1)]),
        ({"id": "a", "total": 1, "lines": [{"sku": 1}, {}]},
         [("response.body.lines[1].sku", "schema: required", ABSENT)]),
        ([], [("response.body", 'schema: type "object"', [])]),
    ],
)  # fmt: skip
def test_body_is_held_against_a_schema_by_path(body: Any, expected: Any) -> None:
    """Each place that doesn't keep to it is told as any other difference."""
    judgement = fixed(http(200, body), schema=ORDER)
    assert expected == told(judgement)
    assert judgement.passed is not expected


def test_schema_of_a_long_rule_and_of_no_json_is_told_briefly() -> None:
    """A rule of a thousand values doesn't fill the screen, and a page of HTML is no object."""
    (long,) = fixed(http(200, "x" * 300), schema={"enum": [f"value {n}" for n in range(1000)]}).differences
    assert len(long.expected) < 150
    (page,) = told(fixed(http(200, "<h1>Hi</h1>", kind="text/html"), schema=ORDER))
    assert ("response.body", 'schema: type "object"', "<h1>Hi</h1>") == page
    (nothing,) = told(fixed({"response": None, "error": None}, status="2xx", schema=ORDER))[1:]
    assert ("response.body", 'schema: type "object"', None) == nothing


def test_returned_value_is_held_against_a_schema() -> None:
    """In the form in which a guard states it: tuples as lists."""
    failed = {"returned": None, "error": dump_error(KeyError("rate"))}
    rule = guard(fix={"schema": {"type": "array", "items": {"type": "integer"}}})
    assert judge(Evidence(failed, {"returned": encode((1, 2)), "error": None}), rule).passed
    other = judge(Evidence(failed, {"returned": encode((1, "2")), "error": None}), rule)
    assert [("returned[1]", 'schema: type "integer"', "2")] == told(other)


def test_failure_that_keeps_to_the_schema_is_no_fix() -> None:
    """A 500 with a body of the right form is still a 500."""
    assert not fixed(http(500, {"id": "a", "total": 1}), schema=ORDER).passed


def test_schema_of_a_file_counts_from_where_the_guard_lies(tmp_path: Path) -> None:
    """It is read when the run is opened, and the guard keeps the path."""
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "order.json").write_text(json.dumps(ORDER))
    rule = with_schema(guard(fix={"schema": "schemas/order.json"}), tmp_path)
    assert "schemas/order.json" == (rule.fix and rule.fix.schema_)
    assert not judge(Evidence(FAILED, http(200, {"id": "a"})), rule).passed
    assert judge(Evidence(FAILED, http(200, {"id": "a", "total": 2})), rule).passed


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "'order.json' of a guard can't be read"),
        ("{", "'order.json' of a guard can't be read"),
        ('{"type": "objekt"}', "order.json is no JSON Schema"),
    ],
)
def test_schema_that_cannot_be_used_is_an_error_before_the_replay(
    tmp_path: Path, content: str | None, says: str
) -> None:
    """It makes the run unready: no guard passes because its schema is broken."""
    if content is not None:
        (tmp_path / "order.json").write_text(content)
    with pytest.raises(GuardError) as raised:
        with_schema(guard(fix={"schema": "order.json"}), tmp_path)
    assert says in raised.value.what
    assert raised.value.next_step


def test_schema_that_was_not_read_is_an_error() -> None:
    """Never a pass."""
    with pytest.raises(GuardError):
        judge(Evidence(FAILED, http(200, {})), guard(fix={"schema": "order.json"}))


def test_schema_that_refers_elsewhere_fetches_nothing() -> None:
    """A reference to a URL or another file is an error; one within the schema is followed."""
    for reference in ("https://schemas.example/order.json", "other.json"):
        with pytest.raises(GuardError) as raised:
            fixed(http(200, {}), schema={"$ref": reference})
        assert "nothing is fetched" in raised.value.next_step
    within = {"$ref": "#/$defs/order", "$defs": {"order": ORDER}}
    assert not fixed(http(200, {}), schema=within).passed


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard without a schema needs none of it; one with a schema says what to install."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(GuardError) as raised:
        with_schema(guard(fix={"schema": ORDER}), Path())
    assert "pip install 'pytest-fluxrun[schema]'" == raised.value.next_step
    plain = guard(fix={"status": 200})
    assert plain is with_schema(plain, Path())


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("httpx POST https://pay.example/charge", True),
        ("httpx POST https://pay.example/*", True),
        ("http POST https://pay.example/*", True),
        ("http POST pay.example/*", True),
        ("http POST pay.example", False),
        ("http * pay.example/*", True),
        ("http GET pay.example/*", False),
        ("requests POST pay.example/*", False),
        ("sql POST pay.example/*", False),
        ("POST pay.example/*", False),
        ("*", True),
        ("http  POST   pay.example/charge", True),
        ("http POST ay.example/*", False),
        ("http POST pay.example/[charge]", False),
    ],
)
def test_call_is_named_by_library_or_kind_with_or_without_scheme(pattern: str, fits: bool) -> None:
    """What a failure's line begins with is what a guard says; a kind outlives a change of library."""
    assert fits is CHARGE.fits(pattern)


@pytest.mark.parametrize(
    ("rule", "calls", "difference"),
    [
        ({"count": 1}, [RATE, CHARGE], None),
        ({"count": 1}, [CHARGE, CHARGE], (1, 2)),
        ({"count": 1}, [RATE], (1, 0)),
        ({"count": 0}, [RATE], None),
        ({"count": 0}, [CHARGE], (0, 1)),
        ({"at_least": 1}, [CHARGE, CHARGE], None),
        ({"at_least": 1}, [], ("at least 1", 0)),
        ({"at_most": 1}, [], None),
        ({"at_most": 1}, [CHARGE, INSERT, CHARGE], ("at most 1", 2)),
        ({"at_least": 2, "at_most": 3}, [CHARGE], ("at least 2 and at most 3", 1)),
    ],
)
def test_calls_are_counted_over_the_replay(rule: dict[str, int], calls: list[CallName], difference: Any) -> None:
    """Beside a recorded outcome as beside a fixed one."""
    stated = [{"call": "http POST pay.example/*", **rule}]
    for recorded, expect in ((http(200), "recorded"), (FAILED, "fix")):
        judgement = judge(Evidence(recorded, http(200), crossings=made(*calls)), guard(expect, calls=stated))
        assert (difference is None) is judgement.passed
        expected = [] if difference is None else [('calls["http POST pay.example/*"]', *difference)]
        assert expected == told(judgement)


def test_recorded_failure_is_reproduced_whatever_the_calls() -> None:
    """The calls of the fix are no part of the failure that a pending guard excuses."""
    rule = guard(pending=True, calls=[{"call": "http POST *", "count": 1}])
    assert Verdict.REPRODUCED is judge(Evidence(FAILED, FAILED), rule).verdict


def test_too_many_calls_on_the_way_beyond_are_not_accepted() -> None:
    """A replay that ended early may lack calls, and can't take back those that it made."""
    rule = guard(beyond="accept", calls=[{"call": "http POST *", "count": 1}])
    error = {"response": None, "error": None}

    def judged(*calls: CallName) -> Judgement:
        return judge(Evidence(FAILED, error, unrecorded="x", asked="x", all_played=True, crossings=made(*calls)), rule)

    assert (Verdict.BEYOND, True) == (judged().verdict, judged().passed)
    assert (Verdict.REGRESSED, False) == (judged(CHARGE, CHARGE).verdict, judged(CHARGE, CHARGE).passed)


def test_calls_come_through_json() -> None:
    """A replay in another process hands them over."""
    evidence = Evidence(FAILED, FAILED, crossings=made(CHARGE, INSERT))
    assert evidence == Evidence.from_document(json.loads(json.dumps(evidence.to_document())))


def test_guard_that_states_no_schema_imports_no_jsonschema() -> None:
    """The field is an extra's."""
    assert Fix(status=200).schema_ is None
