"""The first line of a failure: what changed, and at which call. Pure."""

from __future__ import annotations

from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.judgement.verdict import Judgement, Verdict
from pytest_fluxrun.report.plain_text import shortened
from pytest_fluxrun.run import Run

__all__ = ["headline"]

_LONGEST_CALL = 80
_AT_A_CALL = frozenset({Verdict.REGRESSED})
_STATUS = "response.status: "


def headline(run: Run, evidence: Evidence, judgement: Judgement) -> str:
    """What changed and where, without the verdict: `status 201 → 500 at call 3/7, httpx POST https://pay.example/`."""
    changed = _changed(judgement)
    if judgement.verdict is Verdict.REPRODUCED or judgement.reason == "hook" or _concerns_no_call(judgement):
        return changed
    return f"{changed}{_place(run, evidence, judgement)}"


def _changed(judgement: Judgement) -> str:
    first = judgement.first_divergence
    match judgement.verdict:
        case Verdict.REPRODUCED:
            return "the recorded failure happens again"
        case Verdict.LEAKED:
            return f"a live side effect was attempted and blocked: {first}"
        case Verdict.BEYOND:
            return f"the recorded failure is gone, but the code now asks for what the recording lacks: {first}"
        case Verdict.DIVERGED if judgement.reason == "deadline":
            return first
        case Verdict.DIVERGED:
            return f"an unrecorded call: {first}"
        case _:
            return f"status {first.removeprefix(_STATUS)}" if first.startswith(_STATUS) else first


def _concerns_no_call(judgement: Judgement) -> bool:
    """Whether what failed is drift that no recorded call can show: a pause, a clock read, the run's age."""
    failing = judgement.failing_drifts
    return bool(failing) and judgement.reason == failing[0].kind and not any(drift.call for drift in failing)


def _place(run: Run, evidence: Evidence, judgement: Judgement) -> str:
    """` at call 3/7, …`: the recorded call that differs, else the last one that the replay made before it differed."""
    total = len(run.recording.interactions)
    if not total:
        return ""
    number = next((drift.call for drift in judgement.failing_drifts if drift.call), 0)
    made = [played for played in evidence.crossings if played.source == "run"]
    if not number and not made:
        return f" before call 1/{total}"
    text = next((f"{one.boundary} {one.text}" for one in made if one.index == number - 1), "")
    if not number:
        number, text = made[-1].index + 1, f"{made[-1].boundary} {made[-1].text}"
    word = "at" if judgement.verdict in _AT_A_CALL else "after"
    return f" {word} call {number}/{total}" + (f", {shortened(text, _LONGEST_CALL)}" if text else "")
