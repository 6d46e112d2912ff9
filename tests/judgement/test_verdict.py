"""Verdicts: one per situation of DESIGN 8, and none that hides a changed outcome."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.judgement.guard import DriftRules, Fix, Guard, Ignore
from pytest_fluxrun.judgement.verdict import Verdict, judge
from pytest_fluxrun.values import dump_error, encode


class CouponExpired(Exception):
    pass


class NotCouponExpired(CouponExpired):
    pass


def http(
    status: int, body: str = "{}", *, error: BaseException | None = None, headers: Any = (), complete: bool = True
):
    return {
        "response": {
            "status": status,
            "headers": [["content-type", "application/json"], *headers],
            "body": body,
            "complete": complete,
        },
        "error": None if error is None else dump_error(error),
        "disconnected": False,
    }


OK, FAILED, GONE = http(200), http(500, error=KeyError("rate")), http(404)
BOOM = http(500, error=CouponExpired("x"))


def guard(expect: Any = "fix", **content: Any) -> Guard:
    return Guard(run="01" + "0" * 24, sha256="0" * 64, expect=expect, **content)


def fix(**content: Any) -> Guard:
    return guard(fix=Fix(**content))


def drift(kind: DriftKind, call: int = 1, text: str = "httpx POST https://pay.example/charge") -> Drift:
    return Drift(kind, call, text)


@pytest.mark.parametrize(
    ("recorded", "outcome", "rule", "verdict", "passed"),
    [
        (OK, OK, None, Verdict.MATCH, True),
        (OK, GONE, None, Verdict.REGRESSED, False),
        (OK, FAILED, None, Verdict.REGRESSED, False),
        (FAILED, FAILED, None, Verdict.REPRODUCED, False),
        (FAILED, OK, None, Verdict.FIXED, True),
        (FAILED, GONE, None, Verdict.FIXED, True),
        (FAILED, http(503), None, Verdict.REGRESSED, False),
        (FAILED, http(200, complete=False), None, Verdict.REGRESSED, False),
        (FAILED, FAILED, guard("recorded"), Verdict.MATCH, True),
        (FAILED, OK, guard("recorded"), Verdict.REGRESSED, False),
        (FAILED, http(409), fix(status=409), Verdict.FIXED, True),
        (FAILED, FAILED, fix(status=409), Verdict.REPRODUCED, False),
        (FAILED, OK, fix(status=409), Verdict.REGRESSED, False),
        (FAILED, http(409, error=KeyError("rate")), fix(status=409), Verdict.REGRESSED, False),
        (FAILED, http(409, complete=False), fix(status=409), Verdict.REGRESSED, False),
        (FAILED, http(500), fix(status=500), Verdict.FIXED, True),
        (FAILED, BOOM, fix(raises="CouponExpired"), Verdict.FIXED, True),
        (FAILED, BOOM, fix(status=409, raises="CouponExpired"), Verdict.REGRESSED, False),
        (FAILED, http(500, error=NotCouponExpired("x")), fix(raises="CouponExpired"), Verdict.REGRESSED, False),
        (FAILED, BOOM, fix(raises="Expired"), Verdict.REGRESSED, False),
        (FAILED, FAILED, fix(raises="CouponExpired"), Verdict.REPRODUCED, False),
        (FAILED, OK, fix(raises="CouponExpired"), Verdict.REGRESSED, False),
        (FAILED, http(409, '{"error":"coupon_expired","n":1}'), fix(status=409, body={"error": "coupon_expired"}),
         Verdict.FIXED, True),
        (FAILED, http(409, '{"error":"other"}'), fix(status=409, body={"error": "coupon_expired"}),
         Verdict.REGRESSED, False),
        (FAILED, http(500, '{"error":"coupon_expired"}'), fix(body={"error": "coupon_expired"}),
         Verdict.REGRESSED, False),
        (FAILED, http(200, headers=[["X-A", "1"]]), fix(headers={"x-a": "1"}), Verdict.FIXED, True),
        (FAILED, http(200, headers=[["x-a", "0"], ["x-a", "1"]]), fix(headers={"X-A": "1"}), Verdict.REGRESSED, False),
        (FAILED, OK, fix(headers={"x-a": "1"}), Verdict.REGRESSED, False),
        (FAILED, http(200, headers=[["vary", "B, A"]]), fix(headers={"Vary": "A, B"}), Verdict.FIXED, True),
        ({"response": None, "error": None, "disconnected": False}, OK, None, Verdict.FIXED, True),
        ({"response": None, "error": None, "disconnected": False}, {"response": None, "error": None}, None,
         Verdict.REPRODUCED, False),
    ],
)  # fmt: skip
def test_outcome_and_expectation_give_the_verdict(
    recorded: Any, outcome: Any, rule: Guard | None, verdict: Verdict, passed: bool
):
    """The table of DESIGN 8, with and without a guard."""
    judgement = judge(Evidence(recorded, outcome), rule)
    assert (verdict, passed) == (judgement.verdict, judgement.passed)
    assert judgement.passed or judgement.first_divergence


def test_qualified_class_names_are_understood():
    """`raises` takes the bare name, the module's, or any dotted end of it, never a part of a word."""
    qualified = f"{CouponExpired.__module__}.CouponExpired"
    assert judge(Evidence(FAILED, BOOM), fix(raises=qualified)).passed
    assert not judge(Evidence(FAILED, BOOM), fix(raises="x" + qualified)).passed


