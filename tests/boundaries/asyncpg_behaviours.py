"""What asyncpg does against a PostgreSQL: each returns all that a program could see of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import io
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from conftest import POSTGRES_DATABASE
from tests.boundaries.forwarded import Forwarded

__all__ = ["BEHAVIOURS", "ORDERS", "address", "connected", "rows", "seen"]

BEHAVIOURS: dict[str, Callable[[Any], Any]] = {}
ORDERS = "CREATE TEMP TABLE orders(id int PRIMARY KEY, name text, total numeric, tags text[], extra jsonb)"
SHARED = "DROP TABLE IF EXISTS fx_apg_shared; CREATE TABLE fx_apg_shared(id int PRIMARY KEY, n int)"
TYPES = """
DROP SCHEMA IF EXISTS fx_apg CASCADE; CREATE SCHEMA fx_apg;
CREATE TYPE fx_apg.mood AS ENUM ('sad', 'glad');
CREATE TYPE fx_apg.spot AS (name text, x int, mood fx_apg.mood);
CREATE TYPE fx_apg.dot AS (name text, x int);
CREATE TYPE fx_apg.span AS RANGE (subtype = float8);
CREATE DOMAIN fx_apg.email AS text CHECK (VALUE LIKE '%@%');
CREATE TABLE fx_apg.places(id int, mood fx_apg.mood, spot fx_apg.spot, span fx_apg.span, mail fx_apg.email,
    moods fx_apg.mood[], spots fx_apg.spot[]);
