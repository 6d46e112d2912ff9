"""Threads that the import started and that go on for ever: in the preamble, at replay, in a second process's app."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from pytest_fluxrun.testing.live_hits import LIVE_HITS
from tests.scenarios.service import Door, Project, recording_server
from tests.scenarios.test_start_up import rates_server

_APP = '''\
"""Flags that a thread keeps fresh from the import on, and a heartbeat beside them."""

import contextlib
import os
import threading
import time

import pytest_fluxrun as fluxrun

fluxrun.init(project="flags")

import httpx
from fastapi import FastAPI

flags = {}
fresh = threading.Event()
polls = []


def poll():
    """Ask for the flags, every few milliseconds, for ever."""
    with httpx.Client() as client:
        while True:
            flags.update(client.get(os.environ["FLAGS"] + "/flags").json()["flags"])
            polls.append(time.time())
            fresh.set()
            time.sleep(0.005)


threading.Thread(target=poll, name="flags", daemon=True).start()


@contextlib.asynccontextmanager
async def lifespan(_):
    fresh.wait()
    async with httpx.AsyncClient() as client:
        flags["owner"] = (await client.get(os.environ["FLAGS"] + "/owner")).json()["owner"]
    yield


api = FastAPI(lifespan=lifespan)


@api.get("/flags")
async def show():
    return flags


@api.get("/polling")
def polling():
    before = len(polls)
    time.sleep(0.05)
    return {"alive": any(thread.name == "flags" for thread in threading.enumerate()), "before": before > 0}


@api.get("/health")
async def health():
    return "up"


app = fluxrun.instrument(api)
'''
_SETTINGS = """\
[tool.fluxrun]
project = "flags"
modules = ["flags_app"]
store = "runs"
"""


def record(root: Path) -> None:
    """Two processes that got other flags."""
    root.mkdir()
    project = Project(root)
    (root / "flags_app.py").write_text(_APP)
    (root / "pyproject.toml").write_text(_SETTINGS)
    project.fluxrun("init", "--yes")
    with rates_server() as server:
        (root / "port").write_text(str(server.server_port))
        for colour, owner in (("blue", "ann"), ("green", "ben")):
            server.answers = {"flags": {"colour": colour}, "owner": owner}
            url = f"http://127.0.0.1:{server.server_port}"
            with recording_server(project, "flags_app:app", FLAGS=url) as address:
                for path in ("/flags", "/polling", "/flags"):
                    assert httpx.get(address + path).status_code == 200
    for placed in project.placed():
        project.guard(placed)


@pytest.fixture(scope="session")
def recorded(once: Callable[[str, Callable[[Path], None]], Path]) -> Project:
    """The corpus of both processes."""
    return Project(once("flags", record))


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one-process", "two-workers"])
def test_a_thread_that_polls_for_ever_is_answered_and_disturbs_no_run(
    recorded: Project, options: tuple[str, ...], record_property: Callable[[str, object], None]
) -> None:
    """Its flags are those of its own process; nobody asks the server; how often it polled is no drift."""
    with Door(int((recorded.root / "port").read_text())) as door:
        suite = recorded.replay(*options, plugins=("xdist",))

    assert 0 == suite.exit_code, suite.output
    assert {"match": len(recorded.placed())} == suite.verdicts
    assert {""} == {case.properties.get("fluxrun.start_up", "") for case in suite.cases}
    record_property(LIVE_HITS, door.knocks)
    assert 0 == door.knocks


def test_the_polls_of_a_preamble_are_few(recorded: Project) -> None:
    """The first run ends it."""
    preambles = {run.process: run.preamble for run in recorded.open().values()}
    assert 2 == len(preambles)
    assert all(1 < len(preamble.interactions) <= 1001 for preamble in preambles.values() if preamble)
