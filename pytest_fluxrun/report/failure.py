"""The text of a failed item: what changed and where on the first line, then the grounds, then the next command."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pytest_fluxrun.drift import DriftKind
from pytest_fluxrun.judgement.comparison import OutcomeDifference, is_failure
from pytest_fluxrun.judgement.guard import Guard
from pytest_fluxrun.judgement.verdict import Judgement, Verdict
from pytest_fluxrun.report.headline import headline
from pytest_fluxrun.report.plain_text import bounded
from pytest_fluxrun.run import Run

if TYPE_CHECKING:
    from pytest_fluxrun.execution.confirmation import Confirmation
    from pytest_fluxrun.execution.stage import Shown

__all__ = ["confirmation_line", "failure_text"]

_MOST_LINES = 12
_MOST_STACK = 40
_NEXT = "  next:"
_LONGEST_VALUE = 160
_LONGEST_LINE = 1_000
"""So that a huge value doesn't fill a log; what steers a terminal or begins another line is escaped with it."""
_NOT_IN_THE_RUN = re.compile(r"call \d+ of \d+ is not in the run\.")
_MACHINERY = tuple(f"{os.sep}{name}{os.sep}" for name in ("_pytest", "pluggy", "pytest_fluxrun", "xdist", "execnet"))


def failure_text(run: Run, guard: Guard | None, replayed: Shown, judgement: Judgement, *, rerun: str) -> str:
    """The whole text, lines of at most about 200 characters, and 1,000 where a value or a path is long.

    Args:
        rerun: the command that runs this one item again.
    """
    title = f" — {guard.title}" if guard is not None and guard.title else ""
    lines = [
        f"{judgement.verdict}: {headline(run, replayed.evidence, judgement)}{title}",
        *_grounds(replayed, judgement),
        f"  run:     {run.id} of {run.entry}, recorded on release {run.versions.get('release') or 'unknown'}",
        *(f"  note:    {note}" for note in run.readiness.notes),
        *_allowances(guard),
        *(line for line in replayed.evidence.unrecorded.splitlines() if line.startswith(_NEXT)),
        *(f"{_NEXT}    {step}" for step in [_next_step(run, guard, replayed, judgement)] if step),
    ]
    return "\n".join([*(bounded(line, _LONGEST_LINE) for line in lines), f"  rerun:   {rerun}"])


def confirmation_line(confirmation: Confirmation) -> str:
    """What a clean process said of the same run."""
    where = "a forked process that had replayed nothing" if confirmation.how == "fork" else "a fresh process"
    if not confirmation.answered:
        return f"  confirm: {where} gave no verdict: {confirmation.detail}"
    if confirmation.same:
        return f"  confirm: {where} says the same"
    return (
        f"  confirm: state leaked between runs: {where} says {confirmation.verdict} "
        f"({confirmation.detail or 'no difference'}); wrap the object that keeps state with "
        "fluxrun.host, or replay with --fluxrun-isolate"
    )


def _grounds(replayed: Shown, judgement: Judgement) -> Iterator[str]:
    for difference in judgement.differences[:_MOST_LINES]:
        yield from _shown(difference)
    if len(judgement.differences) > _MOST_LINES:
        yield f"  differs: … and {len(judgement.differences) - _MOST_LINES} more"
    for drift in judgement.failing_drifts[:_MOST_LINES]:
        yield f"  {drift.kind}: {drift.text}"
        yield from (f"           {path}" for path in drift.paths[:_MOST_LINES])
        if len(drift.paths) > _MOST_LINES:
            yield f"           … and {len(drift.paths) - _MOST_LINES} more places"
    yield from _missed(replayed)
    if judgement.verdict is Verdict.LEAKED:
        yield from (f"  blocked: {leak}" for leak in replayed.evidence.leaks[:_MOST_LINES])
    failing = set(judgement.failing_drifts)
    noted = [drift for drift in (*judgement.notes, *replayed.evidence.drifts) if drift not in failing]
    for drift in noted[:_MOST_LINES]:
        yield f"  note:    {drift.kind}: {drift.text}"
    if replayed.stacks:
        yield "  stacks:"
        yield from (f"    {line}" for line in _without_machinery(replayed.stacks)[-_MOST_STACK:])


def _missed(replayed: Shown) -> Iterator[str]:
    """The call that the run lacks, the nearest one, and the code that made it; the first line said that it lacks it."""
    for line in replayed.evidence.unrecorded.splitlines():
        if not line.startswith(_NEXT) and not _NOT_IN_THE_RUN.fullmatch(line):
            yield line
    if replayed.evidence.asked_by:
        yield f"  made by: {replayed.evidence.asked_by}"


