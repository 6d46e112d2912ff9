"""Reports: SQL that no ORM writes, and files in and out by COPY."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from psycopg import sql
from sqlalchemy import ARRAY, Date, Numeric, Text, bindparam, case, cast, column, func, literal, select, text, values
from sqlalchemy.dialects.postgresql import aggregate_order_by

from freight.database import AsyncDatabase, Database, engine
from freight.models import Booking, CargoItem, Port, Shipment, ShipmentStatus, Vessel, Voyage, VoyageLeg
from freight.security import Account, allowed

router = APIRouter(tags=["reports"])

Planner = Annotated[Account, allowed("plan")]


@router.get("/reports/lanes")
def lanes(database: Database, account: Planner, top: int = 5) -> list[dict[str, Any]]:
    """The busiest lanes: their share, rank, typical weight, and what is on them."""
    weights = (
        select(CargoItem.shipment_id, func.sum(CargoItem.weight_kg).label("weight"))
        .group_by(CargoItem.shipment_id)
        .cte("weights")
    )
    lane = (
        select(
            Shipment.origin_code,
            Shipment.destination_code,
            func.count().label("shipments"),
            func.count().filter(Shipment.status == ShipmentStatus.DELIVERED).label("delivered"),
            func.coalesce(func.sum(weights.c.weight), 0).label("weight"),
            func.percentile_cont(0.5).within_group(weights.c.weight).label("median"),
            func.array_agg(aggregate_order_by(Shipment.reference, Shipment.reference.desc())).label("newest"),
            func.jsonb_object_agg(Shipment.reference, Shipment.attributes).label("attributes"),
        )
        .outerjoin(weights, weights.c.shipment_id == Shipment.id)
        .group_by(Shipment.origin_code, Shipment.destination_code)
        .cte("lane")
    )
    rows = database.execute(
        select(
            (lane.c.origin_code + literal("-") + lane.c.destination_code).label("lane"),
            lane.c.shipments,
            lane.c.delivered,
            lane.c.weight,
            lane.c.median,
            func.round(cast(lane.c.weight, Numeric) / func.nullif(func.sum(lane.c.weight).over(), 0), 4).label("share"),
            func.rank().over(order_by=lane.c.weight.desc()).label("rank"),
            lane.c.newest[1:3].label("newest"),
            func.jsonb_path_query_array(lane.c.attributes, text("'$.*.temperature'")).label("temperatures"),
        )
        .order_by(text("rank"), text("lane"))
        .limit(top)
    )
    return [dict(row) for row in rows.mappings()]


@router.get("/reports/statuses")
def statuses(database: Database, account: Planner) -> list[dict[str, Any]]:
    """Shipments by country and status, with sums of both."""
    rows = database.execute(
        text(
            """
            SELECT coalesce(p.country, '*') AS country, coalesce(s.status::text, '*') AS status, count(*) AS shipments,
                   min(s.created_at::date) AS first, bool_or(s.quote_id IS NOT NULL) AS quoted
            FROM shipments s JOIN ports p ON p.code = s.origin_code
            WHERE s.reference LIKE :pattern
            GROUP BY GROUPING SETS ((p.country, s.status), (p.country), ())
            ORDER BY 1, 2
            """
        ),
        {"pattern": "FRT-000%"},
    )
    return [dict(row) for row in rows.mappings()]


@router.get("/reports/utilisation")
async def utilisation(database: AsyncDatabase, account: Planner, since: date | None = None) -> list[dict[str, Any]]:
    """How full voyages are."""
    booked = func.coalesce(func.sum(Booking.teu), 0)
    rows = await database.execute(
        select(
            Vessel.name,
            Voyage.number,
            booked.label("booked"),
            func.round(booked * 100 / cast(Vessel.capacity_teu, Numeric), 2).label("percent"),
            case((booked > Vessel.capacity_teu, "over"), (booked == 0, "empty"), else_="fine").label("state"),
            func.min(func.lower(VoyageLeg.sailing)).label("departs_at"),
            func.sum(VoyageLeg.transit).label("at_sea"),
            func.array_agg(VoyageLeg.destination_code.distinct(), type_=ARRAY(Text)).label("calls"),
        )
        .select_from(Voyage)
        .join(Vessel)
        .join(VoyageLeg, VoyageLeg.voyage_id == Voyage.id)
        .outerjoin(Booking)
        .where(func.lower(VoyageLeg.sailing) >= bindparam("since", since or date(2020, 1, 1), Date))
        .group_by(Vessel.name, Vessel.capacity_teu, Voyage.number)
        .order_by(text("percent DESC"), Voyage.number)
    )
    return [{**row, "at_sea": row["at_sea"].total_seconds()} for row in rows.mappings()]


@router.get("/reports/route/{origin}/{destination}")
async def route(database: AsyncDatabase, account: Planner, origin: str, destination: str) -> list[dict[str, Any]]:
    """Whatever chain of legs leads from port to port, by a recursive query."""
    rows = await database.execute(
        text(
            """
            WITH RECURSIVE chain AS (
                SELECT destination_code AS at, ARRAY[origin_code::text, destination_code::text] AS ports,
                       transit, upper(sailing) AS arrives
                FROM voyage_legs WHERE origin_code = :origin
                UNION ALL
                SELECT l.destination_code, c.ports || l.destination_code::text, c.transit + l.transit, upper(l.sailing)
                FROM chain c JOIN voyage_legs l ON l.origin_code = c.at AND lower(l.sailing) > c.arrives
                WHERE NOT l.destination_code = ANY (c.ports) AND cardinality(c.ports) < 4
            )
            SELECT ports, extract(epoch FROM transit) / 3600 AS hours FROM chain
            WHERE at = :destination ORDER BY transit, ports LIMIT 5
            """
        ),
        {"origin": origin, "destination": destination},
    )
    return [{"ports": ports, "hours": round(hours, 2)} for ports, hours in rows]


@router.get("/exchange/shipments.csv")
def export(account: Planner, status: ShipmentStatus = ShipmentStatus.BOOKED) -> StreamingResponse:
    """Every shipment of a status as CSV, copied out by the database."""
    query = sql.SQL(
        "COPY (SELECT reference, origin_code, destination_code, incoterm, attributes->>'teu' AS teu FROM shipments"
        " WHERE status = {} ORDER BY reference) TO STDOUT (FORMAT csv, HEADER)"
    ).format(sql.Literal(status.value))

    def rows() -> Iterator[bytes]:
        with engine.connect() as connection, connection.connection.cursor() as cursor, cursor.copy(query) as copy:
            for block in copy:
                yield bytes(block)

    return StreamingResponse(rows(), media_type="text/csv")


@router.post("/exchange/packings")
async def load_packings(request: Request, account: Planner) -> dict[str, Any]:
    """Copy a terminal's packing list in: reference, line, container, quantity, seal."""
    body = (await request.body()).decode()
    rows = [row for row in csv.reader(io.StringIO(body)) if row]
    if not rows or any(len(row) != 5 for row in rows):
        raise HTTPException(422, "five columns are wanted")
    return await run_in_threadpool(_load, rows)


