"""Records runs of `shop_front` in a project's directory, in a process of its own: `record_runs.py COUNT`."""

from __future__ import annotations

import asyncio
import json
import sys

from driving import one_request

import pytest_fluxrun as fluxrun

fluxrun.init(project="bench", sample=1.0, max_pending_runs=100_000, max_pending_bytes=1 << 30)

import shop_front  # noqa: E402 - as the documentation has it: init, then the app


async def record(count: int) -> None:
    """Start the app, drive it, shut it down."""
    incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    started = asyncio.Event()

    async def send(message: dict[str, str]) -> None:
        if message["type"] == "lifespan.startup.complete":
            started.set()

    incoming.put_nowait({"type": "lifespan.startup"})
    lifespan = asyncio.create_task(shop_front.app({"type": "lifespan"}, incoming.get, send))
    await started.wait()
    for number in range(count):
        body = json.dumps({"article": number % 20, "quantity": number}).encode()
        await one_request(shop_front.app, "/", body)
    incoming.put_nowait({"type": "lifespan.shutdown"})
    await lifespan


asyncio.run(record(int(sys.argv[1])))
assert fluxrun.flush(120)
