"""Real bugs of the freight desk, each with the request that shows it and a fix that runs past the recorded failure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

__all__ = ["BUGS", "Bug"]

_ENTRY = {"id": 90001, "at": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)}
"""What the database makes of a row of audit_entries."""
_INVOICE = {
    "status": "open",
    "paid": 0.0,
    "id": "5d3c8a52-4f0e-4a51-9f6e-0a53c6a1f0b7",
    "created_at": _ENTRY["at"],
    "updated_at": _ENTRY["at"],
}
"""And of one of invoices."""


@dataclass(frozen=True, slots=True)
class Bug:
    """A failure, and its fix as replacements of text.

    Attributes:
        request: method and path, or the task's name.
        raises: the recorded error's class.
        fix: (file below `freight/`, old text, new text).
        asks: what the fixed code newly asks, for a reader.
        expected: the guard's table [fix].
        missing: words of the first call that fixed code makes and the run lacks; "" where it makes none.
        answers: what a person who knows the desk writes into the guard.
        gone: words of the recorded effect that the fixed code doesn't make any more.
        help: what the guard needs to be green: those answers, what `fluxrun extend` adds, `beyond = "accept"`, nothing.
    """

    request: str
    raises: str
    fix: tuple[tuple[str, str, str], ...]
    asks: str
    expected: dict[str, Any]
    missing: str = ""
    answers: tuple[dict[str, Any], ...] = ()
    gone: str = ""
    help: Literal["answers", "extend", "accept", "nothing"] = "extend"

    def apply(self, package: Path) -> None:
        """Fix the copy of the project."""
        for name, old, new in self.fix:
            source = (package / name).read_text()
            assert source.count(old) == 1, (self.request, name, source.count(old))
            (package / name).write_text(source.replace(old, new))


BUGS = {
    "no-booking": Bug(
        "GET /shipments/FRT-000007/eta",
        "builtins:IndexError",
        (
            (
                "routes/shipments.py",
                "    last = shipment.legs[-1]\n",
                "    last = shipment.legs[-1] if shipment.legs else _next_sailing(database, shipment)\n",
            ),
            (
                "routes/shipments.py",
                '@router.get("/{reference}/label")\n',
                '''def _next_sailing(database: Database, shipment: Shipment) -> VoyageLeg:
    """The first leg that it could still be booked on."""
    return database.scalars(
        select(VoyageLeg)
        .where(VoyageLeg.destination_code == shipment.destination_code, func.lower(VoyageLeg.sailing) > func.now())
        .order_by(func.upper(VoyageLeg.sailing), VoyageLeg.id)
        .limit(1)
    ).one()


@router.get("/{reference}/label")
''',
            ),
        ),
        asks="SQL: the next sailing to the shipment's destination",
        expected={"status": 200, "body": {"reference": "FRT-000007", "booked": False}},
        missing="SELECT voyage_legs.voyage_id",
    ),
    "no-rate": Bug(
        "POST /quotes",
        "builtins:KeyError",
        (
            (
                "routes/quotes.py",
                "    rate = rates[shipper.currency]\n",
                "    rate = rates.get(shipper.currency) or await gateway.exchange_rate(shipper.currency)\n",
            ),
        ),
        asks="HTTP: the carriers' exchange rate; then SQL: INSERT, COMMIT; then Redis: PUBLISH",
        expected={"status": 201, "body": {"currency": "NOK"}},
        missing="/exchange/NOK",
    ),
    "nothing-closed": Bug(
        "GET /organisations/STARTUP/performance",
        "builtins:ZeroDivisionError",
        (
            (
                "routes/organisations.py",
                "    share = delivered / closed\n",
                "    share = delivered / closed if closed else None\n",
            ),
        ),
        asks="SQL: the second statement of the page, which the failure never reached",
        expected={"status": 200, "body": {"delivered": 0, "destinations": {}}},
        missing="SELECT shipments.destination_code, count(*)",
    ),
    "column-not-loaded": Bug(
        "GET /shipments/FRT-000036/label",
        "sqlalchemy.exc:InvalidRequestError",
        (
            (
                "routes/shipments.py",
                "load_only(Shipment.reference, Shipment.destination_code, Shipment.attributes, raiseload=True),\n",
                """load_only(
                Shipment.reference,
                Shipment.destination_code,
                Shipment.attributes,
                Shipment.instructions,
                raiseload=True,
            ),
""",
            ),
        ),
        asks="SQL: the same SELECT with a column more",
        expected={"status": 200},
        missing="shipments.instructions",
    ),
    "stale-version": Bug(
        "PATCH /shipments/FRT-000008",
        "sqlalchemy.orm.exc:StaleDataError",
        (
            (
                "routes/shipments.py",
                "    return await _apply(database, reference, change)\n",
                """    for _ in range(2):
        try:
            return await _apply(database, reference, change)
        except StaleDataError:
            await database.rollback()
            database.expire_all()
    raise Conflict("changed_meanwhile", f"{reference} was changed by somebody else")
