"""Answers of MySQL's drivers that no recording holds: a guard's words, made-up replies, reads made anew."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import aiomysql, asyncmy, mysqldb, pymysql
from pytest_fluxrun.errors import GuardError, SettingsError
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer, Recorded, through_json
from pytest_fluxrun.values import decode, encode
from tests.boundaries.mysql_behaviours import done
from tests.boundaries.mysql_outside import MySQLOutside

pytestmark = [
    pytest.mark.service,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]
DRIVERS = {"pymysql": pymysql, "aiomysql": aiomysql, "asyncmy": asyncmy, "MySQLdb": mysqldb}
READ = "SELECT id, name, price, data FROM item WHERE id >= %s ORDER BY id"


@dataclass(frozen=True)
class Subject:
    """A driver with its boundary, and the server."""

    module: Any
    boundary: Any
    outside: MySQLOutside

    @property
    def environment(self) -> dict[str, Any]:
        """As a project's settings name the server."""
        return {"mysql": f"mysql://root@127.0.0.1:{self.outside.port}/{self.outside.database}"}

    def run(self, *asked: tuple[str, Any], autocommit: bool = True) -> list[Any]:
        """Of each statement its rows, count, number of a new row, and the connection's autocommit after it."""

        async def program() -> list[Any]:
            settings = {**self.outside.settings, "autocommit": autocommit}
            name = "db" if self.module.__name__ in ("aiomysql", "asyncmy") else "database"
            connection = await done(self.module.connect(**settings, **{name: self.outside.database}))
            try:
                found = []
                for sql, binds in asked:
                    cursor = await done(connection.cursor())
                    await done(cursor.execute(sql, binds))
                    rows = await done(cursor.fetchall()) if cursor.description else ()
                    found.append((list(rows), cursor.rowcount, cursor.lastrowid, bool(connection.get_autocommit())))
                return found
            finally:
                await done(connection.close())

        return asyncio.run(program())

    def recorded(self, sql: str, binds: Any = None) -> Recorded:
        """What a statement leaves in a run."""
        recorder = MemoryRecorder()
        with recorder.open():
            self.run((sql, binds))
        (one,) = (one for one in recorder.finish() if decode(one.request)["sql"] == sql)
        return one

    def replayed(self, answers: dict[str, Any], *asked: tuple[str, Any], **options: Any) -> list[Any]:
        """What statements give where only these answers are there, and no server."""
        self.outside.take_away()
        recorded = [
            Recorded(self.boundary.name, "sql", encode(self.request(sql, binds)), through_json(answers[sql]), False)
            for sql, binds in asked
        ]
        replayer = MemoryReplayer(recorded)
        with replayer.open():
            found = self.run(*asked, **options)
        assert replayer.unrecorded is None
        return found

    def request(self, sql: str, binds: Any = None, *, many: bool = False) -> dict[str, Any]:
        """As the boundary makes it."""
        asked = {"driver": self.boundary.name, "dialect": "mysql", "database": self.outside.database}
        return {**asked, "sql": sql, "binds": list(binds) if binds else None, "many": many}


@pytest.fixture(params=DRIVERS)
def subject(request: pytest.FixtureRequest, mariadb_port: int) -> Iterator[Subject]:
    """The driver with its seams in place, and a database that can be taken away."""
    module = pytest.importorskip(request.param, reason="mysqlclient is compiled with libmariadb-dev")
    outside = MySQLOutside(mariadb_port, "by_hand")
    others = patching.installed_patches()
    patching.restore_all()
    boundary = DRIVERS[request.param].boundary
    for name in boundary.modules:
        patching.install(boundary.patches(import_module(name)))
    yield Subject(module, boundary, outside)
    patching.restore_all()
    patching.install(others)
    outside.close()
    gc.collect()


def test_words_of_a_guard_are_rows_with_types_of_their_own(subject: Subject):
    """Integers, texts, numbers, times without a zone, and NULL; the connection stays in its transaction's state."""
    rows = [
        {"id": 7, "name": "zwölf €", "price": 1.5, "at": datetime(2000, 1, 1, 12, tzinfo=UTC), "day": date(2000, 1, 2)},
        {"id": -8, "name": "", "price": None, "at": datetime(2000, 1, 1, 12, 0, 0, 5), "day": None},
    ]
    more = [{"good": True, "exact": Decimal("2.50"), "time": time(1, 2, 3), "none": None}]
    typed = {"rows": [{"total": "12.50"}, {"total": 3}, {}], "types": {"total": "decimal", "paid": "datetime"}}
    answers = {
        "SELECT a": subject.boundary.answer(subject.request("SELECT a"), {"rows": rows}),
        "SELECT b": subject.boundary.answer(subject.request("SELECT b"), {"rows": more}),
        "SELECT c": subject.boundary.answer(subject.request("SELECT c"), typed),
    }

    first, second, third = subject.replayed(answers, *((sql, None) for sql in answers), autocommit=False)

    noon = datetime(2000, 1, 1, 12)
    expected = [(7, "zwölf €", 1.5, noon, date(2000, 1, 2)), (-8, "", None, noon.replace(microsecond=5), None)]
    assert (expected, 2, False) == (first[0], first[1], first[3])
    assert [(1, Decimal("2.50"), timedelta(hours=1, minutes=2, seconds=3), None)] == second[0]
    assert [(Decimal("12.50"), None), (Decimal(3), None), (None, None)] == third[0]


