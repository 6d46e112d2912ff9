"""What a server on gevent records replays in plain pytest; a module that patches while it is imported is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_fluxrun.values import decode
from tests.scenarios.service import Project

_HERE = Path(__file__).parent
_SETTINGS = '[tool.fluxrun]\nproject = "fleet"\nmodules = ["fleet"]\nstore = "runs"\n'
_SERVICE = '''\
"""Asks for many things at once, in every way that gevent has."""

import os
import threading
import time

import gevent
import gevent.pool
import httpx

import pytest_fluxrun as fluxrun

fluxrun.init(project="fleet")


def ask(client, what):
    """Like calls get answers of their own."""
    time.sleep(0.001)
    return client.post(f"{os.environ['UPSTREAM']}/fleet/{what}").json()["number"]


@fluxrun.capture("fleet")
def fleet(count):
    """Return what each way got."""
    with httpx.Client(trust_env=False) as client:
        found = {"pool": gevent.pool.Pool(3).map(lambda _: ask(client, "pool"), range(count))}
        greenlets = [gevent.spawn(ask, client, "spawn") for _ in range(count)]
        threads = [threading.Thread(target=lambda: found.setdefault("threads", []).append(ask(client, "thread")))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gevent.joinall(greenlets)
        return found | {"spawned": [greenlet.value for greenlet in greenlets], "own": ask(client, "own")}
'''
_RECORD = """
from gevent import monkey; monkey.patch_all()
import gevent, fleet
runs = [gevent.spawn(fleet.fleet, count) for count in (3, 4, 5)]
gevent.joinall(runs, raise_error=True)
print(fleet.fluxrun.flush(20))
"""


@pytest.fixture(scope="module")
def recorded(once: Callable[[str, Callable[[Path], None]], Path]) -> Project:
    """Three runs beside each other under gevent; the server is stopped."""
    return Project(once("fleet", _record))


def _record(root: Path) -> None:
    root.mkdir()
    (root / "fleet.py").write_text(_SERVICE)
    (root / "pyproject.toml").write_text(_SETTINGS)
    project = Project(root)
    project.fluxrun("init", "--yes")
    upstream = subprocess.Popen(
        [sys.executable, str(_HERE / "mixture_upstream.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert upstream.stdout is not None
    try:
        url = f"http://127.0.0.1:{int(upstream.stdout.readline())}"
        token = project.fluxrun("token").strip()
        done = project.python("-c", _RECORD, UPSTREAM=url, FLUXRUN_TOKEN=token, FLUXRUN_SAMPLE="1")
        assert done.stdout.strip().endswith("True"), done.stdout
    finally:
        upstream.communicate(timeout=20)
    (root / "upstream.url").write_text(url)


def _upstream(project: Project) -> dict[str, str]:
    return {"UPSTREAM": (project.root / "upstream.url").read_text()}


def test_each_run_holds_its_own_calls_in_lanes(recorded: Project) -> None:
    """Greenlets and patched threads; none of the calls was lost."""
    for run in recorded.open().values():
        count = decode(run.input)["args"][0]
        lanes = [run.recording.lanes[interaction.lane].path for interaction in run.recording.interactions]
        assert 2 * count + 2 == len(lanes)
        assert 2 * count + 2 == len(set(lanes))
        assert () == run.orphans


def test_runs_replay_without_gevents_patches(recorded: Project) -> None:
    """Greenlets are unpatched ones there, threads real ones."""
    suite = recorded.replay(**_upstream(recorded))

    assert {"match": 3} == suite.verdicts, suite.output


def test_module_that_patches_when_it_is_imported_is_refused(recorded: Project, copied: Callable) -> None:
    """Not replayed in real time, and not red as if the code were wrong: unready, by name, with what to do."""
    project = copied(recorded)
    service = project.root / "fleet.py"
    service.write_text(f"from gevent import monkey; monkey.patch_all()\n{service.read_text()}")

    suite = project.replay(**_upstream(project))

    assert {"unready": 3} == suite.verdicts, suite.output
    assert {"error"} == {case.result for case in suite.cases}
    assert "gevent has patched time, threading, socket" in suite.cases[0].text
    assert "do that where the server starts (gunicorn's gevent worker does)" in suite.cases[0].text