""",
            ),
            (
                "routes/shipments.py",
                "raiseload, selectinload, undefer\n",
                "raiseload, selectinload, undefer\nfrom sqlalchemy.orm.exc import StaleDataError\n",
            ),
        ),
        asks="all again: SQL: the row, which is another now; HTTP: POST the address; SQL: UPDATE, INSERT, COMMIT",
        expected={"status": 200, "body": {"reference": "FRT-000008"}},
        missing="shipments",
        answers=(
            {"call": "httpx POST*/addresses/validate", "reply": {"json": {"text": "Hold My Berth"}}},
            {"call": "asyncpg INSERT INTO audit_entries*", "reply": {"count": 1, "rows": [_ENTRY]}},
        ),
    ),
    "busy-gateway": Bug(
        "GET /vessels/9839430/position",
        "httpx:HTTPStatusError",
        (
            (
                "carrier.py",
                """        response = await self._client.get(f"/vessels/{imo}/position")
        response.raise_for_status()
        position: dict[str, Any] = response.json()
""",
                """        position: dict[str, Any] = await self._get(f"/vessels/{imo}/position")
""",
            ),
        ),
        asks="HTTP: the same GET again, which is answered as before; then our own answer, 502",
        expected={"status": 502, "body": {"error": "carrier_unavailable"}},
        help="nothing",
    ),
    "no-retry": Bug(
        "POST /voyages/ce56e047-84f8-8772-b74c-2c99c53de2cf/allocations",
        "sqlalchemy.exc:OperationalError",
        (
            (
                "routes/network.py",
                """    stable = engine.execution_options(isolation_level="REPEATABLE READ")
    with Sessions(bind=stable) as database, blocking() as carrier:
        allocated, capacity = _take(database, carrier, voyage_id, wanted.teu)
        database.commit()
""",
                """    with blocking() as carrier:
        allocated, capacity = in_transaction(lambda database: _take(database, carrier, voyage_id, wanted.teu))
""",
            ),
            (
                "routes/network.py",
                "from freight.database import AsyncDatabase, Sessions, engine\n",
                "from freight.database import AsyncDatabase, in_transaction\n",
            ),
        ),
        asks="the whole transaction again: SQL: the voyage, which is another now; UPDATE, INSERT, COMMIT",
        expected={"status": 201, "body": {"capacity_teu": 4000}},
        missing="voyages",
        answers=(
            {"call": "psycopg UPDATE voyages*", "reply": {"count": 1}},
            {"call": "psycopg INSERT INTO audit_entries*", "reply": {"count": 1, "rows": [_ENTRY]}},
        ),
        help="answers",
    ),
    "no-time-zone": Bug(
        "POST /webhooks/carriers/polaris",
        "builtins:TypeError",
        (
            (
                "routes/tracking.py",
                '    return datetime.fromisoformat(event["occurred_at"])\n',
                """    moment = datetime.fromisoformat(event["occurred_at"])
    if moment.tzinfo is None:
        zone = await database.scalar(select(Port.time_zone).where(Port.code == event["port"]))
        moment = moment.replace(tzinfo=ZoneInfo(zone or "UTC"))
    return moment
""",
            ),
            (
                "routes/tracking.py",
                "from typing import Annotated, Any\n",
                "from typing import Annotated, Any\nfrom zoneinfo import ZoneInfo\n",
            ),
        ),
        asks="SQL: the port's time zone, INSERT, UPDATE, COMMIT; Redis: a pipeline, PUBLISH; RabbitMQ: a task",
        expected={"status": 200, "body": {"accepted": True}},
        missing="ports.time_zone",
    ),
    "same-code-again": Bug(
        "POST /organisations",
        "sqlalchemy.exc:IntegrityError",
        (
            (
                "routes/organisations.py",
                """    database.add(organisation)
    database.commit()
    return _view(organisation)
""",
                """    database.add(organisation)
    try:
        database.commit()
    except IntegrityError:
        database.rollback()
        taken = database.scalars(select(Organisation.name).where(Organisation.code == new.code)).one()
        raise Conflict("code_taken", f"{new.code} is {taken}") from None
    return _view(organisation)
""",
            ),
        ),
        asks="SQL: who has the code",
        expected={"status": 409, "body": {"error": "code_taken"}},
        missing="SELECT organisations.name",
        answers=({"call": "psycopg SELECT organisations.name FROM*", "reply": {"rows": [{"name": "Zenith"}]}},),
        help="answers",
    ),
    "one-by-one": Bug(
        "GET /shipments/customs",
        "builtins:AttributeError",
        (
            (
                "routes/shipments.py",
                """        .order_by(CustomsEntry.number)
    ).all()
