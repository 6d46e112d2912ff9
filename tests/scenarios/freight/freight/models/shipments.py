"""What is shipped: quotes, shipments, cargo in containers, bookings on voyage legs, events, documents."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Identity,
    LargeBinary,
    Numeric,
    String,
    UniqueConstraint,
    func,
)
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import Mapped, mapped_column, relationship

from freight.models.base import Base, Identified, Stamped, pg_enum
from freight.models.network import Port, VoyageLeg
from freight.models.parties import Organisation

__all__ = [
    "Booking", "CargoItem", "Container", "CustomsEntry", "Document", "EventKind", "Packing", "Quote", "Shipment",
    "ShipmentStatus", "TrackingEvent",
]  # fmt: skip


class ShipmentStatus(StrEnum):
    """How far a shipment has come."""

    DRAFT = "draft"
    BOOKED = "booked"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class EventKind(StrEnum):
    """What can happen to a shipment on its way."""

    GATE_IN = "gate_in"
    LOADED = "loaded"
    DEPARTED = "departed"
    ARRIVED = "arrived"
    DISCHARGED = "discharged"
    DELIVERED = "delivered"


class Quote(Identified, Stamped, Base):
    """An offer, good until it expires."""

    __tablename__ = "quotes"

    shipper_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisations.id"))
    origin_code: Mapped[str] = mapped_column(ForeignKey("ports.code"))
    destination_code: Mapped[str] = mapped_column(ForeignKey("ports.code"))
    teu: Mapped[int]
    amount: Mapped[Decimal]
    currency: Mapped[str] = mapped_column(String(3))
    breakdown: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]

    shipper: Mapped[Organisation] = relationship()


class Shipment(Identified, Stamped, Base):
    """Goods of one shipper on their way to one consignee. Changes are refused where somebody else was faster."""

    __tablename__ = "shipments"

    reference: Mapped[str] = mapped_column(String(16), unique=True)
    version: Mapped[int] = mapped_column()
    status: Mapped[ShipmentStatus] = mapped_column(pg_enum(ShipmentStatus, "shipment_status"), server_default="draft")
    shipper_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisations.id"))
    consignee_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisations.id"))
    quote_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("quotes.id"))
    origin_code: Mapped[str] = mapped_column(ForeignKey("ports.code"))
    destination_code: Mapped[str] = mapped_column(ForeignKey("ports.code"))
    incoterm: Mapped[str] = mapped_column(String(3), server_default="FOB")
    instructions: Mapped[str | None]
    attributes: Mapped[dict[str, Any]] = mapped_column(server_default="{}")

    shipper: Mapped[Organisation] = relationship(foreign_keys=shipper_id)
    consignee: Mapped[Organisation] = relationship(foreign_keys=consignee_id)
    origin: Mapped[Port] = relationship(foreign_keys=origin_code)
    destination: Mapped[Port] = relationship(foreign_keys=destination_code)
    quote: Mapped[Quote | None] = relationship()
    cargo: Mapped[list[CargoItem]] = relationship(
        back_populates="shipment", cascade="all, delete-orphan", order_by="CargoItem.line"
    )
    bookings: Mapped[list[Booking]] = relationship(
        back_populates="shipment", cascade="all, delete-orphan", order_by="Booking.position"
    )
    legs: AssociationProxy[list[VoyageLeg]] = association_proxy("bookings", "leg", creator=lambda leg: Booking(leg=leg))
    events: Mapped[list[TrackingEvent]] = relationship(
        back_populates="shipment", order_by="TrackingEvent.occurred_at, TrackingEvent.id"
    )
    documents: Mapped[list[Document]] = relationship(back_populates="shipment", order_by="Document.filename")
    customs: Mapped[CustomsEntry | None] = relationship(back_populates="shipment")

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - as SQLAlchemy wants it


class Booking(Base):
    """A shipment's place on a leg of a voyage: an association with a position and a size."""

    __tablename__ = "bookings"
    __table_args__ = (UniqueConstraint("shipment_id", "position"),)

    shipment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("shipments.id", ondelete="CASCADE"), primary_key=True)
    leg_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("voyage_legs.id"), primary_key=True)
    position: Mapped[int]
    teu: Mapped[int]
    confirmed_at: Mapped[datetime | None]

    shipment: Mapped[Shipment] = relationship(back_populates="bookings")
    leg: Mapped[VoyageLeg] = relationship()


