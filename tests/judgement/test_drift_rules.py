"""Which drift fails: the defaults, the policy, a guard's rules, and the rules that allow exactly what was seen."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pytest_fluxrun.config import Settings
from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.judgement.drift_rules import (
    FAILING,
    DriftPolicy,
    failing_drifts,
    rules_for,
    unused_rules,
    with_age,
)
from pytest_fluxrun.judgement.guard import DriftRules, Fix, Guard
from pytest_fluxrun.judgement.verdict import Verdict, judge

DAY_NS = 86_400 * 10**9
OK = {"returned": 1, "error": None}
STRICT = DriftPolicy.of(Settings(), strict=True)
CHARGE = "httpx POST https://pay.example/charge"
PATHS = ("call[3].request.body.amount: 1000 → 1200", "call[3].request.body.currency: 'EUR' → 'USD'")


def guard(allow: tuple[str, ...] = (), fail: tuple[str, ...] = (), **content: Any) -> Guard:
    rules = DriftRules(allow=allow, fail=fail)
    return Guard(run="01" + "0" * 24, sha256="0" * 64, drift=rules, **content)


def drift(kind: DriftKind, call: int = 3, text: str = CHARGE, paths: tuple[str, ...] = ()) -> Drift:
    return Drift(kind, call, text, paths)


@pytest.mark.parametrize("kind", DriftKind)
def test_each_kind_has_a_default_and_fails_when_strict(kind: DriftKind) -> None:
    """Changed, missing, new and reordered effects fail; everything else is noted, until --fluxrun-strict."""
    effects = {"changed-effect", "missing-effect", "new-effect", "reordered"}
    assert (kind in FAILING) is (kind.value in effects)
    assert bool(failing_drifts([drift(kind)], None)) is (kind in FAILING)
    assert failing_drifts([drift(kind)], None, STRICT)


@pytest.mark.parametrize("kind", DriftKind)
def test_each_kind_can_be_allowed_and_forbidden(kind: DriftKind) -> None:
    """By its name, for what fails anyway and for what is noted; allowing wins."""
    assert not failing_drifts([drift(kind)], guard((kind.value,)), STRICT)
    assert failing_drifts([drift(kind)], guard(fail=(kind.value,)))
    assert not failing_drifts([drift(kind)], guard((f"{kind}: {CHARGE}",), (kind.value,)))


def test_unplayed_fails_where_the_project_says_so() -> None:
    """`on_unplayed = "fail"` is about recorded reads and other calls that weren't made, and nothing else."""
    policy = DriftPolicy.of(Settings(on_unplayed="fail"))
    failing = {kind for kind in DriftKind if failing_drifts([drift(kind)], None, policy)}
    assert FAILING | {DriftKind.MISSING_READ, DriftKind.UNPLAYED} == failing


def test_project_names_kinds_that_fail_beside_the_usual_ones() -> None:
    """`fail_on` adds to the defaults, and a guard may still allow one."""
    policy = DriftPolicy.of(Settings(fail_on=("changed-pause", "cold-read")))
    failing = {kind for kind in DriftKind if failing_drifts([drift(kind)], None, policy)}
    assert FAILING | {DriftKind.CHANGED_PAUSE, DriftKind.COLD_READ} == failing
    assert not failing_drifts([drift(DriftKind.CHANGED_PAUSE)], guard(("changed-pause",)), policy)


def test_strict_reaches_the_verdict_and_what_only_the_judgement_sees() -> None:
    """A noted drift makes a match a regression; so does a place that holds what was made of a secret."""
    recorded, made = "5e" * 20, "0d" * 20
    derived = Evidence(OK | {"returned": recorded}, OK | {"returned": made}, derived=(made,))
    repeated = Evidence(OK, OK, drifts=(drift(DriftKind.REPEATED_READ),))

    assert judge(repeated, None).passed
    assert judge(derived, None).passed
    judgement = judge(repeated, None, STRICT)
    assert (Verdict.REGRESSED, "repeated-read") == (judgement.verdict, judgement.reason)
    assert "derived-value" == judge(derived, None, STRICT).reason
    assert judge(derived, guard(("derived-value",)), STRICT).passed


