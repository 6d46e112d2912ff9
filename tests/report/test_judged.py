"""A judged replay as a report tells it: the calls side by side, what diverged first, and no value unasked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.errors import RunNotReady
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.judgement.verdict import judge
from pytest_fluxrun.naming import CallName
from pytest_fluxrun.replaying.finding import Played
from pytest_fluxrun.report.calls import answer_shape
from pytest_fluxrun.report.judged import judged_part, problem_of
from pytest_fluxrun.run import Interaction, LaneSpec, Recording, Run

SECRET = "correct-horse"


def _statement(sql: str, lane: int = 0, *, effect: bool = False) -> Interaction:
    request = {"sql": f"{sql} '{SECRET}'", "binds": [SECRET], "database": "shop", "many": False}
    answer = {"columns": ["a"], "rows": [[SECRET]]}
    return Interaction("sqlite3", "sql", 1, lane, 1_000, 2_000, request, answer, effect=effect)


RUN = Run(
    id="01jd3k" + "0" * 20,
    project="shop",
    entry="orders.create",
    entry_kind="function",
    input=None,
    outcome={"returned": SECRET, "error": None},
    recording=Recording(
        wall_ns=0,
        mono_ns=0,
        perf_ns=0,
        duration_ns=9_000,
        lanes=(LaneSpec((), ()), LaneSpec((("worker", 1),), (1,))),
        interactions=(_statement("SELECT 1"), _statement("INSERT 2", 1, effect=True), _statement("SELECT 3")),
    ),
)


def _played(index: int, source: str = "run", *, effect: bool = False) -> Played:
    text = f"shop: SELECT {index} [{SECRET!r}]"
    return Played(index, source, "/", text, effect, CallName("sqlite3", "sql", text), f"SELECT {index}")


def _evidence(*calls: Played, **fields: Any) -> Evidence:
    return Evidence(RUN.outcome, fields.pop("outcome", RUN.outcome), crossings=calls, **fields)


def _told(evidence: Evidence, *, values: bool = False) -> dict[str, Any]:
    part = judged_part(RUN, evidence, judge(evidence, None), values=values)
    assert values == (SECRET in json.dumps(part, default=lambda model: model.model_dump()))
    return part


def test_recorded_calls_stand_beside_those_of_the_replay():
    """In the recording's order; what only the replay made follows the call after which it was made."""
    part = _told(_evidence(_played(2), _played(2), _played(0, "preamble"), _played(0)))

    assert [(1, "same", 4), (2, "missing", None), (3, "same", 1), (None, "new", 2), (None, "new", 3)] == [
        (call.number, call.status, call.replayed and call.replayed.position) for call in part["timeline"]
    ]
    assert ["/", "worker#1", "/", "/", "/"] == [call.lane for call in part["timeline"]]
    assert ["run", "preamble"] == [call.replayed.source for call in part["timeline"][3:]]
    assert ("SELECT ? ?", "1 row") == (part["timeline"][0].recorded.asked, part["timeline"][0].recorded.answered)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"columns": ["id"], "rows": [["a"], ["b"]], "status": 2, "command": "SELECT 2", "count": 2}, "2 rows"),
        ({"columns": None, "rows": [], "status": 1, "command": "COMMIT", "count": None}, "done"),
        ({"columns": None, "rows": [], "status": 1, "command": "UPDATE 3", "count": 3}, "done, 3 rows changed"),
        ({"rowcount": 1, "rows": [], "columns": None}, "done, 1 row changed"),
        ({"status": 201, "headers": [], "chunks": [SECRET]}, f"201, {len(SECRET)} bytes"),
        (SECRET, f"string of {len(SECRET)} characters"),
    ],
    ids=["rows", "commit", "changed", "rowcount", "response", "text"],
)
def test_answer_is_told_by_its_shape(answer: Any, said: str):
    """Whichever boundary it is of; a status of libpq's is no response's."""
    interaction = replace(RUN.recording.interactions[0], answer=answer)

    assert said == answer_shape(interaction)
    assert SECRET not in answer_shape(interaction)