class Container(Base):
    """A box, by its ISO 6346 number."""

    __tablename__ = "containers"
    __table_args__ = (CheckConstraint("max_gross_kg > tare_kg", name="holds_something"),)

    number: Mapped[str] = mapped_column(String(11), primary_key=True)
    iso_type: Mapped[str] = mapped_column(String(4))
    tare_kg: Mapped[Decimal] = mapped_column(Numeric(10, 3))
    max_gross_kg: Mapped[Decimal] = mapped_column(Numeric(10, 3))
    payload_kg: Mapped[Decimal] = mapped_column(Numeric(10, 3), Computed("max_gross_kg - tare_kg", persisted=True))

    packings: Mapped[list[Packing]] = relationship(back_populates="container")


class CargoItem(Identified, Base):
    """One line of what is shipped."""

    __tablename__ = "cargo_items"
    __table_args__ = (
        UniqueConstraint("shipment_id", "line"),
        CheckConstraint("quantity > 0", name="quantity_positive"),
    )

    shipment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("shipments.id", ondelete="CASCADE"))
    line: Mapped[int]
    description: Mapped[str]
    hs_code: Mapped[str] = mapped_column(String(10))
    quantity: Mapped[int]
    unit_weight_kg: Mapped[Decimal] = mapped_column(Numeric(10, 3))
    weight_kg: Mapped[Decimal] = mapped_column(Numeric(14, 3), Computed("quantity * unit_weight_kg", persisted=True))
    un_numbers: Mapped[list[str]] = mapped_column(server_default="{}")

    shipment: Mapped[Shipment] = relationship(back_populates="cargo")
    packings: Mapped[list[Packing]] = relationship(back_populates="item", cascade="all, delete-orphan")
    containers: AssociationProxy[list[Container]] = association_proxy("packings", "container")


class Packing(Base):
    """How much of a cargo line is in a container."""

    __tablename__ = "packings"

    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cargo_items.id", ondelete="CASCADE"), primary_key=True)
    container_number: Mapped[str] = mapped_column(ForeignKey("containers.number"), primary_key=True)
    quantity: Mapped[int]
    seal: Mapped[str | None]

    item: Mapped[CargoItem] = relationship(back_populates="packings")
    container: Mapped[Container] = relationship(back_populates="packings", lazy="joined", innerjoin=True)


class TrackingEvent(Base):
    """Something that happened on the way, as a carrier or a terminal reported it."""

    __tablename__ = "tracking_events"
    __table_args__ = (UniqueConstraint("source", "source_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    shipment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("shipments.id", ondelete="CASCADE"))
    kind: Mapped[EventKind] = mapped_column(pg_enum(EventKind, "event_kind"))
    port_code: Mapped[str | None] = mapped_column(ForeignKey("ports.code"))
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    source: Mapped[str]
    source_id: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(server_default="{}")

    shipment: Mapped[Shipment] = relationship(back_populates="events")
    port: Mapped[Port | None] = relationship()


class Document(Identified, Stamped, Base):
    """A file that belongs to a shipment."""

    __tablename__ = "documents"

    shipment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("shipments.id", ondelete="CASCADE"))
    filename: Mapped[str]
    media_type: Mapped[str]
    sha256: Mapped[bytes] = mapped_column(LargeBinary, Computed("sha256(content)", persisted=True))
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)

    shipment: Mapped[Shipment] = relationship(back_populates="documents")


class CustomsEntry(Identified, Stamped, Base):
    """A declaration, made by a broker or by ourselves."""

    __tablename__ = "customs_entries"

    shipment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("shipments.id", ondelete="CASCADE"), unique=True)
    broker_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("organisations.id"))
    number: Mapped[str] = mapped_column(String(20), unique=True)
    duty: Mapped[Decimal] = mapped_column(server_default="0")
    released_at: Mapped[datetime | None]

    shipment: Mapped[Shipment] = relationship(back_populates="customs")
    broker: Mapped[Organisation | None] = relationship()
