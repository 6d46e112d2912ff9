"""Guards changed to what a replay showed: exactly that, or a refusal that says why."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

import pytest

from pytest_fluxrun.config import Settings
from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.errors import GuardError
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.judgement.acceptance import accepting, refuse_other_outcome, unified_diff, updated
from pytest_fluxrun.judgement.drift_rules import DEFAULT_POLICY, DriftPolicy
from pytest_fluxrun.judgement.guard import DriftRules, Fix, Guard, Ignore, to_toml
from pytest_fluxrun.judgement.verdict import judge
from pytest_fluxrun.values import dump_error, encode

STRICT = DriftPolicy.of(Settings(), strict=True)
CHANGED = Drift(DriftKind.CHANGED_EFFECT, 3, "httpx POST https://pay.example/", ("call[3].request.body.n: 1 → 2",))
REPEATED = Drift(DriftKind.REPEATED_READ, 2, "httpx GET https://pay.example/")


def http(status: int, body: str = "{}", **more: Any) -> Any:
    headers = [["Content-Type", "application/json"], ["Content-Length", str(len(body))]]
    response = {"status": status, "headers": headers, "body": body, "complete": True}
    return {"response": response | more, "error": None, "disconnected": False}


def returned(value: Any) -> Any:
    return {"returned": encode(value), "error": None}


def guard(expect: Any = "recorded", **content: Any) -> Guard:
    return Guard(run="01" + "0" * 24, sha256="0" * 64, expect=expect, **content)


def update(evidence: Evidence, rule: Guard, policy: DriftPolicy = DEFAULT_POLICY) -> Guard:
    return updated(evidence, rule, policy, outcome=True, drift=True)


FAILED = http(500)


@pytest.mark.parametrize(
    ("recorded", "now", "rule", "fix"),
    [
        (http(200, '{"a": 1}'), http(201, '{"a": 2}'), guard(),
         Fix(status=201, headers={"content-type": "application/json"}, body={"a": 2})),
        (http(200, '{"a": 1}'), http(200, '{"a": [2, {"id": 7}], "id": 9}'),
         guard(ignore=Ignore(paths=("response.body.id", "response.body.a[*].id", "response.headers.content-type"))),
         Fix(status=200, body={"a": [2, {}]})),
        (http(200, "one"), http(200, "two"), guard(ignore=Ignore(paths=("response.headers",))),
         Fix(status=200, body="two")),
        (FAILED, http(404, '{"e": 1}'), guard("fix", fix=Fix(status=409, effects=(3,))),
         Fix(status=404, headers={"content-type": "application/json"}, body={"e": 1}, effects=(3,))),
        (returned({"a": (1, 2)}), returned({"a": (1, 3)}), guard(), Fix(returns={"a": [1, 3]})),
    ],
)  # fmt: skip
def test_another_outcome_is_stated_whole(recorded: Any, now: Any, rule: Guard, fix: Fix) -> None:
    """Status, headers and body or the return value, without what the guard ignores; it is met from then on."""
    evidence = Evidence(recorded, now)

    new = update(evidence, rule)

    assert ("fix", fix) == (new.expect, new.fix)
    assert rule.ignore == new.ignore
    assert judge(evidence, new).passed
    assert Guard.model_validate(tomllib.loads(to_toml(new))) == new
    assert not judge(Evidence(recorded, recorded), new).passed


def test_drift_is_allowed_exactly_and_only_where_it_fails() -> None:
    """What is noted needs no rule, until it fails; what is there stays."""
    evidence = Evidence(FAILED, http(200), drifts=(REPEATED, CHANGED))
    rule = guard("fix", drift=DriftRules(allow=("aged",)))

    assert ("aged", "changed-effect: call[3].request.body.n: 1 → 2") == update(evidence, rule).drift.allow
    strict = update(evidence, rule, STRICT)
    assert ("aged", "repeated-read: call[2] httpx GET https://pay.example/") == strict.drift.allow[:2]
    assert judge(evidence, strict, STRICT).passed


def test_guard_that_is_met_stays_the_same() -> None:
    """A pass, and a failure that is still pending."""
    for evidence, rule in (
        (Evidence(http(200), http(200), drifts=(REPEATED,)), guard()),
        (Evidence(FAILED, FAILED), guard("fix", pending=True)),
    ):
        assert rule is update(evidence, rule)


def test_pending_guard_takes_drift_on_the_way_to_its_failure() -> None:
    """It stays pending."""
    new = update(Evidence(FAILED, FAILED, drifts=(CHANGED,)), guard("fix", pending=True))
    assert (True, 1) == (new.pending, len(new.drift.allow))


@pytest.mark.parametrize(
    ("evidence", "rule", "why"),
    [
        (Evidence(http(200), FAILED), guard(), "the new outcome is a failure"),
        (Evidence(returned(1), {"returned": None, "error": dump_error(KeyError("x"))}), guard(), "is a failure"),
        (Evidence(FAILED, FAILED), guard("fix"), "the recorded failure happens again"),
        (Evidence(FAILED, FAILED, drifts=(CHANGED,)), guard("fix"), "the recorded failure happens again"),
        (Evidence(http(200), http(201), leaks=("connect 1.2.3.4",)), guard(), r"\(leaked\): connect 1.2.3.4"),
        (Evidence(http(200), None, deadline="hung"), guard(), r"\(diverged\): hung"),
        (Evidence(http(200), http(201), unrecorded="x", asked="GET /"), guard(), r"\(diverged\): GET /"),
        (Evidence(FAILED, http(201), unrecorded="x", asked="GET /", all_played=True), guard("fix"), r"\(beyond\)"),
        (Evidence(http(200), http(201)), guard(logs=True), "compares log records"),
        (Evidence(http(200), http(200, '{"a": null}')), guard(), "response.body.a is null"),
        (Evidence(http(200), http(201, messages=["hi"])), guard(), "messages of a websocket"),
        (Evidence(returned(1), returned(None)), guard(), "a return value of None"),
        (Evidence(returned(1), returned(2) | {"state": {"retry": 1}}), guard(), "how an attempt of a task ended"),
        (Evidence(returned([1]), returned([2, 3])), guard(ignore=Ignore(paths=("returned[1]",))), "ignores returned"),
    ],
)  # fmt: skip
def test_what_no_guard_should_state_is_refused(evidence: Evidence, rule: Guard, why: str) -> None:
    """A failure, no end, and what TOML or [fix] has no words for."""
    with pytest.raises(GuardError, match=why) as caught:
        update(evidence, rule)
    assert caught.value.next_step


def test_only_what_is_asked_for_is_updated() -> None:
    """Outcome without drift, and drift without outcome, are refused where both differ."""
    both = Evidence(http(200), http(201), drifts=(CHANGED,))
    with pytest.raises(GuardError, match="there is drift too, changed-effect"):
        updated(both, guard(), DEFAULT_POLICY, outcome=True, drift=False)
    with pytest.raises(GuardError, match=r"the outcome differs, response\.status: 200 → 201"):
        updated(both, guard(), DEFAULT_POLICY, outcome=False, drift=True)
    assert judge(both, update(both, guard())).passed


def test_drift_that_the_guard_forbids_is_not_allowed() -> None:
    """A person decides between the two rules."""
    rule = guard(drift=DriftRules(fail=("changed-effect: call[3].request.body.n: 1 → 2",)))
    with pytest.raises(GuardError, match="both in allow and in fail"):
        accepting(rule, [CHANGED])


def test_outcome_is_judged_without_drift() -> None:
    """Drift alone is no other outcome, though the guard forbids it."""
    rule = guard(drift=DriftRules(fail=("repeated-read",)))
    evidence = Evidence(http(200), http(200), drifts=(REPEATED, CHANGED))
    refuse_other_outcome(evidence, rule)
    with pytest.raises(GuardError, match="the outcome differs"):
        refuse_other_outcome(replace(evidence, outcome=http(201)), rule)


def test_diff_shows_what_changed() -> None:
    """A new file comes from nowhere."""
    old, new = guard(), accepting(guard(), [REPEATED])
    lines = list(unified_diff(to_toml(old), to_toml(new), "a.guard.toml"))
    assert ["--- a.guard.toml", "+++ a.guard.toml"] == lines[:2]
    assert '+allow = ["repeated-read: call[2] httpx GET https://pay.example/"]' in lines
    assert "--- /dev/null" == next(unified_diff("", to_toml(new), "a.guard.toml"))
