"""Times the redaction of a typical run of 20 KB. Run by hand: `python benchmarks/redaction.py`."""

from __future__ import annotations

import orjson
from measuring import heading, print_row, thread_cpu_us

from pytest_fluxrun.recording.redaction import redact_run
from pytest_fluxrun.run import Interaction, Recording, Run

BAR_MS = 0.6
TIMES = 600


def typical_run() -> Run:
    """A signed-in request: an HTTP call with a bearer token, SQL rows, a JSON answer, logs."""
    items = [{"id": f"item-{n}", "name": f"Article number {n}", "price": "19.90", "quantity": n} for n in range(90)]
    answer = orjson.dumps({"items": items, "next_page_token": "b64-8f2c1d9e7a"}).decode()
    headers = [["host", "shop.example"], ["authorization", "Bearer sk-live-4f9a8b7c6d5e"], ["accept", "*/*"]]
    http = {
        "method": "POST",
        "url": "https://pay.example/charge?dry=1",
        "headers": headers,
        "body": '{"amount": 1200, "api_key": "pk-9a8b7c6d5e4f"}',
        "streamed": False,
    }
    sql = {"database": "shop.db", "sql": "SELECT * FROM customers WHERE shop = ?", "binds": [7], "many": False}
    rows = [[n, f"Customer {n}", f"customer{n}@example.org", "2026-01-01T00:00:00"] for n in range(60)]
    return Run(
        id="01jd3k0000000000000000000",
        project="shop",
        entry="shop",
        entry_kind="asgi",
        input={
            "method": "POST",
            "path": "/orders",
            "query": "page=2&session=8f2c1d9e7a6b",
            "headers": [*headers, ["cookie", "sid=5e4f3a2b1c0d9e8f; theme=dark"], ["user-agent", "curl/8.0"]],
            "body": orjson.dumps({"items": items[:20], "password": "correct-horse-battery"}).decode(),
        },
        outcome={
            "response": {"status": 500, "headers": [["content-type", "application/json"]], "body": '{"error":"x"}'}
        },
        recording=Recording(
            wall_ns=0,
            mono_ns=0,
            perf_ns=0,
            duration_ns=1,
            interactions=(
                Interaction("httpx", "http", 1, 0, 0, 1, http, {"status": 200, "headers": [], "chunks": [answer]}),
                Interaction(
                    "sqlite3", "sql", 1, 0, 1, 2, sql, {"columns": ["id", "name", "email", "at"], "rows": rows}
                ),
            ),
            reads={"environment": {"DATABASE_URL": ["postgres://app:s3cr3t-pw@db/shop"], "HOME": ["/srv"]}},
            logs=tuple(
                {"level": "INFO", "logger": "shop.orders", "message": f"line {n} of the order"} for n in range(30)
            ),
        ),
    )


def main() -> None:
    """Print the median, scaled to 20 KB."""
    run = typical_run()
    size = len(run.to_payload())
    took_ms = thread_cpu_us(lambda: redact_run(run), times=TIMES) / 1000
    heading(f"Redaction of a run of {size / 1000:.1f} KB: CPU, median of {TIMES}")
    print_row("redact 20 KB", took_ms * 20_000 / size, "ms", BAR_MS, f"{took_ms:.3f} ms for this run")


if __name__ == "__main__":
    main()
