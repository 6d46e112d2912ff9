"""A function of 50 SQL statements on one connection, by the driver that BENCH_DRIVER names; see `replay_sql.py`."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest_fluxrun as fluxrun

DRIVER = os.environ["BENCH_DRIVER"]
ADDRESS = os.environ["BENCH_DATABASE"]
STATEMENTS = 50
ROWS = "SELECT g AS id, 'customer ' || g AS name, g * 1.5 AS total FROM generate_series(1, 10) g WHERE g > "


def by_psycopg(number: int) -> int:
    """On a connection of its own, as a request has one of a pool."""
    import psycopg

    with psycopg.connect(ADDRESS) as connection:
        found: list[Any] = []
        for statement in range(STATEMENTS):
            found += connection.execute(f"{ROWS}%s", (statement % 3 + number % 2,)).fetchall()
    return len(found)


async def _by_asyncpg(number: int) -> int:
    import asyncpg

    connection = await asyncpg.connect(ADDRESS)
    found: list[Any] = []
    for statement in range(STATEMENTS):
        found += await connection.fetch(f"{ROWS}$1", statement % 3 + number % 2)
    await connection.close()
    return len(found)


def by_asyncpg(number: int) -> int:
    """The same, on a loop of its own."""
    return asyncio.run(_by_asyncpg(number))


listed = fluxrun.capture("listed")({"psycopg": by_psycopg, "asyncpg": by_asyncpg}[DRIVER])
