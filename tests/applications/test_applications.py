"""Applications that others wrote, installed from PyPI: each request recorded under a real server, replayed offline.

Run by `./dev applications`, in an environment of its own. docs/explanation/fidelity.md holds what it shows.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from conftest import require_server
from pytest_fluxrun.run import Run
from pytest_fluxrun.values import decode
from tests.scenarios.service import Case, Project, load, recording_server

HERE = Path(__file__).parent
SETTINGS = """\
[tool.fluxrun]
project = "{name}"
modules = ["served"]
store = "runs"
"""


VARIABLES = {
    "PYTHONHASHSEED": "0",
    "OPENBLAS_NUM_THREADS": "1",  # numpy's pool of threads, which a fork would lose
    "FLUXRUN_MAX_EARLIER_BYTES": str(256 * 1024),
}


@dataclass(frozen=True)
class Application:
    """One application.

    Args:
        services: servers of this machine that it needs to be recorded, by name and port.
        settings: further lines of [tool.fluxrun].
        isolated: replayed each in a process of its own; where import starts threads, a fork would lose them.
        server: the command that serves `served:application`, after `python -m`; `{port}` is filled in.
    """

    name: str
    server: tuple[str, ...]
    isolated: bool = True
    services: tuple[tuple[str, int], ...] = ()
    settings: str = ""


APPLICATIONS = (
    Application("datasette", ("uvicorn", "served:application", "--port", "{port}", "--log-level", "warning")),
    Application(
        "ihatemoney",
        ("gunicorn", "served:application", "--bind", "127.0.0.1:{port}", "--threads", "4"),
        isolated=False,
    ),
    Application("wagtail", ("gunicorn", "served:application", "--bind", "127.0.0.1:{port}", "--threads", "4")),
    Application(
        "kinto",
        ("gunicorn", "served:application", "--bind", "127.0.0.1:{port}", "--threads", "4"),
        services=(("PostgreSQL", 5432), ("Redis", 6379)),
        settings='allow = ["_token"]\n',  # where a page of a list begins: no secret
    ),
    Application(
        "piccolo",
        ("uvicorn", "served:application", "--port", "{port}", "--log-level", "warning"),
        services=(("PostgreSQL", 5432),),
    ),
)


@dataclass(frozen=True)
class Recorded:
    """A project whose application has served its traffic.

    Args:
        sent: the number of requests.
    """

    application: Application
    project: Project
    sent: int


@pytest.fixture(scope="module", params=APPLICATIONS, ids=lambda application: application.name)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """An application, recorded under its server."""
    application: Application = request.param
    for name, port in application.services:
        require_server(name, port)
    root = tmp_path_factory.mktemp("applications") / application.name
    shutil.copytree(HERE / application.name, root, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "pyproject.toml").write_text(SETTINGS.format(name=application.name) + application.settings)
    project = Project(root)
    project.fluxrun("init", "--yes")
    traffic = load(root / "traffic.py")
    variables = {**VARIABLES, **getattr(traffic, "VARIABLES", {})}
    if hasattr(traffic, "prepare"):
        traffic.prepare(root)
    sent = 0

    def count(response: httpx.Response) -> None:
        nonlocal sent
        sent += 1
        response.read()

    with (
        recording_server(project, "served:application", command=application.server, **variables) as url,
        httpx.Client(base_url=url, event_hooks={"response": [count]}, timeout=30) as client,
    ):
        traffic.drive(client)
    for placed in project.placed():
        project.guard(placed)
    return Recorded(application, project, sent)


def test_every_request_was_recorded(recorded: Recorded) -> None:
    """At least 50, one run each beside the probes of the harness, and each run that isn't ready says why."""
    runs = recorded.project.open()

    assert recorded.sent >= 50
    assert len(runs) >= recorded.sent
    assert all(run.readiness.reasons for run in runs.values() if run.readiness.state != "recorded")


def test_every_recorded_run_replays(recorded: Recorded) -> None:
    """Offline and unmodified, each run that says `recorded` replays to its own outcome."""
    runs = recorded.project.open().values()
    ready = {run.id: _request(run) for run in runs if run.readiness.state == "recorded"}
    options = ["--fluxrun-isolate"] if recorded.application.isolated else []

    suite = recorded.project.replay(*options, "-p", "no:randomly", **VARIABLES)

    verdicts = {_run_of(case, ready): case for case in suite.cases}
    red = {run: case for run, case in verdicts.items() if case.properties.get("fluxrun.verdict") != "match"}
    wrong = [f"{ready[run]} {run}\n{red[run].text}" for run in ready.keys() & red]
    print(f"{recorded.application.name}: {len(ready)} of {len(runs)} runs recorded, {len(ready.keys() & red)} red")
    assert ready.keys() <= verdicts.keys()
    assert not wrong, f"{len(wrong)} of {len(ready)}\n\n" + "\n\n".join(wrong[:8])


def _request(run: Run) -> str:
    scope = decode(run.input)["scope"]
    return f"{scope['method']} {scope['path']}"


def _run_of(case: Case, runs: Iterable[str]) -> str:
    return next((run for run in runs if run in case.name), "")
