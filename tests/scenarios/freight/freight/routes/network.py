"""Ports, schedules, voyages and the space on them."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased, joinedload

from freight.cache import cached, forget
from freight.carrier import CarrierError, blocking, gateway
from freight.database import AsyncDatabase, Sessions, engine
from freight.errors import Conflict
from freight.models import Port, Vessel, Voyage, VoyageLeg
from freight.security import Account, allowed

router = APIRouter(tags=["network"])


class NewLeg(BaseModel):
    origin: str
    destination: str
    departs_at: AwareDatetime
    arrives_at: AwareDatetime


class NewVoyage(BaseModel):
    vessel_imo: int
    number: str
    remarks: str | None = None
    legs: list[NewLeg] = Field(min_length=1)


class Allocation(BaseModel):
    teu: int = Field(gt=0)


def _leg_view(leg: VoyageLeg) -> dict[str, Any]:
    return {
        "sequence": leg.sequence,
        "from": leg.origin_code,
        "to": leg.destination_code,
        "departs_at": leg.sailing.lower,
        "arrives_at": leg.sailing.upper,
        "transit_hours": leg.transit / timedelta(hours=1),
    }


def _voyage_view(voyage: Voyage) -> dict[str, Any]:
    return {
        "id": voyage.id,
        "number": voyage.number,
        "vessel": voyage.vessel.name,
        "carrier": voyage.vessel.carrier.name,
        "capacity_teu": voyage.vessel.capacity_teu,
        "allocated_teu": voyage.allocated_teu,
        "legs": [_leg_view(leg) for leg in voyage.legs],
    }


@router.get("/ports")
async def ports(database: AsyncDatabase, service: str | None = None) -> list[dict[str, Any]]:
    """The ports that offer a service; for everybody, and cached."""

    async def make() -> list[dict[str, Any]]:
        wanted = select(Port).order_by(Port.code)
        if service:
            wanted = wanted.where(Port.services.any(service))
        return [
            {
                "code": port.code,
                "name": port.name,
                "at": [str(port.latitude), str(port.longitude)],
                "offers": port.services,
            }
            for port in await database.scalars(wanted)
        ]

    found: list[dict[str, Any]] = await cached(f"ports:{service or 'all'}", 600, make)
    return found


@router.get("/schedule")
async def schedule(
    database: AsyncDatabase,
    account: Annotated[Account, allowed("read")],
    origin: str,
    destination: str,
    after: AwareDatetime | None = None,
    limit: Annotated[int, Query(le=50)] = 10,
) -> list[dict[str, Any]]:
    """Ways from port to port with at most one change of vessel."""
    first, second = aliased(VoyageLeg), aliased(VoyageLeg)
    since = after or func.now()
    direct = await database.scalars(
        select(first)
        .where(first.origin_code == origin, first.destination_code == destination, func.lower(first.sailing) > since)
        .options(joinedload(first.voyage), joinedload(first.origin), joinedload(first.destination))
        .order_by(func.lower(first.sailing), first.id)
        .limit(limit)
    )
    ways = [{"legs": [_leg_view(leg)], "voyages": [leg.voyage.number]} for leg in direct.unique()]
    changing = await database.execute(
        select(first, second)
        .join(second, second.origin_code == first.destination_code)
        .where(
            first.origin_code == origin,
            second.destination_code == destination,
            func.lower(first.sailing) > since,
            func.lower(second.sailing).between(
                func.upper(first.sailing) + timedelta(hours=12), func.upper(first.sailing) + timedelta(days=14)
            ),
        )
        .options(joinedload(first.voyage), joinedload(second.voyage))
        .order_by(func.upper(second.sailing), first.id, second.id)
        .limit(limit)
    )
    for one, two in changing.unique():
        ways.append({"legs": [_leg_view(one), _leg_view(two)], "voyages": [one.voyage.number, two.voyage.number]})
    return ways


@router.post("/voyages", status_code=201)
async def plan(database: AsyncDatabase, account: Annotated[Account, allowed("plan")], new: NewVoyage) -> dict[str, Any]:
    """Plan a voyage; a vessel can't be on two legs at once."""
    voyage = Voyage(
        vessel_imo=new.vessel_imo,
        number=new.number,
        remarks=new.remarks,
        legs=[
            VoyageLeg(
                vessel_imo=new.vessel_imo,
                sequence=number,
                origin_code=leg.origin,
                destination_code=leg.destination,
                sailing=Range(leg.departs_at, leg.arrives_at),
            )
            for number, leg in enumerate(new.legs, 1)
        ],
    )
    database.add(voyage)
    try:
        await database.commit()
    except IntegrityError as error:
        await database.rollback()
        raise Conflict("voyage_refused", f"the plan breaks {_constraint(error)}") from None
    await database.refresh(voyage, ["vessel", "legs"])
    await forget(f"voyage:{voyage.id}")
    return _voyage_view(voyage)


def _constraint(error: IntegrityError) -> str:
    cause = getattr(error.orig, "__cause__", None)
    return getattr(cause, "constraint_name", None) or "a rule"


@router.get("/voyages/{number}")
async def voyage(database: AsyncDatabase, account: Annotated[Account, allowed("read")], number: str) -> dict[str, Any]:
    """One voyage with its legs."""
    return _voyage_view((await database.scalars(select(Voyage).where(Voyage.number == number))).unique().one())


@router.get("/vessels/{imo}/position")
async def position(database: AsyncDatabase, account: Annotated[Account, allowed("read")], imo: int) -> dict[str, Any]:
    """Where a vessel is, and the port that is nearest to it."""
    vessel = await database.get_one(Vessel, imo)
    found = await gateway.position(imo)
    distance = func.sqrt(
        func.power(Port.latitude - found["latitude"], 2) + func.power(Port.longitude - found["longitude"], 2)
    )
    nearest = (await database.execute(select(Port.name, distance.label("away")).order_by(distance).limit(1))).one()
    return {"vessel": vessel.name, "near": nearest.name, "degrees_away": round(float(nearest.away), 3), **found}


@router.post("/voyages/{voyage_id}/allocations", status_code=201)
def allocate(account: Annotated[Account, allowed("plan")], voyage_id: uuid.UUID, wanted: Allocation) -> dict[str, Any]:
    """Take space on a voyage, after the carrier has agreed."""
    stable = engine.execution_options(isolation_level="REPEATABLE READ")
    with Sessions(bind=stable) as database, blocking() as carrier:
        allocated, capacity = _take(database, carrier, voyage_id, wanted.teu)
        database.commit()
    return {"voyage": voyage_id, "allocated_teu": allocated, "capacity_teu": capacity}


def _take(database: Any, carrier: Any, voyage_id: uuid.UUID, teu: int) -> tuple[int, int]:
    found = database.get_one(Voyage, voyage_id)
    if found.allocated_teu + teu > found.vessel.capacity_teu:
        raise Conflict("voyage_full", f"{found.vessel.capacity_teu - found.allocated_teu} TEU are left")
    answer = carrier.get(f"/voyages/{found.number}/space", params={"teu": teu})
    if answer.is_error:
        raise CarrierError(answer.text, answer.status_code)
    if not answer.json()["available"]:
        raise Conflict("no_space", "the carrier has no space left")
    found.allocated_teu += teu
    found.remarks = f"allocated until {datetime.fromisoformat(answer.json()['held_until']):%Y-%m-%d %H:%M}"
    database.flush()
    return found.allocated_teu, found.vessel.capacity_teu
