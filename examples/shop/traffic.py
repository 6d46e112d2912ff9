"""Real traffic for the shop: `python traffic.py --base-url URL --seed N`. Knows the shop only through HTTP.

The seed decides every request and its order; what is random in the shop changes no status. `--only everyday` leaves out
what ends in a failure (5xx, a raised error, a lost client).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

_SECRET = os.environ.get("SHOP_WEBHOOK_SECRET", "whsec_development_only").encode()
_LOST = "lost"  # the outcome of a request whose client hung up
_SKUS = {"mug": 1200, "tea": 850, "pot": 4900}


@dataclass(slots=True)
class Traffic:
    """Sends requests, counts what came back, and notes what wasn't as intended."""

    client: httpx.AsyncClient
    chance: random.Random
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    requests: set[str] = field(default_factory=set)
    surprises: list[str] = field(default_factory=list)
    serial: int = 0

    def note(self, label: str, request: httpx.Request, expected: int | str, actual: int | str) -> None:
        """Count one request under its label and outcome."""
        self.counts[label, str(actual)] += 1
        body = request.content if request.headers.get("content-length") else b""
        attempt = request.headers.get("payments-attempt", "1")
        self.requests.add(f"{request.method} {request.url.raw_path.decode()} {body!r} {attempt}")
        if expected != actual:
            self.surprises.append(f"{label}: {request.method} {request.url.path} gave {actual}, not {expected}")

    async def send(self, label: str, method: str, path: str, expected: int, **extra: object) -> httpx.Response:
        """Send one request and check the status that comes back."""
        request = self.client.build_request(method, path, **extra)  # type: ignore[arg-type]
        response = await self.client.send(request)
        self.note(label, request, expected, response.status_code)
        return response

    async def leave(self, label: str, method: str, path: str, *, after_s: float | None = None, **extra: object) -> None:
        """Send one request and hang up: after so many seconds, or at the first piece of the answer."""
        request = self.client.build_request(method, path, **extra)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(after_s):
                response = await self.client.send(request, stream=True)
                if after_s is None:
                    await anext(response.aiter_raw())
                    await response.aclose()
                    self.note(label, request, _LOST, _LOST)
                else:
                    self.note(label, request, _LOST, response.status_code)
        except TimeoutError:
            self.note(label, request, _LOST, _LOST)

    def order(self, **changes: object) -> dict[str, object]:
        """Make up an order that differs from every other."""
        self.serial += 1
        order = {
            "email": f"buyer{self.serial}@example.org",
            "sku": self.chance.choice(sorted(_SKUS)),
            "quantity": self.chance.randint(1, 8),
            "currency": self.chance.choice(["EUR", "USD", "GBP", "JPY"]),
            "card": f"tok_ok_{self.serial}",
        }
        return order | changes

    async def place(self, label: str, expected: int = 201, **changes: object) -> dict[str, str]:
        """Place an order and return what the shop says about it."""
        response = await self.send(label, "POST", "/orders", expected, json=self.order(**changes))
        answer: dict[str, str] = response.json() if response.status_code != httpx.codes.INTERNAL_SERVER_ERROR else {}
        return answer


async def browse(traffic: Traffic) -> None:
    """Look at products, prices and coupons: sync endpoints, SQL reads, the cached rate."""
    for below in traffic.chance.sample(range(500, 6000), 12):
        await traffic.send("browse", "GET", f"/products?below_cents={below}", 200)
    for sku in _SKUS:
        for currency in ("EUR", "USD", "GBP", "JPY"):
            await traffic.send("price", "GET", f"/products/{sku}/price?currency={currency}", 200)
    for code in ("WELCOME", "SPRING", "LASTWEEK", "welcome"):
        await traffic.send("coupon", "GET", f"/coupons/{code}", 200)
    await traffic.send("health", "GET", "/health", 200)


async def draw(traffic: Traffic) -> None:
    """Draw lucky coupons and use them: random code, random discount."""
    for number in range(8):
        drawn = (await traffic.send("draw", "POST", f"/coupons/draw?campaign={number}", 201)).json()
        await traffic.place("order, lucky coupon", coupon=drawn["code"])


async def buy(traffic: Traffic) -> None:
    """Place orders one by one and follow each: background receipt, tracking, event stream."""
    for number in range(12):
        order = await traffic.place("order", coupon="WELCOME" if number % 3 == 0 else None)
        path = f"/orders/{order['id']}"
        await traffic.send("read order", "GET", path, 200)
        await traffic.send("receipt", "GET", f"{path}/receipt", 200)
        await traffic.send("tracking", "GET", f"{path}/tracking", 200)
        await traffic.send("order events (SSE)", "GET", f"{path}/events?count={traffic.chance.randint(1, 9)}", 200)
    for limit in range(1, 9):
        await traffic.send("list orders", "GET", f"/orders?limit={limit}&status={('paid', 'refunded')[limit % 2]}", 200)