def test_new_call_bears_its_drift():
    """By what it asked."""
    beside = _played(7, "earlier")
    drift = Drift(DriftKind.COLD_READ, 0, f"sqlite3 {beside.text}")

    part = _told(_evidence(_played(0), beside, _played(1), _played(2), drifts=(drift,)))

    assert ["", "cold-read", "", ""] == [call.drift for call in part["timeline"]]
    assert [("cold-read", "sqlite3 SELECT 7", False)] == [
        (drift.kind, drift.text, drift.failing) for drift in part["drifts"]
    ]
    assert part["first_divergent_call"] is None


def test_changed_effect_is_where_it_diverges():
    """Its number, its place, and with values from what to what."""
    drift = Drift(
        DriftKind.CHANGED_EFFECT, 2, f"sqlite3 INSERT [{SECRET!r}]", (f"call[2].request.binds[0]: 1 → {SECRET!r}",)
    )
    evidence = _evidence(_played(0), _played(1, effect=True), _played(2), drifts=(drift,))

    hidden, shown = _told(evidence), _told(evidence, values=True)

    assert "changed-effect: call[2].request.binds[0]" == hidden["first_divergence"]
    assert f"changed-effect: call[2].request.binds[0]: 1 → {SECRET!r}" == shown["first_divergence"]
    assert [1, 1] == [part["first_divergent_call"] for part in (hidden, shown)]
    assert ("changed", ("call[2].request.binds[0]",)) == (hidden["timeline"][1].status, hidden["timeline"][1].paths)


_TWICE = {"returned": SECRET * 2, "error": None}
_RAISED = {"returned": None, "error": {"type": "shop:Gone", "message": SECRET}}
_OWN = "at shop.py:3 (the app itself: no boundary covers it)"
_SOCKET = "socket.connect 10.0.0.7:9200 at shop.py:3 (elastic: no boundary covers it)"
_LATE = "the replay gave no outcome in 4 s"


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (_evidence(outcome=_TWICE), "returned: string of 13 characters → string of 26 characters"),
        (_evidence(outcome=_RAISED), "returned: string of 13 characters → null"),
        (_evidence(outcome=None, deadline=_LATE), _LATE),
        (_evidence(_played(9, "miss"), outcome=None, unrecorded=SECRET, asked=SECRET), "sqlite3 SELECT 9"),
        (_evidence(leaks=(f"open /tmp/{SECRET} {_OWN}",)), f"open {_OWN}"),
        (_evidence(leaks=(_SOCKET,)), _SOCKET),
        (_evidence(leaks=(SECRET,)), "a live side effect"),
    ],
    ids=["returned", "raised", "deadline", "miss", "file", "address", "unknown"],
)
def test_first_divergence_is_told_without_values(evidence: Evidence, said: str):
    """Whatever it is."""
    assert said == _told(evidence)["first_divergence"]


def test_error_is_told_by_its_class():
    """Its message only with values."""
    error = {"type": "shop.errors:Expired", "message": SECRET}
    evidence = _evidence(_played(0), _played(1, effect=True), _played(2), outcome={"returned": SECRET, "error": error})

    part = _told(evidence)

    assert [("error", "absent", "shop.errors.Expired")] == [
        (each.path, each.expected.text, each.got.text) for each in part["differences"]
    ]
    assert ("raised shop.errors.Expired", True) == (part["replayed_outcome"].text, part["replayed_outcome"].failure)
    assert SECRET == _told(evidence, values=True)["replayed_outcome"].content


def test_problem_doesn_t_quote_the_app():
    """Why an app can't be started is its own error's message, which may hold anything."""
    error = RunNotReady(
        "the app can't be started: KeyError", reasons=("start-up-failed",), why=SECRET, next_step="make it start"
    )

    assert "the app can't be started: KeyError\n  next:    make it start" == problem_of(error, values=False)
    assert SECRET in problem_of(error, values=True)
