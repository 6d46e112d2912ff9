"""Runs of processes that started differently, in one corpus; and a start-up that changed since it was recorded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.scenarios.service import Case, Project, node_ids, recording_server
from tests.serving import serving

_APP = '''\
"""Prices, by a rate that start-up fetches, and what only this process knows."""

import contextlib
import os
import time
import uuid

import pytest_fluxrun as fluxrun

fluxrun.init(project="rates")

import httpx
from fastapi import FastAPI

BOOT = uuid.uuid4().hex
STARTED = time.time()
REGION = httpx.get(os.environ["RATES"] + "/region").json()["region"]
rates = {}


@contextlib.asynccontextmanager
async def lifespan(_):
    async with httpx.AsyncClient() as client:
        rates["now"] = (await client.get(os.environ["RATES"] + "/rate")).json()["rate"]
        rates["fee"] = (await client.get(os.environ["RATES"] + "/fee")).json()["fee"]
    yield


api = FastAPI(lifespan=lifespan)


@api.get("/price/{amount}")
async def price(amount: int):
    return {"price": amount * rates["now"] + rates["fee"], "region": REGION}


@api.get("/boot")
async def boot():
    return {"boot": BOOT}


@api.get("/since")
async def since():
    return {"started": STARTED, "up": time.time() - STARTED}


@api.get("/limited")
async def limited():
    return {"left": 12 // max(0, 5 - rates["now"])}


@api.get("/health")
async def health():
    return "up"


app = fluxrun.instrument(api)
'''
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = {
    "/price/1": {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
    "/price/3": {"traceparent": f"00-{TRACE}-00f067aa0ba902b8-01", "x-request-id": "order-17.b"},
    "/price/4": {"authorization": "Bearer key-7f3a9c2e", "x-request-id": "key-7f3a9c2e"},
}
_SETTINGS = """\
[tool.fluxrun]
project = "rates"
modules = ["rates_app"]
store = "runs"
"""


_OPTIONAL = """\
    with contextlib.suppress(Exception):
        httpx.get(os.environ["RATES"] + "/holidays")
    async with httpx.AsyncClient() as client:
"""
_GUARDED = """\
    rates.update(now=1, fee=1)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(contextlib.suppress(Exception))
        client = await stack.enter_async_context(httpx.AsyncClient())
"""
_THREAD = """\
import threading

threading.Thread(target=threading.Event().wait, name="keeper", daemon=True).start()
"""


class Rates(ThreadingHTTPServer):
    """Gives its rate, region and fee; counts who asks."""

    answers: dict[str, object]
    hits: int


class _Handler(BaseHTTPRequestHandler):
    server: Rates

    def do_GET(self) -> None:
        self.server.hits += 1
        name = self.path.strip("/")
        body = json.dumps({name: self.server.answers[name]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def rates_server() -> Iterator[Rates]:
    """Serve on loopback for the block."""
    server = Rates(("127.0.0.1", 0), _Handler)
    server.hits = 0
    server.answers = {}
    with serving(server):
        yield server


def record(root: Path) -> None:
    """Two processes of the same release, started when the rate was another one."""
    root.mkdir()
    project = Project(root)
    (root / "rates_app.py").write_text(_APP)
    (root / "pyproject.toml").write_text(_SETTINGS)
    project.fluxrun("init", "--yes")
    with rates_server() as rates:
        for rate, region, paths in (
            (3, "north", ("/price/1", "/boot", "/since", "/limited", "/price/2")),
            (5, "south", ("/price/3", "/boot", "/since", "/limited", "/price/4")),
        ):
            rates.answers = {"rate": rate, "region": region, "fee": 1}
            url = f"http://127.0.0.1:{rates.server_port}"
            with recording_server(project, "rates_app:app", RATES=url) as address:
                for path in paths:
                    status = httpx.get(address + path, headers=HEADERS.get(path)).status_code
                    assert (500 if (path, rate) == ("/limited", 5) else 200) == status
    for placed in project.placed():
        project.guard(placed)


@pytest.fixture(scope="session")
def recorded(once: Callable[[str, Callable[[Path], None]], Path]) -> Project:
    """The corpus of both processes, the rates server stopped."""
    return Project(once("rates", record))


@pytest.fixture
def project(recorded: Project, tmp_path: Path) -> Project:
    """A copy to change."""
    return Project(Path(shutil.copytree(recorded.root, tmp_path / "rates")))


def port_of(project: Project) -> str:
    """The port of the rates server that was."""
    run = next(iter(project.open().values()))
    assert run.preamble is not None
    return str(run.preamble.interactions[0].request["url"]).split(":")[2].partition("/")[0]


def edit(project: Project, old: str, new: str) -> None:
    path = project.root / "rates_app.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def start_up(case: Case) -> str:
    return case.properties.get("fluxrun.start_up", "")


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one-process", "two-workers"])
@pytest.mark.parametrize("order", [1, -1], ids=["oldest-first", "newest-first"])
def test_each_run_is_replayed_on_the_start_up_of_its_own_process(
    recorded: Project, order: int, options: tuple[str, ...]
) -> None:
    """Two rates, two regions, two boot ids, two times of start: all match in one session, whichever comes first."""
    suite = recorded.replay(*node_ids(recorded.placed()[::order]), *options, plugins=("xdist",))

    assert suite.exit_code == 0, suite.output
    assert {"match": len(recorded.placed())} == suite.verdicts
    assert {""} == {start_up(case) for case in suite.cases}


def test_a_failure_that_start_up_decides_is_no_fix_on_the_app_of_another_process(project: Project) -> None:
    """With the rate of the process that came first the request succeeds; what failed in the other one still does."""
    (failed,) = [run for run in project.open().values() if run.outcome["error"] is not None]
    for guard in project.runs.glob(f"*{failed.id}.guard.toml"):
        guard.unlink()

    suite = project.replay()

    assert {"match": len(project.placed()) - 1, "reproduced": 1} == suite.verdicts
    (told,) = [case.text for case in suite.cases if case.properties["fluxrun.verdict"] == "reproduced"]
    assert "confirm: a forked process that had replayed nothing says the same" in told


def test_a_start_up_that_makes_fewer_and_reordered_calls_is_drift(project: Project) -> None:
    """The fee comes first now and the region isn't asked for: noted on every item and in the summary, failing none."""
    edit(project, 'REGION = httpx.get(os.environ["RATES"] + "/region").json()["region"]', "REGION = None")
    edit(project, '"region": REGION', '"region": "north" if rates["now"] == 3 else "south"')
    first = '        rates["now"] = (await client.get(os.environ["RATES"] + "/rate")).json()["rate"]\n'
    second = '        rates["fee"] = (await client.get(os.environ["RATES"] + "/fee")).json()["fee"]\n'
    edit(project, first + second, second + first)

    suite = project.replay()

    assert suite.exit_code == 0, suite.output
    assert {"match": len(project.placed())} == suite.verdicts
    (told,) = {start_up(case).replace(port_of(project), "PORT") for case in suite.cases}
    assert (
        "not made: httpx GET http://127.0.0.1:PORT/region; in another order: httpx GET http://127.0.0.1:PORT/rate"
        == told
    )
    assert "fluxrun: start-up differs from the recorded one: not made" in suite.output


