"""A clinic's back office in Django, on PostgreSQL, Redis, RabbitMQ and SMTP: recorded in full, replayed without any.

The corpus is of a web server with threads and of a worker: see `clinic_traffic` for the requests, `clinic_fixes` for
the bugs that some of them meet.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pytest_fluxrun.judgement.corpus import Placed
from pytest_fluxrun.run import Run
from pytest_fluxrun.testing.live_hits import LIVE_HITS
from pytest_fluxrun.values import decode
from tests.scenarios.clinic_fixes import BUGS, Bug, apply
from tests.scenarios.clinic_recording import development, record_clinic
from tests.scenarios.clinic_traffic import KEY, PASSWORD, SECRET
from tests.scenarios.developing import Developer, name_environment, suggested
from tests.scenarios.service import Case, Door, Project, Suite, free_port, node_ids

_LEAST_REQUESTS = 250
_LEAST_TASKS = 40
_LEAST_BUGS = 10
_KINDS = {"sql": 2_000, "kv": 1_000, "http": 25, "mail": 25, "message": 20}


@pytest.fixture(scope="session")
def clinic(
    once: Callable[[str, Callable[[Path], None]], Path], postgres_port: int, redis_port: int, rabbitmq_port: int
) -> Project:
    """The clinic after its traffic, its database dropped, its servers stopped; a guard for each run."""

    def record(root: Path) -> None:
        record_clinic(root, postgres=postgres_port, redis=redis_port, rabbitmq=rabbitmq_port)
        project = Project(root)
        for placed in project.placed():
            project.guard(placed)

    return Project(once("clinic", record))


@pytest.fixture(scope="module")
def runs(clinic: Project) -> dict[str, Run]:
    """Every run, by name."""
    return clinic.open()


def _environment(project: Project) -> dict[str, Any]:
    environment: dict[str, Any] = json.loads((project.root / "addresses.json").read_text())
    return environment


def _nowhere(project: Project) -> dict[str, str]:
    """The clinic's environment with addresses at which nobody listens, other ones than were recorded."""
    ports = [free_port() for _ in range(4)]
    return {
        **_environment(project)["variables"],
        "CLINIC_DB_PORT": str(ports[0]),
        "CLINIC_REDIS_URL": f"redis://127.0.0.1:{ports[1]}/9",
        "CLINIC_AMQP_URL": f"amqp://guest:guest@127.0.0.1:{ports[2]}//",
        "CLINIC_SMTP_PORT": str(ports[3]),
        "OPENBLAS_NUM_THREADS": "1",  # pytest-randomly imports numpy, whose threads are in the way of a fork
    }


def _recorded_ports(project: Project) -> Iterator[int]:
    """Where the proxies of the servers, and the upstream, listened."""
    recorded = _environment(project)
    variables = recorded["variables"]
    yield from (int(variables[name]) for name in ("CLINIC_DB_PORT", "CLINIC_SMTP_PORT"))
    yield int(variables["CLINIC_REDIS_URL"].rpartition(":")[2].partition("/")[0])
    yield int(variables["CLINIC_AMQP_URL"].rpartition(":")[2].partition("/")[0])
    yield int(recorded["upstream"].rpartition(":")[2])


def _asked(run: Run) -> str:
    """`GET /api/me` or a task's name."""
    document = decode(run.input)
    environ = document.get("environ")
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}" if environ else str(document["task"])


def _of_bug(run: Run, bug: Bug) -> bool:
    method, _, path = bug.request.rpartition(" ")
    asked = _asked(run)
    if not (asked.startswith(method) and (asked.endswith(path) or (path.endswith("/") and path in asked))):
        return False
    error, response = run.outcome["error"], run.outcome.get("response")
    if bug.status and response["status"] != bug.status:
        return False
    return (error["type"].partition(":")[2] if error else "") == bug.error


def test_corpus_holds_a_busy_week(clinic: Project, runs: dict[str, Run]) -> None:
    """Every kind of interaction, pages with hundreds of statements, and no run that isn't ready."""
    counts = Counter(run.entry_kind for run in runs.values())
    kinds = Counter(one.kind for run in runs.values() for one in run.recording.interactions)
    per_run = [Counter(one.kind for one in run.recording.interactions) for run in runs.values()]

    assert {run.readiness.reasons for run in runs.values()} == {()}
    assert (counts["django"] >= _LEAST_REQUESTS, counts["celery"] >= _LEAST_TASKS) == (True, True), counts
    assert {kind: kinds[kind] for kind, least in _KINDS.items() if kinds[kind] < least} == {}
    assert max(each["sql"] for each in per_run) > 100
    assert max(each["kv"] for each in per_run) > 40


def test_each_bug_was_met(runs: dict[str, Run]) -> None:
    """At least ten, each in exactly one run."""
    met = {bug.name: sum(_of_bug(run, bug) for run in runs.values()) for bug in BUGS}
    assert len(met) >= _LEAST_BUGS
    assert dict.fromkeys(met, 1) == met


