"""What programs do with psycopg's sync connections: each returns whatever of it can be compared."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row, namedtuple_row, scalar_row


def connected(function: Callable[[Any], Any], **settings: Any) -> Callable[[Any], Any]:
    """An exercise that connects, and closes whatever happens."""

    def exercise(outside: Any) -> Any:
        with contextlib.closing(psycopg.connect(outside.dsn, **settings)) as connection:
            return function(connection)

    return exercise


def described(cursor: Any) -> Any:
    """A cursor's metadata."""
    columns = cursor.description and [(tuple(column), column.type_code) for column in cursor.description]
    return [columns, cursor.rowcount, cursor.statusmessage, cursor.rownumber]


def told(error: psycopg.Error) -> Any:
    """An error with all of its diagnostics."""
    names = [name for name in dir(error.diag) if not name.startswith("_") and not name.startswith("source")]
    return [type(error), str(error), error.sqlstate, {name: getattr(error.diag, name) for name in names}]


def status(connection: Any) -> Any:
    """The transaction's."""
    return connection.info.transaction_status.name


def select(connection: Any) -> Any:
    cursor = connection.execute("SELECT id, name, price, data, added FROM item WHERE id < %s ORDER BY id", (3,))
    return [cursor.fetchall(), described(cursor), cursor.fetchone(), status(connection)]


def row_factories(connection: Any) -> Any:
    class Item:
        def __init__(self, id: int, name: str) -> None:  # noqa: A002 - the column's name
            self.told = f"{id}:{name}"

    query = "SELECT id, name FROM item ORDER BY id"
    connection.row_factory = dict_row
    found: list[Any] = [connection.execute(query).fetchall()]
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        found.append([row._asdict() for row in cursor.execute(query)])
    with connection.cursor(row_factory=class_row(Item)) as cursor:
        found.append([row.told for row in cursor.execute(query)])
    with connection.cursor(row_factory=scalar_row) as cursor:
        found.append(list(cursor.execute(query)))
    return found


def fetches(connection: Any) -> Any:
    cursor = connection.execute("SELECT * FROM generate_series(1, 9)")
    cursor.arraysize = 2
    found = [cursor.fetchone(), cursor.fetchmany(), cursor.fetchmany(3)]
    cursor.scroll(-1)
    found.append([cursor.fetchone(), cursor.rownumber])
    cursor.scroll(0, mode="absolute")
    return [*found, list(cursor)]


def insert(connection: Any) -> Any:
    cursor = connection.execute("INSERT INTO note (text) VALUES (%s), (%s) RETURNING id, text", ("a", "b"))
    found = [cursor.fetchall(), described(cursor), status(connection)]
    connection.commit()
    return [*found, status(connection), connection.execute("SELECT text FROM note ORDER BY id").fetchall()]


def named(connection: Any) -> Any:
    cursor = connection.execute("SELECT %(b)s::text, %(a)s::int, %(b)s::text, 100 %% 7", {"a": 1, "b": "x"})
    return cursor.fetchall()


def multiple(connection: Any) -> Any:
    cursor = connection.execute("SELECT 1 AS a; UPDATE item SET price = 0; SELECT 'x' AS b, 2 AS c")
    found = [[cursor.fetchall() if cursor.description else None, described(cursor)]]
    while cursor.nextset():
        found.append([cursor.fetchall() if cursor.description else None, described(cursor)])
    return found


