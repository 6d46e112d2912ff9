"""A guard changed to what a replay showed: drift as allow rules, another outcome as `[fix]`. Pure; writes nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import ValidationError

from pytest_fluxrun.drift import Drift
from pytest_fluxrun.errors import GuardError
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.judgement.comparison import (
    TRANSPORT_HEADERS,
    body_of,
    is_failure,
    joined_headers,
    matches_path,
    readable,
    under,
)
from pytest_fluxrun.judgement.drift_rules import DriftPolicy, failing_drifts, rules_for
from pytest_fluxrun.judgement.guard import DriftRules, Guard
from pytest_fluxrun.judgement.verdict import Judgement, Verdict, judge

__all__ = [
    "accepting",
    "drifts_of",
    "is_met",
    "outcome_judgement",
    "refuse_other_outcome",
    "stating",
    "unified_diff",
    "updated",
]

_MEANT: Final = "if that is meant, `fluxrun expect {}` states it, or pytest with --fluxrun-update=outcome"
_FOLLOWING: Final = TRANSPORT_HEADERS | {"content-length"}
"""Headers that follow from the transport and the body."""
_BY_HAND: Final = "state a part of it: `fluxrun expect {run} --status N --body JSON`, or --returns"


def updated(evidence: Evidence, guard: Guard, policy: DriftPolicy, *, outcome: bool, drift: bool) -> Guard:
    """The guard that a replay meets: the same one where it is met already, or its failure is still pending.

    Args:
        outcome: whether another outcome may be stated.
        drift: whether drift that fails may be allowed.

    Raises:
        GuardError: no guard states what the replay showed, or the two arguments don't cover it.
    """
    if is_met(judge(evidence, guard, policy), guard):
        return guard
    changed, by_outcome = guard, outcome_judgement(evidence, guard)
    if not is_met(by_outcome, guard):
        if not outcome or by_outcome.verdict is not Verdict.REGRESSED:
            refuse_other_outcome(evidence, guard)
        changed = stating(evidence, guard)
    failing = failing_drifts(drifts_of(evidence, guard), guard, policy)
    if failing and not drift:
        raise _refusal(
            guard, f"there is drift too, {failing[0].kind}: {failing[0].text}", "add `drift` to what is updated"
        )
    return accepting(changed, failing)


def accepting(guard: Guard, drifts: Iterable[Drift]) -> Guard:
    """The guard that allows these drifts too, exactly as they were seen.

    Raises:
        GuardError: it forbids one of them.
    """
    drifts = tuple(drifts)
    rules = tuple(dict.fromkeys((*guard.drift.allow, *(rule for drift in drifts for rule in rules_for(drift)))))
    if rules == guard.drift.allow:
        return guard
    try:
        changed = DriftRules(allow=rules, fail=guard.drift.fail)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise _refusal(guard, reason, "decide which of the two rules the guard is to have") from None
    return guard.model_copy(update={"drift": changed})


def stating(evidence: Evidence, guard: Guard) -> Guard:
    """The guard that expects the outcome which a replay came to: status, headers, body or return value, whole.

    Raises:
        GuardError: the outcome is a failure, or a guard has no words for it.
    """
    got = evidence.outcome
    if is_failure(got):
        by_hand = f"if it is meant, `fluxrun expect {guard.run[:10]}` with --status or --raises says so"
        raise _refusal(guard, "the new outcome is a failure, which no update states", by_hand)
    if guard.logs:
        raise _refusal(guard, "it compares log records too, which [fix] can't state", "delete `logs`, or record anew")
    unstated = next(_unstated(evidence.recorded, got), "")
    if unstated:
        raise _refusal(guard, f"[fix] can't state {unstated}", "record the new behaviour as a run of its own")
    fix = _response_fix(got["response"], guard) if got.get("response") else _returned_fix(got, guard)
    effects = {"effects": guard.fix.effects} if guard.fix is not None and guard.fix.effects else {}
    stated = Guard.model_validate(guard.model_dump() | {"expect": "fix", "pending": False, "fix": fix | effects})
    left = outcome_judgement(evidence, stated)
    if not left.passed:
        raise _refusal(guard, f"[fix] can't state {left.first_divergence}", _BY_HAND.format(run=guard.run[:10]))
    return stated


def outcome_judgement(evidence: Evidence, guard: Guard) -> Judgement:
    """What the guard says of a replay if no drift counts."""
    without = guard.model_copy(update={"drift": type(guard.drift)()})
    return judge(replace(evidence, drifts=()), without, DriftPolicy(frozenset()))


def drifts_of(evidence: Evidence, guard: Guard) -> tuple[Drift, ...]:
    """All drift of a replay, that which only the comparison of the outcome sees included."""
    return (*evidence.drifts, *judge(evidence, guard).notes)


def unified_diff(before: str, after: str, name: str) -> Iterator[str]:
    """A guard file's change, line by line; `before` is "" for a new file."""
    old = name if before else "/dev/null"
    return difflib.unified_diff(before.splitlines(), after.splitlines(), old, name, lineterm="")


