"""Hundreds of concurrent requests through every carrier of code: each run holds its own interactions, all and in lane.

`ATTRIBUTION_ROUNDS` chooses the rounds of 200 requests; the full proof is 20 of them, and takes some 40 s of CPU.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_fluxrun.run import Interaction, Run
from pytest_fluxrun.values import decode
from tests.scenarios.service import Project, node_ids

_HERE = Path(__file__).parent
_ROUNDS = int(os.environ.get("ATTRIBUTION_ROUNDS", "20"))
_CONCURRENT = 200
_REPLAYED = 30
_RECORDING_S = 600.0
_SETTINGS = '[tool.fluxrun]\nproject = "mixture"\nmodules = ["mixture_app"]\nstore = "runs"\n'
_LANES = {
    "own": r"",
    "task": r"by_tasks#1/acall#[123]",
    "group": r"by_task_group#1/acall#[12]",
    "executor": r"by_executor#1/call#[12]",
    "to_thread": r"by_to_thread#1/to_thread#[12]/call#1",
    "pool": r"by_pool#1/call#[12]",
    "applied": r"by_other_pool#1/call#1",
    "mapped": r"by_other_pool#1/call#2/item#[123]",
    "callback": r"by_other_pool#1/callback#1",
    "thread": r"by_threads#1/work#[12]",
    "timer": r"by_threads#1/work#3",
    "raw": r"by_threads#1/work#4",
    "background": r"by_background_loop#1/callback#[12]/acall#1",
    "soon": r"by_background_loop#1/<lambda>#1",
    "worker": r"by_workers#1/<lambda>#[123]",
    "consumer": r"by_consumer#1/acall#[12]",
    "anyio": r"by_anyio#1",
    "from_thread": r"by_anyio#1/callback#1/\w+#1",
    "context1": r"by_contexts#1",
    "context2": r"by_contexts#1",
    "context3": r"by_contexts#1",
    "beside": r"by_future#1/acall#1",
    "told": r"by_future#1/<lambda>#1",
    "later": r"by_future#1",
    "bridge": r"by_bridge#1",
    "back": r"by_bridge#1",
}
"""For each carrier, the lanes in which its calls are made."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """The recorded project, with the calls that the live server counted for each request."""

    project: Project
    counts: dict[str, int]


@pytest.fixture(scope="module")
def mixture(once: Callable[[str, Callable[[Path], None]], Path]) -> Mixture:
    """Every round, recorded in one process; the server is stopped."""
    project = Project(once(f"mixture-{_ROUNDS}", _record))
    return Mixture(project, json.loads((project.root / "counts.json").read_text()))


@pytest.fixture(scope="module")
def runs(mixture: Mixture) -> dict[str, Run]:
    """Each run by the request that it names."""
    return {_request_of(run): run for run in mixture.project.open().values()}


def _record(root: Path) -> None:
    root.mkdir()
    for name in ("mixture_app.py", "mixture_upstream.py", "mixture_traffic.py"):
        (root / name).write_text((_HERE / name).read_text())
    (root / "pyproject.toml").write_text(_SETTINGS)
    project = Project(root)
    project.fluxrun("init", "--yes")
    with _upstream(project) as url:
        settings = {"UPSTREAM": url, "FLUXRUN_SAMPLE": "1", "FLUXRUN_TOKEN": project.fluxrun("token").strip()}
        settings |= {"FLUXRUN_MAX_PENDING_RUNS": str(2 * _CONCURRENT), "PYTHONWARNINGS": "error"}
        settings["FLUXRUN_MAX_EARLIER_BYTES"] = "0"  # no cold process here, and four thousand runs to carry them
        traffic = [sys.executable, "mixture_traffic.py", str(_ROUNDS), str(_CONCURRENT)]
        done = subprocess.run(
            traffic, cwd=root, env=project.environment(**settings), capture_output=True, text=True,
            timeout=_RECORDING_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.strip() == str({"stored": _ROUNDS * _CONCURRENT})
        (root / "counts.json").write_text(httpx.get(f"{url}/counts").text)
        (root / "upstream.url").write_text(url)


@contextmanager
def _upstream(project: Project) -> Iterator[str]:
    """The live server, in a process of its own, for the block."""
    process = subprocess.Popen(
        [sys.executable, "mixture_upstream.py"], cwd=project.root, env=project.environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.communicate(timeout=20)


def _request_of(run: Run) -> str:
    return str(decode(run.input)["scope"]["path"]).strip("/")


def _named(interaction: Interaction) -> tuple[str, str]:
    """The request and the carrier that a call names."""
    form = decode(interaction.request)
    if interaction.kind == "http":
        request, carrier = form["url"].rsplit("/", 2)[1:]
    elif interaction.kind == "host":
        request, carrier = form["args"]
    else:
        request, carrier = form["database"].removeprefix(":memory:").split("-")
    return request, carrier


def _answers(run: Run) -> Iterator[Any]:
    """What the calls of a run were answered, each of its kind."""
    for interaction in run.recording.interactions:
        answer = interaction.answer
        if interaction.kind == "http":
            yield json.loads("".join(decode(answer["chunks"])))["number"]
        elif interaction.kind == "host":
            yield answer["value"]
        elif decode(interaction.request)["sql"] != "CONNECT":
            yield decode(answer["rows"])[0][0]


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each)
    else:
        yield value


def _lane(run: Run, interaction: Interaction) -> str:
    path = run.recording.lanes[interaction.lane].path
    return "/".join(f"{name.rsplit('.', 1)[-1]}#{ordinal}" for name, ordinal in path)


def test_every_request_is_a_run(runs: dict[str, Run]) -> None:
    """None was dropped, none is unready, and no call of the process reached no run."""
    assert {f"r{number}x{index}" for number in range(_ROUNDS) for index in range(_CONCURRENT)} == set(runs)
    assert {()} == {run.readiness.reasons for run in runs.values()}
    assert {()} == {run.orphans for run in runs.values()}


def test_no_interaction_is_in_another_run(runs: dict[str, Run]) -> None:
    """Every call names its request; some thousands went to the live server."""
    misattributed = [
        (request, named)
        for request, run in runs.items()
        for named in map(_named, run.recording.interactions)
        if named[0] != request
    ]

    assert [] == misattributed
    assert len(runs) < sum(
        interaction.kind == "http" for run in runs.values() for interaction in run.recording.interactions
    )


def test_no_interaction_is_lost(mixture: Mixture, runs: dict[str, Run]) -> None:
    """What each request answered with is what its recorded calls got, one for one; the live server counted as many."""
    lost = {
        request
        for request, run in runs.items()
        if Counter(_leaves(json.loads(run.outcome["response"]["body"]))) != Counter(_answers(run))  # type: ignore[index,call-overload]
    }
    recorded = {
        request: sum(interaction.kind == "http" for interaction in run.recording.interactions)
        for request, run in runs.items()
    }

    assert set() == lost
    assert mixture.counts == {request: count for request, count in recorded.items() if count}


def test_every_call_is_in_its_lane(runs: dict[str, Run]) -> None:
    """The lane's path tells the carrier, all of which were used."""
    strays = set()
    used = set()
    for run in runs.values():
        for interaction in run.recording.interactions:
            carrier = _named(interaction)[1]
            used.add(carrier)
            lane = _lane(run, interaction)
            if not re.fullmatch(_LANES[carrier], lane):
                strays.add((carrier, lane))

    assert set() == strays
    assert set(_LANES) == used


def test_same_request_has_the_same_lanes_again(runs: dict[str, Run]) -> None:
    """Whatever ran beside it."""
    lanes = defaultdict(set)
    for request, run in runs.items():
        calls = sorted((_lane(run, interaction), _named(interaction)[1]) for interaction in run.recording.interactions)
        lanes[request.partition("x")[2]].add(tuple(calls))

    assert _CONCURRENT == len(lanes)
    assert [] == [seed for seed, different in lanes.items() if len(different) != 1]


def test_runs_replay_with_the_server_stopped(mixture: Mixture) -> None:
    """A sample that uses every carrier matches, one after the other in one process."""
    placed = mixture.project.placed()
    sample = placed[:: len(placed) // _REPLAYED]
    suite = mixture.project.replay(*node_ids(sample), UPSTREAM=(mixture.project.root / "upstream.url").read_text())

    assert suite.exit_code == 0, suite.told
    assert {"match": len(sample)} == suite.verdicts