def test_no_stored_byte_holds_a_secret(clinic: Project, runs: dict[str, Run]) -> None:
    """Neither the bundles nor, opened, the runs: of a password, of keys, of what signs."""
    stored = b"".join(path.read_bytes() for path in clinic.runs.iterdir())
    opened = b"".join(run.to_payload() for run in runs.values())
    for secret in (PASSWORD, KEY, SECRET):
        assert (False, False) == (secret.encode() in stored, secret.encode() in opened), secret


def test_every_run_matches_in_random_order_and_nothing_goes_out(
    clinic: Project, runs: dict[str, Run], record_property: Callable[[str, object], None]
) -> None:
    """In one process, with no server anywhere: nobody knocks where they were, the failures fail as they did."""
    with ExitStack() as stack:
        doors = [stack.enter_context(Door(port)) for port in _recorded_ports(clinic)]
        suite = clinic.replay_with_everything("-p", "randomly", **_nowhere(clinic))
    knocks = sum(door.knocks for door in doors)
    record_property(LIVE_HITS, knocks)

    assert {"match": len(runs)} == suite.verdicts, f"{_seed(suite)}\n{suite.told}"
    assert (0, 0) == (suite.exit_code, knocks), suite.output


def _seed(suite: Suite) -> str:
    return next((line for line in suite.output.splitlines() if "random seed" in line or "randomly-seed" in line), "")


@dataclass(slots=True)
class Story:
    """What happened to each bug's guard: before the fix, with the fix alone, and once its messages were followed."""

    red: dict[str, Case]
    alone: dict[str, Case] = field(default_factory=dict)
    helped: dict[str, Case] = field(default_factory=dict)
    told: dict[str, list[str]] = field(default_factory=dict)
    knocks: int = 0


@pytest.fixture(scope="module")
def story(
    clinic: Project,
    runs: dict[str, Run],
    tmp_path_factory: pytest.TempPathFactory,
    postgres_port: int,
    redis_port: int,
) -> Story:
    """A copy of the clinic with the runs that meet its bugs; all of them are mended at once."""
    project = Project(Path(shutil.copytree(clinic.root, tmp_path_factory.mktemp("mended") / "clinic")))
    by_name = {placed.name: placed for placed in project.placed()}
    chosen: dict[str, Placed] = {}
    for bug in BUGS:
        (chosen[bug.name],) = [by_name[name] for name, run in runs.items() if _of_bug(run, bug)]
        project.guard(chosen[bug.name], expect="fix", fix=bug.fixed)
    story = Story(_said(project, chosen))
    apply(project.root)
    story.alone = _said(project, chosen)
    name_environment(project, _environment(project)["upstream"])
    variables = _nowhere(project) | {"FLUXRUN_TOKEN": project.fluxrun("token").strip()}
    with development(project, postgres=postgres_port, redis=redis_port) as there, ThreadPoolExecutor(2) as pool:

        def help_out(bug: Bug) -> list[str]:
            stock = functools.partial(_execute, there["DEV_POSTGRES"], bug.stock) if bug.stock else None
            developer = Developer(project, variables | there, bug.replies, stock)
            developer.follow(chosen[bug.name], story.alone[bug.name].text)
            return developer.told

        needy = [bug for bug in BUGS if story.alone[bug.name].result != "passed"]
        story.told = dict(zip([bug.name for bug in needy], pool.map(help_out, needy), strict=True))
    with ExitStack() as stack:
        doors = [stack.enter_context(Door(port)) for port in _recorded_ports(clinic)]
        story.helped = _said(project, chosen)
    story.knocks = sum(door.knocks for door in doors)
    return story


def _execute(address: str, statement: str) -> None:
    with psycopg.connect(address) as connection:
        connection.execute(statement.encode())


def _said(project: Project, chosen: dict[str, Placed]) -> dict[str, Case]:
    suite = project.replay(*node_ids([*chosen.values()]), "--fluxrun-no-confirm", **_nowhere(project))
    return {name: case for name, placed in chosen.items() for case in suite.cases if placed.run_id in case.name}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_bug_is_red_until_it_is_mended(bug: Bug, story: Story) -> None:
    """The recorded failure again."""
    case = story.red[bug.name]
    assert ("failed", "reproduced") == (case.result, case.properties["fluxrun.verdict"]), case.text


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_fix_leaves_the_failure_behind(bug: Bug, story: Story) -> None:
    """One that asks for nothing new is green; another one names what the recording lacks, and what helps."""
    case = story.alone[bug.name]
    assert bug.verdict == case.properties["fluxrun.verdict"], case.text
    assert ("asked:" in case.text) == bool(bug.asks)
    assert bool(suggested(case.text)) == (bug.verdict != "fixed"), case.text


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_fix_is_green_once_its_messages_were_followed(bug: Bug, story: Story) -> None:
    """Offline, with the outcome that the developer states: every command that was run stood in a message."""
    case = story.helped[bug.name]
    told = "\n".join(story.told.get(bug.name, ()))
    assert ("passed", "fixed") == (case.result, case.properties["fluxrun.verdict"]), f"{told}\n{case.text}"


def test_nothing_goes_out_once_a_guard_has_its_help(
    story: Story, record_property: Callable[[str, object], None]
) -> None:
    """The development environment is gone too."""
    record_property(LIVE_HITS, story.knocks)
    assert 0 == story.knocks
