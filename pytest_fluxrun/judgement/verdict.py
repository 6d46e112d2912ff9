"""The verdict: one judgement of one replay against one expectation. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import zip_longest

from pytest_fluxrun.derived import Derived
from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.judgement.comparison import (
    ABSENT,
    OutcomeDifference,
    compare_outcomes,
    differing,
    is_failure,
)
from pytest_fluxrun.judgement.drift_rules import DEFAULT_POLICY, DriftPolicy, failing_drifts, unused_rules
from pytest_fluxrun.judgement.expectation import from_calls, from_expected
from pytest_fluxrun.judgement.guard import Guard
from pytest_fluxrun.tokens import Tokens

__all__ = ["Judgement", "Verdict", "judge"]

_Alike = Callable[[OutcomeDifference], bool]


class Verdict(StrEnum):
    """DESIGN 8. `unready` is reached before a replay and so isn't decided here."""

    MATCH = "match"
    REPRODUCED = "reproduced"
    FIXED = "fixed"
    REGRESSED = "regressed"
    BEYOND = "beyond"
    DIVERGED = "diverged"
    LEAKED = "leaked"
    UNREADY = "unready"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its grounds.

    Attributes:
        passed: whether the item passes (before `pending` is applied).
        reason: a stable code: `outcome`, `changed-effect`, `unrecorded`, `deadline`, `leak`, ….
        differences: from the expected outcome.
        failing_drifts: drift that the guard doesn't allow.
        first_divergence: the first thing that differed, on one line, or "".
        notes: what could not be compared.
        unused_rules: what the guard of a run that passed allows without need.
    """

    verdict: Verdict
    passed: bool
    reason: str
    differences: tuple[OutcomeDifference, ...] = ()
    failing_drifts: tuple[Drift, ...] = ()
    first_divergence: str = ""
    notes: tuple[Drift, ...] = ()
    unused_rules: tuple[str, ...] = ()


def _never_alike(_: OutcomeDifference) -> bool:
    return False


def judge(
    evidence: Evidence,
    guard: Guard | None,
    policy: DriftPolicy = DEFAULT_POLICY,
    alike: _Alike = _never_alike,
) -> Judgement:
    """Judge a replay. Without a guard, a failed run expects not to fail any more, another one its recorded outcome.

    Args:
        policy: which drift fails where the guard says nothing.
        alike: whether two values that differ count as equal all the same.
    """
    if evidence.leaks:
        return Judgement(Verdict.LEAKED, passed=False, reason="leak", first_divergence=evidence.leaks[0])
    if evidence.deadline:
        return Judgement(Verdict.DIVERGED, passed=False, reason="deadline", first_divergence=evidence.deadline)
    expects_fix = guard.expect == "fix" if guard else is_failure(evidence.recorded)
    if evidence.unrecorded:
        return _judge_miss(evidence, guard, policy, alike, expects_fix=expects_fix)
    return _judge_outcome(evidence, guard, policy, alike, expects_fix=expects_fix)


def _judge_miss(
    evidence: Evidence, guard: Guard | None, policy: DriftPolicy, alike: _Alike, *, expects_fix: bool
) -> Judgement:
    drifts = failing_drifts(evidence.drifts, guard, policy)
    if not (expects_fix and evidence.all_played):
        return Judgement(
            Verdict.DIVERGED, passed=False, reason="unrecorded", failing_drifts=drifts, first_divergence=evidence.asked
        )
    too_many = list(from_calls(evidence, guard, ended_early=True))
    if drifts or too_many:
        return _verdict(Verdict.BEYOND, too_many, drifts)
    gone = bool(_from_recorded(evidence, guard, alike)[0])
    accepted = guard is not None and guard.beyond == "accept" and gone
    return Judgement(
        Verdict.BEYOND, passed=accepted, reason="beyond" if gone else "same-outcome", first_divergence=evidence.asked
    )


def _judge_outcome(
    evidence: Evidence, guard: Guard | None, policy: DriftPolicy, alike: _Alike, *, expects_fix: bool
) -> Judgement:
    from_recorded, notes = _from_recorded(evidence, guard, alike)
    drifts = (*evidence.drifts, *notes)
    failing = failing_drifts(drifts, guard, policy)
    judgement = _compared(evidence, guard, from_recorded, failing, alike, expects_fix=expects_fix)
    unused = unused_rules(drifts, guard) if judgement.passed else ()
    return replace(judgement, notes=notes, unused_rules=unused)


def _from_recorded(
    evidence: Evidence, guard: Guard | None, alike: _Alike
) -> tuple[list[OutcomeDifference], tuple[Drift, ...]]:
    """Where the replay's outcome isn't the recorded one; and where it can't be the same, as a secret was redacted."""
    tokens, derived = Tokens(evidence.tokens), Derived(evidence.derived)
    found, notes = [], []
    for difference in compare_outcomes(evidence.recorded, evidence.outcome, guard.ignore.paths if guard else ()):
        if tokens.alike(difference.expected, difference.got) or alike(difference):
            continue
        if derived.alike(difference.expected, difference.got, tokens):
            text = f"{difference.path} differs where it shows what is computed from a redacted secret"
            notes.append(Drift(DriftKind.DERIVED_VALUE, 0, text))
        else:
            found.append(difference)
    return found, tuple(notes)


def _compared(
    evidence: Evidence,
    guard: Guard | None,
    from_recorded: list[OutcomeDifference],
    drifts: tuple[Drift, ...],
    alike: _Alike,
    *,
    expects_fix: bool,
) -> Judgement:
    if guard is not None and guard.logs:
        from_recorded += _from_logs(evidence)
    miscounted = list(from_calls(evidence, guard))
    if not expects_fix:
        return _verdict(Verdict.MATCH, from_recorded + miscounted, drifts)
    expected = from_expected(guard.fix if guard else None, evidence.outcome)
    from_fix = [*(difference for difference in expected if not alike(difference)), *miscounted]
    if not from_fix:
        return _verdict(Verdict.FIXED, [], drifts)
    if not from_recorded and not drifts:
        return Judgement(
            Verdict.REPRODUCED,
            passed=False,
            reason="reproduced",
            differences=tuple(from_fix),
            first_divergence=from_fix[0].line,
        )
    return _verdict(Verdict.FIXED, from_fix, drifts)


def _from_logs(evidence: Evidence) -> list[OutcomeDifference]:
    tokens = Tokens(evidence.tokens)
    pairs = zip_longest(evidence.recorded_logs, evidence.logs, fillvalue=ABSENT)
    return [
        differing(f"logs[{index}]", recorded, got)
        for index, (recorded, got) in enumerate(pairs)
        if recorded != got and not tokens.alike(recorded, got)
    ]


def _verdict(good: Verdict, differences: list[OutcomeDifference], drifts: tuple[Drift, ...]) -> Judgement:
    """The good verdict, or `regressed` for another outcome or drift that isn't allowed."""
    if not differences and not drifts:
        return Judgement(good, passed=True, reason=good.value)
    first = _drift_line(drifts[0]) if drifts else differences[0].line
    return Judgement(
        Verdict.REGRESSED,
        passed=False,
        reason=drifts[0].kind.value if drifts else "outcome",
        differences=tuple(differences),
        failing_drifts=drifts,
        first_divergence=first,
    )


def _drift_line(drift: Drift) -> str:
    return f"{drift.kind}: {drift.paths[0] if drift.paths else drift.text}"