def many(connection: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO note (text) VALUES (%s)", [(str(number),) for number in range(20)])
        found = [cursor.rowcount, cursor.statusmessage, status(connection)]
        cursor.executemany("SELECT %s::int", ((number,) for number in (7, 8)), returning=True)
        results = [cursor.fetchall()]
        while cursor.nextset():
            results.append(cursor.fetchall())
    connection.commit()
    return [found, results, connection.execute("SELECT count(*), max(text) FROM note").fetchone()]


def many_fails(connection: Any) -> Any:
    with connection.cursor() as cursor:
        try:
            cursor.executemany("INSERT INTO note (text) VALUES (%s)", [("x",), ("y",), ("x",), ("z",)])
        except psycopg.errors.UniqueViolation as error:
            found = [told(error), status(connection)]
    connection.rollback()
    return [*found, connection.execute("SELECT count(*) FROM note").fetchone()]


def prepared(connection: Any) -> Any:
    found = [connection.execute("SELECT %s + 1", (number,)).fetchone() for number in range(9)]
    found.append(connection.execute("SELECT name FROM item WHERE id = %s", (1,), prepare=True).fetchall())
    connection.execute("ALTER TABLE note ADD COLUMN IF NOT EXISTS extra int")
    connection.rollback()
    found.append(connection.execute("SELECT name FROM item WHERE id = %s", (2,), prepare=True).fetchall())
    return [found, connection.prepare_threshold]


def prepared_fails(connection: Any) -> Any:
    with contextlib.suppress(psycopg.errors.UndefinedTable):
        connection.execute("SELECT %s FROM nowhere", (1,), prepare=True)
    return status(connection)


def client_cursor(connection: Any) -> Any:
    with psycopg.ClientCursor(connection) as cursor:
        cursor.execute("SELECT %s, %s, %s, %s, 5 %% 3", ("it's \\ here", 3, None, dt.date(2024, 1, 1)))
        found = [cursor.fetchall(), cursor.mogrify("SELECT %s", ["x'y"])]
        cursor.execute("SELECT id FROM item WHERE name = ANY(%(names)s)", {"names": ["one", "three"]})
        return [*found, cursor.fetchall()]


def raw_cursor(connection: Any) -> Any:
    with psycopg.RawCursor(connection) as cursor:
        return cursor.execute("SELECT $1::int + $2::int, '%'", (1, 2)).fetchall()


def composed(connection: Any) -> Any:
    query = sql.SQL("SELECT {} FROM {} WHERE id = {} ORDER BY {}").format(
        sql.SQL(", ").join(map(sql.Identifier, ("id", "name"))),
        sql.Identifier("item"),
        sql.Literal(2),
        sql.Identifier("id"),
    )
    return [
        connection.execute(query).fetchall(),
        query.as_string(connection),
        sql.Literal("a\\'b").as_string(connection),
    ]


def transactions(connection: Any) -> Any:
    states = []
    with connection.transaction():
        connection.execute("INSERT INTO note (text) VALUES ('kept')")
        states.append(status(connection))
        with contextlib.suppress(KeyError), connection.transaction():
            connection.execute("INSERT INTO note (text) VALUES ('lost')")
            raise KeyError
        with connection.transaction("mine", force_rollback=True):
            connection.execute("DELETE FROM note")
        with contextlib.suppress(psycopg.errors.DivisionByZero), connection.transaction():
            connection.execute("SELECT 1 / 0")
        states.append(status(connection))
    with connection.transaction() as transaction:
        connection.execute("DELETE FROM note")
        raise_ = psycopg.Rollback(transaction)
        states.append(repr(transaction)[:13])
        raise raise_
    states.append(status(connection))
    return [states, connection.execute("SELECT text FROM note").fetchall()]


def rolled_back(connection: Any) -> Any:
    connection.execute("UPDATE item SET price = 0")
    connection.rollback()
    return [status(connection), connection.execute("SELECT sum(price) FROM item").fetchone()]


def autocommit(connection: Any) -> Any:
    connection.autocommit = True
    connection.execute("INSERT INTO note (text) VALUES ('at once')")
    states = [status(connection)]
    with contextlib.suppress(psycopg.Error):
        connection.execute("INSERT INTO note (text) VALUES ('at once')")
    states.append(status(connection))
    with connection.transaction():
        states.append(status(connection))
    return [*states, connection.execute("SELECT count(*) FROM note").fetchone()]


def explicit(connection: Any) -> Any:
    connection.autocommit = True
    states = []
    for statement in (
        "BEGIN",
        "SAVEPOINT a",
        "SELECT 1 / 0",
        "ROLLBACK TO a",
        "RELEASE a",
        "COMMIT",
        "START TRANSACTION",
    ):
        with contextlib.suppress(psycopg.errors.DivisionByZero):
            connection.execute(statement)
        states.append(status(connection))
    return states


def isolation(connection: Any) -> Any:
    connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    connection.read_only = True
    try:
        connection.execute("INSERT INTO note (text) VALUES ('x')")
    except psycopg.errors.ReadOnlySqlTransaction as error:
        found = [told(error), status(connection)]
    connection.rollback()
    return [found, connection.execute("SHOW transaction_isolation").fetchone()]


def with_block(outside: Any) -> Any:
    with psycopg.connect(outside.dsn) as connection:
        connection.execute("INSERT INTO note (text) VALUES ('committed')")
    closed = [connection.closed, connection.broken]
    with contextlib.suppress(ZeroDivisionError), psycopg.connect(outside.dsn) as connection:
        connection.execute("INSERT INTO note (text) VALUES ('rolled back')")
        raise ZeroDivisionError
    with psycopg.connect(outside.dsn) as connection:
        return [closed, connection.execute("SELECT text FROM note").fetchall()]


def violations(connection: Any) -> Any:
    found = []
    for statement in (
        "INSERT INTO item (id, name) VALUES (1, 'again')",
        "INSERT INTO item (id) VALUES (9)",
        "INSERT INTO note (text, item_id) VALUES ('x', 99)",
        "SELECT 1 / 0",
        "SELECT nothing FROM item",
        "SELEC 1",
        "SELECT 'x'::int",
        "SELECT 1::numeric(2) + 'much too large for it'",
    ):
        try:
            connection.execute(statement)
        except psycopg.Error as error:
            found.append([told(error), status(connection)])
        connection.rollback()
    return found


def aborted(connection: Any) -> Any:
    with contextlib.suppress(psycopg.Error):
        connection.execute("SELECT 1 / 0")
    try:
        connection.execute("SELECT 2")
    except psycopg.errors.InFailedSqlTransaction as error:
        return [told(error), status(connection)]


def serialization(outside: Any) -> Any:
    with psycopg.connect(outside.dsn) as one, psycopg.connect(outside.dsn) as other:
        for connection in (one, other):
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT * FROM item").fetchall()
        one.execute("UPDATE item SET price = 7 WHERE id = 1")
        one.commit()
        try:
            other.execute("UPDATE item SET price = 8 WHERE id = 1")
        except psycopg.errors.SerializationFailure as error:
            found = [told(error), status(other)]
        other.rollback()
        other.execute("UPDATE item SET price = 8 WHERE id = 1")
        return [*found, other.execute("SELECT price FROM item WHERE id = 1").fetchone()]


def timed_out(connection: Any) -> Any:
    connection.execute("SET statement_timeout = 20")
    try:
        connection.execute("SELECT pg_sleep(5)")
    except psycopg.errors.QueryCanceled as error:
        return [told(error), status(connection)]


def locked(outside: Any) -> Any:
    with psycopg.connect(outside.dsn) as one, psycopg.connect(outside.dsn) as other:
        one.execute("SELECT * FROM item WHERE id = 1 FOR UPDATE")
        try:
            other.execute("SELECT * FROM item WHERE id = 1 FOR UPDATE NOWAIT")
        except psycopg.errors.LockNotAvailable as error:
            return told(error)


def deadlocked(outside: Any) -> Any:
    with psycopg.connect(outside.dsn) as one, psycopg.connect(outside.dsn) as other:
        one.execute("SET deadlock_timeout = '50ms'")
        other.execute("SET deadlock_timeout = '10s'")
        one.execute("UPDATE item SET price = 1 WHERE id = 1")
        other.execute("UPDATE item SET price = 1 WHERE id = 2")
        waiting = threading.Thread(target=other.execute, args=("UPDATE item SET price = 2 WHERE id = 1",))
        waiting.start()
        try:
            one.execute("UPDATE item SET price = 2 WHERE id = 2")
        except psycopg.errors.DeadlockDetected as error:
            found = [type(error), error.diag.message_primary, status(one)]
        one.rollback()
        waiting.join()
        other.rollback()
        return found


def notices(connection: Any) -> Any:
    seen: list[Any] = []
    connection.add_notice_handler(lambda diag: seen.append((diag.severity, diag.message_primary, diag.sqlstate)))
    connection.execute("SELECT warn('first')")
    seen.append("between")
    connection.execute("DROP TABLE IF EXISTS nowhere")
    return seen


def notifications(connection: Any) -> Any:
    connection.autocommit = True
    connection.execute("LISTEN fx_channel")
    connection.execute("NOTIFY fx_channel, 'one'")
    connection.execute("SELECT pg_notify('fx_channel', 'two')")
    found = [(one.channel, one.payload) for one in connection.notifies(timeout=0.5, stop_after=2)]
    found.extend((one.channel, one.payload) for one in connection.notifies(timeout=0))
    return found


def notify_handler(connection: Any) -> Any:
    connection.autocommit = True
    seen: list[Any] = []
    connection.add_notify_handler(lambda notify: seen.append((notify.channel, notify.payload)))
    connection.execute("LISTEN fx_channel")
    connection.execute("NOTIFY fx_channel, 'handled'")
    connection.execute("SELECT 1")
    return seen


def server_cursor(connection: Any) -> Any:
    with connection.cursor("mine", scrollable=True) as cursor:
        cursor.execute("SELECT n, n * 2 AS double FROM generate_series(1, %s) n", (12,))
        found = [described(cursor), cursor.fetchone(), cursor.fetchmany(3), cursor.rownumber]
        cursor.scroll(-2)
        found.append(cursor.fetchone())
        cursor.scroll(9, mode="absolute")
        found.append(cursor.fetchall())
    return found


def server_cursor_iterated(connection: Any) -> Any:
    with connection.cursor(f"c_{id(connection):x}_1") as cursor:
        cursor.itersize = 5
        cursor.execute("SELECT * FROM generate_series(1, 12)")
        return [list(cursor), cursor.name[:2]]


def server_cursor_binary(connection: Any) -> Any:
    with connection.cursor("hold", withhold=True, binary=True) as cursor:
        cursor.execute("SELECT id, price, added FROM item ORDER BY id")
        connection.commit()
        return [repr(cursor.fetchall()), described(cursor)]


def stream(connection: Any) -> Any:
    with connection.cursor() as cursor:
        found = [list(cursor.stream("SELECT n, 'x' || n FROM generate_series(1, %s) n", (5,)))]
        found.append([status(connection), cursor.rowcount])
        rows = cursor.stream("SELECT * FROM generate_series(1, 100000)")
        found.append([next(rows), next(rows)])
        rows.close()
    connection.rollback()
    return [*found, status(connection)]


def stream_fails(connection: Any) -> Any:
    with connection.cursor() as cursor:
        found = []
        try:
            found.extend(cursor.stream("SELECT 10 / (3 - n) FROM generate_series(1, 5) n"))
        except psycopg.errors.DivisionByZero as error:
            found.append([told(error), status(connection)])
        return found


def copy_out(connection: Any) -> Any:
    query = "COPY (SELECT id, name, price FROM item ORDER BY id) TO STDOUT"
    with connection.cursor() as cursor:
        with cursor.copy(query) as copy:
            found: list[Any] = [b"".join(map(bytes, copy))]
        found.append([cursor.rowcount, cursor.statusmessage])
        with cursor.copy("COPY item (id, name) TO STDOUT") as copy:
            copy.set_types(["int4", "text"])
            found.append(list(copy.rows()))
        with cursor.copy(f"{query} (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "text", "numeric"])
            found.append([copy.read_row(), copy.read_row(), copy.read_row(), copy.read_row()])
    return [found, status(connection)]


def copy_in(connection: Any) -> Any:
    with connection.cursor() as cursor:
        with cursor.copy("COPY note (id, text) FROM STDIN") as copy:
            copy.write_row((10, "written\tas a row"))
            copy.write_row((11, None))
            copy.write("12\tas text\n")
        found = [cursor.rowcount, cursor.statusmessage]
        with cursor.copy("COPY note (id, text) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "text"])
            copy.write_row((13, "binary"))
        connection.commit()
        return [found, cursor.rowcount, cursor.execute("SELECT id, text FROM note ORDER BY id").fetchall()]


def copy_fails(connection: Any) -> Any:
    found: list[Any] = []
    with connection.cursor() as cursor:
        try:
            with cursor.copy("COPY note (id, text) FROM STDIN") as copy:
                copy.write("1\tx\n1\ty\n")
        except psycopg.errors.UniqueViolation as error:
            found.append([told(error), status(connection)])
        connection.rollback()
        with contextlib.suppress(KeyError), cursor.copy("COPY note (id, text) FROM STDIN") as copy:
            copy.write_row((1, "x"))
            raise KeyError
        found.append(status(connection))
        connection.rollback()
        slow = "SELECT repeat('x', 9000), pg_sleep(CASE WHEN n > 3 THEN 2 ELSE 0 END) FROM generate_series(1, 9) n"
        with contextlib.suppress(KeyError), cursor.copy(f"COPY ({slow}) TO STDOUT") as copy:
            found.append(len(bytes(copy.read())))
            raise KeyError
        found.append(status(connection))
        connection.rollback()
    return [*found, connection.execute("SELECT count(*) FROM note").fetchone()]


def pipeline(connection: Any) -> Any:
    with connection.pipeline() as line, connection.cursor() as cursor, connection.cursor() as other:
        cursor.execute("INSERT INTO note (text) VALUES (%s) RETURNING id", ("piped",))
        other.execute("SELECT count(*) FROM note")
        found = [cursor.fetchall(), other.fetchone(), line.status.name]
        for number in range(7):
            cursor.execute("SELECT %s::int", (number,))
        line.sync()
        found.append([cursor.fetchone(), status(connection)])
        cursor.executemany("INSERT INTO note (text) VALUES (%s) RETURNING text", [("a",), ("b",)], returning=True)
        found.append([cursor.fetchall(), cursor.nextset(), cursor.fetchall()])
        with connection.transaction():
            cursor.execute("DELETE FROM note")
    connection.commit()
    return [found, status(connection), connection.execute("SELECT count(*) FROM note").fetchone()]


def pipeline_fails(connection: Any) -> Any:
    found: list[Any] = []
    try:
        with connection.pipeline() as line:
            connection.execute("INSERT INTO note (text) VALUES ('x')")
            connection.execute("INSERT INTO note (text) VALUES ('x')")
            line.sync()
    except psycopg.errors.UniqueViolation as error:
        found.append([told(error), status(connection)])
    connection.rollback()
    return [*found, status(connection)]


def information(connection: Any) -> Any:
    info = connection.info
    return [
        connection.execute("SELECT 1").fetchone(),
        (info.dbname, info.user, info.host, info.port, info.encoding, info.server_version, info.vendor, info.status),
        (info.error_message, info.pipeline_status, info.parameter_status("integer_datetimes"), info.password),
        sorted(info.get_parameters()),
        connection.closed,
        repr(connection)[:40],
    ]


def closed(connection: Any) -> Any:
    found = connection.execute("SELECT name FROM item WHERE id = 1")
    connection.close()
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError as error:
        return [str(error), found.fetchall(), connection.closed]


def misused(connection: Any) -> Any:
    found = []
    for call in (
        lambda: connection.execute("SELECT %s, %s", (1,)),
        lambda: connection.execute("SELECT %s", (object(),)),
        lambda: connection.execute("UPDATE item SET price = 1").fetchone(),
        lambda: connection.execute("COPY item TO STDOUT"),
    ):
        try:
            call()
        except psycopg.Error as error:
            found.append([type(error), str(error)[:40]])
    return found


def lost(connection: Any) -> Any:
    connection.execute("SELECT 1")
    try:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    except psycopg.OperationalError as error:
        return [type(error), str(error), error.sqlstate, connection.closed, connection.broken, status(connection)]


def empty(connection: Any) -> Any:
    cursor = connection.execute("")
    try:
        cursor.fetchall()
    except psycopg.ProgrammingError as error:
        return [str(error), described(cursor), connection.execute("SELECT").fetchall()]


def large(connection: Any) -> Any:
    rows = connection.execute("SELECT n, md5(n::text), n::numeric / 3 FROM generate_series(1, 2000) n").fetchall()
    return [len(rows), rows[-1], sum(row[0] for row in rows)]