def _without_machinery(stacks: str) -> list[str]:
    """A stack's lines without the frames of pytest and FluxRun: what a reader can change stays."""
    kept, dropping, in_own_thread = [], False, False
    for line in stacks.splitlines():
        if line.lstrip().startswith('File "'):
            dropping = in_own_thread or any(part in line for part in _MACHINERY)
        elif not line.startswith("    "):
            dropping = in_own_thread = line.startswith("thread fluxrun-")
        if not dropping:
            kept.append(line)
    return kept


def _shown(difference: OutcomeDifference) -> Iterator[str]:
    if difference.diff:
        yield f"  differs: {difference.path}: - expected, + got"
        yield from (f"           {line}" for line in difference.diff)
    else:
        yield f"  differs: {difference.path}: expected {_short(difference.expected)}, got {_short(difference.got)}"


def _allowances(guard: Guard | None) -> Iterator[str]:
    if guard is None:
        return
    if guard.ignore.paths:
        yield f"  ignored: {', '.join(guard.ignore.paths)}"
    if guard.drift.allow:
        yield f"  allowed: {', '.join(guard.drift.allow)}"


def _next_step(run: Run, guard: Guard | None, replayed: Shown, judgement: Judgement) -> str:
    short = run.id[:10]
    match judgement.verdict:
        case Verdict.REPRODUCED:
            states = "--status" if run.outcome.get("response") else "--returns"
            return (
                f"fix the code; `fluxrun show {short}` shows the run, `fluxrun expect {short} {states} …` states a fix"
            )
        case Verdict.BEYOND:
            return (
                f"or guard that the failure is gone and no more, `fluxrun expect {short} --beyond accept`; or record "
                "the fixed behaviour as a run of its own"
            )
        case Verdict.LEAKED:
            return "no boundary covers the call: use a covered library, wrap the object in fluxrun.host, or remove it"
        case Verdict.REGRESSED if judgement.reason == "hook":
            return (
                "the run came to what is expected; the project's own pytest_fluxrun_verdict fails it, in a conftest.py "
                "or a plugin"
            )
        case Verdict.REGRESSED if _effects(run, guard, judgement):
            options = " ".join(f"--effect {number}" for number in _effects(run, guard, judgement))
            return (
                f"if the fix is to leave that out or change it, `fluxrun expect {short} {options}` says so in the "
                f"guard; `fluxrun why {short}` shows every call"
            )
        case Verdict.REGRESSED if _helped(replayed, DriftKind.ANSWERED):
            return (
                "answers of the guard were made up or told by a person: if the outside would answer otherwise, correct "
                f"their `reply` in its [[answers]]; `fluxrun why {short}` shows every call"
            )
        case Verdict.REGRESSED if _helped(replayed, DriftKind.EXTENDED_READ):
            return (
                "the development environment answered some reads: if production has what it lacks, put that there, and "
                f"ask again, `fluxrun extend {short} --live --anew`; `fluxrun why {short}` shows every call"
            )
        case Verdict.REGRESSED if not judgement.differences:
            first = judgement.failing_drifts[0]
            which = f"--call {first.call}" if first.call else f"--kind {first.kind}"
            return (
                f"if the change is meant, `fluxrun accept {short} {which}` allows it in the guard; "
                f"`fluxrun why {short}` shows every call"
            )
        case Verdict.REGRESSED:
            return f"if the change is meant, `fluxrun expect {short}` states it; `fluxrun why {short}` shows every call"
        case Verdict.DIVERGED if _NEXT in replayed.evidence.unrecorded:
            return ""  # the miss says it already
        case _:
            return f"`fluxrun why {short}` shows every call of the replay"


def _helped(replayed: Shown, kind: DriftKind) -> bool:
    """Whether some answers are of a guard, or of a development environment."""
    return any(drift.kind is kind for drift in replayed.evidence.drifts)


def _effects(run: Run, guard: Guard | None, judgement: Judgement) -> list[int]:
    """The recorded effects that a fix left out or changed, with those that its guard knows of."""
    expects_fix = is_failure(run.outcome) if guard is None else guard.expect == "fix"
    found = {drift.call for drift in judgement.failing_drifts if drift.call > 0}
    if not (found and expects_fix):
        return []
    return sorted(found.union(guard.fix.effects if guard is not None and guard.fix is not None else ()))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}… ({len(text)} characters)"
