"""What programs do with values of PostgreSQL's types through psycopg: each returns whatever of it can be compared."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.types.composite import CompositeInfo, register_composite
from psycopg.types.enum import EnumInfo, register_enum
from psycopg.types.hstore import register_hstore
from psycopg.types.json import Json, Jsonb, set_json_loads
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from tests.boundaries.psycopg_behaviours import described


def types(connection: Any) -> Any:
    row = connection.execute(
        """
        SELECT 1::int2, 2::int4, 9223372036854775807::int8, 1.5::float8, 'NaN'::numeric, '1e-30'::numeric, 'ä'::text,
            'c'::"char", true, '2024-02-29'::date, '12:34:56.789+02'::timetz, '2024-02-29 12:00'::timestamp,
            '2024-02-29 12:00+02'::timestamptz, '1 year 2 days 03:04:05'::interval, '\\x00ff'::bytea,
            'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '{"a": [1, null]}'::json, '{"b": 1.5}'::jsonb,
            '{1,2,NULL}'::int[], '{{a,b},{c,d}}'::text[], int4range(1, 5), '[2024-01-01,)'::daterange,
            int4multirange(int4range(1, 3), int4range(7, 9)), '10.0.0.1/24'::inet, '10.0.0.0/8'::cidr, NULL,
            'happy'::mood, ROW('Main', 1, NULL)::place, 'Infinity'::float4, '12.50'::money
        """
    ).fetchone()
    return [(type(value).__name__, repr(value)) for value in row]


def parameters(connection: Any) -> Any:
    values = [
        7,
        2**40,
        2**80,
        1.25,
        Decimal("1.10"),
        Decimal("NaN"),
        "text ü",
        b"\0\xff",
        bytearray(b"abc"),
        True,
        None,
        dt.date(2024, 1, 2),
        dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC),
        dt.timedelta(days=1, seconds=2),
        uuid.UUID(int=5),
        [1, 2, 3],
        ["a", None],
        Range(1, 4),
        Multirange([Range(1, 2)]),
        Jsonb({"a": 1}),
        Json([1]),
    ]
    found = []
    for value in values:
        cursor = connection.execute("SELECT %s AS value", (value,))
        found.append((repr(cursor.fetchone()), cursor.description[0].type_code))
    return found


def mutated(connection: Any) -> Any:
    blob = bytearray(b"before")
    found = connection.execute("SELECT %s::bytea", (blob,)).fetchone()
    blob[:] = b"after!"
    return found


def binary(connection: Any) -> Any:
    with connection.cursor(binary=True) as cursor:
        cursor.execute("SELECT id, name, price, data, added, '{1,2}'::int[] FROM item ORDER BY id")
        first = [cursor.fetchall(), described(cursor)]
        cursor.execute("SELECT %b::int4, %t::int4, %s::text", (1, 2, "x"))
        return [repr(first[0]), first[1], cursor.fetchall()]


def enums(connection: Any) -> Any:
    info = EnumInfo.fetch(connection, "mood")
    assert info is not None
    register_enum(info, connection)
    found = connection.execute("SELECT 'happy'::mood, ARRAY['sad', 'happy']::mood[]").fetchone()
    enum = info.enum
    again = connection.execute("SELECT %s = 'sad'::mood", (enum["sad"],)).fetchone()
    return [[value.name for value in (found[0], *found[1])], again, info.labels]


def composites(connection: Any) -> Any:
    info = CompositeInfo.fetch(connection, "place")
    assert info is not None
    register_composite(info, connection)
    made = info.python_type("Main", 5, None)
    found = connection.execute("SELECT %s, ROW('Side', 1, '2024-01-01Z')::place", (made,)).fetchone()
    return [repr(value) for value in found]


def hstore(connection: Any) -> Any:
    info = psycopg.types.TypeInfo.fetch(connection, "hstore")
    if info is not None:
        register_hstore(info, connection)
    missing = psycopg.types.TypeInfo.fetch(connection, "no_such_type")
    return [info is not None and connection.execute("SELECT 'a=>1'::hstore").fetchone(), missing]


def adapters(connection: Any) -> Any:
    class Cents:
        def __init__(self, value: int) -> None:
            self.value = value

    class CentsDumper(psycopg.adapt.Dumper):
        oid = psycopg.adapters.types["numeric"].oid

        def dump(self, obj: Cents) -> bytes:
            return f"{obj.value / 100:.2f}".encode()

    class CentsLoader(psycopg.adapt.Loader):
        def load(self, data: Any) -> int:
            return round(float(bytes(data)) * 100)

    connection.adapters.register_dumper(Cents, CentsDumper)
    connection.adapters.register_loader("numeric", CentsLoader)
    set_json_loads(lambda data: ("loaded", bytes(data)), connection)
    found = connection.execute("SELECT %s::numeric, price, '{}'::json FROM item WHERE id = 1", (Cents(250),)).fetchone()
    with connection.cursor() as cursor:
        cursor.execute("SELECT price FROM item WHERE id = 1")
        cursor.adapters.register_loader("numeric", psycopg.types.numeric.FloatLoader)
        return [found, cursor.fetchone()]


def infinities(connection: Any) -> Any:
    found = []
    for value in ("'infinity'::date", "'-infinity'::timestamptz", "'0044-03-15 BC'::date", "'20000-01-01'::timestamp"):
        try:
            connection.execute(f"SELECT {value}").fetchone()
        except psycopg.DataError as error:
            found.append(str(error).partition(":")[0])  # what follows, psycopg's Python version misspells before 3.3
    return found


def settings(connection: Any) -> Any:
    instant = "SELECT '2024-06-01 12:00Z'::timestamptz"
    found = [repr(connection.execute(instant).fetchone())]
    connection.execute("SET TIME ZONE 'Europe/Rome'")
    found += [repr(connection.execute(instant).fetchone()), connection.info.parameter_status("TimeZone")]
    connection.execute("SELECT set_config('TimeZone', 'Asia/Tokyo', false)")
    found += [repr(connection.execute(instant).fetchone()), str(connection.info.timezone)]
    connection.rollback()
    return [*found, connection.info.parameter_status("TimeZone"), repr(connection.execute(instant).fetchone())]