def test_returned_value_is_judged_as_a_subset_that_toml_can_state():
    """Decimals and tuples of a return value are written as text and list."""
    failed = {"returned": None, "error": dump_error(KeyError("rate"))}
    outcome = {"returned": encode({"total": Decimal("9.90"), "ids": (1, 2), "more": 1}), "error": None}

    assert judge(Evidence(failed, outcome), fix(returns={"total": "9.90", "ids": [1, 2]})).passed
    assert not judge(Evidence(failed, outcome), fix(returns={"total": "9.9"})).passed
    assert not judge(Evidence(failed, {**failed}), fix(returns={})).passed


def test_leak_and_deadline_come_first():
    """Whatever the outcome, a live side effect and a run without an end fail."""
    evidence = Evidence(OK, OK, leaks=("socket.connect ('10.0.0.1', 80)",), deadline="10 s", unrecorded="x", asked="x")

    assert Verdict.LEAKED is judge(evidence, None).verdict
    late = judge(replace(evidence, leaks=()), guard(beyond="accept"))
    assert (Verdict.DIVERGED, "deadline", False) == (late.verdict, late.reason, late.passed)


@pytest.mark.parametrize(
    ("recorded", "outcome", "all_played", "rule", "verdict", "passed"),
    [
        (OK, OK, True, None, Verdict.DIVERGED, False),
        (FAILED, OK, False, None, Verdict.DIVERGED, False),
        (FAILED, OK, False, guard(beyond="accept"), Verdict.DIVERGED, False),
        (FAILED, BOOM, True, None, Verdict.BEYOND, False),
        (FAILED, BOOM, True, guard(), Verdict.BEYOND, False),
        (FAILED, BOOM, True, guard(beyond="accept"), Verdict.BEYOND, True),
        (FAILED, FAILED, True, guard(beyond="accept"), Verdict.BEYOND, False),
        (FAILED, OK, True, guard("recorded", beyond="accept"), Verdict.DIVERGED, False),
    ],
)
def test_unrecorded_call_is_never_a_pass_unless_accepted_beyond(
    recorded: Any, outcome: Any, all_played: bool, rule: Guard | None, verdict: Verdict, passed: bool
):
    """A swallowed miss fails with a good outcome, and `accept` wants the recorded failure gone."""
    evidence = Evidence(recorded, outcome, unrecorded="not in the run", asked="httpx GET /", all_played=all_played)
    judgement = judge(evidence, rule)
    assert (verdict, passed) == (judgement.verdict, judgement.passed)
    assert "httpx GET /" == judgement.first_divergence


def test_changed_effect_on_the_way_beyond_is_not_accepted():
    """`beyond = "accept"` accepts the missing answer, not another charge before it."""
    evidence = Evidence(
        FAILED, BOOM, unrecorded="x", asked="x", all_played=True, drifts=(drift(DriftKind.CHANGED_EFFECT),)
    )
    judgement = judge(evidence, guard(beyond="accept"))
    assert (Verdict.REGRESSED, "changed-effect", False) == (judgement.verdict, judgement.reason, judgement.passed)


@pytest.mark.parametrize(
    ("kind", "passed"),
    [
        (DriftKind.CHANGED_EFFECT, False),
        (DriftKind.MISSING_EFFECT, False),
        (DriftKind.NEW_EFFECT, False),
        (DriftKind.REORDERED, False),
        (DriftKind.REPEATED_READ, True),
        (DriftKind.MISSING_READ, True),
        (DriftKind.CLOCK_INTERPOLATED, True),
        (DriftKind.ENTROPY_EXTRA, True),
        (DriftKind.START_UP, True),
        (DriftKind.VERIFICATION_SERVED, True),
    ],
)
def test_drift_of_effects_fails_an_equal_outcome(kind: DriftKind, passed: bool):
    """Equal responses with another effect are a regression; drift of reads is a note."""
    judgement = judge(Evidence(OK, OK, drifts=(drift(kind),)), None)
    assert passed is judgement.passed
    assert judgement.verdict is (Verdict.MATCH if passed else Verdict.REGRESSED)
    assert passed or judgement.reason == kind


def test_recorded_failure_with_another_effect_is_no_expected_failure():
    """A pending guard would excuse `reproduced`, so a changed charge on the way to the same failure is `regressed`."""
    evidence = Evidence(FAILED, FAILED, drifts=(drift(DriftKind.CHANGED_EFFECT),))
    assert Verdict.REGRESSED is judge(evidence, guard(pending=True)).verdict


