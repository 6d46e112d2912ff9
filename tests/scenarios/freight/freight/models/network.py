"""The network: ports, vessels, voyages with their legs, and the tariff of a lane."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Interval, Numeric, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import DATERANGE, TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column, relationship

from freight.models.base import Base, Identified, Stamped
from freight.models.parties import Organisation

__all__ = ["Port", "Tariff", "Vessel", "Voyage", "VoyageLeg"]


class Port(Base):
    """A harbour, by its UN/LOCODE."""

    __tablename__ = "ports"

    code: Mapped[str] = mapped_column(String(5), primary_key=True)
    name: Mapped[str]
    country: Mapped[str] = mapped_column(String(2))
    time_zone: Mapped[str]
    latitude: Mapped[Decimal] = mapped_column(Numeric(8, 5))
    longitude: Mapped[Decimal] = mapped_column(Numeric(8, 5))
    services: Mapped[list[str]] = mapped_column(server_default="{}")


class Vessel(Base):
    """A ship, by its IMO number."""

    __tablename__ = "vessels"
    __table_args__ = (CheckConstraint("imo BETWEEN 1000000 AND 9999999", name="imo_has_seven_digits"),)

    imo: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    carrier_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisations.id"))
    name: Mapped[str]
    capacity_teu: Mapped[int]
    particulars: Mapped[dict[str, Any]] = mapped_column(server_default="{}")

    carrier: Mapped[Organisation] = relationship(lazy="joined", innerjoin=True)
    voyages: Mapped[list[Voyage]] = relationship(back_populates="vessel")


class Voyage(Identified, Stamped, Base):
    """A vessel's round, booked leg by leg."""

    __tablename__ = "voyages"
    __table_args__ = (
        UniqueConstraint("vessel_imo", "number"),
        CheckConstraint("allocated_teu >= 0", name="allocated_not_negative"),
    )

    vessel_imo: Mapped[int] = mapped_column(ForeignKey("vessels.imo"))
    number: Mapped[str] = mapped_column(String(12))
    allocated_teu: Mapped[int] = mapped_column(server_default="0")
    remarks: Mapped[str | None]

    vessel: Mapped[Vessel] = relationship(back_populates="voyages", lazy="joined", innerjoin=True)
    legs: Mapped[list[VoyageLeg]] = relationship(
        back_populates="voyage", cascade="all, delete-orphan", order_by="VoyageLeg.sequence", lazy="selectin"
    )


class VoyageLeg(Identified, Base):
    """From one port to the next. A vessel can't be on two legs at once."""

    __tablename__ = "voyage_legs"
    __table_args__ = (
        UniqueConstraint("voyage_id", "sequence"),
        ExcludeConstraint(("vessel_imo", "="), ("sailing", "&&"), name="ex_voyage_legs_one_place_at_a_time"),
    )

    voyage_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("voyages.id", ondelete="CASCADE"))
    vessel_imo: Mapped[int] = mapped_column(ForeignKey("vessels.imo"))
    sequence: Mapped[int]
    origin_code: Mapped[str] = mapped_column(ForeignKey("ports.code"))
    destination_code: Mapped[str] = mapped_column(ForeignKey("ports.code"))
    sailing: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    transit: Mapped[timedelta] = mapped_column(Interval, Computed("upper(sailing) - lower(sailing)", persisted=True))

    voyage: Mapped[Voyage] = relationship(back_populates="legs")
    origin: Mapped[Port] = relationship(foreign_keys=origin_code)
    destination: Mapped[Port] = relationship(foreign_keys=destination_code)


class Tariff(Identified, Base):
    """What a TEU costs between two ports during a period; periods of a lane don't overlap."""

    __tablename__ = "tariffs"
    __table_args__ = (
        ExcludeConstraint(
            ("origin_code", "="), ("destination_code", "="), ("valid", "&&"), name="ex_tariffs_one_price_at_a_time"
        ),
    )

    origin_code: Mapped[str] = mapped_column(ForeignKey("ports.code"))
    destination_code: Mapped[str] = mapped_column(ForeignKey("ports.code"))
    valid: Mapped[Range[date]] = mapped_column(DATERANGE)
    per_teu: Mapped[Decimal]
    currency: Mapped[str] = mapped_column(String(3))
    surcharges: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
