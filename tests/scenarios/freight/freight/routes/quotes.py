"""Quotes: what a transport costs, and taking the offer."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, HTTPException
from pydantic import BaseModel, Field
from sqlalchemy import func, select, text

from freight import mail
from freight.cache import cached, limit, publish
from freight.carrier import CarrierError, gateway
from freight.database import AsyncDatabase
from freight.errors import Conflict
from freight.models import Contact, ExchangeRate, Organisation, Quote, Shipment, Tariff
from freight.security import Account, allowed
from freight.settings import settings
from freight.tasks import notify_customer

router = APIRouter(prefix="/quotes", tags=["quotes"])

_CENT = Decimal("0.01")


class Wanted(BaseModel):
    shipper: str
    origin: str
    destination: str
    teu: int = Field(gt=0, le=200)


class Acceptance(BaseModel):
    consignee: str
    incoterm: str = "FOB"
    instructions: str | None = None


async def _rates(database: AsyncDatabase) -> dict[str, str]:
    """The newest rate of each currency, cached for ten minutes."""

    async def make() -> dict[str, str]:
        rows = await database.execute(
            select(ExchangeRate.currency, ExchangeRate.euros)
            .distinct(ExchangeRate.currency)
            .order_by(ExchangeRate.currency, ExchangeRate.day.desc())
        )
        return {currency: str(euros) for currency, euros in rows}

    rates: dict[str, str] = await cached("exchange-rates", 600, make)
    return rates


async def _per_teu(database: AsyncDatabase, wanted: Wanted) -> tuple[Decimal, str, dict[str, Any]]:
    """By our tariff, or by the carriers' spot market."""
    tariff = await database.scalar(
        select(Tariff).where(
            Tariff.origin_code == wanted.origin,
            Tariff.destination_code == wanted.destination,
            Tariff.valid.contains(date.today()),
        )
    )
    if tariff is not None:
        return tariff.per_teu, tariff.currency, {"source": "tariff", "surcharges": sorted(tariff.surcharges)}
    try:
        spot = await gateway.spot_rate(wanted.origin, wanted.destination, wanted.teu)
    except CarrierError as error:
        if error.status == 404:
            raise HTTPException(422, f"nobody sails from {wanted.origin} to {wanted.destination}") from None
        raise
    return Decimal(spot["per_teu"]), spot["currency"], {"source": "spot", "offer": spot["offer"]}


@router.post("", status_code=201)
async def quote(
    database: AsyncDatabase, account: Annotated[Account, allowed("read")], wanted: Wanted
) -> dict[str, Any]:
    """Make an offer in the shipper's currency, good for three days."""
    await limit("quotes", str(account.user_id), settings.quotes_per_minute)
    shipper = (await database.scalars(select(Organisation).where(Organisation.code == wanted.shipper))).one()
    per_teu, currency, breakdown = await _per_teu(database, wanted)
    rates = await _rates(database)
    euros = per_teu * wanted.teu * Decimal(rates[currency])
    rate = rates[shipper.currency]
    amount = (euros / Decimal(rate)).quantize(_CENT, ROUND_HALF_UP)
    made = Quote(
        shipper_id=shipper.id,
        origin_code=wanted.origin,
        destination_code=wanted.destination,
        teu=wanted.teu,
        amount=amount,
        currency=shipper.currency,
        breakdown={**breakdown, "per_teu": str(per_teu), "rate": rate},
        expires_at=datetime.now(UTC) + timedelta(days=3),
    )
    database.add(made)
    await database.commit()
    await publish("quotes", {"id": made.id, "amount": amount, "by": account.email})
    return _view(made)


def _view(quote: Quote) -> dict[str, Any]:
    return {
        "id": quote.id,
        "lane": f"{quote.origin_code}-{quote.destination_code}",
        "teu": quote.teu,
        "amount": quote.amount,
        "currency": quote.currency,
        "breakdown": quote.breakdown,
        "expires_at": quote.expires_at,
        "accepted_at": quote.accepted_at,
    }


@router.get("/{quote_id}")
async def read(database: AsyncDatabase, account: Annotated[Account, allowed("read")], quote_id: uuid.UUID) -> Any:
    """One quote."""
    return _view(await database.get_one(Quote, quote_id))


@router.post("/{quote_id}/accept", status_code=201)
async def accept(
    database: AsyncDatabase,
    account: Annotated[Account, allowed("read")],
    quote_id: uuid.UUID,
    acceptance: Acceptance,
    background: BackgroundTasks,
) -> dict[str, Any]:
    """Make a shipment of a quote, once."""
    found = await database.get_one(Quote, quote_id, with_for_update=True)
    if found.accepted_at is not None:
        raise Conflict("already_accepted", f"accepted at {found.accepted_at:%Y-%m-%d}")
    if found.expires_at < datetime.now(UTC):
        raise Conflict("quote_expired", f"expired at {found.expires_at:%Y-%m-%d}")
    consignee = (await database.scalars(select(Organisation).where(Organisation.code == acceptance.consignee))).one()
    number = await database.scalar(text("SELECT nextval('shipment_numbers')"))
    found.accepted_at = func.now()
    shipment = Shipment(
        reference=f"FRT-{number:06}",
        shipper_id=found.shipper_id,
        consignee_id=consignee.id,
        quote_id=found.id,
        origin_code=found.origin_code,
        destination_code=found.destination_code,
        incoterm=acceptance.incoterm,
        instructions=acceptance.instructions,
        attributes={"teu": found.teu, "accepted_by": account.email},
    )
    database.add(shipment)
    await database.commit()
    notify_customer.delay(shipment.reference, "shipment.created", {"reference": shipment.reference, "teu": found.teu})
    addresses = await database.scalars(
        select(Contact.email)
        .where(Contact.organisation_id == found.shipper_id, Contact.email.is_not(None))
        .order_by(Contact.email)
    )
    for address in addresses:
        background.add_task(_confirm, str(address), shipment.reference, f"{found.amount} {found.currency}")
    return {"reference": shipment.reference, "status": shipment.status, "version": shipment.version}


async def _confirm(address: str, reference: str, price: str) -> None:
    await mail.send(mail.compose(address, f"Your shipment {reference}", f"We have booked {reference} for {price}.\n"))
    await publish(f"shipments:{reference}", {"mailed": address})
