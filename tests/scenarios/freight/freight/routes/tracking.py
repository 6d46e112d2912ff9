"""Tracking: what carriers report, what customers see, live."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import selectinload

from freight.cache import key, publish, store
from freight.carrier import signature
from freight.database import AsyncDatabase, AsyncSessions
from freight.models import EventKind, Port, Shipment, ShipmentStatus, TrackingEvent
from freight.security import Account, allowed, current_account
from freight.settings import settings
from freight.tasks import notify_customer

router = APIRouter(tags=["tracking"])

_TOLERANCE_S = 300
_STATUS_AFTER = {
    EventKind.LOADED: ShipmentStatus.IN_TRANSIT,
    EventKind.DEPARTED: ShipmentStatus.IN_TRANSIT,
    EventKind.DELIVERED: ShipmentStatus.DELIVERED,
}


async def _verified(request: Request, header: str) -> dict[str, Any]:
    """The body of a webhook, if its signature is ours and fresh."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    body = await request.body()
    at = int(parts.get("t", "0"))
    expected = signature(settings.webhook_secret.get_secret_value(), body, at)
    if not hmac.compare_digest(expected, parts.get("v1", "")):
        raise HTTPException(401, "wrong signature")
    if abs(time.time() - at) > _TOLERANCE_S:
        raise HTTPException(401, "too old")
    document: dict[str, Any] = json.loads(body)
    return document


async def _moment(database: AsyncDatabase, event: dict[str, Any]) -> datetime:
    """When an event happened, by the carrier's word."""
    return datetime.fromisoformat(event["occurred_at"])


@router.post("/webhooks/carriers/{source}")
async def carrier_event(
    request: Request, source: str, database: AsyncDatabase, x_carrier_signature: Annotated[str, Header()]
) -> dict[str, Any]:
    """Take a carrier's report; one that came before changes nothing."""
    event = await _verified(request, x_carrier_signature)
    shipment = (
        await database.scalars(
            select(Shipment).where(Shipment.reference == event["reference"]).with_for_update(of=Shipment)
        )
    ).one()
    moment = await _moment(database, event)
    if moment > datetime.now(UTC) + timedelta(minutes=10):
        raise HTTPException(422, "events of the future")
    kind = EventKind(event["kind"])
    inserted = await database.scalar(
        insert(TrackingEvent)
        .values(
            shipment_id=shipment.id,
            kind=kind,
            port_code=event.get("port"),
            occurred_at=moment,
            source=source,
            source_id=event["id"],
            payload=event,
        )
        .on_conflict_do_nothing(index_elements=["source", "source_id"])
        .returning(TrackingEvent.id)
    )
    if inserted is None:
        await database.rollback()
        return {"accepted": False, "reason": "seen before"}
    if (status := _STATUS_AFTER.get(kind)) is not None and shipment.status is not status:
        shipment.status = status
    await database.commit()
    async with store.pipeline(transaction=True) as pipe:
        pipe.lpush(key("events", shipment.reference), json.dumps({"kind": kind, "at": moment.isoformat()}))
        pipe.ltrim(key("events", shipment.reference), 0, 19)
        pipe.hincrby(key("stats", "events"), source, 1)
        await pipe.execute()
    listeners = await publish(f"shipments:{shipment.reference}", {"kind": kind, "at": moment})
    notify_customer.delay(shipment.reference, f"shipment.{kind}", {"reference": shipment.reference, "kind": kind})
    return {"accepted": True, "event": inserted, "listeners": listeners}


@router.get("/shipments/{reference}/events")
async def events(database: AsyncDatabase, account: Annotated[Account, allowed("read")], reference: str) -> Any:
    """A shipment's history, one line of JSON for each event."""
    shipment = (
        await database.scalars(
            select(Shipment)
            .where(Shipment.reference == reference)
            .options(selectinload(Shipment.events).selectinload(TrackingEvent.port))
        )
    ).one()

    async def lines() -> AsyncIterator[str]:
        for event in shipment.events:
            port = event.port.name if event.port else None
            yield json.dumps({"kind": event.kind, "at": event.occurred_at.isoformat(), "port": port}) + "\n"
            await asyncio.sleep(0)

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@router.get("/tracking/board")
async def board(account: Annotated[Account, allowed("read")]) -> list[dict[str, Any]]:
    """The board in the hall: what moves, from Redis alone."""
    rows = []
    for reference in await store.lrange(key("board"), 0, -1):
        facts = await store.hgetall(key("board", reference))
        seen = await store.incr(key("board-seen", reference))
        last = await store.lindex(key("events", reference), 0)
        rows.append({"reference": reference, **facts, "seen": seen, "last": json.loads(last) if last else None})
    await store.zincrby(key("board-viewers"), 1, account.email)
    return rows


@router.get("/tracking/dwell")
async def dwell(account: Annotated[Account, allowed("plan")], after: int = 0) -> StreamingResponse:
    """How long shipments stayed in ports, streamed from the database."""

    async def lines() -> AsyncIterator[str]:
        async with AsyncSessions() as database:
            rows = await database.stream(
                select(TrackingEvent.shipment_id, Port.name, TrackingEvent.occurred_at)
                .join(Port)
                .where(TrackingEvent.id > after)
                .order_by(TrackingEvent.shipment_id, TrackingEvent.occurred_at, TrackingEvent.id)
                .execution_options(yield_per=20)
            )
            before: Any = None
            async for shipment, port, at in rows:
                if before is not None and before[0] == shipment:
                    yield f"{shipment},{port},{(at - before[1]).total_seconds():.0f}\n"
                before = shipment, at

    return StreamingResponse(lines(), media_type="text/csv")


@router.websocket("/shipments/{reference}/live")
async def live(websocket: WebSocket, reference: str) -> None:
    """The last events, and whatever the client asks for until it says goodbye."""
    try:
        account = await current_account(websocket.cookies.get("freight_session"))
    except HTTPException as refused:
        await websocket.close(4401, str(refused.detail))
        return
    await websocket.accept()
    async with AsyncSessions() as database:
        while (asked := await websocket.receive_text()) != "bye":
            if asked == "recent":
                await websocket.send_json(await store.lrange(key("events", reference), 0, 4))
                continue
            status = await database.scalar(select(Shipment.status).where(Shipment.reference == reference))
            await websocket.send_json({"status": status, "for": account.email})
            await database.rollback()
    await websocket.close()
