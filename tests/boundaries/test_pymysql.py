"""The PyMySQL boundary against a real MariaDB, by the contract suite and for what is its own."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, ClassVar

import pymysql
import pymysql.constants
import pymysql.converters
import pymysql.cursors
import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import pymysql as pymysql_boundary
from pytest_fluxrun.testing.boundary import BoundaryContract
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from tests.boundaries.mysql_behaviours import Driver, behaviours
from tests.boundaries.mysql_outside import MySQLOutside

DRIVER = Driver(
    connect=functools.partial(pymysql.connect, ssl_disabled=True), errors=pymysql.err, cursors=pymysql.cursors
)
MULTI = {"client_flag": pymysql.constants.CLIENT.MULTI_STATEMENTS}


@pytest.fixture
def mysql_outside(mariadb_port: int) -> Iterator[MySQLOutside]:
    """The database behind a port of the test's own."""
    outside = MySQLOutside(mariadb_port, "pymysql")
    yield outside
    outside.close()


class TestPyMySQL(BoundaryContract):
    """PyMySQL keeps the contract."""

    subject = "PyMySQL"
    library = "PyMySQL"
    boundary = pymysql_boundary.boundary
    exercises: ClassVar = behaviours(DRIVER, multi=MULTI)
    local = frozenset({"ping", "too_few_binds", "closed", "denied", "unreachable", "no_database"})

    @pytest.fixture
    def outside(self, mysql_outside: MySQLOutside) -> Any:
        return mysql_outside


@pytest.fixture
def seams() -> Iterator[None]:
    """The driver's seams for the length of a test."""
    patching.restore_all()
    TestPyMySQL().install()
    yield
    patching.restore_all()


def encrypted(outside: MySQLOutside) -> Any:
    """The driver's default: TLS where the server speaks it, and what is set after connecting."""
    with pymysql.connect(
        **outside.settings, database=outside.database, sql_mode="ANSI", init_command="SET @a = 5", autocommit=True
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT @@sql_mode, @a, @@autocommit")
        return [cursor.fetchall(), connection.get_autocommit(), connection.open, connection.host_info[:6]]


def unread(outside: MySQLOutside) -> Any:
    """A stream that is left, and a statement on the same connection."""
    with DRIVER.connect(**outside.settings, database=outside.database) as connection:
        left = connection.cursor(pymysql.cursors.SSCursor)
        left.execute("SELECT seq FROM seq_1_to_3000")
        first = left.fetchone()
        with pytest.warns(UserWarning, match="left incomplete"):
            connection.cursor().execute("SELECT 1")
        return [first, connection.insert_id(), connection.show_warnings()]


def reconnected(outside: MySQLOutside) -> Any:
    """A connection that is made late, closed, and made again."""
    connection = DRIVER.connect(**outside.settings, database=outside.database, defer_connect=True)
    states = [connection.open]
    connection.connect()
    states.append(connection.open)
    connection.close()
    states.append(connection.open)
    with pytest.raises(pymysql.err.Error, match="Already closed"):
        connection.ping(reconnect=False)
    connection.connect()
    cursor = connection.cursor()
    cursor.execute("SELECT id FROM item")
    connection.close()
    return [states, cursor.fetchall(), connection.thread_id() > 0]


def converted(outside: MySQLOutside) -> Any:
    """Converters of the application's own, on the very bytes."""
    conv = {**pymysql.converters.conversions, pymysql.constants.FIELD_TYPE.NEWDECIMAL: lambda text: f"<{text}>"}
    with DRIVER.connect(**outside.settings, database=outside.database, conv=conv) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT price, name FROM item WHERE id = 1")
        return cursor.fetchall()


@pytest.mark.usefixtures("seams")
@pytest.mark.parametrize("function", [encrypted, unread, reconnected, converted])
def test_what_is_the_drivers_own_replays(function: Any, mysql_outside: MySQLOutside) -> None:
    """TLS, settings of a connection, streams left unread, late connections, converters."""
    recorder = MemoryRecorder()
    with recorder.open():
        expected = function(mysql_outside)
    recorded = recorder.finish()
    mysql_outside.take_away()
    replayer = MemoryReplayer(recorded)

    with replayer.open():
        actual = function(mysql_outside)

    assert replayer.unrecorded is None
    assert replayer.unplayed() == []
    assert expected == actual