def is_met(judgement: Judgement, guard: Guard) -> bool:
    """Whether the guard is content: the run passes, or its failure is still pending."""
    return judgement.passed or (guard.pending and judgement.verdict is Verdict.REPRODUCED)


def refuse_other_outcome(evidence: Evidence, guard: Guard) -> None:
    """Refuse a replay whose outcome isn't the one that the guard expects.

    Raises:
        GuardError: it differs, is the recorded failure, or there is none: the replay leaked, diverged or hung.
    """
    judgement, run = outcome_judgement(evidence, guard), guard.run[:10]
    if is_met(judgement, guard):
        return
    if judgement.verdict is Verdict.REPRODUCED:
        raise _refusal(guard, "the recorded failure happens again", "fix the code first")
    if judgement.verdict is Verdict.REGRESSED:
        raise _refusal(guard, f"the outcome differs, {judgement.first_divergence}", _MEANT.format(run))
    why = f"the replay came to no outcome of its own ({judgement.verdict}): {judgement.first_divergence}"
    raise _refusal(guard, why, f"`fluxrun why {run}` shows every call of it")


def _unstated(recorded: Any, got: Any) -> Iterator[str]:
    """What such an outcome has that `[fix]` has no words for."""
    if got.get("state") or recorded.get("state"):
        yield "how an attempt of a task ended"
    for outcome in (recorded, got):
        if (outcome.get("response") or {}).get("messages"):
            yield "the messages of a websocket"
    if not got.get("response") and got.get("returned") is None:
        yield "a return value of None"


def _response_fix(response: Mapping[str, Any], guard: Guard) -> dict[str, Any]:
    ignored = guard.ignore.paths
    headers = {
        name: value
        for name, value in joined_headers(response).items()
        if name not in _FOLLOWING and not _is_ignored(under("response.headers", name), ignored)
    }
    fix: dict[str, Any] = {"status": response["status"], "headers": headers}
    if not _is_ignored("response.body", ignored):
        fix["body"] = _stateable(body_of(response), "response.body", guard)
    return fix


def _returned_fix(outcome: Mapping[str, Any], guard: Guard) -> dict[str, Any]:
    return {"returns": _stateable(readable(outcome["returned"]), "returned", guard)}


def _stateable(value: Any, path: str, guard: Guard) -> Any:
    """A value without what the guard ignores.

    Raises:
        GuardError: TOML has no form for it, or an ignored item of a list can't be left out.
    """
    match value:
        case bool() | int() | float() | str():
            return value
        case Mapping():
            inner = ((key, item, under(path, key)) for key, item in value.items())
            kept = (one for one in inner if not _is_ignored(one[2], guard.ignore.paths))
            return {key: _stateable(item, place, guard) for key, item, place in kept}
        case list() | tuple():
            places = [f"{path}[{index}]" for index in range(len(value))]
            ignored = next((place for place in places if _is_ignored(place, guard.ignore.paths)), "")
            if ignored:
                raise _refusal(
                    guard, f"it ignores {ignored}, and a list is stated whole", _BY_HAND.format(run=guard.run[:10])
                )
            return [_stateable(item, place, guard) for item, place in zip(value, places, strict=True)]
        case None:
            raise _refusal(guard, f"{path} is null, which TOML can't hold", _BY_HAND.format(run=guard.run[:10]))
        case _:
            raise _refusal(guard, f"{path} isn't text or JSON", "record the new behaviour as a run of its own")


def _is_ignored(path: str, ignored: Iterable[str]) -> bool:
    return any(matches_path(path, rule) for rule in ignored)


def _refusal(guard: Guard, why: str, next_step: str) -> GuardError:
    return GuardError(f"the guard of run {guard.run[:10]} stays as it is", why=why, next_step=next_step)
