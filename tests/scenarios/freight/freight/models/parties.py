"""Who takes part: organisations, their users, and what was done by whom."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, String, func
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column, relationship

from freight.models.base import Base, Identified, Stamped, pg_enum

__all__ = ["AuditEntry", "Contact", "Organisation", "OrganisationKind", "Role", "User"]


class OrganisationKind(StrEnum):
    """What an organisation is to us."""

    SHIPPER = "shipper"
    CONSIGNEE = "consignee"
    CARRIER = "carrier"
    BROKER = "broker"


class Role(StrEnum):
    """What a user may do; see `freight.security`."""

    ADMIN = "admin"
    PLANNER = "planner"
    CLERK = "clerk"
    CUSTOMER = "customer"


class Organisation(Identified, Stamped, Base):
    """A company."""

    __tablename__ = "organisations"
    __table_args__ = (CheckConstraint("credit_limit >= 0", name="credit_limit_not_negative"),)

    code: Mapped[str] = mapped_column(String(12), unique=True)
    name: Mapped[str]
    kind: Mapped[OrganisationKind] = mapped_column(pg_enum(OrganisationKind, "organisation_kind"))
    country: Mapped[str] = mapped_column(String(2))
    currency: Mapped[str] = mapped_column(String(3), server_default="EUR")
    credit_limit: Mapped[int] = mapped_column(server_default="0")
    tags: Mapped[list[str]] = mapped_column(server_default="{}")
    preferences: Mapped[dict[str, Any]] = mapped_column(server_default="{}")

    users: Mapped[list[User]] = relationship(back_populates="organisation", order_by="User.email")
    contacts: Mapped[list[Contact]] = relationship(
        back_populates="organisation", cascade="all, delete-orphan", order_by="Contact.id"
    )


class Contact(Identified, Base):
    """Whom to write to."""

    __tablename__ = "contacts"

    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisations.id", ondelete="CASCADE"))
    name: Mapped[str]
    email: Mapped[str | None]
    topics: Mapped[list[str]] = mapped_column(server_default="{}")

    organisation: Mapped[Organisation] = relationship(back_populates="contacts")


class User(Identified, Stamped, Base):
    """Somebody who logs in."""

    __tablename__ = "users"

    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisations.id"))
    email: Mapped[str] = mapped_column(unique=True)
    full_name: Mapped[str]
    role: Mapped[Role] = mapped_column(pg_enum(Role, "user_role"))
    password_hash: Mapped[str]
    active: Mapped[bool] = mapped_column(server_default="true")
    last_login_at: Mapped[datetime | None]

    organisation: Mapped[Organisation] = relationship(back_populates="users", lazy="joined", innerjoin=True)


class AuditEntry(Base):
    """One change of a row, written by `freight.audit` at each flush."""

    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    actor: Mapped[str]
    address: Mapped[Any | None] = mapped_column(INET)
    action: Mapped[str]
    subject: Mapped[str]
    changes: Mapped[dict[str, Any]]
