"""What psycopg2 does against a PostgreSQL: each returns all that a program could see of it."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions
import psycopg2.extras
import psycopg2.pool
from psycopg2 import sql

from conftest import POSTGRES_DATABASE
from tests.boundaries.forwarded import Forwarded

__all__ = ["BEHAVIOURS", "connected"]

BEHAVIOURS: dict[str, Callable[[Any], Any]] = {}
ORDERS = "CREATE TEMP TABLE orders(id int PRIMARY KEY, name text, total numeric, tags text[], extra jsonb)"
NUMBERS = "SELECT g AS n, 'x' || g AS t FROM generate_series(1, %s) g"
SHARED = "DROP TABLE IF EXISTS fx_pg2_shared; CREATE TABLE fx_pg2_shared(id int PRIMARY KEY, n int)"


def behaviour(name: str) -> Callable[[Any], Any]:
    def add(function: Any) -> Any:
        BEHAVIOURS[name] = function
        return function

    return add


def address(server: Forwarded) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": server.port,
        "user": "postgres",
        "dbname": POSTGRES_DATABASE,
        "sslmode": "disable",
    }


@contextmanager
def connected(server: Forwarded, **options: Any) -> Iterator[Any]:
    connection = psycopg2.connect(**address(server), **options)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def asking(server: Forwarded, **options: Any) -> Iterator[Any]:
    """A cursor."""
    with connected(server, **options) as connection, connection.cursor() as cursor:
        yield cursor


def seen(error: Any) -> Any:
    """An error as a program sees it."""
    diag = getattr(error, "diag", None)
    fields = (
        "severity",
        "sqlstate",
        "message_primary",
        "message_detail",
        "table_name",
        "constraint_name",
        "column_name",
    )
    return (
        type(error),
        str(error),
        error.args,
        error.pgcode,
        error.pgerror,
        [getattr(diag, name, None) for name in fields],
    )


def failure(call: Callable[..., Any], *args: Any) -> Any:
    try:
        return call(*args)
    except psycopg2.Error as error:
        return seen(error)


def state(cursor: Any) -> Any:
    """What a cursor and its connection tell after a statement."""
    described = cursor.description and [
        (column.name, *column[1:], column.table_column) for column in cursor.description
    ]
    connection = cursor.connection
    return (
        *(
            described,
            cursor.rowcount,
            cursor.rownumber,
            cursor.statusmessage,
            cursor.query,
            cursor.lastrowid,
            cursor.name,
        ),
        *(connection.status, connection.get_transaction_status(), connection.info.transaction_status),
    )


@behaviour("connects and closes")
def connects(server: Forwarded) -> Any:
    with connected(server, password="s3cret", application_name="fx") as connection:
        known = connection.server_version, connection.encoding, connection.protocol_version, connection.closed
        more = connection.get_parameter_status("TimeZone"), connection.info.server_version, connection.status
        asked = connection.info.dbname, connection.info.user, connection.get_dsn_parameters()["application_name"]
        shown = "s3cret" in connection.dsn, repr(connection.autocommit), connection.isolation_level
    return known, more, asked, shown, connection.closed, failure(connection.cursor)


@behaviour("execute and fetch")
def fetches(server: Forwarded) -> Any:
    with asking(server) as cursor:
        cursor.execute(ORDERS)
        insert = "INSERT INTO orders VALUES (%s, %s, %s, %s, %s)"
        cursor.execute(insert, (1, "ä'\\", decimal.Decimal("1.50"), ["a", None], psycopg2.extras.Json({"n": [1]})))
        added = state(cursor)
        cursor.execute("INSERT INTO orders(id, name) VALUES (%(id)s, %(name)s) RETURNING id", {"id": 2, "name": None})
        returned = state(cursor), cursor.fetchone(), cursor.fetchone()
        cursor.execute("SELECT * FROM orders ORDER BY id")
        return added, returned, state(cursor), cursor.fetchall(), cursor.fetchall(), state(cursor)


@behaviour("fetching in pieces, and iterating")
def pieces(server: Forwarded) -> Any:
    with asking(server) as cursor:
        cursor.execute(NUMBERS, (10,))
        taken = [cursor.fetchone(), cursor.fetchmany(2), cursor.rownumber, next(cursor), cursor.fetchmany()]
        taken += [list(cursor), cursor.fetchone(), cursor.fetchmany(3), cursor.rownumber]
        cursor.execute(NUMBERS, (5,))
        for row in cursor:
            if row[0] == 2:
                break
        return taken, cursor.fetchone(), cursor.rownumber


@behaviour("scrolling")
def scrolling(server: Forwarded) -> Any:
    with asking(server) as cursor:
        cursor.execute(NUMBERS, (6,))
        taken = [cursor.fetchmany(2)]
        cursor.scroll(2)
        taken.append(cursor.fetchone())
        cursor.scroll(0, mode="absolute")
        return taken, cursor.fetchall(), failure(cursor.scroll, 9)


@behaviour("nothing to fetch")
def nothing(server: Forwarded) -> Any:
    with asking(server) as cursor:
        unasked = failure(cursor.fetchall)
        cursor.execute(ORDERS)
        none = failure(cursor.fetchone), cursor.description
        cursor.execute("SELECT * FROM orders")
        empty = cursor.fetchone(), cursor.fetchall(), list(cursor), cursor.rowcount
        cursor.close()
        return unasked, none, empty, failure(cursor.fetchall), failure(cursor.execute, "SELECT 1")


@behaviour("many at once")
def many(server: Forwarded) -> Any:
    with asking(server) as cursor:
        cursor.execute(ORDERS)
        insert = "INSERT INTO orders(id, name) VALUES (%s, %s)"
        cursor.executemany(insert, ((n, f"n{n}") for n in range(3)))
        done = state(cursor)
        psycopg2.extras.execute_batch(cursor, insert, [(10, "a"), (11, "ö'")])
        values = "INSERT INTO orders(id, name) VALUES %s RETURNING id"
        ids = psycopg2.extras.execute_values(cursor, values, [(20, "b\\"), (21, None)], fetch=True)
        wrong = failure(cursor.executemany, insert, [(30, "x"), (1, "y")])
        return done, ids, wrong


@behaviour("commit, roll back, and with")
def transactions(server: Forwarded) -> Any:
    with connected(server) as connection:
        cursor = connection.cursor()
        cursor.execute(ORDERS)
        connection.commit()
        seen_status = [connection.status]
        connection.commit()
        cursor.execute("INSERT INTO orders(id) VALUES (1)")
        seen_status.append(connection.status)
        connection.rollback()
        with connection, connection.cursor() as other:
            other.execute("INSERT INTO orders(id) VALUES (2)")
        try:
            with connection, connection.cursor() as other:
                other.execute("INSERT INTO orders(id) VALUES (3)")
                raise LookupError
        except LookupError:
            seen_status.append(connection.get_transaction_status())
        cursor.execute("SELECT id FROM orders")
        return seen_status, cursor.fetchall()


@behaviour("savepoint after an error")
def savepoints(server: Forwarded) -> Any:
    with asking(server) as cursor:
        cursor.execute(ORDERS)
        cursor.execute("INSERT INTO orders(id) VALUES (1)")
        cursor.execute("SAVEPOINT one")
        failed = failure(cursor.execute, "INSERT INTO orders(id) VALUES (%s)", (1,))
        status = cursor.connection.get_transaction_status(), cursor.connection.info.transaction_status
        aborted = failure(cursor.execute, "SELECT 1")
        cursor.execute("ROLLBACK TO SAVEPOINT one")
        cursor.execute("SELECT count(*) FROM orders")
        return failed, status, aborted, cursor.fetchall(), cursor.connection.get_transaction_status()


@behaviour("autocommit and sessions")
def sessions(server: Forwarded) -> Any:
    with connected(server) as connection:
        connection.set_session(isolation_level="SERIALIZABLE", readonly=True, deferrable=False)
        cursor = connection.cursor()
        cursor.execute("SHOW transaction_isolation")
        kept = cursor.fetchone(), connection.isolation_level, connection.readonly, connection.deferrable
        refused = failure(cursor.execute, "CREATE TABLE fx_pg2_never(id int)")
        inside = failure(lambda: connection.set_session(readonly=False))
        connection.rollback()
        connection.readonly = None
        connection.autocommit = True
        cursor.execute("SELECT 1")
        alone = connection.status, connection.get_transaction_status(), connection.autocommit
        cursor.execute("BEGIN")
        begun = connection.get_transaction_status()
        cursor.execute("COMMIT")
        connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_READ_COMMITTED)
        cursor.execute("SELECT 2")
        return kept, refused, inside, alone, begun, connection.status, connection.isolation_level


@behaviour("rows as dictionaries, named tuples")
def factories(server: Forwarded) -> Any:
    found = []
    for factory in (psycopg2.extras.DictCursor, psycopg2.extras.RealDictCursor, psycopg2.extras.NamedTupleCursor):
        with connected(server, cursor_factory=factory) as connection, connection.cursor() as cursor:
            cursor.execute(NUMBERS, (4,))
            one = cursor.fetchone()
            more = cursor.fetchmany(1)
            rest = list(cursor)
            found.append((type(one).__name__, repr(one), repr(more), repr(rest), isinstance(cursor, factory)))
            cursor.execute(NUMBERS, (2,))
            found.append(repr(cursor.fetchall()))
    return found


@behaviour("factories of the program's own")
def own(server: Forwarded) -> Any:
    class Shouting(psycopg2.extras.DictCursor):
        def execute(self, query: Any, values: Any = None) -> Any:
            return super().execute(query.upper(), values)

    class Counting(psycopg2.extensions.connection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.commits = 0

        def commit(self) -> None:
            self.commits += 1
            super().commit()

    with connected(server, connection_factory=Counting, cursor_factory=Shouting) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("select 1 as one, 'a' as a")
            row = cursor.fetchone()
        return connection.commits, row["one"], row["a"], cursor.query, isinstance(connection, Counting)


@behaviour("named cursors")
def named(server: Forwarded) -> Any:
    with connected(server) as connection:
        with connection.cursor("one") as cursor:
            cursor.itersize = 3
            cursor.execute(NUMBERS, (8,))
            before = cursor.name, cursor.rowcount
            taken = [
                cursor.fetchone(),
                cursor.fetchmany(2),
                list(cursor),
                cursor.fetchone(),
                cursor.fetchall(),
            ]
        with connection.cursor("two", withhold=True, scrollable=True) as cursor:
            cursor.execute(NUMBERS, (3,))
            connection.commit()
            held = cursor.fetchall(), cursor.withhold, cursor.scrollable
        with connection.cursor("three", cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(NUMBERS, (2,))
            return before, taken, held, repr(list(cursor))


@behaviour("COPY out")
def copied_out(server: Forwarded) -> Any:
    with asking(server) as cursor:
        cursor.execute(ORDERS)
        cursor.execute("INSERT INTO orders SELECT g, 'ä' || g FROM generate_series(1, 5) g")
        data, text, plain = io.BytesIO(), io.StringIO(), io.StringIO()
        cursor.copy_expert("COPY (SELECT id, name FROM orders) TO STDOUT WITH CSV", data)
        count = cursor.rowcount
        cursor.copy_expert(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier("orders")), text)
        cursor.copy_to(plain, "orders", columns=("id", "name"), sep="|")
        wrong = failure(cursor.copy_to, io.StringIO(), "fx_pg2_nowhere")
        return count, data.getvalue(), text.getvalue(), plain.getvalue(), wrong


@behaviour("COPY in")
def copied_in(server: Forwarded) -> Any:
    with asking(server) as cursor:
        cursor.execute(ORDERS)
        cursor.copy_expert("COPY orders(id, name) FROM STDIN WITH CSV", io.StringIO("1,ä\n2,b\n"))
        count = cursor.rowcount
        cursor.copy_from(io.BytesIO(b"3|c\n"), "orders", columns=("id", "name"), sep="|")
        cursor.execute("SELECT id, name FROM orders ORDER BY id")
        found = cursor.fetchall()
        return count, found, failure(cursor.copy_from, io.StringIO("x\n"), "orders")


@behaviour("procedures")
def procedures(server: Forwarded) -> Any:
    with asking(server) as cursor:
        given = cursor.callproc("generate_series", [1, 3])
        rows = cursor.fetchall()
        cursor.callproc("make_interval", {"days": 2})
        return given, rows, cursor.fetchall(), failure(cursor.callproc, "fx_pg2_nowhere", [1])


@behaviour("mogrify and composed statements")
def composed(server: Forwarded) -> Any:
    with asking(server) as cursor:
        connection = cursor.connection
        text = cursor.mogrify("SELECT %s, %s, %s, %s", ("ä'\\", b"\x00x", [1, "y"], dt.date(2026, 5, 4)))
        query = sql.SQL("SELECT {} AS {}, {}").format(sql.Literal("q'"), sql.Identifier('a "b"'), sql.Placeholder("p"))
        written = query.as_string(connection)
        cursor.execute(query, {"p": 5})
        name = psycopg2.extensions.quote_ident('x"y', connection)
        adapted = psycopg2.extensions.adapt("ü'")
        adapted.prepare(connection)
        return text, written, cursor.fetchall(), cursor.description[0].name, name, adapted.getquoted(), cursor.query


@behaviour("types as in the database")
def types(server: Forwarded) -> Any:
    at = dt.datetime(2026, 5, 4, 3, 2, 1, 6, tzinfo=dt.UTC)
    given = [
        at,
        at.replace(tzinfo=None),
        at.date(),
        at.time(),
        dt.timedelta(days=40, seconds=3),
        2**40,
        1.5,
        True,
        None,
    ]
    with asking(server) as cursor:
        cursor.execute("SELECT " + ", ".join("%s" for _ in given), given)
        plain = cursor.fetchone()
        cursor.execute(
            "SELECT 'NaN'::numeric::text, 1.500::numeric, '{1,NULL}'::int[], '{{a,\"b c\"}}'::text[], "
            "'1 day'::interval, "
            "'a'::\"char\", '{\"a\": [1]}'::json, '[null]'::jsonb, '1'::money, '10.0.0.0/8'::cidr, 'a b'::tsvector, "
            "ROW(1, 'x'), 'infinity'::float8, '{t,f}'::bool[], '{1.5}'::numeric[], 5::oid, '03:02:01+02'::timetz"
        )
        odd = cursor.fetchone()
        cursor.execute("SELECT %s::bytea, 'x'::bytea", (b"\x00\xff",))
        data = [bytes(value) for value in cursor.fetchone()]
        return plain, [type(value) for value in plain], odd, [type(value) for value in odd], data


@behaviour("ranges, UUIDs, networks")
def registered(server: Forwarded) -> Any:
    psycopg2.extras.register_uuid()
    with asking(server) as cursor:
        number = psycopg2.extras.NumericRange(1, 5, "[]")
        moments = psycopg2.extras.DateTimeTZRange(dt.datetime(2026, 5, 4, tzinfo=dt.UTC), None)
        cursor.execute("SELECT %s, %s, %s::int4range[], %s", (number, moments, [number], uuid.UUID(int=7)))
        found = cursor.fetchone()
        cursor.execute(
            "SELECT 'empty'::int4range, '[2026-05-04,2026-05-06)'::daterange, '(1.5,)'::numrange, '{}'::int4range[]"
        )
        return found, cursor.fetchone(), [type(value) for value in found]


@behaviour("composites, hstore, typecasters and adapters")
def casters(server: Forwarded) -> Any:
    class Point:
        def __init__(self, x: float, y: float) -> None:
            self.x, self.y = x, y

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

        __hash__ = None  # type: ignore[assignment]

    with connected(server) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "DROP SCHEMA IF EXISTS fx_pg2 CASCADE; CREATE SCHEMA fx_pg2; CREATE TYPE fx_pg2.spot AS (name text, n int)"
        )
        psycopg2.extras.register_composite("fx_pg2.spot", cursor)
        psycopg2.extras.register_default_jsonb(connection, loads=lambda text: ("json", text))
        psycopg2.extensions.register_adapter(
            Point, lambda point: psycopg2.extensions.AsIs(f"'({point.x},{point.y})'::point")
        )
        cursor.execute("SELECT NULL::point")
        (oid,) = {column.type_code for column in cursor.description}
        cast = psycopg2.extensions.new_type(
            (oid,), "POINT", lambda text, _: None if text is None else Point(*map(float, text[1:-1].split(",")))
        )
        psycopg2.extensions.register_type(cast, connection)
        cursor.execute(
            "SELECT ROW('a', 1)::fx_pg2.spot, ARRAY[ROW('b\"', NULL)::fx_pg2.spot], '{\"a\": 1}'::jsonb, %s",
            (Point(1, 2),),
        )
        spot, spots, loaded, point = cursor.fetchone()
        return repr(spot), spot.name, repr(spots), loaded, point == Point(1, 2), cursor.query


@behaviour("errors of statements")
def errors(server: Forwarded) -> Any:
    with connected(server) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("CREATE TEMP TABLE b(id int NOT NULL, n int CONSTRAINT positive CHECK (n > 0))")
        return [
            failure(cursor.execute, "SELEC 1"),
            failure(cursor.execute, "SELECT * FROM fx_pg2_nowhere"),
            failure(cursor.execute, "SELECT 1/%s", (0,)),
            failure(cursor.execute, "INSERT INTO b VALUES (NULL, 1)"),
            failure(cursor.execute, "INSERT INTO b VALUES (1, -1)"),
            failure(cursor.execute, "DO $$ BEGIN RAISE 'no' USING ERRCODE = 'FX001', HINT = 'h'; END $$"),
            failure(cursor.execute, "SET statement_timeout = 30; SELECT pg_sleep(30)"),
        ]


@behaviour("arguments that don't fit")
def unfit(server: Forwarded) -> Any:
    with asking(server) as cursor:
        found = []
        for query, given in (
            ("SELECT %s", (object,)),
            ("SELECT %s", ()),
            ("SELECT %s", (1, 2)),
            ("SELECT %(a)s", {"b": 1}),
        ):
            try:
                cursor.execute(query, given)
            except Exception as error:
                found.append((type(error), str(error)))
        cursor.execute("SELECT 1")
        return found, cursor.fetchall()


@behaviour("notices")
def notices(server: Forwarded) -> Any:
    with asking(server) as cursor:
        cursor.execute("DO $$ BEGIN RAISE NOTICE 'ten %', 10; RAISE WARNING 'w'; END $$")
        cursor.execute("DROP TABLE IF EXISTS fx_pg2_nowhere")
        return cursor.connection.notices


@behaviour("notifications of its own")
def notified(server: Forwarded) -> Any:
    with connected(server) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("LISTEN fx_pg2")
        cursor.execute("NOTIFY fx_pg2, 'one'")
        cursor.execute("SELECT 1")
        return [(one.channel, one.payload) for one in connection.notifies]


@behaviour("serialization failure")
def serialization(server: Forwarded) -> Any:
    with connected(server) as one, connected(server) as two:
        two.autocommit = True
        other = two.cursor()
        other.execute(SHARED)
        other.execute("INSERT INTO fx_pg2_shared VALUES (1, 1)")
        one.set_session(isolation_level="REPEATABLE READ")
        cursor = one.cursor()
        cursor.execute("SELECT n FROM fx_pg2_shared")
        before = cursor.fetchall()
        other.execute("UPDATE fx_pg2_shared SET n = 5")
        found = failure(cursor.execute, "UPDATE fx_pg2_shared SET n = 6")
        one.rollback()
        cursor.execute("SELECT n FROM fx_pg2_shared")
        return before, found, cursor.fetchall()


@behaviour("deferred constraint at commit")
def deferred(server: Forwarded) -> Any:
    with asking(server) as cursor:
        cursor.execute("CREATE TEMP TABLE a(id int PRIMARY KEY)")
        cursor.execute("CREATE TEMP TABLE b(a int REFERENCES a DEFERRABLE INITIALLY DEFERRED)")
        cursor.connection.commit()
        cursor.execute("INSERT INTO b VALUES (5)")
        found = failure(cursor.connection.commit)
        return found[1:], cursor.connection.status, cursor.connection.get_transaction_status()


@behaviour("connection lost")
def lost(server: Forwarded) -> Any:
    with connected(server) as connection:
        cursor = connection.cursor()
        found = failure(cursor.execute, "SELECT pg_terminate_backend(pg_backend_pid())")
        return found, connection.closed, failure(cursor.execute, "SELECT 1"), failure(connection.commit)


@behaviour("refused")
def refused(server: Forwarded) -> Any:
    psycopg2.connect(host="127.0.0.1", port=1, user="postgres", dbname="test").close()


@behaviour("no such database")
def nowhere(server: Forwarded) -> Any:
    error = failure(lambda: psycopg2.connect(**{**address(server), "dbname": "fx_pg2_nowhere"}).close())
    return error and (error[0], error[1].replace(str(server.port), "port"))


@behaviour("pool")
def pool(server: Forwarded) -> Any:
    connections = psycopg2.pool.ThreadedConnectionPool(1, 2, **address(server))
    found = []
    for value in range(3):
        connection = connections.getconn()
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s", (value,))
            found.append(cursor.fetchone())
        connections.putconn(connection)
    connections.closeall()
    return found


@behaviour("settings that the server reports")
def settings(server: Forwarded) -> Any:
    with asking(server, options="-c timezone=Asia/Tokyo") as cursor:
        connection = cursor.connection
        before = connection.get_parameter_status("TimeZone")
        cursor.execute("SET TIME ZONE 'Europe/Berlin'")
        cursor.execute("SELECT '2026-05-04 03:02:01+00'::timestamptz")
        rows = cursor.fetchall(), connection.get_parameter_status("TimeZone")
        connection.commit()
        connection.set_client_encoding("LATIN1")
        return before, rows, connection.encoding


@behaviour("classes that are checked in C")
def classes(server: Forwarded) -> Any:
    with connected(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        is_own = isinstance(connection, psycopg2.extensions.connection), isinstance(cursor, psycopg2.extensions.cursor)
        values = cursor.cast(23, "5"), cursor.arraysize, cursor.itersize, cursor.closed, cursor.connection is connection
        psycopg2.extensions.register_type(psycopg2.extensions.UNICODE, cursor)
        return is_own, values, psycopg2.extensions.UNICODE.values == psycopg2.extensions.UNICODE.values
