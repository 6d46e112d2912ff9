"""The tables, and what is asked of them. Holds no rule of the business."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from cinema.settings import DATABASE_PATH

_SCHEMA = """
CREATE TABLE IF NOT EXISTS screenings (
    id INTEGER PRIMARY KEY, film TEXT, hall TEXT, starts_at TEXT, seats INTEGER, price_cents INTEGER
);
CREATE TABLE IF NOT EXISTS bookings (
    id TEXT PRIMARY KEY, screening_id INTEGER, email TEXT, seats INTEGER, total_cents INTEGER,
    status TEXT, charge_id TEXT, created_at REAL
);
CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, kind TEXT, taken_at REAL);
"""


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """A connection whose changes are kept unless an error leaves the block."""
    connection = sqlite3.connect(DATABASE_PATH, timeout=5)
    connection.row_factory = sqlite3.Row
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def create_tables() -> None:
    """Create what isn't there yet."""
    with transaction() as connection:
        connection.executescript(_SCHEMA)


def find_screening(connection: sqlite3.Connection, screening_id: int) -> sqlite3.Row | None:
    """Return one screening."""
    row: sqlite3.Row | None = connection.execute("SELECT * FROM screenings WHERE id = ?", (screening_id,)).fetchone()
    return row


def taken_seats(connection: sqlite3.Connection, screening_id: int) -> int:
    """Return how many seats are booked, paid or not."""
    query = "SELECT coalesce(sum(seats), 0) FROM bookings WHERE screening_id = ? AND status != 'cancelled'"
    return int(connection.execute(query, (screening_id,)).fetchone()[0])


def upcoming(connection: sqlite3.Connection, film: str | None, limit: int, now: datetime) -> list[sqlite3.Row]:
    """Return the next screenings, of one film or of all."""
    query = "SELECT * FROM screenings WHERE starts_at > ?"
    values: list[object] = [now.isoformat()]
    if film:
        query += " AND film = ?"
        values.append(film)
    return connection.execute(f"{query} ORDER BY starts_at, id LIMIT ?", (*values, limit)).fetchall()


def find_booking(connection: sqlite3.Connection, booking_id: str) -> sqlite3.Row | None:
    """Return one booking."""
    row: sqlite3.Row | None = connection.execute("SELECT * FROM bookings WHERE id = ?", (booking_id,)).fetchone()
    return row


def add_booking(connection: sqlite3.Connection, booking: dict[str, object]) -> None:
    """Save a new booking."""
    connection.execute(
        "INSERT INTO bookings (id, screening_id, email, seats, total_cents, status, charge_id, created_at)"
        " VALUES (:id, :screening_id, :email, :seats, :total_cents, :status, :charge_id, :created_at)",
        booking,
    )


def set_status(connection: sqlite3.Connection, booking_id: str, status: str, charge_id: str | None = None) -> None:
    """Change a booking's status, and its charge where one is given."""
    if charge_id is None:
        connection.execute("UPDATE bookings SET status = ? WHERE id = ?", (status, booking_id))
    else:
        connection.execute(
            "UPDATE bookings SET status = ?, charge_id = ? WHERE id = ?", (status, charge_id, booking_id)
        )
