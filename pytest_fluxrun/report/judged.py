"""What a judged replay, or a run that couldn't be replayed, says in a report. Pure.

Without values nothing goes in that was recorded or computed: no body, argument, row, message or log record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.errors import BundleError, EntryNotFound, FluxRunError, GuardError, KeyFileError, RunNotFound
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.judgement.comparison import ABSENT, OutcomeDifference, body_of, is_failure
from pytest_fluxrun.judgement.guard import Guard
from pytest_fluxrun.judgement.verdict import Judgement
from pytest_fluxrun.report.calls import call_shape, error_name
from pytest_fluxrun.report.described import LONGEST, MOST_PLACES, bare_path, described, legible, type_and_size
from pytest_fluxrun.report.document import (
    Described,
    ReportedDifference,
    ReportedDrift,
    ReportedGuard,
    ReportedOutcome,
)
from pytest_fluxrun.report.plain_text import bounded, shown
from pytest_fluxrun.report.side_by_side import first_divergent, reported_paths, timeline_of
from pytest_fluxrun.run import Run
from pytest_fluxrun.values import plain

__all__ = ["guard_part", "judged_part", "opened_part", "problem_of"]

_ALWAYS_TOLD = frozenset({"response", "response.status", "response.complete", "error.type", "state"})
"""Paths whose values are no one's data: a status, a class, whether an answer was whole."""
_OF_THE_CODE = frozenset({DriftKind.CLOCK_INTERPOLATED, DriftKind.ENTROPY_EXTRA})
"""Drift whose text names a function and a line of the app's source."""
_SAYS_NO_VALUE = (BundleError, EntryNotFound, GuardError, KeyFileError, RunNotFound)
_ATTEMPT = re.compile(r"(\S+) (.*) at (.*? \(.*\))", re.DOTALL)


