"""Libraries that no boundary covers: a run that calls one is unready by name, and a replay refuses the call by name."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from importlib import import_module

import niquests
import pytest
import tornado.httpclient

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import tornado as tornado_client
from pytest_fluxrun.boundaries import twisted as twisted_client
from pytest_fluxrun.boundaries import urllib3_future_async
from pytest_fluxrun.boundary import Uncovered
from pytest_fluxrun.cli.reasons import explain
from pytest_fluxrun.config import Settings
from pytest_fluxrun.context import entered
from pytest_fluxrun.entry import Ending
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.recording.dumping import dump_run
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from tests.boundaries.http_behaviours import BEHAVIOURS


def over_tornado(url: str) -> int:
    """A call of the simple client."""

    async def fetch() -> int:
        client = tornado.httpclient.AsyncHTTPClient(force_instance=True)
        try:
            return (await client.fetch(url)).code
        finally:
            client.close()

    return asyncio.run(fetch())


def over_niquests_async(url: str) -> int | None:
    """A call of the async session."""

    async def get() -> int | None:
        async with niquests.AsyncSession() as session:
            return (await session.get(url)).status_code

    return asyncio.run(get())


LIVE: list[tuple[Uncovered, Callable[[str], int | None]]] = [
    (tornado_client.boundary, over_tornado),
    (urllib3_future_async.boundary, over_niquests_async),
]


@pytest.fixture(autouse=True)
def _seams() -> Iterator[None]:
    """The seams of the libraries, alone."""
    others = patching.installed_patches()
    patching.restore_all()
    uncovered = (tornado_client, twisted_client, urllib3_future_async)
    for seams in (module.boundary for module in uncovered):
        for name in seams.modules:
            with contextlib.suppress(ModuleNotFoundError):  # urllib3-future is also found under urllib3's name, or not
                patching.install(seams.patches(import_module(name)))
    yield
    patching.restore_all()
    patching.install(others)


@pytest.mark.parametrize(("library", "call"), LIVE, ids=lambda value: getattr(value, "name", ""))
def test_recording_makes_the_call_and_notes_the_library(library, call, http_outside):
    """The app gets its answer; the run knows why it can't be replayed."""
    recorder = MemoryRecorder()

    with recorder.open():
        status = call(f"{http_outside.url}/json")

    assert 200 == status
    assert {library.name} == set(recorder.refused)


REFUSED = [
    pytest.param(
        library,
        call,
        marks=[pytest.mark.compatibility(subject, distribution, behaviour) for behaviour in BEHAVIOURS],
        id=subject,
    )
    for (library, call), subject, distribution in zip(
        LIVE, ("tornado", "niquests (async)"), ("tornado", "niquests"), strict=True
    )
]
"""Every behaviour goes through the one method that is refused."""
TREQ = [pytest.mark.compatibility("treq", "treq", behaviour) for behaviour in BEHAVIOURS]


@pytest.mark.parametrize(("library", "call"), REFUSED)
def test_replay_refuses_the_call_by_name(library, call, http_outside):
    """Nothing reaches the server, and the error says which library it was."""
    replayer = MemoryReplayer([])

    with replayer.open(), pytest.raises(UnrecordedCall) as caught:
        call(f"{http_outside.url}/json")

    assert library.name in caught.value.what
    assert 0 == http_outside.calls()
    assert caught.value is replayer.unrecorded


@pytest.mark.parametrize("_", [pytest.param(0, marks=TREQ, id="treq")])
def test_twisted_agent_is_refused_before_it_connects(_, http_outside):
    """Treq's calls go through the same step."""
    from twisted.internet.testing import MemoryReactorClock
    from twisted.web.client import Agent

    reactor = MemoryReactorClock()
    replayer = MemoryReplayer([])

    with replayer.open(), pytest.raises(UnrecordedCall) as caught:
        Agent(reactor).request(b"GET", f"{http_outside.url}/json".encode())

    assert "twisted.web.client" in caught.value.what
    assert [] == reactor.tcpClients


@pytest.mark.parametrize(("library", "call"), LIVE, ids=lambda value: getattr(value, "name", ""))
def test_outside_a_run_the_library_works(library, call, http_outside):
    """Seams refuse nothing where nothing is recorded or replayed."""
    del library

    assert 200 == call(f"{http_outside.url}/json")


def test_recorded_run_is_unready_by_the_library_s_name():
    """The reason names the library, and `fluxrun why` can explain it."""
    endings: list[Ending] = []
    recorder = Recorder("job", "function", lambda _, ending: endings.append(ending))
    with entered(recorder.lane):
        recorder.uncovered(tornado_client.boundary)
    recorder.finish(Ending(dump=lambda: ({}, {})))

    run = dump_run(recorder, endings[0], None, Settings(project="shop"), "01jd3k0000000000000000000a")

    assert ("uncovered-library:tornado.httpclient",) == run.readiness.reasons
    assert "call through tornado.httpclient, which no boundary covers" in explain(run.readiness.reasons[0])
