"""The aiomysql boundary against a real MariaDB, by the contract suite and for what is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import aiomysql
import pymysql.constants
import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import aiomysql as aiomysql_boundary
from pytest_fluxrun.boundaries import asyncio as asyncio_boundary
from pytest_fluxrun.testing.boundary import BoundaryContract
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from tests.boundaries.mysql_behaviours import Driver, behaviours
from tests.boundaries.mysql_outside import MySQLOutside

DRIVER = Driver(
    connect=aiomysql.connect,
    errors=pymysql.err,
    cursors=aiomysql.cursors,
    database="db",
    blocking=False,
    close=lambda connection: connection.ensure_closed(),
)


@pytest.fixture
def mysql_outside(mariadb_port: int) -> Iterator[MySQLOutside]:
    """The database behind a port of the test's own."""
    outside = MySQLOutside(mariadb_port, "aiomysql")
    yield outside
    outside.close()


class TestAiomysql(BoundaryContract):
    """aiomysql keeps the contract."""

    subject = "aiomysql"
    library = "aiomysql"
    boundary = aiomysql_boundary.boundary
    carriers = (asyncio_boundary.boundary,)
    exercises: ClassVar = behaviours(DRIVER, multi={}, without=frozenset({"listed"}))
    local = frozenset({"ping", "too_few_binds", "closed", "denied", "unreachable", "no_database"})

    @pytest.fixture
    def outside(self, mysql_outside: MySQLOutside) -> Any:
        return mysql_outside


async def pooled(outside: MySQLOutside) -> Any:
    """Two tasks on a pool; one connection is new, one is used again."""
    pool = await aiomysql.create_pool(minsize=1, maxsize=2, db=outside.database, **outside.settings)

    async def ask(number: int) -> Any:
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("SELECT %s + 1", (number,))
            return await cursor.fetchall()

    rows = await asyncio.gather(ask(1), ask(2))
    rows.append(await ask(3))
    pool.close()
    await pool.wait_closed()
    return [rows, pool.size]


async def timed_out(outside: MySQLOutside) -> Any:
    """A statement that the application gives up; its connection is of no use then."""
    connection = await aiomysql.connect(db=outside.database, **outside.settings)
    cursor = await connection.cursor()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(cursor.execute("SELECT SLEEP(0.4)"), timeout=0.05)
    with pytest.raises(pymysql.err.InterfaceError) as caught:
        await cursor.execute("SELECT 1")
    return [str(caught.value), connection.closed]


@pytest.mark.parametrize("function", [pooled, timed_out])
def test_pools_and_time_outs_replay(function: Any, mysql_outside: MySQLOutside) -> None:
    """What asyncio and the driver's own pool do with connections is the same with the server gone."""
    contract = TestAiomysql()
    patching.restore_all()
    contract.install()
    recorder = MemoryRecorder()
    with recorder.open():
        expected = asyncio.run(function(mysql_outside))
    recorded = recorder.finish()
    mysql_outside.take_away()
    replayer = MemoryReplayer(recorded)

    with replayer.open():
        actual = asyncio.run(function(mysql_outside))
    patching.restore_all()

    assert replayer.unrecorded is None
    assert expected == actual


def test_pool_filled_before_a_replay_is_served_in_it_and_live_after(mysql_outside: MySQLOutside) -> None:
    """Its connections send nothing in the replay, and ask the server again when it is over."""
    TestAiomysql().install()

    async def run() -> Any:
        pool = await aiomysql.create_pool(minsize=1, maxsize=1, db=mysql_outside.database, **mysql_outside.settings)

        async def count() -> Any:
            async with pool.acquire() as connection, connection.cursor() as cursor:
                await cursor.execute("SELECT COUNT(*) FROM item")
                return await cursor.fetchone()

        recorder = MemoryRecorder()
        with recorder.open():
            recorded = await count()
        async with pool.acquire() as connection, connection.cursor() as cursor:
            await cursor.execute("DELETE FROM item WHERE id = 3")
            await connection.commit()
        hits = mysql_outside.calls()
        with MemoryReplayer(recorder.finish()).open():
            served = await count()
        hits = mysql_outside.calls() - hits
        live = await count()
        pool.close()
        await pool.wait_closed()
        return recorded, served, hits, live

    result = asyncio.run(run())
    patching.restore_all()

    assert result == ((3,), (3,), 0, (2,))
