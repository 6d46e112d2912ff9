"""Shipments: listing, reading, changing, their cargo and containers, their documents."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Response, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload, load_only, raiseload, selectinload, undefer

from freight.carrier import gateway
from freight.database import AsyncDatabase, Database, Sessions
from freight.errors import Conflict
from freight.models import (
    Booking,
    CargoItem,
    Container,
    CustomsEntry,
    Document,
    Packing,
    Shipment,
    ShipmentStatus,
    VoyageLeg,
)
from freight.security import Account, allowed
from freight.tasks import confirm_booking

router = APIRouter(prefix="/shipments", tags=["shipments"])

Reader = Annotated[Account, allowed("read")]
Planner = Annotated[Account, allowed("plan")]


class NewItem(BaseModel):
    description: str
    hs_code: str = Field(pattern=r"^\d{6,10}$")
    quantity: int
    unit_weight_kg: Decimal
    un_numbers: list[str] = []
    container: str | None = None


class Change(BaseModel):
    incoterm: str | None = None
    instructions: str | None = None
    delivery_address: str | None = None
    status: ShipmentStatus | None = None


class Legs(BaseModel):
    legs: list[uuid.UUID]
    teu: int = 1


def _view(shipment: Shipment) -> dict[str, Any]:
    return {
        "reference": shipment.reference,
        "version": shipment.version,
        "status": shipment.status,
        "lane": f"{shipment.origin_code}-{shipment.destination_code}",
        "shipper": shipment.shipper.name,
        "consignee": shipment.consignee.name,
        "incoterm": shipment.incoterm,
        "attributes": shipment.attributes,
        "updated_at": shipment.updated_at,
    }


_WITH_PARTIES = (joinedload(Shipment.shipper), joinedload(Shipment.consignee))


@router.get("")
async def page(
    database: AsyncDatabase,
    account: Reader,
    status: ShipmentStatus | None = None,
    lane: str | None = None,
    attribute: str | None = None,
    page: Annotated[int, Query(ge=1)] = 1,
    size: Annotated[int, Query(le=50)] = 20,
) -> dict[str, Any]:
    """A page of shipments with their cargo; customers see their own."""
    wanted = select(Shipment).options(*_WITH_PARTIES, selectinload(Shipment.cargo))
    if not account.may("customers"):
        wanted = wanted.where(Shipment.shipper_id == account.organisation_id)
    if status is not None:
        wanted = wanted.where(Shipment.status == status)
    if lane is not None:
        origin, _, destination = lane.partition("-")
        wanted = wanted.where(Shipment.origin_code == origin, Shipment.destination_code == destination)
    if attribute is not None:
        name, _, value = attribute.partition(":")
        wanted = wanted.where(Shipment.attributes.contains({name: value}))
    total = await database.scalar(select(func.count()).select_from(wanted.order_by(None).subquery()))
    rows = await database.scalars(wanted.order_by(Shipment.reference).limit(size).offset(size * (page - 1)))
    items = [
        {**_view(row), "lines": len(row.cargo), "weight_kg": sum((item.weight_kg for item in row.cargo), Decimal(0))}
        for row in rows
    ]
    return {"total": total, "page": page, "items": items}


@router.get("/board")
def board(database: Database, account: Planner, limit: Annotated[int, Query(le=100)] = 40) -> list[dict[str, Any]]:
    """What planners see in the morning."""
    shipments = database.scalars(
        select(Shipment).where(Shipment.status != ShipmentStatus.CANCELLED).order_by(Shipment.reference).limit(limit)
    )
    return [
        {
            "reference": shipment.reference,
            "shipper": shipment.shipper.name,
            "from": shipment.origin.name,
            "to": shipment.destination.name,
            "lines": [item.description for item in shipment.cargo],
            "last": shipment.events[-1].kind if shipment.events else None,
            "documents": len(shipment.documents),
        }
        for shipment in shipments
    ]


@router.get("/customs")
def customs(database: Database, account: Planner, origin: str) -> list[dict[str, Any]]:
    """What is to be cleared, and by whom."""
    shipments = database.scalars(
        select(Shipment)
        .join(CustomsEntry)
        .where(Shipment.origin_code == origin, CustomsEntry.released_at.is_(None))
        .order_by(CustomsEntry.number)
    ).all()
    rows = []
    for shipment in shipments:
        entry = shipment.customs
        rows.append(
            {
                "reference": shipment.reference,
                "entry": entry.number,
                "broker": entry.broker.name,
                "consignee": shipment.consignee.name,
                "duty": entry.duty,
                "goods": [item.hs_code for item in shipment.cargo],
            }
        )
    return rows


@router.get("/{reference}")
def read(database: Database, account: Reader, reference: str) -> dict[str, Any]:
    """One shipment with everything that belongs to it."""
    shipment = database.scalars(
        select(Shipment)
        .where(Shipment.reference == reference)
        .options(
            *_WITH_PARTIES,
            selectinload(Shipment.cargo).selectinload(CargoItem.packings),
            selectinload(Shipment.bookings).joinedload(Booking.leg).joinedload(VoyageLeg.destination),
            selectinload(Shipment.documents),
        )
    ).one()
    if not account.may("customers") and shipment.shipper_id != account.organisation_id:
        raise HTTPException(403, "not your shipment")
    return {
        **_view(shipment),
        "cargo": [
            {
                "line": item.line,
                "description": item.description,
                "weight_kg": item.weight_kg,
                "un_numbers": item.un_numbers,
                "containers": [container.number for container in item.containers],
            }
            for item in shipment.cargo
        ],
        "legs": [
            {"to": leg.destination.name, "arrives_at": leg.sailing.upper, "transit": leg.transit.total_seconds()}
            for leg in shipment.legs
        ],
        "documents": [{"name": one.filename, "sha256": one.sha256.hex()} for one in shipment.documents],
    }


@router.patch("/{reference}")
async def change(database: AsyncDatabase, account: Planner, reference: str, change: Change) -> dict[str, Any]:
    """Change a shipment; an address is looked up first."""
    return await _apply(database, reference, change)


async def _apply(database: AsyncDatabase, reference: str, change: Change) -> dict[str, Any]:
    shipment = (
        await database.scalars(select(Shipment).where(Shipment.reference == reference).options(*_WITH_PARTIES))
    ).one()
    if shipment.status is ShipmentStatus.CANCELLED:
        raise Conflict("cancelled", f"{reference} is cancelled")
    for name, value in change.model_dump(exclude_unset=True, exclude={"delivery_address"}).items():
        setattr(shipment, name, value)
    if change.delivery_address is not None:
        address = await gateway.validate_address(change.delivery_address)
        shipment.attributes = {**shipment.attributes, "delivery_address": address}
    await database.commit()
    await database.refresh(shipment, ["updated_at", "version"])
    return _view(shipment)


@router.delete("/{reference}", status_code=204)
def cancel(database: Database, account: Planner, reference: str) -> None:
    """Cancel a shipment that hasn't left."""
    shipment = database.scalars(select(Shipment).where(Shipment.reference == reference).with_for_update()).one()
    if shipment.status not in (ShipmentStatus.DRAFT, ShipmentStatus.BOOKED):
        raise Conflict("under_way", f"{reference} is {shipment.status}")
    shipment.status = ShipmentStatus.CANCELLED
    database.commit()


