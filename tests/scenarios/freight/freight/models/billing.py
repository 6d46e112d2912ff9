"""Money: invoices with their lines, payments, and exchange rates."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Numeric, String, UniqueConstraint, func
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from freight.models.base import Base, Identified, Stamped, pg_enum
from freight.models.parties import Organisation
from freight.models.shipments import Shipment

__all__ = ["ExchangeRate", "Invoice", "InvoiceLine", "InvoiceStatus", "Payment"]


class InvoiceStatus(StrEnum):
    """Where an invoice stands."""

    OPEN = "open"
    PAID = "paid"
    VOID = "void"


class Invoice(Identified, Stamped, Base):
    """What a shipper owes for a shipment."""

    __tablename__ = "invoices"
    __table_args__ = (CheckConstraint("paid <= total", name="not_overpaid"),)

    number: Mapped[str] = mapped_column(String(16), unique=True)
    shipment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("shipments.id"))
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisations.id"))
    status: Mapped[InvoiceStatus] = mapped_column(pg_enum(InvoiceStatus, "invoice_status"), server_default="open")
    currency: Mapped[str] = mapped_column(String(3))
    total: Mapped[Decimal]
    paid: Mapped[Decimal] = mapped_column(server_default="0")
    due_on: Mapped[date]

    shipment: Mapped[Shipment] = relationship()
    customer: Mapped[Organisation] = relationship(lazy="joined", innerjoin=True)
    lines: Mapped[list[InvoiceLine]] = relationship(
        back_populates="invoice", cascade="all, delete-orphan", order_by="InvoiceLine.position"
    )
    payments: Mapped[list[Payment]] = relationship(back_populates="invoice", order_by="Payment.received_at")

    @hybrid_property
    def outstanding(self) -> Decimal:
        """What is still owed."""
        return self.total - self.paid


class InvoiceLine(Base):
    """One position of an invoice."""

    __tablename__ = "invoice_lines"

    invoice_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("invoices.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    amount: Mapped[Decimal]

    invoice: Mapped[Invoice] = relationship(back_populates="lines")


class Payment(Identified, Base):
    """Money that came in; the bank's reference makes it unique."""

    __tablename__ = "payments"
    __table_args__ = (UniqueConstraint("bank_reference"), CheckConstraint("amount > 0", name="amount_positive"))

    invoice_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("invoices.id"))
    amount: Mapped[Decimal]
    bank_reference: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())

    invoice: Mapped[Invoice] = relationship(back_populates="payments")


class ExchangeRate(Base):
    """Euros for a unit of a currency on a day."""

    __tablename__ = "exchange_rates"

    currency: Mapped[str] = mapped_column(String(3), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    euros: Mapped[Decimal] = mapped_column(Numeric(14, 6))