def opened_part(run: Run) -> dict[str, Any]:
    """Fields of a `ReportedRun` that a run tells by itself."""
    recording = run.recording
    return {
        "entry": legible(run.entry),
        "recorded_at_utc": datetime.fromtimestamp(recording.wall_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        "recorded_release": legible(run.versions.get("release") or ""),
        "recorded_duration_ns": recording.duration_ns,
        "calls_recorded": len(recording.interactions),
    }


def judged_part(run: Run, evidence: Evidence, judgement: Judgement, *, values: bool) -> dict[str, Any]:
    """Fields of a `ReportedRun` that the judgement of its replay adds."""
    timeline = timeline_of(run, evidence, values=values)
    failing = frozenset(judgement.failing_drifts)
    return {
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        "first_divergence": bounded(
            judgement.first_divergence if values else _divergence(run, evidence, judgement), LONGEST
        ),
        "first_divergent_call": None if judgement.passed else first_divergent(timeline, evidence, judgement),
        "differences": tuple(_difference(one, evidence, values=values) for one in judgement.differences[:MOST_PLACES]),
        "differences_left_out": max(0, len(judgement.differences) - MOST_PLACES),
        "drifts": tuple(
            _drift(drift, run, evidence, failing=drift in failing, values=values)
            for drift in (*judgement.notes, *evidence.drifts)
        ),
        "recorded_outcome": outcome_part(evidence.recorded, values=values),
        "replayed_outcome": None if evidence.outcome is None else outcome_part(evidence.outcome, values=values),
        "calls_replayed": len(evidence.crossings),
        "timeline": timeline,
    }


def guard_part(guard: Guard, path: str) -> ReportedGuard:
    """A guard: what a person wrote and committed is told whole, but for the outcome that it expects."""
    return ReportedGuard(
        path=path,
        expect=guard.expect,
        pending=guard.pending,
        title=legible(guard.title),
        proven=legible(guard.proven),
        beyond=guard.beyond,
        ignored=tuple(map(legible, guard.ignore.paths)),
        allowed=tuple(map(legible, guard.drift.allow)),
    )


def problem_of(error: FluxRunError, *, values: bool) -> str:
    """What made a run unready and what to do next; without values not why where that may quote the app."""
    if values or isinstance(error, _SAYS_NO_VALUE):
        return legible(str(error))
    return legible("\n".join([error.what, *([f"  next:    {error.next_step}"] if error.next_step else [])]))


def outcome_part(outcome: Mapping[str, Any], *, values: bool) -> ReportedOutcome:
    """An outcome, recorded or replayed."""
    response, error = outcome.get("response"), outcome.get("error")
    content: Any = None
    if error is not None:
        text, content = f"raised {error_name(error) or 'an error'}", error.get("message")
    elif response is not None:
        cut = "" if response.get("complete", True) else ", cut short"
        content = body_of(response)
        text = f"{response['status']}, {type_and_size(content)}{cut}"
    elif outcome.get("disconnected"):
        text = "the client disconnected"
    elif "returned" in outcome:
        content = plain(outcome["returned"])
        text = f"returned {type_and_size(content)}"
    else:
        text = "no answer"
    return ReportedOutcome(
        text=legible(text),
        failure=is_failure(outcome),
        status=response["status"] if response is not None else None,
        error=legible(error_name(error)),
        content=legible(content if isinstance(content, str) else shown(content)) if values else "",
    )


def _difference(difference: OutcomeDifference, evidence: Evidence, *, values: bool) -> ReportedDifference:
    path = difference.path
    if values or path in _ALWAYS_TOLD:
        expected, got = (described(value, values=True) for value in (difference.expected, difference.got))
        return ReportedDifference(path=legible(path) if values else bare_path(path), expected=expected, got=got)
    if path == "outcome" and evidence.outcome is not None:
        got = Described(type="outcome", text=outcome_part(evidence.outcome, values=False).text)
        return ReportedDifference(path=path, expected=described(difference.expected, values=True), got=got)
    if path == "error":
        expected, got = _error(difference.expected), _error(difference.got)
    else:
        expected, got = (described(value, values=False) for value in (difference.expected, difference.got))
    return ReportedDifference(path=bare_path(path), expected=expected, got=got)


def _error(value: Any) -> Described:
    """Of `module:Name: message` the class alone."""
    if value is ABSENT:
        return described(ABSENT, values=False)
    name = str(value).partition(": ")[0].replace(":", ".")
    return Described(type="error", text=legible(name.removeprefix("builtins.")))


def _drift(drift: Drift, run: Run, evidence: Evidence, *, failing: bool, values: bool) -> ReportedDrift:
    return ReportedDrift(
        kind=drift.kind.value,
        call=drift.call,
        text=legible(drift.text) if values else _drift_text(drift, run, evidence),
        paths=reported_paths(drift, values=values),
        failing=failing,
    )


def _drift_text(drift: Drift, run: Run, evidence: Evidence) -> str:
    """A drift by its call's shape, or by the code that it is about; "" where only values could say more."""
    if 0 < drift.call <= len(run.recording.interactions):
        interaction = run.recording.interactions[drift.call - 1]
        return legible(f"{interaction.boundary} {call_shape(interaction)}")
    if drift.kind in _OF_THE_CODE:
        return legible(drift.text)
    same = (call for call in evidence.crossings if drift.text == f"{call.boundary} {call.text}")
    call = next(same, None)
    return "" if call is None else legible(f"{call.boundary} {call.shape}")


def _divergence(run: Run, evidence: Evidence, judgement: Judgement) -> str:
    """The first divergence without values."""
    first = judgement.first_divergence
    if not first or evidence.deadline:
        return first
    if evidence.leaks:
        return _attempt(first)
    if judgement.differences and first.startswith(f"{judgement.differences[0].path}: "):
        told = _difference(judgement.differences[0], evidence, values=False)
        return f"{told.path}: {told.expected.text} → {told.got.text}"
    if judgement.failing_drifts:
        drift = _drift(judgement.failing_drifts[0], run, evidence, failing=True, values=False)
        return f"{drift.kind}: {drift.paths[0] if drift.paths else drift.text}"
    miss = next((call for call in evidence.crossings if call.source == "miss"), None)
    return judgement.reason if miss is None else f"{miss.boundary} {miss.shape}"


def _attempt(leak: str) -> str:
    """A blocked attempt without its target, unless that is a network address."""
    found = _ATTEMPT.fullmatch(leak)
    if found is None:
        return "a live side effect"
    return legible(leak) if found[1].startswith("socket.") else legible(f"{found[1]} at {found[3]}")
