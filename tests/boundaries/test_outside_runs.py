"""With recording on, calls that no run sees reach the outside as ever: nothing of FluxRun may stand in their way."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sqlite3
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import httplib2
import httpx
import niquests
import pycurl
import pytest
import requests
import urllib3

from pytest_fluxrun import telemetry
from pytest_fluxrun.boundary import Session
from pytest_fluxrun.context import entered, set_outside
from pytest_fluxrun.recording.orphans import Orphans
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.replaying.replayer import Replayer
from pytest_fluxrun.testing.entry import every_seam
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer


def over_aiohttp(url: str) -> bytes:
    async def get() -> bytes:
        async with aiohttp.ClientSession() as client, client.get(url) as response:
            return await response.read()

    return asyncio.run(get())


def over_async_httpx(url: str) -> bytes:
    async def get() -> bytes:
        async with httpx.AsyncClient() as client:
            return (await client.get(url)).content

    return asyncio.run(get())


def over_pycurl(url: str) -> bytes:
    handle, body = pycurl.Curl(), io.BytesIO()
    handle.setopt(pycurl.URL, url)
    handle.setopt(pycurl.WRITEDATA, body)
    handle.perform()
    handle.close()
    return body.getvalue()


def over_urllib(url: str) -> bytes:
    with urllib.request.urlopen(url) as response:
        found: bytes = response.read()
        return found


def over_httplib2(url: str) -> Any:
    with contextlib.closing(httplib2.Http()) as http:
        return http.request(url)[1]


def over_niquests(url: str) -> Any:
    with niquests.Session() as session:
        return session.get(url).content


def over_urllib3(url: str) -> Any:
    with urllib3.PoolManager() as pool:
        return pool.request("GET", url).data


CLIENTS: dict[str, Callable[[str], Any]] = {
    "aiohttp": over_aiohttp,
    "httplib2": over_httplib2,
    "httpx": lambda url: httpx.get(url).content,
    "httpx-async": over_async_httpx,
    "niquests": over_niquests,
    "pycurl": over_pycurl,
    "requests": lambda url: requests.get(url, timeout=5).content,
    "urllib": over_urllib,
    "urllib3": over_urllib3,
}


@pytest.fixture
def outside_session() -> Iterator[Orphans]:
    """Every seam, and the session that `init` gives to code outside of runs."""
    orphans = Orphans()
    with every_seam(), entered(None):
        set_outside(orphans)
        yield orphans
        set_outside(None)


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_call_outside_of_runs_is_made_and_counted(
    client: Callable[[str], Any], outside_session: Orphans, http_outside: Any
) -> None:
    """The library gives what the server sent, and one call is noted as lost to every run; pycurl's isn't noted."""
    body = client(f"{http_outside.url}/large")

    assert len(body) == 1 << 20
    assert http_outside.calls() == 1
    assert outside_session.total == (client is not over_pycurl)


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
def test_telemetry_is_sent_and_not_missed(
    client: Callable[[str], Any], outside_session: Orphans, http_outside: Any
) -> None:
    """What an exporter sends goes out, and no run is said to lack it."""
    body = telemetry.apart(client)(f"{http_outside.url}/large")

    assert len(body) == 1 << 20
    assert http_outside.calls() == 1
    assert outside_session.total == 0


def test_database_outside_of_runs_is_the_library_s_own(outside_session: Orphans, file_outside: Any) -> None:
    """Rows come from the file, and the opening and the query are noted."""
    connection = sqlite3.connect(file_outside.path)
    rows = connection.execute("SELECT id FROM item ORDER BY id").fetchall()
    connection.close()

    assert rows == [(1,), (2,), (3,)]
    assert outside_session.total >= 2


@pytest.mark.parametrize("session", [Recorder, Replayer, Orphans, MemoryRecorder, MemoryReplayer])
def test_session_has_all_that_boundaries_use(session: type) -> None:
    """Boundaries ask any session for what the protocol names: one that lacks a member breaks the host."""
    members = {*vars(Session), *Session.__annotations__}
    wanted = {name for name in members if not name.startswith("_")}
    lacking = {name for name in wanted if not hasattr(session, name) and name not in session.__init__.__code__.co_names}  # type: ignore[misc]

    assert lacking == set()
