"""The corner app's own calls: another number from upstream each time, by a client for all or a blocking one."""

from __future__ import annotations

import os

import httpx

UPSTREAM = os.environ["UPSTREAM"]

client = httpx.AsyncClient(base_url=UPSTREAM, timeout=2)
blocking = httpx.Client(base_url=UPSTREAM, timeout=2)


async def number(of: str = "", ms: int = 0) -> int:
    """Another number from upstream."""
    response = await client.get("/draw", params={"of": of, "ms": ms})
    return int(response.json()["number"])


def number_blocking(of: str = "", ms: int = 0) -> int:
    """The same from a thread."""
    return int(blocking.get("/draw", params={"of": of, "ms": ms}).json()["number"])
