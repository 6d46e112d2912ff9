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

__all__ = ["call", "report_of", "run_of", "session_of"]


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
