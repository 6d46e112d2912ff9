"""httpx and httpx2 against the table of behaviours that every HTTP client is held to."""

from __future__ import annotations

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import httpx
import httpx2

from pytest_fluxrun.boundaries import concurrent_futures
from pytest_fluxrun.boundaries import httpx as httpx_boundary
from pytest_fluxrun.boundaries import httpx2 as httpx2_boundary
from tests.boundaries.http_behaviours import Adapter, Ask, exercises
from tests.boundaries.http_contract import HttpContract

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Knows no authority; making the usual context anew for each client would be most of the tests' time."""


def settings(outside: Any, ask: Ask) -> dict[str, Any]:
    """What a client is made with."""
    verify = ssl.create_default_context(cafile=outside.ca_file) if ask.trusted else PLAIN
    timeout = (ask.connect_s, ask.timeout_s, ask.timeout_s, ask.timeout_s)
    return {"verify": verify, "timeout": timeout, "follow_redirects": ask.follow}


def arguments(ask: Ask) -> dict[str, Any]:
    """What a request is made with."""
    files = [(name, (file, content, kind)) for name, file, content, kind in ask.files] or None
    found = {"params": ask.query or None, "headers": ask.headers, "data": ask.form, "files": files, "json": ask.json}
    return {**found, "content": ask.body}


def seen(response: Any, body: bytes) -> dict[str, Any]:
    """What the app sees."""
    return {"status": response.status_code, "type": response.headers.get("content-type"), "body": body}


def sync_adapter(library: Any) -> Adapter:
    """The sync client."""

    def adapter(outside: Any, ask: Ask) -> Any:
        extra = {"content": iter(ask.chunks)} if ask.chunks else {}

        def once(client: Any) -> Any:
            with client.stream(ask.method, ask.url(outside), **{**arguments(ask), **extra}) as response:
                pieces = response.iter_bytes()
                body = next(pieces) if ask.read == "part" else b"".join(pieces)
                return seen(response, body)

        with library.Client(**settings(outside, ask)) as client:
            if ask.at_once > 1:
                with ThreadPoolExecutor(ask.at_once) as pool:
                    return list(pool.map(once, [client] * ask.at_once))
            return [once(client) for _ in range(ask.times)]

    return adapter


def async_adapter(library: Any) -> Adapter:
    """The async client."""

    async def adapter(outside: Any, ask: Ask) -> Any:
        async def body() -> Any:
            for chunk in ask.chunks:
                yield chunk

        extra = {"content": body()} if ask.chunks else {}

        async def once(client: Any) -> Any:
            async with client.stream(ask.method, ask.url(outside), **{**arguments(ask), **extra}) as response:
                pieces = response.aiter_bytes()
                found = await anext(pieces) if ask.read == "part" else b"".join([piece async for piece in pieces])
                return seen(response, found)

        async with library.AsyncClient(**settings(outside, ask)) as client:
            if ask.at_once > 1:
                return await asyncio.gather(*(once(client) for _ in range(ask.at_once)))
            return [await once(client) for _ in range(ask.times)]

    return adapter


class TestHttpx(HttpContract):
    """httpx, sync."""

    library, subject = "httpx", "httpx"
    boundary = httpx_boundary.boundary
    carriers = (concurrent_futures.boundary,)
    exercises: ClassVar = exercises(sync_adapter(httpx))


class TestHttpxAsync(HttpContract):
    """httpx, async."""

    library, subject = "httpx", "httpx (async)"
    boundary = httpx_boundary.boundary
    exercises: ClassVar = exercises(async_adapter(httpx))


class TestHttpx2(HttpContract):
    """httpx2, sync."""

    library, subject = "httpx2", "httpx2"
    boundary = httpx2_boundary.boundary
    carriers = (concurrent_futures.boundary,)
    exercises: ClassVar = exercises(sync_adapter(httpx2))


class TestHttpx2Async(HttpContract):
    """httpx2, async."""

    library, subject = "httpx2", "httpx2 (async)"
    boundary = httpx2_boundary.boundary
    exercises: ClassVar = exercises(async_adapter(httpx2))
