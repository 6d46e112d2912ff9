"""Plausible code that is hard to replay: each run of it matches, also where it verifies what redaction took."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_fluxrun.run import Run
from pytest_fluxrun.testing.live_hits import LIVE_HITS
from pytest_fluxrun.values import decode
from tests.scenarios.service import Door, Project, Suite


@pytest.fixture(scope="module")
def replayed(corner: Project) -> tuple[Suite, int]:
    """Every run, replayed once, and how often somebody knocked where the server was."""
    with Door(int((corner.root / "upstream.url").read_text().rpartition(":")[2])) as door:
        suite = corner.replay_with_everything("-p", "no:randomly")
    return suite, door.knocks


@pytest.fixture(scope="module")
def runs(corner: Project) -> dict[str, Run]:
    return corner.open()


def _request(run: Run) -> str:
    scope = decode(run.input)["scope"]
    return f"{scope['method']} {scope['path']}"


def test_every_endpoint_was_recorded(runs: dict[str, Run]) -> None:
    """At least 40 different ones, alone and under load, and none is unready."""
    requests = {_request(run) for run in runs.values()}
    assert len(requests) >= 40
    assert {run.readiness.reasons for run in runs.values()} == {()}


def test_runs_replay_to_their_outcome(
    runs: dict[str, Run], replayed: tuple[Suite, int], record_property: Callable[[str, object], None]
) -> None:
    """Every one, the login with a derived password among them; nothing goes out."""
    suite, knocks = replayed
    record_property(LIVE_HITS, knocks)
    assert 0 == knocks
    assert len(suite.cases) == len(runs)
    red = {}
    for run in runs.values():
        case = next(case for case in suite.cases if run.id in case.name)
        if case.properties["fluxrun.verdict"] != "match":
            red[_request(run)] = case.properties["fluxrun.first_divergence"]
    assert red == {}, suite.told
    assert suite.exit_code == 0


def test_order_of_the_runs_does_not_matter(corner: Project) -> None:
    """In another order and with other hashes all match."""
    suite = corner.replay("-n", "2", plugins=("randomly", "xdist"), PYTHONHASHSEED="7")
    assert suite.verdicts == {"match": len(suite.cases)}, suite.told