@router.get("/{reference}/eta")
def eta(database: Database, account: Reader, reference: str) -> dict[str, Any]:
    """When a shipment arrives, by the last leg that it is booked on."""
    shipment = database.scalars(
        select(Shipment)
        .where(Shipment.reference == reference)
        .options(selectinload(Shipment.bookings).joinedload(Booking.leg))
    ).one()
    last = shipment.legs[-1]
    return {
        "reference": reference,
        "arrives_at": last.sailing.upper,
        "port": last.destination_code,
        "booked": bool(shipment.bookings),
    }


@router.get("/{reference}/label")
def label(database: Database, account: Reader, reference: str) -> Response:
    """What is stuck to a box."""
    shipment = database.scalars(
        select(Shipment)
        .where(Shipment.reference == reference)
        .options(
            load_only(Shipment.reference, Shipment.destination_code, Shipment.attributes, raiseload=True),
            joinedload(Shipment.consignee),
            raiseload("*"),
        )
    ).one()
    lines = [shipment.reference, shipment.consignee.name, shipment.destination_code]
    if shipment.attributes.get("temperature"):
        lines.append(f"KEEP AT {shipment.attributes['temperature']} - {shipment.instructions}")
    return Response("\n".join(lines), media_type="text/plain")


@router.post("/{reference}/cargo", status_code=201)
def pack(database: Database, account: Planner, reference: str, items: list[NewItem]) -> dict[str, Any]:
    """Add cargo lines; those that break a rule are left out and named."""
    shipment = database.scalars(
        select(Shipment).where(Shipment.reference == reference).with_for_update(of=Shipment)
    ).one()
    line = database.scalar(select(func.coalesce(func.max(CargoItem.line), 0)).filter_by(shipment_id=shipment.id)) or 0
    refused = []
    added = []
    for new in items:
        try:
            with database.begin_nested():
                item = CargoItem(shipment_id=shipment.id, line=line + 1, **new.model_dump(exclude={"container"}))
                if new.container is not None:
                    item.packings = [Packing(container_number=new.container, quantity=new.quantity)]
                database.add(item)
        except IntegrityError as error:
            refused.append({"description": new.description, "breaks": error.orig.diag.constraint_name})
        else:
            line += 1
            added.append(item)
    database.commit()
    return {"added": [{"line": item.line, "weight_kg": item.weight_kg} for item in added], "refused": refused}


