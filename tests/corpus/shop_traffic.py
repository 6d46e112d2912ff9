"""One request of each sort for the shop, those on its limits among them. Knows the shop only through HTTP."""

from __future__ import annotations

import asyncio
import random
import time
from types import ModuleType
from typing import Any

import httpx

__all__ = ["drive"]

_PERCENTS = {5, 10, 15, 25}


async def drive(base_url: str, everyday: ModuleType) -> list[str]:
    """Send the requests, one after another.

    Args:
        base_url: where the shop is.
        everyday: its own `traffic.py`, which makes orders and signs webhooks.

    Returns:
        What wasn't answered as intended.
    """
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=base_url, timeout=10, limits=limits) as client:
        traffic = everyday.Traffic(client, random.Random(1))
        await _stock(traffic)
        order = await _buy(traffic)
        await _look(traffic, order)
        await _give_back(traffic, order)
        await _notify(traffic, everyday, order)
        await _be_refused(traffic)
        await traffic.send("id of the client's", "GET", "/health", 200, headers={"X-Request-Id": "of-the-client"})
        await traffic.leave("left", "GET", "/feed?ticks=50")
    surprises: list[str] = traffic.surprises
    return surprises


async def _stock(traffic: Any) -> None:
    """Import products, and draw coupons until every discount has been drawn."""
    stock = b"cup,Cup,700\npan,Pan,2500\n"
    await traffic.send("import", "POST", "/products/import", 201, content=stock)
    await traffic.send("import, refused", "POST", "/products/import", 400, content=b"cup,Cup,cheap\n")
    seen: set[int] = set()
    while seen != _PERCENTS:
        seen.add((await traffic.send("draw", "POST", "/coupons/draw", 201)).json()["percent"])


async def _buy(traffic: Any) -> dict[str, str]:
    drawn = (await traffic.send("draw", "POST", "/coupons/draw", 201)).json()
    order: dict[str, str] = await traffic.place("order", sku="pot", quantity=3, currency="EUR", coupon=drawn["code"])
    await traffic.place("free shipping", sku="tea", quantity=6, currency="USD", email="a@b")
    await traffic.place("just free shipping", sku="pan", quantity=2, currency="EUR")
    await traffic.place("large", sku="pot", quantity=20, currency="GBP", card="tok_busy_1")
    await traffic.place("honoured coupon", sku="mug", quantity=1, currency="EUR", coupon="lastweek")
    await traffic.place("expired coupon", 409, sku="mug", quantity=1, currency="JPY", coupon="SPRING")
    await traffic.place("unknown coupon", 404, sku="mug", quantity=1, currency="EUR", coupon="NOPE")
    await traffic.place("declined", 402, sku="mug", quantity=1, currency="EUR", card="tok_declined")
    await traffic.place("fails", 502, sku="mug", quantity=1, currency="EUR", card="tok_error")
    await traffic.place("busy for too long", 502, sku="mug", quantity=1, currency="EUR", card="tok_overrun")
    await traffic.place("garbled", 502, sku="mug", quantity=1, currency="EUR", card="tok_garbled")
    await traffic.place("silent", 504, sku="mug", quantity=1, currency="EUR", card="tok_slow")
    return order


async def _look(traffic: Any, order: dict[str, str]) -> None:
    path = f"/orders/{order['id']}"
    bounced = await traffic.place("bounces", sku="mug", quantity=1, currency="EUR", email="bounce@example.org")
    await traffic.send("no receipt", "GET", f"/orders/{bounced['id']}/receipt", 404)
    for label, target, status in (
        ("products", "/products?below_cents=1200", 200),
        ("products, refused", "/products?below_cents=0", 422),
        ("price", "/products/mug/price?currency=USD", 200),
        ("price", "/products/mug/price", 200),
        ("price, unknown", "/products/sofa/price", 404),
        ("price, unknown", "/products/mug/price?currency=XXX", 400),
        ("quotes", "/quotes?amount_cents=1", 200),
        ("quotes, refused", "/quotes?amount_cents=0", 422),
        ("report", "/report", 200),
        ("feed", "/feed", 200),
        ("feed, refused", "/feed?ticks=0", 422),
        ("feed, refused", "/feed?ticks=201", 422),
        ("raised", "/debug/error", 500),
        ("raised", "/debug/error?kind=key&note=k", 500),
        ("raised", "/debug/error?kind=group", 500),
        ("raised", "/debug/error?kind=cause", 500),
        ("coupon", "/coupons/welcome", 200),
        ("coupon", "/coupons/SPRING", 200),
        ("orders", "/orders?status=paid", 200),
        ("orders, refused", "/orders?limit=0", 422),
        ("orders, refused", "/orders?limit=51", 422),
        ("order", path, 200),
        ("receipt", f"{path}/receipt", 200),
        ("tracking", f"{path}/tracking", 200),
        ("events", f"{path}/events", 200),
        ("events, refused", f"{path}/events?count=0", 422),
        ("events, refused", f"{path}/events?count=51", 422),
        ("unknown", "/orders/00000000-0000-0000-0000-000000000000", 404),
        ("unknown", "/orders/00000000-0000-0000-0000-000000000000/receipt", 404),
        ("health", "/health", 200),
    ):
        await traffic.send(label, "GET", target, status)


async def _give_back(traffic: Any, order: dict[str, str]) -> None:
    path = f"/orders/{order['id']}/refund"
    await traffic.send("refund, fails", "POST", path, 502, json={"reason": "late"})
    await traffic.send("refund", "POST", path, 200, json={"reason": "broken"})
    await traffic.send("refund, again", "POST", path, 409, json={})
    other = await traffic.place("unwanted", sku="mug", quantity=1, currency="EUR")
    await traffic.send("refund", "POST", f"/orders/{other['id']}/refund", 200, json={})


async def _notify(traffic: Any, everyday: ModuleType, order: dict[str, str]) -> None:
    body = b'{"id": "evt_1", "kind": "charge.refunded", "charge": "%s"}' % order["charge_id"].encode()
    await asyncio.sleep(1 - time.time() % 1)  # 300 s old, and not 301
    for status, signature in (
        (400, everyday._sign(body, age_s=300)),
        (200, everyday._sign(body)),
        (200, everyday._sign(body)),
        (400, everyday._sign(body, secret=b"guess")),
        (400, everyday._sign(body) + "="),
        (400, ""),
    ):
        headers = {"Payments-Signature": signature} if signature else {}
        await traffic.send("webhook", "POST", "/webhooks/payments", status, content=body, headers=headers)


async def _be_refused(traffic: Any) -> None:
    await traffic.place("unknown product", 404, sku="sofa", quantity=1, currency="EUR")
    await traffic.place("too many", 422, sku="mug", quantity=21)
    await traffic.place("too short", 422, sku="mug", email="ab")
