"""Edits of the cinema that keep its behaviour."""

from __future__ import annotations

from tests.corpus.editing import Edit

__all__ = ["EDITS"]

_BOOKINGS = "cinema/bookings.py"
_DATABASE = "cinema/database.py"
_PROVIDER = "cinema/provider.py"
_PRICING = "cinema/pricing.py"
_WEBHOOKS = "cinema/webhooks.py"
_JOBS = "cinema/jobs.py"
_MAIN = "cinema/main.py"

_PRICE = """\
    price = pricing.price(
        screening["price_cents"],
        starts_at,
        seats=wanted["seats"],
        children=wanted["children"],
        voucher_percent=percent,
    )
"""
_ADD = """\
    with database.transaction() as connection:
        database.add_booking(connection, booking)
"""
_BALANCE = '    paid_out = provider.balance_cents("box-office")\n'
_ROWS = """\
    with database.transaction() as connection:
        rows = connection.execute(query, (day.isoformat(),)).fetchall()
"""
_REFUND = """\
    left = starts_at - now
    if left >= _FULL_REFUND:
        return total_cents
    if left >= _HALF_REFUND:
        return total_cents // 2
    return 0
"""
_TAKEN = """\
    query = "SELECT coalesce(sum(seats), 0) FROM bookings WHERE screening_id = ? AND status != 'cancelled'"
    return int(connection.execute(query, (screening_id,)).fetchone()[0])
"""
_MAILS = """\
    for row in rows:
        provider.mail(row["email"], "Your seats were released", f"Booking {row['id']} was not paid in time.")
"""
_BEGAN = (
    '    g.began_s = time.perf_counter()\n    g.request_id = request.headers.get("X-Request-Id") or uuid.uuid4().hex\n'
)
_SEND = "            return self._session.request(method, self._base_url + path, timeout=_TIMEOUT_S, **options)\n"
_INSERT = """\
        "INSERT INTO bookings (id, screening_id, email, seats, total_cents, status, charge_id, created_at)"
        " VALUES (:id, :screening_id, :email, :seats, :total_cents, :status, :charge_id, :created_at)",
        booking,
"""

