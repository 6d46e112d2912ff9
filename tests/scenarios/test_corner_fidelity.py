"""Plausible code that is hard to replay: each run of it matches, or it fails and names what redaction took from it."""

from __future__ import annotations

import pytest

from pytest_fluxrun.run import Run
from pytest_fluxrun.values import decode
from tests.scenarios.service import Project, Suite

UNFAITHFUL = {"POST /login": "response.status: 200 → 401"}
"""What a run computes from a secret that redaction replaced: a derived password, a signed cookie's content."""


@pytest.fixture(scope="module")
def replayed(corner: Project) -> Suite:
    """Every run, replayed once."""
    return corner.replay("-p", "no:randomly")


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


def test_runs_replay_to_their_outcome(runs: dict[str, Run], replayed: Suite) -> None:
    """Those that compute from a redacted secret are red and say what differs; all others match."""
    assert len(replayed.cases) == len(runs)
    red = {}
    for run in runs.values():
        case = next(case for case in replayed.cases if run.id in case.name)
        if case.properties["fluxrun.verdict"] != "match":
            red[_request(run)] = case.properties["fluxrun.first_divergence"]
    assert red == UNFAITHFUL, replayed.told
    assert replayed.exit_code == 1


def test_order_of_the_runs_does_not_matter(corner: Project) -> None:
    """In another order and with other hashes the same ones are red, no others."""
    suite = corner.replay("-p", "randomly", "-p", "no:cacheprovider", "-p", "xdist", "-n", "2", PYTHONHASHSEED="7")
    assert suite.verdicts["regressed"] == len(UNFAITHFUL), suite.told
    assert suite.verdicts["match"] == len(suite.cases) - len(UNFAITHFUL)
