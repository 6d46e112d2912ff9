"""The corner app's database: sqlite3 in the raw and aiosqlite, in transactions of its requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import sqlite3
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import aiosqlite
from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import StreamingResponse

DATABASE = "corner.db"

router = APIRouter()


def connection() -> Iterator[sqlite3.Connection]:
    """A dependency with yield: commits, or rolls back where the endpoint raised."""
    database = sqlite3.connect(DATABASE, timeout=10, check_same_thread=False)
    database.row_factory = sqlite3.Row
    try:
        yield database
        database.commit()
    except BaseException:
        database.rollback()
        raise
    finally:
        database.close()


Database = Annotated[sqlite3.Connection, Depends(connection)]


@router.get("/notes")
def notes(database: Database, limit: int = 3) -> dict[str, Any]:
    """sqlite3 in the raw: row factory, functions, executemany, iteration, rowcount, errors."""
    database.create_function("double", 1, lambda value: value * 2)
    keys = [secrets.token_hex(4) for _ in range(3)]
    written = database.executemany(
        "INSERT INTO notes (text, at) VALUES (?, ?)", [(key, datetime.now(UTC).isoformat()) for key in keys]
    )
    rows = [
        dict(row)
        for row in database.execute(
            "SELECT id, text, double(id) AS twice FROM notes ORDER BY id DESC LIMIT ?", (limit,)
        )
    ]
    try:
        database.execute("INSERT INTO notes (text) VALUES ('first')")
        clash = ""
    except sqlite3.IntegrityError as error:
        clash = f"{error} {error.sqlite_errorname}"
    noise, now = database.execute("SELECT random(), strftime('%s', 'now')").fetchone()
    return {"rows": rows, "written": written.rowcount, "clash": clash, "noise": noise, "now": now}


@router.get("/rollback")
def roll_back(database: Database) -> None:
    """The dependency rolls back because the endpoint raises."""
    database.execute("INSERT INTO notes (text) VALUES (?)", (uuid.uuid4().hex,))
    raise HTTPException(409, detail=f"undone at {time.time()}")


@router.get("/raise")
def raise_error(database: Database) -> None:
    """An error that nobody handles, with what chance decided in its message."""
    count = database.execute("SELECT count(*) FROM notes").fetchone()[0]
    raise ValueError(f"{count} notes, {uuid.uuid4()}")


@router.get("/aiosqlite")
async def async_rows() -> dict[str, Any]:
    """aiosqlite: a cursor read row by row, concurrent connections."""

    async def write(text: str) -> int:
        async with aiosqlite.connect(DATABASE, timeout=10) as database:
            cursor = await database.execute("INSERT INTO notes (text) VALUES (?)", (text,))
            await database.commit()
            return int(cursor.lastrowid or 0)

    ids = await asyncio.gather(*(write(uuid.uuid4().hex) for _ in range(3)))
    async with (
        aiosqlite.connect(DATABASE) as database,
        database.execute("SELECT id, text FROM notes ORDER BY id DESC LIMIT 4") as cursor,
    ):
        return {"ids": ids, "rows": [list(row) async for row in cursor]}


@router.get("/rows")
def rows_as_lines(count: int = 5) -> StreamingResponse:
    """A sync generator, iterated in the thread pool, over an open cursor."""
    database = sqlite3.connect(DATABASE, check_same_thread=False)

    def lines() -> Iterator[str]:
        with contextlib.closing(database):
            for row in database.execute("SELECT id, text FROM notes ORDER BY id LIMIT ?", (count,)):
                yield json.dumps([*row, time.time(), random.random()]) + "\n"
                time.sleep(0.002)

    return StreamingResponse(lines(), media_type="application/x-ndjson")