@pytest.mark.parametrize(
    ("rule", "passed"),
    [
        ("changed-effect", True),
        ("changed-effect: httpx POST *", True),
        ("changed-effect: httpx POST https://pay.example/charge", True),
        ("changed-effect: httpx POST https://pay.example/c", False),
        ("changed-effect: httpx GET *", False),
        ("missing-effect", False),
    ],
)
def test_guard_allows_drift_by_kind_and_text(rule: str, passed: bool):
    """A text without `*` must be whole."""
    allowed = guard("recorded", drift=DriftRules(allow=(rule,)))
    assert passed is judge(Evidence(OK, OK, drifts=(drift(DriftKind.CHANGED_EFFECT),)), allowed).passed


def test_brackets_in_a_drift_rule_are_no_wildcards():
    """`[ab]` stands for itself."""
    allowed = guard("recorded", drift=DriftRules(allow=("changed-effect: POST [ab]",)))
    assert judge(Evidence(OK, OK, drifts=(drift(DriftKind.CHANGED_EFFECT, text="POST [ab]"),)), allowed).passed
    assert not judge(Evidence(OK, OK, drifts=(drift(DriftKind.CHANGED_EFFECT, text="POST a"),)), allowed).passed


def test_fix_states_effects_that_belong_to_it():
    """Only the named calls may change; a new effect has no number and isn't covered."""
    rule = guard(fix=Fix(status=200, effects=(2,)))

    assert judge(Evidence(FAILED, OK, drifts=(drift(DriftKind.MISSING_EFFECT, 2),)), rule).passed
    assert not judge(Evidence(FAILED, OK, drifts=(drift(DriftKind.MISSING_EFFECT, 1),)), rule).passed
    assert not judge(Evidence(FAILED, OK, drifts=(drift(DriftKind.NEW_EFFECT, 0),)), rule).passed


def test_call_after_the_end_is_named_and_no_failure():
    """What a run's leftovers do after its end was not recorded either: it is refused, and noted."""
    assert judge(Evidence(OK, OK, drifts=(drift(DriftKind.LATE_CALL, 0),)), None).passed


def test_ignored_paths_are_ignored_and_nothing_else():
    """An ignored body leaves the status compared."""
    rule = guard("recorded", ignore=Ignore(paths=("response.body.id",)))

    assert judge(Evidence(http(200, '{"id":1}'), http(200, '{"id":2}')), rule).passed
    assert not judge(Evidence(http(200, '{"id":1}'), http(201, '{"id":2}')), rule).passed
    assert not judge(Evidence(http(200, '{"id":1,"a":1}'), http(200, '{"id":2,"a":2}')), rule).passed


def test_place_that_shows_a_digest_of_a_redacted_secret_is_noted_and_not_compared():
    """Around it everything is, and a failure that is reproduced but for it is the same one."""
    recorded, made = "5e" * 20, "0d" * 20

    def judged(before: Any, after: Any, rule: Guard | None = None) -> Any:
        return judge(Evidence(before, after, derived=(made,)), rule)

    same = judged(http(200, f'{{"feed": "/{recorded}", "n": 1}}'), http(200, f'{{"feed": "/{made}", "n": 1}}'))
    other = judged(http(200, f'{{"feed": "/{recorded}", "n": 1}}'), http(200, f'{{"feed": "/{made}", "n": 2}}'))
    failed = judged(http(500, f'{{"id": "{recorded}"}}'), http(500, f'{{"id": "{made}"}}'))

    assert (Verdict.MATCH, True) == (same.verdict, same.passed)
    assert [(DriftKind.DERIVED_VALUE, "response.body.feed")] == [
        (note.kind, note.text.partition(" ")[0]) for note in same.notes
    ]
    assert ["response.body.n"] == [difference.path for difference in other.differences]
    assert Verdict.REPRODUCED is failed.verdict
    assert not judge(Evidence(http(200, recorded), http(200, made)), None).passed


def test_fix_states_a_body_by_the_places_of_its_type():
    """What a failure shows as `response.body.amount` or `.events[0].data.n` is what a guard may state."""

    def answer(body: str, kind: str) -> Any:
        outcome = http(200, body)
        outcome["response"]["headers"] = [["content-type", kind]]
        return outcome

    form, events = "application/x-www-form-urlencoded", "text/event-stream"
    assert judge(Evidence(FAILED, answer("amount=12&to=a", form)), fix(body={"amount": "12"})).passed
    assert judge(Evidence(FAILED, answer("amount=12&to=a", form)), fix(body="amount=12&to=a")).passed
    assert not judge(Evidence(FAILED, answer("amount=13&to=a", form)), fix(body={"amount": "12"})).passed
    assert judge(
        Evidence(FAILED, answer('data: {"n": 1}\n\n', events)), fix(body={"events": [{"data": {"n": 1}}]})
    ).passed
    assert judge(Evidence(FAILED, http(200, '"ok"')), fix(body="ok")).passed


def test_changed_text_is_told_by_its_line():
    """What fits on the first line of a failure, however long the page."""
    page = "<ul>\n" + "<li>item</li>\n" * 1000 + "</ul>"
    before, after = http(200, page), http(200, page.replace("</ul>", "<li>more</li>\n</ul>"))
    judgement = judge(Evidence(before, after), None)
    assert "response.body: line 1002: '</ul>' → '<li>more</li>'" == judgement.first_divergence
