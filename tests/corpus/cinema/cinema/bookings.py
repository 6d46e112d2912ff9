"""Screenings and bookings: looking, booking, cancelling."""

from __future__ import annotations

import logging
import sqlite3
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request

from cinema import database, pricing
from cinema.problems import NotFound, NotPaid, Problem, SoldOut, TooLate
from cinema.provider import provider

logger = logging.getLogger(__name__)
blueprint = Blueprint("bookings", __name__)

_MOST_SEATS = 20


@blueprint.get("/screenings")
def list_screenings() -> Response:
    """List what is on, the next first."""
    limit = request.args.get("limit", default=10, type=int)
    if not 1 <= limit <= 50:
        raise Problem
    with database.transaction() as connection:
        rows = database.upcoming(connection, request.args.get("film"), limit, datetime.now(UTC))
    return jsonify([{"id": row["id"], "film": row["film"], "starts_at": row["starts_at"]} for row in rows])


@blueprint.get("/screenings/<int:screening_id>")
def read_screening(screening_id: int) -> Response:
    """Show one screening, and how many seats are free."""
    with database.transaction() as connection:
        screening = _screening(connection, screening_id)
        free = screening["seats"] - database.taken_seats(connection, screening_id)
    return jsonify(film=screening["film"], hall=screening["hall"], free=free, few=free < 10)


@blueprint.post("/screenings/<int:screening_id>/bookings")
def book(screening_id: int) -> tuple[Response, int]:
    """Book seats: hold them, charge the card, mail the ticket."""
    wanted = _wanted(request.get_json())
    with database.transaction() as connection:
        screening = _screening(connection, screening_id)
        if screening["seats"] - database.taken_seats(connection, screening_id) < wanted["seats"]:
            raise SoldOut
    starts_at = datetime.fromisoformat(screening["starts_at"])
    if not pricing.is_on_sale(starts_at, datetime.now(UTC)):
        raise TooLate
    percent = provider.voucher_percent(wanted["voucher"]) if wanted["voucher"] else 0
    price = pricing.price(
        screening["price_cents"],
        starts_at,
        seats=wanted["seats"],
        children=wanted["children"],
        voucher_percent=percent,
    )
    booking_id = uuid.uuid4().hex
    booking = {
        "id": booking_id,
        "screening_id": screening_id,
        "email": wanted["email"],
        "seats": wanted["seats"],
        "total_cents": price.total_cents,
        "status": "held",
        "charge_id": None,
        "created_at": time.time(),
    }
    with database.transaction() as connection:
        database.add_booking(connection, booking)
    charge_id = _charge(booking_id, price.total_cents, wanted["card"])
    with database.transaction() as connection:
        database.set_status(connection, booking_id, "paid", charge_id)
    _mail_ticket(wanted["email"], screening["film"], wanted["seats"])
    logger.info("booking %s paid: %d", booking_id, price.total_cents)
    return jsonify(id=booking_id, total_cents=price.total_cents, fee_cents=price.fee_cents, status="paid"), 201


@blueprint.get("/bookings/<booking_id>")
def read_booking(booking_id: str) -> Response:
    """Show one booking."""
    with database.transaction() as connection:
        booking = _booking(connection, booking_id)
    shown = {key: booking[key] for key in ("id", "seats", "total_cents", "status")}
    return jsonify(shown | {"age_s": int(time.time() - booking["created_at"])})


@blueprint.post("/bookings/<booking_id>/cancel")
def cancel(booking_id: str) -> Response:
    """Cancel a paid booking and give back what is due."""
    with database.transaction() as connection:
        booking = _booking(connection, booking_id)
        screening = _screening(connection, booking["screening_id"])
    if booking["status"] != "paid":
        raise NotPaid
    starts_at = datetime.fromisoformat(screening["starts_at"])
    refund_cents = pricing.refund_cents(booking["total_cents"], starts_at, datetime.now(UTC))
    if refund_cents == 0:
        raise TooLate
    refund_id = provider.refund(booking["charge_id"], refund_cents)
    with database.transaction() as connection:
        database.set_status(connection, booking_id, "cancelled")
    return jsonify(refund=refund_id, refund_cents=refund_cents)


def _wanted(body: dict[str, Any]) -> dict[str, Any]:
    """Check what a client sent."""
    seats, children = body.get("seats"), body.get("children", 0)
    if not isinstance(seats, int) or not 1 <= seats <= _MOST_SEATS or not 0 <= children <= seats:
        raise Problem
    if "@" not in body.get("email", "") or not body.get("card"):
        raise Problem
    return {**body, "seats": seats, "children": children, "voucher": body.get("voucher", "").upper()}


def _charge(booking_id: str, total_cents: int, card: str) -> str:
    """Charge a card; a booking that can't be paid is cancelled."""
    try:
        return provider.charge(total_cents, card, booking_id)
    except Problem:
        with database.transaction() as connection:
            database.set_status(connection, booking_id, "cancelled")
        raise


def _mail_ticket(email: str, film: str, seats: int) -> None:
    """Mail the ticket; one that bounces doesn't spoil the booking."""
    try:
        provider.mail(email, f"Your ticket for {film}", f"{seats} seats")
    except Problem:
        logger.warning("the ticket for %s was not mailed", email)


def _screening(connection: sqlite3.Connection, screening_id: int) -> sqlite3.Row:
    screening = database.find_screening(connection, screening_id)
    if screening is None:
        raise NotFound
    return screening


def _booking(connection: sqlite3.Connection, booking_id: str) -> sqlite3.Row:
    booking = database.find_booking(connection, booking_id)
    if booking is None:
        raise NotFound
    return booking
