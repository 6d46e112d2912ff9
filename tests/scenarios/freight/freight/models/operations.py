"""What runs behind the scenes: jobs that workers claim, and webhooks of customers."""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, SmallInteger, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from freight.models.base import Base, Identified, pg_enum
from freight.models.parties import Organisation

__all__ = ["Job", "JobStatus", "Subscription", "WebhookDelivery"]


class JobStatus(StrEnum):
    """Where a job stands."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Job(Base):
    """Work for later; claimed with FOR UPDATE SKIP LOCKED."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]]
    status: Mapped[JobStatus] = mapped_column(pg_enum(JobStatus, "job_status"), server_default="ready")
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    run_after: Mapped[datetime] = mapped_column(server_default=func.now())
    claimed_by: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="0")


class Subscription(Identified, Base):
    """Where a customer wants to hear of events."""

    __tablename__ = "subscriptions"

    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organisations.id"))
    url: Mapped[str]
    signing_secret: Mapped[str]
    topics: Mapped[list[str]] = mapped_column(server_default="{}")
    active: Mapped[bool] = mapped_column(server_default="true")

    organisation: Mapped[Organisation] = relationship(lazy="joined", innerjoin=True)


class WebhookDelivery(Identified, Base):
    """One event for one subscription, and how the customer's server took it."""

    __tablename__ = "webhook_deliveries"

    subscription_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subscriptions.id"))
    topic: Mapped[str]
    body: Mapped[dict[str, Any]]
    status_code: Mapped[int | None]
    delivered_at: Mapped[datetime | None]

    subscription: Mapped[Subscription] = relationship(lazy="joined", innerjoin=True)