EDITS = (
    Edit(
        "rename an endpoint's function",
        "rename",
        ((_BOOKINGS, "def book(screening_id", "def create_booking(screening_id"),),
    ),
    Edit("rename a job's function", "rename", ((_JOBS, "def release(limit: int)", "def release_held(limit: int)"),)),
    Edit(
        "rename a dataclass",
        "rename",
        (
            (_PRICING, "class Price:", "class Bill:"),
            (_PRICING, "-> Price:", "-> Bill:"),
            (_PRICING, "return Price(", "return Bill("),
        ),
    ),
    Edit(
        "extract a function",
        "extract",
        (
            (_BOOKINGS, _PRICE, "    price = _priced(screening, starts_at, wanted, percent)\n"),
            (
                _BOOKINGS,
                "def _charge(booking_id",
                "def _priced(screening: Any, starts_at: datetime, wanted: Any, percent: int) -> pricing.Price:\n"
                + _PRICE.replace("    price = ", "    return ")
                + "\n\ndef _charge(booking_id",
            ),
        ),
    ),
    Edit(
        "extract a method",
        "extract",
        (
            (_PROVIDER, "            time.sleep(_FIRST_PAUSE_S * 2**attempt)\n", "            self._pause(attempt)\n"),
            (
                _PROVIDER,
                "    def _send(self",
                "    def _pause(self, attempt: int) -> None:\n        time.sleep(_FIRST_PAUSE_S * 2**attempt)\n\n    def _send(self",
            ),
        ),
    ),
    Edit(
        "inline a function",
        "inline",
        (
            (
                _PRICING,
                "_round(each * (adults - free) + each * _CHILD_SHARE * children)",
                "int((each * (adults - free) + each * _CHILD_SHARE * children).quantize(Decimal(1), rounding=ROUND_HALF_UP))",
            ),
        ),
    ),
    Edit("reorder two reads of different sorts", "reorder", ((_JOBS, _ROWS + _BALANCE, _BALANCE + _ROWS),)),
    Edit(
        "reorder two ambient reads", "reorder", ((_MAIN, _BEGAN, "".join(reversed(_BEGAN.splitlines(keepends=True)))),)
    ),
    Edit(
        "mail from a pool of threads",
        "reorder",
        (
            (
                _JOBS,
                _MAILS,
                "    with ThreadPoolExecutor(2) as pool:\n"
                '        list(pool.map(lambda row: provider.mail(row["email"], "Your seats were released", f"Booking {row[\'id\']} was not paid in time."), rows))\n',
            ),
            (_JOBS, "import logging\n", "import logging\nfrom concurrent.futures import ThreadPoolExecutor\n"),
        ),
    ),
    Edit(
        "repeat an identical read",
        "cache",
        (
            (
                _BOOKINGS,
                "        booking = _booking(connection, booking_id)\n",
                "        _booking(connection, booking_id)\n        booking = _booking(connection, booking_id)\n",
            ),
        ),
    ),
    Edit(
        "read once what was read twice",
        "cache",
        (
            (
                _BOOKINGS,
                '        free = screening["seats"] - database.taken_seats(connection, screening_id)\n',
                '        taken = database.taken_seats(connection, screening_id)\n        free = screening["seats"] - taken\n',
            ),
        ),
    ),
    Edit(
        "cache a voucher in the process",
        "cache",
        (
            (_PROVIDER, "    def voucher_percent(self", "    @functools.lru_cache\n    def voucher_percent(self"),
            (_PROVIDER, "import logging\n", "import functools\nimport logging\n"),
        ),
    ),
    Edit(
        "add log records",
        "logs",
        (
            (_BOOKINGS, _ADD, '    logger.warning("about to hold %s", booking)\n' + _ADD),
            (
                _PROVIDER,
                "        for attempt in range(_TRIES):\n",
                '        for attempt in range(_TRIES):\n            logger.info("try %d", attempt)\n',
            ),
        ),
    ),
    Edit(
        "add metrics",
        "metrics",
        (
            (
                _PROVIDER,
                _SEND,
                '            began_s = time.perf_counter()\n            response = self._session.request(method, self._base_url + path, timeout=_TIMEOUT_S, **options)\n            logger.debug("%s took %f s", path, time.perf_counter() - began_s)\n            return response\n',
            ),
        ),
    ),
    Edit(
        "add OpenTelemetry's spans",
        "metrics",
        (
            (
                _MAIN,
                "api.register_error_handler(problems.Problem, problems.answer)\n",
                "api.register_error_handler(problems.Problem, problems.answer)\nRequestsInstrumentor().instrument()\n",
            ),
            (
                _MAIN,
                "import uuid\n",
                "import uuid\nfrom opentelemetry.instrumentation.requests import RequestsInstrumentor\n",
            ),
        ),
    ),
    Edit(
        "add a switch that is off",
        "switch",
        (
            (_BOOKINGS, _ADD, '    if os.environ.get("CINEMA_SEAT_MAP"):\n        raise NotImplementedError\n' + _ADD),
            (_BOOKINGS, "import logging\n", "import logging\nimport os\n"),
        ),
    ),
    Edit(
        "add a retry that isn't used",
        "retry",
        (
            (
                _PROVIDER,
                _SEND,
                "            for _ in range(3):\n                try:\n                    return self._session.request(method, self._base_url + path, timeout=_TIMEOUT_S, **options)\n                except requests.ConnectionError:\n                    time.sleep(0.1)\n            raise requests.ConnectionError(path)\n",
            ),
        ),
    ),
    Edit(
        "urllib3's retries that aren't used",
        "retry",
        (
            (
                _PROVIDER,
                "        self._session = requests.Session()\n",
                '        self._session = requests.Session()\n        self._session.mount("http://", HTTPAdapter(max_retries=Retry(connect=2, read=0, redirect=0, status=0)))\n',
            ),
            (
                _PROVIDER,
                "import requests\n",
                "import requests\nfrom requests.adapters import HTTPAdapter\nfrom urllib3.util import Retry\n",
            ),
        ),
    ),
    Edit(
        "httpx in place of requests",
        "client",
        (
            (_PROVIDER, "requests.Session()", "httpx.Client()"),
            (_PROVIDER, "requests.RequestException", "httpx.TransportError"),
            (_PROVIDER, "requests.codes.not_found", "404"),
            (_PROVIDER, "requests.codes.service_unavailable", "503"),
            (_PROVIDER, "requests.codes.payment_required", "402"),
            (_PROVIDER, "requests.Response", "httpx.Response"),
            (_PROVIDER, "response.ok", "response.is_success"),
            (_PROVIDER, "import requests\n", "import httpx\n"),
        ),
    ),
    Edit(
        "urllib.request in place of requests",
        "client",
        (
            (
                _PROVIDER,
                '        return int(_read(self._send("GET", f"/accounts/{account}"))["paid_out"])\n',
                '        with urllib.request.urlopen(f"{self._base_url}/accounts/{account}", timeout=_TIMEOUT_S) as response:\n            return int(json.load(response)["paid_out"])\n',
            ),
            (
                _PROVIDER,
                "import logging\nimport time\n",
                "import json\nimport logging\nimport time\nimport urllib.request\n",
            ),
        ),
    ),
    Edit(
        "a session for each request",
        "session",
        (
            (
                _PROVIDER,
                _SEND,
                "            return requests.request(method, self._base_url + path, timeout=_TIMEOUT_S, **options)\n",
            ),
        ),
    ),
    Edit(
        "niquests, the fork of requests, in its place",
        "upgrade",
        ((_PROVIDER, "import requests\n", "import niquests as requests\n"),),
    ),
    Edit(
        "SQL in other words",
        "sql",
        (
            (
                _DATABASE,
                '"SELECT * FROM screenings WHERE id = ?"',
                '"select *\\n  from screenings\\n where screenings.id = ? -- by key"',
            ),
            (_DATABASE, _TAKEN, _TAKEN.replace("status != 'cancelled'", "status <> 'cancelled'")),
        ),
    ),
    Edit(
        "named columns in place of a star",
        "sql",
        (
            (
                _DATABASE,
                "SELECT * FROM bookings WHERE id = ?",
                "SELECT id, screening_id, seats, total_cents, status, charge_id, created_at FROM bookings WHERE id = ?",
            ),
        ),
    ),
    Edit(
        "values by position in place of names",
        "sql",
        (
            (
                _DATABASE,
                _INSERT,
                '        "INSERT INTO bookings (id, screening_id, email, seats, total_cents, status, charge_id, created_at)"\n        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",\n        tuple(booking.values()),\n',
            ),
        ),
        unless=("unrecorded", "diverged"),
    ),
    Edit(
        "add up here in place of the database",
        "sql",
        (
            (
                _DATABASE,
                _TAKEN,
                "    query = \"SELECT seats FROM bookings WHERE screening_id = ? AND status != 'cancelled'\"\n    return sum(row[0] for row in connection.execute(query, (screening_id,)))\n",
            ),
        ),
        unless=("unrecorded", "diverged"),
    ),
    Edit(
        "SQLAlchemy Core in place of sqlite3",
        "sql",
        (
            (
                _DATABASE,
                _TAKEN,
                '    bookings = table("bookings", column("seats"), column("screening_id"), column("status"))\n    query = select(func.coalesce(func.sum(bookings.c.seats), text("0"))).where(bookings.c.screening_id == bindparam("id"), bookings.c.status != text("\'cancelled\'"))\n    return int(connection.execute(str(query.compile(dialect=sqlite.dialect())), (screening_id,)).fetchone()[0])\n',
            ),
            (
                _DATABASE,
                "import sqlite3\n",
                "import sqlite3\nfrom sqlalchemy import bindparam, column, func, select, table, text\nfrom sqlalchemy.dialects import sqlite\n",
            ),
        ),
    ),
    Edit(
        "a sync job as a coroutine",
        "async",
        (
            (_JOBS, "def remind(screening_id: int)", "async def remind(screening_id: int)"),
            (
                _JOBS,
                '            provider.mail(row["email"], f"Today',
                '            await asyncio.to_thread(provider.mail, row["email"], f"Today',
            ),
            (_JOBS, "import logging\n", "import asyncio\nimport logging\n"),
        ),
    ),
    Edit(
        "an endpoint as a coroutine",
        "async",
        (
            (
                _BOOKINGS,
                "def read_booking(booking_id: str) -> Response:\n",
                "async def read_booking(booking_id: str) -> Response:\n",
            ),
        ),
    ),
    Edit(
        "a table in place of conditions",
        "control flow",
        (
            (
                _PRICING,
                _REFUND,
                "    left = starts_at - now\n    shares = ((_FULL_REFUND, 1), (_HALF_REFUND, 2))\n    return next((total_cents // share for least, share in shares if left >= least), 0)\n",
            ),
        ),
    ),
    Edit(
        "integers in place of Decimal",
        "arithmetic",
        (
            (
                _PRICING,
                "_round(Decimal(tickets_cents * voucher_percent) / 100)",
                "(tickets_cents * voucher_percent + 50) // 100",
            ),
        ),
    ),
    Edit(
        "a dict in place of a dataclass's fields",
        "library",
        (
            (
                _BOOKINGS,
                'return jsonify(film=screening["film"], hall=screening["hall"], free=free, few=free < 10)',
                'return jsonify({"few": free < 10, "free": free} | {key: screening[key] for key in ("hall", "film")})',
            ),
        ),
    ),
    Edit(
        "hmac.digest in place of hmac.new",
        "library",
        (
            (
                _WEBHOOKS,
                'hmac.new(WEBHOOK_SECRET, signed_at.encode() + b"." + body, hashlib.sha256).hexdigest()',
                'hmac.digest(WEBHOOK_SECRET, signed_at.encode() + b"." + body, "sha256").hex()',
            ),
        ),
    ),
    Edit(
        "one transaction in place of two",
        "transaction",
        (
            (
                _BOOKINGS,
                '    with database.transaction() as connection:\n        booking = _booking(connection, booking_id)\n        screening = _screening(connection, booking["screening_id"])\n',
                '    with database.transaction() as connection:\n        booking = _booking(connection, booking_id)\n    with database.transaction() as connection:\n        screening = _screening(connection, booking["screening_id"])\n',
            ),
        ),
    ),
    Edit(
        "all statuses at once in place of one by one",
        "sql",
        (
            (
                _JOBS,
                '        for row in rows:\n            database.set_status(connection, row["id"], "cancelled")\n',
                '        connection.executemany("UPDATE bookings SET status = ? WHERE id = ?", [("cancelled", row["id"]) for row in rows])\n',
            ),
        ),
        unless=("changed-effect", "regressed"),
    ),
    Edit(
        "read the clock once more",
        "clock",
        (
            (
                _BOOKINGS,
                "    booking_id = uuid.uuid4().hex\n",
                '    logger.debug("%s", datetime.now(UTC))\n    booking_id = uuid.uuid4().hex\n',
            ),
        ),
    ),
)
