"""The requests to the corner app while it is recorded: some alone, all of them at once, some cut short."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator

import httpx

PLAIN = (
    "/gather", "/gather-failing", "/task-group", "/task-group-failing", "/context", "/sync", "/random", "/clocks",
    "/timeout", "/wait-for", "/read-timeout", "/hedged", "/as-completed", "/anyio", "/from-thread", "/own-loop",
    "/threads", "/pool", "/workers", "/poll", "/fire-and-forget", "/notes", "/aiosqlite", "/rows", "/proxy",
    "/head-of-stream", "/clients", "/image", "/zipped", "/lifespan-state", "/logged", "/sub/x",
)  # fmt: skip
FAILING = {
    "/background-failing": 200,
    "/rollback": 409,
    "/raise": 500,
    "/handled": 404,
    "/stream-breaks": 200,
    "/nowhere": 404,
}


async def drive(base_url: str) -> list[str]:
    """Send everything; returns what wasn't answered as intended."""
    surprises: list[str] = []
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=base_url, timeout=20, limits=limits) as client:

        async def send(expected: int, method: str, path: str, **extra: object) -> None:
            try:
                status = (await client.request(method, path, **extra)).status_code  # type: ignore[arg-type]
            except httpx.RemoteProtocolError:
                status = 200 if path.startswith("/stream-breaks") else 0
            if status != expected:
                surprises.append(f"{method} {path}: {status}, not {expected}")

        for path in PLAIN:
            await send(200, "GET", path)
        for path, expected in FAILING.items():
            await send(expected, "GET", path)
        await asyncio.gather(*(send(200, "GET", f"{path}?again=1") for path in PLAIN))
        await send(200, "POST", "/background")
        await send(201, "POST", "/tickets", json=[{"text": "one"}, {"text": "two"}, {}])
        await send(422, "POST", "/tickets", json=[{"id": "no uuid"}])
        await send(200, "PUT", "/upload", content=_pieces())
        await send(200, "POST", "/multipart")
        await send(200, "GET", "/verified", headers={"Authorization": "Bearer corner-bearer-token"})
        await send(401, "GET", "/verified", headers={"Authorization": "Bearer somebody-else"})
        await send(200, "POST", "/login", json={"name": "a", "password": "open sesame"})
        await send(401, "POST", "/login", json={"name": "a", "password": "guessed"})
        signature = hmac.new(b"corner", b"alice", "sha256").hexdigest()
        await send(200, "GET", "/session", headers={"Cookie": f"session=alice.{signature}"})
        await send(403, "GET", "/session", headers={"Cookie": f"session=alice.{hashlib.md5(b'').hexdigest()}"})
        cors = {"Origin": "https://a.example", "Access-Control-Request-Method": "PUT"}
        await send(200, "OPTIONS", "/gather", headers=cors)
        await send(405, "HEAD", "/gather")
        await send(200, "GET", "/gather?n=40", headers={"Origin": "https://a.example"})
        await leave(client, "/endless")
        await leave(client, "/endless?again=1", pieces=4)
        await leave(client, "/proxy?count=100")
        await leave(client, "/rows?count=1000")
    return surprises


async def leave(client: httpx.AsyncClient, path: str, pieces: int = 2) -> None:
    """Hang up after some pieces of the answer."""
    async with client.stream("GET", path) as response:
        async for _ in response.aiter_raw():
            pieces -= 1
            if not pieces:
                return


async def _pieces() -> AsyncIterator[bytes]:
    for index in range(5):
        yield b"%d" % index * 1000
        await asyncio.sleep(0.005)
