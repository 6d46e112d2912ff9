"""The mysqlclient boundary against a real MariaDB, by the contract suite and for what is its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from importlib import import_module
from typing import Any, ClassVar

import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import mysqldb as mysqldb_boundary
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.testing.boundary import BoundaryContract
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from tests.boundaries.mysql_behaviours import Driver, behaviours
from tests.boundaries.mysql_outside import MySQLOutside

MySQLdb: Any = pytest.importorskip("MySQLdb", reason="mysqlclient isn't installed: it is compiled with libmariadb-dev")

import_module("MySQLdb.cursors")
DRIVER = Driver(connect=MySQLdb.connect, errors=MySQLdb, cursors=MySQLdb.cursors)


@pytest.fixture
def mysql_outside(mariadb_port: int) -> Iterator[MySQLOutside]:
    """The database behind a port of the test's own."""
    outside = MySQLOutside(mariadb_port, "mysqldb")
    yield outside
    outside.close()


class TestMysqlclient(BoundaryContract):
    """mysqlclient keeps the contract."""

    subject = "mysqlclient"
    library = "mysqlclient"
    boundary = mysqldb_boundary.boundary
    exercises: ClassVar = behaviours(DRIVER, multi={})
    local = frozenset({"ping", "too_few_binds", "closed", "denied", "unreachable", "no_database"})

    @pytest.fixture
    def outside(self, mysql_outside: MySQLOutside) -> Any:
        return mysql_outside


@pytest.fixture
def seams() -> Iterator[None]:
    """The driver's seams for the length of a test."""
    patching.restore_all()
    TestMysqlclient().install()
    yield
    patching.restore_all()


def low_level(outside: MySQLOutside) -> Any:
    """The C library's own names, without a cursor."""
    connection = DRIVER.connect(**outside.settings, database=outside.database)
    connection.query("SELECT id, name FROM item ORDER BY id")
    result = connection.store_result()
    told = [result.num_fields(), result.num_rows(), result.has_next, connection.field_count(), connection.open]
    rows = [result.fetch_row(), result.fetch_row(1, 1), result.fetch_row(0, 2), result.fetch_row()]
    result.data_seek(1)
    rows.append(result.fetch_row(0))
    spelled = [connection.escape_string("a'b"), connection.string_literal("ä"), connection.literal([1, "x"])]
    names = [connection.character_set_name(), connection.get_host_info()[:9], connection.thread_id() > 0]
    connection.close()
    with pytest.raises(MySQLdb.Error) as caught:
        connection.close()
    return [told, rows, spelled, names, caught.type, caught.value.args, connection.open]


def own_class(outside: MySQLOutside) -> Any:
    """A connection class of the application's own."""

    class Own(MySQLdb.connections.Connection):
        def query(self, query: Any) -> None:
            self.asked = query
            super().query(query)

    connection = Own(**outside.settings, database=outside.database, charset="utf8mb4", sql_mode="ANSI")
    cursor = connection.cursor(MySQLdb.cursors.DictCursor)
    cursor.execute('SELECT "name" FROM item WHERE id = %s', (2,))
    row = cursor.fetchone()
    connection.close()
    return [row, connection.asked, isinstance(connection, MySQLdb.connections.Connection)]


@pytest.mark.usefixtures("seams")
@pytest.mark.parametrize("function", [low_level, own_class])
def test_what_is_the_drivers_own_replays(function: Any, mysql_outside: MySQLOutside) -> None:
    """Results without a cursor, spelling without a connection, subclasses."""
    recorder = MemoryRecorder()
    with recorder.open():
        expected = function(mysql_outside)
    recorded = recorder.finish()
    mysql_outside.take_away()
    replayer = MemoryReplayer(recorded)

    with replayer.open():
        actual = function(mysql_outside)

    assert replayer.unrecorded is None
    assert expected == actual


@pytest.mark.usefixtures("seams")
def test_rows_of_a_run_are_the_applications_to_drop(mysql_outside: MySQLOutside) -> None:
    """Their values are kept, the tuples aren't: a second reference would make the memory of each row fresh."""
    counts = []
    recorder = MemoryRecorder()
    for open_run in (nullcontext, recorder.open):
        with open_run():
            connection = DRIVER.connect(**mysql_outside.settings, database=mysql_outside.database)
            connection.query("SELECT id, name FROM item ORDER BY id")
            rows = connection.store_result().fetch_row(0)
            counts.append(sys.getrefcount(rows[1]))
            connection.close()

    assert counts[0] == counts[1]
    assert [list(row) for row in rows] == recorder.finish()[1].answer["rows"]


@pytest.mark.usefixtures("seams")
def test_commands_that_are_no_statements_are_refused_by_name(mysql_outside: MySQLOutside) -> None:
    """What is asked of the server in another way makes a run unready, and a replay refuses it."""
    recorder = MemoryRecorder()
    with recorder.open():
        connection = DRIVER.connect(**mysql_outside.settings, database=mysql_outside.database)
        connection.set_server_option(1)
        connection.close()

    with MemoryReplayer(recorder.finish()).open(), pytest.raises(UnrecordedCall, match="that is no statement"):
        DRIVER.connect(**mysql_outside.settings, database=mysql_outside.database).set_server_option(1)

    assert recorder.refused == ["a command of mysqlclient's that is no statement"]
