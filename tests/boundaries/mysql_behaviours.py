"""What programs do with MySQL's drivers, once for all of them: blocking ones and those that are awaited."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

__all__ = ["Driver", "behaviours", "done", "shown"]


async def done(result: Any) -> Any:
    """A result, awaited where the driver is."""
    return await result if inspect.isawaitable(result) else result


@dataclass(frozen=True)
class Driver:
    """A driver's own names.

    Args:
        connect: opens a connection; awaited where it is awaitable.
        errors: where its exceptions are.
        cursors: where its cursor classes are.
        database: the name of the argument that names the database.
        close: closes a connection.
        changed: arguments that another name has here; None: there is none.
    """

    connect: Callable[..., Any]
    errors: Any
    cursors: Any
    database: str = "database"
    blocking: bool = True
    close: Callable[[Any], Any] = field(default=lambda connection: connection.close())


class Opened:
    """A connection with what its driver calls its things."""

    def __init__(self, driver: Driver, connection: Any, outside: Any) -> None:
        self.driver = driver
        self.connection = connection
        self.outside = outside
        self.errors = driver.errors

    async def cursor(self, kind: str = "") -> Any:
        classes = (getattr(self.driver.cursors, kind),) if kind else ()
        return await done(self.connection.cursor(*classes))

    async def run(self, sql: str, binds: Any = None, *, kind: str = "") -> Any:
        """A cursor that has executed a statement."""
        cursor = await self.cursor(kind)
        await done(cursor.execute(sql, binds))
        return cursor

    async def rows(self, sql: str, binds: Any = None, *, kind: str = "") -> Any:
        return await done((await self.run(sql, binds, kind=kind)).fetchall())

    async def refused(self, function: Callable[..., Any], *args: Any, **settings: Any) -> Any:
        """How a call fails: the type, the arguments."""
        try:
            await done(function(*args, **settings))
        except Exception as error:
            return [type(error), error.args, str(error)]
        return None


def shown(rows: Any) -> Any:
    """Rows with the types of what is in them."""
    return [[(type(column).__name__, column) for column in row] for row in rows]


async def select(db: Any) -> Any:
    cursor = await db.run("SELECT id, name, price, data FROM item WHERE id < %s ORDER BY id", (3,))
    return [await done(cursor.fetchall()), cursor.description, cursor.rowcount, await done(cursor.fetchone())]


async def types(db: Any) -> Any:
    cursor = await db.run("SELECT * FROM every_type ORDER BY id")
    return [shown(await done(cursor.fetchall())), cursor.description]


async def expressions(db: Any) -> Any:
    return shown(
        await db.rows("SELECT 1, -1.50, 1e3, 'ä😀', x'FF00', NULL, NOW() > '2020-01-01', JSON_EXTRACT('[[1]]', '$[0]')")
    )


async def zero_dates(db: Any) -> Any:
    return shown(await db.rows("SELECT i, j FROM every_type WHERE id = 2"))


async def fetches(db: Any) -> Any:
    cursor = await db.run("SELECT id FROM item ORDER BY id")
    cursor.arraysize = 2
    first = [await done(cursor.fetchone()), await done(cursor.fetchmany())]
    return [*first, await done(cursor.fetchmany(5)), await done(cursor.fetchone()), cursor.rownumber]


async def scroll(db: Any) -> Any:
    cursor = await db.run("SELECT id FROM item ORDER BY id")
    await done(cursor.scroll(2))
    last = await done(cursor.fetchone())
    await done(cursor.scroll(0, mode="absolute"))
    return [last, await done(cursor.fetchone())]


async def no_rows(db: Any) -> Any:
    cursor = await db.run("SELECT id, name FROM item WHERE id = 99")
    return [await done(cursor.fetchall()), await done(cursor.fetchone()), cursor.rowcount, cursor.description]


async def dicts(db: Any) -> Any:
    return await db.rows("SELECT id, name, item.id FROM item ORDER BY id", kind="DictCursor")


async def streamed(db: Any) -> Any:
    cursor = await db.run("SELECT id, name FROM item ORDER BY id", kind="SSCursor")
    first = await done(cursor.fetchone())
    return [first, cursor.rowcount, await done(cursor.fetchmany(1)), await done(cursor.fetchall()), cursor.rownumber]


async def streamed_dicts(db: Any) -> Any:
    cursor = await db.run("SELECT id, name FROM item ORDER BY id", kind="SSDictCursor")
    return [await done(cursor.fetchone()), await done(cursor.fetchall())]


async def streamed_in_part(db: Any) -> Any:
    cursor = await db.run("SELECT id, name FROM item ORDER BY id", kind="SSCursor")
    first = await done(cursor.fetchone())
    await done(cursor.close())
    return [first, await db.rows("SELECT COUNT(*) FROM item")]


async def two_cursors(db: Any) -> Any:
    first, second = await db.run("SELECT id FROM item ORDER BY id"), await db.run("SELECT name FROM item ORDER BY id")
    fetched = [await done(cursor.fetchone()) for cursor in (first, second, first)]
    return [fetched, await done(first.fetchall()), await done(second.fetchall())]


async def insert(db: Any) -> Any:
    cursor = await db.run("INSERT INTO note (text) VALUES (%s)", ("hello",))
    state = [cursor.lastrowid, cursor.rowcount, cursor.description, db.connection.insert_id()]
    await done(db.connection.commit())
    return [state, await db.rows("SELECT id, text FROM note")]


async def update(db: Any) -> Any:
    changed = await db.run("UPDATE item SET price = price + %s WHERE id < %s", (1, 3))
    unchanged = await db.run("UPDATE item SET price = price WHERE id = 1")
    counts = [changed.rowcount, unchanged.rowcount, db.connection.affected_rows()]
    await done(db.connection.rollback())
    return [counts, await db.rows("SELECT price FROM item ORDER BY id")]


async def named(db: Any) -> Any:
    return await db.rows("SELECT name FROM item WHERE id = %(id)s OR name = %(name)s", {"id": 1, "name": "zwölf €"})


async def listed(db: Any) -> Any:
    return await db.rows("SELECT name FROM item WHERE id IN %s ORDER BY id", ((3, 1),))


async def returning(db: Any) -> Any:
    cursor = await db.run("INSERT INTO note (text) VALUES ('r') RETURNING id, text")
    rows = await done(cursor.fetchall())
    await done(db.connection.commit())
    return [rows, cursor.rowcount, cursor.lastrowid]


async def many(db: Any) -> Any:
    cursor = await db.cursor()
    await done(cursor.executemany("INSERT INTO note (text) VALUES (%s)", [(str(number),) for number in range(5)]))
    state = [cursor.rowcount, cursor.lastrowid]
    await done(db.connection.commit())
    return [state, await db.rows("SELECT id, text FROM note ORDER BY id")]


async def many_named(db: Any) -> Any:
    cursor = await db.cursor()
    rows = [{"text": "a", "secret": 1}, {"text": "b", "secret": None}]
    sql = "INSERT INTO note (text, secret) VALUES (%(text)s, %(secret)s) ON DUPLICATE KEY UPDATE secret = 0"
    await done(cursor.executemany(sql, rows))
    return [cursor.rowcount, await db.rows("SELECT text, secret FROM note ORDER BY id")]


async def many_in_pieces(db: Any) -> Any:
    cursor = await db.cursor()
    cursor.max_stmt_length = 60
    await done(cursor.executemany("INSERT INTO note (text) VALUES (%s)", [(str(number),) for number in range(9)]))
    return [cursor.rowcount, await db.rows("SELECT COUNT(*) FROM note")]


async def many_updates(db: Any) -> Any:
    cursor = await db.cursor()
    await done(cursor.executemany("UPDATE item SET price = %s WHERE id = %s", [(9, 1), (8, 2)]))
    rowcount = cursor.rowcount
    await done(db.connection.rollback())
    return [rowcount, await db.rows("SELECT price FROM item ORDER BY id")]


async def procedure(db: Any) -> Any:
    cursor = await db.cursor()
    args = await done(cursor.callproc("twice", (21, 0)))
    results = [await done(cursor.fetchall())]
    while await done(cursor.nextset()):
        results.append(await done(cursor.fetchall()) if cursor.description else cursor.rowcount)
    await done(cursor.execute("SELECT @_twice_0, @_twice_1"))
    return [args, results, await done(cursor.fetchall())]


async def several_results(db: Any) -> Any:
    cursor = await db.run("SELECT 1 AS one; INSERT INTO note (text) VALUES ('x'); SELECT 'two' AS two")
    results = []
    while True:
        results.append([cursor.description, await done(cursor.fetchall()) if cursor.description else cursor.lastrowid])
        if not await done(cursor.nextset()):
            return results


async def several_results_left(db: Any) -> Any:
    cursor = await db.run("SELECT 1 AS one; SELECT 'two' AS two")
    return [await done(cursor.fetchall()), await db.rows("SELECT 3")]


async def error_in_a_later_result(db: Any) -> Any:
    cursor = await db.run("SELECT 1; SELECT * FROM nowhere")
    return [await done(cursor.fetchall()), await db.refused(cursor.nextset), await db.rows("SELECT 1 + 1")]


async def error_in_rows(db: Any) -> Any:
    sql = "SELECT id, (SELECT i.id FROM item i WHERE i.id >= item.id) FROM item ORDER BY id DESC"
    cursor = await db.cursor("SSCursor")
    return [await db.refused(cursor.execute, sql), await db.refused(cursor.fetchall), await db.rows("SELECT 1 + 1")]


async def warned(db: Any) -> Any:
    await db.run("SET sql_mode = ''")
    cursor = await db.run("INSERT INTO note (text) VALUES ('this is longer than it may be')")
    return [await db.rows("SHOW WARNINGS"), cursor.rowcount]


async def transactions(db: Any) -> Any:
    await done(db.connection.begin())
    await db.run("INSERT INTO note (text) VALUES ('kept')")
    await done(db.connection.commit())
    await db.run("INSERT INTO note (text) VALUES ('not kept')")
    await done(db.connection.rollback())
    return await db.rows("SELECT text FROM note")


async def savepoints(db: Any) -> Any:
    await db.run("START TRANSACTION")
    for sql in (
        "SAVEPOINT a",
        "INSERT INTO note (text) VALUES ('x')",
        "ROLLBACK TO SAVEPOINT a",
        "RELEASE SAVEPOINT a",
    ):
        await db.run(sql)
    await done(db.connection.commit())
    return await db.rows("SELECT COUNT(*) FROM note")


async def autocommit(db: Any) -> Any:
    states = [db.connection.get_autocommit()]
    for wanted in (True, True, False):
        await done(db.connection.autocommit(wanted))
        states.append(db.connection.get_autocommit())
    return [states, await db.rows("SELECT @@autocommit")]


async def another_database(db: Any) -> Any:
    before = await db.rows("SELECT DATABASE()")
    await done(db.connection.select_db("fluxrun_other"))
    return [before, await db.rows("SELECT DATABASE()"), await db.refused(db.connection.select_db, "nowhere")]


async def charset(db: Any) -> Any:
    other = Opened(db.driver, await done(connected(db.driver, db.outside, charset="latin1")), db.outside)
    try:
        return [await other.rows("SELECT %s, y, @@character_set_client FROM every_type WHERE id = 1", ("ü",))]
    finally:
        await done(db.driver.close(other.connection))


async def ping(db: Any) -> Any:
    return [await done(db.connection.ping(False)), await db.rows("SELECT 1")]


async def duplicate(db: Any) -> Any:
    await db.run("INSERT INTO note (text) VALUES ('twice')")
    told = await db.refused(db.run, "INSERT INTO note (text) VALUES (%s)", ("twice",))
    await done(db.connection.rollback())
    return [told, await db.rows("SELECT COUNT(*) FROM note")]


async def duplicate_of_many(db: Any) -> Any:
    cursor = await db.cursor()
    return await db.refused(cursor.executemany, "INSERT INTO note (text) VALUES (%s)", [("a",), ("b",), ("a",)])


async def foreign_key(db: Any) -> Any:
    await db.run("INSERT INTO part VALUES (1, 99)")


async def not_null(db: Any) -> Any:
    await db.run("INSERT INTO note (text) VALUES (NULL)")


async def syntax(db: Any) -> Any:
    await db.run("SELEC 1")


async def no_table(db: Any) -> Any:
    await db.run("SELECT * FROM nowhere WHERE id = %s", (1,))


async def too_long(db: Any) -> Any:
    await db.run("INSERT INTO note (text) VALUES (%s)", ("x" * 21,))


async def deadlock(db: Any) -> Any:
    await db.run("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock found; try again'")


async def locked(db: Any) -> Any:
    await db.run("UPDATE item SET price = 0 WHERE id = 1")
    other = await done(connected(db.driver, db.outside))
    try:
        waiting = Opened(db.driver, other, db.outside)
        return await db.refused(waiting.run, "SELECT * FROM item WHERE id = 1 FOR UPDATE NOWAIT")
    finally:
        await done(db.driver.close(other))


async def too_few_binds(db: Any) -> Any:
    return [await db.refused(db.run, "SELECT %s, %s", (1,)), await db.rows("SELECT 1")]


async def killed(db: Any) -> Any:
    first = await db.refused(db.run, "KILL CONNECTION_ID()")
    error = (await db.refused(db.run, "SELECT 1"))[0]
    return [first is not None, issubclass(error, db.errors.OperationalError)]


async def closed(db: Any) -> Any:
    await done(db.driver.close(db.connection))
    return (await db.refused(db.run, "SELECT 1"))[0]


async def long_texts(db: Any) -> Any:
    rows = await db.rows("SELECT REPEAT('ä', 70000), REPEAT('x', %s), REPEAT('y', 300)", (1 << 20,))
    return [len(column) for column in rows[0]]


async def percent(db: Any) -> Any:
    return [await db.rows("SELECT '100%'"), await db.rows("SELECT '100%%', %s", ("%s",))]


async def server(db: Any) -> Any:
    return [db.connection.get_server_info(), await db.rows("SELECT VERSION()"), db.connection.get_proto_info()]


BEHAVIOURS = (
    select, types, expressions, zero_dates, fetches, scroll, no_rows, dicts, streamed, streamed_dicts, streamed_in_part,
    two_cursors, insert, update, named, listed, returning, many, many_named, many_in_pieces, many_updates, procedure,
    several_results, several_results_left, error_in_a_later_result, error_in_rows, warned, transactions, savepoints,
    autocommit, another_database, charset, ping, duplicate, duplicate_of_many, foreign_key, not_null, syntax, no_table,
    too_long, deadlock, locked, too_few_binds, killed, closed, long_texts, percent, server,
)  # fmt: skip


def connected(driver: Driver, outside: Any, **settings: Any) -> Any:
    """A connection to the outside's database, to be awaited where the driver is."""
    database = {driver.database: outside.database}
    return driver.connect(**{**outside.settings, **database, "charset": "utf8mb4", **settings})