"""


def behaviour(name: str) -> Callable[[Any], Any]:
    def add(function: Any) -> Any:
        BEHAVIOURS[name] = function
        return function

    return add


def address(server: Forwarded) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": server.port, "user": "postgres", "database": POSTGRES_DATABASE, "ssl": False}


@asynccontextmanager
async def connected(server: Forwarded, **options: Any) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(**address(server), **options)
    try:
        yield connection
    finally:
        await connection.close()


async def failure(awaited: Any) -> Any:
    try:
        return await awaited
    except Exception as error:
        return seen(error)


def seen(error: BaseException) -> Any:
    """An error as a program sees it."""
    fields = error.as_dict() if isinstance(error, asyncpg.PostgresError) else None
    if fields and "schema_name" in fields:  # of a temporary table it has the number of the server's process
        fields["schema_name"] = fields["schema_name"].rstrip("0123456789")
    return type(error), str(error), fields, type(error.__cause__)


def rows(records: list[Any]) -> list[Any]:
    return [(type(record), [(name, type(value), value) for name, value in record.items()]) for record in records]


@behaviour("connects and closes")
async def connects(server: Forwarded) -> Any:
    async with connected(server) as connection:
        version, settings = connection.get_server_version(), connection.get_settings().server_encoding
        before = connection.is_closed()
    return version, settings, before, connection.is_closed()


@behaviour("execute and fetch")
async def fetches(server: Forwarded) -> Any:
    async with connected(server) as connection:
        made = await connection.execute(ORDERS)
        insert = "INSERT INTO orders VALUES ($1, $2, $3, $4, $5)"
        added = [await connection.execute(insert, n, f"n{n}", n, ["a", "b"], '{"n": 1}') for n in range(3)]
        found = rows(await connection.fetch("SELECT * FROM orders WHERE id < $1 ORDER BY id", 2))
        return made, added, found, await connection.execute("SELECT 1; SELECT 2")


@behaviour("a row, a value, no row")
async def single(server: Forwarded) -> Any:
    async with connected(server) as connection:
        numbers = "SELECT g AS n, g::text AS t FROM generate_series(1, $1) g"
        first = await connection.fetchrow(numbers, 3)
        values = [await connection.fetchval(numbers, 3), await connection.fetchval(numbers, 3, column=1)]
        missing = [await connection.fetchrow(numbers, 0), await connection.fetchval(numbers, 0)]
        return rows([first]), values, missing, await connection.fetch(numbers, 0)


@behaviour("many at once")
async def many(server: Forwarded) -> Any:
    async with connected(server) as connection:
        await connection.execute(ORDERS)
        insert = "INSERT INTO orders(id, name) VALUES ($1, $2)"
        done = await connection.executemany(insert, ((n, f"n{n}") for n in range(5)))
        none = await connection.executemany(insert, [])
        wrong = [
            await failure(connection.executemany(insert, [(9, "x"), (1, "y")])),
            await failure(connection.executemany(insert, [(10, "x"), ("a", "y")])),
        ]
        returned = None
        if hasattr(connection, "fetchmany"):
            returned = rows(await connection.fetchmany(f"{insert} RETURNING id", [(20, "a"), (21, "b")]))
        return done, none, wrong, returned, await connection.fetchval("SELECT count(*) FROM orders")


@behaviour("prepared statement")
async def prepared(server: Forwarded) -> Any:
    async with connected(server) as connection:
        statement = await connection.prepare("SELECT $1::int + 1 AS next, $2::text AS t")
        described = statement.get_parameters(), statement.get_attributes(), statement.get_query()
        values = [await statement.fetchval(n, "x") for n in (1, 2)]
        record = await statement.fetchrow(3, None)
        status = statement.get_statusmsg()
        return described, values, rows([record]), status, await failure(statement.fetch(1))


@behaviour("cursor in a transaction")
async def cursors(server: Forwarded) -> Any:
    async with connected(server) as connection, connection.transaction():
        cursor = await connection.cursor("SELECT g AS n FROM generate_series(1, $1) g", 10)
        taken = [await cursor.fetch(2), await cursor.forward(3), await cursor.fetchrow(), await cursor.fetch(9)]
        return repr(taken), await cursor.fetchrow(), await cursor.fetch(1)


@behaviour("iterating cursors")
async def iterated(server: Forwarded) -> Any:
    async with connected(server) as connection, connection.transaction():
        numbers = "SELECT g AS n FROM generate_series(1, $1) g"
        whole = [record["n"] async for record in connection.cursor(numbers, 7, prefetch=3)]
        statement = await connection.prepare("SELECT g * 10 AS n FROM generate_series(1, 5) g")
        both = []
        async for one in statement.cursor(prefetch=2):
            both.append(one["n"])
            both += [two["n"] async for two in connection.cursor(numbers, 2, prefetch=1)]
            if len(both) > 6:
                break
        return whole, both


@behaviour("cursor outside of a transaction")
async def misused(server: Forwarded) -> Any:
    async with connected(server) as connection:
        await connection.cursor("SELECT 1")


@behaviour("savepoint after an error")
async def savepoints(server: Forwarded) -> Any:
    async with connected(server) as connection:
        await connection.execute(ORDERS)
        async with connection.transaction():
            await connection.execute("INSERT INTO orders(id) VALUES (1)")
            inside = connection.is_in_transaction()
            try:
                async with connection.transaction():
                    await connection.execute("INSERT INTO orders(id) VALUES ($1)", 1)
            except asyncpg.UniqueViolationError as error:
                failed = seen(error)
            count = await connection.fetchval("SELECT count(*) FROM orders")
        return inside, failed[1:], count, connection.is_in_transaction()


@behaviour("isolation, read only, rolled back")
async def isolated(server: Forwarded) -> Any:
    async with connected(server) as connection:
        await connection.execute(ORDERS)
        async with connection.transaction(isolation="serializable", readonly=True, deferrable=True):
            level = await connection.fetchval("SHOW transaction_isolation")
        async with connection.transaction(readonly=True):
            refused = await failure(connection.execute("CREATE TABLE fx_apg_never(id int)"))
            aborted = await failure(connection.fetchval("SELECT 1")), connection.is_in_transaction()
            by_hand = connection.transaction()
            refused_savepoint = await failure(by_hand.start())
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("INSERT INTO orders(id) VALUES (1)")
        await transaction.rollback()
        return level, refused, aborted, refused_savepoint, await connection.fetch("SELECT * FROM orders")


@behaviour("pool")
async def pools(server: Forwarded) -> Any:
    async def init(connection: Any) -> None:
        await connection.set_type_codec("json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")

    async def setup(connection: Any) -> None:
        await connection.execute("SET application_name = 'fx'")

    async with asyncpg.create_pool(**address(server), min_size=2, max_size=2, init=init, setup=setup) as pool:
        first = await pool.fetch("SELECT g FROM generate_series(1, 3) g")
        async with pool.acquire() as connection:
            second = await connection.fetchval("SELECT $1::json", {"a": [1]})
            name = connection.get_settings().application_name
        at_once = await asyncio.gather(*(pool.fetchval("SELECT $1::int", n) for n in range(4)))
        return rows(first), second, name, at_once, pool.get_size(), pool.get_idle_size()


@behaviour("transaction left open in a pool")
async def left_open(server: Forwarded) -> Any:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    async with asyncpg.create_pool(**address(server), min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection:
            await connection.execute("BEGIN")
            before = connection.is_in_transaction()
        async with pool.acquire() as connection:
            return before, connection.is_in_transaction(), await connection.fetchval("SELECT 1")


@behaviour("COPY out")
async def copied_out(server: Forwarded) -> Any:
    async with connected(server) as connection:
        await connection.execute(ORDERS)
        await connection.execute("INSERT INTO orders SELECT g, 'n' || g FROM generate_series(1, 2000) g")
        text, pieces = io.BytesIO(), []

        async def sink(data: bytes) -> None:
            pieces.append(bytes(data))

        query = "SELECT id, name FROM orders WHERE id <= $1"
        status = [await connection.copy_from_query(query, 3, output=text, format="csv", header=True)]
        status.append(await connection.copy_from_table("orders", columns=["id", "name"], output=sink))
        binary = io.BytesIO()
        status.append(await connection.copy_from_query("SELECT 1, 'ä'", output=binary, format="binary"))
        wrong = await failure(connection.copy_from_table("nowhere", output=sink))
        return status, text.getvalue(), b"".join(pieces), binary.getvalue(), wrong


@behaviour("COPY in")
async def copied_in(server: Forwarded) -> Any:
    async with connected(server) as connection:
        await connection.execute(ORDERS)

        async def lines() -> AsyncIterator[bytes]:
            for number in range(10, 13):
                yield b"%d\tn\n" % number

        columns = ["id", "name"]
        status = [
            await connection.copy_to_table("orders", source=io.BytesIO(b"1,a\n2,b\n"), columns=columns, format="csv")
        ]
        status.append(await connection.copy_to_table("orders", source=lines(), columns=columns))
        wrong = [
            await failure(
                connection.copy_to_table("orders", source=io.BytesIO(b"x,y\n"), columns=columns, format="csv")
            ),
            await failure(connection.copy_to_table("nowhere", source=io.BytesIO(b"1\n"))),
        ]
        return status, wrong, rows(await connection.fetch("SELECT id, name FROM orders ORDER BY id"))


@behaviour("COPY of records")
async def copied_records(server: Forwarded) -> Any:
    async with connected(server) as connection:
        await connection.execute(ORDERS)

        async def later() -> AsyncIterator[Any]:
            for number in (5, 6):
                yield number, "later"

        columns = ["id", "name"]
        status = [await connection.copy_records_to_table("orders", records=[(1, "a"), (2, None)], columns=columns)]
        status.append(await connection.copy_records_to_table("orders", records=later(), columns=columns))
        wrong = await failure(connection.copy_records_to_table("orders", records=[(1, "again")], columns=columns))
        return status, wrong, rows(await connection.fetch("SELECT id, name FROM orders ORDER BY id"))


@behaviour("COPY that the program breaks off")
async def copy_broken(server: Forwarded) -> Any:
    async with connected(server) as connection:
        await connection.execute(ORDERS)

        def records() -> Any:
            yield 1, "a"
            raise LookupError("no more")

        wrong = await failure(connection.copy_records_to_table("orders", records=records(), columns=["id", "name"]))
        return wrong, await connection.fetch("SELECT * FROM orders")


@behaviour("notifications")
async def notified(server: Forwarded) -> Any:
    async with connected(server) as listening, connected(server) as telling:
        heard: asyncio.Queue[Any] = asyncio.Queue()
        await listening.add_listener("fx_apg", lambda _, __, channel, payload: heard.put_nowait((channel, payload)))
        await telling.execute("NOTIFY fx_apg, 'one'")
        one = await asyncio.wait_for(heard.get(), 5)
        await telling.execute("SELECT pg_notify($1, $2)", "fx_apg", "two")
        two = await asyncio.wait_for(heard.get(), 5)
        await listening.execute("NOTIFY fx_apg, 'own'")
        three = await asyncio.wait_for(heard.get(), 5)
        await listening.reset()
        return one, two, three


@behaviour("notices")
async def noticed(server: Forwarded) -> Any:
    async with connected(server) as connection:
        heard: list[Any] = []
        connection.add_log_listener(lambda _, message: heard.append((type(message), message.as_dict())))
        await connection.execute("DO $$ BEGIN RAISE NOTICE 'ten %', 10; RAISE WARNING 'w' USING HINT = 'h'; END $$")
        await connection.execute("DROP TABLE IF EXISTS fx_apg_nowhere")
        await asyncio.sleep(0)
        return heard


@behaviour("codecs of the program's own")
async def codecs(server: Forwarded) -> Any:
    async with connected(server) as connection:
        await connection.execute(TYPES)
        for name in ("json", "jsonb"):
            await connection.set_type_codec(name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        await connection.set_type_codec(
            "mood", schema="fx_apg", encoder=lambda mood: mood["m"], decoder=lambda text: {"m": text}
        )
        await connection.set_type_codec(
            "numeric", schema="pg_catalog", encoder=str, decoder=lambda text: f"#{text}", format="text"
        )
        await connection.set_type_codec(
            "dot", schema="fx_apg", encoder=lambda dot: dot[1:], decoder=lambda dot: ("dot", *dot), format="tuple"
        )
        asked = "SELECT $1::json, $2::jsonb, $3::fx_apg.mood, 1.50::numeric, $4::fx_apg.dot"
        values = tuple(await connection.fetchrow(asked, {"a": 1}, [None], {"m": "glad"}, ("dot", "a", 1)))
        missing = await failure(connection.set_type_codec("nothing", schema="fx_apg", encoder=str, decoder=str))
        await connection.reset_type_codec("mood", schema="fx_apg")
        return values, missing, await connection.fetchval("SELECT 'sad'::fx_apg.mood")


@behaviour("enums, composites, ranges, domains, arrays of them")
async def own_types(server: Forwarded) -> Any:
    async with connected(server) as connection:
        await connection.execute(TYPES)
        insert = "INSERT INTO fx_apg.places VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *"
        span = asyncpg.Range(1.5, None, lower_inc=True)
        spot = ("a", 2, "glad")
        stored = await connection.fetchrow(
            insert, 1, "sad", spot, span, "a@b", ["sad", "glad"], [spot, ("b", None, None)]
        )
        wrong = [
            await failure(connection.fetchrow(insert, 1, "bored", spot, span, "a@b", [], [])),
            await failure(connection.fetchrow(insert, 1, "sad", spot, span, "nobody", [], [])),
        ]
        again = await connection.fetch("SELECT * FROM fx_apg.places")
        return repr(rows([stored])), stored["spot"]["mood"], wrong, repr(again)


@behaviour("types as in the database")
async def types(server: Forwarded) -> Any:
    async with connected(server) as connection:
        at = dt.datetime(2026, 5, 4, 3, 2, 1, 6, tzinfo=dt.UTC)
        given = [
            (decimal.Decimal("1.500"), "numeric"),
            (at, "timestamptz"),
            (at.replace(tzinfo=None), "timestamp"),
            (at.date(), "date"),
            (at.timetz(), "timetz"),
            (dt.timedelta(days=40, seconds=3, microseconds=7), "interval"),
            (uuid.UUID(int=7), "uuid"),
            ('{"a": [1, null]}', "jsonb"),
            ([[1, 2], [3, None]], "int4[]"),
            (["a", "ä", None, 'q"'], "text[]"),
            (asyncpg.Range(1, 5), "int4range"),
            (asyncpg.Range(empty=True), "numrange"),
            ([asyncpg.Range(1, 5)], "int4multirange"),
            (b"\x00\xff", "bytea"),
            (asyncpg.BitString("1011"), "bit varying"),
            (asyncpg.Point(1.5, 2), "point"),
            (2.5, "float8"),
            (True, "bool"),
            (2**40, "int8"),
            ("ä\n", "varchar"),
        ]
        found = [await connection.fetchrow(f"SELECT $1::{name} AS v", value) for value, name in given]
        nets = await connection.fetchrow(
            "SELECT 1::numeric n, '10.0.0.0/8'::cidr a, '::1'::inet b, 'infinity'::timestamptz c, 'x'::\"char\""
        )
        odd = (
            str(await connection.fetchval("SELECT 'NaN'::numeric")),
            await connection.fetchrow(
                "SELECT 'a b'::tsvector, 'int4'::regtype, '1'::money, ROW(1, 'x') AS r, NULL AS n"
            ),
        )
        return repr(rows(found)), rows([nets]), odd[0], rows([odd[1]])


@behaviour("constraints with their diagnostics")
async def constrained(server: Forwarded) -> Any:
    async with connected(server) as connection:
        await connection.execute(
            "CREATE TEMP TABLE a(id int PRIMARY KEY); CREATE TEMP TABLE b(id int NOT NULL, a int REFERENCES a "
            "DEFERRABLE INITIALLY DEFERRED, n int CONSTRAINT positive CHECK (n > 0))"
        )
        insert = "INSERT INTO b VALUES ($1, $2, $3)"
        found = [await failure(connection.execute(insert, *row)) for row in ((None, 1, 1), (1, None, -1), (1, 5, 1))]
        try:
            async with connection.transaction():
                await connection.execute(insert, 1, 7, 1)
        except asyncpg.ForeignKeyViolationError as error:
            found.append(seen(error))
        return json.loads(json.dumps(found, default=str)), connection.is_in_transaction()


@behaviour("arguments that don't fit")
async def unfit(server: Forwarded) -> Any:
    async with connected(server) as connection:
        return [
            await failure(connection.fetch("SELECT $1::int", "a")),
            await failure(connection.fetch("SELECT $1::int", 2**40)),
            await failure(connection.fetch("SELECT $1::int")),
            await failure(connection.fetch("SELECT 1", 2)),
            await connection.fetchval("SELECT 1"),
        ]


@behaviour("syntax error")
async def wrong(server: Forwarded) -> Any:
    async with connected(server) as connection:
        await connection.fetch("SELEC 1")


@behaviour("errors of statements")
async def errors(server: Forwarded) -> Any:
    async with connected(server) as connection:
        return [
            await failure(connection.fetch("SELECT * FROM fx_apg_nowhere")),
            await failure(connection.execute("SELECT 1/0")),
            await failure(connection.fetch("SELECT 1/$1::int", 0)),
            await failure(connection.fetch("SELECT g/(3-g) FROM generate_series(1, 5) g")),
            await failure(connection.execute("DO $$ BEGIN RAISE 'no' USING ERRCODE = 'FX001', HINT = 'h'; END $$")),
            await connection.fetchval("SELECT 1"),
        ]


@behaviour("time-out of a statement")
async def timed_out(server: Forwarded) -> Any:
    async with connected(server) as connection:
        found = [await failure(connection.fetch("SELECT pg_sleep(30)", timeout=0.1))]
        found.append(await connection.fetchval("SELECT 1"))
        found.append(await failure(connection.execute("SELECT pg_sleep(30)", timeout=0.1)))
        async with connection.transaction():
            found.append(await failure(connection.fetch("SELECT pg_sleep($1)", 30, timeout=0.1)))
            found.append(await failure(connection.fetchval("SELECT 2")))
            found.append(connection.is_in_transaction())
            raised = connection.transaction()
            found.append(await failure(raised.start()))
        await connection.execute("SET statement_timeout = 50")
        found.append(await failure(connection.fetch("SELECT pg_sleep(30)")))
        return found


@behaviour("cancelled by the program")
async def cancelled(server: Forwarded) -> Any:
    async with connected(server) as connection:
        found = [await failure(asyncio.wait_for(connection.fetch("SELECT pg_sleep(30)"), 0.1))]
        found.append(await connection.fetchval("SELECT 1"))
        transaction = connection.transaction()
        await transaction.start()
        found.append(await failure(asyncio.wait_for(connection.fetch("SELECT pg_sleep(31)"), 0.1)))
        found.append(await failure(connection.fetchval("SELECT 2")))
        await transaction.rollback()
        return found, connection.is_in_transaction()


@behaviour("deadlock")
async def deadlock(server: Forwarded) -> Any:
    async with connected(server) as one, connected(server) as two:
        await one.execute(SHARED)
        await one.execute("INSERT INTO fx_apg_shared VALUES (1, 1), (2, 2)")
        update = "UPDATE fx_apg_shared SET n = n + 1 WHERE id = $1"
        first, second = one.transaction(), two.transaction()
        await first.start()
        await second.start()
        await one.execute("SET LOCAL deadlock_timeout = '10s'")
        await two.execute("SET LOCAL deadlock_timeout = '20ms'")
        await one.execute(update, 1)
        await two.execute(update, 2)
        waiting = asyncio.create_task(one.execute(update, 2))
        await asyncio.sleep(0.1)
        try:
            await two.execute(update, 1)
        except asyncpg.DeadlockDetectedError as error:
            found = type(error), str(error).split("\n")[0], error.sqlstate
        await second.rollback()
        done = await waiting
        await first.commit()
        return found, done, rows(await one.fetch("SELECT * FROM fx_apg_shared ORDER BY id"))


@behaviour("serialization failure")
async def serialization(server: Forwarded) -> Any:
    async with connected(server) as one, connected(server) as two:
        await one.execute(SHARED)
        await one.execute("INSERT INTO fx_apg_shared VALUES (1, 1)")
        transaction = one.transaction(isolation="repeatable_read")
        await transaction.start()
        before = await one.fetchval("SELECT n FROM fx_apg_shared")
        await two.execute("UPDATE fx_apg_shared SET n = 5")
        found = await failure(one.execute("UPDATE fx_apg_shared SET n = 6"))
        await transaction.rollback()
        return before, found, await one.fetchval("SELECT n FROM fx_apg_shared")


@behaviour("connection lost")
async def lost(server: Forwarded) -> Any:
    connection = await asyncpg.connect(**address(server))
    gone: list[Any] = []
    connection.add_termination_listener(lambda _: gone.append("gone"))
    found = await failure(connection.fetch("SELECT pg_terminate_backend(pg_backend_pid())"))
    await asyncio.sleep(0)
    later = await failure(connection.fetch("SELECT 1"))
    await connection.close()
    return found, connection.is_closed(), later, gone


@behaviour("refused")
async def refused(_: Forwarded, database: str = POSTGRES_DATABASE, port: int = 1) -> Any:
    connection = await asyncpg.connect(host="127.0.0.1", port=port, user="postgres", database=database)
    await connection.close()


@behaviour("no such database")
async def nowhere(server: Forwarded) -> Any:
    return await failure(refused(server, "fx_apg_nowhere", server.port))


@behaviour("the same statement again")
async def again(server: Forwarded) -> Any:
    found = []
    for size in (100, 0):
        async with connected(server, statement_cache_size=size) as connection:
            found += [rows(await connection.fetch("SELECT $1::text AS t", value)) for value in ("a", "b", None)]
            found.append(await connection.fetchval("SELECT $1::text AS t", "c"))
    return found


@behaviour("table altered behind a cached statement")
async def altered(server: Forwarded) -> Any:
    async with connected(server) as connection:
        await connection.execute("CREATE TEMP TABLE t(a int); INSERT INTO t VALUES (1)")
        before = rows(await connection.fetch("SELECT * FROM t"))
        await connection.execute("ALTER TABLE t ADD b text DEFAULT 'x'")
        return before, rows(await connection.fetch("SELECT * FROM t"))


@behaviour("settings that the server reports")
async def settings(server: Forwarded) -> Any:
    async with connected(server, server_settings={"application_name": "fx", "TimeZone": "Asia/Tokyo"}) as connection:
        before = connection.get_settings().TimeZone
        await connection.execute("SET TIME ZONE 'Europe/Berlin'")
        after = connection.get_settings().TimeZone, connection.get_settings().application_name
        return before, after, await connection.fetchval("SELECT '2026-05-04 03:02:01+00'::timestamptz::text")


@behaviour("record class, query logger, two operations at once")
async def peculiar(server: Forwarded) -> Any:
    class Row(asyncpg.Record):
        def __getattr__(self, name: str) -> Any:
            return self[name]

    async with connected(server, record_class=Row) as connection:
        logged: list[Any] = []
        with connection.query_logger(lambda record: logged.append((record.query, record.args, type(record.exception)))):
            row = await connection.fetchrow("SELECT 5 AS five")
            await failure(connection.fetch("SELECT 1/0"))
            await asyncio.sleep(0)
        both = await asyncio.gather(failure(connection.fetchval("SELECT 1")), failure(connection.fetchval("SELECT 2")))
        return row.five, logged, both
