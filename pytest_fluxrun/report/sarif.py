"""The report as SARIF 2.1.0 (OASIS), for code scanning: a result for each run that isn't a pass, a rule a reason.

A result stands at its entry's line, where that is known, else at the guard's file. Paths count from pytest's root.
"""

from __future__ import annotations

import os
from typing import Any, Final
from urllib.parse import quote

import orjson

from pytest_fluxrun.report.document import Report, ReportedRun, json_bytes

__all__ = ["to_sarif"]

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final = {"failed": "error", "error": "error", "not-run": "error", "skipped": "warning", "xfailed": "note"}
_REASONS: Final = {
    "outcome": "The replay's outcome isn't the expected one",
    "reproduced": "The recorded failure happens again",
    "changed-effect": "A call that changes the outside has other arguments",
    "missing-effect": "A call that changes the outside is no longer made",
    "new-effect": "A call that changes the outside is new",
    "reordered": "Calls that change the outside are made in another order",
    "unrecorded": "The code makes a call that the recording lacks",
    "beyond": "The failure is gone, and the code asks for what the recording lacks",
    "same-outcome": "The code asks for what the recording lacks, and the failure isn't gone",
    "deadline": "The replay gave no outcome in time",
    "leak": "A live side effect was attempted, and blocked",
    "fixed": "The run is fixed, and its guard still says pending",
    "locked": "No key here opens the run",
    "crashed": "The process ended before it said anything of the run",
    "not-run": "The session ended before the run was replayed",
}


def to_sarif(report: Report) -> bytes:
    """UTF-8, indented, with a line feed at its end."""
    found = [run for run in report.runs if run.outcome in _LEVELS]
    rules = sorted({_rule(run) for run in found})
    session = report.session
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "FluxRun",
                        "version": session.versions.get("pytest-fluxrun", ""),
                        "rules": [_described(rule) for rule in rules],
                    }
                },
                "automationDetails": {"id": f"fluxrun/{report.project}/"},
                "invocations": [{"executionSuccessful": session.complete, "exitCode": session.exit_status}],
                "columnKind": "unicodeCodePoints",
                "results": [_result(run, rules) for run in found],
            }
        ],
    }
    return json_bytes(log, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _rule(run: ReportedRun) -> str:
    return run.reason or run.verdict or run.outcome


def _described(rule: str) -> dict[str, Any]:
    text = _REASONS.get(rule, f"The run can't be replayed: {rule}")
    return {"id": rule, "name": rule, "shortDescription": {"text": text}, "fullDescription": {"text": text}}


def _result(run: ReportedRun, rules: list[str]) -> dict[str, Any]:
    rule = _rule(run)
    result: dict[str, Any] = {
        "ruleId": rule,
        "ruleIndex": rules.index(rule),
        "level": _LEVELS[run.outcome],
        "message": {"text": _message(run)},
        "locations": [_location(run)],
        "partialFingerprints": {"fluxrunRun/v1": f"{run.run_id}:{rule}"},
        "properties": {"run_id": run.run_id, "entry": run.entry, "verdict": run.verdict, "nodeid": run.nodeid},
    }
    if run.guard is not None and run.entry_place is not None:
        guard = {"id": 1, "message": {"text": "its guard"}, "physicalLocation": _file(run.guard.path, 1)}
        result["relatedLocations"] = [guard]
    return result


def _message(run: ReportedRun) -> str:
    title = f"{run.guard.title}: " if run.guard is not None and run.guard.title else ""
    said = run.first_divergence or run.problem or _REASONS.get(_rule(run), run.outcome)
    again = f"\nRun it again: {run.rerun}" if run.rerun else ""
    text = f"{title}{run.verdict or run.outcome}: {said}\nRun {run.run_id} of {run.entry}.{again}"
    return text.replace("](", "] (")  # `[text](target)` is a link in a message (3.11.6), and a run could bring one


def _location(run: ReportedRun) -> dict[str, Any]:
    if run.entry_place is not None:
        return {"physicalLocation": _file(run.entry_place.path, run.entry_place.line)}
    return {"physicalLocation": _file(run.guard.path if run.guard is not None else run.bundle, 1)}


def _file(path: str, line: int) -> dict[str, Any]:
    return {"artifactLocation": {"uri": quote(os.fsencode(path))}, "region": {"startLine": line}}