def behaviour(driver: Driver, function: Callable[[Any], Any], **settings: Any) -> Callable[[Any], Any]:
    """An exercise: a behaviour with a connection that it opens, and closes whatever happens."""

    async def opened(outside: Any) -> Any:
        try:
            connection = await done(connected(driver, outside, **settings))
        except (TypeError, AttributeError) as error:
            pytest.fail(f"connecting raised {error!r}")
        try:
            return await function(Opened(driver, connection, outside))
        except (TypeError, AttributeError) as error:  # an exercise that is wrong everywhere would compare equal
            pytest.fail(f"{function.__name__} raised {error!r}")
        finally:
            with contextlib.suppress(driver.errors.Error):
                await done(driver.close(connection))

    def blocking(outside: Any) -> Any:
        try:
            opened(outside).send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("a blocking driver has nothing to wait for")

    return blocking if driver.blocking else opened


def behaviours(driver: Driver, *, multi: dict[str, Any], without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """All exercises of a driver.

    Args:
        multi: settings with which a connection takes several statements at once.
        without: behaviours for which the driver has nothing.
    """

    async def denied(db: Any) -> Any:
        return await db.refused(_opening, db, user="fluxrun", password="wrong")

    async def unreachable(db: Any) -> Any:
        told = await db.refused(_opening, db, port=db.outside.refused)
        return told and told[1][0]  # the text names the socket

    async def no_database(db: Any) -> Any:
        return await db.refused(_opening, db, **{driver.database: "nowhere"})

    async def _opening(db: Any, /, **settings: Any) -> Any:
        await done(driver.close(await done(connected(driver, db.outside, **settings))))

    return {
        function.__name__: behaviour(
            driver, function, **(multi if "several" in function.__name__ or "later" in function.__name__ else {})
        )
        for function in (*BEHAVIOURS, denied, unreachable, no_database)
        if function.__name__ not in without
    }
