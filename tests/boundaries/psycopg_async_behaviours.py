"""What programs do with psycopg's async connections, and with its pools: each returns whatever can be compared."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.enum import EnumInfo, register_enum
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from tests.boundaries.psycopg_behaviours import described, status, told


def aconnected(function: Callable[[Any], Any], **settings: Any) -> Callable[[Any], Any]:
    """An exercise that connects, and closes whatever happens."""

    async def exercise(outside: Any) -> Any:
        connection = await psycopg.AsyncConnection.connect(outside.dsn, **settings)
        try:
            return await function(connection)
        finally:
            await connection.close()

    return exercise


async def select(connection: Any) -> Any:
    cursor = await connection.execute("SELECT id, name, price, data, added FROM item WHERE id < %s ORDER BY id", (3,))
    return [await cursor.fetchall(), described(cursor), await cursor.fetchone(), status(connection)]


async def rows(connection: Any) -> Any:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute("SELECT id, name FROM item ORDER BY id")
        return [await cursor.fetchmany(2), [row async for row in cursor]]


async def insert(connection: Any) -> Any:
    cursor = await connection.execute("INSERT INTO note (text) VALUES (%s) RETURNING id, text", ("a",))
    found = [await cursor.fetchall(), described(cursor), status(connection)]
    await connection.commit()
    return [*found, status(connection), await (await connection.execute("SELECT text FROM note")).fetchall()]


async def transactions(connection: Any) -> Any:
    states = []
    async with connection.transaction():
        await connection.execute("INSERT INTO note (text) VALUES ('kept')")
        with contextlib.suppress(psycopg.errors.UniqueViolation):
            async with connection.transaction():
                await connection.execute("INSERT INTO note (text) VALUES ('kept')")
        states.append(status(connection))
    await connection.set_autocommit(True)
    await connection.execute("INSERT INTO note (text) VALUES ('at once')")
    states.append(status(connection))
    return [states, await (await connection.execute("SELECT text FROM note ORDER BY id")).fetchall()]


async def rolled_back(connection: Any) -> Any:
    await connection.execute("UPDATE item SET price = 0")
    await connection.rollback()
    return await (await connection.execute("SELECT sum(price) FROM item")).fetchone()


async def error(connection: Any) -> Any:
    try:
        await connection.execute("INSERT INTO item VALUES (1, 'again')")
    except psycopg.errors.UniqueViolation as raised:
        return [told(raised), status(connection)]


async def many(connection: Any) -> Any:
    async with connection.cursor() as cursor:
        await cursor.executemany("INSERT INTO note (text) VALUES (%s)", [(str(number),) for number in range(9)])
        found = [cursor.rowcount]
        await cursor.executemany("SELECT %s::int", [(1,), (2,)], returning=True)
        found.append([await cursor.fetchall(), cursor.nextset(), await cursor.fetchall()])
    return found


async def prepared(connection: Any) -> Any:
    return [await (await connection.execute("SELECT %s + 1", (number,))).fetchone() for number in range(9)]


async def pipeline(connection: Any) -> Any:
    async with connection.pipeline() as line, connection.cursor() as cursor:
        await cursor.execute("SELECT %s::int", (1,))
        await connection.execute("INSERT INTO note (text) VALUES ('piped')")
        await line.sync()
        found = [await cursor.fetchall(), status(connection)]
    await connection.commit()
    return [*found, await (await connection.execute("SELECT text FROM note")).fetchall()]


async def server_cursor(connection: Any) -> Any:
    async with connection.cursor("mine") as cursor:
        await cursor.execute("SELECT n FROM generate_series(1, 10) n")
        cursor.itersize = 4
        return [await cursor.fetchone(), [row async for row in cursor], described(cursor)]


async def stream(connection: Any) -> Any:
    async with connection.cursor() as cursor:
        return [row async for row in cursor.stream("SELECT n FROM generate_series(1, 4) n")]


async def copies(connection: Any) -> Any:
    async with connection.cursor() as cursor:
        async with cursor.copy("COPY note (id, text) FROM STDIN") as copy:
            await copy.write_row((1, "x"))
            await copy.write_row((2, "y"))
        found: list[Any] = [cursor.rowcount]
        async with cursor.copy("COPY note (id, text) TO STDOUT") as copy:
            found.append([bytes(piece) async for piece in copy])
    return found


async def notifications(connection: Any) -> Any:
    await connection.set_autocommit(True)
    await connection.execute("LISTEN fx_channel")
    await connection.execute("NOTIFY fx_channel, 'one'")
    return [(one.channel, one.payload) async for one in connection.notifies(timeout=0.3, stop_after=1)]


async def cancelled(connection: Any) -> Any:
    await connection.execute("SELECT 1")
    try:
        async with asyncio.timeout(0.1):
            await connection.execute("SELECT pg_sleep(10)")
    except TimeoutError:
        found = status(connection)
    await connection.rollback()
    return [found, status(connection), await (await connection.execute("SELECT name FROM item LIMIT 1")).fetchone()]


async def concurrent(outside: Any) -> Any:
    async def one(number: int) -> Any:
        async with await psycopg.AsyncConnection.connect(outside.dsn) as connection:
            return await (await connection.execute("SELECT %s::int * 2", (number,))).fetchone()

    return await asyncio.gather(*(one(number) for number in range(5)))


async def enums(connection: Any) -> Any:
    info = await EnumInfo.fetch(connection, "mood")
    assert info is not None
    register_enum(info, connection)
    row = await (await connection.execute("SELECT 'sad'::mood")).fetchone()
    return row[0].name


async def notices(connection: Any) -> Any:
    seen: list[Any] = []
    connection.add_notice_handler(lambda diag: seen.append(diag.message_primary))
    await connection.execute("SELECT warn('async')")
    return seen


async def lost(connection: Any) -> Any:
    try:
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    except psycopg.OperationalError as raised:
        return [type(raised), str(raised), connection.closed, connection.broken]


async def closed(connection: Any) -> Any:
    found = await (await connection.execute("SELECT name FROM item WHERE id = 1")).fetchall()
    await connection.close()
    try:
        await connection.execute("SELECT 1")
    except psycopg.OperationalError as raised:
        return [str(raised), found]


# -- pools


def pool(outside: Any) -> Any:
    """Opened inside: its workers connect on threads of their own."""
    with ConnectionPool(outside.dsn, min_size=2, max_size=3) as opened:
        opened.wait(timeout=10)
        with opened.connection() as connection:
            found = [connection.execute("SELECT name FROM item ORDER BY id").fetchall()]
        with contextlib.suppress(psycopg.errors.DivisionByZero), opened.connection() as connection:
            connection.execute("SELECT 1 / 0")
        with opened.connection() as connection:
            found.append([status(connection), connection.execute("SELECT 2").fetchone()])
    return found


def pool_checked(outside: Any) -> Any:
    def configure(connection: Any) -> None:
        connection.autocommit = True

    with (
        ConnectionPool(
            outside.dsn, min_size=1, configure=configure, check=ConnectionPool.check_connection, timeout=10
        ) as opened,
        opened.connection() as connection,
    ):
        return [connection.execute("SELECT count(*) FROM item").fetchone(), status(connection)]


def pool_shared(outside: Any) -> Any:
    """Used by threads at once."""
    found: dict[int, Any] = {}

    def work(number: int) -> None:
        with opened.connection() as connection:
            found[number] = connection.execute("SELECT %s::int + 1", (number,)).fetchone()

    with ConnectionPool(outside.dsn, min_size=1, max_size=2) as opened:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return sorted(found.items())


async def apool(outside: Any) -> Any:
    async with AsyncConnectionPool(outside.dsn, min_size=2, max_size=3) as opened:
        await opened.wait(timeout=10)
        async with opened.connection() as connection:
            found = [await (await connection.execute("SELECT name FROM item ORDER BY id")).fetchall()]
        async with opened.connection() as connection, connection.transaction():
            await connection.execute("INSERT INTO note (text) VALUES ('pooled')")
        async with opened.connection() as connection:
            found.append(await (await connection.execute("SELECT text FROM note")).fetchall())
    return found
