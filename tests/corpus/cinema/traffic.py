"""Real traffic for the box office, in the process that serves it: `python traffic.py`. Prints what wasn't as intended.

`python traffic.py seed`, in a process of its own before it, puts the first screenings and bookings into the database.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cinema import main  # before all else of it, since it starts the recording
from cinema.settings import WEBHOOK_SECRET
from flask.testing import FlaskClient

import pytest_fluxrun as fluxrun

_FLUSH_S = 30
_SCREENINGS = {
    "matinee": 1,
    "evening": 2,
    "soon": 3,
    "small": 4,
    "in three hours": 5,
    "in 30 minutes": 6,
    "in a day": 7,
}
_LONG_AGO_S = 3600

surprises: list[str] = []
_ids = itertools.count(1)


def seed(now: datetime) -> None:
    """Put screenings and bookings that nobody paid into the main.database."""
    tomorrow = (now + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [
        ("Metropolis", "red", tomorrow.replace(hour=16, minute=59), 100, 1150),
        ("Nosferatu", "blue", tomorrow.replace(hour=17), 100, 1295),
        ("Metropolis", "red", now + timedelta(minutes=20), 100, 1150),
        ("Faust", "attic", tomorrow.replace(hour=20), 20, 1000),
        ("Faust", "attic", now + timedelta(hours=3), 50, 1000),
        ("Faust", "attic", now + timedelta(minutes=30, seconds=40), 50, 1000),
        ("Faust", "attic", now + timedelta(hours=24, minutes=30), 50, 1000),
    ]
    with main.database.transaction() as connection:
        for film, hall, starts_at, seats, price_cents in starts:
            connection.execute(
                "INSERT INTO screenings (film, hall, starts_at, seats, price_cents) VALUES (?, ?, ?, ?, ?)",
                (film, hall, starts_at.isoformat(), seats, price_cents),
            )
        for number in range(3):
            main.database.add_booking(
                connection,
                {
                    "id": f"held-{number}",
                    "screening_id": 1,
                    "email": f"late{number}@example.org",
                    "seats": 1,
                    "total_cents": 1150,
                    "status": "held",
                    "charge_id": None,
                    "created_at": time.time() - _LONG_AGO_S + number,
                },
            )


class Client:
    """Sends requests and notes what wasn't as intended."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client

    def send(self, expected: int, method: str, path: str, **options: object) -> dict[str, str]:
        """Send one request and check the status that comes back."""
        with self._client.open(path, method=method, **options) as response:
            if response.status_code != expected:
                surprises.append(f"{method} {path} gave {response.status_code}, not {expected}: {response.text}")
            answer: dict[str, str] = response.get_json(silent=True)
            return answer

    def book(self, expected: int, screening: str, **changes: object) -> str:
        """Book seats; returns the booking's id, if there is one."""
        number = next(_ids)
        wanted = {"email": f"buyer{number}@example.org", "seats": 2, "card": f"ok-{number}"} | changes
        body = self.send(expected, "POST", f"/screenings/{_SCREENINGS[screening]}/bookings", json=wanted)
        return body.get("id", "")


def look(client: Client) -> None:
    """Look at screenings."""
    client.send(200, "GET", "/screenings?film=Faust&limit=1")
    client.send(200, "GET", "/screenings?limit=50")
    client.send(400, "GET", "/screenings?limit=51")
    client.send(400, "GET", "/screenings?limit=0")
    client.send(200, "GET", "/screenings")
    client.send(404, "GET", "/screenings/99")
    client.send(200, "GET", "/screenings/4")


def buy(client: Client) -> None:
    """Book seats in every way that succeeds, and cancel some."""
    first = client.book(201, "matinee", seats=3, children=1, voucher="third")
    client.book(201, "evening", seats=20, voucher="NOPE", email="bounce@example.org")
    client.book(201, "evening")
    client.book(201, "small", seats=10, children=10, card="busy")
    client.send(200, "GET", "/screenings/4")  # ten seats are free
    client.book(409, "small", seats=11)
    client.book(201, "small", seats=10)
    client.send(200, "GET", "/screenings/4")
    day = client.book(201, "in a day", seats=1)
    client.send(200, "POST", f"/bookings/{day}/cancel")
    three_hours = client.book(201, "in three hours", seats=1)
    soon = client.book(201, "in 30 minutes")
    client.send(200, "GET", f"/bookings/{first}")
    client.send(200, "POST", f"/bookings/{first}/cancel", headers={"X-Request-Id": "from-the-client"})
    client.send(409, "POST", f"/bookings/{first}/cancel")
    client.send(200, "POST", f"/bookings/{three_hours}/cancel")
    client.send(409, "POST", f"/bookings/{soon}/cancel")


def be_refused(client: Client) -> None:
    """Book seats in every way that fails."""
    client.book(409, "soon")
    client.book(400, "evening", seats=21)
    client.book(400, "evening", seats=None)
    client.book(400, "evening", seats=2, children=3)
    client.book(400, "evening", email="nobody")
    client.book(402, "evening", card="declined")
    client.book(502, "evening", card="broken")
    client.book(502, "evening", card="garbled")
    client.book(502, "evening", card="slow")
    client.book(502, "evening", card="full")


def notify(client: Client) -> None:
    """Send webhooks: good, repeated, forged, stale, of another kind."""
    booking = client.book(201, "evening", seats=1)
    time.sleep(1 - time.time() % 1)  # 300 s old, and not 301
    for number, (expected, kind, secret, age_s) in enumerate(
        (
            (403, "charge.disputed", WEBHOOK_SECRET, 300),
            (200, "charge.settled", WEBHOOK_SECRET, 0),
            (200, "charge.settled", WEBHOOK_SECRET, 0),
            (403, "charge.settled", b"guess", 0),
            (400, "charge.forgotten", WEBHOOK_SECRET, 0),
            (200, "charge.disputed", WEBHOOK_SECRET, 0),
        )
    ):
        body = json.dumps({"id": f"evt_{number // 5}", "kind": kind, "booking": booking}).encode()
        signed_at = str(int(time.time()) - age_s)
        signature = hmac.new(secret, signed_at.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers = {"Provider-Signature": f"{signed_at}.{signature}", "Content-Type": "application/json"}
        client.send(expected, "POST", "/webhooks/provider", data=body, headers=headers)


def work_by_night() -> None:
    """Run the jobs."""
    expect(["held-0", "held-1"], lambda: main.jobs.release(2))
    expect({"sent": 1, "failed": 1}, lambda: main.jobs.remind(2))
    try:
        main.jobs.remind(99)
    except LookupError:
        pass
    else:
        surprises.append("a screening that isn't there was reminded of")
    day = (datetime.now(UTC) + timedelta(days=2)).date()
    expect(["Faust", "Nosferatu"], lambda: [each.film for each in main.jobs.takings(day)])


def expect(expected: object, call: Callable[[], object]) -> None:
    """Check what a job returns."""
    actual = call()
    if actual != expected:
        surprises.append(f"a job returned {actual}, not {expected}")


if __name__ == "__main__":
    if sys.argv[1:] == ["seed"]:
        seed(datetime.now(UTC))
        sys.exit()
    with main.app.test_client() as flask:
        for step in (look, buy, be_refused, notify):
            step(Client(flask))
    work_by_night()
    if not fluxrun.flush(_FLUSH_S):
        surprises.append("not every run was stored")
    print("\n".join(surprises))
    sys.exit(bool(surprises))
