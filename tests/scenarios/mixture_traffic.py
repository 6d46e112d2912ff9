"""Drives the mixture in one process: rounds of concurrent requests, each of which must be answered with 200."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import mixture_app

import pytest_fluxrun as fluxrun
from pytest_fluxrun.recording.service import recording_status


async def _request(path: str, seed: int) -> int:
    statuses = []
    incoming = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return incoming.pop() if incoming else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": str(seed).encode(), "root_path": "",
        "headers": [], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    await mixture_app.app(scope, receive, send)
    return statuses[0]


async def _drive(rounds: int, concurrent: int) -> None:
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    up, down = asyncio.Event(), asyncio.Event()

    async def send(message: Any) -> None:
        (up if "startup" in message["type"] else down).set()

    lifespan = asyncio.create_task(mixture_app.app({"type": "lifespan"}, incoming.get, send))
    await incoming.put({"type": "lifespan.startup"})
    await up.wait()
    for number in range(rounds):
        sent = (_request(f"/r{number}x{index}", index) for index in range(concurrent))
        assert {200} == set(await asyncio.gather(*sent))
        assert await asyncio.to_thread(fluxrun.flush, 120)
    await incoming.put({"type": "lifespan.shutdown"})
    await down.wait()
    await lifespan


asyncio.run(_drive(int(sys.argv[1]), int(sys.argv[2])))
print(recording_status())
