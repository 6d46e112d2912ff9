"""A freight desk on PostgreSQL, Redis, RabbitMQ and SMTP: a day of it replays with all of these out of reach."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pytest_fluxrun.run import Run
from pytest_fluxrun.testing.live_hits import LIVE_HITS
from pytest_fluxrun.values import decode
from tests.scenarios.freight_recording import record
from tests.scenarios.freight_services import PASSWORD, unreachable
from tests.scenarios.service import Door, Project, Suite

_BOUNDARIES = {"psycopg", "asyncpg", "redis", "kombu", "httpx", "smtplib", "aiosmtplib"}
REPLAY = ("-p", "no:hypothesispytest")
"""Options of each replay: Hypothesis, which pytest would rewrite in each process, isn't used."""
VARIABLES = {"OPENBLAS_NUM_THREADS": "1"}
"""pytest-randomly imports numpy, whose threads keep the app from starting a second time: here, as the worker did."""
_SECRETS = (
    PASSWORD,
    "never-checked-but-secret",
    "c3f1a9-cookie-signing-5b7d",
    "whsec_9d41c0a7-carriers",
    "whsec_acme_5Hn8bJt3VdKe6Mx",
    "carrier-development-key",
)


@pytest.fixture(scope="session")
def freight(
    once: Callable[[str, Callable[[Path], None]], Path], postgres_port: int, redis_port: int, rabbitmq_port: int
) -> Project:
    """The desk after its day: server and worker stopped, database dropped, a guard for each run."""
    return Project(once("freight", record))


@pytest.fixture(scope="session")
def runs(freight: Project) -> dict[str, Run]:
    return freight.open()


@pytest.fixture
def doors(freight: Project) -> Iterator[list[Door]]:
    """Listeners where PostgreSQL, Redis, RabbitMQ, mails and carriers were while the desk was recorded."""
    with ExitStack() as stack:
        yield [stack.enter_context(Door(port)) for port in json.loads((freight.root / "ports.json").read_text())]


def request_of(run: Run) -> str:
    if run.entry_kind != "asgi":
        return run.entry
    scope = decode(run.input)["scope"]
    return f"{scope.get('method', 'WS')} {scope['path']}"


def _status(run: Run) -> int | None:
    response = run.outcome.get("response")
    return response["status"] if response else None


def test_corpus_is_large_and_varied(runs: dict[str, Run]) -> None:
    """Each boundary, each sort of outcome, at least ten different failures, pages of many calls; none is unready."""
    statuses = Counter(map(_status, runs.values()))
    failures = {run.outcome["error"]["type"] for run in runs.values() if run.outcome["error"]}
    calls = [Counter(call.boundary for call in run.recording.interactions) for run in runs.values()]

    assert {(): len(runs)} == Counter(run.readiness.reasons for run in runs.values())
    assert len(runs) >= 200
    assert len({request_of(run) for run in runs.values()}) >= 80
    assert {101, 200, 201, 202, 204, 401, 403, 404, 409, 422, 429, 500} <= statuses.keys()
    assert statuses[500] >= 15
    assert len(failures) >= 10
    assert {name for used in calls for name in used} >= _BOUNDARIES
    assert max(used["psycopg"] for used in calls) > 100
    assert max(used["redis"] for used in calls) > 40
    assert {run.entry_kind for run in runs.values()} == {"asgi", "celery"}


def test_secrets_are_in_no_run(runs: dict[str, Run]) -> None:
    """Neither passwords nor keys, wherever they passed."""
    texts = {name: repr((run.input, run.outcome, run.recording, run.preamble)) for name, run in runs.items()}
    assert [] == [(name, secret) for name, text in texts.items() for secret in _SECRETS if secret in text]


def test_every_run_replays_with_everything_out_of_reach(
    freight: Project, runs: dict[str, Run], doors: list[Door], record_property: Callable[[str, object], None]
) -> None:
    """In one process and a random order: each comes to its own outcome, and nobody knocks where the servers were."""
    suite = freight.replay_with_everything(*REPLAY, "-p", "randomly", **VARIABLES, **unreachable())

    knocks = [door.knocks for door in doors]
    record_property(LIVE_HITS, sum(knocks))
    assert [0] * 5 == knocks
    assert {"match": len(runs)} == _red(suite, runs), suite.told
    assert 0 == suite.exit_code, suite.output


def _red(suite: Suite, runs: dict[str, Run]) -> dict[str, int]:
    """How many match; and each run that doesn't, with its first difference."""
    found = Counter[str]()
    for case in suite.cases:
        verdict = case.properties.get("fluxrun.verdict", case.result)
        run = next((run for run in runs.values() if run.id in case.name), None)
        request = "?" if run is None else request_of(run)
        difference = case.properties.get("fluxrun.first_divergence", case.text[:200])
        found[verdict if verdict == "match" else f"{request}: {verdict}: {difference}"] += 1
    return dict(found)
