"""The app that is measured: an ASGI callable whose request makes one HTTP call and three of SQLite.

`/fail` answers 500, which is always kept; the rest answers 200. Imported by the benchmarks and by the replays they run.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

import pytest_fluxrun as fluxrun

Send = Callable[[dict[str, Any]], Awaitable[None]]

UPSTREAM = os.environ.get("BENCH_UPSTREAM", "http://127.0.0.1:9")
HEADERS = [(b"content-type", b"application/json")]


class Resources:
    """What an app opens once: a client and a database."""

    client: httpx.AsyncClient | None = None
    database: sqlite3.Connection | None = None


def open_resources() -> None:
    """Open them anew, under the seams that are installed now."""
    Resources.client = httpx.AsyncClient()
    Resources.database = sqlite3.connect(":memory:", isolation_level=None)  # no disk, whose time would drown the rest
    Resources.database.execute("CREATE TABLE articles (id INTEGER PRIMARY KEY, price INTEGER, stock INTEGER)")
    Resources.database.execute("CREATE TABLE orders (id TEXT, charge TEXT, at REAL)")
    Resources.database.executemany("INSERT INTO articles VALUES (?, ?, ?)", [(n, n * 100, 50) for n in range(20)])


async def front(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    """Price an order."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    client, database = Resources.client, Resources.database
    assert client is not None
    assert database is not None
    order = json.loads((await receive())["body"])
    row = database.execute("SELECT price FROM articles WHERE id = ?", (order["article"],)).fetchone()
    answer = (await client.post(f"{UPSTREAM}/charge", json={"amount": row[0] * order["quantity"]})).json()
    number = uuid.uuid4().hex
    database.execute("INSERT INTO orders VALUES (?, ?, ?)", (number, answer["charge"], time.time()))
    stock = database.execute("SELECT stock FROM articles WHERE id = ?", (order["article"],)).fetchone()
    body = json.dumps({"order": number, "charge": answer["charge"], "stock": stock[0]}).encode()
    status = 500 if scope["path"] == "/fail" else 200
    await send({"type": "http.response.start", "status": status, "headers": HEADERS})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    await receive()
    open_resources()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


app = fluxrun.instrument(front, name="front")
