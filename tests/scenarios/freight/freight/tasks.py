"""What is done after the answer: Celery tasks, sent through RabbitMQ."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import celery

import pytest_fluxrun as fluxrun

fluxrun.init(project="freight")

from sqlalchemy import func, select, update
from sqlalchemy.orm import joinedload, selectinload

from freight import mail
from freight.cache import key, sync_store
from freight.carrier import blocking, deliver
from freight.database import Sessions, in_transaction
from freight.models import (
    Booking,
    Contact,
    Invoice,
    Shipment,
    ShipmentStatus,
    Subscription,
    Voyage,
    VoyageLeg,
    WebhookDelivery,
)
from freight.settings import settings

__all__ = ["app"]

app = fluxrun.instrument(celery.Celery("freight", broker=settings.broker_url))
app.conf.update(
    task_default_queue=settings.task_queue,
    task_ignore_result=True,
    task_acks_late=True,
    broker_connection_retry_on_startup=False,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
)


@app.task(name="freight.confirm_booking", bind=True, max_retries=2, default_retry_delay=0)
def confirm_booking(self: Any, reference: str) -> dict[str, Any]:
    """Ask the carrier to confirm each leg, and mark those that it confirms."""
    with Sessions() as session, blocking() as client:
        shipment = session.scalars(
            select(Shipment)
            .where(Shipment.reference == reference)
            .options(selectinload(Shipment.bookings).joinedload(Booking.leg).joinedload(VoyageLeg.voyage))
        ).one()
        confirmed = 0
        for booking in shipment.bookings:
            response = client.post(
                "/bookings", json={"voyage": booking.leg.voyage.number, "leg": booking.leg.sequence, "teu": booking.teu}
            )
            if response.status_code == 503:
                session.commit()
                raise self.retry(exc=ConnectionError(f"the carrier is busy: {response.text}"))
            if response.status_code == 201:
                booking.confirmed_at = datetime.fromisoformat(response.json()["confirmed_at"])
                confirmed += 1
        if shipment.status is ShipmentStatus.DRAFT and confirmed:
            shipment.status = ShipmentStatus.BOOKED
        session.commit()
        sync_store.hincrby(key("stats", "bookings"), "confirmed", confirmed)
        return {"reference": reference, "confirmed": confirmed, "of": len(shipment.bookings)}


@app.task(name="freight.send_invoice", max_retries=0)
def send_invoice(number: str) -> str:
    """Mail an invoice with its lines as a file."""
    with Sessions() as session:
        invoice = session.scalars(
            select(Invoice).where(Invoice.number == number).options(selectinload(Invoice.lines))
        ).one()
        contact = session.scalars(
            select(Contact)
            .where(Contact.organisation_id == invoice.customer_id, Contact.topics.any("billing"))
            .order_by(Contact.name)
        ).first()
        lines = "\n".join(f"{line.position},{line.text},{line.amount}" for line in invoice.lines)
        message = mail.compose(
            contact.email.lower(),
            f"Invoice {invoice.number}",
            f"Dear {contact.name},\n\nplease find our invoice of {invoice.total} {invoice.currency} attached.\n",
            (f"{invoice.number}.csv", lines.encode()),
        )
        refused = mail.send_blocking(message)
        sync_store.set(key("invoice-mailed", number), datetime.now(UTC).isoformat(), ex=86400)
        return f"refused by {len(refused)}"


@app.task(name="freight.notify_customer")
def notify_customer(reference: str, topic: str, body: dict[str, Any]) -> list[int]:
    """Call the webhooks of a shipment's shipper that want the topic."""
    with Sessions() as session, blocking() as client:
        shipper = select(Shipment.shipper_id).where(Shipment.reference == reference).scalar_subquery()
        wanted = session.scalars(
            select(Subscription)
            .where(Subscription.organisation_id == shipper, Subscription.active, Subscription.topics.any(topic))
            .order_by(Subscription.url)
        ).all()
        codes = []
        for subscription in wanted:
            status = deliver(client, subscription.url, subscription.signing_secret, topic, body)
            codes.append(status)
            session.add(
                WebhookDelivery(
                    subscription=subscription,
                    topic=topic,
                    body=body,
                    status_code=status or None,
                    delivered_at=datetime.now(UTC) if 200 <= status < 300 else None,
                )
            )
        session.commit()
        return codes


@app.task(name="freight.release_stale_space")
def release_stale_space(hours: int = 48) -> int:
    """Give back what drafts hold on voyages, in a transaction that is tried again."""

    def work(session: Any) -> int:
        stale = (
            select(Voyage.id, func.sum(Booking.teu).label("teu"))
            .join(VoyageLeg, VoyageLeg.voyage_id == Voyage.id)
            .join(Booking, Booking.leg_id == VoyageLeg.id)
            .join(Shipment, Shipment.id == Booking.shipment_id)
            .where(
                Shipment.status == ShipmentStatus.CANCELLED, Shipment.updated_at < func.now() - timedelta(hours=hours)
            )
            .group_by(Voyage.id)
            .cte("stale")
        )
        result = session.execute(
            update(Voyage)
            .where(Voyage.id == stale.c.id)
            .values(allocated_teu=func.greatest(Voyage.allocated_teu - stale.c.teu, 0))
        )
        return int(result.rowcount)

    released = in_transaction(work, isolation="SERIALIZABLE")
    sync_store.publish(key("channel", "space"), released)
    return released


@app.task(name="freight.refresh_board")
def refresh_board(limit: int = 30) -> int:
    """Write the tracking board's hashes for the shipments that moved last."""
    with Sessions() as session:
        moving = session.scalars(
            select(Shipment)
            .where(Shipment.status.in_([ShipmentStatus.BOOKED, ShipmentStatus.IN_TRANSIT]))
            .options(joinedload(Shipment.destination), joinedload(Shipment.shipper))
            .order_by(Shipment.updated_at.desc(), Shipment.reference)
            .limit(limit)
        ).all()
        with sync_store.pipeline(transaction=False) as pipe:
            pipe.delete(key("board"))
            for shipment in moving:
                pipe.rpush(key("board"), shipment.reference)
                pipe.hset(
                    key("board", shipment.reference),
                    mapping={
                        "status": shipment.status.value,
                        "shipper": shipment.shipper.name,
                        "to": shipment.destination.name,
                        "at": shipment.updated_at.isoformat(),
                    },
                )
            pipe.execute()
        return len(moving)