def test_a_new_call_that_start_up_survives_is_drift(project: Project) -> None:
    """What start-up asks for and can do without is named; what comes after it in start-up is still answered."""
    edit(project, "    async with httpx.AsyncClient() as client:\n", _OPTIONAL)

    suite = project.replay()

    assert suite.exit_code == 0, suite.output
    assert {"match": len(project.placed())} == suite.verdicts
    assert {True} == {start_up(case).startswith("not recorded: httpx GET http://127.0.0.1:") for case in suite.cases}
    assert {True} == {start_up(case).endswith("/holidays") for case in suite.cases}


def test_a_start_up_that_survives_with_another_value_fails_the_runs_that_show_it(project: Project) -> None:
    """The fallback rate is no faithful answer: prices differ, and the item says what start-up lacked."""
    edit(project, 'os.environ["RATES"] + "/rate")).json()["rate"]', 'os.environ["RATES"] + "/v2/rate")).json()["rate"]')
    edit(project, "    async with httpx.AsyncClient() as client:\n", _GUARDED)

    suite = project.replay()

    prices = [case for case in suite.cases if case.properties["fluxrun.verdict"] != "match"]
    assert {"regressed": 6, "match": len(project.placed()) - 6} == suite.verdicts
    assert all("note:    start-up: not recorded: httpx GET" in case.text for case in prices), suite.output


def test_a_start_up_that_fails_for_a_new_call_is_unready(project: Project) -> None:
    """Every item is an error that names the call, those of the other process too."""
    edit(project, '"/fee"', '"/v2/fee"')

    suite = project.replay()

    assert {"unready": len(project.placed())} == suite.verdicts
    assert {"start-up-unrecorded"} == {case.properties["fluxrun.reason"] for case in suite.cases}
    assert {True} == {"/v2/fee" in case.text for case in suite.cases}


def test_an_app_that_cannot_be_started_twice_says_so(project: Project) -> None:
    """Where a thread keeps pytest from forking, runs of the other process are unready, not wrong; alone they match."""
    (project.root / "conftest.py").write_text(_THREAD)

    suite = project.replay()
    foreign = [case for case in suite.cases if case.properties["fluxrun.verdict"] == "unready"]
    alone = project.replay(*node_ids([placed for placed in project.placed() if placed.name in foreign[0].name][:1]))

    assert {"other-start-up"} == {case.properties["fluxrun.reason"] for case in foreign}
    assert {"match": len(project.placed()) - len(foreign), "unready": len(foreign)} == suite.verdicts
    assert {"keeper" in case.text and "by itself" in case.text for case in foreign} == {True}
    assert {"match": 1} == alone.verdicts


def test_the_runs_of_a_trace_are_found_by_its_id(recorded: Project) -> None:
    """From both processes, by the id in their indexes; one run alone has the request id."""
    traced, requested = (recorded.fluxrun("list", f"--trace={wanted}") for wanted in (TRACE[:10], "order-17.b"))

    assert ["/price/{amount}"] * 2 == [line.split()[5] for line in traced.splitlines()[1:3]]
    assert 1 == requested.count("/price/{amount}")


def test_an_id_that_is_a_secret_of_the_run_is_not_in_its_index(recorded: Project) -> None:
    """The client sent its key as request id, too: no byte of any bundle holds it."""
    stored = b"".join(path.read_bytes() for path in recorded.runs.iterdir())
    assert b"order-17.b" in stored
    assert b"key-7f3a9c2e" not in stored