def _load(rows: list[list[str]]) -> dict[str, Any]:
    with engine.begin() as connection:
        cursor = connection.connection.cursor()
        cursor.execute(
            "CREATE TEMPORARY TABLE incoming (reference text, line int, container text, quantity int, seal text)"
            " ON COMMIT DROP"
        )
        with cursor.copy("COPY incoming FROM STDIN") as copy:
            for row in rows:
                copy.write_row((row[0], int(row[1]), row[2], int(row[3]), row[4] or None))
        copied = cursor.rowcount
        cursor.execute(
            "INSERT INTO packings (item_id, container_number, quantity, seal)"
            " SELECT i.id, n.container, n.quantity, n.seal FROM incoming n"
            " JOIN shipments s ON s.reference = n.reference"
            " JOIN cargo_items i ON i.shipment_id = s.id AND i.line = n.line"
            " ON CONFLICT (item_id, container_number) DO UPDATE SET quantity = excluded.quantity, seal = excluded.seal"
            " RETURNING container_number, quantity"
        )
        packed = cursor.fetchall()
    return {"copied": copied, "packed": len(packed), "containers": sorted({number for number, _ in packed})}


@router.post("/exchange/rates")
async def load_rates(database: AsyncDatabase, account: Annotated[Account, allowed("bill")], request: Request) -> Any:
    """Take the bank's exchange rates, many rows in one statement."""
    document = await request.json()
    given = values(column("currency", Text), column("day", Date), column("euros", Numeric), name="given").data(
        [(each["currency"], date.fromisoformat(each["day"]), Decimal(each["euros"])) for each in document]
    )
    connection = await database.connection()
    result = await connection.execute(
        text(
            "INSERT INTO exchange_rates (currency, day, euros) VALUES (:currency, :day, :euros)"
            " ON CONFLICT (currency, day) DO UPDATE SET euros = excluded.euros"
        ),
        [
            {"currency": each["currency"], "day": date.fromisoformat(each["day"]), "euros": Decimal(each["euros"])}
            for each in document
        ],
    )
    mean = await database.scalar(select(func.round(func.avg(given.c.euros), 4)))
    await database.commit()
    return {"rows": result.rowcount, "mean": mean}


@router.get("/reports/ports")
def port_codes(database: Database, account: Planner) -> dict[str, Any]:
    """Ports by country, as rows of tuples."""
    rows = database.execute(
        select(Port.country, func.string_agg(Port.code, ",")).group_by(Port.country).order_by(Port.country)
    )
    return dict(map(tuple, rows))