async def rush(traffic: Traffic) -> None:
    """Send many at once: orders, identical quotes inside each request, reports, feeds."""
    calls: list[Awaitable[object]] = []
    for number in range(14):
        calls.append(traffic.place("order, at once"))
        amount = traffic.chance.randint(100, 90_000)
        calls.append(traffic.send("quotes (gather)", "GET", f"/quotes?amount_cents={amount}&n={number}", 200))
    calls += [traffic.send("report", "GET", f"/report?status={s}", 200) for s in ("paid", "refunded")]
    calls += [traffic.send("feed (SSE)", "GET", f"/feed?ticks={ticks}", 200) for ticks in range(1, 7)]
    traffic.chance.shuffle(calls)
    await asyncio.gather(*calls)


async def give_back(traffic: Traffic) -> None:
    """Ask for refunds, each once too often."""
    for reason in ("broken", "unwanted", "broken", "unwanted"):
        order = await traffic.place("order", quantity=20, sku="pot")
        for expected in (200, 409):
            await traffic.send("refund", "POST", f"/orders/{order['id']}/refund", expected, json={"reason": reason})


async def notify(traffic: Traffic) -> None:
    """Send webhooks: good, repeated, forged, stale, unsigned, unreadable."""
    for number in range(8):
        order = await traffic.place("order")
        kind = ("charge.settled", "charge.refunded")[number % 2]
        event = {"id": f"evt_{uuid.UUID(int=traffic.chance.getrandbits(128)).hex}", "kind": kind}
        body = json.dumps({**event, "charge": order.get("charge_id", "")}).encode()
        for expected, headers in (
            (200, {"Payments-Signature": _sign(body)}),
            (200, {"Payments-Signature": _sign(body), "Payments-Attempt": "2"}),
        ):
            await traffic.send("webhook", "POST", "/webhooks/payments", expected, content=body, headers=headers)
    for number in range(4):
        body = json.dumps({"id": f"evt_bad_{number}", "kind": "charge.settled", "charge": "ch_1"}).encode()
        header = ["", _sign(body, secret=b"guess"), _sign(body, age_s=3600), _sign(body, age_s=-3600)][number]
        headers = {"Payments-Signature": header} if header else {}
        await traffic.send("webhook, refused", "POST", "/webhooks/payments", 400, content=body, headers=headers)


async def stock(traffic: Traffic) -> None:
    """Import products, in a body that is sent in pieces."""
    for number in range(5):
        rows = [f"sku-{number}-{i},Thing {i},{traffic.chance.randint(100, 9000)}\n".encode() for i in range(number + 1)]
        await traffic.send("import", "POST", f"/products/import?batch={number}", 201, content=_pieces(rows))
    for number, broken in enumerate((b"mug,Mug\n", b"mug,Mug,cheap\n")):
        await traffic.send("import, refused", "POST", f"/products/import?bad={number}", 400, content=broken)


async def mistype(traffic: Traffic) -> None:
    """Make the mistakes that clients make: 4xx."""
    for number in range(6):
        missing = uuid.UUID(int=traffic.chance.getrandbits(128))
        path = ("", "/receipt", "/tracking", "/events", "?x=1", "?x=2")[number]
        await traffic.send("order, unknown", "GET", f"/orders/{missing}{path}", 404)
    await traffic.send("order, not an id", "GET", "/orders/latest", 422)
    await traffic.send("coupon, unknown", "GET", "/coupons/NOPE", 404)
    await traffic.send("price, unknown", "GET", "/products/cup/price", 404)
    await traffic.send("price, unknown", "GET", "/products/mug/price?currency=XXX", 400)
    await traffic.send("no such page", "GET", "/basket", 404)
    await traffic.send("no such method", "DELETE", "/orders", 405)
    await traffic.send("list orders, refused", "GET", "/orders?limit=0", 422)
    await traffic.place("order, refused", 404, sku="cup")
    await traffic.place("order, refused", 400, currency="XXX")
    await traffic.place("order, refused", 404, coupon="NOPE")
    for changes in ({"quantity": 0}, {"quantity": "many"}, {"email": ""}, {"currency": "euro"}):
        await traffic.place("order, refused", 422, **changes)
    for _ in range(3):
        await traffic.place("order, declined", 402, card="tok_declined")


async def insist(traffic: Traffic) -> None:
    """Order while the provider is busy: retries with growing pauses."""
    for number in range(4):
        await traffic.place("order, retried", card=f"tok_busy_{number}")


