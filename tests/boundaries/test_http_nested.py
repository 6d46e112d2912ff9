"""One call seen by two layers is one interaction: the outermost boundary holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpcore
import httpx
import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import aiohttp as aiohttp_boundary
from pytest_fluxrun.boundaries import asyncio as asyncio_boundary
from pytest_fluxrun.boundaries import httpx as httpx_boundary
from tests.boundaries.virtual_runs import record, replay


@pytest.fixture(autouse=True)
def seams() -> Iterator[None]:
    """Both libraries' seams."""
    patching.install(httpx_boundary.boundary.patches(httpx))
    patching.install(aiohttp_boundary.boundary.patches(aiohttp))
    patching.install(asyncio_boundary.boundary.patches(asyncio))
    yield
    patching.restore_all()


async def over_aiohttp(method: str, url: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body, by way of aiohttp."""
    async with aiohttp.ClientSession() as session, session.request(method, url) as answer:
        return answer.status, list(answer.headers.items()), await answer.read()


class Transport(httpx.AsyncBaseTransport):
    """One of the app's own, as httpx-aiohttp's is."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        status, headers, content = await over_aiohttp(request.method, str(request.url))
        return httpx.Response(status, headers=headers, content=content)


class Pool(httpcore.AsyncConnectionPool):
    """Stands beneath httpx's own transport."""

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        url = request.url
        text = f"{url.scheme.decode()}://{url.host.decode()}:{url.port}{url.target.decode()}"
        status, headers, content = await over_aiohttp(request.method.decode(), text)
        return httpcore.Response(status, headers=headers, content=content)


@pytest.mark.parametrize("beneath", ["transport", "pool"])
def test_httpx_over_aiohttp_is_one_interaction(http_outside: Any, beneath: str) -> None:
    """A transport of the app's own is no boundary: aiohttp's holds the call; beneath httpx's own, httpx's does."""

    async def ask() -> Any:
        transport: Any = Transport() if beneath == "transport" else httpx.AsyncHTTPTransport()
        if beneath == "pool":
            transport._pool = Pool()
        async with httpx.AsyncClient(transport=transport) as client:
            answer = await client.get(f"{http_outside.url}/json")
            return [answer.status_code, answer.json()]

    expected, recorded = record(ask)
    http_outside.take_away()

    assert [{"transport": "aiohttp", "pool": "httpx"}[beneath]] == [each.boundary for each in recorded]
    assert expected == replay(recorded, ask)
