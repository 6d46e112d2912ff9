"""aiosqlite carries the caller's lane, so that the sqlite3 boundary keeps its contract beneath it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import aiosqlite
import pytest

from pytest_fluxrun.boundaries import aiosqlite as aiosqlite_boundary
from pytest_fluxrun.boundaries import sqlite3 as sqlite3_boundary
from pytest_fluxrun.testing.boundary import BoundaryContract


def opened(function: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """An exercise on a connection to the file."""

    async def exercise(outside: Any) -> Any:
        async with aiosqlite.connect(outside.path) as connection:
            return await function(connection)

    return exercise


async def select(connection: Any) -> Any:
    async with connection.execute("SELECT id, name FROM item WHERE id < ? ORDER BY id", (3,)) as cursor:
        return [await cursor.fetchall(), cursor.description, cursor.rowcount]


async def fetchone(connection: Any) -> Any:
    cursor = await connection.execute("SELECT id FROM item ORDER BY id")
    return [await cursor.fetchone(), await cursor.fetchmany(1), await cursor.fetchall(), await cursor.fetchone()]


async def iteration(connection: Any) -> Any:
    return [row async for row in await connection.execute("SELECT name FROM item ORDER BY id")]


async def rows(connection: Any) -> Any:
    connection.row_factory = aiosqlite.Row
    found = await connection.execute_fetchall("SELECT id, name FROM item ORDER BY id")
    return [(row.keys(), row["name"]) for row in found]


async def insert(connection: Any) -> Any:
    cursor = await connection.execute("INSERT INTO note (text) VALUES (?)", ("x",))
    before = connection.in_transaction
    await connection.commit()
    return [cursor.lastrowid, cursor.rowcount, before, connection.in_transaction, connection.total_changes]


async def execute_insert(connection: Any) -> Any:
    found = await connection.execute_insert("INSERT INTO note (text) VALUES ('y')")
    await connection.rollback()
    return found


async def many(connection: Any) -> Any:
    await connection.executemany("INSERT INTO note (text) VALUES (?)", [("a",), ("b",)])
    await connection.commit()
    return await (await connection.execute("SELECT count(*) FROM note")).fetchone()


async def script(connection: Any) -> Any:
    await connection.executescript("INSERT INTO note (text) VALUES ('s'); DELETE FROM item;")
    return await (await connection.execute("SELECT count(*) FROM item")).fetchone()


async def integrity(connection: Any) -> Any:
    await connection.execute("INSERT INTO item (id) VALUES (1)")


async def no_table(connection: Any) -> Any:
    await connection.execute("SELECT * FROM nowhere")


async def function(connection: Any) -> Any:
    await connection.create_function("twice", 1, lambda value: value * 2)
    return await connection.execute_fetchall("SELECT twice(id) FROM item ORDER BY id")


async def dumped(connection: Any) -> Any:
    return [line async for line in connection.iterdump()]


async def concurrent(connection: Any) -> Any:
    found = await asyncio.gather(
        *(connection.execute_fetchall("SELECT name FROM item WHERE id = ?", (n,)) for n in (1, 2, 3))
    )
    return [list(rows_) for rows_ in found]


class TestAiosqlite(BoundaryContract):
    """sqlite3 beneath aiosqlite keeps the contract."""

    boundary = sqlite3_boundary.boundary
    carriers = (aiosqlite_boundary.boundary,)
    exercises: ClassVar = {
        function_.__name__: opened(function_)
        for function_ in (
            select, fetchone, iteration, rows, insert, execute_insert, many, script, integrity, no_table, function,
            dumped, concurrent,
        )
    }  # fmt: skip

    @pytest.fixture
    def outside(self, file_outside: Any) -> Any:
        return file_outside
