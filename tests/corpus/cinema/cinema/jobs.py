"""What runs by night: releasing seats that nobody paid, reminding, adding up."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pytest_fluxrun as fluxrun
from cinema import database
from cinema.problems import Problem
from cinema.provider import provider

logger = logging.getLogger(__name__)

_HELD_S = 900


@dataclass(frozen=True, slots=True)
class Takings:
    """What a film took on a day."""

    film: str
    seats: int
    euros: Decimal
    share_percent: Decimal


@fluxrun.capture("bookings.release")
def release(limit: int) -> list[str]:
    """Cancel bookings that were held for too long, the oldest first. Returns their ids."""
    query = "SELECT id, email FROM bookings WHERE status = 'held' AND created_at < ? ORDER BY created_at LIMIT ?"
    with database.transaction() as connection:
        rows = connection.execute(query, (time.time() - _HELD_S, limit)).fetchall()
        for row in rows:
            database.set_status(connection, row["id"], "cancelled")
    for row in rows:
        provider.mail(row["email"], "Your seats were released", f"Booking {row['id']} was not paid in time.")
    logger.info("%d bookings were released", len(rows))
    return [row["id"] for row in rows]


@fluxrun.capture("screenings.remind")
def remind(screening_id: int) -> dict[str, int]:
    """Mail everybody who has paid for a screening. Returns how many mails went out, and how many did not."""
    query = "SELECT email, seats FROM bookings WHERE screening_id = ? AND status = 'paid' ORDER BY created_at"
    with database.transaction() as connection:
        screening = database.find_screening(connection, screening_id)
        rows = connection.execute(query, (screening_id,)).fetchall()
    if screening is None:
        raise LookupError(f"there is no screening {screening_id}")
    sent = failed = 0
    for row in rows:
        try:
            provider.mail(row["email"], f"Today: {screening['film']}", f"{row['seats']} seats in {screening['hall']}")
            sent += 1
        except Problem:
            failed += 1
    return {"sent": sent, "failed": failed}


@fluxrun.capture("takings.daily")
def takings(day: date) -> list[Takings]:
    """Add up what each film took on a day, and its share of what was paid out."""
    query = (
        "SELECT film, sum(bookings.seats) AS seats, sum(total_cents) AS cents"
        " FROM bookings JOIN screenings ON screenings.id = bookings.screening_id"
        " WHERE bookings.status IN ('paid', 'settled') AND substr(starts_at, 1, 10) = ?"
        " GROUP BY film ORDER BY film"
    )
    with database.transaction() as connection:
        rows = connection.execute(query, (day.isoformat(),)).fetchall()
    paid_out = provider.balance_cents("box-office")
    return [
        Takings(row["film"], row["seats"], Decimal(row["cents"]) / 100, Decimal(row["cents"] * 100) / paid_out)
        for row in rows
    ]