@router.get("/{reference}/load")
def load(database: Database, account: Planner, reference: str) -> list[dict[str, Any]]:
    """How full each container of a shipment is."""
    weight = func.sum(Packing.quantity * CargoItem.unit_weight_kg)
    rows = database.execute(
        select(
            Container.number,
            Container.payload_kg,
            weight.label("weight"),
            (weight / Container.payload_kg).label("share"),
        )
        .join(Packing, Packing.container_number == Container.number)
        .join(CargoItem, CargoItem.id == Packing.item_id)
        .join(Shipment)
        .where(Shipment.reference == reference)
        .group_by(Container.number)
        .order_by(Container.number)
    )
    return [dict(row) for row in rows.mappings()]


@router.put("/{reference}/legs")
def book(database: Database, account: Planner, reference: str, wanted: Legs) -> dict[str, Any]:
    """Book a shipment on legs, in order; the carrier confirms later."""
    shipment = database.scalars(
        select(Shipment).where(Shipment.reference == reference).options(selectinload(Shipment.bookings))
    ).one()
    shipment.bookings.clear()
    database.flush()
    found = {leg.id: leg for leg in database.scalars(select(VoyageLeg).where(VoyageLeg.id.in_(wanted.legs))).unique()}
    if missing := [str(leg) for leg in wanted.legs if leg not in found]:
        raise Conflict("no_such_leg", ", ".join(missing))
    shipment.bookings = [
        Booking(leg=found[leg], position=position, teu=wanted.teu) for position, leg in enumerate(wanted.legs, 1)
    ]
    database.commit()
    sent = confirm_booking.delay(reference)
    return {"reference": reference, "legs": len(shipment.bookings), "task": sent.id}


@router.post("/{reference}/documents", status_code=201)
async def upload(database: AsyncDatabase, account: Reader, reference: str, file: UploadFile) -> dict[str, Any]:
    """Keep a file of up to a megabyte."""
    content = await file.read()
    if len(content) > 1_000_000:
        raise HTTPException(413, "too large")
    shipment_id = (await database.scalars(select(Shipment.id).where(Shipment.reference == reference))).one()
    document = Document(
        shipment_id=shipment_id,
        filename=file.filename or "unnamed",
        media_type=file.content_type or "application/octet-stream",
        content=content,
    )
    database.add(document)
    await database.commit()
    await database.refresh(document, ["sha256", "created_at"])
    return {"id": document.id, "sha256": document.sha256.hex(), "size": len(content), "at": document.created_at}


@router.get("/{reference}/documents/{document_id}")
async def download(database: AsyncDatabase, account: Reader, reference: str, document_id: uuid.UUID) -> Response:
    """A file again."""
    document = await database.get_one(Document, document_id, options=[undefer(Document.content)])
    return Response(
        document.content,
        media_type=document.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{document.filename}"',
            "ETag": f'"{document.sha256.hex()}"',
        },
    )


@router.get("/{reference}/manifest")
def manifest(account: Reader, reference: str) -> StreamingResponse:
    """The cargo as text, read by a server-side cursor while it is sent."""

    def lines() -> Iterator[str]:
        with Sessions() as database:
            rows = database.execute(
                select(CargoItem.line, CargoItem.description, CargoItem.weight_kg, CargoItem.un_numbers)
                .join(Shipment)
                .where(Shipment.reference == reference)
                .order_by(CargoItem.line)
                .execution_options(yield_per=5)
            )
            yield f"MANIFEST {reference}\n"
            for line, description, weight, un_numbers in rows:
                yield f"{line:>4} {description:<40} {weight:>12} {' '.join(un_numbers)}\n"

    return StreamingResponse(lines(), media_type="text/plain")
