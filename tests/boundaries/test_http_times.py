"""From when the times of a body count: from when the app has its head, as at replay."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import niquests
import pytest
import urllib3_future.connectionpool

from pytest_fluxrun import ambient, patching
from pytest_fluxrun.boundaries import http_client
from pytest_fluxrun.boundaries import httpx as httpx_boundary
from pytest_fluxrun.boundaries import urllib3_future as urllib3_future_boundary
from pytest_fluxrun.boundary import Boundary, Call
from pytest_fluxrun.testing.sessions import MemoryRecorder
from tests.boundaries.canned import CannedOutside

S = 1_000_000_000


class SlowRecorder(MemoryRecorder):
    """A second passes between a library's answer and the end of the call: a thread that is kept from the processor."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0

    def call(self, boundary: Boundary[Any], call: Call, live: Callable[[], Any]) -> Any:
        result = super().call(boundary, call, live)
        self.now_ns += S
        return result

    async def acall(self, boundary: Boundary[Any], call: Call, live: Callable[[], Awaitable[Any]]) -> Any:
        result = await super().acall(boundary, call, live)
        self.now_ns += S
        return result


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> SlowRecorder:
    """Its clock is the recording's."""
    slow = SlowRecorder()
    monkeypatch.setattr(ambient, "monotonic_ns", lambda: slow.now_ns)
    return slow


def by_http_client(outside: CannedOutside) -> bytes:
    conn = http.client.HTTPConnection(outside.host, outside.port, timeout=5)
    try:
        conn.request("GET", "/json")
        return conn.getresponse().read()
    finally:
        conn.close()


def by_httpx(outside: CannedOutside) -> bytes:
    return httpx.get(f"{outside.url}/json", trust_env=False).content


def by_async_httpx(outside: CannedOutside) -> bytes:
    async def ask() -> bytes:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{outside.url}/json")).content

    return asyncio.run(ask())


def by_niquests(outside: CannedOutside) -> bytes:
    with niquests.Session() as session:
        session.trust_env = False
        return session.get(f"{outside.url}/json", timeout=5).content or b""


@pytest.mark.parametrize(
    ("ask", "boundary", "module"),
    [
        (by_http_client, http_client.boundary, http.client),
        (by_httpx, httpx_boundary.boundary, httpx),
        (by_async_httpx, httpx_boundary.boundary, httpx),
        (by_niquests, urllib3_future_boundary.boundary, urllib3_future.connectionpool),
    ],
)
def test_body_is_timed_from_when_the_app_has_the_head(
    canned: CannedOutside, recorder: SlowRecorder, ask: Callable[[CannedOutside], bytes], boundary: Any, module: Any
) -> None:
    """The second in which the app was kept waiting for the head is the call's, and not its body's too."""
    try:
        patching.install(boundary.patches(module))
        with recorder.open():
            assert b"{}" == ask(canned)
    finally:
        patching.restore_all()

    (recorded,) = recorder.finish()
    assert (["{}"], [0], 0) == tuple(recorded.answer[key] for key in ("chunks", "times_ns", "ended_ns"))