def test_fail_rule_fails_what_its_text_says_alone() -> None:
    """A read of one address that must not be repeated."""
    rule = guard(fail=("repeated-read: * https://pay.example/*",))
    assert failing_drifts([drift(DriftKind.REPEATED_READ)], rule)
    assert not failing_drifts([drift(DriftKind.REPEATED_READ, text="httpx GET https://rates.example/")], rule)


def test_rules_for_a_drift_allow_it_and_no_other() -> None:
    """Another value at the same place, another place, and an equal call of another number still fail."""
    changed = drift(DriftKind.CHANGED_EFFECT, paths=PATHS)
    missing = drift(DriftKind.MISSING_EFFECT)
    rules = guard((*rules_for(changed), *rules_for(missing)))

    assert tuple(f"changed-effect: {path}" for path in PATHS) == rules_for(changed)
    assert (f"missing-effect: call[3] {CHARGE}",) == rules_for(missing)
    assert not failing_drifts([changed, missing], rules)
    others = (
        drift(DriftKind.CHANGED_EFFECT, paths=(PATHS[0].replace("1200", "9900"), PATHS[1])),
        drift(DriftKind.CHANGED_EFFECT, paths=(*PATHS, "call[3].request.body.note: 'a' → 'b'")),
        drift(DriftKind.MISSING_EFFECT, call=4),
        drift(DriftKind.NEW_EFFECT),
    )
    assert others == failing_drifts(others, rules)


def test_rule_by_text_holds_for_any_number_and_place() -> None:
    """What a person writes needs no number: the text of the call, whole or with `*`."""
    changed = drift(DriftKind.CHANGED_EFFECT, paths=PATHS)
    assert not failing_drifts([changed], guard((f"changed-effect: {CHARGE}",)))
    assert not failing_drifts([changed], guard(("changed-effect: call[3].request.body.*",)))


@pytest.mark.parametrize("kind", DriftKind)
def test_rules_for_any_kind_are_valid_and_used(kind: DriftKind) -> None:
    """What `rules_for` says, a guard takes and needs."""
    seen = drift(kind, text='sqlite3 SELECT * FROM "a[b]" WHERE x = ?')
    rules = guard(rules_for(seen))
    assert not failing_drifts([seen], rules, STRICT)
    assert () == unused_rules([seen], rules)


def test_rules_that_nothing_needs_are_told_where_the_run_passed() -> None:
    """One of two is; in a run that fails nothing is told, since what comes after wasn't reached."""
    rules = guard(("repeated-read", "missing-effect: httpx DELETE *"))
    seen = Evidence(OK, OK, drifts=(drift(DriftKind.REPEATED_READ),))

    assert ("missing-effect: httpx DELETE *",) == judge(seen, rules).unused_rules
    assert () == judge(Evidence(OK, OK | {"returned": 2}), rules).unused_rules
    assert () == judge(Evidence(OK, OK), None).unused_rules


def test_effect_of_the_fix_needs_no_rule() -> None:
    """`[fix] effects` goes on to allow what concerns the calls that it names."""
    rule = guard(expect="fix", fix=Fix(effects=(3,)))
    assert not failing_drifts([drift(DriftKind.MISSING_EFFECT)], rule, STRICT)


@pytest.mark.parametrize(
    ("age", "days", "noted"), [("90d", 90, False), ("90d", 91, True), ("2w", 15, True), ("", 999, False)]
)
def test_run_beyond_its_age_is_noted(age: str, days: int, noted: bool) -> None:
    """The date, the days and the setting; it fails when strict, unless the guard allows it."""
    policy = DriftPolicy.of(Settings(max_age=age), strict=True)
    evidence = with_age(Evidence(OK, OK), started_ns=0, now_ns=days * DAY_NS, policy=policy)

    assert noted is bool(evidence.drifts)
    assert noted is not judge(evidence, None, policy).passed
    assert judge(evidence, guard(("aged",)), policy).passed
    assert judge(evidence, None).passed
    if noted:
        assert f"recorded on 1970-01-01, {days} days ago" in evidence.drifts[0].text
        assert ("aged",) == rules_for(evidence.drifts[0])


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"fail": ["changed"]}, "none of the kinds of drift"),
        ({"allow": ["aged"], "fail": ["aged"]}, "both in allow and in fail"),
    ],
)
def test_rules_that_cannot_be_used_are_refused(rules: Any, message: str) -> None:
    """A kind that there isn't, and a rule for and against."""
    with pytest.raises(ValidationError, match=message):
        DriftRules(**rules)
