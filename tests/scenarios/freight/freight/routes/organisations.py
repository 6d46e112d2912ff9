"""Organisations and their contacts."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field
from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload

from freight.database import Database
from freight.errors import Conflict
from freight.models import Contact, Organisation, OrganisationKind, Shipment, ShipmentStatus
from freight.security import Account, allowed

router = APIRouter(prefix="/organisations", tags=["organisations"])


class NewContact(BaseModel):
    name: str
    email: str | None = None
    topics: list[str] = []


class NewOrganisation(BaseModel):
    code: str = Field(pattern="^[A-Z0-9]{3,12}$")
    name: str
    kind: OrganisationKind
    country: str = Field(min_length=2, max_length=2)
    currency: str = "EUR"
    credit_limit: int = 0
    tags: list[str] = []
    preferences: dict[str, Any] = {}
    contacts: list[NewContact] = []


class Changes(BaseModel):
    name: str | None = None
    credit_limit: int | None = None
    tags: list[str] | None = None
    preferences: dict[str, Any] | None = None


def _view(organisation: Organisation) -> dict[str, Any]:
    return {
        "id": organisation.id,
        "code": organisation.code,
        "name": organisation.name,
        "kind": organisation.kind,
        "country": organisation.country,
        "credit_limit": organisation.credit_limit,
        "tags": organisation.tags,
        "preferences": organisation.preferences,
        "contacts": [{"name": each.name, "email": each.email, "topics": each.topics} for each in organisation.contacts],
        "updated_at": organisation.updated_at,
    }


@router.get("")
def search(
    database: Database,
    account: Annotated[Account, allowed("customers")],
    text: str = "",
    kind: OrganisationKind | None = None,
    tags: Annotated[list[str] | None, Query()] = None,
    page: Annotated[int, Query(ge=1)] = 1,
) -> dict[str, Any]:
    """A page of ten, by name."""
    wanted = select(Organisation)
    if text:
        wanted = wanted.where(or_(Organisation.name.icontains(text), Organisation.code.startswith(text.upper())))
    if kind is not None:
        wanted = wanted.where(Organisation.kind == kind)
    if tags:
        wanted = wanted.where(Organisation.tags.contains(tags))
    total = database.scalar(select(func.count()).select_from(wanted.subquery()))
    rows = database.scalars(
        wanted.options(selectinload(Organisation.contacts))
        .order_by(Organisation.name, Organisation.code)
        .limit(10)
        .offset(10 * (page - 1))
    ).all()
    return {"total": total, "page": page, "items": [_view(row) for row in rows]}


@router.post("", status_code=201)
def create(database: Database, account: Annotated[Account, allowed("administer")], new: NewOrganisation) -> Any:
    """Add an organisation with its contacts."""
    organisation = Organisation(**new.model_dump(exclude={"contacts"}))
    organisation.contacts = [Contact(**contact.model_dump()) for contact in new.contacts]
    database.add(organisation)
    database.commit()
    return _view(organisation)


@router.get("/{code}")
def read(database: Database, account: Annotated[Account, allowed("customers")], code: str) -> Any:
    """One organisation."""
    return _view(database.scalars(select(Organisation).where(Organisation.code == code)).one())


@router.patch("/{code}")
def change(database: Database, account: Annotated[Account, allowed("administer")], code: str, changes: Changes) -> Any:
    """Change some of its fields."""
    organisation = database.scalars(select(Organisation).where(Organisation.code == code).with_for_update()).one()
    for name, value in changes.model_dump(exclude_unset=True).items():
        setattr(organisation, name, value)
    try:
        database.commit()
    except IntegrityError as error:
        database.rollback()
        constraint = error.orig.diag.constraint_name if error.orig else None
        raise HTTPException(422, f"refused by {constraint}") from None
    return _view(organisation)


@router.delete("/{code}", status_code=204)
def remove(database: Database, account: Annotated[Account, allowed("administer")], code: str) -> None:
    """Remove an organisation that never shipped anything."""
    organisation = database.scalars(select(Organisation).where(Organisation.code == code)).one()
    try:
        with database.begin_nested():
            database.delete(organisation)
    except IntegrityError:
        shipped = database.scalar(select(func.count(Shipment.id)).where(Shipment.shipper_id == organisation.id))
        raise Conflict("still_used", f"{organisation.code} has {shipped} shipments") from None
    database.commit()


@router.get("/{code}/performance")
def performance(database: Database, account: Annotated[Account, allowed("customers")], code: str) -> dict[str, Any]:
    """How much of what an organisation ships arrives, by status and by destination."""
    organisation = database.scalars(select(Organisation).where(Organisation.code == code)).one()
    delivered, closed = _closed(database, organisation.id)
    share = delivered / closed
    destinations = database.execute(
        select(Shipment.destination_code, func.count())
        .where(Shipment.shipper_id == organisation.id)
        .group_by(Shipment.destination_code)
        .order_by(func.count().desc(), Shipment.destination_code)
    ).all()
    return {
        "code": organisation.code,
        "delivered": delivered,
        "share": round(share, 4) if share is not None else None,
        "destinations": dict(map(tuple, destinations)),
    }


def _closed(database: Any, organisation_id: uuid.UUID) -> tuple[int, int]:
    row = database.execute(
        select(
            func.count().filter(Shipment.status == ShipmentStatus.DELIVERED).label("delivered"),
            func.count()
            .filter(Shipment.status.in_([ShipmentStatus.DELIVERED, ShipmentStatus.CANCELLED]))
            .label("closed"),
        ).where(Shipment.shipper_id == organisation_id)
    ).one()
    return row.delivered, row.closed
