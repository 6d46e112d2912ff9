"""Reports that tests make by hand: small ones, and as large as they like."""

from __future__ import annotations

from typing import Any

from pytest_fluxrun.report.document import (
    Described,
    Place,
    RecordedCall,
    ReplayedCall,
    Report,
    ReportedCall,
    ReportedDifference,
    ReportedGuard,
    ReportedRun,
    ReportedSession,
)

__all__ = ["call", "mixed_runs", "report_of", "run_of", "session_of"]


def session_of(**fields: Any) -> ReportedSession:
    """A complete session, with the fields that a test cares about."""
    known = {"started_at_utc": "2026-03-01T09:30:00Z", "duration_s": 4.2, "exit_status": 1, "complete": True}
    return ReportedSession.model_validate(known | fields)


def call(number: int | None, status: str, **fields: Any) -> ReportedCall:
    """A call to a payment service, recorded and replayed as its status says."""
    asked = fields.pop("asked", "POST https://pay.example")
    at_ns = 1_000_000 * (number or 1)
    known: dict[str, Any] = {"lane": "/", "boundary": "httpx", "kind": "http", "effect": True}
    if number is not None:
        known["recorded"] = RecordedCall(
            asked=asked, answered="200, 18 bytes", started_ns=at_ns, ended_ns=at_ns + 400_000
        )
    if status != "missing":
        source = "miss" if number is None else "run"
        known["replayed"] = ReplayedCall(position=number or 9, lane="/", asked=asked, source=source)
    return ReportedCall.model_validate({"number": number, "status": status} | known | fields)


def run_of(number: int, **fields: Any) -> ReportedRun:
    """A run of the entry `orders.create`, by default one that regressed at its second call of three."""
    run_id = f"01jd3k{number:020d}"
    name = f"orders.create-{run_id}"
    known: dict[str, Any] = {
        "run_id": run_id,
        "name": name,
        "entry": "orders.create",
        "entry_place": Place(path="shop/orders.py", line=12),
        "nodeid": f"runs/{name}.fluxrun::replay",
        "bundle": f"runs/{name}.fluxrun",
        "guard": ReportedGuard(path=f"runs/{name}.guard.toml", expect="recorded", title=f"INC-{number}"),
        "verdict": "regressed",
        "outcome": "failed",
        "reason": "outcome",
        "first_divergence": "response.status: integer → integer",
        "first_divergent_call": 1,
        "differences": (
            ReportedDifference(
                path="response.status",
                expected=Described(type="integer", text="integer"),
                got=Described(type="integer", text="integer"),
            ),
        ),
        "recorded_at_utc": "2026-02-28T23:59:59.500Z",
        "recorded_release": "a1b2c3d",
        "calls_recorded": 3,
        "calls_replayed": 3,
        "timeline": (call(1, "same"), call(2, "changed", paths=("request.body.amount",)), call(3, "same")),
        "duration_s": 0.02,
        "rerun": f"pytest --fluxrun-dir=runs runs/{name}.fluxrun::replay",
    }
    return ReportedRun.model_validate(known | fields)


def report_of(*runs: ReportedRun, **session: Any) -> Report:
    """A report of these runs."""
    return Report(project="shop", session=session_of(collected=len(runs), **session), runs=runs)


def mixed_runs(number: int) -> list[ReportedRun]:
    """Runs of every verdict and several entries, each with seven calls in two lanes; most pass."""
    return [_mixed(index) for index in range(number)]


