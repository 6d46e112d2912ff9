"""SARIF: what code scanning gets of a report."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from pytest_fluxrun.report.document import Report
from pytest_fluxrun.report.sarif import to_sarif
from tests.report.made import mixed_runs, report_of, run_of

_TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
_PLACE = {
    "type": "object",
    "required": ["artifactLocation"],
    "properties": {
        "artifactLocation": {
            "type": "object",
            "required": ["uri"],
            "properties": {"uri": {"type": "string", "pattern": r"^[A-Za-z0-9._~/%\-]+$"}},
        },
        "region": {"type": "object", "properties": {"startLine": {"type": "integer", "minimum": 1}}},
    },
}
_LOCATION = {"type": "object", "properties": {"physicalLocation": _PLACE, "id": {"type": "integer", "minimum": -1}}}
_RULE = {"type": "object", "required": ["id"], "properties": {"shortDescription": _TEXT, "fullDescription": _TEXT}}
_RESULT = {
    "type": "object",
    "required": ["message"],
    "properties": {
        "message": _TEXT,
        "level": {"enum": ["none", "note", "warning", "error"]},
        "ruleIndex": {"type": "integer", "minimum": -1},
        "locations": {"type": "array", "items": _LOCATION},
        "relatedLocations": {"type": "array", "items": _LOCATION, "uniqueItems": True},
        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
_DRIVER = {"type": "object", "required": ["name"], "properties": {"rules": {"type": "array", "items": _RULE}}}
_INVOCATION = {
    "type": "object",
    "required": ["executionSuccessful"],
    "properties": {"executionSuccessful": {"type": "boolean"}, "exitCode": {"type": "integer"}},
}
SCHEMA_2_1_0 = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string"},
        "version": {"enum": ["2.1.0"]},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "properties": {
                    "tool": {"type": "object", "required": ["driver"], "properties": {"driver": _DRIVER}},
                    "results": {"type": "array", "items": _RESULT},
                    "invocations": {"type": "array", "items": _INVOCATION},
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                },
            },
        },
    },
}
"""Of the official schema what it requires of the objects that are written here."""


def _log(report: Report) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(to_sarif(report))
    jsonschema.validate(log, SCHEMA_2_1_0)
    return log["runs"][0]


def test_every_run_that_is_no_pass_is_a_result_with_its_rule():
    """Those that passed are left out; each rule is there once, and each result points to its own."""
    runs = mixed_runs(58)

    log = _log(report_of(*runs))

    rules = [rule["id"] for rule in log["tool"]["driver"]["rules"]]
    assert [run.run_id for run in runs if run.outcome != "passed"] == [
        result["properties"]["run_id"] for result in log["results"]
    ]
    assert sorted(set(rules)) == rules
    assert [result["ruleId"] for result in log["results"]] == [rules[result["ruleIndex"]] for result in log["results"]]
    assert {"error", "note", "warning"} == {result["level"] for result in log["results"]}


def test_result_stands_at_the_entry_and_names_its_guard():
    """The entry's file and line; the guard beside it; what happened, and how to see it again."""
    (result,) = _log(report_of(run_of(7)))["results"]

    place = result["locations"][0]["physicalLocation"]
    assert ("shop/orders.py", 12) == (place["artifactLocation"]["uri"], place["region"]["startLine"])
    assert (
        f"runs/{run_of(7).name}.guard.toml"
        == (result["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"])
    )
    assert result["message"]["text"].startswith("INC-7: regressed: response.status: integer → integer\nRun 01jd3k")
    assert run_of(7).rerun in result["message"]["text"]


def test_result_without_entry_stands_at_the_guard_or_the_bundle():
    """Names are escaped as URIs."""
    (guarded, bare) = _log(
        report_of(
            run_of(1, entry_place=None, guard={"path": "runs/a b.guard.toml", "expect": "recorded"}),
            run_of(2, entry_place=None, guard=None),
        )
    )["results"]

    uris = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in (guarded, bare)]
    assert ["runs/a%20b.guard.toml", run_of(2).bundle] == uris


def test_session_that_was_cut_off_says_so():
    """A consumer sees that results may be missing."""
    (invocation,) = _log(report_of(complete=False, incomplete_because="interrupted", exit_status=2))["invocations"]

    assert {"executionSuccessful": False, "exitCode": 2} == invocation