@pytest.mark.parametrize("autocommit", [True, False])
def test_words_of_a_guard_tell_of_a_write(subject: Subject, autocommit: bool):
    """How many rows there were, and the number of a new one."""
    sql = "INSERT INTO note (text) VALUES (%s)"
    answer = subject.boundary.answer(subject.request(sql, ["x"]), {"count": 1, "lastrowid": 12})

    ((rows, count, number, state),) = subject.replayed({sql: answer}, (sql, ("x",)), autocommit=autocommit)

    assert ([], 1, 12, autocommit) == (rows, count, number, state)


@pytest.mark.parametrize("reply", [{"rows": [[1]]}, {"lines": []}, {"rows": [{"a": 1}, {"b": 1}]}, {"count": "1"}])
def test_words_that_are_no_answer_are_refused(subject: Subject, reply: dict[str, Any]):
    """Each says what it may be."""
    with pytest.raises(GuardError, match="`rows`, a list of tables with the same columns, `count`"):
        subject.boundary.answer(subject.request("SELECT"), reply)


@pytest.mark.parametrize(
    "reply",
    [
        {"rows": [{"a": [1]}]},
        {"rows": [{"a": "1"}], "types": {"a": "uuid"}},
        {"lastrowid": "1"},
        {"lastrowid": True},
    ],
)
def test_value_that_no_column_can_hold_is_refused(subject: Subject, reply: dict[str, Any]):
    """A list of TOML's, a type that MySQL lacks, and a row's number that is none."""
    with pytest.raises(GuardError, match="can't be given back"):
        subject.boundary.answer(subject.request("SELECT"), reply)


def test_made_up_answer_has_the_number_of_a_new_row(subject: Subject):
    """Of an INSERT; MariaDB's RETURNING gives a row; another statement gives a count."""
    sketch: Callable[..., Any] = subject.boundary.sketch
    insert = subject.request("INSERT INTO note (text) VALUES (%s)", ["x"])

    assert {"count": 1, "lastrowid": 3} == sketch(insert, 3)
    assert {"count": 2, "lastrowid": 1} == sketch({**insert, "binds": [["x"], ["y"]], "many": True}, 1)
    assert {"count": 1} == sketch(subject.request("UPDATE note SET text = 'x'"), 1)
    for reply in (sketch(insert, 3), {"count": 1}):
        assert subject.boundary.answer(insert, reply)


def test_read_made_anew_gives_what_the_statement_gives(subject: Subject):
    """As if it had been recorded, with the driver's own types; the connection's state is the replay's."""
    one = subject.recorded(READ, (2,))
    expected = subject.run((READ, (2,)))[0]

    answer = subject.boundary.ask(decode(one.request), subject.environment)

    assert ["id", "name", "price", "data"] == answer["columns"]
    (found,) = subject.replayed({READ: answer}, (READ, (2,)))
    assert expected[:2] == found[:2]
    assert found[3] is True


def test_read_made_anew_takes_named_binds(subject: Subject):
    """The statement is asked as the app asked it."""
    sql = "SELECT %(a)s AS a, 'x%%' AS b"

    answer = subject.boundary.ask({**subject.request(sql), "binds": {"a": 5}}, subject.environment)

    assert [[5, "x%"]] == decode(answer["rows"])


def test_read_made_anew_cannot_write(subject: Subject):
    """The server refuses a procedure that writes, and the table is as it was."""
    with pytest.raises(Exception, match="READ ONLY") as caught:
        subject.boundary.ask(subject.request("DELETE FROM item"), subject.environment)

    assert caught.value.args[0] == 1792
    assert 3 == len(subject.run(("SELECT id FROM item", None))[0][0])


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"mysql": {"other": ""}}, "doesn't say where to ask mysql for"),
        ({"mysql": "postgresql://root@localhost/shop"}, "is no address of a MySQL server"),
        ({"mysql": "mysql://root:secret@localhost/shop?ssl_mode=off"}, "is no address of a MySQL server"),
    ],
)
def test_environment_that_names_no_server_is_an_error_that_says_what_to_change(
    subject: Subject, environment: dict[str, Any], message: str
):
    """Without its password."""
    with pytest.raises(SettingsError, match=message) as caught:
        subject.boundary.ask(subject.request("SELECT 1"), environment)
    assert "secret" not in str(caught.value)


def test_password_and_socket_of_an_address_are_taken_as_they_are_meant():
    """Percent signs stand for what a URL can't hold."""
    from pytest_fluxrun.boundaries.mysql.by_hand import place_of

    place = place_of({"mysql": "mysql+pymysql://u:a%40b@/?unix_socket=/run/my.sock"}, "shop")

    expected = {"host": "localhost", "port": 3306, "user": "u", "password": "a@b", "database": "shop"}
    assert {**expected, "unix_socket": "/run/my.sock"} == place