""",
                """        .options(
            contains_eager(Shipment.customs).joinedload(CustomsEntry.broker),
            joinedload(Shipment.consignee),
            joinedload(Shipment.cargo),
        )
        .order_by(CustomsEntry.number)
    ).unique()
""",
            ),
            (
                "routes/shipments.py",
                '                "broker": entry.broker.name,\n',
                '                "broker": entry.broker.name if entry.broker else None,\n',
            ),
            (
                "routes/shipments.py",
                "from sqlalchemy.orm import joinedload,",
                "from sqlalchemy.orm import contains_eager, joinedload,",
            ),
        ),
        asks="SQL: one statement with joins in the place of a page of them",
        expected={"status": 200},
        missing="SELECT customs_entries.shipment_id",
    ),
    "older-cache": Bug(
        "GET /me/preferences",
        "builtins:KeyError",
        (
            (
                "routes/accounts.py",
                '    name = key("preferences", account.user_id)\n    stored',
                '    name = key("preferences", "v2", account.user_id)\n    stored',
            ),
        ),
        asks="Redis: another key; SQL: the organisation; Redis: SET",
        expected={"status": 200, "body": {"weight_unit": "kg"}},
        missing="preferences:v2",
    ),
    "float-percentage": Bug(
        "POST /shipments/FRT-000012/invoice",
        "builtins:TypeError",
        (
            (
                "routes/invoices.py",
                """base * rule["percent"] / 100))""",
                """base * Decimal(str(rule["percent"])) / 100))""",
            ),
        ),
        asks="SQL: nextval, INSERTs, COMMIT; Redis: INCRBYFLOAT; RabbitMQ: a task",
        expected={"status": 201, "body": {"currency": "EUR", "total": "6627.40", "lines": 3}},
        missing="nextval",
        answers=(
            {"call": "psycopg SELECT nextval*", "reply": {"rows": [{"nextval": 703}]}},
            {"call": "psycopg INSERT INTO invoices *", "reply": {"count": 1, "rows": [_INVOICE]}},
            {"call": "psycopg INSERT INTO audit_entries*", "reply": {"count": 1, "rows": [_ENTRY]}},
            {"call": "psycopg INSERT INTO invoice_lines*", "reply": {"count": 3}},
            {"call": "redis INCRBYFLOAT", "reply": {"reply": "6627.4"}},
            {"call": "kombu send*"},
        ),
        help="answers",
    ),
    "unknown-container": Bug(
        "POST /exchange/packings",
        "psycopg.errors:ForeignKeyViolation",
        (
            (
                "routes/reports.py",
                """        copied = cursor.rowcount
""",
                """        copied = cursor.rowcount
        cursor.execute(
            "SELECT DISTINCT container FROM incoming"
            " WHERE NOT EXISTS (SELECT FROM containers WHERE number = container) ORDER BY container"
        )
        if unknown := [number for (number,) in cursor]:
            raise HTTPException(422, f"no such container: {', '.join(unknown)}")
""",
            ),
        ),
        asks="SQL: which of the copied containers there are",
        expected={"status": 422, "body": {"detail": "no such container: FRTU0000000"}},
        missing="NOT EXISTS",
        answers=({"call": "psycopg SELECT DISTINCT*incoming*", "reply": {"rows": [{"container": "FRTU0000000"}]}},),
        gone="INSERT INTO packings",
        help="answers",
    ),
    "unknown-event": Bug(
        "GET /shipments/FRT-000066/events",
        "builtins:LookupError",
        (
            (
                "models/shipments.py",
                '    ARRIVED = "arrived"\n',
                '    ARRIVED = "arrived"\n    TRANSSHIPPED = "transshipped"\n',
            ),
        ),
        asks="SQL: the ports of the events",
        expected={"status": 200},
        missing="FROM ports",
        help="accept",
    ),
    "contact-without-address": Bug(
        "freight.send_invoice",
        "builtins:AttributeError",
        (
            (
                "tasks.py",
                """        ).first()
        lines =""",
                """        ).first()
        address = contact.email or session.scalars(
            select(User.email).where(User.organisation_id == invoice.customer_id, User.active).order_by(User.email)
        ).first()
        lines =""",
            ),
            ("tasks.py", "            contact.email.lower(),\n", "            address.lower(),\n"),
            ("tasks.py", "    Subscription,\n    Voyage,\n", "    Subscription,\n    User,\n    Voyage,\n"),
        ),
        asks="SQL: the addresses of the customer's users; SMTP: the mail; Redis: SET",
        expected={"returns": "refused by 0"},
        missing="FROM users",
    ),
}
