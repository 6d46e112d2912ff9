"""What a replay showed, on its way from one process to another."""

from __future__ import annotations

import json

from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.naming import CallName
from pytest_fluxrun.replaying.finding import Played

CHARGE = CallName("httpx", "http", "POST https://pay.example")


def test_evidence_comes_through_json_as_it_was():
    """Drifts, calls and outcomes alike."""
    evidence = Evidence(
        recorded={"returned": [1, {"~": "tuple", "v": [2]}]},
        outcome=None,
        leaks=("socket.connect",),
        drifts=(Drift(DriftKind.CHANGED_EFFECT, 3, "httpx POST", ("call[3].request.body: 1 → 2",)),),
        crossings=(Played(2, "run", "/", CHARGE.operation, True, CHARGE, "POST"),),
    )

    assert evidence == Evidence.from_document(json.loads(json.dumps(evidence.to_document())))
