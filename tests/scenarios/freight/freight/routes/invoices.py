"""Invoices and payments."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks
from pydantic import BaseModel
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload, selectinload

from freight import mail
from freight.cache import key, publish, store, sync_store
from freight.database import AsyncDatabase, Database
from freight.errors import Conflict
from freight.models import Contact, Invoice, InvoiceLine, InvoiceStatus, Payment, Quote, Shipment, Tariff
from freight.security import Account, allowed
from freight.tasks import send_invoice

router = APIRouter(tags=["invoices"])

_CENT = Decimal("0.01")
Clerk = Annotated[Account, allowed("bill")]


class NewPayment(BaseModel):
    amount: Decimal
    bank_reference: str


def _surcharges(base: Decimal, rules: dict[str, Any]) -> list[tuple[str, Decimal]]:
    """What is added to a freight, by name: an amount, or a percentage of it."""
    lines = []
    for name, rule in sorted(rules.items()):
        if isinstance(rule, str):
            lines.append((name, Decimal(rule)))
        else:
            lines.append((f"{name} {rule['percent']} %", base * rule["percent"] / 100))
    return [(name, amount.quantize(_CENT, ROUND_HALF_UP)) for name, amount in lines]


@router.post("/shipments/{reference}/invoice", status_code=201)
def bill(database: Database, account: Clerk, reference: str, background: BackgroundTasks) -> dict[str, Any]:
    """Bill a shipment by its quote and the surcharges of its lane."""
    shipment = database.scalars(
        select(Shipment).where(Shipment.reference == reference).options(joinedload(Shipment.quote))
    ).one()
    if shipment.quote is None:
        raise Conflict("no_quote", f"{reference} was never quoted")
    if number := database.scalar(select(Invoice.number).where(Invoice.shipment_id == shipment.id)):
        raise Conflict("already_billed", f"{reference} is billed by {number}")
    quote: Quote = shipment.quote
    tariff = database.scalars(
        select(Tariff).where(
            Tariff.origin_code == shipment.origin_code,
            Tariff.destination_code == shipment.destination_code,
            Tariff.valid.contains(date.today()),
        )
    ).one_or_none()
    lines = [(f"Freight {quote.teu} TEU", quote.amount)]
    lines += _surcharges(quote.amount, tariff.surcharges if tariff else {})
    serial = database.scalar(text("SELECT nextval('invoice_numbers')"))
    number = f"INV-{serial:06}"
    invoice = Invoice(
        number=number,
        shipment_id=shipment.id,
        customer_id=shipment.shipper_id,
        currency=quote.currency,
        total=sum((amount for _, amount in lines), Decimal(0)),
        due_on=datetime.now(UTC).date() + timedelta(days=30),
        lines=[InvoiceLine(position=at, text=name, amount=amount) for at, (name, amount) in enumerate(lines, 1)],
    )
    database.add(invoice)
    database.commit()
    sync_store.incrbyfloat(key("billed", quote.currency), float(invoice.total))
    background.add_task(send_invoice.delay, number)
    return {"number": number, "total": invoice.total, "currency": invoice.currency, "lines": len(lines)}


@router.get("/invoices/{number}")
async def read(database: AsyncDatabase, account: Clerk, number: str) -> dict[str, Any]:
    """One invoice with its lines and payments."""
    invoice = (
        await database.scalars(select(Invoice).where(Invoice.number == number).options(selectinload(Invoice.lines)))
    ).one()
    view: dict[str, Any] = {
        "number": invoice.number,
        "customer": invoice.customer.name,
        "status": invoice.status,
        "total": invoice.total,
        "outstanding": invoice.outstanding,
        "due_on": invoice.due_on,
        "lines": [{"text": line.text, "amount": line.amount} for line in invoice.lines],
    }
    if invoice.paid:
        view["payments"] = [{"amount": one.amount, "at": one.received_at} for one in invoice.payments]
    mailed = await store.get(key("invoice-mailed", number))
    return {**view, "mailed_at": mailed}


@router.post("/invoices/{number}/payments", status_code=201)
def pay(database: Database, account: Clerk, number: str, payment: NewPayment) -> dict[str, Any]:
    """Book a payment; the bank's reference is booked once, and nobody pays too much."""
    invoice = database.scalars(select(Invoice).where(Invoice.number == number).with_for_update(of=Invoice)).one()
    try:
        with database.begin_nested():
            database.add(Payment(invoice_id=invoice.id, **payment.model_dump()))
            invoice.paid += payment.amount
            if invoice.paid == invoice.total:
                invoice.status = InvoiceStatus.PAID
    except IntegrityError as error:
        raise Conflict("payment_refused", f"it breaks {error.orig.diag.constraint_name}") from None
    database.commit()
    return {"number": number, "status": invoice.status, "outstanding": invoice.outstanding}


@router.get("/receivables")
async def receivables(database: AsyncDatabase, account: Clerk, as_of: date | None = None) -> list[dict[str, Any]]:
    """What customers owe, by age."""
    day = as_of or datetime.now(UTC).date()
    age = day - Invoice.due_on
    rows = await database.execute(
        select(
            Invoice.customer_id,
            func.array_agg(Invoice.number.distinct()).label("numbers"),
            func.sum(Invoice.outstanding).filter(age <= 0).label("not_due"),
            func.sum(Invoice.outstanding).filter(age.between(1, 30)).label("to_30"),
            func.sum(Invoice.outstanding).filter(age > 30).label("over_30"),
        )
        .where(Invoice.status == InvoiceStatus.OPEN)
        .group_by(Invoice.customer_id)
        .order_by(Invoice.customer_id)
    )
    return [dict(row) for row in rows.mappings()]


@router.post("/invoices/{number}/remind", status_code=202)
async def remind(database: AsyncDatabase, account: Clerk, number: str, background: BackgroundTasks) -> dict[str, Any]:
    """Write to a customer that hasn't paid, once a day."""
    invoice = (await database.scalars(select(Invoice).where(Invoice.number == number))).one()
    if not invoice.outstanding:
        raise Conflict("paid", f"{number} is paid")
    if not await store.set(key("reminded", number), account.email, nx=True, ex=86400):
        raise Conflict("reminded", f"{await store.get(key('reminded', number))} did so already")
    contacts = await database.scalars(
        select(Contact)
        .where(Contact.organisation_id == invoice.customer_id, Contact.email.is_not(None))
        .order_by(Contact.name)
    )
    addresses = [contact.email for contact in contacts if contact.email]
    for address in addresses:
        background.add_task(_remind, address, number, f"{invoice.outstanding} {invoice.currency}")
    return {"number": number, "to": addresses}


async def _remind(address: str, number: str, amount: str) -> None:
    answer = await mail.send(mail.compose(address, f"Reminder: {number}", f"{amount} are still to be paid.\n"))
    await publish("mails", {"to": address, "answer": answer.split()[0]})