async def fail(traffic: Traffic) -> None:
    """Meet what breaks: the provider's errors, its silence, raised errors, refunds and receipts that fail."""
    for _ in range(3):
        await traffic.place("order, provider fails", 502, card="tok_error")
        await traffic.place("order, garbled", 502, card="tok_garbled")
    await asyncio.gather(*(traffic.place("order, provider silent", 504, card="tok_slow") for _ in range(4)))
    for number, kind in enumerate(("value", "key", "group", "cause") * 2):
        await traffic.send("raised", "GET", f"/debug/error?kind={kind}&note=alarm-{number}", 500)
    for _ in range(2):
        order = await traffic.place("order")
        await traffic.send("refund, fails", "POST", f"/orders/{order['id']}/refund", 502, json={"reason": "late"})
    for number in range(2):
        order = await traffic.place("order, receipt bounces", email=f"bounce{number}@example.org")
        await traffic.send("receipt, missing", "GET", f"/orders/{order['id']}/receipt", 404)


async def hang_up(traffic: Traffic) -> None:
    """Leave before the answer is there, or in the middle of a stream."""
    for ticks in (150, 151, 152):
        await traffic.leave("feed, client leaves", "GET", f"/feed?ticks={ticks}")
    order = await traffic.place("order")
    await traffic.leave("order events, client leaves", "GET", f"/orders/{order['id']}/events?count=50")
    for _ in range(2):
        body = traffic.order(card="tok_slow")
        await traffic.leave("order, client leaves", "POST", "/orders", after_s=0.15, json=body)


async def use_old_coupons(traffic: Traffic) -> None:
    """Use coupons that are past their date: one is refused, the other is still honoured. Both show the bug."""
    await traffic.place("order, expired coupon", 500, coupon="SPRING")
    await traffic.place("order, honoured coupon", 500, coupon="LASTWEEK")


EVERYDAY: tuple[Callable[[Traffic], Awaitable[None]], ...]
EVERYDAY = (browse, draw, buy, rush, give_back, notify, stock, mistype, insist)
FAILING: tuple[Callable[[Traffic], Awaitable[None]], ...] = (fail, hang_up, use_old_coupons)


async def drive(base_url: str, seed: int, steps: Sequence[Callable[[Traffic], Awaitable[None]]]) -> Traffic:
    """Send the traffic of some steps, in their order.

    Args:
        base_url: Where the shop is.
        seed: Decides every request.
        steps: Functions of this module.

    Returns:
        What was sent and what came back.

    """
    # uvicorn drops a connection after a raised error without saying so: don't use one twice.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=base_url, timeout=10, limits=limits) as client:
        traffic = Traffic(client, random.Random(seed))
        for step in steps:
            await step(traffic)
    return traffic


def table(traffic: Traffic) -> str:
    """Render what came back, one line for each kind of request."""
    lines = []
    for label in sorted({label for label, _ in traffic.counts}):
        outcomes = sorted((outcome, count) for (name, outcome), count in traffic.counts.items() if name == label)
        lines.append(f"  {label:<28} " + "  ".join(f"{outcome} x {count}" for outcome, count in outcomes))
    by_class = Counter[str]()
    for (_, outcome), count in traffic.counts.items():
        by_class[outcome if outcome == _LOST else f"{outcome[0]}xx"] += count
    lines.append("  " + ", ".join(f"{count} {name}" for name, count in sorted(by_class.items())))
    return "\n".join(lines)


def main() -> int:
    """Drive the traffic, print the table, and return 1 if an answer wasn't the intended one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("everyday", "failing"), default=None)
    options = parser.parse_args()
    steps = {"everyday": EVERYDAY, "failing": FAILING, None: EVERYDAY + FAILING}[options.only]
    started_s = time.monotonic()
    traffic = asyncio.run(drive(options.base_url, options.seed, steps))
    print(table(traffic))
    total = sum(traffic.counts.values())
    print(f"  {total} requests, {len(traffic.requests)} different, in {time.monotonic() - started_s:.1f} s")
    for surprise in traffic.surprises:
        print(f"  not as intended: {surprise}")
    return 1 if traffic.surprises else 0


def _sign(body: bytes, *, secret: bytes = _SECRET, age_s: int = 0) -> str:
    signed_at = str(int(time.time()) - age_s)
    return f"t={signed_at},v1={hmac.new(secret, signed_at.encode() + b'.' + body, hashlib.sha256).hexdigest()}"


async def _pieces(rows: list[bytes]) -> AsyncIterator[bytes]:
    for row in rows:
        yield row


if __name__ == "__main__":
    raise SystemExit(main())
