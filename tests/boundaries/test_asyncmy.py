"""The asyncmy boundary against a real MariaDB, by the contract suite and for what is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import asyncmy
import asyncmy.cursors
import asyncmy.errors
import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import asyncio as asyncio_boundary
from pytest_fluxrun.boundaries import asyncmy as asyncmy_boundary
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.testing.boundary import BoundaryContract
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from tests.boundaries.mysql_behaviours import Driver, behaviours
from tests.boundaries.mysql_outside import MySQLOutside

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""Before 0.2.18, asyncmy's results forget to await a coroutine when they are collected unread."""
DRIVER = Driver(
    connect=asyncmy.connect,
    errors=asyncmy.errors,
    cursors=asyncmy.cursors,
    database="db",
    blocking=False,
    close=lambda connection: connection.ensure_closed(),
)


@pytest.fixture
def mysql_outside(mariadb_port: int) -> Iterator[MySQLOutside]:
    """The database behind a port of the test's own."""
    outside = MySQLOutside(mariadb_port, "asyncmy")
    yield outside
    outside.close()


class TestAsyncmy(BoundaryContract):
    """asyncmy keeps the contract."""

    subject = "asyncmy"
    library = "asyncmy"
    boundary = asyncmy_boundary.boundary
    carriers = (asyncio_boundary.boundary,)
    exercises: ClassVar = behaviours(DRIVER, multi={})
    local = frozenset({"ping", "too_few_binds", "closed", "denied", "unreachable", "no_database"})

    @pytest.fixture
    def outside(self, mysql_outside: MySQLOutside) -> Any:
        return mysql_outside


async def pooled(outside: MySQLOutside) -> Any:
    """Two tasks on a pool; one connection is used again."""
    pool = await asyncmy.create_pool(minsize=1, maxsize=2, db=outside.database, **outside.settings)

    async def ask(number: int) -> Any:
        async with pool.acquire() as connection, connection.cursor(asyncmy.cursors.DictCursor) as cursor:
            await cursor.execute("SELECT %s + 1 AS next", (number,))
            return await cursor.fetchall()

    rows = await asyncio.gather(ask(1), ask(2))
    rows.append(await ask(3))
    pool.close()
    await pool.wait_closed()
    return [rows, pool.size]


async def timed_out(outside: MySQLOutside) -> Any:
    """A statement that the application gives up; its connection is of no use then."""
    connection = await asyncmy.connect(db=outside.database, **outside.settings)
    cursor = connection.cursor()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(cursor.execute("SELECT SLEEP(0.4)"), timeout=0.05)
    with pytest.raises(asyncmy.errors.InterfaceError) as caught:
        await cursor.execute("SELECT 1")
    return [str(caught.value), connection.connected]


@pytest.fixture
def _seams() -> Iterator[None]:
    patching.restore_all()
    TestAsyncmy().install()
    yield
    patching.restore_all()


@pytest.mark.usefixtures("_seams")
@pytest.mark.parametrize("function", [pooled, timed_out])
def test_pools_and_time_outs_replay(function: Any, mysql_outside: MySQLOutside) -> None:
    """What asyncio and the driver's own pool do with connections is the same with the server gone."""
    recorder = MemoryRecorder()
    with recorder.open():
        expected = asyncio.run(function(mysql_outside))
    recorded = recorder.finish()
    mysql_outside.take_away()
    replayer = MemoryReplayer(recorded)

    with replayer.open():
        actual = asyncio.run(function(mysql_outside))

    assert replayer.unrecorded is None
    assert expected == actual


@pytest.mark.usefixtures("_seams")
def test_prepared_statements_are_refused_by_name(mysql_outside: MySQLOutside) -> None:
    """They are asked for, and speak another protocol: live in a recorded run, which says so; refused in a replay."""

    async def ask() -> Any:
        connection = await asyncmy.connect(db=mysql_outside.database, stmt_cache_size=4, **mysql_outside.settings)
        try:
            async with connection.cursor() as cursor:
                await cursor.execute("SELECT id FROM item WHERE id = %s", (1,))
                return await cursor.fetchall()
        finally:
            connection.close()

    recorder = MemoryRecorder()
    with recorder.open():
        live = asyncio.run(ask())
    with MemoryReplayer(recorder.finish()).open(), pytest.raises(UnrecordedCall, match="prepared statement of asyncmy"):
        asyncio.run(ask())

    assert live == ((1,),)
    assert set(recorder.refused) == {"a prepared statement of asyncmy"}