_CALLS = (
    ("sqlite3", "sql", False, "SELECT id, total, currency FROM orders WHERE id = ?", "1 row"),
    ("redis", "kv", False, "GET", "string of 36 characters"),
    ("httpx", "http", False, "GET https://rates.example", "200, 211 bytes"),
    ("httpx", "http", True, "POST https://pay.example", "201, 96 bytes"),
    ("sqlite3", "sql", True, "INSERT INTO payments (order_id, amount, state) VALUES (?, ?, ?)", "done, 1 row changed"),
    ("smtplib", "mail", True, "send", "done"),
    ("sqlite3", "sql", True, "COMMIT", "done"),
)
_ENTRIES = ("orders.create", "orders.refund", "invoices.monthly", "webhooks.stripe", "front")
_RARE = {
    3: ("regressed", "failed", "changed-effect", "changed-effect: call[4].request.body.amount"),
    5: ("reproduced", "failed", "reproduced", "outcome: 'no error and no 5xx' → raised shop.errors.CouponExpired"),
    8: ("reproduced", "xfailed", "reproduced", "response.status: 409 → 500"),
    11: ("beyond", "failed", "beyond", "redis SET"),
    14: ("diverged", "failed", "unrecorded", "httpx POST https://audit.example"),
    17: (
        "leaked",
        "failed",
        "leak",
        "socket.connect 10.0.0.7:9200 at shop/search.py:41 (the app itself: no boundary covers it)",
    ),
    19: ("unready", "error", "truncated", ""),
    23: ("locked", "skipped", "", ""),
    26: ("fixed", "passed", "fixed", ""),
}


def _mixed(index: int) -> ReportedRun:
    verdict, outcome, reason, first = _RARE.get(
        index % 29 if index < 58 else index % 290, ("match", "passed", "match", "")
    )
    entry = _ENTRIES[index % len(_ENTRIES)]
    failed = outcome == "failed"
    place = {"changed-effect": 3, "unrecorded": 7, "beyond": 7}.get(reason)
    timeline = [_lane_call(number, changed=failed and place == number - 1) for number in range(1, len(_CALLS) + 1)]
    if place == 7:
        timeline.append(call(None, "new", boundary="httpx", asked=first.partition(" ")[2], effect=True))
    unopened = verdict in ("unready", "locked")
    outcomes = {} if unopened else _outcomes(reason)
    fields: dict[str, Any] = {
        "entry": entry,
        "verdict": verdict,
        "outcome": outcome,
        "reason": reason,
        "first_divergence": first,
        "first_divergent_call": place if failed else None,
        "differences": run_of(1).differences if reason == "reproduced" else (),
        "drifts": [{"kind": "changed-effect", "call": 4, "text": "httpx POST https://pay.example", "failing": True,
                    "paths": ["call[4].request.body.amount"]}] if reason == "changed-effect" else (),
        "guard": {"path": f"runs/{entry}.guard.toml", "expect": "fix" if verdict == "reproduced" else "recorded",
                  "pending": outcome == "xfailed", "title": f"INC-{1400 + index}: a coupon gives a 500"}
        if index % 3 else None,
        "problem": "the bundle is cut off: it has 2319 bytes\n  next:    fetch it again with `fluxrun pull`"
        if verdict == "unready" else "",
        "timeline": () if unopened else timeline,
        "calls_recorded": 0 if unopened else len(_CALLS),
        "calls_replayed": 0 if unopened else len(_CALLS),
        "confirmation": {"how": "fork", "verdict": verdict, "same": True} if failed else None,
        **outcomes,
    }  # fmt: skip
    return run_of(index, **fields)


def _outcomes(reason: str) -> dict[str, Any]:
    good = {"text": "201, object of 4 keys", "failure": False, "status": 201}
    bad = {"text": "raised shop.errors.CouponExpired", "failure": True, "error": "shop.errors.CouponExpired"}
    recorded = bad if reason in ("reproduced", "fixed", "beyond") else good
    return {"recorded_outcome": recorded, "replayed_outcome": bad if reason == "reproduced" else good}


def _lane_call(number: int, *, changed: bool) -> ReportedCall:
    boundary, kind, effect, asked, answered = _CALLS[number - 1]
    lane = "fetch_rates#1" if number in (2, 3) else "/"
    at_ns = 2_400_000 * number
    return ReportedCall(
        number=number, lane=lane, boundary=boundary, kind=kind, effect=effect, status="changed" if changed else "same",
        drift="changed-effect" if changed else "", paths=(f"call[{number}].request.body.amount",) if changed else (),
        recorded=RecordedCall(asked=asked, answered=answered, started_ns=at_ns, ended_ns=at_ns + 1_300_000),
        replayed=ReplayedCall(position=number, lane=lane, asked=asked, source="run"),
    )  # fmt: skip
